//! `map_filter`, `transform_keys`, `transform_values` and `map_zip_with`.

use std::collections::{HashMap, HashSet};

use arrow::array::{Array, ArrayRef, UInt64Array};
use arrow::buffer::NullBuffer;
use arrow::compute::{filter, interleave, take};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, ScalarValue};

use super::arrays::counts;
use super::{Call, Given, Higher, Items, Takes, anything, complete, entries_of, is_condition, maps};
use crate::functions::argument;
use crate::functions::rows::{common, text};
use crate::functions::simple::strictly;

const MAP: &[Takes] = &[Takes::Map, Takes::Function];

fn of_entry(given: &Given<'_>) -> Option<Vec<Vec<FieldRef>>> {
    let (key, value) = given.entry(0)?;
    Some(vec![vec![key, value]])
}

/// Every function of this file.
pub fn all() -> Vec<Higher> {
    vec![
        Higher {
            name: "map_filter",
            usage: "map_filter(map(K, V), function(K, V, boolean))",
            takes: MAP,
            parameters: |given, _| complete(of_entry(given)?),
            gives: |given| {
                let (key, value) = given.entry(0)?;
                is_condition(given.result(1)?.as_ref()).then(|| Field::new("", entries_of(&key, &value), true))
            },
            work: map_filter,
            signature: anything(),
        },
        Higher {
            name: "transform_keys",
            usage: "transform_keys(map(K1, V), function(K1, V, K2))",
            takes: MAP,
            parameters: |given, _| complete(of_entry(given)?),
            gives: |given| {
                let (_, value) = given.entry(0)?;
                Some(Field::new("", entries_of(given.result(1)?.as_ref(), &value), true))
            },
            work: transform_keys,
            signature: anything(),
        },
        Higher {
            name: "transform_values",
            usage: "transform_values(map(K, V1), function(K, V1, V2))",
            takes: MAP,
            parameters: |given, _| complete(of_entry(given)?),
            gives: |given| {
                let (key, _) = given.entry(0)?;
                Some(Field::new("", entries_of(&key, given.result(1)?.as_ref()), true))
            },
            work: transform_values,
            signature: anything(),
        },
        Higher {
            name: "map_zip_with",
            usage: "map_zip_with(map(K, V1), map(K, V2), function(K, V1, V2, V3))",
            takes: &[Takes::Map, Takes::Map, Takes::Function],
            parameters: |given, _| {
                let (left, right) = (given.entry(0)?.1, given.entry(1)?.1);
                complete(vec![vec![key_of_both(given)?, left, right]])
            },
            gives: |given| {
                let key = key_of_both(given)?;
                Some(Field::new("", entries_of(&key, given.result(2)?.as_ref()), true))
            },
            work: map_zip_with,
            signature: anything(),
        },
    ]
}

fn key_of_both(given: &Given<'_>) -> Option<FieldRef> {
    let (left, right) = (given.entry(0)?.0, given.entry(1)?.0);
    let kind = common(left.data_type(), right.data_type())?;
    Some(FieldRef::new(Field::clone(&left).with_data_type(kind)))
}

fn map_filter(call: &Call<'_>) -> Result<ArrayRef> {
    let map = call.map(0)?;
    let items = Items::of_map(&map);
    let (keys, values) = (items.taken(map.keys())?, items.taken(map.values())?);
    let holds = call.test(1, &[ArrayRef::clone(&keys), ArrayRef::clone(&values)], &items.rows())?;
    let left = (&filter(&keys, &holds)?, &filter(&values, &holds)?);
    maps(call.gives(), &counts(&items.lengths, &holds), left, map.nulls().cloned())
}

fn transform_values(call: &Call<'_>) -> Result<ArrayRef> {
    let map = call.map(0)?;
    let items = Items::of_map(&map);
    let (keys, values) = (items.taken(map.keys())?, items.taken(map.values())?);
    let made = call.apply(1, &[ArrayRef::clone(&keys), values], &items.rows())?;
    maps(call.gives(), &items.lengths, (&keys, &made), map.nulls().cloned())
}

