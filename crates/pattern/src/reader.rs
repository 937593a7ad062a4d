//! A reader of JSON (RFC 8259) for patterns: token by token, and always knowing the place, so that a refusal can name it as AWS does.
//!
//! AWS's place is that of its parser (Jackson): behind what it has read so far, where the text of a string is not yet read when only its kind
//! was looked at.

use crate::error::PatternError;

/// Objects and arrays within each other. A pattern of the largest size could hold more, but none that says anything.
const MAX_DEPTH: usize = 128;

/// What comes next in a document.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Token {
    BeginObject,
    EndObject,
    BeginArray,
    EndArray,
    Name(String),
    Text(String),
    /// As it is written.
    Number(String),
    True,
    False,
    Null,
}

impl Token {
    /// As AWS's messages show it.
    pub(crate) fn shown(&self) -> &str {
        match self {
            Self::BeginObject => "{",
            Self::EndObject => "}",
            Self::BeginArray => "[",
            Self::EndArray => "]",
            Self::Name(text) | Self::Text(text) | Self::Number(text) => text,
            Self::True => "true",
            Self::False => "false",
            Self::Null => "null",
        }
    }
}

/// Where in its object or array the reader stands.
#[derive(Clone, Copy, PartialEq)]
enum State {
    /// Before a value that must be there.
    Value,
    /// Behind `[`.
    FirstItem,
    /// Behind `{`.
    FirstName,
    /// Behind a value.
    After,
}

