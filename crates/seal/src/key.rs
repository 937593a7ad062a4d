//! Keys, and one under another.

use std::fmt;

use millpond_io::Random;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, KeyType, Salt};
use zeroize::{Zeroize, Zeroizing};

use crate::Unopened;

/// 32 secret bytes, wiped when they are dropped. Has no text form, so that no log can hold it.
#[derive(Clone)]
pub struct Key([u8; 32]);

impl Drop for Key {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(…)")
    }
}

struct Bytes32;

impl KeyType for Bytes32 {
    fn len(&self) -> usize {
        32
    }
}

impl Key {
    /// A random key.
    pub fn random(random: &dyn Random) -> Self {
        let mut key = Self([0; 32]);
        random.fill(&mut key.0);
        key
    }

    /// A key that was made elsewhere.
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        Self(*bytes)
    }

    /// The bytes.
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// Another key, for one purpose, told apart by `salt` (HKDF with SHA-256, RFC 5869).
    pub fn derive(&self, salt: &[u8], info: &[&[u8]]) -> Self {
        let mut key = Self([0; 32]);
        let extracted = Salt::new(HKDF_SHA256, salt).extract(&self.0);
        if let Ok(expanded) = extracted.expand(info, Bytes32) {
            // Fails for lengths beyond 255 blocks alone.
            let _ = expanded.fill(&mut key.0);
        }
        key
    }

    pub(crate) fn aead(&self) -> Result<LessSafeKey, Unopened> {
        // Fails for keys of another length alone.
        UnboundKey::new(&AES_256_GCM, &self.0).map(LessSafeKey::new).map_err(|_| Unopened)
    }
}

/// The bytes of a key under another.
pub const WRAPPED: usize = 12 + 32 + 16;

/// Puts a key under another. `aad` names what it belongs to; it must be told again to [`unwrap`] it.
///
/// The nonce is random: at most 2^32 keys may be put under one (NIST SP 800-38D, section 8.3), which no object has parts for.
pub fn wrap(under: &Key, random: &dyn Random, aad: &[u8], key: &Key) -> Result<[u8; WRAPPED], Unopened> {
    let mut nonce = [0; 12];
    random.fill(&mut nonce);
    let mut sealed = Zeroizing::new(key.0);
    let sealing = under.aead()?;
    let nonce_used = Nonce::assume_unique_for_key(nonce);
    let tag = sealing.seal_in_place_separate_tag(nonce_used, Aad::from(aad), &mut *sealed).map_err(|_| Unopened)?;
    let mut wrapped = [0; WRAPPED];
    wrapped[..12].copy_from_slice(&nonce);
    wrapped[12..44].copy_from_slice(&*sealed);
    wrapped[44..].copy_from_slice(tag.as_ref());
    Ok(wrapped)
}

/// The key that was put under another.
pub fn unwrap(under: &Key, aad: &[u8], wrapped: &[u8]) -> Result<Key, Unopened> {
    let wrapped: &[u8; WRAPPED] = wrapped.try_into().map_err(|_| Unopened)?;
    let (nonce, sealed) = wrapped.split_at(12);
    let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| Unopened)?;
    let mut bytes = Zeroizing::new([0; 48]);
    bytes.copy_from_slice(sealed);
    let opened = under.aead()?.open_in_place(nonce, Aad::from(aad), &mut *bytes).map_err(|_| Unopened)?;
    let key: &[u8; 32] = (&*opened).try_into().map_err(|_| Unopened)?;
    Ok(Key(*key))
}

#[cfg(test)]
mod tests {
    use millpond_io::SystemRandom;

    use super::*;

    #[test]
    fn a_key_under_another_comes_back_and_bears_no_change() {
        let (under, key) = (Key::random(&SystemRandom), Key::random(&SystemRandom));
        let wrapped = wrap(&under, &SystemRandom, b"body 7", &key).unwrap();
        assert_eq!(unwrap(&under, b"body 7", &wrapped).unwrap().0, key.0);
        assert!(unwrap(&under, b"body 8", &wrapped).is_err());
        assert!(unwrap(&Key::random(&SystemRandom), b"body 7", &wrapped).is_err());
        for bit in 0..WRAPPED * 8 {
            let mut changed = wrapped;
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(unwrap(&under, b"body 7", &changed).is_err(), "bit {bit}");
        }
        for cut in 0..WRAPPED {
            assert!(unwrap(&under, b"body 7", &wrapped[..cut]).is_err(), "{cut}");
        }
        assert!(!wrapped.windows(32).any(|window| window == key.0));
        assert_eq!(format!("{key:?}"), "Key(…)");
    }

    #[test]
    fn derived_keys_differ_by_salt_and_purpose() {
        let key = Key::from_bytes(&[7; 32]);
        let all = [key.derive(b"a", &[b"x"]), key.derive(b"b", &[b"x"]), key.derive(b"a", &[b"y"]), key.clone()];
        for (n, one) in all.iter().enumerate() {
            assert!(all[n + 1..].iter().all(|other| other.0 != one.0));
        }
        assert_eq!(key.derive(b"a", &[b"x"]).0, all[0].0);
    }
}
