//! Members that travel in headers.

use std::borrow::Cow;
use std::collections::BTreeMap;

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::scalar::{decode_base64, encode_base64};
use crate::{ErrorKind, Location, ParseError, Scalar, TimeFormat};

/// The text of a header value: UTF-8 where it is that, else Latin-1, so that every byte has its character.
pub fn text(value: &HeaderValue) -> Cow<'_, str> {
    match std::str::from_utf8(value.as_bytes()) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(value.as_bytes().iter().map(|byte| *byte as char).collect()),
    }
}

/// A header value from a text. Control characters, which could end the header, become spaces: values that come from
/// requests are to be refused where they enter, this is the last wall against response splitting.
pub fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).or_else(|_| HeaderValue::from_bytes(text.as_bytes())).unwrap_or_else(|_| {
        let clean: Vec<u8> =
            text.bytes().map(|b| if (b < 0x20 && b != b'\t') || b == 0x7f { b' ' } else { b }).collect();
        HeaderValue::from_bytes(&clean).unwrap_or(HeaderValue::from_static(""))
    })
}

/// The headers of a request with a summary of their names, so that looking for one of the dozens that an operation may
/// have, and mostly has not, costs next to nothing.
#[derive(Clone, Copy, Debug)]
pub struct Headers<'a> {
    map: &'a HeaderMap,
    /// A bit for each name, many names to a bit.
    summary: u128,
}

impl<'a> Headers<'a> {
    /// Summarizes the headers.
    pub fn of(map: &'a HeaderMap) -> Self {
        let summary = map.keys().fold(0, |summary, name| summary | bit(name));
        Self { map, summary }
    }

    fn values(&self, name: &HeaderName) -> impl Iterator<Item = &'a HeaderValue> + use<'a> {
        let values = (self.summary & bit(name) != 0).then(|| self.map.get_all(name).iter());
        values.into_iter().flatten()
    }
}

/// Names of one service differ mostly in length and in their last words.
fn bit(name: &HeaderName) -> u128 {
    let bytes = name.as_str().as_bytes();
    let at = |index: usize| usize::from(bytes.get(index).copied().unwrap_or_default());
    let hash = bytes.len() * 7 + at(bytes.len().wrapping_sub(1)) * 3 + at(bytes.len() / 2) * 5;
    1 << (hash % 128)
}

fn error(name: &HeaderName, kind: ErrorKind) -> ParseError {
    ParseError::new(name.as_str().to_owned(), Location::Header, kind)
}

/// Headers that are one text to the API and a list to HTTP: several lines mean the same as one with commas (RFC 9110, section 5.3).
pub const LISTS: [&str; 3] = ["cache-control", "content-encoding", "content-language"];

/// The one value of a header.
fn single<'a>(headers: &Headers<'a>, name: &HeaderName) -> Result<Option<Cow<'a, str>>, ParseError> {
    let mut values = headers.values(name);
    let Some(first) = values.next() else { return Ok(None) };
    if values.any(|other| other != first) {
        if !LISTS.contains(&name.as_str()) {
            return Err(error(name, ErrorKind::Duplicate));
        }
        let lines: Vec<_> = headers.values(name).map(text).collect();
        return Ok(Some(lines.join(", ").into()));
    }
    Ok(Some(text(first)))
}

/// The typed value of a header.
///
/// # Errors
/// What the type refuses, and `Duplicate` when the header comes with two different values.
pub fn scalar<T: Scalar>(
    headers: &Headers<'_>,
    name: &HeaderName,
    format: TimeFormat,
) -> Result<Option<T>, ParseError> {
    let Some(text) = single(headers, name)? else { return Ok(None) };
    T::from_cow(text, format).map(Some).map_err(|kind| error(name, kind))
}

/// JSON that travels as base64.
pub fn encoded(headers: &Headers<'_>, name: &HeaderName) -> Result<Option<String>, ParseError> {
    let Some(text) = single(headers, name)? else { return Ok(None) };
    decode_base64(&text).map(Some).map_err(|kind| error(name, kind))
}

