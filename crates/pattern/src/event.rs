//! An event: the values of its fields, by path.
//!
//! The path of a value is the names that lead to it, with dots between them; arrays leave no trace in it. A name that has a dot in it is
//! therefore the same as two names. What stands in elements of arrays knows in which, so that a pattern's fields must be found in one element.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::consistency::{Leaf, Scopes};
use crate::error::EventError;
use crate::number::Number;
use crate::scan;
use crate::test::Value;

/// The longest event, in bytes: more than any service sends or takes.
pub const MAX_EVENT_BYTES: usize = 1024 * 1024;

/// Objects and arrays within each other in an event. Reading one goes down with each, so it has to end.
pub const MAX_EVENT_DEPTH: usize = 256;

/// An event, read once and asked many times.
#[derive(Clone, Debug, Default)]
pub struct Event {
    pub(crate) fields: HashMap<Box<str>, Vec<Leaf<'static>>>,
    pub(crate) scopes: Scopes,
}

/// A message attribute, for SNS's filter policies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Attribute<'a> {
    /// Of the type `String`.
    Text(&'a str),
    /// Of the type `String.Array`: a JSON array of strings, numbers, `true`, `false` and `null`. What is no such array is nothing.
    List(&'a str),
    /// Of the type `Number`.
    Number(&'a str),
}

impl Event {
    /// Reads a JSON object. Where a name stands twice in one object, the last one counts.
    pub fn parse(bytes: &[u8]) -> Result<Self, EventError> {
        if bytes.len() > MAX_EVENT_BYTES {
            return Err(EventError::TooLong);
        }
        let mut reader = Reader { bytes, ..Reader::default() };
        reader.blanks();
        if reader.peek() != Some(b'{') {
            return Err(EventError::NoObject);
        }
        reader.value(0)?;
        reader.blanks();
        if reader.at < bytes.len() {
            return Err(reader.error("there is something behind the event"));
        }
        let mut fields: HashMap<Box<str>, Vec<Leaf<'static>>> = HashMap::new();
        for (path, leaf) in reader.found.into_iter().flatten() {
            fields.entry(path).or_default().push(leaf);
        }
        Ok(Self { fields, scopes: reader.scopes })
    }

    /// An event made of a message's attributes. Those that filters do not see (binary ones) are left out by the caller.
    pub fn of_attributes<'a>(attributes: impl IntoIterator<Item = (&'a str, Attribute<'a>)>) -> Self {
        let mut event = Self::default();
        for (name, attribute) in attributes {
            let leaf = |value| Leaf { value, scope: Scopes::NONE };
            let leaves = match attribute {
                Attribute::Text(text) => vec![leaf(Value::Text(Cow::Owned(text.to_owned())))],
                Attribute::Number(text) => vec![leaf(number(text))],
                Attribute::List(json) => listed(json).into_iter().map(leaf).collect(),
            };
            event.fields.insert(name.into(), leaves);
        }
        event
    }

    /// The values at a path.
    pub(crate) fn leaves(&self, path: &str) -> &[Leaf<'static>] {
        self.fields.get(path).map_or(&[], Vec::as_slice)
    }
}

fn number(text: &str) -> Value<'static> {
    let text = text.trim();
    Value::Number(Cow::Owned(text.to_owned()), Number::parse(text))
}

/// The values in a `String.Array`.
fn listed(json: &str) -> Vec<Value<'static>> {
    let Ok(serde_json::Value::Array(_)) = serde_json::from_str(json) else { return Vec::new() };
    // Read once more, since the other reader does not keep numbers as they are written.
    let wrapped = format!("{{\"\":{json}}}");
    Event::parse(wrapped.as_bytes())
        .ok()
        .and_then(|mut event| event.fields.remove(""))
        .unwrap_or_default()
        .into_iter()
        .map(|leaf| leaf.value)
        .collect()
}

