//! The one way in which items change. A [`Change`] becomes conditions and changes of rows: the item itself, its rows in indexes, when it goes by
//! itself, what the table's stream is told, and counters; all of one commit. Several changes in one [`Draft`] happen together or not at all.

use std::collections::HashSet;

use bytes::Bytes;
use millpond_item::Item;
use millpond_kernel::{Pin, tables as kernel_tables};
use millpond_meta::key::KeyReader;
use millpond_meta::{Batch, CommitError, Cond, Key, Op};
use millpond_types::{CauseChain, Timestamp};

use crate::errors::{DynamoError, Failure};
use crate::keys::{self, Place};
use crate::limits;
use crate::model::{Index, Projected, Table};
use crate::state::{Core, encode};
use crate::stored::Stored;
use crate::tables::{self, Counter, PendingRow, WHOLE};
use crate::{stream, ttl};

/// Who changes an item.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Actor {
    /// Somebody, by a call.
    User,
    /// Time.
    Ttl,
}

/// A change of an item: what it was, and what it is to be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Change<'a> {
    pub table: &'a Table,
    pub place: &'a Place,
    pub old: Option<&'a Stored>,
    pub new: Option<&'a Item>,
    pub by: Actor,
    /// What led to it, oldest first.
    pub causes: &'a CauseChain,
    pub now: Timestamp,
}

impl Change<'_> {
    /// Whether nothing changes.
    pub fn is_none(&self) -> bool {
        self.old.map(|old| &old.item) == self.new
    }
}

/// What a change does to an index.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct IndexEffect {
    pub number: u32,
    pub local: bool,
    /// Bytes of what is removed from it, and of what is written into it; `None`: nothing.
    pub removed: Option<usize>,
    pub written: Option<usize>,
}

/// What a change does, for what it is to be paid.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Effect {
    /// Bytes of the item before and after; 0: there was or is none.
    pub before: usize,
    pub after: usize,
    pub indexes: Vec<IndexEffect>,
}

/// A commit of changes, being put together.
pub(crate) struct Draft {
    /// What must hold that is not about items: policies, and shapes of tables.
    fixed: Vec<Cond>,
    conds: Vec<Cond>,
    ops: Vec<Op>,
    inline: usize,
    urgent: bool,
}

/// Why a draft was not committed.
#[derive(Debug)]
pub(crate) enum Lost {
    /// What it was decided by has changed.
    Changed,
    /// An item has changed.
    Race,
    /// Something failed.
    Failed(DynamoError),
}

impl From<Lost> for Failure {
    fn from(lost: Lost) -> Self {
        match lost {
            Lost::Changed | Lost::Race => Self::Changed,
            Lost::Failed(error) => Self::Error(error),
        }
    }
}

impl Draft {
    /// For as many changes; decided at `pin`, if anybody asked for it.
    pub fn new(pin: Option<Pin>, changes: usize) -> Self {
        let inline = limits::INLINE.min(limits::INLINE_TOGETHER / changes.max(1));
        let fixed = pin.map(Pin::cond).into_iter().collect();
        Self { fixed, conds: Vec::new(), ops: Vec::new(), inline, urgent: false }
    }

    /// Frees space, so that it may use the reserve of a full disk.
    pub fn urgent(&mut self) {
        self.urgent = true;
    }

    /// Depends on what a table is.
    pub fn depends_on(&mut self, table: &Table) {
        let shape = table.shape();
        if !self.fixed.contains(&shape) {
            self.fixed.push(shape);
        }
    }

    /// Something besides items that must hold. Where it does not the draft is lost by a race.
    pub fn cond(&mut self, cond: Cond) {
        self.conds.push(cond);
    }

    /// Something besides items that changes.
    pub fn op(&mut self, op: Op) {
        self.ops.push(op);
    }

    /// Only holds if an item is as it was read.
    pub fn unchanged(&mut self, table: &Table, place: &Place, old: Option<&Stored>) {
        let row = place.row(table.id);
        self.conds.push(match old {
            None => Cond::Absent(row),
            Some(old) => old.cond(row),
        });
    }
}

