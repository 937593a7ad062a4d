//! What functions cost: warm invocations beside a bare Runtime API loop of the same interpreter, the time from a PUT to its handler, and cold starts beside the bare
//! interpreter. `scripts/bench-functions.sh` makes the functions.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clap::Args;
use serde_json::{Value, json};

use crate::http::{Connection, Sink};
use crate::json_api::{JsonApi, head};
use crate::machine::{self, noise};
use crate::process;
use crate::sign::{Signer, sha256};
use crate::stats::{Latencies, median};
use crate::target::Target;
use crate::workload::{SMALL, expect, put};
use crate::{BenchError, Servers};

/// Between two PUTs whose handlers are timed: a server at rest.
const PAUSE: Duration = Duration::from_millis(40);
/// How long handlers may take to be entered before a run fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// Options of `functions`.
#[derive(Args)]
pub struct Options {
    #[command(flatten)]
    servers: Servers,
    /// The interpreter that the server's functions run on.
    #[arg(long, default_value = "python3")]
    python: PathBuf,
    /// The bootstrap of Python functions.
    #[arg(long)]
    bootstrap: PathBuf,
    /// A folder with `empty.py`, whose `handler` answers its event.
    #[arg(long)]
    code: PathBuf,
    /// The folder with boto3.
    #[arg(long)]
    boto3: PathBuf,
    /// The bucket whose objects invoke the function `entered`, which prints `ENTERED`, the key and the time in nanoseconds.
    #[arg(long, default_value = "entered")]
    bucket: String,
    /// Functions `boto3-1`, `boto3-2` and so on, which have not run yet.
    #[arg(long, default_value_t = 10)]
    cold: u32,
    /// Runs of the warm part; medians are reported.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    runs: u32,
    /// Seconds of a run.
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// PUTs whose handlers are timed.
    #[arg(long, default_value_t = 500)]
    timed: usize,
    /// Directory on the disk of the server, where the machine's own limits are measured.
    #[arg(long, default_value = ".")]
    disk: PathBuf,
}

struct Lab<'a> {
    options: &'a Options,
    target: Target,
    lambda: Signer,
    logs: JsonApi,
}

/// Measures, and prints the report as Markdown.
pub fn run(options: &Options) -> Result<(), BenchError> {
    let servers = &options.servers;
    let Some(target) = servers.load()?.into_iter().next() else { return Ok(()) };
    let host = target.signer.host().to_owned();
    let signer = |service| Signer::of(&host, &servers.access_key, &servers.secret_key, &servers.region, service);
    let logs = JsonApi { signer: signer("logs"), prefix: "Logs_20140328", version: "1.1" };
    let lab = Lab { options, lambda: signer("lambda"), logs, target };
    let limits = machine::measure(&options.disk)?;
    print!("{}", machine::table(&limits));
    lab.warm()?;
    lab.entered(limits.sync_p99_us)?;
    lab.cold()
}

