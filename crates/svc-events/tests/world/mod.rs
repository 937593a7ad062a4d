//! A service over an engine in memory, with identities that a test makes up and a target that remembers what arrives.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]
#![allow(dead_code, reason = "each test uses a part of it")]

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::task::Poll;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::{HeaderMap, Method};
use millpond_io::{ManualClock, SystemRandom};
use millpond_kernel::outbox::Outbox;
use millpond_kernel::streams::Consumers;
use millpond_kernel::timers::Timers;
use millpond_kernel::{
    Arrival, AuthType, Authenticated, Caller, Delivery, Directory, DirectoryError, Epoch, Kernel, Named, Payload,
    PayloadSource, PolicySource, Principal, Rejection, RequestHead, ResponseBody, Rights, RoleCredentials,
    RoleSessions, Service, ServiceCall, ServiceError, ServiceIdentity, ServiceRequest, Session, SessionKind, Step,
    Target, Transport,
};
use millpond_meta::{Cond, MemoryKv, Op, View};
use millpond_outbound::{Outbound, OutboundConfig};
use millpond_policy::{Policy, PolicyKind};
use millpond_seal::Vault;
use millpond_svc_events::{Events, EventsParts};
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

/// A policy document of one statement.
pub fn says(effect: &str, actions: Value) -> String {
    json!({"Version": "2012-10-17", "Statement": {"Effect": effect, "Action": actions, "Resource": "*"}}).to_string()
}

pub fn named(text: &str, kind: PolicyKind) -> Named {
    let source = PolicySource::Inline { of: "arn".into(), name: "p".into() };
    Named { source, policy: Arc::new(Policy::parse(text, kind).unwrap()) }
}

/// Identities as a test makes them up, by ARN: their unique ids and their rights.
#[derive(Default)]
pub struct People {
    pub rights: Mutex<HashMap<String, (String, Arc<Rights>)>>,
}

impl People {
    pub fn add(&self, principal: &Principal, policies: &[String], boundary: Option<String>) {
        let (Principal::User { id, .. } | Principal::Role { id, .. }) = principal else { return };
        let identity = policies.iter().map(|text| named(text, PolicyKind::Identity)).collect();
        let boundary = boundary.map(|text| named(&text, PolicyKind::Identity));
        let rights = Rights { identity, boundary, tags: Vec::new() };
        self.rights.lock().unwrap().insert(principal.condition_arn(), (id.clone(), Arc::new(rights)));
    }
}

impl Directory for People {
    fn rights<'a>(&'a self, principal: &'a Principal) -> BoxFuture<'a, Result<Arc<Rights>, DirectoryError>> {
        let found = self.rights.lock().unwrap().get(&principal.condition_arn()).map(|(_, rights)| rights.clone());
        async move { found.ok_or(DirectoryError::Gone) }.boxed()
    }

    fn unique_id<'a>(&'a self, arn: &'a str) -> BoxFuture<'a, Result<Option<String>, DirectoryError>> {
        let found = self.rights.lock().unwrap().get(arn).map(|(id, _)| id.clone());
        async move { Ok(found) }.boxed()
    }

    fn account_exists(&self, account: AccountId) -> bool {
        [OWNER, STRANGER].contains(&account.as_str())
    }
}

