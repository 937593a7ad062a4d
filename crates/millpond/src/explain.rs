//! `millpond explain`: why a request was denied.

use std::fmt::{self, Write as _};
use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use millpond_kernel::audit::{Audit, DENIAL_AGE, Kept};
use millpond_meta::FjallKv;
use millpond_policy::{Explanation, PolicyLook, StatementLook};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::assemble;
use crate::cli::default_data_dir;
use crate::control::{self, EXPLAIN};
use crate::data_dir::{DataDir, DataDirError};

const HELP: &str = "\
Where the id is:
  in the answer's header      x-amz-request-id (S3) or x-amzn-requestid (all others)
  in the error of an SDK      ResponseMetadata.RequestId; with the aws CLI: --debug, or --output json
  in CloudTrail's records     requestID
  in S3's error documents     <RequestId>

How to read the answer:
  Each access that was decided is shown with its verdict; a request may need several: a copy reads and writes, an object under a KMS key needs the bucket's consent and the key's.

  Below it stands every policy that had a say. One that denies decides. Where none denies, a kind of policy that must allow is silent.

  A statement that does not match says what it does not name. Where it names all, its conditions say what they wanted and what they found.

  The last lines say what would allow it.

Denials are kept for 14 days, and at most 256 MiB of them. Ids of older ones, and of requests that were not denied, are not found.

Exit status: 0 found, 1 not found, 2 the denials could not be read.

Example:
  millpond explain 4KQ0Z8M1T5R7W2XY --data-dir /var/lib/millpond";

/// Which request.
#[derive(Args, Debug)]
#[command(after_long_help = HELP)]
pub struct ExplainArgs {
    /// The request's id: 16 letters and digits.
    #[arg(value_name = "REQUEST-ID")]
    request_id: String,
    /// The data dir. A server that has it open is asked; otherwise it is opened here. [default: ./millpond-data]
    #[arg(long, env = "MILLPOND_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Print everything as one JSON object.
    #[arg(long)]
    json: bool,
}

/// What passes the control socket.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    request_id: String,
}

/// The denial of a request, or `null`.
pub async fn find(audit: &Audit, arguments: &str) -> Result<Value, String> {
    let asked: Asked = serde_json::from_str(arguments).map_err(|error| error.to_string())?;
    let kept = audit.kept(&asked.request_id).await.map_err(|error| error.to_string())?;
    serde_json::to_value(kept).map_err(|error| error.to_string())
}

/// Runs the command.
#[expect(clippy::print_stderr, reason = "a command's failure is for the terminal")]
pub fn run(args: ExplainArgs) -> ExitCode {
    match look(&args) {
        Ok(Some(kept)) => {
            print(&kept, args.json);
            ExitCode::SUCCESS
        }
        Ok(None) => {
            eprintln!(
                "millpond explain: nothing is kept of the request {}. Kept are denials of the last {} days; `millpond explain --help` says where the id is.",
                args.request_id,
                DENIAL_AGE.as_secs() / 86_400
            );
            ExitCode::FAILURE
        }
        Err(why) => {
            eprintln!("millpond explain: {why}");
            ExitCode::from(2)
        }
    }
}

fn look(args: &ExplainArgs) -> Result<Option<Kept>, String> {
    let data_dir = args.data_dir.clone().unwrap_or_else(default_data_dir);
    let request_id = args.request_id.trim().to_ascii_uppercase();
    let found = match DataDir::existing(&data_dir) {
        Ok(dir) => return offline(&dir, &request_id),
        Err(DataDirError::Locked(_)) => control::ask(&data_dir, EXPLAIN, &json!({ "request_id": request_id }))?,
        Err(error) => return Err(error.to_string()),
    };
    serde_json::from_value(found).map_err(|error| error.to_string())
}

