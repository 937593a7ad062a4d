//! Schedules.

use std::sync::Arc;

use millpond_api_scheduler as api;
use millpond_kernel::Caller;
use millpond_meta::key::{KeyBuilder, prefix_range, successor};
use millpond_meta::{Cond, Op};
use millpond_schedule::{Schedule, Zone};
use millpond_types::{AccountId, Timestamp};

use super::groups::{deleting, missing};
use crate::errors::{Failure, SchedulerError, invalid, unserved};
use crate::inputs::Touch;
use crate::limits::{MAX_PAST, PAGE};
use crate::paging;
use crate::plan::Plan;
use crate::state::{Core, DEFAULT, Name, decode};
use crate::tables::{self, GroupRow, ScheduleRow};
use crate::target;
use crate::tokens::Token;

const UTC: &str = "UTC";
/// Minutes that a window has at most (API reference, FlexibleTimeWindow).
const MAX_WINDOW: i32 = 1_440;

/// What CreateSchedule and UpdateSchedule have in common.
struct Settings<'a> {
    expression: &'a str,
    zone: Option<&'a str>,
    start: Option<Timestamp>,
    end: Option<Timestamp>,
    description: Option<&'a String>,
    state: Option<api::ScheduleState>,
    key: Option<&'a String>,
    target: &'a api::Target,
    window: &'a api::FlexibleTimeWindow,
    after: Option<api::ActionAfterCompletion>,
}

macro_rules! settings {
    ($input:expr) => {
        Settings {
            expression: &$input.schedule_expression,
            zone: $input.schedule_expression_timezone.as_deref(),
            start: $input.start_date,
            end: $input.end_date,
            description: $input.description.as_ref(),
            state: $input.state,
            key: $input.kms_key_arn.as_ref(),
            target: &$input.target,
            window: &$input.flexible_time_window,
            after: $input.action_after_completion,
        }
    };
}

impl Settings<'_> {
    /// A row as the settings say, without identity and times, and the changes that keep its input.
    fn row(&self, core: &Core, now: Timestamp) -> Result<(ScheduleRow, Vec<Op>), SchedulerError> {
        if self.key.is_some() {
            return unserved("KmsKeyArn");
        }
        let zone_name = self.zone.unwrap_or(UTC);
        let Some(zone) = Zone::named(zone_name) else {
            return invalid(format!("Invalid Schedule Expression Timezone {zone_name}."));
        };
        let Ok(schedule) = Schedule::parse(self.expression, &zone) else {
            return invalid(format!("Invalid Schedule Expression {}.", self.expression));
        };
        // AWS does not look at them for one-time schedules.
        let (start, end) = if schedule.is_once() { (None, None) } else { (self.start, self.end) };
        if start.is_some_and(|start| start.plus(MAX_PAST) < now) {
            return invalid("The StartDate you specify cannot be earlier than 5 minutes ago.");
        }
        if end.is_some_and(|end| end <= now) {
            return invalid("The EndDate you specify must be in the future.");
        }
        if start.zip(end).is_some_and(|(start, end)| end <= start) {
            return invalid("The EndDate you specify must come after the StartDate.");
        }
        let (target, ops) = target::checked(core, self.target)?;
        let row = ScheduleRow {
            expression: self.expression.to_owned(),
            zone: zone_name.to_owned(),
            start: start.map(|time| time.0),
            end: end.map(|time| time.0),
            description: self.description.cloned(),
            enabled: self.state != Some(api::ScheduleState::Disabled),
            window: window(self.window)?,
            delete_after: self.after == Some(api::ActionAfterCompletion::Delete),
            target,
            modified: now.0,
            ..ScheduleRow::default()
        };
        Ok((row, ops))
    }
}

