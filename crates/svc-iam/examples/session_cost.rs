//! What a request of a role's session costs besides its signature: knowing the session again, and deciding by identity, bucket and session
//! policies. Prints microseconds a request.
//!
//!     cargo run --release -p millpond-svc-iam --example session_cost

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a program for people, which may fail")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{HeaderMap, Method};
use millpond_io::{SystemClock, SystemRandom};
use millpond_kernel::{
    Access, AuthType, Authenticated, Caller, Context, Credential, CredentialError, Credentials, Epoch, Kernel, Named,
    Operation, Payload, PayloadSource, PolicySource, Principal, RequestHead, Resource, ResponseBody, Service,
    ServiceError, ServiceRequest, Step, Transport, testing,
};
use millpond_meta::MemoryKv;
use millpond_policy::{Policy, PolicyKind};
use millpond_seal::Vault;
use millpond_svc_iam::{AccessKeys, Iam, Identities, IdentityDirectory, NoDenials, SessionTokens, Sts, StsParts};
use millpond_types::{AccountId, Arn, RequestId, Timestamp};

const ACCOUNT: &str = "123456789012";
const REQUESTS: u32 = 200_000;

struct Whole(Option<Bytes>);

impl PayloadSource for Whole {
    fn poll_step(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<Step, ServiceError>> {
        std::task::Poll::Ready(Ok(self.0.take().map_or(Step::End(Vec::new()), Step::Chunk)))
    }
}

/// No root key.
struct NoRoot;

impl Credentials for NoRoot {
    fn find<'a>(&'a self, _: &'a str, _: Option<&'a str>) -> BoxFuture<'a, Result<Credential, CredentialError>> {
        Box::pin(std::future::ready(Err(CredentialError::Unknown)))
    }
}

/// A read of an object in a bucket that has a policy.
struct Get(Named);

impl Operation for Get {
    const NAME: &'static str = "GetObject";

    fn accesses(&self) -> Vec<Access> {
        let mut resource = Resource::new(Arn::s3("lake", Some("blue/key")), ACCOUNT.parse().unwrap());
        resource.policy = Some(self.0.clone());
        vec![Access { action: "s3:GetObject", resource }]
    }

