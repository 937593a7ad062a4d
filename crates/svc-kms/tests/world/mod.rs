//! A service over an engine in memory, with identities that a test makes up.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]
#![allow(dead_code, reason = "each test uses a part of it")]

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::task::Poll;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::{HeaderMap, Method};
use millpond_io::{ManualClock, SystemRandom};
use millpond_kernel::{
    AuthType, Authenticated, Caller, Directory, DirectoryError, Epoch, Kernel, Named, Payload, PayloadSource,
    PolicySource, Principal, RequestHead, ResponseBody, Rights, Service, ServiceError, ServiceRequest, Session,
    SessionKind, Step, Transport,
};
use millpond_meta::MemoryKv;
use millpond_policy::{Policy, PolicyKind};
use millpond_seal::Vault;
use millpond_svc_kms::Kms;
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

pub struct World {
    pub kms: Kms,
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
        Self::sealed(kv, clock, people, Vault::for_tests()).await
    }

    /// With a vault of its own.
    pub async fn sealed(kv: MemoryKv, clock: Arc<ManualClock>, people: Arc<People>, vault: Vault) -> Self {
        let epoch = Epoch::load(Arc::new(kv.clone())).await.unwrap();
        let kernel = Arc::new(Kernel::new(account(OWNER), REGION.parse().unwrap(), epoch));
        kernel.use_directory(people.clone());
        let vault = Arc::new(vault);
        let kms = Kms::open(Arc::new(kv.clone()), kernel.clone(), vault, clock.clone(), Arc::new(SystemRandom));
        Self { kms: kms.await.unwrap(), kernel, kv, clock, people }
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
        let target = format!("TrentService.{operation}").parse().unwrap();
        let headers = HeaderMap::from_iter([(http::HeaderName::from_static("x-amz-target"), target)]);
        let (method, path) = (Method::POST, "/".to_owned());
        let head = RequestHead { method, path, query: String::new(), headers, host_bucket: None };
        let operation = self.kms.identify(&head)?;
        let payload = Payload::new(Box::new(Whole(Some(body.to_string().into()))), None);
        let request = ServiceRequest { head, operation, payload, caller: Arc::new(caller) };
        match self.kms.call(request).await?.body {
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

    /// A new key's ARN.
    pub async fn key(&self) -> String {
        self.made(json!({})).await
    }

    pub async fn made(&self, body: Value) -> String {
        self.root("CreateKey", body).await["KeyMetadata"]["Arn"].as_str().unwrap().to_owned()
    }
}

pub fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// A key policy: the statements, and one that keeps the control with the owner's role `admin`.
pub fn key_policy(statements: &[Value]) -> String {
    let admin = json!({"Effect": "Allow", "Principal": {"AWS": arn(&role(OWNER, "admin"))}, "Action": "kms:*", "Resource": "*"});
    let all: Vec<&Value> = statements.iter().chain([&admin]).collect();
    json!({"Version": "2012-10-17", "Statement": all}).to_string()
}

pub fn allow(principals: &[&str], actions: Value) -> Value {
    json!({"Effect": "Allow", "Principal": {"AWS": principals}, "Action": actions, "Resource": "*"})
}

pub fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

pub fn code(code: &str) -> Result<Value, String> {
    Err(code.to_owned())
}

pub async fn seal(world: &World, key: &str, context: Value) -> String {
    let body = json!({"KeyId": key, "Plaintext": base64(b"secret"), "EncryptionContext": context});
    text(&world.root("Encrypt", body).await["CiphertextBlob"])
}

pub async fn open(world: &World, who: &Principal, blob: &str, context: Value) -> Result<Value, String> {
    let body = json!({"CiphertextBlob": blob, "EncryptionContext": context});
    world.call(caller(who.clone(), None), "Decrypt", body).await.map(|answer| answer["Plaintext"].clone())
}
