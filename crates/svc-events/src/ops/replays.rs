//! Replays: events of an archive come to their bus once more, marked with the replay's name.
//!
//! A replay is a row and a timer: each firing puts a page of events onto the bus and moves the row on, in one commit.

use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use millpond_api_events as api;
use millpond_kernel::streams::StepError;
use millpond_kernel::timers::{Alarm, Timer, Timers};
use millpond_kernel::{Arrival, Caller, Rejection};
use millpond_meta::key::successor;
use millpond_meta::{Cond, Op, ReadError, Scan};
use millpond_types::{AccountId, Timestamp};
use prost::Message;

use crate::errors::{EventsError, Failure};
use crate::event::envelope;
use crate::event::json::Json;
use crate::inputs::{Input, Touched};
use crate::limits::{MAX_ACTIVE_REPLAYS, MAX_REPLAY_RULES, REPLAY_KEPT};
use crate::load;
use crate::model::{Archive, Replay, Stored};
use crate::names::{BusName, Tagged};
use crate::ops::put::append;
use crate::paging::page;
use crate::rows::{self, EventRow, ReplayRow};
use crate::state::{Core, Draft};
use crate::tables;

/// Owner of the timers.
const OWNER: &str = "events-replays";
/// Events, and their bytes, that come to the bus by one commit.
const AT_A_TIME: usize = 100;
const BYTES_AT_A_TIME: u64 = 512 * 1024;
/// Between two pages: leaves room for others.
const PAUSE: Duration = Duration::from_millis(10);

fn no_replay(name: &str) -> EventsError {
    EventsError::NotFound(format!("Replay {name} does not exist."))
}

impl Core {
    fn read_replay(&self, account: AccountId, name: String, bytes: bytes::Bytes) -> Result<Replay, ReadError> {
        let damaged = || ReadError::Damaged("a replay".to_owned());
        let row = ReplayRow::decode(bytes.clone()).map_err(|_| damaged())?;
        let arn = self.names.replay(account, &name);
        Replay::of(name, arn, Stored { bytes, row }).ok_or_else(damaged)
    }

    async fn replay(&self, account: AccountId, name: &str) -> Result<Option<Replay>, EventsError> {
        let row = self.kv.get(&tables::named(tables::REPLAYS, account, name)).await?;
        Ok(row.map(|row| self.read_replay(account, name.to_owned(), row)).transpose()?)
    }

    async fn replays(&self, account: AccountId) -> Result<Vec<Replay>, EventsError> {
        let prefix = millpond_meta::key::KeyBuilder::new(tables::REPLAYS).raw(account.as_str().as_bytes()).build();
        let mut all = Vec::new();
        for (key, row) in load::rows(&*self.kv, prefix).await? {
            let (account, [name]) = tables::names_of(&key).map_err(|_| ReadError::Damaged("a replay".to_owned()))?;
            all.push(self.read_replay(account, name, row)?);
        }
        Ok(all)
    }

    async fn on_replay<I: Input>(
        &self,
        caller: &Caller,
        name: &str,
    ) -> Result<(millpond_kernel::Pin, AccountId, Option<Replay>), EventsError> {
        let account = self.account_of(caller);
        let pin = self.on_own::<I>(caller, self.names.replay(account, name)).await?;
        Ok((pin, account, self.replay(account, name).await?))
    }
}