fn offline(dir: &DataDir, request_id: &str) -> Result<Option<Kept>, String> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|error| error.to_string())?;
    runtime.block_on(async {
        let kv = FjallKv::open(&dir.meta(), assemble::meta_config(false)).map_err(|error| error.to_string())?;
        Kept::find(&kv, request_id).await.map_err(|error| error.to_string())
    })
}

#[expect(clippy::print_stdout, reason = "the command's output")]
fn print(kept: &Kept, json: bool) {
    if json {
        // What came from JSON has one.
        println!("{}", serde_json::to_string(kept).unwrap_or_default());
        return;
    }
    let colours = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty());
    let mut page = Page { text: String::new(), colours };
    // Writing to a String cannot fail.
    let _ = page.kept(kept);
    print!("{}", page.text);
}

/// Characters of a value that are shown: a user agent is longer than anyone reads.
const MAX_VALUE: usize = 100;

fn cut(text: &str) -> String {
    match text.char_indices().nth(MAX_VALUE) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

const RED: &str = "31";
const GREEN: &str = "32";
const DIM: &str = "2";
const BOLD: &str = "1";

/// The answer as it is read on a terminal.
struct Page {
    text: String,
    colours: bool,
}

impl Page {
    fn paint(&self, colour: &str, text: &str) -> String {
        if self.colours { format!("\x1b[{colour}m{text}\x1b[0m") } else { text.to_owned() }
    }

    fn kept(&mut self, kept: &Kept) -> fmt::Result {
        let title = self.paint(BOLD, &format!("{} {}", kept.service, kept.operation));
        writeln!(self.text, "{title}  request {} at {}", kept.request_id, kept.time)?;
        writeln!(self.text, "  by        {}", kept.principal)?;
        match (&kept.code, &kept.message) {
            (Some(code), Some(message)) => writeln!(self.text, "  answered  {code}: {message}")?,
            _ => writeln!(self.text, "  answered  item by item; some were denied")?,
        }
        if kept.decisions.iter().all(|decision| decision.allowed) {
            writeln!(self.text, "\nNo policy denied it: the request was refused for what it is, as the message says.")?;
        }
        if kept.probed {
            writeln!(
                self.text,
                "\nWhat was asked for is not there. The answer says so only to those who may list what is:"
            )?;
        }
        for decision in &kept.decisions {
            self.decision(decision)?;
        }
        if kept.shortened {
            let note = self.paint(DIM, "Statements that do not name the action are left out, as there are too many.");
            writeln!(self.text, "\n{note}")?;
        }
        Ok(())
    }

    fn decision(&mut self, decision: &Explanation) -> fmt::Result {
        let verdict = if decision.allowed { self.paint(GREEN, "ALLOWED") } else { self.paint(RED, "DENIED") };
        writeln!(self.text, "\n{verdict}  {} on {}", decision.action, decision.resource)?;
        let reason = if decision.allowed { "allowed by" } else { decision.reason.as_str() };
        writeln!(self.text, "  {reason}")?;
        // Of what was allowed, what allowed it is enough.
        let policies: Vec<&PolicyLook> =
            decision.policies.iter().filter(|policy| !decision.allowed || policy.says == "allows").collect();
        let grants = decision.grants.iter().filter(|grant| !decision.allowed || grant.matched).count();
        let mut left = policies.len() + grants;
        if left == 0 {
            let nothing = if decision.allowed { "the ownership of the resource" } else { "no policy has a say" };
            writeln!(self.text, "  └─ {nothing}")?;
        }
        for policy in policies {
            left -= 1;
            self.policy(policy, decision.allowed, left == 0)?;
        }
        for grant in decision.grants.iter().filter(|grant| !decision.allowed || grant.matched) {
            left -= 1;
            let counts = if grant.matched { "counts" } else { "does not count" };
            let branch = if left == 0 { "└─" } else { "├─" };
            writeln!(self.text, "  {branch} {} to {}: {counts}", grant.what, grant.to)?;
        }
        if !decision.allowed {
            self.rest(decision)?;
        }
        Ok(())
    }

    fn policy(&mut self, policy: &PolicyLook, brief: bool, last: bool) -> fmt::Result {
        let (branch, beside) = if last { ("└─", "   ") } else { ("├─", "│  ") };
        let colour = match policy.says.as_str() {
            "allows" => GREEN,
            "is silent" => DIM,
            _ => RED,
        };
        let says = self.paint(colour, &policy.says);
        writeln!(self.text, "  {branch} {} ({}) {says}", policy.kind, policy.source)?;
        let statements: Vec<_> = policy.statements.iter().filter(|statement| !brief || statement.matched).collect();
        for (number, statement) in statements.iter().enumerate() {
            let branch = if number + 1 == statements.len() { "└─" } else { "├─" };
            let deeper = if number + 1 == statements.len() { "  " } else { "│ " };
            self.statement(statement, &format!("  {beside} {branch}"), &format!("  {beside} {deeper}"))?;
        }
        Ok(())
    }

    fn statement(&mut self, statement: &StatementLook, head: &str, beside: &str) -> fmt::Result {
        let name = statement.sid.as_ref().map(|sid| format!(" {sid}")).unwrap_or_default();
        let place = format!("{} statement {}{name}, line {}", statement.effect, statement.number, statement.line);
        let named = [
            (statement.principal, "the principal"),
            (Some(statement.action), "the action"),
            (statement.resource, "the resource"),
        ];
        let missed: Vec<&str> =
            named.iter().filter(|(named, _)| *named == Some(false)).map(|(_, what)| *what).collect();
        if !missed.is_empty() {
            let why = self.paint(DIM, &format!("does not name {}", missed.join(" or ")));
            return writeln!(self.text, "{head} {place}: {why}");
        }
        let colour = if statement.effect == "Deny" { RED } else { GREEN };
        let outcome = match statement.matched {
            true => self.paint(colour, "matches"),
            false => self.paint(DIM, "does not match"),
        };
        writeln!(self.text, "{head} {place}: {outcome}")?;
        for condition in &statement.conditions {
            let holds = if condition.holds { "holds" } else { "fails" };
            let found = match &condition.found {
                Some(values) => format!("it is {}", values.join(", ")),
                None => "the request has no such key".to_owned(),
            };
            let wanted = condition.wanted.join(" or ");
            writeln!(self.text, "{beside}   {} {} {wanted}: {holds}, {found}", condition.operator, condition.key)?;
        }
        Ok(())
    }

    /// What the request said of itself, and what would help.
    fn rest(&mut self, decision: &Explanation) -> fmt::Result {
        let width = decision.context.keys().map(String::len).max().unwrap_or_default();
        writeln!(self.text, "  condition keys of the request")?;
        for (key, values) in &decision.context {
            let line = self.paint(DIM, &format!("{key:width$}  {}", cut(&values.join(", "))));
            writeln!(self.text, "     {line}")?;
        }
        let Some(suggestion) = &decision.suggestion else { return Ok(()) };
        let mut words = "to allow it";
        for unmet in &suggestion.unmet {
            let head = self.paint(BOLD, words);
            writeln!(self.text, "  {head}: {}", unmet.what())?;
            for condition in &unmet.conditions {
                let wanted = condition.wanted.join(" or ");
                writeln!(self.text, "     {} {} {wanted}", condition.operator, condition.key)?;
            }
            words = "or";
        }
        if !suggestion.unmet.is_empty() {
            words = "or without them";
        }
        let head = self.paint(BOLD, words);
        writeln!(self.text, "  {head}: {}", suggestion.what)?;
        let statement = suggestion.statement.as_deref().and_then(|text| serde_json::from_str::<Value>(text).ok());
        if let Some(statement) = statement {
            for line in serde_json::to_string_pretty(&statement).unwrap_or_default().lines() {
                writeln!(self.text, "     {line}")?;
            }
        }
        Ok(())
    }
}
