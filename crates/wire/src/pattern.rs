//! Regular expressions of models, compiled when first used.

use std::sync::OnceLock;

use regex::{Regex, RegexBuilder};

/// The most memory one compiled pattern may take: models have counted repetitions such as `{0,2048}` over Unicode
/// classes, which need a few megabytes.
const MAX_COMPILED_BYTES: usize = 64 << 20;

/// A pattern in this crate's dialect (`cargo xtask codegen` translates from the model's), matched against whole values.
pub struct Pattern {
    source: &'static str,
    compiled: OnceLock<Option<Regex>>,
}

impl Pattern {
    /// A pattern; it is compiled at its first use.
    pub const fn new(source: &'static str) -> Self {
        Self { source, compiled: OnceLock::new() }
    }

    /// The expression.
    pub fn source(&self) -> &'static str {
        self.source
    }

    /// Whether the whole text matches. A pattern that does not compile matches nothing: generated crates test theirs.
    pub fn matches(&self, text: &str) -> bool {
        self.regex().is_some_and(|regex| regex.is_match(text))
    }

    /// Whether the pattern compiles.
    pub fn is_valid(&self) -> bool {
        self.regex().is_some()
    }

    fn regex(&self) -> Option<&Regex> {
        let compile =
            || RegexBuilder::new(&format!(r"\A(?:{})\z", self.source)).size_limit(MAX_COMPILED_BYTES).build().ok();
        self.compiled.get_or_init(compile).as_ref()
    }
}
