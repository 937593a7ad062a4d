//! Groups, and who is in them.

use millpond_api_iam::*;
use millpond_kernel::Authorized;

use super::new::{self, NewEntity};
use crate::errors::IamError;
use crate::operation::{At, Change, On, Read, served};
use crate::paging::page;
use crate::state::{Draft, Entity, Kind, folded};
use crate::{limits, show};

served!(CreateGroupInput => CreateGroupOutput, "iam:CreateGroup", |input, at| {
    at.on_new(Self::ACTION, "group", (input.path.as_deref(), &input.group_name), ("", None))
});
served!(DeleteGroupInput => DeleteGroupOutput, "iam:DeleteGroup", |input, at| {
    at.on(Self::ACTION, Kind::Group, &input.group_name)
});
served!(GetGroupInput => GetGroupOutput, "iam:GetGroup", |input, at| at.on(Self::ACTION, Kind::Group, &input.group_name));
served!(ListGroupsInput => ListGroupsOutput, "iam:ListGroups", |input, at| {
    at.on_path(Self::ACTION, Kind::Group, input.path_prefix.as_deref())
});
served!(ListGroupsForUserInput => ListGroupsForUserOutput, "iam:ListGroupsForUser", |input, at| {
    at.on(Self::ACTION, Kind::User, &input.user_name)
});
served!(UpdateGroupInput => UpdateGroupOutput, "iam:UpdateGroup", |input, at| {
    let new = (input.new_path.as_deref(), input.new_group_name.as_deref());
    at.on_renamed(Self::ACTION, Kind::Group, &input.group_name, new)
});
served!(AddUserToGroupInput => AddUserToGroupOutput, "iam:AddUserToGroup", |input, at| {
    at.on(Self::ACTION, Kind::Group, &input.group_name)
});
served!(RemoveUserFromGroupInput => RemoveUserFromGroupOutput, "iam:RemoveUserFromGroup", |input, at| {
    at.on(Self::ACTION, Kind::Group, &input.group_name)
});

impl Change for CreateGroupInput {
    fn run(operation: Authorized<On<Self>>, at: &At<'_>, draft: &mut Draft) -> Result<CreateGroupOutput, IamError> {
        let input = operation.into_inner().input;
        let (kind, name, path) = (Kind::Group, input.group_name, input.path);
        let group = new::entity(at, NewEntity { kind, name, path, tags: None, boundary: None, role: None })?;
        let shown = show::group(&group);
        draft.put_entity(group);
        Ok(CreateGroupOutput { group: shown })
    }
}

impl Change for DeleteGroupInput {
    fn run(operation: Authorized<On<Self>>, at: &At<'_>, draft: &mut Draft) -> Result<DeleteGroupOutput, IamError> {
        let input = operation.into_inner().input;
        let group = at.entity(Kind::Group, &input.group_name)?;
        if at.account.members(group).next().is_some() {
            return Err(IamError::DeleteConflict("Cannot delete entity, must remove users from group first."));
        }
        new::without_policies(group)?;
        draft.remove_entity(group);
        Ok(DeleteGroupOutput {})
    }
}

impl Read for GetGroupInput {
    fn run(operation: Authorized<On<Self>>, at: &At<'_>) -> Result<GetGroupOutput, IamError> {
        let input = operation.into_inner().input;
        let group = at.entity(Kind::Group, &input.group_name)?;
        let users = at.account.members(group).map(|(key, user)| (key.to_owned(), show::listed_user(user)));
        let page = page(input.marker.as_deref(), input.max_items, users)?;
        Ok(GetGroupOutput {
            group: show::group(group),
            is_truncated: page.truncated(),
            users: page.items,
            marker: page.marker,
        })
    }
}

impl Read for ListGroupsInput {
    fn run(operation: Authorized<On<Self>>, at: &At<'_>) -> Result<ListGroupsOutput, IamError> {
        let input = operation.into_inner().input;
        let prefix = input.path_prefix.as_deref().unwrap_or("/");
        let groups = at.account.entities(Kind::Group).filter(|(_, group)| group.path.starts_with(prefix));
        let groups = groups.map(|(key, group)| (key.to_owned(), show::group(group)));
        let page = page(input.marker.as_deref(), input.max_items, groups)?;
        Ok(ListGroupsOutput { is_truncated: page.truncated(), groups: page.items, marker: page.marker })
    }
}

impl Read for ListGroupsForUserInput {
    fn run(operation: Authorized<On<Self>>, at: &At<'_>) -> Result<ListGroupsForUserOutput, IamError> {
        let input = operation.into_inner().input;
        let user = at.entity(Kind::User, &input.user_name)?;
        let groups = at.account.groups_of(user).map(|group| (folded(&group.name), show::group(group)));
        let mut groups: Vec<_> = groups.collect();
        groups.sort_by(|(a, _), (b, _)| a.cmp(b));
        let page = page(input.marker.as_deref(), input.max_items, groups)?;
        Ok(ListGroupsForUserOutput { is_truncated: page.truncated(), groups: page.items, marker: page.marker })
    }
}

impl Change for UpdateGroupInput {
    fn run(operation: Authorized<On<Self>>, at: &At<'_>, draft: &mut Draft) -> Result<UpdateGroupOutput, IamError> {
        let input = operation.into_inner().input;
        let mut group = Entity::clone(at.entity(Kind::Group, &input.group_name)?);
        new::rename(at, &mut group, input.new_path, input.new_group_name)?;
        draft.put_entity(group);
        Ok(UpdateGroupOutput {})
    }
}

impl Change for AddUserToGroupInput {
    fn run(operation: Authorized<On<Self>>, at: &At<'_>, draft: &mut Draft) -> Result<AddUserToGroupOutput, IamError> {
        let input = operation.into_inner().input;
        let group = at.entity(Kind::Group, &input.group_name)?;
        let mut user = Entity::clone(at.entity(Kind::User, &input.user_name)?);
        if user.groups.insert(group.id.clone()) {
            if user.groups.len() > limits::GROUPS_PER_USER {
                return Err(IamError::quota("GroupsPerUser", limits::GROUPS_PER_USER));
            }
            draft.put_entity(user);
        }
        Ok(AddUserToGroupOutput {})
    }
}

impl Change for RemoveUserFromGroupInput {
    fn run(
        operation: Authorized<On<Self>>,
        at: &At<'_>,
        draft: &mut Draft,
    ) -> Result<RemoveUserFromGroupOutput, IamError> {
        let input = operation.into_inner().input;
        let group = at.entity(Kind::Group, &input.group_name)?;
        let mut user = Entity::clone(at.entity(Kind::User, &input.user_name)?);
        // Whoever is not in it is out of it.
        if user.groups.remove(&group.id) {
            draft.urgent();
            draft.put_entity(user);
        }
        Ok(RemoveUserFromGroupOutput {})
    }
}
