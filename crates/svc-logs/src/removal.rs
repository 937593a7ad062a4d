//! What goes by itself: events that retention ends, and what deleted groups and streams leave behind.

use std::sync::Arc;

use bytes::Bytes;
use millpond_kernel::chunks;
use millpond_meta::key::{prefix_range, successor};
use millpond_meta::{Batch, Key, Op};

use crate::errors::{Failure, LogsError};
use crate::limits::{EVENT_OVERHEAD, PAGE, REMOVED_TOGETHER, SWEEP};
use crate::state::{Core, decode, group_of, stream_of};
use crate::tables::{self, EventRow, GroupId, Place, StreamId};

impl Core {
    /// Removes what is to go, every minute and when something is deleted, until `stop`.
    pub async fn run(self: Arc<Self>, stop: impl Future<Output = ()>) {
        tokio::pin!(stop);
        loop {
            tokio::select! {
                () = &mut stop => return,
                done = self.sweep() => {
                    if let Err(error) = done {
                        tracing::warn!(?error, "log events that are to go cannot be removed; it is tried again");
                    }
                }
            }
            tokio::select! {
                () = &mut stop => return,
                () = tokio::time::sleep(SWEEP) => {}
                () = self.removal.notified() => {}
            }
        }
    }

    /// Removes what is to go now. May be dropped at any time: what is left is found the next time.
    pub async fn sweep(&self) -> Result<(), Failure> {
        for (key, _) in self.rows(Bytes::from_static(&[tables::REMOVALS])).await? {
            match tables::removal(&key)? {
                (group, Some(stream)) => self.remove_stream(group, stream).await?,
                (group, None) => self.remove_group(group).await?,
            }
            self.removed(vec![Op::Delete(key)]).await?;
        }
        let (mut from, to) = prefix_range(Bytes::from_static(&[tables::GROUPS]));
        loop {
            let rows = self.page(from, to.clone(), PAGE).await?;
            let next = rows.last().map(|(key, _)| successor(key)).filter(|_| rows.len() == PAGE);
            for (key, raw) in rows {
                let group = group_of(&key, raw)?;
                if group.row.retention > 0 {
                    self.expire(group.id, group.expired(self.now())).await?;
                }
            }
            match next {
                Some(next) => from = next,
                None => return Ok(()),
            }
        }
    }

    /// Removes a group's events before a time.
    async fn expire(&self, group: GroupId, before: u64) -> Result<(), Failure> {
        let (mut from, to) = prefix_range(tables::streams(group, ""));
        loop {
            let rows = self.page(from, to.clone(), PAGE).await?;
            let next = rows.last().map(|(key, _)| successor(key)).filter(|_| rows.len() == PAGE);
            for (key, raw) in rows {
                let stream = stream_of(&key, raw)?.id;
                let end = tables::event(group, stream, Place::before(before));
                self.remove_events(group, stream, end, true).await?;
            }
            match next {
                Some(next) => from = next,
                None => return Ok(()),
            }
        }
    }

    async fn remove_group(&self, group: GroupId) -> Result<(), Failure> {
        loop {
            let (from, to) = prefix_range(tables::streams(group, ""));
            let rows = self.page(from, to, PAGE).await?;
            if rows.is_empty() {
                return self.removed(vec![Op::Delete(tables::of_group(tables::BYTES, group))]).await;
            }
            for (key, raw) in rows {
                let stream = stream_of(&key, raw)?.id;
                self.remove_stream(group, stream).await?;
                self.removed(vec![Op::Delete(key)]).await?;
            }
        }
    }

    async fn remove_stream(&self, group: GroupId, stream: StreamId) -> Result<(), Failure> {
        let (_, end) = prefix_range(tables::events(group, stream));
        self.remove_events(group, stream, end, false).await?;
        // What is left in its counter was taken off with its events, but for those of events that are no longer there.
        let ops = [tables::BYTES, tables::INGESTED].map(|table| Op::Delete(tables::of_stream(table, group, stream)));
        self.removed(ops.to_vec()).await
    }

    /// Removes a stream's events before a key. `kept` says that the stream itself stays, with its counter.
    async fn remove_events(&self, group: GroupId, stream: StreamId, end: Key, kept: bool) -> Result<(), Failure> {
        let (from, _) = prefix_range(tables::events(group, stream));
        loop {
            let rows = self.page(from.clone(), end.clone(), REMOVED_TOGETHER).await?;
            if rows.is_empty() {
                return Ok(());
            }
            let (mut ops, mut bytes) = (Vec::with_capacity(rows.len() + 2), 0);
            for (key, raw) in &rows {
                let row: EventRow = decode(raw)?;
                if let Some((id, length)) = row.chunks() {
                    ops.extend(chunks::remove(id, length));
                }
                bytes += i64::from(row.length) + EVENT_OVERHEAD as i64;
                ops.push(Op::Delete(key.clone()));
            }
            ops.push(Op::Add(tables::of_group(tables::BYTES, group), -bytes));
            if kept {
                ops.push(Op::Add(tables::of_stream(tables::BYTES, group, stream), -bytes));
            }
            self.removed(ops).await?;
        }
    }

    async fn removed(&self, ops: Vec<Op>) -> Result<(), Failure> {
        let batch = Batch { ops, urgent: true, ..Batch::default() };
        let failed = |error: millpond_meta::CommitError| LogsError::Internal(error.to_string());
        self.kv.commit(batch).await.map_err(failed)?;
        Ok(())
    }
}
