//! `sum` and `avg`: the engine's, which give what Trino gives. A sum of whole numbers that is no `bigint` fails, and the mean of decimals has their scale.
//!
//! Trino documentation, "Aggregate functions", "Decimal functions and operators".

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, ScalarValue};
use datafusion::functions_aggregate::average::avg_udaf;
use datafusion::functions_aggregate::sum::sum_udaf;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, EmitTo, GroupsAccumulator, ReversedUDAF, Signature, Volatility,
};

use super::kind::word;
use super::simple::strictly;
use crate::failure::Problem;

/// Digits of the widest decimal: sums of whole numbers have them until they are done.
const MAX_DIGITS: u8 = 38;

#[derive(Debug, PartialEq, Eq, Hash)]
struct Exact {
    inner: Arc<AggregateUDF>,
    signature: Signature,
}

/// The functions.
pub fn all() -> Vec<Arc<AggregateUDF>> {
    let of =
        |inner| AggregateUDF::new_from_impl(Exact { inner, signature: Signature::user_defined(Volatility::Immutable) });
    [sum_udaf(), avg_udaf()].into_iter().map(of).map(Arc::new).collect()
}

/// What the engine's function is fed with, what it gives then, and what that is made.
#[derive(Clone, Debug)]
struct Ways {
    fed: DataType,
    inner: DataType,
    gives: DataType,
}

impl Exact {
    fn is_sum(&self) -> bool {
        self.inner.name() == "sum"
    }

    fn ways(&self, given: &DataType) -> Result<Ways> {
        let fed = match given {
            DataType::Int64 if self.is_sum() => DataType::Decimal128(MAX_DIGITS, 0),
            DataType::Decimal128(_, scale) if self.is_sum() => DataType::Decimal128(MAX_DIGITS, *scale),
            other => other.clone(),
        };
        let inner = self.inner.return_type(std::slice::from_ref(&fed))?;
        let gives = match given {
            DataType::Int64 => given.clone(),
            DataType::Decimal128(..) if !self.is_sum() => given.clone(),
            _ => inner.clone(),
        };
        Ok(Ways { fed, inner, gives })
    }

    /// Does something with the arguments that the engine's function is to have.
    fn with<T>(&self, args: &AccumulatorArgs, act: impl Fn(AccumulatorArgs, Ways) -> Result<T>) -> Result<T> {
        let field = args.expr_fields.first();
        let ways = self.ways(field.map_or(&DataType::Null, |field| field.data_type()))?;
        let fields = [Arc::new(Field::new("value", ways.fed.clone(), true))];
        let inner = AccumulatorArgs {
            return_field: Arc::new(Field::new(args.name, ways.inner.clone(), true)),
            schema: args.schema,
            ignore_nulls: args.ignore_nulls,
            order_bys: args.order_bys,
            is_reversed: args.is_reversed,
            name: args.name,
            is_distinct: args.is_distinct,
            exprs: args.exprs,
            expr_fields: &fields,
        };
        act(inner, ways)
    }
}

impl AggregateUDFImpl for Exact {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, kinds: &[DataType]) -> Result<DataType> {
        Ok(self.ways(kinds.first().unwrap_or(&DataType::Null))?.gives)
    }

    fn coerce_types(&self, kinds: &[DataType]) -> Result<Vec<DataType>> {
        let made = match kinds {
            [kind @ (DataType::Decimal128(..) | DataType::Duration(_))] => Some(kind.clone()),
            [kind @ DataType::Interval(_)] if self.is_sum() => Some(kind.clone()),
            [kind] if kind.is_integer() || kind.is_null() => {
                Some(if self.is_sum() { DataType::Int64 } else { DataType::Float64 })
            }
            [kind] if kind.is_floating() => Some(DataType::Float64),
            _ => None,
        };
        made.map(|kind| vec![kind]).ok_or_else(|| {
            let words: Vec<String> = kinds.iter().map(|kind| word(&Field::new("", kind.clone(), true))).collect();
            let (name, given) = (self.name(), words.join(", "));
            let expected: Vec<String> =
                ["bigint", "double", "decimal(p,s)"].iter().map(|kind| format!("{name}({kind})")).collect();
            let expected = expected.join(", ");
            Problem::Statement(format!(
                "FUNCTION_NOT_FOUND: Unexpected parameters ({given}) for function {name}. Expected: {expected}"
            ))
            .into()
        })
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        self.with(&args, |args, ways| Ok(Box::new(One { inner: self.inner.accumulator(args)?, ways }) as _))
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        self.with(&args, |args, ways| {
            Ok(Box::new(One { inner: self.inner.inner().create_sliding_accumulator(args)?, ways }) as _)
        })
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs) -> bool {
        self.with(&args, |args, _| Ok(self.inner.groups_accumulator_supported(args))).unwrap_or(false)
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        self.with(&args, |args, ways| {
            Ok(Box::new(Many { inner: self.inner.create_groups_accumulator(args)?, ways }) as _)
        })
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let ways = self.ways(args.input_fields.first().map_or(&DataType::Null, |field| field.data_type()))?;
        let fields = [Arc::new(Field::new("value", ways.fed, true))];
        let return_field = Arc::new(Field::new(args.name, ways.inner, true));
        self.inner.state_fields(StateFieldsArgs { input_fields: &fields, return_field, ..args })
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::Identical
    }
}

impl Ways {
    fn feed(&self, values: &[ArrayRef]) -> Result<Vec<ArrayRef>> {
        values.iter().map(|array| strictly(array, &self.fed)).collect()
    }

    fn result(&self, array: &ArrayRef) -> Result<ArrayRef> {
        if *array.data_type() == self.gives {
            return Ok(Arc::clone(array));
        }
        let made = cast_with_options(array, &self.gives, &CastOptions { safe: true, ..CastOptions::default() })?;
        if made.null_count() == array.null_count() {
            return Ok(made);
        }
        let kind = word(&Field::new("", self.gives.clone(), true));
        Err(super::out_of_range(format!("{kind} addition overflow")))
    }
}

/// The rows of one group.
#[derive(Debug)]
struct One {
    inner: Box<dyn Accumulator>,
    ways: Ways,
}

impl Accumulator for One {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.inner.update_batch(&self.ways.feed(values)?)
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.inner.retract_batch(&self.ways.feed(values)?)
    }

    fn supports_retract_batch(&self) -> bool {
        self.inner.supports_retract_batch()
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let array = self.inner.evaluate()?.to_array()?;
        ScalarValue::try_from_array(&self.ways.result(&array)?, 0)
    }

    fn size(&self) -> usize {
        self.inner.size()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.inner.state()
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.inner.merge_batch(states)
    }
}

/// The rows of many groups.
struct Many {
    inner: Box<dyn GroupsAccumulator>,
    ways: Ways,
}

impl GroupsAccumulator for Many {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        count: usize,
    ) -> Result<()> {
        self.inner.update_batch(&self.ways.feed(values)?, groups, filter, count)
    }

    fn evaluate(&mut self, emit: EmitTo) -> Result<ArrayRef> {
        self.ways.result(&self.inner.evaluate(emit)?)
    }

    fn state(&mut self, emit: EmitTo) -> Result<Vec<ArrayRef>> {
        self.inner.state(emit)
    }

    fn merge_batch(&mut self, states: &[ArrayRef], groups: &[usize], count: usize) -> Result<()> {
        self.inner.merge_batch(states, groups, count)
    }

    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        self.inner.convert_to_state(&self.ways.feed(values)?, filter)
    }

    fn size(&self) -> usize {
        self.inner.size()
    }
}
