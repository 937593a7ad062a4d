//! What goes on by itself: indexes are filled, rows of what was deleted are removed, and what was written in vain is swept. Everything is found in
//! rows, so that a restart goes on with it.

use std::sync::Arc;

use bytes::Bytes;
use millpond_kernel::chunks;
use millpond_meta::key::{prefix_end, prefix_range, successor};
use millpond_meta::{Batch, CommitError, Cond, Key, Op};

use crate::change::{Actor, Change, Draft, Lost};
use crate::errors::{DynamoError, Failure};
use crate::keys::{self, Place};
use crate::limits;
use crate::model::Table;
use crate::state::{Core, decode};
use crate::stored::{Stored, chunks_of};
use crate::tables::{self, Counter, PendingRow, TableId, TokenRow, WHOLE};
use crate::ttl;

impl Core {
    /// Does what is to be done, for ever. May be dropped at any time.
    pub async fn run(self: &Arc<Self>) {
        loop {
            if let Err(error) = self.round().await {
                tracing::warn!(%error, "the background work of tables waits");
            }
            // Woken early where there is work.
            let _ = tokio::time::timeout(limits::TICK, self.work.notified()).await;
        }
    }

    /// Does now what is to be done. May be dropped at any time: what is left is found the next time.
    pub async fn round(self: &Arc<Self>) -> Result<(), DynamoError> {
        // What cannot be done now holds up nothing else: on a full disk no index is filled, while what was deleted goes.
        let steps = [
            self.fill_indexes().await,
            self.remove_all().await,
            self.sweep_pending().await,
            self.forget_tokens().await,
        ];
        steps.into_iter().collect()
    }

    /// Fills indexes with the items that were there before them.
    async fn fill_indexes(self: &Arc<Self>) -> Result<(), DynamoError> {
        let mut all = Ok(());
        for (key, done) in self.rows(Bytes::from_static(&[tables::BACKFILLS])).await? {
            let (id, number) = tables::table_and_index(&key)?;
            // Time to live is filled by its own task.
            if number != WHOLE {
                note(&mut all, self.fill_index(key, done, id, number).await, "an index waits to be filled");
            }
        }
        all
    }

    /// Fills one index. `done`: the place up to which it is filled.
    async fn fill_index(
        self: &Arc<Self>,
        key: Key,
        mut done: Bytes,
        id: TableId,
        number: u32,
    ) -> Result<(), DynamoError> {
        let prefix = tables::of_table(tables::ITEMS, id);
        loop {
            let table = self.tables().id(id).cloned();
            let filling =
                table.filter(|table| table.indexes.iter().any(|index| index.number == number && index.filling));
            if filling.is_none() {
                // The table is gone, or the last step was all that was left.
                self.settle_rows(vec![Op::Delete(key)]).await?;
                return Ok(());
            }
            let from = match Place::of_bytes(done.clone()) {
                None => prefix.clone(),
                Some(place) => successor(&place.row(id)),
            };
            let page = self.page(from, prefix_end(&prefix), limits::BACKGROUND_ROWS).await?;
            let is_last = page.len() < limits::BACKGROUND_ROWS;
            for (row, _) in page {
                let Some(place) = Place::of_row(&row) else { continue };
                self.fill_item(id, number, &place).await?;
                done = place.bytes().clone();
            }
            if is_last {
                return self.filled(key, id, number).await;
            }
            self.settle_rows(vec![Op::Put(key.clone(), done.clone())]).await?;
        }
    }

    /// Puts an item into an index that it is not in yet.
    async fn fill_item(&self, id: TableId, number: u32, place: &Place) -> Result<(), DynamoError> {
        for _ in 0..limits::RACES {
            let Some(table) = self.tables().id(id).cloned() else { return Ok(()) };
            let Some(index) = table.indexes.iter().find(|index| index.number == number) else { return Ok(()) };
            // Who writes it all the time lets this in between.
            let _turn = self.stripes.turn(id, place).await;
            let stored = match self.item(&table, place).await {
                Ok(stored) => stored,
                Err(error @ (DynamoError::Unreadable(_) | DynamoError::Busy)) => {
                    tracing::error!(table = table.name, %error, "an item cannot be read: an index is filled without it");
                    return Ok(());
                }
                Err(other) => return Err(other),
            };
            let Some(stored) = stored else { return Ok(()) };
            let Some(row) = keys::index_row(table.id, index, &stored.item, place) else { return Ok(()) };
            if self.kv.get(&row).await?.is_some() {
                return Ok(());
            }
            let mut draft = Draft::new(None, 1);
            draft.depends_on(&table);
            draft.unchanged(&table, place, Some(&stored));
            draft.cond(Cond::Absent(row.clone()));
            draft.op(Op::Put(row, place.bytes().clone()));
            let size = crate::change::projected_size(&table, index, &stored.item);
            draft.op(Op::Add(tables::counter(table.id, Counter::Items(number)), 1));
            if let Some(size) = i64::try_from(size).ok().filter(|size| *size > 0) {
                draft.op(Op::Add(tables::counter(table.id, Counter::Bytes(number)), size));
            }
            match self.commit(draft).await {
                Ok(()) => return Ok(()),
                Err(Lost::Changed) => self.caught_up().await?,
                Err(Lost::Race) => {}
                Err(Lost::Failed(error)) => return Err(error),
            }
        }
        Err(DynamoError::Busy)
    }

