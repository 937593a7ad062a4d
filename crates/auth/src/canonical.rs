//! The canonical request and the string to sign (SigV4, "Create a canonical request" and "Create a string to sign").

use millpond_digest::sha256;

use crate::hex::Hex32;
use crate::percent::{BadEscape, Keep, encode, pieces, recode};
use crate::{AmzDate, RequestParts};

/// The algorithm's name, first line of every string to sign.
pub(crate) const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// The service whose paths are signed as they are; all others' are normalized and encoded twice.
pub(crate) const S3: &str = "s3";

/// Where the canonical request could not be made, or not as the client must have made it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Canonical {
    /// The canonical request. Bytes, since header values may be any bytes.
    pub(crate) text: Vec<u8>,
    /// Whether every signed header was in the request. Without one the signature cannot be right.
    pub(crate) complete: bool,
}

/// Builds the canonical request for the headers named in `signed` (separated by semicolons, in the client's order).
pub(crate) fn request(
    parts: &RequestParts<'_>,
    service: &str,
    signed: &str,
    payload_hash: &str,
) -> Result<Canonical, BadEscape> {
    // Names stand in it twice, and most values are short: one allocation serves nearly every request.
    let mut text = Vec::with_capacity(512 + parts.path.len() + 2 * parts.query.len() + 2 * signed.len());
    text.extend_from_slice(parts.method.as_bytes());
    text.push(b'\n');
    if service == S3 {
        recode(&mut text, parts.path.as_bytes(), Keep::Slash, false)?;
    } else {
        encode(&mut text, normalize(parts.path).as_bytes(), Keep::Slash);
    }
    text.push(b'\n');
    query(&mut text, parts.query)?;
    text.push(b'\n');
    let complete = headers(&mut text, parts, signed);
    text.push(b'\n');
    text.extend_from_slice(signed.as_bytes());
    text.push(b'\n');
    text.extend_from_slice(payload_hash.as_bytes());
    Ok(Canonical { text, complete })
}

/// The string to sign for a canonical request.
pub(crate) fn string_to_sign(date: &AmzDate, scope: &str, canonical: &[u8]) -> String {
    let hash = Hex32::of(&sha256(canonical));
    let mut text = String::with_capacity(ALGORITHM.len() + 16 + scope.len() + 64 + 3);
    for (end, piece) in [("\n", ALGORITHM), ("\n", date.as_str()), ("\n", scope), ("", hash.as_str())] {
        text.push_str(piece);
        text.push_str(end);
    }
    text
}

/// Removes `.` and `..` segments and doubled slashes (RFC 3986, section 5.2.4, and SigV4, "Canonical URI").
fn normalize(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                kept.pop();
            }
            segment => kept.push(segment),
        }
    }
    let mut out = String::with_capacity(path.len() + 1);
    for segment in &kept {
        out.push('/');
        out.push_str(segment);
    }
    if out.is_empty() || path.ends_with('/') {
        out.push('/');
    }
    out
}

/// Appends the canonical query: encoded anew, sorted by name, then value; without the signature itself. A `+` is a space, as
/// in S3's reading of queries.
fn query(text: &mut Vec<u8>, query: &str) -> Result<(), BadEscape> {
    if query.is_empty() {
        return Ok(());
    }
    let mut encoded = Vec::with_capacity(query.len() + 32);
    let mut spans: Vec<(usize, usize, usize)> = Vec::with_capacity(16);
    for (name, value) in pieces(query) {
        let start = encoded.len();
        recode(&mut encoded, name.as_bytes(), Keep::Unreserved, true)?;
        let middle = encoded.len();
        if &encoded[start..middle] == b"X-Amz-Signature" {
            encoded.truncate(start);
            continue;
        }
        recode(&mut encoded, value.as_bytes(), Keep::Unreserved, true)?;
        spans.push((start, middle, encoded.len()));
    }
    let key = |span: &(usize, usize, usize)| (&encoded[span.0..span.1], &encoded[span.1..span.2]);
    spans.sort_unstable_by(|one, other| key(one).cmp(&key(other)));
    for (index, span) in spans.iter().enumerate() {
        if index > 0 {
            text.push(b'&');
        }
        let (name, value) = key(span);
        text.extend_from_slice(name);
        text.push(b'=');
        text.extend_from_slice(value);
    }
    Ok(())
}

