//! The server's end: who runs which query, and what it is told.

use std::ffi::OsString;
use std::future::poll_fn;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::net::unix::{ReadHalf, WriteHalf};
use tokio::sync::{Semaphore, SemaphorePermit, mpsc};

use crate::messages::{
    Answer, Column, Describe, Described, Failure, FailureKind, FromWorker, Run, Stats, ToWorker, ask, from_worker,
    to_worker,
};
use crate::process::{Program, Worker, resident};
use crate::wire;

/// Queries that wait for a worker; the rest is refused.
pub const MAX_WAITING: usize = 1_000;
/// Questions of one query that are answered at the same time.
const MAX_ASKED: usize = 64;
/// A worker that holds more than its budget times this when its query is over makes room for another.
const SPARE: u64 = 2;
/// The engine counts about half of what its process holds for a query.
const UNCOUNTED: u64 = 2;
/// What a worker holds besides: the program itself, and what is read ahead.
const BASE: u64 = 256 * 1024 * 1024;
/// How often it is looked how much a worker holds.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How long a worker may take to end once its socket has.
const END_TIME: Duration = Duration::from_secs(5);

/// How queries are run.
#[derive(Clone, Debug)]
pub struct PoolSettings {
    /// The binary of workers.
    pub program: PathBuf,
    /// The arguments that make it one.
    pub arguments: Vec<OsString>,
    /// Queries at the same time.
    pub workers: usize,
    /// Bytes of memory that the engine of each may use.
    pub memory: u64,
    /// Bytes that each may spill.
    pub spill: u64,
    /// Threads of each.
    pub threads: u32,
    /// Where they spill to.
    pub spill_dir: PathBuf,
}

/// Answers what a query asks, as its caller.
pub trait Host: Send + Sync {
    /// An answer, with bytes in pieces; what is refused says so in it.
    fn ask(&self, what: ask::What) -> BoxFuture<'_, (Answer, Vec<Bytes>)>;
}

/// Takes a query's result.
pub trait Sink: Send {
    /// The columns, before any row.
    fn columns(&mut self, columns: Vec<Column>) -> BoxFuture<'_, Result<(), String>>;

    /// Rows; the query waits for it. Why not, where they cannot be taken: the query ends with it.
    fn rows(&mut self, count: u64, rows: Bytes) -> BoxFuture<'_, Result<(), String>>;

    /// How far the query is.
    fn progress(&mut self, stats: Stats);
}

/// Why a query has no result.
#[derive(Clone, Debug, thiserror::Error)]
pub enum QueryError {
    /// Too many wait.
    #[error("{MAX_WAITING} queries wait already. Try again later")]
    Busy,
    /// The query failed.
    #[error("{}", .0.message)]
    Failed(Failure),
    /// Its worker died.
    #[error(
        "The process that ran the query ended ({0}). Nothing else is harmed: run the query again, and if it ends so again, with less data at once"
    )]
    Died(String),
    /// No worker could be started.
    #[error("no worker can be started: {0}")]
    NoWorker(String),
    /// Its rows were not taken.
    #[error("{0}")]
    Sink(String),
}

/// Workers. Clones share them.
#[derive(Clone, Debug)]
pub struct Pool(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    settings: PoolSettings,
    program: Program,
    places: Semaphore,
    waiting: AtomicUsize,
    idle: Mutex<Vec<Worker>>,
}

