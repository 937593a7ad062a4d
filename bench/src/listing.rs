//! Listings at scale, and the requests by which buckets are made, filled, listed and emptied.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use md5::{Digest, Md5};
use serde::Serialize;

use crate::http::{Connection, Sink};
use crate::process;
use crate::sign::sha256;
use crate::stats::median;
use crate::target::Target;
use crate::workload::{CLIENTS, expect, head, put};
use crate::{BenchError, Servers};

const SMALL_BUCKET: u64 = 10_000;
const PAGE: u64 = 1000;
/// Keys of one DeleteObjects request (the API's limit).
const DELETE_BATCH: u64 = 1000;
/// Of this many objects one stays in the bucket that is emptied.
const KEEP_ONE_OF: u64 = 100;
/// Pages a measurement; CPU time comes in steps of 10 ms, so that many are needed.
const PAGES: u64 = 400;
const RUNS: usize = 3;

/// Options of `listing`.
#[derive(Args)]
pub struct Options {
    #[command(flatten)]
    servers: Servers,
    /// Objects of the large bucket, and versions of the versioned one.
    #[arg(long, default_value_t = 1_000_000)]
    objects: u64,
    /// Versions a key of the versioned bucket.
    #[arg(long, default_value_t = 1000)]
    versions: u64,
    /// Write the figures to this file as JSON.
    #[arg(long)]
    json: Option<std::path::PathBuf>,
}

#[derive(Serialize)]
struct Row {
    server: String,
    bucket: String,
    cpu_us_a_page: f64,
    ms_a_page: f64,
    ratio: f64,
}

/// Fills the buckets, measures a page in each, and prints a table.
pub fn run(options: &Options) -> Result<(), BenchError> {
    let mut rows = Vec::new();
    for target in &options.servers.load()? {
        rows.extend(measure(target, options)?);
    }
    println!("\n| server | bucket | server CPU a page of 1,000 keys | time | CPU beside the first |");
    println!("| --- | --- | --- | --- | --- |");
    for row in &rows {
        println!(
            "| {} | {} | {:.0} us | {:.2} ms | {:.2} x |",
            row.server, row.bucket, row.cpu_us_a_page, row.ms_a_page, row.ratio
        );
    }
    if let Some(path) = &options.json {
        crate::report::write(path, &serde_json::to_string_pretty(&rows)?)?;
    }
    Ok(())
}

fn measure(target: &Target, options: &Options) -> Result<Vec<Row>, BenchError> {
    let base = format!("listing-{}", std::process::id());
    let (small, large, many) = (format!("{base}-small"), format!("{base}-large"), format!("{base}-versions"));
    let key = |n: u64| format!("dir/{n:09}");
    eprintln!("{}: {SMALL_BUCKET} objects", target.name);
    create_bucket(target, &small)?;
    fill(target, &small, SMALL_BUCKET, key, b"x")?;
    eprintln!("{}: {} objects", target.name, options.objects);
    create_bucket(target, &large)?;
    fill(target, &large, options.objects, key, b"x")?;
    let keys = (options.objects / options.versions).max(PAGE);
    eprintln!("{}: {keys} keys of {} versions", target.name, options.versions);
    create_bucket(target, &many)?;
    enable_versioning(target, &many)?;
    // Round after round over all keys, as updates come: the versions of a key are not written side by side.
    fill(target, &many, keys * options.versions, |n| key(n % keys), b"x")?;

    let mut figures = vec![
        (format!("{SMALL_BUCKET} objects"), page_cost(target, &small, SMALL_BUCKET)?),
        (format!("{} objects", options.objects), page_cost(target, &large, options.objects)?),
        (format!("{keys} keys of {} versions", options.versions), page_cost(target, &many, keys)?),
    ];
    eprintln!("{}: deleting 99 % of {}", target.name, options.objects);
    delete_most(target, &large, options.objects, key)?;
    let left = options.objects.div_ceil(KEEP_ONE_OF);
    figures.push((format!("{left} objects left of {}", options.objects), page_cost(target, &large, options.objects)?));
    let first = figures[0].1.0;
    Ok(figures
        .into_iter()
        .map(|(bucket, (cpu, ms))| Row {
            server: target.name.clone(),
            bucket,
            cpu_us_a_page: cpu,
            ms_a_page: ms,
            ratio: cpu / first,
        })
        .collect())
}

/// CPU (in microseconds) and time (in milliseconds) of a page of 1,000 keys, started at places all over the bucket.
/// Keys are `dir/` with nine digits below `keys`.
fn page_cost(target: &Target, bucket: &str, keys: u64) -> Result<(f64, f64), BenchError> {
    let mut connection = Connection::open(target.address)?;
    let mut body = Vec::with_capacity(1 << 20);
    let (mut cpus, mut times) = (Vec::new(), Vec::new());
    // Places from which a full page follows, also when one key of a hundred is left.
    let span = keys.saturating_sub(PAGE * KEEP_ONE_OF).max(1);
    for run in 0..=RUNS {
        let before = target.pid.and_then(process::cpu);
        let started = Instant::now();
        let mut listed = 0;
        for n in 0..PAGES {
            let start = n * 7919 * 1009 % span;
            let after =
                if keys <= PAGE * KEEP_ONE_OF { String::new() } else { format!("&start-after=dir%2F{start:09}") };
            let query = format!("list-type=2{after}");
            listed += page(target, &mut connection, bucket, &query, &mut body)?;
        }
        // The first run warms the server's caches.
        if run == 0 {
            continue;
        }
        times.push(started.elapsed().as_secs_f64() * 1000.0 / PAGES as f64);
        let cpu =
            target.pid.and_then(process::cpu).zip(before).map_or(Duration::ZERO, |(after, before)| after - before);
        cpus.push(cpu.as_secs_f64() * 1e6 * PAGE as f64 / listed.max(1) as f64);
    }
    Ok((median(cpus), median(times)))
}

