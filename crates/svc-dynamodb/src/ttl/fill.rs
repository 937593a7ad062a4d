//! Goes through tables in which time to live was switched on or off: the rows of items that were there before, or of items that stay now.
//!
//! Which tables is a row for each, [`tables::BACKFILLS`] with the number 0: written by the commit that switches, with how far it is done.

use std::time::Duration;

use bytes::Bytes;
use millpond_meta::key::{prefix_range, successor};
use millpond_meta::{Batch, CommitError, Cond, Key, Op};

use super::expires;
use crate::errors::{DynamoError, Failure};
use crate::keys::Place;
use crate::limits;
use crate::state::Core;
use crate::tables::{self, TableId, TtlRow, WHOLE};

/// What is done, in the first byte of a row; then how far, as the key of the last row that was gone through.
const FILL: u8 = 1;
const CLEAR: u8 = 2;
/// Rows that are looked at together when those of one table are searched for.
const CLEAR_ROWS: usize = 1_000;

/// How often it is looked where nobody said that there is work.
const TICK: Duration = Duration::from_secs(1);

/// For the commit that switches time to live on: items are gone through.
pub(crate) fn begin(table: TableId) -> Op {
    Op::Put(tables::of_index(tables::BACKFILLS, table, WHOLE), Bytes::from_static(&[FILL]))
}

/// For the commit that switches it off: rows are gone through. Those of a table that is removed go with its items.
pub(crate) fn begin_clearing(table: TableId) -> Op {
    Op::Put(tables::of_index(tables::BACKFILLS, table, WHOLE), Bytes::from_static(&[CLEAR]))
}

/// Whether a table is gone through.
pub(crate) async fn is_under_way(core: &Core, table: TableId) -> Result<bool, DynamoError> {
    Ok(core.kv.get(&tables::of_index(tables::BACKFILLS, table, WHOLE)).await?.is_some())
}

/// Goes through what there is, until the server stops.
pub(crate) async fn run(core: &Core) {
    loop {
        if let Err(error) = all(core).await {
            tracing::warn!(%error, "tables whose time to live was switched wait to be gone through");
        }
        // Woken early where there is work.
        let _ = tokio::time::timeout(TICK, core.filling.notified()).await;
    }
}

/// Goes through all that there are.
pub(crate) async fn all(core: &Core) -> Result<(), DynamoError> {
    for (key, row) in core.rows(Bytes::from_static(&[tables::BACKFILLS])).await? {
        let (table, number) = tables::table_and_index(&key)?;
        if number != WHOLE {
            continue;
        }
        match row.first() {
            Some(&FILL) => fill(core, table, &key, row).await?,
            _ => clear(core, table, &key, row).await?,
        }
    }
    Ok(())
}

/// Writes the rows of a table's items. A row may be out of date when it is written, as its item may be changed at the same time: what is due is compared
/// with its item.
async fn fill(core: &Core, id: TableId, key: &Key, mut row: Bytes) -> Result<(), DynamoError> {
    loop {
        let table = core.tables().id(id).cloned();
        let Some((table, ttl)) = table.and_then(|table| Some((table.clone(), table.row.ttl.clone()?))) else {
            // Of a table that is gone, or has no time to live any more: who switched it off has replaced the row, or did away with it.
            let batch = Batch {
                conds: vec![Cond::Equals(key.clone(), row)],
                ops: vec![Op::Delete(key.clone())],
                ..Batch::default()
            };
            return conflict_is_fine(core.kv.commit(batch).await);
        };
        let (start, to) = prefix_range(tables::of_table(tables::ITEMS, id));
        let from = if row.len() > 1 { successor(&row[1..]) } else { start };
        let page = core.page(from, to, limits::BACKGROUND_ROWS).await?;
        let Some((last, _)) = page.last() else { return filled(core, id, key).await };
        let next = Bytes::from([&[FILL][..], last].concat());
        let mut ops = vec![Op::Put(key.clone(), next.clone())];
        for (item_key, raw) in page {
            let place =
                Place::of_row(&item_key).ok_or_else(|| DynamoError::Internal("the key of an item".to_owned()))?;
            // Its chunks may be gone by now: then somebody has just written it, with its row.
            let Ok(stored) = core.item_of_row(&*core.kv, id, &place, raw).await else { continue };
            if let Some(time) = expires(&stored.item, &ttl.attribute, core.now()) {
                ops.push(Op::Put(tables::ttl(time, id, place.bytes()), Bytes::new()));
            }
        }
        let earliest = super::due::earliest(&ops);
        let conds = vec![table.shape(), Cond::Equals(key.clone(), row.clone())];
        match core.kv.commit(Batch { conds, ops, ..Batch::default() }).await {
            Ok(_) => {
                core.earliest.written(super::due::over(earliest, core.now().seconds()));
                row = next;
                tokio::task::yield_now().await;
            }
            // Switched off or gone meanwhile, or an index came: the next round sees.
            Err(CommitError::Conflict(_)) => return Ok(()),
            Err(error) => return Err(DynamoError::Internal(error.to_string())),
        }
    }
}

/// All items of a table have their rows.
async fn filled(core: &Core, id: TableId, key: &Key) -> Result<(), DynamoError> {
    let _changing = core.changing.lock().await;
    let Some(table) = core.tables().id(id).cloned() else { return Ok(()) };
    let mut row = table.row.clone();
    row.ttl = row.ttl.map(|ttl| TtlRow { filling: false, ..ttl });
    match core.rewrite(None, &table, &row, vec![Op::Delete(key.clone())]).await {
        Ok(_) | Err(Failure::Changed) => Ok(()),
        Err(Failure::Error(error)) => Err(error),
    }
}

/// Removes the rows of a table.
async fn clear(core: &Core, id: TableId, key: &Key, row: Bytes) -> Result<(), DynamoError> {
    let (mut from, to) = prefix_range(Bytes::from_static(&[tables::TTL]));
    loop {
        let page = core.page(from, to.clone(), CLEAR_ROWS).await?;
        let Some((last, _)) = page.last() else { break };
        from = successor(last);
        let own = |row: &Key| tables::ttl_of(row).is_ok_and(|(_, table, _)| table == id);
        let ops: Vec<Op> = page.into_iter().filter(|(row, _)| own(row)).map(|(row, _)| Op::Delete(row)).collect();
        if !ops.is_empty() {
            // It is not switched on again as long as this row is there.
            let conds = vec![Cond::Equals(key.clone(), row.clone())];
            let batch = Batch { conds, ops, urgent: true, ..Batch::default() };
            core.kv.commit(batch).await.map_err(|error| DynamoError::Internal(error.to_string()))?;
        }
        // Rows of all tables are gone through: others have their turn.
        tokio::task::yield_now().await;
    }
    let conds = vec![Cond::Equals(key.clone(), row)];
    let batch = Batch { conds, ops: vec![Op::Delete(key.clone())], urgent: true, ..Batch::default() };
    conflict_is_fine(core.kv.commit(batch).await)
}

fn conflict_is_fine<T>(committed: Result<T, CommitError>) -> Result<(), DynamoError> {
    match committed {
        Ok(_) | Err(CommitError::Conflict(_)) => Ok(()),
        Err(error) => Err(DynamoError::Internal(error.to_string())),
    }
}