fn window(given: &api::FlexibleTimeWindow) -> Result<u32, SchedulerError> {
    match (given.mode, given.maximum_window_in_minutes) {
        (api::FlexibleTimeWindowMode::Off, None) => Ok(0),
        (api::FlexibleTimeWindowMode::Off, Some(_)) => {
            invalid("A MaximumWindowInMinutes can only be specified when the FlexibleTimeWindow Mode is FLEXIBLE.")
        }
        (_, Some(minutes)) if (1..=MAX_WINDOW).contains(&minutes) => Ok(minutes.unsigned_abs()),
        _ => invalid(format!(
            "A MaximumWindowInMinutes between 1 and {MAX_WINDOW} must be specified when the Mode is FLEXIBLE."
        )),
    }
}

/// The group in which a schedule is written: its row, as the condition that it stays; the default group gets its row so.
async fn in_group(
    core: &Core,
    name: &Name<'_>,
    conds: &mut Vec<Cond>,
    ops: &mut Vec<Op>,
) -> Result<(), SchedulerError> {
    let key = tables::group(name.account, name.group);
    match core.group(name.account, name.group).await? {
        Some((row, _)) if row.deleting => return Err(deleting(name.group)),
        Some((_, raw)) => conds.push(Cond::Equals(key, raw)),
        None if name.group == DEFAULT => {
            let now = core.clock.now().0;
            let row = GroupRow { created: now, modified: now, ..GroupRow::default() };
            ops.push(Op::Put(key.clone(), tables::encode(&row)));
            conds.push(Cond::Absent(key));
        }
        None => return Err(missing(name.group)),
    }
    Ok(())
}

fn gone(name: &Name<'_>) -> SchedulerError {
    SchedulerError::NotFound(format!("Schedule {}", name.name))
}

/// The tags of the group, for conditions.
async fn tags(
    core: &Core,
    name: &Name<'_>,
) -> Result<Option<std::collections::BTreeMap<String, String>>, SchedulerError> {
    Ok(core.group(name.account, name.group).await?.map(|(row, _)| row.tags))
}

pub(crate) async fn create(
    core: &Arc<Core>,
    caller: &Caller,
    account: AccountId,
    input: &api::CreateScheduleInput,
) -> Result<api::CreateScheduleOutput, Failure> {
    let name = Name { account, group: input.group_name.as_deref().unwrap_or(DEFAULT), name: &input.name };
    let arn = core.schedule_arn(&name);
    let touch = Touch::new(input, account, arn.clone()).tagged(tags(core, &name).await?.as_ref());
    let authorized = core.authorize(caller, touch).await?;
    let token = match core.token(account, input, input.client_token.as_deref()).await? {
        Token::Known(schedule_arn) => return Ok(api::CreateScheduleOutput { schedule_arn }),
        Token::New(token) => token,
    };
    let now = core.clock.now();
    let (mut row, mut ops) = settings!(input).row(core, now)?;
    core.may_pass(caller, &name, &row.target.role).await?;
    let mut conds = Vec::new();
    in_group(core, &name, &mut conds, &mut ops).await?;
    if core.schedule(&name).await?.is_some() {
        return Err(SchedulerError::Conflict(format!("Schedule {} already exists.", name.name)).into());
    }
    row.id = core.random.u128().to_be_bytes().to_vec();
    (row.created, row.anchor) = (now.0, row.start.unwrap_or(now.0));
    ops.extend(begin(core, &name, &mut row, now)?);
    let key = tables::schedule(account, name.group, name.name);
    ops.push(Op::Put(key.clone(), tables::encode(&row)));
    conds.push(Cond::Absent(key));
    core.keep_token(token, arn.as_str(), &mut conds, &mut ops);
    core.commit(authorized.pin(), conds, ops, false).await?;
    Ok(api::CreateScheduleOutput { schedule_arn: arn.to_string() })
}

/// Sets the timer of a schedule's first time, if it is enabled.
fn begin(core: &Core, name: &Name<'_>, row: &mut ScheduleRow, now: Timestamp) -> Result<Option<Op>, SchedulerError> {
    let plan = Plan::of(row).map_err(|error| SchedulerError::Internal(error.to_string()))?;
    let first = if row.enabled { plan.first(now) } else { None };
    Ok(core.arm(name, row, &plan, first))
}

