//! How fast workers begin and answer, and what that costs the server: `cargo run -p millpond-runtime --example rate -- INVOCATIONS STARTS`.
#![allow(clippy::unwrap_used)]

use std::collections::HashMap;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use millpond_io::{SystemClock, SystemRandom};
use millpond_runtime::{Door, Host, Job, Language, Program, WorkerCredentials, Workers, WorkersConfig};
use millpond_types::{CauseChain, Timestamp};

struct Nobody;

impl Host for Nobody {
    fn credentials<'a>(&'a self, _: &'a Program) -> BoxFuture<'a, Result<Option<WorkerCredentials>, String>> {
        Box::pin(async { Ok(None) })
    }
    fn begins(&self, _: &str, _: &CauseChain) {}
    fn gone(&self, _: &str) {}
    fn printed(&self, _: &Program, _: &str, _: Vec<(Timestamp, String)>) {}
    fn door(&self, listener: TcpListener) -> Door {
        Box::new(listener)
    }
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let first = arguments.next();
    if first.as_deref() == Some(millpond_sandbox::ARGUMENT) {
        return millpond_sandbox::main();
    }
    let invocations = first.and_then(|n| n.parse().ok()).unwrap_or(2000);
    let starts = arguments.next().and_then(|n| n.parse().ok()).unwrap_or(20);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(measure(invocations, starts));
    ExitCode::SUCCESS
}

fn write_handler(folder: &std::path::Path) {
    let mut open = std::fs::OpenOptions::new();
    let mut file = open.write(true).create(true).truncate(true).open(folder.join("code/main.py")).unwrap();
    std::io::Write::write_all(&mut file, b"def handler(event, context):\n    return event\n").unwrap();
}

async fn measure(invocations: u32, starts: u32) {
    let folder = std::env::temp_dir().join(format!("millpond-rate-{}", std::process::id()));
    std::fs::create_dir_all(folder.join("code")).unwrap();
    write_handler(&folder);
    let config = WorkersConfig {
        python: PathBuf::from(std::env::var("MILLPOND_PYTHON").unwrap_or_else(|_| "python3".to_owned())),
        python_for: HashMap::new(),
        node: PathBuf::from("node"),
        boto3: None,
        folder: folder.join("runtime"),
        max_workers: 4,
        idle: Duration::from_secs(60),
        stop_time: Duration::from_secs(10),
        hidden: Vec::new(),
        allow_unsandboxed: false,
        endpoint_url: String::new(),
        region: "us-east-1".to_owned(),
        helper: None,
    };
    let workers = Workers::new(config, Arc::new(Nobody), Arc::new(SystemClock), Arc::new(SystemRandom));
    let program = |id: u128| {
        Arc::new(Program {
            id,
            name: "rate".to_owned(),
            version: "$LATEST".to_owned(),
            arn: "arn:aws:lambda:us-east-1:000000000000:function:rate".to_owned(),
            role: "arn:aws:iam::000000000000:role/rate".to_owned(),
            handler: "main.handler".to_owned(),
            language: Language::Python { wanted: "python3.12".to_owned() },
            code: folder.join("code"),
            layers: Vec::new(),
            env: Vec::new(),
            memory_mb: 128,
            tmp_mb: 512,
            timeout: Duration::from_secs(30),
            open_network: false,
            log_group: "/aws/lambda/rate".to_owned(),
        })
    };
    let job = || Job {
        request_id: "b6f7c2f0-0000-4000-8000-000000000000".to_owned(),
        payload: Bytes::from_static(b"{}"),
        invoked_arn: "arn".to_owned(),
        trace: None,
        client_context: None,
        causes: Vec::new(),
        tail: false,
    };
    let warm = program(1);
    workers.invoke(&warm, job()).await.unwrap();
    let (cpu, began) = (own_cpu(), Instant::now());
    for _ in 0..invocations {
        workers.invoke(&warm, job()).await.unwrap();
    }
    println!(
        "warm: {:.0} a second, {:?} of the server's CPU each",
        f64::from(invocations) / began.elapsed().as_secs_f64(),
        (own_cpu() - cpu) / invocations
    );
    let mut init = Duration::ZERO;
    let began = Instant::now();
    for n in 0..starts {
        let (_, report) = workers.invoke(&program(100 + u128::from(n)), job()).await.unwrap();
        init += report.init.unwrap_or_default();
    }
    println!(
        "cold: {:?} each, of that {:?} from the start to the first question",
        began.elapsed() / starts,
        init / starts
    );
    std::fs::remove_dir_all(&folder).unwrap();
}

/// User and system time of this process, from /proc in ticks of 10 ms.
fn own_cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}
