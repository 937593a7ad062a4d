//! A service over an engine in memory, with identities and queues that a test makes up.
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
use millpond_kernel::chunks;
use millpond_kernel::outbox::Outbox;
use millpond_kernel::streams::Consumers;
use millpond_kernel::timers::Timers;
use millpond_kernel::{
    Arrival, AuthType, Authenticated, Caller, Delivery, Directory, DirectoryError, Epoch, Kernel, Named, Payload,
    PayloadSource, PolicySource, Principal, Rejection, RequestHead, ResponseBody, Rights, Service, ServiceError,
    ServiceRequest, Session, SessionKind, Step, Target, Transport,
};
use millpond_meta::{Cond, MemoryKv, Op, View};
use millpond_outbound::{Outbound, OutboundConfig};
use millpond_policy::{Policy, PolicyKind};
use millpond_seal::Vault;
use millpond_svc_sns::{Sns, SnsParts};
use millpond_types::{AccountId, Arn, RequestId, Timestamp};
use serde_json::json;

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

/// Queues that take everything, save those that a test closes, and `once`, which takes each body once. What arrives becomes a row of a table of their own, so that it is there exactly when it was committed.
#[derive(Default)]
pub struct Queues {
    pub closed: Mutex<HashMap<String, Rejection>>,
    pub asked: Mutex<Vec<(String, String, Delivery)>>,
    pub kv: std::sync::OnceLock<MemoryKv>,
}

/// The table of what `once` took.
const TAKEN: u8 = 0xE1;

/// The table of what arrived.
pub const ARRIVED: u8 = 0xE0;

impl Target for Queues {
    fn check<'a>(&'a self, _: &'a Arn, _: &'a Caller) -> BoxFuture<'a, Result<(), Rejection>> {
        async { Ok(()) }.boxed()
    }

    fn arrive<'a>(
        &'a self,
        to: &'a Arn,
        from: &'a Caller,
        what: &'a Delivery,
    ) -> BoxFuture<'a, Result<Arrival, Rejection>> {
        async move {
            self.asked.lock().unwrap().push((to.to_string(), from.arn(), what.clone()));
            if let Some(rejection) = self.closed.lock().unwrap().get(to.resource()) {
                return Err(rejection.clone());
            }
            let stream = [&[ARRIVED], to.resource().as_bytes()].concat().into();
            let value = [&what.id.to_be_bytes()[..], &(what.body.len() as u64).to_be_bytes()].concat().into();
            let mut ops = chunks::put(what.id, &what.body);
            ops.push(Op::Append { stream, value });
            let mut conds = Vec::new();
            if to.resource() == "once" {
                let taken = Bytes::from([&[TAKEN][..], &what.body].concat());
                if self.kv.get().unwrap().get(&taken).await.unwrap().is_some() {
                    return Ok(Arrival::default());
                }
                conds.push(Cond::Absent(taken.clone()));
                ops.push(Op::Put(taken, Bytes::new()));
            }
            Ok(Arrival { conds, ops })
        }
        .boxed()
    }
}

pub struct World {
    pub sns: Sns,
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

fn encoded(text: &str) -> String {
    text.bytes()
        .map(|b| if b.is_ascii_alphanumeric() { (b as char).to_string() } else { format!("%{b:02X}") })
        .collect()
}

/// The text of the first element of a name in an answer.
pub fn element(answer: &str, name: &str) -> String {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let from = answer.find(&open).unwrap_or_else(|| panic!("no {name} in {answer}")) + open.len();
    answer[from..from + answer[from..].find(&close).unwrap()].to_owned()
}

impl World {
    pub async fn new() -> Self {
        let clock = Arc::new(ManualClock::new(Timestamp::from_seconds(1_800_000_000)));
        Self::open(MemoryKv::new(), clock, Arc::default(), Arc::default()).await
    }

    pub async fn open(kv: MemoryKv, clock: Arc<ManualClock>, people: Arc<People>, queues: Arc<Queues>) -> Self {
        let epoch = Epoch::load(Arc::new(kv.clone())).await.unwrap();
        let kernel = Arc::new(Kernel::new(account(OWNER), REGION.parse().unwrap(), epoch));
        kernel.use_directory(people.clone());
        kernel.targets().register("sqs", queues.clone());
        let consumers = Consumers::new(Arc::new(kv.clone()), clock.clone());
        let timers = Timers::new(Arc::new(kv.clone()), clock.clone());
        let outbox = Outbox::new(Arc::new(kv.clone()), clock.clone(), timers.clone());
        let sns = Sns::open(SnsParts {
            kv: Arc::new(kv.clone()),
            kernel: kernel.clone(),
            vault: Arc::new(Vault::for_tests()),
            clock: clock.clone(),
            random: Arc::new(SystemRandom),
            consumers: consumers.clone(),
            timers: timers.clone(),
            outbox: outbox.clone(),
            outbound: Outbound::new(OutboundConfig::default()).unwrap(),
        });
        let sns = sns.await.unwrap();
        sns.at("http://lake.example");
        Self { sns, kernel, kv, clock, people, queues, consumers, timers, outbox }
    }