pub(crate) async fn update(
    core: &Arc<Core>,
    caller: &Caller,
    account: AccountId,
    input: &api::UpdateScheduleInput,
) -> Result<api::UpdateScheduleOutput, Failure> {
    let name = Name { account, group: input.group_name.as_deref().unwrap_or(DEFAULT), name: &input.name };
    let arn = core.schedule_arn(&name);
    let touch = Touch::new(input, account, arn.clone()).tagged(tags(core, &name).await?.as_ref());
    let authorized = core.authorize(caller, touch).await?;
    let token = match core.token(account, input, input.client_token.as_deref()).await? {
        Token::Known(schedule_arn) => return Ok(api::UpdateScheduleOutput { schedule_arn }),
        Token::New(token) => token,
    };
    let stored = core.schedule(&name).await?.ok_or_else(|| gone(&name))?;
    let now = core.clock.now();
    let old = &stored.row;
    // A start that stays may have passed long ago.
    let settings = Settings { start: input.start_date.filter(|start| Some(start.0) != old.start), ..settings!(input) };
    let (mut row, mut ops) = settings.row(core, now)?;
    if input.start_date.is_some_and(|start| Some(start.0) == old.start) {
        row.start = old.start;
    }
    core.may_pass(caller, &name, &row.target.role).await?;
    (row.id, row.created, row.retrying) = (old.id.clone(), old.created, old.retrying);
    let same_times = (&old.expression, &old.zone, old.start) == (&row.expression, &row.zone, row.start);
    if same_times && old.enabled && row.enabled && old.due.is_some() && old.end == row.end && old.window == row.window {
        // It goes on as it was: nothing of what is due changes.
        (row.anchor, row.due, row.nominal) = (old.anchor, old.due, old.nominal);
    } else {
        row.anchor = if same_times { old.anchor } else { row.start.unwrap_or(now.0) };
        ops.extend(stored.disarm());
        // A rate whose times stay the same keeps its rhythm. A one-time schedule that has run does not run again.
        let ran = same_times && old.enabled && old.due.is_none();
        if !ran {
            ops.extend(begin(core, &name, &mut row, now)?);
        }
    }
    ops.extend(target::removed(&old.target));
    ops.push(Op::Put(stored.key.clone(), tables::encode(&row)));
    let mut conds = vec![stored.unchanged()];
    core.keep_token(token, arn.as_str(), &mut conds, &mut ops);
    core.commit(authorized.pin(), conds, ops, false).await?;
    Ok(api::UpdateScheduleOutput { schedule_arn: arn.to_string() })
}

pub(crate) async fn delete(
    core: &Arc<Core>,
    caller: &Caller,
    account: AccountId,
    input: &api::DeleteScheduleInput,
) -> Result<api::DeleteScheduleOutput, Failure> {
    let name = Name { account, group: input.group_name.as_deref().unwrap_or(DEFAULT), name: &input.name };
    let arn = core.schedule_arn(&name);
    let touch = Touch::new(input, account, arn.clone()).tagged(tags(core, &name).await?.as_ref());
    let authorized = core.authorize(caller, touch).await?;
    let token = match core.token(account, input, input.client_token.as_deref()).await? {
        Token::Known(_) => return Ok(api::DeleteScheduleOutput {}),
        Token::New(token) => token,
    };
    let stored = core.schedule(&name).await?.ok_or_else(|| gone(&name))?;
    let mut ops: Vec<_> = stored.disarm().into_iter().collect();
    ops.extend(target::removed(&stored.row.target));
    ops.push(Op::Delete(stored.key.clone()));
    let mut conds = vec![stored.unchanged()];
    core.keep_token(token, arn.as_str(), &mut conds, &mut ops);
    core.commit(authorized.pin(), conds, ops, true).await?;
    Ok(api::DeleteScheduleOutput {})
}

