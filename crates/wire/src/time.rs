//! Times as AWS protocols write them.

use std::time::UNIX_EPOCH;

use millpond_types::Timestamp;

/// How a timestamp is written; the model says which.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TimeFormat {
    /// `2009-10-12T17:50:30Z`, with a fraction when there is one (RFC 3339).
    Iso8601,
    /// `2009-10-12T17:50:30.000Z`, always with milliseconds, as S3 does.
    Iso8601Millis,
    /// `Mon, 12 Oct 2009 17:50:30 GMT` (RFC 9110, section 5.6.7).
    HttpDate,
    /// Seconds since 1970, possibly with a fraction.
    EpochSeconds,
}

const NANOS: u64 = 1_000_000_000;
const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Reads a time in the given format; `None` when it is none.
pub(crate) fn parse(text: &str, format: TimeFormat) -> Option<Timestamp> {
    match format {
        TimeFormat::Iso8601 | TimeFormat::Iso8601Millis => parse_iso8601(text),
        TimeFormat::HttpDate => parse_http_date(text),
        TimeFormat::EpochSeconds => parse_epoch(text),
    }
}

/// Appends a time in the given format.
pub(crate) fn push(out: &mut String, time: Timestamp, format: TimeFormat) {
    match format {
        TimeFormat::Iso8601 => push_iso8601(out, time, false),
        TimeFormat::Iso8601Millis => push_iso8601(out, time, true),
        TimeFormat::HttpDate => push_http_date(out, time),
        TimeFormat::EpochSeconds => {
            push_decimal(out, time.seconds());
            push_fraction(out, time.0 % NANOS);
        }
    }
}

/// Reads an RFC 3339 time with any offset and fraction.
pub fn parse_iso8601(text: &str) -> Option<Timestamp> {
    let time: jiff::Timestamp = text.trim().parse().ok()?;
    u64::try_from(time.as_nanosecond()).ok().map(Timestamp)
}

/// Reads the three forms of an HTTP date (RFC 9110, section 5.6.7), also with a fraction of a second, as some clients write it.
pub fn parse_http_date(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    let parse = |text: &str| {
        let time = httpdate::parse_http_date(text).ok()?;
        let since = time.duration_since(UNIX_EPOCH).ok()?;
        u64::try_from(since.as_nanos()).ok().map(Timestamp)
    };
    if let Some((head, tail)) = text.split_once('.') {
        let (fraction, zone) = tail.split_once(' ')?;
        let whole = parse(&format!("{head} {zone}"))?;
        return Some(Timestamp(whole.0.checked_add(fraction_nanos(fraction)?)?));
    }
    parse(text)
}

/// Seconds since 1970 in decimals, also in the form `1.398796238E9`.
fn parse_epoch(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    if whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit()) && !whole.is_empty() {
        let seconds: u64 = whole.parse().ok()?;
        return seconds.checked_mul(NANOS)?.checked_add(fraction_nanos(fraction)?).map(Timestamp);
    }
    from_epoch(text.parse().ok()?)
}

/// A time from seconds since 1970, to the microsecond, which is what an f64 holds of today's times; `None` before 1970,
/// after the year 2554, and for NaN.
pub(crate) fn from_epoch(seconds: f64) -> Option<Timestamp> {
    let micros = (seconds * 1e6).round();
    (0.0..18_446_744_073_709_551.0).contains(&micros).then(|| Timestamp(micros as u64 * 1000))
}

fn fraction_nanos(digits: &str) -> Option<u64> {
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let nine = digits.bytes().chain(std::iter::repeat(b'0')).take(9);
    Some(nine.fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0')))
}

/// Appends `2009-10-12T17:50:30Z`; with milliseconds always, or a fraction only where there is one.
pub fn push_iso8601(out: &mut String, time: Timestamp, millis: bool) {
    let civil = Civil::of(time);
    let mut text = *b"0000-00-00T00:00:00.000Z";
    put_digits(&mut text[0..4], civil.year);
    put_digits(&mut text[5..7], civil.month);
    put_digits(&mut text[8..10], civil.day);
    put_clock(&mut text[11..19], civil.second_of_day);
    if millis {
        put_digits(&mut text[20..23], time.millis() % 1000);
        push_ascii(out, &text);
    } else {
        push_ascii(out, &text[..19]);
        push_fraction(out, time.0 % NANOS);
        out.push('Z');
    }
}

/// Appends `Mon, 12 Oct 2009 17:50:30 GMT`.
pub fn push_http_date(out: &mut String, time: Timestamp) {
    let civil = Civil::of(time);
    let mut text = *b"___, 00 ___ 0000 00:00:00 GMT";
    text[0..3].copy_from_slice(DAYS[(time.seconds() / 86_400 % 7) as usize].as_bytes());
    put_digits(&mut text[5..7], civil.day);
    text[8..11].copy_from_slice(MONTHS[(civil.month - 1) as usize].as_bytes());
    put_digits(&mut text[12..16], civil.year);
    put_clock(&mut text[17..25], civil.second_of_day);
    push_ascii(out, &text);
}

/// Fills a field with the last digits of a number.
fn put_digits(field: &mut [u8], mut value: u64) {
    for digit in field.iter_mut().rev() {
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
    }
}

/// Fills `00:00:00`.
fn put_clock(field: &mut [u8], second_of_day: u64) {
    put_digits(&mut field[0..2], second_of_day / 3600);
    put_digits(&mut field[3..5], second_of_day / 60 % 60);
    put_digits(&mut field[6..8], second_of_day % 60);
}

fn push_ascii(out: &mut String, text: &[u8]) {
    out.push_str(std::str::from_utf8(text).unwrap_or_default());
}

fn push_fraction(out: &mut String, nanos: u64) {
    if nanos != 0 {
        out.push('.');
        let mut digits = [b'0'; 9];
        put_digits(&mut digits, nanos);
        push_ascii(out, &digits);
        out.truncate(out.trim_end_matches('0').len());
    }
}

/// Appends a number.
pub(crate) fn push_decimal(out: &mut String, mut value: u64) {
    let mut digits = [b'0'; 20];
    let mut at = digits.len() - 1;
    loop {
        digits[at] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            return push_ascii(out, &digits[at..]);
        }
        at -= 1;
    }
}

