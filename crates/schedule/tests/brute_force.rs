//! Random cron expressions in zones whose clocks jump, against a search minute by minute with a matcher that shares no code.
//!
//! `SEED=<number>` reruns one case.

// Helpers of tests may fail the test.
#![allow(clippy::unwrap_used)]

use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone, TimeZoneDatabase};
use millpond_schedule::{Schedule, Zone};
use millpond_types::Timestamp;

const CASES: u64 = 300;
/// How far the slow search looks.
const MINUTES: i64 = 60 * 24 * 40;
const ZONES: [&str; 5] = ["UTC", "America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "America/St_Johns"];

/// Xorshift64* (Vigna, "An experimental exploration of Marsaglia's xorshift generators").
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % end
    }

    fn field(&mut self, least: u64, most: u64) -> String {
        let span = most - least + 1;
        let one = least + self.below(span);
        match self.below(7) {
            0..=1 => "*".to_owned(),
            2 => one.to_string(),
            3 => format!("{one}-{}", one + self.below(most - one + 1)),
            4 => format!("{one}/{}", 1 + self.below(most.min(20))),
            5 => format!("*/{}", 1 + self.below(most.min(30))),
            _ => format!("{one},{}", least + self.below(span)),
        }
    }

    fn days(&mut self) -> (String, String) {
        match self.below(7) {
            0..=1 => (self.field(1, 31), "?".into()),
            2 => ("?".into(), self.field(1, 7)),
            3 => (["L", "LW"][self.below(2) as usize].into(), "?".into()),
            4 => (format!("{}W", 1 + self.below(31)), "?".into()),
            5 => ("?".into(), format!("{}L", 1 + self.below(7))),
            _ => ("?".into(), format!("{}#{}", 1 + self.below(7), 1 + self.below(5))),
        }
    }
}

fn simple(field: &str, value: i64, most: i64) -> bool {
    field.split(',').any(|part| {
        let (range, step) = part.split_once('/').map_or((part, 1), |(range, step)| (range, step.parse().unwrap()));
        let (first, last) = match range.split_once('-') {
            Some((first, last)) => (first.parse().unwrap(), last.parse().unwrap()),
            None if range == "*" => (if most == 31 || most == 12 || most == 7 { 1 } else { 0 }, most),
            None if part.contains('/') => (range.parse().unwrap(), most),
            None => (range.parse().unwrap(), range.parse().unwrap()),
        };
        value >= first && value <= last && (value - first) % step == 0
    })
}

fn sunday_one(time: DateTime) -> i64 {
    i64::from(time.weekday().to_sunday_zero_offset()) + 1
}

/// The day on which `15W` falls: the nearest of the days of the month that are no Saturday and no Sunday.
fn nearest(time: DateTime, wanted: i8) -> Option<i8> {
    let days = time.date().days_in_month();
    if wanted > days {
        return None;
    }
    (1..=days)
        .filter(|day| (2..=6).contains(&sunday_one(time.with().day(*day).build().unwrap())))
        .min_by_key(|day| ((day - wanted).abs(), (day - wanted).signum()))
}

fn matches(fields: &[&str], time: DateTime) -> bool {
    // The cheap ones first.
    if !simple(fields[0], time.minute().into(), 59) || !simple(fields[1], time.hour().into(), 23) {
        return false;
    }
    let (day, last) = (time.day(), time.date().days_in_month());
    let day_matches = match (fields[2], fields[4]) {
        ("L", _) => day == last,
        ("LW", _) => nearest_before(time, last) == day,
        ("?", week) => {
            if let Some(week) = week.strip_suffix('L') {
                week == sunday_one(time).to_string() && day + 7 > last
            } else if let Some((week, nth)) = week.split_once('#') {
                week == sunday_one(time).to_string() && nth == ((day + 6) / 7).to_string()
            } else {
                simple(week, sunday_one(time), 7)
            }
        }
        (month, _) => match month.strip_suffix('W') {
            Some(wanted) => nearest(time, wanted.parse().unwrap()) == Some(day),
            None => simple(month, day.into(), 31),
        },
    };
    day_matches && simple(fields[3], time.month().into(), 12)
}

/// The last day up to `last` that is no Saturday and no Sunday.
fn nearest_before(time: DateTime, last: i8) -> i8 {
    (1..=last).rev().find(|day| (2..=6).contains(&sunday_one(time.with().day(*day).build().unwrap()))).unwrap()
}

fn slow(fields: &[&str], zone: &TimeZone, from: i64) -> Option<i64> {
    (1..=MINUTES).map(|minute| (from / 60 + minute) * 60).find(|second| {
        let time = jiff::Timestamp::from_second(*second).unwrap();
        let local = zone.to_datetime(time);
        matches(fields, local) && {
            let ambiguous = zone.to_ambiguous_timestamp(local);
            let folded = matches!(ambiguous.offset(), AmbiguousOffset::Fold { .. });
            !folded || ambiguous.earlier().unwrap() == time
        }
    })
}

fn case(seed: u64) {
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let name = ZONES[random.below(5) as usize];
    let (minutes, hours, month) = (random.field(0, 59), random.field(0, 23), random.field(1, 12));
    let (day, week) = random.days();
    let fields = [&minutes, &hours, &day, &month, &week, "*"].map(ToString::to_string);
    let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
    let text = format!("cron({})", fields.join(" "));
    // From 2026 on, half the time within days of a change of clocks somewhere.
    let near = [1_772_900_000, 1_774_700_000, 1_790_900_000, 1_792_800_000, 1_793_400_000][random.below(5) as usize];
    let from = match random.below(2) {
        0 => 1_767_225_600 + random.below(4 * 365 * 86_400),
        _ => near + random.below(3 * 86_400),
    };
    let zone = TimeZoneDatabase::bundled().get(name).unwrap();
    let expected = slow(&fields, &zone, i64::try_from(from).unwrap());
    let found = Schedule::parse(&text, &Zone::named(name).unwrap()).unwrap().after(Timestamp::from_seconds(from));
    let found = found.map(|time| i64::try_from(time.seconds()).unwrap());
    let horizon = (i64::try_from(from).unwrap() / 60 + MINUTES) * 60;
    assert_eq!(found.filter(|time| *time <= horizon), expected, "SEED={seed}: {text} in {name} after {from}");
}

#[test]
fn as_a_search_minute_by_minute() {
    match std::env::var("SEED") {
        Ok(seed) => case(seed.parse().unwrap()),
        Err(_) => (1..=CASES).for_each(case),
    }
}