/// The archive and the rules of a replay, which must be there and belong together.
fn checked(
    core: &Core,
    account: AccountId,
    input: &api::StartReplayInput,
) -> Result<(Arc<Archive>, BusName), EventsError> {
    let found = core.names.parse(&input.event_source_arn);
    let name = found.and_then(|(of, resource)| resource.strip_prefix("archive/").filter(|_| of == account));
    let name = name.ok_or_else(|| EventsError::parameter("EventSourceArn", "It names no archive of this account."))?;
    let archive = core.maps().archives.get(&(account, name.to_owned())).cloned();
    let wrong = |what: &str, reason: &str| EventsError::parameter(what, reason);
    let Some(archive) = archive else {
        return Err(wrong("EventSourceArn", &format!("Archive {name} does not exist.")));
    };
    let destination = core.names.bus_of(&input.destination.arn).filter(|bus| bus.account == account);
    let Some(destination) = destination else {
        return Err(wrong("Destination.Arn", "It names no event bus of this account and region."));
    };
    core.bus(&destination).ok_or_else(|| EventsError::no_bus(&destination.name))?;
    if destination.name != archive.stored.row.bus {
        return Err(wrong("Destination.Arn", "Cross event bus replay is not permitted."));
    }
    if input.event_end_time <= input.event_start_time {
        return Err(wrong("EventEndTime", "EventStartTime must be before EventEndTime."));
    }
    if input.destination.filter_arns.as_ref().is_some_and(|arns| arns.len() > MAX_REPLAY_RULES) {
        return Err(wrong("Destination.FilterArns", &format!("There are more than {MAX_REPLAY_RULES}.")));
    }
    for arn in input.destination.filter_arns.iter().flatten() {
        let known = match core.names.tagged(arn) {
            Some(Tagged::Rule(bus, rule)) => bus == destination && core.maps().rule(&bus, &rule).is_some(),
            _ => false,
        };
        if !known {
            return Err(wrong("Destination.FilterArns", &format!("{arn} is no rule of the event bus.")));
        }
    }
    Ok((archive, destination))
}

pub(crate) async fn start(
    core: &Arc<Core>,
    caller: &Caller,
    input: &api::StartReplayInput,
) -> Result<api::StartReplayOutput, Failure> {
    let pin = core.kernel.epoch().now();
    let (account, name) = (core.account_of(caller), &input.replay_name);
    let mut touched = Touched::plain(core.names.replay(account, name), account);
    if let Some((of, resource)) = core.names.parse(&input.event_source_arn)
        && let Some(archive) = resource.strip_prefix("archive/").filter(|_| of == account)
    {
        touched = touched.and(core.names.archive(account, archive), account);
    }
    let pin = core.decide::<api::StartReplayInput>(pin, caller, touched).await?.pin();
    let (archive, destination) = checked(core, account, input)?;
    let all = core.replays(account).await?;
    if all.iter().any(|replay| replay.name == *name) {
        return Err(EventsError::Exists(format!("Replay {name} already exists.")).into());
    }
    if all.iter().filter(|replay| replay.is_active()).count() >= MAX_ACTIVE_REPLAYS {
        return Err(EventsError::limit().into());
    }
    let now = core.now();
    let row = ReplayRow {
        description: input.description.clone(),
        archive: archive.arn.to_string(),
        archive_id: archive.id.to_be_bytes().to_vec(),
        destination: core.names.bus(&destination).to_string(),
        rules: input.destination.filter_arns.clone().unwrap_or_default(),
        from: input.event_start_time.0,
        to: input.event_end_time.0,
        state: api::ReplayState::Starting.as_str().to_owned(),
        started: now.0,
        ..ReplayRow::default()
    };
    let key = tables::named(tables::REPLAYS, account, name);
    let mut draft = Draft::new();
    draft.cond(Cond::Present(tables::named(tables::ARCHIVES, account, &archive.name)));
    draft.op(Timers::set(core.timers.due(core.clock.now()), OWNER, &key, bytes::Bytes::new()));
    draft.put(key, None, row);
    core.commit(Some(pin), draft).await?;
    core.timers.nudge();
    Ok(api::StartReplayOutput {
        replay_arn: Some(core.names.replay(account, name).to_string()),
        state: Some(api::ReplayState::Starting),
        state_reason: None,
        replay_start_time: Some(now),
    })
}

