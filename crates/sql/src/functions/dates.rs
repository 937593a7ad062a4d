//! Dates and times: their fields, sums and differences.
//!
//! Trino documentation, "Date and time functions and operators".

use datafusion::common::Result;
use datafusion::logical_expr::ScalarUDF;
use jiff::civil::{Date, DateTime, Time};

use super::kind::{Kind::*, Out, Value};
use super::simple::{Form, Work, form, function, simple};
use super::zones::{Moment, days, micros};
use super::{argument, patterns};

/// Microseconds of a second.
const SECOND: i64 = 1_000_000;

/// A field of a calendar or a clock by Trino's name of it.
pub fn field(shown: DateTime, name: &str) -> Option<i64> {
    let week = shown.date().iso_week_date();
    Some(match name {
        "year" => shown.year().into(),
        "quarter" => i64::from((shown.month() - 1) / 3 + 1),
        "month" => shown.month().into(),
        "week" | "week_of_year" => week.week().into(),
        "year_of_week" | "yow" => week.year().into(),
        "day" | "day_of_month" => shown.day().into(),
        "day_of_week" | "dow" => shown.weekday().to_monday_one_offset().into(),
        "day_of_year" | "doy" => shown.day_of_year().into(),
        "hour" => shown.hour().into(),
        "minute" => shown.minute().into(),
        "second" => shown.second().into(),
        "millisecond" => shown.millisecond().into(),
        _ => return None,
    })
}

macro_rules! fields {
    ($($name:literal)*) => {
        vec![$({
            fn work(args: &[Value<'_>]) -> Result<Out> {
                Ok(field(Moment::first(args)?.shown, $name).map_or(Out::Null, Out::Int))
            }
            const FORMS: &[Form] =
                &[form(&[Date], Bigint, work), form(&[Time], Bigint, work), form(&[Zoned], Bigint, work)];
            simple($name, FORMS)
        }),*]
    };
}

/// `work` of a date, of a timestamp and of a point in time, each of which it gives again.
macro_rules! same {
    ([$($before:expr),*], $work:expr) => {{
        const FORMS: &[Form] = &[
            form(&[$($before,)* Date], Date, $work),
            form(&[$($before,)* Time], Time, $work),
            form(&[$($before,)* Zoned], Zoned, $work),
        ];
        FORMS
    }};
}

/// The beginning of the unit that a moment is in.
fn truncated(shown: DateTime, unit: &str) -> Option<DateTime> {
    let date = shown.date();
    let start = |date: Date| date.to_datetime(Time::midnight());
    let at = |hour, minute, second, nanosecond| Some(date.at(hour, minute, second, nanosecond));
    match unit {
        "millisecond" => at(shown.hour(), shown.minute(), shown.second(), i32::from(shown.millisecond()) * 1_000_000),
        "second" => at(shown.hour(), shown.minute(), shown.second(), 0),
        "minute" => at(shown.hour(), shown.minute(), 0, 0),
        "hour" => at(shown.hour(), 0, 0, 0),
        "day" => Some(start(date)),
        "week" => {
            let back = i64::from(date.weekday().to_monday_zero_offset());
            date.checked_sub(jiff::Span::new().try_days(back).ok()?).ok().map(start)
        }
        "month" => Some(start(date.first_of_month())),
        "quarter" => Date::new(date.year(), (date.month() - 1) / 3 * 3 + 1, 1).ok().map(start),
        "year" => Some(start(date.first_of_year())),
        _ => None,
    }
}

fn bad_unit(unit: &str, of_date: bool) -> datafusion::common::DataFusionError {
    argument(format!("'{unit}' is not a valid {} field", if of_date { "DATE" } else { "TIMESTAMP" }))
}

fn is_of_clock(unit: &str) -> bool {
    matches!(unit, "millisecond" | "second" | "minute" | "hour")
}

fn unit_and_moment<'a>(args: &[Value<'a>], at: usize) -> Result<(String, Moment<'a>)> {
    let unit = args.first().map_or("", Value::text).to_lowercase();
    let moment = args.get(at).map_or_else(|| Err(argument("no date and no time")), Moment::of)?;
    if moment.is_date() && is_of_clock(&unit) {
        return Err(bad_unit(&unit, true));
    }
    Ok((unit, moment))
}

