//! How fast the embedded engine commits and reads, and what that costs: rates, latencies, processor time.
//!
//! `cargo run --release -p millpond-meta --example commit_rate [-- DIR]`; `WRITERS` (a list), `SECONDS_EACH` and `OBJECTS` (the
//! least number to open and to delete) by environment.

use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use bytes::Bytes;
use millpond_io::{Random, SeededRandom};
use millpond_meta::key::{KeyBuilder, prefix_range};
use millpond_meta::{Batch, Class, Cond, FjallConfig, FjallKv, Kv, Op, Scan, View};

const OBJECTS: u8 = 1;
const BODIES: u8 = 2;
const EVENTS: u8 = 3;
const COUNTERS: u8 = 4;

const BODY_BYTES: usize = 4096;
const ROW_BYTES: usize = 200;

type Error = Box<dyn std::error::Error + Send + Sync>;

fn classify(table: u8) -> Class {
    match table {
        BODIES => Class::Large,
        EVENTS => Class::Log,
        _ => Class::Rows,
    }
}

/// Processor time of this process in microseconds, all threads.
fn cpu_micros() -> Result<u64, Error> {
    let mut nanos = 0;
    for task in std::fs::read_dir("/proc/self/task")? {
        let stat = std::fs::read_to_string(task?.path().join("schedstat"))?;
        nanos += stat.split(' ').next().unwrap_or("0").parse::<u64>()?;
    }
    Ok(nanos / 1000)
}

fn resident_mib() -> Result<u64, Error> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap_or_default();
    Ok(line.split_whitespace().nth(1).unwrap_or("0").parse::<u64>()? / 1024)
}

fn object_key(n: u64) -> Bytes {
    KeyBuilder::new(OBJECTS)
        .u32(7)
        .bytes(format!("some/prefix/object-{:016x}", n.wrapping_mul(0x9E37_79B9_7F4A_7C15)).as_bytes())
        .build()
}

fn body_key(n: u64) -> Bytes {
    KeyBuilder::new(BODIES).u64(n).build()
}

/// What putting a small object commits: a row, its body, an entry of the journal, and the bucket's counter.
fn put(n: u64, pool: &Bytes) -> Batch {
    let at = usize::try_from(n.wrapping_mul(7919)).unwrap_or(0) % (pool.len() - BODY_BYTES);
    let body = pool.slice(at..at + BODY_BYTES);
    Batch {
        conds: vec![Cond::Absent(object_key(n))],
        ops: vec![
            Op::Put(object_key(n), body.slice(..ROW_BYTES)),
            Op::Put(body_key(n), body.clone()),
            Op::Append { stream: KeyBuilder::new(EVENTS).u32(7).build(), value: body.slice(..ROW_BYTES) },
            Op::Add(KeyBuilder::new(COUNTERS).u32(7).build(), 1),
        ],
        ..Batch::default()
    }
}

fn show(what: &str, count: u64, took: Duration, cpu: u64, latencies: &mut [u64]) {
    latencies.sort_unstable();
    let at = |share: f64| {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a place in a list"
        )]
        let index = (latencies.len() as f64 * share) as usize;
        latencies.get(index.min(latencies.len().saturating_sub(1))).copied().unwrap_or(0)
    };
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    let (rate, each) = (count as f64 / took.as_secs_f64(), cpu as f64 / count as f64);
    println!(
        "{what:<34} {rate:>9.0}/s  {each:>7.1} us CPU each  p50 {:>6} us  p99 {:>6} us  max {:>7} us",
        at(0.5),
        at(0.99),
        at(1.0)
    );
}

async fn commits(kv: &FjallKv, writers: u64, seconds: u64, pool: &Bytes, next: &Arc<AtomicU64>) -> Result<(), Error> {
    let (before, cpu, began) = (kv.state(), cpu_micros()?, Instant::now());
    let until = began + Duration::from_secs(seconds);
    let tasks: Vec<_> = (0..writers)
        .map(|_| {
            let (kv, pool, next) = (kv.clone(), pool.clone(), Arc::clone(next));
            tokio::spawn(async move {
                let mut latencies = Vec::new();
                while Instant::now() < until {
                    let began = Instant::now();
                    kv.commit(put(next.fetch_add(1, Relaxed), &pool)).await?;
                    latencies.push(u64::try_from(began.elapsed().as_micros())?);
                }
                Ok::<_, Error>(latencies)
            })
        })
        .collect();
    let mut latencies = Vec::new();
    for task in tasks {
        latencies.extend(task.await??);
    }
    let (took, cpu, after) = (began.elapsed(), cpu_micros()? - cpu, kv.state());
    show(&format!("commits, {writers} writers"), latencies.len() as u64, took, cpu, &mut latencies);
    let groups = (after.groups - before.groups).max(1);
    println!(
        "    {} batches a group, {} us a group in writing and syncing, {} MiB resident, {} MiB on disk, {} MiB of it journal",
        (after.commits - before.commits) / groups,
        (after.sync_nanos - before.sync_nanos) / groups / 1000,
        resident_mib()?,
        after.bytes >> 20,
        after.journal_bytes >> 20
    );
    Ok(())
}

async fn reads(kv: &FjallKv, what: &str, count: u64, key: impl Fn(u64) -> Bytes) -> Result<(), Error> {
    let random = SeededRandom::new(5);
    let (cpu, began) = (cpu_micros()?, Instant::now());
    let mut latencies = Vec::new();
    while began.elapsed() < Duration::from_secs(2) {
        let key = key(random.u64() % count);
        let one = Instant::now();
        if kv.get(&key).await?.is_none() {
            return Err("a row is missing".into());
        }
        latencies.push(u64::try_from(one.elapsed().as_micros())?);
    }
    show(what, latencies.len() as u64, began.elapsed(), cpu_micros()? - cpu, &mut latencies);
    Ok(())
}

