//! The rows as they are stored: protobuf messages, so that later versions can add fields and still read old rows.
//! A tag is never given another meaning.

use bytes::Bytes;
use millpond_blob::{ExtentId, Location};
use millpond_digest::{Checksum as Value, ChecksumAlgorithm, ChecksumType, Md5Digest};
use millpond_types::{AccountId, BucketName, ObjectKey, Region, Timestamp};
use prost::Message;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::error::LakeError;
use crate::model::{
    Body, Bucket, Checksum, Configs, Metadata, Object, Tags, Version, VersionId, VersionKind, Versioning,
};
use crate::refs::{BodyRef, RefKind};
use crate::sealing::{AtHand, Digests, Encrypted, Encryption, Kept, Lock};

/// The version of the data that this code writes.
pub(crate) const FORMAT: u32 = 2;
/// The oldest version that is read. What it lacks is encryption: its rows have none, and are plain.
pub(crate) const OLDEST_FORMAT: u32 = 1;

/// A row that cannot be what it should be: its checksum was right, so it was written wrong or by something else.
pub(crate) fn damaged(what: &str) -> LakeError {
    LakeError::Damaged(format!("a {what} row cannot be read"))
}

/// Reads a row.
pub(crate) fn decode<M: Message + Default>(what: &str, bytes: &Bytes) -> Result<M, LakeError> {
    M::decode(bytes.clone()).map_err(|_| damaged(what))
}

/// Writes a row.
pub(crate) fn encode(message: &impl Message) -> Bytes {
    Bytes::from(message.encode_to_vec())
}

/// The value of a counter row; 0 when it is absent.
pub(crate) fn counter(row: Option<&Bytes>) -> Result<i64, LakeError> {
    let Some(row) = row else { return Ok(0) };
    row.as_ref().try_into().map(i64::from_le_bytes).map_err(|_| damaged("counter"))
}

/// An id from 16 bytes.
pub(crate) fn id_of(what: &str, bytes: &[u8]) -> Result<u128, LakeError> {
    bytes.try_into().map(u128::from_be_bytes).map_err(|_| damaged(what))
}

