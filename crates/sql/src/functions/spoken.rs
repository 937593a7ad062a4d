//! `typeof(x)`: types in Trino's words.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::json::is_json;
use super::shaped::kinds;
use super::simple::{anything, unexpected};

/// A type in full.
fn word(field: &Field) -> String {
    match field.data_type() {
        _ if is_json(field) => "json".to_owned(),
        DataType::LargeUtf8 => "varchar".to_owned(),
        DataType::List(item) => format!("array({})", word(item)),
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(fields) => {
                format!("map({})", fields.iter().map(|field| word(field)).collect::<Vec<_>>().join(", "))
            }
            _ => "map".to_owned(),
        },
        DataType::Struct(fields) => {
            let one = |(at, field): (usize, &FieldRef)| {
                // A field that has no name has one of the engine's.
                if *field.name() == format!("field{at}") {
                    word(field)
                } else {
                    format!("{} {}", field.name(), word(field))
                }
            };
            format!("row({})", fields.iter().enumerate().map(one).collect::<Vec<_>>().join(", "))
        }
        kind => kinds::word(kind),
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct TypeOf {
    signature: Signature,
}

impl ScalarUDFImpl for TypeOf {
    fn name(&self) -> &'static str {
        "typeof"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _kinds: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        if args.arg_fields.len() != 1 {
            return Err(unexpected("typeof", args.arg_fields.iter(), &["typeof(T)".to_owned()]).into());
        }
        Ok(Arc::new(Field::new("typeof", DataType::Utf8, false)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let kind = args.arg_fields.first().map(|field| word(field)).unwrap_or_default();
        Ok(ColumnarValue::Scalar(ScalarValue::Utf8(Some(kind))))
    }
}

/// The function.
pub fn all() -> Vec<ScalarUDF> {
    vec![ScalarUDF::new_from_impl(TypeOf { signature: anything(Volatility::Immutable) })]
}
