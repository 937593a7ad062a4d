//! Failing commits, full disks, damaged bytes, dropped requests, and what callers do wrong.

// A test that meets what it does not expect ends there, in its helpers as well.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use millpond_blob::check;
use millpond_digest::{Checksum as Value, ChecksumAlgorithm, ChecksumType, Hasher, Md5};
use millpond_io::sim::SimDisk;
use millpond_lake::{
    Bucket, CompletePart, CompleteRequest, Condition, DeleteCondition, DeleteItem, Found, IngestPlan, LakeError,
    Metadata, NewUpload, PutRequest, Tags, Upload, UploadId, Version, VersionId, Versioning,
};
use millpond_meta::{FailingKv, Fault, MemoryKv};
use millpond_testkit::lab::{self, Lab, MIN_PART, account, origin};
use millpond_types::ObjectKey;

fn key(name: &str) -> ObjectKey {
    ObjectKey::new(name).unwrap()
}

/// A lake whose engine and disk can be told to fail.
struct Fragile {
    lab: Lab,
    kv: FailingKv<MemoryKv>,
    memory: MemoryKv,
    disk: SimDisk,
    bucket: Arc<Bucket>,
}

async fn fragile() -> Fragile {
    let (memory, disk) = (MemoryKv::new(), SimDisk::new());
    let kv = FailingKv::new(memory.clone());
    let lab = lab::open(Arc::new(kv.clone()), Arc::new(disk.clone()), Path::new("/blobs"), 1).await.unwrap();
    let bucket = lab.bucket("bucket").await.unwrap();
    Fragile { lab, kv, memory, disk, bucket }
}

fn files(disk: &SimDisk) -> usize {
    let files = check::list(disk, Path::new("/blobs")).unwrap();
    files.into_iter().filter(|file| matches!(file, check::OnDisk::File(_))).count()
}

async fn current(lab: &Lab, bucket: &Bucket, name: &str) -> Option<Version> {
    match lab.lake.lookup(bucket, &key(name), None).await.unwrap() {
        Found::Object(version) => Some(version),
        Found::DeleteMarker(_) | Found::None => None,
    }
}

#[tokio::test]
async fn a_refused_commit_changes_nothing_and_gives_the_bytes_back() {
    for (fault, expected) in [(Fault::Full, LakeError::Full), (Fault::Stopped, LakeError::ReadOnly(String::new()))] {
        let it = fragile().await;
        it.lab.put(&it.bucket, "old", &[1; 2000], Condition::Always).await.unwrap();
        it.kv.fail_commit(1, fault.clone());
        let error = it.lab.put(&it.bucket, "old", &[2; 2000], Condition::Always).await.unwrap_err();
        assert_eq!(std::mem::discriminant(&error), std::mem::discriminant(&expected), "{error}");
        let version = current(&it.lab, &it.bucket, "old").await.unwrap();
        assert_eq!(it.lab.read(&version, 0..2000).await.unwrap(), [1; 2000]);
        let again =
            lab::open(Arc::new(it.memory.clone()), Arc::new(it.disk.clone()), Path::new("/blobs"), 2).await.unwrap();
        again.settle().await.unwrap();
        assert_eq!(files(&it.disk), 1, "{fault:?}: the refused body's file is gone, the old one's stays");
        assert_eq!(again.check().await.unwrap().problems, Vec::<String>::new());
    }
}

#[tokio::test]
async fn bytes_of_a_commit_of_unknown_outcome_are_kept() {
    let it = fragile().await;
    it.kv.fail_commit(1, Fault::StoppedAfter);
    let error = it.lab.put(&it.bucket, "k", &[2; 2000], Condition::Always).await.unwrap_err();
    assert!(matches!(error, LakeError::ReadOnly(_)), "{error}");
    drop(it.lab);
    let again =
        lab::open(Arc::new(it.memory.clone()), Arc::new(it.disk.clone()), Path::new("/blobs"), 2).await.unwrap();
    again.settle().await.unwrap();
    let version = current(&again, &it.bucket, "k").await.unwrap();
    assert_eq!(again.read(&version, 0..2000).await.unwrap(), [2; 2000]);
}

