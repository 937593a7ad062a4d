//! The parameters that were there before expressions: `Expected`, `QueryFilter`, `ScanFilter`, `KeyConditions`,
//! `AttributeUpdates`, `AttributesToGet` ("Legacy conditional parameters" in DynamoDB's developer guide). They become the same
//! types as expressions.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::condition::{Comparator, Condition, Operand, order};
use super::key_condition::{KeyCondition, KeyTest};
use super::path::Path;
use super::projection::Projection;
use super::update::{SetValue, Source, Update};
use crate::{Kind, Value};

/// `ComparisonOperator`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// Equal.
    Eq,
    /// Not equal, or not there.
    Ne,
    /// Less or equal.
    Le,
    /// Less.
    Lt,
    /// Greater or equal.
    Ge,
    /// Greater.
    Gt,
    /// There.
    NotNull,
    /// Not there.
    Null,
    /// A part of a text, a member of a set or a list.
    Contains,
    /// There, and none of these.
    NotContains,
    /// The beginning of a text or of bytes.
    BeginsWith,
    /// One of several.
    In,
    /// From one to another.
    Between,
}

impl Comparison {
    /// Every comparison.
    pub const ALL: [Comparison; 13] = [
        Comparison::Eq,
        Comparison::Ne,
        Comparison::Le,
        Comparison::Lt,
        Comparison::Ge,
        Comparison::Gt,
        Comparison::NotNull,
        Comparison::Null,
        Comparison::Contains,
        Comparison::NotContains,
        Comparison::BeginsWith,
        Comparison::In,
        Comparison::Between,
    ];

    /// Its name in the API.
    pub fn name(self) -> &'static str {
        match self {
            Comparison::Eq => "EQ",
            Comparison::Ne => "NE",
            Comparison::Le => "LE",
            Comparison::Lt => "LT",
            Comparison::Ge => "GE",
            Comparison::Gt => "GT",
            Comparison::NotNull => "NOT_NULL",
            Comparison::Null => "NULL",
            Comparison::Contains => "CONTAINS",
            Comparison::NotContains => "NOT_CONTAINS",
            Comparison::BeginsWith => "BEGINS_WITH",
            Comparison::In => "IN",
            Comparison::Between => "BETWEEN",
        }
    }

    /// The comparison of that name.
    pub fn from_name(name: &str) -> Option<Comparison> {
        Comparison::ALL.into_iter().find(|comparison| comparison.name() == name)
    }

    fn takes(self, count: usize) -> bool {
        match self {
            Comparison::NotNull | Comparison::Null => count == 0,
            Comparison::In => count >= 1,
            Comparison::Between => count == 2,
            _ => count == 1,
        }
    }

    fn allows(self, kind: Kind) -> bool {
        match self {
            Comparison::Eq | Comparison::Ne | Comparison::NotNull | Comparison::Null => true,
            Comparison::BeginsWith => matches!(kind, Kind::S | Kind::B),
            Comparison::Contains | Comparison::NotContains => {
                matches!(kind, Kind::S | Kind::N | Kind::B | Kind::Bool | Kind::Null)
            }
            _ => matches!(kind, Kind::S | Kind::N | Kind::B),
        }
    }
}

/// `Condition`: of `QueryFilter`, `ScanFilter` or `KeyConditions`.
#[derive(Debug, Clone, PartialEq)]
pub struct Test {
    /// `ComparisonOperator`
    pub comparison: Comparison,
    /// `AttributeValueList`
    pub values: Vec<Value>,
}

/// `ExpectedAttributeValue`
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Expectation {
    /// `Value`
    pub value: Option<Value>,
    /// `Exists`
    pub exists: Option<bool>,
    /// `ComparisonOperator`
    pub comparison: Option<Comparison>,
    /// `AttributeValueList`
    pub values: Option<Vec<Value>>,
}

/// `Action`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Action {
    /// Sets the attribute.
    #[default]
    Put,
    /// Adds to a number, a set or a list.
    Add,
    /// Takes members from a set, or the attribute away.
    Delete,
}

