//! Every operation asks for permission, and gets it as AWS documents it (Service Authorization Reference, "Actions, resources, and condition keys
//! for Amazon SNS"; SNS Developer Guide, "Identity and access management").
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod world;

use millpond_kernel::{Caller, Principal};
use serde_json::{Value, json};
use world::{OWNER, STRANGER, World, arn, caller, root, says, user};

/// What an operation touches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum On {
    /// Nothing, or a topic that does not exist yet: the identity's policies alone decide, in the caller's own account.
    Account,
    /// A topic, whose policy has a say.
    Topic,
    /// A subscription, which is its owner's and has no policy.
    Subscription,
    /// A token: who has it may, if its own policies let it.
    Token,
}

/// Operation, what it touches, its parameters: values in capitals stand for what was prepared.
type Row = (&'static str, On, &'static [(&'static str, &'static str)]);

/// What removes things comes last.
const ROWS: &[Row] = &[
    (
        "AddPermission",
        On::Topic,
        &[("TopicArn", "TOPIC"), ("Label", "l"), ("AWSAccountId.member.1", OWNER), ("ActionName.member.1", "Publish")],
    ),
    ("ConfirmSubscription", On::Token, &[("TopicArn", "TOPIC"), ("Token", "TOKEN")]),
    ("CreateTopic", On::Account, &[("Name", "new")]),
    ("GetDataProtectionPolicy", On::Topic, &[("ResourceArn", "TOPIC")]),
    ("GetSMSAttributes", On::Account, &[]),
    ("GetSubscriptionAttributes", On::Subscription, &[("SubscriptionArn", "SUBSCRIPTION")]),
    ("GetTopicAttributes", On::Topic, &[("TopicArn", "TOPIC")]),
    ("ListPhoneNumbersOptedOut", On::Account, &[]),
    ("ListPlatformApplications", On::Account, &[]),
    ("ListSubscriptions", On::Account, &[]),
    ("ListSubscriptionsByTopic", On::Topic, &[("TopicArn", "TOPIC")]),
    ("ListTagsForResource", On::Topic, &[("ResourceArn", "TOPIC")]),
    ("ListTopics", On::Account, &[]),
    ("Publish", On::Topic, &[("TopicArn", "TOPIC"), ("Message", "m")]),
    (
        "PublishBatch",
        On::Topic,
        &[
            ("TopicArn", "TOPIC"),
            ("PublishBatchRequestEntries.member.1.Id", "a"),
            ("PublishBatchRequestEntries.member.1.Message", "m"),
        ],
    ),
    (
        "SetSubscriptionAttributes",
        On::Subscription,
        &[("SubscriptionArn", "SUBSCRIPTION"), ("AttributeName", "RawMessageDelivery"), ("AttributeValue", "true")],
    ),
    (
        "SetTopicAttributes",
        On::Topic,
        &[("TopicArn", "TOPIC"), ("AttributeName", "DisplayName"), ("AttributeValue", "d")],
    ),
    ("Subscribe", On::Topic, &[("TopicArn", "TOPIC"), ("Protocol", "sqs"), ("Endpoint", "QUEUE")]),
    ("TagResource", On::Topic, &[("ResourceArn", "TOPIC"), ("Tags.member.1.Key", "k"), ("Tags.member.1.Value", "v")]),
    ("UntagResource", On::Topic, &[("ResourceArn", "TOPIC"), ("TagKeys.member.1", "k")]),
    ("RemovePermission", On::Topic, &[("TopicArn", "TOPIC"), ("Label", "none")]),
    ("Unsubscribe", On::Subscription, &[("SubscriptionArn", "SUBSCRIPTION")]),
    ("DeleteTopic", On::Topic, &[("TopicArn", "TOPIC")]),
];

/// A world with everything that rows name.
struct Stage {
    world: World,
    names: Vec<(&'static str, String)>,
}

/// `statements` of the topic's policy; without any it has the usual one.
async fn stage(statements: &[Value]) -> Stage {
    let world = World::new().await;
    for (of, name) in [(OWNER, "alice"), (STRANGER, "bob")] {
        world.people.add(&user(of, name), &[], None);
    }
    let topic = world.topic("t").await;
    let subscription = world.subscribe(&topic, "q", &[]).await;
    // A queue of somebody else, who is asked first.
    let theirs = format!("arn:aws:sqs:us-east-1:{STRANGER}:theirs");
    world.root("Subscribe", &[("TopicArn", &topic), ("Protocol", "sqs"), ("Endpoint", &theirs)]).await;
    let (_, _, asked) = world.queues.asked.lock().unwrap().last().cloned().unwrap();
    let document: Value = serde_json::from_slice(&asked.body).unwrap();
    let token = document["Token"].as_str().unwrap().to_owned();
    if !statements.is_empty() {
        let policy = json!({"Version": "2012-10-17", "Statement": statements}).to_string();
        let parameters = [("TopicArn", topic.as_str()), ("AttributeName", "Policy"), ("AttributeValue", &policy)];
        world.root("SetTopicAttributes", &parameters).await;
    }
    let queue = format!("arn:aws:sqs:us-east-1:{OWNER}:another");
    let names = vec![("TOPIC", topic), ("SUBSCRIPTION", subscription), ("TOKEN", token), ("QUEUE", queue)];
    Stage { world, names }
}

impl Stage {
    async fn ask(&self, caller: Caller, row: &Row) -> Result<(), String> {
        let of = |value: &'static str| {
            self.names.iter().find(|(name, _)| *name == value).map_or(value, |(_, real)| real.as_str())
        };
        let parameters: Vec<(&str, &str)> = row.2.iter().map(|(name, value)| (*name, of(value))).collect();
        self.world.call(caller, row.0, &parameters).await.map(drop)
    }

