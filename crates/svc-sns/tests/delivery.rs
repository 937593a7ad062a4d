//! What becomes of messages: fan-out in bounded steps, exactly once; the handshake and its time; deliveries of other services.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod world;

use std::time::Duration;

use millpond_kernel::{Caller, Delivery, Rejection, ServiceCall};
use millpond_meta::{Batch, Kv};
use millpond_types::{Arn, RequestId, Timestamp};
use serde_json::{Value, json};
use world::{OWNER, World, account, element};

const DAY: Duration = Duration::from_secs(86_400);

#[tokio::test]
async fn a_message_with_many_subscribers_takes_many_steps_and_comes_once() {
    let world = World::new().await;
    let topic = world.topic("t").await;
    for n in 0..20 {
        world.subscribe(&topic, &format!("q{n}"), &[("RawMessageDelivery", "true")]).await;
    }
    // Twenty copies of it are more than one commit may hold.
    let large = "a".repeat(200 * 1024);
    for text in ["first", &large, "last"] {
        world.root("Publish", &[("TopicArn", &topic), ("Message", text)]).await;
    }
    world.consumers.run_pending().await.unwrap();
    for n in 0..20 {
        let arrived = world.arrived(&format!("q{n}")).await;
        assert_eq!(arrived, ["first", &large, "last"], "q{n}");
    }
    // A restart finds nothing left to do.
    let world = world.reopened().await;
    world.consumers.run_pending().await.unwrap();
    assert_eq!(world.arrived("q7").await.len(), 3);
    // What is kept of messages for a while goes with the topic: no stream of a topic is left.
    world.root("DeleteTopic", &[("TopicArn", &topic)]).await;
    let (from, to) = millpond_meta::key::prefix_range(vec![millpond_svc_sns::tables::MESSAGES].into());
    let scan = millpond_meta::Scan {
        from: std::ops::Bound::Included(from),
        to: std::ops::Bound::Excluded(to),
        reverse: false,
        limit: 10,
    };
    assert!(millpond_meta::View::scan(&world.kv, scan).await.unwrap().is_empty());
}

#[tokio::test]
async fn what_a_queue_cannot_take_now_waits_and_what_it_never_takes_goes_to_the_dead_letters() {
    let world = World::new().await;
    let topic = world.topic("t").await;
    let redrive = json!({"deadLetterTargetArn": format!("arn:aws:sqs:us-east-1:{OWNER}:dead")}).to_string();
    let raw = ("RawMessageDelivery", "true");
    world.subscribe(&topic, "shut", &[raw, ("RedrivePolicy", &redrive)]).await;
    world.subscribe(&topic, "bare", &[raw]).await;
    world.subscribe(&topic, "open", &[raw]).await;
    for queue in ["shut", "bare"] {
        let no = Rejection::Denied("no".to_owned());
        world.queues.closed.lock().unwrap().insert(queue.to_owned(), no);
    }
    world.root("Publish", &[("TopicArn", &topic), ("Message", "m")]).await;
    world.consumers.run_pending().await.unwrap();
    for (queue, count) in [("shut", 0), ("bare", 0), ("dead", 1), ("open", 1)] {
        assert_eq!(world.arrived(queue).await.len(), count, "{queue}");
    }
    let busy = Rejection::Failed("not now".to_owned());
    world.queues.closed.lock().unwrap().insert("open".to_owned(), busy);
    world.root("Publish", &[("TopicArn", &topic), ("Message", "n")]).await;
    world.consumers.run_pending().await.unwrap();
    assert_eq!(world.arrived("open").await, ["m"]);
    world.queues.closed.lock().unwrap().remove("open");
    world.clock.advance(Duration::from_secs(3));
    world.timers.run_due().await;
    assert_eq!(world.arrived("open").await, ["m", "n"]);
    assert_eq!(world.arrived("dead").await, ["m", "n"]);
    // Deliveries of one message to one subscription have one id, however often they are tried.
    let asked = world.queues.asked.lock().unwrap().clone();
    let ids: std::collections::HashSet<u128> =
        asked.iter().filter(|(to, _, d)| to.ends_with(":open") && d.body == "n").map(|(_, _, d)| d.id).collect();
    assert_eq!(ids.len(), 1);
    assert!(asked.iter().all(|(_, from, _)| from == "sns.amazonaws.com"));
}

/// A subscription of somebody else's queue, and the document that it was asked by.
async fn asked(world: &World, topic: &str) -> Value {
    let queue = "arn:aws:sqs:us-east-1:444455556666:theirs";
    let answer = world.root("Subscribe", &[("TopicArn", topic), ("Protocol", "sqs"), ("Endpoint", queue)]).await;
    assert_eq!(element(&answer, "SubscriptionArn"), "pending confirmation");
    let (_, _, delivery) = world.queues.asked.lock().unwrap().last().cloned().unwrap();
    serde_json::from_slice(&delivery.body).unwrap()
}

