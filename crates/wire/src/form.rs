//! The request bodies of the query protocol: `Action=...&List.member.1.Name=...`.

use std::collections::BTreeMap;

use crate::query::{Pair, parse_pairs};
use crate::{ErrorKind, Location, ParseError, Scalar, TimeFormat};

/// The most bytes of a form; AWS services of this protocol take up to 1 MB.
pub const MAX_FORM_BYTES: usize = 4 << 20;
/// The most parameters of a form.
pub const MAX_FORM_PAIRS: usize = 50_000;
/// The deepest nesting, counted in dots of a parameter name.
pub const MAX_FORM_DEPTH: usize = 64;

/// The decoded parameters of a form, sorted so that everything below one name stands together.
#[derive(Clone, Debug, Default)]
pub struct FormPairs<'a> {
    pairs: Vec<Pair<'a>>,
}

impl<'a> FormPairs<'a> {
    /// Parses a body of type `application/x-www-form-urlencoded`.
    ///
    /// # Errors
    /// `TooLarge`, `TooDeep`, `NotUtf8`.
    pub fn parse(body: &'a [u8]) -> Result<Self, ParseError> {
        let text = std::str::from_utf8(body).map_err(|_| ParseError::new("", Location::Body, ErrorKind::NotUtf8))?;
        let mut pairs = parse_pairs(text.trim_ascii(), Location::Body, MAX_FORM_BYTES, MAX_FORM_PAIRS)?;
        if pairs.iter().any(|(name, _)| name.bytes().filter(|b| *b == b'.').count() > MAX_FORM_DEPTH) {
            return Err(ParseError::new("", Location::Body, ErrorKind::TooDeep { limit: MAX_FORM_DEPTH }));
        }
        // Stable: of parameters with the same name the first stays first.
        pairs.sort_by(|(a, _), (b, _)| order(a).cmp(order(b)));
        Ok(Self { pairs })
    }

    /// The form as a whole.
    pub fn root(&self) -> FormNode<'_> {
        FormNode { pairs: &self.pairs, depth: 0, name: "" }
    }

    /// All parameters, sorted as above.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs.iter().map(|(name, value)| (name.as_ref(), value.as_ref()))
    }

    /// The value of a parameter at the top, such as `Action`.
    pub fn get(&self, name: &'static str) -> Option<&str> {
        self.root().child(name).and_then(|node| node.text())
    }
}

/// A dot sorts before everything, so that `a.b` follows `a` directly and `a-b` comes after both.
fn order(name: &str) -> impl Iterator<Item = u16> {
    name.bytes().map(|b| if b == b'.' { 0 } else { u16::from(b) + 1 })
}

/// One name of a form with all that is below it.
#[derive(Clone, Copy, Debug)]
pub struct FormNode<'a> {
    pairs: &'a [Pair<'a>],
    /// How many bytes of each name lead to this node; 0 at the root.
    depth: usize,
    name: &'static str,
}

