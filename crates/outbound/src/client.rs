//! Calls.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use millpond_types::Network;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::connect::Connector;
use crate::error::OutboundError;
use crate::guard::Guard;
use crate::limits::{CONNECTIONS, MAX_ANSWER_BYTES, MAX_BODY_BYTES, MAX_HEAD_BYTES, TOTAL_TIME};
use crate::pool::{Connected, Lane, Pool};
use crate::resolve::{Resolve, SystemResolver};
use crate::tls::{InvalidRoots, client_tls};
use crate::url::Url;

/// What the client is told at the start.
#[derive(Default)]
pub struct OutboundConfig {
    /// Networks inside that may be called all the same.
    pub allow: Vec<Network>,
    /// Certificate authorities that are trusted besides the platform's (PEM).
    pub roots: Option<Vec<u8>>,
    /// How names are resolved; `None` for the system's way.
    pub resolver: Option<Arc<dyn Resolve>>,
    /// Bytes of an answer's body that are read, where not [`MAX_ANSWER_BYTES`].
    pub answer_bytes: Option<usize>,
    /// For a whole call at most, where not [`TOTAL_TIME`].
    pub total_time: Option<Duration>,
}

/// What is sent.
pub struct Request {
    /// How.
    pub method: Method,
    /// Where to.
    pub url: Url,
    /// Headers, without those that the client sets (`Host`, `Content-Length`) and those of one connection.
    pub headers: HeaderMap,
    /// The body; may be empty.
    pub body: Bytes,
    /// For the whole call; at most [`TOTAL_TIME`] counts, or what the client was told.
    pub timeout: Duration,
}

/// What came back, whatever its status: redirects are answers too.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, or the first [`MAX_ANSWER_BYTES`] of it (or what the client was told).
    pub body: Bytes,
    /// Whether there is more of the body.
    pub truncated: bool,
}

/// The client. Clones share everything.
#[derive(Clone)]
pub struct Outbound {
    shared: Arc<Shared>,
}

struct Shared {
    connector: Connector,
    pool: Pool,
    turns: Arc<Semaphore>,
    answer_bytes: usize,
    total_time: Duration,
}

/// What the client sets by itself, and what is between two neighbours alone (RFC 9110, 7.6.1). A request whose length is given
/// twice can be read in two ways.
const OWN_HEADERS: &[&str] = &[
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

impl Outbound {
    /// A client; reads the platform's certificate authorities.
    pub fn new(config: OutboundConfig) -> Result<Self, InvalidRoots> {
        let connector = Connector {
            guard: Guard::new(config.allow),
            resolver: config.resolver.unwrap_or_else(|| Arc::new(SystemResolver)),
            tls: client_tls(config.roots.as_deref())?,
        };
        let turns = Arc::new(Semaphore::new(CONNECTIONS));
        let shared = Shared {
            connector,
            pool: Pool::default(),
            turns,
            answer_bytes: config.answer_bytes.unwrap_or(MAX_ANSWER_BYTES),
            total_time: config.total_time.unwrap_or(TOTAL_TIME),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Whether calls may go to a URL as its host resolves now; nothing is sent. (Each call asks again.)
    pub async fn check(&self, url: &Url) -> Result<(), OutboundError> {
        let found =
            tokio::time::timeout(crate::limits::CONNECT_TIME, self.shared.connector.addresses(url.place())).await;
        found.map_err(|_| OutboundError::Unresolved(url.host()))?.map(|_| ())
    }

    /// Whether a header may be given with a request.
    pub fn may_set(name: &HeaderName) -> bool {
        !OWN_HEADERS.contains(&name.as_str())
    }

    /// Sends a request and reads the answer. An error does not say that the request did not arrive.
    pub async fn send(&self, request: Request) -> Result<Answer, OutboundError> {
        check_size(&request)?;
        let within = request.timeout.min(self.shared.total_time);
        let answer = tokio::time::timeout(within, self.shared.call(request)).await;
        answer.unwrap_or(Err(OutboundError::TimedOut(within)))
    }
}

fn check_size(request: &Request) -> Result<(), OutboundError> {
    if let Some(name) = request.headers.keys().find(|name| !Outbound::may_set(name)) {
        return Err(OutboundError::Header(name.to_string()));
    }
    // `name: value` and the line's end.
    let head: usize = request.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    if head > MAX_HEAD_BYTES {
        return Err(OutboundError::TooLong { what: "head", limit: MAX_HEAD_BYTES });
    }
    if request.body.len() > MAX_BODY_BYTES {
        return Err(OutboundError::TooLong { what: "body", limit: MAX_BODY_BYTES });
    }
    Ok(())
}

/// The turns of a call. Dropped when it ends.
type Turns = (OwnedSemaphorePermit, OwnedSemaphorePermit);

impl Shared {
    async fn call(&self, request: Request) -> Result<Answer, OutboundError> {
        let lane = self.pool.lane(request.url.place());
        let _turns = self.turns(&lane).await?;
        let message = message(&request)?;
        let mut connected = self.connected(&lane, &request.url).await?;
        let response = connected.sender.send_request(message).await.map_err(protocol)?;
        let (head, body) = response.into_parts();
        let (body, truncated) = read(body, self.answer_bytes).await?;
        if !truncated {
            lane.give(connected);
        }
        Ok(Answer { status: head.status, headers: head.headers, body, truncated })
    }

    /// The host's turn first: who waits for a slow host holds no turn of the others.
    async fn turns(&self, lane: &Lane) -> Result<Turns, OutboundError> {
        let closed = |_| OutboundError::Protocol("the client has ended".to_owned());
        let own = lane.turns().acquire_owned().await.map_err(closed)?;
        let all = Arc::clone(&self.turns).acquire_owned().await.map_err(closed)?;
        Ok((own, all))
    }

    async fn connected(&self, lane: &Lane, url: &Url) -> Result<Connected, OutboundError> {
        while let Some(mut kept) = lane.take() {
            // Not ready: the other side has closed it, or says something that nobody asked for.
            if kept.sender.ready().await.is_ok() {
                return Ok(kept);
            }
        }
        let mut sender = self.connector.connect(url.place()).await?;
        sender.ready().await.map_err(protocol)?;
        Ok(Connected { sender, since: Instant::now() })
    }
}

fn protocol(error: hyper::Error) -> OutboundError {
    OutboundError::Protocol(error.to_string())
}

fn message(request: &Request) -> Result<http::Request<Full<Bytes>>, OutboundError> {
    let host = HeaderValue::try_from(request.url.place().to_string());
    let host = host.map_err(|_| OutboundError::Url(crate::UrlError::Host))?;
    let mut message = http::Request::new(Full::new(request.body.clone()));
    *message.method_mut() = request.method.clone();
    *message.uri_mut() = http::Uri::from(request.url.path().clone());
    *message.headers_mut() = request.headers.clone();
    message.headers_mut().insert(header::HOST, host);
    Ok(message)
}

/// The body up to its limit, and whether there is more.
async fn read(mut body: Incoming, most: usize) -> Result<(Bytes, bool), OutboundError> {
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(protocol)?.into_data() else { continue };
        let room = most - bytes.len();
        bytes.extend_from_slice(data.get(..room).unwrap_or(&data));
        if data.len() > room {
            return Ok((bytes.freeze(), true));
        }
    }
    Ok((bytes.freeze(), false))
}
