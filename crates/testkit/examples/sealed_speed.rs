//! What encryption costs: plain and sealed objects in turn, in one run.
//!
//!     cargo run --release -p millpond-testkit --example sealed_speed -- DIR
//!
//! GET is measured twice: into nothing, which shows what the lake does, and through a loopback connection, as a server sends it. Bodies are read
//! from the page cache.

use std::hint::black_box;
use std::io::Read;
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use millpond_blob::{BlobConfig, Blobs};
use millpond_digest::{ChecksumAlgorithm, Md5};
use millpond_io::{RealDisk, SystemClock, SystemRandom};
use millpond_lake::{
    Bucket, Checksum, Condition, Configs, IngestPlan, Lake, LakeConfig, LakeError, Lock, Metadata, NewBucket,
    PutRequest, Sealing, Tags, Version,
};
use millpond_meta::MemoryKv;
use millpond_seal::{FrameOpener, FrameSealer, Key};
use millpond_testkit::lab::{account, kept, origin, unlocked};
use millpond_types::ObjectKey;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

type Failure = Box<dyn std::error::Error + Send + Sync>;

const MIB: usize = 1 << 20;
const LARGE: usize = 64 * MIB;
const SMALL: usize = 4096;
/// How often each figure is taken; the median is printed. In turn, so that what else the machine does falls on both.
const TIMES: usize = 15;
/// Small objects for one figure.
const MANY: usize = 500;
/// As a server's socket gives them.
const CHUNK: usize = 64 * 1024;

struct It {
    lake: Lake,
    bucket: Arc<Bucket>,
    address: std::net::SocketAddr,
}

fn key(name: &str) -> Result<ObjectKey, LakeError> {
    ObjectKey::new(name).map_err(|e| LakeError::Internal(e.to_string()))
}

fn sealing(sealed: bool) -> Option<Sealing> {
    sealed.then(|| kept(Key::random(&SystemRandom), Lock::Server))
}

impl It {
    async fn put(&self, name: &str, body: &Bytes, sealed: bool) -> Result<Version, LakeError> {
        let checksums = vec![ChecksumAlgorithm::Crc64Nvme];
        let plan = IngestPlan { expected_len: Some(body.len() as u64), md5: true, checksums };
        let mut ingest = match sealing(sealed) {
            Some(sealing) => self.lake.ingest_sealed(plan, sealing)?,
            None => self.lake.ingest(plan),
        };
        for from in (0..body.len()).step_by(CHUNK) {
            ingest.write(body.slice(from..(from + CHUNK).min(body.len()))).await?;
        }
        let ingested = ingest.finish().await?;
        let request = PutRequest {
            bucket: self.bucket.clone(),
            key: key(name)?,
            checksum: ingested.checksum(ChecksumAlgorithm::Crc64Nvme).map(Checksum::full),
            ingested,
            metadata: Metadata::default(),
            tags: Tags::new(),
            owner: account(),
            condition: Condition::Always,
        };
        unlocked(self.lake.put(request, &origin()).await?.version)
    }

    async fn get(&self, version: &Version, size: usize, send: bool) -> Result<(), Failure> {
        let mut stream = if send { Some(TcpStream::connect(self.address).await?) } else { None };
        let mut reader = self.lake.read(version, 0..size as u64).await?;
        while let Some(chunk) = reader.next().await {
            match &mut stream {
                Some(stream) => stream.write_all(&chunk?).await?,
                None => drop(black_box(chunk?)),
            }
        }
        Ok(())
    }
}

fn median(mut all: Vec<Duration>) -> f64 {
    all.sort_unstable();
    all[all.len() / 2].as_secs_f64()
}

/// Tells of one figure, plain and sealed, whose times are for so many bytes or operations.
fn tell(what: &str, unit: &str, amount: f64, [plain, sealed]: [Vec<Duration>; 2]) {
    let (plain, sealed) = (amount / median(plain), amount / median(sealed));
    println!("{what:32} plain {plain:9.0} {unit}   sealed {sealed:9.0} {unit}   ratio {:.2}", sealed / plain);
}

