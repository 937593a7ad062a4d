//! The Lambda Runtime API (2018-06-01), one endpoint for each worker.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body as _, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinSet;

use crate::errors::{MAX_ANSWER, payload, too_large};

/// The version, which begins every path.
const VERSION: &str = "/2018-06-01/runtime/";

/// Connections of one worker at a time: a runtime needs one. Others wait in the kernel, so that a function can only keep itself from being served.
const MAX_CONNECTIONS: usize = 16;

/// Within which a connection must have asked for a path of this worker's. On the machine's network others find the port, and would keep the worker's
/// own connections out. Not a limit between requests: a runtime may hold its connection while its handler works.
const STRANGER_TIME: Duration = Duration::from_secs(5);

/// After an accept that failed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// An event on its way to the handler.
#[derive(Debug)]
pub(crate) struct Delivery {
    /// The invocation's id.
    pub(crate) request_id: String,
    /// When it must have been answered, in milliseconds since 1970.
    pub(crate) deadline_ms: u64,
    /// What was invoked.
    pub(crate) invoked_arn: String,
    /// X-Ray's header.
    pub(crate) trace: Option<String>,
    /// The client's context.
    pub(crate) client_context: Option<String>,
    /// The event.
    pub(crate) payload: Bytes,
}

/// What the runtime made of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// An answer.
    Answer(Bytes),
    /// An error object.
    Error(Bytes),
}

/// How the start of a runtime went, as it tells itself.
pub(crate) type Init = Result<(), Bytes>;

/// The state of one worker's conversation.
#[derive(Default)]
pub(crate) struct Api {
    /// What every path begins with besides: a secret where the network is not the worker's own.
    prefix: String,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Told at the first question for an event, or when there will be none.
    init: Option<oneshot::Sender<Init>>,
    /// A question for an event, which waits.
    asking: Option<oneshot::Sender<Arc<Delivery>>>,
    /// An event that was not asked for yet.
    queued: Option<Arc<Delivery>>,
    /// What is being worked on.
    busy: Option<Busy>,
}

struct Busy {
    request_id: String,
    done: oneshot::Sender<Outcome>,
}

