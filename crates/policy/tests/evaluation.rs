//! Cases of the IAM User Guide's pages on evaluation, and of KMS's and S3's on their own policies: who may, and which kind of policy is named
//! when not.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::sync::Arc;

use millpond_policy::{
    Context, Denial, Kind, Limits, Named, Policies, Policy, PolicyKind, PolicySource, Principal, Question,
    ResourceRule, Verdict, decide, denying_policy, explain,
};

const A: &str = "111122223333";
const B: &str = "444455556666";

use Denial::{Explicit, Implicit};
use Verdict::{Allowed, Denied};

fn user(account: &str) -> Principal {
    Principal::User {
        account: account.parse().unwrap(),
        path: "/".into(),
        name: "bob".into(),
        id: "AIDAAAAAAAAAAAAAAAAAA".into(),
    }
}

fn role(account: &str) -> Principal {
    let (path, name, session) = ("/".into(), "r".into(), "s".into());
    Principal::Role { account: account.parse().unwrap(), path, name, id: "AROAAAAAAAAAAAAAAAAAA".into(), session }
}

fn federated() -> Principal {
    Principal::Federated { account: A.parse().unwrap(), name: "f".into(), user: Box::new(user(A)) }
}

fn root(account: &str) -> Principal {
    Principal::Root(account.parse().unwrap())
}

fn named(text: &str, kind: PolicyKind, source: PolicySource) -> Named {
    Named { source, policy: Arc::new(Policy::parse(text, kind).unwrap_or_else(|error| panic!("{error}: {text}"))) }
}

/// An identity's policy: `allow` or `deny`, or nothing for `-`.
fn own(what: &str) -> Option<Named> {
    let statement = |effect: &str| {
        format!(r#"{{"Version":"2012-10-17","Statement":{{"Effect":"{effect}","Action":"*","Resource":"*"}}}}"#)
    };
    let source = PolicySource::Managed {
        of: "arn:aws:iam::111122223333:user/bob".into(),
        arn: "arn:aws:iam::111122223333:policy/p".into(),
    };
    match what {
        "allow" => Some(named(&statement("Allow"), PolicyKind::Identity, source)),
        "deny" => Some(named(&statement("Deny"), PolicyKind::Identity, source)),
        // Silent about what is asked.
        "other" => Some(named(
            r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"sqs:*","Resource":"*"}}"#,
            PolicyKind::Identity,
            source,
        )),
        _ => None,
    }
}

