//! What a decision costs: ten and a thousand statements, of which a tenth is about the action and one about the request.
#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark that cannot go on panics; its macros make functions")]

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, criterion_group, criterion_main};
use millpond_policy::{
    Context, ContextValue, Named, Policies, Policy, PolicyKind, PolicySource, Principal, Question, Verdict, decide,
};
use serde_json::json;

/// A policy of so many statements; each has an action, a resource with a wildcard, and every other one a condition.
fn policy(statements: usize) -> Named {
    let actions = [
        "s3:GetObject",
        "s3:Put*",
        "s3:List*",
        "kms:Decrypt",
        "kms:*",
        "iam:Get*",
        "sts:AssumeRole",
        "s3:Delete*",
        "sqs:*",
        "sns:Publish",
    ];
    let list: Vec<_> = (0..statements)
        .map(|n| {
            let mut statement = json!({
                "Effect": "Allow",
                "Action": actions[n % actions.len()],
                "Resource": format!("arn:aws:s3:::bucket-{n}/*"),
            });
            if n % 2 == 0 {
                statement["Condition"] = json!({ "StringLike": { "aws:PrincipalTag/team": "t*" }, "Bool": { "aws:SecureTransport": "true" } });
            }
            statement
        })
        .collect();
    let text = json!({ "Version": "2012-10-17", "Statement": list }).to_string();
    let policy = Policy::parse(&text, PolicyKind::Identity).unwrap();
    Named { source: PolicySource::Session { name: "inline".into() }, policy: Arc::new(policy) }
}

fn benches(c: &mut Criterion) {
    let account = "111122223333".parse().unwrap();
    let (path, name, session) = ("/".into(), "r".into(), "s".into());
    let principal = Principal::Role { account, path, name, id: "AROA".into(), session };
    let mut context = Context::default();
    context.text("aws:PrincipalTag/team", "tigers");
    context.set("aws:SecureTransport", ContextValue::Bool(true));
    for statements in [10, 1000] {
        let identity = [policy(statements)];
        // The last of those about the action, so that all of them are looked at.
        let resource = format!("arn:aws:s3:::bucket-{}/key", (statements - 1) / 10 * 10);
        for (name, action, expected) in [("allowed", "s3:GetObject", true), ("denied", "s3:GetBucketAcl", false)] {
            let question = Question {
                principal: &principal,
                action,
                resource: &resource,
                owner: account,
                object_owner: None,
                context: &context,
            };
            let policies = Policies { identity: &identity, ..Policies::default() };
            assert_eq!(decide(&question, &policies) == Verdict::Allowed, expected);
            c.bench_function(&format!("{statements} statements, {name}"), |b| {
                b.iter(|| decide(black_box(&question), black_box(&policies)));
            });
        }
    }
}

criterion_group!(all, benches);
criterion_main!(all);
