//! Which of two intervals is longer.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array};
use arrow::datatypes::{DataType, DurationMicrosecondType, IntervalMonthDayNanoType, IntervalUnit, TimeUnit};
use datafusion::common::{DataFusionError, Result};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

use super::simple::{anything, strictly};
use crate::failure::Problem;

const NANOS_OF_DAY: i128 = 86_400_000_000_000;

/// -1, 0 or 1, as the first interval is shorter than the second, as long, or longer.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Spans(Signature);

/// The function.
pub fn spans() -> ScalarUDF {
    ScalarUDF::new_from_impl(Spans(anything(Volatility::Immutable)))
}

/// Months, and nanoseconds besides.
type Span = (i64, i128);

fn values(array: &ArrayRef) -> Result<Vec<Option<Span>>> {
    if matches!(array.data_type(), DataType::Duration(_)) {
        let micros = strictly(array, &DataType::Duration(TimeUnit::Microsecond))?;
        let span = |micros: i64| (0, i128::from(micros) * 1000);
        return Ok(micros.as_primitive::<DurationMicrosecondType>().iter().map(|one| one.map(span)).collect());
    }
    let intervals = strictly(array, &DataType::Interval(IntervalUnit::MonthDayNano))?;
    let intervals = intervals.as_primitive::<IntervalMonthDayNanoType>();
    let span = |one: arrow::datatypes::IntervalMonthDayNano| {
        (i64::from(one.months), i128::from(one.days) * NANOS_OF_DAY + i128::from(one.nanoseconds))
    };
    Ok(intervals.iter().map(|one| one.map(span)).collect())
}

/// Trino has two types: of months, and of days and less.
fn order(left: Span, right: Span) -> Result<i64> {
    let order = match (left, right) {
        ((0, left), (0, right)) => left.cmp(&right),
        ((left, 0), (right, 0)) => left.cmp(&right),
        _ => {
            let words = "TYPE_MISMATCH: Cannot compare interval year to month and interval day to second".to_owned();
            return Err(Problem::Statement(words).into());
        }
    };
    Ok(match order {
        Ordering::Less => -1,
        Ordering::Equal => 0,
        Ordering::Greater => 1,
    })
}

impl ScalarUDFImpl for Spans {
    fn name(&self) -> &'static str {
        "$spans"
    }

    fn signature(&self) -> &Signature {
        &self.0
    }

    fn return_type(&self, _kinds: &[DataType]) -> Result<DataType> {
        Ok(DataType::Int64)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [left, right] = args.args.as_slice() else {
            return Err(DataFusionError::Internal("an order of two intervals".to_owned()));
        };
        let (left, right) = (values(&left.to_array(args.number_rows)?)?, values(&right.to_array(args.number_rows)?)?);
        let compared = left.into_iter().zip(right).map(|pair| match pair {
            (Some(left), Some(right)) => order(left, right).map(Some),
            _ => Ok(None),
        });
        Ok(ColumnarValue::Array(Arc::new(compared.collect::<Result<Int64Array>>()?)))
    }
}
