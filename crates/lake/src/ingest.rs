//! Bytes on their way in: written and hashed at the same time.

use bytes::Bytes;
use millpond_blob::{Stored, Writer, Written};
use millpond_digest::{Checksum, ChecksumAlgorithm, Md5Digest};
use tokio::sync::OwnedSemaphorePermit;

use crate::draft::Draft;
use crate::error::{LakeError, Refused};
use crate::hash::Hashing;
use crate::keys;
use crate::lake::Lake;
use crate::limits::{HELD_BYTES, MAX_PART_BYTES, UNRESERVED};
use crate::refs::BodyRef;
use crate::requests::IngestPlan;
use crate::rows;

/// A body on its way in. Dropping it gives its space back.
pub struct Ingest {
    lake: Lake,
    hashing: Hashing,
    writer: Writer,
    expected: Option<u64>,
    size: u64,
    /// For what this body may hold in memory, taken at once so that no two bodies wait for each other.
    memory: Option<OwnedSemaphorePermit>,
}

/// A body that is durable (or small enough to be committed beside its metadata) and not yet part of an object. Dropping it gives
/// its space back.
#[derive(Debug)]
pub struct Ingested {
    /// Bytes.
    pub size: u64,
    /// The MD5, if it was asked for.
    pub md5: Option<Md5Digest>,
    /// The checksums that were asked for.
    pub checksums: Vec<Checksum>,
    body: Held,
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
    /// Begins to take a body in.
    pub fn ingest(&self, plan: IngestPlan) -> Ingest {
        Ingest {
            lake: self.clone(),
            hashing: Hashing::new(plan.md5, &plan.checksums),
            writer: self.blobs().writer(plan.expected_len),
            expected: plan.expected_len,
            size: 0,
            memory: None,
        }
    }
}

impl Ingest {
    /// Takes the next bytes. Waits while too many are still to be hashed or written.
    ///
    /// # Errors
    /// `IncompleteBody` when more come than were declared, `EntityTooLarge` beyond [`MAX_PART_BYTES`], `Busy` when too many
    /// bodies come in at once, `Full`, `ReadOnly`. After an
    /// error the body is lost: drop it.
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
        if chunk.is_empty() {
            return Ok(());
        }
        if self.memory.is_none() && self.expected.unwrap_or(self.size) > UNRESERVED {
            let bytes = self.expected.unwrap_or(HELD_BYTES);
            self.memory = Some(self.lake.reserve(bytes).await.ok_or(LakeError::Busy)?);
        }
        self.hashing.update(&chunk).await?;
        Ok(self.writer.write(chunk).await?)
    }

    /// Makes the body durable and completes its digests.
    ///
    /// # Errors
    /// `IncompleteBody` when fewer bytes came than were declared, and those of [`Ingest::write`].
    pub async fn finish(self) -> Result<Ingested, LakeError> {
        let Self { lake, hashing, writer, expected, size, memory: _memory } = self;
        if let Some(expected) = expected
            && size != expected
        {
            return Err(LakeError::IncompleteBody { expected, actual: size });
        }
        let stored = async { writer.finish().await.map_err(LakeError::from) };
        let ((md5, checksums), written) = tokio::try_join!(hashing.finish(), stored)?;
        let body = match written {
            Written::Inline(bytes) if bytes.is_empty() => Held::Empty,
            Written::Inline(bytes) => Held::Inline { id: lake.random().u128(), bytes },
            Written::Stored(stored) => Held::Stored(stored),
        };
        Ok(Ingested { size, md5, checksums, body, committing: false })
    }
}

impl Ingested {
    /// The checksum by this algorithm, if it was asked for.
    pub fn checksum(&self, algorithm: ChecksumAlgorithm) -> Option<Checksum> {
        self.checksums.iter().copied().find(|sum| sum.algorithm() == algorithm)
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
