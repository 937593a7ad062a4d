//! Functions of one row each, in few words: a shape, and what is done with a row.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryViewBuilder, BooleanBuilder, Float64Builder, Int64Builder, LargeStringBuilder,
    StringViewBuilder,
};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Decimal128Type, Field, FieldRef, Float32Type, Float64Type, Int64Type, IntervalMonthDayNano,
    IntervalMonthDayNanoType,
};
use datafusion::common::{DataFusionError, Result, ScalarValue};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::kinds::{Shape, word};
use crate::failure::Problem;
use crate::functions::simple::anything;

/// What patterns of LIKE are written with.
const PATTERN: &str = "$pattern";

/// What is not to be done with the values given.
pub fn bad(words: impl Into<String>) -> DataFusionError {
    DataFusionError::Execution(format!("INVALID_FUNCTION_ARGUMENT: {}", words.into()))
}

/// What does not fit its type.
pub fn out_of_range(words: impl Into<String>) -> DataFusionError {
    DataFusionError::Execution(format!("NUMERIC_VALUE_OUT_OF_RANGE: {}", words.into()))
}

/// What does something with rows.
pub type Work = fn(&Call<'_>) -> Result<ArrayRef>;

/// One way to call a function.
#[derive(Debug)]
pub struct Overload {
    /// How it is called.
    usage: String,
    shape: Shape,
    work: Work,
    volatility: Volatility,
}

/// An overload.
/// One whose shape is none has no name.
pub fn of(shape: &str, work: Work) -> Overload {
    let usage = shape.split_once(" -> ").map_or(shape, |(usage, _)| usage).to_owned();
    Overload { usage, shape: Shape::parse(shape).unwrap_or_default(), work, volatility: Volatility::Immutable }
}

/// An overload that gives something else each time.
pub fn volatile(shape: &str, work: Work) -> Overload {
    Overload { volatility: Volatility::Volatile, ..of(shape, work) }
}

/// A function: all that share a name.
#[derive(Debug)]
pub struct Simple {
    name: String,
    overloads: Vec<Overload>,
    signature: Signature,
}

impl PartialEq for Simple {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Simple {}

impl Hash for Simple {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

/// Overloads by their names.
pub fn functions(all: Vec<Overload>) -> Vec<Arc<ScalarUDF>> {
    let mut named: Vec<Simple> = Vec::new();
    for overload in all {
        match named.iter_mut().find(|known| known.name == overload.shape.name) {
            Some(known) => known.overloads.push(overload),
            None => named.push(Simple {
                name: overload.shape.name.clone(),
                signature: anything(overload.volatility),
                overloads: vec![overload],
            }),
        }
    }
    named.into_iter().map(|simple| Arc::new(ScalarUDF::new_from_impl(simple))).collect()
}

impl Simple {
    fn fit(&self, given: &[DataType]) -> Result<(&Overload, Vec<DataType>, super::kinds::Bound)> {
        let fitting = self.overloads.iter().filter_map(|overload| {
            overload.shape.fit(given).map(|(kinds, cost, bound)| (cost, overload, kinds, bound))
        });
        match fitting.min_by_key(|(cost, ..)| *cost) {
            Some((_, overload, kinds, bound)) => Ok((overload, kinds, bound)),
            None => {
                let words = given.iter().map(word).collect::<Vec<_>>().join(", ");
                if self.name == PATTERN {
                    let words = format!(
                        "TYPE_MISMATCH: Pattern for LIKE expression must evaluate to a varchar (actual: {words})"
                    );
                    return Err(Problem::Statement(words).into());
                }
                let usages: Vec<&str> = self.overloads.iter().map(|overload| overload.usage.as_str()).collect();
                Err(Problem::Statement(format!(
                    "FUNCTION_NOT_FOUND: Unexpected parameters ({words}) for function {}. Expected: {}",
                    self.name,
                    usages.join(", ")
                ))
                .into())
            }
        }
    }
}

impl ScalarUDFImpl for Simple {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, given: &[DataType]) -> Result<DataType> {
        let (overload, kinds, bound) = self.fit(given)?;
        Ok(overload.shape.gives.resolve(kinds.first(), &bound))
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let given: Vec<DataType> = args.arg_fields.iter().map(|field| field.data_type().clone()).collect();
        let (overload, kinds, bound) = self.fit(&given)?;
        let kind = overload.shape.gives.resolve(kinds.first(), &bound);
        Ok(Arc::new(Field::new(&self.name, kind, true)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let kinds: Vec<DataType> = args.args.iter().map(ColumnarValue::data_type).collect();
        let (overload, wanted, _) = self.fit(&kinds)?;
        let constant = !args.args.is_empty()
            && overload.volatility == Volatility::Immutable
            && args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let rows = if constant { 1 } else { args.number_rows };
        let each = args.args.iter().zip(&wanted).map(|(arg, kind)| {
            let (values, single) = match arg {
                ColumnarValue::Scalar(value) => (value.to_array()?, true),
                ColumnarValue::Array(values) => (Arc::clone(values), false),
            };
            let values = if values.data_type() == kind { values } else { cast(&values, kind)? };
            Ok(Argument { values, single })
        });
        let args_all = each.collect::<Result<Vec<_>>>()?;
        let call = Call { args: args_all, rows, gives: args.return_field.data_type() };
        let mut given = (overload.work)(&call)?;
        if given.data_type() != call.gives {
            given = cast(&given, call.gives)?;
        }
        if constant {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&given, 0)?));
        }
        Ok(ColumnarValue::Array(given))
    }
}

/// An argument's values.
#[derive(Debug)]
pub struct Argument {
    pub values: ArrayRef,
    /// Whether it is one value for all rows.
    pub single: bool,
}

impl Argument {
    pub fn at(&self, row: usize) -> usize {
        if self.single { 0 } else { row }
    }

    pub fn is_null(&self, row: usize) -> bool {
        self.values.data_type() == &DataType::Null || self.values.is_null(self.at(row))
    }
}

/// A call for a number of rows.
#[derive(Debug)]
pub struct Call<'a> {
    pub args: Vec<Argument>,
    pub rows: usize,
    /// What the result's type is.
    pub gives: &'a DataType,
}