/// `AttributeValueUpdate`
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AttributeUpdate {
    /// `Action`
    pub action: Action,
    /// `Value`
    pub value: Option<Value>,
}

/// `ConditionalOperator`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConditionalOperator {
    /// All have to hold, which is also what none says.
    And,
    /// One has to hold.
    Or,
}

/// Why such parameters are refused, in AWS's words (all are `ValidationException`s).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LegacyError {
    /// Beside an expression.
    #[error(
        "Can not use both expression and non-expression parameters in the same request: Non-expression parameters: {{{0}}} Expression parameters: {{{1}}}"
    )]
    Mixed(String, String),
    /// Names, and no expression to use them.
    #[error("ExpressionAttributeNames can only be specified when using expressions")]
    NamesAlone,
    /// Values, and no expression to use them.
    #[error("ExpressionAttributeValues can only be specified when using expressions: {0} null")]
    ValuesAlone(String),
    /// `ConditionalOperator` and nothing to join.
    #[error("ConditionalOperator cannot be used without Filter or Expected")]
    OperatorAlone,
    /// `ConditionalOperator` and one condition.
    #[error("ConditionalOperator can only be used when Filter or Expected has two or more elements")]
    OperatorOfOne,
    /// Too many or too few values.
    #[error("One or more parameter values were invalid: Invalid number of argument(s) for the {0} ComparisonOperator")]
    Count(&'static str),
    /// Values of several types.
    #[error(
        "One or more parameter values were invalid: AttributeValues inside AttributeValueList must be of same type"
    )]
    SeveralTypes,
    /// Values of a type that cannot be compared so.
    #[error(
        "One or more parameter values were invalid: ComparisonOperator {0} is not valid for {1} AttributeValue type"
    )]
    Type(&'static str, Kind),
    /// `BETWEEN` bounds the wrong way about.
    #[error("The BETWEEN condition was provided a range where the lower bound is greater than the upper bound")]
    Bounds,
    /// `Value` and `AttributeValueList`.
    #[error(
        "One or more parameter values were invalid: Value and AttributeValueList cannot be used together for Attribute: {0}"
    )]
    ValueAndValues(String),
    /// `Exists` and `ComparisonOperator`.
    #[error(
        "One or more parameter values were invalid: Exists and ComparisonOperator cannot be used together for Attribute: {0}"
    )]
    ExistsAndComparison(String),
    /// A comparison with nothing.
    #[error(
        "One or more parameter values were invalid: Value or AttributeValueList must be used with ComparisonOperator: {0} for Attribute: {1}"
    )]
    NoValue(&'static str, String),
    /// `AttributeValueList` alone.
    #[error(
        "One or more parameter values were invalid: AttributeValueList can only be used with a ComparisonOperator for Attribute: {0}"
    )]
    ValuesWithoutComparison(String),
    /// `Exists` and no value.
    #[error("One or more parameter values were invalid: Value must be provided when Exists is {0} for Attribute: {1}")]
    ExistsWithoutValue(&'static str, String),
    /// A value for what must not be there.
    #[error("One or more parameter values were invalid: Value cannot be used when Exists is false for Attribute: {0}")]
    ValueOfMissing(String),
    /// No value, and not to be deleted.
    #[error(
        "One or more parameter values were invalid: Only DELETE action is allowed when no attribute value is specified"
    )]
    ActionWithoutValue,
    /// What cannot be added or deleted.
    #[error("One or more parameter values were invalid: {0} is not supported for the type {1}")]
    Action(&'static str, Kind),
    /// An attribute that is asked for twice.
    #[error("One or more parameter values were invalid: Duplicate value in attribute name: {0}")]
    RepeatedAttribute(String),
    /// Not one or two key conditions.
    #[error("Conditions can be of length 1 or 2 only")]
    KeyCount,
}

