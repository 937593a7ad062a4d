//! Streams themselves: which there are.

use std::ops::Bound;

use bytes::Bytes;
use millpond_kernel::{Named, Resource};
use millpond_meta::key::{prefix_range, successor};
use millpond_meta::{Cond, Key, Op, ReadError, Scan};
use millpond_types::{AccountId, Arn, Timestamp};
use millpond_wire::push_iso8601;

use super::KEPT;
use super::record::ViewType;
use super::rows::StreamRow;
use crate::errors::DynamoError;
use crate::model;
use crate::names;
use crate::state::{Core, decode, encode};
use crate::tables::{self, TableId};

/// A stream, at one moment.
#[derive(Clone, Debug)]
pub(crate) struct Stream {
    pub account: AccountId,
    pub table: TableId,
    pub table_name: String,
    /// Names it among those of the table: when it began.
    pub label: String,
    pub arn: Arn,
    pub row: StreamRow,
    /// The row itself.
    pub raw: Bytes,
    pub policy: Option<Named>,
    /// When it was disabled, in milliseconds since the epoch. What was appended before that is in the store when this is set.
    pub ended: Option<u64>,
}

impl Stream {
    /// The row that it lies in.
    pub fn key(&self) -> Key {
        tables::stream(self.account, &self.table_name, &self.label)
    }

    /// The beginning of a shard's records.
    pub fn prefix(&self, shard: u8) -> Key {
        tables::shard(self.table, &self.label, shard)
    }

    /// As policies see it.
    pub fn resource(&self) -> Resource {
        Resource { policy: self.policy.clone(), ..Resource::new(self.arn.clone(), self.account) }
    }

    /// Whether nothing of it is kept any more at a time in milliseconds.
    pub fn is_over(&self, now: u64) -> bool {
        self.ended.is_some_and(|ended| u128::from(now.saturating_sub(ended)) >= KEPT.as_millis())
    }

    /// What it has of each change.
    pub fn view(&self) -> ViewType {
        ViewType(self.row.view)
    }

    /// What writes its row anew.
    pub fn rewritten(&self, row: &StreamRow) -> (Cond, Op) {
        (Cond::Equals(self.key(), self.raw.clone()), Op::Put(self.key(), encode(row)))
    }
}

impl Core {
    /// A stream by its name; `None` also when nothing of it is kept any more.
    pub async fn stream(&self, account: AccountId, table: &str, label: &str) -> Result<Option<Stream>, DynamoError> {
        match self.kv.get(&tables::stream(account, table, label)).await? {
            None => Ok(None),
            Some(raw) => {
                let stream = self.stream_of_row(account, table, label, raw).await?;
                Ok(Some(stream).filter(|stream| !stream.is_over(self.millis())))
            }
        }
    }

    async fn stream_of_row(
        &self,
        account: AccountId,
        table: &str,
        label: &str,
        raw: Bytes,
    ) -> Result<Stream, DynamoError> {
        let damaged = |what: &str| DynamoError::Internal(format!("streams: {account} {table} {label}: {what}"));
        let row: StreamRow = decode(&raw, "a stream")?;
        let id: [u8; 16] = row.table.as_slice().try_into().map_err(|_| damaged("the table's id"))?;
        let id = TableId::from_be_bytes(id);
        let arn = names::stream_arn(self.kernel.region(), account, table, label);
        let policy = row.policy.as_ref().map(|row| model::policy(&arn, &row.text, &row.ids)).transpose();
        let enabled = self.tables().named(account, table).is_some_and(|table| {
            table.id == id && table.row.stream.as_ref().is_some_and(|stream| stream.label == label)
        });
        let ended = if enabled { None } else { self.stream_end(account, table, label).await? };
        Ok(Stream {
            account,
            table: id,
            table_name: table.to_owned(),
            label: label.to_owned(),
            policy: policy.map_err(|error| damaged(&error))?,
            arn,
            row,
            raw,
            ended,
        })
    }

    /// When a stream was disabled. A stream whose table memory does not know yet has no end.
    async fn stream_end(&self, account: AccountId, table: &str, label: &str) -> Result<Option<u64>, ReadError> {
        let row = self.kv.get(&tables::stream_end(account, table, label)).await?;
        Ok(row.and_then(|row| <[u8; 8]>::try_from(row.as_ref()).ok()).map(u64::from_be_bytes))
    }

    /// Streams in the order of account, table and label: those of an account behind a table and label, or all behind a row; at most `most`.
    pub async fn streams(&self, of: Bound<Key>, to: Key, most: usize) -> Result<Vec<Stream>, DynamoError> {
        let scan = Scan { from: of, to: Bound::Excluded(to), reverse: false, limit: most };
        let mut streams = Vec::new();
        for (key, raw) in self.kv.scan(scan).await? {
            let (account, table, label) = tables::stream_of(&key)?;
            streams.push(self.stream_of_row(account, &table, &label, raw).await?);
        }
        Ok(streams)
    }

    /// A page of the streams of an account, of one table or of all, behind a table and label.
    pub async fn streams_of(
        &self,
        account: AccountId,
        table: Option<&str>,
        after: Option<(&str, &str)>,
        most: usize,
    ) -> Result<Vec<Stream>, DynamoError> {
        let (from, to) = prefix_range(tables::streams_of(account, table));
        let from = match after {
            Some((table, label)) => from.max(successor(&tables::stream(account, table, label))),
            None => from,
        };
        if from >= to {
            return Ok(Vec::new());
        }
        self.streams(Bound::Included(from), to, most).await
    }
}

/// The label of a time in milliseconds since the epoch: it in ISO 8601, without a zone.
pub(crate) fn label(millis: u64) -> String {
    let mut text = String::new();
    push_iso8601(&mut text, Timestamp(millis.saturating_mul(1_000_000)), true);
    text.trim_end_matches('Z').to_owned()
}
