//! Results as a Parquet file, on the side of who asked: rows of text, as Athena's API gives them, under the types that it tells.

use std::io::Write;
use std::sync::Arc;

use arrow::array::{ArrayRef, BinaryArray, Float32Array, Float64Array, RecordBatch, StringArray};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::basic::Compression;
use datafusion::parquet::file::properties::WriterProperties;
use millpond_query::Column;

/// Digits of the widest decimal.
const MAX_PRECISION: u32 = 38;

/// Why there is no file.
#[derive(Debug, thiserror::Error)]
pub enum ParquetError {
    /// A value is not of the type that its column is said to have.
    #[error("column {column} is of type {kind}, and a value of it is none: {why}")]
    Value {
        /// The column.
        column: String,
        /// Its type.
        kind: String,
        /// What is wrong.
        why: String,
    },
    /// It could not be written.
    #[error("{0}")]
    Written(String),
}

/// Writes rows into a file.
pub struct ParquetFile<W: Write + Send> {
    columns: Vec<Column>,
    schema: SchemaRef,
    writer: ArrowWriter<W>,
}

fn written(error: impl std::fmt::Display) -> ParquetError {
    ParquetError::Written(error.to_string())
}

/// Types in Athena's words as Arrow has them. What is nested stays text, as the API gives it.
fn arrow_of(column: &Column) -> DataType {
    match column.kind.as_str() {
        "boolean" => DataType::Boolean,
        "tinyint" => DataType::Int8,
        "smallint" => DataType::Int16,
        "integer" => DataType::Int32,
        "bigint" => DataType::Int64,
        "float" | "real" => DataType::Float32,
        "double" => DataType::Float64,
        "decimal" => {
            let precision = column.precision.clamp(1, MAX_PRECISION);
            let digits = |digits: u32| u8::try_from(digits).unwrap_or(38);
            DataType::Decimal128(digits(precision), digits(column.scale.min(precision)).cast_signed())
        }
        "date" => DataType::Date32,
        "timestamp" => DataType::Timestamp(TimeUnit::Millisecond, None),
        "timestamp with time zone" => DataType::Timestamp(TimeUnit::Millisecond, Some("+00:00".into())),
        "varbinary" => DataType::Binary,
        _ => DataType::Utf8,
    }
}

/// Bytes in hexadecimal with blanks between them.
fn bytes(text: &str) -> Result<Vec<u8>, String> {
    let byte = |pair: &str| u8::from_str_radix(pair, 16).map_err(|_| format!("{pair:?} is no byte"));
    text.split(' ').filter(|pair| !pair.is_empty()).map(byte).collect()
}

/// A column of texts as an array of its type.
fn array(kind: &DataType, texts: &[Option<&str>]) -> Result<ArrayRef, String> {
    let float = |text: &str| text.parse::<f64>().map_err(|_| format!("{text:?} is no number"));
    match kind {
        DataType::Utf8 => Ok(Arc::new(texts.iter().copied().collect::<StringArray>())),
        // Texts such as Infinity are numbers to Rust, and not all of them to Arrow.
        DataType::Float64 => {
            let values: Result<Float64Array, _> = texts.iter().map(|text| text.map(float).transpose()).collect();
            Ok(Arc::new(values?))
        }
        DataType::Float32 => {
            #[expect(clippy::cast_possible_truncation, reason = "the text is of a float")]
            let narrow = |text: &str| float(text).map(|value| value as f32);
            let values: Result<Float32Array, _> = texts.iter().map(|text| text.map(narrow).transpose()).collect();
            Ok(Arc::new(values?))
        }
        DataType::Binary => {
            let values: Result<Vec<_>, _> = texts.iter().map(|text| text.map(bytes).transpose()).collect();
            Ok(Arc::new(BinaryArray::from_iter(values?)))
        }
        DataType::Timestamp(_, Some(_)) => {
            let zoned: Vec<_> = texts.iter().map(|text| text.map(|text| text.replace(" UTC", "Z"))).collect();
            cast(kind, zoned.iter().map(Option::as_deref).collect())
        }
        _ => cast(kind, texts.iter().copied().collect()),
    }
}

fn cast(kind: &DataType, texts: StringArray) -> Result<ArrayRef, String> {
    let strict = CastOptions { safe: false, ..CastOptions::default() };
    cast_with_options(&texts, kind, &strict).map_err(|error| error.to_string())
}

impl<W: Write + Send> ParquetFile<W> {
    /// A file with these columns, compressed with Snappy.
    ///
    /// # Errors
    /// See [`ParquetError`].
    pub fn new(columns: Vec<Column>, out: W) -> Result<Self, ParquetError> {
        let field = |column: &Column| Field::new(&column.name, arrow_of(column), true);
        let schema = Arc::new(Schema::new(columns.iter().map(field).collect::<Vec<_>>()));
        let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
        let writer = ArrowWriter::try_new(out, Arc::clone(&schema), Some(properties)).map_err(written)?;
        Ok(Self { columns, schema, writer })
    }

    /// Writes rows; `None` is NULL.
    ///
    /// # Errors
    /// See [`ParquetError`].
    pub fn write(&mut self, rows: &[Vec<Option<String>>]) -> Result<(), ParquetError> {
        if rows.is_empty() || self.columns.is_empty() {
            return Ok(());
        }
        let mut arrays = Vec::with_capacity(self.columns.len());
        for (at, (column, field)) in self.columns.iter().zip(self.schema.fields()).enumerate() {
            let texts: Vec<_> = rows.iter().map(|row| row.get(at).and_then(Option::as_deref)).collect();
            let wrong = |why| ParquetError::Value { column: column.name.clone(), kind: column.kind.clone(), why };
            arrays.push(array(field.data_type(), &texts).map_err(wrong)?);
        }
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), arrays).map_err(written)?;
        self.writer.write(&batch).map_err(written)
    }

    /// Writes the end.
    ///
    /// # Errors
    /// See [`ParquetError`].
    pub fn finish(self) -> Result<W, ParquetError> {
        self.writer.into_inner().map_err(written)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_become_values() {
        for (kind, text, shown) in [
            ("bigint", "-7", "-7"),
            ("boolean", "true", "true"),
            ("double", "-Infinity", "-inf"),
            ("decimal", "12.50", "12.50"),
            ("date", "2013-01-31", "2013-01-31"),
            ("timestamp", "2013-01-31 05:06:07.890", "2013-01-31T05:06:07.890"),
            ("timestamp with time zone", "2013-01-31 05:06:07.890 UTC", "2013-01-31T05:06:07.890Z"),
            ("varbinary", "68 69", "6869"),
            ("array", "[1, 2]", "[1, 2]"),
        ] {
            let column = Column { name: "c".into(), kind: kind.into(), precision: 10, scale: 2 };
            let array = array(&arrow_of(&column), &[Some(text), None]).unwrap();
            assert_eq!(arrow::util::display::array_value_to_string(&array, 0).unwrap(), shown, "{kind}");
            assert!(array.is_null(1), "{kind}");
        }
        assert!(array(&DataType::Int64, &[Some("x")]).is_err());
    }
}
