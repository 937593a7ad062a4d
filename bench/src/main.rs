//! Measures S3 servers: server CPU an operation, rates and latencies, beside the machine's own limits in the same run.
//!
//! The load is made by blocking threads with a minimal HTTP/1.1 client and presigned URLs, so that the program's own
//! CPU (which is reported) stays small beside the server's.

mod compare;
mod events;
mod functions;
mod http;
mod items;
mod json_api;
mod listing;
mod machine;
mod patterns;
mod process;
mod report;
mod sign;
mod stats;
mod target;
mod workload;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use target::{Target, TargetError};

/// Measure S3 servers and the machine they run on.
#[derive(Parser)]
#[command(name = "millpond-bench", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Rates, latencies and server CPU of every workload, alternating between the servers.
    Compare(compare::Options),
    /// CPU of a page of a listing: small and large buckets, many versions, after most was deleted.
    Listing(listing::Options),
    /// What events cost: messages of a queue beside PUTs, notifications, and the time from an acknowledgement to its message.
    Events(events::Options),
    /// What a table's items cost, beside another server, and how fast items go whose time to live is over.
    Items(items::Options),
    /// What functions cost: warm invocations, the time from a PUT to its handler, cold starts.
    Functions(functions::Options),
    /// Only the limits of this machine: fdatasync, MD5, writing, loopback.
    Machine(machine::Options),
    /// The matcher of event patterns, without a server: events a CPU second beside sets of rules.
    Patterns(patterns::Options),
}

/// Which servers to measure: one by flags, or several by a file.
#[derive(Args)]
pub struct Servers {
    /// A server, e.g. http://127.0.0.1:9000 (plain HTTP only).
    #[arg(long, required_unless_present = "targets")]
    endpoint: Option<String>,
    #[arg(long, env = "AWS_ACCESS_KEY_ID", default_value = "")]
    access_key: String,
    #[arg(long, env = "AWS_SECRET_ACCESS_KEY", default_value = "", hide_env_values = true)]
    secret_key: String,
    #[arg(long, default_value = "us-east-1")]
    region: String,
    /// Process id of the server, to read its CPU time and memory from /proc.
    #[arg(long)]
    pid: Option<u32>,
    /// JSON file with an array of {name, endpoint, access_key, secret_key, region, pid}; ratios are to the second.
    #[arg(long, conflicts_with = "endpoint")]
    targets: Option<PathBuf>,
}

impl Servers {
    fn load(&self) -> Result<Vec<Target>, TargetError> {
        if let Some(path) = &self.targets {
            return target::load(path);
        }
        let endpoint = self.endpoint.as_deref().unwrap_or_default();
        Ok(vec![Target::new("server", endpoint, &self.access_key, &self.secret_key, &self.region, self.pid)?])
    }
}

/// Why a run ended early.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// The servers are not described well.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// A connection failed, or an answer was not HTTP.
    #[error("{0}")]
    Http(#[from] http::HttpError),
    /// The server refused what the workload needs.
    #[error("{what} answered {status}: {body}")]
    Refused {
        /// The request's path.
        what: String,
        /// HTTP status; 0 when it was not sent.
        status: u16,
        /// The beginning of the answer's body.
        body: String,
    },
    /// A file of the machine's measurements or the report could not be written.
    #[error("{what}: {source}")]
    File {
        /// Its path.
        what: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// A worker thread panicked.
    #[error("a worker thread panicked")]
    Thread,
    /// The report could not be made.
    #[error("report: {0}")]
    Report(#[from] serde_json::Error),
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Compare(options) => compare::run(&options),
        Command::Listing(options) => listing::run(&options),
        Command::Functions(options) => functions::run(&options),
        Command::Items(options) => items::run(&options),
        Command::Events(options) => events::run(&options),
        Command::Machine(options) => machine::run(&options),
        Command::Patterns(options) => patterns::run(&options),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
