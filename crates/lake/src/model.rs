//! What the lake keeps, in the words of its callers. No HTTP, no policy.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use millpond_seal::Key;
use millpond_types::{AccountId, BucketName, ObjectKey, Region, Timestamp};

use crate::error::LakeError;
use crate::sealing::{AtHand, Digests, Encrypted, Encryption};

/// Names one version of a key.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum VersionId {
    /// `null`: written while the bucket's versioning was never enabled, or is suspended.
    Null,
    /// Written under versioning.
    Id {
        /// Orders the versions of a key: nanoseconds since the epoch, raised where needed so that each is larger than the last.
        stamp: u64,
        /// Makes ids unguessable.
        nonce: u64,
    },
}

impl VersionId {
    /// Parses `null` or 32 lower-case hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        if text == "null" {
            return Some(Self::Null);
        }
        let canonical = text.len() == 32 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        let id = u128::from_str_radix(text, 16).ok().filter(|_| canonical)?;
        Some(Self::Id { stamp: (id >> 64) as u64, nonce: id as u64 })
    }
}

impl fmt::Display for VersionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Id { stamp, nonce } => write!(f, "{stamp:016x}{nonce:016x}"),
        }
    }
}

/// Whether writes to a bucket make new versions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Versioning {
    /// Never enabled: each key has one version, `null`.
    Unset,
    /// Each write makes a version of its own.
    Enabled,
    /// Writes replace the `null` version; older ones stay.
    Suspended,
}

/// A configuration of a bucket: the lake keeps it and does not look into it. The numbers are part of the disk format.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum ConfigKind {
    /// Its policy.
    Policy = 1,
    /// What public access is blocked.
    PublicAccessBlock = 2,
    /// Who owns objects that others write.
    Ownership = 3,
    /// Its access control list.
    Acl = 4,
    /// How objects are encrypted by default.
    Encryption = 5,
    /// To whom its changes are announced. The journal's entries of its changes carry it, so that who reads the journal behind them knows what
    /// was in effect at each entry.
    Notifications = 6,
}

impl ConfigKind {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Policy, Self::PublicAccessBlock, Self::Ownership, Self::Acl, Self::Encryption, Self::Notifications];

    pub(crate) fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == code)
    }
}

/// Configurations by kind.
pub type Configs = BTreeMap<ConfigKind, Bytes>;

/// A bucket as it stands.
#[derive(Clone, PartialEq, Debug)]
pub struct Bucket {
    /// Its name.
    pub name: BucketName,
    /// Never reused, so that rows of a deleted bucket cannot show up in one of the same name.
    pub id: u64,
    /// Who owns it.
    pub owner: AccountId,
    /// When it was created.
    pub created: Timestamp,
    /// Where it lies.
    pub region: Region,
    /// What writes do.
    pub versioning: Versioning,
    /// Its tags; `None` when there is no tag set at all.
    pub tags: Option<Tags>,
    /// Raised by every change of a configuration, in its commit. A change in the bucket is refused when it was decided at another.
    pub revision: u64,
    /// Its configurations; those that are not set are absent.
    pub configs: Arc<Configs>,
}

impl Bucket {
    /// A configuration, if it is set.
    pub fn config(&self, kind: ConfigKind) -> Option<&Bytes> {
        self.configs.get(&kind)
    }

    /// Whether versioning was ever enabled, so that versions have ids and keys can have several.
    pub fn is_versioned(&self) -> bool {
        self.versioning != Versioning::Unset
    }
}

/// Tags by key.
pub type Tags = BTreeMap<String, String>;

pub use millpond_digest::{ChecksumAlgorithm, ChecksumType};

/// A checksum that the client named or that we computed on its behalf.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Checksum {
    /// Over all bytes, or over the parts' checksums (then shown with `-` and the number of parts).
    pub kind: ChecksumType,
    /// The algorithm and the value.
    pub value: millpond_digest::Checksum,
}

impl Checksum {
    /// A checksum over all bytes.
    pub fn full(value: millpond_digest::Checksum) -> Self {
        Self { kind: ChecksumType::FullObject, value }
    }

    /// By which algorithm.
    pub fn algorithm(&self) -> ChecksumAlgorithm {
        self.value.algorithm()
    }
}

