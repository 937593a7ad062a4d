//! The embedded engine: fjall, with group commit, conditions, checksums and a watch over its journal.
//!
//! A store's directory holds `lock`, `format`, `high-water` and `ballast` of ours, and `fjall/` of fjall's.

mod backlog;
mod committer;
mod files;
mod journal;
mod manifest;
mod open;
mod reserve;
mod room;
mod row;
mod spaces;
mod upkeep;
mod verify;

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::JoinHandle;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use millpond_io::LockedFile;
use tokio::sync::{mpsc, oneshot, watch};

use crate::api::{Batch, CommitError, Committed, Kv, ReadError, Rows, Scan, State, View};
use crate::appends::{AppendHub, Appends};
use crate::apply::check_limits;
use committer::{Answer, Message, commit_of, outcome_key, prepare};
pub use open::{FjallConfig, OpenError};
pub use spaces::Class;
use spaces::{Moment, Spaces};
pub use verify::{Damage, FsckReport};

/// The embedded engine. Clones share one store, which is closed when the last of them is dropped; that waits for the commits
/// that were begun.
#[derive(Clone)]
pub struct FjallKv {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    queue: Option<mpsc::Sender<Message>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// Held until everything else is gone.
    _lock: LockedFile,
}

/// What the threads of a store share.
struct Shared {
    db: fjall::Database,
    spaces: Arc<Spaces>,
    /// The latest durable state.
    moment: RwLock<Arc<Moment>>,
    queue: mpsc::WeakSender<Message>,
    watch: watch::Sender<u64>,
    hub: AppendHub,
    /// The number of the latest durable commit.
    durable: AtomicU64,
    counters: Counters,
    low_space: AtomicBool,
    stopped: Mutex<Option<String>>,
    closing: AtomicBool,
    upkeep: upkeep::Signal,
    backlog: backlog::Backlog,
}

#[derive(Default)]
struct Counters {
    commits: AtomicU64,
    groups: AtomicU64,
    sync_nanos: AtomicU64,
    conflicts: AtomicU64,
    full: AtomicU64,
    /// Rows removed or replaced, by class.
    garbage: [AtomicU64; 3],
    slow_scans: AtomicU64,
    cleanings: AtomicU64,
}

impl Shared {
    fn moment(&self) -> Arc<Moment> {
        Arc::clone(&self.moment.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn set_moment(&self, moment: Arc<Moment>) {
        let before = {
            let mut shown = self.moment.write().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *shown, moment)
        };
        // Dropped outside of the lock: the last holder tells fjall.
        drop(before);
    }

    fn stop(&self, reason: &str) {
        *self.stopped.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason.to_owned());
    }

    /// Why no commits are taken: for good, or for as long as tables cannot be merged.
    fn stopped(&self) -> Option<String> {
        let stopped = self.stopped.lock().unwrap_or_else(PoisonError::into_inner).clone();
        stopped.or_else(|| match self.backlog.pressure(&self.spaces) {
            backlog::Pressure::Stuck(space) => Some(backlog::stuck(space)),
            _ => None,
        })
    }

    fn scan(&self, moment: &Moment, scan: &Scan) -> Result<Rows, ReadError> {
        let (rows, slow) = moment.read_range(scan)?;
        if slow {
            self.counters.slow_scans.fetch_add(1, Relaxed);
        }
        Ok(rows)
    }
}

impl FjallKv {
    /// Opens the store in a directory, or makes one. Blocks; replaying the journal may take seconds.
    pub fn open(dir: &Path, config: FjallConfig) -> Result<Self, OpenError> {
        open::open(dir, config)
    }

    /// Reads everything in the store and compares checksums. Blocks for as long as that takes; commits and reads go on.
    pub fn verify(&self) -> FsckReport {
        // It always goes on, so that there is a report.
        verify::verify(&self.inner.shared, &|| true).unwrap_or_default()
    }

    /// The same for as long as `go_on` agrees, which is asked before every row; `None` when it did not.
    pub fn verify_while(&self, go_on: &dyn Fn() -> bool) -> Option<FsckReport> {
        verify::verify(&self.inner.shared, go_on)
    }

    /// Writes out what is in memory and merges all tables, as the background does when many rows were removed. Blocks; for
    /// maintenance and measurements.
    pub fn write_out(&self) -> Result<(), ReadError> {
        upkeep::clean_all(&self.inner.shared).map_err(|error| ReadError::Failed(error.to_string()))
    }

    /// Checks a store that is not open: its journal first, then, if it opens, every row. What cannot be opened is an error,
    /// what is damaged is in the report.
    pub fn fsck(dir: &Path, config: FjallConfig) -> Result<FsckReport, OpenError> {
        open::fsck(dir, config)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.shared.closing.store(true, Relaxed);
        if let Some(queue) = self.queue.take() {
            // When it is full, the committer is awake anyway.
            let _ = queue.try_send(Message::Wake);
        }
        let mut threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner)).into_iter();
        // The committer first, so that the mark is written behind its last commit.
        let committer = threads.next();
        for (index, thread) in committer.into_iter().chain(threads).enumerate() {
            if thread.join().is_err() {
                tracing::error!("a thread of the metadata store panicked");
            }
            if index == 0 {
                self.shared.upkeep.close();
            }
        }
    }
}