#[tokio::test]
async fn a_question_lapses_after_three_days() {
    let world = World::new().await;
    let topic = world.topic("t").await;
    let document = asked(&world, &topic).await;
    let link = document["SubscribeURL"].as_str().unwrap();
    let query = link.strip_prefix("http://lake.example/?").unwrap().to_owned();
    let pending = |answer: &str| answer.contains("PendingConfirmation");
    world.clock.advance(2 * DAY);
    world.timers.run_due().await;
    assert!(pending(&world.root("ListSubscriptionsByTopic", &[("TopicArn", &topic)]).await));
    world.clock.advance(DAY + Duration::from_secs(1));
    assert_eq!(world.follow(&query).await.unwrap_err().code, "InvalidParameter");
    world.timers.run_due().await;
    assert!(!pending(&world.root("ListSubscriptionsByTopic", &[("TopicArn", &topic)]).await));
    // It can be asked again, and answered in time; the timer of an answered question does nothing.
    let document = asked(&world, &topic).await;
    let query = document["SubscribeURL"].as_str().unwrap().strip_prefix("http://lake.example/?").unwrap().to_owned();
    let world = world.reopened().await;
    world.follow(&query).await.unwrap();
    world.clock.advance(4 * DAY);
    world.timers.run_due().await;
    let listed = world.root("ListSubscriptionsByTopic", &[("TopicArn", &topic)]).await;
    assert!(listed.contains(":theirs") && !pending(&listed), "{listed}");
    world.root("Publish", &[("TopicArn", &topic), ("Message", "m")]).await;
    world.consumers.run_pending().await.unwrap();
    assert_eq!(world.arrived("theirs").await.len(), 3);
}

#[tokio::test]
async fn a_topic_that_is_made_anew_is_another_one() {
    let world = World::new().await;
    let topic = world.topic("t").await;
    let document = asked(&world, &topic).await;
    let query = document["SubscribeURL"].as_str().unwrap().strip_prefix("http://lake.example/?").unwrap().to_owned();
    world.subscribe(&topic, "q", &[]).await;
    world.root("Publish", &[("TopicArn", &topic), ("Message", "old")]).await;
    world.root("DeleteTopic", &[("TopicArn", &topic)]).await;
    assert_eq!(world.topic("t").await, topic);
    assert!(world.follow(&query).await.is_err());
    let listed = world.root("ListSubscriptionsByTopic", &[("TopicArn", &topic)]).await;
    assert!(!listed.contains("<member>"), "{listed}");
    world.consumers.run_pending().await.unwrap();
    assert!(world.arrived("q").await.is_empty());
}

/// What a service of ours delivers to a topic.
async fn deliver(world: &World, service: &'static str, to: &str) -> Result<(), Rejection> {
    let identity = world.kernel.register(service);
    let from = Caller::of_service(
        &identity,
        ServiceCall {
            source_arn: Arn::parse("arn:aws:s3:::b"),
            source_account: Some(account(OWNER)),
            request_id: RequestId(1),
            now: Timestamp::from_seconds(1_800_000_000),
            causes: Vec::new(),
        },
    );
    let delivery = Delivery {
        id: 42,
        body: "{}".into(),
        attributes: Vec::new(),
        group: None,
        dedup: None,
        time: Timestamp::from_seconds(1_800_000_000),
        causes: Vec::new(),
        event: "e".to_owned(),
    };
    let (to, target) = (Arn::parse(to).unwrap(), world.sns.target());
    target.check(&to, &from).await?;
    let arrival = target.arrive(&to, &from, &delivery).await?;
    world.kv.commit(Batch { conds: arrival.conds, ops: arrival.ops, ..Batch::default() }).await.unwrap();
    Ok(())
}