fn date_trunc(args: &[Value<'_>]) -> Result<Out> {
    let (unit, moment) = unit_and_moment(args, 1)?;
    let shown = truncated(moment.shown, &unit).ok_or_else(|| bad_unit(&unit, moment.is_date()))?;
    moment.out(shown)
}

fn date_add(args: &[Value<'_>]) -> Result<Out> {
    let (unit, moment) = unit_and_moment(args, 2)?;
    let count = args.get(1).map_or(0, Value::int);
    if let (true, Some(Value::Point(micros, _))) = (is_of_clock(&unit), args.get(2)) {
        // Hours pass alike whatever clocks do in summer.
        let later = Moment::of(&Value::Time(*micros))?.later(&unit, count)?;
        return Ok(Out::Int(super::zones::micros(later)?));
    }
    moment.out(moment.later(&unit, count)?)
}

/// Whole units from one moment to another.
fn date_diff(args: &[Value<'_>]) -> Result<Out> {
    let (unit, from) = unit_and_moment(args, 1)?;
    let (_, to) = unit_and_moment(args, 2)?;
    if is_of_clock(&unit) {
        let span = to.instant()?.saturating_sub(from.instant()?);
        let length = match unit.as_str() {
            "millisecond" => 1000,
            "second" => SECOND,
            "minute" => 60 * SECOND,
            _ => 3600 * SECOND,
        };
        return Ok(Out::Int(span / length));
    }
    let (start, end) = (from.shown, to.shown);
    let whole_days = (micros(end)? - micros(start)?) / (86_400 * SECOND);
    let months = i64::from(end.year() - start.year()) * 12 + i64::from(end.month() - start.month());
    Ok(Out::Int(match unit.as_str() {
        "day" => whole_days,
        "week" => whole_days / 7,
        "month" => whole_months(start, end, months),
        "quarter" => whole_months(start, end, months) / 3,
        "year" => whole_months(start, end, months) / 12,
        _ => return Err(bad_unit(&unit, from.is_date())),
    }))
}

/// Months less the one that is not over. A month's last day ends the month that began on a later day.
fn whole_months(start: DateTime, end: DateTime, months: i64) -> i64 {
    let within = |shown: DateTime| (shown.day(), shown.time());
    let is_last = |shown: DateTime| shown.date() == shown.date().last_of_month();
    if months > 0 && within(end) < within(start) && !(is_last(end) && end.day() < start.day()) {
        return months - 1;
    }
    if months < 0 && within(end) > within(start) && !(is_last(start) && start.day() < end.day()) {
        return months + 1;
    }
    months
}

fn last_day_of_month(args: &[Value<'_>]) -> Result<Out> {
    Ok(Out::Int(days(Moment::first(args)?.last_day())?))
}

fn date(args: &[Value<'_>]) -> Result<Out> {
    Ok(Out::Int(days(Moment::first(args)?.shown.date())?))
}

fn date_of_text(args: &[Value<'_>]) -> Result<Out> {
    let text = args.first().map_or("", Value::text);
    let parsed: Option<Date> = text.trim().parse().ok().filter(|_| text.trim().len() <= 10);
    let day = parsed.ok_or_else(|| super::cast_failure(text, "date"))?;
    Ok(Out::Int(days(day)?))
}

fn seconds(value: f64) -> Result<Out> {
    let millis = (value * 1000.0).round();
    if !millis.is_finite() || millis.abs() > 3.7e14 {
        return Err(argument(format!("{value} seconds are outside the years -9999 to 9999")));
    }
    #[allow(clippy::cast_possible_truncation)] // Looked at above.
    Ok(Out::Int(millis as i64 * 1000))
}

fn from_unixtime(args: &[Value<'_>]) -> Result<Out> {
    seconds(args.first().map_or(0.0, Value::double))
}

fn to_unixtime(args: &[Value<'_>]) -> Result<Out> {
    let micros = Moment::first(args)?.instant()?;
    #[allow(clippy::cast_precision_loss)] // A double is what Trino gives.
    Ok(Out::Double(micros as f64 / SECOND as f64))
}

fn timezone_hour(args: &[Value<'_>]) -> Result<Out> {
    Ok(Out::Int((Moment::first(args)?.offset()?.unwrap_or(0) / 3600).into()))
}

fn timezone_minute(args: &[Value<'_>]) -> Result<Out> {
    Ok(Out::Int((Moment::first(args)?.offset()?.unwrap_or(0) / 60 % 60).into()))
}

const fn of_each(gives: super::kind::Kind, work: Work) -> [Form; 3] {
    [form(&[Date], gives, work), form(&[Time], gives, work), form(&[Zoned], gives, work)]
}

static LAST_DAY: [Form; 3] = of_each(Date, last_day_of_month);
static UNIXTIME: [Form; 3] = of_each(Double, to_unixtime);
static OF: &[Form] = &[
    form(&[Text], Date, date_of_text),
    form(&[Date], Date, date),
    form(&[Time], Date, date),
    form(&[Zoned], Date, date),
];
static DIFF: &[Form] = &[
    form(&[Text, Date, Date], Bigint, date_diff),
    form(&[Text, Time, Time], Bigint, date_diff),
    form(&[Text, Zoned, Zoned], Bigint, date_diff),
];

/// The functions.
pub fn all() -> Vec<ScalarUDF> {
    let mut all = fields!["year" "quarter" "month" "week" "week_of_year" "year_of_week" "yow" "day" "day_of_month"
        "day_of_week" "dow" "day_of_year" "doy" "hour" "minute" "second" "millisecond"];
    all.extend([
        simple("date_trunc", same!([Text], date_trunc)),
        simple("date_add", same!([Text, Bigint], date_add)),
        simple("date_diff", DIFF),
        simple("last_day_of_month", &LAST_DAY),
        simple("date", OF),
        function!("from_unixtime", [Double] => Zoned, from_unixtime),
        simple("to_unixtime", &UNIXTIME),
        function!("timezone_hour", [Zoned] => Bigint, timezone_hour),
        function!("timezone", [Zoned] => Text, |args| {
            Ok(Moment::first(args)?.zone().map_or(Out::Null, Out::Text))
        }),
        function!("timezone_minute", [Zoned] => Bigint, timezone_minute),
    ]);
    all.extend(patterns::all());
    all
}