/// Are there not both kinds of parameters? Each of the names of those that are there, in the order in which AWS lists them:
/// `AttributesToGet`, `AttributeUpdates`, `QueryFilter`, `ScanFilter`, `Expected`, `ConditionalOperator`, `KeyConditions`;
/// `ProjectionExpression`, `UpdateExpression`, `FilterExpression`, `ConditionExpression`, `KeyConditionExpression`.
/// `KeyConditions` count only beside `KeyConditionExpression`.
pub fn check_mixed(legacy: &[&str], expressions: &[&str]) -> Result<(), LegacyError> {
    let counts = |name: &&&str| **name != "KeyConditions" || expressions.contains(&"KeyConditionExpression");
    let legacy: Vec<&str> = legacy.iter().filter(counts).copied().collect();
    if legacy.is_empty() || expressions.is_empty() {
        return Ok(());
    }
    Err(LegacyError::Mixed(legacy.join(", "), expressions.join(", ")))
}

/// Are there expressions for the placeholders? `takes_values`: the names of the parameters of the operation whose expressions can
/// use values, in AWS's order; `any` and `any_value`: is any expression there, and one of those?
pub fn check_placeholders(
    names: bool,
    values: bool,
    takes_values: &[&str],
    any: bool,
    any_value: bool,
) -> Result<(), LegacyError> {
    if names && !any {
        return Err(LegacyError::NamesAlone);
    }
    if values && !any_value && !takes_values.is_empty() {
        let verb = if takes_values.len() > 1 { "are" } else { "is" };
        return Err(LegacyError::ValuesAlone(format!("{} {verb}", takes_values.join(" and "))));
    }
    Ok(())
}

/// Is there something that `ConditionalOperator` joins?
pub fn check_operator(operator: Option<ConditionalOperator>, conditions: usize) -> Result<(), LegacyError> {
    match (operator, conditions) {
        (None, _) => Ok(()),
        (Some(_), 0) => Err(LegacyError::OperatorAlone),
        (Some(_), 1) => Err(LegacyError::OperatorOfOne),
        (Some(_), _) => Ok(()),
    }
}

/// The condition of `QueryFilter` or `ScanFilter`.
pub fn filter(tests: BTreeMap<String, Test>, operator: Option<ConditionalOperator>) -> Result<Condition, LegacyError> {
    check_operator(operator, tests.len())?;
    let conditions = tests.into_iter().map(|(name, test)| {
        check_test(&test)?;
        Ok(condition(name, test))
    });
    Ok(join(conditions.collect::<Result<Vec<_>, LegacyError>>()?, operator))
}

/// The condition of `Expected`.
pub fn expected(
    expectations: BTreeMap<String, Expectation>,
    operator: Option<ConditionalOperator>,
) -> Result<Condition, LegacyError> {
    check_operator(operator, expectations.len())?;
    let conditions = expectations.into_iter().map(|(name, expectation)| expect(name, expectation));
    Ok(join(conditions.collect::<Result<Vec<_>, LegacyError>>()?, operator))
}

/// The key condition of `KeyConditions`.
pub fn key_conditions(tests: BTreeMap<String, Test>) -> Result<KeyCondition, LegacyError> {
    tests.values().try_for_each(check_test)?;
    if !(1..=2).contains(&tests.len()) {
        return Err(LegacyError::KeyCount);
    }
    Ok(KeyCondition { tests: tests.into_iter().map(|(name, test)| (name, key_test(test))).collect() })
}

/// The update of `AttributeUpdates`.
pub fn updates(updates: BTreeMap<String, AttributeUpdate>) -> Result<Update, LegacyError> {
    let mut made = Update { legacy: true, ..Update::default() };
    for (name, update) in updates {
        let path = Path::attribute(name);
        match (update.action, update.value.map(Arc::new)) {
            (Action::Delete, None) => made.removes.push(path),
            (_, None) => return Err(LegacyError::ActionWithoutValue),
            (Action::Put, Some(value)) => made.sets.push((path, SetValue::Source(Source::Value(value)))),
            (Action::Add, Some(value)) => match value.kind() {
                Kind::N | Kind::Ss | Kind::Ns | Kind::Bs | Kind::L => made.adds.push((path, value)),
                other => return Err(LegacyError::Action("ADD action", other)),
            },
            (Action::Delete, Some(value)) => match value.kind() {
                Kind::Ss | Kind::Ns | Kind::Bs => made.deletes.push((path, value)),
                other => return Err(LegacyError::Action("DELETE action with value", other)),
            },
        }
    }
    Ok(made)
}

