//! Arithmetic that fails rather than goes around.
//!
//! Trino documentation, "Mathematical functions and operators", "Decimal functions and operators".

use arrow::array::{ArrayRef, new_null_array};
use arrow::compute::kernels::numeric::{add, div, mul, neg, rem, sub};
use arrow::datatypes::{DataType, Field};
use arrow::error::ArrowError;
use datafusion::common::{DataFusionError, Result, ScalarValue};
use datafusion::logical_expr::type_coercion::binary::BinaryTypeCoercer;
use datafusion::logical_expr::{
    ColumnarValue, Operator, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::kind::word;
use super::simple::{anything, strictly};
use super::{decimals, intervals};
use crate::failure::Problem;

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
    let others = [ScalarUDF::new_from_impl(negation), super::same::same(), super::spans::spans()];
    OPERATORS.into_iter().map(of).chain(others).collect()
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
                let shown = other.first().map(|kind| word(&Field::new("", kind.clone(), true)));
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
                let kind = word(&Field::new("", kind.clone(), true));
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

fn wider(left: &DataType, right: &DataType) -> DataType {
    let size = |kind: &DataType| kind.primitive_width().unwrap_or(8);
    if size(left) >= size(right) { left.clone() } else { right.clone() }
}

pub fn by_zero() -> DataFusionError {
    Problem::Data("DIVISION_BY_ZERO: Division by zero".to_owned()).into()
}

/// The type of what an operator gives; `None` for what the engine does.
pub fn result(name: &str, left: &DataType, right: &DataType) -> Option<DataType> {
    if left.is_signed_integer() && right.is_signed_integer() {
        return Some(wider(left, right));
    }
    decimals::result(name, left, right).or_else(|| intervals::result(name, left, right))
}

/// The type where values have turned out to be others than they were taken for: a CASE or a UNION has its type once all of it is known.
fn settled(name: &str, left: &DataType, right: &DataType) -> Option<DataType> {
    let op = match name {
        "$plus" => Operator::Plus,
        "$minus" => Operator::Minus,
        "$times" => Operator::Multiply,
        "$divide" => Operator::Divide,
        _ => Operator::Modulo,
    };
    let is_number = |kind: &DataType| kind.is_numeric() || kind.is_null();
    let both = is_number(left) && is_number(right);
    both.then(|| BinaryTypeCoercer::new(left, &op, right).get_result_type().ok()).flatten()
}

impl Arithmetic {
    /// What the engine's own kernels do, of two of one type.
    fn kernel(&self, left: &ArrayRef, right: &ArrayRef, kind: &DataType) -> Result<ArrayRef> {
        let (left, right) = (strictly(left, kind)?, strictly(right, kind)?);
        let made = match self.name {
            "$plus" => add(&left, &right),
            "$minus" => sub(&left, &right),
            "$times" => mul(&left, &right),
            "$divide" => div(&left, &right),
            _ => rem(&left, &right),
        };
        made.map_err(|error| self.told(error, kind))
    }

    fn told(&self, error: ArrowError, kind: &DataType) -> DataFusionError {
        match error {
            ArrowError::DivideByZero => by_zero(),
            ArrowError::ArithmeticOverflow(what) => {
                let operation = OPERATORS.iter().find(|(name, _)| *name == self.name).map_or("", |(_, word)| word);
                let kind = word(&Field::new("", kind.clone(), true));
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
        let kind = match kinds {
            [left, right] => result(self.name, left, right).or_else(|| settled(self.name, left, right)),
            _ => None,
        };
        kind.ok_or_else(|| DataFusionError::Internal("an operator of other values".to_owned()))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [left, right] = args.args.as_slice() else { return Err(by_zero()) };
        let constant = matches!((left, right), (ColumnarValue::Scalar(_), ColumnarValue::Scalar(_)));
        let count = if constant { 1 } else { args.number_rows };
        let (left, right) = (left.to_array(count)?, right.to_array(count)?);
        let kind = args.return_field.data_type();
        let made = match kind {
            kind if left.data_type().is_null() || right.data_type().is_null() => new_null_array(kind, count),
            kind if kind.is_integer() || kind.is_floating() => self.kernel(&left, &right, kind)?,
            DataType::Decimal128(..) => decimals::work(self.name, &left, &right, kind)?,
            _ => intervals::work(self.name, &left, &right)?,
        };
        Ok(if constant {
            ColumnarValue::Scalar(ScalarValue::try_from_array(&made, 0)?)
        } else {
            ColumnarValue::Array(made)
        })
    }
}
