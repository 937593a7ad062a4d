//! Log groups.

use std::collections::BTreeMap;
use std::sync::Arc;

use millpond_api_logs as api;
use millpond_kernel::Caller;
use millpond_meta::key::{prefix_range, successor};
use millpond_meta::{Cond, Op};
use millpond_types::AccountId;

use super::tags;
use crate::errors::{Failure, LogsError};
use crate::inputs::Touch;
use crate::limits::{MAX_LISTED, MAX_SUMMARIES, PAGE};
use crate::paging;
use crate::state::{Core, Group, group_of};
use crate::tables::{self, GroupRow};

/// Retentions in days that there are (API reference, PutRetentionPolicy).
const RETENTIONS: [i32; 24] = [
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653, 4383, 5475,
];
/// Names that begin so are AWS's.
const RESERVED: &str = "aws/";

pub(crate) async fn create(
    core: &Arc<Core>,
    caller: &Caller,
    account: AccountId,
    input: &api::CreateLogGroupInput,
) -> Result<api::CreateLogGroupOutput, Failure> {
    if input.kms_key_id.is_some() {
        return Err(LogsError::Unserved("CreateLogGroup kmsKeyId").into());
    }
    if input.deletion_protection_enabled == Some(true) {
        return Err(LogsError::Unserved("CreateLogGroup deletionProtectionEnabled").into());
    }
    if input.log_group_class.is_some_and(|class| class != api::LogGroupClass::Standard) {
        return Err(LogsError::Unserved("CreateLogGroup logGroupClass other than STANDARD").into());
    }
    let name = &input.log_group_name;
    if name.starts_with(RESERVED) {
        let text = "Log groups starting with AWS/ are reserved for AWS. Please use a different name.";
        return Err(LogsError::Invalid(text.to_owned()).into());
    }
    let new = input.tags.clone().unwrap_or_default();
    tags::check(&new)?;
    let mut touch = Touch::new(input, account, core.arn(account, name, ":log-stream:")).tags(&new);
    if !new.is_empty() {
        touch = touch.and("logs:TagResource", core.arn(account, name, ""));
    }
    let authorized = core.authorize(caller, touch).await?;
    if core.find_group(account, name).await?.is_some() {
        return Err(LogsError::Exists("The specified log group already exists").into());
    }
    let id = core.random_id();
    let row = GroupRow { id: id.to_be_bytes().to_vec(), created: core.now(), retention: 0, tags: new };
    let key = tables::group(account, name);
    let ops = vec![
        Op::Put(key.clone(), tables::encode(&row)),
        Op::Put(tables::of_group(tables::ALIVE, id), bytes::Bytes::new()),
    ];
    core.commit(authorized.pin(), vec![Cond::Absent(key)], ops).await?;
    Ok(api::CreateLogGroupOutput {})
}

pub(crate) async fn delete(
    core: &Arc<Core>,
    caller: &Caller,
    account: AccountId,
    input: &api::DeleteLogGroupInput,
) -> Result<api::DeleteLogGroupOutput, Failure> {
    let (authorized, group) = on_group(core, caller, account, input, &input.log_group_name).await?;
    let key = tables::group(account, &group.name);
    let ops = vec![
        Op::Delete(key.clone()),
        Op::Delete(tables::of_group(tables::ALIVE, group.id)),
        Op::Put(tables::of_group(tables::REMOVALS, group.id), bytes::Bytes::new()),
    ];
    core.commit_urgent(authorized, vec![Cond::Equals(key, group.raw)], ops).await?;
    core.removal.notify_one();
    Ok(api::DeleteLogGroupOutput {})
}

pub(crate) async fn put_retention(
    core: &Arc<Core>,
    caller: &Caller,
    account: AccountId,
    input: &api::PutRetentionPolicyInput,
) -> Result<api::PutRetentionPolicyOutput, Failure> {
    let days = input.retention_in_days;
    if !RETENTIONS.contains(&days) {
        let known = RETENTIONS.map(|days| days.to_string()).join(", ");
        let text = format!(
            "1 validation error detected: Value '{days}' at 'retentionInDays' failed to satisfy constraint: Member must satisfy enum value set: [{known}]"
        );
        return Err(LogsError::Invalid(text).into());
    }
    let (pin, group) = on_group(core, caller, account, input, &input.log_group_name).await?;
    retain(core, pin, group, days.unsigned_abs()).await?;
    core.removal.notify_one();
    Ok(api::PutRetentionPolicyOutput {})
}

