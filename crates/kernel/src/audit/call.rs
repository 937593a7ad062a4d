//! A call as it is handed to the audit trail.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use millpond_types::AccountId;
use millpond_wire::Protocol;

use crate::{Caller, EncryptionContext, KeyUse, RequestHead, ServiceError};

/// What an operation does, as far as the audit trail cares.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EventClass {
    /// Changes something.
    Change,
    /// Changes nothing, yet gives credentials away: recorded as carefully as a change.
    Session,
    /// Reads, or uses a key.
    Read,
    /// An operation on the data of a resource, such as an object of a bucket. Recorded where a trail wants it ([`super::DataTrails`]).
    Data,
}

impl EventClass {
    /// Whether records say `readOnly`.
    pub fn read_only(self) -> bool {
        matches!(self, Self::Session | Self::Read)
    }

    /// Whether the record is durable before the answer.
    pub fn prompt(self) -> bool {
        matches!(self, Self::Change | Self::Session)
    }
}

/// How the audit trail shows an operation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EventKind {
    /// The event's name: mostly the operation's.
    pub name: &'static str,
    /// What it does.
    pub class: EventClass,
}

/// What the names of operations begin with that change nothing.
const READS: &[&str] = &[
    "Get",
    "List",
    "Head",
    "Describe",
    "Lookup",
    "Simulate",
    "Generate",
    "Encrypt",
    "Decrypt",
    "ReEncrypt",
    "Sign",
    "Verify",
    "Derive",
    "Decode",
    "BatchGet",
    "TransactGet",
    "Query",
    "Scan",
];
/// What the names of operations begin with that begin sessions.
const SESSIONS: &[&str] = &["Assume", "GetSessionToken", "GetFederationToken"];

impl EventKind {
    /// A management event of this name, and by its verb what it does, as CloudTrail's `readOnly` has it.
    pub fn by_verb(name: &'static str) -> Self {
        let begins = |verbs: &[&str]| verbs.iter().any(|verb| name.starts_with(verb));
        let class = match (begins(SESSIONS), begins(READS)) {
            (true, _) => EventClass::Session,
            (false, true) => EventClass::Read,
            (false, false) => EventClass::Change,
        };
        Self { name, class }
    }
}

/// What a request says, as far as records show it.
#[derive(Clone, Debug, Default)]
pub struct Said {
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) host: Option<String>,
    pub(crate) host_bucket: Option<String>,
    pub(crate) body: Bytes,
}

impl Said {
    /// Of a request. `body` where it was read whole before the operation began, as it is outside object storage.
    pub fn of(head: &RequestHead, body: Option<Bytes>) -> Self {
        let host = head.headers.get(http::header::HOST).and_then(|host| host.to_str().ok()).map(str::to_owned);
        Self {
            path: head.path.clone(),
            query: head.query.clone(),
            host,
            host_bucket: head.host_bucket.clone(),
            body: body.unwrap_or_default(),
        }
    }
}

/// How a call ended.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// Well. The answer's body, where it was not streamed.
    Done(Bytes),
    /// With an error.
    Failed {
        /// Its code.
        code: Cow<'static, str>,
        /// Its message.
        message: String,
    },
}

impl Outcome {
    /// An error.
    pub fn failed(error: &ServiceError) -> Self {
        Self::Failed { code: error.code.clone(), message: error.message.clone() }
    }
}

/// A call that ended.
#[derive(Clone, Debug)]
pub struct Call {
    /// Who called.
    pub caller: Arc<Caller>,
    /// The service's name, such as `kms`.
    pub service: &'static str,
    /// The protocol of request and answer.
    pub protocol: Protocol,
    /// What was called.
    pub kind: EventKind,
    /// With what.
    pub said: Said,
    /// How it ended.
    pub outcome: Outcome,
}

/// A use of a key by a service on behalf of its caller, who has that service in [`Caller::via`].
#[derive(Clone, Copy, Debug)]
pub struct KeyUsed<'a> {
    /// What was done.
    pub uses: KeyUse,
    /// With which key.
    pub key_arn: &'a str,
    /// The account that owns it.
    pub owner: AccountId,
    /// For what: names the object.
    pub context: &'a EncryptionContext,
    /// Why not, where it was refused.
    pub error: Option<&'a ServiceError>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verbs_tell_what_an_operation_does() {
        for (name, class) in [
            ("CreateUser", EventClass::Change),
            ("PutBucketPolicy", EventClass::Change),
            ("ScheduleKeyDeletion", EventClass::Change),
            ("TagUser", EventClass::Change),
            ("ListUsers", EventClass::Read),
            ("GetCallerIdentity", EventClass::Read),
            ("GenerateDataKeyWithoutPlaintext", EventClass::Read),
            ("ReEncrypt", EventClass::Read),
            ("LookupEvents", EventClass::Read),
            ("AssumeRole", EventClass::Session),
            ("GetSessionToken", EventClass::Session),
            ("GetFederationToken", EventClass::Session),
        ] {
            assert_eq!(EventKind::by_verb(name), EventKind { name, class }, "{name}");
        }
    }
}
