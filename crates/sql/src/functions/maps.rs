//! Maps.
//!
//! Trino documentation, "Map functions and operators".

use std::collections::{HashMap, HashSet};

use arrow::datatypes::{DataType, Field, Fields};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::ScalarUDF;

use super::argument;
use super::rows::{array, common, entries, fields, item, items, key_and_value, list, list_of, map, map_of, rows, text};

type Pairs = Vec<(ScalarValue, ScalarValue)>;

/// A map whose keys are all there, each once.
fn checked(pairs: Pairs, kind: &DataType) -> Result<ScalarValue> {
    let mut seen = HashSet::new();
    for (key, _) in &pairs {
        if key.is_null() {
            return Err(argument("map key cannot be null"));
        }
        if !seen.insert(key) {
            return Err(argument(format!("Duplicate map keys ({}) are not allowed", text(key)?.unwrap_or_default())));
        }
    }
    map(pairs, kind)
}

fn of_arrays(values: &[ScalarValue], kind: &DataType) -> Result<ScalarValue> {
    let [keys, values] = values else { return map(Vec::new(), kind) };
    let (keys, values) = (items(keys)?, items(values)?);
    if keys.len() != values.len() {
        return Err(argument("Key and value arrays must be the same length"));
    }
    checked(keys.into_iter().zip(values).collect(), kind)
}

fn of_arrays_plan(kinds: &[DataType]) -> Option<(Vec<DataType>, DataType)> {
    match kinds {
        [] => Some((Vec::new(), map_of(&DataType::Utf8, &DataType::Utf8))),
        [keys, values] => {
            let (keys, values) = (item(keys)?, item(values)?);
            Some((vec![list_of(keys), list_of(values)], map_of(keys, values)))
        }
        _ => None,
    }
}

fn only(kinds: &[DataType]) -> Option<(&DataType, &DataType, &DataType)> {
    let [kind] = kinds else { return None };
    key_and_value(kind).map(|(key, value)| (kind, key, value))
}

fn row_of(key: &DataType, value: &DataType) -> DataType {
    let fields = vec![Field::new("field0", key.clone(), true), Field::new("field1", value.clone(), true)];
    DataType::Struct(Fields::from(fields))
}

fn map_entries(values: &[ScalarValue], kind: &DataType) -> Result<ScalarValue> {
    let Some(DataType::Struct(fields)) = item(kind) else { return ScalarValue::try_from(kind) };
    let mut rows = Vec::new();
    for (key, value) in entries(&values[0])? {
        let columns: Result<Vec<_>> =
            [key, value].into_iter().zip(fields).map(|(value, field)| array(vec![value], field.data_type())).collect();
        let row = arrow::array::StructArray::try_new(fields.clone(), columns?, None)?;
        rows.push(ScalarValue::Struct(std::sync::Arc::new(row)));
    }
    list(rows, kind)
}

fn map_from_entries(values: &[ScalarValue], kind: &DataType) -> Result<ScalarValue> {
    let mut pairs = Vec::new();
    for row in items(&values[0])? {
        match <[ScalarValue; 2]>::try_from(fields(&row)?) {
            Ok([key, value]) if !row.is_null() => pairs.push((key, value)),
            _ => return Err(argument("map entry cannot be null")),
        }
    }
    checked(pairs, kind)
}

fn map_concat(values: &[ScalarValue], kind: &DataType) -> Result<ScalarValue> {
    let mut pairs: Pairs = Vec::new();
    for value in values {
        for (key, value) in entries(value)? {
            match pairs.iter_mut().find(|(this, _)| *this == key) {
                Some((_, old)) => *old = value,
                None => pairs.push((key, value)),
            }
        }
    }
    map(pairs, kind)
}

fn concat_plan(kinds: &[DataType]) -> Option<(Vec<DataType>, DataType)> {
    let (mut key, mut value) = (DataType::Null, DataType::Null);
    for kind in kinds {
        let (this_key, this_value) = key_and_value(kind)?;
        key = common(&key, this_key)?;
        value = common(&value, this_value)?;
    }
    let kind = map_of(&key, &value);
    (kinds.len() > 1).then(|| (vec![kind.clone(); kinds.len()], kind))
}

