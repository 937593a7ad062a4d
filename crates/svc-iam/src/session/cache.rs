//! The sessions that are at work: what their tokens hold is not decrypted and compiled for every request.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use millpond_kernel::{Credential, Pin};
use millpond_types::Timestamp;

/// Sessions in each of two generations. One takes some kilobytes, so that all of them stay within tens of megabytes.
const GENERATION: usize = 2048;

/// SHA-256 of a token.
pub(super) type Digest = [u8; 32];

/// A token that was opened.
#[derive(Debug)]
pub(super) struct Opened {
    /// The access key that it belongs to.
    pub access_key_id: String,
    /// What it gives.
    pub credential: Credential,
    /// When it ends.
    pub expires: Timestamp,
    /// The managed policies among the session's.
    pub policy_arns: Vec<String>,
    /// The policy epoch at which those were read.
    pub read_at: Pin,
}

/// Keeps what was used lately: when the younger generation is full, the older one is forgotten and it becomes that.
#[derive(Default)]
pub(super) struct Cache(Mutex<Generations>);

#[derive(Default)]
struct Generations {
    young: HashMap<Digest, Arc<Opened>>,
    old: HashMap<Digest, Arc<Opened>>,
}

impl Generations {
    fn put(&mut self, digest: Digest, opened: Arc<Opened>) {
        if self.young.len() >= GENERATION && !self.young.contains_key(&digest) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(digest, opened);
    }
}

impl Cache {
    pub(super) fn get(&self, digest: &Digest) -> Option<Arc<Opened>> {
        let mut generations = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(opened) = generations.young.get(digest) {
            return Some(Arc::clone(opened));
        }
        let opened = generations.old.remove(digest)?;
        generations.put(*digest, Arc::clone(&opened));
        Some(opened)
    }

    pub(super) fn put(&self, digest: Digest, opened: Arc<Opened>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).put(digest, opened);
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        let generations = self.0.lock().unwrap();
        generations.young.len() + generations.old.len()
    }
}
