//! The change feed: one entry per change, appended by the commit that makes the change.

use std::net::IpAddr;
use std::ops::Bound;

use bytes::Bytes;
use millpond_meta::{Key, Op, Position, Scan};
use millpond_types::{Changed, Origin, RequestId, Timestamp};

use crate::draft::Draft;
use crate::error::LakeError;
use crate::keys;
use crate::lake::Lake;
use crate::limits::MAX_CHANGES;
use crate::model::{Bucket, ConfigKind, VersionId};
use crate::rows::{self, ChangeRow, ChangeTime, VersionRow};

/// What happened. The numbers are part of the disk format.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum ChangeKind {
    /// An object was put at once.
    ObjectPut = 1,
    /// An object was copied.
    ObjectCopied = 2,
    /// A multipart upload was completed.
    UploadCompleted = 3,
    /// An object or version was deleted for good.
    ObjectDeleted = 4,
    /// A delete marker was written.
    MarkerCreated = 5,
    /// An object's tags were set.
    TagsPut = 6,
    /// An object's tags were removed.
    TagsDeleted = 7,
    /// The bucket was created.
    BucketCreated = 8,
    /// The bucket was deleted.
    BucketDeleted = 9,
    /// The bucket's versioning was set.
    BucketVersioning = 10,
    /// The bucket's tags were set or removed.
    BucketTagging = 11,
    /// A configuration of the bucket was set or removed; the operation says which.
    BucketConfiguration = 12,
    /// An object's access control list was set.
    AclPut = 13,
}

impl ChangeKind {
    const ALL: [Self; 13] = [
        Self::ObjectPut,
        Self::ObjectCopied,
        Self::UploadCompleted,
        Self::ObjectDeleted,
        Self::MarkerCreated,
        Self::TagsPut,
        Self::TagsDeleted,
        Self::BucketCreated,
        Self::BucketDeleted,
        Self::BucketVersioning,
        Self::BucketTagging,
        Self::BucketConfiguration,
        Self::AclPut,
    ];

    /// The event's name as S3 notifications show it; `None` for changes that S3 does not announce.
    pub fn event(self) -> Option<&'static str> {
        Some(match self {
            Self::ObjectPut => "ObjectCreated:Put",
            Self::ObjectCopied => "ObjectCreated:Copy",
            Self::UploadCompleted => "ObjectCreated:CompleteMultipartUpload",
            Self::ObjectDeleted => "ObjectRemoved:Delete",
            Self::MarkerCreated => "ObjectRemoved:DeleteMarkerCreated",
            Self::TagsPut => "ObjectTagging:Put",
            Self::TagsDeleted => "ObjectTagging:Delete",
            Self::AclPut => "ObjectAcl:Put",
            Self::BucketCreated
            | Self::BucketDeleted
            | Self::BucketVersioning
            | Self::BucketTagging
            | Self::BucketConfiguration => return None,
        })
    }
}

/// A change as the feed tells it.
#[derive(Clone, PartialEq, Debug)]
pub struct ChangeEntry {
    /// Where it stands in the feed: commit-ordered.
    pub position: Position,
    /// What happened.
    pub kind: ChangeKind,
    /// The API operation that did it.
    pub operation: String,
    /// The bucket's name.
    pub bucket: String,
    /// The key; empty for changes of the bucket itself.
    pub key: String,
    /// The version; `None` where the bucket never had versioning.
    pub version: Option<VersionId>,
    /// Bytes of the object.
    pub size: u64,
    /// Without quotes; empty for delete markers.
    pub etag: String,
    /// Orders the changes of a key, and all others too, whatever the clock does: 20 hexadecimal digits.
    pub sequencer: String,
    /// The principal.
    pub requester: String,
    /// Where the request came from.
    pub source_ip: Option<IpAddr>,
    /// The request.
    pub request_id: RequestId,
    /// What led to it, oldest first.
    pub causes: Vec<String>,
    /// When it was done.
    pub time: Timestamp,
    /// Whose request it was: an account id, a service's principal or `anonymous`; empty in entries of earlier versions.
    pub account: String,
    /// The configuration that was set, with what it is now: empty when it was removed. Told of notifications alone.
    pub config: Option<(ConfigKind, Bytes)>,
}

