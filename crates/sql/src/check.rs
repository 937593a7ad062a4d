//! Types that do not go together: the engine would make texts of numbers, Trino refuses.

use arrow::datatypes::{DataType, Field};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan};

use crate::failure::Problem;
use crate::types::described;

/// Types that become one another by themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// NULL goes with all.
    Null,
    /// Whole numbers, decimals, doubles.
    Number,
    /// Texts.
    Text,
    /// Dates and timestamps.
    Instant,
    /// All others go with their own kind alone.
    Own(&'static str),
}

/// The family of a type.
pub fn family(kind: &DataType) -> Family {
    match kind {
        DataType::Null => Family::Null,
        DataType::Dictionary(_, value) => family(value),
        DataType::Date32 | DataType::Date64 | DataType::Timestamp(..) => Family::Instant,
        DataType::Boolean => Family::Own("boolean"),
        DataType::Time32(_) | DataType::Time64(_) => Family::Own("time"),
        DataType::Duration(_) | DataType::Interval(_) => Family::Own("interval"),
        DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..) => Family::Own("array"),
        DataType::Map(..) => Family::Own("map"),
        DataType::Struct(_) => Family::Own("row"),
        kind if kind.is_numeric() => Family::Number,
        kind if kind.is_string() => Family::Text,
        kind if kind.is_binary() => Family::Own("varbinary"),
        _ => Family::Own("unknown"),
    }
}

/// Whether values of the types may be compared, or stand in one column.
pub fn go_together(left: &DataType, right: &DataType) -> bool {
    let (left, right) = (family(left), family(right));
    left == right || left == Family::Null || right == Family::Null
}

fn word(kind: &DataType) -> String {
    described(&Field::new("", kind.clone(), true)).kind
}

fn mismatch<T>(words: String) -> Result<T> {
    Err(Problem::Statement(format!("TYPE_MISMATCH: {words}")).into())
}

/// Looks through a plan before the engine makes its types fit.
///
/// # Errors
/// Types do not go together; the error names them.
pub fn types(plan: &LogicalPlan) -> Result<()> {
    let visited = plan.apply_with_subqueries(|node| {
        if let LogicalPlan::Union(union) = node {
            united(union.inputs.iter().map(|input| input.schema().as_ref()))?;
        }
        let schema = merge_schema(&node.inputs());
        node.apply_expressions(|expr| {
            expr.apply(|inner| expression(inner, &schema).map(|()| TreeNodeRecursion::Continue))
        })
    });
    visited.map(|_| ())
}

fn united<'a>(mut schemas: impl Iterator<Item = &'a DFSchema>) -> Result<()> {
    let Some(first) = schemas.next() else { return Ok(()) };
    for schema in schemas {
        for (at, (left, right)) in first.fields().iter().zip(schema.fields()).enumerate() {
            let (left, right) = (left.data_type(), right.data_type());
            if !go_together(left, right) {
                let (at, left, right) = (at + 1, word(left), word(right));
                return mismatch(format!("column {at} in UNION query has incompatible types: {left}, {right}"));
            }
        }
    }
    Ok(())
}

fn expression(expr: &Expr, schema: &DFSchema) -> Result<()> {
    // Of what has no type here (variables of lambdas) the engine itself tells.
    let kind = |expr: &Expr| expr.get_type(schema).unwrap_or(DataType::Null);
    match expr {
        Expr::Case(case) => {
            let results = case.when_then_expr.iter().map(|(_, then)| then).chain(&case.else_expr);
            let results: Vec<DataType> = results.map(|then| kind(then)).collect();
            if let Some((left, right)) = unlike(&results) {
                let (left, right) = (word(left), word(right));
                return mismatch(format!(
                    "All CASE results must be the same type or coerce to a common type. Cannot find common type between {left} and {right}"
                ));
            }
            let operand = case.expr.as_ref().map_or(DataType::Boolean, |operand| kind(operand));
            match case.when_then_expr.iter().map(|(when, _)| kind(when)).find(|when| !go_together(&operand, when)) {
                Some(when) if case.expr.is_none() => {
                    mismatch(format!("CASE WHEN clause must evaluate to a boolean (actual: {})", word(&when)))
                }
                Some(when) => mismatch(format!(
                    "CASE operand type does not match WHEN clause operand type: {} vs {}",
                    word(&operand),
                    word(&when)
                )),
                None => Ok(()),
            }
        }
        Expr::InList(list) => {
            let kinds: Vec<DataType> = std::iter::once(&*list.expr).chain(&list.list).map(kind).collect();
            together(&kinds, "IN value and list items must be the same type or coerce to a common type")
        }
        Expr::InSubquery(within) => {
            let found = within.subquery.subquery.schema().fields().first().map(|field| field.data_type().clone());
            let kinds = [kind(&within.expr), found.unwrap_or(DataType::Null)];
            together(&kinds, "value and result of subquery must be of the same type for IN expression")
        }
        Expr::Between(between) => {
            let kinds = [kind(&between.expr), kind(&between.low), kind(&between.high)];
            together(&kinds, "BETWEEN compares values of one type")
        }
        Expr::ScalarFunction(call) if call.name() == "make_array" => {
            let kinds: Vec<DataType> = call.args.iter().map(kind).collect();
            together(&kinds, "All ARRAY elements must be the same type or coerce to a common type")
        }
        _ => Ok(()),
    }
}

fn unlike(kinds: &[DataType]) -> Option<(&DataType, &DataType)> {
    let known = kinds.iter().find(|kind| !kind.is_null())?;
    kinds.iter().find(|kind| !go_together(known, kind)).map(|other| (known, other))
}

fn together(kinds: &[DataType], words: &str) -> Result<()> {
    match unlike(kinds) {
        Some((left, right)) => mismatch(format!("{words}: {} and {}", word(left), word(right))),
        None => Ok(()),
    }
}
