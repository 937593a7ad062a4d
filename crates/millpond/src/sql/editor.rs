//! The line editor (rustyline): history, completion, and statements of several lines.

use std::cell::RefCell;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::FileHistory;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{CompletionType, Config, Context, Editor, Helper};
use tokio::runtime::Handle;

use super::api::Api;
use super::complete::{Source, complete};
use super::failed::Failed;
use super::names::Names;
use super::statements::{is_blank, split};

/// Lines that are remembered.
const MAX_HISTORY: usize = 5_000;
/// Names that take longer than this are not offered.
const PATIENCE: Duration = Duration::from_secs(3);

/// What completion asks.
pub struct Known {
    api: Arc<Api>,
    runtime: Handle,
    names: RefCell<Names>,
    database: RefCell<String>,
}

impl Known {
    /// Names that were not asked for yet.
    pub fn new(api: Arc<Api>, runtime: Handle, database: &str) -> Self {
        Self { api, runtime, names: RefCell::default(), database: RefCell::new(database.to_owned()) }
    }

    /// Another database is the current one.
    pub fn use_database(&self, database: &str) {
        self.database.replace(database.to_owned());
    }

    /// What was asked may have changed.
    pub fn forget(&self) {
        self.names.borrow_mut().forget();
    }
}

impl Source for Known {
    fn databases(&self) -> Vec<String> {
        let mut names = self.names.borrow_mut();
        let found = self.runtime.block_on(tokio_timeout(names.databases(&self.api)));
        // Who may not know is offered none.
        found.map(|all| all.iter().map(|(name, _)| name.clone()).collect()).unwrap_or_default()
    }

    fn tables(&self, database: Option<&str>) -> Vec<String> {
        let current = self.database.borrow().clone();
        let mut names = self.names.borrow_mut();
        let found = self.runtime.block_on(tokio_timeout(names.tables(&self.api, database.unwrap_or(&current))));
        found.map(|all| all.iter().map(|table| table.name.clone()).collect()).unwrap_or_default()
    }

    fn columns(&self, database: Option<&str>, table: &str) -> Vec<String> {
        let current = self.database.borrow().clone();
        let mut names = self.names.borrow_mut();
        let found = self.runtime.block_on(tokio_timeout(names.tables(&self.api, database.unwrap_or(&current))));
        let table = found.into_iter().flatten().find(|it| it.name == table);
        table.map(|table| table.columns.iter().map(|[name, ..]| name.clone()).collect()).unwrap_or_default()
    }
}

async fn tokio_timeout<T>(asked: impl Future<Output = Result<T, Failed>>) -> Option<T> {
    tokio::time::timeout(PATIENCE, asked).await.ok()?.ok()
}

struct Help(std::rc::Rc<Known>);

impl Completer for Help {
    type Candidate = String;

    fn complete(&self, line: &str, position: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<String>)> {
        Ok(complete(line, position, &*self.0))
    }
}

/// Whether Enter ends what was typed.
fn is_complete(text: &str) -> bool {
    let command = text.trim();
    command.starts_with('\\') || matches!(command, "exit" | "quit" | "help") || is_blank(split(text).1)
}

impl Validator for Help {
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        let complete = is_complete(context.input());
        Ok(if complete { ValidationResult::Valid(None) } else { ValidationResult::Incomplete })
    }
}

impl Hinter for Help {
    type Hint = String;
}

impl Highlighter for Help {}

impl Helper for Help {}

/// What was typed.
pub enum Typed {
    /// A text that is complete.
    Text(String),
    /// Ctrl-C: what was typed so far is away.
    Nothing,
    /// Ctrl-D.
    End,
}

/// Reads what is typed.
pub struct Reader {
    editor: Editor<Help, FileHistory>,
    history: Option<PathBuf>,
}

/// The file of the history: MILLPOND_SQL_HISTORY, or one in the user's directory of states (XDG Base Directory Specification).
fn history_file() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|it| !it.is_empty()).map(PathBuf::from);
    if let Some(path) = std::env::var_os("MILLPOND_SQL_HISTORY") {
        // Set to nothing: none.
        return Some(PathBuf::from(path)).filter(|path| !path.as_os_str().is_empty());
    }
    let states = set("XDG_STATE_HOME").or_else(|| set("HOME").map(|home| home.join(".local").join("state")))?;
    Some(states.join("millpond").join("sql_history"))
}

impl Reader {
    /// With the history of earlier times.
    pub fn new(known: std::rc::Rc<Known>) -> Result<Self, Failed> {
        let broken = |error: ReadlineError| Failed::Usage(format!("the terminal cannot be used: {error}"));
        let config = Config::builder()
            .max_history_size(MAX_HISTORY)
            .map_err(broken)?
            .history_ignore_space(true)
            .completion_type(CompletionType::List)
            .build();
        let mut editor = Editor::with_config(config).map_err(broken)?;
        editor.set_helper(Some(Help(known)));
        let history =
            history_file().filter(|path| path.parent().is_some_and(|folder| std::fs::create_dir_all(folder).is_ok()));
        if let Some(path) = &history {
            // There is none the first time.
            let _ = editor.load_history(path);
        }
        Ok(Self { editor, history })
    }

    /// The next text.
    pub fn read(&mut self, prompt: &str) -> Result<Typed, Failed> {
        match self.editor.readline(prompt) {
            Ok(text) => {
                if !text.trim().is_empty() {
                    // A history that cannot be kept keeps nobody from asking.
                    let _ = self.editor.add_history_entry(text.trim());
                    if let Some(path) = &self.history {
                        let _ = self.editor.append_history(path);
                    }
                }
                Ok(Typed::Text(text))
            }
            Err(ReadlineError::Interrupted) => Ok(Typed::Nothing),
            Err(ReadlineError::Eof) => Ok(Typed::End),
            Err(error) => Err(Failed::Usage(format!("the terminal cannot be read: {error}"))),
        }
    }

    /// Lines of the screen, and characters of one.
    pub fn screen(&mut self) -> Option<(usize, usize)> {
        let (width, lines) = self.editor.dimensions()?;
        Some((usize::from(lines), usize::from(width)))
    }
}

#[cfg(test)]
mod tests {
    use super::is_complete;

    #[test]
    fn enter_ends_statements_and_commands() {
        for (text, complete) in [
            ("", true),
            ("  ", true),
            ("\\d", true),
            ("quit", true),
            ("select 1", false),
            ("select 1;", true),
            ("select ';", false),
            ("select 1; select", false),
            ("select 1; -- done", true),
        ] {
            assert_eq!(is_complete(text), complete, "{text:?}");
        }
    }
}
