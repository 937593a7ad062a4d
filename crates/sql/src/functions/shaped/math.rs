//! Numbers. Trino documentation, "Mathematical functions and operators" and "Bitwise functions".

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;

use arrow::array::{ArrayRef, Decimal128Builder};
use arrow::datatypes::DataType;
use datafusion::common::Result;

use super::call::{Call, Overload, Row, bad, of, out_of_range, volatile};

type Plain = (&'static str, super::call::Work);

macro_rules! plain {
    ($number:ident, $value:expr) => {
        |call| {
            call.doubles(|row| {
                let $number = row.double(0);
                Ok(Some($value))
            })
        }
    };
}

/// Of one number of floating point.
const PLAIN: &[Plain] = &[
    ("abs", plain!(n, n.abs())),
    ("acos", plain!(n, n.acos())),
    ("asin", plain!(n, n.asin())),
    ("atan", plain!(n, n.atan())),
    ("cbrt", plain!(n, n.cbrt())),
    ("ceil", plain!(n, n.ceil())),
    ("cos", plain!(n, n.cos())),
    ("cosh", plain!(n, n.cosh())),
    ("degrees", plain!(n, n.to_degrees())),
    ("exp", plain!(n, n.exp())),
    ("floor", plain!(n, n.floor())),
    ("ln", plain!(n, n.ln())),
    ("log10", plain!(n, n.log10())),
    ("log2", plain!(n, n.log2())),
    ("radians", plain!(n, n.to_radians())),
    ("round", plain!(n, rounded(n, 0))),
    ("sign", plain!(n, if n == 0.0 || n.is_nan() { n } else { n.signum() })),
    ("sin", plain!(n, n.sin())),
    ("sinh", plain!(n, n.sinh())),
    ("sqrt", plain!(n, n.sqrt())),
    ("tan", plain!(n, n.tan())),
    ("tanh", plain!(n, n.tanh())),
    ("truncate", plain!(n, n.trunc())),
];

/// To so many digits, halves away from zero.
fn rounded(number: f64, digits: i64) -> f64 {
    if !number.is_finite() {
        return number;
    }
    let factor = 10_f64.powi(i32::try_from(digits).unwrap_or(0));
    let scaled = number * factor;
    if scaled.is_finite() && scaled.abs() < 9e18 { scaled.round() / factor } else { number }
}

/// Every function of this file.
pub fn all() -> Vec<Overload> {
    let mut all = Vec::new();
    for (name, work) in PLAIN {
        all.push(of(&format!("{name}(double) -> double"), *work));
    }
    integers(&mut all);
    decimals(&mut all);
    all.extend([
        of("atan2(double, double) -> double", |call| call.doubles(|row| Ok(Some(row.double(0).atan2(row.double(1)))))),
        of("power(double, double) -> double", |call| call.doubles(|row| Ok(Some(row.double(0).powf(row.double(1)))))),
        of("log(double, double) -> double", |call| {
            call.doubles(|row| Ok(Some(row.double(1).ln() / row.double(0).ln())))
        }),
        of("round(double, bigint) -> double", |call| call.doubles(|row| Ok(Some(rounded(row.double(0), row.int(1)))))),
        of("e() -> double", |call| call.doubles(|_| Ok(Some(std::f64::consts::E)))),
        of("pi() -> double", |call| call.doubles(|_| Ok(Some(std::f64::consts::PI)))),
        of("infinity() -> double", |call| call.doubles(|_| Ok(Some(f64::INFINITY)))),
        of("nan() -> double", |call| call.doubles(|_| Ok(Some(f64::NAN)))),
        of("is_nan(double) -> boolean", |call| call.flags(|row| Ok(Some(row.double(0).is_nan())))),
        of("is_finite(double) -> boolean", |call| call.flags(|row| Ok(Some(row.double(0).is_finite())))),
        of("is_infinite(double) -> boolean", |call| call.flags(|row| Ok(Some(row.double(0).is_infinite())))),
        of("to_base(bigint, bigint) -> varchar", |call| call.texts(|row| to_base(row.int(0), row.int(1)).map(Some))),
        of("from_base(varchar, bigint) -> bigint", |call| {
            call.ints(|row| from_base(row.text(0), row.int(1)).map(Some))
        }),
        of("width_bucket(double, double, double, bigint) -> bigint", width_bucket),
        volatile("random() -> double", |call| call.doubles(|_| Ok(Some(random())))),
        volatile("random(bigint) -> bigint", |call| call.ints(|row| random_of(0, row.int(0)))),
        volatile("random(bigint, bigint) -> bigint", |call| call.ints(|row| random_of(row.int(0), row.int(1)))),
        volatile("uuid() -> varchar", |call| call.texts(|_| Ok(Some(uuid())))),
    ]);
    bits(&mut all);
    all
}

fn integers(all: &mut Vec<Overload>) {
    for kind in ["integer", "bigint"] {
        for name in ["ceil", "floor", "round", "truncate"] {
            all.push(of(&format!("{name}({kind}) -> {kind}"), |call| Ok(Arc::clone(&spread(call)?))));
        }
        all.push(of(&format!("abs({kind}) -> {kind}"), |call| {
            super::whole::whole(call, |row| match row[0].checked_abs() {
                Some(number) => Ok(number),
                None => Err(out_of_range(format!("Value {} is out of range for abs", row[0]))),
            })
        }));
        all.push(of(&format!("sign({kind}) -> {kind}"), |call| super::whole::whole(call, |row| Ok(row[0].signum()))));
        all.push(of(&format!("round({kind}, bigint) -> {kind}"), |call| {
            super::whole::whole(call, |row| Ok(round_whole(row[0], row[1])))
        }));
    }
}

/// An argument as it is, for all rows.
fn spread(call: &Call<'_>) -> Result<ArrayRef> {
    let arg = &call.args[0];
    if arg.single && call.rows != 1 {
        let places = arrow::array::UInt64Array::from(vec![0_u64; call.rows]);
        return Ok(arrow::compute::take(&arg.values, &places, None)?);
    }
    Ok(Arc::clone(&arg.values))
}

fn round_whole(number: i64, digits: i64) -> i64 {
    let places = u32::try_from(-digits).unwrap_or(0);
    match 10_i64.checked_pow(places) {
        Some(unit) if digits < 0 => {
            let half = number.signum() * (unit / 2);
            number.saturating_add(half) / unit * unit
        }
        Some(_) => number,
        None => 0,
    }
}

fn decimals(all: &mut Vec<Overload>) {
    all.extend([
        of("abs(decimal) -> decimal", |call| decimal(call, |n, _, _| Some(n.abs()))),
        of("sign(decimal) -> whole", |call| decimal(call, |n, _, _| Some(n.signum()))),
        of("ceil(decimal) -> whole", |call| decimal(call, |n, unit, _| Some(-(-n).div_euclid(unit)))),
        of("floor(decimal) -> whole", |call| decimal(call, |n, unit, _| Some(n.div_euclid(unit)))),
        of("truncate(decimal) -> whole", |call| decimal(call, |n, unit, _| Some(n / unit))),
        of("round(decimal) -> whole", |call| decimal(call, |n, unit, _| Some(half_up(n, unit)))),
        of("round(decimal, bigint) -> wider", |call| {
            decimal(call, |n, _, cut| match cut {
                0 => Some(n),
                cut => 10_i128.checked_pow(cut).map_or(Some(0), |unit| half_up(n, unit).checked_mul(unit)),
            })
        }),
        of("truncate(decimal, bigint) -> decimal", |call| {
            decimal(call, |n, _, cut| match cut {
                0 => Some(n),
                cut => Some(10_i128.checked_pow(cut).map_or(0, |unit| n / unit * unit)),
            })
        }),
    ]);
}

/// A quotient, halves away from zero.
pub fn half_up(number: i128, unit: i128) -> i128 {
    let (whole, rest) = (number / unit, number % unit);
    if rest.unsigned_abs() >= unit.unsigned_abs().div_ceil(2) && rest != 0 {
        whole + number.signum() * unit.signum()
    } else {
        whole
    }
}

/// From a number's digits, what one is of them, and how many of the digits behind the point are to go.
fn decimal(call: &Call<'_>, one: impl Fn(i128, i128, u32) -> Option<i128>) -> Result<ArrayRef> {
    let DataType::Decimal128(_, scale) = call.kind(0) else { return Err(bad("no decimal")) };
    let unit = 10_i128.pow(scale.unsigned_abs().into());
    let mut built = Decimal128Builder::with_capacity(call.rows).with_data_type(call.gives.clone());
    for at in 0..call.rows {
        let row = call.row(at);
        if (0..call.len()).any(|arg| row.is_null(arg)) {
            built.append_null();
            continue;
        }
        let cut = if call.len() > 1 { i64::from(*scale) - row.int(1) } else { 0 };
        let given = one(row.decimal(0), unit, u32::try_from(cut).unwrap_or(0));
        built.append_value(given.ok_or_else(|| out_of_range("decimal overflow"))?);
    }
    Ok(Arc::new(built.finish()))
}

fn radix(base: i64) -> Result<u32> {
    let radix = u32::try_from(base).ok().filter(|radix| (2..=36).contains(radix));
    radix.ok_or_else(|| bad("Radix must be between 2 and 36"))
}

fn to_base(number: i64, base: i64) -> Result<String> {
    let radix = radix(base)?;
    let (mut left, mut digits) = (number.unsigned_abs(), Vec::new());
    loop {
        let digit = u32::try_from(left % u64::from(radix)).unwrap_or(0);
        digits.push(char::from_digit(digit, radix).unwrap_or('0'));
        left /= u64::from(radix);
        if left == 0 {
            break;
        }
    }
    if number < 0 {
        digits.push('-');
    }
    Ok(digits.into_iter().rev().collect())
}

fn from_base(text: &str, base: i64) -> Result<i64> {
    let radix = radix(base)?;
    i64::from_str_radix(text, radix).map_err(|_| bad(format!("Not a valid base-{radix} number: {text}")))
}

fn width_bucket(call: &Call<'_>) -> Result<ArrayRef> {
    call.ints(|row| {
        let (operand, low, high, count) = (row.double(0), row.double(1), row.double(2), row.int(3));
        if count <= 0 {
            return Err(bad("bucketCount must be greater than 0"));
        }
        if operand.is_nan() || !low.is_finite() || !high.is_finite() || low == high {
            return Err(bad("bounds must be finite and not equal, and the operand a number"));
        }
        let (least, most) = (low.min(high), low.max(high));
        let bucket = if operand < least {
            0
        } else if operand >= most {
            count + 1
        } else {
            (count as f64 * (operand - least) / (most - least)) as i64 + 1
        };
        Ok(Some(if low > high { count - bucket + 1 } else { bucket }))
    })
}

fn bits_of_chance() -> u64 {
    let mut hasher = RandomState::new().build_hasher();
    hasher.write_u8(0);
    hasher.finish()
}

fn random() -> f64 {
    (bits_of_chance() >> 11) as f64 / (1_u64 << 53) as f64
}

fn random_of(from: i64, to: i64) -> Result<Option<i64>> {
    let size = to.checked_sub(from).filter(|size| *size > 0).ok_or_else(|| bad("bound must be positive"))?;
    Ok(Some(from + i64::try_from(bits_of_chance() % size.unsigned_abs()).unwrap_or(0)))
}

fn uuid() -> String {
    let (a, b) = (bits_of_chance(), bits_of_chance());
    let (low, high) = (a & !0xf000 | 0x4000, b & !(3 << 62) | (1 << 63));
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        low >> 32,
        low >> 16 & 0xffff,
        low & 0xffff,
        high >> 48,
        high & 0xffff_ffff_ffff
    )
}