impl Api {
    pub(crate) fn new(prefix: String) -> (Arc<Self>, oneshot::Receiver<Init>) {
        let (tell, told) = oneshot::channel();
        let state = State { init: Some(tell), ..State::default() };
        (Arc::new(Self { prefix, state: Mutex::new(state) }), told)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands an event over. The worker must be idle.
    pub(crate) fn deliver(&self, delivery: Delivery) -> oneshot::Receiver<Outcome> {
        let (done, answer) = oneshot::channel();
        let delivery = Arc::new(delivery);
        let mut state = self.lock();
        state.busy = Some(Busy { request_id: delivery.request_id.clone(), done });
        let unasked = match state.asking.take() {
            // Whoever asked may have gone, and will ask again.
            Some(asking) => asking.send(delivery).err(),
            None => Some(delivery),
        };
        state.queued = unasked;
        answer
    }

    /// Serves the worker's connections, for ever; they end with it.
    pub(crate) async fn serve(self: Arc<Self>, listener: TcpListener) {
        let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let mut connections = JoinSet::new();
        while let Ok(place) = places.clone().acquire_owned().await {
            let Ok((stream, _)) = listener.accept().await else {
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            };
            // Small answers must not wait; without it they are merely slower.
            let _ = stream.set_nodelay(true);
            while connections.try_join_next().is_some() {}
            let api = Arc::clone(&self);
            connections.spawn(async move {
                api.converse(stream).await;
                drop(place);
            });
        }
    }

    /// Serves one connection to its end.
    async fn converse(self: Arc<Self>, stream: TcpStream) {
        let known = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&known);
        let service = service_fn(move |request| {
            let (api, seen) = (Arc::clone(&self), Arc::clone(&seen));
            async move { Ok::<_, Infallible>(api.answer(request, &seen).await) }
        });
        let mut serving = pin!(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        tokio::select! {
            // It ends with the worker, in whatever way.
            _ = &mut serving => return,
            () = tokio::time::sleep(STRANGER_TIME) => {}
        }
        if known.load(Ordering::Relaxed) {
            let _ = serving.await;
        }
    }

    async fn answer(&self, request: Request<Incoming>, known: &AtomicBool) -> Response<Full<Bytes>> {
        let (head, body) = request.into_parts();
        let path = head.uri.path().strip_prefix(self.prefix.as_str()).and_then(|path| path.strip_prefix(VERSION));
        let Some(path) = path else { return refused(StatusCode::NOT_FOUND, "UnknownPath", "There is no such path") };
        known.store(true, Ordering::Relaxed);
        match (&head.method, path.split('/').collect::<Vec<_>>().as_slice()) {
            (&Method::GET, ["invocation", "next"]) => self.next().await,
            (&Method::POST, ["invocation", id, "response"]) => match read(body).await {
                Ok(answer) => self.done(id, Outcome::Answer(answer)),
                Err(Unread::TooLarge) => self.answered_too_much(id),
                Err(Unread::CutOff) => cut_off(),
            },
            (&Method::POST, ["invocation", id, "error"]) => match read(body).await {
                Ok(error) => self.done(id, Outcome::Error(error_of(&head, error))),
                Err(Unread::TooLarge) => self.answered_too_much(id),
                Err(Unread::CutOff) => cut_off(),
            },
            (&Method::POST, ["init", "error"]) => match read(body).await {
                Ok(error) => self.init_failed(error_of(&head, error)),
                Err(Unread::TooLarge) => self.init_failed(error_of(&head, Bytes::new())),
                Err(Unread::CutOff) => cut_off(),
            },
            (_, ["invocation", "next"] | ["invocation", _, "response" | "error"] | ["init", "error"]) => {
                refused(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", "The path does not take this method")
            }
            _ => refused(StatusCode::NOT_FOUND, "UnknownPath", "There is no such path"),
        }
    }

    async fn next(&self) -> Response<Full<Bytes>> {
        let coming = {
            let mut state = self.lock();
            if let Some(tell) = state.init.take() {
                // Whoever waited for it may have given up.
                let _ = tell.send(Ok(()));
            }
            if let Some(queued) = state.queued.take() {
                return delivered(&queued);
            }
            if state.busy.is_some() {
                return invalid_state();
            }
            let (asking, coming) = oneshot::channel();
            state.asking = Some(asking);
            coming
        };
        match coming.await {
            Ok(delivery) => delivered(&delivery),
            Err(_) => refused(StatusCode::INTERNAL_SERVER_ERROR, "Stopping", "The worker is being ended"),
        }
    }

    fn done(&self, id: &str, outcome: Outcome) -> Response<Full<Bytes>> {
        let mut state = self.lock();
        match state.busy.take_if(|busy| busy.request_id == id) {
            Some(busy) => {
                // Nobody waits any more when it came too late.
                let _ = busy.done.send(outcome);
                accepted()
            }
            None if state.busy.is_some() => refused(StatusCode::BAD_REQUEST, "InvalidRequestID", "Invalid request ID"),
            None => invalid_state(),
        }
    }

    fn answered_too_much(&self, id: &str) -> Response<Full<Bytes>> {
        let taken = self.done(id, Outcome::Error(too_large()));
        if taken.status() != StatusCode::ACCEPTED {
            return taken;
        }
        respond(StatusCode::PAYLOAD_TOO_LARGE, too_large())
    }

    fn init_failed(&self, error: Bytes) -> Response<Full<Bytes>> {
        match self.lock().init.take() {
            Some(tell) => {
                let _ = tell.send(Err(error));
                accepted()
            }
            None => invalid_state(),
        }
    }
}

/// Why a body was not read.
#[derive(Debug, PartialEq, Eq)]
enum Unread {
    /// It is longer than an answer may be.
    TooLarge,
    /// The connection ended before it did, so that nobody knows what it would have been. The invocation goes on, until the process ends or its time does.
    CutOff,
}

/// A whole body. What is too large is read to its end all the same, so that the answer arrives and the connection serves on; it ends with the time of
/// the invocation at the latest.
async fn read(mut body: Incoming) -> Result<Bytes, Unread> {
    let (mut whole, mut length) = (Vec::new(), 0);
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| Unread::CutOff)?.into_data() else { continue };
        length += data.len();
        if length > MAX_ANSWER {
            whole = Vec::new();
        } else if whole.is_empty() && body.is_end_stream() {
            return Ok(data);
        } else {
            whole.extend_from_slice(&data);
        }
    }
    if length > MAX_ANSWER { Err(Unread::TooLarge) } else { Ok(whole.into()) }
}

/// An error as the runtime told it; one without a body has its type in a header.
fn error_of(head: &http::request::Parts, body: Bytes) -> Bytes {
    if serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(&body).is_ok() {
        return body;
    }
    let kind = head.headers.get("lambda-runtime-function-error-type").and_then(|value| value.to_str().ok());
    payload(kind.unwrap_or("Runtime.Unknown"), &String::from_utf8_lossy(&body))
}

