//! Numbers as Java's formatter writes them.

use super::given::Given;
use super::{Place, Wrong};

/// Digits behind the point where nothing is said.
const DIGITS: usize = 6;

/// A sign before a number, and one behind it.
fn signs(place: &Place, is_negative: bool) -> (&'static str, &'static str) {
    match is_negative {
        true if place.has('(') => ("(", ")"),
        true => ("-", ""),
        false if place.has('+') => ("+", ""),
        false if place.has(' ') => (" ", ""),
        false => ("", ""),
    }
}

/// Digits with a comma between each three.
fn grouped(digits: &str) -> String {
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A number between its signs, with zeros up to the width.
fn signed(place: &Place, is_negative: bool, digits: &str) -> String {
    let (before, behind) = signs(place, is_negative);
    let has = before.len() + digits.len() + behind.len();
    let zeros = if place.has('0') { place.width.unwrap_or(0).saturating_sub(has) } else { 0 };
    format!("{before}{}{digits}{behind}", "0".repeat(zeros))
}

/// `%d`, `%o` and `%x`.
pub fn whole(place: &Place, number: i64) -> Result<String, Wrong> {
    if place.conversion == 'd' {
        let digits = number.unsigned_abs().to_string();
        let digits = if place.has(',') { grouped(&digits) } else { digits };
        return Ok(signed(place, number < 0, &digits));
    }
    place.without("+ (")?;
    let (prefix, digits) = match place.conversion {
        'x' => ("0x", format!("{number:x}")),
        _ => ("0", format!("{number:o}")),
    };
    let prefix = if place.has('#') { prefix } else { "" };
    let has = prefix.len() + digits.len();
    let zeros = if place.has('0') { place.width.unwrap_or(0).saturating_sub(has) } else { 0 };
    Ok(format!("{prefix}{}{digits}", "0".repeat(zeros)))
}

/// A number's digits, `0.DIGITS` times ten to the power `point`.
#[derive(Debug)]
struct Digits {
    digits: Vec<u8>,
    point: i64,
}

impl Digits {
    /// From Rust's shortest digits with an exponent.
    fn shortest(text: &str) -> Self {
        let (digits, exponent) = text.trim_start_matches('-').split_once('e').unwrap_or(("0", "0"));
        let digits = digits.bytes().filter(u8::is_ascii_digit).map(|digit| digit - b'0').collect();
        Self { digits, point: exponent.parse::<i64>().unwrap_or(0) + 1 }.normal()
    }

    fn decimal(number: i128, scale: i8) -> Self {
        let digits: Vec<u8> = number.unsigned_abs().to_string().bytes().map(|digit| digit - b'0').collect();
        let point = i64::try_from(digits.len()).unwrap_or(0) - i64::from(scale);
        Self { digits, point }.normal()
    }

    fn normal(mut self) -> Self {
        let zeros = self.digits.iter().take_while(|digit| **digit == 0).count();
        self.digits.drain(..zeros);
        self.point = if self.digits.is_empty() { 1 } else { self.point - i64::try_from(zeros).unwrap_or(0) };
        self
    }

    /// Keeps so many digits; a half is rounded up.
    fn rounded(mut self, keep: i64) -> Self {
        let Ok(keep) = usize::try_from(keep) else { return Self { digits: Vec::new(), point: 1 } };
        if keep >= self.digits.len() {
            return self;
        }
        let is_up = self.digits.get(keep).is_some_and(|digit| *digit >= 5);
        self.digits.truncate(keep);
        if is_up {
            let nines = self.digits.iter().rev().take_while(|digit| **digit == 9).count();
            self.digits.truncate(keep - nines);
            match self.digits.last_mut() {
                Some(digit) => *digit += 1,
                None => {
                    self.digits.push(1);
                    self.point += 1;
                }
            }
        }
        if self.digits.is_empty() { Self { digits: Vec::new(), point: 1 } } else { self }
    }

    /// The digit at a place behind the point, before it where that is negative.
    fn at(&self, place: i64) -> char {
        let digit = usize::try_from(place + self.point).ok().and_then(|at| self.digits.get(at)).copied().unwrap_or(0);
        char::from(b'0' + digit)
    }
}

/// `%f` and `%e`; `None` for what is no number with a fraction.
pub fn fraction(place: &Place, given: &Given) -> Option<String> {
    let (digits, is_negative) = match given {
        Given::Double(value) if !value.is_finite() => return Some(unusual(place, *value)),
        Given::Float(value) if !value.is_finite() => return Some(unusual(place, f64::from(*value))),
        Given::Double(value) => (Digits::shortest(&format!("{value:e}")), value.is_sign_negative()),
        Given::Float(value) => (Digits::shortest(&format!("{value:e}")), value.is_sign_negative()),
        Given::Decimal(value, scale) => (Digits::decimal(*value, *scale), *value < 0),
        _ => return None,
    };
    let behind = i64::try_from(place.precision.unwrap_or(DIGITS)).ok()?;
    let point = if behind > 0 || place.has('#') { "." } else { "" };
    let text = if place.conversion == 'e' {
        let digits = digits.rounded(behind + 1);
        let exponent = digits.point - 1;
        let sign = if exponent < 0 { '-' } else { '+' };
        let tail: String = (0..behind).map(|at| digits.at(at + 1 - digits.point)).collect();
        format!("{}{point}{tail}e{sign}{:02}", digits.at(-digits.point), exponent.unsigned_abs())
    } else {
        let keep = digits.point + behind;
        let digits = digits.rounded(keep);
        let head: String = (0..digits.point.max(1)).map(|at| digits.at(at - digits.point.max(1))).collect();
        let head = if place.has(',') { grouped(&head) } else { head };
        let tail: String = (0..behind).map(|at| digits.at(at)).collect();
        format!("{head}{point}{tail}")
    };
    Some(signed(place, is_negative, &text))
}

/// What is no number, and what is beyond all.
fn unusual(place: &Place, value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    let (before, behind) = signs(place, value < 0.0);
    format!("{before}Infinity{behind}")
}