pub(crate) async fn get(
    core: &Arc<Core>,
    caller: &Caller,
    account: AccountId,
    input: &api::GetScheduleInput,
) -> Result<api::GetScheduleOutput, Failure> {
    let name = Name { account, group: input.group_name.as_deref().unwrap_or(DEFAULT), name: &input.name };
    let arn = core.schedule_arn(&name);
    let touch = Touch::new(input, account, arn.clone()).tagged(tags(core, &name).await?.as_ref());
    core.authorize(caller, touch).await?;
    let row = core.schedule(&name).await?.ok_or_else(|| gone(&name))?.row;
    let mode = if row.window == 0 { api::FlexibleTimeWindowMode::Off } else { api::FlexibleTimeWindowMode::Flexible };
    let minutes = i32::try_from(row.window).ok().filter(|minutes| *minutes > 0);
    let after = if row.delete_after { api::ActionAfterCompletion::Delete } else { api::ActionAfterCompletion::None };
    Ok(api::GetScheduleOutput {
        arn: Some(arn.to_string()),
        group_name: Some(name.group.to_owned()),
        name: Some(name.name.to_owned()),
        state: Some(state(&row)),
        start_date: row.start.map(Timestamp),
        end_date: row.end.map(Timestamp),
        creation_date: Some(Timestamp(row.created)),
        last_modification_date: Some(Timestamp(row.modified)),
        target: Some(core.shown(&row.target).await?),
        flexible_time_window: Some(api::FlexibleTimeWindow { mode, maximum_window_in_minutes: minutes }),
        action_after_completion: Some(after),
        schedule_expression: Some(row.expression),
        schedule_expression_timezone: Some(row.zone),
        description: row.description,
        kms_key_arn: None,
    })
}

fn state(row: &ScheduleRow) -> api::ScheduleState {
    if row.enabled { api::ScheduleState::Enabled } else { api::ScheduleState::Disabled }
}

pub(crate) async fn list(
    core: &Arc<Core>,
    caller: &Caller,
    account: AccountId,
    input: &api::ListSchedulesInput,
) -> Result<api::ListSchedulesOutput, Failure> {
    let all = Name { account, group: input.group_name.as_deref().unwrap_or("*"), name: "*" };
    core.authorize(caller, Touch::new(input, account, core.schedule_arn(&all))).await?;
    let group = input.group_name.as_deref();
    if let Some(group) = group.filter(|group| *group != DEFAULT) {
        core.group(account, group).await?.ok_or_else(|| missing(group))?;
    }
    let prefix = input.name_prefix.as_deref().unwrap_or_default();
    let limit = paging::limit(input.max_results);
    let (mut from, to) = prefix_range(tables::schedules(account, group, prefix));
    if let Some(after) = paging::after(input.next_token.as_deref())? {
        let last = KeyBuilder::new(tables::SCHEDULES).raw(account.as_str().as_bytes()).raw(&after).build();
        from = from.max(successor(&last));
    }
    let mut schedules = Vec::new();
    let mut last = None;
    loop {
        let rows = core.page(from, to.clone(), PAGE).await?;
        let next = rows.last().map(|(key, _)| successor(key)).filter(|_| rows.len() == PAGE);
        for (key, raw) in rows {
            let (_, group, name) = tables::schedule_of(&key)?;
            let row: ScheduleRow = decode(&raw)?;
            if !name.starts_with(prefix) || input.state.is_some_and(|wanted| wanted != state(&row)) {
                continue;
            }
            if schedules.len() == limit {
                let next_token = last.as_ref().map(paging::token);
                return Ok(api::ListSchedulesOutput { next_token, schedules });
            }
            schedules.push(summary(core, account, group, name, &row));
            last = Some(key);
        }
        match next {
            Some(next) => from = next,
            None => return Ok(api::ListSchedulesOutput { next_token: None, schedules }),
        }
    }
}

fn summary(core: &Core, account: AccountId, group: String, name: String, row: &ScheduleRow) -> api::ScheduleSummary {
    let arn = core.schedule_arn(&Name { account, group: &group, name: &name });
    api::ScheduleSummary {
        arn: Some(arn.to_string()),
        name: Some(name),
        group_name: Some(group),
        state: Some(state(row)),
        creation_date: Some(Timestamp(row.created)),
        last_modification_date: Some(Timestamp(row.modified)),
        target: Some(api::TargetSummary { arn: row.target.arn.clone() }),
    }
}
