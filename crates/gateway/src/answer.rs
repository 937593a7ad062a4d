//! Answers: what every one carries, and how errors are rendered.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::Stream;
use http::header::{CONNECTION, CONTENT_LENGTH, SERVER};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use http_body::{Body, Frame, SizeHint};
use millpond_kernel::{BodyFailed, Response, ResponseBody, ServiceError};
use millpond_types::RequestId;
use millpond_wire::{ErrorFormat, ErrorShape, ResponseParts};

use crate::record::Record;
use crate::server::Server;
use crate::socket::Progress;

const SERVER_NAME: HeaderValue = HeaderValue::from_static("Millpond");
const S3_REQUEST_ID: HeaderName = HeaderName::from_static("x-amz-request-id");
const S3_HOST_ID: HeaderName = HeaderName::from_static("x-amz-id-2");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");

/// An answer's body as the codec takes it. When it is dropped the answer is over, and its record is written.
pub(crate) struct AnswerBody {
    content: Content,
    progress: Arc<Progress>,
    record: Option<Record>,
}

enum Content {
    Done,
    Full(Bytes),
    Stream { left: u64, chunks: Pin<Box<dyn Stream<Item = Result<Bytes, BodyFailed>> + Send>> },
}

impl AnswerBody {
    fn new(body: ResponseBody, progress: Arc<Progress>, record: Option<Record>) -> Self {
        let content = match body {
            ResponseBody::Empty => Content::Done,
            ResponseBody::Full(bytes) if bytes.is_empty() => Content::Done,
            ResponseBody::Stream { length: 0, .. } => Content::Done,
            ResponseBody::Full(bytes) => Content::Full(bytes),
            ResponseBody::Stream { length, chunks } => Content::Stream { left: length, chunks },
        };
        let mut new = Self { content, progress, record };
        if matches!(new.content, Content::Done) {
            new.ended();
        }
        new
    }

    fn ended(&mut self) {
        if let Some(record) = &mut self.record {
            record.whole();
        }
    }

    fn sent(&mut self, bytes: usize) {
        if let Some(record) = &mut self.record {
            record.sent(bytes);
        }
    }

    fn failed(&mut self, failure: BodyFailed) -> Poll<Option<Result<Frame<Bytes>, BodyFailed>>> {
        if let Some(record) = &self.record {
            tracing::error!(request_id = %record.id, error = %failure, "an answer was cut");
        }
        self.content = Content::Done;
        Poll::Ready(Some(Err(failure)))
    }
}

impl Drop for AnswerBody {
    fn drop(&mut self) {
        self.progress.answered();
    }
}

type Chunk = Option<Result<Bytes, BodyFailed>>;

/// Polls a stream; a panic in it is a failure like another, so that it cuts one answer and is logged with its request.
fn poll_chunk(
    chunks: &mut Pin<Box<dyn Stream<Item = Result<Bytes, BodyFailed>> + Send>>,
    cx: &mut Context<'_>,
) -> Poll<Chunk> {
    let polled = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| chunks.as_mut().poll_next(cx)));
    polled.unwrap_or_else(|panic| Poll::Ready(Some(Err(BodyFailed(panic_text(&*panic))))))
}

/// What a panic said.
pub(crate) fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("panic: {}", text.unwrap_or("of an unknown kind"))
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = BodyFailed;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyFailed>>> {
        let this = self.get_mut();
        loop {
            match &mut this.content {
                Content::Done => return Poll::Ready(None),
                Content::Full(bytes) => {
                    let bytes = std::mem::take(bytes);
                    this.content = Content::Done;
                    this.sent(bytes.len());
                    this.ended();
                    return Poll::Ready(Some(Ok(Frame::data(bytes))));
                }
                Content::Stream { left, chunks } => match ready!(poll_chunk(chunks, cx)) {
                    Some(Ok(bytes)) if bytes.is_empty() => {}
                    Some(Ok(bytes)) => {
                        let Some(rest) = left.checked_sub(bytes.len() as u64) else {
                            return this.failed(BodyFailed("more bytes than declared".to_owned()));
                        };
                        *left = rest;
                        this.sent(bytes.len());
                        if rest == 0 {
                            this.content = Content::Done;
                            this.ended();
                        }
                        return Poll::Ready(Some(Ok(Frame::data(bytes))));
                    }
                    Some(Err(failure)) => return this.failed(failure),
                    None => return this.failed(BodyFailed("fewer bytes than declared".to_owned())),
                },
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.content, Content::Done)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(match &self.content {
            Content::Done => 0,
            Content::Full(bytes) => bytes.len() as u64,
            Content::Stream { left, .. } => *left,
        })
    }
}

