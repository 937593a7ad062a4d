//! A worker of queries, for the tests of this crate. The server's workers are its own binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    millpond_sql::main()
}