    /// An index has all items: it can be read from now on.
    async fn filled(self: &Arc<Self>, key: Key, id: TableId, number: u32) -> Result<(), DynamoError> {
        self.detached(move |core| {
            let key = key.clone();
            async move {
                let Some(table) = core.tables().id(id).cloned() else { return Ok(()) };
                let mut row = table.row.clone();
                let Some(index) = row.indexes.iter_mut().find(|index| index.number == number) else { return Ok(()) };
                index.filling = false;
                row.shape += 1;
                core.rewrite(None, &table, &row, vec![Op::Delete(key)]).await?;
                Ok::<(), Failure>(())
            }
        })
        .await
    }

    /// Removes the rows of tables and indexes that were deleted.
    async fn remove_all(&self) -> Result<(), DynamoError> {
        let mut all = Ok(());
        for (key, raw) in self.rows(Bytes::from_static(&[tables::REMOVED])).await? {
            note(&mut all, self.remove_one(key, raw).await, "what is left of a table or an index waits to be removed");
        }
        all
    }

    /// Removes the rows of a table or an index. `key` and `raw`: the row that says so.
    async fn remove_one(&self, key: Key, raw: Bytes) -> Result<(), DynamoError> {
        let (id, number) = tables::table_and_index(&key)?;
        if number == WHOLE {
            self.remove_table(id, raw).await?;
        } else {
            self.remove_range(tables::of_index(tables::INDEX, id, number)).await?;
            let counters = [Counter::Items(number), Counter::Bytes(number)];
            let ops = counters.map(|counter| Op::Delete(tables::counter(id, counter)));
            self.settle_rows(ops.to_vec()).await?;
        }
        self.settle_rows(vec![Op::Delete(key)]).await
    }

    /// Removes what is left of a table. `raw`: its row, as it was.
    async fn remove_table(&self, id: TableId, raw: Bytes) -> Result<(), DynamoError> {
        // Whose it was, and its name, mean nothing for its rows.
        let table = Table::of_row(self.kernel.region(), self.kernel.account(), "gone", raw, None)?;
        let (from, to) = prefix_range(tables::of_table(tables::ITEMS, id));
        loop {
            let page = self.page(from.clone(), to.clone(), limits::BACKGROUND_ROWS).await?;
            if page.is_empty() {
                break;
            }
            let mut ops = Vec::new();
            for (row, raw) in page {
                ops.extend(self.remove_item(&table, &row, raw).await?);
                ops.push(Op::Delete(row));
            }
            self.settle_rows(ops).await?;
        }
        for prefix in [tables::INDEX, tables::COUNTERS] {
            self.remove_range(tables::of_table(prefix, id)).await?;
        }
        Ok(())
    }

    /// What goes with an item besides its row.
    async fn remove_item(&self, table: &Table, row: &Key, raw: Bytes) -> Result<Vec<Op>, DynamoError> {
        let mut ops = Vec::new();
        match chunks_of(&raw) {
            Ok(found) => ops.extend(found.into_iter().flat_map(|(id, length)| chunks::remove(id, length))),
            Err(error) => tracing::error!(%error, "an item of a table that is gone cannot be read"),
        }
        let Some(place) = Place::of_row(row).filter(|_| table.row.ttl.is_some()) else { return Ok(ops) };
        // What cannot be opened has no time that is known; its row goes nevertheless.
        if let Ok(stored) = self.item_of_row(&*self.kv, table.id, &place, raw).await {
            ops.extend(ttl::ops(&removal(table, &place, &stored, self)));
        }
        Ok(ops)
    }

    /// Removes the rows that begin with a prefix.
    async fn remove_range(&self, prefix: Key) -> Result<(), DynamoError> {
        let (from, to) = prefix_range(prefix);
        loop {
            let page = self.page(from.clone(), to.clone(), limits::BACKGROUND_ROWS).await?;
            if page.is_empty() {
                return Ok(());
            }
            self.settle_rows(page.into_iter().map(|(row, _)| Op::Delete(row)).collect()).await?;
        }
    }

    /// Removes contents whose commit never came.
    async fn sweep_pending(&self) -> Result<(), DynamoError> {
        let now = self.millis();
        for (key, raw) in self.rows(Bytes::from_static(&[tables::PENDING])).await? {
            let row: PendingRow = decode(&raw, "contents that wait")?;
            if row.until > now {
                continue;
            }
            let mut ops = chunks::remove(tables::pending_id(&key)?, usize::try_from(row.length).unwrap_or_default());
            ops.push(Op::Delete(key.clone()));
            let batch = Batch { conds: vec![Cond::Equals(key, raw)], ops, urgent: true, ..Batch::default() };
            match self.kv.commit(batch).await {
                // Committed meanwhile after all.
                Ok(_) | Err(CommitError::Conflict(_)) => {}
                Err(error) => return Err(DynamoError::Internal(error.to_string())),
            }
        }
        Ok(())
    }

