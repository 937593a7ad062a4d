use proptest::prelude::*;

use super::*;

fn number(text: &str) -> Number {
    text.parse().unwrap()
}

#[test]
fn numbers_are_written_in_one_way() {
    let cases = [
        ("0", "0"),
        ("-0", "0"),
        ("+3", "3"),
        ("007", "7"),
        ("1.50", "1.5"),
        (".123", "0.123"),
        ("1.", "1"),
        ("1e+5", "100000"),
        ("-17.4E3", "-17400"),
        ("0e125", "0"),
        ("0.000e-130", "0"),
        ("100e-2", "1"),
        ("-1.25e-3", "-0.00125"),
        ("12.34", "12.34"),
        ("99999999999999999999999999999999999999", "99999999999999999999999999999999999999"),
        (
            "0.00000000000000000000000000000000000000000000000000001",
            "0.00000000000000000000000000000000000000000000000000001",
        ),
        ("1234567890123456789012345678901234567800000000", "1234567890123456789012345678901234567800000000"),
    ];
    for (text, expected) in cases {
        assert_eq!(number(text).to_string(), expected, "{text}");
    }
    assert_eq!(number("1e125").to_string(), format!("1{}", "0".repeat(125)));
    assert_eq!(number("1e-130").to_string(), format!("0.{}1", "0".repeat(129)));
}

#[test]
fn what_is_no_number() {
    for text in [
        "NaN",
        "Infinity",
        "-Infinity",
        "dog",
        "-",
        "+",
        ".",
        "e5",
        "1e",
        "1e+",
        " 1",
        "1 ",
        "1_0",
        "1.2.3",
        "0x1",
        "١",
    ] {
        let expected = format!("The parameter cannot be converted to a numeric value: {text}");
        assert_eq!(text.parse::<Number>().unwrap_err().to_string(), expected);
    }
    let cases = [
        ("0e126", ValueError::Overflow),
        ("0e-131", ValueError::Underflow),
        ("1e126", ValueError::Overflow),
        ("-11e125", ValueError::Overflow),
        ("1e99999999999", ValueError::Overflow),
        ("1e-131", ValueError::Underflow),
        ("0.9e-130", ValueError::Underflow),
        ("1e-99999999999", ValueError::Underflow),
        ("3.14159265358979323846264338327950288419", ValueError::TooPrecise),
        ("999999999999999999999999999999999999999", ValueError::TooPrecise),
        ("100000000000000000000000000000000000001", ValueError::TooPrecise),
    ];
    for (text, expected) in cases {
        assert_eq!(text.parse::<Number>(), Err(expected), "{text}");
    }
}

#[test]
fn sums() {
    let nines = "99999999999999999999999999999999999999";
    let cases = [
        ("1", "2", Ok("3")),
        ("1", "-1", Ok("0")),
        ("0.1", "0.2", Ok("0.3")),
        ("-5", "3", Ok("-2")),
        ("10000000000000000000000", "1", Ok("10000000000000000000001")),
        ("100000000000000000000000000000000000000", "-1", Ok(nines)),
        (nines, "1", Ok("100000000000000000000000000000000000000")),
        (nines, nines, Err(ValueError::Overflow)),
        ("1e50", "1", Err(ValueError::Overflow)),
        ("1e50", "-1", Err(ValueError::Overflow)),
        ("9e125", "9e125", Err(ValueError::Overflow)),
        ("1e125", "1e-130", Err(ValueError::Overflow)),
        ("1.1e-130", "-1e-130", Err(ValueError::Underflow)),
        ("0", "1e-130", Ok("1e-130")),
    ];
    for (one, other, expected) in cases {
        let expected = expected.map(number);
        assert_eq!(number(one).plus(number(other)), expected, "{one} + {other}");
        assert_eq!(number(other).plus(number(one)), expected, "{other} + {one}");
        assert_eq!(number(one).minus(number(other).negated()), expected, "{one} - -{other}");
    }
}

#[test]
fn whole_parts() {
    let cases = [
        ("0", Some(0)),
        ("1700000000", Some(1_700_000_000)),
        ("1700000000.9", Some(1_700_000_000)),
        ("1e-130", Some(0)),
        ("17e8", Some(1_700_000_000)),
        ("18446744073709551615", Some(u64::MAX)),
        ("18446744073709551616", None),
        ("1e125", None),
        ("-1", None),
    ];
    for (text, expected) in cases {
        assert_eq!(number(text).to_u64(), expected, "{text}");
    }
}

pub(crate) fn any_number() -> impl Strategy<Value = Number> {
    let parts = (any::<bool>(), 0..=38u32, any::<u128>(), -130..=125i32);
    prop_oneof![
        4 => parts.prop_map(|(negative, digits, random, magnitude)| {
            let coefficient = random % 10u128.pow(digits);
            let digits = coefficient.checked_ilog10().unwrap_or(0) as i32;
            Number::from_parts(negative, coefficient, magnitude - digits).unwrap()
        }),
        // Numbers that are near one another.
        1 => (-20..=20i64).prop_map(Number::from),
        1 => (-20..=20i64, -3..=3i32).prop_map(|(n, e)| Number::from_parts(n < 0, n.unsigned_abs().into(), e).unwrap()),
    ]
}

/// Digits from the place of 10^125 down to that of 10^-168: subtraction by hand.
fn place_values(number: &Number) -> Vec<i8> {
    let (negative, mut coefficient, exponent) = number.parts();
    let mut places = vec![0i8; 300];
    let mut at = (i32::from(exponent) + 170) as usize;
    while coefficient > 0 {
        places[at] = (coefficient % 10) as i8 * if negative { -1 } else { 1 };
        coefficient /= 10;
        at += 1;
    }
    places
}

proptest! {
    #[test]
    fn text_and_back(n in any_number()) {
        prop_assert_eq!(n.to_string().parse::<Number>().unwrap(), n);
    }

    #[test]
    fn order_is_that_of_places(a in any_number(), b in any_number()) {
        let expected = place_values(&a).into_iter().rev().cmp(place_values(&b).into_iter().rev());
        // Digits carry the sign, and no place is ambiguous.
        prop_assert_eq!(a.cmp(&b), expected);
        prop_assert_eq!(a == b, a.cmp(&b).is_eq());
    }

    #[test]
    fn sums_are_exact(a in any_number(), b in any_number()) {
        if let Ok(sum) = a.plus(b) {
            let mut carry = 0i32;
            let mut difference = Vec::new();
            for ((x, y), s) in place_values(&a).iter().zip(place_values(&b)).zip(place_values(&sum)) {
                carry += i32::from(*x) + i32::from(y) - i32::from(s);
                difference.push(carry.rem_euclid(10));
                carry = carry.div_euclid(10);
            }
            prop_assert!(carry == 0 && difference.iter().all(|digit| *digit == 0), "{} + {} = {}", a, b, sum);
            prop_assert_eq!(sum.minus(b), Ok(a));
        }
    }
}