#[tokio::test]
async fn conflicts_are_tried_again() {
    let it = fragile().await;
    for condition in [0, 1] {
        it.kv.fail_commit(1, Fault::Conflict(condition));
        it.lab.put(&it.bucket, "k", b"x", Condition::Always).await.unwrap();
    }
    assert_eq!(it.lab.check().await.unwrap().problems, Vec::<String>::new());
}

#[tokio::test]
async fn every_failing_read_is_an_error_and_no_harm() {
    let it = fragile().await;
    it.lab.lake.set_versioning(&it.bucket, Versioning::Enabled, &origin()).await.unwrap();
    for n in 1..40 {
        it.kv.fail_read(n);
        let put = it.lab.put(&it.bucket, "k", &[n as u8; 1500], Condition::Always).await;
        let delete = it.lab.lake.delete(&it.bucket, &key("k"), None, DeleteCondition::Always, &origin()).await;
        let lookup = it.lab.lake.lookup(&it.bucket, &key("k"), None).await;
        let listed = it.lab.lake.list_versions(&it.bucket, Default::default()).await;
        for error in [put.err(), delete.err(), lookup.err(), listed.err()].into_iter().flatten() {
            assert!(matches!(error, LakeError::Internal(_)), "{error}");
        }
        it.kv.fail_read(1_000_000);
        assert_eq!(it.lab.check().await.unwrap().problems, Vec::<String>::new(), "read {n}");
    }
}

#[tokio::test]
async fn deleting_works_on_a_full_disk_and_makes_room() {
    let it = fragile().await;
    for name in ["a", "b"] {
        it.lab.put(&it.bucket, name, &[1; 3000], Condition::Always).await.unwrap();
    }
    it.disk.set_full(true);
    assert_eq!(it.lab.put(&it.bucket, "c", &[1; 3000], Condition::Always).await.err(), Some(LakeError::Full));
    it.lab.lake.delete(&it.bucket, &key("a"), None, DeleteCondition::Always, &origin()).await.unwrap();
    it.lab.settle().await.unwrap();
    assert_eq!(files(&it.disk), 1);
    it.disk.set_full(false);
    it.lab.put(&it.bucket, "c", &[1; 3000], Condition::Always).await.unwrap();
}

#[tokio::test]
async fn a_flipped_bit_is_never_served_and_is_reported() {
    let it = fragile().await;
    it.lab.put(&it.bucket, "k", &[7; 3000], Condition::Always).await.unwrap();
    let version = current(&it.lab, &it.bucket, "k").await.unwrap();
    let file = it.disk.files().into_iter().find(|path| path.to_string_lossy().contains("files")).unwrap();
    it.disk.flip_bit(&file, 1000, 3).unwrap();
    assert!(matches!(it.lab.read(&version, 0..3000).await, Err(LakeError::Damaged(_))));
    let report = it.lab.check().await.unwrap();
    assert_eq!((report.problem_count, report.verified), (1, 0), "{:?}", report.problems);
}

#[tokio::test]
async fn dropped_requests_leave_nothing() {
    let it = fragile().await;
    // A body that is cut off, one that came and was never put, and one that lies in a segment.
    let mut cut = it.lab.lake.ingest(IngestPlan { expected_len: Some(5000), md5: true, checksums: vec![] });
    cut.write(Bytes::from(vec![1; 3000])).await.unwrap();
    drop(cut);
    drop(it.lab.ingest(&[1; 3000], &[]).await.unwrap());
    drop(it.lab.ingest(&[1; 500], &[]).await.unwrap());
    it.lab.settle().await.unwrap();
    assert_eq!(files(&it.disk), 0);
    assert_eq!(it.lab.check().await.unwrap().bodies, 0);
}

