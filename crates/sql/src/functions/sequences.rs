//! `sequence`: numbers, dates and timestamps at the same distance from each other.
//!
//! Trino documentation, "Array functions and operators", `sequence`.

use arrow::datatypes::{DataType, IntervalMonthDayNano, IntervalUnit, TimeUnit};
use datafusion::common::{DataFusionError, Result, ScalarValue};
use datafusion::logical_expr::ScalarUDF;

use super::rows::{int, item, list, list_of, rows};
use super::zones::{clock, micros};
use super::{argument, out_of_range};

/// The most items (Trino's `MAX_RESULT_ENTRIES`).
const MAX_ITEMS: usize = 10_000;
/// Microseconds of a day.
const DAY: i64 = 86_400_000_000;

const INTERVAL: DataType = DataType::Interval(IntervalUnit::MonthDayNano);
const TIMESTAMP: DataType = DataType::Timestamp(TimeUnit::Microsecond, None);

fn plan(kinds: &[DataType]) -> Option<(Vec<DataType>, DataType)> {
    let is_number = |kind: &DataType| kind.is_integer() || kind.is_null();
    let is_moment = |kind: &DataType| matches!(kind, DataType::Date32 | DataType::Timestamp(_, None) | DataType::Null);
    match kinds {
        [DataType::Date32, DataType::Date32] => Some((kinds.to_vec(), list_of(&DataType::Date32))),
        [DataType::Date32, DataType::Date32, DataType::Interval(_)] => {
            Some((vec![DataType::Date32, DataType::Date32, INTERVAL], list_of(&DataType::Date32)))
        }
        [from, to, DataType::Interval(_)] if is_moment(from) && is_moment(to) => {
            Some((vec![TIMESTAMP, TIMESTAMP, INTERVAL], list_of(&TIMESTAMP)))
        }
        [_, _] | [_, _, _] if kinds.iter().all(is_number) => {
            Some((vec![DataType::Int64; kinds.len()], list_of(&DataType::Int64)))
        }
        _ => None,
    }
}

/// How far items are apart.
#[derive(Clone, Copy)]
enum Step {
    Even(i64),
    Months(i64),
}

impl Step {
    fn of(interval: IntervalMonthDayNano) -> Result<Self> {
        let even =
            i64::from(interval.days).checked_mul(DAY).and_then(|days| days.checked_add(interval.nanoseconds / 1000));
        match even {
            Some(0) => Ok(Self::Months(interval.months.into())),
            Some(even) if interval.months == 0 => Ok(Self::Even(even)),
            _ => Err(argument("the step of a sequence has months, or days and parts of them")),
        }
    }

    fn size(self) -> i64 {
        match self {
            Self::Even(size) | Self::Months(size) => size,
        }
    }

    /// So many steps from the start; `None` beyond all.
    fn after(self, start: i64, count: i64) -> Option<i64> {
        let distance = self.size().checked_mul(count)?;
        match self {
            Self::Even(_) => start.checked_add(distance),
            Self::Months(_) => {
                let span = jiff::Span::new().try_months(distance).ok()?;
                micros(clock(start).ok()?.checked_add(span).ok()?).ok()
            }
        }
    }
}

fn sequence(from: i64, to: i64, step: Step) -> Result<Vec<i64>> {
    let size = step.size();
    if size == 0 || to != from && (to > from) != (size > 0) {
        return Err(argument(
            "sequence stop value should be greater than or equal to start value if step is greater than zero otherwise stop should be less than or equal to start",
        ));
    }
    let mut made = Vec::new();
    let mut next = Some(from);
    while let Some(value) = next.filter(|value| if size > 0 { *value <= to } else { *value >= to }) {
        if made.len() >= MAX_ITEMS {
            let words = format!("result of sequence function must not have more than {MAX_ITEMS} entries");
            return Err(argument(words));
        }
        made.push(value);
        next = step.after(from, i64::try_from(made.len()).unwrap_or(i64::MAX));
    }
    Ok(made)
}

fn overflow() -> DataFusionError {
    out_of_range("a date outside the years -9999 to 9999")
}

/// Microseconds since 1970 of a date or a timestamp.
fn moment(value: &ScalarValue) -> Result<i64> {
    match value {
        ScalarValue::Date32(Some(days)) => i64::from(*days).checked_mul(DAY).ok_or_else(overflow),
        ScalarValue::TimestampMicrosecond(Some(micros), _) => Ok(*micros),
        other => Ok(int(other)),
    }
}

fn work(values: &[ScalarValue], kind: &DataType) -> Result<ScalarValue> {
    let (from, to) = (moment(&values[0])?, moment(&values[1])?);
    let of_days = item(kind) == Some(&DataType::Date32);
    let unit = if of_days { DAY } else { 1 };
    let step = match values.get(2) {
        Some(ScalarValue::IntervalMonthDayNano(Some(interval))) => Step::of(*interval)?,
        Some(step) => Step::Even(int(step)),
        None => Step::Even(if from <= to { unit } else { -unit }),
    };
    if of_days && matches!(step, Step::Even(size) if size % DAY != 0) {
        return Err(argument("sequence step must be a day interval if start and end values are dates"));
    }
    let mut made = Vec::new();
    for value in sequence(from, to, step)? {
        made.push(match item(kind) {
            Some(DataType::Date32) => ScalarValue::Date32(Some(i32::try_from(value / DAY).map_err(|_| overflow())?)),
            Some(DataType::Timestamp(..)) => ScalarValue::TimestampMicrosecond(Some(value), None),
            _ => ScalarValue::Int64(Some(value)),
        });
    }
    list(made, kind)
}

/// The function.
pub fn all() -> Vec<ScalarUDF> {
    const USAGE: &str = "sequence(bigint, bigint), sequence(bigint, bigint, bigint), sequence(date, date), sequence(date, date, interval), sequence(timestamp, timestamp, interval)";
    vec![rows("sequence", USAGE, plan, 3, work)]
}
