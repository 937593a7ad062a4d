//! `sum` and `avg`, which fail where the engine's would wrap around, and keep the scale of decimals.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Decimal128Array, ListArray};
use arrow::buffer::OffsetBuffer;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Decimal128Type, Field, FieldRef, Int64Type};
use datafusion::common::{DataFusionError, Result, ScalarValue};
use datafusion::functions_aggregate::average::avg_udaf;
use datafusion::functions_aggregate::sum::sum_udaf;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::{AggregateOrderSensitivity, format_state_name};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, GroupsAccumulator, ReversedUDAF, Signature, Volatility,
};

use super::reals;
use super::totals::Totals;
use crate::failure::Problem;
use crate::functions::kind::word;
use crate::functions::out_of_range;
use crate::functions::shaped::math::half_up;

/// The most digits of a decimal.
const MAX_DIGITS: u8 = 38;
/// The least number that no decimal has.
const BEYOND: i128 = 10_i128.pow(38);

/// What becomes of a total.
#[derive(Clone, Debug, PartialEq)]
pub enum Ending {
    /// A `bigint`.
    Whole,
    /// A decimal of the type.
    Sum(DataType),
    /// The mean, a decimal of the type.
    Mean(DataType),
}

impl Ending {
    /// By the function and what it gives; `None` for what the engine does.
    fn of(name: &str, gives: &DataType) -> Option<Self> {
        match (name, gives) {
            ("sum", DataType::Int64) => Some(Self::Whole),
            ("sum", DataType::Decimal128(..)) => Some(Self::Sum(gives.clone())),
            ("avg", DataType::Decimal128(..)) => Some(Self::Mean(gives.clone())),
            _ => None,
        }
    }

    /// A result; `None` where no value was added.
    pub fn end(&self, sum: i128, count: i64) -> Result<Option<i128>> {
        if count == 0 {
            return Ok(None);
        }
        match self {
            Self::Whole if i64::try_from(sum).is_err() => Err(overflow("bigint addition overflow")),
            Self::Sum(_) if sum >= BEYOND || sum <= -BEYOND => Err(overflow("Decimal overflow")),
            Self::Mean(_) => Ok(Some(half_up(sum, i128::from(count)))),
            Self::Whole | Self::Sum(_) => Ok(Some(sum)),
        }
    }

    /// Results as the function gives them.
    pub fn array(&self, ends: Vec<Option<i128>>) -> Result<ArrayRef> {
        match self {
            Self::Whole => {
                let small = ends.into_iter().map(|end| end.and_then(|end| i64::try_from(end).ok()));
                Ok(Arc::new(small.collect::<arrow::array::Int64Array>()))
            }
            Self::Sum(kind) | Self::Mean(kind) => {
                Ok(Arc::new(ends.into_iter().collect::<Decimal128Array>().with_data_type(kind.clone())))
            }
        }
    }
}

pub fn overflow(words: &str) -> DataFusionError {
    out_of_range(words)
}

/// Sums as they are kept between steps: as decimals without a scale.
pub fn kept() -> DataType {
    DataType::Decimal128(MAX_DIGITS, 0)
}

