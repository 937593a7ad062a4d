//! Which partitions an expression of GetPartitions holds for (API reference, GetPartitions, `Expression`), and where those are among all.

use millpond_hive::predicate::{self, Key};
use millpond_hive::types::Type;

use crate::bodies::ColumnBody;
use crate::errors::{GlueError, invalid};

/// An equality: the number of the key, and the value.
type Equality = (usize, String);

/// An expression that was read.
#[derive(Debug)]
pub(crate) struct Predicate {
    holds: predicate::Predicate,
    leading: Vec<String>,
}

fn wrong(error: impl std::fmt::Display) -> GlueError {
    GlueError::Invalid(error.to_string())
}

/// The type of a key; one that cannot be read is text.
fn kind(key: &ColumnBody) -> Type {
    key.kind.as_deref().and_then(|kind| Type::parse(kind).ok()).unwrap_or(Type::String)
}

impl Predicate {
    /// Reads an expression over partition keys.
    pub fn parse(expression: &str, keys: &[ColumnBody]) -> Result<Self, GlueError> {
        let kinds: Vec<Type> = keys.iter().map(kind).collect();
        let named: Vec<Key<'_>> =
            keys.iter().map(|key| (key.name.as_str(), key.kind.as_deref().unwrap_or("string"))).collect();
        let holds = predicate::Predicate::parse(expression, &named).map_err(wrong)?;
        let leading = parse(expression, keys).map(|found| leading(&found, &kinds)).unwrap_or_default();
        Ok(Self { holds, leading })
    }

    /// Whether it holds for a partition with these values.
    pub fn holds(&self, values: &[String]) -> Result<bool, GlueError> {
        self.holds.holds(values).map_err(wrong)
    }

    /// The values of the first keys that every partition has which it holds for, as far as they are told by equalities.
    pub fn leading(&self) -> Vec<String> {
        self.leading.clone()
    }
}

/// Texts alone: other values can be written in several ways.
fn leading(found: &[Equality], kinds: &[Type]) -> Vec<String> {
    let fixed = |(at, kind): (usize, &Type)| {
        let is_text = matches!(kind, Type::String | Type::Varchar(_));
        let value = found.iter().find(|(place, _)| *place == at && is_text);
        // The catalog's word for NULL, for which no equality holds.
        value.map(|(_, value)| value.clone()).filter(|value| value != millpond_hive::names::DEFAULT_PARTITION)
    };
    kinds.iter().enumerate().map_while(fixed).collect()
}

/// An expression of nothing but equalities.
fn parse(expression: &str, keys: &[ColumnBody]) -> Result<Vec<Equality>, GlueError> {
    let mut rest = expression.trim();
    let mut found = Vec::new();
    loop {
        let (name, behind) = word(rest);
        let unsupported = || GlueError::Invalid(format!("Unsupported expression '{expression}'"));
        let behind = behind.trim_start().strip_prefix('=').ok_or_else(unsupported)?.trim_start();
        let named = |key: &ColumnBody| key.name.eq_ignore_ascii_case(name);
        let Some(at) = keys.iter().position(named) else {
            return invalid(format!("'{name}' in the expression is no partition key of the table."));
        };
        let (value, behind) = value(behind).ok_or_else(unsupported)?;
        found.push((at, value));
        rest = behind.trim_start();
        if rest.is_empty() {
            return Ok(found);
        }
        let (and, behind) = word(rest);
        if !and.eq_ignore_ascii_case("and") {
            return Err(unsupported());
        }
        rest = behind.trim_start();
    }
}

fn word(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_' && c != '-').unwrap_or(text.len());
    text.split_at(end)
}

/// A value in quotes, in which two stand for one, or a number.
fn value(text: &str) -> Option<(String, &str)> {
    let Some(mut rest) = text.strip_prefix('\'') else {
        let (number, behind) = word(text);
        return number.parse::<i64>().ok().map(|_| (number.to_owned(), behind));
    };
    let mut value = String::new();
    loop {
        let (part, behind) = rest.split_once('\'')?;
        value.push_str(part);
        match behind.strip_prefix('\'') {
            Some(more) => {
                value.push('\'');
                rest = more;
            }
            None => return Some((value, behind)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> Vec<ColumnBody> {
        let key = |name: &str, kind: &str| ColumnBody {
            name: name.to_owned(),
            kind: Some(kind.to_owned()),
            ..ColumnBody::default()
        };
        vec![key("region", "string"), key("year", "int"), key("day", "string")]
    }

    #[test]
    fn equalities_of_keys() {
        let values = ["eu", "2024", "o'clock"].map(str::to_owned);
        for (expression, expected) in [
            ("region = 'eu'", Some(true)),
            ("REGION='eu' and year = 2024", Some(true)),
            ("year = 02024", Some(true)),
            ("year=2023", Some(false)),
            ("day = 'o''clock' AND region='eu'", Some(true)),
            ("day = ''", Some(false)),
            ("", None),
            ("region", None),
            ("region = ", None),
            ("region = 'eu", None),
            ("region = 'us' or year = 2024", Some(true)),
            ("region > 'eu'", Some(false)),
            ("year between 2020 and 2030 and region in ('eu', 'us')", Some(true)),
            ("other = 'eu'", None),
            ("region = 'eu' and", None),
        ] {
            assert_eq!(
                Predicate::parse(expression, &keys()).and_then(|read| read.holds(&values)).ok(),
                expected,
                "{expression}"
            );
        }
    }

    proptest::proptest! {
        /// Whatever a value is, the expression that quotes it holds for it, and no text is a reason to panic.
        #[test]
        fn quoted_values_are_themselves(value in ".*", other in ".*", text in ".*") {
            let quoted = format!("region = '{}'", value.replace('\'', "''"));
            let read = Predicate::parse(&quoted, &keys()).unwrap();
            proptest::prop_assert_eq!(read.holds(std::slice::from_ref(&value)).unwrap(), true);
            proptest::prop_assert_eq!(read.holds(std::slice::from_ref(&other)).unwrap(), other == value);
            proptest::prop_assert_eq!(read.leading(), vec![value]);
            let _ = Predicate::parse(&text, &keys());
            let _ = Predicate::parse(&format!("region = {text}"), &keys());
        }
    }

    #[test]
    fn leading_texts_are_a_range_of_rows() {
        for (expression, expected) in [
            ("region = 'eu' and day = '1'", vec!["eu"]),
            ("region = 'eu' and year = 2024 and day = '1'", vec!["eu"]),
            ("year = 2024", vec![]),
        ] {
            assert_eq!(Predicate::parse(expression, &keys()).unwrap().leading(), expected, "{expression}");
        }
    }
}
