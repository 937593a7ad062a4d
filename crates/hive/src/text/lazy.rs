//! LazySimpleSerDe: fields by single bytes. Quotes are bytes like others.

use std::borrow::Cow;

use super::{Field, decode};
use crate::format::LazySimple;
use crate::types::Type;

/// How many levels of separators there are; the row's own is the first.
pub const MAX_LEVELS: usize = 8;

/// A column's value, its leaves still text.
#[derive(Clone, Debug, PartialEq)]
pub enum Nested<'a> {
    /// NULL
    Null,
    /// A value of a primitive type: its bytes as they stand. A `string` is unescaped and decoded by [`Nested::text`].
    Raw(&'a [u8]),
    /// An array's items.
    Array(Vec<Nested<'a>>),
    /// A map's entries. Of a key that is there twice the first counts, as in Hive; none is NULL.
    Map(Vec<(Nested<'a>, Nested<'a>)>),
    /// A struct's fields.
    Struct(Vec<Nested<'a>>),
}

impl<'a> Nested<'a> {
    /// A leaf as text, unescaped.
    pub fn text(&self, format: &LazySimple) -> Field<'a> {
        match self {
            Self::Raw(raw) => Some(unescape(raw, format)),
            _ => None,
        }
    }
}

/// Whether a column's type needs more levels of separators than there are.
pub fn check_levels(kind: &Type) -> Result<(), String> {
    match levels(kind) {
        used if used < MAX_LEVELS => Ok(()),
        used => Err(format!(
            "Number of levels of nesting supported for LazySimpleSerde is {}. Unable to work with level {used}",
            MAX_LEVELS - 1
        )),
    }
}

fn levels(kind: &Type) -> usize {
    match kind {
        Type::Array(item) => 1 + levels(item),
        Type::Map(_, value) => 2 + levels(value),
        Type::Struct(fields) => 1 + fields.iter().map(|f| levels(&f.kind)).max().unwrap_or(0),
        _ => 0,
    }
}

/// The raw fields of a row, as many as there are columns: `None` is NULL or missing. What stands after the last column is ignored.
pub fn fields<'a>(row: &'a [u8], format: &LazySimple, columns: usize) -> Vec<Option<&'a [u8]>> {
    let mut fields = Vec::with_capacity(columns);
    let separator = format.separators.first().copied().unwrap_or(1);
    let mut parts = Parts { rest: Some(row), separator, escape: format.escape };
    while fields.len() < columns {
        let part = if format.last_takes_rest && fields.len() + 1 == columns { parts.rest.take() } else { parts.next() };
        match part {
            Some(part) => fields.push((part != format.null.as_slice()).then_some(part)),
            None => break,
        }
    }
    fields.resize(columns, None);
    fields
}

/// A column's value by its type. `raw` is what [`fields`] gave.
pub fn nested<'a>(raw: Option<&'a [u8]>, kind: &Type, format: &LazySimple) -> Nested<'a> {
    value(raw, kind, format, 1)
}

fn value<'a>(raw: Option<&'a [u8]>, kind: &Type, format: &LazySimple, level: usize) -> Nested<'a> {
    let Some(raw) = raw.filter(|raw| *raw != format.null.as_slice()) else { return Nested::Null };
    let separator = |level: usize| format.separators.get(level).copied();
    let parts = |separator| Parts { rest: Some(raw), separator, escape: format.escape };
    match kind {
        Type::Array(item) => {
            let Some(separator) = separator(level) else { return Nested::Null };
            // Hive has no array of one empty item.
            let items = parts(separator).filter(|_| !raw.is_empty());
            Nested::Array(items.map(|part| value(Some(part), item, format, level + 1)).collect())
        }
        Type::Struct(fields) => {
            let Some(separator) = separator(level) else { return Nested::Null };
            let mut found = parts(separator);
            Nested::Struct(fields.iter().map(|f| value(found.next(), &f.kind, format, level + 1)).collect())
        }
        Type::Map(key_kind, value_kind) => {
            let (Some(between), Some(within)) = (separator(level), separator(level + 1)) else { return Nested::Null };
            let mut entries: Vec<(Nested<'a>, Nested<'a>)> = Vec::new();
            let mut seen = std::collections::HashSet::new();
            for part in parts(between).filter(|_| !raw.is_empty()) {
                let mut halves = Parts { rest: Some(part), separator: within, escape: format.escape };
                let key = halves.next().filter(|key| *key != format.null.as_slice());
                let Some(key) = key.filter(|key| seen.insert(*key)) else { continue };
                let rest = value(halves.rest, value_kind, format, level + 2);
                entries.push((value(Some(key), key_kind, format, level + 2), rest));
            }
            Nested::Map(entries)
        }
        _ => Nested::Raw(raw),
    }
}

/// A string's text: what follows an escape stands for itself.
pub fn unescape<'a>(raw: &'a [u8], format: &LazySimple) -> Cow<'a, str> {
    let Some(escape) = format.escape.filter(|escape| memchr::memchr(*escape, raw).is_some()) else {
        return decode(raw);
    };
    let mut out = Vec::with_capacity(raw.len());
    let mut bytes = raw.iter().copied();
    while let Some(byte) = bytes.next() {
        out.push(if byte == escape { bytes.next().unwrap_or(byte) } else { byte });
    }
    Cow::Owned(decode(&out).into_owned())
}

/// Parts between separators that no escape stands before.
struct Parts<'a> {
    /// What is left; `None` after the last part.
    rest: Option<&'a [u8]>,
    separator: u8,
    escape: Option<u8>,
}

impl<'a> Iterator for Parts<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.rest?;
        let end = match self.escape {
            None => memchr::memchr(self.separator, rest),
            Some(escape) => escaped_end(rest, self.separator, escape),
        };
        let Some(end) = end else { return self.rest.take() };
        self.rest = rest.get(end + 1..);
        rest.get(..end)
    }
}

fn escaped_end(rest: &[u8], separator: u8, escape: u8) -> Option<usize> {
    let mut at = 0;
    loop {
        at += memchr::memchr2(separator, escape, rest.get(at..)?)?;
        if rest.get(at) == Some(&separator) {
            return Some(at);
        }
        at += 2;
    }
}
