//! Functions whose types depend on each other's, as those of arrays and maps: a row at a time.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListArray, MapArray, StructArray, new_null_array};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, FieldRef, Fields};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::type_coercion::binary::comparison_coercion;
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::families::are_alike;
use super::simple::{anything, strictly, unexpected};

/// What arguments are to be, and what comes out; nothing where they do not fit.
pub type Plan = fn(&[DataType]) -> Option<(Vec<DataType>, DataType)>;
/// The work on values of the planned types, none of which is NULL at the places in front of `nulls`.
pub type Work = fn(&[ScalarValue], &DataType) -> Result<ScalarValue>;

/// The same of a batch at once; nothing where rows have to be looked at one by one.
pub type Whole = fn(&[ArrayRef], &DataType) -> Result<Option<ArrayRef>>;

/// A function.
#[derive(Debug)]
struct Rows {
    name: &'static str,
    usage: &'static str,
    plan: Plan,
    work: Work,
    whole: Option<Whole>,
    /// From which argument on NULL is a value like others.
    nulls: usize,
    signature: Signature,
}

/// A function that is NULL where one of its arguments in front of the place `nulls` is.
pub fn rows(name: &'static str, usage: &'static str, plan: Plan, nulls: usize, work: Work) -> ScalarUDF {
    let signature = anything(Volatility::Immutable);
    ScalarUDF::new_from_impl(Rows { name, usage, plan, work, whole: None, nulls, signature })
}

/// One that is done for a batch at once where that can be.
pub fn at_once(
    name: &'static str,
    usage: &'static str,
    plan: Plan,
    nulls: usize,
    (work, whole): (Work, Whole),
) -> ScalarUDF {
    let signature = anything(Volatility::Immutable);
    ScalarUDF::new_from_impl(Rows { name, usage, plan, work, whole: Some(whole), nulls, signature })
}

/// One that gives something else each time.
pub fn volatile_rows(name: &'static str, usage: &'static str, plan: Plan, nulls: usize, work: Work) -> ScalarUDF {
    let signature = anything(Volatility::Volatile);
    ScalarUDF::new_from_impl(Rows { name, usage, plan, work, whole: None, nulls, signature })
}

