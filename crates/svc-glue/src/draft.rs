//! A change of several partitions, entry by entry: each sees what those before it did, and all of it is one commit.

use std::collections::BTreeMap;

use bytes::Bytes;
use millpond_kernel::Pin;
use millpond_meta::{Cond, Key, Op};

use crate::errors::{Failure, GlueError};
use crate::kept::Written;
use crate::state::{Core, Table};
use crate::tables;

/// A row: as it lies in the store, and as it is to be.
struct Changed {
    before: Option<Bytes>,
    after: Option<Bytes>,
}

/// A change of rows of partitions.
#[derive(Default)]
pub(crate) struct Draft {
    rows: BTreeMap<Key, Changed>,
    /// What goes with it: pieces and chunks.
    pub ops: Vec<Op>,
    pub written: Written,
    /// By how many there are more afterwards.
    more: i64,
}

impl Draft {
    /// A row as it is by now.
    pub async fn get(&mut self, core: &Core, key: &Key) -> Result<Option<Bytes>, GlueError> {
        if let Some(changed) = self.rows.get(key) {
            return Ok(changed.after.clone());
        }
        let before = core.kv.get(key).await?;
        self.rows.insert(key.clone(), Changed { before: before.clone(), after: before.clone() });
        Ok(before)
    }

    /// Writes a row that was read.
    pub fn set(&mut self, key: &Key, after: Option<Bytes>) {
        let Some(row) = self.rows.get_mut(key) else { return };
        self.more += i64::from(after.is_some()) - i64::from(row.after.is_some());
        row.after = after;
    }

    /// By how many partitions there are more afterwards.
    pub fn more(&self) -> i64 {
        self.more
    }

    /// Commits it.
    pub async fn commit(self, core: &Core, pin: Pin, table: &Table) -> Result<(), Failure> {
        let Self { rows, mut ops, more, .. } = self;
        let mut conds = vec![table.stands()];
        let mut deletes = true;
        for (key, Changed { before, after }) in rows {
            if before == after {
                continue;
            }
            conds.push(match &before {
                None => Cond::Absent(key.clone()),
                Some(raw) => tables::partition_stands(key.clone(), raw),
            });
            deletes &= after.is_none();
            ops.push(after.map_or_else(|| Op::Delete(key.clone()), |raw| Op::Put(key.clone(), raw)));
        }
        if conds.len() == 1 {
            return Ok(());
        }
        if more != 0 {
            ops.push(Op::Add(tables::all_of(tables::COUNTS, table.id), more));
        }
        core.commit(pin, conds, ops, deletes).await
    }
}
