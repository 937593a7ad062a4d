//! JSON of requests as records need it: texts that no record has room for, such as the code of a function, are not copied.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Bytes of the longest text that is copied: far more than a record holds, which says so itself of what is too large for it.
const MAX_TEXT: usize = 1024 * 1024;

/// A value without texts that are very long.
struct Bounded(Value);

/// The members of a document; `None` when it is none.
pub(super) fn members(json: &[u8]) -> Option<Map<String, Value>> {
    match serde_json::from_slice::<Bounded>(json).ok()?.0 {
        Value::Object(members) => Some(members),
        _ => None,
    }
}

impl<'de> Deserialize<'de> for Bounded {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Bounded;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Bounded, E> {
        Ok(Bounded(Value::Null))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Bounded, E> {
        Ok(Bounded(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Bounded, E> {
        Ok(Bounded(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Bounded, E> {
        Ok(Bounded(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Bounded, E> {
        Ok(Bounded(Number::from_f64(value).map_or(Value::Null, Value::Number)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Bounded, E> {
        Ok(Bounded(match text.len() {
            length if length > MAX_TEXT => serde_json::json!({ "omitted": true, "originalSize": length }),
            _ => text.into(),
        }))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Bounded, A::Error> {
        let mut all = Vec::new();
        while let Some(Bounded(item)) = items.next_element()? {
            all.push(item);
        }
        Ok(Bounded(Value::Array(all)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Bounded, A::Error> {
        let mut all = Map::new();
        while let Some((name, Bounded(value))) = members.next_entry::<String, Bounded>()? {
            all.insert(name, value);
        }
        Ok(Bounded(Value::Object(all)))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn long_texts_are_left_out() {
        let long = "x".repeat(MAX_TEXT + 1);
        let given = json!({"a": [1, -1, 1.5, true, null, "text"], "b": {"c": long}});
        let expected =
            json!({"a": [1, -1, 1.5, true, null, "text"], "b": {"c": {"omitted": true, "originalSize": MAX_TEXT + 1}}});
        assert_eq!(members(given.to_string().as_bytes()).map(Value::Object), Some(expected));
        assert_eq!(members(b"[]"), None);
        assert_eq!(members(b"{"), None);
    }
}
