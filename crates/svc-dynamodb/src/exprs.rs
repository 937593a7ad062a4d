//! Expressions of requests, and the parameters that were there before them: read into the ones of `millpond_item`.

use std::collections::BTreeMap;

use millpond_api_dynamodb as api;
use millpond_item::expression::legacy::{
    self, Action, AttributeUpdate, Comparison, ConditionalOperator, Expectation, LegacyError, Test,
};
use millpond_item::expression::{Condition, ExpressionError, KeyConditionError, Placeholders, UpdateError};
use millpond_item::{Value, ValueError};

use crate::errors::{DynamoError, invalid};
use crate::limits;
use crate::values::{self, Shape};

macro_rules! invalid_by {
    ($($error:ty),*) => {$(
        impl From<$error> for DynamoError {
            fn from(error: $error) -> Self {
                invalid(error.to_string())
            }
        }
    )*};
}

invalid_by!(ExpressionError, LegacyError, UpdateError, KeyConditionError);

/// Names of parameters that a request has, for messages.
pub(crate) fn given<'a>(parameters: &[(&'a str, bool)]) -> Vec<&'a str> {
    parameters.iter().filter(|(_, given)| *given).map(|(name, _)| *name).collect()
}

/// Names and values that expressions use.
pub(crate) fn placeholders(
    names: Option<BTreeMap<String, String>>,
    values: Option<Shape>,
) -> Result<Placeholders, DynamoError> {
    let read = |(name, shape)| match values::value(shape) {
        Ok(value) => Ok((name, value)),
        Err(error @ (ValueError::Empty | ValueError::SeveralTypes)) => {
            Err(invalid(format!("ExpressionAttributeValues contains invalid value: {error} for key {name}")))
        }
        Err(error) => Err(invalid(format!("ExpressionAttributeValues contains invalid value: {error} for key {name}"))),
    };
    let values: Option<BTreeMap<String, Value>> =
        values.map(|values| values.into_iter().map(read).collect::<Result<_, DynamoError>>()).transpose()?;
    let of_names = names.iter().flatten().map(|(key, name)| key.len() + name.len());
    let of_values = values.iter().flatten().map(|(key, value)| key.len() + value.size());
    if of_names.chain(of_values).sum::<usize>() > limits::MAX_SUBSTITUTES {
        return Err(invalid("ExpressionAttributeNames and ExpressionAttributeValues exceed the maximum size of 2 MB"));
    }
    Ok(Placeholders::new(names, values)?)
}

/// The operator of older parameters.
pub(crate) fn operator(given: Option<api::ConditionalOperator>) -> Option<ConditionalOperator> {
    given.map(|given| match given {
        api::ConditionalOperator::And => ConditionalOperator::And,
        api::ConditionalOperator::Or => ConditionalOperator::Or,
    })
}

fn comparison(given: api::ComparisonOperator) -> Result<Comparison, DynamoError> {
    let unknown = || invalid(format!("The comparison operator {} is not known", given.as_str()));
    Comparison::from_name(given.as_str()).ok_or_else(unknown)
}

fn list(shapes: Vec<api::AttributeValue>) -> Result<Vec<Value>, DynamoError> {
    Ok(shapes.into_iter().map(values::value).collect::<Result<_, ValueError>>()?)
}

/// Conditions of `QueryFilter`, `ScanFilter` and `KeyConditions`.
pub(crate) fn tests(given: BTreeMap<String, api::Condition>) -> Result<BTreeMap<String, Test>, DynamoError> {
    let read = |(name, one): (String, api::Condition)| {
        let values = list(one.attribute_value_list.unwrap_or_default())?;
        Ok((name, Test { comparison: comparison(one.comparison_operator)?, values }))
    };
    given.into_iter().map(read).collect()
}

/// The condition of `Expected`.
pub(crate) fn expected(
    given: BTreeMap<String, api::ExpectedAttributeValue>,
    joined: Option<api::ConditionalOperator>,
) -> Result<Condition, DynamoError> {
    let read = |(name, one): (String, api::ExpectedAttributeValue)| {
        let expectation = Expectation {
            value: one.value.map(values::value).transpose()?,
            exists: one.exists,
            comparison: one.comparison_operator.map(comparison).transpose()?,
            values: one.attribute_value_list.map(list).transpose()?,
        };
        Ok((name, expectation))
    };
    let expectations = given.into_iter().map(read).collect::<Result<_, DynamoError>>()?;
    Ok(legacy::expected(expectations, operator(joined))?)
}

/// The changes of `AttributeUpdates`.
pub(crate) fn updates(
    given: BTreeMap<String, api::AttributeValueUpdate>,
) -> Result<millpond_item::expression::Update, DynamoError> {
    let read = |(name, one): (String, api::AttributeValueUpdate)| {
        let action = match one.action {
            None | Some(api::AttributeAction::Put) => Action::Put,
            Some(api::AttributeAction::Add) => Action::Add,
            Some(api::AttributeAction::Delete) => Action::Delete,
        };
        Ok((name, AttributeUpdate { action, value: one.value.map(values::value).transpose()? }))
    };
    let updates = given.into_iter().map(read).collect::<Result<_, DynamoError>>()?;
    Ok(legacy::updates(updates)?)
}
