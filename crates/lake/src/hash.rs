//! Digests of bodies: small ones where they arrive, large ones on threads that may block.

use std::sync::Arc;

use bytes::Bytes;
use millpond_digest::{Checksum, ChecksumAlgorithm, Hasher, Md5, Md5Digest};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use crate::error::LakeError;
use crate::limits::{HASH_BATCH, HASH_BATCH_CHUNKS, HASH_IN_PLACE};

/// What bounds hashing over all uploads.
pub(crate) struct HashPool {
    /// One permit a core: more threads would only take turns.
    threads: Arc<Semaphore>,
}

impl HashPool {
    pub fn new() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
        Self { threads: Arc::new(Semaphore::new(cores)) }
    }
}

/// The digests of one body.
struct Digests {
    md5: Option<Md5>,
    sums: Vec<Hasher>,
}

impl Digests {
    fn update(&mut self, bytes: &[u8]) {
        if let Some(md5) = &mut self.md5 {
            md5.update(bytes);
        }
        for sum in &mut self.sums {
            sum.update(bytes);
        }
    }
}

/// Where the digests are.
enum Place {
    Here(Digests),
    Away(JoinHandle<Digests>),
}

/// Computes digests over a body as it comes, in order, one batch at a time.
pub(crate) struct Hashing {
    threads: Arc<Semaphore>,
    /// `None` only while it is being moved, or after a hashing thread panicked.
    place: Option<Place>,
    batch: Vec<Bytes>,
    batch_bytes: usize,
    seen: u64,
    idle: bool,
}

impl Hashing {
    pub fn new(pool: &HashPool, md5: bool, checksums: &[ChecksumAlgorithm]) -> Self {
        let sums = checksums.iter().map(|algorithm| Hasher::new(*algorithm)).collect();
        Self {
            threads: pool.threads.clone(),
            place: Some(Place::Here(Digests { md5: md5.then(Md5::new), sums })),
            batch: Vec::new(),
            batch_bytes: 0,
            seen: 0,
            idle: !md5 && checksums.is_empty(),
        }
    }

    /// Takes the next bytes. Waits while the batch before is still being hashed and this one is full.
    pub async fn update(&mut self, chunk: &Bytes) -> Result<(), LakeError> {
        if self.idle {
            return Ok(());
        }
        self.seen += chunk.len() as u64;
        if self.seen <= HASH_IN_PLACE
            && let Some(Place::Here(digests)) = &mut self.place
        {
            digests.update(chunk);
            return Ok(());
        }
        self.batch_bytes += chunk.len();
        self.batch.push(chunk.clone());
        if self.batch_bytes >= HASH_BATCH || self.batch.len() >= HASH_BATCH_CHUNKS {
            self.send().await?;
        }
        Ok(())
    }

    /// The digests of everything.
    pub async fn finish(mut self) -> Result<(Option<Md5Digest>, Vec<Checksum>), LakeError> {
        if self.batch_bytes as u64 > HASH_IN_PLACE {
            self.send().await?;
        }
        let mut digests = self.back().await?;
        for chunk in &self.batch {
            digests.update(chunk);
        }
        Ok((digests.md5.map(Md5::finish), digests.sums.into_iter().map(Hasher::finish).collect()))
    }

    async fn send(&mut self) -> Result<(), LakeError> {
        let mut digests = self.back().await?;
        let closed = |_| LakeError::Internal("hashing has ended".into());
        let permit = self.threads.clone().acquire_owned().await.map_err(closed)?;
        let batch = std::mem::take(&mut self.batch);
        self.batch_bytes = 0;
        self.place = Some(Place::Away(tokio::task::spawn_blocking(move || {
            let _permit = permit;
            for chunk in batch {
                digests.update(&chunk);
            }
            digests
        })));
        Ok(())
    }

    /// Waits for the batch under way.
    async fn back(&mut self) -> Result<Digests, LakeError> {
        match self.place.take() {
            Some(Place::Here(digests)) => Ok(digests),
            Some(Place::Away(job)) => job.await.map_err(|e| LakeError::Internal(format!("hashing failed: {e}"))),
            None => Err(LakeError::Internal("hashing failed before".into())),
        }
    }
}
