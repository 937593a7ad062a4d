//! A service over an engine in memory, with identities that a test makes up.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]
#![allow(dead_code, reason = "each test uses a part of it")]

use std::collections::HashMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex};
use std::task::Poll;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::{HeaderMap, Method};
use millpond_io::{ManualClock, SystemRandom};
use millpond_kernel::timers::Timers;
use millpond_kernel::{
    Arrival, AuthType, Authenticated, Caller, Delivery, Directory, DirectoryError, Epoch, Kernel, Named, Payload,
    PayloadSource, PolicySource, Principal, Rejection, RequestHead, ResponseBody, Rights, RoleCredentials,
    RoleSessions, Service, ServiceCall, ServiceError, ServiceIdentity, ServiceRequest, Session, SessionKind, Step,
    Target, Transport,
};
use millpond_meta::{MemoryKv, Op, Scan, View};
use millpond_policy::{Policy, PolicyKind};
use millpond_svc_scheduler::Scheduler;
use millpond_types::{AccountId, Arn, RequestId, Timestamp};
use serde_json::{Value, json};

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

pub fn arn(principal: &Principal) -> String {
    principal.condition_arn()
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
        self.ids.lock().unwrap().insert(arn(principal), id.clone());
        let identity = policies.iter().map(|text| named(text, PolicyKind::Identity)).collect();
        let boundary = boundary.map(|text| named(&text, PolicyKind::Identity));
        let rights = Rights { identity, boundary, tags: Vec::new() };
        self.rights.lock().unwrap().insert(arn(principal), Arc::new(rights));
    }
}

impl Directory for People {
    fn rights<'a>(&'a self, principal: &'a Principal) -> BoxFuture<'a, Result<Arc<Rights>, DirectoryError>> {
        let found = self.rights.lock().unwrap().get(&arn(principal)).cloned();
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
        call: ServiceCall,
    ) -> BoxFuture<'a, Result<Caller, Rejection>> {
        async move {
            assert_eq!(service.name(), "scheduler.amazonaws.com");
            assert!(call.source_arn.is_some_and(|arn| arn.resource().starts_with("schedule-group/")));
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
        _: &'a str,
        _: &'a ServiceIdentity,
        _: &'a str,
        _: ServiceCall,
        _: u32,
    ) -> BoxFuture<'a, Result<RoleCredentials, Rejection>> {
        unreachable!("no code of others acts here")
    }
}

/// Where targets keep what arrives.
const ARRIVED: u8 = 0xA1;

/// A target that takes everything for ARNs that do not end with `missing`, as often as it is told.
#[derive(Default)]
pub struct Letterbox {
    /// Arrivals that fail before one succeeds.
    pub failing: Mutex<u32>,
}

impl Target for Letterbox {
    fn check<'a>(&'a self, _: &'a Arn, _: &'a Caller) -> BoxFuture<'a, Result<(), Rejection>> {
        async { Ok(()) }.boxed()
    }

    fn arrive<'a>(
        &'a self,
        to: &'a Arn,
        from: &'a Caller,
        delivery: &'a Delivery,
    ) -> BoxFuture<'a, Result<Arrival, Rejection>> {
        async move {
            if to.as_str().ends_with("missing") {
                return Err(Rejection::NotFound("The queue does not exist.".to_owned()));
            }
            if !to.as_str().ends_with("letters") {
                let mut failing = self.failing.lock().unwrap();
                if *failing > 0 {
                    *failing -= 1;
                    return Err(Rejection::Failed("told to fail".to_owned()));
                }
            }
            let attributes: HashMap<_, _> = delivery
                .attributes
                .iter()
                .map(|one| (one.name.clone(), String::from_utf8(one.value.to_vec()).unwrap()))
                .collect();
            // A row of the store has 64 KiB.
            let mut body = String::from_utf8(delivery.body.to_vec()).unwrap();
            if body.len() > 10_000 {
                body = format!("{} bytes", body.len());
            }
            let value = json!({
                "to": to.resource(), "from": from.arn(), "body": body,
                "group": delivery.group, "id": delivery.id.to_string(), "attributes": attributes,
            });
            let stream = Bytes::from_static(&[ARRIVED]);
            Ok(Arrival { conds: Vec::new(), ops: vec![Op::Append { stream, value: value.to_string().into() }] })
        }
        .boxed()
    }
}

pub struct World {
    pub scheduler: Scheduler,
    pub timers: Timers,
    pub kernel: Arc<Kernel>,
    pub kv: MemoryKv,
    pub clock: Arc<ManualClock>,
    pub people: Arc<People>,
    pub target: Arc<Letterbox>,
}

pub struct Whole(pub Option<Bytes>);

impl PayloadSource for Whole {
    fn poll_step(&mut self, _: &mut std::task::Context<'_>) -> Poll<Result<Step, ServiceError>> {
        Poll::Ready(Ok(self.0.take().map_or(Step::End(Vec::new()), Step::Chunk)))
    }
}