fn shift(row: Row<'_>) -> Result<u32> {
    u32::try_from(row.int(1)).map_err(|_| bad("Shift must be positive"))
}

fn bits(all: &mut Vec<Overload>) {
    all.extend([
        of("bitwise_and(bigint, bigint) -> bigint", |call| call.ints(|row| Ok(Some(row.int(0) & row.int(1))))),
        of("bitwise_or(bigint, bigint) -> bigint", |call| call.ints(|row| Ok(Some(row.int(0) | row.int(1))))),
        of("bitwise_xor(bigint, bigint) -> bigint", |call| call.ints(|row| Ok(Some(row.int(0) ^ row.int(1))))),
        of("bitwise_not(bigint) -> bigint", |call| call.ints(|row| Ok(Some(!row.int(0))))),
        of("bitwise_left_shift(bigint, bigint) -> bigint", |call| {
            call.ints(|row| Ok(Some(row.int(0).checked_shl(shift(row)?).unwrap_or(0))))
        }),
        of("bitwise_right_shift(bigint, bigint) -> bigint", |call| {
            call.ints(|row| {
                let number = row.int(0).cast_unsigned().checked_shr(shift(row)?).unwrap_or(0);
                Ok(Some(number.cast_signed()))
            })
        }),
        of("bitwise_right_shift_arithmetic(bigint, bigint) -> bigint", |call| {
            call.ints(|row| Ok(Some(row.int(0) >> shift(row)?.min(63))))
        }),
        of("bit_count(bigint, bigint) -> bigint", |call| {
            call.ints(|row| {
                let (number, size) = (row.int(0), row.int(1));
                if !(2..=64).contains(&size) {
                    return Err(bad(format!("Bits specified in bit_count must be between 2 and 64, got {size}")));
                }
                let limit = 1_i128 << (size - 1);
                if i128::from(number) >= limit || i128::from(number) < -limit {
                    return Err(bad(format!("Number must be representable with the bits specified. {number} cannot be represented with {size} bits")));
                }
                let mask = if size == 64 { u64::MAX } else { (1 << size) - 1 };
                Ok(Some(i64::from((number.cast_unsigned() & mask).count_ones())))
            })
        }),
    ]);
}
