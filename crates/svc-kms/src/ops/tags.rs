//! Tags of keys.

use std::collections::BTreeMap;
use std::sync::Arc;

use millpond_api_kms as api;
use millpond_kernel::Caller;

use crate::cache::Change;
use crate::errors::{Failure, KmsError};
use crate::limits::MAX_TAGS;
use crate::lookup::{Forms, customers, not_pending};
use crate::paging::Page;
use crate::state::{Core, Draft};
use crate::tables;

/// Tags that can be (API reference, Tag): the model checks their lengths.
pub(crate) fn checked(tags: &[api::Tag]) -> Result<BTreeMap<String, String>, KmsError> {
    let mut all = BTreeMap::new();
    for tag in tags {
        let fits =
            |text: &str| text.chars().all(|c| c.is_alphanumeric() || c.is_whitespace() || "_.:/=+-@".contains(c));
        if tag.tag_key.to_ascii_lowercase().starts_with("aws:") {
            return Err(KmsError::Tag("Tag keys that begin with aws: are reserved.".to_owned()));
        }
        if !fits(&tag.tag_key) || !fits(&tag.tag_value) {
            return Err(KmsError::Tag(
                "Tags have letters, numbers, spaces and the characters _ . : / = + - @ alone.".to_owned(),
            ));
        }
        if all.insert(tag.tag_key.clone(), tag.tag_value.clone()).is_some() {
            return Err(KmsError::Tag("Duplicate tag keys".to_owned()));
        }
    }
    if all.len() > MAX_TAGS {
        return Err(KmsError::Limit(format!("A key has at most {MAX_TAGS} tags.")));
    }
    Ok(all)
}

pub(crate) async fn list(
    core: &Arc<Core>,
    caller: &Caller,
    input: &api::ListResourceTagsInput,
) -> Result<api::ListResourceTagsOutput, Failure> {
    let (_, on) = core.on_key(caller, input, &input.key_id, Forms::Own).await?;
    let page = Page::of(input.limit, input.marker.as_deref(), MAX_TAGS, MAX_TAGS)?;
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
