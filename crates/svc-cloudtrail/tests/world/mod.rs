//! The service in memory, with buckets that are lists, and a bus that is one.
#![allow(dead_code, reason = "each test uses some of it")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::io::Read;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};
use http::{HeaderMap, HeaderValue, Method};
use millpond_io::{SystemClock, SystemRandom};
use millpond_kernel::audit::{Audit, Call, EventKind, Outcome, Said};
use millpond_kernel::streams::Consumers;
use millpond_kernel::{
    Arrival, Caller, Delivery, Directory, DirectoryError, Named, NewObject, Objects, Payload, PayloadSource,
    PolicySource, Principal, Rejection, RequestHead, ResponseBody, Rights, Service, ServiceError, ServiceRequest, Step,
    Target, testing,
};
use millpond_meta::{Cond, MemoryKv, Op, Scan};
use millpond_policy::{Policy, PolicyKind};
use millpond_seal::Vault;
use millpond_svc_cloudtrail::{CloudTrail, CloudTrailParts};
use millpond_types::{AccountId, Arn, CauseChain};
use millpond_wire::Protocol;
use serde_json::Value;

pub const OWNER: &str = "123456789012";
pub const STRANGER: &str = "210987654321";
pub const TARGET: &str = "com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101.";
const BUS: u8 = 0xEE;

/// Buckets: what was put, by whom. `missing` is not there, and `closed` lets nobody in.
#[derive(Default)]
pub struct Buckets {
    pub put: Mutex<Vec<(String, String, Bytes)>>,
    /// Whether puts fail.
    pub failing: std::sync::atomic::AtomicBool,
}

impl Buckets {
    fn check(&self, caller: &Caller, object: &NewObject) -> Result<(), ServiceError> {
        assert_eq!(caller.principal(), &Principal::Service { name: "cloudtrail.amazonaws.com".into() });
        match object.bucket.as_str() {
            "missing" => Err(ServiceError::new("NoSuchBucket", 404, "gone")),
            "closed" => Err(ServiceError::new("AccessDenied", 403, "no")),
            _ => Ok(()),
        }
    }
}

impl Objects for Buckets {
    fn may_put<'a>(&'a self, caller: Arc<Caller>, object: &'a NewObject) -> BoxFuture<'a, Result<(), ServiceError>> {
        ready(self.check(&caller, object)).boxed()
    }

    fn put(&self, caller: Arc<Caller>, object: NewObject) -> BoxFuture<'_, Result<(), ServiceError>> {
        let mut may = self.check(&caller, &object);
        // The file is there, and nobody knows: as when the server is killed in between.
        if self.failing.load(std::sync::atomic::Ordering::Relaxed) {
            may = may.and(Err(ServiceError::new("InternalError", 500, "lost")));
        }
        self.put.lock().unwrap().push((object.bucket, object.key, object.body));
        ready(may).boxed()
    }

    fn put_stream(
        &self,
        _: Arc<Caller>,
        _: NewObject,
        _: Box<dyn millpond_kernel::PayloadSource>,
    ) -> BoxFuture<'_, Result<(), ServiceError>> {
        unreachable!("trails put whole files")
    }

    fn locate<'a>(&'a self, _: Arc<Caller>, _: &'a str, _: Option<&'a str>) -> BoxFuture<'a, Result<(), ServiceError>> {
        unreachable!("trails put whole files")
    }

    fn get<'a>(
        &'a self,
        _: Arc<Caller>,
        _: &'a str,
        _: &'a str,
        _: Option<&'a str>,
        _: usize,
    ) -> BoxFuture<'a, Result<Bytes, ServiceError>> {
        unreachable!("trails read no objects")
    }
}

/// A default bus: a stream, and a row that counts what came; each arrival goes by what came before it.
struct Bus(Arc<MemoryKv>, Arc<Mutex<Vec<CauseChain>>>);

/// The key of the count.
pub const COUNT: u8 = BUS - 1;