#[tokio::test]
async fn bodies_are_as_long_as_they_say() {
    let it = fragile().await;
    for (expected, sent) in [(10u64, 9usize), (10, 11), (0, 1), (3000, 2999)] {
        let mut ingest = it.lab.lake.ingest(IngestPlan { expected_len: Some(expected), md5: true, checksums: vec![] });
        let written = ingest.write(Bytes::from(vec![0; sent])).await;
        let result = match written {
            Ok(()) => ingest.finish().await.map(drop),
            Err(error) => Err(error),
        };
        assert_eq!(result, Err(LakeError::IncompleteBody { expected, actual: sent as u64 }));
    }
}

#[tokio::test]
async fn digests_are_those_of_the_whole_body() {
    let it = fragile().await;
    for len in [0usize, 1, 64, 16 * 1024, 16 * 1024 + 1, 128 * 1024, 400_000] {
        let body: Vec<u8> = (0..len).map(|i| (i * 31 + i / 977) as u8).collect();
        for step in [len.max(1), 1000, 77_777] {
            let checksums = ChecksumAlgorithm::ALL.to_vec();
            let mut ingest = it.lab.lake.ingest(IngestPlan { expected_len: None, md5: true, checksums });
            for chunk in body.chunks(step) {
                ingest.write(Bytes::copy_from_slice(chunk)).await.unwrap();
            }
            let ingested = ingest.finish().await.unwrap();
            assert_eq!((ingested.size, ingested.md5), (len as u64, Some(Md5::of(&body))));
            for algorithm in ChecksumAlgorithm::ALL {
                assert_eq!(ingested.checksum(algorithm), Some(Hasher::of(algorithm, &body)), "{len} {step}");
            }
        }
    }
}

#[tokio::test]
async fn buckets_refuse() {
    let it = fragile().await;
    assert_eq!(it.lab.bucket("bucket").await.err(), Some(LakeError::BucketAlreadyOwnedByYou));
    let new = millpond_lake::NewBucket {
        name: "bucket".parse().unwrap(),
        owner: "210987654321".parse().unwrap(),
        region: "us-east-1".parse().unwrap(),
        tags: None,
        configs: millpond_lake::Configs::new(),
    };
    assert_eq!(it.lab.lake.create_bucket(new, &origin()).await.err(), Some(LakeError::BucketAlreadyExists));
    assert_eq!(it.lab.lake.bucket(&"nobody".parse().unwrap()).await.err(), Some(LakeError::NoSuchBucket));
    it.lab.put(&it.bucket, "k", b"x", Condition::Always).await.unwrap();
    assert_eq!(it.lab.lake.delete_bucket(&it.bucket, &origin()).await, Err(LakeError::BucketNotEmpty));
    it.lab.lake.delete(&it.bucket, &key("k"), None, DeleteCondition::Always, &origin()).await.unwrap();
    it.lab.lake.delete_bucket(&it.bucket, &origin()).await.unwrap();
    // Whoever still holds the bucket finds it gone, also when there is a new one of the name.
    let gone = LakeError::NoSuchBucket;
    assert_eq!(it.lab.put(&it.bucket, "k", b"x", Condition::Always).await.err(), Some(gone.clone()));
    let new = it.lab.bucket("bucket").await.unwrap();
    assert_ne!(new.id, it.bucket.id);
    assert_eq!(it.lab.put(&it.bucket, "k", b"x", Condition::Always).await.err(), Some(gone.clone()));
    assert_eq!(it.lab.lake.delete_bucket(&it.bucket, &origin()).await, Err(gone.clone()));
    assert_eq!(it.lab.lake.lookup(&it.bucket, &key("k"), None).await.err(), Some(gone));
    it.lab.put(&new, "k", b"x", Condition::Always).await.unwrap();
}

#[tokio::test]
async fn a_marker_alone_holds_a_bucket() {
    let it = fragile().await;
    it.lab.lake.set_versioning(&it.bucket, Versioning::Enabled, &origin()).await.unwrap();
    let always = DeleteCondition::Always;
    let deleted = it.lab.lake.delete(&it.bucket, &key("k"), None, always.clone(), &origin()).await.unwrap();
    assert_eq!(it.lab.lake.delete_bucket(&it.bucket, &origin()).await, Err(LakeError::BucketNotEmpty));
    assert!(
        it.lab
            .lake
            .set_versioning(&it.lab.lake.bucket(&it.bucket.name).await.unwrap(), Versioning::Unset, &origin())
            .await
            .is_err()
    );
    let removed = it.lab.lake.delete(&it.bucket, &key("k"), deleted.marker, always, &origin()).await.unwrap();
    assert!(removed.was_marker);
    it.lab.lake.delete_bucket(&it.bucket, &origin()).await.unwrap();
}

