//! What an event has at the paths that rules ask about.

use std::borrow::Cow;

use super::paths::Paths;
use super::tables::Id;
use crate::MAX_EVENT_DEPTH;
use crate::consistency::{Leaf, Scopes};
use crate::event::Event;
use crate::number::Number;
use crate::scan;
use crate::test::Value;

/// The values of an event at the paths that rules ask about.
#[derive(Debug, Default)]
pub(super) struct Found<'e> {
    /// In the order of their fields.
    leaves: Vec<(Id, Leaf<'e>)>,
    plain: Vec<Leaf<'e>>,
    /// Each field that has values, with where they begin and end.
    spans: Vec<(Id, u32, u32)>,
    pub(super) scopes: Scopes,
}

/// The quick reader cannot tell; the thorough one has to.
#[derive(Debug)]
pub(super) struct Unclear;

impl<'e> Found<'e> {
    /// Of an event that was read already.
    pub(super) fn of(event: &'e Event, paths: &Paths) -> Self {
        let mut found = Self { scopes: event.scopes.clone(), ..Self::default() };
        for (path, leaves) in &event.fields {
            let Some(field) = paths.field(path) else { continue };
            found.leaves.extend(leaves.iter().map(|leaf| (field, leaf.clone())));
        }
        found.grouped()
    }

    /// Of an event's text. What no rule asks about is passed over without a look at what it says; whatever is odd (names that stand
    /// twice, names with dots or escapes, what is no JSON) is [`Unclear`].
    pub(super) fn read(bytes: &'e [u8], paths: &Paths) -> Result<Self, Unclear> {
        let mut reader =
            Reader { bytes, at: 0, paths, found: Self::default(), here: Vec::new(), arrays: 0, seen: Vec::new() };
        reader.found.leaves.reserve(16);
        reader.blanks();
        if reader.peek() != Some(b'{') {
            return Err(Unclear);
        }
        reader.object(Paths::ROOT, 0)?;
        reader.blanks();
        if reader.at < bytes.len() {
            return Err(Unclear);
        }
        Ok(reader.found.grouped())
    }

    fn grouped(mut self) -> Self {
        self.leaves.sort_by_key(|(field, _)| *field);
        self.plain.reserve(self.leaves.len());
        for (n, (field, leaf)) in (0..).zip(self.leaves.drain(..)) {
            match self.spans.last_mut() {
                Some((last, _, end)) if *last == field => *end = n + 1,
                _ => self.spans.push((field, n, n + 1)),
            }
            self.plain.push(leaf);
        }
        self
    }

    /// The values of a field.
    pub(super) fn leaves(&self, field: Id) -> &[Leaf<'e>] {
        let span = if self.spans.len() <= 8 {
            self.spans.iter().find(|(other, _, _)| *other == field)
        } else {
            self.spans.binary_search_by_key(&field, |(other, _, _)| *other).ok().map(|n| &self.spans[n])
        };
        span.map_or(&[], |(_, start, end)| &self.plain[*start as usize..*end as usize])
    }

