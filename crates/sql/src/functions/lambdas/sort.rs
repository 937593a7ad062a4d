//! `array_sort(array, (a, b) -> -1, 0 or 1)`.

use arrow::array::{Array, ArrayRef, AsArray, UInt64Array};
use arrow::compute::take;
use arrow::datatypes::{DataType, Field, Int64Type};
use datafusion::common::Result;

use super::{Call, Higher, Items, Takes, anything, array_of, complete, lists};
use crate::functions::argument;
use crate::functions::simple::strictly;

/// What `array_sort` with a comparator is written as.
pub const SORT: &str = "$array_sort";

pub fn sort() -> Higher {
    Higher {
        name: SORT,
        usage: "array_sort(array(T), function(T, T, integer))",
        takes: &[Takes::Array, Takes::Function],
        parameters: |given, _| {
            let item = given.item(0)?;
            complete(vec![vec![item.clone(), item]])
        },
        gives: |given| {
            let compared = given.result(1)?;
            let fits = compared.data_type().is_integer() || compared.data_type().is_null();
            let item = given.item(0)?;
            fits.then(|| Field::new("", array_of(&item), true))
        },
        work,
        signature: anything(),
    }
}

/// Two parts of the items, each in order, that become one.
#[derive(Clone, Copy)]
struct Merge {
    row: u64,
    left: usize,
    left_end: usize,
    right: usize,
    right_end: usize,
    /// Where the next item goes.
    to: usize,
}

impl Merge {
    fn is_open(&self) -> bool {
        self.left < self.left_end && self.right < self.right_end
    }
}

/// Merges of all rows go on together, one comparison each at a time; equal items keep their order.
fn work(call: &Call<'_>) -> Result<ArrayRef> {
    let list = call.array(0)?;
    let items = Items::of_list(&list);
    let mut order = items.places.clone();
    let longest = items.lengths.iter().copied().max().unwrap_or(0);
    let mut width = 1;
    while width < longest {
        order = merged(call, list.values(), &order, &merges(&items.lengths, width))?;
        width = width.saturating_mul(2);
    }
    let sorted = take(list.values(), &UInt64Array::from(order), None)?;
    lists(call.gives(), &items.lengths, &sorted, list.nulls().cloned())
}

fn merges(lengths: &[usize], width: usize) -> Vec<Merge> {
    let (mut merges, mut first) = (Vec::new(), 0);
    for (row, length) in lengths.iter().enumerate() {
        let end = first + length;
        for left in (first..end).step_by(width.saturating_mul(2)) {
            let right = left.saturating_add(width).min(end);
            let right_end = right.saturating_add(width).min(end);
            merges.push(Merge { row: row as u64, left, left_end: right, right, right_end, to: left });
        }
        first = end;
    }
    merges
}

fn merged(call: &Call<'_>, values: &ArrayRef, order: &[u64], merges: &[Merge]) -> Result<Vec<u64>> {
    let mut next = order.to_vec();
    let place = |at: usize| order.get(at).copied().unwrap_or(0);
    let mut open: Vec<Merge> = merges.iter().copied().filter(Merge::is_open).collect();
    while !open.is_empty() {
        let lefts: UInt64Array = open.iter().map(|merge| Some(place(merge.left))).collect();
        let rights: UInt64Array = open.iter().map(|merge| Some(place(merge.right))).collect();
        let rows: UInt64Array = open.iter().map(|merge| Some(merge.row)).collect();
        let compared = call.apply(1, &[take(values, &lefts, None)?, take(values, &rights, None)?], &rows)?;
        let compared = strictly(&compared, &DataType::Int64)?;
        let compared = compared.as_primitive::<Int64Type>();
        for (at, merge) in open.iter_mut().enumerate() {
            if compared.is_null(at) || !(-1..=1).contains(&compared.value(at)) {
                return Err(argument("Lambda comparator must return either -1, 0, or 1"));
            }
            let from = if compared.value(at) <= 0 { &mut merge.left } else { &mut merge.right };
            next[merge.to] = place(*from);
            *from += 1;
            merge.to += 1;
        }
        for merge in open.iter().filter(|merge| !merge.is_open()) {
            let rest = (merge.left..merge.left_end).chain(merge.right..merge.right_end);
            for (at, from) in rest.enumerate() {
                next[merge.to + at] = place(from);
            }
        }
        open.retain(Merge::is_open);
    }
    Ok(next)
}
