//! `millpond logs`: what functions print.

use std::collections::HashMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use millpond_io::{Clock, SystemClock};
use millpond_kernel::trace::time_text;
use millpond_svc_lambda::Lambda;
use millpond_svc_logs::{Logs, WrittenLine};
use millpond_types::{AccountId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::cli::default_data_dir;
use crate::control::{self, LOGS};
use crate::data_dir::{DataDir, DataDirError};

/// Between two looks for new lines.
const EVERY: Duration = Duration::from_millis(400);
/// How far behind the newest line others may still come: several workers write side by side.
const OVERLAP: u64 = 30_000;
/// The lines of so long are shown where nothing is said.
const USUAL: u64 = 10 * 60 * 1000;

const HELP: &str = "\
Lines are shown as they came: those that the function printed, and START, END and REPORT of each invocation (with its request id, how long it took and the
memory that its worker has used). With the stream (--streams), lines of workers that ran side by side can be told apart.

What a function prints is written by its role: without logs:CreateLogGroup, logs:CreateLogStream and logs:PutLogEvents there is nothing to be shown.

--since takes a number with a unit: 90s, 15m, 2h, 3d. Without it, the last ten minutes are shown.

Exit status: 0 shown, 1 there is no such function or it has printed nothing, 2 the server could not be asked.

Examples:
  millpond logs resize
  millpond logs --follow --since 1h resize
  millpond logs --streams --json resize | jq .message";

/// What is asked for.
#[derive(Args, Debug)]
#[command(after_long_help = HELP)]
pub struct LogsArgs {
    /// The function's name.
    #[arg(value_name = "FUNCTION")]
    function: String,
    /// Go on showing lines as they come, until it is interrupted.
    #[arg(long, short)]
    follow: bool,
    /// From when on: so long ago, such as 15m or 2h. [default: 10m]
    #[arg(long, value_name = "TIME", value_parser = milliseconds)]
    since: Option<u64>,
    /// The account that the function belongs to. [default: the server's own]
    #[arg(long, value_name = "ACCOUNT")]
    account: Option<AccountId>,
    /// Show with each line the stream that it is in: one a worker.
    #[arg(long)]
    streams: bool,
    /// Print one JSON object a line, with time, stream and message.
    #[arg(long)]
    json: bool,
    /// The data dir of the server, which must be running. [default: ./millpond-data]
    #[arg(long, env = "MILLPOND_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

/// A number with a unit, in milliseconds.
fn milliseconds(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text} is no time such as 90s, 15m, 2h or 3d");
    let unit = text.chars().last().ok_or_else(wrong)?;
    let number: u64 = text.strip_suffix(unit).and_then(|number| number.parse().ok()).ok_or_else(wrong)?;
    let seconds: u64 = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return Err(wrong()),
    };
    number.checked_mul(seconds * 1000).ok_or_else(wrong)
}

#[derive(Serialize, Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Request {
    function: String,
    account: Option<String>,
    /// Milliseconds since the epoch.
    since: u64,
    next: Option<String>,
}

/// A line on its way through the socket.
#[derive(Serialize, Deserialize)]
struct Shown {
    id: String,
    time: u64,
    stream: String,
    message: String,
}

#[derive(Serialize, Deserialize, Default)]
struct Answer {
    /// Whether there is such a function, or a group of its name.
    known: bool,
    lines: Vec<Shown>,
    next: Option<String>,
}

/// Answers a request of the control socket.
pub async fn find(lambda: &Lambda, logs: &Logs, own: AccountId, arguments: &str) -> Result<Value, String> {
    let request: Request = serde_json::from_str(arguments).map_err(|error| error.to_string())?;
    let account = match &request.account {
        Some(text) => text.parse().map_err(|_| format!("{text} is no account"))?,
        None => own,
    };
    let group = lambda.log_group(account, &request.function);
    let known = group.is_some();
    let group = group.unwrap_or_else(|| format!("/aws/lambda/{}", request.function));
    let found = logs.lines(account, &group, request.since, request.next.as_deref()).await?;
    let known = known || found.is_some();
    let found = found.unwrap_or_default();
    let shown = |WrittenLine { id, time, stream, message }| Shown { id, time, stream, message };
    let answer = Answer { known, lines: found.lines.into_iter().map(shown).collect(), next: found.next };
    serde_json::to_value(answer).map_err(|error| error.to_string())
}

