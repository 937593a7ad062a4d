//! Totals of many groups at once.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Decimal128Array, Int64Array};
use arrow::datatypes::{Decimal128Type, Int64Type};
use datafusion::common::{DataFusionError, Result};
use datafusion::logical_expr::{EmitTo, GroupsAccumulator};

use super::total::{Ending, each, kept, overflow};

/// The totals, a place for each group.
#[derive(Debug)]
pub struct Totals {
    ending: Ending,
    sums: Vec<i128>,
    counts: Vec<i64>,
}

impl Totals {
    pub fn new(ending: Ending) -> Self {
        Self { ending, sums: Vec::new(), counts: Vec::new() }
    }

    fn grow(&mut self, groups: usize) {
        self.sums.resize(groups, 0);
        self.counts.resize(groups, 0);
    }

    fn add(&mut self, group: usize, sum: i128, count: i64) -> Result<()> {
        let (Some(total), Some(counted)) = (self.sums.get_mut(group), self.counts.get_mut(group)) else {
            return Err(DataFusionError::Internal("a group beyond all".to_owned()));
        };
        *total = total.checked_add(sum).ok_or_else(|| overflow("Decimal overflow"))?;
        *counted = counted.saturating_add(count);
        Ok(())
    }
}

fn missing() -> DataFusionError {
    DataFusionError::Internal("totals of nothing".to_owned())
}

fn is_kept(filter: Option<&BooleanArray>, row: usize) -> bool {
    filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row))
}

impl GroupsAccumulator for Totals {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        opt_filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        self.grow(total_num_groups);
        each(values.first().ok_or_else(missing)?, |row, value| match (value, group_indices.get(row)) {
            (Some(value), Some(group)) if is_kept(opt_filter, row) => self.add(*group, value, 1),
            _ => Ok(()),
        })
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let (sums, counts) = (emit_to.take_needed(&mut self.sums), emit_to.take_needed(&mut self.counts));
        let ends = sums.into_iter().zip(counts).map(|(sum, count)| self.ending.end(sum, count));
        self.ending.array(ends.collect::<Result<_>>()?)
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        let sums = Decimal128Array::from(emit_to.take_needed(&mut self.sums)).with_data_type(kept());
        let counts = Int64Array::from(emit_to.take_needed(&mut self.counts));
        Ok(vec![Arc::new(sums), Arc::new(counts)])
    }

    fn merge_batch(&mut self, values: &[ArrayRef], group_indices: &[usize], total_num_groups: usize) -> Result<()> {
        self.grow(total_num_groups);
        let [sums, counts] = values else { return Err(missing()) };
        let states = sums.as_primitive::<Decimal128Type>().iter().zip(counts.as_primitive::<Int64Type>());
        for ((sum, count), group) in states.zip(group_indices) {
            self.add(*group, sum.unwrap_or(0), count.unwrap_or(0))?;
        }
        Ok(())
    }

    fn convert_to_state(&self, values: &[ArrayRef], opt_filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let values = values.first().ok_or_else(missing)?;
        let (mut sums, mut counts) = (Vec::with_capacity(values.len()), Vec::with_capacity(values.len()));
        each(values, |row, value| {
            let value = value.filter(|_| is_kept(opt_filter, row));
            sums.push(value.unwrap_or(0));
            counts.push(i64::from(value.is_some()));
            Ok(())
        })?;
        let (sums, counts) = (Decimal128Array::from(sums), Int64Array::from(counts));
        Ok(vec![Arc::new(sums.with_data_type(kept())), Arc::new(counts)])
    }

    fn size(&self) -> usize {
        self.sums.capacity() * size_of::<i128>() + self.counts.capacity() * size_of::<i64>()
    }
}
