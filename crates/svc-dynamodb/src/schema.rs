//! What a request says of keys, indexes and throughput, checked and made into rows (API reference, CreateTable and UpdateTable).

use std::collections::BTreeSet;

use millpond_api_dynamodb::{
    AttributeDefinition, BillingMode, CreateTableInput, KeySchemaElement, KeyType, OnDemandThroughput, Projection,
    ProjectionType, ProvisionedThroughput, ScalarAttributeType,
};

use crate::errors::{DynamoError, invalid, parameters};
use crate::limits;
use crate::names;
use crate::tables::{AttributeRow, BillingRow, IndexRow, TableRow, ThroughputRow};

/// The names of a key's parts.
pub(crate) type Keys = (String, Option<String>);

/// Checks the key of a table or index: a partition key, and perhaps a sort key.
pub(crate) fn keys(elements: &[KeySchemaElement]) -> Result<Keys, DynamoError> {
    let (hash, range) = match elements {
        [hash] => (hash, None),
        [hash, range] => (hash, Some(range)),
        // AWS lets global indexes have keys of several attributes.
        _ => {
            return Err(invalid(
                "1 validation error detected: Value at 'keySchema' failed to satisfy constraint: Member must have length less than or equal to 2",
            ));
        }
    };
    if hash.key_type != KeyType::Hash {
        return Err(invalid("Invalid KeySchema: The first KeySchemaElement is not a HASH key type"));
    }
    if range.is_some_and(|range| range.key_type != KeyType::Range) {
        return Err(invalid("Invalid KeySchema: The second KeySchemaElement is not a RANGE key type"));
    }
    if range.is_some_and(|range| range.attribute_name == hash.attribute_name) {
        let text = "Both the Hash Key and the Range Key element in the KeySchema have the same name";
        return Err(invalid(text));
    }
    Ok((hash.attribute_name.clone(), range.map(|range| range.attribute_name.clone())))
}

/// Attribute definitions as rows.
pub(crate) fn attributes(definitions: &[AttributeDefinition]) -> Result<Vec<AttributeRow>, DynamoError> {
    let mut rows: Vec<AttributeRow> = Vec::new();
    for one in definitions {
        let kind = match one.attribute_type {
            ScalarAttributeType::S => b'S',
            ScalarAttributeType::N => b'N',
            ScalarAttributeType::B => b'B',
        };
        if rows.iter().any(|row| row.name == one.attribute_name) {
            return Err(parameters(format_args!(
                "Duplicate AttributeName in AttributeDefinitions: {}",
                one.attribute_name
            )));
        }
        rows.push(AttributeRow { name: one.attribute_name.clone(), kind: u32::from(kind) });
    }
    Ok(rows)
}

fn listed<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    format!("[{}]", names.into_iter().collect::<Vec<_>>().join(", "))
}

/// Checks that the attributes that are defined are those that keys use.
pub(crate) fn check_used(row: &TableRow) -> Result<(), DynamoError> {
    let defined = || row.attributes.iter().map(|one| one.name.as_str());
    let table = std::iter::once(row.hash.as_str()).chain(row.range.as_deref());
    let indexes = row.indexes.iter().flat_map(|one| std::iter::once(one.hash.as_str()).chain(one.range.as_deref()));
    let used: BTreeSet<&str> = table.chain(indexes).collect();
    let missing: Vec<&str> = used.iter().copied().filter(|name| !defined().any(|one| one == *name)).collect();
    if !missing.is_empty() {
        return Err(parameters(format_args!(
            "Some index key attributes are not defined in AttributeDefinitions. Keys: {}, AttributeDefinitions: {}",
            listed(missing),
            listed(defined())
        )));
    }
    if used.len() != row.attributes.len() {
        if row.indexes.is_empty() {
            let text = "Number of attributes in KeySchema does not exactly match number of attributes defined in AttributeDefinitions";
            return Err(parameters(text));
        }
        return Err(parameters(format_args!(
            "Some AttributeDefinitions are not used. AttributeDefinitions: {}, keys used: {}",
            listed(defined()),
            listed(used)
        )));
    }
    Ok(())
}

/// An index of a request.
pub(crate) struct NewIndex<'a> {
    pub name: &'a str,
    pub keys: &'a [KeySchemaElement],
    pub projection: &'a Projection,
    pub local: bool,
    pub throughput: Option<&'a ProvisionedThroughput>,
    pub on_demand: Option<&'a OnDemandThroughput>,
}