/// A signed caller, with a session whose policies may be given.
pub fn caller(principal: Principal, session: Option<Vec<String>>) -> Caller {
    let auth = if principal == Principal::Anonymous { AuthType::None } else { AuthType::Header };
    let issued = Timestamp::from_seconds(1_800_000_000);
    let session = session.map(|policies| {
        Arc::new(Session {
            policies: Some(policies.iter().map(|text| named(text, PolicyKind::Session)).collect()),
            tags: Vec::new(),
            transitive: Vec::new(),
            source_identity: None,
            issued,
            expires: issued.plus(std::time::Duration::from_secs(3600)),
            by: SessionKind::AssumeRole,
            causes: Vec::new(),
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

impl World {
    pub async fn new() -> Self {
        let kv = MemoryKv::new();
        let clock = Arc::new(ManualClock::new(Timestamp::from_seconds(START)));
        Self::open(kv, clock, Arc::default()).await
    }

    pub async fn open(kv: MemoryKv, clock: Arc<ManualClock>, people: Arc<People>) -> Self {
        let epoch = Epoch::load(Arc::new(kv.clone())).await.unwrap();
        let kernel = Arc::new(Kernel::new(account(OWNER), REGION.parse().unwrap(), epoch));
        kernel.use_directory(people.clone());
        kernel.use_roles(Arc::new(Roles));
        let target = Arc::new(Letterbox::default());
        for service in ["sqs", "sns", "events"] {
            kernel.targets().register(service, target.clone());
        }
        let timers = Timers::new(Arc::new(kv.clone()), clock.clone());
        timers.add(Arc::new(millpond_kernel::trace::Forget));
        let random = Arc::new(SystemRandom);
        let scheduler = Scheduler::new(
            Arc::new(kv.clone()),
            kernel.clone(),
            clock.clone(),
            random,
            timers.clone(),
            Arc::new(millpond_seal::Vault::for_tests()),
        );
        Self { scheduler, timers, kernel, kv, clock, people, target }
    }

    /// The same after a restart.
    pub async fn reopened(self) -> Self {
        let Self { kv, clock, people, .. } = self;
        Self::open(kv, clock, people).await
    }

    /// Moves the clock to a time, in seconds from the start, and carries out what is due.
    pub async fn at(&self, seconds: u64) {
        self.clock.set(Timestamp::from_seconds(START + seconds));
        self.timers.run_due().await;
    }

    /// What arrived, since ever.
    pub async fn arrived(&self) -> Vec<Value> {
        let (from, to) = (Bytes::from_static(&[ARRIVED]), Bytes::from_static(&[ARRIVED + 1]));
        let scan = Scan { from: Bound::Included(from), to: Bound::Excluded(to), reverse: false, limit: 10_000 };
        let rows = self.kv.scan(scan).await.unwrap();
        rows.into_iter().map(|(_, value)| serde_json::from_slice(&value).unwrap()).collect()
    }

    /// Calls an operation; an error is its code.
    pub async fn call(&self, caller: Caller, request: Request) -> Result<Value, String> {
        self.answer(caller, request).await.map_err(|error| error.code.into_owned())
    }

    pub async fn answer(&self, caller: Caller, request: Request) -> Result<Value, ServiceError> {
        let Request { method, path, query, body } = request;
        let headers = HeaderMap::new();
        let head = RequestHead { method, path, query, headers, host_bucket: None };
        let operation = self.scheduler.identify(&head)?;
        let payload = Payload::new(Box::new(Whole(Some(body.to_string().into()))), None);
        let request = ServiceRequest { head, operation, payload, caller: Arc::new(caller) };
        match self.scheduler.call(request).await?.body {
            ResponseBody::Full(bytes) if bytes.is_empty() => Ok(Value::Null),
            ResponseBody::Full(bytes) => Ok(serde_json::from_slice(&bytes).unwrap()),
            other => panic!("{other:?}"),
        }
    }

    /// The owner's root user calls; it must succeed.
    pub async fn root(&self, request: Request) -> Value {
        match self.answer(caller(root(OWNER), None), request).await {
            Ok(value) => value,
            Err(error) => panic!("{error}"),
        }
    }

    /// A schedule with this expression, and what `more` says besides.
    pub async fn schedule(&self, name: &str, expression: &str, more: Value) {
        let request = request("POST", &format!("/schedules/{name}"), "", schedule(expression, more));
        self.root(request).await;
    }
}

/// When worlds begin: 2026-11-20T13:00:00Z.
pub const START: u64 = 1_795_179_600;

pub struct Request {
    pub method: Method,
    pub path: String,
    pub query: String,
    pub body: Value,
}

pub fn request(method: &str, path: &str, query: &str, body: Value) -> Request {
    Request { method: method.parse().unwrap(), path: path.into(), query: query.into(), body }
}

pub fn queue(name: &str) -> String {
    format!("arn:aws:sqs:{REGION}:{OWNER}:{name}")
}

pub fn role_arn(name: &str) -> String {
    format!("arn:aws:iam::{OWNER}:role/{name}")
}

/// The body of a schedule that sends to the queue `q` as the role `r`; members of `more` replace those of the same name, and those of its
/// `Target` the target's.
pub fn schedule(expression: &str, more: Value) -> Value {
    let mut body = json!({
        "ScheduleExpression": expression, "FlexibleTimeWindow": {"Mode": "OFF"},
        "Target": {"Arn": queue("q"), "RoleArn": role_arn("r"), "Input": "hello"},
    });
    for (name, value) in more.as_object().cloned().unwrap_or_default() {
        match (name.as_str(), value) {
            ("Target", Value::Object(members)) => body["Target"].as_object_mut().unwrap().extend(members),
            (_, value) => drop(body.as_object_mut().unwrap().insert(name, value)),
        }
    }
    body
}
