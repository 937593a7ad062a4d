//! Power cuts: a workload on a disk and an engine that lose what was not synced, cut off at any moment, and looked at after a restart.
//!
//! `MILLPOND_CRASH_IMAGES=n` sets how many; `MILLPOND_SEED=n` reruns one.

// A test that meets what it does not expect ends there, in its helpers as well.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use millpond_blob::{SYNC_POINTS, check};
use millpond_digest::ChecksumAlgorithm;
use millpond_io::SeededRandom;
use millpond_io::sim::SimDisk;
use millpond_lake::{
    After, Bucket, CompletePart, CompleteRequest, Condition, CopyRequest, DeleteCondition, Found, LakeError,
    ListRequest, Metadata, NewUpload, Tags, Versioning,
};
use millpond_meta::{MemoryKv, SyncMode};
use millpond_testkit::lab::{self, Lab, account, origin};
use millpond_types::{ObjectKey, Timestamp};

const WORKERS: u64 = 6;
const KEYS_EACH: u64 = 3;
const OPERATIONS: u64 = 25;
const BLOBS: &str = "/blobs";

/// What a worker knows about its keys, which are nobody else's: what was acknowledged, and what is under way.
#[derive(Default, Clone)]
struct Oracle {
    acknowledged: BTreeMap<String, Option<Vec<u8>>>,
    under_way: Option<(String, Option<Vec<u8>>)>,
}

type Shared = Arc<Mutex<Oracle>>;

struct Worker {
    lab: Arc<Lab>,
    bucket: Arc<Bucket>,
    oracle: Shared,
    random: SeededRandom,
    number: u64,
}

impl Worker {
    fn key(&self) -> String {
        format!("w{}/{}", self.number, self.random.below(KEYS_EACH))
    }

    fn body(&self) -> Vec<u8> {
        let len = match self.random.below(4) {
            0 => self.random.below(64) + 1,
            1 | 2 => self.random.below(900) + 65,
            _ => self.random.below(2000) + 1025,
        };
        let first = self.random.below(256);
        (0..len).map(|i| (first + i * 3) as u8).collect()
    }

    fn begin(&self, key: &str, body: Option<Vec<u8>>) {
        self.oracle.lock().unwrap().under_way = Some((key.to_owned(), body));
    }

    fn acknowledge(&self) {
        let mut oracle = self.oracle.lock().unwrap();
        if let Some((key, body)) = oracle.under_way.take() {
            oracle.acknowledged.insert(key, body);
        }
    }

    async fn run(self) {
        for _ in 0..OPERATIONS {
            let done = match self.random.below(10) {
                0..=4 => self.put().await,
                5..=6 => self.delete().await,
                7 => self.copy().await,
                _ => self.multipart().await,
            };
            match done {
                Ok(()) => self.acknowledge(),
                // The power is gone.
                Err(_) => return,
            }
        }
    }

    async fn put(&self) -> Result<(), LakeError> {
        let (key, body) = (self.key(), self.body());
        self.begin(&key, Some(body.clone()));
        self.lab.put(&self.bucket, &key, &body, Condition::Always).await.map(drop)
    }

    async fn delete(&self) -> Result<(), LakeError> {
        let key = self.key();
        self.begin(&key, None);
        let name = ObjectKey::new(&key).unwrap();
        let lake = &self.lab.lake;
        lake.delete(&self.bucket, &name, None, DeleteCondition::Always, &origin()).await.map(drop)
    }

    async fn copy(&self) -> Result<(), LakeError> {
        let (from, to) = (self.key(), self.key());
        let body = self.oracle.lock().unwrap().acknowledged.get(&from).cloned().flatten();
        let Some(body) = body else { return Ok(()) };
        self.begin(&to, Some(body));
        let lake = &self.lab.lake;
        let found = lake.lookup(&self.bucket, &ObjectKey::new(&from).unwrap(), None).await?;
        let Found::Object(source) = found else { panic!("{from} is gone") };
        let source = lab::unlocked(source)?;
        let sealing = lab::kept_anew(&source, self.lab.sealing())?;
        let request = CopyRequest {
            sealing,
            source,
            bucket: self.bucket.clone(),
            key: ObjectKey::new(&to).unwrap(),
            metadata: Metadata::default(),
            tags: Tags::new(),
            checksum: None,
            owner: account(),
            condition: Condition::Always,
        };
        lake.copy(request, &origin()).await.map(drop)
    }