/// 16 bytes from an id.
pub(crate) fn id_bytes(id: u128) -> Bytes {
    Bytes::copy_from_slice(&id.to_be_bytes())
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct FormatRow {
    #[prost(uint32, tag = "1")]
    pub format: u32,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct BucketRow {
    #[prost(uint64, tag = "1")]
    pub id: u64,
    #[prost(string, tag = "2")]
    pub owner: String,
    #[prost(fixed64, tag = "3")]
    pub created: u64,
    #[prost(string, tag = "4")]
    pub region: String,
    /// 0 unset, 1 enabled, 2 suspended.
    #[prost(uint32, tag = "5")]
    pub versioning: u32,
    #[prost(bool, tag = "6")]
    pub tagged: bool,
    #[prost(btree_map = "string, string", tag = "7")]
    pub tags: BTreeMap<String, String>,
    #[prost(uint64, tag = "8")]
    pub revision: u64,
}

impl BucketRow {
    pub fn of(bucket: &Bucket) -> Self {
        Self {
            id: bucket.id,
            owner: bucket.owner.as_str().into(),
            created: bucket.created.0,
            region: bucket.region.as_str().into(),
            versioning: match bucket.versioning {
                Versioning::Unset => 0,
                Versioning::Enabled => 1,
                Versioning::Suspended => 2,
            },
            tagged: bucket.tags.is_some(),
            tags: bucket.tags.clone().unwrap_or_default(),
            revision: bucket.revision,
        }
    }

    pub fn bucket(self, name: BucketName, configs: Configs) -> Result<Bucket, LakeError> {
        Ok(Bucket {
            name,
            id: self.id,
            owner: self.owner.parse().map_err(|_| damaged("bucket"))?,
            created: Timestamp(self.created),
            region: self.region.parse::<Region>().map_err(|_| damaged("bucket"))?,
            versioning: match self.versioning {
                0 => Versioning::Unset,
                1 => Versioning::Enabled,
                2 => Versioning::Suspended,
                _ => return Err(damaged("bucket")),
            },
            tags: self.tagged.then_some(self.tags),
            revision: self.revision,
            configs: Arc::new(configs),
        })
    }
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct ChecksumRow {
    /// [`ChecksumAlgorithm::code`].
    #[prost(uint32, tag = "1")]
    pub algorithm: u32,
    #[prost(bool, tag = "2")]
    pub composite: bool,
    #[prost(bytes = "bytes", tag = "3")]
    pub value: Bytes,
    /// Whether the value is sealed; see [`crate::sealing::Digests`].
    #[prost(bool, tag = "50")]
    pub sealed: bool,
}

impl ChecksumRow {
    pub fn of(checksum: &Checksum) -> Self {
        let composite = checksum.kind == ChecksumType::Composite;
        Self { composite, ..Self::of_value(&checksum.value) }
    }

    pub fn of_value(value: &Value) -> Self {
        Self {
            algorithm: value.algorithm().code().into(),
            composite: false,
            value: Bytes::copy_from_slice(value.bytes()),
            sealed: false,
        }
    }

    pub fn value(&self) -> Result<Value, LakeError> {
        Value::from_bytes(algorithm_of(self.algorithm)?, &self.value).map_err(|_| damaged("checksum"))
    }

    /// The value; `None` where it is sealed and its key is not at hand.
    pub fn opened(&self, digests: Option<&Digests>) -> Result<Option<Value>, LakeError> {
        match (self.sealed, digests) {
            (false, _) => self.value().map(Some),
            (true, Some(digests)) => digests.open(self)?.value().map(Some),
            (true, None) => Ok(None),
        }
    }

    pub fn kind(&self) -> ChecksumType {
        if self.composite { ChecksumType::Composite } else { ChecksumType::FullObject }
    }

    pub fn checksum(&self) -> Result<Checksum, LakeError> {
        Ok(Checksum { kind: self.kind(), value: self.value()? })
    }
}

/// How an object or upload is encrypted.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct EncryptionRow {
    /// 1 the server's keys, 2 a key of the key management service, 3 the client's.
    #[prost(uint32, tag = "1")]
    pub lock: u32,
    /// The object's key, sealed.
    #[prost(bytes = "bytes", tag = "2")]
    pub key: Bytes,
    #[prost(string, tag = "3")]
    pub kms_key: String,
    #[prost(bytes = "bytes", tag = "4")]
    pub data_key: Bytes,
    #[prost(bool, tag = "5")]
    pub bucket_key: bool,
    #[prost(btree_map = "string, string", tag = "6")]
    pub context: BTreeMap<String, String>,
    #[prost(bytes = "bytes", tag = "7")]
    pub salt: Bytes,
    /// The MD5 of the content, sealed, where the ETag is another and it is known.
    #[prost(bytes = "bytes", tag = "8")]
    pub md5: Bytes,
}

impl EncryptionRow {
    pub fn of(encryption: &Encryption, md5: Bytes) -> Self {
        let row = Self { key: encryption.key.clone(), md5, ..Self::default() };
        match &encryption.lock {
            Lock::Server => Self { lock: 1, ..row },
            Lock::Kms { key, data_key, bucket_key, context } => Self {
                lock: 2,
                kms_key: key.clone(),
                data_key: data_key.clone(),
                bucket_key: *bucket_key,
                context: context.clone(),
                ..row
            },
            Lock::Customer { salt } => Self { lock: 3, salt: salt.clone(), ..row },
        }
    }

    pub fn encryption(self) -> Result<Encryption, LakeError> {
        let lock = match self.lock {
            1 => Lock::Server,
            2 => Lock::Kms {
                key: self.kms_key,
                data_key: self.data_key,
                bucket_key: self.bucket_key,
                context: self.context,
            },
            3 => Lock::Customer { salt: self.salt },
            // Not served rather than served as if it were plain.
            _ => return Err(damaged("version")),
        };
        Ok(Encryption { lock, key: self.key })
    }
}

/// The algorithm of a stored code.
pub(crate) fn algorithm_of(code: u32) -> Result<ChecksumAlgorithm, LakeError> {
    u8::try_from(code).ok().and_then(ChecksumAlgorithm::from_code).ok_or_else(|| damaged("checksum"))
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct MetadataRow {
    #[prost(string, optional, tag = "1")]
    pub content_type: Option<String>,
    #[prost(string, optional, tag = "2")]
    pub content_encoding: Option<String>,
    #[prost(string, optional, tag = "3")]
    pub content_disposition: Option<String>,
    #[prost(string, optional, tag = "4")]
    pub content_language: Option<String>,
    #[prost(string, optional, tag = "5")]
    pub cache_control: Option<String>,
    #[prost(string, optional, tag = "6")]
    pub expires: Option<String>,
    #[prost(string, optional, tag = "7")]
    pub website_redirect: Option<String>,
    #[prost(btree_map = "string, string", tag = "8")]
    pub user: BTreeMap<String, String>,
}

impl MetadataRow {
    pub fn of(metadata: &Metadata) -> Self {
        Self {
            content_type: metadata.content_type.clone(),
            content_encoding: metadata.content_encoding.clone(),
            content_disposition: metadata.content_disposition.clone(),
            content_language: metadata.content_language.clone(),
            cache_control: metadata.cache_control.clone(),
            expires: metadata.expires.clone(),
            website_redirect: metadata.website_redirect.clone(),
            user: metadata.user.clone(),
        }
    }

    pub fn metadata(self, storage_class: Option<String>) -> Metadata {
        Metadata {
            content_type: self.content_type,
            content_encoding: self.content_encoding,
            content_disposition: self.content_disposition,
            content_language: self.content_language,
            cache_control: self.cache_control,
            expires: self.expires,
            website_redirect: self.website_redirect,
            user: self.user,
            storage_class,
            acl: None,
            asked: BTreeMap::new(),
        }
    }
}

/// A version: in `current`, `marker` and `version`. Its bucket and key are in the row's key.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct VersionRow {
    #[prost(fixed64, tag = "1")]
    pub stamp: u64,
    #[prost(fixed64, tag = "2")]
    pub nonce: u64,
    #[prost(bool, tag = "3")]
    pub null: bool,
    #[prost(fixed64, tag = "4")]
    pub modified: u64,
    #[prost(string, tag = "5")]
    pub owner: String,
    #[prost(bool, tag = "6")]
    pub marker: bool,
    #[prost(uint64, tag = "7")]
    pub size: u64,
    /// 16 bytes.
    #[prost(bytes = "bytes", tag = "8")]
    pub md5: Bytes,
    /// 0 when it was put at once.
    #[prost(uint32, tag = "9")]
    pub parts: u32,
    #[prost(message, optional, tag = "10")]
    pub checksum: Option<ChecksumRow>,
    #[prost(string, optional, tag = "11")]
    pub storage_class: Option<String>,
    /// [`RefKind`]; 0 for an empty body.
    #[prost(uint32, tag = "12")]
    pub body_kind: u32,
    /// 16 bytes, or none for an empty body.
    #[prost(bytes = "bytes", tag = "13")]
    pub body_id: Bytes,
    #[prost(message, optional, tag = "14")]
    pub metadata: Option<MetadataRow>,
    #[prost(btree_map = "string, string", tag = "15")]
    pub tags: BTreeMap<String, String>,
    #[prost(bytes = "bytes", optional, tag = "40")]
    pub acl: Option<Bytes>,
    /// Absent where the body is plain.
    #[prost(message, optional, tag = "50")]
    pub encryption: Option<EncryptionRow>,
}

/// What a listing shows of a [`VersionRow`]: the same tags, the rest is stepped over undecoded.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct VersionHead {
    #[prost(fixed64, tag = "1")]
    pub stamp: u64,
    #[prost(fixed64, tag = "2")]
    pub nonce: u64,
    #[prost(bool, tag = "3")]
    pub null: bool,
    #[prost(fixed64, tag = "4")]
    pub modified: u64,
    #[prost(string, tag = "5")]
    pub owner: String,
    #[prost(bool, tag = "6")]
    pub marker: bool,
    #[prost(uint64, tag = "7")]
    pub size: u64,
    #[prost(bytes = "bytes", tag = "8")]
    pub md5: Bytes,
    #[prost(uint32, tag = "9")]
    pub parts: u32,
    #[prost(message, optional, tag = "10")]
    pub checksum: Option<ChecksumRow>,
    #[prost(string, optional, tag = "11")]
    pub storage_class: Option<String>,
}

/// Prints an ETag from its MD5 and number of parts.
pub(crate) fn etag(md5: &[u8], parts: u32) -> String {
    let mut text = hex::encode(md5);
    if parts > 0 {
        text.push('-');
        text.push_str(&parts.to_string());
    }
    text
}

/// The MD5 of an ETag.
pub(crate) fn etag_bytes(etag: &str) -> Result<[u8; 16], LakeError> {
    let digits = etag.split('-').next().unwrap_or_default();
    let bytes = hex::decode(digits).ok().and_then(|bytes| bytes.try_into().ok());
    bytes.ok_or_else(|| damaged("version"))
}

fn version_id(null: bool, stamp: u64, nonce: u64) -> VersionId {
    if null { VersionId::Null } else { VersionId::Id { stamp, nonce } }
}

impl VersionHead {
    pub fn id(&self) -> VersionId {
        version_id(self.null, self.stamp, self.nonce)
    }
}

impl VersionRow {
    /// Whether it still has the tags and the ACL with which a version was looked up: what decides who may do what with it.
    pub fn decides_as(&self, version: &Version) -> bool {
        version.object().is_some_and(|object| self.tags == object.tags && self.acl == object.metadata.acl)
    }

    pub fn id(&self) -> VersionId {
        version_id(self.null, self.stamp, self.nonce)
    }

    pub fn etag(&self) -> String {
        etag(&self.md5, self.parts)
    }

    /// The body, unless it is empty.
    pub fn body(&self) -> Result<Option<BodyRef>, LakeError> {
        body_ref(self.body_kind, &self.body_id)
    }

    /// A delete marker's row; stamp and id come when it is placed.
    pub fn delete_marker(owner: &AccountId) -> Self {
        Self { owner: owner.as_str().into(), marker: true, ..Self::default() }
    }

    pub fn version(self, bucket: u64, key: ObjectKey) -> Result<Version, LakeError> {
        let id = self.id();
        let owner = self.owner.parse().map_err(|_| damaged("version"))?;
        let (stamp, modified) = (self.stamp, Timestamp(self.modified));
        let kind = if self.marker { VersionKind::DeleteMarker } else { VersionKind::Object(Box::new(self.object()?)) };
        Ok(Version { bucket, key, id, stamp, modified, owner, kind })
    }

    fn object(self) -> Result<Object, LakeError> {
        let body = match self.body()? {
            None => Body::Empty,
            Some(BodyRef { kind: RefKind::Inline, id }) => Body::Inline { id },
            Some(BodyRef { kind: RefKind::Extent, id }) => Body::Extent { id },
            Some(BodyRef { kind: RefKind::Manifest, id }) => Body::Manifest { id },
        };
        let etag = self.etag();
        let (shown, sealed) = match self.checksum {
            Some(row) if row.sealed => (None, Some(row)),
            shown => (shown, None),
        };
        let encrypted = match self.encryption {
            None if sealed.is_some() => return Err(damaged("version")),
            None => None,
            Some(row) => {
                let md5 = row.md5.clone();
                let encryption = row.encryption()?;
                Some(Box::new(Encrypted { encryption, md5, checksum: sealed, key: AtHand::default() }))
            }
        };
        Ok(Object {
            size: self.size,
            etag,
            checksum: shown.as_ref().map(ChecksumRow::checksum).transpose()?,
            encrypted,
            parts: (self.parts > 0).then_some(self.parts),
            body,
            metadata: Metadata { acl: self.acl, ..self.metadata.unwrap_or_default().metadata(self.storage_class) },
            tags: self.tags,
        })
    }
}

/// What a new object's row is made of; stamp and id come when it is placed.
pub(crate) struct NewObject<'a> {
    pub size: u64,
    pub digests: &'a Kept,
    pub parts: u32,
    pub encryption: Option<&'a Encryption>,
    pub body: Option<BodyRef>,
    pub metadata: &'a Metadata,
    pub tags: &'a Tags,
    pub owner: &'a AccountId,
}

