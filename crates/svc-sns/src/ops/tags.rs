//! Tags of topics.

use std::collections::BTreeMap;
use std::sync::Arc;

use millpond_api_sns as api;
use millpond_kernel::Caller;
use millpond_kernel::tags::{self, BadTags};

use crate::errors::{Failure, SnsError};
use crate::inputs::Input;
use crate::limits::MAX_TAGS;
use crate::resolved::Resolved;
use crate::state::{Core, Draft, On};

/// The tags of a request. A key stands once.
pub(crate) fn given(tags: &[api::Tag]) -> Result<BTreeMap<String, String>, SnsError> {
    // How many there are is checked with those that are there.
    let pairs = tags.iter().map(|tag| (tag.key.clone(), tag.value.clone()));
    tags::checked(pairs, usize::MAX).map_err(|bad| match bad {
        BadTags::Twice(_) => SnsError::parameter("Duplicated keys are not allowed."),
        _ => SnsError::parameter("Tags Reason: Tag keys must not begin with aws:"),
    })
}

pub(crate) fn check_number(tags: &BTreeMap<String, String>) -> Result<(), SnsError> {
    if tags.len() > MAX_TAGS {
        return Err(SnsError::Limit(
            "TagLimitExceeded",
            format!("Could not complete request: tag quota of per resource exceeded ({MAX_TAGS})"),
        ));
    }
    Ok(())
}

/// As [`Core::on_topic`], with the words of the operations on tags.
async fn on<I: Input>(
    core: &Core,
    caller: &Caller,
    arn: &str,
    with: impl FnOnce(Resolved<I>) -> Resolved<I>,
) -> Result<On<I>, SnsError> {
    core.on_topic(caller, arn, "ResourceArn", with).await.map_err(|error| match error {
        SnsError::NotFound(_) => SnsError::ResourceNotFound,
        other => other,
    })
}

pub(crate) async fn list(
    core: &Arc<Core>,
    caller: &Arc<Caller>,
    input: &api::ListTagsForResourceInput,
) -> Result<api::ListTagsForResourceOutput, Failure> {
    let On { topic, .. } = on::<api::ListTagsForResourceInput>(core, caller, &input.resource_arn, |r| r).await?;
    let tags = topic.facts.tags.iter().map(|(key, value)| api::Tag { key: key.clone(), value: value.clone() });
    Ok(api::ListTagsForResourceOutput { tags: Some(tags.collect()) })
}

pub(crate) async fn tag(
    core: &Arc<Core>,
    caller: &Arc<Caller>,
    input: &api::TagResourceInput,
) -> Result<api::TagResourceOutput, Failure> {
    let tags = given(&input.tags)?;
    let On { authorized, topic } =
        on::<api::TagResourceInput>(core, caller, &input.resource_arn, |resolved| resolved.request_tags(&tags)).await?;
    let mut facts = topic.facts.clone();
    facts.tags.extend(tags);
    check_number(&facts.tags)?;
    let mut draft = Draft::on(&topic);
    draft.topic(topic.with(facts)?);
    // Conditions may ask for tags: what was decided by the old ones is decided anew.
    draft.changes_policies();
    core.commit(Some(authorized.pin()), draft).await?;
    Ok(api::TagResourceOutput {})
}

pub(crate) async fn untag(
    core: &Arc<Core>,
    caller: &Arc<Caller>,
    input: &api::UntagResourceInput,
) -> Result<api::UntagResourceOutput, Failure> {
    let names = &input.tag_keys;
    let On { authorized, topic } =
        on::<api::UntagResourceInput>(core, caller, &input.resource_arn, |r| r.tag_keys(names.clone())).await?;
    let mut facts = topic.facts.clone();
    facts.tags.retain(|key, _| !names.contains(key));
    let mut draft = Draft::on(&topic);
    draft.topic(topic.with(facts)?);
    draft.changes_policies();
    core.commit(Some(authorized.pin()), draft).await?;
    Ok(api::UntagResourceOutput {})
}
