//! A JSON object as a row. Keys are found whatever their case; what is written goes straight into the columns.

use std::borrow::Cow;
use std::fmt;

use millpond_hive::format::Json;
use millpond_hive::text::values::Pattern;
use millpond_hive::types::Type;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::build::Builder;
use super::leaf;

/// What a line is read by.
pub struct Row<'a> {
    pub columns: &'a [(String, Type)],
    pub places: &'a [Option<usize>],
    pub format: &'a Json,
    pub patterns: &'a [Pattern],
}

#[derive(Clone, Copy)]
struct How<'a> {
    format: &'a Json,
    patterns: &'a [Pattern],
}

impl Row<'_> {
    /// Reads a line. The columns have one value more each, also when it is no JSON and that is to be NULL.
    pub fn read(&self, line: &[u8], builders: &mut [Builder]) -> Result<(), String> {
        let before = builders.first().map_or(0, Builder::len);
        // Looked at once, its texts need not be looked at one by one.
        let read = match std::str::from_utf8(line) {
            Ok(text) => self.object(serde_json::Deserializer::from_str(text), builders),
            Err(_) => self.object(serde_json::Deserializer::from_slice(line), builders),
        };
        match read {
            Ok(()) => Ok(()),
            Err(_) if self.format.ignore_malformed => whole(builders, before + 1),
            Err(error) => Err(error.to_string()),
        }
    }

    fn object<'de, R: serde_json::de::Read<'de>>(
        &self,
        mut deserializer: serde_json::Deserializer<R>,
        builders: &mut [Builder],
    ) -> serde_json::Result<()> {
        let how = How { format: self.format, patterns: self.patterns };
        let fields =
            Fields { name: &|at| self.columns.get(at).map(|(name, _)| name.as_str()), count: self.columns.len() };
        let object = Object { how, fields, places: Some(self.places), builders };
        deserializer.deserialize_any(object)?;
        deserializer.end()
    }
}

/// Adds what a row that broke off has not.
fn whole(builders: &mut [Builder], length: usize) -> Result<(), String> {
    for builder in builders {
        if builder.len() < length {
            builder.null().map_err(|error| error.to_string())?;
        }
    }
    Ok(())
}

/// Names of fields, by place.
#[derive(Clone, Copy)]
struct Fields<'a> {
    name: &'a dyn Fn(usize) -> Option<&'a str>,
    count: usize,
}

/// An object whose fields are columns.
struct Object<'a> {
    how: How<'a>,
    fields: Fields<'a>,
    /// Where each field's column stands; `None` for each at its own place.
    places: Option<&'a [Option<usize>]>,
    builders: &'a mut [Builder],
}

/// Which field a key names.
struct Key<'a> {
    how: How<'a>,
    fields: Fields<'a>,
    expected: usize,
}

impl Key<'_> {
    fn find(&self, key: &str) -> Option<usize> {
        // Most objects have their keys in one order.
        if (self.fields.name)(self.expected) == Some(key) {
            return Some(self.expected);
        }
        (0..self.fields.count).find(|at| (self.fields.name)(*at).is_some_and(|name| self.is(name, key)))
    }

    fn is(&self, name: &str, key: &str) -> bool {
        if let Some(mapped) = self.how.format.mappings.get(name) {
            return mapped == key || (self.how.format.case_insensitive && mapped.to_lowercase() == key.to_lowercase());
        }
        let is = |key: &str| name == key || (self.how.format.case_insensitive && name == key.to_lowercase());
        is(key) || (self.how.format.dots_in_keys && is(&key.replace('.', "_")))
    }
}

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Key<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok(self.find(key))
    }
}

