//! Many tasks on few keys: whatever the order, heads stay single, references and counters stay true, and readers see whole objects.
//!
//! `MILLPOND_SEED=n` reruns one seed (the interleaving of threads is the machine's own).

// A test that meets what it does not expect ends there, in its helpers as well.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use millpond_digest::Md5;
use millpond_io::SeededRandom;
use millpond_io::sim::SimDisk;
use millpond_lake::{
    Bucket, CompletePart, CompleteRequest, Condition, CopyRequest, DeleteCondition, DeleteItem, Found, LakeError,
    Metadata, NewUpload, Tags, Upload, UploadId, Version, Versioning, VersionsRequest,
};
use millpond_meta::{MemoryKv, SyncMode};
use millpond_testkit::lab::{self, Lab, account, origin};
use millpond_types::ObjectKey;

const KEYS: [&str; 3] = ["a", "b", "a/c"];
const TASKS: u64 = 8;
const STEPS: usize = 120;

fn seeds() -> Vec<u64> {
    match std::env::var("MILLPOND_SEED").ok().and_then(|seed| seed.parse().ok()) {
        Some(seed) => vec![seed],
        None => (0..6).collect(),
    }
}

fn key(name: &str) -> ObjectKey {
    ObjectKey::new(name).unwrap()
}

/// What a storm may answer besides success.
fn tolerable(error: &LakeError) -> bool {
    matches!(
        error,
        LakeError::Changed
            | LakeError::Reconfigured
            | LakeError::NoSuchKey
            | LakeError::NoSuchVersion
            | LakeError::NoSuchUpload
            | LakeError::IsDeleteMarker
            | LakeError::PreconditionFailed
            | LakeError::InvalidPart { .. }
    )
}

struct Storm {
    lab: Arc<Lab>,
    bucket: Arc<Bucket>,
    random: SeededRandom,
}

impl Storm {
    fn key(&self) -> ObjectKey {
        key(KEYS[self.random.below(KEYS.len() as u64) as usize])
    }

    fn body(&self) -> Vec<u8> {
        let len = [10, 60, 300, 1500][self.random.below(4) as usize] + self.random.below(5);
        let first = self.random.below(256);
        (0..len).map(|i| (first + i) as u8).collect()
    }

    async fn run(self) {
        for _ in 0..STEPS {
            let done = match self.random.below(12) {
                0..=2 => self.put().await,
                3 => self.delete().await,
                4 => self.delete_version().await,
                5 => self.delete_many().await,
                6 => self.copy().await,
                7 => self.read().await,
                8 => self.versioning().await,
                9 => self.tags().await,
                _ => self.multipart().await,
            };
            if let Err(error) = done {
                assert!(tolerable(&error), "{error}");
            }
        }
    }

    async fn put(&self) -> Result<(), LakeError> {
        let condition = match self.random.below(4) {
            0 => Condition::IfAbsent,
            1 => Condition::IfMatch("*".into()),
            _ => Condition::Always,
        };
        self.lab.put(&self.bucket, self.key().as_str(), &self.body(), condition).await.map(drop)
    }

    async fn delete(&self) -> Result<(), LakeError> {
        self.lab.lake.delete(&self.bucket, &self.key(), None, DeleteCondition::Always, &origin()).await.map(drop)
    }

    async fn some_version(&self) -> Result<Option<(ObjectKey, millpond_lake::VersionId)>, LakeError> {
        let request = VersionsRequest { limit: 20, ..VersionsRequest::default() };
        let page = self.lab.lake.list_versions(&self.bucket, request).await?;
        if page.entries.is_empty() {
            return Ok(None);
        }
        let entry = &page.entries[self.random.below(page.entries.len() as u64) as usize];
        Ok(Some((key(&entry.entry.key), entry.id)))
    }

    async fn delete_version(&self) -> Result<(), LakeError> {
        let Some((key, id)) = self.some_version().await? else { return Ok(()) };
        self.lab.lake.delete(&self.bucket, &key, Some(id), DeleteCondition::Always, &origin()).await.map(drop)
    }