    /// Removes tokens that count no more.
    async fn forget_tokens(&self) -> Result<(), DynamoError> {
        let (from, to) = prefix_range(Bytes::from_static(&[tables::TOKEN_TIMES]));
        let now = self.millis();
        loop {
            let page = self.page(from.clone(), to.clone(), limits::BACKGROUND_ROWS).await?;
            let is_last = page.len() < limits::BACKGROUND_ROWS;
            let (mut conds, mut ops) = (Vec::new(), Vec::new());
            for (key, _) in page {
                let (until, token) = tables::token_of_time(&key)?;
                if until > now {
                    break;
                }
                ops.push(Op::Delete(key));
                // The token may have been used anew since.
                if let Some(raw) = self.kv.get(&token).await?
                    && decode::<TokenRow>(&raw, "a token")?.until <= now
                {
                    conds.push(Cond::Equals(token.clone(), raw));
                    ops.push(Op::Delete(token));
                }
            }
            if ops.is_empty() {
                return Ok(());
            }
            match self.kv.commit(Batch { conds, ops, urgent: true, ..Batch::default() }).await {
                Ok(_) | Err(CommitError::Conflict(_)) if is_last => return Ok(()),
                Ok(_) | Err(CommitError::Conflict(_)) => {}
                Err(error) => return Err(DynamoError::Internal(error.to_string())),
            }
        }
    }

    /// Commits changes of rows that nobody else changes.
    async fn settle_rows(&self, ops: Vec<Op>) -> Result<(), DynamoError> {
        let done = self.kv.commit(Batch { ops, urgent: true, ..Batch::default() }).await;
        done.map(drop).map_err(|error| DynamoError::Internal(error.to_string()))
    }
}

/// Takes down how a part of the work went: what failed is logged, and is tried again when the rest is done.
fn note(all: &mut Result<(), DynamoError>, done: Result<(), DynamoError>, what: &str) {
    if let Err(error) = done {
        tracing::warn!(%error, "{what}");
        *all = Err(error);
    }
}

/// The removal of an item by nobody, for what goes with it.
fn removal<'a>(table: &'a Table, place: &'a Place, stored: &'a Stored, core: &Core) -> Change<'a> {
    const NO_CAUSES: &millpond_types::CauseChain = &Vec::new();
    Change { table, place, old: Some(stored), new: None, by: Actor::User, causes: NO_CAUSES, now: core.now() }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use millpond_io::{ManualClock, SystemRandom};
    use millpond_kernel::testing;
    use millpond_meta::{Kv, MemoryKv};
    use millpond_seal::Vault;
    use millpond_types::Timestamp;

    use super::*;

    async fn core(kv: &MemoryKv, clock: &Arc<ManualClock>) -> Arc<Core> {
        let kernel = Arc::new(testing::kernel("111122223333".parse().unwrap()).unwrap());
        let (vault, random) = (Arc::new(Vault::for_tests()), Arc::new(SystemRandom));
        Arc::new(Core::open(Arc::new(kv.clone()), kernel, vault, clock.clone(), random).await.unwrap())
    }

    /// A server that stops between contents and the commit that points to them leaves nothing behind for ever.
    #[tokio::test]
    async fn contents_whose_commit_never_came_are_swept() {
        let (kv, clock) = (MemoryKv::new(), Arc::new(ManualClock::new(Timestamp::from_seconds(1_800_000_000))));
        let before = core(&kv, &clock).await;
        let mut ops = chunks::put(7, &Bytes::from(vec![1; 3_000_000]));
        ops.extend(chunks::put(8, &Bytes::from(vec![2; 100_000])));
        ops.push(Op::Put(Bytes::from_static(&[tables::ITEMS]), Bytes::new()));
        assert_eq!(before.write_ahead(&mut ops).await.unwrap(), [7, 8]);
        assert_eq!(ops.len(), 1, "the rest is for the commit");
        let core = core(&kv, &clock).await;
        for (wait, left) in [(Duration::ZERO, true), (limits::PENDING_TIME, false)] {
            clock.advance(wait);
            core.round().await.unwrap();
            assert_eq!(kv.state().bytes > 0, left, "after {wait:?}");
        }
    }

    /// Who sweeps and who commits cannot both succeed.
    #[tokio::test]
    async fn what_was_swept_is_not_committed() {
        let (kv, clock) = (MemoryKv::new(), Arc::new(ManualClock::new(Timestamp::from_seconds(1_800_000_000))));
        let core = core(&kv, &clock).await;
        let mut ops = chunks::put(7, &Bytes::from(vec![1; 3_000_000]));
        core.write_ahead(&mut ops).await.unwrap();
        clock.advance(limits::PENDING_TIME);
        core.round().await.unwrap();
        let conds = vec![Cond::Present(tables::pending(7))];
        assert!(kv.commit(Batch { conds, ..Batch::default() }).await.is_err());
    }
}
