//! A JSON reader that remembers where everything stands (RFC 8259), so that errors in policy documents can be shown with their place.
//! Stricter than most in one thing: the names of an object are distinct, since a second one would silently win.

use std::borrow::Cow;

/// Objects and arrays within each other. A policy needs seven.
const MAX_DEPTH: usize = 16;

/// A place in a document, counted from 1; columns in characters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    /// The line.
    pub line: u32,
    /// The character in it.
    pub column: u32,
}

/// A value and where it begins.
#[derive(Clone, PartialEq, Debug)]
pub struct Node {
    /// The value.
    pub value: Value,
    /// Where it begins.
    pub at: Place,
    /// Where it ends: the place behind its last character.
    pub end: Place,
}

/// A value.
#[derive(Clone, PartialEq, Debug)]
pub enum Value {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// As it is written.
    Number(String),
    /// Unescaped.
    String(String),
    /// In order.
    Array(Vec<Node>),
    /// In order; names are distinct.
    Object(Vec<Member>),
}

/// A member of an object.
#[derive(Clone, PartialEq, Debug)]
pub struct Member {
    /// Its name, unescaped.
    pub name: String,
    /// Where the name begins.
    pub at: Place,
    /// Its value.
    pub value: Node,
}

/// Why a text is no JSON.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JsonError {
    /// In words.
    pub reason: Cow<'static, str>,
    /// Where.
    pub at: Place,
}

/// Reads a document.
pub fn parse(text: &str) -> Result<Node, JsonError> {
    let mut reader = Reader { text, at: 0, line: 1, line_start: 0 };
    reader.blanks();
    let node = reader.value(0)?;
    reader.blanks();
    if reader.at < text.len() {
        return Err(reader.error("there is something behind the document"));
    }
    Ok(node)
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    line: u32,
    line_start: usize,
}

