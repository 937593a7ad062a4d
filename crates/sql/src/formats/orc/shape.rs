//! Values of files as those of their table.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListArray, MapArray, StructArray, new_null_array};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Decimal128Type, Field, FieldRef, Fields, TimestampMicrosecondType};
use arrow::error::ArrowError;

/// Where a name is, whatever its case; the same case first.
pub fn position(names: &[&str], name: &str) -> Option<usize> {
    let exact = names.iter().position(|known| *known == name);
    exact.or_else(|| names.iter().position(|known| known.to_lowercase() == name.to_lowercase()))
}

fn of_field<'a>(fields: &'a Fields, wanted: &Field) -> Option<(usize, &'a FieldRef)> {
    let names: Vec<&str> = fields.iter().map(|field| field.name().as_str()).collect();
    let at = position(&names, wanted.name())?;
    Some((at, fields.get(at)?))
}

/// Whether values of a file's type are read as the table's: as they are, or as wider ones. A value that has no room is an error of its own.
pub fn fits(found: &DataType, wanted: &DataType) -> bool {
    match (found, wanted) {
        (
            DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64,
            DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 | DataType::Decimal128(..),
        )
        | (DataType::Float32, DataType::Float64)
        | (DataType::Decimal128(..), DataType::Decimal128(..))
        | (DataType::Utf8, DataType::Utf8View | DataType::BinaryView)
        | (DataType::Binary, DataType::BinaryView)
        | (DataType::Timestamp(..), DataType::Timestamp(..)) => true,
        (DataType::Map(found, _), DataType::Map(wanted, _)) => match (found.data_type(), wanted.data_type()) {
            (DataType::Struct(found), DataType::Struct(wanted)) => {
                found.iter().zip(wanted).all(|(found, wanted)| fits(found.data_type(), wanted.data_type()))
            }
            _ => false,
        },
        (DataType::List(found), DataType::List(wanted)) => fits(found.data_type(), wanted.data_type()),
        (DataType::Struct(found), DataType::Struct(wanted)) => wanted
            .iter()
            .all(|field| of_field(found, field).is_none_or(|(_, known)| fits(known.data_type(), field.data_type()))),
        (found, wanted) => found == wanted,
    }
}

/// A file's type as ORC calls it.
pub fn word(kind: &DataType) -> &'static str {
    match kind {
        DataType::Boolean => "BOOLEAN",
        DataType::Int8 => "BYTE",
        DataType::Int16 => "SHORT",
        DataType::Int32 => "INT",
        DataType::Int64 => "LONG",
        DataType::Float32 => "FLOAT",
        DataType::Float64 => "DOUBLE",
        DataType::Utf8 => "STRING",
        DataType::Binary => "BINARY",
        DataType::Decimal128(..) => "DECIMAL",
        DataType::Date32 => "DATE",
        DataType::Timestamp(_, None) => "TIMESTAMP",
        DataType::Timestamp(_, Some(_)) => "TIMESTAMP_INSTANT",
        DataType::List(_) => "LIST",
        DataType::Map(..) => "MAP",
        DataType::Struct(_) => "STRUCT",
        _ => "UNION",
    }
}

/// How timestamps are asked for: as nanoseconds that reach all years.
const NANOS: DataType = DataType::Decimal128(38, 9);

/// The fields of a file as they are asked for.
pub fn asked(fields: &Fields) -> Fields {
    fields.iter().map(asked_field).collect()
}

fn asked_field(field: &FieldRef) -> FieldRef {
    let kind = match field.data_type() {
        DataType::Timestamp(..) => NANOS,
        DataType::List(item) => DataType::List(asked_field(item)),
        DataType::Map(entries, sorted) => DataType::Map(asked_field(entries), *sorted),
        DataType::Struct(fields) => DataType::Struct(asked(fields)),
        other => other.clone(),
    };
    Arc::new(Field::clone(field).with_data_type(kind))
}

/// Nanoseconds as microseconds; what is less is cut.
fn micros(array: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let Some(nanos) = array.as_primitive_opt::<Decimal128Type>() else {
        return Err(ArrowError::SchemaError("timestamps that are no nanoseconds".to_owned()));
    };
    let made = nanos.try_unary::<_, TimestampMicrosecondType, ArrowError>(|nanos| {
        i64::try_from(nanos.div_euclid(1000))
            .map_err(|_| ArrowError::CastError(format!("{nanos} nanoseconds since 1970 are out of range")))
    })?;
    Ok(Arc::new(made))
}

/// An array of a file as the table has it: it was asked for as [`asked`] has it, and `found` is the file's type. Types fit, see
/// [`fits`]; fields that the file has not are NULL.
///
/// # Errors
/// A value has no room in the table's type.
pub fn shaped(array: &ArrayRef, found: &DataType, wanted: &DataType) -> Result<ArrayRef, ArrowError> {
    match (found, wanted) {
        (DataType::Timestamp(..), _) => cast(&micros(array)?, wanted),
        (DataType::List(found), DataType::List(item)) => {
            let list = array.as_list::<i32>();
            let values = shaped(list.values(), found.data_type(), item.data_type())?;
            let made = ListArray::try_new(Arc::clone(item), list.offsets().clone(), values, list.nulls().cloned())?;
            Ok(Arc::new(made))
        }
        (DataType::Map(found, _), DataType::Map(entries, sorted)) => {
            let map = array.as_map();
            let (DataType::Struct(found), DataType::Struct(fields)) = (found.data_type(), entries.data_type()) else {
                return Err(ArrowError::SchemaError("a map without entries".to_owned()));
            };
            let parts = [map.keys(), map.values()].into_iter().zip(found.iter().zip(fields));
            let parts = parts.map(|(part, (found, field))| shaped(part, found.data_type(), field.data_type()));
            let parts = StructArray::try_new(fields.clone(), parts.collect::<Result<_, _>>()?, None)?;
            let (offsets, nulls) = (map.offsets().clone(), map.nulls().cloned());
            Ok(Arc::new(MapArray::try_new(Arc::clone(entries), offsets, parts, nulls, *sorted)?))
        }
        (DataType::Struct(found), DataType::Struct(fields)) => {
            let rows = array.as_struct();
            let part = |field: &FieldRef| match of_field(found, field) {
                Some((at, found)) => shaped(rows.column(at), found.data_type(), field.data_type()),
                None => Ok(new_null_array(field.data_type(), rows.len())),
            };
            let parts = fields.iter().map(part).collect::<Result<_, _>>()?;
            let nulls = rows.nulls().cloned();
            Ok(Arc::new(StructArray::try_new_with_length(fields.clone(), parts, nulls, rows.len())?))
        }
        _ => cast(array, wanted),
    }
}

fn cast(array: &ArrayRef, wanted: &DataType) -> Result<ArrayRef, ArrowError> {
    if array.data_type() == wanted {
        return Ok(Arc::clone(array));
    }
    cast_with_options(array, wanted, &CastOptions { safe: false, ..CastOptions::default() })
}
