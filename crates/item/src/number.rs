//! Numbers of 38 significant digits and a magnitude of 1E-130 to 9.99..E+125, decimal and exact.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use crate::ValueError;

/// The most significant digits.
pub const MAX_DIGITS: u32 = 38;
/// The greatest power of ten of the first digit.
pub const MAX_MAGNITUDE: i32 = 125;
/// The smallest power of ten of the first digit.
pub const MIN_MAGNITUDE: i32 = -130;

/// A number: `coefficient * 10^exponent`. The coefficient has no zero at its end, so that equal numbers are equal in their parts;
/// zero is `0 * 10^0` and has no sign.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Number {
    negative: bool,
    /// Below 10^38.
    coefficient: u128,
    exponent: i16,
}

impl Number {
    /// Nought.
    pub const ZERO: Number = Number { negative: false, coefficient: 0, exponent: 0 };

    /// The number of these parts, if it is one.
    pub fn from_parts(negative: bool, mut coefficient: u128, mut exponent: i32) -> Result<Number, ValueError> {
        if coefficient == 0 {
            return Ok(Number::ZERO);
        }
        while coefficient.is_multiple_of(10) {
            coefficient /= 10;
            exponent = exponent.saturating_add(1);
        }
        let digits = coefficient.ilog10() + 1;
        let magnitude = exponent.saturating_add(digits as i32 - 1);
        if magnitude > MAX_MAGNITUDE {
            return Err(ValueError::Overflow);
        }
        if magnitude < MIN_MAGNITUDE {
            return Err(ValueError::Underflow);
        }
        if digits > MAX_DIGITS {
            return Err(ValueError::TooPrecise);
        }
        // Between -130 - 38 and 125.
        Ok(Number { negative, coefficient, exponent: exponent as i16 })
    }

    /// (is negative, coefficient, exponent)
    pub fn parts(&self) -> (bool, u128, i16) {
        (self.negative, self.coefficient, self.exponent)
    }

    /// Is it zero?
    pub fn is_zero(&self) -> bool {
        self.coefficient == 0
    }

    /// Is it below zero?
    pub fn is_negative(&self) -> bool {
        self.negative
    }

    /// How many significant digits it has; none for zero.
    pub fn digits(&self) -> u32 {
        if self.coefficient == 0 { 0 } else { self.coefficient.ilog10() + 1 }
    }

    /// The power of ten of its first digit; nought for zero.
    pub fn magnitude(&self) -> i32 {
        if self.coefficient == 0 { 0 } else { i32::from(self.exponent) + self.digits() as i32 - 1 }
    }

    /// The same below zero.
    pub fn negated(self) -> Number {
        Number { negative: !self.negative && self.coefficient != 0, ..self }
    }

    /// The exact sum. One that needs more than 38 digits is an overflow, as AWS says it.
    pub fn plus(self, other: Number) -> Result<Number, ValueError> {
        if self.is_zero() {
            return Ok(other);
        }
        if other.is_zero() {
            return Ok(self);
        }
        let (high, low) = if self.exponent >= other.exponent { (self, other) } else { (other, self) };
        let shift = (i32::from(high.exponent) - i32::from(low.exponent)) as u32;
        // Past a u128 (3.4 * 10^38) the sum has more than 38 digits: what is taken off is below 10^38, and the last digit of `low` stays.
        let scaled = 10u128.checked_pow(shift).and_then(|power| high.coefficient.checked_mul(power));
        let scaled = scaled.ok_or(ValueError::Overflow)?;
        let (negative, coefficient) = if high.negative == low.negative {
            (high.negative, scaled.checked_add(low.coefficient).ok_or(ValueError::Overflow)?)
        } else if scaled >= low.coefficient {
            (high.negative, scaled - low.coefficient)
        } else {
            (low.negative, low.coefficient - scaled)
        };
        Number::from_parts(negative, coefficient, i32::from(low.exponent)).map_err(|error| match error {
            ValueError::TooPrecise => ValueError::Overflow,
            other => other,
        })
    }

    /// The exact difference; see [`Number::plus`].
    pub fn minus(self, other: Number) -> Result<Number, ValueError> {
        self.plus(other.negated())
    }

    /// Its whole part, if that is between 0 and 2^64 - 1: what a time in seconds is read as.
    pub fn to_u64(&self) -> Option<u64> {
        if self.negative {
            return None;
        }
        let exponent = self.exponent.unsigned_abs().into();
        if self.exponent >= 0 {
            10u128.checked_pow(exponent)?.checked_mul(self.coefficient)?.try_into().ok()
        } else {
            // More places than a u128 has: less than one.
            10u128.checked_pow(exponent).map_or(0, |power| self.coefficient / power).try_into().ok()
        }
    }

    /// By what they are worth without their signs; neither is zero.
    fn compare_magnitudes(&self, other: &Number) -> Ordering {
        let aligned = |number: &Number| number.coefficient * 10u128.pow(MAX_DIGITS - number.digits());
        self.magnitude().cmp(&other.magnitude()).then_with(|| aligned(self).cmp(&aligned(other)))
    }
}

