//! URLs that can be called.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use http::Uri;
use http::uri::PathAndQuery;

use crate::limits::MAX_URL_BYTES;

/// The protocols that are spoken.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Scheme {
    /// Unencrypted.
    Http,
    /// With TLS.
    Https,
}

impl Scheme {
    /// As URLs write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    fn port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// A host: a name to be resolved, or an address.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Host {
    /// In lower case.
    Name(String),
    /// As itself.
    Address(IpAddr),
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Address(IpAddr::V4(address)) => address.fmt(f),
            Self::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
        }
    }
}

/// Where connections go: calls to the same place share them.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Place {
    pub(crate) scheme: Scheme,
    pub(crate) host: Host,
    pub(crate) port: u16,
}

impl fmt::Display for Place {
    /// As the header `Host` has it: without the port that the protocol has anyway.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.port == self.scheme.port() {
            return self.host.fmt(f);
        }
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// An absolute `http` or `https` URL without user information. A fragment is dropped, as it is never sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Url {
    place: Place,
    path: PathAndQuery,
}

/// Why a text is no URL that can be called.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum UrlError {
    /// It is no absolute URL.
    #[error("this is no absolute URL")]
    Malformed,
    /// It is too long.
    #[error("a URL has at most {MAX_URL_BYTES} bytes")]
    TooLong,
    /// Some other protocol.
    #[error("a URL begins with http:// or https://")]
    Scheme,
    /// `user@host` would send secrets that lie in a configuration, and hides which host it is.
    #[error("a URL has no user name and no password")]
    UserInformation,
    /// The host is neither a name nor an address.
    #[error("the URL's host is neither a name nor an address in its usual form")]
    Host,
    /// There is no such port.
    #[error("the URL's port is none from 1 to 65535")]
    Port,
}

impl Url {
    /// The protocol.
    pub fn scheme(&self) -> Scheme {
        self.place.scheme
    }

    /// The host, in lower case; an IPv6 address in brackets.
    pub fn host(&self) -> String {
        self.place.host.to_string()
    }

    /// The port, also where the URL has none.
    pub fn port(&self) -> u16 {
        self.place.port
    }

    /// Host and port as the header `Host` has them.
    pub fn authority(&self) -> String {
        self.place.to_string()
    }

    /// Path and query, as they are sent.
    pub fn path_and_query(&self) -> &str {
        self.path.as_str()
    }

    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    pub(crate) fn path(&self) -> &PathAndQuery {
        &self.path
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.place.scheme.as_str(), self.place, self.path)
    }
}

impl FromStr for Url {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        if text.len() > MAX_URL_BYTES {
            return Err(UrlError::TooLong);
        }
        let uri: Uri = text.parse().map_err(|_| UrlError::Malformed)?;
        let scheme = match uri.scheme_str() {
            Some("http") => Scheme::Http,
            Some("https") => Scheme::Https,
            Some(_) => return Err(UrlError::Scheme),
            None => return Err(UrlError::Malformed),
        };
        let authority = uri.authority().ok_or(UrlError::Malformed)?;
        if authority.as_str().contains('@') {
            return Err(UrlError::UserInformation);
        }
        let host = host(authority.host())?;
        let rest = authority.as_str().get(authority.host().len()..).unwrap_or_default();
        let port = match rest.strip_prefix(':') {
            // RFC 3986 has an empty port mean the protocol's.
            None | Some("") => scheme.port(),
            Some(digits) => port(digits)?,
        };
        let path = uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
        Ok(Self { place: Place { scheme, host, port }, path })
    }
}

fn port(digits: &str) -> Result<u16, UrlError> {
    // A number's own parser would take a sign.
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|port| plain && *port != 0).ok_or(UrlError::Port)
}

/// The most bytes of a name in the domain name system (RFC 1035), and of each of its labels.
const MAX_NAME: usize = 253;
const MAX_LABEL: usize = 63;

