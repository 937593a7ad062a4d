//! Taking connections, and stopping.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use millpond_io::{Clock, Random};
use millpond_kernel::audit::Audit;
use millpond_kernel::{Credentials, Service};
use prometheus_client::registry::Registry;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;

use crate::config::GatewayConfig;
use crate::connection::{self, Stage, Way};
use crate::door::{self, Arrival, Doors};
use crate::server::{Connected, Server};

/// How long to wait after a failed accept: mostly file descriptors have run out, and some must be closed first.
pub(crate) const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Refused connections that are told so at once; more are closed without a word. They cost a task each.
const MAX_REFUSALS: usize = 256;

/// What a gateway works with.
pub struct GatewayParts {
    /// The services. Of several that speak the query protocol, the first gets unsigned forms.
    pub services: Vec<Arc<dyn Service>>,
    /// Where access keys are looked up.
    pub credentials: Arc<dyn Credentials>,
    /// Where calls are recorded.
    pub audit: Audit,
    /// The time of day.
    pub clock: Arc<dyn Clock>,
    /// Makes request ids.
    pub random: Arc<dyn Random>,
    /// How the server names itself, as `x-amz-id-2` and `HostId`: visible ASCII.
    pub host_id: String,
    /// The figures of everyone else; the gateway adds its own and shows them all.
    pub registry: Registry,
    /// Whether requests are served; `/_millpond/health/ready` tells.
    pub ready: Arc<AtomicBool>,
}

/// Why there is no gateway.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// Which.
        address: SocketAddr,
        /// What the operating system said.
        source: io::Error,
    },
    /// A limit under which nothing could be served.
    #[error("the limit {0} must be greater than zero")]
    ZeroLimit(&'static str),
    /// Two services have the same name.
    #[error("there are two services of the name {0}")]
    SameService(&'static str),
}

/// How a gateway ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stopped {
    /// Connections that were cut because their requests took too long to finish.
    pub cut: usize,
}

/// A gateway whose port is taken.
pub struct Gateway {
    server: Arc<Server>,
    listener: TcpListener,
    address: SocketAddr,
    tls: Option<TlsAcceptor>,
    refusals: Arc<AtomicUsize>,
    doors: Doors,
    arrivals: mpsc::Receiver<Arrival>,
}

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gateway").field("address", &self.address).finish_non_exhaustive()
    }
}

fn check(config: &GatewayConfig, parts: &GatewayParts) -> Result<(), GatewayError> {
    let limits = &config.limits;
    for (name, limit) in [
        ("connections", limits.connections),
        ("requests", limits.requests),
        ("head_bytes", limits.head_bytes),
        ("target_bytes", limits.target_bytes),
        ("header_lines", limits.header_lines),
    ] {
        if limit == 0 {
            return Err(GatewayError::ZeroLimit(name));
        }
    }
    for (at, service) in parts.services.iter().enumerate() {
        if parts.services[..at].iter().any(|other| other.name() == service.name()) {
            return Err(GatewayError::SameService(service.name()));
        }
    }
    Ok(())
}

/// What connections watch to see that the gateway stops: those by the port, and those by doors.
struct Watching {
    port: watch::Receiver<Stage>,
    doors: watch::Receiver<Stage>,
}

/// Takes connections from doors, for ever.
async fn serve_arrivals(
    server: &Arc<Server>,
    arrivals: &mut mpsc::Receiver<Arrival>,
    watching: &Watching,
    alive: &mpsc::Sender<()>,
) {
    while let Some(arrival) = arrivals.recv().await {
        serve_arrival(server, arrival, watching, alive);
    }
}

/// Serves a connection from a door. One that is too many is closed: a function tries again.
fn serve_arrival(server: &Arc<Server>, arrival: Arrival, watching: &Watching, alive: &mpsc::Sender<()>) {
    let (stream, address, place) = arrival;
    undelayed(&stream);
    let Some(admitted) = server.admit_connection() else { return };
    let (server, stage, alive) = (Arc::clone(server), watching.doors.clone(), alive.clone());
    tokio::spawn(async move {
        connection::serve(server, stream, address, Way::Door, stage).await;
        drop((admitted, alive, place));
    });
}

fn undelayed(stream: &TcpStream) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY cannot be set");
    }
}

impl Gateway {
    /// Takes the port. Must be called within a tokio runtime that has I/O and time.
    ///
    /// # Errors
    ///
    /// The address cannot be listened on, or the settings contradict themselves.
    pub async fn bind(config: GatewayConfig, parts: GatewayParts) -> Result<Self, GatewayError> {
        check(&config, &parts)?;
        let asked = config.listen;
        let failed = |source| GatewayError::Bind { address: asked, source };
        let listener = TcpListener::bind(asked).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let tls = config.tls.clone().map(TlsAcceptor::from);
        let server = Arc::new(Server::new(config, parts));
        let (doors, arrivals) = mpsc::channel(door::MAX_ARRIVALS);
        let (doors, refusals) = (Doors(doors), Arc::new(AtomicUsize::new(0)));
        Ok(Self { server, listener, address, tls, refusals, doors, arrivals })
    }

