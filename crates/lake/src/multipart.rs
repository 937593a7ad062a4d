//! Multipart uploads up to their completion.

use std::ops::{Bound, Range};

use bytes::Bytes;
use millpond_digest::{ChecksumType, Md5Digest};
use millpond_meta::{Cond, Op, Scan};
use millpond_types::{ObjectKey, Origin, Timestamp};

use crate::copy::body_ref;
use crate::cursor::{Cursor, common_prefix};
use crate::draft::{Draft, Turn};
use crate::error::{LakeError, Refused};
use crate::ingest::{Ingested, Sealed};
use crate::keys::{self, Counter, tables};
use crate::lake::Lake;
use crate::limits::{MAX_PAGE, MAX_PART_BYTES, MAX_PARTS, MAX_SEALED_SLICES, MAX_SLICES};
use crate::manifest::{self, Slice};
use crate::model::{Body, Bucket, Condition, Metadata, Object, Version};
use crate::requests::{
    AfterUpload, IngestPlan, NewUpload, Part, PartsPage, Upload, UploadId, UploadsPage, UploadsRequest,
};
use crate::rows::{self, ChecksumRow, EncryptionRow, MetadataRow, PartRow, SliceRow, UploadRow};
use crate::sealing::{self, AtHand, Digests, PartKeys};
use crate::upkeep::WorkKind;

pub(crate) fn upload_of(bucket: u64, key: ObjectKey, id: UploadId, row: UploadRow) -> Result<Upload, LakeError> {
    let kind = if row.composite { ChecksumType::Composite } else { ChecksumType::FullObject };
    let algorithm = if row.algorithm == 0 { None } else { Some(rows::algorithm_of(row.algorithm)?) };
    Ok(Upload {
        id,
        bucket,
        key,
        metadata: Metadata {
            acl: row.acl,
            asked: row.asked,
            ..row.metadata.unwrap_or_default().metadata(row.storage_class)
        },
        tags: row.tags,
        owner: row.owner.parse().map_err(|_| rows::damaged("upload"))?,
        initiator: row.initiator,
        checksum: algorithm.map(|algorithm| (algorithm, kind)),
        created: Timestamp(row.created),
        encryption: row.encryption.map(EncryptionRow::encryption).transpose()?,
        object_key: AtHand::default(),
    })
}

pub(crate) fn part_of_row(row: &PartRow, digests: Option<&Digests>) -> Result<Part, LakeError> {
    Ok(Part {
        number: row.number()?,
        size: row.size,
        md5: row.md5()?,
        checksum: row.value(digests)?,
        modified: Timestamp(row.modified),
    })
}

impl Lake {
    /// Begins an upload.
    pub async fn create_upload(&self, new: NewUpload, _origin: &Origin) -> Result<Upload, LakeError> {
        let NewUpload { bucket, key, metadata, tags, owner, initiator, checksum, sealing } = new;
        let encryption = sealing.as_ref().map(|sealing| EncryptionRow::of(&sealing.encryption, Bytes::new()));
        let mut turn = Turn::new(self, &bucket, &key);
        loop {
            let cached = self.decided(&bucket)?;
            let now = self.now();
            // Ids of one key sort by time, as listings want it; the random half makes them unguessable.
            let id = UploadId(u128::from(now.0) << 64 | u128::from(self.random().u64()));
            let row = UploadRow {
                owner: owner.as_str().into(),
                initiator: initiator.clone(),
                created: now.0,
                algorithm: checksum.map_or(0, |(algorithm, _)| algorithm.code().into()),
                composite: checksum.is_some_and(|(_, kind)| kind == ChecksumType::Composite),
                storage_class: metadata.storage_class.clone(),
                metadata: Some(MetadataRow::of(&metadata)),
                tags: tags.clone(),
                encryption: encryption.clone(),
                acl: metadata.acl.clone(),
                asked: metadata.asked.clone(),
            };
            let at = keys::upload(cached.bucket.id, key.as_str(), id.0);
            let mut draft = Draft::in_bucket(&cached);
            draft.absent(at.clone());
            draft.put(at, rows::encode(&row));
            draft.count(Counter::Uploads, 1);
            match self.commit(draft).await {
                Ok(_) => {
                    let mut upload = upload_of(cached.bucket.id, key.clone(), id, row)?;
                    upload.object_key = AtHand(sealing.map(|sealing| sealing.key));
                    return Ok(upload);
                }
                Err(refused) => turn.again(refused, Some(&bucket.name), &Condition::Always).await?,
            }
        }
    }