impl<'a> FormNode<'a> {
    /// The part of a name below this node.
    fn below<'n>(&self, name: &'n str) -> Option<&'n str> {
        if self.depth == 0 { Some(name) } else { name[self.depth..].strip_prefix('.') }
    }

    /// The value of the node itself.
    pub fn text(&self) -> Option<&'a str> {
        self.pairs.first().filter(|(name, _)| name.len() == self.depth).map(|(_, value)| value.as_ref())
    }

    /// The node below this one with the given first segment.
    pub fn child(&self, name: &'static str) -> Option<FormNode<'a>> {
        let start = self.pairs.partition_point(|(full, _)| {
            self.below(full).is_none_or(|below| order(first_segments(below, name)).lt(order(name)))
        });
        let rest = &self.pairs[start..];
        let end = rest.partition_point(|(full, _)| self.below(full).is_some_and(|b| first_segments(b, name) == name));
        let depth = if self.depth == 0 { name.len() } else { self.depth + 1 + name.len() };
        (end > 0).then_some(FormNode { pairs: &rest[..end], depth, name })
    }

    /// The typed value of the node.
    pub fn scalar<T: Scalar>(&self, format: TimeFormat) -> Result<T, ParseError> {
        let error = |kind| ParseError::new(self.name, Location::Body, kind);
        let text = self.text().ok_or_else(|| error(ErrorKind::Missing))?;
        if self.pairs.iter().skip(1).any(|(name, value)| name.len() == self.depth && value != text) {
            return Err(error(ErrorKind::Duplicate));
        }
        T::from_text(text, format).map_err(error)
    }

    /// The numbered nodes below this one, in numeric order.
    fn numbered(&self) -> Result<Vec<FormNode<'a>>, ParseError> {
        let mut nodes: Vec<(u64, FormNode<'a>)> = Vec::new();
        let mut start = 0;
        while start < self.pairs.len() {
            let Some(below) = self.below(&self.pairs[start].0) else {
                start += 1;
                continue;
            };
            let segment = below.split('.').next().unwrap_or_default();
            let length = self.pairs[start..]
                .iter()
                .take_while(|(name, _)| self.below(name).is_some_and(|b| b.split('.').next() == Some(segment)))
                .count();
            let number = segment.parse().map_err(|_| {
                ParseError::new(
                    self.name,
                    Location::Body,
                    ErrorKind::BadNumber { value: segment.chars().take(64).collect() },
                )
            })?;
            let depth = if self.depth == 0 { segment.len() } else { self.depth + 1 + segment.len() };
            nodes.push((number, FormNode { pairs: &self.pairs[start..start + length], depth, name: self.name }));
            start += length;
        }
        nodes.sort_by_key(|(number, _)| *number);
        Ok(nodes.into_iter().map(|(_, node)| node).collect())
    }

    /// The items of a list: numbered, below `member` unless the list is flattened. A node with an empty value and
    /// nothing below is an empty list.
    pub fn list<T>(
        &self,
        member: Option<&'static str>,
        read: impl FnMut(FormNode<'a>) -> Result<T, ParseError>,
    ) -> Result<Vec<T>, ParseError> {
        let items = match member {
            Some(member) => self.child(member).map(|node| node.numbered()).transpose()?.unwrap_or_default(),
            None => self.numbered()?,
        };
        items.into_iter().map(read).collect()
    }

    /// The entries of a map: numbered, below `entry` unless the map is flattened, each with a key and a value.
    pub fn map<K: Scalar + Ord, V>(
        &self,
        entry: Option<&'static str>,
        [key, value]: [&'static str; 2],
        mut read: impl FnMut(FormNode<'a>) -> Result<V, ParseError>,
    ) -> Result<BTreeMap<K, V>, ParseError> {
        let mut map = BTreeMap::new();
        for node in self.list(entry, Ok)? {
            let missing = |name| ParseError::new(name, Location::Body, ErrorKind::Missing);
            let k = node.child(key).ok_or_else(|| missing(key))?.scalar(TimeFormat::Iso8601)?;
            let v = read(node.child(value).ok_or_else(|| missing(value))?)?;
            if map.insert(k, v).is_some() {
                return Err(ParseError::new(key, Location::Body, ErrorKind::Duplicate));
            }
        }
        Ok(map)
    }
}

/// As many segments of `below` as `name` has (names of members may hold dots).
fn first_segments<'a>(below: &'a str, name: &str) -> &'a str {
    let dots = name.bytes().filter(|b| *b == b'.').count();
    below.match_indices('.').nth(dots).map_or(below, |(at, _)| &below[..at])
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn parse(text: &str) -> Bytes {
        Bytes::copy_from_slice(text.as_bytes())
    }

    #[test]
    fn nodes_are_found_whatever_the_order() {
        let body = parse("B.member.10=j&A=1&B.member.2=b&B-x=9&B.member.1=a&C.entry.1.value=v&C.entry.1.key=k&D=");
        let form = FormPairs::parse(&body).unwrap();
        let root = form.root();
        assert_eq!(form.get("A"), Some("1"));
        assert_eq!(form.get("B-x"), Some("9"));
        assert!(root.child("Z").is_none());
        let list = root.child("B").unwrap().list(Some("member"), |n| n.scalar::<String>(TimeFormat::Iso8601));
        assert_eq!(list.unwrap(), ["a", "b", "j"]);
        let map: BTreeMap<String, String> =
            root.child("C").unwrap().map(Some("entry"), ["key", "value"], |n| n.scalar(TimeFormat::Iso8601)).unwrap();
        assert_eq!(map["k"], "v");
        let empty = root.child("D").unwrap().list(Some("member"), |n| n.scalar::<String>(TimeFormat::Iso8601));
        assert_eq!(empty.unwrap(), Vec::<String>::new());
    }

    #[test]
    fn hostile_forms_are_refused() {
        let deep = format!("A{}=1", ".a".repeat(MAX_FORM_DEPTH + 1));
        let many = "a=1&".repeat(MAX_FORM_PAIRS + 1);
        for (text, kind) in [
            (deep.as_str(), ErrorKind::TooDeep { limit: MAX_FORM_DEPTH }),
            (many.as_str(), ErrorKind::TooLarge { limit: MAX_FORM_PAIRS }),
            ("a=%ff", ErrorKind::NotUtf8),
        ] {
            assert_eq!(FormPairs::parse(&parse(text)).unwrap_err().kind, kind);
        }
        let body = parse("L.member.x=1&S=1&S=2");
        let form = FormPairs::parse(&body).unwrap();
        let list = form.root().child("L").unwrap().list(Some("member"), |n| n.scalar::<i32>(TimeFormat::Iso8601));
        assert_eq!(list.unwrap_err().kind, ErrorKind::BadNumber { value: "x".into() });
        let twice = form.root().child("S").unwrap().scalar::<i32>(TimeFormat::Iso8601);
        assert_eq!(twice.unwrap_err().kind, ErrorKind::Duplicate);
    }
}