impl RoleSessions for People {
    /// Any role that a test added may be assumed.
    fn assume<'a>(
        &'a self,
        role_arn: &'a str,
        service: &'a ServiceIdentity,
        session: &'a str,
        call: ServiceCall,
    ) -> BoxFuture<'a, Result<Caller, Rejection>> {
        let found = self.rights.lock().unwrap().get(role_arn).map(|(id, _)| id.clone());
        async move {
            let id = found.ok_or_else(|| Rejection::Denied(format!("{} may not assume {role_arn}", service.name())))?;
            let arn = Arn::parse(role_arn).unwrap();
            let principal = Principal::Role {
                account: arn.account().unwrap().parse().unwrap(),
                path: "/".into(),
                name: arn.resource().trim_start_matches("role/").into(),
                id,
                session: session.into(),
            };
            let mut caller = caller(principal, None);
            let _ = (&mut caller, call);
            Ok(caller)
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

/// What arrived, by ARN. Queues named `missing...` are not there, `closed...` let nobody in, those called `busy...` not as long as `busy` says so, and
/// `once` takes each body once.
#[derive(Default)]
pub struct Queues {
    pub offered: Mutex<Vec<(String, String, Delivery)>>,
    pub free: std::sync::atomic::AtomicBool,
    pub kv: std::sync::OnceLock<MemoryKv>,
}

/// Where the store keeps what `once` took.
const TAKEN: u8 = 0x71;

/// Where the store keeps what arrived, so that it counts what was committed.
const ARRIVED: u8 = 0x70;

impl Target for Queues {
    fn check<'a>(&'a self, _: &'a Arn, _: &'a Caller) -> BoxFuture<'a, Result<(), Rejection>> {
        async { Ok(()) }.boxed()
    }

    fn arrive<'a>(
        &'a self,
        to: &'a Arn,
        from: &'a Caller,
        delivery: &'a Delivery,
    ) -> BoxFuture<'a, Result<Arrival, Rejection>> {
        let name = to.resource().to_owned();
        self.offered.lock().unwrap().push((name.clone(), from.arn(), delivery.clone()));
        async move {
            match name.as_str() {
                name if name.starts_with("missing") => Err(Rejection::NotFound("There is no such queue.".into())),
                name if name.starts_with("closed") => Err(Rejection::Denied("The queue lets nobody in.".into())),
                name if name.starts_with("busy") && !self.free.load(std::sync::atomic::Ordering::SeqCst) => {
                    Err(Rejection::Failed("not now".into()))
                }
                name => {
                    let stream = Bytes::from([&[ARRIVED][..], name.as_bytes(), &[0]].concat());
                    // A row has at most 64 KiB.
                    let body = std::str::from_utf8(&delivery.body).unwrap();
                    let kept = if body.len() > 40_000 { "{}" } else { body };
                    let value = json!({
                        "body": kept,
                        "length": body.len(),
                        "id": delivery.id.to_string(),
                        "group": delivery.group,
                        "attributes": delivery.attributes.iter().map(|one| (one.name.clone(), Value::from(std::str::from_utf8(&one.value).unwrap()))).collect::<serde_json::Map<_, _>>(),
                    });
                    let mut arrival = Arrival::default();
                    if name == "once" {
                        let taken = Bytes::from([&[TAKEN][..], body.as_bytes()].concat());
                        if self.kv.get().unwrap().get(&taken).await.unwrap().is_some() {
                            return Ok(arrival);
                        }
                        arrival.conds.push(Cond::Absent(taken.clone()));
                        arrival.ops.push(Op::Put(taken, Bytes::new()));
                    }
                    arrival.ops.push(Op::Append { stream, value: value.to_string().into() });
                    Ok(arrival)
                }
            }
        }
        .boxed()
    }
}