fn delivered(delivery: &Delivery) -> Response<Full<Bytes>> {
    let mut response = respond(StatusCode::OK, delivery.payload.clone());
    let deadline = delivery.deadline_ms.to_string();
    let lines = [
        ("lambda-runtime-aws-request-id", Some(delivery.request_id.as_str())),
        ("lambda-runtime-deadline-ms", Some(deadline.as_str())),
        ("lambda-runtime-invoked-function-arn", Some(delivery.invoked_arn.as_str())),
        ("lambda-runtime-trace-id", delivery.trace.as_deref()),
        ("lambda-runtime-client-context", delivery.client_context.as_deref()),
    ];
    for (name, value) in lines {
        // What is no header value was refused by whoever invoked it.
        if let Some(Ok(value)) = value.map(HeaderValue::from_str) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// Whoever sent it does not read this any more.
fn cut_off() -> Response<Full<Bytes>> {
    refused(StatusCode::BAD_REQUEST, "IncompleteBody", "The request ended before its body did")
}

fn accepted() -> Response<Full<Bytes>> {
    respond(StatusCode::ACCEPTED, Bytes::from_static(b"{\"status\":\"OK\"}"))
}

fn invalid_state() -> Response<Full<Bytes>> {
    refused(StatusCode::FORBIDDEN, "InvalidStateTransition", "The runtime may not do this now")
}

fn refused(status: StatusCode, kind: &str, message: &str) -> Response<Full<Bytes>> {
    respond(status, Bytes::from(json!({ "errorMessage": message, "errorType": kind }).to_string()))
}

fn respond(status: StatusCode, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    response.headers_mut().insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    fn delivery() -> Delivery {
        Delivery {
            request_id: "one".to_owned(),
            deadline_ms: 1,
            invoked_arn: "arn".to_owned(),
            trace: None,
            client_context: None,
            payload: Bytes::from_static(b"{}"),
        }
    }

    /// An endpoint whose paths begin with `/secret`, the task that serves it, and a connection to it.
    async fn served() -> (Arc<Api>, tokio::task::JoinHandle<()>, TcpStream) {
        let (api, _) = Api::new("/secret".to_owned());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = tokio::spawn(Arc::clone(&api).serve(listener));
        (api, serving, TcpStream::connect(address).await.unwrap())
    }

    fn post(path: &str, length: usize, body: &str) -> String {
        format!("POST /secret{VERSION}{path} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n{body}")
    }

    #[tokio::test]
    async fn a_response_that_is_cut_off_is_none() {
        let (api, _serving, first) = served().await;
        let address = first.peer_addr().unwrap();
        let mut answer = api.deliver(delivery());
        let chunked = format!(
            "POST /secret{VERSION}invocation/one/response HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n[1, 2\r\n"
        );
        for half in [
            post("invocation/one/response", 100, "{\"half\": "),
            post("invocation/one/error", 100, "{\"errorType\": "),
            chunked,
        ] {
            let mut connection = TcpStream::connect(address).await.unwrap();
            connection.write_all(half.as_bytes()).await.unwrap();
            connection.shutdown().await.unwrap();
            // It is over when the other end is closed as well.
            let _ = connection.read_to_end(&mut Vec::new()).await;
            assert!(answer.try_recv().is_err(), "{half}");
        }
        let mut connection = first;
        connection.write_all(post("invocation/one/response", 2, "[]").as_bytes()).await.unwrap();
        assert_eq!(answer.await.unwrap(), Outcome::Answer(Bytes::from_static(b"[]")));
    }

    #[tokio::test]
    async fn connections_end_with_who_serves_them() {
        let (api, serving, mut connection) = served().await;
        let ask = format!("GET /secret{VERSION}invocation/next HTTP/1.1\r\nHost: x\r\n\r\n");
        connection.write_all(ask.as_bytes()).await.unwrap();
        while api.lock().asking.is_none() {
            tokio::task::yield_now().await;
        }
        serving.abort();
        // Closed, in whatever way.
        assert!(matches!(connection.read(&mut [0; 16]).await, Ok(0) | Err(_)));
    }

    #[tokio::test]
    async fn strangers_do_not_hold_connections() {
        let (_api, _serving, mut connection) = served().await;
        connection.write_all(b"GET /other HTTP/1.1\r\nHost: x\r\n").await.unwrap();
        assert!(matches!(connection.read(&mut [0; 16]).await, Ok(0) | Err(_)));
    }
}