    /// An upload under way.
    pub async fn upload(&self, bucket: &Bucket, key: &ObjectKey, id: UploadId) -> Result<Upload, LakeError> {
        let row = self.kv().get(&keys::upload(bucket.id, key.as_str(), id.0)).await?.ok_or(LakeError::NoSuchUpload)?;
        upload_of(bucket.id, key.clone(), id, rows::decode("upload", &row)?)
    }

    /// Makes a body that was taken in a part of an upload, replacing an earlier part of the number.
    ///
    /// When the upload has a checksum algorithm, the body must have been taken in with it. The body comes from [`Lake::ingest_part`].
    ///
    /// # Errors
    /// `Locked` when the upload is encrypted and its key was not brought, `NoSuchUpload`, `InvalidPartNumber`, `EntityTooLarge`, `Full`, `ReadOnly`, `Busy`.
    pub async fn put_part(
        &self,
        upload: &Upload,
        number: u16,
        mut ingested: Ingested,
        origin: &Origin,
    ) -> Result<Part, LakeError> {
        self.try_put_part(upload, number, &mut ingested, origin).await
    }

    /// The same, which leaves the bytes where they are when it fails with `Reconfigured`, as [`Lake::try_put`] does.
    pub async fn try_put_part(
        &self,
        upload: &Upload,
        number: u16,
        ingested: &mut Ingested,
        _origin: &Origin,
    ) -> Result<Part, LakeError> {
        self.part_of_body(upload, number, ingested, None).await
    }

    /// Makes a body that was taken in a part; `source` is where it was read from, if it was.
    async fn part_of_body(
        &self,
        upload: &Upload,
        number: u16,
        ingested: &mut Ingested,
        source: Option<&Version>,
    ) -> Result<Part, LakeError> {
        let md5 = ingested.md5.ok_or_else(|| LakeError::Internal("a body without its MD5 cannot be a part".into()))?;
        let checksum = match upload.checksum {
            // The one that the client sent on its own account, for the completion to be compared with, or else the default.
            None => ingested.checksums.first().copied(),
            Some((algorithm, _)) => Some(ingested.checksum(algorithm).ok_or_else(|| {
                LakeError::Internal(format!("a part of this upload has to be taken in with {algorithm}"))
            })?),
        };
        let second = match upload.checksum {
            None => ingested.checksums.get(1),
            Some(_) => None,
        };
        let mut row = self.part_row(upload, number, ingested.size, md5, [checksum.as_ref(), second])?;
        if let Some(body) = ingested.body() {
            let key = match (&ingested.sealed, &upload.encryption) {
                (Sealed::No, None) => Bytes::new(),
                (Sealed::Part(key), Some(_)) => {
                    PartKeys::of(sealing::needed(upload.object_key())?).wrap(self, body, key)?
                }
                _ => return Err(LakeError::Internal("a part must be encrypted as its upload is".into())),
            };
            row.slices.push(SliceRow { key, ..SliceRow::of(body, 0, ingested.size) });
        }
        self.commit_part(upload, row, Some(ingested), source).await
    }

