//! What happens when a timer fires: a schedule invokes its target, an execution is tried again, a deleted group goes, a token is forgotten.
//!
//! The delivery, the removal of the timer and the next timer are one commit: as far as the store is concerned, each invocation is made once.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use millpond_kernel::streams::StepError;
use millpond_kernel::timers::{Alarm, Timer, Timers};
use millpond_kernel::trace::{self, Attempted, Outcome};
use millpond_kernel::{Arrival, Rejection};
use millpond_meta::key::prefix_range;
use millpond_meta::{Cond, Op};
use millpond_types::{AccountId, Timestamp};

use crate::errors::SchedulerError;
use crate::invoke::{Execution, wait};
use crate::limits::{DELETED_TOGETHER, RECENT};
use crate::plan::Plan;
use crate::state::{Core, Name, Stored, decode};
use crate::tables::{self, DueRow, FiredRow, GroupRow, ScheduleRow};
use crate::target;

/// The owner of the service's timers.
pub(crate) struct Clockwork(pub Arc<Core>);

impl Alarm for Clockwork {
    fn owner(&self) -> &'static str {
        tables::OWNER
    }

    fn fire<'a>(&'a self, timer: &'a Timer) -> BoxFuture<'a, Result<Arrival, StepError>> {
        async move {
            let (kind, of) = timer.id.split_first().map_or((0, &[][..]), |(kind, of)| (*kind, of));
            match kind {
                tables::DUE => self.0.due(timer).await,
                tables::RETRY => self.0.retry(timer).await,
                tables::GROUP => self.0.delete_group(of, timer).await,
                tables::TOKEN => Ok(Arrival { ops: vec![Op::Delete(of.to_vec().into())], conds: Vec::new() }),
                other => Err(StepError::Failed(format!("a timer of the unknown kind {other}"))),
            }
        }
        .boxed()
    }
}

/// What becomes of an attempt.
enum Ended {
    /// It arrived, or was given up for good.
    Finally(Arrival, Outcome),
    /// It is tried again; the changes set the timer.
    Later(Vec<Op>),
}

fn account(row: &DueRow) -> Result<AccountId, StepError> {
    row.account.parse().map_err(|_| StepError::Failed("a timer names no account".to_owned()))
}

impl Core {
    /// The schedule that a timer is about, if it is still there.
    async fn found(&self, due: &DueRow) -> Result<Option<(AccountId, Stored)>, StepError> {
        let account = account(due)?;
        let name = Name { account, group: &due.group, name: &due.name };
        let stored = self.schedule(&name).await?.filter(|stored| stored.row.id == due.id);
        Ok(stored.map(|stored| (account, stored)))
    }

    async fn due(&self, timer: &Timer) -> Result<Arrival, StepError> {
        let due: DueRow = decode(&timer.value)?;
        let Some((account, stored)) = self.found(&due).await? else { return Ok(Arrival::default()) };
        // Another timer was set meanwhile, by an update.
        if stored.row.due != Some(timer.due.0) {
            return Ok(Arrival::default());
        }
        let name = Name { account, group: &due.group, name: &due.name };
        let now = self.clock.now();
        let plan = Plan::of(&stored.row).map_err(|error| StepError::Failed(error.to_string()))?;
        let mut row = stored.row.clone();
        row.recent.push(FiredRow { nominal: due.nominal, at: now.0 });
        row.recent.drain(..row.recent.len().saturating_sub(RECENT));
        let next = self.arm(&name, &mut row, &plan, plan.next(Timestamp(due.nominal), now));
        let (mut arrival, outcome) = match self.attempt(&name, &stored.row, &due, now).await? {
            Ended::Finally(arrival, outcome) => (arrival, Some(outcome)),
            Ended::Later(ops) => {
                row.retrying += 1;
                (Arrival { conds: Vec::new(), ops }, None)
            }
        };
        arrival.ops.extend(next);
        if self.finish(&stored, &row, &mut arrival) {
            arrival.ops.extend(self.remembered(&Execution::new(self, &name, &row, &due, now), &due, outcome, now));
        }
        Ok(arrival)
    }

