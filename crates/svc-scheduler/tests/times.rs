//! Schedules over a clock that the test moves.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod world;

use std::ops::Bound;

use millpond_kernel::trace::Asked;
use millpond_meta::{Scan, View};
use serde_json::{Value, json};
use world::{OWNER, START, World, caller, queue, request, role_arn, root, schedule};

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;

async fn bodies(world: &World) -> Vec<String> {
    world.arrived().await.iter().map(|one| one["body"].as_str().unwrap().to_owned()).collect()
}

async fn get(world: &World, name: &str) -> Result<Value, String> {
    world.call(caller(root(OWNER), None), request("GET", &format!("/schedules/{name}"), "", Value::Null)).await
}

/// Rows of the service and timers that are left, but for those of client tokens.
async fn left(world: &World) -> usize {
    let mut rows = 0;
    for (from, to) in [(0x6D_u8, 0x6E), (0x39, 0x3A), (0x3B, 0x3C)] {
        let range = |table: u8| bytes::Bytes::copy_from_slice(&[table]);
        let (from, to) = (Bound::Included(range(from)), Bound::Excluded(range(to)));
        rows += world.kv.scan(Scan { from, to, reverse: false, limit: 10_000 }).await.unwrap().len();
    }
    rows
}

async fn traced(world: &World, name: &str) -> Vec<String> {
    let arn = format!("arn:aws:scheduler:us-east-1:{OWNER}:schedule/default/{name}");
    let lines = world.scheduler.traced().trace(&Asked::Resource(arn)).await.unwrap();
    lines.into_iter().map(|line| line.text).collect()
}

