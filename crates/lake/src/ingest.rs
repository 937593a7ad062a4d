//! Bytes on their way in: written and hashed at the same time.

use bytes::{Bytes, BytesMut};
use millpond_blob::{Stored, Writer, Written};
use millpond_digest::{Checksum, ChecksumAlgorithm, Md5Digest};
use millpond_seal::{FRAME_PLAIN, FrameSealer, Key, sealed_len};

use crate::draft::Draft;
use crate::error::{LakeError, Refused};
use crate::hash::Hashing;
use crate::keys;
use crate::lake::Lake;
use crate::limits::{GATHERED, MAX_PART_BYTES, UNRESERVED};
use crate::memory::Share;
use crate::refs::BodyRef;
use crate::requests::{IngestPlan, Upload};
use crate::rows;
use crate::sealing::{self, Encryption, Sealing};

/// A body on its way in. Dropping it gives its space back.
pub struct Ingest {
    lake: Lake,
    hashing: Hashing,
    writer: Writer,
    expected: Option<u64>,
    size: u64,
    /// Its share of the memory for bodies; `None` for one so small that it needs none.
    memory: Option<Share>,
    /// Small chunks, until they make a piece. Empty for a body without a share.
    gathered: BytesMut,
    sealer: Option<Box<FrameSealer>>,
    sealed: Sealed,
}

/// What a body is sealed under.
#[derive(Debug)]
pub(crate) enum Sealed {
    /// Nothing.
    No,
    /// The key of the object that it will be.
    Object(Box<Sealing>),
    /// A key of its own.
    Part(Key),
}

/// A body that is durable (or small enough to be committed beside its metadata) and not yet part of an object. Dropping it gives
/// its space back.
#[derive(Debug)]
pub struct Ingested {
    /// Bytes, as they came.
    pub size: u64,
    /// The MD5, if it was asked for.
    pub md5: Option<Md5Digest>,
    /// The checksums that were asked for.
    pub checksums: Vec<Checksum>,
    body: Held,
    pub(crate) sealed: Sealed,
    /// A commit that names the bytes is on its way (or was, and nobody knows what became of it): they must not be given back.
    committing: bool,
}

#[derive(Debug)]
enum Held {
    Empty,
    Inline { id: u128, bytes: Bytes },
    Stored(Stored),
}

impl Lake {
    /// Begins to take in a body that is not encrypted.
    pub fn ingest(&self, plan: IngestPlan) -> Ingest {
        self.begin(plan, None, Sealed::No)
    }

    /// Begins to take in the body of an object that is put at once. It is sealed before anything of it reaches a disk.
    pub fn ingest_sealed(&self, plan: IngestPlan, sealing: Sealing) -> Result<Ingest, LakeError> {
        let sealer = sealing::sealer(&sealing.key)?;
        Ok(self.begin(plan, Some(sealer), Sealed::Object(Box::new(sealing))))
    }

    /// Begins to take in a part of an upload, sealed where the upload is encrypted.
    pub fn ingest_part(&self, plan: IngestPlan, upload: &Upload) -> Result<Ingest, LakeError> {
        if upload.encryption.is_none() {
            return Ok(self.ingest(plan));
        }
        let key = Key::random(self.random());
        Ok(self.begin(plan, Some(sealing::sealer(&key)?), Sealed::Part(key)))
    }

    fn begin(&self, plan: IngestPlan, sealer: Option<Box<FrameSealer>>, sealed: Sealed) -> Ingest {
        let small = plan.expected_len.is_some_and(|expected| expected <= UNRESERVED);
        // A sealed body is held twice: as it came, for its digests, and as it will be written.
        let (stored, held) = match (plan.expected_len, &sealer) {
            (Some(expected), Some(_)) => (Some(sealed_len(expected)), Some(2 * expected)),
            (expected, _) => (expected, expected),
        };
        Ingest {
            lake: self.clone(),
            hashing: Hashing::new(plan.md5, &plan.checksums),
            writer: self.blobs().writer(stored),
            expected: plan.expected_len,
            size: 0,
            memory: (!small).then(|| self.memory().share(held)),
            gathered: BytesMut::new(),
            sealer,
            sealed,
        }
    }
}

impl Ingest {
    /// Takes the next bytes. Waits while too many are still to be hashed or written, of this body or of all.
    ///
    /// # Errors
    /// `IncompleteBody` when more come than were declared, `EntityTooLarge` beyond [`MAX_PART_BYTES`], `Busy` when all bodies together
    /// hold too much for too long, `Full`, `ReadOnly`. After an error the body is lost: drop it.
    pub async fn write(&mut self, chunk: Bytes) -> Result<(), LakeError> {
        self.size += chunk.len() as u64;
        if let Some(expected) = self.expected
            && self.size > expected
        {
            return Err(LakeError::IncompleteBody { expected, actual: self.size });
        }
        if self.size > MAX_PART_BYTES {
            return Err(LakeError::EntityTooLarge { size: self.size, max: MAX_PART_BYTES });
        }
        if self.memory.is_none() {
            return self.take(chunk).await;
        }
        let mut chunk = chunk;
        while !chunk.is_empty() {
            let piece = if self.gathered.is_empty() && chunk.len() >= GATHERED {
                std::mem::take(&mut chunk)
            } else {
                let fits = chunk.len().min(GATHERED - self.gathered.len());
                self.gathered.reserve(GATHERED - self.gathered.len());
                self.gathered.extend_from_slice(&chunk.split_to(fits));
                if self.gathered.len() < GATHERED {
                    return Ok(());
                }
                self.gathered.split().freeze()
            };
            let piece = match &mut self.memory {
                Some(share) => share.hold(piece).await.ok_or(LakeError::Busy)?,
                None => piece,
            };
            self.take(piece).await?;
        }
        Ok(())
    }

