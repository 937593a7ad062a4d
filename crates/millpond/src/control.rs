//! The control socket: how commands on this machine talk to a server that has the data dir open. A Unix socket in the data
//! dir, so that who may open the data dir may use it, and nobody else.
//!
//! A client writes one line, the name of a command; the server answers with JSON objects, one a line, and closes.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use millpond_lake::Progress;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::OwnedWriteHalf;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;

use crate::assemble::Engines;
use crate::fsck::{self, Report};

const SOCKET: &str = "millpond.sock";
/// A command is a word.
const MAX_COMMAND: u64 = 64;
/// A client that connects says at once what it wants.
const COMMAND_TIME: Duration = Duration::from_secs(5);

/// Lines of progress that may wait for a slow reader.
const PROGRESS_QUEUE: usize = 4;

/// The command that checks everything.
pub const FSCK: &str = "fsck";

/// A line of an answer.
#[derive(Serialize, Deserialize, Debug)]
pub enum Line {
    /// How far it is.
    Progress {
        /// What is being checked.
        stage: String,
        /// How much of it is done.
        done: u64,
    },
    /// The result.
    Report(Report),
    /// The command failed or is not known.
    Failed(String),
}

/// Where the socket of a data dir is.
pub fn path(data_dir: &Path) -> PathBuf {
    data_dir.join(SOCKET)
}

/// Makes the socket. One that a killed server left is replaced: the caller holds the data dir's lock.
pub fn listen(data_dir: &Path) -> io::Result<UnixListener> {
    remove(data_dir);
    let listener = UnixListener::bind(path(data_dir))?;
    std::fs::set_permissions(path(data_dir), std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    Ok(listener)
}

/// Removes the socket.
#[expect(clippy::disallowed_methods, reason = "a socket is no file of the disk that tests bend")]
pub fn remove(data_dir: &Path) {
    // It may well not be there.
    let _ = std::fs::remove_file(path(data_dir));
}

/// Answers commands, one connection at a time: they are an operator's, and two checks at once help nobody.
pub async fn serve(listener: UnixListener, engines: Engines) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                if let Err(error) = answer(stream, &engines).await {
                    tracing::debug!(%error, "a control connection ended early");
                }
            }
            Err(error) => {
                tracing::warn!(%error, "the control socket failed");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

async fn answer(stream: UnixStream, engines: &Engines) -> io::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let mut command = String::new();
    let mut lines = BufReader::new(reader.take(MAX_COMMAND));
    tokio::time::timeout(COMMAND_TIME, lines.read_line(&mut command)).await??;
    match command.trim() {
        FSCK => {
            tracing::info!("a check of everything begins");
            let (progress, mut told) = mpsc::channel(PROGRESS_QUEUE);
            // Progress that nobody has read yet makes room for nothing: the next one says more.
            let tell =
                |p: Progress| drop(progress.try_send(Line::Progress { stage: p.stage.to_owned(), done: p.done }));
            let check = fsck::check(engines, &tell);
            tokio::pin!(check);
            let result = loop {
                tokio::select! {
                    result = &mut check => break result,
                    Some(line) = told.recv() => send(&mut writer, &line).await?,
                }
            };
            tracing::info!(damaged = ?result.as_ref().map(Report::damaged), "a check of everything ended");
            send(&mut writer, &result.map_or_else(Line::Failed, Line::Report)).await
        }
        other => send(&mut writer, &Line::Failed(format!("there is no command {other:?}"))).await,
    }
}

async fn send(writer: &mut OwnedWriteHalf, line: &Line) -> io::Result<()> {
    let mut text = serde_json::to_vec(line)?;
    text.push(b'\n');
    writer.write_all(&text).await
}
