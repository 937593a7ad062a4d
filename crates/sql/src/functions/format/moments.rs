//! `%tY` and the like.

use jiff::civil::{Date, DateTime, Time, Weekday};

use super::given::Given;
use crate::functions::patterns::MONTHS;
use crate::functions::zones;

fn month(date: Date) -> &'static str {
    usize::try_from(date.month() - 1).ok().and_then(|at| MONTHS.get(at)).copied().unwrap_or_default()
}

fn weekday(date: Date) -> &'static str {
    match date.weekday() {
        Weekday::Monday => "Monday",
        Weekday::Tuesday => "Tuesday",
        Weekday::Wednesday => "Wednesday",
        Weekday::Thursday => "Thursday",
        Weekday::Friday => "Friday",
        Weekday::Saturday => "Saturday",
        Weekday::Sunday => "Sunday",
    }
}

fn short(name: &str) -> String {
    name.chars().take(3).collect()
}

/// A part of a date or a time; `None` for what has no such part.
pub fn shown(given: &Given, conversion: char) -> Option<String> {
    let (date, time) = match given {
        Given::Date(date) => (Some(*date), None),
        Given::Time(time) => (None, Some(*time)),
        Given::DateTime(shown) => (Some(shown.date()), Some(shown.time())),
        Given::Point(time, zone) => {
            let shown: DateTime = zone.to_datetime(*time);
            (Some(shown.date()), Some(shown.time()))
        }
        _ => return None,
    };
    let parts = |parts: &str| -> Option<String> {
        let one = |letter: char| {
            if letter.is_ascii_alphabetic() { shown(given, letter) } else { Some(letter.to_string()) }
        };
        parts.chars().map(one).collect()
    };
    match conversion {
        'R' => parts("H:M"),
        'T' => parts("H:M:S"),
        'r' => Some(format!("{} {}", parts("I:M:S")?, shown(given, 'p')?.to_uppercase())),
        'D' => parts("m/d/y"),
        'F' => parts("Y-m-d"),
        'c' => parts("a b d H:M:S Z Y"),
        'z' | 'Z' | 's' | 'Q' => of_point(given, conversion),
        _ => date.and_then(|date| of_date(date, conversion)).or_else(|| of_time(time?, conversion)),
    }
}

fn of_date(date: Date, conversion: char) -> Option<String> {
    Some(match conversion {
        'B' => month(date).to_owned(),
        'b' | 'h' => short(month(date)),
        'A' => weekday(date).to_owned(),
        'a' => short(weekday(date)),
        'C' => format!("{:02}", date.year() / 100),
        'Y' => format!("{:04}", date.year()),
        'y' => format!("{:02}", date.year() % 100),
        'j' => format!("{:03}", date.day_of_year()),
        'm' => format!("{:02}", date.month()),
        'd' => format!("{:02}", date.day()),
        'e' => date.day().to_string(),
        _ => return None,
    })
}

fn of_time(time: Time, conversion: char) -> Option<String> {
    let half = if time.hour() % 12 == 0 { 12 } else { time.hour() % 12 };
    Some(match conversion {
        'H' => format!("{:02}", time.hour()),
        'k' => time.hour().to_string(),
        'I' => format!("{half:02}"),
        'l' => half.to_string(),
        'M' => format!("{:02}", time.minute()),
        'S' => format!("{:02}", time.second()),
        'L' => format!("{:03}", time.millisecond()),
        'N' => format!("{:09}", time.subsec_nanosecond()),
        'p' => if time.hour() < 12 { "am" } else { "pm" }.to_owned(),
        _ => return None,
    })
}

fn of_point(given: &Given, conversion: char) -> Option<String> {
    let Given::Point(time, zone) = given else { return None };
    Some(match conversion {
        'z' => zones::offset_text(zone.to_offset(*time).seconds()).replace(':', ""),
        'Z' => zone.to_offset_info(*time).abbreviation().to_owned(),
        's' => time.as_second().to_string(),
        _ => time.as_millisecond().to_string(),
    })
}
