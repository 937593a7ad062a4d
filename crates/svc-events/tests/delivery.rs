//! From events to targets: what matches arrives once, in order, as the target wants it; what cannot arrive goes to the dead-letter queue.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod world;

use std::collections::BTreeMap;
use std::time::Duration;

use millpond_kernel::trace::Asked;
use millpond_kernel::{Caller, Delivery, Principal, Rejection, ServiceCall};
use millpond_types::{Arn, RequestId, Timestamp};
use serde_json::{Value, json};
use world::{OWNER, STRANGER, World, bus_arn, queue, says};

fn target(name: &str) -> Value {
    json!({"Id": name, "Arn": queue(name)})
}

#[tokio::test]
async fn what_matches_arrives_once_in_order() {
    let world = World::new().await;
    world.rule("default", "even", json!({"detail": {"even": [true]}}), target("even")).await;
    world.rule("default", "all", json!({"source": ["my.app"]}), target("all")).await;
    let mut ids = Vec::new();
    for n in 0..50 {
        ids.push(world.put("default", "my.app", json!({"n": n, "even": n % 2 == 0})).await);
    }
    world.put("default", "other", json!({})).await;
    let all = world.bodies("all").await;
    assert_eq!(all.iter().map(|event| event["id"].as_str().unwrap()).collect::<Vec<_>>(), ids);
    assert_eq!(world.bodies("even").await.len(), 25);
    let event = &all[0];
    let members: Vec<_> = event.as_object().unwrap().keys().cloned().collect();
    assert_eq!(members.len(), 9, "{event}");
    assert_eq!(
        (&event["account"], &event["region"], &event["version"]),
        (&OWNER.into(), &"us-east-1".into(), &"0".into())
    );
    // Restarted, nothing comes twice.
    let world = world.reopened().await;
    assert_eq!(world.arrived("all").await.len(), 50);
    assert_eq!(world.bodies("even").await.len(), 25);
}

