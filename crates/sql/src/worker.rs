//! A worker: runs one query, or tells one schema, after the other until the server is gone.

use std::panic::AssertUnwindSafe;
use std::process::ExitCode;
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use bytes::Bytes;
use datafusion::common::{DataFusionError, Result};
use futures_util::FutureExt;
use millpond_query::worker::{AskError, Asker, Server, Task};
use millpond_query::{Columns, Describe, Failure, Format, Rows, Run, Stats, from_worker};

use crate::describe;
use crate::dialect;
use crate::failure::{self, Problem};
use crate::remote::Remote;
use crate::result::Csv;
use crate::session::{self, Output};
use crate::types::described;

/// Bytes of rows that are sent together.
const CHUNK: usize = 256 * 1024;

/// How often it is told how far a query is.
const TELL_EVERY: Duration = Duration::from_millis(250);

/// Sends a result as it comes.
struct Sending {
    asker: Asker,
    csv: Csv,
    count: u64,
}

fn gone(_: AskError) -> Problem {
    Problem::Internal("the server is gone".to_owned())
}

impl Sending {
    async fn flush(&mut self) -> Result<()> {
        let rows = Rows { count: std::mem::take(&mut self.count), format: Format::Csv.into() };
        let payload = Bytes::from(self.csv.take());
        Ok(self.asker.tell(from_worker::Kind::Rows(rows), payload).await.map_err(gone)?)
    }
}

impl Output for Sending {
    async fn columns(&mut self, schema: &Schema) -> Result<()> {
        let columns = schema.fields().iter().map(|field| described(field)).collect();
        Ok(self.asker.tell(from_worker::Kind::Columns(Columns { columns }), Bytes::new()).await.map_err(gone)?)
    }

    async fn rows(&mut self, rows: &RecordBatch) -> Result<()> {
        self.csv.write(rows)?;
        self.count += rows.num_rows() as u64;
        if self.csv.len() >= CHUNK { self.flush().await } else { Ok(()) }
    }
}

/// Tells how far a query is, for as long as it is polled.
async fn tell_progress<T>(asker: &Asker, remote: &Remote) -> T {
    loop {
        tokio::time::sleep(TELL_EVERY).await;
        let stats = Stats { scanned: remote.scanned(), files: remote.files(), ..Stats::default() };
        // The query itself hears of a server that is gone.
        let _ = asker.tell(from_worker::Kind::Progress(stats), Bytes::new()).await;
    }
}

/// What a query fails with when a library panics, as readers of formats may on broken objects. The worker goes on: nothing of a query outlives it.
fn panicked(remote: &Remote) -> DataFusionError {
    let words = match remote.last() {
        none if none.is_empty() => "GENERIC_INTERNAL_ERROR: the engine panicked".to_owned(),
        path => format!("GENERIC_INTERNAL_ERROR: the engine panicked; the object that was read last is {path}"),
    };
    Problem::Internal(words).into()
}

async fn run(query: Run, asker: Asker) -> Result<(), AskError> {
    let remote = Remote::new(asker.clone(), query.cutoff);
    let mut sending = Sending { asker: asker.clone(), csv: Csv::default(), count: 0 };
    let ran = tokio::select! {
        ran = AssertUnwindSafe(session::run(&query, &remote, &mut sending)).catch_unwind() => ran.unwrap_or_else(|_| Err(panicked(&remote))),
        never = tell_progress(&asker, &remote) => never,
    };
    let ended = match ran {
        Ok(stats) => sending.flush().await.map(|()| stats),
        Err(error) => Err(error),
    };
    let told = match ended {
        Ok(stats) => from_worker::Kind::Done(stats),
        Err(error) => {
            let failed = failure::failure(&error);
            let message = dialect::placed(&query.statement, failed.message);
            from_worker::Kind::Failed(Failure { message, ..failed })
        }
    };
    asker.tell(told, Bytes::new()).await
}

async fn describe(object: &Describe, asker: Asker) -> Result<(), AskError> {
    let remote = Remote::new(asker.clone(), 0);
    let described = AssertUnwindSafe(describe::describe(object, &remote)).catch_unwind().await;
    let told = match described.unwrap_or_else(|_| Err(panicked(&remote))) {
        Ok(described) => from_worker::Kind::Described(described),
        Err(error) => from_worker::Kind::Failed(failure::failure(&error)),
    };
    asker.tell(told, Bytes::new()).await
}

async fn serve(socket: std::os::unix::net::UnixStream) -> std::io::Result<()> {
    let mut server = Server::start(socket)?;
    while let Some(task) = server.next().await {
        let told = match task {
            Task::Run(query) => run(query, server.asker()).await,
            Task::Describe(object) => describe(&object, server.asker()).await,
        };
        if told.is_err() {
            break;
        }
    }
    Ok(())
}

/// What the kernel is told of a worker: when memory is short, it goes first, and not the server (proc_pid_oom_score_adj(5)).
const GOES_FIRST: &str = "1000";

/// A worker's whole life. Its socket is its standard input.
#[expect(clippy::disallowed_methods, reason = "a file of the kernel's")]
pub fn main() -> ExitCode {
    use std::os::fd::AsFd;
    // A kernel that does not take it ends processes as it sees fit.
    let _ = std::fs::write("/proc/self/oom_score_adj", GOES_FIRST);
    let socket = std::io::stdin().as_fd().try_clone_to_owned().map(std::os::unix::net::UnixStream::from);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let (Ok(socket), Ok(runtime)) = (socket, runtime) else { return ExitCode::FAILURE };
    match runtime.block_on(serve(socket)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
