//! IN and EXISTS of queries, as SQL means them, where the engine makes less of them: within other conditions it takes NULL for false, it carries out no
//! NOT IN of a query that uses columns around it, and an aggregate of no rows has no row for it.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, ExprSchema, Result, ScalarValue};
use datafusion::logical_expr::expr::{Exists, InSubquery};
use datafusion::logical_expr::utils::{conjunction, split_conjunction_owned};
use datafusion::logical_expr::{
    BinaryExpr, Expr, Filter, JoinType, LogicalPlan, LogicalPlanBuilder, Operator, Subquery, lit, when,
};

use crate::failure::Problem;

/// Makes what means the same of them in all conditions of a plan.
///
/// # Errors
/// The engine's, and what is not carried out.
pub fn lower(plan: LogicalPlan) -> Result<LogicalPlan> {
    let done = plan.transform_up_with_subqueries(|node| match node {
        LogicalPlan::Filter(Filter { predicate, input, .. }) => {
            let predicate = conditions(predicate, input.schema())?;
            Ok(Transformed::yes(LogicalPlan::Filter(Filter::try_new(predicate, input)?)))
        }
        LogicalPlan::Join(mut join) if join.join_type == JoinType::Inner => {
            if let Some(filter) = join.filter.take() {
                join.filter = Some(conditions(filter, &join.schema)?);
            }
            Ok(Transformed::yes(LogicalPlan::Join(join)))
        }
        other => Ok(Transformed::no(other)),
    })?;
    Ok(done.data)
}

/// Conditions that must all hold.
fn conditions(predicate: Expr, schema: &DFSchema) -> Result<Expr> {
    let parts = split_conjunction_owned(predicate).into_iter();
    let parts: Result<Vec<Expr>> = parts.map(|part| outermost(part, schema)).collect();
    Ok(conjunction(parts?).unwrap_or_else(|| lit(true)))
}

/// One of them.
fn outermost(part: Expr, schema: &DFSchema) -> Result<Expr> {
    let part = match part {
        Expr::Not(inner) => match *inner {
            Expr::InSubquery(asked) => Expr::InSubquery(InSubquery { negated: !asked.negated, ..asked }),
            inner => Expr::Not(Box::new(inner)),
        },
        part => part,
    };
    match &part {
        // The engine's own join for it knows NULL.
        Expr::InSubquery(asked) if asked.negated && asked.subquery.outer_ref_columns.is_empty() => Ok(part),
        Expr::InSubquery(asked) if asked.negated && !is_one_row(&asked.subquery)? => {
            let made = Made::of(asked, schema)?;
            let could_be = made.value.clone().eq(made.wanted.clone()).or(made.value.clone().is_null());
            Ok(made.exists(could_be.or(made.wanted.clone().is_null()), None, true)?)
        }
        _ => whether(part, schema),
    }
}

/// What only matters where it is true.
fn whether(expr: Expr, schema: &DFSchema) -> Result<Expr> {
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op: op @ (Operator::And | Operator::Or), right }) => {
            let (left, right) = (Box::new(whether(*left, schema)?), Box::new(whether(*right, schema)?));
            Ok(Expr::BinaryExpr(BinaryExpr { left, op, right }))
        }
        Expr::InSubquery(asked) if !asked.negated && !is_one_row(&asked.subquery)? => Ok(Expr::InSubquery(asked)),
        other => Ok(other.transform_up(|expr| exactly(expr, schema))?.data),
    }
}