fn split_to_map(values: &[ScalarValue], kind: &DataType) -> Result<ScalarValue> {
    checked(split_entries(values)?, kind)
}

fn split_entries(values: &[ScalarValue]) -> Result<Pairs> {
    let texts: Result<Vec<String>> = values.iter().map(|value| Ok(text(value)?.unwrap_or_default())).collect();
    let [all, between, within] = &texts?[..] else { return Ok(Vec::new()) };
    if between.is_empty() || within.is_empty() || between == within {
        return Err(argument("entryDelimiter and keyValueDelimiter must not be empty or the same"));
    }
    let mut pairs = Vec::new();
    for entry in all.split(between.as_str()).filter(|entry| !entry.is_empty()) {
        let (key, value) = entry.split_once(within.as_str()).ok_or_else(|| {
            argument(format!("Key-value delimiter must appear exactly once in each entry. Bad input: '{entry}'"))
        })?;
        pairs.push((ScalarValue::Utf8(Some(key.to_owned())), ScalarValue::Utf8(Some(value.to_owned()))));
    }
    Ok(pairs)
}

/// Of keys and values, the first value of each key.
fn map_agg(values: &[ScalarValue], kind: &DataType) -> Result<ScalarValue> {
    let mut seen = HashSet::new();
    let pairs = items(&values[0])?.into_iter().zip(items(&values[1])?);
    map(pairs.filter(|(key, _)| seen.insert(key.clone())).collect(), kind)
}

/// Of keys and values, all values of each key.
fn gathered(keys: Vec<ScalarValue>, values: Vec<ScalarValue>) -> Vec<(ScalarValue, Vec<ScalarValue>)> {
    let mut places: HashMap<ScalarValue, usize> = HashMap::new();
    let mut all: Vec<(ScalarValue, Vec<ScalarValue>)> = Vec::new();
    for (key, value) in keys.into_iter().zip(values) {
        let place = *places.entry(key.clone()).or_insert(all.len());
        match all.get_mut(place) {
            Some((_, values)) => values.push(value),
            None => all.push((key, vec![value])),
        }
    }
    all
}

fn multimap_agg(values: &[ScalarValue], kind: &DataType) -> Result<ScalarValue> {
    let of = list_of(item(&values[1].data_type()).unwrap_or(&DataType::Null));
    let pairs: Result<Pairs> = gathered(items(&values[0])?, items(&values[1])?)
        .into_iter()
        .map(|(key, values)| Ok((key, list(values, &of)?)))
        .collect();
    map(pairs?, kind)
}

fn multimap_from_entries(values: &[ScalarValue], kind: &DataType) -> Result<ScalarValue> {
    let (mut keys, mut all) = (Vec::new(), Vec::new());
    for row in items(&values[0])? {
        match <[ScalarValue; 2]>::try_from(fields(&row)?) {
            Ok([key, _]) if !row.is_null() && key.is_null() => return Err(argument("map key cannot be null")),
            Ok([key, value]) if !row.is_null() => {
                keys.push(key);
                all.push(value);
            }
            _ => return Err(argument("map entry cannot be null")),
        }
    }
    of_gathered(keys, all, kind)
}

fn of_gathered(keys: Vec<ScalarValue>, values: Vec<ScalarValue>, kind: &DataType) -> Result<ScalarValue> {
    let of = key_and_value(kind).map_or(DataType::Null, |(_, value)| value.clone());
    let pairs = gathered(keys, values).into_iter().map(|(key, values)| Ok((key, list(values, &of)?)));
    map(pairs.collect::<Result<Pairs>>()?, kind)
}

fn split_to_multimap(values: &[ScalarValue], kind: &DataType) -> Result<ScalarValue> {
    let (keys, values) = split_entries(values)?.into_iter().unzip();
    of_gathered(keys, values, kind)
}

/// Of maps, the first value of each key.
fn map_union(values: &[ScalarValue], kind: &DataType) -> Result<ScalarValue> {
    let (mut seen, mut pairs) = (HashSet::new(), Vec::new());
    for one in items(&values[0])? {
        pairs.extend(entries(&one)?.into_iter().filter(|(key, _)| seen.insert(key.clone())));
    }
    map(pairs, kind)
}

