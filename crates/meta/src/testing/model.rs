//! A model of an engine that is as simple as can be, and random batches for both.

use std::collections::BTreeMap;
use std::ops::Bound;

use bytes::Bytes;
use millpond_io::Random;

use crate::api::{Batch, CommitError, Cond, Key, MAX_RANGE_DELETE, Op, Position, Rows, Scan};

/// What an engine should hold. Written without a thought for speed, and apart from what the engines share.
#[derive(Clone, Default, Debug, PartialEq, Eq)]
pub struct Model {
    /// The rows.
    pub rows: BTreeMap<Key, Bytes>,
}

impl Model {
    /// Whether the batch must be refused: the condition that fails, or none if a change is not possible.
    pub fn refusal(&self, batch: &Batch) -> Option<Option<usize>> {
        let fails = |cond: &Cond| match cond {
            Cond::Absent(key) => self.rows.contains_key(key),
            Cond::Present(key) => !self.rows.contains_key(key),
            Cond::Equals(key, value) => self.rows.get(key) != Some(value),
            Cond::Begins(key, start) => !self.rows.get(key).is_some_and(|value| value.starts_with(start)),
        };
        if let Some(index) = batch.conds.iter().position(fails) {
            return Some(Some(index));
        }
        let mut copy = self.clone();
        (!copy.apply(batch, 0)).then_some(None)
    }

    /// Applies a batch whose conditions hold; whether that was possible.
    pub fn apply(&mut self, batch: &Batch, commit: u64) -> bool {
        let mut index = 0;
        for op in &batch.ops {
            match op {
                Op::Put(key, value) => {
                    self.rows.insert(key.clone(), value.clone());
                }
                Op::Delete(key) => {
                    self.rows.remove(key);
                }
                Op::DeleteRange(from, to) => {
                    let keys: Vec<Key> = self.rows.keys().filter(|key| *key >= from && *key < to).cloned().collect();
                    if keys.len() > MAX_RANGE_DELETE {
                        return false;
                    }
                    for key in keys {
                        self.rows.remove(&key);
                    }
                }
                Op::Add(key, by) => {
                    let now = match self.rows.get(key).map(|value| <[u8; 8]>::try_from(&value[..])) {
                        None => 0,
                        Some(Ok(bytes)) => i64::from_le_bytes(bytes),
                        Some(Err(_)) => return false,
                    };
                    let Some(sum) = now.checked_add(*by) else { return false };
                    if sum == 0 {
                        self.rows.remove(key);
                    } else {
                        self.rows.insert(key.clone(), Bytes::copy_from_slice(&sum.to_le_bytes()));
                    }
                }
                Op::Append { stream, value } => {
                    let key = [&stream[..], &Position { commit, index }.to_bytes()].concat();
                    self.rows.insert(key.into(), value.clone());
                    index += 1;
                }
            }
        }
        true
    }

    /// The rows that a scan must return.
    pub fn scan(&self, scan: &Scan) -> Rows {
        let within = |key: &Key| {
            let above = match &scan.from {
                Bound::Included(from) => key >= from,
                Bound::Excluded(from) => key > from,
                Bound::Unbounded => true,
            };
            let below = match &scan.to {
                Bound::Included(to) => key <= to,
                Bound::Excluded(to) => key < to,
                Bound::Unbounded => true,
            };
            above && below
        };
        let mut rows: Rows =
            self.rows.iter().filter(|(key, _)| within(key)).map(|(k, v)| (k.clone(), v.clone())).collect();
        if scan.reverse {
            rows.reverse();
        }
        rows.truncate(scan.limit);
        rows
    }

    /// Whether an engine's answer to a batch is the one that the model gives. Applies the batch if it was committed.
    pub fn agrees(&mut self, batch: &Batch, answer: &Result<u64, CommitError>) -> bool {
        match (self.refusal(batch), answer) {
            (None, Ok(commit)) => self.apply(batch, *commit),
            (Some(Some(index)), Err(CommitError::Conflict(found))) => index == *found,
            (Some(None), Err(CommitError::TooLarge(_))) => true,
            _ => false,
        }
    }
}

/// How random batches are made.
#[derive(Clone, Copy, Debug)]
pub struct Script {
    /// Tables that keys are of: 1 up to this.
    pub tables: u8,
    /// Rows of a table.
    pub rows: u64,
    /// The longest value.
    pub value_bytes: u64,
}

fn below(random: &dyn Random, limit: u64) -> u64 {
    let mut bytes = [0; 8];
    random.fill(&mut bytes);
    u64::from_le_bytes(bytes) % limit.max(1)
}

#[expect(clippy::cast_possible_truncation, reason = "small numbers")]
fn random_key(random: &dyn Random, script: Script) -> Key {
    let table = 1 + below(random, u64::from(script.tables)) as u8;
    let row = below(random, script.rows) as u16;
    // Some keys are prefixes of others.
    let tail: &[u8] = if below(random, 4) == 0 { b"+" } else { b"" };
    [&[table], &row.to_be_bytes()[..], tail].concat().into()
}

/// A batch of up to three conditions and six changes of all kinds.
pub fn random_batch(random: &dyn Random, script: Script, model: &Model) -> Batch {
    let value = || {
        let mut bytes = vec![0; usize::try_from(below(random, script.value_bytes + 1)).unwrap_or(0)];
        random.fill(&mut bytes);
        Bytes::from(bytes)
    };
    let mut batch = Batch::default();
    for _ in 0..below(random, 3) {
        let key = random_key(random, script);
        // Mostly conditions that hold, or nothing would ever be committed.
        batch.conds.push(match (model.rows.get(&key), below(random, 8)) {
            (_, 0) => Cond::Absent(key),
            (_, 1) => Cond::Present(key),
            (Some(_), 2) => Cond::Equals(key, value()),
            (Some(value), 3..=4) => Cond::Equals(key, value.clone()),
            (Some(value), 5) => Cond::Begins(key, value.slice(..value.len() / 2)),
            (Some(_), _) => Cond::Present(key),
            (None, _) => Cond::Absent(key),
        });
    }
    for _ in 0..below(random, 7) {
        let key = random_key(random, script);
        batch.ops.push(match below(random, 12) {
            0..=4 => Op::Put(key, value()),
            5..=6 => Op::Delete(key),
            7 => Op::DeleteRange(key, random_key(random, script)),
            8..=9 => {
                // Counters have a place of their own, most of the time.
                let counter = if below(random, 8) == 0 { key } else { [&key[..1], b"counter"].concat().into() };
                Op::Add(counter, i64::try_from(below(random, 5)).unwrap_or(0) - 2)
            }
            _ => Op::Append { stream: [&key[..1], b"stream"].concat().into(), value: value() },
        });
    }
    batch
}
