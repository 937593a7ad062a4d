//! Intervals: as differences of dates and times, added to dates, multiplied, and as text.
//!
//! Trino documentation, "Date and time functions and operators".

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Date32Array, IntervalMonthDayNanoArray, Time64MicrosecondArray};
use arrow::datatypes::{
    DataType, Date32Type, Float64Type, Int64Type, IntervalMonthDayNano, IntervalMonthDayNanoType, IntervalUnit,
    Time64MicrosecondType, TimeUnit,
};
use datafusion::common::{DataFusionError, Result};

use super::arithmetic::by_zero;
use super::simple::strictly;
use super::zones::{clock, days};
use super::{argument, out_of_range};
use crate::failure::Problem;

/// What intervals are held in.
pub const INTERVAL: DataType = DataType::Interval(IntervalUnit::MonthDayNano);
/// What times of a day are held in.
const TIME: DataType = DataType::Time64(TimeUnit::Microsecond);
/// Nanoseconds of a day.
const DAY: i128 = 86_400_000_000_000;

fn is_interval(kind: &DataType) -> bool {
    matches!(kind, DataType::Interval(_) | DataType::Duration(_))
}

fn is_moment(kind: &DataType) -> bool {
    matches!(kind, DataType::Date32 | DataType::Timestamp(..))
}

/// The type of a result; `None` for what the engine does.
pub fn result(name: &str, left: &DataType, right: &DataType) -> Option<DataType> {
    match name {
        "$plus" if *left == DataType::Date32 && is_interval(right) => Some(DataType::Date32),
        "$plus" if is_interval(left) && *right == DataType::Date32 => Some(DataType::Date32),
        "$minus" if *left == DataType::Date32 && is_interval(right) => Some(DataType::Date32),
        "$minus" if is_moment(left) && is_moment(right) => Some(INTERVAL),
        "$times" if is_interval(left) && right.is_numeric() || left.is_numeric() && is_interval(right) => {
            Some(INTERVAL)
        }
        "$divide" if is_interval(left) && right.is_numeric() => Some(INTERVAL),
        "$plus" | "$minus" if is_interval(left) && is_interval(right) => Some(INTERVAL),
        "$plus" | "$minus" if *left == TIME && is_interval(right) => Some(TIME),
        "$plus" if is_interval(left) && *right == TIME => Some(TIME),
        _ => None,
    }
}

fn overflow() -> DataFusionError {
    out_of_range("interval overflow")
}

/// Days and what they are made of, without months.
fn total(interval: IntervalMonthDayNano) -> i128 {
    i128::from(interval.days) * DAY + i128::from(interval.nanoseconds)
}

fn of_total(months: i64, total: i128) -> Result<IntervalMonthDayNano> {
    let months = i32::try_from(months).map_err(|_| overflow())?;
    let days = i32::try_from(total / DAY).map_err(|_| overflow())?;
    let nanos = i64::try_from(total % DAY).map_err(|_| overflow())?;
    Ok(IntervalMonthDayNano::new(months, days, nanos))
}

fn intervals(array: &ArrayRef) -> Result<IntervalMonthDayNanoArray> {
    Ok(strictly(array, &INTERVAL)?.as_primitive::<IntervalMonthDayNanoType>().clone())
}

/// What an operator gives, of the type that [`result`] tells.
///
/// # Errors
/// A result is beyond all that are known.
pub fn work(name: &str, left: &ArrayRef, right: &ArrayRef) -> Result<ArrayRef> {
    let sign = if name == "$minus" { -1 } else { 1 };
    match (is_interval(left.data_type()), is_interval(right.data_type())) {
        (false, false) => differences(left, right),
        (true, true) => together(left, right, sign),
        (false, true) if *left.data_type() == DataType::Date32 => moved(left, right, sign.into()),
        (true, false) if *right.data_type() == DataType::Date32 => moved(right, left, 1),
        (false, true) if *left.data_type() == TIME => turned(left, right, sign),
        (true, false) if *right.data_type() == TIME => turned(right, left, 1),
        (true, false) => scaled(left, right, name == "$divide"),
        _ => scaled(right, left, false),
    }
}

/// Sums or differences. Trino has two types: of months, and of days and less.
fn together(left: &ArrayRef, right: &ArrayRef, sign: i8) -> Result<ArrayRef> {
    let one = |left: IntervalMonthDayNano, right: IntervalMonthDayNano| {
        let (left_total, right_total) = (total(left), total(right));
        if left.months != 0 && right_total != 0 || right.months != 0 && left_total != 0 {
            let words = "TYPE_MISMATCH: interval year to month and interval day to second are not added up".to_owned();
            return Err(Problem::Statement(words).into());
        }
        of_total(
            i64::from(left.months) + i64::from(sign) * i64::from(right.months),
            left_total + i128::from(sign) * right_total,
        )
    };
    let (left, right) = (intervals(left)?, intervals(right)?);
    let made: Result<IntervalMonthDayNanoArray> = left
        .iter()
        .zip(&right)
        .map(|pair| if let (Some(left), Some(right)) = pair { one(left, right).map(Some) } else { Ok(None) })
        .collect();
    Ok(Arc::new(made?))
}

