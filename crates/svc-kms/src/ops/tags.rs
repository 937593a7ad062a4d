//! Tags of keys.

use std::collections::BTreeMap;
use std::sync::Arc;

use millpond_api_kms as api;
use millpond_kernel::Caller;
use millpond_kernel::tags::{self, BadTags, has_plain_characters};

use crate::cache::Change;
use crate::errors::{Failure, KmsError};
use crate::limits::MAX_TAGS;
use crate::lookup::{Forms, customers, not_pending};
use crate::paging::page;
use crate::state::{Core, Draft};
use crate::tables;

/// Tags that can be (API reference, Tag): the model checks their lengths.
pub(crate) fn checked(tags: &[api::Tag]) -> Result<BTreeMap<String, String>, KmsError> {
    let plain = |tag: &api::Tag| [&tag.tag_key, &tag.tag_value].into_iter().all(|text| has_plain_characters(text));
    if !tags.iter().all(plain) {
        let text = "Tags have letters, numbers, spaces and the characters _ . : / = + - @ alone.";
        return Err(KmsError::Tag(text.to_owned()));
    }
    let pairs = tags.iter().map(|tag| (tag.tag_key.clone(), tag.tag_value.clone()));
    tags::checked(pairs, MAX_TAGS).map_err(|bad| match bad {
        BadTags::TooMany(_) => KmsError::Limit(bad.to_string()),
        other => KmsError::Tag(other.to_string()),
    })
}

pub(crate) async fn list(
    core: &Arc<Core>,
    caller: &Caller,
    input: &api::ListResourceTagsInput,
) -> Result<api::ListResourceTagsOutput, Failure> {
    let (_, on) = core.on_key(caller, input, &input.key_id, Forms::Own).await?;
    let page = page(input.limit, input.marker.as_deref(), MAX_TAGS, MAX_TAGS)?;
    let (tags, next_marker) = page.cut(
        on.key
            .tags
            .iter()
            .map(|(name, value)| (name.clone(), api::Tag { tag_key: name.clone(), tag_value: value.clone() })),
    );
    Ok(api::ListResourceTagsOutput { tags: Some(tags), truncated: Some(next_marker.is_some()), next_marker })
}

pub(crate) async fn tag(
    core: &Arc<Core>,
    caller: &Caller,
    input: &api::TagResourceInput,
) -> Result<api::TagResourceOutput, Failure> {
    let new = checked(&input.tags)?;
    let (authorized, on) = core.on_key(caller, input, &input.key_id, Forms::Own).await?;
    not_pending(&on.key)?;
    customers(&on.key)?;
    let mut draft = Draft::on(&on.key);
    let mut changed = (*on.key).clone();
    for (name, value) in new {
        draft.raw(tables::tag(changed.id, &name), value.clone().into());
        changed.tags.insert(name, value);
    }
    if changed.tags.len() > MAX_TAGS {
        return Err(KmsError::Limit(format!("A key has at most {MAX_TAGS} tags.")).into());
    }
    draft.change(Change::Key(Arc::new(changed)));
    core.commit(Some(authorized.pin()), draft).await?;
    Ok(api::TagResourceOutput {})
}

pub(crate) async fn untag(
    core: &Arc<Core>,
    caller: &Caller,
    input: &api::UntagResourceInput,
) -> Result<api::UntagResourceOutput, Failure> {
    let (authorized, on) = core.on_key(caller, input, &input.key_id, Forms::Own).await?;
    not_pending(&on.key)?;
    customers(&on.key)?;
    let mut draft = Draft::on(&on.key);
    let mut changed = (*on.key).clone();
    for name in &input.tag_keys {
        if changed.tags.remove(name).is_some() {
            draft.delete(tables::tag(changed.id, name));
        }
    }
    draft.change(Change::Key(Arc::new(changed)));
    core.commit(Some(authorized.pin()), draft).await?;
    Ok(api::UntagResourceOutput {})
}
