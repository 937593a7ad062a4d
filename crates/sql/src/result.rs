//! Rows as Athena's result files have them: every value in quotes, NULL nothing at all, nested values in Trino's words.
//!
//! Athena User Guide, "Working with query results, recent queries, and output files".

use std::fmt::Write;

use arrow::array::{
    Array, ArrayRef, AsArray, Decimal256Array, GenericListArray, MapArray, OffsetSizeTrait, RecordBatch, StructArray,
};
use arrow::datatypes::{
    DataType, Decimal128Type, Float32Type, Float64Type, IntervalMonthDayNanoType, IntervalUnit, TimeUnit,
};
use arrow::temporal_conversions::as_datetime;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::common::{DataFusionError, Result};

use crate::functions::{interval_text, shown_in};

/// Writes rows.
#[derive(Debug, Default)]
pub struct Csv {
    text: String,
}

impl Csv {
    /// Bytes that wait.
    pub fn len(&self) -> usize {
        self.text.len()
    }

    /// What was written since it was taken last.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.text).into_bytes()
    }

    /// Writes rows.
    pub fn write(&mut self, rows: &RecordBatch) -> Result<()> {
        let mut value = String::new();
        for row in 0..rows.num_rows() {
            for (at, column) in rows.columns().iter().enumerate() {
                if at > 0 {
                    self.text.push(',');
                }
                if is_null(column, row) {
                    continue;
                }
                value.clear();
                push(&mut value, column, row)?;
                self.text.push('"');
                if value.contains('"') {
                    self.text.push_str(&value.replace('"', "\"\""));
                } else {
                    self.text.push_str(&value);
                }
                self.text.push('"');
            }
            self.text.push('\n');
        }
        Ok(())
    }
}

fn is_null(column: &ArrayRef, row: usize) -> bool {
    match column.data_type() {
        DataType::Null => true,
        DataType::Dictionary(..) => column.logical_nulls().is_some_and(|nulls| nulls.is_null(row)),
        _ => column.is_null(row),
    }
}

/// The text of a value that is not NULL.
///
/// # Errors
/// It cannot be written.
pub fn text(column: &ArrayRef, row: usize) -> Result<String> {
    let mut text = String::new();
    push(&mut text, column, row)?;
    Ok(text)
}

/// A value that is not NULL.
fn push(text: &mut String, column: &ArrayRef, row: usize) -> Result<()> {
    match column.data_type() {
        DataType::Utf8 => text.push_str(column.as_string::<i32>().value(row)),
        DataType::LargeUtf8 => text.push_str(column.as_string::<i64>().value(row)),
        DataType::Utf8View => text.push_str(column.as_string_view().value(row)),
        DataType::Float32 => push_float(text, &format!("{:e}", column.as_primitive::<Float32Type>().value(row))),
        DataType::Float64 => push_float(text, &format!("{:e}", column.as_primitive::<Float64Type>().value(row))),
        DataType::Decimal128(..) => text.push_str(&column.as_primitive::<Decimal128Type>().value_as_string(row)),
        DataType::Decimal256(..) => {
            let values = column.as_any().downcast_ref::<Decimal256Array>();
            text.push_str(&values.map(|values| values.value_as_string(row)).unwrap_or_default());
        }
        DataType::Binary => push_bytes(text, column.as_binary::<i32>().value(row)),
        DataType::LargeBinary => push_bytes(text, column.as_binary::<i64>().value(row)),
        DataType::BinaryView => push_bytes(text, column.as_binary_view().value(row)),
        DataType::Timestamp(unit, zone) => push_timestamp(text, column, row, (*unit, zone.as_deref()))?,
        DataType::Interval(IntervalUnit::MonthDayNano) => {
            text.push_str(&interval_text(column.as_primitive::<IntervalMonthDayNanoType>().value(row)));
        }
        DataType::Duration(_) => {
            let kind = DataType::Interval(IntervalUnit::MonthDayNano);
            push(text, &arrow::compute::cast(&column.slice(row, 1), &kind)?, 0)?;
        }
        DataType::List(_) => push_list(text, column.as_list::<i32>(), row)?,
        DataType::LargeList(_) => push_list(text, column.as_list::<i64>(), row)?,
        DataType::Map(..) => push_map(text, column.as_map(), row)?,
        DataType::Struct(_) => push_struct(text, column.as_struct(), row)?,
        DataType::Dictionary(_, value) => push(text, &arrow::compute::cast(&column.slice(row, 1), value)?, 0)?,
        _ => {
            let options = FormatOptions::default();
            let shown = ArrayFormatter::try_new(column.as_ref(), &options)?;
            write!(text, "{}", shown.value(row)).map_err(|error| DataFusionError::Execution(error.to_string()))?;
        }
    }
    Ok(())
}

