//! Schedules as tables: an expression, a time, and when it is due next. Most expressions are examples of AWS's user guides.

// Helpers of tests may fail the test.
#![allow(clippy::unwrap_used)]

use millpond_schedule::{Schedule, ScheduleError, Zone};
use millpond_types::Timestamp;

fn at(text: &str) -> Timestamp {
    let time: jiff::Timestamp = text.parse().unwrap();
    Timestamp(u64::try_from(time.as_nanosecond()).unwrap())
}

fn shown(time: Timestamp) -> String {
    jiff::Timestamp::from_nanosecond(time.0.into()).unwrap().to_string()
}

fn zone(name: &str) -> Zone {
    Zone::named(name).unwrap_or_else(|| panic!("no zone {name}"))
}

fn following(schedule: &Schedule, from: &str, count: usize) -> Vec<String> {
    let mut time = at(from);
    let mut due = Vec::new();
    while let Some(next) = schedule.after(time).filter(|_| due.len() < count) {
        due.push(shown(next));
        time = next;
    }
    due
}

#[test]
fn cron_expressions_in_utc() {
    // Expression; the first times after 2026-02-27T10:20:30Z, a Friday.
    let table: &[(&str, &[&str])] = &[
        ("cron(0 10 * * ? *)", &["2026-02-28T10:00:00Z", "2026-03-01T10:00:00Z"]),
        ("cron(15 12 * * ? *)", &["2026-02-27T12:15:00Z", "2026-02-28T12:15:00Z"]),
        ("cron(0 18 ? * MON-FRI *)", &["2026-02-27T18:00:00Z", "2026-03-02T18:00:00Z"]),
        ("cron(0 8 1 * ? *)", &["2026-03-01T08:00:00Z", "2026-04-01T08:00:00Z"]),
        ("cron(0/15 * * * ? *)", &["2026-02-27T10:30:00Z", "2026-02-27T10:45:00Z", "2026-02-27T11:00:00Z"]),
        ("cron(0/10 * ? * MON-FRI *)", &["2026-02-27T10:30:00Z", "2026-02-27T10:40:00Z"]),
        ("cron(0/5 8-17 ? * MON-FRI *)", &["2026-02-27T10:25:00Z", "2026-02-27T10:30:00Z"]),
        ("cron(0/30 20-2 ? * MON-FRI *)", &[]),
        ("cron(1/10 * * * ? *)", &["2026-02-27T10:21:00Z", "2026-02-27T10:31:00Z"]),
        ("cron(15 10 ? * 6L 2022-2027)", &["2026-03-27T10:15:00Z", "2026-04-24T10:15:00Z"]),
        ("cron(15 10 ? * 6L 2019-2022)", &[]),
        ("cron(15 10 ? * FRIL *)", &["2026-03-27T10:15:00Z"]),
        ("cron(0 12 ? * 3#2 *)", &["2026-03-10T12:00:00Z", "2026-04-14T12:00:00Z"]),
        ("cron(0 12 ? * TUE#5 *)", &["2026-03-31T12:00:00Z", "2026-06-30T12:00:00Z"]),
        ("cron(0 12 ? * L *)", &["2026-02-28T12:00:00Z", "2026-03-07T12:00:00Z"]),
        ("cron(0 12 L * ? *)", &["2026-02-28T12:00:00Z", "2026-03-31T12:00:00Z"]),
        // The 28th of February 2026 is a Saturday, the 31st of May a Sunday.
        (
            "cron(0 12 LW * ? *)",
            &["2026-02-27T12:00:00Z", "2026-03-31T12:00:00Z", "2026-04-30T12:00:00Z", "2026-05-29T12:00:00Z"],
        ),
        // Sunday the 1st becomes Monday; Saturday the 1st of August too, as the month is not left.
        (
            "cron(0 12 1W * ? *)",
            &[
                "2026-03-02T12:00:00Z",
                "2026-04-01T12:00:00Z",
                "2026-05-01T12:00:00Z",
                "2026-06-01T12:00:00Z",
                "2026-07-01T12:00:00Z",
                "2026-08-03T12:00:00Z",
            ],
        ),
        ("cron(0 12 3W * ? *)", &["2026-03-03T12:00:00Z", "2026-04-03T12:00:00Z", "2026-05-04T12:00:00Z"]),
        ("cron(0 12 31W * ? *)", &["2026-03-31T12:00:00Z", "2026-05-29T12:00:00Z", "2026-07-31T12:00:00Z"]),
        ("cron(0 0 29 2 ? *)", &["2028-02-29T00:00:00Z", "2032-02-29T00:00:00Z"]),
        ("cron(0 0 30 2 ? *)", &[]),
        ("cron(59 23 31 12 ? 2199)", &["2199-12-31T23:59:00Z"]),
        ("cron(0 0 1 JAN,jul ? *)", &["2026-07-01T00:00:00Z", "2027-01-01T00:00:00Z"]),
        ("cron(0-15/1 8-8 ? * 2,3,4,5,6,7 *)", &["2026-02-28T08:00:00Z", "2026-02-28T08:01:00Z"]),
        ("cron(30-30 13-13 ? * 2,4,6 *)", &["2026-02-27T13:30:00Z", "2026-03-02T13:30:00Z"]),
        ("cron(1-31/30 1-1 ? * 1,7 *)", &["2026-02-28T01:01:00Z", "2026-02-28T01:31:00Z"]),
        ("cron(0  0 1 1 ?\t2026/2)", &["2028-01-01T00:00:00Z", "2030-01-01T00:00:00Z"]),
        ("cron(*/20 */12 * * ? *)", &["2026-02-27T12:00:00Z", "2026-02-27T12:20:00Z"]),
    ];
    for (text, expected) in table {
        match Schedule::parse_rule(text) {
            Ok(schedule) => {
                let count = expected.len().max(1);
                assert_eq!(following(&schedule, "2026-02-27T10:20:30Z", count), *expected, "{text}");
                assert_eq!(schedule.to_string(), *text);
            }
            // A range that runs backwards is none.
            Err(error) => assert!(expected.is_empty() && error == ScheduleError::Field("hours"), "{text}: {error}"),
        }
    }
}

