//! Deletes what is due.

use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use millpond_meta::key::{KeyBuilder, prefix_end};
use millpond_meta::{Key, Kv, Op, ReadError, Scan};
use tokio::time::Instant;

use super::time_of;
use crate::change::{Actor, Change, Draft, Lost};
use crate::errors::DynamoError;
use crate::keys::Place;
use crate::model::Table;
use crate::state::Core;
use crate::stored::Stored;
use crate::tables;

/// The longest sleep: bounds how late an item goes whose time was set for now.
const TICK: Duration = Duration::from_millis(200);
/// Rows that are looked at together.
const ROWS: usize = 200;
/// Items of one commit, by what each weighs: rows that it changes, and bytes that it reads. Larger commits would not be faster for each item, but hold
/// up others longer.
const MAX_WEIGHT: usize = 2_000;
const WEIGHT: usize = 10;
const WEIGHT_OF_INDEX: usize = 4;
const BYTES_A_WEIGHT: usize = 256;
/// Items that go in a second while others write: well above what is promised (1,000), and so slow that those wait for nothing most of the time.
const BUSY_RATE: f64 = 4_500.0;
/// Items after which others have their turn of the thread.
const YIELD_EVERY: usize = 16;
/// How far behind the clock rows are still looked for at each tick...
const LATE: u64 = 2;
/// ...and how often all are, whatever their time: who wrote one may have gone before it said so.
const LOOK_AT_ALL: Duration = Duration::from_secs(60);
/// The wait after a failure.
const PAUSE: Duration = Duration::from_secs(1);

/// The time, in seconds since the epoch, from which on rows may be due: what lies before was looked at.
#[derive(Debug)]
pub(crate) struct Earliest(AtomicU64);

impl Default for Earliest {
    /// All of them, at first.
    fn default() -> Self {
        Self(AtomicU64::new(0))
    }
}

impl Earliest {
    /// After a commit: what it wrote of times that are over.
    pub fn written(&self, times: Option<u64>) {
        if let Some(time) = times {
            self.0.fetch_min(time, Ordering::SeqCst);
        }
    }

    /// From where to look on, and from where the next time.
    fn take(&self, now: u64) -> u64 {
        self.0.swap(now.saturating_sub(LATE), Ordering::SeqCst)
    }
}

/// The earliest time among rows that changes write.
pub(crate) fn earliest(ops: &[Op]) -> Option<u64> {
    let time = |op: &Op| match op {
        Op::Put(key, _) if key.first() == Some(&tables::TTL) => tables::ttl_of(key).ok().map(|(time, ..)| time),
        _ => None,
    };
    ops.iter().filter_map(time).min()
}

/// The time of rows that were written, if it is over. `now` is of after their commit: while that took its time, the clock went on, and who deletes may
/// have passed it by.
pub(crate) fn over(earliest: Option<u64>, now: u64) -> Option<u64> {
    earliest.filter(|time| *time <= now)
}

/// A row that is due.
struct Due {
    key: Key,
    time: u64,
    table: Option<Arc<Table>>,
    place: Place,
}

/// Deletes what is due, until the server stops.
pub(crate) async fn run(core: &Core) {
    let mut all = Instant::now();
    loop {
        if all.elapsed() >= LOOK_AT_ALL {
            core.earliest.written(Some(0));
            all = Instant::now();
        }
        let pause = match round(core).await {
            Ok(pause) => pause,
            Err(error) => {
                tracing::warn!(%error, "items whose time is over wait to be deleted");
                core.earliest.written(Some(0));
                PAUSE
            }
        };
        tokio::time::sleep(pause).await;
    }
}

/// Deletes what is due now; how long to wait then.
pub(crate) async fn round(core: &Core) -> Result<Duration, DynamoError> {
    let now = core.now();
    let from = core.earliest.take(now.seconds());
    let mut at = Bound::Included(KeyBuilder::new(tables::TTL).u64(from).build());
    let to = KeyBuilder::new(tables::TTL).u64(now.seconds().saturating_add(1)).build();
    let mut pace = Pace::new(core);
    loop {
        let due = page(core, at, &to, ROWS).await?;
        let Some(last) = due.last().map(|due| due.key.clone()) else { break };
        if !delete(core, &due, &mut pace).await? {
            // Somebody wrote some of them: looked at again with the next.
            core.earliest.written(due.first().map(|due| due.time));
        }
        at = Bound::Excluded(last);
    }
    let next =
        Scan { from: Bound::Included(to), to: Bound::Excluded(prefix_end(&[tables::TTL])), reverse: false, limit: 1 };
    let rows = core.kv.scan(next).await?;
    let next = rows.first().and_then(|(key, _)| tables::ttl_of(key).ok()).map(|(time, ..)| time);
    let wait = next.map(|time| Duration::from_millis(time.saturating_mul(1000).saturating_sub(core.millis())));
    Ok(wait.map_or(TICK, |wait| wait.clamp(Duration::from_millis(1), TICK)))
}