    /// The same after a restart.
    pub async fn reopened(self) -> Self {
        let Self { kv, clock, people, queues, .. } = self;
        Self::open(kv, clock, people, queues).await
    }

    /// Calls an operation; an error is its code.
    pub async fn call(&self, caller: Caller, operation: &str, parameters: &[(&str, &str)]) -> Result<String, String> {
        self.answer(caller, operation, parameters).await.map_err(|error| error.code.into_owned())
    }

    pub async fn answer(
        &self,
        caller: Caller,
        operation: &str,
        parameters: &[(&str, &str)],
    ) -> Result<String, ServiceError> {
        let mut form = format!("Action={operation}&Version=2010-03-31");
        for (name, value) in parameters {
            form.push_str(&format!("&{name}={}", encoded(value)));
        }
        let (method, path, headers) = (Method::POST, "/".to_owned(), HeaderMap::new());
        let head = RequestHead { method, path, query: String::new(), headers, host_bucket: None };
        self.send(caller, head, form).await
    }

    /// Follows a link, unsigned.
    pub async fn follow(&self, query: &str) -> Result<String, ServiceError> {
        let (method, path, headers) = (Method::GET, "/".to_owned(), HeaderMap::new());
        let head = RequestHead { method, path, query: query.to_owned(), headers, host_bucket: None };
        self.send(self::caller(Principal::Anonymous, None), head, String::new()).await
    }

    async fn send(&self, caller: Caller, head: RequestHead, form: String) -> Result<String, ServiceError> {
        let operation = self.sns.identify_body(&head, form.as_bytes()).unwrap_or(self.sns.identify(&head)?);
        let payload = Payload::new(Box::new(Whole(Some(form.into()))), None);
        let request = ServiceRequest { head, operation, payload, caller: Arc::new(caller) };
        match self.sns.call(request).await?.body {
            ResponseBody::Full(bytes) => Ok(String::from_utf8(bytes.to_vec()).unwrap()),
            other => panic!("{other:?}"),
        }
    }

    /// The owner's root user calls; it must succeed.
    pub async fn root(&self, operation: &str, parameters: &[(&str, &str)]) -> String {
        match self.answer(caller(root(OWNER), None), operation, parameters).await {
            Ok(answer) => answer,
            Err(error) => panic!("{operation}: {error}"),
        }
    }

    pub async fn topic(&self, name: &str) -> String {
        element(&self.root("CreateTopic", &[("Name", name)]).await, "TopicArn")
    }

    /// Subscribes a queue of the owner's; the subscription's ARN.
    pub async fn subscribe(&self, topic: &str, queue: &str, attributes: &[(&str, &str)]) -> String {
        let endpoint = format!("arn:aws:sqs:{REGION}:{OWNER}:{queue}");
        let mut parameters = vec![("TopicArn", topic), ("Protocol", "sqs"), ("Endpoint", endpoint.as_str())];
        let names: Vec<(String, String)> = (1..=attributes.len())
            .map(|n| (format!("Attributes.entry.{n}.key"), format!("Attributes.entry.{n}.value")))
            .collect();
        for ((key, value), (name, text)) in names.iter().zip(attributes) {
            parameters.push((key, name));
            parameters.push((value, text));
        }
        element(&self.root("Subscribe", &parameters).await, "SubscriptionArn")
    }

    /// What arrived at a queue.
    pub async fn arrived(&self, queue: &str) -> Vec<String> {
        use std::ops::Bound::{Excluded, Included};
        let from: Bytes = [&[ARRIVED], queue.as_bytes()].concat().into();
        let to = millpond_meta::key::prefix_end(&from);
        let scan =
            millpond_meta::Scan { from: Included(from.clone()), to: Excluded(to), reverse: false, limit: 100_000 };
        let rows = millpond_meta::View::scan(&self.kv, scan).await.unwrap();
        let mut texts = Vec::new();
        for (_, value) in rows.into_iter().filter(|(key, _)| key.len() == from.len() + 10) {
            let id = u128::from_be_bytes(value[..16].try_into().unwrap());
            let length = u64::from_be_bytes(value[16..].try_into().unwrap()) as usize;
            let body = chunks::get(&self.kv, id, length).await.unwrap().unwrap();
            texts.push(String::from_utf8(body.to_vec()).unwrap());
        }
        texts
    }
}
