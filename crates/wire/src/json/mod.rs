//! JSON bodies: reading typed values out of a bounded document, writing straight into one string.

use bytes::Bytes;
use serde_json::{Map, Value};

use crate::scalar::wrong_type;
use crate::{ErrorKind, Location, ParseError, Scalar, TimeFormat};

/// The most bytes of a document; AWS's greatest JSON request (a DynamoDB batch) is 16 MiB. Depth is bounded by the
/// parser, at 128.
pub const MAX_JSON_BYTES: usize = 16 << 20;

/// Parses a document; `None` when the body is empty.
pub fn document(body: &Bytes) -> Result<Option<Value>, ParseError> {
    if body.len() > MAX_JSON_BYTES {
        return Err(ParseError::new("", Location::Body, ErrorKind::TooLarge { limit: MAX_JSON_BYTES }));
    }
    if body.trim_ascii().is_empty() {
        return Ok(None);
    }
    serde_json::from_slice(body).map(Some).map_err(|e| ParseError::malformed_json(e.to_string()))
}

/// The members of an object.
pub fn object(value: Value) -> Result<Map<String, Value>, ParseError> {
    match value {
        Value::Object(map) => Ok(map),
        other => Err(ParseError::new("", Location::Body, wrong_type("an object", &other))),
    }
}

/// The typed value of a member.
pub fn scalar<T: Scalar>(value: Value, member: &'static str, format: TimeFormat) -> Result<T, ParseError> {
    T::from_json(value, format).map_err(|kind| ParseError::new(member, Location::Body, kind))
}

/// The items of an array; nulls are left out, as AWS does.
pub fn list<T>(value: Value, read: impl FnMut(Value) -> Result<T, ParseError>) -> Result<Vec<T>, ParseError> {
    match value {
        Value::Array(items) => items.into_iter().filter(|item| !item.is_null()).map(read).collect(),
        other => Err(ParseError::new("", Location::Body, wrong_type("an array", &other))),
    }
}

/// The entries of an object read as a map; nulls are left out.
pub fn map<K: Scalar + Ord, V>(
    value: Value,
    mut read: impl FnMut(Value) -> Result<V, ParseError>,
) -> Result<std::collections::BTreeMap<K, V>, ParseError> {
    let entries = object(value)?.into_iter().filter(|(_, value)| !value.is_null());
    entries
        .map(|(key, value)| {
            let key = K::from_cow(key.into(), TimeFormat::EpochSeconds)
                .map_err(|kind| ParseError::new("key", Location::Body, kind))?;
            Ok((key, read(value)?))
        })
        .collect()
}

/// A document being written; commas come by themselves.
#[derive(Debug, Default)]
pub struct JsonWriter {
    out: String,
}

impl JsonWriter {
    /// An empty document.
    pub fn new() -> Self {
        Self::default()
    }

    /// A comma, unless at the beginning of an object, an array or a member.
    fn separate(&mut self) {
        if !matches!(self.out.as_bytes().last(), None | Some(b'{' | b'[' | b':')) {
            self.out.push(',');
        }
    }

    /// Begins a member of an object.
    pub fn key(&mut self, key: &str) {
        self.separate();
        push_string(&mut self.out, key);
        self.out.push(':');
    }

    /// `{`
    pub fn begin_object(&mut self) {
        self.separate();
        self.out.push('{');
    }

    /// `}`
    pub fn end_object(&mut self) {
        self.out.push('}');
    }

    /// `[`
    pub fn begin_array(&mut self) {
        self.separate();
        self.out.push('[');
    }

    /// `]`
    pub fn end_array(&mut self) {
        self.out.push(']');
    }

    /// A scalar.
    pub fn scalar<T: Scalar>(&mut self, value: &T, format: TimeFormat) {
        self.separate();
        value.push_json(&mut self.out, format);
    }

    /// Any JSON value.
    pub fn value(&mut self, value: &Value) {
        self.separate();
        use std::fmt::Write;
        // Writing to a String cannot fail.
        let _ = write!(self.out, "{value}");
    }

    /// The key of a map's entry.
    pub fn map_key<K: Scalar>(&mut self, key: &K) {
        let mut text = String::new();
        key.push_text(&mut text, TimeFormat::EpochSeconds);
        self.key(&text);
    }

    /// The document.
    pub fn finish(self) -> String {
        self.out
    }
}

/// Appends a string in quotes, escaped as RFC 8259, section 7 asks.
pub fn push_string(out: &mut String, text: &str) {
    out.push('"');
    let mut done = 0;
    for (at, byte) in text.bytes().enumerate() {
        let escape = match byte {
            b'"' => "\\\"",
            b'\\' => "\\\\",
            b'\n' => "\\n",
            b'\r' => "\\r",
            b'\t' => "\\t",
            0..0x20 => "",
            _ => continue,
        };
        out.push_str(&text[done..at]);
        if escape.is_empty() {
            const DIGITS: &[u8; 16] = b"0123456789abcdef";
            out.push_str("\\u00");
            out.push(DIGITS[usize::from(byte >> 4)] as char);
            out.push(DIGITS[usize::from(byte & 15)] as char);
        } else {
            out.push_str(escape);
        }
        done = at + 1;
    }
    out.push_str(&text[done..]);
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_survive_a_round_trip() {
        for text in ["", "plain", "\"\\\n\r\t", "\u{0}\u{1f}\u{7f}", "é€😹", "</script>"] {
            let mut out = String::new();
            push_string(&mut out, text);
            assert_eq!(serde_json::from_str::<String>(&out).unwrap(), text);
        }
    }

    #[test]
    fn hostile_documents_are_refused() {
        let deep = Bytes::from("[".repeat(100_000));
        assert!(matches!(document(&deep).unwrap_err().kind, ErrorKind::MalformedJson { .. }));
        let large = Bytes::from(vec![b' '; MAX_JSON_BYTES + 1]);
        assert!(matches!(document(&large).unwrap_err().kind, ErrorKind::TooLarge { .. }));
        for bad in ["{", "{}x", "{\"a\":\"\u{1}\"}", "\u{0}"] {
            assert!(document(&Bytes::from(bad)).is_err(), "{bad:?}");
        }
        assert_eq!(document(&Bytes::from_static(b" \n")), Ok(None));
    }
}