async fn page(core: &Core, from: Bound<Key>, to: &Key, limit: usize) -> Result<Vec<Due>, ReadError> {
    let scan = Scan { from, to: Bound::Excluded(to.clone()), reverse: false, limit };
    let rows = core.kv.scan(scan).await?;
    let tables = core.tables();
    let damaged = || ReadError::Damaged("a row of times to live".to_owned());
    let due = rows.into_iter().map(|(key, _)| {
        let (time, table, place) = tables::ttl_of(&key).map_err(|_| damaged())?;
        let place = Place::of_bytes(place).ok_or_else(damaged)?;
        Ok(Due { table: tables.id(table).cloned(), key, time, place })
    });
    due.collect()
}

/// Deletes items; whether all that were due went.
async fn delete(core: &Core, mut due: &[Due], pace: &mut Pace) -> Result<bool, DynamoError> {
    let mut all = true;
    while !due.is_empty() {
        let (draft, taken) = drafted(core, due).await?;
        let (now, rest) = due.split_at(taken);
        match core.commit(draft).await {
            Ok(()) => {}
            Err(Lost::Failed(error)) => return Err(error),
            // Others write some of them at the same time: one by one, those stay.
            Err(Lost::Race | Lost::Changed) => all &= singly(core, now).await?,
        }
        pace.keep(core, taken).await;
        due = rest;
    }
    Ok(all)
}

/// Deletes items one by one; whether all went.
async fn singly(core: &Core, due: &[Due]) -> Result<bool, DynamoError> {
    let mut all = true;
    for one in due {
        let (draft, _) = drafted(core, std::slice::from_ref(one)).await?;
        match core.commit(draft).await {
            Ok(()) => {}
            Err(Lost::Failed(error)) => return Err(error),
            Err(Lost::Race | Lost::Changed) => all = false,
        }
    }
    Ok(all)
}

/// As many deletions as go into one commit, and how many rows that are: at least one.
async fn drafted(core: &Core, due: &[Due]) -> Result<(Draft, usize), DynamoError> {
    let (mut draft, mut weight, mut taken) = (Draft::new(None, due.len()), 0, 0);
    draft.urgent();
    let now = core.now();
    for one in due {
        if weight >= MAX_WEIGHT {
            break;
        }
        taken += 1;
        if taken % YIELD_EVERY == 0 {
            tokio::task::yield_now().await;
        }
        // A table that is gone takes its items with it.
        let Some(table) = &one.table else {
            draft.op(Op::Delete(one.key.clone()));
            weight += 1;
            continue;
        };
        let stored = match core.item(table, &one.place).await {
            Ok(stored) => stored,
            // One that cannot be read holds up no other; it is tried again with all.
            Err(error) => {
                tracing::error!(table = table.name, %error, "an item whose time is over cannot be read");
                continue;
            }
        };
        weight += WEIGHT + WEIGHT_OF_INDEX * table.indexes.len();
        match stored.as_ref().filter(|stored| is_due(table, stored, one.time)) {
            Some(stored) => {
                weight += stored.item.size() / BYTES_A_WEIGHT;
                let change = Change {
                    table,
                    place: &one.place,
                    old: Some(stored),
                    new: None,
                    by: Actor::Ttl,
                    causes: &Vec::new(),
                    now,
                };
                core.change(&mut draft, &change).await?;
            }
            // The row is out of date: it goes, as long as the item is as it was seen.
            None => {
                draft.depends_on(table);
                draft.unchanged(table, &one.place, stored.as_ref());
                draft.op(Op::Delete(one.key.clone()));
            }
        }
    }
    Ok((draft, taken))
}

fn is_due(table: &Table, stored: &Stored, time: u64) -> bool {
    table.row.ttl.as_ref().is_some_and(|ttl| time_of(&stored.item, &ttl.attribute) == Some(time))
}

/// Keeps deletions from holding up others.
struct Pace {
    /// The last commit that is known.
    commit: u64,
    began: Instant,
}

impl Pace {
    fn new(core: &Core) -> Self {
        Self { commit: latest(&*core.kv), began: Instant::now() }
    }

    /// Waits after some deletions: as long as nobody else writes, not at all.
    async fn keep(&mut self, core: &Core, deleted: usize) {
        let commit = latest(&*core.kv);
        // One of them was ours.
        let busy = commit.saturating_sub(self.commit) > 1;
        if busy {
            let fair = Duration::from_secs_f64(deleted as f64 / BUSY_RATE);
            tokio::time::sleep(fair.saturating_sub(self.began.elapsed())).await;
        }
        *self = Self { commit: latest(&*core.kv), began: Instant::now() };
    }
}

fn latest(kv: &dyn Kv) -> u64 {
    *kv.watch().borrow()
}
