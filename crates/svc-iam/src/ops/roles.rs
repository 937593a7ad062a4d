//! Roles.

use millpond_api_iam::*;
use millpond_kernel::Authorized;

use super::new::{self, NewEntity};
use crate::errors::IamError;
use crate::operation::{At, Change, On, Read, served};
use crate::paging::page;
use crate::state::{Draft, Entity, Kind, RoleFacts};
use crate::{documents, limits, show};

served!(CreateRoleInput => CreateRoleOutput, "iam:CreateRole", |input, at| {
    let tags = ("iam:TagRole", input.tags.as_deref());
    let target = at.on_new(Self::ACTION, "role", (input.path.as_deref(), &input.role_name), tags);
    target.boundary(input.permissions_boundary.as_deref())
});
served!(DeleteRoleInput => DeleteRoleOutput, "iam:DeleteRole", |input, at| {
    at.on(Self::ACTION, Kind::Role, &input.role_name)
});
served!(GetRoleInput => GetRoleOutput, "iam:GetRole", |input, at| at.on(Self::ACTION, Kind::Role, &input.role_name));
served!(ListRolesInput => ListRolesOutput, "iam:ListRoles", |input, at| {
    at.on_path(Self::ACTION, Kind::Role, input.path_prefix.as_deref())
});
served!(UpdateRoleInput => UpdateRoleOutput, "iam:UpdateRole", |input, at| {
    at.on(Self::ACTION, Kind::Role, &input.role_name)
});
served!(UpdateRoleDescriptionInput => UpdateRoleDescriptionOutput, "iam:UpdateRoleDescription", |input, at| {
    at.on(Self::ACTION, Kind::Role, &input.role_name)
});
served!(UpdateAssumeRolePolicyInput => UpdateAssumeRolePolicyOutput, "iam:UpdateAssumeRolePolicy", |input, at| {
    at.on(Self::ACTION, Kind::Role, &input.role_name)
});
served!(ListInstanceProfilesForRoleInput => ListInstanceProfilesForRoleOutput, "iam:ListInstanceProfilesForRole",
    |input, at| at.on(Self::ACTION, Kind::Role, &input.role_name)
);

impl Change for CreateRoleInput {
    fn run(operation: Authorized<On<Self>>, at: &At<'_>, draft: &mut Draft) -> Result<CreateRoleOutput, IamError> {
        let input = operation.into_inner().input;
        let facts = RoleFacts {
            trust: documents::trust(at, &input.assume_role_policy_document)?,
            description: input.description.filter(|description| !description.is_empty()),
            max_session: seconds(input.max_session_duration).unwrap_or(limits::SESSION_SECONDS),
        };
        let role = new::entity(
            at,
            NewEntity {
                kind: Kind::Role,
                name: input.role_name,
                path: input.path,
                tags: input.tags,
                boundary: input.permissions_boundary,
                role: Some(facts),
            },
        )?;
        let shown = show::role(at, &role);
        draft.put_role(role);
        Ok(CreateRoleOutput { role: shown })
    }
}

/// The model has checked its range.
fn seconds(given: Option<i32>) -> Option<u32> {
    given.and_then(|seconds| u32::try_from(seconds).ok())
}

impl Change for DeleteRoleInput {
    fn run(operation: Authorized<On<Self>>, at: &At<'_>, draft: &mut Draft) -> Result<DeleteRoleOutput, IamError> {
        let input = operation.into_inner().input;
        let role = at.entity(Kind::Role, &input.role_name)?;
        new::without_policies(role)?;
        draft.remove_entity(role);
        Ok(DeleteRoleOutput {})
    }
}

impl Read for GetRoleInput {
    fn run(operation: Authorized<On<Self>>, at: &At<'_>) -> Result<GetRoleOutput, IamError> {
        let input = operation.into_inner().input;
        Ok(GetRoleOutput { role: show::role(at, at.entity(Kind::Role, &input.role_name)?) })
    }
}

impl Read for ListRolesInput {
    fn run(operation: Authorized<On<Self>>, at: &At<'_>) -> Result<ListRolesOutput, IamError> {
        let input = operation.into_inner().input;
        let prefix = input.path_prefix.as_deref().unwrap_or("/");
        let roles = at.account.entities(Kind::Role).filter(|(_, role)| role.path.starts_with(prefix));
        let roles = roles.map(|(key, role)| (key.to_owned(), show::listed_role(at, role)));
        let page = page(input.marker.as_deref(), input.max_items, roles)?;
        Ok(ListRolesOutput { is_truncated: page.truncated(), roles: page.items, marker: page.marker })
    }
}

impl Change for UpdateRoleInput {
    fn run(operation: Authorized<On<Self>>, at: &At<'_>, draft: &mut Draft) -> Result<UpdateRoleOutput, IamError> {
        let input = operation.into_inner().input;
        let mut role = Entity::clone(at.entity(Kind::Role, &input.role_name)?);
        if let Some(facts) = &mut role.role {
            if let Some(description) = input.description {
                facts.description = Some(description).filter(|description| !description.is_empty());
            }
            // A duration that is not given is set back to the default (IAM API reference, UpdateRole).
            facts.max_session = seconds(input.max_session_duration).unwrap_or(limits::SESSION_SECONDS);
        }
        draft.put_entity(role);
        Ok(UpdateRoleOutput {})
    }
}

impl Change for UpdateRoleDescriptionInput {
    fn run(
        operation: Authorized<On<Self>>,
        at: &At<'_>,
        draft: &mut Draft,
    ) -> Result<UpdateRoleDescriptionOutput, IamError> {
        let input = operation.into_inner().input;
        let mut role = Entity::clone(at.entity(Kind::Role, &input.role_name)?);
        if let Some(facts) = &mut role.role {
            facts.description = Some(input.description).filter(|description| !description.is_empty());
        }
        let shown = show::role(at, &role);
        draft.put_entity(role);
        Ok(UpdateRoleDescriptionOutput { role: Some(shown) })
    }
}

impl Change for UpdateAssumeRolePolicyInput {
    fn run(
        operation: Authorized<On<Self>>,
        at: &At<'_>,
        draft: &mut Draft,
    ) -> Result<UpdateAssumeRolePolicyOutput, IamError> {
        let input = operation.into_inner().input;
        let mut role = Entity::clone(at.entity(Kind::Role, &input.role_name)?);
        if let Some(facts) = &mut role.role {
            facts.trust = documents::trust(at, &input.policy_document)?;
        }
        draft.put_role(role);
        Ok(UpdateAssumeRolePolicyOutput {})
    }
}

impl Read for ListInstanceProfilesForRoleInput {
    fn run(operation: Authorized<On<Self>>, at: &At<'_>) -> Result<ListInstanceProfilesForRoleOutput, IamError> {
        let input = operation.into_inner().input;
        at.entity(Kind::Role, &input.role_name)?;
        // There are no instances here, and so no profiles.
        let page = page(input.marker.as_deref(), input.max_items, Vec::new())?;
        Ok(ListInstanceProfilesForRoleOutput {
            is_truncated: page.truncated(),
            instance_profiles: page.items,
            marker: page.marker,
        })
    }
}
