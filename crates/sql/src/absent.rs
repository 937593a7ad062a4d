//! IN and EXISTS of queries, as SQL means them, where the engine makes less of them: within other conditions it takes NULL for false, it carries out no
//! NOT IN of a query that uses columns around it, and an aggregate of no rows has no row for it.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, DataFusionError, ExprSchema, Result, ScalarValue, Spans};
use datafusion::logical_expr::expr::{Exists, InSubquery};
use datafusion::logical_expr::utils::{conjunction, split_conjunction_owned};
use datafusion::logical_expr::{
    BinaryExpr, Distinct, Expr, FetchType, Filter, Join, JoinType, Limit, LogicalPlan, LogicalPlanBuilder, Operator,
    SkipType, Subquery, lit, not,
};

use crate::failure::Problem;

/// Makes what means the same of them in all conditions of a plan.
///
/// # Errors
/// The engine's, and what is not carried out.
pub fn lower(plan: LogicalPlan) -> Result<LogicalPlan> {
    let done = plan.transform_up_with_subqueries(|node| match node {
        LogicalPlan::Filter(Filter { predicate, input, .. }) => Ok(Transformed::yes(filtered(predicate, input)?)),
        LogicalPlan::Join(join) if join.filter.as_ref().is_some_and(has_query) => Ok(Transformed::yes(joined(join)?)),
        other => Ok(Transformed::no(other)),
    })?;
    Ok(done.data)
}

fn filtered(predicate: Expr, input: Arc<LogicalPlan>) -> Result<LogicalPlan> {
    let parts = split_conjunction_owned(predicate).into_iter();
    let parts: Result<Vec<Expr>> = parts.map(|part| outermost(part, input.schema())).collect();
    Ok(LogicalPlan::Filter(Filter::try_new(conjunction(parts?).unwrap_or_else(|| lit(true)), input)?))
}

/// Of an inner join they become conditions on its rows; those of others stay where the engine has them as they are meant.
fn joined(mut join: Join) -> Result<LogicalPlan> {
    let parts = join.filter.take().map(split_conjunction_owned).unwrap_or_default();
    let (asking, plain): (Vec<Expr>, Vec<Expr>) = parts.into_iter().partition(has_query);
    if join.join_type == JoinType::Inner {
        join.filter = conjunction(plain);
        return filtered(conjunction(asking).unwrap_or_else(|| lit(true)), Arc::new(LogicalPlan::Join(join)));
    }
    for part in &asking {
        if outermost(part.clone(), &join.schema)? != *part {
            return Err(refused("such conditions with queries are not carried out of outer joins"));
        }
    }
    join.filter = conjunction(plain.into_iter().chain(asking));
    Ok(LogicalPlan::Join(join))
}

fn refused(what: &str) -> DataFusionError {
    Problem::Statement(format!("NOT_SUPPORTED: {what}")).into()
}

fn is_query(expr: &Expr) -> bool {
    matches!(expr, Expr::InSubquery(_) | Expr::Exists(_))
}

fn has_query(expr: &Expr) -> bool {
    // Looking fails as little as the closure does.
    expr.exists(|expr| Ok(is_query(expr))).unwrap_or(true)
}

/// One of the conditions that must all hold.
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
        Expr::InSubquery(asked)
            if asked.negated && asked.subquery.outer_ref_columns.is_empty() && asked.expr.any_column_refs() =>
        {
            Ok(part)
        }
        Expr::InSubquery(asked) if asked.negated && !is_one_row(&asked.subquery) => {
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
        Expr::InSubquery(asked) if !asked.negated && !is_one_row(&asked.subquery) => {
            check(&asked.subquery)?;
            Ok(Expr::InSubquery(asked))
        }
        other => Ok(other.transform_up(|expr| exactly(expr, schema))?.data),
    }
}

