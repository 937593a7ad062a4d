//! A service over an engine in memory, with a catalog, objects and a runner of queries that a test makes up.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]
#![allow(dead_code, reason = "each test uses a part of it")]

pub mod fakes;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::{HeaderMap, Method};
use millpond_io::{ManualClock, SystemRandom};
use millpond_kernel::timers::Timers;
use millpond_kernel::{
    AuthType, Authenticated, Caller, Directory, DirectoryError, Epoch, Kernel, Named, Payload, PayloadSource,
    PolicySource, Principal, RequestHead, ResponseBody, Rights, Service, ServiceError, ServiceRequest, Session,
    SessionKind, Step, Transport,
};
use millpond_meta::MemoryKv;
use millpond_policy::{Policy, PolicyKind};
use millpond_svc_athena::{Athena, AthenaParts, NoDdl};
use millpond_types::{AccountId, RequestId, Timestamp};
use serde_json::{Value, json};
use tokio::sync::Notify;

pub use fakes::{Buckets, Engine, Tables};

pub const OWNER: &str = "111122223333";
pub const STRANGER: &str = "444455556666";
pub const REGION: &str = "us-east-1";
/// When worlds begin: 2026-11-20T13:00:00Z.
pub const START: u64 = 1_795_179_600;

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

/// A policy document of one statement.
pub fn says(effect: &str, actions: &str, resource: &str) -> String {
    json!({"Version": "2012-10-17", "Statement": {"Effect": effect, "Action": actions, "Resource": resource}})
        .to_string()
}

fn named(text: &str, kind: PolicyKind) -> Named {
    let source = PolicySource::Inline { of: "arn".into(), name: "p".into() };
    Named { source, policy: Arc::new(Policy::parse(text, kind).unwrap()) }
}

