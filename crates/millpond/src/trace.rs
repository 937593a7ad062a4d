//! `millpond trace`: what became of a change, an event or a message.

use std::collections::HashSet;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use millpond_kernel::trace::{AllTraced, Asked, Line};
use millpond_types::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::cli::default_data_dir;
use crate::control::{self, TRACE};
use crate::data_dir::{DataDir, DataDirError};

/// How far a chain is followed: further than causes may go, 16 hops of six lines below each other.
const MAX_DEPTH: usize = 100;
/// Invocations of which it is looked for what they changed: each time journals are read.
const MAX_CAUSED: usize = 100;
/// Lines of one answer.
const MAX_LINES: usize = 5_000;

const HELP: &str = "\
What can be asked about:
  s3://BUCKET/KEY   the latest 20 changes of an object that are still in its bucket's journal (a day, or the last million commits)
                    and the latest 20 operations on it that trails recorded, of the latest 20,000
  a request's id    x-amz-request-id of a call that changed objects: its changes, among the latest 50,000 of a bucket
  an event's id     the id of an event on a bus: EventId of PutEvents, `id` of the event
  a schedule's ARN  the latest 20 times that a schedule fired, and what became of each
  an execution's id <aws.scheduler.execution-id>, EXECUTION_ID of a dead letter; of the latest 20 of a schedule
  a message's id    MessageId of a message in a queue or topic; the first 100,000 messages of each are looked through
  an invocation     the request id of a function's invocation: its attempts, what each printed (100 lines), and what it changed; of one that was
                    waited for, the latest 10,000 since the server began

How to read the answer:
  What caused something stands above it, what it caused below it. For each configuration, rule and subscription it is said whether it matches, and if not, what kept
  it from matching. Rules and subscriptions are read as they are now, configurations of buckets as they were at the change. Each delivery tells where it is: in a
  queue, received, waiting for another attempt, in a dead-letter queue, given up, or gone. Lines with a bar are what functions printed.

  Attempts to reach targets outside are kept for a day.

Exit status: 0 found, 1 nothing is known, 2 the server could not be asked.

Examples:
  millpond trace s3://photos/2026/november/lake.jpg
  millpond trace 7bf73129-1428-4cd3-a780-95db273d1602 --json";

/// What is asked about.
#[derive(Args, Debug)]
#[command(after_long_help = HELP)]
pub struct TraceArgs {
    /// An object (s3://BUCKET/KEY), the ARN of a schedule, or the id of a request to S3, of an event, of an execution, of a message or of an invocation.
    #[arg(value_name = "WHAT")]
    what: String,
    /// The data dir of the server, which must be running. [default: ./millpond-data]
    #[arg(long, env = "MILLPOND_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Print one JSON object: the lines, each with its depth.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    what: String,
}

/// A line as it is printed.
#[derive(Serialize, Deserialize, PartialEq, Debug)]
struct Shown {
    depth: usize,
    text: String,
}

/// What a word asks about: ids may be of an event or of a message.
fn asked(what: &str) -> Result<Vec<Asked>, String> {
    if what.starts_with("arn:") {
        return Ok(vec![Asked::Resource(what.trim().to_owned())]);
    }
    let Some(object) = what.strip_prefix("s3://") else {
        let id = what.trim().to_owned();
        // A message of a topic stands above what came of it, which has its id as the event's.
        return Ok(vec![Asked::Message(id.clone()), Asked::Event(id)]);
    };
    match object.split_once('/') {
        Some((bucket, key)) if !bucket.is_empty() && !key.is_empty() => {
            Ok(vec![Asked::Object { bucket: bucket.to_owned(), key: key.to_owned() }])
        }
        _ => Err(format!("{what} names no object: s3://BUCKET/KEY does")),
    }
}

/// An invocation's id as causes begin with it: one of which nothing is kept is known by what it changed.
fn cause(what: &str) -> Option<String> {
    let id = what.trim();
    let shaped = id.len() == 36 && id.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    shaped.then(|| format!("lambda:{id}:"))
}