#[test]
fn rates() {
    // Expression; seconds; accepted of a rule, of Scheduler.
    let table = [
        ("rate(1 minute)", 60, true, true),
        ("rate(5 minutes)", 300, true, true),
        ("rate(1 hour)", 3_600, true, true),
        ("rate(12 hours)", 43_200, true, true),
        ("rate(1 day)", 86_400, true, true),
        ("rate(7 days)", 604_800, true, true),
        ("rate(1 hours)", 3_600, false, true),
        ("rate(5 hour)", 18_000, false, true),
        ("rate(3 minute)", 180, false, true),
        ("rate(1 minutes)", 60, false, true),
        ("rate(0 minutes)", 0, false, false),
        ("rate(-1 minutes)", 0, false, false),
        ("rate(+1 minute)", 0, false, false),
        ("rate(1.5 hours)", 0, false, false),
        ("rate(30 seconds)", 0, false, false),
        ("rate(5 Minutes)", 0, false, false),
        ("rate(5minutes)", 0, false, false),
        ("rate(5 minutes 3)", 0, false, false),
        ("rate(5)", 0, false, false),
        ("rate()", 0, false, false),
        ("rate(99999999999 days)", 0, false, false),
    ];
    for (text, seconds, rule, scheduler) in table {
        let (as_rule, as_schedule) = (Schedule::parse_rule(text), Schedule::parse(text, &Zone::utc()));
        assert_eq!((as_rule.is_ok(), as_schedule.is_ok()), (rule, scheduler), "{text}");
        if let Ok(schedule) = as_schedule {
            assert_eq!(schedule.after(Timestamp(7)), Some(Timestamp(seconds * 1_000_000_000 + 7)), "{text}");
        } else {
            assert_eq!(as_schedule.unwrap_err(), ScheduleError::Rate, "{text}");
        }
    }
    // A rate is of hours on the clock that never jumps: 24 of them, also on a day of 23.
    let daily = Schedule::parse("rate(1 day)", &zone("America/New_York")).unwrap();
    assert_eq!(following(&daily, "2026-03-07T15:00:00Z", 2), ["2026-03-08T15:00:00Z", "2026-03-09T15:00:00Z"]);
}

