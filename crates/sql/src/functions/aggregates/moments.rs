//! `kurtosis`, `skewness` and `entropy`: by sums that can be added.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray};
use arrow::datatypes::{DataType, Field, FieldRef, Float64Type};
use datafusion::common::{DataFusionError, Result, ScalarValue};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::{AggregateOrderSensitivity, format_state_name};
use datafusion::logical_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, ReversedUDAF, Signature, Volatility};

use crate::functions::argument;

/// How many numbers are kept: of `entropy` the first two.
const SIZE: usize = 5;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Which {
    Kurtosis,
    Skewness,
    Entropy,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Moments {
    which: Which,
    signature: Signature,
}

/// The functions.
pub fn all() -> Vec<AggregateUDF> {
    let of = |which| {
        let signature = Signature::uniform(1, vec![DataType::Float64], Volatility::Immutable);
        AggregateUDF::new_from_impl(Moments { which, signature })
    };
    vec![of(Which::Kurtosis), of(Which::Skewness), of(Which::Entropy)]
}

impl AggregateUDFImpl for Moments {
    fn name(&self) -> &'static str {
        match self.which {
            Which::Kurtosis => "kurtosis",
            Which::Skewness => "skewness",
            Which::Entropy => "entropy",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _kinds: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float64)
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let field = |at| Field::new(format_state_name(args.name, &format!("moment{at}")), DataType::Float64, true);
        Ok((0..SIZE).map(|at| Arc::new(field(at))).collect())
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        if args.is_distinct {
            return Err(DataFusionError::Plan(format!("{}(DISTINCT ...) is not carried out", self.name())));
        }
        Ok(Box::new(Sums { which: self.which, kept: [0.0; SIZE] }))
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::Identical
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }
}

/// Count, mean, and the sums of the second, third and fourth powers of the distances from it; of `entropy` the sum, and the sum of
/// each times its logarithm.
#[derive(Debug)]
struct Sums {
    which: Which,
    kept: [f64; SIZE],
}

impl Sums {
    /// Adds the sums of other values (Pébay, "Formulas for Robust, One-Pass Parallel Computation of Covariances and Arbitrary-Order
    /// Statistical Moments").
    fn merge(&mut self, [count, mean, second, third, fourth]: [f64; SIZE]) {
        if self.which == Which::Entropy {
            self.kept[0] += count;
            self.kept[1] += mean;
            return;
        }
        let [own, own_mean, own_second, own_third, own_fourth] = self.kept;
        let all = own + count;
        if all == 0.0 {
            return;
        }
        let delta = mean - own_mean;
        let weight = own * count / all;
        self.kept = [
            all,
            own_mean + delta * count / all,
            own_second + second + delta * delta * weight,
            own_third
                + third
                + delta.powi(3) * weight * (own - count) / all
                + 3.0 * delta * (own * second - count * own_second) / all,
            own_fourth
                + fourth
                + delta.powi(4) * weight * (own * own - own * count + count * count) / (all * all)
                + 6.0 * delta * delta * (own * own * second + count * count * own_second) / (all * all)
                + 4.0 * delta * (own * third - count * own_third) / all,
        ];
    }

    fn result(&self) -> Option<f64> {
        let [count, _, second, third, fourth] = self.kept;
        match self.which {
            Which::Entropy => {
                let [sum, logs, ..] = self.kept;
                let bits = (sum.ln() - logs / sum) / std::f64::consts::LN_2;
                Some(if sum == 0.0 { 0.0 } else { bits.max(0.0) })
            }
            Which::Skewness => (count >= 3.0).then(|| count.sqrt() * third / second.powf(1.5)),
            Which::Kurtosis => (count >= 4.0).then(|| {
                let variance = second / (count - 1.0);
                let below = (count - 2.0) * (count - 3.0);
                let raw = count * (count + 1.0) / ((count - 1.0) * below) * fourth / (variance * variance);
                raw - 3.0 * (count - 1.0).powi(2) / below
            }),
        }
    }
}

impl Accumulator for Sums {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let Some(values) = values.first() else { return Ok(()) };
        for value in values.as_primitive::<Float64Type>().iter().flatten() {
            match self.which {
                Which::Entropy if value < 0.0 => {
                    return Err(argument("Entropy count argument must be non-negative"));
                }
                Which::Entropy if value == 0.0 => {}
                Which::Entropy => self.merge([value, value * value.ln(), 0.0, 0.0, 0.0]),
                Which::Kurtosis | Which::Skewness => self.merge([1.0, value, 0.0, 0.0, 0.0]),
            }
        }
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(ScalarValue::Float64(self.result()))
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(self.kept.iter().map(|number| ScalarValue::Float64(Some(*number))).collect())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let states: Vec<_> = states.iter().map(|state| state.as_primitive::<Float64Type>()).collect();
        for row in 0..states.first().map_or(0, |state| arrow::array::Array::len(*state)) {
            let mut other = [0.0; SIZE];
            other.iter_mut().zip(&states).for_each(|(number, state)| *number = state.value(row));
            self.merge(other);
        }
        Ok(())
    }
}
