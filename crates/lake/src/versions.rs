//! The versions of a key: where they stand, and how a new one takes its place.
//!
//! Each key that has any version has exactly one *head*, its newest version: a row in `current` when it is an object, in `marker` when
//! it is a delete marker. All others lie in `version`, newest first. A change of the head has the head as its condition, and rows
//! reach `version` only when the head changes, so that nothing can slip in between reading and committing.

use std::ops::Bound;

use bytes::Bytes;
use millpond_meta::{Key, Scan, View};
use millpond_types::{ObjectKey, Timestamp};

use crate::buckets::CachedBucket;
use crate::draft::Draft;
use crate::error::LakeError;
use crate::keys::{self, Counter};
use crate::lake::Lake;
use crate::model::{Bucket, Condition, VersionId, Versioning};
use crate::rows::{self, VersionRow};

/// A version's row as it was read.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub at: Key,
    pub bytes: Bytes,
    pub row: VersionRow,
}

impl Stored {
    fn read(at: Key, bytes: Bytes) -> Result<Self, LakeError> {
        Ok(Self { row: rows::decode("version", &bytes)?, at, bytes })
    }
}

/// The newest version of a key, as two reads found it.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub current: Option<Stored>,
    pub marker: Option<Stored>,
}

impl Head {
    /// Reads it. `marker` is looked at only when there is no current object and there can be a marker.
    pub async fn read(view: &(impl View + ?Sized), bucket: &Bucket, key: &ObjectKey) -> Result<Self, LakeError> {
        Self::read_in(view, bucket.id, bucket.versioning != Versioning::Unset, key).await
    }

    async fn read_in(
        view: &(impl View + ?Sized),
        bucket: u64,
        versioned: bool,
        key: &ObjectKey,
    ) -> Result<Self, LakeError> {
        let current = get(view, keys::current(bucket, key.as_str())).await?;
        let marker = match current {
            None if versioned => get(view, keys::marker(bucket, key.as_str())).await?,
            _ => None,
        };
        Ok(Self { current, marker })
    }

    pub fn newest(&self) -> Option<&Stored> {
        self.current.as_ref().or(self.marker.as_ref())
    }

    /// Has the head as it was read as a condition.
    pub fn pin(&self, draft: &mut Draft, bucket: &Bucket, key: &ObjectKey) {
        draft.as_read(keys::current(bucket.id, key.as_str()), self.current.as_ref().map(|s| &s.bytes));
        if self.current.is_none() && bucket.versioning != Versioning::Unset {
            draft.as_read(keys::marker(bucket.id, key.as_str()), self.marker.as_ref().map(|s| &s.bytes));
        }
    }

    /// Whether a write may go on (S3 User Guide, "Add preconditions to S3 operations with conditional requests": If-Match on a key
    /// without a current object is a 404).
    pub fn allows(&self, condition: &Condition) -> Result<(), LakeError> {
        match (condition, &self.current) {
            (Condition::Always, _) | (Condition::IfAbsent, None) => Ok(()),
            (Condition::IfAbsent, Some(_)) => Err(LakeError::PreconditionFailed),
            (Condition::IfMatch(_), None) => Err(LakeError::NoSuchKey),
            (Condition::IfMatch(etag), Some(current)) if etag == "*" || *etag == current.row.etag() => Ok(()),
            (Condition::IfMatch(_), Some(_)) => Err(LakeError::PreconditionFailed),
        }
    }
}

async fn get(view: &(impl View + ?Sized), at: Key) -> Result<Option<Stored>, LakeError> {
    view.get(&at).await?.map(|bytes| Stored::read(at, bytes)).transpose()
}

/// A version by its id: the head (then true), or one behind it. `view` should be a snapshot, as versions move between the two.
/// `versioned` tells whether the bucket's versioning was ever enabled.
pub(crate) async fn find(
    view: &(impl View + ?Sized),
    bucket: u64,
    versioned: bool,
    key: &ObjectKey,
    id: VersionId,
) -> Result<Option<(Stored, bool)>, LakeError> {
    let head = Head::read_in(view, bucket, versioned, key).await?;
    if let Some(newest) = head.newest()
        && newest.row.id() == id
    {
        return Ok(Some((newest.clone(), true)));
    }
    if !versioned {
        return Ok(None);
    }
    let stamp = match id {
        VersionId::Id { stamp, .. } => stamp,
        VersionId::Null => match view.get(&keys::null(bucket, key.as_str())).await? {
            Some(row) => null_stamp(&row)?,
            None => return Ok(None),
        },
    };
    let found = get(view, keys::version(bucket, key.as_str(), stamp)).await?;
    Ok(found.filter(|stored| stored.row.id() == id).map(|stored| (stored, false)))
}

/// The stamp in a row of `null`.
pub(crate) fn null_stamp(row: &Bytes) -> Result<u64, LakeError> {
    row.as_ref().try_into().map(u64::from_be_bytes).map_err(|_| rows::damaged("null"))
}

/// The newest noncurrent version of a key.
async fn next_newest(view: &(impl View + ?Sized), bucket: u64, key: &str) -> Result<Option<Stored>, LakeError> {
    let prefix = keys::versions_of(bucket, key);
    let scan =
        Scan { to: Bound::Excluded(keys::behind(&prefix)), from: Bound::Included(prefix), reverse: false, limit: 1 };
    view.scan(scan).await?.pop().map(|(at, bytes)| Stored::read(at, bytes)).transpose()
}