impl PartialEq for Rows {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Rows {}

impl Hash for Rows {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

fn kinds(fields: &[FieldRef]) -> Vec<DataType> {
    fields.iter().map(|field| field.data_type().clone()).collect()
}

impl ScalarUDFImpl for Rows {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, kinds: &[DataType]) -> Result<DataType> {
        let fields: Vec<FieldRef> = kinds.iter().map(|kind| Arc::new(Field::new("", kind.clone(), true))).collect();
        let planned = (self.plan)(kinds);
        Ok(planned.ok_or_else(|| unexpected(self.name, fields.iter(), &[self.usage.to_owned()]))?.1)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let planned = (self.plan)(&kinds(args.arg_fields));
        let (_, kind) =
            planned.ok_or_else(|| unexpected(self.name, args.arg_fields.iter(), &[self.usage.to_owned()]))?;
        Ok(Arc::new(Field::new(self.name, kind, true)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let planned = (self.plan)(&kinds(&args.arg_fields));
        let (due, kind) =
            planned.ok_or_else(|| unexpected(self.name, args.arg_fields.iter(), &[self.usage.to_owned()]))?;
        let constant = self.signature.volatility == Volatility::Immutable
            && args.args.iter().all(|value| matches!(value, ColumnarValue::Scalar(_)));
        let count = if constant { 1 } else { args.number_rows };
        let columns: Result<Vec<ArrayRef>> =
            args.args.iter().zip(&due).map(|(value, due)| strictly(&value.to_array(count)?, due)).collect();
        let columns = columns?;
        if let Some(whole) = self.whole.filter(|_| !constant)
            && let Some(made) = whole(&columns, &kind)?
        {
            return Ok(ColumnarValue::Array(made));
        }
        let null = ScalarValue::try_from(&kind)?;
        let mut out = Vec::with_capacity(count);
        for row in 0..count {
            if columns.iter().take(self.nulls).any(|column| column.data_type().is_null() || column.is_null(row)) {
                out.push(null.clone());
                continue;
            }
            let values: Result<Vec<ScalarValue>> =
                columns.iter().map(|column| ScalarValue::try_from_array(column, row)).collect();
            let value = (self.work)(&values?, &kind)?;
            out.push(if value.is_null() { null.clone() } else { value });
        }
        if constant && let Some(value) = out.pop() {
            return Ok(ColumnarValue::Scalar(value));
        }
        Ok(ColumnarValue::Array(array(out, &kind)?))
    }
}

/// Values as an array of the type.
pub fn array(values: Vec<ScalarValue>, kind: &DataType) -> Result<ArrayRef> {
    let array = if values.is_empty() { new_null_array(kind, 0) } else { ScalarValue::iter_to_array(values)? };
    strictly(&array, kind)
}

/// The type of an array's items; NULL is an array of whatever.
pub fn item(kind: &DataType) -> Option<&DataType> {
    match kind {
        DataType::List(item) => Some(item.data_type()),
        DataType::Null => Some(kind),
        _ => None,
    }
}

/// An array of such items.
pub fn list_of(item: &DataType) -> DataType {
    DataType::List(Arc::new(Field::new_list_field(item.clone(), true)))
}

/// A map's types.
pub fn key_and_value(kind: &DataType) -> Option<(&DataType, &DataType)> {
    let DataType::Map(entries, _) = kind else { return None };
    let DataType::Struct(fields) = entries.data_type() else { return None };
    match &fields[..] {
        [key, value] => Some((key.data_type(), value.data_type())),
        _ => None,
    }
}

/// A map of such keys to such values.
pub fn map_of(key: &DataType, value: &DataType) -> DataType {
    let fields = vec![Field::new("key", key.clone(), false), Field::new("value", value.clone(), true)];
    DataType::Map(Arc::new(Field::new("key_value", DataType::Struct(Fields::from(fields)), false)), false)
}

/// The type that both have values of.
pub fn common(left: &DataType, right: &DataType) -> Option<DataType> {
    match (left, right) {
        (DataType::Null, other) | (other, DataType::Null) => Some(other.clone()),
        _ if left == right => Some(left.clone()),
        // Trino compares texts with nothing else.
        _ if !are_alike(left, right) => None,
        _ => comparison_coercion(left, right),
    }
}

/// The items of an array.
pub fn items(value: &ScalarValue) -> Result<Vec<ScalarValue>> {
    let ScalarValue::List(list) = value else { return Ok(Vec::new()) };
    let values = list.value(0);
    (0..values.len()).map(|at| ScalarValue::try_from_array(&values, at)).collect()
}

/// An array, by its own type.
pub fn list(values: Vec<ScalarValue>, kind: &DataType) -> Result<ScalarValue> {
    let DataType::List(field) = kind else { return ScalarValue::try_from(kind) };
    let offsets = OffsetBuffer::from_lengths([values.len()]);
    let values = array(values, field.data_type())?;
    Ok(ScalarValue::List(Arc::new(ListArray::try_new(Arc::clone(field), offsets, values, None)?)))
}

/// The entries of a map.
pub fn entries(value: &ScalarValue) -> Result<Vec<(ScalarValue, ScalarValue)>> {
    let ScalarValue::Map(map) = value else { return Ok(Vec::new()) };
    let rows = map.value(0);
    let (keys, values) = (rows.column(0), rows.column(1));
    (0..rows.len())
        .map(|at| Ok((ScalarValue::try_from_array(keys, at)?, ScalarValue::try_from_array(values, at)?)))
        .collect()
}

/// A map, by its own type.
pub fn map(pairs: Vec<(ScalarValue, ScalarValue)>, kind: &DataType) -> Result<ScalarValue> {
    let DataType::Map(field, ordered) = kind else { return ScalarValue::try_from(kind) };
    let DataType::Struct(fields) = field.data_type() else { return ScalarValue::try_from(kind) };
    let count = pairs.len();
    let (keys, values): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
    let columns: Result<Vec<ArrayRef>> =
        [keys, values].into_iter().zip(fields).map(|(values, field)| array(values, field.data_type())).collect();
    let rows = StructArray::try_new(fields.clone(), columns?, None)?;
    let offsets = OffsetBuffer::from_lengths([count]);
    Ok(ScalarValue::Map(Arc::new(MapArray::try_new(Arc::clone(field), offsets, rows, None, *ordered)?)))
}

/// The fields of a row.
pub fn fields(value: &ScalarValue) -> Result<Vec<ScalarValue>> {
    let ScalarValue::Struct(row) = value else { return Ok(Vec::new()) };
    row.columns().iter().map(|column| ScalarValue::try_from_array(column, 0)).collect()
}

/// The text of a value; none for NULL.
pub fn text(value: &ScalarValue) -> Result<Option<String>> {
    if value.is_null() {
        return Ok(None);
    }
    let array = value.to_array()?;
    match array.data_type() {
        DataType::Utf8 => Ok(Some(array.as_string::<i32>().value(0).to_owned())),
        _ => Ok(Some(crate::result::text(&array, 0)?)),
    }
}

/// A whole number.
pub fn int(value: &ScalarValue) -> i64 {
    if let ScalarValue::Int64(Some(value)) = value { *value } else { 0 }
}
