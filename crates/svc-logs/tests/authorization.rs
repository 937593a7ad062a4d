//! Every operation asks for permission, and gets it as AWS documents it (Service Authorization Reference, "CloudWatch Logs").
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod world;

use millpond_kernel::{Caller, Principal};
use serde_json::{Value, json};
use world::{OWNER, REGION, STRANGER, World, arn, caller, role, root, says, user};

/// What an operation touches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum On {
    /// Nothing of its own: the identity's policies alone decide.
    Account,
    /// All groups of the caller's account.
    Groups,
    /// A group or a stream of it, about which the account's resource policies have a say.
    Group,
}

/// Operation, what it touches, its input: `ARN` stands for the group's.
type Row = (&'static str, On, fn() -> Value);

const ROWS: &[Row] = &[
    ("CreateLogGroup", On::Group, || json!({"logGroupName": "new"})),
    ("CreateLogStream", On::Group, || json!({"logGroupName": "g", "logStreamName": "new"})),
    ("DeleteLogGroup", On::Group, || json!({"logGroupName": "g"})),
    ("DeleteLogStream", On::Group, || json!({"logGroupName": "g", "logStreamName": "s"})),
    ("DeleteResourcePolicy", On::Account, || json!({"policyName": "other"})),
    ("DeleteRetentionPolicy", On::Group, || json!({"logGroupName": "g"})),
    ("DescribeLogGroups", On::Groups, || json!({})),
    ("DescribeLogStreams", On::Group, || json!({"logGroupName": "g"})),
    ("DescribeMetricFilters", On::Group, || json!({"logGroupName": "g"})),
    ("DescribeResourcePolicies", On::Account, || json!({})),
    ("DescribeSubscriptionFilters", On::Group, || json!({"logGroupName": "g"})),
    ("FilterLogEvents", On::Group, || json!({"logGroupName": "g"})),
    ("GetLogEvents", On::Group, || json!({"logGroupName": "g", "logStreamName": "s"})),
    ("GetLogRecord", On::Group, || json!({"logRecordPointer": "EVENT"})),
    ("ListLogGroups", On::Groups, || json!({})),
    ("ListTagsForResource", On::Group, || json!({"resourceArn": "ARN"})),
    ("ListTagsLogGroup", On::Group, || json!({"logGroupName": "g"})),
    (
        "PutLogEvents",
        On::Group,
        || json!({"logGroupName": "g", "logStreamName": "s", "logEvents": [{"timestamp": 1_800_000_000_000_u64, "message": "m"}]}),
    ),
    ("PutResourcePolicy", On::Account, || json!({"policyName": "p", "policyDocument": "DOCUMENT"})),
    ("PutRetentionPolicy", On::Group, || json!({"logGroupName": "g", "retentionInDays": 7})),
    ("TagLogGroup", On::Group, || json!({"logGroupName": "g", "tags": {"a": "b"}})),
    ("TagResource", On::Group, || json!({"resourceArn": "ARN", "tags": {"a": "b"}})),
    ("UntagLogGroup", On::Group, || json!({"logGroupName": "g", "tags": ["a"]})),
    ("UntagResource", On::Group, || json!({"resourceArn": "ARN", "tagKeys": ["a"]})),
];

fn document(effect: &str, who: &Value, action: &str) -> String {
    json!({"Version": "2012-10-17", "Statement": [{"Effect": effect, "Principal": who, "Action": action, "Resource": "*"}]})
        .to_string()
}

/// A world with a group `g`, its stream `s` with an event, and resource policies.
struct Stage {
    world: World,
    event: String,
}

async fn stage(policy: Option<String>) -> Stage {
    let world = World::new().await;
    for (of, name) in [(OWNER, "alice"), (STRANGER, "bob")] {
        world.people.add(&user(of, name), &[], None);
    }
    world.root("CreateLogGroup", json!({"logGroupName": "g"})).await;
    world.root("CreateLogStream", json!({"logGroupName": "g", "logStreamName": "s"})).await;
    let events = json!([{"timestamp": 1_800_000_000_000_u64, "message": "m"}]);
    world.root("PutLogEvents", json!({"logGroupName": "g", "logStreamName": "s", "logEvents": events})).await;
    let found = world.root("FilterLogEvents", json!({"logGroupName": "g"})).await;
    let event = found["events"][0]["eventId"].as_str().unwrap().to_owned();
    let other = document("Allow", &json!({"Service": "events.amazonaws.com"}), "logs:PutLogEvents");
    world.root("PutResourcePolicy", json!({"policyName": "other", "policyDocument": other})).await;
    if let Some(policy) = policy {
        world.root("PutResourcePolicy", json!({"policyName": "mine", "policyDocument": policy})).await;
    }
    Stage { world, event }
}

impl Stage {
    async fn ask(&self, caller: Caller, row: &Row) -> Result<(), String> {
        let arn = format!("arn:aws:logs:{REGION}:{OWNER}:log-group:g");
        let policy = document("Allow", &json!({"Service": "events.amazonaws.com"}), "logs:*");
        let mut text = (row.2)().to_string();
        for (name, real) in [("\"ARN\"", json!(arn)), ("\"EVENT\"", json!(self.event)), ("\"DOCUMENT\"", json!(policy))]
        {
            text = text.replace(name, &real.to_string());
        }
        self.world.call(caller, row.0, serde_json::from_str(&text).unwrap()).await.map(drop)
    }
}

fn denied() -> Result<(), String> {
    Err("AccessDeniedException".to_owned())
}

#[tokio::test]
async fn nobody_and_who_has_no_policy() {
    for row in ROWS {
        let stage = stage(Some(document("Allow", &json!("*"), "logs:Other"))).await;
        let anonymous = stage.ask(caller(Principal::Anonymous, None), row).await;
        assert_eq!(anonymous, Err("MissingAuthenticationTokenException".to_owned()), "{}", row.0);
        assert_eq!(stage.ask(caller(user(OWNER, "alice"), None), row).await, denied(), "{}", row.0);
    }
}

#[tokio::test]
async fn policies_of_identities_count() {
    let alice = user(OWNER, "alice");
    for row in ROWS {
        let action = format!("logs:{}", row.0);
        let (yes, no) = (says("Allow", &action), says("Deny", &action));
        for (policies, boundary, expected) in [
            (vec![yes.clone()], None, Ok(())),
            (vec![says("Allow", "logs:Other")], None, denied()),
            (vec![yes.clone(), no], None, denied()),
            (vec![yes.clone()], Some(says("Allow", "s3:*")), denied()),
            (vec![yes], Some(says("Allow", "logs:*")), Ok(())),
        ] {
            let stage = stage(None).await;
            stage.world.people.add(&alice, &policies, boundary.clone());
            let asked = stage.ask(caller(alice.clone(), None), row).await;
            assert_eq!(asked, expected, "{} {policies:?} {boundary:?}", row.0);
        }
    }
}

#[tokio::test]
async fn resource_policies_allow_by_themselves_and_deny() {
    let alice = user(OWNER, "alice");
    let who = json!({"AWS": arn(&alice)});
    for row in ROWS {
        let world = World::new().await;
        world.people.add(&alice, &[], None);
        drop(world);
        for (effect, own, on_groups, on_account) in
            [("Allow", None, Ok(()), denied()), ("Deny", Some(says("Allow", "logs:*")), denied(), Ok(()))]
        {
            let stage = stage(Some(document(effect, &who, "logs:*"))).await;
            stage.world.people.add(&alice, &own.into_iter().collect::<Vec<_>>(), None);
            let expected = if row.1 == On::Account { on_account } else { on_groups };
            assert_eq!(stage.ask(caller(alice.clone(), None), row).await, expected, "{} {effect}", row.0);
        }
    }
}

/// Whose account it is not works on groups of its own, of which there are none of those names.
#[tokio::test]
async fn other_accounts_have_groups_of_their_own() {
    let bob = user(STRANGER, "bob");
    for row in ROWS {
        let stage = stage(Some(document("Allow", &json!("*"), "logs:*"))).await;
        stage.world.people.add(&bob, &[says("Allow", "logs:*")], None);
        let expected = match row.0 {
            "CreateLogGroup" | "DescribeResourcePolicies" | "PutResourcePolicy" => Ok(()),
            "GetLogRecord" => Err("InvalidParameterException".to_owned()),
            _ if row.1 == On::Groups => Ok(()),
            _ => Err("ResourceNotFoundException".to_owned()),
        };
        assert_eq!(stage.ask(caller(bob.clone(), None), row).await, expected, "{}", row.0);
    }
}

#[tokio::test]
async fn sessions_are_within_their_policies() {
    let r = role(OWNER, "r");
    for row in ROWS {
        for (session, expected) in [("logs:*", Ok(())), ("s3:*", denied())] {
            let stage = stage(None).await;
            stage.world.people.add(&r, &[says("Allow", "logs:*")], None);
            let caller = caller(r.clone(), Some(vec![says("Allow", session)]));
            assert_eq!(stage.ask(caller, row).await, expected, "{} in a session that may {session}", row.0);
        }
    }
}

/// Resources as AWS's own messages name them: of groups and streams, and for tags without what stands behind the group.
#[tokio::test]
async fn policies_of_one_group_are_about_no_other() {
    let alice = user(OWNER, "alice");
    let on = |resource: &str| {
        let arn = format!("arn:aws:logs:{REGION}:{OWNER}:log-group:{resource}");
        json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "logs:*", "Resource": arn}})
            .to_string()
    };
    for (resource, operation, body, expected) in [
        ("g:*", "FilterLogEvents", json!({"logGroupName": "g"}), Ok(())),
        ("h:*", "FilterLogEvents", json!({"logGroupName": "g"}), denied()),
        ("g:log-stream:s", "GetLogEvents", json!({"logGroupName": "g", "logStreamName": "s"}), Ok(())),
        ("g:log-stream:t", "GetLogEvents", json!({"logGroupName": "g", "logStreamName": "s"}), denied()),
        (
            "g",
            "ListTagsForResource",
            json!({"resourceArn": format!("arn:aws:logs:{REGION}:{OWNER}:log-group:g")}),
            Ok(()),
        ),
        ("*", "DescribeLogGroups", json!({}), Ok(())),
        ("g:*", "DescribeLogGroups", json!({}), denied()),
    ] {
        let stage = stage(None).await;
        stage.world.people.add(&alice, &[on(resource)], None);
        let asked = stage.world.call(caller(alice.clone(), None), operation, body).await.map(drop);
        assert_eq!(asked, expected, "{operation} by {resource}");
    }
}

#[tokio::test]
async fn who_tags_while_creating_needs_both_rights() {
    let alice = user(OWNER, "alice");
    for (actions, expected) in
        [(json!(["logs:CreateLogGroup"]), denied()), (json!(["logs:CreateLogGroup", "logs:TagResource"]), Ok(()))]
    {
        let stage = stage(None).await;
        let policy =
            json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": actions, "Resource": "*"}});
        stage.world.people.add(&alice, &[policy.to_string()], None);
        let body = json!({"logGroupName": "new", "tags": {"a": "b"}});
        let asked = stage.world.call(caller(alice.clone(), None), "CreateLogGroup", body).await.map(drop);
        assert_eq!(asked, expected, "{actions}");
    }
}

#[test]
fn every_served_operation_has_a_row() {
    for operation in millpond_api_logs::Operation::ALL {
        assert!(ROWS.iter().any(|row| row.0 == operation.name()), "{operation:?} has no row");
    }
    let _ = root(OWNER);
}
