//! Managed policies attached to users, groups and roles.

use millpond_api_iam::*;
use millpond_kernel::Authorized;

use crate::errors::IamError;
use crate::operation::{At, Change, On, Read, served};
use crate::paging::{Page, page};
use crate::state::{Draft, Entity, Kind, folded};
use crate::{limits, show};

fn attach(at: &At<'_>, draft: &mut Draft, kind: Kind, name: &str, arn: String) -> Result<(), IamError> {
    let entity = at.entity(kind, name)?;
    at.attachable(&arn)?;
    // Once is enough.
    if entity.attached.contains(&arn) {
        return Ok(());
    }
    if entity.attached.len() >= limits::ATTACHED {
        return Err(IamError::quota(&format!("PoliciesPer{}", kind.title()), limits::ATTACHED));
    }
    let mut entity = Entity::clone(entity);
    entity.attached.push(arn);
    draft.put_entity(entity);
    Ok(())
}

fn detach(at: &At<'_>, draft: &mut Draft, kind: Kind, name: &str, arn: &str) -> Result<(), IamError> {
    let mut entity = Entity::clone(at.entity(kind, name)?);
    let before = entity.attached.len();
    entity.attached.retain(|attached| attached != arn);
    if entity.attached.len() == before {
        return Err(IamError::no_policy(arn));
    }
    draft.urgent();
    draft.put_entity(entity);
    Ok(())
}

fn list(
    at: &At<'_>,
    (kind, name): (Kind, &str),
    prefix: Option<&str>,
    (marker, max_items): (Option<&str>, Option<i32>),
) -> Result<Page<AttachedPolicy>, IamError> {
    let entity = at.entity(kind, name)?;
    let prefix = prefix.unwrap_or("/");
    let beneath = |arn: &&String| at.account.policy(arn).is_some_and(|policy| policy.path.starts_with(prefix));
    let mut policies: Vec<_> = entity
        .attached
        .iter()
        .filter(beneath)
        // By name; the ARN tells AWS's from the account's own of the same name.
        .map(|arn| (format!("{} {arn}", folded(arn.rsplit('/').next().unwrap_or_default())), show::attached(arn)))
        .collect();
    policies.sort_by(|(a, _), (b, _)| a.cmp(b));
    page(marker, max_items, policies)
}

/// The three operations on attachments of a kind.
macro_rules! attached {
    (
        $kind:expr, $name:ident, $on:ident,
        $attach:ident => $attach_output:ident $attach_action:literal,
        $detach:ident => $detach_output:ident $detach_action:literal,
        $list:ident => $list_output:ident $list_action:literal,
    ) => {
        served!($attach => $attach_output, $attach_action, |input, at| {
            at.$on(Self::ACTION, $kind, &input.$name).policy(&input.policy_arn)
        });
        served!($detach => $detach_output, $detach_action, |input, at| {
            at.$on(Self::ACTION, $kind, &input.$name).policy(&input.policy_arn)
        });
        served!($list => $list_output, $list_action, |input, at| at.on(Self::ACTION, $kind, &input.$name));

        impl Change for $attach {
            fn run(operation: Authorized<On<Self>>, at: &At<'_>, draft: &mut Draft) -> Result<$attach_output, IamError> {
                let input = operation.into_inner().input;
                attach(at, draft, $kind, &input.$name, input.policy_arn)?;
                Ok($attach_output {})
            }
        }

        impl Change for $detach {
            fn run(operation: Authorized<On<Self>>, at: &At<'_>, draft: &mut Draft) -> Result<$detach_output, IamError> {
                let input = operation.into_inner().input;
                detach(at, draft, $kind, &input.$name, &input.policy_arn)?;
                Ok($detach_output {})
            }
        }

        impl Read for $list {
            fn run(operation: Authorized<On<Self>>, at: &At<'_>) -> Result<$list_output, IamError> {
                let input = operation.into_inner().input;
                let pages = (input.marker.as_deref(), input.max_items);
                let page = list(at, ($kind, &input.$name), input.path_prefix.as_deref(), pages)?;
                let (is_truncated, marker) = (page.truncated(), page.marker);
                Ok($list_output { is_truncated, attached_policies: Some(page.items), marker })
            }
        }
    };
}

attached! {
    Kind::User, user_name, on_bounded,
    AttachUserPolicyInput => AttachUserPolicyOutput "iam:AttachUserPolicy",
    DetachUserPolicyInput => DetachUserPolicyOutput "iam:DetachUserPolicy",
    ListAttachedUserPoliciesInput => ListAttachedUserPoliciesOutput "iam:ListAttachedUserPolicies",
}
attached! {
    Kind::Group, group_name, on,
    AttachGroupPolicyInput => AttachGroupPolicyOutput "iam:AttachGroupPolicy",
    DetachGroupPolicyInput => DetachGroupPolicyOutput "iam:DetachGroupPolicy",
    ListAttachedGroupPoliciesInput => ListAttachedGroupPoliciesOutput "iam:ListAttachedGroupPolicies",
}
attached! {
    Kind::Role, role_name, on_bounded,
    AttachRolePolicyInput => AttachRolePolicyOutput "iam:AttachRolePolicy",
    DetachRolePolicyInput => DetachRolePolicyOutput "iam:DetachRolePolicy",
    ListAttachedRolePoliciesInput => ListAttachedRolePoliciesOutput "iam:ListAttachedRolePolicies",
}
