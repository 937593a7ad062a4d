//! Users.

use millpond_api_iam::*;
use millpond_kernel::Authorized;
use millpond_policy::Principal;

use super::new::{self, NewEntity};
use crate::errors::IamError;
use crate::operation::{At, Change, On, Owner, Read, served};
use crate::paging::page;
use crate::show;
use crate::state::{Draft, Entity, Kind};

served!(CreateUserInput => CreateUserOutput, "iam:CreateUser", |input, at| {
    let tags = ("iam:TagUser", input.tags.as_deref());
    let target = at.on_new(Self::ACTION, "user", (input.path.as_deref(), &input.user_name), tags);
    target.boundary(input.permissions_boundary.as_deref())
});
served!(DeleteUserInput => DeleteUserOutput, "iam:DeleteUser", |input, at| {
    at.on(Self::ACTION, Kind::User, &input.user_name)
});
served!(GetUserInput => GetUserOutput, "iam:GetUser", |input, at| {
    at.on_owner(Self::ACTION, input.user_name.as_deref())?
});
served!(ListUsersInput => ListUsersOutput, "iam:ListUsers", |input, at| {
    at.on_path(Self::ACTION, Kind::User, input.path_prefix.as_deref())
});
served!(UpdateUserInput => UpdateUserOutput, "iam:UpdateUser", |input, at| {
    let new = (input.new_path.as_deref(), input.new_user_name.as_deref());
    at.on_renamed(Self::ACTION, Kind::User, &input.user_name, new)
});

impl Change for CreateUserInput {
    fn run(operation: Authorized<On<Self>>, at: &At<'_>, draft: &mut Draft) -> Result<CreateUserOutput, IamError> {
        let input = operation.into_inner().input;
        let user = new::entity(
            at,
            NewEntity {
                kind: Kind::User,
                name: input.user_name,
                path: input.path,
                tags: input.tags,
                boundary: input.permissions_boundary,
                role: None,
            },
        )?;
        let shown = show::user(&user);
        draft.put_entity(user);
        Ok(CreateUserOutput { user: Some(shown) })
    }
}

impl Change for DeleteUserInput {
    fn run(operation: Authorized<On<Self>>, at: &At<'_>, draft: &mut Draft) -> Result<DeleteUserOutput, IamError> {
        let input = operation.into_inner().input;
        let user = at.entity(Kind::User, &input.user_name)?;
        if at.account.keys_of(Some(&user.id)).next().is_some() {
            return Err(IamError::DeleteConflict("Cannot delete entity, must delete access keys first."));
        }
        if !user.groups.is_empty() {
            return Err(IamError::DeleteConflict("Cannot delete entity, must remove users from group first."));
        }
        new::without_policies(user)?;
        draft.remove_entity(user);
        Ok(DeleteUserOutput {})
    }
}

impl Read for GetUserInput {
    fn run(operation: Authorized<On<Self>>, at: &At<'_>) -> Result<GetUserOutput, IamError> {
        let input = operation.into_inner().input;
        let user = match at.owner(input.user_name.as_deref())? {
            Owner::User(name) => show::user(at.entity(Kind::User, &name)?),
            Owner::Root => root(at),
        };
        Ok(GetUserOutput { user })
    }
}

/// The root user, which has no name, and is as old as its account; of the one that the server was made with, no date is kept.
fn root(at: &At<'_>) -> User {
    User {
        path: "/".to_owned(),
        user_name: None,
        user_id: at.id().to_string(),
        arn: Principal::Root(at.id()).arn(),
        create_date: at.accounts.created_at(at.id()).unwrap_or_default(),
        password_last_used: None,
        permissions_boundary: None,
        tags: None,
    }
}

impl Read for ListUsersInput {
    fn run(operation: Authorized<On<Self>>, at: &At<'_>) -> Result<ListUsersOutput, IamError> {
        let input = operation.into_inner().input;
        let prefix = input.path_prefix.as_deref().unwrap_or("/");
        let users = at.account.entities(Kind::User).filter(|(_, user)| user.path.starts_with(prefix));
        let users = users.map(|(key, user)| (key.to_owned(), show::listed_user(user)));
        let page = page(input.marker.as_deref(), input.max_items, users)?;
        Ok(ListUsersOutput { is_truncated: page.truncated(), users: page.items, marker: page.marker })
    }
}

impl Change for UpdateUserInput {
    fn run(operation: Authorized<On<Self>>, at: &At<'_>, draft: &mut Draft) -> Result<UpdateUserOutput, IamError> {
        let input = operation.into_inner().input;
        let user = at.entity(Kind::User, &input.user_name)?;
        let mut user = Entity::clone(user);
        new::rename(at, &mut user, input.new_path, input.new_user_name)?;
        draft.put_entity(user);
        Ok(UpdateUserOutput {})
    }
}
