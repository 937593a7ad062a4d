//! Zones that stand in the statement, and the query's own time.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::AsArray;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, TimeUnit, TimestampMicrosecondType};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::kind::UTC;
use super::simple::{anything, strictly, unexpected};
use super::{argument, zones};
use crate::failure::Problem;

/// A function that gives a point in time on the clock of a zone that is its second argument.
#[derive(Debug, PartialEq, Eq, Hash)]
struct InZone {
    name: &'static str,
    signature: Signature,
}

fn timestamp(zone: &str) -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some(zone.into()))
}

impl ScalarUDFImpl for InZone {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _kinds: &[DataType]) -> Result<DataType> {
        Ok(timestamp(UTC))
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let [given, _] = args.arg_fields else {
            let expected = [format!("{}(timestamp with time zone, varchar)", self.name)];
            return Err(unexpected(self.name, args.arg_fields.iter(), &expected).into());
        };
        let fits = match given.data_type() {
            DataType::Timestamp(_, zone) => self.name != "with_timezone" || zone.is_none(),
            DataType::Null | DataType::Date32 => self.name != "from_unixtime_in",
            kind => kind.is_numeric() && self.name == "from_unixtime_in",
        };
        if !fits {
            let expected = [format!("{}(timestamp with time zone, varchar)", self.name)];
            return Err(unexpected(self.name, args.arg_fields.iter(), &expected).into());
        }
        let Some(Some(zone)) = args.scalar_arguments.get(1) else {
            let words = format!("NOT_SUPPORTED: {}: the zone has to be a text in the statement", self.name);
            return Err(Problem::Statement(words).into());
        };
        let zone = zone.try_as_str().flatten().unwrap_or(UTC);
        let zone = if zone.chars().next().is_some_and(|sign| "+-".contains(sign)) {
            zones::zone(zone)?.to_fixed_offset().map_or(UTC.to_owned(), |offset| zones::offset_text(offset.seconds()))
        } else {
            zones::zone(zone)?;
            zone.to_owned()
        };
        Ok(Arc::new(Field::new(self.name, timestamp(&zone), true)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let kind = args.return_field.data_type();
        let [given, _] = args.args.as_slice() else { return Err(argument(self.name)) };
        let array = given.to_array(args.number_rows)?;
        let made = match (self.name, kind) {
            ("with_timezone", DataType::Timestamp(_, Some(zone))) => {
                let zone = zones::zone(zone)?;
                let times = strictly(&array, &DataType::Timestamp(TimeUnit::Microsecond, None))?;
                let moved = times.as_primitive::<TimestampMicrosecondType>().try_unary(|micros| {
                    let shown = zones::clock(micros)?;
                    let time = zone.to_timestamp(shown).map_err(argument)?;
                    Ok::<_, datafusion::common::DataFusionError>(time.as_microsecond())
                })?;
                let moved: arrow::array::PrimitiveArray<TimestampMicrosecondType> = moved;
                cast(&moved.with_data_type(timestamp(UTC)), kind)?
            }
            ("from_unixtime_in", _) => {
                let seconds = strictly(&array, &DataType::Float64)?;
                let micros = seconds.as_primitive::<arrow::datatypes::Float64Type>();
                #[allow(clippy::cast_possible_truncation)] // A float that is too large becomes the largest number.
                let micros: arrow::array::PrimitiveArray<TimestampMicrosecondType> =
                    micros.unary(|seconds| ((seconds * 1000.0).round() as i64).saturating_mul(1000));
                cast(&micros.with_data_type(timestamp(UTC)), kind)?
            }
            // A timestamp without a zone is one in UTC, the session's zone.
            _ => strictly(&strictly(&array, &timestamp(UTC))?, kind)?,
        };
        Ok(ColumnarValue::Array(made))
    }
}

/// A function of no argument that has one value in the whole query.
#[derive(Debug)]
struct Fixed {
    name: &'static str,
    value: ScalarValue,
    signature: Signature,
}

impl PartialEq for Fixed {
    fn eq(&self, other: &Self) -> bool {
        (self.name, &self.value) == (other.name, &other.value)
    }
}

impl Eq for Fixed {}

impl Hash for Fixed {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl ScalarUDFImpl for Fixed {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _kinds: &[DataType]) -> Result<DataType> {
        Ok(self.value.data_type())
    }

    fn invoke_with_args(&self, _args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        Ok(ColumnarValue::Scalar(self.value.clone()))
    }
}

/// The names of what [`at`] gives.
pub const NOW: [&str; 8] = [
    "now",
    "current_timestamp",
    "current_date",
    "localtimestamp",
    "current_timezone",
    "current_time",
    "current_catalog",
    "current_schema",
];

/// Functions of the query's own time, in nanoseconds since 1970, and of its database.
pub fn at(now: u64, database: &str) -> Vec<ScalarUDF> {
    // Trino's have milliseconds.
    let millis = i64::try_from(now / 1_000_000).unwrap_or(i64::MAX / 1000);
    let micros = millis.saturating_mul(1000);
    let days = i32::try_from(millis.div_euclid(86_400_000)).unwrap_or(i32::MAX);
    let point = ScalarValue::TimestampMicrosecond(Some(micros), Some(UTC.into()));
    let of = |name, value| {
        ScalarUDF::new_from_impl(Fixed { name, value, signature: Signature::nullary(Volatility::Immutable) })
    };
    vec![
        of("now", point.clone()),
        of("current_timestamp", point),
        of("current_date", ScalarValue::Date32(Some(days))),
        of("localtimestamp", ScalarValue::TimestampMicrosecond(Some(micros), None)),
        of("current_catalog", ScalarValue::Utf8(Some(crate::catalog::CATALOG.to_owned()))),
        of("current_schema", ScalarValue::Utf8(Some(database.to_owned()))),
        of("current_timezone", ScalarValue::Utf8(Some(UTC.to_owned()))),
        of("current_time", ScalarValue::Time64Microsecond(Some(micros.rem_euclid(86_400_000_000)))),
    ]
}

/// The functions.
pub fn all() -> Vec<ScalarUDF> {
    let of = |name| ScalarUDF::new_from_impl(InZone { name, signature: anything(Volatility::Immutable) });
    vec![of("at_timezone"), of("with_timezone"), of("from_unixtime_in")]
}
