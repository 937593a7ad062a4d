//! Tags of tables.

use std::collections::BTreeMap;
use std::sync::Arc;

use millpond_api_dynamodb::{
    ListTagsOfResourceInput, ListTagsOfResourceOutput, Tag, TagResourceInput, TagResourceOutput, UntagResourceInput,
    UntagResourceOutput,
};
use millpond_kernel::{Authorized, Caller};

use crate::errors::{DynamoError, Failure, invalid, parameters};
use crate::inputs::{Asked, Input, Touch};
use crate::limits;
use crate::model::Table;
use crate::names::{self, Named};
use crate::state::Core;

/// Tags as conditions see them.
pub(crate) fn named(tags: &BTreeMap<String, String>) -> Vec<(String, Option<String>)> {
    tags.iter().map(|(key, value)| (key.clone(), Some(value.clone()))).collect()
}

/// Checks tags (Developer Guide, "Tagging restrictions in DynamoDB").
pub(crate) fn check_tags(tags: &BTreeMap<String, String>) -> Result<(), DynamoError> {
    let good = |text: &str| text.chars().all(|c| c.is_alphanumeric() || c.is_whitespace() || "_.:/=+-@".contains(c));
    for (key, value) in tags {
        if key.to_ascii_lowercase().starts_with("aws:") {
            return Err(parameters(format_args!("Tag keys cannot begin with aws:. Invalid key: {key}")));
        }
        if !good(key) || !good(value) {
            return Err(parameters(format_args!("Invalid characters in the tag: {key}")));
        }
    }
    if tags.len() > limits::MAX_TAGS {
        return Err(DynamoError::Limit(format!(
            "The number of tags exceeds the limit of {} of a resource",
            limits::MAX_TAGS
        )));
    }
    Ok(())
}

/// Decides about the table of an ARN, and gives it.
async fn on_arn<I: Input>(
    core: &Core,
    caller: &Caller,
    arn: &str,
    tags: Vec<(String, Option<String>)>,
) -> Result<(Authorized<Asked<I>>, Arc<Table>), DynamoError> {
    let Some(Named::Table(account, name)) = names::of_arn(arn, core.kernel.region()) else {
        return Err(invalid(format!("Invalid TableArn: Invalid ResourceArn provided as input {arn}")));
    };
    let pin = core.kernel.epoch().now();
    let table = core.tables().named(account, name).cloned();
    let of = names::arn(core.kernel.region(), account, name);
    let touch = Touch::table(I::ACTION, of, account, table.as_ref());
    let authorized = core.decide::<I>(pin, caller, vec![touch], tags).await?;
    let missing = || DynamoError::NotFound(format!("Requested resource not found: ResourcArn: {arn} not found"));
    Ok((authorized, table.ok_or_else(missing)?))
}

pub(crate) async fn list(
    core: &Core,
    caller: &Caller,
    input: &ListTagsOfResourceInput,
) -> Result<ListTagsOfResourceOutput, Failure> {
    let (_, table) = on_arn::<ListTagsOfResourceInput>(core, caller, &input.resource_arn, Vec::new()).await?;
    let from: usize = match &input.next_token {
        None => 0,
        Some(token) => token.parse().map_err(|_| invalid("The provided NextToken is not valid"))?,
    };
    let tags = table.row.tags.iter().skip(from).take(limits::TAG_PAGE);
    let tags: Vec<Tag> = tags.map(|(key, value)| Tag { key: key.clone(), value: value.clone() }).collect();
    let next = from + tags.len();
    let next_token = (next < table.row.tags.len()).then(|| next.to_string());
    Ok(ListTagsOfResourceOutput { tags: Some(tags), next_token })
}

pub(crate) async fn tag(core: &Core, caller: &Caller, input: &TagResourceInput) -> Result<TagResourceOutput, Failure> {
    let given: BTreeMap<String, String> = input.tags.iter().map(|tag| (tag.key.clone(), tag.value.clone())).collect();
    let (authorized, table) = on_arn::<TagResourceInput>(core, caller, &input.resource_arn, named(&given)).await?;
    if given.is_empty() {
        return Err(parameters("Tags must not be empty").into());
    }
    let mut row = table.row.clone();
    row.tags.extend(given);
    check_tags(&row.tags)?;
    core.rewrite(Some(authorized.pin()), &table, &row, Vec::new()).await?;
    Ok(TagResourceOutput {})
}

pub(crate) async fn untag(
    core: &Core,
    caller: &Caller,
    input: &UntagResourceInput,
) -> Result<UntagResourceOutput, Failure> {
    let keys = input.tag_keys.iter().map(|key| (key.clone(), None)).collect();
    let (authorized, table) = on_arn::<UntagResourceInput>(core, caller, &input.resource_arn, keys).await?;
    if input.tag_keys.is_empty() {
        return Err(parameters("TagKeys must not be empty").into());
    }
    let mut row = table.row.clone();
    row.tags.retain(|key, _| !input.tag_keys.contains(key));
    core.rewrite(Some(authorized.pin()), &table, &row, Vec::new()).await?;
    Ok(UntagResourceOutput {})
}
