//! Writes of items as requests ask for them, and what they make of an item.

use std::borrow::Cow;

use millpond_api_dynamodb::{
    DeleteItemInput, PutItemInput, ReturnConsumedCapacity, ReturnItemCollectionMetrics, ReturnValue,
    ReturnValuesOnConditionCheckFailure, UpdateItemInput,
};
use millpond_item::expression::{Applied, Condition, Placeholders, Update, legacy};
use millpond_item::{Item, MAX_ITEM_BYTES};

use crate::errors::{DynamoError, invalid, parameters};
use crate::exprs;
use crate::inputs::About;
use crate::keys::{self, Place};
use crate::model::Table;
use crate::values;

/// What is done to an item.
#[derive(Debug)]
pub(crate) enum Action {
    /// It is replaced.
    Put(Item),
    /// The item of a key is changed; made, if there is none.
    Update(Item, Option<Update>),
    /// The item of a key is removed.
    Delete(Item),
    /// The item of a key is only looked at.
    Check(Item),
}

/// A write of an item.
#[derive(Debug)]
pub(crate) struct Write {
    /// The table, as it is named.
    pub table: String,
    pub action: Action,
    pub condition: Option<Condition>,
    /// Whether the item is shown when the condition does not hold.
    pub shows_failure: bool,
}

/// What an item becomes.
#[derive(Debug)]
pub(crate) struct Outcome<'a> {
    /// Owned where it was made: what is put is not copied.
    pub new: Option<Cow<'a, Item>>,
    /// Which parts of it an update has changed.
    pub applied: Option<Applied>,
}

impl Write {
    /// The action that it needs (Service Authorization Reference).
    pub fn permission(&self) -> &'static str {
        match self.action {
            Action::Put(_) => "dynamodb:PutItem",
            Action::Update(..) => "dynamodb:UpdateItem",
            Action::Delete(_) => "dynamodb:DeleteItem",
            Action::Check(_) => "dynamodb:ConditionCheckItem",
        }
    }

    /// The item, or the key, that it is about.
    pub fn named(&self) -> &Item {
        match &self.action {
            Action::Put(item) | Action::Update(item, _) | Action::Delete(item) | Action::Check(item) => item,
        }
    }

    /// What conditions of policies can ask about it.
    pub fn about(&self, table: Option<&Table>) -> About {
        let partition = table.and_then(|table| self.named().get(&table.schema.hash.name));
        let mut attributes: Vec<String> = self.named().keys().cloned().collect();
        if let Action::Update(_, Some(update)) = &self.action {
            attributes.extend(update.attributes().into_iter().chain(update.reads()).map(str::to_owned));
        }
        attributes.extend(self.condition.iter().flat_map(Condition::attributes).map(str::to_owned));
        attributes.sort_unstable();
        attributes.dedup();
        About { leading: partition.map(values::leading).into_iter().collect(), attributes, ..About::default() }
    }

    /// Where its item lies. Checks what the table asks of it.
    pub fn place(&self, table: &Table) -> Result<Place, DynamoError> {
        match &self.action {
            Action::Put(item) => {
                let place = keys::place_in(&table.schema, item)?;
                keys::check_indexes(table, item, |_| true)?;
                if item.size() > MAX_ITEM_BYTES {
                    return Err(invalid("Item size has exceeded the maximum allowed size"));
                }
                Ok(place)
            }
            Action::Update(key, update) => {
                let place = keys::place(&table.schema, key)?;
                let changed = update.as_ref().map(Update::attributes).unwrap_or_default();
                match table.schema.parts().find(|part| changed.contains(part.name.as_str())) {
                    None => Ok(place),
                    Some(part) => Err(parameters(format_args!(
                        "Cannot update attribute {}. This attribute is part of the key",
                        part.name
                    ))),
                }
            }
            Action::Delete(key) | Action::Check(key) => keys::place(&table.schema, key),
        }
    }

    /// Whether its condition holds for the item that is there.
    pub fn holds(&self, item: Option<&Item>) -> bool {
        let empty = Item::new();
        self.condition.as_ref().is_none_or(|condition| condition.holds(item.unwrap_or(&empty)))
    }

    /// What it makes of the item that is there.
    pub fn outcome<'a>(&'a self, table: &Table, item: Option<&'a Item>) -> Result<Outcome<'a>, DynamoError> {
        Ok(match &self.action {
            Action::Put(new) => Outcome { new: Some(Cow::Borrowed(new)), applied: None },
            Action::Delete(_) => Outcome { new: None, applied: None },
            Action::Check(_) => Outcome { new: item.map(Cow::Borrowed), applied: None },
            Action::Update(key, update) => {
                let mut new = item.unwrap_or(key).clone();
                let applied = update.as_ref().map(|update| update.apply(&mut new)).transpose()?;
                // What it does not touch stays as it is, also where an index came later that it does not suit.
                let touched = update.as_ref().map(Update::attributes).unwrap_or_default();
                if keys::check_indexes(table, &new, |name| touched.contains(name)).is_err() {
                    let text = "The update expression attempted to update the secondary index key to unsupported type";
                    return Err(invalid(text));
                }
                if new.size() > MAX_ITEM_BYTES {
                    return Err(invalid("Item size to update has exceeded the maximum allowed size"));
                }
                Outcome { new: Some(Cow::Owned(new)), applied }
            }
        })
    }
}

