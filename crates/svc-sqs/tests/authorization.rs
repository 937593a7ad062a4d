//! Every operation asks for permission, and gets it as AWS documents it (Service Authorization Reference, "Actions defined by Amazon SQS"; Developer
//! Guide, "Amazon SQS API permissions: Actions and resource reference").
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod world;

use millpond_kernel::{Caller, Principal};
use serde_json::{Value, json};
use world::{OWNER, STRANGER, World, arn, caller, policy, queue_arn, role, root, says, statement, text, user};

/// What an operation touches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum On {
    /// The caller's own account.
    Account,
    /// A queue, whose policy may let other accounts in.
    Queue,
    /// A queue of the caller's own account.
    OwnQueue,
}

/// Operation, the actions that it needs, what it touches, its input: names in capitals stand for what was prepared.
type Row = (&'static str, &'static [&'static str], On, fn() -> Value);

const ROWS: &[Row] = &[
    (
        "AddPermission",
        &["sqs:AddPermission"],
        On::OwnQueue,
        || json!({"QueueUrl": "URL", "Label": "l", "AWSAccountIds": ["111122223333"], "Actions": ["SendMessage"]}),
    ),
    ("CancelMessageMoveTask", &["sqs:CancelMessageMoveTask"], On::OwnQueue, || json!({"TaskHandle": "TASK"})),
    (
        "ChangeMessageVisibility",
        &["sqs:ChangeMessageVisibility"],
        On::Queue,
        || json!({"QueueUrl": "URL", "ReceiptHandle": "HANDLE", "VisibilityTimeout": 5}),
    ),
    (
        "ChangeMessageVisibilityBatch",
        &["sqs:ChangeMessageVisibility"],
        On::Queue,
        || json!({"QueueUrl": "URL", "Entries": [{"Id": "a", "ReceiptHandle": "x", "VisibilityTimeout": 5}]}),
    ),
    ("CreateQueue", &["sqs:CreateQueue"], On::Account, || json!({"QueueName": "new"})),
    ("DeleteMessage", &["sqs:DeleteMessage"], On::Queue, || json!({"QueueUrl": "URL", "ReceiptHandle": "HANDLE"})),
    (
        "DeleteMessageBatch",
        &["sqs:DeleteMessage"],
        On::Queue,
        || json!({"QueueUrl": "URL", "Entries": [{"Id": "a", "ReceiptHandle": "x"}]}),
    ),
    ("DeleteQueue", &["sqs:DeleteQueue"], On::OwnQueue, || json!({"QueueUrl": "URL"})),
    (
        "GetQueueAttributes",
        &["sqs:GetQueueAttributes"],
        On::Queue,
        || json!({"QueueUrl": "URL", "AttributeNames": ["All"]}),
    ),
    (
        "GetQueueUrl",
        &["sqs:GetQueueUrl"],
        On::Queue,
        || json!({"QueueName": "q", "QueueOwnerAWSAccountId": "111122223333"}),
    ),
    ("ListDeadLetterSourceQueues", &["sqs:ListDeadLetterSourceQueues"], On::Queue, || json!({"QueueUrl": "URL"})),
    ("ListMessageMoveTasks", &["sqs:ListMessageMoveTasks"], On::OwnQueue, || json!({"SourceArn": "ARN"})),
    ("ListQueueTags", &["sqs:ListQueueTags"], On::OwnQueue, || json!({"QueueUrl": "URL"})),
    ("ListQueues", &["sqs:ListQueues"], On::Account, || json!({})),
    ("PurgeQueue", &["sqs:PurgeQueue"], On::Queue, || json!({"QueueUrl": "URL"})),
    ("ReceiveMessage", &["sqs:ReceiveMessage"], On::Queue, || json!({"QueueUrl": "URL"})),
    ("RemovePermission", &["sqs:RemovePermission"], On::OwnQueue, || json!({"QueueUrl": "URL", "Label": "kept"})),
    ("SendMessage", &["sqs:SendMessage"], On::Queue, || json!({"QueueUrl": "URL", "MessageBody": "x"})),
    (
        "SendMessageBatch",
        &["sqs:SendMessage"],
        On::Queue,
        || json!({"QueueUrl": "URL", "Entries": [{"Id": "a", "MessageBody": "x"}]}),
    ),
    (
        "SetQueueAttributes",
        &["sqs:SetQueueAttributes"],
        On::OwnQueue,
        || json!({"QueueUrl": "URL", "Attributes": {"DelaySeconds": "1"}}),
    ),
    (
        "StartMessageMoveTask",
        &[
            "sqs:StartMessageMoveTask",
            "sqs:ReceiveMessage",
            "sqs:DeleteMessage",
            "sqs:GetQueueAttributes",
            "sqs:SendMessage",
        ],
        On::OwnQueue,
        || json!({"SourceArn": "ARN"}),
    ),
    ("TagQueue", &["sqs:TagQueue"], On::OwnQueue, || json!({"QueueUrl": "URL", "Tags": {"a": "b"}})),
    ("UntagQueue", &["sqs:UntagQueue"], On::OwnQueue, || json!({"QueueUrl": "URL", "TagKeys": ["a"]})),
];

/// A world with everything that rows name: `q` is the dead-letter queue of `source`.
struct Stage {
    world: World,
    names: Vec<(&'static str, String)>,
}

/// A statement that says nothing of anybody here, which RemovePermission removes.
fn kept() -> Value {
    let mut kept = statement("Allow", json!({"AWS": OWNER}), json!("sqs:Nothing"));
    kept["Sid"] = "kept".into();
    kept
}

async fn stage(row: &Row, statements: &[Value]) -> Stage {
    let world = World::new().await;
    for (of, name) in [(OWNER, "alice"), (STRANGER, "bob")] {
        world.people.add(&user(of, name), &[], None);
    }
    let url = world.queue("q", json!({})).await;
    let redrive = json!({"deadLetterTargetArn": queue_arn("q"), "maxReceiveCount": 1}).to_string();
    let source = world.queue("source", json!({"RedrivePolicy": redrive})).await;
    world.root("SendMessage", json!({"QueueUrl": url, "MessageBody": "x"})).await;
    let handle = text(&world.receive(&url, 1, 600).await[0]["ReceiptHandle"]);
    let mut task = String::new();
    if row.0 == "CancelMessageMoveTask" {
        for _ in 0..12 {
            world.root("SendMessage", json!({"QueueUrl": url, "MessageBody": "x"})).await;
        }
        let body = json!({"SourceArn": queue_arn("q"), "DestinationArn": queue_arn("source"), "MaxNumberOfMessagesPerSecond": 1});
        task = text(&world.root("StartMessageMoveTask", body).await["TaskHandle"]);
    }
    let all: Vec<Value> = statements.iter().cloned().chain([kept()]).collect();
    for url in [&url, &source] {
        let body = json!({"QueueUrl": url, "Attributes": {"Policy": policy(&all)}});
        world.root("SetQueueAttributes", body).await;
    }
    let names = vec![("URL", url), ("HANDLE", handle), ("TASK", task), ("ARN", queue_arn("q"))];
    Stage { world, names }
}

impl Stage {
    async fn ask(&self, caller: Caller, row: &Row) -> Result<(), String> {
        let mut body = (row.3)();
        for value in body.as_object_mut().unwrap().values_mut() {
            let found = value.as_str().and_then(|text| self.names.iter().find(|(name, _)| *name == text));
            if let Some((_, real)) = found {
                *value = real.clone().into();
            }
        }
        self.world.call(caller, row.0, body).await.map(drop)
    }
}

fn denied() -> Result<(), String> {
    Err("AccessDeniedException".to_owned())
}

#[tokio::test]
async fn nobody_and_who_has_no_policy() {
    for row in ROWS {
        let anonymous = || caller(Principal::Anonymous, None);
        let closed = stage(row, &[]).await;
        assert_eq!(closed.ask(anonymous(), row).await, denied(), "{}", row.0);
        assert_eq!(closed.ask(caller(user(OWNER, "alice"), None), row).await, denied(), "{}", row.0);
        let open = stage(row, &[statement("Allow", json!("*"), json!("sqs:*"))]).await;
        let expected = if row.2 == On::Queue { Ok(()) } else { denied() };
        assert_eq!(open.ask(anonymous(), row).await, expected, "{} for everybody", row.0);
    }
}

#[tokio::test]
async fn policies_of_identities_allow_and_deny() {
    let alice = user(OWNER, "alice");
    for row in ROWS {
        let with = |policies: Vec<String>, boundary: Option<String>| {
            let alice = &alice;
            async move {
                let stage = stage(row, &[]).await;
                stage.world.people.add(alice, &policies, boundary);
                stage.ask(caller(alice.clone(), None), row).await
            }
        };
        let yes: Vec<String> = row.1.iter().map(|action| says("Allow", action)).collect();
        let and = |more: String| yes.iter().cloned().chain([more]).collect::<Vec<_>>();
        assert_eq!(with(yes.clone(), None).await, Ok(()), "{} allowed", row.0);
        assert_eq!(with(vec![says("Allow", "sqs:Other")], None).await, denied(), "{} by another", row.0);
        for action in row.1 {
            let less = row.1.iter().filter(|other| *other != action).map(|action| says("Allow", action)).collect();
            assert_eq!(with(less, None).await, denied(), "{} without {action}", row.0);
            assert_eq!(with(and(says("Deny", action)), None).await, denied(), "{} denied {action}", row.0);
        }
        assert_eq!(with(yes.clone(), Some(says("Allow", "s3:*"))).await, denied(), "{} out of bounds", row.0);
        assert_eq!(with(yes.clone(), Some(says("Allow", "sqs:*"))).await, Ok(()), "{} in bounds", row.0);
    }
}

#[tokio::test]
async fn the_policy_of_a_queue_allows_by_itself_and_denies() {
    let alice = user(OWNER, "alice");
    let principal = json!({"AWS": arn(&alice)});
    for row in ROWS {
        let open = stage(row, &[statement("Allow", principal.clone(), json!("sqs:*"))]).await;
        let expected = if row.2 == On::Account { denied() } else { Ok(()) };
        assert_eq!(open.ask(caller(alice.clone(), None), row).await, expected, "{} by the queue's policy", row.0);
        let closed = stage(row, &[statement("Deny", principal.clone(), json!("sqs:*"))]).await;
        closed.world.people.add(&alice, &[says("Allow", "sqs:*")], None);
        let expected = if row.2 == On::Account { Ok(()) } else { denied() };
        assert_eq!(closed.ask(caller(alice.clone(), None), row).await, expected, "{} denied by the queue's", row.0);
    }
}

#[tokio::test]
async fn other_accounts_need_both_sides_and_may_not_manage() {
    let bob = user(STRANGER, "bob");
    for row in ROWS {
        let ask = |principal: Option<Value>, own: Option<&'static str>| {
            let bob = &bob;
            async move {
                let statements: Vec<_> =
                    principal.map(|who| statement("Allow", who, json!("sqs:*"))).into_iter().collect();
                let stage = stage(row, &statements).await;
                let policies: Vec<_> = own.map(|action| says("Allow", action)).into_iter().collect();
                stage.world.people.add(bob, &policies, None);
                stage.ask(caller(bob.clone(), None), row).await
            }
        };
        let account = || Some(json!({"AWS": STRANGER}));
        let (mine, both) = match row.2 {
            // The account is the caller's own.
            On::Account => (Ok(()), Ok(())),
            On::Queue => (denied(), Ok(())),
            On::OwnQueue => (denied(), denied()),
        };
        assert_eq!(ask(None, Some("sqs:*")).await, mine, "{} with its own side alone", row.0);
        assert_eq!(ask(account(), Some("sqs:*")).await, both, "{} with both", row.0);
        assert_eq!(ask(account(), None).await, denied(), "{} with the queue's side alone", row.0);
        let named = Some(json!({"AWS": arn(&bob)}));
        assert_eq!(ask(named, None).await, denied(), "{} named by the queue alone", row.0);
    }
}

#[tokio::test]
async fn sessions_are_within_their_policies() {
    let r = role(OWNER, "r");
    for row in ROWS {
        for (session, expected) in [("sqs:*", Ok(())), ("s3:*", denied())] {
            let stage = stage(row, &[]).await;
            stage.world.people.add(&r, &[says("Allow", "sqs:*")], None);
            let caller = caller(r.clone(), Some(vec![says("Allow", session)]));
            assert_eq!(stage.ask(caller, row).await, expected, "{} in a session that may {session}", row.0);
        }
    }
}

/// A stranger learns nothing from asking for names.
#[tokio::test]
async fn whether_a_queue_exists_is_told_to_those_who_may_use_it() {
    let world = World::new().await;
    world.queue("q", json!({})).await;
    let alice = user(OWNER, "alice");
    world.people.add(&alice, &[], None);
    for who in [root(STRANGER), alice.clone()] {
        for name in ["q", "nothing"] {
            let body = json!({"QueueUrl": format!("http://h/{OWNER}/{name}"), "MessageBody": "x"});
            let answer = world.call(caller(who.clone(), None), "SendMessage", body).await.map(drop);
            assert_eq!(answer, denied(), "{who} {name}");
        }
    }
    world.people.add(&alice, &[says("Allow", "sqs:*")], None);
    let body = json!({"QueueUrl": format!("http://h/{OWNER}/nothing"), "MessageBody": "x"});
    let answer = world.call(caller(alice, None), "SendMessage", body).await;
    assert_eq!(answer, Err("QueueDoesNotExist".to_owned()));
}

/// Tags of the queue and of the request are what conditions ask about.
#[tokio::test]
async fn conditions_see_tags() {
    let world = World::new().await;
    let url = world.queue("q", json!({})).await;
    let alice = user(OWNER, "alice");
    let when = |key: &str| {
        let condition = json!({"StringEquals": {key: "b"}});
        json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "sqs:*", "Resource": "*", "Condition": condition}})
            .to_string()
    };
    let tag = json!({"QueueUrl": url, "Tags": {"a": "b"}});
    for (key, operation, body, expected) in [
        ("aws:ResourceTag/a", "GetQueueAttributes", json!({"QueueUrl": url}), denied()),
        ("aws:RequestTag/a", "TagQueue", json!({"QueueUrl": url, "Tags": {"a": "c"}}), denied()),
        ("aws:RequestTag/a", "TagQueue", tag, Ok(())),
        ("aws:ResourceTag/a", "GetQueueAttributes", json!({"QueueUrl": url}), Ok(())),
    ] {
        world.people.add(&alice, &[when(key)], None);
        let answer = world.call(caller(alice.clone(), None), operation, body).await.map(drop);
        assert_eq!(answer, expected, "{key} {operation}");
    }
}

#[test]
fn every_served_operation_has_a_row() {
    for operation in millpond_api_sqs::Operation::ALL {
        assert!(ROWS.iter().any(|row| row.0 == operation.name()), "{operation:?} has no row");
    }
}
