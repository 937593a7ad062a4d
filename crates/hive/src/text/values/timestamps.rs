//! Dates and timestamps. Both are lenient, as Hive's and Trino's: 2030-02-31 is 3 March.

/// A point of time without zone: seconds since 1970 and nanoseconds of the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp {
    /// Whole seconds, rounded down.
    pub seconds: i64,
    /// Below 1,000,000,000.
    pub nanos: u32,
}

/// The most digits of a year.
const MAX_YEAR_DIGITS: usize = 9;

/// `date`: days since 1970, of `yyyy-MM-dd`; blanks around it and what follows a blank are passed over.
pub fn date(text: &[u8]) -> Option<i32> {
    let text = std::str::from_utf8(text).ok()?.trim();
    let text = text.split(' ').next()?;
    let mut reader = Reader { rest: text };
    let days = reader.date()?;
    reader.rest.is_empty().then_some(days)?.try_into().ok()
}

/// `timestamp`: `yyyy-MM-dd`, `yyyy-MM-dd HH:mm:ss` or `yyyy-MM-ddTHH:mm[:ss]`, with a fraction of at most nine digits.
pub fn timestamp(text: &[u8]) -> Option<Timestamp> {
    let text = std::str::from_utf8(text).ok()?.trim_matches(|c| c <= ' ');
    let mut reader = Reader { rest: text };
    let days = reader.date()?;
    if reader.rest.is_empty() {
        return Some(Timestamp { seconds: days.checked_mul(86_400)?, nanos: 0 });
    }
    let iso = reader.take('T') || reader.take('t');
    if !iso && !reader.take(' ') {
        return None;
    }
    let hour = reader.number(1, 2)?;
    reader.require(':')?;
    let minute = reader.number(1, 2)?;
    let mut second = 0;
    let mut nanos = 0;
    if reader.take(':') {
        second = reader.number(1, 2)?;
        if reader.take('.') {
            nanos = reader.fraction(9)?;
        }
    } else if !iso {
        return None;
    }
    if !reader.rest.is_empty() {
        return None;
    }
    let seconds = days.checked_mul(86_400)? + hour * 3_600 + minute * 60 + second;
    Some(Timestamp { seconds, nanos })
}

/// A timestamp by one of a column's patterns (`timestamp.formats`), or else by Hive's own forms.
pub fn timestamp_by(text: &[u8], patterns: &[Pattern]) -> Option<Timestamp> {
    let trimmed = std::str::from_utf8(text).ok()?.trim_matches(|c| c <= ' ');
    patterns.iter().find_map(|pattern| pattern.read(trimmed)).or_else(|| timestamp(text))
}

struct Reader<'a> {
    rest: &'a str,
}

impl Reader<'_> {
    fn take(&mut self, wanted: char) -> bool {
        match self.rest.strip_prefix(wanted) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn require(&mut self, wanted: char) -> Option<()> {
        self.take(wanted).then_some(())
    }

    fn number(&mut self, least: usize, most: usize) -> Option<i64> {
        let digits = self.rest.bytes().take(most).take_while(u8::is_ascii_digit).count();
        let number = self.rest.get(..digits).filter(|_| digits >= least)?.parse().ok()?;
        self.rest = self.rest.get(digits..)?;
        Some(number)
    }

    /// Digits after a point, in nanoseconds.
    fn fraction(&mut self, most: usize) -> Option<u32> {
        let before = self.rest.len();
        let number = self.number(1, most)?;
        let digits = before - self.rest.len();
        u32::try_from(number * 10i64.pow(u32::try_from(9usize.checked_sub(digits)?).ok()?)).ok()
    }

    /// Days since 1970.
    fn date(&mut self) -> Option<i64> {
        let sign = if self.take('-') { -1 } else { 1 };
        let year = self.number(1, MAX_YEAR_DIGITS)? * sign;
        self.require('-')?;
        let month = self.number(1, 2)?;
        self.require('-')?;
        Some(days(year, month, self.number(1, 2)?))
    }
}

/// Days since 1970 in the Gregorian calendar; months and days out of range count on (Howard Hinnant, "chrono-compatible low-level date
/// algorithms").
pub(crate) fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = year + (month - 1).div_euclid(12);
    let month = (month - 1).rem_euclid(12) + 1;
    let shifted = if month <= 2 { year - 1 } else { year };
    let era = shifted.div_euclid(400);
    let of_era = shifted.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468 + (day - 1)
}

/// Year, month and day of a day since 1970: the other way round.
pub(crate) fn civil(day: i64) -> (i64, i64, i64) {
    let day = day + 719_468;
    let era = day.div_euclid(146_097);
    let of_era = day.rem_euclid(146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let of_month = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + i64::from(month <= 2);
    (year, month, of_month)
}

/// A pattern of timestamps, as Joda-Time has them: `y M d H m s S` in runs, text in single quotes, other characters as they are; and
/// `millis`, which is Hive's word for milliseconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Millis,
    Literal(char),
    /// The letter, and how many of them. `bool`: digits follow at once, so that the run's length is the number's.
    Field(char, usize, bool),
}

/// Why a pattern cannot be read by.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the pattern of timestamps '{pattern}' has '{found}', which is not supported; y M d H m s S and text in quotes are"
)]
pub struct PatternError {
    /// The whole pattern.
    pub pattern: String,
    /// The letter or quote.
    pub found: char,
}