    async fn delete_many(&self) -> Result<(), LakeError> {
        let item = |name: &&str| DeleteItem { key: key(name), version: None, condition: DeleteCondition::Always };
        let items: Vec<_> = KEYS.iter().map(item).collect();
        for result in self.lab.lake.delete_many(&self.bucket, &items, &origin()).await? {
            result?;
        }
        Ok(())
    }

    async fn source(&self) -> Result<Option<Version>, LakeError> {
        match self.lab.lake.lookup(&self.bucket, &self.key(), None).await? {
            Found::Object(version) => Ok(Some(version)),
            Found::DeleteMarker(_) | Found::None => Ok(None),
        }
    }

    async fn copy(&self) -> Result<(), LakeError> {
        let Some(source) = self.source().await? else { return Ok(()) };
        let request = CopyRequest {
            sealing: None,
            source,
            bucket: self.bucket.clone(),
            key: self.key(),
            metadata: Metadata::default(),
            tags: Tags::new(),
            checksum: None,
            owner: account(),
            condition: Condition::Always,
        };
        self.lab.lake.copy(request, &origin()).await.map(drop)
    }

    async fn read(&self) -> Result<(), LakeError> {
        let Some(source) = self.source().await? else { return Ok(()) };
        let object = source.object().unwrap();
        let body = self.lab.read(&source, 0..object.size).await?;
        assert_eq!(body.len() as u64, object.size);
        if object.parts.is_none() {
            assert_eq!(Md5::of(&body).to_string(), object.etag);
        }
        Ok(())
    }

    async fn versioning(&self) -> Result<(), LakeError> {
        let versioning = [Versioning::Enabled, Versioning::Suspended][self.random.below(2) as usize];
        self.lab.lake.set_versioning(&self.bucket, versioning, &origin()).await.map(drop)
    }

    async fn tags(&self) -> Result<(), LakeError> {
        let tags = Tags::from([("n".into(), self.random.below(9).to_string())]);
        let Some(version) = self.source().await? else { return Ok(()) };
        self.lab.lake.set_tags(&self.bucket, &version, tags, &origin()).await.map(drop)
    }

    async fn part(&self, upload: &Upload, number: u16) -> Result<CompletePart, LakeError> {
        let part = if self.random.one_in(3)
            && let Some(source) = self.source().await?
            && source.object().is_some_and(|object| object.size >= lab::MIN_PART)
        {
            let size = source.object().unwrap().size;
            self.lab.lake.copy_part(upload, number, &source, 0..size, &origin()).await?
        } else {
            let ingested = self.lab.ingest(&[self.body(), vec![1; 20]].concat(), &[]).await?;
            self.lab.lake.put_part(upload, number, ingested, &origin()).await?
        };
        Ok(CompletePart { number, etag: part.md5.to_string(), checksum: None })
    }

    async fn multipart(&self) -> Result<(), LakeError> {
        let upload = self.lab.lake.create_upload(new_upload(&self.bucket, self.key()), &origin()).await?;
        // Two parts at once, and one of them replaced while the upload is completed or aborted.
        let (first, second) = tokio::join!(self.part(&upload, 1), self.part(&upload, 2));
        let parts = vec![first?, second?];
        let request = completion(&self.bucket, &upload.key, upload.id, parts);
        let (lake, origin) = (&self.lab.lake, origin());
        if self.random.one_in(4) {
            let (completed, aborted) = tokio::join!(lake.complete(request, &origin), lake.abort(&upload, &origin));
            assert!(completed.is_ok() != aborted.is_ok(), "{completed:?} {aborted:?}");
            return completed.map(drop);
        }
        let (completed, replaced) = tokio::join!(lake.complete(request, &origin), self.part(&upload, 2));
        replaced.map(drop).or_else(|error| if tolerable(&error) { Ok(()) } else { Err(error) })?;
        if completed.is_err() {
            lake.abort(&upload, &origin).await?;
        }
        completed.map(drop)
    }
}

fn new_upload(bucket: &Arc<Bucket>, key: ObjectKey) -> NewUpload {
    NewUpload {
        sealing: None,
        bucket: bucket.clone(),
        key,
        metadata: Metadata::default(),
        tags: Tags::new(),
        owner: account(),
        initiator: "tester".into(),
        checksum: None,
    }
}

