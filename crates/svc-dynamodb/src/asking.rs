//! Queries and scans as requests ask for them, and what that means for a table.

use std::collections::BTreeMap;

use millpond_api_dynamodb::{QueryInput, ReturnConsumedCapacity, ScanInput, Select};
use millpond_item::expression::{Condition, KeyCondition, KeyQuery, Placeholders, Projection, legacy};
use millpond_item::{Item, Kind};
use millpond_meta::Key;
use millpond_meta::key::{KeyBuilder, prefix_end};

use crate::capacity::Reading;
use crate::change::is_projected;
use crate::errors::{DynamoError, invalid, parameters};
use crate::exprs;
use crate::inputs::About;
use crate::keys;
use crate::model::{Index, KeyKind, KeyPart, Projected, Table};
use crate::values;

/// Which rows are read.
#[derive(Debug)]
pub(crate) enum Rows {
    /// Those of a partition, forward or backward.
    Query(KeyCondition, bool),
    /// All of them, or those of a segment: its number, and how many there are.
    Scan(Option<(u64, u64)>),
}

/// A query or a scan.
#[derive(Debug)]
pub(crate) struct Ask {
    /// The table, as it is named.
    pub table: String,
    pub index: Option<String>,
    pub rows: Rows,
    pub select: Option<Select>,
    pub wanted: Option<Projection>,
    /// The parameter that says what is wanted.
    pub wanted_by: &'static str,
    pub filter: Option<Condition>,
    pub limit: Option<usize>,
    pub consistent: Option<bool>,
    pub start: Option<Item>,
    pub consumed: Option<ReturnConsumedCapacity>,
}

/// What is answered with of each item.
#[derive(Debug)]
pub(crate) enum Shown<'a> {
    /// Nothing; items are counted.
    Count,
    /// Everything.
    All,
    /// What the index has.
    Projected,
    /// Parts.
    Parts(&'a Projection),
}

/// A query or scan of a table that is there.
#[derive(Debug)]
pub(crate) struct Plan<'a> {
    pub index: Option<&'a Index>,
    pub from: Key,
    pub to: Key,
    pub reverse: bool,
    pub shown: Shown<'a>,
    /// Whether items are read from the table because the local index has not all of what is wanted.
    pub fetches: bool,
    pub reading: Reading,
}

impl Rows {
    fn verb(&self) -> &'static str {
        match self {
            Self::Query(..) => "Querying",
            Self::Scan(_) => "Scanning",
        }
    }
}

fn kind(part: &KeyPart) -> Kind {
    match part.kind {
        KeyKind::S => Kind::S,
        KeyKind::N => Kind::N,
        KeyKind::B => Kind::B,
    }
}

