//! The port by which other services read streams.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use millpond_api_dynamodbstreams as api;
use millpond_kernel::{Caller, Rejection, StreamStart, TableRecord, TableRecords, TableShard, TableStreams};
use millpond_meta::Key;
use millpond_types::{Arn, Timestamp};
use tokio::sync::watch;

use super::known::Stream;
use super::place::{self, Place};
use super::read;
use super::shown::{self, For};
use super::{MAX_RECORDS, SHARDS};
use crate::errors::DynamoError;
use crate::inputs::Input;
use crate::ops::streams::allowed;
use crate::state::Core;
use crate::tables;

/// Who waits for records, by the stream.
#[derive(Debug, Default)]
pub(crate) struct Waiting(Mutex<HashMap<String, watch::Sender<()>>>);

impl Waiting {
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, watch::Sender<()>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn of(&self, stream: &Arn) -> watch::Receiver<()> {
        let mut all = self.lock();
        // Those that nobody waits for any more.
        all.retain(|_, sender| sender.receiver_count() > 0);
        all.entry(stream.to_string()).or_default().subscribe()
    }

    fn tell(&self, stream: &str) {
        if let Some(sender) = self.lock().get(stream) {
            // Nobody may be left who listens.
            let _ = sender.send(());
        }
    }
}

/// Tells who waits of what was appended, until the server stops.
pub(crate) async fn tell(core: &Core) {
    let appends = core.kv.appends(tables::STREAM);
    loop {
        for shard in appends.changed().await {
            if let Some(arn) = arn_of(core, &shard) {
                core.waiting.tell(arn.as_str());
            }
        }
    }
}

/// The stream of a shard's prefix.
fn arn_of(core: &Core, shard: &Key) -> Option<Arn> {
    let (table, label) = tables::shard_of(shard).ok()?;
    core.tables().id(table).map(|table| table.stream_arn(&label))
}

/// The port.
pub(crate) struct Port(pub Arc<Core>);

impl Port {
    async fn stream<I: Input>(&self, stream: &Arn, by: &Caller) -> Result<Stream, DynamoError> {
        allowed::<I>(&self.0, by, stream.as_str()).await
    }

    async fn some(
        &self,
        (stream, shard): (&Arn, &str),
        from: &StreamStart,
        most: usize,
        by: &Caller,
    ) -> Result<TableRecords, DynamoError> {
        let stream = self.stream::<api::GetRecordsInput>(stream, by).await?;
        let unknown = || DynamoError::NotFound(format!("Requested resource not found: Shard: {shard} not found"));
        let number = place::shard(&stream, shard).ok_or_else(unknown)?;
        let place = match from {
            StreamStart::TrimHorizon => Place::OLDEST,
            StreamStart::Latest => read::latest(&self.0),
            StreamStart::After(sequence) => {
                let position = place::position(sequence);
                let bad = || DynamoError::Validation(format!("Invalid sequence number: {sequence}"));
                // What was trimmed is passed over.
                Place { oldest: true, ..Place::after(position.ok_or_else(bad)?) }
            }
        };
        let page = read::page(&self.0, &stream, number, place, most.clamp(1, MAX_RECORDS)).await?;
        let after = page.records.last().map_or(place, |record| place.moved(record.position));
        let next = page.next.unwrap_or(after);
        let records = page.records.iter().map(|record| table_record(&stream, record)).collect();
        let next_start = if next.after == Place::OLDEST.after {
            StreamStart::TrimHorizon
        } else {
            StreamStart::After(place::sequence(next.after))
        };
        Ok(TableRecords { records, next: next_start, ended: page.next.is_none() })
    }
}

fn table_record(stream: &Stream, record: &read::Record) -> TableRecord {
    let mut json = String::new();
    shown::write(&mut json, stream, record, For::Function);
    TableRecord {
        sequence: place::sequence(record.position),
        time: Timestamp(record.row.time.saturating_mul(1_000_000)),
        json: Bytes::from(json),
        causes: record.row.causes.clone(),
    }
}

impl TableStreams for Port {
    fn shards<'a>(&'a self, stream: &'a Arn, by: &'a Caller) -> BoxFuture<'a, Result<Vec<TableShard>, Rejection>> {
        async move {
            let stream = self.stream::<api::DescribeStreamInput>(stream, by).await?;
            let closed = stream.ended.is_some();
            let shard = |shard| TableShard { id: place::shard_id(&stream, shard), parent: None, closed };
            Ok((0..SHARDS).map(shard).collect())
        }
        .boxed()
    }

    fn read<'a>(
        &'a self,
        stream: &'a Arn,
        shard: &'a str,
        from: &'a StreamStart,
        most: usize,
        by: &'a Caller,
    ) -> BoxFuture<'a, Result<TableRecords, Rejection>> {
        async move { Ok(self.some((stream, shard), from, most, by).await?) }.boxed()
    }

    fn watch(&self, stream: &Arn) -> watch::Receiver<()> {
        self.0.waiting.of(stream)
    }
}
