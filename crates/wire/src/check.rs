//! The constraints of a model: length, range, pattern.

use crate::parse_error::echo;
use crate::{ErrorKind, Location, ParseError, Pattern};

/// Refuses a length (characters, bytes, items, entries) outside `min..=max`.
pub fn check_length(
    member: &'static str,
    location: Location,
    length: usize,
    min: Option<u64>,
    max: Option<u64>,
) -> Result<(), ParseError> {
    let length = length as u64;
    match (min, max) {
        (Some(min), _) if length < min => Err(ParseError::new(member, location, ErrorKind::TooShort { length, min })),
        (_, Some(max)) if length > max => Err(ParseError::new(member, location, ErrorKind::TooLong { length, max })),
        _ => Ok(()),
    }
}

/// Refuses a number outside `min..=max`. Comparing as `f64` is exact for every bound that models use (below 2^53).
pub fn check_range(
    member: &'static str,
    location: Location,
    value: f64,
    min: Option<i64>,
    max: Option<i64>,
) -> Result<(), ParseError> {
    // Negated so that NaN is refused.
    let inside = min.is_none_or(|min| value >= min as f64) && max.is_none_or(|max| value <= max as f64);
    if inside {
        return Ok(());
    }
    Err(ParseError::new(member, location, ErrorKind::OutOfRange { value: value.to_string(), min, max }))
}

/// Refuses text that does not match the whole pattern.
pub fn check_pattern(
    member: &'static str,
    location: Location,
    value: &str,
    pattern: &Pattern,
) -> Result<(), ParseError> {
    if pattern.matches(value) {
        return Ok(());
    }
    Err(ParseError::new(member, location, ErrorKind::Pattern { value: echo(value), pattern: pattern.source() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_and_ranges_have_inclusive_ends() {
        let length = |n, min, max| check_length("m", Location::Body, n, min, max).is_ok();
        for (n, min, max, ok) in [
            (0, None, None, true),
            (0, Some(1), None, false),
            (1, Some(1), Some(1), true),
            (2, Some(1), Some(1), false),
            (2, None, Some(1), false),
        ] {
            assert_eq!(length(n, min, max), ok, "{n} {min:?} {max:?}");
        }
        let range = |v, min, max| check_range("m", Location::Query, v, min, max).is_ok();
        for (v, min, max, ok) in [
            (1.0, Some(1), Some(10), true),
            (10.0, Some(1), Some(10), true),
            (0.0, Some(1), None, false),
            (10.5, None, Some(10), false),
            (f64::NAN, Some(0), None, false),
        ] {
            assert_eq!(range(v, min, max), ok, "{v} {min:?} {max:?}");
        }
    }

    #[test]
    fn patterns_match_the_whole_text() {
        static DIGITS: Pattern = Pattern::new(r"[0-9]+|x");
        assert!(check_pattern("m", Location::Body, "123", &DIGITS).is_ok());
        assert!(check_pattern("m", Location::Body, "x", &DIGITS).is_ok());
        for bad in ["", "123 ", "12x", "123\n"] {
            assert!(check_pattern("m", Location::Body, bad, &DIGITS).is_err(), "{bad:?}");
        }
    }
}
