//! The service's tables: the first byte of a row's key, 0x88 to 0x97, how rows are keyed, and what lies in them. Part of the disk format: tags are
//! never used twice.
//!
//! A table has an id of its own, so that one that is made again under an old name begins empty: what the old one had lies under the old id until the
//! removal has taken it away. Items lie in the order of the hashes of their partition keys, then of their sort keys.

use std::collections::BTreeMap;

use bytes::Bytes;
use millpond_meta::Key;
use millpond_meta::key::{KeyBuilder, KeyReader, MalformedKey};
use millpond_types::AccountId;
use prost::Message;

/// (account, name) -> table.
pub(crate) const TABLES: u8 = 0x88;
/// (table, hash of the partition key, sort key) -> item.
pub const ITEMS: u8 = 0x89;
/// (table, index, hash of the index's partition key, its sort key, hash of the item's place) -> the item's place.
pub(crate) const INDEX: u8 = 0x8A;
/// (table, stream label, shard, position) -> change of an item: a stream for each shard.
pub const STREAM: u8 = 0x8B;
/// (expires, table, place) -> empty.
pub(crate) const TTL: u8 = 0x8C;
/// (account, hash of a client request token) -> transaction.
pub(crate) const TOKENS: u8 = 0x8D;
/// (table, what, ..) -> counters.
pub(crate) const COUNTERS: u8 = 0x8E;
/// (table, index; 0: all of it) -> the table as it was: what of it is left is to be removed.
pub(crate) const REMOVED: u8 = 0x8F;
/// (account, table name, label) -> stream.
pub(crate) const STREAMS: u8 = 0x90;
/// (table, index; 0: its time to live) -> how far its items were gone through.
pub(crate) const BACKFILLS: u8 = 0x91;
/// (table) -> its shape's number, as long as the table is there: a condition of each write of an item.
pub(crate) const SHAPES: u8 = 0x92;
/// (id of chunks) -> contents that were written before the commit that is to point to them.
pub(crate) const PENDING: u8 = 0x93;
/// (due, account, hash of a client request token) -> empty: when tokens are forgotten.
pub(crate) const TOKEN_TIMES: u8 = 0x94;

/// (table, stream label, shard) -> position of the last record that was trimmed.
pub(crate) const HORIZONS: u8 = 0x95;
/// (account, table name, label) -> when the stream was disabled, in milliseconds since the epoch, big-endian.
pub(crate) const STREAM_ENDS: u8 = 0x96;

/// A table's own id.
pub(crate) type TableId = u128;

/// What is counted of a table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Counter {
    /// Items of the table, or with an index's number of that.
    Items(u32),
    /// Bytes of the table, or with an index's number of that.
    Bytes(u32),
    /// Bytes of the items with one partition key, in a table with local indexes.
    Collection([u8; 16]),
}

/// The table itself, where rows can be about an index.
pub(crate) const WHOLE: u32 = 0;

/// A table.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct TableRow {
    /// 16 bytes, big-endian.
    #[prost(bytes = "vec", tag = "1")]
    pub id: Vec<u8>,
    /// Milliseconds since the epoch.
    #[prost(uint64, tag = "2")]
    pub created: u64,
    #[prost(message, repeated, tag = "3")]
    pub attributes: Vec<AttributeRow>,
    /// The partition key's name.
    #[prost(string, tag = "4")]
    pub hash: String,
    /// The sort key's name.
    #[prost(string, optional, tag = "5")]
    pub range: Option<String>,
    #[prost(message, repeated, tag = "6")]
    pub indexes: Vec<IndexRow>,
    /// The number of the next index; numbers are not used twice.
    #[prost(uint32, tag = "7")]
    pub next_index: u32,
    #[prost(message, optional, tag = "8")]
    pub billing: Option<BillingRow>,
    /// The throughput of the table itself.
    #[prost(message, optional, tag = "9")]
    pub throughput: Option<ThroughputRow>,
    /// The stream, while it is enabled.
    #[prost(message, optional, tag = "10")]
    pub stream: Option<StreamSpecRow>,
    /// The label of the latest stream, also after it was disabled; empty: there was none.
    #[prost(string, tag = "11")]
    pub label: String,
    /// The time to live, while it is enabled.
    #[prost(message, optional, tag = "12")]
    pub ttl: Option<TtlRow>,
    /// Of `STANDARD_INFREQUENT_ACCESS`, not `STANDARD`.
    #[prost(bool, tag = "13")]
    pub infrequent: bool,
    /// When the class was changed, in milliseconds since the epoch; 0: never.
    #[prost(uint64, tag = "14")]
    pub class_changed: u64,
    /// Whether the table may not be deleted.
    #[prost(bool, tag = "15")]
    pub protected: bool,
    #[prost(btree_map = "string, string", tag = "16")]
    pub tags: BTreeMap<String, String>,
    #[prost(message, optional, tag = "17")]
    pub policy: Option<PolicyRow>,
    /// Raised by each change that writes of items depend on: of indexes, of the stream, of the time to live.
    #[prost(uint64, tag = "18")]
    pub shape: u64,
    /// When time to live was last switched on or off, in milliseconds since the epoch; 0: never.
    #[prost(uint64, tag = "19")]
    pub ttl_changed: u64,
}

