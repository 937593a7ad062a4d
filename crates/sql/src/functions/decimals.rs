//! Sums, products and quotients of decimals.
//!
//! Trino documentation, "Decimal functions and operators".

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Decimal128Array};
use arrow::compute::try_binary;
use arrow::datatypes::{DataType, Decimal128Type};
use arrow::error::ArrowError;
use datafusion::common::{DataFusionError, Result};

use super::arithmetic::by_zero;
use super::out_of_range;
use super::simple::strictly;

/// The most digits of a decimal.
const MAX_DIGITS: u8 = 38;
/// The least number that no decimal has.
const BEYOND: i128 = 10_i128.pow(38);

/// A whole number or a decimal as a decimal's digits and scale.
pub fn decimal(kind: &DataType) -> Option<(u8, i8)> {
    match kind {
        DataType::Decimal128(precision, scale) => Some((*precision, *scale)),
        DataType::Int8 => Some((3, 0)),
        DataType::Int16 => Some((5, 0)),
        DataType::Int32 => Some((10, 0)),
        DataType::Int64 => Some((19, 0)),
        _ => None,
    }
}

/// The type of a result: Trino's rules. `None` for one that no decimal has.
pub fn result(name: &str, left: &DataType, right: &DataType) -> Option<DataType> {
    let ((left, left_scale), (right, right_scale)) = (decimal(left)?, decimal(right)?);
    let [left, right] = [left, right].map(i16::from);
    let [left_scale, right_scale] = [left_scale, right_scale].map(i16::from);
    let scale = left_scale.max(right_scale);
    let (left_whole, right_whole) = (left - left_scale, right - right_scale);
    let (digits, scale) = match name {
        "$plus" | "$minus" => (left_whole.max(right_whole) + scale + 1, scale),
        "$times" => (left + right, left_scale + right_scale),
        "$divide" => (left + right_scale + (right_scale - left_scale).max(0), scale),
        "$modulo" => (left_whole.min(right_whole) + scale, scale),
        _ => return None,
    };
    let digits = u8::try_from(digits.clamp(1, MAX_DIGITS.into())).ok()?;
    let scale = i8::try_from(scale).ok().filter(|scale| scale.unsigned_abs() <= MAX_DIGITS)?;
    Some(DataType::Decimal128(digits, scale))
}

fn overflow() -> DataFusionError {
    out_of_range("Decimal overflow")
}

/// A power of ten as a factor.
fn power(digits: i8) -> Result<i128> {
    let digits = u32::try_from(digits).unwrap_or(0);
    10_i128.checked_pow(digits).ok_or_else(overflow)
}

/// What an operator gives, of the type that [`result`] tells.
///
/// # Errors
/// A result has too many digits, or a divisor is 0.
pub fn work(name: &str, left: &ArrayRef, right: &ArrayRef, kind: &DataType) -> Result<ArrayRef> {
    let (Some((_, scale)), Some(of_left), Some(of_right)) =
        (decimal(kind), decimal(left.data_type()), decimal(right.data_type()))
    else {
        return Err(DataFusionError::Internal("an operator of no decimals".to_owned()));
    };
    let as_decimal = |array, (precision, scale)| strictly(array, &DataType::Decimal128(precision, scale));
    let (lefts, rights) = (as_decimal(left, of_left)?, as_decimal(right, of_right)?);
    let (lefts, rights) = (lefts.as_primitive::<Decimal128Type>(), rights.as_primitive::<Decimal128Type>());
    // Of a product the scales are added; of others both get the larger one, and a quotient's digits come from the left.
    let (left_factor, right_factor) = match name {
        "$times" => (1, 1),
        "$divide" => (power(scale + of_right.1 - of_left.1)?, 1),
        _ => (power(scale - of_left.1)?, power(scale - of_right.1)?),
    };
    let ups = |left: i128, right: i128| Some((up(left, left_factor)?, up(right, right_factor)?));
    let made = match name {
        "$plus" => try_binary(lefts, rights, |left, right| {
            fitting(ups(left, right).and_then(|(left, right)| left.checked_add(right)))
        }),
        "$minus" => try_binary(lefts, rights, |left, right| {
            fitting(ups(left, right).and_then(|(left, right)| left.checked_sub(right)))
        }),
        "$times" => try_binary(lefts, rights, |left: i128, right| fitting(left.checked_mul(right))),
        "$divide" => try_binary(lefts, rights, |left, right| {
            let left = up(left, left_factor).ok_or_else(no_room)?;
            if right == 0 { Err(ArrowError::DivideByZero) } else { fitting(Some(quotient(left, right))) }
        }),
        _ => try_binary(lefts, rights, |left, right| {
            let (left, right) = ups(left, right).ok_or_else(no_room)?;
            if right == 0 { Err(ArrowError::DivideByZero) } else { fitting(left.checked_rem(right)) }
        }),
    };
    let made: Decimal128Array = made.map_err(|error| match error {
        ArrowError::DivideByZero => by_zero(),
        _ => overflow(),
    })?;
    Ok(Arc::new(made.with_data_type(kind.clone())))
}

fn up(value: i128, factor: i128) -> Option<i128> {
    if factor == 1 { Some(value) } else { value.checked_mul(factor) }
}

fn no_room() -> ArrowError {
    ArrowError::ArithmeticOverflow(String::new())
}

/// What a decimal has room for.
fn fitting(made: Option<i128>) -> Result<i128, ArrowError> {
    made.filter(|made| *made < BEYOND && *made > -BEYOND).ok_or_else(no_room)
}

/// Rounded half away from zero.
fn quotient(numerator: i128, divisor: i128) -> i128 {
    let (whole, rest) = (numerator / divisor, numerator % divisor);
    let up = rest.unsigned_abs() >= divisor.unsigned_abs() - rest.unsigned_abs();
    let sign = if (numerator < 0) == (divisor < 0) { 1 } else { -1 };
    if up { whole + sign } else { whole }
}