/// All three values of it.
fn exactly(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    Ok(match expr {
        Expr::Exists(Exists { subquery, negated }) => Transformed::yes(there(subquery, negated)?),
        Expr::InSubquery(InSubquery { expr, subquery, negated }) if is_one_row(&subquery) => {
            let (wanted, value) = (*expr, Expr::ScalarSubquery(without_distinct(subquery)));
            Transformed::yes(if negated { wanted.not_eq(value) } else { wanted.eq(value) })
        }
        Expr::InSubquery(asked) => {
            let made = Made::of(&asked, schema)?;
            let (value, wanted) = (made.value.clone(), made.wanted.clone());
            let found = made.exists(value.clone().eq(wanted.clone()), None, asked.negated)?;
            let open = if asked.subquery.outer_ref_columns.is_empty() {
                // One row of each says it.
                let any = made.exists(lit(true), Some(1), false)?;
                made.exists(value.is_null(), Some(1), false)?.or(asked.expr.is_null().and(any))
            } else {
                made.exists(value.is_null().or(wanted.is_null()), None, false)?
            };
            let unknown = lit(ScalarValue::Boolean(None));
            Transformed::yes(match asked.negated {
                false => found.or(open.and(unknown)),
                true => found.and(not(open).or(unknown)),
            })
        }
        other => Transformed::no(other),
    })
}

/// A query of one row, which is distinct from all others.
fn without_distinct(query: Subquery) -> Subquery {
    match query.subquery.as_ref() {
        LogicalPlan::Distinct(Distinct::All(inner)) => Subquery { subquery: Arc::clone(inner), ..query },
        _ => query,
    }
}

/// Whether a query has rows.
fn there(query: Subquery, negated: bool) -> Result<Expr> {
    if is_one_row(&query) {
        return Ok(lit(!negated));
    }
    if let Some(Filter { predicate, input, .. }) = having(&query) {
        // Its one row is there if the condition holds.
        let plan = LogicalPlanBuilder::from(LogicalPlan::clone(input)).project([predicate.clone()])?.build()?;
        let holds = Expr::ScalarSubquery(Subquery { subquery: Arc::new(plan), ..query });
        return Ok(if negated { holds.is_not_true() } else { holds.is_true() });
    }
    let plan = match query.subquery.as_ref() {
        // One row is as good as many, and the engine passes over it.
        LogicalPlan::Limit(limit) if !query.outer_ref_columns.is_empty() && has_any(limit)? => Arc::clone(&limit.input),
        _ => Arc::clone(&query.subquery),
    };
    let query = Subquery { subquery: plan, ..query };
    check(&query)?;
    Ok(Expr::Exists(Exists::new(query, negated)))
}

/// Whether a limit leaves rows where there are any.
fn has_any(limit: &Limit) -> Result<bool> {
    let (skip, fetch) = (limit.get_skip_type()?, limit.get_fetch_type()?);
    Ok(matches!(skip, SkipType::Literal(0)) && matches!(fetch, FetchType::Literal(Some(1..))))
}

/// Whether columns from around a query are used below a node of it.
fn reaches(plan: &LogicalPlan) -> bool {
    !plan.all_out_ref_exprs().is_empty()
}

/// What makes the rows of a query: below what only orders and shows them, or leaves out those that are there twice.
fn makes_rows(mut plan: &LogicalPlan) -> &LogicalPlan {
    loop {
        plan = match plan {
            LogicalPlan::Projection(inner) => &inner.input,
            LogicalPlan::SubqueryAlias(inner) => &inner.input,
            LogicalPlan::Sort(inner) => &inner.input,
            LogicalPlan::Distinct(Distinct::All(inner)) => inner,
            other => return other,
        }
    }
}

/// Whether it is an aggregate of all rows, over columns from around the query.
fn is_total(plan: &LogicalPlan) -> bool {
    matches!(plan, LogicalPlan::Aggregate(inner) if inner.group_expr.is_empty() && reaches(&inner.input))
}

/// Whether a query that uses columns around it has one row whatever it reads.
fn is_one_row(query: &Subquery) -> bool {
    is_total(makes_rows(&query.subquery))
}

/// The HAVING of a query that uses columns around it and has no GROUP BY.
fn having(query: &Subquery) -> Option<&Filter> {
    match makes_rows(&query.subquery) {
        LogicalPlan::Filter(filter) if is_total(&filter.input) => Some(filter),
        _ => None,
    }
}

