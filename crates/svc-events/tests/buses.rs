//! Buses as targets of rules: who may put one, and by whose right events come there.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod world;

use millpond_kernel::Principal;
use serde_json::{Value, json};
use world::{OWNER, STRANGER, World, bus_arn, caller, queue, root, says, user};

/// The role that sends.
const SENDER: &str = "arn:aws:iam::111122223333:role/sender";

fn to_queue(name: &str) -> Value {
    json!({"Id": name, "Arn": queue(name)})
}

/// A bus as a target; what does not get there comes to the queue `dead`.
fn to_bus(of: &str, name: &str, role: Option<&str>) -> Value {
    let mut target = json!({"Id": name, "Arn": bus_arn(of, name), "DeadLetterConfig": {"Arn": queue("dead")}});
    if let Some(role) = role {
        target["RoleArn"] = json!(role);
    }
    target
}

fn sender() -> Principal {
    let (path, name, id, session) = ("/".into(), "sender".into(), "AROASENDER".into(), "events".into());
    Principal::Role { account: world::account(OWNER), path, name, id, session }
}

/// What the policy of a bus says of EventBridge as the sender, for a rule.
fn service_policy(effect: &str, bus: &str, rule: &str) -> String {
    let source = json!({"ArnEquals": {"aws:SourceArn": rule}, "StringEquals": {"aws:SourceAccount": OWNER}});
    let principal = json!({"Service": "events.amazonaws.com"});
    json!({"Version": "2012-10-17", "Statement": [{"Sid": "s", "Effect": effect, "Principal": principal, "Action": "events:PutEvents", "Resource": bus_arn(OWNER, bus), "Condition": source}]})
        .to_string()
}

fn rule_arn(bus: &str, name: &str) -> String {
    format!("arn:aws:events:us-east-1:{OWNER}:rule/{bus}/{name}")
}

impl World {
    async fn buses(&self, names: &[&str]) {
        for name in names {
            self.root("CreateEventBus", json!({"Name": name})).await;
        }
    }

    async fn last_code(&self) -> Value {
        self.arrived("dead").await.pop().unwrap()["attributes"]["ERROR_CODE"].clone()
    }
}

#[tokio::test]
async fn an_event_is_forwarded_once() {
    let world = World::new().await;
    world.people.add(&sender(), &[says("Allow", json!("events:PutEvents"))], None);
    world.buses(&["one", "two", "three"]).await;
    let to = |name: &str| to_bus(OWNER, name, Some(SENDER));
    world.rule("one", "r", json!({"source": ["s"]}), to("two")).await;
    world.rule("two", "r", json!({"source": ["s"]}), to("three")).await;
    world.rule("two", "q", json!({"source": ["s"]}), to_queue("two")).await;
    world.rule("three", "q", json!({"source": ["s"]}), to_queue("three")).await;
    let id = world.put("one", "s", json!({})).await;
    let two = world.bodies("two").await;
    assert_eq!(two[0]["id"], id, "an event keeps its id");
    assert!(world.arrived("three").await.is_empty());
    assert_eq!(world.last_code().await, "THIRD_ACCOUNT_HOP_DETECTED");
    // A bus that sends to itself ends there.
    world.rule("three", "self", json!({"source": ["loop"]}), to("three")).await;
    world.put("three", "loop", json!({})).await;
    assert_eq!(world.arrived("dead").await.len(), 2);
}

/// Both the role and the policy of the other account's bus must let the events in.
#[tokio::test]
async fn another_account_takes_what_a_role_sends() {
    let world = World::new().await;
    world.buses(&["one"]).await;
    let refused = json!({"Rule": "f", "EventBusName": "one", "Targets": [to_bus(STRANGER, "default", None)]});
    world.root("PutRule", json!({"Name": "f", "EventBusName": "one", "EventPattern": "{\"source\":[\"f\"]}"})).await;
    let (code, why) = world.refused("PutTargets", refused).await;
    assert_eq!(code, "ValidationException");
    assert_eq!(why, format!("RoleArn is required for target {}.", bus_arn(STRANGER, "default")));
    world.rule("one", "f", json!({"source": ["f"]}), to_bus(STRANGER, "default", Some(SENDER))).await;
    world.put("one", "f", json!({})).await;
    assert_eq!(world.last_code().await, "FAILED_TO_ASSUME_ROLE");
    world.people.add(&sender(), &[says("Allow", json!("events:PutEvents"))], None);
    world.put("one", "f", json!({})).await;
    assert_eq!(world.last_code().await, "NO_PERMISSIONS");
    let stranger = || caller(root(STRANGER), None);
    let allow = json!({"Action": "events:PutEvents", "Principal": OWNER, "StatementId": "s"});
    world.call(stranger(), "PutPermission", allow).await.unwrap();
    let pattern = json!({"account": [OWNER]}).to_string();
    world.call(stranger(), "PutRule", json!({"Name": "r", "EventPattern": pattern})).await.unwrap();
    world.call(stranger(), "PutTargets", json!({"Rule": "r", "Targets": [to_queue("foreign")]})).await.unwrap();
    let id = world.put("one", "f", json!({})).await;
    assert_eq!(world.bodies("foreign").await[0]["id"], id);
    // Without its right the role sends nothing, whatever the policy says.
    world.people.add(&sender(), &[says("Allow", json!("events:PutRule"))], None);
    world.put("one", "f", json!({})).await;
    assert_eq!((world.last_code().await, world.arrived("foreign").await.len()), ("NO_PERMISSIONS".into(), 1));
}

