//! A cursor over a pattern's text.

use regex::Regex;

use super::{PatternError, wrong};

/// Bytes that a compiled expression may take: those of the guide take a few KiB.
const MAX_REGEX_BYTES: usize = 256 * 1024;

pub(super) struct Text<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Text<'a> {
    pub fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    pub fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    pub fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    pub fn spaces(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
    }

    /// Takes a text if it stands here.
    pub fn take(&mut self, what: &str) -> bool {
        let found = self.rest().starts_with(what);
        if found {
            self.at += what.len();
        }
        found
    }

    /// Takes a word in whatever case, if it stands here and ends here.
    pub fn keyword(&mut self, word: &str) -> bool {
        let rest = self.rest();
        let found = rest.get(..word.len()).is_some_and(|beginning| beginning.eq_ignore_ascii_case(word))
            && !rest[word.len()..].starts_with(|c: char| c.is_alphanumeric() || c == '_');
        if found {
            self.at += word.len();
        }
        found
    }

    /// Takes what stands before the first character that ends it.
    pub fn until(&mut self, ends: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let taken = &rest[..rest.find(ends).unwrap_or(rest.len())];
        self.at += taken.len();
        taken
    }

    /// Takes what stands before a text, which ends it.
    pub fn up_to(&mut self, end: &str) -> Option<&'a str> {
        let (taken, _) = self.rest().split_once(end)?;
        self.at += taken.len() + end.len();
        Some(taken)
    }

    /// A quoted string, from its first quote on; `\"` and `\\` stand for themselves.
    pub fn quoted(&mut self) -> Result<String, PatternError> {
        self.at += 1;
        let mut string = String::new();
        let mut chars = self.rest().char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => {
                    self.at += at + 1;
                    return Ok(string);
                }
                '\\' => match chars.next() {
                    Some((_, escaped @ ('"' | '\\'))) => string.push(escaped),
                    Some((_, other)) => string.extend(['\\', other]),
                    None => break,
                },
                other => string.push(other),
            }
        }
        wrong("a quotation mark is not closed")
    }

    /// `%expression%`, from its first percent sign on.
    pub fn regex(&mut self) -> Result<Regex, PatternError> {
        self.at += 1;
        let Some(expression) = self.up_to("%") else { return wrong("a regular expression is not closed by %") };
        if expression.is_empty() {
            return wrong("a regular expression is empty");
        }
        let built = regex::RegexBuilder::new(expression).size_limit(MAX_REGEX_BYTES).build();
        built.or_else(|error| wrong(format!("the regular expression {expression:?} is not valid: {error}")))
    }
}
