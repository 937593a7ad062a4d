//! Tags of users, roles and managed policies.

use millpond_api_iam::*;
use millpond_kernel::Authorized;
use millpond_kernel::tags::is_reserved;

use crate::errors::IamError;
use crate::limits;
use crate::operation::{At, Change, On, Read, served};
use crate::paging::{Page, page};
use crate::state::{Draft, Entity, Kind, Tags};

served!(TagUserInput => TagUserOutput, "iam:TagUser", |input, at| {
    at.on(Self::ACTION, Kind::User, &input.user_name).request_tags(Some(&input.tags))
});
served!(TagRoleInput => TagRoleOutput, "iam:TagRole", |input, at| {
    at.on(Self::ACTION, Kind::Role, &input.role_name).request_tags(Some(&input.tags))
});
served!(TagPolicyInput => TagPolicyOutput, "iam:TagPolicy", |input, at| {
    at.on_policy(Self::ACTION, &input.policy_arn)?.request_tags(Some(&input.tags))
});
served!(UntagUserInput => UntagUserOutput, "iam:UntagUser", |input, at| {
    at.on(Self::ACTION, Kind::User, &input.user_name).tag_keys(input.tag_keys.clone())
});
served!(UntagRoleInput => UntagRoleOutput, "iam:UntagRole", |input, at| {
    at.on(Self::ACTION, Kind::Role, &input.role_name).tag_keys(input.tag_keys.clone())
});
served!(UntagPolicyInput => UntagPolicyOutput, "iam:UntagPolicy", |input, at| {
    at.on_policy(Self::ACTION, &input.policy_arn)?.tag_keys(input.tag_keys.clone())
});
served!(ListUserTagsInput => ListUserTagsOutput, "iam:ListUserTags", |input, at| {
    at.on(Self::ACTION, Kind::User, &input.user_name)
});
served!(ListRoleTagsInput => ListRoleTagsOutput, "iam:ListRoleTags", |input, at| {
    at.on(Self::ACTION, Kind::Role, &input.role_name)
});
served!(ListPolicyTagsInput => ListPolicyTagsOutput, "iam:ListPolicyTags", |input, at| {
    at.on_policy(Self::ACTION, &input.policy_arn)?
});

/// Whether keys that differ in case alone are one key: of users and roles they are, of policies they are not (IAM User Guide,
/// "Tags for AWS Identity and Access Management resources").
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Case {
    Ignored,
    Counts,
}

impl Case {
    fn same(self, a: &str, b: &str) -> bool {
        match self {
            // Tag keys may have any letters.
            Self::Ignored => a.to_lowercase() == b.to_lowercase(),
            Self::Counts => a == b,
        }
    }
}

/// Tags with further ones, which replace those with the same keys.
pub(super) fn with(tags: &Tags, more: Vec<Tag>, case: Case) -> Result<Tags, IamError> {
    for (at, tag) in more.iter().enumerate() {
        if is_reserved(&tag.key) {
            return Err(IamError::InvalidInput("Tag keys that begin with aws: are reserved for AWS.".to_owned()));
        }
        if more.iter().take(at).any(|other| case.same(&other.key, &tag.key)) {
            let message = "Duplicate tag keys found. Please note that Tag keys are case insensitive.";
            return Err(IamError::InvalidInput(message.to_owned()));
        }
    }
    let mut tags = tags.clone();
    for tag in more {
        // The newer spelling of the key stays.
        match tags.iter_mut().find(|(key, _)| case.same(key, &tag.key)) {
            Some(known) => *known = (tag.key, tag.value),
            None => tags.push((tag.key, tag.value)),
        }
    }
    if tags.len() > limits::TAGS {
        let message = format!("The number of tags has reached the maximum limit of {}.", limits::TAGS);
        return Err(IamError::LimitExceeded(message));
    }
    Ok(tags)
}

fn without(tags: &Tags, keys: &[String], case: Case) -> Tags {
    tags.iter().filter(|(key, _)| !keys.iter().any(|gone| case.same(gone, key))).cloned().collect()
}

fn tag(at: &At<'_>, draft: &mut Draft, kind: Kind, name: &str, more: Vec<Tag>) -> Result<(), IamError> {
    let entity = at.entity(kind, name)?;
    let tags = with(&entity.tags, more, Case::Ignored)?;
    draft.put_entity(Entity { tags, ..Entity::clone(entity) });
    Ok(())
}