/// A floating-point number as Java writes it, from Rust's shortest digits with an exponent.
#[must_use]
pub fn float_text(shortest: &str) -> String {
    let mut text = String::new();
    push_float(&mut text, shortest);
    text
}

/// A floating-point number as Java writes it (`Double.toString`), from Rust's shortest digits with an exponent.
fn push_float(text: &mut String, shortest: &str) {
    let (sign, rest) = shortest.strip_prefix('-').map_or(("", shortest), |rest| ("-", rest));
    let Some((digits, exponent)) = rest.split_once('e') else {
        text.push_str(sign);
        text.push_str(if rest == "inf" { "Infinity" } else { "NaN" });
        return;
    };
    text.push_str(sign);
    let exponent: i32 = exponent.parse().unwrap_or_default();
    let bare: String = digits.chars().filter(char::is_ascii_digit).collect();
    if bare.bytes().all(|digit| digit == b'0') {
        text.push_str("0.0");
    } else if (-3..7).contains(&exponent) {
        push_plain(text, &bare, exponent);
    } else {
        let (first, more) = bare.split_at(1);
        text.push_str(first);
        text.push('.');
        text.push_str(if more.is_empty() { "0" } else { more });
        text.push('E');
        text.push_str(&exponent.to_string());
    }
}

fn push_plain(text: &mut String, digits: &str, exponent: i32) {
    let Ok(whole) = usize::try_from(exponent + 1) else {
        text.push_str("0.");
        text.extend(std::iter::repeat_n('0', exponent.unsigned_abs() as usize - 1));
        text.push_str(digits);
        return;
    };
    if whole == 0 {
        text.push_str("0.");
        text.push_str(digits);
    } else if digits.len() <= whole {
        text.push_str(digits);
        text.extend(std::iter::repeat_n('0', whole - digits.len()));
        text.push_str(".0");
    } else {
        let (before, after) = digits.split_at(whole);
        text.push_str(before);
        text.push('.');
        text.push_str(after);
    }
}

/// Bytes in hexadecimal, a blank between two.
fn push_bytes(text: &mut String, bytes: &[u8]) {
    for (at, byte) in bytes.iter().enumerate() {
        if at > 0 {
            text.push(' ');
        }
        // Into a string.
        let _ = write!(text, "{byte:02x}");
    }
}

fn push_timestamp(
    text: &mut String,
    column: &ArrayRef,
    row: usize,
    (unit, zone): (TimeUnit, Option<&str>),
) -> Result<()> {
    use arrow::datatypes::{TimestampMicrosecondType as Micros, TimestampMillisecondType as Millis};
    use arrow::datatypes::{TimestampNanosecondType as Nanos, TimestampSecondType as Seconds};
    let time = match unit {
        TimeUnit::Second => as_datetime::<Seconds>(column.as_primitive::<Seconds>().value(row)),
        TimeUnit::Millisecond => as_datetime::<Millis>(column.as_primitive::<Millis>().value(row)),
        TimeUnit::Microsecond => as_datetime::<Micros>(column.as_primitive::<Micros>().value(row)),
        TimeUnit::Nanosecond => as_datetime::<Nanos>(column.as_primitive::<Nanos>().value(row)),
    };
    let time = time.ok_or_else(|| DataFusionError::Execution("a timestamp is out of range".to_owned()))?;
    if let Some(zone) = zone {
        text.push_str(&shown_in(zone, time.and_utc().timestamp_micros())?);
        return Ok(());
    }
    // Into a string.
    let _ = write!(text, "{}", time.format("%Y-%m-%d %H:%M:%S%.3f"));
    Ok(())
}

