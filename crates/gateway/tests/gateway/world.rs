//! A gateway with small services behind it.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, stream};
use http::{HeaderMap, HeaderValue, StatusCode};
use millpond_gateway::{Doors, Gateway, GatewayConfig, GatewayParts, Limits, Stopped};
use millpond_io::{Clock, ManualClock, SystemRandom};
use millpond_kernel::{
    BodyFailed, Credential, CredentialError, Credentials, OperationRef, Principal, RequestHead, Response, ResponseBody,
    SecretKey, Service, ServiceError, ServiceRequest,
};
use millpond_meta::MemoryKv;
use millpond_types::Timestamp;
use millpond_wire::Protocol;
use prometheus_client::registry::Registry;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinHandle;

pub const KEY: &str = "AKIAIOSFODNN7EXAMPLE";
pub const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
pub const REGION: &str = "eu-test-1";
/// 2026-01-02T03:04:05Z.
pub const NOW: Timestamp = Timestamp(1_767_323_045_000_000_000);

struct OneKey;

impl Credentials for OneKey {
    fn find<'a>(&'a self, id: &'a str, token: Option<&'a str>) -> BoxFuture<'a, Result<Credential, CredentialError>> {
        async move {
            match (id, token) {
                (KEY, None) => Ok(Credential {
                    secret: SecretKey::new(SECRET),
                    principal: Principal::Root("123456789012".parse().unwrap()),
                    session: None,
                }),
                (KEY, Some("ended")) => Err(CredentialError::Expired),
                (KEY, Some(_)) => Err(CredentialError::InvalidToken),
                ("BROKEN", _) => Err(CredentialError::Failed("the disk is on fire".to_owned())),
                _ => Err(CredentialError::Unknown),
            }
        }
        .boxed()
    }
}

/// Tells handlers and tests about each other.
pub struct Shared {
    /// Lets requests out of the operation `Wait`.
    pub gate: Semaphore,
    /// How many wait.
    pub waiting: AtomicUsize,
}

/// A service whose operation is the last piece of the path.
pub struct Toy {
    name: &'static str,
    protocol: Protocol,
    target: Option<&'static str>,
    shared: Arc<Shared>,
}

const OPERATIONS: [&str; 14] = [
    "Hello",
    "Echo",
    "Ignore",
    "Refuse",
    "Panic",
    "PanicLater",
    "Stream",
    "Short",
    "Long",
    "Wait",
    "WhoAmI",
    "Headers",
    "Unchanged",
    "Gone",
];

fn full(text: impl Into<Bytes>) -> Response {
    Response { status: StatusCode::OK, headers: HeaderMap::new(), body: ResponseBody::Full(text.into()) }
}

fn streamed(length: u64, chunks: Vec<Result<Bytes, BodyFailed>>) -> Response {
    let chunks = Box::pin(stream::iter(VecDeque::from(chunks)));
    Response { status: StatusCode::OK, headers: HeaderMap::new(), body: ResponseBody::Stream { length, chunks } }
}

/// The `x-amz-*` headers that a handler sees.
fn amz_headers(head: &RequestHead) -> Response {
    let ours = head.headers.iter().filter(|(name, _)| name.as_str().starts_with("x-amz-"));
    let mut lines: Vec<String> = ours.map(|(name, value)| format!("{name}={}", value.to_str().unwrap())).collect();
    lines.sort();
    full(lines.join(";"))
}

/// The pieces of a streamed answer: 64 KiB each, numbered in every byte.
fn pieces(count: u8) -> Vec<Result<Bytes, BodyFailed>> {
    (0..count).map(|n| Ok(Bytes::from(vec![n; 64 * 1024]))).collect()
}

impl Toy {
    async fn echo(&self, mut request: ServiceRequest) -> Result<Response, ServiceError> {
        let declared = request.payload.length();
        let too_large = || ServiceError::new("EntityTooLarge", 400, "too large");
        let bytes = request.payload.collect(8 << 20, too_large).await?;
        let Some(end) = request.payload.end() else { return Err(ServiceError::internal()) };
        let mut response = full(bytes);
        let trailers: Vec<String> = end.trailers.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let declared = declared.map_or("none".to_owned(), |length| length.to_string());
        response.headers.insert("x-length", declared.parse().unwrap());
        response.headers.insert("x-trailers", trailers.join(",").parse().unwrap());
        Ok(response)
    }

    fn who(&self, request: &ServiceRequest) -> Response {
        let caller = &request.caller;
        full(format!(
            "service={} who={} auth={:?} key={} ip={} secure={} agent={} bucket={} path={} query={}",
            self.name,
            caller.arn(),
            caller.auth(),
            caller.access_key_id().unwrap_or("-"),
            caller.transport().source_ip.unwrap(),
            caller.transport().secure,
            caller.transport().user_agent.as_deref().unwrap_or("-"),
            request.head.host_bucket.as_deref().unwrap_or("-"),
            request.head.path,
            request.head.query,
        ))
    }

    async fn wait(&self) -> Response {
        self.shared.waiting.fetch_add(1, Ordering::SeqCst);
        self.shared.gate.acquire().await.unwrap().forget();
        full("waited")
    }
}

