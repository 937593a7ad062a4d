//! Rows as they lie on disk: protobuf, whose fields later versions can still read.

use bytes::Bytes;
use millpond_meta::ReadError;
use prost::Message;

/// What a queue is.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct QueueRow {
    #[prost(string, tag = "1")]
    pub account: String,
    #[prost(string, tag = "2")]
    pub name: String,
    /// Milliseconds since the epoch.
    #[prost(uint64, tag = "3")]
    pub created: u64,
    /// Milliseconds since the epoch.
    #[prost(uint64, tag = "4")]
    pub modified: u64,
    /// Attributes that were set, by their names in the API.
    #[prost(btree_map = "string, string", tag = "5")]
    pub attributes: std::collections::BTreeMap<String, String>,
    /// The unique ids of whom the policy names, in the order of their ARNs.
    #[prost(string, repeated, tag = "6")]
    pub policy_ids: Vec<String>,
    #[prost(btree_map = "string, string", tag = "7")]
    pub tags: std::collections::BTreeMap<String, String>,
    /// Messages of commits up to this one are purged.
    #[prost(uint64, tag = "8")]
    pub purged: u64,
    /// When it was last purged, in milliseconds since the epoch; 0: never.
    #[prost(uint64, tag = "9")]
    pub purged_at: u64,
}

/// The queue of a name.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct NameRow {
    #[prost(uint64, tag = "1")]
    pub queue: u64,
    /// When the queue was deleted, in milliseconds since the epoch; 0: it is there.
    #[prost(uint64, tag = "2")]
    pub deleted: u64,
}

/// A message.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct MessageRow {
    /// 16 bytes: the message's id.
    #[prost(bytes = "bytes", tag = "1")]
    pub id: Bytes,
    /// Milliseconds since the epoch: SentTimestamp.
    #[prost(uint64, tag = "2")]
    pub sent: u64,
    /// SenderId.
    #[prost(string, tag = "3")]
    pub sender: String,
    #[prost(string, optional, tag = "4")]
    pub group: Option<String>,
    #[prost(string, optional, tag = "5")]
    pub dedup: Option<String>,
    /// Seconds for which a message of a standard queue is delayed.
    #[prost(uint64, tag = "6")]
    pub delay: u64,
    /// The ARN of the queue from which it was moved here as a dead letter.
    #[prost(string, optional, tag = "7")]
    pub dead_from: Option<String>,
    #[prost(string, optional, tag = "8")]
    pub trace: Option<String>,
    /// 16 bytes: the MD5 of the body.
    #[prost(bytes = "bytes", tag = "9")]
    pub md5: Bytes,
    /// Whether the content is sealed by the vault, for this message's id.
    #[prost(bool, tag = "10")]
    pub sealed: bool,
    /// A [`ContentRow`], unless it lies in chunks.
    #[prost(bytes = "bytes", tag = "11")]
    pub content: Bytes,
    /// Bytes of the content that lie in chunks, under `chunks`; 0: none.
    #[prost(uint64, tag = "12")]
    pub chunked: u64,
    /// 16 bytes: the id of the chunks.
    #[prost(bytes = "bytes", tag = "13")]
    pub chunks: Bytes,
    /// From when on the retention period counts, in milliseconds since the epoch, where that is not `sent`; else 0.
    #[prost(uint64, tag = "14")]
    pub kept_from: u64,
    /// The id of the event that it tells of, for `trace`.
    #[prost(string, optional, tag = "15")]
    pub event: Option<String>,
    /// What led to it, oldest first.
    #[prost(string, repeated, tag = "16")]
    pub causes: Vec<String>,
}

/// What a message says.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct ContentRow {
    #[prost(string, tag = "1")]
    pub body: String,
    #[prost(message, repeated, tag = "2")]
    pub attributes: Vec<AttributeRow>,
}

/// An attribute of a message.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct AttributeRow {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "2")]
    pub data_type: String,
    /// UTF-8, unless the type is binary.
    #[prost(bytes = "bytes", tag = "3")]
    pub value: Bytes,
}

/// How a message stands that was received.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct StateRow {
    /// Milliseconds since the epoch: until when it is not visible.
    #[prost(uint64, tag = "1")]
    pub until: u64,
    #[prost(uint32, tag = "2")]
    pub count: u32,
    /// Milliseconds since the epoch: when it was first received.
    #[prost(uint64, tag = "3")]
    pub first: u64,
    /// Milliseconds since the epoch: when it was last received.
    #[prost(uint64, tag = "4")]
    pub last: u64,
    /// Tells the handle of the last receipt from those before.
    #[prost(fixed64, tag = "5")]
    pub nonce: u64,
    /// Its group, in a FIFO queue.
    #[prost(string, optional, tag = "6")]
    pub group: Option<String>,
    /// From when on the retention period counts, in milliseconds since the epoch.
    #[prost(uint64, tag = "7")]
    pub kept_from: u64,
    /// Bytes of the message's content that lie in chunks, and their id, so that a deletion need not read the message.
    #[prost(uint64, tag = "8")]
    pub chunked: u64,
    #[prost(bytes = "bytes", tag = "9")]
    pub chunks: Bytes,
}

/// A message that was sent by a deduplication id.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct DedupRow {
    #[prost(bytes = "bytes", tag = "1")]
    pub message: Bytes,
    /// Milliseconds since the epoch.
    #[prost(uint64, tag = "2")]
    pub expires: u64,
}

/// An entry of the log of deduplication ids, in the same commit as the message, and right behind it.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct DedupLogRow {
    #[prost(bytes = "bytes", tag = "1")]
    pub hash: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    pub message: Bytes,
    #[prost(uint64, tag = "3")]
    pub expires: u64,
}

/// What is to be removed of a queue.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct ClearRow {
    /// Messages of commits up to this one, or everything where the queue is gone.
    #[prost(uint64, tag = "1")]
    pub purged: u64,
}

/// A message move task.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct TaskRow {
    /// Where to; absent: where each message came from.
    #[prost(string, optional, tag = "1")]
    pub destination: Option<String>,
    /// Messages a second; 0: no limit.
    #[prost(uint32, tag = "2")]
    pub rate: u32,
    /// Milliseconds since the epoch.
    #[prost(uint64, tag = "3")]
    pub started: u64,
    #[prost(uint64, tag = "4")]
    pub moved: u64,
    #[prost(uint64, tag = "5")]
    pub to_move: u64,
    /// 0 running, 1 completed, 2 cancelled, 3 failed.
    #[prost(uint32, tag = "6")]
    pub status: u32,
    #[prost(string, optional, tag = "7")]
    pub failure: Option<String>,
    /// Messages of commits after this one came later and are not moved.
    #[prost(uint64, tag = "8")]
    pub until: u64,
}

pub(crate) fn encode(row: &impl Message) -> Bytes {
    Bytes::from(row.encode_to_vec())
}

/// Reads a row; `what` names it where it is damaged.
pub(crate) fn decode<R: Message + Default>(row: &Bytes, what: &str) -> Result<R, ReadError> {
    R::decode(row.clone()).map_err(|error| ReadError::Damaged(format!("queues: {what}: {error}")))
}
