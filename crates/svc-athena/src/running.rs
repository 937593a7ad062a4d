//! Executions that are queued or run in this process.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use millpond_query::Stats;
use tokio::sync::{Notify, watch};

use crate::limits::MAX_ACTIVE;
use crate::state::Core;

/// One of them, while it goes on.
#[derive(Default)]
pub(crate) struct Live {
    /// Told when it is to end: its row says so already.
    pub cancelled: Notify,
    stats: Mutex<Stats>,
}

impl Live {
    /// How far it is.
    pub fn stats(&self) -> Stats {
        self.stats.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// It is so far.
    pub fn progress(&self, stats: Stats) {
        *self.stats.lock().unwrap_or_else(PoisonError::into_inner) = stats;
    }
}

/// All of them.
pub(crate) struct Running {
    live: Mutex<HashMap<u128, Arc<Live>>>,
    /// Whether the server stops.
    stopping: watch::Sender<bool>,
    left: Notify,
}

impl Default for Running {
    fn default() -> Self {
        Self { live: Mutex::default(), stopping: watch::Sender::new(false), left: Notify::new() }
    }
}

impl Running {
    fn all(&self) -> MutexGuard<'_, HashMap<u128, Arc<Live>>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One that goes on in this process.
    pub fn get(&self, id: u128) -> Option<Arc<Live>> {
        self.all().get(&id).cloned()
    }

    /// Ends one.
    pub fn cancel(&self, id: u128) {
        if let Some(live) = self.get(id) {
            live.cancelled.notify_one();
        }
    }

    /// Until the server stops.
    pub async fn stopped(&self) {
        // When nobody can say so any more, it is over as well.
        let _ = self.stopping.subscribe().wait_for(|stopping| *stopping).await;
    }

    /// Ends all of them, with their rows as they are, and waits for that.
    pub async fn stop(&self) {
        self.stopping.send_replace(true);
        loop {
            let left = self.left.notified();
            if self.all().is_empty() {
                return;
            }
            left.await;
        }
    }
}

/// A place among those that go on, until it is dropped.
pub(crate) struct Place {
    core: Arc<Core>,
    pub id: u128,
    pub live: Arc<Live>,
}

impl Place {
    /// None where too many go on.
    pub fn new(core: &Arc<Core>, id: u128) -> Option<Self> {
        let mut all = core.running.all();
        if all.len() >= MAX_ACTIVE {
            return None;
        }
        let live = Arc::clone(all.entry(id).or_default());
        Some(Self { core: Arc::clone(core), id, live })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.core.running.all().remove(&self.id);
        self.core.running.left.notify_waiters();
    }
}
