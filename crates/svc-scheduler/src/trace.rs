//! What `millpond trace` is told of a schedule: when it fired last, and what became of each execution.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use millpond_kernel::trace::{Asked, Kept, Line, Outcome, TRACE_AGE, Traced, kept, time_text};
use millpond_meta::ReadError;
use millpond_meta::key::prefix_range;
use millpond_types::{AccountId, Arn, Timestamp};

use crate::errors::SchedulerError;
use crate::invoke::Execution;
use crate::limits::{MAX_LOOKED_AT, PAGE};
use crate::state::{Core, Name, decode};
use crate::tables::{self, DueRow, FiredRow, ScheduleRow};

/// The service as it is asked.
pub(crate) struct Tracing(pub Arc<Core>);

fn failed(error: &SchedulerError) -> ReadError {
    ReadError::Failed(error.to_string())
}

/// What became of an execution.
struct Told {
    state: &'static str,
    then: Option<Asked>,
}

impl Tracing {
    /// The latest executions of a schedule, by its ARN.
    async fn of_schedule(&self, arn: &str) -> Result<Vec<Line>, ReadError> {
        let core = &self.0;
        let Some((account, group, name)) = named(arn) else { return Ok(Vec::new()) };
        let name = Name { account, group: &group, name: &name };
        // Of another region, or written in another way.
        if core.schedule_arn(&name).as_str() != arn {
            return Ok(Vec::new());
        }
        let Some(stored) = core.schedule(&name).await.map_err(|error| failed(&error))? else {
            return self.gone(arn).await;
        };
        let row = stored.row;
        let state = match (row.enabled, row.due) {
            (false, _) => "is disabled".to_owned(),
            (true, None) => "is complete".to_owned(),
            (true, Some(due)) => format!("is due at {}", time_text(Timestamp(due))),
        };
        let mut lines = vec![Line::new(0, format!("schedule {arn} ({}): {state}", row.expression))];
        for fired in &row.recent {
            lines.extend(self.execution(&name, &row, fired, 1).await?);
        }
        if row.recent.is_empty() {
            lines.push(Line::new(1, "did not fire yet"));
        }
        Ok(lines)
    }

    /// Of a schedule that is no more, the execution with which it went.
    async fn gone(&self, arn: &str) -> Result<Vec<Line>, ReadError> {
        let core = &self.0;
        let mut lines = Vec::new();
        for last in kept(&*core.kv, arn).await? {
            lines.push(Line::new(0, format!("schedule {arn}: went when it was complete")));
            let attempts = kept(&*core.kv, &last.answer).await?;
            let Told { state, then } = self.told(&last.target, None, last.id, &last.answer, Some(last.outcome));
            let (at, execution) = (time_text(last.time), &last.answer);
            let text = format!("fired at {at}, execution {execution} to {}: {state}", last.target);
            lines.push(executed(1, text, execution, then));
            lines.extend(attempts.iter().map(|attempt| Line::new(2, attempt.words())));
        }
        Ok(lines)
    }

    /// An execution, by its id, of a schedule that is there still.
    async fn of_execution(&self, id: &str) -> Result<Vec<Line>, ReadError> {
        let core = &self.0;
        let (mut from, to) = prefix_range(tables::all_schedules());
        for _ in 0..MAX_LOOKED_AT / PAGE {
            let rows = core.page(from.clone(), to.clone(), PAGE).await?;
            for (key, raw) in &rows {
                let row: ScheduleRow = decode(raw)?;
                let (account, group, name) =
                    tables::schedule_of(key).map_err(|error| failed(&SchedulerError::from(error)))?;
                let name = Name { account, group: &group, name: &name };
                for fired in &row.recent {
                    if self.execute(&name, &row, fired).text() == id {
                        return self.execution(&name, &row, fired, 0).await;
                    }
                }
            }
            match rows.last() {
                Some((last, _)) if rows.len() == PAGE => from = [last, &[0][..]].concat().into(),
                _ => break,
            }
        }
        Ok(Vec::new())
    }

