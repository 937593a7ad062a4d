//! An engine that lets something happen between what a change has read and its commit.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use millpond_meta::{Batch, CommitError, Committed, Kv, ReadError, Rows, Scan, State, View};
use tokio::sync::watch;

type Hook = BoxFuture<'static, ()>;

/// Wraps an engine. [`BetweenKv::before_next_commit`] sets what happens when the next commit was asked for and before it is made.
#[derive(Clone)]
pub struct BetweenKv<K> {
    inner: K,
    hook: Arc<Mutex<Option<Hook>>>,
    after_get: Arc<Mutex<Option<Hook>>>,
}

impl<K: Kv> BetweenKv<K> {
    /// Does what `inner` does.
    pub fn new(inner: K) -> Self {
        Self { inner, hook: Arc::default(), after_get: Arc::default() }
    }

    /// Has `hook` done before the next commit. Commits that the hook makes are let through.
    pub fn before_next_commit(&self, hook: impl Future<Output = ()> + Send + 'static) {
        *self.hook.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::pin(hook));
    }

    /// Has `hook` done when the next row was read from the engine itself (not from a snapshot), before it is given to who asked for it.
    pub fn after_next_get(&self, hook: impl Future<Output = ()> + Send + 'static) {
        *self.after_get.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::pin(hook));
    }

    /// Whether the hook has not run yet; then forgets it.
    pub fn cancel(&self) -> bool {
        self.hook.lock().unwrap_or_else(PoisonError::into_inner).take().is_some()
    }
}

impl<K: Kv> View for BetweenKv<K> {
    fn get<'a>(&'a self, key: &'a [u8]) -> BoxFuture<'a, Result<Option<Bytes>, ReadError>> {
        Box::pin(async move {
            let row = self.inner.get(key).await;
            let hook = self.after_get.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(hook) = hook {
                hook.await;
            }
            row
        })
    }

    fn scan<'a>(&'a self, scan: Scan) -> BoxFuture<'a, Result<Rows, ReadError>> {
        self.inner.scan(scan)
    }
}

impl<K: Kv + Clone> Kv for BetweenKv<K> {
    fn commit(&self, batch: Batch) -> BoxFuture<'static, Result<Committed, CommitError>> {
        let hook = self.hook.lock().unwrap_or_else(PoisonError::into_inner).take();
        let inner = self.inner.clone();
        Box::pin(async move {
            if let Some(hook) = hook {
                hook.await;
            }
            inner.commit(batch).await
        })
    }

    fn outcome(&self, idem: u128) -> BoxFuture<'_, Result<Option<Committed>, ReadError>> {
        self.inner.outcome(idem)
    }

    fn snapshot(&self) -> BoxFuture<'_, Result<Box<dyn View>, ReadError>> {
        self.inner.snapshot()
    }

    fn watch(&self) -> watch::Receiver<u64> {
        self.inner.watch()
    }

    fn appends(&self, table: u8) -> Arc<millpond_meta::Appends> {
        self.inner.appends(table)
    }

    fn state(&self) -> State {
        self.inner.state()
    }
}
