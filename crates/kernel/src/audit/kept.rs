//! A denial as it is kept: everything that was decided, as JSON.

use millpond_meta::{Key, ReadError, View, key::KeyBuilder};
use millpond_policy::{Explanation, StatementLook};
use millpond_types::AccountId;
use prost::Message;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::denial::Denial;
use super::identity;
use super::record::MAX_RECORD;
use crate::tables;

/// The kind of policy that belongs to the resource, in [`Explanation`]'s words.
const OF_THE_RESOURCE: &str = "resource-based policy";

/// A denied request, with every decision that was made about it: on the bucket, for the identity, on the key.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Kept {
    /// The request's id.
    pub request_id: String,
    /// When it came.
    pub time: String,
    /// The service that was called, such as `s3`.
    pub service: String,
    /// The operation, such as `GetObject`.
    pub operation: String,
    /// Who called, as an ARN or `anonymous`.
    pub principal: String,
    /// The caller's account.
    pub account: Option<String>,
    /// The code of the answer's error; `None` when only some items of a batch were denied.
    pub code: Option<String>,
    /// Its message.
    pub message: Option<String>,
    /// Whether the caller's own access was never refused, but the answer depended on another, such as 404 or 403 on `s3:ListBucket`.
    pub probed: bool,
    /// Whether statements that have nothing to do with the request were left out, for want of room.
    pub shortened: bool,
    /// What was decided, in order.
    pub decisions: Vec<Explanation>,
}

/// The row of a kept denial.
#[derive(Clone, PartialEq, Message)]
pub(super) struct KeptRow {
    #[prost(bytes = "vec", tag = "1")]
    json: Vec<u8>,
}

impl Kept {
    pub(super) fn of(denial: &Denial) -> Self {
        let explain = |decision: &std::sync::Arc<crate::Decision>| {
            millpond_policy::explain(&decision.question(), &decision.policies())
        };
        let caller = &denial.caller;
        let (code, message) = denial.error.clone().map(|(code, message)| (code.into_owned(), message)).unzip();
        Self {
            request_id: caller.request_id().to_string(),
            time: identity::time(caller.received()),
            service: denial.service.to_owned(),
            operation: denial.operation.to_owned(),
            principal: caller.arn(),
            account: caller.account().map(|account| account.to_string()),
            code,
            message,
            probed: denial.probed,
            shortened: false,
            decisions: denial.decisions.iter().map(explain).collect(),
        }
    }

    /// The row: shortened where all of it would be too large.
    pub(super) fn row(mut self) -> Vec<u8> {
        let relevant: [fn(&StatementLook) -> bool; 3] =
            [|_| true, |statement| statement.action || statement.matched, |statement| statement.matched];
        for keep in relevant {
            for policy in self.decisions.iter_mut().flat_map(|decision| &mut decision.policies) {
                let before = policy.statements.len();
                policy.statements.retain(keep);
                self.shortened |= policy.statements.len() < before;
            }
            if let Some(row) = self.fitting() {
                return row;
            }
        }
        self.shortened = true;
        loop {
            // The last decision is the one that counts most.
            match self.decisions.len() {
                0 => return Vec::new(),
                1 => self.decisions[0].policies.clear(),
                _ => _ = self.decisions.remove(0),
            }
            match self.fitting() {
                Some(row) => return row,
                None if self.decisions.len() == 1 => self.decisions.clear(),
                None => {}
            }
        }
    }

    fn fitting(&self) -> Option<Vec<u8>> {
        let json = serde_json::to_vec(self).ok().filter(|json| json.len() <= MAX_RECORD)?;
        Some(KeptRow { json }.encode_to_vec())
    }

    /// The denial of a request.
    pub async fn find(view: &dyn View, request_id: &str) -> Result<Option<Self>, ReadError> {
        let Some(row) = view.get(&key(request_id)).await? else { return Ok(None) };
        let damaged = || ReadError::Damaged(format!("denial of the request {request_id}"));
        let row = KeptRow::decode(row).map_err(|_| damaged())?;
        serde_json::from_slice(&row.json).map(Some).map_err(|_| damaged())
    }

