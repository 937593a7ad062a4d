//! The evaluator and its naive twin agree, and so does the explanation: random policies and requests over few names, so that most parts match.
//! What the cases covered is printed and counted: verdicts, operators with what became of them, principals, and which policies had a say.
//!
//! `MILLPOND_POLICY_CASES` sets how many (100,000), `MILLPOND_SEED` repeats a run.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::collections::BTreeMap;
use std::sync::Arc;

use millpond_policy::{
    Context, ContextValue, Denial, Explanation, Grant, Grantee, Kind, Limits, Named, Policies, Policy, PolicyKind,
    PolicySource, Principal, Question, ResourceRule, Verdict, decide, explain, naive,
};
use millpond_types::Timestamp;
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
    "arn:aws:kms:us-*-1:*:key/1",
    "arn:aws:kms:u*:111122223333:key/1",
    "arn:aws:kms:us?east-1:*",
    "arn:aws:kms:us-east-1:1*3:key/?",
    "arn:aws:s3:::b/${missing}",
    "arn:aws:s3:::b/${*}",
];
const OF_BUCKET: &[&str] = &[
    "arn:aws:s3:::b/*",
    "arn:aws:s3:::b/k",
    "arn:aws:s3:::b/${aws:username}/*",
    "arn:aws:s3:::b/${missing}/*",
    "arn:aws:s3:::b/*:x",
    "arn:aws:s3:::b",
    "arn:aws:s3:::b*",
];
const BOB: &str = "AIDAAAAAAAAAAAAAAAAAA";
const ROLE: &str = "AROAAAAAAAAAAAAAAAAAA";
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
    "arn:aws:iam::444455556666:role/p/r",
    "arn:aws:sts::444455556666:assumed-role/r/s",
    BOB,
    ROLE,
];
/// Operators, the keys that they are tried on, and the values that they want.
type Family = (&'static [&'static str], &'static [&'static str], &'static [&'static str]);
const FAMILIES: &[Family] = &[
    (
        &[
            "StringEquals",
            "StringNotEquals",
            "StringEqualsIgnoreCase",
            "StringNotEqualsIgnoreCase",
            "StringLike",
            "StringNotLike",
        ],
        &["s3:prefix", "S3:Prefix", "aws:PrincipalTag/team", "aws:username", "aws:TagKeys", "missing:key"],
        &[
            "a",
            "A",
            "b",
            "x",
            "y",
            "",
            "c*",
            "?",
            "*b",
            "red",
            "${aws:username}",
            "${missing}",
            "${missing, 'x'}",
            "${?}",
        ],
    ),
    (
        &[
            "NumericEquals",
            "NumericNotEquals",
            "NumericLessThan",
            "NumericLessThanEquals",
            "NumericGreaterThan",
            "NumericGreaterThanEquals",
        ],
        &["s3:max-keys", "aws:EpochTime", "x:numbers", "s3:prefix"],
        &["5", "10", "10.0", "10.5", "-1", "1577836800", "1e1"],
    ),
    (
        &[
            "DateEquals",
            "DateNotEquals",
            "DateLessThan",
            "DateLessThanEquals",
            "DateGreaterThan",
            "DateGreaterThanEquals",
        ],
        &["aws:CurrentTime", "aws:EpochTime", "aws:TokenIssueTime", "x:dates", "s3:prefix"],
        &[
            "2020",
            "2020-01",
            "2020-01-01",
            "2020-01-01T00:00:00Z",
            "2020-01-01T00:00:00.5Z",
            "2020-01-01T01:30+01:30",
            "2019-12-31T19:00:00-05:00",
            "1577836800",
            "2020-02-29T12:00:00Z",
            "2000-02-29",
            "2100-03-01",
        ],
    ),
    (&["Bool"], &["aws:SecureTransport", "aws:MultiFactorAuthPresent", "x:flags"], &["true", "false", "True"]),
    (&["BinaryEquals"], &["x:blob", "s3:prefix"], &["QmluYXJ5", "QQ==", "QUI="]),
    (
        &["IpAddress", "NotIpAddress"],
        &["aws:SourceIp", "aws:VpcSourceIp", "x:addresses", "s3:prefix"],
        &[
            "10.0.0.0/8",
            "10.1.0.0/16",
            "192.168.1.1",
            "0.0.0.0/0",
            "::/0",
            "2001:db8::/32",
            "2001:DB8:0:1::/64",
            "2001:db8::1",
            "::ffff:10.0.0.0/104",
        ],
    ),
    (
        &["ArnEquals", "ArnLike", "ArnNotEquals", "ArnNotLike"],
        &["aws:PrincipalArn", "aws:SourceArn", "x:arns", "s3:prefix"],
        &[
            "*",
            "arn:aws:iam::111122223333:*",
            "arn:aws:iam::*:user/bob",
            "arn:aws:iam::111122223333:role/p/r",
            "arn:aws:sns:*:111122223333:t?p*",
            "arn:aws:sns:*:topic:*",
            "arn:aws:iam::111122223333:user/${aws:username}",
            "arn:aws:iam::*:role/p/${missing}",
            "arn:aws:iam::*:*/${missing, 'r'}",
        ],
    ),
    (&["Null"], &["s3:prefix", "aws:TagKeys", "aws:username", "missing:key"], &["true", "false"]),
];