/// Adds an index to a table's row.
pub(crate) fn add_index(row: &mut TableRow, new: &NewIndex<'_>, filling: bool) -> Result<u32, DynamoError> {
    names::check("IndexName", new.name)?;
    if row.indexes.iter().any(|index| index.name == new.name) {
        return Err(parameters(format_args!("Duplicate index name: {}", new.name)));
    }
    let (hash, range) = keys(new.keys)?;
    if new.local {
        if row.range.is_none() {
            let text =
                "Table KeySchema does not have a range key, which is required when specifying a LocalSecondaryIndex";
            return Err(parameters(text));
        }
        if range.is_none() {
            return Err(parameters(format_args!("Index KeySchema does not have a range key for index: {}", new.name)));
        }
        if hash != row.hash {
            return Err(parameters(format_args!(
                "Index KeySchema does not have the same leading hash key as table KeySchema for index: {}. index hash key: {hash}, table hash key: {}",
                new.name, row.hash
            )));
        }
    }
    let (projection, include) = projection(new.projection)?;
    let is_on_demand = row.billing.as_ref().is_some_and(|billing| billing.on_demand);
    let throughput =
        if new.local { None } else { Some(throughput(is_on_demand, new.throughput, new.on_demand, Some(new.name))?) };
    let number = row.next_index;
    row.next_index += 1;
    let name = new.name.to_owned();
    row.indexes.push(IndexRow {
        number,
        name,
        local: new.local,
        hash,
        range,
        projection,
        include,
        filling,
        throughput,
    });
    Ok(number)
}

fn projection(given: &Projection) -> Result<(u32, Vec<String>), DynamoError> {
    let include = given.non_key_attributes.as_deref();
    let kind = match given.projection_type {
        None => return Err(parameters("Unknown ProjectionType: null")),
        Some(ProjectionType::Include) => {
            let Some(include) = include else {
                return Err(parameters("ProjectionType is INCLUDE, but NonKeyAttributes is not specified"));
            };
            if include.is_empty() {
                return Err(parameters("NonKeyAttributes is empty"));
            }
            if include.len() > limits::MAX_INCLUDED {
                return Err(parameters(format_args!(
                    "Number of NonKeyAttributes exceeds per-index limit of {}",
                    limits::MAX_INCLUDED
                )));
            }
            let distinct: BTreeSet<&String> = include.iter().collect();
            return Ok((2, distinct.into_iter().cloned().collect()));
        }
        Some(kind) => kind,
    };
    if include.is_some() {
        return Err(parameters(format_args!("ProjectionType is {}, but NonKeyAttributes is specified", kind.as_str())));
    }
    Ok((if kind == ProjectionType::All { 0 } else { 1 }, Vec::new()))
}

/// Checks how many indexes there are, and how much they project together.
pub(crate) fn check_indexes(row: &TableRow) -> Result<(), DynamoError> {
    let count = |local: bool| row.indexes.iter().filter(|index| index.local == local).count();
    if count(true) > limits::MAX_LOCAL {
        let text = format!("Number of LocalSecondaryIndexes exceeds per-table limit of {}", limits::MAX_LOCAL);
        return Err(parameters(text));
    }
    if count(false) > limits::MAX_GLOBAL {
        let text = format!("GlobalSecondaryIndex count exceeds the per-table limit of {}", limits::MAX_GLOBAL);
        return Err(parameters(text));
    }
    let included: usize = row.indexes.iter().map(|index| index.include.len()).sum();
    if included > limits::MAX_INCLUDED_TOGETHER {
        let text = format!("The total number of projected attributes exceeds {}", limits::MAX_INCLUDED_TOGETHER);
        return Err(parameters(text));
    }
    Ok(())
}

fn units(value: i64, what: &str) -> Result<u64, DynamoError> {
    let units = u64::try_from(value).ok().filter(|units| *units > 0);
    let units = units.ok_or_else(|| {
        invalid(format!(
            "1 validation error detected: Value '{value}' at 'provisionedThroughput.{what}' failed to satisfy constraint: Member must have value greater than or equal to 1"
        ))
    })?;
    if units > limits::MAX_UNITS {
        return Err(DynamoError::Limit(format!(
            "A table or index has at most {} capacity units of either kind.",
            limits::MAX_UNITS
        )));
    }
    Ok(units)
}

/// The most units a second of a table on demand; -1 and nothing mean no limit.
pub(crate) fn most(given: Option<i64>, what: &str) -> Result<u64, DynamoError> {
    match given {
        None | Some(-1) => Ok(0),
        Some(units) => u64::try_from(units)
            .ok()
            .filter(|units| *units > 0)
            .ok_or_else(|| parameters(format_args!("{what} must be a positive number, or -1 to remove the limit"))),
    }
}