impl Service for Toy {
    fn name(&self) -> &'static str {
        self.name
    }

    fn protocol(&self) -> Protocol {
        self.protocol
    }

    fn target_prefix(&self) -> Option<&'static str> {
        self.target
    }

    fn identify(&self, head: &RequestHead) -> Result<OperationRef, ServiceError> {
        let last = head.path.rsplit('/').next().unwrap_or_default();
        let name = if self.protocol == Protocol::RestXml { last } else { "Echo" };
        let index = OPERATIONS.iter().position(|operation| *operation == name);
        let index = index.ok_or_else(|| ServiceError::not_implemented(name))?;
        Ok(OperationRef { name: OPERATIONS[index], index: u16::try_from(index).unwrap() })
    }

    fn identify_body(&self, _: &RequestHead, body: &[u8]) -> Option<OperationRef> {
        let named = (self.protocol == Protocol::Query).then(|| body.strip_prefix(b"Action="))??;
        let index = OPERATIONS.iter().position(|operation| operation.as_bytes() == named)?;
        Some(OperationRef { name: OPERATIONS[index], index: u16::try_from(index).unwrap() })
    }

    fn call(&self, request: ServiceRequest) -> BoxFuture<'_, Result<Response, ServiceError>> {
        async move {
            match request.operation.name {
                "Hello" | "Ignore" => Ok(full("hello")),
                "Echo" => self.echo(request).await,
                "Refuse" => {
                    Err(ServiceError::new("Conflict", 409, "No & no.").field("Reason", "none").header("x-why", "so"))
                }
                "Panic" => panic!("as asked"),
                "PanicLater" => {
                    let chunks = stream::poll_fn(|_| panic!("later, as asked"));
                    let body = ResponseBody::Stream { length: 10, chunks: Box::pin(chunks) };
                    Ok(Response { status: StatusCode::OK, headers: HeaderMap::new(), body })
                }
                "Stream" => Ok(streamed(16 * 64 * 1024, pieces(16))),
                "Short" => Ok(streamed(16 * 64 * 1024, pieces(15))),
                "Long" => Ok(streamed(16 * 64 * 1024 - 1, pieces(16))),
                "Wait" => Ok(self.wait().await),
                "WhoAmI" => Ok(self.who(&request)),
                "Headers" => Ok(amz_headers(&request.head)),
                "Unchanged" => Err(ServiceError::new("NotModified", 304, "").header("etag", "\"e\"")),
                "Gone" => {
                    let mut headers = HeaderMap::new();
                    headers.insert("x-was", HeaderValue::from_static("here"));
                    Ok(Response { status: StatusCode::NO_CONTENT, headers, body: ResponseBody::Empty })
                }
                other => Err(ServiceError::not_implemented(other)),
            }
        }
        .boxed()
    }
}

/// A running gateway.
pub struct World {
    pub doors: Doors,
    pub address: SocketAddr,
    pub shared: Arc<Shared>,
    pub ready: Arc<AtomicBool>,
    stop: Option<oneshot::Sender<()>>,
    ended: JoinHandle<Stopped>,
}

/// Short limits, for tests that wait for one.
pub fn short() -> Limits {
    Limits {
        head_time: Duration::from_millis(200),
        idle_time: Duration::from_millis(400),
        body_time: Duration::from_millis(200),
        write_time: Duration::from_millis(300),
        handshake_time: Duration::from_millis(200),
        drain_time: Duration::from_millis(500),
        linger_time: Duration::from_millis(500),
        stop_time: Duration::from_millis(500),
        ..Limits::default()
    }
}

impl World {
    /// With the limits as they are by default.
    pub async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub async fn limited(limits: Limits) -> Self {
        Self::with(|config| config.limits = limits).await
    }

    pub async fn with(change: impl FnOnce(&mut GatewayConfig)) -> Self {
        Self::by(Arc::new(ManualClock::new(NOW)), change).await
    }

    /// With a clock of the test's own.
    pub async fn by(clock: Arc<dyn Clock>, change: impl FnOnce(&mut GatewayConfig)) -> Self {
        let mut config = GatewayConfig::new("127.0.0.1:0".parse().unwrap(), REGION.parse().unwrap());
        config.limits.linger_time = Duration::from_millis(500);
        change(&mut config);
        let shared = Arc::new(Shared { gate: Semaphore::new(0), waiting: AtomicUsize::new(0) });
        let toy = |name, protocol, target| {
            Arc::new(Toy { name, protocol, target, shared: Arc::clone(&shared) }) as Arc<dyn Service>
        };
        let ready = Arc::new(AtomicBool::new(false));
        let parts = GatewayParts {
            host_id: "HOST".into(),
            services: vec![
                toy("s3", Protocol::RestXml, None),
                toy("sts", Protocol::Query, None),
                toy("kms", Protocol::Json11, Some("TrentService")),
            ],
            credentials: Arc::new(OneKey),
            audit: millpond_kernel::testing::audit(Arc::new(MemoryKv::new())).unwrap(),
            clock,
            random: Arc::new(SystemRandom),
            registry: Registry::default(),
            ready: Arc::clone(&ready),
        };
        let gateway = Gateway::bind(config, parts).await.unwrap();
        let (address, doors) = (gateway.local_addr(), gateway.doors());
        let (stop, stopped) = oneshot::channel();
        let ended = tokio::spawn(gateway.serve(async move {
            // The sender's end is the end of the test.
            let _ = stopped.await;
        }));
        Self { address, doors, shared, ready, stop: Some(stop), ended }
    }

    /// Begins to stop.
    pub fn stop(&mut self) {
        self.stop.take();
    }

    /// Stops, and waits for the end.
    pub async fn stopped(mut self) -> Stopped {
        self.stop();
        self.ended.await.unwrap()
    }

    /// Waits until so many requests are in the operation `Wait`.
    pub async fn until_waiting(&self, count: usize) {
        while self.shared.waiting.load(Ordering::SeqCst) < count {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Lets so many go.
    pub fn open(&self, count: usize) {
        self.shared.gate.add_permits(count);
    }
}