/// The values of a list header: separated by commas, perhaps quoted, perhaps in several lines.
pub fn list<T: Scalar>(
    headers: &Headers<'_>,
    name: &HeaderName,
    format: TimeFormat,
) -> Result<Option<Vec<T>>, ParseError> {
    let mut list = None;
    for line in headers.values(name) {
        let list: &mut Vec<T> = list.get_or_insert_default();
        for item in split_list(&text(line), T::IS_TIME && format == TimeFormat::HttpDate) {
            list.push(T::from_cow(item.into(), format).map_err(|kind| error(name, kind))?);
        }
    }
    Ok(list)
}

/// Splits at commas outside quotes; dates have a comma of their own.
fn split_list(line: &str, dates: bool) -> Vec<String> {
    let mut items = Vec::new();
    let mut item = String::new();
    let (mut quoted, mut was_quoted, mut commas) = (false, false, 0);
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' if quoted => quoted = false,
            '"' if item.trim_ascii().is_empty() => {
                item.clear();
                (quoted, was_quoted) = (true, true);
            }
            '\\' if quoted => item.extend(characters.next()),
            ',' if !quoted => {
                commas += 1;
                if dates && commas % 2 == 1 {
                    item.push(',');
                    continue;
                }
                items.push(finished(&mut item, &mut was_quoted));
            }
            // White space between a closing quote and the comma is no part of the value.
            ' ' | '\t' if was_quoted && !quoted => {}
            other => item.push(other),
        }
    }
    if !item.trim_ascii().is_empty() || was_quoted || !items.is_empty() {
        items.push(finished(&mut item, &mut was_quoted));
    }
    items
}

fn finished(item: &mut String, was_quoted: &mut bool) -> String {
    let text = std::mem::take(item);
    if std::mem::take(was_quoted) { text } else { text.trim_ascii().to_owned() }
}

/// All headers whose names begin with `prefix`, by the rest of their names; lines of the same name are joined by
/// commas (RFC 9110, section 5.3).
pub fn prefixed(headers: &HeaderMap, prefix: &str) -> Option<BTreeMap<String, String>> {
    let mut map: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in headers {
        let Some(rest) = name.as_str().strip_prefix(prefix) else { continue };
        match map.get_mut(rest) {
            Some(joined) => {
                joined.push(',');
                joined.push_str(&text(value));
            }
            None => {
                map.insert(rest.to_owned(), text(value).into_owned());
            }
        }
    }
    (!map.is_empty()).then_some(map)
}

/// Sets a header to a typed value.
pub fn put<T: Scalar>(headers: &mut HeaderMap, name: &'static HeaderName, scalar: &T, format: TimeFormat) {
    headers.insert(name, scalar.to_header(format));
}

/// Sets a header to JSON in base64.
pub fn put_encoded(headers: &mut HeaderMap, name: &'static HeaderName, text: &str) {
    headers.insert(name, value(&encode_base64(text)));
}

/// Sets a list header; texts with commas or quotes are quoted.
pub fn put_list<T: Scalar>(headers: &mut HeaderMap, name: &'static HeaderName, list: &[T], format: TimeFormat) {
    let mut line = String::new();
    for (index, item) in list.iter().enumerate() {
        if index > 0 {
            line.push_str(", ");
        }
        let start = line.len();
        item.push_text(&mut line, format);
        if T::KEEP_SPACE && line[start..].contains([',', '"']) {
            let quoted = line.split_off(start).replace('\\', "\\\\").replace('"', "\\\"");
            line.push('"');
            line.push_str(&quoted);
            line.push('"');
        }
    }
    headers.insert(name, value(&line));
}

