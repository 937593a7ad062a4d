//! Numbers as patterns compare them: by value, whatever they are written like, as long as they can be compared without loss.
//!
//! A number can be compared when the nearest double, written in its shortest form, is the very number that stands there. That holds for
//! everything with up to 15 significant digits, and is the rule of AWS's matcher (`ComparableNumber` in event-ruler). What cannot be
//! compared, an id of 20 digits for example, is equal to the same text alone, and in no range.

/// A number that can be compared. Never NaN, never infinite, and zero has no sign.
#[derive(Clone, Copy, PartialEq, PartialOrd, Debug)]
pub(crate) struct Number(f64);

// It is never NaN.
impl Eq for Number {}

impl std::hash::Hash for Number {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}

/// Every decimal of so many significant digits survives the way to a double and back (`DBL_DIG`).
const EXACT_DIGITS: usize = 15;
/// The powers of ten within which that is so; doubles reach further, down to where they lose digits.
const EXACT_POWER: i64 = 290;
/// Powers of ten beyond it are far outside of what a double can hold.
const MAX_POWER: i64 = 100_000;

impl Number {
    /// Of a literal of JSON; none when it cannot be compared.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if let Some(number) = Self::plain(text.as_bytes()) {
            return Some(number);
        }
        let literal = Decimal::parse(text)?;
        if literal.digits.is_empty() {
            return Some(Self(0.0));
        }
        let value: f64 = text.parse().ok()?;
        let exact = literal.digits.len() <= EXACT_DIGITS && literal.power.abs() <= EXACT_POWER;
        let same = || Decimal::parse(&format!("{value:e}")).is_some_and(|shortest| shortest == literal);
        (value.is_finite() && (exact || same())).then_some(Self(value))
    }

    /// The common case: an integer of few digits.
    fn plain(text: &[u8]) -> Option<Self> {
        let (negative, digits) = match text.split_first()? {
            (b'-', rest) => (true, rest),
            _ => (false, text),
        };
        if digits.is_empty() || digits.len() > EXACT_DIGITS {
            return None;
        }
        let mut value = 0_i64;
        for digit in digits {
            if !digit.is_ascii_digit() {
                return None;
            }
            value = value * 10 + i64::from(digit - b'0');
        }
        #[allow(clippy::cast_precision_loss, reason = "fifteen digits fit")]
        Some(Self(if negative { -value } else { value } as f64))
    }

    /// An integer in the order of the values.
    pub(crate) fn key(self) -> u64 {
        let bits = self.0.to_bits();
        if bits >> 63 == 0 { bits | 1 << 63 } else { !bits }
    }
}

/// Digits without zeros at either end, times a power of ten.
#[derive(PartialEq, Eq)]
struct Decimal {
    negative: bool,
    digits: Vec<u8>,
    power: i64,
}

impl Decimal {
    fn parse(text: &str) -> Option<Self> {
        let (negative, text) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let mut digits: Vec<u8> = whole.bytes().chain(fraction.bytes()).skip_while(|digit| *digit == b'0').collect();
        if !digits.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let zeros = digits.iter().rev().take_while(|digit| **digit == b'0').count();
        digits.truncate(digits.len() - zeros);
        if digits.is_empty() {
            return Some(Self { negative, digits, power: 0 });
        }
        let exponent: i64 = exponent.parse().ok().filter(|power: &i64| power.abs() <= MAX_POWER)?;
        let moved = i64::try_from(zeros).ok()? - i64::try_from(fraction.len()).ok()?;
        Some(Self { negative, digits, power: exponent + moved })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_equal_by_value() {
        for (a, b) in [
            ("300", "300.0"),
            ("300", "3.0e2"),
            ("300", "3E+2"),
            ("-2", "-2.000"),
            ("0", "-0"),
            ("0", "0.000e5"),
            ("0", "0e999999999999999999999"),
            ("0.1", "1e-1"),
            ("5000000001", "5.000000001e9"),
            ("1e300", "10e299"),
            ("123456789012345680", "1.2345678901234568e17"),
        ] {
            let (a, b) = (Number::parse(a), Number::parse(b));
            assert!(a.is_some() && a == b, "{a:?} {b:?}");
        }
    }

    #[test]
    fn what_loses_digits_is_not_compared() {
        for text in ["123456789012345678", "0.12345678901234567890", "1e400", "-1e400", "1e-400", "9007199254740993"] {
            assert_eq!(Number::parse(text), None, "{text}");
        }
        for text in [
            "123456789012345",
            "0.123456",
            "9007199254740992",
            "1.7976931348623157e308",
            "5e-324",
            "0.30000000000000004",
        ] {
            assert!(Number::parse(text).is_some(), "{text}");
        }
    }

    #[test]
    fn keys_are_in_order() {
        let sorted = ["-1e300", "-5", "-4.9", "-1e-300", "0", "1e-300", "0.5", "3", "3.1", "1e17", "1e300"];
        let numbers: Vec<_> = sorted.iter().map(|text| Number::parse(text).unwrap()).collect();
        assert!(numbers.windows(2).all(|pair| pair[0].key() < pair[1].key() && pair[0] < pair[1]));
    }
}
