//! A request as generated code reads it.

use bytes::Bytes;
use http::{HeaderMap, Method};

use crate::QueryPairs;

/// A part of the path that the operation names, percent-decoded.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Label {
    /// The label's name in the model.
    pub name: &'static str,
    /// The decoded value.
    pub value: String,
}

/// The parts of one request, borrowed. Streamed bodies are not part of it: for them `body` is empty.
#[derive(Clone, Copy, Debug)]
pub struct RequestView<'a> {
    /// The method.
    pub method: &'a Method,
    /// The bucket, for services addressed as S3 is (by path or by host).
    pub bucket: Option<&'a str>,
    /// The object key, decoded, for services addressed as S3 is.
    pub key: Option<&'a str>,
    /// The labels of the path, for all other REST services.
    pub labels: &'a [Label],
    /// The query, parsed.
    pub query: &'a QueryPairs<'a>,
    /// The headers, values trimmed as HTTP asks.
    pub headers: &'a HeaderMap,
    /// The whole body.
    pub body: &'a Bytes,
}

/// The query of protocols that have none.
static NO_QUERY: QueryPairs<'static> = QueryPairs::none();

impl<'a> RequestView<'a> {
    /// A request of which only the body says anything, as in the JSON protocols.
    pub fn of_body(method: &'a Method, headers: &'a HeaderMap, body: &'a Bytes) -> Self {
        Self { method, bucket: None, key: None, labels: &[], query: &NO_QUERY, headers, body }
    }

    /// The value of a path label.
    pub fn label(&self, name: &str) -> Option<&'a str> {
        self.labels.iter().find(|label| label.name == name).map(|label| label.value.as_str())
    }
}
