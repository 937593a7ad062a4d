//! What leaves: deliveries to the world outside, at least once.
//!
//! Who sends puts an item into a lane, in the commit that causes it; each target has a lane of its own, so that one that fails holds up no other. First
//! attempts with the same order key go one after the other, in the order of their commits; others of the lane go side by side. An attempt that fails becomes a timer and
//! no longer holds anything up; when it is due it comes into its lane again, where it waits for room as others do. What is given up arrives at its dead-letter queue in the commit
//! that removes it.

mod lane;

use std::ops::Bound;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use millpond_io::Clock;
use millpond_meta::key::{KeyBuilder, KeyReader};
use millpond_meta::{Appends, Batch, Cond, Key, Kv, Op, ReadError, Scan};
use millpond_types::Timestamp;
use prost::Message;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::chunks::{self, CHUNK_BYTES};
use crate::streams::StepError;
use crate::timers::{Alarm, Timer, Timers};
use crate::trace::{self, Attempted};
use crate::{Arrival, Rejection, tables};
use lane::Lanes;

/// The owner of the timers of retries.
const OWNER: &str = "outbox";
/// The wait after the store could not be read.
const UNREAD: Duration = Duration::from_secs(1);
/// The wait of an item that is over, where who is to be told of it takes nothing for now.
const UNTAKEN: Duration = Duration::from_secs(60);
/// Bytes that attempts may leave for those after them: a row holds them beside the item.
pub const MAX_LEFT: usize = 2 * 1024;
/// Items that are looked through for one, and how many at a time.
pub const MAX_LOOKED: usize = 50_000;
const LOOKED: usize = 500;

/// Something to be sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Outgoing {
    /// The same for the same event and target: whoever gets it can tell a repetition by it.
    pub id: u128,
    /// Who sends it: a [`Carrier::owner`].
    pub owner: &'static str,
    /// Of one target.
    pub lane: Bytes,
    /// First attempts with the same one go in order.
    pub key: Bytes,
    /// The owner's own row of what is sent to whom.
    pub what: Bytes,
    /// When it was caused.
    pub time: Timestamp,
    /// The id of the event that it comes from; may be empty.
    pub event: String,
}

/// Something that is being sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Item {
    /// As in [`Outgoing`].
    pub id: u128,
    /// As in [`Outgoing`].
    pub lane: Bytes,
    /// As in [`Outgoing`].
    pub key: Bytes,
    /// As in [`Outgoing`].
    pub what: Bytes,
    /// As in [`Outgoing`].
    pub time: Timestamp,
    /// As in [`Outgoing`].
    pub event: String,
    /// Attempts that were made before.
    pub tried: u32,
    /// When the first attempt was made; `None` before it.
    pub first: Option<Timestamp>,
    /// What the attempt before left ([`Answer::left`]).
    pub left: Bytes,
}

/// What came of an attempt.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Answer {
    /// What the other side said: logged, and kept for traces.
    pub text: String,
    /// The owner's own: what the next attempt is to know of this one, or what follows from the item is made of. At most [`MAX_LEFT`] bytes outlive the process;
    /// sealed by the owner where it holds contents.
    pub left: Bytes,
}

impl From<String> for Answer {
    fn from(text: String) -> Self {
        Self { text, left: Bytes::new() }
    }
}

impl From<&str> for Answer {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

/// How an attempt ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Attempt {
    /// It arrived.
    Done(Answer),
    /// It did not; another attempt may help.
    Retry(Answer),
    /// It did not, and never will.
    Fail(Answer),
}

impl Attempt {
    /// What came of it.
    pub fn answer(&self) -> &Answer {
        let (Self::Done(answer) | Self::Retry(answer) | Self::Fail(answer)) = self;
        answer
    }
}

/// An attempt that was made.
struct Made {
    began: Timestamp,
    attempt: Attempt,
}

/// What follows from an attempt.
struct End {
    arrival: Arrival,
    outcome: trace::Outcome,
}