/// Lists a whole bucket in pages of 1,000; an error unless it holds exactly `keys`.
pub fn list_all(target: &Target, connection: &mut Connection, bucket: &str, keys: u64) -> Result<(), BenchError> {
    let mut body = Vec::with_capacity(1 << 20);
    let mut listed = 0;
    let mut query = "list-type=2".to_owned();
    loop {
        listed += page(target, connection, bucket, &query, &mut body)?;
        let Some(token) = between(&body, b"<NextContinuationToken>", b"<") else { break };
        query = format!("continuation-token={}&list-type=2", encode(token));
    }
    if listed == keys {
        return Ok(());
    }
    Err(BenchError::Refused {
        what: format!("listing of {bucket}"),
        status: 200,
        body: format!("{listed} of {keys} keys"),
    })
}

fn page(
    target: &Target,
    connection: &mut Connection,
    bucket: &str,
    query: &str,
    body: &mut Vec<u8>,
) -> Result<u64, BenchError> {
    let path = format!("/{bucket}");
    let head = head(target, "GET", &path, query, None);
    body.clear();
    let answer = connection.send(head.as_bytes(), b"", Sink::Keep(body))?;
    expect(&path, answer, 200, body)?;
    let count = between(body, b"<KeyCount>", b"<").and_then(|text| std::str::from_utf8(text).ok()?.parse().ok());
    Ok(count.unwrap_or(0))
}

/// What stands between two tags, near the head or the end of a page: the keys between these are not searched, so that the
/// client's CPU stays small.
fn between<'a>(data: &'a [u8], before: &[u8], after: &[u8]) -> Option<&'a [u8]> {
    const NEAR: usize = 4096;
    let find =
        |from: usize, to: usize| data[from..to].windows(before.len()).position(|w| w == before).map(|at| from + at);
    let tail = data.len().saturating_sub(NEAR);
    let start = find(0, data.len().min(NEAR)).or_else(|| find(tail, data.len()))? + before.len();
    let length = data[start..].windows(after.len()).position(|w| w == after)?;
    Some(&data[start..start + length])
}

fn encode(text: &[u8]) -> String {
    let mut out = String::with_capacity(text.len() * 3);
    for byte in text {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(byte) {
            out.push(char::from(*byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// Creates a bucket; it must not exist.
pub fn create_bucket(target: &Target, bucket: &str) -> Result<(), BenchError> {
    let path = format!("/{bucket}");
    let head = head(target, "PUT", &path, "", Some(0));
    let mut body = Vec::new();
    let answer = Connection::open(target.address)?.send(head.as_bytes(), b"", Sink::Keep(&mut body))?;
    expect(&path, answer, 200, &body)
}

fn enable_versioning(target: &Target, bucket: &str) -> Result<(), BenchError> {
    let data = b"<VersioningConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Status>Enabled</Status>\
                 </VersioningConfiguration>";
    signed(target, &mut Connection::open(target.address)?, "PUT", &format!("/{bucket}"), "versioning=", data)
}

fn delete_most(target: &Target, bucket: &str, keys: u64, key: impl Fn(u64) -> String + Sync) -> Result<(), BenchError> {
    in_parallel(target, keys.div_ceil(DELETE_BATCH), |connection, batch| {
        let mut body = String::from("<Delete><Quiet>true</Quiet>");
        for n in batch * DELETE_BATCH..((batch + 1) * DELETE_BATCH).min(keys) {
            if n % KEEP_ONE_OF != 0 {
                body.push_str(&format!("<Object><Key>{}</Key></Object>", key(n)));
            }
        }
        body.push_str("</Delete>");
        signed(target, connection, "POST", &format!("/{bucket}"), "delete=", body.as_bytes())
    })
}

/// A request signed in its header, with Content-MD5, which must be answered by 200.
fn signed(
    target: &Target,
    connection: &mut Connection,
    method: &str,
    path: &str,
    query: &str,
    data: &[u8],
) -> Result<(), BenchError> {
    let digest = STANDARD.encode(Md5::digest(data));
    let mut head = format!("{method} {path}?{query} HTTP/1.1\r\n");
    for (name, value) in target.signer.headers(method, path, query, &sha256(data), &[("content-md5", &digest)]) {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str(&format!("content-length: {}\r\n\r\n", data.len()));
    let mut body = Vec::new();
    let answer = connection.send(head.as_bytes(), data, Sink::Keep(&mut body))?;
    expect(path, answer, 200, &body)
}

/// Puts `count` objects of the same bytes.
pub fn fill(
    target: &Target,
    bucket: &str,
    count: u64,
    key: impl Fn(u64) -> String + Sync,
    data: &[u8],
) -> Result<(), BenchError> {
    in_parallel(target, count, |connection, n| put(target, connection, &format!("/{bucket}/{}", key(n)), data))
}

fn in_parallel(
    target: &Target,
    count: u64,
    work: impl Fn(&mut Connection, u64) -> Result<(), BenchError> + Sync,
) -> Result<(), BenchError> {
    let next = AtomicU64::new(0);
    std::thread::scope(|scope| {
        let handles: Vec<_> = (0..CLIENTS * 2)
            .map(|_| {
                scope.spawn(|| -> Result<(), BenchError> {
                    let mut connection = Connection::open(target.address)?;
                    loop {
                        let n = next.fetch_add(1, Ordering::Relaxed);
                        if n >= count {
                            return Ok(());
                        }
                        work(&mut connection, n)?;
                    }
                })
            })
            .collect();
        handles.into_iter().try_for_each(|handle| handle.join().unwrap_or(Err(BenchError::Thread)))
    })
}
