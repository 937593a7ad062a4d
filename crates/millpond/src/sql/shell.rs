//! The shell: statements and commands, one after the other.

use std::io::Write;
use std::process::ExitCode;
use std::rc::Rc;

use super::editor::{Known, Reader, Typed};
use super::execution::{Column, Row};
use super::failed::Failed;
use super::format::Writer;
use super::format::{Format, plain};
use super::names::{self, Names};
use super::pager::Paged;
use super::session::{Session, figures};
use super::table::Table;
use super::{place, statements};
use serde_json::json;

const COMMANDS: &str = "\
Statements end with a semicolon, over as many lines as they need.

  \\l                  databases
  \\c NAME             use a database
  \\dt [PART]          tables and views of the database whose names have a part
  \\d NAME             columns of a table, its partition keys and where it lies
  \\x [on|off]         each value on a line of its own
  \\format NAME        table, expanded, csv, tsv, json
  \\timing [on|off]    rows, bytes and time below each result
  \\?                  this list
  \\q                  leave (Ctrl-D does too)

Tab completes, the arrow keys go through what was typed before, Ctrl-R searches it. Ctrl-C cancels what runs, or puts away what is typed.
Long results go through MILLPOND_PAGER, PAGER or less; set it to nothing for none.
";

struct Shell {
    session: Session,
    known: Rc<Known>,
    reader: Reader,
    format: Format,
    /// What `\x` goes back to.
    usual: Format,
    timing: bool,
}

/// Reads and carries out until it is left.
#[expect(clippy::print_stdout, reason = "a shell talks to its terminal")]
pub fn run(session: Session, format: Format) -> Result<ExitCode, Failed> {
    let Session { api, runtime, settings, .. } = &session;
    let known = Rc::new(Known::new(api.clone(), runtime.clone(), &settings.database));
    let reader = Reader::new(Rc::clone(&known))?;
    println!("Millpond {} at {}. \\? for help.", env!("CARGO_PKG_VERSION"), api.endpoint());
    let usual = if format == Format::Expanded { Format::Table } else { format };
    let mut shell = Shell { session, known, reader, format, usual, timing: true };
    loop {
        let prompt = format!("{}> ", plain(&shell.session.settings.database));
        match shell.reader.read(&prompt)? {
            Typed::End => return Ok(ExitCode::SUCCESS),
            Typed::Nothing => {}
            Typed::Text(text) => {
                if !shell.take(text.trim()) {
                    return Ok(ExitCode::SUCCESS);
                }
            }
        }
    }
}

fn switched(argument: &str, now: bool) -> Result<bool, Failed> {
    match argument {
        "" => Ok(!now),
        "on" => Ok(true),
        "off" => Ok(false),
        other => Err(Failed::Usage(format!("{other} is neither on nor off"))),
    }
}

impl Shell {
    /// Carries out what was typed; whether there is more to come.
    #[expect(clippy::print_stderr, reason = "a shell talks to its terminal")]
    fn take(&mut self, text: &str) -> bool {
        let done = match text {
            "exit" | "quit" | "\\q" => return false,
            "help" => self.command("\\?"),
            command if command.starts_with('\\') => self.command(command),
            statements => self.statements(statements),
        };
        match done {
            Ok(()) | Err(Failed::Enough) => {}
            Err(failed) => eprintln!("{failed}"),
        }
        true
    }

    fn statements(&mut self, text: &str) -> Result<(), Failed> {
        for statement in statements::split(text).0 {
            let done = self.statement(statement);
            if statements::changes_catalog(statement) {
                self.known.forget();
            }
            done.map_err(|failed| place::shown(failed, statement))?;
        }
        Ok(())
    }

    #[expect(clippy::print_stdout, reason = "a shell talks to its terminal")]
    fn statement(&mut self, statement: &str) -> Result<(), Failed> {
        let ended = self.session.execute(statement, &[])?;
        let mut paged = Paged::new(self.reader.screen());
        let shown = self.session.show(&ended, self.format, Box::new(&mut paged));
        paged.end()?;
        let rows = shown?;
        if self.timing {
            println!("{}\n", figures(&ended, rows));
        }
        Ok(())
    }