impl Ask {
    /// The action that it needs.
    pub fn permission(&self) -> &'static str {
        match self.rows {
            Rows::Query(..) => "dynamodb:Query",
            Rows::Scan(_) => "dynamodb:Scan",
        }
    }

    /// What conditions of policies can ask about it.
    pub fn about(&self, table: Option<&Table>) -> About {
        let select = match (self.select, &self.wanted, &self.index) {
            (Some(select), ..) => select,
            (None, Some(_), _) => Select::SpecificAttributes,
            (None, None, Some(_)) => Select::AllProjectedAttributes,
            (None, None, None) => Select::AllAttributes,
        };
        let mut attributes: Vec<String> =
            self.wanted.iter().flat_map(Projection::attributes).map(str::to_owned).collect();
        attributes.extend(self.filter.iter().flat_map(Condition::attributes).map(str::to_owned));
        let mut leading = Vec::new();
        if let Rows::Query(condition, _) = &self.rows {
            attributes.extend(condition.attributes().map(str::to_owned));
            let query = table.and_then(|table| self.query(table, condition).ok());
            leading.extend(query.map(|query| values::leading(&query.hash)));
        }
        attributes.sort_unstable();
        attributes.dedup();
        About {
            leading,
            attributes,
            select: Some(select.as_str()),
            return_consumed: Some(self.consumed.unwrap_or(ReturnConsumedCapacity::None).as_str()),
            ..About::default()
        }
    }

    fn index_of<'a>(&self, table: &'a Table) -> Result<Option<&'a Index>, DynamoError> {
        let Some(name) = &self.index else { return Ok(None) };
        let missing = || invalid(format!("The table does not have the specified index: {name}"));
        table.index(name).map(Some).ok_or_else(missing)
    }

    fn query(&self, table: &Table, condition: &KeyCondition) -> Result<KeyQuery, DynamoError> {
        let schema = self.index_of(table)?.map_or(&table.schema, |index| &index.schema);
        let part = |part: &KeyPart| kind(part);
        let hash = (schema.hash.name.as_str(), part(&schema.hash));
        let range = schema.range.as_ref().map(|range| (range.name.as_str(), part(range)));
        Ok(condition.for_keys(hash, range)?)
    }

    /// What it means for a table.
    pub fn plan<'a>(&'a self, table: &'a Table) -> Result<Plan<'a>, DynamoError> {
        let index = self.index_of(table)?;
        let reading = Reading::of(self.consistent);
        if let Some(index) = index {
            if !index.local && reading == Reading::Consistent {
                return Err(invalid("Consistent reads are not supported on global secondary indexes"));
            }
            if index.filling {
                return Err(invalid(format!("Cannot read from backfilling global secondary index: {}", index.name)));
            }
        }
        let (shown, fetches) = self.shown(table, index)?;
        let (mut from, mut to, reverse, query) = match &self.rows {
            Rows::Scan(segment) => {
                let (from, to) = segment_range(table, index, *segment);
                (from, to, false, None)
            }
            Rows::Query(condition, forward) => {
                let query = self.query(table, condition)?;
                self.check_filter(table, index)?;
                let (from, to) = query_range(table, index, &query)?;
                (from, to, !forward, Some(query))
            }
        };
        if let Some(start) = &self.start {
            let row = self.start_row(table, index, start, query.as_ref())?;
            if let (Rows::Scan(Some((segment, segments))), true) = (&self.rows, row < from || row >= to) {
                return Err(invalid(format!(
                    "The provided starting key is invalid: Invalid ExclusiveStartKey. Please use ExclusiveStartKey with correct Segment. TotalSegments: {segments} Segment: {segment}"
                )));
            }
            if reverse {
                to = row;
            } else {
                from = millpond_meta::key::successor(&row);
            }
        }
        Ok(Plan { index, from, to, reverse, shown, fetches, reading })
    }

    /// A filter of a query is not about the keys that it is a query for.
    fn check_filter(&self, table: &Table, index: Option<&Index>) -> Result<(), DynamoError> {
        let schema = index.map_or(&table.schema, |index| &index.schema);
        let names = self.filter.as_ref().map(Condition::attributes).unwrap_or_default();
        match schema.parts().find(|part| names.contains(part.name.as_str())) {
            None => Ok(()),
            Some(part) => Err(invalid(format!(
                "Filter Expression can only contain non-primary key attributes: Primary key attribute: {}",
                part.name
            ))),
        }
    }

    /// The row behind which reading goes on.
    fn start_row(
        &self,
        table: &Table,
        index: Option<&Index>,
        start: &Item,
        query: Option<&KeyQuery>,
    ) -> Result<Key, DynamoError> {
        let wrong =
            || invalid("The provided starting key is invalid: The provided key element does not match the schema");
        let known = |name: &String| table.schema.has(name) || index.is_some_and(|index| index.schema.has(name));
        if !start.keys().all(known) {
            return Err(wrong());
        }
        let place = keys::place_in(&table.schema, start).map_err(|_| wrong())?;
        if let Some(query) = query {
            let schema = index.map_or(&table.schema, |index| &index.schema);
            if start.get(&schema.hash.name) != Some(&*query.hash) {
                let text = "The provided starting key is outside query boundaries based on provided conditions";
                return Err(invalid(text));
            }
            let sort = schema.range.as_ref().and_then(|range| start.get(&range.name));
            if let (Some(test), Some(sort)) = (&query.sort, sort)
                && !test.holds(sort)
            {
                return Err(invalid("The provided starting key does not match the range key predicate"));
            }
        }
        match index {
            None => Ok(place.row(table.id)),
            Some(index) => keys::index_row(table.id, index, start, &place).ok_or_else(wrong),
        }
    }

    /// What is shown, and whether a local index has not all of it.
    fn shown(&self, table: &Table, index: Option<&Index>) -> Result<(Shown<'_>, bool), DynamoError> {
        let has_all = |index: &Index, names: &mut dyn Iterator<Item = &str>| -> Result<bool, DynamoError> {
            let missing: Vec<&str> = names.filter(|name| !is_projected(table, index, name)).collect();
            if !missing.is_empty() && !index.local {
                return Err(parameters(format_args!(
                    "Global secondary index {} does not project [{}]",
                    index.name,
                    missing.join(", ")
                )));
            }
            Ok(missing.is_empty())
        };
        let shown = match (self.select, &self.wanted) {
            (Some(select @ (Select::Count | Select::AllAttributes | Select::AllProjectedAttributes)), Some(_)) => {
                let what = if select == Select::Count { "only the Count" } else { select.as_str() };
                return Err(invalid(format!("Cannot specify the {} when choosing to get {what}", self.wanted_by)));
            }
            (Some(Select::SpecificAttributes), None) => {
                let text =
                    "Must specify the AttributesToGet or ProjectionExpression when choosing to get SPECIFIC_ATTRIBUTES";
                return Err(invalid(text));
            }
            (Some(Select::AllProjectedAttributes), None) if index.is_none() => {
                let verb = self.rows.verb();
                return Err(invalid(format!(
                    "ALL_PROJECTED_ATTRIBUTES can be used only when {verb} using an IndexName"
                )));
            }
            (Some(Select::Count), None) => Shown::Count,
            (Some(Select::AllAttributes), None) => Shown::All,
            (_, Some(projection)) => Shown::Parts(projection),
            (Some(Select::AllProjectedAttributes), None) => Shown::Projected,
            (_, None) if index.is_some() => Shown::Projected,
            (_, None) => Shown::All,
        };
        let Some(index) = index else { return Ok((shown, false)) };
        let fetches = match &shown {
            Shown::All if index.projected == Projected::All => false,
            Shown::All if index.local => true,
            Shown::All => {
                return Err(parameters(format_args!(
                    "Select type ALL_ATTRIBUTES is not supported for global secondary index {} because its projection type is not ALL",
                    index.name
                )));
            }
            Shown::Parts(projection) => !has_all(index, &mut projection.attributes())?,
            Shown::Count | Shown::Projected => false,
        };
        Ok((shown, fetches))
    }
}

