//! `millpond fsck`: every row and every byte, checked by the server that has the data dir open, or here.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use millpond_lake::Progress;
use millpond_meta::{Damage, FjallKv, FsckReport};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use crate::assemble::{self, Engines};
use crate::cli::default_data_dir;
use crate::control::{self, Line};
use crate::data_dir::{DataDir, DataDirError};

/// Progress is shown this often.
const PROGRESS_EVERY: Duration = Duration::from_millis(500);
/// Damaged rows that a report lists; more are only counted.
const MAX_LISTED: usize = 1000;

/// The first stage of a check.
const ROWS: &str = "metadata rows";

/// What is to be checked.
#[derive(Args, Debug)]
pub struct FsckArgs {
    /// The data dir to check. [default: ./millpond-data]
    #[arg(long, env = "MILLPOND_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Go on without commits that were acknowledged and are gone: the data dir opens again, without them.
    #[arg(long)]
    accept_loss: bool,
    /// Print the report as one JSON object.
    #[arg(long)]
    json: bool,
}

/// What a check found.
#[derive(Serialize, Deserialize, Debug, Default, Clone)]
pub struct Report {
    /// Rows of metadata that are sound.
    pub rows: u64,
    /// Rows of metadata that are damaged.
    pub damaged_rows: u64,
    /// Buckets.
    pub buckets: u64,
    /// Objects and their old versions.
    pub versions: u64,
    /// Delete markers.
    pub markers: u64,
    /// Bytes of all versions.
    pub bytes: u64,
    /// Uploads under way.
    pub uploads: u64,
    /// Extents whose every byte was read and verified.
    pub verified: u64,
    /// Bodies of deleted objects that wait to be given back.
    pub waiting: u64,
    /// How much is wrong.
    pub problem_count: u64,
    /// What is wrong, as far as it is listed.
    pub problems: Vec<String>,
}

impl Report {
    /// Whether anything is wrong.
    pub fn damaged(&self) -> bool {
        self.damaged_rows + self.problem_count > 0
    }
}

/// Checks everything while the lake goes on serving.
pub async fn check(engines: &Engines, progress: &(dyn Fn(Progress) + Send + Sync)) -> Result<Report, String> {
    let kv = engines.kv.clone();
    progress(Progress { stage: ROWS, done: 0 });
    // Who waits for the check may go, as a server does that stops; the thread must not go on for nobody.
    let (held, wanted) = oneshot::channel::<()>();
    let verified = tokio::task::spawn_blocking(move || kv.verify_while(&|| !held.is_closed())).await;
    drop(wanted);
    let rows = verified.map_err(|error| error.to_string())?.ok_or("the check was given up")?;
    check_lake(engines, rows, progress).await
}

/// Checks everything above the rows, of which `rows` tells.
async fn check_lake(
    engines: &Engines,
    mut rows: FsckReport,
    progress: &(dyn Fn(Progress) + Send + Sync),
) -> Result<Report, String> {
    rows.listed.truncate(MAX_LISTED);
    let keys: Vec<_> = rows.listed.iter().map(|damage| damage.key.clone()).collect();
    let found = engines.lake.check_after(true, &keys, progress).await.map_err(|error| error.to_string())?;
    let mut problems = listed(&rows, &found.damaged);
    problems.extend(found.problems);
    Ok(Report {
        rows: rows.rows,
        damaged_rows: rows.damages,
        buckets: found.buckets,
        versions: found.versions,
        markers: found.markers,
        bytes: found.bytes,
        uploads: found.uploads,
        verified: found.verified,
        waiting: found.waiting,
        problem_count: found.problem_count,
        problems,
    })
}

/// Damaged rows in words; `names` says what the rows were, as far as that is known.
fn listed(rows: &FsckReport, names: &[String]) -> Vec<String> {
    let names = names.iter().map(Some).chain(std::iter::repeat(None));
    let line = |(damage, name): (&Damage, Option<&String>)| {
        // Without a key there is no row to name: a journal, or the whole of a part.
        let name = name.filter(|name| !damage.key.is_empty() && !name.is_empty());
        let name = name.map_or_else(String::new, |name| format!(": {name}"));
        format!("damaged metadata in {}: {}{name}", damage.part, damage.what)
    };
    rows.listed.iter().take(MAX_LISTED).zip(names).map(line).collect()
}