/// An operator with its prefix and suffix, a key and values.
fn condition(dice: &mut Dice) -> (String, &'static str, Value) {
    // String operators come up most, as in the world.
    let (operators, keys, values) = FAMILIES[if dice.chance(30) { 0 } else { dice.roll(FAMILIES.len()) }];
    let operator = dice.one(operators);
    let operator = match operator {
        "Null" => operator.to_owned(),
        _ => {
            let quantifier = dice.one(&["", "", "ForAllValues:", "ForAnyValue:"]);
            format!("{quantifier}{operator}{}", if dice.chance(40) { "IfExists" } else { "" })
        }
    };
    (operator, dice.one(keys), dice.some(values))
}

fn statement(dice: &mut Dice, kind: &PolicyKind) -> Value {
    let mut s = json!({ "Effect": if dice.chance(75) { "Allow" } else { "Deny" } });
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
        s[name] = match dice.roll(7) {
            0 => json!("*"),
            1 => json!({ "Service": "x.amazonaws.com", "AWS": dice.some(AWS) }),
            // Enough names for exceptions to take hold at times.
            2 => json!({ "AWS": [MINE, BOB, AWS[6], AWS[7], dice.one(AWS)], "Service": "y.amazonaws.com" }),
            3 if matches!(kind, PolicyKind::Bucket { .. }) => {
                let account: millpond_types::AccountId = dice.one(&[MINE, THEIRS]).parse().unwrap();
                json!({ "CanonicalUser": account.canonical_id(), "AWS": dice.some(&AWS[4..]), "Federated": "idp" })
            }
            _ => json!({ "AWS": dice.some(AWS) }),
        };
    }
    if dice.chance(45) {
        let mut conditions = json!({});
        for _ in 0..=dice.roll(2) {
            let (operator, key, values) = condition(dice);
            conditions[operator][key] = values;
        }
        s["Condition"] = conditions;
    }
    s
}

fn policy(dice: &mut Dice, kind: PolicyKind, source: PolicySource) -> Named {
    let version = if matches!(kind, PolicyKind::Bucket { .. } | PolicyKind::Key) && dice.chance(15) {
        "2008-10-17"
    } else {
        "2012-10-17"
    };
    let mut statements: Vec<_> = (0..=dice.roll(3)).map(|_| statement(dice, &kind)).collect();
    // What limits allows much more often than not, as in the world.
    if !matches!(kind, PolicyKind::Bucket { .. } | PolicyKind::Key) && dice.chance(60) {
        statements.push(json!({ "Effect": "Allow", "Action": "*", "Resource": "*" }));
    }
    named(json!({ "Version": version, "Statement": statements }).to_string(), kind, source)
}

fn named(text: String, kind: PolicyKind, source: PolicySource) -> Named {
    let policy = Policy::parse(&text, kind).unwrap_or_else(|error| panic!("{error}: {text}"));
    Named { source, policy: Arc::new(policy) }
}

