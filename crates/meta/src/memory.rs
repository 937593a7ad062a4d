//! The twin in memory: the whole contract, no disk, and crashes that lose what was not synced.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::sync::{oneshot, watch};

use crate::api::{Batch, CommitError, Committed, Key, Kv, ReadError, Rows, Scan, State, View};
use crate::appends::{AppendHub, Appends};
use crate::apply::{Overlay, Plain, check_limits, scan_bounds};

/// Outcomes of named commits that are remembered; more than any test has in flight.
const MAX_OUTCOMES: usize = 10_000;

/// When a commit of a [`MemoryKv`] becomes durable.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SyncMode {
    /// At once.
    Immediate,
    /// When its future is polled a second time, together with all commits that wait: a crash in between may lose it.
    NextPoll,
    /// When [`MemoryKv::sync`] is called.
    Manual,
}

/// An engine in memory. Clones share one store.
#[derive(Clone)]
pub struct MemoryKv {
    shared: Arc<Shared>,
}

struct Shared {
    inner: Mutex<Inner>,
    watch: watch::Sender<u64>,
    hub: AppendHub,
    mode: SyncMode,
}

#[derive(Default)]
struct Inner {
    durable: Durable,
    pending: VecDeque<(Batch, oneshot::Sender<Answer>)>,
    crashed: bool,
    commits: u64,
    groups: u64,
    conflicts: u64,
}

#[derive(Clone, Default)]
struct Durable {
    rows: Arc<BTreeMap<Key, Bytes>>,
    last: u64,
    outcomes: HashMap<u128, u64>,
    outcome_order: VecDeque<u128>,
}

type Answer = Result<Committed, CommitError>;

impl Durable {
    fn apply(&mut self, batch: Batch) -> Answer {
        let (commit, idem) = (self.last + 1, batch.idem);
        let mut overlay: Overlay<Plain> = Overlay::new();
        overlay.apply(self.rows.as_ref(), batch, commit)?;
        let rows = Arc::make_mut(&mut self.rows);
        for (key, row) in overlay.take() {
            match row {
                Some(value) => rows.insert(key, value),
                None => rows.remove(&key),
            };
        }
        self.last = commit;
        if let Some(idem) = idem {
            self.outcomes.insert(idem, commit);
            self.outcome_order.push_back(idem);
            if self.outcome_order.len() > MAX_OUTCOMES
                && let Some(oldest) = self.outcome_order.pop_front()
            {
                self.outcomes.remove(&oldest);
            }
        }
        Ok(Committed { commit })
    }
}

impl MemoryKv {
    /// An empty store whose commits are durable at once.
    pub fn new() -> Self {
        Self::with_mode(SyncMode::Immediate)
    }

    /// An empty store.
    pub fn with_mode(mode: SyncMode) -> Self {
        Self::from_durable(Durable::default(), mode)
    }

    fn from_durable(durable: Durable, mode: SyncMode) -> Self {
        let watch = watch::Sender::new(durable.last);
        Self {
            shared: Arc::new(Shared {
                inner: Mutex::new(Inner { durable, ..Inner::default() }),
                watch,
                hub: AppendHub::default(),
                mode,
            }),
        }
    }

    /// Makes all waiting commits durable and answers them.
    pub fn sync(&self) {
        self.shared.sync(&mut self.shared.lock());
    }

    /// Commits that wait to become durable.
    pub fn pending(&self) -> usize {
        self.shared.lock().pending.len()
    }

    /// Takes the power away: this store stops, and what a restart would find comes back - all that was acknowledged, and
    /// of the commits that waited as many, in order, as `seed` says.
    pub fn crash(&self, seed: u64) -> Self {
        let mut inner = self.shared.lock();
        inner.crashed = true;
        let mut image = inner.durable.clone();
        let pending = std::mem::take(&mut inner.pending);
        let kept = usize::try_from(seed % (pending.len() as u64 + 1)).unwrap_or(0);
        for (batch, _) in pending.into_iter().take(kept) {
            // A batch that is refused changes nothing, whether or not the crash came first.
            let _ = image.apply(batch);
        }
        Self::from_durable(image, self.shared.mode)
    }
}

impl Default for MemoryKv {
    fn default() -> Self {
        Self::new()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Every change to the state is complete before a lock is given up, also by a panic.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sync(&self, inner: &mut Inner) {
        if inner.pending.is_empty() {
            return;
        }
        let mut appended = Vec::new();
        for (batch, reply) in std::mem::take(&mut inner.pending) {
            let known = appended.len();
            self.hub.wanted(&batch, &mut appended);
            let answer = inner.durable.apply(batch);
            match &answer {
                Ok(_) => inner.commits += 1,
                Err(_) => {
                    inner.conflicts += 1;
                    appended.truncate(known);
                }
            }
            // The caller may have gone; its commit stands.
            let _ = reply.send(answer);
        }
        inner.groups += 1;
        self.watch.send_replace(inner.durable.last);
        self.hub.tell(&mut appended);
    }
}

fn read(rows: &BTreeMap<Key, Bytes>, scan: &Scan) -> Rows {
    let Some((from, to)) = scan_bounds(scan) else { return Rows::new() };
    let rows = rows.range::<Key, (Bound<Key>, Bound<Key>)>((from, to)).map(|(key, value)| (key.clone(), value.clone()));
    if scan.reverse { rows.rev().take(scan.limit).collect() } else { rows.take(scan.limit).collect() }
}

fn ready<'a, T: Send + 'a>(value: T) -> BoxFuture<'a, T> {
    Box::pin(std::future::ready(value))
}

