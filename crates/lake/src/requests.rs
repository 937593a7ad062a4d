//! What callers ask of the lake, and what they get.

use std::sync::Arc;

use millpond_digest::{ChecksumAlgorithm, ChecksumType, Md5Digest};
use millpond_seal::Key;
use millpond_types::{AccountId, BucketName, ObjectKey, Region, Timestamp};

use crate::ingest::Ingested;
use crate::model::{Bucket, Checksum, Condition, Configs, DeleteCondition, Metadata, Tags, Version, VersionId};
use crate::sealing::{AtHand, Encryption, Sealing};

/// A bucket to create.
#[derive(Clone, Debug)]
pub struct NewBucket {
    /// Its name.
    pub name: BucketName,
    /// Who will own it.
    pub owner: AccountId,
    /// Where it lies.
    pub region: Region,
    /// Its tags; `None` for no tag set.
    pub tags: Option<Tags>,
    /// Its first configurations.
    pub configs: Configs,
}

/// What a bucket holds, recounted by every commit.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Usage {
    /// Keys whose newest version is an object.
    pub objects: u64,
    /// Bytes of all versions.
    pub bytes: u64,
    /// Objects, noncurrent versions and delete markers.
    pub versions: u64,
    /// Uploads that are neither completed nor aborted.
    pub uploads: u64,
}

/// How a body that comes in is treated.
#[derive(Clone, Debug, Default)]
pub struct IngestPlan {
    /// How many bytes will come, when that is known; another number is refused by `finish`.
    pub expected_len: Option<u64>,
    /// Whether to compute the MD5. Objects and parts need it for their ETag.
    pub md5: bool,
    /// Which checksums to compute.
    pub checksums: Vec<ChecksumAlgorithm>,
}

/// An object to write.
#[derive(Debug)]
pub struct PutRequest {
    /// Where to.
    pub bucket: Arc<Bucket>,
    /// Under which key.
    pub key: ObjectKey,
    /// Its bytes.
    pub ingested: Ingested,
    /// What the client says about it.
    pub metadata: Metadata,
    /// Its tags.
    pub tags: Tags,
    /// The checksum to keep with it; it has been compared with what the client sent.
    pub checksum: Option<Checksum>,
    /// Who owns it.
    pub owner: AccountId,
    /// When it is written.
    pub condition: Condition,
}

/// An object to make from another without moving bytes.
#[derive(Clone, Debug)]
pub struct CopyRequest {
    /// The version to copy, as it was looked up and authorized.
    pub source: Version,
    /// Where to.
    pub bucket: Arc<Bucket>,
    /// Under which key.
    pub key: ObjectKey,
    /// What the new object says; the source's own for the COPY directive.
    pub metadata: Metadata,
    /// The new object's tags; the source's own for the COPY directive.
    pub tags: Tags,
    /// The checksum that the new object shall have; `None` keeps the source's. Another than the source's is computed from the bytes.
    pub checksum: Option<ChecksumAlgorithm>,
    /// The new object's key and how it is kept. Of an encrypted source it is the source's key, kept in another way; a source that is plain is
    /// written anew under a key of its own. `None` only for a plain copy of a plain source.
    pub sealing: Option<Sealing>,
    /// Who owns it.
    pub owner: AccountId,
    /// When it is written.
    pub condition: Condition,
}

/// A version that was written.
#[derive(Clone, PartialEq, Debug)]
pub struct Written {
    /// The version.
    pub version: Version,
    /// Whether the bucket's versioning was ever enabled: then the answer names the version.
    pub versioned: bool,
}

/// A key (or version) to delete.
#[derive(Clone, Debug)]
pub struct DeleteItem {
    /// The key.
    pub key: ObjectKey,
    /// Which version; `None` for the key as such.
    pub version: Option<VersionId>,
    /// When it is deleted.
    pub condition: DeleteCondition,
}

/// What a delete did.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Deleted {
    /// The delete marker that was written.
    pub marker: Option<VersionId>,
    /// The version that was named, whether or not it existed.
    pub version: Option<VersionId>,
    /// Whether the version that was removed was a delete marker.
    pub was_marker: bool,
}

/// Where a listing of current objects goes on.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum After {
    /// At the beginning.
    #[default]
    Start,
    /// At the first key behind this one.
    Key(String),
    /// At the first key that does not begin with this common prefix and lies behind it.
    Prefix(String),
}

/// A page of current objects to list.
#[derive(Clone, Debug, Default)]
pub struct ListRequest {
    /// Only keys that begin with this.
    pub prefix: String,
    /// Keys with this behind the prefix are rolled up; `None` or empty for no roll-up.
    pub delimiter: Option<String>,
    /// Where to go on.
    pub after: After,
    /// The most entries and common prefixes; at most [`crate::MAX_PAGE`].
    pub limit: usize,
}