/// Throughput of a table, or of an index of that name.
pub(crate) fn throughput(
    is_on_demand: bool,
    given: Option<&ProvisionedThroughput>,
    on_demand: Option<&OnDemandThroughput>,
    index: Option<&str>,
) -> Result<ThroughputRow, DynamoError> {
    let of_index = |text: &str| match index {
        None => parameters(text),
        Some(index) => parameters(format_args!("{text} for index: {index}")),
    };
    if is_on_demand {
        if given.is_some() {
            let text =
                "Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST";
            return Err(of_index(text));
        }
        return Ok(ThroughputRow {
            max_read: most(on_demand.and_then(|one| one.max_read_request_units), "MaxReadRequestUnits")?,
            max_write: most(on_demand.and_then(|one| one.max_write_request_units), "MaxWriteRequestUnits")?,
            ..ThroughputRow::default()
        });
    }
    if on_demand.is_some() {
        return Err(of_index("OnDemandThroughput can be specified only when BillingMode is PAY_PER_REQUEST"));
    }
    let Some(given) = given else {
        return Err(match index {
            None => parameters(
                "ReadCapacityUnits and WriteCapacityUnits must both be specified when BillingMode is PROVISIONED",
            ),
            Some(index) => parameters(format_args!("ProvisionedThroughput must be specified for index: {index}")),
        });
    };
    let (read, write) = (
        units(given.read_capacity_units, "readCapacityUnits")?,
        units(given.write_capacity_units, "writeCapacityUnits")?,
    );
    Ok(ThroughputRow { read, write, ..ThroughputRow::default() })
}

/// The row of a table that is to be made, without its id, stream, tags and policy.
pub(crate) fn new_table(input: &CreateTableInput, now: u64) -> Result<TableRow, DynamoError> {
    names::check("TableName", &input.table_name)?;
    let missing = |member: &str| {
        invalid(format!(
            "1 validation error detected: Value null at '{member}' failed to satisfy constraint: Member must not be null"
        ))
    };
    let definitions = input.attribute_definitions.as_deref().ok_or_else(|| missing("attributeDefinitions"))?;
    let (hash, range) = keys(input.key_schema.as_deref().ok_or_else(|| missing("keySchema"))?)?;
    let on_demand = input.billing_mode == Some(BillingMode::PayPerRequest);
    let billing = Some(BillingRow { on_demand, on_demand_since: if on_demand { now } else { 0 } });
    let (given, most) = (input.provisioned_throughput.as_ref(), input.on_demand_throughput.as_ref());
    let mut row = TableRow {
        created: now,
        attributes: attributes(definitions)?,
        hash,
        range,
        next_index: 1,
        billing,
        throughput: Some(throughput(on_demand, given, most, None)?),
        protected: input.deletion_protection_enabled == Some(true),
        shape: 1,
        ..TableRow::default()
    };
    if input.local_secondary_indexes.as_ref().is_some_and(Vec::is_empty) {
        return Err(parameters("List of LocalSecondaryIndexes is empty"));
    }
    if input.global_secondary_indexes.as_ref().is_some_and(Vec::is_empty) {
        return Err(parameters("List of GlobalSecondaryIndexes is empty"));
    }
    for one in input.local_secondary_indexes.iter().flatten() {
        let (name, keys, projection) = (one.index_name.as_str(), one.key_schema.as_slice(), &one.projection);
        let new = NewIndex { name, keys, projection, local: true, throughput: None, on_demand: None };
        add_index(&mut row, &new, false)?;
    }
    for one in input.global_secondary_indexes.iter().flatten() {
        let new = NewIndex {
            name: &one.index_name,
            keys: &one.key_schema,
            projection: &one.projection,
            local: false,
            throughput: one.provisioned_throughput.as_ref(),
            on_demand: one.on_demand_throughput.as_ref(),
        };
        add_index(&mut row, &new, false)?;
    }
    check_indexes(&row)?;
    check_used(&row)?;
    Ok(row)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn element(name: &str, key_type: KeyType) -> KeySchemaElement {
        KeySchemaElement { attribute_name: name.to_owned(), key_type }
    }

    #[test]
    fn keys_are_a_partition_key_and_perhaps_a_sort_key() {
        let (a, b) = (|kind| element("a", kind), |kind| element("b", kind));
        for (elements, expected) in [
            (vec![a(KeyType::Hash)], Some(("a", None))),
            (vec![a(KeyType::Hash), b(KeyType::Range)], Some(("a", Some("b")))),
            (vec![a(KeyType::Range)], None),
            (vec![a(KeyType::Hash), b(KeyType::Hash)], None),
            (vec![a(KeyType::Hash), a(KeyType::Range)], None),
            (vec![a(KeyType::Hash), b(KeyType::Range), element("c", KeyType::Range)], None),
            (vec![], None),
        ] {
            let found = keys(&elements).ok();
            assert_eq!(found.as_ref().map(|(hash, range)| (hash.as_str(), range.as_deref())), expected, "{elements:?}");
        }
    }
}
