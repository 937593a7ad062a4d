//! What a batch means: its limits, its conditions and its changes, resolved over the rows as the batches before it left
//! them. Both engines commit through here, so that they cannot differ.

use std::collections::BTreeMap;
use std::ops::Bound;

use bytes::{Bytes, BytesMut};

use crate::api::{
    Batch, CommitError, Cond, Key, MAX_BATCH_BYTES, MAX_BATCH_ITEMS, MAX_KEY_BYTES, MAX_RANGE_DELETE, MAX_VALUE_BYTES,
    Op, Position, RESERVED_TABLES, ReadError, Scan,
};

/// Bytes of a [`Position`] in a key.
const POSITION_BYTES: usize = 10;

/// Checks a batch against the limits of the trait, before it takes anybody's time.
pub(crate) fn check_limits(batch: &Batch) -> Result<(), CommitError> {
    if batch.conds.len() > MAX_BATCH_ITEMS || batch.ops.len() > MAX_BATCH_ITEMS {
        return Err(CommitError::TooLarge("conditions or changes in a batch (MAX_BATCH_ITEMS)"));
    }
    let mut bytes = 0;
    for cond in &batch.conds {
        bytes += match cond {
            Cond::Absent(key) | Cond::Present(key) => check_key(key, 0)?,
            Cond::Equals(key, value) | Cond::Begins(key, value) => check_key(key, 0)? + check_value(value)?,
        };
    }
    for op in &batch.ops {
        bytes += match op {
            Op::Put(key, value) => check_key(key, 0)? + check_value(value)?,
            Op::Delete(key) => check_key(key, 0)?,
            Op::DeleteRange(from, to) => check_key(from, 0)? + check_bound(to)?,
            Op::Add(key, _) => check_key(key, 0)? + 8,
            Op::Append { stream, value } => check_key(stream, POSITION_BYTES)? + POSITION_BYTES + check_value(value)?,
        };
    }
    if bytes > MAX_BATCH_BYTES {
        return Err(CommitError::TooLarge("bytes of keys and values in a batch (MAX_BATCH_BYTES)"));
    }
    Ok(())
}

fn check_key(key: &[u8], room: usize) -> Result<usize, CommitError> {
    match key.first() {
        None => Err(CommitError::TooLarge("a key must have at least one byte, its table id")),
        Some(table) if *table >= RESERVED_TABLES => {
            Err(CommitError::TooLarge("a table id of the engine (RESERVED_TABLES)"))
        }
        Some(_) if key.len() + room > MAX_KEY_BYTES => Err(CommitError::TooLarge("bytes of a key (MAX_KEY_BYTES)")),
        Some(_) => Ok(key.len()),
    }
}

/// The end of a range may be the first key after the last table.
fn check_bound(key: &[u8]) -> Result<usize, CommitError> {
    if key == [RESERVED_TABLES] { Ok(1) } else { check_key(key, 0) }
}

fn check_value(value: &[u8]) -> Result<usize, CommitError> {
    if value.len() > MAX_VALUE_BYTES {
        return Err(CommitError::TooLarge("bytes of a value (MAX_VALUE_BYTES)"));
    }
    Ok(value.len())
}

/// How an engine keeps a value: as it is, or with a checksum. Rows are in kept form in an [`Overlay`].
pub(crate) trait Codec {
    /// The kept form of a value.
    fn keep(key: &[u8], value: Bytes) -> Bytes;
    /// The value of a row in kept form that was made in this process.
    fn value(kept: &Bytes) -> Bytes;
}

/// The rows below an overlay: what is committed.
pub(crate) trait Base {
    /// The value of a row.
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, ReadError>;
    /// The keys in `[from, to)`, at most `limit`.
    fn keys(&self, from: &Key, to: &Key, limit: usize) -> Result<Vec<Key>, ReadError>;
}

/// Values are kept as they are.
pub(crate) struct Plain;

impl Codec for Plain {
    fn keep(_: &[u8], value: Bytes) -> Bytes {
        value
    }
    fn value(kept: &Bytes) -> Bytes {
        kept.clone()
    }
}

impl Base for BTreeMap<Key, Bytes> {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, ReadError> {
        Ok(BTreeMap::get(self, key).cloned())
    }
    fn keys(&self, from: &Key, to: &Key, limit: usize) -> Result<Vec<Key>, ReadError> {
        Ok(self.range(from.clone()..to.clone()).take(limit).map(|(key, _)| key.clone()).collect())
    }
}

/// Rows that a group of batches changes, not yet committed. `None` is a removed row.
#[derive(Debug)]
pub(crate) struct Overlay<C> {
    rows: BTreeMap<Key, Option<Bytes>>,
    undo: Vec<(Key, Option<Option<Bytes>>)>,
    codec: std::marker::PhantomData<C>,
}

