//! Numbers and bytes.
//!
//! Trino documentation, "Mathematical functions and operators", "Bitwise functions", "Binary functions and operators".

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use datafusion::common::Result;
use datafusion::logical_expr::ScalarUDF;
use md5::Digest;

use super::argument;
use super::kind::{Out, Value};
use super::simple::function;

fn double(args: &[Value<'_>], at: usize) -> f64 {
    args.get(at).map_or(0.0, Value::double)
}

fn int(args: &[Value<'_>], at: usize) -> i64 {
    args.get(at).map_or(0, Value::int)
}

fn bytes<'a>(args: &[Value<'a>]) -> &'a [u8] {
    args.first().map_or(&[], Value::bytes)
}

/// A function of a double.
macro_rules! of_double {
    ($($name:literal $work:expr),* $(,)?) => {
        vec![$(function!($name, [Double] => Double, |args| {
            let work: fn(f64) -> f64 = $work;
            Ok(Out::Double(work(double(args, 0))))
        })),*]
    };
}

/// A function of two whole numbers.
macro_rules! of_bits {
    ($($name:literal $work:expr),* $(,)?) => {
        vec![$(function!($name, [Bigint, Bigint] => Bigint, |args| {
            let work: fn(i64, i64) -> i64 = $work;
            Ok(Out::Int(work(int(args, 0), int(args, 1))))
        })),*]
    };
}

