//! The service's tables: the first byte of a row's key, 0xB0 to 0xB8, and how rows are keyed. Those of crawlers are in
//! `crawling::rows`.
//!
//! Names and the values of partitions stand in keys as they are, as those of objects do; all else that people wrote is sealed. A table's rows are
//! under its id, which no table has after it: what a deleted table leaves behind is out of sight at once, and removed by and by.

use std::collections::BTreeMap;

use bytes::Bytes;
use millpond_hive::predicate::Span;
use millpond_meta::key::{KeyBuilder, KeyReader, MalformedKey, prefix_range};
use millpond_meta::{Cond, Key};
use millpond_types::AccountId;
use prost::Message;

/// (account, name) -> database.
pub(crate) const DATABASES: u8 = 0xB0;
/// (database, name) -> table.
pub(crate) const TABLES: u8 = 0xB1;
/// (table, version, the newest first) -> a definition that was replaced.
pub(crate) const VERSIONS: u8 = 0xB2;
/// (table, values) -> partition.
pub(crate) const PARTITIONS: u8 = 0xB3;
/// (table, hash) -> columns or formats, which the table and its partitions refer to.
pub(crate) const PIECES: u8 = 0xB4;
/// (table, whose, column) -> column statistics.
pub(crate) const STATISTICS: u8 = 0xB5;
/// Account -> resource policy of its catalog.
pub(crate) const POLICIES: u8 = 0xB6;
/// (kind, id) -> what is to be removed.
pub(crate) const REMOVALS: u8 = 0xB7;
/// (table) -> how many partitions it has: a counter.
pub(crate) const COUNTS: u8 = 0xB8;

/// Of a database or table.
pub(crate) type Id = u128;

/// What lies in a row or, where it is long, in chunks; sealed.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Kept {
    #[prost(bytes = "vec", tag = "1")]
    pub sealed: Vec<u8>,
    /// The id of the chunks, 16 bytes, and the length of what lies in them.
    #[prost(bytes = "vec", tag = "2")]
    pub chunks: Vec<u8>,
    #[prost(uint32, tag = "3")]
    pub length: u32,
}

/// A database. It begins with its id, which conditions ask for.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct DatabaseRow {
    #[prost(bytes = "vec", tag = "1")]
    pub id: Vec<u8>,
    /// Nanoseconds, of whole seconds.
    #[prost(fixed64, tag = "2")]
    pub created: u64,
    /// A [`DatabaseBody`](crate::bodies::DatabaseBody).
    #[prost(message, required, tag = "3")]
    pub body: Kept,
    #[prost(btree_map = "string, string", tag = "4")]
    pub tags: BTreeMap<String, String>,
}

/// A table. It begins with its id and how many partition keys it has, which conditions of partitions ask for.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct TableRow {
    #[prost(bytes = "vec", tag = "1")]
    pub id: Vec<u8>,
    #[prost(fixed32, tag = "2")]
    pub keys: u32,
    #[prost(uint64, tag = "3")]
    pub version: u64,
    /// When the table was made, and this version.
    #[prost(fixed64, tag = "4")]
    pub created: u64,
    #[prost(fixed64, tag = "5")]
    pub updated: u64,
    /// The ARN of who made it.
    #[prost(string, tag = "6")]
    pub created_by: String,
    /// A [`TableBody`](crate::bodies::TableBody).
    #[prost(message, required, tag = "7")]
    pub body: Kept,
    /// Versions that are archived.
    #[prost(uint32, tag = "8")]
    pub archived: u32,
    #[prost(message, repeated, tag = "9")]
    pub indexes: Vec<IndexRow>,
}

/// A partition index. Rows of partitions are keyed by their values, so that there is nothing to build.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct IndexRow {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, repeated, tag = "2")]
    pub keys: Vec<String>,
}

/// A definition that was replaced.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct VersionRow {
    #[prost(fixed64, tag = "1")]
    pub created: u64,
    #[prost(fixed64, tag = "2")]
    pub updated: u64,
    #[prost(string, tag = "3")]
    pub created_by: String,
    #[prost(message, required, tag = "4")]
    pub body: Kept,
}