async fn begin(it: &Fragile, checksum: Option<(ChecksumAlgorithm, ChecksumType)>) -> Upload {
    let new = NewUpload {
        sealing: None,
        bucket: it.bucket.clone(),
        key: key("up"),
        metadata: Metadata::default(),
        tags: Tags::new(),
        owner: account(),
        initiator: "tester".into(),
        checksum,
    };
    it.lab.lake.create_upload(new, &origin()).await.unwrap()
}

async fn part(it: &Fragile, upload: &Upload, number: u16, body: &[u8]) -> CompletePart {
    let algorithms: Vec<_> = upload.checksum.iter().map(|(algorithm, _)| *algorithm).collect();
    let ingested = it.lab.ingest(body, &algorithms).await.unwrap();
    let part = it.lab.lake.put_part(upload, number, ingested, &origin()).await.unwrap();
    CompletePart { number, etag: part.md5.to_string(), checksum: part.checksum }
}

fn completion(it: &Fragile, upload: UploadId, parts: Vec<CompletePart>) -> CompleteRequest {
    CompleteRequest {
        object_key: None,
        bucket: it.bucket.clone(),
        key: key("up"),
        upload,
        parts,
        expected_size: None,
        checksum: None,
        condition: Condition::Always,
    }
}

#[tokio::test]
async fn completions_refuse() {
    let it = fragile().await;
    let crc = ChecksumAlgorithm::Crc32c;
    let upload = begin(&it, Some((crc, ChecksumType::FullObject))).await;
    let (first, second) = ([1u8; 30], [2u8; 5]);
    let parts = vec![part(&it, &upload, 2, &first).await, part(&it, &upload, 4, &second).await];
    let small = part(&it, &upload, 1, b"small").await;
    let whole = [&first[..], &second].concat();
    let other: Value = Hasher::of(crc, b"other");
    let with = |parts: &[CompletePart]| completion(&it, upload.id, parts.to_vec());
    let table = [
        (with(&[]), LakeError::NoParts),
        (with(&[parts[1].clone(), parts[0].clone()]), LakeError::InvalidPartOrder),
        (with(&[parts[0].clone(), parts[0].clone()]), LakeError::InvalidPartOrder),
        (
            with(&[parts[0].clone(), CompletePart { number: 3, ..parts[1].clone() }]),
            LakeError::InvalidPart { number: 3 },
        ),
        (with(&[CompletePart { number: 10_000, ..parts[1].clone() }]), LakeError::InvalidPart { number: 10_000 }),
        (with(&[CompletePart { etag: "0".into(), ..parts[0].clone() }]), LakeError::InvalidPart { number: 2 }),
        (with(&[CompletePart { checksum: Some(other), ..parts[0].clone() }]), LakeError::InvalidPart { number: 2 }),
        (with(&[small, parts[0].clone()]), LakeError::EntityTooSmall { number: 1, size: 5, min: MIN_PART }),
        (
            CompleteRequest { expected_size: Some(1), ..with(&parts) },
            LakeError::SizeMismatch { expected: 1, actual: 35 },
        ),
        (CompleteRequest { checksum: Some(other), ..with(&parts) }, LakeError::ChecksumMismatch { algorithm: crc }),
        (CompleteRequest { key: key("else"), ..with(&parts) }, LakeError::NoSuchUpload),
        (CompleteRequest { condition: Condition::IfMatch("*".into()), ..with(&parts) }, LakeError::NoSuchKey),
    ];
    for (request, expected) in table {
        assert_eq!(it.lab.lake.complete(request.clone(), &origin()).await.err(), Some(expected), "{request:?}");
    }
    let right = Some(Hasher::of(crc, &whole));
    let request = CompleteRequest { expected_size: Some(35), checksum: right, ..with(&parts) };
    let written = it.lab.lake.complete(request.clone(), &origin()).await.unwrap();
    assert_eq!(it.lab.read(&written.version, 0..35).await.unwrap(), whole);
    // Once more: the same result, also after the object is gone; with other parts it is no such upload.
    it.lab.lake.delete(&it.bucket, &key("up"), None, DeleteCondition::Always, &origin()).await.unwrap();
    it.lab.settle().await.unwrap();
    assert_eq!(it.lab.lake.complete(request, &origin()).await.unwrap(), written);
    assert_eq!(it.lab.lake.complete(with(&parts[..1]), &origin()).await.err(), Some(LakeError::NoSuchUpload));
    it.lab.clock.advance(lab::config().done_keep);
    it.lab.settle().await.unwrap();
    assert_eq!(it.lab.lake.complete(with(&parts), &origin()).await.err(), Some(LakeError::NoSuchUpload));
    assert_eq!(it.lab.check().await.unwrap().problems, Vec::<String>::new());
}

