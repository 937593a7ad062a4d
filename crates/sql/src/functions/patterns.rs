//! Dates and times as texts: MySQL's patterns, Joda's, and ISO 8601.
//!
//! Trino documentation, "Date and time functions": "MySQL date functions", "Java date functions".

use std::fmt::Write;

use datafusion::common::Result;
use datafusion::logical_expr::ScalarUDF;
use jiff::civil::{Date, DateTime, ISOWeekDate, Weekday};
use jiff::tz::TimeZone;

use super::argument;
use super::kind::{Kind::*, Out, Value};
use super::simple::{Form, form, function, simple};
use super::zones::{Moment, days, micros, offset_text, zone};

/// The months, from January on.
pub const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
/// Years of two digits are from 1970 to 2069.
const PIVOT: i64 = 70;

/// A part of a pattern.
#[derive(Clone, Debug, PartialEq)]
enum Item {
    Text(String),
    /// A number of a field, of so many digits at least.
    Number(Field, usize),
    YearOfTwoDigits,
    MonthName {
        short: bool,
    },
    DayName {
        short: bool,
    },
    AmPm,
    Era,
    /// Digits after the point.
    Fraction(usize),
    /// `+0000`, `+00:00` or the name, by the number of letters.
    Offset(usize),
    ZoneName,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Field {
    Year,
    Month,
    Day,
    DayOfYear,
    DayOfWeek,
    Week,
    WeekYear,
    Century,
    /// 0 to 23
    Hour,
    /// 1 to 12
    HourOfHalf,
    /// 0 to 11
    HourOfHalfFromZero,
    /// 1 to 24
    HourFromOne,
    Minute,
    Second,
}

fn mysql(pattern: &str) -> Result<Vec<Item>> {
    use Field::{Day, DayOfYear, Hour, HourOfHalf, Minute, Month, Second, Week, WeekYear, Year};
    let mut items = Vec::new();
    let mut letters = pattern.chars();
    while let Some(letter) = letters.next() {
        if letter != '%' {
            items.push(Item::Text(letter.to_string()));
            continue;
        }
        let number = |field, width| vec![Item::Number(field, width)];
        let clock = |hour| {
            let colon = || Item::Text(":".to_owned());
            vec![Item::Number(hour, 2), colon(), Item::Number(Minute, 2), colon(), Item::Number(Second, 2)]
        };
        items.extend(match letters.next() {
            Some('a') => vec![Item::DayName { short: true }],
            Some('b') => vec![Item::MonthName { short: true }],
            Some('c') => number(Month, 1),
            Some('d') => number(Day, 2),
            Some('e') => number(Day, 1),
            Some('f') => vec![Item::Fraction(6)],
            Some('H') => number(Hour, 2),
            Some('h' | 'I') => number(HourOfHalf, 2),
            Some('i') => number(Minute, 2),
            Some('j') => number(DayOfYear, 3),
            Some('k') => number(Hour, 1),
            Some('l') => number(HourOfHalf, 1),
            Some('M') => vec![Item::MonthName { short: false }],
            Some('m') => number(Month, 2),
            Some('p') => vec![Item::AmPm],
            Some('r') => [clock(HourOfHalf), vec![Item::Text(" ".to_owned()), Item::AmPm]].concat(),
            Some('S' | 's') => number(Second, 2),
            Some('T') => clock(Hour),
            Some('v') => number(Week, 2),
            Some('W') => vec![Item::DayName { short: false }],
            Some('x') => number(WeekYear, 4),
            Some('Y') => number(Year, 4),
            Some('y') => vec![Item::YearOfTwoDigits],
            Some(letter @ ('D' | 'U' | 'u' | 'V' | 'w' | 'X')) => {
                return Err(argument(format!("%{letter} not supported in date format string")));
            }
            Some(letter) => vec![Item::Text(letter.to_string())],
            None => return Err(argument("% at the end of a date format string")),
        });
    }
    Ok(items)
}

fn joda(pattern: &str) -> Result<Vec<Item>> {
    let mut items = Vec::new();
    let mut letters = pattern.chars().peekable();
    while let Some(letter) = letters.next() {
        if letter == '\'' {
            if letters.next_if_eq(&'\'').is_some() {
                items.push(Item::Text("'".to_owned()));
                continue;
            }
            let mut text = String::new();
            loop {
                match letters.next() {
                    Some('\'') if letters.next_if_eq(&'\'').is_some() => text.push('\''),
                    Some('\'') | None => break,
                    Some(letter) => text.push(letter),
                }
            }
            items.push(Item::Text(text));
        } else if letter.is_ascii_alphabetic() {
            let mut count = 1;
            while letters.next_if_eq(&letter).is_some() {
                count += 1;
            }
            items.push(
                joda_item(letter, count).ok_or_else(|| argument(format!("Illegal pattern component: {letter}")))?,
            );
        } else {
            items.push(Item::Text(letter.to_string()));
        }
    }
    Ok(items)
}

fn joda_item(letter: char, count: usize) -> Option<Item> {
    let number = |field| Item::Number(field, count);
    Some(match letter {
        'G' => Item::Era,
        'C' => number(Field::Century),
        'Y' | 'y' if count == 2 => Item::YearOfTwoDigits,
        'Y' | 'y' => number(Field::Year),
        'x' => number(Field::WeekYear),
        'w' => number(Field::Week),
        'e' => number(Field::DayOfWeek),
        'E' => Item::DayName { short: count < 4 },
        'D' => number(Field::DayOfYear),
        'M' if count >= 3 => Item::MonthName { short: count == 3 },
        'M' => number(Field::Month),
        'd' => number(Field::Day),
        'a' => Item::AmPm,
        'K' => number(Field::HourOfHalfFromZero),
        'h' => number(Field::HourOfHalf),
        'H' => number(Field::Hour),
        'k' => number(Field::HourFromOne),
        'm' => number(Field::Minute),
        's' => number(Field::Second),
        'S' => Item::Fraction(count),
        'z' => Item::ZoneName,
        'Z' => Item::Offset(count),
        _ => return None,
    })
}

fn name_of(names: &'static [&'static str], from_one: i8, short: bool) -> &'static str {
    let name = usize::try_from(from_one - 1).ok().and_then(|at| names.get(at)).copied().unwrap_or_default();
    if short { name.get(..3).unwrap_or(name) } else { name }
}

