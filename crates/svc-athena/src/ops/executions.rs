//! Executions: shown, listed, stopped.

use std::collections::BTreeMap;
use std::sync::Arc;

use millpond_api_athena as api;
use millpond_kernel::{Caller, Pin, paging};
use millpond_types::AccountId;

use crate::change::{self, ended};
use crate::errors::{AthenaError, Failure};
use crate::inputs::{Input, Touch};
use crate::limits::MAX_LISTED;
use crate::state::{Core, PRIMARY, Stored, id_of, no_group, uuid};
use crate::tables::{self, State};

fn missing(id: &str) -> AthenaError {
    AthenaError::Invalid(format!("QueryExecution {id} was not found"))
}

/// An execution that the caller may do something with. Of one that is not there, who may do it everywhere learns that.
pub(crate) async fn touched<I: Input>(
    core: &Core,
    caller: &Caller,
    account: AccountId,
    input: &I,
    id: &str,
) -> Result<(Stored, Pin), AthenaError> {
    let found = match id_of(id) {
        Some(id) => core.execution(account, id).await?,
        None => None,
    };
    let name = found.as_ref().map_or("*", |stored| stored.row.group.as_str());
    let group = if found.is_some() { core.any_group(account, name).await? } else { None };
    let on = core.on_group(account, name, group.as_ref().map(|group| &group.row.tags));
    let pin = core.authorize(caller, Touch::new(input, account, vec![on])).await?;
    Ok((found.ok_or_else(|| missing(id))?, pin))
}

pub(crate) async fn get(
    core: &Arc<Core>,
    caller: &Arc<Caller>,
    account: AccountId,
    input: &api::GetQueryExecutionInput,
) -> Result<api::GetQueryExecutionOutput, Failure> {
    let (stored, _) = touched(core, caller, account, input, &input.query_execution_id).await?;
    Ok(api::GetQueryExecutionOutput { query_execution: Some(core.shown(&stored).await?) })
}

pub(crate) async fn statistics(
    core: &Arc<Core>,
    caller: &Arc<Caller>,
    account: AccountId,
    input: &api::GetQueryRuntimeStatisticsInput,
) -> Result<api::GetQueryRuntimeStatisticsOutput, Failure> {
    let (stored, _) = touched(core, caller, account, input, &input.query_execution_id).await?;
    Ok(api::GetQueryRuntimeStatisticsOutput { query_runtime_statistics: Some(core.shown_statistics(&stored)) })
}

/// Decides about all work groups that some things are in; of none, about any.
pub(crate) async fn authorize_groups<I: Input>(
    core: &Core,
    caller: &Caller,
    account: AccountId,
    input: &I,
    names: impl Iterator<Item = &str>,
) -> Result<(), AthenaError> {
    let mut on = BTreeMap::new();
    for name in names {
        if !on.contains_key(name) {
            let group = core.any_group(account, name).await?;
            on.insert(name.to_owned(), core.on_group(account, name, group.as_ref().map(|group| &group.row.tags)));
        }
    }
    if on.is_empty() {
        on.insert("*".to_owned(), core.on_group(account, "*", None));
    }
    core.authorize(caller, Touch::new(input, account, on.into_values().collect())).await.map(drop)
}

pub(crate) async fn batch_get(
    core: &Arc<Core>,
    caller: &Arc<Caller>,
    account: AccountId,
    input: &api::BatchGetQueryExecutionInput,
) -> Result<api::BatchGetQueryExecutionOutput, Failure> {
    let (mut found, mut unprocessed) = (Vec::new(), Vec::new());
    for id in &input.query_execution_ids {
        let stored = match id_of(id) {
            Some(id) => core.execution(account, id).await?,
            None => None,
        };
        match stored {
            Some(stored) => found.push(stored),
            None => unprocessed.push(api::UnprocessedQueryExecutionId {
                query_execution_id: Some(id.clone()),
                error_code: Some("INVALID_INPUT".to_owned()),
                error_message: Some(missing(id).to_string()),
            }),
        }
    }
    authorize_groups(core, caller, account, input, found.iter().map(|stored| stored.row.group.as_str())).await?;
    let mut shown = Vec::with_capacity(found.len());
    for stored in &found {
        shown.push(core.shown(stored).await?);
    }
    Ok(api::BatchGetQueryExecutionOutput {
        query_executions: Some(shown),
        unprocessed_query_execution_ids: Some(unprocessed),
    })
}

pub(crate) async fn list(
    core: &Arc<Core>,
    caller: &Arc<Caller>,
    account: AccountId,
    input: &api::ListQueryExecutionsInput,
) -> Result<api::ListQueryExecutionsOutput, Failure> {
    let name = input.work_group.as_deref().unwrap_or(PRIMARY);
    let (group, _) = core.authorize_group(caller, account, input, name).await?;
    group.ok_or_else(no_group)?;
    let (prefix, limit) =
        (tables::of_group(tables::EXECUTIONS_OF, account, name), paging::limit(input.max_results, MAX_LISTED));
    let (rows, next_token) = core.listed(prefix, input.next_token.as_deref(), limit).await?;
    let ids: Result<Vec<_>, _> = rows.iter().map(|(key, _)| tables::last_id(key).map(uuid)).collect();
    Ok(api::ListQueryExecutionsOutput { query_execution_ids: Some(ids?), next_token })
}

pub(crate) async fn stop(
    core: &Arc<Core>,
    caller: &Arc<Caller>,
    account: AccountId,
    input: &api::StopQueryExecutionInput,
) -> Result<api::StopQueryExecutionOutput, Failure> {
    let (stored, pin) = touched(core, caller, account, input, &input.query_execution_id).await?;
    // One that is over stays as it is.
    if !stored.row.state().is_final() {
        let mut row = stored.row.clone();
        ended(&mut row, State::Cancelled, core.clock.now().0);
        if let Some(live) = core.running.get(stored.id) {
            row.stats = crate::run::shown_stats(&live.stats(), 0, 0);
        }
        let (reason, mut ops) = core.reason(stored.id, "Query cancelled by user")?;
        row.reason = Some(reason);
        ops.extend(change::put(account, &stored, &row));
        core.commit(pin, vec![stored.unchanged()], ops, false).await?;
        core.running.cancel(stored.id);
    }
    Ok(api::StopQueryExecutionOutput {})
}
