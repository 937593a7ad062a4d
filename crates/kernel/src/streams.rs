//! Consumers of streams: what follows from the entries of a stream is worked out behind a durable cursor, and committed together with the
//! moved cursor. So nothing is skipped, and effects in the store happen exactly once.
//!
//! A consumer reads a stream as long as there is a row for its cursor: [`Consumers::begin`] puts it into the commit that makes the reading
//! necessary, [`Consumers::end`] takes it away. A stream has at most one worker of each consumer at a time, and the cursor's row is a condition of each
//! step's commit, so that a second worker could do no harm.

mod lane;
mod trim;

use std::collections::HashSet;
use std::ops::Bound;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use millpond_io::Clock;
use millpond_meta::key::{KeyBuilder, prefix_range};
use millpond_meta::{Appends, Cond, Key, Kv, MAX_BATCH_BYTES, Op, Position, ReadError, Scan};
use millpond_types::Timestamp;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use crate::{Rejection, tables};
use lane::{Lanes, Progress, Worker};

/// The most bytes of keys and values that a step may write: the rest of a batch is for what arrivals add.
pub const MAX_STEP_BYTES: usize = MAX_BATCH_BYTES / 2;
/// The most changes that a step may make.
pub const MAX_STEP_ITEMS: usize = 4 * 1024;
/// Entries that are read at a time.
const PAGE: usize = 256;
/// Steps of one consumer at the same time, each of another stream.
const MAX_STEPS: usize = 32;
/// How long a worker that has done all there was lets new entries gather before it looks again: steps under load are larger for it, and fewer. What comes after a pause waits for nothing.
const GATHER: Duration = Duration::from_millis(2);
/// Waits after failures: doubled each time.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LAST_PAUSE: Duration = Duration::from_secs(5);
/// How often what was consumed long ago is removed.
const TRIM_EVERY: Duration = Duration::from_secs(60);
/// Entries of a stream that are counted at most for the metric of lag.
const MAX_COUNTED: usize = 10_000;

/// An entry of a stream.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// Where it stands.
    pub position: Position,
    /// What it says.
    pub value: Bytes,
}

/// How far a stream is consumed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Cursor {
    /// All entries up to this one are done.
    pub position: Position,
    /// So many effects of the next one are done as well.
    pub within: u32,
}

impl Cursor {
    fn encode(self) -> Bytes {
        [&self.position.to_bytes()[..], &self.within.to_be_bytes()].concat().into()
    }

    fn decode(row: &[u8]) -> Result<Self, ReadError> {
        let bad = || ReadError::Damaged("the cursor of a consumer".to_owned());
        let (position, within) = row.split_at_checked(10).ok_or_else(bad)?;
        let within = u32::from_be_bytes(within.try_into().map_err(|_| bad())?);
        Ok(Self { position: Position::from_key(position).ok_or_else(bad)?, within })
    }
}

/// What some entries cause.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Step {
    /// What must still hold; when it does not, the step is worked out anew.
    pub conds: Vec<Cond>,
    /// The effects.
    pub ops: Vec<Op>,
    /// How many of the entries are wholly done.
    pub done: usize,
    /// How many effects of the next one are done, where it has too many for one step.
    pub within: u32,
    /// Which rows the effects change.
    pub changed: Changed,
}

/// The rows that the effects of a step change, as far as they were looked at.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Changed {
    rows: HashSet<Key>,
    ranges: Vec<(Key, Key)>,
    /// Effects that were looked at.
    seen: usize,
}

impl Changed {
    fn look_at(&mut self, ops: &[Op]) {
        for op in ops.get(self.seen..).unwrap_or_default() {
            match op {
                Op::Put(key, _) | Op::Delete(key) | Op::Add(key, _) => _ = self.rows.insert(key.clone()),
                Op::DeleteRange(from, to) => self.ranges.push((from.clone(), to.clone())),
                // Makes a row of a key that nobody can ask for before.
                Op::Append { .. } => {}
            }
        }
        self.seen = ops.len();
    }

    fn concerns(&self, cond: &Cond) -> bool {
        let (Cond::Absent(key) | Cond::Present(key) | Cond::Equals(key, _) | Cond::Begins(key, _)) = cond;
        self.rows.contains(key) || self.ranges.iter().any(|(from, to)| from <= key && key < to)
    }
}

impl Step {
    /// Adds what arrives somewhere, unless it was worked out without knowing of what the step changes already: then one of its conditions is about a row
    /// of which that is no longer so, as that no message with the same deduplication id came before. Conditions of a batch are
    /// checked before its changes, so such an arrival must not be in the same one. Whether it was added; if not, the step ends
    /// before it, and it is worked out anew in the next. The first arrival of a step is always added.
    #[must_use = "a step ends before what was not added"]
    pub fn arrive(&mut self, arrival: crate::Arrival) -> bool {
        self.changed.look_at(&self.ops);
        if arrival.conds.iter().any(|cond| self.changed.concerns(cond)) {
            return false;
        }
        self.ops.extend(arrival.ops);
        for cond in arrival.conds {
            if !self.conds.contains(&cond) {
                self.conds.push(cond);
            }
        }
        true
    }