    /// A part's row without its bytes.
    fn part_row(
        &self,
        upload: &Upload,
        number: u16,
        size: u64,
        md5: Md5Digest,
        checksums: [Option<&millpond_digest::Checksum>; 2],
    ) -> Result<PartRow, LakeError> {
        let [mut checksum, mut default_checksum] = checksums.map(|sum| sum.map(ChecksumRow::of_value));
        let mut etag = md5.0;
        if upload.hides_digests() {
            let digests = Digests::of(sealing::needed(upload.object_key())?);
            let seal = |row: Option<ChecksumRow>| row.map(|row| digests.seal(self, row)).transpose();
            (checksum, default_checksum) = (seal(checksum)?, seal(default_checksum)?);
            etag = self.random().u128().to_be_bytes();
        }
        let (number, md5) = (number.into(), Bytes::copy_from_slice(&etag));
        Ok(PartRow { number, size, md5, checksum, default_checksum, ..PartRow::default() })
    }

    /// Makes a range of an object a part of an upload. Large ranges are referred to, not copied (their bytes are read once for the
    /// part's MD5); small or splintered ones are copied, and those of a plain object to an encrypted upload.
    ///
    /// # Errors
    /// As [`Lake::put_part`]; `InvalidRange`, `IsDeleteMarker`, `Changed` when the source was removed meanwhile, `Reconfigured` when its tags or ACL were replaced, `PlainUpload` for an
    /// encrypted source and an upload that is not.
    pub async fn copy_part(
        &self,
        upload: &Upload,
        number: u16,
        source: &Version,
        range: Range<u64>,
        _origin: &Origin,
    ) -> Result<Part, LakeError> {
        let object = source.object().ok_or(LakeError::IsDeleteMarker)?;
        if range.start > range.end || range.end > object.size {
            return Err(LakeError::InvalidRange);
        }
        let size = range.end - range.start;
        if size > MAX_PART_BYTES {
            return Err(LakeError::EntityTooLarge { size, max: MAX_PART_BYTES });
        }
        if object.encrypted.is_some() && upload.encryption.is_none() {
            return Err(LakeError::PlainUpload);
        }
        let written_anew =
            size <= self.config().copy_bytes || object.encrypted.is_some() != upload.encryption.is_some();
        let slices = if written_anew { None } else { self.slices_of(object, range.clone(), upload).await? };
        let algorithms = upload.part_checksums(None);
        let Some(slices) = slices else {
            let plan = IngestPlan { expected_len: Some(size), md5: true, checksums: algorithms };
            let mut ingest = self.ingest_part(plan, upload)?;
            let mut reader = self.read(source, range).await?;
            while let Some(chunk) = reader.next().await {
                ingest.write(chunk?).await?;
            }
            return self.part_of_body(upload, number, &mut ingest.finish().await?, Some(source)).await;
        };
        let (md5, checksums) = self.digest(source, range, true, &algorithms).await?;
        let md5 = md5.ok_or_else(|| LakeError::Internal("the MD5 of a range is missing".into()))?;
        let row = PartRow { slices, ..self.part_row(upload, number, size, md5, [checksums.first(), None])? };
        self.commit_part(upload, row, None, Some(source)).await
    }

    /// The slices that make up a range; `None` when they are too many to refer to.
    async fn slices_of(
        &self,
        object: &Object,
        range: Range<u64>,
        upload: &Upload,
    ) -> Result<Option<Vec<SliceRow>>, LakeError> {
        let keys = match &object.encrypted {
            None => None,
            Some(encrypted) => {
                let (from, to) = (sealing::needed(encrypted.key())?, sealing::needed(upload.object_key())?);
                Some((from, PartKeys::of(from), PartKeys::of(to)))
            }
        };
        let row = |slice: Slice, in_parts: bool| -> Result<SliceRow, LakeError> {
            let key = match &keys {
                None => Bytes::new(),
                Some((_, from, to)) if in_parts => to.wrap(self, slice.body, &from.unwrap(slice.body, &slice.key)?)?,
                Some((whole, _, to)) => to.wrap(self, slice.body, whole)?,
            };
            let Slice { body, range, .. } = slice;
            Ok(SliceRow { key, ..SliceRow::of(body, range.start, range.end - range.start) })
        };
        let Body::Manifest { id } = object.body else {
            let whole = body_ref(object).map(|body| Slice { body, range, key: Bytes::new() });
            return Ok(whole.map(|slice| row(slice, false)).transpose()?.map(|slice| vec![slice]));
        };
        let most = if keys.is_some() { MAX_SEALED_SLICES } else { MAX_SLICES };
        let (mut found, mut at) = (Vec::new(), range.start);
        while at < range.end {
            let (slices, to) = manifest::slices(self.kv(), id, at..range.end).await?;
            if found.len() + slices.len() > most {
                return Ok(None);
            }
            for slice in slices {
                found.push(row(slice, true)?);
            }
            at = to;
        }
        Ok(Some(found))
    }

