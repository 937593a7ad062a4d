//! What events say does not lie plain on the disk, wherever they wait; what earlier versions wrote plain is read.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod world;

use std::ops::Bound::Unbounded;
use std::time::Duration;

use millpond_kernel::chunks;
use millpond_meta::key::KeyBuilder;
use millpond_meta::{Batch, Kv, Op, Scan, View};
use prost::Message;
use serde_json::json;
use world::{OWNER, World, bus_arn, queue};

const SAID: &str = "what-a-customer-said";

impl World {
    /// The tables with a row in which this is plain. What the world's queues took is theirs.
    async fn plain(&self, text: &str) -> Vec<u8> {
        let scan = Scan { from: Unbounded, to: Unbounded, reverse: false, limit: 100_000 };
        let rows = self.kv.scan(scan).await.unwrap();
        let has = |row: &[u8]| row.windows(text.len()).any(|part| part == text.as_bytes());
        let found = rows.iter().filter(|(key, row)| ![0x70, 0x71].contains(&key[0]) && has(row));
        found.map(|(key, _)| key[0]).collect()
    }
}

#[tokio::test]
async fn events_are_sealed_wherever_they_wait() {
    let world = World::new().await;
    let bus = bus_arn(OWNER, "default");
    world.root("CreateArchive", json!({"ArchiveName": "a", "EventSourceArn": bus})).await;
    let auth = json!({"ApiKeyAuthParameters": {"ApiKeyName": "X-Key", "ApiKeyValue": "k"}});
    let made = world
        .root("CreateConnection", json!({"Name": "c", "AuthorizationType": "API_KEY", "AuthParameters": auth}))
        .await;
    let made = json!({"Name": "d", "ConnectionArn": made["ConnectionArn"], "InvocationEndpoint": "https://one.example/", "HttpMethod": "POST"});
    let destination = world.root("CreateApiDestination", made).await["ApiDestinationArn"].clone();
    let role = format!("arn:aws:iam::{OWNER}:role/r");
    let http = json!({"Id": "http", "Arn": destination, "RoleArn": role, "HttpParameters": {"HeaderParameters": {"X-Said": "$.detail.text"}}});
    world.rule("default", "http", json!({"source": ["s"]}), http).await;
    world.rule("default", "busy", json!({"source": ["s"]}), json!({"Id": "busy", "Arn": queue("busy")})).await;
    for length in [10, 59_000, 61_000, 200_000] {
        world.put("default", "s", json!({"text": format!("{SAID}{}", "x".repeat(length))})).await;
    }
    assert_eq!(world.plain(SAID).await, [0; 0], "before they are read");
    world.consumers.run_pending().await.unwrap();
    assert_eq!(world.plain(SAID).await, [0; 0], "after they were");
    // They are still there: in the archive, and for whom they could not be delivered to.
    let world = world.reopened().await;
    world.queues.free.store(true, std::sync::atomic::Ordering::SeqCst);
    world.clock.advance(Duration::from_secs(60));
    world.timers.run_due().await;
    // The world's queues keep short bodies alone.
    let whole = |mut all: Vec<serde_json::Value>| {
        all.sort_by_key(|one| one["length"].as_u64());
        let lengths: Vec<_> = all.iter().map(|one| one["length"].as_u64().unwrap() / 1000).collect();
        (all[0]["body"].as_str().unwrap().contains(SAID), lengths)
    };
    assert_eq!(whole(world.arrived("busy").await), (true, vec![0, 59, 61, 200]));
    world.rule("default", "again", json!({"source": ["s"]}), json!({"Id": "q", "Arn": queue("q")})).await;
    let rule = format!("arn:aws:events:us-east-1:{OWNER}:rule/again");
    let replay = json!({"ReplayName": "p", "EventSourceArn": format!("arn:aws:events:us-east-1:{OWNER}:archive/a"),
        "EventStartTime": 1_799_999_999, "EventEndTime": 1_800_000_009, "Destination": {"Arn": bus, "FilterArns": [rule]}});
    world.root("StartReplay", replay).await;
    for _ in 0..20 {
        world.timers.run_due().await;
        world.clock.advance(Duration::from_millis(50));
    }
    assert_eq!(whole(world.arrived("q").await), (true, vec![0, 59, 61, 200]));
    assert_eq!(world.plain(SAID).await, [0; 0]);
}

/// An event as it was written before contents were sealed.
#[derive(Clone, PartialEq, Message)]
struct PlainRow {
    #[prost(string, tag = "1")]
    id: String,
    #[prost(bytes = "vec", tag = "2")]
    body: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    chunks: Vec<u8>,
    #[prost(uint64, tag = "4")]
    length: u64,
    #[prost(uint64, tag = "5")]
    ingested: u64,
}

#[tokio::test]
async fn plain_events_of_earlier_versions_are_read() {
    let world = World::new().await;
    world.rule("default", "q", json!({"source": ["s"]}), json!({"Id": "q", "Arn": queue("q")})).await;
    let stream = KeyBuilder::new(0x63).raw(OWNER.as_bytes()).bytes(b"default").build();
    let (mut ops, chunked) = (Vec::new(), 77_u128);
    for (n, length) in [10, 100_000].into_iter().enumerate() {
        let body = json!({"version": "0", "id": format!("{n}"), "detail-type": "t", "source": "s", "account": OWNER, "time": "2026-01-01T00:00:00Z",
            "region": "us-east-1", "resources": [], "detail": {"text": "x".repeat(length)}}).to_string();
        let mut row = PlainRow { id: format!("{n}"), length: body.len() as u64, ingested: 1, ..PlainRow::default() };
        if length > 60_000 {
            row.chunks = chunked.to_be_bytes().to_vec();
            ops.extend(chunks::put(chunked, &body.into()));
        } else {
            row.body = body.into_bytes();
        }
        ops.push(Op::Append { stream: stream.clone(), value: row.encode_to_vec().into() });
    }
    world.kv.commit(Batch { ops, ..Batch::default() }).await.unwrap();
    assert_eq!(world.bodies("q").await.len(), 2);
    world.clock.advance(Duration::from_secs(25 * 3600));
    assert_eq!(world.consumers.trim().await.unwrap(), 2);
    assert_eq!(chunks::get(&world.kv, chunked, 100_000).await.unwrap(), None, "the chunks went with it");
}
