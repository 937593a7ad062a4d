//! Functions of one row's values: what they take and give as a table, their work as a plain function.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field, FieldRef, TimeUnit};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature, Volatility,
};

use super::kind::{Cells, Gathered, Kind, Out, Value};
use crate::failure::Problem;

/// The work: values none of which is NULL.
pub type Work = fn(&[Value<'_>]) -> Result<Out>;

/// One way to call a function.
#[derive(Clone, Copy, Debug)]
pub struct Form {
    /// What it takes.
    pub takes: &'static [Kind],
    /// What it gives.
    pub gives: Kind,
    /// How.
    pub work: Work,
}

/// A form.
pub const fn form(takes: &'static [Kind], gives: Kind, work: Work) -> Form {
    Form { takes, gives, work }
}

/// A function whose value is NULL where one of its arguments is.
#[derive(Debug)]
pub struct Simple {
    name: &'static str,
    forms: &'static [Form],
    signature: Signature,
}

/// Any number of arguments of any type: what fits is looked up by ourselves, so that what does not is told in Trino's words.
pub fn anything(volatility: Volatility) -> Signature {
    Signature::new(TypeSignature::OneOf(vec![TypeSignature::VariadicAny, TypeSignature::Nullary]), volatility)
}

/// A function.
pub fn simple(name: &'static str, forms: &'static [Form]) -> ScalarUDF {
    ScalarUDF::new_from_impl(Simple { name, forms, signature: anything(Volatility::Immutable) })
}

/// A function by its forms: `function!("name", [Text, Bigint] => Text, work; ...)`.
macro_rules! function {
    ($name:expr, $([$($takes:ident),*] => $gives:ident, $work:expr);+ $(;)?) => {{
        use $crate::functions::kind::Kind;
        const FORMS: &[$crate::functions::simple::Form] = &[
            $($crate::functions::simple::form(&[$(Kind::$takes),*], Kind::$gives, $work)),+
        ];
        $crate::functions::simple::simple($name, FORMS)
    }};
}
pub(crate) use function;

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

/// What a call fails with whose arguments fit nothing.
pub fn unexpected<'a>(name: &str, given: impl Iterator<Item = &'a FieldRef>, expected: &[String]) -> Problem {
    let given: Vec<String> = given.map(|field| super::kind::word(field)).collect();
    Problem::Statement(format!(
        "FUNCTION_NOT_FOUND: Unexpected parameters ({}) for function {name}. Expected: {}",
        given.join(", "),
        expected.join(", ")
    ))
}

impl Simple {
    fn pick(&self, fields: &[FieldRef]) -> Result<&Form> {
        let cost = |form: &&Form| -> Option<u32> {
            if form.takes.len() != fields.len() {
                return None;
            }
            form.takes.iter().zip(fields).map(|(kind, field)| kind.cost(field)).sum()
        };
        let best = self.forms.iter().filter_map(|form| cost(&form).map(|cost| (cost, form))).min_by_key(|pair| pair.0);
        best.map(|(_, form)| form).ok_or_else(|| {
            let shown = |form: &Form| {
                let kinds: Vec<&str> = form.takes.iter().map(|kind| kind.word()).collect();
                format!("{}({})", self.name, kinds.join(", "))
            };
            let expected: Vec<String> = self.forms.iter().map(shown).collect();
            unexpected(self.name, fields.iter(), &expected).into()
        })
    }
}

/// A cast that fails rather than gives NULL.
pub fn strictly(array: &ArrayRef, kind: &DataType) -> Result<ArrayRef> {
    if array.data_type() == kind {
        return Ok(Arc::clone(array));
    }
    Ok(cast_with_options(array, kind, &CastOptions { safe: false, ..CastOptions::default() })?)
}

impl ScalarUDFImpl for Simple {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, kinds: &[DataType]) -> Result<DataType> {
        let fields: Vec<FieldRef> = kinds.iter().map(|kind| Arc::new(Field::new("", kind.clone(), true))).collect();
        Ok(self.pick(&fields)?.gives.arrow())
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let gives = self.pick(args.arg_fields)?.gives;
        let zoned = |field: &&FieldRef| matches!(field.data_type(), DataType::Timestamp(_, Some(_)));
        match args.arg_fields.iter().find(zoned).map(|field| field.data_type()) {
            // A point in time stays on the clock that it comes from.
            Some(DataType::Timestamp(_, zone)) if gives == Kind::Zoned => {
                let kind = DataType::Timestamp(TimeUnit::Microsecond, zone.clone());
                Ok(Arc::new(Field::new(self.name, kind, true)))
            }
            _ => Ok(gives.field(self.name)),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let form = self.pick(&args.arg_fields)?;
        let constant = args.args.iter().all(|value| matches!(value, ColumnarValue::Scalar(_)))
            && self.signature.volatility == Volatility::Immutable;
        let mut columns = Vec::with_capacity(args.args.len());
        for (value, kind) in args.args.iter().zip(form.takes) {
            let (array, one) = match value {
                ColumnarValue::Array(array) => (Arc::clone(array), false),
                ColumnarValue::Scalar(value) => (value.to_array()?, true),
            };
            columns.push(Cells::new(&strictly(&array, &kind.arrow())?, *kind, array.data_type(), one)?);
        }
        let rows = if constant { 1 } else { args.number_rows };
        let mut gathered = Gathered::new(form.gives, rows);
        let mut values = Vec::with_capacity(columns.len());
        for row in 0..rows {
            values.clear();
            values.extend(columns.iter().map_while(|column| column.value(row)));
            gathered.push(if values.len() < columns.len() { Out::Null } else { (form.work)(&values)? });
        }
        let array = strictly(&gathered.finish()?, args.return_field.data_type())?;
        if constant {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&array, 0)?));
        }
        Ok(ColumnarValue::Array(array))
    }
}
