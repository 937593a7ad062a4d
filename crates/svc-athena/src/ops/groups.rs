//! Work groups. `primary` is always there; it has a row from its first change on.

use std::sync::Arc;

use millpond_api_athena as api;
use millpond_kernel::{Caller, paging};
use millpond_meta::Op;
use millpond_types::{AccountId, Timestamp};

use super::tags;
use crate::clock::to_empty;
use crate::errors::{AthenaError, Failure, invalid, unserved};
use crate::inputs::Touch;
use crate::limits::{MAX_GROUPS, MAX_LISTED, MIN_CUTOFF};
use crate::output;
use crate::shown;
use crate::state::{Core, ENGINE, ENGINE_AUTO, Group, PRIMARY, decode, no_group};
use crate::tables::{self, GroupRow};

/// The engine that is selected, as it is kept.
fn engine(given: Option<&api::EngineVersion>) -> Result<String, AthenaError> {
    match given.and_then(|given| given.selected_engine_version.as_deref()) {
        None => Ok(ENGINE_AUTO.to_owned()),
        Some(version) if version.eq_ignore_ascii_case(ENGINE_AUTO) => Ok(ENGINE_AUTO.to_owned()),
        Some(ENGINE) => Ok(ENGINE.to_owned()),
        Some(other) => unserved(format!("The engine version {other}, other than {ENGINE},")),
    }
}

fn cutoff(given: Option<i64>) -> Result<u64, AthenaError> {
    match given {
        None => Ok(0),
        Some(bytes) if bytes >= MIN_CUTOFF => Ok(bytes.unsigned_abs()),
        Some(_) => invalid(format!("BytesScannedCutoffPerQuery must be at least {MIN_CUTOFF} bytes.")),
    }
}

/// Refuses what is set and not carried out.
fn refuse(unserved_ones: &[(&str, bool)]) -> Result<(), AthenaError> {
    match unserved_ones.iter().find(|(_, is_set)| *is_set) {
        Some((name, _)) => unserved(format!("The setting {name} of work groups")),
        None => Ok(()),
    }
}

fn refuse_unserved(given: &api::WorkGroupConfiguration) -> Result<(), AthenaError> {
    let managed = given.managed_query_results_configuration.as_ref();
    let identities = given.identity_center_configuration.as_ref();
    let grants = given.query_results_s3_access_grants_configuration.as_ref();
    let tables = given.system_table_statuses.as_deref().unwrap_or_default();
    refuse(&[
        ("ManagedQueryResultsConfiguration", managed.is_some_and(|managed| managed.enabled)),
        ("AdditionalConfiguration", given.additional_configuration.is_some()),
        ("ExecutionRole", given.execution_role.is_some()),
        ("MonitoringConfiguration", given.monitoring_configuration.is_some()),
        ("EngineConfiguration", given.engine_configuration.is_some()),
        ("CustomerContentEncryptionConfiguration", given.customer_content_encryption_configuration.is_some()),
        ("EnableMinimumEncryptionConfiguration", given.enable_minimum_encryption_configuration == Some(true)),
        ("IdentityCenterConfiguration", identities.is_some_and(|it| it.enable_identity_center == Some(true))),
        ("QueryResultsS3AccessGrantsConfiguration", grants.is_some_and(|grants| grants.enable_s3_access_grants)),
        ("SystemTableStatuses", tables.iter().any(|table| table.enabled)),
    ])
}

fn refuse_updates(given: &api::WorkGroupConfigurationUpdates) -> Result<(), AthenaError> {
    let managed = given.managed_query_results_configuration_updates.as_ref();
    let grants = given.query_results_s3_access_grants_configuration.as_ref();
    refuse(&[
        ("ManagedQueryResultsConfiguration", managed.is_some_and(|managed| managed.enabled == Some(true))),
        ("AdditionalConfiguration", given.additional_configuration.is_some()),
        ("ExecutionRole", given.execution_role.is_some()),
        ("MonitoringConfiguration", given.monitoring_configuration.is_some()),
        ("EngineConfiguration", given.engine_configuration.is_some()),
        ("CustomerContentEncryptionConfiguration", given.customer_content_encryption_configuration.is_some()),
        ("EnableMinimumEncryptionConfiguration", given.enable_minimum_encryption_configuration == Some(true)),
        ("QueryResultsS3AccessGrantsConfiguration", grants.is_some_and(|grants| grants.enable_s3_access_grants)),
    ])
}