/// What an answer needs to know of its request.
pub(crate) struct Asked<'a> {
    pub(crate) method: &'a Method,
    /// The path as sent, for the `Resource` of errors.
    pub(crate) path: &'a str,
    /// How errors are rendered.
    pub(crate) format: ErrorFormat,
    pub(crate) id: RequestId,
    /// Whether the connection ends with this answer.
    pub(crate) close: bool,
}

/// An error as an answer, in the protocol of its service.
pub(crate) fn refusal(server: &Server, asked: &Asked<'_>, error: &ServiceError) -> Response {
    let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut headers = HeaderMap::with_capacity(8);
    for (name, value) in &error.headers {
        match HeaderValue::try_from(value.as_str()) {
            Ok(value) => _ = headers.insert(HeaderName::from_static(name), value),
            Err(_) => tracing::error!(header = name, "a service's error has a header that cannot be sent"),
        }
    }
    if bodiless(asked.method, status) {
        return Response { status, headers, body: ResponseBody::Empty };
    }
    let document = document(server, asked, error);
    for (name, value) in document.headers {
        if let Some(name) = name {
            headers.entry(name).or_insert(value);
        }
    }
    Response { status, headers, body: ResponseBody::Full(document.body) }
}

/// Whether an answer has no body by the rules of HTTP (RFC 9110, section 6.4.1).
fn bodiless(method: &Method, status: StatusCode) -> bool {
    *method == Method::HEAD || status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED
}

/// The answer for the codec: with ids, server and connection headers, and the record that its end will write.
pub(crate) fn finished(
    server: &Server,
    asked: &Asked<'_>,
    response: Response,
    progress: &Arc<Progress>,
    record: Option<Record>,
) -> http::Response<AnswerBody> {
    let Response { status, mut headers, mut body } = response;
    if bodiless(asked.method, status) {
        let length = match &body {
            ResponseBody::Empty => None,
            ResponseBody::Full(bytes) => Some(bytes.len() as u64),
            ResponseBody::Stream { length, .. } => Some(*length),
        };
        if let (Some(length), true) = (length, *asked.method == Method::HEAD) {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        }
        body = ResponseBody::Empty;
    } else if !matches!(body, ResponseBody::Empty) {
        // The codec writes the length of what it is given.
        headers.remove(CONTENT_LENGTH);
    }
    mark(server, asked, &mut headers);
    let mut answer = http::Response::new(AnswerBody::new(body, Arc::clone(progress), record));
    *answer.status_mut() = status;
    *answer.headers_mut() = headers;
    answer
}

/// Adds what every answer carries; the codec adds the date.
fn mark(server: &Server, asked: &Asked<'_>, headers: &mut HeaderMap) {
    headers.insert(SERVER, SERVER_NAME);
    if let Ok(id) = HeaderValue::from_bytes(&asked.id.text()) {
        match asked.format {
            ErrorFormat::S3 => {
                headers.insert(S3_REQUEST_ID, id);
                headers.insert(S3_HOST_ID, server.host_id.clone());
            }
            // A service may have one of its own, which others know the request by.
            _ => _ = headers.entry(REQUEST_ID).or_insert(id),
        }
    }
    if asked.close {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
}

/// A whole answer as bytes, for connections without a codec: those that it gave up, and those over the limit.
pub(crate) fn raw(server: &Server, id: RequestId, error: &ServiceError) -> Vec<u8> {
    let asked = Asked { method: &Method::GET, path: "/", format: ErrorFormat::S3, id, close: true };
    let Response { status, mut headers, body } = refusal(server, &asked, error);
    let body = match body {
        ResponseBody::Full(bytes) => bytes,
        ResponseBody::Empty | ResponseBody::Stream { .. } => Bytes::new(),
    };
    mark(server, &asked, &mut headers);
    headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    let now = std::time::UNIX_EPOCH + std::time::Duration::from_secs(server.clock.wall().seconds());
    if let Ok(date) = HeaderValue::try_from(httpdate::fmt_http_date(now)) {
        headers.insert(http::header::DATE, date);
    }
    let reason = status.canonical_reason().unwrap_or_default();
    let mut bytes = format!("HTTP/1.1 {} {reason}\r\n", status.as_u16()).into_bytes();
    for (name, value) in &headers {
        bytes.extend_from_slice(name.as_str().as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(&body);
    bytes
}

/// The error document of a protocol.
fn document(server: &Server, asked: &Asked<'_>, error: &ServiceError) -> ResponseParts {
    let mut shape = ErrorShape::new(error.code.clone(), error.status, error.message.as_str());
    shape.request_id = asked.id.to_string();
    if asked.format == ErrorFormat::S3 {
        shape.resource = Some(asked.path.to_owned());
        shape.host_id = Some(server.host_id_text().to_owned());
    }
    for (name, value) in &error.fields {
        shape = shape.with(*name, value.as_str());
    }
    for (name, value) in &error.values {
        shape = shape.with(*name, value.clone());
    }
    shape.write(asked.format)
}