/// Answers a request of the control socket.
pub async fn find(traced: &AllTraced, arguments: &str) -> Result<Value, String> {
    let request: Request = serde_json::from_str(arguments).map_err(|error| error.to_string())?;
    let mut walk = Walk { traced, seen: HashSet::new(), told: HashSet::new(), caused: 0, lines: Vec::new() };
    for asked in asked(&request.what)? {
        walk.follow(asked, 0).await?;
    }
    if let (true, Some(cause)) = (walk.lines.is_empty(), cause(&request.what)) {
        walk.follow(Asked::Caused { cause, since: Timestamp::default() }, 0).await?;
    }
    serde_json::to_value(walk.lines).map_err(|error| error.to_string())
}

struct Walk<'a> {
    traced: &'a AllTraced,
    /// What was asked about.
    seen: HashSet<Asked>,
    /// What a line has told of.
    told: HashSet<Asked>,
    /// How often it was asked what somebody caused.
    caused: usize,
    lines: Vec<Shown>,
}

impl Walk<'_> {
    /// Asks everybody, and about what they name in their turn.
    fn follow(&mut self, asked: Asked, depth: usize) -> BoxFuture<'_, Result<(), String>> {
        async move {
            if depth > MAX_DEPTH || self.lines.len() >= MAX_LINES || !self.seen.insert(asked.clone()) {
                return Ok(());
            }
            if let Asked::Caused { .. } = asked {
                self.caused += 1;
                if self.caused > MAX_CAUSED {
                    self.push(
                        depth,
                        "what it changed is not looked for after so many: ask about its request id".to_owned(),
                    );
                    return Ok(());
                }
            }
            let (traced, mut known) = (self.traced, false);
            for one in traced {
                let lines = one.trace(&asked).await.map_err(|error| error.to_string())?;
                known |= !lines.is_empty();
                self.show(lines, depth).await?;
            }
            // Somebody delivered it, and nobody has it.
            if let (false, Asked::Message(id), 1..) = (known, &asked, depth) {
                self.push(depth, format!("message {id} is gone: deleted, or kept long enough"));
            }
            Ok(())
        }
        .boxed()
    }

    async fn show(&mut self, lines: Vec<Line>, depth: usize) -> Result<(), String> {
        // Below a line that was shown before.
        let mut again: Option<usize> = None;
        for line in lines {
            if again.is_some_and(|above| line.depth > above) {
                continue;
            }
            again = None;
            if line.about.is_some_and(|about| !self.told.insert(about)) {
                again = Some(line.depth);
                continue;
            }
            let at = depth + line.depth;
            let below = if line.text.is_empty() { at } else { at + 1 };
            if below > at {
                self.push(at, line.text);
            }
            for next in line.then {
                self.follow(next, below).await?;
            }
        }
        Ok(())
    }

    fn push(&mut self, depth: usize, text: String) {
        if self.lines.len() < MAX_LINES {
            // Names of objects may have any characters.
            let text = text.replace(char::is_control, "\u{fffd}");
            self.lines.push(Shown { depth, text });
        }
    }
}

/// Runs the command.
#[expect(clippy::print_stderr, reason = "a command's failure is for the terminal")]
pub fn run(args: &TraceArgs) -> ExitCode {
    match look(args) {
        Ok(lines) if lines.is_empty() => {
            eprintln!(
                "millpond trace: nothing is known of {}. `millpond trace --help` says what can be asked about, and how long it is kept.",
                args.what
            );
            ExitCode::FAILURE
        }
        Ok(lines) => {
            print(&lines, args.json);
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("millpond trace: {why}");
            ExitCode::from(2)
        }
    }
}