#[derive(Default)]
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    path: String,
    /// What was found; none where a later one of the same name took its place.
    found: Vec<Option<(Box<str>, Leaf<'static>)>>,
    scopes: Scopes,
    /// The elements that we are in.
    here: Vec<(u32, u32)>,
    arrays: u32,
}

impl Reader<'_> {
    fn error(&self, reason: &'static str) -> EventError {
        EventError::Json { reason, at: self.at }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn blanks(&mut self) {
        while let Some(b' ' | b'\t' | b'\r' | b'\n') = self.peek() {
            self.at += 1;
        }
    }

    fn value(&mut self, depth: usize) -> Result<(), EventError> {
        if depth >= MAX_EVENT_DEPTH && matches!(self.peek(), Some(b'{' | b'[')) {
            return Err(EventError::TooDeep);
        }
        let value = match self.peek() {
            Some(b'{') => return self.object(depth),
            Some(b'[') => return self.array(depth),
            Some(b'"') => Value::Text(Cow::Owned(self.string()?)),
            Some(b't') => self.word(b"true", Value::True)?,
            Some(b'f') => self.word(b"false", Value::False)?,
            Some(b'n') => self.word(b"null", Value::Null)?,
            _ => {
                let length = scan::number(&self.bytes[self.at..]).ok_or_else(|| self.error("a value is expected"))?;
                let text = String::from_utf8_lossy(&self.bytes[self.at..self.at + length]).into_owned();
                self.at += length;
                let number = Number::parse(&text);
                Value::Number(Cow::Owned(text), number)
            }
        };
        let scope = self.scopes.of(&self.here);
        self.found.push(Some((self.path.as_str().into(), Leaf { value, scope })));
        Ok(())
    }

    fn word(&mut self, word: &[u8], value: Value<'static>) -> Result<Value<'static>, EventError> {
        if !self.bytes[self.at..].starts_with(word) {
            return Err(self.error("a value is expected"));
        }
        self.at += word.len();
        Ok(value)
    }

    fn string(&mut self) -> Result<String, EventError> {
        let rest = &self.bytes[self.at + 1..];
        let length = scan::string_end(rest).ok_or_else(|| self.error("a string has no end"))?;
        let text = scan::text(&rest[..length]).map_err(|reason| self.error(reason))?.into_owned();
        self.at += length + 2;
        Ok(text)
    }

    fn object(&mut self, depth: usize) -> Result<(), EventError> {
        self.at += 1;
        let (mut names, before) = (HashMap::new(), self.path.len());
        self.blanks();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(());
        }
        loop {
            self.blanks();
            if self.peek() != Some(b'"') {
                return Err(self.error("a name in double quotes is expected"));
            }
            let name = self.string()?;
            self.blanks();
            if self.peek() != Some(b':') {
                return Err(self.error("a colon is expected"));
            }
            self.at += 1;
            self.blanks();
            // Only the names of the event itself have none in front of them.
            if depth > 0 {
                self.path.push('.');
            }
            self.path.push_str(&name);
            let start = self.found.len();
            self.value(depth + 1)?;
            self.path.truncate(before);
            if let Some(earlier) = names.insert(name, start..self.found.len()) {
                self.found[earlier].fill_with(|| None);
            }
            self.blanks();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return Err(self.error("a comma or } is expected")),
            }
        }
    }

    fn array(&mut self, depth: usize) -> Result<(), EventError> {
        self.at += 1;
        let (array, mut index) = (self.arrays, 0);
        self.arrays += 1;
        self.blanks();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(());
        }
        loop {
            self.blanks();
            // Values that stand in the array itself belong to all of its elements.
            let element = matches!(self.peek(), Some(b'{' | b'['));
            if element {
                self.here.push((array, index));
            }
            self.value(depth + 1)?;
            if element {
                self.here.pop();
            }
            index += 1;
            self.blanks();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return Err(self.error("a comma or ] is expected")),
            }
        }
    }
}
