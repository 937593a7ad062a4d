//! Arrays.
//!
//! Trino documentation, "Array functions and operators".

use std::cmp::Ordering;
use std::collections::HashSet;

use arrow::datatypes::DataType;
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::ScalarUDF;

use super::rows::{at_once, common, entries, int, item, items, key_and_value, list, list_of, map_of, rows, text};
use super::{argument, elements};

/// The most items that `repeat` gives (Trino's `MAX_RESULT_ENTRIES`).
const MAX_ITEMS: i64 = 10_000;

type Planned = Option<(Vec<DataType>, DataType)>;

/// How a function of one array begins.
fn one(kinds: &[DataType]) -> Option<&DataType> {
    let [kind] = kinds else { return None };
    item(kind)
}

/// Of one array, the same.
fn same(kinds: &[DataType]) -> Planned {
    one(kinds).map(|kind| (vec![list_of(kind)], list_of(kind)))
}

/// Of one array, an item.
fn of_items(kinds: &[DataType]) -> Planned {
    one(kinds).map(|kind| (vec![list_of(kind)], kind.clone()))
}

/// An array and what may be in it.
fn with_item(kinds: &[DataType]) -> Option<(Vec<DataType>, DataType)> {
    let [list, value] = kinds else { return None };
    let kind = common(item(list)?, value)?;
    Some((vec![list_of(&kind), kind.clone()], kind))
}

fn two(kinds: &[DataType]) -> Option<(Vec<DataType>, DataType)> {
    let [left, right] = kinds else { return None };
    let kind = list_of(&common(item(left)?, item(right)?)?);
    Some((vec![kind.clone(), kind.clone()], kind))
}

fn number(kind: &DataType) -> Option<DataType> {
    (kind.is_integer() || kind.is_null()).then_some(DataType::Int64)
}

fn cardinality(values: &[ScalarValue], _: &DataType) -> Result<ScalarValue> {
    let Some(value) = values.first() else { return Ok(ScalarValue::Null) };
    let count = items(value)?.len() + entries(value)?.len();
    Ok(ScalarValue::Int64(i64::try_from(count).ok()))
}

fn contains(values: &[ScalarValue], _: &DataType) -> Result<ScalarValue> {
    let [list, wanted] = values else { return Ok(ScalarValue::Null) };
    let items = items(list)?;
    let found = items.contains(wanted);
    // Whether it is NULL that is the one nobody knows.
    Ok(ScalarValue::Boolean(if found || !items.iter().any(ScalarValue::is_null) { Some(found) } else { None }))
}

/// `element_at`'s plan, and that of `[]`.
fn element_plan(kinds: &[DataType]) -> Planned {
    let [container, at] = kinds else { return None };
    if let Some(item) = item(container) {
        return Some((vec![list_of(item), number(at)?], item.clone()));
    }
    let (key, value) = key_and_value(container)?;
    let key = common(key, at)?;
    Some((vec![map_of(&key, value), key], value.clone()))
}

fn in_map(container: &ScalarValue, key: &ScalarValue) -> Result<Option<ScalarValue>> {
    Ok(entries(container)?.into_iter().find(|(this, _)| this == key).map(|(_, value)| value))
}

fn at(items: &[ScalarValue], index: i64) -> Option<&ScalarValue> {
    let index = if index < 0 { i64::try_from(items.len()).ok()?.checked_add(index)? } else { index - 1 };
    items.get(usize::try_from(index).ok()?)
}

fn element_at(values: &[ScalarValue], _: &DataType) -> Result<ScalarValue> {
    let [container, index] = values else { return Ok(ScalarValue::Null) };
    if let ScalarValue::Map(_) = container {
        return Ok(in_map(container, index)?.unwrap_or(ScalarValue::Null));
    }
    if int(index) == 0 {
        return Err(argument("SQL array indices start at 1"));
    }
    Ok(at(&items(container)?, int(index)).cloned().unwrap_or(ScalarValue::Null))
}

fn subscript(values: &[ScalarValue], _: &DataType) -> Result<ScalarValue> {
    let [container, index] = values else { return Ok(ScalarValue::Null) };
    if let ScalarValue::Map(_) = container {
        let missing =
            || argument(format!("Key not present in map: {}", text(index).ok().flatten().unwrap_or_default()));
        return in_map(container, index)?.ok_or_else(missing);
    }
    let items = items(container)?;
    match int(index) {
        0 => Err(argument("SQL array indices start at 1")),
        index if index < 0 => Err(argument(format!("Array subscript is negative: {index}"))),
        index => at(&items, index).cloned().ok_or_else(|| {
            let words =
                format!("Array subscript must be less than or equal to array length: {index} > {}", items.len());
            argument(words)
        }),
    }
}

fn distinct(values: Vec<ScalarValue>) -> Vec<ScalarValue> {
    let mut seen = HashSet::new();
    values.into_iter().filter(|value| seen.insert(value.clone())).collect()
}

fn array_distinct(values: &[ScalarValue], kind: &DataType) -> Result<ScalarValue> {
    list(distinct(items(&values[0])?), kind)
}