    async fn retry(&self, timer: &Timer) -> Result<Arrival, StepError> {
        let due: DueRow = decode(&timer.value)?;
        // A deleted schedule gives up its retries.
        let Some((account, stored)) = self.found(&due).await? else { return Ok(Arrival::default()) };
        let name = Name { account, group: &due.group, name: &due.name };
        let now = self.clock.now();
        match self.attempt(&name, &stored.row, &due, now).await? {
            Ended::Later(ops) => Ok(Arrival { conds: vec![Cond::Present(stored.key.clone())], ops }),
            Ended::Finally(mut arrival, outcome) => {
                let mut row = stored.row.clone();
                row.retrying = row.retrying.saturating_sub(1);
                if self.finish(&stored, &row, &mut arrival) {
                    let execution = Execution::new(self, &name, &row, &due, now);
                    arrival.ops.extend(self.remembered(&execution, &due, Some(outcome), now));
                }
                Ok(arrival)
            }
        }
    }

    /// Writes the schedule's row, or removes it when it is complete and is to go then. Whether it went.
    fn finish(&self, stored: &Stored, row: &ScheduleRow, arrival: &mut Arrival) -> bool {
        arrival.conds.push(stored.unchanged());
        let complete = row.enabled && row.due.is_none() && row.retrying == 0;
        let goes = complete && row.delete_after;
        if goes {
            arrival.ops.push(Op::Delete(stored.key.clone()));
            arrival.ops.extend(target::removed(&row.target));
        } else {
            arrival.ops.push(Op::Put(stored.key.clone(), tables::encode(row)));
        }
        goes
    }

    /// What `millpond trace` says of a schedule whose row goes with its last execution.
    fn remembered(&self, execution: &Execution<'_>, due: &DueRow, outcome: Option<Outcome>, now: Timestamp) -> Vec<Op> {
        let Some(outcome) = outcome else { return Vec::new() };
        let (schedule, id, answer) = (execution.schedule_arn(), execution.id(), execution.text());
        let (event, target, tried) = (schedule.as_str(), execution.target(), due.tried + 1);
        trace::attempted(&Attempted { event, id, target, tried, answer: &answer, outcome }, now)
    }

    /// Makes an attempt at an execution, and sees to what follows when it fails.
    async fn attempt(
        &self,
        name: &Name<'_>,
        row: &ScheduleRow,
        due: &DueRow,
        now: Timestamp,
    ) -> Result<Ended, StepError> {
        let execution = Execution::new(self, name, row, due, now);
        let rejection = match execution.deliver().await {
            Ok(mut arrival) => {
                // That the first attempt arrived needs no row: it is so where none is kept.
                if due.tried > 0 {
                    let told = self.told(&execution, "arrived", due.tried + 1, Outcome::Delivered, now);
                    arrival.ops.extend(told);
                }
                return Ok(Ended::Finally(arrival, Outcome::Delivered));
            }
            // Our own trouble is no attempt.
            Err(rejection) if self.kv.stopped().is_some() => return Err(rejection.into()),
            Err(rejection) => rejection,
        };
        let since = if due.tried == 0 { now } else { Timestamp(due.since) };
        let tried = due.tried + 1;
        let pause = wait(tried, &*self.random);
        let exhausted = execution.exhausted(tried, now.plus(pause).since(since));
        if rejection.is_final() || exhausted.is_some() {
            return self.give_up(&execution, &rejection, tried, exhausted, now).await;
        }
        let next = self.timers.due(now.plus(pause));
        let value = tables::encode(&DueRow { tried, since: since.0, ..due.clone() });
        let id = tables::timer(tables::RETRY, &execution.id().to_be_bytes());
        let mut ops = vec![Timers::set(next, tables::OWNER, &id, value)];
        let millis = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
        ops.extend(self.told(&execution, &rejection.to_string(), tried, Outcome::Again { millis }, now));
        Ok(Ended::Later(ops))
    }