impl Target for Bus {
    fn check<'a>(&'a self, _: &'a Arn, _: &'a Caller) -> BoxFuture<'a, Result<(), Rejection>> {
        ready(Ok(())).boxed()
    }

    fn arrive<'a>(
        &'a self,
        to: &'a Arn,
        from: &'a Caller,
        what: &'a Delivery,
    ) -> BoxFuture<'a, Result<Arrival, Rejection>> {
        assert_eq!(from.causes(), &what.causes);
        self.1.lock().unwrap().push(what.causes.clone());
        assert!(to.as_str().ends_with(":event-bus/default"), "{to}");
        async move {
            let key = Bytes::from_static(&[COUNT]);
            let before = millpond_meta::View::get(&*self.0, &key).await.unwrap();
            let next = before.as_ref().map_or(1, |row| row[0] + 1);
            let cond = before.map_or(Cond::Absent(key.clone()), |row| Cond::Equals(key.clone(), row));
            let append = Op::Append { stream: Bytes::from_static(&[BUS]), value: what.body.clone() };
            Ok(Arrival { conds: vec![cond], ops: vec![append, Op::Put(key, Bytes::copy_from_slice(&[next]))] })
        }
        .boxed()
    }
}

struct Whole(Option<Bytes>);

impl PayloadSource for Whole {
    fn poll_step(&mut self, _: &mut Context<'_>) -> Poll<Result<Step, ServiceError>> {
        Poll::Ready(Ok(self.0.take().map_or(Step::End(Vec::new()), Step::Chunk)))
    }
}

/// The rights of the one user.
#[derive(Default)]
pub struct One(pub Mutex<Rights>);

impl Directory for One {
    fn rights<'a>(&'a self, _: &'a Principal) -> BoxFuture<'a, Result<Arc<Rights>, DirectoryError>> {
        ready(Ok(Arc::new(self.0.lock().unwrap().clone()))).boxed()
    }

    fn unique_id<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Option<String>, DirectoryError>> {
        ready(Ok(None)).boxed()
    }

    fn account_exists(&self, _: AccountId) -> bool {
        true
    }
}

pub fn policy(text: &str) -> Named {
    let source = PolicySource::Session { name: "p".into() };
    Named { source, policy: Arc::new(Policy::parse(text, PolicyKind::Identity).unwrap()) }
}

pub struct World {
    pub service: CloudTrail,
    pub audit: Audit,
    pub rights: Arc<One>,
    pub kv: Arc<MemoryKv>,
    pub consumers: Consumers,
    pub buckets: Arc<Buckets>,
    /// What led to each event that the bus got.
    pub causes: Arc<Mutex<Vec<CauseChain>>>,
}

impl World {
    pub async fn new() -> Self {
        Self::on(Arc::new(MemoryKv::new())).await
    }

    pub async fn on(kv: Arc<MemoryKv>) -> Self {
        let causes = Arc::<Mutex<Vec<CauseChain>>>::default();
        let kernel = Arc::new(testing::kernel(OWNER.parse().unwrap()).unwrap());
        let rights = Arc::new(One::default());
        kernel.use_directory(rights.clone());
        kernel.targets().register("events", Arc::new(Bus(kv.clone(), causes.clone())));
        let audit = testing::audit(kv.clone()).unwrap();
        let consumers = Consumers::new(kv.clone(), Arc::new(SystemClock));
        let buckets = Arc::new(Buckets::default());
        let service = CloudTrail::open(CloudTrailParts {
            kernel,
            audit: audit.clone(),
            vault: Arc::new(Vault::for_tests()),
            clock: Arc::new(SystemClock),
            random: Arc::new(SystemRandom),
            kv: kv.clone(),
            consumers: consumers.clone(),
            objects: buckets.clone(),
        });
        let service = service.await.unwrap();
        Self { service, audit, rights, kv, consumers, buckets, causes }
    }

    /// What is on the bus, once everything was read.
    pub async fn told(&self) -> Vec<Value> {
        self.audit.flush().await;
        self.consumers.run_pending().await.unwrap();
        let (from, to) = (Bytes::from_static(&[BUS]), Bytes::from_static(&[BUS + 1]));
        let (from, to) = (std::ops::Bound::Included(from), std::ops::Bound::Excluded(to));
        let rows = millpond_meta::View::scan(&*self.kv, Scan { from, to, reverse: false, limit: 1000 }).await.unwrap();
        rows.iter().map(|(_, row)| serde_json::from_slice(row).unwrap()).collect()
    }

