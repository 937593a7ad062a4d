//! Every operation asks for permission, and gets it as AWS documents it (Service Authorization Reference, "Amazon EventBridge"; User Guide, "Permissions for
//! event buses").
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod world;

use millpond_kernel::{Caller, Principal};
use serde_json::{Value, json};
use world::{OWNER, STRANGER, World, bus_arn, caller, queue, says, user};

/// What an operation touches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum On {
    /// Something of the caller's own account, that has no policy.
    Own,
    /// A bus or its rules, about which the bus's policy has a say, from whatever account.
    Bus,
}

/// Operation, what it touches, its input: names in capitals stand for what was prepared.
type Row = (&'static str, On, fn() -> Value);

const ROWS: &[Row] = &[
    ("CancelReplay", On::Own, || json!({"ReplayName": "p"})),
    (
        "CreateApiDestination",
        On::Own,
        || json!({"Name": "n", "ConnectionArn": "CONNECTION", "InvocationEndpoint": "https://a.example/", "HttpMethod": "POST"}),
    ),
    ("CreateArchive", On::Own, || json!({"ArchiveName": "n", "EventSourceArn": "OWN_BUS"})),
    (
        "CreateConnection",
        On::Own,
        || json!({"Name": "n", "AuthorizationType": "BASIC", "AuthParameters": {"BasicAuthParameters": {"Username": "u", "Password": "p"}}}),
    ),
    ("CreateEventBus", On::Own, || json!({"Name": "n"})),
    ("DeauthorizeConnection", On::Own, || json!({"Name": "c"})),
    ("DeleteApiDestination", On::Own, || json!({"Name": "d"})),
    ("DeleteArchive", On::Own, || json!({"ArchiveName": "a"})),
    ("DeleteConnection", On::Own, || json!({"Name": "c"})),
    ("DeleteEventBus", On::Own, || json!({"Name": "empty"})),
    ("DeleteRule", On::Bus, || json!({"Name": "none", "EventBusName": "BUS"})),
    ("DescribeApiDestination", On::Own, || json!({"Name": "d"})),
    ("DescribeArchive", On::Own, || json!({"ArchiveName": "a"})),
    ("DescribeConnection", On::Own, || json!({"Name": "c"})),
    ("DescribeEventBus", On::Bus, || json!({"Name": "BUS"})),
    ("DescribeReplay", On::Own, || json!({"ReplayName": "p"})),
    ("DescribeRule", On::Bus, || json!({"Name": "r", "EventBusName": "BUS"})),
    ("DisableRule", On::Bus, || json!({"Name": "r", "EventBusName": "BUS"})),
    ("EnableRule", On::Bus, || json!({"Name": "r", "EventBusName": "BUS"})),
    ("ListApiDestinations", On::Own, || json!({})),
    ("ListArchives", On::Own, || json!({})),
    ("ListConnections", On::Own, || json!({})),
    ("ListEndpoints", On::Own, || json!({})),
    ("ListEventBuses", On::Own, || json!({})),
    ("ListEventSources", On::Own, || json!({})),
    ("ListPartnerEventSources", On::Own, || json!({"NamePrefix": "aws.partner/a/b"})),
    ("ListReplays", On::Own, || json!({})),
    ("ListRuleNamesByTarget", On::Bus, || json!({"TargetArn": "QUEUE", "EventBusName": "BUS"})),
    ("ListRules", On::Bus, || json!({"EventBusName": "BUS"})),
    ("ListTagsForResource", On::Bus, || json!({"ResourceARN": "BUS"})),
    ("ListTargetsByRule", On::Bus, || json!({"Rule": "r", "EventBusName": "BUS"})),
    (
        "PutEvents",
        On::Bus,
        || json!({"Entries": [{"Source": "s", "DetailType": "t", "Detail": "{}", "EventBusName": "BUS"}]}),
    ),
    (
        "PutPermission",
        On::Own,
        || json!({"EventBusName": "empty", "Action": "events:PutEvents", "Principal": "*", "StatementId": "s"}),
    ),
    ("PutRule", On::Bus, || json!({"Name": "n", "EventBusName": "BUS", "EventPattern": "{\"source\":[\"s\"]}"})),
    ("PutTargets", On::Bus, || json!({"Rule": "r", "EventBusName": "BUS", "Targets": [{"Id": "2", "Arn": "QUEUE"}]})),
    ("RemovePermission", On::Own, || json!({"EventBusName": "empty", "RemoveAllPermissions": true})),
    ("RemoveTargets", On::Bus, || json!({"Rule": "r", "EventBusName": "BUS", "Ids": ["1"]})),
    (
        "StartReplay",
        On::Own,
        || json!({"ReplayName": "n", "EventSourceArn": "ARCHIVE", "EventStartTime": 1, "EventEndTime": 2, "Destination": {"Arn": "OWN_BUS"}}),
    ),
    ("TagResource", On::Bus, || json!({"ResourceARN": "BUS", "Tags": [{"Key": "k", "Value": "v"}]})),
    (
        "TestEventPattern",
        On::Own,
        || json!({"EventPattern": "{\"source\":[\"s\"]}", "Event": "{\"id\":\"1\",\"account\":\"1\",\"source\":\"s\",\"time\":\"t\",\"region\":\"r\",\"resources\":[],\"detail-type\":\"t\"}"}),
    ),
    ("UntagResource", On::Bus, || json!({"ResourceARN": "BUS", "TagKeys": ["k"]})),
    ("UpdateApiDestination", On::Own, || json!({"Name": "d", "HttpMethod": "PUT"})),
    ("UpdateArchive", On::Own, || json!({"ArchiveName": "a", "RetentionDays": 2})),
    ("UpdateConnection", On::Own, || json!({"Name": "c", "Description": "d"})),
    ("UpdateEventBus", On::Bus, || json!({"Name": "b", "Description": "d"})),
];

struct Stage {
    world: World,
    names: Vec<(&'static str, String)>,
}

/// A world with everything that rows name, whose bus `b` has this policy.
async fn stage(policy: Option<Value>) -> Stage {
    let world = World::new().await;
    for (of, name) in [(OWNER, "alice"), (STRANGER, "bob")] {
        world.people.add(&user(of, name), &[], None);
    }
    for name in ["b", "empty"] {
        world.root("CreateEventBus", json!({"Name": name})).await;
    }
    world.rule("b", "r", json!({"source": ["s"]}), json!({"Id": "1", "Arn": queue("q")})).await;
    world.root("CreateArchive", json!({"ArchiveName": "a", "EventSourceArn": bus_arn(OWNER, "b")})).await;
    let archive = format!("arn:aws:events:us-east-1:{OWNER}:archive/a");
    let replay = json!({"ReplayName": "p", "EventSourceArn": archive, "EventStartTime": 1, "EventEndTime": 2, "Destination": {"Arn": bus_arn(OWNER, "b")}});
    world.root("StartReplay", replay).await;
    let basic = json!({"BasicAuthParameters": {"Username": "u", "Password": "p"}});
    let connection = json!({"Name": "c", "AuthorizationType": "BASIC", "AuthParameters": basic});
    let connection = world.root("CreateConnection", connection).await["ConnectionArn"].as_str().unwrap().to_owned();
    let destination = json!({"Name": "d", "ConnectionArn": connection, "InvocationEndpoint": "https://a.example/", "HttpMethod": "POST"});
    world.root("CreateApiDestination", destination).await;
    if let Some(policy) = policy {
        world.root("PutPermission", json!({"EventBusName": "b", "Policy": policy.to_string()})).await;
    }
    let names = vec![
        ("BUS", bus_arn(OWNER, "b")),
        ("OWN_BUS", bus_arn(OWNER, "b")),
        ("CONNECTION", connection),
        ("ARCHIVE", archive),
        ("QUEUE", queue("q")),
    ];
    Stage { world, names }
}

fn filled(value: &mut Value, names: &[(&'static str, String)]) {
    match value {
        Value::String(text) => {
            if let Some((_, real)) = names.iter().find(|(name, _)| *name == text) {
                text.clone_from(real);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| filled(item, names)),
        Value::Object(members) => members.values_mut().for_each(|member| filled(member, names)),
        _ => {}
    }
}

impl Stage {
    async fn ask(&self, caller: Caller, row: &Row) -> Result<(), String> {
        let mut body = (row.2)();
        filled(&mut body, &self.names);
        self.world.call(caller, row.0, body).await.map(drop)
    }
}

fn denied() -> Result<(), String> {
    Err("AccessDeniedException".to_owned())
}

fn bus_policy(effect: &str, principal: &str, action: &str) -> Value {
    let arn = bus_arn(OWNER, "b");
    let rules = arn.replace("event-bus/b", "rule/b/*");
    let principal = if principal == "*" { json!("*") } else { json!({"AWS": principal}) };
    json!({"Version": "2012-10-17", "Statement": [{"Sid": "s", "Effect": effect, "Principal": principal, "Action": action, "Resource": [arn, rules]}]})
}

#[tokio::test]
async fn nobody_and_who_has_no_policy() {
    let stage = stage(None).await;
    for row in ROWS {
        let anonymous = stage.ask(caller(Principal::Anonymous, None), row).await;
        assert_eq!(anonymous, Err("MissingAuthenticationTokenException".to_owned()), "{}", row.0);
        assert_eq!(stage.ask(caller(user(OWNER, "alice"), None), row).await, denied(), "{}", row.0);
    }
}

#[tokio::test]
async fn policies_of_identities_boundaries_and_sessions() {
    let alice = user(OWNER, "alice");
    for row in ROWS {
        let action = format!("events:{}", row.0);
        let (yes, no) = (says("Allow", json!(action)), says("Deny", json!(action)));
        let other = says("Allow", json!("events:Other"));
        for (policies, boundary, session, expected) in [
            (vec![yes.clone()], None, None, Ok(())),
            (vec![other.clone()], None, None, denied()),
            (vec![yes.clone(), no.clone()], None, None, denied()),
            (vec![yes.clone()], Some(other.clone()), None, denied()),
            (vec![yes.clone()], Some(yes.clone()), None, Ok(())),
            (vec![yes.clone()], None, Some(vec![other.clone()]), denied()),
            (vec![yes.clone()], None, Some(vec![yes.clone()]), Ok(())),
        ] {
            let stage = stage(None).await;
            stage.world.people.add(&alice, &policies, boundary.clone());
            let found = stage.ask(caller(alice.clone(), session.clone()), row).await;
            assert_eq!(found, expected, "{}: {policies:?} {boundary:?} {session:?}", row.0);
        }
    }
}

#[tokio::test]
async fn the_policy_of_a_bus_allows_and_denies() {
    let alice = user(OWNER, "alice");
    for row in ROWS.iter().filter(|row| row.1 == On::Bus) {
        let action = format!("events:{}", row.0);
        let arn = alice.condition_arn();
        let stage = self::stage(Some(bus_policy("Allow", &arn, &action))).await;
        assert_eq!(stage.ask(caller(alice.clone(), None), row).await, Ok(()), "{} by the bus", row.0);
        let stage = self::stage(Some(bus_policy("Allow", "*", "events:Other"))).await;
        assert_eq!(stage.ask(caller(alice.clone(), None), row).await, denied(), "{} by another", row.0);
        let stage = self::stage(Some(bus_policy("Deny", "*", &action))).await;
        stage.world.people.add(&alice, &[says("Allow", json!("events:*"))], None);
        assert_eq!(stage.ask(caller(alice.clone(), None), row).await, denied(), "{} denied by the bus", row.0);
    }
}

#[tokio::test]
async fn other_accounts_need_both_sides() {
    let bob = user(STRANGER, "bob");
    for row in ROWS.iter().filter(|row| row.1 == On::Bus && !["UpdateEventBus"].contains(&row.0)) {
        let action = format!("events:{}", row.0);
        let both = bus_policy("Allow", STRANGER, &action);
        for (policy, own, expected) in [
            (Some(both.clone()), Some("events:*"), Ok(())),
            (Some(both.clone()), None, denied()),
            (None, Some("events:*"), denied()),
        ] {
            let stage = stage(policy).await;
            let policies: Vec<_> = own.iter().map(|actions| says("Allow", json!(actions))).collect();
            stage.world.people.add(&bob, &policies, None);
            assert_eq!(stage.ask(caller(bob.clone(), None), row).await, expected, "{} {own:?}", row.0);
        }
    }
}

/// Other accounts' things are not even named by those operations that work in the caller's own.
#[tokio::test]
async fn other_accounts_do_not_reach_what_has_no_policy() {
    let bob = user(STRANGER, "bob");
    let stage = stage(None).await;
    stage.world.people.add(&bob, &[says("Allow", json!("events:*"))], None);
    for row in ROWS.iter().filter(|row| row.1 == On::Own && row.0.starts_with("Describe")) {
        let found = stage.ask(caller(bob.clone(), None), row).await;
        assert_eq!(found, Err("ResourceNotFoundException".to_owned()), "{}", row.0);
    }
}

#[tokio::test]
async fn roles_are_passed_only_by_who_may() {
    let alice = user(OWNER, "alice");
    let role = format!("arn:aws:iam::{OWNER}:role/r");
    let put = json!({"Name": "n", "EventPattern": "{\"source\":[\"s\"]}", "RoleArn": role});
    let targets =
        json!({"Rule": "r", "EventBusName": "b", "Targets": [{"Id": "2", "Arn": queue("q"), "RoleArn": role}]});
    for (actions, expected) in
        [(json!("events:*"), Err("AccessDeniedException".to_owned())), (json!(["events:*", "iam:PassRole"]), Ok(()))]
    {
        let stage = stage(None).await;
        stage.world.people.add(&alice, &[says("Allow", actions)], None);
        for (operation, body) in [("PutRule", &put), ("PutTargets", &targets)] {
            let found = stage.world.call(caller(alice.clone(), None), operation, body.clone()).await.map(drop);
            assert_eq!(found, expected, "{operation}");
        }
    }
}