    /// The address it listens on, with the port that was taken.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Opens doors inside sandboxes.
    pub fn doors(&self) -> Doors {
        self.doors.clone()
    }

    /// Serves until `shutdown` ends. Then no connection is taken any more, idle ones are closed, requests in flight are finished
    /// for [`Limits::stop_time`](crate::Limits::stop_time), and what is left is cut.
    pub async fn serve(self, shutdown: impl Future<Output = ()>) -> Stopped {
        self.serve_doors_until(shutdown, std::future::ready(())).await
    }

    /// The same, but doors are served further until `gone` ends, within the same time: who is behind them is finishing as well.
    pub async fn serve_doors_until(
        mut self,
        shutdown: impl Future<Output = ()>,
        gone: impl Future<Output = ()>,
    ) -> Stopped {
        let (stage, doors_stage) = (watch::Sender::new(Stage::Serving), watch::Sender::new(Stage::Serving));
        // Every connection holds a sender, and nothing is ever sent: the channel ends with the last of them.
        let (alive, mut ended) = mpsc::channel::<()>(1);
        let watching = Watching { port: stage.subscribe(), doors: doors_stage.subscribe() };
        tokio::select! {
            biased;
            () = shutdown => {}
            () = self.accept(&watching, &alive) => {}
        }
        let Self { server, listener, mut arrivals, .. } = self;
        drop(listener);
        let until = Instant::now() + server.config.limits.stop_time;
        server.stopping.store(true, Ordering::Relaxed);
        stage.send_replace(Stage::Finishing);
        tokio::select! {
            biased;
            () = gone => {}
            () = tokio::time::sleep_until(until) => {}
            () = serve_arrivals(&server, &mut arrivals, &watching, &alive) => {}
        }
        drop((arrivals, alive));
        doors_stage.send_replace(Stage::Finishing);
        let finished = tokio::time::timeout_at(until, ended.recv()).await.is_ok();
        let cut = if finished { 0 } else { server.open_connections() };
        if !finished {
            tracing::warn!(connections = cut, "requests in flight did not finish in time and are cut");
            stage.send_replace(Stage::Cutting);
            doors_stage.send_replace(Stage::Cutting);
            ended.recv().await;
        }
        Stopped { cut }
    }

    /// Takes connections, for ever.
    async fn accept(&mut self, watching: &Watching, alive: &mpsc::Sender<()>) {
        loop {
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                Some(arrival) = self.arrivals.recv() => {
                    serve_arrival(&self.server, arrival, watching, alive);
                    continue;
                }
            };
            let (stream, address) = match accepted {
                Ok(accepted) => accepted,
                Err(error) if of_connection(&error) => continue,
                Err(error) => {
                    tracing::error!(%error, "cannot take a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            undelayed(&stream);
            match self.server.admit_connection() {
                Some(admitted) => self.start(stream, address, admitted, watching.port.clone(), alive.clone()),
                None => self.refuse(stream, address, alive.clone()),
            }
        }
    }

    fn start(
        &self,
        stream: TcpStream,
        address: SocketAddr,
        admitted: Connected,
        stage: watch::Receiver<Stage>,
        alive: mpsc::Sender<()>,
    ) {
        let (server, tls) = (Arc::clone(&self.server), self.tls.clone());
        tokio::spawn(async move {
            match tls {
                None => connection::serve(server, stream, address, Way::Port, stage).await,
                Some(tls) => {
                    let limit = server.config.limits.handshake_time;
                    match tokio::time::timeout(limit, tls.accept(stream)).await {
                        Ok(Ok(stream)) => {
                            let version = crate::tls::version(stream.get_ref().1.protocol_version());
                            connection::serve(server, stream, address, Way::Tls(version), stage).await;
                        }
                        Ok(Err(error)) => tracing::debug!(remote = %address, %error, "a TLS handshake failed"),
                        Err(_) => tracing::debug!(remote = %address, "a TLS handshake took too long"),
                    }
                }
            }
            drop((admitted, alive));
        });
    }

    /// Turns a connection away. Over TLS it is closed at once: a handshake is what an overloaded server must not pay for.
    fn refuse(&self, stream: TcpStream, address: SocketAddr, alive: mpsc::Sender<()>) {
        if self.tls.is_some() || self.refusals.fetch_add(1, Ordering::Relaxed) >= MAX_REFUSALS {
            if self.tls.is_none() {
                self.refusals.fetch_sub(1, Ordering::Relaxed);
            }
            return;
        }
        let (server, refusals) = (Arc::clone(&self.server), Arc::clone(&self.refusals));
        tokio::spawn(async move {
            connection::refuse(server, stream, address).await;
            refusals.fetch_sub(1, Ordering::Relaxed);
            drop(alive);
        });
    }
}

/// Whether an accept failed because of the one connection, which its client gave up.
pub(crate) fn of_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}