/// All three values of it.
fn exactly(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    Ok(match expr {
        Expr::Exists(asked) if is_one_row(&asked.subquery)? => Transformed::yes(lit(!asked.negated)),
        Expr::InSubquery(InSubquery { expr, subquery, negated }) if is_one_row(&subquery)? => {
            let (wanted, value) = (*expr, Expr::ScalarSubquery(subquery));
            Transformed::yes(if negated { wanted.not_eq(value) } else { wanted.eq(value) })
        }
        Expr::InSubquery(asked) => {
            let made = Made::of(&asked, schema)?;
            let (value, wanted) = (made.value.clone(), made.wanted.clone());
            let found = made.exists(value.clone().eq(wanted.clone()), None, false)?;
            let open = if asked.subquery.outer_ref_columns.is_empty() {
                // One row of each says it.
                let any = made.exists(lit(true), Some(1), false)?;
                made.exists(value.is_null(), Some(1), false)?.or(asked.expr.is_null().and(any))
            } else {
                made.exists(value.is_null().or(wanted.is_null()), None, false)?
            };
            let unknown = lit(ScalarValue::Boolean(None));
            Transformed::yes(when(found, lit(!asked.negated)).when(open, unknown).otherwise(lit(asked.negated))?)
        }
        other => Transformed::no(other),
    })
}

/// Whether a query that uses columns around it has one row whatever it reads.
fn is_one_row(query: &Subquery) -> Result<bool> {
    let (mut plan, mut chosen) = (query.subquery.as_ref(), false);
    while !query.outer_ref_columns.is_empty() {
        plan = match plan {
            LogicalPlan::Projection(inner) => &inner.input,
            LogicalPlan::SubqueryAlias(inner) => &inner.input,
            LogicalPlan::Sort(inner) => &inner.input,
            LogicalPlan::Filter(inner) => {
                chosen = true;
                &inner.input
            }
            LogicalPlan::Limit(inner) => {
                chosen = true;
                &inner.input
            }
            LogicalPlan::Aggregate(inner) if inner.group_expr.is_empty() && chosen => {
                let words = "NOT_SUPPORTED: HAVING and LIMIT of a query without GROUP BY that uses columns from around it are not carried out within IN and EXISTS";
                return Err(Problem::Statement(words.to_owned()).into());
            }
            LogicalPlan::Aggregate(inner) => return Ok(inner.group_expr.is_empty()),
            _ => return Ok(false),
        }
    }
    Ok(false)
}

/// What conditions on the rows of an IN are made of.
struct Made<'a> {
    query: &'a Subquery,
    /// The query's column.
    value: Expr,
    /// What is looked for, as the query sees it.
    wanted: Expr,
    /// The columns in it.
    outer: Vec<Expr>,
}

impl<'a> Made<'a> {
    fn of(asked: &'a InSubquery, schema: &DFSchema) -> Result<Self> {
        let mut outer = asked.subquery.outer_ref_columns.clone();
        let wanted = asked.expr.as_ref().clone().transform_up(|expr| match expr {
            Expr::Column(column) => {
                let field = Arc::clone(schema.field_from_column(&column)?);
                let reference = Expr::OuterReferenceColumn(field, column);
                if !outer.contains(&reference) {
                    outer.push(reference.clone());
                }
                Ok(Transformed::yes(reference))
            }
            Expr::OuterReferenceColumn(..) | Expr::ScalarSubquery(_) | Expr::InSubquery(_) | Expr::Exists(_) => {
                let words = "NOT_SUPPORTED: at the left of IN of a query, other queries and columns from around this one are not carried out here: write EXISTS";
                Err(Problem::Statement(words.to_owned()).into())
            }
            other => Ok(Transformed::no(other)),
        })?;
        let value = Expr::Column(Column::from(asked.subquery.subquery.schema().qualified_field(0)));
        Ok(Self { query: &asked.subquery, value, wanted: wanted.data, outer })
    }

    /// Whether there are rows that a condition holds for.
    fn exists(&self, condition: Expr, most: Option<usize>, negated: bool) -> Result<Expr> {
        let inner = LogicalPlan::clone(&self.query.subquery);
        let chosen = LogicalPlanBuilder::from(inner).filter(condition)?;
        let plan = if most.is_some() { chosen.limit(0, most)?.build()? } else { chosen.build()? };
        let (subquery, spans) = (Arc::new(plan), self.query.spans.clone());
        let outer_ref_columns = if most.is_some() { Vec::new() } else { self.outer.clone() };
        Ok(Expr::Exists(Exists::new(Subquery { subquery, outer_ref_columns, spans }, negated)))
    }
}