fn transform_keys(call: &Call<'_>) -> Result<ArrayRef> {
    let map = call.map(0)?;
    let items = Items::of_map(&map);
    let (keys, values) = (items.taken(map.keys())?, items.taken(map.values())?);
    let made = call.apply(1, &[keys, ArrayRef::clone(&values)], &items.rows())?;
    let mut seen = HashSet::new();
    for (at, row) in items.rows.iter().enumerate() {
        let key = ScalarValue::try_from_array(&made, at)?;
        if key.is_null() {
            return Err(argument("map key cannot be null"));
        }
        let words = text(&key)?;
        if !seen.insert((*row, key)) {
            return Err(argument(format!("Duplicate map keys ({}) are not allowed", words.unwrap_or_default())));
        }
    }
    maps(call.gives(), &items.lengths, (&made, &values), map.nulls().cloned())
}

/// Where the values of a row's keys are, by the keys.
fn found(items: &Items, keys: &ArrayRef) -> Result<HashMap<(u64, ScalarValue), u64>> {
    let mut found = HashMap::with_capacity(items.rows.len());
    for (at, row) in items.rows.iter().enumerate() {
        found.insert((*row, ScalarValue::try_from_array(keys, at)?), at as u64);
    }
    Ok(found)
}

/// The keys of the first map, and then those that only the second has; NULL where a map has not the key.
fn map_zip_with(call: &Call<'_>) -> Result<ArrayRef> {
    let (left, right) = (call.map(0)?, call.map(1)?);
    let nulls = NullBuffer::union(left.nulls(), right.nulls());
    let kind = match call.gives() {
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(fields) => fields.first().map_or(DataType::Null, |key| key.data_type().clone()),
            _ => DataType::Null,
        },
        _ => DataType::Null,
    };
    let (lefts, rights) = (Items::of_map(&left), Items::of_map(&right));
    let left_keys = strictly(&lefts.taken(left.keys())?, &kind)?;
    let right_keys = strictly(&rights.taken(right.keys())?, &kind)?;
    let (in_left, in_right) = (found(&lefts, &left_keys)?, found(&rights, &right_keys)?);
    let (mut rows, mut lengths, mut keys) = (Vec::new(), Vec::with_capacity(left.len()), Vec::new());
    let (mut left_places, mut right_places): (Vec<Option<u64>>, Vec<Option<u64>>) = (Vec::new(), Vec::new());
    let (mut left_at, mut right_at) = (0, 0);
    for (row, (left_count, right_count)) in lefts.lengths.iter().zip(&rights.lengths).enumerate() {
        let before = rows.len();
        let is_null = nulls.as_ref().is_some_and(|nulls| nulls.is_null(row));
        for at in (left_at..left_at + left_count).filter(|_| !is_null) {
            let key = ScalarValue::try_from_array(&left_keys, at)?;
            keys.push((0, at));
            left_places.push(Some(at as u64));
            right_places.push(in_right.get(&(row as u64, key)).copied());
            rows.push(row as u64);
        }
        for at in (right_at..right_at + right_count).filter(|_| !is_null) {
            let key = ScalarValue::try_from_array(&right_keys, at)?;
            if !in_left.contains_key(&(row as u64, key)) {
                keys.push((1, at));
                left_places.push(None);
                right_places.push(Some(at as u64));
                rows.push(row as u64);
            }
        }
        left_at += left_count;
        right_at += right_count;
        lengths.push(rows.len() - before);
    }
    let keys = interleave(&[left_keys.as_ref(), right_keys.as_ref()], &keys)?;
    let left_values = take(&lefts.taken(left.values())?, &UInt64Array::from(left_places), None)?;
    let right_values = take(&rights.taken(right.values())?, &UInt64Array::from(right_places), None)?;
    let made = call.apply(2, &[ArrayRef::clone(&keys), left_values, right_values], &UInt64Array::from(rows))?;
    maps(call.gives(), &lengths, (&keys, &made), nulls)
}
