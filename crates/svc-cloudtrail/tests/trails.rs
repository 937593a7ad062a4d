//! What trails do: which records go into their files and to the bus, and how files are put.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod world;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use millpond_kernel::audit::{Call, DataRecorder, EventClass, EventKind, Outcome, Said};
use millpond_kernel::{Caller, Principal, RequestHead};
use millpond_meta::{Batch, Kv, MemoryKv, Op, View};
use millpond_types::{Besides, Changed};
use millpond_wire::Protocol;
use serde_json::{Value, json};
use world::{OWNER, STRANGER, World, root};

/// A caller of now: trails have what came after they began to log.
fn now(account: &str) -> Caller {
    led_by(account, None)
}

/// The same in a session that something led to.
fn led_by(account: &str, causes: Option<Vec<String>>) -> Caller {
    use millpond_io::{Clock, SystemClock};
    use millpond_kernel::{AuthType, Authenticated, Session, SessionKind, Transport};
    use millpond_types::RequestId;
    let transport = Transport { user_agent: Some("userAgent".into()), ..Transport::internal() };
    let issued = SystemClock.now();
    let session = causes.map(|causes| {
        Arc::new(Session {
            policies: None,
            tags: Vec::new(),
            transitive: Vec::new(),
            source_identity: None,
            issued,
            expires: issued.plus(std::time::Duration::from_secs(3600)),
            by: SessionKind::AssumeRole,
            causes,
            worker: None,
        })
    });
    Caller::authenticated(Authenticated {
        principal: Principal::Root(account.parse().unwrap()),
        session,
        access_key_id: None,
        auth: AuthType::Header,
        signed: None,
        transport,
        request_id: RequestId(9),
        received: issued,
    })
}

fn said(method: &str, path: &str) -> Said {
    let headers = http::HeaderMap::new();
    let head = RequestHead {
        method: method.parse().unwrap(),
        path: path.into(),
        query: String::new(),
        headers,
        host_bucket: None,
    };
    Said::of(&head, None)
}

fn call(name: &'static str, class: EventClass, path: &str, outcome: Outcome, account: &str) -> Call {
    let caller = Arc::new(now(account));
    caller.note().want();
    if let Some((bucket, _)) = path[1..].split_once('/') {
        caller.note().touches(&format!("arn:aws:s3:::{}", &path[1..]), OWNER.parse().unwrap());
        let _ = bucket;
    } else {
        caller.note().touches(&format!("arn:aws:s3:::{}", &path[1..]), OWNER.parse().unwrap());
    }
    let kind = EventKind { name, class };
    Call { caller, service: "s3", protocol: Protocol::RestXml, kind, said: said("GET", path), outcome }
}

fn done() -> Outcome {
    Outcome::Done(Bytes::new())
}

async fn logging(world: &World, name: &str, selectors: Value) {
    world.ask("CreateTrail", root(OWNER), &json!({"Name": name, "S3BucketName": "bucket"})).await.unwrap();
    if !selectors.is_null() {
        world
            .ask("PutEventSelectors", root(OWNER), &json!({"TrailName": name, "EventSelectors": selectors}))
            .await
            .unwrap();
    }
    world.ask("StartLogging", root(OWNER), &json!({"Name": name})).await.unwrap();
}

fn all_objects() -> Value {
    json!([{"ReadWriteType": "All", "IncludeManagementEvents": true,
            "DataResources": [{"Type": "AWS::S3::Object", "Values": ["arn:aws:s3:::myapp-images/"]}]}])
}

