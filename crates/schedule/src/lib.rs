//! Schedule expressions, as rules of EventBridge and EventBridge Scheduler write them: `rate(5 minutes)`,
//! `cron(0 10 * * ? *)` and `at(2026-11-20T13:00:00)`, in a time zone. Pure: the time is an argument.
//!
//! Sources: EventBridge User Guide, "Setting a schedule pattern"; EventBridge Scheduler User Guide, "Schedule types", from
//! which the rules about daylight saving time are: a time that the clocks skip is skipped, and a time that they show twice counts
//! once, when they show it first.
//!
//! The crate `croner` (4.0) was looked at and not taken: when clocks jump it does as Vixie cron does (runs what they skip right after
//! the gap, and repeats patterns with wildcards), and its patterns are wider than those that AWS accepts.

mod cron;
mod zone;

use std::fmt;
use std::time::Duration;

use jiff::civil::DateTime;
use millpond_types::Timestamp;

use cron::Cron;
pub use zone::Zone;

/// The longest expression; the limit of both services' models.
pub const MAX_EXPRESSION_CHARS: usize = 256;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// Why a text is no schedule. Each service says it in words of its own: rules answer "Parameter ScheduleExpression is not
/// valid.", Scheduler "Invalid Schedule Expression ...".
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ScheduleError {
    /// Not `rate(..)`, `cron(..)` or `at(..)`, or longer than an expression may be.
    #[error("the expression has none of the forms rate(value unit), cron(fields) and at(yyyy-mm-ddThh:mm:ss)")]
    Form,
    /// The value or the unit of a rate.
    #[error("a rate is a positive whole number and minutes, hours or days, with a unit in the singular after 1")]
    Rate,
    /// A cron expression without six fields.
    #[error("a cron expression has six fields: minutes, hours, day of month, month, day of week, year")]
    Fields,
    /// A field of a cron expression.
    #[error("the field of the {0} is not valid")]
    Field(&'static str),
    /// Both days of a cron expression are given, or neither.
    #[error("exactly one of day of month and day of week must be ?")]
    Days,
    /// The time of a one-time schedule.
    #[error("the time is not yyyy-mm-ddThh:mm:ss, or there is no such time")]
    Time,
}

/// A parsed schedule, in a time zone.
#[derive(Clone, Debug)]
pub struct Schedule {
    text: String,
    kind: Kind,
    zone: Zone,
}

#[derive(Clone, Debug)]
enum Kind {
    Rate(Duration),
    Cron(Box<Cron>),
    At(Timestamp),
}

/// Whether a rate's unit has to agree with its number.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Units {
    Agree,
    Any,
}

impl Schedule {
    /// An expression of EventBridge Scheduler: any of the three forms, in the time zone given. Units of a rate may stand in the
    /// singular or plural, whatever the value.
    pub fn parse(text: &str, zone: &Zone) -> Result<Self, ScheduleError> {
        Self::read(text, zone, Units::Any)
    }

    /// An expression of an EventBridge rule: a rate or a cron expression, in UTC. A rate's unit is singular after 1 and plural
    /// after every other number, as the User Guide has it.
    pub fn parse_rule(text: &str) -> Result<Self, ScheduleError> {
        let schedule = Self::read(text, &Zone::utc(), Units::Agree)?;
        if schedule.is_once() { Err(ScheduleError::Form) } else { Ok(schedule) }
    }

    fn read(text: &str, zone: &Zone, units: Units) -> Result<Self, ScheduleError> {
        if text.chars().count() > MAX_EXPRESSION_CHARS {
            return Err(ScheduleError::Form);
        }
        let inside = |name: &str| text.strip_prefix(name)?.strip_prefix('(')?.strip_suffix(')');
        let kind = if let Some(rate) = inside("rate") {
            Kind::Rate(parse_rate(rate, units).ok_or(ScheduleError::Rate)?)
        } else if let Some(fields) = inside("cron") {
            Kind::Cron(Box::new(Cron::parse(fields)?))
        } else if let Some(time) = inside("at") {
            Kind::At(parse_time(time).and_then(|time| zone.moved(time)).ok_or(ScheduleError::Time)?)
        } else {
            return Err(ScheduleError::Form);
        };
        Ok(Self { text: text.to_owned(), kind, zone: zone.clone() })
    }