fn shift(by: i64, work: impl FnOnce(u32) -> i64, beyond: i64) -> i64 {
    u32::try_from(by).ok().filter(|by| *by < 64).map_or(beyond, work)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

fn from_hex(args: &[Value<'_>]) -> Result<Out> {
    let digits = bytes(args);
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    let all: Option<Vec<u8>> = digits.chunks(2).map(|two| if two.len() == 2 { pair(two) } else { None }).collect();
    all.map(Out::Bytes).ok_or_else(|| argument("Invalid input: a text of hexadecimal digits has two for each byte"))
}

fn from_base64(args: &[Value<'_>]) -> Result<Out> {
    STANDARD.decode(bytes(args)).map(Out::Bytes).map_err(|error| argument(format!("Invalid base64: {error}")))
}

fn from_base(args: &[Value<'_>]) -> Result<Out> {
    let text = args.first().map_or("", Value::text);
    let radix = radix(int(args, 1))?;
    i64::from_str_radix(text, radix)
        .map(Out::Int)
        .map_err(|_| argument(format!("Not a valid base-{radix} number: {text}")))
}

fn radix(radix: i64) -> Result<u32> {
    let radix = u32::try_from(radix).ok().filter(|radix| (2..=36).contains(radix));
    radix.ok_or_else(|| argument("Radix must be between 2 and 36"))
}

fn to_base(args: &[Value<'_>]) -> Result<Out> {
    let (value, radix) = (int(args, 0), radix(int(args, 1))?);
    let (mut rest, mut digits) = (value.unsigned_abs(), Vec::new());
    while rest > 0 || digits.is_empty() {
        digits.extend(u32::try_from(rest % u64::from(radix)).ok().and_then(|digit| char::from_digit(digit, radix)));
        rest /= u64::from(radix);
    }
    if value < 0 {
        digits.push('-');
    }
    Ok(Out::Text(digits.iter().rev().collect()))
}

fn width_bucket(args: &[Value<'_>]) -> Result<Out> {
    let (value, low, high, count) = (double(args, 0), double(args, 1), double(args, 2), int(args, 3));
    if count <= 0 || low == high || !low.is_finite() || !high.is_finite() {
        return Err(argument("bucketCount must be greater than 0, and the bounds must differ and be finite"));
    }
    let share = (value - low) / (high - low);
    #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)] // Between 0 and the count.
    Ok(Out::Int(if share < 0.0 {
        0
    } else if share >= 1.0 {
        count + 1
    } else {
        (share * count as f64) as i64 + 1
    }))
}

/// The functions.
pub fn all() -> Vec<ScalarUDF> {
    let mut all = of_double![
        "sqrt" f64::sqrt, "cbrt" f64::cbrt, "exp" f64::exp, "ln" f64::ln, "log2" f64::log2, "log10" f64::log10,
        "sin" f64::sin, "cos" f64::cos, "tan" f64::tan, "asin" f64::asin, "acos" f64::acos, "atan" f64::atan,
        "sinh" f64::sinh, "cosh" f64::cosh, "tanh" f64::tanh, "degrees" f64::to_degrees, "radians" f64::to_radians,
        "truncate" f64::trunc,
    ];
    all.extend(of_bits![
        "bitwise_and" | left,
        right | left & right,
        "bitwise_or" | left,
        right | left | right,
        "bitwise_xor" | left,
        right | left ^ right,
        "bitwise_left_shift" | value,
        by | shift(by, |by| value << by, 0),
        "bitwise_right_shift" | value,
        by | shift(by, |by| (value.cast_unsigned() >> by).cast_signed(), 0),
        "bitwise_right_shift_arithmetic" | value,
        by | shift(by, |by| value >> by, value >> 63),
    ]);
    all.extend([
        function!("atan2", [Double, Double] => Double, |args| Ok(Out::Double(double(args, 0).atan2(double(args, 1))))),
        function!("power", [Double, Double] => Double, |args| Ok(Out::Double(double(args, 0).powf(double(args, 1))))),
        function!("pow", [Double, Double] => Double, |args| Ok(Out::Double(double(args, 0).powf(double(args, 1))))),
        function!("log", [Double, Double] => Double, |args| Ok(Out::Double(double(args, 1).ln() / double(args, 0).ln()))),
        function!("pi", [] => Double, |_| Ok(Out::Double(std::f64::consts::PI))),
        function!("e", [] => Double, |_| Ok(Out::Double(std::f64::consts::E))),
        function!("nan", [] => Double, |_| Ok(Out::Double(f64::NAN))),
        function!("infinity", [] => Double, |_| Ok(Out::Double(f64::INFINITY))),
        function!("is_nan", [Double] => Bool, |args| Ok(Out::Bool(double(args, 0).is_nan()))),
        function!("is_finite", [Double] => Bool, |args| Ok(Out::Bool(double(args, 0).is_finite()))),
        function!("is_infinite", [Double] => Bool, |args| Ok(Out::Bool(double(args, 0).is_infinite()))),
        function!("sign", [Bigint] => Bigint, |args| Ok(Out::Int(int(args, 0).signum())); [Double] => Double, |args| {
            let value = double(args, 0);
            Ok(Out::Double(if value == 0.0 || value.is_nan() { value } else { value.signum() }))
        }),
        function!("bitwise_not", [Bigint] => Bigint, |args| Ok(Out::Int(!int(args, 0)))),
        function!("width_bucket", [Double, Double, Double, Bigint] => Bigint, width_bucket),
        function!("from_base", [Text, Bigint] => Bigint, from_base),
        function!("to_base", [Bigint, Bigint] => Text, to_base),
        function!("to_hex", [Bytes] => Text, |args| Ok(Out::Text(hex(bytes(args))))),
        function!("from_hex", [Text] => Bytes, from_hex; [Bytes] => Bytes, from_hex),
        function!("to_base64", [Bytes] => Text, |args| Ok(Out::Text(STANDARD.encode(bytes(args))))),
        function!("from_base64", [Text] => Bytes, from_base64; [Bytes] => Bytes, from_base64),
        function!("to_utf8", [Text] => Bytes, |args| Ok(Out::Bytes(bytes(args).to_vec()))),
        function!("from_utf8", [Bytes] => Text, |args| Ok(Out::Text(String::from_utf8_lossy(bytes(args)).into_owned()))),
        function!("md5", [Bytes] => Bytes, |args| Ok(Out::Bytes(md5::Md5::digest(bytes(args)).to_vec()))),
        function!("sha1", [Bytes] => Bytes, |args| Ok(Out::Bytes(sha1::Sha1::digest(bytes(args)).to_vec()))),
        function!("sha256", [Bytes] => Bytes, |args| Ok(Out::Bytes(sha2::Sha256::digest(bytes(args)).to_vec()))),
        function!("sha512", [Bytes] => Bytes, |args| Ok(Out::Bytes(sha2::Sha512::digest(bytes(args)).to_vec()))),
    ]);
    all
}
