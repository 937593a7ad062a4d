//! What is written down of each request: one log line, and figures.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use http::{Method, StatusCode};
use millpond_types::RequestId;

use crate::metrics::{Figures, OperationMetrics};
use crate::payload::RequestBody;
use crate::server::{InFlight, Server};

/// Characters of an access key id that are logged: AWS's have at most 128 (IAM API Reference, `AccessKey`).
const MAX_LOGGED_KEY_CHARS: usize = 128;

/// A request's entry. It is written when the answer's last byte was handed to the codec, or when the client is gone: by dropping.
///
/// It never holds the query, which carries the signatures of presigned requests, nor any header but what is named here.
pub(crate) struct Record {
    server: Arc<Server>,
    started: Instant,
    method: Method,
    pub(crate) id: RequestId,
    pub(crate) remote: IpAddr,
    pub(crate) operation: Option<Arc<OperationMetrics>>,
    /// The access key that the request names, believed or not.
    access_key_id: Option<String>,
    pub(crate) body: Option<Arc<RequestBody>>,
    pub(crate) in_flight: Option<InFlight>,
    status: Option<StatusCode>,
    code: Option<Cow<'static, str>>,
    sent: u64,
    whole: bool,
}

impl Record {
    /// Begins the entry of a request whose head was read.
    pub(crate) fn begin(server: &Arc<Server>, method: Method, remote: IpAddr) -> Self {
        Self {
            server: Arc::clone(server),
            started: Instant::now(),
            method,
            id: server.request_id(),
            remote,
            operation: None,
            access_key_id: None,
            body: None,
            in_flight: None,
            status: None,
            code: None,
            sent: 0,
            whole: false,
        }
    }

    /// Notes the access key that the request names; a client's own word, so not at any length.
    pub(crate) fn names_key(&mut self, id: &str) {
        self.access_key_id = Some(id.chars().take(MAX_LOGGED_KEY_CHARS).collect());
    }

    /// Notes the answer.
    pub(crate) fn answered(&mut self, status: StatusCode, code: Option<Cow<'static, str>>) {
        self.status = Some(status);
        self.code = code;
    }

    /// Notes bytes of the answer's body.
    pub(crate) fn sent(&mut self, bytes: usize) {
        self.sent += bytes as u64;
    }

    /// Notes that the answer is complete.
    pub(crate) fn whole(&mut self) {
        self.whole = true;
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let received = self.body.as_ref().map_or(0, |body| body.received());
        let took = self.started.elapsed();
        let metrics = &self.server.metrics;
        let operation = self.operation.take().unwrap_or_else(|| Arc::clone(self.server.strays.unknown(metrics)));
        // 499: the client went away before there was an answer (a convention of nginx).
        let status = self.status.unwrap_or(StatusCode::from_u16(499).unwrap_or(StatusCode::BAD_REQUEST));
        let code = self.code.as_deref();
        metrics.finished(&operation, status, code, &Figures { seconds: took.as_secs_f64(), received, sent: self.sent });
        if !self.whole {
            metrics.aborted.inc();
        }
        macro_rules! line {
            ($level:ident) => {
                tracing::$level!(
                    target: "millpond::request",
                    request_id = %self.id,
                    service = operation.service,
                    operation = operation.operation,
                    method = %self.method,
                    status = status.as_u16(),
                    code = code.unwrap_or_default(),
                    received,
                    sent = self.sent,
                    whole = self.whole,
                    micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
                    remote = %self.remote,
                    access_key_id = self.access_key_id.as_deref().unwrap_or_default(),
                    "request"
                )
            };
        }
        // Not every 5xx: `SlowDown` would flood the log when there is least time for it.
        if status == StatusCode::INTERNAL_SERVER_ERROR {
            line!(warn);
        } else {
            line!(debug);
        }
    }
}
