//! Operators that fail, and nothing is compared across types.
//!
//! Trino documentation, "Mathematical functions and operators", "Comparison functions and operators".

use arrow::datatypes::DataType;
use datafusion::common::{DFSchema, DataFusionError, Result};
use datafusion::functions_nested::expr_fn::{array_append, array_concat, array_prepend};
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr, RawFieldAccessExpr};
use datafusion::logical_expr::{Expr, ExprSchemable, GetFieldAccess, lit, when};
use datafusion::sql::sqlparser::ast::BinaryOperator;

use super::arithmetic;
use super::families::{Family, are_alike, family};
use super::kind::word;
use crate::failure::Problem;

/// Plans operators.
#[derive(Debug)]
pub struct Operators;

fn call(name: &str, arguments: Vec<Expr>) -> Result<Expr> {
    let function = super::scalar(name).ok_or_else(|| DataFusionError::Internal(format!("no function {name}")))?;
    Ok(function.call(arguments))
}

fn mismatch(left: &DataType, op: &BinaryOperator, right: &DataType) -> DataFusionError {
    let word = |kind: &DataType| word(&arrow::datatypes::Field::new("", kind.clone(), true));
    let words = format!("TYPE_MISMATCH: Cannot apply operator: {} {op} {}", word(left), word(right));
    Problem::Statement(words).into()
}

/// Whether the engine's operator does what Trino's does, where there is none of our own.
fn is_engines(function: &str, left: &DataType, right: &DataType) -> bool {
    let is_sum = matches!(function, "$plus" | "$minus");
    match (family(left), family(right)) {
        (Some(Family::Number), Some(Family::Number)) => true,
        (Some(Family::Interval), Some(Family::Interval)) => is_sum,
        (Some(Family::Moment), Some(Family::Interval)) => is_sum,
        (Some(Family::Interval), Some(Family::Moment)) => function == "$plus",
        (Some(one), None) | (None, Some(one)) => {
            matches!(one, Family::Number | Family::Interval | Family::Moment)
        }
        (None, None) => true,
        _ => false,
    }
}

/// Intervals have an order of their own; NULLs within arrays and rows leave their equality open.
fn comparison(expr: RawBinaryExpr, left: &DataType, right: &DataType) -> Result<PlannerResult<RawBinaryExpr>> {
    match (family(left), family(right)) {
        (Some(Family::Interval), Some(Family::Interval)) => {
            let order = call("$spans", vec![expr.left, expr.right])?;
            Ok(PlannerResult::Original(RawBinaryExpr { op: expr.op, left: order, right: lit(0_i64) }))
        }
        (Some(Family::Array | Family::Row), Some(Family::Array | Family::Row))
            if matches!(expr.op, BinaryOperator::Eq | BinaryOperator::NotEq) =>
        {
            let same = call("$same", vec![expr.left, expr.right])?;
            let is_same = expr.op == BinaryOperator::Eq;
            Ok(PlannerResult::Planned(if is_same { same } else { Expr::Not(Box::new(same)) }))
        }
        (Some(Family::Map), Some(Family::Map)) => {
            let words = "NOT_SUPPORTED: maps are not compared: compare their keys and values".to_owned();
            Err(Problem::Statement(words).into())
        }
        _ => Ok(PlannerResult::Original(expr)),
    }
}

fn is_array(kind: &DataType) -> bool {
    matches!(kind, DataType::List(_))
}

/// Arrays one behind the other, or an array and an element; NULL where an array is NULL, which the engine takes for an empty one.
fn joined(expr: RawBinaryExpr, left: &DataType, right: &DataType) -> Result<Expr> {
    let (one, other) = (expr.left, expr.right);
    let known = |array: &Expr| array.clone().is_not_null();
    let (is_known, both) = match (is_array(left), is_array(right)) {
        (true, true) => (known(&one).and(known(&other)), array_concat(vec![one, other])),
        (true, false) => (known(&one), array_append(one, other)),
        _ => (known(&other), array_prepend(one, other)),
    };
    when(is_known, both).end()
}

impl ExprPlanner for Operators {
    fn plan_binary_op(&self, expr: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        let (left, right) = (expr.left.get_type(schema)?, expr.right.get_type(schema)?);
        let function = match &expr.op {
            BinaryOperator::Plus => "$plus",
            BinaryOperator::Minus => "$minus",
            BinaryOperator::Multiply => "$times",
            BinaryOperator::Divide => "$divide",
            BinaryOperator::Modulo => "$modulo",
            _ => "",
        };
        let compared = matches!(
            expr.op,
            BinaryOperator::Eq
                | BinaryOperator::NotEq
                | BinaryOperator::Lt
                | BinaryOperator::LtEq
                | BinaryOperator::Gt
                | BinaryOperator::GtEq
        );
        let unlike_texts = left.is_string() != right.is_string() && !left.is_null() && !right.is_null();
        let joins_arrays = expr.op == BinaryOperator::StringConcat && (is_array(&left) || is_array(&right));
        let refused = match expr.op {
            BinaryOperator::StringConcat if joins_arrays => false,
            BinaryOperator::StringConcat => {
                unlike_texts || [&left, &right].into_iter().any(|kind| family(kind) == Some(Family::Json))
            }
            _ if compared => unlike_texts || !are_alike(&left, &right),
            _ => false,
        };
        if refused {
            return Err(mismatch(&left, &expr.op, &right));
        }
        if compared {
            return comparison(expr, &left, &right);
        }
        if joins_arrays {
            return joined(expr, &left, &right).map(PlannerResult::Planned);
        }
        if function.is_empty() {
            return Ok(PlannerResult::Original(expr));
        }
        if arithmetic::result(function, &left, &right).is_some() {
            return Ok(PlannerResult::Planned(call(function, vec![expr.left, expr.right])?));
        }
        if !is_engines(function, &left, &right) {
            return Err(mismatch(&left, &expr.op, &right));
        }
        Ok(PlannerResult::Original(expr))
    }

    fn plan_field_access(
        &self,
        expr: RawFieldAccessExpr,
        schema: &DFSchema,
    ) -> Result<PlannerResult<RawFieldAccessExpr>> {
        let kind = expr.expr.get_type(schema)?;
        let key = match &expr.field_access {
            GetFieldAccess::ListIndex { key } if matches!(kind, DataType::List(_) | DataType::Map(..)) => {
                (**key).clone()
            }
            GetFieldAccess::NamedStructField { name } if matches!(kind, DataType::Map(..)) => lit(name.clone()),
            _ => return Ok(PlannerResult::Original(expr)),
        };
        Ok(PlannerResult::Planned(call("$subscript", vec![expr.expr, key])?))
    }
}