    async fn multipart(&self) -> Result<(), LakeError> {
        let key = self.key();
        let bodies: Vec<Vec<u8>> = (0..self.random.below(3) + 1).map(|_| [self.body(), vec![7; 20]].concat()).collect();
        self.begin(&key, Some(bodies.concat()));
        let lake = &self.lab.lake;
        let new = NewUpload {
            sealing: self.lab.sealing(),
            bucket: self.bucket.clone(),
            key: ObjectKey::new(&key).unwrap(),
            metadata: Metadata::default(),
            tags: Tags::new(),
            owner: account(),
            initiator: "tester".into(),
            checksum: None,
        };
        let upload = lake.create_upload(new, &origin()).await?;
        let mut parts = Vec::new();
        for (number, body) in (1u16..).zip(&bodies) {
            let ingested = self.lab.ingest_part(&upload, body, &[ChecksumAlgorithm::Crc32]).await?;
            let part = lake.put_part(&upload, number, ingested, &origin()).await?;
            parts.push(CompletePart { number, etag: part.md5.to_string(), checksum: None });
        }
        let request = CompleteRequest {
            object_key: upload.object_key().cloned(),
            bucket: self.bucket.clone(),
            key: upload.key.clone(),
            upload: upload.id,
            parts,
            expected_size: None,
            checksum: None,
            condition: Condition::Always,
        };
        lake.complete(request, &origin()).await.map(drop)
    }
}

/// A disk and an engine after a power cut, and what must be on them.
struct Image {
    kv: MemoryKv,
    disk: SimDisk,
    oracles: Vec<Oracle>,
    time: Timestamp,
}

/// Runs a workload until the power goes.
async fn power_cut(seed: u64, disk: SimDisk) -> Image {
    let random = SeededRandom::new(seed);
    let kv = MemoryKv::with_mode(SyncMode::NextPoll);
    let mut lab = lab::open(Arc::new(kv.clone()), Arc::new(disk.clone()), Path::new(BLOBS), seed).await.unwrap();
    if !seed.is_multiple_of(3) {
        lab.locks = lab::locks();
    }
    let lab = Arc::new(lab);
    let bucket = lab.bucket("bucket").await.unwrap();
    if random.one_in(2) {
        lab.lake.set_versioning(&bucket, Versioning::Enabled, &origin()).await.unwrap();
    }
    let mut oracles = Vec::new();
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..WORKERS {
        let oracle = Shared::default();
        oracles.push(oracle.clone());
        let random = SeededRandom::new(seed * 1000 + number);
        tasks.spawn(Worker { lab: lab.clone(), bucket: bucket.clone(), oracle, random, number }.run());
    }
    let upkeep = tokio::spawn({
        let lab = lab.clone();
        async move {
            loop {
                lab.clock.advance(std::time::Duration::from_secs(20));
                if lab.lake.upkeep_once().await.is_err() {
                    return;
                }
                tokio::task::yield_now().await;
            }
        }
    });
    // Some time within the workload, measured in what the disk was asked to do.
    let (calls, until) = (disk.calls(), random.below(400));
    while disk.calls() < calls + until && !tasks.is_empty() {
        tokio::select! {
            _ = tasks.join_next() => {}
            () = tokio::task::yield_now() => {}
        }
    }
    // First the engine, so that nothing is acknowledged any more of which the disk's image might know nothing.
    let kv = kv.crash(seed);
    let disk = disk.crash_image(seed);
    tasks.shutdown().await;
    upkeep.abort();
    let _ = upkeep.await;
    let oracles = oracles.iter().map(|oracle| oracle.lock().unwrap().clone()).collect();
    let time = lab.now();
    Image { kv, disk, oracles, time }
}

