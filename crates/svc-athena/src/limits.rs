//! Limits: those that AWS has (Athena User Guide, "Service Quotas"; API reference), and ours.

use std::time::Duration;

/// Bytes of a request's body: a statement of 256 KiB whose characters are all escaped.
pub(crate) const MAX_BODY: usize = 2 * 1024 * 1024;
/// Bytes of a statement.
pub(crate) const MAX_STATEMENT_BYTES: usize = 262_144;
/// Bytes of all execution parameters together.
pub(crate) const MAX_PARAMETER_BYTES: usize = 64 * 1024;
/// What is sealed and longer than this lies in chunks: a row has three of it at most.
pub(crate) const MAX_INLINE: usize = 12 * 1024;
/// Characters of the reason why an execution failed.
pub(crate) const MAX_REASON: usize = 8 * 1024;
/// How long executions are kept.
pub(crate) const KEPT: Duration = Duration::from_secs(45 * 24 * 3600);
/// How long a client's token is remembered.
pub(crate) const TOKEN_AGE: Duration = Duration::from_secs(24 * 3600);
/// Executions that are queued or run.
pub(crate) const MAX_ACTIVE: usize = 1_000;
/// Items of one answer, where it is a list.
pub(crate) const MAX_LISTED: usize = 50;
/// Rows of a result in one answer, with the header.
pub(crate) const MAX_ROWS: usize = 1_000;
/// Bytes of a result in one answer: it ends with the row that reaches them.
pub(crate) const PAGE_BYTES: usize = 4 * 1024 * 1024;
/// Bytes of a result that are read at once.
pub(crate) const READ_BYTES: u64 = 1024 * 1024;
/// Bytes of one row of a result: the engine gives rows in payloads of at most as many.
pub(crate) const MAX_ROW_BYTES: usize = 64 * 1024 * 1024;
/// Pieces of a result between the engine and the object storage.
pub(crate) const PIECES: usize = 4;
/// Work groups of an account.
pub(crate) const MAX_GROUPS: usize = 1_000;
/// Prepared statements of a work group.
pub(crate) const MAX_PREPARED: usize = 1_000;
/// Tags of a work group.
pub(crate) const MAX_TAGS: usize = 50;
/// The least that a work group may limit the bytes of a query to.
pub(crate) const MIN_CUTOFF: i64 = 10_000_000;
/// Questions of a query that are remembered for reuse of its result, and their bytes: the result of one that asks more is not reused.
pub(crate) const MAX_EVIDENCE: usize = 5_000;
pub(crate) const MAX_EVIDENCE_BYTES: usize = 512 * 1024;
/// Of those, how many are asked again at the same time.
pub(crate) const ASKED_TOGETHER: usize = 16;
/// The greatest age of a result that is reused: seven days.
pub(crate) const MAX_REUSE_MINUTES: i32 = 10_080;
/// What is kept of the columns of a result, in bytes.
pub(crate) const MAX_COLUMN_BYTES: usize = 512 * 1024;
/// Rows that are removed in one commit.
pub(crate) const REMOVED_TOGETHER: usize = 20;
/// How often a change of an execution that others change too is tried.
pub(crate) const MAX_CHANGES: usize = 50;
/// Rows that are read together.
pub(crate) const PAGE: usize = 500;
/// Bytes of a regular expression's program, of names of tables.
pub(crate) const MAX_REGEX_BYTES: usize = 1024 * 1024;
