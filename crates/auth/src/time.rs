//! Dates as signatures carry them: `YYYYMMDDTHHMMSSZ`, ISO 8601 basic format in UTC.

use std::fmt;

use millpond_types::Timestamp;

/// The time a request was signed, to the second, and its text.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct AmzDate {
    text: [u8; 16],
    seconds: u64,
}

const SECONDS_A_DAY: u64 = 86_400;

/// Days since 1970-01-01 of a date in the proleptic Gregorian calendar (H. Hinnant, "chrono-compatible low-level date algorithms").
fn days_from_civil(year: u64, month: u64, day: u64) -> u64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year / 400, year % 400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    // 719468 days lie between 0000-03-01 and 1970-01-01; the callers' years start at 1970.
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// Year, month and day of a count of days since 1970-01-01.
fn civil_from_days(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, of_year - (153 * shifted + 2) / 5 + 1)
}

fn month_days(year: u64, month: u64) -> u64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        _ => 31,
    }
}

impl AmzDate {
    /// Parses the basic format, nothing else; years 1970 to 2553, which [`Timestamp`] holds.
    pub fn parse(text: &str) -> Option<Self> {
        let text: [u8; 16] = text.as_bytes().try_into().ok()?;
        if text[8] != b'T' || text[15] != b'Z' {
            return None;
        }
        let number = |range: std::ops::Range<usize>| {
            text[range].iter().try_fold(0u64, |sum, b| b.is_ascii_digit().then(|| sum * 10 + u64::from(b - b'0')))
        };
        let (year, month, day) = (number(0..4)?, number(4..6)?, number(6..8)?);
        let (hour, minute, second) = (number(9..11)?, number(11..13)?, number(13..15)?);
        let in_range = (1970..2554).contains(&year)
            && (1..=12).contains(&month)
            && (1..=month_days(year, month)).contains(&day)
            && hour < 24
            && minute < 60
            && second < 60;
        let seconds = || days_from_civil(year, month, day) * SECONDS_A_DAY + hour * 3600 + minute * 60 + second;
        in_range.then(|| Self { text, seconds: seconds() })
    }

    /// The header `Date`: the basic format, or an HTTP date (RFC 9110, section 5.6.7).
    pub(crate) fn parse_http(text: &str) -> Option<Self> {
        Self::parse(text).or_else(|| {
            let time = httpdate::parse_http_date(text).ok()?;
            let seconds = time.duration_since(std::time::UNIX_EPOCH).ok()?.as_secs();
            Some(Self::from(Timestamp::from_seconds(seconds)))
        })
    }

    /// The time.
    pub fn time(&self) -> Timestamp {
        Timestamp::from_seconds(self.seconds)
    }

    /// `YYYYMMDDTHHMMSSZ`.
    pub fn as_str(&self) -> &str {
        // ASCII by construction, so this is never the empty default.
        std::str::from_utf8(&self.text).unwrap_or_default()
    }

    /// `YYYYMMDD`, as in a credential scope.
    pub fn day(&self) -> &str {
        self.as_str().get(..8).unwrap_or_default()
    }
}

/// The second that a time lies in.
impl From<Timestamp> for AmzDate {
    fn from(time: Timestamp) -> Self {
        let seconds = time.seconds();
        let (year, month, day) = civil_from_days(seconds / SECONDS_A_DAY);
        let of_day = seconds % SECONDS_A_DAY;
        let mut text = *b"00000000T000000Z";
        let mut put = |at: usize, width: usize, mut number: u64| {
            for place in (at..at + width).rev() {
                text[place] = b'0' + (number % 10) as u8;
                number /= 10;
            }
        };
        put(0, 4, year);
        put(4, 2, month);
        put(6, 2, day);
        put(9, 2, of_day / 3600);
        put(11, 2, of_day / 60 % 60);
        put(13, 2, of_day % 60);
        Self { text, seconds }
    }
}

impl fmt::Display for AmzDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for AmzDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A time as S3's error bodies show it: `YYYY-MM-DDTHH:MM:SSZ`.
pub(crate) fn extended(time: Timestamp) -> String {
    let date = AmzDate::from(time);
    let t = date.as_str();
    format!("{}-{}-{}T{}:{}:{}Z", &t[..4], &t[4..6], &t[6..8], &t[9..11], &t[11..13], &t[13..15])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_dates() {
        for (text, seconds) in [
            ("19700101T000000Z", 0),
            ("20130524T000000Z", 1_369_353_600),
            ("20150830T123600Z", 1_440_938_160),
            ("20000229T235959Z", 951_868_799),
            ("21000301T000000Z", 4_107_542_400),
        ] {
            let date = AmzDate::parse(text).unwrap();
            assert_eq!(date.time().seconds(), seconds, "{text}");
            assert_eq!(AmzDate::from(Timestamp::from_seconds(seconds)), date);
            assert_eq!(date.day(), &text[..8]);
        }
        assert_eq!(extended(Timestamp::from_seconds(1_369_353_601)), "2013-05-24T00:00:01Z");
        let http = AmzDate::parse_http("Fri, 24 May 2013 00:00:00 GMT").unwrap();
        assert_eq!(http.as_str(), "20130524T000000Z");
    }

    #[test]
    fn every_day_of_five_centuries_leads_back() {
        for day in 0..(584 * 365) {
            let date = AmzDate::from(Timestamp::from_seconds(day * SECONDS_A_DAY + day % SECONDS_A_DAY));
            assert_eq!(AmzDate::parse(date.as_str()), Some(date), "{date}");
        }
    }

    #[test]
    fn what_is_no_date() {
        for text in [
            "",
            "20130524",
            "2013-05-24T00:00:00Z",
            "20130524T000000z",
            "20130532T000000Z",
            "20130024T000000Z",
            "20130229T000000Z",
            "20130524T240000Z",
            "20130524T006000Z",
            "20130524T000060Z",
            "19691231T235959Z",
            "99991231T235959Z",
            "+0130524T000000Z",
            "20130524T00000٠Z",
        ] {
            assert_eq!(AmzDate::parse(text), None, "{text}");
        }
        assert_eq!(AmzDate::parse_http("yesterday"), None);
    }
}
