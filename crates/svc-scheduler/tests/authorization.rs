//! Every operation asks for permission, and gets it as AWS documents it (Service Authorization Reference, "EventBridge Scheduler").
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod world;

use millpond_kernel::{Caller, Principal};
use serde_json::{Value, json};
use world::{OWNER, REGION, Request, STRANGER, World, caller, request, role, role_arn, root, says, schedule, user};

/// Operation, method, path, query, body: `ARN` stands for the group's.
type Row = (&'static str, &'static str, &'static str, &'static str, fn() -> Value);

const ROWS: &[Row] = &[
    ("CreateSchedule", "POST", "/schedules/new", "", || schedule("rate(1 hour)", json!({}))),
    ("CreateScheduleGroup", "POST", "/schedule-groups/new", "", || json!({})),
    ("DeleteSchedule", "DELETE", "/schedules/s", "groupName=g", || json!({})),
    ("DeleteScheduleGroup", "DELETE", "/schedule-groups/g", "", || json!({})),
    ("GetSchedule", "GET", "/schedules/s", "groupName=g", || json!({})),
    ("GetScheduleGroup", "GET", "/schedule-groups/g", "", || json!({})),
    ("ListScheduleGroups", "GET", "/schedule-groups", "", || json!({})),
    ("ListSchedules", "GET", "/schedules", "", || json!({})),
    ("ListTagsForResource", "GET", "/tags/ARN", "", || json!({})),
    ("TagResource", "POST", "/tags/ARN", "", || json!({"Tags": [{"Key": "a", "Value": "b"}]})),
    ("UntagResource", "DELETE", "/tags/ARN", "TagKeys=a", || json!({})),
    ("UpdateSchedule", "PUT", "/schedules/s", "", || schedule("rate(1 hour)", json!({"GroupName": "g"}))),
];

async fn stage() -> World {
    let world = World::new().await;
    for (of, name) in [(OWNER, "alice"), (STRANGER, "bob")] {
        world.people.add(&user(of, name), &[], None);
    }
    world.root(request("POST", "/schedule-groups/g", "", json!({}))).await;
    world.schedule("s", "rate(1 hour)", json!({"GroupName": "g"})).await;
    world
}

fn asked(row: &Row) -> Request {
    let arn = format!("arn%3Aaws%3Ascheduler%3A{REGION}%3A{OWNER}%3Aschedule-group%2Fg");
    request(row.1, &row.2.replace("ARN", &arn), row.3, (row.4)())
}

async fn ask(world: &World, caller: Caller, row: &Row) -> Result<(), String> {
    world.call(caller, asked(row)).await.map(drop)
}

fn denied() -> Result<(), String> {
    Err("AccessDeniedException".to_owned())
}

/// What lets an operation be carried out, besides its own action: schedules pass a role.
fn with_role(action: &str) -> String {
    let actions = json!([action, "iam:PassRole"]);
    json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": actions, "Resource": "*"}}).to_string()
}

#[tokio::test]
async fn nobody_and_who_has_no_policy() {
    for row in ROWS {
        let world = stage().await;
        let anonymous = ask(&world, caller(Principal::Anonymous, None), row).await;
        assert_eq!(anonymous, Err("MissingAuthenticationTokenException".to_owned()), "{}", row.0);
        assert_eq!(ask(&world, caller(user(OWNER, "alice"), None), row).await, denied(), "{}", row.0);
        assert_eq!(ask(&world, caller(root(OWNER), None), row).await, Ok(()), "{} by root", row.0);
    }
}

#[tokio::test]
async fn policies_of_identities_count() {
    let alice = user(OWNER, "alice");
    for row in ROWS {
        let action = format!("scheduler:{}", row.0);
        let (yes, no) = (with_role(&action), says("Deny", &action));
        for (policies, boundary, expected) in [
            (vec![yes.clone()], None, Ok(())),
            (vec![with_role("scheduler:Other")], None, denied()),
            (vec![yes.clone(), no], None, denied()),
            (vec![yes.clone()], Some(says("Allow", "s3:*")), denied()),
            (vec![yes], Some(with_role("scheduler:*")), Ok(())),
        ] {
            let world = stage().await;
            world.people.add(&alice, &policies, boundary.clone());
            let asked = ask(&world, caller(alice.clone(), None), row).await;
            assert_eq!(asked, expected, "{} {policies:?} {boundary:?}", row.0);
        }
    }
}