    fn told(&self, execution: &Execution<'_>, answer: &str, tried: u32, outcome: Outcome, now: Timestamp) -> Vec<Op> {
        let (event, target, id) = (execution.text(), execution.target(), execution.id());
        trace::attempted(&Attempted { event: &event, id, target, tried, answer, outcome }, now)
    }

    /// The dead-letter queue, where there is one that takes it.
    async fn give_up(
        &self,
        execution: &Execution<'_>,
        rejection: &Rejection,
        tried: u32,
        exhausted: Option<&'static str>,
        now: Timestamp,
    ) -> Result<Ended, StepError> {
        let (schedule, target) = (execution.schedule_arn(), execution.target());
        let (mut arrival, outcome) = match execution.dead_letter(rejection, tried, exhausted).await {
            Some(Ok(arrival)) => (arrival, Outcome::DeadLettered),
            // The queue takes it later.
            Some(Err(refused)) if !refused.is_final() => return Err(refused.into()),
            Some(Err(refused)) => {
                tracing::warn!(%schedule, target, %rejection, %refused, "an invocation was given up, and its dead-letter queue does not take it");
                (Arrival::default(), Outcome::Dropped)
            }
            None => {
                tracing::warn!(%schedule, target, %rejection, "an invocation was given up");
                (Arrival::default(), Outcome::Dropped)
            }
        };
        arrival.ops.extend(self.told(execution, &rejection.to_string(), tried, outcome, now));
        Ok(Ended::Finally(arrival, outcome))
    }

    /// Removes some schedules of a group that is being deleted, and in the end the group.
    async fn delete_group(&self, key: &[u8], timer: &Timer) -> Result<Arrival, StepError> {
        let malformed = |error: millpond_meta::key::MalformedKey| StepError::from(SchedulerError::from(error));
        let (account, group) = tables::group_of(key).map_err(malformed)?;
        let Some((row, raw)) = self.group(account, &group).await? else { return Ok(Arrival::default()) };
        if !row.deleting {
            return Ok(Arrival::default());
        }
        let key = tables::group(account, &group);
        let mut arrival = Arrival { conds: vec![Cond::Equals(key.clone(), raw)], ops: Vec::new() };
        let (from, to) = prefix_range(tables::schedules(account, Some(&group), ""));
        let rows = self.page(from, to, DELETED_TOGETHER).await?;
        if rows.is_empty() {
            arrival.ops.push(Op::Delete(key));
            return Ok(arrival);
        }
        for (key, raw) in rows {
            let stored = Stored { row: decode(&raw)?, key, raw };
            arrival.conds.push(stored.unchanged());
            arrival.ops.extend(stored.disarm());
            arrival.ops.extend(target::removed(&stored.row.target));
            arrival.ops.push(Op::Delete(stored.key));
        }
        // Behind the one that fires, which is removed with this commit.
        let next = Timestamp(self.timers.due(timer.due).0.max(timer.due.0 + 1));
        arrival.ops.push(Timers::set(next, tables::OWNER, &timer.id, bytes::Bytes::new()));
        Ok(arrival)
    }
}

impl Core {
    /// The rows that begin the deletion of a group.
    pub fn begin_deletion(&self, account: AccountId, group: &str, row: &GroupRow) -> Vec<Op> {
        let key = tables::group(account, group);
        let row = GroupRow { deleting: true, modified: self.clock.now().0, ..row.clone() };
        let due = self.timers.due(Timestamp(0));
        let timer = Timers::set(due, tables::OWNER, &tables::timer(tables::GROUP, &key), bytes::Bytes::new());
        vec![Op::Put(key, tables::encode(&row)), timer]
    }
}
