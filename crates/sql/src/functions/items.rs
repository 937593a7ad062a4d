//! Parts of arrays, and arrays as vectors.
//!
//! Trino documentation, "Array functions and operators", "Mathematical functions and operators".

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use arrow::array::StructArray;
use arrow::datatypes::{DataType, Field, Fields};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::ScalarUDF;

use super::argument;
use super::rows::{
    array, common, entries, int, item, items, key_and_value, list, list_of, map, map_of, rows, volatile_rows,
};

/// The most arrays that `zip` takes (Trino's).
const MAX_ZIPPED: usize = 5;
/// The most items of a combination (Trino's).
const MAX_COMBINED: i64 = 5;
/// The most items of all combinations together (Trino's).
const MAX_COMBINATIONS: usize = 100_000;

type Planned = Option<(Vec<DataType>, DataType)>;

fn doubles(kind: &DataType) -> Option<()> {
    item(kind).filter(|item| item.is_numeric() || item.is_null()).map(|_| ())
}

fn with_number(kinds: &[DataType]) -> Option<(DataType, Vec<DataType>)> {
    let [array, count] = kinds else { return None };
    let kind = list_of(item(array)?);
    (count.is_integer() || count.is_null()).then(|| (kind.clone(), vec![kind, DataType::Int64]))
}

fn zip_plan(kinds: &[DataType]) -> Planned {
    let kinds: Vec<DataType> = kinds.iter().map(|kind| Some(list_of(item(kind)?))).collect::<Option<_>>()?;
    let of = |(at, kind)| Some(Field::new(format!("field{at}"), item(kind)?.clone(), true));
    let fields: Fields = kinds.iter().enumerate().map(of).collect::<Option<_>>()?;
    let fits = (2..=MAX_ZIPPED).contains(&kinds.len());
    fits.then(|| (kinds, list_of(&DataType::Struct(fields))))
}

fn zip(values: &[ScalarValue], kind: &DataType) -> Result<ScalarValue> {
    let Some(DataType::Struct(fields)) = item(kind) else { return ScalarValue::try_from(kind) };
    let columns = values.iter().map(items).collect::<Result<Vec<_>>>()?;
    let longest = columns.iter().map(Vec::len).max().unwrap_or(0);
    let mut rows = Vec::with_capacity(longest);
    for at in 0..longest {
        let mut row = Vec::with_capacity(fields.len());
        for (column, field) in columns.iter().zip(fields) {
            let value = column.get(at).cloned().map_or_else(|| ScalarValue::try_from(field.data_type()), Ok)?;
            row.push(array(vec![value], field.data_type())?);
        }
        rows.push(ScalarValue::Struct(Arc::new(StructArray::try_new(fields.clone(), row, None)?)));
    }
    list(rows, kind)
}

fn trim_array(values: &[ScalarValue], kind: &DataType) -> Result<ScalarValue> {
    let (mut items, count) = (items(&values[0])?, int(&values[1]));
    let size = usize::try_from(count).map_err(|_| argument(format!("size must not be negative: {count}")))?;
    match items.len().checked_sub(size) {
        Some(left) => items.truncate(left),
        None => {
            return Err(argument(format!("size must not exceed array cardinality {}: {count}", items.len())));
        }
    }
    list(items, kind)
}

fn contains_sequence(values: &[ScalarValue], _: &DataType) -> Result<ScalarValue> {
    let (all, wanted) = (items(&values[0])?, items(&values[1])?);
    let found = wanted.is_empty() || all.windows(wanted.len()).any(|part| part == wanted.as_slice());
    Ok(ScalarValue::Boolean(Some(found)))
}

fn combinations(values: &[ScalarValue], kind: &DataType) -> Result<ScalarValue> {
    let (all, count) = (items(&values[0])?, int(&values[1]));
    if count < 0 {
        return Err(argument(format!("combination size must not be negative: {count}")));
    }
    if count > MAX_COMBINED {
        return Err(argument(format!("combination size must not exceed {MAX_COMBINED}: {count}")));
    }
    let inner = item(kind).cloned().unwrap_or(DataType::Null);
    let size = usize::try_from(count).unwrap_or(0);
    let mut chosen: Vec<usize> = (0..size).collect();
    let mut made = Vec::new();
    while chosen.last().is_none_or(|last| *last < all.len()) && (size > 0 || made.is_empty()) {
        if (made.len() + 1).saturating_mul(size) > MAX_COMBINATIONS {
            return Err(argument(format!(
                "combinations exceed max size: they have more than {MAX_COMBINATIONS} items"
            )));
        }
        made.push(list(chosen.iter().filter_map(|at| all.get(*at).cloned()).collect(), &inner)?);
        // The last place that can go on does, and those behind it follow.
        let free = (0..size).rev().find(|place| chosen[*place] + (size - place) < all.len());
        match free {
            Some(place) => {
                let first = chosen[place] + 1;
                chosen.iter_mut().skip(place).enumerate().for_each(|(at, slot)| *slot = first + at);
            }
            None => break,
        }
    }
    list(made, kind)
}

