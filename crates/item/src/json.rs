//! DynamoDB's JSON: `{"S": "text"}`, `{"N": "1"}`, ... read straight from bytes (or any serde deserializer), without a tree between.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Deserializer;
use serde::de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::{Item, Kind, Value, ValueError};

/// Why JSON is no value or no item.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// Not JSON, or JSON of another shape: AWS's `SerializationException`.
    #[error("{0}")]
    Malformed(String),
    /// A value that cannot be stored: AWS's `ValidationException`.
    #[error(transparent)]
    Invalid(#[from] ValueError),
}

impl Value {
    /// Reads `{"S": "text"}` and the like.
    pub fn from_json(bytes: &[u8]) -> Result<Value, JsonError> {
        let (mut failure, mut reader) = (None, serde_json::Deserializer::from_slice(bytes));
        let value = ValueSeed { failure: &mut failure }.deserialize(&mut reader);
        value.and_then(|value| reader.end().map(|()| value)).map_err(|error| failed(failure, error))
    }

    /// The same, of a document that is parsed already.
    pub fn from_document(document: &serde_json::Value) -> Result<Value, JsonError> {
        let mut failure = None;
        let value = ValueSeed { failure: &mut failure }.deserialize(document);
        value.map_err(|error| failed(failure, error))
    }

    /// Appends it as DynamoDB's JSON.
    pub fn write_json(&self, out: &mut String) {
        write_value(self, out);
    }

    /// It as DynamoDB's JSON.
    pub fn to_json(&self) -> String {
        let mut out = String::new();
        self.write_json(&mut out);
        out
    }
}

impl Item {
    /// Reads `{"name": {"S": "text"}, ..}`.
    pub fn from_json(bytes: &[u8]) -> Result<Item, JsonError> {
        let (mut failure, mut reader) = (None, serde_json::Deserializer::from_slice(bytes));
        let item = AttributesSeed { failure: &mut failure }.deserialize(&mut reader);
        item.and_then(|item| reader.end().map(|()| item)).map_err(|error| failed(failure, error))
    }

    /// The same, of a document that is parsed already.
    pub fn from_document(document: &serde_json::Value) -> Result<Item, JsonError> {
        let mut failure = None;
        let item = AttributesSeed { failure: &mut failure }.deserialize(document);
        item.map_err(|error| failed(failure, error))
    }

    /// Appends it as DynamoDB's JSON.
    pub fn write_json(&self, out: &mut String) {
        write_map(self, out);
    }

    /// It as DynamoDB's JSON.
    pub fn to_json(&self) -> String {
        let mut out = String::with_capacity(2 * self.size());
        self.write_json(&mut out);
        out
    }
}

fn failed(failure: Option<ValueError>, error: serde_json::Error) -> JsonError {
    failure.map_or_else(|| JsonError::Malformed(error.to_string()), JsonError::Invalid)
}

/// Reads a value within a larger document; what is wrong with it, if it is the value, is left in `failure`.
pub struct ValueSeed<'a> {
    /// Where the reason goes.
    pub failure: &'a mut Option<ValueError>,
}

/// Reads attributes by name within a larger document; see [`ValueSeed`].
pub struct AttributesSeed<'a> {
    /// Where the reason goes.
    pub failure: &'a mut Option<ValueError>,
}

impl<'de> DeserializeSeed<'de> for ValueSeed<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(ValueVisitor(self.failure))
    }
}

impl<'de> DeserializeSeed<'de> for AttributesSeed<'_> {
    type Value = Item;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Item, D::Error> {
        Ok(Item::from(deserializer.deserialize_any(MapVisitor(self.failure))?))
    }
}

