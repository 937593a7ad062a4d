//! The function beneath UNNEST: arrays and maps side by side as one list of rows.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Builder, ListArray, StructArray, UInt64Array, UInt64Builder};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, FieldRef, Fields};
use datafusion::common::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};

use crate::failure::Problem;

/// `unnested(a, b, ...)`: a list of rows as long as the longest of the arrays; what the others lack is NULL.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Unnested {
    outer: bool,
    ordinality: bool,
    signature: Signature,
}

impl Unnested {
    /// With `outer`, where there is no element there is a row of NULLs. With `ordinality`, the last field counts from 1.
    pub fn new(outer: bool, ordinality: bool) -> Self {
        Self { outer, ordinality, signature: Signature::variadic_any(Volatility::Immutable) }
    }

    fn fields(&self, kinds: &[DataType]) -> Result<Fields> {
        let mut fields = Vec::new();
        for kind in kinds {
            fields.extend(columns(kind).ok_or_else(|| Problem::Internal(format!("no array: {kind}")))?);
        }
        if self.ordinality {
            fields.push(Arc::new(Field::new("ordinality", DataType::Int64, true)));
        }
        let renamed = |(at, field): (usize, FieldRef)| Field::new(name(at), field.data_type().clone(), true);
        Ok(fields.into_iter().enumerate().map(renamed).collect())
    }
}

/// The name of a field of the list.
pub fn name(at: usize) -> String {
    format!("c{at}")
}

/// The type of an array's elements; of a map's entries.
pub fn element(kind: &DataType) -> Option<&DataType> {
    match kind {
        DataType::List(field) | DataType::LargeList(field) | DataType::FixedSizeList(field, _) => {
            Some(field.data_type())
        }
        _ => None,
    }
}

/// The columns that an array or a map gives: a row's fields, a map's key and value, or the element.
pub fn columns(kind: &DataType) -> Option<Vec<FieldRef>> {
    match (kind, element(kind)) {
        (DataType::Map(entries, _), _) => match entries.data_type() {
            DataType::Struct(fields) => Some(fields.iter().cloned().collect()),
            _ => None,
        },
        (_, Some(DataType::Struct(fields))) => Some(fields.iter().cloned().collect()),
        (_, Some(one)) => Some(vec![Arc::new(Field::new("element", one.clone(), true))]),
        _ => None,
    }
}

/// An array's elements, or a map's entries, with where each row's begin.
fn parts(array: &ArrayRef) -> Result<(OffsetBuffer<i32>, ArrayRef)> {
    let as_list = match array.data_type() {
        DataType::Map(..) => {
            let map = array.as_map();
            return Ok((map.offsets().clone(), Arc::new(map.entries().clone())));
        }
        DataType::LargeList(field) | DataType::FixedSizeList(field, _) => {
            arrow::compute::cast(array, &DataType::List(Arc::clone(field)))?
        }
        _ => Arc::clone(array),
    };
    let list =
        as_list.as_list_opt::<i32>().ok_or_else(|| Problem::Internal(format!("no array: {}", array.data_type())))?;
    Ok((list.offsets().clone(), Arc::clone(list.values())))
}

/// How many elements a row has.
fn length(array: &ArrayRef, offsets: &OffsetBuffer<i32>, row: usize) -> (usize, usize) {
    match (array.is_null(row), offsets.get(row), offsets.get(row + 1)) {
        (false, Some(from), Some(to)) => {
            let from = usize::try_from(*from).unwrap_or_default();
            (from, usize::try_from(*to).unwrap_or_default().saturating_sub(from))
        }
        _ => (0, 0),
    }
}

/// Which element stands in each row of the list; none where the array is shorter, or its row is NULL.
fn taken(array: &ArrayRef, offsets: &OffsetBuffer<i32>, values: &ArrayRef, lengths: &[usize]) -> UInt64Array {
    let mut taken = UInt64Builder::with_capacity(lengths.iter().sum());
    for (row, wanted) in lengths.iter().enumerate() {
        let (from, length) = length(array, offsets, row);
        for at in 0..*wanted {
            let is_there = at < length && values.is_valid(from + at);
            taken.append_option(is_there.then_some((from + at) as u64));
        }
    }
    taken.finish()
}

impl ScalarUDFImpl for Unnested {
    fn name(&self) -> &'static str {
        match (self.outer, self.ordinality) {
            (false, false) => "unnested",
            (false, true) => "unnested_counted",
            (true, false) => "unnested_outer",
            (true, true) => "unnested_outer_counted",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, kinds: &[DataType]) -> Result<DataType> {
        Ok(DataType::List(Arc::new(Field::new("item", DataType::Struct(self.fields(kinds)?), true))))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = args.number_rows;
        let arrays: Result<Vec<ArrayRef>> = args.args.iter().map(|arg| arg.to_array(rows)).collect();
        let arrays = arrays?;
        let all: Result<Vec<_>> = arrays.iter().map(parts).collect();
        let all = all?;
        let longest = |row: usize| {
            let lengths = arrays.iter().zip(&all).map(|(array, (offsets, _))| length(array, offsets, row).1);
            lengths.max().unwrap_or(0)
        };
        let found: Vec<usize> = (0..rows).map(longest).collect();
        let lengths: Vec<usize> =
            found.iter().map(|length| if self.outer { (*length).max(1) } else { *length }).collect();
        let total: usize = lengths.iter().sum();
        if i32::try_from(total).is_err() {
            return Err(Problem::Data("the arrays of one batch have more than 2^31 elements".to_owned()).into());
        }
        let mut columns: Vec<ArrayRef> = Vec::new();
        for (array, (offsets, values)) in arrays.iter().zip(&all) {
            let taken = taken(array, offsets, values, &lengths);
            match values.as_struct_opt() {
                Some(row) => {
                    for column in row.columns() {
                        columns.push(arrow::compute::take(column, &taken, None)?);
                    }
                }
                None => columns.push(arrow::compute::take(values, &taken, None)?),
            }
        }
        if self.ordinality {
            columns.push(Arc::new(counted(&found, &lengths)));
        }
        let kinds: Vec<DataType> = arrays.iter().map(|array| array.data_type().clone()).collect();
        let fields = self.fields(&kinds)?;
        let rows = StructArray::try_new_with_length(fields.clone(), columns, None, total)?;
        let item = Arc::new(Field::new("item", DataType::Struct(fields), true));
        let offsets = OffsetBuffer::from_lengths(lengths);
        Ok(ColumnarValue::Array(Arc::new(ListArray::try_new(item, offsets, Arc::new(rows), None)?)))
    }
}

/// The places of elements from 1; none where there is no element.
fn counted(found: &[usize], lengths: &[usize]) -> arrow::array::Int64Array {
    let mut counted = Int64Builder::with_capacity(lengths.iter().sum());
    for (found, length) in found.iter().zip(lengths) {
        for at in 0..*length {
            counted.append_option((at < *found).then(|| i64::try_from(at).unwrap_or(i64::MAX).saturating_add(1)));
        }
    }
    counted.finish()
}
