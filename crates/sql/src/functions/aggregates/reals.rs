//! `sum` and `avg` of `real`: reckoned as `double`, and a `real` in the end.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{Accumulator, AggregateUDF, EmitTo, GroupsAccumulator};

/// What a function of doubles is given and gives.
fn double() -> FieldRef {
    Arc::new(Field::new("double", DataType::Float64, true))
}

fn wide(values: &[ArrayRef]) -> Result<Vec<ArrayRef>> {
    values.iter().map(|values| Ok(cast(values, &DataType::Float64)?)).collect()
}

pub fn state_fields(inner: &AggregateUDF, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
    let fields = [double()];
    inner.state_fields(StateFieldsArgs { input_fields: &fields, return_field: double(), ..args })
}

pub fn accumulator(inner: &AggregateUDF, args: AccumulatorArgs<'_>, is_sliding: bool) -> Result<Box<dyn Accumulator>> {
    let fields = [double()];
    let args = AccumulatorArgs { return_field: double(), expr_fields: &fields, ..args };
    let inner = if is_sliding { inner.create_sliding_accumulator(args) } else { inner.accumulator(args) };
    Ok(Box::new(Narrow(inner?)))
}

pub fn groups(inner: &AggregateUDF, args: AccumulatorArgs<'_>) -> Result<Box<dyn GroupsAccumulator>> {
    let fields = [double()];
    let args = AccumulatorArgs { return_field: double(), expr_fields: &fields, ..args };
    Ok(Box::new(NarrowGroups(inner.create_groups_accumulator(args)?)))
}

pub fn has_groups(inner: &AggregateUDF, args: AccumulatorArgs<'_>) -> bool {
    let fields = [double()];
    inner.groups_accumulator_supported(AccumulatorArgs { return_field: double(), expr_fields: &fields, ..args })
}

#[derive(Debug)]
struct Narrow(Box<dyn Accumulator>);

impl Accumulator for Narrow {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.0.update_batch(&wide(values)?)
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.0.retract_batch(&wide(values)?)
    }

    fn supports_retract_batch(&self) -> bool {
        self.0.supports_retract_batch()
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        self.0.evaluate()?.cast_to(&DataType::Float32)
    }

    fn size(&self) -> usize {
        self.0.size()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.0.state()
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.0.merge_batch(states)
    }
}

struct NarrowGroups(Box<dyn GroupsAccumulator>);

impl GroupsAccumulator for NarrowGroups {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        opt_filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        self.0.update_batch(&wide(values)?, group_indices, opt_filter, total_num_groups)
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        Ok(cast(&self.0.evaluate(emit_to)?, &DataType::Float32)?)
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        self.0.state(emit_to)
    }

    fn merge_batch(&mut self, values: &[ArrayRef], group_indices: &[usize], total_num_groups: usize) -> Result<()> {
        self.0.merge_batch(values, group_indices, total_num_groups)
    }

    fn convert_to_state(&self, values: &[ArrayRef], opt_filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        self.0.convert_to_state(&wide(values)?, opt_filter)
    }

    fn size(&self) -> usize {
        self.0.size()
    }
}