impl ChangeEntry {
    /// Reads an entry of a bucket's stream of changes.
    pub fn read(position: Position, row: &Bytes) -> Result<Self, LakeError> {
        at(position, row)
    }

    /// The time of an entry; cheaper than reading it whole.
    pub fn time_of(row: &Bytes) -> Option<Timestamp> {
        rows::decode("journal", row).ok().map(|ChangeTime { time }| Timestamp(time))
    }
}

/// Who reads the buckets' journals behind a cursor: what is not read is not trimmed.
pub trait JournalReaders: Send + Sync {
    /// The entry behind which nothing is read yet, by the slowest reader; `None` when there is no reader. All entries up to it may go.
    fn slowest(&self, stream: &Key) -> Option<Position>;

    /// What takes the cursors of a journal away: for the commit after which the journal is no more.
    fn gone(&self, stream: &Key) -> Vec<Op>;
}

/// A change to be written.
pub(crate) struct Change {
    row: ChangeRow,
    bucket: u64,
    /// What is appended to other streams, by stream.
    besides: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Change {
    /// A change of the bucket itself.
    pub fn of_bucket(kind: ChangeKind, bucket: &Bucket, now: Timestamp, origin: &Origin) -> Self {
        let row = ChangeRow {
            kind: kind as u32,
            operation: origin.operation.into(),
            bucket: bucket.name.as_str().into(),
            requester: origin.requester.clone(),
            account: origin.account.clone(),
            source_ip: match origin.source_ip {
                Some(IpAddr::V4(ip)) => Bytes::copy_from_slice(&ip.octets()),
                Some(IpAddr::V6(ip)) => Bytes::copy_from_slice(&ip.octets()),
                None => Bytes::new(),
            },
            request_id: rows::id_bytes(origin.request_id.0),
            causes: origin.causes.clone(),
            time: now.0,
            ..ChangeRow::default()
        };
        Self { row, bucket: bucket.id, besides: Vec::new() }
    }

    /// The change of a configuration.
    pub fn with_config(mut self, kind: ConfigKind, value: Option<&Bytes>) -> Self {
        self.row.config = kind as u32;
        self.row.value = value.cloned().unwrap_or_default();
        self
    }

    /// A change of a version.
    pub fn of_version(
        kind: ChangeKind,
        bucket: &Bucket,
        key: &str,
        version: &VersionRow,
        now: Timestamp,
        origin: &Origin,
    ) -> Self {
        let mut change = Self::of_bucket(kind, bucket, now, origin);
        let row = &mut change.row;
        row.key = key.into();
        (row.stamp, row.nonce, row.null) = (version.stamp, version.nonce, version.null);
        (row.size, row.md5, row.parts) = (version.size, version.md5.clone(), version.parts);
        row.versioned = bucket.versioning != crate::model::Versioning::Unset;
        if let Some(besides) = &origin.besides {
            let version = row.versioned.then(|| version.id().to_string());
            change.besides = besides.of(&Changed { key, version, marker: kind == ChangeKind::MarkerCreated });
        }
        change
    }
}

impl Draft {
    /// Adds an entry to the change feed of the change's bucket.
    pub fn journal(&mut self, change: Change) {
        self.ops.push(Op::Append { stream: keys::journal(change.bucket), value: rows::encode(&change.row) });
        let besides = change.besides.into_iter();
        self.ops.extend(besides.map(|(stream, value)| Op::Append { stream: stream.into(), value: value.into() }));
    }
}

pub(crate) fn entry(key: &[u8], row: &Bytes) -> Result<ChangeEntry, LakeError> {
    at(Position::from_key(key).ok_or_else(|| rows::damaged("journal"))?, row)
}

fn at(position: Position, row: &Bytes) -> Result<ChangeEntry, LakeError> {
    let bad = || rows::damaged("journal");
    let row: ChangeRow = rows::decode("journal", row)?;
    let version = if row.null { VersionId::Null } else { VersionId::Id { stamp: row.stamp, nonce: row.nonce } };
    let source_ip = match row.source_ip.len() {
        0 => None,
        4 => <[u8; 4]>::try_from(row.source_ip.as_ref()).ok().map(IpAddr::from),
        _ => Some(<[u8; 16]>::try_from(row.source_ip.as_ref()).map(IpAddr::from).map_err(|_| bad())?),
    };
    Ok(ChangeEntry {
        position,
        kind: ChangeKind::ALL.into_iter().find(|k| *k as u32 == row.kind).ok_or_else(bad)?,
        operation: row.operation,
        bucket: row.bucket,
        key: row.key,
        version: row.versioned.then_some(version),
        size: row.size,
        etag: if row.md5.is_empty() { String::new() } else { rows::etag(&row.md5, row.parts) },
        // Not of the version's stamp: after its last version was deleted a key keeps no memory of what the clock was.
        sequencer: position.to_string(),
        requester: row.requester,
        source_ip,
        request_id: RequestId(rows::id_of("journal", &row.request_id)?),
        causes: row.causes,
        time: Timestamp(row.time),
        account: row.account,
        config: u8::try_from(row.config).ok().and_then(ConfigKind::from_code).map(|kind| (kind, row.value)),
    })
}

impl Lake {
    /// The changes of a bucket behind `after` in commit order, at most `limit` (and [`MAX_CHANGES`]).
    ///
    /// Entries are kept for [`crate::LakeConfig::journal_keep`]; a reader that comes later misses those that were trimmed.
    pub async fn changes(
        &self,
        bucket: &Bucket,
        after: Option<Position>,
        limit: usize,
    ) -> Result<Vec<ChangeEntry>, LakeError> {
        let stream = keys::journal(bucket.id);
        let from = match after {
            Some(position) => Bound::Excluded([&stream[..], &position.to_bytes()].concat().into()),
            None => Bound::Included(stream.clone()),
        };
        let scan = Scan {
            from,
            to: Bound::Excluded(keys::behind(&stream)),
            reverse: false,
            limit: limit.clamp(1, MAX_CHANGES),
        };
        self.kv().scan(scan).await?.iter().map(|(key, row)| entry(key, row)).collect()
    }

