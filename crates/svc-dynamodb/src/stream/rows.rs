//! What lies in the rows of streams. Part of the disk format: tags are never used twice.

use bytes::Bytes;
use prost::Message;

use crate::tables::PolicyRow;

/// A stream, from when it is enabled until 24 hours after it was disabled.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct StreamRow {
    /// 16 bytes, big-endian: the table's id.
    #[prost(bytes = "vec", tag = "1")]
    pub table: Vec<u8>,
    /// 0: keys; 1: the new image; 2: the old image; 3: both.
    #[prost(uint32, tag = "2")]
    pub view: u32,
    /// Milliseconds since the epoch.
    #[prost(uint64, tag = "3")]
    pub created: u64,
    /// The names of the table's partition key, and of its sort key where it has one.
    #[prost(string, repeated, tag = "4")]
    pub keys: Vec<String>,
    /// The number of a commit before all of its records.
    #[prost(uint64, tag = "5")]
    pub start: u64,
    #[prost(message, optional, tag = "6")]
    pub policy: Option<PolicyRow>,
}

/// A change of an item.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct RecordRow {
    /// Milliseconds since the epoch.
    #[prost(uint64, tag = "1")]
    pub time: u64,
    /// 0: inserted; 1: modified; 2: removed.
    #[prost(uint32, tag = "2")]
    pub event: u32,
    /// Whether the time to live did it.
    #[prost(bool, tag = "3")]
    pub expired: bool,
    /// What led to the change, oldest first.
    #[prost(string, repeated, tag = "4")]
    pub causes: Vec<String>,
    /// Bytes of its keys and images, as items count.
    #[prost(uint64, tag = "5")]
    pub size: u64,
    /// An [`ImagesRow`], sealed for the shard, unless it lies in chunks.
    #[prost(bytes = "bytes", tag = "6")]
    pub sealed: Bytes,
    /// 16 bytes: the id of its chunks.
    #[prost(bytes = "bytes", tag = "7")]
    pub chunks: Bytes,
    /// Bytes in chunks.
    #[prost(uint64, tag = "8")]
    pub length: u64,
}

/// What a record says of an item: each an item's bytes, empty where the view has none.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct ImagesRow {
    #[prost(bytes = "bytes", tag = "1")]
    pub keys: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    pub new: Bytes,
    #[prost(bytes = "bytes", tag = "3")]
    pub old: Bytes,
}

/// Where an iterator stands. Lies nowhere: clients keep it, sealed.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct IteratorRow {
    #[prost(uint32, tag = "1")]
    pub shard: u32,
    #[prost(uint64, tag = "2")]
    pub commit: u64,
    #[prost(uint32, tag = "3")]
    pub index: u32,
    #[prost(bool, tag = "4")]
    pub oldest: bool,
    #[prost(uint64, tag = "5")]
    pub from_time: u64,
    /// Milliseconds since the epoch.
    #[prost(uint64, tag = "6")]
    pub made: u64,
}
