//! Worker processes.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as Socket;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};

use tokio::net::UnixStream;
use tokio::process::{Child, Command};

/// How a worker is started.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    /// The binary.
    pub path: PathBuf,
    /// What makes it a worker.
    pub arguments: Vec<OsString>,
}

/// A process with its socket. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Worker {
    pub child: Child,
    pub socket: UnixStream,
    /// How often it was given something to do.
    pub turns: u64,
}

/// Bytes of memory that a process holds.
pub(crate) fn resident(id: u32) -> u64 {
    let Ok(text) = std::fs::read_to_string(format!("/proc/{id}/statm")) else { return 0 };
    let pages: u64 = text.split(' ').nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0);
    pages * rustix::param::page_size() as u64
}

impl Worker {
    /// Starts one. Its socket is its standard input; it has nothing else of the server's.
    pub fn start(program: &Program) -> io::Result<Self> {
        let (ours, theirs) = Socket::pair()?;
        ours.set_nonblocking(true)?;
        let child = Command::new(&program.path)
            .args(&program.arguments)
            .env_clear()
            // What a terminal sends to the server is not for it.
            .process_group(0)
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .spawn()?;
        Ok(Self { child, socket: UnixStream::from_std(ours)?, turns: 0 })
    }

    /// Bytes of memory that it holds.
    pub fn resident(&self) -> u64 {
        self.child.id().map_or(0, resident)
    }

    /// Whether it has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// How it ended, when its socket has.
    pub async fn ended(mut self) -> io::Result<ExitStatus> {
        drop(self.socket);
        self.child.wait().await
    }
}
