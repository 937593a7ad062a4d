//! The two protocols: JSON 1.0, named by `X-Amz-Target`, and the older query protocol, whose forms may be sent to a queue's own URL.

mod same;

use std::borrow::Cow;

use bytes::Bytes;
use millpond_api_sqs::{self as json, Operation};
use millpond_api_sqs_query as query;
use millpond_kernel::{RequestHead, ServiceError};
use millpond_wire::{FormPairs, ParseError, Protocol, QueryPairs, RequestView, ResponseParts, Route};

use crate::errors::{self, SqsError};

/// An operation's input.
pub(crate) trait Input: Clone + Send + Sync + 'static {
    /// The operation's name.
    const NAME: &'static str;
    /// What it answers.
    type Output: Output;

    fn json(view: &RequestView<'_>) -> Result<Self, ParseError>;
    fn form(form: &FormPairs<'_>) -> Result<Self, ParseError>;
}

/// An operation's output.
pub(crate) trait Output: Send + 'static {
    fn json(self) -> ResponseParts;
    fn form(self, request_id: &str) -> ResponseParts;
}

/// Which protocol a request speaks: forms have no target.
pub(crate) fn spoken(head: &RequestHead) -> Protocol {
    if head.headers.contains_key("x-amz-target") { Protocol::Json10 } else { Protocol::Query }
}

/// Which operation a target names.
pub(crate) fn targeted(head: &RequestHead) -> Result<Operation, ServiceError> {
    let target = head.headers.get("x-amz-target").and_then(|target| target.to_str().ok()).unwrap_or_default();
    match json::route(target) {
        Route::Served(operation) => Ok(operation),
        Route::Unserved(name) => Err(ServiceError::not_implemented(name)),
        Route::Unknown => Err(ServiceError::new("UnknownOperationException", 400, "The operation is not known.")),
    }
}

/// A form's bytes: the body, or the query of a request without one. Of a form that was sent to a queue's URL the path is the queue's URL, unless
/// it names one itself.
pub(crate) fn form_of<'a>(head: &'a RequestHead, body: &'a [u8]) -> Cow<'a, [u8]> {
    let form = if body.is_empty() { head.query.as_bytes() } else { body };
    let named = form.split(|byte| *byte == b'&').any(|pair| pair.starts_with(b"QueueUrl="));
    if named || head.path.len() <= 1 {
        return Cow::Borrowed(form);
    }
    // The path is percent-encoded already, as a form's value is.
    let mut with = form.to_vec();
    with.extend_from_slice(b"&QueueUrl=");
    with.extend_from_slice(head.path.as_bytes());
    Cow::Owned(with)
}

/// Which operation a form names.
pub(crate) fn named(form: &FormPairs<'_>) -> Option<Operation> {
    match query::route(form.get("Action")?) {
        Route::Served(operation) => Operation::from_name(operation.name()),
        Route::Unserved(_) | Route::Unknown => None,
    }
}

/// A request whose body was read.
pub(crate) struct Message<'a> {
    pub head: &'a RequestHead,
    pub body: &'a Bytes,
    pub protocol: Protocol,
}

impl Message<'_> {
    /// Which operation it is for.
    pub fn operation(&self) -> Result<Operation, ServiceError> {
        if self.protocol != Protocol::Query {
            return targeted(self.head);
        }
        let bytes = form_of(self.head, self.body);
        let form = FormPairs::parse(&bytes).map_err(|error| errors::from_parse(&error).answer(self.protocol))?;
        let Some(action) = form.get("Action") else {
            return Err(ServiceError::new("MissingAction", 400, "The request must contain the parameter Action."));
        };
        // Forms that are sent to a queue's URL by hand often lack a version.
        let version = form.get("Version").unwrap_or(query::VERSION);
        let unknown = || {
            let text = format!("The action {action} is not valid for this endpoint.");
            ServiceError::new("InvalidAction", 400, text)
        };
        if version != query::VERSION {
            return Err(unknown());
        }
        named(&form).ok_or_else(unknown)
    }

    /// Its input.
    pub fn input<I: Input>(&self) -> Result<I, SqsError> {
        let parsed = if self.protocol == Protocol::Query {
            FormPairs::parse(&form_of(self.head, self.body)).and_then(|form| I::form(&form))
        } else {
            QueryPairs::parse("").and_then(|query| {
                let view = RequestView {
                    method: &self.head.method,
                    bucket: None,
                    key: None,
                    labels: &[],
                    query: &query,
                    headers: &self.head.headers,
                    body: self.body,
                };
                I::json(&view)
            })
        };
        parsed.map_err(|error| errors::from_parse(&error))
    }

    /// An output.
    pub fn output<O: Output>(&self, output: O, request_id: &str) -> ResponseParts {
        if self.protocol == Protocol::Query { output.form(request_id) } else { output.json() }
    }
}
