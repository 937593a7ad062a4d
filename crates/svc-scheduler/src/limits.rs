//! Limits: those that AWS has (EventBridge Scheduler User Guide, "Quotas"; API reference), and ours.

use std::time::Duration;

/// Bytes of a request's body: an input whose characters are all escaped.
pub(crate) const MAX_BODY: usize = 2 * 1024 * 1024;
/// Bytes of an input: what the targets take.
pub(crate) const MAX_INPUT_BYTES: usize = 256 * 1024;
/// Inputs longer than this lie in chunks.
pub(crate) const MAX_INLINE: usize = 32 * 1024;
/// Schedules or groups in one answer.
pub(crate) const MAX_LISTED: usize = 100;
/// Tags of a group.
pub(crate) const MAX_TAGS: usize = 50;
/// How far in the past a start may lie.
pub(crate) const MAX_PAST: Duration = Duration::from_secs(5 * 60);
/// How long a client token is remembered.
pub(crate) const TOKEN_AGE: Duration = Duration::from_secs(8 * 3600);
/// Schedules of a deleted group that go in one commit.
pub(crate) const DELETED_TOGETHER: usize = 40;
/// Times of a schedule that are remembered for `millpond trace`: they lie in its row.
pub(crate) const RECENT: usize = 20;
/// Schedules that are looked through for an execution.
pub(crate) const MAX_LOOKED_AT: usize = 100_000;
/// Rows that are read together.
pub(crate) const PAGE: usize = 500;
/// The usual and greatest age of an invocation, in seconds, and its retries (API reference, RetryPolicy).
pub(crate) const MAX_AGE: u32 = 86_400;
pub(crate) const MAX_RETRIES: u32 = 185;
/// Between attempts: doubled each time up to the second, with jitter. 185 of them fit into 24 hours.
pub(crate) const FIRST_WAIT: Duration = Duration::from_secs(1);
pub(crate) const LAST_WAIT: Duration = Duration::from_secs(600);