impl Lab<'_> {
    fn open(&self) -> Result<Connection, BenchError> {
        Ok(Connection::open(self.target.address)?)
    }

    fn invoke(&self, connection: &mut Connection, function: &str) -> Result<(), BenchError> {
        let (path, body) = (format!("/2015-03-31/functions/{function}/invocations"), b"{}");
        let headers = self.lambda.headers("POST", &path, "", &sha256(body), &[]);
        let mut answer = Vec::new();
        let head = head("POST", &path, &headers, body.len());
        let sent = connection.send(head.as_bytes(), body, Sink::Keep(&mut answer))?;
        expect(&path, sent, 200, &answer)?;
        let failed = answer.windows(12).any(|part| part == b"errorMessage");
        if failed { Err(refused(function, String::from_utf8_lossy(&answer).into_owned())) } else { Ok(()) }
    }

    /// One invocation after the other, in turns with the bare loop.
    fn warm(&self) -> Result<(), BenchError> {
        let time = Duration::from_secs_f64(self.options.seconds);
        let (mut bare, mut rates, mut micros) = (Vec::new(), Vec::new(), Vec::new());
        let mut connection = self.open()?;
        self.invoke(&mut connection, "empty")?;
        for round in 1..=self.options.runs {
            bare.push(bare_loop(self.options, time)?);
            let cpu = || self.target.pid.and_then(process::cpu).unwrap_or_default();
            let (before, started, mut count) = (cpu(), Instant::now(), 0u32);
            while started.elapsed() < time {
                self.invoke(&mut connection, "empty")?;
                count += 1;
            }
            rates.push(f64::from(count) / started.elapsed().as_secs_f64());
            micros.push((cpu() - before).as_secs_f64() * 1e6 / f64::from(count.max(1)));
            eprintln!("round {round} of {} is done", self.options.runs);
        }
        let (bare, rate) = (median(bare), median(rates));
        println!(
            "\nWarm invocations of an empty Python handler, one after the other, with logs: {rate:.0}/s, {:.0} us of the server's CPU each; a bare Runtime API loop: {bare:.0}/s; {:.2} of it.",
            median(micros),
            rate / bare
        );
        Ok(())
    }

    /// From the acknowledgement of each PUT to the entry into its handler.
    fn entered(&self, sync_p99_us: f64) -> Result<(), BenchError> {
        let (mut connection, body) = (self.open()?, noise(SMALL));
        let mut acknowledged = HashMap::new();
        let began = now().as_millis();
        // The first ones start the workers.
        for n in 0..self.options.timed + 20 {
            let key = format!("timed-{n}");
            put(&self.target, &mut connection, &format!("/{}/{key}", self.options.bucket), &body)?;
            acknowledged.insert(key, now());
            std::thread::sleep(if n < 20 { PAUSE * 10 } else { PAUSE });
        }
        let until = Instant::now() + PATIENCE;
        loop {
            let entered = self.printed(&mut connection, began)?;
            if entered.len() >= acknowledged.len() {
                let cold: Vec<String> = (0..20).map(|n| format!("timed-{n}")).collect();
                let timed = entered.iter().filter(|(key, _)| !cold.contains(key));
                let since = |(key, at): (&String, &Duration)| Some(at.saturating_sub(*acknowledged.get(key)?));
                report_entered(Latencies::new(timed.filter_map(since).collect()), sync_p99_us);
                return Ok(());
            }
            if Instant::now() > until {
                return Err(refused(
                    "entered",
                    format!("{} of {} handlers were entered", entered.len(), acknowledged.len()),
                ));
            }
            std::thread::sleep(Duration::from_millis(500));
        }
    }

    /// The keys that the function has printed, with the times.
    fn printed(&self, connection: &mut Connection, since_ms: u128) -> Result<HashMap<String, Duration>, BenchError> {
        let mut found = HashMap::new();
        let mut token = Value::Null;
        loop {
            let mut input = json!({ "logGroupName": "/aws/lambda/entered", "filterPattern": "ENTERED", "startTime": u64::try_from(since_ms).unwrap_or(0) });
            if !token.is_null() {
                input["nextToken"] = token;
            }
            let page = self.logs.call(connection, "FilterLogEvents", &input)?;
            for event in page["events"].as_array().into_iter().flatten() {
                let mut words = event["message"].as_str().unwrap_or_default().split_whitespace().skip(1);
                if let (Some(key), Some(Ok(nanos))) = (words.next(), words.next().map(str::parse)) {
                    found.insert(key.to_owned(), Duration::from_nanos(nanos));
                }
            }
            token = page["nextToken"].clone();
            if token.is_null() {
                return Ok(found);
            }
        }
    }

    /// First invocations of functions that import boto3, in turns with the bare interpreter importing it.
    fn cold(&self) -> Result<(), BenchError> {
        let (mut bare, mut cold) = (Vec::new(), Vec::new());
        let mut connection = self.open()?;
        for n in 1..=self.options.cold {
            let started = Instant::now();
            let import = "import boto3; boto3.client('s3', region_name='us-east-1')";
            let mut command = Command::new(&self.options.python);
            command.args(["-c", import]).env("PYTHONPATH", &self.options.boto3).env("PYTHONDONTWRITEBYTECODE", "1");
            let done = command.status().map_err(file("the interpreter"))?;
            if !done.success() {
                return Err(refused("python", "boto3 cannot be imported".to_owned()));
            }
            bare.push(started.elapsed().as_secs_f64() * 1e3);
            let started = Instant::now();
            self.invoke(&mut connection, &format!("boto3-{n}"))?;
            cold.push(started.elapsed().as_secs_f64() * 1e3);
        }
        let (bare, cold) = (median(bare), median(cold));
        println!(
            "\nCold start of a function that makes a boto3 client: {cold:.0} ms; the bare interpreter doing so: {bare:.0} ms; 1.2 times that and 20 ms: {:.0} ms.",
            1.2 * bare + 20.0
        );
        Ok(())
    }
}

