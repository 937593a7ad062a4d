//! Which users, groups and roles a managed policy is attached to, or bounds.

use std::sync::Arc;

use millpond_api_iam::*;
use millpond_kernel::Authorized;

use crate::errors::IamError;
use crate::operation::{At, On, Read, served};
use crate::paging::page;
use crate::state::{Entity, Kind};

served!(ListEntitiesForPolicyInput => ListEntitiesForPolicyOutput, "iam:ListEntitiesForPolicy", |input, at| {
    at.on_policy(Self::ACTION, &input.policy_arn)?
});

fn kinds(filter: Option<EntityType>) -> &'static [Kind] {
    match filter {
        None => &[Kind::Group, Kind::Role, Kind::User],
        Some(EntityType::User) => &[Kind::User],
        Some(EntityType::Role) => &[Kind::Role],
        Some(EntityType::Group) => &[Kind::Group],
        // Policies are attached to no policies.
        Some(EntityType::LocalManagedPolicy | EntityType::AWSManagedPolicy) => &[],
    }
}

impl Read for ListEntitiesForPolicyInput {
    fn run(operation: Authorized<On<Self>>, at: &At<'_>) -> Result<ListEntitiesForPolicyOutput, IamError> {
        let input = operation.into_inner().input;
        at.policy(&input.policy_arn)?;
        let prefix = input.path_prefix.as_deref().unwrap_or("/");
        let used = |entity: &Entity| {
            let attached = entity.attached.contains(&input.policy_arn);
            let boundary = entity.boundary.as_deref() == Some(input.policy_arn.as_str());
            match input.policy_usage_filter {
                Some(PolicyUsageType::PermissionsPolicy) => attached,
                Some(PolicyUsageType::PermissionsBoundary) => boundary,
                None => attached || boundary,
            }
        };
        let entities = kinds(input.entity_filter)
            .iter()
            .flat_map(|kind| {
                at.account.entities(*kind).map(move |(key, entity)| (format!("{} {key}", kind.word()), entity))
            })
            .filter(|(_, entity)| entity.path.starts_with(prefix) && used(entity))
            .map(|(key, entity)| (key, Arc::clone(entity)));
        let page = page(input.marker.as_deref(), input.max_items, entities)?;
        let mut output = ListEntitiesForPolicyOutput {
            is_truncated: page.truncated(),
            policy_groups: Some(Vec::new()),
            policy_users: Some(Vec::new()),
            policy_roles: Some(Vec::new()),
            marker: page.marker,
        };
        for entity in page.items {
            let (name, id) = (Some(entity.name.clone()), Some(entity.id.clone()));
            match entity.kind {
                Kind::User => {
                    output.policy_users.get_or_insert_default().push(PolicyUser { user_name: name, user_id: id });
                }
                Kind::Group => {
                    output.policy_groups.get_or_insert_default().push(PolicyGroup { group_name: name, group_id: id });
                }
                Kind::Role => {
                    output.policy_roles.get_or_insert_default().push(PolicyRole { role_name: name, role_id: id });
                }
            }
        }
        Ok(output)
    }
}