/// Sends what one service has in the outbox.
pub trait Carrier: Send + Sync + 'static {
    /// Its name in the table; never changed.
    fn owner(&self) -> &'static str;

    /// Makes one attempt, in a bounded time.
    fn attempt<'a>(&'a self, item: &'a Item) -> BoxFuture<'a, Attempt>;

    /// After how long the next attempt is made, where `tried` were made and the first one `since` ago; `None` gives up.
    fn next_try(&self, item: &Item, tried: u32, since: Duration) -> Option<Duration>;

    /// What follows from an item that arrived, besides. Committed with its removal.
    fn arrived<'a>(&'a self, _item: &'a Item) -> BoxFuture<'a, Result<Arrival, Rejection>> {
        std::future::ready(Ok(Arrival::default())).boxed()
    }

    /// What is done with an item that is given up: its arrival at a dead-letter queue, if it has one. Committed with its removal.
    fn gave_up<'a>(&'a self, item: &'a Item, reason: &'a str) -> BoxFuture<'a, Result<Arrival, Rejection>>;

    /// What is shown as the target in traces.
    fn target(&self, item: &Item) -> String;

    /// What is kept for the next attempt of what the last one left ([`Item::left`]), where that is longer than [`MAX_LEFT`].
    fn shortened(&self, _item: &Item) -> Bytes {
        Bytes::new()
    }

    /// How many attempts of one lane may be under way.
    fn side_by_side(&self, _lane: &[u8]) -> usize {
        16
    }
}

#[derive(Clone, PartialEq, Message)]
struct Row {
    #[prost(bytes = "bytes", tag = "1")]
    id: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    lane: Bytes,
    #[prost(bytes = "bytes", tag = "3")]
    key: Bytes,
    #[prost(bytes = "bytes", tag = "4")]
    what: Bytes,
    /// Nanoseconds.
    #[prost(fixed64, tag = "5")]
    time: u64,
    #[prost(string, tag = "6")]
    event: String,
    #[prost(uint32, tag = "7")]
    tried: u32,
    #[prost(fixed64, tag = "8")]
    first: u64,
    /// Bytes of `what` where it lies in chunks.
    #[prost(uint64, tag = "9")]
    chunked: u64,
    /// In rows of retries.
    #[prost(string, tag = "10")]
    owner: String,
    /// How it ended, where only who is to be told of it has not taken that yet: it is not sent again.
    #[prost(string, optional, tag = "11")]
    over: Option<String>,
    /// What the attempt before left.
    #[prost(bytes = "bytes", tag = "12")]
    left: Bytes,
    /// Whether it is over because it arrived.
    #[prost(bool, tag = "13")]
    arrived: bool,
}

/// What was sent since the start.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Sent {
    /// Attempts that arrived.
    pub done: u64,
    /// Attempts that did not.
    pub failed: u64,
    /// Items that were given up and had a dead-letter queue.
    pub dead_lettered: u64,
    /// Items that were given up for good.
    pub dropped: u64,
}

#[derive(Default)]
struct Counters {
    done: AtomicU64,
    failed: AtomicU64,
    dead_lettered: AtomicU64,
    dropped: AtomicU64,
}

/// The outbox. Clones share everything.
#[derive(Clone)]
pub struct Outbox(Arc<Inner>);

struct Inner {
    kv: Arc<dyn Kv>,
    clock: Arc<dyn Clock>,
    timers: Timers,
    carriers: RwLock<Vec<Arc<dyn Carrier>>>,
    appends: Arc<Appends>,
    lanes: Lanes,
    counters: Counters,
}

fn stream(owner: &str, lane: &[u8]) -> Key {
    KeyBuilder::new(tables::OUTBOX).bytes(owner.as_bytes()).bytes(lane).build()
}

/// The owner of a stream or of an item's row.
fn owner_of(key: &[u8]) -> Option<String> {
    let mut reader = KeyReader::new(key);
    reader.table().ok()?;
    String::from_utf8(reader.bytes().ok()?.into_owned()).ok()
}

/// The lane of a stream.
fn lane_of(key: &[u8]) -> Bytes {
    let mut reader = KeyReader::new(key);
    let lane = reader.table().and_then(|_| reader.bytes()).and_then(|_| reader.bytes());
    lane.map(|lane| Bytes::from(lane.into_owned())).unwrap_or_default()
}

