//! The evaluator and its naive twin agree, and so does the explanation: random policies and requests over few names, so that most parts match.
//!
//! `MILLPOND_POLICY_CASES` sets how many (100,000), `MILLPOND_SEED` repeats a run.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::sync::Arc;

use millpond_policy::{
    Context, ContextValue, Grant, Grantee, Limits, Named, Policies, Policy, PolicyKind, PolicySource, Principal,
    Question, ResourceRule, Verdict, decide, explain, naive,
};
use serde_json::{Value, json};

const MINE: &str = "111122223333";
const THEIRS: &str = "444455556666";

/// SplitMix64.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) % sides as u64) as usize
    }

    fn one<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.roll(of.len())].clone()
    }

    fn chance(&mut self, in_hundred: usize) -> bool {
        self.roll(100) < in_hundred
    }

    /// One, or a list of up to three.
    fn some(&mut self, of: &[&str]) -> Value {
        match self.roll(3) {
            0 => json!(self.one(of)),
            n => Value::Array((0..=n).map(|_| json!(self.one(of))).collect()),
        }
    }
}

const ACTIONS: &[&str] =
    &["*", "s3:*", "s3:Get*", "S3:getobject", "s3:PutObject", "kms:*", "kms:Decrypt", "s3:?etObject", "iam:*"];
const RESOURCES: &[&str] = &[
    "*",
    "arn:aws:s3:::b/*",
    "arn:aws:s3:::b/k",
    "arn:aws:s3:::b/${aws:username}/*",
    "arn:aws:s3:::b/${aws:PrincipalTag/team, 'blue'}",
    "arn:aws:s3:::*/bob?x",
    "arn:aws:kms:*:111122223333:key/*",
    "arn:aws:s3:::b/${missing}",
    "arn:aws:s3:::b/${*}",
];
const OF_BUCKET: &[&str] =
    &["arn:aws:s3:::b/*", "arn:aws:s3:::b/k", "arn:aws:s3:::b/${aws:username}/*", "arn:aws:s3:::b", "arn:aws:s3:::b*"];
const AWS: &[&str] = &[
    "*",
    MINE,
    THEIRS,
    "arn:aws:iam::111122223333:root",
    "arn:aws:iam::111122223333:user/bob",
    "arn:aws:iam::444455556666:user/bob",
    "arn:aws:iam::111122223333:role/p/r",
    "arn:aws:sts::111122223333:assumed-role/r/s",
    "arn:aws:sts::111122223333:federated-user/f",
];
/// Operator, key, values.
const CONDITIONS: &[(&str, &str, &[&str])] = &[
    ("StringEquals", "s3:prefix", &["a", "b", "${aws:username}"]),
    ("StringNotEquals", "s3:prefix", &["a", "b", "c*"]),
    ("StringLike", "s3:prefix", &["a*", "?", "*b"]),
    ("StringNotLike", "S3:Prefix", &["a*", "?"]),
    ("StringEqualsIgnoreCase", "s3:prefix", &["A", "B"]),
    ("StringEqualsIfExists", "s3:prefix", &["a", "x"]),
    ("StringNotEqualsIfExists", "s3:prefix", &["a", "x"]),
    ("StringEquals", "aws:PrincipalTag/team", &["red", "${missing}"]),
    ("ForAllValues:StringEquals", "aws:TagKeys", &["x", "y", "z"]),
    ("ForAnyValue:StringEquals", "aws:TagKeys", &["x", "y", "z"]),
    ("ForAllValues:StringNotLike", "aws:TagKeys", &["x*", "y"]),
    ("ForAnyValue:StringNotEquals", "aws:TagKeys", &["x", "y"]),
    ("ForAnyValue:StringEqualsIfExists", "aws:TagKeys", &["x", "y"]),
    ("Null", "s3:prefix", &["true", "false"]),
    ("Null", "aws:TagKeys", &["true", "false"]),
    ("Bool", "aws:SecureTransport", &["true", "false"]),
    ("BoolIfExists", "aws:MultiFactorAuthPresent", &["true", "false"]),
    ("NumericLessThan", "s3:max-keys", &["5", "10", "11"]),
    ("NumericGreaterThanEquals", "s3:max-keys", &["5", "10", "11"]),
    ("NumericNotEquals", "s3:max-keys", &["10", "11"]),
    ("IpAddress", "aws:SourceIp", &["10.0.0.0/8", "10.1.0.0/16", "192.168.1.1"]),
    ("NotIpAddress", "aws:SourceIp", &["10.0.0.0/8", "10.1.0.0/16"]),
    ("ArnLike", "aws:PrincipalArn", &["arn:aws:iam::111122223333:*", "arn:aws:iam::*:user/bob"]),
    ("ArnNotEquals", "aws:PrincipalArn", &["arn:aws:iam::111122223333:role/p/r"]),
];