/// An attribute that is part of a key.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct AttributeRow {
    #[prost(string, tag = "1")]
    pub name: String,
    /// `S`, `N` or `B`, as a byte.
    #[prost(uint32, tag = "2")]
    pub kind: u32,
}

/// A secondary index.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct IndexRow {
    #[prost(uint32, tag = "1")]
    pub number: u32,
    #[prost(string, tag = "2")]
    pub name: String,
    #[prost(bool, tag = "3")]
    pub local: bool,
    #[prost(string, tag = "4")]
    pub hash: String,
    #[prost(string, optional, tag = "5")]
    pub range: Option<String>,
    /// 0: all attributes; 1: keys alone; 2: keys and `include`.
    #[prost(uint32, tag = "6")]
    pub projection: u32,
    #[prost(string, repeated, tag = "7")]
    pub include: Vec<String>,
    /// Whether it is still being filled with the items that were there before it.
    #[prost(bool, tag = "8")]
    pub filling: bool,
    /// The throughput of a global index.
    #[prost(message, optional, tag = "9")]
    pub throughput: Option<ThroughputRow>,
}

/// How a table is paid for.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct BillingRow {
    #[prost(bool, tag = "1")]
    pub on_demand: bool,
    /// When it came to be on demand, in milliseconds since the epoch; 0: never.
    #[prost(uint64, tag = "2")]
    pub on_demand_since: u64,
}

/// Throughput of a table or index.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct ThroughputRow {
    /// Provisioned units; 0 on demand.
    #[prost(uint64, tag = "1")]
    pub read: u64,
    #[prost(uint64, tag = "2")]
    pub write: u64,
    /// Milliseconds since the epoch; 0: never.
    #[prost(uint64, tag = "3")]
    pub increased: u64,
    #[prost(uint64, tag = "4")]
    pub decreased: u64,
    /// Decreases on the day of the last one.
    #[prost(uint64, tag = "5")]
    pub decreases: u64,
    /// The most units a second on demand; 0: no limit.
    #[prost(uint64, tag = "6")]
    pub max_read: u64,
    #[prost(uint64, tag = "7")]
    pub max_write: u64,
}

/// What a stream has of each change.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct StreamSpecRow {
    /// Names the stream among those of the table: when it began.
    #[prost(string, tag = "1")]
    pub label: String,
    /// 0: keys; 1: the new image; 2: the old image; 3: both.
    #[prost(uint32, tag = "2")]
    pub view: u32,
}

/// The time to live of items.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct TtlRow {
    #[prost(string, tag = "1")]
    pub attribute: String,
    /// Whether the items that were there before are still gone through.
    #[prost(bool, tag = "2")]
    pub filling: bool,
}

/// A resource policy.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct PolicyRow {
    #[prost(string, tag = "1")]
    pub text: String,
    /// The unique ids of whom it names, in the order of their ARNs.
    #[prost(string, repeated, tag = "2")]
    pub ids: Vec<String>,
    #[prost(string, tag = "3")]
    pub revision: String,
}

/// An item.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct ItemRow {
    /// The item, sealed for its place, unless it lies in chunks. First, so that the row begins with a nonce that no other version has.
    #[prost(bytes = "bytes", tag = "1")]
    pub sealed: Bytes,
    /// 16 bytes: the id of the chunks in which the sealed item lies. As unlike any other version's.
    #[prost(bytes = "bytes", tag = "2")]
    pub chunks: Bytes,
    /// Bytes in chunks.
    #[prost(uint64, tag = "3")]
    pub length: u64,
}