/// The rates that nothing here can be faster than.
fn machine(body: &Bytes) -> Result<(), Failure> {
    let rate = |begun: Instant| body.len() as f64 / MIB as f64 / begun.elapsed().as_secs_f64();
    let begun = Instant::now();
    black_box(Md5::of(body));
    println!("{:32} {:9.0} MiB/s", "MD5", rate(begun));
    let (key, begun) = (Key::random(&SystemRandom), Instant::now());
    let mut sealer = FrameSealer::new(&key)?;
    for chunk in body.chunks(CHUNK) {
        black_box(sealer.update(chunk)?);
    }
    println!("{:32} {:9.0} MiB/s", "sealing frames", rate(begun));
    let mut sealer = FrameSealer::new(&key)?;
    let frames: Result<Vec<_>, _> = body.chunks(CHUNK).map(|chunk| sealer.update(chunk)).collect();
    let frames = [frames?, vec![sealer.finish()?]].concat();
    let mut frames: Vec<Vec<u8>> = frames.into_iter().filter(|frame| !frame.is_empty()).map(Vec::from).collect();
    let (opener, begun) = (FrameOpener::new(&key, body.len() as u64)?, Instant::now());
    for (number, frame) in frames.iter_mut().enumerate() {
        black_box(opener.open_in(number as u64, frame)?);
    }
    println!("{:32} {:9.0} MiB/s", "opening frames", rate(begun));
    Ok(())
}

/// Takes everything in that is sent to it.
fn sink() -> Result<std::net::SocketAddr, Failure> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    std::thread::spawn(move || {
        let mut buffer = vec![0; 256 * 1024];
        for stream in listener.incoming().flatten() {
            let mut stream = stream;
            while let Ok(1..) = stream.read(&mut buffer) {}
        }
    });
    Ok(address)
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let dir = std::env::args().nth(1).ok_or("name a directory to write to")?;
    let random = Arc::new(SystemRandom);
    let blobs = Blobs::open(Arc::new(RealDisk), random.clone(), Path::new(&dir), BlobConfig::default())?;
    let kv = Arc::new(MemoryKv::new());
    let lake = Lake::open(kv, blobs, Arc::new(SystemClock), random, LakeConfig::default()).await?;
    let (name, region) = ("bucket".parse()?, "us-east-1".parse().map_err(|_| "a region")?);
    let new = NewBucket { name, owner: account(), region, tags: None, configs: Configs::new() };
    let bucket = lake.create_bucket(new, &origin()).await?;
    let it = It { lake, bucket, address: sink()? };
    let body = Bytes::from((0..LARGE).map(|n| (n * 31 + n / 251) as u8).collect::<Vec<_>>());
    machine(&body)?;

    let ways = [false, true];
    let mut versions = Vec::new();
    for sealed in ways {
        versions.push(it.put(if sealed { "sealed" } else { "plain" }, &body, sealed).await?);
    }
    for (what, send) in [("GET 64 MiB, into nothing", false), ("GET 64 MiB, over loopback", true)] {
        let mut took = [Vec::new(), Vec::new()];
        for turn in 0..2 * TIMES {
            let begun = Instant::now();
            it.get(&versions[turn % 2], LARGE, send).await?;
            took[turn % 2].push(begun.elapsed());
        }
        tell(what, "MiB/s", 64.0, took);
    }
    let mut took = [Vec::new(), Vec::new()];
    for turn in 0..2 * TIMES {
        let begun = Instant::now();
        it.put("large", &body, turn % 2 == 1).await?;
        took[turn % 2].push(begun.elapsed());
    }
    tell("PUT 64 MiB", "MiB/s", 64.0, took);
    small(&it, &body.slice(..SMALL)).await
}

async fn small(it: &It, body: &Bytes) -> Result<(), Failure> {
    let (mut puts, mut gets) = ([Vec::new(), Vec::new()], [Vec::new(), Vec::new()]);
    for turn in 0..2 * TIMES {
        let begun = Instant::now();
        for _ in 0..MANY {
            it.put("small", body, turn % 2 == 1).await?;
        }
        puts[turn % 2].push(begun.elapsed());
        let version = it.put("small", body, turn % 2 == 1).await?;
        let begun = Instant::now();
        for _ in 0..MANY {
            it.get(&version, SMALL, false).await?;
        }
        gets[turn % 2].push(begun.elapsed());
    }
    tell("PUT 4 KiB", "/s", MANY as f64, puts);
    tell("GET 4 KiB", "/s", MANY as f64, gets);
    Ok(())
}
