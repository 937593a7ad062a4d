//! What the lake itself costs on an engine in memory: time per small PUT and GET, per page of a listing.
//!
//!     cargo run --release -p millpond-testkit --example lake_cost
//!
//! One thread and nothing else to do, so that time is CPU time. The engine in memory takes part of it (about 5 us a commit).

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use millpond_blob::{BlobConfig, Blobs};
use millpond_digest::{ChecksumAlgorithm, Md5};
use millpond_io::sim::SimDisk;
use millpond_io::{SystemClock, SystemRandom};
use millpond_lake::{
    After, Bucket, Checksum, Condition, Found, IngestPlan, Lake, LakeConfig, LakeError, ListRequest, Metadata,
    NewBucket, PutRequest, Tags, VersionsRequest,
};
use millpond_meta::MemoryKv;
use millpond_testkit::lab::{account, origin};
use millpond_types::ObjectKey;

const OBJECTS: usize = 20_000;
const BODY: usize = 4096;

async fn put(lake: &Lake, bucket: &Arc<Bucket>, key: ObjectKey, body: Bytes) -> Result<(), LakeError> {
    let checksums = vec![ChecksumAlgorithm::Crc64Nvme];
    let mut ingest = lake.ingest(IngestPlan { expected_len: Some(body.len() as u64), md5: true, checksums });
    ingest.write(body).await?;
    let ingested = ingest.finish().await?;
    let checksum = ingested.checksum(ChecksumAlgorithm::Crc64Nvme).map(Checksum::full);
    let metadata = Metadata { content_type: Some("binary/octet-stream".into()), ..Metadata::default() };
    let request = PutRequest {
        bucket: bucket.clone(),
        key,
        ingested,
        metadata,
        tags: Tags::new(),
        checksum,
        owner: account(),
        condition: Condition::Always,
    };
    lake.put(request, &origin()).await.map(drop)
}

fn told(what: &str, begun: Instant, times: usize) {
    println!("{what:40} {:8.2} us", begun.elapsed().as_secs_f64() * 1e6 / times as f64);
}

fn key(i: usize) -> ObjectKey {
    match ObjectKey::new(&format!("some/longer/path/object-{i:08}")) {
        Ok(key) => key,
        Err(error) => panic!("{error}"),
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), LakeError> {
    let (clock, random) = (Arc::new(SystemClock), Arc::new(SystemRandom));
    let blobs = Blobs::open(Arc::new(SimDisk::new()), random.clone(), Path::new("/b"), BlobConfig::default())?;
    let lake = Lake::open(Arc::new(MemoryKv::new()), blobs, clock, random, LakeConfig::default()).await?;
    let (name, region) = ("bucket".parse(), "us-east-1".parse());
    let (Ok(name), Ok(region)) = (name, region) else { return Err(LakeError::NoSuchBucket) };
    let bucket = lake
        .create_bucket(NewBucket { name, owner: account(), region, tags: None, configs: Default::default() }, &origin())
        .await?;
    let body = Bytes::from(vec![7u8; BODY]);

    let begun = Instant::now();
    for _ in 0..OBJECTS {
        black_box(Md5::of(&body));
    }
    told("MD5 of 4 KiB alone", begun, OBJECTS);
    for round in ["new", "again"] {
        let begun = Instant::now();
        for i in 0..OBJECTS {
            put(&lake, &bucket, key(i), body.clone()).await?;
        }
        told(&format!("PUT 4 KiB, {round}"), begun, OBJECTS);
    }
    let begun = Instant::now();
    for i in 0..OBJECTS {
        let Found::Object(version) = lake.lookup(&bucket, &key(i), None).await? else {
            return Err(LakeError::NoSuchKey);
        };
        let mut reader = lake.read(&version, 0..BODY as u64).await?;
        while let Some(chunk) = reader.next().await {
            black_box(chunk?);
        }
    }
    told("GET 4 KiB", begun, OBJECTS);
    let (mut after, mut pages, begun) = (After::Start, 0, Instant::now());
    loop {
        let page = lake.list_current(&bucket, ListRequest { after, limit: 1000, ..ListRequest::default() }).await?;
        pages += 1;
        match page.next {
            Some(next) => after = next,
            None => break,
        }
    }
    told("page of 1,000 keys", begun, pages);
    let begun = Instant::now();
    for _ in 0..10 {
        black_box(lake.list_versions(&bucket, VersionsRequest { limit: 1000, ..VersionsRequest::default() }).await?);
    }
    told("page of 1,000 versions", begun, 10);
    Ok(())
}
