//! Functions that take functions: `transform(array, x -> x + 1)`.
//!
//! Trino documentation, "Lambda expressions", "Array functions and operators", "Map functions and operators".

mod arrays;
mod closure;
mod maps;
mod reduce;
mod sort;

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListArray, MapArray, StructArray, UInt64Array, new_empty_array};
use arrow::buffer::{NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::compute::{take, take_arrays};
use arrow::datatypes::{DataType, Field, FieldRef, Fields};
use datafusion::common::{DataFusionError, Result};
use datafusion::logical_expr::{
    ColumnarValue, HigherOrderFunctionArgs, HigherOrderReturnFieldArgs, HigherOrderSignature, HigherOrderUDF,
    HigherOrderUDFImpl, LambdaArgument, LambdaParametersProgress, ValueOrLambda, Volatility,
};

use super::kind::word;
use super::rows::{list_of, map_of};
use super::simple::strictly;
use super::{argument, out_of_range};
use crate::failure::Problem;

pub use closure::close;
pub use sort::SORT;

/// What stands at a place of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    Array,
    Map,
    Any,
    Function,
}

/// The functions.
pub fn all() -> Vec<HigherOrderUDF> {
    let all = [arrays::all(), maps::all(), vec![reduce::reduce(), sort::sort()]];
    all.into_iter().flatten().map(HigherOrderUDF::new_from_impl).collect()
}

/// The arguments of a call, before they have values. What a lambda gives is known once what it takes is.
#[derive(Debug)]
pub struct Given<'a>(&'a [ValueOrLambda<FieldRef, Option<FieldRef>>]);

fn untyped() -> FieldRef {
    Arc::new(Field::new("item", DataType::Null, true))
}

fn nullable(field: &Field) -> FieldRef {
    Arc::new(field.clone().with_nullable(true))
}

impl Given<'_> {
    /// An argument that is no lambda.
    pub fn value(&self, at: usize) -> Option<FieldRef> {
        match self.0.get(at)? {
            ValueOrLambda::Value(field) => Some(nullable(field)),
            ValueOrLambda::Lambda(_) => None,
        }
    }

    /// What a lambda gives, once it is known.
    pub fn result(&self, at: usize) -> Option<FieldRef> {
        match self.0.get(at)? {
            ValueOrLambda::Lambda(field) => field.as_deref().map(nullable),
            ValueOrLambda::Value(_) => None,
        }
    }

    /// What an array has in it.
    pub fn item(&self, at: usize) -> Option<FieldRef> {
        match self.value(at)?.data_type() {
            DataType::List(item) => Some(nullable(item)),
            DataType::Null => Some(untyped()),
            _ => None,
        }
    }

    /// What a map has in it: keys and values.
    pub fn entry(&self, at: usize) -> Option<(FieldRef, FieldRef)> {
        match self.value(at)?.data_type() {
            DataType::Map(entries, _) => match entries.data_type() {
                DataType::Struct(fields) => match &fields[..] {
                    [key, value] => Some((nullable(key), nullable(value))),
                    _ => None,
                },
                _ => None,
            },
            DataType::Null => Some((untyped(), untyped())),
            _ => None,
        }
    }

    fn fit(&self, takes: &[Takes]) -> bool {
        let fits = |(at, takes): (usize, &Takes)| match takes {
            Takes::Array => self.item(at).is_some(),
            Takes::Map => self.entry(at).is_some(),
            Takes::Any => self.value(at).is_some(),
            Takes::Function => matches!(self.0.get(at), Some(ValueOrLambda::Lambda(_))),
        };
        self.0.len() == takes.len() && takes.iter().enumerate().all(fits)
    }

    fn words(&self) -> String {
        let one = |given: &ValueOrLambda<FieldRef, Option<FieldRef>>| match given {
            ValueOrLambda::Value(field) => word(field),
            ValueOrLambda::Lambda(_) => "<function>".to_owned(),
        };
        self.0.iter().map(one).collect::<Vec<_>>().join(", ")
    }
}

/// An array of such items.
pub fn array_of(item: &Field) -> DataType {
    DataType::List(Arc::new(item.clone().with_name(Field::LIST_FIELD_DEFAULT_NAME).with_nullable(true)))
}

/// A map of such entries.
pub fn entries_of(key: &Field, value: &Field) -> DataType {
    let key = key.clone().with_name("key").with_nullable(false);
    let value = value.clone().with_name("value").with_nullable(true);
    let entries = DataType::Struct(Fields::from(vec![key, value]));
    DataType::Map(Arc::new(Field::new("key_value", entries, false)), false)
}

/// Whether a lambda's result is a condition.
pub fn is_condition(field: &Field) -> bool {
    matches!(field.data_type(), DataType::Boolean | DataType::Null)
}