impl NewObject<'_> {
    pub fn row(&self) -> VersionRow {
        VersionRow {
            owner: self.owner.as_str().into(),
            size: self.size,
            md5: Bytes::copy_from_slice(&self.digests.etag),
            parts: self.parts,
            checksum: self.digests.checksum.clone(),
            encryption: self.encryption.map(|encryption| EncryptionRow::of(encryption, self.digests.md5.clone())),
            storage_class: self.metadata.storage_class.clone(),
            body_kind: self.body.map_or(0, |b| b.kind as u32),
            body_id: self.body.map_or(Bytes::new(), |b| id_bytes(b.id)),
            metadata: Some(MetadataRow::of(self.metadata)),
            tags: self.tags.clone(),
            acl: self.metadata.acl.clone(),
            ..VersionRow::default()
        }
    }
}

fn body_ref(kind: u32, id: &[u8]) -> Result<Option<BodyRef>, LakeError> {
    if kind == 0 {
        return Ok(None);
    }
    let kind = u8::try_from(kind).ok().and_then(RefKind::from_code).ok_or_else(|| damaged("version"))?;
    Ok(Some(BodyRef { kind, id: id_of("version", id)? }))
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct LocationRow {
    /// 0: a file of its own.
    #[prost(uint64, optional, tag = "1")]
    pub segment: Option<u64>,
    #[prost(uint64, tag = "2")]
    pub offset: u64,
    #[prost(uint64, tag = "3")]
    pub len: u64,
}

/// The bytes of an extent's row.
pub(crate) fn location_row(location: Location) -> Bytes {
    encode(&match location {
        Location::Segment { segment, offset, len } => LocationRow { segment: Some(segment), offset, len },
        Location::File { len } => LocationRow { segment: None, offset: 0, len },
    })
}

/// Where an extent lies, from its row.
pub(crate) fn location_of(row: &Bytes) -> Result<Location, LakeError> {
    let LocationRow { segment, offset, len } = decode("extent", row)?;
    Ok(match segment {
        Some(segment) => Location::Segment { segment, offset, len },
        None => Location::File { len },
    })
}

/// A stretch of an extent or of an inline body.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct SliceRow {
    #[prost(uint32, tag = "1")]
    pub kind: u32,
    #[prost(bytes = "bytes", tag = "2")]
    pub id: Bytes,
    #[prost(uint64, tag = "3")]
    pub offset: u64,
    #[prost(uint64, tag = "4")]
    pub len: u64,
    /// The key of the whole body under one derived from the object's; empty where the body is plain.
    #[prost(bytes = "bytes", tag = "50")]
    pub key: Bytes,
}

