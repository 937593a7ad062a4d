//! The command line.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::settings::{Settings, SettingsError};
use crate::{account, clock, explain, fsck, kms, logs, serve, sql, trace};

/// A data lake in one binary: durable objects behind the S3 API, let in by IAM, bucket and key policies.
///
/// Start it with `millpond run`, which prints the endpoint, the credentials and commands to try. Every flag can also be
/// given by an environment variable (shown with each flag) or in the file named by --config, as `name = value` with
/// underscores: `data_dir = "/var/lib/millpond"`. A flag wins over the environment, and that over the file.
#[derive(Parser, Debug)]
#[command(name = "millpond", version, max_term_width = 110)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Serve the lake until SIGINT or SIGTERM. Logs go to standard error; credentials are never printed.
    Serve(Box<Settings>),
    /// Like `serve`, but waits until the lake is ready and prints how to reach it, credentials included.
    Run(Box<Settings>),
    /// Check every row of metadata and every stored byte, and report what is damaged, missing or left over.
    ///
    /// When a server has the data dir open, that server checks itself while it goes on serving, and the report comes from
    /// it. Otherwise the data dir is opened here. Exit status: 0 nothing wrong, 1 damage found, 2 the check could not run.
    Fsck(fsck::FsckArgs),
    /// Tell why a request was denied: every policy and statement that had a say, and the smallest change that would allow it.
    Explain(explain::ExplainArgs),
    /// Tell what became of a change, an event or a message: which rules matched or why not, and where every delivery is.
    Trace(trace::TraceArgs),
    /// Show what a function printed, and follow it as it comes.
    Logs(logs::LogsArgs),
    /// Ask the lake: run SQL on a server, one statement or a shell, as a caller with rights of its own.
    Sql(Box<sql::SqlArgs>),
    /// Move the time of a server that was started with --movable-clock. For tests.
    #[command(hide = true)]
    Clock(clock::ClockArgs),
    /// Look after the root key, under which everything secret in the data dir is sealed.
    #[command(subcommand)]
    Kms(kms::KmsCommand),
    /// Create or list accounts. Works beside a running server, and without one.
    Account(account::AccountArgs),
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The settings do not fit.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The lake could not be opened or served.
    #[error(transparent)]
    Serve(#[from] serve::ServeError),
}

/// Carries a command out.
pub fn run(cli: Cli) -> Result<ExitCode, Failure> {
    match cli.command {
        Command::Serve(settings) => serve::serve(settings.resolve()?, serve::Manner::Quiet)?,
        Command::Run(settings) => serve::serve(settings.resolve()?, serve::Manner::Welcome)?,
        Command::Fsck(args) => return Ok(fsck::run(args)),
        Command::Explain(args) => return Ok(explain::run(args)),
        Command::Logs(args) => return Ok(logs::run(&args)),
        Command::Sql(args) => return Ok(sql::run(&args)),
        Command::Trace(args) => return Ok(trace::run(&args)),
        Command::Clock(args) => return Ok(clock::run(args)),
        Command::Kms(command) => return Ok(kms::run(command)),
        Command::Account(args) => return Ok(account::run(args)),
    }
    Ok(ExitCode::SUCCESS)
}

/// Where a data dir is when nobody says otherwise.
pub fn default_data_dir() -> PathBuf {
    PathBuf::from("./millpond-data")
}
