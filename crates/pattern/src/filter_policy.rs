//! SNS's subscription filter policies: the language of event patterns, about a message's attributes or its body, within limits of their own
//! ("Filter policy constraints" in the SNS developer guide).

use serde_json::{Map, Value};

use crate::error::PatternError;

/// The longest filter policy, in bytes.
pub const MAX_FILTER_POLICY_BYTES: usize = 256 * 1024;
/// The most names at the top of a filter policy.
pub const MAX_FILTER_POLICY_KEYS: usize = 5;
/// The most combinations of values: the product of how many each field has, times how deep the field lies.
pub const MAX_FILTER_POLICY_COMBINATIONS: u64 = 150;

/// What a filter policy is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FilterScope {
    /// The message's attributes, which are flat.
    MessageAttributes,
    /// The message's body, a JSON object.
    MessageBody,
}

/// Before anything is read.
pub(crate) fn check_size(text: &str) -> Result<(), PatternError> {
    if text.len() > MAX_FILTER_POLICY_BYTES {
        let reason = format!("Filter policy has more than {MAX_FILTER_POLICY_BYTES} bytes");
        return Err(PatternError::new(text, 0, reason, String::new()));
    }
    Ok(())
}

/// Of a text that is a pattern: whether it is within SNS's limits.
pub(crate) fn check(text: &str, scope: FilterScope) -> Result<(), PatternError> {
    let refuse = |reason: &str| Err(PatternError::new(text, text.len(), reason.to_owned(), String::new()));
    let Ok(Value::Object(policy)) = serde_json::from_str::<Value>(text) else {
        return refuse("failed to parse JSON");
    };
    if policy.len() > MAX_FILTER_POLICY_KEYS {
        return refuse(&format!("Filter policy can not have more than {MAX_FILTER_POLICY_KEYS} keys"));
    }
    if scope == FilterScope::MessageAttributes && nested(&policy) {
        return refuse("Filter policy scope MessageAttributes does not support nested filter policy");
    }
    if combinations(&policy, 1, 1) > MAX_FILTER_POLICY_COMBINATIONS {
        return refuse("Filter policy is too complex");
    }
    Ok(())
}

fn nested(policy: &Map<String, Value>) -> bool {
    policy.iter().any(|(name, value)| match value {
        Value::Object(_) => true,
        Value::Array(items) if name == "$or" => items.iter().filter_map(Value::as_object).any(nested),
        _ => false,
    })
}

/// As SNS counts: `3 x 4` for four values three levels deep. Alternatives of `$or` are added up.
fn combinations(policy: &Map<String, Value>, depth: u64, so_far: u64) -> u64 {
    policy.iter().fold(so_far, |so_far, (name, value)| match value {
        Value::Object(inner) => combinations(inner, depth + 1, so_far),
        Value::Array(items) if name == "$or" && items.iter().all(Value::is_object) => items
            .iter()
            .filter_map(Value::as_object)
            .fold(0, |sum: u64, alternative| sum.saturating_add(combinations(alternative, depth, so_far))),
        Value::Array(items) => so_far.saturating_mul(items.len() as u64).saturating_mul(depth),
        _ => so_far,
    })
}
