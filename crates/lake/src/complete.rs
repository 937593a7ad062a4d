//! Completing multipart uploads: one small commit, however many parts.
//!
//! The object's manifest is written first where it is large; until the commit that names it, it is garbage that a work row remembers.
//! The commit has two conditions beside those on the key: the upload's row, and the counter of its part writes as it was when
//! the parts were read. A part that is written meanwhile makes it fail, and the parts are read anew. After it no part can be written, as
//! that needs the upload's row.

use millpond_digest::{Checksum as Value, Composite, FullObject, Md5};
use millpond_meta::{Batch, Cond, Key, Op};
use millpond_types::{ObjectKey, Origin};
use tokio::task::yield_now;

use crate::draft::{Draft, Turn};
use crate::error::{LakeError, Refused};
use crate::journal::{Change, ChangeKind};
use crate::keys;
use crate::lake::Lake;
use crate::limits::{MANIFEST_BATCH_BYTES, MAX_OBJECT_BYTES, MAX_PARTS, TENTATIVE_KEEP, WALK_PAGE};
use crate::manifest::Builder;
use crate::model::{Bucket, Checksum, ChecksumAlgorithm, ChecksumType};
use crate::multipart::{end_upload, upload_of};
use crate::refs::BodyRef;
use crate::requests::{CompletePart, CompleteRequest, Upload, Written};
use crate::rows::{self, DoneRow, NewObject, PartRow, WorkRow};
use crate::sealing::{AtHand, Digests, Kept, Sealing};
use crate::upkeep::WorkKind;
use crate::versions::Head;
use crate::walk::Walk;
use crate::write::written;

/// What the parts come to.
struct Assembled {
    id: u128,
    /// Manifest rows that are still to be written.
    rows: Vec<(Key, bytes::Bytes)>,
    /// The work row of those that were written before.
    tentative: Option<Key>,
    size: u64,
    digests: Kept,
    /// A bit for each part that went into the object.
    kept: Vec<u8>,
}

impl Lake {
    /// Makes an object of an upload's parts. Repeated with the same parts within [`crate::LakeConfig::done_keep`] it gives the same
    /// result, whatever became of the object.
    ///
    /// # Errors
    /// `Locked` when a checksum is sealed and needed, and the key was not brought, `NoSuchUpload`, `NoParts`, `InvalidPartNumber`, `InvalidPartOrder`, `InvalidPart`, `EntityTooSmall`, `EntityTooLarge`,
    /// `SizeMismatch`, `ChecksumMismatch`, and those of [`Lake::put`]. The upload stays as it was then.
    pub async fn complete(&self, request: CompleteRequest, origin: &Origin) -> Result<Written, LakeError> {
        check_list(&request.parts)?;
        let CompleteRequest { bucket, key, upload: id, condition, .. } = &request;
        let upload_key = keys::upload(bucket.id, key.as_str(), id.0);
        let mut turn = Turn::new(self, bucket, key);
        let mut assembled: Option<(Option<bytes::Bytes>, Assembled)> = None;
        loop {
            let cached = self.decided(bucket)?;
            let Some(row) = self.kv().get(&upload_key).await? else { return self.done(&request).await };
            let mut upload = upload_of(bucket.id, key.clone(), *id, rows::decode("upload", &row)?)?;
            upload.object_key = AtHand(request.object_key.clone());
            let writes = self.kv().get(&keys::part_writes(id.0)).await?;
            let parts = match assembled.take() {
                Some((at, parts)) if at == writes => parts,
                _ => self.assemble(&upload, &request).await?,
            };
            let head = Head::read(self.kv(), &cached.bucket, key).await?;
            head.allows(condition)?;
            let mut draft = Draft::in_bucket(&cached);
            draft.equals(upload_key.clone(), row);
            draft.as_read(keys::part_writes(id.0), writes.as_ref());
            let new = NewObject {
                size: parts.size,
                digests: &parts.digests,
                parts: u32::try_from(request.parts.len()).unwrap_or(u32::MAX),
                encryption: upload.encryption.as_ref(),
                body: Some(BodyRef::manifest(parts.id)),
                metadata: &upload.metadata,
                tags: &upload.tags,
                owner: &upload.owner,
            };
            let (version, now) = self.place(&mut draft, &cached, key, &head, new.row()).await?;
            self.finish(&mut draft, &request, &cached.bucket, &parts, &version);
            end_upload(&mut draft, upload_key.clone(), id.0);
            draft.journal(Change::of_version(
                ChangeKind::UploadCompleted,
                &cached.bucket,
                key.as_str(),
                &version,
                now,
                origin,
            ));
            match self.commit(draft).await {
                Ok(_) => return written(&cached.bucket, key.clone(), version),
                Err(refused) => turn.again(refused, Some(&bucket.name), condition).await?,
            }
            // A tentative manifest can have been condemned meanwhile; only one that was not written yet is used again.
            assembled = parts.tentative.is_none().then_some((writes, parts));
            yield_now().await;
        }
    }

