//! What the gateway asks of a service, and what it gets.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::Stream;
use futures_util::future::BoxFuture;
use http::{HeaderMap, Method, StatusCode};
use millpond_wire::{ErrorFormat, Protocol};

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

    /// What stands before the last dot in the `X-Amz-Target` of its requests, such as `TrentService`; `None` outside the JSON
    /// protocols. Tells which service an unsigned request is for.
    fn target_prefix(&self) -> Option<&'static str> {
        None
    }

    /// Which operation a request is for. Looks at the head alone; services of the query protocol, whose operation stands
    /// in the body, answer with a name for what is not known yet.
    fn identify(&self, head: &RequestHead) -> Result<OperationRef, ServiceError>;

    /// Which operation a body names, where the head does not tell, now that the body was read and its sender is believed. `None` for
    /// what the service does not know: a client's own words never become a label of a metric.
    fn identify_body(&self, _head: &RequestHead, _body: &[u8]) -> Option<OperationRef> {
        None
    }

    /// How the audit trail shows an operation: under its own name, as what its verb says, unless the service says otherwise.
    fn event(&self, operation: OperationRef) -> EventKind {
        EventKind::by_verb(operation.name)
    }

    /// Carries a request out.
    fn call(&self, request: ServiceRequest) -> BoxFuture<'_, Result<Response, ServiceError>>;
}
