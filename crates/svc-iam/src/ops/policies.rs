//! Managed policies.

use std::collections::BTreeMap;
use std::sync::Arc;

use millpond_api_iam::*;
use millpond_kernel::Authorized;

use super::tags;
use crate::errors::IamError;
use crate::operation::{At, Change, On, Read, served};
use crate::paging::page;
use crate::state::{self, Draft, ManagedPolicy};
use crate::{documents, limits, managed, show};

served!(CreatePolicyInput => CreatePolicyOutput, "iam:CreatePolicy", |input, at| {
    let tags = ("iam:TagPolicy", input.tags.as_deref());
    at.on_new(Self::ACTION, "policy", (input.path.as_deref(), &input.policy_name), tags)
});
served!(DeletePolicyInput => DeletePolicyOutput, "iam:DeletePolicy", |input, at| {
    at.on_policy(Self::ACTION, &input.policy_arn)?
});
served!(GetPolicyInput => GetPolicyOutput, "iam:GetPolicy", |input, at| at.on_policy(Self::ACTION, &input.policy_arn)?);
served!(ListPoliciesInput => ListPoliciesOutput, "iam:ListPolicies", |_input, at| at.on_all(Self::ACTION));

impl Change for CreatePolicyInput {
    fn run(operation: Authorized<On<Self>>, at: &At<'_>, draft: &mut Draft) -> Result<CreatePolicyOutput, IamError> {
        let input = operation.into_inner().input;
        let document = documents::managed(&input.policy_document)?;
        if at.account.policy_named(&input.policy_name).is_some() {
            let name = input.policy_name;
            let message = format!("A policy called {name} already exists. Duplicate names are not allowed.");
            return Err(IamError::EntityAlreadyExists(message));
        }
        if at.account.policies().count() >= limits::POLICIES {
            return Err(IamError::quota("PoliciesPerAccount", limits::POLICIES));
        }
        let created = at.identities.now();
        let policy = ManagedPolicy {
            account: Some(at.id()),
            name: input.policy_name,
            path: input.path.unwrap_or_else(|| "/".to_owned()),
            id: at.identities.new_id("ANPA"),
            description: input.description.filter(|description| !description.is_empty()),
            created,
            updated: created,
            tags: tags::with(&Vec::new(), input.tags.unwrap_or_default(), tags::Case::Counts)?,
            default: 1,
            next: 2,
            versions: BTreeMap::from([(1, state::PolicyVersion { created, document })]),
        };
        let shown = show::policy(at, &policy);
        draft.set_version(&policy, 1);
        draft.put_policy(policy);
        // The answer has no description, as AWS's has none.
        Ok(CreatePolicyOutput { policy: Some(Policy { description: None, ..shown }) })
    }
}

impl Change for DeletePolicyInput {
    fn run(operation: Authorized<On<Self>>, at: &At<'_>, draft: &mut Draft) -> Result<DeletePolicyOutput, IamError> {
        let input = operation.into_inner().input;
        let policy = at.changeable(&input.policy_arn)?;
        let usage = at.account.usage(&input.policy_arn);
        if usage.attached + usage.boundary > 0 {
            return Err(IamError::DeleteConflict("Cannot delete a policy attached to entities."));
        }
        if policy.versions.len() > 1 {
            return Err(IamError::DeleteConflict(
                "This policy has more than one version. Before you delete a policy, you must delete the policy's versions. The default version is deleted with the policy.",
            ));
        }
        draft.remove_policy(&policy);
        Ok(DeletePolicyOutput {})
    }
}

impl Read for GetPolicyInput {
    fn run(operation: Authorized<On<Self>>, at: &At<'_>) -> Result<GetPolicyOutput, IamError> {
        let input = operation.into_inner().input;
        Ok(GetPolicyOutput { policy: Some(show::policy(at, at.policy(&input.policy_arn)?)) })
    }
}

/// The policies of a scope with the keys that order them: the account's own before AWS's.
pub(super) fn of_scope<'a>(
    at: &'a At<'_>,
    local: bool,
    aws: bool,
) -> impl Iterator<Item = (String, &'a Arc<ManagedPolicy>)> {
    let own = at.account.policies().filter(move |_| local).map(|(key, policy)| (format!("0{key}"), policy));
    let others = managed::policies().filter(move |_| aws).map(|(key, policy)| (format!("1{key}"), policy));
    own.chain(others)
}

impl Read for ListPoliciesInput {
    fn run(operation: Authorized<On<Self>>, at: &At<'_>) -> Result<ListPoliciesOutput, IamError> {
        let input = operation.into_inner().input;
        let scope = input.scope.unwrap_or(PolicyScopeType::All);
        let prefix = input.path_prefix.as_deref().unwrap_or("/");
        let wanted = |policy: &ManagedPolicy| {
            let usage = at.account.usage(&policy.arn());
            let used = match input.policy_usage_filter {
                Some(PolicyUsageType::PermissionsPolicy) => usage.attached,
                Some(PolicyUsageType::PermissionsBoundary) => usage.boundary,
                None => usage.attached + usage.boundary,
            };
            // Without OnlyAttached, a usage filter alone asks for what is used so.
            let only_used = input.only_attached.unwrap_or(false) || input.policy_usage_filter.is_some();
            policy.path.starts_with(prefix) && (used > 0 || !only_used)
        };
        let policies = of_scope(at, scope != PolicyScopeType::Aws, scope != PolicyScopeType::Local)
            .filter(|(_, policy)| wanted(policy))
            .map(|(key, policy)| (key, show::listed_policy(at, policy)));
        let page = page(input.marker.as_deref(), input.max_items, policies)?;
        let (is_truncated, marker) = (page.truncated(), page.marker);
        Ok(ListPoliciesOutput { is_truncated, policies: Some(page.items), marker })
    }
}
