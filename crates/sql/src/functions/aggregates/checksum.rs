//! `checksum(x)`: of all values in whatever order, by their xxHash64 as Trino has it.

use std::hash::Hasher;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Decimal128Type, Field, FieldRef, Float32Type, Float64Type, Int64Type, TimeUnit};
use datafusion::common::{DataFusionError, Result, ScalarValue};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::{AggregateOrderSensitivity, format_state_name};
use datafusion::logical_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, ReversedUDAF, Signature, Volatility};

use crate::failure::Problem;
use crate::functions::kind::word;

/// What stands for NULL, and what each hash is multiplied with (`ChecksumAggregationFunction.PRIME64`).
const PRIME: u64 = 0x9E37_79B1_85EB_CA87;
/// The most digits of a decimal that Trino keeps in one word.
const SHORT: u8 = 18;

#[derive(Debug, PartialEq, Eq, Hash)]
struct Checksum {
    signature: Signature,
}

pub fn checksum() -> AggregateUDF {
    AggregateUDF::new_from_impl(Checksum { signature: Signature::user_defined(Volatility::Immutable) })
}

/// The type that values are hashed as; `None` where Trino's hash is not known here.
fn hashed(kind: &DataType) -> Option<DataType> {
    Some(match kind {
        kind if kind.is_signed_integer() => DataType::Int64,
        DataType::Boolean | DataType::Float32 | DataType::Float64 | DataType::Decimal128(..) | DataType::Date32 => {
            kind.clone()
        }
        DataType::Timestamp(_, zone) => DataType::Timestamp(TimeUnit::Microsecond, zone.clone()),
        kind if kind.is_string() || kind.is_binary() => DataType::BinaryView,
        _ => return None,
    })
}

impl AggregateUDFImpl for Checksum {
    fn name(&self) -> &'static str {
        "checksum"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, kinds: &[DataType]) -> Result<Vec<DataType>> {
        match kinds {
            [kind] => hashed(kind).map(|kind| vec![kind]).ok_or_else(|| {
                let kind = word(&Field::new("", kind.clone(), true));
                Problem::Statement(format!("NOT_SUPPORTED: checksum of {kind} is not carried out")).into()
            }),
            _ => Err(Problem::Statement("FUNCTION_NOT_FOUND: checksum takes one argument".to_owned()).into()),
        }
    }

    fn return_type(&self, _kinds: &[DataType]) -> Result<DataType> {
        Ok(DataType::Binary)
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        Ok(vec![Arc::new(Field::new(format_state_name(args.name, "sum"), DataType::Int64, true))])
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        if args.is_distinct {
            return Err(DataFusionError::Plan("checksum(DISTINCT ...) is not carried out".to_owned()));
        }
        Ok(Box::new(Sum { sum: None }))
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::Identical
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }
}

fn of_bytes(bytes: &[u8]) -> u64 {
    let mut hasher = twox_hash::XxHash64::with_seed(0);
    hasher.write(bytes);
    hasher.finish()
}

fn of_long(number: i64) -> u64 {
    of_bytes(&number.to_le_bytes())
}

fn of_decimal(number: i128, precision: u8) -> u64 {
    let [low, high] = [number, number >> 64].map(|word| (word & i128::from(u64::MAX)).cast_unsigned());
    let [low, high] = [low, high].map(|word| u64::try_from(word).unwrap_or(0).cast_signed());
    if precision <= SHORT { of_long(low) } else { of_long(low) ^ of_long(high) }
}

/// The hash of a value that is not NULL.
fn hash(values: &ArrayRef, row: usize) -> u64 {
    match values.data_type() {
        DataType::BinaryView => of_bytes(values.as_binary_view().value(row)),
        DataType::Boolean => of_long(values.as_boolean().value(row).into()),
        DataType::Decimal128(precision, _) => {
            of_decimal(values.as_primitive::<Decimal128Type>().value(row), *precision)
        }
        DataType::Float64 => {
            let value = values.as_primitive::<Float64Type>().value(row);
            let value = if value.is_nan() { f64::NAN } else { value + 0.0 };
            of_long(value.to_bits().cast_signed())
        }
        DataType::Float32 => {
            let value = values.as_primitive::<Float32Type>().value(row);
            let value = if value.is_nan() { f32::NAN } else { value + 0.0 };
            of_long(value.to_bits().cast_signed().into())
        }
        _ => of_long(values.as_primitive::<Int64Type>().value(row)),
    }
}

/// What is added up, once there is a row.
#[derive(Debug)]
struct Sum {
    sum: Option<u64>,
}

impl Sum {
    fn add(&mut self, number: u64) {
        self.sum = Some(self.sum.unwrap_or(0).wrapping_add(number));
    }
}

impl Accumulator for Sum {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let Some(values) = values.first() else { return Ok(()) };
        let values = match values.data_type() {
            DataType::Date32 => cast(&cast(values, &DataType::Int32)?, &DataType::Int64)?,
            DataType::Timestamp(_, None) => cast(values, &DataType::Int64)?,
            // Points in time are milliseconds.
            DataType::Timestamp(..) => {
                let micros = cast(values, &DataType::Int64)?;
                let millis: Int64Array = micros.as_primitive::<Int64Type>().unary(|micros| micros.div_euclid(1000));
                Arc::new(millis)
            }
            _ => Arc::clone(values),
        };
        for row in 0..values.len() {
            self.add(if values.is_null(row) { PRIME } else { hash(&values, row).wrapping_mul(PRIME) });
        }
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(ScalarValue::Binary(self.sum.map(|sum| sum.to_le_bytes().to_vec())))
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![ScalarValue::Int64(self.sum.map(u64::cast_signed))])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let Some(sums) = states.first() else { return Ok(()) };
        sums.as_primitive::<Int64Type>().iter().flatten().for_each(|sum| self.add(sum.cast_unsigned()));
        Ok(())
    }
}