/// What is wrong after a restart.
async fn look(image: Image, seed: u64) -> Vec<String> {
    let Image { kv, disk, oracles, time } = image;
    let opened = lab::open(Arc::new(kv), Arc::new(disk.clone()), Path::new(BLOBS), seed + 1).await;
    let lab = match opened {
        Ok(lab) => lab,
        Err(error) => return vec![format!("cannot be opened: {error}")],
    };
    lab.clock.set(time);
    let mut wrong = Vec::new();
    let bucket = lab.lake.bucket(&"bucket".parse().unwrap()).await.unwrap();
    let mut listed = BTreeMap::new();
    let request = ListRequest { limit: 1000, after: After::Start, ..ListRequest::default() };
    for entry in lab.lake.list_current(&bucket, request).await.unwrap().entries {
        listed.insert(entry.key, entry.size);
    }
    for oracle in &oracles {
        for (key, expected) in &oracle.acknowledged {
            let found = current(&lab, &bucket, key).await;
            let also = oracle.under_way.as_ref().filter(|(other, _)| other == key).map(|(_, body)| body);
            if found.as_ref() != Ok(expected) && found.as_ref().ok() != also {
                wrong.push(format!("{key}: {:?}, acknowledged {:?}", sizes(&found), expected.as_ref().map(Vec::len)));
            }
            let size = found.ok().flatten().map(|body| body.len() as u64);
            if listed.remove(key) != size {
                wrong.push(format!("{key}: the listing disagrees with {size:?}"));
            }
        }
        if let Some((key, body)) = &oracle.under_way
            && let Some(size) = listed.remove(key)
            && body.as_ref().map(|body| body.len() as u64) != Some(size)
        {
            wrong.push(format!("{key}: half a change, {size} bytes"));
        }
    }
    wrong.extend(listed.keys().map(|key| format!("{key}: listed, but nobody wrote it")));
    wrong.extend(checked(&lab).await);
    lab.settle().await.unwrap();
    wrong.extend(checked(&lab).await);
    wrong.extend(leaks(&lab, &disk).await);
    wrong
}

fn sizes(found: &Result<Option<Vec<u8>>, LakeError>) -> Result<Option<usize>, LakeError> {
    found.clone().map(|body| body.map(|body| body.len()))
}

async fn current(lab: &Lab, bucket: &Bucket, key: &str) -> Result<Option<Vec<u8>>, LakeError> {
    match lab.lake.lookup(bucket, &ObjectKey::new(key).unwrap(), None).await? {
        Found::Object(version) => {
            let size = version.object().map_or(0, |object| object.size);
            lab.read(&version, 0..size).await.map(Some)
        }
        Found::DeleteMarker(_) | Found::None => Ok(None),
    }
}

async fn checked(lab: &Lab) -> Vec<String> {
    match lab.check().await {
        Ok(report) => report.problems,
        Err(error) => vec![format!("the check failed: {error}")],
    }
}

/// Files that no metadata names, after a sweep.
async fn leaks(lab: &Lab, disk: &SimDisk) -> Vec<String> {
    let files = check::list(disk, Path::new(BLOBS)).unwrap();
    let files = files.into_iter().filter(|file| matches!(file, check::OnDisk::File(_))).count();
    let named = lab.file_extents().await.unwrap();
    if files == named { Vec::new() } else { vec![format!("{files} files on disk, {named} in the metadata")] }
}

fn images() -> Vec<u64> {
    if let Some(seed) = std::env::var("MILLPOND_SEED").ok().and_then(|seed| seed.parse().ok()) {
        return vec![seed];
    }
    let count = std::env::var("MILLPOND_CRASH_IMAGES").ok().and_then(|n| n.parse().ok()).unwrap_or(500);
    (0..count).collect()
}

#[tokio::test]
async fn nothing_acknowledged_is_lost_and_nothing_is_torn() {
    for seed in images() {
        let image = power_cut(seed, SimDisk::new()).await;
        let wrong = look(image, seed).await;
        assert_eq!(wrong, Vec::<String>::new(), "MILLPOND_SEED={seed}");
    }
}

/// Each sync that the store names matters: without it some image of this very test shows a fault.
#[tokio::test]
async fn a_sync_left_out_is_found() {
    const TRIES: u64 = 200;
    for point in SYNC_POINTS {
        let mut found = false;
        for seed in 0..TRIES {
            let disk = SimDisk::new();
            disk.ignore_sync(point.0);
            let image = power_cut(seed, disk).await;
            if !look(image, seed).await.is_empty() {
                found = true;
                break;
            }
        }
        assert!(found, "no image of {TRIES} shows that {} is left out", point.0);
    }
}
