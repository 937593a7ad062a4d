//! Many senders and receivers at a time: nobody gets what somebody else has, and in a FIFO queue nobody overtakes.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod world;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use world::{World, text};

const SENDERS: usize = 4;
const RECEIVERS: usize = 6;
const EACH: usize = 150;
const GROUPS: usize = 5;

/// What receivers have seen.
#[derive(Default)]
struct Seen {
    bodies: HashSet<String>,
    busy: HashSet<String>,
    latest: HashMap<String, u128>,
}

impl Seen {
    /// Nobody else has the message, nor one of its group, and none that was sent later came before.
    fn take(&mut self, message: &Value, fifo: bool, first_of_page: bool) {
        let body = text(&message["Body"]);
        assert!(self.bodies.insert(body.clone()), "{body} came twice");
        if !fifo {
            return;
        }
        let group = text(&message["Attributes"]["MessageGroupId"]);
        assert!(!first_of_page || self.busy.insert(group.clone()), "{group} is somebody else's");
        let number: u128 = text(&message["Attributes"]["SequenceNumber"]).parse().unwrap();
        let before = self.latest.insert(group, number);
        assert!(before.is_none_or(|before| before < number), "{body} was overtaken");
    }
}

async fn send(world: &World, url: &str, who: usize, fifo: bool) {
    for n in 0..EACH {
        let mut body = json!({"QueueUrl": url, "MessageBody": format!("{who} {n}")});
        if fifo {
            body["MessageGroupId"] = format!("g{}", (who + n) % GROUPS).into();
            body["MessageDeduplicationId"] = format!("{who}-{n}").into();
        }
        world.root("SendMessage", body).await;
    }
}

async fn receive(world: &World, url: &str, seen: &Mutex<Seen>, fifo: bool) {
    while seen.lock().unwrap().bodies.len() < SENDERS * EACH {
        let ask = json!({"QueueUrl": url, "MaxNumberOfMessages": 3, "WaitTimeSeconds": 1, "AttributeNames": ["All"]});
        let got = world.root("ReceiveMessage", ask).await["Messages"].as_array().cloned().unwrap_or_default();
        let groups = {
            let mut seen = seen.lock().unwrap();
            let mut groups = Vec::new();
            for message in &got {
                let group = message["Attributes"]["MessageGroupId"].as_str().unwrap_or_default().to_owned();
                seen.take(message, fifo, !groups.contains(&group));
                groups.push(group);
            }
            groups
        };
        tokio::task::yield_now().await;
        let entries = got.iter().enumerate();
        let entries: Vec<_> =
            entries.map(|(n, one)| json!({"Id": n.to_string(), "ReceiptHandle": one["ReceiptHandle"]})).collect();
        if !entries.is_empty() {
            // As soon as they are deleted somebody else may have the groups.
            groups.iter().for_each(|group| _ = seen.lock().unwrap().busy.remove(group));
            let done = world.root("DeleteMessageBatch", json!({"QueueUrl": url, "Entries": entries})).await;
            assert_eq!(done["Successful"].as_array().unwrap().len(), got.len());
        }
    }
}

async fn all_at_once(fifo: bool) {
    let world = Arc::new(World::new().await);
    let background = tokio::spawn({
        let sqs = world.sqs.clone();
        async move { sqs.run(std::future::pending()).await }
    });
    let (name, attributes) = if fifo { ("q.fifo", json!({"FifoQueue": "true"})) } else { ("q", json!({})) };
    let url = world.queue(name, attributes).await;
    let seen = Arc::new(Mutex::new(Seen::default()));
    let mut tasks = tokio::task::JoinSet::new();
    for who in 0..SENDERS {
        let (world, url) = (world.clone(), url.clone());
        tasks.spawn(async move { send(&world, &url, who, fifo).await });
    }
    for _ in 0..RECEIVERS {
        let (world, url, seen) = (world.clone(), url.clone(), seen.clone());
        tasks.spawn(async move { receive(&world, &url, &seen, fifo).await });
    }
    let all = tokio::time::timeout(Duration::from_secs(120), async {
        while let Some(done) = tasks.join_next().await {
            done.unwrap();
        }
    });
    all.await.unwrap();
    background.abort();
    let counts = world.sqs.figures().await.unwrap()[0].counts;
    assert_eq!((counts.visible, counts.in_flight, counts.delayed), (0, 0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn standard() {
    all_at_once(false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn in_order() {
    all_at_once(true).await;
}
