//! Items of arrays and values of maps, of a batch of rows at once.

use std::ops::Range;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, ListArray, MapArray, UInt32Array};
use arrow::compute::kernels::cmp::eq;
use arrow::compute::take;
use arrow::datatypes::{DataType, Int64Type};
use datafusion::common::Result;

use super::simple::strictly;

/// `element_at`: NULL where there is none.
pub fn element_at(columns: &[ArrayRef], kind: &DataType) -> Result<Option<ArrayRef>> {
    found(columns, kind, false)
}

/// `[]`: nothing at all where a row has none, which is told row by row.
pub fn subscript(columns: &[ArrayRef], kind: &DataType) -> Result<Option<ArrayRef>> {
    found(columns, kind, true)
}

fn found(columns: &[ArrayRef], kind: &DataType, strict: bool) -> Result<Option<ArrayRef>> {
    let [container, wanted] = columns else { return Ok(None) };
    let (values, places) = match container.data_type() {
        DataType::List(_) => {
            let list = container.as_list::<i32>();
            let wanted = strictly(wanted, &DataType::Int64)?;
            (list.values(), items(list, wanted.as_primitive::<Int64Type>(), strict))
        }
        DataType::Map(..) => {
            let map = container.as_map();
            (map.values(), entries(map, wanted, strict)?)
        }
        _ => return Ok(None),
    };
    let Some(places) = places else { return Ok(None) };
    Ok(Some(strictly(&take(values, &UInt32Array::from(places), None)?, kind)?))
}

/// The places of a row's items among those of all.
fn range(offsets: &[i32], row: usize) -> Range<usize> {
    let at = |row: usize| offsets.get(row).and_then(|at| usize::try_from(*at).ok()).unwrap_or_default();
    at(row)..at(row + 1)
}

fn items(list: &ListArray, wanted: &Int64Array, strict: bool) -> Option<Vec<Option<u32>>> {
    let one = |row: usize| {
        if list.is_null(row) || wanted.is_null(row) {
            return Some(None);
        }
        let (within, wanted) = (range(list.value_offsets(), row), wanted.value(row));
        let place = match wanted {
            0 => return None,
            wanted if wanted < 0 && strict => return None,
            wanted if wanted < 0 => i64::try_from(within.len()).ok()?.checked_add(wanted),
            wanted => Some(wanted - 1),
        };
        let place = place.and_then(|place| usize::try_from(place).ok()).filter(|place| *place < within.len());
        match place {
            None if strict => None,
            place => Some(place.and_then(|place| u32::try_from(within.start + place).ok())),
        }
    };
    (0..list.len()).map(one).collect()
}

fn entries(map: &MapArray, wanted: &ArrayRef, strict: bool) -> Result<Option<Vec<Option<u32>>>> {
    // Of nested keys a row decides.
    if map.keys().data_type().is_nested() || map.keys().data_type() != wanted.data_type() {
        return Ok(None);
    }
    let offsets = map.value_offsets();
    let all = range(offsets, 0).start..range(offsets, map.len()).start;
    let mut rows = Vec::with_capacity(all.len());
    for row in 0..map.len() {
        rows.extend(range(offsets, row).map(|_| u32::try_from(row).ok()));
    }
    let keys = map.keys().slice(all.start, all.len());
    let is_it = eq(&keys, &take(wanted, &UInt32Array::from(rows), None)?)?;
    let one = |row: usize| {
        if map.is_null(row) || wanted.is_null(row) {
            return Some(None);
        }
        let is_wanted = |place: &usize| is_it.is_valid(place - all.start) && is_it.value(place - all.start);
        match range(offsets, row).find(is_wanted) {
            None if strict => None,
            place => Some(place.and_then(|place| u32::try_from(place).ok())),
        }
    };
    Ok((0..map.len()).map(one).collect())
}
