//! Values from JSON and as JSON.
//!
//! Trino documentation, "JSON functions and operators": "Cast to JSON", "Cast from JSON".

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListArray, MapArray, StructArray, new_null_array};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, Float32Type, Float64Type};
use datafusion::common::{DataFusionError, Result, ScalarValue};
use serde_json::{Map, Number, Value as Json};

use super::json::{is_json, scalar};
use super::kind::word;
use super::parse;
use crate::failure::Problem;
use crate::result;

fn failure(value: &Json, field: &Field) -> DataFusionError {
    Problem::Data(format!("INVALID_CAST_ARGUMENT: Cannot cast to {}. {value}", word(field))).into()
}

/// A value of the field's type.
///
/// # Errors
/// The text is no JSON, or JSON of another shape.
pub fn read(text: &str, field: &Field) -> Result<ScalarValue> {
    let value: Json = serde_json::from_str(text)
        .map_err(|error| Problem::Data(format!("INVALID_CAST_ARGUMENT: Cannot convert '{text}' to JSON: {error}")))?;
    of(&value, field)
}

fn array(values: Vec<ScalarValue>, kind: &DataType) -> Result<ArrayRef> {
    if values.is_empty() { Ok(new_null_array(kind, 0)) } else { ScalarValue::iter_to_array(values) }
}

fn of(value: &Json, field: &Field) -> Result<ScalarValue> {
    let kind = field.data_type();
    if is_json(field) {
        return Ok(ScalarValue::LargeUtf8(Some(value.to_string())));
    }
    if value.is_null() {
        return ScalarValue::try_from(kind);
    }
    match (kind, value) {
        (DataType::List(item), Json::Array(items)) => {
            let values: Result<Vec<ScalarValue>> = items.iter().map(|value| of(value, item)).collect();
            let offsets = OffsetBuffer::from_lengths([items.len()]);
            let values = array(values?, item.data_type())?;
            Ok(ScalarValue::List(Arc::new(ListArray::try_new(Arc::clone(item), offsets, values, None)?)))
        }
        (DataType::Map(entries, ordered), Json::Object(members)) => {
            let DataType::Struct(fields) = entries.data_type() else { return Err(failure(value, field)) };
            let [key, inner] = &fields[..] else { return Err(failure(value, field)) };
            let keys: Result<Vec<ScalarValue>> =
                members.keys().map(|name| of(&Json::String(name.clone()), key)).collect();
            let values: Result<Vec<ScalarValue>> = members.values().map(|value| of(value, inner)).collect();
            let columns = vec![array(keys?, key.data_type())?, array(values?, inner.data_type())?];
            let rows = StructArray::try_new(fields.clone(), columns, None)?;
            let offsets = OffsetBuffer::from_lengths([members.len()]);
            let map = MapArray::try_new(Arc::clone(entries), offsets, rows, None, *ordered)?;
            Ok(ScalarValue::Map(Arc::new(map)))
        }
        (DataType::Struct(fields), Json::Object(_) | Json::Array(_)) => {
            let of_field = |(at, field): (usize, &Arc<Field>)| {
                let member = match value {
                    Json::Array(items) => items.get(at),
                    _ => value.get(field.name()),
                };
                of(member.unwrap_or(&Json::Null), field)?.to_array()
            };
            let columns: Result<Vec<ArrayRef>> = fields.iter().enumerate().map(of_field).collect();
            Ok(ScalarValue::Struct(Arc::new(StructArray::try_new(fields.clone(), columns?, None)?)))
        }
        _ if kind.is_nested() => Err(failure(value, field)),
        _ => plain(value, field),
    }
}

fn plain(value: &Json, field: &Field) -> Result<ScalarValue> {
    let kind = field.data_type();
    let text = scalar(value).ok_or_else(|| failure(value, field))?;
    match value {
        _ if kind.is_string() => Ok(ScalarValue::Utf8(Some(text))),
        Json::Bool(value) if kind.is_numeric() => parse::value(if *value { "1" } else { "0" }, kind),
        Json::Number(number) if *kind == DataType::Boolean => {
            Ok(ScalarValue::Boolean(Some(number.as_f64() != Some(0.0))))
        }
        Json::Number(number) if kind.is_integer() && !number.is_i64() => {
            parse::from_double(number.as_f64().unwrap_or(f64::NAN), kind)
        }
        _ => parse::value(&text, kind),
    }
    .map_err(|_| failure(value, field))
}

/// A value as JSON.
///
/// # Errors
/// Trino has no JSON for its type.
pub fn write(array: &ArrayRef, row: usize, field: &Field) -> Result<Json> {
    if array.is_null(row) || array.data_type().is_null() {
        return Ok(Json::Null);
    }
    Ok(match array.data_type() {
        kind if kind.is_string() => {
            let text = super::cast::text(array, row)?;
            if is_json(field) {
                serde_json::from_str(text).unwrap_or(Json::Null)
            } else {
                Json::String(text.to_owned())
            }
        }
        DataType::Boolean => Json::Bool(array.as_boolean().value(row)),
        DataType::Float64 => float(array.as_primitive::<Float64Type>().value(row)),
        DataType::Float32 => float(array.as_primitive::<Float32Type>().value(row).into()),
        kind if kind.is_integer() => {
            let text = result::text(array, row)?;
            text.parse::<i64>().map_or(Json::String(text), |number| Json::Number(number.into()))
        }
        kind if kind.is_decimal() => {
            let text = result::text(array, row)?;
            serde_json::from_str(&text).unwrap_or(Json::String(text))
        }
        DataType::Date32 | DataType::Timestamp(..) => Json::String(result::text(array, row)?),
        DataType::List(item) => {
            let list = array.as_list::<i32>().value(row);
            Json::Array((0..list.len()).map(|at| write(&list, at, item)).collect::<Result<_>>()?)
        }
        DataType::Map(entries, _) => {
            let (entries, row) = (entries.data_type(), array.as_map().value(row));
            let DataType::Struct(fields) = entries else { return Ok(Json::Null) };
            let [_, value] = &fields[..] else { return Ok(Json::Null) };
            let (keys, values) = (row.column(0), row.column(1));
            let member = |at| Ok((result::text(keys, at)?, write(values, at, value)?));
            Json::Object((0..row.len()).map(member).collect::<Result<Map<String, Json>>>()?)
        }
        DataType::Struct(fields) => {
            let columns = array.as_struct().columns().iter().zip(fields);
            let member =
                |(column, field): (&ArrayRef, &Arc<Field>)| Ok((field.name().clone(), write(column, row, field)?));
            Json::Object(columns.map(member).collect::<Result<Map<String, Json>>>()?)
        }
        _ => {
            let words = format!("TYPE_MISMATCH: Cannot cast {} to json", word(field));
            return Err(Problem::Statement(words).into());
        }
    })
}

fn float(value: f64) -> Json {
    Number::from_f64(value).map_or_else(|| Json::String(value.to_string()), Json::Number)
}
