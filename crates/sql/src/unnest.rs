//! UNNEST: arrays and maps as rows (Trino documentation, "SELECT", UNNEST).
//!
//! The planner of relations makes a node of its own for it, whose expressions may name columns of what stands before it. [`lower`] then puts the
//! node on top of that: one list of rows is made of all arrays (crate `unnested`), and the engine's own Unnest takes it apart.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, DFSchemaRef, JoinType, Result, ScalarValue, TableReference, UnnestOptions};
use datafusion::functions::core::expr_fn::get_field;
use datafusion::logical_expr::planner::{PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning};
use datafusion::logical_expr::{
    Expr, ExprSchemable, Extension, Join, LogicalPlan, LogicalPlanBuilder, ScalarUDF, UserDefinedLogicalNodeCore,
};
use datafusion::sql::sqlparser::ast::{TableAlias, TableFactor};

use crate::dialect::MARK;
use crate::failure::Problem;
use crate::unnested::{self, Unnested};

/// The node's list, before it is taken apart.
const LIST: &str = "unnested";

fn refused(words: String) -> Problem {
    Problem::Statement(words)
}

/// Plans UNNEST where a table stands.
#[derive(Debug)]
pub struct Planner;

/// UNNEST, before it is known what it stands behind.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Node {
    exprs: Vec<Expr>,
    ordinality: bool,
    schema: DFSchemaRef,
}

impl PartialOrd for Node {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        self.exprs.partial_cmp(&other.exprs)
    }
}

impl UserDefinedLogicalNodeCore for Node {
    fn name(&self) -> &'static str {
        "Unnest"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        Vec::new()
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        self.exprs.clone()
    }

    fn fmt_for_explain(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Unnest")
    }

    fn with_exprs_and_inputs(&self, exprs: Vec<Expr>, _: Vec<LogicalPlan>) -> Result<Self> {
        Ok(Self { exprs, ..self.clone() })
    }
}

/// The names and types of the columns that one argument gives.
fn given(kind: &DataType, at: usize) -> Result<Vec<(String, DataType)>> {
    let columns = unnested::columns(kind).ok_or_else(|| {
        refused(format!(
            "SYNTAX_ERROR: Cannot unnest type: {}",
            crate::types::described(&Field::new("", kind.clone(), true)).kind
        ))
    })?;
    let unnamed = |part: usize| format!("{MARK}unnested{at}_{part}");
    let is_row = matches!(unnested::element(kind), Some(DataType::Struct(_)));
    let name = |(part, field): (usize, &Arc<Field>)| {
        let name = if is_row { field.name().clone() } else { unnamed(part) };
        (name, field.data_type().clone())
    };
    Ok(columns.iter().enumerate().map(name).collect())
}

fn named(mut columns: Vec<(String, DataType)>, alias: Option<&TableAlias>) -> Result<DFSchema> {
    if let Some(alias) = alias.filter(|alias| !alias.columns.is_empty()) {
        if alias.columns.len() != columns.len() {
            let (given, wanted) = (alias.columns.len(), columns.len());
            let name = &alias.name.value;
            return Err(refused(format!(
                "SYNTAX_ERROR: Column alias list has {given} entries but '{name}' has {wanted} columns available"
            ))
            .into());
        }
        for ((name, _), column) in columns.iter_mut().zip(&alias.columns) {
            name.clone_from(&column.name.value);
        }
    }
    let qualifier = alias.map(|alias| TableReference::bare(alias.name.value.clone()));
    let field = |(name, kind): (String, DataType)| (qualifier.clone(), Arc::new(Field::new(name, kind, true)));
    DFSchema::new_with_metadata(columns.into_iter().map(field).collect(), std::collections::HashMap::new())
}

impl RelationPlanner for Planner {
    fn plan_relation(
        &self,
        relation: TableFactor,
        context: &mut dyn RelationPlannerContext,
    ) -> Result<RelationPlanning> {
        let TableFactor::UNNEST { alias, array_exprs, with_ordinality, .. } = relation else {
            return Ok(RelationPlanning::Original(Box::new(relation)));
        };
        let nothing = DFSchema::empty();
        let exprs: Result<Vec<Expr>> =
            array_exprs.into_iter().map(|expr| context.sql_to_expr(expr, &nothing)).collect();
        let exprs = exprs?;
        let mut columns = Vec::new();
        for (at, expr) in exprs.iter().enumerate() {
            columns.extend(given(&expr.get_type(&nothing)?, at)?);
        }
        if with_ordinality {
            columns.push(("ordinality".to_owned(), DataType::Int64));
        }
        let schema = Arc::new(named(columns, alias.as_ref())?);
        let node = Node { exprs, ordinality: with_ordinality, schema };
        let plan = LogicalPlan::Extension(Extension { node: Arc::new(node) });
        Ok(RelationPlanning::Planned(Box::new(PlannedRelation::new(plan, None))))
    }
}

