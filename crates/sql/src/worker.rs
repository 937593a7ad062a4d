//! A worker: runs one query, or tells one schema, after the other until the server is gone.

use std::process::ExitCode;

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use bytes::Bytes;
use datafusion::common::Result;
use millpond_query::worker::{AskError, Asker, Server, Task};
use millpond_query::{Columns, Describe, Format, Rows, Run, from_worker};

use crate::describe;
use crate::failure::{self, Problem};
use crate::remote::Remote;
use crate::result::Csv;
use crate::session::{self, Output};
use crate::types::described;

/// Bytes of rows that are sent together.
const CHUNK: usize = 256 * 1024;

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
        let columns = schema.fields().iter().map(|field| described(field.name(), field.data_type())).collect();
        Ok(self.asker.tell(from_worker::Kind::Columns(Columns { columns }), Bytes::new()).await.map_err(gone)?)
    }

    async fn rows(&mut self, rows: &RecordBatch) -> Result<()> {
        self.csv.write(rows)?;
        self.count += rows.num_rows() as u64;
        if self.csv.len() >= CHUNK { self.flush().await } else { Ok(()) }
    }
}

async fn run(query: Run, asker: Asker) -> Result<(), AskError> {
    let remote = Remote::new(asker.clone(), query.cutoff);
    let mut sending = Sending { asker: asker.clone(), csv: Csv::default(), count: 0 };
    let ended = match session::run(&query, &remote, &mut sending).await {
        Ok(stats) => sending.flush().await.map(|()| stats),
        Err(error) => Err(error),
    };
    let told = match ended {
        Ok(stats) => from_worker::Kind::Done(stats),
        Err(error) => from_worker::Kind::Failed(failure::failure(&error)),
    };
    asker.tell(told, Bytes::new()).await
}

async fn describe(object: &Describe, asker: Asker) -> Result<(), AskError> {
    let remote = Remote::new(asker.clone(), 0);
    let told = match describe::describe(object, &remote).await {
        Ok(described) => from_worker::Kind::Described(described),
        Err(problem) => from_worker::Kind::Failed(failure::failure(&problem.into())),
    };
    asker.tell(told, Bytes::new()).await
}

async fn serve(socket: std::os::unix::net::UnixStream) -> std::io::Result<()> {
    socket.set_nonblocking(true)?;
    let mut server = Server::new(tokio::net::UnixStream::from_std(socket)?);
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

/// A worker's whole life. Its socket is its standard input.
pub fn main() -> ExitCode {
    use std::os::fd::AsFd;
    let socket = std::io::stdin().as_fd().try_clone_to_owned().map(std::os::unix::net::UnixStream::from);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let (Ok(socket), Ok(runtime)) = (socket, runtime) else { return ExitCode::FAILURE };
    match runtime.block_on(serve(socket)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
