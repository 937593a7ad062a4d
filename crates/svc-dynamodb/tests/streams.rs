//! Streams and time to live, with a clock that the test moves and a look at the store itself.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod world;

use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use millpond_kernel::{
    AuthType, Authenticated, Caller, Rejection, Session, SessionKind, StreamStart, TableRecord, TableStreams, Transport,
};
use millpond_meta::key::prefix_range;
use millpond_meta::{Batch, Kv, Op, Scan, View};
use millpond_types::{Arn, RequestId, Timestamp};
use serde_json::{Value, json};
use world::{OWNER, World, caller, role, root, says, text, user};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Tables of the disk format, as `tables.rs` has them; and the kernel's chunks.
const ITEMS: u8 = 0x89;
const INDEX: u8 = 0x8A;
const STREAM: u8 = 0x8B;
const TTL: u8 = 0x8C;
const STREAMS: u8 = 0x90;
const BACKFILLS: u8 = 0x91;
const HORIZONS: u8 = 0x95;
const STREAM_ENDS: u8 = 0x96;
const CHUNKS: u8 = 0x3B;

async fn rows(world: &World, table: u8) -> Vec<(Bytes, Bytes)> {
    let (from, to) = prefix_range(Bytes::copy_from_slice(&[table]));
    let scan = Scan { from: Bound::Included(from), to: Bound::Excluded(to), reverse: false, limit: 100_000 };
    world.kv.scan(scan).await.unwrap()
}

fn with_stream(view: &str) -> Value {
    json!({"StreamSpecification": {"StreamEnabled": true, "StreamViewType": view}})
}

async fn stream_of(world: &World, table: &str) -> Arn {
    let described = world.root("DescribeTable", json!({"TableName": table})).await;
    Arn::parse(&text(&described["Table"]["LatestStreamArn"])).unwrap()
}

fn owner() -> Caller {
    caller(root(OWNER), None)
}

/// A worker of a function: its session carries on a chain.
fn worker(world: &World) -> Caller {
    let principal = role(OWNER, "r");
    world.people.add(&principal, &[says("Allow", "dynamodb:*")], None);
    let received = Timestamp::from_seconds(1_800_000_000);
    let session = Session {
        policies: None,
        tags: Vec::new(),
        transitive: Vec::new(),
        source_identity: None,
        issued: received,
        expires: received.plus(DAY),
        by: SessionKind::AssumeRole,
        causes: vec!["first".to_owned(), "second".to_owned()],
        worker: None,
    };
    Caller::authenticated(Authenticated {
        principal,
        session: Some(Arc::new(session)),
        access_key_id: None,
        auth: AuthType::Header,
        signed: None,
        transport: Transport::internal(),
        request_id: RequestId(8),
        received,
    })
}

/// Everything that a stream has, by the port, and whether each shard has ended.
async fn read(streams: &dyn TableStreams, stream: &Arn) -> (Vec<TableRecord>, bool) {
    let (mut records, mut all_ended) = (Vec::new(), true);
    for shard in streams.shards(stream, &owner()).await.unwrap() {
        let mut from = StreamStart::TrimHorizon;
        loop {
            let page = streams.read(stream, &shard.id, &from, 7, &owner()).await.unwrap();
            let count = page.records.len();
            records.extend(page.records);
            from = page.next;
            if page.ended || count == 0 {
                all_ended &= page.ended;
                assert_eq!(page.ended, shard.closed);
                break;
            }
        }
    }
    (records, all_ended)
}

fn json_of(record: &TableRecord) -> Value {
    serde_json::from_slice(&record.json).unwrap()
}

async fn switch(world: &World, table: &str, enabled: bool) {
    let given = json!({"TableName": table, "TimeToLiveSpecification": {"Enabled": enabled, "AttributeName": "ttl"}});
    world.root("UpdateTimeToLive", given).await;
    world.dynamodb.run_due().await.unwrap();
}

fn seconds(world: &World) -> u64 {
    use millpond_io::Clock;
    world.clock.now().seconds()
}

