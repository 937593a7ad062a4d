//! Who may look events up, and what a lookup finds.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};
use http::{HeaderMap, HeaderValue, Method};
use millpond_io::{SystemClock, SystemRandom};
use millpond_kernel::audit::{Audit, Call, EventKind, Outcome, Said};
use millpond_kernel::{
    Caller, Directory, DirectoryError, Named, Payload, PayloadSource, PolicySource, Principal, RequestHead,
    ResponseBody, Rights, Service, ServiceError, ServiceRequest, Step, testing,
};
use millpond_meta::MemoryKv;
use millpond_policy::{Policy, PolicyKind};
use millpond_seal::Vault;
use millpond_svc_cloudtrail::{CloudTrail, CloudTrailParts};
use millpond_types::AccountId;
use millpond_wire::Protocol;
use serde_json::{Value, json};

const OWNER: &str = "123456789012";
const STRANGER: &str = "210987654321";
const TARGET: &str = "com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101.";
const ALLOW: &str =
    r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"cloudtrail:LookupEvents","Resource":"*"}}"#;
const DENY: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"},{"Effect":"Deny","Action":"cloudtrail:Lookup*","Resource":"*"}]}"#;
const OTHER: &str = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*"}}"#;

struct Whole(Option<Bytes>);

impl PayloadSource for Whole {
    fn poll_step(&mut self, _: &mut Context<'_>) -> Poll<Result<Step, ServiceError>> {
        Poll::Ready(Ok(self.0.take().map_or(Step::End(Vec::new()), Step::Chunk)))
    }
}

/// The rights of the one user.
#[derive(Default)]
struct One(Mutex<Rights>);

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

fn policy(text: &str) -> Named {
    let source = PolicySource::Session { name: "p".into() };
    Named { source, policy: Arc::new(Policy::parse(text, PolicyKind::Identity).unwrap()) }
}

struct World {
    service: CloudTrail,
    audit: Audit,
    rights: Arc<One>,
}

impl World {
    fn new() -> Self {
        let kernel = Arc::new(testing::kernel(OWNER.parse().unwrap()).unwrap());
        let rights = Arc::new(One::default());
        kernel.use_directory(rights.clone());
        let audit = testing::audit(Arc::new(MemoryKv::new())).unwrap();
        let service = CloudTrail::new(CloudTrailParts {
            kernel,
            audit: audit.clone(),
            vault: Arc::new(Vault::for_tests()),
            clock: Arc::new(SystemClock),
            random: Arc::new(SystemRandom),
        });
        Self { service, audit, rights }
    }

    async fn send(&self, caller: Caller, input: &Value) -> Result<Value, (String, String)> {
        self.ask("LookupEvents", caller, input).await
    }

