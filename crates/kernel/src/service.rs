//! What the gateway asks of a service, and what it gets.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::Stream;
use futures_util::future::BoxFuture;
use http::{HeaderMap, Method, StatusCode};
use millpond_wire::{ErrorFormat, Protocol, ResponseParts};

use crate::audit::EventKind;
use crate::{Caller, Payload, ServiceError};

/// The head of a request, as it was sent.
#[derive(Clone, Debug)]
pub struct RequestHead {
    /// The method.
    pub method: Method,
    /// The path, still percent-encoded; begins with `/`.
    pub path: String,
    /// The query, still percent-encoded, without the `?`; empty when there is none.
    pub query: String,
    /// The headers.
    pub headers: HeaderMap,
    /// The bucket that the host names (virtual-hosted style), such as `photos` of `photos.s3.localhost`.
    pub host_bucket: Option<String>,
}

/// An operation of a service, as it was told from a request's head.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OperationRef {
    /// The API's name for it, such as `PutObject`; for logs and metrics.
    pub name: &'static str,
    /// The service's own number for it.
    pub index: u16,
}

/// A request whose sender is known.
pub struct ServiceRequest {
    /// Its head.
    pub head: RequestHead,
    /// Its operation, as [`Service::identify`] told it.
    pub operation: OperationRef,
    /// Its body.
    pub payload: Payload,
    /// Its sender.
    pub caller: Arc<Caller>,
}

/// Why a body that is being sent ends early. The connection is cut, so that the client cannot take it for whole.
#[derive(Debug, thiserror::Error)]
#[error("the response body ends early: {0}")]
pub struct BodyFailed(pub String);

/// The body of a response.
pub enum ResponseBody {
    /// None.
    Empty,
    /// All of it.
    Full(Bytes),
    /// As it is read; `length` in bytes goes into `Content-Length`.
    Stream {
        /// Bytes in total.
        length: u64,
        /// The bytes.
        chunks: Pin<Box<dyn Stream<Item = Result<Bytes, BodyFailed>> + Send>>,
    },
}

impl fmt::Debug for ResponseBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("Empty"),
            Self::Full(bytes) => write!(f, "Full({} bytes)", bytes.len()),
            Self::Stream { length, .. } => write!(f, "Stream({length} bytes)"),
        }
    }
}

/// A response, but for what the gateway adds to each: request ids, date and server.
#[derive(Debug)]
pub struct Response {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: ResponseBody,
}

impl Response {
    /// What generated code made of an output.
    pub fn of(parts: ResponseParts) -> Result<Self, ServiceError> {
        let status = StatusCode::from_u16(parts.status).map_err(|_| ServiceError::internal())?;
        Ok(Self { status, headers: parts.headers, body: ResponseBody::Full(parts.body) })
    }
}

/// A service.
pub trait Service: Send + Sync + 'static {
    /// The name in credential scopes, such as `s3`.
    fn name(&self) -> &'static str;

    /// Further services, by the names that clients call them, that it answers for under its own name.
    fn includes(&self) -> &'static [&'static str] {
        &[]
    }

    /// The protocol that it speaks.
    fn protocol(&self) -> Protocol;

    /// How its errors are rendered: as its protocol does, unless it says otherwise. Services whose documents carry a namespace do.
    fn error_format(&self) -> ErrorFormat {
        match self.protocol() {
            Protocol::RestXml => ErrorFormat::S3,
            Protocol::RestJson => ErrorFormat::RestJson,
            Protocol::Json10 => ErrorFormat::Json10,
            Protocol::Json11 => ErrorFormat::Json11,
            Protocol::Query => ErrorFormat::Query { namespace: None },
        }
    }

    /// The protocol of a request, for services that speak more than one.
    fn protocol_of(&self, _head: &RequestHead) -> Protocol {
        self.protocol()
    }

    /// How errors of a request are rendered, for services that speak more than one protocol.
    fn error_format_of(&self, _head: &RequestHead) -> ErrorFormat {
        self.error_format()
    }

    /// Whether an unsigned form that is sent to this path, other than `/`, is for this service.
    fn takes_form(&self, _path: &str) -> bool {
        false
    }

    /// Bytes of the largest body that is read before its signature can be checked, where that is more than the gateway's limit.
    fn max_body(&self) -> Option<usize> {
        None
    }

    /// The same for one request, where that tells more.
    fn max_body_of(&self, _head: &RequestHead) -> Option<usize> {
        self.max_body()
    }

    /// What stands before the last dot in the `X-Amz-Target` of its requests, such as `TrentService`; `None` outside the JSON
    /// protocols. Tells which service an unsigned request is for.
    fn target_prefix(&self) -> Option<&'static str> {
        None
    }

    /// The same, for services that have several APIs.
    fn target_prefixes(&self) -> &'static [&'static str] {
        &[]
    }

    /// Which operation a request is for. Looks at the head alone; services of the query protocol, whose operation stands
    /// in the body, answer with a name for what is not known yet.
    fn identify(&self, head: &RequestHead) -> Result<OperationRef, ServiceError>;

    /// Which operation a body names, where the head does not tell, now that the body was read and its sender is believed. `None` for
    /// what the service does not know: a client's own words never become a label of a metric.
    fn identify_body(&self, _head: &RequestHead, _body: &[u8]) -> Option<OperationRef> {
        None
    }

    /// Whether an unsigned GET of `/` whose query has this `Action` is for it: links that it sends to people.
    fn takes_link(&self, _action: &str) -> bool {
        false
    }

    /// A page of its own, for whoever asks, by what stands behind `/_millpond/`; `None` when it has none of that name.
    fn page<'a>(&'a self, _name: &'a str) -> BoxFuture<'a, Option<Response>> {
        Box::pin(std::future::ready(None))
    }

    /// How the audit trail shows an operation: under its own name, as what its verb says, unless the service says otherwise.
    fn event(&self, operation: OperationRef) -> EventKind {
        EventKind::by_verb(operation.name)
    }

    /// Carries a request out.
    fn call(&self, request: ServiceRequest) -> BoxFuture<'_, Result<Response, ServiceError>>;
}
