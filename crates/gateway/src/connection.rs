//! One connection: the codec, and what it cannot say for itself.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use millpond_kernel::ServiceError;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::watch;

use crate::answer;
use crate::dispatch;
use crate::record::Record;
use crate::server::Server;
use crate::socket::{Progress, Socket, SocketLimits, Verdict};

/// The codec's buffer in each direction: large reads and writes for large objects. It must hold the largest head.
const CODEC_BUFFER: usize = 400 * 1024;

/// The least that the codec takes for a buffer.
const LEAST_CODEC_BUFFER: usize = 8 * 1024;

/// Header lines that the codec parses without an allocation.
const FREE_HEADER_LINES: usize = 100;

/// Bytes that a lingering connection reads at once.
const LINGER_BUFFER: usize = 16 * 1024;

/// How a connection came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Way {
    /// To the port.
    Port,
    /// To the port, with TLS of a version such as `1.3`.
    Tls(&'static str),
    /// By a door, from a function.
    Door,
}

impl Way {
    /// The version of TLS, if it is spoken.
    pub(crate) fn tls(self) -> Option<&'static str> {
        if let Self::Tls(version) = self { Some(version) } else { None }
    }
}

/// The other end of a connection.
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    pub(crate) way: Way,
    pub(crate) progress: Arc<Progress>,
}

/// Where the gateway is between its start and its end.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Stage {
    /// Requests are taken.
    Serving,
    /// Requests in flight are finished, no others begun.
    Finishing,
    /// Connections are cut.
    Cutting,
}

/// Waits for a stage.
async fn reached(stage: &mut watch::Receiver<Stage>, wanted: Stage) {
    // An error means that the gateway is gone, which is past every stage.
    let _ = stage.wait_for(|stage| *stage >= wanted).await;
}

/// Serves a connection to its end.
pub(crate) async fn serve<S>(
    server: Arc<Server>,
    stream: S,
    address: SocketAddr,
    way: Way,
    mut stage: watch::Receiver<Stage>,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let limits = &server.config.limits;
    let progress = Arc::new(Progress::default());
    let watched = SocketLimits {
        head_bytes: limits.head_bytes,
        head_time: limits.head_time,
        idle_time: limits.idle_time,
        write_time: limits.write_time,
        write_rate: limits.write_rate,
    };
    let socket = Socket::new(stream, watched, Arc::clone(&progress));
    let peer = Arc::new(Peer { address, way, progress });
    let handler = {
        let (server, peer) = (Arc::clone(&server), Arc::clone(&peer));
        service_fn(move |request| dispatch::serve(Arc::clone(&server), Arc::clone(&peer), request))
    };
    let mut connection = codec(&server).serve_connection(TokioIo::new(socket), handler);
    let ended = tokio::select! {
        biased;
        ended = &mut connection => ended,
        () = reached(&mut stage, Stage::Finishing) => {
            std::pin::Pin::new(&mut connection).graceful_shutdown();
            tokio::select! {
                biased;
                ended = &mut connection => ended,
                () = reached(&mut stage, Stage::Cutting) => return,
            }
        }
    };
    let (verdict, mut stream) = connection.into_parts().io.into_inner().into_parts();
    let verdict = verdict.or_else(|| {
        // Refused by the codec without an answer of its own.
        ended.as_ref().is_err_and(hyper::Error::is_parse).then_some(Verdict::Unparsable(400))
    });
    if let Err(error) = &ended {
        tracing::debug!(remote = %peer.address, %error, ?verdict, "a connection ended");
    }
    if let Some(error) = verdict.and_then(last_word) {
        answer_raw(&server, &mut stream, peer.address, &error).await;
    }
    if verdict != Some(Verdict::WriteStalled) {
        close(stream, limits.linger_time).await;
    }
}

fn codec(server: &Server) -> http1::Builder {
    let limits = &server.config.limits;
    let mut codec = http1::Builder::new();
    // The socket times heads and idleness, more cheaply and with an answer. Half-closed connections are served to the end: the
    // client has sent all it had to say, and may wait for the answer.
    codec
        .header_read_timeout(None)
        .half_close(true)
        .max_buf_size(CODEC_BUFFER.max(limits.head_bytes + LEAST_CODEC_BUFFER));
    if limits.header_lines > FREE_HEADER_LINES {
        codec.max_headers(limits.header_lines);
    }
    codec
}

/// What a client is told before its connection is closed.
fn last_word(verdict: Verdict) -> Option<ServiceError> {
    let target_too_long = StatusCode::URI_TOO_LONG.as_u16();
    let lines_too_many = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE.as_u16();
    match verdict {
        Verdict::HeadTooLarge => Some(dispatch::head_too_large()),
        Verdict::Unparsable(status) if status == target_too_long || status == lines_too_many => {
            Some(dispatch::head_too_large())
        }
        Verdict::Unparsable(_) => Some(dispatch::bad_request("An error occurred when parsing the HTTP request.")),
        Verdict::HeadTooSlow => Some(crate::payload::timed_out()),
        Verdict::Idle | Verdict::WriteStalled => None,
    }
}

/// Answers without the codec.
async fn answer_raw<S: AsyncWrite + Unpin>(
    server: &Arc<Server>,
    stream: &mut S,
    address: SocketAddr,
    error: &ServiceError,
) {
    let mut record = Record::begin(server, http::Method::GET, address.ip());
    record.answered(StatusCode::from_u16(error.status).unwrap_or(StatusCode::BAD_REQUEST), Some(error.code.clone()));
    let bytes = answer::raw(server, record.id, error);
    let written = tokio::time::timeout(server.config.limits.linger_time, stream.write_all(&bytes)).await;
    if matches!(written, Ok(Ok(()))) {
        record.whole();
    }
}

/// Tells a client that there are too many connections, and closes its own.
pub(crate) async fn refuse<S: AsyncRead + AsyncWrite + Unpin>(server: Arc<Server>, mut stream: S, address: SocketAddr) {
    answer_raw(&server, &mut stream, address, &dispatch::slow_down()).await;
    close(stream, server.config.limits.linger_time).await;
}

/// Closes a connection. Closing it with bytes unread would send a reset, which can overtake the answer; so what the client still
/// sends is read and dropped until it closes its end, for a while (RFC 9112, section 9.6).
async fn close<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, linger: Duration) {
    let closing = async {
        if stream.shutdown().await.is_err() {
            return;
        }
        let mut dropped = [0; LINGER_BUFFER];
        while let Ok(1..) = stream.read(&mut dropped).await {}
    };
    // Whether it was in time makes no difference: the connection is closed.
    let _ = tokio::time::timeout(linger, closing).await;
}
