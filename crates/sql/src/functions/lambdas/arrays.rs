//! `transform`, `filter`, `zip_with` and the conditions on all items of an array.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, UInt64Array};
use arrow::buffer::NullBuffer;
use arrow::compute::{filter, take};
use arrow::datatypes::{DataType, Field};
use datafusion::common::Result;

use super::{Call, Given, Higher, Items, Takes, anything, array_of, complete, is_condition, lists};

const ARRAY: &[Takes] = &[Takes::Array, Takes::Function];

/// Every function of this file.
pub fn all() -> Vec<Higher> {
    let matching = |name, usage, work| Higher {
        name,
        usage,
        takes: ARRAY,
        parameters: |given, _| complete(vec![vec![given.item(0)?]]),
        gives: |given| is_condition(given.result(1)?.as_ref()).then(|| Field::new("", DataType::Boolean, true)),
        work,
        signature: anything(),
    };
    vec![
        Higher {
            name: "transform",
            usage: "transform(array(T), function(T, U))",
            takes: ARRAY,
            parameters: |given, _| complete(vec![vec![given.item(0)?]]),
            gives: |given| Some(Field::new("", array_of(given.result(1)?.as_ref()), true)),
            work: transform,
            signature: anything(),
        },
        Higher {
            name: "filter",
            usage: "filter(array(T), function(T, boolean))",
            takes: ARRAY,
            parameters: |given, _| complete(vec![vec![given.item(0)?]]),
            gives: filtered_kind,
            work: filtered,
            signature: anything(),
        },
        Higher {
            name: "zip_with",
            usage: "zip_with(array(T), array(U), function(T, U, R))",
            takes: &[Takes::Array, Takes::Array, Takes::Function],
            parameters: |given, _| complete(vec![vec![given.item(0)?, given.item(1)?]]),
            gives: |given| Some(Field::new("", array_of(given.result(2)?.as_ref()), true)),
            work: zip_with,
            signature: anything(),
        },
        matching("any_match", "any_match(array(T), function(T, boolean))", |call| matched(call, Match::Any)),
        matching("all_match", "all_match(array(T), function(T, boolean))", |call| matched(call, Match::All)),
        matching("none_match", "none_match(array(T), function(T, boolean))", |call| matched(call, Match::None)),
    ]
}

fn filtered_kind(given: &Given<'_>) -> Option<Field> {
    is_condition(given.result(1)?.as_ref()).then_some(())?;
    Some(Field::new("", array_of(given.item(0)?.as_ref()), true))
}

fn transform(call: &Call<'_>) -> Result<ArrayRef> {
    let list = call.array(0)?;
    let items = Items::of_list(&list);
    let made = call.apply(1, &[items.taken(list.values())?], &items.rows())?;
    lists(call.gives(), &items.lengths, &made, list.nulls().cloned())
}

/// How many of each row's items a condition holds for.
pub fn counts(lengths: &[usize], holds: &BooleanArray) -> Vec<usize> {
    let mut at = 0;
    let count = |length: &usize| {
        let from = at;
        at += length;
        (from..at).filter(|item| holds.is_valid(*item) && holds.value(*item)).count()
    };
    lengths.iter().map(count).collect()
}

fn filtered(call: &Call<'_>) -> Result<ArrayRef> {
    let list = call.array(0)?;
    let items = Items::of_list(&list);
    let values = items.taken(list.values())?;
    let holds = call.test(1, &[Arc::clone(&values)], &items.rows())?;
    let left = filter(&values, &holds)?;
    lists(call.gives(), &counts(&items.lengths, &holds), &left, list.nulls().cloned())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Match {
    Any,
    All,
    None,
}

fn matched(call: &Call<'_>, wanted: Match) -> Result<ArrayRef> {
    let list = call.array(0)?;
    let items = Items::of_list(&list);
    let holds = call.test(1, &[items.taken(list.values())?], &items.rows())?;
    let mut at = 0;
    let row = |(row, length): (usize, &usize)| {
        let from = at;
        at += length;
        if list.is_null(row) {
            return None;
        }
        // What decides is one that does not hold for `all_match`, and one that does for the others.
        let decides = |item: usize| holds.is_valid(item) && holds.value(item) != (wanted == Match::All);
        if (from..at).any(decides) {
            return Some(wanted == Match::Any);
        }
        if (from..at).any(|item| holds.is_null(item)) { None } else { Some(wanted != Match::Any) }
    };
    Ok(Arc::new(items.lengths.iter().enumerate().map(row).collect::<BooleanArray>()))
}

/// The shorter array is filled up with NULLs.
fn zip_with(call: &Call<'_>) -> Result<ArrayRef> {
    let (left, right) = (call.array(0)?, call.array(1)?);
    let nulls = NullBuffer::union(left.nulls(), right.nulls());
    let (mut rows, mut lengths) = (Vec::new(), Vec::with_capacity(left.len()));
    let (mut lefts, mut rights) = (Vec::new(), Vec::new());
    for row in 0..left.len() {
        if nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
            lengths.push(0);
            continue;
        }
        let count = left.value_length(row).max(right.value_length(row));
        let place = |list: &arrow::array::ListArray, at: i32| {
            let first = list.value_offsets().get(row).copied().unwrap_or(0);
            if at < list.value_length(row) { u64::try_from(first + at).ok() } else { None }
        };
        lengths.push(usize::try_from(count).unwrap_or(0));
        for at in 0..count {
            rows.push(row as u64);
            lefts.push(place(&left, at));
            rights.push(place(&right, at));
        }
    }
    let taken = |list: &arrow::array::ListArray, places: Vec<Option<u64>>| {
        take(list.values(), &UInt64Array::from(places), None)
    };
    let values = [taken(&left, lefts)?, taken(&right, rights)?];
    let made = call.apply(2, &values, &UInt64Array::from(rows))?;
    lists(call.gives(), &lengths, &made, nulls)
}