pub(crate) async fn delete_retention(
    core: &Arc<Core>,
    caller: &Caller,
    account: AccountId,
    input: &api::DeleteRetentionPolicyInput,
) -> Result<api::DeleteRetentionPolicyOutput, Failure> {
    let (pin, group) = on_group(core, caller, account, input, &input.log_group_name).await?;
    retain(core, pin, group, 0).await?;
    Ok(api::DeleteRetentionPolicyOutput {})
}

async fn retain(core: &Core, pin: millpond_kernel::Pin, group: Group, days: u32) -> Result<(), Failure> {
    let key = tables::group(group.account, &group.name);
    let row = GroupRow { retention: days, ..group.row };
    core.commit(pin, vec![Cond::Equals(key.clone(), group.raw)], vec![Op::Put(key, tables::encode(&row))]).await
}

/// A group that is there, and may be touched. Whether it is there is told to those alone who might.
pub(crate) async fn on_group<I: crate::inputs::Input>(
    core: &Core,
    caller: &Caller,
    account: AccountId,
    input: &I,
    name: &str,
) -> Result<(millpond_kernel::Pin, Group), Failure> {
    let found = core.find_group(account, name).await?;
    let touch = match &found {
        Some(group) => Touch::group(core, input, group),
        None => Touch::new(input, account, core.arn(account, name, ":log-stream:")),
    };
    let authorized = core.authorize(caller, touch).await?;
    Ok((authorized.pin(), found.ok_or(crate::errors::NO_GROUP)?))
}

/// The name in a group's name or ARN.
pub(crate) fn named(core: &Core, account: AccountId, identifier: &str) -> Result<String, LogsError> {
    let Some(arn) = millpond_types::Arn::parse(identifier) else { return Ok(identifier.to_owned()) };
    let wrong = || LogsError::Invalid(format!("The log group identifier {identifier} is not valid."));
    let name = arn.resource().strip_prefix("log-group:").ok_or_else(wrong)?;
    if arn.service() != "logs" || arn.region() != core.kernel.region().as_str() {
        return Err(wrong());
    }
    if arn.account() != Some(account.as_str()) {
        // What monitoring accounts have.
        return Err(LogsError::Unserved("a log group of another account"));
    }
    Ok(name.strip_suffix(":*").unwrap_or(name).to_owned())
}

/// The one of name and identifier that was given.
pub(crate) fn either(
    core: &Core,
    account: AccountId,
    name: Option<&str>,
    identifier: Option<&str>,
) -> Result<String, LogsError> {
    match (name, identifier) {
        (Some(name), None) => Ok(name.to_owned()),
        (None, Some(identifier)) => named(core, account, identifier),
        _ => {
            Err(LogsError::Invalid("Exactly one of logGroupName and logGroupIdentifier must be specified.".to_owned()))
        }
    }
}

fn own_account(account: AccountId, linked: Option<bool>, accounts: Option<&[String]>) -> Result<(), LogsError> {
    let foreign = accounts.unwrap_or_default().iter().any(|other| other != account.as_str());
    if linked == Some(true) || foreign {
        return Err(LogsError::Unserved("log groups of linked accounts"));
    }
    Ok(())
}

pub(crate) async fn describe(
    core: &Arc<Core>,
    caller: &Caller,
    account: AccountId,
    input: &api::DescribeLogGroupsInput,
) -> Result<api::DescribeLogGroupsOutput, Failure> {
    own_account(account, input.include_linked_accounts, input.account_identifiers.as_deref())?;
    if input.log_group_name_prefix.is_some() && input.log_group_name_pattern.is_some() {
        let text = "logGroupNamePrefix and logGroupNamePattern are mutually exclusive parameters.";
        return Err(LogsError::Invalid(text.to_owned()).into());
    }
    core.authorize(caller, Touch::all(core, input, account)).await?;
    let named: Option<Vec<String>> = match &input.log_group_identifiers {
        Some(all) => Some(all.iter().map(|one| self::named(core, account, one)).collect::<Result<_, _>>()?),
        None => None,
    };
    let classed = input.log_group_class.is_none_or(|class| class == api::LogGroupClass::Standard);
    let wanted = |name: &str| {
        classed
            && input.log_group_name_pattern.as_ref().is_none_or(|pattern| name.contains(pattern.as_str()))
            && named.as_ref().is_none_or(|named| named.iter().any(|other| other == name))
    };
    let prefix = input.log_group_name_prefix.as_deref().unwrap_or_default();
    let limit = paging::limit(input.limit, MAX_LISTED);
    let (groups, next_token) = listed(core, account, prefix, input.next_token.as_deref(), limit, wanted).await?;
    let mut shown = Vec::with_capacity(groups.len());
    for group in groups {
        let stored = core.kv.get(&tables::of_group(tables::BYTES, group.id)).await?;
        shown.push(show(core, &group, counter(stored.as_ref())));
    }
    Ok(api::DescribeLogGroupsOutput { log_groups: Some(shown), next_token })
}

