//! `millpond clock`: moves the time of a server that was started for tests with `--movable-clock`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use millpond_io::MovableClock;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::cli::default_data_dir;
use crate::control::{self, CLOCK};

/// How far time is moved.
#[derive(Args, Debug)]
pub struct ClockArgs {
    /// By how many seconds.
    #[arg(long, value_name = "SECONDS")]
    advance: u64,
    /// The data dir of the server, which must be running. [default: ./millpond-data]
    #[arg(long, env = "MILLPOND_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    seconds: u64,
}

/// Moves the clock.
pub fn advance(clock: Option<&MovableClock>, arguments: &str) -> Result<Value, String> {
    let request: Request = serde_json::from_str(arguments).map_err(|error| error.to_string())?;
    let clock = clock.ok_or("the server's time cannot be moved: it was not started with --movable-clock")?;
    clock.advance(Duration::from_secs(request.seconds));
    tracing::warn!(seconds = request.seconds, "time was moved forward");
    Ok(json!({}))
}

/// Asks the server.
pub fn run(args: ClockArgs) -> ExitCode {
    let data_dir = args.data_dir.unwrap_or_else(default_data_dir);
    match control::ask(&data_dir, CLOCK, &json!(Request { seconds: args.advance })) {
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("millpond: {error}");
            ExitCode::from(2)
        }
    }
}