async fn pages(kv: &FjallKv, what: &str, rounds: u64) -> Result<(), Error> {
    let (from, to) = prefix_range(KeyBuilder::new(OBJECTS).u32(7).build());
    let (cpu, began) = (cpu_micros()?, Instant::now());
    let (mut latencies, mut rows, mut start) = (Vec::new(), 0, Bound::Included(from.clone()));
    for _ in 0..rounds {
        let one = Instant::now();
        let page = kv.scan(Scan { from: start, to: Bound::Excluded(to.clone()), reverse: false, limit: 1000 }).await?;
        latencies.push(u64::try_from(one.elapsed().as_micros())?);
        rows += page.len() as u64;
        start = match page.last() {
            Some((key, _)) if page.len() == 1000 => Bound::Excluded(key.clone()),
            _ => Bound::Included(from.clone()),
        };
    }
    show(
        &format!("{what} ({} rows a page)", rows / rounds),
        rounds,
        began.elapsed(),
        cpu_micros()? - cpu,
        &mut latencies,
    );
    Ok(())
}

/// Removes all objects but one in a hundred, in batches of one like a client would.
async fn delete_most(kv: &FjallKv, count: u64) -> Result<(), Error> {
    let next = Arc::new(AtomicU64::new(0));
    let (began, cpu) = (Instant::now(), cpu_micros()?);
    let tasks: Vec<_> = (0..64)
        .map(|_| {
            let (kv, next) = (kv.clone(), Arc::clone(&next));
            tokio::spawn(async move {
                let mut latencies = Vec::new();
                loop {
                    let n = next.fetch_add(1, Relaxed);
                    if n >= count {
                        return Ok::<_, Error>(latencies);
                    }
                    if n % 100 == 0 {
                        continue;
                    }
                    let one = Instant::now();
                    let ops = vec![
                        Op::Delete(object_key(n)),
                        Op::Delete(body_key(n)),
                        Op::Add(KeyBuilder::new(COUNTERS).u32(7).build(), -1),
                    ];
                    kv.commit(Batch {
                        conds: vec![Cond::Present(object_key(n))],
                        ops,
                        urgent: true,
                        ..Batch::default()
                    })
                    .await?;
                    latencies.push(u64::try_from(one.elapsed().as_micros())?);
                }
            })
        })
        .collect();
    let mut latencies = Vec::new();
    for task in tasks {
        latencies.extend(task.await??);
    }
    show("deletions, 64 writers", latencies.len() as u64, began.elapsed(), cpu_micros()? - cpu, &mut latencies);
    Ok(())
}

async fn run(dir: &Path) -> Result<(), Error> {
    let seconds = std::env::var("SECONDS_EACH").ok().and_then(|text| text.parse().ok()).unwrap_or(10);
    let objects: u64 = std::env::var("OBJECTS").ok().and_then(|text| text.parse().ok()).unwrap_or(0);
    let mut pool = vec![0; 1 << 20];
    SeededRandom::new(1).fill(&mut pool);
    let pool = Bytes::from(pool);
    let next = Arc::new(AtomicU64::new(0));
    {
        let kv = FjallKv::open(dir, FjallConfig::new(classify))?;
        let writers = std::env::var("WRITERS").unwrap_or_else(|_| "1 16 32".into());
        for writers in writers.split_whitespace().map(str::parse) {
            let writers = writers?;
            commits(&kv, writers, seconds, &pool, &next).await?;
        }
        if objects > 0 {
            while next.load(Relaxed) < objects {
                commits(&kv, 128, seconds.min(1 + (objects - next.load(Relaxed)) / 20_000), &pool, &next).await?;
            }
        }
        let count = next.load(Relaxed);
        reads(&kv, "point reads of rows", count, object_key).await?;
        reads(&kv, "point reads of bodies", count, body_key).await?;
        pages(&kv, "pages", 200).await?;
    }
    let count = next.load(Relaxed);
    let began = Instant::now();
    let kv = FjallKv::open(dir, FjallConfig::new(classify))?;
    println!("opening {count} objects took {:?}, {} MiB resident", began.elapsed(), resident_mib()?);
    reads(&kv, "point reads of rows", count, object_key).await?;
    delete_most(&kv, count).await?;
    for wait in [0, 5, 20] {
        tokio::time::sleep(Duration::from_secs(wait)).await;
        pages(&kv, &format!("pages after deleting, +{wait} s"), 100).await?;
    }
    println!("    cleanings {}, {} MiB on disk", kv.state().cleanings, kv.state().bytes >> 20);
    drop(kv);

    let fresh = dir.join("fresh");
    let kv = FjallKv::open(&fresh, FjallConfig::new(classify))?;
    for n in (0..count).step_by(100) {
        drop(kv.commit(put(n, &pool)));
    }
    kv.commit(Batch::default()).await?;
    pages(&kv, "pages of a fresh store, in memory", 100).await?;
    kv.write_out()?;
    pages(&kv, "pages of a fresh store, on disk", 100).await?;
    Ok(())
}

fn main() -> Result<(), Error> {
    let dir = match std::env::args_os().nth(1) {
        Some(dir) => PathBuf::from(dir),
        None => std::env::temp_dir().join(format!("commit-rate-{}", std::process::id())),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let result = runtime.block_on(run(&dir));
    std::fs::remove_dir_all(&dir)?;
    result
}
