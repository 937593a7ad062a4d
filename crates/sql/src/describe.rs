//! The schema of an object that has one of its own, in Hive's types: what crawlers ask for.

use arrow::datatypes::{DataType, Field, Schema};
use datafusion::common::Result;
use datafusion::parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use datafusion::parquet::arrow::async_reader::AsyncFileReader;
use millpond_hive::types::{self, MAX_DEPTH, Type};
use millpond_query::{Column, Describe, Described, FileFormat};

use crate::failure::Problem;
use crate::formats::parquet_reader;
use crate::remote::{Remote, Source};

/// Columns of an object at most.
const MAX_COLUMNS: usize = 10_000;

/// What an object's columns are. Only what says so is read of it.
///
/// # Errors
/// It is no whole object of its format, or has columns that no table can have.
pub async fn describe(object: &Describe, remote: &Remote) -> Result<Described> {
    let (bucket, key, etag) = (object.bucket.clone(), object.key.clone(), object.etag.clone());
    let source = Source { bucket, key, etag, size: object.size, modified: 0 };
    let path = source.path();
    let (schema, rows) = match object.format() {
        FileFormat::Parquet => parquet(remote, source).await?,
        FileFormat::Orc => {
            return Err(Problem::Data(format!("HIVE_UNSUPPORTED_FORMAT: {path} is ORC, which is not read yet")).into());
        }
    };
    if schema.fields().len() > MAX_COLUMNS {
        return Err(Problem::Data(format!("{path} has more than {MAX_COLUMNS} columns")).into());
    }
    let column = |field: &Field| {
        let kind = hive_of(field.data_type(), 1)
            .ok_or_else(|| Problem::Data(format!("{path}: Hive has no type for the column {}", field.name())))?;
        Ok(Column { name: field.name().to_lowercase(), kind: kind.to_string(), precision: 0, scale: 0 })
    };
    let columns = schema.fields().iter().map(|field| column(field)).collect::<Result<_, Problem>>()?;
    Ok(Described { columns, rows })
}

async fn parquet(remote: &Remote, source: Source) -> Result<(Schema, u64), Problem> {
    let path = source.path();
    let bad = |error: String| Problem::Data(format!("HIVE_BAD_DATA: {path}: {error}"));
    let mut reader = parquet_reader(remote, source);
    let metadata = reader.get_metadata(None).await.map_err(|error| bad(error.to_string()))?;
    let rows = u64::try_from(metadata.file_metadata().num_rows()).unwrap_or_default();
    // As queries read it: by Parquet's own types.
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let read = ArrowReaderMetadata::try_new(metadata, options).map_err(|error| bad(error.to_string()))?;
    Ok((Schema::clone(read.schema()), rows))
}

/// Hive's type for one of Arrow's; `None` where there is none.
fn hive_of(kind: &DataType, depth: usize) -> Option<Type> {
    if depth > MAX_DEPTH {
        return None;
    }
    let inside = |field: &Field| hive_of(field.data_type(), depth + 1);
    Some(match kind {
        DataType::Boolean => Type::Boolean,
        DataType::Int8 => Type::TinyInt,
        DataType::Int16 | DataType::UInt8 => Type::SmallInt,
        DataType::Int32 | DataType::UInt16 => Type::Int,
        DataType::Int64 | DataType::UInt32 => Type::BigInt,
        DataType::UInt64 => Type::Decimal { precision: 20, scale: 0 },
        DataType::Float16 | DataType::Float32 => Type::Float,
        DataType::Float64 => Type::Double,
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
        | DataType::Decimal256(precision, scale) => {
            let scale = u8::try_from(*scale).ok().filter(|scale| scale <= precision)?;
            (*precision <= types::MAX_PRECISION).then_some(Type::Decimal { precision: *precision, scale })?
        }
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null => Type::String,
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => Type::Binary,
        DataType::Date32 | DataType::Date64 => Type::Date,
        DataType::Timestamp(..) => Type::Timestamp,
        // As Glue has times of day: the number that is kept.
        DataType::Time32(_) => Type::Int,
        DataType::Time64(_) => Type::BigInt,
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::ListView(item)
        | DataType::LargeListView(item)
        | DataType::FixedSizeList(item, _) => Type::Array(Box::new(inside(item)?)),
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(fields) => match fields.as_ref() {
                [key, value] => Type::Map(Box::new(inside(key)?), Box::new(inside(value)?)),
                _ => return None,
            },
            _ => return None,
        },
        DataType::Struct(fields) if !fields.is_empty() => {
            let field = |field: &Field| Some(types::Field { name: field.name().to_lowercase(), kind: inside(field)? });
            Type::Struct(fields.iter().map(|one| field(one)).collect::<Option<_>>()?)
        }
        DataType::Dictionary(_, value) => hive_of(value, depth)?,
        DataType::RunEndEncoded(_, value) => inside(value)?,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::arrow_of;

    #[test]
    fn types_come_back() {
        for text in [
            "boolean",
            "tinyint",
            "bigint",
            "decimal(11,2)",
            "string",
            "binary",
            "date",
            "timestamp",
            "array<struct<a:int,b:map<string,double>>>",
        ] {
            let kind = Type::parse(text).unwrap();
            assert_eq!(hive_of(&arrow_of(&kind), 1), Some(kind), "{text}");
        }
        assert_eq!(hive_of(&DataType::UInt64, 1).map(|kind| kind.to_string()).as_deref(), Some("decimal(20,0)"));
        assert_eq!(hive_of(&DataType::Decimal256(50, 2), 1), None);
        assert_eq!(hive_of(&DataType::Struct(Vec::<Field>::new().into()), 1), None);
    }
}
