//! The worker's end of the socket: what it is told, and what it asks.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, oneshot};

use crate::messages::{Answer, Ask, Describe, FromWorker, Run, ToWorker, ask, from_worker, to_worker};
use crate::wire;

/// Frames that wait to be written.
const WAITING: usize = 16;

/// Why a question has no answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AskError {
    /// It was refused.
    #[error("{message}")]
    Refused {
        /// The error's code.
        code: String,
        /// What it says.
        message: String,
    },
    /// The server is gone.
    #[error("the server is gone")]
    Gone,
}

type Answers = Arc<Mutex<HashMap<u64, oneshot::Sender<(Answer, Bytes)>>>>;

/// Asks the server. Clones share the socket.
#[derive(Clone, Debug)]
pub struct Asker {
    frames: mpsc::Sender<(FromWorker, Bytes)>,
    waiting: Answers,
    next: Arc<AtomicU64>,
    turn: u64,
}

impl Asker {
    /// Asks, and waits for the answer.
    ///
    /// # Errors
    /// What it is refused with.
    pub async fn ask(&self, what: ask::What) -> Result<(Answer, Bytes), AskError> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (tell, told) = oneshot::channel();
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(id, tell);
        let kind = from_worker::Kind::Ask(Ask { id, what: Some(what), turn: self.turn });
        self.tell(kind, Bytes::new()).await?;
        let (answer, payload) = told.await.map_err(|_| AskError::Gone)?;
        if answer.error.is_empty() {
            return Ok((answer, payload));
        }
        Err(AskError::Refused { code: answer.error, message: answer.message })
    }

    /// Tells the server something.
    ///
    /// # Errors
    /// [`AskError::Gone`].
    pub async fn tell(&self, kind: from_worker::Kind, payload: Bytes) -> Result<(), AskError> {
        self.frames.send((FromWorker { kind: Some(kind) }, payload)).await.map_err(|_| AskError::Gone)
    }
}

/// What a worker is given to do.
#[derive(Clone, Debug)]
pub enum Task {
    /// To run a query.
    Run(Run),
    /// To tell the schema of an object.
    Describe(Describe),
}

/// The socket, as a worker has it.
#[derive(Debug)]
pub struct Server {
    asker: Asker,
    tasks: mpsc::Receiver<(u64, Task)>,
}

impl Server {
    /// Begins to talk, on a thread of its own: what wakes queries is then none of their threads, and all of them work.
    ///
    /// # Errors
    /// The system's.
    pub fn start(socket: std::os::unix::net::UnixStream) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        let stream = {
            let _within = runtime.enter();
            UnixStream::from_std(socket)?
        };
        let (read, write) = stream.into_split();
        let (frames, waits) = mpsc::channel(WAITING);
        let (give, tasks) = mpsc::channel(1);
        let waiting = Answers::default();
        let talk = {
            let waiting = Arc::clone(&waiting);
            async move {
                tokio::select! {
                    ended = write_all(write, waits) => drop(ended),
                    ended = read_all(read, Arc::clone(&waiting), give) => drop(ended),
                }
                // Neither side takes anything now: who asked meanwhile must not wait for ever.
                waiting.lock().unwrap_or_else(PoisonError::into_inner).clear();
            }
        };
        std::thread::Builder::new().name("query-socket".to_owned()).spawn(move || runtime.block_on(talk))?;
        let asker = Asker { frames, waiting, next: Arc::default(), turn: 0 };
        Ok(Self { asker, tasks })
    }

    /// What is to be done next; `None` when the server is gone.
    pub async fn next(&mut self) -> Option<Task> {
        let (turn, task) = self.tasks.recv().await?;
        self.asker.turn = turn;
        Some(task)
    }

    /// Asks the server, for what is to be done now.
    pub fn asker(&self) -> Asker {
        self.asker.clone()
    }
}

async fn write_all(mut write: OwnedWriteHalf, mut waits: mpsc::Receiver<(FromWorker, Bytes)>) -> io::Result<()> {
    while let Some((message, payload)) = waits.recv().await {
        wire::write(&mut write, &message, &[payload]).await?;
    }
    Ok(())
}

async fn read_all(mut read: OwnedReadHalf, waiting: Answers, give: mpsc::Sender<(u64, Task)>) -> io::Result<()> {
    let lock = || waiting.lock().unwrap_or_else(PoisonError::into_inner);
    let ended = loop {
        let message = match wire::read::<ToWorker>(&mut read).await {
            Ok(Some(message)) => message,
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        };
        match message {
            (ToWorker { kind: Some(to_worker::Kind::Run(query)), turn }, _) => {
                if give.send((turn, Task::Run(query))).await.is_err() {
                    break Ok(());
                }
            }
            (ToWorker { kind: Some(to_worker::Kind::Describe(object)), turn }, _) => {
                if give.send((turn, Task::Describe(object))).await.is_err() {
                    break Ok(());
                }
            }
            (ToWorker { kind: Some(to_worker::Kind::Answer(answer)), .. }, payload) => {
                // Whoever asked may have been dropped with its query.
                let asked = lock().remove(&answer.id);
                if let Some(asked) = asked {
                    drop(asked.send((answer, payload)));
                }
            }
            (ToWorker { kind: None, .. }, _) => {}
        }
    };
    lock().clear();
    ended
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;
    use std::time::Duration;

    use super::*;

    /// Nobody waits for an answer of a server that is gone, whenever it was asked.
    #[tokio::test]
    async fn a_server_that_is_gone() {
        let (socket, other) = UnixStream::pair().unwrap();
        let mut server = Server::start(socket).unwrap();
        let asker = server.asker();
        let ask = || asker.ask(ask::What::Table(ask::Table::default()));
        let early = tokio::spawn({
            let asker = asker.clone();
            async move { asker.ask(ask::What::Table(ask::Table::default())).await }
        });
        drop(other);
        let ended = async {
            assert!(server.next().await.is_none());
            assert!(matches!(early.await.unwrap(), Err(AskError::Gone)));
            for _ in 0..100 {
                assert!(matches!(ask().await, Err(AskError::Gone)));
            }
        };
        tokio::time::timeout(Duration::from_secs(30), ended).await.unwrap();
    }
}
