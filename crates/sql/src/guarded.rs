//! Conditions that guard others: what may fail is asked of the rows alone that the conditions before it leave, as Trino asks it. The engine asks
//! both sides of whole batches.

use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::{conjunction, split_conjunction_owned};
use datafusion::logical_expr::{BinaryExpr, Expr, Filter, LogicalPlan, Operator, lit, not, when};

/// Functions that fail for no row.
const SURE: &[&str] = &[
    "btrim",
    "coalesce",
    "concat",
    "day",
    "get_field",
    "hour",
    "length",
    "lower",
    "ltrim",
    "minute",
    "month",
    "reverse",
    "rtrim",
    "second",
    "starts_with",
    "strpos",
    "trim",
    "upper",
    "year",
];

/// Whether an expression may fail for some row.
fn may_fail(expr: &Expr) -> bool {
    let is_risky = |expr: &Expr| Ok(matches!(expr, Expr::ScalarFunction(call) if !SURE.contains(&call.name())));
    // Looking fails as little as the closure does.
    expr.exists(is_risky).unwrap_or(true)
}

/// Guards what may fail in all conditions of a plan that was optimized.
///
/// # Errors
/// The engine's.
pub fn lower(plan: LogicalPlan) -> Result<LogicalPlan> {
    let done = plan.transform_up_with_subqueries(|node| match node {
        LogicalPlan::Filter(filter) => Ok(Transformed::yes(LogicalPlan::Filter(condition(filter)?))),
        LogicalPlan::Projection(_) => {
            let names = NamePreserver::new(&node);
            node.map_expressions(|expr| {
                let name = names.save(&expr);
                Ok(expr.transform_up(one)?.update_data(|expr| name.restore(expr)))
            })
        }
        other => Ok(Transformed::no(other)),
    })?;
    Ok(done.data)
}

/// AND and OR within an expression.
fn one(expr: Expr) -> Result<Transformed<Expr>> {
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op: op @ (Operator::And | Operator::Or), right }) if may_fail(&right) => {
            let decided = if op == Operator::Or { (*left).clone() } else { not((*left).clone()) };
            let open = Expr::BinaryExpr(BinaryExpr { left, op, right });
            Ok(Transformed::yes(when(decided, lit(op == Operator::Or)).otherwise(open)?))
        }
        other => Ok(Transformed::no(other)),
    }
}

/// A filter whose condition is guarded: what cannot fail stays as it is, so that objects are passed over by it, and guards the rest in its order.
fn condition(filter: Filter) -> Result<Filter> {
    let Filter { predicate, input, .. } = filter;
    let parts: Result<Vec<Expr>> =
        split_conjunction_owned(predicate).into_iter().map(|part| Ok(part.transform_up(one)?.data)).collect();
    let (risky, mut sure): (Vec<Expr>, Vec<Expr>) = parts?.into_iter().partition(may_fail);
    let mut guarded = None;
    for part in conjunction(sure.clone()).into_iter().chain(risky).rev() {
        guarded = Some(match guarded {
            Some(later) => when(part, later).otherwise(lit(false))?,
            None => part,
        });
    }
    // Without what may fail it is the sure part once more.
    sure.extend(guarded.filter(may_fail));
    Filter::try_new(conjunction(sure).unwrap_or_else(|| lit(true)), input)
}
