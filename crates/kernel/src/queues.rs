//! The port by which services of ours take messages out of queues, as callers like any other. Implemented by the queue service.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use millpond_types::{Arn, CauseChain};

use crate::{Attribute, Caller, Rejection};

/// A message that was received.
#[derive(Clone, PartialEq, Debug)]
pub struct ReceivedMessage {
    /// Its id.
    pub id: String,
    /// What it is deleted by.
    pub receipt: String,
    /// Its body.
    pub body: Bytes,
    /// MD5 of the body, in hexadecimal digits.
    pub md5: String,
    /// System attributes (`SentTimestamp`, `ApproximateReceiveCount`, `MessageGroupId`, ...), all there are.
    pub system: Vec<(String, String)>,
    /// Its own attributes.
    pub attributes: Vec<Attribute>,
    /// MD5 of its own attributes, where it has some.
    pub md5_of_attributes: Option<String>,
    /// What led to it, oldest first.
    pub causes: CauseChain,
}

/// What has to be known of a queue to read from it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct QueueFacts {
    /// Its visibility timeout.
    pub visibility: Duration,
    /// Whether it is a FIFO queue.
    pub fifo: bool,
}

/// Takes messages out of queues. Everything is decided as the caller (`sqs:ReceiveMessage`, `sqs:DeleteMessage`, `sqs:ChangeMessageVisibility`,
/// `sqs:GetQueueAttributes`).
pub trait Queues: Send + Sync + 'static {
    /// What a queue is like.
    fn facts<'a>(&'a self, queue: &'a Arn, by: &'a Caller) -> BoxFuture<'a, Result<QueueFacts, Rejection>>;

    /// Whether the caller may receive and delete; [`Rejection::Denied`] names the action that it may not, such as `ReceiveMessage`.
    fn may_take<'a>(&'a self, queue: &'a Arn, by: &'a Caller) -> BoxFuture<'a, Result<(), Rejection>>;

    /// Receives at most `most` messages (1 to 10); waits at most `wait` for the first one. Its visibility timeout is the queue's.
    fn receive<'a>(
        &'a self,
        queue: &'a Arn,
        by: &'a Caller,
        most: usize,
        wait: Duration,
    ) -> BoxFuture<'a, Result<Vec<ReceivedMessage>, Rejection>>;

    /// Deletes messages by their receipts; durable when it returns. Receipts that are no longer good are passed over.
    fn delete<'a>(
        &'a self,
        queue: &'a Arn,
        by: &'a Caller,
        receipts: &'a [String],
    ) -> BoxFuture<'a, Result<(), Rejection>>;

    /// Makes messages visible again after a time, zero for at once.
    fn give_back<'a>(
        &'a self,
        queue: &'a Arn,
        by: &'a Caller,
        receipts: &'a [String],
        after: Duration,
    ) -> BoxFuture<'a, Result<(), Rejection>>;

    /// Moves messages to the queue's dead-letter queue, with the reason as an attribute; deletes them where it has none. Whether it has one. Decided as
    /// [`Self::delete`] is: where dead letters go is for the queue's owner to say.
    fn bury<'a>(
        &'a self,
        queue: &'a Arn,
        by: &'a Caller,
        receipts: &'a [String],
        reason: &'a str,
    ) -> BoxFuture<'a, Result<bool, Rejection>>;
}
