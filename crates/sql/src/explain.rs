//! What is told of a plan: its operators, and what they read when they ran.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch, StringArray};
use datafusion::common::Result;
use datafusion::datasource::source::DataSourceExec;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::display::DisplayableExecutionPlan;
use datafusion::physical_plan::metrics::{MetricValue, MetricsSet};
use datafusion::physical_plan::{ExecutionPlan, displayable};

use crate::dialect::{Form, MARK};
use crate::remote::Remote;

/// What a plan has cost.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cost {
    /// Rows that came from tables.
    pub rows: u64,
    /// Bytes that were spilled.
    pub spilled: u64,
    /// Row groups of Parquet files that were not read, by their statistics.
    pub pruned: u64,
}

fn column(name: &str, values: ArrayRef) -> Result<RecordBatch> {
    Ok(RecordBatch::try_from_iter([(name, values)])?)
}

fn lines(text: &str) -> Result<RecordBatch> {
    let shown = text.replace(MARK, "_");
    let lines: StringArray = shown.lines().map(Some).collect();
    column("Query Plan", Arc::new(lines))
}

/// `EXPLAIN (TYPE VALIDATE)`
pub fn valid() -> Result<RecordBatch> {
    column("Valid", Arc::new(BooleanArray::from(vec![true])))
}

/// `EXPLAIN`
pub fn plan(logical: &LogicalPlan, physical: &dyn ExecutionPlan, form: Form) -> Result<RecordBatch> {
    let text = match form {
        Form::Physical => displayable(physical).indent(false).to_string(),
        Form::Logical => logical.display_indent().to_string(),
        Form::Json => logical.display_pg_json().to_string(),
        Form::Graphviz => logical.display_graphviz().to_string(),
    };
    lines(&text)
}

fn count(metrics: &MetricsSet, cost: &mut Cost) {
    for metric in metrics.iter() {
        if let MetricValue::PruningMetrics { name, pruning_metrics } = metric.value()
            && name.starts_with("row_groups_pruned")
        {
            cost.pruned += pruning_metrics.pruned() as u64;
        }
    }
}

fn add(plan: &dyn ExecutionPlan, cost: &mut Cost) {
    if let Some(metrics) = plan.metrics() {
        cost.spilled += metrics.spilled_bytes().unwrap_or(0) as u64;
        if plan.is::<DataSourceExec>() {
            cost.rows += metrics.output_rows().unwrap_or(0) as u64;
            count(&metrics, cost);
        }
    }
    for child in plan.children() {
        add(child.as_ref(), cost);
    }
}

/// What a plan has cost, from its operators' counters.
pub fn cost(plan: &dyn ExecutionPlan) -> Cost {
    let mut cost = Cost::default();
    add(plan, &mut cost);
    cost
}

/// `EXPLAIN ANALYZE`: the plan with its counters, and what each table gave.
pub fn analyzed(plan: &dyn ExecutionPlan, remote: &Remote, rows: u64, millis: (u64, u64)) -> Result<RecordBatch> {
    let cost = cost(plan);
    let (planning, execution) = millis;
    let mut text = format!("Planning: {planning} ms, execution: {execution} ms, rows: {rows}\n");
    for scan in remote.scans() {
        text.push_str(&scan.to_string());
        text.push('\n');
    }
    text.push_str(&format!(
        "Row groups pruned: {}, rows from tables: {}, spilled: {} B\n",
        cost.pruned, cost.rows, cost.spilled
    ));
    text.push_str(&DisplayableExecutionPlan::with_metrics(plan).indent(false).to_string());
    lines(&text)
}