fn ngrams(values: &[ScalarValue], kind: &DataType) -> Result<ScalarValue> {
    let (all, count) = (items(&values[0])?, int(&values[1]));
    let size = usize::try_from(count).ok().filter(|size| *size > 0).ok_or_else(|| argument("N must be positive"))?;
    let inner = item(kind).cloned().unwrap_or(DataType::Null);
    if all.len() <= size {
        return list(vec![list(all, &inner)?], kind);
    }
    list(all.windows(size).map(|part| list(part.to_vec(), &inner)).collect::<Result<Vec<_>>>()?, kind)
}

fn of_arrays_plan(kinds: &[DataType]) -> Planned {
    let (kind, due) = with_number(kinds)?;
    Some((due, list_of(&kind)))
}

fn shuffle(values: &[ScalarValue], kind: &DataType) -> Result<ScalarValue> {
    let mut items = items(&values[0])?;
    let state = RandomState::new();
    for at in (1..items.len()).rev() {
        let chance = usize::try_from(state.hash_one(at) % (at as u64 + 1)).unwrap_or(0);
        items.swap(at, chance);
    }
    list(items, kind)
}

fn histogram(values: &[ScalarValue], kind: &DataType) -> Result<ScalarValue> {
    let mut counts: Vec<(ScalarValue, i64)> = Vec::new();
    let mut places: HashMap<ScalarValue, usize> = HashMap::new();
    for item in items(&values[0])?.into_iter().filter(|item| !item.is_null()) {
        let place = *places.entry(item.clone()).or_insert(counts.len());
        match counts.get_mut(place) {
            Some((_, count)) => *count += 1,
            None => counts.push((item, 1)),
        }
    }
    map(counts.into_iter().map(|(item, count)| (item, ScalarValue::Int64(Some(count)))).collect(), kind)
}

/// The numbers of an array; `None` where one is NULL.
fn vector(value: &ScalarValue) -> Result<Option<Vec<f64>>> {
    let number = |item: ScalarValue| if let ScalarValue::Float64(number) = item { number } else { None };
    Ok(items(value)?.into_iter().map(number).collect())
}

/// Both as numbers of the same length.
fn vectors(values: &[ScalarValue]) -> Result<Option<(Vec<f64>, Vec<f64>)>> {
    let (Some(left), Some(right)) = (vector(&values[0])?, vector(&values[1])?) else { return Ok(None) };
    if left.len() != right.len() {
        return Err(argument("The arguments must have the same length"));
    }
    Ok(Some((left, right)))
}

fn dot(left: &[f64], right: &[f64]) -> f64 {
    left.iter().zip(right).map(|(left, right)| left * right).sum()
}

fn cosine(values: &[ScalarValue]) -> Result<Option<f64>> {
    if let ScalarValue::Map(_) = &values[0] {
        return cosine_of_maps(values);
    }
    let Some((left, right)) = vectors(values)? else { return Ok(None) };
    let (left_norm, right_norm) = (dot(&left, &left).sqrt(), dot(&right, &right).sqrt());
    if left_norm == 0.0 || right_norm == 0.0 {
        return Err(argument("Vector magnitude cannot be zero"));
    }
    Ok(Some(dot(&left, &right) / (left_norm * right_norm)))
}

fn cosine_of_maps(values: &[ScalarValue]) -> Result<Option<f64>> {
    let sparse = |value: &ScalarValue| -> Result<Option<HashMap<ScalarValue, f64>>> {
        let number =
            |(key, value)| if let ScalarValue::Float64(Some(number)) = value { Some((key, number)) } else { None };
        Ok(entries(value)?.into_iter().map(number).collect())
    };
    let (Some(left), Some(right)) = (sparse(&values[0])?, sparse(&values[1])?) else { return Ok(None) };
    let norm = |vector: &HashMap<ScalarValue, f64>| vector.values().map(|value| value * value).sum::<f64>().sqrt();
    let product: f64 = left.iter().filter_map(|(key, value)| right.get(key).map(|other| value * other)).sum();
    Ok(Some(product / (norm(&left) * norm(&right))))
}

