//! Values as Java's formatter is given them.

use arrow::datatypes::{DataType, Decimal128Type, DecimalType, TimeUnit};
use datafusion::common::{Result, ScalarValue};
use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;

use crate::functions::argument;
use crate::functions::rows::text;
use crate::functions::zones;

/// Microseconds of a day.
const DAY: i64 = 86_400_000_000;
/// The most digits of a decimal.
const MAX_DIGITS: u8 = 38;

/// A value.
#[derive(Clone, Debug)]
pub enum Given {
    Null,
    Bool(bool),
    Long(i64),
    Float(f32),
    Double(f64),
    /// Digits, and how many of them stand behind the point.
    Decimal(i128, i8),
    Text(String),
    Date(Date),
    Time(Time),
    DateTime(DateTime),
    Point(Timestamp, TimeZone),
}

impl Given {
    /// Whether values of a type can be formatted.
    pub fn is_possible(kind: &DataType) -> bool {
        match kind {
            DataType::Null | DataType::Boolean | DataType::Float32 | DataType::Float64 | DataType::Date32 => true,
            DataType::Decimal128(..) | DataType::Timestamp(..) | DataType::Time64(TimeUnit::Microsecond) => true,
            other => other.is_signed_integer() || other.is_string(),
        }
    }

    pub fn of(value: &ScalarValue) -> Result<Self> {
        if value.is_null() {
            return Ok(Self::Null);
        }
        Ok(match value {
            ScalarValue::Boolean(Some(value)) => Self::Bool(*value),
            ScalarValue::Int8(Some(value)) => Self::Long((*value).into()),
            ScalarValue::Int16(Some(value)) => Self::Long((*value).into()),
            ScalarValue::Int32(Some(value)) => Self::Long((*value).into()),
            ScalarValue::Int64(Some(value)) => Self::Long(*value),
            ScalarValue::Float32(Some(value)) => Self::Float(*value),
            ScalarValue::Float64(Some(value)) => Self::Double(*value),
            ScalarValue::Decimal128(Some(value), _, scale) => Self::Decimal(*value, *scale),
            ScalarValue::Date32(Some(days)) => Self::Date(zones::clock(i64::from(*days).saturating_mul(DAY))?.date()),
            ScalarValue::Time64Microsecond(Some(micros)) => Self::Time(zones::clock(*micros)?.time()),
            ScalarValue::TimestampMicrosecond(Some(micros), None) => Self::DateTime(zones::clock(*micros)?),
            ScalarValue::TimestampMicrosecond(Some(micros), Some(zone)) => {
                Self::Point(Timestamp::from_microsecond(*micros).map_err(argument)?, zones::zone(zone)?)
            }
            other => Self::Text(text(other)?.unwrap_or_default()),
        })
    }

    /// What Java calls its type.
    pub fn class(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "java.lang.Boolean",
            Self::Long(_) => "java.lang.Long",
            Self::Float(_) => "java.lang.Float",
            Self::Double(_) => "java.lang.Double",
            Self::Decimal(..) => "java.math.BigDecimal",
            Self::Text(_) => "java.lang.String",
            Self::Date(_) => "java.time.LocalDate",
            Self::Time(_) => "java.time.LocalTime",
            Self::DateTime(_) => "java.time.LocalDateTime",
            Self::Point(..) => "java.time.ZonedDateTime",
        }
    }

    /// As Java's `toString` has it.
    pub fn text(&self) -> String {
        match self {
            Self::Null => "null".to_owned(),
            Self::Bool(value) => value.to_string(),
            Self::Long(value) => value.to_string(),
            Self::Float(value) => crate::result::float_text(&format!("{value:e}")),
            Self::Double(value) => crate::result::float_text(&format!("{value:e}")),
            Self::Decimal(digits, scale) => Decimal128Type::format_decimal(*digits, MAX_DIGITS, *scale),
            Self::Text(text) => text.clone(),
            Self::Date(date) => date.to_string(),
            Self::Time(time) => clock(*time),
            Self::DateTime(time) => format!("{}T{}", time.date(), clock(time.time())),
            Self::Point(time, zone) => {
                let shown = zone.to_datetime(*time);
                let offset = match zone.to_offset(*time).seconds() {
                    0 => "Z".to_owned(),
                    seconds => zones::offset_text(seconds),
                };
                let name = if *zone == TimeZone::UTC { Some("UTC") } else { zone.iana_name() };
                let name = name.map_or_else(String::new, |name| format!("[{name}]"));
                format!("{}T{}{offset}{name}", shown.date(), clock(shown.time()))
            }
        }
    }
}

/// Seconds and their parts where they are not 0.
fn clock(time: Time) -> String {
    let mut text = format!("{:02}:{:02}", time.hour(), time.minute());
    let nanos = time.subsec_nanosecond();
    if time.second() != 0 || nanos != 0 {
        text.push_str(&format!(":{:02}", time.second()));
    }
    if nanos != 0 {
        let digits = format!("{nanos:09}");
        let cut = if nanos % 1_000_000 == 0 {
            3
        } else if nanos % 1000 == 0 {
            6
        } else {
            9
        };
        text.push('.');
        text.push_str(digits.get(..cut).unwrap_or(&digits));
    }
    text
}
