//! A request's body: timed, decoded and verified on its way to a handler, and what becomes of the part that nobody wants.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http::header::{CONTENT_LENGTH, EXPECT};
use http_body::Body;
use hyper::body::Incoming;
use millpond_auth::{Declared, PayloadDecoder, PayloadError, PayloadMode};
use millpond_kernel::{Payload, PayloadSource, ServiceError, Step};
use tokio::time::{Instant, Sleep};

use crate::limits::Limits;
use crate::timer::wake_by;

/// A request's body, shared by its reader, its record and whoever clears it away.
pub(crate) struct RequestBody {
    /// The rest of it, while nobody reads.
    rest: Mutex<Option<Incoming>>,
    received: AtomicU64,
    touched: AtomicBool,
    ended: AtomicBool,
    failed: AtomicBool,
    /// The bytes on the wire, where declared.
    declared: Option<u64>,
    /// Whether the client waits for `100 Continue` before it sends.
    waits: bool,
}

/// Whether the client waits for `100 Continue` before it sends a body.
pub(crate) fn awaits_continue(headers: &HeaderMap) -> bool {
    headers.get(EXPECT).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

impl RequestBody {
    /// The body of a request; `None` when it has none.
    pub(crate) fn of(incoming: Incoming, headers: &HeaderMap) -> Option<Arc<Self>> {
        if incoming.is_end_stream() {
            return None;
        }
        let declared = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
        Some(Arc::new(Self {
            rest: Mutex::new(Some(incoming)),
            received: AtomicU64::new(0),
            touched: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            failed: AtomicBool::new(false),
            declared,
            waits: awaits_continue(headers),
        }))
    }

    /// Bytes of it that came, as they were on the wire.
    pub(crate) fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    fn take(&self) -> Option<Incoming> {
        // The lock guards one assignment; nothing in it can panic half way.
        self.rest.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn put_back(&self, incoming: Incoming) {
        *self.rest.lock().unwrap_or_else(PoisonError::into_inner) = Some(incoming);
    }

    /// Clears away what a finished request has left of its body. Whether the connection can serve another request.
    ///
    /// A small rest is read and dropped, so that the client can send the next request. Otherwise the connection has to end: with a
    /// large rest, one that failed or is still held by someone, and one that the client has perhaps not begun to send
    /// because it waits for `100 Continue`.
    pub(crate) async fn settle(&self, limits: &Limits) -> bool {
        if self.ended.load(Ordering::Relaxed) {
            return true;
        }
        let waiting = self.waits && !self.touched.load(Ordering::Relaxed);
        let left = self.declared.map_or(0, |declared| declared.saturating_sub(self.received()));
        let Some(incoming) = self.take() else { return false };
        if self.failed.load(Ordering::Relaxed) || waiting || left > limits.drain_bytes {
            return false;
        }
        let drained = tokio::time::timeout(limits.drain_time, self.drain(incoming, limits.drain_bytes)).await;
        drained.unwrap_or(false)
    }

    /// Reads up to `limit` bytes to the end. Whether that was the end.
    async fn drain(&self, mut incoming: Incoming, limit: u64) -> bool {
        let mut drained = 0;
        loop {
            match std::future::poll_fn(|cx| Pin::new(&mut incoming).poll_frame(cx)).await {
                None => return true,
                Some(Err(_)) => return false,
                Some(Ok(frame)) => {
                    let bytes = frame.data_ref().map_or(0, Bytes::len) as u64;
                    self.received.fetch_add(bytes, Ordering::Relaxed);
                    drained += bytes;
                    if drained > limit {
                        return false;
                    }
                }
            }
        }
    }
}

fn refused(error: &PayloadError) -> ServiceError {
    let mut refusal = ServiceError::new(error.code(), error.status(), error.to_string());
    refusal.fields = error.fields();
    refusal
}

pub(crate) fn timed_out() -> ServiceError {
    let text = "Your socket connection to the server was not read from or written to within the timeout period. Idle connections will be closed.";
    ServiceError::new("RequestTimeout", 400, text)
}

/// A body that has none.
struct Nothing;

impl PayloadSource for Nothing {
    fn poll_step(&mut self, _: &mut Context<'_>) -> Poll<Result<Step, ServiceError>> {
        Poll::Ready(Ok(Step::End(Vec::new())))
    }
}

/// A body that was read and verified before its handler was called.
struct Whole(Bytes);

impl PayloadSource for Whole {
    fn poll_step(&mut self, _: &mut Context<'_>) -> Poll<Result<Step, ServiceError>> {
        let bytes = std::mem::take(&mut self.0);
        Poll::Ready(Ok(if bytes.is_empty() { Step::End(Vec::new()) } else { Step::Chunk(bytes) }))
    }
}

/// The payload of bytes that are verified.
pub(crate) fn whole(bytes: Bytes) -> Payload {
    let length = bytes.len() as u64;
    Payload::new(Box::new(Whole(bytes)), Some(length))
}

/// The payload of a request whose body is protected by `mode`.
///
/// # Errors
///
/// The headers that describe the body are wrong, or there is none although it was signed to be something else.
pub(crate) fn streamed(
    body: Option<&Arc<RequestBody>>,
    mode: PayloadMode,
    headers: &HeaderMap,
    limits: &Limits,
) -> Result<Payload, ServiceError> {
    let declared = Declared::from_headers(headers).map_err(|error| refused(&error))?;
    let decoder = PayloadDecoder::new(mode, declared).map_err(|error| refused(&error))?;
    let length = decoder.length();
    let incoming = body.and_then(|body| Some((Arc::clone(body), body.take()?)));
    let Some((shared, incoming)) = incoming else {
        decoder.finish().map_err(|error| refused(&error))?;
        return Ok(Payload::new(Box::new(Nothing), length));
    };
    let source = Reader {
        incoming: Some(Watched::new(incoming, shared, limits)),
        decoder: Some(decoder),
        decoded: None,
        queued: VecDeque::new(),
    };
    Ok(Payload::new(Box::new(source), length))
}

/// Reads a body into memory, at most `most` bytes of it: for signatures that cover its hash without naming it.
pub(crate) async fn buffered(body: &Arc<RequestBody>, most: usize, limits: &Limits) -> Result<Bytes, ServiceError> {
    let too_large =
        || ServiceError::new("RequestEntityTooLarge", 413, format!("The request body is larger than {most} bytes."));
    if body.declared.is_some_and(|declared| declared > most as u64) {
        return Err(too_large());
    }
    let Some(incoming) = body.take() else { return Ok(Bytes::new()) };
    let mut watched = Watched::new(incoming, Arc::clone(body), limits);
    let mut whole = BytesMut::new();
    while let Some(bytes) = std::future::poll_fn(|cx| watched.poll_bytes(cx)).await? {
        if whole.len() + bytes.len() > most {
            return Err(too_large());
        }
        whole.extend_from_slice(&bytes);
    }
    Ok(whole.freeze())
}

/// A body being read, with a watch on how fast it comes. Gives the rest back when it is dropped.
struct Watched {
    incoming: Option<Incoming>,
    shared: Arc<RequestBody>,
    pace: Pace,
}

impl Watched {
    fn new(incoming: Incoming, shared: Arc<RequestBody>, limits: &Limits) -> Self {
        Self { incoming: Some(incoming), shared, pace: Pace::new(limits.body_time, limits.body_rate) }
    }

    fn failed(&mut self, error: ServiceError) -> ServiceError {
        self.shared.failed.store(true, Ordering::Relaxed);
        self.incoming = None;
        error
    }

    /// The next bytes; `None` at the end.
    fn poll_bytes(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, ServiceError>> {
        loop {
            let Some(incoming) = &mut self.incoming else { return Poll::Ready(Ok(None)) };
            self.shared.touched.store(true, Ordering::Relaxed);
            let frame = match Pin::new(incoming).poll_frame(cx) {
                Poll::Pending => {
                    if self.pace.too_slow(self.shared.received(), cx) {
                        return Poll::Ready(Err(self.failed(timed_out())));
                    }
                    return Poll::Pending;
                }
                Poll::Ready(frame) => frame,
            };
            self.pace.came();
            match frame {
                None => {
                    self.shared.ended.store(true, Ordering::Relaxed);
                    self.incoming = None;
                    return Poll::Ready(Ok(None));
                }
                Some(Err(_)) => return Poll::Ready(Err(self.failed(refused(&PayloadError::Incomplete)))),
                Some(Ok(frame)) => {
                    // Trailers of the transfer coding are nothing that AWS clients send, and no signature covers them.
                    if let Ok(bytes) = frame.into_data() {
                        self.shared.received.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                        return Poll::Ready(Ok(Some(bytes)));
                    }
                }
            }
        }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if let Some(incoming) = self.incoming.take() {
            self.shared.put_back(incoming);
        }
    }
}

/// How fast a body comes: tells a client that stalls, or trickles, from one that is merely slow. Only time spent waiting counts, so
/// that a handler which is slow to take bytes harms no client.
struct Pace {
    limit: Duration,
    rate: Option<u64>,
    waiting_since: Option<Instant>,
    waited: Duration,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Pace {
    fn new(limit: Duration, rate: Option<u64>) -> Self {
        Self { limit, rate, waiting_since: None, waited: Duration::ZERO, timer: None }
    }

    /// Bytes or the end came.
    fn came(&mut self) {
        if let Some(since) = self.waiting_since.take() {
            self.waited += since.elapsed();
        }
    }

    /// Nothing is there. Whether it has been too slow; otherwise the task is woken when it may have become so.
    fn too_slow(&mut self, received: u64, cx: &mut Context<'_>) -> bool {
        let now = Instant::now();
        let since = *self.waiting_since.get_or_insert(now);
        let waited = self.waited + (now - since);
        let trickles =
            waited > self.limit && self.rate.is_some_and(|rate| received < rate.saturating_mul(waited.as_secs()));
        if now - since >= self.limit || trickles {
            return true;
        }
        wake_by(&mut self.timer, since + self.limit, cx);
        false
    }
}

/// A body on its way to a handler.
struct Reader {
    incoming: Option<Watched>,
    decoder: Option<PayloadDecoder>,
    /// Decoded and not yet taken.
    decoded: Option<Bytes>,
    /// What follows it: only when one read held several chunks, so that plain bodies need no queue.
    queued: VecDeque<Bytes>,
}

impl PayloadSource for Reader {
    fn poll_step(&mut self, cx: &mut Context<'_>) -> Poll<Result<Step, ServiceError>> {
        loop {
            if let Some(bytes) = self.decoded.take().or_else(|| self.queued.pop_front()) {
                return Poll::Ready(Ok(Step::Chunk(bytes)));
            }
            let Some(incoming) = &mut self.incoming else {
                return Poll::Ready(Err(refused(&PayloadError::Incomplete)));
            };
            let bytes = std::task::ready!(incoming.poll_bytes(cx))?;
            let Some(decoder) = &mut self.decoder else {
                return Poll::Ready(Err(refused(&PayloadError::Incomplete)));
            };
            match bytes {
                Some(bytes) => {
                    let (decoded, queued) = (&mut self.decoded, &mut self.queued);
                    let mut out = |bytes| match decoded {
                        None => *decoded = Some(bytes),
                        Some(_) => queued.push_back(bytes),
                    };
                    decoder.push(bytes, &mut out).map_err(|error| refused(&error))?;
                }
                None => return Poll::Ready(self.end()),
            }
        }
    }
}

impl Reader {
    fn end(&mut self) -> Result<Step, ServiceError> {
        self.incoming = None;
        let end = self.decoder.take().ok_or(PayloadError::Incomplete).and_then(PayloadDecoder::finish);
        let end = end.map_err(|error| refused(&error))?;
        let trailers = end.trailers().iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
        Ok(Step::End(trailers.collect()))
    }
}
