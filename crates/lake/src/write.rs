//! Writing objects and their tags.

use bytes::Bytes;
use millpond_types::{ObjectKey, Origin};

use crate::draft::{Draft, Turn};
use crate::error::LakeError;
use crate::journal::{Change, ChangeKind};
use crate::lake::Lake;
use crate::limits::MAX_PUT_BYTES;
use crate::model::{Bucket, Condition, Tags, Version, Versioning};
use crate::requests::{PutRequest, Written};
use crate::rows::{self, NewObject, VersionRow};
use crate::sealing::Kept;
use crate::versions::Head;

impl Lake {
    /// Writes an object in one commit with its journal entry; durable when it returns.
    ///
    /// # Errors
    /// `NoSuchBucket`, `PreconditionFailed`, `NoSuchKey` (If-Match without a current object), `EntityTooLarge`, `Full`, `ReadOnly`,
    /// `Busy`, `ConditionalConflict`. The bytes are given back then.
    pub async fn put(&self, mut request: PutRequest, origin: &Origin) -> Result<Written, LakeError> {
        self.try_put(&mut request, origin).await
    }

    /// The same, which leaves the bytes in the request when it fails with `Reconfigured`: decided anew, for the bucket as it is then, it can be
    /// tried again. Its encryption may be another then; see [`crate::Ingested::keep`].
    pub async fn try_put(&self, request: &mut PutRequest, origin: &Origin) -> Result<Written, LakeError> {
        self.write_object(request, None, ChangeKind::ObjectPut, origin).await
    }

    /// Makes an object of a body that was taken in; the journal says how it came. What was read from `source` must still be there to be had.
    pub(crate) async fn write_object(
        &self,
        request: &mut PutRequest,
        source: Option<&Version>,
        kind: ChangeKind,
        origin: &Origin,
    ) -> Result<Written, LakeError> {
        let PutRequest { bucket, key, ingested, metadata, tags, checksum, owner, condition } = request;
        if ingested.size > MAX_PUT_BYTES {
            return Err(LakeError::EntityTooLarge { size: ingested.size, max: MAX_PUT_BYTES });
        }
        let md5 = ingested.md5.ok_or_else(|| LakeError::Internal("a body without its MD5 cannot be put".into()))?.0;
        let sealing = ingested.sealing()?.cloned();
        let digests = &Kept::new(self, sealing.as_ref(), Some(md5), None, checksum.as_ref())?;
        let encryption = sealing.as_ref().map(|sealing| &sealing.encryption);
        let mut turn = Turn::new(self, bucket, key);
        loop {
            let cached = self.decided(bucket)?;
            let head = Head::read(self.kv(), &cached.bucket, key).await?;
            head.allows(condition)?;
            let mut draft = Draft::in_bucket(&cached);
            if let Some(source) = source {
                let stored = self.find_source(source).await?;
                draft.equals(stored.at, stored.bytes);
            }
            let (body, size) = (ingested.body(), ingested.size);
            let new = NewObject { size, digests, parts: 0, encryption, body, metadata, tags, owner };
            let (row, now) = self.place(&mut draft, &cached, key, &head, new.row()).await?;
            draft.journal(Change::of_version(kind, &cached.bucket, key.as_str(), &row, now, origin));
            ingested.attach(&mut draft);
            match self.commit(draft).await {
                Ok(_) => {
                    ingested.committed();
                    return written(&cached.bucket, key.clone(), row);
                }
                Err(refused) => {
                    ingested.refused(&refused);
                    turn.again(refused, Some(&bucket.name), condition).await?;
                }
            }
        }
    }

    /// Replaces the tags of an object, of the version that was looked up and decided on. Empty tags remove the tag set.
    ///
    /// # Errors
    /// `Reconfigured` when the version is not there as it was decided on: it has gone, or its tags or its ACL were replaced meanwhile.
    pub async fn set_tags(
        &self,
        bucket: &Bucket,
        decided: &Version,
        tags: Tags,
        origin: &Origin,
    ) -> Result<Version, LakeError> {
        let kind = if tags.is_empty() { ChangeKind::TagsDeleted } else { ChangeKind::TagsPut };
        self.change_version(bucket, decided, kind, |row| row.tags.clone_from(&tags), origin).await
    }

    /// Replaces the access control list of an object, as [`Lake::set_tags`] does tags.
    ///
    /// # Errors
    /// As there.
    pub async fn set_acl(
        &self,
        bucket: &Bucket,
        decided: &Version,
        acl: Option<Bytes>,
        origin: &Origin,
    ) -> Result<Version, LakeError> {
        self.change_version(bucket, decided, ChangeKind::AclPut, |row| row.acl.clone_from(&acl), origin).await
    }

    /// Neither tags nor ACLs raise an epoch or a revision: the row itself is what the change was decided by.
    async fn change_version(
        &self,
        bucket: &Bucket,
        decided: &Version,
        kind: ChangeKind,
        change: impl Fn(&mut VersionRow) + Send + Sync,
        origin: &Origin,
    ) -> Result<Version, LakeError> {
        let key = &decided.key;
        let mut turn = Turn::new(self, bucket, key);
        loop {
            let cached = self.decided(bucket)?;
            let stored = self.find_again(decided, cached.bucket.is_versioned()).await?;
            let stored = stored.filter(|stored| stored.row.decides_as(decided)).ok_or(LakeError::Reconfigured)?;
            let mut row = stored.row;
            change(&mut row);
            let mut draft = Draft::in_bucket(&cached);
            draft.equals(stored.at.clone(), stored.bytes);
            draft.put(stored.at, rows::encode(&row));
            let now = self.now();
            draft.journal(Change::of_version(kind, &cached.bucket, key.as_str(), &row, now, origin));
            match self.commit(draft).await {
                Ok(_) => return row.version(bucket.id, key.clone()),
                Err(refused) => turn.again(refused, Some(&bucket.name), &Condition::Always).await?,
            }
        }
    }
}

/// The answer to a write.
pub(crate) fn written(bucket: &Bucket, key: ObjectKey, row: VersionRow) -> Result<Written, LakeError> {
    Ok(Written { version: row.version(bucket.id, key)?, versioned: bucket.versioning != Versioning::Unset })
}
