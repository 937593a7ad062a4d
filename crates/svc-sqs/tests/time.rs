//! What time does to queues: retention, delays of FIFO queues, names that are free again.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod world;

use std::ops::Bound;
use std::time::Duration;

use millpond_meta::{Scan, View};
use serde_json::json;
use world::{OWNER, World, caller, queue_arn, root, text};

async fn send(world: &World, url: &str, body: &str) {
    world.root("SendMessage", json!({"QueueUrl": url, "MessageBody": body})).await;
}

async fn bodies(world: &World, url: &str, timeout: u64) -> Vec<String> {
    world.receive(url, 10, timeout).await.iter().map(|one| text(&one["Body"])).collect()
}

/// Rows of the service, but for those of queues and names.
async fn rows(world: &World) -> usize {
    let scan = |from: u8, to: u8| Scan {
        from: Bound::Included(bytes::Bytes::copy_from_slice(&[from])),
        to: Bound::Excluded(bytes::Bytes::copy_from_slice(&[to])),
        reverse: false,
        limit: 100_000,
    };
    world.kv.scan(scan(0x72, 0x78)).await.unwrap().len() + world.kv.scan(scan(0x3B, 0x3C)).await.unwrap().len()
}

#[tokio::test]
async fn messages_are_kept_for_their_time() {
    let world = World::new().await;
    let url = world.queue("q", json!({"MessageRetentionPeriod": "60"})).await;
    send(&world, &url, "old").await;
    send(&world, &url, &"x".repeat(200_000)).await;
    world.clock.advance(Duration::from_secs(30));
    send(&world, &url, "new").await;
    assert_eq!(bodies(&world, &url, 0).await.len(), 3);
    world.clock.advance(Duration::from_secs(30));
    assert_eq!(bodies(&world, &url, 0).await, ["new"]);
    world.sqs.tidy().await.unwrap();
    // The message, its state and the counter.
    assert_eq!(rows(&world).await, 3);
    let world = world.reopened().await;
    world.clock.advance(Duration::from_secs(30));
    assert!(bodies(&world, &url, 0).await.is_empty());
    world.sqs.tidy().await.unwrap();
    assert_eq!(rows(&world).await, 0);
}

/// A dead letter of a standard queue is as old as it was before (Developer Guide, "Dead-letter queues").
#[tokio::test]
async fn dead_letters_keep_their_age() {
    let world = World::new().await;
    let dead = world.queue("dead", json!({"MessageRetentionPeriod": "100"})).await;
    let redrive = json!({"deadLetterTargetArn": queue_arn("dead"), "maxReceiveCount": 1}).to_string();
    let url = world.queue("q", json!({"RedrivePolicy": redrive})).await;
    send(&world, &url, "x").await;
    world.clock.advance(Duration::from_secs(60));
    assert_eq!(bodies(&world, &url, 0).await, ["x"]);
    assert!(bodies(&world, &url, 0).await.is_empty());
    assert_eq!(bodies(&world, &dead, 0).await, ["x"]);
    world.clock.advance(Duration::from_secs(40));
    assert!(bodies(&world, &dead, 0).await.is_empty());
}

/// A change of a FIFO queue's delay counts for messages that wait already (API reference, SetQueueAttributes).
#[tokio::test]
async fn delays_of_fifo_queues_are_those_of_now() {
    let world = World::new().await;
    let attributes = json!({"FifoQueue": "true", "DelaySeconds": "100", "ContentBasedDeduplication": "true"});
    let url = world.queue("q.fifo", attributes).await;
    for body in ["a", "b"] {
        let request = json!({"QueueUrl": url, "MessageBody": body, "MessageGroupId": "g"});
        world.root("SendMessage", request).await;
        world.clock.advance(Duration::from_secs(10));
    }
    assert!(bodies(&world, &url, 0).await.is_empty());
    world.root("SetQueueAttributes", json!({"QueueUrl": url, "Attributes": {"DelaySeconds": "15"}})).await;
    assert_eq!(bodies(&world, &url, 0).await, ["a"]);
    world.clock.advance(Duration::from_secs(5));
    assert_eq!(bodies(&world, &url, 0).await, ["a", "b"]);
}