impl Pattern {
    /// Reads a pattern.
    pub fn parse(pattern: &str) -> Result<Self, PatternError> {
        if pattern.eq_ignore_ascii_case("millis") {
            return Ok(Self(vec![Part::Millis]));
        }
        let refused = |found| PatternError { pattern: pattern.to_owned(), found };
        let mut parts: Vec<Part> = Vec::new();
        let mut chars = pattern.chars().peekable();
        while let Some(c) = chars.next() {
            match c {
                '\'' if chars.next_if_eq(&'\'').is_some() => parts.push(Part::Literal('\'')),
                '\'' => loop {
                    match chars.next() {
                        Some('\'') if chars.next_if_eq(&'\'').is_none() => break,
                        Some(literal) => parts.push(Part::Literal(literal)),
                        None => return Err(refused('\'')),
                    }
                },
                'y' | 'M' | 'd' | 'H' | 'm' | 's' | 'S' => {
                    let mut count = 1;
                    while chars.next_if_eq(&c).is_some() {
                        count += 1;
                    }
                    // Names of months.
                    if c == 'M' && count > 2 {
                        return Err(refused(c));
                    }
                    let followed = chars.peek().is_some_and(char::is_ascii_alphabetic);
                    parts.push(Part::Field(c, count, followed));
                }
                c if c.is_ascii_alphabetic() => return Err(refused(c)),
                c => parts.push(Part::Literal(c)),
            }
        }
        Ok(Self(parts))
    }

    /// Its letters, each with how many there are.
    pub(crate) fn fields(&self) -> impl Iterator<Item = (char, usize)> {
        self.0.iter().filter_map(|part| match part {
            Part::Field(letter, count, _) => Some((*letter, *count)),
            Part::Millis | Part::Literal(_) => None,
        })
    }

    /// A timestamp as this pattern has it.
    pub(crate) fn write(&self, time: Timestamp) -> String {
        let (year, month, day) = civil(time.seconds.div_euclid(86_400));
        let second = time.seconds.rem_euclid(86_400);
        let mut text = String::new();
        for part in &self.0 {
            let (number, width) = match *part {
                Part::Millis => (time.seconds.saturating_mul(1_000) + i64::from(time.nanos / 1_000_000), 1),
                Part::Literal(c) => {
                    text.push(c);
                    continue;
                }
                Part::Field('S', count, _) => {
                    let digits = format!("{:09}", time.nanos);
                    text.extend(digits.chars().chain(std::iter::repeat('0')).take(count));
                    continue;
                }
                Part::Field('y', 2, _) => (year.rem_euclid(100), 2),
                Part::Field('y', width, _) => (year, width),
                Part::Field('M', width, _) => (month, width),
                Part::Field('d', width, _) => (day, width),
                Part::Field('H', width, _) => (second / 3_600, width),
                Part::Field('m', width, _) => (second / 60 % 60, width),
                Part::Field(_, width, _) => (second % 60, width),
            };
            text.push_str(&format!("{number:0width$}"));
        }
        text
    }

    /// The whole text by this pattern. What it does not name is of 1970-01-01 00:00.
    pub(crate) fn read(&self, text: &str) -> Option<Timestamp> {
        let (mut year, mut month, mut day, mut seconds, mut nanos) = (1970, 1, 1, 0, 0);
        let mut reader = Reader { rest: text };
        for part in &self.0 {
            match *part {
                Part::Millis => return millis(text),
                Part::Literal(c) => reader.require(c)?,
                Part::Field('S', count, _) => nanos = reader.fraction(count.min(9))?,
                Part::Field(letter, count, followed) => {
                    let most = if followed { count } else { MAX_YEAR_DIGITS };
                    let number = reader.number(1, most)?;
                    match letter {
                        'y' if count == 2 => year = 2_000 + number,
                        'y' => year = number,
                        'M' => month = within(number, 1, 12)?,
                        'd' => day = within(number, 1, 31)?,
                        'H' => seconds += within(number, 0, 23)? * 3_600,
                        'm' => seconds += within(number, 0, 59)? * 60,
                        _ => seconds += within(number, 0, 59)?,
                    }
                }
            }
        }
        // Joda is strict: there is no 31 February.
        let next = days(year, month + 1, 1) - days(year, month, 1);
        if !reader.rest.is_empty() || day > next {
            return None;
        }
        Some(Timestamp { seconds: days(year, month, day).checked_mul(86_400)? + seconds, nanos })
    }
}

fn within(number: i64, least: i64, most: i64) -> Option<i64> {
    (least..=most).contains(&number).then_some(number)
}

/// Milliseconds since 1970; a fraction is cut off.
fn millis(text: &str) -> Option<Timestamp> {
    let (whole, fraction) = match text.split_once('.') {
        Some((whole, fraction)) if !fraction.is_empty() => (whole, fraction),
        Some(_) => return None,
        None => (text, ""),
    };
    if whole.starts_with('+') || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let millis: i64 = whole.parse().ok()?;
    let nanos = u32::try_from(millis.rem_euclid(1_000)).ok()? * 1_000_000;
    Some(Timestamp { seconds: millis.div_euclid(1_000), nanos })
}
