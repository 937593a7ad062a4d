//! What is wrong with a pattern or an event.

use std::fmt;

/// AWS shows so many characters of the pattern in its messages.
const SHOWN: usize = 500;

/// Why a pattern is refused, and where. Shown as EventBridge's `InvalidEventPatternException` says it; [`PatternError::reason`] is the part
/// that other services put behind words of their own.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("Event pattern is not valid. Reason: {}", self.reason())]
pub struct PatternError {
    what: String,
    path: String,
    source_text: String,
    left_out: usize,
    line: usize,
    column: usize,
}

impl PatternError {
    /// At a byte of a text.
    pub(crate) fn new(text: &str, at: usize, what: String, path: String) -> Self {
        let before = text.get(..at).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Self {
            what,
            path,
            source_text: text.chars().take(SHOWN).collect(),
            left_out: text.chars().skip(SHOWN).count(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }

    /// The reason with its place, in AWS's words: `Empty arrays are not allowed` and, on a second line, ` at [Source: ...; line: 1, column: 8]`.
    pub fn reason(&self) -> impl fmt::Display + '_ {
        Reason(self)
    }

    /// What is wrong, without the place.
    pub fn what(&self) -> &str {
        &self.what
    }

    /// The field of which it was said, its names with dots between them; empty at the top.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The line, counted from 1.
    pub fn line(&self) -> usize {
        self.line
    }

    /// The character in the line, counted from 1: the one behind what was refused, as AWS counts.
    pub fn column(&self) -> usize {
        self.column
    }
}

struct Reason<'a>(&'a PatternError);

impl fmt::Display for Reason<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let error = self.0;
        write!(f, "{}\n at [Source: (String)\"{}\"", error.what, error.source_text)?;
        if error.left_out > 0 {
            write!(f, "[truncated {} chars]", error.left_out)?;
        }
        write!(f, "; line: {}, column: {}]", error.line, error.column)
    }
}

/// Why bytes are no event.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum EventError {
    /// Not a JSON object.
    #[error("Event must be a JSON object")]
    NoObject,
    /// Not JSON.
    #[error("Event is not valid JSON: {reason} at byte {at}")]
    Json {
        /// In words.
        reason: &'static str,
        /// Where, counted from 0.
        at: usize,
    },
    /// Objects and arrays within each other more than [`MAX_EVENT_DEPTH`](crate::MAX_EVENT_DEPTH).
    #[error("Event is nested more than {} deep", crate::MAX_EVENT_DEPTH)]
    TooDeep,
    /// Longer than [`MAX_EVENT_BYTES`](crate::MAX_EVENT_BYTES).
    #[error("Event has more than {} bytes", crate::MAX_EVENT_BYTES)]
    TooLong,
}