/// A transaction that was asked for by a token.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct TokenRow {
    /// SHA-256 of what was asked.
    #[prost(bytes = "vec", tag = "1")]
    pub request: Vec<u8>,
    /// Milliseconds since the epoch: until when the token counts.
    #[prost(uint64, tag = "2")]
    pub until: u64,
}

/// Contents that wait for the commit that points to them.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct PendingRow {
    /// Milliseconds since the epoch: from when on nobody can still be about to commit.
    #[prost(uint64, tag = "1")]
    pub until: u64,
    /// Bytes in chunks.
    #[prost(uint64, tag = "2")]
    pub length: u64,
}

pub(crate) fn table(account: AccountId, name: &str) -> Key {
    KeyBuilder::new(TABLES).raw(account.as_str().as_bytes()).bytes(name.as_bytes()).build()
}

/// Account and name of a table's row.
pub(crate) fn account_and_name(row: &Key) -> Result<(AccountId, String), MalformedKey> {
    let mut reader = KeyReader::new(row);
    reader.table()?;
    let account = std::str::from_utf8(reader.raw(12)?).ok().and_then(|text| text.parse().ok());
    let name = String::from_utf8(reader.bytes()?.into_owned()).map_err(|_| MalformedKey(13))?;
    Ok((account.ok_or(MalformedKey(1))?, name))
}

/// The beginning of a table's rows.
pub(crate) fn of_table(table: u8, id: TableId) -> Key {
    KeyBuilder::new(table).u128(id).build()
}

/// The beginning of an index's rows, or the row of an index.
pub(crate) fn of_index(table: u8, id: TableId, index: u32) -> Key {
    KeyBuilder::new(table).u128(id).u32(index).build()
}

/// Table and index of a row of [`REMOVED`] or [`BACKFILLS`].
pub(crate) fn table_and_index(row: &Key) -> Result<(TableId, u32), MalformedKey> {
    let mut reader = KeyReader::new(row);
    reader.table()?;
    Ok((reader.u128()?, reader.u32()?))
}

pub(crate) fn shape(id: TableId) -> Key {
    of_table(SHAPES, id)
}

/// What lies in the row of a shape.
pub(crate) fn shape_value(number: u64) -> Bytes {
    Bytes::copy_from_slice(&number.to_be_bytes())
}

pub(crate) fn counter(id: TableId, counter: Counter) -> Key {
    let key = KeyBuilder::new(COUNTERS).u128(id);
    match counter {
        Counter::Items(index) => key.u8(0).u32(index).build(),
        Counter::Bytes(index) => key.u8(1).u32(index).build(),
        Counter::Collection(hash) => key.u8(2).raw(&hash).build(),
    }
}

pub(crate) fn pending(chunks: u128) -> Key {
    KeyBuilder::new(PENDING).u128(chunks).build()
}

/// The id of a row of [`PENDING`].
pub(crate) fn pending_id(row: &Key) -> Result<u128, MalformedKey> {
    let mut reader = KeyReader::new(row);
    reader.table()?;
    reader.u128()
}

pub(crate) fn token(account: AccountId, hash: &[u8; 32]) -> Key {
    KeyBuilder::new(TOKENS).raw(account.as_str().as_bytes()).raw(hash).build()
}

pub(crate) fn token_time(until: u64, account: AccountId, hash: &[u8; 32]) -> Key {
    KeyBuilder::new(TOKEN_TIMES).u64(until).raw(account.as_str().as_bytes()).raw(hash).build()
}

/// When a token's time is over, and the row of the token.
pub(crate) fn token_of_time(row: &Key) -> Result<(u64, Key), MalformedKey> {
    let mut reader = KeyReader::new(row);
    reader.table()?;
    let until = reader.u64()?;
    Ok((until, KeyBuilder::new(TOKENS).raw(reader.rest()).build()))
}

fn named(table: u8, account: AccountId, name: &str, label: &str) -> Key {
    KeyBuilder::new(table).raw(account.as_str().as_bytes()).bytes(name.as_bytes()).bytes(label.as_bytes()).build()
}

