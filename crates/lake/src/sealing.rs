//! Encrypted objects: which key seals what. How the keys of objects are kept themselves is their callers' business.
//!
//! An *object's key* is random and kept, sealed, in the row of its version. An object that was put at once has its body sealed under that
//! very key. One that came in parts has a random key for each body; these lie in its manifest, each under a key derived from the object's.
//! So a copy refers to the same bodies and keeps the same object key, put under another lock. Digests that must not be read without the
//! key are sealed under another key derived from it.

use std::collections::BTreeMap;

use bytes::Bytes;
use millpond_blob::Unseal;
use millpond_seal::{FrameOpener, FrameSealer, Key, Purpose, Unopened, Vault};

use crate::error::LakeError;
use crate::lake::Lake;
use crate::model::Checksum;
use crate::refs::BodyRef;
use crate::rows::{self, ChecksumRow};

/// What an object's key is sealed under.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Lock {
    /// The server's own keys (SSE-S3).
    Server,
    /// A data key of the key management service (SSE-KMS).
    Kms {
        /// The ARN of the key that the data key is sealed under.
        key: String,
        /// The data key, sealed.
        data_key: Bytes,
        /// Whether the data key serves all of the bucket.
        bucket_key: bool,
        /// What the data key is bound to.
        context: BTreeMap<String, String>,
    },
    /// A key that the client sends with each request (SSE-C).
    Customer {
        /// With which the client's key is derived from. Random, so that nobody can tell that two objects have the same key.
        salt: Bytes,
    },
}

/// How an object is encrypted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Encryption {
    /// What its key is sealed under.
    pub lock: Lock,
    /// Its key, sealed. The lake does not open it.
    pub key: Bytes,
}

impl Encryption {
    /// Whether the digests of the content are shown only to who has the object's key, and the ETag is none of them.
    pub fn hides_digests(&self) -> bool {
        self.lock != Lock::Server
    }
}

/// An object's key, and how it is kept.
#[derive(Clone, Debug)]
pub struct Sealing {
    /// The key. No other object that is written may have it; copies of an object do.
    pub key: Key,
    /// How it is kept.
    pub encryption: Encryption,
}

/// A key that somebody brought along, or not. No part of what a thing is: all of these are equal.
#[derive(Clone, Debug, Default)]
pub(crate) struct AtHand(pub Option<Key>);

impl PartialEq for AtHand {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// What the row of an encrypted version says besides what it shows.
#[derive(Clone, PartialEq, Debug)]
pub struct Encrypted {
    /// How it is encrypted.
    pub encryption: Encryption,
    /// The MD5 that the ETag is not, sealed; empty when the ETag is the MD5, or there is none.
    pub(crate) md5: Bytes,
    /// The checksum, sealed.
    pub(crate) checksum: Option<ChecksumRow>,
    pub(crate) key: AtHand,
}

impl Encrypted {
    /// An object whose digests are not hidden; for tests of others.
    pub fn new(encryption: Encryption) -> Self {
        Self { encryption, md5: Bytes::new(), checksum: None, key: AtHand::default() }
    }

    /// The object's key, when somebody brought it.
    pub fn key(&self) -> Option<&Key> {
        self.key.0.as_ref()
    }

    /// The MD5 of the content, where it is known and the key is at hand.
    pub(crate) fn open_md5(&self) -> Result<Option<[u8; 16]>, LakeError> {
        match &self.key.0 {
            Some(key) if !self.md5.is_empty() => Digests::of(key).open_md5(&self.md5).map(Some),
            _ => Ok(None),
        }
    }
}

impl From<Unopened> for LakeError {
    fn from(error: Unopened) -> Self {
        Self::Damaged(error.to_string())
    }
}

/// The key for an object whose key is needed and was not brought.
pub(crate) fn needed(key: Option<&Key>) -> Result<&Key, LakeError> {
    key.ok_or(LakeError::Locked)
}

/// Seals digests under a key derived from the object's.
pub(crate) struct Digests(Vault);

const MD5: &[u8] = b"md5";

impl Digests {
    pub fn of(object: &Key) -> Self {
        Self(Vault::new(object.derive(&[], &[b"millpond object digests"]), 1))
    }

    pub fn seal_md5(&self, lake: &Lake, md5: &[u8; 16]) -> Result<Bytes, LakeError> {
        Ok(self.0.seal(lake.random(), Purpose::ObjectDigest, MD5, md5)?.into())
    }

