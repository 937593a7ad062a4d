//! The gateway's own pages, under a name that no bucket can have.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use millpond_kernel::{Response, ResponseBody, ServiceError};

use crate::config::MetricsAccess;
use crate::network::Origin;
use crate::server::Server;

/// What the paths of own pages begin with. Bucket names have no underscore (S3 User Guide, "Bucket naming rules").
const PREFIX: &str = "/_millpond/";

/// What Prometheus calls its text format.
const METRICS_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The answer to a request for an own page; `None` when it is not for one.
pub(crate) async fn page(
    server: &Server,
    method: &Method,
    path: &str,
    origin: &Origin,
) -> Option<Result<Response, ServiceError>> {
    let name = path.strip_prefix(PREFIX)?;
    if [Method::GET, Method::HEAD].contains(method) {
        for served in &server.services {
            if let Some(page) = served.service.page(name).await {
                return Some(Ok(page));
            }
        }
    }
    Some(match (name, method) {
        ("health/live" | "health/ready" | "metrics", method) if *method != Method::GET && *method != Method::HEAD => {
            let text = "The specified method is not allowed against this resource.";
            Err(ServiceError::new("MethodNotAllowed", 405, text).header("allow", "GET, HEAD"))
        }
        ("health/live", _) => Ok(text(StatusCode::OK, "text/plain; charset=utf-8", "live\n")),
        ("health/ready", _) => Ok(ready(server)),
        ("metrics", _) if may_read_metrics(server, origin) => metrics(server),
        ("metrics", _) if server.config.metrics_access == MetricsAccess::Loopback => {
            Err(ServiceError::new("AccessDenied", 403, "Metrics are read from this machine alone."))
        }
        _ => Err(ServiceError::new("NoSuchPage", 404, "There is no such page.")),
    })
}

fn ready(server: &Server) -> Response {
    if server.stopping.load(Ordering::Relaxed) {
        text(StatusCode::SERVICE_UNAVAILABLE, "text/plain; charset=utf-8", "stopping\n")
    } else if server.ready.load(Ordering::Relaxed) {
        text(StatusCode::OK, "text/plain; charset=utf-8", "ready\n")
    } else {
        text(StatusCode::SERVICE_UNAVAILABLE, "text/plain; charset=utf-8", "not ready\n")
    }
}

fn may_read_metrics(server: &Server, origin: &Origin) -> bool {
    match server.config.metrics_access {
        MetricsAccess::Anyone => true,
        MetricsAccess::Nobody => false,
        // A proxy on this machine that nobody told us of would otherwise let the whole world in.
        MetricsAccess::Loopback => origin.address.is_loopback() && origin.direct,
    }
}

fn metrics(server: &Server) -> Result<Response, ServiceError> {
    let mut body = String::new();
    match prometheus_client::encoding::text::encode(&mut body, &server.registry) {
        Ok(()) => Ok(text(StatusCode::OK, METRICS_TYPE, body)),
        Err(error) => {
            tracing::error!(%error, "the metrics cannot be written");
            Err(ServiceError::internal())
        }
    }
}

fn text(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Response {
    let mut headers = HeaderMap::with_capacity(8);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    Response { status, headers, body: ResponseBody::Full(body.into()) }
}