    /// The fields that have values.
    pub(super) fn fields(&self) -> impl ExactSizeIterator<Item = (Id, &[Leaf<'e>])> {
        self.spans.iter().map(|(field, start, end)| (*field, &self.plain[*start as usize..*end as usize]))
    }

    /// Whether no value stands in an element of an array, so that each field can be looked at by itself.
    pub(super) fn is_flat(&self) -> bool {
        self.scopes.is_empty()
    }
}

struct Reader<'e, 'p> {
    bytes: &'e [u8],
    at: usize,
    paths: &'p Paths,
    found: Found<'e>,
    here: Vec<(u32, u32)>,
    arrays: u32,
    /// The nodes met in the objects that are open.
    seen: Vec<Id>,
}

impl<'e> Reader<'e, '_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn blanks(&mut self) {
        while let Some(b' ' | b'\t' | b'\r' | b'\n') = self.peek() {
            self.at += 1;
        }
    }

    /// An object, from its brace on.
    fn object(&mut self, node: Id, depth: usize) -> Result<(), Unclear> {
        if depth > MAX_EVENT_DEPTH {
            return Err(Unclear);
        }
        self.at += 1;
        let first = self.seen.len();
        self.blanks();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(());
        }
        loop {
            self.blanks();
            let name = self.string()?;
            self.blanks();
            if self.peek() != Some(b':') {
                return Err(Unclear);
            }
            self.at += 1;
            self.blanks();
            match self.child(node, name)? {
                None => self.skip()?,
                Some(child) if self.seen[first..].contains(&child) => return Err(Unclear),
                Some(child) => {
                    self.seen.push(child);
                    self.value(child, depth + 1)?;
                }
            }
            self.blanks();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    self.seen.truncate(first);
                    return Ok(());
                }
                _ => return Err(Unclear),
            }
        }
    }

    fn child(&self, node: Id, name: &[u8]) -> Result<Option<Id>, Unclear> {
        let child = self.paths.child(node, name);
        if child.is_none() && name.iter().any(|byte| matches!(byte, b'.' | b'\\')) {
            return self.odd_child(node, name);
        }
        Ok(child)
    }

    /// A name with dots or escapes: unclear when it could lead to a path.
    #[cold]
    fn odd_child(&self, node: Id, name: &[u8]) -> Result<Option<Id>, Unclear> {
        let name = scan::text(name).map_err(|_| Unclear)?;
        let first = name.split('.').next().unwrap_or_default();
        if self.paths.child(node, first.as_bytes()).is_some() { Err(Unclear) } else { Ok(None) }
    }

    /// A value at a node that leads to paths.
    fn value(&mut self, node: Id, depth: usize) -> Result<(), Unclear> {
        match self.peek() {
            Some(b'{') if self.paths.goes_on(node) => self.object(node, depth),
            Some(b'[') => self.array(node, depth),
            Some(b'{') | None => self.skip(),
            Some(first) => {
                let Some(field) = self.paths.ends(node) else { return self.skip() };
                let value = self.leaf(first)?;
                let scope = self.found.scopes.of(&self.here);
                self.found.leaves.push((field, Leaf { value, scope }));
                Ok(())
            }
        }
    }

    fn array(&mut self, node: Id, depth: usize) -> Result<(), Unclear> {
        if depth > MAX_EVENT_DEPTH {
            return Err(Unclear);
        }
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
            let element = matches!(self.peek(), Some(b'{' | b'['));
            if element {
                self.here.push((array, index));
            }
            self.value(node, depth + 1)?;
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
                _ => return Err(Unclear),
            }
        }
    }

    /// A string's text as it stands there, from its opening quote on.
    fn string(&mut self) -> Result<&'e [u8], Unclear> {
        if self.peek() != Some(b'"') {
            return Err(Unclear);
        }
        let start = self.at + 1;
        let end = string_end(self.bytes, start).ok_or(Unclear)?;
        self.at = end + 1;
        Ok(&self.bytes[start..end])
    }

    fn leaf(&mut self, first: u8) -> Result<Value<'e>, Unclear> {
        let (word, value) = match first {
            b'"' => {
                let raw = self.string()?;
                return scan::text(raw).map(Value::Text).map_err(|_| Unclear);
            }
            b't' => (&b"true"[..], Value::True),
            b'f' => (&b"false"[..], Value::False),
            b'n' => (&b"null"[..], Value::Null),
            _ => {
                let rest = &self.bytes[self.at..];
                let length = scan::number(rest).ok_or(Unclear)?;
                let text = std::str::from_utf8(&rest[..length]).map_err(|_| Unclear)?;
                self.at += length;
                return Ok(Value::Number(Cow::Borrowed(text), Number::parse(text)));
            }
        };
        if !self.bytes[self.at..].starts_with(word) {
            return Err(Unclear);
        }
        self.at += word.len();
        Ok(value)
    }

    /// Passes over a value that no rule asks about.
    fn skip(&mut self) -> Result<(), Unclear> {
        match self.peek() {
            Some(b'"') => self.string().map(|_| ()),
            Some(b'{' | b'[') => self.skip_nested(),
            Some(b'-' | b'0'..=b'9' | b'a'..=b'z') => {
                while let Some(b'-' | b'+' | b'.' | b'0'..=b'9' | b'a'..=b'z' | b'E') = self.peek() {
                    self.at += 1;
                }
                Ok(())
            }
            _ => Err(Unclear),
        }
    }

    fn skip_nested(&mut self) -> Result<(), Unclear> {
        let mut open = 0_usize;
        loop {
            match self.peek().ok_or(Unclear)? {
                b'"' => {
                    self.string()?;
                    continue;
                }
                b'{' | b'[' => open += 1,
                b'}' | b']' => {
                    open -= 1;
                    if open == 0 {
                        self.at += 1;
                        return Ok(());
                    }
                }
                _ => {}
            }
            self.at += 1;
        }
    }
}

/// The place of a string's closing quote, from behind its opening one. Eight bytes at a time: most strings are short.
fn string_end(bytes: &[u8], mut at: usize) -> Option<usize> {
    const LOW: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    const QUOTES: u64 = LOW * b'"' as u64;
    const BACKSLASHES: u64 = LOW * b'\\' as u64;
    // The lowest marked byte is right; higher ones need not be.
    let zeros = |word: u64| word.wrapping_sub(LOW) & !word & HIGH;
    loop {
        while let Some(chunk) = bytes.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
            let word = u64::from_le_bytes(*chunk);
            let marks = zeros(word ^ QUOTES) | zeros(word ^ BACKSLASHES);
            if marks != 0 {
                at += (marks.trailing_zeros() / 8) as usize;
                break;
            }
            at += 8;
        }
        loop {
            match bytes.get(at)? {
                b'"' => return Some(at),
                b'\\' => {
                    at += 2;
                    break;
                }
                _ => at += 1,
            }
        }
    }
}
