//! Conditions of queries: which partition, and which of its keys.

use std::ops::Bound;
use std::sync::Arc;

use super::condition::{Comparator, Condition, Operand, order};
use super::error::Problem;
use crate::key::{self, KeyError, KeyRange};
use crate::{Kind, Value};

/// What is asked of a key.
#[derive(Debug, Clone, PartialEq)]
pub enum KeyTest {
    /// `=`
    Eq(Arc<Value>),
    /// `<`
    Lt(Arc<Value>),
    /// `<=`
    Le(Arc<Value>),
    /// `>`
    Gt(Arc<Value>),
    /// `>=`
    Ge(Arc<Value>),
    /// `BETWEEN`
    Between(Arc<Value>, Arc<Value>),
    /// `begins_with`
    BeginsWith(Arc<Value>),
    /// A comparison of `KeyConditions` that no key can be found by.
    Unsupported,
}

impl KeyTest {
    /// The range of keys that it holds for; empty when the bounds of `BETWEEN` are the wrong way about.
    pub fn range(&self) -> Result<KeyRange, KeyError> {
        match self {
            KeyTest::Eq(value) => KeyRange::between(Bound::Included(value), Bound::Included(value)),
            KeyTest::Lt(value) => KeyRange::between(Bound::Unbounded, Bound::Excluded(value)),
            KeyTest::Le(value) => KeyRange::between(Bound::Unbounded, Bound::Included(value)),
            KeyTest::Gt(value) => KeyRange::between(Bound::Excluded(value), Bound::Unbounded),
            KeyTest::Ge(value) => KeyRange::between(Bound::Included(value), Bound::Unbounded),
            KeyTest::Between(low, high) => KeyRange::between(Bound::Included(low), Bound::Included(high)),
            KeyTest::BeginsWith(prefix) => KeyRange::beginning_with(prefix),
            KeyTest::Unsupported => Ok(KeyRange { start: Vec::new(), end: Some(Vec::new()) }),
        }
    }

    /// Does it hold for a key?
    pub fn holds(&self, key: &Value) -> bool {
        let compared = |value: &Value| order(key, value);
        match self {
            KeyTest::Eq(value) => key == &**value,
            KeyTest::Lt(value) => compared(value).is_some_and(|order| order.is_lt()),
            KeyTest::Le(value) => compared(value).is_some_and(|order| order.is_le()),
            KeyTest::Gt(value) => compared(value).is_some_and(|order| order.is_gt()),
            KeyTest::Ge(value) => compared(value).is_some_and(|order| order.is_ge()),
            KeyTest::Between(low, high) => {
                compared(low).is_some_and(|order| order.is_ge()) && compared(high).is_some_and(|order| order.is_le())
            }
            KeyTest::BeginsWith(prefix) => match (key, &**prefix) {
                (Value::S(text), Value::S(prefix)) => text.starts_with(prefix.as_str()),
                (Value::B(bytes), Value::B(prefix)) => bytes.starts_with(prefix),
                _ => false,
            },
            KeyTest::Unsupported => false,
        }
    }

    fn values(&self) -> Vec<&Value> {
        match self {
            KeyTest::Eq(value)
            | KeyTest::Lt(value)
            | KeyTest::Le(value)
            | KeyTest::Gt(value)
            | KeyTest::Ge(value)
            | KeyTest::BeginsWith(value) => vec![value],
            KeyTest::Between(low, high) => vec![low, high],
            KeyTest::Unsupported => Vec::new(),
        }
    }
}

/// A `KeyConditionExpression`: an attribute and what is asked of it, each attribute once.
#[derive(Debug, Clone, PartialEq)]
pub struct KeyCondition {
    pub(super) tests: Vec<(String, KeyTest)>,
}

/// What a query asks of a table or an index.
#[derive(Debug, Clone, PartialEq)]
pub struct KeyQuery {
    /// The partition key.
    pub hash: Arc<Value>,
    /// What is asked of the sort key.
    pub sort: Option<KeyTest>,
}