#[tokio::test]
async fn the_latest_times_are_remembered() {
    let world = World::new().await;
    world.schedule("often", "rate(1 minute)", json!({"Target": {"Input": "x"}})).await;
    assert_eq!(traced(&world, "often").await.last().unwrap(), "did not fire yet");
    for minute in 0..30 {
        world.at(minute * MINUTE).await;
    }
    let lines = traced(&world, "often").await;
    assert_eq!(lines.len(), 1 + 20, "{lines:?}");
    assert!(lines[20].starts_with("fired at 2026-11-20T13:29:00"), "{lines:?}");
    assert!(lines[20].contains("for 2026-11-20T13:29:00") && lines[20].ends_with("delivered"), "{lines:?}");
    let id = lines[20].split("execution ").nth(1).unwrap().split(' ').next().unwrap().to_owned();
    let one = world.scheduler.traced().trace(&Asked::Event(id)).await.unwrap();
    assert_eq!(one.len(), 1);
    assert!(one[0].text.starts_with("schedule arn:"), "{one:?}");
    assert!(world.scheduler.traced().trace(&Asked::Event("x".into())).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_one_time_schedule_runs_once_and_stays_or_goes() {
    let world = World::new().await;
    world.schedule("stays", "at(2026-11-20T14:00:00)", json!({"Target": {"Input": "a"}})).await;
    let goes = json!({"Target": {"Input": "b"}, "ActionAfterCompletion": "DELETE", "ScheduleExpressionTimezone": "Europe/Berlin"});
    world.schedule("goes", "at(2026-11-20T15:00:00)", goes).await;
    world.at(HOUR - 1).await;
    assert_eq!(bodies(&world).await, Vec::<String>::new());
    world.at(HOUR).await;
    let mut arrived = bodies(&world).await;
    arrived.sort();
    assert_eq!(arrived, ["a", "b"]);
    world.at(100 * HOUR).await;
    assert_eq!(bodies(&world).await.len(), 2);
    assert_eq!(get(&world, "stays").await.unwrap()["State"], "ENABLED");
    assert_eq!(get(&world, "goes").await, Err("ResourceNotFoundException".to_owned()));
    let first = &world.arrived().await[0];
    assert_eq!((&first["to"], first["from"].as_str().unwrap().contains("assumed-role/r/")), (&json!("q"), true));
}

#[tokio::test]
async fn rates_begin_at_once_or_at_their_start_and_end() {
    let world = World::new().await;
    world.schedule("now", "rate(1 hour)", json!({"Target": {"Input": "now"}})).await;
    let bounded = json!({"Target": {"Input": "later"}, "StartDate": START + 2 * HOUR, "EndDate": START + 4 * HOUR});
    world.schedule("later", "rate(1 hour)", bounded).await;
    let mut seen = Vec::new();
    for hour in 0..=6 {
        world.at(hour * HOUR).await;
        let all = bodies(&world).await;
        let mut new = all[seen.len()..].to_vec();
        new.sort();
        let expected: &[&str] = if (2..=4).contains(&hour) { &["later", "now"] } else { &["now"] };
        assert_eq!(new, expected, "hour {hour}");
        seen = all;
    }
}

#[tokio::test]
async fn after_downtime_what_was_missed_runs_once() {
    let world = World::new().await;
    world.schedule("at", "at(2026-11-20T14:00:00)", json!({"Target": {"Input": "at"}})).await;
    world.schedule("rate", "rate(7 minutes)", json!({"StartDate": START + MINUTE, "Target": {"Input": "rate"}})).await;
    world.schedule("cron", "cron(0 * * * ? *)", json!({"Target": {"Input": "cron"}})).await;
    world.clock.set(millpond_types::Timestamp::from_seconds(START + 50 * HOUR + 30 * MINUTE));
    let world = world.reopened().await;
    world.timers.run_due().await;
    let mut arrived = bodies(&world).await;
    arrived.sort();
    assert_eq!(arrived, ["at", "cron", "rate"]);
    // And on as if nothing had been: 3030 minutes are 432 * 7 + 6, so that the next of the rate is at 3033 + 1.
    world.at((3_030 + 4) * MINUTE - 1).await;
    let count = |all: &[String], name: &str| all.iter().filter(|one| *one == name).count();
    let before = count(&bodies(&world).await, "rate");
    world.at((3_030 + 5) * MINUTE).await;
    assert!(count(&bodies(&world).await, "rate") <= before + 1);
    world.at(51 * HOUR).await;
    let all = bodies(&world).await;
    assert_eq!((count(&all, "cron"), count(&all, "at")), (2, 1));
}

#[tokio::test]
async fn disabled_schedules_and_updates() {
    let world = World::new().await;
    world.schedule("s", "rate(1 hour)", json!({"State": "DISABLED"})).await;
    world.at(HOUR).await;
    assert_eq!(bodies(&world).await.len(), 0);
    let update = |more: Value| request("PUT", "/schedules/s", "", schedule("rate(1 hour)", more));
    world.root(update(json!({"State": "ENABLED"}))).await;
    world.timers.run_due().await;
    assert_eq!(bodies(&world).await.len(), 1, "a rate without a start begins at once");
    // Another input: the rhythm stays.
    world.root(update(json!({"Target": {"Input": "changed"}}))).await;
    world.timers.run_due().await;
    assert_eq!(bodies(&world).await.len(), 1);
    world.at(2 * HOUR).await;
    assert_eq!(bodies(&world).await, ["hello", "changed"]);
    world.root(update(json!({"State": "DISABLED"}))).await;
    world.at(10 * HOUR).await;
    assert_eq!(bodies(&world).await.len(), 2);
    // A one-time schedule that ran is no reason to run it again when its text changes.
    world.schedule("once", "at(2026-11-21T13:00:00)", json!({})).await;
    world.at(24 * HOUR).await;
    assert_eq!(bodies(&world).await.len(), 3);
    let body = schedule("at(2026-11-21T13:00:00)", json!({"Description": "d"}));
    world.root(request("PUT", "/schedules/once", "", body)).await;
    world.at(25 * HOUR).await;
    assert_eq!(bodies(&world).await.len(), 3);
    // Deleted, nothing of them is left.
    for name in ["s", "once"] {
        world.root(request("DELETE", &format!("/schedules/{name}"), "", Value::Null)).await;
    }
    assert_eq!(left(&world).await, 0);
}

#[tokio::test]
async fn a_flexible_window_spreads_within_its_minutes() {
    let world = World::new().await;
    let window = json!({"FlexibleTimeWindow": {"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 10}});
    for n in 0..20 {
        world.schedule(&format!("s{n}"), "at(2026-11-20T14:00:00)", window.clone()).await;
    }
    world.at(HOUR - 1).await;
    assert_eq!(bodies(&world).await.len(), 0);
    world.at(HOUR + 10 * MINUTE).await;
    assert_eq!(bodies(&world).await.len(), 20);
}

#[tokio::test]
async fn what_fails_is_tried_again_and_given_up_into_the_dead_letter_queue() {
    let world = World::new().await;
    let target = |more: Value| {
        let mut target = json!({"DeadLetterConfig": {"Arn": queue("letters")}});
        target.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap());
        json!({"Target": target, "ActionAfterCompletion": "DELETE"})
    };
    // It succeeds at the third attempt.
    *world.target.failing.lock().unwrap() = 2;
    let input = json!({"Input": "attempt <aws.scheduler.attempt-number>"});
    world.schedule("again", "at(2026-11-20T13:00:00)", target(input)).await;
    for second in 0..10 {
        world.at(second).await;
    }
    assert_eq!(bodies(&world).await, ["attempt 3"]);
    assert!(get(&world, "again").await.is_err(), "complete after its retries");

    // Two retries and no more.
    *world.target.failing.lock().unwrap() = 99;
    let policy = json!({"RetryPolicy": {"MaximumRetryAttempts": 2, "MaximumEventAgeInSeconds": 3600}});
    world.schedule("few", "at(2026-11-20T13:01:00)", target(policy)).await;
    for second in 60..80 {
        world.at(second).await;
    }
    let letter = world.arrived().await.pop().unwrap();
    assert_eq!((&letter["to"], &letter["body"]), (&json!("letters"), &json!("hello")));
    let attributes = &letter["attributes"];
    assert_eq!(attributes["RETRY_ATTEMPTS"], "2");
    assert_eq!(attributes["EXHAUSTED_RETRY_CONDITION"], "MaximumRetryAttempts");
    assert_eq!(attributes["ERROR_CODE"], "InternalServerException");
    assert_eq!(attributes["SCHEDULED_TIME"], "2026-11-20T13:01:00Z");
    assert_eq!(attributes["TARGET_ARN"], queue("q"));
    assert!(attributes["SCHEDULE_ARN"].as_str().unwrap().ends_with("schedule/default/few"));

    // Too old.
    let policy = json!({"RetryPolicy": {"MaximumRetryAttempts": 185, "MaximumEventAgeInSeconds": 60}});
    world.schedule("old", "at(2026-11-20T13:02:00)", target(policy)).await;
    for second in 120..200 {
        world.at(second).await;
    }
    let letter = world.arrived().await.pop().unwrap();
    assert_eq!(letter["attributes"]["EXHAUSTED_RETRY_CONDITION"], "MaximumEventAgeInSeconds");

    // What is final is not tried again.
    *world.target.failing.lock().unwrap() = 0;
    world.schedule("missing", "at(2026-11-20T13:04:00)", target(json!({"Arn": queue("missing")}))).await;
    world.at(240).await;
    let letter = world.arrived().await.pop().unwrap();
    assert_eq!(
        (&letter["attributes"]["ERROR_CODE"], &letter["attributes"]["RETRY_ATTEMPTS"]),
        (&json!("ResourceNotFoundException"), &json!("0"))
    );
    assert!(letter["attributes"].get("EXHAUSTED_RETRY_CONDITION").is_none());
    for name in ["again", "few", "old", "missing"] {
        assert!(get(&world, name).await.is_err(), "{name} is complete");
    }
    // What `millpond trace` shows is forgotten after a day.
    for (name, state, attempts) in [("again", "delivered", 3), ("few", "dead-letter", 3), ("missing", "dead-letter", 1)]
    {
        let lines = traced(&world, name).await;
        assert!(lines[1].contains(state) && lines.len() == 2 + attempts, "{name}: {lines:?}");
    }
    world.at(30 * HOUR).await;
    assert_eq!(traced(&world, "again").await, Vec::<String>::new());
    assert_eq!(left(&world).await, 0);
}

#[tokio::test]
async fn what_targets_get() {
    let world = World::new().await;
    let at = "at(2026-11-20T14:00:00)";
    let input = "{\"arn\":\"<aws.scheduler.schedule-arn>\",\"time\":\"<aws.scheduler.scheduled-time>\",\"id\":\"<aws.scheduler.execution-id>\"}";
    world.schedule("a", at, json!({"Target": {"Input": input}})).await;
    world
        .schedule("b", at, json!({"Target": {"Arn": queue("q.fifo"), "SqsParameters": {"MessageGroupId": "g"}}}))
        .await;
    let bus = format!("arn:aws:events:us-east-1:{OWNER}:event-bus/default");
    let event =
        json!({"Arn": bus, "Input": "{\"n\":1}", "EventBridgeParameters": {"DetailType": "T", "Source": "my.app"}});
    world.schedule("c", at, json!({"Target": event})).await;
    let large = "x".repeat(200_000);
    world.schedule("d", at, json!({"Target": {"Input": large}, "ActionAfterCompletion": "DELETE"})).await;
    assert_eq!(get(&world, "d").await.unwrap()["Target"]["Input"], large);
    let mut bare = schedule(at, json!({}));
    bare["Target"].as_object_mut().unwrap().remove("Input");
    world.root(request("POST", "/schedules/e", "", bare)).await;
    world.at(HOUR).await;
    let arrived = world.arrived().await;
    let of = |test: &dyn Fn(&Value) -> bool| arrived.iter().find(|one| test(one)).unwrap().clone();
    let parsed = |one: &Value| serde_json::from_str::<Value>(one["body"].as_str().unwrap()).unwrap();
    let a = parsed(&of(&|one| one["body"].as_str().unwrap().contains("\"arn\"")));
    assert_eq!(a["arn"], format!("arn:aws:scheduler:us-east-1:{OWNER}:schedule/default/a"));
    assert_eq!((&a["time"], a["id"].as_str().unwrap().len()), (&json!("2026-11-20T14:00:00Z"), 36));
    assert_eq!(of(&|one| one["to"] == "q.fifo")["group"], "g");
    let c = parsed(&of(&|one| one["to"] == "event-bus/default"));
    assert_eq!((&c["source"], &c["detail-type"], &c["detail"]), (&json!("my.app"), &json!("T"), &json!({"n": 1})));
    assert_eq!(of(&|one| one["body"] == "200000 bytes")["to"], "q");
    let e = parsed(&of(&|one| one["body"].as_str().unwrap().contains("aws.scheduler")));
    assert_eq!((&e["detail-type"], &e["detail"]), (&json!("Scheduled Event"), &json!("{}")));
}

#[tokio::test]
async fn a_group_goes_with_its_schedules() {
    let world = World::new().await;
    world.root(request("POST", "/schedule-groups/g", "", json!({}))).await;
    for n in 0..95 {
        let large = "x".repeat(if n == 7 { 100_000 } else { 10 });
        world
            .schedule(
                &format!("s{n}"),
                "rate(1 day)",
                json!({"GroupName": "g", "StartDate": START + HOUR, "Target": {"Input": large}}),
            )
            .await;
    }
    world.root(request("DELETE", "/schedule-groups/g", "", Value::Null)).await;
    let shown = world.root(request("GET", "/schedule-groups/g", "", Value::Null)).await;
    assert_eq!(shown["State"], "DELETING");
    let body = schedule("rate(1 hour)", json!({"GroupName": "g"}));
    let refused = world.call(caller(root(OWNER), None), request("POST", "/schedules/new", "", body)).await;
    assert_eq!(refused, Err("ConflictException".to_owned()));
    // Some of them with each timer.
    for second in 0..5 {
        world.at(second).await;
    }
    let gone = world.call(caller(root(OWNER), None), request("GET", "/schedule-groups/g", "", Value::Null)).await;
    assert_eq!(gone, Err("ResourceNotFoundException".to_owned()));
    assert_eq!(left(&world).await, 0);
    let default =
        world.call(caller(root(OWNER), None), request("DELETE", "/schedule-groups/default", "", Value::Null)).await;
    assert_eq!(default, Err("ValidationException".to_owned()));
}

#[tokio::test]
async fn a_request_that_comes_again_with_its_token_does_nothing() {
    let world = World::new().await;
    let create =
        |expression: &str| request("POST", "/schedules/s", "", schedule(expression, json!({"ClientToken": "t"})));
    let first = world.root(create("rate(1 hour)")).await;
    assert_eq!(world.root(create("rate(1 hour)")).await, first);
    let other = world.call(caller(root(OWNER), None), create("rate(2 hours)")).await;
    assert_eq!(other, Err("ConflictException".to_owned()));
    let delete = || request("DELETE", "/schedules/s", "clientToken=d", Value::Null);
    world.root(delete()).await;
    world.root(delete()).await;
    assert_eq!(
        world.call(caller(root(OWNER), None), request("DELETE", "/schedules/s", "", Value::Null)).await,
        Err("ResourceNotFoundException".to_owned())
    );
    world.at(9 * HOUR).await;
    assert_eq!(left(&world).await, 0, "tokens are forgotten");
}

#[tokio::test]
async fn what_is_refused() {
    let world = World::new().await;
    let day = 24 * HOUR;
    for (expression, more, code) in [
        ("rate(0 minutes)", json!({}), "ValidationException"),
        ("cron(* * * * * *)", json!({}), "ValidationException"),
        ("at(2026-02-30T00:00:00)", json!({}), "ValidationException"),
        ("rate(1 hour)", json!({"ScheduleExpressionTimezone": "Mars/Olympus"}), "ValidationException"),
        ("rate(1 hour)", json!({"StartDate": START - 600}), "ValidationException"),
        ("rate(1 hour)", json!({"EndDate": START - 1}), "ValidationException"),
        ("rate(1 hour)", json!({"StartDate": START + day, "EndDate": START + HOUR}), "ValidationException"),
        ("rate(1 hour)", json!({"FlexibleTimeWindow": {"Mode": "FLEXIBLE"}}), "ValidationException"),
        (
            "rate(1 hour)",
            json!({"FlexibleTimeWindow": {"Mode": "OFF", "MaximumWindowInMinutes": 5}}),
            "ValidationException",
        ),
        ("rate(1 hour)", json!({"GroupName": "none"}), "ResourceNotFoundException"),
        ("rate(1 hour)", json!({"KmsKeyArn": "arn:aws:kms:us-east-1:111122223333:key/x"}), "NotImplemented"),
        ("rate(1 hour)", json!({"Target": {"Arn": "arn:aws:scheduler:::aws-sdk:sqs:sendMessage"}}), "NotImplemented"),
        (
            "rate(1 hour)",
            json!({"Target": {"Arn": "arn:aws:lambda:us-east-1:111122223333:function:f"}}),
            "NotImplemented",
        ),
        ("rate(1 hour)", json!({"Target": {"Arn": "no ARN"}}), "ValidationException"),
        ("rate(1 hour)", json!({"Target": {"Arn": queue("q.fifo")}}), "ValidationException"),
        (
            "rate(1 hour)",
            json!({"Target": {"Arn": "arn:aws:events:us-east-1:111122223333:event-bus/default"}}),
            "ValidationException",
        ),
        (
            "rate(1 hour)",
            json!({"Target": {"EventBridgeParameters": {"DetailType": "t", "Source": "s"}}}),
            "ValidationException",
        ),
        ("rate(1 hour)", json!({"Target": {"KinesisParameters": {"PartitionKey": "k"}}}), "NotImplemented"),
        ("rate(1 hour)", json!({"Target": {"Input": "x".repeat(300_000)}}), "ValidationException"),
        ("rate(1 hour)", json!({"Target": {"RoleArn": role_arn("closed")}}), "ValidationException"),
    ] {
        let body = schedule(expression, more.clone());
        let refused = world.call(caller(root(OWNER), None), request("POST", "/schedules/s", "", body)).await;
        assert_eq!(refused, Err(code.to_owned()), "{expression} {more}");
    }
    assert_eq!(left(&world).await, 0);
}

/// A schedule's row, and its target as it was before inputs were sealed: whatever else is in them stays.
async fn with_plain_input(world: &World, name: &str, input: &str) {
    use millpond_meta::{Batch, Kv, Op};
    let (from, to) =
        (Bound::Included(bytes::Bytes::from_static(&[0x6D])), Bound::Excluded(bytes::Bytes::from_static(&[0x6E])));
    let rows = world.kv.scan(Scan { from, to, reverse: false, limit: 10 }).await.unwrap();
    let (key, row) = rows.iter().find(|(key, _)| key.windows(name.len()).any(|part| part == name.as_bytes())).unwrap();
    // A message that comes again is merged (protocol buffers), and an absent input is one that was never sealed.
    let text = [&[0x1A, input.len() as u8][..], input.as_bytes(), &[0x62, 0]].concat();
    let merged = [&row[..], &[0x62, text.len() as u8], &text].concat();
    world.kv.commit(Batch { ops: vec![Op::Put(key.clone(), merged.into())], ..Batch::default() }).await.unwrap();
}

#[tokio::test]
async fn inputs_are_sealed_and_plain_ones_are_read() {
    let world = World::new().await;
    let (short, long) = ("said by a customer".to_owned(), format!("said by a customer{}", "x".repeat(60_000)));
    world.schedule("short", "at(2026-11-20T14:00:00)", json!({"Target": {"Input": short}})).await;
    world.schedule("long", "at(2026-11-20T14:00:00)", json!({"Target": {"Input": long}})).await;
    let scan = Scan { from: Bound::Unbounded, to: Bound::Unbounded, reverse: false, limit: 10_000 };
    let rows = world.kv.scan(scan).await.unwrap();
    assert!(rows.iter().all(|(_, row)| !row.windows(short.len()).any(|part| part == short.as_bytes())));
    let world = world.reopened().await;
    for (name, input) in [("short", &short), ("long", &long)] {
        assert_eq!(get(&world, name).await.unwrap()["Target"]["Input"], **input, "{name}");
    }
    world.schedule("plain", "at(2026-11-20T14:00:00)", json!({"Target": {"Input": "now sealed"}})).await;
    with_plain_input(&world, "plain", "was plain").await;
    assert_eq!(get(&world, "plain").await.unwrap()["Target"]["Input"], "was plain");
    world.at(HOUR).await;
    let mut arrived = bodies(&world).await;
    arrived.sort();
    assert_eq!(arrived, ["60018 bytes", &short, "was plain"]);
}
