//! The Millpond binary: command line, configuration, and the one place where everything is put together.

mod account;
mod assemble;
mod athena;
mod cli;
mod clock;
mod control;
mod data_dir;
mod explain;
mod fsck;
mod function_settings;
mod functions;
mod gauges;
mod host_id;
mod kms;
mod logging;
mod logs;
mod place;
mod query_settings;
mod queue_gauges;
mod root_key;
mod serve;
mod settings;
mod sql;
mod trace;
mod vault;
mod welcome;
mod work;
mod work_figures;
mod worker_figures;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    // The helper of sandboxes: before anything starts a thread, and not for people.
    if std::env::args_os().nth(1).is_some_and(|first| first == millpond_sandbox::ARGUMENT) {
        return millpond_sandbox::main();
    }
    // Nor is a process that runs queries.
    if std::env::args_os().nth(1).is_some_and(|first| first == query_settings::ARGUMENT) {
        return millpond_sql::main();
    }
    match cli::run(cli::Cli::parse()) {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("millpond: {failure}");
            ExitCode::FAILURE
        }
    }
}