impl SliceRow {
    pub fn of(body: BodyRef, offset: u64, len: u64) -> Self {
        Self { kind: body.kind as u32, id: id_bytes(body.id), offset, len, key: Bytes::new() }
    }

    pub fn body(&self) -> Result<BodyRef, LakeError> {
        body_ref(self.kind, &self.id)?.ok_or_else(|| damaged("slice"))
    }
}

/// A part: of an upload, or in a manifest.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct PartRow {
    #[prost(uint32, tag = "1")]
    pub number: u32,
    #[prost(uint64, tag = "2")]
    pub size: u64,
    #[prost(bytes = "bytes", tag = "3")]
    pub md5: Bytes,
    #[prost(message, optional, tag = "4")]
    pub checksum: Option<ChecksumRow>,
    #[prost(message, repeated, tag = "5")]
    pub slices: Vec<SliceRow>,
    /// Only of an upload.
    #[prost(fixed64, tag = "6")]
    pub modified: u64,
    /// The checksum by [`crate::DEFAULT_CHECKSUM`], when the upload names no algorithm and the client sent another with the part.
    #[prost(message, optional, tag = "7")]
    pub default_checksum: Option<ChecksumRow>,
}

impl PartRow {
    pub fn md5(&self) -> Result<Md5Digest, LakeError> {
        self.md5.as_ref().try_into().map(Md5Digest).map_err(|_| damaged("part"))
    }