fn query_range(table: &Table, index: Option<&Index>, query: &KeyQuery) -> Result<(Key, Key), DynamoError> {
    let prefix = keys::partition(table.id, index, &keys::hash(&query.hash)?);
    let Some(test) = &query.sort else {
        let end = prefix_end(&prefix);
        return Ok((prefix, end));
    };
    let range = test.range().map_err(|error| invalid(error.to_string()))?;
    let within = |bytes: &[u8]| KeyBuilder::extend(&prefix).raw(bytes).build();
    let end = range.end.as_ref().map_or_else(|| prefix_end(&prefix), |end| within(end));
    Ok((within(&range.start), end))
}

/// The rows whose partition keys have hashes in one of so many equal ranges.
fn segment_range(table: &Table, index: Option<&Index>, segment: Option<(u64, u64)>) -> (Key, Key) {
    let all = keys::beginning(table.id, index);
    let end = prefix_end(&all);
    let Some((segment, segments)) = segment else { return (all, end) };
    // The first 64 bits of a hash at which a segment begins.
    let begins = |segment: u64| {
        let first = (u128::from(segment) << 64).div_ceil(u128::from(segments));
        u64::try_from(first).ok().map(|first| KeyBuilder::extend(&all).u64(first).build())
    };
    (begins(segment).unwrap_or_else(|| end.clone()), begins(segment + 1).unwrap_or(end))
}

/// The parameters of a request that are older than expressions, and how they must not be mixed.
struct Older<'a> {
    older: &'a [(&'a str, bool)],
    expressions: &'a [(&'a str, bool)],
    takes_values: &'a [&'a str],
}

impl Older<'_> {
    fn check(&self, names: bool, values: bool) -> Result<(), DynamoError> {
        let (older, expressions) = (exprs::given(self.older), exprs::given(self.expressions));
        legacy::check_mixed(&older, &expressions)?;
        let any_value = expressions.iter().any(|one| self.takes_values.contains(one));
        Ok(legacy::check_placeholders(names, values, self.takes_values, !expressions.is_empty(), any_value)?)
    }
}

fn limit(given: Option<i32>) -> Option<usize> {
    given.and_then(|limit| usize::try_from(limit).ok())
}

fn filter(
    placeholders: &mut Placeholders,
    older: Option<BTreeMap<String, millpond_api_dynamodb::Condition>>,
    operator: Option<millpond_api_dynamodb::ConditionalOperator>,
    text: Option<&str>,
) -> Result<Option<Condition>, DynamoError> {
    match older {
        Some(older) => Ok(Some(legacy::filter(exprs::tests(older)?, exprs::operator(operator))?)),
        None => {
            legacy::check_operator(exprs::operator(operator), 0)?;
            Ok(text.map(|text| placeholders.filter(text)).transpose()?)
        }
    }
}

fn wanted(
    placeholders: &mut Placeholders,
    older: Option<Vec<String>>,
    text: Option<&str>,
) -> Result<Option<Projection>, DynamoError> {
    match older {
        Some(names) => Ok(Some(legacy::attributes_to_get(names)?)),
        None => Ok(text.map(|text| placeholders.projection(text)).transpose()?),
    }
}

