//! The workloads: what is sent, and how a run of one is measured.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::http::{Answer, Connection, Sink};
use crate::machine::noise;
use crate::process;
use crate::sign::sha256;
use crate::stats::Latencies;
use crate::target::Target;
use crate::{BenchError, listing};

/// Clients of the small workloads, as in the figures that the project states.
pub const CLIENTS: usize = 16;
/// Body of a small object.
pub const SMALL: usize = 4096;
/// Body of a large object.
pub const LARGE: usize = 64 << 20;
/// Small objects that reads choose from.
const READ_SET: u64 = 4096;
/// Keys of the bucket that is listed.
pub const LISTED: u64 = 10_000;
/// Large objects a run writes or reads a stream; keys are used again in turn so that the disk does not fill.
const LARGE_PER_STREAM: u64 = 4;

/// One way to load a server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Workload {
    /// Small objects, each under a new key.
    PutSmall,
    /// Small objects, whole.
    GetSmall,
    /// Ten thousand keys in pages of a thousand.
    List,
    /// Large objects by presigned URL: the payload is not signed.
    PutLarge { streams: usize },
    /// Large objects whose SHA-256 is signed, so that the server must hash.
    PutLargeSigned { streams: usize },
    /// Large objects, whole.
    GetLarge { streams: usize },
}

impl Workload {
    /// All of them, in the order of the report.
    pub const ALL: [Self; 8] = [
        Self::PutSmall,
        Self::GetSmall,
        Self::List,
        Self::PutLarge { streams: 1 },
        Self::PutLarge { streams: 4 },
        Self::PutLargeSigned { streams: 1 },
        Self::GetLarge { streams: 1 },
        Self::GetLarge { streams: 4 },
    ];

    /// The name by which it is chosen and reported.
    pub fn name(self) -> &'static str {
        match self {
            Self::PutSmall => "put-4k",
            Self::GetSmall => "get-4k",
            Self::List => "list-10000",
            Self::PutLarge { streams: 1 } => "put-64m-1",
            Self::PutLarge { .. } => "put-64m-4",
            Self::PutLargeSigned { .. } => "put-64m-1-signed",
            Self::GetLarge { streams: 1 } => "get-64m-1",
            Self::GetLarge { .. } => "get-64m-4",
        }
    }

    /// Bytes of payload an operation moves; 0 where a rate in bytes says nothing.
    pub fn bytes(self) -> u64 {
        match self {
            Self::PutSmall | Self::GetSmall => SMALL as u64,
            Self::List => 0,
            _ => LARGE as u64,
        }
    }

    fn clients(self) -> usize {
        match self {
            Self::PutSmall | Self::GetSmall => CLIENTS,
            Self::List => 1,
            Self::PutLarge { streams } | Self::PutLargeSigned { streams } | Self::GetLarge { streams } => streams,
        }
    }
}

/// What one run found.
#[derive(Debug, Clone)]
pub struct Run {
    /// Operations that went well.
    pub operations: u64,
    /// How long they took together.
    pub elapsed: Duration,
    /// CPU time of the server in this time; `None` when its process is not known.
    pub server_cpu: Option<Duration>,
    /// CPU time of this program.
    pub own_cpu: Duration,
    /// Latencies: half, 99 %, all.
    pub p50: Duration,
    /// 99 % of the operations took at most this.
    pub p99: Duration,
    /// The longest.
    pub max: Duration,
    /// Resident bytes of the server afterwards.
    pub resident: Option<u64>,
}

/// A server with the bucket that the workloads use.
pub struct Bench<'a> {
    target: &'a Target,
    bucket: String,
    small: Vec<u8>,
    large: Vec<u8>,
    large_sha256: String,
    next_key: AtomicU64,
}