fn vectors_plan(kinds: &[DataType]) -> Planned {
    let [left, right] = kinds else { return None };
    doubles(left)?;
    doubles(right)?;
    Some((vec![list_of(&DataType::Float64); 2], DataType::Float64))
}

fn cosine_plan(kinds: &[DataType]) -> Planned {
    let [left, right] = kinds else { return None };
    if let (Some((left_key, left)), Some((right_key, right))) = (key_and_value(left), key_and_value(right)) {
        let fits = left_key.is_string() && right_key.is_string() && left.is_numeric() && right.is_numeric();
        return fits.then(|| (vec![map_of(&DataType::Utf8, &DataType::Float64); 2], DataType::Float64));
    }
    vectors_plan(kinds)
}

/// The functions.
pub fn all() -> Vec<ScalarUDF> {
    let end = |kinds: &[DataType]| -> Planned {
        let [kind] = kinds else { return None };
        item(kind).map(|item| (vec![list_of(item)], item.clone()))
    };
    vec![
        rows("zip", "zip(array(T), array(U), ...) of 2 to 5 arrays", zip_plan, MAX_ZIPPED, zip),
        rows(
            "trim_array",
            "trim_array(array(T), bigint)",
            |kinds| with_number(kinds).map(|(kind, due)| (due, kind)),
            2,
            trim_array,
        ),
        rows(
            "contains_sequence",
            "contains_sequence(array(T), array(T))",
            |kinds| {
                let [left, right] = kinds else { return None };
                let kind = list_of(&common(item(left)?, item(right)?)?);
                Some((vec![kind.clone(), kind], DataType::Boolean))
            },
            2,
            contains_sequence,
        ),
        rows("combinations", "combinations(array(T), bigint)", of_arrays_plan, 2, combinations),
        rows("ngrams", "ngrams(array(T), bigint)", of_arrays_plan, 2, ngrams),
        volatile_rows(
            "shuffle",
            "shuffle(array(T))",
            |kinds| {
                let [kind] = kinds else { return None };
                item(kind).map(|item| (vec![list_of(item)], list_of(item)))
            },
            1,
            shuffle,
        ),
        rows("array_first", "array_first(array(T))", end, 1, |values, kind| {
            items(&values[0])?.into_iter().next().map_or_else(|| ScalarValue::try_from(kind), Ok)
        }),
        rows("array_last", "array_last(array(T))", end, 1, |values, kind| {
            items(&values[0])?.into_iter().next_back().map_or_else(|| ScalarValue::try_from(kind), Ok)
        }),
        rows(
            "array_histogram",
            "array_histogram(array(T))",
            |kinds| {
                let [kind] = kinds else { return None };
                let item = item(kind)?;
                Some((vec![list_of(item)], map_of(item, &DataType::Int64)))
            },
            1,
            histogram,
        ),
    ]
    .into_iter()
    .chain(vectors_of())
    .collect()
}

fn vectors_of() -> Vec<ScalarUDF> {
    vec![
        rows("dot_product", "dot_product(array(double), array(double))", vectors_plan, 2, |values, _| {
            Ok(ScalarValue::Float64(vectors(values)?.map(|(left, right)| dot(&left, &right))))
        }),
        rows("euclidean_distance", "euclidean_distance(array(double), array(double))", vectors_plan, 2, |values, _| {
            let distance = |(left, right): (Vec<f64>, Vec<f64>)| {
                left.iter().zip(&right).map(|(left, right)| (left - right).powi(2)).sum::<f64>().sqrt()
            };
            Ok(ScalarValue::Float64(vectors(values)?.map(distance)))
        }),
        rows(
            "cosine_similarity",
            "cosine_similarity(map(varchar, double), map(varchar, double)), cosine_similarity(array(double), array(double))",
            cosine_plan,
            2,
            |values, _| Ok(ScalarValue::Float64(cosine(values)?)),
        ),
        rows(
            "cosine_distance",
            "cosine_distance(map(varchar, double), map(varchar, double)), cosine_distance(array(double), array(double))",
            cosine_plan,
            2,
            |values, _| Ok(ScalarValue::Float64(cosine(values)?.map(|similarity| 1.0 - similarity))),
        ),
    ]
}