/// Why a key condition is none for a table or an index. All are AWS's `ValidationException`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyConditionError {
    /// More conditions than there are keys.
    #[error(
        "The number of query conditions ({given}) exceeds the number of key attributes defined in the schema ({keys})"
    )]
    TooMany {
        /// How many conditions.
        given: usize,
        /// How many keys.
        keys: usize,
    },
    /// A key that there is no condition for.
    #[error("Query condition missed key schema element: {0}")]
    Missed(String),
    /// The partition key with another comparison than `=`.
    #[error("Query key condition not supported")]
    NotSupported,
    /// A comparison of `KeyConditions` that no key can be found by.
    #[error("Attempted conditional constraint is not an indexable operation")]
    NotIndexable,
    /// A value of another type than the key.
    #[error("One or more parameter values were invalid: Condition parameter type does not match schema type")]
    Type,
    /// A value that cannot be a key; the name of the key.
    #[error("{0} Key: {1}")]
    Empty(KeyError, String),
    /// A value that is too long for a key.
    #[error(transparent)]
    Key(KeyError),
}

impl KeyCondition {
    /// Of conditions joined with `AND`.
    pub(super) fn from_condition(condition: Condition) -> Result<KeyCondition, Problem> {
        let mut key = KeyCondition { tests: Vec::new() };
        key.take(condition)?;
        Ok(key)
    }

    fn take(&mut self, condition: Condition) -> Result<(), Problem> {
        let operator = |name: &str| Err(Problem::KeyOperator(name.to_owned()));
        let (name, test) = match condition {
            Condition::All(conditions) => {
                return conditions.into_iter().try_for_each(|condition| self.take(condition));
            }
            Condition::Any(_) => return operator("OR"),
            Condition::Not(_) => return operator("NOT"),
            Condition::In(..) => return operator("IN"),
            Condition::Exists(_) => return operator("attribute_exists"),
            Condition::Missing(_) => return operator("attribute_not_exists"),
            Condition::HasType(..) => return operator("attribute_type"),
            Condition::Contains(..) => return operator("contains"),
            Condition::Compare(Comparator::Ne, ..) => return operator(Comparator::Ne.symbol()),
            Condition::Compare(comparator, left, right) => compare(comparator, left, right)?,
            Condition::Between(value, low, high) => {
                first_is_path("BETWEEN", &value)?;
                let (name, values) = split([value, low, high])?;
                let Ok([low, high]) = <[Arc<Value>; 2]>::try_from(values) else {
                    return Err(Problem::KeyNoName);
                };
                (name, KeyTest::Between(low, high))
            }
            Condition::BeginsWith(value, prefix) => {
                first_is_path("begins_with", &value)?;
                let (name, values) = split([value, prefix])?;
                let prefix = values.into_iter().next().ok_or(Problem::KeyNoName)?;
                (name, KeyTest::BeginsWith(prefix))
            }
        };
        if self.tests.iter().any(|(known, _)| *known == name) {
            return Err(Problem::KeyRepeated);
        }
        self.tests.push((name, test));
        Ok(())
    }

    /// What it asks of a table or an index with these keys and types.
    pub fn for_keys(&self, hash: (&str, Kind), sort: Option<(&str, Kind)>) -> Result<KeyQuery, KeyConditionError> {
        let keys = 1 + usize::from(sort.is_some());
        if self.tests.len() > keys {
            return Err(KeyConditionError::TooMany { given: self.tests.len(), keys });
        }
        let find = |wanted: &str| self.tests.iter().find(|(name, _)| name == wanted).map(|(_, test)| test);
        let missed = |name: &str| KeyConditionError::Missed(name.to_owned());
        let KeyTest::Eq(hash_value) = find(hash.0).ok_or_else(|| missed(hash.0))? else {
            return Err(KeyConditionError::NotSupported);
        };
        check_value(hash, hash_value, key::check_partition_key)?;
        let mut sort_test = None;
        if let Some(sort) = sort.filter(|_| self.tests.len() > 1) {
            let test = find(sort.0).ok_or_else(|| missed(sort.0))?;
            if *test == KeyTest::Unsupported {
                return Err(KeyConditionError::NotIndexable);
            }
            test.values().into_iter().try_for_each(|value| check_value(sort, value, key::check_sort_key))?;
            sort_test = Some(test.clone());
        }
        Ok(KeyQuery { hash: hash_value.clone(), sort: sort_test })
    }

    /// The attributes it names.
    pub fn attributes(&self) -> impl Iterator<Item = &str> {
        self.tests.iter().map(|(name, _)| name.as_str())
    }
}