pub(crate) fn query(input: QueryInput) -> Result<Ask, DynamoError> {
    Older {
        older: &[
            ("AttributesToGet", input.attributes_to_get.is_some()),
            ("QueryFilter", input.query_filter.is_some()),
            ("ConditionalOperator", input.conditional_operator.is_some()),
            ("KeyConditions", input.key_conditions.is_some()),
        ],
        expressions: &[
            ("ProjectionExpression", input.projection_expression.is_some()),
            ("FilterExpression", input.filter_expression.is_some()),
            ("KeyConditionExpression", input.key_condition_expression.is_some()),
        ],
        takes_values: &["FilterExpression", "KeyConditionExpression"],
    }
    .check(input.expression_attribute_names.is_some(), input.expression_attribute_values.is_some())?;
    let wanted_by = if input.attributes_to_get.is_some() { "AttributesToGet" } else { "ProjectionExpression" };
    let start = input.exclusive_start_key.map(values::item).transpose()?;
    let mut placeholders = exprs::placeholders(input.expression_attribute_names, input.expression_attribute_values)?;
    let text = input.filter_expression.as_deref();
    let filter = filter(&mut placeholders, input.query_filter, input.conditional_operator, text)?;
    let wanted = wanted(&mut placeholders, input.attributes_to_get, input.projection_expression.as_deref())?;
    let condition = match (input.key_conditions, &input.key_condition_expression) {
        (Some(older), None) => legacy::key_conditions(exprs::tests(older)?)?,
        (_, Some(text)) => placeholders.key_condition(text)?,
        (None, None) => {
            let text = "Either the KeyConditions or KeyConditionExpression parameter must be specified in the request.";
            return Err(invalid(text));
        }
    };
    placeholders.finish()?;
    Ok(Ask {
        table: input.table_name,
        index: input.index_name,
        rows: Rows::Query(condition, input.scan_index_forward != Some(false)),
        select: input.select,
        wanted,
        wanted_by,
        filter,
        limit: limit(input.limit),
        consistent: input.consistent_read,
        start,
        consumed: input.return_consumed_capacity,
    })
}

pub(crate) fn scan(input: ScanInput) -> Result<Ask, DynamoError> {
    Older {
        older: &[
            ("AttributesToGet", input.attributes_to_get.is_some()),
            ("ScanFilter", input.scan_filter.is_some()),
            ("ConditionalOperator", input.conditional_operator.is_some()),
        ],
        expressions: &[
            ("ProjectionExpression", input.projection_expression.is_some()),
            ("FilterExpression", input.filter_expression.is_some()),
        ],
        takes_values: &["FilterExpression"],
    }
    .check(input.expression_attribute_names.is_some(), input.expression_attribute_values.is_some())?;
    let segment = segment(input.segment, input.total_segments)?;
    let wanted_by = if input.attributes_to_get.is_some() { "AttributesToGet" } else { "ProjectionExpression" };
    let start = input.exclusive_start_key.map(values::item).transpose()?;
    let mut placeholders = exprs::placeholders(input.expression_attribute_names, input.expression_attribute_values)?;
    let text = input.filter_expression.as_deref();
    let filter = filter(&mut placeholders, input.scan_filter, input.conditional_operator, text)?;
    let wanted = wanted(&mut placeholders, input.attributes_to_get, input.projection_expression.as_deref())?;
    placeholders.finish()?;
    Ok(Ask {
        table: input.table_name,
        index: input.index_name,
        rows: Rows::Scan(segment),
        select: input.select,
        wanted,
        wanted_by,
        filter,
        limit: limit(input.limit),
        consistent: input.consistent_read,
        start,
        consumed: input.return_consumed_capacity,
    })
}

fn segment(segment: Option<i32>, segments: Option<i32>) -> Result<Option<(u64, u64)>, DynamoError> {
    let number = |number: i32| u64::try_from(number).unwrap_or_default();
    match (segment, segments) {
        (None, None) => Ok(None),
        (None, Some(_)) => Err(invalid(
            "The Segment parameter is required but was not present in the request when parameter TotalSegments is present",
        )),
        (Some(_), None) => Err(invalid(
            "The TotalSegments parameter is required but was not present in the request when Segment parameter is present",
        )),
        (Some(segment), Some(segments)) if segment >= segments => Err(invalid(format!(
            "The Segment parameter is zero-based and must be less than parameter TotalSegments: Segment: {segment} is not less than TotalSegments: {segments}"
        ))),
        (Some(segment), Some(segments)) => Ok(Some((number(segment), number(segments)))),
    }
}