/// An answer that was read just now, which counts against what a task may do at a time: a long walk through the store would never
/// give its thread to others, nor could it be ended.
fn read_now<'a, T: Send + 'a>(value: T) -> BoxFuture<'a, T> {
    Box::pin(async move {
        tokio::task::coop::consume_budget().await;
        value
    })
}

fn ready<'a, T: Send + 'a>(value: T) -> BoxFuture<'a, T> {
    Box::pin(std::future::ready(value))
}

impl View for FjallKv {
    fn get<'a>(&'a self, key: &'a [u8]) -> BoxFuture<'a, Result<Option<Bytes>, ReadError>> {
        read_now(self.inner.shared.moment().read(key))
    }

    fn scan<'a>(&'a self, scan: Scan) -> BoxFuture<'a, Result<Rows, ReadError>> {
        let shared = &self.inner.shared;
        read_now(shared.scan(&shared.moment(), &scan))
    }
}

/// A moment that is held. Until it is dropped, the store cannot be opened again.
struct Held {
    shared: Arc<Shared>,
    moment: Arc<Moment>,
}

impl View for Held {
    fn get<'a>(&'a self, key: &'a [u8]) -> BoxFuture<'a, Result<Option<Bytes>, ReadError>> {
        read_now(self.moment.read(key))
    }

    fn scan<'a>(&'a self, scan: Scan) -> BoxFuture<'a, Result<Rows, ReadError>> {
        read_now(self.shared.scan(&self.moment, &scan))
    }
}

async fn answered(answer: oneshot::Receiver<Answer>) -> Answer {
    // The committer answers everything it takes; it goes only when the store is closed, or by a fault of its own.
    answer.await.unwrap_or_else(|_| Err(closed()))
}

fn closed() -> CommitError {
    CommitError::Stopped("the store is closed".into())
}

impl Kv for FjallKv {
    fn commit(&self, batch: Batch) -> BoxFuture<'static, Result<Committed, CommitError>> {
        if let Err(error) = check_limits(&batch) {
            return ready(Err(error));
        }
        let Some(queue) = &self.inner.queue else { return ready(Err(closed())) };
        let (batch, bytes) = prepare(batch);
        let (reply, answer) = oneshot::channel();
        match queue.try_send(Message::Commit(batch, bytes, reply)) {
            Ok(()) => Box::pin(answered(answer)),
            Err(mpsc::error::TrySendError::Closed(_)) => ready(Err(closed())),
            Err(mpsc::error::TrySendError::Full(message)) => {
                let queue = queue.clone();
                Box::pin(async move {
                    match queue.send(message).await {
                        Ok(()) => answered(answer).await,
                        Err(_) => Err(closed()),
                    }
                })
            }
        }
    }

    fn outcome(&self, idem: u128) -> BoxFuture<'_, Result<Option<Committed>, ReadError>> {
        let row = self.inner.shared.moment().read(&outcome_key(idem));
        ready(row.map(|row| row.as_deref().and_then(commit_of).map(|commit| Committed { commit })))
    }

    fn snapshot(&self) -> BoxFuture<'_, Result<Box<dyn View>, ReadError>> {
        let shared = Arc::clone(&self.inner.shared);
        let moment = shared.moment();
        let view: Box<dyn View> = Box::new(Held { shared, moment });
        ready(Ok(view))
    }

    fn watch(&self) -> watch::Receiver<u64> {
        self.inner.shared.watch.subscribe()
    }

    fn appends(&self, table: u8) -> Arc<Appends> {
        self.inner.shared.hub.subscribe(table)
    }

    fn stopped(&self) -> Option<String> {
        self.inner.shared.stopped()
    }

    fn state(&self) -> State {
        let shared = &self.inner.shared;
        let counters = &shared.counters;
        // A journal that cannot be looked at is counted as empty; the number is for charts.
        let journal_bytes = shared.db.journal_disk_space().unwrap_or(0);
        let (first_level_tables, sealed_memtables) = backlog::figures(&shared.spaces);
        State {
            bytes: shared.spaces.disk_space() + journal_bytes,
            commits: counters.commits.load(Relaxed),
            groups: counters.groups.load(Relaxed),
            sync_nanos: counters.sync_nanos.load(Relaxed),
            conflicts: counters.conflicts.load(Relaxed),
            full: counters.full.load(Relaxed),
            low_space: shared.low_space.load(Relaxed),
            journal_bytes,
            cleanings: counters.cleanings.load(Relaxed),
            merges: shared.backlog.merges.load(Relaxed),
            merges_failed: shared.backlog.merges_failed.load(Relaxed),
            first_level_tables,
            sealed_memtables,
            stopped: shared.stopped(),
        }
    }
}