/// Runs the command.
#[expect(clippy::print_stderr, reason = "a command's failure is for the terminal")]
pub fn run(args: &LogsArgs) -> ExitCode {
    let data_dir = args.data_dir.clone().unwrap_or_else(default_data_dir);
    let now = SystemClock.now().millis();
    let mut showing = Showing::new(now.saturating_sub(args.since.unwrap_or(USUAL)));
    let mut any = false;
    loop {
        match showing.look(args, &data_dir) {
            Ok(Looked::Unknown) if !args.follow => {
                eprintln!("millpond logs: there is no function {}", args.function);
                return ExitCode::FAILURE;
            }
            Ok(Looked::Shown(count)) => any |= count > 0,
            Ok(Looked::Unknown) => {}
            Ok(Looked::Enough) => return ExitCode::SUCCESS,
            Err(why) => {
                eprintln!("millpond logs: {why}");
                return ExitCode::from(2);
            }
        }
        if !args.follow {
            if !any {
                eprintln!("millpond logs: {} has printed nothing since then", args.function);
            }
            return if any { ExitCode::SUCCESS } else { ExitCode::FAILURE };
        }
        std::thread::sleep(EVERY);
    }
}

enum Looked {
    /// So many lines were shown.
    Shown(usize),
    /// There is no such function.
    Unknown,
    /// Whoever reads has seen enough.
    Enough,
}

/// What was shown.
struct Showing {
    since: u64,
    newest: u64,
    /// Ids of lines within the overlap, with their times.
    seen: HashMap<String, u64>,
}

impl Showing {
    fn new(since: u64) -> Self {
        Self { since, newest: since, seen: HashMap::new() }
    }

    /// Shows what is new.
    fn look(&mut self, args: &LogsArgs, data_dir: &Path) -> Result<Looked, String> {
        let (mut next, mut count) = (None, 0);
        let since = self.since.max(self.newest.saturating_sub(OVERLAP));
        loop {
            let account = args.account.map(|account| account.to_string());
            let request = Request { function: args.function.clone(), account, since, next: next.take() };
            let answer = ask(data_dir, &request)?;
            if !answer.known {
                return Ok(Looked::Unknown);
            }
            for line in answer.lines {
                if self.seen.contains_key(&line.id) {
                    continue;
                }
                self.newest = self.newest.max(line.time);
                count += 1;
                if print(args, &line).is_err() {
                    return Ok(Looked::Enough);
                }
                self.seen.insert(line.id, line.time);
            }
            match answer.next {
                Some(place) => next = Some(place),
                None => break,
            }
        }
        let oldest = self.newest.saturating_sub(OVERLAP);
        self.seen.retain(|_, time| *time >= oldest);
        Ok(Looked::Shown(count))
    }
}

fn ask(data_dir: &Path, request: &Request) -> Result<Answer, String> {
    let found = match DataDir::existing(data_dir) {
        Ok(_) => return Err(format!("no server has {} open: start it and ask again", data_dir.display())),
        Err(DataDirError::Locked(_)) => control::ask(data_dir, LOGS, &json!(request))?,
        Err(error) => return Err(error.to_string()),
    };
    serde_json::from_value(found).map_err(|error| error.to_string())
}

/// A line's text: without what a terminal would obey.
fn plain(message: &str) -> String {
    message.trim_end_matches(['\n', '\r']).replace(|c: char| c.is_control() && c != '\t' && c != '\n', "\u{fffd}")
}

fn print(args: &LogsArgs, line: &Shown) -> std::io::Result<()> {
    let time = time_text(Timestamp(line.time.saturating_mul(1_000_000)));
    let text = if args.json {
        json!({"time": time, "stream": line.stream, "message": line.message}).to_string()
    } else if args.streams {
        format!("{time} {} {}", line.stream, plain(&line.message))
    } else {
        format!("{time} {}", plain(&line.message))
    };
    let mut out = std::io::stdout();
    writeln!(out, "{text}")?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        for (text, expected) in [
            ("90s", Some(90_000)),
            ("15m", Some(900_000)),
            ("2h", Some(7_200_000)),
            ("3d", Some(259_200_000)),
            ("0s", Some(0)),
            ("", None),
            ("5", None),
            ("s", None),
            ("-1s", None),
            ("1w", None),
            ("99999999999999999999d", None),
        ] {
            assert_eq!(milliseconds(text).ok(), expected, "{text:?}");
        }
    }

    #[test]
    fn terminals_are_not_told_what_to_do() {
        assert_eq!(plain("a\tb\u{1b}[31m\r\n"), "a\tb\u{fffd}[31m");
    }
}
