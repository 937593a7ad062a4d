//! What a table's items cost: GetItem and durable PutItem beside another server in the same run, and how fast items go whose time to live is over.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clap::Args;
use serde_json::{Value, json};

use crate::http::Connection;
use crate::json_api::JsonApi;
use crate::machine;
use crate::process;
use crate::sign::Signer;
use crate::stats::{Latencies, median};
use crate::target::Target;
use crate::workload::CLIENTS;
use crate::{BenchError, Servers};

/// Bytes of an item's largest attribute.
const PAYLOAD: usize = 400;
/// Items that GetItem reads among.
const ITEMS: u64 = 1_000;
/// Items of a BatchWriteItem: the most there may be.
const BATCH: u64 = 25;
/// PutItem calls a second beside which items expire.
const FOREGROUND: Duration = Duration::from_millis(5);
/// How long PutItem is timed at rest.
const REST: Duration = Duration::from_secs(10);
/// How long the last item may take to go.
const PATIENCE: Duration = Duration::from_secs(600);

/// Options of `items`.
#[derive(Args)]
pub struct Options {
    #[command(flatten)]
    servers: Servers,
    /// Runs of each part; medians are reported.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    runs: u32,
    /// Seconds of a run.
    #[arg(long, default_value_t = 4.0)]
    seconds: f64,
    /// Items of the first server that expire at once; 0 leaves that part out.
    #[arg(long, default_value_t = 300_000)]
    expiring: u64,
    /// Seconds in which they are written, before they expire.
    #[arg(long, default_value_t = 120)]
    loading: u64,
    /// Directory on the disk of the server, where the machine's own limits are measured.
    #[arg(long, default_value = ".")]
    disk: PathBuf,
}

/// A server with its table.
struct Lab {
    target: Target,
    api: JsonApi,
    next: AtomicU64,
}

/// A run: calls a second, and the server's CPU for each.
#[derive(Clone, Copy)]
struct Cost {
    rate: f64,
    micros: f64,
}

/// Measures, and prints the report as Markdown.
pub fn run(options: &Options) -> Result<(), BenchError> {
    let servers = &options.servers;
    let limits = machine::measure(&options.disk)?;
    let mut labs = Vec::new();
    for target in servers.load()? {
        let host = target.signer.host().to_owned();
        let (access_key, secret_key) = target.keys.clone();
        let signer = Signer::of(&host, &access_key, &secret_key, &servers.region, "dynamodb");
        let api = JsonApi { signer, prefix: "DynamoDB_20120810", version: "1.0" };
        let lab = Lab { target, api, next: AtomicU64::new(0) };
        lab.create("items")?;
        lab.fill()?;
        labs.push(lab);
    }
    let time = Duration::from_secs_f64(options.seconds);
    let mut costs: Vec<[Vec<Cost>; 2]> = labs.iter().map(|_| [Vec::new(), Vec::new()]).collect();
    for round in 1..=options.runs {
        for (lab, costs) in labs.iter().zip(&mut costs) {
            costs[0].push(lab.cost(time, |connection, n| lab.get(connection, n))?);
            costs[1].push(lab.cost(time, |connection, _| lab.put(connection))?);
        }
        eprintln!("round {round} of {} is done", options.runs);
    }
    report(&limits, &labs, &costs);
    match labs.first() {
        Some(lab) if options.expiring > 0 => lab.expire(options.expiring, options.loading),
        _ => Ok(()),
    }
}

fn report(limits: &machine::Limits, labs: &[Lab], costs: &[[Vec<Cost>; 2]]) {
    print!("{}", machine::table(limits));
    println!("\n| what | server | rate | server CPU each | beside the first |\n| --- | --- | --- | --- | --- |");
    let middle = |costs: &[Cost], of: fn(&Cost) -> f64| median(costs.iter().map(of));
    for (part, name) in ["GetItem", "PutItem"].into_iter().enumerate() {
        let first = costs.first().map_or(f64::NAN, |costs| middle(&costs[part], |cost| cost.micros));
        for (lab, costs) in labs.iter().zip(costs) {
            let (rate, micros) = (middle(&costs[part], |cost| cost.rate), middle(&costs[part], |cost| cost.micros));
            println!("| {name} | {} | {rate:.0}/s | {micros:.0} us | {:.2} |", lab.target.name, micros / first);
        }
    }
}

