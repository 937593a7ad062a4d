//! Deleting messages.

use std::sync::Arc;

use millpond_api_sqs as api;
use millpond_kernel::{Caller, Pin};
use millpond_meta::{CommitError, Cond, Op};

use super::batch;
use crate::errors::{Failure, SqsError, parameter};
use crate::handle::Handle;
use crate::live::Place;
use crate::queue::Queue;
use crate::state::{Core, Who, remove_chunks};
use crate::tables;

pub(crate) async fn delete(
    core: &Arc<Core>,
    caller: &Caller,
    input: &api::DeleteMessageInput,
) -> Result<api::DeleteMessageOutput, Failure> {
    let (authorized, queue) =
        core.on_queue::<api::DeleteMessageInput>(caller, &input.queue_url, "sqs:DeleteMessage", Who::Anybody).await?;
    let done = core.delete(&queue, authorized.pin(), vec![input.receipt_handle.clone()]).await?;
    match done.into_iter().next() {
        Some(Err(error)) => Err(error.into()),
        _ => Ok(api::DeleteMessageOutput {}),
    }
}

pub(crate) async fn delete_batch(
    core: &Arc<Core>,
    caller: &Caller,
    input: &api::DeleteMessageBatchInput,
) -> Result<api::DeleteMessageBatchOutput, Failure> {
    let url = &input.queue_url;
    let (authorized, queue) =
        core.on_queue::<api::DeleteMessageBatchInput>(caller, url, "sqs:DeleteMessage", Who::Anybody).await?;
    batch::check(input.entries.iter().map(|entry| entry.id.as_str()), "DeleteMessageBatchRequestEntry")?;
    let handles = input.entries.iter().map(|entry| entry.receipt_handle.clone()).collect();
    let done = core.delete(&queue, authorized.pin(), handles).await?;
    let mut output = api::DeleteMessageBatchOutput::default();
    for (entry, done) in input.entries.iter().zip(done) {
        match done {
            Ok(()) => output.successful.push(api::DeleteMessageBatchResultEntry { id: entry.id.clone() }),
            Err(error) => output.failed.push(batch::failed(&entry.id, &error)),
        }
    }
    Ok(output)
}

/// Whether there is something to be deleted.
pub(crate) fn found(queue: &Queue, handle: &Handle, text: &str, now: u64) -> Result<bool, SqsError> {
    let mut live = queue.live();
    live.advance(now);
    let fifo = queue.facts().settings.fifo;
    let expired = || parameter(text, "ReceiptHandle", "The receipt handle has expired.");
    let Some(entry) = live.entry(handle.position) else { return Ok(false) };
    let is_last = entry.seen.is_some_and(|seen| seen.nonce == handle.nonce);
    match (fifo, is_last, entry.place) {
        (true, true, Place::Flying(_)) | (false, true, _) => {
            live.deleting(handle.position);
            Ok(true)
        }
        (true, ..) => Err(expired()),
        // The request succeeds, but the message is not deleted (API reference, DeleteMessage).
        (false, false, _) => Ok(false),
    }
}

/// Messages whose deletion is under way; told off unless it was committed.
pub(crate) struct Deleting {
    pub queue: Arc<Queue>,
    pub handles: Vec<Handle>,
}

impl Drop for Deleting {
    fn drop(&mut self) {
        let mut live = self.queue.live();
        self.handles.iter().for_each(|handle| live.not_deleted(handle.position));
    }
}

impl Core {
    /// Deletes what handles mean: one commit, and for each handle whether it is one. Goes on to its end when its caller is gone.
    pub(crate) async fn delete(
        self: &Arc<Self>,
        queue: &Arc<Queue>,
        pin: Pin,
        handles: Vec<String>,
    ) -> Result<Vec<Result<(), SqsError>>, Failure> {
        if !queue.live().loaded {
            self.fill(queue, 0).await?;
        }
        let mut done = Vec::with_capacity(handles.len());
        let mut deleting = Deleting { queue: Arc::clone(queue), handles: Vec::new() };
        for text in &handles {
            let found =
                Handle::parse(text, queue.id).and_then(|handle| Ok((handle, found(queue, &handle, text, self.now())?)));
            done.push(found.map(|(handle, there)| {
                if there {
                    deleting.handles.push(handle);
                }
            }));
        }
        if deleting.handles.is_empty() {
            return Ok(done);
        }
        let core = Arc::clone(self);
        let task = tokio::spawn(async move { core.delete_now(deleting, pin).await });
        task.await.map_err(|error| SqsError::Internal(error.to_string()))??;
        Ok(done)
    }

    async fn delete_now(&self, mut deleting: Deleting, pin: Pin) -> Result<(), Failure> {
        while !deleting.handles.is_empty() {
            let (conds, ops) = changes(&deleting, pin);
            match self.commit(conds, ops, true).await {
                Ok(_) => {
                    let handles = std::mem::take(&mut deleting.handles);
                    let mut live = deleting.queue.live();
                    handles.iter().for_each(|handle| live.remove(handle.position));
                    let more = live.has_ready();
                    drop(live);
                    if more {
                        deleting.queue.news.notify_one();
                    }
                }
                // One of them is gone already: by another deletion, a purge, or its age.
                Err(CommitError::Conflict(at)) if at > 0 && at <= deleting.handles.len() => {
                    let handle = deleting.handles.remove(at - 1);
                    deleting.queue.live().remove(handle.position);
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

/// Removes messages and their states; the condition that a message is there has its index and one.
pub(crate) fn changes(deleting: &Deleting, pin: Pin) -> (Vec<Cond>, Vec<Op>) {
    let queue = &deleting.queue;
    let mut conds = vec![pin.cond()];
    let mut ops = Vec::with_capacity(deleting.handles.len() * 2 + 1);
    for handle in &deleting.handles {
        let message = tables::at(tables::MESSAGES, queue.id, handle.position);
        conds.push(Cond::Present(message.clone()));
        ops.extend([Op::Delete(message), Op::Delete(tables::at(tables::STATES, queue.id, handle.position))]);
        let large = queue.live().entry(handle.position).and_then(|entry| entry.large.clone());
        ops.extend(remove_chunks(large.as_ref()));
    }
    let count = i64::try_from(deleting.handles.len()).unwrap_or_default();
    ops.push(Op::Add(tables::of_queue(tables::COUNTS, queue.id), -count));
    (conds, ops)
}