#[tokio::test]
async fn other_services_deliver_where_the_topics_policy_lets_them_in() {
    let world = World::new().await;
    let topic = world.topic("t").await;
    world.subscribe(&topic, "q", &[]).await;
    assert!(matches!(deliver(&world, "s3.amazonaws.com", &topic).await, Err(Rejection::Denied(_))));
    let policy = json!({"Version": "2012-10-17", "Statement": {
        "Effect": "Allow", "Principal": {"Service": "s3.amazonaws.com"}, "Action": "SNS:Publish", "Resource": topic,
        "Condition": {"ArnLike": {"aws:SourceArn": "arn:aws:s3:*:*:b"}, "StringEquals": {"aws:SourceAccount": OWNER}},
    }})
    .to_string();
    let parameters = [("TopicArn", topic.as_str()), ("AttributeName", "Policy"), ("AttributeValue", policy.as_str())];
    world.root("SetTopicAttributes", &parameters).await;
    deliver(&world, "s3.amazonaws.com", &topic).await.unwrap();
    assert!(matches!(deliver(&world, "events.amazonaws.com", &topic).await, Err(Rejection::Denied(_))));
    assert!(matches!(
        deliver(&world, "s3.amazonaws.com", &format!("{topic}x")).await,
        Err(Rejection::Denied(_) | Rejection::NotFound(_))
    ));
    world.consumers.run_pending().await.unwrap();
    let arrived = world.arrived("q").await;
    let document: Value = serde_json::from_str(&arrived[0]).unwrap();
    assert_eq!((arrived.len(), document["Subject"].as_str()), (1, Some("Amazon S3 Notification")));
    // A policy that changes between the decision and the commit makes the commit fail.
    let identity = world.kernel.register("s3.amazonaws.com");
    let call = ServiceCall {
        source_arn: Arn::parse("arn:aws:s3:::b"),
        source_account: Some(account(OWNER)),
        request_id: RequestId(1),
        now: Timestamp::from_seconds(1_800_000_000),
        causes: Vec::new(),
    };
    let from = Caller::of_service(&identity, call);
    let delivery = Delivery {
        id: 43,
        body: "{}".into(),
        attributes: Vec::new(),
        group: None,
        dedup: None,
        time: Timestamp::from_seconds(1_800_000_000),
        causes: Vec::new(),
        event: String::new(),
    };
    let to = Arn::parse(&topic).unwrap();
    let arrival = world.sns.target().arrive(&to, &from, &delivery).await.unwrap();
    let closed = policy.replace("\"Allow\"", "\"Deny\"");
    let parameters = [("TopicArn", topic.as_str()), ("AttributeName", "Policy"), ("AttributeValue", closed.as_str())];
    world.root("SetTopicAttributes", &parameters).await;
    let late = world.kv.commit(Batch { conds: arrival.conds, ops: arrival.ops, ..Batch::default() }).await;
    assert!(late.is_err());
}

/// Two arrivals of which the second depends on the first are not in one commit.
#[tokio::test]
async fn what_a_queue_takes_once_arrives_once() {
    let world = World::new().await;
    let _ = world.queues.kv.set(world.kv.clone());
    let topic = world.topic("t").await;
    for queue in ["once", "q"] {
        world.subscribe(&topic, queue, &[("RawMessageDelivery", "true")]).await;
    }
    for text in ["a", "a", "b", "a"] {
        world.root("Publish", &[("TopicArn", &topic), ("Message", text)]).await;
    }
    world.consumers.run_pending().await.unwrap();
    assert_eq!(world.arrived("once").await, ["a", "b"]);
    assert_eq!(world.arrived("q").await, ["a", "a", "b", "a"]);
}

/// A queue that is damaged delays its own messages alone; once it is well again, each arrives once. One that stays so is given up, to its dead-letter queue.
#[tokio::test]
async fn a_queue_that_fails_for_now_holds_up_nobody() {
    let world = World::new().await;
    let topic = world.topic("t").await;
    let raw = ("RawMessageDelivery", "true");
    let redrive = json!({"deadLetterTargetArn": format!("arn:aws:sqs:us-east-1:{OWNER}:dead")}).to_string();
    world.subscribe(&topic, "ill", &[raw]).await;
    world.subscribe(&topic, "worse", &[raw, ("RedrivePolicy", &redrive)]).await;
    world.subscribe(&topic, "q", &[raw]).await;
    let fail = |queue: &str| {
        let rejection = Rejection::Failed("a metadata row is damaged".to_owned());
        world.queues.closed.lock().unwrap().insert(queue.to_owned(), rejection);
    };
    ["ill", "worse", "dead"].into_iter().for_each(fail);
    let large = "L".repeat(200 * 1024);
    for text in ["a", large.as_str(), "c"] {
        world.root("Publish", &[("TopicArn", &topic), ("Message", text)]).await;
    }
    world.consumers.run_pending().await.unwrap();
    assert_eq!(world.arrived("q").await, ["a", &large, "c"]);
    assert_eq!(world.sns.to_queues().retried, 6);
    // It is tried again, also after a restart.
    world.queues.closed.lock().unwrap().remove("ill");
    let world = world.reopened().await;
    world.clock.advance(Duration::from_secs(3));
    world.timers.run_due().await;
    let mut arrived = world.arrived("ill").await;
    arrived.sort();
    assert_eq!(arrived, [large.as_str(), "a", "c"]);
    assert_eq!(world.sns.to_queues().retried, 3);
    // At most ten minutes apart.
    for _ in 0..20 {
        world.clock.advance(Duration::from_secs(601));
        world.timers.run_due().await;
    }
    assert_eq!(world.sns.to_queues().retried, 63);
    world.queues.closed.lock().unwrap().remove("dead");
    world.clock.advance(24 * DAY);
    world.timers.run_due().await;
    assert_eq!(world.arrived("dead").await.len(), 3);
    assert_eq!(world.sns.to_queues().dead_lettered, 3);
    for _ in 0..2 {
        world.clock.advance(DAY);
        world.timers.run_due().await;
    }
    assert_eq!((world.arrived("ill").await.len(), world.arrived("worse").await.len()), (3, 0));
}