/// A value in another.
fn push_inner(text: &mut String, column: &ArrayRef, row: usize) -> Result<()> {
    if is_null(column, row) {
        text.push_str("null");
        return Ok(());
    }
    push(text, column, row)
}

fn push_list<O: OffsetSizeTrait>(text: &mut String, lists: &GenericListArray<O>, row: usize) -> Result<()> {
    let list = lists.value(row);
    text.push('[');
    for at in 0..list.len() {
        if at > 0 {
            text.push_str(", ");
        }
        push_inner(text, &list, at)?;
    }
    text.push(']');
    Ok(())
}

fn push_map(text: &mut String, maps: &MapArray, row: usize) -> Result<()> {
    let entries = maps.value(row);
    let (keys, values) = (entries.column(0), entries.column(1));
    text.push('{');
    for at in 0..entries.len() {
        if at > 0 {
            text.push_str(", ");
        }
        push_inner(text, keys, at)?;
        text.push('=');
        push_inner(text, values, at)?;
    }
    text.push('}');
    Ok(())
}

fn push_struct(text: &mut String, rows: &StructArray, row: usize) -> Result<()> {
    text.push('{');
    for (at, (field, column)) in rows.fields().iter().zip(rows.columns()).enumerate() {
        if at > 0 {
            text.push_str(", ");
        }
        text.push_str(field.name());
        text.push('=');
        push_inner(text, column, row)?;
    }
    text.push('}');
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{BinaryArray, Float64Array, Int32Array, ListArray, StringArray, TimestampMicrosecondArray};
    use arrow::datatypes::Int32Type;

    use super::*;

    fn written(columns: Vec<(&str, ArrayRef)>) -> String {
        let mut csv = Csv::default();
        csv.write(&RecordBatch::try_from_iter(columns).unwrap()).unwrap();
        String::from_utf8(csv.take()).unwrap()
    }

    #[test]
    fn null_is_nothing_and_an_empty_text_is_not() {
        let texts: ArrayRef = Arc::new(StringArray::from(vec![Some("a \"b\""), None, Some("")]));
        let numbers: ArrayRef = Arc::new(Int32Array::from(vec![None, Some(-7), Some(0)]));
        assert_eq!(written(vec![("t", texts), ("n", numbers)]), "\"a \"\"b\"\"\",\n,\"-7\"\n\"\",\"0\"\n");
    }

    #[test]
    fn numbers_as_java_writes_them() {
        for (number, text) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (123.456, "123.456"),
            (0.001, "0.001"),
            (0.012, "0.012"),
            (0.5, "0.5"),
            (0.000_9, "9.0E-4"),
            (9_999_999.0, "9999999.0"),
            (1e7, "1.0E7"),
            (1.25e-10, "1.25E-10"),
            (-1.5e300, "-1.5E300"),
            (f64::INFINITY, "Infinity"),
            (f64::NEG_INFINITY, "-Infinity"),
            (f64::NAN, "NaN"),
        ] {
            let column: ArrayRef = Arc::new(Float64Array::from(vec![number]));
            assert_eq!(written(vec![("n", column)]), format!("\"{text}\"\n"));
        }
    }

    #[test]
    fn nested_values_times_and_bytes() {
        let lists = ListArray::from_iter_primitive::<Int32Type, _, _>(vec![Some(vec![Some(1), None, Some(3)])]);
        assert_eq!(written(vec![("l", Arc::new(lists))]), "\"[1, null, 3]\"\n");
        let times = TimestampMicrosecondArray::from(vec![1_546_300_800_123_000]);
        assert_eq!(written(vec![("t", Arc::new(times))]), "\"2019-01-01 00:00:00.123\"\n");
        let bytes = BinaryArray::from(vec![&b"hi"[..]]);
        assert_eq!(written(vec![("b", Arc::new(bytes))]), "\"68 69\"\n");
    }
}
