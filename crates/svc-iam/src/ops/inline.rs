//! Inline policies of users, groups and roles.

use millpond_api_iam::*;
use millpond_kernel::Authorized;

use crate::documents;
use crate::errors::IamError;
use crate::operation::{At, Change, On, Read, served};
use crate::paging::{Page, page};
use crate::state::{Draft, Kind};

fn put(at: &At<'_>, draft: &mut Draft, kind: Kind, of: &str, name: &str, text: &str) -> Result<(), IamError> {
    let entity = at.entity(kind, of)?;
    let document = documents::inline(entity, name, text)?;
    draft.set_inline(entity, name, Some(document));
    Ok(())
}

fn delete(at: &At<'_>, draft: &mut Draft, kind: Kind, of: &str, name: &str) -> Result<(), IamError> {
    let entity = at.entity(kind, of)?;
    if !entity.inline.contains_key(name) {
        return Err(IamError::no_inline(kind, name));
    }
    draft.urgent();
    draft.set_inline(entity, name, None);
    Ok(())
}

/// The name of the entity, and the document.
fn get(at: &At<'_>, kind: Kind, of: &str, name: &str) -> Result<(String, String), IamError> {
    let entity = at.entity(kind, of)?;
    let document = entity.inline.get(name).ok_or_else(|| IamError::no_inline(kind, name))?;
    Ok((entity.name.clone(), documents::encoded(document.text())))
}

fn list(
    at: &At<'_>,
    kind: Kind,
    of: &str,
    (marker, max_items): (Option<&str>, Option<i32>),
) -> Result<Page<String>, IamError> {
    let entity = at.entity(kind, of)?;
    page(marker, max_items, entity.inline.keys().map(|name| (name.clone(), name.clone())))
}

/// The four operations on inline policies of a kind. A permissions boundary of the identity can be a condition of changing them.
macro_rules! inline {
    (
        $kind:expr, $name:ident, $on:ident,
        $put:ident => $put_output:ident $put_action:literal,
        $delete:ident => $delete_output:ident $delete_action:literal,
        $get:ident => $get_output:ident $get_action:literal,
        $list:ident => $list_output:ident $list_action:literal,
    ) => {
        served!($put => $put_output, $put_action, |input, at| at.$on(Self::ACTION, $kind, &input.$name));
        served!($delete => $delete_output, $delete_action, |input, at| at.$on(Self::ACTION, $kind, &input.$name));
        served!($get => $get_output, $get_action, |input, at| at.on(Self::ACTION, $kind, &input.$name));
        served!($list => $list_output, $list_action, |input, at| at.on(Self::ACTION, $kind, &input.$name));

        impl Change for $put {
            fn run(operation: Authorized<On<Self>>, at: &At<'_>, draft: &mut Draft) -> Result<$put_output, IamError> {
                let input = operation.into_inner().input;
                put(at, draft, $kind, &input.$name, &input.policy_name, &input.policy_document)?;
                Ok($put_output {})
            }
        }

        impl Change for $delete {
            fn run(operation: Authorized<On<Self>>, at: &At<'_>, draft: &mut Draft) -> Result<$delete_output, IamError> {
                let input = operation.into_inner().input;
                delete(at, draft, $kind, &input.$name, &input.policy_name)?;
                Ok($delete_output {})
            }
        }

        impl Read for $get {
            fn run(operation: Authorized<On<Self>>, at: &At<'_>) -> Result<$get_output, IamError> {
                let input = operation.into_inner().input;
                let ($name, policy_document) = get(at, $kind, &input.$name, &input.policy_name)?;
                Ok($get_output { $name, policy_name: input.policy_name, policy_document })
            }
        }

        impl Read for $list {
            fn run(operation: Authorized<On<Self>>, at: &At<'_>) -> Result<$list_output, IamError> {
                let input = operation.into_inner().input;
                let page = list(at, $kind, &input.$name, (input.marker.as_deref(), input.max_items))?;
                Ok($list_output { is_truncated: page.truncated(), policy_names: page.items, marker: page.marker })
            }
        }
    };
}

inline! {
    Kind::User, user_name, on_bounded,
    PutUserPolicyInput => PutUserPolicyOutput "iam:PutUserPolicy",
    DeleteUserPolicyInput => DeleteUserPolicyOutput "iam:DeleteUserPolicy",
    GetUserPolicyInput => GetUserPolicyOutput "iam:GetUserPolicy",
    ListUserPoliciesInput => ListUserPoliciesOutput "iam:ListUserPolicies",
}
inline! {
    Kind::Group, group_name, on,
    PutGroupPolicyInput => PutGroupPolicyOutput "iam:PutGroupPolicy",
    DeleteGroupPolicyInput => DeleteGroupPolicyOutput "iam:DeleteGroupPolicy",
    GetGroupPolicyInput => GetGroupPolicyOutput "iam:GetGroupPolicy",
    ListGroupPoliciesInput => ListGroupPoliciesOutput "iam:ListGroupPolicies",
}
inline! {
    Kind::Role, role_name, on_bounded,
    PutRolePolicyInput => PutRolePolicyOutput "iam:PutRolePolicy",
    DeleteRolePolicyInput => DeleteRolePolicyOutput "iam:DeleteRolePolicy",
    GetRolePolicyInput => GetRolePolicyOutput "iam:GetRolePolicy",
    ListRolePoliciesInput => ListRolePoliciesOutput "iam:ListRolePolicies",
}
