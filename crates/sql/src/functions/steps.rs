//! Dates and times at even distances: `sequence` with a step that is an interval.

use arrow::datatypes::{DataType, IntervalMonthDayNano, TimeUnit};
use datafusion::common::{Result, ScalarValue};
use jiff::Span;
use jiff::civil::DateTime;

use super::{argument, zones};

/// Microseconds of a day.
const DAY: i64 = 86_400_000_000;

/// `start` and so many steps more: months of the calendar, or a fixed time.
fn after(start: i64, step: IntervalMonthDayNano, count: i64) -> Option<i64> {
    let times = |part: i64| part.checked_mul(count);
    let fixed = times(i64::from(step.days))?.checked_mul(DAY)?.checked_add(times(step.nanoseconds / 1_000)?)?;
    let shown: DateTime = zones::clock(start).ok()?;
    let moved = shown.checked_add(Span::new().try_months(times(i64::from(step.months))?).ok()?).ok()?;
    zones::micros(moved).ok()?.checked_add(fixed)
}

/// All from `start` to `stop`; days since 1970 where `kind` is a date, else microseconds.
///
/// # Errors
/// The step leads nowhere, or there are more than `most`.
pub fn sequence(
    (start, stop): (i64, i64),
    step: IntervalMonthDayNano,
    kind: &DataType,
    most: i64,
) -> Result<Vec<ScalarValue>> {
    let is_date = *kind == DataType::Date32;
    let whole_days = step.nanoseconds % (DAY * 1_000) == 0;
    if is_date && !whole_days {
        return Err(argument("sequence step must be a day interval if start and end values are dates"));
    }
    let unit = if is_date { DAY } else { 1 };
    let (Some(start), Some(stop)) = (start.checked_mul(unit), stop.checked_mul(unit)) else {
        return Err(argument("a date of sequence is out of range"));
    };
    let next = after(start, step, 1).ok_or_else(|| argument("a step of sequence is out of range"))?;
    if next == start || (stop != start && (stop > start) != (next > start)) {
        return Err(argument(
            "sequence stop value should be greater than or equal to start value if step is greater than zero otherwise stop should be less than or equal to start",
        ));
    }
    let mut all = Vec::new();
    let mut at = Some(start);
    while let Some(micros) = at.filter(|at| if next > start { *at <= stop } else { *at >= stop }) {
        let count = i64::try_from(all.len()).unwrap_or(i64::MAX);
        if count >= most {
            return Err(argument(format!("result of sequence function must not have more than {most} entries")));
        }
        all.push(if is_date {
            ScalarValue::Date32(i32::try_from(micros / DAY).ok())
        } else {
            ScalarValue::TimestampMicrosecond(Some(micros), None)
        });
        at = after(start, step, count + 1);
    }
    Ok(all)
}

/// The types that `sequence` with a step takes, and what it gives items of.
pub fn plan(kinds: &[DataType]) -> Option<(Vec<DataType>, DataType)> {
    let time = DataType::Timestamp(TimeUnit::Microsecond, None);
    let [start, stop, DataType::Interval(_)] = kinds else { return None };
    let item = match (start, stop) {
        (DataType::Date32, DataType::Date32) => DataType::Date32,
        (DataType::Timestamp(_, None), DataType::Timestamp(_, None)) => time,
        _ => return None,
    };
    let interval = DataType::Interval(arrow::datatypes::IntervalUnit::MonthDayNano);
    Some((vec![DataType::Int64, DataType::Int64, interval], item))
}
