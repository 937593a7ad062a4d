//! Readings of AWS's documentation that are easily got wrong, most of them so that a policy would be looser than AWS has it. Each table
//! names the page that it is from: of the IAM User Guide where nothing else is said.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::collections::BTreeMap;
use std::sync::Arc;

use millpond_policy::{
    Context, ContextValue, Denial, Fault, Grant, Grantee, Kind, Limits, Named, Policies, Policy, PolicyKind,
    PolicySource, Principal, Question, ResourceRule, Verdict, decide, explain, naive,
};
use millpond_types::Timestamp;
use serde_json::{Value, json};

const A: &str = "111122223333";
const B: &str = "444455556666";
const BOB: &str = "AIDAAAAAAAAAAAAAAAAAA";
const ROLE: &str = "AROAAAAAAAAAAAAAAAAAA";

use Denial::{Explicit, Implicit};
use Verdict::{Allowed, Denied};

fn user() -> Principal {
    Principal::User { account: A.parse().unwrap(), path: "/".into(), name: "bob".into(), id: BOB.into() }
}

fn role() -> Principal {
    let (path, name, session) = ("/".into(), "r".into(), "s".into());
    Principal::Role { account: A.parse().unwrap(), path, name, id: ROLE.into(), session }
}

fn federated() -> Principal {
    Principal::Federated { account: A.parse().unwrap(), name: "f".into(), user: Box::new(user()) }
}

fn root(account: &str) -> Principal {
    Principal::Root(account.parse().unwrap())
}

fn service(name: &str) -> Principal {
    Principal::Service { name: name.into() }
}

fn parsed(document: &Value, kind: PolicyKind) -> Named {
    let policy = Policy::parse(&document.to_string(), kind).unwrap_or_else(|error| panic!("{error}: {document}"));
    Named { source: PolicySource::Session { name: "inline".into() }, policy: Arc::new(policy) }
}

fn bucket_kind() -> PolicyKind {
    PolicyKind::Bucket { name: "b".into() }
}

fn document(statement: Value) -> Value {
    json!({ "Version": "2012-10-17", "Statement": statement })
}

/// An identity's policy that allows everything.
fn all() -> Named {
    parsed(&document(json!({ "Effect": "Allow", "Action": "*", "Resource": "*" })), PolicyKind::Identity)
}

/// Silent about what is asked.
fn other() -> Named {
    parsed(&document(json!({ "Effect": "Allow", "Action": "sqs:*", "Resource": "*" })), PolicyKind::Identity)
}

/// A bucket's policy with one statement about everything in it.
fn bucket(effect: &str, principal: Value, condition: Value) -> Named {
    let resource = json!(["arn:aws:s3:::b", "arn:aws:s3:::b/*"]);
    let mut statement = json!({ "Effect": effect, "Action": "s3:*", "Resource": resource, "Condition": condition });
    let name = if principal["Not"].is_null() { "Principal" } else { "NotPrincipal" };
    statement[name] = if principal["Not"].is_null() { principal } else { principal["Not"].clone() };
    parsed(&document(statement), bucket_kind())
}

/// What the evaluator says; its twin and the explanation say the same.
fn ask(principal: &Principal, action: &str, resource: &str, context: &Context, policies: &Policies<'_>) -> Verdict {
    let question = Question { principal, action, resource, owner: A.parse().unwrap(), object_owner: None, context };
    let verdict = decide(&question, policies);
    assert_eq!(explain(&question, policies).allowed, verdict == Allowed);
    verdict
}

fn ask_both(
    principal: &Principal,
    action: &str,
    resource: &str,
    context: &Context,
    policies: &Policies<'_>,
) -> Verdict {
    let question = Question { principal, action, resource, owner: A.parse().unwrap(), object_owner: None, context };
    let verdict = ask(principal, action, resource, context, policies);
    assert_eq!(naive::decide(&question, policies), verdict, "the twin");
    verdict
}

fn context() -> Context {
    let mut c = Context::default();
    c.text("aws:username", "bob");
    c.text("aws:SourceIp", "203.0.113.9");
    c.text("six", "2001:db8::9");
    c.text("mapped", "::ffff:203.0.113.9");
    c.text("s3:ExistingObjectTag/Team", "red");
    c.text("empty", "");
    c.text("star", "*");
    c.set("none", ContextValue::Many(Vec::new()));
    c.set("aws:TagKeys", ContextValue::Many(vec!["Env".into(), "Owner".into()]));
    c.set("s3:max-keys", ContextValue::Number(10.0));
    c.text("text-number", "10");
    c.text("no-number", "ten");
    c.set("aws:CurrentTime", ContextValue::Time(Timestamp::from_seconds(1_582_934_400)));
    c.set("aws:EpochTime", ContextValue::Number(1_582_934_400.0));
    c.set("aws:SecureTransport", ContextValue::Bool(false));
    c.text("aws:PrincipalArn", "arn:aws:iam::111122223333:user/bob");
    c.text("aws:SourceArn", "arn:aws:someservice:us-east-2:999999999999:store/abc:111122223333:finance/document.txt");
    c
}