fn principal(dice: &mut Dice) -> Principal {
    let mine = dice.chance(67);
    let account = if mine { MINE } else { THEIRS }.parse().unwrap();
    let id = |id: &str| if mine { id.to_owned() } else { id.replace("AAAA", "BBBB") };
    let user = Principal::User { account, path: "/".into(), name: "bob".into(), id: id(BOB) };
    match dice.roll(10) {
        0 => Principal::Anonymous,
        1 => Principal::Root(account),
        2 => Principal::Service { name: "x.amazonaws.com".into() },
        3 => Principal::Federated { account, name: "f".into(), user: Box::new(user) },
        4 => Principal::Federated { account, name: "f".into(), user: Box::new(Principal::Root(account)) },
        5..=7 => {
            let (path, name, session) = ("/p/".into(), "r".into(), dice.one(&["s", "s", "t"]).to_owned());
            Principal::Role { account, path, name, id: id(ROLE), session }
        }
        _ => user,
    }
}

fn many(dice: &mut Dice, of: &[&str]) -> ContextValue {
    ContextValue::Many((0..dice.roll(3)).map(|_| dice.one(of).to_owned()).collect())
}

fn context(dice: &mut Dice, principal: &Principal) -> Context {
    let mut c = Context::default();
    if dice.chance(70) {
        c.text("s3:prefix", dice.one(&["a", "b", "ab", "bob", "", "c*", "?", "10", "2020-01-01T00:00:00Z", "QQ=="]));
    }
    if dice.chance(60) {
        c.text("aws:PrincipalTag/team", dice.one(&["red", "blue", "*", "k"]));
    }
    for (key, values) in [
        ("aws:TagKeys", &["x", "y", "z", "xx"]),
        ("x:numbers", &["5", "10", "11", "x"]),
        ("x:dates", &["2020-01-01T00:00:00Z", "2019-12-31", "1577836800", "x"]),
        ("x:flags", &["true", "false", "TRUE", "x"]),
        ("x:addresses", &["10.1.2.3", "2001:db8::1", "192.168.1.1", "x"]),
        ("x:arns", &["arn:aws:sns:us-east-1:111122223333:top:x", "arn:aws:iam::444455556666:role/p/r", "x", "a:b:c"]),
    ] {
        if dice.chance(60) {
            c.set(key, many(dice, values));
        }
    }
    if dice.chance(70) {
        c.text("aws:SourceIp", dice.one(&["10.1.2.3", "10.9.9.9", "192.168.1.1", "::ffff:10.1.2.3", "2001:db8::1"]));
    }
    if dice.chance(40) {
        c.text("aws:VpcSourceIp", dice.one(&["2001:db8:0:1::5", "2001:db9::", "10.1.2.3"]));
    }
    if dice.chance(60) {
        c.set("s3:max-keys", ContextValue::Number(dice.one(&[5.0, 10.0, 10.5, 11.0])));
    }
    let half = |dice: &mut Dice| std::time::Duration::from_millis(500 * dice.roll(2) as u64);
    let now = Timestamp::from_seconds(dice.one(&[1_577_836_799, 1_577_836_800, 1_582_977_600])).plus(half(dice));
    c.set("aws:CurrentTime", ContextValue::Time(now));
    c.set("aws:EpochTime", ContextValue::Number(now.seconds() as f64));
    if dice.chance(40) {
        c.set("aws:TokenIssueTime", ContextValue::Time(Timestamp::from_seconds(1_577_836_800)));
    }
    if dice.chance(50) {
        c.text("aws:SourceArn", dice.one(&["arn:aws:sns:us-east-1:111122223333:topic:x", "arn:aws:s3:::b", "x"]));
    }
    if dice.chance(50) {
        c.text("x:blob", dice.one(&["QmluYXJ5", "QQ==", "?"]));
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

impl Case {
    fn question(&self) -> Question<'_> {
        Question {
            principal: &self.principal,
            action: self.action,
            resource: self.resource,
            owner: self.owner.parse().unwrap(),
            object_owner: self.object_owner.map(|owner| owner.parse().unwrap()),
            context: &self.context,
        }
    }

    fn policies(&self) -> Policies<'_> {
        Policies {
            identity: &self.identity,
            boundary: self.boundary.as_ref(),
            session: self.session.as_deref(),
            service_control: &self.control,
            resource: self.policy.as_ref(),
            rule: self.rule,
            grants: &self.grants,
            limits: self.limits,
        }
    }

    fn shown(&self) -> String {
        let texts = |n: &[Named]| n.iter().map(|n| n.policy.text().to_owned()).collect::<Vec<_>>();
        format!(
            "{:?}\nidentity {:#?}\nboundary {:?}\nsession {:?}\ncontrol {:?}\nresource {:?} {:?} {:?} {:?}",
            self.question(),
            texts(&self.identity),
            self.boundary.as_ref().map(|n| n.policy.text()),
            self.session.as_deref().map(texts),
            self.control.iter().map(|level| texts(level)).collect::<Vec<_>>(),
            self.policy.as_ref().map(|n| n.policy.text()),
            self.rule,
            self.grants,
            self.limits,
        )
    }
}

