//! A service over an engine in memory, with identities that a test makes up.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]
#![allow(dead_code, reason = "each test uses a part of it")]

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::task::Poll;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::{HeaderMap, Method};
use millpond_io::{ManualClock, SystemRandom};
use millpond_kernel::timers::Timers;
use millpond_kernel::{
    AuthType, Authenticated, Caller, Directory, DirectoryError, Epoch, Kernel, Listed, ListedPage, Named, ObjectReads,
    ObjectState, Payload, PayloadSource, PolicySource, Principal, Rejection, RequestHead, ResponseBody, Rights,
    RoleCredentials, RoleSessions, Service, ServiceCall, ServiceError, ServiceIdentity, ServiceRequest, Session,
    SessionKind, Step, Transport,
};
use millpond_meta::MemoryKv;
use millpond_policy::{Policy, PolicyKind};
use millpond_query::{Column, Describe, Described, Host};
use millpond_svc_glue::{Glue, GlueParts, SchemaError, Schemas};
use millpond_types::{AccountId, RequestId, Timestamp};
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

/// Tells one schema of all objects; none when nothing is said.
#[derive(Default)]
pub struct OneSchema(pub Mutex<Option<Vec<(String, String)>>>);

impl Schemas for OneSchema {
    fn describe<'a>(&'a self, object: Describe, _: &'a dyn Host) -> BoxFuture<'a, Result<Described, SchemaError>> {
        let known = self.0.lock().unwrap().clone();
        async move {
            let columns = known.ok_or_else(|| SchemaError::Object(format!("{} has no schema", object.key)))?;
            let column = |(name, kind): (String, String)| Column { name, kind, precision: 0, scale: 0 };
            Ok(Described { columns: columns.into_iter().map(column).collect(), rows: 3 })
        }
        .boxed()
    }
}

/// Roles that the service may assume, by ARN.
pub struct Roles;

impl RoleSessions for Roles {
    fn assume<'a>(
        &'a self,
        role_arn: &'a str,
        _: &'a ServiceIdentity,
        session: &'a str,
        _: ServiceCall,
    ) -> BoxFuture<'a, Result<Caller, Rejection>> {
        async move {
            match role_arn.rsplit_once("role/") {
                Some((_, name)) if name != "nobody" => {
                    let Principal::Role { account, path, name, id, .. } = role(OWNER, name) else { unreachable!() };
                    let principal = Principal::Role { account, path, name, id, session: session.into() };
                    Ok(caller(principal, None))
                }
                _ => Err(Rejection::Denied("it does not trust".into())),
            }
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
        async { Err(Rejection::Failed("not in tests".into())) }.boxed()
    }
}

/// Objects in one bucket, `lake`, which roles named `blind` may not read.
#[derive(Default)]
pub struct Lake(pub Mutex<BTreeMap<String, Bytes>>);

impl Lake {
    pub fn put(&self, key: &str, body: impl Into<Bytes>) {
        self.0.lock().unwrap().insert(key.to_owned(), body.into());
    }

    pub fn delete(&self, key: &str) {
        self.0.lock().unwrap().remove(key);
    }

    fn may(&self, caller: &Caller) -> Result<(), ServiceError> {
        match caller.arn().contains("blind") {
            true => Err(ServiceError::new("AccessDenied", 403, "not authorized to perform: s3:ListBucket")),
            false => Ok(()),
        }
    }

    fn find(&self, key: &str) -> Result<Bytes, ServiceError> {
        let found = self.0.lock().unwrap().get(key).cloned();
        found.ok_or_else(|| ServiceError::new("NoSuchKey", 404, "no such key"))
    }
}

impl ObjectReads for Lake {
    fn get_range<'a>(
        &'a self,
        caller: Arc<Caller>,
        _: &'a str,
        key: &'a str,
        _: &'a str,
        range: std::ops::Range<u64>,
    ) -> BoxFuture<'a, Result<Vec<Bytes>, ServiceError>> {
        async move {
            self.may(&caller)?;
            let bytes = self.find(key)?;
            Ok(vec![bytes.slice(range.start as usize..(range.end as usize).min(bytes.len()))])
        }
        .boxed()
    }

    fn head<'a>(
        &'a self,
        caller: Arc<Caller>,
        _: &'a str,
        key: &'a str,
    ) -> BoxFuture<'a, Result<ObjectState, ServiceError>> {
        async move {
            self.may(&caller)?;
            let size = self.find(key)?.len() as u64;
            Ok(ObjectState { size, etag: "e".into(), modified: Timestamp(0) })
        }
        .boxed()
    }

    fn list<'a>(
        &'a self,
        caller: Arc<Caller>,
        _: &'a str,
        prefix: &'a str,
        _: Option<&'a str>,
        _: Option<&'a str>,
    ) -> BoxFuture<'a, Result<ListedPage, ServiceError>> {
        async move {
            self.may(&caller)?;
            let objects = self.0.lock().unwrap();
            let listed = objects.iter().filter(|(key, _)| key.starts_with(prefix)).map(|(key, bytes)| Listed {
                key: key.clone(),
                size: bytes.len() as u64,
                etag: "e".into(),
                modified: Timestamp(0),
            });
            Ok(ListedPage { objects: listed.collect(), ..ListedPage::default() })
        }
        .boxed()
    }
}

pub struct World {
    pub glue: Glue,
    pub timers: Timers,
    pub lake: Arc<Lake>,
    pub schemas: Arc<OneSchema>,
    pub kernel: Arc<Kernel>,
    pub kv: MemoryKv,
    pub clock: Arc<ManualClock>,
    pub people: Arc<People>,
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
        let clock = Arc::new(ManualClock::new(Timestamp::from_seconds(1_800_000_000)));
        Self::open(kv, clock, Arc::default()).await
    }

    pub async fn open(kv: MemoryKv, clock: Arc<ManualClock>, people: Arc<People>) -> Self {
        let epoch = Epoch::load(Arc::new(kv.clone())).await.unwrap();
        let kernel = Arc::new(Kernel::new(account(OWNER), REGION.parse().unwrap(), epoch));
        kernel.use_directory(people.clone());
        let lake = Arc::<Lake>::default();
        kernel.use_roles(Arc::new(Roles));
        kernel.use_object_reads(lake.clone());
        let timers = Timers::new(Arc::new(kv.clone()), clock.clone());
        let schemas = Arc::<OneSchema>::default();
        let glue = Glue::open(GlueParts {
            kv: Arc::new(kv.clone()),
            kernel: kernel.clone(),
            clock: clock.clone(),
            random: Arc::new(SystemRandom),
            vault: Arc::new(millpond_seal::Vault::for_tests()),
            timers: timers.clone(),
            schemas: schemas.clone(),
        });
        Self { glue: glue.await.unwrap(), timers, lake, schemas, kernel, kv, clock, people }
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
        let target = format!("AWSGlue.{operation}").parse().unwrap();
        let headers = HeaderMap::from_iter([(http::HeaderName::from_static("x-amz-target"), target)]);
        let (method, path) = (Method::POST, "/".to_owned());
        let head = RequestHead { method, path, query: String::new(), headers, host_bucket: None };
        let operation = self.glue.identify(&head)?;
        let payload = Payload::new(Box::new(Whole(Some(body.to_string().into()))), None);
        let request = ServiceRequest { head, operation, payload, caller: Arc::new(caller) };
        match self.glue.call(request).await?.body {
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
}
