//! A session: one statement, planned and run within bounds.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
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
use millpond_query::{FailureKind, Run, Stats};

use crate::absent;
use crate::alike;
use crate::catalog::{CATALOG, Catalog, Making};
use crate::dialect::{self, Asked, Understood};
use crate::explain;
use crate::failure::{self, Problem};
use crate::functions;
use crate::guarded;
use crate::hidden;
use crate::narrow;
use crate::near;
use crate::remote::Remote;
use crate::single;
use crate::unnest;

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
    // Conditions choose row groups and pages; rows by column after column cost more than they save (measured).
    options.execution.parquet.pushdown_filters = false;
    options.execution.collect_statistics = false;
    config
}

fn with_catalog(making: &Making, database: &str) -> SessionState {
    let config = making.state.config().clone().with_default_catalog_and_schema(CATALOG, database);
    let state = SessionStateBuilder::new_from_existing(SessionState::clone(&making.state)).with_config(config).build();
    state.catalog_list().register_catalog(CATALOG.to_owned(), Arc::new(Catalog(making.clone())));
    state
}

/// Plans a statement as it stands.
async fn planned(state: &SessionState, making: &Making, database: &str, understood: Understood) -> Result<LogicalPlan> {
    let mut statement = understood.statement;
    if understood.hidden {
        hidden::out_of_stars(state, &making.remote, database, &mut statement).await?;
    }
    checked(Box::pin(state.statement_to_plan(statement)).await?)
}

/// Plans the query of a view.
pub async fn plan_view(making: &Making, view: View<'_>) -> Result<LogicalPlan> {
    let planning = async {
        let understood = dialect::understand(view.statement, &[])?;
        let making = Making { hidden: understood.hidden, ..making.clone() };
        let state = with_catalog(&making, view.database);
        planned(&state, &making, view.database, understood).await
    };
    planning.await.map_err(|error| {
        let failed = failure::failure(&error);
        if failed.kind() != FailureKind::Statement || failed.message.starts_with("INVALID_VIEW") {
            return error;
        }
        let words = dialect::placed(view.statement, failed.message);
        Problem::Statement(format!("INVALID_VIEW: Failed analyzing a stored view: {words}")).into()
    })
}

/// A plan whose expressions were looked at.
fn checked(plan: LogicalPlan) -> Result<LogicalPlan> {
    alike::check(&plan)?;
    unnest::lower(narrow::numbers(absent::lower(single::lower(plan)?)?)?)
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
        .with_default_features()
        .with_physical_optimizer_rules(near::rules())
        .with_relation_planners(vec![Arc::new(unnest::Planner)]);
    let base = functions::with(base, run.now, &run.database).build();
    let understood = dialect::understand(&run.statement, &run.parameters)?;
    let (names, asked) = (understood.names.clone(), understood.asked);
    let hidden = understood.hidden;
    let making = Making { remote: remote.clone(), state: Arc::new(base), now: run.now, depth: 0, hidden };
    let state = with_catalog(&making, &run.database);
    let plan = planned(&state, &making, &run.database, understood).await?;
    if !is_query(&plan) {
        let words = format!("this statement is not carried out by the engine: {}", plan.display());
        return Err(Problem::Statement(words).into());
    }
    let context = SessionContext::new_with_state(state);
    let frame = context.execute_logical_plan(plan).await?;
    let (state, logical) = frame.into_parts();
    let logical = functions::like(guarded::lower(functions::close(state.optimize(&logical)?)?)?)?;
    let plan = state.query_planner().create_physical_plan(&logical, &state).await?;
    let task = Arc::new(datafusion::execution::TaskContext::from(&state));
    let planned = Instant::now();
    let mut count = 0;
    match asked {
        Asked::Rows => {
            output.columns(&dialect::shown(&plan.schema(), &names)).await?;
            let mut rows = execute_stream(Arc::clone(&plan), task)?;
            while let Some(batch) = rows.next().await {
                let batch = batch?;
                count += batch.num_rows() as u64;
                output.rows(&batch).await?;
            }
        }
        Asked::Validate => count = told(output, explain::valid()?).await?,
        Asked::Plan(form) => count = told(output, explain::plan(&logical, plan.as_ref(), form)?).await?,
        Asked::Analyze => {
            let mut rows = execute_stream(Arc::clone(&plan), task)?;
            while let Some(batch) = rows.next().await {
                count += batch?.num_rows() as u64;
            }
            let millis = (millis(begun, planned), millis(planned, Instant::now()));
            let words = explain::analyzed(plan.as_ref(), remote, count, millis)?;
            count = told(output, words).await?;
        }
    }
    let (read, cost) = (remote.read(), explain::cost(plan.as_ref()));
    Ok(Stats {
        scanned: remote.scanned(),
        files: read.len() as u64,
        input_rows: cost.rows,
        output_rows: count,
        planning_ms: millis(begun, planned),
        execution_ms: millis(planned, Instant::now()),
        spilled: cost.spilled,
        read,
    })
}

fn millis(from: Instant, to: Instant) -> u64 {
    u64::try_from(to.duration_since(from).as_millis()).unwrap_or(u64::MAX)
}

/// Gives what is told of a plan instead of rows.
async fn told(output: &mut impl Output, rows: RecordBatch) -> Result<u64> {
    output.columns(&rows.schema()).await?;
    output.rows(&rows).await?;
    Ok(rows.num_rows() as u64)
}

/// Whether a plan reads and changes nothing.
fn is_query(plan: &LogicalPlan) -> bool {
    !matches!(plan, LogicalPlan::Ddl(_) | LogicalPlan::Dml(_) | LogicalPlan::Copy(_) | LogicalPlan::Statement(_))
}
