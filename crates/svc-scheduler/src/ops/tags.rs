//! Tags of schedule groups. Schedules have none.

use std::collections::BTreeMap;
use std::sync::Arc;

use millpond_api_scheduler as api;
use millpond_kernel::tags::{self, BadTags};
use millpond_kernel::{Caller, Pin};
use millpond_meta::{Cond, Op};
use millpond_types::{AccountId, Arn};

use super::groups::{deleting, missing};
use crate::errors::{Failure, SchedulerError};
use crate::inputs::{Input, Touch};
use crate::limits::MAX_TAGS;
use crate::state::{Core, DEFAULT};
use crate::tables::{self, GroupRow};

/// Tags that can be; the model checks their lengths.
pub(crate) fn checked(tags: &[api::Tag]) -> Result<BTreeMap<String, String>, SchedulerError> {
    let pairs = tags.iter().map(|tag| (tag.key.clone(), tag.value.clone()));
    tags::checked(pairs, MAX_TAGS).map_err(refused)
}

fn refused(bad: BadTags) -> SchedulerError {
    SchedulerError::Validation(bad.to_string())
}

/// A group as it was found by its ARN.
struct Found {
    key: millpond_meta::Key,
    row: GroupRow,
    stands: Cond,
    pin: Pin,
}

async fn touched<I: Input>(
    core: &Core,
    caller: &Caller,
    account: AccountId,
    arn: &str,
    with: impl FnOnce(Touch<I>) -> Touch<I>,
    input: &I,
) -> Result<Found, Failure> {
    let named = Arn::parse(arn).and_then(|arn| Some((arn.resource().strip_prefix("schedule-group/")?.to_owned(), arn)));
    let Some((name, arn)) = named else {
        return Err(SchedulerError::Validation(format!("Provided Arn is not in correct format: {arn}")).into());
    };
    let here = arn.account() == Some(account.as_str()) && arn.region() == core.kernel.region().as_str();
    let owner = arn.account().and_then(|owner| owner.parse().ok()).unwrap_or(account);
    let found = if here { core.group(account, &name).await? } else { None };
    let touch = Touch::new(input, owner, arn).tagged(found.as_ref().map(|(row, _)| &row.tags));
    let pin = core.authorize(caller, with(touch)).await?.pin();
    let key = tables::group(account, &name);
    match found {
        Some((row, _)) if row.deleting => Err(deleting(&name).into()),
        Some((row, raw)) => Ok(Found { stands: Cond::Equals(key.clone(), raw), key, row, pin }),
        None if name == DEFAULT && here => {
            let now = core.clock.now().0;
            let row = GroupRow { created: now, modified: now, ..GroupRow::default() };
            Ok(Found { stands: Cond::Absent(key.clone()), key, row, pin })
        }
        None => Err(missing(&name).into()),
    }
}

async fn put(core: &Core, found: Found) -> Result<(), Failure> {
    let row = GroupRow { modified: core.clock.now().0, ..found.row };
    core.commit(found.pin, vec![found.stands], vec![Op::Put(found.key, tables::encode(&row))], false).await
}

pub(crate) async fn list(
    core: &Arc<Core>,
    caller: &Caller,
    account: AccountId,
    input: &api::ListTagsForResourceInput,
) -> Result<api::ListTagsForResourceOutput, Failure> {
    let found = touched(core, caller, account, &input.resource_arn, |touch| touch, input).await?;
    let tags = found.row.tags.into_iter().map(|(key, value)| api::Tag { key, value }).collect();
    Ok(api::ListTagsForResourceOutput { tags: Some(tags) })
}

pub(crate) async fn tag(
    core: &Arc<Core>,
    caller: &Caller,
    account: AccountId,
    input: &api::TagResourceInput,
) -> Result<api::TagResourceOutput, Failure> {
    let new = checked(&input.tags)?;
    let with = |touch: Touch<_>| touch.tags(&new);
    let mut found = touched(core, caller, account, &input.resource_arn, with, input).await?;
    tags::add(&mut found.row.tags, new.clone(), MAX_TAGS).map_err(refused)?;
    put(core, found).await?;
    Ok(api::TagResourceOutput {})
}

pub(crate) async fn untag(
    core: &Arc<Core>,
    caller: &Caller,
    account: AccountId,
    input: &api::UntagResourceInput,
) -> Result<api::UntagResourceOutput, Failure> {
    let with = |touch: Touch<_>| touch.keys(&input.tag_keys);
    let mut found = touched(core, caller, account, &input.resource_arn, with, input).await?;
    found.row.tags.retain(|key, _| !input.tag_keys.contains(key));
    put(core, found).await?;
    Ok(api::UntagResourceOutput {})
}
