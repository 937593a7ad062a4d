//! Tags of trails.

use std::collections::BTreeMap;

use millpond_api_cloudtrail as api;
use millpond_kernel::tags::{self, BadTags};
use millpond_kernel::{Authorized, ServiceError};

use crate::{Call, On, errors, state};

/// Tags of a trail (API reference, AddTags).
const MAX_TAGS: usize = 50;

/// Tags as they are kept.
pub fn of(list: Vec<api::Tag>) -> Result<BTreeMap<String, String>, ServiceError> {
    let pairs = list.into_iter().map(|tag| (tag.key, tag.value.unwrap_or_default()));
    tags::checked(pairs, MAX_TAGS).map_err(refused)
}

fn refused(bad: BadTags) -> ServiceError {
    match bad {
        BadTags::TooMany(most) => errors::too_many_tags(most),
        other => errors::tags(&other.to_string()),
    }
}

/// AddTags.
pub async fn add(
    call: &Call<'_>,
    authorized: Authorized<On<api::AddTagsInput>>,
) -> Result<api::AddTagsOutput, ServiceError> {
    let pin = authorized.pin();
    let On { input, named, .. } = authorized.into_inner();
    let Some(named) = named.into_iter().next() else { return Err(ServiceError::internal()) };
    let added = of(input.tags_list)?;
    let change = move |before: Option<&crate::tables::TrailRow>, _: &state::OfAccount| {
        let mut trail = before.cloned().ok_or_else(|| errors::no_resource(&input.resource_id))?;
        tags::add(&mut trail.tags, added, MAX_TAGS).map_err(refused)?;
        Ok(Some(trail))
    };
    call.inner.trails.change(named.account, named.name, pin, change).await?;
    Ok(api::AddTagsOutput {})
}

/// RemoveTags. Tags that are not there are gone already.
pub async fn remove(
    call: &Call<'_>,
    authorized: Authorized<On<api::RemoveTagsInput>>,
) -> Result<api::RemoveTagsOutput, ServiceError> {
    let pin = authorized.pin();
    let On { input, named, .. } = authorized.into_inner();
    let Some(named) = named.into_iter().next() else { return Err(ServiceError::internal()) };
    let change = move |before: Option<&crate::tables::TrailRow>, _: &state::OfAccount| {
        let mut trail = before.cloned().ok_or_else(|| errors::no_resource(&input.resource_id))?;
        // A value that is given has to be the tag's.
        let gone = |key: &String, value: &String| {
            input.tags_list.iter().any(|tag| tag.key == *key && tag.value.as_ref().is_none_or(|wanted| wanted == value))
        };
        trail.tags.retain(|key, value| !gone(key, value));
        Ok(Some(trail))
    };
    call.inner.trails.change(named.account, named.name, pin, change).await?;
    Ok(api::RemoveTagsOutput {})
}

/// ListTags: one page.
pub fn list(
    call: &Call<'_>,
    authorized: Authorized<On<api::ListTagsInput>>,
) -> Result<api::ListTagsOutput, ServiceError> {
    let On { input, named, .. } = authorized.into_inner();
    if input.next_token.is_some() {
        return Err(errors::list_token());
    }
    let mut all = Vec::new();
    for (id, named) in input.resource_id_list.into_iter().zip(named) {
        let trail = call.inner.trails.find(named.account, &named.name).ok_or_else(|| errors::no_resource(&id))?;
        let tag = |(key, value): (&String, &String)| api::Tag { key: key.clone(), value: Some(value.clone()) };
        let tags = trail.tags.iter().map(tag).collect();
        all.push(api::ResourceTag { resource_id: Some(id), tags_list: Some(tags) });
    }
    Ok(api::ListTagsOutput { resource_tag_list: Some(all), next_token: None })
}