/// Whether a condition holds, seen from both sides: an Allow with it allows, and a Deny with it denies.
fn holds(condition: &Value) -> bool {
    let context = context();
    let identity = |effect: &str| {
        let statement = json!({ "Effect": effect, "Action": "s3:*", "Resource": "*", "Condition": condition });
        parsed(&document(statement), PolicyKind::Identity)
    };
    let put = |identity: &[Named]| {
        let policies = Policies { identity, ..Policies::default() };
        ask_both(&user(), "s3:GetObject", "arn:aws:s3:::b/k", &context, &policies)
    };
    let allowed = put(&[identity("Allow")]) == Allowed;
    let denied = put(&[all(), identity("Deny")]) == Denied(Explicit(Kind::Identity));
    assert_eq!(allowed, denied, "{condition}");
    allowed
}

/// "Condition operators", "Multivalued context keys", "Policy variables with no value".
#[test]
fn conditions() {
    for (operator, key, values, expected) in [
        // A key that is missing: false, and true for what is negated; no quantifier changes that but ForAllValues.
        ("NumericLessThan", "missing", json!("1"), false),
        ("NumericNotEquals", "missing", json!("1"), true),
        ("DateLessThan", "aws:TokenIssueTime", json!("2030-01-01T00:00:00Z"), false),
        ("DateNotEquals", "aws:TokenIssueTime", json!("2030-01-01T00:00:00Z"), true),
        ("NotIpAddress", "missing", json!("0.0.0.0/0"), true),
        ("ArnNotLike", "missing", json!("*"), true),
        ("BinaryEquals", "missing", json!("QQ=="), false),
        ("ForAllValues:StringEquals", "missing", json!("x"), true),
        ("ForAllValues:StringNotEquals", "missing", json!("x"), true),
        ("ForAnyValue:StringEquals", "missing", json!("x"), false),
        ("ForAnyValue:StringNotEquals", "missing", json!("x"), false),
        ("StringNotEqualsIfExists", "missing", json!("x"), true),
        ("BoolIfExists", "aws:MultiFactorAuthPresent", json!("false"), true),
        ("Bool", "aws:MultiFactorAuthPresent", json!("false"), false),
        // A set without members is no value. `Null: false` beside ForAllValues keeps it out, as the page promises.
        ("Null", "none", json!("false"), false),
        ("Null", "none", json!("true"), true),
        ("ForAllValues:StringEquals", "none", json!("x"), true),
        ("ForAnyValue:StringLike", "none", json!("*"), false),
        ("StringNotEquals", "none", json!("x"), true),
        ("StringEqualsIfExists", "none", json!("x"), true),
        // Several values: what is negated holds of all of them, or of one with ForAnyValue.
        ("ForAnyValue:StringNotEquals", "aws:TagKeys", json!("Env"), true),
        ("ForAllValues:StringNotEquals", "aws:TagKeys", json!("Env"), false),
        ("StringNotEquals", "aws:TagKeys", json!("Env"), false),
        ("StringNotLike", "aws:TagKeys", json!(["x*", "O*"]), false),
        ("ForAllValues:StringLike", "aws:TagKeys", json!(["E*", "x"]), false),
        // A variable without a value equals nothing; other values count beside it.
        ("StringNotEquals", "s3:ExistingObjectTag/Team", json!("${aws:PrincipalTag/Team}"), true),
        ("StringEquals", "s3:ExistingObjectTag/Team", json!("${aws:PrincipalTag/Team}"), false),
        ("StringNotLike", "s3:ExistingObjectTag/Team", json!("*${aws:PrincipalTag/Team}*"), true),
        ("StringLike", "s3:ExistingObjectTag/Team", json!("*${aws:PrincipalTag/Team}*"), false),
        ("StringEquals", "s3:ExistingObjectTag/Team", json!(["${aws:PrincipalTag/Team}", "red"]), true),
        ("StringNotEquals", "s3:ExistingObjectTag/Team", json!(["${aws:PrincipalTag/Team}", "red"]), false),
        ("ArnNotEquals", "aws:PrincipalArn", json!("arn:aws:iam::111122223333:user/${aws:PrincipalTag/Team}"), true),
        ("ArnEquals", "aws:PrincipalArn", json!("arn:aws:iam::111122223333:user/${aws:PrincipalTag/Team}"), false),
        // Several values cannot be one value, so that a variable has none of them.
        ("StringEquals", "s3:ExistingObjectTag/Team", json!("${aws:TagKeys}"), false),
        ("StringLike", "aws:username", json!("${aws:TagKeys, 'bob'}"), true),
        // What a variable brings in is text, and an escaped wildcard is a character.
        ("StringLike", "s3:ExistingObjectTag/Team", json!("${star}"), false),
        ("StringLike", "star", json!("${*}"), true),
        ("StringLike", "aws:username", json!("b${?}b"), false),
        ("ArnLike", "aws:PrincipalArn", json!("arn:aws:iam::111122223333:user/${*}"), false),
        // Names of keys are of any case, values of their own.
        ("StringEquals", "AWS:UserName", json!("bob"), true),
        ("StringEquals", "aws:username", json!("Bob"), false),
        ("StringEqualsIgnoreCase", "aws:username", json!("BOB"), true),
        ("StringLike", "aws:username", json!("BO?"), false),
        ("StringEquals", "aws:username", json!("bo*"), false),
        ("Bool", "aws:SecureTransport", json!("FALSE"), true),
        ("Bool", "aws:username", json!("false"), false),
        // Numbers that are none are unequal to every number.
        ("NumericEquals", "text-number", json!(10), true),
        ("NumericEquals", "no-number", json!("10"), false),
        ("NumericNotEquals", "no-number", json!("10"), true),
        ("NumericLessThan", "no-number", json!("10"), false),
        ("NumericGreaterThanEquals", "no-number", json!("0"), false),
        ("NumericLessThanEquals", "s3:max-keys", json!("10.0"), true),
        ("NumericLessThan", "s3:max-keys", json!("1e1"), false),
        // Dates: the 29th of February of 2020, at midnight; in seconds, and in the forms of W3C's note.
        ("DateEquals", "aws:CurrentTime", json!("2020-02-29"), true),
        ("DateEquals", "aws:CurrentTime", json!("2020-02-29T00:00Z"), true),
        ("DateEquals", "aws:CurrentTime", json!("2020-02-28T19:00:00-05:00"), true),
        ("DateEquals", "aws:CurrentTime", json!(1_582_934_400), true),
        ("DateEquals", "aws:EpochTime", json!("2020-02-29"), true),
        ("NumericEquals", "aws:EpochTime", json!("1582934400"), true),
        ("StringEquals", "aws:EpochTime", json!("1582934400"), true),
        ("DateGreaterThan", "aws:CurrentTime", json!("2020"), true),
        ("DateLessThan", "aws:CurrentTime", json!("2020-03"), true),
        ("DateGreaterThan", "aws:CurrentTime", json!("1969-12-31T23:59:59Z"), true),
        ("DateLessThan", "aws:CurrentTime", json!("-86400"), false),
        ("DateLessThan", "aws:username", json!("2100"), false),
        ("DateNotEquals", "aws:username", json!("2100"), true),
        // Addresses of one family are in no range of the other; IPv4 ones written as IPv6 are IPv4 ones.
        ("IpAddress", "aws:SourceIp", json!(["203.0.113.0/24", "2001:DB8:1234:5678::/64"]), true),
        ("IpAddress", "aws:SourceIp", json!("203.0.113.9"), true),
        ("IpAddress", "aws:SourceIp", json!("::/0"), false),
        ("NotIpAddress", "aws:SourceIp", json!("::/0"), true),
        ("IpAddress", "six", json!("0.0.0.0/0"), false),
        ("IpAddress", "six", json!("2001:DB8::/32"), true),
        ("IpAddress", "six", json!("2001:db8::9/128"), true),
        ("IpAddress", "mapped", json!("203.0.113.0/24"), true),
        ("NotIpAddress", "mapped", json!("203.0.113.0/24"), false),
        ("IpAddress", "aws:SourceIp", json!("::ffff:203.0.113.0/120"), true),
        ("IpAddress", "aws:username", json!("0.0.0.0/0"), false),
        ("NotIpAddress", "aws:username", json!("0.0.0.0/0"), true),
        // ARNs part by part: the page's own example.
        ("StringLike", "aws:SourceArn", json!("arn:aws:someservice:*:111122223333:finance/*"), true),
        ("ArnLike", "aws:SourceArn", json!("arn:aws:someservice:*:111122223333:finance/*"), false),
        ("ArnNotLike", "aws:SourceArn", json!("arn:aws:someservice:*:111122223333:finance/*"), true),
        ("ArnEquals", "aws:SourceArn", json!("arn:aws:someservice:us-*:999999999999:store/*"), true),
        ("ArnLike", "aws:PrincipalArn", json!("arn:aws:iam::111122223333:User/bob"), false),
        ("ArnLike", "aws:username", json!("*"), false),
        ("ArnNotLike", "aws:username", json!("*"), true),
    ] {
        assert_eq!(holds(&json!({ operator: { key: values } })), expected, "{operator} {key} {values}");
    }
    // All operators and keys must hold, and one value of each.
    for (condition, expected) in [
        (json!({}), true),
        (json!({ "StringEquals": {} }), true),
        (json!({ "StringEquals": { "aws:username": "bob", "star": "*" } }), true),
        (json!({ "StringEquals": { "aws:username": "bob", "star": "x" } }), false),
        (json!({ "StringEquals": { "aws:username": "bob" }, "Null": { "missing": "false" } }), false),
        (json!({ "ForAllValues:StringEquals": { "none": "x" }, "Null": { "none": "false" } }), false),
    ] {
        assert_eq!(holds(&condition), expected, "{condition}");
    }
}

