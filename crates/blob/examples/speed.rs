//! Measures the store beside the bare disk: `cargo run --release -p millpond-blob --example speed -- DIR`.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use millpond_blob::{BlobConfig, Blobs, ExtentId, Location, Written};
use millpond_io::{Disk, OpenMode, Random, RealDisk, SyncPoint, SystemRandom};

const MIB: usize = 1 << 20;
const POINT: SyncPoint = SyncPoint("raw");
/// How often each figure is taken; the median is printed.
const TIMES: usize = 7;

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn median(mut all: Vec<Duration>) -> Duration {
    all.sort_unstable();
    all[all.len() / 2]
}

fn rate(bytes: usize, took: Duration) -> f64 {
    bytes as f64 / MIB as f64 / took.as_secs_f64()
}

/// Writing 64 MiB and fdatasync into a file whose blocks are `ready` (written before) or only reserved.
fn raw(dir: &Path, data: &[u8], ready: bool) -> Result<Duration, Failure> {
    let mut took = Vec::new();
    for n in 0..TIMES {
        let path = dir.join(format!("raw{n}"));
        let file = RealDisk.open(&path, OpenMode::CreateNew)?;
        file.allocate(0, data.len() as u64)?;
        if ready {
            file.write_all_at(data, 0)?;
        }
        file.sync_data(POINT)?;
        let since = Instant::now();
        for (n, piece) in data.chunks(MIB).enumerate() {
            file.write_all_at(piece, (n * MIB) as u64)?;
        }
        file.sync_data(POINT)?;
        took.push(since.elapsed());
        RealDisk.remove(&path)?;
    }
    Ok(median(took))
}

/// The time of a 4 KiB overwrite with fdatasync.
fn raw_sync(dir: &Path) -> Result<Duration, Failure> {
    let path = dir.join("sync");
    let file = RealDisk.open(&path, OpenMode::CreateNew)?;
    file.write_all_at(&vec![1; 4 * MIB], 0)?;
    file.sync_data(POINT)?;
    let mut took = Vec::new();
    for n in 0..1000 {
        let since = Instant::now();
        file.write_all_at(&[2; 4096], n * 4096)?;
        file.sync_data(POINT)?;
        took.push(since.elapsed());
    }
    RealDisk.remove(&path)?;
    Ok(median(took))
}

async fn put(blobs: Blobs, data: Bytes, chunk: usize) -> Result<(ExtentId, Location), Failure> {
    let mut writer = blobs.writer(Some(data.len() as u64));
    for from in (0..data.len()).step_by(chunk) {
        writer.write(data.slice(from..(from + chunk).min(data.len()))).await?;
    }
    let Written::Stored(stored) = writer.finish().await? else { return Err("inline".into()) };
    let row = (stored.extent(), stored.location());
    stored.committed();
    Ok(row)
}

async fn get(blobs: &Blobs, row: (ExtentId, Location)) -> Result<u64, Failure> {
    let mut reader = blobs.read(row.0, row.1, 0..u64::MAX).await?;
    let mut sum = 0;
    while let Some(chunk) = reader.next().await? {
        sum += chunk.len() as u64;
    }
    Ok(sum)
}

async fn large(blobs: &Blobs, data: &Bytes, streams: usize) -> Result<(Duration, Duration), Failure> {
    let (mut writes, mut reads) = (Vec::new(), Vec::new());
    for _ in 0..TIMES {
        let since = Instant::now();
        let tasks: Vec<_> = (0..streams).map(|_| tokio::spawn(put(blobs.clone(), data.clone(), 128 << 10))).collect();
        let mut rows = Vec::new();
        for task in tasks {
            rows.push(task.await??);
        }
        writes.push(since.elapsed());
        let since = Instant::now();
        let reading = |row| {
            let blobs = blobs.clone();
            tokio::spawn(async move { get(&blobs, row).await })
        };
        let tasks: Vec<_> = rows.iter().map(|row| reading(*row)).collect();
        for task in tasks {
            task.await??;
        }
        reads.push(since.elapsed());
        blobs.delete(&rows).await?;
    }
    Ok((median(writes), median(reads)))
}

async fn small(blobs: &Blobs, data: &Bytes, clients: usize, each: usize) -> Result<(f64, f64), Failure> {
    let since = Instant::now();
    let client = || {
        let (blobs, data) = (blobs.clone(), data.clone());
        tokio::spawn(async move {
            let mut rows = Vec::new();
            for _ in 0..each {
                rows.push(put(blobs.clone(), data.clone(), 64 << 10).await?);
            }
            Ok::<_, Failure>(rows)
        })
    };
    let tasks: Vec<_> = (0..clients).map(|_| client()).collect();
    let mut rows = Vec::new();
    for task in tasks {
        rows.extend(task.await??);
    }
    let writing = (clients * each) as f64 / since.elapsed().as_secs_f64();
    let since = Instant::now();
    for row in &rows {
        get(blobs, *row).await?;
    }
    Ok((writing, rows.len() as f64 / since.elapsed().as_secs_f64()))
}

#[tokio::main(worker_threads = 2)]
async fn main() -> Result<(), Failure> {
    let dir = std::env::args().nth(1).ok_or("name a directory for the data")?;
    let dir = Path::new(&dir);
    RealDisk.create_dir_all(dir)?;
    let mut data = vec![0; 64 * MIB];
    SystemRandom.fill(&mut data);
    let data = Bytes::from(data);
    for (name, ready) in [("written before", true), ("reserved", false)] {
        println!("raw write 64 MiB, {name}: {:.0} MiB/s", rate(data.len(), raw(dir, &data, ready)?));
    }
    println!("raw 4 KiB fdatasync: {:.0} us", raw_sync(dir)?.as_secs_f64() * 1e6);
    for appenders in [1, 2] {
        let home = dir.join(format!("store{appenders}"));
        let since = Instant::now();
        let config = BlobConfig { appenders, ..BlobConfig::default() };
        let blobs = Blobs::open(Arc::new(RealDisk), Arc::new(SystemRandom), &home, config)?;
        println!("{appenders} appenders; opened in {:.0} ms", since.elapsed().as_secs_f64() * 1e3);
        for streams in if appenders == 1 { vec![1, 4] } else { vec![] } {
            let (write, read) = large(&blobs, &data, streams).await?;
            let (write, read) = (rate(streams * data.len(), write), rate(streams * data.len(), read));
            println!("{streams} x 64 MiB: written {write:.0} MiB/s, read {read:.0} MiB/s");
        }
        for (size, clients) in [(16 << 10, 1), (16 << 10, 16), (16 << 10, 64), (256 << 10, 16), (MIB, 8)] {
            let each = (256 * MIB / size / clients).min(2000 / clients.min(8));
            let before = blobs.usage();
            let (writing, reading) = small(&blobs, &data.slice(..size), clients, each).await?;
            let after = blobs.usage();
            let group = (after.grouped - before.grouped) as f64 / (after.groups - before.groups).max(1) as f64;
            println!(
                "{} KiB, {clients} clients: {writing:.0}/s written ({:.0} MiB/s, {group:.1} a group), {reading:.0}/s read",
                size >> 10,
                writing * size as f64 / MIB as f64,
            );
        }
    }
    Ok(())
}