/// A partition. It begins with a number that no two of its states share, which conditions ask for.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct PartitionRow {
    #[prost(fixed64, tag = "1")]
    pub stamp: u64,
    #[prost(fixed64, tag = "2")]
    pub created: u64,
    /// A [`PartitionBody`](crate::bodies::PartitionBody).
    #[prost(message, required, tag = "3")]
    pub body: Kept,
}

/// A resource policy.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct PolicyRow {
    #[prost(string, tag = "1")]
    pub text: String,
    #[prost(fixed64, tag = "2")]
    pub created: u64,
    #[prost(fixed64, tag = "3")]
    pub updated: u64,
    /// The unique ids of those whom it names.
    #[prost(btree_map = "string, string", tag = "4")]
    pub ids: BTreeMap<String, String>,
}

pub(crate) fn encode(row: &impl Message) -> Bytes {
    row.encode_to_vec().into()
}

fn of(table: u8, account: AccountId) -> KeyBuilder {
    KeyBuilder::new(table).raw(account.as_str().as_bytes())
}

pub(crate) fn database(account: AccountId, name: &str) -> Key {
    of(DATABASES, account).bytes(name.as_bytes()).build()
}

/// The beginning of the rows of an account's databases.
pub(crate) fn databases(account: AccountId) -> Key {
    of(DATABASES, account).build()
}

pub(crate) fn policy(account: AccountId) -> Key {
    of(POLICIES, account).build()
}

pub(crate) fn table(database: Id, name: &str) -> Key {
    KeyBuilder::new(TABLES).u128(database).bytes(name.as_bytes()).build()
}

/// The beginning of the rows of a kind that a database or table has.
pub(crate) fn all_of(kind: u8, id: Id) -> Key {
    KeyBuilder::new(kind).u128(id).build()
}

pub(crate) fn version(table: Id, number: u64) -> Key {
    KeyBuilder::new(VERSIONS).u128(table).newest_first(number).build()
}

pub(crate) fn piece(table: Id, hash: &[u8]) -> Key {
    KeyBuilder::new(PIECES).u128(table).raw(hash).build()
}

/// The row of a partition, or with fewer values than there are keys the beginning of those that begin with them.
pub(crate) fn partition(table: Id, values: &[String]) -> Key {
    let key = KeyBuilder::new(PARTITIONS).u128(table);
    values.iter().fold(key, |key, value| key.bytes(value.as_bytes())).build()
}

/// From which row on, and up to which, the partitions of a run stand.
pub(crate) fn partitions(table: Id, span: &Span) -> (Key, Key) {
    let rows = || KeyBuilder::extend(&partition(table, &span.values));
    let bound = |text: &Option<String>| match text {
        Some(text) => rows().begins(text.as_bytes()),
        None => rows().build(),
    };
    (bound(&span.least), prefix_range(bound(&span.most)).1)
}

/// The beginning of the statistics of a table's columns, or of those of a partition.
pub(crate) fn statistics(table: Id, partition: Option<&[String]>) -> KeyBuilder {
    let key = KeyBuilder::new(STATISTICS).u128(table);
    match partition {
        None => key.u8(0),
        Some(values) => values.iter().fold(key.u8(1), |key, value| key.bytes(value.as_bytes())),
    }
}

/// What is to be removed: a whole database, or a table. `kind` is [`TABLES`] for what lies in a database, [`PARTITIONS`] for what a table has.
pub(crate) fn removal(kind: u8, id: Id) -> Key {
    KeyBuilder::new(REMOVALS).u8(kind).u128(id).build()
}

/// Kind and id of a row of [`REMOVALS`].
pub(crate) fn removal_of(row: &[u8]) -> Result<(u8, Id), MalformedKey> {
    let mut reader = KeyReader::new(row);
    reader.table()?;
    Ok((reader.u8()?, reader.u128()?))
}

fn text(reader: &mut KeyReader<'_>) -> Result<String, MalformedKey> {
    String::from_utf8(reader.bytes()?.into_owned()).map_err(|_| MalformedKey(1))
}

/// Account of a policy's row.
pub(crate) fn account_of(row: &[u8]) -> Result<AccountId, MalformedKey> {
    let mut reader = KeyReader::new(row);
    reader.table()?;
    std::str::from_utf8(reader.raw(12)?).ok().and_then(|text| text.parse().ok()).ok_or(MalformedKey(1))
}