#[tokio::test]
async fn part_numbers_are_1_to_10000() {
    let it = fragile().await;
    let upload = begin(&it, None).await;
    for (number, good) in [(0, false), (1, true), (10_000, true), (10_001, false)] {
        let ingested = it.lab.ingest(b"x", &[]).await.unwrap();
        let result = it.lab.lake.put_part(&upload, number, ingested, &origin()).await.map(drop);
        assert_eq!(result, if good { Ok(()) } else { Err(LakeError::InvalidPartNumber) }, "{number}");
    }
}

/// 10,000 parts: the manifest goes ahead in batches, the completion itself is one small commit, and a failure in between leaves nothing.
#[tokio::test]
async fn ten_thousand_parts() {
    let it = fragile().await;
    let upload = begin(&it, Some((ChecksumAlgorithm::Sha256, ChecksumType::Composite))).await;
    let mut parts = Vec::new();
    for number in 1..=10_000u16 {
        let mut body = [0; MIN_PART as usize];
        body[..2].copy_from_slice(&number.to_be_bytes());
        parts.push(part(&it, &upload, number, &body).await);
    }
    // The second commit of the completion fails: rows of the manifest are there, and no object.
    it.kv.fail_commit(2, Fault::Full);
    let request = completion(&it, upload.id, parts);
    assert_eq!(it.lab.lake.complete(request.clone(), &origin()).await.err(), Some(LakeError::Full));
    assert_eq!(it.lab.check().await.unwrap().problems, Vec::<String>::new());
    let before = it.kv.commits();
    let written = it.lab.lake.complete(request, &origin()).await.unwrap();
    println!("{} commits", it.kv.commits() - before);
    let object = written.version.object().unwrap();
    assert_eq!((object.size, object.parts), (10_000 * MIN_PART, Some(10_000)));
    for number in [1u16, 2, 399, 400, 401, 5_000, 9_999, 10_000] {
        let part = it.lab.lake.part_of(&written.version, number).await.unwrap().unwrap();
        assert_eq!(part.offset, u64::from(number - 1) * MIN_PART);
        let bytes = it.lab.read(&written.version, part.offset..part.offset + 2).await.unwrap();
        assert_eq!(bytes, number.to_be_bytes());
    }
    let (page, more) = it.lab.lake.parts_of(&written.version, 9_990, 5).await.unwrap();
    assert_eq!((page.iter().map(|p| p.number).collect::<Vec<_>>(), more), ((9_991..=9_995).collect(), true));
    assert_eq!(it.lab.check().await.unwrap().problems, Vec::<String>::new());
    // What the failed attempt left behind goes as well.
    it.lab.clock.advance(std::time::Duration::from_secs(3600));
    it.lab.settle().await.unwrap();
    assert_eq!(it.lab.check().await.unwrap().problems, Vec::<String>::new());
    it.lab.lake.delete(&it.bucket, &key("up"), None, DeleteCondition::Always, &origin()).await.unwrap();
    it.lab.settle().await.unwrap();
    let report = it.lab.check().await.unwrap();
    assert_eq!((report.problems.len(), report.bodies, report.waiting), (0, 0, 0), "{:?}", report.problems);
}