fn untag(at: &At<'_>, draft: &mut Draft, kind: Kind, name: &str, keys: &[String]) -> Result<(), IamError> {
    let entity = at.entity(kind, name)?;
    draft.urgent();
    draft.put_entity(Entity { tags: without(&entity.tags, keys, Case::Ignored), ..Entity::clone(entity) });
    Ok(())
}

fn listed(tags: &Tags, marker: Option<&str>, max_items: Option<i32>) -> Result<Page<Tag>, IamError> {
    let mut tags: Vec<_> =
        tags.iter().map(|(key, value)| (key.clone(), Tag { key: key.clone(), value: value.clone() })).collect();
    tags.sort_by(|(a, _), (b, _)| a.cmp(b));
    page(marker, max_items, tags)
}

impl Change for TagUserInput {
    fn run(operation: Authorized<On<Self>>, at: &At<'_>, draft: &mut Draft) -> Result<TagUserOutput, IamError> {
        let input = operation.into_inner().input;
        tag(at, draft, Kind::User, &input.user_name, input.tags)?;
        Ok(TagUserOutput {})
    }
}

impl Change for TagRoleInput {
    fn run(operation: Authorized<On<Self>>, at: &At<'_>, draft: &mut Draft) -> Result<TagRoleOutput, IamError> {
        let input = operation.into_inner().input;
        tag(at, draft, Kind::Role, &input.role_name, input.tags)?;
        Ok(TagRoleOutput {})
    }
}

impl Change for TagPolicyInput {
    fn run(operation: Authorized<On<Self>>, at: &At<'_>, draft: &mut Draft) -> Result<TagPolicyOutput, IamError> {
        let input = operation.into_inner().input;
        let mut policy = at.changeable(&input.policy_arn)?;
        policy.tags = with(&policy.tags, input.tags, Case::Counts)?;
        draft.put_policy(policy);
        Ok(TagPolicyOutput {})
    }
}

impl Change for UntagUserInput {
    fn run(operation: Authorized<On<Self>>, at: &At<'_>, draft: &mut Draft) -> Result<UntagUserOutput, IamError> {
        let input = operation.into_inner().input;
        untag(at, draft, Kind::User, &input.user_name, &input.tag_keys)?;
        Ok(UntagUserOutput {})
    }
}

impl Change for UntagRoleInput {
    fn run(operation: Authorized<On<Self>>, at: &At<'_>, draft: &mut Draft) -> Result<UntagRoleOutput, IamError> {
        let input = operation.into_inner().input;
        untag(at, draft, Kind::Role, &input.role_name, &input.tag_keys)?;
        Ok(UntagRoleOutput {})
    }
}

impl Change for UntagPolicyInput {
    fn run(operation: Authorized<On<Self>>, at: &At<'_>, draft: &mut Draft) -> Result<UntagPolicyOutput, IamError> {
        let input = operation.into_inner().input;
        let mut policy = at.changeable(&input.policy_arn)?;
        policy.tags = without(&policy.tags, &input.tag_keys, Case::Counts);
        draft.urgent();
        draft.put_policy(policy);
        Ok(UntagPolicyOutput {})
    }
}

impl Read for ListUserTagsInput {
    fn run(operation: Authorized<On<Self>>, at: &At<'_>) -> Result<ListUserTagsOutput, IamError> {
        let input = operation.into_inner().input;
        let user = at.entity(Kind::User, &input.user_name)?;
        let page = listed(&user.tags, input.marker.as_deref(), input.max_items)?;
        Ok(ListUserTagsOutput { is_truncated: page.truncated(), tags: page.items, marker: page.marker })
    }
}

impl Read for ListRoleTagsInput {
    fn run(operation: Authorized<On<Self>>, at: &At<'_>) -> Result<ListRoleTagsOutput, IamError> {
        let input = operation.into_inner().input;
        let role = at.entity(Kind::Role, &input.role_name)?;
        let page = listed(&role.tags, input.marker.as_deref(), input.max_items)?;
        Ok(ListRoleTagsOutput { is_truncated: page.truncated(), tags: page.items, marker: page.marker })
    }
}

impl Read for ListPolicyTagsInput {
    fn run(operation: Authorized<On<Self>>, at: &At<'_>) -> Result<ListPolicyTagsOutput, IamError> {
        let input = operation.into_inner().input;
        let policy = at.policy(&input.policy_arn)?;
        let page = listed(&policy.tags, input.marker.as_deref(), input.max_items)?;
        Ok(ListPolicyTagsOutput { is_truncated: page.truncated(), tags: page.items, marker: page.marker })
    }
}