/// Times later on the clock, or earlier where the sign is -1.
fn turned(times: &ArrayRef, by: &ArrayRef, sign: i8) -> Result<ArrayRef> {
    let one = |time: i64, by: IntervalMonthDayNano| -> Result<i64> {
        if by.months != 0 {
            let words = "TYPE_MISMATCH: Cannot apply operator: time + interval year to month".to_owned();
            return Err(Problem::Statement(words).into());
        }
        let micros = i128::from(time) + i128::from(sign) * total(by) / 1000;
        i64::try_from(micros.rem_euclid(DAY / 1000)).map_err(|_| overflow())
    };
    let by = intervals(by)?;
    let pairs = times.as_primitive::<Time64MicrosecondType>().iter().zip(&by);
    let made: Result<Time64MicrosecondArray> =
        pairs.map(|pair| if let (Some(time), Some(by)) = pair { one(time, by).map(Some) } else { Ok(None) }).collect();
    Ok(Arc::new(made?))
}

/// Dates later, or earlier where the sign is -1.
fn moved(dates: &ArrayRef, by: &ArrayRef, sign: i64) -> Result<ArrayRef> {
    let by = intervals(by)?;
    let one = |day: i32, by: IntervalMonthDayNano| -> Result<i32> {
        let total = total(by);
        if total % DAY != 0 {
            return Err(argument("Cannot add hour, minutes or seconds to a date"));
        }
        let span = jiff::Span::new().try_months(sign * i64::from(by.months));
        let whole = i64::try_from(total / DAY).map_err(|_| overflow())?;
        let span = span.and_then(|span| span.try_days(sign * whole)).map_err(|_| overflow())?;
        let shown = clock(i64::from(day).saturating_mul(86_400_000_000))?.date();
        let later = shown.checked_add(span).map_err(|_| out_of_range("a date outside the years -9999 to 9999"))?;
        i32::try_from(days(later)?).map_err(|_| overflow())
    };
    let pairs = dates.as_primitive::<Date32Type>().iter().zip(&by);
    let made: Result<Date32Array> =
        pairs.map(|pair| if let (Some(day), Some(by)) = pair { one(day, by).map(Some) } else { Ok(None) }).collect();
    Ok(Arc::new(made?))
}

/// Microseconds since 1970.
fn micros(array: &ArrayRef) -> Result<ArrayRef> {
    let zone = match array.data_type() {
        DataType::Timestamp(_, zone) => zone.clone(),
        _ => None,
    };
    strictly(&strictly(array, &DataType::Timestamp(TimeUnit::Microsecond, zone))?, &DataType::Int64)
}

fn differences(left: &ArrayRef, right: &ArrayRef) -> Result<ArrayRef> {
    let (left, right) = (micros(left)?, micros(right)?);
    let pairs = left.as_primitive::<Int64Type>().iter().zip(right.as_primitive::<Int64Type>());
    let one = |left: i64, right: i64| of_total(0, (i128::from(left) - i128::from(right)) * 1000);
    let made: Result<IntervalMonthDayNanoArray> = pairs
        .map(|pair| if let (Some(left), Some(right)) = pair { one(left, right).map(Some) } else { Ok(None) })
        .collect();
    Ok(Arc::new(made?))
}

/// Intervals so many times as long, or a part of that.
fn scaled(spans: &ArrayRef, by: &ArrayRef, is_part: bool) -> Result<ArrayRef> {
    let spans = intervals(spans)?;
    let is_whole = by.data_type().is_integer() && !is_part;
    let by = strictly(by, if is_whole { &DataType::Int64 } else { &DataType::Float64 })?;
    let mut made = IntervalMonthDayNanoArray::builder(spans.len());
    for row in 0..spans.len() {
        if spans.is_null(row) || by.is_null(row) {
            made.append_null();
            continue;
        }
        let span = spans.value(row);
        made.append_value(if is_whole {
            let factor = by.as_primitive::<Int64Type>().value(row);
            let months = i64::from(span.months).checked_mul(factor);
            let total = total(span).checked_mul(factor.into());
            of_total(months.ok_or_else(overflow)?, total.ok_or_else(overflow)?)?
        } else {
            part(span, by.as_primitive::<Float64Type>().value(row), is_part)?
        });
    }
    Ok(Arc::new(made.finish()))
}

/// Milliseconds and months are cut off.
fn part(span: IntervalMonthDayNano, by: f64, is_part: bool) -> Result<IntervalMonthDayNano> {
    const MILLI: i128 = 1_000_000;
    if is_part && by == 0.0 {
        return Err(by_zero());
    }
    let of = |number: f64| if is_part { number / by } else { number * by };
    #[allow(clippy::cast_precision_loss)] // A double is what Trino reckons with.
    let (months, millis) = (of(f64::from(span.months)), of((total(span) / MILLI) as f64));
    if !months.is_finite() || !millis.is_finite() {
        return Err(overflow());
    }
    #[allow(clippy::cast_possible_truncation)] // A float that is too large becomes the largest number.
    let (months, millis) = (months as i64, millis as i128);
    of_total(months, millis.checked_mul(MILLI).ok_or_else(overflow)?)
}

/// `2 03:04:05.321` or `1-2`, as Trino writes them.
pub fn text(interval: IntervalMonthDayNano) -> String {
    let total = total(interval);
    let sign = |is_negative: bool| if is_negative { "-" } else { "" };
    let months = interval.months.unsigned_abs();
    let years = format!("{}{}-{}", sign(interval.months < 0), months / 12, months % 12);
    if interval.months != 0 && total == 0 {
        return years;
    }
    let millis = total.unsigned_abs() / 1_000_000;
    let (seconds, millis) = (millis / 1000, millis % 1000);
    let (minutes, seconds) = (seconds / 60, seconds % 60);
    let (hours, minutes) = (minutes / 60, minutes % 60);
    let (days, hours) = (hours / 24, hours % 24);
    let text = format!("{}{days} {hours:02}:{minutes:02}:{seconds:02}.{millis:03}", sign(total < 0));
    if interval.months == 0 { text } else { format!("{years} {text}") }
}