/// What every visitor says about the wrong JSON, as AWS does.
macro_rules! refuses {
    ($what:literal, $($kind:ident)*) => {
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str($what)
        }
        $(refuses!(@$kind $what);)*
    };
    (@number $what:literal) => {
        fn visit_i64<E: serde::de::Error>(self, _: i64) -> Result<Self::Value, E> {
            Err(E::custom(concat!("NUMBER_VALUE cannot be converted to ", $what)))
        }
        fn visit_u64<E: serde::de::Error>(self, _: u64) -> Result<Self::Value, E> {
            Err(E::custom(concat!("NUMBER_VALUE cannot be converted to ", $what)))
        }
        fn visit_f64<E: serde::de::Error>(self, _: f64) -> Result<Self::Value, E> {
            Err(E::custom(concat!("DECIMAL_VALUE cannot be converted to ", $what)))
        }
    };
    (@boolean $what:literal) => {
        fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<Self::Value, E> {
            let value = if value { "TRUE" } else { "FALSE" };
            Err(E::custom(format_args!(concat!("{}_VALUE cannot be converted to ", $what), value)))
        }
    };
    (@text $what:literal) => {
        fn visit_str<E: serde::de::Error>(self, _: &str) -> Result<Self::Value, E> {
            Err(E::custom(concat!("STRING_VALUE cannot be converted to ", $what)))
        }
    };
    (@list $what:literal) => {
        fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<Self::Value, A::Error> {
            Err(A::Error::custom("Start of list found where not expected"))
        }
    };
    (@map $what:literal) => {
        fn visit_map<A: MapAccess<'de>>(self, _: A) -> Result<Self::Value, A::Error> {
            Err(A::Error::custom("Start of structure or map found where not expected."))
        }
    };
}

/// Reads an object with one member, the type.
struct ValueVisitor<'a>(&'a mut Option<ValueError>);

impl<'de> Visitor<'de> for ValueVisitor<'_> {
    type Value = Value;

    refuses!("AttributeValue", number boolean text list);

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut value = None;
        while let Some(name) = members.next_key::<Name>()? {
            let Name(Some(kind)) = name else {
                // What is not of the model is no matter, as everywhere in AWS.
                members.next_value::<IgnoredAny>()?;
                continue;
            };
            let Some(read) = members.next_value_seed(MemberSeed { kind, failure: self.0 })? else {
                continue;
            };
            if value.replace(read).is_some() {
                return refuse(self.0, ValueError::SeveralTypes);
            }
        }
        match value {
            Some(value) => Ok(value),
            None => refuse(self.0, ValueError::Empty),
        }
    }
}

fn refuse<T, E: serde::de::Error>(failure: &mut Option<ValueError>, reason: ValueError) -> Result<T, E> {
    let error = E::custom(&reason);
    *failure = Some(reason);
    Err(error)
}

/// The name of a member of a value: its type, if it is one.
struct Name(Option<Kind>);

impl<'de> serde::Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Name, D::Error> {
        struct NameVisitor;
        impl Visitor<'_> for NameVisitor {
            type Value = Name;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the type of a value")
            }

            fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<Name, E> {
                Ok(Name(Kind::from_name(name)))
            }
        }
        deserializer.deserialize_str(NameVisitor)
    }
}

/// Reads what stands under a type; nothing for `null`, which AWS takes as not given.
struct MemberSeed<'a> {
    kind: Kind,
    failure: &'a mut Option<ValueError>,
}

impl<'de> DeserializeSeed<'de> for MemberSeed<'_> {
    type Value = Option<Value>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<Value>, D::Error> {
        deserializer.deserialize_option(self)
    }
}

impl<'de> Visitor<'de> for MemberSeed<'_> {
    type Value = Option<Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a value of type {}", self.kind)
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<Option<Value>, E> {
        Ok(None)
    }

    fn visit_none<E: serde::de::Error>(self) -> Result<Option<Value>, E> {
        Ok(None)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<Value>, D::Error> {
        let failure = self.failure;
        let made = match self.kind {
            Kind::S => Ok(Value::S(deserializer.deserialize_any(TextVisitor)?)),
            Kind::N => Value::number(&deserializer.deserialize_any(TextVisitor)?),
            Kind::B => Ok(Value::B(deserializer.deserialize_any(BlobVisitor)?)),
            Kind::Bool => Ok(Value::Bool(deserializer.deserialize_any(BoolVisitor)?)),
            Kind::Null => Value::null(deserializer.deserialize_any(BoolVisitor)?),
            Kind::L => Ok(Value::L(deserializer.deserialize_any(ListVisitor(failure))?)),
            Kind::M => Ok(Value::M(deserializer.deserialize_any(MapVisitor(failure))?)),
            Kind::Ss => Value::string_set(deserializer.deserialize_any(MembersVisitor(TextVisitor))?),
            Kind::Ns => Value::number_set(&deserializer.deserialize_any(MembersVisitor(TextVisitor))?),
            Kind::Bs => Value::binary_set(deserializer.deserialize_any(MembersVisitor(BlobVisitor))?),
        };
        match made {
            Ok(value) => Ok(Some(value)),
            Err(reason) => refuse(failure, reason),
        }
    }
}

#[derive(Clone, Copy)]
struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = String;

    refuses!("String", number boolean list map);

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<String, E> {
        Ok(text.to_owned())
    }

    fn visit_string<E: serde::de::Error>(self, text: String) -> Result<String, E> {
        Ok(text)
    }
}

