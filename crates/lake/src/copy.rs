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
use crate::requests::{CopyRequest, Written};
use crate::rows::{ChecksumRow, MetadataRow, VersionRow};
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
    /// Makes an object of another's bytes without moving them. The ETag and the parts are the source's: AWS computes an MD5 over all
    /// bytes of a source that came in parts, which would read them.
    ///
    /// # Errors
    /// As [`Lake::put`]; `Changed` when the source was removed meanwhile, `IsDeleteMarker`, `EntityTooLarge` above
    /// [`MAX_PUT_BYTES`], `Damaged` when a checksum had to be computed and the bytes are damaged.
    pub async fn copy(&self, request: CopyRequest, origin: &Origin) -> Result<Written, LakeError> {
        let CopyRequest { source, bucket, key, metadata, tags, checksum, owner, condition } = request;
        let object = source.object().ok_or(LakeError::IsDeleteMarker)?;
        if object.size > MAX_PUT_BYTES {
            return Err(LakeError::EntityTooLarge { size: object.size, max: MAX_PUT_BYTES });
        }
        let checksum = self.checksum_for_copy(&source, object, checksum).await?;
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
                checksum: checksum.as_ref().map(ChecksumRow::of),
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

    /// The row of a version that was looked up, provided that it still has the same bytes.
    pub(crate) async fn find_source(&self, source: &Version) -> Result<Stored, LakeError> {
        let view = self.kv().snapshot().await?;
        let found = versions::find(&*view, source.bucket, true, &source.key, source.id).await?;
        let body = source.object().and_then(body_ref);
        match found {
            Some((stored, _))
                if !stored.row.marker && stored.row.stamp == source.stamp && stored.row.body()? == body =>
            {
                Ok(stored)
            }
            _ => Err(LakeError::Changed),
        }
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
