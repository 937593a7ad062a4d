//! Which partitions an expression of GetPartitions holds for (API reference, GetPartitions, `Expression`): the errors of one that is none.

use millpond_hive::predicate::{self, Key, PredicateError, Span};

use crate::bodies::ColumnBody;
use crate::errors::GlueError;

/// An expression that was read.
#[derive(Debug)]
pub(crate) struct Predicate(predicate::Predicate);

fn wrong(error: PredicateError) -> GlueError {
    let words = error.to_string();
    match error {
        PredicateError::PartitionValue { .. } => GlueError::State(words),
        _ => GlueError::Invalid(words),
    }
}

impl Predicate {
    /// Reads an expression over partition keys.
    pub fn parse(expression: &str, keys: &[ColumnBody]) -> Result<Self, GlueError> {
        let named: Vec<Key<'_>> =
            keys.iter().map(|key| (key.name.as_str(), key.kind.as_deref().unwrap_or("string"))).collect();
        predicate::Predicate::parse(expression, &named).map(Self).map_err(wrong)
    }

    /// Whether it holds for a partition with these values.
    pub fn holds(&self, values: &[String]) -> Result<bool, GlueError> {
        self.0.holds(values).map_err(wrong)
    }

    /// The runs of rows that have all partitions which it holds for.
    pub fn spans(&self) -> Vec<Span> {
        self.0.spans()
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
            proptest::prop_assert_eq!(read.spans(), vec![Span { values: vec![value], ..Span::default() }]);
            let _ = Predicate::parse(&text, &keys());
            let _ = Predicate::parse(&format!("region = {text}"), &keys());
        }
    }

    #[test]
    fn a_partition_whose_value_is_none_of_its_key() {
        let read = Predicate::parse("year = 2024", &keys()).unwrap();
        let values = ["eu", "last", "1"].map(str::to_owned);
        assert!(matches!(read.holds(&values), Err(GlueError::State(_))));
    }
}
