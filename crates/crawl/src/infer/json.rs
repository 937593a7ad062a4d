//! JSON: objects one after the other, or arrays of them.

use std::collections::BTreeMap;
use std::fmt;

use millpond_hive::names::derived;
use millpond_hive::types::MAX_DEPTH;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::csv::estimate;
use super::json_path::JsonPath;
use crate::found::{Column, Found, Layout};
use crate::sample::Text;
use crate::schema::{Shape, merged};

/// Columns of a file, and fields of an object, at most.
const MAX_FIELDS: usize = 5_000;
/// The name of the column that an array is, which is the value of a file (as Glue has it).
const ARRAY: &str = "array";
/// Lines that are looked at for whether each is a row.
const LINES: usize = 10;

/// A value's type, so deep.
struct Value(usize);

impl<'de> DeserializeSeed<'de> for Value {
    type Value = Shape;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Shape, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Value {
    type Value = Shape;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Shape, E> {
        Ok(Shape::Null)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Shape, E> {
        Ok(Shape::Boolean)
    }

    fn visit_i64<E>(self, value: i64) -> Result<Shape, E> {
        Ok(if i32::try_from(value).is_ok() { Shape::Int } else { Shape::BigInt })
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Shape, E> {
        match i64::try_from(value) {
            Ok(value) => self.visit_i64(value),
            // It would lose digits as a double.
            Err(_) => Ok(Shape::String),
        }
    }

    fn visit_f64<E>(self, _: f64) -> Result<Shape, E> {
        Ok(Shape::Double)
    }

    fn visit_str<E>(self, _: &str) -> Result<Shape, E> {
        Ok(Shape::String)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Shape, A::Error> {
        if self.0 >= MAX_DEPTH {
            while seq.next_element::<IgnoredAny>()?.is_some() {}
            return Ok(Shape::String);
        }
        let mut item = Shape::Null;
        while let Some(shape) = seq.next_element_seed(Self(self.0 + 1))? {
            item = merged(item, shape);
        }
        Ok(Shape::Array(Box::new(item)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Shape, A::Error> {
        let mut fields: Vec<(String, Shape)> = Vec::new();
        while let Some(key) = map.next_key::<String>()? {
            if self.0 >= MAX_DEPTH || fields.len() >= MAX_FIELDS {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            let shape = map.next_value_seed(Self(self.0 + 1))?;
            // Names of fields at the top are compared with what they were, for the reader.
            let key = if self.0 == 0 { key } else { key.to_lowercase() };
            match fields.iter_mut().find(|(known, _)| *known == key) {
                Some((_, known)) => *known = merged(std::mem::replace(known, Shape::Null), shape),
                None => fields.push((key, shape)),
            }
        }
        Ok(if self.0 >= MAX_DEPTH { Shape::String } else { Shape::Struct(fields) })
    }
}

/// The values of a text, together, and how many there are; `None` when it is no JSON.
fn values(text: &Text) -> Option<(Shape, u64)> {
    let (mut rest, mut all, mut count) = (text.text.trim_start(), Shape::Null, 0);
    while !rest.is_empty() {
        let mut stream = serde_json::Deserializer::from_str(rest).into_iter::<Spanned>();
        match stream.next() {
            Some(Ok(Spanned(shape))) => all = merged(all, shape),
            // A value of which there is only a part is the last.
            Some(Err(error)) if error.is_eof() && !text.whole => {
                if count == 0 {
                    (all, count) = (partial(rest)?, 1);
                }
                break;
            }
            _ => return None,
        }
        count += 1;
        rest = rest.get(stream.byte_offset()..)?.trim_start();
    }
    (count > 0).then_some((all, count))
}

/// An array that is longer than the sample: its items so far.
fn partial(text: &str) -> Option<Shape> {
    // Cut after the last item that is whole, and closed.
    let cut = text.rfind("},").or_else(|| text.rfind("}\n"))?;
    let closed = format!("{}]", text.get(..=cut)?);
    serde_json::from_str::<Spanned>(&closed).ok().map(|Spanned(shape)| shape)
}

/// A value by way of `Deserialize`, which streams of values want.
struct Spanned(Shape);

impl<'de> serde::Deserialize<'de> for Spanned {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Value(0).deserialize(deserializer).map(Spanned)
    }
}

/// Whether the first lines are rows, each of them.
fn is_lines(text: &Text) -> bool {
    let mut lines = text.text.lines().filter(|line| !line.trim().is_empty()).take(LINES).peekable();
    let is_row = |line: &str| line.trim_start().starts_with('{') && serde_json::from_str::<IgnoredAny>(line).is_ok();
    lines.peek().is_some() && lines.all(is_row)
}

/// What a text is, if it is JSON.
pub fn infer(text: &Text, path: &JsonPath) -> Option<Found> {
    let (whole, count) = values(text)?;
    let whole = if path.is_root() { whole } else { path.of(lower(whole))? };
    let (fields, lines) = match whole {
        Shape::Struct(fields) if path.is_root() => (fields, is_lines(text)),
        Shape::Struct(fields) => (fields, false),
        Shape::Array(item) => (vec![(ARRAY.to_owned(), Shape::Array(item))], false),
        // Scalars are no rows.
        _ => return None,
    };
    let (mut columns, mut mappings): (Vec<Column>, _) = (Vec::new(), BTreeMap::new());
    for (key, shape) in fields {
        let (name, lower) = (derived(&key), key.to_lowercase());
        if let Some(known) = columns.iter_mut().find(|column| column.name == name) {
            known.shape = merged(std::mem::replace(&mut known.shape, Shape::Null), shape);
            continue;
        }
        // Readers ignore case, and nothing else.
        if name != lower {
            mappings.insert(name.clone(), key);
        }
        columns.push(Column::new(&name, shape));
    }
    if columns.is_empty() {
        return None;
    }
    Some(Found {
        classification: "json".to_owned(),
        compression: text.compression,
        layout: Layout::Json { path: path.text().to_owned(), mappings, lines },
        columns,
        records: estimate(count, text.times),
        weak: false,
    })
}

/// Names in lower case at the top, too.
fn lower(shape: Shape) -> Shape {
    match shape {
        Shape::Struct(fields) => {
            let mut all: Vec<(String, Shape)> = Vec::new();
            for (name, shape) in fields {
                let name = name.to_lowercase();
                match all.iter_mut().find(|(known, _)| *known == name) {
                    Some((_, known)) => *known = merged(std::mem::replace(known, Shape::Null), shape),
                    None => all.push((name, shape)),
                }
            }
            Shape::Struct(all)
        }
        Shape::Array(item) => Shape::Array(Box::new(lower(*item))),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use millpond_hive::compression::Compression;

    fn text(text: &str, whole: bool) -> Text {
        Text { compression: Compression::None, text: text.to_owned(), whole, times: 1.0 }
    }

    fn shown(of: &str, path: &str, whole: bool) -> Option<String> {
        let found = infer(&text(of, whole), &JsonPath::parse(path).unwrap())?;
        let columns: Vec<String> = found.settled().iter().map(|(name, kind)| format!("{name} {kind}")).collect();
        Some(format!("{} {}", found.records, columns.join(", ")))
    }

    #[test]
    fn lines_arrays_and_paths() {
        for (of, path, expected) in [
            ("{\"b\":1,\"A\":\"x\"}\n{\"b\":2.5,\"c\":true}\n", "$", Some("2 b double, a string, c boolean")),
            (
                "{\"a\":5000000000,\"n\":null,\"e\":[],\"o\":{}}",
                "$",
                Some("1 a bigint, n string, e array<string>, o string"),
            ),
            (
                "{\"s\":{\"X\":1,\"y\":[{\"z\":1},{\"w\":\"t\"}]}}",
                "$",
                Some("1 s struct<x:int,y:array<struct<z:int,w:string>>>"),
            ),
            ("{\"a\":1}\n{\"a\":\"x\"}", "$", Some("2 a string")),
            ("[{\"a\":1},{\"a\":2,\"b\":3}]", "$", Some("1 array array<struct<a:int,b:int>>")),
            ("[{\"a\":1},{\"a\":2,\"b\":3}]", "$[*]", Some("1 a int, b int")),
            ("{\"Records\":[{\"a\":1}]}", "$.Records[*]", Some("1 a int")),
            ("{\"a\":1}{\"a\":2}", "$", Some("2 a int")),
            ("1\n2\n", "$", None),
            ("{\"a\":1}\nnonsense", "$", None),
            ("{\"a\":1", "$", None),
            ("{}", "$", None),
        ] {
            assert_eq!(shown(of, path, true).as_deref(), expected, "{of}");
        }
    }

    #[test]
    fn what_is_cut_counts_as_far_as_it_goes() {
        assert_eq!(shown("{\"a\":1}\n{\"a\":2", "$", false).as_deref(), Some("1 a int"));
        assert_eq!(
            shown("[{\"a\":1},\n{\"b\":2},\n{\"a\":", "$", false).as_deref(),
            Some("1 array array<struct<a:int,b:int>>")
        );
        assert_eq!(shown("{\"a\":", "$", false), None);
    }

    #[test]
    fn keys_that_are_no_names() {
        let found = infer(&text("{\"user-id\":1,\"ok\":2,\"Dots.in\":3}", true), &JsonPath::root()).unwrap();
        let Layout::Json { mappings, lines, .. } = &found.layout else { panic!() };
        let pairs: Vec<_> = mappings.iter().map(|(name, key)| (name.as_str(), key.as_str())).collect();
        assert_eq!(pairs, [("dots_in", "Dots.in"), ("user_id", "user-id")]);
        assert!(lines);
        let pretty = infer(&text("{\n  \"a\": 1\n}\n", true), &JsonPath::root()).unwrap();
        assert!(matches!(pretty.layout, Layout::Json { lines: false, .. }));
    }

    proptest! {
        #[test]
        fn nothing_panics(of in "[\\[\\]{}\":,a1. \n]{0,60}", whole: bool) {
            let _ = infer(&text(&of, whole), &JsonPath::root());
        }
    }

    #[test]
    fn deep_values() {
        let deep = format!("{{\"a\":{}1{}}}", "[".repeat(100), "]".repeat(100));
        let found = infer(&text(&deep, true), &JsonPath::root()).unwrap();
        assert!(found.settled()[0].1.depth() <= MAX_DEPTH);
    }
}
