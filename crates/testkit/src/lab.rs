//! Lakes for tests: small thresholds, so that few bytes reach every kind of storage, and a clock that the test moves.

use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use millpond_blob::{BlobConfig, Blobs};
use millpond_digest::ChecksumAlgorithm;
use millpond_io::sim::SimDisk;
use millpond_io::{Clock, Disk, ManualClock, RealDisk, SeededRandom};
use millpond_lake::{
    Bucket, CheckReport, Checksum, Condition, Configs, Encryption, Ingest, IngestPlan, Ingested, Lake, LakeConfig,
    LakeError, Lock, Metadata, NewBucket, PutRequest, Sealing, Tags, Upload, Version, Written, tables,
};
use millpond_meta::{FjallConfig, FjallKv, Kv, MemoryKv, Scan};
use millpond_seal::Key;
use millpond_types::{AccountId, ObjectKey, Origin, RequestId, Timestamp};

/// Bodies up to this size are inline in a laboratory.
pub const INLINE: u64 = 64;
/// Bodies up to this size go to segments.
pub const SEGMENT: u64 = 1024;
/// The smallest part but the last.
pub const MIN_PART: u64 = 20;
/// How long freed bodies wait.
pub const GRACE: Duration = Duration::from_secs(30);

/// A lake and what moves it.
pub struct Lab {
    /// The lake.
    pub lake: Lake,
    /// The engine below it.
    pub kv: Arc<dyn Kv>,
    /// Its clock.
    pub clock: Arc<ManualClock>,
    /// What keys of new objects are kept under, one of these each time; `None` for an object that is not encrypted.
    pub locks: Vec<Option<Lock>>,
    random: Arc<SeededRandom>,
}

/// Every way to encrypt that the lake tells apart.
pub fn locks() -> Vec<Option<Lock>> {
    let context = [("arn".to_owned(), "bucket".to_owned())].into();
    let (key, data_key) = ("arn:aws:kms:us-east-1:123456789012:key/1".to_owned(), Bytes::from_static(b"sealed"));
    vec![
        Some(Lock::Server),
        Some(Lock::Kms { key, data_key, bucket_key: true, context }),
        Some(Lock::Customer { salt: Bytes::from_static(b"salt") }),
    ]
}

/// Keeps an object's key, as nobody but a test may: as it is.
pub fn kept(key: Key, lock: Lock) -> Sealing {
    let encryption = Encryption { lock, key: Bytes::copy_from_slice(key.expose()) };
    Sealing { key, encryption }
}

/// The key of [`kept`].
pub fn key_of(encryption: &Encryption) -> Result<Key, LakeError> {
    let bytes = encryption.key.as_ref().try_into();
    bytes.map(Key::from_bytes).map_err(|_| LakeError::Internal("a test's key has 32 bytes".into()))
}

/// How a copy of a version is encrypted: under the key that its bytes have, or under a new one where they are plain.
pub fn kept_anew(source: &Version, new: Option<Sealing>) -> Result<Option<Sealing>, LakeError> {
    let Some(encryption) = source.encryption() else { return Ok(new) };
    let lock = new.map_or_else(|| encryption.lock.clone(), |new| new.encryption.lock);
    Ok(Some(kept(key_of(encryption)?, lock)))
}

/// A version with its key at hand.
pub fn unlocked(mut version: Version) -> Result<Version, LakeError> {
    let key = version.encryption().map(key_of).transpose()?;
    key.map_or(Ok(()), |key| version.unlock(key))?;
    Ok(version)
}

/// An upload with its key at hand.
pub fn unlocked_upload(mut upload: Upload) -> Result<Upload, LakeError> {
    if let Some(key) = upload.encryption.as_ref().map(key_of).transpose()? {
        upload.unlock(key);
    }
    Ok(upload)
}

/// A lake's settings for tests.
pub fn config() -> LakeConfig {
    LakeConfig { free_grace: GRACE, min_part_bytes: MIN_PART, copy_bytes: 10, ..LakeConfig::default() }
}

/// A blob store's settings for tests.
pub fn blob_config() -> BlobConfig {
    BlobConfig {
        inline_max: INLINE,
        segment_max: SEGMENT,
        segment_size: 16 * 1024,
        segment_step: 4 * 1024,
        read_threads: 2,
        write_threads: 2,
        reserve: Some(0),
        // So that a sweep in a test finds what a crash or a cut request left behind.
        grace: Duration::ZERO,
        ..BlobConfig::default()
    }
}

/// Opens a lake.
pub async fn open(kv: Arc<dyn Kv>, disk: Arc<dyn Disk>, dir: &Path, seed: u64) -> Result<Lab, LakeError> {
    let random = Arc::new(SeededRandom::new(seed));
    let blobs = Blobs::open(disk, random.clone(), dir, blob_config())?;
    let clock = Arc::new(ManualClock::new(Timestamp::from_seconds(1_700_000_000)));
    let lake = Lake::open(kv.clone(), blobs, clock.clone(), random, config()).await?;
    // Not the lake's own, so that what is chosen here does not change what the lake chooses.
    let random = Arc::new(SeededRandom::new(seed ^ 0x10CC));
    Ok(Lab { lake, kv, clock, locks: vec![None], random })
}

/// A lake in memory.
pub async fn memory(seed: u64) -> Result<Lab, LakeError> {
    open(Arc::new(MemoryKv::new()), Arc::new(SimDisk::new()), Path::new("/blobs"), seed).await
}

