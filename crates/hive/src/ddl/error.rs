//! Why a text is no statement, as Athena's reason of a failed query says it.

use std::fmt;

use super::{MAX_LIST, MAX_STATEMENT_BYTES};
use crate::types::TypeError;

/// How much of a text an error repeats, in characters.
const MAX_SHOWN: usize = 200;

/// An error with its place. `Display` is the reason of a failed query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DdlError {
    /// The line, from 1.
    pub line: usize,
    /// The column, in characters from 0 as Hive counts.
    pub column: usize,
    /// What is wrong.
    pub fault: Fault,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum Fault {
    #[error("mismatched input {found} expecting {expected}")]
    Unexpected { found: String, expected: String },
    #[error("cannot recognize input near '{word}': it is a reserved word; as a name it stands in backticks: `{word}`")]
    Reserved { word: String },
    #[error(
        "mismatched input {found} expecting {expected}; names in DDL are quoted with backticks, not with double quotes"
    )]
    DoubleQuoted { found: String, expected: String },
    #[error("typographic quote {found}; write straight quotes: ' \" `")]
    Typographic { found: char },
    #[error("character {found} cannot stand here")]
    Character { found: String },
    #[error("{what} has no end")]
    Unterminated { what: &'static str },
    #[error("the clause {clause} stands twice")]
    Twice { clause: &'static str },
    #[error("duplicate column name: {name}")]
    DuplicateColumn { name: String },
    #[error("column repeated in partitioning columns: {name}")]
    RepeatedInPartition { name: String },
    #[error("{0}")]
    Type(String),
    #[error("{what} is not supported{reason}")]
    Refused { what: String, reason: &'static str },
    #[error("Only one sql statement is allowed. Got: {sql}")]
    Several { sql: String },
    #[error("the statement is empty")]
    Empty,
    #[error("a statement has at most {MAX_STATEMENT_BYTES} bytes, this one has {bytes}")]
    TooLong { bytes: usize },
    #[error("a list has at most {MAX_LIST} entries")]
    TooMany,
    #[error("{what} must be {must}")]
    Value { what: &'static str, must: &'static str },
}

impl fmt::Display for DdlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.fault {
            // These are of the whole text.
            Fault::Several { .. } | Fault::Empty | Fault::TooLong { .. } => write!(f, "{}", self.fault),
            Fault::DuplicateColumn { .. } | Fault::RepeatedInPartition { .. } => {
                write!(f, "FAILED: SemanticException line {}:{} {}", self.line, self.column, self.fault)
            }
            _ => write!(f, "FAILED: ParseException line {}:{} {}", self.line, self.column, self.fault),
        }
    }
}

impl std::error::Error for DdlError {}

impl DdlError {
    /// A fault at a byte of the text.
    pub(super) fn at(sql: &str, at: usize, fault: Fault) -> Self {
        let before = sql.get(..at).unwrap_or(sql);
        let line_start = before.rfind('\n').map_or(0, |end| end + 1);
        Self {
            line: memchr::memchr_iter(b'\n', before.as_bytes()).count() + 1,
            column: before.get(line_start..).unwrap_or_default().chars().count(),
            fault,
        }
    }

    /// A type that is none, within the text.
    pub(super) fn of_type(sql: &str, error: &TypeError) -> Self {
        Self::at(sql, error.at(), Fault::Type(error.what()))
    }
}

/// The beginning of a text, for errors.
pub(super) fn shown(text: &str) -> String {
    match text.char_indices().nth(MAX_SHOWN) {
        Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}
