//! Entry points for fuzzing: hostile documents must give an error or a policy, never a panic or a hang.

use std::collections::BTreeMap;
use std::sync::Arc;

use millpond_types::{AccountId, Arn};

use crate::{
    Context, ContextValue, Named, Policies, Policy, PolicyKind, PolicySource, Principal, Question, Verdict, decide,
    explain,
};

/// Parses a document as every kind of policy and asks what comes out of it; the decision and its explanation must agree.
pub fn document(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let kinds = [
        PolicyKind::Identity,
        PolicyKind::Session,
        PolicyKind::ServiceControl,
        PolicyKind::Bucket { name: "b".to_owned() },
        PolicyKind::Key,
        PolicyKind::Trust,
    ];
    for kind in kinds {
        match Policy::parse(text, kind) {
            Err(error) => assert!(error.at.line > 0 && !error.to_string().is_empty()),
            Ok(policy) => {
                let _ = policy.check_names();
                ask(policy);
            }
        }
    }
}

fn ask(mut policy: Policy) {
    let ids: BTreeMap<_, _> = policy.principals().iter().map(|arn| ((*arn).to_owned(), "AIDA".to_owned())).collect();
    policy.bind(&ids);
    let _ = (policy.is_public(), policy.condition_keys().len());
    let named = Named { source: PolicySource::Session { name: "inline".to_owned() }, policy: Arc::new(policy) };
    let Ok(account) = "111122223333".parse::<AccountId>() else { return };
    let user = Principal::User { account, path: "/".to_owned(), name: "bob".to_owned(), id: "AIDA".to_owned() };
    let mut context = Context::default();
    context.text("aws:username", "bob");
    context.text("aws:SourceIp", "10.0.0.1");
    context.set("aws:TagKeys", ContextValue::Many(vec!["a".to_owned()]));
    let own = std::slice::from_ref(&named);
    for principal in [&user, &Principal::Root(account), &Principal::Anonymous] {
        for (action, resource) in [("s3:GetObject", "arn:aws:s3:::b/k"), ("kms:Decrypt", "*"), ("sts:AssumeRole", "")] {
            let question =
                Question { principal, action, resource, owner: account, object_owner: None, context: &context };
            for policies in [
                Policies { identity: own, ..Policies::default() },
                Policies { resource: Some(&named), ..Policies::default() },
                Policies { identity: own, boundary: Some(&named), session: Some(own), ..Policies::default() },
            ] {
                let verdict = decide(&question, &policies);
                assert_eq!(explain(&question, &policies).allowed, verdict == Verdict::Allowed);
            }
        }
    }
}

/// Parses an ARN, and as a principal and an action of a policy.
pub fn arn(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Some(arn) = Arn::parse(text) {
        assert_eq!(arn.as_str(), text);
    }
    for kind in ["AWS", "Service", "Federated", "CanonicalUser"] {
        let _ = crate::who::parse(kind, text);
    }
    let _ = crate::action::parse(text);
}
