//! The service's tables: the first byte of a row's key, 0x58 to 0x5F, and how rows are keyed and what they hold. A tag never changes its meaning.

use bytes::Bytes;
use millpond_meta::Key;
use millpond_meta::key::{KeyBuilder, KeyReader};
use millpond_types::AccountId;
use prost::Message;

/// (account, name) -> a trail.
pub const TRAILS: u8 = 0x58;
/// (trail, position) -> a record that goes into the trail's next log file: a stream for each trail.
pub const QUEUED: u8 = 0x59;
/// (trail) -> the log file that is being put.
pub const FILES: u8 = 0x5A;
/// (trail) -> how deliveries went.
pub const STATUS: u8 = 0x5B;

pub fn trail(account: AccountId, name: &str) -> Key {
    KeyBuilder::new(TRAILS).raw(account.as_str().as_bytes()).bytes(name.as_bytes()).build()
}

/// The account of a trail's row.
pub fn account_of(key: &[u8]) -> Option<AccountId> {
    let mut reader = KeyReader::new(key);
    reader.table().ok()?;
    std::str::from_utf8(reader.raw(12).ok()?).ok()?.parse().ok()
}

/// What waits for a trail's next log file.
pub fn queued(id: u128) -> Key {
    KeyBuilder::new(QUEUED).u128(id).build()
}

pub fn file(id: u128) -> Key {
    KeyBuilder::new(FILES).u128(id).build()
}

pub fn status(id: u128) -> Key {
    KeyBuilder::new(STATUS).u128(id).build()
}

/// A trail.
#[derive(Clone, PartialEq, Message)]
pub struct TrailRow {
    /// 16 bytes: names its other rows, and is never used again.
    #[prost(bytes = "bytes", tag = "1")]
    pub id: Bytes,
    #[prost(string, tag = "2")]
    pub name: String,
    #[prost(string, tag = "3")]
    pub bucket: String,
    #[prost(string, optional, tag = "4")]
    pub prefix: Option<String>,
    /// Whether events of services that are of no region are in it.
    #[prost(bool, tag = "5")]
    pub global: bool,
    #[prost(bool, tag = "6")]
    pub multi_region: bool,
    #[prost(btree_map = "string, string", tag = "7")]
    pub tags: std::collections::BTreeMap<String, String>,
    #[prost(message, repeated, tag = "8")]
    pub basic: Vec<BasicRow>,
    #[prost(message, repeated, tag = "9")]
    pub advanced: Vec<AdvancedRow>,
    #[prost(bool, tag = "10")]
    pub logging: bool,
    /// In nanoseconds since 1970; 0 for never.
    #[prost(uint64, tag = "11")]
    pub started: u64,
    #[prost(uint64, tag = "12")]
    pub stopped: u64,
}

/// An event selector.
#[derive(Clone, PartialEq, Message)]
pub struct BasicRow {
    /// 1 all, 2 reads, 3 writes.
    #[prost(uint32, tag = "1")]
    pub which: u32,
    #[prost(bool, tag = "2")]
    pub management: bool,
    #[prost(string, repeated, tag = "3")]
    pub excluded: Vec<String>,
    /// Whether it names resources at all, and the beginnings of ARNs of objects.
    #[prost(bool, tag = "4")]
    pub data: bool,
    #[prost(string, repeated, tag = "5")]
    pub objects: Vec<String>,
}

/// An advanced event selector.
#[derive(Clone, PartialEq, Message)]
pub struct AdvancedRow {
    #[prost(string, optional, tag = "1")]
    pub name: Option<String>,
    #[prost(message, repeated, tag = "2")]
    pub fields: Vec<FieldRow>,
}

/// A condition on one field.
#[derive(Clone, PartialEq, Message)]
pub struct FieldRow {
    #[prost(string, tag = "1")]
    pub field: String,
    #[prost(string, repeated, tag = "2")]
    pub equals: Vec<String>,
    #[prost(string, repeated, tag = "3")]
    pub starts: Vec<String>,
    #[prost(string, repeated, tag = "4")]
    pub ends: Vec<String>,
    #[prost(string, repeated, tag = "5")]
    pub not_equals: Vec<String>,
    #[prost(string, repeated, tag = "6")]
    pub not_starts: Vec<String>,
    #[prost(string, repeated, tag = "7")]
    pub not_ends: Vec<String>,
}

/// A log file that is being put: what goes into it, and under which key, however often it is tried.
#[derive(Clone, PartialEq, Message)]
pub struct FileRow {
    #[prost(string, tag = "1")]
    pub key: String,
    /// The position of its last record.
    #[prost(bytes = "bytes", tag = "2")]
    pub last: Bytes,
}

/// How deliveries went. Times in nanoseconds since 1970; 0 for never.
#[derive(Clone, PartialEq, Message)]
pub struct StatusRow {
    #[prost(uint64, tag = "1")]
    pub delivered: u64,
    #[prost(uint64, tag = "2")]
    pub attempted: u64,
    /// The code of the error by which the latest attempt failed; empty when it did not.
    #[prost(string, tag = "3")]
    pub error: String,
}
