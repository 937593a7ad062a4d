//! Operators whose meaning differs from the engine's: sums that do not fit fail, and nothing is compared across types.
//!
//! Trino documentation, "Mathematical functions and operators", "Decimal functions and operators".

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Decimal128Array};
use arrow::compute::kernels::numeric::{add, div, mul, neg, rem, sub};
use arrow::datatypes::{DataType, Decimal128Type};
use arrow::error::ArrowError;
use datafusion::common::{DFSchema, DataFusionError, Result, ScalarValue};
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr, RawFieldAccessExpr};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable, GetFieldAccess, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility, lit,
};
use datafusion::sql::sqlparser::ast::BinaryOperator;

use super::kind::word;
use super::simple::{anything, strictly};
use crate::failure::Problem;

/// The most digits of a decimal.
const MAX_DIGITS: u8 = 38;

/// `+`, `-`, `*`, `/` and `%` of whole numbers, and `/` of decimals.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Arithmetic {
    name: &'static str,
    signature: Signature,
}

const OPERATORS: [(&str, &str); 5] = [
    ("$plus", "addition"),
    ("$minus", "subtraction"),
    ("$times", "multiplication"),
    ("$divide", "division"),
    ("$modulo", "modulus"),
];

/// The functions.
pub fn all() -> Vec<ScalarUDF> {
    let of = |(name, _)| ScalarUDF::new_from_impl(Arithmetic { name, signature: anything(Volatility::Immutable) });
    let negation = Negation { signature: Signature::any(1, Volatility::Immutable) };
    OPERATORS.into_iter().map(of).chain([ScalarUDF::new_from_impl(negation)]).collect()
}

/// `-x`
#[derive(Debug, PartialEq, Eq, Hash)]
struct Negation {
    signature: Signature,
}

impl ScalarUDFImpl for Negation {
    fn name(&self) -> &'static str {
        "$negate"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, kinds: &[DataType]) -> Result<DataType> {
        match kinds {
            [DataType::Null] => Ok(DataType::Int32),
            [kind] if kind.is_numeric() || matches!(kind, DataType::Interval(_) | DataType::Duration(_)) => {
                Ok(kind.clone())
            }
            other => {
                let shown = other.first().map(|kind| word(&arrow::datatypes::Field::new("", kind.clone(), true)));
                let words = format!("TYPE_MISMATCH: Cannot negate {}", shown.unwrap_or_default());
                Err(Problem::Statement(words).into())
            }
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let Some(value) = args.args.first() else { return Err(by_zero()) };
        let constant = matches!(value, ColumnarValue::Scalar(_));
        let kind = args.return_field.data_type();
        let values = strictly(&value.to_array(if constant { 1 } else { args.number_rows })?, kind)?;
        let made = neg(&values).map_err(|error| match error {
            ArrowError::ArithmeticOverflow(_) => {
                let kind = word(&arrow::datatypes::Field::new("", kind.clone(), true));
                super::out_of_range(format!("{kind} negation overflow"))
            }
            other => other.into(),
        })?;
        Ok(if constant {
            ColumnarValue::Scalar(ScalarValue::try_from_array(&made, 0)?)
        } else {
            ColumnarValue::Array(made)
        })
    }
}

/// A whole number or a decimal as a decimal's digits and scale.
fn decimal(kind: &DataType) -> Option<(u8, i8)> {
    match kind {
        DataType::Decimal128(precision, scale) => Some((*precision, *scale)),
        DataType::Int8 => Some((3, 0)),
        DataType::Int16 => Some((5, 0)),
        DataType::Int32 => Some((10, 0)),
        DataType::Int64 => Some((19, 0)),
        _ => None,
    }
}

/// The type of a quotient: Trino's rule.
fn quotient((left, left_scale): (u8, i8), (right, right_scale): (u8, i8)) -> DataType {
    let _ = right;
    let digits = i16::from(left) + i16::from(right_scale) + i16::from((right_scale - left_scale).max(0));
    let digits = u8::try_from(digits.clamp(1, MAX_DIGITS.into())).unwrap_or(MAX_DIGITS);
    DataType::Decimal128(digits, left_scale.max(right_scale))
}

fn wider(left: &DataType, right: &DataType) -> DataType {
    let size = |kind: &DataType| kind.primitive_width().unwrap_or(8);
    if size(left) >= size(right) { left.clone() } else { right.clone() }
}

fn by_zero() -> DataFusionError {
    Problem::Data("DIVISION_BY_ZERO: Division by zero".to_owned()).into()
}

impl Arithmetic {
    fn kind(&self, left: &DataType, right: &DataType) -> DataType {
        match (decimal(left), decimal(right)) {
            _ if left.is_integer() && right.is_integer() => wider(left, right),
            (Some(left), Some(right)) => quotient(left, right),
            _ => DataType::Int64,
        }
    }

    fn told(&self, error: ArrowError, kind: &DataType) -> DataFusionError {
        match error {
            ArrowError::DivideByZero => by_zero(),
            ArrowError::ArithmeticOverflow(what) => {
                let operation = OPERATORS.iter().find(|(name, _)| *name == self.name).map_or("", |(_, word)| word);
                let kind = word(&arrow::datatypes::Field::new("", kind.clone(), true));
                let what = what.trim_start_matches("Overflow happened on: ");
                super::out_of_range(format!("{kind} {operation} overflow: {what}"))
            }
            other => other.into(),
        }
    }
}