fn names(records: &[Value]) -> Vec<&str> {
    records.iter().map(|record| record["eventName"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn trails_are_made_shown_changed_and_deleted() {
    let world = World::new().await;
    let arn = "arn:aws:cloudtrail:us-east-1:123456789012:trail/trail";
    let made = json!({"Name": "trail", "S3BucketName": "bucket", "S3KeyPrefix": "logs", "TagsList": [{"Key": "a", "Value": "1"}]});
    let answer = world.ask("CreateTrail", root(OWNER), &made).await.unwrap();
    assert_eq!(
        answer,
        json!({"Name": "trail", "S3BucketName": "bucket", "S3KeyPrefix": "logs", "IncludeGlobalServiceEvents": true,
               "IsMultiRegionTrail": false, "TrailARN": arn, "LogFileValidationEnabled": false, "IsOrganizationTrail": false})
    );
    let trail = world.ask("GetTrail", root(OWNER), &json!({"Name": arn})).await.unwrap();
    assert_eq!(trail["Trail"]["HomeRegion"], "us-east-1");
    let status = world.ask("GetTrailStatus", root(OWNER), &json!({"Name": "trail"})).await.unwrap();
    assert_eq!(status["IsLogging"], false);
    let selectors = world.ask("GetEventSelectors", root(OWNER), &json!({"TrailName": "trail"})).await.unwrap();
    let unset = json!([{"ReadWriteType": "All", "IncludeManagementEvents": true, "DataResources": [], "ExcludeManagementEventSources": []}]);
    assert_eq!(selectors["EventSelectors"], unset);
    let changed = json!({"Name": "trail", "S3BucketName": "other", "S3KeyPrefix": "", "IsMultiRegionTrail": true});
    let changed = world.ask("UpdateTrail", root(OWNER), &changed).await.unwrap();
    assert_eq!((&changed["S3BucketName"], changed.get("S3KeyPrefix")), (&json!("other"), None));
    let tags = json!({"ResourceId": arn, "TagsList": [{"Key": "b", "Value": "2"}]});
    world.ask("AddTags", root(OWNER), &tags).await.unwrap();
    world.ask("RemoveTags", root(OWNER), &json!({"ResourceId": arn, "TagsList": [{"Key": "a"}]})).await.unwrap();
    let listed = world.ask("ListTags", root(OWNER), &json!({"ResourceIdList": [arn]})).await.unwrap();
    assert_eq!(listed["ResourceTagList"][0]["TagsList"], json!([{"Key": "b", "Value": "2"}]));
    // They are kept.
    drop(world.service);
    let world = World::on(world.kv).await;
    let listed = world.ask("DescribeTrails", root(OWNER), &json!({"trailNameList": ["trail", "none"]})).await.unwrap();
    assert_eq!(listed["trailList"].as_array().unwrap().len(), 1);
    world.ask("DeleteTrail", root(OWNER), &json!({"Name": "trail"})).await.unwrap();
    assert_eq!(world.ask("ListTrails", root(OWNER), &json!({})).await.unwrap(), json!({"Trails": []}));
}

#[tokio::test]
async fn what_is_refused() {
    let world = World::new().await;
    let with = |more: Value| {
        let mut input = json!({"Name": "trail", "S3BucketName": "bucket"});
        input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        input
    };
    for (input, code) in [
        (with(json!({"S3BucketName": "missing"})), "S3BucketDoesNotExistException"),
        (with(json!({"S3BucketName": "closed"})), "InsufficientS3BucketPolicyException"),
        (with(json!({"S3BucketName": "No"})), "InvalidS3BucketNameException"),
        (with(json!({"S3KeyPrefix": "x".repeat(201)})), "InvalidS3PrefixException"),
        (with(json!({"Name": "a"})), "InvalidTrailNameException"),
        (with(json!({"SnsTopicName": "t"})), "NotImplemented"),
        (with(json!({"KmsKeyId": "k"})), "NotImplemented"),
        (with(json!({"CloudWatchLogsLogGroupArn": "g"})), "NotImplemented"),
        (with(json!({"EnableLogFileValidation": true})), "NotImplemented"),
        (with(json!({"IsOrganizationTrail": true})), "OrganizationsNotInUseException"),
        (
            with(json!({"IsMultiRegionTrail": true, "IncludeGlobalServiceEvents": false})),
            "InvalidParameterCombinationException",
        ),
        (with(json!({"TagsList": [{"Key": "aws:x"}]})), "InvalidTagParameterException"),
    ] {
        let (found, message) = world.ask("CreateTrail", root(OWNER), &input).await.unwrap_err();
        assert_eq!(found, code, "{input} {message}");
    }
    for n in 0..5 {
        world.ask("CreateTrail", root(OWNER), &with(json!({"Name": format!("trail{n}")}))).await.unwrap();
    }
    for (operation, input, code) in [
        ("CreateTrail", with(json!({})), "MaximumNumberOfTrailsExceededException"),
        ("CreateTrail", with(json!({"Name": "trail1"})), "TrailAlreadyExistsException"),
        ("GetTrail", json!({"Name": "none"}), "TrailNotFoundException"),
        ("UpdateTrail", json!({"Name": "trail1", "S3BucketName": "closed"}), "InsufficientS3BucketPolicyException"),
        ("StartLogging", json!({"Name": "arn:aws:s3:::b"}), "CloudTrailARNInvalidException"),
        ("PutEventSelectors", json!({"TrailName": "trail1"}), "InvalidParameterCombinationException"),
        ("GetInsightSelectors", json!({"TrailName": "trail1"}), "InsightNotEnabledException"),
        (
            "AddTags",
            json!({"ResourceId": "arn:aws:cloudtrail:us-east-1:123456789012:trail/none", "TagsList": []}),
            "ResourceNotFoundException",
        ),
    ] {
        assert_eq!(world.code_of(operation, root(OWNER), &input).await, Err(code.to_owned()), "{operation} {input}");
    }
}

#[tokio::test]
async fn management_events_go_into_files_and_changes_to_the_bus() {
    let world = World::new().await;
    let record = async |name, class, outcome| {
        let call = call(name, class, "/images", outcome, OWNER);
        world.audit.record(&call).await.unwrap();
    };
    record("CreateBucket", EventClass::Change, done()).await;
    logging(&world, "trail", Value::Null).await;
    record("PutBucketPolicy", EventClass::Change, done()).await;
    record("GetBucketPolicy", EventClass::Read, done()).await;
    record("DeleteBucket", EventClass::Change, Outcome::Failed { code: "AccessDenied".into(), message: "no".into() })
        .await;
    let told = world.told().await;
    let of: Vec<_> = told.iter().map(|event| event["detail"]["eventName"].as_str().unwrap()).collect();
    assert_eq!(of, ["PutBucketPolicy", "DeleteBucket"]);
    let event = &told[0];
    assert_eq!(
        (&event["source"], &event["detail-type"], &event["account"]),
        (&json!("aws.s3"), &json!("AWS API Call via CloudTrail"), &json!(OWNER))
    );
    assert_eq!(event["time"], event["detail"]["eventTime"]);
    let files = world.filed().await;
    assert_eq!(files.len(), 1);
    assert_eq!(names(&files[0].1), ["PutBucketPolicy", "DeleteBucket", "GetBucketPolicy"]);
    let (key, _) = &files[0];
    let pattern = regex::Regex::new(
        r"^AWSLogs/123456789012/CloudTrail/us-east-1/\d{4}/\d\d/\d\d/123456789012_CloudTrail_us-east-1_\d{8}T\d{4}Z_[0-9A-Za-z]{16}\.json\.gz$",
    );
    assert!(pattern.unwrap().is_match(key), "{key}");
    // Nothing twice, and nothing after the end.
    assert_eq!(world.filed().await.len(), 1);
    record("PutBucketTagging", EventClass::Change, done()).await;
    world.ask("StopLogging", root(OWNER), &json!({"Name": "trail"})).await.unwrap();
    record("PutBucketAcl", EventClass::Change, done()).await;
    let files = world.filed().await;
    assert_eq!((files.len(), names(&files[1].1)), (2, vec!["PutBucketTagging"]));
    assert_eq!(world.told().await.len(), 3);
    // Each arrival knew of those before it, though they were read together.
    let count = world.kv.get(&Bytes::from_static(&[world::COUNT])).await.unwrap().unwrap();
    assert_eq!(count[..], [3]);
}

#[tokio::test]
async fn data_events_are_recorded_where_a_trail_selects_them() {
    let world = World::new().await;
    let read = |path: &str| call("GetObject", EventClass::Data, path, done(), STRANGER);
    assert!(!world.audit.wants_data());
    world.audit.record_data(&read("/myapp-images/before")).await.unwrap();
    logging(&world, "trail", all_objects()).await;
    assert!(world.audit.wants_data());
    world.audit.record_data(&read("/myapp-images/a b")).await.unwrap();
    world.audit.record_data(&read("/other/key")).await.unwrap();
    let failed = Outcome::Failed { code: "NoSuchKey".into(), message: "gone".into() };
    world.audit.record_data(&call("GetObject", EventClass::Data, "/myapp-images/none", failed, OWNER)).await.unwrap();
    world.audit.record_data(&call("UploadPart", EventClass::Data, "/myapp-images/part", done(), OWNER)).await.unwrap();
    let told = world.told().await;
    let mut seen: Vec<_> = told
        .iter()
        .map(|event| {
            let detail = &event["detail"];
            (
                detail["eventName"].as_str().unwrap(),
                detail["requestParameters"]["key"].as_str().unwrap(),
                detail["errorCode"].as_str(),
            )
        })
        .collect();
    seen.sort_unstable();
    assert_eq!(
        seen,
        [("GetObject", "a b", None), ("GetObject", "none", Some("NoSuchKey")), ("UploadPart", "part", None)]
    );
    let event = told.iter().find(|event| event["detail"]["requestParameters"]["key"] == "a b").unwrap();
    let detail = &event["detail"];
    assert_eq!(event["source"], "aws.s3");
    for (member, expected) in [
        ("eventSource", json!("s3.amazonaws.com")),
        ("eventCategory", json!("Data")),
        ("managementEvent", json!(false)),
        ("readOnly", json!(true)),
        ("userAgent", json!("userAgent")),
        ("recipientAccountId", json!(OWNER)),
    ] {
        assert_eq!(detail[member], expected, "{member}");
    }
    assert_eq!(detail["requestParameters"]["bucketName"], "myapp-images");
    assert_eq!(detail["resources"][0]["type"], "AWS::S3::Object");
    assert_eq!(
        detail["resources"][1],
        json!({"type": "AWS::S3::Bucket", "ARN": "arn:aws:s3:::myapp-images", "accountId": OWNER})
    );
    assert_eq!(world.filed().await[0].1.len(), 3);
}

/// The record of a change is one of the changes of its commit.
#[tokio::test]
async fn changes_record_themselves() {
    let world = World::new().await;
    logging(&world, "trail", all_objects()).await;
    let owner = OWNER.parse().unwrap();
    let change = async |name, key: &str, bucket: &str| {
        let caller = Arc::new(now(OWNER));
        caller.note().want();
        let kind = EventKind { name, class: EventClass::Data };
        let recorder =
            DataRecorder::new(&world.audit, &caller, kind, said("PUT", &format!("/{bucket}/{key}")), (bucket, owner))
                .unwrap();
        let entries = recorder.of(&Changed { key, version: Some("v1".into()), marker: false });
        let ops = entries
            .into_iter()
            .map(|(stream, value)| Op::Append { stream: stream.into(), value: value.into() })
            .collect();
        world.kv.commit(Batch { ops, ..Batch::default() }).await.unwrap();
        // The answer of the call is recorded no second time.
        let call =
            Call { caller, service: "s3", protocol: Protocol::RestXml, kind, said: said("PUT", "/"), outcome: done() };
        world.audit.record_data(&call).await.unwrap();
    };
    change("PutObject", "images/1", "myapp-images").await;
    change("PutObject", "images/1", "other").await;
    let told = world.told().await;
    assert_eq!(told.len(), 1);
    let detail = &told[0]["detail"];
    assert_eq!(detail["responseElements"], json!({"x-amz-version-id": "v1"}));
    assert_eq!((&detail["readOnly"], &detail["eventName"]), (&json!(false), &json!("PutObject")));
    // Of a batch, each deletion is one.
    change("DeleteObjects", "images/1", "myapp-images").await;
    let told = world.told().await;
    assert_eq!(told[1]["detail"]["eventName"], "DeleteObject");
    assert_eq!(told[1]["detail"]["requestParameters"]["key"], "images/1");
}

/// A file whose fate is unknown is put again under the same name, with the same content.
#[tokio::test]
async fn a_file_that_was_not_acknowledged_is_put_again_as_it_was() {
    let world = World::new().await;
    logging(&world, "trail", Value::Null).await;
    let record =
        async |name| world.audit.record(&call(name, EventClass::Change, "/images", done(), OWNER)).await.unwrap();
    record("PutBucketPolicy").await;
    world.buckets.failing.store(true, Ordering::Relaxed);
    world.filed().await;
    let status = world.ask("GetTrailStatus", root(OWNER), &json!({"Name": "trail"})).await.unwrap();
    assert_eq!(status["LatestDeliveryError"], "InternalError");
    world.buckets.failing.store(false, Ordering::Relaxed);
    record("PutBucketTagging").await;
    let files = world.filed().await;
    assert_eq!(files.len(), 3);
    assert_eq!(files[0], files[1]);
    assert_eq!((names(&files[1].1), names(&files[2].1)), (vec!["PutBucketPolicy"], vec!["PutBucketTagging"]));
    assert_ne!(files[1].0, files[2].0);
    let status = world.ask("GetTrailStatus", root(OWNER), &json!({"Name": "trail"})).await.unwrap();
    assert_eq!(status.get("LatestDeliveryError"), None);
}

/// Readers and what waits are there after a restart.
#[tokio::test]
async fn a_restart_loses_nothing() {
    let kv = Arc::new(MemoryKv::new());
    let world = World::on(kv.clone()).await;
    logging(&world, "trail", Value::Null).await;
    world.audit.record(&call("PutBucketPolicy", EventClass::Change, "/images", done(), OWNER)).await.unwrap();
    drop(world);
    let world = World::on(kv.clone()).await;
    world.told().await;
    drop(world);
    let world = World::on(kv).await;
    let files = world.filed().await;
    assert_eq!((files.len(), names(&files[0].1)), (1, vec!["PutBucketPolicy"]));
}

/// An event on the bus follows from what led to its call: of management, of data, and of a change that records itself.
#[tokio::test]
async fn events_carry_on_what_led_to_their_calls() {
    let world = World::new().await;
    logging(&world, "trail", all_objects()).await;
    let hops = |n: usize| (0..n).map(|n| format!("events:{n}:rule")).collect::<Vec<_>>();
    let mut created = call("CreateBucket", EventClass::Change, "/myapp-images", done(), OWNER);
    let mut read = call("GetObject", EventClass::Data, "/myapp-images/k", done(), OWNER);
    for (call, n) in [(&mut created, 3), (&mut read, 2)] {
        let caller = Arc::new(led_by(OWNER, Some(hops(n))));
        caller.note().want();
        caller.note().touches("arn:aws:s3:::myapp-images/k", OWNER.parse().unwrap());
        call.caller = caller;
    }
    world.audit.record(&created).await.unwrap();
    world.audit.record_data(&read).await.unwrap();
    let caller = Arc::new(led_by(OWNER, Some(hops(16))));
    caller.note().want();
    let kind = EventKind { name: "PutObject", class: EventClass::Data };
    let bucket = ("myapp-images", OWNER.parse().unwrap());
    let recorder = DataRecorder::new(&world.audit, &caller, kind, said("PUT", "/myapp-images/k"), bucket).unwrap();
    let entries = recorder.of(&Changed { key: "k", version: None, marker: false });
    let ops = entries.into_iter().map(|(stream, value)| Op::Append { stream: stream.into(), value: value.into() });
    world.kv.commit(Batch { ops: ops.collect(), ..Batch::default() }).await.unwrap();
    world.told().await;
    let mut causes = world.causes.lock().unwrap().clone();
    causes.retain(|causes| !causes.is_empty());
    causes.sort_by_key(Vec::len);
    // What does not fit into a step is asked for once more.
    causes.dedup();
    assert_eq!(causes, [hops(2), hops(3), hops(16)]);
}