fn number_of(field: Field, shown: DateTime) -> i64 {
    let week = shown.date().iso_week_date();
    let hour = i64::from(shown.hour());
    match field {
        Field::Year => shown.year().into(),
        Field::Month => shown.month().into(),
        Field::Day => shown.day().into(),
        Field::DayOfYear => shown.day_of_year().into(),
        Field::DayOfWeek => shown.weekday().to_monday_one_offset().into(),
        Field::Week => week.week().into(),
        Field::WeekYear => week.year().into(),
        Field::Century => i64::from(shown.year() / 100),
        Field::Hour => hour,
        Field::HourOfHalf => (hour + 11) % 12 + 1,
        Field::HourOfHalfFromZero => hour % 12,
        Field::HourFromOne => (hour + 23) % 24 + 1,
        Field::Minute => shown.minute().into(),
        Field::Second => shown.second().into(),
    }
}

fn written(items: &[Item], moment: &Moment<'_>) -> Result<String> {
    let (shown, mut text) = (moment.shown, String::new());
    for item in items {
        // Writing into a string does not fail.
        let _ = match item {
            Item::Text(part) => write!(text, "{part}"),
            Item::Number(field, width) => write!(text, "{:0width$}", number_of(*field, shown)),
            Item::YearOfTwoDigits => write!(text, "{:02}", shown.year().rem_euclid(100)),
            Item::MonthName { short } => write!(text, "{}", name_of(&MONTHS, shown.month(), *short)),
            Item::DayName { short } => {
                write!(text, "{}", name_of(&DAYS, shown.weekday().to_monday_one_offset(), *short))
            }
            Item::AmPm => write!(text, "{}", if shown.hour() < 12 { "AM" } else { "PM" }),
            Item::Era => write!(text, "{}", if shown.year() > 0 { "AD" } else { "BC" }),
            Item::Fraction(digits) => {
                // Trino's have milliseconds.
                let all = format!("{:03}", shown.millisecond());
                write!(text, "{all:0<digits$.digits$}")
            }
            Item::Offset(letters) => {
                let offset = offset_text(moment.offset()?.unwrap_or(0));
                match letters {
                    1 => write!(text, "{}", offset.replace(':', "")),
                    2 => write!(text, "{offset}"),
                    _ => write!(text, "{}", moment.zone().unwrap_or_else(|| "UTC".to_owned())),
                }
            }
            Item::ZoneName => write!(text, "{}", moment.zone().unwrap_or_else(|| "UTC".to_owned())),
        };
    }
    Ok(text)
}