/// What an answer to a write shows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shows {
    pub values: ReturnValue,
    pub consumed: Option<ReturnConsumedCapacity>,
    /// How large the collection is that the item belongs to.
    pub metrics: bool,
}

impl Shows {
    fn new(
        values: Option<ReturnValue>,
        consumed: Option<ReturnConsumedCapacity>,
        metrics: Option<ReturnItemCollectionMetrics>,
    ) -> Self {
        let metrics = metrics == Some(ReturnItemCollectionMetrics::Size);
        Self { values: values.unwrap_or(ReturnValue::None), consumed, metrics }
    }

    /// Refuses what only updates can show.
    fn whole(self) -> Result<Self, DynamoError> {
        match self.values {
            ReturnValue::None | ReturnValue::AllOld => Ok(self),
            _ => Err(invalid("Return values set to invalid value")),
        }
    }

    /// What conditions of policies can ask about it.
    pub fn about(&self, about: &mut About) {
        about.return_values = Some(self.values.as_str());
        about.return_consumed = Some(self.consumed.unwrap_or(ReturnConsumedCapacity::None).as_str());
    }
}

/// A write by itself.
#[derive(Debug)]
pub(crate) struct Single {
    pub write: Write,
    pub shows: Shows,
}

/// Whether the item is to be shown when the condition does not hold.
pub(crate) fn shows_failure(given: Option<ReturnValuesOnConditionCheckFailure>) -> bool {
    given == Some(ReturnValuesOnConditionCheckFailure::AllOld)
}

/// An optional condition.
pub(crate) fn condition(placeholders: &mut Placeholders, text: Option<&str>) -> Result<Option<Condition>, DynamoError> {
    Ok(text.map(|text| placeholders.condition(text)).transpose()?)
}

/// The parameters of a request that are older than expressions, and how they must not be mixed.
fn check_parameters(
    older: &[(&str, bool)],
    expressions: &[(&str, bool)],
    takes_values: &[&str],
    names: bool,
    values: bool,
) -> Result<(), DynamoError> {
    let (older, expressions) = (exprs::given(older), exprs::given(expressions));
    legacy::check_mixed(&older, &expressions)?;
    let any = !expressions.is_empty();
    Ok(legacy::check_placeholders(names, values, takes_values, any, any)?)
}

