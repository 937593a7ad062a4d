//! Columns that grow value by value.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryViewBuilder, BooleanBuilder, Date32Builder, Decimal128Builder, Float32Builder, Float64Builder,
    Int8Builder, Int16Builder, Int32Builder, Int64Builder, ListArray, MapArray, NullBufferBuilder, StringViewBuilder,
    StructArray, TimestampMicrosecondBuilder,
};
use arrow::buffer::{OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{DataType, Fields};
use arrow::error::ArrowError;
use millpond_hive::types::Type;

use crate::types::arrow_of;

/// A column that grows.
pub enum Builder {
    Boolean(BooleanBuilder),
    TinyInt(Int8Builder),
    SmallInt(Int16Builder),
    Int(Int32Builder),
    BigInt(Int64Builder),
    Float(Float32Builder),
    Double(Float64Builder),
    Decimal(Decimal128Builder, u8, u8),
    /// With the most characters of a value.
    Text(StringViewBuilder, Option<u16>),
    Bytes(BinaryViewBuilder),
    Date(Date32Builder),
    Timestamp(TimestampMicrosecondBuilder),
    List(Box<Lists>),
    Map(Box<Maps>),
    Struct(Box<Rows>),
}

/// Offsets and which are NULL.
pub struct Spans {
    offsets: Vec<i32>,
    valid: NullBufferBuilder,
}

/// Lists.
pub struct Lists {
    pub items: Builder,
    pub spans: Spans,
    kind: DataType,
}

/// Maps.
pub struct Maps {
    pub keys: Builder,
    pub values: Builder,
    pub spans: Spans,
    kind: DataType,
}

/// Rows of fields.
pub struct Rows {
    pub names: Vec<String>,
    pub columns: Vec<Builder>,
    pub valid: NullBufferBuilder,
    fields: Fields,
}

/// Entries that an empty builder has room for.
const ROOM: usize = 1024;

impl Spans {
    fn new() -> Self {
        Self { offsets: vec![0], valid: NullBufferBuilder::new(ROOM) }
    }

    /// Ends the list or map that has grown to so many entries, all of them together.
    pub fn end(&mut self, entries: usize, is_there: bool) -> Result<(), ArrowError> {
        let entries = i32::try_from(entries).map_err(|_| ArrowError::OffsetOverflowError(entries))?;
        self.offsets.push(entries);
        self.valid.append(is_there);
        Ok(())
    }

    fn finish(&mut self) -> (OffsetBuffer<i32>, Option<arrow::buffer::NullBuffer>) {
        let offsets = std::mem::replace(&mut self.offsets, vec![0]);
        (OffsetBuffer::new(ScalarBuffer::from(offsets)), self.valid.finish())
    }
}

impl Builder {
    /// An empty column.
    pub fn new(kind: &Type) -> Self {
        match kind {
            Type::Boolean => Self::Boolean(BooleanBuilder::new()),
            Type::TinyInt => Self::TinyInt(Int8Builder::new()),
            Type::SmallInt => Self::SmallInt(Int16Builder::new()),
            Type::Int => Self::Int(Int32Builder::new()),
            Type::BigInt => Self::BigInt(Int64Builder::new()),
            Type::Float => Self::Float(Float32Builder::new()),
            Type::Double => Self::Double(Float64Builder::new()),
            Type::Decimal { precision, scale } => {
                let builder = Decimal128Builder::new().with_data_type(arrow_of(kind));
                Self::Decimal(builder, *precision, *scale)
            }
            Type::Char(length) | Type::Varchar(length) => Self::Text(StringViewBuilder::new(), Some(*length)),
            Type::String => Self::Text(StringViewBuilder::new(), None),
            Type::Binary => Self::Bytes(BinaryViewBuilder::new()),
            Type::Date => Self::Date(Date32Builder::new()),
            Type::Timestamp => Self::Timestamp(TimestampMicrosecondBuilder::new()),
            Type::Array(item) => {
                let (items, kind) = (Self::new(item), arrow_of(kind));
                Self::List(Box::new(Lists { items, spans: Spans::new(), kind }))
            }
            Type::Map(key, value) => {
                let (keys, values, kind) = (Self::new(key), Self::new(value), arrow_of(kind));
                Self::Map(Box::new(Maps { keys, values, spans: Spans::new(), kind }))
            }
            Type::Struct(fields) => Self::Struct(Box::new(Rows {
                names: fields.iter().map(|field| field.name.clone()).collect(),
                columns: fields.iter().map(|field| Self::new(&field.kind)).collect(),
                valid: NullBufferBuilder::new(ROOM),
                fields: match arrow_of(kind) {
                    DataType::Struct(fields) => fields,
                    _ => Fields::empty(),
                },
            })),
        }
    }

    /// How many values there are.
    pub fn len(&self) -> usize {
        use arrow::array::ArrayBuilder;
        match self {
            Self::Boolean(b) => b.len(),
            Self::TinyInt(b) => b.len(),
            Self::SmallInt(b) => b.len(),
            Self::Int(b) => b.len(),
            Self::BigInt(b) => b.len(),
            Self::Float(b) => b.len(),
            Self::Double(b) => b.len(),
            Self::Decimal(b, ..) => b.len(),
            Self::Text(b, _) => b.len(),
            Self::Bytes(b) => b.len(),
            Self::Date(b) => b.len(),
            Self::Timestamp(b) => b.len(),
            Self::List(lists) => lists.spans.offsets.len() - 1,
            Self::Map(maps) => maps.spans.offsets.len() - 1,
            Self::Struct(rows) => rows.valid.len(),
        }
    }

    /// Adds a NULL.
    pub fn null(&mut self) -> Result<(), ArrowError> {
        match self {
            Self::Boolean(b) => b.append_null(),
            Self::TinyInt(b) => b.append_null(),
            Self::SmallInt(b) => b.append_null(),
            Self::Int(b) => b.append_null(),
            Self::BigInt(b) => b.append_null(),
            Self::Float(b) => b.append_null(),
            Self::Double(b) => b.append_null(),
            Self::Decimal(b, ..) => b.append_null(),
            Self::Text(b, _) => b.append_null(),
            Self::Bytes(b) => b.append_null(),
            Self::Date(b) => b.append_null(),
            Self::Timestamp(b) => b.append_null(),
            Self::List(lists) => lists.spans.end(lists.items.len(), false)?,
            Self::Map(maps) => maps.spans.end(maps.keys.len(), false)?,
            Self::Struct(rows) => {
                rows.columns.iter_mut().try_for_each(Self::null)?;
                rows.valid.append_null();
            }
        }
        Ok(())
    }

    /// The column so far; what follows is another.
    pub fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        Ok(match self {
            Self::Boolean(b) => Arc::new(b.finish()),
            Self::TinyInt(b) => Arc::new(b.finish()),
            Self::SmallInt(b) => Arc::new(b.finish()),
            Self::Int(b) => Arc::new(b.finish()),
            Self::BigInt(b) => Arc::new(b.finish()),
            Self::Float(b) => Arc::new(b.finish()),
            Self::Double(b) => Arc::new(b.finish()),
            Self::Decimal(b, ..) => Arc::new(b.finish()),
            Self::Text(b, _) => Arc::new(b.finish()),
            Self::Bytes(b) => Arc::new(b.finish()),
            Self::Date(b) => Arc::new(b.finish()),
            Self::Timestamp(b) => Arc::new(b.finish()),
            Self::List(lists) => lists.finish()?,
            Self::Map(maps) => maps.finish()?,
            Self::Struct(rows) => rows.finish()?,
        })
    }
}

impl Lists {
    fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        let DataType::List(item) = &self.kind else { return Err(ArrowError::SchemaError("no list".to_owned())) };
        let (offsets, valid) = self.spans.finish();
        Ok(Arc::new(ListArray::try_new(Arc::clone(item), offsets, self.items.finish()?, valid)?))
    }
}

impl Maps {
    fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        let DataType::Map(entry, ordered) = &self.kind else {
            return Err(ArrowError::SchemaError("no map".to_owned()));
        };
        let DataType::Struct(fields) = entry.data_type() else {
            return Err(ArrowError::SchemaError("no map".to_owned()));
        };
        let entries = StructArray::try_new(fields.clone(), vec![self.keys.finish()?, self.values.finish()?], None)?;
        let (offsets, valid) = self.spans.finish();
        Ok(Arc::new(MapArray::try_new(Arc::clone(entry), offsets, entries, valid, *ordered)?))
    }
}

impl Rows {
    fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        let columns: Result<Vec<ArrayRef>, ArrowError> = self.columns.iter_mut().map(Builder::finish).collect();
        Ok(Arc::new(StructArray::try_new(self.fields.clone(), columns?, self.valid.finish())?))
    }
}