impl ScalarUDFImpl for Arithmetic {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, kinds: &[DataType]) -> Result<DataType> {
        match kinds {
            [left, right] => Ok(self.kind(left, right)),
            _ => Err(DataFusionError::Internal("an operator of two values".to_owned())),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [left, right] = args.args.as_slice() else { return Err(by_zero()) };
        let constant = matches!((left, right), (ColumnarValue::Scalar(_), ColumnarValue::Scalar(_)));
        let count = if constant { 1 } else { args.number_rows };
        let (left, right) = (left.to_array(count)?, right.to_array(count)?);
        let kind = args.return_field.data_type();
        let made = if kind.is_integer() {
            let (left, right) = (strictly(&left, kind)?, strictly(&right, kind)?);
            let made = match self.name {
                "$plus" => add(&left, &right),
                "$minus" => sub(&left, &right),
                "$times" => mul(&left, &right),
                "$divide" => div(&left, &right),
                _ => rem(&left, &right),
            };
            made.map_err(|error| self.told(error, kind))?
        } else {
            divided(&left, &right, kind)?
        };
        Ok(if constant {
            ColumnarValue::Scalar(ScalarValue::try_from_array(&made, 0)?)
        } else {
            ColumnarValue::Array(made)
        })
    }
}

/// Quotients of decimals, rounded half away from zero.
fn divided(left: &ArrayRef, right: &ArrayRef, kind: &DataType) -> Result<ArrayRef> {
    let (Some((_, scale)), Some(of_left), Some(of_right)) =
        (decimal(kind), decimal(left.data_type()), decimal(right.data_type()))
    else {
        return Err(DataFusionError::Internal("a quotient of no decimals".to_owned()));
    };
    let as_decimal = |array, (precision, scale)| strictly(array, &DataType::Decimal128(precision, scale));
    let (numerators, divisors) = (as_decimal(left, of_left)?, as_decimal(right, of_right)?);
    let (numerators, divisors) =
        (numerators.as_primitive::<Decimal128Type>(), divisors.as_primitive::<Decimal128Type>());
    let shift = 10_i128.checked_pow(u32::try_from(scale + of_right.1 - of_left.1).unwrap_or(0));
    let overflow = || super::out_of_range("Decimal overflow");
    let one = |numerator: i128, divisor: i128| -> Result<i128> {
        if divisor == 0 {
            return Err(by_zero());
        }
        let numerator = shift.and_then(|shift| numerator.checked_mul(shift)).ok_or_else(overflow)?;
        let (whole, rest) = (numerator / divisor, numerator % divisor);
        let up = rest.unsigned_abs() >= divisor.unsigned_abs() - rest.unsigned_abs();
        let sign = if (numerator < 0) == (divisor < 0) { 1 } else { -1 };
        Ok(if up { whole + sign } else { whole })
    };
    let pairs = numerators.iter().zip(divisors);
    let made: Result<Decimal128Array> = pairs
        .map(|pair| if let (Some(left), Some(right)) = pair { one(left, right).map(Some) } else { Ok(None) })
        .collect();
    Ok(Arc::new(made?.with_data_type(kind.clone())))
}

/// Plans operators.
#[derive(Debug)]
pub struct Operators;

fn call(name: &str, arguments: Vec<Expr>) -> Result<Expr> {
    let function = super::scalar(name).ok_or_else(|| DataFusionError::Internal(format!("no function {name}")))?;
    Ok(function.call(arguments))
}

fn mismatch(left: &DataType, op: &BinaryOperator, right: &DataType) -> DataFusionError {
    let word = |kind: &DataType| word(&arrow::datatypes::Field::new("", kind.clone(), true));
    let words = format!("TYPE_MISMATCH: Cannot apply operator: {} {op} {}", word(left), word(right));
    Problem::Statement(words).into()
}

impl ExprPlanner for Operators {
    fn plan_binary_op(&self, expr: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        let (left, right) = (expr.left.get_type(schema)?, expr.right.get_type(schema)?);
        let function = match &expr.op {
            BinaryOperator::Plus => "$plus",
            BinaryOperator::Minus => "$minus",
            BinaryOperator::Multiply => "$times",
            BinaryOperator::Divide => "$divide",
            BinaryOperator::Modulo => "$modulo",
            _ => "",
        };
        let (of_text, other) = (left.is_string(), right.is_string());
        let is_comparison = matches!(
            expr.op,
            BinaryOperator::Eq
                | BinaryOperator::NotEq
                | BinaryOperator::Lt
                | BinaryOperator::LtEq
                | BinaryOperator::Gt
                | BinaryOperator::GtEq
        );
        let either = of_text || other;
        let unlike = of_text != other && !left.is_null() && !right.is_null();
        if is_comparison && unlike || !function.is_empty() && either {
            return Err(mismatch(&left, &expr.op, &right));
        }
        if matches!(expr.op, BinaryOperator::StringConcat) && unlike {
            return Err(mismatch(&left, &expr.op, &right));
        }
        let whole = left.is_signed_integer() && right.is_signed_integer();
        let quotient = function == "$divide" && decimal(&left).is_some() && decimal(&right).is_some();
        if !function.is_empty() && whole || quotient {
            return Ok(PlannerResult::Planned(call(function, vec![expr.left, expr.right])?));
        }
        Ok(PlannerResult::Original(expr))
    }

    fn plan_field_access(
        &self,
        expr: RawFieldAccessExpr,
        schema: &DFSchema,
    ) -> Result<PlannerResult<RawFieldAccessExpr>> {
        let kind = expr.expr.get_type(schema)?;
        let key = match &expr.field_access {
            GetFieldAccess::ListIndex { key } if matches!(kind, DataType::List(_) | DataType::Map(..)) => {
                (**key).clone()
            }
            GetFieldAccess::NamedStructField { name } if matches!(kind, DataType::Map(..)) => lit(name.clone()),
            _ => return Ok(PlannerResult::Original(expr)),
        };
        Ok(PlannerResult::Planned(call("$subscript", vec![expr.expr, key])?))
    }
}
