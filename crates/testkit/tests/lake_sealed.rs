//! Encrypted objects: ranges over the edges of frames, damage, wrong keys, and part copies that refer to sealed bodies.

// A test that meets what it does not expect ends there, in its helpers as well.
#![allow(clippy::unwrap_used)]

use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use millpond_blob::{BlobConfig, Blobs};
use millpond_digest::{ChecksumAlgorithm, Md5};
use millpond_io::sim::SimDisk;
use millpond_io::{ManualClock, Random, SeededRandom};
use millpond_lake::{
    Bucket, CompletePart, CompleteRequest, Condition, Found, Lake, LakeConfig, LakeError, Lock, Metadata, NewUpload,
    Tags, Upload, Version, tables,
};
use millpond_meta::{Batch, Kv, MemoryKv, Op, Scan};
use millpond_seal::{FRAME_PLAIN, Key};
use millpond_testkit::lab::{self, Lab, account, origin};
use millpond_types::{ObjectKey, Timestamp};

const FRAME: u64 = FRAME_PLAIN as u64;

fn key(name: &str) -> ObjectKey {
    ObjectKey::new(name).unwrap()
}

fn body(len: u64) -> Vec<u8> {
    let mut bytes = vec![0; len as usize];
    SeededRandom::new(len).fill(&mut bytes);
    bytes
}

struct It {
    lab: Lab,
    bucket: Arc<Bucket>,
    kv: MemoryKv,
    disk: SimDisk,
}

/// A lake whose objects are all encrypted, with thresholds as a server has them or small ones.
async fn encrypted(as_a_server: bool) -> It {
    let (kv, disk) = (MemoryKv::new(), SimDisk::new());
    let mut lab = lab::open(Arc::new(kv.clone()), Arc::new(disk.clone()), Path::new("/blobs"), 1).await.unwrap();
    if as_a_server {
        let random = Arc::new(SeededRandom::new(2));
        let config = BlobConfig { reserve: Some(0), ..BlobConfig::default() };
        let blobs = Blobs::open(Arc::new(disk.clone()), random.clone(), Path::new("/large"), config).unwrap();
        let clock = Arc::new(ManualClock::new(Timestamp::from_seconds(1_700_000_000)));
        let config = LakeConfig { copy_bytes: 10, min_part_bytes: 1, ..LakeConfig::default() };
        lab.lake = Lake::open(Arc::new(kv.clone()), blobs, clock, random, config).await.unwrap();
    }
    lab.locks = lab::locks();
    let bucket = lab.bucket("bucket").await.unwrap();
    It { lab, bucket, kv, disk }
}

impl It {
    async fn put(&self, name: &str, body: &[u8]) -> Version {
        self.lab.put(&self.bucket, name, body, Condition::Always).await.unwrap().version
    }