/// Values that an operator cannot have are refused when the policy is put, not compared in vain: "Condition operators" and "Grammar".
#[test]
fn values_that_mean_nothing() {
    for (operator, value) in [
        ("NumericEquals", json!("NaN")),
        ("NumericLessThan", json!("inf")),
        ("NumericLessThan", json!("1e400")),
        ("NumericEquals", json!("0x10")),
        ("NumericEquals", json!("${aws:EpochTime}")),
        ("DateLessThan", json!("9".repeat(400))),
        ("DateEquals", json!("2019-02-29")),
        ("DateEquals", json!("2020-02-29T00:00:00")),
        ("DateEquals", json!("2020-02-29T24:01:00Z")),
        ("DateEquals", json!("2020-*")),
        ("Bool", json!("${aws:SecureTransport}")),
        ("Bool", json!(1)),
        ("Null", json!("${missing}")),
        ("IpAddress", json!("203.0.113.*")),
        ("IpAddress", json!("2001:db8::/129")),
        ("IpAddress", json!("010.0.0.1")),
        ("BinaryEquals", json!("QQ")),
        ("ArnLike", json!("arn:aws:iam::user/bob")),
        ("StringEquals", json!([])),
        ("StringEquals", json!(null)),
        ("StringEquals", json!({})),
        ("stringequals", json!("x")),
        ("NullIfExists", json!("true")),
        ("ForAllValue:StringEquals", json!("x")),
    ] {
        let statement =
            json!({ "Effect": "Allow", "Action": "s3:*", "Resource": "*", "Condition": { operator: { "k": value } } });
        let error = Policy::parse(&document(statement).to_string(), PolicyKind::Identity).map(drop);
        assert_eq!(error.map_err(|error| error.fault), Err(Fault::Condition), "{operator} {value}");
    }
}