/// Counts who waits, as long as it does.
struct Waits<'a>(&'a AtomicUsize);

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Pool {
    /// No worker yet.
    pub fn new(settings: PoolSettings) -> Self {
        let program = Program { path: settings.program.clone(), arguments: settings.arguments.clone() };
        let places = Semaphore::new(settings.workers);
        Self(Arc::new(Inner { settings, program, places, waiting: AtomicUsize::new(0), idle: Mutex::default() }))
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Worker>> {
        self.0.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts a worker that waits, unless one does. Within a runtime.
    ///
    /// # Errors
    /// The system's.
    pub fn warm(&self) -> io::Result<()> {
        if self.idle().is_empty() {
            let worker = Worker::start(&self.0.program)?;
            self.idle().push(worker);
        }
        Ok(())
    }

    /// Queries that wait for a worker.
    pub fn waiting(&self) -> usize {
        self.0.waiting.load(Ordering::Relaxed)
    }

    fn worker(&self) -> Result<Worker, QueryError> {
        while let Some(mut worker) = self.idle().pop() {
            if !worker.has_ended() {
                return Ok(worker);
            }
        }
        Worker::start(&self.0.program).map_err(|error| QueryError::NoWorker(error.to_string()))
    }

    /// A place at which a worker works. Who waits is counted.
    async fn place(&self) -> Result<SemaphorePermit<'_>, QueryError> {
        let counted = Waits(&self.0.waiting);
        if self.0.waiting.fetch_add(1, Ordering::Relaxed) >= MAX_WAITING {
            return Err(QueryError::Busy);
        }
        // The semaphore is never closed.
        let place = self.0.places.acquire().await.map_err(|_| QueryError::Busy)?;
        drop(counted);
        Ok(place)
    }

    /// Runs a query once a worker is free; `begins` is called then. Dropping the future ends the query and its worker.
    ///
    /// # Errors
    /// See [`QueryError`].
    pub async fn run(
        &self,
        mut run: Run,
        host: &dyn Host,
        sink: &mut dyn Sink,
        begins: impl FnOnce() + Send,
    ) -> Result<Stats, QueryError> {
        let settings = &self.0.settings;
        let _place = self.place().await?;
        begins();
        (run.memory, run.spill, run.threads) = (settings.memory, settings.spill, settings.threads);
        run.spill_dir = settings.spill_dir.to_string_lossy().into_owned();
        match self.give(to_worker::Kind::Run(run), host, sink).await? {
            Ended::Done(stats) => Ok(stats),
            Ended::Described(_) => Err(QueryError::Died("it sent what was not its turn".to_owned())),
        }
    }

    /// The schema of an object, once a worker is free. Dropping the future ends its worker.
    ///
    /// # Errors
    /// See [`QueryError`].
    pub async fn describe(&self, object: Describe, host: &dyn Host) -> Result<Described, QueryError> {
        let _place = self.place().await?;
        match self.give(to_worker::Kind::Describe(object), host, &mut NoRows).await? {
            Ended::Described(described) => Ok(described),
            Ended::Done(_) => Err(QueryError::Died("it sent what was not its turn".to_owned())),
        }
    }

    /// Gives a worker something to do, to its end.
    async fn give(&self, what: to_worker::Kind, host: &dyn Host, sink: &mut dyn Sink) -> Result<Ended, QueryError> {
        let memory = self.0.settings.memory;
        let mut worker = self.worker()?;
        let (most, id) = (memory.saturating_mul(UNCOUNTED).saturating_add(BASE), worker.child.id());
        let ended = tokio::select! {
            ended = converse(&mut worker, what, host, sink) => ended,
            held = outgrown(id, most) => Err(Broken::Memory(held)),
        };
        match ended {
            Ok((ended, is_clean)) => {
                let spent = !is_clean || matches!(&ended, Err(failure) if failure.kind() == FailureKind::Resources);
                if !spent && worker.resident() <= memory.saturating_mul(SPARE) {
                    self.idle().push(worker);
                } else if let Err(error) = self.warm() {
                    tracing::warn!(%error, "no worker of queries can be started");
                }
                ended.map_err(QueryError::Failed)
            }
            Err(Broken::Sink(why)) => Err(QueryError::Sink(why)),
            // With it the worker is dropped, and so killed.
            Err(Broken::Memory(held)) => Err(QueryError::Failed(too_much(held, most))),
            Err(Broken::Socket(why)) => {
                let ended = tokio::time::timeout(END_TIME, worker.ended()).await;
                Err(QueryError::Died(match ended {
                    Ok(Ok(status)) => status.to_string(),
                    _ => why,
                }))
            }
        }
    }
}

/// What a worker has done.
enum Ended {
    Done(Stats),
    Described(Described),
}

/// Takes the rows of what has none.
struct NoRows;

impl Sink for NoRows {
    fn columns(&mut self, _: Vec<Column>) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(async { Err("a schema has no columns of a result".to_owned()) })
    }

    fn rows(&mut self, _: u64, _: Bytes) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(async { Err("a schema has no rows".to_owned()) })
    }

    fn progress(&mut self, _: Stats) {}
}

/// Why a conversation is over before its query is; the worker is of no more use.
enum Broken {
    Socket(String),
    Sink(String),
    /// It holds so many bytes.
    Memory(u64),
}

/// Until a worker holds more than it may; how much. Not all that the engine needs is counted by it, and a machine without memory is everybody's.
async fn outgrown(id: Option<u32>, most: u64) -> u64 {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let held = id.map_or(0, resident);
        if held > most {
            return held;
        }
    }
}

fn too_much(held: u64, most: u64) -> Failure {
    const MIB: u64 = 1024 * 1024;
    let message = format!(
        "Query exhausted resources at this scale factor: its process held {} MiB, and may hold {}. Read fewer columns or rows at once, or give \
         queries more memory (--query-memory)",
        held / MIB,
        most / MIB
    );
    Failure { kind: FailureKind::Resources.into(), message, stats: None }
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        Self::Socket(error.to_string())
    }
}