impl<'a> Bench<'a> {
    /// Creates the buckets and what the reading workloads read.
    pub fn prepare(target: &'a Target, workloads: &[Workload]) -> Result<Self, BenchError> {
        let large = noise(LARGE);
        let bench = Self {
            target,
            bucket: target.bucket.clone().unwrap_or_else(|| format!("bench-{}", std::process::id())),
            small: noise(SMALL),
            large_sha256: sha256(&large),
            large,
            next_key: AtomicU64::new(0),
        };
        if target.bucket.is_none() {
            listing::create_bucket(target, &bench.bucket)?;
        }
        let bucket = &bench.bucket;
        if workloads.contains(&Workload::GetSmall) {
            listing::fill(target, bucket, READ_SET, |n| format!("read/{n}"), &bench.small)?;
        }
        if workloads.contains(&Workload::List) {
            let listed = format!("{bucket}-list");
            listing::create_bucket(target, &listed)?;
            listing::fill(target, &listed, LISTED, |n| format!("listed/{n:08}"), b"x")?;
        }
        if workloads.iter().any(|w| matches!(w, Workload::GetLarge { .. })) {
            let mut connection = Connection::open(target.address)?;
            for n in 0..4 {
                bench.put_large(&mut connection, &format!("/{bucket}/large-{n}"))?;
            }
        }
        Ok(bench)
    }

    /// Runs one workload: small ones for `time`, large ones for a fixed number of objects.
    pub fn run(&self, workload: Workload, time: Duration) -> Result<Run, BenchError> {
        let stop = AtomicBool::new(false);
        let server_before = self.target.pid.and_then(process::cpu);
        let own_before = process::own_cpu();
        let started = Instant::now();
        let results: Vec<Result<Vec<Duration>, BenchError>> = std::thread::scope(|scope| {
            let handles: Vec<_> = (0..workload.clients())
                .map(|client| {
                    let stop = &stop;
                    scope.spawn(move || self.client(workload, client as u64, stop))
                })
                .collect();
            if workload.bytes() != LARGE as u64 {
                std::thread::sleep(time);
                stop.store(true, Ordering::Relaxed);
            }
            handles.into_iter().map(|handle| handle.join().unwrap_or(Err(BenchError::Thread))).collect()
        });
        let elapsed = started.elapsed();
        let own_cpu = process::own_cpu() - own_before;
        let server_after = self.target.pid.and_then(process::cpu);
        let mut all = Vec::new();
        for result in results {
            all.extend(result?);
        }
        let operations = all.len() as u64;
        let latencies = Latencies::new(all);
        Ok(Run {
            operations,
            elapsed,
            server_cpu: server_after.zip(server_before).map(|(after, before)| after - before),
            own_cpu,
            p50: latencies.at(0.5),
            p99: latencies.at(0.99),
            max: latencies.max(),
            resident: self.target.pid.and_then(process::resident).map(|(now, _)| now),
        })
    }

    fn client(&self, workload: Workload, client: u64, stop: &AtomicBool) -> Result<Vec<Duration>, BenchError> {
        let mut connection = Connection::open(self.target.address)?;
        let mut latencies = Vec::with_capacity(1 << 16);
        let mut body = Vec::with_capacity(SMALL);
        let mut count = 0;
        let large = workload.bytes() == LARGE as u64;
        while if large { count < LARGE_PER_STREAM } else { !stop.load(Ordering::Relaxed) } {
            let started = Instant::now();
            match workload {
                Workload::PutSmall => self.put_small(&mut connection)?,
                Workload::GetSmall => self.get_small(&mut connection, client, count, &mut body)?,
                Workload::List => {
                    listing::list_all(self.target, &mut connection, &format!("{}-list", self.bucket), LISTED)?;
                }
                Workload::PutLarge { .. } => {
                    let path = format!("/{}/put-{client}-{}", self.bucket, count % 2);
                    self.put_large(&mut connection, &path)?;
                }
                Workload::PutLargeSigned { .. } => self.put_signed(&mut connection, client, count)?,
                Workload::GetLarge { .. } => self.get_large(&mut connection, client)?,
            }
            latencies.push(started.elapsed());
            count += 1;
        }
        Ok(latencies)
    }