pub struct World {
    pub events: Events,
    pub kernel: Arc<Kernel>,
    pub kv: MemoryKv,
    pub clock: Arc<ManualClock>,
    pub people: Arc<People>,
    pub queues: Arc<Queues>,
    pub consumers: Consumers,
    pub timers: Timers,
    pub outbox: Outbox,
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
        let clock = Arc::new(ManualClock::new(Timestamp::from_seconds(1_800_000_000)));
        Self::open(MemoryKv::new(), clock, Arc::default()).await
    }

    pub async fn open(kv: MemoryKv, clock: Arc<ManualClock>, people: Arc<People>) -> Self {
        let epoch = Epoch::load(Arc::new(kv.clone())).await.unwrap();
        let kernel = Arc::new(Kernel::new(account(OWNER), REGION.parse().unwrap(), epoch));
        kernel.use_directory(people.clone());
        kernel.use_roles(people.clone());
        let queues: Arc<Queues> = Arc::default();
        let _ = queues.kv.set(kv.clone());
        kernel.targets().register("sqs", queues.clone());
        let consumers = Consumers::new(Arc::new(kv.clone()), clock.clone());
        let timers = Timers::new(Arc::new(kv.clone()), clock.clone());
        let outbox = Outbox::new(Arc::new(kv.clone()), clock.clone(), timers.clone());
        let parts = EventsParts {
            kernel: kernel.clone(),
            kv: Arc::new(kv.clone()),
            vault: Arc::new(Vault::for_tests()),
            clock: clock.clone(),
            random: Arc::new(SystemRandom),
            consumers: consumers.clone(),
            timers: timers.clone(),
            outbound: Outbound::new(OutboundConfig::default()).unwrap(),
        };
        let events = Events::open(parts, &outbox).await.unwrap();
        Self { events, kernel, kv, clock, people, queues, consumers, timers, outbox }
    }

    /// The same after a restart.
    pub async fn reopened(self) -> Self {
        let Self { kv, clock, people, .. } = self;
        Self::open(kv, clock, people).await
    }

    /// Calls an operation; an error is its code.
    pub async fn call(&self, caller: Caller, operation: &str, body: Value) -> Result<Value, String> {
        self.answer(caller, operation, body).await.map_err(|error| error.code.into_owned())
    }

    pub async fn answer(&self, caller: Caller, operation: &str, body: Value) -> Result<Value, ServiceError> {
        let target = format!("AWSEvents.{operation}").parse().unwrap();
        let headers = HeaderMap::from_iter([(http::HeaderName::from_static("x-amz-target"), target)]);
        let (method, path) = (Method::POST, "/".to_owned());
        let head = RequestHead { method, path, query: String::new(), headers, host_bucket: None };
        let operation = self.events.identify(&head)?;
        let payload = Payload::new(Box::new(Whole(Some(body.to_string().into()))), None);
        let request = ServiceRequest { head, operation, payload, caller: Arc::new(caller) };
        match self.events.call(request).await?.body {
            ResponseBody::Full(bytes) if bytes.is_empty() => Ok(Value::Null),
            ResponseBody::Full(bytes) => Ok(serde_json::from_slice(&bytes).unwrap()),
            other => panic!("{other:?}"),
        }
    }

    /// The owner's root user calls; it must succeed.
    pub async fn root(&self, operation: &str, body: Value) -> Value {
        match self.answer(caller(root(OWNER), None), operation, body).await {
            Ok(value) => value,
            Err(error) => panic!("{operation}: {error}"),
        }
    }

    /// The owner's root user is refused: code and message.
    pub async fn refused(&self, operation: &str, body: Value) -> (String, String) {
        match self.answer(caller(root(OWNER), None), operation, body).await {
            Ok(value) => panic!("{operation}: {value}"),
            Err(error) => (error.code.into_owned(), error.message),
        }
    }

    /// A rule with one queue as its target.
    pub async fn rule(&self, bus: &str, name: &str, pattern: Value, target: Value) {
        let pattern = pattern.to_string();
        self.root("PutRule", json!({"Name": name, "EventBusName": bus, "EventPattern": pattern})).await;
        self.root("PutTargets", json!({"Rule": name, "EventBusName": bus, "Targets": [target]})).await;
    }

    /// Puts one event; its id.
    pub async fn put(&self, bus: &str, source: &str, detail: Value) -> String {
        let entry = json!({"EventBusName": bus, "Source": source, "DetailType": "t", "Detail": detail.to_string()});
        let answer = self.root("PutEvents", json!({"Entries": [entry]})).await;
        assert_eq!(answer["FailedEntryCount"], 0, "{answer}");
        answer["Entries"][0]["EventId"].as_str().unwrap().to_owned()
    }

    /// What is committed in a queue.
    pub async fn arrived(&self, queue: &str) -> Vec<Value> {
        use millpond_meta::Scan;
        self.consumers.run_pending().await.unwrap();
        let (from, to) =
            millpond_meta::key::prefix_range(Bytes::from([&[ARRIVED][..], queue.as_bytes(), &[0]].concat()));
        let scan = Scan {
            from: std::ops::Bound::Included(from),
            to: std::ops::Bound::Excluded(to),
            reverse: false,
            limit: 1_000_000,
        };
        let rows = self.kv.scan(scan).await.unwrap();
        rows.iter().map(|(_, value)| serde_json::from_slice(value).unwrap()).collect()
    }

    /// The bodies of what is committed in a queue, as JSON.
    pub async fn bodies(&self, queue: &str) -> Vec<Value> {
        let all = self.arrived(queue).await;
        all.iter().map(|one| serde_json::from_str(one["body"].as_str().unwrap()).unwrap()).collect()
    }
}

pub fn queue(name: &str) -> String {
    format!("arn:aws:sqs:{REGION}:{OWNER}:{name}")
}

pub fn bus_arn(of: &str, name: &str) -> String {
    format!("arn:aws:events:{REGION}:{of}:event-bus/{name}")
}