pub(crate) async fn create(
    core: &Arc<Core>,
    caller: &Arc<Caller>,
    account: AccountId,
    input: &api::CreateWorkGroupInput,
) -> Result<api::CreateWorkGroupOutput, Failure> {
    let tags = tags::checked(input.tags.as_deref().unwrap_or_default())?;
    let on = core.on_group(account, &input.name, None);
    let pin = core.authorize(caller, Touch::new(input, account, vec![on]).tags(&tags)).await?;
    let given = input.configuration.clone().unwrap_or_default();
    refuse_unserved(&given)?;
    match core.any_group(account, &input.name).await? {
        Some(group) if group.row.deleting => {
            return Ok(invalid(format!("WorkGroup {} is being deleted.", input.name))?);
        }
        Some(_) => return Ok(invalid("WorkGroup is already created")?),
        None => {}
    }
    let (rows, more) = core.listed(tables::all(tables::GROUPS, account), None, MAX_GROUPS).await?;
    if more.is_some() || rows.len() >= MAX_GROUPS {
        return Ok(invalid(format!("An account has at most {MAX_GROUPS} work groups."))?);
    }
    let row = GroupRow {
        created: core.clock.now().0,
        description: input.description.clone(),
        disabled: false,
        results: output::configured(given.result_configuration.as_ref())?,
        enforce: given.enforce_work_group_configuration.unwrap_or(true),
        publish: given.publish_cloud_watch_metrics_enabled.unwrap_or(true),
        cutoff: cutoff(given.bytes_scanned_cutoff_per_query)?,
        requester_pays: given.requester_pays_enabled.unwrap_or_default(),
        engine: engine(given.engine_version.as_ref())?,
        tags,
        deleting: false,
    };
    let key = tables::group(account, &input.name);
    let conds = vec![millpond_meta::Cond::Absent(key.clone())];
    core.commit(pin, conds, vec![Op::Put(key, tables::encode(&row))], false).await?;
    Ok(api::CreateWorkGroupOutput {})
}

fn state(row: &GroupRow) -> api::WorkGroupState {
    if row.disabled { api::WorkGroupState::Disabled } else { api::WorkGroupState::Enabled }
}

fn time(nanos: u64) -> Option<Timestamp> {
    (nanos > 0).then_some(Timestamp(nanos))
}

pub(crate) async fn get(
    core: &Arc<Core>,
    caller: &Arc<Caller>,
    account: AccountId,
    input: &api::GetWorkGroupInput,
) -> Result<api::GetWorkGroupOutput, Failure> {
    let (group, _) = core.authorize_group(caller, account, input, &input.work_group).await?;
    let Group { name, row, .. } = group.ok_or_else(no_group)?;
    let configuration = api::WorkGroupConfiguration {
        result_configuration: Some(output::shown(&row.results)),
        enforce_work_group_configuration: Some(row.enforce),
        publish_cloud_watch_metrics_enabled: Some(row.publish),
        bytes_scanned_cutoff_per_query: i64::try_from(row.cutoff).ok().filter(|bytes| *bytes > 0),
        requester_pays_enabled: Some(row.requester_pays),
        engine_version: Some(shown::engine(&row.engine)),
        enable_minimum_encryption_configuration: Some(false),
        ..api::WorkGroupConfiguration::default()
    };
    Ok(api::GetWorkGroupOutput {
        work_group: Some(api::WorkGroup {
            name,
            state: Some(state(&row)),
            configuration: Some(configuration),
            description: row.description,
            creation_time: time(row.created),
            identity_center_application_arn: None,
        }),
    })
}

pub(crate) async fn update(
    core: &Arc<Core>,
    caller: &Arc<Caller>,
    account: AccountId,
    input: &api::UpdateWorkGroupInput,
) -> Result<api::UpdateWorkGroupOutput, Failure> {
    let (group, pin) = core.authorize_group(caller, account, input, &input.work_group).await?;
    let group = group.ok_or_else(no_group)?;
    let row = updated(group.row.clone(), input)?;
    let ops = vec![Op::Put(group.key.clone(), tables::encode(&row))];
    core.commit(pin, vec![group.unchanged()], ops, false).await?;
    Ok(api::UpdateWorkGroupOutput {})
}