/// There is no way to another account's schedules: names are those of one's own, and ARNs are refused without a resource's policy.
#[tokio::test]
async fn other_accounts_have_schedules_of_their_own() {
    let bob = user(STRANGER, "bob");
    for row in ROWS {
        let world = stage().await;
        world.people.add(&bob, &[with_role("scheduler:*")], None);
        let expected = match row.0 {
            "CreateScheduleGroup" | "ListScheduleGroups" | "ListSchedules" => Ok(()),
            // The role that it names is the owner's.
            "CreateSchedule" | "ListTagsForResource" | "TagResource" | "UntagResource" => denied(),
            _ => Err("ResourceNotFoundException".to_owned()),
        };
        assert_eq!(ask(&world, caller(bob.clone(), None), row).await, expected, "{}", row.0);
    }
}

#[tokio::test]
async fn sessions_are_within_their_policies() {
    let r = role(OWNER, "r");
    for row in ROWS {
        for (session, expected) in [(with_role("scheduler:*"), Ok(())), (says("Allow", "s3:*"), denied())] {
            let world = stage().await;
            world.people.add(&r, &[with_role("scheduler:*")], None);
            let asked = ask(&world, caller(r.clone(), Some(vec![session.clone()])), row).await;
            assert_eq!(asked, expected, "{} in a session that has {session}", row.0);
        }
    }
}

#[tokio::test]
async fn the_role_must_be_passed_and_let_the_service_in() {
    let alice = user(OWNER, "alice");
    let pass = |resource: &str, service: &str| {
        let condition = json!({"StringEquals": {"iam:PassedToService": service}});
        json!({"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Action": "scheduler:*", "Resource": "*"},
            {"Effect": "Allow", "Action": "iam:PassRole", "Resource": resource, "Condition": condition},
        ]})
        .to_string()
    };
    for (policy, role, expected) in [
        (says("Allow", "scheduler:*"), "r", denied()),
        (pass("*", "scheduler.amazonaws.com"), "r", Ok(())),
        (pass("*", "lambda.amazonaws.com"), "r", denied()),
        (pass(&role_arn("other"), "scheduler.amazonaws.com"), "r", denied()),
        (pass("*", "scheduler.amazonaws.com"), "closed", Err("ValidationException".to_owned())),
    ] {
        for (method, path) in [("POST", "/schedules/new"), ("PUT", "/schedules/s")] {
            let world = stage().await;
            world.people.add(&alice, std::slice::from_ref(&policy), None);
            let target = json!({"RoleArn": role_arn(role)});
            let body = schedule("rate(1 hour)", json!({"GroupName": "g", "Target": target}));
            let asked = world.call(caller(alice.clone(), None), request(method, path, "", body)).await.map(drop);
            assert_eq!(asked, expected, "{method} {policy} {role}");
        }
    }
}

#[tokio::test]
async fn policies_of_one_group_are_about_no_other() {
    let alice = user(OWNER, "alice");
    for (resource, path, query, expected) in [
        ("schedule/g/*", "/schedules/s", "groupName=g", Ok(())),
        ("schedule/g/s", "/schedules/s", "groupName=g", Ok(())),
        ("schedule/h/*", "/schedules/s", "groupName=g", denied()),
        ("schedule-group/g", "/schedule-groups/g", "", Ok(())),
        ("schedule-group/h", "/schedule-groups/g", "", denied()),
    ] {
        let world = stage().await;
        let arn = format!("arn:aws:scheduler:{REGION}:{OWNER}:{resource}");
        let policy = json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "scheduler:*", "Resource": arn}});
        world.people.add(&alice, &[policy.to_string()], None);
        let asked = world.call(caller(alice.clone(), None), request("GET", path, query, json!({}))).await.map(drop);
        assert_eq!(asked, expected, "{path} by {resource}");
    }
}

#[test]
fn every_served_operation_has_a_row() {
    for operation in millpond_api_scheduler::Operation::ALL {
        assert!(ROWS.iter().any(|row| row.0 == operation.name()), "{operation:?} has no row");
    }
}