/// Identities as a test makes them up, by ARN: their unique ids and their rights.
#[derive(Default)]
pub struct People {
    ids: Mutex<HashMap<String, String>>,
    rights: Mutex<HashMap<String, Arc<Rights>>>,
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

pub struct World {
    pub athena: Athena,
    pub timers: Timers,
    pub kernel: Arc<Kernel>,
    pub kv: MemoryKv,
    pub clock: Arc<ManualClock>,
    pub people: Arc<People>,
    pub buckets: Arc<Buckets>,
    pub tables: Arc<Tables>,
    pub engine: Arc<Engine>,
    stop: Arc<Notify>,
    running: tokio::task::JoinHandle<()>,
}

struct Whole(Option<Bytes>);

impl PayloadSource for Whole {
    fn poll_step(&mut self, _: &mut std::task::Context<'_>) -> Poll<Result<Step, ServiceError>> {
        Poll::Ready(Ok(self.0.take().map_or(Step::End(Vec::new()), Step::Chunk)))
    }
}

/// A signed caller, with a session whose policies may be given.
pub fn caller(principal: Principal, session: Option<Vec<String>>) -> Caller {
    let auth = if principal == Principal::Anonymous { AuthType::None } else { AuthType::Header };
    let issued = Timestamp::from_seconds(START);
    let session = session.map(|policies| {
        Arc::new(Session {
            policies: Some(policies.iter().map(|text| named(text, PolicyKind::Session)).collect()),
            tags: Vec::new(),
            transitive: Vec::new(),
            source_identity: None,
            issued,
            expires: issued.plus(Duration::from_secs(3600)),
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
        let clock = Arc::new(ManualClock::new(Timestamp::from_seconds(START)));
        Self::open(MemoryKv::new(), clock, Arc::default(), Arc::default(), Arc::default(), Arc::default()).await
    }

    async fn open(
        kv: MemoryKv,
        clock: Arc<ManualClock>,
        people: Arc<People>,
        buckets: Arc<Buckets>,
        tables: Arc<Tables>,
        engine: Arc<Engine>,
    ) -> Self {
        let epoch = Epoch::load(Arc::new(kv.clone())).await.unwrap();
        let kernel = Arc::new(Kernel::new(account(OWNER), REGION.parse().unwrap(), epoch));
        kernel.use_directory(people.clone());
        kernel.use_catalog(tables.clone());
        kernel.use_object_reads(buckets.clone());
        let timers = Timers::new(Arc::new(kv.clone()), clock.clone());
        let athena = Athena::new(AthenaParts {
            kv: Arc::new(kv.clone()),
            kernel: kernel.clone(),
            clock: clock.clone(),
            random: Arc::new(SystemRandom),
            vault: Arc::new(millpond_seal::Vault::for_tests()),
            timers: timers.clone(),
            objects: buckets.clone(),
            queries: engine.clone(),
            ddl: Arc::new(NoDdl),
        });
        let (stop, stopped, running) = (Arc::new(Notify::new()), Arc::new(Notify::new()), athena.clone());
        drop(stopped);
        let until = stop.clone();
        let running = tokio::spawn(async move { running.run(until.notified()).await });
        Self { athena, timers, kernel, kv, clock, people, buckets, tables, engine, stop, running }
    }

    /// The same after a restart.
    pub async fn reopened(self) -> Self {
        let Self { kv, clock, people, buckets, tables, engine, stop, running, .. } = self;
        stop.notify_one();
        running.await.unwrap();
        Self::open(kv, clock, people, buckets, tables, engine).await
    }

    /// Moves the clock to a time, in seconds from the start, and carries out what is due.
    pub async fn at(&self, seconds: u64) {
        self.clock.set(Timestamp::from_seconds(START + seconds));
        self.timers.run_due().await;
    }

    /// Calls an operation; an error is its code.
    pub async fn call(&self, caller: Caller, name: &str, body: Value) -> Result<Value, String> {
        self.answer(caller, name, body).await.map_err(|error| error.code.into_owned())
    }

    pub async fn answer(&self, caller: Caller, name: &str, body: Value) -> Result<Value, ServiceError> {
        let mut headers = HeaderMap::new();
        headers.insert("x-amz-target", format!("AmazonAthena.{name}").parse().unwrap());
        let head =
            RequestHead { method: Method::POST, path: "/".into(), query: String::new(), headers, host_bucket: None };
        let operation = self.athena.identify(&head)?;
        let payload = Payload::new(Box::new(Whole(Some(body.to_string().into()))), None);
        let request = ServiceRequest { head, operation, payload, caller: Arc::new(caller) };
        match self.athena.call(request).await?.body {
            ResponseBody::Full(bytes) if bytes.is_empty() => Ok(Value::Null),
            ResponseBody::Full(bytes) => Ok(serde_json::from_slice(&bytes).unwrap()),
            other => panic!("{other:?}"),
        }
    }

    /// The owner's root user calls; it must succeed.
    pub async fn root(&self, name: &str, body: Value) -> Value {
        match self.answer(caller(root(OWNER), None), name, body).await {
            Ok(value) => value,
            Err(error) => panic!("{error}"),
        }
    }

    /// The owner's root user calls; code and message of the refusal.
    pub async fn refused(&self, name: &str, body: Value) -> (String, String) {
        match self.answer(caller(root(OWNER), None), name, body).await {
            Ok(value) => panic!("{value}"),
            Err(error) => (error.code.into_owned(), error.message),
        }
    }

    /// Starts a query whose result goes to the bucket `results`; what `more` says besides.
    pub async fn start(&self, statement: &str, more: Value) -> String {
        let started = self.root("StartQueryExecution", query(statement, more)).await;
        started["QueryExecutionId"].as_str().unwrap().to_owned()
    }

    /// An execution, once it is over.
    pub async fn ended(&self, id: &str) -> Value {
        for _ in 0..10_000 {
            let shown = self.shown(id).await;
            let state = shown["Status"]["State"].as_str().unwrap();
            if !["QUEUED", "RUNNING"].contains(&state) {
                return shown;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        panic!("{id} does not end");
    }

    /// An execution in a state that it comes to.
    pub async fn becomes(&self, id: &str, state: &str) -> Value {
        for _ in 0..10_000 {
            let shown = self.shown(id).await;
            if shown["Status"]["State"] == state {
                return shown;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        panic!("{id} does not become {state}");
    }

    pub async fn shown(&self, id: &str) -> Value {
        self.root("GetQueryExecution", json!({"QueryExecutionId": id})).await["QueryExecution"].clone()
    }

    /// Runs a query to its end.
    pub async fn run(&self, statement: &str, more: Value) -> Value {
        let id = self.start(statement, more).await;
        self.ended(&id).await
    }
}

/// The body of a query whose result goes to `s3://results/`; members of `more` replace those of the same name.
pub fn query(statement: &str, more: Value) -> Value {
    let mut body = json!({"QueryString": statement, "ResultConfiguration": {"OutputLocation": "s3://results/folder/"}});
    for (name, value) in more.as_object().cloned().unwrap_or_default() {
        body.as_object_mut().unwrap().insert(name, value);
    }
    body
}