impl<C: Codec> Overlay<C> {
    pub(crate) fn new() -> Self {
        Self { rows: BTreeMap::new(), undo: Vec::new(), codec: std::marker::PhantomData }
    }

    /// Whether nothing was changed.
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The changes in key order, each key once.
    pub(crate) fn rows(&self) -> impl Iterator<Item = (&Key, &Option<Bytes>)> {
        self.rows.iter()
    }

    /// The changes in key order, each key once; leaves an empty overlay.
    pub(crate) fn take(&mut self) -> BTreeMap<Key, Option<Bytes>> {
        self.undo.clear();
        std::mem::take(&mut self.rows)
    }

    /// Writes a row, whatever any batch says; the value in kept form.
    pub(crate) fn put_kept(&mut self, key: Key, kept: Bytes) {
        self.set(key, Some(kept));
    }

    /// Removes a row, whatever any batch says.
    pub(crate) fn delete(&mut self, key: Key) {
        self.set(key, None);
    }

    /// Checks a batch's conditions and applies its changes as commit number `commit`. Values of [`Op::Put`] are in kept
    /// form already. On an error the overlay is as before.
    pub(crate) fn apply(&mut self, base: &impl Base, batch: Batch, commit: u64) -> Result<(), CommitError> {
        self.undo.clear();
        for (index, cond) in batch.conds.iter().enumerate() {
            if !self.holds(base, cond)? {
                return Err(CommitError::Conflict(index));
            }
        }
        let result = self.change(base, batch.ops, commit);
        if result.is_err() {
            while let Some((key, before)) = self.undo.pop() {
                match before {
                    Some(row) => self.rows.insert(key, row),
                    None => self.rows.remove(&key),
                };
            }
        }
        result
    }

    fn holds(&self, base: &impl Base, cond: &Cond) -> Result<bool, ReadError> {
        Ok(match cond {
            Cond::Absent(key) => self.get(base, key)?.is_none(),
            Cond::Present(key) => self.get(base, key)?.is_some(),
            Cond::Equals(key, value) => self.get(base, key)?.as_ref() == Some(value),
            Cond::Begins(key, start) => self.get(base, key)?.is_some_and(|value| value.starts_with(start)),
        })
    }

    fn change(&mut self, base: &impl Base, ops: Vec<Op>, commit: u64) -> Result<(), CommitError> {
        let mut appends: u16 = 0;
        for op in ops {
            match op {
                Op::Put(key, kept) => self.set(key, Some(kept)),
                Op::Delete(key) => self.set(key, None),
                Op::DeleteRange(from, to) => self.delete_range(base, &from, &to)?,
                Op::Add(key, by) => self.add(base, key, by)?,
                Op::Append { stream, value } => {
                    let mut key = BytesMut::with_capacity(stream.len() + POSITION_BYTES);
                    key.extend_from_slice(&stream);
                    key.extend_from_slice(&Position { commit, index: appends }.to_bytes());
                    // MAX_BATCH_ITEMS is below the range of the index.
                    appends = appends.saturating_add(1);
                    let key = key.freeze();
                    let kept = C::keep(&key, value);
                    self.set(key, Some(kept));
                }
            }
        }
        Ok(())
    }

    fn delete_range(&mut self, base: &impl Base, from: &Key, to: &Key) -> Result<(), CommitError> {
        if from >= to {
            return Ok(());
        }
        // The rows of the range are those below that this group has not removed, and those that it has added. The limit
        // counts both, and removed rows below only make it look further down.
        let range = (Bound::Included(from.clone()), Bound::Excluded(to.clone()));
        let mut gone = 0;
        let mut keys = Vec::new();
        for (key, row) in self.rows.range(range) {
            match row {
                Some(_) => keys.push(key.clone()),
                None => gone += 1,
            }
        }
        let above = keys.len();
        for key in base.keys(from, to, MAX_RANGE_DELETE + 1 + gone + above)? {
            if !self.rows.contains_key(&key) {
                keys.push(key);
            }
        }
        if keys.len() > MAX_RANGE_DELETE {
            return Err(CommitError::TooLarge("rows of a range to delete (MAX_RANGE_DELETE)"));
        }
        for key in keys {
            self.set(key, None);
        }
        Ok(())
    }

    fn add(&mut self, base: &impl Base, key: Key, by: i64) -> Result<(), CommitError> {
        let now = match self.get(base, &key)? {
            None => 0,
            Some(value) => match <[u8; 8]>::try_from(&value[..]) {
                Ok(bytes) => i64::from_le_bytes(bytes),
                Err(_) => return Err(CommitError::TooLarge("a counter row must have 8 bytes")),
            },
        };
        let sum = now.checked_add(by).ok_or(CommitError::TooLarge("a counter must fit 64 bits"))?;
        if sum == 0 {
            self.set(key, None);
        } else {
            let kept = C::keep(&key, Bytes::copy_from_slice(&sum.to_le_bytes()));
            self.set(key, Some(kept));
        }
        Ok(())
    }