/// A lake on the embedded engine and a real disk, in an existing directory.
pub async fn real(dir: &Path, seed: u64) -> Result<Lab, LakeError> {
    let failed = |e: millpond_meta::OpenError| LakeError::Internal(e.to_string());
    let kv = FjallKv::open(&dir.join("meta"), FjallConfig::new(tables::classify)).map_err(failed)?;
    open(Arc::new(kv), Arc::new(RealDisk), &dir.join("blobs"), seed).await
}

/// The account that tests act as.
pub fn account() -> AccountId {
    "123456789012".parse().unwrap_or_else(|_| unreachable!("twelve digits"))
}

/// A request that tests make.
pub fn origin() -> Origin {
    Origin {
        operation: "Test",
        requester: account().to_string(),
        account: account().to_string(),
        source_ip: None,
        request_id: RequestId(7),
        causes: Vec::new(),
        time: Timestamp(0),
        besides: None,
    }
}

fn plan(body: &[u8], checksums: &[ChecksumAlgorithm]) -> IngestPlan {
    IngestPlan { expected_len: Some(body.len() as u64), md5: true, checksums: checksums.to_vec() }
}

async fn filled(mut ingest: Ingest, body: &[u8]) -> Result<Ingested, LakeError> {
    for chunk in body.chunks(100) {
        ingest.write(Bytes::copy_from_slice(chunk)).await?;
    }
    ingest.finish().await
}

impl Lab {
    /// A new bucket.
    pub async fn bucket(&self, name: &str) -> Result<Arc<Bucket>, LakeError> {
        let bad = |_| LakeError::Internal("a bad name".into());
        let name = name.parse().map_err(bad)?;
        let region = "us-east-1".parse().map_err(|_| LakeError::Internal("a bad region".into()))?;
        self.lake
            .create_bucket(NewBucket { name, owner: account(), region, tags: None, configs: Configs::new() }, &origin())
            .await
    }

    /// How a new object is encrypted, by one of the laboratory's locks.
    pub fn sealing(&self) -> Option<Sealing> {
        let lock = self.locks.get(self.random.below(self.locks.len().max(1) as u64) as usize).cloned().flatten();
        lock.map(|lock| kept(Key::random(&*self.random), lock))
    }

    /// Takes a body in, in chunks of up to 100 bytes.
    pub async fn ingest(&self, body: &[u8], checksums: &[ChecksumAlgorithm]) -> Result<Ingested, LakeError> {
        self.ingest_sealed(body, checksums, None).await
    }

    /// The same, encrypted with `sealing`.
    pub async fn ingest_sealed(
        &self,
        body: &[u8],
        checksums: &[ChecksumAlgorithm],
        sealing: Option<Sealing>,
    ) -> Result<Ingested, LakeError> {
        let plan = plan(body, checksums);
        let ingest = match sealing {
            Some(sealing) => self.lake.ingest_sealed(plan, sealing)?,
            None => self.lake.ingest(plan),
        };
        filled(ingest, body).await
    }

    /// Takes a part in.
    pub async fn ingest_part(
        &self,
        upload: &Upload,
        body: &[u8],
        checksums: &[ChecksumAlgorithm],
    ) -> Result<Ingested, LakeError> {
        filled(self.lake.ingest_part(plan(body, checksums), upload)?, body).await
    }

    /// Puts an object.
    pub async fn put(
        &self,
        bucket: &Arc<Bucket>,
        key: &str,
        body: &[u8],
        condition: Condition,
    ) -> Result<Written, LakeError> {
        let ingested = self.ingest_sealed(body, &[ChecksumAlgorithm::Crc64Nvme], self.sealing()).await?;
        let checksum = ingested.checksum(ChecksumAlgorithm::Crc64Nvme).map(Checksum::full);
        let request = PutRequest {
            bucket: bucket.clone(),
            key: ObjectKey::new(key).map_err(|e| LakeError::Internal(e.to_string()))?,
            ingested,
            metadata: Metadata::default(),
            tags: Tags::new(),
            checksum,
            owner: account(),
            condition,
        };
        self.lake.put(request, &origin()).await
    }

    /// Reads a range of a version.
    pub async fn read(&self, version: &Version, range: std::ops::Range<u64>) -> Result<Vec<u8>, LakeError> {
        let mut reader = self.lake.read(&unlocked(version.clone())?, range).await?;
        let mut bytes = Vec::new();
        while let Some(chunk) = reader.next().await {
            bytes.extend_from_slice(&chunk?);
        }
        Ok(bytes)
    }

    /// Moves the clock past the grace and does all upkeep until nothing is left that is due.
    pub async fn settle(&self) -> Result<(), LakeError> {
        self.clock.advance(GRACE + Duration::from_secs(1));
        // What one pass frees (the extents of a manifest) is due one grace later; chains end with bodies.
        for _ in 0..4 {
            self.lake.upkeep_once().await?;
            self.clock.advance(GRACE + Duration::from_secs(1));
        }
        Ok(())
    }

    /// What the lake's clock shows.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// How many extents the metadata names that lie in files of their own.
    pub async fn file_extents(&self) -> Result<usize, LakeError> {
        let (from, to) = ([tables::EXTENT].to_vec(), [tables::EXTENT + 1].to_vec());
        let scan = Scan {
            from: Bound::Included(from.into()),
            to: Bound::Excluded(to.into()),
            reverse: false,
            limit: usize::MAX,
        };
        let rows = self.kv.scan(scan).await?;
        // A location that names a segment begins with its first field.
        Ok(rows.iter().filter(|(_, row)| row.first() != Some(&0x08)).count())
    }

    /// A check of everything, bytes included.
    pub async fn check(&self) -> Result<CheckReport, LakeError> {
        self.lake.check(true, &|_| {}).await
    }
}
