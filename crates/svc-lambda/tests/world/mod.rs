//! A service over an engine in memory, with identities that a test makes up and workers that answer with what they were asked.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]
#![allow(dead_code, reason = "each test uses a part of it")]

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::task::Poll;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::{HeaderMap, Method, StatusCode};
use millpond_io::{ManualClock, RealDisk, SystemRandom};
use millpond_kernel::{
    Arrival, AuthType, Authenticated, Caller, Delivery, Directory, DirectoryError, Epoch, Kernel, Named, NewObject,
    Objects, Payload, PayloadSource, PolicySource, Principal, Rejection, RequestHead, ResponseBody, Rights,
    RoleCredentials, RoleSessions, Service, ServiceCall, ServiceError, ServiceIdentity, ServiceRequest, Session,
    SessionKind, Step, Target, Transport,
};
use millpond_meta::MemoryKv;
use millpond_policy::{Policy, PolicyKind};
use millpond_runtime::{Ended, Job, NoWorker, Program, Report};
use millpond_seal::Vault;
use millpond_svc_lambda::{Lambda, LambdaParts, Runs};
use millpond_types::{AccountId, Arn, CauseChain, RequestId, Timestamp};
use serde_json::{Value, json};

pub mod zip_maker;

pub const OWNER: &str = "111122223333";
pub const STRANGER: &str = "444455556666";
pub const REGION: &str = "us-east-1";

pub fn account(text: &str) -> AccountId {
    text.parse().unwrap()
}

pub fn root(text: &str) -> Principal {
    Principal::Root(account(text))
}

pub fn user(of: &str, name: &str) -> Principal {
    let id = format!("AIDA{:A<16}", name.to_uppercase());
    Principal::User { account: account(of), path: "/".into(), name: name.into(), id }
}

pub fn role(of: &str, name: &str) -> Principal {
    let id = format!("AROA{:A<16}", name.to_uppercase());
    Principal::Role { account: account(of), path: "/".into(), name: name.into(), id, session: "s".into() }
}

pub fn role_arn(name: &str) -> String {
    format!("arn:aws:iam::{OWNER}:role/{name}")
}

pub fn function_arn(name: &str) -> String {
    format!("arn:aws:lambda:{REGION}:{OWNER}:function:{name}")
}

pub fn layer_arn(name: &str) -> String {
    format!("arn:aws:lambda:{REGION}:{OWNER}:layer:{name}")
}

/// A policy document of one statement.
pub fn says(effect: &str, actions: &str) -> String {
    json!({"Version": "2012-10-17", "Statement": {"Effect": effect, "Action": actions, "Resource": "*"}}).to_string()
}

pub fn named(text: &str, kind: PolicyKind) -> Named {
    let source = PolicySource::Inline { of: "arn".into(), name: "p".into() };
    Named { source, policy: Arc::new(Policy::parse(text, kind).unwrap()) }
}

/// Identities as a test makes them up, by ARN: their unique ids and their rights.
#[derive(Default)]
pub struct People {
    pub ids: Mutex<HashMap<String, String>>,
    pub rights: Mutex<HashMap<String, Arc<Rights>>>,
}

impl People {
    pub fn add(&self, principal: &Principal, policies: &[String], boundary: Option<String>) {
        let (Principal::User { id, .. } | Principal::Role { id, .. }) = principal else { return };
        self.ids.lock().unwrap().insert(principal.condition_arn(), id.clone());
        let identity = policies.iter().map(|text| named(text, PolicyKind::Identity)).collect();
        let boundary = boundary.map(|text| named(&text, PolicyKind::Identity));
        let rights = Rights { identity, boundary, tags: Vec::new() };
        self.rights.lock().unwrap().insert(principal.condition_arn(), Arc::new(rights));
    }
}

impl Directory for People {
    fn rights<'a>(&'a self, principal: &'a Principal) -> BoxFuture<'a, Result<Arc<Rights>, DirectoryError>> {
        let found = self.rights.lock().unwrap().get(&principal.condition_arn()).cloned();
        async move { found.ok_or(DirectoryError::Gone) }.boxed()
    }

    fn unique_id<'a>(&'a self, arn: &'a str) -> BoxFuture<'a, Result<Option<String>, DirectoryError>> {
        let found = self.ids.lock().unwrap().get(arn).cloned();
        async move { Ok(found) }.boxed()
    }

