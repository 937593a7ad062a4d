//! Schedule groups. The group `default` is always there; it has a row from the first schedule or tag on.

use std::collections::BTreeMap;
use std::sync::Arc;

use millpond_api_scheduler as api;
use millpond_kernel::Caller;
use millpond_meta::key::{KeyBuilder, prefix_range, successor};
use millpond_meta::{Cond, Op};
use millpond_types::{AccountId, Timestamp};

use super::tags;
use crate::errors::{Failure, SchedulerError};
use crate::inputs::Touch;
use crate::paging;
use crate::state::{Core, DEFAULT, decode};
use crate::tables::{self, GroupRow};
use crate::tokens::Token;

pub(crate) fn missing(group: &str) -> SchedulerError {
    SchedulerError::NotFound(format!("Schedule group {group}"))
}

pub(crate) fn deleting(group: &str) -> SchedulerError {
    SchedulerError::Conflict(format!("Schedule group {group} is being deleted."))
}

/// The seconds that answers show.
fn shown(time: u64) -> Option<Timestamp> {
    (time > 0).then_some(Timestamp(time))
}

fn state(row: &GroupRow) -> api::ScheduleGroupState {
    if row.deleting { api::ScheduleGroupState::Deleting } else { api::ScheduleGroupState::Active }
}

pub(crate) async fn create(
    core: &Arc<Core>,
    caller: &Caller,
    account: AccountId,
    input: &api::CreateScheduleGroupInput,
) -> Result<api::CreateScheduleGroupOutput, Failure> {
    let tags = tags::checked(input.tags.as_deref().unwrap_or_default())?;
    let arn = core.group_arn(account, &input.name);
    let authorized = core.authorize(caller, Touch::new(input, account, arn.clone()).tags(&tags)).await?;
    let token = match core.token(account, input, input.client_token.as_deref()).await? {
        Token::Known(schedule_group_arn) => return Ok(api::CreateScheduleGroupOutput { schedule_group_arn }),
        Token::New(token) => token,
    };
    if input.name == DEFAULT || core.group(account, &input.name).await?.is_some() {
        let text = format!("Schedule group {} already exists.", input.name);
        return Err(SchedulerError::Conflict(text).into());
    }
    let now = core.clock.now().0;
    let key = tables::group(account, &input.name);
    let row = GroupRow { created: now, modified: now, tags, deleting: false };
    let mut ops = vec![Op::Put(key.clone(), tables::encode(&row))];
    let mut conds = vec![Cond::Absent(key)];
    core.keep_token(token, arn.as_str(), &mut conds, &mut ops);
    core.commit(authorized.pin(), conds, ops, false).await?;
    Ok(api::CreateScheduleGroupOutput { schedule_group_arn: arn.to_string() })
}

pub(crate) async fn delete(
    core: &Arc<Core>,
    caller: &Caller,
    account: AccountId,
    input: &api::DeleteScheduleGroupInput,
) -> Result<api::DeleteScheduleGroupOutput, Failure> {
    let arn = core.group_arn(account, &input.name);
    let found = core.group(account, &input.name).await?;
    let touch = Touch::new(input, account, arn.clone()).tagged(found.as_ref().map(|(row, _)| &row.tags));
    let authorized = core.authorize(caller, touch).await?;
    let token = match core.token(account, input, input.client_token.as_deref()).await? {
        Token::Known(_) => return Ok(api::DeleteScheduleGroupOutput {}),
        Token::New(token) => token,
    };
    if input.name == DEFAULT {
        let text = "The default schedule group cannot be deleted.";
        return Err(SchedulerError::Validation(text.to_owned()).into());
    }
    let (row, raw) = found.ok_or_else(|| missing(&input.name))?;
    if row.deleting {
        return Ok(api::DeleteScheduleGroupOutput {});
    }
    let mut conds = vec![Cond::Equals(tables::group(account, &input.name), raw)];
    let mut ops = core.begin_deletion(account, &input.name, &row);
    core.keep_token(token, arn.as_str(), &mut conds, &mut ops);
    core.commit(authorized.pin(), conds, ops, true).await?;
    Ok(api::DeleteScheduleGroupOutput {})
}

pub(crate) async fn get(
    core: &Arc<Core>,
    caller: &Caller,
    account: AccountId,
    input: &api::GetScheduleGroupInput,
) -> Result<api::GetScheduleGroupOutput, Failure> {
    let arn = core.group_arn(account, &input.name);
    let found = core.group(account, &input.name).await?.map(|(row, _)| row);
    let touch = Touch::new(input, account, arn.clone()).tagged(found.as_ref().map(|row| &row.tags));
    core.authorize(caller, touch).await?;
    let row = found.or_else(|| (input.name == DEFAULT).then(GroupRow::default)).ok_or_else(|| missing(&input.name))?;
    Ok(api::GetScheduleGroupOutput {
        arn: Some(arn.to_string()),
        name: Some(input.name.clone()),
        state: Some(state(&row)),
        creation_date: shown(row.created),
        last_modification_date: shown(row.modified),
    })
}

pub(crate) async fn list(
    core: &Arc<Core>,
    caller: &Caller,
    account: AccountId,
    input: &api::ListScheduleGroupsInput,
) -> Result<api::ListScheduleGroupsOutput, Failure> {
    core.authorize(caller, Touch::new(input, account, core.group_arn(account, "*"))).await?;
    let prefix = input.name_prefix.as_deref().unwrap_or_default();
    let limit = paging::limit(input.max_results);
    let (mut from, to) = prefix_range(tables::groups(account, prefix));
    if let Some(after) = paging::after(input.next_token.as_deref())? {
        let last = KeyBuilder::new(tables::GROUPS).raw(account.as_str().as_bytes()).raw(&after).build();
        from = from.max(successor(&last));
    }
    let mut rows: BTreeMap<_, GroupRow> = BTreeMap::new();
    for (key, raw) in core.page(from.clone(), to, limit + 1).await? {
        rows.insert(key, decode(&raw)?);
    }
    let default = tables::group(account, DEFAULT);
    if DEFAULT.starts_with(prefix) && default >= from {
        rows.entry(default).or_default();
    }
    let more = rows.len() > limit;
    let mut groups = Vec::new();
    let mut last = None;
    for (key, row) in rows.into_iter().take(limit) {
        let (_, name) = tables::group_of(&key)?;
        groups.push(api::ScheduleGroupSummary {
            arn: Some(core.group_arn(account, &name).to_string()),
            name: Some(name),
            state: Some(state(&row)),
            creation_date: shown(row.created),
            last_modification_date: shown(row.modified),
        });
        last = Some(key);
    }
    let next_token = last.filter(|_| more).map(|key| paging::token(&key));
    Ok(api::ListScheduleGroupsOutput { next_token, schedule_groups: groups })
}