fn node(plan: &LogicalPlan) -> Option<Node> {
    match plan {
        LogicalPlan::Extension(Extension { node }) => node.as_any().downcast_ref::<Node>().cloned(),
        LogicalPlan::Subquery(inner) => node(&inner.subquery),
        _ => None,
    }
}

/// Puts every UNNEST of a plan on top of what it stands behind.
///
/// # Errors
/// It names columns of something else, or is joined in a way that is not carried out.
pub fn lower(plan: LogicalPlan) -> Result<LogicalPlan> {
    let lowered = plan.transform_down_with_subqueries(|plan| {
        if let LogicalPlan::Join(join) = &plan
            && let Some(node) = node(&join.right)
        {
            let outer = outer(join)?;
            let left = LogicalPlan::clone(&join.left);
            return Ok(Transformed::new(over(left, &node, outer)?, true, TreeNodeRecursion::Continue));
        }
        match node(&plan) {
            Some(node) => {
                let nothing = LogicalPlanBuilder::empty(true).build()?;
                Ok(Transformed::yes(over(nothing, &node, false)?))
            }
            None => Ok(Transformed::no(plan)),
        }
    })?;
    // What was above it may have another schema than when it was planned.
    Ok(lowered.data)
}

/// Whether rows without elements stay.
fn outer(join: &Join) -> Result<bool, Problem> {
    let is_true =
        join.on.is_empty() && matches!(&join.filter, None | Some(Expr::Literal(ScalarValue::Boolean(Some(true)), _)));
    match (join.join_type, is_true) {
        (JoinType::Inner, true) => Ok(false),
        (JoinType::Left, true) => Ok(true),
        (kind, _) => {
            let words = format!("NOT_SUPPORTED: {kind} JOIN involving UNNEST is only supported with condition ON TRUE");
            Err(refused(words.replace("Right JOIN", "RIGHT JOIN").replace("Full JOIN", "FULL JOIN").to_owned()))
        }
    }
}

/// A plan that unnests behind another one.
fn over(left: LogicalPlan, node: &Node, outer: bool) -> Result<LogicalPlan> {
    let schema = Arc::clone(left.schema());
    let mine = |expr: Expr| {
        expr.transform_up(|expr| match expr {
            Expr::OuterReferenceColumn(_, column) if schema.has_column(&column) => {
                Ok(Transformed::yes(Expr::Column(column)))
            }
            Expr::OuterReferenceColumn(_, column) => Err(refused(format!(
                "NOT_SUPPORTED: UNNEST of '{}', a column of an outer query, is not carried out: unnest it in FROM beside its table",
                column.name
            ))
            .into()),
            other => Ok(Transformed::no(other)),
        })
    };
    let arguments: Result<Vec<Expr>> = node.exprs.iter().map(|expr| Ok(mine(expr.clone())?.data)).collect();
    let function = ScalarUDF::from(Unnested::new(outer, node.ordinality));
    let list = format!("{MARK}{LIST}{}", schema.fields().len());
    let columns: Vec<Expr> = schema.columns().into_iter().map(Expr::Column).collect();
    let mut with_list = columns.clone();
    with_list.push(function.call(arguments?).alias(&list));
    let options = UnnestOptions::new().with_preserve_nulls(false);
    let apart = LogicalPlanBuilder::from(left)
        .project(with_list)?
        .unnest_column_with_options(Column::from_name(&list), options)?
        .build()?;
    let field = |(at, (qualifier, field)): (usize, (Option<&TableReference>, &Arc<Field>))| {
        let part = get_field(Expr::Column(Column::from_name(&list)), unnested::name(at));
        part.alias_qualified(qualifier.cloned(), field.name())
    };
    let parts = node.schema.iter().enumerate().map(field);
    LogicalPlanBuilder::from(apart).project(columns.into_iter().chain(parts))?.build()
}
