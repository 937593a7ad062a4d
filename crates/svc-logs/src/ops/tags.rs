//! Tags of groups, by the API of today (ARNs) and by the old one (names).

use std::collections::BTreeMap;
use std::sync::Arc;

use millpond_api_logs as api;
use millpond_kernel::tags::{self, BadTags};
use millpond_kernel::{Caller, Pin};
use millpond_types::{AccountId, Arn};

use super::groups;
use crate::errors::{Failure, LogsError, NO_GROUP};
use crate::inputs::{Input, Touch};
use crate::limits::MAX_TAGS;
use crate::state::{Core, Group};

/// Tags that can be; the model checks their characters and lengths.
pub(crate) fn check(tags: &BTreeMap<String, String>) -> Result<(), LogsError> {
    match tags::checked(tags.clone(), MAX_TAGS) {
        Ok(_) => Ok(()),
        Err(BadTags::TooMany(_)) => Err(LogsError::TooManyTags),
        Err(other) => Err(LogsError::Invalid(other.to_string())),
    }
}

/// The group that an ARN names, which may stand with `:*` at its end.
fn named(core: &Core, account: AccountId, text: &str) -> Result<String, LogsError> {
    let wrong = || LogsError::Invalid(format!("The resource ARN {text} is not valid."));
    let arn = Arn::parse(text).ok_or_else(wrong)?;
    if arn.account() != Some(account.as_str()) {
        return Err(NO_GROUP);
    }
    let name = groups::named(core, account, arn.as_str())?;
    // Destinations have tags too, and do not exist here.
    if arn.resource().starts_with("log-group:") && !name.contains(':') { Ok(name) } else { Err(wrong()) }
}

async fn touched<I: Input>(
    core: &Core,
    caller: &Caller,
    account: AccountId,
    name: &str,
    with: impl FnOnce(Arn) -> Touch<I>,
) -> Result<(Pin, Group), Failure> {
    let found = core.find_group(account, name).await?;
    let mut touch = with(core.arn(account, name, ""));
    if let Some(group) = &found {
        touch = touch.of(group);
    }
    let authorized = core.authorize(caller, touch).await?;
    Ok((authorized.pin(), found.ok_or(NO_GROUP)?))
}

async fn add(core: &Core, pin: Pin, group: Group, new: &BTreeMap<String, String>) -> Result<(), Failure> {
    let mut tags = group.row.tags.clone();
    tags.extend(new.clone());
    check(&tags)?;
    groups::retag(core, pin, group, tags).await
}

async fn remove(core: &Core, pin: Pin, group: Group, keys: &[String]) -> Result<(), Failure> {
    let mut tags = group.row.tags.clone();
    tags.retain(|key, _| !keys.contains(key));
    groups::retag(core, pin, group, tags).await
}

pub(crate) async fn list(
    core: &Arc<Core>,
    caller: &Caller,
    account: AccountId,
    input: &api::ListTagsForResourceInput,
) -> Result<api::ListTagsForResourceOutput, Failure> {
    let name = named(core, account, &input.resource_arn)?;
    let (_, group) = touched(core, caller, account, &name, |arn| Touch::new(input, account, arn)).await?;
    Ok(api::ListTagsForResourceOutput { tags: Some(group.row.tags) })
}

pub(crate) async fn list_by_name(
    core: &Arc<Core>,
    caller: &Caller,
    account: AccountId,
    input: &api::ListTagsLogGroupInput,
) -> Result<api::ListTagsLogGroupOutput, Failure> {
    let name = &input.log_group_name;
    let (_, group) = touched(core, caller, account, name, |arn| Touch::new(input, account, arn)).await?;
    Ok(api::ListTagsLogGroupOutput { tags: Some(group.row.tags) })
}

pub(crate) async fn tag(
    core: &Arc<Core>,
    caller: &Caller,
    account: AccountId,
    input: &api::TagResourceInput,
) -> Result<api::TagResourceOutput, Failure> {
    let name = named(core, account, &input.resource_arn)?;
    check(&input.tags)?;
    let with = |arn| Touch::new(input, account, arn).tags(&input.tags);
    let (pin, group) = touched(core, caller, account, &name, with).await?;
    add(core, pin, group, &input.tags).await?;
    Ok(api::TagResourceOutput {})
}

pub(crate) async fn tag_by_name(
    core: &Arc<Core>,
    caller: &Caller,
    account: AccountId,
    input: &api::TagLogGroupInput,
) -> Result<api::TagLogGroupOutput, Failure> {
    check(&input.tags)?;
    let with = |arn| Touch::new(input, account, arn).tags(&input.tags);
    let (pin, group) = touched(core, caller, account, &input.log_group_name, with).await?;
    add(core, pin, group, &input.tags).await?;
    Ok(api::TagLogGroupOutput {})
}

pub(crate) async fn untag(
    core: &Arc<Core>,
    caller: &Caller,
    account: AccountId,
    input: &api::UntagResourceInput,
) -> Result<api::UntagResourceOutput, Failure> {
    let name = named(core, account, &input.resource_arn)?;
    let with = |arn| Touch::new(input, account, arn).keys(&input.tag_keys);
    let (pin, group) = touched(core, caller, account, &name, with).await?;
    remove(core, pin, group, &input.tag_keys).await?;
    Ok(api::UntagResourceOutput {})
}

pub(crate) async fn untag_by_name(
    core: &Arc<Core>,
    caller: &Caller,
    account: AccountId,
    input: &api::UntagLogGroupInput,
) -> Result<api::UntagLogGroupOutput, Failure> {
    let with = |arn| Touch::new(input, account, arn).keys(&input.tags);
    let (pin, group) = touched(core, caller, account, &input.log_group_name, with).await?;
    remove(core, pin, group, &input.tags).await?;
    Ok(api::UntagLogGroupOutput {})
}
