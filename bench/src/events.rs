//! What events cost: messages of a queue beside durable PUTs, notifications on a bucket, and the time from an acknowledgement to its message.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::{Value, json};

use crate::http::{Connection, Sink};
use crate::json_api::{JsonApi, head};
use crate::machine::{self, noise};
use crate::process;
use crate::sign::{Signer, sha256};
use crate::stats::{Latencies, median};
use crate::target::Target;
use crate::workload::{CLIENTS, SMALL, expect, put};
use crate::{BenchError, Servers, listing};

/// Bytes of a message.
const MESSAGE: usize = 1024;
/// How long messages may take to arrive before a run fails.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two PUTs whose messages are timed: a server at rest.
const PAUSE: Duration = Duration::from_millis(5);

/// Options of `events`.
#[derive(Args)]
pub struct Options {
    #[command(flatten)]
    servers: Servers,
    /// The account of the key: queues are named by it.
    #[arg(long, default_value = "000000000000")]
    account: String,
    /// Runs of each part; medians are reported.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    runs: u32,
    /// Seconds of a run.
    #[arg(long, default_value_t = 4.0)]
    seconds: f64,
    /// PUTs whose messages are timed, in each run.
    #[arg(long, default_value_t = 500)]
    timed: usize,
    /// Directory on the disk of the server, where the machine's own limits are measured.
    #[arg(long, default_value = ".")]
    disk: PathBuf,
}

struct Lab {
    target: Target,
    s3: Signer,
    sqs: JsonApi,
    region: String,
    account: String,
    small: Vec<u8>,
    next_key: AtomicU64,
}

/// CPU of the server, each, and how many.
#[derive(Clone, Copy)]
struct Cost {
    rate: f64,
    micros: f64,
}

/// Measures, and prints the report as Markdown.
pub fn run(options: &Options) -> Result<(), BenchError> {
    let servers = &options.servers;
    let Some(target) = servers.load()?.into_iter().next() else { return Ok(()) };
    let host = target.signer.host().to_owned();
    let signer = |service| Signer::of(&host, &servers.access_key, &servers.secret_key, &servers.region, service);
    let lab = Lab {
        s3: signer("s3"),
        sqs: JsonApi { signer: signer("sqs"), prefix: "AmazonSQS", version: "1.0" },
        target,
        region: servers.region.clone(),
        account: options.account.clone(),
        small: noise(SMALL),
        next_key: AtomicU64::new(0),
    };
    let limits = machine::measure(&options.disk)?;
    let (plain, announced) = (format!("plain-{}", std::process::id()), format!("announced-{}", std::process::id()));
    listing::create_bucket(&lab.target, &plain)?;
    listing::create_bucket(&lab.target, &announced)?;
    let told = lab.queue("told")?;
    lab.notify(&announced, "told")?;
    let (mut puts, mut notified, mut triples) = (Vec::new(), Vec::new(), Vec::new());
    let mut latencies = Vec::new();
    let time = Duration::from_secs_f64(options.seconds);
    for round in 1..=options.runs {
        let queue = lab.queue(&format!("work-{round}"))?;
        puts.push(lab.puts(&plain, None, time)?);
        notified.push(lab.puts(&announced, Some(&told), time)?);
        triples.push(lab.triples(&queue, time)?);
        lab.purge(&told, round)?;
        latencies.extend(lab.latency(round, options.timed)?);
        eprintln!("round {round} of {} is done", options.runs);
    }
    report(&limits, &puts, &notified, &triples, Latencies::new(latencies));
    Ok(())
}

fn report(limits: &machine::Limits, puts: &[Cost], notified: &[Cost], triples: &[Cost], latencies: Latencies) {
    let middle = |costs: &[Cost], of: fn(&Cost) -> f64| median(costs.iter().map(of));
    print!("{}", machine::table(limits));
    println!("\n| what | rate | server CPU each | beside a PUT |\n| --- | --- | --- | --- |");
    let put = middle(puts, |cost| cost.micros);
    for (name, costs) in [
        ("PUT 4 KiB", puts),
        ("PUT 4 KiB, its message in a queue", notified),
        ("send, receive and delete a message of 1 KiB", triples),
    ] {
        let (rate, micros) = (middle(costs, |cost| cost.rate), middle(costs, |cost| cost.micros));
        println!("| {name} | {rate:.0}/s | {micros:.0} us | {:.2} |", micros / put);
    }
    let ms = |d: Duration| d.as_secs_f64() * 1e3;
    println!(
        "\nFrom the acknowledgement of a PUT to its message at a waiting receiver: median {:.1} ms, p99 {:.1} ms, max {:.1} ms ({} PUTs).",
        ms(latencies.at(0.5)),
        ms(latencies.at(0.99)),
        ms(latencies.max()),
        latencies.count(),
    );
    println!("Four times the p99 of a raw fdatasync and 5 ms: {:.1} ms.", limits.sync_p99_us * 4e-3 + 5.0);
}

