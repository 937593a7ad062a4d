//! Chores of the repository, run as `cargo xtask <task>`: what a shell script would do, in Rust.
// Chores read and write the source tree itself; the doors of the `io` crate are for the server's data.
#![allow(clippy::disallowed_methods)]

use std::path::PathBuf;
use std::process::ExitCode;

mod codegen;
mod tidy;

const HELP: &str = "\
usage: cargo xtask <task>

tasks:
  tidy                     check the house rules: dependency direction, lengths, panics, authorization rows
  codegen                  generate crates/api-*/src/generated and the protocol tests from models/
  codegen --check          fail when the committed code differs from what would be generated
  codegen --botocore DIR   first trim models/*.json anew from botocore's models (DIR holds data/, or is data/)";

/// The root of the repository. Told at run time: a cached binary may have been built in another clone.
fn root() -> Result<PathBuf, String> {
    let package = std::env::var_os("CARGO_MANIFEST_DIR").ok_or("run it by `cargo xtask`")?;
    let root = PathBuf::from(package).join("../..");
    root.canonicalize().map_err(|error| format!("{}: {error}", root.display()))
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let result = match args.split_first() {
        Some((&"codegen", rest)) => codegen::run(rest),
        Some((&"tidy", [])) => tidy::run(),
        Some((&("help" | "--help" | "-h"), _)) => {
            println!("{HELP}");
            Ok(())
        }
        _ => Err(HELP.to_owned()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}