    fn get(&self, base: &impl Base, key: &[u8]) -> Result<Option<Bytes>, ReadError> {
        match self.rows.get(key) {
            Some(row) => Ok(row.as_ref().map(C::value)),
            None => base.get(key),
        }
    }

    fn set(&mut self, key: Key, row: Option<Bytes>) {
        let before = self.rows.insert(key.clone(), row);
        self.undo.push((key, before));
    }
}

/// The bounds of a scan without the engine's own tables; `None` when nothing can lie between them.
pub(crate) fn scan_bounds(scan: &Scan) -> Option<(Bound<Key>, Bound<Key>)> {
    const END: &[u8] = &[RESERVED_TABLES];
    let to = match &scan.to {
        Bound::Included(key) | Bound::Excluded(key) if key.as_ref() >= END => Bound::Excluded(Bytes::from_static(END)),
        Bound::Unbounded => Bound::Excluded(Bytes::from_static(END)),
        bound => bound.clone(),
    };
    let empty = match (&scan.from, &to) {
        (Bound::Included(from), Bound::Included(to)) => from > to,
        (Bound::Included(from) | Bound::Excluded(from), Bound::Included(to) | Bound::Excluded(to)) => from >= to,
        _ => false,
    };
    (!empty && scan.limit > 0).then(|| (scan.from.clone(), to))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &'static str) -> Key {
        Bytes::from_static(text.as_bytes())
    }

    #[test]
    fn a_refused_batch_leaves_the_overlay_as_it_was() {
        let base: BTreeMap<Key, Bytes> = [(key("a"), key("not a counter"))].into();
        let mut overlay: Overlay<Plain> = Overlay::new();
        let refused = Batch {
            ops: vec![Op::Put(key("b"), key("1")), Op::Add(key("c"), 4), Op::Delete(key("a")), Op::Add(key("b"), 1)],
            ..Batch::default()
        };
        assert!(matches!(overlay.apply(&base, refused, 1), Err(CommitError::TooLarge(_))));
        assert!(overlay.is_empty());

        overlay.apply(&base, Batch { ops: vec![Op::Put(key("b"), key("1"))], ..Batch::default() }, 1).unwrap();
        let refused = Batch { ops: vec![Op::Delete(key("b")), Op::Add(key("a"), 1)], ..Batch::default() };
        assert!(overlay.apply(&base, refused, 2).is_err());
        assert_eq!(overlay.take(), [(key("b"), Some(key("1")))].into());
    }

    #[test]
    fn conditions_see_the_batch_before() {
        let base: BTreeMap<Key, Bytes> = [(key("a"), key("1"))].into();
        let mut overlay: Overlay<Plain> = Overlay::new();
        overlay
            .apply(&base, Batch { ops: vec![Op::Delete(key("a")), Op::Put(key("b"), key("2"))], ..Batch::default() }, 1)
            .unwrap();
        for (cond, holds) in [
            (Cond::Absent(key("a")), true),
            (Cond::Present(key("a")), false),
            (Cond::Equals(key("a"), key("1")), false),
            (Cond::Equals(key("b"), key("2")), true),
            (Cond::Begins(key("b"), key("2")), true),
            (Cond::Begins(key("b"), key("2x")), false),
            (Cond::Begins(key("a"), key("")), false),
            (Cond::Present(key("b")), true),
            (Cond::Absent(key("c")), true),
        ] {
            let batch = Batch { conds: vec![cond.clone()], ..Batch::default() };
            assert_eq!(overlay.apply(&base, batch, 2).is_ok(), holds, "{cond:?}");
        }
    }

    #[test]
    fn a_range_counts_the_rows_that_are_there() {
        let number = |n: usize| Bytes::from(format!("k{n:06}"));
        let base: BTreeMap<Key, Bytes> = (0..MAX_RANGE_DELETE + 10).map(|n| (number(n), key("x"))).collect();
        let mut overlay: Overlay<Plain> = Overlay::new();
        let all = || Batch { ops: vec![Op::DeleteRange(key("k"), key("l"))], ..Batch::default() };
        assert!(overlay.apply(&base, all(), 1).is_err());
        let some = (0..10).map(|n| Op::Delete(number(n))).collect();
        overlay.apply(&base, Batch { ops: some, ..Batch::default() }, 1).unwrap();
        overlay.apply(&base, all(), 2).unwrap();
        assert!(overlay.take().values().all(Option::is_none));
    }
}
