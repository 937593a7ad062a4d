//! Everything at once: users, groups, roles and policies with what belongs to them.

use std::sync::Arc;

use millpond_api_iam::*;
use millpond_kernel::Authorized;

use super::policies::of_scope;
use crate::errors::IamError;
use crate::operation::{At, On, Read, served};
use crate::paging::page;
use crate::state::{Entity, Kind, ManagedPolicy};
use crate::{documents, show};

served!(GetAccountAuthorizationDetailsInput => GetAccountAuthorizationDetailsOutput, "iam:GetAccountAuthorizationDetails",
    |_input, at| at.on_all(Self::ACTION)
);

enum Item {
    Entity(Arc<Entity>),
    Policy(Arc<ManagedPolicy>),
}

fn attached(entity: &Entity) -> Option<Vec<AttachedPolicy>> {
    Some(entity.attached.iter().map(|arn| show::attached(arn)).collect())
}

fn inline(entity: &Entity) -> Option<Vec<PolicyDetail>> {
    let policies = entity.inline.iter().map(|(name, document)| PolicyDetail {
        policy_name: Some(name.clone()),
        policy_document: Some(documents::encoded(document.text())),
    });
    Some(policies.collect())
}

fn user(at: &At<'_>, user: &Entity) -> UserDetail {
    let mut groups: Vec<String> = at.account.groups_of(user).map(|group| group.name.clone()).collect();
    groups.sort();
    UserDetail {
        path: Some(user.path.clone()),
        user_name: Some(user.name.clone()),
        user_id: Some(user.id.clone()),
        arn: Some(user.arn()),
        create_date: Some(user.created),
        user_policy_list: inline(user).filter(|policies| !policies.is_empty()),
        group_list: Some(groups),
        attached_managed_policies: attached(user),
        permissions_boundary: show::boundary(user),
        tags: show::tags(&user.tags),
    }
}

fn group(group: &Entity) -> GroupDetail {
    GroupDetail {
        path: Some(group.path.clone()),
        group_name: Some(group.name.clone()),
        group_id: Some(group.id.clone()),
        arn: Some(group.arn()),
        create_date: Some(group.created),
        group_policy_list: inline(group),
        attached_managed_policies: attached(group),
    }
}

fn role(at: &At<'_>, role: &Entity) -> RoleDetail {
    RoleDetail {
        path: Some(role.path.clone()),
        role_name: Some(role.name.clone()),
        role_id: Some(role.id.clone()),
        arn: Some(role.arn()),
        create_date: Some(role.created),
        assume_role_policy_document: show::trust(at, role),
        instance_profile_list: Some(Vec::new()),
        role_policy_list: inline(role),
        attached_managed_policies: attached(role),
        permissions_boundary: show::boundary(role),
        tags: show::tags(&role.tags),
        role_last_used: None,
    }
}

fn policy(at: &At<'_>, policy: &ManagedPolicy) -> ManagedPolicyDetail {
    let shown = show::policy(at, policy);
    let versions = policy.versions.iter().rev().map(|(number, version)| show::version(policy, *number, version, true));
    ManagedPolicyDetail {
        policy_name: shown.policy_name,
        policy_id: shown.policy_id,
        arn: shown.arn,
        path: shown.path,
        default_version_id: shown.default_version_id,
        attachment_count: shown.attachment_count,
        permissions_boundary_usage_count: shown.permissions_boundary_usage_count,
        is_attachable: shown.is_attachable,
        description: shown.description,
        create_date: shown.create_date,
        update_date: shown.update_date,
        policy_version_list: Some(versions.collect()),
    }
}

/// What is wanted, with the keys that order it: users, groups, roles, then policies. Of AWS's policies those that are used.
fn items<'a>(at: &'a At<'_>, wanted: impl Fn(EntityType) -> bool) -> impl Iterator<Item = (String, Item)> + 'a {
    let kinds = [(EntityType::User, Kind::User), (EntityType::Group, Kind::Group), (EntityType::Role, Kind::Role)];
    let kinds: Vec<_> = kinds.into_iter().enumerate().filter(|(_, (filter, _))| wanted(*filter)).collect();
    let entities = kinds.into_iter().flat_map(|(order, (_, kind))| {
        let of_kind = at.account.entities(kind);
        of_kind.map(move |(key, entity)| (format!("{order}{key}"), Item::Entity(Arc::clone(entity))))
    });
    let policies = of_scope(at, wanted(EntityType::LocalManagedPolicy), wanted(EntityType::AWSManagedPolicy));
    let used = |policy: &ManagedPolicy| {
        let usage = at.account.usage(&policy.arn());
        policy.account.is_some() || usage.attached + usage.boundary > 0
    };
    let policies = policies.filter(move |(_, policy)| used(policy));
    entities.chain(policies.map(|(key, policy)| (format!("9{key}"), Item::Policy(Arc::clone(policy)))))
}

impl Read for GetAccountAuthorizationDetailsInput {
    fn run(operation: Authorized<On<Self>>, at: &At<'_>) -> Result<GetAccountAuthorizationDetailsOutput, IamError> {
        let input = operation.into_inner().input;
        let filter = input.filter.unwrap_or_default();
        let wanted = |kind| filter.is_empty() || filter.contains(&kind);
        let page = page(input.marker.as_deref(), input.max_items, items(at, wanted))?;
        let (is_truncated, marker) = (page.truncated(), page.marker);
        let (mut users, mut groups, mut roles, mut policies) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for item in page.items {
            match item {
                Item::Policy(found) => policies.push(policy(at, &found)),
                Item::Entity(entity) => match entity.kind {
                    Kind::User => users.push(user(at, &entity)),
                    Kind::Group => groups.push(group(&entity)),
                    Kind::Role => roles.push(role(at, &entity)),
                },
            }
        }
        Ok(GetAccountAuthorizationDetailsOutput {
            user_detail_list: Some(users),
            group_detail_list: Some(groups),
            role_detail_list: Some(roles),
            policies: Some(policies),
            is_truncated,
            marker,
        })
    }
}