fn statement(dice: &mut Dice, kind: &PolicyKind) -> Value {
    let mut s = json!({ "Effect": if dice.chance(70) { "Allow" } else { "Deny" } });
    s[if dice.chance(85) { "Action" } else { "NotAction" }] = match kind {
        PolicyKind::Bucket { .. } => dice.some(&["*", "s3:*", "s3:Get*", "s3:PutObject", "s3:GetBucketPolicy"]),
        _ => dice.some(ACTIONS),
    };
    s[if dice.chance(85) { "Resource" } else { "NotResource" }] = match kind {
        PolicyKind::Bucket { .. } => dice.some(OF_BUCKET),
        _ => dice.some(RESOURCES),
    };
    if matches!(kind, PolicyKind::Bucket { .. } | PolicyKind::Key) {
        let name = if s["Effect"] == "Deny" && dice.chance(40) { "NotPrincipal" } else { "Principal" };
        s[name] = match dice.roll(6) {
            0 => json!("*"),
            1 => json!({ "Service": "x.amazonaws.com", "AWS": dice.some(AWS) }),
            // Enough names for exceptions to take hold at times.
            2 => json!({ "AWS": [MINE, AWS[4], AWS[6], AWS[7], dice.one(AWS)] }),
            _ => json!({ "AWS": dice.some(AWS) }),
        };
    }
    if dice.chance(45) {
        let mut condition = json!({});
        for _ in 0..=dice.roll(2) {
            let (operator, key, values) = dice.one(CONDITIONS);
            condition[operator][key] = dice.some(values);
        }
        s["Condition"] = condition;
    }
    s
}

fn policy(dice: &mut Dice, kind: PolicyKind, source: PolicySource) -> Named {
    let version = if matches!(kind, PolicyKind::Bucket { .. } | PolicyKind::Key) && dice.chance(15) {
        "2008-10-17"
    } else {
        "2012-10-17"
    };
    let statements: Vec<_> = (0..=dice.roll(3)).map(|_| statement(dice, &kind)).collect();
    let text = json!({ "Version": version, "Statement": statements }).to_string();
    let policy = Policy::parse(&text, kind).unwrap_or_else(|error| panic!("{error}: {text}"));
    Named { source, policy: Arc::new(policy) }
}

fn principal(dice: &mut Dice) -> Principal {
    let account = dice.one(&[MINE, MINE, THEIRS]).parse().unwrap();
    let user = Principal::User { account, path: "/".into(), name: "bob".into(), id: "AIDA".into() };
    match dice.roll(10) {
        0 => Principal::Anonymous,
        1 => Principal::Root(account),
        2 => Principal::Service { name: "x.amazonaws.com".into() },
        3 => Principal::Federated { account, name: "f".into(), user: Box::new(user) },
        4 => Principal::Federated { account, name: "f".into(), user: Box::new(Principal::Root(account)) },
        5..=7 => {
            Principal::Role { account, path: "/p/".into(), name: "r".into(), id: "AROA".into(), session: "s".into() }
        }
        _ => user,
    }
}

fn context(dice: &mut Dice, principal: &Principal) -> Context {
    let mut c = Context::default();
    if dice.chance(70) {
        c.text("s3:prefix", dice.one(&["a", "b", "ab", "bob", "", "c*"]));
    }
    if dice.chance(60) {
        c.text("aws:PrincipalTag/team", dice.one(&["red", "blue", "*", "k"]));
    }
    if dice.chance(60) {
        let tags = (0..dice.roll(3)).map(|_| dice.one(&["x", "y", "z", "xx"]).to_owned()).collect();
        c.set("aws:TagKeys", ContextValue::Many(tags));
    }
    if dice.chance(70) {
        c.text("aws:SourceIp", dice.one(&["10.1.2.3", "10.9.9.9", "192.168.1.1"]));
    }
    if dice.chance(60) {
        c.set("s3:max-keys", ContextValue::Number(dice.one(&[5.0, 10.0, 11.0])));
    }
    c.set("aws:SecureTransport", ContextValue::Bool(dice.chance(50)));
    if dice.chance(30) {
        c.set("aws:MultiFactorAuthPresent", ContextValue::Bool(dice.chance(50)));
    }
    if principal.account().is_some() {
        c.text("aws:PrincipalArn", principal.condition_arn());
    }
    if let Principal::User { name, .. } = principal {
        c.text("aws:username", name.clone());
    }
    c
}

/// Everything that one question is asked of.
struct Case {
    principal: Principal,
    action: &'static str,
    resource: &'static str,
    owner: &'static str,
    object_owner: Option<&'static str>,
    context: Context,
    identity: Vec<Named>,
    boundary: Option<Named>,
    session: Option<Vec<Named>>,
    control: Vec<Vec<Named>>,
    policy: Option<Named>,
    rule: ResourceRule,
    grants: Vec<Grant>,
    limits: Limits,
}