/// "Resource", "Policy variables with no value", "Version".
#[test]
fn resources() {
    let key = "arn:aws:kms:us-east-1:111122223333:key/1";
    for (name, patterns, resource, about) in [
        ("Resource", "arn:aws:s3:::b/*/test/*", "arn:aws:s3:::b/1/2/test/3/o.jpg", true),
        ("Resource", "arn:aws:s3:::b/*/test/*", "arn:aws:s3:::b/1-test/o.jpg", false),
        ("Resource", "arn:aws:s3:::b/*", "arn:aws:s3:::b", false),
        ("Resource", "arn:aws:s3:::B/*", "arn:aws:s3:::b/k", false),
        ("Resource", "arn:aws:s3:::b/*.log", "arn:aws:s3:::b/a:b.log", true),
        ("Resource", "arn:aws:kms:*:111122223333:key/*", key, true),
        ("Resource", "arn:aws:kms:us-*-1:111122223333:key/*", key, true),
        // A wildcard within a part stays there.
        (
            "Resource",
            "arn:aws:sqs:us-*-1:111122223333:q",
            "arn:aws:sqs:us-east-2:444455556666:a-1:111122223333:q",
            false,
        ),
        ("Resource", "arn:aws:kms:us?east-1:1*3:key/1", key, true),
        ("Resource", "arn:aws:kms:us-east-1?111122223333:key/*", key, false),
        ("Resource", "arn:aws:s3:::b/${aws:PrincipalTag/Team}/*", "arn:aws:s3:::b//k", false),
        ("Resource", "arn:aws:s3:::b/${aws:PrincipalTag/Team}*", "arn:aws:s3:::b/${aws:PrincipalTag/Team}", false),
        ("Resource", "arn:aws:s3:::b/${aws:PrincipalTag/Team, 'all'}/*", "arn:aws:s3:::b/all/k", true),
        ("Resource", "arn:aws:s3:::b/${star}/*", "arn:aws:s3:::b/x/k", false),
        ("Resource", "arn:aws:s3:::b/${star}/*", "arn:aws:s3:::b/*/k", true),
        ("Resource", "arn:aws:s3:::b/${$}{star}", "arn:aws:s3:::b/${star}", true),
        ("NotResource", "arn:aws:s3:::b/home/*", "arn:aws:s3:::b/home/k", false),
        ("NotResource", "arn:aws:s3:::b/home/*", "arn:aws:s3:::b/k", true),
    ] {
        let statement = json!({ "Effect": "Allow", "Action": "*", name: patterns });
        let identity = [parsed(&document(statement), PolicyKind::Identity)];
        let policies = Policies { identity: &identity, ..Policies::default() };
        let found = ask_both(&user(), "s3:GetObject", resource, &context(), &policies);
        assert_eq!(found == Allowed, about, "{name} {patterns} {resource}");
    }
    // A NotResource whose variable has no value excepts nothing: a deny binds everywhere. An allow says nothing.
    for (effect, expected) in [("Deny", Denied(Explicit(Kind::Identity))), ("Allow", Denied(Implicit(Kind::Identity)))]
    {
        let patterns = json!(["arn:aws:s3:::b/${aws:PrincipalTag/Team}/*"]);
        let statement = json!({ "Effect": effect, "Action": "*", "NotResource": patterns });
        let mut identity = vec![parsed(&document(statement), PolicyKind::Identity)];
        if effect == "Deny" {
            identity.push(all());
        }
        let policies = Policies { identity: &identity, ..Policies::default() };
        assert_eq!(ask_both(&user(), "s3:GetObject", "arn:aws:s3:::b/k", &context(), &policies), expected, "{effect}");
    }
    // Before 2012 there were no variables.
    for (version, about) in [("2012-10-17", "bob"), ("2008-10-17", "${aws:username}")] {
        let statement = json!({ "Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/${aws:username}" });
        let policy = parsed(&json!({ "Version": version, "Statement": statement }), bucket_kind());
        for key in ["bob", "${aws:username}"] {
            let policies = Policies { resource: Some(&policy), ..Policies::default() };
            let resource = format!("arn:aws:s3:::b/{key}");
            let found = ask_both(&user(), "s3:GetObject", &resource, &context(), &policies);
            assert_eq!(found == Allowed, key == about, "{version} {key}");
        }
    }
}