#[test]
fn a_rate_keeps_to_its_start() {
    let schedule = Schedule::parse_rule("rate(10 minutes)").unwrap();
    let start = at("2026-01-01T00:03:00Z");
    for (time, expected) in [
        ("2025-12-31T00:00:00Z", "2026-01-01T00:03:00Z"),
        ("2026-01-01T00:03:00Z", "2026-01-01T00:13:00Z"),
        ("2026-01-01T00:12:59.999Z", "2026-01-01T00:13:00Z"),
        ("2026-01-01T00:13:00.5Z", "2026-01-01T00:23:00Z"),
        ("2026-01-03T12:00:00Z", "2026-01-03T12:03:00Z"),
    ] {
        assert_eq!(shown(schedule.after_since(start, at(time)).unwrap()), expected, "{time}");
    }
}

#[test]
fn one_time_schedules() {
    for (text, name, expected) in [
        ("at(2026-11-20T13:00:00)", "UTC", Some("2026-11-20T13:00:00Z")),
        ("at(2026-11-20T13:00:07)", "Europe/Berlin", Some("2026-11-20T12:00:07Z")),
        ("at(2026-07-20T13:00:00)", "Europe/Berlin", Some("2026-07-20T11:00:00Z")),
        // Clocks go from 02:00 to 03:00; what is due once is not lost.
        ("at(2026-03-08T02:30:00)", "America/New_York", Some("2026-03-08T07:30:00Z")),
        // Clocks show 01:30 twice.
        ("at(2026-11-01T01:30:00)", "America/New_York", Some("2026-11-01T05:30:00Z")),
        ("at(2026-02-29T00:00:00)", "UTC", None),
        ("at(2026-02-28T24:00:00)", "UTC", None),
        ("at(2026-02-28T23:59:60)", "UTC", None),
        ("at(2026-02-28)", "UTC", None),
        ("at(2026-02-28 10:00:00)", "UTC", None),
        ("at(2026-02-28T10:00:00Z)", "UTC", None),
        ("at(2026-02-28T10:00:00.5)", "UTC", None),
        ("at(1969-12-31T23:59:59)", "UTC", None),
    ] {
        let parsed = Schedule::parse(text, &zone(name));
        let Some(expected) = expected else {
            assert_eq!(parsed.unwrap_err(), ScheduleError::Time, "{text}");
            continue;
        };
        let schedule = parsed.unwrap();
        assert_eq!(following(&schedule, "2026-01-01T00:00:00Z", 2), [expected], "{text}");
        assert!(schedule.is_once() && Schedule::parse_rule(text).is_err(), "{text}: not of rules");
    }
}

#[test]
fn clocks_that_jump() {
    let table: &[(&str, &str, &str, &[&str])] = &[
        // 2026-03-08, 02:00 EST becomes 03:00 EDT: 02:30 is skipped that day.
        (
            "cron(30 2 * * ? *)",
            "America/New_York",
            "2026-03-07T00:00:00Z",
            &["2026-03-07T07:30:00Z", "2026-03-09T06:30:00Z"],
        ),
        (
            "cron(0 3 * * ? *)",
            "America/New_York",
            "2026-03-07T12:00:00Z",
            &["2026-03-08T07:00:00Z", "2026-03-09T07:00:00Z"],
        ),
        // 2026-11-01, 02:00 EDT becomes 01:00 EST: 01:30 comes twice, and counts once.
        (
            "cron(30 1 * * ? *)",
            "America/New_York",
            "2026-10-31T12:00:00Z",
            &["2026-11-01T05:30:00Z", "2026-11-02T06:30:00Z"],
        ),
        (
            "cron(0/30 * * * ? *)",
            "America/New_York",
            "2026-11-01T05:00:00Z",
            &["2026-11-01T05:30:00Z", "2026-11-01T07:00:00Z"],
        ),
        // Asked within the hour that is shown again.
        ("cron(30 1 * * ? *)", "America/New_York", "2026-11-01T06:10:00Z", &["2026-11-02T06:30:00Z"]),
        (
            "cron(0 9 * * ? *)",
            "Europe/Berlin",
            "2026-03-28T00:00:00Z",
            &["2026-03-28T08:00:00Z", "2026-03-29T07:00:00Z"],
        ),
        // Half an hour, on Lord Howe Island.
        (
            "cron(15 2 * * ? *)",
            "Australia/Lord_Howe",
            "2026-10-02T00:00:00Z",
            &["2026-10-02T15:45:00Z", "2026-10-04T15:15:00Z"],
        ),
        // A time that never is.
        ("cron(30 2 ? 3 1#2 *)", "America/New_York", "2026-01-01T00:00:00Z", &[]),
    ];
    for (text, name, from, expected) in table {
        let schedule = Schedule::parse(text, &zone(name)).unwrap();
        assert_eq!(following(&schedule, from, expected.len().max(1)), *expected, "{text} {name}");
    }
}

