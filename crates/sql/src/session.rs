//! A session: one statement, planned and run within bounds.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use arrow::array::RecordBatch;
use arrow::datatypes::{Field, FieldRef, Schema};
use datafusion::common::Result;
use datafusion::config::Dialect;
use datafusion::execution::context::{SessionContext, SessionState};
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::{FairSpillPool, TrackConsumersPool};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::execute_stream;
use datafusion::prelude::SessionConfig;
use futures_util::StreamExt;
use millpond_query::{Run, Stats};

use crate::catalog::{CATALOG, Catalog, Making};
use crate::dialect;
use crate::failure::Problem;
use crate::functions;
use crate::remote::Remote;

/// Rows of a batch.
const BATCH: usize = 8192;
/// Consumers of memory that an error names.
const NAMED: usize = 3;

/// A view's query.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// Its text.
    pub statement: &'a str,
    /// The database of names that name none.
    pub database: &'a str,
}

/// Takes what a query gives.
pub trait Output {
    /// The columns.
    fn columns(&mut self, schema: &Schema) -> impl Future<Output = Result<()>>;
    /// Rows.
    fn rows(&mut self, rows: &RecordBatch) -> impl Future<Output = Result<()>>;
}

fn bounds(run: &Run) -> Result<Arc<RuntimeEnv>> {
    let memory = usize::try_from(run.memory).unwrap_or(usize::MAX);
    let named = std::num::NonZeroUsize::new(NAMED).unwrap_or(std::num::NonZeroUsize::MIN);
    let pool = TrackConsumersPool::new(FairSpillPool::new(memory), named);
    let disk = DiskManagerBuilder::default()
        .with_mode(DiskManagerMode::Directories(vec![PathBuf::from(&run.spill_dir)]))
        .with_max_temp_directory_size(run.spill);
    RuntimeEnvBuilder::new().with_memory_pool(Arc::new(pool)).with_disk_manager_builder(disk).build_arc()
}

fn settings(threads: u32) -> SessionConfig {
    let mut config = SessionConfig::new()
        .with_target_partitions(usize::try_from(threads).unwrap_or(1).max(1))
        .with_batch_size(BATCH)
        .with_information_schema(false);
    let options = config.options_mut();
    options.sql_parser.dialect = Dialect::Generic;
    options.sql_parser.parse_float_as_decimal = true;
    // In either direction (Trino documentation, "ORDER BY clause").
    options.sql_parser.default_null_ordering = "nulls_last".to_owned();
    options.execution.parquet.pushdown_filters = true;
    options.execution.collect_statistics = false;
    config
}

fn with_catalog(making: &Making, database: &str) -> SessionState {
    let config = making.state.config().clone().with_default_catalog_and_schema(CATALOG, database);
    let state = SessionStateBuilder::new_from_existing(SessionState::clone(&making.state)).with_config(config).build();
    state.catalog_list().register_catalog(CATALOG.to_owned(), Arc::new(Catalog(making.clone())));
    state
}

/// Plans the query of a view.
pub async fn plan_view(making: &Making, view: View<'_>) -> Result<LogicalPlan> {
    let state = with_catalog(making, view.database);
    let understood = dialect::understand(view.statement)?;
    Box::pin(state.statement_to_plan(understood.statement)).await
}

/// Runs a query.
///
/// # Errors
/// See [`crate::failure::failure`].
pub async fn run(run: &Run, remote: &Remote, output: &mut impl Output) -> Result<Stats> {
    let begun = Instant::now();
    let base = SessionStateBuilder::new()
        .with_config(settings(run.threads))
        .with_runtime_env(bounds(run)?)
        .with_default_features();
    let base = functions::with(base, run.now).build();
    let making = Making { remote: remote.clone(), state: Arc::new(base), depth: 0 };
    let state = with_catalog(&making, &run.database);
    let understood = dialect::bound(&run.statement, &run.parameters)?;
    let plan = state.statement_to_plan(understood.statement).await?;
    if !matches!(plan, LogicalPlan::Explain(_) | LogicalPlan::Analyze(_)) && !is_query(&plan) {
        let words = format!("this statement is not carried out by the engine: {}", plan.display());
        return Err(Problem::Statement(words).into());
    }
    let context = SessionContext::new_with_state(state);
    let frame = context.execute_logical_plan(plan).await?;
    let (task, plan) = (Arc::new(frame.task_ctx()), frame.create_physical_plan().await?);
    let planned = Instant::now();
    output.columns(&named(&plan.schema(), &understood.names)).await?;
    let mut rows = execute_stream(plan, task)?;
    let mut count = 0;
    while let Some(batch) = rows.next().await {
        let batch = batch?;
        count += batch.num_rows() as u64;
        output.rows(&batch).await?;
    }
    let millis = |from: Instant, to: Instant| u64::try_from(to.duration_since(from).as_millis()).unwrap_or(u64::MAX);
    let read = remote.read();
    Ok(Stats {
        scanned: remote.scanned(),
        files: read.len() as u64,
        input_rows: 0,
        output_rows: count,
        planning_ms: millis(begun, planned),
        execution_ms: millis(planned, Instant::now()),
        spilled: 0,
        read,
    })
}

/// The columns under the names that the statement gives them in quotes.
fn named(schema: &Schema, names: &[Option<String>]) -> Schema {
    let shown = |(at, field): (usize, &FieldRef)| match names.get(at).and_then(Option::as_ref) {
        Some(name) if name.to_lowercase() == *field.name() => Arc::new(Field::clone(field).with_name(name)),
        _ => Arc::clone(field),
    };
    Schema::new(schema.fields().iter().enumerate().map(shown).collect::<Vec<_>>())
}

/// Whether a plan reads and changes nothing.
fn is_query(plan: &LogicalPlan) -> bool {
    !matches!(plan, LogicalPlan::Ddl(_) | LogicalPlan::Dml(_) | LogicalPlan::Copy(_) | LogicalPlan::Statement(_))
}
