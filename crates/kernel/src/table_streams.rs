//! The port by which services of ours read the streams of tables, as callers like any other. Implemented by the table service.

use bytes::Bytes;
use futures_util::future::BoxFuture;
use millpond_types::{Arn, CauseChain, Timestamp};
use tokio::sync::watch;

use crate::{Caller, Rejection};

/// A shard of a stream.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TableShard {
    /// Its id, such as `shardId-00000001798765432100-0a1b2c3d`.
    pub id: String,
    /// The shard that it goes on from.
    pub parent: Option<String>,
    /// Whether nothing comes any more.
    pub closed: bool,
}

/// Where reading begins.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum StreamStart {
    /// The oldest record that is kept.
    TrimHorizon,
    /// What comes from now on.
    Latest,
    /// Behind the record with this sequence number. Where that is no longer kept: the oldest that is.
    After(String),
}

/// A record of a stream.
#[derive(Clone, PartialEq, Debug)]
pub struct TableRecord {
    /// Its sequence number: digits, in order within a shard.
    pub sequence: String,
    /// When the change was made.
    pub time: Timestamp,
    /// As functions get it (`eventID`, `eventName`, `dynamodb`, `eventSourceARN`, ...): an object in JSON.
    pub json: Bytes,
    /// What led to the change, oldest first; a deletion by time to live begins a chain.
    pub causes: CauseChain,
}

/// Records, and from where reading goes on.
#[derive(Clone, PartialEq, Debug)]
pub struct TableRecords {
    /// In order; may be none.
    pub records: Vec<TableRecord>,
    /// Where the next read begins. [`StreamStart::Latest`] becomes a place.
    pub next: StreamStart,
    /// Whether the shard is closed and all of it was read.
    pub ended: bool,
}

/// Reads streams. Everything is decided as the caller (`dynamodb:DescribeStream`, `dynamodb:GetRecords`, `dynamodb:GetShardIterator`).
pub trait TableStreams: Send + Sync + 'static {
    /// The shards of a stream, parents first.
    fn shards<'a>(&'a self, stream: &'a Arn, by: &'a Caller) -> BoxFuture<'a, Result<Vec<TableShard>, Rejection>>;

    /// At most `most` records of a shard.
    fn read<'a>(
        &'a self,
        stream: &'a Arn,
        shard: &'a str,
        from: &'a StreamStart,
        most: usize,
        by: &'a Caller,
    ) -> BoxFuture<'a, Result<TableRecords, Rejection>>;

    /// Changes whenever something may have come to a stream: take it before reading, and wait for it after a read that found nothing.
    fn watch(&self, stream: &Arn) -> watch::Receiver<()>;
}