/// The row of a stream.
pub(crate) fn stream(account: AccountId, name: &str, label: &str) -> Key {
    named(STREAMS, account, name, label)
}

/// The row of a stream's end.
pub(crate) fn stream_end(account: AccountId, name: &str, label: &str) -> Key {
    named(STREAM_ENDS, account, name, label)
}

/// The beginning of the rows of an account's streams, of one table or of all.
pub(crate) fn streams_of(account: AccountId, name: Option<&str>) -> Key {
    let key = KeyBuilder::new(STREAMS).raw(account.as_str().as_bytes());
    match name {
        Some(name) => key.bytes(name.as_bytes()).build(),
        None => key.build(),
    }
}

/// Account, table and label of a stream's row.
pub(crate) fn stream_of(row: &Key) -> Result<(AccountId, String, String), MalformedKey> {
    let (account, name) = account_and_name(row)?;
    let mut reader = KeyReader::new(row);
    reader.raw(1 + 12)?;
    reader.bytes()?;
    let label = String::from_utf8(reader.bytes()?.into_owned()).map_err(|_| MalformedKey(row.len()))?;
    Ok((account, name, label))
}

/// The beginning of a shard's records.
pub(crate) fn shard(id: TableId, label: &str, shard: u8) -> Key {
    KeyBuilder::new(STREAM).u128(id).bytes(label.as_bytes()).u8(shard).build()
}

/// Table and label of the beginning of a shard's records.
pub(crate) fn shard_of(prefix: &Key) -> Result<(TableId, String), MalformedKey> {
    let mut reader = KeyReader::new(prefix);
    reader.table()?;
    let id = reader.u128()?;
    let label = String::from_utf8(reader.bytes()?.into_owned()).map_err(|_| MalformedKey(17))?;
    Ok((id, label))
}

/// The row that says how far a shard is trimmed.
pub(crate) fn horizon(id: TableId, label: &str, shard: u8) -> Key {
    KeyBuilder::new(HORIZONS).u128(id).bytes(label.as_bytes()).u8(shard).build()
}

/// The row of an item that goes at a time in seconds since the epoch. `place` is where it lies.
pub(crate) fn ttl(time: u64, id: TableId, place: &[u8]) -> Key {
    KeyBuilder::with_capacity(TTL, 1 + 8 + 16 + place.len()).u64(time).u128(id).raw(place).build()
}

/// Time, table and place of a row of an item that goes.
pub(crate) fn ttl_of(row: &Key) -> Result<(u64, TableId, Bytes), MalformedKey> {
    let mut reader = KeyReader::new(row);
    reader.table()?;
    let (time, id) = (reader.u64()?, reader.u128()?);
    Ok((time, id, row.slice(row.len() - reader.rest().len()..)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_tell_what_they_are_of() {
        let account: AccountId = "111122223333".parse().unwrap();
        assert_eq!(account_and_name(&table(account, "a.b-c")), Ok((account, "a.b-c".to_owned())));
        assert_eq!(table_and_index(&of_index(REMOVED, 7, 3)), Ok((7, 3)));
        assert_eq!(pending_id(&pending(9)), Ok(9));
        let (name, label) = ("a.b-c".to_owned(), "2026-11-28T22:05:13.123".to_owned());
        assert_eq!(stream_of(&stream(account, &name, &label)), Ok((account, name, label.clone())));
        assert_eq!(shard_of(&shard(7, &label, 3)), Ok((7, label)));
        assert_eq!(ttl_of(&ttl(12, 7, b"place")), Ok((12, 7, Bytes::from_static(b"place"))));
        let hash = [5; 32];
        assert_eq!(token_of_time(&token_time(12, account, &hash)), Ok((12, token(account, &hash))));
    }

    /// The condition of a write compares the beginning of a row: nothing may come before what differs.
    #[test]
    fn rows_of_items_begin_with_what_no_other_version_has() {
        let row = ItemRow { sealed: Bytes::from_static(&[1; 40]), ..ItemRow::default() };
        assert_eq!(row.encode_to_vec()[..2], [0x0A, 40]);
        let row = ItemRow { chunks: Bytes::from_static(&[1; 16]), length: 9, ..ItemRow::default() };
        assert_eq!(row.encode_to_vec()[..2], [0x12, 16]);
    }
}