impl Reader<'_> {
    fn place(&self) -> Place {
        let column = self.text.get(self.line_start..self.at).map_or(0, |text| text.chars().count());
        Place { line: self.line, column: u32::try_from(column + 1).unwrap_or(u32::MAX) }
    }

    fn error(&self, reason: impl Into<Cow<'static, str>>) -> JsonError {
        JsonError { reason: reason.into(), at: self.place() }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn blanks(&mut self) {
        while let Some(byte @ (b' ' | b'\t' | b'\r' | b'\n')) = self.peek() {
            self.at += 1;
            if byte == b'\n' {
                self.line += 1;
                self.line_start = self.at;
            }
        }
    }

    fn take(&mut self, byte: u8, what: &'static str) -> Result<(), JsonError> {
        if self.peek() != Some(byte) {
            return Err(self.error(what));
        }
        self.at += 1;
        Ok(())
    }

    fn value(&mut self, depth: usize) -> Result<Node, JsonError> {
        if depth > MAX_DEPTH {
            return Err(self.error(format!("values are nested more than {MAX_DEPTH} deep")));
        }
        let at = self.place();
        let value = match self.peek() {
            Some(b'{') => self.object(depth)?,
            Some(b'[') => self.array(depth)?,
            Some(b'"') => Value::String(self.string()?),
            Some(b'-' | b'0'..=b'9') => Value::Number(self.number()?),
            Some(b't') => self.word("true", Value::Bool(true))?,
            Some(b'f') => self.word("false", Value::Bool(false))?,
            Some(b'n') => self.word("null", Value::Null)?,
            Some(_) => return Err(self.error("a value is expected")),
            None => return Err(self.error("the document ends early")),
        };
        Ok(Node { value, at, end: self.place() })
    }

    fn word(&mut self, word: &str, value: Value) -> Result<Value, JsonError> {
        if !self.text[self.at..].starts_with(word) {
            return Err(self.error("a value is expected"));
        }
        self.at += word.len();
        Ok(value)
    }

    fn array(&mut self, depth: usize) -> Result<Value, JsonError> {
        self.at += 1;
        let mut items = Vec::new();
        self.blanks();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Value::Array(items));
        }
        loop {
            self.blanks();
            items.push(self.value(depth + 1)?);
            self.blanks();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => {
                    self.at += 1;
                    return Ok(Value::Array(items));
                }
                _ => return Err(self.error("a comma or ] is expected")),
            }
        }
    }

    fn object(&mut self, depth: usize) -> Result<Value, JsonError> {
        self.at += 1;
        let mut members: Vec<Member> = Vec::new();
        self.blanks();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(Value::Object(members));
        }
        loop {
            self.blanks();
            let at = self.place();
            if self.peek() != Some(b'"') {
                return Err(self.error("a name in double quotes is expected"));
            }
            let name = self.string()?;
            if members.iter().any(|member| member.name == name) {
                return Err(JsonError { reason: format!("the name {name:?} stands twice in one object").into(), at });
            }
            self.blanks();
            self.take(b':', "a colon is expected")?;
            self.blanks();
            let value = self.value(depth + 1)?;
            members.push(Member { name, at, value });
            self.blanks();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    return Ok(Value::Object(members));
                }
                _ => return Err(self.error("a comma or } is expected")),
            }
        }
    }

    fn number(&mut self) -> Result<String, JsonError> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.peek() {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => self.digits()?,
            _ => return Err(self.error("a digit is expected")),
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(self.text[start..self.at].to_owned())
    }

    fn digits(&mut self) -> Result<(), JsonError> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        if self.at == start { Err(self.error("a digit is expected")) } else { Ok(()) }
    }

    fn string(&mut self) -> Result<String, JsonError> {
        self.at += 1;
        let mut text = String::new();
        loop {
            let rest = &self.text[self.at..];
            let run = rest.find(|c: char| c == '"' || c == '\\' || c < ' ').unwrap_or(rest.len());
            text.push_str(&rest[..run]);
            self.at += run;
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(text);
                }
                Some(b'\\') => text.push(self.escape()?),
                Some(_) => return Err(self.error("a string holds no control characters")),
                None => return Err(self.error("a string has no end")),
            }
        }
    }

    fn escape(&mut self) -> Result<char, JsonError> {
        self.at += 1;
        let escaped = self.peek();
        self.at += 1;
        Ok(match escaped {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode(),
            _ => {
                self.at -= 1;
                return Err(self.error("there is no such escape"));
            }
        })
    }

    fn unicode(&mut self) -> Result<char, JsonError> {
        let first = self.hex()?;
        let code = match first {
            0xD800..=0xDBFF if self.text[self.at..].starts_with("\\u") => {
                self.at += 2;
                match self.hex()? {
                    second @ 0xDC00..=0xDFFF => 0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00),
                    _ => return Err(self.error("half a surrogate pair")),
                }
            }
            code => code,
        };
        char::from_u32(code).ok_or_else(|| self.error("half a surrogate pair"))
    }

    fn hex(&mut self) -> Result<u32, JsonError> {
        let digits = self.text.get(self.at..self.at + 4).filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
        let code = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
        let code = code.ok_or_else(|| self.error("four hexadecimal digits are expected"))?;
        self.at += 4;
        Ok(code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(node: &Node) -> serde_json::Value {
        match &node.value {
            Value::Null => serde_json::Value::Null,
            Value::Bool(value) => (*value).into(),
            Value::Number(text) => serde_json::from_str(text).unwrap(),
            Value::String(text) => text.clone().into(),
            Value::Array(items) => items.iter().map(plain).collect(),
            Value::Object(members) => {
                serde_json::Value::Object(members.iter().map(|m| (m.name.clone(), plain(&m.value))).collect())
            }
        }
    }

    #[test]
    fn agrees_with_another_reader() {
        for text in [
            r#"{"a": [1, -2.5e3, 0, true, false, null, "x\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00é"], "b": {}, "c": []}"#,
            " [ ] ",
            "\"text\"",
            "12",
            r#"{"a":1,}"#,
            "[1,]",
            "[1 2]",
            "{1:2}",
            "01",
            "1.",
            "-",
            "1e",
            "\"\\x\"",
            "\"\\ud800\"",
            "\"\\ud800\\u0041\"",
            "\"\\udc00\"",
            "\"a\nb\"",
            "\"a",
            "tru",
            "nul",
            "[",
            "{\"a\"",
            "{\"a\":",
            "",
            " ",
            "1 1",
            "+1",
            "'a'",
            "\u{feff}1",
        ] {
            let (ours, theirs) = (parse(text), serde_json::from_str::<serde_json::Value>(text));
            assert_eq!(ours.is_ok(), theirs.is_ok(), "{text}: {ours:?} {theirs:?}");
            if let (Ok(ours), Ok(theirs)) = (ours, theirs) {
                assert_eq!(plain(&ours), theirs, "{text}");
            }
        }
    }

    #[test]
    fn places_are_told() {
        for (text, line, column) in [
            ("{\n  \"a\": 1,\n  \"a\": 2\n}", 3, 3),
            ("{\"é\": x}", 1, 7),
            ("[1,\n2,\n\n  !]", 4, 3),
            ("{\"a\": 1} {", 1, 10),
        ] {
            let error = parse(text).unwrap_err();
            assert_eq!((error.at.line, error.at.column), (line, column), "{text}: {error:?}");
        }
        let Value::Object(members) = parse("{\n \"a\":\n  [1]}").unwrap().value else { panic!("no object") };
        assert_eq!((members[0].at, members[0].value.at), (Place { line: 2, column: 2 }, Place { line: 3, column: 3 }));
        assert_eq!(members[0].value.end, Place { line: 3, column: 6 });
    }

    #[test]
    fn nesting_is_bounded() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(parse(&nested(MAX_DEPTH + 1)).is_ok());
        assert!(parse(&nested(MAX_DEPTH + 2)).is_err());
        assert!(parse(&"[".repeat(1_000_000)).is_err());
    }
}