/// What a counter row says.
pub(crate) fn counter(row: Option<&bytes::Bytes>) -> i64 {
    row.and_then(|row| <[u8; 8]>::try_from(row.as_ref()).ok()).map_or(0, i64::from_le_bytes)
}

fn millis(time: u64) -> Option<i64> {
    i64::try_from(time).ok()
}

fn show(core: &Core, group: &Group, stored: i64) -> api::LogGroup {
    api::LogGroup {
        log_group_name: Some(group.name.clone()),
        creation_time: millis(group.row.created),
        retention_in_days: i32::try_from(group.row.retention).ok().filter(|days| *days > 0),
        metric_filter_count: Some(0),
        arn: Some(core.arn(group.account, &group.name, ":*").to_string()),
        stored_bytes: Some(stored),
        log_group_class: Some(api::LogGroupClass::Standard),
        log_group_arn: Some(core.arn(group.account, &group.name, "").to_string()),
        deletion_protection_enabled: Some(false),
        ..api::LogGroup::default()
    }
}

/// A page of an account's groups in the order of their names, and the token of the next.
async fn listed(
    core: &Core,
    account: AccountId,
    prefix: &str,
    token: Option<&str>,
    limit: usize,
    wanted: impl Fn(&str) -> bool,
) -> Result<(Vec<Group>, Option<String>), Failure> {
    let (mut from, to) = prefix_range(tables::groups(account, prefix));
    if let Some(after) = paging::after(token)? {
        from = from.max(successor(&tables::group(account, &after)));
    }
    let mut found: Vec<Group> = Vec::new();
    loop {
        let rows = core.page(from, to.clone(), PAGE).await?;
        let last = rows.last().map(|(key, _)| successor(key)).filter(|_| rows.len() == PAGE);
        for (key, raw) in rows {
            let group = group_of(&key, raw)?;
            if !wanted(&group.name) {
                continue;
            }
            if found.len() == limit {
                let token = found.last().map(|group| paging::token(&group.name));
                return Ok((found, token));
            }
            found.push(group);
        }
        match last {
            Some(next) => from = next,
            None => return Ok((found, None)),
        }
    }
}

/// `^begin|part`: names that begin with or have one of these (API reference, ListLogGroups).
fn fits(pattern: &str, name: &str) -> bool {
    pattern.split('|').any(|part| match part.strip_prefix('^') {
        Some(beginning) => name.starts_with(beginning),
        None => name.contains(part),
    })
}

pub(crate) async fn list(
    core: &Arc<Core>,
    caller: &Caller,
    account: AccountId,
    input: &api::ListLogGroupsInput,
) -> Result<api::ListLogGroupsOutput, Failure> {
    own_account(account, input.include_linked_accounts, input.account_identifiers.as_deref())?;
    for (given, what) in [
        (input.data_sources.is_some(), "ListLogGroups dataSources"),
        (input.field_index_names.is_some(), "ListLogGroups fieldIndexNames"),
        (input.log_group_tags.is_some(), "ListLogGroups logGroupTags"),
    ] {
        if given {
            return Err(LogsError::Unserved(what).into());
        }
    }
    core.authorize(caller, Touch::all(core, input, account)).await?;
    let classed = input.log_group_class.is_none_or(|class| class == api::LogGroupClass::Standard);
    let pattern = input.log_group_name_pattern.as_deref();
    let wanted = |name: &str| classed && pattern.is_none_or(|pattern| fits(pattern, name));
    let limit = paging::limit(input.limit, MAX_LISTED).min(MAX_SUMMARIES);
    let (groups, next_token) = listed(core, account, "", input.next_token.as_deref(), limit, wanted).await?;
    let summary = |group: Group| api::LogGroupSummary {
        log_group_arn: Some(core.arn(account, &group.name, "").to_string()),
        log_group_name: Some(group.name),
        log_group_class: Some(api::LogGroupClass::Standard),
    };
    Ok(api::ListLogGroupsOutput { log_groups: Some(groups.into_iter().map(summary).collect()), next_token })
}

/// Writes a group's tags.
pub(crate) async fn retag(
    core: &Core,
    pin: millpond_kernel::Pin,
    group: Group,
    tags: BTreeMap<String, String>,
) -> Result<(), Failure> {
    let key = tables::group(group.account, &group.name);
    let row = GroupRow { tags, ..group.row };
    core.commit(pin, vec![Cond::Equals(key.clone(), group.raw)], vec![Op::Put(key, tables::encode(&row))]).await
}
