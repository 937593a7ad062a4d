//! What happens later: one durable table of timers, due within a second of their time, also after a crash.
//!
//! A timer is a row (owner, due, id) -> value. Its owner sets it in the commit that makes it needed, and works out what it causes when it is
//! due; that is committed together with the timer's removal, so that each fires exactly once as far as the store is concerned.
//!
//! Each owner has a range and permits of its own, and its range is read no further than it has permits: what is due and finds no room costs nothing, holds up
//! nobody else's, and waits in the store alone. One that fails gives its permit back while it rests.

use std::collections::{HashMap, HashSet};
use std::ops::Bound;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use millpond_io::Clock;
use millpond_meta::key::{KeyBuilder, KeyReader};
use millpond_meta::{Batch, CommitError, Cond, Key, Kv, Op, ReadError, Scan};
use millpond_types::Timestamp;
use tokio::sync::{Notify, Semaphore};
use tokio::time::Instant;

use crate::streams::StepError;
use crate::{Arrival, tables};

/// Timers that are looked at together.
const PAGE: usize = 256;
/// Timers of one owner that fire at the same time, unless it says otherwise.
const MAX_FIRING: usize = 128;
/// Timers of one owner that failed and rest without a permit: they are passed over each time its range is read. Those beyond rest with their permit.
const MAX_RESTING: usize = 1024;
/// Rows of the older table that are moved by one commit.
const MOVED: usize = 128;
/// The shortest sleep between looks that nobody asked for.
const LEAST: Duration = Duration::from_millis(5);
/// The longest sleep: bounds how late a timer is whose setting nobody told of.
const TICK: Duration = Duration::from_millis(500);
/// How far behind the clock timers may still be set: those are due at once. What was set for an earlier time is set for this one.
const LATE: Duration = Duration::from_secs(10);
/// How often all timers are looked at, whatever their time: a commit may have taken long.
const LOOK_AT_ALL: Duration = Duration::from_secs(60);
/// Waits after failures: doubled each time.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LAST_PAUSE: Duration = Duration::from_secs(10);
/// The wait after something changed in between: what a timer is decided by may be behind the store for a few milliseconds.
const CHANGED_PAUSE: Duration = Duration::from_millis(5);

/// A timer that is due.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Timer {
    /// When it is due.
    pub due: Timestamp,
    /// Its id among those of its owner.
    pub id: Bytes,
    /// What its owner left with it.
    pub value: Bytes,
}

/// An owner of timers.
pub trait Alarm: Send + Sync + 'static {
    /// Its name in the table; never changed.
    fn owner(&self) -> &'static str;

    /// How many of its timers fire at the same time: a bound on memory and on what waits for the store.
    fn side_by_side(&self) -> usize {
        MAX_FIRING
    }

    /// What a timer causes. The engine commits it with the timer's removal; when a condition fails, it is asked again. After an error it is
    /// asked again later. May be asked twice for the same timer when the server stops in between.
    fn fire<'a>(&'a self, timer: &'a Timer) -> BoxFuture<'a, Result<Arrival, StepError>>;
}

/// The clockwork. Clones share everything.
#[derive(Clone)]
pub struct Timers(Arc<Inner>);

struct Inner {
    kv: Arc<dyn Kv>,
    clock: Arc<dyn Clock>,
    owners: RwLock<HashMap<&'static str, Owner>>,
    nudge: Notify,
}

/// Where the reading of each owner's range begins: rows before were removed, and scans do not pass what is left of them.
type Begins = HashMap<&'static str, Timestamp>;

#[derive(Clone)]
struct Owner {
    alarm: Arc<dyn Alarm>,
    /// Of each owner's own: none holds up another.
    permits: Arc<Semaphore>,
    busy: Arc<Mutex<Busy>>,
}

/// What an owner's timers are at.
#[derive(Default)]
struct Busy {
    firing: HashSet<Key>,
    resting: HashMap<Key, Rest>,
    /// Timers are due that found no permit.
    crowded: bool,
}

/// A timer that failed.
#[derive(Clone, Copy)]
struct Rest {
    until: Instant,
    pause: Duration,
}

impl Owner {
    fn new(alarm: Arc<dyn Alarm>) -> Self {
        let permits = Arc::new(Semaphore::new(alarm.side_by_side()));
        Self { alarm, permits, busy: Arc::default() }
    }

