//! Whole numbers in long lists, as what they are at once: to find out each by itself takes the engine far longer.

use arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::logical_expr::{Expr, LogicalPlan};

/// Makes numbers of casts of numbers in VALUES and in conditions, where the names of expressions do not matter.
///
/// # Errors
/// The engine's.
pub fn numbers(plan: LogicalPlan) -> Result<LogicalPlan> {
    let narrowed = plan.transform_up_with_subqueries(|node| match node {
        LogicalPlan::Values(_) | LogicalPlan::Filter(_) => node.map_expressions(|expr| expr.transform_up(number)),
        other => Ok(Transformed::no(other)),
    })?;
    Ok(narrowed.data)
}

fn is_whole(kind: &DataType) -> bool {
    matches!(kind, DataType::Int32 | DataType::Int64)
}

fn number(expr: Expr) -> Result<Transformed<Expr>> {
    let Expr::Cast(cast) = &expr else { return Ok(Transformed::no(expr)) };
    let due = cast.field.data_type();
    match &*cast.expr {
        Expr::Literal(value, _) if is_whole(&value.data_type()) && is_whole(due) => match value.cast_to(due) {
            Ok(value) => Ok(Transformed::yes(Expr::Literal(value, None))),
            Err(_) => Ok(Transformed::no(expr)),
        },
        _ => Ok(Transformed::no(expr)),
    }
}