/// Runs the command.
#[expect(clippy::print_stderr, reason = "a command's progress and failure are for the terminal")]
pub fn run(args: FsckArgs) -> ExitCode {
    let data_dir = args.data_dir.unwrap_or_else(default_data_dir);
    let report = match DataDir::existing(&data_dir) {
        Ok(dir) => offline(&dir, args.accept_loss),
        Err(DataDirError::Locked(_)) => online(&data_dir),
        Err(error) => Err(error.to_string()),
    };
    match report {
        Ok(report) => {
            print(&report, args.json);
            if report.damaged() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
        }
        Err(why) => {
            eprintln!("millpond fsck: {why}");
            ExitCode::from(2)
        }
    }
}

fn offline(data_dir: &DataDir, accept_loss: bool) -> Result<Report, String> {
    let shown = Shown::new();
    shown.show(ROWS, 0);
    // Before anything is opened for writing: a journal that is damaged is found here.
    let rows =
        FjallKv::fsck(&data_dir.meta(), assemble::meta_config(accept_loss)).map_err(|error| error.to_string())?;
    let damaged = (rows.damages > 0).then(|| Report {
        rows: rows.rows,
        damaged_rows: rows.damages,
        problems: listed(&rows, &[]),
        ..Report::default()
    });
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|error| error.to_string())?;
    runtime.block_on(async {
        let engines = match (assemble::engines(data_dir, Some(0), accept_loss).await, damaged) {
            (Ok(engines), _) => engines,
            // What is known is told, though the lake cannot be opened for it.
            (Err(_), Some(damaged)) => return Ok(damaged),
            (Err(error), None) => return Err(error.to_string()),
        };
        check_lake(&engines, rows, &|progress| shown.show(progress.stage, progress.done)).await
    })
}

fn online(data_dir: &Path) -> Result<Report, String> {
    let unreachable = |error: std::io::Error| {
        format!("a server has the data dir open and its control socket does not answer: {error}")
    };
    let mut stream = UnixStream::connect(control::path(data_dir)).map_err(unreachable)?;
    stream.write_all(format!("{}\n", control::FSCK).as_bytes()).map_err(unreachable)?;
    let shown = Shown::new();
    for line in BufReader::new(stream).lines() {
        let line = line.map_err(unreachable)?;
        match serde_json::from_str(&line).map_err(|error| error.to_string())? {
            Line::Progress { stage, done } => shown.show(&stage, done),
            Line::Report(report) => return Ok(report),
            Line::Failed(why) => return Err(why),
            // The answer to another command.
            Line::Done(_) => {}
        }
    }
    Err("the server stopped before the check was done".to_owned())
}

/// Progress on the terminal, not too often.
struct Shown {
    last: std::sync::Mutex<Option<Instant>>,
}

impl Shown {
    fn new() -> Self {
        Self { last: std::sync::Mutex::new(None) }
    }

    #[expect(clippy::print_stderr, reason = "progress is for the terminal")]
    fn show(&self, stage: &str, done: u64) {
        let mut last = self.last.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if last.is_none_or(|last| last.elapsed() >= PROGRESS_EVERY) {
            *last = Some(Instant::now());
            eprintln!("checking {stage}: {done}");
        }
    }
}

#[expect(clippy::print_stdout, reason = "the report is the command's output")]
fn print(report: &Report, json: bool) {
    if json {
        // A report has nothing that JSON cannot hold.
        println!("{}", serde_json::to_string(report).unwrap_or_default());
        return;
    }
    println!(
        "{} rows, {} buckets, {} versions, {} delete markers, {} bytes, {} uploads; {} extents read and verified; {} bodies wait to be given back",
        report.rows,
        report.buckets,
        report.versions,
        report.markers,
        report.bytes,
        report.uploads,
        report.verified,
        report.waiting
    );
    for problem in &report.problems {
        println!("PROBLEM: {problem}");
    }
    match report.damaged() {
        true => println!("{} damaged rows, {} problems", report.damaged_rows, report.problem_count),
        false => println!("nothing is wrong"),
    }
}