impl Core {
    /// Adds a change to a draft.
    pub async fn change(&self, draft: &mut Draft, change: &Change<'_>) -> Result<Effect, DynamoError> {
        let Change { table, place, old, new, .. } = *change;
        draft.depends_on(table);
        draft.unchanged(table, place, old);
        let mut effect = Effect {
            before: old.map_or(0, |old| old.item.size()),
            after: new.map_or(0, Item::size),
            indexes: Vec::new(),
        };
        if change.is_none() {
            return Ok(effect);
        }
        let row = place.row(table.id);
        match new {
            Some(item) => {
                let (value, chunks) = self.stored_row(table.id, place, item, draft.inline)?;
                draft.ops.push(Op::Put(row, value));
                draft.ops.extend(chunks);
            }
            None => draft.ops.push(Op::Delete(row)),
        }
        draft.ops.extend(old.iter().flat_map(|old| old.remove_chunks()));
        for index in &table.indexes {
            let moved = Moved::of(index, change);
            effect.indexes.extend(moved.effect(index, change));
            self.index_ops(draft, index, change, moved).await?;
        }
        counters(change, &effect, &mut draft.ops);
        draft.ops.extend(ttl::ops(change));
        let told = stream::record(self, change, draft.inline)?;
        draft.ops.extend(told);
        Ok(effect)
    }

    /// What a change does to the rows of an index.
    async fn index_ops(
        &self,
        draft: &mut Draft,
        index: &Index,
        change: &Change<'_>,
        Moved { mut was, is }: Moved,
    ) -> Result<(), DynamoError> {
        let Change { table, place, old, new, .. } = *change;
        if let Some(row) = was.as_ref().filter(|_| index.filling) {
            // What was there before the index may not be in it yet.
            if self.kv.get(row).await?.is_some() {
                draft.conds.push(Cond::Present(row.clone()));
            } else {
                draft.conds.push(Cond::Absent(row.clone()));
                was = None;
            }
        }
        let size = |item: &Item| i64::try_from(projected_size(table, index, item)).unwrap_or(i64::MAX);
        let before = old.filter(|_| was.is_some()).map_or(0, |old| size(&old.item));
        let after = new.filter(|_| is.is_some()).map_or(0, size);
        let items = i64::from(is.is_some()) - i64::from(was.is_some());
        count(table, Counter::Items(index.number), items, &mut draft.ops);
        count(table, Counter::Bytes(index.number), after - before, &mut draft.ops);
        if was != is {
            draft.ops.extend(was.map(Op::Delete));
            draft.ops.extend(is.map(|row| Op::Put(row, place.bytes().clone())));
        }
        Ok(())
    }

    /// Commits a draft.
    pub async fn commit(&self, draft: Draft) -> Result<(), Lost> {
        let Draft { fixed, conds, mut ops, urgent, .. } = draft;
        let fixed_count = fixed.len();
        let mut all = fixed;
        all.extend(conds);
        if bytes(&all, &ops) > limits::MAX_COMMIT {
            let waiting = self.write_ahead(&mut ops).await?;
            all.extend(waiting.iter().map(|id| Cond::Present(tables::pending(*id))));
            ops.extend(waiting.iter().map(|id| Op::Delete(tables::pending(*id))));
        }
        let earliest = ttl::due::earliest(&ops);
        match self.kv.commit(Batch { conds: all, ops, idem: None, urgent }).await {
            Ok(_) => {
                self.earliest.written(ttl::due::over(earliest, self.now().seconds()));
                Ok(())
            }
            Err(CommitError::Conflict(number)) if number < fixed_count => Err(Lost::Changed),
            Err(CommitError::Conflict(_)) => Err(Lost::Race),
            Err(CommitError::Full) => Err(Lost::Failed(DynamoError::Full)),
            Err(CommitError::TooLarge(what)) => Err(Lost::Failed(DynamoError::Validation(format!(
                "The request changes more at once than this server can commit: {what}"
            )))),
            Err(error) => Err(Lost::Failed(DynamoError::Internal(error.to_string()))),
        }
    }

    /// Writes the chunks among changes before the commit that points to them, and takes them out: their ids. Until then they wait, and are swept
    /// if that commit does not come.
    pub async fn write_ahead(&self, ops: &mut Vec<Op>) -> Result<Vec<u128>, Lost> {
        let is_chunk = |op: &Op| matches!(op, Op::Put(key, _) if key.first() == Some(&kernel_tables::CHUNKS));
        let (chunks, rest): (Vec<Op>, Vec<Op>) = std::mem::take(ops).into_iter().partition(is_chunk);
        *ops = rest;
        let until = self.millis() + u64::try_from(limits::PENDING_TIME.as_millis()).unwrap_or(u64::MAX);
        let mut lengths: Vec<(u128, u64)> = Vec::new();
        for op in &chunks {
            let Op::Put(key, value) = op else { continue };
            let id = chunk_id(key);
            match lengths.iter_mut().find(|(known, _)| *known == id) {
                Some((_, length)) => *length += value.len() as u64,
                None => lengths.push((id, value.len() as u64)),
            }
        }
        let failed = |error: CommitError| match error {
            CommitError::Full => Lost::Failed(DynamoError::Full),
            other => Lost::Failed(DynamoError::Internal(other.to_string())),
        };
        let pending =
            |(id, length): &(u128, u64)| Op::Put(tables::pending(*id), encode(&PendingRow { until, length: *length }));
        let mut batch: Vec<Op> = lengths.iter().map(pending).collect();
        let mut size = 0;
        for op in chunks {
            size += op_bytes(&op);
            if size > limits::MAX_COMMIT {
                size = op_bytes(&op);
                let ops = std::mem::take(&mut batch);
                self.kv.commit(Batch { ops, ..Batch::default() }).await.map_err(failed)?;
            }
            batch.push(op);
        }
        self.kv.commit(Batch { ops: batch, ..Batch::default() }).await.map_err(failed)?;
        Ok(lengths.into_iter().map(|(id, _)| id).collect())
    }
}

