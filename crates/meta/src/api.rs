//! The trait that every metadata engine fits, and the words it is told in.

use std::fmt;
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;

use crate::appends::Appends;

/// A key: a table id (its first byte) and escaped fields, so that byte order is field order. See [`crate::key`].
pub type Key = Bytes;

/// The longest key in bytes.
pub const MAX_KEY_BYTES: usize = 2048;
/// The longest value in bytes; larger items are kept in chunks.
pub const MAX_VALUE_BYTES: usize = 64 * 1024;
/// The most bytes of keys and values in one batch: a message of 1 MiB with all that goes with it.
pub const MAX_BATCH_BYTES: usize = 2 * 1024 * 1024;
/// The most conditions, and the most changes, in one batch: bounds the time that one batch holds up the others.
pub const MAX_BATCH_ITEMS: usize = 16 * 1024;
/// Table ids (first bytes of keys) from this one up belong to the engine: batches that name them are refused, scans end
/// before them.
pub const RESERVED_TABLES: u8 = 0xF0;

/// A condition of a commit, checked against what the commit before it has just written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Cond {
    /// The row does not exist.
    Absent(Key),
    /// The row exists.
    Present(Key),
    /// The row exists and has this value.
    Equals(Key, Bytes),
    /// The row exists and its value begins with these bytes: for large rows that begin with something that no two of their versions share.
    Begins(Key, Bytes),
}

/// A change.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Op {
    /// Writes a row.
    Put(Key, Bytes),
    /// Removes a row; fine if it is not there.
    Delete(Key),
    /// Removes the rows of a range, `from` included, `to` excluded; refused when it holds more than
    /// [`MAX_RANGE_DELETE`] rows, so that no commit is unbounded.
    DeleteRange(Key, Key),
    /// Adds to a counter row (8 bytes, little-endian i64); an absent one counts as 0, one that comes to 0 is removed.
    Add(Key, i64),
    /// Appends to a stream: writes a row whose key is `stream` followed by the 10 bytes of its [`Position`].
    Append {
        /// The key prefix that names the stream.
        stream: Key,
        /// The entry.
        value: Bytes,
    },
}

/// The most rows that one [`Op::DeleteRange`] may remove.
pub const MAX_RANGE_DELETE: usize = 4096;

/// Conditions and changes that become true together or not at all.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Batch {
    /// All must hold.
    pub conds: Vec<Cond>,
    /// Applied in order.
    pub ops: Vec<Op>,
    /// Names the commit, so that [`Kv::outcome`] can tell for some minutes what became of it. It is not a guard: a batch
    /// that is sent twice is applied twice, unless its conditions prevent it.
    pub idem: Option<u128>,
    /// May use the room that is kept in reserve for a full disk: set it on batches that free space (deletions, clean-up),
    /// also when they write a journal entry or a marker on the way.
    pub urgent: bool,
}

/// Where a commit's appends landed: commit-ordered over all streams of an engine.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
pub struct Position {
    /// The number of the commit; each is larger than all before it.
    pub commit: u64,
    /// Which append of the commit.
    pub index: u16,
}

impl Position {
    /// Ten bytes whose order is the order of positions.
    pub fn to_bytes(self) -> [u8; 10] {
        let mut bytes = [0; 10];
        bytes[..8].copy_from_slice(&self.commit.to_be_bytes());
        bytes[8..].copy_from_slice(&self.index.to_be_bytes());
        bytes
    }

    /// The reverse of [`Self::to_bytes`], from the last ten bytes of a row's key.
    pub fn from_key(key: &[u8]) -> Option<Self> {
        let tail: [u8; 10] = key.get(key.len().checked_sub(10)?..)?.try_into().ok()?;
        let (commit, index) = tail.split_at(8);
        Some(Self {
            commit: u64::from_be_bytes(commit.try_into().ok()?),
            index: u16::from_be_bytes(index.try_into().ok()?),
        })
    }
}

/// A committed batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Committed {
    /// The number of the commit. Appends are at `Position { commit, index: 0.. }` in the order of the batch.
    pub commit: u64,
}

