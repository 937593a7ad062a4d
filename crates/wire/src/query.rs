//! Query strings, parsed once.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::{ErrorKind, Location, ParseError, Scalar, TimeFormat};

/// The most bytes of a query string: presigned URLs with session tokens stay below 8 KiB.
pub const MAX_QUERY_BYTES: usize = 64 << 10;
/// The most parameters of a query string.
pub const MAX_QUERY_PAIRS: usize = 256;

/// A decoded name with its decoded value.
pub(crate) type Pair<'a> = (Cow<'a, str>, Cow<'a, str>);

/// The parameters of a query string in their order, decoded. A `+` means a space, as AWS reads it.
#[derive(Clone, Debug, Default)]
pub struct QueryPairs<'a> {
    pairs: Vec<Pair<'a>>,
}

impl<'a> QueryPairs<'a> {
    /// No parameters.
    pub const fn none() -> Self {
        Self { pairs: Vec::new() }
    }

    /// Parses what follows the `?` of a URI.
    ///
    /// # Errors
    /// `TooLarge` beyond [`MAX_QUERY_BYTES`] or [`MAX_QUERY_PAIRS`]; `NotUtf8` when a decoded name or value is not UTF-8.
    pub fn parse(raw: &'a str) -> Result<Self, ParseError> {
        parse_pairs(raw, Location::Query, MAX_QUERY_BYTES, MAX_QUERY_PAIRS).map(|pairs| Self { pairs })
    }

    /// The first value of a parameter.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_ref())
    }

    /// Whether the parameter is there, with or without a value.
    pub fn has(&self, name: &str) -> bool {
        self.pairs.iter().any(|(n, _)| n == name)
    }

    /// Whether there are no parameters.
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// All parameters in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs.iter().map(|(n, v)| (n.as_ref(), v.as_ref()))
    }

    /// The typed value of a parameter.
    ///
    /// # Errors
    /// What the type refuses, and `Duplicate` when the parameter comes with two different values.
    pub fn scalar<T: Scalar>(&self, name: &'static str, format: TimeFormat) -> Result<Option<T>, ParseError> {
        let mut values = self.iter().filter(|(n, _)| *n == name).map(|(_, v)| v);
        let Some(first) = values.next() else { return Ok(None) };
        if values.any(|other| other != first) {
            return Err(ParseError::new(name, Location::Query, ErrorKind::Duplicate));
        }
        T::from_text(first, format).map(Some).map_err(|kind| ParseError::new(name, Location::Query, kind))
    }

    /// The values of a repeated parameter.
    pub fn list<T: Scalar>(&self, name: &'static str, format: TimeFormat) -> Result<Option<Vec<T>>, ParseError> {
        let mut list = None;
        for (_, value) in self.iter().filter(|(n, _)| *n == name) {
            let value = T::from_text(value, format).map_err(|kind| ParseError::new(name, Location::Query, kind))?;
            list.get_or_insert_with(Vec::new).push(value);
        }
        Ok(list)
    }

    /// All parameters that no other member has taken, the first value of each.
    pub fn rest(&self, taken: &[&str]) -> Option<BTreeMap<String, String>> {
        let mut map = BTreeMap::new();
        for (name, value) in self.iter().filter(|(n, _)| !taken.contains(n)) {
            map.entry(name.to_owned()).or_insert_with(|| value.to_owned());
        }
        (!map.is_empty()).then_some(map)
    }

    /// All parameters that no other member has taken, with all their values.
    pub fn rest_lists(&self, taken: &[&str]) -> Option<BTreeMap<String, Vec<String>>> {
        let mut map: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, value) in self.iter().filter(|(n, _)| !taken.contains(n)) {
            map.entry(name.to_owned()).or_default().push(value.to_owned());
        }
        (!map.is_empty()).then_some(map)
    }
}

