//! A server in memory with users of two accounts, and requests to it.
#![allow(dead_code, reason = "each test uses some of it")]

#[path = "../keys/mod.rs"]
mod keys;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{HeaderMap, HeaderName, Method};
use millpond_blob::{BlobConfig, Blobs};
use millpond_io::{RealDisk, SystemClock, SystemRandom};
use millpond_kernel::streams::Consumers;
use millpond_kernel::timers::Timers;
use millpond_kernel::{
    Arrival, AuthType, Authenticated, Caller, Delivery, Directory, DirectoryError, Epoch, Kernel, Named, Payload,
    PayloadSource, PolicySource, Principal, Rejection, RequestHead, Response, Rights, Service, ServiceError,
    ServiceRequest, Session, SessionKind, Step, Target, Transport,
};
use millpond_lake::{Lake, LakeConfig};
use millpond_meta::{Cond, Kv, MemoryKv, Op};
use millpond_policy::{Policy, PolicyKind};
use millpond_svc_s3::{Announcer, AnnouncerParts, S3};
use millpond_types::{AccountId, Arn, RequestId, Timestamp};

pub const OWNER: &str = "123456789012";
pub const STRANGER: &str = "210987654321";

/// Operation, method, path and query, headers, body. `UPLOAD` stands for an upload that exists.
pub type Row = (&'static str, &'static str, &'static str, &'static [(&'static str, &'static str)], &'static str);

struct Whole(Option<Bytes>);

impl PayloadSource for Whole {
    fn poll_step(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<Step, ServiceError>> {
        std::task::Poll::Ready(Ok(match self.0.take() {
            Some(bytes) if !bytes.is_empty() => Step::Chunk(bytes),
            _ => Step::End(Vec::new()),
        }))
    }
}

/// Users of both accounts, by what they may do.
pub struct Users;

pub const ALL: &str = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*"}}"#;
pub const NONE: &str = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"sqs:*","Resource":"*"}}"#;
pub const DENY: &str = r#"{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"s3:*","Resource":"*"}}"#;

pub fn named(text: &str) -> Named {
    let source = PolicySource::Inline { of: "test".into(), name: "test".into() };
    Named { source, policy: Arc::new(Policy::parse(text, PolicyKind::Identity).unwrap()) }
}

impl Directory for Users {
    fn rights<'a>(&'a self, principal: &'a Principal) -> BoxFuture<'a, Result<Arc<Rights>, DirectoryError>> {
        let name = match principal {
            Principal::User { name, .. } | Principal::Role { name, .. } => name.as_str(),
            _ => "",
        };
        let identity = match name {
            "plain" => vec![],
            "denied" => vec![named(ALL), named(DENY)],
            "named" if principal.account() == Some(OWNER.parse().unwrap()) => vec![],
            _ => vec![named(ALL)],
        };
        let boundary = (name == "bounded").then(|| named(NONE));
        Box::pin(async move { Ok(Arc::new(Rights { identity, boundary, tags: Vec::new() })) })
    }

    fn unique_id<'a>(&'a self, arn: &'a str) -> BoxFuture<'a, Result<Option<String>, DirectoryError>> {
        let name = arn.rsplit('/').next().filter(|name| *name != "missing");
        let account = arn.split(':').nth(4).unwrap_or_default();
        Box::pin(async move { Ok(name.map(|name| id_of(account, name))) })
    }

    fn account_exists(&self, account: AccountId) -> bool {
        [OWNER, STRANGER].contains(&account.as_str())
    }
}

/// Unique over all accounts, as ids are.
pub fn id_of(account: &str, name: &str) -> String {
    format!("AIDA{account}{}", name.to_uppercase().replace('-', ""))
}

pub fn user(account: &str, name: &str) -> Principal {
    Principal::User { account: account.parse().unwrap(), path: "/".into(), name: name.into(), id: id_of(account, name) }
}

/// Who asks, and with which session policy.
pub struct Who(pub Principal, pub Option<&'static str>);

pub struct Server {
    pub s3: S3,
    pub lake: Lake,
    pub kv: Arc<dyn Kv>,
    pub consumers: Consumers,
    pub timers: Timers,
    pub announcer: Announcer,
    pub inbox: Arc<Inbox>,
    _dir: tempfile::TempDir,
}

/// Where messages arrive in tests: a stream. Queues are told apart by their names.
#[derive(Default)]
pub struct Inbox {
    /// Whether deliveries fail for now.
    pub failing: AtomicBool,
    /// Whether the queue `fickle` lets S3 in.
    pub closed: AtomicBool,
    /// Where each arrival goes by what came before it, the store in which they are counted.
    pub counting: std::sync::OnceLock<Arc<dyn Kv>>,
}

/// The key of the count.
pub const COUNT: u8 = INBOX - 1;

pub const INBOX: u8 = 0xEE;

impl Target for Inbox {
    fn check<'a>(&'a self, to: &'a Arn, from: &'a Caller) -> BoxFuture<'a, Result<(), Rejection>> {
        assert_eq!(from.principal(), &Principal::Service { name: "s3.amazonaws.com".into() });
        assert_eq!(from.source_account(), Some(OWNER.parse().unwrap()));
        let name = to.resource().to_owned();
        let closed = self.closed.load(Ordering::Relaxed);
        Box::pin(async move {
            match name.as_str() {
                "missing" => Err(Rejection::NotFound("gone".into())),
                "closed" => Err(Rejection::Denied("no".into())),
                "fickle" if closed => Err(Rejection::Denied("no more".into())),
                _ => Ok(()),
            }
        })
    }

    fn arrive<'a>(
        &'a self,
        to: &'a Arn,
        from: &'a Caller,
        what: &'a Delivery,
    ) -> BoxFuture<'a, Result<Arrival, Rejection>> {
        Box::pin(async move {
            self.check(to, from).await?;
            if self.failing.load(Ordering::Relaxed) && to.resource() == "flaky" {
                return Err(Rejection::Failed("not now".into()));
            }
            let value = serde_json::json!({"to": to.as_str(), "id": what.id.to_string(), "body": String::from_utf8_lossy(&what.body)});
            let stream = Bytes::from_static(&[INBOX]);
            let mut arrival = Arrival::default();
            arrival.ops.push(Op::Append { stream, value: value.to_string().into() });
            if let Some(kv) = self.counting.get() {
                let key = Bytes::from_static(&[COUNT]);
                let before = kv.get(&key).await.unwrap();
                let next = before.as_ref().map_or(1, |row| row[0] + 1);
                arrival.conds.push(before.map_or(Cond::Absent(key.clone()), |row| Cond::Equals(key.clone(), row)));
                arrival.ops.push(Op::Put(key, Bytes::copy_from_slice(&[next])));
            }
            Ok(arrival)
        })
    }

    fn message_id(&self, delivery: u128) -> Option<String> {
        Some(delivery.to_string())
    }
}