    /// Changes whenever something was committed, so that a reader of [`Lake::changes`] knows when to look again.
    pub fn watch_changes(&self) -> tokio::sync::watch::Receiver<u64> {
        self.kv().watch()
    }
}

impl Lake {
    /// Up to where entries of a journal may be trimmed; `None` when nobody reads it.
    pub(crate) fn journal_floor(&self, bucket: u64) -> Option<Position> {
        self.readers()?.slowest(&keys::journal(bucket))
    }

    /// Whether all entries of a journal were read by all of its readers.
    pub async fn journal_is_read(&self, bucket: u64) -> Result<bool, LakeError> {
        let Some(floor) = self.journal_floor(bucket) else { return Ok(true) };
        let stream = keys::journal(bucket);
        let to = Bound::Excluded(keys::behind(&stream));
        let last = self.kv().scan(Scan { from: Bound::Included(stream), to, reverse: true, limit: 1 }).await?;
        Ok(last.first().and_then(|(key, _)| Position::from_key(key)).is_none_or(|last| last <= floor))
    }
}

/// Whether an entry is older than a time (in nanoseconds) or than a commit.
pub(crate) fn is_old(key: &[u8], row: &Bytes, oldest: u64, first_commit: u64) -> Result<bool, LakeError> {
    let position = Position::from_key(key).ok_or_else(|| rows::damaged("journal"))?;
    let ChangeTime { time } = rows::decode("journal", row)?;
    Ok(time < oldest || position.commit < first_commit)
}
