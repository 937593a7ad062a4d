//! Who may call the operations, and what a lookup finds.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod world;

use http::{HeaderMap, HeaderValue, Method};
use millpond_kernel::{Principal, RequestHead, Rights, Service, testing};
use serde_json::{Value, json};
use world::{OWNER, STRANGER, TARGET, World, in_session, policy, root, user};

const ALLOW: &str =
    r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"cloudtrail:LookupEvents","Resource":"*"}}"#;
const DENY: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"},{"Effect":"Deny","Action":"cloudtrail:Lookup*","Resource":"*"}]}"#;
const OTHER: &str = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*"}}"#;

#[tokio::test]
async fn lookup_events() {
    authorized("LookupEvents", "cloudtrail:Lookup*").await;
}

const TRAIL: &str = "arn:aws:cloudtrail:us-east-1:123456789012:trail/trail";

/// The operations on trails, and an input for each.
fn operations() -> Vec<(&'static str, Value)> {
    let one = json!({"Name": "trail"});
    vec![
        ("DescribeTrails", json!({})),
        ("ListTrails", json!({})),
        ("CreateTrail", json!({"Name": "other", "S3BucketName": "bucket"})),
        ("UpdateTrail", json!({"Name": "trail", "S3KeyPrefix": "p"})),
        ("GetTrail", one.clone()),
        ("GetTrailStatus", one.clone()),
        ("StartLogging", one.clone()),
        ("StopLogging", one.clone()),
        ("PutEventSelectors", json!({"TrailName": "trail", "EventSelectors": [{"ReadWriteType": "All"}]})),
        ("GetEventSelectors", json!({"TrailName": "trail"})),
        ("GetInsightSelectors", json!({"TrailName": "trail"})),
        ("AddTags", json!({"ResourceId": TRAIL, "TagsList": [{"Key": "a", "Value": "b"}]})),
        ("ListTags", json!({"ResourceIdList": [TRAIL]})),
        ("RemoveTags", json!({"ResourceId": TRAIL, "TagsList": [{"Key": "a"}]})),
        ("DeleteTrail", one),
    ]
}

#[tokio::test]
async fn operations_on_trails() {
    for (operation, input) in operations() {
        decided(operation, &format!("cloudtrail:{}*", &operation[..operation.len() - 1]), &input).await;
    }
}

/// A policy on one trail is none on another; nobody has a right to another account's.
#[tokio::test]
async fn trails_are_resources() {
    let world = World::new().await;
    for name in ["trail", "second"] {
        world.ask("CreateTrail", root(OWNER), &json!({"Name": name, "S3BucketName": "b-1"})).await.unwrap();
    }
    let on_one = ALLOW
        .replace("cloudtrail:LookupEvents", "cloudtrail:*")
        .replace("\"Resource\":\"*\"", &format!("\"Resource\":\"{TRAIL}\""));
    *world.rights.0.lock().unwrap() = Rights { identity: vec![policy(&on_one)], ..Rights::default() };
    let caller = || testing::caller(user());
    let denied = Err("AccessDeniedException".to_owned());
    assert_eq!(world.code_of("GetTrail", caller(), &json!({"Name": "trail"})).await, Ok(()));
    assert_eq!(world.code_of("GetTrail", caller(), &json!({"Name": TRAIL})).await, Ok(()));
    assert_eq!(world.code_of("GetTrail", caller(), &json!({"Name": "second"})).await, denied);
    assert_eq!(world.code_of("ListTrails", caller(), &json!({})).await, denied);
    assert_eq!(world.code_of("DeleteTrail", root(STRANGER), &json!({"Name": TRAIL})).await, denied);
    assert_eq!(
        world.code_of("GetTrail", root(STRANGER), &json!({"Name": "trail"})).await,
        Err("TrailNotFoundException".to_owned())
    );
}

async fn authorized(operation: &str, pattern: &str) {
    decided(operation, pattern, &json!({})).await;
}

/// Who may call an operation, whose action the pattern fits. That there is no such trail any more is an answer to who may.
async fn decided(operation: &str, pattern: &str, input: &Value) {
    let world = World::new().await;
    world.ask("CreateTrail", root(OWNER), &json!({"Name": "trail", "S3BucketName": "bucket"})).await.unwrap();
    let action = format!("cloudtrail:{operation}");
    let (allow, deny) =
        (ALLOW.replace("cloudtrail:LookupEvents", &action), DENY.replace("cloudtrail:Lookup*", pattern));
    let (allow, deny) = (allow.as_str(), deny.as_str());
    let denied = || Err("AccessDeniedException".to_owned());
    // Nobody, root users (each of its own account), and users by their policies.
    let nobody = world.code_of(operation, testing::caller(Principal::Anonymous), input).await;
    assert_eq!(nobody, Err("MissingAuthenticationTokenException".to_owned()));
    // What comes after the decision is no matter of who asks.
    let may = async |caller| match world.code_of(operation, caller, input).await {
        Err(code) if code == "AccessDeniedException" => Err(code),
        _ => Ok(()),
    };
    assert_eq!(may(root(OWNER)).await, Ok(()));
    // Another account has its own trails, and no right to these.
    let named = input.to_string().contains(TRAIL);
    assert_eq!(may(root(STRANGER)).await, if named { denied() } else { Ok(()) });
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
        assert_eq!(may(testing::caller(user())).await, expected, "{operation} {identity:?} {boundary:?}");
    }
    // Session policies limit, and never add.
    for (identity, session, expected) in [
        (allow, vec![allow], Ok(())),
        (allow, vec![OTHER], denied()),
        (allow, vec![allow, deny], denied()),
        (OTHER, vec![allow], denied()),
    ] {
        *world.rights.0.lock().unwrap() = Rights { identity: vec![policy(identity)], ..Rights::default() };
        assert_eq!(may(in_session(&session)).await, expected, "{operation} {identity} {session:?}");
    }
    let (_, message) = world.ask(operation, in_session(&[OTHER]), input).await.unwrap_err();
    let why = format!("because no identity-based policy allows the {action} action");
    assert!(message.contains(&format!("not authorized to perform: {action}")) && message.ends_with(&why), "{message}");
}

#[tokio::test]
async fn no_account_sees_the_events_of_another() {
    let world = World::new().await;
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
    let world = World::new().await;
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
    let world = World::new().await;
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

#[tokio::test]
async fn operations_that_are_not_served_are_refused_by_name() {
    let world = World::new().await;
    let identify = |target: &str| {
        let mut headers = HeaderMap::new();
        headers.insert("x-amz-target", HeaderValue::try_from(target).unwrap());
        let head =
            RequestHead { method: Method::POST, path: "/".into(), query: String::new(), headers, host_bucket: None };
        let found = world.service.identify(&head);
        found.map(|operation| operation.name).map_err(|error| (error.code.into_owned(), error.message))
    };
    assert_eq!(identify("CloudTrail_20131101.LookupEvents"), Ok("LookupEvents"));
    assert_eq!(identify(&format!("{TARGET}LookupEvents")), Ok("LookupEvents"));
    let (code, message) = identify(&format!("{TARGET}CreateEventDataStore")).unwrap_err();
    assert_eq!((code.as_str(), message.contains("CreateEventDataStore")), ("NotImplemented", true));
    assert_eq!(identify("CloudTrail_20131101.Nonsense").unwrap_err().0, "UnknownOperationException");
}