/// Sets one header for each entry, its name behind `prefix`. Entries whose keys are no header names are left out:
/// they cannot have come in as headers either.
pub fn put_prefixed(headers: &mut HeaderMap, prefix: &str, map: &BTreeMap<String, String>) {
    for (key, text) in map {
        if let Ok(name) = HeaderName::try_from(format!("{prefix}{key}")) {
            headers.insert(name, value(text));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static H: HeaderName = HeaderName::from_static("x-list");

    #[test]
    fn lists_are_split() {
        let strings: &[(&str, &[&str])] = &[
            ("", &[]),
            ("a", &["a"]),
            ("a, b,c", &["a", "b", "c"]),
            ("\"b,c\", \"\\\"def\\\"\", a", &["b,c", "\"def\"", "a"]),
            ("a\"b, c", &["a\"b", "c"]),
            ("a,,b", &["a", "", "b"]),
        ];
        for (line, expected) in strings {
            assert_eq!(split_list(line, false), *expected, "{line}");
        }
        assert_eq!(
            split_list("Mon, 16 Dec 2019 23:48:18 GMT, Mon, 16 Dec 2019 23:48:18 GMT", true),
            ["Mon, 16 Dec 2019 23:48:18 GMT", "Mon, 16 Dec 2019 23:48:18 GMT"]
        );
    }

    #[test]
    fn lists_round_trip() {
        let items = ["a".to_owned(), "b,c".to_owned(), "\"q\\\"".to_owned(), "d".to_owned()];
        let mut headers = HeaderMap::new();
        put_list(&mut headers, &H, &items, TimeFormat::HttpDate);
        assert_eq!(list::<String>(&Headers::of(&headers), &H, TimeFormat::HttpDate), Ok(Some(items.to_vec())));
    }

    #[test]
    fn values_keep_their_bytes_and_cannot_split_a_response() {
        assert_eq!(text(&HeaderValue::from_bytes("grün".as_bytes()).unwrap()), "grün");
        assert_eq!(text(&HeaderValue::from_bytes(b"gr\xfcn").unwrap()), "grün");
        assert_eq!(value("grün").as_bytes(), "grün".as_bytes());
        assert_eq!(value("a\r\nSet-Cookie: b").as_bytes(), b"a  Set-Cookie: b");
    }

    #[test]
    fn a_header_must_not_contradict_itself() {
        let mut headers = HeaderMap::new();
        headers.append(&H, HeaderValue::from_static("1"));
        headers.append(&H, HeaderValue::from_static("1"));
        assert_eq!(scalar::<i32>(&Headers::of(&headers), &H, TimeFormat::HttpDate), Ok(Some(1)));
        headers.append(&H, HeaderValue::from_static("2"));
        assert_eq!(
            scalar::<i32>(&Headers::of(&headers), &H, TimeFormat::HttpDate).unwrap_err().kind,
            ErrorKind::Duplicate
        );
    }

    #[test]
    fn every_header_is_found_among_many() {
        let names: Vec<HeaderName> =
            (0..300).map(|n| HeaderName::try_from(format!("x-amz-{n}-name")).unwrap()).collect();
        let mut headers = HeaderMap::new();
        for (n, name) in names.iter().enumerate().step_by(3) {
            headers.insert(name, HeaderValue::from(n));
        }
        let headers = Headers::of(&headers);
        for (n, name) in names.iter().enumerate() {
            let expected = (n % 3 == 0).then_some(n as i32);
            assert_eq!(scalar::<i32>(&headers, name, TimeFormat::HttpDate), Ok(expected), "{name}");
        }
    }

    #[test]
    fn prefixes() {
        let mut headers = HeaderMap::new();
        headers.append("x-amz-meta-a", HeaderValue::from_static("1"));
        headers.append("x-amz-meta-a", HeaderValue::from_static("2"));
        headers.append("x-amz-acl", HeaderValue::from_static("private"));
        let map = prefixed(&headers, "x-amz-meta-").unwrap();
        assert_eq!(map, BTreeMap::from([("a".to_owned(), "1,2".to_owned())]));
        assert_eq!(prefixed(&headers, "x-none-"), None);
    }
}