    /// Adds to the final commit what concerns the manifest and the parts.
    fn finish(
        &self,
        draft: &mut Draft,
        request: &CompleteRequest,
        bucket: &Bucket,
        parts: &Assembled,
        version: &rows::VersionRow,
    ) {
        for (key, row) in &parts.rows {
            draft.put(key.clone(), row.clone());
        }
        if let Some(tentative) = &parts.tentative {
            draft.equals(tentative.clone(), bytes::Bytes::new());
            draft.delete(tentative.clone());
        }
        let (now, id) = (self.now(), request.upload.0);
        let kept = WorkRow { kept: parts.kept.clone().into() };
        draft.put(keys::work(now.0, WorkKind::PartsOver as u8, id), rows::encode(&kept));
        let done = DoneRow {
            bucket: bucket.id,
            key: request.key.as_str().into(),
            version: Some(version.clone()),
            versioned: bucket.is_versioned(),
            parts: fingerprint(&request.parts),
        };
        draft.put(keys::done(id), rows::encode(&done));
        draft.work(now.plus(self.config().done_keep).0, WorkKind::DoneExpired, id);
    }

    /// The result of a completion that was made before.
    async fn done(&self, request: &CompleteRequest) -> Result<Written, LakeError> {
        let row = self.kv().get(&keys::done(request.upload.0)).await?.ok_or(LakeError::NoSuchUpload)?;
        let done: DoneRow = rows::decode("done", &row)?;
        let same = done.bucket == request.bucket.id
            && done.key == request.key.as_str()
            && done.parts == fingerprint(&request.parts);
        if !same {
            return Err(LakeError::NoSuchUpload);
        }
        let key = ObjectKey::new(&done.key).map_err(|_| rows::damaged("done"))?;
        let version = done.version.ok_or_else(|| rows::damaged("done"))?.version(done.bucket, key)?;
        Ok(Written { version, versioned: done.versioned })
    }

    /// Reads the parts, compares them with the list, and builds the manifest.
    async fn assemble(&self, upload: &Upload, request: &CompleteRequest) -> Result<Assembled, LakeError> {
        let id = self.random().u128();
        let mut sum = Sum::new(upload, self.config().min_part_bytes);
        let mut builder = Builder::new(id);
        let mut tentative = None;
        let mut wanted = request.parts.iter().peekable();
        let mut walk = Walk::prefix(keys::parts_of(upload.id.0), WALK_PAGE);
        loop {
            let page = walk.next(self.kv()).await?;
            if page.is_empty() || wanted.peek().is_none() {
                break;
            }
            for (_, row) in page {
                let part: PartRow = rows::decode("part", &row)?;
                let number = part.number()?;
                let Some(next) = wanted.peek() else { break };
                if next.number < number {
                    return Err(LakeError::InvalidPart { number: next.number });
                }
                if next.number > number {
                    continue;
                }
                sum.add(next, &part)?;
                wanted.next();
                builder.push(part);
                if builder.ready_bytes() > MANIFEST_BATCH_BYTES {
                    self.write_ahead(&mut builder, &mut tentative, id).await?;
                }
            }
        }
        if let Some(missing) = wanted.next() {
            return Err(LakeError::InvalidPart { number: missing.number });
        }
        let (size, etag, checksum) = sum.finish(request)?;
        let sealing = upload.encryption.clone().zip(upload.object_key().cloned());
        let sealing = sealing.map(|(encryption, key)| Sealing { key, encryption });
        // Made of the parts' ETags, it tells no more than they do.
        let digests = Kept::new(self, sealing.as_ref(), None, Some(etag), checksum.as_ref())?;
        let mut kept = vec![0u8; usize::from(MAX_PARTS) / 8 + 1];
        request.parts.iter().for_each(|part| kept[usize::from(part.number) / 8] |= 1 << (part.number % 8));
        while kept.last() == Some(&0) {
            kept.pop();
        }
        let rows = builder.finish();
        Ok(Assembled { id, rows, tentative, size, digests, kept })
    }