    /// What an account may know of it: of resources of others no more than that they refused, and nothing of their tags and names.
    pub(super) fn seen_by(mut self, account: AccountId) -> Self {
        for decision in self.decisions.iter_mut().filter(|decision| decision.owner != account.as_str()) {
            decision.policies.retain(|policy| policy.kind != OF_THE_RESOURCE);
            decision.grants.clear();
            decision.suggestion = None;
            decision.context.retain(|key, _| !is_of_the_resource(key));
            let statements = decision.policies.iter_mut().flat_map(|policy| &mut policy.statements);
            for condition in statements.flat_map(|statement| &mut statement.conditions) {
                if is_of_the_resource(&condition.key) {
                    condition.found = None;
                }
            }
            if !decision.allowed {
                decision.reason = "the resource belongs to another account".to_owned();
            }
        }
        self
    }

    /// The answer of `DecodeAuthorizationMessage`: AWS's members for the decision that refused, and all of it beside them.
    pub(super) fn decoded(&self) -> Value {
        let refused = self.decisions.iter().rev().find(|decision| !decision.allowed).or(self.decisions.last());
        let mut value = refused.map_or_else(|| json!({ "allowed": false, "explicitDeny": false }), decoded);
        value["requestId"] = self.request_id.as_str().into();
        value["decisions"] = serde_json::to_value(&self.decisions).unwrap_or_default();
        value
    }
}

/// Whether a condition key tells something of the resource that only its owner may know.
fn is_of_the_resource(key: &str) -> bool {
    const TOLD: [&str; 5] =
        ["aws:resourcetag/", "iam:resourcetag/", "s3:existingobjecttag/", "kms:resourcealiases", "kms:key"];
    let key = key.to_ascii_lowercase();
    TOLD.iter().any(|start| key.starts_with(start))
}

fn decoded(decision: &Explanation) -> Value {
    let statements =
        || decision.policies.iter().flat_map(|policy| policy.statements.iter().map(move |looked| (policy, looked)));
    let matched = statements().filter(|(_, statement)| statement.matched).map(|(policy, statement)| {
        json!({
            "statementId": statement.sid.clone().unwrap_or_default(), "effect": statement.effect,
            "sourcePolicyId": policy.source, "sourcePolicyType": policy.kind,
        })
    });
    let conditions = decision.context.iter().map(|(key, values)| {
        let values: Vec<Value> = values.iter().map(|value| json!({ "value": value })).collect();
        json!({ "key": key, "values": { "items": values } })
    });
    json!({
        "allowed": decision.allowed,
        "explicitDeny": statements().any(|(_, statement)| statement.matched && statement.effect == "Deny"),
        "matchedStatements": { "items": matched.collect::<Vec<_>>() },
        "failures": { "items": [] },
        "context": {
            "principal": { "arn": decision.principal, "id": decision.context.get("aws:userid").and_then(|ids| ids.first()) },
            "action": decision.action,
            "resource": decision.resource,
            "conditions": { "items": conditions.collect::<Vec<_>>() },
        },
    })
}

/// The row of a request's denial.
pub(super) fn key(request_id: &str) -> Key {
    KeyBuilder::new(tables::DECISIONS).u8(BY_REQUEST).bytes(request_id.as_bytes()).build()
}

/// Sub-tables: how many bytes there are, denials by their requests, and the order in which they came.
const BYTES: u8 = 0;
const BY_REQUEST: u8 = 1;
const ORDER: u8 = 2;

/// The counter of bytes of all denials.
pub(super) fn bytes_row() -> Key {
    KeyBuilder::new(tables::DECISIONS).u8(BYTES).build()
}

/// The stream that keeps the order of denials.
pub(super) fn order() -> Key {
    KeyBuilder::new(tables::DECISIONS).u8(ORDER).build()
}