/// What a text says by a pattern.
#[derive(Debug, Default)]
struct Told {
    fields: Vec<(Field, i64)>,
    millis: i64,
    afternoon: Option<bool>,
    zone: Option<TimeZone>,
}

fn told(items: &[Item], text: &str) -> Option<Told> {
    let (mut told, mut rest) = (Told::default(), text);
    for (at, item) in items.iter().enumerate() {
        let adjacent = matches!(items.get(at + 1), Some(Item::Number(..) | Item::YearOfTwoDigits | Item::Fraction(_)));
        rest = one(item, adjacent, rest, &mut told)?;
    }
    rest.is_empty().then_some(told)
}

fn digits(text: &str, most: usize) -> Option<(i64, usize, &str)> {
    let end = text.bytes().take(most).take_while(u8::is_ascii_digit).count();
    let (number, rest) = text.split_at_checked(end)?;
    Some((number.parse().ok()?, end, rest))
}

fn named<'a>(names: &[&str], text: &'a str) -> Option<(i64, &'a str)> {
    for (at, name) in names.iter().enumerate() {
        for length in [name.len(), 3] {
            let Some((head, rest)) = text.split_at_checked(length) else { continue };
            if name.get(..length).is_some_and(|name| name.eq_ignore_ascii_case(head)) {
                return Some((i64::try_from(at).ok()? + 1, rest));
            }
        }
    }
    None
}

/// Reads a part of a pattern; gives what is left.
fn one<'a>(item: &Item, adjacent: bool, text: &'a str, told: &mut Told) -> Option<&'a str> {
    match item {
        Item::Text(part) => text.strip_prefix(part.as_str()),
        Item::Number(field, width) => {
            let usual = match field {
                Field::Year | Field::WeekYear => 9,
                Field::DayOfYear => 3,
                _ => 2,
            };
            let (sign, unsigned) = match text.strip_prefix('-') {
                Some(rest) if *field == Field::Year => (-1, rest),
                _ => (1, text),
            };
            let (number, _, rest) = digits(unsigned, if adjacent { *width } else { usual })?;
            told.fields.push((*field, sign * number));
            Some(rest)
        }
        Item::YearOfTwoDigits => {
            let (number, _, rest) = digits(text, 2)?;
            told.fields.push((Field::Year, if number < PIVOT { 2000 + number } else { 1900 + number }));
            Some(rest)
        }
        Item::MonthName { .. } => {
            let (month, rest) = named(&MONTHS, text)?;
            told.fields.push((Field::Month, month));
            Some(rest)
        }
        Item::DayName { .. } => named(&DAYS, text).map(|(_, rest)| rest),
        Item::AmPm => {
            let (half, rest) = text.split_at_checked(2)?;
            told.afternoon = Some(match half.to_ascii_uppercase().as_str() {
                "AM" => false,
                "PM" => true,
                _ => return None,
            });
            Some(rest)
        }
        Item::Era => text.strip_prefix("AD"),
        Item::Fraction(_) => {
            let (number, count, rest) = digits(text, 9)?;
            told.millis = number * 10_i64.pow(9 - u32::try_from(count).ok()?) / 1_000_000;
            Some(rest)
        }
        Item::Offset(_) | Item::ZoneName => {
            let is_of_zone = |letter: char| letter.is_ascii_alphanumeric() || "+-:/_".contains(letter);
            let end = text.find(|letter| !is_of_zone(letter)).unwrap_or(text.len());
            let (name, rest) = text.split_at(end);
            told.zone = Some(zone(name).ok()?);
            Some(rest)
        }
    }
}