    /// Commits manifest rows before the object that will have them, and with the first of them a work row that removes them if it never does.
    async fn write_ahead(&self, builder: &mut Builder, tentative: &mut Option<Key>, id: u128) -> Result<(), LakeError> {
        let mut batch = Batch::default();
        match tentative {
            Some(work) => batch.conds.push(Cond::Equals(work.clone(), bytes::Bytes::new())),
            None => {
                let work = keys::work(self.now().plus(TENTATIVE_KEEP).0, WorkKind::Tentative as u8, id);
                batch.ops.push(Op::Put(work.clone(), bytes::Bytes::new()));
                *tentative = Some(work);
            }
        }
        batch.ops.extend(builder.take().into_iter().map(|(key, row)| Op::Put(key, row)));
        match self.kv().commit(batch).await.map_err(Refused::from) {
            Ok(_) => Ok(()),
            Err(Refused::Error(error)) => Err(error),
            Err(Refused::Conflict { .. }) => Err(LakeError::Busy),
        }
    }
}

/// The list of parts as such: not empty, numbers in range and ascending.
fn check_list(parts: &[CompletePart]) -> Result<(), LakeError> {
    if parts.is_empty() {
        return Err(LakeError::NoParts);
    }
    if parts.iter().any(|part| !(1..=MAX_PARTS).contains(&part.number)) {
        return Err(LakeError::InvalidPartNumber);
    }
    let ascending = parts.windows(2).all(|pair| pair[0].number < pair[1].number);
    if ascending { Ok(()) } else { Err(LakeError::InvalidPartOrder) }
}

/// Names a list of parts.
fn fingerprint(parts: &[CompletePart]) -> bytes::Bytes {
    let mut md5 = Md5::new();
    for part in parts {
        md5.update(&part.number.to_be_bytes());
        md5.update(part.etag.as_bytes());
        md5.update(b";");
    }
    bytes::Bytes::copy_from_slice(&md5.finish().0)
}

/// Adds up parts in their order.
struct Sum {
    min: u64,
    size: u64,
    /// The part before, which may be too small only if it is the last.
    before: Option<(u16, u64)>,
    md5: Md5,
    checksum: ChecksumSum,
    /// Opens the parts' checksums where they are sealed.
    digests: Option<Digests>,
}

enum ChecksumSum {
    /// The upload names none: the default, as long as every part has one that can be seen.
    Default(Option<FullObject>),
    Full(FullObject),
    Composite(Box<Composite>),
}

impl Sum {
    fn new(upload: &Upload, min: u64) -> Self {
        let digests = upload.object_key().filter(|_| upload.hides_digests()).map(Digests::of);
        let checksum = match upload.checksum {
            None => ChecksumSum::Default(FullObject::new(crate::DEFAULT_CHECKSUM)),
            Some((algorithm, ChecksumType::Composite)) => ChecksumSum::Composite(Box::new(Composite::new(algorithm))),
            // Only for CRCs; an upload of another kind is not created, and would be read as composite.
            Some((algorithm, ChecksumType::FullObject)) => match FullObject::new(algorithm) {
                Some(full) => ChecksumSum::Full(full),
                None => ChecksumSum::Composite(Box::new(Composite::new(algorithm))),
            },
        };
        Self { min, size: 0, before: None, md5: Md5::new(), checksum, digests }
    }

