//! Identities as the API shows them.

use millpond_api_iam as api;

use crate::documents;
use crate::operation::At;
use crate::state::{Entity, ManagedPolicy, PolicyVersion, Tags, version_id};

pub(crate) fn tags(tags: &Tags) -> Option<Vec<api::Tag>> {
    let shown = tags.iter().map(|(key, value)| api::Tag { key: key.clone(), value: value.clone() });
    (!tags.is_empty()).then(|| shown.collect())
}

pub(crate) fn boundary(entity: &Entity) -> Option<api::AttachedPermissionsBoundary> {
    entity.boundary.as_ref().map(|arn| api::AttachedPermissionsBoundary {
        permissions_boundary_type: Some(api::PermissionsBoundaryAttachmentType::PermissionsBoundaryPolicy),
        permissions_boundary_arn: Some(arn.clone()),
    })
}

/// A user as lists show it: without tags and boundary.
pub(crate) fn listed_user(user: &Entity) -> api::User {
    api::User {
        path: user.path.clone(),
        user_name: Some(user.name.clone()),
        user_id: user.id.clone(),
        arn: user.arn(),
        create_date: user.created,
        password_last_used: None,
        permissions_boundary: None,
        tags: None,
    }
}

pub(crate) fn user(user: &Entity) -> api::User {
    api::User { permissions_boundary: boundary(user), tags: tags(&user.tags), ..listed_user(user) }
}

pub(crate) fn group(group: &Entity) -> api::Group {
    api::Group {
        path: group.path.clone(),
        group_name: group.name.clone(),
        group_id: group.id.clone(),
        arn: group.arn(),
        create_date: group.created,
    }
}

/// The trust policy of a role, encoded.
pub(crate) fn trust(at: &At<'_>, role: &Entity) -> Option<String> {
    let facts = role.role.as_ref()?;
    Some(documents::encoded(&documents::shown_trust(at.identities, &facts.trust)))
}

/// A role as lists show it: without tags and boundary.
pub(crate) fn listed_role(at: &At<'_>, role: &Entity) -> api::Role {
    let facts = role.role.as_ref();
    api::Role {
        path: role.path.clone(),
        role_name: role.name.clone(),
        role_id: role.id.clone(),
        arn: role.arn(),
        create_date: role.created,
        assume_role_policy_document: trust(at, role),
        description: facts.and_then(|facts| facts.description.clone()),
        max_session_duration: facts.and_then(|facts| i32::try_from(facts.max_session).ok()),
        permissions_boundary: None,
        tags: None,
        role_last_used: None,
        source_role_template: None,
    }
}

pub(crate) fn role(at: &At<'_>, role: &Entity) -> api::Role {
    api::Role { permissions_boundary: boundary(role), tags: tags(&role.tags), ..listed_role(at, role) }
}

fn count(number: u32) -> Option<i32> {
    i32::try_from(number).ok()
}

/// A managed policy as lists show it: without description and tags.
pub(crate) fn listed_policy(at: &At<'_>, policy: &ManagedPolicy) -> api::Policy {
    let (arn, usage) = (policy.arn(), at.account.usage(&policy.arn()));
    api::Policy {
        policy_name: Some(policy.name.clone()),
        policy_id: Some(policy.id.clone()),
        arn: Some(arn),
        path: Some(policy.path.clone()),
        default_version_id: Some(version_id(policy.default)),
        attachment_count: count(usage.attached),
        permissions_boundary_usage_count: count(usage.boundary),
        is_attachable: Some(true),
        description: None,
        create_date: Some(policy.created),
        update_date: Some(policy.updated),
        tags: None,
    }
}

pub(crate) fn policy(at: &At<'_>, policy: &ManagedPolicy) -> api::Policy {
    let description = policy.description.clone();
    api::Policy { description, tags: tags(&policy.tags), ..listed_policy(at, policy) }
}

/// A version of a managed policy, with what it says only where that is asked for.
pub(crate) fn version(
    policy: &ManagedPolicy,
    number: u32,
    version: &PolicyVersion,
    document: bool,
) -> api::PolicyVersion {
    api::PolicyVersion {
        document: document.then(|| documents::encoded(version.document.text())),
        version_id: Some(version_id(number)),
        is_default_version: Some(policy.default == number),
        create_date: Some(version.created),
    }
}

/// A managed policy by ARN alone, as attachments show it.
pub(crate) fn attached(arn: &str) -> api::AttachedPolicy {
    let name = arn.rsplit('/').next().unwrap_or_default().to_owned();
    api::AttachedPolicy { policy_name: Some(name), policy_arn: Some(arn.to_owned()) }
}
