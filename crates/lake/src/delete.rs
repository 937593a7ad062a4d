//! Deleting keys and versions.

use std::collections::HashSet;

use millpond_types::{ObjectKey, Origin};

use crate::buckets::CachedBucket;
use crate::draft::{Draft, Turn};
use crate::error::{LakeError, Refused};
use crate::journal::{Change, ChangeKind};
use crate::lake::Lake;
use crate::limits::{DELETE_CHUNK, MAX_DELETE_KEYS};
use crate::model::{Bucket, Condition, DeleteCondition, VersionId, Versioning};
use crate::requests::{DeleteItem, Deleted};
use crate::rows::VersionRow;
use crate::versions::{self, Head};

impl Lake {
    /// Deletes a key or one of its versions, as S3 does in each versioning state: without a version it removes the object (versioning
    /// never enabled), or writes a delete marker; with a version it removes that for good. What does not exist is deleted already.
    ///
    /// # Errors
    /// `NoSuchBucket`; with `IfMatch`: `NoSuchKey` when there is nothing, `PreconditionFailed` when there is something else.
    pub async fn delete(
        &self,
        bucket: &Bucket,
        key: &ObjectKey,
        version: Option<VersionId>,
        condition: DeleteCondition,
        origin: &Origin,
    ) -> Result<Deleted, LakeError> {
        let item = DeleteItem { key: key.clone(), version, condition };
        self.delete_one(bucket, &item, origin).await
    }

    async fn delete_one(&self, bucket: &Bucket, item: &DeleteItem, origin: &Origin) -> Result<Deleted, LakeError> {
        let condition = match &item.condition {
            DeleteCondition::Always => Condition::Always,
            DeleteCondition::IfMatch(etag) => Condition::IfMatch(etag.clone()),
        };
        let mut turn = Turn::new(self, bucket, &item.key);
        loop {
            let cached = self.decided(bucket)?;
            let mut draft = Draft::in_bucket(&cached);
            let deleted = self.plan_delete(&mut draft, &cached, item, origin).await?;
            if draft.ops.is_empty() {
                return Ok(deleted);
            }
            draft.urgent = true;
            match self.commit(draft).await {
                Ok(_) => return Ok(deleted),
                Err(refused) => turn.again(refused, Some(&bucket.name), &condition).await?,
            }
        }
    }

    /// Deletes many keys in few commits. Results are in the order of `items`; each stands for itself.
    ///
    /// # Errors
    /// `TooManyKeys` beyond [`MAX_DELETE_KEYS`], before any is deleted; `NoSuchBucket`, `Busy`, `ReadOnly`. `Reconfigured` is the result of single
    /// items.
    pub async fn delete_many(
        &self,
        bucket: &Bucket,
        items: &[DeleteItem],
        origin: &Origin,
    ) -> Result<Vec<Result<Deleted, LakeError>>, LakeError> {
        if items.len() > MAX_DELETE_KEYS {
            return Err(LakeError::TooManyKeys { max: MAX_DELETE_KEYS });
        }
        let mut results = Vec::with_capacity(items.len());
        let mut rest = items;
        while !rest.is_empty() {
            let mut keys = HashSet::new();
            // A key that comes twice begins a new commit: its second deletion has to see what the first one did.
            let fresh = rest.iter().take(DELETE_CHUNK).take_while(|item| keys.insert(item.key.as_str())).count();
            let (chunk, behind) = rest.split_at(fresh);
            match self.delete_chunk(bucket, chunk, origin).await {
                // Those of the chunks before are deleted; the others are for the caller to decide anew.
                Err(LakeError::Reconfigured) => results.extend(chunk.iter().map(|_| Err(LakeError::Reconfigured))),
                chunk => results.extend(chunk?),
            }
            rest = behind;
        }
        Ok(results)
    }

    /// One commit for all; when others are in the way, one for each.
    async fn delete_chunk(
        &self,
        bucket: &Bucket,
        chunk: &[DeleteItem],
        origin: &Origin,
    ) -> Result<Vec<Result<Deleted, LakeError>>, LakeError> {
        let cached = self.decided(bucket)?;
        let mut draft = Draft::in_bucket(&cached);
        draft.urgent = true;
        let mut results = Vec::with_capacity(chunk.len());
        for item in chunk {
            let before = (draft.conds.len(), draft.ops.len());
            let result = self.plan_delete(&mut draft, &cached, item, origin).await;
            // A refused item is found out before it changed anything: see `plan_delete`.
            if result.is_err() && before != (draft.conds.len(), draft.ops.len()) {
                return self.delete_each(bucket, chunk, origin).await;
            }
            results.push(result);
        }
        if draft.ops.is_empty() {
            return Ok(results);
        }
        match self.commit(draft).await {
            Ok(_) => Ok(results),
            Err(Refused::Error(error @ (LakeError::ReadOnly(_) | LakeError::Full))) => Err(error),
            Err(_) => self.delete_each(bucket, chunk, origin).await,
        }
    }