/// A row of a call.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    call: &'a Call<'a>,
    /// Which.
    pub row: usize,
}

impl<'a> Row<'a> {
    pub fn is_null(&self, arg: usize) -> bool {
        self.call.args.get(arg).is_none_or(|arg| arg.is_null(self.row))
    }

    fn place(&self, arg: usize) -> (&'a dyn Array, usize) {
        let argument = &self.call.args[arg];
        (argument.values.as_ref(), argument.at(self.row))
    }

    /// Text, or JSON.
    pub fn text(&self, arg: usize) -> &'a str {
        let (values, at) = self.place(arg);
        match values.data_type() {
            DataType::LargeUtf8 => values.as_string::<i64>().value(at),
            DataType::Utf8 => values.as_string::<i32>().value(at),
            _ => values.as_string_view().value(at),
        }
    }

    pub fn bytes(&self, arg: usize) -> &'a [u8] {
        let (values, at) = self.place(arg);
        values.as_binary_view().value(at)
    }

    pub fn int(&self, arg: usize) -> i64 {
        let (values, at) = self.place(arg);
        values.as_primitive::<Int64Type>().value(at)
    }

    pub fn double(&self, arg: usize) -> f64 {
        let (values, at) = self.place(arg);
        values.as_primitive::<Float64Type>().value(at)
    }

    pub fn real(&self, arg: usize) -> f32 {
        let (values, at) = self.place(arg);
        values.as_primitive::<Float32Type>().value(at)
    }

    pub fn interval(&self, arg: usize) -> IntervalMonthDayNano {
        let (values, at) = self.place(arg);
        values.as_primitive::<IntervalMonthDayNanoType>().value(at)
    }

    pub fn decimal(&self, arg: usize) -> i128 {
        let (values, at) = self.place(arg);
        values.as_primitive::<Decimal128Type>().value(at)
    }
}

impl<'a> Call<'a> {
    pub fn len(&self) -> usize {
        self.args.len()
    }

    pub fn row(&'a self, row: usize) -> Row<'a> {
        Row { call: self, row }
    }

    pub fn kind(&self, arg: usize) -> &DataType {
        self.args.get(arg).map_or(&DataType::Null, |arg| arg.values.data_type())
    }

    /// One value for each row without NULL among its arguments, NULL for the others.
    fn each<T>(&'a self, one: impl Fn(Row<'a>) -> Result<Option<T>>, mut push: impl FnMut(Option<T>)) -> Result<()> {
        for row in 0..self.rows {
            let null = self.args.iter().any(|arg| arg.is_null(row));
            push(if null { None } else { one(self.row(row))? });
        }
        Ok(())
    }

    pub fn texts<T: AsRef<str>>(&'a self, one: impl Fn(Row<'a>) -> Result<Option<T>>) -> Result<ArrayRef> {
        if self.gives == &DataType::LargeUtf8 {
            let mut built = LargeStringBuilder::new();
            self.each(one, |value| built.append_option(value))?;
            return Ok(Arc::new(built.finish()));
        }
        let mut built = StringViewBuilder::new();
        self.each(one, |value| built.append_option(value))?;
        Ok(Arc::new(built.finish()))
    }

    pub fn blobs<T: AsRef<[u8]>>(&'a self, one: impl Fn(Row<'a>) -> Result<Option<T>>) -> Result<ArrayRef> {
        let mut built = BinaryViewBuilder::new();
        self.each(one, |value| built.append_option(value))?;
        Ok(Arc::new(built.finish()))
    }

    pub fn ints(&'a self, one: impl Fn(Row<'a>) -> Result<Option<i64>>) -> Result<ArrayRef> {
        let mut built = Int64Builder::with_capacity(self.rows);
        self.each(one, |value| built.append_option(value))?;
        Ok(Arc::new(built.finish()))
    }

    pub fn doubles(&'a self, one: impl Fn(Row<'a>) -> Result<Option<f64>>) -> Result<ArrayRef> {
        let mut built = Float64Builder::with_capacity(self.rows);
        self.each(one, |value| built.append_option(value))?;
        Ok(Arc::new(built.finish()))
    }

    pub fn flags(&'a self, one: impl Fn(Row<'a>) -> Result<Option<bool>>) -> Result<ArrayRef> {
        let mut built = BooleanBuilder::with_capacity(self.rows);
        self.each(one, |value| built.append_option(value))?;
        Ok(Arc::new(built.finish()))
    }

    /// Lists of texts.
    pub fn lists(&'a self, one: impl Fn(Row<'a>) -> Result<Option<Vec<Option<String>>>>) -> Result<ArrayRef> {
        let mut built = arrow::array::ListBuilder::new(StringViewBuilder::new());
        let mut put = |value: Option<Vec<Option<String>>>| match value {
            Some(items) => built.append_value(items),
            None => built.append_null(),
        };
        self.each(one, &mut put)?;
        Ok(Arc::new(built.finish()))
    }
}
