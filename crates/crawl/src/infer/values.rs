//! What a field of text is.

use millpond_hive::text::values;

use crate::schema::Shape;

/// What stands for NULL in text, besides nothing at all.
const NULL: &str = "\\N";
/// Bytes of the longest text that is looked at for a number or a time.
const LONGEST: usize = 64;

/// The type of a field. Only what readers take for a value of a type is of that type; nothing is trimmed, as they trim nothing.
pub fn shape_of(text: &str) -> Shape {
    if text.is_empty() || text == NULL {
        return Shape::Null;
    }
    let bytes = text.as_bytes();
    if bytes.len() > LONGEST {
        return Shape::String;
    }
    match bytes.first() {
        Some(b'0'..=b'9' | b'+' | b'-' | b'.') => number_or_time(text),
        _ if values::boolean(bytes).is_some() => Shape::Boolean,
        _ => Shape::String,
    }
}

fn number_or_time(text: &str) -> Shape {
    let bytes = text.as_bytes();
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if unsigned.bytes().all(|byte| byte.is_ascii_digit()) && !unsigned.is_empty() {
        // What has more digits than a bigint would lose some as a double.
        return if values::bigint(bytes).is_some() { Shape::BigInt } else { Shape::String };
    }
    if is_decimal(unsigned) && values::double(bytes).is_some() {
        return Shape::Double;
    }
    match time(bytes) {
        Some(Time::Date) if values::date(bytes).is_some() => Shape::Date,
        Some(Time::Timestamp) if values::timestamp(bytes).is_some() => Shape::Timestamp,
        _ => Shape::String,
    }
}

/// Digits with a point or an exponent.
fn is_decimal(text: &str) -> bool {
    let (number, exponent) = match text.split_once(['e', 'E']) {
        Some((number, exponent)) => (number, Some(exponent.strip_prefix(['+', '-']).unwrap_or(exponent))),
        None => (text, None),
    };
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let some = !whole.is_empty() || !fraction.is_empty();
    some && digits(whole) && digits(fraction) && exponent.is_none_or(|text| !text.is_empty() && digits(text))
}

enum Time {
    Date,
    Timestamp,
}

/// `2030-01-31`, `2030-01-31 23:59:59` or `2030-01-31T23:59:59`, perhaps with a fraction. Months and days must be there: readers are lenient.
fn time(bytes: &[u8]) -> Option<Time> {
    let shaped = |text: &[u8], shape: &[u8]| {
        text.len() == shape.len()
            && text.iter().zip(shape).all(|(byte, shape)| match shape {
                b'0' => byte.is_ascii_digit(),
                other => byte == other,
            })
    };
    let (date, clock) = bytes.split_at_checked(10)?;
    let two = |from: usize| -> Option<u8> {
        let (tens, ones) = (*date.get(from)?, *date.get(from + 1)?);
        Some((tens - b'0') * 10 + (ones - b'0'))
    };
    if !shaped(date, b"0000-00-00") {
        return None;
    }
    let (month, day) = (two(5)?, two(8)?);
    let days = match month {
        4 | 6 | 9 | 11 => 30,
        2 => 29,
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=days).contains(&day) {
        return None;
    }
    if clock.is_empty() {
        return Some(Time::Date);
    }
    let (clock, fraction) = clock.split_at_checked(9)?;
    let fraction_fits = match fraction.split_first() {
        None => true,
        Some((b'.', digits)) => (1..=9).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit),
        Some(_) => false,
    };
    let fits = shaped(clock, b" 00:00:00") || shaped(clock, b"T00:00:00");
    (fits && fraction_fits).then_some(Time::Timestamp)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn fields_of_text() {
        for (text, kind) in [
            ("", Shape::Null),
            ("\\N", Shape::Null),
            ("12", Shape::BigInt),
            ("-007", Shape::BigInt),
            ("+5", Shape::BigInt),
            ("9223372036854775807", Shape::BigInt),
            ("9223372036854775808", Shape::String),
            ("1.5", Shape::Double),
            (".5", Shape::Double),
            ("-1e10", Shape::Double),
            ("1e", Shape::String),
            (".", Shape::String),
            ("-", Shape::String),
            ("1 ", Shape::String),
            (" 1", Shape::String),
            ("1,5", Shape::String),
            ("0x10", Shape::String),
            ("true", Shape::Boolean),
            ("FALSE", Shape::Boolean),
            ("yes", Shape::String),
            ("NaN", Shape::String),
            ("2030-01-31", Shape::Date),
            ("2030-02-30", Shape::String),
            ("2030-13-01", Shape::String),
            ("2030-1-3", Shape::String),
            ("2030-01-31 23:59:59", Shape::Timestamp),
            ("2030-01-31T23:59:59.123", Shape::Timestamp),
            ("2030-01-31T23:59:59Z", Shape::String),
            ("2030-01-31 23:59", Shape::String),
            ("12:30", Shape::String),
            ("é", Shape::String),
            ("2030-01-3é", Shape::String),
        ] {
            assert_eq!(shape_of(text), kind, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn numbers_are_read_as_what_they_are(text in "[-+0-9.eE: T]{0,24}") {
            let read = match shape_of(&text) {
                Shape::BigInt => values::bigint(text.as_bytes()).is_some(),
                Shape::Double => values::double(text.as_bytes()).is_some(),
                Shape::Date => values::date(text.as_bytes()).is_some(),
                Shape::Timestamp => values::timestamp(text.as_bytes()).is_some(),
                _ => true,
            };
            prop_assert!(read);
        }
    }
}