/// Who, the names in the policy, and the answers to an Allow and to a Deny beside a policy that allows everything.
/// "Principal", "NotPrincipal", "Resource-based policies and implicit denies in other policy types (same account)".
#[test]
fn principals() {
    let silent = Denied(Implicit(Kind::Identity));
    let nobody = Denied(Implicit(Kind::Resource));
    let (user_arn, role_arn) = ("arn:aws:iam::111122223333:user/bob", "arn:aws:iam::111122223333:role/r");
    let session = "arn:aws:sts::111122223333:assumed-role/r/s";
    let canonical = A.parse::<millpond_types::AccountId>().unwrap().canonical_id();
    for (principal, names, allow, denied) in [
        (user(), json!({ "AWS": user_arn }), Allowed, true),
        (user(), json!({ "AWS": "arn:aws:iam::111122223333:user/Bob" }), silent, false),
        (user(), json!({ "AWS": "arn:aws:iam::111122223333:user/x/bob" }), silent, false),
        (user(), json!({ "AWS": A }), silent, true),
        (user(), json!({ "AWS": B }), silent, false),
        (user(), json!({ "CanonicalUser": canonical }), silent, true),
        (user(), json!({ "AWS": BOB }), Allowed, true),
        (user(), json!({ "AWS": role_arn }), silent, false),
        (user(), json!({ "Service": "s3.amazonaws.com" }), silent, false),
        (user(), json!({ "Federated": "www.amazon.com" }), silent, false),
        (role(), json!({ "AWS": role_arn }), Allowed, true),
        (role(), json!({ "AWS": session }), Allowed, true),
        (role(), json!({ "AWS": "arn:aws:sts::111122223333:assumed-role/r/S" }), silent, false),
        (role(), json!({ "AWS": ROLE }), Allowed, true),
        // The user for whom a session is federated; a deny of the user binds it however the user is named.
        (federated(), json!({ "AWS": "arn:aws:sts::111122223333:federated-user/f" }), Allowed, true),
        (federated(), json!({ "AWS": user_arn }), Allowed, true),
        (federated(), json!({ "AWS": BOB }), Allowed, true),
        (federated(), json!({ "AWS": "arn:aws:sts::111122223333:federated-user/g" }), silent, false),
        (root(A), json!({ "AWS": "arn:aws:iam::111122223333:root" }), Allowed, true),
        (Principal::Anonymous, json!({ "AWS": "*" }), Allowed, true),
        (Principal::Anonymous, json!({ "AWS": A }), nobody, false),
        (service("a.amazonaws.com"), json!({ "Service": "a.amazonaws.com" }), Allowed, true),
        (service("a.amazonaws.com"), json!({ "Service": "b.amazonaws.com" }), nobody, false),
        (service("a.amazonaws.com"), json!({ "AWS": A }), nobody, false),
    ] {
        let allowing = bucket("Allow", names.clone(), json!({}));
        let policies = Policies { resource: Some(&allowing), ..Policies::default() };
        let found = ask_both(&principal, "s3:GetObject", "arn:aws:s3:::b/k", &context(), &policies);
        assert_eq!(found, allow, "{principal} {names}");
        let denying = bucket("Deny", names.clone(), json!({}));
        let identity = [all()];
        let policies = Policies { resource: Some(&denying), identity: &identity, ..Policies::default() };
        let found = ask_both(&principal, "s3:GetObject", "arn:aws:s3:::b/k", &context(), &policies);
        assert_eq!(found == Denied(Explicit(Kind::Resource)), denied, "{principal} {names}");
    }
    for (principal, names, denied) in [
        (user(), json!([A, user_arn]), false),
        (user(), json!([user_arn]), true),
        (user(), json!([A]), true),
        (user(), json!([B, user_arn]), true),
        (user(), json!([A, BOB]), false),
        (role(), json!([A, role_arn, session]), false),
        (role(), json!([A, role_arn]), true),
        (role(), json!([A, session]), true),
        (role(), json!([A, role_arn, "arn:aws:sts::111122223333:assumed-role/r/t"]), true),
        (federated(), json!([A, user_arn, "arn:aws:sts::111122223333:federated-user/f"]), false),
        (federated(), json!([A, user_arn]), true),
        (root(A), json!([A]), false),
        (root(B), json!([A]), true),
        (Principal::Anonymous, json!([A]), true),
        (Principal::Anonymous, json!(["*"]), false),
        (service("a.amazonaws.com"), json!([A]), true),
    ] {
        let denying = bucket("Deny", json!({ "Not": { "AWS": names } }), json!({}));
        let identity = [all()];
        let policies = Policies { resource: Some(&denying), identity: &identity, ..Policies::default() };
        let found = ask_both(&principal, "s3:GetObject", "arn:aws:s3:::b/k", &context(), &policies);
        assert_eq!(found == Denied(Explicit(Kind::Resource)), denied, "all but {names}: {principal}");
    }
    // "Whenever a principal has a permissions boundary, NotPrincipal with Deny always denies" (Permissions boundaries).
    let denying = bucket("Deny", json!({ "Not": { "AWS": [A, user_arn] } }), json!({}));
    let (identity, boundary) = ([all()], all());
    let policies =
        Policies { resource: Some(&denying), identity: &identity, boundary: Some(&boundary), ..Policies::default() };
    let found = ask_both(&user(), "s3:GetObject", "arn:aws:s3:::b/k", &context(), &policies);
    assert_eq!(found, Denied(Explicit(Kind::Resource)));
}