#[tokio::test]
async fn sizes_are_limited() {
    let it = fragile().await;
    let too_many: Vec<_> = (0..1001)
        .map(|i| DeleteItem { key: key(&i.to_string()), version: None, condition: DeleteCondition::Always })
        .collect();
    let refused = it.lab.lake.delete_many(&it.bucket, &too_many, &origin()).await;
    assert_eq!(refused, Err(LakeError::TooManyKeys { max: 1000 }));
    it.lab.put(&it.bucket, "k", b"0123456789", Condition::Always).await.unwrap();
    let version = current(&it.lab, &it.bucket, "k").await.unwrap();
    assert_eq!(it.lab.lake.read(&version, 0..11).await.err(), Some(LakeError::InvalidRange));
    #[allow(clippy::reversed_empty_ranges)]
    let backwards = 5..4;
    assert_eq!(it.lab.lake.read(&version, backwards).await.err(), Some(LakeError::InvalidRange));
    assert_eq!(it.lab.read(&version, 10..10).await.unwrap(), b"");
    let without_md5 = it.lab.lake.ingest(IngestPlan::default()).finish().await.unwrap();
    let request = PutRequest {
        bucket: it.bucket.clone(),
        key: key("k"),
        ingested: without_md5,
        metadata: Metadata::default(),
        tags: Tags::new(),
        checksum: None,
        owner: account(),
        condition: Condition::Always,
    };
    assert!(matches!(it.lab.lake.put(request, &origin()).await, Err(LakeError::Internal(_))));
}

#[tokio::test]
async fn the_journal_tells_each_change_once_in_order_and_is_trimmed() {
    let it = fragile().await;
    it.lab.put(&it.bucket, "a", b"1", Condition::Always).await.unwrap();
    it.lab.lake.set_versioning(&it.bucket, Versioning::Enabled, &origin()).await.unwrap();
    it.lab.put(&it.bucket, "a", b"22", Condition::Always).await.unwrap();
    let marker = it.lab.lake.delete(&it.bucket, &key("a"), None, DeleteCondition::Always, &origin()).await.unwrap();
    it.lab.lake.delete(&it.bucket, &key("a"), marker.marker, DeleteCondition::Always, &origin()).await.unwrap();
    // Changes nothing, so that nothing is told.
    let gone = VersionId::Id { stamp: 1, nonce: 1 };
    it.lab.lake.delete(&it.bucket, &key("a"), Some(gone), DeleteCondition::Always, &origin()).await.unwrap();
    let changes = it.lab.lake.changes(&it.bucket, None, 100).await.unwrap();
    let seen: Vec<_> = changes.iter().map(|c| (c.kind.event(), c.size, c.version.is_some())).collect();
    assert_eq!(
        seen,
        [
            (None, 0, false),
            (Some("ObjectCreated:Put"), 1, false),
            (None, 0, false),
            (Some("ObjectCreated:Put"), 2, true),
            (Some("ObjectRemoved:DeleteMarkerCreated"), 0, true),
            (Some("ObjectRemoved:Delete"), 0, true),
        ]
    );
    assert!(changes.windows(2).all(|pair| pair[0].position < pair[1].position));
    let of_key: Vec<_> = changes.iter().filter(|c| c.key == "a").map(|c| c.sequencer.clone()).collect();
    assert!(of_key.windows(2).all(|pair| pair[0] < pair[1]), "{of_key:?}");
    let rest = it.lab.lake.changes(&it.bucket, Some(changes[3].position), 1).await.unwrap();
    assert_eq!(rest, [changes[4].clone()]);
    it.lab.clock.advance(lab::config().journal_keep);
    it.lab.settle().await.unwrap();
    assert_eq!(it.lab.lake.changes(&it.bucket, None, 100).await.unwrap(), []);
}
