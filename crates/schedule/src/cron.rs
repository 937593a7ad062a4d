//! The six fields of a cron expression: minutes, hours, day of month, month, day of week, year. EventBridge User Guide, "Cron
//! expressions reference".

use jiff::civil::{Date, DateTime};

use crate::ScheduleError;

const MIN_YEAR: u16 = 1970;
const MAX_YEAR: u16 = 2199;
const MONTHS: [&str; 12] = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
const WEEKDAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];
/// A month has at most five of any weekday.
const MAX_NTH: i8 = 5;
const SATURDAY: u8 = 7;
const SUNDAY: u8 = 1;

/// A parsed expression. The sets have a bit for each value, counted from the field's least.
#[derive(Clone, Debug)]
pub(crate) struct Cron {
    minutes: Set,
    hours: Set,
    days: Days,
    months: Set,
    years: Set,
}

/// The days of a month.
#[derive(Clone, Copy, Debug)]
enum Days {
    OfMonth(Set),
    /// `L`
    Last,
    /// `LW`
    LastWorkday,
    /// `15W`: the working day closest to this day, in the same month.
    Workday(i8),
    OfWeek(Set),
    /// `6L`: the last Friday.
    LastOf(u8),
    /// `3#2`: the second Tuesday.
    Nth(u8, i8),
}

/// A set of values, the greatest of which is 255 above the least.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Set {
    least: u16,
    bits: [u128; 2],
}

/// What a field may hold.
struct Field {
    name: &'static str,
    least: u16,
    most: u16,
    names: &'static [&'static str],
}

const MINUTES: Field = Field { name: "minutes", least: 0, most: 59, names: &[] };
const HOURS: Field = Field { name: "hours", least: 0, most: 23, names: &[] };
const DAY_OF_MONTH: Field = Field { name: "day of month", least: 1, most: 31, names: &[] };
const MONTH: Field = Field { name: "month", least: 1, most: 12, names: &MONTHS };
const DAY_OF_WEEK: Field = Field { name: "day of week", least: 1, most: 7, names: &WEEKDAYS };
const YEAR: Field = Field { name: "year", least: MIN_YEAR, most: MAX_YEAR, names: &[] };

impl Cron {
    /// Reads what stands between the parentheses.
    pub(crate) fn parse(text: &str) -> Result<Self, ScheduleError> {
        let fields: Vec<&str> = text.split_ascii_whitespace().collect();
        let [minutes, hours, day_of_month, month, day_of_week, year] = fields[..] else {
            return Err(ScheduleError::Fields);
        };
        let days = match (day_of_month, day_of_week) {
            ("?", "?") => return Err(ScheduleError::Days),
            (day, "?") => days_of_month(day)?,
            ("?", day) => days_of_week(day)?,
            _ => return Err(ScheduleError::Days),
        };
        Ok(Self {
            minutes: MINUTES.set(minutes)?,
            hours: HOURS.set(hours)?,
            days,
            months: MONTH.set(month)?,
            years: YEAR.set(year)?,
        })
    }

    /// The first local time, in whole minutes, at or after this minute.
    pub(crate) fn at_or_after(&self, from: DateTime) -> Option<DateTime> {
        let (hour, minute) = (from.hour().unsigned_abs().into(), from.minute().unsigned_abs().into());
        if let Some(time) = self.in_day(from.date(), hour, minute) {
            return Some(time);
        }
        self.days_after(from.date()).find_map(|day| self.in_day(day, 0, 0))
    }

    /// The first local time after this one, which is one of its own.
    pub(crate) fn later(&self, time: DateTime) -> Option<DateTime> {
        self.at_or_after(time.checked_add(jiff::Span::new().minutes(1)).ok()?)
    }

    fn in_day(&self, day: Date, hour: u16, minute: u16) -> Option<DateTime> {
        if !self.has_day(day) {
            return None;
        }
        let (hour, minute) = match self.minutes.at_or_after(minute).filter(|_| self.hours.has(hour)) {
            Some(minute) => (hour, minute),
            None => (self.hours.at_or_after(hour + 1)?, self.minutes.at_or_after(0)?),
        };
        DateTime::new(day.year(), day.month(), day.day(), i8::try_from(hour).ok()?, i8::try_from(minute).ok()?, 0, 0)
            .ok()
    }

    /// Days after this one in months and years of the expression: at most 31 for each month of 230 years.
    fn days_after(&self, day: Date) -> impl Iterator<Item = Date> {
        let (first_year, first_month) = (day.year(), day.month());
        let first_year = u16::try_from(first_year).unwrap_or(0);
        (first_year.max(MIN_YEAR)..=MAX_YEAR)
            .filter(|year| self.years.has(*year))
            .flat_map(|year| (1..=12_i8).map(move |month| (year, month)))
            .filter(move |(year, month)| *year > first_year || *month >= first_month)
            .filter(|(_, month)| self.months.has(month.unsigned_abs().into()))
            .filter_map(|(year, month)| Date::new(i16::try_from(year).ok()?, month, 1).ok())
            .flat_map(|first| {
                (0..first.days_in_month()).filter_map(move |n| Date::new(first.year(), first.month(), n + 1).ok())
            })
            .filter(move |other| *other > day)
    }