    /// Bytes of keys and values in it.
    pub fn bytes(&self) -> usize {
        let of = |op: &Op| match op {
            Op::Put(key, value) | Op::Append { stream: key, value } => key.len() + value.len(),
            Op::Delete(key) | Op::Add(key, _) => key.len() + 8,
            Op::DeleteRange(from, to) => from.len() + to.len(),
        };
        self.ops.iter().map(of).sum()
    }
}

/// Why a step or a timer was not carried out. It is tried again.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StepError {
    /// Something changed in between: to be worked out anew at once.
    #[error("something changed meanwhile")]
    Changed,
    /// The store could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Something else that may pass.
    #[error("{0}")]
    Failed(String),
}

impl From<Rejection> for StepError {
    fn from(rejection: Rejection) -> Self {
        Self::Failed(rejection.to_string())
    }
}

/// Works out what the entries of streams cause.
pub trait Consumer: Send + Sync + 'static {
    /// Names it in cursors and metrics; never changed.
    fn name(&self) -> &'static str;

    /// The table whose streams it reads.
    fn table(&self) -> u8;

    /// What some entries of a stream cause; `within` effects of the first one are done already. At least one entry or one effect more is
    /// done by each step. Stops before [`MAX_STEP_BYTES`] and [`MAX_STEP_ITEMS`].
    fn step<'a>(&'a self, stream: &'a Key, entries: &'a [Entry], within: u32)
    -> BoxFuture<'a, Result<Step, StepError>>;

    /// When an entry was made: for the metric of lag, and for trimming.
    fn time_of(&self, value: &Bytes) -> Option<Timestamp>;

    /// How long entries are kept after they are done, for `millpond trace`; `None` where somebody else trims the streams.
    fn keep(&self) -> Option<Duration>;

    /// What goes with an entry that is trimmed, such as its chunks.
    fn beside(&self, _value: &Bytes) -> Vec<Op> {
        Vec::new()
    }
}

/// How far a consumer is behind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Lag {
    /// The consumer.
    pub consumer: &'static str,
    /// Streams that it reads.
    pub streams: usize,
    /// Entries that wait, counted up to ten thousand a stream.
    pub entries: usize,
    /// How long the oldest of them has been waiting.
    pub age: Duration,
}

/// All consumers of a server. Clones share everything.
#[derive(Clone)]
pub struct Consumers(Arc<Inner>);

struct Inner {
    kv: Arc<dyn Kv>,
    clock: Arc<dyn Clock>,
    all: RwLock<Vec<Arc<Reader>>>,
}

/// A consumer with what it reads.
struct Reader {
    consumer: Arc<dyn Consumer>,
    appends: Arc<Appends>,
    lanes: Lanes,
    /// Steps at a time; a stream that waits after a failure has none.
    steps: Semaphore,
}

fn cursor_row(consumer: &str, stream: &[u8]) -> Key {
    KeyBuilder::new(tables::CURSORS).bytes(consumer.as_bytes()).raw(stream).build()
}

impl Consumers {
    /// None yet.
    pub fn new(kv: Arc<dyn Kv>, clock: Arc<dyn Clock>) -> Self {
        Self(Arc::new(Inner { kv, clock, all: RwLock::default() }))
    }

    /// Adds a consumer and reads its cursors. While a server is put together.
    pub async fn add(&self, consumer: Arc<dyn Consumer>) -> Result<(), ReadError> {
        let appends = self.0.kv.appends(consumer.table());
        let lanes = Lanes::default();
        let prefix = cursor_row(consumer.name(), &[]);
        let (mut from, to) = prefix_range(prefix.clone());
        loop {
            let scan =
                Scan { from: Bound::Included(from), to: Bound::Excluded(to.clone()), reverse: false, limit: PAGE };
            let rows = self.0.kv.scan(scan).await?;
            for (key, row) in &rows {
                let stream = key.slice(prefix.len()..);
                lanes.follow(stream.clone(), Cursor::decode(row)?);
                appends.mark(stream);
            }
            match rows.last() {
                Some((last, _)) if rows.len() == PAGE => from = millpond_meta::key::successor(last),
                _ => break,
            }
        }
        let reader = Arc::new(Reader { consumer, appends, lanes, steps: Semaphore::new(MAX_STEPS) });
        self.0.all.write().unwrap_or_else(PoisonError::into_inner).push(reader);
        Ok(())
    }

    /// Begins to read a stream: for the commit that makes it necessary. Entries count that are appended from now on, those of that very commit included.
    /// After the commit: [`Self::follow`].
    pub fn begin(&self, consumer: &'static str, stream: &Key) -> Op {
        let position = Position { commit: *self.0.kv.watch().borrow(), index: u16::MAX };
        Op::Put(cursor_row(consumer, stream), Cursor { position, within: 0 }.encode())
    }

    /// A condition for the commit of [`Self::begin`]: that the stream is not read yet.
    pub fn unread(&self, consumer: &'static str, stream: &Key) -> Cond {
        Cond::Absent(cursor_row(consumer, stream))
    }