    async fn ask(&self, operation: &str, caller: Caller, input: &Value) -> Result<Value, (String, String)> {
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

    async fn code(&self, caller: Caller, input: &Value) -> Result<(), String> {
        self.code_of("LookupEvents", caller, input).await
    }

    async fn code_of(&self, operation: &str, caller: Caller, input: &Value) -> Result<(), String> {
        self.ask(operation, caller, input).await.map(drop).map_err(|(code, _)| code)
    }

    /// A record of a call of the root user's, on a bucket.
    async fn record(&self, name: &'static str, bucket: &str, account: &str) {
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

fn root(account: &str) -> Caller {
    testing::caller(Principal::Root(account.parse().unwrap()))
}

fn user() -> Principal {
    Principal::User { account: OWNER.parse().unwrap(), path: "/".into(), name: "u".into(), id: "AIDA".into() }
}

fn in_session(policies: &[&str]) -> Caller {
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

#[tokio::test]
async fn lookup_events() {
    authorized("LookupEvents", "cloudtrail:Lookup*").await;
}

#[tokio::test]
async fn there_are_no_trails() {
    authorized("DescribeTrails", "cloudtrail:Describe*").await;
    authorized("ListTrails", "cloudtrail:ListT*").await;
    let world = World::new();
    for (operation, input, expected) in [
        ("DescribeTrails", json!({}), Ok(json!({"trailList": []}))),
        ("DescribeTrails", json!({"trailNameList": ["t"], "includeShadowTrails": false}), Ok(json!({"trailList": []}))),
        ("ListTrails", json!({}), Ok(json!({"Trails": []}))),
        ("ListTrails", json!({"NextToken": "x"}), Err("InvalidNextTokenException".to_owned())),
    ] {
        let answer = world.ask(operation, root(OWNER), &input).await.map_err(|(code, _)| code);
        assert_eq!(answer, expected, "{operation} {input}");
    }
}

/// Who may call an operation, whose action the pattern fits.
async fn authorized(operation: &str, pattern: &str) {
    let world = World::new();
    let input = json!({});
    let action = format!("cloudtrail:{operation}");
    let (allow, deny) =
        (ALLOW.replace("cloudtrail:LookupEvents", &action), DENY.replace("cloudtrail:Lookup*", pattern));
    let (allow, deny) = (allow.as_str(), deny.as_str());
    let denied = || Err("AccessDeniedException".to_owned());
    // Nobody, root users (each of its own account), and users by their policies.
    let nobody = world.code_of(operation, testing::caller(Principal::Anonymous), &input).await;
    assert_eq!(nobody, Err("MissingAuthenticationTokenException".to_owned()));
    assert_eq!(world.code_of(operation, root(OWNER), &input).await, Ok(()));
    assert_eq!(world.code_of(operation, root(STRANGER), &input).await, Ok(()));
    for (identity, boundary, expected) in [
        (None, None, denied()),
        (Some(allow), None, Ok(())),
        (Some(OTHER), None, denied()),
        (Some(deny), None, denied()),
        (Some(allow), Some(allow), Ok(())),
        (Some(allow), Some(OTHER), denied()),
    ] {
        *world.rights.0.lock().unwrap() = Rights {
            identity: identity.into_iter().map(policy).collect(),
            boundary: boundary.map(policy),
            tags: Vec::new(),
        };
        assert_eq!(
            world.code_of(operation, testing::caller(user()), &input).await,
            expected,
            "{identity:?} {boundary:?}"
        );
    }
    // Session policies limit, and never add.
    for (identity, session, expected) in [
        (allow, vec![allow], Ok(())),
        (allow, vec![OTHER], denied()),
        (allow, vec![allow, deny], denied()),
        (OTHER, vec![allow], denied()),
    ] {
        *world.rights.0.lock().unwrap() = Rights { identity: vec![policy(identity)], ..Rights::default() };
        assert_eq!(world.code_of(operation, in_session(&session), &input).await, expected, "{identity} {session:?}");
    }
    let (_, message) = world.ask(operation, in_session(&[OTHER]), &input).await.unwrap_err();
    let why =
        format!("not authorized to perform: {action} because no identity-based policy allows the {action} action");
    assert!(message.ends_with(&why), "{message}");
}

#[tokio::test]
async fn no_account_sees_the_events_of_another() {
    let world = World::new();
    world.record("CreateBucket", "mine", OWNER).await;
    world.record("CreateBucket", "theirs", STRANGER).await;
    for (account, bucket) in [(OWNER, "mine"), (STRANGER, "theirs")] {
        let found = world.send(root(account), &json!({})).await.unwrap();
        let names: Vec<_> = found["Events"].as_array().unwrap().iter().map(|event| &event["Resources"]).collect();
        assert_eq!(names, [&json!([{"ResourceType": "AWS::S3::Bucket", "ResourceName": bucket}])], "{account}");
    }
    // Nor do tokens open another's trail.
    world.record("DeleteBucket", "mine", OWNER).await;
    let first = world.send(root(OWNER), &json!({"MaxResults": 1})).await.unwrap();
    let next = json!({"MaxResults": 1, "NextToken": first["NextToken"]});
    let events = |found: Value| found["Events"].as_array().unwrap().len();
    assert_eq!(world.send(root(OWNER), &next).await.map(events), Ok(1));
    assert_eq!(world.code(root(STRANGER), &next).await, Err("InvalidNextTokenException".to_owned()));
}

#[tokio::test]
async fn attributes_find_and_times_limit() {
    let world = World::new();
    for (name, bucket) in
        [("CreateBucket", "a"), ("ListBuckets", "a"), ("DeleteBucket", "b"), ("PutBucketTagging", "b")]
    {
        world.record(name, bucket, OWNER).await;
    }
    world.audit.flush().await;
    let all = ["CreateBucket", "DeleteBucket", "ListBuckets", "PutBucketTagging"];
    // The caller of every test came at the same second.
    let at = 1_800_000_000;
    for (input, expected) in [
        (json!({}), all.to_vec()),
        (json!({"LookupAttributes": []}), all.to_vec()),
        (
            json!({"LookupAttributes": [{"AttributeKey": "EventName", "AttributeValue": "DeleteBucket"}]}),
            vec!["DeleteBucket"],
        ),
        (json!({"LookupAttributes": [{"AttributeKey": "ReadOnly", "AttributeValue": "true"}]}), vec!["ListBuckets"]),
        (json!({"LookupAttributes": [{"AttributeKey": "Username", "AttributeValue": "root"}]}), all.to_vec()),
        (json!({"LookupAttributes": [{"AttributeKey": "Username", "AttributeValue": "u"}]}), vec![]),
        (
            json!({"LookupAttributes": [{"AttributeKey": "ResourceName", "AttributeValue": "b"}]}),
            vec!["DeleteBucket", "PutBucketTagging"],
        ),
        (
            json!({"LookupAttributes": [{"AttributeKey": "ResourceName", "AttributeValue": "arn:aws:s3:::a"}]}),
            vec!["CreateBucket", "ListBuckets"],
        ),
        (
            json!({"LookupAttributes": [{"AttributeKey": "ResourceType", "AttributeValue": "AWS::S3::Bucket"}]}),
            all.to_vec(),
        ),
        (json!({"LookupAttributes": [{"AttributeKey": "EventSource", "AttributeValue": "kms.amazonaws.com"}]}), vec![]),
        (json!({"LookupAttributes": [{"AttributeKey": "AccessKeyId", "AttributeValue": "AKIA"}]}), vec![]),
        (json!({"StartTime": at, "EndTime": at}), all.to_vec()),
        (json!({"StartTime": at + 1}), vec![]),
        (json!({"EndTime": at - 1}), vec![]),
        (json!({"EventCategory": "insight"}), vec![]),
    ] {
        let found = world.send(root(OWNER), &input).await.unwrap();
        let mut names: Vec<_> =
            found["Events"].as_array().unwrap().iter().map(|e| e["EventName"].as_str().unwrap()).collect();
        names.sort_unstable();
        assert_eq!(names, expected, "{input}");
    }
    // An event by its id.
    let found = world.send(root(OWNER), &json!({"MaxResults": 1})).await.unwrap();
    let id = &found["Events"][0]["EventId"];
    let input = json!({"LookupAttributes": [{"AttributeKey": "EventId", "AttributeValue": id}]});
    let again = world.send(root(OWNER), &input).await.unwrap();
    assert_eq!(again["Events"].as_array().unwrap().len(), 1);
    let record: Value = serde_json::from_str(again["Events"][0]["CloudTrailEvent"].as_str().unwrap()).unwrap();
    assert_eq!(&record["eventID"], id);
}

#[tokio::test]
async fn inputs_that_do_not_fit() {
    let world = World::new();
    let one = json!({"AttributeKey": "EventName", "AttributeValue": "x"});
    for (input, code) in [
        (json!({"MaxResults": 0}), "InvalidMaxResultsException"),
        (json!({"MaxResults": 51}), "InvalidMaxResultsException"),
        (json!({"LookupAttributes": [one, one]}), "InvalidLookupAttributesException"),
        (
            json!({"LookupAttributes": [{"AttributeKey": "Colour", "AttributeValue": "x"}]}),
            "InvalidLookupAttributesException",
        ),
        (
            json!({"LookupAttributes": [{"AttributeKey": "EventName", "AttributeValue": ""}]}),
            "InvalidLookupAttributesException",
        ),
        (
            json!({"LookupAttributes": [{"AttributeKey": "ReadOnly", "AttributeValue": "yes"}]}),
            "InvalidLookupAttributesException",
        ),
        (json!({"StartTime": 2, "EndTime": 1}), "InvalidTimeRangeException"),
        (json!({"NextToken": "x"}), "InvalidNextTokenException"),
        (json!({"EventCategory": "data"}), "InvalidEventCategoryException"),
        (json!([]), "SerializationException"),
    ] {
        assert_eq!(world.code(root(OWNER), &input).await, Err(code.to_owned()), "{input}");
    }
}

#[test]
fn operations_that_are_not_served_are_refused_by_name() {
    let identify = |target: &str| {
        let kernel = Arc::new(testing::kernel(OWNER.parse().unwrap()).unwrap());
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let _inside = runtime.enter();
        let service = CloudTrail::new(CloudTrailParts {
            kernel,
            audit: testing::audit(Arc::new(MemoryKv::new())).unwrap(),
            vault: Arc::new(Vault::for_tests()),
            clock: Arc::new(SystemClock),
            random: Arc::new(SystemRandom),
        });
        let mut headers = HeaderMap::new();
        headers.insert("x-amz-target", HeaderValue::try_from(target).unwrap());
        let head =
            RequestHead { method: Method::POST, path: "/".into(), query: String::new(), headers, host_bucket: None };
        service
            .identify(&head)
            .map(|operation| operation.name)
            .map_err(|error| (error.code.into_owned(), error.message))
    };
    assert_eq!(identify("CloudTrail_20131101.LookupEvents"), Ok("LookupEvents"));
    assert_eq!(identify(&format!("{TARGET}LookupEvents")), Ok("LookupEvents"));
    let (code, message) = identify(&format!("{TARGET}CreateTrail")).unwrap_err();
    assert_eq!((code.as_str(), message.contains("CreateTrail")), ("NotImplemented", true));
    assert_eq!(identify("CloudTrail_20131101.Nonsense").unwrap_err().0, "UnknownOperationException");
}