#[test]
fn what_is_refused() {
    use ScheduleError::{Days, Field, Fields, Form};
    for (text, expected) in [
        ("", Form),
        ("5 minutes", Form),
        ("cron", Form),
        ("cron(0 10 * * ? *", Form),
        (" cron(0 10 * * ? *)", Form),
        ("CRON(0 10 * * ? *)", Form),
        ("cron()", Fields),
        ("cron(* * * * *)", Fields),
        ("cron(0 0 10 * * ? *)", Fields),
        ("cron(* * * * * *)", Days),
        ("cron(0 10 1 * MON *)", Days),
        ("cron(0 10 ? * ? *)", Days),
        ("cron(*/60 * * * ? *)", Field("minutes")),
        ("cron(60 * * * ? *)", Field("minutes")),
        ("cron(? * * * ? *)", Field("minutes")),
        ("cron(1,?  * * * ? *)", Field("minutes")),
        ("cron(1, * * * ? *)", Field("minutes")),
        ("cron(/5 * * * ? *)", Field("minutes")),
        ("cron(5/ * * * ? *)", Field("minutes")),
        ("cron(*/0 * * * ? *)", Field("minutes")),
        ("cron(+5 * * * ? *)", Field("minutes")),
        ("cron(1-2-3 * * * ? *)", Field("minutes")),
        ("cron(0 24 * * ? *)", Field("hours")),
        ("cron(0 0 0 * ? *)", Field("day of month")),
        ("cron(0 0 32 * ? *)", Field("day of month")),
        ("cron(0 0 32W * ? *)", Field("day of month")),
        ("cron(0 0 1-5W * ? *)", Field("day of month")),
        ("cron(0 0 1,L * ? *)", Field("day of month")),
        ("cron(0 0 L-3 * ? *)", Field("day of month")),
        ("cron(0 0 W * ? *)", Field("day of month")),
        ("cron(0 0 1 13 ? *)", Field("month")),
        ("cron(0 0 1 0 ? *)", Field("month")),
        ("cron(0 0 1 JANUARY ? *)", Field("month")),
        ("cron(0 0 ? * 0 *)", Field("day of week")),
        ("cron(0 0 ? * 8 *)", Field("day of week")),
        ("cron(0 0 ? * 3#0 *)", Field("day of week")),
        ("cron(0 0 ? * 3#6 *)", Field("day of week")),
        ("cron(0 0 ? * 3#1,6#3 *)", Field("day of week")),
        ("cron(0 0 ? * 3W *)", Field("day of week")),
        ("cron(0 0 1 1 ? 1969)", Field("year")),
        ("cron(0 0 1 1 ? 2200)", Field("year")),
    ] {
        assert_eq!(Schedule::parse(text, &Zone::utc()).unwrap_err(), expected, "{text}");
    }
    let long = format!("cron(0 0 1 1 ? {})", vec!["2026"; 60].join(","));
    assert_eq!(Schedule::parse(&long, &Zone::utc()).unwrap_err(), Form);
}

#[test]
fn zones_by_name() {
    for (name, known) in [
        ("UTC", true),
        ("Europe/Berlin", true),
        ("Etc/GMT+5", true),
        ("europe/berlin", false),
        ("Mars", false),
        ("", false),
        ("+01:00", false),
    ] {
        assert_eq!(Zone::named(name).is_some(), known, "{name}");
    }
}