    /// Writes a part's row. `ingested` is its new body; without, it refers to the bytes of `source`. Either way `source` must still be there to be had.
    async fn commit_part(
        &self,
        upload: &Upload,
        mut row: PartRow,
        mut ingested: Option<&mut Ingested>,
        source: Option<&Version>,
    ) -> Result<Part, LakeError> {
        let number = row.number()?;
        if !(1..=MAX_PARTS).contains(&number) {
            return Err(LakeError::InvalidPartNumber);
        }
        let upload_key = keys::upload(upload.bucket, upload.key.as_str(), upload.id.0);
        let part_key = keys::part(upload.id.0, number);
        let mut turn = Turn::of_part(self, upload.id.0, &upload.key);
        loop {
            let before = self.kv().get(&part_key).await?;
            let mut draft = Draft::in_any_bucket(upload.bucket);
            // First, so that an upload that is over shows as such and is not tried again.
            draft.conds.push(Cond::Present(upload_key.clone()));
            draft.as_read(part_key.clone(), before.as_ref());
            if let Some(before) = before {
                lose_slices(&mut draft, &rows::decode("part", &before)?)?;
            }
            if let Some(source) = source {
                let stored = self.find_source(source).await?;
                draft.equals(stored.at, stored.bytes);
                for slice in row.slices.iter().filter(|_| ingested.is_none()) {
                    draft.gain(slice.body()?);
                }
            }
            row.modified = self.now().0;
            draft.put(part_key.clone(), rows::encode(&row));
            draft.ops.push(Op::Add(keys::part_writes(upload.id.0), 1));
            if let Some(ingested) = &mut ingested {
                ingested.attach(&mut draft);
            }
            match self.commit(draft).await {
                Ok(_) => {
                    if let Some(ingested) = ingested.take() {
                        ingested.committed();
                    }
                    return part_of_row(&row, upload.object_key().map(Digests::of).as_ref());
                }
                Err(refused) => {
                    if let Some(ingested) = &mut ingested {
                        ingested.refused(&refused);
                    }
                    if matches!(refused, Refused::Conflict { first: true }) {
                        return Err(LakeError::NoSuchUpload);
                    }
                    turn.again(refused, None, &Condition::Always).await?;
                }
            }
        }
    }

    /// Ends an upload without an object; its parts are given back by upkeep.
    pub async fn abort(&self, upload: &Upload, _origin: &Origin) -> Result<(), LakeError> {
        let upload_key = keys::upload(upload.bucket, upload.key.as_str(), upload.id.0);
        let mut draft = Draft::in_any_bucket(upload.bucket);
        draft.urgent = true;
        draft.conds.push(Cond::Present(upload_key.clone()));
        end_upload(&mut draft, upload_key, upload.id.0);
        draft.work(self.now().0, WorkKind::PartsOver, upload.id.0);
        match self.commit(draft).await {
            Ok(_) => Ok(()),
            Err(Refused::Conflict { .. }) => Err(LakeError::NoSuchUpload),
            Err(Refused::Error(error)) => Err(error),
        }
    }

