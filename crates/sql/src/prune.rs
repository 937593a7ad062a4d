//! Which partitions of a table a query reads.

use std::sync::Arc;

use arrow::array::{Array, BooleanArray, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{Schema, SchemaRef};
use datafusion::catalog::Session;
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator};
use millpond_hive::types::Type;

/// Whether a condition is about partition keys alone.
fn is_of_keys(filter: &Expr, keys: &SchemaRef) -> bool {
    let columns = filter.column_refs();
    !columns.is_empty() && columns.iter().all(|column| keys.field_with_name(&column.name).is_ok())
}

/// The conditions that are about partition keys alone.
pub fn of_keys(filters: &[Expr], keys: &SchemaRef) -> Vec<Expr> {
    filters.iter().filter(|filter| is_of_keys(filter, keys)).cloned().collect()
}

/// GetPartitions' `Expression`: what it can say of the conditions. The rest is for [`kept`].
pub fn expression(filters: &[Expr], keys: &[(String, Type)]) -> String {
    let said: Vec<String> = filters.iter().filter_map(|filter| said(filter, keys)).collect();
    said.join(" AND ")
}

fn said(filter: &Expr, keys: &[(String, Type)]) -> Option<String> {
    match filter {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => {
            match (said(left, keys), said(right, keys)) {
                (Some(left), Some(right)) => Some(format!("{left} AND {right}")),
                (one, other) => one.or(other),
            }
        }
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            let word = match op {
                Operator::Eq => "=",
                Operator::Lt => "<",
                Operator::LtEq => "<=",
                Operator::Gt => ">",
                Operator::GtEq => ">=",
                _ => return None,
            };
            Some(format!("{} {word} {}", key(left, keys)?, literal(right, left, keys)?))
        }
        Expr::InList(InList { expr, list, negated: false }) => {
            let values: Option<Vec<String>> = list.iter().map(|value| literal(value, expr, keys)).collect();
            Some(format!("{} IN ({})", key(expr, keys)?, values?.join(", ")))
        }
        _ => None,
    }
}

fn key<'a>(expr: &'a Expr, keys: &[(String, Type)]) -> Option<&'a str> {
    let Expr::Column(column) = expr else { return None };
    // Names with other characters would have to be quoted, which the expression's language has no way for.
    let plain = column.name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    (plain && keys.iter().any(|(name, _)| *name == column.name)).then_some(column.name.as_str())
}

/// A literal of the key's own type; comparisons across types mean different things here and there.
fn literal(value: &Expr, of: &Expr, keys: &[(String, Type)]) -> Option<String> {
    let (Expr::Literal(value, _), Expr::Column(column)) = (value, of) else { return None };
    let (_, kind) = keys.iter().find(|(name, _)| *name == column.name)?;
    match (kind, value) {
        (
            Type::String | Type::Varchar(_),
            ScalarValue::Utf8(Some(text)) | ScalarValue::Utf8View(Some(text)) | ScalarValue::LargeUtf8(Some(text)),
        ) => Some(format!("'{}'", text.replace('\'', "''"))),
        (Type::Int, ScalarValue::Int32(Some(number))) => Some(number.to_string()),
        (Type::BigInt, ScalarValue::Int64(Some(number))) => Some(number.to_string()),
        _ => None,
    }
}

/// Which of the partitions all conditions hold for. `columns` has the values of the keys, a row a partition.
pub fn kept(session: &dyn Session, filters: &[Expr], columns: &RecordBatch) -> Result<Vec<bool>> {
    let schema = DFSchema::try_from(Schema::clone(&columns.schema()))?;
    let mut keep = vec![true; columns.num_rows()];
    for filter in filters {
        let filter = session.create_physical_expr(filter.clone(), &schema)?;
        let holds = filter.evaluate(columns)?.into_array(columns.num_rows())?;
        let holds = arrow::compute::cast(&holds, &arrow::datatypes::DataType::Boolean)?;
        let Some(holds) = holds.as_any().downcast_ref::<BooleanArray>() else { continue };
        for (keep, holds) in keep.iter_mut().zip(holds.iter()) {
            *keep &= holds == Some(true);
        }
    }
    Ok(keep)
}

/// The values of partitions, a row each.
pub fn batch(keys: &SchemaRef, values: &[Vec<ScalarValue>]) -> Result<RecordBatch> {
    let columns: Result<Vec<_>> = (0..keys.fields().len())
        .map(|at| ScalarValue::iter_to_array(values.iter().filter_map(|row| row.get(at)).cloned()))
        .collect();
    let options = RecordBatchOptions::new().with_row_count(Some(values.len()));
    Ok(RecordBatch::try_new_with_options(Arc::clone(keys), columns?, &options)?)
}