    fn busy(&self) -> MutexGuard<'_, Busy> {
        self.busy.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a timer may begin; how long it rested the last time.
    fn begin(&self, key: &Key) -> Option<Duration> {
        let mut busy = self.busy();
        if busy.firing.contains(key) {
            return None;
        }
        let pause = match busy.resting.get(key) {
            Some(rest) if rest.until > Instant::now() => return None,
            Some(rest) => rest.pause,
            None => Duration::ZERO,
        };
        busy.firing.insert(key.clone());
        Some(pause)
    }

    /// Ends an attempt; `rest` of one that failed. `false` when there is no room to rest without a permit.
    fn end(&self, key: &Key, rest: Option<Rest>) -> bool {
        let mut busy = self.busy();
        match rest {
            None => _ = busy.resting.remove(key),
            Some(_) if busy.resting.len() >= MAX_RESTING && !busy.resting.contains_key(key) => return false,
            Some(rest) => _ = busy.resting.insert(key.clone(), rest),
        }
        busy.firing.remove(key);
        true
    }

    /// Whether timers wait for permits, and there is room for many of them: each look at the range passes those that fire.
    fn has_room(&self) -> bool {
        let enough = self.permits.available_permits() * 2 >= self.alarm.side_by_side();
        enough && std::mem::take(&mut self.busy().crowded)
    }

    /// When the next one will have rested enough, of those whose pause is shorter than `below`. Those that have are found by any look.
    fn rested(&self, below: Duration) -> Option<Instant> {
        let (busy, now) = (self.busy(), Instant::now());
        busy.resting.values().filter(|rest| rest.pause < below && rest.until > now).map(|rest| rest.until).min()
    }

    /// Forgets who rests: all, or those that were removed meanwhile, so that nobody finds them any more.
    fn forget(&self, all: bool) {
        let now = Instant::now();
        self.busy().resting.retain(|_, rest| !all && rest.until + LOOK_AT_ALL > now);
    }
}

fn range(owner: &str) -> KeyBuilder {
    KeyBuilder::new(tables::TIMERS).bytes(owner.as_bytes())
}

fn row(due: Timestamp, owner: &str, id: &[u8]) -> Key {
    range(owner).u64(due.0).raw(id).build()
}

fn parse(key: &[u8]) -> Option<(Timestamp, Bytes)> {
    let mut reader = KeyReader::new(key);
    reader.table().ok()?;
    reader.bytes().ok()?;
    let due = Timestamp(reader.u64().ok()?);
    Some((due, Bytes::copy_from_slice(reader.rest())))
}

/// Where a row of the older table, (due, owner, id), stands now.
fn moved(key: &[u8]) -> Option<Key> {
    let mut reader = KeyReader::new(key);
    reader.table().ok()?;
    let due = Timestamp(reader.u64().ok()?);
    let owner = String::from_utf8(reader.bytes().ok()?.into_owned()).ok()?;
    Some(row(due, &owner, reader.rest()))
}

impl Timers {
    /// A clockwork without owners.
    pub fn new(kv: Arc<dyn Kv>, clock: Arc<dyn Clock>) -> Self {
        Self(Arc::new(Inner { kv, clock, owners: RwLock::default(), nudge: Notify::new() }))
    }

    /// Moves the timers that an older version set to where they are looked for. Before anybody sets or clears one.
    pub async fn move_older(&self) -> Result<(), ReadError> {
        let (from, to) = millpond_meta::key::prefix_range(Bytes::from_static(&[tables::OLD_TIMERS]));
        let (mut from, to) = (Bound::Included(from), Bound::Excluded(to));
        loop {
            let scan = Scan { from, to: to.clone(), reverse: false, limit: MOVED };
            let rows = self.0.kv.scan(scan).await?;
            let Some((last, _)) = rows.last() else { return Ok(()) };
            from = Bound::Excluded(last.clone());
            // Values may have 64 KiB each: some a commit.
            for some in rows.chunks(MOVED / 16) {
                // A full disk has room for it.
                let mut batch = Batch { urgent: true, ..Batch::default() };
                for (key, value) in some {
                    let Some(to) = moved(key) else { continue };
                    batch.ops.extend([Op::Put(to, value.clone()), Op::Delete(key.clone())]);
                }
                let moved = self.0.kv.commit(batch).await;
                moved.map_err(|error| ReadError::Failed(error.to_string()))?;
            }
        }
    }

    /// Says who is asked about the timers of an owner. While a server is put together.
    pub fn add(&self, alarm: Arc<dyn Alarm>) {
        let name = alarm.owner();
        self.0.owners.write().unwrap_or_else(PoisonError::into_inner).insert(name, Owner::new(alarm));
    }

