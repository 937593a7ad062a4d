//! AWS `UriEncode`: percent-encoding of every byte but the unreserved ones (RFC 3986, section 2.3).

use std::borrow::Cow;

use crate::hex::digit;

/// A `%` that two hexadecimal digits do not follow.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BadEscape;

/// What stays as it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keep {
    /// Unreserved bytes.
    Unreserved,
    /// Unreserved bytes and the slash, for paths.
    Slash,
}

fn unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

fn push(out: &mut Vec<u8>, byte: u8, keep: Keep) {
    if unreserved(byte) || (byte == b'/' && keep == Keep::Slash) {
        out.push(byte);
    } else {
        const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
        out.extend([b'%', DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    }
}

/// Appends `text`, encoded.
pub(crate) fn encode(out: &mut Vec<u8>, text: &[u8], keep: Keep) {
    for byte in text {
        push(out, *byte, keep);
    }
}

/// The byte at the start of `text`, unescaped, and how many bytes of `text` it takes.
fn unescape(text: &[u8]) -> Result<(u8, usize), BadEscape> {
    match text {
        [b'%', high, low, ..] => Ok((digit(*high).ok_or(BadEscape)? << 4 | digit(*low).ok_or(BadEscape)?, 3)),
        [b'%', ..] | [] => Err(BadEscape),
        [byte, ..] => Ok((*byte, 1)),
    }
}

/// Appends `text`, decoded and encoded anew, so that all spellings of a text become one. `plus_is_space` holds in queries.
pub(crate) fn recode(out: &mut Vec<u8>, mut text: &[u8], keep: Keep, plus_is_space: bool) -> Result<(), BadEscape> {
    while !text.is_empty() {
        let (byte, length) = unescape(text)?;
        let byte = if plus_is_space && text[0] == b'+' { b' ' } else { byte };
        push(out, byte, keep);
        text = &text[length..];
    }
    Ok(())
}

/// A query name or value, decoded; None when it has a bad escape or is not UTF-8.
pub(crate) fn decode_query(text: &str) -> Option<Cow<'_, str>> {
    if !text.bytes().any(|b| b == b'%' || b == b'+') {
        return Some(Cow::Borrowed(text));
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while !rest.is_empty() {
        let (byte, length) = unescape(rest).ok()?;
        out.push(if rest[0] == b'+' { b' ' } else { byte });
        rest = &rest[length..];
    }
    String::from_utf8(out).ok().map(Cow::Owned)
}

/// The pieces of a query as (name, value), both as sent; a name without `=` has an empty value. Empty pieces are skipped.
pub(crate) fn pieces(query: &str) -> impl Iterator<Item = (&str, &str)> {
    query.split('&').filter(|piece| !piece.is_empty()).map(|piece| piece.split_once('=').unwrap_or((piece, "")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_become_one() {
        // text, keep, plus is space, expected
        let table: &[(&str, Keep, bool, Result<&str, BadEscape>)] = &[
            ("/a/b~c", Keep::Slash, false, Ok("/a/b~c")),
            ("/a%2Fb", Keep::Slash, false, Ok("/a/b")),
            ("/a+b", Keep::Slash, false, Ok("/a%2Bb")),
            ("/%7e%2a*(", Keep::Slash, false, Ok("/~%2A%2A%28")),
            ("/ሴ", Keep::Slash, false, Ok("/%E1%88%B4")),
            ("/%e1%88%b4", Keep::Slash, false, Ok("/%E1%88%B4")),
            ("a+b", Keep::Unreserved, true, Ok("a%20b")),
            ("a%2Bb/", Keep::Unreserved, true, Ok("a%2Bb%2F")),
            ("%", Keep::Slash, false, Err(BadEscape)),
            ("%a", Keep::Slash, false, Err(BadEscape)),
            ("%zz", Keep::Slash, false, Err(BadEscape)),
            ("%+1", Keep::Slash, false, Err(BadEscape)),
        ];
        for (text, keep, plus, expected) in table {
            let mut out = Vec::new();
            let got = recode(&mut out, text.as_bytes(), *keep, *plus).map(|()| String::from_utf8(out).unwrap());
            assert_eq!(got.as_deref(), expected.as_deref(), "{text}");
        }
    }

    #[test]
    fn queries_decode() {
        for (text, expected) in
            [("abc", Some("abc")), ("a%20b+c", Some("a b c")), ("%ff", None), ("%4", None), ("", Some(""))]
        {
            assert_eq!(decode_query(text).as_deref(), expected, "{text}");
        }
        assert_eq!(pieces("a=1&&b&=x&c=d=e").collect::<Vec<_>>(), [("a", "1"), ("b", ""), ("", "x"), ("c", "d=e")]);
    }
}