fn case(dice: &mut Dice) -> Case {
    let principal = principal(dice);
    let named = |dice: &mut Dice, kind| {
        let source = PolicySource::Session { name: "inline".into() };
        policy(dice, kind, source)
    };
    let key = dice.chance(25);
    let kind = if key { PolicyKind::Key } else { PolicyKind::Bucket { name: "b".into() } };
    let resource = if key {
        "arn:aws:kms:us-east-1:111122223333:key/1"
    } else {
        dice.one(&[
            "arn:aws:s3:::b/k",
            "arn:aws:s3:::b/bob/x",
            "arn:aws:s3:::b/red",
            "arn:aws:s3:::b/bob.x",
            "arn:aws:s3:::b",
            "arn:aws:s3:::b/*",
        ])
    };
    let grantees = [
        Grantee::Everybody,
        Grantee::Authenticated,
        Grantee::Account(MINE.parse().unwrap()),
        Grantee::Account(THEIRS.parse().unwrap()),
        Grantee::Principal(AWS[4].into()),
        Grantee::Principal(AWS[6].into()),
        Grantee::Principal(AWS[7].into()),
        Grantee::Principal(AWS[3].into()),
    ];
    Case {
        context: context(dice, &principal),
        principal,
        action: if key {
            dice.one(&["kms:Decrypt", "kms:Encrypt"])
        } else {
            dice.one(&["s3:GetObject", "s3:PutObject", "s3:GetBucketPolicy"])
        },
        resource,
        owner: dice.one(&[MINE, MINE, THEIRS]),
        object_owner: if dice.chance(20) { Some(dice.one(&[MINE, THEIRS])) } else { None },
        identity: (0..dice.roll(3)).map(|_| named(dice, PolicyKind::Identity)).collect(),
        boundary: dice.chance(25).then(|| named(dice, PolicyKind::Identity)),
        session: dice.chance(25).then(|| (0..dice.roll(3)).map(|_| named(dice, PolicyKind::Session)).collect()),
        control: (0..usize::from(dice.chance(10))).map(|_| vec![named(dice, PolicyKind::ServiceControl)]).collect(),
        policy: dice.chance(75).then(|| named(dice, kind)),
        rule: if key { ResourceRule::Required } else { ResourceRule::Either },
        grants: (0..dice.roll(3) / 2).map(|_| Grant { to: dice.one(&grantees), what: "grant".into() }).collect(),
        limits: Limits { restrict_public: dice.chance(30), ignore_public_acls: dice.chance(30) },
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn the_evaluator_its_twin_and_the_explanation_agree() {
    let cases = number("MILLPOND_POLICY_CASES").unwrap_or(100_000);
    // Each run of the process has another one.
    let chance = || std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), 0) >> 32;
    let seed = number("MILLPOND_SEED").unwrap_or_else(chance);
    println!("rerun with MILLPOND_SEED={seed}");
    let mut dice = Dice(seed);
    let mut verdicts = std::collections::HashMap::new();
    for n in 0..cases {
        let c = case(&mut dice);
        let question = Question {
            principal: &c.principal,
            action: c.action,
            resource: c.resource,
            owner: c.owner.parse().unwrap(),
            object_owner: c.object_owner.map(|owner| owner.parse().unwrap()),
            context: &c.context,
        };
        let policies = Policies {
            identity: &c.identity,
            boundary: c.boundary.as_ref(),
            session: c.session.as_deref(),
            service_control: &c.control,
            resource: c.policy.as_ref(),
            rule: c.rule,
            grants: &c.grants,
            limits: c.limits,
        };
        let (fast, slow) = (decide(&question, &policies), naive::decide(&question, &policies));
        let texts = |n: &[Named]| n.iter().map(|n| n.policy.text().to_owned()).collect::<Vec<_>>();
        assert_eq!(
            fast,
            slow,
            "case {n} of seed {seed}: {question:?}\nidentity {:#?}\nboundary {:?}\nsession {:?}\ncontrol {:?}\nresource {:?} {:?} {:?} {:?}",
            texts(&c.identity),
            c.boundary.as_ref().map(|n| n.policy.text()),
            c.session.as_deref().map(texts),
            c.control.iter().map(|level| texts(level)).collect::<Vec<_>>(),
            c.policy.as_ref().map(|n| n.policy.text()),
            c.rule,
            c.grants,
            c.limits,
        );
        *verdicts.entry(fast).or_insert(0_u64) += 1;
        if n % 16 == 0 {
            let explanation = explain(&question, &policies);
            assert_eq!(explanation.allowed, fast == Verdict::Allowed);
            assert_eq!(explanation.suggestion.is_none(), fast == Verdict::Allowed);
            assert!(explanation.to_string().contains(c.resource));
        }
    }
    // Every kind of answer came up, each often enough to mean something.
    let allowed = verdicts.get(&Verdict::Allowed).copied().unwrap_or(0);
    assert!(allowed * 20 > cases, "only {allowed} of {cases} are allowed: {verdicts:?}");
    assert!(verdicts.len() == 11 || cases < 10_000, "{verdicts:?}");
    println!("{verdicts:?}");
}
