//! Types: Hive's as Arrow's, and Arrow's in Athena's words.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Fields, TimeUnit};
use millpond_hive::types::Type;
use millpond_query::Column;

use crate::functions::is_json;

/// How a column of a table is held. Timestamps have microseconds: what all formats have, and years from -290,000 on.
pub fn arrow_of(kind: &Type) -> DataType {
    match kind {
        Type::Boolean => DataType::Boolean,
        Type::TinyInt => DataType::Int8,
        Type::SmallInt => DataType::Int16,
        Type::Int => DataType::Int32,
        Type::BigInt => DataType::Int64,
        Type::Float => DataType::Float32,
        Type::Double => DataType::Float64,
        Type::Decimal { precision, scale } => DataType::Decimal128(*precision, scale.cast_signed()),
        Type::Char(_) | Type::Varchar(_) | Type::String => DataType::Utf8View,
        Type::Binary => DataType::BinaryView,
        Type::Date => DataType::Date32,
        Type::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
        Type::Array(element) => DataType::List(item(element)),
        Type::Map(key, value) => {
            let key = Field::new("key", arrow_of(key), false);
            let value = Field::new("value", arrow_of(value), true);
            let entries = DataType::Struct(Fields::from(vec![key, value]));
            DataType::Map(Arc::new(Field::new("key_value", entries, false)), false)
        }
        Type::Struct(fields) => DataType::Struct(fields.iter().map(|field| named(&field.name, &field.kind)).collect()),
    }
}

fn item(kind: &Type) -> FieldRef {
    named("item", kind)
}

fn named(name: &str, kind: &Type) -> FieldRef {
    Arc::new(Field::new(name, arrow_of(kind), true))
}

/// A column of a result as Athena describes it (`ColumnInfo`).
pub fn described(field: &Field) -> Column {
    if is_json(field) {
        return Column { name: field.name().clone(), kind: "json".to_owned(), precision: 0, scale: 0 };
    }
    of_kind(field.name(), field.data_type())
}

fn of_kind(name: &str, kind: &DataType) -> Column {
    let (word, precision, scale) = match kind {
        DataType::Null => ("unknown", 0, 0),
        DataType::Boolean => ("boolean", 0, 0),
        DataType::Int8 => ("tinyint", 3, 0),
        DataType::Int16 | DataType::UInt8 => ("smallint", 5, 0),
        DataType::Int32 | DataType::UInt16 => ("integer", 10, 0),
        DataType::Int64 | DataType::UInt32 | DataType::UInt64 => ("bigint", 19, 0),
        DataType::Float16 | DataType::Float32 => ("float", 17, 0),
        DataType::Float64 => ("double", 17, 0),
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
        | DataType::Decimal256(precision, scale) => ("decimal", u32::from(*precision), scale.unsigned_abs().into()),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => ("varchar", i32::MAX as u32, 0),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
            ("varbinary", 1_073_741_824, 0)
        }
        DataType::Date32 | DataType::Date64 => ("date", 0, 0),
        DataType::Time32(_) | DataType::Time64(_) => ("time", 3, 0),
        DataType::Timestamp(_, None) => ("timestamp", 3, 0),
        DataType::Timestamp(_, Some(_)) => ("timestamp with time zone", 3, 0),
        DataType::Interval(_) | DataType::Duration(_) => ("interval day to second", 0, 0),
        DataType::List(_)
        | DataType::LargeList(_)
        | DataType::FixedSizeList(..)
        | DataType::ListView(_)
        | DataType::LargeListView(_) => ("array", 0, 0),
        DataType::Map(..) => ("map", 0, 0),
        DataType::Struct(_) | DataType::Union(..) => ("row", 0, 0),
        DataType::Dictionary(_, value) => return of_kind(name, value),
        DataType::RunEndEncoded(_, value) => return of_kind(name, value.data_type()),
    };
    Column { name: name.to_owned(), kind: word.to_owned(), precision, scale }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hives_types_in_athenas_words() {
        for (hive, word, precision, scale) in [
            ("int", "integer", 10, 0),
            ("decimal(11,2)", "decimal", 11, 2),
            ("string", "varchar", 2_147_483_647, 0),
            ("array<struct<a:int,b:map<string,double>>>", "array", 0, 0),
            ("struct<a:int>", "row", 0, 0),
            ("map<string,bigint>", "map", 0, 0),
            ("timestamp", "timestamp", 3, 0),
            ("float", "float", 17, 0),
        ] {
            let kind = arrow_of(&Type::parse(hive).unwrap());
            let column = described(&Field::new("c", kind, true));
            assert_eq!((column.kind.as_str(), column.precision, column.scale), (word, precision, scale), "{hive}");
        }
    }
}
