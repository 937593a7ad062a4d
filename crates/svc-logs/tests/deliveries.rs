//! What other services write, and what goes by itself.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod world;

use std::time::Duration;

use millpond_kernel::{Caller, Delivery, LinesAt, LogLine, Rejection, ServiceCall, StreamLine};
use millpond_meta::{Batch, Kv};
use millpond_types::{Arn, RequestId, Timestamp};
use serde_json::{Value, json};
use world::{OWNER, REGION, World, account};

const NOW: u64 = 1_800_000_000;

fn group_arn(name: &str) -> Arn {
    Arn::parse(&format!("arn:aws:logs:{REGION}:{OWNER}:log-group:{name}")).unwrap()
}

fn events(world: &World) -> Caller {
    let identity = world.kernel.register("events.amazonaws.com");
    let call = ServiceCall {
        source_arn: Arn::parse(&format!("arn:aws:events:{REGION}:{OWNER}:rule/r")),
        source_account: Some(account(OWNER)),
        request_id: RequestId(1),
        now: Timestamp::from_seconds(NOW),
        causes: Vec::new(),
    };
    Caller::of_service(&identity, call)
}

fn delivery(body: &str, time: u64) -> Delivery {
    Delivery {
        id: 7,
        body: body.to_owned().into(),
        attributes: Vec::new(),
        group: None,
        dedup: None,
        time: Timestamp::from_seconds(time),
        causes: Vec::new(),
        event: String::new(),
    }
}

async fn allow(world: &World, actions: Value, resource: &str) {
    let source = json!({"ArnLike": {"aws:SourceArn": format!("arn:aws:events:{REGION}:{OWNER}:rule/*")}});
    let policy = json!({"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Principal": {"Service": ["events.amazonaws.com", "delivery.logs.amazonaws.com"]},
        "Action": actions, "Resource": resource, "Condition": source,
    }]});
    let body = json!({"policyName": "p", "policyDocument": policy.to_string()});
    world.root("PutResourcePolicy", body).await;
}

async fn messages(world: &World, group: &str) -> Vec<String> {
    let found = world.root("FilterLogEvents", json!({"logGroupName": group})).await;
    let text = |event: &Value| event["message"].as_str().unwrap().to_owned();
    found["events"].as_array().unwrap().iter().map(text).collect()
}

#[tokio::test]
async fn a_service_writes_where_the_accounts_policies_let_it() {
    let world = World::new().await;
    world.root("CreateLogGroup", json!({"logGroupName": "/aws/events/g"})).await;
    let (target, from, to) = (world.logs.target(), events(&world), group_arn("/aws/events/g"));
    let denied = |outcome: &Result<(), Rejection>| matches!(outcome, Err(Rejection::Denied(_)));
    assert!(denied(&target.check(&to, &from).await), "without a policy");
    allow(&world, json!(["logs:PutLogEvents"]), "*").await;
    assert!(denied(&target.check(&to, &from).await), "streams cannot be made");
    let all = json!(["logs:CreateLogStream", "logs:PutLogEvents"]);
    let groups = format!("arn:aws:logs:{REGION}:{OWNER}:log-group:/aws/events/*:*");
    allow(&world, all, &groups).await;
    assert_eq!(target.check(&to, &from).await, Ok(()));
    assert_eq!(target.check(&group_arn("/aws/events/g:*"), &from).await, Ok(()), "as EventBridge names groups");
    assert!(denied(&target.check(&group_arn("other"), &from).await));
    assert!(matches!(target.check(&group_arn("/aws/events/none"), &from).await, Err(Rejection::NotFound(_))));

    // Several arrivals of one commit, among them one that is too old to keep its time.
    let mut batch = Batch::default();
    for (body, time) in [("one", NOW), ("two", NOW), ("old", NOW - 15 * 86_400)] {
        let arrival = target.arrive(&to, &from, &delivery(body, time)).await.unwrap();
        batch.conds.extend(arrival.conds);
        batch.ops.extend(arrival.ops);
    }
    world.kv.commit(batch).await.unwrap();
    assert_eq!(messages(&world, "/aws/events/g").await, ["one", "two", "old"]);
    let streams = world.root("DescribeLogStreams", json!({"logGroupName": "/aws/events/g"})).await;
    assert_eq!(streams["logStreams"][0]["logStreamName"], "events/2027/01/15");
    assert_eq!(streams["logStreams"][0]["storedBytes"], 3 * 29);
}

#[tokio::test]
async fn what_arrives_for_a_group_that_goes_is_not_committed() {
    let world = World::new().await;
    world.root("CreateLogGroup", json!({"logGroupName": "g"})).await;
    allow(&world, json!("logs:*"), "*").await;
    let (target, from, to) = (world.logs.target(), events(&world), group_arn("g"));
    let arrival = target.arrive(&to, &from, &delivery("lost", NOW)).await.unwrap();
    world.root("DeleteLogGroup", json!({"logGroupName": "g"})).await;
    world.root("CreateLogGroup", json!({"logGroupName": "g"})).await;
    let batch = Batch { conds: arrival.conds, ops: arrival.ops, ..Batch::default() };
    assert!(world.kv.commit(batch).await.is_err());
}