pub async fn server() -> Server {
    server_on(Arc::new(MemoryKv::new())).await
}

pub async fn server_on(kv: Arc<dyn Kv>) -> Server {
    let dir = tempfile::tempdir().unwrap();
    let random = Arc::new(SystemRandom);
    let blobs = Blobs::open(Arc::new(RealDisk), random.clone(), dir.path(), BlobConfig::default()).unwrap();
    let config = LakeConfig { journal_commits: 2, ..LakeConfig::default() };
    let lake = Lake::open(kv.clone(), blobs, Arc::new(SystemClock), random, config).await.unwrap();
    let region: millpond_types::Region = "us-east-1".parse().unwrap();
    let kernel = Kernel::new(OWNER.parse().unwrap(), region.clone(), Epoch::load(kv.clone()).await.unwrap());
    kernel.use_directory(Arc::new(Users));
    let inbox = Arc::new(Inbox::default());
    kernel.targets().register("sqs", inbox.clone());
    kernel.targets().register("events", inbox.clone());
    let kernel = Arc::new(kernel);
    let clock = Arc::new(SystemClock);
    let (consumers, timers) = (Consumers::new(kv.clone(), clock.clone()), Timers::new(kv.clone(), clock.clone()));
    let announcer = Announcer::new(AnnouncerParts {
        kernel: kernel.clone(),
        kv: kv.clone(),
        consumers: consumers.clone(),
        clock,
        random: Arc::new(SystemRandom),
        vault: Arc::new(millpond_seal::Vault::for_tests()),
        host_id: "HOST".into(),
    });
    consumers.add(Arc::new(announcer.clone())).await.unwrap();
    timers.add(Arc::new(announcer.clone()));
    lake.read_by(Arc::new(announcer.clone()));
    announcer.settle(&lake).await.unwrap();
    let s3 = S3::new(lake.clone(), kernel, region, keys::sealers(Arc::default())).announced_by(announcer.clone());
    Server { s3, lake, kv, consumers, timers, announcer, inbox, _dir: dir }
}

impl Server {
    pub async fn send(
        &self,
        principal: Principal,
        row: &Row,
        upload: &str,
    ) -> Result<(String, Response), ServiceError> {
        self.send_as(&Who(principal, None), row, upload).await
    }

    pub async fn send_as(&self, who: &Who, row: &Row, upload: &str) -> Result<(String, Response), ServiceError> {
        let (_, method, target, headers, body) = row;
        let target = target.replace("UPLOAD", upload);
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let headers: HeaderMap =
            headers.iter().map(|(n, v)| (HeaderName::from_static(n), v.parse().unwrap())).collect();
        let head = RequestHead {
            method: method.parse::<Method>().unwrap(),
            path: path.to_owned(),
            query: query.to_owned(),
            headers,
            host_bucket: None,
        };
        let caller = Arc::new(caller(who));
        let operation = self.s3.identify(&head)?;
        let bytes = Bytes::from_static(body.as_bytes());
        let payload = Payload::new(Box::new(Whole(Some(bytes.clone()))), Some(bytes.len() as u64));
        let response = self.s3.call(ServiceRequest { head, operation, payload, caller }).await?;
        Ok((operation.name.to_owned(), response))
    }
}

pub fn caller(Who(principal, session): &Who) -> Caller {
    let session = session.map(|policy| {
        Arc::new(Session {
            policies: Some(vec![named(policy)]),
            tags: Vec::new(),
            transitive: Vec::new(),
            source_identity: None,
            issued: Timestamp::from_seconds(1_800_000_000),
            expires: Timestamp::from_seconds(1_800_003_600),
            by: SessionKind::AssumeRole,
            causes: Default::default(),
            worker: None,
        })
    });
    Caller::authenticated(Authenticated {
        principal: principal.clone(),
        session,
        access_key_id: None,
        auth: if *principal == Principal::Anonymous { AuthType::None } else { AuthType::Header },
        signed: None,
        transport: Transport::internal(),
        request_id: RequestId(7),
        received: Timestamp::from_seconds(1_800_000_000),
    })
}

pub fn body(response: Response) -> String {
    match response.body {
        millpond_kernel::ResponseBody::Full(bytes) => String::from_utf8(bytes.to_vec()).unwrap(),
        _ => String::new(),
    }
}
