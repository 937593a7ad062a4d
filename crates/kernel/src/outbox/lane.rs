//! One lane of the outbox.

use std::collections::{HashMap, HashSet, VecDeque};
use std::ops::Bound;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use millpond_meta::{CommitError, Key, ReadError, Scan};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

use super::{Attempt, Carrier, Item, Made, Outbox, Row, UNTAKEN, ending, kept, lane_of};
use crate::Arrival;
use crate::streams::StepError;

/// Items of a lane that are in memory.
const WINDOW: usize = 128;
/// Waits after failures of the store.
const PAUSE: Duration = Duration::from_millis(500);
/// Tries to commit what follows from an attempt, before an item that is given up leaves its place to others until its dead-letter queue takes it.
const CONCLUSIONS: u32 = 20;

#[derive(Default)]
struct Lane {
    /// Somebody sends.
    busy: bool,
    /// Items came since they were looked for.
    again: bool,
    /// Attempts under way, retries included.
    attempts: usize,
    /// Told of new items, and of attempts that ended.
    news: Arc<Notify>,
}

/// All lanes that are busy.
#[derive(Clone, Default)]
pub(super) struct Lanes(Arc<Mutex<HashMap<Key, Lane>>>);

/// An attempt under way.
pub(super) struct Turn {
    lanes: Lanes,
    stream: Key,
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut lanes = self.lanes.lock();
        if let Some(lane) = lanes.get_mut(&self.stream) {
            lane.attempts -= 1;
            lane.news.notify_one();
            if !lane.busy && lane.attempts == 0 {
                lanes.remove(&self.stream);
            }
        }
    }
}

impl Lanes {
    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Lane>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a lane to send; whether that is for the caller to do.
    pub(super) fn take(&self, stream: &Key) -> bool {
        let mut lanes = self.lock();
        let lane = lanes.entry(stream.clone()).or_default();
        lane.again = true;
        lane.news.notify_one();
        !std::mem::replace(&mut lane.busy, true)
    }

    /// Begins an attempt, unless there are too many in the lane.
    pub(super) fn turn(&self, stream: &Key, most: usize) -> Option<Turn> {
        let mut lanes = self.lock();
        let lane = lanes.entry(stream.clone()).or_default();
        if lane.attempts >= most {
            return None;
        }
        lane.attempts += 1;
        Some(Turn { lanes: self.clone(), stream: stream.clone() })
    }

    fn looking(&self, stream: &Key) -> Arc<Notify> {
        let mut lanes = self.lock();
        let lane = lanes.entry(stream.clone()).or_default();
        lane.again = false;
        Arc::clone(&lane.news)
    }

    /// Whether one who found nothing may go.
    fn leave(&self, stream: &Key) -> bool {
        let mut lanes = self.lock();
        let Some(lane) = lanes.get_mut(stream) else { return true };
        if lane.again {
            return false;
        }
        lane.busy = false;
        if lane.attempts == 0 {
            lanes.remove(stream);
        }
        true
    }
}

/// An item that waits for an attempt.
struct Waiting {
    row_key: Key,
    row_value: Bytes,
    item: Item,
    row: Row,
}

/// Attempts of a lane.
struct Sending {
    stream: Key,
    carrier: Arc<dyn Carrier>,
    /// Rows up to this one are loaded.
    loaded: Key,
    waiting: VecDeque<Waiting>,
    /// Order keys of first attempts under way.
    keys: HashSet<Bytes>,
    tasks: JoinSet<Option<Bytes>>,
}

