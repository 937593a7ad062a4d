//! The control socket: how commands on this machine talk to a server that has the data dir open. A Unix socket in the data
//! dir, so that who may open the data dir may use it, and nobody else.
//!
//! A client writes one line, the name of a command and its arguments as a JSON object where it has any; the server answers with JSON
//! objects, one a line, and closes.

use std::io::{self, BufRead as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use millpond_io::MovableClock;
use millpond_kernel::audit::Audit;
use millpond_kernel::trace::AllTraced;
use millpond_lake::Progress;
use millpond_svc_iam::LocalAccounts;
use millpond_svc_lambda::Lambda;
use millpond_svc_logs::Logs;
use millpond_types::AccountId;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::OwnedWriteHalf;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;

use crate::account;
use crate::assemble::Engines;
use crate::fsck::{self, Report};
use crate::vault::RootKeyPlace;
use crate::{clock, explain, kms, logs, trace};

const SOCKET: &str = "millpond.sock";
/// A command is a word and a few arguments.
const MAX_COMMAND: u64 = 4096;
/// A client that connects says at once what it wants.
const COMMAND_TIME: Duration = Duration::from_secs(5);

/// Lines of progress that may wait for a slow reader.
const PROGRESS_QUEUE: usize = 4;

/// The command that checks everything.
pub const FSCK: &str = "fsck";
/// The command that tells why a request was denied; see [`crate::explain`].
pub const EXPLAIN: &str = "explain";
/// The command that tells what became of something; see [`crate::trace`].
pub const TRACE: &str = "trace";
/// The command that changes the root key; see [`crate::kms`].
pub const ROTATE_ROOT: &str = "rotate-root";
/// The command that creates an account; see [`crate::account`].
pub const ACCOUNT_CREATE: &str = "account-create";
/// The command that lists accounts.
pub const ACCOUNT_LIST: &str = "account-list";

/// The command that shows what functions print; see [`crate::logs`].
pub const LOGS: &str = "logs";

/// The command that tells where the server is reached; see [`crate::sql`].
pub const WHERE: &str = "where";

/// The command that moves time forward; see [`crate::clock`].
pub const CLOCK: &str = "clock";

/// What commands work on.
#[derive(Clone)]
pub struct Commanded {
    /// The engines.
    pub engines: Engines,
    /// The audit trail.
    pub audit: Audit,
    /// The root key.
    pub root_key: Arc<RootKeyPlace>,
    /// The accounts.
    pub accounts: Arc<LocalAccounts>,
    /// Who can tell what became of something.
    pub traced: AllTraced,
    /// The clock, if it can be moved.
    pub movable: Option<Arc<MovableClock>>,
    /// Functions, what they print, and the account that they are looked for in.
    pub functions: (Lambda, Logs, AccountId),
    /// Where the server is reached.
    pub reached: Reached,
}

/// Where a server is reached from its own machine.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct Reached {
    /// The endpoint of all APIs: `http://HOST:PORT`.
    pub endpoint: String,
    /// The region.
    pub region: String,
}

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
    /// The result of a command other than a check: what it prints.
    Done(serde_json::Value),
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
pub async fn serve(listener: UnixListener, commanded: Commanded) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                if let Err(error) = answer(stream, &commanded).await {
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

async fn answer(stream: UnixStream, on: &Commanded) -> io::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let mut line = String::new();
    let mut lines = BufReader::new(reader.take(MAX_COMMAND));
    tokio::time::timeout(COMMAND_TIME, lines.read_line(&mut line)).await??;
    let (command, arguments) = line.trim().split_once(' ').unwrap_or((line.trim(), "{}"));
    let done = match command {
        FSCK => return check(&mut writer, &on.engines).await,
        EXPLAIN => explain::find(&on.audit, arguments).await,
        CLOCK => clock::advance(on.movable.as_deref(), arguments),
        WHERE => serde_json::to_value(&on.reached).map_err(|error| error.to_string()),
        LOGS => {
            let (lambda, lines, account) = &on.functions;
            logs::find(lambda, lines, *account, arguments).await
        }
        TRACE => trace::find(&on.traced, arguments).await,
        ROTATE_ROOT => kms::rotate(&on.engines, &on.root_key, arguments).await,
        ACCOUNT_CREATE => account::create(&on.accounts, arguments).await,
        ACCOUNT_LIST => account::list(&on.accounts),
        other => Err(format!("there is no command {other:?}")),
    };
    send(&mut writer, &done.map_or_else(Line::Failed, Line::Done)).await
}

async fn check(writer: &mut OwnedWriteHalf, engines: &Engines) -> io::Result<()> {
    tracing::info!("a check of everything begins");
    let (progress, mut told) = mpsc::channel(PROGRESS_QUEUE);
    // Progress that nobody has read yet makes room for nothing: the next one says more.
    let tell = |p: Progress| drop(progress.try_send(Line::Progress { stage: p.stage.to_owned(), done: p.done }));
    let check = fsck::check(engines, &tell);
    tokio::pin!(check);
    let result = loop {
        tokio::select! {
            result = &mut check => break result,
            Some(line) = told.recv() => send(writer, &line).await?,
        }
    };
    // What was told last may not have been sent yet.
    while let Ok(line) = told.try_recv() {
        send(writer, &line).await?;
    }
    tracing::info!(damaged = ?result.as_ref().map(Report::damaged), "a check of everything ended");
    send(writer, &result.map_or_else(Line::Failed, Line::Report)).await
}

async fn send(writer: &mut OwnedWriteHalf, line: &Line) -> io::Result<()> {
    let mut text = serde_json::to_vec(line)?;
    text.push(b'\n');
    writer.write_all(&text).await
}

/// Hands a command to the server that has a data dir open, and waits for its result.
pub fn ask(data_dir: &Path, command: &str, arguments: &serde_json::Value) -> Result<serde_json::Value, String> {
    let unreachable =
        |error: io::Error| format!("a server has the data dir open and its control socket does not answer: {error}");
    let mut stream = std::os::unix::net::UnixStream::connect(path(data_dir)).map_err(unreachable)?;
    stream.write_all(format!("{command} {arguments}\n").as_bytes()).map_err(unreachable)?;
    for line in io::BufReader::new(stream).lines() {
        match serde_json::from_str(&line.map_err(unreachable)?).map_err(|error| error.to_string())? {
            Line::Done(result) => return Ok(result),
            Line::Failed(why) => return Err(why),
            Line::Progress { .. } | Line::Report(_) => {}
        }
    }
    Err("the server stopped before the command was done".to_owned())
}