    /// The records of the files that were put, by file, once everything was read and put.
    pub async fn filed(&self) -> Vec<(String, Vec<Value>)> {
        self.told().await;
        self.service.deliver().await;
        let put = self.buckets.put.lock().unwrap();
        put.iter()
            .map(|(_, key, body)| {
                let mut text = String::new();
                flate2::read::GzDecoder::new(&body[..]).read_to_string(&mut text).unwrap();
                let mut file: Value = serde_json::from_str(&text).unwrap();
                (key.clone(), std::mem::take(file["Records"].as_array_mut().unwrap()))
            })
            .collect()
    }

    pub async fn send(&self, caller: Caller, input: &Value) -> Result<Value, (String, String)> {
        self.ask("LookupEvents", caller, input).await
    }

    pub async fn ask(&self, operation: &str, caller: Caller, input: &Value) -> Result<Value, (String, String)> {
        let mut headers = HeaderMap::new();
        headers.insert("x-amz-target", HeaderValue::try_from(format!("{TARGET}{operation}")).unwrap());
        let head =
            RequestHead { method: Method::POST, path: "/".into(), query: String::new(), headers, host_bucket: None };
        let operation = self.service.identify(&head).unwrap();
        let payload = Payload::new(Box::new(Whole(Some(input.to_string().into()))), None);
        let request = ServiceRequest { head, operation, payload, caller: Arc::new(caller) };
        match self.service.call(request).await {
            Ok(response) => match response.body {
                ResponseBody::Full(bytes) => Ok(serde_json::from_slice(&bytes).unwrap()),
                other => panic!("{other:?}"),
            },
            Err(error) => Err((error.code.into_owned(), error.message)),
        }
    }

    pub async fn code(&self, caller: Caller, input: &Value) -> Result<(), String> {
        self.code_of("LookupEvents", caller, input).await
    }

    pub async fn code_of(&self, operation: &str, caller: Caller, input: &Value) -> Result<(), String> {
        self.ask(operation, caller, input).await.map(drop).map_err(|(code, _)| code)
    }

    /// A record of a call of the root user's, on a bucket.
    pub async fn record(&self, name: &'static str, bucket: &str, account: &str) {
        let caller = testing::caller(Principal::Root(account.parse().unwrap()));
        caller.note().want();
        caller.note().touches(&format!("arn:aws:s3:::{bucket}"), account.parse().unwrap());
        let call = Call {
            caller: Arc::new(caller),
            service: "s3",
            protocol: Protocol::RestXml,
            kind: EventKind::by_verb(name),
            said: Said::default(),
            outcome: Outcome::Done(Bytes::new()),
        };
        self.audit.record(&call).await.unwrap();
    }
}

pub fn root(account: &str) -> Caller {
    testing::caller(Principal::Root(account.parse().unwrap()))
}

pub fn user() -> Principal {
    Principal::User { account: OWNER.parse().unwrap(), path: "/".into(), name: "u".into(), id: "AIDA".into() }
}

pub fn in_session(policies: &[&str]) -> Caller {
    use millpond_kernel::{AuthType, Authenticated, Session, SessionKind, Transport};
    use millpond_types::{RequestId, Timestamp};
    let session = Session {
        policies: Some(policies.iter().map(|text| policy(text)).collect()),
        tags: Vec::new(),
        transitive: Vec::new(),
        source_identity: None,
        issued: Timestamp::from_seconds(1_800_000_000),
        expires: Timestamp::from_seconds(1_900_000_000),
        by: SessionKind::AssumeRole,
        causes: Vec::new(),
        worker: None,
    };
    let role = Principal::Role {
        account: OWNER.parse().unwrap(),
        path: "/".into(),
        name: "r".into(),
        id: "AROA".into(),
        session: "s".into(),
    };
    Caller::authenticated(Authenticated {
        principal: role,
        session: Some(Arc::new(session)),
        access_key_id: None,
        auth: AuthType::Header,
        signed: None,
        transport: Transport::internal(),
        request_id: RequestId(1),
        received: Timestamp::from_seconds(1_800_000_001),
    })
}