/// How a function is planned and done.
#[derive(Debug)]
pub struct Higher {
    pub name: &'static str,
    /// How it is called.
    pub usage: &'static str,
    pub takes: &'static [Takes],
    /// What its lambdas take, in their order; `None` where that does not fit the arguments. The number is that of the step.
    pub parameters: fn(&Given<'_>, usize) -> Option<LambdaParametersProgress>,
    /// What it gives; `None` where what the lambdas give does not fit.
    pub gives: fn(&Given<'_>) -> Option<Field>,
    pub work: fn(&Call<'_>) -> Result<ArrayRef>,
    pub signature: HigherOrderSignature,
}

/// Any arguments: what fits is looked up by ourselves, so that what does not is told in Trino's words.
pub fn anything() -> HigherOrderSignature {
    HigherOrderSignature::variadic_any(Volatility::Immutable)
}

/// Lambdas whose parameters follow from the values.
#[allow(clippy::unnecessary_wraps)] // What planning takes.
pub fn complete(parameters: Vec<Vec<FieldRef>>) -> Option<LambdaParametersProgress> {
    Some(LambdaParametersProgress::Complete(parameters))
}

impl PartialEq for Higher {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Higher {}

impl Hash for Higher {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl Higher {
    fn unexpected(&self, given: &Given<'_>) -> DataFusionError {
        let name = self.name.trim_start_matches('$');
        let words = given.words();
        let usage = self.usage;
        Problem::Statement(format!(
            "FUNCTION_NOT_FOUND: Unexpected parameters ({words}) for function {name}. Expected: {usage}"
        ))
        .into()
    }
}

impl HigherOrderUDFImpl for Higher {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &HigherOrderSignature {
        &self.signature
    }

    fn lambda_parameters(
        &self,
        step: usize,
        fields: &[ValueOrLambda<FieldRef, Option<FieldRef>>],
    ) -> Result<LambdaParametersProgress> {
        let given = Given(fields);
        let planned = if given.fit(self.takes) { (self.parameters)(&given, step) } else { None };
        planned.ok_or_else(|| self.unexpected(&given))
    }

    fn return_field_from_args(&self, args: HigherOrderReturnFieldArgs<'_>) -> Result<FieldRef> {
        let known = |field: &ValueOrLambda<FieldRef, FieldRef>| match field {
            ValueOrLambda::Value(field) => ValueOrLambda::Value(Arc::clone(field)),
            ValueOrLambda::Lambda(field) => ValueOrLambda::Lambda(Some(Arc::clone(field))),
        };
        let fields: Vec<_> = args.arg_fields.iter().map(known).collect();
        let given = Given(&fields);
        let gives = if given.fit(self.takes) { (self.gives)(&given) } else { None };
        Ok(Arc::new(gives.ok_or_else(|| self.unexpected(&given))?.with_name(self.name).with_nullable(true)))
    }

    fn clear_null_values(&self) -> bool {
        // Items behind NULL are passed over.
        false
    }

    fn invoke_with_args(&self, args: HigherOrderFunctionArgs) -> Result<ColumnarValue> {
        let made = (self.work)(&Call { args: &args })?;
        Ok(ColumnarValue::Array(strictly(&made, args.return_field.data_type())?))
    }
}

/// A call for a number of rows.
#[derive(Debug)]
pub struct Call<'a> {
    args: &'a HigherOrderFunctionArgs,
}

fn misplaced() -> DataFusionError {
    DataFusionError::Internal("a lambda where a value is due, or the other way round".to_owned())
}

impl Call<'_> {
    /// The values of an argument, one for each row.
    pub fn value(&self, at: usize) -> Result<ArrayRef> {
        match self.args.args.get(at) {
            Some(ValueOrLambda::Value(value)) => value.to_array(self.args.number_rows),
            _ => Err(misplaced()),
        }
    }

    pub fn array(&self, at: usize) -> Result<ListArray> {
        let values = self.value(at)?;
        let values = if values.data_type().is_null() { strictly(&values, &list_of(&DataType::Null))? } else { values };
        values.as_list_opt::<i32>().cloned().ok_or_else(misplaced)
    }

    pub fn map(&self, at: usize) -> Result<MapArray> {
        let values = self.value(at)?;
        let kind = map_of(&DataType::Null, &DataType::Null);
        let values = if values.data_type().is_null() { strictly(&values, &kind)? } else { values };
        values.as_map_opt().cloned().ok_or_else(misplaced)
    }

    fn lambda(&self, at: usize) -> Result<&LambdaArgument> {
        match self.args.args.get(at) {
            Some(ValueOrLambda::Lambda(lambda)) => Ok(lambda),
            _ => Err(misplaced()),
        }
    }

    /// What a value or a lambda is.
    pub fn field(&self, at: usize) -> Result<&FieldRef> {
        match self.args.arg_fields.get(at) {
            Some(ValueOrLambda::Value(field) | ValueOrLambda::Lambda(field)) => Ok(field),
            None => Err(misplaced()),
        }
    }

    pub fn gives(&self) -> &DataType {
        self.args.return_field.data_type()
    }

    /// What a lambda gives for values; `rows` are those of the call that they belong to.
    ///
    /// # Errors
    /// The lambda's own.
    pub fn apply(&self, at: usize, values: &[ArrayRef], rows: &UInt64Array) -> Result<ArrayRef> {
        let kind = self.field(at)?.data_type();
        if rows.is_empty() {
            return Ok(new_empty_array(kind));
        }
        let values: Vec<_> = values.iter().map(|values| move || Ok(Arc::clone(values))).collect();
        let values: Vec<&dyn Fn() -> Result<ArrayRef>> =
            values.iter().map(|one| one as &dyn Fn() -> Result<ArrayRef>).collect();
        let given = self.lambda(at)?.evaluate(&values, |captured| Ok(take_arrays(captured, rows, None)?))?;
        strictly(&given.into_array(rows.len())?, kind)
    }

    /// The condition that a lambda is.
    ///
    /// # Errors
    /// The lambda's own.
    pub fn test(&self, at: usize, values: &[ArrayRef], rows: &UInt64Array) -> Result<arrow::array::BooleanArray> {
        let given = self.apply(at, values, rows)?;
        Ok(strictly(&given, &DataType::Boolean)?.as_boolean().clone())
    }
}

/// The items of arrays, or the entries of maps, each with its row.
#[derive(Debug, Default)]
pub struct Items {
    /// How many each row has; none where it is NULL.
    pub lengths: Vec<usize>,
    /// The row of each.
    pub rows: Vec<u64>,
    /// Where each is.
    pub places: Vec<u64>,
}

impl Items {
    fn of(offsets: &OffsetBuffer<i32>, nulls: Option<&NullBuffer>) -> Self {
        let mut items = Self::default();
        for (row, ends) in offsets.windows(2).enumerate() {
            let is_null = nulls.is_some_and(|nulls| nulls.is_null(row));
            let (from, to) = match ends {
                [from, to] if !is_null => (u64::try_from(*from).unwrap_or(0), u64::try_from(*to).unwrap_or(0)),
                _ => (0, 0),
            };
            items.lengths.push(usize::try_from(to - from).unwrap_or(0));
            items.rows.extend((from..to).map(|_| row as u64));
            items.places.extend(from..to);
        }
        items
    }

    pub fn of_list(list: &ListArray) -> Self {
        Self::of(list.offsets(), list.nulls())
    }

    pub fn of_map(map: &MapArray) -> Self {
        Self::of(map.offsets(), map.nulls())
    }

    /// The rows, as indices.
    pub fn rows(&self) -> UInt64Array {
        UInt64Array::from(self.rows.clone())
    }

    /// The items themselves, out of what the places are in.
    pub fn taken(&self, values: &ArrayRef) -> Result<ArrayRef> {
        Ok(take(values, &UInt64Array::from(self.places.clone()), None)?)
    }
}

/// Where the items of each row end.
fn offsets(lengths: &[usize]) -> Result<OffsetBuffer<i32>> {
    let mut ends = Vec::with_capacity(lengths.len() + 1);
    let mut end = 0_usize;
    ends.push(0);
    for length in lengths {
        end = end.saturating_add(*length);
        ends.push(i32::try_from(end).map_err(|_| out_of_range("arrays of more than 2147483647 items at once"))?);
    }
    Ok(OffsetBuffer::new(ScalarBuffer::from(ends)))
}

/// Arrays of items.
pub fn lists(kind: &DataType, lengths: &[usize], items: &ArrayRef, nulls: Option<NullBuffer>) -> Result<ArrayRef> {
    let DataType::List(field) = kind else { return Err(misplaced()) };
    let items = strictly(items, field.data_type())?;
    Ok(Arc::new(ListArray::try_new(Arc::clone(field), offsets(lengths)?, items, nulls)?))
}

/// Maps of entries. Keys are there, each once.
pub fn maps(
    kind: &DataType,
    lengths: &[usize],
    (keys, values): (&ArrayRef, &ArrayRef),
    nulls: Option<NullBuffer>,
) -> Result<ArrayRef> {
    let DataType::Map(field, ordered) = kind else { return Err(misplaced()) };
    let DataType::Struct(fields) = field.data_type() else { return Err(misplaced()) };
    let [key, value] = &fields[..] else { return Err(misplaced()) };
    if keys.logical_null_count() > 0 {
        return Err(argument("map key cannot be null"));
    }
    let columns = vec![strictly(keys, key.data_type())?, strictly(values, value.data_type())?];
    let entries = StructArray::try_new(fields.clone(), columns, None)?;
    Ok(Arc::new(MapArray::try_new(Arc::clone(field), offsets(lengths)?, entries, nulls, *ordered)?))
}
