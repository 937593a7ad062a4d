//! Named limits: those of SQS's documentation (API reference, and Developer Guide, "Quotas"), and our own.

use std::time::Duration;

/// Bytes of a request: a message of the largest size may be escaped or percent-encoded.
pub(crate) const MAX_REQUEST: usize = 4 * 1024 * 1024;
/// Bytes of a message, and of all messages of one batch.
pub(crate) const MAX_MESSAGE: u64 = 1_048_576;
/// The least that `MaximumMessageSize` may be.
pub(crate) const MIN_MAXIMUM: u64 = 1024;
/// Entries of a batch.
pub(crate) const MAX_BATCH: usize = 10;
/// Attributes of a message.
pub(crate) const MAX_ATTRIBUTES: usize = 10;
/// Characters of the name or type of a message's attribute.
pub(crate) const MAX_ATTRIBUTE_NAME: usize = 256;
/// Seconds of a delay.
pub(crate) const MAX_DELAY: u64 = 900;
/// Seconds of a visibility timeout, and of all those together that one receipt may have.
pub(crate) const MAX_VISIBILITY: u64 = 43_200;
/// Seconds of a long poll.
pub(crate) const MAX_WAIT: u64 = 20;
/// Messages in flight in one queue.
pub(crate) const MAX_IN_FLIGHT: usize = 120_000;
/// Times that a dead-letter queue's source may let a message be received.
pub(crate) const MAX_RECEIVES: u64 = 1000;
/// Characters of a group's, a deduplication's or an attempt's id.
pub(crate) const MAX_ID: usize = 128;
/// Queues that a RedriveAllowPolicy may name.
pub(crate) const MAX_SOURCES: usize = 10;
/// Tags of a queue.
pub(crate) const MAX_TAGS: usize = 50;
/// Characters of a tag's key.
pub(crate) const MAX_TAG_KEY: usize = 128;
/// Characters of a tag's value.
pub(crate) const MAX_TAG_VALUE: usize = 256;
/// Bytes of a queue's policy (Developer Guide, "Policy quotas", as are the four below).
pub(crate) const MAX_POLICY: usize = 8_192;
/// Statements of a policy.
pub(crate) const MAX_STATEMENTS: usize = 20;
/// Actions of a statement.
pub(crate) const MAX_ACTIONS: usize = 7;
/// Principals of a policy.
pub(crate) const MAX_PRINCIPALS: usize = 50;
/// Conditions of a policy.
pub(crate) const MAX_CONDITIONS: usize = 10;
/// Results of one page of a list.
pub(crate) const MAX_PAGE: i32 = 1000;
/// Results of ListMessageMoveTasks, and the finished tasks of a queue that are kept.
pub(crate) const MAX_TASKS: usize = 10;
/// Messages a second that a move task may be limited to.
pub(crate) const MAX_TASK_RATE: i32 = 500;
/// For how long a duplicate is told.
pub(crate) const DEDUPLICATION: Duration = Duration::from_secs(300);
/// For how long a name stays taken after its queue was deleted, and the time between two purges of a queue.
pub(crate) const PAUSE: Duration = Duration::from_secs(60);

/// Rows of one page of a scan, and of one commit that clears.
pub(crate) const PAGE: usize = 256;
/// Ready messages of a standard queue that memory knows of; the others wait on disk.
pub(crate) const WINDOW: usize = 2_000;
/// Messages of a FIFO queue among which groups are found (SQS's own limit).
pub(crate) const FIFO_WINDOW: usize = 120_000;
/// Bytes of messages that memory keeps ready for one queue; those beyond are read again when they are received.
pub(crate) const WINDOW_BYTES: usize = 4 * 1024 * 1024;
/// Messages that one receive moves to the dead-letter queue, so that its commit stays small.
pub(crate) const MAX_MOVES: usize = 10;
/// Bytes of a trace header: it lies in the message's row, beside a content of up to 60 KiB.
pub(crate) const MAX_TRACE: usize = 1024;
/// Times that a receive looks again when all it found were dead letters.
pub(crate) const MAX_ROUNDS: usize = 10;
/// Receive attempts of a FIFO queue that are remembered.
pub(crate) const MAX_REMEMBERED: usize = 10_000;
/// Time between two looks at what is due by itself.
pub(crate) const TICK: Duration = Duration::from_secs(1);
/// Ticks between two looks for messages and deduplication ids whose time is over.
pub(crate) const SWEEP_TICKS: u64 = 20;