    pub fn open_md5(&self, sealed: &[u8]) -> Result<[u8; 16], LakeError> {
        let opened = self.0.open(Purpose::ObjectDigest, MD5, sealed)?;
        opened.as_slice().try_into().map_err(|_| rows::damaged("version"))
    }

    pub fn seal(&self, lake: &Lake, row: ChecksumRow) -> Result<ChecksumRow, LakeError> {
        let about = [row.algorithm as u8, u8::from(row.composite)];
        let value = self.0.seal(lake.random(), Purpose::ObjectDigest, &about, &row.value)?.into();
        Ok(ChecksumRow { value, sealed: true, ..row })
    }

    pub fn open(&self, row: &ChecksumRow) -> Result<ChecksumRow, LakeError> {
        if !row.sealed {
            return Ok(row.clone());
        }
        let about = [row.algorithm as u8, u8::from(row.composite)];
        let value = self.0.open(Purpose::ObjectDigest, &about, &row.value)?;
        Ok(ChecksumRow { value: Bytes::copy_from_slice(&value), sealed: false, ..*row })
    }
}

/// What a row keeps of an object's digests.
pub(crate) struct Kept {
    /// What the ETag is made of.
    pub etag: [u8; 16],
    /// The MD5 that it is not, sealed.
    pub md5: Bytes,
    pub checksum: Option<ChecksumRow>,
}

impl Kept {
    /// `md5` is `None` where the MD5 of the content is not known; the ETag must then be `etag`.
    pub fn new(
        lake: &Lake,
        sealing: Option<&Sealing>,
        md5: Option<[u8; 16]>,
        etag: Option<[u8; 16]>,
        checksum: Option<&Checksum>,
    ) -> Result<Self, LakeError> {
        let row = checksum.map(ChecksumRow::of);
        match sealing.filter(|sealing| sealing.encryption.hides_digests()) {
            None => Ok(Self { etag: md5.or(etag).unwrap_or_default(), md5: Bytes::new(), checksum: row }),
            Some(sealing) => {
                let digests = Digests::of(&sealing.key);
                Ok(Self {
                    etag: etag.unwrap_or_else(|| lake.random().u128().to_be_bytes()),
                    md5: md5.map(|md5| digests.seal_md5(lake, &md5)).transpose()?.unwrap_or_default(),
                    checksum: row.map(|row| digests.seal(lake, row)).transpose()?,
                })
            }
        }
    }
}

/// The keys of an object's parts, under one derived from the object's.
pub(crate) struct PartKeys(Key);

impl PartKeys {
    pub fn of(object: &Key) -> Self {
        Self(object.derive(&[], &[b"millpond part keys"]))
    }

    pub fn wrap(&self, lake: &Lake, body: BodyRef, key: &Key) -> Result<Bytes, LakeError> {
        let wrapped = millpond_seal::wrap(&self.0, lake.random(), &body.id.to_be_bytes(), key)?;
        Ok(Bytes::copy_from_slice(&wrapped))
    }

    pub fn unwrap(&self, body: BodyRef, wrapped: &[u8]) -> Result<Key, LakeError> {
        Ok(millpond_seal::unwrap(&self.0, &body.id.to_be_bytes(), wrapped)?)
    }
}

/// Opens the blocks of an extent, each of which is a frame.
pub(crate) struct Frames(pub FrameOpener);

impl Unseal for Frames {
    fn open(&self, number: u64, block: &mut [u8]) -> Option<usize> {
        self.0.open_in(number, block).ok()
    }
}

/// Begins to seal a body.
pub(crate) fn sealer(key: &Key) -> Result<Box<FrameSealer>, LakeError> {
    Ok(Box::new(FrameSealer::new(key)?))
}

#[cfg(test)]
mod tests {
    use millpond_io::SeededRandom;

    use super::*;

    #[test]
    fn keys_of_parts_are_bound_to_their_bodies() {
        let random = SeededRandom::new(3);
        let (object, body) = (Key::random(&random), Key::random(&random));
        let keys = PartKeys::of(&object);
        let wrapped = millpond_seal::wrap(&keys.0, &random, &7u128.to_be_bytes(), &body).unwrap();
        assert_eq!(keys.unwrap(BodyRef::extent(7), &wrapped).unwrap().expose(), body.expose());
        assert!(keys.unwrap(BodyRef::extent(8), &wrapped).is_err());
        assert!(PartKeys::of(&body).unwrap(BodyRef::extent(7), &wrapped).is_err());
        assert!(millpond_seal::unwrap(&object, &7u128.to_be_bytes(), &wrapped).is_err(), "not the object's key itself");
    }
}