fn chunk_id(key: &Key) -> u128 {
    let mut reader = KeyReader::new(key);
    reader.table().and_then(|_| reader.u128()).unwrap_or_default()
}

fn op_bytes(op: &Op) -> usize {
    match op {
        Op::Put(key, value) => key.len() + value.len(),
        Op::Delete(key) | Op::Add(key, _) => key.len() + 8,
        Op::DeleteRange(from, to) => from.len() + to.len(),
        Op::Append { stream, value } => stream.len() + value.len() + 20,
    }
}

fn bytes(conds: &[Cond], ops: &[Op]) -> usize {
    let cond = |cond: &Cond| match cond {
        Cond::Absent(key) | Cond::Present(key) => key.len(),
        Cond::Equals(key, value) | Cond::Begins(key, value) => key.len() + value.len(),
    };
    conds.iter().map(cond).sum::<usize>() + ops.iter().map(op_bytes).sum::<usize>()
}

/// Whether an index has an attribute of the items in it.
pub(crate) fn is_projected(table: &Table, index: &Index, name: &str) -> bool {
    match &index.projected {
        Projected::All => true,
        Projected::Keys => index.schema.has(name) || table.schema.has(name),
        Projected::Include(names) => {
            index.schema.has(name) || table.schema.has(name) || names.iter().any(|one| one == name)
        }
    }
}

/// Bytes of what an index has of an item.
pub(crate) fn projected_size(table: &Table, index: &Index, item: &Item) -> usize {
    let projected = item.iter().filter(|(name, _)| is_projected(table, index, name));
    projected.map(|(name, value)| name.len() + value.size()).sum()
}

/// The row of an item in an index before and after a change.
struct Moved {
    was: Option<Key>,
    is: Option<Key>,
}

impl Moved {
    fn of(index: &Index, change: &Change<'_>) -> Self {
        let row = |item: &Item| keys::index_row(change.table.id, index, item, change.place);
        Self { was: change.old.and_then(|old| row(&old.item)), is: change.new.and_then(row) }
    }

    fn effect(&self, index: &Index, change: &Change<'_>) -> Option<IndexEffect> {
        let size = |item: Option<&Item>| item.map(|item| projected_size(change.table, index, item));
        let (old, new) = (change.old.map(|old| &old.item), change.new);
        let (removed, written) = match (&self.was, &self.is) {
            (None, None) => return None,
            (Some(was), Some(is)) if was == is => {
                let (old, new) = (old?, new?);
                let names: HashSet<&String> = old.keys().chain(new.keys()).collect();
                let differs = |name: &String| old.get(name) != new.get(name);
                if !names.into_iter().any(|name| differs(name) && is_projected(change.table, index, name)) {
                    return None;
                }
                (None, size(Some(old)).max(size(Some(new))))
            }
            (was, is) => (size(old).filter(|_| was.is_some()), size(new).filter(|_| is.is_some())),
        };
        Some(IndexEffect { number: index.number, local: index.local, removed, written })
    }
}

fn count(table: &Table, counter: Counter, by: i64, ops: &mut Vec<Op>) {
    if by != 0 {
        ops.push(Op::Add(tables::counter(table.id, counter), by));
    }
}

fn counters(change: &Change<'_>, effect: &Effect, ops: &mut Vec<Op>) {
    let Change { table, place, old, new, .. } = *change;
    let length = |bytes: usize| i64::try_from(bytes).unwrap_or(i64::MAX);
    let bytes = length(effect.after) - length(effect.before);
    count(table, Counter::Items(WHOLE), i64::from(new.is_some()) - i64::from(old.is_some()), ops);
    count(table, Counter::Bytes(WHOLE), bytes, ops);
    if table.has_local() {
        count(table, Counter::Collection(place.hash()), bytes, ops);
    }
}

/// What stands in the row of an item in an index.
pub(crate) fn place_of_index_row(value: &Bytes) -> Result<Place, DynamoError> {
    Place::of_bytes(value.clone()).ok_or_else(|| DynamoError::Internal("a row of an index is damaged".to_owned()))
}
