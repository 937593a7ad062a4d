//! RegexSerDe: a line's fields are the groups of a pattern that matches all of it.

use std::borrow::Cow;

use regex::{Regex, RegexBuilder};

use super::java_regex::{PatternError, translate};
use super::{Field, decode};
use crate::format::RegexFormat;

/// The most memory of a compiled pattern, in bytes.
const MAX_COMPILED_BYTES: usize = 10 * 1024 * 1024;
/// How deep groups nest.
const MAX_GROUP_DEPTH: u32 = 100;

/// Why a pattern reads no rows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum RegexError {
    #[error("input.regex: {0}")]
    Pattern(#[from] PatternError),
    #[error("input.regex is no regular expression: {0}")]
    Invalid(String),
    #[error(
        "Number of matching groups doesn't match the number of columns: the pattern has {groups}, the table {columns}"
    )]
    Groups { groups: usize, columns: usize },
}

/// A pattern, ready for rows.
#[derive(Clone, Debug)]
pub struct RegexRows {
    regex: Regex,
    columns: usize,
}

impl RegexRows {
    /// Compiles a pattern for so many columns. It may have more groups, which are ignored, but not fewer.
    pub fn new(format: &RegexFormat, columns: usize) -> Result<Self, RegexError> {
        let pattern = format!(r"\A(?:{})\z", translate(&format.pattern)?);
        let regex = RegexBuilder::new(&pattern)
            .dot_matches_new_line(true)
            .case_insensitive(format.case_insensitive)
            .size_limit(MAX_COMPILED_BYTES)
            .nest_limit(MAX_GROUP_DEPTH)
            .build()
            .map_err(|error| RegexError::Invalid(reason(&error)))?;
        let groups = regex.captures_len() - 1;
        if groups < columns {
            return Err(RegexError::Groups { groups, columns });
        }
        Ok(Self { regex, columns })
    }

    /// A line's fields. One that the pattern does not match is NULL in all of them.
    pub fn fields<'a>(&self, line: &'a [u8]) -> Vec<Field<'a>> {
        let text = decode(line);
        let mut fields = Vec::with_capacity(self.columns);
        if let Some(captures) = self.regex.captures(&text) {
            let groups = captures.iter().skip(1).take(self.columns);
            fields.extend(groups.map(|group| {
                let found = group?;
                match text {
                    // The line's own bytes, so that the field outlives `text`.
                    Cow::Borrowed(_) => line.get(found.range()).map(decode),
                    Cow::Owned(_) => Some(Cow::Owned(found.as_str().to_owned())),
                }
            }));
        }
        fields.resize(self.columns, None);
        fields
    }
}

/// The last line of what the library says, which has the reason.
fn reason(error: &regex::Error) -> String {
    match error {
        regex::Error::CompiledTooBig(limit) => format!("it needs more than {limit} bytes of memory"),
        other => other.to_string().lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned(),
    }
}