/// The projection of `AttributesToGet`.
pub fn attributes_to_get(names: Vec<String>) -> Result<Projection, LegacyError> {
    let mut seen = BTreeSet::new();
    if let Some(repeated) = names.iter().find(|name| !seen.insert(name.as_str())) {
        return Err(LegacyError::RepeatedAttribute(repeated.clone()));
    }
    Ok(Projection::of_attributes(names))
}

fn join(conditions: Vec<Condition>, operator: Option<ConditionalOperator>) -> Condition {
    match operator {
        Some(ConditionalOperator::Or) => Condition::Any(conditions),
        Some(ConditionalOperator::And) | None => Condition::All(conditions),
    }
}

fn check_test(test: &Test) -> Result<(), LegacyError> {
    let name = test.comparison.name();
    if !test.comparison.takes(test.values.len()) {
        return Err(LegacyError::Count(name));
    }
    let Some(first) = test.values.first() else {
        return Ok(());
    };
    if test.values.iter().any(|value| value.kind() != first.kind()) {
        return Err(LegacyError::SeveralTypes);
    }
    if !test.comparison.allows(first.kind()) {
        return Err(LegacyError::Type(name, first.kind()));
    }
    if let (Comparison::Between, [low, high]) = (test.comparison, test.values.as_slice())
        && order(low, high).is_some_and(|order| order.is_gt())
    {
        return Err(LegacyError::Bounds);
    }
    Ok(())
}

/// Of a test that is in order.
fn condition(name: String, test: Test) -> Condition {
    let path = Path::attribute(name);
    let attribute = Operand::Path(path.clone());
    let mut values = test.values.into_iter().map(|value| Operand::Value(Arc::new(value)));
    let compare = match test.comparison {
        Comparison::NotNull => return Condition::Exists(path),
        Comparison::Null => return Condition::Missing(path),
        Comparison::In => return Condition::In(attribute, values.collect()),
        Comparison::Between => {
            return match (values.next(), values.next()) {
                (Some(low), Some(high)) => Condition::Between(attribute, low, high),
                // Two were counted.
                _ => Condition::Any(Vec::new()),
            };
        }
        Comparison::Contains | Comparison::NotContains | Comparison::BeginsWith => None,
        Comparison::Eq => Some(Comparator::Eq),
        Comparison::Ne => Some(Comparator::Ne),
        Comparison::Le => Some(Comparator::Le),
        Comparison::Lt => Some(Comparator::Lt),
        Comparison::Ge => Some(Comparator::Ge),
        Comparison::Gt => Some(Comparator::Gt),
    };
    let Some(value) = values.next() else {
        // One was counted.
        return Condition::Any(Vec::new());
    };
    match (compare, test.comparison) {
        (Some(comparator), _) => Condition::Compare(comparator, attribute, value),
        (None, Comparison::BeginsWith) => Condition::BeginsWith(attribute, value),
        (None, Comparison::NotContains) => Condition::All(vec![
            Condition::Exists(path),
            Condition::Not(Box::new(Condition::Contains(attribute, value))),
        ]),
        (None, _) => Condition::Contains(attribute, value),
    }
}