fn updated(mut row: GroupRow, input: &api::UpdateWorkGroupInput) -> Result<GroupRow, AthenaError> {
    row.description = input.description.clone().or(row.description);
    if let Some(state) = input.state {
        row.disabled = state == api::WorkGroupState::Disabled;
    }
    let Some(given) = &input.configuration_updates else { return Ok(row) };
    refuse_updates(given)?;
    if let Some(results) = &given.result_configuration_updates {
        row.results = output::updated(row.results, results)?;
    }
    if given.remove_bytes_scanned_cutoff_per_query == Some(true) {
        if given.bytes_scanned_cutoff_per_query.is_some() {
            let both = "BytesScannedCutoffPerQuery and RemoveBytesScannedCutoffPerQuery cannot be specified together.";
            return invalid(both);
        }
        row.cutoff = 0;
    }
    if given.bytes_scanned_cutoff_per_query.is_some() {
        row.cutoff = cutoff(given.bytes_scanned_cutoff_per_query)?;
    }
    row.enforce = given.enforce_work_group_configuration.unwrap_or(row.enforce);
    row.publish = given.publish_cloud_watch_metrics_enabled.unwrap_or(row.publish);
    row.requester_pays = given.requester_pays_enabled.unwrap_or(row.requester_pays);
    if given.engine_version.is_some() {
        row.engine = engine(given.engine_version.as_ref())?;
    }
    Ok(row)
}

pub(crate) async fn delete(
    core: &Arc<Core>,
    caller: &Arc<Caller>,
    account: AccountId,
    input: &api::DeleteWorkGroupInput,
) -> Result<api::DeleteWorkGroupOutput, Failure> {
    let (group, pin) = core.authorize_group(caller, account, input, &input.work_group).await?;
    if input.work_group == PRIMARY {
        return Ok(invalid("The primary workgroup cannot be deleted.")?);
    }
    let group = group.ok_or_else(no_group)?;
    if input.recursive_delete_option != Some(true) {
        for table in [tables::EXECUTIONS_OF, tables::NAMED_OF, tables::PREPARED] {
            if !core.is_empty(tables::of_group(table, account, &group.name)).await? {
                return Ok(invalid(
                    "WorkGroup is not empty. To delete it with its contents, set RecursiveDeleteOption.",
                )?);
            }
        }
    }
    let row = GroupRow { deleting: true, ..group.row.clone() };
    let ops = vec![Op::Put(group.key.clone(), tables::encode(&row)), to_empty(&core.timers, &group.key)];
    core.commit(pin, vec![group.unchanged()], ops, true).await?;
    Ok(api::DeleteWorkGroupOutput {})
}

pub(crate) async fn list(
    core: &Arc<Core>,
    caller: &Arc<Caller>,
    account: AccountId,
    input: &api::ListWorkGroupsInput,
) -> Result<api::ListWorkGroupsOutput, Failure> {
    core.authorize(caller, Touch::new(input, account, vec![core.on_all(account)])).await?;
    let mut groups = std::collections::BTreeMap::new();
    let primary = core.group(account, PRIMARY).await?.map(|group| group.row).unwrap_or_default();
    groups.insert(PRIMARY.to_owned(), primary);
    for (key, raw) in core.listed(tables::all(tables::GROUPS, account), None, MAX_GROUPS + 1).await?.0 {
        let row: GroupRow = decode(&raw)?;
        if !row.deleting {
            groups.insert(tables::account_and_name(&key)?.1, row);
        }
    }
    let bad = |_| AthenaError::Invalid("The NextToken is not valid.".to_owned());
    let page = paging::Page::new(paging::limit(input.max_results, MAX_LISTED), input.next_token.as_deref());
    let (shown, next_token) = page.map_err(bad)?.cut(groups.into_iter().map(|(name, row)| {
        let summary = api::WorkGroupSummary {
            name: Some(name.clone()),
            state: Some(state(&row)),
            description: row.description,
            creation_time: time(row.created),
            engine_version: Some(shown::engine(&row.engine)),
            identity_center_application_arn: None,
        };
        (name, summary)
    }));
    Ok(api::ListWorkGroupsOutput { work_groups: Some(shown), next_token })
}