/// Does something with each value: a whole number, or the digits of a decimal.
///
/// # Errors
/// What is done fails.
pub fn each(values: &ArrayRef, mut one: impl FnMut(usize, Option<i128>) -> Result<()>) -> Result<()> {
    if values.data_type().is_decimal() {
        let values = values.as_primitive::<Decimal128Type>();
        return values.iter().enumerate().try_for_each(|(row, value)| one(row, value));
    }
    let whole = cast(values, &DataType::Int64)?;
    let whole = whole.as_primitive::<Int64Type>();
    whole.iter().enumerate().try_for_each(|(row, value)| one(row, value.map(i128::from)))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Total {
    inner: Arc<AggregateUDF>,
    signature: Signature,
}

/// The functions.
pub fn all() -> Vec<AggregateUDF> {
    let of =
        |inner| AggregateUDF::new_from_impl(Total { inner, signature: Signature::user_defined(Volatility::Immutable) });
    vec![of(sum_udaf()), of(avg_udaf())]
}

fn is_real(gives: &Field) -> bool {
    *gives.data_type() == DataType::Float32
}

impl AggregateUDFImpl for Total {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, kinds: &[DataType]) -> Result<Vec<DataType>> {
        let name = self.name();
        let due = match kinds {
            [kind] if kind.is_decimal() => Some(kind.clone()),
            [kind] if kind.is_integer() || kind.is_null() => {
                Some(if name == "sum" { DataType::Int64 } else { DataType::Float64 })
            }
            [DataType::Float32] => Some(DataType::Float32),
            [kind] if kind.is_floating() => Some(DataType::Float64),
            [DataType::Interval(_) | DataType::Duration(_)] if name == "avg" => {
                let words = "NOT_SUPPORTED: avg of intervals is not carried out: divide their sum by their count";
                return Err(Problem::Statement(words.to_owned()).into());
            }
            [kind @ (DataType::Interval(_) | DataType::Duration(_))] => Some(kind.clone()),
            _ => None,
        };
        due.map(|due| vec![due]).ok_or_else(|| {
            let given: Vec<String> = kinds.iter().map(|kind| word(&Field::new("", kind.clone(), true))).collect();
            Problem::Statement(format!(
                "FUNCTION_NOT_FOUND: Unexpected parameters ({}) for function {name}. Expected: {name}(bigint), {name}(double), {name}(decimal(p,s))",
                given.join(", ")
            ))
            .into()
        })
    }

    fn return_type(&self, kinds: &[DataType]) -> Result<DataType> {
        match (self.name(), kinds) {
            ("sum", [DataType::Decimal128(_, scale)]) => Ok(DataType::Decimal128(MAX_DIGITS, *scale)),
            ("avg", [kind @ DataType::Decimal128(..)]) => Ok(kind.clone()),
            (_, [DataType::Float32]) => Ok(DataType::Float32),
            _ => self.inner.return_type(kinds),
        }
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        if is_real(&args.return_field) {
            return reals::state_fields(&self.inner, args);
        }
        if Ending::of(self.name(), args.return_field.data_type()).is_none() {
            return self.inner.state_fields(args);
        }
        if args.is_distinct {
            let item = Field::new_list_field(kept(), true);
            return Ok(vec![Arc::new(Field::new_list(format_state_name(args.name, "distinct"), item, true))]);
        }
        Ok(vec![
            Arc::new(Field::new(format_state_name(args.name, "total"), kept(), true)),
            Arc::new(Field::new(format_state_name(args.name, "count"), DataType::Int64, true)),
        ])
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        match Ending::of(self.name(), args.return_field.data_type()) {
            Some(ending) if args.is_distinct => Ok(Box::new(Distinct { ending, values: HashSet::new() })),
            Some(ending) => Ok(Box::new(One { ending, sum: 0, count: 0 })),
            None if is_real(&args.return_field) => reals::accumulator(&self.inner, args, false),
            None => self.inner.accumulator(args),
        }
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        match Ending::of(self.name(), args.return_field.data_type()) {
            Some(_) => self.accumulator(args),
            None if is_real(&args.return_field) => reals::accumulator(&self.inner, args, true),
            None => self.inner.create_sliding_accumulator(args),
        }
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs<'_>) -> bool {
        match Ending::of(self.name(), args.return_field.data_type()) {
            Some(_) => !args.is_distinct,
            None if is_real(&args.return_field) => reals::has_groups(&self.inner, args),
            None => self.inner.groups_accumulator_supported(args),
        }
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn GroupsAccumulator>> {
        match Ending::of(self.name(), args.return_field.data_type()) {
            Some(ending) => Ok(Box::new(Totals::new(ending))),
            None if is_real(&args.return_field) => reals::groups(&self.inner, args),
            None => self.inner.create_groups_accumulator(args),
        }
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::Identical
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }
}

/// The total of all rows.
#[derive(Debug)]
struct One {
    ending: Ending,
    sum: i128,
    count: i64,
}

impl One {
    fn add(&mut self, values: &[ArrayRef], sign: i8) -> Result<()> {
        each(values.first().ok_or_else(missing)?, |_, value| {
            let Some(value) = value else { return Ok(()) };
            let sum = self.sum.checked_add(i128::from(sign) * value);
            self.sum = sum.ok_or_else(|| overflow("Decimal overflow"))?;
            self.count = self.count.saturating_add(sign.into());
            Ok(())
        })
    }
}

fn ended(ending: &Ending, sum: i128, count: i64) -> Result<ScalarValue> {
    ScalarValue::try_from_array(&ending.array(vec![ending.end(sum, count)?])?, 0)
}

fn missing() -> DataFusionError {
    DataFusionError::Internal("a total of nothing".to_owned())
}

impl Accumulator for One {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.add(values, 1)
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.add(values, -1)
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        ended(&self.ending, self.sum, self.count)
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let sum = ScalarValue::Decimal128(Some(self.sum), MAX_DIGITS, 0);
        Ok(vec![sum, ScalarValue::Int64(Some(self.count))])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let [sums, counts] = states else { return Err(missing()) };
        for (sum, count) in sums.as_primitive::<Decimal128Type>().iter().zip(counts.as_primitive::<Int64Type>()) {
            let sum = self.sum.checked_add(sum.unwrap_or(0));
            self.sum = sum.ok_or_else(|| overflow("Decimal overflow"))?;
            self.count = self.count.saturating_add(count.unwrap_or(0));
        }
        Ok(())
    }
}

/// The total of all values that differ.
#[derive(Debug)]
struct Distinct {
    ending: Ending,
    values: HashSet<i128>,
}

impl Accumulator for Distinct {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        each(values.first().ok_or_else(missing)?, |_, value| {
            self.values.extend(value);
            Ok(())
        })
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let sum = self.values.iter().try_fold(0_i128, |sum, value| sum.checked_add(*value));
        let count = i64::try_from(self.values.len()).unwrap_or(i64::MAX);
        ended(&self.ending, sum.ok_or_else(|| overflow("Decimal overflow"))?, count)
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.values.capacity() * size_of::<i128>()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let values: Decimal128Array = self.values.iter().copied().map(Some).collect();
        let field = Arc::new(Field::new_list_field(kept(), true));
        let offsets = OffsetBuffer::from_lengths([values.len()]);
        let list = ListArray::try_new(field, offsets, Arc::new(values.with_data_type(kept())), None)?;
        Ok(vec![ScalarValue::List(Arc::new(list))])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let lists = states.first().ok_or_else(missing)?.as_list::<i32>();
        for list in lists.iter().flatten() {
            self.values.extend(list.as_primitive::<Decimal128Type>().iter().flatten());
        }
        Ok(())
    }
}