/// `a=b&c` into decoded pairs; empty pieces are skipped.
pub(crate) fn parse_pairs(
    raw: &str,
    location: Location,
    max_bytes: usize,
    max_pairs: usize,
) -> Result<Vec<Pair<'_>>, ParseError> {
    let too_large = |limit| ParseError::new("", location, ErrorKind::TooLarge { limit });
    if raw.len() > max_bytes {
        return Err(too_large(max_bytes));
    }
    let mut pairs = Vec::new();
    for piece in raw.split('&').filter(|piece| !piece.is_empty()) {
        if pairs.len() == max_pairs {
            return Err(too_large(max_pairs));
        }
        let (name, value) = piece.split_once('=').unwrap_or((piece, ""));
        let name = decode(name).ok_or_else(|| ParseError::new("", location, ErrorKind::NotUtf8))?;
        let value =
            decode(value).ok_or_else(|| ParseError::new(name.clone().into_owned(), location, ErrorKind::NotUtf8))?;
        pairs.push((name, value));
    }
    Ok(pairs)
}

fn decode(text: &str) -> Option<Cow<'_, str>> {
    if text.contains('+') {
        let spaced = text.replace('+', " ");
        return percent_decode(&spaced).map(|decoded| Cow::Owned(decoded.into_owned()));
    }
    percent_decode(text)
}

/// Decodes `%XX`; a `%` without two hexadecimal digits stands for itself. `None` when the result is not UTF-8.
pub fn percent_decode(text: &str) -> Option<Cow<'_, str>> {
    let bytes = text.as_bytes();
    let Some(first) = bytes.iter().position(|b| *b == b'%') else { return Some(Cow::Borrowed(text)) };
    let mut out = Vec::with_capacity(bytes.len());
    out.extend_from_slice(&bytes[..first]);
    let mut at = first;
    while at < bytes.len() {
        let code = (bytes[at] == b'%')
            .then(|| bytes.get(at + 1).copied().and_then(hex).zip(bytes.get(at + 2).copied().and_then(hex)));
        match code.flatten() {
            Some((high, low)) => {
                out.push(high << 4 | low);
                at += 3;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8(out).ok().map(Cow::Owned)
}

fn hex(digit: u8) -> Option<u8> {
    (digit as char).to_digit(16).map(|d| d as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_decoded_in_order() {
        let cases: &[(&str, &[(&str, &str)])] = &[
            ("", &[]),
            ("&&", &[]),
            ("acl", &[("acl", "")]),
            ("a=1&b=2&a=3", &[("a", "1"), ("b", "2"), ("a", "3")]),
            ("p=a%2Fb+c%20d", &[("p", "a/b c d")]),
            ("p=%E2%82%AC&q=100%&r=%zz", &[("p", "€"), ("q", "100%"), ("r", "%zz")]),
            ("a=b=c", &[("a", "b=c")]),
        ];
        for (raw, expected) in cases {
            let query = QueryPairs::parse(raw).unwrap();
            assert_eq!(query.iter().collect::<Vec<_>>(), *expected, "{raw}");
        }
    }

    #[test]
    fn hostile_queries_are_refused() {
        let many = "a&".repeat(MAX_QUERY_PAIRS + 1);
        let long = "x".repeat(MAX_QUERY_BYTES + 1);
        for (raw, kind) in [
            ("a=%FF", ErrorKind::NotUtf8),
            ("%C0%AF=a", ErrorKind::NotUtf8),
            (many.as_str(), ErrorKind::TooLarge { limit: MAX_QUERY_PAIRS }),
            (long.as_str(), ErrorKind::TooLarge { limit: MAX_QUERY_BYTES }),
        ] {
            assert_eq!(QueryPairs::parse(raw).unwrap_err().kind, kind);
        }
    }

    #[test]
    fn scalars_are_typed_and_must_not_contradict() {
        let query = QueryPairs::parse("max-keys=10&n=1&n=2&same=5&same=5&bad=x&empty=").unwrap();
        let int = |name| query.scalar::<i32>(name, TimeFormat::Iso8601);
        assert_eq!(int("max-keys"), Ok(Some(10)));
        assert_eq!(int("absent"), Ok(None));
        assert_eq!(int("same"), Ok(Some(5)));
        assert_eq!(int("n").unwrap_err().kind, ErrorKind::Duplicate);
        assert_eq!(int("bad").unwrap_err().kind, ErrorKind::BadNumber { value: "x".into() });
        assert_eq!(int("empty").unwrap_err().kind, ErrorKind::BadNumber { value: "".into() });
        assert_eq!(query.list::<i32>("n", TimeFormat::Iso8601), Ok(Some(vec![1, 2])));
    }
}