/// The name of a database's row.
pub(crate) fn database_name(row: &[u8]) -> Result<String, MalformedKey> {
    let mut reader = KeyReader::new(row);
    reader.table()?;
    reader.raw(12)?;
    text(&mut reader)
}

/// The name of a table's row.
pub(crate) fn table_name(row: &[u8]) -> Result<String, MalformedKey> {
    let mut reader = KeyReader::new(row);
    reader.table()?;
    reader.u128()?;
    text(&mut reader)
}

/// The number of a version's row.
pub(crate) fn version_number(row: &[u8]) -> Result<u64, MalformedKey> {
    let mut reader = KeyReader::new(row);
    reader.table()?;
    reader.u128()?;
    reader.newest_first()
}

/// The values of a partition's row.
pub(crate) fn partition_values(row: &[u8], keys: usize) -> Result<Vec<String>, MalformedKey> {
    let mut reader = KeyReader::new(row);
    reader.table()?;
    reader.u128()?;
    (0..keys).map(|_| text(&mut reader)).collect()
}

/// What stands behind the table's id in a key: what tokens of lists carry.
pub(crate) fn behind_id(key: &[u8]) -> &[u8] {
    key.get(17..).unwrap_or_default()
}

/// Holds as long as the database is there that has this id.
pub(crate) fn database_stands(key: Key, row: &DatabaseRow) -> Cond {
    let first = DatabaseRow { id: row.id.clone(), ..DatabaseRow::default() };
    Cond::Begins(key, first.encode_to_vec().get(..ID_FIELD).map(Bytes::copy_from_slice).unwrap_or_default())
}

/// Tag, length and 16 bytes.
const ID_FIELD: usize = 18;
/// Tag and 4 bytes.
const KEYS_FIELD: usize = 5;
/// Tag and 8 bytes.
const STAMP_FIELD: usize = 9;

/// Holds as long as the table is there that has this id, with as many partition keys.
pub(crate) fn table_stands(key: Key, raw: &Bytes, row: &TableRow) -> Cond {
    // Without partition keys the number is not written.
    let length = if row.keys > 0 { ID_FIELD + KEYS_FIELD } else { ID_FIELD };
    Cond::Begins(key, raw.slice(..length.min(raw.len())))
}

/// Holds as long as the partition is as it was read.
pub(crate) fn partition_stands(key: Key, raw: &Bytes) -> Cond {
    Cond::Begins(key, raw.slice(..STAMP_FIELD.min(raw.len())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_begin_with_what_conditions_ask_for() {
        let row = TableRow { id: vec![7; 16], keys: 2, version: 5, ..TableRow::default() };
        let later = TableRow { version: 6, archived: 1, ..row.clone() };
        let other = TableRow { keys: 3, ..row.clone() };
        let (raw, key) = (encode(&row), table(1, "t"));
        let Cond::Begins(_, begins) = table_stands(key.clone(), &raw, &row) else { panic!() };
        assert!(encode(&later).starts_with(&begins) && !encode(&other).starts_with(&begins));
        let row = DatabaseRow { id: vec![7; 16], created: 9, ..DatabaseRow::default() };
        let Cond::Begins(_, begins) = database_stands(key.clone(), &row) else { panic!() };
        assert!(begins.len() == ID_FIELD && encode(&row).starts_with(&begins));
        let row = PartitionRow { stamp: u64::MAX, created: 9, ..PartitionRow::default() };
        let Cond::Begins(_, begins) = partition_stands(key, &encode(&row)) else { panic!() };
        assert_eq!(begins.as_ref(), [&[0x09][..], &[0xFF; 8]].concat());
    }

    #[test]
    fn keys_are_read_back() {
        let values = vec!["2024".to_owned(), "a\0b".to_owned(), String::new()];
        assert_eq!(partition_values(&partition(7, &values), 3), Ok(values.clone()));
        assert!(partition(7, &values).starts_with(&partition(7, &values[..2])));
        assert_eq!(version_number(&version(7, 12)), Ok(12));
        assert!(version(7, 12) < version(7, 11));
        assert_eq!(removal_of(&removal(TABLES, 9)), Ok((TABLES, 9)));
        let account: AccountId = "111122223333".parse().unwrap();
        assert_eq!(database_name(&database(account, "d")), Ok("d".to_owned()));
        assert_eq!(table_name(&table(3, "t")), Ok("t".to_owned()));
    }
}
