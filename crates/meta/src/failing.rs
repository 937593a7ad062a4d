//! The failing twin: an engine that does what another does until told otherwise.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::sync::watch;

use crate::api::{Batch, CommitError, Committed, Kv, ReadError, Rows, Scan, State, View};

/// What goes wrong.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fault {
    /// The commit is refused with [`CommitError::Full`].
    Full,
    /// The commit is refused with [`CommitError::Conflict`] of this condition.
    Conflict(usize),
    /// The commit is refused, and so are all after it, with [`CommitError::Stopped`].
    Stopped,
    /// The commit is carried out, yet answered with [`CommitError::Stopped`], and all after it are refused: the outcome is
    /// unknown to the caller.
    StoppedAfter,
}

/// Wraps an engine; commits and reads are counted from 1.
#[derive(Clone)]
pub struct FailingKv<K> {
    inner: K,
    plan: Arc<Mutex<Plan>>,
}

#[derive(Default)]
struct Plan {
    commits: u64,
    reads: u64,
    fail_commit: Option<(u64, Fault)>,
    fail_read: Option<u64>,
    stopped: bool,
}

impl<K: Kv> FailingKv<K> {
    /// Does what `inner` does.
    pub fn new(inner: K) -> Self {
        Self { inner, plan: Arc::default() }
    }

    /// Fails the `n`-th commit from now on.
    pub fn fail_commit(&self, n: u64, fault: Fault) {
        let mut plan = self.plan();
        plan.fail_commit = Some((plan.commits + n, fault));
    }

    /// Fails the `n`-th read (get or scan, of the engine or of a snapshot opened after this) from now on.
    pub fn fail_read(&self, n: u64) {
        let mut plan = self.plan();
        plan.fail_read = Some(plan.reads + n);
    }

    /// Commits that were tried so far.
    pub fn commits(&self) -> u64 {
        self.plan().commits
    }

    /// Reads that were tried so far.
    pub fn reads(&self) -> u64 {
        self.plan().reads
    }

    fn plan(&self) -> std::sync::MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read_fails(plan: &Mutex<Plan>) -> Result<(), ReadError> {
    let mut plan = plan.lock().unwrap_or_else(PoisonError::into_inner);
    plan.reads += 1;
    if plan.fail_read == Some(plan.reads) { Err(ReadError::Failed("told to fail".into())) } else { Ok(()) }
}

fn stopped() -> CommitError {
    CommitError::Stopped("told to fail".into())
}

impl<K: Kv> View for FailingKv<K> {
    fn get<'a>(&'a self, key: &'a [u8]) -> BoxFuture<'a, Result<Option<Bytes>, ReadError>> {
        match read_fails(&self.plan) {
            Ok(()) => self.inner.get(key),
            Err(error) => Box::pin(std::future::ready(Err(error))),
        }
    }

    fn scan<'a>(&'a self, scan: Scan) -> BoxFuture<'a, Result<Rows, ReadError>> {
        match read_fails(&self.plan) {
            Ok(()) => self.inner.scan(scan),
            Err(error) => Box::pin(std::future::ready(Err(error))),
        }
    }
}

struct FailingView {
    inner: Box<dyn View>,
    plan: Arc<Mutex<Plan>>,
}

impl View for FailingView {
    fn get<'a>(&'a self, key: &'a [u8]) -> BoxFuture<'a, Result<Option<Bytes>, ReadError>> {
        match read_fails(&self.plan) {
            Ok(()) => self.inner.get(key),
            Err(error) => Box::pin(std::future::ready(Err(error))),
        }
    }

    fn scan<'a>(&'a self, scan: Scan) -> BoxFuture<'a, Result<Rows, ReadError>> {
        match read_fails(&self.plan) {
            Ok(()) => self.inner.scan(scan),
            Err(error) => Box::pin(std::future::ready(Err(error))),
        }
    }
}

impl<K: Kv> Kv for FailingKv<K> {
    fn commit(&self, batch: Batch) -> BoxFuture<'static, Result<Committed, CommitError>> {
        let fault = {
            let mut plan = self.plan();
            plan.commits += 1;
            let fault = match &plan.fail_commit {
                _ if plan.stopped => Some(Fault::Stopped),
                Some((n, fault)) if *n == plan.commits => Some(fault.clone()),
                _ => None,
            };
            plan.stopped |= matches!(fault, Some(Fault::Stopped | Fault::StoppedAfter));
            fault
        };
        match fault {
            None => self.inner.commit(batch),
            Some(Fault::Full) => Box::pin(std::future::ready(Err(CommitError::Full))),
            Some(Fault::Conflict(cond)) => Box::pin(std::future::ready(Err(CommitError::Conflict(cond)))),
            Some(Fault::Stopped) => Box::pin(std::future::ready(Err(stopped()))),
            Some(Fault::StoppedAfter) => {
                let commit = self.inner.commit(batch);
                Box::pin(async move { commit.await.and_then(|_| Err(stopped())) })
            }
        }
    }

    fn outcome(&self, idem: u128) -> BoxFuture<'_, Result<Option<Committed>, ReadError>> {
        self.inner.outcome(idem)
    }

    fn snapshot(&self) -> BoxFuture<'_, Result<Box<dyn View>, ReadError>> {
        let plan = Arc::clone(&self.plan);
        let inner = self.inner.snapshot();
        Box::pin(async move { Ok(Box::new(FailingView { inner: inner.await?, plan }) as Box<dyn View>) })
    }

    fn watch(&self) -> watch::Receiver<u64> {
        self.inner.watch()
    }

    fn appends(&self, table: u8) -> Arc<crate::Appends> {
        self.inner.appends(table)
    }

    fn state(&self) -> State {
        let mut state = self.inner.state();
        if self.plan().stopped {
            state.stopped = Some("told to fail".into());
        }
        state
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{MemoryKv, Op};

    fn put(n: u8) -> Batch {
        Batch { ops: vec![Op::Put(Bytes::copy_from_slice(&[1, n]), Bytes::new())], ..Batch::default() }
    }

    #[tokio::test]
    async fn fails_as_told() {
        let kv = FailingKv::new(MemoryKv::new());
        kv.fail_commit(2, Fault::Full);
        assert!(kv.commit(put(1)).await.is_ok());
        assert!(matches!(kv.commit(put(2)).await, Err(CommitError::Full)));
        assert!(kv.commit(put(3)).await.is_ok());
        kv.fail_read(1);
        assert!(kv.get(&[1, 1]).await.is_err());
        assert!(kv.get(&[1, 1]).await.unwrap().is_some());
        assert!(kv.get(&[1, 2]).await.unwrap().is_none());
        kv.fail_commit(1, Fault::StoppedAfter);
        assert!(matches!(kv.commit(put(4)).await, Err(CommitError::Stopped(_))));
        assert!(kv.get(&[1, 4]).await.unwrap().is_some(), "it was carried out");
        assert!(matches!(kv.commit(put(5)).await, Err(CommitError::Stopped(_))));
        assert!(kv.get(&[1, 5]).await.unwrap().is_none());
    }
}
