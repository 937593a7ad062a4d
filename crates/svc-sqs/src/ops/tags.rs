//! Tags of queues.

use millpond_api_sqs as api;
use millpond_kernel::Caller;

use crate::changing::check_tags;
use crate::errors::{Failure, SqsError};
use crate::queue::Facts;
use crate::state::{Core, Who};

pub(crate) async fn list(
    core: &Core,
    caller: &Caller,
    input: &api::ListQueueTagsInput,
) -> Result<api::ListQueueTagsOutput, Failure> {
    let (_, queue) =
        core.on_queue::<api::ListQueueTagsInput>(caller, &input.queue_url, "sqs:ListQueueTags", Who::Own).await?;
    let tags = queue.facts().tags.clone();
    Ok(api::ListQueueTagsOutput { tags: (!tags.is_empty()).then_some(tags) })
}

pub(crate) async fn tag(
    core: &Core,
    caller: &Caller,
    input: &api::TagQueueInput,
) -> Result<api::TagQueueOutput, Failure> {
    let asked = input.tags.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
    let (authorized, queue) =
        core.on_tagged::<api::TagQueueInput>(caller, &input.queue_url, "sqs:TagQueue", Who::Own, asked).await?;
    if input.tags.is_empty() {
        return Err(SqsError::Missing("Tags").into());
    }
    let before = queue.facts();
    let mut tags = before.tags.clone();
    tags.extend(input.tags.clone());
    check_tags(&input.tags)?;
    check_tags(&tags)?;
    core.rewrite(authorized.pin(), &queue, Facts { tags, ..(*before).clone() }, Vec::new()).await?;
    Ok(api::TagQueueOutput {})
}

pub(crate) async fn untag(
    core: &Core,
    caller: &Caller,
    input: &api::UntagQueueInput,
) -> Result<api::UntagQueueOutput, Failure> {
    let keys = input.tag_keys.iter().map(|key| (key.clone(), String::new())).collect();
    let (authorized, queue) =
        core.on_tagged::<api::UntagQueueInput>(caller, &input.queue_url, "sqs:UntagQueue", Who::Own, keys).await?;
    if input.tag_keys.is_empty() {
        return Err(SqsError::Missing("TagKeys").into());
    }
    let before = queue.facts();
    let mut tags = before.tags.clone();
    tags.retain(|key, _| !input.tag_keys.contains(key));
    core.rewrite(authorized.pin(), &queue, Facts { tags, ..(*before).clone() }, Vec::new()).await?;
    Ok(api::UntagQueueOutput {})
}