impl Outbox {
    /// Sends what is in a lane until it is empty, or the server stops.
    pub(super) async fn work(self, stream: Key, carrier: Arc<dyn Carrier>, mut stopped: watch::Receiver<bool>) {
        let loaded = stream.clone();
        let (waiting, keys, tasks) = (VecDeque::new(), HashSet::new(), JoinSet::new());
        let mut sending = Sending { stream, carrier, loaded, waiting, keys, tasks };
        while !*stopped.borrow() {
            let news = self.0.lanes.looking(&sending.stream);
            if let Err(error) = self.load(&mut sending).await {
                tracing::warn!(%error, "a lane of the outbox cannot be read");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
            self.begin(&mut sending, &stopped);
            if sending.tasks.is_empty() && sending.waiting.is_empty() && self.0.lanes.leave(&sending.stream) {
                return;
            }
            tokio::select! {
                Some(ended) = sending.tasks.join_next() => sending.ended(ended),
                () = news.notified() => {}
                _ = stopped.wait_for(|stop| *stop) => {}
            }
        }
        while sending.tasks.join_next().await.is_some() {}
    }

    async fn load(&self, sending: &mut Sending) -> Result<(), ReadError> {
        if sending.waiting.len() >= WINDOW / 2 {
            return Ok(());
        }
        let to = millpond_meta::key::prefix_end(&sending.stream);
        let from = Bound::Excluded(sending.loaded.clone());
        let scan = Scan { from, to: Bound::Excluded(to), reverse: false, limit: WINDOW - sending.waiting.len() };
        for (key, value) in self.0.kv.scan(scan).await? {
            sending.loaded = key.clone();
            if let Some((item, row)) = self.item(&value).await? {
                sending.waiting.push_back(Waiting { row_key: key, row_value: value, item, row });
            }
        }
        Ok(())
    }

    /// Begins attempts: the first item of each order key that has none under way, and those that were tried before.
    fn begin(&self, sending: &mut Sending, stopped: &watch::Receiver<bool>) {
        let most = sending.carrier.side_by_side(&lane_of(&sending.stream));
        let mut passed: HashSet<Bytes> = HashSet::new();
        let mut index = 0;
        while index < sending.waiting.len() {
            let item = &sending.waiting[index].item;
            let key = (item.tried == 0).then(|| item.key.clone());
            // One that waits stays before those behind it with the same key.
            if let Some(key) = &key
                && (sending.keys.contains(key) || passed.contains(key))
            {
                passed.insert(key.clone());
                index += 1;
                continue;
            }
            let Some(turn) = self.0.lanes.turn(&sending.stream, most) else { return };
            let Some(next) = sending.waiting.remove(index) else { return };
            sending.keys.extend(key.clone());
            let (this, carrier, stopped) = (self.clone(), Arc::clone(&sending.carrier), stopped.clone());
            sending.tasks.spawn(async move {
                this.carry(&*carrier, next, stopped).await;
                drop(turn);
                key
            });
        }
    }

    /// Makes an attempt and commits what follows from it. Where that fails it is tried again alone: what was sent is not sent once more.
    async fn carry(&self, carrier: &dyn Carrier, waiting: Waiting, mut stopped: watch::Receiver<bool>) {
        let made = self.attempt(carrier, &waiting.item, &waiting.row).await;
        let mut tries = 0;
        loop {
            let error = match self.conclusion(carrier, &waiting, &made, tries >= CONCLUSIONS).await {
                Ok(()) => return,
                Err(Unconcluded::Stopped) => return,
                Err(Unconcluded::Failed(error)) => error,
            };
            tracing::warn!(%error, "an attempt of a delivery could not be recorded yet");
            tries += 1;
            if *stopped.borrow() {
                // It will be sent again when the server starts anew.
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(PAUSE) => {}
                _ = stopped.wait_for(|stop| *stop) => {}
            }
        }
    }

    /// Commits what follows from an attempt; `defer` when the item's dead-letter queue has not taken it for long.
    async fn conclusion(
        &self,
        carrier: &dyn Carrier,
        waiting: &Waiting,
        made: &Made,
        defer: bool,
    ) -> Result<(), Unconcluded> {
        let Waiting { row_key, row_value, item, row } = waiting;
        let end = AssertUnwindSafe(self.conclude(carrier, item, row, made)).catch_unwind().await;
        let (arrival, outcome) = match (end, &made.attempt) {
            (Ok(Ok(end)), _) => (end.arrival, Some(end.outcome)),
            (_, attempt) if defer => {
                let (answer, owner) = (attempt.answer(), carrier.owner().to_owned());
                let (over, left) = (Some(answer.text.clone()), kept(carrier, item, answer));
                let (first, arrived) = (item.first.unwrap_or(made.began).0, matches!(attempt, Attempt::Done(_)));
                let next = Row { over, owner, first, left, arrived, ..row.clone() };
                let op = self.later(self.0.clock.now().plus(UNTAKEN), &next);
                (Arrival { conds: Vec::new(), ops: vec![op] }, None)
            }
            (Ok(Err(error)), _) => return Err(Unconcluded::Failed(error)),
            (Err(_), _) => return Err(Unconcluded::Failed(StepError::Failed("it failed in the program".to_owned()))),
        };
        match self.0.kv.commit(ending(row_key, row_value, arrival)).await {
            Ok(_) => {
                if let Some(outcome) = outcome {
                    self.count(carrier, item, made, outcome);
                }
                self.0.timers.nudge();
                Ok(())
            }
            // Its dead-letter queue changed meanwhile, or it is gone.
            Err(CommitError::Conflict(_)) => match self.0.kv.get(row_key).await {
                Ok(None) => Ok(()),
                _ => Err(Unconcluded::Failed(StepError::Changed)),
            },
            // Sent, but still there: it will be sent again when the server starts anew.
            Err(CommitError::Stopped(_)) => Err(Unconcluded::Stopped),
            Err(error) => Err(Unconcluded::Failed(StepError::Failed(error.to_string()))),
        }
    }
}

/// Why what follows from an attempt was not committed.
enum Unconcluded {
    /// The store takes no more writes.
    Stopped,
    /// To be tried again.
    Failed(StepError),
}

impl Sending {
    fn ended(&mut self, ended: Result<Option<Bytes>, tokio::task::JoinError>) {
        match ended {
            Ok(None) => {}
            Ok(Some(key)) => _ = self.keys.remove(&key),
            Err(error) => {
                // Its item stays in the store and is found when the server starts anew; others with its key go on.
                tracing::error!(%error, "an attempt of a delivery failed in the program");
                self.keys.clear();
            }
        }
    }
}
