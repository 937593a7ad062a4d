//! JSON as text: parts of a document are cut out and put together as they were written, so that no number changes its form and no
//! member its place. Everything here works on documents that a parser has accepted before.

use std::borrow::Cow;

/// A value within a document: its text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Json<'a>(&'a str);

impl<'a> Json<'a> {
    /// A document; `None` when it is not one JSON value.
    pub fn parse(text: &'a str) -> Option<Self> {
        serde_json::from_str::<serde::de::IgnoredAny>(text).ok()?;
        Some(Self(text.trim_matches(is_space)))
    }

    /// As it is written.
    pub fn text(self) -> &'a str {
        self.0
    }

    /// Whether it is an object.
    pub fn is_object(self) -> bool {
        self.0.starts_with('{')
    }

    /// Whether it is an object or a list.
    pub fn is_container(self) -> bool {
        self.0.starts_with(['{', '['])
    }

    /// The text that a string means.
    pub fn string(self) -> Option<Cow<'a, str>> {
        let inner = self.0.strip_prefix('"')?.strip_suffix('"')?;
        if !inner.contains('\\') {
            return Some(Cow::Borrowed(inner));
        }
        serde_json::from_str::<String>(self.0).ok().map(Cow::Owned)
    }

    /// The members of an object, in order.
    pub fn members(self) -> Vec<(Cow<'a, str>, Json<'a>)> {
        let Some(inner) = self.0.strip_prefix('{') else { return Vec::new() };
        let mut scanner = Scanner { text: inner, at: 0 };
        let mut members = Vec::new();
        while let Some(key) = scanner.value() {
            scanner.skip(b':');
            let (Some(name), Some(value)) = (Json(key).string(), scanner.value()) else { break };
            members.push((name, Json(value)));
            scanner.skip(b',');
        }
        members
    }

    /// The last member of a name, as parsers take it.
    pub fn member(self, name: &str) -> Option<Json<'a>> {
        self.members().into_iter().rev().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    /// The items of a list.
    pub fn items(self) -> Vec<Json<'a>> {
        let Some(inner) = self.0.strip_prefix('[') else { return Vec::new() };
        let mut scanner = Scanner { text: inner, at: 0 };
        let mut items = Vec::new();
        while let Some(value) = scanner.value() {
            items.push(Json(value));
            scanner.skip(b',');
        }
        items
    }

    /// Appends it without the white space between its tokens.
    pub fn push_compact(self, out: &mut String) {
        let (mut quoted, mut escaped) = (false, false);
        for c in self.0.chars() {
            if quoted {
                quoted = escaped || c != '"';
                escaped = !escaped && c == '\\';
            } else if is_space(c) {
                continue;
            } else {
                quoted = c == '"';
            }
            out.push(c);
        }
    }

    /// It, without the white space between its tokens.
    pub fn compact(self) -> String {
        let mut out = String::with_capacity(self.0.len());
        self.push_compact(&mut out);
        out
    }
}

/// Appends a string with its quotes.
pub(crate) fn push_string(out: &mut String, text: &str) {
    millpond_wire::json::push_string(out, text);
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r')
}

/// Goes through the inside of an object or a list.
struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scanner<'a> {
    fn space(&mut self) {
        while self.text.as_bytes().get(self.at).is_some_and(|byte| is_space(char::from(*byte))) {
            self.at += 1;
        }
    }

    fn skip(&mut self, byte: u8) {
        self.space();
        if self.text.as_bytes().get(self.at) == Some(&byte) {
            self.at += 1;
        }
    }

    /// The next value; `None` at the end.
    fn value(&mut self) -> Option<&'a str> {
        self.space();
        let bytes = self.text.as_bytes();
        let start = self.at;
        match bytes.get(start)? {
            b'}' | b']' => return None,
            b'"' => self.at = string_end(bytes, start),
            b'{' | b'[' => {
                let mut depth = 0usize;
                while let Some(byte) = bytes.get(self.at) {
                    match byte {
                        b'"' => {
                            self.at = string_end(bytes, self.at);
                            continue;
                        }
                        b'{' | b'[' => depth += 1,
                        b'}' | b']' => depth = depth.saturating_sub(1),
                        _ => {}
                    }
                    self.at += 1;
                    if depth == 0 {
                        break;
                    }
                }
            }
            _ => {
                while bytes
                    .get(self.at)
                    .is_some_and(|byte| !matches!(byte, b',' | b'}' | b']' | b':') && !is_space(char::from(*byte)))
                {
                    self.at += 1;
                }
            }
        }
        self.text.get(start..self.at)
    }
}

/// Behind the closing quote of the string that begins at `start`.
fn string_end(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_as_they_were_written() {
        let text = " {\"a\" : 1.50e3, \"b\": [ {\"c}\":\"]\\\"\"} , null,true ], \"\\u0061\":\"x\", \"é\": {} } ";
        let json = Json::parse(text).unwrap();
        let shown: Vec<_> = json.members().iter().map(|(k, v)| format!("{k}={}", v.text())).collect();
        assert_eq!(shown, ["a=1.50e3", "b=[ {\"c}\":\"]\\\"\"} , null,true ]", "a=\"x\"", "é={}"]);
        assert_eq!(json.member("a").unwrap().string().unwrap(), "x", "the last one counts");
        let items: Vec<_> = json.member("b").unwrap().items().iter().map(|item| item.text()).collect();
        assert_eq!(items, ["{\"c}\":\"]\\\"\"}", "null", "true"]);
        assert_eq!(json.compact(), "{\"a\":1.50e3,\"b\":[{\"c}\":\"]\\\"\"},null,true],\"\\u0061\":\"x\",\"é\":{}}");
        assert_eq!(Json::parse("\"a b\\\\\" ").unwrap().compact(), "\"a b\\\\\"");
        for bad in ["", "{", "{} {}", "a", "{\"a\":}"] {
            assert_eq!(Json::parse(bad), None, "{bad}");
        }
    }
}
