//! A caller at a server, with what was set for the statements that follow.

use std::io::{IsTerminal, Write};
use std::sync::Arc;

use tokio::runtime::Handle;

use super::api::Api;
use super::execution::{self, Ended, Pages, Settings};
use super::failed::Failed;
use super::format::{self, Format, Lines, Writer};
use super::interrupt::Interrupt;
use super::progress::{Progress, bytes, counted, seconds};
use super::table::Borders;

/// A caller at a server.
pub struct Session {
    /// The server.
    pub api: Arc<Api>,
    /// What calls run on.
    pub runtime: Handle,
    /// How statements are run.
    pub settings: Settings,
    /// What tables are drawn with.
    pub borders: Borders,
    quiet: bool,
    interrupt: Arc<Interrupt>,
}

impl Session {
    /// One. Within a runtime.
    pub fn new(api: Api, runtime: Handle, settings: Settings, borders: Borders, quiet: bool) -> Self {
        let interrupt = Interrupt::watch();
        Self { api: Arc::new(api), runtime, settings, borders, quiet, interrupt }
    }

    /// Runs a statement to its end.
    pub fn execute(&mut self, statement: &str, parameters: &[String]) -> Result<Ended, Failed> {
        self.interrupt.reset();
        let mut progress = Progress::new(self.quiet);
        let asked = (statement, parameters);
        self.runtime.block_on(execution::run(&self.api, &mut self.settings, asked, &self.interrupt, &mut progress))
    }

    /// Writes a result, page by page; how many rows there were.
    pub fn write(&self, ended: &Ended, writer: &mut dyn Writer) -> Result<u64, Failed> {
        let (mut pages, mut count, mut begun) = (Pages::new(&self.api, ended), 0, false);
        loop {
            let page = self.runtime.block_on(async {
                tokio::select! {
                    page = pages.next() => page,
                    () = self.interrupt.happened() => Err(Failed::Cancelled),
                }
            })?;
            let Some(page) = page else { break };
            if !std::mem::replace(&mut begun, true) {
                writer.begin(&page.columns)?;
            }
            count += page.rows.len() as u64;
            writer.rows(page.rows)?;
        }
        writer.end()?;
        Ok(count)
    }

    /// Writes a result as text. What is no rows of values, such as a plan, is lines to people.
    pub fn show<'a>(&self, ended: &Ended, format: Format, out: Box<dyn Write + 'a>) -> Result<u64, Failed> {
        let is_for_people = matches!(format, Format::Table | Format::Expanded);
        if is_for_people && !ended.has_rows {
            return self.write(ended, &mut Lines(out));
        }
        self.write(ended, &mut *format::text(format, self.borders, out))
    }

    /// Tells what it has cost, if somebody looks.
    #[expect(clippy::print_stderr, reason = "figures are for the terminal")]
    pub fn tell(&self, ended: &Ended, rows: u64) {
        if !self.quiet && std::io::stderr().is_terminal() {
            eprintln!("{}", figures(ended, rows));
        }
    }
}

/// Rows, bytes and time of a statement.
pub fn figures(ended: &Ended, rows: u64) -> String {
    let cost = ended.cost;
    let read = if cost.reused { "an earlier result".to_owned() } else { format!("{} read", bytes(cost.scanned)) };
    let time = seconds(cost.time);
    if ended.has_rows { format!("{}, {read}, {time}", counted(rows, "row")) } else { format!("done, {time}") }
}
