//! Durations and sizes of data. Trino documentation, "Date and time functions and operators", "Duration function", and "Conversion functions", "Data size".

use std::sync::Arc;

use arrow::array::{ArrayRef, Decimal128Builder, IntervalMonthDayNanoBuilder};
use arrow::datatypes::IntervalMonthDayNano;
use datafusion::common::Result;

use super::call::{Call, Overload, bad, of, out_of_range};

/// Milliseconds of a day.
const DAY: i64 = 86_400_000;
/// The greatest number of a decimal.
const MAX_DECIMAL: f64 = 1e38;

/// Every function of this file.
pub fn all() -> Vec<Overload> {
    vec![
        of("human_readable_seconds(double) -> varchar", |call| call.texts(|row| readable(row.double(0)).map(Some))),
        of("parse_duration(varchar) -> interval", |call| {
            let mut built = IntervalMonthDayNanoBuilder::with_capacity(call.rows);
            for at in 0..call.rows {
                let row = call.row(at);
                let millis = if row.is_null(0) { None } else { Some(duration(row.text(0))?) };
                built.append_option(millis.map(interval).transpose()?);
            }
            Ok(Arc::new(built.finish()))
        }),
        of("to_milliseconds(interval) -> bigint", |call| {
            call.ints(|row| {
                let span = row.interval(0);
                let days = i64::from(span.days).checked_mul(DAY);
                let millis = days.and_then(|days| days.checked_add(span.nanoseconds / 1_000_000));
                match span.months {
                    0 => millis.map(Some).ok_or_else(|| out_of_range("interval overflow")),
                    _ => Err(bad("an interval of months has no milliseconds")),
                }
            })
        }),
        of("parse_data_size(varchar) -> decimal", data_sizes),
        of("parse_presto_data_size(varchar) -> decimal", data_sizes),
    ]
}

/// `1 hour, 2 minutes, 42 seconds`
fn readable(seconds: f64) -> Result<String> {
    if !seconds.is_finite() || seconds.abs() >= 9e18 {
        return Err(bad(format!("Invalid argument found: {seconds}")));
    }
    let mut left = seconds.round().abs() as u64;
    let mut parts = Vec::new();
    for (unit, size) in [("week", 604_800), ("day", 86_400), ("hour", 3600), ("minute", 60), ("second", 1)] {
        let count = left / size;
        left %= size;
        if count > 0 {
            parts.push(format!("{count} {unit}{}", if count == 1 { "" } else { "s" }));
        }
    }
    Ok(if parts.is_empty() { "0 seconds".to_owned() } else { parts.join(", ") })
}

/// A number and what follows it.
fn number(text: &str) -> Option<(f64, &str)> {
    let end = text.find(|letter: char| !(letter.is_ascii_digit() || letter == '.')).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    let starts_and_ends = digits.starts_with('.') || digits.ends_with('.');
    digits.parse().ok().filter(|_| !starts_and_ends).map(|number| (number, rest))
}

/// Milliseconds of `3.81 d`.
fn duration(text: &str) -> Result<i64> {
    let wrong = || bad(format!("duration is not a valid data duration string: {text}"));
    let (number, unit) = number(text.trim()).ok_or_else(wrong)?;
    let unit = unit.trim();
    if unit.is_empty() || !unit.bytes().all(|byte| byte.is_ascii_alphabetic()) {
        return Err(wrong());
    }
    let size = match unit {
        "ns" => 1e-6,
        "us" => 1e-3,
        "ms" => 1.0,
        "s" => 1e3,
        "m" => 60e3,
        "h" => 3_600e3,
        "d" => 86_400e3,
        _ => return Err(bad(format!("Unknown time unit: {unit}"))),
    };
    let millis = (number * size + 0.5).floor();
    if millis >= i64::MAX as f64 {
        return Err(bad(format!("Value is too large: {text}")));
    }
    Ok(millis as i64)
}

fn interval(millis: i64) -> Result<IntervalMonthDayNano> {
    let days = i32::try_from(millis / DAY).map_err(|_| bad("an interval has at most 2147483647 days"))?;
    Ok(IntervalMonthDayNano::new(0, days, millis % DAY * 1_000_000))
}

fn data_sizes(call: &Call<'_>) -> Result<ArrayRef> {
    let mut built = Decimal128Builder::with_capacity(call.rows).with_data_type(call.gives.clone());
    for at in 0..call.rows {
        let row = call.row(at);
        let size = if row.is_null(0) { None } else { Some(data_size(row.text(0))?) };
        built.append_option(size);
    }
    Ok(Arc::new(built.finish()))
}

/// Bytes of `2.3MB`.
fn data_size(text: &str) -> Result<i128> {
    let wrong = || bad(format!("Invalid data size: '{text}'"));
    let (rough, unit) = number(text).ok_or_else(wrong)?;
    let power = ["B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"].iter().position(|known| *known == unit);
    let power = power.and_then(|power| u32::try_from(power).ok()).ok_or_else(wrong)?;
    if rough * 1024_f64.powi(power.cast_signed()) >= MAX_DECIMAL {
        return Err(out_of_range(format!("Value out of range: '{text}' ('{rough}{unit}')")));
    }
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    // What is behind the point is exact as far as a decimal reaches.
    let part = part.get(..part.len().min(9)).unwrap_or(part);
    let scale = 10_i128.pow(u32::try_from(part.len()).unwrap_or(0));
    let factor = 1024_i128.pow(power);
    let whole = whole.parse::<i128>().ok().and_then(|whole| whole.checked_mul(factor)).ok_or_else(wrong)?;
    let part = part.parse::<i128>().unwrap_or(0);
    Ok(whole + part * factor / scale)
}