    pub fn number(&self) -> Result<u16, LakeError> {
        u16::try_from(self.number).map_err(|_| damaged("part"))
    }

    /// The checksum; `None` also where it is sealed and its key is not at hand.
    pub fn value(&self, digests: Option<&Digests>) -> Result<Option<Value>, LakeError> {
        self.checksum.as_ref().map_or(Ok(None), |row| row.opened(digests))
    }

    /// The checksum by [`crate::DEFAULT_CHECKSUM`], where it was computed and can be seen.
    pub fn default_value(&self, digests: Option<&Digests>) -> Result<Option<Value>, LakeError> {
        let mut rows = self.default_checksum.iter().chain(&self.checksum);
        let wanted = u32::from(crate::DEFAULT_CHECKSUM.code());
        rows.find(|row| row.algorithm == wanted).map_or(Ok(None), |row| row.opened(digests))
    }
}

/// Consecutive parts of an object.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct ManifestRow {
    #[prost(message, repeated, tag = "1")]
    pub parts: Vec<PartRow>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct UploadRow {
    #[prost(string, tag = "1")]
    pub owner: String,
    #[prost(string, tag = "2")]
    pub initiator: String,
    #[prost(fixed64, tag = "3")]
    pub created: u64,
    /// 0 for none.
    #[prost(uint32, tag = "4")]
    pub algorithm: u32,
    #[prost(bool, tag = "5")]
    pub composite: bool,
    #[prost(string, optional, tag = "6")]
    pub storage_class: Option<String>,
    #[prost(message, optional, tag = "7")]
    pub metadata: Option<MetadataRow>,
    #[prost(btree_map = "string, string", tag = "8")]
    pub tags: BTreeMap<String, String>,
    #[prost(bytes = "bytes", optional, tag = "40")]
    pub acl: Option<Bytes>,
    #[prost(btree_map = "string, string", tag = "41")]
    pub asked: BTreeMap<String, String>,
    /// Absent where its parts are plain.
    #[prost(message, optional, tag = "50")]
    pub encryption: Option<EncryptionRow>,
}

