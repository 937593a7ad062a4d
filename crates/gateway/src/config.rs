//! What a gateway is told at its start.

use std::net::SocketAddr;
use std::sync::Arc;

use millpond_types::{Network, Region};

use crate::Limits;

/// Who may read `/_millpond/metrics`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum MetricsAccess {
    /// Clients on this machine, that are not a proxy's.
    #[default]
    Loopback,
    /// Every client.
    Anyone,
    /// Nobody: the page is not there.
    Nobody,
}

/// The settings of a gateway.
#[derive(Clone, Debug)]
pub struct GatewayConfig {
    /// Where to listen. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// The host names of the endpoint, lower-case: `NAME` is path style, `BUCKET.NAME` names a bucket.
    pub domains: Vec<String>,
    /// The server's one region.
    pub region: Region,
    /// TLS, for every connection; made by [`server_tls`](crate::server_tls).
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// The limits.
    pub limits: Limits,
    /// The proxies whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed. Those of anyone else are ignored.
    pub trusted_proxies: Vec<Network>,
    /// Who may read the metrics.
    pub metrics_access: MetricsAccess,
}

impl GatewayConfig {
    /// The settings that go without saying: path style for everything but `*.localhost` and `*.s3.localhost`, no TLS, no proxies.
    pub fn new(listen: SocketAddr, region: Region) -> Self {
        Self {
            listen,
            domains: vec!["localhost".to_owned(), "s3.localhost".to_owned()],
            region,
            tls: None,
            limits: Limits::default(),
            trusted_proxies: Vec::new(),
            metrics_access: MetricsAccess::default(),
        }
    }
}
