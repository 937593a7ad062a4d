//! How mappings and their progress lie in the store; see [`crate::tables`].

use millpond_meta::Key;
use millpond_meta::key::{KeyBuilder, KeyReader, MalformedKey};
use millpond_types::AccountId;
use prost::Message;

use crate::tables::{MAPPINGS, PROGRESS};

/// A mapping.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct MappingRow {
    /// The source's ARN.
    #[prost(string, tag = "1")]
    pub source: String,
    /// The function's name, in the mapping's account.
    #[prost(string, tag = "2")]
    pub function: String,
    /// Empty: none.
    #[prost(string, tag = "3")]
    pub qualifier: String,
    #[prost(bool, tag = "4")]
    pub enabled: bool,
    /// Whether it goes as soon as nobody reads by it any more.
    #[prost(bool, tag = "5")]
    pub deleting: bool,
    #[prost(uint32, tag = "6")]
    pub batch: u32,
    /// Seconds that a batch gathers.
    #[prost(uint32, tag = "7")]
    pub window: u32,
    /// Where reading begins: 0 of a queue, 1 the oldest record, 2 the newest.
    #[prost(uint32, tag = "8")]
    pub start: u32,
    /// Patterns, of which one must match.
    #[prost(string, repeated, tag = "9")]
    pub filters: Vec<String>,
    /// Whether functions tell which of a batch failed.
    #[prost(bool, tag = "10")]
    pub partial: bool,
    /// Whether a batch that fails is halved.
    #[prost(bool, tag = "11")]
    pub bisect: bool,
    /// Tries again of one batch; -1: no end.
    #[prost(int32, tag = "12")]
    pub retries: i32,
    /// Seconds that a record may be old; -1: no end.
    #[prost(int32, tag = "13")]
    pub age: i32,
    /// Where what was given up is told.
    #[prost(string, optional, tag = "14")]
    pub on_failure: Option<String>,
    /// Batches of a queue at the same time.
    #[prost(uint32, optional, tag = "15")]
    pub concurrency: Option<u32>,
    /// Nanoseconds.
    #[prost(fixed64, tag = "16")]
    pub modified: u64,
    /// Counts changes, so that rows tell whether anything changed.
    #[prost(uint64, tag = "17")]
    pub changes: u64,
}

/// How far a shard was read for a mapping.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct ProgressRow {
    /// Everything up to this record is done; empty: nothing is.
    #[prost(string, tag = "1")]
    pub after: String,
    /// Whether all of the shard is done.
    #[prost(bool, tag = "2")]
    pub ended: bool,
    /// Records of batches that are tried again, the next one last.
    #[prost(uint32, repeated, tag = "3")]
    pub sizes: Vec<u32>,
    /// Failures of the next one.
    #[prost(uint32, tag = "4")]
    pub tried: u32,
}

pub(crate) fn mapping(account: AccountId, id: u128) -> Key {
    KeyBuilder::new(MAPPINGS).raw(account.as_str().as_bytes()).u128(id).build()
}

/// Account and id of a mapping's row.
pub(crate) fn mapping_of(key: &[u8]) -> Result<(AccountId, u128), MalformedKey> {
    let mut reader = KeyReader::new(key);
    reader.table()?;
    let account = std::str::from_utf8(reader.raw(12)?).ok().and_then(|text| text.parse().ok());
    Ok((account.ok_or(MalformedKey(1))?, reader.u128()?))
}

/// All progress of a mapping.
pub(crate) fn all_progress(mapping: u128) -> Key {
    KeyBuilder::new(PROGRESS).u128(mapping).build()
}

pub(crate) fn progress(mapping: u128, shard: &str) -> Key {
    KeyBuilder::new(PROGRESS).u128(mapping).bytes(shard.as_bytes()).build()
}