fn head_key(bucket: u64, key: &str, marker: bool) -> Key {
    if marker { keys::marker(bucket, key) } else { keys::current(bucket, key) }
}

fn head_counter(row: &VersionRow) -> Counter {
    if row.marker { Counter::Others } else { Counter::Objects }
}

impl Lake {
    /// Puts a new version (object or delete marker) at the head of a key, as the bucket's versioning wants it: replacing the null
    /// version, or moving the head behind it. Gives the row its stamp, id and time.
    pub(crate) async fn place(
        &self,
        draft: &mut Draft,
        cached: &CachedBucket,
        key: &ObjectKey,
        head: &Head,
        mut new: VersionRow,
    ) -> Result<(VersionRow, Timestamp), LakeError> {
        let (bucket, name) = (&cached.bucket, key.as_str());
        let now = self.now();
        let newest = head.newest();
        new.stamp = now.0.max(newest.map_or(0, |newest| newest.row.stamp + 1));
        new.modified = now.0;
        new.null = bucket.versioning != Versioning::Enabled;
        new.nonce = if new.null { 0 } else { self.random().u64() };
        head.pin(draft, bucket, key);
        if let Some(newest) = newest {
            if new.null && newest.row.null {
                forget(draft, &newest.row, head_counter(&newest.row))?;
            } else {
                demote(draft, bucket.id, name, newest);
            }
            if newest.row.marker != new.marker {
                draft.delete(newest.at.clone());
            }
        }
        let head_was_null = newest.is_some_and(|newest| newest.row.null);
        if bucket.versioning == Versioning::Suspended && !head_was_null {
            self.remove_noncurrent_null(draft, bucket.id, name).await?;
        }
        draft.count(head_counter(&new), 1);
        draft.count(Counter::Bytes, size(&new));
        draft.put(head_key(bucket.id, name, new.marker), rows::encode(&new));
        Ok((new, now))
    }

    /// Removes the null version where it is not the head.
    async fn remove_noncurrent_null(&self, draft: &mut Draft, bucket: u64, key: &str) -> Result<(), LakeError> {
        let pointer = keys::null(bucket, key);
        let row = self.kv().get(&pointer).await?;
        draft.as_read(pointer, row.as_ref());
        let Some(row) = row else { return Ok(()) };
        let at = keys::version(bucket, key, null_stamp(&row)?);
        // Missing when another change removed it since the pointer was read; then the condition on the pointer does not hold either.
        if let Some(stored) = get(self.kv(), at).await? {
            remove_noncurrent(draft, bucket, key, &stored)?;
        }
        Ok(())
    }

    /// Removes the head of a key; the next newest version takes its place.
    pub(crate) async fn remove_head(
        &self,
        draft: &mut Draft,
        cached: &CachedBucket,
        key: &ObjectKey,
        head: &Stored,
    ) -> Result<(), LakeError> {
        let (bucket, name) = (&cached.bucket, key.as_str());
        draft.equals(head.at.clone(), head.bytes.clone());
        draft.delete(head.at.clone());
        forget(draft, &head.row, head_counter(&head.row))?;
        if bucket.versioning == Versioning::Unset {
            return Ok(());
        }
        let Some(next) = next_newest(self.kv(), bucket.id, name).await? else { return Ok(()) };
        draft.equals(next.at.clone(), next.bytes.clone());
        draft.delete(next.at.clone());
        if next.row.null {
            draft.delete(keys::null(bucket.id, name));
        }
        draft.count(Counter::Others, -1);
        draft.count(head_counter(&next.row), 1);
        draft.put(head_key(bucket.id, name, next.row.marker), next.bytes);
        Ok(())
    }
}

/// Bytes that a version counts for.
fn size(row: &VersionRow) -> i64 {
    i64::try_from(row.size).unwrap_or(i64::MAX)
}

/// Moves the head behind a new one. Its row in `current` or `marker` is left to the caller.
fn demote(draft: &mut Draft, bucket: u64, key: &str, head: &Stored) {
    draft.put(keys::version(bucket, key, head.row.stamp), head.bytes.clone());
    if head.row.null {
        draft.put(keys::null(bucket, key), Bytes::copy_from_slice(&head.row.stamp.to_be_bytes()));
    }
    draft.count(head_counter(&head.row), -1);
    draft.count(Counter::Others, 1);
}

/// Takes a version out of the counters and drops its reference to its bytes.
fn forget(draft: &mut Draft, row: &VersionRow, counter: Counter) -> Result<(), LakeError> {
    draft.count(counter, -1);
    draft.count(Counter::Bytes, -size(row));
    if let Some(body) = row.body()? {
        draft.lose(body);
    }
    Ok(())
}

/// Removes a version that is not the head.
pub(crate) fn remove_noncurrent(draft: &mut Draft, bucket: u64, key: &str, stored: &Stored) -> Result<(), LakeError> {
    draft.equals(stored.at.clone(), stored.bytes.clone());
    draft.delete(stored.at.clone());
    if stored.row.null {
        draft.delete(keys::null(bucket, key));
    }
    forget(draft, &stored.row, Counter::Others)
}
