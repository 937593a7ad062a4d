//! Amazon SNS's quotas, and limits of our own (General Reference, "Amazon SNS endpoints and quotas").

use std::time::Duration;

/// Bytes of a request: a batch of ten messages of 256 KiB together, percent-encoded.
pub(crate) const MAX_FORM: usize = 1024 * 1024;
/// Bytes of a message with its attributes and its subject, and of all messages of a batch together.
pub(crate) const MAX_MESSAGE: usize = 256 * 1024;
/// Messages in a batch.
pub(crate) const MAX_BATCH: usize = 10;
/// Characters of a subject.
pub(crate) const MAX_SUBJECT: usize = 100;
/// Characters of a topic's name.
pub(crate) const MAX_NAME: usize = 256;
/// Characters of a display name.
pub(crate) const MAX_DISPLAY_NAME: usize = 100;
/// Topics of an account.
pub(crate) const MAX_TOPICS: usize = 100_000;
/// Subscriptions of a topic. AWS allows 12,500,000; ours lie in memory.
pub(crate) const MAX_SUBSCRIPTIONS: usize = 1_000_000;
/// Subscriptions of a topic that have a filter policy.
pub(crate) const MAX_FILTERS: usize = 200;
/// Tags of a topic.
pub(crate) const MAX_TAGS: usize = 50;
/// Bytes of a topic's policy.
pub(crate) const MAX_POLICY: usize = 30 * 1024;
/// Bytes of a URL that is subscribed.
pub(crate) const MAX_ENDPOINT: usize = 2_048;
/// Items on a page of a list.
pub(crate) const PAGE: usize = 100;
/// Rows that are read at a time.
pub(crate) const ROWS: usize = 1_000;
/// How long a subscription waits for its confirmation.
pub(crate) const CONFIRMATION: Duration = Duration::from_secs(3 * 24 * 3600);
/// How long a message is tried again that its queue does not take for now (Developer Guide, "Amazon SNS message delivery retries": 23 days).
pub(crate) const MAX_AGE: Duration = Duration::from_secs(23 * 24 * 3600);
/// The longest pause between such attempts. AWS waits 20 seconds at most; what fails here is a fault of the store, which does not pass as fast.
pub(crate) const LONGEST_PAUSE: Duration = Duration::from_secs(600);
/// How long what was delivered is kept for `millpond trace`.
pub(crate) const KEPT: Duration = Duration::from_secs(24 * 3600);