    /// Has bytes hashed, sealed and written.
    async fn take(&mut self, piece: Bytes) -> Result<(), LakeError> {
        if piece.is_empty() {
            return Ok(());
        }
        self.hashing.update(&piece).await?;
        if self.sealer.is_none() {
            return Ok(self.writer.write(piece).await?);
        }
        // At most one frame is completed at a time, so that frames need not be put together.
        for part in piece.chunks(FRAME_PLAIN) {
            let frame = self.sealer.as_mut().map_or(Ok(Bytes::new()), |sealer| sealer.update(part))?;
            self.write_frame(frame).await?;
        }
        Ok(())
    }

    async fn write_frame(&mut self, frame: Bytes) -> Result<(), LakeError> {
        if frame.is_empty() {
            return Ok(());
        }
        let frame = match &mut self.memory {
            Some(share) => share.hold(frame).await.ok_or(LakeError::Busy)?,
            None => frame,
        };
        Ok(self.writer.write(frame).await?)
    }

    /// Makes the body durable and completes its digests.
    ///
    /// # Errors
    /// `IncompleteBody` when fewer bytes came than were declared, and those of [`Ingest::write`].
    pub async fn finish(mut self) -> Result<Ingested, LakeError> {
        if let Some(expected) = self.expected
            && self.size != expected
        {
            return Err(LakeError::IncompleteBody { expected, actual: self.size });
        }
        let last = self.gathered.split().freeze();
        self.take(last).await?;
        if let Some(sealer) = self.sealer.take() {
            self.write_frame(sealer.finish()?).await?;
        }
        let Self { lake, hashing, writer, size, sealed, .. } = self;
        let stored = async { writer.finish().await.map_err(LakeError::from) };
        let ((md5, checksums), written) = tokio::try_join!(hashing.finish(), stored)?;
        let body = match written {
            Written::Inline(bytes) if bytes.is_empty() => Held::Empty,
            Written::Inline(bytes) => Held::Inline { id: lake.random().u128(), bytes },
            Written::Stored(stored) => Held::Stored(stored),
        };
        Ok(Ingested { size, md5, checksums, body, sealed, committing: false })
    }
}

impl Ingested {
    /// The checksum by this algorithm, if it was asked for.
    pub fn checksum(&self, algorithm: ChecksumAlgorithm) -> Option<Checksum> {
        self.checksums.iter().copied().find(|sum| sum.algorithm() == algorithm)
    }

    /// Keeps the object's key in another way than was said when it began to come in. Nothing happens to one that is not encrypted.
    pub fn keep(&mut self, encryption: Encryption) {
        if let Sealed::Object(sealing) = &mut self.sealed {
            sealing.encryption = encryption;
        }
    }

    /// The key of the object that it will be.
    pub(crate) fn sealing(&self) -> Result<Option<&Sealing>, LakeError> {
        match &self.sealed {
            Sealed::No => Ok(None),
            Sealed::Object(sealing) => Ok(Some(sealing)),
            Sealed::Part(_) => Err(LakeError::Internal("a part's body cannot be put".into())),
        }
    }

    /// The reference to the bytes; `None` when there are none.
    pub(crate) fn body(&self) -> Option<BodyRef> {
        match &self.body {
            Held::Empty => None,
            Held::Inline { id, .. } => Some(BodyRef::inline(*id)),
            Held::Stored(stored) => Some(BodyRef::extent(stored.extent().0)),
        }
    }

    /// Adds the row that names the bytes to a change that is to be committed next. May be called again for another attempt.
    pub(crate) fn attach(&mut self, draft: &mut Draft) {
        match &self.body {
            Held::Empty => {}
            Held::Inline { id, bytes } => draft.put(keys::inline(*id), bytes.clone()),
            Held::Stored(stored) => draft.put(keys::extent(stored.extent().0), rows::location_row(stored.location())),
        }
        self.committing = true;
    }

    /// The row is committed: the bytes are in use.
    pub(crate) fn committed(&mut self) {
        if let Held::Stored(stored) = std::mem::replace(&mut self.body, Held::Empty) {
            stored.committed();
        }
    }

    /// The row was not committed. When nobody knows whether it was, the bytes stay until a sweep can tell.
    pub(crate) fn refused(&mut self, refused: &Refused) {
        self.committing = matches!(refused, Refused::Error(LakeError::ReadOnly(_)));
    }
}

impl Drop for Ingested {
    fn drop(&mut self) {
        // Otherwise the store spares the extent for its grace and then asks the metadata.
        if !self.committing
            && let Held::Stored(stored) = std::mem::replace(&mut self.body, Held::Empty)
        {
            stored.abandon();
        }
    }
}
