//! Copies: new rows that refer to the same bytes.

use std::ops::Range;

use bytes::Bytes;
use millpond_digest::{ChecksumAlgorithm, ChecksumType, Md5Digest};
use millpond_types::Origin;

use crate::draft::{Draft, Turn};
use crate::error::LakeError;
use crate::hash::Hashing;
use crate::journal::{Change, ChangeKind};
use crate::lake::Lake;
use crate::limits::MAX_PUT_BYTES;
use crate::model::{Body, Checksum, Object, Version};
use crate::refs::BodyRef;
use crate::requests::{CopyRequest, IngestPlan, PutRequest, Written};
use crate::rows::{self, EncryptionRow, MetadataRow, VersionRow};
use crate::sealing::{Kept, Sealing};
use crate::versions::{self, Head, Stored};
use crate::write::written;

/// The reference of a version to its bytes.
pub(crate) fn body_ref(object: &Object) -> Option<BodyRef> {
    match object.body {
        Body::Empty => None,
        Body::Inline { id } => Some(BodyRef::inline(id)),
        Body::Extent { id } => Some(BodyRef::extent(id)),
        Body::Manifest { id } => Some(BodyRef::manifest(id)),
    }
}

impl Lake {
    /// Makes an object of another's bytes without moving them. The ETag and the parts are the source's, unless the one shows an MD5 and the other
    /// hides it: AWS computes an MD5 over all bytes of a source that came in parts, which would read them.
    ///
    /// Only the bytes of a plain source that is to be encrypted are read, and written anew.
    ///
    /// # Errors
    /// As [`Lake::put`]; `Changed` when the source was removed meanwhile, `Reconfigured` when its tags or ACL were replaced, `IsDeleteMarker`, `EntityTooLarge` above
    /// [`MAX_PUT_BYTES`], `Damaged` when the bytes had to be read and are damaged, `Locked` when the source is encrypted and its key was not
    /// brought.
    pub async fn copy(&self, request: CopyRequest, origin: &Origin) -> Result<Written, LakeError> {
        let object = request.source.object().ok_or(LakeError::IsDeleteMarker)?;
        if object.size > MAX_PUT_BYTES {
            return Err(LakeError::EntityTooLarge { size: object.size, max: MAX_PUT_BYTES });
        }
        if object.encrypted.is_none() && request.sealing.is_some() {
            return self.copy_bytes(request, origin).await;
        }
        let CopyRequest { source, bucket, key, metadata, tags, checksum, owner, condition, sealing } = request;
        let object = source.object().ok_or(LakeError::IsDeleteMarker)?;
        let checksum = self.checksum_for_copy(&source, object, checksum).await?;
        let digests = self.digests_of_copy(object, sealing.as_ref(), checksum.as_ref())?;
        let encryption = sealing.as_ref().map(|s| EncryptionRow::of(&s.encryption, digests.md5.clone()));
        let mut turn = Turn::new(self, &bucket, &key);
        loop {
            let cached = self.decided(&bucket)?;
            let head = Head::read(self.kv(), &cached.bucket, &key).await?;
            head.allows(&condition)?;
            let stored = self.find_source(&source).await?;
            let mut draft = Draft::in_bucket(&cached);
            draft.equals(stored.at, stored.bytes);
            if let Some(body) = body_ref(object) {
                draft.gain(body);
            }
            let new = VersionRow {
                owner: owner.as_str().into(),
                md5: Bytes::copy_from_slice(&digests.etag),
                checksum: digests.checksum.clone(),
                encryption: encryption.clone(),
                storage_class: metadata.storage_class.clone(),
                metadata: Some(MetadataRow::of(&metadata)),
                tags: tags.clone(),
                acl: metadata.acl.clone(),
                ..stored.row
            };
            let (row, now) = self.place(&mut draft, &cached, &key, &head, new).await?;
            draft.journal(Change::of_version(
                ChangeKind::ObjectCopied,
                &cached.bucket,
                key.as_str(),
                &row,
                now,
                origin,
            ));
            match self.commit(draft).await {
                Ok(_) => return written(&cached.bucket, key.clone(), row),
                Err(refused) => turn.again(refused, Some(&bucket.name), &condition).await?,
            }
        }
    }