struct Civil {
    year: u64,
    month: u64,
    day: u64,
    second_of_day: u64,
}

impl Civil {
    /// Days to a date of the Gregorian calendar, by the method of Howard Hinnant's "chrono-Compatible Low-Level Date
    /// Algorithms": years begin in March, so that the leap day comes last.
    fn of(time: Timestamp) -> Self {
        let seconds = time.seconds();
        let days = seconds / 86_400 + 719_468;
        let era = days / 146_097;
        let day_of_era = days % 146_097;
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted = (5 * day_of_year + 2) / 153;
        let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
        let year = era * 400 + year_of_era + u64::from(month <= 2);
        Self { year, month, day: day_of_year - (153 * shifted + 2) / 5 + 1, second_of_day: seconds % 86_400 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = NANOS;

    #[test]
    fn known_times_are_written_and_read() {
        let cases = [
            (0, "1970-01-01T00:00:00Z", "1970-01-01T00:00:00.000Z", "Thu, 01 Jan 1970 00:00:00 GMT", "0"),
            (
                1_398_796_238 * S,
                "2014-04-29T18:30:38Z",
                "2014-04-29T18:30:38.000Z",
                "Tue, 29 Apr 2014 18:30:38 GMT",
                "1398796238",
            ),
            (
                951_782_399 * S,
                "2000-02-28T23:59:59Z",
                "2000-02-28T23:59:59.000Z",
                "Mon, 28 Feb 2000 23:59:59 GMT",
                "951782399",
            ),
            (
                951_782_400 * S,
                "2000-02-29T00:00:00Z",
                "2000-02-29T00:00:00.000Z",
                "Tue, 29 Feb 2000 00:00:00 GMT",
                "951782400",
            ),
            (
                4_107_542_400 * S,
                "2100-03-01T00:00:00Z",
                "2100-03-01T00:00:00.000Z",
                "Mon, 01 Mar 2100 00:00:00 GMT",
                "4107542400",
            ),
        ];
        for (nanos, iso, millis, http, epoch) in cases {
            for (format, text) in [
                (TimeFormat::Iso8601, iso),
                (TimeFormat::Iso8601Millis, millis),
                (TimeFormat::HttpDate, http),
                (TimeFormat::EpochSeconds, epoch),
            ] {
                let mut out = String::new();
                push(&mut out, Timestamp(nanos), format);
                assert_eq!(out, text);
                assert_eq!(parse(text, format), Some(Timestamp(nanos)), "{text}");
            }
        }
    }

    #[test]
    fn dates_agree_with_a_calendar_library_over_five_centuries() {
        for day in (0..213_000u64).step_by(7) {
            let time = Timestamp((day * 86_400 + day % 86_400) * S + day * 1000);
            let mut out = String::new();
            push_iso8601(&mut out, time, false);
            let expected = jiff::Timestamp::from_nanosecond(i128::from(time.0)).unwrap().to_string();
            assert_eq!(out, expected);
            assert_eq!(parse_iso8601(&out), Some(time));
        }
    }

    #[test]
    fn other_spellings() {
        for (text, format, nanos) in [
            ("2019-12-16T23:48:18.123Z", TimeFormat::Iso8601, 1_576_540_098_123_000_000),
            ("2019-12-17T00:48:18+01:00", TimeFormat::Iso8601, 1_576_540_098 * S),
            ("Monday, 16-Dec-19 23:48:18 GMT", TimeFormat::HttpDate, 1_576_540_098 * S),
            ("Mon Dec 16 23:48:18 2019", TimeFormat::HttpDate, 1_576_540_098 * S),
            ("Sun, 02 Jan 2000 20:34:56.456 GMT", TimeFormat::HttpDate, 946_845_296_456_000_000),
            ("1576540098.5", TimeFormat::EpochSeconds, 1_576_540_098_500_000_000),
            ("1.576540098E9", TimeFormat::EpochSeconds, 1_576_540_098 * S),
        ] {
            assert_eq!(parse(text, format), Some(Timestamp(nanos)), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for (text, format) in [
            ("", TimeFormat::Iso8601),
            ("2019-02-30T00:00:00Z", TimeFormat::Iso8601),
            ("1969-12-31T23:59:59Z", TimeFormat::Iso8601),
            ("9999-01-01T00:00:00Z", TimeFormat::Iso8601),
            ("yesterday", TimeFormat::HttpDate),
            ("Mon, 99 Dec 2019 23:48:18 GMT", TimeFormat::HttpDate),
            ("NaN", TimeFormat::EpochSeconds),
            ("-1", TimeFormat::EpochSeconds),
            ("1e300", TimeFormat::EpochSeconds),
            ("99999999999999999999", TimeFormat::EpochSeconds),
            (".5", TimeFormat::EpochSeconds),
        ] {
            // `.5` is a number like any other to the fallback; it must not be an error of another kind.
            let expected = (text == ".5").then_some(Timestamp(500_000_000));
            assert_eq!(parse(text, format), expected, "{text}");
        }
    }
}
