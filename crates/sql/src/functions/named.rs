//! Types as a statement names them: `array(map(varchar, decimal(10, 2)))`.
//!
//! Trino documentation, "Data types".

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields, TimeUnit};
use datafusion::common::Result;

use super::json;
use super::kind::UTC;
use crate::failure::Problem;

/// The most types within each other.
const MAX_DEPTH: usize = 16;
/// The most digits of a decimal.
const MAX_DIGITS: u8 = 38;

/// A type.
#[derive(Clone, Debug)]
pub struct Named {
    /// As the engine has it.
    pub field: Field,
    /// The most characters of a `varchar`, all those of a `char`.
    pub length: Option<usize>,
    /// Whether it is a `char`.
    pub padded: bool,
}

fn unknown(name: &str) -> datafusion::common::DataFusionError {
    Problem::Statement(format!("TYPE_NOT_FOUND: Unknown type: {}", name.trim())).into()
}

/// The parts between commas that are in no parentheses.
fn parts(text: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut from) = (Vec::new(), 0_usize, 0);
    for (at, letter) in text.char_indices() {
        match letter {
            '(' | '<' => depth += 1,
            ')' | '>' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.push(text.get(from..at).unwrap_or_default().trim());
                from = at + 1;
            }
            _ => {}
        }
    }
    parts.push(text.get(from..).unwrap_or_default().trim());
    parts
}

/// A type by its text.
///
/// # Errors
/// There is none of that name.
pub fn named(text: &str) -> Result<Named> {
    within(text, 0)
}

fn within(text: &str, depth: usize) -> Result<Named> {
    if depth > MAX_DEPTH {
        return Err(unknown(text));
    }
    let text = text.trim();
    let lower = text.to_lowercase();
    let (name, rest) = lower.split_at(lower.find(['(', '<']).unwrap_or(lower.len()));
    let close = rest.rfind([')', '>']).unwrap_or(0);
    let inner = rest.get(1..close).unwrap_or_default();
    let after = rest.get(close + 1..).unwrap_or_default().trim();
    if !rest.is_empty() && close == 0 {
        return Err(unknown(text));
    }
    let name = if after.is_empty() { name.trim().to_owned() } else { format!("{} {after}", name.trim()) };
    let of = |field: Field| Named { field, length: None, padded: false };
    let plain = |kind: DataType| Ok(of(Field::new("", kind, true)));
    let length = || inner.trim().parse().ok();
    match name.split_whitespace().collect::<Vec<_>>().join(" ").as_str() {
        "boolean" => plain(DataType::Boolean),
        "tinyint" => plain(DataType::Int8),
        "smallint" => plain(DataType::Int16),
        "integer" | "int" => plain(DataType::Int32),
        "bigint" => plain(DataType::Int64),
        "real" | "float" => plain(DataType::Float32),
        "double" | "double precision" => plain(DataType::Float64),
        "decimal" | "dec" | "numeric" => plain(decimal(inner).ok_or_else(|| unknown(text))?),
        "varchar" | "string" => Ok(Named { length: length(), ..of(Field::new("", DataType::Utf8, true)) }),
        "char" => {
            let length = Some(length().unwrap_or(1));
            Ok(Named { length, padded: true, ..of(Field::new("", DataType::Utf8, true)) })
        }
        "varbinary" => plain(DataType::Binary),
        "json" => plain(json::JSON),
        "date" => plain(DataType::Date32),
        "time" | "time without time zone" => plain(DataType::Time64(TimeUnit::Microsecond)),
        "timestamp" | "timestamp without time zone" => plain(DataType::Timestamp(TimeUnit::Microsecond, None)),
        "timestamp with time zone" => plain(DataType::Timestamp(TimeUnit::Microsecond, Some(UTC.into()))),
        "array" => {
            let item = within(inner, depth + 1)?.field.with_name("item");
            plain(DataType::List(Arc::new(item)))
        }
        "map" => {
            let [key, value] = parts(inner)[..] else { return Err(unknown(text)) };
            let key = within(key, depth + 1)?.field.with_name("key").with_nullable(false);
            let value = within(value, depth + 1)?.field.with_name("value");
            let entries = DataType::Struct(Fields::from(vec![key, value]));
            plain(DataType::Map(Arc::new(Field::new("key_value", entries, false)), false))
        }
        "row" => {
            let fields: Result<Vec<Field>> =
                parts(inner).into_iter().enumerate().map(|part| row_field(part, depth)).collect();
            plain(DataType::Struct(Fields::from(fields?)))
        }
        _ => Err(unknown(text)),
    }
}

/// A field of a row: its name and type, or its type alone.
fn row_field((at, part): (usize, &str), depth: usize) -> Result<Field> {
    if let Some((name, kind)) = part.split_once(char::is_whitespace)
        && let Ok(kind) = within(kind, depth + 1)
    {
        return Ok(kind.field.with_name(name.trim_matches('"')));
    }
    Ok(within(part, depth + 1)?.field.with_name(format!("field{at}")))
}

fn decimal(inner: &str) -> Option<DataType> {
    let mut numbers = inner.split(',').map(str::trim).filter(|number| !number.is_empty());
    let precision: u8 = numbers.next().map_or(Some(MAX_DIGITS), |number| number.parse().ok())?;
    let scale: u8 = numbers.next().map_or(Some(0), |number| number.parse().ok())?;
    let fits = (1..=MAX_DIGITS).contains(&precision) && scale <= precision;
    fits.then(|| DataType::Decimal128(precision, scale.cast_signed()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_by_name() {
        for (text, kind) in [
            ("INTEGER", "Int32"),
            ("decimal(10, 2)", "Decimal128(10, 2)"),
            ("timestamp(3) with time zone", "Timestamp(µs, \"UTC\")"),
            ("double precision", "Float64"),
            ("array<int>", "List(Int32)"),
            ("row(a int, array(varchar))", "Struct(\"a\": Int32, \"field1\": List(Utf8))"),
        ] {
            assert_eq!(named(text).unwrap().field.data_type().to_string(), kind, "{text}");
        }
        for text in ["text", "array(", "decimal(39)", "map(int)", ""] {
            assert!(named(text).is_err(), "{text}");
        }
    }
}