fn expect(name: String, expectation: Expectation) -> Result<Condition, LegacyError> {
    let Expectation { value, exists, comparison, values } = expectation;
    if value.is_some() && values.is_some() {
        return Err(LegacyError::ValueAndValues(name));
    }
    if let Some(comparison) = comparison {
        if exists.is_some() {
            return Err(LegacyError::ExistsAndComparison(name));
        }
        let wants_none = matches!(comparison, Comparison::Null | Comparison::NotNull);
        if !wants_none && value.is_none() && values.is_none() {
            return Err(LegacyError::NoValue(comparison.name(), name));
        }
        let values = values.unwrap_or_else(|| value.into_iter().collect());
        let test = Test { comparison, values };
        check_test(&test)?;
        return Ok(condition(name, test));
    }
    if values.is_some() {
        return Err(LegacyError::ValuesWithoutComparison(name));
    }
    match (exists, value) {
        (Some(false), None) => Ok(Condition::Missing(Path::attribute(name))),
        (Some(false), Some(_)) => Err(LegacyError::ValueOfMissing(name)),
        (None, None) => Err(LegacyError::ExistsWithoutValue("null", name)),
        (Some(true), None) => Err(LegacyError::ExistsWithoutValue("true", name)),
        (_, Some(value)) => Ok(condition(name, Test { comparison: Comparison::Eq, values: vec![value] })),
    }
}