/// What a boundary and a session's policies that are silent do to an allow of the resource's side: the table of "Resource-based policies
/// and implicit denies in other policy types", and "IAM role principals" on a wildcard with `aws:PrincipalArn`.
#[test]
fn silent_limits() {
    let (user_arn, role_arn) = ("arn:aws:iam::111122223333:user/bob", "arn:aws:iam::111122223333:role/r");
    let session_arn = "arn:aws:sts::111122223333:assumed-role/r/s";
    let federated_arn = "arn:aws:sts::111122223333:federated-user/f";
    for (principal, name, by_boundary, by_session) in [
        (user(), user_arn, true, true),
        (user(), "*", true, true),
        (role(), session_arn, true, true),
        (role(), role_arn, false, false),
        (role(), ROLE, false, false),
        (role(), "*", true, true),
        (federated(), federated_arn, true, true),
        (federated(), user_arn, false, false),
        (federated(), BOB, false, false),
        (user(), A, false, false),
    ] {
        let policy = bucket("Allow", json!({ "AWS": name }), json!({}));
        let (limit, sessions, identity) = (other(), [other()], [all()]);
        // With what the identity may do, so that an account that delegates is limited alone by what is tested.
        let base = Policies { resource: Some(&policy), identity: &identity, ..Policies::default() };
        for (policies, allowed, kind) in [
            (Policies { boundary: Some(&limit), ..base }, by_boundary, Kind::Boundary),
            (Policies { session: Some(&sessions), ..base }, by_session, Kind::Session),
            (Policies { session: Some(&[]), ..base }, by_session, Kind::Session),
        ] {
            let found = ask_both(&principal, "s3:GetObject", "arn:aws:s3:::b/k", &Context::default(), &policies);
            let expected = if allowed { Allowed } else { Denied(Implicit(kind)) };
            assert_eq!(found, expected, "{principal} {name} {kind:?}");
        }
    }
}

/// "Important: if your Principal element contains an ARN that points to a specific user or role ..." (Principal); KMS Developer Guide, "Grants".
#[test]
fn who_has_the_name_later() {
    let arn = "arn:aws:iam::111122223333:user/bob";
    let of = |id: &str| {
        let mut document =
            Policy::parse(bucket("Allow", json!({ "AWS": arn }), json!({})).policy.text(), bucket_kind()).unwrap();
        let ids = if id.is_empty() { BTreeMap::new() } else { BTreeMap::from([(arn.to_owned(), id.to_owned())]) };
        document.bind(&ids);
        Named { source: PolicySource::Session { name: "inline".into() }, policy: Arc::new(document) }
    };
    for (id, allowed) in [(BOB, true), ("AIDABBBBBBBBBBBBBBBBB", false), ("", false)] {
        let policy = of(id);
        let policies = Policies { resource: Some(&policy), ..Policies::default() };
        let found = ask(&user(), "s3:GetObject", "arn:aws:s3:::b/k", &Context::default(), &policies);
        assert_eq!(found == Allowed, allowed, "{id}");
        if id.is_empty() {
            continue;
        }
        let grants = [Grant { to: Grantee::Identity { arn: arn.into(), id: id.into() }, what: "grant".into() }];
        let policies = Policies { grants: &grants, rule: ResourceRule::Required, ..Policies::default() };
        for (principal, allowed) in [(user(), allowed), (role(), false), (root(A), false)] {
            let key = "arn:aws:kms:us-east-1:111122223333:key/1";
            let found = ask_both(&principal, "kms:Decrypt", key, &Context::default(), &policies);
            assert_eq!(found == Allowed, allowed, "{id} {principal}");
        }
    }
}

