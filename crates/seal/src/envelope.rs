//! Contents in great number: sealed under one key for as long as a server runs, so that none of them costs a derivation.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use millpond_io::Random;
use ring::aead::{Aad, LessSafeKey, Nonce};

use crate::vault::{HEAD, SALT};
use crate::{Purpose, Unopened, Vault};

/// The format of what is sealed; [`Vault`]'s own is 1.
const FORMAT: u8 = 2;
const NONCE: usize = 12;
const TAG: usize = 16;
/// Bytes by which what is sealed is longer: format, generation of the store key, salt, nonce, and tag.
pub const ENVELOPE: usize = HEAD + NONCE + TAG;
/// Seals under one key, as nonces are random (NIST SP 800-38D, section 8.3).
const MAX_SEALS: u32 = u32::MAX;
/// Keys in memory: one for each start of the server that what is read was written after.
const MAX_KEYS: usize = 256;

type Salt = [u8; SALT];

/// The key that seals now.
struct Sealing {
    salt: Salt,
    key: Arc<LessSafeKey>,
    left: u32,
}

/// Seals and opens contents of one purpose.
pub struct Envelope {
    vault: Arc<Vault>,
    random: Arc<dyn Random>,
    purpose: Purpose,
    sealing: Mutex<Option<Sealing>>,
    known: RwLock<HashMap<Salt, Arc<LessSafeKey>>>,
}

impl std::fmt::Debug for Envelope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Envelope").field("purpose", &self.purpose).finish_non_exhaustive()
    }
}

impl Envelope {
    /// Of a purpose, under the vault's store key.
    pub fn new(vault: Arc<Vault>, random: Arc<dyn Random>, purpose: Purpose) -> Self {
        Self { vault, random, purpose, sealing: Mutex::default(), known: RwLock::default() }
    }

    fn key(&self, salt: Salt) -> Result<Arc<LessSafeKey>, Unopened> {
        if let Some(key) = self.known.read().unwrap_or_else(PoisonError::into_inner).get(&salt) {
            return Ok(Arc::clone(key));
        }
        let key = Arc::new(self.vault.envelope_key(self.purpose, &salt)?);
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX_KEYS {
            known.clear();
        }
        known.insert(salt, Arc::clone(&key));
        Ok(key)
    }

    fn sealing(&self) -> Result<(Salt, Arc<LessSafeKey>), Unopened> {
        let mut sealing = self.sealing.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(now) = sealing.as_mut().filter(|now| now.left > 0) {
            now.left -= 1;
            return Ok((now.salt, Arc::clone(&now.key)));
        }
        let mut salt = Salt::default();
        self.random.fill(&mut salt);
        let key = self.key(salt)?;
        *sealing = Some(Sealing { salt, key: Arc::clone(&key), left: MAX_SEALS - 1 });
        Ok((salt, key))
    }

    /// Seals. `aad` names what it belongs to; it must be told again to open it. The result has [`ENVELOPE`] bytes more.
    pub fn seal(&self, aad: &[u8], plain: &[u8]) -> Result<Vec<u8>, Unopened> {
        let (salt, key) = self.sealing()?;
        let mut nonce = [0; NONCE];
        self.random.fill(&mut nonce);
        let mut sealed = Vec::with_capacity(ENVELOPE + plain.len());
        sealed.push(FORMAT);
        sealed.extend_from_slice(&self.vault.generation().to_le_bytes());
        sealed.extend_from_slice(&salt);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(plain);
        let body = sealed.get_mut(HEAD + NONCE..).ok_or(Unopened)?;
        let tag = key.seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::from(aad), body);
        sealed.extend_from_slice(tag.map_err(|_| Unopened)?.as_ref());
        Ok(sealed)
    }

    /// Opens what was sealed for the same purpose and with the same `aad`.
    pub fn open(&self, aad: &[u8], sealed: &[u8]) -> Result<Vec<u8>, Unopened> {
        let (head, rest) = sealed.split_at_checked(HEAD).ok_or(Unopened)?;
        let (nonce, body) = rest.split_first_chunk::<NONCE>().ok_or(Unopened)?;
        let (fixed, salt) = head.split_last_chunk::<SALT>().ok_or(Unopened)?;
        let (format, generation) = fixed.split_first().ok_or(Unopened)?;
        if *format != FORMAT || *generation != self.vault.generation().to_le_bytes() {
            return Err(Unopened);
        }
        let (key, mut plain) = (self.key(*salt)?, body.to_vec());
        let opened = key.open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(aad), &mut plain);
        let length = opened.map_err(|_| Unopened)?.len();
        plain.truncate(length);
        Ok(plain)
    }
}

#[cfg(test)]
mod tests {
    use millpond_io::SystemRandom;

    use super::*;
    use crate::Key;

    fn envelope(key: u8, generation: u32, purpose: Purpose) -> Envelope {
        let vault = Vault::new(Key::from_bytes(&[key; 32]), generation);
        Envelope::new(Arc::new(vault), Arc::new(SystemRandom), purpose)
    }

    #[test]
    fn contents_come_back_and_bear_no_change() {
        let one = envelope(42, 1, Purpose::Event);
        for plain in [&b""[..], b"s", &[9; 1000]] {
            let sealed = one.seal(b"id", plain).unwrap();
            assert_eq!(sealed.len(), plain.len() + ENVELOPE);
            assert_eq!(one.open(b"id", &sealed).unwrap(), plain);
            assert!(plain.len() < 2 || !sealed.windows(plain.len()).any(|part| part == plain));
            // Another start of the same server reads it.
            assert_eq!(envelope(42, 1, Purpose::Event).open(b"id", &sealed).unwrap(), plain);
            assert!(one.open(b"other", &sealed).is_err());
            for other in [(43, 1, Purpose::Event), (42, 2, Purpose::Event), (42, 1, Purpose::LogEvent)] {
                assert!(envelope(other.0, other.1, other.2).open(b"id", &sealed).is_err(), "{other:?}");
            }
            for byte in 0..sealed.len() {
                let mut changed = sealed.clone();
                changed[byte] ^= 0x10;
                assert!(one.open(b"id", &changed).is_err(), "byte {byte}");
                assert!(one.open(b"id", &sealed[..byte]).is_err(), "cut at {byte}");
            }
            assert_ne!(one.seal(b"id", plain).unwrap(), sealed);
        }
    }

    #[test]
    fn a_key_that_sealed_enough_is_followed_by_another() {
        let one = envelope(42, 1, Purpose::Event);
        let first = one.seal(b"", b"a").unwrap();
        assert_eq!(one.seal(b"", b"a").unwrap()[..HEAD], first[..HEAD]);
        one.sealing.lock().unwrap().as_mut().unwrap().left = 0;
        let next = one.seal(b"", b"a").unwrap();
        assert_ne!(next[..HEAD], first[..HEAD]);
        for _ in 0..2 * MAX_KEYS {
            *one.sealing.lock().unwrap() = None;
            one.seal(b"", b"a").unwrap();
        }
        assert!(one.known.read().unwrap().len() <= MAX_KEYS);
        assert_eq!(one.open(b"", &first).unwrap(), b"a");
    }
}