/// Resolvers take `127.1`, `0x7f000001`, `2130706433` and `0177.0.0.1` for addresses. What ends in a number is therefore an
/// address in its usual form, or nothing (as the URL standard of the WHATWG has it, less the odd forms).
fn host(text: &str) -> Result<Host, UrlError> {
    if let Some(inner) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        // A zone (`fe80::1%eth0`) is refused by the parser.
        return inner.parse::<Ipv6Addr>().map(|a| Host::Address(a.into())).map_err(|_| UrlError::Host);
    }
    let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    let last = name.rsplit('.').next().unwrap_or_default();
    if is_number(last) {
        return text.parse::<Ipv4Addr>().map(|a| Host::Address(a.into())).map_err(|_| UrlError::Host);
    }
    let fits = |label: &str| {
        (1..=MAX_LABEL).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    if name.len() > MAX_NAME || !name.split('.').all(fits) {
        return Err(UrlError::Host);
    }
    Ok(Host::Name(name))
}

fn is_number(label: &str) -> bool {
    let digits = label.bytes().all(|byte| byte.is_ascii_digit()) && !label.is_empty();
    digits || label.strip_prefix("0x").is_some_and(|hex| hex.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_that_can_be_called() {
        for (text, shown, port) in [
            ("http://example.com", "http://example.com/", 80),
            ("HTTPS://Example.COM/Path?q=%20a#part", "https://example.com/Path?q=%20a", 443),
            ("http://example.com:8080/a", "http://example.com:8080/a", 8080),
            ("http://example.com:/a", "http://example.com/a", 80),
            ("http://example.com:80/", "http://example.com/", 80),
            ("http://example.com./", "http://example.com/", 80),
            ("http://my_host-1/", "http://my_host-1/", 80),
            ("http://192.0.2.1:9/", "http://192.0.2.1:9/", 9),
            ("http://[2001:db8::1]:9/", "http://[2001:db8::1]:9/", 9),
            ("http://[::FFFF:127.0.0.1]/", "http://[::ffff:127.0.0.1]/", 80),
            ("http://example.com?q", "http://example.com/?q", 80),
            ("http://3com.example/", "http://3com.example/", 80),
        ] {
            let url: Url = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!((url.to_string().as_str(), url.port()), (shown, port), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_called() {
        use UrlError::{Host, Malformed, Port, Scheme, TooLong, UserInformation};
        for (text, error) in [
            ("", Malformed),
            ("example.com", Malformed),
            ("/path", Malformed),
            ("//example.com/", Malformed),
            ("http:///path", Malformed),
            ("http://exa mple.com/", Malformed),
            ("http://ex\u{e4}mple.com/", Malformed),
            ("ftp://example.com/", Scheme),
            ("file://host/etc/passwd", Scheme),
            ("gopher://127.0.0.1:70/", Scheme),
            ("http://user:password@example.com/", UserInformation),
            ("http://example.com@127.0.0.1/", UserInformation),
            ("http://example.com:0/", Port),
            ("http://example.com:65536/", Port),
            ("http://2130706433/", Host),
            ("http://0x7f000001/", Host),
            ("http://0x7f.0.0.1/", Host),
            ("http://0177.0.0.1/", Host),
            ("http://127.1/", Host),
            ("http://127.0.0.1./", Host),
            ("http://127.0.0.0x1/", Host),
            ("http://0/", Host),
            ("http://1.2.3.4.5/", Host),
            ("http://256.1.1.1/", Host),
            ("http://a..b/", Host),
            ("http://.a/", Host),
            ("http://[::1%25lo]/", Host),
            ("http://[1.2.3.4]/", Host),
        ] {
            let found = text.parse::<Url>().unwrap_err();
            // What http's own parser refuses by itself is as good.
            assert!(found == error || found == Malformed, "{text}: {found:?}");
        }
        let long = format!("http://example.com/{}", "a".repeat(MAX_URL_BYTES));
        assert_eq!(long.parse::<Url>(), Err(TooLong));
        let label = format!("http://{}.com/", "a".repeat(64));
        assert_eq!(label.parse::<Url>(), Err(Host));
    }
}