/// KMS Developer Guide, "Key policies" ("Allows access to the AWS account and enables IAM policies"), "Grants", "Allowing users in other
/// accounts to use a KMS key".
#[test]
fn keys() {
    let key = |statements: Value| parsed(&document(statements), PolicyKind::Key);
    let allow = |principal: &str| json!({ "Effect": "Allow", "Principal": { "AWS": principal }, "Action": "kms:*", "Resource": "*" });
    let via = |service: &str| {
        let mut statement = allow("*");
        statement["Condition"] = json!({ "StringEquals": { "kms:ViaService": service, "kms:CallerAccount": A } });
        statement
    };
    let stranger = Principal::User {
        account: B.parse().unwrap(),
        path: "/".into(),
        name: "eve".into(),
        id: "AIDAEEEEEEEEEEEEEEEEE".into(),
    };
    let grant = |to: Grantee| vec![Grant { to, what: "grant".into() }];
    let to_bob = || grant(Grantee::Principal("arn:aws:iam::111122223333:user/bob".into()));
    let root_arn = "arn:aws:iam::111122223333:root";
    for (n, (principal, statements, identity, grants, via_service, expected)) in [
        // IAM policies count for nothing without the account's statement, not even the root user's standing.
        (
            user(),
            json!([allow("arn:aws:iam::111122223333:role/r")]),
            true,
            vec![],
            None,
            Denied(Implicit(Kind::Resource)),
        ),
        (
            root(A),
            json!([allow("arn:aws:iam::111122223333:role/r")]),
            true,
            vec![],
            None,
            Denied(Implicit(Kind::Resource)),
        ),
        (user(), json!([allow(root_arn)]), true, vec![], None, Allowed),
        (user(), json!([allow(root_arn)]), false, vec![], None, Denied(Implicit(Kind::Identity))),
        (root(A), json!([allow(root_arn)]), false, vec![], None, Allowed),
        (user(), json!([allow("arn:aws:iam::111122223333:user/bob")]), false, vec![], None, Allowed),
        // A grant takes the place of both.
        (user(), json!([allow("arn:aws:iam::111122223333:role/r")]), false, to_bob(), None, Allowed),
        (role(), json!([allow(root_arn)]), false, to_bob(), None, Denied(Implicit(Kind::Identity))),
        // Through a service, and not directly.
        (
            user(),
            json!([via("s3.us-east-1.amazonaws.com")]),
            false,
            vec![],
            Some("s3.us-east-1.amazonaws.com"),
            Allowed,
        ),
        (user(), json!([via("s3.us-east-1.amazonaws.com")]), true, vec![], None, Denied(Implicit(Kind::Resource))),
        (
            user(),
            json!([via("s3.us-east-1.amazonaws.com")]),
            true,
            vec![],
            Some("sqs.us-east-1.amazonaws.com"),
            Denied(Implicit(Kind::Resource)),
        ),
        // Another account needs its own policies besides.
        (stranger.clone(), json!([allow(B)]), true, vec![], None, Allowed),
        (stranger.clone(), json!([allow(B)]), false, vec![], None, Denied(Implicit(Kind::Identity))),
        (stranger.clone(), json!([allow(root_arn)]), true, vec![], None, Denied(Implicit(Kind::Resource))),
        (Principal::Anonymous, json!([allow(root_arn)]), false, vec![], None, Denied(Implicit(Kind::Resource))),
    ]
    .into_iter()
    .enumerate()
    {
        let policy = key(statements);
        let identity: &[Named] = if identity { &[all()] } else { &[] };
        let mut context = Context::default();
        if let Some(account) = principal.account() {
            context.text("kms:CallerAccount", account.to_string());
        }
        if let Some(service) = via_service {
            context.text("kms:ViaService", service);
        }
        let rule = ResourceRule::Required;
        let policies = Policies { resource: Some(&policy), identity, grants: &grants, rule, ..Policies::default() };
        let found =
            ask_both(&principal, "kms:Decrypt", "arn:aws:kms:us-east-1:111122223333:key/1", &context, &policies);
        assert_eq!(found, expected, "case {n}: {principal}");
    }
}

/// S3 User Guide, "Blocking public access": of a public policy, not even what it delegates to a certain account counts for another account.
#[test]
fn public_access_blocks() {
    let stranger = root(B);
    let limits = Limits { restrict_public: true, ignore_public_acls: true };
    let both = |condition: Value| {
        let resource = "arn:aws:s3:::b/*";
        let statements = json!([
            { "Effect": "Allow", "Principal": { "AWS": B }, "Action": "s3:GetObject", "Resource": resource },
            { "Effect": "Allow", "Principal": { "Service": "cloudtrail.amazonaws.com" }, "Action": "s3:GetObject", "Resource": resource },
            { "Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": resource, "Condition": condition },
        ]);
        parsed(&document(statements), bucket_kind())
    };
    let fixed = json!({ "StringEquals": { "aws:SourceVpc": "vpc-91237329" } });
    let nobody = json!({ "StringEquals": { "aws:userid": "anonymous" } });
    let mut unsigned = Context::default();
    unsigned.text("aws:userid", "anonymous");
    for (condition, principal, expected) in [
        (json!({}), &stranger, Denied(Explicit(Kind::Resource))),
        (json!({}), &service("cloudtrail.amazonaws.com"), Allowed),
        (fixed.clone(), &stranger, Allowed),
        (fixed, &Principal::Anonymous, Denied(Implicit(Kind::Resource))),
        // The id that everybody has who does not sign confines nobody.
        (nobody, &Principal::Anonymous, Denied(Explicit(Kind::Resource))),
    ] {
        let policy = both(condition.clone());
        let policies = Policies { resource: Some(&policy), limits, ..Policies::default() };
        let found = ask_both(principal, "s3:GetObject", "arn:aws:s3:::b/k", &unsigned, &policies);
        assert_eq!(found, expected, "{condition} {principal}");
    }
    for (to, principal, expected) in [
        (Grantee::Everybody, &Principal::Anonymous, Denied(Implicit(Kind::Resource))),
        (Grantee::Authenticated, &stranger, Denied(Implicit(Kind::Resource))),
        (Grantee::Account(B.parse().unwrap()), &stranger, Allowed),
    ] {
        let grants = [Grant { to, what: "ACL".into() }];
        let policies = Policies { grants: &grants, limits, ..Policies::default() };
        let found = ask_both(principal, "s3:GetObject", "arn:aws:s3:::b/k", &Context::default(), &policies);
        assert_eq!(found, expected, "{:?}", grants[0].to);
    }
}

