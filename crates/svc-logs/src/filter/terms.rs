//! Words: all of them, `-` none of them, `?` any of them.

use regex::Regex;

use super::text::Text;
use super::{PatternError, wrong};

/// A pattern of words.
#[derive(Clone, Debug, Default)]
pub struct Terms {
    all: Vec<Term>,
    none: Vec<Term>,
    any: Vec<Term>,
}

#[derive(Clone, Debug)]
enum Term {
    Text(String),
    Regex(Regex),
}

impl Term {
    fn is_in(&self, message: &str) -> bool {
        match self {
            Self::Text(text) => message.contains(text.as_str()),
            Self::Regex(regex) => regex.is_match(message),
        }
    }
}

impl Terms {
    pub(super) fn parse(text: &str) -> Result<Self, PatternError> {
        let mut text = Text::new(text);
        let mut terms = Self::default();
        loop {
            text.spaces();
            let into = match text.peek() {
                None => return Ok(terms),
                Some('-') => {
                    text.take("-");
                    &mut terms.none
                }
                Some('?') => {
                    text.take("?");
                    &mut terms.any
                }
                Some(_) => &mut terms.all,
            };
            into.push(term(&mut text)?);
        }
    }

    pub(super) fn matches(&self, message: &str) -> bool {
        let within = |term: &Term| term.is_in(message);
        if self.none.iter().any(within) || !self.all.iter().all(within) {
            return false;
        }
        // Beside other words those with ? are not looked at, as the guide says.
        self.any.is_empty() || !self.all.is_empty() || !self.none.is_empty() || self.any.iter().any(within)
    }
}

fn term(text: &mut Text<'_>) -> Result<Term, PatternError> {
    match text.peek() {
        Some('"') => Ok(Term::Text(text.quoted()?)),
        Some('%') => Ok(Term::Regex(text.regex()?)),
        _ => {
            let word = text.until(char::is_whitespace);
            let plain = |c: char| c.is_alphanumeric() || c == '_';
            if word.is_empty() || !word.chars().all(plain) {
                return wrong(format!("Invalid character(s) in term '{word}'; it must stand in double quotes"));
            }
            Ok(Term::Text(word.to_owned()))
        }
    }
}
