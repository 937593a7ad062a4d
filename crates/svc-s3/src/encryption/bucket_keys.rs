//! Data keys that serve a bucket for some time (S3 User Guide, "Reducing the cost of SSE-KMS with Amazon S3 Bucket Keys").
//!
//! They are in memory alone, and each is used only after the caller's right to the KMS key was checked: what is saved is the making and
//! opening of data keys, never a decision.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use millpond_kernel::EncryptionContext;
use millpond_seal::Key;
use millpond_types::Timestamp;

/// How long a data key is at hand. Bounds how long memory holds what a key that was disabled has opened (it is not used, as each use is checked).
const KEEP: Duration = Duration::from_secs(300);
/// How many objects' keys one data key seals. Far below the 2^32 that a random nonce allows (NIST SP 800-38D, section 8.3).
const MAX_USES: u32 = 1 << 20;
/// Data keys at hand for reading, and buckets with one for writing: about 500 bytes each.
const MAX_KEPT: usize = 4_096;

/// What a data key for writing is for.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Use {
    /// The bucket's id.
    pub bucket: u64,
    /// The KMS key's ARN.
    pub key: String,
    /// What the data key is bound to.
    pub context: EncryptionContext,
}

struct Current {
    key: Key,
    sealed: Bytes,
    since: Timestamp,
    uses: u32,
}

#[derive(Default)]
struct Kept {
    current: HashMap<Use, Current>,
    opened: HashMap<Bytes, (Key, Timestamp)>,
}

/// The data keys at hand.
#[derive(Default)]
pub struct BucketKeys(Mutex<Kept>);

impl BucketKeys {
    fn lock(&self) -> MutexGuard<'_, Kept> {
        // Both maps are whole whenever the lock is free.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The data key for one more object, and how it is sealed.
    pub fn current(&self, of: &Use, now: Timestamp) -> Option<(Key, Bytes)> {
        let mut kept = self.lock();
        let current = kept.current.get_mut(of)?;
        if current.uses >= MAX_USES || now.since(current.since) > KEEP {
            kept.current.remove(of);
            return None;
        }
        current.uses += 1;
        Some((current.key.clone(), current.sealed.clone()))
    }

    /// Keeps a new data key for writing and reading.
    pub fn begin(&self, of: Use, key: Key, sealed: Bytes, now: Timestamp) {
        self.remember(sealed.clone(), key.clone(), now);
        let mut kept = self.lock();
        if kept.current.len() >= MAX_KEPT {
            kept.current.retain(|_, current| now.since(current.since) <= KEEP);
        }
        if kept.current.len() < MAX_KEPT {
            kept.current.insert(of, Current { key, sealed, since: now, uses: 1 });
        }
    }

    /// A data key that was opened a short while ago.
    pub fn opened(&self, sealed: &[u8], now: Timestamp) -> Option<Key> {
        let mut kept = self.lock();
        let (key, since) = kept.opened.get(sealed)?;
        if now.since(*since) <= KEEP {
            return Some(key.clone());
        }
        kept.opened.remove(sealed);
        None
    }

    /// Keeps a data key that was opened.
    pub fn remember(&self, sealed: Bytes, key: Key, now: Timestamp) {
        let mut kept = self.lock();
        if kept.opened.len() >= MAX_KEPT {
            kept.opened.retain(|_, (_, since)| now.since(*since) <= KEEP);
        }
        if kept.opened.len() < MAX_KEPT {
            kept.opened.insert(sealed, (key, now));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_keys_are_kept_for_a_while_and_for_what_they_are() {
        let keys = BucketKeys::default();
        let at = Timestamp::from_seconds;
        let of = |bucket| Use { bucket, key: "arn".to_owned(), context: EncryptionContext::new() };
        let key = || Key::from_bytes(&[5; 32]);
        assert!(keys.current(&of(1), at(100)).is_none());
        keys.begin(of(1), key(), Bytes::from_static(b"sealed"), at(100));
        assert_eq!(keys.current(&of(1), at(400)).map(|(_, sealed)| sealed), Some(Bytes::from_static(b"sealed")));
        assert!(keys.current(&of(2), at(100)).is_none());
        let other = Use { context: [("a".to_owned(), "b".to_owned())].into(), ..of(1) };
        assert!(keys.current(&other, at(100)).is_none());
        assert!(keys.opened(b"sealed", at(400)).is_some() && keys.opened(b"other", at(100)).is_none());
        assert!(keys.current(&of(1), at(401)).is_none() && keys.opened(b"sealed", at(401)).is_none(), "too old");
        keys.begin(of(1), key(), Bytes::from_static(b"again"), at(500));
        (1..MAX_USES).for_each(|_| assert!(keys.current(&of(1), at(500)).is_some()));
        assert!(keys.current(&of(1), at(500)).is_none(), "used up");
    }
}