impl Told {
    fn get(&self, wanted: Field) -> Option<i64> {
        self.fields.iter().rev().find(|(field, _)| *field == wanted).map(|(_, value)| *value)
    }

    fn date(&self) -> Option<Date> {
        let small = |value: i64| i8::try_from(value).ok();
        let year = i16::try_from(self.get(Field::Year).unwrap_or(1970)).ok()?;
        if let Some(day) = self.get(Field::DayOfYear) {
            let first = Date::new(year, 1, 1).ok()?;
            let date = first.checked_add(jiff::Span::new().try_days(day - 1).ok()?).ok()?;
            return (day > 0 && date.year() == year).then_some(date);
        }
        if let Some(week) = self.get(Field::Week) {
            let year = i16::try_from(self.get(Field::WeekYear).unwrap_or(year.into())).ok()?;
            let day = Weekday::from_monday_one_offset(small(self.get(Field::DayOfWeek).unwrap_or(1))?).ok()?;
            return ISOWeekDate::new(year, small(week)?, day).ok().map(ISOWeekDate::date);
        }
        Date::new(year, small(self.get(Field::Month).unwrap_or(1))?, small(self.get(Field::Day).unwrap_or(1))?).ok()
    }

    fn shown(&self) -> Option<DateTime> {
        let of_half = self.get(Field::HourOfHalf).or(self.get(Field::HourOfHalfFromZero));
        let hour = match (of_half, self.get(Field::Hour).or(self.get(Field::HourFromOne).map(|hour| hour % 24))) {
            (_, Some(hour)) => hour,
            (Some(hour), None) if (0..=12).contains(&hour) => {
                hour % 12 + if self.afternoon == Some(true) { 12 } else { 0 }
            }
            (Some(_), None) => return None,
            (None, None) => 0,
        };
        let small = |value: i64| i8::try_from(value).ok();
        let (minute, second) = (self.get(Field::Minute).unwrap_or(0), self.get(Field::Second).unwrap_or(0));
        let time = jiff::civil::Time::new(
            small(hour)?,
            small(minute)?,
            small(second)?,
            i32::try_from(self.millis * 1_000_000).ok()?,
        );
        Some(self.date()?.to_datetime(time.ok()?))
    }
}

fn malformed(text: &str) -> datafusion::common::DataFusionError {
    argument(format!("Invalid format: \"{text}\""))
}

fn pair<'a>(args: &[Value<'a>]) -> (&'a str, &'a str) {
    (args.first().map_or("", Value::text), args.get(1).map_or("", Value::text))
}