    /// Ends the reading of a stream: for the commit that makes it unnecessary. After the commit: [`Self::forget`].
    pub fn end(&self, consumer: &'static str, stream: &Key) -> Op {
        Op::Delete(cursor_row(consumer, stream))
    }

    /// Whether a consumer reads a stream.
    pub fn reads(&self, consumer: &'static str, stream: &Key) -> bool {
        self.reader(consumer).is_some_and(|reader| reader.lanes.position(stream).is_some())
    }

    /// After the commit of [`Self::begin`].
    pub fn follow(&self, consumer: &'static str, stream: &Key) {
        if let Some(reader) = self.reader(consumer) {
            reader.lanes.follow(stream.clone(), Cursor::default());
            reader.appends.mark(stream.clone());
        }
    }

    /// After the commit of [`Self::end`].
    pub fn forget(&self, consumer: &'static str, stream: &Key) {
        if let Some(reader) = self.reader(consumer) {
            reader.lanes.forget(stream);
        }
    }

    /// The slowest cursor of a stream: nothing behind it may be removed. `None` when nobody reads the stream.
    pub fn floor(&self, stream: &Key) -> Option<Position> {
        self.readers().iter().filter_map(|reader| reader.lanes.position(stream)).min()
    }

    /// Consumes until `stop`.
    pub async fn run(&self, stop: impl Future<Output = ()>) {
        let (stopping, stopped) = watch::channel(false);
        let mut tasks = JoinSet::new();
        for reader in self.readers() {
            tasks.spawn(self.clone().serve(reader, stopped.clone()));
        }
        tasks.spawn(self.clone().trim_often(stopped));
        stop.await;
        // Nobody may be left who listens.
        let _ = stopping.send(true);
        while tasks.join_next().await.is_some() {}
    }

    /// Consumes what is there and waits for it: for tests.
    pub async fn run_pending(&self) -> Result<(), StepError> {
        loop {
            let mut some = false;
            for reader in self.readers() {
                for stream in reader.lanes.streams() {
                    let mut worker = Worker::new(self, &reader, stream);
                    while worker.step().await? != Progress::Nothing {
                        some = true;
                    }
                }
            }
            if !some {
                return Ok(());
            }
        }
    }

    /// How far the consumers are behind.
    pub async fn lags(&self) -> Result<Vec<Lag>, ReadError> {
        let mut lags = Vec::new();
        for reader in self.readers() {
            let streams = reader.lanes.streams();
            let mut lag =
                Lag { consumer: reader.consumer.name(), streams: streams.len(), entries: 0, age: Duration::ZERO };
            for stream in streams {
                let Some(after) = reader.lanes.position(&stream) else { continue };
                let waiting = self.entries(&stream, after, MAX_COUNTED).await?;
                lag.entries += waiting.len();
                let oldest = waiting.first().and_then(|entry| reader.consumer.time_of(&entry.value));
                if let Some(time) = oldest {
                    lag.age = lag.age.max(self.0.clock.now().since(time));
                }
            }
            lags.push(lag);
        }
        Ok(lags)
    }

    /// Lets go of all consumers, when a server ends: some hold this in their turn.
    pub fn close(&self) {
        self.0.all.write().unwrap_or_else(PoisonError::into_inner).clear();
    }

    async fn serve(self, reader: Arc<Reader>, mut stopped: watch::Receiver<bool>) {
        let mut workers = JoinSet::new();
        loop {
            let streams = tokio::select! {
                streams = reader.appends.changed() => streams,
                Some(_) = workers.join_next() => continue,
                _ = stopped.wait_for(|stop| *stop) => break,
            };
            for stream in streams {
                if !reader.lanes.take(&stream) {
                    continue;
                }
                let (this, reader, stopped) = (self.clone(), Arc::clone(&reader), stopped.clone());
                workers.spawn(async move { Worker::new(&this, &reader, stream).run(stopped).await });
            }
        }
        while workers.join_next().await.is_some() {}
    }

    async fn entries(&self, stream: &Key, after: Position, limit: usize) -> Result<Vec<Entry>, ReadError> {
        let from = [&stream[..], &after.to_bytes()].concat().into();
        let to = millpond_meta::key::prefix_end(stream);
        let scan = Scan { from: Bound::Excluded(from), to: Bound::Excluded(to), reverse: false, limit };
        let rows = self.0.kv.scan(scan).await?;
        let entry = |(key, value): (Key, Bytes)| {
            // A stream whose name begins with another's is none of its entries.
            let own = key.len() == stream.len() + 10;
            Some(Entry { position: Position::from_key(&key).filter(|_| own)?, value })
        };
        Ok(rows.into_iter().filter_map(entry).collect())
    }

    fn readers(&self) -> Vec<Arc<Reader>> {
        self.0.all.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn reader(&self, consumer: &str) -> Option<Arc<Reader>> {
        self.readers().into_iter().find(|reader| reader.consumer.name() == consumer)
    }
}

#[cfg(test)]
#[path = "tests/streams.rs"]
mod tests;