#[tokio::test]
async fn records_as_functions_get_them() {
    let world = World::new().await;
    world.table("tab", &[("id", "S")], with_stream("NEW_AND_OLD_IMAGES")).await;
    switch(&world, "tab", true).await;
    let (stream, streams) = (stream_of(&world, "tab").await, world.dynamodb.streams());
    let item = json!({"id": {"S": "a"}, "ttl": {"N": (seconds(&world) + 300).to_string()}});
    world.call(worker(&world), "PutItem", json!({"TableName": "tab", "Item": item})).await.unwrap();
    world.clock.advance(Duration::from_secs(299));
    world.dynamodb.run_due().await.unwrap();
    assert_eq!(read(&*streams, &stream).await.0.len(), 1, "it is not due yet");
    world.clock.advance(Duration::from_secs(1));
    world.dynamodb.run_due().await.unwrap();
    let (records, ended) = read(&*streams, &stream).await;
    let [put, gone] = &records[..] else { panic!("{records:?}") };
    assert!(!ended);
    assert_eq!(put.causes, ["first", "second"]);
    assert!(gone.causes.is_empty(), "time begins a chain");
    assert!(put.sequence < gone.sequence);
    let base = 1_800_000_000;
    let event = |number: usize, name: &str, images: Value, time: u64, size: u64| {
        let (id, sequence) = (json_of(&records[number])["eventID"].clone(), &records[number].sequence);
        let mut told = json!({
            "ApproximateCreationDateTime": time, "Keys": {"id": {"S": "a"}}, "SequenceNumber": sequence, "SizeBytes": size,
            "StreamViewType": "NEW_AND_OLD_IMAGES",
        });
        told.as_object_mut().unwrap().extend(images.as_object().unwrap().clone());
        json!({
            "eventID": id, "eventName": name, "eventVersion": "1.1", "eventSource": "aws:dynamodb", "awsRegion": "us-east-1",
            "eventSourceARN": stream.as_str(), "dynamodb": told,
        })
    };
    // The key is 3 bytes; of the item, the time is 3 for its name, and 5 for eight digits.
    assert_eq!(json_of(put), event(0, "INSERT", json!({"NewImage": item}), base, 3 + 11));
    let mut expected = event(1, "REMOVE", json!({"OldImage": item}), base + 300, 3 + 11);
    expected["userIdentity"] = json!({"type": "Service", "principalId": "dynamodb.amazonaws.com"});
    assert_eq!(json_of(gone), expected);
}

#[tokio::test]
async fn readers_go_on_where_they_were() {
    let world = World::new().await;
    world.table("tab", &[("id", "S")], with_stream("KEYS_ONLY")).await;
    let (stream, streams) = (stream_of(&world, "tab").await, world.dynamodb.streams());
    let by = owner();
    let shards = streams.shards(&stream, &by).await.unwrap();
    let mut latest = Vec::new();
    for shard in &shards {
        let page = streams.read(&stream, &shard.id, &StreamStart::Latest, 10, &by).await.unwrap();
        assert!(page.records.is_empty() && matches!(page.next, StreamStart::After(_)));
        latest.push(page.next);
    }
    for n in 0..40 {
        world.put("tab", json!({"id": {"S": n.to_string()}})).await;
    }
    let mut got = 0;
    for (shard, from) in shards.iter().zip(&latest) {
        let page = streams.read(&stream, &shard.id, from, 1000, &by).await.unwrap();
        let again = streams.read(&stream, &shard.id, &page.next, 1000, &by).await.unwrap();
        assert!(again.records.is_empty());
        assert_eq!(again.next, page.next);
        got += page.records.len();
    }
    assert_eq!(got, 40);
    let nothing = streams.read(&stream, "shardId-00000000000000000000-00000000", &StreamStart::Latest, 1, &by).await;
    assert!(matches!(nothing, Err(Rejection::NotFound(_))), "{nothing:?}");
    world.people.add(&user(OWNER, "alice"), &[], None);
    let stranger = caller(user(OWNER, "alice"), None);
    assert!(matches!(streams.shards(&stream, &stranger).await, Err(Rejection::Denied(_))));
    // The end of a stream that was switched off.
    world.root("UpdateTable", json!({"TableName": "tab", "StreamSpecification": {"StreamEnabled": false}})).await;
    let (records, ended) = read(&*streams, &stream).await;
    assert_eq!((records.len(), ended), (40, true));
}

