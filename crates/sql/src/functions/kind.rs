//! Types of what simple functions take and give, and the values of a row.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Date32Array, Float64Array, Int64Array, LargeStringArray, StringArray,
    TimestampMicrosecondArray,
};
use arrow::datatypes::{
    DataType, Date32Type, Field, FieldRef, Float64Type, Int64Type, TimeUnit, TimestampMicrosecondType,
};
use datafusion::common::{DataFusionError, Result};
use jiff::tz::TimeZone;

use super::{json, zones};
use crate::types;

/// A type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Bool,
    Bigint,
    Double,
    Text,
    Date,
    /// A timestamp without a zone.
    Time,
    /// A point in time: a timestamp with a zone.
    Zoned,
    Json,
}

/// The zone of points in time.
pub const UTC: &str = "UTC";

/// A type in Trino's words.
pub fn word(field: &Field) -> String {
    types::described(field).kind
}

impl Kind {
    pub fn arrow(self) -> DataType {
        match self {
            Self::Bool => DataType::Boolean,
            Self::Bigint => DataType::Int64,
            Self::Double => DataType::Float64,
            Self::Text => DataType::Utf8,
            Self::Json => json::JSON,
            Self::Date => DataType::Date32,
            Self::Time => DataType::Timestamp(TimeUnit::Microsecond, None),
            Self::Zoned => DataType::Timestamp(TimeUnit::Microsecond, Some(UTC.into())),
        }
    }

    /// What a function that gives it has for a column.
    pub fn field(self, name: &str) -> FieldRef {
        Arc::new(Field::new(name, self.arrow(), true))
    }

    pub fn word(self) -> &'static str {
        match self {
            Self::Bool => "boolean",
            Self::Bigint => "bigint",
            Self::Double => "double",
            Self::Text => "varchar",
            Self::Date => "date",
            Self::Time => "timestamp",
            Self::Zoned => "timestamp with time zone",
            Self::Json => "json",
        }
    }

    /// How far a value of that type is from this one; none where Trino would not take it.
    pub fn cost(self, field: &Field) -> Option<u32> {
        let given = field.data_type();
        if given.is_null() {
            return Some(1);
        }
        let is_json = json::is_json(field);
        let decimal = matches!(given, DataType::Decimal128(..) | DataType::Decimal256(..));
        match self {
            Self::Bool => matches!(given, DataType::Boolean).then_some(0),
            Self::Bigint => match given {
                DataType::Int64 => Some(0),
                _ if given.is_integer() => Some(1),
                _ => None,
            },
            Self::Double => match given {
                DataType::Float64 => Some(0),
                _ if given.is_floating() => Some(1),
                _ if decimal => Some(3),
                _ => given.is_integer().then_some(4),
            },
            Self::Json => is_json.then_some(0),
            Self::Text => (given.is_string() && !is_json).then_some(0),
            Self::Date => matches!(given, DataType::Date32).then_some(0),
            Self::Time => match given {
                DataType::Timestamp(_, None) => Some(0),
                DataType::Date32 => Some(2),
                _ => None,
            },
            Self::Zoned => match given {
                DataType::Timestamp(_, Some(_)) => Some(0),
                DataType::Timestamp(_, None) => Some(5),
                DataType::Date32 => Some(6),
                _ => None,
            },
        }
    }
}

/// A value that is not NULL.
#[derive(Clone, Debug)]
pub enum Value<'a> {
    Bool(bool),
    Int(i64),
    Double(f64),
    Text(&'a str),
    /// Days since 1970.
    Date(i32),
    /// Microseconds since 1970 on a clock without a zone.
    Time(i64),
    /// Microseconds since 1970 in UTC, and whose clock shows them.
    Point(i64, &'a TimeZone),
}

/// What a function gives; dates and times as in [`Value`].
#[derive(Clone, Debug, PartialEq)]
pub enum Out {
    Null,
    Bool(bool),
    Int(i64),
    Double(f64),
    Text(String),
}

impl<'a> Value<'a> {
    pub fn text(&self) -> &'a str {
        if let Self::Text(text) = self { text } else { "" }
    }

    pub fn int(&self) -> i64 {
        match self {
            Self::Int(value) => *value,
            Self::Bool(value) => i64::from(*value),
            _ => 0,
        }
    }

    pub fn double(&self) -> f64 {
        if let Self::Double(value) = self { *value } else { 0.0 }
    }
}