fn array_union(values: &[ScalarValue], kind: &DataType) -> Result<ScalarValue> {
    list(distinct([items(&values[0])?, items(&values[1])?].concat()), kind)
}

fn array_intersect(values: &[ScalarValue], kind: &DataType) -> Result<ScalarValue> {
    let right: HashSet<ScalarValue> = items(&values[1])?.into_iter().collect();
    list(distinct(items(&values[0])?).into_iter().filter(|value| right.contains(value)).collect(), kind)
}

fn array_except(values: &[ScalarValue], kind: &DataType) -> Result<ScalarValue> {
    let right: HashSet<ScalarValue> = items(&values[1])?.into_iter().collect();
    list(distinct(items(&values[0])?).into_iter().filter(|value| !right.contains(value)).collect(), kind)
}

fn arrays_overlap(values: &[ScalarValue], _: &DataType) -> Result<ScalarValue> {
    let (left, right) = (items(&values[0])?, items(&values[1])?);
    let found = left.iter().any(|value| !value.is_null() && right.contains(value));
    let unknown = !left.is_empty() && !right.is_empty() && left.iter().chain(&right).any(ScalarValue::is_null);
    Ok(ScalarValue::Boolean(if found || !unknown { Some(found) } else { None }))
}

/// The greatest or the least; NULL where there is a NULL.
fn extreme(values: &[ScalarValue], wanted: Ordering) -> Result<ScalarValue> {
    let items = items(&values[0])?;
    if items.iter().any(ScalarValue::is_null) {
        return Ok(ScalarValue::Null);
    }
    let better = |best: ScalarValue, value| {
        if value > best && wanted.is_gt() || value < best && wanted.is_lt() { value } else { best }
    };
    Ok(items.into_iter().reduce(better).unwrap_or(ScalarValue::Null))
}

fn array_position(values: &[ScalarValue], _: &DataType) -> Result<ScalarValue> {
    let at = items(&values[0])?.iter().position(|value| *value == values[1]).map_or(0, |at| at + 1);
    Ok(ScalarValue::Int64(i64::try_from(at).ok()))
}

fn array_remove(values: &[ScalarValue], kind: &DataType) -> Result<ScalarValue> {
    list(items(&values[0])?.into_iter().filter(|value| *value != values[1]).collect(), kind)
}

/// In order, NULLs at the end.
fn array_sort(values: &[ScalarValue], kind: &DataType) -> Result<ScalarValue> {
    let mut items = items(&values[0])?;
    items.sort_by(|left, right| match (left.is_null(), right.is_null()) {
        (false, false) => left.partial_cmp(right).unwrap_or(Ordering::Equal),
        (left, right) => left.cmp(&right),
    });
    list(items, kind)
}

fn array_join(values: &[ScalarValue], _: &DataType) -> Result<ScalarValue> {
    let between = text(&values[1])?.unwrap_or_default();
    let instead = values.get(2).map_or(Ok(None), text)?;
    let mut texts = Vec::new();
    for item in items(&values[0])? {
        texts.extend(text(&item)?.or_else(|| instead.clone()));
    }
    Ok(ScalarValue::Utf8(Some(texts.join(&between))))
}

fn join_plan(kinds: &[DataType]) -> Planned {
    let ([list, between] | [list, between, _]) = kinds else { return None };
    let texts = kinds.iter().skip(1).all(DataType::is_string) && between.is_string();
    let mut due = vec![list_of(item(list)?)];
    due.resize(kinds.len(), DataType::Utf8);
    texts.then_some((due, DataType::Utf8))
}

fn flatten(values: &[ScalarValue], kind: &DataType) -> Result<ScalarValue> {
    let mut all = Vec::new();
    for inner in items(&values[0])? {
        all.extend(items(&inner)?);
    }
    list(all, kind)
}

fn reverse(values: &[ScalarValue], kind: &DataType) -> Result<ScalarValue> {
    if kind.is_string() {
        return Ok(ScalarValue::Utf8(text(&values[0])?.map(|text| text.chars().rev().collect())));
    }
    if let ScalarValue::Binary(Some(bytes)) = &values[0] {
        return Ok(ScalarValue::Binary(Some(bytes.iter().rev().copied().collect())));
    }
    let mut items = items(&values[0])?;
    items.reverse();
    list(items, kind)
}

fn reverse_plan(kinds: &[DataType]) -> Planned {
    match kinds {
        [kind] if kind.is_string() || kind.is_null() => Some((vec![DataType::Utf8], DataType::Utf8)),
        [kind] if kind.is_binary() => Some((vec![DataType::Binary], DataType::Binary)),
        _ => same(kinds),
    }
}

fn slice(values: &[ScalarValue], kind: &DataType) -> Result<ScalarValue> {
    let (items, start, length) = (items(&values[0])?, int(&values[1]), int(&values[2]));
    if start == 0 {
        return Err(argument("SQL array indices start at 1"));
    }
    let length = usize::try_from(length).map_err(|_| argument("length must be greater than or equal to 0"))?;
    let count = i64::try_from(items.len()).unwrap_or(i64::MAX);
    let from = if start < 0 { count.saturating_add(start) } else { start - 1 };
    let Ok(from) = usize::try_from(from) else { return list(Vec::new(), kind) };
    list(items.into_iter().skip(from).take(length).collect(), kind)
}

