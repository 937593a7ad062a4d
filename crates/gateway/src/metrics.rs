//! Figures of the gateway, for `/_millpond/metrics`.
//!
//! The counters of an operation are found once and then kept ([`OperationMetrics`]), so that recording a request looks nothing
//! up; only errors do.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock};

use http::StatusCode;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

/// Upper bounds of the latency buckets in seconds: from a small object out of memory to a large upload.
const LATENCY_BUCKETS: [f64; 16] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0];

/// The statuses whose counters are kept; others are looked up.
const KEPT_STATUSES: [u16; 14] = [200, 201, 204, 206, 304, 307, 400, 403, 404, 409, 412, 416, 500, 503];

/// Operations that are told apart in a service; those above it, which no service has today, share one set of figures.
const MAX_OPERATIONS: usize = 512;

/// What stands where a request was refused before its service or operation was known.
pub(crate) const UNKNOWN: &str = "unknown";

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct OperationLabels {
    service: &'static str,
    operation: &'static str,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct RequestLabels {
    service: &'static str,
    operation: &'static str,
    class: &'static str,
    status: u32,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct ErrorLabels {
    service: &'static str,
    operation: &'static str,
    code: String,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct ReasonLabels {
    reason: &'static str,
}

fn latency() -> Histogram {
    Histogram::new(LATENCY_BUCKETS)
}

/// All figures.
#[derive(Clone)]
pub(crate) struct Metrics {
    requests: Family<RequestLabels, Counter>,
    errors: Family<ErrorLabels, Counter>,
    latency: Family<OperationLabels, Histogram, fn() -> Histogram>,
    received: Family<OperationLabels, Counter<u64, AtomicU64>>,
    sent: Family<OperationLabels, Counter<u64, AtomicU64>>,
    refused: Family<ReasonLabels, Counter>,
    auth_failures: Counter,
    /// Answers whose last byte was not handed to the connection.
    pub(crate) aborted: Counter,
    pub(crate) in_flight: Gauge,
    pub(crate) connections: Gauge,
    pub(crate) accepted: Counter,
}

impl Metrics {
    /// Figures that stand in a registry.
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let new = Self {
            requests: Family::default(),
            errors: Family::default(),
            latency: Family::new_with_constructor(latency),
            received: Family::default(),
            sent: Family::default(),
            refused: Family::default(),
            auth_failures: Counter::default(),
            aborted: Counter::default(),
            in_flight: Gauge::default(),
            connections: Gauge::default(),
            accepted: Counter::default(),
        };
        let http = registry.sub_registry_with_prefix("millpond_http");
        http.register("requests", "Requests by operation and status", new.requests.clone());
        http.register("errors", "Refused and failed requests by error code", new.errors.clone());
        http.register_with_unit(
            "request_duration",
            "Time from a request's head to the end of its answer",
            Unit::Seconds,
            new.latency.clone(),
        );
        http.register_with_unit("received", "Bytes of request bodies", Unit::Bytes, new.received.clone());
        http.register_with_unit("sent", "Bytes of answer bodies", Unit::Bytes, new.sent.clone());
        http.register("refused", "Connections and requests over a limit", new.refused.clone());
        http.register("auth_failures", "Requests whose sender was not believed", new.auth_failures.clone());
        http.register("aborted", "Answers that ended early", new.aborted.clone());
        http.register("requests_in_flight", "Requests being served", new.in_flight.clone());
        http.register("connections", "Open connections", new.connections.clone());
        http.register("connections_accepted", "Connections accepted", new.accepted.clone());
        new
    }

    /// Counts something that a limit refused.
    pub(crate) fn refused(&self, reason: &'static str) {
        self.refused.get_or_create(&ReasonLabels { reason }).inc();
    }

    /// Counts a request whose sender was not believed.
    pub(crate) fn auth_failed(&self) {
        self.auth_failures.inc();
    }

    /// The figures of one operation.
    fn operation(&self, service: &'static str, operation: &'static str) -> Arc<OperationMetrics> {
        let labels = OperationLabels { service, operation };
        Arc::new(OperationMetrics {
            service,
            operation,
            latency: self.latency.get_or_create_owned(&labels),
            received: self.received.get_or_create_owned(&labels),
            sent: self.sent.get_or_create_owned(&labels),
            requests: std::array::from_fn(|_| OnceLock::new()),
        })
    }

    /// Counts a finished request.
    pub(crate) fn finished(&self, of: &OperationMetrics, status: StatusCode, code: Option<&str>, figures: &Figures) {
        let count = || {
            let labels = RequestLabels {
                service: of.service,
                operation: of.operation,
                class: class(status),
                status: u32::from(status.as_u16()),
            };
            self.requests.get_or_create_owned(&labels)
        };
        match KEPT_STATUSES.iter().position(|kept| *kept == status.as_u16()) {
            Some(at) => of.requests[at].get_or_init(count).inc(),
            None => count().inc(),
        };
        if let Some(code) = code {
            let labels = ErrorLabels { service: of.service, operation: of.operation, code: code.to_owned() };
            self.errors.get_or_create(&labels).inc();
        }
        of.latency.observe(figures.seconds);
        if figures.received > 0 {
            of.received.inc_by(figures.received);
        }
        if figures.sent > 0 {
            of.sent.inc_by(figures.sent);
        }
    }
}

fn class(status: StatusCode) -> &'static str {
    match status.as_u16() / 100 {
        2 => "2xx",
        3 => "3xx",
        4 => "4xx",
        _ => "5xx",
    }
}