fn key_test(test: Test) -> KeyTest {
    let mut values = test.values.into_iter().map(Arc::new);
    match (test.comparison, values.next(), values.next()) {
        (Comparison::Eq, Some(value), None) => KeyTest::Eq(value),
        (Comparison::Le, Some(value), None) => KeyTest::Le(value),
        (Comparison::Lt, Some(value), None) => KeyTest::Lt(value),
        (Comparison::Ge, Some(value), None) => KeyTest::Ge(value),
        (Comparison::Gt, Some(value), None) => KeyTest::Gt(value),
        (Comparison::BeginsWith, Some(value), None) => KeyTest::BeginsWith(value),
        (Comparison::Between, Some(low), Some(high)) => KeyTest::Between(low, high),
        _ => KeyTest::Unsupported,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Item;
    use crate::expression::UpdateError;

    fn value(json: &str) -> Value {
        Value::from_json(json.as_bytes()).unwrap()
    }

    fn values(json: &[&str]) -> Vec<Value> {
        json.iter().map(|json| value(json)).collect()
    }

    fn one<T>(entry: T) -> BTreeMap<String, T> {
        BTreeMap::from([("a".to_owned(), entry)])
    }

    #[test]
    fn what_holds() {
        let item = Item::from_json(br#"{"a": {"N": "5"}, "b": {"S": "hello"}, "c": {"SS": ["x", "y"]}}"#).unwrap();
        let cases: [(&str, &str, &[&str], bool); 22] = [
            ("a", "EQ", &[r#"{"N": "5.0"}"#], true),
            ("a", "EQ", &[r#"{"S": "5"}"#], false),
            ("c", "EQ", &[r#"{"SS": ["y", "x"]}"#], true),
            ("a", "NE", &[r#"{"N": "6"}"#], true),
            ("gone", "NE", &[r#"{"N": "6"}"#], true),
            ("a", "LT", &[r#"{"N": "6"}"#], true),
            ("a", "LE", &[r#"{"N": "5"}"#], true),
            ("a", "GE", &[r#"{"N": "6"}"#], false),
            ("a", "GT", &[r#"{"S": "4"}"#], false),
            ("a", "NOT_NULL", &[], true),
            ("gone", "NOT_NULL", &[], false),
            ("gone", "NULL", &[], true),
            ("b", "CONTAINS", &[r#"{"S": "ell"}"#], true),
            ("c", "CONTAINS", &[r#"{"S": "x"}"#], true),
            ("c", "NOT_CONTAINS", &[r#"{"S": "z"}"#], true),
            ("c", "NOT_CONTAINS", &[r#"{"S": "x"}"#], false),
            ("gone", "NOT_CONTAINS", &[r#"{"S": "x"}"#], false),
            ("b", "BEGINS_WITH", &[r#"{"S": "he"}"#], true),
            ("a", "IN", &[r#"{"N": "4"}"#, r#"{"N": "5"}"#], true),
            ("gone", "IN", &[r#"{"N": "4"}"#], false),
            ("a", "BETWEEN", &[r#"{"N": "4"}"#, r#"{"N": "5"}"#], true),
            ("a", "BETWEEN", &[r#"{"N": "6"}"#, r#"{"N": "7"}"#], false),
        ];
        for (name, comparison, list, expected) in cases {
            let test = Test { comparison: Comparison::from_name(comparison).unwrap(), values: values(list) };
            let condition = filter(BTreeMap::from([(name.to_owned(), test.clone())]), None).unwrap();
            assert_eq!(condition.holds(&item), expected, "{name} {comparison} {list:?}");
            let expectation =
                Expectation { comparison: Some(test.comparison), values: Some(test.values), ..Expectation::default() };
            let condition = expected_one(name, expectation).unwrap();
            assert_eq!(condition.holds(&item), expected, "{name} {comparison} {list:?}");
        }
        let test = |n: i64| Test { comparison: Comparison::Eq, values: vec![Value::from(n)] };
        let both = || BTreeMap::from([("a".to_owned(), test(5)), ("b".to_owned(), test(5))]);
        assert!(!filter(both(), None).unwrap().holds(&item));
        assert!(!filter(both(), Some(ConditionalOperator::And)).unwrap().holds(&item));
        assert!(filter(both(), Some(ConditionalOperator::Or)).unwrap().holds(&item));
        let exists =
            |exists, value| expected_one("a", Expectation { exists, value, ..Expectation::default() }).unwrap();
        assert!(exists(None, Some(Value::from(5))).holds(&item));
        assert!(exists(Some(true), Some(Value::from(5))).holds(&item));
        assert!(!exists(Some(false), None).holds(&item));
    }

    fn expected_one(name: &str, expectation: Expectation) -> Result<Condition, LegacyError> {
        expected(BTreeMap::from([(name.to_owned(), expectation)]), None)
    }

    #[test]
    fn tests_that_make_no_sense() {
        let cases: [(&str, &[&str], &str); 8] = [
            (
                "EQ",
                &[],
                "One or more parameter values were invalid: Invalid number of argument(s) for the EQ ComparisonOperator",
            ),
            (
                "NULL",
                &[r#"{"S": "a"}"#],
                "One or more parameter values were invalid: Invalid number of argument(s) for the NULL ComparisonOperator",
            ),
            (
                "BETWEEN",
                &[r#"{"S": "a"}"#],
                "One or more parameter values were invalid: Invalid number of argument(s) for the BETWEEN ComparisonOperator",
            ),
            (
                "IN",
                &[r#"{"S": "a"}"#, r#"{"N": "1"}"#],
                "One or more parameter values were invalid: AttributeValues inside AttributeValueList must be of same type",
            ),
            (
                "LT",
                &[r#"{"BOOL": true}"#],
                "One or more parameter values were invalid: ComparisonOperator LT is not valid for BOOL AttributeValue type",
            ),
            (
                "BEGINS_WITH",
                &[r#"{"N": "1"}"#],
                "One or more parameter values were invalid: ComparisonOperator BEGINS_WITH is not valid for N AttributeValue type",
            ),
            (
                "NOT_CONTAINS",
                &[r#"{"L": []}"#],
                "One or more parameter values were invalid: ComparisonOperator NOT_CONTAINS is not valid for L AttributeValue type",
            ),
            (
                "BETWEEN",
                &[r#"{"N": "2"}"#, r#"{"N": "1"}"#],
                "The BETWEEN condition was provided a range where the lower bound is greater than the upper bound",
            ),
        ];
        for (comparison, list, expected) in cases {
            let test = Test { comparison: Comparison::from_name(comparison).unwrap(), values: values(list) };
            assert_eq!(filter(one(test), None).unwrap_err().to_string(), expected);
        }
        let eq = Some(Comparison::Eq);
        let (some, list) = (|| Some(Value::from(1)), || Some(vec![Value::from(1)]));
        let cases = [
            (some(), None, None, list(), "Value and AttributeValueList cannot be used together for Attribute: a"),
            (some(), Some(true), eq, None, "Exists and ComparisonOperator cannot be used together for Attribute: a"),
            (
                None,
                None,
                eq,
                None,
                "Value or AttributeValueList must be used with ComparisonOperator: EQ for Attribute: a",
            ),
            (
                None,
                None,
                None,
                list(),
                "AttributeValueList can only be used with a ComparisonOperator for Attribute: a",
            ),
            (None, None, None, None, "Value must be provided when Exists is null for Attribute: a"),
            (None, Some(true), None, None, "Value must be provided when Exists is true for Attribute: a"),
            (some(), Some(false), None, None, "Value cannot be used when Exists is false for Attribute: a"),
        ];
        for (value, exists, comparison, values, expected) in cases {
            let error = expected_one("a", Expectation { value, exists, comparison, values }).unwrap_err();
            assert_eq!(error.to_string(), format!("One or more parameter values were invalid: {expected}"));
        }
        let alone = filter(BTreeMap::new(), Some(ConditionalOperator::Or)).unwrap_err();
        assert_eq!(alone.to_string(), "ConditionalOperator cannot be used without Filter or Expected");
        let one = filter(one(Test { comparison: Comparison::Null, values: vec![] }), Some(ConditionalOperator::And));
        let expected = "ConditionalOperator can only be used when Filter or Expected has two or more elements";
        assert_eq!(one.unwrap_err().to_string(), expected);
    }

    #[test]
    fn what_updates_change() {
        let before = r#"{"k":{"S":"x"},"l":{"L":[{"N":"1"}]},"n":{"N":"5"},"s":{"SS":["a","b"]}}"#;
        let cases = [
            (
                "k",
                Action::Put,
                Some(r#"{"N": "1"}"#),
                r#"{"k":{"N":"1"},"l":{"L":[{"N":"1"}]},"n":{"N":"5"},"s":{"SS":["a","b"]}}"#,
            ),
            ("k", Action::Delete, None, r#"{"l":{"L":[{"N":"1"}]},"n":{"N":"5"},"s":{"SS":["a","b"]}}"#),
            ("gone", Action::Delete, None, before),
            (
                "n",
                Action::Add,
                Some(r#"{"N": "-2"}"#),
                r#"{"k":{"S":"x"},"l":{"L":[{"N":"1"}]},"n":{"N":"3"},"s":{"SS":["a","b"]}}"#,
            ),
            (
                "l",
                Action::Add,
                Some(r#"{"L": [{"N": "2"}]}"#),
                r#"{"k":{"S":"x"},"l":{"L":[{"N":"1"},{"N":"2"}]},"n":{"N":"5"},"s":{"SS":["a","b"]}}"#,
            ),
            (
                "s",
                Action::Add,
                Some(r#"{"SS": ["c"]}"#),
                r#"{"k":{"S":"x"},"l":{"L":[{"N":"1"}]},"n":{"N":"5"},"s":{"SS":["a","b","c"]}}"#,
            ),
            (
                "s",
                Action::Delete,
                Some(r#"{"SS": ["c", "a"]}"#),
                r#"{"k":{"S":"x"},"l":{"L":[{"N":"1"}]},"n":{"N":"5"},"s":{"SS":["b"]}}"#,
            ),
            (
                "s",
                Action::Delete,
                Some(r#"{"SS": ["b", "a"]}"#),
                r#"{"k":{"S":"x"},"l":{"L":[{"N":"1"}]},"n":{"N":"5"}}"#,
            ),
        ];
        for (name, action, given, expected) in cases {
            let update = AttributeUpdate { action, value: given.map(value) };
            let mut item = Item::from_json(before.as_bytes()).unwrap();
            updates(BTreeMap::from([(name.to_owned(), update)])).unwrap().apply(&mut item).unwrap();
            assert_eq!(item.to_json(), expected, "{name} {action:?}");
        }
        let mut item = Item::from_json(before.as_bytes()).unwrap();
        let wrong = AttributeUpdate { action: Action::Add, value: Some(Value::from(1)) };
        let error = updates(BTreeMap::from([("s".to_owned(), wrong)])).unwrap().apply(&mut item).unwrap_err();
        assert_eq!(error, UpdateError::LegacyType);
        let cases = [
            (Action::Put, None, "Only DELETE action is allowed when no attribute value is specified"),
            (Action::Add, Some(Value::from("x")), "ADD action is not supported for the type S"),
            (Action::Delete, Some(Value::from(1)), "DELETE action with value is not supported for the type N"),
        ];
        for (action, value, expected) in cases {
            let error = updates(one(AttributeUpdate { action, value })).unwrap_err();
            assert_eq!(error.to_string(), format!("One or more parameter values were invalid: {expected}"));
        }
    }

    #[test]
    fn mixtures() {
        let cases: [(&[&str], &[&str], Option<&str>); 5] = [
            (
                &["AttributeUpdates"],
                &["UpdateExpression"],
                Some("{AttributeUpdates} Expression parameters: {UpdateExpression}"),
            ),
            (
                &["Expected", "ConditionalOperator"],
                &["ConditionExpression"],
                Some("{Expected, ConditionalOperator} Expression parameters: {ConditionExpression}"),
            ),
            (&["KeyConditions"], &["FilterExpression"], None),
            (
                &["KeyConditions"],
                &["KeyConditionExpression"],
                Some("{KeyConditions} Expression parameters: {KeyConditionExpression}"),
            ),
            (&["Expected"], &[], None),
        ];
        for (legacy, expressions, expected) in cases {
            let expected = expected.map(|rest| format!("Can not use both expression and non-expression parameters in the same request: Non-expression parameters: {rest}"));
            assert_eq!(check_mixed(legacy, expressions).err().map(|error| error.to_string()), expected);
        }
        let error = |checked: Result<(), LegacyError>| checked.unwrap_err().to_string();
        assert_eq!(
            error(check_placeholders(true, false, &[], false, false)),
            "ExpressionAttributeNames can only be specified when using expressions"
        );
        let expected = "ExpressionAttributeValues can only be specified when using expressions: UpdateExpression and ConditionExpression are null";
        assert_eq!(
            error(check_placeholders(false, true, &["UpdateExpression", "ConditionExpression"], false, false)),
            expected
        );
        let expected =
            "ExpressionAttributeValues can only be specified when using expressions: FilterExpression is null";
        assert_eq!(error(check_placeholders(false, true, &["FilterExpression"], true, false)), expected);
        assert_eq!(check_placeholders(true, true, &["FilterExpression"], true, true), Ok(()));
        let names = |names: &[&str]| attributes_to_get(names.iter().map(|name| (*name).to_owned()).collect());
        assert_eq!(
            error(names(&["a", "b", "a"]).map(drop)),
            "One or more parameter values were invalid: Duplicate value in attribute name: a"
        );
        assert_eq!(names(&["a", "b"]).unwrap().attributes().collect::<Vec<_>>(), ["a", "b"]);
    }

    #[test]
    fn key_conditions_of_old() {
        let eq = |n: i64| Test { comparison: Comparison::Eq, values: vec![Value::from(n)] };
        let between = Test { comparison: Comparison::Between, values: vec![Value::from(1), Value::from(2)] };
        let contains = Test { comparison: Comparison::Contains, values: vec![Value::from(1)] };
        let query = |sort: Test| {
            let tests = BTreeMap::from([("pk".to_owned(), eq(1)), ("sk".to_owned(), sort)]);
            key_conditions(tests).unwrap().for_keys(("pk", Kind::N), Some(("sk", Kind::N)))
        };
        let (low, high) = (Arc::new(Value::from(1)), Arc::new(Value::from(2)));
        assert_eq!(query(between).unwrap().sort, Some(KeyTest::Between(low, high)));
        let expected = "Attempted conditional constraint is not an indexable operation";
        assert_eq!(query(contains).unwrap_err().to_string(), expected);
        assert_eq!(key_conditions(BTreeMap::new()).unwrap_err().to_string(), "Conditions can be of length 1 or 2 only");
    }
}