fn completion(bucket: &Arc<Bucket>, key: &ObjectKey, upload: UploadId, parts: Vec<CompletePart>) -> CompleteRequest {
    CompleteRequest {
        object_key: None,
        bucket: bucket.clone(),
        key: key.clone(),
        upload,
        parts,
        expected_size: None,
        checksum: None,
        condition: Condition::Always,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_storm_leaves_everything_true() {
    for seed in seeds() {
        println!("seed {seed}");
        // Where commits wait for each other, more comes in between reading and committing.
        let mode = if seed % 2 == 0 { SyncMode::Immediate } else { SyncMode::NextPoll };
        let (kv, disk) = (Arc::new(MemoryKv::with_mode(mode)), Arc::new(SimDisk::new()));
        let lab = Arc::new(lab::open(kv, disk, Path::new("/blobs"), seed).await.unwrap());
        let bucket = lab.bucket("bucket").await.unwrap();
        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..TASKS {
            let random = SeededRandom::new(seed * 100 + number);
            tasks.spawn(Storm { lab: lab.clone(), bucket: bucket.clone(), random }.run());
        }
        let stop = Arc::new(AtomicBool::new(false));
        let upkeep = tokio::spawn(keep_up(lab.clone(), stop.clone()));
        while let Some(done) = tasks.join_next().await {
            done.unwrap();
        }
        stop.store(true, Ordering::Relaxed);
        upkeep.await.unwrap();
        assert_eq!(lab.check().await.unwrap().problems, Vec::<String>::new(), "seed {seed}");
        drain(&lab, &bucket).await;
    }
}

/// Upkeep all the time, while the clock runs; not so fast that a reader could lose its grace between two calls.
async fn keep_up(lab: Arc<Lab>, stop: Arc<AtomicBool>) {
    while !stop.load(Ordering::Relaxed) {
        lab.clock.advance(std::time::Duration::from_millis(50));
        lab.lake.upkeep_once().await.unwrap();
        tokio::task::yield_now().await;
    }
}

async fn drain(lab: &Lab, bucket: &Bucket) {
    loop {
        let page = lab
            .lake
            .list_versions(bucket, VersionsRequest { limit: 1000, ..VersionsRequest::default() })
            .await
            .unwrap();
        if page.entries.is_empty() {
            break;
        }
        let item = |entry: &millpond_lake::VersionEntry| DeleteItem {
            key: key(&entry.entry.key),
            version: Some(entry.id),
            condition: DeleteCondition::Always,
        };
        let items: Vec<_> = page.entries.iter().map(item).collect();
        for result in lab.lake.delete_many(bucket, &items, &origin()).await.unwrap() {
            result.unwrap();
        }
    }
    lab.lake.delete_bucket(bucket, &origin()).await.unwrap();
    lab.settle().await.unwrap();
    let report = lab.check().await.unwrap();
    assert_eq!(report.problems, Vec::<String>::new());
    assert_eq!((report.versions, report.markers, report.uploads, report.bodies, report.waiting), (0, 0, 0, 0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_that_put_if_absent_one_wins() {
    let lab = Arc::new(lab::memory(1).await.unwrap());
    let bucket = lab.bucket("bucket").await.unwrap();
    for round in 0..20 {
        let mut tasks = tokio::task::JoinSet::new();
        for task in 0..16u8 {
            let (lab, bucket) = (lab.clone(), bucket.clone());
            let name = format!("round{round}");
            tasks.spawn(async move { lab.put(&bucket, &name, &[task; 100], Condition::IfAbsent).await.map(drop) });
        }
        let results = tasks.join_all().await;
        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
        assert!(results.iter().all(|r| r.is_ok() || *r == Err(LakeError::PreconditionFailed)), "{results:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_update_under_if_match_is_lost() {
    let lab = Arc::new(lab::memory(2).await.unwrap());
    let bucket = lab.bucket("bucket").await.unwrap();
    lab.put(&bucket, "counter", b"0", Condition::Always).await.unwrap();
    let successes = Arc::new(AtomicU64::new(0));
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (lab, bucket, successes) = (lab.clone(), bucket.clone(), successes.clone());
        tasks.spawn(async move {
            for _ in 0..40 {
                let Found::Object(version) = lab.lake.lookup(&bucket, &key("counter"), None).await.unwrap() else {
                    panic!("the counter is gone");
                };
                let object = version.object().unwrap();
                let text = String::from_utf8(lab.read(&version, 0..object.size).await.unwrap()).unwrap();
                let next = (text.parse::<u64>().unwrap() + 1).to_string();
                match lab.put(&bucket, "counter", next.as_bytes(), Condition::IfMatch(object.etag.clone())).await {
                    Ok(_) => successes.fetch_add(1, Ordering::Relaxed),
                    Err(LakeError::PreconditionFailed) => 0,
                    Err(error) => panic!("{error}"),
                };
            }
        });
    }
    tasks.join_all().await;
    let Found::Object(version) = lab.lake.lookup(&bucket, &key("counter"), None).await.unwrap() else {
        panic!("the counter is gone");
    };
    let size = version.object().unwrap().size;
    let text = String::from_utf8(lab.read(&version, 0..size).await.unwrap()).unwrap();
    assert_eq!(text, successes.load(Ordering::Relaxed).to_string());
    assert!(successes.load(Ordering::Relaxed) > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn plain_writes_of_one_key_all_succeed() {
    let lab = Arc::new(lab::memory(3).await.unwrap());
    let bucket = lab.bucket("bucket").await.unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..64u8 {
        let (lab, bucket) = (lab.clone(), bucket.clone());
        tasks.spawn(async move {
            for _ in 0..5 {
                lab.put(&bucket, "hot", &[task; 200], Condition::Always).await.unwrap();
            }
        });
    }
    tasks.join_all().await;
    assert_eq!(lab.lake.bucket_usage(&bucket).await.unwrap().versions, 1);
    assert_eq!(lab.check().await.unwrap().problems, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_reader_outlives_what_it_reads() {
    let lab = lab::memory(4).await.unwrap();
    let bucket = lab.bucket("bucket").await.unwrap();
    let upload = lab.lake.create_upload(new_upload(&bucket, key("big")), &origin()).await.unwrap();
    let (mut parts, mut whole) = (Vec::new(), Vec::new());
    for number in 1..=9u16 {
        let body = vec![number as u8; 1500];
        let part = lab.lake.put_part(&upload, number, lab.ingest(&body, &[]).await.unwrap(), &origin()).await.unwrap();
        parts.push(CompletePart { number, etag: part.md5.to_string(), checksum: None });
        whole.extend(body);
    }
    let version =
        lab.lake.complete(completion(&bucket, &upload.key, upload.id, parts), &origin()).await.unwrap().version;
    for (name, body) in [("file", vec![3u8; 3000]), ("segment", vec![4; 500]), ("inline", vec![5; 50])] {
        lab.put(&bucket, name, &body, Condition::Always).await.unwrap();
    }
    let mut readers = vec![(lab.lake.read(&version, 0..whole.len() as u64).await.unwrap(), whole)];
    for (name, body) in [("file", vec![3u8; 3000]), ("segment", vec![4; 500]), ("inline", vec![5; 50])] {
        let Found::Object(version) = lab.lake.lookup(&bucket, &key(name), None).await.unwrap() else {
            panic!("{name}")
        };
        readers.push((lab.lake.read(&version, 0..body.len() as u64).await.unwrap(), body));
    }
    for name in ["big", "file", "segment", "inline"] {
        lab.lake.delete(&bucket, &key(name), None, DeleteCondition::Always, &origin()).await.unwrap();
    }
    lab.settle().await.unwrap();
    for (mut reader, expected) in readers {
        let mut bytes = Vec::new();
        while let Some(chunk) = reader.next().await {
            bytes.extend_from_slice(&chunk.unwrap());
        }
        assert_eq!(bytes, expected);
    }
    // Once the readers are gone, so is everything.
    lab.settle().await.unwrap();
    assert_eq!(lab.lake.read(&version, 0..10).await.err(), Some(LakeError::Changed));
    assert_eq!(lab.file_extents().await.unwrap(), 0);
}
