//! Values of types that Trino has no common type for are not put together, where the engine would take numbers for texts.
//!
//! Trino documentation, "Comparison functions and operators", "Conditional expressions". Operators are looked at when they are
//! planned (`functions::operators`).

use arrow::datatypes::{DataType, Field};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::expr::Case;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, Operator};

use crate::failure::Problem;
use crate::functions::{Family, are_alike, family, word};

fn shown(kind: &DataType) -> String {
    word(&Field::new("", kind.clone(), true))
}

/// Two types in Trino's words that are not alike.
fn unlike(kinds: &[DataType]) -> Option<(String, String)> {
    let first = kinds.iter().find(|kind| family(kind).is_some())?;
    let other = kinds.iter().find(|kind| !are_alike(first, kind))?;
    Some((shown(first), shown(other)))
}

fn mismatch(words: String) -> Result<TreeNodeRecursion> {
    Err(Problem::Statement(format!("TYPE_MISMATCH: {words}")).into())
}

/// Looks at all expressions of a plan.
///
/// # Errors
/// It puts together what Trino would not.
pub fn check(plan: &LogicalPlan) -> Result<()> {
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::Union(union) = node {
            columns(&union.inputs.iter().map(|input| input.schema().as_ref()).collect::<Vec<_>>())?;
        }
        let schema = merge_schema(&node.inputs());
        if let LogicalPlan::Join(join) = node {
            for (left, right) in &join.on {
                compared(left, right, &schema)?;
            }
        }
        if let LogicalPlan::Values(values) = node {
            values.values.iter().flatten().try_for_each(|value| of_values(value, &schema))?;
        }
        node.apply_expressions(|expr| expr.apply(|expr| one(expr, &schema)))
    })?;
    Ok(())
}

fn columns(schemas: &[&DFSchema]) -> Result<()> {
    let Some(first) = schemas.first() else { return Ok(()) };
    for at in 0..first.fields().len() {
        let kinds: Vec<DataType> = schemas
            .iter()
            .filter_map(|schema| schema.fields().get(at))
            .map(|field| field.data_type().clone())
            .collect();
        if let Some((left, right)) = unlike(&kinds) {
            mismatch(format!("column {} in UNION query has incompatible types: {left}, {right}", at + 1))?;
        }
    }
    Ok(())
}

/// Keys of a join, rows of INTERSECT and EXCEPT, and what operators compare that are not planned one by one.
fn compared(left: &Expr, right: &Expr, schema: &DFSchema) -> Result<TreeNodeRecursion> {
    // What has no type yet fails elsewhere.
    let kinds = [left, right].map(|expr| expr.get_type(schema).unwrap_or(DataType::Null));
    match unlike(&kinds) {
        Some((left, right)) => mismatch(format!("Cannot apply operator: {left} = {right}")),
        None => Ok(TreeNodeRecursion::Continue),
    }
}

/// In VALUES the engine has cast a value to its column's type already.
fn of_values(value: &Expr, schema: &DFSchema) -> Result<()> {
    let Expr::Cast(cast) = value else { return Ok(()) };
    let kinds = [cast.expr.get_type(schema).unwrap_or(DataType::Null), cast.field.data_type().clone()];
    if let Some((left, right)) = unlike(&kinds) {
        mismatch(format!("Values rows have mismatched types: {right} vs {left}"))?;
    }
    Ok(())
}

fn one(expr: &Expr, schema: &DFSchema) -> Result<TreeNodeRecursion> {
    // What has no type yet fails elsewhere.
    let kind = |expr: &Expr| expr.get_type(schema).unwrap_or(DataType::Null);
    let differ = |kinds: Vec<DataType>| unlike(&kinds);
    match expr {
        Expr::BinaryExpr(binary) if matches!(binary.op, Operator::IsDistinctFrom | Operator::IsNotDistinctFrom) => {
            return compared(&binary.left, &binary.right, schema);
        }
        Expr::Between(between) => {
            let kinds = [kind(&between.expr), kind(&between.low), kind(&between.high)];
            if unlike(&kinds).is_some() {
                let [value, low, high] = kinds.map(|kind| shown(&kind));
                return mismatch(format!("Cannot check if {value} is BETWEEN {low} and {high}"));
            }
        }
        Expr::InList(list) => {
            let kinds = std::iter::once(&*list.expr).chain(&list.list).map(kind).collect();
            if let Some((left, right)) = differ(kinds) {
                return mismatch(format!(
                    "IN value and list items must be the same type or coercible to a common type. Cannot find common type between {left} and {right}"
                ));
            }
        }
        Expr::InSubquery(within) => {
            let column = within.subquery.subquery.schema().fields().first().map(|field| field.data_type().clone());
            if let Some((left, right)) = differ(vec![kind(&within.expr), column.unwrap_or(DataType::Null)]) {
                return mismatch(format!(
                    "Value expression and result of subquery must be of the same type: {left} vs {right}"
                ));
            }
        }
        Expr::Case(case) => return conditions(case, schema),
        Expr::AggregateFunction(call) if matches!(call.func.name(), "min" | "max") => {
            let kinds: Vec<DataType> = call.params.args.iter().map(kind).collect();
            if let Some(one) = kinds.iter().find(|kind| matches!(family(kind), Some(Family::Map | Family::Json))) {
                let words = format!("Unexpected parameters ({}) for function {}", shown(one), call.func.name());
                return Err(Problem::Statement(format!("FUNCTION_NOT_FOUND: {words}: it has no order")).into());
            }
        }
        Expr::ScalarFunction(call) => {
            let what = match call.name() {
                "coalesce" => {
                    "All COALESCE operands must be the same type or coercible to a common type. Cannot find common type between"
                }
                "greatest" | "least" => {
                    "Unexpected parameters: all must be the same type or coercible to a common type. Cannot find common type between"
                }
                "make_array" => {
                    "All ARRAY elements must be the same type or coercible to a common type. Cannot find common type between"
                }
                _ => return Ok(TreeNodeRecursion::Continue),
            };
            if let Some((left, right)) = differ(call.args.iter().map(kind).collect()) {
                return mismatch(format!("{what} {left} and {right}"));
            }
        }
        _ => {}
    }
    Ok(TreeNodeRecursion::Continue)
}

fn conditions(case: &Case, schema: &DFSchema) -> Result<TreeNodeRecursion> {
    let kind = |expr: &Expr| expr.get_type(schema).unwrap_or(DataType::Null);
    let differ = |kinds: Vec<DataType>| unlike(&kinds);
    for when in case.when_then_expr.iter().filter_map(|(when, _)| case.expr.as_ref().map(|expr| (expr, when))) {
        if let Some((left, right)) = differ(vec![kind(when.0), kind(when.1)]) {
            return mismatch(format!("CASE operand type does not match WHEN clause operand type: {left} vs {right}"));
        }
    }
    let condition = |when: &Expr| case.expr.is_some() || matches!(kind(when), DataType::Boolean | DataType::Null);
    if let Some((when, _)) = case.when_then_expr.iter().find(|(when, _)| !condition(when)) {
        let kind = shown(&kind(when));
        return mismatch(format!("CASE WHEN clause must evaluate to a boolean (actual: {kind})"));
    }
    let results = case.when_then_expr.iter().map(|(_, then)| then).chain(&case.else_expr);
    if let Some((left, right)) = differ(results.map(|result| kind(result)).collect()) {
        return mismatch(format!(
            "All CASE results must be the same type or coercible to a common type. Cannot find common type between {left} and {right}"
        ));
    }
    Ok(TreeNodeRecursion::Continue)
}