/// What became of an upload.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct DoneRow {
    #[prost(uint64, tag = "1")]
    pub bucket: u64,
    #[prost(string, tag = "2")]
    pub key: String,
    #[prost(message, optional, tag = "3")]
    pub version: Option<VersionRow>,
    #[prost(bool, tag = "4")]
    pub versioned: bool,
    /// MD5 over the part list, so that only the same completion gets the same result.
    #[prost(bytes = "bytes", tag = "5")]
    pub parts: Bytes,
}

/// Work for upkeep that needs more than its id.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct WorkRow {
    /// For the parts of an upload that is over: a bit for each part that went into the object.
    #[prost(bytes = "bytes", tag = "1")]
    pub kept: Bytes,
}

/// A change of a bucket's content.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct ChangeRow {
    #[prost(uint32, tag = "1")]
    pub kind: u32,
    #[prost(string, tag = "2")]
    pub operation: String,
    #[prost(string, tag = "3")]
    pub bucket: String,
    #[prost(string, tag = "4")]
    pub key: String,
    #[prost(fixed64, tag = "5")]
    pub stamp: u64,
    #[prost(fixed64, tag = "6")]
    pub nonce: u64,
    #[prost(bool, tag = "7")]
    pub null: bool,
    #[prost(uint64, tag = "8")]
    pub size: u64,
    #[prost(bytes = "bytes", tag = "9")]
    pub md5: Bytes,
    #[prost(uint32, tag = "10")]
    pub parts: u32,
    // 11 was a sequencer; the position of the row is one.
    #[prost(string, tag = "12")]
    pub requester: String,
    /// 4 or 16 bytes, or none.
    #[prost(bytes = "bytes", tag = "13")]
    pub source_ip: Bytes,
    #[prost(bytes = "bytes", tag = "14")]
    pub request_id: Bytes,
    #[prost(string, repeated, tag = "15")]
    pub causes: Vec<String>,
    #[prost(fixed64, tag = "16")]
    pub time: u64,
    #[prost(bool, tag = "17")]
    pub versioned: bool,
    /// Whose request it was; empty in rows from before it was kept.
    #[prost(string, tag = "18")]
    pub account: String,
    /// Of a configuration that was set: its kind, and what it is now.
    #[prost(uint32, tag = "19")]
    pub config: u32,
    #[prost(bytes = "bytes", tag = "20")]
    pub value: Bytes,
}