/// What a client says about an object besides its bytes.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Metadata {
    /// `Content-Type`; AWS shows `binary/octet-stream` when it was not given.
    pub content_type: Option<String>,
    /// `Content-Encoding`, without `aws-chunked`.
    pub content_encoding: Option<String>,
    /// `Content-Disposition`.
    pub content_disposition: Option<String>,
    /// `Content-Language`.
    pub content_language: Option<String>,
    /// `Cache-Control`.
    pub cache_control: Option<String>,
    /// `Expires`, verbatim.
    pub expires: Option<String>,
    /// `x-amz-website-redirect-location`.
    pub website_redirect: Option<String>,
    /// `x-amz-meta-*`, names without the prefix, lower-case.
    pub user: BTreeMap<String, String>,
    /// The storage class, such as `STANDARD_IA`; `None` for `STANDARD`.
    pub storage_class: Option<String>,
    /// Its access control list, as its owner encodes it; the lake does not look into it.
    pub acl: Option<Bytes>,
    /// What the request that began an upload said, in the terms of policies: kept with the upload, for the decisions about its parts.
    pub asked: BTreeMap<String, String>,
}

/// A version of an object, or a delete marker.
#[derive(Clone, PartialEq, Debug)]
pub struct Version {
    /// The id of its bucket.
    pub bucket: u64,
    /// Its key.
    pub key: ObjectKey,
    /// Its id.
    pub id: VersionId,
    /// Orders the versions of the key; see [`VersionId::Id`]. Null versions have one too.
    pub stamp: u64,
    /// When it was written; shown as `Last-Modified` in whole seconds.
    pub modified: Timestamp,
    /// Who owns it.
    pub owner: AccountId,
    /// What it is.
    pub kind: VersionKind,
}

/// What a version is.
#[derive(Clone, PartialEq, Debug)]
pub enum VersionKind {
    /// Says that the key was deleted.
    DeleteMarker,
    /// An object.
    Object(Box<Object>),
}

/// The object that a version is.
#[derive(Clone, PartialEq, Debug)]
pub struct Object {
    /// Bytes.
    pub size: u64,
    /// Without quotes: 32 hexadecimal digits, and `-N` when it came from N parts.
    pub etag: String,
    /// What the client said about it.
    pub metadata: Metadata,
    /// Its tags.
    pub tags: Tags,
    /// Its checksum, if it has one that may be seen: one that is sealed shows after [`Version::unlock`].
    pub checksum: Option<Checksum>,
    /// How many parts it was uploaded in; `None` when it was put at once.
    pub parts: Option<u32>,
    /// Where its bytes lie.
    pub body: Body,
    /// How it is encrypted; `None` for one that is not, which earlier versions wrote.
    pub encrypted: Option<Box<Encrypted>>,
}

/// Where the bytes of an object lie.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Body {
    /// There are none.
    Empty,
    /// Beside the metadata.
    Inline {
        /// Names the row.
        id: u128,
    },
    /// In one extent.
    Extent {
        /// Names the extent's row.
        id: u128,
    },
    /// In the extents that a manifest lists.
    Manifest {
        /// Names the manifest's rows.
        id: u128,
    },
}

/// Under which condition a write or delete is carried out
/// (S3 User Guide, "Add preconditions to S3 operations with conditional requests").
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Condition {
    /// None.
    #[default]
    Always,
    /// `If-None-Match: *`: the key has no current object.
    IfAbsent,
    /// `If-Match`: the current object has this ETag, without quotes; `*` for any.
    IfMatch(String),
}

/// Under which condition a delete is carried out. Evaluated on the current version, whichever version is named
/// (S3 User Guide, "How to perform conditional deletes").
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum DeleteCondition {
    /// None.
    #[default]
    Always,
    /// `If-Match`: the current object has this ETag, without quotes; `*` for any.
    IfMatch(String),
}

impl Version {
    /// How the object is encrypted, if this is an object and it is.
    pub fn encryption(&self) -> Option<&Encryption> {
        self.object()?.encrypted.as_ref().map(|encrypted| &encrypted.encryption)
    }

    /// Brings the object's key, with which its bytes can be read and its checksum shows. Nothing happens to one that is not encrypted.
    ///
    /// # Errors
    /// `Damaged` when the key is another one's and the object has a sealed digest that tells.
    pub fn unlock(&mut self, key: Key) -> Result<(), LakeError> {
        let VersionKind::Object(object) = &mut self.kind else { return Ok(()) };
        let Some(encrypted) = &mut object.encrypted else { return Ok(()) };
        if let Some(sealed) = &encrypted.checksum {
            object.checksum = Some(Digests::of(&key).open(sealed)?.checksum()?);
        }
        encrypted.key = AtHand(Some(key));
        Ok(())
    }

    /// The object, unless this is a delete marker.
    pub fn object(&self) -> Option<&Object> {
        match &self.kind {
            VersionKind::Object(object) => Some(object),
            VersionKind::DeleteMarker => None,
        }
    }
}

/// What stands under a key.
#[derive(Clone, PartialEq, Debug)]
pub enum Found {
    /// An object: the current one, or the version that was named.
    Object(Version),
    /// A delete marker: the newest version of the key is one, or the version that was named is one.
    DeleteMarker(Version),
    /// Nothing.
    None,
}