fn inline() -> PolicySource {
    PolicySource::Session { name: "inline".into() }
}

fn kind_of_resource(key: bool) -> PolicyKind {
    if key { PolicyKind::Key } else { PolicyKind::Bucket { name: "b".into() } }
}

fn case(dice: &mut Dice) -> Case {
    let principal = principal(dice);
    // Most often what is one's own, since elsewhere all sides have to allow.
    let own = if principal.account().is_some_and(|own| own.as_str() == THEIRS) { THEIRS } else { MINE };
    let owner = if dice.chance(60) { own } else { dice.one(&[MINE, THEIRS]) };
    let named = |dice: &mut Dice, kind| policy(dice, kind, inline());
    let key = dice.chance(25);
    let resource = if key {
        "arn:aws:kms:us-east-1:111122223333:key/1"
    } else {
        dice.one(&[
            "arn:aws:s3:::b/k",
            "arn:aws:s3:::b/bob/x",
            "arn:aws:s3:::b/red",
            "arn:aws:s3:::b/bob.x",
            "arn:aws:s3:::b/a:x",
            "arn:aws:s3:::b",
            "arn:aws:s3:::b/*",
            "arn:aws:s3:::b/\u{65e5}$?",
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
        Grantee::Identity { arn: AWS[4].into(), id: BOB.into() },
        Grantee::Identity { arn: AWS[6].into(), id: ROLE.into() },
        Grantee::Identity { arn: AWS[6].into(), id: BOB.into() },
    ];
    let control = |dice: &mut Dice| {
        let level = |dice: &mut Dice| (0..=dice.roll(2)).map(|_| named(dice, PolicyKind::ServiceControl)).collect();
        (0..1 + dice.roll(2)).map(|_| level(dice)).collect()
    };
    Case {
        context: context(dice, &principal),
        principal,
        action: if key {
            dice.one(&["kms:Decrypt", "kms:Encrypt"])
        } else {
            dice.one(&["s3:GetObject", "s3:PutObject", "s3:GetBucketPolicy"])
        },
        resource,
        owner,
        object_owner: if dice.chance(15) { Some(dice.one(&[MINE, THEIRS])) } else { None },
        identity: (0..dice.roll(3)).map(|_| named(dice, PolicyKind::Identity)).collect(),
        boundary: dice.chance(25).then(|| named(dice, PolicyKind::Identity)),
        session: dice.chance(25).then(|| (0..dice.roll(4)).map(|_| named(dice, PolicyKind::Session)).collect()),
        control: if dice.chance(20) { control(dice) } else { Vec::new() },
        policy: dice.chance(75).then(|| named(dice, kind_of_resource(key))),
        rule: if key { ResourceRule::Required } else { ResourceRule::Either },
        grants: (0..dice.roll(3) / 2).map(|_| Grant { to: dice.one(&grantees), what: "grant".into() }).collect(),
        limits: Limits { restrict_public: dice.chance(30), ignore_public_acls: dice.chance(30) },
    }
}

/// A policy with one statement more.
fn with(there: Option<&Named>, statement: &str, kind: PolicyKind) -> Named {
    let statement: Value = serde_json::from_str(statement).unwrap();
    let mut document = match there {
        Some(named) => serde_json::from_str(named.policy.text()).unwrap(),
        None => json!({ "Version": "2012-10-17", "Statement": [] }),
    };
    document["Statement"].as_array_mut().unwrap().push(statement);
    named(document.to_string(), kind, inline())
}

/// Does what explanations suggest until nothing more is suggested. Every suggested statement is about this action on this resource alone,
/// takes the reason away that it is for, and when the last one is followed it is allowed.
fn follow_suggestions(mut c: Case) -> Verdict {
    for _ in 0..6 {
        let verdict = decide(&c.question(), &c.policies());
        let Verdict::Denied(Denial::Implicit(kind)) = verdict else { return verdict };
        let suggestion = explain(&c.question(), &c.policies()).suggestion.unwrap();
        let Some(statement) = suggestion.statement else { return verdict };
        let key = c.rule == ResourceRule::Required;
        let former = c.policy.as_ref().is_some_and(|named| !named.policy.has_variables());
        let alone = match kind {
            Kind::Resource => with(None, &statement, kind_of_resource(key)),
            _ => with(None, &statement, PolicyKind::Identity),
        };
        let other = format!("{}x", c.resource);
        let wider = alone.policy.says(&Question { resource: &other, ..c.question() }, false);
        assert!(former || wider == millpond_policy::Says::default(), "{statement}");
        match kind {
            Kind::Identity => c.identity.push(alone),
            Kind::Session => c.session.get_or_insert_default().push(alone),
            Kind::Boundary => c.boundary = Some(with(c.boundary.as_ref(), &statement, PolicyKind::Identity)),
            Kind::ServiceControl => c.control.iter_mut().for_each(|level| level.push(alone.clone())),
            Kind::Resource => c.policy = Some(with(c.policy.as_ref(), &statement, kind_of_resource(key))),
        }
        let then = decide(&c.question(), &c.policies());
        assert_ne!(then, verdict, "{statement} did not help: {}", c.shown());
    }
    panic!("no end of suggestions: {}", c.shown());
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// How often what came up.
#[derive(Default)]
struct Coverage(BTreeMap<String, u64>);

impl Coverage {
    fn add(&mut self, what: String) {
        *self.0.entry(what).or_insert(0) += 1;
    }

    fn case(&mut self, c: &Case, verdict: Verdict, explanation: &Explanation) {
        let allowed = if verdict == Verdict::Allowed { "allowed" } else { "denied" };
        self.add(format!("verdict {verdict:?}"));
        let by = match &c.principal {
            Principal::Federated { user, .. } => format!("Federated{}", user.kind()),
            other => other.kind().to_owned(),
        };
        let place = if c.principal.account() == Some(c.owner.parse().unwrap()) { "own" } else { "foreign" };
        self.add(format!("principal {by} {place} {allowed}"));
        let parts = [
            (c.boundary.is_some(), "boundary"),
            (c.session.is_some(), "session"),
            (!c.control.is_empty(), "control"),
            (c.policy.is_some(), "resource"),
            (!c.grants.is_empty(), "grant"),
        ];
        let parts: Vec<_> = parts.iter().filter(|(there, _)| *there).map(|(_, name)| *name).collect();
        self.add(format!("policies {} {allowed}", parts.join("+")));
        self.add(format!("limits {:?} {allowed}", c.limits));
        for grant in &explanation.grants {
            self.add(format!("grant to {} {}", grant.to, if grant.matched { "counts" } else { "does not count" }));
        }
    }

    fn conditions(&mut self, explanation: &Explanation) {
        for statement in explanation.policies.iter().flat_map(|policy| &policy.statements) {
            for condition in &statement.conditions {
                let found = if condition.found.is_some() { "present" } else { "absent" };
                let holds = if condition.holds { "holds" } else { "fails" };
                self.add(format!("operator {} {found} {holds}", condition.operator));
            }
        }
    }

    /// Those that begin so.
    fn of(&self, start: &str) -> Vec<(&str, u64)> {
        self.0.iter().filter(|(what, _)| what.starts_with(start)).map(|(what, n)| (what.as_str(), *n)).collect()
    }

    fn print(&self) {
        for (what, times) in &self.0 {
            println!("{times:>8} {what}");
        }
    }

    /// Whether everything that there is came up.
    fn check(&self, cases: u64) {
        let verdicts = self.of("verdict ");
        assert_eq!(verdicts.len(), 11, "{verdicts:?}");
        let allowed = self.of("verdict Allowed").first().map_or(0, |(_, times)| *times);
        assert!(allowed * 20 > cases, "only {allowed} of {cases} are allowed");
        for (operators, _, _) in FAMILIES {
            for operator in *operators {
                for prefix in ["", "ForAllValues:", "ForAnyValue:"] {
                    for suffix in ["", "IfExists"] {
                        let name = format!("{prefix}{operator}{suffix}");
                        if name.contains("Null") && name != "Null" {
                            continue;
                        }
                        for holds in ["holds", "fails"] {
                            let what = format!("operator {name} present {holds}");
                            assert!(
                                self.0.get(&what).is_some_and(|times| *times >= 10),
                                "{what}: {:?}",
                                self.of(&what)
                            );
                        }
                        let absent: u64 = self.of(&format!("operator {name} absent")).iter().map(|(_, n)| n).sum();
                        assert!(absent >= 3, "{name} on absent keys: {absent}");
                    }
                }
            }
        }
        for (kind, own) in [
            ("Anonymous", false),
            ("Account", true),
            ("User", true),
            ("AssumedRole", true),
            ("FederatedUser", true),
            ("FederatedAccount", true),
            ("Service", false),
        ] {
            for place in if own { &["own", "foreign"][..] } else { &["foreign"] } {
                for allowed in ["allowed", "denied"] {
                    let what = format!("principal {kind} {place} {allowed}");
                    assert!(self.0.get(&what).is_some_and(|times| *times >= 10), "{what}");
                }
            }
        }
        // Every combination of the five that may be there or not, each with both answers; two rare ones may have failed to be allowed.
        assert!(self.of("policies ").len() >= 62, "{:?}", self.of("policies "));
        assert_eq!(self.of("limits ").len(), 8, "{:?}", self.of("limits "));
        let counting = self.of("grant to ").iter().filter(|(what, _)| what.ends_with(" counts")).count();
        assert_eq!(counting, 8, "{:?}", self.of("grant to "));
    }
}

#[test]
fn the_evaluator_its_twin_and_the_explanation_agree() {
    let cases = number("MILLPOND_POLICY_CASES").unwrap_or(100_000);
    // Each run of the process has another one.
    let chance = || std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), 0) >> 32;
    let seed = number("MILLPOND_SEED").unwrap_or_else(chance);
    println!("rerun with MILLPOND_SEED={seed}");
    let mut dice = Dice(seed);
    let mut coverage = Coverage::default();
    for n in 0..cases {
        let c = case(&mut dice);
        let (question, policies) = (c.question(), c.policies());
        let (fast, slow) = (decide(&question, &policies), naive::decide(&question, &policies));
        assert_eq!(fast, slow, "case {n} of seed {seed}: {}", c.shown());
        let explanation = explain(&question, &policies);
        assert_eq!(explanation.allowed, fast == Verdict::Allowed, "case {n} of seed {seed}: {}", c.shown());
        assert_eq!(explanation.suggestion.is_none(), fast == Verdict::Allowed, "case {n} of seed {seed}");
        coverage.case(&c, fast, &explanation);
        if n % 2 == 0 {
            coverage.conditions(&explanation);
            assert!(explanation.to_string().contains(c.resource));
        }
        if n % 8 == 0 && fast != Verdict::Allowed {
            let end = match follow_suggestions(c) {
                Verdict::Allowed => "allowed",
                Verdict::Denied(Denial::Explicit(_)) => "denied explicitly from the start",
                Verdict::Denied(Denial::Implicit(_)) => "advice in words",
            };
            coverage.add(format!("suggestions followed: {end}"));
        }
    }
    coverage.print();
    if cases >= 100_000 {
        coverage.check(cases);
    }
}
