//! Removes records that were kept for 24 hours, and streams that ended so long ago.

use std::ops::Bound;
use std::time::Duration;

use bytes::Bytes;
use millpond_meta::key::{prefix_end, prefix_range, successor};
use millpond_meta::{Batch, CommitError, Op, Position, ReadError, Scan};

use super::SHARDS;
use super::known::Stream;
use super::read::{horizon, kept_from};
use super::record::beside;
use super::rows::RecordRow;
use crate::errors::DynamoError;
use crate::state::{Core, decode};
use crate::tables;

/// Records that one commit removes, and what goes with them at most: a large one has some twenty chunks.
const ROWS: usize = 256;
const MAX_BESIDE: usize = 2_048;
/// Streams that are looked at together.
const PAGE: usize = 100;

/// Why something was not removed. It is tried again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TrimError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Commit(#[from] CommitError),
    #[error(transparent)]
    Stream(#[from] DynamoError),
}

/// How often it is looked.
const TICK: Duration = Duration::from_secs(30);

/// Removes what is to go, until the server stops.
pub(crate) async fn run(core: &Core) {
    loop {
        if let Err(error) = all(core).await {
            tracing::warn!(%error, "records of streams that were kept long enough wait to be removed");
        }
        tokio::time::sleep(TICK).await;
    }
}

/// Removes what is to go now.
pub(crate) async fn all(core: &Core) -> Result<(), TrimError> {
    let (from, to) = prefix_range(Bytes::from_static(&[tables::STREAMS]));
    let (mut from, mut failed) = (Bound::Included(from), None);
    loop {
        let streams = core.streams(from, to.clone(), PAGE).await?;
        for stream in &streams {
            // One that cannot be trimmed holds up no other.
            if let Err(error) = trim(core, stream).await {
                tracing::warn!(%error, stream = stream.label, "records of a stream that were kept long enough wait to be removed");
                failed = failed.or(Some(error));
            }
        }
        match streams.last() {
            Some(last) if streams.len() == PAGE => from = Bound::Excluded(last.key()),
            _ => return failed.map_or(Ok(()), Err),
        }
    }
}

/// Removes what is to go of a stream.
async fn trim(core: &Core, stream: &Stream) -> Result<(), TrimError> {
    // When it is over all goes, whatever time a record bears: of later changes of the clock nothing may stay that nobody knows of.
    let is_over = stream.is_over(core.millis());
    let before = if is_over { u64::MAX } else { kept_from(core) };
    for shard in 0..SHARDS {
        while some(core, stream, shard, before).await? {}
    }
    if is_over { over(core, stream).await } else { Ok(()) }
}

/// Removes some records of a shard that are older than a time in milliseconds, and says in the same commit how far; whether there may be more. Whoever reads does not hold them.
async fn some(core: &Core, stream: &Stream, shard: u8, before: u64) -> Result<bool, TrimError> {
    let prefix = stream.prefix(shard);
    let at = |position: Position| Bytes::from([&prefix[..], &position.to_bytes()].concat());
    // Behind what was removed, whose rows a scan would have to pass.
    let from = horizon(core, stream, shard).await?.map_or_else(|| prefix.clone(), |position| successor(&at(position)));
    let to = prefix_end(&prefix);
    let scan = Scan { from: Bound::Included(from.clone()), to: Bound::Excluded(to), reverse: false, limit: ROWS };
    let rows = core.kv.scan(scan).await?;
    let (mut ops, mut last, mut done, mut ops_full) = (Vec::new(), None, 0, false);
    for (key, value) in rows {
        let row: RecordRow = decode(&value, "a record")?;
        // Times may lie in another order than commits by as much as commits take; the next round has what is left.
        ops_full = ops.len() > MAX_BESIDE;
        if row.time >= before || ops_full {
            break;
        }
        ops.extend(beside(&row));
        last = Position::from_key(&key);
        done += 1;
    }
    let Some(last) = last else { return Ok(false) };
    ops.push(Op::DeleteRange(from, successor(&at(last))));
    ops.push(Op::Put(tables::horizon(stream.table, &stream.label, shard), Bytes::copy_from_slice(&last.to_bytes())));
    core.kv.commit(Batch { ops, urgent: true, ..Batch::default() }).await?;
    // All of a full page, or as much as one commit takes.
    Ok(done == ROWS || ops_full)
}

/// Forgets a stream that ended 24 hours ago: its records are gone.
async fn over(core: &Core, stream: &Stream) -> Result<(), TrimError> {
    let horizon = |shard| Op::Delete(tables::horizon(stream.table, &stream.label, shard));
    let mut ops: Vec<Op> = (0..SHARDS).map(horizon).collect();
    ops.push(Op::Delete(stream.key()));
    ops.push(Op::Delete(tables::stream_end(stream.account, &stream.table_name, &stream.label)));
    core.kv.commit(Batch { ops, urgent: true, ..Batch::default() }).await?;
    Ok(())
}