impl Ord for Number {
    fn cmp(&self, other: &Number) -> Ordering {
        let sign = |number: &Number| match (number.is_zero(), number.negative) {
            (true, _) => 0,
            (false, true) => -1,
            (false, false) => 1,
        };
        match (sign(self), sign(other)) {
            (-1, -1) => other.compare_magnitudes(self),
            (1, 1) => self.compare_magnitudes(other),
            (mine, theirs) => mine.cmp(&theirs),
        }
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Number) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl FromStr for Number {
    type Err = ValueError;

    /// Reads `[+-] digits [. digits] [(e|E) [+-] digits]`; a digit may be missing on one side of the point.
    fn from_str(text: &str) -> Result<Number, ValueError> {
        Parts::read(text.as_bytes()).ok_or_else(|| ValueError::NotANumber(text.to_owned()))?.number()
    }
}

/// A number as it is written.
struct Parts {
    negative: bool,
    /// Of the digits from the first to the last that is not zero, as many as fit.
    coefficient: u128,
    /// How many digits that are from the first to the last that is not zero.
    digits: u32,
    /// Of the last of them.
    exponent: i64,
    /// What stands behind the `e`.
    written: i64,
}

impl Parts {
    fn read(text: &[u8]) -> Option<Parts> {
        let (negative, text) = sign(text);
        let at = text.iter().position(|byte| matches!(byte, b'e' | b'E'));
        let (mantissa, written) = match at {
            Some(at) => (&text[..at], exponent(&text[at + 1..])?),
            None => (text, 0),
        };
        let (whole, fraction) = match mantissa.iter().position(|byte| *byte == b'.') {
            Some(at) => (&mantissa[..at], &mantissa[at + 1..]),
            None => (mantissa, &[][..]),
        };
        if whole.len() + fraction.len() == 0 || !whole.iter().chain(fraction).all(u8::is_ascii_digit) {
            return None;
        }
        let mut parts = Parts { negative, coefficient: 0, digits: 0, exponent: 0, written };
        let mut zeros = 0;
        for digit in whole.iter().chain(fraction) {
            match digit - b'0' {
                0 if parts.digits == 0 => {}
                0 => zeros += 1,
                digit => {
                    parts.push_zeros(zeros);
                    parts.push(digit);
                    zeros = 0;
                }
            }
        }
        parts.exponent = written.saturating_add(i64::from(zeros)).saturating_sub(fraction.len() as i64);
        Some(parts)
    }

    /// Past 38 digits only their count matters.
    fn push(&mut self, digit: u8) {
        self.digits = self.digits.saturating_add(1);
        if self.digits <= MAX_DIGITS {
            self.coefficient = self.coefficient * 10 + u128::from(digit);
        }
    }

    fn push_zeros(&mut self, zeros: u32) {
        for _ in 0..zeros {
            self.push(0);
        }
    }

    fn number(self) -> Result<Number, ValueError> {
        // Zero has the magnitude that its exponent says, as AWS sees it.
        let magnitude =
            if self.digits == 0 { self.written } else { self.exponent.saturating_add(i64::from(self.digits) - 1) };
        if magnitude > i64::from(MAX_MAGNITUDE) {
            return Err(ValueError::Overflow);
        }
        if magnitude < i64::from(MIN_MAGNITUDE) {
            return Err(ValueError::Underflow);
        }
        if self.digits > MAX_DIGITS {
            return Err(ValueError::TooPrecise);
        }
        // Within the magnitudes above, unless it is zero.
        Number::from_parts(self.negative, self.coefficient, self.exponent as i32)
    }
}

fn sign(text: &[u8]) -> (bool, &[u8]) {
    match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    }
}

/// An exponent as it is written, of 64 bits at most.
fn exponent(text: &[u8]) -> Option<i64> {
    let (negative, digits) = sign(text);
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let magnitude =
        digits.iter().try_fold(0i64, |sum, digit| sum.checked_mul(10)?.checked_add(i64::from(digit - b'0')))?;
    Some(if negative { -magnitude } else { magnitude })
}

impl fmt::Display for Number {
    /// As DynamoDB writes it: without exponent, without needless zeros.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.negative {
            f.write_str("-")?;
        }
        let digits = self.coefficient.to_string();
        if self.exponent >= 0 {
            return write!(f, "{digits}{:0<1$}", "", self.exponent as usize);
        }
        let places = usize::from(self.exponent.unsigned_abs());
        match digits.len().checked_sub(places) {
            Some(whole) if whole > 0 => write!(f, "{}.{}", &digits[..whole], &digits[whole..]),
            _ => write!(f, "0.{digits:0>places$}"),
        }
    }
}

impl fmt::Debug for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if cfg!(any(test, feature = "testing")) { write!(f, "{self}") } else { f.write_str("number") }
    }
}

impl From<u64> for Number {
    fn from(number: u64) -> Number {
        // At most 20 digits.
        Number::from_parts(false, number.into(), 0).unwrap_or(Number::ZERO)
    }
}

impl From<i64> for Number {
    fn from(number: i64) -> Number {
        let positive = Number::from(number.unsigned_abs());
        if number < 0 { positive.negated() } else { positive }
    }
}

#[cfg(test)]
pub(crate) mod tests;