    /// When a timer that is asked for at `due` is set for: not in the past. The owner keeps this to remove the timer by.
    pub fn due(&self, due: Timestamp) -> Timestamp {
        due.max(self.0.clock.now())
    }

    /// Sets a timer, in the commit that makes it needed. `due` comes from [`Self::due`].
    pub fn set(due: Timestamp, owner: &'static str, id: &[u8], value: Bytes) -> Op {
        Op::Put(row(due, owner, id), value)
    }

    /// Removes a timer.
    pub fn clear(due: Timestamp, owner: &'static str, id: &[u8]) -> Op {
        Op::Delete(row(due, owner, id))
    }

    /// Says that a timer was set that may be due soon; else it is seen within [`TICK`].
    pub fn nudge(&self) {
        self.0.nudge.notify_one();
    }

    /// Fires what is due, until `stop`.
    pub async fn run(&self, stop: impl Future<Output = ()>) {
        tokio::pin!(stop);
        let mut begins = Begins::new();
        let mut all = Instant::now();
        loop {
            if all.elapsed() >= LOOK_AT_ALL {
                all = Instant::now();
                begins.clear();
                self.owners().iter().for_each(|owner| owner.forget(false));
            }
            let (next, _) = self.round(&mut begins).await;
            let now = self.0.clock.now();
            let mut wake = Instant::now() + next.map_or(TICK, |due| due.since(now).clamp(LEAST, TICK));
            if let Some(rested) = self.rested(Duration::MAX) {
                wake = wake.min(rested.max(Instant::now() + LEAST));
            }
            tokio::select! {
                () = &mut stop => break,
                () = tokio::time::sleep_until(wake) => {}
                () = self.0.nudge.notified() => {}
            }
        }
        // What is firing is finished: each takes a bounded time.
        self.idle().await;
    }