/// Refuses a query that uses columns around it at places from where the engine does not take them as they are meant.
fn check(query: &Subquery) -> Result<()> {
    if query.outer_ref_columns.is_empty() {
        return Ok(());
    }
    query.subquery.apply(|node| {
        let what = match node {
            LogicalPlan::Limit(inner) if reaches(&inner.input) => "LIMIT and OFFSET",
            LogicalPlan::Window(inner) if reaches(&inner.input) => "window functions",
            LogicalPlan::Aggregate(inner)
                if reaches(&inner.input)
                    && (inner.group_expr.is_empty()
                        || matches!(inner.group_expr.as_slice(), [Expr::GroupingSet(_)])) =>
            {
                "aggregates without GROUP BY, or of several groupings,"
            }
            LogicalPlan::Join(join)
                if join.join_type != JoinType::Inner && (reaches(&join.left) || reaches(&join.right)) =>
            {
                "outer joins"
            }
            _ => return Ok(TreeNodeRecursion::Continue),
        };
        Err(refused(&format!(
            "{what} over columns from around a query are not carried out here within IN and EXISTS: join with the query"
        )))
    })?;
    Ok(())
}

/// What conditions on the rows of an IN are made of.
struct Made {
    plan: LogicalPlan,
    /// Its column.
    value: Expr,
    /// What is looked for, as the query sees it.
    wanted: Expr,
    /// The columns in it, and those that the query uses itself.
    outer: Vec<Expr>,
    spans: Spans,
}

/// The column of the query.
const VALUE: &str = "$in";

impl Made {
    fn of(asked: &InSubquery, schema: &DFSchema) -> Result<Self> {
        check(&asked.subquery)?;
        let inner = &asked.subquery.subquery;
        let own = asked.subquery.outer_ref_columns.is_empty();
        let mut outer = asked.subquery.outer_ref_columns.clone();
        let wanted = asked.expr.as_ref().clone().transform_up(|expr| match expr {
            Expr::Column(column) => {
                let is_both = |node: &LogicalPlan| Ok(node.schema().has_column(&column));
                if !own && inner.exists(is_both)? {
                    return Err(refused(&format!(
                        "{column} stands for a column of the query and for one from around it: give one of the tables an alias"
                    )));
                }
                let field = Arc::clone(schema.field_from_column(&column)?);
                let reference = Expr::OuterReferenceColumn(field, column);
                if !outer.contains(&reference) {
                    outer.push(reference.clone());
                }
                Ok(Transformed::yes(reference))
            }
            Expr::ScalarSubquery(query) if query.outer_ref_columns.is_empty() => {
                Ok(Transformed::no(Expr::ScalarSubquery(query)))
            }
            Expr::OuterReferenceColumn(..) | Expr::ScalarSubquery(_) | Expr::InSubquery(_) | Expr::Exists(_) => {
                Err(refused(
                    "at the left of IN of a query, other queries and columns from around this one are not carried out here: write EXISTS",
                ))
            }
            other => Ok(Transformed::no(other)),
        })?;
        // Under a name of its own: the engine takes columns of one name for one.
        let value = Expr::Column(Column::from(inner.schema().qualified_field(0))).alias(VALUE);
        let plan = LogicalPlanBuilder::from(LogicalPlan::clone(inner)).project([value])?.build()?;
        let value = Expr::Column(Column::new_unqualified(VALUE));
        Ok(Self { plan, value, wanted: wanted.data, outer, spans: asked.subquery.spans.clone() })
    }

    /// Whether there are rows that a condition holds for.
    fn exists(&self, condition: Expr, most: Option<usize>, negated: bool) -> Result<Expr> {
        let most = most.or(self.outer.is_empty().then_some(1));
        let chosen = LogicalPlanBuilder::from(self.plan.clone()).filter(condition)?;
        let plan = if most.is_some() { chosen.limit(0, most)?.build()? } else { chosen.build()? };
        let outer_ref_columns = if most.is_some() { Vec::new() } else { self.outer.clone() };
        let query = Subquery { subquery: Arc::new(plan), outer_ref_columns, spans: self.spans.clone() };
        Ok(Expr::Exists(Exists::new(query, negated)))
    }
}
