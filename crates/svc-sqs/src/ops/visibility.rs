//! Changing for how long a message that was received is not visible.

use std::sync::Arc;

use millpond_api_sqs as api;
use millpond_kernel::{Caller, Pin};
use millpond_meta::{CommitError, Cond, Op};

use super::batch;
use super::receive::seconds;
use crate::errors::{Failure, SqsError, parameter};
use crate::handle::Handle;
use crate::limits;
use crate::live::{Live, Place};
use crate::queue::Queue;
use crate::rows::{self, StateRow};
use crate::state::{Core, Who};
use crate::tables;

pub(crate) async fn change(
    core: &Arc<Core>,
    caller: &Caller,
    input: &api::ChangeMessageVisibilityInput,
) -> Result<api::ChangeMessageVisibilityOutput, Failure> {
    let (authorized, queue) = core
        .on_queue::<api::ChangeMessageVisibilityInput>(
            caller,
            &input.queue_url,
            "sqs:ChangeMessageVisibility",
            Who::Anybody,
        )
        .await?;
    let asked = vec![(input.receipt_handle.clone(), input.visibility_timeout)];
    match core.change_visibility(&queue, authorized.pin(), asked).await?.into_iter().next() {
        Some(Err(error)) => Err(error.into()),
        _ => Ok(api::ChangeMessageVisibilityOutput {}),
    }
}

pub(crate) async fn change_batch(
    core: &Arc<Core>,
    caller: &Caller,
    input: &api::ChangeMessageVisibilityBatchInput,
) -> Result<api::ChangeMessageVisibilityBatchOutput, Failure> {
    let (authorized, queue) = core
        .on_queue::<api::ChangeMessageVisibilityBatchInput>(
            caller,
            &input.queue_url,
            "sqs:ChangeMessageVisibility",
            Who::Anybody,
        )
        .await?;
    batch::check(input.entries.iter().map(|entry| entry.id.as_str()), "ChangeMessageVisibilityBatchRequestEntry")?;
    let asked = input.entries.iter().map(|entry| (entry.receipt_handle.clone(), entry.visibility_timeout.unwrap_or(0)));
    let done = core.change_visibility(&queue, authorized.pin(), asked.collect()).await?;
    let mut output = api::ChangeMessageVisibilityBatchOutput::default();
    for (entry, done) in input.entries.iter().zip(done) {
        match done {
            Ok(()) => output.successful.push(api::ChangeMessageVisibilityBatchResultEntry { id: entry.id.clone() }),
            Err(error) => output.failed.push(batch::failed(&entry.id, &error)),
        }
    }
    Ok(output)
}

/// A change of one message.
struct Change {
    handle: Handle,
    before: StateRow,
    until: u64,
}

/// What is to be changed by a handle.
fn asked(queue: &Queue, text: &str, timeout: i32, now: u64) -> Result<Change, SqsError> {
    let handle = Handle::parse(text, queue.id)?;
    let timeout = seconds(timeout, limits::MAX_VISIBILITY).ok_or_else(|| {
        parameter(timeout, "VisibilityTimeout", "VisibilityTimeout must be an integer between 0 and 43200.")
    })?;
    let mut live = queue.live();
    live.advance(now);
    let gone = || {
        parameter(text, "ReceiptHandle", "Message does not exist or is not available for visibility timeout change.")
    };
    let entry = live.entry(handle.position).ok_or_else(gone)?;
    let seen = entry.seen.filter(|seen| seen.nonce == handle.nonce).ok_or_else(gone)?;
    if !matches!(entry.place, Place::Flying(_)) {
        return Err(SqsError::NotInFlight);
    }
    let until = now.saturating_add(timeout.saturating_mul(1000));
    if until > seen.last.saturating_add(limits::MAX_VISIBILITY * 1000) {
        let reason =
            format!("Total VisibilityTimeout for the message is beyond the limit [{} seconds]", limits::MAX_VISIBILITY);
        return Err(parameter(timeout, "VisibilityTimeout", &reason));
    }
    Ok(Change { handle, before: Live::state_of(entry).ok_or_else(gone)?, until })
}

impl Core {
    /// Changes what handles mean: one commit. Goes on to its end when its caller is gone.
    pub(crate) async fn change_visibility(
        self: &Arc<Self>,
        queue: &Arc<Queue>,
        pin: Pin,
        wanted: Vec<(String, i32)>,
    ) -> Result<Vec<Result<(), SqsError>>, Failure> {
        if !queue.live().loaded {
            self.fill(queue, 0).await?;
        }
        let now = self.now();
        let mut done = Vec::with_capacity(wanted.len());
        let mut changes = Vec::new();
        for (text, timeout) in &wanted {
            done.push(asked(queue, text, *timeout, now).map(|change| changes.push(change)));
        }
        if changes.is_empty() {
            return Ok(done);
        }
        let (core, queue) = (Arc::clone(self), Arc::clone(queue));
        let task = tokio::spawn(async move { core.change_now(&queue, pin, changes).await });
        task.await.map_err(|error| SqsError::Internal(error.to_string()))??;
        Ok(done)
    }

    async fn change_now(&self, queue: &Queue, pin: Pin, changes: Vec<Change>) -> Result<(), Failure> {
        let mut conds = vec![pin.cond()];
        let mut ops = Vec::with_capacity(changes.len());
        for change in &changes {
            // A state that is another one by now was received anew, or is gone.
            let key = tables::at(tables::STATES, queue.id, change.handle.position);
            conds.push(Cond::Equals(key.clone(), rows::encode(&change.before)));
            ops.push(Op::Put(key, rows::encode(&StateRow { until: change.until, ..change.before.clone() })));
        }
        let committed = self.commit(conds, ops, false).await;
        if let Err(CommitError::Conflict(at)) = &committed
            && *at > 0
        {
            tracing::debug!(queue = %queue.arn, "a message was deleted while its visibility was changed");
        }
        committed?;
        let mut live = queue.live();
        changes.iter().for_each(|change| live.visible_at(change.handle.position, change.handle.nonce, change.until));
        drop(live);
        // Who waits learns when there is something to be received now.
        queue.news.notify_waiters();
        Ok(())
    }
}