    fn policies(&self, who: &Principal, policies: &[String], boundary: Option<String>) {
        self.world.people.add(who, policies, boundary);
    }
}

fn statement(effect: &str, who: &Principal) -> Value {
    json!({"Effect": effect, "Principal": {"AWS": arn(who)}, "Action": "sns:*", "Resource": "*"})
}

fn denied() -> Result<(), String> {
    Err("AuthorizationError".to_owned())
}

/// Asks every operation, and compares.
async fn check(stage: &Stage, who: impl Fn() -> Caller, what: &str, expected: impl Fn(On) -> Result<(), String>) {
    for row in ROWS {
        assert_eq!(stage.ask(who(), row).await, expected(row.1), "{what}: {}", row.0);
    }
}

#[tokio::test]
async fn nobody_and_the_owner() {
    let stage = stage(&[]).await;
    let nobody = Err("MissingAuthenticationToken".to_owned());
    check(&stage, || caller(Principal::Anonymous, None), "anonymous", |_| nobody.clone()).await;
    check(&stage, || caller(root(OWNER), None), "the owner", |_| Ok(())).await;
}

#[tokio::test]
async fn identities() {
    let alice = user(OWNER, "alice");
    let allow = says("Allow", "sns:*");
    let who = || caller(alice.clone(), None);
    let stage = stage(&[]).await;
    check(&stage, who, "no grant", |_| denied()).await;
    stage.policies(&alice, &[allow.clone(), says("Deny", "sns:*")], None);
    check(&stage, who, "an identity's deny", |_| denied()).await;
    stage.policies(&alice, std::slice::from_ref(&allow), Some(says("Allow", "s3:*")));
    check(&stage, who, "a boundary", |_| denied()).await;
    stage.policies(&alice, std::slice::from_ref(&allow), None);
    let narrow = || caller(alice.clone(), Some(vec![says("Allow", "s3:*")]));
    check(&stage, narrow, "a session's policy", |_| denied()).await;
    let wide = || caller(alice.clone(), Some(vec![says("Allow", "sns:*")]));
    check(&stage, wide, "an identity's allow", |_| Ok(())).await;
}

#[tokio::test]
async fn the_topics_policy() {
    let alice = user(OWNER, "alice");
    let who = || caller(alice.clone(), None);
    let allowing = stage(&[statement("Allow", &alice)]).await;
    check(&allowing, who, "a topic's allow", |on| if on == On::Topic { Ok(()) } else { denied() }).await;
    let denying = stage(&[statement("Deny", &alice)]).await;
    denying.policies(&alice, &[says("Allow", "sns:*")], None);
    check(&denying, who, "a topic's deny", |on| if on == On::Topic { denied() } else { Ok(()) }).await;
}

#[tokio::test]
async fn other_accounts() {
    let bob = user(STRANGER, "bob");
    let who = || caller(bob.clone(), None);
    let own = |on: On| matches!(on, On::Account | On::Token);
    let closed = stage(&[]).await;
    closed.policies(&bob, &[says("Allow", "sns:*")], None);
    check(&closed, who, "their side alone", |on| if own(on) { Ok(()) } else { denied() }).await;
    let opened = stage(&[statement("Allow", &bob)]).await;
    check(&opened, who, "our side alone", |_| denied()).await;
    opened.policies(&bob, &[says("Allow", "sns:*")], None);
    check(&opened, who, "both sides", |on| if on == On::Subscription { denied() } else { Ok(()) }).await;
}

/// Conditions of topics' policies on what is subscribed (SNS Developer Guide, "Amazon SNS policy keys").
#[tokio::test]
async fn what_is_subscribed_is_a_condition() {
    let alice = user(OWNER, "alice");
    let mut only = statement("Allow", &alice);
    only["Condition"] =
        json!({"StringLike": {"sns:Endpoint": "arn:aws:sqs:*:*:good-*"}, "StringEquals": {"sns:Protocol": "sqs"}});
    let stage = stage(&[only]).await;
    let topic = stage.names[0].1.clone();
    for (queue, expected) in [("good-1", Ok(())), ("bad", denied())] {
        let endpoint = format!("arn:aws:sqs:us-east-1:{OWNER}:{queue}");
        let parameters = [("TopicArn", topic.as_str()), ("Protocol", "sqs"), ("Endpoint", endpoint.as_str())];
        let answer = stage.world.call(caller(alice.clone(), None), "Subscribe", &parameters).await;
        assert_eq!(answer.map(drop), expected, "{queue}");
    }
}

/// Who may not is not told what exists.
#[tokio::test]
async fn strangers_learn_nothing() {
    let stage = stage(&[]).await;
    let bob = user(STRANGER, "bob");
    stage.policies(&bob, &[says("Allow", "sns:*")], None);
    let there = stage.names[0].1.clone();
    let (there, absent) = (there.clone(), format!("{there}x"));
    let mut told = Vec::new();
    for topic in [&there, &absent] {
        let parameters = [("TopicArn", topic.as_str()), ("Message", "m")];
        let error = stage.world.answer(caller(bob.clone(), None), "Publish", &parameters).await.unwrap_err();
        told.push((error.code.into_owned(), error.message.replace(topic.as_str(), "TOPIC")));
    }
    assert_eq!(told[0], told[1]);
    let parameters = [("TopicArn", absent.as_str()), ("Message", "m")];
    assert_eq!(stage.world.call(caller(root(OWNER), None), "Publish", &parameters).await, Err("NotFound".to_owned()));
}