    fn account_exists(&self, account: AccountId) -> bool {
        [OWNER, STRANGER].contains(&account.as_str())
    }
}

/// Lets the service assume any role whose name does not begin with `closed`.
pub struct Roles;

impl RoleSessions for Roles {
    fn assume<'a>(
        &'a self,
        role_arn: &'a str,
        service: &'a ServiceIdentity,
        session: &'a str,
        _: ServiceCall,
    ) -> BoxFuture<'a, Result<Caller, Rejection>> {
        async move {
            assert_eq!(service.name(), "lambda.amazonaws.com");
            let name = role_arn.rsplit('/').next().unwrap();
            if name.starts_with("closed") {
                return Err(Rejection::Denied("the trust policy does not let it in".to_owned()));
            }
            let account = role_arn.split(':').nth(4).unwrap();
            let Principal::Role { account, path, name, id, .. } = role(account, name) else { panic!() };
            let principal = Principal::Role { account, path, name, id, session: session.to_owned() };
            Ok(self::caller(principal, None))
        }
        .boxed()
    }

    fn credentials<'a>(
        &'a self,
        role_arn: &'a str,
        service: &'a ServiceIdentity,
        session: &'a str,
        call: ServiceCall,
        seconds: u32,
    ) -> BoxFuture<'a, Result<RoleCredentials, Rejection>> {
        async move {
            let now = call.now;
            self.assume(role_arn, service, session, call).await?;
            Ok(RoleCredentials {
                access_key_id: format!("ASIA-{session}"),
                secret: "secret".to_owned().into(),
                token: "token".to_owned().into(),
                expires: now.plus(std::time::Duration::from_secs(u64::from(seconds))),
            })
        }
        .boxed()
    }
}

/// Queues and topics: those called `missing` are not there, those called `closed` let nobody in.
pub struct Letterbox;

impl Target for Letterbox {
    fn check<'a>(&'a self, to: &'a Arn, _: &'a Caller) -> BoxFuture<'a, Result<(), Rejection>> {
        async move {
            match to.as_str().rsplit(':').next().unwrap() {
                "missing" => Err(Rejection::NotFound("The queue does not exist.".to_owned())),
                "closed" => Err(Rejection::Denied("no".to_owned())),
                _ => Ok(()),
            }
        }
        .boxed()
    }

    fn arrive<'a>(&'a self, _: &'a Arn, _: &'a Caller, _: &'a Delivery) -> BoxFuture<'a, Result<Arrival, Rejection>> {
        async { Ok(Arrival::default()) }.boxed()
    }
}

/// One bucket, `code`, that the owner's root and whoever it calls for may read.
pub struct Buckets;

impl Objects for Buckets {
    fn may_put<'a>(&'a self, _: Arc<Caller>, _: &'a NewObject) -> BoxFuture<'a, Result<(), ServiceError>> {
        unreachable!("functions put nothing")
    }

    fn put(&self, _: Arc<Caller>, _: NewObject) -> BoxFuture<'_, Result<(), ServiceError>> {
        unreachable!("functions put nothing")
    }

    fn put_stream(
        &self,
        _: Arc<Caller>,
        _: NewObject,
        _: Box<dyn millpond_kernel::PayloadSource>,
    ) -> BoxFuture<'_, Result<(), ServiceError>> {
        unreachable!("functions put nothing")
    }

    fn locate<'a>(&'a self, _: Arc<Caller>, _: &'a str, _: Option<&'a str>) -> BoxFuture<'a, Result<(), ServiceError>> {
        unreachable!("functions put nothing")
    }

    fn get<'a>(
        &'a self,
        caller: Arc<Caller>,
        bucket: &'a str,
        key: &'a str,
        _: Option<&'a str>,
        _: usize,
    ) -> BoxFuture<'a, Result<Bytes, ServiceError>> {
        async move {
            assert_eq!(caller.via(), ["lambda.amazonaws.com"]);
            match (bucket, key) {
                ("code", "good.zip") => Ok(zip_maker::function().into()),
                ("code", "bad.zip") => Ok(Bytes::from_static(b"bad")),
                ("closed", _) => Err(ServiceError::new("AccessDenied", 403, "Access Denied")),
                _ => Err(ServiceError::new("NoSuchKey", 404, "The specified key does not exist.")),
            }
        }
        .boxed()
    }
}

/// What was run: program, request id, payload, chain of causes.
pub type Run = (Arc<Program>, String, Bytes, CauseChain);