impl View for MemoryKv {
    fn get<'a>(&'a self, key: &'a [u8]) -> BoxFuture<'a, Result<Option<Bytes>, ReadError>> {
        ready(Ok(self.shared.lock().durable.rows.get(key).cloned()))
    }

    fn scan<'a>(&'a self, scan: Scan) -> BoxFuture<'a, Result<Rows, ReadError>> {
        let rows = Arc::clone(&self.shared.lock().durable.rows);
        ready(Ok(read(&rows, &scan)))
    }
}

struct Snapshot(Arc<BTreeMap<Key, Bytes>>);

impl View for Snapshot {
    fn get<'a>(&'a self, key: &'a [u8]) -> BoxFuture<'a, Result<Option<Bytes>, ReadError>> {
        ready(Ok(self.0.get(key).cloned()))
    }

    fn scan<'a>(&'a self, scan: Scan) -> BoxFuture<'a, Result<Rows, ReadError>> {
        ready(Ok(read(&self.0, &scan)))
    }
}

impl Kv for MemoryKv {
    fn commit(&self, batch: Batch) -> BoxFuture<'static, Result<Committed, CommitError>> {
        if let Err(error) = check_limits(&batch) {
            return ready(Err(error));
        }
        let (reply, answer) = oneshot::channel();
        {
            let mut inner = self.shared.lock();
            if inner.crashed {
                return ready(Err(CommitError::Stopped("crashed".into())));
            }
            inner.pending.push_back((batch, reply));
            if self.shared.mode == SyncMode::Immediate {
                self.shared.sync(&mut inner);
            }
        }
        let shared = (self.shared.mode == SyncMode::NextPoll).then(|| Arc::clone(&self.shared));
        Box::pin(async move {
            if let Some(shared) = shared {
                yield_once().await;
                shared.sync(&mut shared.lock());
            }
            answer.await.unwrap_or_else(|_| Err(CommitError::Stopped("crashed".into())))
        })
    }

    fn outcome(&self, idem: u128) -> BoxFuture<'_, Result<Option<Committed>, ReadError>> {
        ready(Ok(self.shared.lock().durable.outcomes.get(&idem).map(|commit| Committed { commit: *commit })))
    }

    fn snapshot(&self) -> BoxFuture<'_, Result<Box<dyn View>, ReadError>> {
        let view: Box<dyn View> = Box::new(Snapshot(Arc::clone(&self.shared.lock().durable.rows)));
        ready(Ok(view))
    }

    fn watch(&self) -> watch::Receiver<u64> {
        self.shared.watch.subscribe()
    }

    fn appends(&self, table: u8) -> Arc<Appends> {
        self.shared.hub.subscribe(table)
    }

    fn state(&self) -> State {
        let inner = self.shared.lock();
        State {
            bytes: inner.durable.rows.iter().map(|(key, value)| (key.len() + value.len()) as u64).sum(),
            commits: inner.commits,
            groups: inner.groups,
            conflicts: inner.conflicts,
            stopped: inner.crashed.then(|| "crashed".into()),
            ..State::default()
        }
    }
}

/// Lets other tasks run once.
async fn yield_once() {
    let mut yielded = false;
    std::future::poll_fn(|context| {
        if yielded {
            return Poll::Ready(());
        }
        yielded = true;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Op;
    use futures_util::FutureExt;

    fn put(n: u8) -> Batch {
        Batch { ops: vec![Op::Put(Bytes::copy_from_slice(&[1, n]), Bytes::from_static(b"v"))], ..Batch::default() }
    }

    fn count(kv: &MemoryKv) -> usize {
        let all = Scan { from: Bound::Unbounded, to: Bound::Unbounded, reverse: false, limit: 100 };
        kv.scan(all).now_or_never().unwrap().unwrap().len()
    }

    #[test]
    fn a_crash_keeps_what_was_acknowledged_and_a_prefix_of_the_rest() {
        for (seed, rows) in [(0, 1), (1, 2), (2, 3), (3, 1)] {
            let kv = MemoryKv::with_mode(SyncMode::Manual);
            let first = kv.commit(put(0));
            kv.sync();
            assert_eq!(first.now_or_never().unwrap().unwrap(), Committed { commit: 1 });
            let waiting = [kv.commit(put(1)), kv.commit(put(2))];
            assert_eq!(count(&kv), 1, "what is not durable is not read");
            let image = kv.crash(seed);
            assert_eq!(count(&image), rows, "seed {seed}");
            for commit in waiting {
                assert!(matches!(commit.now_or_never().unwrap(), Err(CommitError::Stopped(_))));
            }
            assert!(matches!(kv.commit(put(3)).now_or_never().unwrap(), Err(CommitError::Stopped(_))));
        }
    }

    #[tokio::test]
    async fn the_second_poll_syncs_all_that_wait() {
        let kv = MemoryKv::with_mode(SyncMode::NextPoll);
        let commits = futures_util::future::join_all((0..10).map(|n| kv.commit(put(n)))).await;
        assert!(commits.iter().all(Result::is_ok));
        assert_eq!((kv.state().groups, kv.state().commits, count(&kv)), (1, 10, 10));
    }
}
