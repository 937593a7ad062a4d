//! The service's tables: the first byte of a row's key, 0x70 to 0x77, and how rows are keyed. A queue's id is a random number of its own, so
//! that a queue that is made anew under the same name shares nothing with the one before.

use bytes::Bytes;
use millpond_meta::key::{KeyBuilder, KeyReader, MalformedKey};
use millpond_meta::{Key as RowKey, Position};
use millpond_types::AccountId;

/// (queue) -> what a queue is. Its presence is a condition of everything that puts a message in.
pub(crate) const QUEUES: u8 = 0x70;
/// (account, name) -> the queue of that name, or when it was deleted.
pub(crate) const NAMES: u8 = 0x71;
/// Stream (queue) -> messages.
pub const MESSAGES: u8 = 0x72;
/// (queue, position) -> how a message that was received stands.
pub(crate) const STATES: u8 = 0x73;
/// (queue) -> counter of its messages.
pub(crate) const COUNTS: u8 = 0x74;
/// (queue, hash) -> the message that was sent by a deduplication id.
pub(crate) const DEDUPS: u8 = 0x75;
/// Stream (queue) -> deduplication ids in the order of their sending.
pub const DEDUP_LOG: u8 = 0x76;
/// (kind, queue, ...) -> work that goes on by itself: [`CLEAR`], [`MOVE`].
pub(crate) const WORK: u8 = 0x77;

/// Kind of work: messages that were purged, or all rows of a deleted queue, are to be removed.
pub(crate) const CLEAR: u8 = 1;
/// Kind of work: a message move task, under way or finished; the task's id follows the queue's.
pub(crate) const MOVE: u8 = 2;

/// The id of a queue.
pub(crate) type QueueId = u64;

/// The beginning of a queue's rows in a table; the key itself where a queue has one row there.
pub(crate) fn of_queue(table: u8, queue: QueueId) -> RowKey {
    KeyBuilder::with_capacity(table, 9).u64(queue).build()
}

/// The row of a message, or of its state.
pub(crate) fn at(table: u8, queue: QueueId, position: Position) -> RowKey {
    KeyBuilder::with_capacity(table, 19).u64(queue).raw(&position.to_bytes()).build()
}

pub(crate) fn name(account: AccountId, name: &str) -> RowKey {
    KeyBuilder::new(NAMES).raw(account.as_str().as_bytes()).bytes(name.as_bytes()).build()
}

pub(crate) fn dedup(queue: QueueId, hash: &[u8; 16]) -> RowKey {
    KeyBuilder::with_capacity(DEDUPS, 25).u64(queue).raw(hash).build()
}

pub(crate) fn clear(queue: QueueId) -> RowKey {
    KeyBuilder::with_capacity(WORK, 10).u8(CLEAR).u64(queue).build()
}

pub(crate) fn task(queue: QueueId, task: u128) -> RowKey {
    KeyBuilder::with_capacity(WORK, 26).u8(MOVE).u64(queue).u128(task).build()
}

/// The tasks of a queue.
pub(crate) fn tasks(queue: QueueId) -> RowKey {
    KeyBuilder::with_capacity(WORK, 10).u8(MOVE).u64(queue).build()
}

/// The beginning of a table.
pub(crate) fn whole(table: u8) -> RowKey {
    Bytes::copy_from_slice(&[table])
}

/// The beginning of the work of one kind.
pub(crate) fn work(kind: u8) -> RowKey {
    Bytes::copy_from_slice(&[WORK, kind])
}

/// The queue that a row of any table but [`NAMES`] and [`WORK`] belongs to.
pub(crate) fn queue_of(row: &[u8]) -> Result<QueueId, MalformedKey> {
    let mut reader = KeyReader::new(row);
    reader.table()?;
    reader.u64()
}

/// The queue of a row of work, and the task's id where it has one.
pub(crate) fn work_of(row: &[u8]) -> Result<(QueueId, Option<u128>), MalformedKey> {
    let mut reader = KeyReader::new(row);
    reader.table()?;
    let kind = reader.u8()?;
    let queue = reader.u64()?;
    Ok((queue, if kind == MOVE { Some(reader.u128()?) } else { None }))
}

/// Account and name of a row of names.
pub(crate) fn name_of(row: &[u8]) -> Result<(AccountId, String), MalformedKey> {
    let mut reader = KeyReader::new(row);
    reader.table()?;
    let account = std::str::from_utf8(reader.raw(12)?).ok().and_then(|text| text.parse().ok());
    let name = String::from_utf8(reader.bytes()?.into_owned()).map_err(|_| MalformedKey(13))?;
    Ok((account.ok_or(MalformedKey(1))?, name))
}
