//! Executions as the API shows them.

use millpond_api_athena as api;
use millpond_query::Stats;
use millpond_types::Timestamp;

use crate::errors::AthenaError;
use crate::output;
use crate::state::{CATALOG, Core, ENGINE, ENGINE_AUTO, Stored, uuid};
use crate::tables::{ExecutionRow, SaidRow, State};

/// Milliseconds of an execution.
struct Times {
    queued: u64,
    engine: u64,
    planning: u64,
    after: u64,
    total: u64,
}

fn millis(nanos: u64) -> u64 {
    nanos / 1_000_000
}

fn number(value: u64) -> Option<i64> {
    i64::try_from(value).ok()
}

impl Times {
    fn of(row: &ExecutionRow, now: u64) -> Self {
        let end = if row.completed > 0 { row.completed } else { now };
        let start = if row.started > 0 { row.started } else { end };
        let ran = millis(end.saturating_sub(start));
        let engine = if row.completed > 0 { row.stats.planning + row.stats.execution } else { ran };
        Self {
            queued: millis(start.saturating_sub(row.submitted)),
            engine,
            planning: row.stats.planning,
            after: ran.saturating_sub(engine),
            total: millis(end.saturating_sub(row.submitted)),
        }
    }
}

fn state(state: State) -> api::QueryExecutionState {
    match state {
        State::Queued => api::QueryExecutionState::Queued,
        State::Running => api::QueryExecutionState::Running,
        State::Succeeded => api::QueryExecutionState::Succeeded,
        State::Failed => api::QueryExecutionState::Failed,
        State::Cancelled => api::QueryExecutionState::Cancelled,
    }
}

/// The engine, selected so.
pub(crate) fn engine(selected: &str) -> api::EngineVersion {
    api::EngineVersion {
        selected_engine_version: Some(selected.to_owned()),
        effective_engine_version: Some(ENGINE.to_owned()),
    }
}

/// What was said of reuse.
fn reuse(row: &ExecutionRow) -> api::ResultReuseConfiguration {
    let max_age_in_minutes = row.reuse.and_then(|minutes| i32::try_from(minutes).ok());
    let enabled = row.reuse.is_some();
    let by_age = api::ResultReuseByAgeConfiguration { enabled, max_age_in_minutes };
    api::ResultReuseConfiguration { result_reuse_by_age_configuration: Some(by_age) }
}

impl Core {
    /// With what it has read so far, if it runs.
    fn with_progress(&self, stored: &Stored) -> ExecutionRow {
        let mut row = stored.row.clone();
        if !row.state().is_final()
            && let Some(live) = self.running.get(stored.id)
        {
            let Stats { scanned, input_rows, planning_ms, .. } = live.stats();
            (row.stats.scanned, row.stats.input_rows, row.stats.planning) = (scanned, input_rows, planning_ms);
        }
        row
    }

    pub async fn shown(&self, stored: &Stored) -> Result<api::QueryExecution, AthenaError> {
        let row = self.with_progress(stored);
        let said: SaidRow = self.unseal_row(stored.id, "said", &row.said).await?;
        let reason = match &row.reason {
            Some(reason) => Some(self.unseal_text(stored.id, "reason", reason).await?),
            None => None,
        };
        Ok(api::QueryExecution {
            query_execution_id: Some(uuid(stored.id)),
            query: Some(said.statement),
            statement_type: api::StatementType::parse(&row.kind),
            result_configuration: Some(output::shown(&row.results)),
            result_reuse_configuration: Some(reuse(&row)),
            query_execution_context: Some(api::QueryExecutionContext {
                database: Some(row.database.clone()),
                catalog: Some(row.catalog.clone()).filter(|catalog| !catalog.is_empty()).or(Some(CATALOG.to_owned())),
            }),
            status: Some(status(&row, reason)),
            statistics: Some(statistics(&row, self.clock.now().0)),
            work_group: Some(row.group.clone()),
            engine_version: Some(engine(ENGINE_AUTO)),
            execution_parameters: (!said.parameters.is_empty()).then_some(said.parameters),
            substatement_type: Some(row.subkind.clone()).filter(|kind| !kind.is_empty()),
            ..api::QueryExecution::default()
        })
    }

    pub fn shown_statistics(&self, stored: &Stored) -> api::QueryRuntimeStatistics {
        let row = self.with_progress(stored);
        let times = Times::of(&row, self.clock.now().0);
        api::QueryRuntimeStatistics {
            timeline: Some(api::QueryRuntimeStatisticsTimeline {
                query_queue_time_in_millis: number(times.queued),
                service_pre_processing_time_in_millis: Some(0),
                query_planning_time_in_millis: number(times.planning),
                engine_execution_time_in_millis: number(times.engine),
                service_processing_time_in_millis: number(times.after),
                total_execution_time_in_millis: number(times.total),
            }),
            rows: Some(api::QueryRuntimeStatisticsRows {
                input_rows: number(row.stats.input_rows),
                input_bytes: number(row.stats.scanned),
                output_bytes: number(row.stats.output_bytes),
                output_rows: number(row.stats.output_rows),
            }),
            output_stage: None,
        }
    }
}

fn status(row: &ExecutionRow, reason: Option<String>) -> api::QueryExecutionStatus {
    let error = row.error.map(|error| api::AthenaError {
        error_category: i32::try_from(error.category).ok(),
        error_type: i32::try_from(error.kind).ok(),
        retryable: Some(error.retryable),
        error_message: reason.clone(),
    });
    api::QueryExecutionStatus {
        state: Some(state(row.state())),
        state_change_reason: reason,
        submission_date_time: Some(Timestamp(row.submitted)),
        completion_date_time: (row.completed > 0).then_some(Timestamp(row.completed)),
        athena_error: error,
    }
}

fn statistics(row: &ExecutionRow, now: u64) -> api::QueryExecutionStatistics {
    let times = Times::of(row, now);
    api::QueryExecutionStatistics {
        engine_execution_time_in_millis: number(times.engine),
        data_scanned_in_bytes: number(row.stats.scanned),
        total_execution_time_in_millis: number(times.total),
        query_queue_time_in_millis: number(times.queued),
        service_pre_processing_time_in_millis: Some(0),
        query_planning_time_in_millis: number(times.planning),
        service_processing_time_in_millis: number(times.after),
        result_reuse_information: Some(api::ResultReuseInformation { reused_previous_result: row.reused }),
        ..api::QueryExecutionStatistics::default()
    }
}