    fn put_small(&self, connection: &mut Connection) -> Result<(), BenchError> {
        let n = self.next_key.fetch_add(1, Ordering::Relaxed);
        let path = format!("/{}/put/{n}", self.bucket);
        put(self.target, connection, &path, &self.small)
    }

    fn get_small(
        &self,
        connection: &mut Connection,
        client: u64,
        count: u64,
        body: &mut Vec<u8>,
    ) -> Result<(), BenchError> {
        // A walk with a large odd step: spread over all keys, without a random generator's cost.
        let n = (client * 257 + count * 1031) % READ_SET;
        let path = format!("/{}/read/{n}", self.bucket);
        let head = head(self.target, "GET", &path, "", None);
        body.clear();
        let answer = connection.send(head.as_bytes(), b"", Sink::Keep(body))?;
        expect(&path, answer, 200, body)?;
        if *body == self.small { Ok(()) } else { Err(refused(&path, 200, b"other bytes than were put")) }
    }

    fn put_large(&self, connection: &mut Connection, path: &str) -> Result<(), BenchError> {
        put(self.target, connection, path, &self.large)
    }

    fn put_signed(&self, connection: &mut Connection, client: u64, count: u64) -> Result<(), BenchError> {
        let path = format!("/{}/signed-{client}-{}", self.bucket, count % 2);
        let headers = self.target.signer.headers("PUT", &path, "", &self.large_sha256, &[]);
        let mut head = format!("PUT {path} HTTP/1.1\r\n");
        for (name, value) in &headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(&format!("content-length: {}\r\n\r\n", self.large.len()));
        let mut body = Vec::new();
        let answer = connection.send(head.as_bytes(), &self.large, Sink::Keep(&mut body))?;
        expect(&path, answer, 200, &body)
    }

    fn get_large(&self, connection: &mut Connection, client: u64) -> Result<(), BenchError> {
        let path = format!("/{}/large-{}", self.bucket, client % 4);
        let head = head(self.target, "GET", &path, "", None);
        let answer = connection.send(head.as_bytes(), b"", Sink::Discard)?;
        expect(&path, answer, 200, b"")?;
        if answer.length == LARGE as u64 { Ok(()) } else { Err(refused(&path, 200, b"a shorter body than was put")) }
    }
}

/// The head of a presigned request.
pub fn head(target: &Target, method: &str, path: &str, query: &str, length: Option<usize>) -> String {
    let mut head = String::with_capacity(640);
    head.push_str(method);
    head.push(' ');
    head.push_str(&target.signer.presign(method, path, query));
    head.push_str(" HTTP/1.1\r\nhost: ");
    head.push_str(target.signer.host());
    if let Some(length) = length {
        head.push_str("\r\ncontent-length: ");
        head.push_str(&length.to_string());
    }
    head.push_str("\r\n\r\n");
    head
}

/// Puts an object by presigned URL.
pub fn put(target: &Target, connection: &mut Connection, path: &str, data: &[u8]) -> Result<(), BenchError> {
    let head = head(target, "PUT", path, &target.put_query, Some(data.len()));
    let mut body = Vec::new();
    let answer = connection.send(head.as_bytes(), data, Sink::Keep(&mut body))?;
    expect(path, answer, 200, &body)
}

/// An error unless the status is the one that was expected.
pub fn expect(what: &str, answer: Answer, status: u16, body: &[u8]) -> Result<(), BenchError> {
    if answer.status == status { Ok(()) } else { Err(refused(what, answer.status, body)) }
}

fn refused(what: &str, status: u16, body: &[u8]) -> BenchError {
    const SHOWN: usize = 500;
    let body = String::from_utf8_lossy(&body[..body.len().min(SHOWN)]).into_owned();
    BenchError::Refused { what: what.to_owned(), status, body }
}
