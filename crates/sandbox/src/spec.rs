//! What a process is to be given.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// What a process is to be given.
#[derive(Clone, Serialize, Deserialize)]
pub struct Spec {
    /// Whether it is confined. Otherwise it runs as the server does, with the limits alone, and paths are the machine's.
    pub confine: bool,
    /// Whether it keeps the machine's network. Otherwise it has a loopback interface of its own and nothing else.
    pub open_network: bool,
    /// The program, an absolute path inside, and its arguments. Empty to try everything but the start.
    pub argv: Vec<String>,
    /// The whole environment.
    pub env: Vec<(String, String)>,
    /// The working directory.
    pub directory: PathBuf,
    /// What it may read.
    pub binds: Vec<Bind>,
    /// Folders that are seen as one at `/opt`; later ones win.
    pub layers: Vec<PathBuf>,
    /// What is not seen, although it lies in a folder that is: empty folders and files lie over it.
    pub hidden: Vec<PathBuf>,
    /// Bytes of its private `/tmp`.
    pub tmp_bytes: u64,
    /// Its limits.
    pub limits: Limits,
    /// The control groups it enters: their `cgroup.procs` files.
    pub groups: Vec<PathBuf>,
    /// Ports on 127.0.0.1 inside that the server listens on; needs a network of its own.
    pub ports: Vec<u16>,
}

/// A file or folder that is seen inside, read-only.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Bind {
    /// Where it is.
    pub source: PathBuf,
    /// Where it is seen.
    pub target: PathBuf,
}

/// Limits of each process (setrlimit(2)).
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Limits {
    /// Open files.
    pub files: u64,
    /// Processes and threads of the sandbox together.
    pub processes: u64,
    /// Bytes of a file.
    pub file_bytes: u64,
    /// Bytes of private memory of each process.
    pub data_bytes: Option<u64>,
}

impl fmt::Debug for Spec {
    /// Without the environment, which holds secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spec").field("confine", &self.confine).field("argv", &self.argv).finish_non_exhaustive()
    }
}
