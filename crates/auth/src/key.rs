//! Secrets and the keys that are derived from them.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use hmac::{Hmac, KeyInit, Mac};
use millpond_digest::sha256;
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// The most derived keys a [`KeyCache`] holds. A caller needs one a day and service, presigned URLs up to eight days: this serves
/// hundreds of callers, at about 400 bytes each.
pub const MAX_CACHED_KEYS: usize = 4096;

/// Locks of the cache, so that cores seldom wait for each other.
const SHARDS: usize = 16;

/// A secret access key. Wiped when dropped; shows nothing in `Debug`.
#[derive(Clone)]
pub struct Secret {
    text: Zeroizing<Vec<u8>>,
    /// SHA-256 of the secret: tells a cached key of this secret from one of the secret before.
    print: [u8; 32],
}

impl Secret {
    /// A secret from its text.
    pub fn new(text: &str) -> Self {
        Self { print: sha256(text.as_bytes()), text: Zeroizing::new(text.as_bytes().to_vec()) }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// An HMAC-SHA256 of `parts` one after the other.
fn keyed(key: &[u8]) -> Hmac<Sha256> {
    // HMAC pads a key with zeros to the block size and hashes a longer one first (RFC 2104, section 2); doing so here keeps
    // the constructor infallible.
    let mut block = Zeroizing::new([0; 64]);
    if key.len() > block.len() {
        block[..32].copy_from_slice(&sha256(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    Hmac::new(&(*block).into())
}

/// The HMAC that Signature Version 2 signs with.
pub(crate) struct HmacSha1;

impl HmacSha1 {
    /// The HMAC-SHA1 of a string to sign, by the secret itself: Version 2 derives no keys.
    pub(crate) fn of(secret: &Secret, text: &[u8]) -> [u8; 20] {
        use sha1::Digest;
        let mut block = Zeroizing::new([0; 64]);
        if secret.text.len() > block.len() {
            block[..20].copy_from_slice(&sha1::Sha1::digest(secret.text.as_slice()));
        } else {
            block[..secret.text.len()].copy_from_slice(&secret.text);
        }
        let mut mac: Hmac<sha1::Sha1> = Hmac::new(&(*block).into());
        mac.update(text);
        mac.finalize().into_bytes().into()
    }
}

fn hmac(key: &[u8], text: &str) -> Zeroizing<[u8; 32]> {
    let mut mac = keyed(key);
    mac.update(text.as_bytes());
    Zeroizing::new(mac.finalize().into_bytes().into())
}

/// The key that signs one day's requests to one service in one region. Holds the keyed state, so that a signature costs no
/// key set-up; shows nothing in `Debug`.
#[derive(Clone)]
pub struct SigningKey(Hmac<Sha256>);

impl SigningKey {
    /// Derives the key of a day (`YYYYMMDD`), region and service (SigV4, "Calculate signature").
    pub fn derive(secret: &Secret, day: &str, region: &str, service: &str) -> Self {
        let mut start = Zeroizing::new(Vec::with_capacity(4 + secret.text.len()));
        start.extend_from_slice(b"AWS4");
        start.extend_from_slice(&secret.text);
        let day_key = hmac(&start, day);
        let region_key = hmac(&*day_key, region);
        let service_key = hmac(&*region_key, service);
        Self(keyed(&*hmac(&*service_key, "aws4_request")))
    }

    /// Signs the concatenation of `parts`.
    pub fn sign(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut mac = self.0.clone();
        for part in parts {
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(..)")
    }
}

/// Whether two signatures are the same, in a time that does not tell where they differ.
pub(crate) fn same<const N: usize>(one: &[u8; N], other: &[u8; N]) -> bool {
    one.as_slice().ct_eq(other.as_slice()).into()
}

struct Entry {
    day: String,
    region: String,
    service: String,
    print: [u8; 32],
    key: SigningKey,
}

impl Entry {
    fn fits(&self, print: &[u8; 32], day: &str, region: &str, service: &str) -> bool {
        self.day == day && self.region == region && self.service == service && same(&self.print, print)
    }
}

/// Derived keys, kept because deriving takes longer than verifying. Shared by all threads.
///
/// A key is found only with the secret it was derived from, so a changed secret never matches. Only keys that have verified a
/// signature come in, so strangers cannot push others out.
pub struct KeyCache {
    shards: [Mutex<HashMap<String, Vec<Entry>>>; SHARDS],
    hasher: std::hash::RandomState,
}

/// The most keys of one access key: eight days of presigned URLs, for several services.
const MAX_KEYS_EACH: usize = 32;

impl KeyCache {
    /// An empty cache.
    pub fn new() -> Self {
        Self { shards: std::array::from_fn(|_| Mutex::default()), hasher: std::hash::RandomState::new() }
    }

    fn shard(&self, access_key_id: &str) -> MutexGuard<'_, HashMap<String, Vec<Entry>>> {
        use std::hash::BuildHasher;
        let index = self.hasher.hash_one(access_key_id) as usize % SHARDS;
        // A panic elsewhere leaves whole entries: they are pushed in one step.
        self.shards[index].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The key, if it is kept.
    pub(crate) fn get(&self, id: &str, secret: &Secret, day: &str, region: &str, service: &str) -> Option<SigningKey> {
        let shard = self.shard(id);
        let entry = shard.get(id)?.iter().find(|entry| entry.fits(&secret.print, day, region, service))?;
        Some(entry.key.clone())
    }

    /// Keeps a key.
    pub(crate) fn put(&self, id: &str, secret: &Secret, [day, region, service]: [&str; 3], key: &SigningKey) {
        let mut shard = self.shard(id);
        if shard.values().map(Vec::len).sum::<usize>() >= MAX_CACHED_KEYS / SHARDS {
            // Rare, and every key is derived again when it is asked for: no order of use is kept for this.
            shard.clear();
        }
        let entries = shard.entry(id.to_owned()).or_default();
        if entries.iter().any(|entry| entry.fits(&secret.print, day, region, service)) {
            return;
        }
        if entries.len() >= MAX_KEYS_EACH {
            entries.remove(0);
        }
        let (day, region, service) = (day.to_owned(), region.to_owned(), service.to_owned());
        entries.push(Entry { day, region, service, print: secret.print, key: key.clone() });
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.shards.iter().map(|s| s.lock().unwrap().values().map(Vec::len).sum::<usize>()).sum()
    }
}

impl Default for KeyCache {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for KeyCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyCache(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_signing_key() {
        // "Examples of how to derive a signing key", AWS General Reference. The key itself is not visible: it signs as that key does.
        let secret = Secret::new("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
        let key = SigningKey::derive(&secret, "20120215", "us-east-1", "iam");
        let raw = ::hex::decode("f4780e2d9f65fa895f9c67b32ce1baf0b0d8a43505a000a1a9e090d414db404d").unwrap();
        assert_eq!(key.sign(&[b"a", b"bc"]), *hmac(&raw, "abc"));
        assert_eq!(format!("{secret:?} {key:?}"), "Secret(..) SigningKey(..)");
    }

    #[test]
    fn hmac_of_long_keys() {
        // RFC 4231, test cases 2 and 6.
        let short = hmac(b"Jefe", "what do ya want for nothing?");
        assert_eq!(::hex::encode(*short), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
        let long = hmac(&[0xaa; 131], "Test Using Larger Than Block-Size Key - Hash Key First");
        assert_eq!(::hex::encode(*long), "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
    }

    #[test]
    fn hmac_sha1() {
        // RFC 2202, test cases 2 and 6.
        let sign = |key: &str, text: &str| ::hex::encode(HmacSha1::of(&Secret::new(key), text.as_bytes()));
        assert_eq!(sign("Jefe", "what do ya want for nothing?"), "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79");
        let long = HmacSha1::of(&Secret { text: Zeroizing::new(vec![0xaa; 80]), print: [0; 32] }, LONG_KEY_TEXT);
        assert_eq!(::hex::encode(long), "aa4ae5e15272d00e95705637ce8a3b55ed402112");
    }

    const LONG_KEY_TEXT: &[u8] = b"Test Using Larger Than Block-Size Key - Hash Key First";

    #[test]
    fn a_changed_secret_or_scope_never_matches() {
        let cache = KeyCache::new();
        let (old, new) = (Secret::new("old"), Secret::new("new"));
        let key = SigningKey::derive(&old, "20260101", "r", "s3");
        cache.put("id", &old, ["20260101", "r", "s3"], &key);
        cache.put("id", &old, ["20260101", "r", "s3"], &key);
        assert_eq!(cache.len(), 1);
        let found = |id, secret, day, region, service| cache.get(id, secret, day, region, service).is_some();
        assert!(found("id", &old, "20260101", "r", "s3"));
        assert!(!found("id", &new, "20260101", "r", "s3"));
        assert!(!found("di", &old, "20260101", "r", "s3"));
        assert!(!found("id", &old, "20260102", "r", "s3"));
        assert!(!found("id", &old, "20260101", "q", "s3"));
        assert!(!found("id", &old, "20260101", "r", "sts"));
    }

    #[test]
    fn the_cache_is_bounded() {
        let cache = KeyCache::new();
        let secret = Secret::new("s");
        let key = SigningKey::derive(&secret, "20260101", "r", "s3");
        for number in 0..3 * MAX_CACHED_KEYS {
            cache.put(&format!("id{number}"), &secret, ["20260101", "r", "s3"], &key);
        }
        for number in 0..1000 {
            cache.put("one", &secret, [&format!("day{number}"), "r", "s3"], &key);
        }
        assert!(cache.len() <= MAX_CACHED_KEYS);
        assert!(cache.get("one", &secret, "day999", "r", "s3").is_some());
    }
}