fn check_value(
    (name, kind): (&str, Kind),
    value: &Value,
    check: fn(&Value) -> Result<(), KeyError>,
) -> Result<(), KeyConditionError> {
    if value.kind() != kind {
        return Err(KeyConditionError::Type);
    }
    check(value).map_err(|error| match error {
        KeyError::EmptyString | KeyError::EmptyBinary => KeyConditionError::Empty(error, name.to_owned()),
        other => KeyConditionError::Key(other),
    })
}

fn compare(comparator: Comparator, left: Operand, right: Operand) -> Result<(String, KeyTest), Problem> {
    let flipped = !matches!(left, Operand::Path(_));
    let (name, values) = split([left, right])?;
    let value = values.into_iter().next().ok_or(Problem::KeyNoName)?;
    let test = match if flipped { comparator.flipped() } else { comparator } {
        Comparator::Eq => KeyTest::Eq(value),
        Comparator::Lt => KeyTest::Lt(value),
        Comparator::Le => KeyTest::Le(value),
        Comparator::Gt => KeyTest::Gt(value),
        Comparator::Ge => KeyTest::Ge(value),
        Comparator::Ne => KeyTest::Unsupported,
    };
    Ok((name, test))
}

fn first_is_path(operator: &str, operand: &Operand) -> Result<(), Problem> {
    match operand {
        Operand::Path(_) => Ok(()),
        _ => Err(Problem::KeyOperand(operator.to_owned())),
    }
}

/// The attribute among operands, and the values.
fn split(operands: impl IntoIterator<Item = Operand>) -> Result<(String, Vec<Arc<Value>>), Problem> {
    let (mut name, mut values) = (None, Vec::new());
    for operand in operands {
        match operand {
            Operand::Path(_) if name.is_some() => return Err(Problem::KeySeveralNames),
            Operand::Path(path) if !path.rest().is_empty() => return Err(Problem::KeyNestedName),
            Operand::Path(path) => name = Some(path.root().to_owned()),
            Operand::Size(_) => return Err(Problem::KeyNestedOperation),
            Operand::Value(value) => values.push(value),
        }
    }
    Ok((name.ok_or(Problem::KeyNoName)?, values))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::number::tests::any_number;

    /// Three keys of one type, near one another.
    fn three_keys() -> impl Strategy<Value = [Value; 3]> {
        let bytes = || {
            prop::collection::vec(prop::sample::select(vec![0u8, 1, b'a', 0xff]), 1..20)
                .prop_map(|v| Value::B(Bytes::from(v)))
        };
        let text = || "[\u{0}ab\u{7f}é𝄞]{1,12}".prop_map(Value::S);
        let number = || any_number().prop_map(Value::N);
        prop_oneof![[bytes(), bytes(), bytes()], [text(), text(), text()], [number(), number(), number()],]
    }

    proptest! {
        /// The range of a test has the keys for which it holds, whatever follows them in a row.
        #[test]
        fn ranges_are_tests(keys in three_keys(), follows in prop::collection::vec(any::<u8>(), 0..4), repeat in 0..3usize) {
            let [key, low, high] = keys;
            // Equal keys, and keys that begin with others, are rare by chance.
            let key = match (repeat, &key, &low) {
                (1, _, low) => low.clone(),
                (2, Value::S(end), Value::S(start)) => Value::S(format!("{start}{end}")),
                (2, Value::B(end), Value::B(start)) => Value::B([start.clone(), end.clone()].concat().into()),
                _ => key,
            };
            let row = [key::encode(&key).unwrap(), follows].concat();
            let (low, high) = (Arc::new(low), Arc::new(high));
            let mut tests = vec![
                KeyTest::Eq(low.clone()),
                KeyTest::Lt(low.clone()),
                KeyTest::Le(low.clone()),
                KeyTest::Gt(low.clone()),
                KeyTest::Ge(low.clone()),
                KeyTest::Between(low.clone(), high),
                KeyTest::Unsupported,
            ];
            if !matches!(key, Value::N(_)) {
                tests.push(KeyTest::BeginsWith(low));
            }
            for test in tests {
                prop_assert_eq!(test.range().unwrap().contains(&row), test.holds(&key), "{:?} {:?}", test, key);
            }
        }
    }
}