#[tokio::test]
async fn deduplication_ids_are_forgotten() {
    let world = World::new().await;
    let url = world.queue("q.fifo", json!({"FifoQueue": "true", "ContentBasedDeduplication": "true"})).await;
    for step in [0, 299, 2] {
        world.clock.advance(Duration::from_secs(step));
        world.root("SendMessage", json!({"QueueUrl": url, "MessageBody": "x", "MessageGroupId": "g"})).await;
    }
    assert_eq!(bodies(&world, &url, 0).await, ["x", "x"]);
    world.clock.advance(Duration::from_secs(301));
    world.sqs.tidy().await.unwrap();
    // Two messages, two states and the counter.
    assert_eq!(rows(&world).await, 5);
}

#[tokio::test]
async fn nothing_of_a_deleted_queue_is_left() {
    let world = World::new().await;
    let url = world.queue("q.fifo", json!({"FifoQueue": "true", "ContentBasedDeduplication": "true"})).await;
    for n in 0..600 {
        let body = if n == 7 { "y".repeat(300_000) } else { n.to_string() };
        world.root("SendMessage", json!({"QueueUrl": url, "MessageBody": body, "MessageGroupId": "g"})).await;
    }
    assert_eq!(bodies(&world, &url, 60).await.len(), 10);
    world.root("DeleteQueue", json!({"QueueUrl": url})).await;
    let again = json!({"QueueName": "q.fifo", "Attributes": {"FifoQueue": "true"}});
    let refused = world.call(caller(root(OWNER), None), "CreateQueue", again.clone()).await;
    assert_eq!(refused, Err("QueueDeletedRecently".to_owned()));
    // The server may end before the rows are removed.
    let world = world.reopened().await;
    assert!(rows(&world).await > 1000);
    world.sqs.tidy().await.unwrap();
    assert_eq!(rows(&world).await, 0);
    let refused = world.call(caller(root(OWNER), None), "CreateQueue", again.clone()).await;
    assert_eq!(refused, Err("QueueDeletedRecently".to_owned()));
    world.clock.advance(Duration::from_secs(60));
    world.root("CreateQueue", again).await;
    assert!(bodies(&world, &url, 0).await.is_empty());
}

#[tokio::test]
async fn a_purge_is_for_what_was_there() {
    let world = World::new().await;
    let url = world.queue("q", json!({})).await;
    for n in 0..300 {
        send(&world, &url, &n.to_string()).await;
    }
    let held = world.receive(&url, 10, 600).await;
    world.root("PurgeQueue", json!({"QueueUrl": url})).await;
    send(&world, &url, "after").await;
    let world = world.reopened().await;
    assert_eq!(bodies(&world, &url, 0).await, ["after"]);
    let handle = &held[0]["ReceiptHandle"];
    world.root("DeleteMessage", json!({"QueueUrl": url, "ReceiptHandle": handle})).await;
    world.sqs.tidy().await.unwrap();
    assert_eq!(rows(&world).await, 3);
    let refused = world.call(caller(root(OWNER), None), "PurgeQueue", json!({"QueueUrl": url})).await;
    assert_eq!(refused, Err("PurgeQueueInProgress".to_owned()));
    world.clock.advance(Duration::from_secs(60));
    world.root("PurgeQueue", json!({"QueueUrl": url})).await;
}

/// Far more messages than memory holds at a time.
#[tokio::test]
async fn what_waits_waits_on_disk() {
    let world = World::new().await;
    let url = world.queue("q", json!({})).await;
    for n in 0..500 {
        let entries: Vec<_> =
            (0..10).map(|m| json!({"Id": m.to_string(), "MessageBody": format!("{n} {m}")})).collect();
        world.root("SendMessageBatch", json!({"QueueUrl": url, "Entries": entries})).await;
    }
    let mut got = std::collections::BTreeSet::new();
    loop {
        let page = world.receive(&url, 10, 600).await;
        if page.is_empty() {
            break;
        }
        let entries: Vec<_> = page
            .iter()
            .enumerate()
            .map(|(n, one)| json!({"Id": n.to_string(), "ReceiptHandle": one["ReceiptHandle"]}))
            .collect();
        got.extend(page.iter().map(|one| text(&one["Body"])));
        world.root("DeleteMessageBatch", json!({"QueueUrl": url, "Entries": entries})).await;
    }
    assert_eq!(got.len(), 5000);
    assert_eq!(rows(&world).await, 0);
}