    /// The parts of an upload with numbers above `after`, at most `limit`.
    pub async fn list_parts(&self, upload: &Upload, after: u16, limit: usize) -> Result<PartsPage, LakeError> {
        let upload_key = keys::upload(upload.bucket, upload.key.as_str(), upload.id.0);
        if self.kv().get(&upload_key).await?.is_none() {
            return Err(LakeError::NoSuchUpload);
        }
        let limit = limit.min(MAX_PAGE);
        let prefix = keys::parts_of(upload.id.0);
        let from = Bound::Excluded(keys::part(upload.id.0, after));
        let scan = Scan { from, to: Bound::Excluded(keys::behind(&prefix)), reverse: false, limit: limit + 1 };
        let found = self.kv().scan(scan).await?;
        let truncated = limit > 0 && found.len() > limit;
        let digests = upload.object_key().map(Digests::of);
        let parts = found.iter().take(limit).map(|(_, row)| part_of_row(&rows::decode("part", row)?, digests.as_ref()));
        Ok(PartsPage { parts: parts.collect::<Result<_, _>>()?, truncated })
    }

    /// A page of a bucket's uploads.
    pub async fn list_uploads(&self, bucket: &Bucket, request: UploadsRequest) -> Result<UploadsPage, LakeError> {
        let bucket = self.cached(bucket)?.bucket.id;
        let UploadsRequest { prefix, delimiter, after, limit } = request;
        let limit = limit.min(MAX_PAGE);
        let mut page = UploadsPage::default();
        if limit == 0 {
            return Ok(page);
        }
        let all_of = |text: &str| keys::raised_prefix(tables::UPLOAD, bucket, text);
        let from = match &after {
            AfterUpload::Start => Bound::Unbounded,
            AfterUpload::Key(key) => Bound::Excluded(keys::upload(bucket, key, u128::MAX)),
            AfterUpload::Upload(key, id) => Bound::Excluded(keys::upload(bucket, key, id.0)),
            AfterUpload::Prefix(prefix) => Bound::Included(keys::behind(&all_of(prefix))),
        };
        let jumps = delimiter.as_ref().is_some_and(|d| !d.is_empty());
        let mut cursor = Cursor::new(all_of(&prefix), from, limit + 1, jumps);
        let mut last = AfterUpload::Start;
        while let Some((key, row)) = cursor.peek(self.kv()).await? {
            if page.uploads.len() + page.prefixes.len() == limit {
                page.next = Some(last);
                break;
            }
            let (name, tail) = keys::raised_key_of(key).ok_or_else(|| rows::damaged("upload"))?;
            if let Some(common) = common_prefix(&name, &prefix, delimiter.as_deref()) {
                cursor.jump(keys::behind(&all_of(common)));
                page.prefixes.push(common.to_owned());
                last = AfterUpload::Prefix(common.to_owned());
                continue;
            }
            let id = UploadId(keys::u128_at(tail, 0).ok_or_else(|| rows::damaged("upload"))?);
            let object_key = ObjectKey::new(&name).map_err(|_| rows::damaged("upload"))?;
            page.uploads.push(upload_of(bucket, object_key, id, rows::decode("upload", row)?)?);
            last = AfterUpload::Upload(name, id);
            cursor.pop();
        }
        Ok(page)
    }
}

/// Drops a part's references.
pub(crate) fn lose_slices(draft: &mut Draft, part: &PartRow) -> Result<(), LakeError> {
    for slice in &part.slices {
        draft.lose(slice.body()?);
    }
    Ok(())
}

/// Removes an upload's own rows. Its parts are left to [`WorkKind::PartsOver`].
pub(crate) fn end_upload(draft: &mut Draft, upload_key: millpond_meta::Key, id: u128) {
    draft.delete(upload_key);
    draft.delete(keys::part_writes(id));
    draft.count(Counter::Uploads, -1);
}
