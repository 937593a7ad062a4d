//! Queues as targets of other services.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod world;

use std::time::Duration;

use bytes::Bytes;
use millpond_kernel::trace::{Asked, Traced};
use millpond_kernel::{Attribute, Caller, Delivery, Rejection, ServiceCall, ServiceIdentity, Target};
use millpond_meta::{Batch, Kv};
use millpond_svc_sqs::{Sqs, Whereabouts};
use millpond_types::{Arn, RequestId, Timestamp};
use serde_json::{Value, json};
use world::{OWNER, World, account, caller, policy, queue_arn, role, root, text};

const TOPIC: &str = "arn:aws:sns:us-east-1:111122223333:t";

fn delivery(id: u128, body: &str) -> Delivery {
    Delivery {
        id,
        body: Bytes::copy_from_slice(body.as_bytes()),
        attributes: vec![Attribute { name: "a".into(), data_type: "String".into(), value: Bytes::from_static(b"b") }],
        group: None,
        dedup: None,
        time: Timestamp::from_seconds(1_800_000_000),
        causes: Vec::new(),
        event: "e-1".into(),
    }
}

fn from_topic(service: &ServiceIdentity, topic: &str) -> Caller {
    Caller::of_service(
        service,
        ServiceCall {
            source_arn: Arn::parse(topic),
            source_account: Some(account(OWNER)),
            request_id: RequestId(1),
            now: Timestamp::from_seconds(1_800_000_000),
            causes: Vec::new(),
        },
    )
}

fn lets_in(topic: &str) -> String {
    let mut statement = world::statement("Allow", json!({"Service": "sns.amazonaws.com"}), json!("sqs:SendMessage"));
    statement["Condition"] = json!({"ArnEquals": {"aws:SourceArn": topic}});
    policy(&[statement])
}

async fn arrive(world: &World, to: &str, from: &Caller, delivery: &Delivery) -> Result<bool, Rejection> {
    let arrival = world.sqs.arrive(&Arn::parse(to).unwrap(), from, delivery).await?;
    let batch = Batch { conds: arrival.conds, ops: arrival.ops, ..Batch::default() };
    Ok(world.kv.commit(batch).await.is_ok())
}

#[tokio::test]
async fn a_service_needs_the_queue_s_policy() {
    let world = World::new().await;
    let url = world.queue("q", json!({})).await;
    let sns = world.kernel.register("sns.amazonaws.com");
    let (mine, other) = (from_topic(&sns, TOPIC), from_topic(&sns, "arn:aws:sns:us-east-1:111122223333:other"));
    let to = Arn::parse(&queue_arn("q")).unwrap();
    assert!(matches!(world.sqs.check(&to, &mine).await, Err(Rejection::Denied(_))));
    world.root("SetQueueAttributes", json!({"QueueUrl": url, "Attributes": {"Policy": lets_in(TOPIC)}})).await;
    assert_eq!(world.sqs.check(&to, &mine).await, Ok(()));
    assert!(matches!(world.sqs.check(&to, &other).await, Err(Rejection::Denied(_))));
    let nothing = Arn::parse(&queue_arn("nothing")).unwrap();
    assert!(matches!(world.sqs.check(&nothing, &mine).await, Err(Rejection::NotFound(_))));

    let id = 0x1234;
    assert!(matches!(arrive(&world, to.as_str(), &other, &delivery(id, "x")).await, Err(Rejection::Denied(_))));
    assert_eq!(arrive(&world, to.as_str(), &mine, &delivery(id, "x")).await, Ok(true));
    assert_eq!(world.sqs.where_is(to.as_str(), id).await.unwrap(), Whereabouts::Waiting);
    for (asked, count) in [
        (Asked::Event("e-1".into()), 1),
        (Asked::Message(Sqs::message_id(id)), 1),
        (Asked::Event("e".into()), 0),
        (Asked::Message("x".into()), 0),
        (Asked::Object { bucket: "b".into(), key: "k".into() }, 0),
    ] {
        let lines = world.sqs.trace(&asked).await.unwrap();
        assert_eq!(lines.len(), count, "{asked:?}");
        assert!(lines.iter().all(|line| line.text.ends_with("waits to be received")), "{lines:?}");
    }
    let [got]: [Value; 1] = world.receive(&url, 1, 60).await.try_into().unwrap();
    assert_eq!((text(&got["MessageId"]), text(&got["Body"])), (Sqs::message_id(id), "x".to_owned()));
    assert!(matches!(world.sqs.where_is(to.as_str(), id).await.unwrap(), Whereabouts::InFlight(_)));
    world.root("DeleteMessage", json!({"QueueUrl": url, "ReceiptHandle": got["ReceiptHandle"]})).await;
    assert_eq!(world.sqs.where_is(to.as_str(), id).await.unwrap(), Whereabouts::Gone);
}