/// Many rules match one event: it is done in several steps, none of them twice.
#[tokio::test]
async fn an_event_that_matches_thousands_of_targets() {
    let world = World::new().await;
    let rules = 90;
    for rule in 0..rules {
        world.root("PutRule", json!({"Name": format!("r{rule}"), "EventPattern": "{\"source\":[\"s\"]}"})).await;
        let targets: Vec<_> = (0..100).map(|n| json!({"Id": format!("t{n}"), "Arn": queue("many")})).collect();
        world.root("PutTargets", json!({"Rule": format!("r{rule}"), "Targets": targets})).await;
    }
    world.put("default", "s", json!({"a": 1})).await;
    world.put("default", "s", json!({"a": 2})).await;
    let all = world.arrived("many").await;
    assert_eq!(all.len(), 2 * rules * 100);
    let ids: std::collections::HashSet<_> = all.iter().map(|one| one["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(ids.len(), all.len(), "each delivery has an id of its own");
}

#[tokio::test]
async fn rules_that_change_count_from_then_on() {
    let world = World::new().await;
    world.rule("default", "r", json!({"source": ["a"]}), target("q")).await;
    world.put("default", "a", json!({})).await;
    assert_eq!(world.arrived("q").await.len(), 1);
    // Enough changes that all are compiled together.
    for n in 0..200 {
        world.rule("default", &format!("x{n}"), json!({"source": [format!("s{n}")]}), target("x")).await;
    }
    world.put("default", "s150", json!({})).await;
    assert_eq!(world.arrived("x").await.len(), 1);
    world.root("DisableRule", json!({"Name": "r"})).await;
    world.put("default", "a", json!({})).await;
    assert_eq!(world.arrived("q").await.len(), 1);
    world.root("EnableRule", json!({"Name": "r"})).await;
    world.root("PutRule", json!({"Name": "r", "EventPattern": "{\"source\":[\"b\"]}"})).await;
    world.put("default", "a", json!({})).await;
    world.put("default", "b", json!({})).await;
    assert_eq!(world.arrived("q").await.len(), 2);
    world.root("RemoveTargets", json!({"Rule": "x150", "Ids": ["x"]})).await;
    world.root("DeleteRule", json!({"Name": "x150"})).await;
    world.put("default", "s150", json!({})).await;
    assert_eq!(world.arrived("x").await.len(), 1);
}

#[tokio::test]
async fn inputs_are_made_for_each_target() {
    let world = World::new().await;
    world.root("PutRule", json!({"Name": "r", "EventPattern": "{\"source\":[\"s\"]}"})).await;
    let transformer = json!({"InputPathsMap": {"n": "$.detail.n"}, "InputTemplate": "{\"rule\": <aws.events.rule-name>, \"n\": <n>}"});
    let targets = json!([
        {"Id": "constant", "Arn": queue("constant"), "Input": "{\"a\": [1]}"},
        {"Id": "path", "Arn": queue("path"), "InputPath": "$.detail"},
        {"Id": "template", "Arn": queue("template"), "InputTransformer": transformer},
        {"Id": "fifo", "Arn": queue("q.fifo"), "SqsParameters": {"MessageGroupId": "g"}},
    ]);
    world.root("PutTargets", json!({"Rule": "r", "Targets": targets})).await;
    world.put("default", "s", json!({"n": 1.5})).await;
    assert_eq!(world.arrived("constant").await[0]["body"], "{\"a\": [1]}");
    assert_eq!(world.arrived("path").await[0]["body"], "{\"n\":1.5}");
    assert_eq!(world.arrived("template").await[0]["body"], "{\"rule\":\"r\",\"n\":1.5}");
    assert_eq!(world.arrived("q.fifo").await[0]["group"], "g");
    let listed = world.root("ListTargetsByRule", json!({"Rule": "r"})).await;
    assert_eq!(listed["Targets"].as_array().unwrap().len(), 4);
    assert_eq!(listed["Targets"][3]["InputTransformer"], transformer);
}

#[tokio::test]
async fn large_events_and_many_of_them() {
    let world = World::new().await;
    world.rule("default", "r", json!({"source": ["s"]}), target("q")).await;
    let text = "x".repeat(200 * 1024);
    for _ in 0..5 {
        world.put("default", "s", json!({"text": text})).await;
    }
    let all = world.arrived("q").await;
    assert_eq!(all.len(), 5);
    assert!(all.iter().all(|one| one["length"].as_u64().unwrap() > text.len() as u64));
    let before = world.kv_rows().await;
    world.clock.advance(Duration::from_secs(25 * 3600));
    assert_eq!(world.consumers.trim().await.unwrap(), 5, "what is done is removed after a day");
    assert!(world.kv_rows().await < before - 15, "with its chunks");
}

impl World {
    async fn kv_rows(&self) -> usize {
        use millpond_meta::{Scan, View};
        use std::ops::Bound::Unbounded;
        let scan = Scan { from: Unbounded, to: Unbounded, reverse: false, limit: 1_000_000 };
        self.kv.scan(scan).await.unwrap().len()
    }
}

#[tokio::test]
async fn what_cannot_arrive_is_dead_lettered_or_told_of() {
    let world = World::new().await;
    for (name, code) in [("missing", "NO_RESOURCE"), ("closed", "NO_PERMISSIONS")] {
        let dead = json!({"Id": "t", "Arn": queue(name), "DeadLetterConfig": {"Arn": queue("dead")}});
        world.rule("default", name, json!({"source": [name]}), dead).await;
        let id = world.put("default", name, json!({"n": 1})).await;
        let letter = world.arrived("dead").await.pop().unwrap();
        let event: Value = serde_json::from_str(letter["body"].as_str().unwrap()).unwrap();
        assert_eq!(event["id"], id);
        let attributes = &letter["attributes"];
        assert_eq!(attributes["ERROR_CODE"], code);
        assert_eq!(attributes["RULE_ARN"], format!("arn:aws:events:us-east-1:{OWNER}:rule/{name}"));
        assert_eq!(attributes["TARGET_ARN"], queue(name));
        assert_eq!(attributes["RETRY_ATTEMPTS"], "0");
        assert!(!attributes["ERROR_MESSAGE"].as_str().unwrap().is_empty());
    }
    // The input does not become JSON.
    let template = json!({"InputPathsMap": {"d": "$.detail"}, "InputTemplate": "{\"a\": \"<d>\"}"});
    let dead =
        json!({"Id": "t", "Arn": queue("q"), "InputTransformer": template, "DeadLetterConfig": {"Arn": queue("dead")}});
    world.rule("default", "template", json!({"source": ["template"]}), dead).await;
    world.put("default", "template", json!({"n": 1})).await;
    assert_eq!(world.arrived("dead").await.pop().unwrap()["attributes"]["ERROR_CODE"], "INVALID_JSON");
    assert_eq!(world.events.done().dead_lettered, 3);
    // Without a dead-letter queue, or with one that does not take it, it is counted and kept for `trace`.
    world.rule("default", "lost", json!({"source": ["lost"]}), target("missing2")).await;
    let id = world.put("default", "lost", json!({})).await;
    world.rule("default", "other", json!({"source": ["other"], "detail": {"a": [1]}}), target("q")).await;
    assert!(world.arrived("q").await.is_empty());
    assert_eq!(world.events.done().dropped, 1);
    let lines = world.events.traced().trace(&Asked::Event(id)).await.unwrap();
    let text: Vec<_> = lines.iter().map(|line| line.text.as_str()).collect();
    let has = |part: &str| assert!(text.iter().any(|line| line.contains(part)), "{part}: {text:#?}");
    has("rule lost: matched");
    has("NO_RESOURCE: There is no such queue.; given up");
    has("rule other: did not match");
}

/// A target that fails for now holds up neither other targets nor later events.
#[tokio::test]
async fn what_fails_for_now_is_tried_again() {
    let world = World::new().await;
    world.rule("default", "busy", json!({"source": ["s"]}), target("busy")).await;
    world.rule("default", "gone", json!({"source": ["s"]}), target("busy-gone")).await;
    world.rule("default", "r", json!({"source": ["s"]}), target("q")).await;
    let text = "x".repeat(100 * 1024);
    let id = world.put("default", "s", json!({"n": 1})).await;
    world.put("default", "s", json!({"text": text})).await;
    assert_eq!(world.arrived("q").await.len(), 2);
    world.root("RemoveTargets", json!({"Rule": "gone", "Ids": ["busy-gone"]})).await;
    for _ in 0..3 {
        world.clock.advance(Duration::from_secs(60));
        world.timers.run_due().await;
    }
    assert!(world.arrived("busy").await.is_empty());
    // Later than the bus keeps what is done.
    world.clock.advance(Duration::from_secs(6 * 3600));
    world.queues.free.store(true, std::sync::atomic::Ordering::SeqCst);
    world.timers.run_due().await;
    let all = world.arrived("busy").await;
    assert_eq!(all.iter().filter(|one| one["length"].as_u64().unwrap() > 100 * 1024).count(), 1);
    assert_eq!(all.len(), 2);
    assert!(world.arrived("busy-gone").await.is_empty(), "its target was removed");
    let lines = world.events.traced().trace(&Asked::Event(id)).await.unwrap();
    assert!(lines.iter().any(|line| line.text.contains("not now")), "{lines:#?}");
    assert_eq!(world.events.done().dropped, 0);
    // Nothing is left of what waited.
    let before = world.kv_rows().await;
    world.clock.advance(Duration::from_secs(600));
    world.timers.run_due().await;
    assert_eq!((world.kv_rows().await, world.arrived("busy").await.len()), (before, 2));
}

/// What a target's policy of retries does not allow goes to the dead-letter queue, and waits for that as long as it takes.
#[tokio::test]
async fn what_fails_for_too_long_is_dead_lettered() {
    let world = World::new().await;
    for (name, retries, dead) in [("a", 0, "dead"), ("b", 2, "dead"), ("c", 0, "busy-dead")] {
        let target = json!({"Id": name, "Arn": queue("busy"), "DeadLetterConfig": {"Arn": queue(dead)},
            "RetryPolicy": {"MaximumRetryAttempts": retries}});
        world.rule("default", name, json!({"source": ["s"]}), target).await;
    }
    world.put("default", "s", json!({"n": 1})).await;
    assert_eq!(world.arrived("dead").await[0]["attributes"]["EXHAUSTED_RETRY_CONDITION"], "MaximumRetryAttempts");
    for _ in 0..5 {
        world.clock.advance(Duration::from_secs(600));
        world.timers.run_due().await;
    }
    let dead = world.arrived("dead").await;
    let retries: Vec<_> = dead.iter().map(|letter| letter["attributes"]["RETRY_ATTEMPTS"].clone()).collect();
    assert_eq!(retries, ["0", "2"]);
    world.root("RemoveTargets", json!({"Rule": "a", "Ids": ["a"]})).await;
    world.queues.free.store(true, std::sync::atomic::Ordering::SeqCst);
    world.clock.advance(Duration::from_secs(600));
    world.timers.run_due().await;
    // By then the target itself takes it.
    assert_eq!((world.arrived("busy").await.len(), world.arrived("busy-dead").await.len()), (1, 0));
}

/// What is kept with an event besides it has room: its causes, and the rules that a replay is for.
#[tokio::test]
async fn events_that_almost_fill_a_row_are_replayed_for_many_rules() {
    let world = World::new().await;
    let bus = bus_arn(OWNER, "default");
    let rules: Vec<_> = (0..100).map(|n| format!("{n:064}")).collect();
    for rule in &rules {
        world.rule("default", rule, json!({"source": ["none"]}), target("none")).await;
    }
    world.rule("default", "r", json!({"source": ["s"]}), target("q")).await;
    world.root("CreateArchive", json!({"ArchiveName": "a", "EventSourceArn": bus})).await;
    for length in (58_000..61_500).step_by(500).chain([10; 100]) {
        world.put("default", "s", json!({"text": "x".repeat(length)})).await;
    }
    assert_eq!(world.arrived("q").await.len(), 107);
    world.clock.advance(Duration::from_secs(10));
    let arn = |rule: &str| format!("arn:aws:events:us-east-1:{OWNER}:rule/{rule}");
    let mut filter: Vec<_> = rules.iter().skip(1).map(|rule| arn(rule)).chain([arn("r")]).collect();
    let mut replay = json!({"ReplayName": "p", "EventSourceArn": format!("arn:aws:events:us-east-1:{OWNER}:archive/a"),
        "EventStartTime": 1_799_999_999, "EventEndTime": 1_800_000_009, "Destination": {"Arn": bus, "FilterArns": filter}});
    world.root("StartReplay", replay.clone()).await;
    for _ in 0..20 {
        world.timers.run_due().await;
        world.clock.advance(Duration::from_millis(50));
    }
    assert_eq!(world.arrived("q").await.len(), 214);
    filter.push(arn(&rules[0]));
    (replay["ReplayName"], replay["Destination"]["FilterArns"]) = (json!("p2"), json!(filter));
    assert_eq!(world.refused("StartReplay", replay).await.0, "ValidationException");
}

/// Two arrivals of which the second depends on the first are not in one commit.
#[tokio::test]
async fn what_a_queue_takes_once_arrives_once() {
    let world = World::new().await;
    let constant = |id: &str| json!({"Id": id, "Arn": queue("once"), "Input": "{\"same\": 1}"});
    world.rule("default", "r", json!({"source": ["s"]}), constant("a")).await;
    world.root("PutTargets", json!({"Rule": "r", "Targets": [constant("b"), target("q")]})).await;
    for n in 0..3 {
        world.put("default", "s", json!({"n": n})).await;
    }
    assert_eq!((world.arrived("once").await.len(), world.arrived("q").await.len()), (1, 3));
}

/// Events of services come to the default bus of their account, and nowhere else without a policy.
#[tokio::test]
async fn events_of_services() {
    let world = World::new().await;
    world.rule("default", "s3", json!({"source": ["aws.s3"]}), target("q")).await;
    world.root("CreateEventBus", json!({"Name": "b"})).await;
    let identity = world.kernel.register("s3.amazonaws.com");
    let from = |account: &str| {
        Caller::of_service(
            &identity,
            ServiceCall {
                source_arn: Arn::parse("arn:aws:s3:::bucket"),
                source_account: Some(world::account(account)),
                request_id: RequestId(1),
                now: Timestamp::from_seconds(1_800_000_000),
                causes: Vec::new(),
            },
        )
    };
    let event = |source: &str| json!({"version": "0", "id": "00000000-0000-4000-8000-000000000001", "detail-type": "Object Created", "source": source, "account": OWNER, "time": "2026-01-01T00:00:00Z", "region": "us-east-1", "resources": [], "detail": {}});
    let delivery = |body: Value| Delivery {
        id: 1,
        body: body.to_string().into(),
        attributes: Vec::new(),
        group: None,
        dedup: None,
        time: Timestamp(0),
        causes: Vec::new(),
        event: String::new(),
    };
    let to = |of: &str, name: &str| Arn::parse(&bus_arn(of, name)).unwrap();
    let targets = world.kernel.targets();
    let arrival = targets.arrive(&to(OWNER, "default"), &from(OWNER), &delivery(event("aws.s3"))).await.unwrap();
    let batch = millpond_meta::Batch { conds: arrival.conds, ops: arrival.ops, ..Default::default() };
    millpond_meta::Kv::commit(&world.kv, batch).await.unwrap();
    assert_eq!(world.bodies("q").await[0]["detail-type"], "Object Created");
    assert!(targets.check(&to(OWNER, "default"), &from(OWNER)).await.is_ok());
    for (to, account, body) in [
        (to(OWNER, "b"), OWNER, event("aws.s3")),
        (to(OWNER, "default"), STRANGER, event("aws.s3")),
        (to(OWNER, "default"), OWNER, event("my.app")),
    ] {
        let found = targets.arrive(&to, &from(account), &delivery(body.clone())).await;
        assert!(matches!(found, Err(Rejection::Denied(_))), "{to} {account} {body}: {found:?}");
    }
    // Reads of management are for the rules that ask for them; reads of data for all.
    for (name, state) in [("some", "ENABLED"), ("reads", "ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS")] {
        let pattern = json!({"detail-type": ["AWS API Call via CloudTrail"]}).to_string();
        world.root("PutRule", json!({"Name": name, "EventPattern": pattern, "State": state})).await;
        world.root("PutTargets", json!({"Rule": name, "Targets": [target(name)]})).await;
    }
    for management in [true, false] {
        let mut call = event("aws.s3");
        call["detail-type"] = json!("AWS API Call via CloudTrail");
        call["detail"] = json!({"managementEvent": management, "readOnly": true});
        let arrival = targets.arrive(&to(OWNER, "default"), &from(OWNER), &delivery(call)).await.unwrap();
        let batch = millpond_meta::Batch { conds: arrival.conds, ops: arrival.ops, ..Default::default() };
        millpond_meta::Kv::commit(&world.kv, batch).await.unwrap();
    }
    assert_eq!((world.arrived("some").await.len(), world.arrived("reads").await.len()), (1, 2));
    let mut bad = event("aws.s3");
    bad["detail"] = json!("text");
    for body in [bad, json!("text"), json!({})] {
        let found = targets.arrive(&to(OWNER, "default"), &from(OWNER), &delivery(body.clone())).await;
        assert!(matches!(found, Err(Rejection::Invalid(_))), "{body}: {found:?}");
    }
    let found = targets.arrive(&to(OWNER, "none"), &from(OWNER), &delivery(event("aws.s3"))).await;
    assert!(matches!(found, Err(Rejection::NotFound(_))), "{found:?}");
}

#[tokio::test]
async fn schedules_fire_and_what_was_missed_fires_once() {
    let world = World::new().await;
    for (name, schedule) in [("rate", "rate(5 minutes)"), ("cron", "cron(0 * * * ? *)")] {
        world.root("PutRule", json!({"Name": name, "ScheduleExpression": schedule})).await;
        world.root("PutTargets", json!({"Rule": name, "Targets": [target(name)]})).await;
    }
    world.timers.run_due().await;
    assert_eq!((world.arrived("rate").await.len(), world.arrived("cron").await.len()), (0, 0));
    for minutes in 1..=12u64 {
        world.clock.advance(Duration::from_secs(300));
        world.timers.run_due().await;
        assert_eq!(world.arrived("rate").await.len() as u64, minutes, "after {minutes} times five minutes");
    }
    assert_eq!(world.arrived("cron").await.len(), 1, "an hour is over");
    let event = &world.bodies("rate").await[0];
    assert_eq!((&event["source"], &event["detail-type"]), (&"aws.events".into(), &"Scheduled Event".into()));
    assert_eq!(
        (&event["detail"], &event["resources"][0]),
        (&json!({}), &format!("arn:aws:events:us-east-1:{OWNER}:rule/rate").into())
    );
    // A day without a server: once each.
    let world = world.reopened().await;
    world.clock.advance(Duration::from_secs(86_400));
    world.timers.run_due().await;
    world.timers.run_due().await;
    assert_eq!((world.arrived("rate").await.len(), world.arrived("cron").await.len()), (13, 2));
    world.root("DisableRule", json!({"Name": "rate"})).await;
    world.clock.advance(Duration::from_secs(3600));
    world.timers.run_due().await;
    assert_eq!((world.arrived("rate").await.len(), world.arrived("cron").await.len()), (13, 3));
    world.root("EnableRule", json!({"Name": "rate"})).await;
    world.clock.advance(Duration::from_secs(299));
    world.timers.run_due().await;
    assert_eq!(world.arrived("rate").await.len(), 13);
    world.clock.advance(Duration::from_secs(1));
    world.timers.run_due().await;
    assert_eq!(world.arrived("rate").await.len(), 14);
}

#[tokio::test]
async fn archives_keep_and_replays_bring_back() {
    let world = World::new().await;
    world.rule("default", "one", json!({"source": ["s"]}), target("one")).await;
    world.rule("default", "two", json!({"source": ["s"]}), target("two")).await;
    let bus = bus_arn(OWNER, "default");
    let archive =
        json!({"ArchiveName": "a", "EventSourceArn": bus, "EventPattern": "{\"source\":[\"s\"]}", "RetentionDays": 1});
    world.root("CreateArchive", archive).await;
    let start = 1_800_000_000;
    for n in 0..250 {
        world.put("default", "s", json!({"n": n})).await;
        world.clock.advance(Duration::from_secs(1));
    }
    world.put("default", "t", json!({})).await;
    assert_eq!(world.arrived("one").await.len(), 250);
    let described = world.root("DescribeArchive", json!({"ArchiveName": "a"})).await;
    assert_eq!(described["EventCount"], 250);
    assert!(described["SizeBytes"].as_i64().unwrap() > 250 * 100);
    let rule = format!("arn:aws:events:us-east-1:{OWNER}:rule/two");
    let archive = format!("arn:aws:events:us-east-1:{OWNER}:archive/a");
    let replay = |name: &str| json!({"ReplayName": name, "EventSourceArn": archive, "EventStartTime": start + 10, "EventEndTime": start + 210, "Destination": {"Arn": bus, "FilterArns": [rule]}});
    let started = world.root("StartReplay", replay("p")).await;
    assert_eq!(started["State"], "STARTING");
    for _ in 0..10 {
        world.timers.run_due().await;
        world.clock.advance(Duration::from_millis(50));
    }
    let described = world.root("DescribeReplay", json!({"ReplayName": "p"})).await;
    assert_eq!(described["State"], "COMPLETED", "{described}");
    let two = world.bodies("two").await;
    assert_eq!(two.len(), 250 + 200);
    assert_eq!(two[250]["replay-name"], "p");
    assert_eq!(two[250]["detail"]["n"], 10);
    assert_eq!(two[449]["detail"]["n"], 209);
    assert_eq!(world.arrived("one").await.len(), 250, "the other rule is not meant");
    assert_eq!(
        world.root("DescribeArchive", json!({"ArchiveName": "a"})).await["EventCount"],
        250,
        "replays are not archived"
    );
    // Cancelled before it went on.
    world.root("StartReplay", replay("c")).await;
    assert_eq!(world.root("CancelReplay", json!({"ReplayName": "c"})).await["State"], "CANCELLING");
    world.timers.run_due().await;
    assert_eq!(world.root("DescribeReplay", json!({"ReplayName": "c"})).await["State"], "CANCELLED");
    assert_eq!(world.refused("CancelReplay", json!({"ReplayName": "c"})).await.0, "IllegalStatusException");
    assert_eq!(world.root("ListReplays", json!({})).await["Replays"].as_array().unwrap().len(), 2);
    // Events that are kept long enough go.
    world.clock.advance(Duration::from_secs(86_400));
    for _ in 0..5 {
        world.timers.run_due().await;
        world.clock.advance(Duration::from_secs(1));
    }
    let left = world.root("DescribeArchive", json!({"ArchiveName": "a"})).await["EventCount"].as_i64().unwrap();
    assert!(left < 250, "{left} are left");
    world.root("DeleteArchive", json!({"ArchiveName": "a"})).await;
    assert_eq!(world.refused("DescribeArchive", json!({"ArchiveName": "a"})).await.0, "ResourceNotFoundException");
}

#[tokio::test]
async fn refusals() {
    let world = World::new().await;
    world.root("CreateEventBus", json!({"Name": "b"})).await;
    world.root("PutRule", json!({"Name": "r", "EventPattern": "{\"source\":[\"s\"]}"})).await;
    let put = |target: Value| json!({"Rule": "r", "Targets": [target]});
    let id = "01234567-89ab-cdef-0123-456789abcdef";
    let destination = format!("arn:aws:events:us-east-1:{OWNER}:api-destination/d/{id}");
    let role = format!("arn:aws:iam::{OWNER}:role/r");
    let many: BTreeMap<String, String> = (0..200).map(|n| (format!("q{n}"), "v".repeat(500))).collect();
    let wide: Vec<Value> =
        (0..50).map(|n| json!({"Key": format!("{n:02}{}", "𝛑".repeat(126)), "Value": "𝛑".repeat(256)})).collect();
    for (operation, body, code, message) in [
        ("CreateEventBus", json!({"Name": "b"}), "ResourceAlreadyExistsException", "Event bus b already exists."),
        (
            "CreateEventBus",
            json!({"Name": "default"}),
            "ResourceAlreadyExistsException",
            "Event bus default already exists.",
        ),
        ("CreateEventBus", json!({"Name": "a/b"}), "ValidationException", "Parameter Name is not valid."),
        ("CreateEventBus", json!({"Name": "k", "KmsKeyIdentifier": "k"}), "NotImplemented", "KmsKeyIdentifier"),
        ("DeleteEventBus", json!({"Name": "default"}), "ValidationException", "Cannot delete event bus default."),
        ("DescribeEventBus", json!({"Name": "x"}), "ResourceNotFoundException", "Event bus x does not exist."),
        (
            "DescribeRule",
            json!({"Name": "x"}),
            "ResourceNotFoundException",
            "Rule x does not exist on EventBus default.",
        ),
        (
            "PutRule",
            json!({"Name": "x"}),
            "ValidationException",
            "Parameter(s) EventPattern or ScheduleExpression must be specified.",
        ),
        (
            "PutRule",
            json!({"Name": "x", "EventPattern": "{"}),
            "InvalidEventPatternException",
            "Event pattern is not valid. Reason: ",
        ),
        (
            "PutRule",
            json!({"Name": "x", "ScheduleExpression": "rate(1 hours)"}),
            "ValidationException",
            "Parameter ScheduleExpression is not valid.",
        ),
        (
            "PutRule",
            json!({"Name": "x", "EventBusName": "b", "ScheduleExpression": "rate(1 hour)"}),
            "ValidationException",
            "ScheduleExpression is supported only on the default event bus.",
        ),
        (
            "PutRule",
            json!({"Name": "x y"}),
            "ValidationException",
            "1 validation error detected: Value 'x y' at 'name'",
        ),
        (
            "PutTargets",
            put(json!({"Id": "1", "Arn": "x"})),
            "ValidationException",
            "Parameter x is not valid. Reason: Provided Arn is not in correct format.",
        ),
        (
            "PutTargets",
            put(json!({"Id": "1", "Arn": "arn:aws:lambda:us-east-1:111122223333:function:f"})),
            "ValidationException",
            "Targets of the service lambda are not served here.",
        ),
        (
            "PutTargets",
            put(json!({"Id": "1", "Arn": queue("q"), "Input": "{}", "InputPath": "$"})),
            "ValidationException",
            "Only one of Input, InputPath, or InputTransformer must be provided for target 1.",
        ),
        (
            "PutTargets",
            put(json!({"Id": "1", "Arn": queue("q"), "Input": "{"})),
            "ValidationException",
            "JSON syntax error in input for target 1.",
        ),
        (
            "PutTargets",
            put(json!({"Id": "1", "Arn": queue("q"), "InputTransformer": {"InputTemplate": "\"<x>\""}})),
            "ValidationException",
            "InputTemplate for target 1 contains invalid placeholder x.",
        ),
        (
            "PutTargets",
            put(json!({"Id": "1", "Arn": queue("q.fifo")})),
            "ValidationException",
            "Parameter(s) MessageGroupId must be specified for target: 1.",
        ),
        (
            "PutTargets",
            put(json!({"Id": "1", "Arn": queue("q"), "EcsParameters": {"TaskDefinitionArn": "arn"}})),
            "NotImplemented",
            "EcsParameters of a target is not implemented by this server.",
        ),
        (
            "PutTargets",
            put(json!({"Id": "1", "Arn": queue("q"), "RetryPolicy": {"MaximumRetryAttempts": 186}})),
            "ValidationException",
            "",
        ),
        // Each within its bounds, and together more than is kept.
        (
            "PutTargets",
            put(
                json!({"Id": "1", "Arn": destination, "RoleArn": role, "HttpParameters": {"QueryStringParameters": many}}),
            ),
            "ValidationException",
            "The parameters of target 1 are together",
        ),
        (
            "PutRule",
            json!({"Name": "wide", "EventPattern": "{\"source\": [\"a\"]}", "Tags": wide}),
            "ValidationException",
            "together larger than 64 KiB",
        ),
        (
            "PutTargets",
            put(json!({"Id": "1", "Arn": queue("q"), "DeadLetterConfig": {"Arn": queue("d.fifo")}})),
            "ValidationException",
            "FIFO",
        ),
        (
            "RemovePermission",
            json!({"StatementId": "x"}),
            "ResourceNotFoundException",
            "Statement with the provided id does not exist.",
        ),
        ("PutPermission", json!({"Policy": "{"}), "ValidationException", "Parameter Policy is not valid."),
        ("PutPermission", json!({"Policy": "x".repeat(10_241)}), "PolicyLengthExceededException", ""),
        (
            "PutPermission",
            json!({"Policy": json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Principal": "*", "Action": "sqs:*", "Resource": "*"}}).to_string()}),
            "ValidationException",
            "Parameter Policy is not valid. Reason: Policy statement action out of service scope!",
        ),
        (
            "StartReplay",
            json!({"ReplayName": "p", "EventSourceArn": format!("arn:aws:events:us-east-1:{OWNER}:archive/x"), "EventStartTime": 1, "EventEndTime": 2, "Destination": {"Arn": bus_arn(OWNER, "default")}}),
            "ValidationException",
            "Parameter EventSourceArn is not valid. Reason: Archive x does not exist.",
        ),
        (
            "DescribeConnection",
            json!({"Name": "c"}),
            "ResourceNotFoundException",
            "Failed to describe the connection(s). Connection 'c' does not exist.",
        ),
        (
            "DescribeApiDestination",
            json!({"Name": "d"}),
            "ResourceNotFoundException",
            "Failed to describe the api-destination(s). An api-destination 'd' does not exist.",
        ),
        (
            "TestEventPattern",
            json!({"EventPattern": "{\"source\":[\"s\"]}", "Event": "{}"}),
            "ValidationException",
            "Parameter Event is not valid. Reason: id is a required argument.",
        ),
        ("ListRules", json!({"NextToken": "%"}), "ValidationException", "Parameter NextToken"),
    ] {
        let found = world.refused(operation, body.clone()).await;
        assert_eq!(found.0, code, "{operation} {body}: {}", found.1);
        assert!(found.1.contains(message), "{operation} {body}: {}", found.1);
    }
    world.root("PutTargets", put(target("q"))).await;
    assert_eq!(
        world.refused("DeleteRule", json!({"Name": "r"})).await.1,
        "Rule can't be deleted since it has targets."
    );
    let entries: Vec<_> = (0..11).map(|_| json!({"Source": "s", "DetailType": "t", "Detail": "{}"})).collect();
    assert_eq!(world.refused("PutEvents", json!({"Entries": entries})).await.0, "ValidationException");
    let big = json!({"Source": "s", "DetailType": "t", "Detail": json!({"a": "x".repeat(262_144)}).to_string()});
    let found = world.refused("PutEvents", json!({"Entries": [big]})).await;
    assert_eq!(found.1, "Total size of the entries in the request is over the limit.");
    let entry = |source: &str, detail: &str| json!({"Source": source, "DetailType": "t", "Detail": detail});
    for (entry, code) in [
        (json!({"DetailType": "t", "Detail": "{}"}), "InvalidArgument"),
        (entry("", "{}"), "InvalidArgument"),
        (entry("aws.s3", "{}"), "NotAuthorizedForSourceException"),
        (entry("s", "[]"), "MalformedDetail"),
        (entry("s", "{"), "MalformedDetail"),
        (entry("s", "\"text\""), "MalformedDetail"),
        (
            json!({"Source": "s", "DetailType": "t", "Detail": "{}", "EventBusName": "none"}),
            "ResourceNotFoundException",
        ),
    ] {
        let answer = world
            .root("PutEvents", json!({"Entries": [entry, {"Source": "s", "DetailType": "t", "Detail": "{}"}]}))
            .await;
        assert_eq!(
            (&answer["FailedEntryCount"], &answer["Entries"][0]["ErrorCode"]),
            (&1.into(), &code.into()),
            "{entry}"
        );
        assert!(answer["Entries"][1]["EventId"].is_string());
    }
}

#[tokio::test]
async fn policies_of_buses_are_put_together() {
    let world = World::new().await;
    let put =
        |sid: &str, principal: &str| json!({"Action": "events:PutEvents", "Principal": principal, "StatementId": sid});
    world.root("PutPermission", put("one", STRANGER)).await;
    world.root("PutPermission", put("two", "*")).await;
    let policy = |shown: Value| serde_json::from_str::<Value>(shown["Policy"].as_str().unwrap()).unwrap();
    let shown = policy(world.root("DescribeEventBus", json!({})).await);
    assert_eq!(shown["Statement"].as_array().unwrap().len(), 2);
    assert_eq!(shown["Statement"][0]["Principal"]["AWS"], format!("arn:aws:iam::{STRANGER}:root"));
    world.root("RemovePermission", json!({"StatementId": "one"})).await;
    assert_eq!(policy(world.root("DescribeEventBus", json!({})).await)["Statement"][0]["Sid"], "two");
    world.root("RemovePermission", json!({"RemoveAllPermissions": true})).await;
    assert_eq!(world.root("DescribeEventBus", json!({})).await["Policy"], Value::Null);
    let nobody = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"AWS": "999999999999"}, "Action": "events:PutEvents", "Resource": bus_arn(OWNER, "default")}]});
    assert_eq!(world.refused("PutPermission", json!({"Policy": nobody.to_string()})).await.0, "ValidationException");
    let foreign = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "events:PutEvents", "Resource": bus_arn(OWNER, "other")}]});
    assert_eq!(world.refused("PutPermission", json!({"Policy": foreign.to_string()})).await.0, "ValidationException");
    let _ = (says("Allow", json!("x")), Principal::Anonymous);
}