impl Lab {
    /// A call of SQS in its JSON protocol.
    fn sqs(&self, connection: &mut Connection, operation: &str, input: &Value) -> Result<Value, BenchError> {
        self.sqs.call(connection, operation, input)
    }

    fn open(&self) -> Result<Connection, BenchError> {
        Ok(Connection::open(self.target.address)?)
    }

    /// A queue that S3 may send to.
    fn queue(&self, name: &str) -> Result<String, BenchError> {
        let arn = format!("arn:aws:sqs:{}:{}:{name}", self.region, self.account);
        let statement = json!({ "Effect": "Allow", "Principal": { "Service": "s3.amazonaws.com" }, "Action": "sqs:SendMessage", "Resource": arn });
        let policy = json!({ "Version": "2012-10-17", "Statement": [statement] }).to_string();
        let input = json!({ "QueueName": name, "Attributes": { "Policy": policy } });
        let made = self.sqs(&mut self.open()?, "CreateQueue", &input)?;
        Ok(made["QueueUrl"].as_str().unwrap_or_default().to_owned())
    }

    fn notify(&self, bucket: &str, queue: &str) -> Result<(), BenchError> {
        let body = format!(
            "<NotificationConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><QueueConfiguration><Queue>arn:aws:sqs:{}:{}:{queue}</Queue>\
             <Event>s3:ObjectCreated:*</Event></QueueConfiguration></NotificationConfiguration>",
            self.region, self.account
        );
        let path = format!("/{bucket}");
        let headers = self.s3.headers("PUT", &path, "notification=", &sha256(body.as_bytes()), &[]);
        let mut answer = Vec::new();
        let head = head("PUT", &format!("{path}?notification="), &headers, body.len());
        let sent = self.open()?.send(head.as_bytes(), body.as_bytes(), Sink::Keep(&mut answer))?;
        expect("PutBucketNotificationConfiguration", sent, 200, &answer)
    }

    /// Purging twice within a minute is refused: an unpurged queue only costs disk.
    fn purge(&self, queue: &str, round: u32) -> Result<(), BenchError> {
        if round > 1 {
            return Ok(());
        }
        self.sqs(&mut self.open()?, "PurgeQueue", &json!({ "QueueUrl": queue })).map(drop)
    }

    fn waiting(&self, connection: &mut Connection, queue: &str) -> Result<u64, BenchError> {
        let input = json!({ "QueueUrl": queue, "AttributeNames": ["ApproximateNumberOfMessages"] });
        let found = self.sqs(connection, "GetQueueAttributes", &input)?;
        let count = found["Attributes"]["ApproximateNumberOfMessages"].as_str().and_then(|count| count.parse().ok());
        Ok(count.unwrap_or(0))
    }

    /// Runs `client` on every client's thread until the time is over, then `after`; all of it is the server's cost.
    fn cost(
        &self,
        time: Duration,
        client: impl Fn(&mut Connection, u64) -> Result<(), BenchError> + Sync,
        after: impl FnOnce(u64) -> Result<(), BenchError>,
    ) -> Result<Cost, BenchError> {
        let (stop, count) = (AtomicBool::new(false), AtomicU64::new(0));
        let before = self.target.pid.and_then(process::cpu).unwrap_or_default();
        let started = Instant::now();
        let work = |n: u64| {
            let mut connection = self.open()?;
            while !stop.load(Ordering::Relaxed) {
                client(&mut connection, n)?;
                count.fetch_add(1, Ordering::Relaxed);
            }
            Ok(())
        };
        let results: Vec<Result<(), BenchError>> = std::thread::scope(|scope| {
            let work = &work;
            let handles: Vec<_> = (0..CLIENTS as u64).map(|n| scope.spawn(move || work(n))).collect();
            std::thread::sleep(time);
            stop.store(true, Ordering::Relaxed);
            handles.into_iter().map(|handle| handle.join().unwrap_or(Err(BenchError::Thread))).collect()
        });
        let elapsed = started.elapsed();
        results.into_iter().collect::<Result<(), _>>()?;
        let count = count.into_inner();
        after(count)?;
        let cpu = self.target.pid.and_then(process::cpu).unwrap_or_default() - before;
        let micros = cpu.as_secs_f64() * 1e6 / count.max(1) as f64;
        Ok(Cost { rate: count as f64 / elapsed.as_secs_f64(), micros })
    }

