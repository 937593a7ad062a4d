//! A server in memory with users of two accounts, and requests to it.
#![allow(dead_code, reason = "each test uses some of it")]

#[path = "../keys/mod.rs"]
mod keys;

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{HeaderMap, HeaderName, Method};
use millpond_blob::{BlobConfig, Blobs};
use millpond_io::{RealDisk, SystemClock, SystemRandom};
use millpond_kernel::{
    AuthType, Authenticated, Caller, Directory, DirectoryError, Epoch, Kernel, Named, Payload, PayloadSource,
    PolicySource, Principal, RequestHead, Response, Rights, Service, ServiceError, ServiceRequest, Session,
    SessionKind, Step, Transport,
};
use millpond_lake::{Lake, LakeConfig};
use millpond_meta::{Kv, MemoryKv};
use millpond_policy::{Policy, PolicyKind};
use millpond_svc_s3::S3;
use millpond_types::{AccountId, RequestId, Timestamp};

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
    _dir: tempfile::TempDir,
}

pub async fn server() -> Server {
    server_on(Arc::new(MemoryKv::new())).await
}

pub async fn server_on(kv: Arc<dyn Kv>) -> Server {
    let dir = tempfile::tempdir().unwrap();
    let random = Arc::new(SystemRandom);
    let blobs = Blobs::open(Arc::new(RealDisk), random.clone(), dir.path(), BlobConfig::default()).unwrap();
    let lake = Lake::open(kv.clone(), blobs, Arc::new(SystemClock), random, LakeConfig::default()).await.unwrap();
    let region: millpond_types::Region = "us-east-1".parse().unwrap();
    let kernel = Kernel::new(OWNER.parse().unwrap(), region.clone(), Epoch::load(kv).await.unwrap());
    kernel.use_directory(Arc::new(Users));
    Server { s3: S3::new(lake, Arc::new(kernel), region, keys::sealers(Arc::default())), _dir: dir }
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
