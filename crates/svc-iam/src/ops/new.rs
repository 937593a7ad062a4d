//! What the creation, renaming and deletion of users, groups and roles have in common.

use std::collections::{BTreeMap, BTreeSet};

use millpond_api_iam as api;

use super::tags;
use crate::errors::IamError;
use crate::limits;
use crate::operation::At;
use crate::state::{Entity, Kind, RoleFacts, folded};

/// A user, group or role that is to be.
pub(super) struct NewEntity {
    pub kind: Kind,
    pub name: String,
    pub path: Option<String>,
    pub tags: Option<Vec<api::Tag>>,
    pub boundary: Option<String>,
    pub role: Option<RoleFacts>,
}

pub(super) fn entity(at: &At<'_>, new: NewEntity) -> Result<Entity, IamError> {
    free(at, new.kind, &new.name)?;
    let (quota, limit) = match new.kind {
        Kind::User => ("UsersPerAccount", limits::USERS),
        Kind::Group => ("GroupsPerAccount", limits::GROUPS),
        Kind::Role => ("RolesPerAccount", limits::ROLES),
    };
    if at.account.entities(new.kind).count() >= limit {
        return Err(IamError::quota(quota, limit));
    }
    if let Some(arn) = &new.boundary {
        at.attachable(arn)?;
    }
    Ok(Entity {
        account: at.id(),
        kind: new.kind,
        name: new.name,
        path: new.path.unwrap_or_else(|| "/".to_owned()),
        id: at.identities.new_id(new.kind.prefix()),
        created: at.identities.now(),
        tags: tags::with(&Vec::new(), new.tags.unwrap_or_default(), tags::Case::Ignored)?,
        boundary: new.boundary,
        attached: Vec::new(),
        inline: BTreeMap::new(),
        groups: BTreeSet::new(),
        role: new.role,
    })
}

/// Refuses a name that is taken.
fn free(at: &At<'_>, kind: Kind, name: &str) -> Result<(), IamError> {
    if at.account.entity(kind, name).is_some() {
        return Err(IamError::EntityAlreadyExists(format!("{} with name {name} already exists.", kind.title())));
    }
    Ok(())
}

/// Gives another name or path.
pub(super) fn rename(
    at: &At<'_>,
    entity: &mut Entity,
    path: Option<String>,
    name: Option<String>,
) -> Result<(), IamError> {
    if let Some(name) = name {
        // Another spelling of the same name is no other name.
        if folded(&name) != folded(&entity.name) {
            free(at, entity.kind, &name)?;
        }
        entity.name = name;
    }
    if let Some(path) = path {
        entity.path = path;
    }
    Ok(())
}

/// Refuses to delete what still has policies.
pub(super) fn without_policies(entity: &Entity) -> Result<(), IamError> {
    if !entity.attached.is_empty() {
        return Err(IamError::DeleteConflict("Cannot delete entity, must detach all policies first."));
    }
    if !entity.inline.is_empty() {
        return Err(IamError::DeleteConflict("Cannot delete entity, must delete policies first."));
    }
    Ok(())
}