    /// The first time later than `time` at which this is due; for a rate, one period later. `None` when there is none.
    pub fn after(&self, time: Timestamp) -> Option<Timestamp> {
        match &self.kind {
            Kind::Rate(period) => add(time, *period),
            Kind::Cron(cron) => self.cron_after(cron, time),
            Kind::At(at) => (*at > time).then_some(*at),
        }
    }

    /// As [`Schedule::after`], for a schedule that began at `start`: a rate is due at `start` and every period after it, so that
    /// what is late does not shift what follows. Periods that lie wholly between are passed over.
    pub fn after_since(&self, start: Timestamp, time: Timestamp) -> Option<Timestamp> {
        let Kind::Rate(period) = &self.kind else { return self.after(time) };
        if time < start {
            return Some(start);
        }
        let period = u64::try_from(period.as_nanos()).ok()?;
        let next = ((time.0 - start.0) / period).checked_add(1)?.checked_mul(period)?;
        start.0.checked_add(next).map(Timestamp)
    }

    /// Whether this is a one-time schedule.
    pub fn is_once(&self) -> bool {
        matches!(self.kind, Kind::At(_))
    }

    /// The period of a rate.
    pub fn period(&self) -> Option<Duration> {
        match &self.kind {
            Kind::Rate(period) => Some(*period),
            _ => None,
        }
    }

    /// Local times in their order, until one is both real and later. Each is another minute, and clocks skip or repeat a day at
    /// most, so that this ends after few of them.
    fn cron_after(&self, cron: &Cron, time: Timestamp) -> Option<Timestamp> {
        let mut local = cron.at_or_after(self.zone.local(time)?)?;
        loop {
            match self.zone.first(local) {
                Some(due) if due > time => return Some(due),
                _ => local = cron.later(local)?,
            }
        }
    }
}

impl fmt::Display for Schedule {
    /// The expression, as it was given.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn add(time: Timestamp, period: Duration) -> Option<Timestamp> {
    time.0.checked_add(u64::try_from(period.as_nanos()).ok()?).map(Timestamp)
}

fn parse_rate(text: &str, units: Units) -> Option<Duration> {
    let mut words = text.split_ascii_whitespace();
    let (value, unit) = (words.next()?, words.next()?);
    if words.next().is_some() || !value.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let value: u32 = value.parse().ok().filter(|value| *value > 0)?;
    let (seconds, plural) = match unit {
        "minute" => (MINUTE, false),
        "minutes" => (MINUTE, true),
        "hour" => (HOUR, false),
        "hours" => (HOUR, true),
        "day" => (DAY, false),
        "days" => (DAY, true),
        _ => return None,
    };
    if units == Units::Agree && plural != (value > 1) {
        return None;
    }
    Some(Duration::from_secs(u64::from(value) * seconds))
}

/// `yyyy-mm-ddThh:mm:ss`, and nothing else that ISO 8601 has.
fn parse_time(text: &str) -> Option<DateTime> {
    const SHAPE: &[u8] = b"0000-00-00T00:00:00";
    let fits = |(byte, shape): (u8, &u8)| if *shape == b'0' { byte.is_ascii_digit() } else { byte == *shape };
    if text.len() != SHAPE.len() || !text.bytes().zip(SHAPE).all(fits) {
        return None;
    }
    // A leap second would be read as the second before it.
    if text.ends_with("60") {
        return None;
    }
    text.parse().ok()
}

/// What fuzzing asks of an expression.
#[cfg(feature = "testing")]
pub mod fuzz {
    use super::{Schedule, Zone};
    use millpond_types::Timestamp;

    /// Parses bytes as an expression in several zones. What is accepted reads back from its own words, and only ever moves on.
    pub fn expression(data: &[u8]) {
        let Ok(text) = std::str::from_utf8(data) else { return };
        for zone in ["UTC", "Europe/Berlin", "America/New_York", "Pacific/Apia"] {
            let Some(zone) = Zone::named(zone) else { continue };
            let Ok(schedule) = Schedule::parse(text, &zone) else { continue };
            assert!(Schedule::parse(&schedule.to_string(), &zone).is_ok());
            let mut time = Timestamp::from_seconds(1_774_000_000);
            for _ in 0..4 {
                let Some(next) = schedule.after(time) else { break };
                assert!(next > time, "{text:?} is due at {next:?} after {time:?}");
                time = next;
            }
        }
    }
}