pub(crate) fn put(input: PutItemInput) -> Result<Single, DynamoError> {
    let shows = Shows::new(input.return_values, input.return_consumed_capacity, input.return_item_collection_metrics)
        .whole()?;
    check_parameters(
        &[("Expected", input.expected.is_some()), ("ConditionalOperator", input.conditional_operator.is_some())],
        &[("ConditionExpression", input.condition_expression.is_some())],
        &["ConditionExpression"],
        input.expression_attribute_names.is_some(),
        input.expression_attribute_values.is_some(),
    )?;
    let item = values::item(input.item)?;
    let mut placeholders = exprs::placeholders(input.expression_attribute_names, input.expression_attribute_values)?;
    let condition = match input.expected {
        Some(expected) => Some(exprs::expected(expected, input.conditional_operator)?),
        None => {
            legacy::check_operator(exprs::operator(input.conditional_operator), 0)?;
            condition(&mut placeholders, input.condition_expression.as_deref())?
        }
    };
    placeholders.finish()?;
    let shows_failure = shows_failure(input.return_values_on_condition_check_failure);
    Ok(Single { write: Write { table: input.table_name, action: Action::Put(item), condition, shows_failure }, shows })
}

pub(crate) fn delete(input: DeleteItemInput) -> Result<Single, DynamoError> {
    let shows = Shows::new(input.return_values, input.return_consumed_capacity, input.return_item_collection_metrics)
        .whole()?;
    check_parameters(
        &[("Expected", input.expected.is_some()), ("ConditionalOperator", input.conditional_operator.is_some())],
        &[("ConditionExpression", input.condition_expression.is_some())],
        &["ConditionExpression"],
        input.expression_attribute_names.is_some(),
        input.expression_attribute_values.is_some(),
    )?;
    let key = values::item(input.key)?;
    let mut placeholders = exprs::placeholders(input.expression_attribute_names, input.expression_attribute_values)?;
    let condition = match input.expected {
        Some(expected) => Some(exprs::expected(expected, input.conditional_operator)?),
        None => {
            legacy::check_operator(exprs::operator(input.conditional_operator), 0)?;
            condition(&mut placeholders, input.condition_expression.as_deref())?
        }
    };
    placeholders.finish()?;
    let shows_failure = shows_failure(input.return_values_on_condition_check_failure);
    Ok(Single {
        write: Write { table: input.table_name, action: Action::Delete(key), condition, shows_failure },
        shows,
    })
}

pub(crate) fn update(input: UpdateItemInput) -> Result<Single, DynamoError> {
    let shows = Shows::new(input.return_values, input.return_consumed_capacity, input.return_item_collection_metrics);
    check_parameters(
        &[
            ("AttributeUpdates", input.attribute_updates.is_some()),
            ("Expected", input.expected.is_some()),
            ("ConditionalOperator", input.conditional_operator.is_some()),
        ],
        &[
            ("UpdateExpression", input.update_expression.is_some()),
            ("ConditionExpression", input.condition_expression.is_some()),
        ],
        &["UpdateExpression", "ConditionExpression"],
        input.expression_attribute_names.is_some(),
        input.expression_attribute_values.is_some(),
    )?;
    let key = values::item(input.key)?;
    let mut placeholders = exprs::placeholders(input.expression_attribute_names, input.expression_attribute_values)?;
    let update = match (input.attribute_updates, &input.update_expression) {
        (Some(updates), _) => Some(exprs::updates(updates)?),
        (None, Some(text)) => Some(placeholders.update(text)?),
        (None, None) => None,
    };
    let condition = match input.expected {
        Some(expected) => Some(exprs::expected(expected, input.conditional_operator)?),
        None => {
            legacy::check_operator(exprs::operator(input.conditional_operator), 0)?;
            condition(&mut placeholders, input.condition_expression.as_deref())?
        }
    };
    placeholders.finish()?;
    let shows_failure = shows_failure(input.return_values_on_condition_check_failure);
    let action = Action::Update(key, update);
    Ok(Single { write: Write { table: input.table_name, action, condition, shows_failure }, shows })
}