fn repeat(values: &[ScalarValue], kind: &DataType) -> Result<ScalarValue> {
    let count = int(&values[1]).max(0);
    if count > MAX_ITEMS {
        return Err(argument(format!("count argument of repeat function must be less than or equal to {MAX_ITEMS}")));
    }
    list(vec![values[0].clone(); usize::try_from(count).unwrap_or(0)], kind)
}

/// A number as one of another's type.
fn like(values: &[ScalarValue], kind: &DataType) -> Result<ScalarValue> {
    match &values[0] {
        ScalarValue::Float64(Some(value)) if !kind.is_floating() => super::parse::from_double(*value, kind),
        value => value.cast_to(kind),
    }
}

/// A weight of `approx_percentile`.
fn weight(values: &[ScalarValue], _: &DataType) -> Result<ScalarValue> {
    match &values[0] {
        ScalarValue::Float64(Some(weight)) if weight.is_nan() || *weight <= 0.0 => {
            Err(argument("percentile weight must be > 0"))
        }
        weight => Ok(weight.clone()),
    }
}

/// The functions.
pub fn all() -> Vec<ScalarUDF> {
    let of_set = two;
    let set = |name, work| rows(name, "(array(T), array(T))", of_set, 2, work);
    vec![
        rows(
            "cardinality",
            "cardinality(array(T)), cardinality(map(K, V))",
            |kinds| match kinds {
                [kind @ (DataType::List(_) | DataType::Map(..))] => Some((vec![kind.clone()], DataType::Int64)),
                _ => None,
            },
            1,
            cardinality,
        ),
        rows("contains", "contains(array(T), T)", |kinds| Some((with_item(kinds)?.0, DataType::Boolean)), 2, contains),
        at_once(
            "element_at",
            "element_at(array(T), bigint), element_at(map(K, V), K)",
            element_plan,
            2,
            (element_at, elements::element_at),
        ),
        at_once("$subscript", "array(T)[bigint], map(K, V)[K]", element_plan, 2, (subscript, elements::subscript)),
        rows("array_distinct", "array_distinct(array(T))", same, 1, array_distinct),
        set("array_union", array_union),
        set("array_intersect", array_intersect),
        set("array_except", array_except),
        rows(
            "arrays_overlap",
            "arrays_overlap(array(T), array(T))",
            |kinds| Some((two(kinds)?.0, DataType::Boolean)),
            2,
            arrays_overlap,
        ),
        rows("array_max", "array_max(array(T))", of_items, 1, |values, _| extreme(values, Ordering::Greater)),
        rows("array_min", "array_min(array(T))", of_items, 1, |values, _| extreme(values, Ordering::Less)),
        rows(
            "array_position",
            "array_position(array(T), T)",
            |kinds| Some((with_item(kinds)?.0, DataType::Int64)),
            2,
            array_position,
        ),
        rows(
            "array_remove",
            "array_remove(array(T), T)",
            |kinds| with_item(kinds).map(|(due, _)| (due.clone(), due[0].clone())),
            2,
            array_remove,
        ),
        rows("array_sort", "array_sort(array(T))", same, 1, array_sort),
        rows(
            "array_join",
            "array_join(array(T), varchar), array_join(array(T), varchar, varchar)",
            join_plan,
            3,
            array_join,
        ),
        rows(
            "flatten",
            "flatten(array(array(T)))",
            |kinds| {
                let inner = item(one(kinds)?)?;
                Some((vec![list_of(&list_of(inner))], list_of(inner)))
            },
            1,
            flatten,
        ),
    ]
    .into_iter()
    .chain(parts())
    .collect()
}

fn parts() -> Vec<ScalarUDF> {
    vec![
        rows("reverse", "reverse(varchar), reverse(varbinary), reverse(array(T))", reverse_plan, 1, reverse),
        rows(
            "slice",
            "slice(array(T), bigint, bigint)",
            |kinds| {
                let [kind, from, count] = kinds else { return None };
                let kind = list_of(item(kind)?);
                Some((vec![kind.clone(), number(from)?, number(count)?], kind))
            },
            3,
            slice,
        ),
        rows(
            "repeat",
            "repeat(T, bigint)",
            |kinds| {
                let [kind, count] = kinds else { return None };
                Some((vec![kind.clone(), number(count)?], list_of(kind)))
            },
            0,
            repeat,
        ),
        rows(
            "$weight",
            "approx_percentile(T, double, double)",
            |kinds| {
                let [kind] = kinds else { return None };
                (kind.is_numeric() || kind.is_null()).then(|| (vec![DataType::Float64], DataType::Float64))
            },
            1,
            weight,
        ),
        rows(
            "$like",
            "a number as another",
            |kinds| {
                let [_, like] = kinds else { return None };
                let gives = if like.is_decimal() { DataType::Float64 } else { like.clone() };
                like.is_numeric().then(|| (vec![DataType::Float64, like.clone()], gives))
            },
            1,
            like,
        ),
    ]
}