/// The values of an argument; one for all rows where it is constant.
#[derive(Debug)]
pub struct Cells {
    array: ArrayRef,
    kind: Kind,
    zone: TimeZone,
    one: bool,
}

impl Cells {
    /// `given` is the argument before it was cast.
    pub fn new(array: &ArrayRef, kind: Kind, given: &DataType, one: bool) -> Result<Self> {
        let zone = match given {
            DataType::Timestamp(_, Some(zone)) => zones::zone(zone)?,
            _ => TimeZone::UTC,
        };
        if *array.data_type() != kind.arrow() {
            let words = format!("{} where {} is due", array.data_type(), kind.word());
            return Err(DataFusionError::Internal(words));
        }
        Ok(Self { array: Arc::clone(array), kind, zone, one })
    }

    pub fn value(&self, row: usize) -> Option<Value<'_>> {
        let row = if self.one { 0 } else { row };
        if self.array.is_null(row) {
            return None;
        }
        let array = &self.array;
        Some(match self.kind {
            Kind::Bool => Value::Bool(array.as_boolean().value(row)),
            Kind::Bigint => Value::Int(array.as_primitive::<Int64Type>().value(row)),
            Kind::Double => Value::Double(array.as_primitive::<Float64Type>().value(row)),
            Kind::Text => Value::Text(array.as_string::<i32>().value(row)),
            Kind::Json => Value::Text(array.as_string::<i64>().value(row)),
            Kind::Date => Value::Date(array.as_primitive::<Date32Type>().value(row)),
            Kind::Time => Value::Time(array.as_primitive::<TimestampMicrosecondType>().value(row)),
            Kind::Zoned => Value::Point(array.as_primitive::<TimestampMicrosecondType>().value(row), &self.zone),
        })
    }
}

/// The values that a function gives.
#[derive(Debug)]
pub struct Gathered {
    kind: Kind,
    outs: Vec<Out>,
}

impl Gathered {
    pub fn new(kind: Kind, rows: usize) -> Self {
        Self { kind, outs: Vec::with_capacity(rows) }
    }

    pub fn push(&mut self, out: Out) {
        self.outs.push(out);
    }

    fn ints(&self) -> impl Iterator<Item = Option<i64>> {
        self.outs.iter().map(|out| if let Out::Int(value) = out { Some(*value) } else { None })
    }

    fn texts(&self) -> impl Iterator<Item = Option<&str>> {
        self.outs.iter().map(|out| if let Out::Text(text) = out { Some(text.as_str()) } else { None })
    }

    fn small(&self) -> impl Iterator<Item = Option<i32>> {
        self.ints().map(|value| value.and_then(|value| i32::try_from(value).ok()))
    }

    pub fn finish(self) -> Result<ArrayRef> {
        Ok(match self.kind {
            Kind::Bool => {
                let of = |out: &Out| if let Out::Bool(value) = out { Some(*value) } else { None };
                Arc::new(self.outs.iter().map(of).collect::<BooleanArray>())
            }
            Kind::Bigint => Arc::new(self.ints().collect::<Int64Array>()),
            Kind::Date => Arc::new(self.small().collect::<Date32Array>()),
            Kind::Time | Kind::Zoned => {
                let times: TimestampMicrosecondArray = self.ints().collect();
                Arc::new(times.with_data_type(self.kind.arrow()))
            }
            Kind::Double => {
                let of = |out: &Out| if let Out::Double(value) = out { Some(*value) } else { None };
                Arc::new(self.outs.iter().map(of).collect::<Float64Array>())
            }
            Kind::Text => Arc::new(self.texts().collect::<StringArray>()),
            Kind::Json => Arc::new(self.texts().collect::<LargeStringArray>()),
        })
    }
}
