//! Tags of work groups.

use std::collections::BTreeMap;
use std::sync::Arc;

use millpond_api_athena as api;
use millpond_kernel::tags::{self, BadTags, Tags};
use millpond_kernel::{Caller, Pin, paging};
use millpond_meta::Op;
use millpond_types::{AccountId, Arn};

use crate::errors::{AthenaError, Failure, invalid};
use crate::inputs::{Input, On, Touch};
use crate::limits::MAX_TAGS;
use crate::state::{Core, Group};
use crate::tables;

fn refused(bad: BadTags) -> AthenaError {
    AthenaError::Invalid(bad.to_string())
}

/// The tags of a request.
pub(crate) fn checked(given: &[api::Tag]) -> Result<Tags, AthenaError> {
    let mut pairs = Vec::with_capacity(given.len());
    for tag in given {
        let Some(key) = tag.key.clone().filter(|key| !key.is_empty()) else { return invalid("A tag has no key.") };
        pairs.push((key, tag.value.clone().unwrap_or_default()));
    }
    tags::checked(pairs, MAX_TAGS).map_err(refused)
}

async fn touched<I: Input>(
    core: &Core,
    caller: &Caller,
    account: AccountId,
    input: &I,
    arn: &str,
    with: impl FnOnce(Touch) -> Touch,
) -> Result<(Group, Pin), AthenaError> {
    let wrong = || AthenaError::Invalid(format!("Invalid resource ARN: {arn}"));
    let text = arn;
    let arn = Arn::parse(arn).filter(|arn| arn.service() == "athena").ok_or_else(wrong)?;
    let name = arn.resource().strip_prefix("workgroup/").map(str::to_owned);
    let here = arn.account() == Some(account.as_str()) && arn.region() == core.kernel.region().as_str();
    let owner = arn.account().and_then(|owner| owner.parse().ok()).unwrap_or(account);
    let group = match &name {
        Some(name) if here => core.group(account, name).await?,
        _ => None,
    };
    let tags = group.as_ref().map(|group| group.row.tags.clone()).unwrap_or_default();
    let touch = Touch::new(input, owner, vec![On { arn, tags }]);
    let pin = core.authorize(caller, with(touch)).await?;
    if name.is_none() {
        return invalid(format!("Only work groups have tags: {text} is none."));
    }
    let missing = || AthenaError::NotFound(format!("Resource {text} was not found"));
    Ok((group.ok_or_else(missing)?, pin))
}

async fn put(core: &Core, group: Group, tags: BTreeMap<String, String>, pin: Pin) -> Result<(), Failure> {
    let stands = group.unchanged();
    let row = tables::GroupRow { tags, ..group.row };
    core.commit(pin, vec![stands], vec![Op::Put(group.key, tables::encode(&row))], false).await
}

pub(crate) async fn list(
    core: &Arc<Core>,
    caller: &Arc<Caller>,
    account: AccountId,
    input: &api::ListTagsForResourceInput,
) -> Result<api::ListTagsForResourceOutput, Failure> {
    let (group, _) = touched(core, caller, account, input, &input.resource_arn, |touch| touch).await?;
    let bad = |_| AthenaError::Invalid("The NextToken is not valid.".to_owned());
    let page = paging::Page::new(paging::limit(input.max_results, MAX_TAGS), input.next_token.as_deref());
    let tag = |(key, value): (String, String)| (key.clone(), api::Tag { key: Some(key), value: Some(value) });
    let (tags, next_token) = page.map_err(bad)?.cut(group.row.tags.into_iter().map(tag));
    Ok(api::ListTagsForResourceOutput { tags: Some(tags), next_token })
}

pub(crate) async fn tag(
    core: &Arc<Core>,
    caller: &Arc<Caller>,
    account: AccountId,
    input: &api::TagResourceInput,
) -> Result<api::TagResourceOutput, Failure> {
    let new = checked(&input.tags)?;
    let with = |touch: Touch| touch.tags(&new);
    let (group, pin) = touched(core, caller, account, input, &input.resource_arn, with).await?;
    let mut all = group.row.tags.clone();
    tags::add(&mut all, new.clone(), MAX_TAGS).map_err(refused)?;
    put(core, group, all, pin).await?;
    Ok(api::TagResourceOutput {})
}

pub(crate) async fn untag(
    core: &Arc<Core>,
    caller: &Arc<Caller>,
    account: AccountId,
    input: &api::UntagResourceInput,
) -> Result<api::UntagResourceOutput, Failure> {
    let with = |touch: Touch| touch.keys(&input.tag_keys);
    let (group, pin) = touched(core, caller, account, input, &input.resource_arn, with).await?;
    let mut all = group.row.tags.clone();
    all.retain(|key, _| !input.tag_keys.contains(key));
    put(core, group, all, pin).await?;
    Ok(api::UntagResourceOutput {})
}