    fn add(&mut self, wanted: &CompletePart, part: &PartRow) -> Result<(), LakeError> {
        let digests = self.digests.as_ref();
        let (number, md5, value) = (part.number()?, part.md5()?, part.value(digests)?);
        let locked = value.is_none() && part.checksum.is_some();
        if locked && (wanted.checksum.is_some() || !matches!(self.checksum, ChecksumSum::Default(_))) {
            return Err(LakeError::Locked);
        }
        let invalid = LakeError::InvalidPart { number };
        if !wanted.etag.eq_ignore_ascii_case(&md5.to_string()) {
            return Err(invalid);
        }
        if wanted.checksum.is_some_and(|sum| value != Some(sum)) {
            return Err(invalid);
        }
        if let Some((number, size)) = self.before.replace((number, part.size))
            && size < self.min
        {
            return Err(LakeError::EntityTooSmall { number, size, min: self.min });
        }
        self.size += part.size;
        if self.size > MAX_OBJECT_BYTES {
            return Err(LakeError::EntityTooLarge { size: self.size, max: MAX_OBJECT_BYTES });
        }
        self.md5.update(&md5.0);
        let added = match (&mut self.checksum, &value) {
            (ChecksumSum::Default(sum), _) => {
                let added = match (sum.as_mut(), part.default_value(digests)?) {
                    (Some(sum), Some(value)) => sum.add(&value, part.size),
                    _ => false,
                };
                // Parts of an upload that began before there was a default have none.
                if !added {
                    *sum = None;
                }
                true
            }
            (ChecksumSum::Full(full), Some(value)) => full.add(value, part.size),
            (ChecksumSum::Composite(composite), Some(value)) => composite.add(value),
            (_, None) => false,
        };
        if added { Ok(()) } else { Err(invalid) }
    }

    fn finish(self, request: &CompleteRequest) -> Result<(u64, [u8; 16], Option<Checksum>), LakeError> {
        if let Some(expected) = request.expected_size
            && expected != self.size
        {
            return Err(LakeError::SizeMismatch { expected, actual: self.size });
        }
        let checksum = match self.checksum {
            ChecksumSum::Default(sum) => sum.map(|sum| Checksum::full(sum.finish())),
            ChecksumSum::Full(full) => Some(Checksum::full(full.finish())),
            ChecksumSum::Composite(composite) => {
                Some(Checksum { kind: ChecksumType::Composite, value: composite.finish().0 })
            }
        };
        match (request.checksum, checksum) {
            (Some(expected), found) if found.is_none_or(|found| found.value != expected) => Err(mismatch(&expected)),
            _ => Ok((self.size, self.md5.finish().0, checksum)),
        }
    }
}

fn mismatch(expected: &Value) -> LakeError {
    let algorithm: ChecksumAlgorithm = expected.algorithm();
    LakeError::ChecksumMismatch { algorithm }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(number: u16) -> CompletePart {
        CompletePart { number, etag: "e".into(), checksum: None }
    }

    #[test]
    fn lists_are_checked() {
        let table: [(&[u16], Result<(), LakeError>); 6] = [
            (&[1, 2, 10_000], Ok(())),
            (&[], Err(LakeError::NoParts)),
            (&[0, 1], Err(LakeError::InvalidPartNumber)),
            (&[10_001], Err(LakeError::InvalidPartNumber)),
            (&[2, 1], Err(LakeError::InvalidPartOrder)),
            (&[1, 1], Err(LakeError::InvalidPartOrder)),
        ];
        for (numbers, expected) in table {
            let list: Vec<_> = numbers.iter().copied().map(named).collect();
            assert_eq!(check_list(&list), expected, "{numbers:?}");
        }
    }

    #[test]
    fn fingerprints_tell_lists_apart() {
        let print = |numbers: &[u16]| fingerprint(&numbers.iter().copied().map(named).collect::<Vec<_>>());
        assert_eq!(print(&[1, 2]), print(&[1, 2]));
        assert_ne!(print(&[1, 2]), print(&[1, 3]));
        assert_ne!(print(&[1, 2]), print(&[1]));
    }
}
