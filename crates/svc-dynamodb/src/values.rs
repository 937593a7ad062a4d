//! Attribute values between the API's shapes and the ones that are stored.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use millpond_api_dynamodb::AttributeValue;
use millpond_item::{Item, Value, ValueError};
use serde_json::json;

use crate::errors::{DynamoError, invalid};

/// Attributes as the API has them.
pub(crate) type Shape = BTreeMap<String, AttributeValue>;

impl From<ValueError> for DynamoError {
    fn from(error: ValueError) -> Self {
        invalid(error.to_string())
    }
}

/// A value of a request.
pub(crate) fn value(shape: AttributeValue) -> Result<Value, ValueError> {
    let AttributeValue { s, n, b, ss, ns, bs, m, l, null, bool } = shape;
    let given = [
        s.is_some(),
        n.is_some(),
        b.is_some(),
        ss.is_some(),
        ns.is_some(),
        bs.is_some(),
        m.is_some(),
        l.is_some(),
        null.is_some(),
        bool.is_some(),
    ];
    if given.into_iter().filter(|given| *given).count() > 1 {
        return Err(ValueError::SeveralTypes);
    }
    Ok(match (s, n, b, bool, null) {
        (Some(text), ..) => Value::S(text),
        (_, Some(number), ..) => Value::number(&number)?,
        (_, _, Some(bytes), ..) => Value::B(bytes),
        (_, _, _, Some(truth), _) => Value::Bool(truth),
        (.., Some(said)) => Value::null(said)?,
        _ => match (ss, ns, bs, m, l) {
            (Some(members), ..) => Value::string_set(members)?,
            (_, Some(members), ..) => Value::number_set(&members)?,
            (_, _, Some(members), ..) => Value::binary_set(members)?,
            (_, _, _, Some(members), _) => Value::M(attributes(members)?),
            (.., Some(members)) => Value::L(members.into_iter().map(value).collect::<Result<_, _>>()?),
            _ => return Err(ValueError::Empty),
        },
    })
}

fn attributes(shape: Shape) -> Result<BTreeMap<String, Value>, ValueError> {
    shape.into_iter().map(|(name, shape)| Ok((name, value(shape)?))).collect()
}

/// An item, a key, or values by placeholders, of a request.
pub(crate) fn item(shape: Shape) -> Result<Item, DynamoError> {
    let item = Item::from(attributes(shape)?);
    item.check_depth()?;
    Ok(item)
}

/// A value for an answer.
pub(crate) fn shape_of(value: Value) -> AttributeValue {
    let mut shape = AttributeValue::default();
    match value {
        Value::S(text) => shape.s = Some(text),
        Value::N(number) => shape.n = Some(number.to_string()),
        Value::B(bytes) => shape.b = Some(bytes),
        Value::Bool(truth) => shape.bool = Some(truth),
        Value::Null => shape.null = Some(true),
        Value::L(values) => shape.l = Some(values.into_iter().map(shape_of).collect()),
        Value::M(values) => shape.m = Some(shapes(values)),
        Value::Ss(members) => shape.ss = Some(members.into_iter().collect()),
        Value::Ns(members) => shape.ns = Some(members.into_iter().map(|number| number.to_string()).collect()),
        Value::Bs(members) => shape.bs = Some(members.into_iter().collect()),
    }
    shape
}

/// An item for an answer.
pub(crate) fn shapes(item: impl IntoIterator<Item = (String, Value)>) -> Shape {
    item.into_iter().map(|(name, value)| (name, shape_of(value))).collect()
}

/// An item as an error shows it.
pub(crate) fn json_of(item: &Item) -> serde_json::Value {
    serde_json::from_str(&item.to_json()).unwrap_or_else(|_| json!({}))
}

/// A partition key as conditions of policies see it: numbers in their shortest form, bytes in base64.
pub(crate) fn leading(value: &Value) -> String {
    match value {
        Value::S(text) => text.clone(),
        Value::N(number) => number.to_string(),
        Value::B(bytes) => STANDARD.encode(bytes),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_back_as_they_were() {
        let json = r#"{"a":{"S":""},"b":{"N":"-1.5"},"c":{"B":"AQI="},"d":{"BOOL":false},"e":{"NULL":true},"f":{"L":[{"M":{"x":{"S":"y"}}}]},"g":{"SS":["a","b"]},"h":{"NS":["1","2"]},"i":{"BS":["AQ=="]}}"#;
        let item = Item::from_json(json.as_bytes()).unwrap();
        assert_eq!(super::item(shapes(item.clone())).unwrap(), item);
    }

    #[test]
    fn a_value_has_one_type() {
        let both = AttributeValue { s: Some("a".into()), n: Some("1".into()), ..AttributeValue::default() };
        assert_eq!(value(both), Err(ValueError::SeveralTypes));
        assert_eq!(value(AttributeValue::default()), Err(ValueError::Empty));
    }
}