    /// Small PUTs; with a queue, until every message is in it.
    fn puts(&self, bucket: &str, queue: Option<&str>, time: Duration) -> Result<Cost, BenchError> {
        let mut connection = self.open()?;
        let before = queue.map_or(Ok(0), |queue| self.waiting(&mut connection, queue))?;
        let client = |connection: &mut Connection, _| {
            let n = self.next_key.fetch_add(1, Ordering::Relaxed);
            put(&self.target, connection, &format!("/{bucket}/put/{n}"), &self.small)
        };
        self.cost(time, client, |count| {
            let Some(queue) = queue else { return Ok(()) };
            let until = Instant::now() + PATIENCE;
            while self.waiting(&mut connection, queue)? < before + count {
                if Instant::now() > until {
                    return Err(missing(count));
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            Ok(())
        })
    }

    fn triples(&self, queue: &str, time: Duration) -> Result<Cost, BenchError> {
        let body = "m".repeat(MESSAGE);
        let client = |connection: &mut Connection, _| {
            self.sqs(connection, "SendMessage", &json!({ "QueueUrl": queue, "MessageBody": body }))?;
            let got = self.sqs(connection, "ReceiveMessage", &json!({ "QueueUrl": queue, "WaitTimeSeconds": 5 }))?;
            let handle = got["Messages"][0]["ReceiptHandle"].as_str().ok_or_else(|| missing(1))?;
            self.sqs(connection, "DeleteMessage", &json!({ "QueueUrl": queue, "ReceiptHandle": handle }))?;
            Ok(())
        };
        self.cost(time, client, |_| Ok(()))
    }

    /// From the acknowledgement of each of some PUTs to its message at one waiting receiver.
    fn latency(&self, round: u32, count: usize) -> Result<Vec<Duration>, BenchError> {
        let (name, bucket) = (format!("timed-{round}"), format!("timed-{round}-{}", std::process::id()));
        let queue = self.queue(&name)?;
        listing::create_bucket(&self.target, &bucket)?;
        self.notify(&bucket, &name)?;
        let acknowledged: Mutex<HashMap<String, Instant>> = Mutex::default();
        std::thread::scope(|scope| {
            let receiver = scope.spawn(|| self.receive(&queue, count));
            let mut connection = self.open()?;
            for n in 0..count {
                let key = format!("timed/{n}");
                put(&self.target, &mut connection, &format!("/{bucket}/{key}"), &self.small)?;
                acknowledged.lock().map_err(|_| BenchError::Thread)?.insert(key, Instant::now());
                std::thread::sleep(PAUSE);
            }
            let received = receiver.join().unwrap_or(Err(BenchError::Thread))?;
            let acknowledged = acknowledged.lock().map_err(|_| BenchError::Thread)?;
            let since = |(key, at): (String, Instant)| Some(at.saturating_duration_since(*acknowledged.get(&key)?));
            Ok(received.into_iter().filter_map(since).collect())
        })
    }

    /// The keys of messages with the times of their arrivals.
    fn receive(&self, queue: &str, count: usize) -> Result<Vec<(String, Instant)>, BenchError> {
        let mut connection = self.open()?;
        let (mut received, until) = (Vec::new(), Instant::now() + PATIENCE);
        while received.len() < count {
            if Instant::now() > until {
                return Err(missing((count - received.len()) as u64));
            }
            let input = json!({ "QueueUrl": queue, "WaitTimeSeconds": 5, "MaxNumberOfMessages": 10 });
            let got = self.sqs(&mut connection, "ReceiveMessage", &input)?;
            let now = Instant::now();
            let mut entries = Vec::new();
            for message in got["Messages"].as_array().into_iter().flatten() {
                let body: Value = serde_json::from_str(message["Body"].as_str().unwrap_or_default())?;
                // The test event of the configuration has no records.
                if let Some(key) = body["Records"][0]["s3"]["object"]["key"].as_str() {
                    received.push((key.replace("%2F", "/"), now));
                }
                entries.push(json!({ "Id": entries.len().to_string(), "ReceiptHandle": message["ReceiptHandle"] }));
            }
            if !entries.is_empty() {
                self.sqs(&mut connection, "DeleteMessageBatch", &json!({ "QueueUrl": queue, "Entries": entries }))?;
            }
        }
        Ok(received)
    }
}

fn missing(count: u64) -> BenchError {
    BenchError::Refused {
        what: "a queue".to_owned(),
        status: 0,
        body: format!("{count} messages did not come in time"),
    }
}
