//! What `millpond trace` is told of: the changes of items that somebody made, of tables with streams. Of others nothing is kept.

use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use millpond_kernel::trace::{Asked, Line, Traced, is_caused, time_text};
use millpond_meta::key::{prefix_end, prefix_range};
use millpond_meta::{Position, ReadError, Scan};
use millpond_types::Timestamp;

use crate::errors::DynamoError;
use crate::state::{Core, decode};
use crate::stream::SHARDS;
use crate::stream::known::Stream;
use crate::stream::read::open;
use crate::stream::record::Event;
use crate::stream::rows::RecordRow;
use crate::tables;

/// Changes of a table that are told of, the newest ones.
const MAX_CHANGES: usize = 20;
/// Records of a shard that are looked through, the newest first; and of all together.
const MAX_LOOKED_AT: usize = 20_000;
const MAX_LOOKED_AT_ALL: usize = 500_000;
/// Streams that are looked through.
const MAX_STREAMS: usize = 1_000;
const PAGE: usize = 500;

/// The service as it is asked.
pub(crate) struct Tracing(pub Arc<Core>);

fn failed(error: &DynamoError) -> ReadError {
    ReadError::Failed(error.to_string())
}

impl Tracing {
    async fn of_cause(&self, cause: &str, since: Timestamp) -> Result<Vec<Line>, ReadError> {
        let core = &self.0;
        let (from, to) = prefix_range(Bytes::from_static(&[tables::STREAMS]));
        let streams = core.streams(Bound::Included(from), to, MAX_STREAMS).await.map_err(|error| failed(&error))?;
        let (mut left, mut lines) = (MAX_LOOKED_AT_ALL, Vec::new());
        for stream in streams {
            let mut found = Vec::new();
            for shard in 0..SHARDS {
                found.extend(self.of_shard(&stream, shard, (cause, since), &mut left).await?);
            }
            found.sort_by_key(|(position, _)| *position);
            if found.len() > MAX_CHANGES {
                let table = &stream.table_name;
                lines.push(Line::new(0, format!("table {table}: the latest {MAX_CHANGES} changes are told of")));
                found.drain(..found.len() - MAX_CHANGES);
            }
            lines.extend(found.into_iter().map(|(_, text)| Line::new(0, text)));
        }
        Ok(lines)
    }

    /// The newest changes of a shard that are wanted, in words.
    async fn of_shard(
        &self,
        stream: &Stream,
        shard: u8,
        (cause, since): (&str, Timestamp),
        left: &mut usize,
    ) -> Result<Vec<(Position, String)>, ReadError> {
        let prefix = stream.prefix(shard);
        let from = Bound::Included(prefix.clone());
        let mut to = Bound::Excluded(prefix_end(&prefix));
        let (mut found, mut looked_at) = (Vec::new(), 0);
        while looked_at < MAX_LOOKED_AT && *left > 0 && found.len() <= MAX_CHANGES {
            let scan = Scan { from: from.clone(), to: to.clone(), reverse: true, limit: PAGE };
            let page = self.0.kv.scan(scan).await?;
            (looked_at, *left) = (looked_at + page.len(), left.saturating_sub(page.len()));
            let mut old = true;
            for (key, value) in &page {
                let Some(position) = Position::from_key(key) else { continue };
                let row: RecordRow = decode(value, "a record")?;
                old &= row.time < since.millis();
                if is_caused(&row.causes, cause) {
                    found.push((position, self.words(stream, (shard, position), row).await?));
                }
            }
            match page.last() {
                Some((last, _)) if page.len() == PAGE && !old => to = Bound::Excluded(last.clone()),
                _ => break,
            }
        }
        Ok(found)
    }

    async fn words(
        &self,
        stream: &Stream,
        (shard, position): (u8, Position),
        row: RecordRow,
    ) -> Result<String, ReadError> {
        let (time, event) = (time_text(Timestamp(row.time.saturating_mul(1_000_000))), Event::of_row(row.event).name());
        let record = open(&self.0, &stream.prefix(shard), position, row).await.map_err(|error| failed(&error))?;
        let mut keys = String::new();
        if let Some(record) = record {
            record.keys.write_json(&mut keys);
        }
        Ok(format!("table {}: {event} of {keys} at {time}", stream.table_name))
    }
}

impl Traced for Tracing {
    fn trace<'a>(&'a self, asked: &'a Asked) -> BoxFuture<'a, Result<Vec<Line>, ReadError>> {
        async move {
            match asked {
                Asked::Caused { cause, since } => self.of_cause(cause, *since).await,
                Asked::Object { .. } | Asked::Event(_) | Asked::Message(_) | Asked::Resource(_) => Ok(Vec::new()),
            }
        }
        .boxed()
    }
}
