//! Who wants to know of appends to streams is told which streams got some, after the commit is durable.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};

use tokio::sync::Notify;

use crate::api::{Batch, Key, Op};

/// The streams of a table that were appended to and not looked at since. One for each who asked; dropping it ends that.
#[derive(Debug, Default)]
pub struct Appends {
    streams: Mutex<HashSet<Key>>,
    some: Notify,
}

impl Appends {
    /// The streams that were appended to since the last call; waits until there is one. What was appended is durable, and reads show it.
    /// Safe to cancel. Not for two callers at a time.
    pub async fn changed(&self) -> Vec<Key> {
        loop {
            let streams: Vec<Key> = self.lock().drain().collect();
            if !streams.is_empty() {
                return streams;
            }
            self.some.notified().await;
        }
    }

    /// Adds a stream as if it had been appended to, to be looked at (again).
    pub fn mark(&self, stream: Key) {
        self.lock().insert(stream);
        self.some.notify_one();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashSet<Key>> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where an engine tells of appends.
#[derive(Debug, Default)]
pub(crate) struct AppendHub(RwLock<Vec<(u8, Weak<Appends>)>>);

impl AppendHub {
    pub(crate) fn subscribe(&self, table: u8) -> Arc<Appends> {
        let appends = Arc::new(Appends::default());
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        all.retain(|(_, who)| who.strong_count() > 0);
        all.push((table, Arc::downgrade(&appends)));
        appends
    }

    /// The streams of a batch that somebody wants to know of. Before the batch is taken apart.
    pub(crate) fn wanted(&self, batch: &Batch, into: &mut Vec<Key>) {
        let mut tables = None;
        for op in &batch.ops {
            let Op::Append { stream, .. } = op else { continue };
            let tables = tables.get_or_insert_with(|| self.0.read().unwrap_or_else(PoisonError::into_inner));
            if into.last() != Some(stream) && tables.iter().any(|(table, _)| stream.first() == Some(table)) {
                into.push(stream.clone());
            }
        }
    }

    /// Tells of streams, once their appends are durable and reads show them.
    pub(crate) fn tell(&self, streams: &mut Vec<Key>) {
        if streams.is_empty() {
            return;
        }
        let all = self.0.read().unwrap_or_else(PoisonError::into_inner);
        for stream in streams.drain(..) {
            for (table, who) in all.iter() {
                if stream.first() == Some(table)
                    && let Some(who) = who.upgrade()
                {
                    who.mark(stream.clone());
                }
            }
        }
    }
}