    /// Lets go of all owners, when a server ends: some hold this in their turn.
    pub fn close(&self) {
        self.0.owners.write().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn owners(&self) -> Vec<Owner> {
        self.0.owners.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    fn rested(&self, below: Duration) -> Option<Instant> {
        self.owners().iter().filter_map(|owner| owner.rested(below)).min()
    }

    /// Waits until nothing fires.
    async fn idle(&self) {
        for owner in self.owners() {
            let all = u32::try_from(owner.alarm.side_by_side()).unwrap_or(u32::MAX);
            let _ = owner.permits.acquire_many(all).await;
        }
    }

    /// Fires what is due now and waits for it; what fails again and again stays. For tests, whose clocks stand still.
    pub async fn run_due(&self) {
        self.owners().iter().for_each(|owner| owner.forget(true));
        loop {
            let (next, crowded) = self.round(&mut Begins::new()).await;
            self.idle().await;
            if crowded || next.is_some_and(|due| due <= self.0.clock.now()) {
                continue;
            }
            match self.rested(LAST_PAUSE) {
                Some(rested) => tokio::time::sleep_until(rested).await,
                None => return,
            }
        }
    }

    /// Starts what is due. Tells when to look again, the next time that something is due, and whether some that are due found no permit.
    async fn round(&self, begins: &mut Begins) -> (Option<Timestamp>, bool) {
        let (mut next, mut crowded): (Option<Timestamp>, bool) = (None, false);
        for owner in self.owners() {
            let begin = begins.entry(owner.alarm.owner()).or_insert(Timestamp(0));
            match self.look(&owner, begin).await {
                Ok(Looked::Next(due)) => next = Some(next.map_or(due, |next| next.min(due))),
                Ok(Looked::Crowded) => crowded = true,
                Ok(Looked::Nothing) => {}
                Err(error) => tracing::warn!(owner = owner.alarm.owner(), %error, "timers cannot be read"),
            }
        }
        (next, crowded)
    }

    /// Starts what is due of one owner, as far as it has permits.
    async fn look(&self, owner: &Owner, begin: &mut Timestamp) -> Result<Looked, ReadError> {
        let inner = &self.0;
        if owner.permits.available_permits() == 0 {
            owner.busy().crowded = true;
            return Ok(Looked::Crowded);
        }
        let now = inner.clock.now();
        let range = range(owner.alarm.owner());
        let to = Bound::Excluded(millpond_meta::key::prefix_end(&range.clone().build()));
        let mut at = Bound::Included(range.u64(begin.0).build());
        let late = Timestamp(now.0.saturating_sub(u64::try_from(LATE.as_nanos()).unwrap_or(u64::MAX)));
        let mut oldest = None;
        loop {
            let rows = inner.kv.scan(Scan { from: at, to: to.clone(), reverse: false, limit: PAGE }).await?;
            let last = rows.last().map(|(last, _)| last.clone()).filter(|_| rows.len() == PAGE);
            for (key, value) in rows {
                let Some((due, id)) = parse(&key) else { continue };
                *begin = (*oldest.get_or_insert(due)).min(late);
                if due > now {
                    return Ok(Looked::Next(due));
                }
                if !self.start(owner, key, Timer { due, id, value }) {
                    // Those that find no room stay due.
                    return Ok(Looked::Crowded);
                }
            }
            match last {
                Some(last) => at = Bound::Excluded(last),
                None => break,
            }
        }
        *begin = oldest.unwrap_or(late).min(late);
        Ok(Looked::Nothing)
    }

    /// Starts a timer, unless it fires or rests; `false` when there is no permit for it.
    fn start(&self, owner: &Owner, key: Key, timer: Timer) -> bool {
        let Ok(permit) = Arc::clone(&owner.permits).try_acquire_owned() else {
            owner.busy().crowded = true;
            return false;
        };
        let Some(pause) = owner.begin(&key) else { return true };
        let (this, owner) = (self.clone(), owner.clone());
        tokio::spawn(async move {
            this.fire(&key, &owner, &timer, pause).await;
            drop(permit);
            if owner.has_room() {
                this.nudge();
            }
        });
        true
    }

    /// Fires one timer. After a failure it stays due, and rests for longer each time.
    async fn fire(&self, key: &Key, owner: &Owner, timer: &Timer, pause: Duration) {
        let mut pause = pause;
        loop {
            let attempt = AssertUnwindSafe(self.attempt(key, &*owner.alarm, timer)).catch_unwind().await;
            let error = match attempt {
                Ok(Ok(())) => break,
                Ok(Err(FireError::Again)) => {
                    tokio::time::sleep(CHANGED_PAUSE).await;
                    continue;
                }
                Ok(Err(FireError::Failed(error))) => error,
                Err(_) => "it failed in the program".to_owned(),
            };
            tracing::warn!(owner = owner.alarm.owner(), error, "a timer could not be carried out; it is tried again");
            pause = (pause * 2).clamp(FIRST_PAUSE, LAST_PAUSE);
            if owner.end(key, Some(Rest { until: Instant::now() + pause, pause })) {
                return;
            }
            tokio::time::sleep(pause).await;
        }
        owner.end(key, None);
    }

    async fn attempt(&self, key: &Key, alarm: &dyn Alarm, timer: &Timer) -> Result<(), FireError> {
        // It may have been removed, or fired by an attempt whose answer got lost.
        match self.0.kv.get(key).await {
            Ok(Some(value)) if value == timer.value => {}
            Ok(_) => return Ok(()),
            Err(error) => return Err(FireError::Failed(error.to_string())),
        }
        let arrival = match alarm.fire(timer).await {
            Ok(arrival) => arrival,
            Err(StepError::Changed) => return Err(FireError::Again),
            Err(error) => return Err(FireError::Failed(error.to_string())),
        };
        // Removed first: it may be set anew for the same time.
        let mut batch = Batch { ops: vec![Op::Delete(key.clone())], conds: arrival.conds, ..Batch::default() };
        batch.conds.push(Cond::Equals(key.clone(), timer.value.clone()));
        batch.ops.extend(arrival.ops);
        batch.urgent = frees(&batch.ops);
        match self.0.kv.commit(batch).await {
            Ok(_) => Ok(()),
            Err(CommitError::Conflict(_)) => Err(FireError::Again),
            Err(error) => Err(FireError::Failed(error.to_string())),
        }
    }
}

/// How far an owner's timers were looked at.
#[derive(PartialEq, Debug)]
enum Looked {
    /// To one that is due later.
    Next(Timestamp),
    /// To one that is due and finds no permit. It stays, and whoever gives a permit back has it looked for.
    Crowded,
    /// To the end.
    Nothing,
}

enum FireError {
    /// Something changed in between.
    Again,
    Failed(String),
}

/// Whether changes remove more rows than they write and deliver nothing: those may use the reserve of a full disk.
fn frees(ops: &[Op]) -> bool {
    let delivers = ops.iter().any(|op| matches!(op, Op::Append { .. }));
    let removed = ops.iter().filter(|op| matches!(op, Op::Delete(_) | Op::DeleteRange(..))).count();
    let written = ops.iter().filter(|op| matches!(op, Op::Put(..))).count();
    !delivers && removed > written
}

#[cfg(test)]
#[path = "tests/timers.rs"]
mod tests;