/// Workers that answer with the event, once they may.
#[derive(Default)]
pub struct Echo {
    pub runs: Mutex<Vec<Run>>,
    pub retired: Mutex<Vec<u128>>,
    /// While the machine has no sandbox.
    pub unready: std::sync::atomic::AtomicBool,
    /// Held by a test that lets nothing end.
    pub gate: tokio::sync::Mutex<()>,
}

impl Runs for Echo {
    fn invoke<'a>(&'a self, program: &'a Arc<Program>, job: Job) -> BoxFuture<'a, Result<(Ended, Report), NoWorker>> {
        let run = (Arc::clone(program), job.request_id, job.payload.clone(), job.causes);
        self.runs.lock().unwrap().push(run);
        async move {
            drop(self.gate.lock().await);
            if self.unready.load(std::sync::atomic::Ordering::SeqCst) {
                return Err(NoWorker::NoSandbox("no namespaces".to_owned()));
            }
            let report = Report { tail: Bytes::from_static(b"tail"), ..Report::default() };
            let ended = match job.payload.as_ref() {
                b"\"fail\"" => Ended::Failed {
                    payload: Bytes::from_static(b"{\"errorMessage\":\"failed\"}"),
                    kind: millpond_runtime::Failure::Handler,
                },
                _ => Ended::Answer(job.payload),
            };
            Ok((ended, report))
        }
        .boxed()
    }

    fn retire(&self, program: u128) {
        self.retired.lock().unwrap().push(program);
    }
}

pub struct World {
    pub lambda: Lambda,
    pub kernel: Arc<Kernel>,
    pub kv: MemoryKv,
    pub clock: Arc<ManualClock>,
    pub people: Arc<People>,
    pub workers: Arc<Echo>,
    pub dir: Arc<tempfile::TempDir>,
}

pub struct Whole(pub Option<Bytes>);

impl PayloadSource for Whole {
    fn poll_step(&mut self, _: &mut std::task::Context<'_>) -> Poll<Result<Step, ServiceError>> {
        Poll::Ready(Ok(self.0.take().map_or(Step::End(Vec::new()), Step::Chunk)))
    }
}

/// A signed caller, with a session whose policies may be given.
pub fn caller(principal: Principal, session: Option<Vec<String>>) -> Caller {
    caused(principal, session, Vec::new())
}

/// The same, who acts because of something.
pub fn caused(principal: Principal, session: Option<Vec<String>>, causes: CauseChain) -> Caller {
    let auth = if principal == Principal::Anonymous { AuthType::None } else { AuthType::Header };
    let issued = Timestamp::from_seconds(1_800_000_000);
    let session = (session.is_some() || !causes.is_empty()).then(|| {
        let named = |text: &String| named(text, PolicyKind::Session);
        Arc::new(Session {
            policies: session.map(|policies| policies.iter().map(named).collect()),
            tags: Vec::new(),
            transitive: Vec::new(),
            source_identity: None,
            issued,
            expires: issued.plus(std::time::Duration::from_secs(3600)),
            by: SessionKind::AssumeRole,
            causes,
            worker: None,
        })
    });
    Caller::authenticated(Authenticated {
        principal,
        session,
        access_key_id: None,
        auth,
        signed: None,
        transport: Transport::internal(),
        request_id: RequestId(7),
        received: issued,
    })
}