#[tokio::test]
async fn who_waits_is_told_of_what_comes() {
    let world = World::new().await;
    world.table("tab", &[("id", "S")], with_stream("KEYS_ONLY")).await;
    let (stream, streams) = (stream_of(&world, "tab").await, world.dynamodb.streams());
    let mut waiting = streams.watch(&stream);
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let running = world.dynamodb.clone();
    let run = tokio::spawn(async move { running.run(async { drop(stopped.await) }).await });
    tokio::task::yield_now().await;
    world.put("tab", json!({"id": {"S": "a"}})).await;
    tokio::time::timeout(Duration::from_secs(60), waiting.changed()).await.unwrap().unwrap();
    stop.send(()).unwrap();
    run.await.unwrap();
}

#[tokio::test]
async fn what_was_kept_long_enough_leaves_nothing() {
    let world = World::new().await;
    world.table("tab", &[("id", "S")], with_stream("NEW_AND_OLD_IMAGES")).await;
    let (stream, streams) = (stream_of(&world, "tab").await, world.dynamodb.streams());
    let big = "x".repeat(150_000);
    for n in 0..3 {
        world.put("tab", json!({"id": {"S": "a"}, "n": {"N": n.to_string()}, "big": {"S": big}})).await;
        world.put("tab", json!({"id": {"S": n.to_string()}})).await;
    }
    let (records, _) = read(&*streams, &stream).await;
    assert_eq!(records.len(), 6);
    world.clock.advance(DAY - Duration::from_secs(1));
    world.put("tab", json!({"id": {"S": "late"}})).await;
    world.dynamodb.run_due().await.unwrap();
    assert_eq!(read(&*streams, &stream).await.0.len(), 7);
    world.clock.advance(Duration::from_secs(2));
    assert_eq!(read(&*streams, &stream).await.0.len(), 1, "what is over is not shown, trimmed or not");
    world.dynamodb.run_due().await.unwrap();
    assert_eq!(rows(&world, STREAM).await.len(), 1);
    // Places that were trimmed are passed over here, and told of to clients.
    let shard = &streams.shards(&stream, &owner()).await.unwrap()[0].id;
    let from = StreamStart::After(records[0].sequence.clone());
    streams.read(&stream, shard, &from, 10, &owner()).await.unwrap();
    world.root("DeleteTable", json!({"TableName": "tab"})).await;
    world.clock.advance(DAY);
    world.dynamodb.run_due().await.unwrap();
    world.dynamodb.round().await.unwrap();
    for table in [ITEMS, STREAM, STREAMS, HORIZONS, STREAM_ENDS, CHUNKS, BACKFILLS] {
        assert_eq!(rows(&world, table).await, [], "{table:#x}");
    }
}

#[tokio::test]
async fn many_are_due_at_once_and_each_goes_once() {
    let world = World::new().await;
    let index = json!([{"IndexName": "by-q", "KeySchema": [{"AttributeName": "q", "KeyType": "HASH"}], "Projection": {"ProjectionType": "ALL"}}]);
    let mut more = with_stream("OLD_IMAGE");
    more["GlobalSecondaryIndexes"] = index;
    more["AttributeDefinitions"] = json!([{"AttributeName": "q", "AttributeType": "S"}]);
    world.table("tab", &[("id", "S")], more).await;
    switch(&world, "tab", true).await;
    let due = seconds(&world) + 10;
    for n in 0..1_000 {
        let big = if n % 100 == 0 { "x".repeat(100_000) } else { "x".to_owned() };
        let ttl = if n % 2 == 0 { due } else { due + 100 };
        world
            .put(
                "tab",
                json!({"id": {"S": n.to_string()}, "q": {"S": "q"}, "ttl": {"N": ttl.to_string()}, "big": {"S": big}}),
            )
            .await;
    }
    assert_eq!(rows(&world, TTL).await.len(), 1_000);
    world.clock.advance(Duration::from_secs(10));
    // As after a restart: nobody is told what was due.
    let world = world.reopened().await;
    world.dynamodb.run_due().await.unwrap();
    assert_eq!(
        (rows(&world, TTL).await.len(), rows(&world, ITEMS).await.len(), rows(&world, INDEX).await.len()),
        (500, 500, 500)
    );
    let (stream, streams) = (stream_of(&world, "tab").await, world.dynamodb.streams());
    let gone: Vec<Value> =
        read(&*streams, &stream).await.0.iter().map(json_of).filter(|record| record["eventName"] == "REMOVE").collect();
    assert_eq!(gone.len(), 500);
    assert!(gone.iter().all(|record| record["dynamodb"]["OldImage"]["q"] == json!({"S": "q"})));
    let described = world.root("DescribeTable", json!({"TableName": "tab"})).await;
    assert_eq!(described["Table"]["ItemCount"], 500);
    assert_eq!(described["Table"]["GlobalSecondaryIndexes"][0]["ItemCount"], 500);
    // A table that goes takes what is still to come with it.
    world.root("DeleteTable", json!({"TableName": "tab"})).await;
    world.dynamodb.run_due().await.unwrap();
    world.dynamodb.round().await.unwrap();
    assert_eq!((rows(&world, TTL).await.len(), rows(&world, ITEMS).await.len()), (0, 0));
}

