//! Policies and tags that are passed when a session begins, and how much room they take in its token.

use millpond_api_sts::{PolicyDescriptorType, Tag};
use millpond_kernel::{ServiceError, Session};
use millpond_policy::{Policy, PolicyKind, limits};
use millpond_types::AccountId;

use super::errors;
use crate::state::Identities;

/// Managed policies of one session (IAM User Guide, "IAM and AWS STS quotas").
const MAX_ARNS: usize = 10;
/// Tags of one session, those that it inherits included.
const MAX_TAGS: usize = 50;
/// Bytes of a token for policies and tags: with the rest it stays below the 4,096 characters for which AWS asks clients to make room.
const PACKED: usize = 2_560;
/// Bytes around each ARN, key and value.
const AROUND: usize = 3;

/// What is passed, checked.
#[derive(Debug, Default)]
pub(super) struct Passed {
    /// The policy.
    pub policy: Option<String>,
    /// The managed policies.
    pub policy_arns: Vec<String>,
    /// The tags.
    pub tags: Vec<(String, String)>,
    /// Those of them that go on.
    pub transitive: Vec<String>,
}

impl Passed {
    /// Checks what is passed, as far as it can be told without looking anything up.
    pub fn check(
        policy: Option<String>,
        arns: Option<Vec<PolicyDescriptorType>>,
        tags: Option<Vec<Tag>>,
    ) -> Result<Self, ServiceError> {
        if let Some(text) = &policy {
            Policy::parse(text, PolicyKind::Session).map_err(|error| errors::malformed_policy(&error))?;
        }
        let policy_arns = policy_arns(arns.unwrap_or_default())?;
        let tags: Vec<_> = tags.unwrap_or_default().into_iter().map(|tag| (tag.key, tag.value)).collect();
        check_keys(tags.iter().map(|(key, _)| key.as_str()))?;
        Ok(Self { policy, policy_arns, tags, transitive: Vec::new() })
    }

    /// Checks that a session in `account` can have these managed policies. Only for who may begin it: others are not told which there are.
    pub fn exist(&self, identities: &Identities, account: AccountId) -> Result<(), ServiceError> {
        let snapshot = identities.account(account);
        match self.policy_arns.iter().find(|arn| snapshot.policy(arn).is_none()) {
            Some(arn) => Err(errors::validation(format!("Policy {arn} does not exist or is not attachable."))),
            None => Ok(()),
        }
    }

    /// Says which tags go on.
    pub fn transitive(&mut self, keys: Vec<String>) -> Result<(), ServiceError> {
        if keys.iter().any(|key| !has(&self.tags, key)) {
            return Err(errors::invalid_parameter(
                "The specified transitive tag key must be included in the requested tags.",
            ));
        }
        check_keys(keys.iter().map(String::as_str))?;
        self.transitive = keys;
        Ok(())
    }

    /// Adds the transitive tags of the session that begins this one. They cannot be passed anew.
    pub fn inherit(&self, session: Option<&Session>) -> Result<Inherited, ServiceError> {
        let Some(session) = session else {
            return Ok(Inherited { tags: self.tags.clone(), transitive: self.transitive.clone() });
        };
        let goes_on = |key: &str| session.transitive.iter().any(|known| known.eq_ignore_ascii_case(key));
        let (mut tags, mut transitive) = (self.tags.clone(), self.transitive.clone());
        if tags.iter().any(|(key, _)| goes_on(key)) {
            return Err(errors::invalid_parameter(
                "One of the specified transitive tag keys can't be set because it conflicts with a transitive tag key from the calling session.",
            ));
        }
        tags.extend(session.tags.iter().filter(|(key, _)| goes_on(key)).cloned());
        transitive.extend(session.transitive.iter().cloned());
        if tags.len() > MAX_TAGS {
            return Err(errors::invalid_parameter(format!("A session has at most {MAX_TAGS} tags.")));
        }
        Ok(Inherited { tags, transitive })
    }

    /// How much of its room a session's policies and tags take, in percent; `None` when there are none.
    pub fn size(&self, all: &Inherited) -> Result<Option<i32>, ServiceError> {
        let plain = self.policy.as_ref().map_or(0, |text| text.chars().count());
        let arns: usize = self.policy_arns.iter().map(|arn| arn.len() + AROUND).sum();
        let tags: usize = all.tags.iter().map(|(key, value)| key.len() + value.len() + 3 * AROUND).sum();
        let transitive: usize = all.transitive.iter().map(|key| key.len() + AROUND).sum();
        let packed = self.policy.as_ref().map_or(0, String::len) + arns + tags + transitive;
        let percent = (plain * 100).div_ceil(limits::SESSION).max((packed * 100).div_ceil(PACKED));
        if percent > 100 {
            return Err(ServiceError::new(
                "PackedPolicyTooLarge",
                400,
                format!("Packed policy consumes {percent}% of allotted space, please use smaller policy."),
            ));
        }
        Ok(i32::try_from(percent).ok().filter(|percent| *percent > 0))
    }
}

/// Tags with those that are inherited.
#[derive(Debug)]
pub(super) struct Inherited {
    /// All tags of the new session.
    pub tags: Vec<(String, String)>,
    /// Those of them that go on.
    pub transitive: Vec<String>,
}

fn policy_arns(given: Vec<PolicyDescriptorType>) -> Result<Vec<String>, ServiceError> {
    if given.len() > MAX_ARNS {
        return Err(errors::validation(format!(
            "1 validation error detected: Value at 'policyArns' failed to satisfy constraint: Member must have length less than or equal to {MAX_ARNS}"
        )));
    }
    let mut arns = Vec::new();
    for descriptor in given {
        let arn = descriptor.arn.ok_or_else(|| {
            errors::validation(
                "1 validation error detected: Value null at 'policyArns.member.arn' failed to satisfy constraint: Member must not be null",
            )
        })?;
        if !arns.contains(&arn) {
            arns.push(arn);
        }
    }
    Ok(arns)
}

fn has(tags: &[(String, String)], key: &str) -> bool {
    tags.iter().any(|(known, _)| known.eq_ignore_ascii_case(key))
}

/// Keys that differ in more than case, none of AWS's own.
fn check_keys<'a>(keys: impl Iterator<Item = &'a str>) -> Result<(), ServiceError> {
    let mut seen: Vec<String> = Vec::new();
    for key in keys {
        let folded = key.to_lowercase();
        if folded.starts_with("aws:") {
            return Err(errors::validation("Tag keys beginning with aws: are reserved for system use"));
        }
        if seen.contains(&folded) {
            return Err(errors::invalid_parameter(
                "Duplicate tag keys found. Please note that Tag keys are case insensitive.",
            ));
        }
        seen.push(folded);
    }
    Ok(())
}