impl<'de> Visitor<'de> for Object<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self { how, fields, places, builders } = self;
        let length = builders.first().map_or(0, Builder::len) + 1;
        let mut expected = 0;
        while let Some(field) = map.next_key_seed(Key { how, fields, expected })? {
            let place = match (field, places) {
                (Some(field), Some(places)) => places.get(field).copied().flatten(),
                (field, None) => field,
                (None, _) => None,
            };
            expected = field.map_or(expected, |field| field + 1);
            let Some(builder) = place.and_then(|place| builders.get_mut(place)) else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            if builder.len() >= length {
                return Err(A::Error::custom("a key is there twice"));
            }
            map.next_value_seed(Value { how, builder })?;
        }
        whole(builders, length).map_err(A::Error::custom)
    }
}

/// A value of a column.
struct Value<'a> {
    how: How<'a>,
    builder: &'a mut Builder,
}

impl<'de> DeserializeSeed<'de> for Value<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Value<'_> {
    fn text<E: serde::de::Error>(self, text: &str) -> Result<(), E> {
        let is_value = leaf::push(self.builder, text.as_bytes(), || Cow::Borrowed(text), self.how.patterns);
        if is_value {
            return Ok(());
        }
        let nested = matches!(self.builder, Builder::List(_) | Builder::Map(_) | Builder::Struct(_));
        if !self.how.format.null_for_invalid {
            return Err(E::custom(format!("{text:?} is no value of its column's type")));
        }
        // A leaf has its NULL already.
        if nested { self.builder.null().map_err(E::custom) } else { Ok(()) }
    }
}

impl<'de> Visitor<'de> for Value<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<(), E> {
        self.builder.null().map_err(E::custom)
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<(), E> {
        self.text(if value { "true" } else { "false" })
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<(), E> {
        match (self.builder, i32::try_from(value)) {
            (Builder::BigInt(builder), _) => builder.append_value(value),
            (Builder::Int(builder), Ok(value)) => builder.append_value(value),
            #[expect(clippy::cast_precision_loss, reason = "as any reader of JSON does")]
            (Builder::Double(builder), _) => builder.append_value(value as f64),
            (builder, _) => return Value { how: self.how, builder }.text(&value.to_string()),
        }
        Ok(())
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<(), E> {
        match i64::try_from(value) {
            Ok(value) => self.visit_i64(value),
            Err(_) => self.text(&value.to_string()),
        }
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<(), E> {
        match self.builder {
            Builder::Double(builder) => {
                builder.append_value(value);
                Ok(())
            }
            _ => self.text(&serde_json::Value::from(value).to_string()),
        }
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<(), E> {
        self.text(value)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let how = self.how;
        let Builder::List(lists) = self.builder else {
            // Text of what it is, where text is wanted.
            let items: Vec<serde_json::Value> =
                serde::Deserialize::deserialize(serde::de::value::SeqAccessDeserializer::new(seq))?;
            return self.text(&serde_json::Value::from(items).to_string());
        };
        while seq.next_element_seed(Value { how, builder: &mut lists.items })?.is_some() {}
        lists.spans.end(lists.items.len(), true).map_err(A::Error::custom)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let how = self.how;
        match self.builder {
            Builder::Struct(rows) => {
                let names = &rows.names;
                let fields = Fields { name: &|at| names.get(at).map(String::as_str), count: names.len() };
                let object = Object { how, fields, places: None, builders: &mut rows.columns };
                object.visit_map(map)?;
                rows.valid.append_non_null();
                Ok(())
            }
            Builder::Map(maps) => {
                while let Some(key) = map.next_key::<String>()? {
                    let is_key = leaf::push(&mut maps.keys, key.as_bytes(), || Cow::Borrowed(&key), how.patterns);
                    if !is_key {
                        return Err(A::Error::custom(format!("the key {key:?} is none of its map's type")));
                    }
                    map.next_value_seed(Value { how, builder: &mut maps.values })?;
                }
                maps.spans.end(maps.keys.len(), true).map_err(A::Error::custom)
            }
            _ => {
                let object: serde_json::Map<String, serde_json::Value> =
                    serde::Deserialize::deserialize(serde::de::value::MapAccessDeserializer::new(map))?;
                self.text(&serde_json::Value::from(object).to_string())
            }
        }
    }
}