    fn context(&self, _: &Access, _: &mut Context) {}
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// Statements about other buckets, and one that allows.
fn document(others: usize) -> String {
    let statement = |bucket: &str| {
        format!(
            r#"{{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::{bucket}/*","Condition":{{"Bool":{{"aws:SecureTransport":"true"}}}}}}"#
        )
    };
    let all = (0..others).map(|n| statement(&format!("other-{n}"))).chain([statement("lake")]);
    format!(r#"{{"Version":"2012-10-17","Statement":[{}]}}"#, all.collect::<Vec<_>>().join(","))
}

async fn send(service: &dyn Service, caller: Caller, form: String) -> String {
    let (headers, query) = (HeaderMap::new(), String::new());
    let head = RequestHead { method: Method::POST, path: "/".to_owned(), query, headers, host_bucket: None };
    let operation = service.identify(&head).unwrap();
    let payload = Payload::new(Box::new(Whole(Some(Bytes::from(form)))), None);
    let response = service.call(ServiceRequest { head, operation, payload, caller: Arc::new(caller) }).await.unwrap();
    match response.body {
        ResponseBody::Full(bytes) => String::from_utf8(bytes.to_vec()).unwrap(),
        other => unreachable!("{other:?}"),
    }
}

fn element(answer: &str, name: &str) -> String {
    let (_, rest) = answer.split_once(&format!("<{name}>")).unwrap();
    rest.split_once('<').unwrap().0.to_owned()
}

/// A server whose role `r` has ten statements, and the access key and token of a session of it with five more.
async fn world() -> (Arc<Kernel>, Arc<AccessKeys>, String, String) {
    let kv = Arc::new(MemoryKv::new());
    let epoch = Epoch::load(kv.clone()).await.unwrap();
    let (clock, random, vault) = (Arc::new(SystemClock), Arc::new(SystemRandom), Arc::new(Vault::for_tests()));
    let identities = Identities::load(kv, clock, random, vault, epoch.clone()).await.unwrap();
    let account: AccountId = ACCOUNT.parse().unwrap();
    let kernel = Arc::new(Kernel::new(account, "us-east-1".parse().unwrap(), epoch));
    kernel.use_directory(Arc::new(IdentityDirectory::new(identities.clone(), Arc::new(account))));
    let sessions = Arc::new(SessionTokens::new(&identities));
    let keys = Arc::new(AccessKeys::new(Arc::new(NoRoot), identities.clone(), sessions.clone()));
    let iam = Iam::new(kernel.clone(), identities.clone(), Arc::new(kernel.account()), "ROOTROOTROOTROOT");
    let trust = format!(
        r#"{{"Statement":{{"Effect":"Allow","Principal":{{"AWS":"arn:aws:iam::{ACCOUNT}:user/u"}},"Action":"sts:AssumeRole"}}}}"#
    );
    for form in [
        "Action=CreateUser&UserName=u".to_owned(),
        format!("Action=CreateRole&RoleName=r&AssumeRolePolicyDocument={}", encoded(&trust)),
        format!("Action=PutRolePolicy&RoleName=r&PolicyName=p&PolicyDocument={}", encoded(&document(9))),
    ] {
        send(&iam, testing::caller(Principal::Root(account)), format!("{form}&Version=2010-05-08")).await;
    }
    let user = identities.user(account, "u").unwrap().principal();
    let (credentials, denials) = (keys.clone(), Arc::new(NoDenials));
    let sts = Sts::new(StsParts { kernel: kernel.clone(), identities, sessions, credentials, denials });
    let form = format!(
        "Action=AssumeRole&Version=2011-06-15&RoleArn=arn:aws:iam::{ACCOUNT}:role/r&RoleSessionName=session&Policy={}",
        encoded(&document(4))
    );
    let answer = send(&sts, testing::caller(user), form).await;
    (kernel, keys, element(&answer, "AccessKeyId"), element(&answer, "SessionToken"))
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let (kernel, keys, id, token) = world().await;
    let bucket = r#"{"Statement":{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::123456789012:role/other"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::lake/*"}}"#;
    let policy = Arc::new(Policy::parse(bucket, PolicyKind::Bucket { name: "lake".into() }).unwrap());
    let policy = Named { source: PolicySource::Resource { arn: "arn:aws:s3:::lake".into() }, policy };
    println!("token of {} characters; policies of 10 + 5 + 1 statements", token.len());
    let (mut finding, mut deciding) = (Duration::ZERO, Duration::ZERO);
    for n in 0..=REQUESTS {
        let begin = Instant::now();
        let found = keys.find(&id, Some(&token)).await.unwrap();
        let between = Instant::now();
        let caller = Caller::authenticated(Authenticated {
            principal: found.principal,
            session: found.session,
            access_key_id: Some(id.clone()),
            auth: AuthType::Header,
            signed: None,
            transport: Transport::internal(),
            request_id: RequestId(n.into()),
            received: Timestamp::from_seconds(1_800_000_000),
        });
        kernel.authorize(&caller, Get(policy.clone())).await.unwrap();
        if n == 0 {
            let (opened, decided) = (micros(between - begin, 1), micros(between.elapsed(), 1));
            println!("the first request: {opened:.1} us to open the token, {decided:.1} us to decide");
            continue;
        }
        finding += between - begin;
        deciding += between.elapsed();
    }
    let (found, decided) = (micros(finding, REQUESTS), micros(deciding, REQUESTS));
    println!("each later one: {found:.2} us to know the session, {decided:.2} us to decide");
}

fn micros(time: Duration, requests: u32) -> f64 {
    time.as_secs_f64() * 1e6 / f64::from(requests)
}
