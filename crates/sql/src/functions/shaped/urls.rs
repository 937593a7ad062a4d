//! URLs. Trino documentation, "URL functions" (RFC 3986, appendix B, for their parts).

use std::sync::LazyLock;

use arrow::array::ArrayRef;
use datafusion::common::Result;
use regex::Regex;

use super::call::{Call, Overload, bad, of};

static URL: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"^(?:([A-Za-z][A-Za-z0-9+.-]*):)?(?://([^/?#]*))?([^?#]*)(?:\?([^#]*))?(?:#(.*))?$").ok()
});

/// A URL's parts, as they are written; `None` for what Java's `URI` does not take.
fn parts(text: &str) -> Option<[Option<&str>; 5]> {
    // Blanks and some others are never to stand in one.
    if text.contains(|letter: char| letter.is_whitespace() || letter.is_control() || "<>\"{}|\\^`".contains(letter)) {
        return None;
    }
    let found = URL.as_ref()?.captures(text)?;
    Some([1, 2, 3, 4, 5].map(|at| found.get(at).map(|part| part.as_str())))
}

/// The host and the port of an authority.
fn host(authority: &str) -> (&str, Option<&str>) {
    let bare = authority.rsplit_once('@').map_or(authority, |(_, rest)| rest);
    if let Some(end) = bare.find(']') {
        return (&bare[..=end], bare[end + 1..].strip_prefix(':'));
    }
    match bare.rsplit_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (bare, None),
    }
}

fn piece(call: &Call<'_>, pick: fn([Option<&str>; 5]) -> Option<String>) -> Result<ArrayRef> {
    call.texts(|row| Ok(parts(row.text(0)).and_then(pick)))
}

/// `%41` and, where asked, `+` as what they stand for.
fn decoded(text: &str, plus: bool) -> Option<String> {
    let bytes = text.as_bytes();
    let (mut out, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'%' => {
                let digits = text.get(at + 1..at + 3)?;
                out.push(u8::from_str_radix(digits, 16).ok()?);
                at += 2;
            }
            b'+' if plus => out.push(b' '),
            byte => out.push(*byte),
        }
        at += 1;
    }
    Some(String::from_utf8_lossy(&out).into_owned())
}

/// As forms are encoded (Java's `URLEncoder`).
fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' ' => out.push('+'),
            byte if byte.is_ascii_alphanumeric() || b"-_.*".contains(&byte) => out.push(char::from(byte)),
            byte => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// Every function of this file.
pub fn all() -> Vec<Overload> {
    vec![
        of("url_extract_protocol(varchar) -> varchar", |call| {
            piece(call, |[scheme, ..]| Some(scheme.unwrap_or_default().to_owned()))
        }),
        of("url_extract_host(varchar) -> varchar", |call| {
            piece(call, |[_, authority, ..]| Some(authority.map_or("", |text| host(text).0).to_owned()))
        }),
        of("url_extract_port(varchar) -> bigint", |call| {
            call.ints(|row| {
                let found = parts(row.text(0)).and_then(|[_, authority, ..]| host(authority?).1);
                Ok(found.and_then(|port| port.parse().ok()))
            })
        }),
        of("url_extract_path(varchar) -> varchar", |call| {
            piece(call, |[_, _, path, ..]| decoded(path.unwrap_or_default(), false))
        }),
        of("url_extract_query(varchar) -> varchar", |call| {
            piece(call, |[_, _, _, query, _]| decoded(query.unwrap_or_default(), false))
        }),
        of("url_extract_fragment(varchar) -> varchar", |call| {
            piece(call, |[.., fragment]| decoded(fragment.unwrap_or_default(), false))
        }),
        of("url_extract_parameter(varchar, varchar) -> varchar", |call| {
            call.texts(|row| {
                let Some([_, _, _, Some(query), _]) = parts(row.text(0)) else { return Ok(None) };
                let pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
                let mut found = pairs.filter(|(name, _)| decoded(name, true).as_deref() == Some(row.text(1)));
                Ok(found.next().and_then(|(_, value)| decoded(value, true)))
            })
        }),
        of("url_encode(varchar) -> varchar", |call| call.texts(|row| Ok(Some(encoded(row.text(0)))))),
        of("url_decode(varchar) -> varchar", |call| {
            call.texts(|row| match decoded(row.text(0), true) {
                Some(text) => Ok(Some(text)),
                None => Err(bad("URLDecoder: Illegal hex characters in escape (%) pattern")),
            })
        }),
    ]
}