#[tokio::test]
async fn lines_of_other_services() {
    let world = World::new().await;
    world.root("CreateLogGroup", json!({"logGroupName": "g"})).await;
    allow(&world, json!("logs:*"), "*").await;
    let (writer, from) = (world.logs.writer(), events(&world));
    let line = |n: u64| LogLine { time: Timestamp::from_seconds(NOW + n % 7), message: format!("{n}") };
    let lines: Vec<_> = (0..12_000).map(line).collect();
    writer.write(&group_arn("g"), "2027/01/15/[1]", &from, &lines).await.unwrap();
    let mut all = Vec::new();
    let mut token = None;
    loop {
        let mut body = json!({"logGroupName": "g"});
        if let Some(token) = token {
            body["nextToken"] = token;
        }
        let page = world.root("FilterLogEvents", body).await;
        all.extend(page["events"].as_array().unwrap().iter().map(|event| event["message"].clone()));
        token = page.get("nextToken").cloned();
        if token.is_none() {
            break;
        }
    }
    assert_eq!(all.len(), 12_000);
    let wrong = writer.write(&group_arn("g"), "a:b", &from, &lines[..1]).await;
    assert!(matches!(wrong, Err(Rejection::Invalid(_))));
    // What no retry helps is final, for lines and for deliveries.
    for (group, policy, why) in [("none", "*", "NotFound"), ("g", "arn:aws:logs:*:*:log-group:h:*", "Denied")] {
        allow(&world, json!("logs:*"), policy).await;
        let to = group_arn(group);
        let line = writer.write(&to, "s", &from, &lines[..1]).await.unwrap_err();
        let delivered = world.logs.target().arrive(&to, &from, &delivery("x", NOW)).await.unwrap_err();
        for rejection in [line, delivered] {
            assert!(rejection.is_final() && format!("{rejection:?}").starts_with(why), "{rejection:?}");
        }
    }
}

async fn put(world: &World, at: u64, message: &str) {
    let events = json!([{"timestamp": at * 1000, "message": message}]);
    world.root("PutLogEvents", json!({"logGroupName": "g", "logStreamName": "s", "logEvents": events})).await;
}

async fn stored(world: &World) -> i64 {
    let groups = world.root("DescribeLogGroups", json!({})).await;
    groups["logGroups"][0]["storedBytes"].as_i64().unwrap()
}

#[tokio::test]
async fn retention_ends_events_at_once_and_removes_them_later() {
    let world = World::new().await;
    world.root("CreateLogGroup", json!({"logGroupName": "g"})).await;
    world.root("CreateLogStream", json!({"logGroupName": "g", "logStreamName": "s"})).await;
    put(&world, NOW - 3_600, "old").await;
    put(&world, NOW, &"x".repeat(100_000)).await;
    world.root("PutRetentionPolicy", json!({"logGroupName": "g", "retentionInDays": 1})).await;
    assert_eq!(messages(&world, "g").await.len(), 2);
    world.clock.advance(Duration::from_secs(86_400 - 1_800));
    assert_eq!(messages(&world, "g").await.len(), 1, "not shown any more");
    assert_eq!(stored(&world).await, 100_026 + 29);
    world.logs.sweep().await.unwrap();
    assert_eq!(stored(&world).await, 100_026);
    world.clock.advance(Duration::from_secs(3_600));
    world.logs.sweep().await.unwrap();
    assert_eq!(stored(&world).await, 0);
    // Chunks are gone with their event.
    let chunks = millpond_meta::key::prefix_range(bytes::Bytes::from_static(&[millpond_kernel::tables::CHUNKS]));
    assert!(rows(&world, chunks).await.is_empty());
}

async fn rows(world: &World, range: (bytes::Bytes, bytes::Bytes)) -> Vec<bytes::Bytes> {
    use std::ops::Bound;
    let (from, to) = (Bound::Included(range.0), Bound::Excluded(range.1));
    let scan = millpond_meta::Scan { from, to, reverse: false, limit: 10_000 };
    millpond_meta::View::scan(&world.kv, scan).await.unwrap().into_iter().map(|(key, _)| key).collect()
}

#[tokio::test]
async fn what_is_deleted_leaves_nothing_behind() {
    let world = World::new().await;
    world.root("CreateLogGroup", json!({"logGroupName": "g"})).await;
    for name in ["s", "t"] {
        world.root("CreateLogStream", json!({"logGroupName": "g", "logStreamName": name})).await;
    }
    put(&world, NOW, "m").await;
    world.root("DeleteLogStream", json!({"logGroupName": "g", "logStreamName": "s"})).await;
    world.logs.sweep().await.unwrap();
    assert_eq!(stored(&world).await, 0);
    world.root("CreateLogStream", json!({"logGroupName": "g", "logStreamName": "s"})).await;
    put(&world, NOW, "m").await;
    world.root("DeleteLogGroup", json!({"logGroupName": "g"})).await;
    let world = world.reopened().await;
    world.logs.sweep().await.unwrap();
    let all = (bytes::Bytes::from_static(&[0x80]), bytes::Bytes::from_static(&[0x88]));
    assert_eq!(rows(&world, all).await, Vec::<bytes::Bytes>::new());
}

