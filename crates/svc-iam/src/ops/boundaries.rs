//! Permissions boundaries of users and roles.

use millpond_api_iam::*;
use millpond_kernel::Authorized;

use crate::errors::IamError;
use crate::operation::{At, Change, On, served};
use crate::state::{Draft, Entity, Kind};

fn put(at: &At<'_>, draft: &mut Draft, kind: Kind, name: &str, arn: String) -> Result<(), IamError> {
    let entity = at.entity(kind, name)?;
    at.attachable(&arn)?;
    draft.put_entity(Entity { boundary: Some(arn), ..Entity::clone(entity) });
    Ok(())
}

fn delete(at: &At<'_>, draft: &mut Draft, kind: Kind, name: &str) -> Result<(), IamError> {
    let entity = at.entity(kind, name)?;
    if entity.boundary.is_none() {
        let (title, name) = (kind.title(), &entity.name);
        return Err(IamError::NoSuchEntity(format!("{title} {name} does not have a permissions boundary.")));
    }
    draft.urgent();
    draft.put_entity(Entity { boundary: None, ..Entity::clone(entity) });
    Ok(())
}

/// The two operations on boundaries of a kind. What is put is a condition of putting it, what there is of removing it.
macro_rules! boundaries {
    (
        $kind:expr, $name:ident,
        $put:ident => $put_output:ident $put_action:literal,
        $delete:ident => $delete_output:ident $delete_action:literal,
    ) => {
        served!($put => $put_output, $put_action, |input, at| {
            at.on(Self::ACTION, $kind, &input.$name).boundary(Some(&input.permissions_boundary))
        });
        served!($delete => $delete_output, $delete_action, |input, at| at.on_bounded(Self::ACTION, $kind, &input.$name));

        impl Change for $put {
            fn run(operation: Authorized<On<Self>>, at: &At<'_>, draft: &mut Draft) -> Result<$put_output, IamError> {
                let input = operation.into_inner().input;
                put(at, draft, $kind, &input.$name, input.permissions_boundary)?;
                Ok($put_output {})
            }
        }

        impl Change for $delete {
            fn run(operation: Authorized<On<Self>>, at: &At<'_>, draft: &mut Draft) -> Result<$delete_output, IamError> {
                let input = operation.into_inner().input;
                delete(at, draft, $kind, &input.$name)?;
                Ok($delete_output {})
            }
        }
    };
}

boundaries! {
    Kind::User, user_name,
    PutUserPermissionsBoundaryInput => PutUserPermissionsBoundaryOutput "iam:PutUserPermissionsBoundary",
    DeleteUserPermissionsBoundaryInput => DeleteUserPermissionsBoundaryOutput "iam:DeleteUserPermissionsBoundary",
}
boundaries! {
    Kind::Role, role_name,
    PutRolePermissionsBoundaryInput => PutRolePermissionsBoundaryOutput "iam:PutRolePermissionsBoundary",
    DeleteRolePermissionsBoundaryInput => DeleteRolePermissionsBoundaryOutput "iam:DeleteRolePermissionsBoundary",
}
