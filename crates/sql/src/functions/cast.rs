//! Casts as Trino does them: what cannot be cast is an error with the value in it, or NULL under `TRY_CAST`.
//!
//! Trino documentation, "Conversion functions"; "JSON functions and operators", "Cast to JSON", "Cast from JSON".

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListArray, MapArray, StructArray, new_null_array};
use arrow::compute::{CastOptions, can_cast_types, cast_with_options};
use arrow::datatypes::{DataType, Field, FieldRef, Float64Type, TimeUnit};
use datafusion::common::{DataFusionError, Result, ScalarValue};
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{
    Cast, ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::json::is_json;
use super::kind::word;
use super::named::{Named, named};
use super::simple::anything;
use super::{json_values, parse};
use crate::failure::Problem;
use crate::result;

/// The names of the functions that casts are written as, which nobody can write: value, name of the type.
pub const CAST: &str = "$cast";
pub const TRY_CAST: &str = "$try_cast";

#[derive(Debug, PartialEq, Eq, Hash)]
struct Casting {
    name: &'static str,
    is_try: bool,
    signature: Signature,
}

/// The functions.
pub fn all() -> Vec<ScalarUDF> {
    let of =
        |name, is_try| ScalarUDF::new_from_impl(Casting { name, is_try, signature: anything(Volatility::Immutable) });
    vec![of(CAST, false), of(TRY_CAST, true)]
}

fn target(scalar: Option<&ScalarValue>) -> Result<Named> {
    match scalar.and_then(|value| value.try_as_str().flatten()) {
        Some(text) => named(text),
        None => Err(Problem::Statement("SYNTAX_ERROR: a cast has the name of a type".to_owned()).into()),
    }
}

/// Whether Trino casts from one type to the other.
fn is_possible(from: &Field, to: &Field) -> bool {
    let (given, due) = (from.data_type(), to.data_type());
    if given.is_null() || given == due || is_json(from) || is_json(to) {
        return true;
    }
    let time = |kind: &DataType| matches!(kind, DataType::Timestamp(..) | DataType::Date32 | DataType::Time64(_));
    let number = |kind: &DataType| kind.is_numeric() || matches!(kind, DataType::Boolean);
    match (given, due) {
        (DataType::List(given), DataType::List(due)) => is_possible(given, due),
        (DataType::Map(given, _), DataType::Map(due, _)) => is_possible(given, due),
        (DataType::Struct(given), DataType::Struct(due)) => {
            given.len() == due.len() && given.iter().zip(due).all(|(given, due)| is_possible(given, due))
        }
        _ if due.is_string() => !given.is_nested() && !given.is_binary(),
        _ if given.is_string() => !due.is_nested(),
        _ if given.is_binary() => due.is_binary(),
        _ if number(given) => number(due),
        _ => time(given) && time(due) && can_cast_types(given, due),
    }
}

/// Whether the engine's own cast does the same, and can never fail.
fn is_the_engines(from: &Field, to: &Named) -> bool {
    let (given, due) = (from.data_type(), to.field.data_type());
    let size = |kind: &DataType| match kind {
        DataType::Int8 => 1,
        DataType::Int16 => 2,
        DataType::Int32 => 4,
        DataType::Int64 => 8,
        _ => 0,
    };
    if is_json(from) || is_json(&to.field) || to.length.is_some() {
        return false;
    }
    match (given, due) {
        _ if given == due => true,
        _ if given.is_string() && due.is_string() => true,
        (DataType::Null | DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64, DataType::Float64) => {
            true
        }
        (DataType::Float32, DataType::Float64) | (DataType::Date32, DataType::Timestamp(..)) => true,
        _ => size(given) > 0 && size(given) <= size(due),
    }
}

impl ScalarUDFImpl for Casting {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _kinds: &[DataType]) -> Result<DataType> {
        Err(DataFusionError::Internal("a cast's type stands in its argument".to_owned()))
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let to = target(args.scalar_arguments.get(1).copied().flatten())?;
        let from = args.arg_fields.first().ok_or_else(|| DataFusionError::Internal("a cast of nothing".to_owned()))?;
        if !is_possible(from, &to.field) {
            let words = format!("TYPE_MISMATCH: Cannot cast {} to {}", word(from), word(&to.field));
            return Err(Problem::Statement(words).into());
        }
        Ok(Arc::new(to.field.with_name(self.name)))
    }

    fn simplify(&self, args: Vec<Expr>, info: &SimplifyContext) -> Result<ExprSimplifyResult> {
        let [value, Expr::Literal(kind, _)] = args.as_slice() else { return Ok(ExprSimplifyResult::Original(args)) };
        let to = target(Some(kind))?;
        let from = datafusion::logical_expr::ExprSchemable::to_field(value, info.schema())?.1;
        if !is_the_engines(&from, &to) {
            return Ok(ExprSimplifyResult::Original(args));
        }
        let cast = Cast::new(Box::new(value.clone()), to.field.data_type().clone());
        Ok(ExprSimplifyResult::Simplified(Expr::Cast(cast)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [value, ColumnarValue::Scalar(kind)] = args.args.as_slice() else {
            return Err(DataFusionError::Internal("a cast to a type that changes".to_owned()));
        };
        let from = args.arg_fields.first().ok_or_else(|| DataFusionError::Internal("a cast of nothing".to_owned()))?;
        let to = target(Some(kind))?;
        let of = |array: &ArrayRef| marked(&cast(array, from, &to, self.is_try)?, to.field.data_type());
        Ok(match value {
            ColumnarValue::Array(array) => ColumnarValue::Array(of(array)?),
            ColumnarValue::Scalar(value) => ColumnarValue::Scalar(one(&of(&value.to_array()?)?)?),
        })
    }
}

/// The only value of an array, with the marks of its type.
fn one(array: &ArrayRef) -> Result<ScalarValue> {
    Ok(match array.data_type() {
        DataType::List(_) => ScalarValue::List(Arc::new(array.as_list::<i32>().clone())),
        DataType::Map(..) => ScalarValue::Map(Arc::new(array.as_map().clone())),
        DataType::Struct(_) => ScalarValue::Struct(Arc::new(array.as_struct().clone())),
        _ => ScalarValue::try_from_array(array, 0)?,
    })
}

/// The same values under the marks of a type: what is nested in them may be JSON, which is a mark of a field.
fn marked(array: &ArrayRef, due: &DataType) -> Result<ArrayRef> {
    Ok(match (array.data_type(), due) {
        (given, due) if given == due => Arc::clone(array),
        (DataType::List(_), DataType::List(item)) => {
            let list = array.as_list::<i32>();
            let values = marked(list.values(), item.data_type())?;
            Arc::new(ListArray::try_new(Arc::clone(item), list.offsets().clone(), values, list.nulls().cloned())?)
        }
        (DataType::Map(..), DataType::Map(entries, ordered)) => {
            let map = array.as_map();
            let inner: ArrayRef = Arc::new(map.entries().clone());
            let inner = marked(&inner, entries.data_type())?.as_struct().clone();
            let (offsets, nulls) = (map.offsets().clone(), map.nulls().cloned());
            Arc::new(MapArray::try_new(Arc::clone(entries), offsets, inner, nulls, *ordered)?)
        }
        (DataType::Struct(_), DataType::Struct(fields)) => {
            let row = array.as_struct();
            let columns = row.columns().iter().zip(fields);
            let columns: Result<Vec<ArrayRef>> =
                columns.map(|(column, field)| marked(column, field.data_type())).collect();
            Arc::new(StructArray::try_new(fields.clone(), columns?, row.nulls().cloned())?)
        }
        _ => Arc::clone(array),
    })
}

/// Casts values.
pub fn cast(array: &ArrayRef, from: &Field, to: &Named, is_try: bool) -> Result<ArrayRef> {
    let (given, due) = (from.data_type(), to.field.data_type());
    let by_row = |one: &dyn Fn(usize) -> Result<ScalarValue>| rows(array, due, is_try, one);
    if given.is_null() {
        return Ok(new_null_array(due, array.len()));
    }
    match (is_json(from), is_json(&to.field)) {
        (true, true) => return Ok(Arc::clone(array)),
        (true, false) => return by_row(&|row| json_values::read(text(array, row)?, &to.field)),
        (false, true) => {
            return by_row(&|row| Ok(ScalarValue::LargeUtf8(Some(json_values::write(array, row, from)?.to_string()))));
        }
        (false, false) => {}
    }
    let inner = |field: &FieldRef| Named { field: Field::clone(field), length: None, padded: false };
    match (given, due) {
        (DataType::List(item), DataType::List(due)) => {
            let list = array.as_list::<i32>();
            let values = cast(list.values(), item, &inner(due), is_try)?;
            Ok(Arc::new(ListArray::try_new(Arc::clone(due), list.offsets().clone(), values, list.nulls().cloned())?))
        }
        (DataType::Map(entries, _), DataType::Map(due, ordered)) => {
            let map = array.as_map();
            let values: ArrayRef = Arc::new(map.entries().clone());
            let values = cast(&values, entries, &inner(due), is_try)?.as_struct().clone();
            let nulls = map.nulls().cloned();
            Ok(Arc::new(MapArray::try_new(Arc::clone(due), map.offsets().clone(), values, nulls, *ordered)?))
        }
        (DataType::Struct(fields), DataType::Struct(due)) if fields.len() == due.len() => {
            let row = array.as_struct();
            let columns = row.columns().iter().zip(fields).zip(due);
            let columns: Result<Vec<ArrayRef>> =
                columns.map(|((column, from), to)| cast(column, from, &inner(to), is_try)).collect();
            Ok(Arc::new(StructArray::try_new(due.clone(), columns?, row.nulls().cloned())?))
        }
        _ if given.is_string() && due.is_string() => match to.length {
            None => engines(array, due, is_try),
            Some(length) => by_row(&|row| Ok(ScalarValue::Utf8(Some(sized(text(array, row)?, length, to.padded))))),
        },
        _ if due.is_string() => by_row(&|row| {
            let text = shown(array, row)?;
            Ok(ScalarValue::Utf8(Some(to.length.map_or(text.clone(), |length| sized(&text, length, to.padded)))))
        }),
        _ if given.is_string() && due.is_binary() => engines(array, due, is_try),
        _ if given.is_string() => by_row(&|row| parse::value(text(array, row)?, due)),
        _ if given.is_floating() && (due.is_integer() || due.is_decimal()) => {
            let doubles = engines(array, &DataType::Float64, false)?;
            by_row(&|row| parse::from_double(doubles.as_primitive::<Float64Type>().value(row), due))
        }
        (DataType::Boolean, _) if due.is_decimal() => engines(&engines(array, &DataType::Int32, is_try)?, due, is_try),
        (DataType::Decimal128(..), DataType::Boolean) => {
            engines(&engines(array, &DataType::Float64, is_try)?, due, is_try)
        }
        (DataType::Decimal128(precision, _), _) if due.is_integer() => {
            // Rounded, as the engine does between decimals.
            let whole = engines(array, &DataType::Decimal128(*precision, 0), is_try)?;
            narrowed(&whole, due, is_try)
        }
        (DataType::Timestamp(_, Some(zone)), DataType::Timestamp(_, None) | DataType::Date32 | DataType::Time64(_)) => {
            let local = local(array, zone)?;
            engines(&local, due, is_try)
        }
        _ if given.is_integer() && due.is_integer() => narrowed(array, due, is_try),
        _ => engines(array, due, is_try),
    }
}

fn engines(array: &ArrayRef, kind: &DataType, is_try: bool) -> Result<ArrayRef> {
    cast_with_options(array, kind, &CastOptions { safe: is_try, ..CastOptions::default() })
        .map_err(|error| Problem::Data(format!("INVALID_CAST_ARGUMENT: {error}")).into())
}

fn narrowed(array: &ArrayRef, kind: &DataType, is_try: bool) -> Result<ArrayRef> {
    let nulls = engines(array, kind, true)?;
    if is_try || nulls.null_count() == array.null_count() {
        return Ok(nulls);
    }
    let row = (0..array.len()).find(|row| nulls.is_null(*row) && !array.is_null(*row)).unwrap_or(0);
    let words = format!("Out of range for {}: {}", word(&Field::new("", kind.clone(), true)), shown(array, row)?);
    Err(Problem::Data(format!("INVALID_CAST_ARGUMENT: {words}")).into())
}

/// What clocks in the zone show.
fn local(array: &ArrayRef, zone: &str) -> Result<ArrayRef> {
    let micros = engines(array, &DataType::Timestamp(TimeUnit::Microsecond, Some(zone.into())), false)?;
    let zone = super::zones::zone(zone)?;
    let times = micros.as_primitive::<arrow::datatypes::TimestampMicrosecondType>();
    let times = times.try_unary(|micros| {
        let shown = super::zones::Moment::of(&super::kind::Value::Point(micros, &zone))?.shown;
        super::zones::micros(shown)
    })?;
    let times: arrow::array::TimestampMicrosecondArray = times;
    Ok(Arc::new(times.with_data_type(DataType::Timestamp(TimeUnit::Microsecond, None))))
}

fn rows(
    array: &ArrayRef,
    due: &DataType,
    is_try: bool,
    one: &dyn Fn(usize) -> Result<ScalarValue>,
) -> Result<ArrayRef> {
    if array.is_empty() {
        return Ok(new_null_array(due, 0));
    }
    let null = ScalarValue::try_from(due)?;
    let mut values = Vec::with_capacity(array.len());
    for row in 0..array.len() {
        values.push(match array.is_null(row) {
            true => null.clone(),
            false => match one(row) {
                Err(_) if is_try => null.clone(),
                value => value?,
            },
        });
    }
    ScalarValue::iter_to_array(values)
}

/// The text of a row of texts.
pub fn text(array: &ArrayRef, row: usize) -> Result<&str> {
    match array.data_type() {
        DataType::Utf8 => Ok(array.as_string::<i32>().value(row)),
        DataType::LargeUtf8 => Ok(array.as_string::<i64>().value(row)),
        DataType::Utf8View => Ok(array.as_string_view().value(row)),
        other => Err(DataFusionError::Internal(format!("{other} where texts are due"))),
    }
}

/// A value as a cast to `varchar` writes it.
fn shown(array: &ArrayRef, row: usize) -> Result<String> {
    match array.data_type() {
        DataType::Float64 => Ok(scientific(&format!("{:e}", array.as_primitive::<Float64Type>().value(row)))),
        DataType::Float32 => {
            let value = array.as_primitive::<arrow::datatypes::Float32Type>().value(row);
            Ok(scientific(&format!("{value:e}")))
        }
        _ => result::text(array, row),
    }
}

/// `1.5E0`, `0E0`, `Infinity` from Rust's shortest digits with an exponent (Trino: `DoubleOperators`).
fn scientific(shortest: &str) -> String {
    match shortest {
        "inf" => "Infinity".to_owned(),
        "-inf" => "-Infinity".to_owned(),
        "0e0" | "-0e0" => shortest.to_uppercase(),
        _ => match shortest.split_once('e') {
            Some((digits, exponent)) if digits.contains('.') => format!("{digits}E{exponent}"),
            Some((digits, exponent)) => format!("{digits}.0E{exponent}"),
            None => shortest.to_owned(),
        },
    }
}

/// At most so many characters; a `char` exactly so many.
fn sized(text: &str, length: usize, padded: bool) -> String {
    let mut cut: String = text.chars().take(length).collect();
    if padded {
        let missing = length.saturating_sub(cut.chars().count());
        cut.extend(std::iter::repeat_n(' ', missing.min(super::MAX_TEXT)));
    }
    cut
}