pub(crate) async fn cancel(
    core: &Arc<Core>,
    caller: &Caller,
    input: &api::CancelReplayInput,
) -> Result<api::CancelReplayOutput, Failure> {
    let (pin, account, replay) = core.on_replay::<api::CancelReplayInput>(caller, &input.replay_name).await?;
    let replay = replay.ok_or_else(|| no_replay(&input.replay_name))?;
    if !matches!(replay.state, api::ReplayState::Starting | api::ReplayState::Running) {
        let reason = format!("Replay {} is not in a valid state for this operation.", replay.name);
        return Err(EventsError::Status(reason).into());
    }
    let state = api::ReplayState::Cancelling;
    let row = ReplayRow { state: state.as_str().to_owned(), ..replay.stored.row };
    let mut draft = Draft::new().urgent();
    draft.put(tables::named(tables::REPLAYS, account, &replay.name), Some(&replay.stored.bytes), row);
    core.commit(Some(pin), draft).await?;
    Ok(api::CancelReplayOutput { replay_arn: Some(replay.arn.to_string()), state: Some(state), state_reason: None })
}

fn time(nanos: u64) -> Option<Timestamp> {
    (nanos > 0).then_some(Timestamp(nanos))
}

pub(crate) async fn describe(
    core: &Arc<Core>,
    caller: &Caller,
    input: &api::DescribeReplayInput,
) -> Result<api::DescribeReplayOutput, Failure> {
    let (_, _, replay) = core.on_replay::<api::DescribeReplayInput>(caller, &input.replay_name).await?;
    let replay = replay.ok_or_else(|| no_replay(&input.replay_name))?;
    let row = replay.stored.row;
    Ok(api::DescribeReplayOutput {
        replay_name: Some(replay.name),
        replay_arn: Some(replay.arn.to_string()),
        description: row.description,
        state: Some(replay.state),
        state_reason: row.reason,
        event_source_arn: Some(row.archive),
        destination: Some(api::ReplayDestination {
            arn: row.destination,
            filter_arns: Some(row.rules).filter(|rules| !rules.is_empty()),
        }),
        event_start_time: Some(Timestamp(row.from)),
        event_end_time: Some(Timestamp(row.to)),
        event_last_replayed_time: time(row.last),
        replay_start_time: time(row.started),
        replay_end_time: time(row.ended),
    })
}

pub(crate) async fn list(
    core: &Arc<Core>,
    caller: &Caller,
    input: &api::ListReplaysInput,
) -> Result<api::ListReplaysOutput, Failure> {
    core.on_account::<api::ListReplaysInput>(caller).await?;
    let given = [input.name_prefix.is_some(), input.event_source_arn.is_some(), input.state.is_some()];
    if given.iter().filter(|given| **given).count() > 1 {
        let reason = "At most one of NamePrefix, EventSourceArn and State is given.";
        return Err(EventsError::Validation(reason.to_owned()).into());
    }
    let page = page(input.limit, input.next_token.as_deref())?;
    let prefix = input.name_prefix.as_deref().unwrap_or_default();
    let all = core.replays(core.account_of(caller)).await?;
    let fitting = all.into_iter().filter(|replay| {
        replay.name.starts_with(prefix)
            && input.event_source_arn.as_ref().is_none_or(|arn| replay.stored.row.archive == *arn)
            && input.state.is_none_or(|state| state == replay.state)
    });
    let (replays, next_token) = page.cut(fitting.map(|replay| (replay.name.clone(), replay)));
    let shown = |replay: Replay| {
        let row = replay.stored.row;
        api::Replay {
            replay_name: Some(replay.name),
            event_source_arn: Some(row.archive),
            state: Some(replay.state),
            state_reason: row.reason,
            event_start_time: Some(Timestamp(row.from)),
            event_end_time: Some(Timestamp(row.to)),
            event_last_replayed_time: time(row.last),
            replay_start_time: time(row.started),
            replay_end_time: time(row.ended),
        }
    };
    Ok(api::ListReplaysOutput { replays: Some(replays.into_iter().map(shown).collect()), next_token })
}

/// Carries replays on, and forgets those that ended long ago.
pub(crate) struct Replaying(pub Arc<Core>);

