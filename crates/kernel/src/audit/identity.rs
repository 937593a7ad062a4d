//! The `userIdentity` of a record (CloudTrail User Guide, "CloudTrail userIdentity element").

use millpond_policy::Principal;
use millpond_types::{AccountId, Timestamp};
use serde_json::{Map, Value, json};

use crate::{Caller, Session};

/// A time as records have it: whole seconds.
pub(super) fn time(at: Timestamp) -> String {
    let mut text = String::with_capacity(20);
    millpond_wire::push_iso8601(&mut text, Timestamp::from_seconds(at.seconds()), false);
    text
}

/// Who called, for the trail of its own account.
pub(super) fn own(caller: &Caller) -> Value {
    let principal = caller.principal();
    let mut identity = Map::new();
    let mut put = |name: &str, value: Value| _ = identity.insert(name.to_owned(), value);
    match principal {
        // As S3 shows requests that nobody signed.
        Principal::Anonymous => {
            put("type", "AWSAccount".into());
            put("principalId", "".into());
            put("accountId", "anonymous".into());
        }
        Principal::Service { name } => {
            put("type", "AWSService".into());
            put("invokedBy", name.as_str().into());
        }
        Principal::Root(account)
        | Principal::User { account, .. }
        | Principal::Role { account, .. }
        | Principal::Federated { account, .. } => {
            put("type", kind(principal).into());
            put("principalId", principal.user_id().into());
            put("arn", principal.arn().into());
            put("accountId", account.as_str().into());
            if let Some(key) = caller.access_key_id() {
                put("accessKeyId", key.into());
            }
            if let Principal::User { name, .. } = principal {
                put("userName", name.as_str().into());
            }
            if let Some(session) = caller.session() {
                put("sessionContext", session_context(principal, session));
            }
        }
    }
    if let Some(service) = caller.via().last() {
        put("invokedBy", (*service).into());
    }
    Value::Object(identity)
}

/// Who called, for the trail of another account: it learns from which account, and no more.
pub(super) fn foreign(caller: &Caller, account: AccountId) -> Value {
    json!({ "type": "AWSAccount", "principalId": caller.principal().user_id(), "accountId": account.as_str() })
}

fn kind(principal: &Principal) -> &'static str {
    match principal {
        Principal::Root(_) => "Root",
        Principal::User { .. } => "IAMUser",
        Principal::Role { .. } => "AssumedRole",
        Principal::Federated { .. } => "FederatedUser",
        Principal::Service { .. } => "AWSService",
        Principal::Anonymous => "AWSAccount",
    }
}

fn session_context(principal: &Principal, session: &Session) -> Value {
    let mut context = Map::new();
    if let Some(issuer) = issuer(principal) {
        context.insert("sessionIssuer".to_owned(), issuer);
    }
    // There are no MFA devices.
    let attributes = json!({ "creationDate": time(session.issued), "mfaAuthenticated": "false" });
    context.insert("attributes".to_owned(), attributes);
    if let Some(source) = &session.source_identity {
        context.insert("sourceIdentity".to_owned(), source.as_str().into());
    }
    Value::Object(context)
}

/// Whose session it is, where that is another than who acts.
fn issuer(principal: &Principal) -> Option<Value> {
    match principal {
        Principal::Role { account, name, id, .. } => Some(json!({
            "type": "Role", "principalId": id, "arn": principal.condition_arn(), "accountId": account.as_str(), "userName": name,
        })),
        Principal::Federated { account, user, .. } => {
            let mut issuer = json!({
                "type": kind(user), "principalId": user.user_id(), "arn": user.arn(), "accountId": account.as_str(),
            });
            if let Principal::User { name, .. } = &**user {
                issuer["userName"] = name.as_str().into();
            }
            Some(issuer)
        }
        _ => None,
    }
}
