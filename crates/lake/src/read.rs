//! Finding versions and reading their bytes.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use millpond_blob::{BlobError, ExtentReader, Location};
use millpond_seal::{FRAME_PLAIN, FRAME_SEALED, FrameOpener, Key};
use millpond_types::ObjectKey;

use crate::error::LakeError;
use crate::keys;
use crate::lake::{Lake, Pin};
use crate::manifest::{self, Slice};
use crate::model::{Body, Bucket, Found, Version, VersionId, Versioning};
use crate::refs::{BodyRef, RefKind};
use crate::rows;
use crate::sealing::{self, Frames, PartKeys};
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
    /// `Locked` when the object is encrypted and [`Version::unlock`] was not called, `InvalidRange` outside `0..size`, `IsDeleteMarker`, `Changed` when the version was removed longer ago than the grace for
    /// readers (look it up again), `Damaged`.
    pub async fn read(&self, version: &Version, range: Range<u64>) -> Result<BodyReader, LakeError> {
        let object = version.object().ok_or(LakeError::IsDeleteMarker)?;
        if range.start > range.end || range.end > object.size {
            return Err(LakeError::InvalidRange);
        }
        let key = match &object.encrypted {
            Some(encrypted) => Some(sealing::needed(encrypted.key())?),
            None => None,
        };
        let (slices, keys) = (VecDeque::new(), Keys::None);
        let mut reader = BodyReader { lake: self.clone(), slices, keys, rest: None, now: Now::Nothing, _pin: None };
        if range.is_empty() {
            return Ok(reader);
        }
        let whole = |body| Slice { body, range: range.clone(), key: Bytes::new() };
        match object.body {
            Body::Empty => return Err(rows::damaged("version")),
            Body::Inline { id } => reader.slices.push_back(whole(BodyRef::inline(id))),
            Body::Extent { id } => reader.slices.push_back(whole(BodyRef::extent(id))),
            Body::Manifest { id } => {
                reader.keys = key.map_or(Keys::None, |key| Keys::Parts(PartKeys::of(key)));
                reader._pin = Some(self.pin(id));
                reader.rest = Some((id, range));
            }
        }
        if let (Some(key), Keys::None) = (key, &reader.keys) {
            reader.keys = Keys::Body(key.clone());
        }
        reader.advance().await?;
        Ok(reader)
    }

    /// Opens a stretch of an inline body or extent, sealed under `sealed` or plain.
    async fn open_slice(&self, body: BodyRef, range: Range<u64>, sealed: Option<&Key>) -> Result<Now, LakeError> {
        if body.kind == RefKind::Inline {
            let mut bytes = self.kv().get(&keys::inline(body.id)).await?.ok_or(LakeError::Changed)?;
            if let Some(sealed) = sealed {
                bytes = open_inline(bytes, sealed)?;
            }
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
            match self.open_extent(body, rows::location_of(&row)?, range.clone(), sealed).await {
                Ok(now) => return Ok(now),
                // Moved between the two reads: then its row has changed.
                Err(BlobError::Missing(_)) => missing = Some(row),
                Err(error) => return Err(error.into()),
            }
        }
        Err(BlobError::Missing(body.id).into())
    }

    async fn open_extent(
        &self,
        body: BodyRef,
        at: Location,
        range: Range<u64>,
        sealed: Option<&Key>,
    ) -> Result<Now, BlobError> {
        let id = rows::extent_id(body);
        let Some(key) = sealed else {
            return Ok(Now::Extent(Box::new(self.blobs().read(id, at, range).await?)));
        };
        let (frame, first) = (FRAME_PLAIN as u64, range.start / FRAME_PLAIN as u64);
        let unsound = BlobError::Damaged { extent: body.id, block: first };
        // A length that no sealed body has, or a range that does not lie within: the rows contradict each other.
        let Some(plain) = millpond_seal::plain_len(at.len()).filter(|plain| range.end <= *plain) else {
            return Err(unsound);
        };
        let Ok(opener) = FrameOpener::new(key, plain) else { return Err(unsound) };
        let blocks = first..range.end.div_ceil(frame);
        let reader = self.blobs().read_sealed(id, at, blocks, Arc::new(Frames(opener))).await?;
        Ok(Now::Sealed {
            reader: Box::new(reader),
            skip: (range.start % frame) as usize,
            left: range.end - range.start,
        })
    }
}

/// The content of a sealed inline body.
fn open_inline(sealed: Bytes, key: &Key) -> Result<Bytes, LakeError> {
    let plain = millpond_seal::plain_len(sealed.len() as u64).ok_or_else(|| rows::damaged("inline"))?;
    let opener = FrameOpener::new(key, plain)?;
    let mut opened = Vec::with_capacity(sealed.len());
    for (number, frame) in sealed.chunks(FRAME_SEALED).enumerate() {
        let from = opened.len();
        opened.extend_from_slice(frame);
        let length = opener.open_in(number as u64, &mut opened[from..])?;
        opened.truncate(from + length);
    }
    Ok(opened.into())
}

/// What a reader reads from at the moment.
enum Now {
    Nothing,
    Bytes(Bytes),
    Extent(Box<ExtentReader>),
    /// Whole frames, of which the first `skip` bytes are not wanted, and `left` after them.
    Sealed {
        reader: Box<ExtentReader>,
        skip: usize,
        left: u64,
    },
}

/// What the bodies of an object are sealed under.
enum Keys {
    None,
    /// There is one, under the object's key itself.
    Body(Key),
    /// Each under its own, which its slice has.
    Parts(PartKeys),
}

/// The bytes of (a range of) an object, block by block; each was verified before it is handed out.
pub struct BodyReader {
    lake: Lake,
    slices: VecDeque<Slice>,
    keys: Keys,
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
                Now::Sealed { reader, skip, left } => match reader.next().await? {
                    Some(frame) => {
                        let from = std::mem::take(skip).min(frame.len());
                        let to = frame.len().min(from.saturating_add(usize::try_from(*left).unwrap_or(usize::MAX)));
                        *left -= (to - from) as u64;
                        return Ok(Some(frame.slice(from..to)));
                    }
                    None if *left == 0 => self.advance().await?,
                    None => return Err(rows::damaged("extent")),
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
        if let Some(Slice { body, range, key }) = self.slices.pop_front() {
            let unwrapped;
            let sealed = match &self.keys {
                // A plain body of an object that is encrypted, or the other way round, was put there by somebody else.
                Keys::None if key.is_empty() => None,
                Keys::None => return Err(rows::damaged("manifest")),
                Keys::Body(key) => Some(key),
                Keys::Parts(keys) => {
                    unwrapped = keys.unwrap(body, &key)?;
                    Some(&unwrapped)
                }
            };
            self.now = self.lake.open_slice(body, range, sealed).await?;
        }
        Ok(())
    }
}
