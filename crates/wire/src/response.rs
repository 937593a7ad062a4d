//! A response, before it goes on the wire.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue};

/// Status, headers and body of a response. A streamed body is sent by whoever owns the stream; then `body` is empty.
#[derive(Clone, Debug, Default)]
pub struct ResponseParts {
    /// The HTTP status code.
    pub status: u16,
    /// The headers that the model knows; the edge adds request ids, date and length.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl ResponseParts {
    /// An empty response.
    pub fn new(status: u16) -> Self {
        Self { status, headers: HeaderMap::new(), body: Bytes::new() }
    }

    /// Sets the body, and the content type unless a header member has set it.
    pub fn set_body(&mut self, content_type: &'static str, body: impl Into<Bytes>) {
        self.headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static(content_type));
        self.body = body.into();
    }

    /// Sets a header to a text; see [`crate::headers::value`] for what happens to control characters.
    pub fn set_header(&mut self, name: &HeaderName, text: &str) {
        self.headers.insert(name.clone(), crate::headers::value(text));
    }
}
