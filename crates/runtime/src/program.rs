//! What is run, for whom, and what comes of it.

use std::fmt;
use std::net::TcpListener;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use millpond_types::{CauseChain, Timestamp};

/// One version of a function as it runs. Immutable; a change makes another one, with another id.
#[derive(Clone)]
pub struct Program {
    /// Tells it from all others.
    pub id: u128,
    /// The function's name.
    pub name: String,
    /// `$LATEST`, or a number.
    pub version: String,
    /// Its ARN.
    pub arn: String,
    /// Whom it acts as, for its [`Host`].
    pub role: String,
    /// `module.function`.
    pub handler: String,
    /// What it is written for.
    pub language: Language,
    /// Its unpacked code. Everything in it must be readable by everyone; the folders that lead there need not be.
    pub code: PathBuf,
    /// Its unpacked layers, the first lowest; as readable as the code.
    pub layers: Vec<PathBuf>,
    /// Its own environment.
    pub env: Vec<(String, String)>,
    /// Memory, in MiB.
    pub memory_mb: u32,
    /// Space in `/tmp`, in MiB.
    pub tmp_mb: u32,
    /// For one invocation.
    pub timeout: Duration,
    /// Whether it has the machine's network.
    pub open_network: bool,
    /// Where its log lines go.
    pub log_group: String,
}

impl fmt::Debug for Program {
    /// Without the environment, which holds secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Program").field("arn", &self.arn).field("version", &self.version).finish_non_exhaustive()
    }
}

/// What a program is written for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Language {
    /// Python.
    Python {
        /// The runtime that was asked for, such as `python3.12`.
        wanted: String,
    },
    /// Node.
    Node {
        /// The runtime that was asked for, such as `nodejs22.x`.
        wanted: String,
    },
    /// A program called `bootstrap`, which speaks the Runtime API itself.
    Provided,
}

/// One invocation.
#[derive(Clone, Debug)]
pub struct Job {
    /// Its id.
    pub request_id: String,
    /// The event, JSON.
    pub payload: Bytes,
    /// What was invoked: the function, a version or an alias.
    pub invoked_arn: String,
    /// X-Ray's header.
    pub trace: Option<String>,
    /// The client's context, JSON.
    pub client_context: Option<String>,
    /// What caused it.
    pub causes: CauseChain,
    /// Whether the end of the log is wanted.
    pub tail: bool,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The handler's answer, JSON.
    Answer(Bytes),
    /// It failed.
    Failed {
        /// An object with `errorMessage` and `errorType`, as AWS words it.
        payload: Bytes,
        /// Whose fault.
        kind: Failure,
    },
}

/// How an invocation fails.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Failure {
    /// The handler said so.
    Handler,
    /// It took too long.
    Timeout,
    /// The process ended.
    Exit,
    /// It used more memory than it has.
    Memory,
    /// It did not get as far as its handler.
    Init,
}

/// What it took.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// From the delivery of the event to the answer.
    pub duration: Duration,
    /// From the start of the process to its first question for an event, where the invocation waited for that.
    pub init: Option<Duration>,
    /// What AWS would bill: both, rounded up.
    pub billed_ms: u64,
    /// The most memory that the worker had at a time, in MiB.
    pub max_memory_mb: u32,
    /// The last 4 KiB of the log, when asked for.
    pub tail: Bytes,
    /// The log stream that the lines of the invocation are in.
    pub log_stream: String,
}

/// Credentials of one worker.
#[derive(Clone)]
pub struct WorkerCredentials {
    /// The access key id.
    pub access_key_id: String,
    /// The secret key.
    pub secret: String,
    /// The session token.
    pub token: String,
    /// When they expire; the worker is replaced before.
    pub expires: Timestamp,
}

impl fmt::Debug for WorkerCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkerCredentials").field("access_key_id", &self.access_key_id).finish_non_exhaustive()
    }
}

/// Keeps a door open until it is dropped.
pub type Door = Box<dyn std::any::Any + Send + Sync>;

/// What the server gives to workers.
pub trait Host: Send + Sync + 'static {
    /// The credentials of a new worker; `None` for a function without a role.
    fn credentials<'a>(&'a self, program: &'a Program) -> BoxFuture<'a, Result<Option<WorkerCredentials>, String>>;

    /// From now on, what is signed with an access key continues a chain of causes.
    fn begins(&self, access_key_id: &str, causes: &CauseChain);

    /// The worker with these credentials is gone.
    fn gone(&self, access_key_id: &str);

    /// A program printed lines. Must not block.
    fn printed(&self, program: &Program, stream: &str, lines: Vec<(Timestamp, String)>);

    /// Serves the AWS APIs at a listener inside a worker's network, until what is returned is dropped.
    fn door(&self, listener: TcpListener) -> Door;
}

/// Why nothing could be run.
#[derive(Clone, Debug, thiserror::Error)]
pub enum NoWorker {
    /// There are no sandboxes here.
    #[error(
        "functions cannot be run here: {0}. Functions run without a sandbox when the server is started with --allow-unsandboxed-functions"
    )]
    NoSandbox(String),
    /// There is no interpreter.
    #[error("{0}")]
    Interpreter(String),
    /// The role gives no credentials.
    #[error("{0}")]
    Credentials(String),
    /// The process could not be started.
    #[error("the function cannot be started: {0}")]
    Start(String),
    /// A function that brings its own runtime has none, or none that can be started.
    #[error("{0}")]
    NoBootstrap(String),
    /// There was no place for it within the time that an invocation waits.
    #[error("as many invocations run as may")]
    Busy,
    /// The server stops.
    #[error("the server is stopping")]
    Stopping,
}