/// A query's end, and whether the worker may be given another one.
async fn converse(
    worker: &mut Worker,
    what: to_worker::Kind,
    host: &dyn Host,
    sink: &mut dyn Sink,
) -> Result<(Result<Ended, Failure>, bool), Broken> {
    worker.turns += 1;
    let number = worker.turns;
    let (mut read, mut write) = worker.socket.split();
    wire::write(&mut write, &ToWorker { kind: Some(what), turn: number }, &[]).await?;
    let (asks, asked) = mpsc::channel(MAX_ASKED);
    let turn = Turn::default();
    let answering = answer_all(&mut write, asked, host, &turn);
    tokio::pin!(answering);
    // A worker that waits for an answer may have rows on the way, so neither side waits for the other.
    let ended = tokio::select! {
        ended = listen(&mut read, asks, sink, number) => ended?,
        error = &mut answering => return Err(error),
    };
    // Of an answer that nobody waits for any more the rest must follow, else the next query is taken for it.
    turn.over.store(true, Ordering::Relaxed);
    let rest = poll_fn(|cx| {
        if !turn.writing.load(Ordering::Relaxed) {
            return Poll::Ready(Ok(()));
        }
        match answering.as_mut().poll(cx) {
            Poll::Ready(error) => Poll::Ready(Err::<(), Broken>(error)),
            Poll::Pending if turn.writing.load(Ordering::Relaxed) => Poll::Pending,
            Poll::Pending => Poll::Ready(Ok(())),
        }
    });
    let is_clean = matches!(tokio::time::timeout(END_TIME, rest).await, Ok(Ok(())));
    Ok((ended, is_clean))
}

/// How far the side that answers is.
#[derive(Default)]
struct Turn {
    /// Whether an answer is half written.
    writing: AtomicBool,
    /// Whether nothing is to be answered any more.
    over: AtomicBool,
}

async fn listen(
    read: &mut ReadHalf<'_>,
    asks: mpsc::Sender<(u64, ask::What)>,
    sink: &mut dyn Sink,
    turn: u64,
) -> Result<Result<Ended, Failure>, Broken> {
    let mut began = false;
    loop {
        let Some((FromWorker { kind }, payload)) = wire::read(read).await? else {
            return Err(Broken::Socket("its socket closed".to_owned()));
        };
        let wrong = |what: &str| Err(Broken::Socket(format!("it sent {what}")));
        match kind {
            // What is left of an earlier turn was another caller's to ask.
            Some(from_worker::Kind::Ask(asked)) if asked.turn != turn => {}
            Some(from_worker::Kind::Ask(asked)) => {
                let Some(what) = asked.what else { return wrong("a question about nothing") };
                // Its other end is gone with this future only.
                let _ = asks.send((asked.id, what)).await;
            }
            Some(from_worker::Kind::Columns(columns)) if !began => {
                began = true;
                sink.columns(columns.columns).await.map_err(Broken::Sink)?;
            }
            Some(from_worker::Kind::Rows(rows)) if began => {
                sink.rows(rows.count, payload).await.map_err(Broken::Sink)?;
            }
            Some(from_worker::Kind::Progress(stats)) => sink.progress(stats),
            Some(from_worker::Kind::Done(stats)) if began => return Ok(Ok(Ended::Done(stats))),
            Some(from_worker::Kind::Described(described)) if !began => return Ok(Ok(Ended::Described(described))),
            Some(from_worker::Kind::Failed(failure)) => return Ok(Err(failure)),
            _ => return wrong("what was not its turn"),
        }
    }
}

/// Answers questions, several at a time, until the socket fails.
async fn answer_all(
    write: &mut WriteHalf<'_>,
    mut asked: mpsc::Receiver<(u64, ask::What)>,
    host: &dyn Host,
    turn: &Turn,
) -> Broken {
    let mut answers = FuturesUnordered::new();
    let mut open = true;
    loop {
        tokio::select! {
            question = asked.recv(), if open && answers.len() < MAX_ASKED => match question {
                Some((id, what)) => answers.push(async move { (id, host.ask(what).await) }),
                None => open = false,
            },
            Some((id, (answer, payload))) = answers.next() => {
                let answer = ToWorker { kind: Some(to_worker::Kind::Answer(Answer { id, ..answer })), turn: 0 };
                turn.writing.store(true, Ordering::Relaxed);
                if let Err(error) = wire::write(write, &answer, &payload).await {
                    return error.into();
                }
                turn.writing.store(false, Ordering::Relaxed);
                if turn.over.load(Ordering::Relaxed) {
                    return std::future::pending().await;
                }
            }
            // The listener ends the conversation.
            else => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::UnixStream;

    use super::*;
    use crate::messages::Ask;

    #[tokio::test]
    async fn what_is_left_of_an_earlier_turn_is_not_answered() {
        let (mut worker, mut server) = UnixStream::pair().unwrap();
        let ask = |id, turn| {
            let what = Some(ask::What::Table(ask::Table { database: "d".into(), name: "t".into() }));
            from_worker::Kind::Ask(Ask { id, what, turn })
        };
        let failed = from_worker::Kind::Failed(Failure::default());
        for kind in [ask(1, 6), ask(2, 7), ask(3, 6), failed] {
            wire::write(&mut worker, &FromWorker { kind: Some(kind) }, &[]).await.unwrap();
        }
        let (asks, mut asked) = mpsc::channel(MAX_ASKED);
        let (mut read, _write) = server.split();
        let ended = listen(&mut read, asks, &mut NoRows, 7).await;
        assert!(matches!(ended, Ok(Err(_))));
        assert_eq!(asked.recv().await.map(|(id, _)| id), Some(2));
        assert!(asked.recv().await.is_none());
    }
}