/// "Determining whether a request is allowed or denied within an account": one deny among allows of every kind is enough.
#[test]
fn deny_wins_wherever_it_stands() {
    let deny = || parsed(&document(json!({ "Effect": "Deny", "Action": "*", "Resource": "*" })), PolicyKind::Identity);
    for kind in [
        None,
        Some(Kind::ServiceControl),
        Some(Kind::Identity),
        Some(Kind::Resource),
        Some(Kind::Boundary),
        Some(Kind::Session),
    ] {
        let side = |own: Kind| if kind == Some(own) { vec![all(), deny()] } else { vec![all()] };
        let (identity, session, control) =
            (side(Kind::Identity), side(Kind::Session), vec![side(Kind::ServiceControl)]);
        let boundary = if kind == Some(Kind::Boundary) { deny() } else { all() };
        let effect = if kind == Some(Kind::Resource) { "Deny" } else { "Allow" };
        let session_arn = "arn:aws:sts::111122223333:assumed-role/r/s";
        let resource = bucket(effect, json!({ "AWS": session_arn }), json!({}));
        let grants = [Grant { to: Grantee::Principal(session_arn.into()), what: "grant".into() }];
        let policies = Policies {
            identity: &identity,
            boundary: Some(&boundary),
            session: Some(&session),
            service_control: &control,
            resource: Some(&resource),
            grants: &grants,
            ..Policies::default()
        };
        let found = ask_both(&role(), "s3:GetObject", "arn:aws:s3:::b/k", &context(), &policies);
        assert_eq!(found, kind.map_or(Allowed, |kind| Denied(Explicit(kind))));
    }
}

/// The same page: without an allow there is none, for anyone but the root user on what is its account's and has no policy of its own.
#[test]
fn nothing_allowed_means_denied() {
    let anybody = [user(), role(), federated(), root(B), Principal::Anonymous, service("a.amazonaws.com")];
    for principal in anybody {
        for rule in [ResourceRule::Either, ResourceRule::Required] {
            let policies = Policies { rule, ..Policies::default() };
            let found = ask_both(&principal, "s3:GetObject", "arn:aws:s3:::b/k", &context(), &policies);
            assert!(matches!(found, Denied(Implicit(_))), "{principal} {rule:?}");
        }
    }
    for (rule, allowed) in [(ResourceRule::Either, true), (ResourceRule::Required, false)] {
        let policies = Policies { rule, ..Policies::default() };
        let found = ask_both(&root(A), "s3:GetObject", "arn:aws:s3:::b/k", &context(), &policies);
        assert_eq!(found == Allowed, allowed, "{rule:?}");
    }
}

/// What explanations suggest where a statement cannot help, and for whom.
#[test]
fn suggestions() {
    let limits = Limits { restrict_public: true, ..Limits::default() };
    let open = Limits::default();
    let (account, resource) = (A.parse().unwrap(), "arn:aws:s3:::b/a*${x}\u{65e5}");
    for (principal, object_owner, limits, rule, statement) in [
        (
            user(),
            None,
            open,
            ResourceRule::Either,
            json!({ "Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/a${*}${$}{x}?" }),
        ),
        (
            Principal::Anonymous,
            None,
            open,
            ResourceRule::Either,
            json!({ "Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/a${*}${$}{x}?" }),
        ),
        (
            service("a.amazonaws.com"),
            None,
            limits,
            ResourceRule::Either,
            json!({ "Effect": "Allow", "Principal": { "Service": "a.amazonaws.com" }, "Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/a${*}${$}{x}?" }),
        ),
        (
            role(),
            None,
            open,
            ResourceRule::Required,
            json!({ "Effect": "Allow", "Principal": { "AWS": "arn:aws:iam::111122223333:role/r" }, "Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/a${*}${$}{x}?" }),
        ),
        // A public policy is what the block is against, and nobody speaks for another's object.
        (Principal::Anonymous, None, limits, ResourceRule::Either, Value::Null),
        (user(), Some(B.parse().unwrap()), open, ResourceRule::Either, Value::Null),
    ] {
        let context = Context::default();
        let question = Question {
            principal: &principal,
            action: "s3:GetObject",
            resource,
            owner: account,
            object_owner,
            context: &context,
        };
        let suggestion = explain(&question, &Policies { limits, rule, ..Policies::default() }).suggestion.unwrap();
        let found = suggestion.statement.map_or(Value::Null, |text| serde_json::from_str(&text).unwrap());
        assert_eq!(found, statement, "{principal}: {}", suggestion.what);
    }
}