    fn execute<'a>(&'a self, name: &'a Name<'a>, row: &'a ScheduleRow, fired: &FiredRow) -> Execution<'a> {
        let due = DueRow { nominal: fired.nominal, ..DueRow::default() };
        Execution::new(&self.0, name, row, &due, Timestamp(fired.at))
    }

    async fn execution(
        &self,
        name: &Name<'_>,
        row: &ScheduleRow,
        fired: &FiredRow,
        depth: usize,
    ) -> Result<Vec<Line>, ReadError> {
        let execution = self.execute(name, row, fired);
        let (id, at) = (execution.text(), time_text(Timestamp(fired.at)));
        let attempts = kept(&*self.0.kv, &id).await?;
        let target = attempts.last().map_or(row.target.arn.as_str(), |kept: &Kept| kept.target.as_str());
        let outcome = attempts.last().map(|kept| kept.outcome);
        let letters = row.target.dead_letters.as_deref();
        let old = self.0.clock.now().since(Timestamp(fired.at)) > TRACE_AGE;
        let Told { state, then } = match outcome {
            // The attempts that were kept of it may be gone.
            None if old => Told { state: "longer ago than attempts are kept", then: None },
            outcome => self.told(target, letters, execution.id(), &id, outcome),
        };
        let schedule = if depth == 0 { format!("schedule {} ", execution.schedule_arn()) } else { String::new() };
        let meant = time_text(Timestamp(fired.nominal));
        let text = format!("{schedule}fired at {at} for {meant}, execution {id} to {target}: {state}");
        let attempts = attempts.iter().map(|attempt| Line::new(depth + 1, attempt.words()));
        Ok(std::iter::once(executed(depth, text, &id, then)).chain(attempts).collect())
    }

    fn told(&self, target: &str, letters: Option<&str>, id: u128, event: &str, outcome: Option<Outcome>) -> Told {
        let arrived = |to: &str| {
            let arn = Arn::parse(to)?;
            // On a bus it is the event of that id.
            let message = self.0.kernel.targets().message_id(&arn, id).map(Asked::Message);
            Some(message.unwrap_or_else(|| Asked::Event(event.to_owned())))
        };
        match outcome {
            None | Some(Outcome::Delivered) => Told { state: "delivered", then: arrived(target) },
            Some(Outcome::Again { .. }) => Told { state: "waits for another attempt", then: None },
            Some(Outcome::DeadLettered) => {
                Told { state: "sent to the dead-letter queue", then: letters.and_then(arrived) }
            }
            Some(Outcome::Dropped) => Told { state: "given up, without a dead-letter queue", then: None },
        }
    }
}

/// A line that tells of an execution; shown once, whether it was asked about or led to.
fn executed(depth: usize, text: String, id: &str, then: Option<Asked>) -> Line {
    Line { about: Some(Asked::Event(id.to_owned())), then: then.into_iter().collect(), ..Line::new(depth, text) }
}

/// Account, group and name that the ARN of a schedule has.
fn named(arn: &str) -> Option<(AccountId, String, String)> {
    let arn = Arn::parse(arn).filter(|arn| arn.service() == "scheduler")?;
    let (group, name) = arn.resource().strip_prefix("schedule/")?.split_once('/')?;
    Some((arn.account()?.parse().ok()?, group.to_owned(), name.to_owned()))
}

impl Traced for Tracing {
    fn trace<'a>(&'a self, asked: &'a Asked) -> BoxFuture<'a, Result<Vec<Line>, ReadError>> {
        async move {
            match asked {
                Asked::Resource(arn) => self.of_schedule(arn).await,
                // In a queue the message has the execution's id.
                Asked::Event(id) | Asked::Message(id) => self.of_execution(id).await,
                Asked::Object { .. } | Asked::Caused { .. } => Ok(Vec::new()),
            }
        }
        .boxed()
    }
}