/// What trimming reads of a [`ChangeRow`].
#[derive(Clone, PartialEq, Message)]
pub(crate) struct ChangeTime {
    #[prost(fixed64, tag = "16")]
    pub time: u64,
}

/// The extent id of a reference.
pub(crate) fn extent_id(body: BodyRef) -> ExtentId {
    ExtentId(body.id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> VersionRow {
        VersionRow {
            stamp: 7,
            nonce: 9,
            owner: "123456789012".into(),
            size: 5,
            md5: Bytes::from_static(&[1; 16]),
            parts: 3,
            storage_class: Some("STANDARD_IA".into()),
            body_kind: RefKind::Manifest as u32,
            body_id: id_bytes(77),
            metadata: Some(MetadataRow { user: [("a".into(), "b".into())].into(), ..MetadataRow::default() }),
            tags: [("t".into(), "v".into())].into(),
            ..VersionRow::default()
        }
    }

    #[test]
    fn a_head_reads_what_a_row_wrote() {
        let row = sample();
        let head: VersionHead = decode("version", &encode(&row)).unwrap();
        assert_eq!((head.id(), head.size, etag(&head.md5, head.parts)), (row.id(), 5, row.etag()));
        assert_eq!(head.storage_class, row.storage_class);
    }

    #[test]
    fn encoding_is_deterministic_and_leads_back() {
        let row = sample();
        assert_eq!(decode::<VersionRow>("version", &encode(&row)).unwrap(), row);
        assert_eq!(encode(&row), encode(&row.clone()));
        for location in [Location::File { len: 9 }, Location::Segment { segment: 0, offset: 5, len: 6 }] {
            assert_eq!(location_of(&location_row(location)).unwrap(), location);
        }
    }

    #[test]
    fn rows_that_cannot_be_are_damage() {
        let bad = VersionRow { body_kind: 9, ..sample() };
        assert!(matches!(bad.body(), Err(LakeError::Damaged(_))));
        let short = VersionRow { body_id: Bytes::from_static(b"short"), ..sample() };
        assert!(matches!(short.body(), Err(LakeError::Damaged(_))));
        assert!(decode::<VersionRow>("version", &Bytes::from_static(&[0xFF, 0xFF])).is_err());
    }
}