    #[expect(clippy::print_stdout, reason = "a shell talks to its terminal")]
    fn command(&mut self, text: &str) -> Result<(), Failed> {
        let (command, argument) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        let argument = argument.trim().trim_end_matches(';').trim();
        match command {
            "\\?" | "\\h" | "\\help" => print!("{COMMANDS}"),
            "\\l" => self.databases()?,
            "\\c" => self.use_database(argument)?,
            "\\d" if !argument.is_empty() => self.describe(argument)?,
            "\\d" | "\\dt" => self.tables(argument)?,
            "\\timing" => {
                self.timing = switched(argument, self.timing)?;
                println!("figures are {}", if self.timing { "shown" } else { "not shown" });
            }
            "\\x" => {
                let on = switched(argument, self.format == Format::Expanded)?;
                self.format = if on { Format::Expanded } else { self.usual };
                println!("expanded display is {}", if on { "on" } else { "off" });
            }
            "\\format" => self.use_format(argument)?,
            other => return Err(Failed::Usage(format!("there is no command {}: \\? lists them", plain(other)))),
        }
        Ok(())
    }

    #[expect(clippy::print_stdout, reason = "a shell talks to its terminal")]
    fn use_format(&mut self, name: &str) -> Result<(), Failed> {
        let format = match <Format as clap::ValueEnum>::from_str(name, true) {
            Ok(Format::Parquet) => {
                return Err(Failed::Usage(
                    "parquet is a file: `millpond sql --output FILE.parquet STATEMENT`".to_owned(),
                ));
            }
            Ok(format) => format,
            Err(_) => return Err(Failed::Usage("formats are table, expanded, csv, tsv and json".to_owned())),
        };
        self.format = format;
        if format != Format::Expanded {
            self.usual = format;
        }
        println!("results are shown as {name}");
        Ok(())
    }

    fn use_database(&mut self, name: &str) -> Result<(), Failed> {
        let name = name.trim_matches(['"', '`']).to_lowercase();
        if name.is_empty() {
            return Err(Failed::Usage("\\c is followed by the name of a database; \\l lists them".to_owned()));
        }
        let asked = json!({"Name": name});
        self.session.runtime.block_on(self.session.api.glue("GetDatabase", &asked))?;
        self.known.use_database(&name);
        self.session.settings.database = name;
        Ok(())
    }

    /// Shows texts as a table.
    fn list(&mut self, names: &[&str], rows: Vec<Vec<String>>) -> Result<(), Failed> {
        let column =
            |name: &&str| Column { name: (*name).to_owned(), kind: "varchar".to_owned(), precision: 0, scale: 0 };
        let columns: Vec<_> = names.iter().map(column).collect();
        let rows: Vec<Row> = rows.into_iter().map(|row| row.into_iter().map(Some).collect()).collect();
        let mut paged = Paged::new(self.reader.screen());
        {
            let mut table = Table::new(self.session.borders, Box::new(&mut paged));
            table.begin(&columns)?;
            table.rows(rows)?;
            table.end()?;
        }
        Ok(paged.end()?)
    }

    fn databases(&mut self) -> Result<(), Failed> {
        let mut names = Names::default();
        let found = self.session.runtime.block_on(names.databases(&self.session.api))?;
        let rows = found.iter().map(|(name, comment)| vec![name.clone(), comment.clone()]).collect();
        self.list(&["database", "comment"], rows)
    }

    fn tables(&mut self, part: &str) -> Result<(), Failed> {
        let (mut names, part) = (Names::default(), part.to_lowercase());
        let database = self.session.settings.database.clone();
        let found = self.session.runtime.block_on(names.tables(&self.session.api, &database))?;
        let kind = |kind: &str| if kind == "VIRTUAL_VIEW" { "view" } else { "table" }.to_owned();
        let shown = found.iter().filter(|table| table.name.contains(&part));
        let rows = shown.map(|table| vec![table.name.clone(), kind(&table.kind), table.comment.clone()]).collect();
        self.list(&["name", "kind", "comment"], rows)
    }

    fn describe(&mut self, name: &str) -> Result<(), Failed> {
        let name = name.replace(['"', '`'], "").to_lowercase();
        let current = self.session.settings.database.clone();
        let (database, name) = name.split_once('.').unwrap_or((&current, &name));
        let table = self.session.runtime.block_on(names::one(&self.session.api, database, name))?;
        let first_key = table.columns.len().saturating_sub(table.keys);
        let rows = (table.columns.into_iter().enumerate())
            .map(|(at, [name, kind, comment])| {
                let key = if at >= first_key { "partition key" } else { "" };
                vec![name, kind, key.to_owned(), comment]
            })
            .collect();
        self.list(&["column", "type", "", "comment"], rows)?;
        let mut out = std::io::stdout();
        for (what, text) in [("location", &table.location), ("serde", &table.serde), ("comment", &table.comment)] {
            if !text.is_empty() {
                writeln!(out, "{what}: {}", plain(text))?;
            }
        }
        Ok(())
    }
}
