//! Which bucket and key a request names: by path, or by host and path.

use millpond_kernel::{RequestHead, ServiceError};

/// What a request addresses; texts as sent, decoded but not yet judged.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Address {
    /// The bucket; `None` for the service itself.
    pub bucket: Option<String>,
    /// The key; `None` for the bucket itself.
    pub key: Option<String>,
}

impl Address {
    /// Reads path and host.
    pub fn of(head: &RequestHead) -> Result<Self, ServiceError> {
        let path = head.path.strip_prefix('/').unwrap_or(&head.path);
        if let Some(bucket) = &head.host_bucket {
            return Ok(Self { bucket: Some(bucket.clone()), key: text(path)? });
        }
        let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
        Ok(Self { bucket: text(bucket)?, key: text(key)? })
    }
}

fn text(encoded: &str) -> Result<Option<String>, ServiceError> {
    if encoded.is_empty() {
        return Ok(None);
    }
    decode(encoded).map(Some).ok_or_else(|| {
        ServiceError::new("InvalidURI", 400, "Couldn't parse the specified URI: it must be percent-encoded UTF-8.")
            .field("URI", encoded.chars().take(200).collect::<String>())
    })
}

/// Percent-decodes; `+` stays, as in every path. `None` for a bad escape or for what is not UTF-8.
pub fn decode(encoded: &str) -> Option<String> {
    if !encoded.contains('%') {
        return Some(encoded.to_owned());
    }
    let mut bytes = Vec::with_capacity(encoded.len());
    let mut rest = encoded.as_bytes().iter();
    while let Some(&byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |d: Option<&u8>| d.and_then(|d| char::from(*d).to_digit(16));
        let (high, low) = (digit(rest.next())?, digit(rest.next())?);
        bytes.push((high * 16 + low) as u8);
    }
    String::from_utf8(bytes).ok()
}

/// Percent-encodes all but unreserved characters, `*` and `/`, as S3 does for `encoding-type=url`.
/// A space becomes `+` in listings, which is what AWS sends and SDKs decode.
pub fn encode_for_listing(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len() + 8);
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'*' | b'/' => {
                encoded.push(char::from(byte))
            }
            b' ' => encoded.push('+'),
            _ => {
                const HEX: &[u8; 16] = b"0123456789ABCDEF";
                encoded.push('%');
                encoded.push(char::from(HEX[usize::from(byte >> 4)]));
                encoded.push(char::from(HEX[usize::from(byte & 15)]));
            }
        }
    }
    encoded
}

/// Percent-encodes all but unreserved characters and `/`, for a URL's path.
pub fn encode_path(text: &str) -> String {
    encode_for_listing(text).replace('+', "%20").replace('*', "%2A")
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderMap, Method};

    fn head(path: &str, host_bucket: Option<&str>) -> RequestHead {
        RequestHead {
            method: Method::GET,
            path: path.to_owned(),
            query: String::new(),
            headers: HeaderMap::new(),
            host_bucket: host_bucket.map(str::to_owned),
        }
    }

    #[test]
    fn paths_and_hosts() {
        for (path, host, bucket, key) in [
            ("/", None, None, None),
            ("/b", None, Some("b"), None),
            ("/b/", None, Some("b"), None),
            ("/b/k", None, Some("b"), Some("k")),
            ("/b//", None, Some("b"), Some("/")),
            ("/b/a//b", None, Some("b"), Some("a//b")),
            ("/b/../d", None, Some("b"), Some("../d")),
            ("/b/.", None, Some("b"), Some(".")),
            ("/b/a%2Fb+c%20d", None, Some("b"), Some("a/b+c d")),
            ("/b/%C3%A4", None, Some("b"), Some("ä")),
            ("/", Some("b"), Some("b"), None),
            ("/k/l", Some("b"), Some("b"), Some("k/l")),
        ] {
            let address = Address::of(&head(path, host)).unwrap();
            assert_eq!((address.bucket.as_deref(), address.key.as_deref()), (bucket, key), "{path}");
        }
    }

    #[test]
    fn what_is_no_utf8_is_refused() {
        for path in ["/b/%FF", "/b/%", "/b/%4", "/b/%zz", "/%C3/k"] {
            assert_eq!(Address::of(&head(path, None)).unwrap_err().code, "InvalidURI", "{path}");
        }
    }

    #[test]
    fn listings_encode_as_aws_does() {
        assert_eq!(encode_for_listing("a b/c+d%e*ä~"), "a+b/c%2Bd%25e*%C3%A4%7E");
    }
}