/// A bucket's policy that allows (or denies) a principal everything; nothing for `-`.
fn bucket(effect: &str, principal: &str) -> Option<Named> {
    let source = PolicySource::Resource { arn: "arn:aws:s3:::b".into() };
    let principal = if principal == "*" { "\"*\"".to_owned() } else { format!(r#"{{"AWS":"{principal}"}}"#) };
    let text = format!(
        r#"{{"Version":"2012-10-17","Statement":{{"Effect":"{effect}","Principal":{principal},"Action":"s3:*","Resource":["arn:aws:s3:::b","arn:aws:s3:::b/*"]}}}}"#
    );
    (effect != "-").then(|| named(&text, PolicyKind::Bucket { name: "b".into() }, source))
}

fn key(principal: &str) -> Option<Named> {
    let source = PolicySource::Resource { arn: "key".into() };
    let text = format!(
        r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Allow","Principal":{{"AWS":"{principal}"}},"Action":"kms:*","Resource":"*"}}}}"#
    );
    (principal != "-").then(|| named(&text, PolicyKind::Key, source))
}

/// Who, the identity's policy, the boundary, the session's policy, the resource's policy.
struct Sides {
    principal: Principal,
    identity: Option<Named>,
    boundary: Option<Named>,
    session: Option<Named>,
    resource: Option<Named>,
}

fn sides(principal: Principal, own_sides: [&str; 3], resource: Option<Named>) -> Sides {
    let [identity, boundary, session] = own_sides.map(own);
    Sides { principal, identity, boundary, session, resource }
}

fn answer(sides: &Sides, action: &str, rule: ResourceRule, limits: Limits) -> Verdict {
    let context = Context::default();
    let question = Question {
        principal: &sides.principal,
        action,
        resource: if action.starts_with("kms:") {
            "arn:aws:kms:us-east-1:111122223333:key/1"
        } else {
            "arn:aws:s3:::b/k"
        },
        owner: A.parse().unwrap(),
        object_owner: None,
        context: &context,
    };
    let identity: Vec<Named> = sides.identity.iter().cloned().collect();
    let session: Option<Vec<Named>> = sides.session.clone().map(|session| vec![session]);
    let policies = Policies {
        identity: &identity,
        boundary: sides.boundary.as_ref(),
        session: session.as_deref(),
        resource: sides.resource.as_ref(),
        rule,
        limits,
        ..Policies::default()
    };
    let verdict = decide(&question, &policies);
    assert_eq!(explain(&question, &policies).allowed, verdict == Allowed);
    if verdict == Denied(Explicit(Kind::Identity)) {
        assert_eq!(denying_policy(&question, &policies).as_deref(), Some("arn:aws:iam::111122223333:policy/p"));
    }
    verdict
}

#[test]
fn buckets() {
    let bob = "arn:aws:iam::111122223333:user/bob";
    let r = "arn:aws:iam::111122223333:role/r";
    let s = "arn:aws:sts::111122223333:assumed-role/r/s";
    let f = "arn:aws:sts::111122223333:federated-user/f";
    for (n, (principal, [identity, boundary, session], (effect, whom), expected)) in [
        // One account, identity's policies alone.
        (user(A), ["-", "-", "-"], ("-", ""), Denied(Implicit(Kind::Identity))),
        (user(A), ["allow", "-", "-"], ("-", ""), Allowed),
        (user(A), ["other", "-", "-"], ("-", ""), Denied(Implicit(Kind::Identity))),
        (user(A), ["allow", "other", "-"], ("-", ""), Denied(Implicit(Kind::Boundary))),
        (user(A), ["-", "allow", "-"], ("-", ""), Denied(Implicit(Kind::Identity))),
        (role(A), ["allow", "-", "other"], ("-", ""), Denied(Implicit(Kind::Session))),
        (role(A), ["allow", "allow", "allow"], ("-", ""), Allowed),
        (root(A), ["-", "-", "-"], ("-", ""), Allowed),
        // A bucket's policy that names the principal directly frees it from what its own side does not say.
        (user(A), ["-", "other", "-"], ("Allow", bob), Allowed),
        (role(A), ["-", "-", "-"], ("Allow", r), Allowed),
        (role(A), ["-", "other", "-"], ("Allow", r), Denied(Implicit(Kind::Boundary))),
        (role(A), ["-", "-", "other"], ("Allow", r), Denied(Implicit(Kind::Session))),
        (role(A), ["-", "other", "other"], ("Allow", s), Allowed),
        (federated(), ["-", "-", "other"], ("Allow", f), Allowed),
        (federated(), ["allow", "-", "other"], ("Allow", bob), Denied(Implicit(Kind::Session))),
        (federated(), ["allow", "-", "allow"], ("-", ""), Allowed),
        (user(A), ["-", "other", "-"], ("Allow", "*"), Allowed),
        // The account delegates.
        (user(A), ["-", "-", "-"], ("Allow", A), Denied(Implicit(Kind::Identity))),
        (user(A), ["allow", "-", "-"], ("Allow", A), Allowed),
        // Denies win, wherever they stand.
        (user(A), ["deny", "-", "-"], ("Allow", bob), Denied(Explicit(Kind::Identity))),
        (user(A), ["allow", "-", "-"], ("Deny", bob), Denied(Explicit(Kind::Resource))),
        (user(A), ["allow", "deny", "-"], ("Allow", bob), Denied(Explicit(Kind::Boundary))),
        (role(A), ["allow", "-", "deny"], ("Allow", s), Denied(Explicit(Kind::Session))),
        (role(A), ["allow", "-", "-"], ("Deny", A), Denied(Explicit(Kind::Resource))),
        (root(A), ["-", "-", "-"], ("Deny", "*"), Denied(Explicit(Kind::Resource))),
        // Another account: both sides.
        (user(B), ["allow", "-", "-"], ("-", ""), Denied(Implicit(Kind::Resource))),
        (user(B), ["-", "-", "-"], ("Allow", B), Denied(Implicit(Kind::Identity))),
        (user(B), ["-", "-", "-"], ("Allow", "arn:aws:iam::444455556666:user/bob"), Denied(Implicit(Kind::Identity))),
        (user(B), ["-", "-", "-"], ("Allow", "*"), Denied(Implicit(Kind::Identity))),
        (user(B), ["allow", "-", "-"], ("Allow", B), Allowed),
        (user(B), ["allow", "-", "-"], ("Allow", "*"), Allowed),
        (
            user(B),
            ["allow", "other", "-"],
            ("Allow", "arn:aws:iam::444455556666:user/bob"),
            Denied(Implicit(Kind::Boundary)),
        ),
        (
            role(B),
            ["allow", "-", "other"],
            ("Allow", "arn:aws:sts::444455556666:assumed-role/r/s"),
            Denied(Implicit(Kind::Session)),
        ),
        (root(B), ["-", "-", "-"], ("Allow", B), Allowed),
        (root(B), ["-", "-", "-"], ("-", ""), Denied(Implicit(Kind::Resource))),
        // Nobody.
        (Principal::Anonymous, ["-", "-", "-"], ("-", ""), Denied(Implicit(Kind::Resource))),
        (Principal::Anonymous, ["-", "-", "-"], ("Allow", "*"), Allowed),
        (Principal::Anonymous, ["-", "-", "-"], ("Allow", A), Denied(Implicit(Kind::Resource))),
    ]
    .into_iter()
    .enumerate()
    {
        let sides = sides(principal, [identity, boundary, session], bucket(effect, whom));
        let found = answer(&sides, "s3:GetObject", ResourceRule::Either, Limits::default());
        assert_eq!(found, expected, "case {n}: {} {identity} {boundary} {session} {effect} {whom}", sides.principal);
    }
}

#[test]
fn keys_and_trust_need_their_own_policy() {
    for (principal, [identity, boundary, session], whom, expected) in [
        // Not even the account's root user has a right by itself.
        (root(A), ["-", "-", "-"], "-", Denied(Implicit(Kind::Resource))),
        (root(A), ["-", "-", "-"], "arn:aws:iam::111122223333:user/bob", Denied(Implicit(Kind::Resource))),
        (root(A), ["-", "-", "-"], A, Allowed),
        (user(A), ["allow", "-", "-"], "-", Denied(Implicit(Kind::Resource))),
        (user(A), ["allow", "-", "-"], "arn:aws:iam::111122223333:user/eve", Denied(Implicit(Kind::Resource))),
        (user(A), ["allow", "-", "-"], "arn:aws:iam::111122223333:root", Allowed),
        (user(A), ["-", "-", "-"], "arn:aws:iam::111122223333:root", Denied(Implicit(Kind::Identity))),
        (user(A), ["-", "-", "-"], "arn:aws:iam::111122223333:user/bob", Allowed),
        (user(A), ["deny", "-", "-"], "arn:aws:iam::111122223333:user/bob", Denied(Explicit(Kind::Identity))),
        (role(A), ["-", "other", "-"], "arn:aws:iam::111122223333:role/r", Denied(Implicit(Kind::Boundary))),
        (user(B), ["allow", "-", "-"], B, Allowed),
        (user(B), ["-", "-", "-"], B, Denied(Implicit(Kind::Identity))),
        (user(B), ["allow", "-", "-"], A, Denied(Implicit(Kind::Resource))),
    ] {
        let sides = sides(principal, [identity, boundary, session], key(whom));
        let found = answer(&sides, "kms:Decrypt", ResourceRule::Required, Limits::default());
        assert_eq!(found, expected, "{} {identity} {boundary} {session} {whom}", sides.principal);
    }
}

#[test]
fn the_owners_root_user_is_never_locked_out_of_its_buckets_policy() {
    let sides = sides(root(A), ["-", "-", "-"], bucket("Deny", "*"));
    for (action, expected) in [
        ("s3:GetBucketPolicy", Allowed),
        ("s3:PutBucketPolicy", Allowed),
        ("s3:DeleteBucketPolicy", Allowed),
        ("s3:DeleteBucket", Denied(Explicit(Kind::Resource))),
    ] {
        assert_eq!(answer(&sides, action, ResourceRule::Either, Limits::default()), expected, "{action}");
    }
}

#[test]
fn a_public_access_block_keeps_others_out_and_every_deny_in() {
    let block = Limits { restrict_public: true, ignore_public_acls: true };
    for (principal, (effect, whom), expected) in [
        (Principal::Anonymous, ("Allow", "*"), Denied(Explicit(Kind::Resource))),
        (user(B), ("Allow", "*"), Denied(Explicit(Kind::Resource))),
        // A policy that is not public is not touched.
        (user(B), ("Allow", B), Allowed),
        (user(A), ("Allow", "*"), Allowed),
        (user(A), ("Deny", "*"), Denied(Explicit(Kind::Resource))),
        (Principal::Anonymous, ("Deny", "*"), Denied(Explicit(Kind::Resource))),
    ] {
        let sides = sides(principal, ["allow", "-", "-"], bucket(effect, whom));
        assert_eq!(
            answer(&sides, "s3:GetObject", ResourceRule::Either, block),
            expected,
            "{} {effect} {whom}",
            sides.principal
        );
    }
}

#[test]
fn an_explanation_names_what_decided_and_what_would_help() {
    let context = {
        let mut context = Context::default();
        context.text("s3:x-amz-server-side-encryption", "AES256");
        context
    };
    let policy = named(
        "{\"Version\":\"2012-10-17\",\"Statement\":[\n{\"Sid\":\"DenyUnencrypted\",\"Effect\":\"Deny\",\"Principal\":\"*\",\"Action\":\"s3:PutObject\",\
         \"Resource\":\"arn:aws:s3:::b/*\",\"Condition\":{\"StringNotEquals\":{\"s3:x-amz-server-side-encryption\":\"aws:kms\"}}}]}",
        PolicyKind::Bucket { name: "b".into() },
        PolicySource::Resource { arn: "arn:aws:s3:::b".into() },
    );
    let identity = [own("allow").unwrap()];
    let principal = role(A);
    let question = Question {
        principal: &principal,
        action: "s3:PutObject",
        resource: "arn:aws:s3:::b/k",
        owner: A.parse().unwrap(),
        object_owner: None,
        context: &context,
    };
    let explanation =
        explain(&question, &Policies { identity: &identity, resource: Some(&policy), ..Policies::default() });
    let text = explanation.to_string();
    for part in [
        "DENIED  s3:PutObject on arn:aws:s3:::b/k",
        "arn:aws:sts::111122223333:assumed-role/r/s",
        "a resource-based policy denies explicitly",
        "Deny statement 1 DenyUnencrypted (line 2) matches",
        "StringNotEquals s3:x-amz-server-side-encryption [aws:kms] holds: it is AES256",
        "Statement 1 (DenyUnencrypted) of policy of arn:aws:s3:::b denies",
    ] {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
    // Without the deny and the allow, what is missing is one statement.
    let explanation = explain(&question, &Policies::default());
    let suggestion = explanation.suggestion.unwrap();
    assert!(
        suggestion.what.starts_with("Add to an identity-based policy of arn:aws:iam::111122223333:role/r"),
        "{}",
        suggestion.what
    );
    assert_eq!(
        suggestion.statement.as_deref(),
        Some(r#"{"Action":"s3:PutObject","Effect":"Allow","Resource":"arn:aws:s3:::b/k"}"#)
    );
    // What is suggested does allow it.
    let added = format!(r#"{{"Version":"2012-10-17","Statement":{}}}"#, suggestion.statement.unwrap());
    let added = [named(&added, PolicyKind::Identity, PolicySource::Session { name: "inline".into() })];
    assert_eq!(decide(&question, &Policies { identity: &added, ..Policies::default() }), Allowed);
}

#[test]
fn conditions_that_fail_come_before_a_wider_policy() {
    let by_policy = |principal: &Principal, statement: &str, kind: PolicyKind, action: &str, rule| {
        let resource = if kind == PolicyKind::Trust { "arn:aws:iam::111122223333:role/x" } else { "arn:aws:s3:::b" };
        let text = format!(r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow",{statement}}}]}}"#);
        let identity = kind == PolicyKind::Identity;
        let policy = named(&text, kind, PolicySource::Resource { arn: resource.into() });
        let mut context = Context::default();
        context.text("s3:prefix", "a/");
        context.text("aws:SourceIp", "127.0.0.1");
        let question =
            Question { principal, action, resource, owner: A.parse().unwrap(), object_owner: None, context: &context };
        let own = std::slice::from_ref(&policy);
        let policies = match identity {
            true => Policies { identity: own, rule, ..Policies::default() },
            false => Policies { resource: Some(&policy), rule, ..Policies::default() },
        };
        let explanation = explain(&question, &policies);
        let text = explanation.to_string();
        (explanation.suggestion.unwrap(), text)
    };
    let bucket = || PolicyKind::Bucket { name: "b".into() };
    let listing = r#""Action":"s3:ListBucket","Resource":"arn:aws:s3:::b""#;
    let prefix = r#""Condition":{"StringEquals":{"s3:prefix":["b/","c/"]},"IpAddress":{"aws:SourceIp":"127.0.0.0/8"}}"#;
    let everybody = r#""Principal":"*""#;
    let account = r#""Principal":{"AWS":"111122223333"}"#;
    let (mine, either) = (role(A), ResourceRule::Either);
    let external =
        format!(r#"{account},"Action":"sts:AssumeRole","Condition":{{"StringEquals":{{"sts:ExternalId":"xx"}}}}"#);
    for (statement, kind, action, rule, expected) in [
        (
            format!("{everybody},{listing},{prefix}"),
            bucket(),
            "s3:ListBucket",
            either,
            "StringEquals s3:prefix [b/, c/]",
        ),
        (
            format!("{listing},{prefix}"),
            PolicyKind::Identity,
            "s3:ListBucket",
            either,
            "StringEquals s3:prefix [b/, c/]",
        ),
        (external, PolicyKind::Trust, "sts:AssumeRole", ResourceRule::Required, "StringEquals sts:ExternalId [xx]"),
        // Naming the account leaves it to the identity's policies, whatever the conditions say.
        (format!("{account},{listing},{prefix}"), bucket(), "s3:ListBucket", either, ""),
        (format!("{everybody},{listing},{prefix}"), bucket(), "s3:ListBucketVersions", either, ""),
    ] {
        let (suggestion, text) = by_policy(&mine, &statement, kind, action, rule);
        let failing: Vec<_> = suggestion.unmet.iter().flat_map(|unmet| &unmet.conditions).collect();
        let found: Vec<_> =
            failing.iter().map(|c| format!("{} {} [{}]", c.operator, c.key, c.wanted.join(", "))).collect();
        assert_eq!(found.join("; "), expected, "{text}");
        assert!(suggestion.statement.is_some(), "{text}");
        let first = if expected.is_empty() { "what would help: Add to" } else { "what would help: Send a request" };
        assert!(text.contains(first) && text.contains("or without them") != expected.is_empty(), "{text}");
    }
    // The root user of another account has all of its account's rights; others need them given.
    let nothing = format!(r#"{account},"Action":"s3:GetObject","Resource":"arn:aws:s3:::b""#);
    for (principal, said) in [(Principal::Root(B.parse().unwrap()), false), (role(B), true)] {
        let (suggestion, _) = by_policy(&principal, &nothing, bucket(), "s3:ListBucket", either);
        assert_eq!(suggestion.what.contains("must allow it too"), said, "{}", suggestion.what);
    }
}