    async fn delete_each(
        &self,
        bucket: &Bucket,
        chunk: &[DeleteItem],
        origin: &Origin,
    ) -> Result<Vec<Result<Deleted, LakeError>>, LakeError> {
        let mut results = Vec::with_capacity(chunk.len());
        self.refresh_bucket(&bucket.name).await?;
        for item in chunk {
            results.push(self.delete_one(bucket, item, origin).await);
        }
        Ok(results)
    }

    /// Adds what deletes `item` to a draft: nothing when there is nothing to do. Conditions are evaluated before the draft is touched.
    async fn plan_delete(
        &self,
        draft: &mut Draft,
        cached: &CachedBucket,
        item: &DeleteItem,
        origin: &Origin,
    ) -> Result<Deleted, LakeError> {
        let (bucket, key) = (&cached.bucket, &item.key);
        match item.version {
            Some(id) => self.plan_delete_version(draft, cached, item, id, origin).await,
            None => {
                let head = Head::read(self.kv(), bucket, key).await?;
                allows(&head, &item.condition)?;
                if bucket.versioning == Versioning::Unset {
                    let Some(current) = &head.current else { return Ok(Deleted::default()) };
                    self.remove_head(draft, cached, key, current).await?;
                    self.announce(draft, bucket, key, &current.row, ChangeKind::ObjectDeleted, origin);
                    return Ok(Deleted::default());
                }
                let marker = VersionRow::delete_marker(&bucket.owner);
                let (row, now) = self.place(draft, cached, key, &head, marker).await?;
                draft.journal(Change::of_version(ChangeKind::MarkerCreated, bucket, key.as_str(), &row, now, origin));
                Ok(Deleted { marker: Some(row.id()), version: None, was_marker: false })
            }
        }
    }

    async fn plan_delete_version(
        &self,
        draft: &mut Draft,
        cached: &CachedBucket,
        item: &DeleteItem,
        id: VersionId,
        origin: &Origin,
    ) -> Result<Deleted, LakeError> {
        let (bucket, key) = (&cached.bucket, &item.key);
        let view = self.kv().snapshot().await?;
        if item.condition != DeleteCondition::Always {
            let head = Head::read(&*view, bucket, key).await?;
            allows(&head, &item.condition)?;
            head.pin(draft, bucket, key);
        }
        let found = versions::find(&*view, bucket.id, bucket.is_versioned(), key, id).await?;
        drop(view);
        let Some((stored, is_head)) = found else {
            return Ok(Deleted { version: Some(id), ..Deleted::default() });
        };
        if is_head {
            self.remove_head(draft, cached, key, &stored).await?;
        } else {
            versions::remove_noncurrent(draft, bucket.id, key.as_str(), &stored)?;
        }
        self.announce(draft, bucket, key, &stored.row, ChangeKind::ObjectDeleted, origin);
        Ok(Deleted { marker: None, version: Some(id), was_marker: stored.row.marker })
    }

    fn announce(
        &self,
        draft: &mut Draft,
        bucket: &Bucket,
        key: &ObjectKey,
        row: &VersionRow,
        kind: ChangeKind,
        origin: &Origin,
    ) {
        let now = self.now();
        draft.journal(Change::of_version(kind, bucket, key.as_str(), row, now, origin));
    }
}

/// Whether a delete may go on: a delete marker as the newest version is something, but matches no ETag.
fn allows(head: &Head, condition: &DeleteCondition) -> Result<(), LakeError> {
    let DeleteCondition::IfMatch(etag) = condition else { return Ok(()) };
    match (&head.current, &head.marker) {
        (Some(current), _) if etag == "*" || *etag == current.row.etag() => Ok(()),
        (None, None) => Err(LakeError::NoSuchKey),
        _ => Err(LakeError::PreconditionFailed),
    }
}
