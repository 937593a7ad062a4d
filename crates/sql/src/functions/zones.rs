//! Zones of time, and the moments that clocks in them show.

use jiff::civil::{Date, DateTime};
use jiff::tz::{Offset, TimeZone};
use jiff::{Span, Timestamp};

use datafusion::common::Result;

use super::argument;
use super::kind::{Out, Value};

/// Microseconds of a second, and of a day.
const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400 * SECOND;

/// `+09:00`, `-0330`, `+9` in seconds.
fn offset(name: &str) -> Option<i32> {
    let (sign, rest) = match name.strip_prefix('+') {
        Some(rest) => (1, rest),
        None => (-1, name.strip_prefix('-')?),
    };
    let (hours, minutes) = match rest.split_once(':') {
        Some(parts) => parts,
        None if rest.len() == 4 => rest.split_at_checked(2)?,
        None => (rest, "0"),
    };
    let (hours, minutes): (i32, i32) = (hours.parse().ok()?, minutes.parse().ok()?);
    (hours <= 14 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60))
}

/// A zone by its name in the database of zones, or by its distance from UTC.
pub fn zone(name: &str) -> Result<TimeZone> {
    if let Some(zone) = offset(name).and_then(|seconds| Offset::from_seconds(seconds).ok()) {
        return Ok(TimeZone::fixed(zone));
    }
    if matches!(name, "UTC" | "Z" | "GMT" | "UT") {
        return Ok(TimeZone::UTC);
    }
    TimeZone::get(name).map_err(|_| argument(format!("'{name}' is not a valid time zone")))
}

/// What a calendar and a clock show.
#[derive(Clone, Debug)]
pub struct Moment<'a> {
    /// What they show.
    pub shown: DateTime,
    /// What was given.
    kind: Given<'a>,
}

#[derive(Clone, Debug)]
enum Given<'a> {
    Date,
    Time,
    Point(&'a TimeZone),
}

fn beyond() -> datafusion::common::DataFusionError {
    argument("a date or time outside the years -9999 to 9999")
}

/// What a clock in UTC shows.
pub fn clock(micros: i64) -> Result<DateTime> {
    let time = Timestamp::from_microsecond(micros).map_err(|_| beyond())?;
    Ok(TimeZone::UTC.to_datetime(time))
}

/// Microseconds since 1970 that a clock in UTC shows.
pub fn micros(shown: DateTime) -> Result<i64> {
    Ok(TimeZone::UTC.to_timestamp(shown).map_err(|_| beyond())?.as_microsecond())
}

/// Days since 1970.
pub fn days(date: Date) -> Result<i64> {
    Ok(micros(date.to_datetime(jiff::civil::Time::midnight()))?.div_euclid(DAY))
}

impl<'a> Moment<'a> {
    pub fn of(value: &Value<'a>) -> Result<Self> {
        Ok(match value {
            Value::Date(days) => Self { shown: clock(i64::from(*days).saturating_mul(DAY))?, kind: Given::Date },
            Value::Time(micros) => Self { shown: clock(*micros)?, kind: Given::Time },
            Value::Point(micros, zone) => {
                let time = Timestamp::from_microsecond(*micros).map_err(|_| beyond())?;
                Self { shown: zone.to_datetime(time), kind: Given::Point(zone) }
            }
            _ => return Err(argument("no date and no time")),
        })
    }

    /// The first argument's.
    pub fn first(values: &[Value<'a>]) -> Result<Self> {
        values.first().map_or_else(|| Err(argument("no date and no time")), Self::of)
    }

    /// Another moment on the same clock, as a value of the type that was given.
    pub fn out(&self, shown: DateTime) -> Result<Out> {
        Ok(Out::Int(match self.kind {
            Given::Date => days(shown.date())?,
            Given::Time => micros(shown)?,
            Given::Point(zone) => zone.to_timestamp(shown).map_err(|_| beyond())?.as_microsecond(),
        }))
    }

    /// Microseconds since 1970 in UTC.
    pub fn instant(&self) -> Result<i64> {
        match self.kind {
            Given::Date | Given::Time => micros(self.shown),
            Given::Point(zone) => Ok(zone.to_timestamp(self.shown).map_err(|_| beyond())?.as_microsecond()),
        }
    }

    pub fn is_date(&self) -> bool {
        matches!(self.kind, Given::Date)
    }

    /// Seconds from UTC to the clock; none where there is no zone.
    pub fn offset(&self) -> Result<Option<i32>> {
        let Given::Point(zone) = self.kind else { return Ok(None) };
        let time = zone.to_timestamp(self.shown).map_err(|_| beyond())?;
        Ok(Some(zone.to_offset(time).seconds()))
    }

    /// The zone's name.
    pub fn zone(&self) -> Option<String> {
        match self.kind {
            Given::Point(zone) => Some(zone.iana_name().map_or_else(
                || zone.to_fixed_offset().map(|offset| offset_text(offset.seconds())).unwrap_or_default(),
                ToOwned::to_owned,
            )),
            _ => None,
        }
    }

    pub fn last_day(&self) -> Date {
        self.shown.date().last_of_month()
    }

    /// Later by so many days, hours or the like.
    pub fn later(&self, unit: &str, count: i64) -> Result<DateTime> {
        let span = match unit {
            "millisecond" => Span::new().try_milliseconds(count),
            "second" => Span::new().try_seconds(count),
            "minute" => Span::new().try_minutes(count),
            "hour" => Span::new().try_hours(count),
            "day" => Span::new().try_days(count),
            "week" => Span::new().try_weeks(count),
            "month" => Span::new().try_months(count),
            "quarter" => Span::new().try_months(count.saturating_mul(3)),
            "year" => Span::new().try_years(count),
            _ => return Err(argument(format!("'{unit}' is not a valid TIMESTAMP field"))),
        };
        let span = span.map_err(|_| beyond())?;
        self.shown.checked_add(span).map_err(|_| beyond())
    }
}

/// `+09:00`
pub fn offset_text(seconds: i32) -> String {
    let sign = if seconds < 0 { '-' } else { '+' };
    let minutes = seconds.unsigned_abs() / 60;
    format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60)
}

/// What a clock in a zone shows at a point in time, in microseconds since 1970: `2019-01-01 09:00:00.000 Asia/Tokyo`.
///
/// # Errors
/// There is no such zone, or the year is beyond those that are known.
pub fn shown_in(zone_name: &str, micros: i64) -> Result<String> {
    let zone = zone(zone_name)?;
    let shown = Moment::of(&Value::Point(micros, &zone))?.shown;
    let name = if zone_name == "+00:00" { "UTC" } else { zone_name };
    let millis = shown.millisecond();
    Ok(format!("{} {:02}:{:02}:{:02}.{millis:03} {name}", shown.date(), shown.hour(), shown.minute(), shown.second()))
}
