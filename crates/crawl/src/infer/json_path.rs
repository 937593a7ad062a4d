//! The paths of JSON classifiers: `$`, `.name`, `['name']`, `[*]`, `.*`, `[n]` (Developer Guide, "Writing JSON custom classifiers").

use crate::schema::{Shape, merged};

/// Steps of a path at most.
const MAX_STEPS: usize = 32;

/// Where the rows are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonPath {
    text: String,
    steps: Vec<Step>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Child(String),
    /// Each item, or the one at a place: they have one type.
    Item,
    /// All children of an object, or items of an array.
    Any,
}

/// Why a text is no path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the JSON path {text} is not supported at position {at}: $, .name, ['name'], [*], .* and [number] are")]
pub struct JsonPathError {
    text: String,
    at: usize,
}

impl JsonPath {
    /// `$`
    pub fn root() -> Self {
        Self { text: "$".to_owned(), steps: Vec::new() }
    }

    /// Reads a path.
    pub fn parse(text: &str) -> Result<Self, JsonPathError> {
        let refused = |rest: &str| JsonPathError { text: text.to_owned(), at: text.len() - rest.len() };
        let mut rest = text.strip_prefix('$').ok_or_else(|| refused(text))?;
        let mut steps = Vec::new();
        while !rest.is_empty() {
            let (step, after) = step(rest).ok_or_else(|| refused(rest))?;
            steps.push(step);
            rest = after;
            if steps.len() > MAX_STEPS {
                return Err(refused(rest));
            }
        }
        Ok(Self { text: text.to_owned(), steps })
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether rows are whole values.
    pub fn is_root(&self) -> bool {
        self.steps.is_empty()
    }

    /// What is there of a value; `None` where that has nothing there.
    pub fn of(&self, shape: Shape) -> Option<Shape> {
        self.steps.iter().try_fold(shape, |shape, step| match (step, shape) {
            (Step::Child(name), Shape::Struct(fields)) => {
                fields.into_iter().find(|(field, _)| field == name).map(|(_, shape)| shape)
            }
            (Step::Item | Step::Any, Shape::Array(item)) => Some(*item),
            (Step::Any, Shape::Struct(fields)) => fields.into_iter().map(|(_, shape)| shape).reduce(merged),
            _ => None,
        })
    }
}

fn step(text: &str) -> Option<(Step, &str)> {
    if let Some(rest) = text.strip_prefix(".*").or_else(|| text.strip_prefix("[*]")) {
        return Some((Step::Any, rest));
    }
    if let Some(rest) = text.strip_prefix('.') {
        let end = rest.find(['.', '[']).unwrap_or(rest.len());
        let (name, rest) = rest.split_at_checked(end)?;
        let fits = !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '$'));
        return fits.then(|| (Step::Child(name.to_lowercase()), rest));
    }
    let inside = text.strip_prefix('[')?;
    for quote in ['\'', '"'] {
        if let Some(quoted) = inside.strip_prefix(quote) {
            let (name, rest) = quoted.split_once(quote)?;
            return Some((Step::Child(name.to_lowercase()), rest.strip_prefix(']')?)).filter(|_| !name.is_empty());
        }
    }
    let (number, rest) = inside.split_once(']')?;
    let fits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    fits.then_some((Step::Item, rest))
}

#[cfg(test)]
mod tests {
    use millpond_hive::types::Type;

    use super::*;

    #[test]
    fn paths() {
        let value = || Shape::of(Type::parse("struct<a:array<struct<b:int>>,c:struct<x:int,y:double>>").unwrap());
        for (path, kind) in [
            ("$", Some("struct<a:array<struct<b:int>>,c:struct<x:int,y:double>>")),
            ("$.a[*]", Some("struct<b:int>")),
            ("$['a'][0].b", Some("int")),
            ("$.A.*", Some("struct<b:int>")),
            ("$.c[*]", Some("double")),
            ("$.nothing", None),
            ("$[*].b", None),
        ] {
            let found = JsonPath::parse(path).unwrap().of(value());
            assert_eq!(found.map(|shape| shape.kind().to_string()).as_deref(), kind, "{path}");
        }
        for (path, at) in [
            ("", 0),
            ("a", 0),
            ("$a", 1),
            ("$..a", 1),
            ("$.a[?(@.b)]", 3),
            ("$[a]", 1),
            ("$['']", 1),
            ("$[-1]", 1),
            ("$.", 1),
        ] {
            assert_eq!(JsonPath::parse(path).unwrap_err().at, at, "{path}");
        }
    }
}