/// Without a role EventBridge itself sends, and not the account: only what the bus's policy says counts.
#[tokio::test]
async fn without_a_role_the_bus_must_let_the_service_in() {
    let world = World::new().await;
    world.buses(&["one", "two"]).await;
    world.rule("one", "r", json!({"source": ["s"]}), to_bus(OWNER, "two", None)).await;
    world.rule("two", "q", json!({"source": ["s"]}), to_queue("two")).await;
    let own = json!({"Action": "events:PutEvents", "Principal": OWNER, "StatementId": "own", "EventBusName": "two"});
    let (ours, other) = (rule_arn("one", "r"), rule_arn("one", "other"));
    for (policy, arrives) in [
        (None, false),
        (Some(own), false),
        (Some(json!({"EventBusName": "two", "Policy": service_policy("Allow", "two", &other)})), false),
        (Some(json!({"EventBusName": "two", "Policy": service_policy("Allow", "two", &ours)})), true),
        (Some(json!({"EventBusName": "two", "Policy": service_policy("Deny", "two", &ours)})), false),
    ] {
        if let Some(policy) = &policy {
            world.root("PutPermission", policy.clone()).await;
        }
        let (came, dead) = (world.arrived("two").await.len(), world.arrived("dead").await.len());
        world.put("one", "s", json!({})).await;
        let found = (world.arrived("two").await.len() - came, world.arrived("dead").await.len() - dead);
        assert_eq!(found, if arrives { (1, 0) } else { (0, 1) }, "{policy:?}");
        assert!(arrives || world.last_code().await == "NO_PERMISSIONS");
    }
}

/// Whoever may not put events onto a bus does not get them there by a rule.
#[tokio::test]
async fn who_may_not_put_events_puts_no_bus_as_a_target() {
    let alice = user(OWNER, "alice");
    let denied = Err("AccessDeniedException".to_owned());
    for (actions, denies, role, expected) in [
        (json!("events:PutTargets"), None, None, denied.clone()),
        (json!(["events:PutTargets", "events:PutEvents"]), None, None, Ok(())),
        (json!(["events:PutTargets", "events:PutEvents"]), Some("events:PutEvents"), None, denied.clone()),
        (json!("events:*"), None, Some(SENDER), denied),
        (json!(["events:PutTargets", "iam:PassRole"]), None, Some(SENDER), Ok(())),
    ] {
        let world = World::new().await;
        world.buses(&["one", "two"]).await;
        let allow = service_policy("Allow", "two", &rule_arn("one", "r"));
        world.root("PutPermission", json!({"EventBusName": "two", "Policy": allow})).await;
        world
            .root("PutRule", json!({"Name": "r", "EventBusName": "one", "EventPattern": "{\"source\":[\"s\"]}"}))
            .await;
        let mut policies = vec![says("Allow", actions.clone())];
        policies.extend(denies.map(|action| says("Deny", json!(action))));
        world.people.add(&alice, &policies, None);
        let targets = json!({"Rule": "r", "EventBusName": "one", "Targets": [to_bus(OWNER, "two", role)]});
        let found = world.call(caller(alice.clone(), None), "PutTargets", targets).await.map(drop);
        assert_eq!(found, expected, "{actions} {denies:?} {role:?}");
    }
}

/// What a rule sends is no event of a service, whatever it calls itself: the default bus takes it by its policy.
#[tokio::test]
async fn forwarded_events_of_services_need_the_policy_too() {
    let world = World::new().await;
    world.buses(&["one"]).await;
    world.rule("default", "q", json!({"source": ["aws.s3"]}), to_queue("came")).await;
    world.rule("default", "r", json!({"source": ["aws.events"]}), to_bus(OWNER, "default", None)).await;
    world.root("PutRule", json!({"Name": "tick", "ScheduleExpression": "rate(1 minute)"})).await;
    world.root("PutTargets", json!({"Rule": "tick", "Targets": [to_bus(OWNER, "default", None)]})).await;
    world.clock.advance(std::time::Duration::from_secs(61));
    world.timers.run_due().await;
    assert_eq!(world.arrived("dead").await.len(), 1);
    assert_eq!(world.last_code().await, "NO_PERMISSIONS");
}