    async fn current(&self, name: &str) -> Version {
        match self.lab.lake.lookup(&self.bucket, &key(name), None).await.unwrap() {
            Found::Object(version) => lab::unlocked(version).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    async fn upload(&self, name: &str) -> Upload {
        let new = NewUpload {
            bucket: self.bucket.clone(),
            key: key(name),
            metadata: Metadata::default(),
            tags: Tags::new(),
            owner: account(),
            initiator: "tester".into(),
            checksum: None,
            sealing: self.lab.sealing(),
        };
        self.lab.lake.create_upload(new, &origin()).await.unwrap()
    }

    async fn complete(&self, upload: &Upload, parts: Vec<(u16, String)>) -> Version {
        let parts = parts.into_iter().map(|(number, etag)| CompletePart { number, etag, checksum: None });
        let request = CompleteRequest {
            bucket: self.bucket.clone(),
            key: upload.key.clone(),
            upload: upload.id,
            parts: parts.collect(),
            expected_size: None,
            checksum: None,
            object_key: upload.object_key().cloned(),
            condition: Condition::Always,
        };
        lab::unlocked(self.lab.lake.complete(request, &origin()).await.unwrap().version).unwrap()
    }

    /// Every range whose ends lie at or beside the edges of frames.
    async fn ranges(&self, version: &Version, body: &[u8]) {
        let size = body.len() as u64;
        let mut edges: Vec<u64> = (0..=size.div_ceil(FRAME)).flat_map(|n| [n * FRAME, n * FRAME + 1]).collect();
        edges.extend((1..=size.div_ceil(FRAME)).map(|n| n * FRAME - 1));
        edges.extend([65_536, size / 2, size.saturating_sub(1), size]);
        edges.retain(|edge| *edge <= size);
        edges.sort_unstable();
        edges.dedup();
        for from in &edges {
            for to in edges.iter().filter(|to| *to >= from) {
                let read = self.lab.read(version, *from..*to).await.unwrap();
                assert!(read == body[*from as usize..*to as usize], "{from}..{to} of {size}");
            }
        }
    }
}

#[tokio::test]
async fn ranges_over_all_edges_of_frames() {
    let it = encrypted(true).await;
    // Inline, in a segment, and in a file; the first and last size of each.
    let small = [1, 15, 16, 17, 8175, 8176, 8177];
    let frames = [FRAME - 1, FRAME, FRAME + 1, 2 * FRAME, 2 * FRAME + 1, 3 * FRAME + 5];
    let large = [64 * FRAME - 1, 64 * FRAME, 65 * FRAME + 1];
    for size in small.into_iter().chain(frames) {
        let body = body(size);
        it.put("k", &body).await;
        it.ranges(&it.current("k").await, &body).await;
    }
    for size in large {
        let body = body(size);
        it.put("k", &body).await;
        let version = it.current("k").await;
        for range in
            [0..size, 0..1, size - 1..size, FRAME - 1..2 * FRAME + 1, 31 * FRAME..size, 17 * FRAME + 3..50 * FRAME]
        {
            let read = it.lab.read(&version, range.clone()).await.unwrap();
            assert!(read == body[range.start as usize..range.end as usize], "{range:?} of {size}");
        }
    }
    let report = it.lab.check().await.unwrap();
    assert_eq!(report.problems, Vec::<String>::new());
}

#[tokio::test]
async fn parts_and_copies_of_parts() {
    let it = encrypted(true).await;
    let parts = [body(FRAME + 1), body(100), body(2 * FRAME), body(5 << 20)];
    let upload = it.upload("parts").await;
    let mut done = Vec::new();
    for (number, body) in (1..).zip(&parts) {
        let ingested = it.lab.ingest_part(&upload, body, &[ChecksumAlgorithm::Crc64Nvme]).await.unwrap();
        done.push((number, it.lab.lake.put_part(&upload, number, ingested, &origin()).await.unwrap().md5.to_string()));
    }
    let whole = parts.concat();
    let source = it.complete(&upload, done).await;
    for range in [0..whole.len() as u64, 5..whole.len() as u64 - 5, FRAME..FRAME + 102] {
        let upload = it.upload("copy").await;
        let part = it.lab.lake.copy_part(&upload, 1, &source, range.clone(), &origin()).await.unwrap();
        let copied = &whole[range.start as usize..range.end as usize];
        let copy = it.complete(&upload, vec![(1, part.md5.to_string())]).await;
        assert!(it.lab.read(&copy, 0..copied.len() as u64).await.unwrap() == copied);
        let middle = copied.len() as u64 / 2;
        assert!(it.lab.read(&copy, middle..middle + 3).await.unwrap() == copied[middle as usize..middle as usize + 3]);
    }
    assert_eq!(it.lab.check().await.unwrap().problems, Vec::<String>::new());
}

/// A part's row must fit, however many bodies it refers to, each with its key.
#[tokio::test]
async fn a_part_copy_of_very_many_pieces_is_copied() {
    let it = encrypted(false).await;
    let upload = it.upload("pieces").await;
    let (mut done, mut whole) = (Vec::new(), Vec::new());
    for number in 1..=500 {
        let body = body(100 + u64::from(number));
        let ingested = it.lab.ingest_part(&upload, &body, &[ChecksumAlgorithm::Crc64Nvme]).await.unwrap();
        done.push((number, it.lab.lake.put_part(&upload, number, ingested, &origin()).await.unwrap().md5.to_string()));
        whole.extend(body);
    }
    let source = it.complete(&upload, done).await;
    for (size, written) in [(whole.len() as u64, true), (60_000, false)] {
        let before = it.lab.check().await.unwrap().bodies;
        let upload = it.upload("copy").await;
        let part = it.lab.lake.copy_part(&upload, 1, &source, 0..size, &origin()).await.unwrap();
        assert_eq!(it.lab.check().await.unwrap().bodies > before, written);
        let copy = it.complete(&upload, vec![(1, part.md5.to_string())]).await;
        assert!(it.lab.read(&copy, 0..size).await.unwrap() == whole[..size as usize]);
    }
}

#[tokio::test]
async fn what_is_damaged_is_not_served() {
    let it = encrypted(false).await;
    let large = it.put("large", &body(2 * FRAME)).await;
    let path = it.disk.files().into_iter().find(|path| path.to_string_lossy().contains("files")).unwrap();
    it.disk.flip_bit(&path, 70_000, 3).unwrap();
    assert_eq!(it.lab.read(&large, 0..100).await.unwrap(), body(2 * FRAME)[..100], "the first frame is sound");
    assert!(matches!(it.lab.read(&large, 0..2 * FRAME).await, Err(LakeError::Damaged(_))));
    // What checksums cannot find: a body that is sound, and another's.
    let (one, two) = (it.put("one", b"the first").await, it.put("two", b"the other").await);
    let from = Bound::Included(Bytes::from_static(&[tables::INLINE]));
    let to = Bound::Excluded(Bytes::from_static(&[tables::INLINE + 1]));
    let rows = it.lab.kv.scan(Scan { from, to, reverse: false, limit: 10 }).await.unwrap();
    let [(first, a), (second, b)] = &rows[..] else { panic!("{} inline bodies", rows.len()) };
    assert!(!a.windows(5).any(|bytes| bytes == b"first" || bytes == b"other"));
    let write = |ops| it.kv.commit(Batch { ops, ..Batch::default() });
    write(vec![Op::Put(first.clone(), b.clone()), Op::Put(second.clone(), a.clone())]).await.unwrap();
    for version in [&one, &two] {
        assert!(matches!(it.lab.read(version, 0..9).await, Err(LakeError::Damaged(_))));
    }
    write(vec![Op::Put(first.clone(), a.slice(..20)), Op::Put(second.clone(), Bytes::new())]).await.unwrap();
    for version in [&one, &two] {
        assert!(matches!(it.lab.read(version, 0..9).await, Err(LakeError::Damaged(_))));
    }
}

#[tokio::test]
async fn another_key_opens_nothing() {
    for lock in lab::locks() {
        let mut it = encrypted(false).await;
        it.lab.locks = vec![lock.clone()];
        let version = it.put("k", b"content").await;
        assert!(matches!(it.lab.lake.read(&version, 0..7).await, Err(LakeError::Locked)));
        let hides = lock != Some(Lock::Server);
        assert_eq!(version.object().unwrap().checksum.is_none(), hides, "a checksum that may not be seen is not there");
        assert_eq!(version.object().unwrap().etag == Md5::of(b"content").to_string(), !hides);
        let mut wrong = version.clone();
        // Where there is a sealed digest it tells at once, and otherwise the body does.
        let unlocked = wrong.unlock(Key::from_bytes(&[9; 32]));
        assert_eq!(unlocked.is_err(), hides);
        if !hides {
            assert!(matches!(it.lab.lake.read(&wrong, 0..7).await, Err(LakeError::Damaged(_))));
        }
        let right = lab::unlocked(version).unwrap();
        assert_eq!(it.lab.read(&right, 0..7).await.unwrap(), b"content");
        assert!(right.object().unwrap().checksum.is_some());
    }
}

/// Parts of an upload can only be sealed for it, and only by who has its key.
#[tokio::test]
async fn an_upload_is_locked_too() {
    let it = encrypted(false).await;
    let upload = it.upload("k").await;
    let locked = it.lab.lake.upload(&it.bucket, &key("k"), upload.id).await.unwrap();
    let sums = [ChecksumAlgorithm::Crc64Nvme];
    let ingested = it.lab.ingest_part(&locked, b"part", &sums).await.unwrap();
    let refused = it.lab.lake.put_part(&locked, 1, ingested, &origin()).await;
    assert_eq!(refused, Err(LakeError::Locked));
    let plain = it.lab.ingest(b"part", &sums).await.unwrap();
    assert!(matches!(it.lab.lake.put_part(&upload, 1, plain, &origin()).await, Err(LakeError::Internal(_))));
    let ingested = it.lab.ingest_part(&upload, b"part", &sums).await.unwrap();
    it.lab.lake.put_part(&upload, 1, ingested, &origin()).await.unwrap();
    it.lab.lake.abort(&upload, &origin()).await.unwrap();
    it.lab.settle().await.unwrap();
    assert_eq!(it.lab.check().await.unwrap().problems, Vec::<String>::new());
}