fn report_entered(latencies: Latencies, sync_p99_us: f64) {
    let ms = |d: Duration| d.as_secs_f64() * 1e3;
    println!(
        "\nFrom the acknowledgement of a PUT to the entry into the handler, warm: median {:.1} ms, p99 {:.1} ms, max {:.1} ms ({} PUTs). Four times the p99 of a raw fdatasync and 10 ms: {:.1} ms.",
        ms(latencies.at(0.5)),
        ms(latencies.at(0.99)),
        ms(latencies.max()),
        latencies.count(),
        sync_p99_us * 4e-3 + 10.0,
    );
}

/// Ends the process when it goes.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// How many events a second a handler answers whose Runtime API does nothing else.
fn bare_loop(options: &Options, time: Duration) -> Result<f64, BenchError> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(file("a port"))?;
    let port = listener.local_addr().map_err(file("a port"))?.port();
    let mut worker = Ended(start(options, port)?);
    listener.set_nonblocking(true).map_err(file("a port"))?;
    let until = Instant::now() + PATIENCE;
    let mut stream = loop {
        match listener.accept() {
            Ok((stream, _)) => break stream,
            Err(_) if Instant::now() < until && worker.0.try_wait().ok().flatten().is_none() => {
                std::thread::sleep(Duration::from_millis(5));
            }
            Err(error) => return Err(file("the bare loop")(error)),
        }
    };
    stream.set_nonblocking(false).and_then(|()| stream.set_nodelay(true)).map_err(file("a socket"))?;
    // The first event has the handler imported.
    answer(&mut stream)?;
    answer(&mut stream)?;
    let (started, mut count) = (Instant::now(), 0u32);
    while started.elapsed() < time {
        // An event and its answer.
        answer(&mut stream)?;
        answer(&mut stream)?;
        count += 1;
    }
    Ok(f64::from(count) / started.elapsed().as_secs_f64())
}

fn start(options: &Options, port: u16) -> Result<Child, BenchError> {
    let mut command = Command::new(&options.python);
    command.arg(&options.bootstrap).env_clear().env("AWS_LAMBDA_RUNTIME_API", format!("127.0.0.1:{port}"));
    command.env("_HANDLER", "empty.handler").env("LAMBDA_TASK_ROOT", &options.code).env("PYTHONPATH", &options.code);
    command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().map_err(file("the interpreter"))
}

/// Reads one request and answers it.
fn answer(stream: &mut TcpStream) -> Result<(), BenchError> {
    let (mut data, mut part) = (Vec::new(), [0; 16 * 1024]);
    let whole = loop {
        let read = stream.read(&mut part).map_err(file("the bare loop"))?;
        if read == 0 {
            return Err(refused("the bare loop", "its worker has gone".to_owned()));
        }
        data.extend_from_slice(part.get(..read).unwrap_or_default());
        if let Some(end) = data.windows(4).position(|at| at == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&data[..end]).to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
            if data.len() >= end + 4 + length.unwrap_or(0) {
                break head;
            }
        }
    };
    let next = "HTTP/1.1 200 OK\r\nLambda-Runtime-Aws-Request-Id: 8476a536-e9f4-11e8-9739-2dfe598c3fcd\r\nLambda-Runtime-Deadline-Ms: 4102444800000\r\n\
                Lambda-Runtime-Invoked-Function-Arn: arn:aws:lambda:us-east-1:000000000000:function:empty\r\nContent-Length: 2\r\n\r\n{}";
    let taken = "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n";
    let text = if whole.starts_with("get ") { next } else { taken };
    stream.write_all(text.as_bytes()).map_err(file("the bare loop"))
}

fn now() -> Duration {
    #[expect(clippy::disallowed_methods, reason = "handlers tell the time of day")]
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

fn refused(what: &str, body: String) -> BenchError {
    BenchError::Refused { what: what.to_owned(), status: 0, body }
}

fn file(what: &str) -> impl Fn(std::io::Error) -> BenchError {
    let what = Path::new(what).display().to_string();
    move |source| BenchError::File { what: what.clone(), source }
}
