//! The part of JSONPath that EventBridge evaluates (User Guide, "Amazon EventBridge input transformation"): names of letters, digits,
//! dashes, underscores and slashes behind dots, names in brackets, indices, and wildcards.

use super::json::Json;

/// Steps of a path; an event is nested less deeply.
const MAX_STEPS: usize = 64;
/// Values that a path's wildcards may name.
const MAX_FOUND: usize = 10_000;

/// A path.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Path {
    steps: Vec<Step>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Step {
    Name(String),
    Index(usize),
    All,
}

/// What a path names in a document.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Found<'a> {
    Nothing,
    One(Json<'a>),
    /// A path with a wildcard names a list.
    Many(Vec<Json<'a>>),
}

impl Path {
    /// Reads a path; a text that is none, or one that is not evaluated, is told why.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut rest = text.strip_prefix('$').ok_or_else(|| "a path begins with $".to_owned())?;
        let mut steps = Vec::new();
        while !rest.is_empty() {
            let (step, after) = match rest.strip_prefix('[') {
                Some(inner) => bracketed(inner)?,
                None => {
                    let inner = rest.strip_prefix('.').ok_or_else(|| format!("unexpected {rest:?}"))?;
                    let end = inner.find(|c: char| !is_name(c)).unwrap_or(inner.len());
                    match (inner.split_at(end), inner.strip_prefix('*')) {
                        (_, Some(after)) => (Step::All, after),
                        (("", _), None) => return Err(format!("a name is missing before {inner:?}")),
                        ((name, after), None) => (Step::Name(name.to_owned()), after),
                    }
                }
            };
            steps.push(step);
            rest = after;
        }
        if steps.len() > MAX_STEPS {
            return Err(format!("a path has at most {MAX_STEPS} steps"));
        }
        Ok(Self { steps })
    }

    /// What it names.
    pub fn find<'a>(&self, document: Json<'a>) -> Found<'a> {
        let mut found = vec![document];
        for step in &self.steps {
            found = found.into_iter().flat_map(|value| step.of(value)).take(MAX_FOUND).collect();
        }
        if self.steps.contains(&Step::All) {
            return Found::Many(found);
        }
        found.pop().map_or(Found::Nothing, Found::One)
    }
}

fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '/')
}

/// The step behind an opening bracket, and what follows it.
fn bracketed(inner: &str) -> Result<(Step, &str), String> {
    for quote in ['\'', '"'] {
        if let Some(name) = inner.strip_prefix(quote) {
            let (name, after) = name.split_once(quote).ok_or_else(|| format!("{quote} is not closed"))?;
            let after = after.strip_prefix(']').ok_or_else(|| "] is missing".to_owned())?;
            return Ok((Step::Name(name.to_owned()), after));
        }
    }
    let (what, after) = inner.split_once(']').ok_or_else(|| "] is missing".to_owned())?;
    match what {
        "*" => Ok((Step::All, after)),
        _ => Ok((Step::Index(what.parse().map_err(|_| format!("[{what}] is no index"))?), after)),
    }
}

impl Step {
    fn of<'a>(&self, value: Json<'a>) -> Vec<Json<'a>> {
        match self {
            Self::Name(name) => value.member(name).into_iter().collect(),
            Self::Index(at) => value.items().into_iter().nth(*at).into_iter().collect(),
            Self::All if value.is_object() => value.members().into_iter().map(|(_, value)| value).collect(),
            Self::All => value.items(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(path: &str, text: &str) -> String {
        match Path::parse(path).map(|path| path.find(Json::parse(text).unwrap())) {
            Err(why) => format!("refused: {why}"),
            Ok(Found::Nothing) => "nothing".to_owned(),
            Ok(Found::One(value)) => value.text().to_owned(),
            Ok(Found::Many(values)) => {
                format!("[{}]", values.iter().map(|value| value.text()).collect::<Vec<_>>().join(","))
            }
        }
    }

    #[test]
    fn paths() {
        let event = r#"{"detail-type":"t","detail":{"a":[1,{"b":2.0},{"b":"x"}],"c d":null,"e/f_g":true}}"#;
        for (path, expected) in [
            ("$", event),
            ("$.detail-type", "\"t\""),
            ("$.detail.a[0]", "1"),
            ("$.detail.a[1].b", "2.0"),
            ("$.detail.a[*].b", "[2.0,\"x\"]"),
            ("$.detail.a.*", "[1,{\"b\":2.0},{\"b\":\"x\"}]"),
            ("$.detail['c d']", "null"),
            ("$['detail'][\"e/f_g\"]", "true"),
            ("$.detail.e/f_g", "true"),
            ("$.detail.a[3]", "nothing"),
            ("$.detail.none.at.all", "nothing"),
            ("$.detail-type[0]", "nothing"),
            ("detail", "refused: a path begins with $"),
            ("$detail", "refused: unexpected \"detail\""),
            ("$.", "refused: a name is missing before \"\""),
            ("$..b", "refused: a name is missing before \".b\""),
            ("$.a[", "refused: ] is missing"),
            ("$.a[-1]", "refused: [-1] is no index"),
            ("$.a[?(@.b)]", "refused: [?(@.b)] is no index"),
            ("$.a['b]", "refused: ' is not closed"),
            ("$.a b", "refused: unexpected \" b\""),
        ] {
            assert_eq!(shown(path, event), expected, "{path}");
        }
        assert!(Path::parse(&format!("${}", ".a".repeat(65))).is_err());
    }
}
