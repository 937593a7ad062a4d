//! Extents that are durable but whose metadata may still be on its way.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::api::{ExtentId, Location};
use crate::store::Inner;

/// What a finished write left behind.
#[derive(Debug)]
pub enum Written {
    /// So small that the caller commits it with its metadata.
    Inline(Bytes),
    /// Durable at a place that the metadata is to name.
    Stored(Stored),
}

/// An extent that is durable, and spared by every sweep until it is settled what became of its metadata: [`Stored::committed`] after the commit that
/// names it is durable, [`Stored::abandon`] when there will be none. Dropped without a word (a request cut off, a commit of unknown outcome) it
/// is spared for [`crate::BlobConfig::grace`]; then the sweep asks the metadata.
#[must_use = "the extent stays in flight until it is committed or abandoned"]
pub struct Stored {
    inner: Option<Arc<Inner>>,
    extent: ExtentId,
    at: Location,
}

impl std::fmt::Debug for Stored {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stored").field("extent", &self.extent).field("at", &self.at).finish_non_exhaustive()
    }
}

impl Stored {
    pub(crate) fn new(inner: Arc<Inner>, extent: ExtentId, at: Location) -> Self {
        Self { inner: Some(inner), extent, at }
    }

    /// Its name.
    pub fn extent(&self) -> ExtentId {
        self.extent
    }

    /// Where it lies.
    pub fn location(&self) -> Location {
        self.at
    }

    /// The metadata that names it is durable.
    pub fn committed(mut self) {
        if let Some(inner) = self.inner.take() {
            inner.settle_committed(self.extent, self.at);
        }
    }

    /// No metadata names it, nor ever will: its space is given back.
    pub fn abandon(mut self) {
        if let Some(inner) = self.inner.take() {
            Inner::settle_abandoned(&inner, self.extent, self.at);
        }
    }
}

impl Drop for Stored {
    fn drop(&mut self) {
        if let Some(inner) = self.inner.take() {
            inner.flights.unresolved(self.extent, self.at);
        }
    }
}

/// The extents in flight. Bounded by the requests under way, and by those cut off within the time of grace.
#[derive(Default)]
pub struct Flights(Mutex<HashMap<ExtentId, State>>);

enum State {
    /// Being written, or held by a [`Stored`].
    Held,
    /// Its [`Stored`] was dropped then.
    Unresolved(Location, Instant),
}

impl Flights {
    fn lock(&self) -> MutexGuard<'_, HashMap<ExtentId, State>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A write begins. Before anything of it is on disk, so that no sweep finds it unknown.
    pub fn begin(&self, extent: ExtentId) {
        self.lock().insert(extent, State::Held);
    }

    /// It is settled.
    pub fn end(&self, extent: ExtentId) {
        self.lock().remove(&extent);
    }

    fn unresolved(&self, extent: ExtentId, at: Location) {
        self.lock().insert(extent, State::Unresolved(at, Instant::now()));
    }

    /// Whether a sweep must spare it.
    pub fn holds(&self, extent: ExtentId) -> bool {
        self.lock().contains_key(&extent)
    }

    /// All of them.
    pub fn all(&self) -> Vec<ExtentId> {
        self.lock().keys().copied().collect()
    }

    /// Those dropped without a word longer than `grace` ago.
    pub fn overdue(&self, grace: Duration) -> Vec<(ExtentId, Location)> {
        let over = |(extent, state): (&ExtentId, &State)| match state {
            State::Unresolved(at, since) if since.elapsed() >= grace => Some((*extent, *at)),
            _ => None,
        };
        self.lock().iter().filter_map(over).collect()
    }
}
