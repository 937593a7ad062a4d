//! `try(x)`, which is x, or NULL where x fails.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, new_null_array};
use arrow::compute::concat;
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{DataFusionError, Result};
use datafusion::logical_expr::{
    ColumnarValue, HigherOrderFunctionArgs, HigherOrderReturnFieldArgs, HigherOrderSignature, HigherOrderUDF,
    HigherOrderUDFImpl, LambdaArgument, LambdaParametersProgress, ValueOrLambda, Volatility,
};

use crate::failure::Problem;

/// `try(NULL, nothing -> x)`, into which `try(x)` is written.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Attempt {
    signature: HigherOrderSignature,
}

pub fn attempt() -> HigherOrderUDF {
    let takes = vec![ValueOrLambda::Value(()), ValueOrLambda::Lambda(())];
    HigherOrderUDF::new_from_impl(Attempt { signature: HigherOrderSignature::exact(takes, Volatility::Immutable) })
}

fn lambda<V, L>(args: &[ValueOrLambda<V, L>]) -> Result<(&V, &L)> {
    match args {
        [ValueOrLambda::Value(value), ValueOrLambda::Lambda(lambda)] => Ok((value, lambda)),
        _ => Err(Problem::Statement("SYNTAX_ERROR: try takes one expression".to_owned()).into()),
    }
}

/// Whether NULL may stand for what a failure is about: what Trino lists under `try`.
fn is_forgiven(error: &DataFusionError) -> bool {
    !matches!(error.find_root(), DataFusionError::ResourcesExhausted(_) | DataFusionError::Internal(_))
}

/// Rows `from..from + count`: all at once where none fails, in halves where one does.
fn rows(
    body: &LambdaArgument,
    nothing: &ArrayRef,
    from: usize,
    count: usize,
    into: &mut Vec<ArrayRef>,
    field: &Field,
) -> Result<()> {
    let part = nothing.slice(from, count);
    let captured = |arrays: &[ArrayRef]| Ok(arrays.iter().map(|array| array.slice(from, count)).collect());
    let given = body.evaluate(&[&|| Ok(Arc::clone(&part))], captured).and_then(|value| value.into_array(count));
    match given {
        Ok(array) => into.push(array),
        Err(error) if !is_forgiven(&error) => return Err(error),
        Err(_) if count <= 1 => into.push(new_null_array(field.data_type(), count)),
        Err(_) => {
            let half = count / 2;
            rows(body, nothing, from, half, into, field)?;
            rows(body, nothing, from + half, count - half, into, field)?;
        }
    }
    Ok(())
}

impl HigherOrderUDFImpl for Attempt {
    fn name(&self) -> &'static str {
        "try"
    }

    fn signature(&self) -> &HigherOrderSignature {
        &self.signature
    }

    /// What is computed once for all of a row's expressions must not be what may fail.
    fn short_circuits(&self) -> bool {
        true
    }

    fn coerce_value_types(&self, kinds: &[DataType]) -> Result<Vec<DataType>> {
        Ok(kinds.to_vec())
    }

    fn lambda_parameters(
        &self,
        _step: usize,
        fields: &[ValueOrLambda<FieldRef, Option<FieldRef>>],
    ) -> Result<LambdaParametersProgress> {
        let (nothing, _) = lambda(fields)?;
        Ok(LambdaParametersProgress::Complete(vec![vec![Arc::clone(nothing)]]))
    }

    fn return_field_from_args(&self, args: HigherOrderReturnFieldArgs<'_>) -> Result<FieldRef> {
        let (_, body) = lambda(args.arg_fields)?;
        Ok(Arc::new(Field::clone(body).with_nullable(true)))
    }

    fn invoke_with_args(&self, args: HigherOrderFunctionArgs) -> Result<ColumnarValue> {
        let (nothing, body) = lambda(&args.args)?;
        let nothing = nothing.to_array(args.number_rows)?;
        let mut parts = Vec::new();
        if nothing.is_empty() {
            return Ok(ColumnarValue::Array(new_null_array(args.return_field.data_type(), 0)));
        }
        rows(body, &nothing, 0, nothing.len(), &mut parts, &args.return_field)?;
        let parts: Vec<&dyn Array> = parts.iter().map(AsRef::as_ref).collect();
        Ok(ColumnarValue::Array(concat(&parts)?))
    }
}