/// Reads tokens.
pub(crate) struct Reader<'a> {
    text: &'a str,
    at: usize,
    /// Where AWS's parser would say that it is.
    place: usize,
    /// For each open object or array whether it is an object.
    open: Vec<bool>,
    state: State,
    /// The names that led here, for errors.
    path: Vec<String>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text, at: 0, place: 0, open: Vec::new(), state: State::Value, path: Vec::new() }
    }

    /// Below this name from now on.
    pub(crate) fn enter(&mut self, name: &str) {
        self.path.push(name.to_owned());
    }

    /// Above the name entered last.
    pub(crate) fn leave(&mut self) {
        self.path.pop();
    }

    /// The names entered, with dots between them.
    pub(crate) fn path(&self) -> String {
        self.path.join(".")
    }

    /// The text of the last token was looked at: AWS's place is behind it now.
    pub(crate) fn read_text(&mut self) {
        self.place = self.at;
    }

    /// A refusal at this place.
    pub(crate) fn refuse(&self, reason: impl Into<String>) -> PatternError {
        PatternError::new(self.text, self.place, reason.into(), self.path())
    }

    fn broken(&mut self, reason: impl Into<String>) -> PatternError {
        self.place = self.at;
        self.refuse(reason)
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn blanks(&mut self) {
        while let Some(b' ' | b'\t' | b'\r' | b'\n') = self.peek() {
            self.at += 1;
        }
    }

    /// The next token. Behind the end of the document there is none.
    pub(crate) fn next(&mut self) -> Result<Token, PatternError> {
        self.blanks();
        match (self.state, self.open.last(), self.peek()) {
            (State::After, None, _) => Err(self.broken("The document ends here")),
            (State::After | State::FirstItem, Some(false), Some(b']')) => Ok(self.close(Token::EndArray)),
            (State::After | State::FirstName, Some(true), Some(b'}')) => Ok(self.close(Token::EndObject)),
            (State::After, Some(object), Some(b',')) => {
                let object = *object;
                self.at += 1;
                self.blanks();
                if object { self.name() } else { self.value() }
            }
            (State::FirstName, _, _) => self.name(),
            (State::After, Some(object), _) => {
                let ends = if *object { "object" } else { "array" };
                Err(self.unexpected(&format!("was expecting comma to separate the entries of an {ends}")))
            }
            _ => self.value(),
        }
    }

    fn close(&mut self, token: Token) -> Token {
        self.at += 1;
        self.place = self.at;
        self.open.pop();
        self.state = State::After;
        token
    }

    fn unexpected(&mut self, expected: &str) -> PatternError {
        match self.text[self.at..].chars().next() {
            None => self.broken("Unexpected end-of-input"),
            Some(c) => {
                self.at += c.len_utf8();
                self.broken(format!("Unexpected character ('{c}' (code {})): {expected}", c as u32))
            }
        }
    }

    fn name(&mut self) -> Result<Token, PatternError> {
        if self.peek() != Some(b'"') {
            return Err(self.unexpected("was expecting double-quote to start field name"));
        }
        let name = self.string()?;
        self.blanks();
        if self.peek() != Some(b':') {
            return Err(self.unexpected("was expecting a colon to separate field name and value"));
        }
        self.at += 1;
        self.blanks();
        // AWS's parser has begun to look at the value by now.
        self.place = match self.peek() {
            Some(b'-' | b'0'..=b'9' | b't' | b'f' | b'n') => {
                let rest = &self.text[self.at..];
                self.at + rest.find([',', '}', ']', ' ', '\n', '\r', '\t']).unwrap_or(rest.len())
            }
            Some(_) => self.at + self.text[self.at..].chars().next().map_or(0, char::len_utf8),
            None => self.at,
        };
        self.state = State::Value;
        Ok(Token::Name(name))
    }

    fn value(&mut self) -> Result<Token, PatternError> {
        let start = self.at;
        let (token, place) = match self.peek() {
            Some(begin @ (b'{' | b'[')) => {
                if self.open.len() >= MAX_DEPTH {
                    return Err(self.broken(format!("Objects and arrays are nested more than {MAX_DEPTH} deep")));
                }
                self.at += 1;
                self.place = self.at;
                self.open.push(begin == b'{');
                self.state = if begin == b'{' { State::FirstName } else { State::FirstItem };
                return Ok(if begin == b'{' { Token::BeginObject } else { Token::BeginArray });
            }
            Some(b'"') => (Token::Text(self.string()?), start + 1),
            Some(b'-' | b'0'..=b'9') => (Token::Number(self.number()?), self.at),
            Some(b't') => (self.word("true", Token::True)?, self.at),
            Some(b'f') => (self.word("false", Token::False)?, self.at),
            Some(b'n') => (self.word("null", Token::Null)?, self.at),
            _ => return Err(self.unexpected("expected a valid value")),
        };
        self.place = place;
        self.state = State::After;
        Ok(token)
    }

    fn word(&mut self, word: &str, token: Token) -> Result<Token, PatternError> {
        let rest = &self.text[self.at..];
        let end = rest.find(|c: char| !c.is_alphanumeric()).unwrap_or(rest.len());
        if rest[..end] != *word {
            let reason = format!("Unrecognized token '{}': was expecting a valid value", &rest[..end]);
            self.at += end;
            return Err(self.broken(reason));
        }
        self.at += end;
        Ok(token)
    }

    fn number(&mut self) -> Result<String, PatternError> {
        let Some(length) = crate::scan::number(&self.text.as_bytes()[self.at..]) else {
            self.at += 1;
            return Err(self.broken("Invalid numeric value"));
        };
        let start = self.at;
        self.at += length;
        if let Some(b'0'..=b'9' | b'.' | b'a'..=b'z' | b'A'..=b'Z' | b'+' | b'-') = self.peek() {
            return Err(self.broken("Invalid numeric value"));
        }
        Ok(self.text[start..self.at].to_owned())
    }

    fn string(&mut self) -> Result<String, PatternError> {
        self.at += 1;
        let rest = &self.text.as_bytes()[self.at..];
        let Some(length) = crate::scan::string_end(rest) else {
            self.at = self.text.len();
            return Err(self.broken("Unexpected end-of-input in a string"));
        };
        let text = crate::scan::text(&rest[..length]).map(std::borrow::Cow::into_owned);
        match text {
            Ok(text) => {
                self.at += length + 1;
                Ok(text)
            }
            Err(reason) => Err(self.broken(reason)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(text: &str) -> bool {
        let mut reader = Reader::new(text);
        loop {
            match reader.next() {
                Err(_) => return false,
                Ok(_) if reader.open.is_empty() => break,
                Ok(_) => {}
            }
        }
        reader.blanks();
        reader.peek().is_none()
    }

    #[test]
    fn agrees_with_another_reader() {
        for text in [
            r#"{"a": [1, -2.5e3, 0, true, false, null, "x\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00é"], "b": {}, "c": []}"#,
            " [ ] ",
            "\"text\"",
            "12",
            r#"{"a":1,}"#,
            r#"{,}"#,
            "[1,]",
            "[,1]",
            "[1 2]",
            "{1:2}",
            "01",
            "1.",
            "-",
            "1e",
            "[1e5, 1E+5, 0.0]",
            "\"\\x\"",
            "\"a\nb\"",
            "\"a",
            "tru",
            "nulls",
            "[",
            "{\"a\"",
            "{\"a\":",
            "",
            " ",
            "1 1",
            "+1",
            "'a'",
            "[}",
            "{]",
            "\u{feff}1",
        ] {
            assert_eq!(whole(text), serde_json::from_str::<serde_json::Value>(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn nesting_is_bounded() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(whole(&nested(MAX_DEPTH)) && !whole(&nested(MAX_DEPTH + 1)));
    }
}
