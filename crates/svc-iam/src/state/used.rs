//! When access keys were last used. Exact in memory; written down at most once a minute and key, all keys together, in the background: a
//! crash loses a minute of it.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use millpond_meta::{Batch, Op};
use millpond_types::Timestamp;
use tokio::sync::Notify;

use super::Identities;
use super::rows::{self, LastUsedRow};

/// How long a use may stay in memory alone.
const EVERY: Duration = Duration::from_secs(60);
/// The most uses in one batch; the rest waits for the next.
const MAX_WRITTEN: usize = 4_096;

/// The last use of an access key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LastUsed {
    /// When.
    pub at: Timestamp,
    /// For which service, such as `s3`.
    pub service: String,
    /// In which region.
    pub region: String,
}

pub(super) struct Used {
    uses: Mutex<Uses>,
    dirty: Notify,
}

struct Uses {
    latest: HashMap<String, LastUsed>,
    unwritten: HashSet<String>,
}

impl Used {
    pub(super) fn new(latest: HashMap<String, LastUsed>) -> Self {
        Self { uses: Mutex::new(Uses { latest, unwritten: HashSet::new() }), dirty: Notify::new() }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Uses> {
        self.uses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Identities {
    /// Remembers a use of a long-term access key.
    pub fn used(&self, id: &str, service: &str, region: &str) {
        if self.key(id).is_none() {
            return;
        }
        let used = &self.inner().used;
        let at = self.inner().clock.now();
        let mut uses = used.lock();
        match uses.latest.get_mut(id) {
            // The common case: nothing but the time is new.
            Some(last) if last.service == service && last.region == region => last.at = last.at.max(at),
            _ => {
                let last = LastUsed { at, service: service.to_owned(), region: region.to_owned() };
                uses.latest.insert(id.to_owned(), last);
            }
        }
        if !uses.unwritten.contains(id) {
            uses.unwritten.insert(id.to_owned());
            used.dirty.notify_one();
        }
    }

    /// The last use of an access key.
    pub fn last_used(&self, id: &str) -> Option<LastUsed> {
        self.inner().used.lock().latest.get(id).cloned()
    }

    /// Writes uses down as they come, until `stop`, and then what is left.
    pub async fn run_last_used(&self, stop: impl Future<Output = ()>) {
        let mut stop = std::pin::pin!(stop);
        loop {
            tokio::select! {
                () = &mut stop => break,
                () = self.inner().used.dirty.notified() => {}
            }
            self.write_last_used().await;
            tokio::select! {
                () = &mut stop => break,
                () = tokio::time::sleep(EVERY) => {}
            }
        }
        self.write_last_used().await;
    }

    async fn write_last_used(&self) {
        // A key that is deleted meanwhile would leave its row behind.
        let _changing = self.changing().await;
        let ops = {
            let mut uses = self.inner().used.lock();
            let ids: Vec<String> = uses.unwritten.iter().take(MAX_WRITTEN).cloned().collect();
            let mut ops = Vec::with_capacity(ids.len());
            for id in ids {
                uses.unwritten.remove(&id);
                if self.key(&id).is_none() {
                    uses.latest.remove(&id);
                } else if let Some(last) = uses.latest.get(&id) {
                    let row = LastUsedRow { at: last.at.0, service: last.service.clone(), region: last.region.clone() };
                    ops.push(Op::Put(rows::last_used_key(&id), rows::encode(&row)));
                }
            }
            if !uses.unwritten.is_empty() {
                self.inner().used.dirty.notify_one();
            }
            ops
        };
        if ops.is_empty() {
            return;
        }
        if let Err(error) = self.commit_quietly(Batch { ops, ..Batch::default() }).await {
            tracing::warn!(%error, "the last uses of access keys could not be written");
        }
    }
}
