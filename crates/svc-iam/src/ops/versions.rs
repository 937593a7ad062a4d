//! Versions of managed policies.

use millpond_api_iam::*;
use millpond_kernel::Authorized;

use crate::errors::IamError;
use crate::operation::{At, Change, On, Read, served};
use crate::paging::page;
use crate::state::{self, Draft, ManagedPolicy};
use crate::{documents, limits, show};

served!(CreatePolicyVersionInput => CreatePolicyVersionOutput, "iam:CreatePolicyVersion", |input, at| {
    at.on_policy(Self::ACTION, &input.policy_arn)?
});
served!(DeletePolicyVersionInput => DeletePolicyVersionOutput, "iam:DeletePolicyVersion", |input, at| {
    at.on_policy(Self::ACTION, &input.policy_arn)?
});
served!(GetPolicyVersionInput => GetPolicyVersionOutput, "iam:GetPolicyVersion", |input, at| {
    at.on_policy(Self::ACTION, &input.policy_arn)?
});
served!(ListPolicyVersionsInput => ListPolicyVersionsOutput, "iam:ListPolicyVersions", |input, at| {
    at.on_policy(Self::ACTION, &input.policy_arn)?
});
served!(SetDefaultPolicyVersionInput => SetDefaultPolicyVersionOutput, "iam:SetDefaultPolicyVersion", |input, at| {
    at.on_policy(Self::ACTION, &input.policy_arn)?
});

/// A version that must exist.
fn existing<'a>(
    policy: &'a ManagedPolicy,
    arn: &str,
    version: &str,
) -> Result<(u32, &'a state::PolicyVersion), IamError> {
    let number = version.strip_prefix('v').and_then(|number| number.parse().ok());
    let found = number.and_then(|number| policy.versions.get_key_value(&number));
    let missing =
        || IamError::NoSuchEntity(format!("Policy {arn} version {version} does not exist or is not attachable."));
    found.map(|(number, version)| (*number, version)).ok_or_else(missing)
}

impl Change for CreatePolicyVersionInput {
    fn run(
        operation: Authorized<On<Self>>,
        at: &At<'_>,
        draft: &mut Draft,
    ) -> Result<CreatePolicyVersionOutput, IamError> {
        let input = operation.into_inner().input;
        let mut policy = at.changeable(&input.policy_arn)?;
        let document = documents::managed(&input.policy_document)?;
        if policy.versions.len() >= limits::VERSIONS {
            let limit = limits::VERSIONS;
            return Err(IamError::LimitExceeded(format!(
                "A managed policy can have up to {limit} versions. Before you create a new version, you must delete an existing version."
            )));
        }
        let (number, created) = (policy.next, at.identities.now());
        policy.versions.insert(number, state::PolicyVersion { created, document });
        policy.next += 1;
        policy.updated = created;
        if input.set_as_default.unwrap_or(false) {
            policy.default = number;
        }
        let shown = policy.versions.get(&number).map(|version| show::version(&policy, number, version, false));
        draft.set_version(&policy, number);
        draft.put_policy(policy);
        Ok(CreatePolicyVersionOutput { policy_version: shown })
    }
}

impl Change for DeletePolicyVersionInput {
    fn run(
        operation: Authorized<On<Self>>,
        at: &At<'_>,
        draft: &mut Draft,
    ) -> Result<DeletePolicyVersionOutput, IamError> {
        let input = operation.into_inner().input;
        let mut policy = at.changeable(&input.policy_arn)?;
        let (number, _) = existing(&policy, &input.policy_arn, &input.version_id)?;
        if number == policy.default {
            return Err(IamError::DeleteConflict("Cannot delete the default version of a policy."));
        }
        policy.versions.remove(&number);
        policy.updated = at.identities.now();
        draft.urgent();
        draft.set_version(&policy, number);
        draft.put_policy(policy);
        Ok(DeletePolicyVersionOutput {})
    }
}

impl Change for SetDefaultPolicyVersionInput {
    fn run(
        operation: Authorized<On<Self>>,
        at: &At<'_>,
        draft: &mut Draft,
    ) -> Result<SetDefaultPolicyVersionOutput, IamError> {
        let input = operation.into_inner().input;
        let mut policy = at.changeable(&input.policy_arn)?;
        (policy.default, _) = existing(&policy, &input.policy_arn, &input.version_id)?;
        policy.updated = at.identities.now();
        draft.put_policy(policy);
        Ok(SetDefaultPolicyVersionOutput {})
    }
}

impl Read for GetPolicyVersionInput {
    fn run(operation: Authorized<On<Self>>, at: &At<'_>) -> Result<GetPolicyVersionOutput, IamError> {
        let input = operation.into_inner().input;
        let policy = at.policy(&input.policy_arn)?;
        let (number, version) = existing(policy, &input.policy_arn, &input.version_id)?;
        Ok(GetPolicyVersionOutput { policy_version: Some(show::version(policy, number, version, true)) })
    }
}

impl Read for ListPolicyVersionsInput {
    fn run(operation: Authorized<On<Self>>, at: &At<'_>) -> Result<ListPolicyVersionsOutput, IamError> {
        let input = operation.into_inner().input;
        let policy = at.policy(&input.policy_arn)?;
        // The newest first.
        let versions = policy.versions.iter().rev().map(|(number, version)| {
            (format!("{:010}", u32::MAX - number), show::version(policy, *number, version, false))
        });
        let page = page(input.marker.as_deref(), input.max_items, versions)?;
        let (is_truncated, marker) = (page.truncated(), page.marker);
        Ok(ListPolicyVersionsOutput { is_truncated, versions: Some(page.items), marker })
    }
}
