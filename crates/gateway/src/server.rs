//! What all connections of a gateway share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use http::HeaderValue;
use millpond_auth::KeyCache;
use millpond_io::{Clock, Random};
use millpond_kernel::audit::Audit;
use millpond_kernel::{Credentials, Service};
use millpond_types::RequestId;
use millpond_wire::Protocol;
use prometheus_client::registry::Registry;

use crate::config::GatewayConfig;
use crate::metrics::{Metrics, ServiceMetrics};

/// A service with its figures.
pub(crate) struct Served {
    pub(crate) service: Arc<dyn Service>,
    pub(crate) metrics: ServiceMetrics,
}

/// What all connections of a gateway share.
pub(crate) struct Server {
    pub(crate) config: GatewayConfig,
    pub(crate) services: Vec<Served>,
    pub(crate) credentials: Arc<dyn Credentials>,
    pub(crate) audit: Audit,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<dyn Random>,
    pub(crate) keys: KeyCache,
    pub(crate) metrics: Metrics,
    pub(crate) registry: Registry,
    /// Figures of requests whose service is not known.
    pub(crate) strays: ServiceMetrics,
    pub(crate) ready: Arc<AtomicBool>,
    pub(crate) stopping: AtomicBool,
    /// Names this server in answers, as `x-amz-id-2` and `HostId`.
    pub(crate) host_id: HeaderValue,
    in_flight: AtomicUsize,
    connections: AtomicUsize,
}

impl Server {
    pub(crate) fn new(config: GatewayConfig, parts: crate::GatewayParts) -> Self {
        let crate::GatewayParts { services, credentials, audit, clock, random, host_id, mut registry, ready } = parts;
        let metrics = Metrics::register(&mut registry);
        let host_id = HeaderValue::try_from(host_id).unwrap_or_else(|_| HeaderValue::from_static("millpond"));
        let served = |service: Arc<dyn Service>| Served { metrics: ServiceMetrics::new(service.name()), service };
        Self {
            config,
            services: services.into_iter().map(served).collect(),
            credentials,
            audit,
            clock,
            random,
            keys: KeyCache::new(),
            metrics,
            registry,
            strays: ServiceMetrics::new(crate::metrics::UNKNOWN),
            ready,
            stopping: AtomicBool::new(false),
            host_id,
            in_flight: AtomicUsize::new(0),
            connections: AtomicUsize::new(0),
        }
    }

    /// The service of a name in credential scopes.
    pub(crate) fn service(&self, name: &str) -> Option<&Served> {
        self.services.iter().find(|served| served.service.name() == name)
    }

    /// The service that speaks a protocol; the first of several.
    pub(crate) fn speaking(&self, protocol: Protocol) -> Option<&Served> {
        self.services.iter().find(|served| served.service.protocol() == protocol)
    }

    /// A new id.
    pub(crate) fn request_id(&self) -> RequestId {
        RequestId(self.random.u128())
    }

    /// The host id as text.
    pub(crate) fn host_id_text(&self) -> &str {
        self.host_id.to_str().unwrap_or_default()
    }

    /// Lets one more request in, unless there are too many.
    pub(crate) fn admit_request(self: &Arc<Self>) -> Option<InFlight> {
        if !enter(&self.in_flight, self.config.limits.requests) {
            self.metrics.refused("requests");
            return None;
        }
        self.metrics.in_flight.inc();
        Some(InFlight(Arc::clone(self)))
    }

    /// Lets one more connection in, unless there are too many.
    pub(crate) fn admit_connection(self: &Arc<Self>) -> Option<Connected> {
        if !enter(&self.connections, self.config.limits.connections) {
            self.metrics.refused("connections");
            return None;
        }
        self.metrics.connections.inc();
        self.metrics.accepted.inc();
        Some(Connected(Arc::clone(self)))
    }

    /// Open connections.
    pub(crate) fn open_connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

/// Counts one more, unless that exceeds `limit`.
fn enter(count: &AtomicUsize, limit: usize) -> bool {
    let there = count.fetch_add(1, Ordering::Relaxed);
    if there >= limit {
        count.fetch_sub(1, Ordering::Relaxed);
    }
    there < limit
}

/// A request that was let in; counts until it is dropped.
pub(crate) struct InFlight(Arc<Server>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
        self.0.metrics.in_flight.dec();
    }
}

/// A connection that was let in; counts until it is dropped.
pub(crate) struct Connected(Arc<Server>);

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
        self.0.metrics.connections.dec();
    }
}