/// Appends a line for each signed header; false when one is not there.
fn headers(text: &mut Vec<u8>, parts: &RequestParts<'_>, signed: &str) -> bool {
    let mut complete = true;
    for name in signed.split(';') {
        text.extend_from_slice(name.as_bytes());
        text.push(b':');
        let mut count = 0;
        for value in parts.headers.get_all(name) {
            if count > 0 {
                text.push(b',');
            }
            trim_all(text, value.as_bytes());
            count += 1;
        }
        match (count, name, parts.authority) {
            (0, "host", Some(authority)) => text.extend_from_slice(authority.as_bytes()),
            (0, ..) => complete = false,
            _ => {}
        }
        text.push(b'\n');
    }
    complete
}

/// Appends a header value without white space around it, and with one space for each run of white space inside.
fn trim_all(text: &mut Vec<u8>, value: &[u8]) {
    let mut words = value.split(|b| matches!(b, b' ' | b'\t')).filter(|word| !word.is_empty());
    if let Some(word) = words.next() {
        text.extend_from_slice(word);
    }
    for word in words {
        text.push(b' ');
        text.extend_from_slice(word);
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName, HeaderValue};

    use super::*;

    #[test]
    fn paths_of_other_services_are_normalized() {
        for (path, expected) in [
            ("", "/"),
            ("/", "/"),
            ("//", "/"),
            ("/example/..", "/"),
            ("/./", "/"),
            ("/./example", "/example"),
            ("//example//", "/example/"),
            ("/a/../../b/./c", "/b/c"),
        ] {
            assert_eq!(normalize(path), expected, "{path}");
        }
    }

    #[test]
    fn queries_are_sorted_by_name_then_value() {
        for (text, expected) in [
            ("", Ok("")),
            ("b=2&a=1", Ok("a=1&b=2")),
            ("p=b&p=a&p=", Ok("p=&p=a&p=b")),
            ("Param-3=1&Param=2", Ok("Param=2&Param-3=1")),
            ("acl", Ok("acl=")),
            ("&&acl&", Ok("acl=")),
            ("a=b=c", Ok("a=b%3Dc")),
            ("a=x+y&b=%2b", Ok("a=x%20y&b=%2B")),
            ("X-Amz-Signature=1&x=2&X%2DAmz-Signature=3", Ok("x=2")),
            ("x-amz-signature=1", Ok("x-amz-signature=1")),
            ("a=%", Err(BadEscape)),
        ] {
            let mut out = Vec::new();
            let got = query(&mut out, text).map(|()| String::from_utf8(out).unwrap());
            assert_eq!(got.as_deref(), expected.as_deref(), "{text}");
        }
    }

    #[test]
    fn header_lines() {
        let mut map = HeaderMap::new();
        for (name, value) in [("a", "  x   y\t z "), ("b", "2"), ("b", " 1"), ("c", "")] {
            map.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let parts = RequestParts {
            method: "GET",
            path: "/",
            query: "",
            headers: &map,
            authority: Some("h:1"),
            body: &[],
            host_bucket: None,
        };
        for (signed, expected, complete) in [
            ("a;b;c;host", "a:x y z\nb:2,1\nc:\nhost:h:1\n", true),
            ("d", "d:\n", false),
            ("not a name", "not a name:\n", false),
        ] {
            let mut text = Vec::new();
            assert_eq!(headers(&mut text, &parts, signed), complete);
            assert_eq!(String::from_utf8(text).unwrap(), expected);
        }
    }
}
