//! The Millpond binary: command line, configuration, and the one place where everything is put together.

mod account;
mod assemble;
mod cli;
mod control;
mod data_dir;
mod explain;
mod fsck;
mod gauges;
mod kms;
mod logging;
mod place;
mod root_key;
mod serve;
mod settings;
mod vault;
mod welcome;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    match cli::run(cli::Cli::parse()) {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("millpond: {failure}");
            ExitCode::FAILURE
        }
    }
}
