//! The pattern language of filters (CloudWatch Logs User Guide, "Filter pattern syntax for metric filters, subscription filters, filter log
//! events, and Live Tail"): words, `{ $.json = conditions }`, and `[space, delimited, fields]`. Pure.

mod columns;
mod compare;
mod json;
mod terms;
mod text;

use columns::Columns;
use json::Json;
use terms::Terms;

/// The longest pattern; the limit of the service's model.
const MAX_PATTERN_CHARS: usize = 1_024;

/// Why a text is no pattern.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("Invalid filter pattern: {0}")]
pub struct PatternError(pub String);

pub(crate) fn wrong<T>(why: impl Into<String>) -> Result<T, PatternError> {
    Err(PatternError(why.into()))
}

/// A parsed pattern.
#[derive(Clone, Debug)]
pub enum Pattern {
    /// Nothing was given: every message.
    All,
    /// Words.
    Terms(Terms),
    /// Conditions on JSON.
    Json(Json),
    /// Conditions on fields between spaces.
    Columns(Columns),
}

impl Pattern {
    /// Parses a pattern.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        if text.chars().count() > MAX_PATTERN_CHARS {
            return wrong(format!("it is longer than {MAX_PATTERN_CHARS} characters"));
        }
        let text = text.trim();
        Ok(match text.as_bytes().first() {
            None => Self::All,
            Some(b'{') => Self::Json(Json::parse(text)?),
            Some(b'[') => Self::Columns(Columns::parse(text)?),
            Some(_) => Self::Terms(Terms::parse(text)?),
        })
    }

    /// Whether a message fits.
    pub fn matches(&self, message: &str) -> bool {
        match self {
            Self::All => true,
            Self::Terms(terms) => terms.matches(message),
            Self::Json(json) => json.matches(message),
            Self::Columns(columns) => columns.matches(message),
        }
    }
}

/// What fuzzing asks of a pattern and a message, parted by a line break.
#[cfg(feature = "testing")]
pub fn fuzz(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (pattern, message) = text.split_once('\n').unwrap_or((text, "a b c"));
    if let Ok(pattern) = Pattern::parse(pattern) {
        pattern.matches(message);
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