#[derive(Clone, Copy)]
struct BlobVisitor;

impl<'de> Visitor<'de> for BlobVisitor {
    type Value = Bytes;

    refuses!("Blob", number boolean list map);

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Bytes, E> {
        match STANDARD.decode(text) {
            Ok(bytes) => Ok(bytes.into()),
            Err(error) => Err(E::custom(format_args!("a Blob that is not base64: {error}"))),
        }
    }
}

struct BoolVisitor;

impl<'de> Visitor<'de> for BoolVisitor {
    type Value = bool;

    refuses!("Boolean", number text list map);

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<bool, E> {
        Ok(value)
    }
}

/// The members of a set. A `null` is left out, as it is of every list.
struct MembersVisitor<V>(V);

impl<'de, V: Visitor<'de> + Copy> Visitor<'de> for MembersVisitor<V> {
    type Value = Vec<V::Value>;

    refuses!("List", number boolean text map);

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = items.next_element_seed(StringSeed(self.0, PhantomData))? {
            members.extend(member);
        }
        Ok(members)
    }
}

struct StringSeed<'de, V>(V, PhantomData<&'de ()>);

impl<'de, V: Visitor<'de>> DeserializeSeed<'de> for StringSeed<'de, V> {
    type Value = Option<V::Value>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_option(self)
    }
}

impl<'de, V: Visitor<'de>> Visitor<'de> for StringSeed<'de, V> {
    type Value = Option<V::Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.expecting(f)
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_none<E: serde::de::Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self.0).map(Some)
    }
}

/// Recursion is bounded by the parser, at a depth of 128.
struct ListVisitor<'a>(&'a mut Option<ValueError>);

impl<'de> Visitor<'de> for ListVisitor<'_> {
    type Value = Vec<Value>;

    refuses!("List", number boolean text map);

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<Value>, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = items.next_element_seed(ValueSeed { failure: self.0 })? {
            values.push(value);
        }
        Ok(values)
    }
}

struct MapVisitor<'a>(&'a mut Option<ValueError>);

impl<'de> Visitor<'de> for MapVisitor<'_> {
    type Value = BTreeMap<String, Value>;

    refuses!("Map", number boolean text list);

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let mut values = BTreeMap::new();
        while let Some(name) = entries.next_key::<String>()? {
            values.insert(name, entries.next_value_seed(ValueSeed { failure: self.0 })?);
        }
        Ok(values)
    }
}

/// Appends a string in quotes, escaped as RFC 8259, section 7 asks.
fn write_text(text: &str, out: &mut String) {
    out.push('"');
    let mut done = 0;
    for (at, byte) in text.bytes().enumerate() {
        let escape = match byte {
            b'"' => "\\\"",
            b'\\' => "\\\\",
            b'\n' => "\\n",
            b'\r' => "\\r",
            b'\t' => "\\t",
            0..0x20 => "",
            _ => continue,
        };
        out.push_str(&text[done..at]);
        done = at + 1;
        if escape.is_empty() {
            use fmt::Write;
            // Writing to a String cannot fail.
            let _ = write!(out, "\\u{byte:04x}");
        } else {
            out.push_str(escape);
        }
    }
    out.push_str(&text[done..]);
    out.push('"');
}

fn write_list<T>(items: impl IntoIterator<Item = T>, out: &mut String, mut write: impl FnMut(T, &mut String)) {
    out.push('[');
    for (at, item) in items.into_iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        write(item, out);
    }
    out.push(']');
}

fn write_map(map: &BTreeMap<String, Value>, out: &mut String) {
    out.push('{');
    for (at, (name, value)) in map.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        write_text(name, out);
        out.push(':');
        write_value(value, out);
    }
    out.push('}');
}

