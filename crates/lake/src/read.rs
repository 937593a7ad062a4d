//! Finding versions and reading their bytes.

use std::collections::VecDeque;
use std::ops::Range;

use bytes::Bytes;
use millpond_blob::{BlobError, ExtentReader};
use millpond_types::ObjectKey;

use crate::error::LakeError;
use crate::keys;
use crate::lake::{Lake, Pin};
use crate::manifest;
use crate::model::{Body, Bucket, Found, Version, VersionId, Versioning};
use crate::refs::{BodyRef, RefKind};
use crate::rows;
use crate::versions::{self, Head, Stored};

/// How often a read follows an extent that is moved at the same moment. A move takes seconds, a follow-up microseconds.
const MAX_MOVES: u32 = 4;

impl Lake {
    /// What stands under a key: its newest version, or the version that is named.
    pub async fn lookup(
        &self,
        bucket: &Bucket,
        key: &ObjectKey,
        version: Option<VersionId>,
    ) -> Result<Found, LakeError> {
        let cached = self.cached(bucket)?;
        let bucket = &*cached.bucket;
        let stored = match version {
            None => self.newest(bucket, key).await?,
            Some(id) => {
                let view = self.kv().snapshot().await?;
                versions::find(&*view, bucket.id, bucket.is_versioned(), key, id).await?.map(|(stored, _)| stored)
            }
        };
        let Some(stored) = stored else { return Ok(Found::None) };
        let is_marker = stored.row.marker;
        let version = stored.row.version(bucket.id, key.clone())?;
        Ok(if is_marker { Found::DeleteMarker(version) } else { Found::Object(version) })
    }

    async fn newest(&self, bucket: &Bucket, key: &ObjectKey) -> Result<Option<Stored>, LakeError> {
        let head = Head::read(self.kv(), bucket, key).await?;
        if head.newest().is_some() || bucket.versioning == Versioning::Unset {
            return Ok(head.current.or(head.marker));
        }
        // Between the two reads an object may have taken the place of a delete marker; only at one moment is "nothing" true.
        let head = Head::read(&*self.kv().snapshot().await?, bucket, key).await?;
        Ok(head.current.or(head.marker))
    }

    /// Reads bytes of an object that was looked up. From when this returns, neither deletion nor overwriting disturbs the reader.
    ///
    /// # Errors
    /// `InvalidRange` outside `0..size`, `IsDeleteMarker`, `Changed` when the version was removed longer ago than the grace for
    /// readers (look it up again), `Damaged`.
    pub async fn read(&self, version: &Version, range: Range<u64>) -> Result<BodyReader, LakeError> {
        let object = version.object().ok_or(LakeError::IsDeleteMarker)?;
        if range.start > range.end || range.end > object.size {
            return Err(LakeError::InvalidRange);
        }
        let mut reader =
            BodyReader { lake: self.clone(), slices: VecDeque::new(), rest: None, now: Now::Nothing, _pin: None };
        if range.is_empty() {
            return Ok(reader);
        }
        match object.body {
            Body::Empty => return Err(rows::damaged("version")),
            Body::Inline { id } => reader.slices.push_back((BodyRef::inline(id), range)),
            Body::Extent { id } => reader.slices.push_back((BodyRef::extent(id), range)),
            Body::Manifest { id } => {
                reader._pin = Some(self.pin(id));
                reader.rest = Some((id, range));
            }
        }
        reader.advance().await?;
        Ok(reader)
    }

    /// Opens a stretch of an inline body or extent.
    async fn open_slice(&self, body: BodyRef, range: Range<u64>) -> Result<Now, LakeError> {
        if body.kind == RefKind::Inline {
            let bytes = self.kv().get(&keys::inline(body.id)).await?.ok_or(LakeError::Changed)?;
            let ends = usize::try_from(range.start).ok().zip(usize::try_from(range.end).ok());
            let (start, end) = ends.filter(|(_, end)| *end <= bytes.len()).ok_or_else(|| rows::damaged("inline"))?;
            return Ok(Now::Bytes(bytes.slice(start..end)));
        }
        let key = keys::extent(body.id);
        let mut missing = None;
        for _ in 0..MAX_MOVES {
            let row = self.kv().get(&key).await?.ok_or(LakeError::Changed)?;
            if missing.as_ref() == Some(&row) {
                break;
            }
            match self.blobs().read(rows::extent_id(body), rows::location_of(&row)?, range.clone()).await {
                Ok(reader) => return Ok(Now::Extent(Box::new(reader))),
                // Moved between the two reads: then its row has changed.
                Err(BlobError::Missing(_)) => missing = Some(row),
                Err(error) => return Err(error.into()),
            }
        }
        Err(BlobError::Missing(body.id).into())
    }
}

/// What a reader reads from at the moment.
enum Now {
    Nothing,
    Bytes(Bytes),
    Extent(Box<ExtentReader>),
}

/// The bytes of (a range of) an object, block by block; each was verified before it is handed out.
pub struct BodyReader {
    lake: Lake,
    slices: VecDeque<(BodyRef, Range<u64>)>,
    /// The manifest, and what of the object is not yet in `slices`.
    rest: Option<(u128, Range<u64>)>,
    now: Now,
    _pin: Option<Pin>,
}

impl BodyReader {
    /// The next bytes; `None` at the end. After an error there is nothing more to come.
    pub async fn next(&mut self) -> Option<Result<Bytes, LakeError>> {
        match self.step().await {
            Ok(bytes) => bytes.map(Ok),
            Err(error) => {
                (self.now, self.rest) = (Now::Nothing, None);
                self.slices.clear();
                Some(Err(error))
            }
        }
    }

    async fn step(&mut self) -> Result<Option<Bytes>, LakeError> {
        loop {
            match &mut self.now {
                Now::Nothing => return Ok(None),
                Now::Bytes(bytes) => {
                    let bytes = std::mem::take(bytes);
                    self.advance().await?;
                    return Ok(Some(bytes));
                }
                Now::Extent(reader) => match reader.next().await? {
                    Some(bytes) => return Ok(Some(bytes)),
                    None => self.advance().await?,
                },
            }
        }
    }

    /// Goes on to the next stretch.
    async fn advance(&mut self) -> Result<(), LakeError> {
        self.now = Now::Nothing;
        if self.slices.is_empty()
            && let Some((id, range)) = self.rest.take()
        {
            let (slices, read_to) = manifest::slices(self.lake.kv(), id, range.clone()).await?;
            self.slices.extend(slices);
            if read_to < range.end {
                self.rest = Some((id, read_to..range.end));
            }
        }
        if let Some((body, range)) = self.slices.pop_front() {
            self.now = self.lake.open_slice(body, range).await?;
        }
        Ok(())
    }
}
