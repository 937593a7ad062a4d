//! The store key at work.

use millpond_io::Random;
use ring::aead::{Aad, LessSafeKey, Nonce};
use zeroize::Zeroizing;

use crate::{Key, Unopened};

/// What is sealed. Part of the disk format: what was sealed for one purpose opens for no other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purpose {
    /// Secret access keys.
    AccessKey,
    /// Session tokens.
    SessionToken,
    /// Encoded authorization messages.
    AuthorizationMessage,
    /// Material of KMS keys.
    KeyMaterial,
    /// Keys of objects encrypted by SSE-S3.
    ObjectKey,
    /// Digests of encrypted objects.
    ObjectDigest,
    /// Tokens with which a listing goes on.
    PageToken,
    /// Messages that were published to topics, and what is sent of them.
    Notification,
    /// Tokens of links with which subscriptions are confirmed and ended.
    SubscriptionToken,
    /// Keys with which messages are signed.
    SigningKey,
    /// Secrets of connections to API destinations.
    Connection,
    /// Contents of messages.
    Message,
    /// Items of tables, and what streams tell of them.
    Item,
    /// Places in streams, as clients keep them.
    ShardIterator,
    /// Environment variables of functions.
    FunctionEnvironment,
    /// Links to the code of functions.
    CodeLink,
    /// Events that wait for functions, and what came of them.
    FunctionEvent,
    /// Events on buses and in archives, and what is sent of them.
    Event,
    /// Messages of log events.
    LogEvent,
    /// Inputs of schedules.
    ScheduleInput,
    /// Notifications of buckets that wait.
    Announcement,
    /// Definitions of databases, tables and partitions in the data catalog, and statistics of columns.
    CatalogEntry,
    /// Statements of queries, and what came of them.
    Query,
}

impl Purpose {
    fn label(self) -> &'static [u8] {
        match self {
            Self::AccessKey => b"millpond access key",
            Self::Query => b"millpond query",
            Self::SessionToken => b"millpond session token",
            Self::AuthorizationMessage => b"millpond authorization message",
            Self::KeyMaterial => b"millpond key material",
            Self::ObjectKey => b"millpond object key",
            Self::ObjectDigest => b"millpond object digest",
            Self::PageToken => b"millpond page token",
            Self::Notification => b"millpond notification",
            Self::SubscriptionToken => b"millpond subscription token",
            Self::SigningKey => b"millpond signing key",
            Self::Connection => b"millpond connection",
            Self::Message => b"millpond message",
            Self::Item => b"millpond item",
            Self::ShardIterator => b"millpond shard iterator",
            Self::FunctionEnvironment => b"millpond function environment",
            Self::CodeLink => b"millpond code link",
            Self::FunctionEvent => b"millpond function event",
            Self::Event => b"millpond event",
            Self::LogEvent => b"millpond log event",
            Self::ScheduleInput => b"millpond schedule input",
            Self::Announcement => b"millpond announcement",
            Self::CatalogEntry => b"millpond catalog entry",
        }
    }
}

/// The format of what is sealed.
const FORMAT: u8 = 1;
pub(crate) const SALT: usize = 16;
/// Format, generation of the store key, salt.
pub(crate) const HEAD: usize = 1 + 4 + SALT;

/// The store key in memory. Seals and opens secrets.
#[derive(Debug)]
pub struct Vault {
    store: Key,
    generation: u32,
}

impl Vault {
    /// A vault of a store key. The generation is kept with everything that is sealed, so that a later one can tell which key it needs.
    pub fn new(store: Key, generation: u32) -> Self {
        Self { store, generation }
    }

    /// A vault whose key everybody knows.
    #[cfg(any(test, feature = "testing"))]
    pub fn for_tests() -> Self {
        Self::new(Key::from_bytes(&[42; 32]), 1)
    }

    pub(crate) fn generation(&self) -> u32 {
        self.generation
    }

    /// The key of an envelope with this salt.
    pub(crate) fn envelope_key(&self, purpose: Purpose, salt: &[u8; SALT]) -> Result<LessSafeKey, Unopened> {
        self.store.derive(salt, &[purpose.label(), b" envelope"]).aead()
    }

    /// Seals a secret. `aad` names what it belongs to; it must be told again to open it.
    ///
    /// Each seal has a key of its own, derived by a random salt of 16 bytes, so that there is no limit to their number.
    pub fn seal(&self, random: &dyn Random, purpose: Purpose, aad: &[u8], plain: &[u8]) -> Result<Vec<u8>, Unopened> {
        let mut sealed = Vec::with_capacity(HEAD + plain.len() + 16);
        sealed.push(FORMAT);
        sealed.extend_from_slice(&self.generation.to_le_bytes());
        let mut salt = [0; SALT];
        random.fill(&mut salt);
        sealed.extend_from_slice(&salt);
        let mut body = Zeroizing::new(plain.to_vec());
        let nonce = Nonce::assume_unique_for_key([0; 12]);
        let key = self.store.derive(&salt, &[purpose.label()]).aead()?;
        let tag = key.seal_in_place_separate_tag(nonce, Aad::from(aad), &mut body).map_err(|_| Unopened)?;
        sealed.extend_from_slice(&body);
        sealed.extend_from_slice(tag.as_ref());
        Ok(sealed)
    }

    /// Opens what was sealed for the same purpose and with the same `aad`.
    pub fn open(&self, purpose: Purpose, aad: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Unopened> {
        let (head, body) = sealed.split_at_checked(HEAD).ok_or(Unopened)?;
        let (format, rest) = head.split_first().ok_or(Unopened)?;
        let (generation, salt) = rest.split_at(4);
        if *format != FORMAT || *generation != self.generation.to_le_bytes() {
            return Err(Unopened);
        }
        let mut plain = Zeroizing::new(body.to_vec());
        let nonce = Nonce::assume_unique_for_key([0; 12]);
        let key = self.store.derive(salt, &[purpose.label()]).aead()?;
        let length = key.open_in_place(nonce, Aad::from(aad), &mut plain).map_err(|_| Unopened)?.len();
        plain.truncate(length);
        Ok(plain)
    }
}

#[cfg(test)]
mod tests {
    use millpond_io::SystemRandom;

    use super::*;

    #[test]
    fn secrets_come_back_and_bear_no_change() {
        let vault = Vault::for_tests();
        for plain in [&b""[..], b"s", &[9; 1000]] {
            let sealed = vault.seal(&SystemRandom, Purpose::AccessKey, b"AKIA", plain).unwrap();
            assert_eq!(**vault.open(Purpose::AccessKey, b"AKIA", &sealed).unwrap(), *plain);
            assert!(vault.open(Purpose::AccessKey, b"AKIB", &sealed).is_err());
            assert!(vault.open(Purpose::SessionToken, b"AKIA", &sealed).is_err());
            assert!(Vault::new(Key::from_bytes(&[43; 32]), 1).open(Purpose::AccessKey, b"AKIA", &sealed).is_err());
            assert!(Vault::new(Key::from_bytes(&[42; 32]), 2).open(Purpose::AccessKey, b"AKIA", &sealed).is_err());
            for byte in 0..sealed.len() {
                let mut changed = sealed.clone();
                changed[byte] ^= 0x10;
                assert!(vault.open(Purpose::AccessKey, b"AKIA", &changed).is_err(), "byte {byte}");
                assert!(vault.open(Purpose::AccessKey, b"AKIA", &sealed[..byte]).is_err(), "cut at {byte}");
            }
            let again = vault.seal(&SystemRandom, Purpose::AccessKey, b"AKIA", plain).unwrap();
            assert_ne!(again, sealed);
        }
    }
}