fn write_value(value: &Value, out: &mut String) {
    use fmt::Write;
    out.push_str("{\"");
    out.push_str(value.kind().name());
    out.push_str("\":");
    let number = |number: &crate::Number, out: &mut String| {
        // Writing to a String cannot fail.
        let _ = write!(out, "\"{number}\"");
    };
    let blob = |bytes: &Bytes, out: &mut String| {
        out.push('"');
        STANDARD.encode_string(bytes, out);
        out.push('"');
    };
    match value {
        Value::S(text) => write_text(text, out),
        Value::N(n) => number(n, out),
        Value::B(bytes) => blob(bytes, out),
        Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Value::Null => out.push_str("true"),
        Value::L(values) => write_list(values, out, write_value),
        Value::M(values) => write_map(values, out),
        Value::Ss(members) => write_list(members, out, |member, out| write_text(member, out)),
        Value::Ns(members) => write_list(members, out, number),
        Value::Bs(members) => write_list(members, out, blob),
    }
    out.push('}');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::arbitrary::any_item;

    #[test]
    fn values() {
        let cases = [
            (r#"{"S": "a\u00e9\"\n\u0001"}"#, "{\"S\":\"aé\\\"\\n\\u0001\"}"),
            (r#"{"S": ""}"#, r#"{"S":""}"#),
            (r#"{"N": "-01.50"}"#, r#"{"N":"-1.5"}"#),
            (r#"{"B": "AQI="}"#, r#"{"B":"AQI="}"#),
            (r#"{"BOOL": false}"#, r#"{"BOOL":false}"#),
            (r#"{"NULL": true}"#, r#"{"NULL":true}"#),
            (r#"{"L": []}"#, r#"{"L":[]}"#),
            (r#"{"L": [{"S": "a"}, {"L": []}]}"#, r#"{"L":[{"S":"a"},{"L":[]}]}"#),
            (r#"{"M": {"b": {"N": "1"}, "a": {"M": {}}}}"#, r#"{"M":{"a":{"M":{}},"b":{"N":"1"}}}"#),
            (r#"{"SS": ["b", "a"]}"#, r#"{"SS":["a","b"]}"#),
            (r#"{"NS": ["10", "9"]}"#, r#"{"NS":["9","10"]}"#),
            (r#"{"BS": ["Ag==", "AQ=="]}"#, r#"{"BS":["AQ==","Ag=="]}"#),
            (r#"{"S": "a", "N": null, "Unknown": [1]}"#, r#"{"S":"a"}"#),
        ];
        for (json, expected) in cases {
            let value = Value::from_json(json.as_bytes()).unwrap();
            assert_eq!(value.to_json(), expected);
            assert_eq!(Value::from_document(&serde_json::from_str(json).unwrap()), Ok(value));
        }
    }

    #[test]
    fn what_is_no_value() {
        let cases = [
            ("{}", "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes"),
            (r#"{"X": "a"}"#, "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes"),
            (
                r#"{"S": "a", "N": "1"}"#,
                "Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes",
            ),
            (r#"{"N": ""}"#, "The parameter cannot be converted to a numeric value: "),
            (r#"{"M": {"a": {"L": [{"N": "x"}]}}}"#, "The parameter cannot be converted to a numeric value: x"),
            (r#"{"SS": []}"#, "One or more parameter values were invalid: An string set  may not be empty"),
        ];
        for (json, expected) in cases {
            let error = Value::from_json(json.as_bytes()).unwrap_err();
            assert!(matches!(error, JsonError::Invalid(_)), "{json}");
            assert_eq!(error.to_string(), expected);
        }
        let cases = [
            (r#"{"N": 1}"#, "NUMBER_VALUE cannot be converted to String"),
            (r#"{"S": true}"#, "TRUE_VALUE cannot be converted to String"),
            (r#"{"S": ["a"]}"#, "Start of list found where not expected"),
            (r#"{"L": {"S": "a"}}"#, "Start of structure or map found where not expected."),
            (r#"{"BOOL": "true"}"#, "STRING_VALUE cannot be converted to Boolean"),
            (r#"{"B": "*"}"#, "a Blob that is not base64: Invalid symbol 42, offset 0."),
            (r#"{"S": "a""#, "EOF while parsing an object"),
            (r#"{"S": "a"} x"#, "trailing characters"),
            (r#""a""#, "STRING_VALUE cannot be converted to AttributeValue"),
        ];
        for (json, expected) in cases {
            let error = Value::from_json(json.as_bytes()).unwrap_err();
            assert!(matches!(&error, JsonError::Malformed(text) if text.starts_with(expected)), "{error}");
        }
        let deep = [r#"{"L":["#.repeat(100), "]}".repeat(100)].concat();
        assert!(matches!(Value::from_json(deep.as_bytes()), Err(JsonError::Malformed(_))));
    }

    proptest! {
        #[test]
        fn there_and_back(item in any_item()) {
            let json = item.to_json();
            prop_assert_eq!(&Item::from_json(json.as_bytes()).unwrap(), &item);
            prop_assert_eq!(Item::from_document(&serde_json::from_str(&json).unwrap()).unwrap(), item);
        }
    }
}
