//! `reduce(array, initial, (state, item) -> state, state -> result)`.

use arrow::array::{Array, ArrayRef, ListArray, UInt64Array, new_null_array};
use arrow::compute::{concat, take};
use arrow::datatypes::{Field, FieldRef};
use datafusion::common::Result;
use datafusion::logical_expr::LambdaParametersProgress;

use super::{Call, Given, Higher, Takes, anything};
use crate::functions::shaped::kinds;
use crate::functions::simple::strictly;

pub fn reduce() -> Higher {
    Higher {
        name: "reduce",
        usage: "reduce(array(T), S, function(S, T, S), function(S, R))",
        takes: &[Takes::Array, Takes::Any, Takes::Function, Takes::Function],
        parameters,
        gives: |given| {
            state(given.value(1)?.as_ref(), given.result(2)?.as_ref())?;
            Some(given.result(3)?.as_ref().clone())
        },
        work,
        signature: anything(),
    }
}

/// What the state is: as it begins, or wider where the lambda's results need that.
fn state(initial: &Field, next: &Field) -> Option<Field> {
    let (first, then) = (initial.data_type(), next.data_type());
    if first.is_null() {
        return Some(next.clone());
    }
    if first == then || kinds::coercion(then, first).is_some() {
        return Some(initial.clone());
    }
    kinds::common(first, then).map(|kind| initial.clone().with_data_type(kind))
}

/// The state's type is that of its beginning, and looked at again where what the lambda gives is wider. A second time it has to stay.
fn parameters(given: &Given<'_>, step: usize) -> Option<LambdaParametersProgress> {
    let (item, initial) = (given.item(0)?, given.value(1)?);
    let of = |state: FieldRef| vec![vec![FieldRef::clone(&state), FieldRef::clone(&item)], vec![state]];
    let Some(next) = given.result(2) else {
        return Some(LambdaParametersProgress::Partial(vec![of(initial).into_iter().next(), None]));
    };
    let wider = FieldRef::new(state(&initial, &next)?);
    if step == 1 && wider.data_type() != initial.data_type() {
        if wider.data_type().is_decimal() {
            // Each sum of decimals has one digit more: it would never stay.
            return None;
        }
        return Some(LambdaParametersProgress::Partial(vec![of(wider).into_iter().next(), None]));
    }
    Some(LambdaParametersProgress::Complete(of(wider)))
}

/// All rows take a step at a time; those whose array is at its end keep their state.
fn work(call: &Call<'_>) -> Result<ArrayRef> {
    let list = call.array(0)?;
    let initial = call.value(1)?;
    let kind = state(call.field(1)?, call.field(2)?)
        .map_or_else(|| initial.data_type().clone(), |field| field.data_type().clone());
    // The longest first: those that take a step are the first ones.
    let mut rows: Vec<u64> = (0..list.len()).filter(|row| list.is_valid(*row)).map(|row| row as u64).collect();
    rows.sort_by_key(|row| std::cmp::Reverse(length(&list, *row)));
    let order = UInt64Array::from(rows.clone());
    let mut states = take(&strictly(&initial, &kind)?, &order, None)?;
    let mut finished: Vec<ArrayRef> = Vec::new();
    let mut active = rows.len();
    for step in 0..rows.first().map_or(0, |row| length(&list, *row)) {
        let still = rows.iter().take(active).take_while(|row| length(&list, **row) > step).count();
        if still < active {
            finished.push(states.slice(still, active - still));
            states = states.slice(0, still);
            active = still;
        }
        let place = |row: &u64| u64::try_from(start(&list, *row) + step).unwrap_or(0);
        let places: UInt64Array = rows.iter().take(active).map(|row| Some(place(row))).collect();
        let items = take(list.values(), &places, None)?;
        states = strictly(&call.apply(2, &[states, items], &order.slice(0, active))?, &kind)?;
    }
    finished.push(states);
    let parts: Vec<&dyn Array> = finished.iter().rev().map(AsRef::as_ref).collect();
    let made = call.apply(3, &[concat(&parts)?], &order)?;
    // Back into the order of the rows; NULL where the array is.
    let mut back: Vec<Option<u64>> = vec![None; list.len()];
    for (place, row) in rows.iter().enumerate() {
        if let Some(slot) = usize::try_from(*row).ok().and_then(|row| back.get_mut(row)) {
            *slot = Some(place as u64);
        }
    }
    if rows.is_empty() {
        return Ok(new_null_array(call.gives(), list.len()));
    }
    Ok(take(&made, &UInt64Array::from(back), None)?)
}

fn start(list: &ListArray, row: u64) -> i64 {
    usize::try_from(row).ok().and_then(|row| list.value_offsets().get(row)).map_or(0, |offset| i64::from(*offset))
}

fn length(list: &ListArray, row: u64) -> i64 {
    start(list, row + 1) - start(list, row)
}
