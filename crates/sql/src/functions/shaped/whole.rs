//! Whole numbers, of whatever size.

use arrow::array::{Array, ArrayRef, AsArray, Int64Builder};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use datafusion::common::Result;

use super::call::{Call, out_of_range};
use super::kinds::word;

/// Whole numbers of each row as one, which is to fit the result's type.
pub fn whole(call: &Call<'_>, one: impl Fn(&[i64]) -> Result<i64>) -> Result<ArrayRef> {
    let wide = call.args.iter().map(|arg| Ok(cast(&arg.values, &DataType::Int64)?)).collect::<Result<Vec<_>>>()?;
    let wide: Vec<_> = wide.iter().map(|values| values.as_primitive::<Int64Type>()).collect();
    let (least, most) = match call.gives {
        DataType::Int8 => (i8::MIN.into(), i8::MAX.into()),
        DataType::Int16 => (i16::MIN.into(), i16::MAX.into()),
        DataType::Int32 => (i32::MIN.into(), i32::MAX.into()),
        _ => (i64::MIN, i64::MAX),
    };
    let mut built = Int64Builder::with_capacity(call.rows);
    let mut values = vec![0; wide.len()];
    'rows: for row in 0..call.rows {
        for (at, column) in wide.iter().enumerate() {
            let place = call.args[at].at(row);
            if column.is_null(place) {
                built.append_null();
                continue 'rows;
            }
            values[at] = column.value(place);
        }
        let value = one(&values)?;
        if value < least || value > most {
            return Err(out_of_range(format!("{value} is no {}", word(call.gives))));
        }
        built.append_value(value);
    }
    Ok(cast(&built.finish(), call.gives)?)
}