    fn has_day(&self, day: Date) -> bool {
        let Ok(year) = u16::try_from(day.year()) else { return false };
        if !self.years.has(year) || !self.months.has(day.month().unsigned_abs().into()) {
            return false;
        }
        let (of_month, last) = (day.day(), day.days_in_month());
        match self.days {
            Days::OfMonth(days) => days.has(of_month.unsigned_abs().into()),
            Days::Last => of_month == last,
            Days::LastWorkday => workday(day, last) == Some(of_month),
            Days::Workday(wanted) => workday(day, wanted) == Some(of_month),
            Days::OfWeek(days) => days.has(weekday(day).into()),
            Days::LastOf(wanted) => weekday(day) == wanted && of_month > last - 7,
            Days::Nth(wanted, nth) => weekday(day) == wanted && (of_month - 1) / 7 + 1 == nth,
        }
    }
}

/// 1 for Sunday to 7 for Saturday.
fn weekday(day: Date) -> u8 {
    day.weekday().to_sunday_one_offset().unsigned_abs()
}

/// The working day closest to day `wanted` of the month that `within` lies in; it never leaves the month. `None` in a month
/// without that day.
fn workday(within: Date, wanted: i8) -> Option<i8> {
    let last = within.days_in_month();
    let day = Date::new(within.year(), within.month(), wanted).ok()?;
    Some(match weekday(day) {
        SATURDAY if wanted == 1 => wanted + 2,
        SATURDAY => wanted - 1,
        SUNDAY if wanted == last => wanted - 2,
        SUNDAY => wanted + 1,
        _ => wanted,
    })
}

fn days_of_month(text: &str) -> Result<Days, ScheduleError> {
    match text {
        "L" => return Ok(Days::Last),
        "LW" => return Ok(Days::LastWorkday),
        _ => {}
    }
    if let Some(day) = text.strip_suffix('W') {
        let day = DAY_OF_MONTH.value(day)?;
        return i8::try_from(day).map(Days::Workday).map_err(|_| ScheduleError::Field(DAY_OF_MONTH.name));
    }
    DAY_OF_MONTH.set(text).map(Days::OfMonth)
}

fn days_of_week(text: &str) -> Result<Days, ScheduleError> {
    let wrong = ScheduleError::Field(DAY_OF_WEEK.name);
    let weekday = |text: &str| DAY_OF_WEEK.value(text).and_then(|day| u8::try_from(day).map_err(|_| wrong));
    // The last day of the week.
    if text == "L" {
        return Ok(Days::OfWeek(DAY_OF_WEEK.set("SAT")?));
    }
    if let Some(day) = text.strip_suffix('L') {
        return weekday(day).map(Days::LastOf);
    }
    if let Some((day, nth)) = text.split_once('#') {
        let nth = number(nth).and_then(|nth| i8::try_from(nth).ok()).filter(|nth| (1..=MAX_NTH).contains(nth));
        return Ok(Days::Nth(weekday(day)?, nth.ok_or(wrong)?));
    }
    DAY_OF_WEEK.set(text).map(Days::OfWeek)
}

/// Digits alone: neither a sign nor blanks.
fn number(text: &str) -> Option<u16> {
    // The greatest value is a year.
    let digits = (1..=4).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}

impl Field {
    fn wrong(&self) -> ScheduleError {
        ScheduleError::Field(self.name)
    }

    /// A number or a name, in capitals or not.
    fn value(&self, text: &str) -> Result<u16, ScheduleError> {
        let named = self.names.iter().position(|name| name.eq_ignore_ascii_case(text));
        let value = match named.and_then(|at| u16::try_from(at).ok()) {
            Some(at) => self.least + at,
            None => number(text).ok_or(self.wrong())?,
        };
        if (self.least..=self.most).contains(&value) { Ok(value) } else { Err(self.wrong()) }
    }

    /// Values, ranges and increments, with commas between.
    fn set(&self, text: &str) -> Result<Set, ScheduleError> {
        let mut set = Set { least: self.least, bits: [0; 2] };
        if text == "*" {
            set.add(self.least, self.most, 1);
            return Ok(set);
        }
        for part in text.split(',') {
            let (range, step) = match part.split_once('/') {
                Some((range, step)) => (range, Some(self.step(step)?)),
                None => (part, None),
            };
            let (first, last) = match range.split_once('-') {
                Some((first, last)) => (self.value(first)?, self.value(last)?),
                None if range == "*" && step.is_some() => (self.least, self.most),
                None => {
                    let first = self.value(range)?;
                    // `1/10` is every tenth from the first on.
                    (first, if step.is_some() { self.most } else { first })
                }
            };
            if first > last {
                return Err(self.wrong());
            }
            set.add(first, last, step.unwrap_or(1));
        }
        Ok(set)
    }

    /// An increment may not be greater than any value of its field: EventBridge refuses `*/60` in minutes.
    fn step(&self, text: &str) -> Result<u16, ScheduleError> {
        let step = number(text).ok_or(self.wrong())?;
        let most = if self.least == MIN_YEAR { self.most - self.least } else { self.most };
        if (1..=most).contains(&step) { Ok(step) } else { Err(self.wrong()) }
    }
}

impl Set {
    fn add(&mut self, first: u16, last: u16, step: u16) {
        for value in (first..=last).step_by(step.into()) {
            let at = value - self.least;
            self.bits[usize::from(at / 128)] |= 1 << (at % 128);
        }
    }

    fn has(&self, value: u16) -> bool {
        self.at_or_after(value) == Some(value)
    }

    fn at_or_after(&self, value: u16) -> Option<u16> {
        let from = value.saturating_sub(self.least);
        let (word, bit) = (from / 128, from % 128);
        for word in word..2 {
            let mut bits = self.bits[usize::from(word)];
            if word == from / 128 {
                bits &= u128::MAX << bit;
            }
            if bits != 0 {
                return Some(self.least + word * 128 + u16::try_from(bits.trailing_zeros()).ok()?);
            }
        }
        None
    }
}