/// An object in a listing.
#[derive(Clone, PartialEq, Debug)]
pub struct ListEntry {
    /// The key.
    pub key: String,
    /// Bytes.
    pub size: u64,
    /// Without quotes.
    pub etag: String,
    /// When it was written.
    pub modified: Timestamp,
    /// Who owns it.
    pub owner: AccountId,
    /// `None` for `STANDARD`.
    pub storage_class: Option<String>,
    /// The algorithm and type of its checksum.
    pub checksum: Option<(ChecksumAlgorithm, ChecksumType)>,
}

/// A page of current objects. `entries` and `prefixes` are each in byte order.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Page {
    /// The objects.
    pub entries: Vec<ListEntry>,
    /// The common prefixes.
    pub prefixes: Vec<String>,
    /// Where the next page begins; `None` when this is the last (the listing is not truncated).
    pub next: Option<After>,
}

/// A page of versions to list.
#[derive(Clone, Debug, Default)]
pub struct VersionsRequest {
    /// Only keys that begin with this.
    pub prefix: String,
    /// As in [`ListRequest::delimiter`].
    pub delimiter: Option<String>,
    /// Where to go on.
    pub after: AfterVersion,
    /// The most entries and common prefixes; at most [`crate::MAX_PAGE`].
    pub limit: usize,
}

/// Where a listing of versions goes on.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum AfterVersion {
    /// At the beginning.
    #[default]
    Start,
    /// At the first key behind this one (a `key-marker` alone).
    Key(String),
    /// At the first version of this key that is older than this one, or behind the key (`key-marker` and `version-id-marker`).
    /// A null version that is gone meanwhile counts as newer than all, so that rather a version shows twice than not at all.
    Version(String, VersionId),
    /// Behind a common prefix.
    Prefix(String),
}

/// A version in a listing.
#[derive(Clone, PartialEq, Debug)]
pub struct VersionEntry {
    /// Its key, size (0 for a delete marker), ETag (empty for a delete marker) and so on.
    pub entry: ListEntry,
    /// Its id.
    pub id: VersionId,
    /// Whether it is the newest of its key.
    pub is_latest: bool,
    /// Whether it is a delete marker.
    pub is_marker: bool,
}

/// A page of versions: by key in byte order, then newest first.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct VersionsPage {
    /// Versions and delete markers.
    pub entries: Vec<VersionEntry>,
    /// The common prefixes.
    pub prefixes: Vec<String>,
    /// Where the next page begins; `None` when this is the last. `Version(key, id)` and `Prefix(prefix)` become
    /// NextKeyMarker and NextVersionIdMarker.
    pub next: Option<AfterVersion>,
}

/// Names an upload: 32 lower-case hexadecimal digits. Those of one key sort by the time they were begun.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UploadId(pub u128);

impl UploadId {
    /// Parses what `Display` prints; nothing else names an upload.
    pub fn parse(text: &str) -> Option<Self> {
        let canonical = text.len() == 32 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        u128::from_str_radix(text, 16).ok().filter(|_| canonical).map(Self)
    }
}

impl std::fmt::Display for UploadId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl std::fmt::Debug for UploadId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

/// An upload to begin.
#[derive(Clone, Debug)]
pub struct NewUpload {
    /// Where to.
    pub bucket: Arc<Bucket>,
    /// Under which key.
    pub key: ObjectKey,
    /// What the object will say.
    pub metadata: Metadata,
    /// The object's tags.
    pub tags: Tags,
    /// Who will own the object.
    pub owner: AccountId,
    /// Who began the upload: the principal's ARN.
    pub initiator: String,
    /// The checksum that the object will have. Each part must then come with a checksum of the algorithm.
    pub checksum: Option<(ChecksumAlgorithm, ChecksumType)>,
    /// The object's key and how it is kept; `None` for an object that is not encrypted.
    pub sealing: Option<Sealing>,
}

/// An upload under way.
#[derive(Clone, PartialEq, Debug)]
pub struct Upload {
    /// Its id.
    pub id: UploadId,
    /// The id of its bucket.
    pub bucket: u64,
    /// Its key.
    pub key: ObjectKey,
    /// What the object will say.
    pub metadata: Metadata,
    /// The object's tags.
    pub tags: Tags,
    /// Who will own the object.
    pub owner: AccountId,
    /// Who began it: the principal's ARN.
    pub initiator: String,
    /// The checksum that the object will have.
    pub checksum: Option<(ChecksumAlgorithm, ChecksumType)>,
    /// When it was begun.
    pub created: Timestamp,
    /// How the object will be encrypted.
    pub encryption: Option<Encryption>,
    /// The object's key, when somebody brought it.
    pub(crate) object_key: AtHand,
}

