//! What goes by itself: what deleted databases and tables leave behind, in small commits. All of it is told by rows, so that a restart goes on with it.

use std::sync::Arc;

use bytes::Bytes;
use millpond_meta::key::{prefix_range, successor};
use millpond_meta::{Batch, Op};

use crate::errors::{Failure, GlueError};
use crate::kept::removed;
use crate::limits::{REMOVED_TOGETHER, SWEEP};
use crate::state::{Core, decode, table_of};
use crate::tables::{self, Id, Kept, PartitionRow, VersionRow};

impl Core {
    /// Removes what is to go, when something is deleted and every minute, until `stop`.
    pub async fn run(self: Arc<Self>, stop: impl Future<Output = ()>) {
        tokio::pin!(stop);
        loop {
            tokio::select! {
                () = &mut stop => return,
                done = self.sweep() => {
                    if let Err(error) = done {
                        tracing::warn!(?error, "what is left of deleted tables cannot be removed; it is tried again");
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
        // Databases come first: what they leave are tables.
        loop {
            let rows = self.rows(Bytes::from_static(&[tables::REMOVALS])).await?;
            if rows.is_empty() {
                return Ok(());
            }
            for (key, _) in rows {
                match tables::removal_of(&key)? {
                    (tables::TABLES, id) => self.remove_tables(id).await?,
                    (_, id) => self.remove_table(id).await?,
                }
                self.gone(vec![Op::Delete(key)]).await?;
            }
        }
    }

    /// What a database had: each table becomes something to remove itself.
    async fn remove_tables(&self, database: Id) -> Result<(), Failure> {
        let (mut from, to) = prefix_range(tables::all_of(tables::TABLES, database));
        loop {
            let rows = self.page(from, to.clone(), REMOVED_TOGETHER).await?;
            // Nothing is added any more; what was removed is not passed again.
            let Some((last, _)) = rows.last() else { return Ok(()) };
            from = successor(last);
            let mut ops = Vec::new();
            for (key, raw) in rows {
                let table = table_of(key, raw)?;
                ops.extend(removed(&table.row.body));
                ops.push(Op::Put(tables::removal(tables::PARTITIONS, table.id), Bytes::new()));
                ops.push(Op::Delete(table.key));
            }
            self.gone(ops).await?;
        }
    }

    async fn remove_table(&self, table: Id) -> Result<(), Failure> {
        for kind in [tables::PARTITIONS, tables::VERSIONS, tables::STATISTICS, tables::PIECES] {
            let (mut from, to) = prefix_range(tables::all_of(kind, table));
            loop {
                let rows = self.page(from, to.clone(), REMOVED_TOGETHER).await?;
                let Some((last, _)) = rows.last() else { break };
                from = successor(last);
                let mut ops = Vec::with_capacity(rows.len());
                for (key, raw) in rows {
                    let kept: Kept = match kind {
                        tables::PARTITIONS => decode::<PartitionRow>(&raw)?.body,
                        tables::VERSIONS => decode::<VersionRow>(&raw)?.body,
                        _ => decode(&raw)?,
                    };
                    ops.extend(removed(&kept));
                    ops.push(Op::Delete(key));
                }
                self.gone(ops).await?;
            }
        }
        self.gone(vec![Op::Delete(tables::all_of(tables::COUNTS, table))]).await
    }

    async fn gone(&self, ops: Vec<Op>) -> Result<(), Failure> {
        let failed = |error: millpond_meta::CommitError| GlueError::Internal(error.to_string());
        self.kv.commit(Batch { ops, urgent: true, ..Batch::default() }).await.map_err(failed)?;
        Ok(())
    }
}
