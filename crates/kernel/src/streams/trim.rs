//! Removes what every consumer has done long ago.

use std::sync::Arc;
use std::time::Duration;

use millpond_meta::{Batch, Key, MAX_RANGE_DELETE, Op, Position};
use millpond_types::Timestamp;
use tokio::sync::watch;

use super::{Consumers, Reader, StepError, TRIM_EVERY};

/// Entries that are removed by one commit.
const TRIM_ROWS: usize = 512;
const _: () = assert!(TRIM_ROWS <= MAX_RANGE_DELETE);
/// The most bytes that the store has for what goes with trimmed entries, in one commit.
const TRIM_OPS: usize = 4096;
/// Entries of one stream that are kept after they are done, if they are not too old before: bounds what a busy stream keeps for `trace`. What others do is no matter.
const KEEP_ENTRIES: u64 = 1_000_000;

impl Consumers {
    pub(super) async fn trim_often(self, mut stopped: watch::Receiver<bool>) {
        loop {
            tokio::select! {
                () = tokio::time::sleep(TRIM_EVERY) => {}
                _ = stopped.wait_for(|stop| *stop) => return,
            }
            if let Err(error) = self.trim().await {
                tracing::warn!(%error, "entries of streams that are done with could not be removed");
            }
        }
    }

    /// Removes the entries that are behind every cursor and older than they are kept.
    pub async fn trim(&self) -> Result<u64, StepError> {
        self.trim_to(KEEP_ENTRIES).await
    }

    /// The same, where so many entries of a stream are kept at most. What is damaged in one stream does not keep others from being trimmed.
    pub(super) async fn trim_to(&self, most: u64) -> Result<u64, StepError> {
        let (mut removed, mut failed) = (0, None);
        for reader in self.readers() {
            let Some(keep) = reader.consumer.keep() else { continue };
            for stream in reader.lanes.streams() {
                match self.trim_stream(&reader, &stream, (keep, most)).await {
                    Ok(count) => removed += count,
                    Err(error) => failed = Some(error),
                }
            }
        }
        failed.map_or(Ok(removed), Err)
    }

    async fn trim_stream(&self, reader: &Arc<Reader>, stream: &Key, keep: (Duration, u64)) -> Result<u64, StepError> {
        self.count_once(reader, stream).await?;
        let mut removed = 0;
        while let Some(count) = self.trim_some(reader, stream, keep).await? {
            removed += count;
        }
        Ok(removed)
    }

    /// Counts what was done before the server started.
    async fn count_once(&self, reader: &Arc<Reader>, stream: &Key) -> Result<(), StepError> {
        let (Some(held), Some(mut from)) = (reader.lanes.held(stream), reader.lanes.trimmed(stream)) else {
            return Ok(());
        };
        if held.before.is_some() {
            return Ok(());
        }
        let mut count = 0;
        loop {
            let entries = self.entries(stream, from, TRIM_ROWS).await?;
            let done = entries.iter().take_while(|entry| entry.position <= held.since).count();
            count += done as u64;
            match entries.last() {
                Some(last) if done == TRIM_ROWS => from = last.position,
                _ => break,
            }
        }
        reader.lanes.counted(stream, count);
        Ok(())
    }

    /// Removes some entries of a stream; `None` when no more are to go.
    async fn trim_some(
        &self,
        reader: &Arc<Reader>,
        stream: &Key,
        (keep, most): (Duration, u64),
    ) -> Result<Option<u64>, StepError> {
        let (Some(floor), Some(from)) = (self.floor(stream), reader.lanes.trimmed(stream)) else { return Ok(None) };
        let held = reader.lanes.held(stream).map_or(0, |held| held.entries());
        let kept = u64::try_from(keep.as_nanos()).unwrap_or(u64::MAX);
        let oldest = Timestamp(self.0.clock.now().0.saturating_sub(kept));
        let entries = self.entries(stream, from, TRIM_ROWS).await?;
        let (mut beside, mut last, mut count): (Vec<Op>, Option<Position>, u64) = (Vec::new(), None, 0);
        for entry in &entries {
            let old = held - count.min(held) > most || reader.consumer.time_of(&entry.value).is_none_or(|t| t < oldest);
            if entry.position > floor || !old || beside.len() > TRIM_OPS {
                break;
            }
            beside.extend(reader.consumer.beside(&entry.value));
            (last, count) = (Some(entry.position), count + 1);
        }
        let Some(last) = last else { return Ok(None) };
        let row = |position: Position| -> Key { [&stream[..], &position.to_bytes()].concat().into() };
        let behind = millpond_meta::key::successor(&row(last));
        let mut ops = vec![Op::DeleteRange(row(from), behind)];
        ops.extend(beside);
        let batch = Batch { ops, urgent: true, ..Batch::default() };
        self.0.kv.commit(batch).await.map_err(|error| StepError::Failed(error.to_string()))?;
        reader.lanes.set_trimmed(stream, last, count);
        Ok(Some(count))
    }
}