impl Upload {
    /// Brings the object's key, which parts of an encrypted object need.
    pub fn unlock(&mut self, key: Key) {
        self.object_key = AtHand(Some(key));
    }

    /// The object's key, when somebody brought it.
    pub fn object_key(&self) -> Option<&Key> {
        self.object_key.0.as_ref()
    }

    /// Whether the digests of its parts are sealed.
    pub(crate) fn hides_digests(&self) -> bool {
        self.encryption.as_ref().is_some_and(Encryption::hides_digests)
    }

    /// By which algorithms a part is to be taken in, when the client sends a checksum of `sent` with it: that of the upload, or
    /// else the client's own and the default, from which the object's is made.
    pub fn part_checksums(&self, sent: Option<ChecksumAlgorithm>) -> Vec<ChecksumAlgorithm> {
        match (self.checksum, sent) {
            (Some((algorithm, _)), _) => vec![algorithm],
            (None, Some(sent)) if sent != crate::DEFAULT_CHECKSUM => vec![sent, crate::DEFAULT_CHECKSUM],
            (None, _) => vec![crate::DEFAULT_CHECKSUM],
        }
    }
}

/// A part that was uploaded.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Part {
    /// 1 to 10,000.
    pub number: u16,
    /// Bytes.
    pub size: u64,
    /// What its ETag says in hexadecimal: its MD5, or any 16 bytes where the upload's encryption hides digests.
    pub md5: Md5Digest,
    /// Its checksum, when the upload has an algorithm. One that is sealed shows only to who brought the key.
    pub checksum: Option<millpond_digest::Checksum>,
    /// When it was uploaded.
    pub modified: Timestamp,
}

/// A part that a completion names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CompletePart {
    /// 1 to 10,000.
    pub number: u16,
    /// The ETag without quotes.
    pub etag: String,
    /// The part's checksum, when the client repeats it.
    pub checksum: Option<millpond_digest::Checksum>,
}

/// A completion.
#[derive(Clone, Debug)]
pub struct CompleteRequest {
    /// Where the upload is.
    pub bucket: Arc<Bucket>,
    /// Its key.
    pub key: ObjectKey,
    /// Its id. (By id, not [`Upload`]: a repeated completion finds the upload gone and gets its result again.)
    pub upload: UploadId,
    /// The parts in ascending order.
    pub parts: Vec<CompletePart>,
    /// The size that the client expects of the object.
    pub expected_size: Option<u64>,
    /// The checksum that the client expects of the object.
    pub checksum: Option<millpond_digest::Checksum>,
    /// The object's key, of an upload whose digests are sealed. Without it the object gets no checksum, and none can be compared.
    pub object_key: Option<Key>,
    /// When it is written.
    pub condition: Condition,
}

/// A page of an upload's parts.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct PartsPage {
    /// By number.
    pub parts: Vec<Part>,
    /// Whether there are more behind the last.
    pub truncated: bool,
}

/// A page of uploads to list.
#[derive(Clone, Debug, Default)]
pub struct UploadsRequest {
    /// Only keys that begin with this.
    pub prefix: String,
    /// As in [`ListRequest::delimiter`].
    pub delimiter: Option<String>,
    /// Where to go on.
    pub after: AfterUpload,
    /// The most entries and common prefixes; at most [`crate::MAX_PAGE`].
    pub limit: usize,
}

/// Where a listing of uploads goes on.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum AfterUpload {
    /// At the beginning.
    #[default]
    Start,
    /// At the first key behind this one (a `key-marker` alone).
    Key(String),
    /// At the first upload behind this one (`key-marker` and `upload-id-marker`).
    Upload(String, UploadId),
    /// Behind a common prefix.
    Prefix(String),
}

/// A page of uploads: by key in byte order, then by the time they were begun.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct UploadsPage {
    /// The uploads.
    pub uploads: Vec<Upload>,
    /// The common prefixes.
    pub prefixes: Vec<String>,
    /// Where the next page begins; `None` when this is the last.
    pub next: Option<AfterUpload>,
}

/// A part of a finished object.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PartInfo {
    /// Its number, as it was uploaded; 1 for an object that was put at once.
    pub number: u16,
    /// Where it begins in the object.
    pub offset: u64,
    /// Bytes.
    pub size: u64,
    /// Its checksum.
    pub checksum: Option<millpond_digest::Checksum>,
    /// How many parts the object has; `None` for an object that was put at once.
    pub count: Option<u32>,
}