/// An answer: status, headers, body.
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl World {
    pub async fn new() -> Self {
        let clock = Arc::new(ManualClock::new(Timestamp::from_seconds(1_800_000_000)));
        let dir = Arc::new(tempfile::tempdir().unwrap());
        Self::open(MemoryKv::new(), clock, Arc::default(), dir).await
    }

    pub async fn open(kv: MemoryKv, clock: Arc<ManualClock>, people: Arc<People>, dir: Arc<tempfile::TempDir>) -> Self {
        let epoch = Epoch::load(Arc::new(kv.clone())).await.unwrap();
        let kernel = Arc::new(Kernel::new(account(OWNER), REGION.parse().unwrap(), epoch));
        kernel.use_directory(people.clone());
        kernel.use_roles(Arc::new(Roles));
        for service in ["sqs", "sns"] {
            kernel.targets().register(service, Arc::new(Letterbox));
        }
        let lambda = Lambda::open(LambdaParts {
            kv: Arc::new(kv.clone()),
            kernel: kernel.clone(),
            vault: Arc::new(Vault::for_tests()),
            clock: clock.clone(),
            random: Arc::new(SystemRandom),
            objects: Arc::new(Buckets),
            disk: Arc::new(RealDisk),
            dir: dir.path().to_owned(),
            open_network: false,
        })
        .await
        .unwrap();
        let workers = Arc::new(Echo::default());
        lambda.run_by(workers.clone());
        Self { lambda, kernel, kv, clock, people, workers, dir }
    }

    /// The same after a restart.
    pub async fn reopened(self) -> Self {
        let Self { kv, clock, people, dir, .. } = self;
        Self::open(kv, clock, people, dir).await
    }

    pub async fn answer(&self, caller: Caller, request: Request) -> Result<Answer, ServiceError> {
        let Request { method, path, query, headers, body } = request;
        let head = RequestHead { method, path, query, headers, host_bucket: None };
        let operation = self.lambda.identify(&head)?;
        let payload = Payload::new(Box::new(Whole(Some(body))), None);
        let request = ServiceRequest { head, operation, payload, caller: Arc::new(caller) };
        let response = self.lambda.call(request).await?;
        let body = match response.body {
            ResponseBody::Full(bytes) => bytes,
            ResponseBody::Empty => Bytes::new(),
            other => panic!("{other:?}"),
        };
        Ok(Answer { status: response.status, headers: response.headers, body })
    }

    /// Calls an operation; an error is its code.
    pub async fn call(&self, caller: Caller, request: Request) -> Result<Value, String> {
        let answer = self.answer(caller, request).await.map_err(|error| error.code.into_owned())?;
        Ok(serde_json::from_slice(&answer.body).unwrap_or_default())
    }

    /// The owner's root user calls; it must succeed.
    pub async fn root(&self, request: Request) -> Value {
        match self.answer(caller(root(OWNER), None), request).await {
            Ok(answer) => serde_json::from_slice(&answer.body).unwrap_or_default(),
            Err(error) => panic!("{error}"),
        }
    }

    /// What the owner's root user is refused, with its message.
    pub async fn refused(&self, request: Request) -> (String, String) {
        match self.answer(caller(root(OWNER), None), request).await {
            Ok(answer) => panic!("{:?} was not refused", answer.status),
            Err(error) => (error.code.into_owned(), error.message),
        }
    }

    /// A function, with what `more` says besides.
    pub async fn function(&self, name: &str, more: Value) -> Value {
        self.root(request("POST", "/2015-03-31/functions", "", new_function(name, more))).await
    }

    /// A version of a layer.
    pub async fn layer(&self, name: &str) -> Value {
        let body = json!({"Content": {"ZipFile": base64(&zip_maker::function())}});
        self.root(request("POST", &format!("/2018-10-31/layers/{name}/versions"), "", body)).await
    }
}

pub fn base64(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// The body that makes a function.
pub fn new_function(name: &str, more: Value) -> Value {
    let mut body = json!({
        "FunctionName": name, "Runtime": "python3.12", "Handler": "index.handler", "Role": role_arn("r"),
        "Code": {"ZipFile": base64(&zip_maker::function())},
    });
    for (key, value) in more.as_object().unwrap() {
        body[key] = value.clone();
    }
    body
}

pub struct Request {
    pub method: Method,
    pub path: String,
    pub query: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

pub fn request(method: &str, path: &str, query: &str, body: Value) -> Request {
    let body = if body.is_null() { Bytes::new() } else { body.to_string().into() };
    Request { method: method.parse().unwrap(), path: path.into(), query: query.into(), headers: HeaderMap::new(), body }
}

/// An invocation of the owner's function.
pub fn invocation(name: &str, kind: &'static str, event: &str) -> Request {
    let mut request = request("POST", &format!("/2015-03-31/functions/{name}/invocations"), "", Value::Null);
    request.headers.insert("x-amz-invocation-type", http::HeaderValue::from_static(kind));
    request.body = event.to_owned().into();
    request
}

/// Every row of the store.
pub async fn rows(kv: &MemoryKv) -> Vec<(Bytes, Bytes)> {
    use std::ops::Bound;

    use millpond_meta::{Scan, View};
    let (from, to) = (Bound::Included(Bytes::from_static(&[0])), Bound::Excluded(Bytes::from_static(&[0xff])));
    kv.scan(Scan { from, to, reverse: false, limit: 100_000 }).await.unwrap()
}