#[tokio::test]
async fn rows_that_are_out_of_date_do_no_harm() {
    let world = World::new().await;
    world.table("tab", &[("id", "S")], with_stream("KEYS_ONLY")).await;
    switch(&world, "tab", true).await;
    let at = |after: u64| json!({"N": (1_800_000_000 + after).to_string()});
    for id in ["renewed", "gone", "without"] {
        world.put("tab", json!({"id": {"S": id}, "ttl": at(10)})).await;
    }
    let before = rows(&world, TTL).await;
    assert_eq!(before.len(), 3);
    world.put("tab", json!({"id": {"S": "renewed"}, "ttl": at(100)})).await;
    world.put("tab", json!({"id": {"S": "without"}})).await;
    world.root("DeleteItem", json!({"TableName": "tab", "Key": {"id": {"S": "gone"}}})).await;
    assert_eq!(rows(&world, TTL).await.len(), 1);
    // As a fill that ran at the same time might have left them.
    let ops = before.into_iter().map(|(key, value)| Op::Put(key, value)).collect();
    world.kv.commit(Batch { ops, ..Batch::default() }).await.unwrap();
    world.clock.advance(Duration::from_secs(50));
    world.dynamodb.run_due().await.unwrap();
    assert_eq!(rows(&world, TTL).await.len(), 1);
    assert_eq!(world.get("tab", json!({"id": {"S": "renewed"}})).await["ttl"], at(100));
    assert_eq!(world.get("tab", json!({"id": {"S": "without"}})).await["id"]["S"], "without");
}

#[tokio::test]
async fn switching_on_goes_through_the_items_and_off_removes_the_rows() {
    let world = World::new().await;
    world.table("tab", &[("id", "S")], json!({})).await;
    for n in 0..300 {
        let ttl = if n % 3 == 0 { json!({"S": "x"}) } else { json!({"N": (seconds(&world) + n).to_string()}) };
        world.put("tab", json!({"id": {"S": n.to_string()}, "ttl": ttl})).await;
    }
    let standing = || async {
        let told = world.root("DescribeTimeToLive", json!({"TableName": "tab"})).await;
        text(&told["TimeToLiveDescription"]["TimeToLiveStatus"])
    };
    let given = |enabled: bool| json!({"TableName": "tab", "TimeToLiveSpecification": {"Enabled": enabled, "AttributeName": "ttl"}});
    world.root("UpdateTimeToLive", given(true)).await;
    assert_eq!(standing().await, "ENABLING");
    let (code, why) = world.fails("UpdateTimeToLive", given(false)).await;
    assert_eq!(
        (code.as_str(), why.as_str()),
        ("ValidationException", "Time to live has been modified multiple times within a fixed interval")
    );
    world.put("tab", json!({"id": {"S": "new"}, "ttl": {"N": (seconds(&world) + 500).to_string()}})).await;
    world.dynamodb.run_due().await.unwrap();
    assert_eq!(standing().await, "ENABLED");
    assert_eq!(rows(&world, TTL).await.len(), 201);
    world.root("UpdateTimeToLive", given(false)).await;
    assert_eq!(standing().await, "DISABLING");
    world.dynamodb.run_due().await.unwrap();
    assert_eq!((standing().await.as_str(), rows(&world, TTL).await.len()), ("DISABLED", 0));
    world.clock.advance(Duration::from_secs(1_000));
    world.dynamodb.run_due().await.unwrap();
    assert_eq!(rows(&world, ITEMS).await.len(), 301);
}