fn date_parse(args: &[Value<'_>]) -> Result<Out> {
    let (text, pattern) = pair(args);
    let shown = told(&mysql(pattern)?, text).and_then(|told| told.shown()).ok_or_else(|| malformed(text))?;
    Ok(Out::Int(micros(shown)?))
}

fn parse_datetime(args: &[Value<'_>]) -> Result<Out> {
    let (text, pattern) = pair(args);
    let told = told(&joda(pattern)?, text).ok_or_else(|| malformed(text))?;
    point(told.shown().ok_or_else(|| malformed(text))?, told.zone)
}

fn point(shown: DateTime, zone: Option<TimeZone>) -> Result<Out> {
    let zone = zone.unwrap_or(TimeZone::UTC);
    Ok(Out::Int(zone.to_timestamp(shown).map_err(argument)?.as_microsecond()))
}

fn date_format(args: &[Value<'_>]) -> Result<Out> {
    Ok(Out::Text(written(&mysql(args.get(1).map_or("", Value::text))?, &Moment::first(args)?)?))
}

fn format_datetime(args: &[Value<'_>]) -> Result<Out> {
    Ok(Out::Text(written(&joda(args.get(1).map_or("", Value::text))?, &Moment::first(args)?)?))
}

/// Patterns of ISO 8601's dates, and of what may stand behind `T`.
const ISO_DATES: [&str; 7] = ["yyyy-MM-dd", "yyyy-MM", "yyyy-'W'ww-e", "yyyy-'W'ww", "yyyy-DDD", "yyyyMMdd", "yyyy"];
const ISO_TIMES: [&str; 4] = ["HH:mm:ss.S", "HH:mm:ss", "HH:mm", "HH"];

fn iso_date(text: &str) -> Option<Date> {
    // Only whole numbers of digits: `2019-1-1` is none.
    let fits = |pattern: &&&str| {
        let digits: usize = pattern.chars().filter(char::is_ascii_lowercase).count();
        let days = pattern.chars().filter(|letter| "MD".contains(*letter)).count();
        text.chars().filter(char::is_ascii_digit).count() == digits + days
    };
    ISO_DATES.iter().filter(fits).find_map(|pattern| told(&joda(pattern).ok()?, text)?.date())
}

fn iso(text: &str) -> Option<(DateTime, Option<TimeZone>)> {
    let Some((date, rest)) = text.split_once('T') else {
        return Some((iso_date(text)?.to_datetime(jiff::civil::Time::midnight()), None));
    };
    let date = iso_date(date)?;
    let end = rest.find(['Z', '+', '-']).unwrap_or(rest.len());
    let (time, zone_name) = rest.split_at(end);
    let time = time.replace(',', ".");
    let time = ISO_TIMES.iter().find_map(|pattern| told(&joda(pattern).ok()?, &time)?.shown())?.time();
    let zone = if zone_name.is_empty() { None } else { Some(zone(zone_name).ok()?) };
    Some((date.to_datetime(time), zone))
}

fn from_iso8601_timestamp(args: &[Value<'_>]) -> Result<Out> {
    let text = args.first().map_or("", Value::text);
    let (shown, zone) = iso(text).ok_or_else(|| malformed(text))?;
    point(shown, zone)
}

fn from_iso8601_date(args: &[Value<'_>]) -> Result<Out> {
    let text = args.first().map_or("", Value::text);
    Ok(Out::Int(days(iso_date(text).ok_or_else(|| malformed(text))?)?))
}

fn to_iso8601(args: &[Value<'_>]) -> Result<Out> {
    let moment = Moment::first(args)?;
    let pattern = if moment.is_date() { "yyyy-MM-dd" } else { "yyyy-MM-dd'T'HH:mm:ss.SSS" };
    let zone = match moment.offset()? {
        None => String::new(),
        Some(0) => "Z".to_owned(),
        Some(seconds) => offset_text(seconds),
    };
    Ok(Out::Text(format!("{}{zone}", written(&joda(pattern)?, &moment)?)))
}

static FORMAT: &[Form] = &[form(&[Time, Text], Text, date_format), form(&[Zoned, Text], Text, date_format)];
static JODA: &[Form] = &[form(&[Time, Text], Text, format_datetime), form(&[Zoned, Text], Text, format_datetime)];
static ISO: &[Form] =
    &[form(&[Date], Text, to_iso8601), form(&[Time], Text, to_iso8601), form(&[Zoned], Text, to_iso8601)];

/// The functions.
pub fn all() -> Vec<ScalarUDF> {
    vec![
        function!("date_parse", [Text, Text] => Time, date_parse),
        simple("date_format", FORMAT),
        function!("parse_datetime", [Text, Text] => Zoned, parse_datetime),
        simple("format_datetime", JODA),
        function!("from_iso8601_timestamp", [Text] => Zoned, from_iso8601_timestamp),
        function!("from_iso8601_date", [Text] => Date, from_iso8601_date),
        simple("to_iso8601", ISO),
    ]
}
