//! What bodies on their way in hold of the memory for them.
#![allow(clippy::unwrap_used, missing_docs)]

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use millpond_blob::{BlobConfig, Blobs};
use millpond_digest::{ChecksumAlgorithm, Hasher, Md5};
use millpond_io::sim::SimDisk;
use millpond_io::{ManualClock, SeededRandom};
use millpond_lake::{Ingest, IngestPlan, Lake, LakeConfig, Lock};
use millpond_meta::MemoryKv;
use millpond_seal::Key;
use millpond_testkit::lab;
use millpond_types::Timestamp;

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// A lake that lays bodies out as a server does, with this budget for those on their way in.
async fn lake(ingest_budget: usize) -> Lake {
    let random = Arc::new(SeededRandom::new(1));
    let config = BlobConfig { reserve: Some(0), ..BlobConfig::default() };
    let blobs = Blobs::open(Arc::new(SimDisk::new()), random.clone(), Path::new("/blobs"), config).unwrap();
    let clock = Arc::new(ManualClock::new(Timestamp::from_seconds(1_700_000_000)));
    let config = LakeConfig { ingest_budget: ingest_budget as u64, ..LakeConfig::default() };
    Lake::open(Arc::new(MemoryKv::new()), blobs, clock, random, config).await.unwrap()
}

/// Every other body is encrypted, by its length.
fn begin(lake: &Lake, length: usize) -> Ingest {
    let checksums = vec![ChecksumAlgorithm::Crc64Nvme];
    let plan = IngestPlan { expected_len: Some(length as u64), md5: true, checksums };
    if length.is_multiple_of(2) {
        lake.ingest(plan)
    } else {
        lake.ingest_sealed(plan, lab::kept(Key::from_bytes(&[3; 32]), Lock::Server)).unwrap()
    }
}

fn body(length: usize, seed: usize) -> Vec<u8> {
    (0..length).map(|n| (n * 31 + n / 977 + seed) as u8).collect()
}

/// Sends a body in chunks of this size, and looks at its digests.
async fn send(lake: &Lake, body: &[u8], step: usize) {
    let mut ingest = begin(lake, body.len());
    for chunk in body.chunks(step) {
        ingest.write(Bytes::copy_from_slice(chunk)).await.unwrap();
    }
    let ingested = ingest.finish().await.unwrap();
    assert_eq!(ingested.size, body.len() as u64);
    assert_eq!(ingested.md5, Some(Md5::of(body)));
    assert_eq!(ingested.checksums, [Hasher::of(ChecksumAlgorithm::Crc64Nvme, body)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_slow_uploads_do_not_hinder_a_fast_one() {
    let lake = lake(24 * MIB).await;
    let mut slow = Vec::new();
    for n in 0..100 {
        // Enough for files of their own, and for segments.
        let mut ingest = begin(&lake, [100 * MIB, MIB, 100 * MIB + 1, MIB + 1][n % 4]);
        for _ in 0..7 {
            ingest.write(Bytes::from(vec![1; 10 * KIB])).await.unwrap();
        }
        slow.push(ingest);
    }
    send(&lake, &body(9 * MIB, 0), 100 * KIB).await;
    send(&lake, &body(9 * MIB + 1, 0), 100 * KIB).await;
    // They are as welcome as before.
    for ingest in &mut slow {
        ingest.write(Bytes::from(vec![1; 10 * KIB])).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_on_disk_holds_nothing() {
    // Far more than the budget has come in from each, and none of it is still held.
    let lake = lake(12 * MIB).await;
    let mut slow = Vec::new();
    for n in 0..12 {
        let mut ingest = begin(&lake, 100 * MIB + n);
        for _ in 0..8 {
            ingest.write(Bytes::from(vec![1; MIB])).await.unwrap();
        }
        slow.push(ingest);
    }
    send(&lake, &body(9 * MIB, 0), 100 * KIB).await;
    send(&lake, &body(9 * MIB + 1, 0), 100 * KIB).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_that_together_exceed_the_budget_all_come_to_their_end() {
    // Bodies for segments are held whole, and those for files to the end of a piece: begun at once, they would fill the budget with
    // beginnings.
    let lake = lake(12 * MIB).await;
    let tasks: Vec<_> = (0..48)
        .map(|n| {
            let lake = lake.clone();
            let length = if n % 4 == 0 { 5 * MIB + n / 4 } else { MIB + n };
            tokio::spawn(async move { send(&lake, &body(length, n), [20 * KIB, 1000, 9000][n % 3]).await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}
