//! Texts and numbers as values of other types.

use arrow::datatypes::{DataType, Field, TimeUnit};
use arrow::util::display::FormatOptions;
use datafusion::common::{DataFusionError, Result, ScalarValue};
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::kind::word;
use super::{cast_failure, zones};
use crate::failure::Problem;

fn failure(text: &str, kind: &DataType) -> DataFusionError {
    let name = match kind {
        DataType::Date32 | DataType::Timestamp(..) | DataType::Time64(_) => {
            let words = format!("Value cannot be cast to {}: {text}", word(&Field::new("", kind.clone(), true)));
            return Problem::Data(format!("INVALID_CAST_ARGUMENT: {words}")).into();
        }
        DataType::Int32 => "INT".to_owned(),
        _ => word(&Field::new("", kind.clone(), true)).to_uppercase(),
    };
    cast_failure(text, &name)
}

/// A text as a value.
///
/// # Errors
/// It is none of that type.
pub fn value(text: &str, kind: &DataType) -> Result<ScalarValue> {
    let bad = || failure(text, kind);
    Ok(match kind {
        DataType::Boolean => ScalarValue::Boolean(Some(match text.to_lowercase().as_str() {
            "true" | "t" | "1" => true,
            "false" | "f" | "0" => false,
            _ => return Err(bad()),
        })),
        DataType::Int8 => ScalarValue::Int8(Some(text.parse().map_err(|_| bad())?)),
        DataType::Int16 => ScalarValue::Int16(Some(text.parse().map_err(|_| bad())?)),
        DataType::Int32 => ScalarValue::Int32(Some(text.parse().map_err(|_| bad())?)),
        DataType::Int64 => ScalarValue::Int64(Some(text.parse().map_err(|_| bad())?)),
        DataType::Float32 => ScalarValue::Float32(Some(double(text).ok_or_else(bad)?)),
        DataType::Float64 => ScalarValue::Float64(Some(double(text).ok_or_else(bad)?)),
        DataType::Date32 => {
            let shown = moment(text.trim()).filter(|(_, has_time, zone)| !has_time && zone.is_none());
            let days = zones::days(shown.ok_or_else(bad)?.0.date())?;
            ScalarValue::Date32(Some(i32::try_from(days).map_err(|_| bad())?))
        }
        DataType::Timestamp(TimeUnit::Microsecond, zone) => {
            let (shown, _, given) = moment(text.trim()).ok_or_else(bad)?;
            if zone.is_none() {
                return Ok(ScalarValue::TimestampMicrosecond(Some(zones::micros(shown)?), None));
            }
            let time = given.unwrap_or(TimeZone::UTC).to_timestamp(shown).map_err(|_| bad())?;
            ScalarValue::TimestampMicrosecond(Some(time.as_microsecond()), zone.clone())
        }
        _ => {
            let array = ScalarValue::Utf8(Some(text.trim().to_owned())).to_array()?;
            let options = arrow::compute::CastOptions { safe: false, format_options: FormatOptions::default() };
            let array = arrow::compute::cast_with_options(&array, kind, &options).map_err(|_| bad())?;
            ScalarValue::try_from_array(&array, 0)?
        }
    })
}

/// As Java reads them: `1.5`, `-1e3`, `Infinity`, `NaN`, blanks around.
fn double<F: std::str::FromStr>(text: &str) -> Option<F> {
    let text = text.trim();
    let bare = text.trim_start_matches(['+', '-']);
    let is_number = bare.starts_with(|first: char| first.is_ascii_digit() || first == '.');
    if is_number || matches!(bare, "Infinity" | "NaN") { text.parse().ok() } else { None }
}

/// `2001-08-22 03:04:05.321 America/Los_Angeles`, all but the date at will: what is shown, whether there is a time, the zone.
pub fn moment(text: &str) -> Option<(DateTime, bool, Option<TimeZone>)> {
    let (date, rest) = text.split_once([' ', 'T']).unwrap_or((text, ""));
    let (sign, bare) = date.strip_prefix('-').map_or((1, date), |bare| (-1, bare));
    let mut numbers = bare.split('-').map(|part| part.parse::<u16>().ok());
    let (year, month, day) = (numbers.next()??, numbers.next()??, numbers.next()??);
    if numbers.next().is_some() {
        return None;
    }
    let small = |number: u16| i8::try_from(number).ok();
    let date = jiff::civil::Date::new(sign * i16::try_from(year).ok()?, small(month)?, small(day)?).ok()?;
    let rest = rest.trim();
    let end =
        rest.find(|letter: char| !(letter.is_ascii_digit() || letter == ':' || letter == '.')).unwrap_or(rest.len());
    let (time, zone) = rest.split_at(end);
    let zone = if zone.trim().is_empty() { None } else { Some(zones::zone(zone.trim()).ok()?) };
    if time.is_empty() {
        return Some((date.to_datetime(jiff::civil::Time::midnight()), false, zone));
    }
    let mut parts = time.splitn(3, ':');
    let (hour, minute) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    let (second, fraction) = parts.next().map_or(("0", "0"), |part| part.split_once('.').unwrap_or((part, "0")));
    if fraction.is_empty() || !fraction.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let nanos: i32 = format!("{fraction:0<9.9}").parse().ok()?;
    let time = jiff::civil::Time::new(hour, minute, second.parse().ok()?, nanos).ok()?;
    Some((date.to_datetime(time), true, zone))
}

/// A floating-point number, rounded half away from zero.
///
/// # Errors
/// It is out of the type's range.
pub fn from_double(value: f64, kind: &DataType) -> Result<ScalarValue> {
    let bad = || failure(&value.to_string(), kind);
    if !value.is_finite() {
        return Err(bad());
    }
    if let DataType::Decimal128(..) = kind {
        // The shortest digits that are the number.
        let digits = ScalarValue::Utf8(Some(value.to_string())).to_array()?;
        let options = arrow::compute::CastOptions { safe: false, ..Default::default() };
        let array = arrow::compute::cast_with_options(&digits, kind, &options).map_err(|_| bad())?;
        return ScalarValue::try_from_array(&array, 0);
    }
    let rounded = value.round();
    if !(-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&rounded) {
        return Err(bad());
    }
    #[allow(clippy::cast_possible_truncation)] // Looked at above.
    let whole = rounded as i64;
    Ok(match kind {
        DataType::Int8 => ScalarValue::Int8(Some(i8::try_from(whole).map_err(|_| bad())?)),
        DataType::Int16 => ScalarValue::Int16(Some(i16::try_from(whole).map_err(|_| bad())?)),
        DataType::Int32 => ScalarValue::Int32(Some(i32::try_from(whole).map_err(|_| bad())?)),
        _ => ScalarValue::Int64(Some(whole)),
    })
}

/// The zone at the end of a timestamp's text.
pub fn literal_zone(text: &str) -> Option<&str> {
    moment(text.trim())?.2?;
    let rest = text.trim().split_once([' ', 'T'])?.1;
    let at = rest.find(|letter: char| !(letter.is_ascii_digit() || letter == ':' || letter == '.'))?;
    rest.get(at..).map(str::trim)
}
