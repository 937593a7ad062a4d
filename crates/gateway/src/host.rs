//! Which bucket, if any, a request's host names (S3 User Guide, "Virtual hosting of general purpose buckets").

use http::HeaderMap;
use http::Uri;
use http::header::HOST;

/// Why a request's host says nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum HostError {
    /// There is none, in the target or in a `Host` header (RFC 9112, section 3.2).
    #[error("The request has no Host header.")]
    Missing,
    /// There is more than one `Host` header.
    #[error("The request has more than one Host header.")]
    Repeated,
    /// It is no host name or address.
    #[error("The Host header is not valid.")]
    Malformed,
}

/// What a request is addressed to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Addressed {
    /// The endpoint itself: the path names the bucket.
    Endpoint,
    /// A bucket of the endpoint.
    Bucket(String),
}

/// Reads the host of a request. An authority in the target must be that of the `Host` header, where both are there: the signature
/// covers the header, and what is signed for one host must not be served from another.
pub(crate) fn addressed(uri: &Uri, headers: &HeaderMap, domains: &[String]) -> Result<Addressed, HostError> {
    let mut hosts = headers.get_all(HOST).iter();
    let header = hosts.next();
    if hosts.next().is_some() {
        return Err(HostError::Repeated);
    }
    let text = match (uri.authority(), header) {
        (Some(authority), Some(value)) if !value.as_bytes().eq_ignore_ascii_case(authority.as_str().as_bytes()) => {
            return Err(HostError::Malformed);
        }
        (Some(authority), _) => authority.as_str(),
        (None, Some(value)) => value.to_str().map_err(|_| HostError::Malformed)?,
        (None, None) => return Err(HostError::Missing),
    };
    Ok(place(host_name(text)?, domains))
}

/// The host without its port.
fn host_name(text: &str) -> Result<&str, HostError> {
    let (host, port) = if text.starts_with('[') {
        let end = text.find(']').ok_or(HostError::Malformed)?;
        let (host, rest) = text.split_at(end + 1);
        (host, if rest.is_empty() { None } else { Some(rest.strip_prefix(':').ok_or(HostError::Malformed)?) })
    } else {
        match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        }
    };
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
    let good_host = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(address) => {
            !address.is_empty() && address.bytes().all(|b| b.is_ascii_hexdigit() || matches!(b, b':' | b'.'))
        }
        None => !host.is_empty() && host.bytes().all(plain),
    };
    let good_port = port.is_none_or(|port| port.len() <= 5 && port.bytes().all(|b| b.is_ascii_digit()));
    if good_host && good_port { Ok(host.strip_suffix('.').unwrap_or(host)) } else { Err(HostError::Malformed) }
}

/// What stands before the longest domain that the host ends with. Addresses and unknown names are path style.
fn place(host: &str, domains: &[String]) -> Addressed {
    let mut bucket: Option<&str> = None;
    for domain in domains {
        if host.eq_ignore_ascii_case(domain) {
            return Addressed::Endpoint;
        }
        let Some(at) = host.len().checked_sub(domain.len() + 1) else { continue };
        let ends_with =
            host.as_bytes()[at] == b'.' && host.as_bytes()[at + 1..].eq_ignore_ascii_case(domain.as_bytes());
        if at > 0 && ends_with && bucket.is_none_or(|found| at < found.len()) {
            bucket = Some(&host[..at]);
        }
    }
    bucket.map_or(Addressed::Endpoint, |name| Addressed::Bucket(name.to_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(target: &str, hosts: &[&str]) -> Result<Option<String>, HostError> {
        let mut headers = HeaderMap::new();
        for host in hosts {
            headers.append(HOST, http::HeaderValue::from_bytes(host.as_bytes()).unwrap());
        }
        let domains = ["localhost", "s3.localhost", "lake.example.org"].map(str::to_owned);
        addressed(&target.parse().unwrap(), &headers, &domains).map(|found| match found {
            Addressed::Endpoint => None,
            Addressed::Bucket(name) => Some(name),
        })
    }

    #[test]
    fn hosts_name_buckets() {
        for (host, bucket) in [
            ("localhost", None),
            ("localhost:9000", None),
            ("LOCALHOST:9000", None),
            ("s3.localhost", None),
            ("photos.localhost", Some("photos")),
            ("Photos.localhost:9000", Some("photos")),
            ("photos.localhost.", Some("photos")),
            ("photos.s3.localhost:9000", Some("photos")),
            ("my.photos.s3.localhost", Some("my.photos")),
            ("a.lake.example.org", Some("a")),
            ("lake.example.org", None),
            ("example.org", None),
            ("notlocalhost", None),
            (".localhost", None),
            ("127.0.0.1:9000", None),
            ("10.0.0.1", None),
            ("[::1]:9000", None),
            ("[::1]", None),
        ] {
            assert_eq!(at("/", &[host]), Ok(bucket.map(str::to_owned)), "{host}");
        }
    }

    #[test]
    fn hosts_are_refused() {
        for (target, hosts, error) in [
            ("/", vec![], HostError::Missing),
            ("/", vec!["a", "a"], HostError::Repeated),
            ("/", vec![""], HostError::Malformed),
            ("/", vec![":80"], HostError::Malformed),
            ("/", vec!["a b"], HostError::Malformed),
            ("/", vec!["a/b"], HostError::Malformed),
            ("/", vec!["a:port"], HostError::Malformed),
            ("/", vec!["a:1:2"], HostError::Malformed),
            ("/", vec!["a:123456"], HostError::Malformed),
            ("/", vec!["[::1"], HostError::Malformed),
            ("/", vec!["[]"], HostError::Malformed),
            ("/", vec!["[::1]x"], HostError::Malformed),
            ("/", vec!["user@localhost"], HostError::Malformed),
            ("/", vec!["b\u{fc}cher.localhost"], HostError::Malformed),
        ] {
            assert_eq!(at(target, &hosts), Err(error), "{hosts:?}");
        }
    }

    #[test]
    fn the_target_names_the_host_of_the_header() {
        assert_eq!(at("http://b.localhost/k", &["a.localhost"]), Err(HostError::Malformed));
        assert_eq!(at("http://localhost/b/k", &["b.localhost"]), Err(HostError::Malformed));
        assert_eq!(at("http://b.localhost/k", &["B.localhost"]), Ok(Some("b".to_owned())));
        assert_eq!(at("http://b.localhost:1/k", &[]), Ok(Some("b".to_owned())));
    }
}