impl Replaying {
    async fn fire(&self, timer: &Timer) -> Result<Arrival, StepError> {
        let core = &self.0;
        let damaged = || StepError::Failed("the timer of a replay cannot be read".to_owned());
        let (account, [name]) = tables::names_of(&timer.id).map_err(|_| damaged())?;
        let mut arrival = Arrival::default();
        let Some(bytes) = core.kv.get(&timer.id).await? else { return Ok(arrival) };
        let replay = core.read_replay(account, name, bytes)?;
        arrival.conds.push(Cond::Equals(timer.id.clone(), replay.stored.bytes.clone()));
        if !replay.is_active() {
            arrival.ops.push(Op::Delete(timer.id.clone()));
            return Ok(arrival);
        }
        let mut row = replay.stored.row.clone();
        let now = core.clock.now();
        let ended = if replay.state == api::ReplayState::Cancelling {
            Some((api::ReplayState::Cancelled, None))
        } else {
            self.page(&replay, &mut row, &mut arrival).await?
        };
        let pause = match ended {
            Some((state, reason)) => {
                (row.state, row.reason, row.ended) = (state.as_str().to_owned(), reason, core.now().0);
                REPLAY_KEPT
            }
            None => {
                row.state = api::ReplayState::Running.as_str().to_owned();
                PAUSE
            }
        };
        arrival.ops.push(Op::Put(timer.id.clone(), rows::encode(&row)));
        let due = now.plus(pause).max(Timestamp(timer.due.0 + 1));
        arrival.ops.push(Timers::set(due, OWNER, &timer.id, bytes::Bytes::new()));
        Ok(arrival)
    }

    /// Puts a page of events onto the bus; how it ended, when it did.
    async fn page(
        &self,
        replay: &Replay,
        row: &mut ReplayRow,
        arrival: &mut Arrival,
    ) -> Result<Option<(api::ReplayState, Option<String>)>, StepError> {
        let core = &self.0;
        let bus = core.names.bus_of(&row.destination).and_then(|name| core.bus(&name));
        let archive = core.maps().archives.values().any(|archive| archive.id == replay.archive_id);
        let (Some(bus), true) = (bus, archive) else {
            let reason = "The archive or the event bus was deleted.".to_owned();
            return Ok(Some((api::ReplayState::Failed, Some(reason))));
        };
        arrival.conds.push(Cond::Present(tables::bus(bus.name.account, &bus.name.name)));
        let from = match row.at.is_empty() {
            true => tables::archived_from(replay.archive_id, Timestamp(row.from)),
            false => successor(&row.at),
        };
        let to = Bound::Excluded(tables::archived_from(replay.archive_id, Timestamp(row.to)));
        let scan = Scan { from: Bound::Included(from), to, reverse: false, limit: AT_A_TIME };
        let page = core.kv.scan(scan).await?;
        let (mut bytes, beside) = (0, row.rules.iter().map(String::len).sum::<usize>() as u64);
        for (count, (key, value)) in page.iter().enumerate() {
            let event = EventRow::decode(value.clone());
            let event = event.map_err(|_| StepError::Failed("an archived event cannot be read".to_owned()))?;
            bytes += event.length + beside;
            if count > 0 && bytes > BYTES_AT_A_TIME {
                return Ok(None);
            }
            if let Some(body) = crate::consumer::body(core, &event).await?
                && let Some(json) = Json::parse(&body)
            {
                let again = EventRow {
                    id: event.id,
                    ingested: core.clock.now().0,
                    causes: event.causes,
                    forwarded: event.forwarded,
                    rules: row.rules.clone(),
                    replayed: true,
                    ..EventRow::default()
                };
                let body = envelope::replayed(json, &replay.name);
                arrival.ops.extend(append(core, &bus.name, again, &body).map_err(Rejection::from)?);
            }
            row.at = key.to_vec();
            row.last = tables::archived_time(key).map_or(row.last, |time| time.0);
        }
        Ok((page.len() < AT_A_TIME).then_some((api::ReplayState::Completed, None)))
    }
}

impl Alarm for Replaying {
    fn owner(&self) -> &'static str {
        OWNER
    }

    fn fire<'a>(&'a self, timer: &'a Timer) -> BoxFuture<'a, Result<Arrival, StepError>> {
        Self::fire(self, timer).boxed()
    }
}
