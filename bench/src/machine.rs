//! What the machine itself can do, measured in the same run: nothing durable can be faster.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use md5::{Digest, Md5};
use rustix::fs::{FallocateFlags, fallocate};
use serde::Serialize;

use crate::BenchError;
use crate::stats::{Latencies, median};

const SYNC_WRITE: usize = 4096;
/// Long enough for a p99 of a thousand syncs on a fast disk, short on a slow one.
const SYNC_TIME: Duration = Duration::from_secs(3);
const SYNC_FILE: u64 = 256 << 20;
const LARGE: usize = 64 << 20;
const LARGE_RUNS: usize = 5;
const PIECE: usize = 1 << 20;
const LOOPBACK_BYTES: usize = 2 << 30;

/// Options of `machine`.
#[derive(Args)]
pub struct Options {
    /// Directory on the disk to measure.
    #[arg(long, default_value = ".")]
    disk: PathBuf,
}

/// The limits of a machine. Rates in MiB a second, times in microseconds.
#[derive(Serialize, Clone, Debug)]
pub struct Limits {
    /// fdatasync's a second of one writer that appends 4 KiB to a preallocated file.
    pub sync_rate: f64,
    /// Half of these took at most so long.
    pub sync_p50_us: f64,
    /// 99 % of these took at most so long.
    pub sync_p99_us: f64,
    /// The longest.
    pub sync_max_us: f64,
    /// MD5 on one core.
    pub md5_mib: f64,
    /// 64 MiB into a preallocated file, with fdatasync.
    pub write_mib: f64,
    /// One TCP stream over the loopback interface.
    pub loopback_mib: f64,
}

/// Measures and prints.
pub fn run(options: &Options) -> Result<(), BenchError> {
    print!("{}", table(&measure(&options.disk)?));
    Ok(())
}

/// The limits as a Markdown table.
pub fn table(limits: &Limits) -> String {
    format!(
        "| this machine | |\n| --- | --- |\n\
         | fdatasync of 4 KiB appended to a preallocated file, one writer | {:.0}/s, p50 {:.0} us, p99 {:.0} us, max {:.0} us |\n\
         | MD5, one core | {:.0} MiB/s |\n\
         | 64 MiB into a preallocated file, with fdatasync | {:.0} MiB/s |\n\
         | loopback, one stream | {:.0} MiB/s |\n",
        limits.sync_rate,
        limits.sync_p50_us,
        limits.sync_p99_us,
        limits.sync_max_us,
        limits.md5_mib,
        limits.write_mib,
        limits.loopback_mib
    )
}

/// Measures all limits; files are made in `disk` and removed.
pub fn measure(disk: &Path) -> Result<Limits, BenchError> {
    let path = disk.join(format!("millpond-bench-{}", std::process::id()));
    let wrong = |source| BenchError::File { what: path.display().to_string(), source };
    let result = (|| {
        let syncs = syncs(&path)?;
        let write_mib = large_writes(&path)?;
        Ok((syncs, write_mib))
    })();
    let removed = remove(&path);
    let ((sync_rate, latencies), write_mib) = result.map_err(wrong)?;
    removed.map_err(wrong)?;
    let loopback_mib = loopback().map_err(|source| BenchError::File { what: "loopback".into(), source })?;
    let us = |d: Duration| d.as_secs_f64() * 1e6;
    Ok(Limits {
        sync_rate,
        sync_p50_us: us(latencies.at(0.5)),
        sync_p99_us: us(latencies.at(0.99)),
        sync_max_us: us(latencies.max()),
        md5_mib: md5_rate(),
        write_mib,
        loopback_mib,
    })
}

#[expect(clippy::disallowed_methods, reason = "the raw disk is what is measured")]
fn remove(path: &Path) -> std::io::Result<()> {
    std::fs::remove_file(path)
}

fn preallocated(path: &Path, bytes: u64) -> std::io::Result<File> {
    let file = OpenOptions::new().create(true).truncate(true).read(true).write(true).open(path)?;
    fallocate(&file, FallocateFlags::empty(), 0, bytes)?;
    file.sync_all()?;
    Ok(file)
}

fn syncs(path: &Path) -> std::io::Result<(f64, Latencies)> {
    let file = preallocated(path, SYNC_FILE)?;
    let data = vec![0x5a; SYNC_WRITE];
    let started = Instant::now();
    let mut all = Vec::new();
    let mut at = 0;
    while started.elapsed() < SYNC_TIME && at + (SYNC_WRITE as u64) <= SYNC_FILE {
        let one = Instant::now();
        file.write_all_at(&data, at)?;
        file.sync_data()?;
        all.push(one.elapsed());
        at += SYNC_WRITE as u64;
    }
    let rate = all.len() as f64 / started.elapsed().as_secs_f64();
    Ok((rate, Latencies::new(all)))
}

fn large_writes(path: &Path) -> std::io::Result<f64> {
    let data = noise(PIECE);
    let mut rates = Vec::new();
    for _ in 0..LARGE_RUNS {
        let file = preallocated(path, LARGE as u64)?;
        let started = Instant::now();
        for piece in 0..LARGE / PIECE {
            file.write_all_at(&data, (piece * PIECE) as u64)?;
        }
        file.sync_data()?;
        rates.push(mib(LARGE) / started.elapsed().as_secs_f64());
    }
    Ok(median(rates))
}

fn md5_rate() -> f64 {
    let data = noise(LARGE);
    let rates = (0..LARGE_RUNS).map(|_| {
        let started = Instant::now();
        std::hint::black_box(Md5::digest(std::hint::black_box(&data)));
        mib(LARGE) / started.elapsed().as_secs_f64()
    });
    median(rates)
}

fn loopback() -> std::io::Result<f64> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let sender = std::thread::spawn(move || -> std::io::Result<()> {
        let mut stream = TcpStream::connect(address)?;
        let data = vec![7; PIECE];
        for _ in 0..LOOPBACK_BYTES / PIECE {
            stream.write_all(&data)?;
        }
        Ok(())
    });
    let (mut stream, _) = listener.accept()?;
    let mut buffer = vec![0; PIECE];
    let started = Instant::now();
    let mut total = 0;
    loop {
        let n = stream.read(&mut buffer)?;
        if n == 0 {
            break;
        }
        total += n;
    }
    let rate = mib(total) / started.elapsed().as_secs_f64();
    match sender.join() {
        Ok(result) => result?,
        Err(_) => return Err(std::io::Error::other("the sender panicked")),
    }
    Ok(rate)
}

/// Bytes that do not compress, the same each time (xorshift64*, Vigna 2016).
pub fn noise(size: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut data = Vec::with_capacity(size + 8);
    while data.len() < size {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        data.extend_from_slice(&state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_le_bytes());
    }
    data.truncate(size);
    data
}

fn mib(bytes: usize) -> f64 {
    bytes as f64 / (1 << 20) as f64
}