fn look(args: &TraceArgs) -> Result<Vec<Shown>, String> {
    asked(&args.what)?;
    let data_dir = args.data_dir.clone().unwrap_or_else(default_data_dir);
    let found = match DataDir::existing(&data_dir) {
        Ok(_) => {
            return Err(format!(
                "no server has {} open; it is the server that knows rules and queues: start it and ask again",
                data_dir.display()
            ));
        }
        Err(DataDirError::Locked(_)) => control::ask(&data_dir, TRACE, &json!({ "what": args.what }))?,
        Err(error) => return Err(error.to_string()),
    };
    serde_json::from_value(found).map_err(|error| error.to_string())
}

fn print(lines: &[Shown], json: bool) {
    let text = if json {
        format!("{}\n", json!({ "lines": lines }))
    } else {
        let line = |line: &Shown| format!("{:indent$}{}\n", "", line.text, indent = line.depth * 2);
        lines.iter().map(line).collect()
    };
    // Whoever reads it may have seen enough, as `head` and `grep -q` have.
    let _ = std::io::stdout().write_all(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use millpond_kernel::trace::Traced;
    use millpond_meta::ReadError;

    use super::*;

    #[test]
    fn what_can_be_asked_about() {
        let object = |bucket: &str, key: &str| Asked::Object { bucket: bucket.into(), key: key.into() };
        assert_eq!(asked("s3://b/k/l m"), Ok(vec![object("b", "k/l m")]));
        let arn = "arn:aws:scheduler:us-east-1:123456789012:schedule/default/s";
        assert_eq!(asked(arn), Ok(vec![Asked::Resource(arn.into())]));
        assert_eq!(asked(" id "), Ok(vec![Asked::Message("id".into()), Asked::Event("id".into())]));
        for bad in ["s3://", "s3://b", "s3://b/", "s3:///k"] {
            assert!(asked(bad).is_err(), "{bad}");
        }
    }

    /// An object leads to an event, which leads to itself and to two messages, one of which is there.
    struct Loop;

    impl Traced for Loop {
        fn trace<'a>(&'a self, asked: &'a Asked) -> BoxFuture<'a, Result<Vec<Line>, ReadError>> {
            let message = |id: &str| Asked::Message(id.into());
            let caused = |cause: &str| Asked::Caused { cause: cause.into(), since: Timestamp::default() };
            let there = || Line { about: Some(message("m")), ..Line::new(0, "queue") };
            let lines = match asked {
                Asked::Object { .. } => {
                    vec![Line::new(0, "change\n"), Line::new(1, "event").then(Asked::Event("e".into()))]
                }
                Asked::Event(id) if id == "e" => vec![
                    Line::new(0, "rule").then(Asked::Event("e".into())),
                    Line::new(1, "target").then(message("m")),
                    Line::new(1, "target").then(message("n")),
                    there(),
                    Line::new(1, "below"),
                ],
                Asked::Message(id) if id == "m" => vec![there(), Line::only(1, caused("m"))],
                Asked::Caused { .. } => vec![Line::new(0, "changed")],
                _ => Vec::new(),
            };
            async move { Ok(lines) }.boxed()
        }
    }

    #[tokio::test]
    async fn what_follows_stands_below_and_is_told_once() {
        let all: AllTraced = vec![Arc::new(Loop)];
        let found = find(&all, r#"{"what": "s3://b/k"}"#).await.unwrap();
        let lines: Vec<Shown> = serde_json::from_value(found).unwrap();
        let shown: Vec<_> = lines.iter().map(|line| (line.depth, line.text.as_str())).collect();
        let gone = "message n is gone: deleted, or kept long enough";
        let expected = [
            (0, "change\u{fffd}"),
            (1, "event"),
            (2, "rule"),
            (3, "target"),
            (4, "queue"),
            (5, "changed"),
            (3, "target"),
            (4, gone),
        ];
        assert_eq!(shown, expected);
        assert_eq!(find(&all, r#"{"what": "x"}"#).await.unwrap(), json!([]));
        let invocation = find(&all, r#"{"what": "7bf73129-1428-4cd3-a780-95db273d1602"}"#).await.unwrap();
        assert_eq!(invocation, json!([{"depth": 0, "text": "changed"}]));
    }
}