/// What a request took.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub(crate) struct Figures {
    pub(crate) seconds: f64,
    pub(crate) received: u64,
    pub(crate) sent: u64,
}

/// The figures of one operation, found.
pub(crate) struct OperationMetrics {
    pub(crate) service: &'static str,
    pub(crate) operation: &'static str,
    latency: Histogram,
    received: Counter<u64, AtomicU64>,
    sent: Counter<u64, AtomicU64>,
    requests: [OnceLock<Counter>; KEPT_STATUSES.len()],
}

/// The figures of a service's operations, found at their first use.
pub(crate) struct ServiceMetrics {
    service: &'static str,
    operations: Box<[OnceLock<Arc<OperationMetrics>>]>,
    others: OnceLock<Arc<OperationMetrics>>,
}

impl ServiceMetrics {
    /// A service without figures yet.
    pub(crate) fn new(service: &'static str) -> Self {
        Self {
            service,
            operations: std::iter::repeat_with(OnceLock::new).take(MAX_OPERATIONS).collect(),
            others: OnceLock::new(),
        }
    }

    /// Those of an operation. `index` tells operations apart, `name` labels them.
    pub(crate) fn of(&self, metrics: &Metrics, name: &'static str, index: u16) -> &Arc<OperationMetrics> {
        match self.operations.get(usize::from(index)) {
            Some(slot) => slot.get_or_init(|| metrics.operation(self.service, name)),
            None => self.others.get_or_init(|| metrics.operation(self.service, "others")),
        }
    }

    /// Those of requests whose operation is not known.
    pub(crate) fn unknown(&self, metrics: &Metrics) -> &Arc<OperationMetrics> {
        self.others.get_or_init(|| metrics.operation(self.service, UNKNOWN))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_in_the_text() {
        let mut registry = Registry::default();
        let metrics = Metrics::register(&mut registry);
        let s3 = ServiceMetrics::new("s3");
        let get = s3.of(&metrics, "GetObject", 7);
        assert!(Arc::ptr_eq(get, s3.of(&metrics, "GetObject", 7)));
        metrics.finished(get, StatusCode::OK, None, &Figures { seconds: 0.002, received: 0, sent: 4096 });
        metrics.finished(get, StatusCode::NOT_FOUND, Some("NoSuchKey"), &Figures::default());
        metrics.finished(get, StatusCode::IM_A_TEAPOT, None, &Figures::default());
        metrics.finished(s3.unknown(&metrics), StatusCode::FORBIDDEN, None, &Figures::default());
        metrics.refused("requests");
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for line in [
            r#"millpond_http_requests_total{service="s3",operation="GetObject",class="2xx",status="200"} 1"#,
            r#"millpond_http_requests_total{service="s3",operation="GetObject",class="4xx",status="404"} 1"#,
            r#"millpond_http_requests_total{service="s3",operation="GetObject",class="4xx",status="418"} 1"#,
            r#"millpond_http_requests_total{service="s3",operation="unknown",class="4xx",status="403"} 1"#,
            r#"millpond_http_errors_total{service="s3",operation="GetObject",code="NoSuchKey"} 1"#,
            r#"millpond_http_sent_bytes_total{service="s3",operation="GetObject"} 4096"#,
            r#"millpond_http_request_duration_seconds_count{service="s3",operation="GetObject"} 3"#,
            r#"millpond_http_refused_total{reason="requests"} 1"#,
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }
}