/// Where `what` lies when it is large: nobody else has this id.
fn chunk_id(id: u128) -> u128 {
    id ^ 0x6f75_7462_6f78_5f5f_6f75_7462_6f78_5f5f
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl Outbox {
    /// An outbox without carriers, whose retries are timers of `timers`.
    pub fn new(kv: Arc<dyn Kv>, clock: Arc<dyn Clock>, timers: Timers) -> Self {
        let appends = kv.appends(tables::OUTBOX);
        let (carriers, lanes, counters) = (RwLock::default(), Lanes::default(), Counters::default());
        let outbox = Self(Arc::new(Inner { kv, clock, timers: timers.clone(), carriers, appends, lanes, counters }));
        timers.add(Arc::new(Retries));
        outbox
    }

    /// Adds a carrier. While a server is put together.
    pub fn add(&self, carrier: Arc<dyn Carrier>) {
        self.0.carriers.write().unwrap_or_else(PoisonError::into_inner).push(carrier);
    }

    /// The changes that put an item in: for the commit that causes it.
    pub fn put(item: &Outgoing) -> Vec<Op> {
        let large = item.what.len() > CHUNK_BYTES;
        let row = Row {
            id: Bytes::copy_from_slice(&item.id.to_be_bytes()),
            lane: item.lane.clone(),
            key: item.key.clone(),
            what: if large { Bytes::new() } else { item.what.clone() },
            time: item.time.0,
            event: item.event.clone(),
            tried: 0,
            first: 0,
            chunked: if large { item.what.len() as u64 } else { 0 },
            owner: String::new(),
            over: None,
            left: Bytes::new(),
            arrived: false,
        };
        let mut ops = if large { chunks::put(chunk_id(item.id), &item.what) } else { Vec::new() };
        ops.push(Op::Append { stream: stream(item.owner, &item.lane), value: row.encode_to_vec().into() });
        ops
    }

    /// Whether an item of an owner waits for its first attempt, or is at it: its lane. Looks at the first [`MAX_LOOKED`] items; for people who ask.
    pub async fn lane_with(kv: &dyn Kv, owner: &str, id: u128) -> Result<Option<Bytes>, ReadError> {
        let (from, to) =
            millpond_meta::key::prefix_range(KeyBuilder::new(tables::OUTBOX).bytes(owner.as_bytes()).build());
        let (mut from, to) = (Bound::Included(from), Bound::Excluded(to));
        for _ in 0..MAX_LOOKED / LOOKED {
            let rows = kv.scan(Scan { from, to: to.clone(), reverse: false, limit: LOOKED }).await?;
            let Some((last, _)) = rows.last() else { return Ok(None) };
            from = Bound::Excluded(last.clone());
            for (key, row) in &rows {
                if Row::decode(row.clone()).is_ok_and(|row| row.id == id.to_be_bytes().as_slice()) {
                    return Ok(Some(lane_of(key)));
                }
            }
        }
        Ok(None)
    }

    /// What was sent since the start.
    pub fn sent(&self) -> Sent {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counters = &self.0.counters;
        Sent {
            done: of(&counters.done),
            failed: of(&counters.failed),
            dead_lettered: of(&counters.dead_lettered),
            dropped: of(&counters.dropped),
        }
    }

    /// Sends until `stop`; attempts under way are finished.
    pub async fn run(&self, stop: impl Future<Output = ()>) {
        let (stopping, mut stopped) = watch::channel(false);
        tokio::pin!(stop);
        let mut found = self.mark_all().await;
        while let Err(error) = &found {
            tracing::warn!(%error, "the outbox cannot be read");
            tokio::select! {
                () = &mut stop => return,
                () = tokio::time::sleep(UNREAD) => found = self.mark_all().await,
            }
        }
        let mut workers = JoinSet::new();
        loop {
            let streams = tokio::select! {
                () = &mut stop => break,
                streams = self.0.appends.changed() => streams,
                Some(_) = workers.join_next() => continue,
            };
            for stream in streams {
                let carrier = owner_of(&stream).and_then(|owner| self.carrier(&owner));
                // Of a service that this build does not have: it waits.
                let Some(carrier) = carrier else { continue };
                if self.0.lanes.take(&stream) {
                    let (this, stopped) = (self.clone(), stopped.clone());
                    workers.spawn(async move { this.work(stream, carrier, stopped).await });
                }
            }
        }
        // Nobody may be left who listens.
        let _ = stopping.send(true);
        stopped.mark_unchanged();
        while workers.join_next().await.is_some() {}
    }

    /// Lets go of all carriers, when a server ends: some hold this in their turn.
    pub fn close(&self) {
        self.0.carriers.write().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Marks every lane that has items.
    async fn mark_all(&self) -> Result<(), ReadError> {
        let mut from = Bound::Included(Key::from_static(&[tables::OUTBOX]));
        let to = millpond_meta::key::prefix_end(&[tables::OUTBOX]);
        loop {
            let scan = Scan { from, to: Bound::Excluded(to.clone()), reverse: false, limit: 1 };
            let rows = self.0.kv.scan(scan).await?;
            let Some((key, _)) = rows.first() else { return Ok(()) };
            let stream = key.slice(..key.len().saturating_sub(10));
            from = Bound::Included(millpond_meta::key::prefix_end(&stream));
            self.0.appends.mark(stream);
        }
    }

    fn carrier(&self, owner: &str) -> Option<Arc<dyn Carrier>> {
        let carriers = self.0.carriers.read().unwrap_or_else(PoisonError::into_inner);
        carriers.iter().find(|carrier| carrier.owner() == owner).cloned()
    }

    /// The item of a row; its large part is read.
    async fn item(&self, row: &Bytes) -> Result<Option<(Item, Row)>, ReadError> {
        let row = Row::decode(row.clone()).map_err(|_| ReadError::Damaged("an item of the outbox".to_owned()))?;
        let id = <[u8; 16]>::try_from(row.id.as_ref()).map(u128::from_be_bytes);
        let id = id.map_err(|_| ReadError::Damaged("an item of the outbox".to_owned()))?;
        let what = match usize::try_from(row.chunked).unwrap_or(usize::MAX) {
            0 => row.what.clone(),
            length => match chunks::get(&*self.0.kv, chunk_id(id), length).await? {
                Some(what) => what,
                None => return Ok(None),
            },
        };
        let item = Item {
            id,
            lane: row.lane.clone(),
            key: row.key.clone(),
            what,
            time: Timestamp(row.time),
            event: row.event.clone(),
            tried: row.tried,
            first: (row.first > 0).then_some(Timestamp(row.first)),
            left: row.left.clone(),
        };
        Ok(Some((item, row)))
    }

    /// Makes one attempt; one that fails in the program is one that failed.
    async fn attempt(&self, carrier: &dyn Carrier, item: &Item, row: &Row) -> Made {
        let began = self.0.clock.now();
        if let Some(text) = &row.over {
            let answer = Answer { text: text.clone(), left: row.left.clone() };
            return Made { began, attempt: if row.arrived { Attempt::Done(answer) } else { Attempt::Fail(answer) } };
        }
        let attempt = AssertUnwindSafe(async { carrier.attempt(item).await }).catch_unwind().await;
        let attempt = attempt.unwrap_or_else(|_| {
            tracing::error!(
                owner = carrier.owner(),
                event = item.event,
                "an attempt of a delivery failed in the program"
            );
            Attempt::Retry(Answer { text: "the attempt failed in the server".to_owned(), left: item.left.clone() })
        });
        Made { began, attempt }
    }

    /// Works out what becomes of an item after an attempt. The caller removes the row it was read from.
    async fn conclude(&self, carrier: &dyn Carrier, item: &Item, row: &Row, made: &Made) -> Result<End, StepError> {
        let Made { began, attempt } = made;
        let answer = attempt.answer();
        let item = &Item { left: answer.left.clone(), ..item.clone() };
        let (first, tried) = (item.first.unwrap_or(*began), item.tried + 1);
        let now = self.0.clock.now();
        let again = match attempt {
            Attempt::Retry(_) => carrier.next_try(item, tried, now.since(first)),
            _ => None,
        };
        let mut arrival = Arrival::default();
        let outcome = match (attempt, again) {
            (Attempt::Done(_), _) => {
                arrival = told(carrier, item, carrier.arrived(item).await)?;
                trace::Outcome::Delivered
            }
            (_, Some(pause)) => {
                let (owner, left) = (carrier.owner().to_owned(), kept(carrier, item, answer));
                let next = Row { tried, first: first.0, owner, left, ..row.clone() };
                arrival.ops.push(self.later(now.plus(pause), &next));
                trace::Outcome::Again { millis: millis(pause) }
            }
            (_, None) => {
                let dead = told(carrier, item, carrier.gave_up(item, &answer.text).await)?;
                let nobody = dead.ops.is_empty();
                arrival = dead;
                if nobody { trace::Outcome::Dropped } else { trace::Outcome::DeadLettered }
            }
        };
        if again.is_none() && row.chunked > 0 {
            arrival.ops.extend(chunks::remove(chunk_id(item.id), item.what.len()));
        }
        let target = carrier.target(item);
        let attempted =
            Attempted { event: &item.event, id: item.id, target: &target, tried, answer: &answer.text, outcome };
        arrival.ops.extend(trace::attempted(&attempted, now));
        Ok(End { arrival, outcome })
    }

    /// The change by which an item comes into its lane again.
    fn later(&self, due: Timestamp, row: &Row) -> Op {
        Timers::set(self.0.timers.due(due), OWNER, &row.id, row.encode_to_vec().into())
    }

    /// Counts what was committed.
    fn count(&self, carrier: &dyn Carrier, item: &Item, made: &Made, outcome: trace::Outcome) {
        let counters = &self.0.counters;
        let answer = &made.attempt.answer().text;
        let attempts = if outcome == trace::Outcome::Delivered { &counters.done } else { &counters.failed };
        attempts.fetch_add(1, Ordering::Relaxed);
        match outcome {
            trace::Outcome::DeadLettered => _ = counters.dead_lettered.fetch_add(1, Ordering::Relaxed),
            trace::Outcome::Dropped => {
                counters.dropped.fetch_add(1, Ordering::Relaxed);
                let (target, event) = (carrier.target(item), &item.event);
                tracing::error!(target, event, reason = answer, "a delivery was given up; it has no dead-letter queue");
            }
            trace::Outcome::Delivered | trace::Outcome::Again { .. } => {}
        }
    }
}

/// What who is to be told of an item takes; nothing where that never takes it.
fn told(carrier: &dyn Carrier, item: &Item, taken: Result<Arrival, Rejection>) -> Result<Arrival, StepError> {
    match taken {
        Err(rejection) if rejection.is_final() => {
            tracing::error!(target = carrier.target(item), %rejection, "what follows from a delivery is not taken by whom it is for");
            Ok(Arrival::default())
        }
        taken => Ok(taken?),
    }
}

/// What an attempt leaves for the next one.
fn kept(carrier: &dyn Carrier, item: &Item, answer: &Answer) -> Bytes {
    if answer.left.len() <= MAX_LEFT {
        return answer.left.clone();
    }
    let left = carrier.shortened(&Item { left: answer.left.clone(), ..item.clone() });
    if left.len() > MAX_LEFT { Bytes::new() } else { left }
}

/// Attempts after the first: each comes into its lane again.
struct Retries;

impl Alarm for Retries {
    fn owner(&self) -> &'static str {
        OWNER
    }

    fn fire<'a>(&'a self, timer: &'a Timer) -> BoxFuture<'a, Result<Arrival, StepError>> {
        async move {
            let damaged = |_| StepError::Failed("an item of the outbox that waits is damaged".to_owned());
            let row = Row::decode(timer.value.clone()).map_err(damaged)?;
            let append = Op::Append { stream: stream(&row.owner, &row.lane), value: timer.value.clone() };
            Ok(Arrival { conds: Vec::new(), ops: vec![append] })
        }
        .boxed()
    }
}

#[cfg(test)]
#[path = "tests/outbox.rs"]
mod tests;

/// The commit that ends an attempt of an item that lies in its lane.
fn ending(key: &Key, value: &Bytes, arrival: Arrival) -> Batch {
    let Arrival { mut conds, mut ops } = arrival;
    conds.push(Cond::Equals(key.clone(), value.clone()));
    ops.push(Op::Delete(key.clone()));
    Batch { conds, ops, ..Batch::default() }
}