/// What was decided, or the queue, can be another by the time that the sender commits.
#[tokio::test]
async fn an_arrival_holds_only_as_long_as_what_it_was_decided_by() {
    let world = World::new().await;
    let url = world.queue("q", json!({})).await;
    let from = caller(root(OWNER), None);
    let to = Arn::parse(&queue_arn("q")).unwrap();
    for operation in ["SetQueueAttributes", "DeleteQueue"] {
        let arrival = world.sqs.arrive(&to, &from, &delivery(1, "x")).await.unwrap();
        let mut body = json!({"QueueUrl": url});
        if operation == "SetQueueAttributes" {
            body["Attributes"] = json!({"Policy": lets_in(TOPIC)});
        }
        world.root(operation, body).await;
        let batch = Batch { conds: arrival.conds, ops: arrival.ops, ..Batch::default() };
        assert!(world.kv.commit(batch).await.is_err(), "{operation}");
    }
}

#[tokio::test]
async fn an_ordered_queue_takes_each_delivery_once() {
    let world = World::new().await;
    let url = world.queue("q.fifo", json!({"FifoQueue": "true"})).await;
    let from = caller(root(OWNER), None);
    let to = queue_arn("q.fifo");
    assert!(matches!(arrive(&world, &to, &from, &delivery(1, "x")).await, Err(Rejection::Invalid(_))));
    let ordered = |id, body| Delivery { group: Some("g".into()), dedup: Some("d".into()), ..delivery(id, body) };
    for id in [1, 2] {
        assert_eq!(arrive(&world, &to, &from, &ordered(id, "x")).await, Ok(true));
    }
    world.clock.advance(Duration::from_secs(301));
    assert_eq!(arrive(&world, &to, &from, &ordered(3, "y")).await, Ok(true));
    let got = world.receive(&url, 10, 60).await;
    assert_eq!(got.iter().map(|one| text(&one["Body"])).collect::<Vec<_>>(), ["x", "y"]);
}

#[tokio::test]
async fn a_dead_letter_is_found() {
    let world = World::new().await;
    world.queue("dead", json!({})).await;
    let redrive = json!({"deadLetterTargetArn": queue_arn("dead"), "maxReceiveCount": 1}).to_string();
    let url = world.queue("q", json!({"RedrivePolicy": redrive})).await;
    arrive(&world, &queue_arn("q"), &caller(root(OWNER), None), &delivery(7, "x")).await.unwrap();
    assert_eq!(world.receive(&url, 1, 0).await.len(), 1);
    assert!(world.receive(&url, 1, 0).await.is_empty());
    let found = world.sqs.where_is(&queue_arn("q"), 7).await.unwrap();
    assert_eq!(found, Whereabouts::DeadLetter(queue_arn("dead"), Box::new(Whereabouts::Waiting)));
    let figures = world.sqs.figures().await.unwrap();
    let of = |name: &str| figures.iter().find(|one| one.arn == queue_arn(name)).unwrap().counts;
    assert_eq!((of("q").visible, of("dead").visible), (0, 1));
}

/// A role that a service acts as is a principal like any other.
#[tokio::test]
async fn a_role_sends_by_its_own_policies() {
    let world = World::new().await;
    world.queue("q", json!({})).await;
    let r = role(OWNER, "r");
    let to = Arn::parse(&queue_arn("q")).unwrap();
    for (policies, good) in [(vec![], false), (vec![world::says("Allow", "sqs:SendMessage")], true)] {
        world.people.add(&r, &policies, None);
        assert_eq!(world.sqs.check(&to, &caller(r.clone(), None)).await.is_ok(), good);
    }
}
