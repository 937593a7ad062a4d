//! Dates with a step between them.

use super::{ProjectionError, Properties};
use crate::text::values::{Pattern, Timestamp, civil, days};

/// Milliseconds of a day.
const DAY: i64 = 86_400_000;
/// Years of ends: what `yyyy` writes with four digits.
const YEARS: std::ops::RangeInclusive<i64> = 0..=9_999;
/// The most letters of one kind beside each other.
const MAX_WIDTH: usize = 9;

/// Dates, written by a pattern, in UTC.
#[derive(Clone, Debug, PartialEq)]
pub struct Dates {
    pattern: Pattern,
    first: i64,
    last: i64,
    step: Step,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Millis(i64),
    Months(i64),
}

impl Step {
    fn of(unit: &str, count: i64) -> Option<Self> {
        let unit = unit.trim().to_ascii_uppercase();
        let unit = if unit == "MILLIS" { "MILLI" } else { unit.strip_suffix('S').unwrap_or(&unit) };
        Some(match unit {
            "YEAR" => Self::Months(count.checked_mul(12)?),
            "MONTH" => Self::Months(count),
            "WEEK" => Self::Millis(count.checked_mul(7 * DAY)?),
            "DAY" => Self::Millis(count.checked_mul(DAY)?),
            "HOUR" => Self::Millis(count.checked_mul(3_600_000)?),
            "MINUTE" => Self::Millis(count.checked_mul(60_000)?),
            "SECOND" => Self::Millis(count.checked_mul(1_000)?),
            "MILLI" => Self::Millis(count),
            _ => return None,
        })
    }

    /// So many steps after a moment. A month that has no such day gives its last.
    fn after(self, moment: i64, times: i64) -> Option<i64> {
        match self {
            Self::Millis(length) => moment.checked_add(length.checked_mul(times)?),
            Self::Months(months) => {
                let (year, month, day) = civil(moment.div_euclid(DAY));
                let month = (year * 12 + month - 1).checked_add(months.checked_mul(times)?)?;
                let (year, month) = (month.div_euclid(12), month.rem_euclid(12) + 1);
                // A bound on years keeps the days below from overflowing.
                if !(-1_000_000..=1_000_000).contains(&year) {
                    return None;
                }
                let length = days(year, month + 1, 1) - days(year, month, 1);
                days(year, month, day.min(length)).checked_mul(DAY)?.checked_add(moment.rem_euclid(DAY))
            }
        }
    }
}

fn millis(time: Timestamp) -> Option<i64> {
    time.seconds.checked_mul(1_000)?.checked_add(i64::from(time.nanos / 1_000_000))
}

fn time(moment: i64) -> Timestamp {
    let nanos = u32::try_from(moment.rem_euclid(1_000)).unwrap_or_default() * 1_000_000;
    Timestamp { seconds: moment.div_euclid(1_000), nanos }
}

/// `NOW`, `NOW-3YEARS`, `now + 1 month`; `None` for what is not of this form.
fn relative(text: &str, now: i64) -> Option<i64> {
    let text = text.trim().to_ascii_uppercase();
    let rest = text.strip_prefix("NOW")?.trim();
    if rest.is_empty() {
        return Some(now);
    }
    let (sign, rest) = match (rest.strip_prefix('+'), rest.strip_prefix('-')) {
        (Some(rest), _) => (1, rest.trim_start()),
        (_, Some(rest)) => (-1, rest.trim_start()),
        _ => return None,
    };
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let count: i64 = rest.get(..digits)?.parse().ok()?;
    let unit = rest.get(digits..)?.trim();
    if unit.starts_with("MILLI") {
        return None;
    }
    Step::of(unit, count)?.after(now, sign)
}

impl Dates {
    pub(super) fn of(properties: &Properties<'_>, now: i64) -> Result<Self, ProjectionError> {
        let format = properties.required("format")?;
        let pattern = Pattern::parse(format).map_err(|error| properties.error("format", error.to_string()))?;
        let Some((finest, _)) = pattern.fields().max_by_key(|(letter, _)| rank(*letter)) else {
            return Err(properties.error("format", format!("{format:?} names no part of a date")));
        };
        if pattern.fields().any(|(_, width)| width > MAX_WIDTH) {
            return Err(properties.error("format", format!("it repeats a letter more than {MAX_WIDTH} times")));
        }
        let count = properties.positive("interval")?;
        let step = match properties.get("interval.unit") {
            Some(unit) => {
                Step::of(unit, count.unwrap_or(1)).ok_or_else(|| properties.error("interval.unit", units(unit)))?
            }
            None => {
                let unit = match finest {
                    'd' => "DAY",
                    'M' => "MONTH",
                    'y' => "YEAR",
                    _ => {
                        let why = format!("it is missing, and {format:?} is finer than days");
                        return Err(properties.error("interval.unit", why));
                    }
                };
                Step::of(unit, count.unwrap_or(1)).ok_or_else(|| properties.error("interval", "it is too large"))?
            }
        };
        let end = |text: &str| {
            let moment = relative(text, now).or_else(|| pattern.read(text).and_then(millis));
            // What the pattern does not write is not there.
            let seen = moment.filter(|moment| YEARS.contains(&civil(moment.div_euclid(DAY)).0));
            let seen = seen.and_then(|moment| pattern.read(&pattern.write(time(moment)))).and_then(millis);
            seen.ok_or_else(|| {
                let why = format!("{text:?} is neither a date like {format:?} nor of the form NOW+1DAY");
                properties.error("range", why)
            })
        };
        let (first, last) = properties.range()?;
        let (first, last) = (end(first)?, end(last)?);
        if first > last {
            return Err(properties.error("range", "its second date is before its first"));
        }
        Ok(Self { pattern, first, last, step })
    }

    pub(super) fn count(&self) -> u64 {
        let steps = match self.step {
            Step::Millis(length) => (self.last - self.first) / length,
            Step::Months(months) => {
                let month = |moment: i64| {
                    let (year, month, _) = civil(moment.div_euclid(DAY));
                    year * 12 + month
                };
                let steps = (month(self.last) - month(self.first)) / months;
                let is_beyond = self.step.after(self.first, steps).is_none_or(|last| last > self.last);
                if is_beyond { steps - 1 } else { steps }
            }
        };
        u64::try_from(steps + 1).unwrap_or_default()
    }

    pub(super) fn moment(&self, at: u64) -> Option<i64> {
        let moment = self.step.after(self.first, i64::try_from(at).ok()?)?;
        (moment <= self.last).then_some(moment)
    }

    pub(super) fn text(&self, at: u64) -> Option<String> {
        Some(self.pattern.write(time(self.moment(at)?)))
    }

    /// Years of four digits first, then months, and so on, each of a width.
    pub(super) fn ascends_as_text(&self) -> bool {
        self.pattern.fields().enumerate().all(|(at, (letter, width))| {
            let is_wide = match letter {
                'y' => width == 4,
                'S' => true,
                _ => width == 2,
            };
            is_wide && rank(letter) == at
        })
    }
}

/// From years to fractions of seconds.
fn rank(letter: char) -> usize {
    "yMdHmsS".find(letter).unwrap_or_default()
}

fn units(unit: &str) -> String {
    format!(
        "{unit:?} is none of YEARS, MONTHS, WEEKS, DAYS, HOURS, MINUTES, SECONDS and MILLIS, or the interval is too large"
    )
}
