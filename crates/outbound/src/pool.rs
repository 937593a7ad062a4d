//! Connections between calls.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::connect::Sender;
use crate::limits::{CONNECTION_AGE, CONNECTIONS_PER_HOST, IDLE_TIME};
use crate::url::Place;

/// A connection, and since when there is one.
pub(crate) struct Connected {
    pub(crate) sender: Sender,
    pub(crate) since: Instant,
}

struct Idle {
    connected: Connected,
    since: Instant,
}

/// What there is of one place.
#[derive(Default)]
struct Kept {
    /// The one that came last is taken first, so that those that are not needed grow old.
    idle: Vec<Idle>,
    /// Whether a task looks for those that are too old.
    watched: bool,
}

/// A place's turns and connections. There are never more connections than turns: a new one is only made by who has a turn and
/// finds none idle.
pub(crate) struct Lane {
    turns: Arc<Semaphore>,
    kept: Mutex<Kept>,
}

impl Lane {
    fn new() -> Self {
        Self { turns: Arc::new(Semaphore::new(CONNECTIONS_PER_HOST)), kept: Mutex::default() }
    }

    /// One of the calls that may be under way to this place.
    pub(crate) fn turns(&self) -> Arc<Semaphore> {
        Arc::clone(&self.turns)
    }

    fn with<T>(&self, f: impl FnOnce(&mut Kept) -> T) -> T {
        f(&mut self.kept.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A connection that is there already.
    pub(crate) fn take(&self) -> Option<Connected> {
        self.with(|kept| {
            while let Some(idle) = kept.idle.pop() {
                if idle.since.elapsed() < IDLE_TIME && !idle.connected.sender.is_closed() {
                    return Some(idle.connected);
                }
            }
            None
        })
    }

    /// Keeps a connection for the next call. Called while the turn is still held.
    pub(crate) fn give(self: &Arc<Self>, connected: Connected) {
        if connected.sender.is_closed() || connected.since.elapsed() >= CONNECTION_AGE {
            return;
        }
        let watch = self.with(|kept| {
            kept.idle.push(Idle { connected, since: Instant::now() });
            !std::mem::replace(&mut kept.watched, true)
        });
        if watch {
            tokio::spawn(close_old(Arc::downgrade(self)));
        }
    }
}

/// Closes what is idle for too long; ends when nothing is left.
async fn close_old(lane: Weak<Lane>) {
    loop {
        tokio::time::sleep(IDLE_TIME / 2).await;
        let Some(lane) = lane.upgrade() else { return };
        let left = lane.with(|kept| {
            kept.idle.retain(|idle| idle.since.elapsed() < IDLE_TIME && !idle.connected.sender.is_closed());
            kept.watched = !kept.idle.is_empty();
            kept.watched
        });
        if !left {
            return;
        }
    }
}

/// The lanes of all places that are being called.
#[derive(Default)]
pub(crate) struct Pool {
    lanes: Mutex<HashMap<Place, Arc<Lane>>>,
}

/// Past so many lanes those that nothing happens on are dropped before there is another.
const LANES: usize = 1_024;

impl Pool {
    pub(crate) fn lane(&self, place: &Place) -> Arc<Lane> {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lane) = lanes.get(place) {
            return Arc::clone(lane);
        }
        if lanes.len() >= LANES {
            lanes.retain(|_, lane| Arc::strong_count(lane) > 1 || lane.with(|kept| !kept.idle.is_empty()));
        }
        let lane = Arc::new(Lane::new());
        lanes.insert(place.clone(), Arc::clone(&lane));
        lane
    }
}
