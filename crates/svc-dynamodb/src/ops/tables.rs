//! Making, describing, listing and deleting tables.

use std::collections::BTreeMap;

use millpond_api_dynamodb::{
    CreateTableInput, CreateTableOutput, DeleteTableInput, DeleteTableOutput, DescribeTableInput, DescribeTableOutput,
    ListTablesInput, ListTablesOutput, SSESpecification, SSEType, TableClass, TableStatus,
};
use millpond_kernel::Caller;
use millpond_types::AccountId;

use crate::errors::{DynamoError, Failure, invalid, parameters};
use crate::inputs::Touch;
use crate::limits;
use crate::ops::policies;
use crate::ops::tags::{check_tags, named};
use crate::schema;
use crate::state::Core;
use crate::stream;

/// What AWS carries out and we do not, by what a request would have of it.
pub(crate) fn unserved(members: &[(&str, bool)]) -> Result<(), DynamoError> {
    match members.iter().find(|(_, given)| *given) {
        Some((name, _)) => Err(DynamoError::Unserved((*name).to_owned())),
        None => Ok(()),
    }
}

/// Encryption at rest is by the server's own key, as AWS's default is by a key that AWS owns; other keys are refused.
pub(crate) fn check_encryption(given: Option<&SSESpecification>) -> Result<(), DynamoError> {
    let Some(given) = given else { return Ok(()) };
    if given.enabled == Some(true) {
        return Err(DynamoError::Unserved("SSESpecification with a KMS key".to_owned()));
    }
    if given.sse_type == Some(SSEType::Aes256) || given.sse_type.is_some() || given.kms_master_key_id.is_some() {
        return Err(parameters("SSEType or KMSMasterKeyId can be specified only when Enabled is true"));
    }
    Ok(())
}

/// The caller's account; a service has no tables.
pub(crate) fn own(caller: &Caller) -> Result<AccountId, DynamoError> {
    caller.account().ok_or_else(|| DynamoError::Denied("Only accounts have tables.".to_owned()))
}

pub(crate) async fn create(
    core: &Core,
    caller: &Caller,
    input: &CreateTableInput,
) -> Result<CreateTableOutput, Failure> {
    let pin = core.kernel.epoch().now();
    let (arn, account, found) = core.named(caller, &input.table_name)?;
    let touch = |action| Touch::table(action, arn.clone(), account, found.as_ref());
    let tags: BTreeMap<String, String> =
        input.tags.iter().flatten().map(|tag| (tag.key.clone(), tag.value.clone())).collect();
    let mut touches = vec![touch("dynamodb:CreateTable")];
    if !tags.is_empty() {
        touches.push(touch("dynamodb:TagResource"));
    }
    if input.resource_policy.is_some() {
        touches.push(touch("dynamodb:PutResourcePolicy"));
    }
    let authorized = core.decide::<CreateTableInput>(pin, caller, touches, named(&tags)).await?;
    unserved(&[
        ("WarmThroughput", input.warm_throughput.is_some()),
        ("GlobalTableSourceArn", input.global_table_source_arn.is_some()),
        ("GlobalTableSettingsReplicationMode", input.global_table_settings_replication_mode.is_some()),
        ("VectorIndexes", input.vector_indexes.is_some()),
        (
            "WarmThroughput of an index",
            input.global_secondary_indexes.iter().flatten().any(|one| one.warm_throughput.is_some()),
        ),
    ])?;
    check_encryption(input.sse_specification.as_ref())?;
    if account != own(caller)? {
        return Err(invalid("A table is made in the account of its maker").into());
    }
    let name = input.table_name.rsplit('/').next().unwrap_or_default();
    let plain = CreateTableInput { table_name: name.to_owned(), ..input.clone() };
    let mut row = schema::new_table(&plain, core.millis())?;
    check_tags(&tags)?;
    if found.is_some() {
        return Err(DynamoError::InUse(format!("Table already exists: {name}")).into());
    }
    if core.tables().count(account) >= limits::MAX_TABLES {
        let text =
            format!("Subscriber limit exceeded: Provisioned table count limit of {} per account.", limits::MAX_TABLES);
        return Err(DynamoError::Limit(text).into());
    }
    row.id = core.random.u128().to_be_bytes().to_vec();
    row.tags = tags;
    row.infrequent = input.table_class == Some(TableClass::StandardInfrequentAccess);
    if let Some(text) = &input.resource_policy {
        row.policy = Some(policies::row(core, text).await?);
    }
    let ops = match &input.stream_specification {
        None => Vec::new(),
        Some(specification) => stream::switch(core, (account, name), &mut row, specification)?,
    };
    let table = core.make(authorized.pin(), (account, name), &row, ops).await?;
    Ok(CreateTableOutput { table_description: Some(core.described(&table).await?) })
}

pub(crate) async fn describe(
    core: &Core,
    caller: &Caller,
    input: &DescribeTableInput,
) -> Result<DescribeTableOutput, Failure> {
    let (_, table) = core.on_table::<DescribeTableInput>(caller, &input.table_name).await?;
    Ok(DescribeTableOutput { table: Some(core.described(&table).await?) })
}

pub(crate) async fn delete(
    core: &Core,
    caller: &Caller,
    input: &DeleteTableInput,
) -> Result<DeleteTableOutput, Failure> {
    let (authorized, table) = core.on_table::<DeleteTableInput>(caller, &input.table_name).await?;
    if table.row.protected {
        let text = "Resource cannot be deleted as it is currently protected against deletion. Disable deletion protection first.";
        return Err(invalid(text).into());
    }
    if table.is_updating() {
        let text =
            format!("Attempt to change a resource which is still in use: Table is being updated: {}", table.name);
        return Err(DynamoError::InUse(text).into());
    }
    let description = core.description(&table, TableStatus::Deleting).await?;
    core.unmake(authorized.pin(), &table, stream::ended(core, &table)).await?;
    Ok(DeleteTableOutput { table_description: Some(description) })
}

pub(crate) async fn list(core: &Core, caller: &Caller, input: &ListTablesInput) -> Result<ListTablesOutput, Failure> {
    let account = own(caller)?;
    let touch = Touch::nothing("dynamodb:ListTables", account);
    core.decide::<ListTablesInput>(core.kernel.epoch().now(), caller, vec![touch], Vec::new()).await?;
    let limit = input.limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(limits::TABLE_PAGE);
    let after = input.exclusive_start_table_name.as_deref();
    let mut names: Vec<String> = core.tables().names_after(account, after).take(limit + 1).cloned().collect();
    let more = names.len() > limit;
    names.truncate(limit);
    let last_evaluated_table_name = names.last().filter(|_| more).cloned();
    Ok(ListTablesOutput { table_names: Some(names), last_evaluated_table_name })
}
