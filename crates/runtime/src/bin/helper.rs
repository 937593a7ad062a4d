//! The sandbox's helper by itself, for tests of this crate; users have it in `millpond`.

use std::process::ExitCode;

fn main() -> ExitCode {
    millpond_sandbox::main()
}