fn histogram(values: &[ScalarValue], kind: &DataType) -> Result<ScalarValue> {
    let keys = items(&values[0])?;
    let counted = gathered(keys.clone(), keys);
    let count = |values: Vec<ScalarValue>| ScalarValue::Int64(i64::try_from(values.len()).ok());
    map(counted.into_iter().map(|(key, values)| (key, count(values))).collect(), kind)
}

/// The functions.
pub fn all() -> Vec<ScalarUDF> {
    vec![
        rows("$map", "map(), map(array(K), array(V))", of_arrays_plan, 2, of_arrays),
        rows(
            "map_keys",
            "map_keys(map(K, V))",
            |kinds| only(kinds).map(|(kind, key, _)| (vec![kind.clone()], list_of(key))),
            1,
            |values, kind| list(entries(&values[0])?.into_iter().map(|(key, _)| key).collect(), kind),
        ),
        rows(
            "map_values",
            "map_values(map(K, V))",
            |kinds| only(kinds).map(|(kind, _, value)| (vec![kind.clone()], list_of(value))),
            1,
            |values, kind| list(entries(&values[0])?.into_iter().map(|(_, value)| value).collect(), kind),
        ),
        rows(
            "map_entries",
            "map_entries(map(K, V))",
            |kinds| only(kinds).map(|(kind, key, value)| (vec![kind.clone()], list_of(&row_of(key, value)))),
            1,
            map_entries,
        ),
        rows(
            "map_from_entries",
            "map_from_entries(array(row(K, V)))",
            |kinds| {
                let [kind] = kinds else { return None };
                let Some(DataType::Struct(fields)) = item(kind) else { return None };
                let [key, value] = &fields[..] else { return None };
                Some((vec![kind.clone()], map_of(key.data_type(), value.data_type())))
            },
            1,
            map_from_entries,
        ),
        rows("map_concat", "map_concat(map(K, V), map(K, V), ...)", concat_plan, usize::MAX, map_concat),
        rows("$map_agg", "map_agg(K, V)", of_arrays_plan, 2, map_agg),
        rows(
            "$multimap_agg",
            "multimap_agg(K, V)",
            |kinds| {
                let [keys, values] = kinds else { return None };
                Some((kinds.to_vec(), map_of(item(keys)?, &list_of(item(values)?))))
            },
            2,
            multimap_agg,
        ),
        rows(
            "$histogram",
            "histogram(K)",
            |kinds| {
                let [keys] = kinds else { return None };
                Some((kinds.to_vec(), map_of(item(keys)?, &DataType::Int64)))
            },
            1,
            histogram,
        ),
    ]
    .into_iter()
    .chain(of_entries())
    .collect()
}

fn split_plan(kinds: &[DataType], value: &DataType) -> Option<(Vec<DataType>, DataType)> {
    let fits = kinds.len() == 3 && kinds.iter().all(|kind| kind.is_string() || kind.is_null());
    fits.then(|| (vec![DataType::Utf8; 3], map_of(&DataType::Utf8, value)))
}

fn of_entries() -> Vec<ScalarUDF> {
    vec![
        rows(
            "split_to_map",
            "split_to_map(varchar, varchar, varchar)",
            |kinds| split_plan(kinds, &DataType::Utf8),
            3,
            split_to_map,
        ),
        rows(
            "split_to_multimap",
            "split_to_multimap(varchar, varchar, varchar)",
            |kinds| split_plan(kinds, &list_of(&DataType::Utf8)),
            3,
            split_to_multimap,
        ),
        rows(
            "multimap_from_entries",
            "multimap_from_entries(array(row(K, V)))",
            |kinds| {
                let [kind] = kinds else { return None };
                let Some(DataType::Struct(fields)) = item(kind) else { return None };
                let [key, value] = &fields[..] else { return None };
                Some((vec![kind.clone()], map_of(key.data_type(), &list_of(value.data_type()))))
            },
            1,
            multimap_from_entries,
        ),
        rows(
            "$map_union",
            "map_union(map(K, V))",
            |kinds| {
                let [kind] = kinds else { return None };
                let inner = item(kind)?;
                key_and_value(inner).map(|_| (vec![kind.clone()], inner.clone()))
            },
            1,
            map_union,
        ),
    ]
}
