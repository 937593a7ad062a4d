//! The parts of a request that a signature covers.

use http::HeaderMap;
use http::header::HOST;

/// A request as it came over the wire, before anything is decoded.
#[derive(Clone, Copy, Debug)]
pub struct RequestParts<'a> {
    /// The method, in upper case.
    pub method: &'a str,
    /// The path as sent: percent-encoded or not, with its leading slash.
    pub path: &'a str,
    /// The query as sent, without the question mark; empty when there is none.
    pub query: &'a str,
    /// All headers as sent.
    pub headers: &'a HeaderMap,
    /// The authority of an absolute request target (or `:authority`); stands in for a missing `Host` header.
    pub authority: Option<&'a str>,
    /// The whole body, for services other than S3, whose signatures cover its hash without naming it. S3 ignores it.
    pub body: &'a [u8],
    /// The bucket that the host names (virtual-hosted style), in lower case. Signature Version 2 covers it; Version 4 covers
    /// the host.
    pub host_bucket: Option<&'a str>,
}

impl<'a> RequestParts<'a> {
    /// The parts of a parsed request with an empty body.
    pub fn of<B>(request: &'a http::Request<B>) -> Self {
        let uri = request.uri();
        Self {
            method: request.method().as_str(),
            path: uri.path(),
            query: uri.query().unwrap_or_default(),
            headers: request.headers(),
            authority: uri.authority().map(http::uri::Authority::as_str),
            body: &[],
            host_bucket: None,
        }
    }

    /// Whether a header of this lower-case name is there, `host` also by the authority.
    pub(crate) fn has_header(&self, name: &str) -> bool {
        self.headers.contains_key(name) || (name == HOST.as_str() && self.authority.is_some())
    }
}
