//! The regular expressions of `SHOW TABLES` and its like: `*` stands for any characters, `|` between alternatives; the rest is Java's.

use regex::{Regex, RegexBuilder};

use crate::text::translate;

/// The most memory of a compiled expression, in bytes.
const MAX_COMPILED_BYTES: usize = 1024 * 1024;

/// Why an expression filters nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the regular expression '{pattern}' cannot be used: {reason}")]
pub struct FilterError {
    /// The expression.
    pub pattern: String,
    /// Why.
    pub reason: String,
}

/// A filter of names.
#[derive(Clone, Debug)]
pub struct Filter(Regex);

impl Filter {
    /// Reads an expression. It is of the whole name, in any case.
    pub fn parse(pattern: &str) -> Result<Self, FilterError> {
        let refused = |reason: String| FilterError { pattern: pattern.to_owned(), reason };
        let translated = translate(&pattern.replace('*', ".*")).map_err(|error| refused(error.to_string()))?;
        let regex = RegexBuilder::new(&format!(r"\A(?:{translated})\z"))
            .case_insensitive(true)
            .size_limit(MAX_COMPILED_BYTES)
            .build()
            .map_err(|error| refused(error.to_string().lines().last().unwrap_or_default().to_owned()))?;
        Ok(Self(regex))
    }

    /// Whether it lets a name through.
    pub fn matches(&self, name: &str) -> bool {
        self.0.is_match(name)
    }
}