    /// Copies byte by byte, from plain to encrypted.
    async fn copy_bytes(&self, request: CopyRequest, origin: &Origin) -> Result<Written, LakeError> {
        let CopyRequest { source, bucket, key, metadata, tags, checksum, owner, condition, sealing } = request;
        let (Some(object), Some(sealing)) = (source.object(), sealing) else { return Err(LakeError::IsDeleteMarker) };
        // A checksum of parts' checksums says nothing of an object that has no parts.
        let kept = object.checksum.map(|sum| sum.algorithm());
        let algorithm = checksum.or(kept).unwrap_or(crate::DEFAULT_CHECKSUM);
        let plan = IngestPlan { expected_len: Some(object.size), md5: true, checksums: vec![algorithm] };
        let mut ingest = self.ingest_sealed(plan, sealing)?;
        let mut reader = self.read(&source, 0..object.size).await?;
        while let Some(chunk) = reader.next().await {
            ingest.write(chunk?).await?;
        }
        let ingested = ingest.finish().await?;
        let checksum = ingested.checksum(algorithm).map(Checksum::full);
        let mut new = PutRequest { bucket, key, ingested, metadata, tags, checksum, owner, condition };
        self.write_object(&mut new, Some(&source), ChangeKind::ObjectCopied, origin).await
    }

    /// What the row of a copy that refers to its source's bytes keeps of their digests.
    fn digests_of_copy(
        &self,
        object: &Object,
        sealing: Option<&Sealing>,
        checksum: Option<&Checksum>,
    ) -> Result<Kept, LakeError> {
        let encrypted = match (&object.encrypted, sealing) {
            (Some(encrypted), Some(_)) => Some(encrypted),
            (None, None) => None,
            // The bytes stay as they are, sealed or plain.
            _ => return Err(LakeError::Internal("a copy must be encrypted as its source is".into())),
        };
        let shown = rows::etag_bytes(&object.etag)?;
        let hidden = encrypted.is_some_and(|encrypted| encrypted.encryption.hides_digests());
        let hides = sealing.is_some_and(|sealing| sealing.encryption.hides_digests());
        let known = match encrypted {
            Some(encrypted) if hidden => encrypted.open_md5()?,
            _ => object.parts.is_none().then_some(shown),
        };
        // What the source shows must not be shown of a copy that hides it.
        let etag = (hidden || !hides).then_some(shown);
        Kept::new(self, sealing, known, etag, checksum)
    }

    /// The row of a version that is copied. `Changed` when it does not have the same bytes any more, `Reconfigured` when it is to be decided anew
    /// who may have them.
    pub(crate) async fn find_source(&self, source: &Version) -> Result<Stored, LakeError> {
        let stored = self.find_again(source, true).await?.ok_or(LakeError::Changed)?;
        if stored.row.decides_as(source) { Ok(stored) } else { Err(LakeError::Reconfigured) }
    }

    /// The row of a version that was looked up, provided that it still has the same bytes. `versioned` as in [`versions::find`].
    pub(crate) async fn find_again(&self, version: &Version, versioned: bool) -> Result<Option<Stored>, LakeError> {
        let view = self.kv().snapshot().await?;
        let found = versions::find(&*view, version.bucket, versioned, &version.key, version.id).await?;
        let Some((stored, _)) = found else { return Ok(None) };
        let body = version.object().and_then(body_ref);
        let same = !stored.row.marker && stored.row.stamp == version.stamp && stored.row.body()? == body;
        Ok(same.then_some(stored))
    }

    /// The checksum of a copy: the source's, unless another is wanted.
    async fn checksum_for_copy(
        &self,
        source: &Version,
        object: &Object,
        wanted: Option<ChecksumAlgorithm>,
    ) -> Result<Option<Checksum>, LakeError> {
        let Some(wanted) = wanted else { return Ok(object.checksum) };
        match object.checksum {
            Some(sum) if sum.algorithm() == wanted && sum.kind == ChecksumType::FullObject => Ok(Some(sum)),
            _ => {
                let (_, sums) = self.digest(source, 0..object.size, false, &[wanted]).await?;
                Ok(sums.first().copied().map(Checksum::full))
            }
        }
    }

    /// Reads a range to compute its digests.
    pub(crate) async fn digest(
        &self,
        source: &Version,
        range: Range<u64>,
        md5: bool,
        checksums: &[ChecksumAlgorithm],
    ) -> Result<(Option<Md5Digest>, Vec<millpond_digest::Checksum>), LakeError> {
        let mut hashing = Hashing::new(md5, checksums);
        let mut reader = self.read(source, range).await?;
        while let Some(chunk) = reader.next().await {
            let chunk: Bytes = chunk?;
            hashing.update(&chunk).await?;
        }
        hashing.finish().await
    }
}
