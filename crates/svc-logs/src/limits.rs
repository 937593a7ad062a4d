//! Limits: those that AWS has (CloudWatch Logs User Guide, "CloudWatch Logs quotas"; API reference), and ours.

use std::time::Duration;

/// Bytes of a request's body: a full PutLogEvents whose characters are all escaped.
pub(crate) const MAX_BODY: usize = 8 * 1024 * 1024;
/// Bytes of one PutLogEvents: messages in UTF-8 and [`EVENT_OVERHEAD`] for each.
pub(crate) const MAX_BATCH_BYTES: usize = 1_048_576;
/// What an event counts for besides its message, also in stored bytes.
pub(crate) const EVENT_OVERHEAD: usize = 26;
/// Bytes of one event.
pub(crate) const MAX_EVENT_BYTES: usize = 1_048_576;
/// Events from the first to the last of one PutLogEvents.
pub(crate) const MAX_BATCH_SPAN_MS: u64 = 24 * 3_600 * 1_000;
/// How old an event may be.
pub(crate) const MAX_AGE_MS: u64 = 14 * 24 * 3_600 * 1_000;
/// How far ahead of the clock an event may be.
pub(crate) const MAX_AHEAD_MS: u64 = 2 * 3_600 * 1_000;
/// Events in one answer.
pub(crate) const MAX_EVENTS: usize = 10_000;
/// Bytes of events in one answer.
pub(crate) const MAX_ANSWER_BYTES: usize = 1_048_576;
/// Events that one FilterLogEvents looks at before it answers with what it has and a token.
pub(crate) const MAX_LOOKED_AT: usize = 100_000;
/// Bytes of messages that it looks at.
pub(crate) const MAX_LOOKED_AT_BYTES: usize = 64 * 1024 * 1024;
/// Groups or streams in one answer.
pub(crate) const MAX_LISTED: usize = 50;
/// Groups in one answer of ListLogGroups.
pub(crate) const MAX_SUMMARIES: usize = 1_000;
/// Resource policies of an account.
pub(crate) const MAX_POLICIES: usize = 10;
/// Characters of a resource policy.
pub(crate) const MAX_POLICY_CHARS: usize = 5_120;
/// Tags of a group.
pub(crate) const MAX_TAGS: usize = 50;
/// Rows that are read together.
pub(crate) const PAGE: usize = 1_000;
/// Rows that one commit of the removal takes away: it holds up no other commit for long.
pub(crate) const REMOVED_TOGETHER: usize = 1_000;
/// How often it is looked for what retention ends.
pub(crate) const SWEEP: Duration = Duration::from_secs(60);
/// Messages longer than this lie in chunks.
pub(crate) const MAX_INLINE: usize = 48 * 1024;