/// A row of an event as it was written before messages were sealed.
#[derive(Clone, PartialEq, prost::Message)]
struct PlainRow {
    #[prost(fixed64, tag = "1")]
    ingested: u64,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(bytes = "vec", tag = "3")]
    chunks: Vec<u8>,
    #[prost(uint32, tag = "4")]
    length: u32,
}

#[tokio::test]
async fn messages_are_sealed_and_plain_ones_are_read() {
    use millpond_kernel::chunks;
    use millpond_meta::key::prefix_range;
    use millpond_meta::{Op, Scan, View};
    use prost::Message;
    use std::ops::Bound::{Excluded, Included, Unbounded};
    let world = World::new().await;
    world.root("CreateLogGroup", json!({"logGroupName": "g"})).await;
    world.root("CreateLogStream", json!({"logGroupName": "g", "logStreamName": "s"})).await;
    let (short, long) = ("said by a customer".to_owned(), format!("said by a customer{}", "x".repeat(60_000)));
    put(&world, NOW, &short).await;
    put(&world, NOW, &long).await;
    let all = world.kv.scan(Scan { from: Unbounded, to: Unbounded, reverse: false, limit: 10_000 }).await.unwrap();
    assert!(all.iter().all(|(_, row)| !row.windows(short.len()).any(|part| part == short.as_bytes())));
    let world = world.reopened().await;
    assert_eq!(messages(&world, "g").await, [short.clone(), long.clone()]);
    // The same rows as an earlier version wrote them.
    let (from, to) = prefix_range(bytes::Bytes::from_static(&[millpond_svc_logs::tables::EVENTS]));
    let scan = Scan { from: Included(from), to: Excluded(to), reverse: false, limit: 10 };
    let rows = world.kv.scan(scan).await.unwrap();
    let row = |message: &str| PlainRow { ingested: NOW * 1000, length: message.len() as u32, ..PlainRow::default() };
    let plain = PlainRow { message: short.clone(), ..row(&short) };
    let chunked = PlainRow { chunks: 9_u128.to_be_bytes().to_vec(), ..row(&long) };
    let mut ops = chunks::put(9, &long.clone().into());
    ops.push(Op::Put(rows[0].0.clone(), plain.encode_to_vec().into()));
    ops.push(Op::Put(rows[1].0.clone(), chunked.encode_to_vec().into()));
    world.kv.commit(Batch { ops, ..Batch::default() }).await.unwrap();
    assert_eq!(messages(&world, "g").await, [short, long.clone()]);
    world.root("DeleteLogGroup", json!({"logGroupName": "g"})).await;
    world.logs.sweep().await.unwrap();
    assert_eq!(chunks::get(&world.kv, 9, long.len()).await.unwrap(), None);
}

#[tokio::test]
async fn lines_for_operators() {
    let world = World::new().await;
    world.root("CreateLogGroup", json!({"logGroupName": "g"})).await;
    allow(&world, json!("logs:*"), "*").await;
    let (writer, reader, to) = (world.logs.writer(), world.logs.reader(), group_arn("g"));
    let line = |second: u64| LogLine { time: Timestamp::from_seconds(NOW - 10 + second), message: second.to_string() };
    let lines: Vec<LogLine> = (0..5).map(line).collect();
    for stream in ["2027/01/14/a", "2027/01/15/b"] {
        writer.write(&to, stream, &events(&world), &lines).await.unwrap();
    }
    for (prefix, since, most, expected) in [
        ("2027/", NOW, 9, vec!["2027/01/15/b", "2027/01/14/a"]),
        ("2027/", NOW, 1, vec!["2027/01/15/b"]),
        ("2027/01/14/", NOW, 9, vec!["2027/01/14/a"]),
        ("2027/", NOW + 1, 9, vec![]),
    ] {
        assert_eq!(reader.streams(&to, prefix, Timestamp::from_seconds(since), most).await.unwrap(), expected);
    }
    let read = async |at: &LinesAt, most| reader.lines(&to, "2027/01/14/a", at, most).await.unwrap();
    let texts = |lines: &[StreamLine]| lines.iter().map(|line| line.line.message.clone()).collect::<Vec<_>>().join(" ");
    let until = read(&LinesAt::Until(Timestamp::from_seconds(NOW - 7)), 2).await;
    assert_eq!((texts(&until).as_str(), until[0].line.time), ("3 2", Timestamp::from_seconds(NOW - 7)));
    let place = || until[1].place.clone();
    assert_eq!(texts(&read(&LinesAt::Before(place()), 9).await), "1 0");
    assert_eq!(texts(&read(&LinesAt::From(place()), 2).await), "2 3");
    assert!(reader.lines(&to, "none", &LinesAt::From(place()), 9).await.unwrap().is_empty());
    assert!(reader.lines(&group_arn("none"), "s", &LinesAt::From(place()), 9).await.unwrap().is_empty());
    assert!(reader.lines(&to, "2027/01/14/a", &LinesAt::Before("x".into()), 9).await.is_err());
}