fn now() -> u64 {
    #[expect(clippy::disallowed_methods, reason = "items expire by the time of day, which is the server's as well")]
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

fn item(n: u64) -> Value {
    json!({ "id": { "S": format!("item-{n}") }, "n": { "N": n.to_string() }, "payload": { "S": "p".repeat(PAYLOAD) } })
}

impl Lab {
    fn open(&self) -> Result<Connection, BenchError> {
        Ok(Connection::open(self.target.address)?)
    }

    fn create(&self, table: &str) -> Result<(), BenchError> {
        let input = json!({
            "TableName": table, "BillingMode": "PAY_PER_REQUEST", "KeySchema": [{ "AttributeName": "id", "KeyType": "HASH" }],
            "AttributeDefinitions": [{ "AttributeName": "id", "AttributeType": "S" }],
        });
        let mut connection = self.open()?;
        self.api.call(&mut connection, "CreateTable", &input)?;
        for _ in 0..100 {
            let table = self.api.call(&mut connection, "DescribeTable", &json!({ "TableName": table }))?;
            if table["Table"]["TableStatus"] == "ACTIVE" {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Err(missing("an active table"))
    }

    fn fill(&self) -> Result<(), BenchError> {
        let mut connection = self.open()?;
        for from in (0..ITEMS).step_by(BATCH as usize) {
            let puts: Vec<Value> = (from..from + BATCH).map(|n| json!({ "PutRequest": { "Item": item(n) } })).collect();
            self.batch(&mut connection, &json!({ "RequestItems": { "items": puts } }))?;
        }
        Ok(())
    }

    fn batch(&self, connection: &mut Connection, input: &Value) -> Result<(), BenchError> {
        let done = self.api.call(connection, "BatchWriteItem", input)?;
        let left = done["UnprocessedItems"].as_object().is_some_and(|left| !left.is_empty());
        if left { Err(missing("a batch as a whole")) } else { Ok(()) }
    }

    fn get(&self, connection: &mut Connection, n: u64) -> Result<(), BenchError> {
        let n = self.next.fetch_add(7919, Ordering::Relaxed).wrapping_add(n) % ITEMS;
        let body = format!("{{\"TableName\":\"items\",\"Key\":{{\"id\":{{\"S\":\"item-{n}\"}}}}}}");
        let answer = self.api.raw(connection, "GetItem", &body)?;
        if answer.len() > PAYLOAD { Ok(()) } else { Err(missing("an item")) }
    }

    fn put(&self, connection: &mut Connection) -> Result<(), BenchError> {
        let n = ITEMS + self.next.fetch_add(1, Ordering::Relaxed);
        let input = json!({ "TableName": "items", "Item": item(n) });
        self.api.raw(connection, "PutItem", &input.to_string()).map(drop)
    }

    /// Runs `client` on every client's thread until the time is over.
    fn cost(
        &self,
        time: Duration,
        client: impl Fn(&mut Connection, u64) -> Result<(), BenchError> + Sync,
    ) -> Result<Cost, BenchError> {
        let (stop, count) = (AtomicBool::new(false), AtomicU64::new(0));
        let cpu = || self.target.pid.and_then(process::cpu).unwrap_or_default();
        let (before, started) = (cpu(), Instant::now());
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
        let micros = (cpu() - before).as_secs_f64() * 1e6 / count.max(1) as f64;
        Ok(Cost { rate: count as f64 / elapsed.as_secs_f64(), micros })
    }

    /// Items that all expire at one moment; how fast they go, and what PutItem takes meanwhile.
    fn expire(&self, count: u64, loading: u64) -> Result<(), BenchError> {
        self.create("expiring")?;
        let ttl =
            json!({ "TableName": "expiring", "TimeToLiveSpecification": { "Enabled": true, "AttributeName": "due" } });
        self.api.call(&mut self.open()?, "UpdateTimeToLive", &ttl)?;
        let due = now() + loading;
        self.load(count, due)?;
        eprintln!("{count} items are written");
        if now() + REST.as_secs() >= due {
            return Err(missing("time: the items take longer to write than --loading"));
        }
        let rest = Latencies::new(self.paced(|since| since >= REST)?);
        while now() < due {
            std::thread::sleep(Duration::from_millis(20));
        }
        let (started, drained) = (Instant::now(), AtomicBool::new(false));
        let (meanwhile, took) = std::thread::scope(|scope| {
            let paced = scope.spawn(|| self.paced(|_| drained.load(Ordering::Relaxed)));
            let took = self.drained(started);
            drained.store(true, Ordering::Relaxed);
            (paced.join().unwrap_or(Err(BenchError::Thread)), took)
        });
        let (meanwhile, took) = (Latencies::new(meanwhile?), took?);
        let ms = |d: Duration| d.as_secs_f64() * 1e3;
        println!(
            "\n{count} items due at once are gone after {:.1} s: {:.0} a second. PutItem, 200 a second: median {:.2} ms at rest, {:.2} ms meanwhile ({:.2} times); p99 {:.2} and {:.2} ms.",
            took.as_secs_f64(),
            count as f64 / took.as_secs_f64(),
            ms(rest.at(0.5)),
            ms(meanwhile.at(0.5)),
            ms(meanwhile.at(0.5)) / ms(rest.at(0.5)),
            ms(rest.at(0.99)),
            ms(meanwhile.at(0.99)),
        );
        Ok(())
    }

    fn load(&self, count: u64, due: u64) -> Result<(), BenchError> {
        let next = AtomicU64::new(0);
        let work = || {
            let mut connection = self.open()?;
            loop {
                let from = next.fetch_add(BATCH, Ordering::Relaxed);
                if from >= count {
                    return Ok(());
                }
                let put = |n: u64| json!({ "PutRequest": { "Item": { "id": { "S": format!("e-{n}") }, "due": { "N": due.to_string() } } } });
                let puts: Vec<Value> = (from..count.min(from + BATCH)).map(put).collect();
                self.batch(&mut connection, &json!({ "RequestItems": { "expiring": puts } }))?;
            }
        };
        std::thread::scope(|scope| {
            let handles: Vec<_> = (0..CLIENTS / 2).map(|_| scope.spawn(work)).collect();
            handles.into_iter().try_for_each(|handle| handle.join().unwrap_or(Err(BenchError::Thread)))
        })
    }

    /// PutItem at an even pace, until told.
    fn paced(&self, over: impl Fn(Duration) -> bool) -> Result<Vec<Duration>, BenchError> {
        let (mut connection, started) = (self.open()?, Instant::now());
        let mut taken = Vec::new();
        while !over(started.elapsed()) {
            let begun = Instant::now();
            self.put(&mut connection)?;
            taken.push(begun.elapsed());
            std::thread::sleep(FOREGROUND.saturating_sub(begun.elapsed()));
        }
        Ok(taken)
    }

    /// After how long no item is left.
    fn drained(&self, started: Instant) -> Result<Duration, BenchError> {
        let mut connection = self.open()?;
        let mut told = Instant::now();
        while started.elapsed() < PATIENCE {
            let table = self.api.call(&mut connection, "DescribeTable", &json!({ "TableName": "expiring" }))?;
            let left = table["Table"]["ItemCount"].as_u64().unwrap_or(u64::MAX);
            if left == 0 {
                return Ok(started.elapsed());
            }
            if told.elapsed() > Duration::from_secs(5) {
                told = Instant::now();
                eprintln!("{left} items are left");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Err(missing("an empty table"))
    }
}

fn missing(what: &str) -> BenchError {
    BenchError::Refused { what: what.to_owned(), status: 0, body: "did not come in time".to_owned() }
}
