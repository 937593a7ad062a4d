//! Partitions in batches: what goes wrong with one entry is told of it, the others are carried out, in one commit.

use std::sync::Arc;

use millpond_api_glue as api;
use millpond_kernel::Caller;
use millpond_types::AccountId;

use super::partitions::{add, commit, key_of, remove, replace, show};
use crate::draft::Draft;
use crate::errors::{Failure, GlueError, unserved};
use crate::kept::Pieces;
use crate::state::{Core, Place, decode};

/// What is wrong with one entry, or with all of the request.
fn of_entry(done: Result<(), GlueError>) -> Result<Option<api::ErrorDetail>, GlueError> {
    match done {
        Ok(()) => Ok(None),
        Err(error @ (GlueError::Exists(_) | GlueError::NotFound(_) | GlueError::Invalid(_))) => {
            Ok(Some(error.detail()))
        }
        Err(other) => Err(other),
    }
}

pub(crate) async fn create(
    core: &Arc<Core>,
    caller: &Caller,
    account: AccountId,
    input: &api::BatchCreatePartitionInput,
) -> Result<api::BatchCreatePartitionOutput, Failure> {
    let place =
        Place { catalog: input.catalog_id.as_deref(), database: &input.database_name, table: &input.table_name };
    let on = core.on_table(caller, account, input, place).await?;
    let (mut draft, mut errors) = (Draft::default(), Vec::new());
    for entry in &input.partition_input_list {
        if let Some(detail) = of_entry(add(core, &on.table, entry, &mut draft).await)? {
            errors.push(api::PartitionError { partition_values: entry.values.clone(), error_detail: Some(detail) });
        }
    }
    commit(core, &on, draft).await?;
    Ok(api::BatchCreatePartitionOutput { errors: Some(errors) })
}

pub(crate) async fn update(
    core: &Arc<Core>,
    caller: &Caller,
    account: AccountId,
    input: &api::BatchUpdatePartitionInput,
) -> Result<api::BatchUpdatePartitionOutput, Failure> {
    let place =
        Place { catalog: input.catalog_id.as_deref(), database: &input.database_name, table: &input.table_name };
    let on = core.on_table(caller, account, input, place).await?;
    let (mut draft, mut errors) = (Draft::default(), Vec::new());
    for entry in &input.entries {
        let values = &entry.partition_value_list;
        let done = replace(core, &on.table, values, &entry.partition_input, &mut draft).await;
        if let Some(detail) = of_entry(done)? {
            errors.push(api::BatchUpdatePartitionFailureEntry {
                partition_value_list: Some(values.clone()),
                error_detail: Some(detail),
            });
        }
    }
    commit(core, &on, draft).await?;
    Ok(api::BatchUpdatePartitionOutput { errors: Some(errors) })
}

pub(crate) async fn delete(
    core: &Arc<Core>,
    caller: &Caller,
    account: AccountId,
    input: &api::BatchDeletePartitionInput,
) -> Result<api::BatchDeletePartitionOutput, Failure> {
    let place =
        Place { catalog: input.catalog_id.as_deref(), database: &input.database_name, table: &input.table_name };
    let on = core.on_table(caller, account, input, place).await?;
    let (mut draft, mut errors) = (Draft::default(), Vec::new());
    for entry in &input.partitions_to_delete {
        if let Some(detail) = of_entry(remove(core, &on.table, &entry.values, &mut draft).await)? {
            let partition_values = Some(entry.values.clone());
            errors.push(api::PartitionError { partition_values, error_detail: Some(detail) });
        }
    }
    commit(core, &on, draft).await?;
    Ok(api::BatchDeletePartitionOutput { errors: Some(errors) })
}

pub(crate) async fn get(
    core: &Arc<Core>,
    caller: &Caller,
    account: AccountId,
    input: &api::BatchGetPartitionInput,
) -> Result<api::BatchGetPartitionOutput, Failure> {
    unserved("QuerySessionContext", input.query_session_context.as_ref())?;
    let place =
        Place { catalog: input.catalog_id.as_deref(), database: &input.database_name, table: &input.table_name };
    let on = core.on_table(caller, account, input, place).await?;
    let (mut partitions, mut pieces) = (Vec::new(), Pieces::default());
    for wanted in &input.partitions_to_get {
        // What is not there is left out.
        if let Some(raw) = core.kv.get(&key_of(&on.table, &wanted.values)?).await? {
            let found = (wanted.values.clone(), decode(&raw)?);
            partitions.push(show(core, &on, found, true, &mut pieces).await?);
        }
    }
    Ok(api::BatchGetPartitionOutput { partitions: Some(partitions), unprocessed_keys: Some(Vec::new()) })
}
