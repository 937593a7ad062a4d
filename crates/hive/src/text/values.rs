//! Text to values. What is none is NULL (`None`).
//!
//! Source: the behaviour of Trino's readers of Hive's text (`LongEncoding`, `DateEncoding`, `HiveFormatUtils`), which follow Hive's.

mod timestamps;

pub use timestamps::{Pattern, PatternError, Timestamp, date, timestamp, timestamp_by};
pub(crate) use timestamps::{civil, days};

/// The longest number that is read, in bytes. A decimal has 38 digits, a double at most 767 that count.
const MAX_NUMBER_BYTES: usize = 1_024;

/// `true` or `false`, in any case, without blanks.
pub fn boolean(text: &[u8]) -> Option<bool> {
    match text {
        _ if text.eq_ignore_ascii_case(b"true") => Some(true),
        _ if text.eq_ignore_ascii_case(b"false") => Some(false),
        _ => None,
    }
}

/// `bigint`: a sign, digits, and perhaps a fraction of digits, which is cut off. No blanks.
pub fn bigint(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    if digits.is_empty() {
        return None;
    }
    let (whole, fraction) = match memchr::memchr(b'.', digits) {
        Some(point) => (digits.get(..point)?, digits.get(point + 1..)?),
        None => (digits, &[][..]),
    };
    if !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    whole.iter().try_fold(0i64, |value, byte| {
        let digit = byte.is_ascii_digit().then(|| i64::from(byte - b'0'))?;
        let value = value.checked_mul(10)?;
        if negative { value.checked_sub(digit) } else { value.checked_add(digit) }
    })
}

/// `int`, as [`bigint`].
pub fn int(text: &[u8]) -> Option<i32> {
    bigint(text)?.try_into().ok()
}

/// `smallint`, as [`bigint`].
pub fn smallint(text: &[u8]) -> Option<i16> {
    bigint(text)?.try_into().ok()
}

/// `tinyint`, as [`bigint`].
pub fn tinyint(text: &[u8]) -> Option<i8> {
    bigint(text)?.try_into().ok()
}

/// `double`: as Java's `Double.parseDouble`, blanks around it passed over; `NaN`, `Infinity` and `-Infinity` in that case. Java's
/// notation of base 16 is NULL.
pub fn double(text: &[u8]) -> Option<f64> {
    java_number(text)?.parse().ok()
}

/// `float`, as [`double`].
pub fn float(text: &[u8]) -> Option<f32> {
    java_number(text)?.parse().ok()
}

/// What Java takes for a number, in Rust's notation.
fn java_number(text: &[u8]) -> Option<&str> {
    if text.len() > MAX_NUMBER_BYTES {
        return None;
    }
    let text = std::str::from_utf8(text).ok()?.trim_matches(|c| c <= ' ');
    match text.trim_start_matches(['+', '-']) {
        "NaN" | "Infinity" if text.len() - text.trim_start_matches(['+', '-']).len() <= 1 => return Some(text),
        _ => {}
    }
    // A letter for the type may follow.
    let number = text.strip_suffix(['d', 'D', 'f', 'F']).unwrap_or(text);
    number.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-')).then_some(number)
}

/// `decimal(precision,scale)`: the value times ten to the power of the scale, rounded half up; what has more digits is NULL. No blanks.
pub fn decimal(text: &[u8], precision: u8, scale: u8) -> Option<i128> {
    if text.len() > MAX_NUMBER_BYTES {
        return None;
    }
    let text = std::str::from_utf8(text).ok()?;
    let (number, exponent) = match text.split_once(['e', 'E']) {
        Some((number, exponent)) => (number, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let unsigned = number.strip_prefix(['-', '+']).unwrap_or(number);
    let negative = number.starts_with('-');
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let digits = || whole.bytes().chain(fraction.bytes());
    if digits().next().is_none() || !digits().all(|b| b.is_ascii_digit()) {
        return None;
    }
    // How many of the digits, and zeros after them, stand before the last place that counts.
    let fraction_digits = i32::try_from(fraction.len()).ok()?;
    let shift = i64::from(exponent) - i64::from(fraction_digits) + i64::from(scale);
    let count = i64::try_from(digits().count()).ok()?;
    let kept = usize::try_from((count + shift).clamp(-1, count)).ok();
    let mut value = 0i128;
    for byte in digits().take(kept.unwrap_or(0)) {
        value = value.checked_mul(10)?.checked_add(i128::from(byte - b'0'))?;
    }
    if shift < 0 && kept.is_some_and(|kept| digits().nth(kept).is_some_and(|b| b >= b'5')) {
        value = value.checked_add(1)?;
    }
    for _ in 0..shift.max(0) {
        if value == 0 {
            break;
        }
        value = value.checked_mul(10)?;
    }
    let value = if negative { -value } else { value };
    (value.unsigned_abs() < 10u128.pow(u32::from(precision.min(38)))).then_some(value)
}

/// `char(n)` and `varchar(n)`: the first characters.
pub fn truncated(text: &str, length: usize) -> &str {
    match text.char_indices().nth(length) {
        Some((end, _)) => text.get(..end).unwrap_or(text),
        None => text,
    }
}
