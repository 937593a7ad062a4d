//! Reads of single items as requests ask for them.

use std::collections::BTreeMap;

use millpond_api_dynamodb::{GetItemInput, ReturnConsumedCapacity};
use millpond_item::Item;
use millpond_item::expression::{Projection, legacy};

use crate::capacity::Reading;
use crate::errors::DynamoError;
use crate::exprs;
use crate::inputs::About;
use crate::model::Table;
use crate::values;

/// What of an item is wanted; `None`: all of it.
pub(crate) type Wanted = Option<Projection>;

/// A read of an item.
#[derive(Debug)]
pub(crate) struct Fetch {
    /// The table, as it is named.
    pub table: String,
    pub key: Item,
    pub wanted: Wanted,
    pub reading: Reading,
    pub consumed: Option<ReturnConsumedCapacity>,
}

/// What of items a request wants, by an expression or the older way.
pub(crate) fn wanted(
    attributes: Option<Vec<String>>,
    projection: Option<&str>,
    names: Option<BTreeMap<String, String>>,
) -> Result<Wanted, DynamoError> {
    let older = exprs::given(&[("AttributesToGet", attributes.is_some())]);
    let expressions = exprs::given(&[("ProjectionExpression", projection.is_some())]);
    legacy::check_mixed(&older, &expressions)?;
    legacy::check_placeholders(names.is_some(), false, &[], projection.is_some(), false)?;
    let mut placeholders = exprs::placeholders(names, None)?;
    let wanted = match (attributes, projection) {
        (Some(names), _) => Some(legacy::attributes_to_get(names)?),
        (None, Some(text)) => Some(placeholders.projection(text)?),
        (None, None) => None,
    };
    placeholders.finish()?;
    Ok(wanted)
}

/// The part of an item that is wanted.
pub(crate) fn part(wanted: &Wanted, item: Item) -> Item {
    match wanted {
        None => item,
        Some(projection) => projection.of_owned(item),
    }
}

/// What conditions of policies can ask about reads of these keys.
pub(crate) fn about<'a>(
    table: Option<&Table>,
    keys: impl Iterator<Item = &'a Item> + Clone,
    wanted: &Wanted,
    consumed: Option<ReturnConsumedCapacity>,
) -> About {
    let leading = |table: &Table| -> Vec<String> {
        keys.clone().filter_map(|key| key.get(&table.schema.hash.name)).map(values::leading).collect()
    };
    let mut attributes: Vec<String> = keys.clone().flat_map(|key| key.keys().cloned()).collect();
    attributes.extend(wanted.iter().flat_map(Projection::attributes).map(str::to_owned));
    attributes.sort_unstable();
    attributes.dedup();
    About {
        leading: table.map(leading).unwrap_or_default(),
        attributes,
        select: Some(if wanted.is_some() { "SPECIFIC_ATTRIBUTES" } else { "ALL_ATTRIBUTES" }),
        return_consumed: Some(consumed.unwrap_or(ReturnConsumedCapacity::None).as_str()),
        ..About::default()
    }
}

pub(crate) fn get(input: GetItemInput) -> Result<Fetch, DynamoError> {
    let wanted =
        wanted(input.attributes_to_get, input.projection_expression.as_deref(), input.expression_attribute_names)?;
    Ok(Fetch {
        table: input.table_name,
        key: values::item(input.key)?,
        wanted,
        reading: Reading::of(input.consistent_read),
        consumed: input.return_consumed_capacity,
    })
}
