//! `millpond sql`: asks a server, as a caller with rights of its own: Athena's API for statements, Glue's for the names of things.

mod api;
mod complete;
mod editor;
mod execution;
mod failed;
mod format;
mod interrupt;
mod names;
mod output;
mod pager;
mod place;
mod profile;
mod progress;
mod session;
mod shell;
mod statements;
mod table;
mod target;

use std::io::{self, BufWriter, IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use self::api::Api;
use self::execution::Settings;
use self::failed::Failed;
use self::format::Format;
use self::output::File;
use self::session::Session;
use self::table::Borders;
use self::target::TargetArgs;

/// Statements that are read from a file or from standard input.
const MAX_TEXT: u64 = 64 * 1024 * 1024;

const HELP: &str = "\
Statements are Athena's: queries in Trino's SQL, statements about the catalog in Hive's. They run on the server, as you: what you may not read, they do not read.
Without a statement, and with a terminal, a shell begins: \\? lists its commands, Tab completes names, Ctrl-C cancels what runs, Ctrl-D leaves.

Which server, and as whom:
  Nothing said            the server that has ./millpond-data open (or --data-dir), as its root user
  --endpoint URL          that server (or AWS_ENDPOINT_URL), as
    AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN of the environment, or
    --profile NAME        of ~/.aws/credentials (or AWS_PROFILE; else the profile default)

Where results go: to --output-location, or where the work group puts them, or s3://aws-athena-query-results-ACCOUNT-REGION/, which is made when it is first needed.

Formats: table and expanded are for people; csv is as Athena's result files (every value in quotes, NULL without); tsv has NULL as \\N; json is one object a line;
parquet needs --output. Without --format it is a table on a terminal, CSV elsewhere, and what its name ends with for --output. Rows are written as they come.

Exit status: 0 done, 1 a statement failed or was refused, 2 the server could not be asked, or the flags do not fit, 130 cancelled by Ctrl-C.

Examples:
  millpond sql
  millpond sql 'SELECT origin, count(*) AS n FROM lake.flights GROUP BY origin ORDER BY n DESC'
  millpond sql --database lake -f report.sql --output report.parquet
  millpond sql --database lake --parameter \"'JFK'\" --parameter 100 'SELECT * FROM flights WHERE origin = ? LIMIT ?' --format json | jq .dest
  echo 'SHOW TABLES' | millpond sql --database lake --profile analyst --endpoint https://lake.example.com";

/// What is asked, where, and how it is shown.
#[derive(Args, Debug)]
#[command(after_long_help = HELP, args_override_self = true)]
pub struct SqlArgs {
    /// The statement; several with semicolons between them. `-` or nothing reads standard input; with a terminal there, a shell begins.
    #[arg(value_name = "STATEMENT")]
    statement: Option<String>,
    /// Read statements from a file.
    #[arg(long, short, value_name = "FILE", conflicts_with = "statement")]
    file: Option<PathBuf>,
    /// The database of names that name none.
    #[arg(long, short, value_name = "NAME", default_value = "default")]
    database: String,
    /// The work group, with its limits and its place for results. [default: primary]
    #[arg(long, value_name = "NAME")]
    workgroup: Option<String>,
    /// Where the server puts results: s3://BUCKET/PREFIX/.
    #[arg(long, value_name = "URL")]
    output_location: Option<String>,
    /// A value for the next `?`, as a literal of SQL: 5, 'JFK', DATE '2013-01-31'. May be given several times.
    #[arg(long = "parameter", short, value_name = "LITERAL", allow_hyphen_values = true)]
    parameters: Vec<String>,
    /// Use a result again that is at most so many minutes old, as long as all that was read is as it was.
    #[arg(long, value_name = "MINUTES")]
    reuse: Option<u32>,
    /// How results are shown.
    #[arg(long, value_enum, value_name = "FORMAT")]
    format: Option<Format>,
    /// Write the result into a file, which is there as a whole or not at all.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Draw tables with + - | instead of lines.
    #[arg(long)]
    ascii: bool,
    /// Show neither progress nor figures.
    #[arg(long, short)]
    quiet: bool,
    #[command(flatten)]
    target: TargetArgs,
}

/// Runs the command.
#[expect(clippy::print_stderr, reason = "a command's failure is for the terminal")]
pub fn run(args: &SqlArgs) -> ExitCode {
    match carry_out(args) {
        Ok(code) => code,
        Err(failed) => {
            if failed != Failed::Enough {
                eprintln!("millpond sql: {failed}");
            }
            failed.status()
        }
    }
}

fn carry_out(args: &SqlArgs) -> Result<ExitCode, Failed> {
    check(args)?;
    let text = text(args)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.map_err(|error| Failed::Usage(format!("the runtime cannot be started: {error}")))?;
    let _entered = runtime.enter();
    let api = Api::new(args.target.resolve()?)?;
    let settings = Settings {
        database: args.database.to_lowercase(),
        work_group: args.workgroup.clone(),
        location: args.output_location.clone(),
        reuse: args.reuse,
    };
    let borders = if args.ascii { Borders::Ascii } else { Borders::of_locale() };
    let session = Session::new(api, runtime.handle().clone(), settings, borders, args.quiet);
    match text {
        None => shell::run(session, args.format.unwrap_or(Format::Table)),
        Some(text) => once(session, args, &text),
    }
}

fn check(args: &SqlArgs) -> Result<(), Failed> {
    if args.format == Some(Format::Parquet) && args.output.is_none() {
        return Err(Failed::Usage("--format parquet needs --output FILE".to_owned()));
    }
    match &args.output_location {
        Some(location) if !location.starts_with("s3://") => Err(Failed::Usage(format!(
            "--output-location {location} is none: it begins with s3://. (A file here is --output)"
        ))),
        _ => Ok(()),
    }
}

/// The statements; `None` for a shell.
fn text(args: &SqlArgs) -> Result<Option<String>, Failed> {
    let given = args.statement.as_deref().filter(|statement| *statement != "-");
    if let Some(statement) = given {
        return Ok(Some(statement.to_owned()));
    }
    if let Some(path) = args.file.as_deref().filter(|path| *path != Path::new("-")) {
        let unread = |error: io::Error| Failed::Usage(format!("{} cannot be read: {error}", path.display()));
        return std::fs::read_to_string(path).map(Some).map_err(unread);
    }
    let asked = args.statement.is_some() || args.file.is_some();
    if io::stdin().is_terminal() && !asked {
        if args.output.is_some() || !args.parameters.is_empty() {
            return Err(Failed::Usage("--output and --parameter go with a statement".to_owned()));
        }
        return Ok(None);
    }
    let mut text = String::new();
    let unread = |error: io::Error| Failed::Usage(format!("standard input cannot be read: {error}"));
    io::stdin().take(MAX_TEXT).read_to_string(&mut text).map_err(unread)?;
    Ok(Some(text))
}

/// Runs statements one after the other, up to the first that fails.
fn once(mut session: Session, args: &SqlArgs, text: &str) -> Result<ExitCode, Failed> {
    let (mut all, rest) = statements::split(text);
    if !statements::is_blank(rest) {
        all.push(rest.trim());
    }
    if all.is_empty() {
        return Err(Failed::Usage("there is no statement".to_owned()));
    }
    if all.len() > 1 && (args.output.is_some() || !args.parameters.is_empty()) {
        return Err(Failed::Usage("--output and --parameter go with one statement".to_owned()));
    }
    for statement in all {
        let done = match &args.output {
            Some(path) => into_file(&mut session, args, statement, path),
            None => to_stdout(&mut session, args, statement),
        };
        done.map_err(|failed| place::shown(failed, statement))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn into_file(session: &mut Session, args: &SqlArgs, statement: &str, path: &Path) -> Result<(), Failed> {
    let format = args.format.unwrap_or_else(|| output::format_of(path));
    // Before the query runs for nothing.
    let file = File::create(path, format)?;
    let ended = session.execute(statement, &args.parameters)?;
    let borders = session.borders;
    let rows = {
        let mut rows = 0;
        file.fill(borders, |writer| {
            rows = session.write(&ended, writer)?;
            Ok(())
        })?;
        rows
    };
    session.tell(&ended, rows);
    Ok(())
}

fn to_stdout(session: &mut Session, args: &SqlArgs, statement: &str) -> Result<(), Failed> {
    let usual = if io::stdout().is_terminal() { Format::Table } else { Format::Csv };
    let format = args.format.unwrap_or(usual);
    let ended = session.execute(statement, &args.parameters)?;
    let out = Box::new(BufWriter::new(io::stdout()));
    let rows = session.show(&ended, format, out)?;
    session.tell(&ended, rows);
    Ok(())
}