/// Why a batch was not committed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CommitError {
    /// The condition with this index did not hold. Nothing was changed.
    #[error("condition {0} of the batch does not hold")]
    Conflict(usize),
    /// The batch breaks a named limit. Nothing was changed.
    #[error("the batch breaks a limit: {0}")]
    TooLarge(&'static str),
    /// There is no room: only batches marked [`Batch::urgent`] are taken, and in the end not even those. Nothing was
    /// changed.
    #[error("the metadata store is full")]
    Full,
    /// A row that the batch depends on (a condition, a counter, a range to delete) could not be read. Nothing was changed.
    #[error("a row that the batch depends on could not be read: {0}")]
    Unreadable(#[from] ReadError),
    /// The engine takes no more commits, as its disk failed or its tables cannot be merged; whether this batch is durable is
    /// unknown.
    #[error("the metadata store takes no more writes: {0}")]
    Stopped(String),
}

/// Why a read failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ReadError {
    /// The row's checksum does not match: it was changed on disk. It is never served.
    #[error("a metadata row is damaged: {0}")]
    Damaged(String),
    /// The engine failed.
    #[error("the metadata store failed: {0}")]
    Failed(String),
}

/// A range of keys and how much of it is wanted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Scan {
    /// The first key.
    pub from: Bound<Key>,
    /// The last key.
    pub to: Bound<Key>,
    /// From the end of the range to its beginning.
    pub reverse: bool,
    /// The most rows to return; more than 0.
    pub limit: usize,
}

/// A page of rows. There may be more after the last when `rows.len()` equals the limit.
pub type Rows = Vec<(Key, Bytes)>;

/// Reads at one moment. Short: an engine may refuse a snapshot that is held for more than a minute.
pub trait View: Send + Sync {
    /// The value of a row.
    fn get<'a>(&'a self, key: &'a [u8]) -> BoxFuture<'a, Result<Option<Bytes>, ReadError>>;
    /// The rows of a range, at most `scan.limit`.
    fn scan<'a>(&'a self, scan: Scan) -> BoxFuture<'a, Result<Rows, ReadError>>;
}

/// An engine. Its [`View`] methods read the latest durable state.
pub trait Kv: View + 'static {
    /// Applies a batch; durable when it returns. Dropping the future does not undo or cancel it.
    fn commit(&self, batch: Batch) -> BoxFuture<'static, Result<Committed, CommitError>>;
    /// What became of a commit that carried `idem`, as far as that is still known.
    fn outcome(&self, idem: u128) -> BoxFuture<'_, Result<Option<Committed>, ReadError>>;
    /// A consistent view of now.
    fn snapshot(&self) -> BoxFuture<'_, Result<Box<dyn View>, ReadError>>;
    /// The number of the latest commit; changes whenever something was committed.
    fn watch(&self) -> tokio::sync::watch::Receiver<u64>;
    /// Tells, from now on, which streams of a table are appended to.
    fn appends(&self, table: u8) -> Arc<Appends>;
    /// Why no more writes are taken, if so. Cheap, unlike [`Kv::state`].
    fn stopped(&self) -> Option<String> {
        self.state().stopped
    }
    /// What the engine is at, for metrics and for refusing early.
    fn state(&self) -> State;
}

/// What an engine is at.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct State {
    /// Bytes on disk (or in memory).
    pub bytes: u64,
    /// Commits since the start.
    pub commits: u64,
    /// Groups of commits that were synced together since the start.
    pub groups: u64,
    /// Nanoseconds spent in writing and syncing groups since the start.
    pub sync_nanos: u64,
    /// Batches refused because a condition did not hold, since the start.
    pub conflicts: u64,
    /// Batches refused for want of room, since the start.
    pub full: u64,
    /// Whether only urgent batches are taken now, for want of room.
    pub low_space: bool,
    /// Bytes of journal that an opening would have to replay.
    pub journal_bytes: u64,
    /// Times that deleted rows were cleared out to keep scans fast, since the start.
    pub cleanings: u64,
    /// Merges of tables since the start, those included that clear removed rows out.
    pub merges: u64,
    /// Attempts to merge tables that failed, since the start.
    pub merges_failed: u64,
    /// Tables in the first level of the keyspace that has the most there: what waits to be merged.
    pub first_level_tables: u64,
    /// Parts of memory that wait to be written out as tables.
    pub sealed_memtables: u64,
    /// Why no more writes are taken, if so.
    pub stopped: Option<String>,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016X}{:04X}", self.commit, self.index)
    }
}
