//! Changes of tables: throughput and billing, global indexes, the stream, class and protection (API reference, UpdateTable).

use millpond_api_dynamodb::{
    BillingMode, CreateGlobalSecondaryIndexAction, GlobalSecondaryIndexDescription, IndexStatus, OnDemandThroughput,
    ProvisionedThroughput, TableClass, TableStatus, UpdateGlobalSecondaryIndexAction, UpdateTableInput,
    UpdateTableOutput,
};
use millpond_kernel::Caller;
use millpond_meta::Op;

use crate::errors::{DynamoError, Failure, invalid, parameters};
use crate::limits;
use crate::model::Table;
use crate::ops::tables::{check_encryption, unserved};
use crate::schema::{self, NewIndex};
use crate::state::Core;
use crate::stream;
use crate::tables::{self, TableRow, ThroughputRow};

/// Milliseconds of a day: decreases are counted by days.
const DAY: u64 = 24 * 3600 * 1000;

pub(crate) async fn update(
    core: &Core,
    caller: &Caller,
    input: &UpdateTableInput,
) -> Result<UpdateTableOutput, Failure> {
    let (authorized, table) = core.on_table::<UpdateTableInput>(caller, &input.table_name).await?;
    check(input)?;
    if table.is_updating() && !gives_up(input, &table) {
        let text =
            format!("Attempt to change a resource which is still in use: Table is being updated: {}", table.name);
        return Err(DynamoError::InUse(text).into());
    }
    let now = core.millis();
    let mut row = table.row.clone();
    let mut ops = Vec::new();
    billing(&mut row, input, now)?;
    if let Some(class) = input.table_class {
        row.infrequent = class == TableClass::StandardInfrequentAccess;
        row.class_changed = now;
    }
    if let Some(protected) = input.deletion_protection_enabled {
        row.protected = protected;
    }
    if let Some(specification) = &input.stream_specification {
        if !specification.stream_enabled && row.stream.is_none() {
            return Err(invalid(format!("Table is already disabled for streams: TableName: {}", table.name)).into());
        }
        ops.extend(stream::switch(core, (table.account, &table.name), &mut row, specification)?);
    }
    let removed = indexes(&table, &mut row, &mut ops, input, now)?;
    let before = core.described(&table).await?;
    let changed = core.rewrite(Some(authorized.pin()), &table, &row, ops).await?;
    core.work.notify_one();
    let mut description = core.described(&changed).await?;
    if let Some(name) = removed {
        let was = before.global_secondary_indexes.into_iter().flatten();
        let is_it = |one: &GlobalSecondaryIndexDescription| one.index_name.as_deref() == Some(&name);
        let gone = was
            .filter(is_it)
            .map(|one| GlobalSecondaryIndexDescription { index_status: Some(IndexStatus::Deleting), ..one });
        description.global_secondary_indexes.get_or_insert_default().extend(gone);
        description.table_status = Some(TableStatus::Updating);
    }
    Ok(UpdateTableOutput { table_description: Some(description) })
}

/// Whether all that is asked for is that an index goes which is being filled: that may be at any time (Developer Guide, "Managing global secondary
/// indexes").
fn gives_up(input: &UpdateTableInput, table: &Table) -> bool {
    let only = input.billing_mode.is_none()
        && input.provisioned_throughput.is_none()
        && input.on_demand_throughput.is_none()
        && input.stream_specification.is_none()
        && input.table_class.is_none()
        && input.deletion_protection_enabled.is_none();
    let [update] = input.global_secondary_index_updates.as_deref().unwrap_or_default() else { return false };
    let deleted = update.delete.as_ref().and_then(|delete| table.index(&delete.index_name));
    only && deleted.is_some_and(|index| index.filling)
}

/// Refuses what is not carried out, and what asks for nothing.
fn check(input: &UpdateTableInput) -> Result<(), DynamoError> {
    unserved(&[
        ("ReplicaUpdates", input.replica_updates.is_some()),
        ("MultiRegionConsistency", input.multi_region_consistency.is_some()),
        ("GlobalTableWitnessUpdates", input.global_table_witness_updates.is_some()),
        ("WarmThroughput", input.warm_throughput.is_some()),
        ("GlobalTableSettingsReplicationMode", input.global_table_settings_replication_mode.is_some()),
        ("DisassociationProtectionEnabled", input.disassociation_protection_enabled.is_some()),
        ("VectorIndexUpdates", input.vector_index_updates.is_some()),
    ])?;
    check_encryption(input.sse_specification.as_ref())?;
    let asks = input.billing_mode.is_some()
        || input.provisioned_throughput.is_some()
        || input.on_demand_throughput.is_some()
        || input.global_secondary_index_updates.is_some()
        || input.stream_specification.is_some()
        || input.sse_specification.is_some()
        || input.table_class.is_some()
        || input.deletion_protection_enabled.is_some();
    if !asks {
        return Err(invalid(
            "At least one of ProvisionedThroughput, BillingMode, UpdateStreamEnabled, GlobalSecondaryIndexUpdates or SSESpecification or ReplicaUpdates is required",
        ));
    }
    Ok(())
}

fn billing(row: &mut TableRow, input: &UpdateTableInput, now: u64) -> Result<(), DynamoError> {
    let was_on_demand = row.billing.as_ref().is_some_and(|billing| billing.on_demand);
    let is_on_demand = input.billing_mode.map_or(was_on_demand, |mode| mode == BillingMode::PayPerRequest);
    let (given, most) = (input.provisioned_throughput.as_ref(), input.on_demand_throughput.as_ref());
    if is_on_demand == was_on_demand {
        if given.is_none() && most.is_none() {
            return Ok(());
        }
        let before = row.throughput.clone().unwrap_or_default();
        row.throughput = Some(retuned(&before, is_on_demand, given, most, None, now)?);
        return Ok(());
    }
    let billing = row.billing.get_or_insert_default();
    billing.on_demand = is_on_demand;
    if is_on_demand {
        billing.on_demand_since = now;
    }
    row.throughput = Some(schema::throughput(is_on_demand, given, most, None)?);
    for index in row.indexes.iter_mut().filter(|index| !index.local) {
        let updates = input.global_secondary_index_updates.iter().flatten().filter_map(|one| one.update.as_ref());
        let update = updates.into_iter().find(|one| one.index_name == index.name);
        let given = update.and_then(|one| one.provisioned_throughput.as_ref());
        let most = update.and_then(|one| one.on_demand_throughput.as_ref());
        index.throughput = Some(schema::throughput(is_on_demand, given, most, Some(&index.name))?);
    }
    Ok(())
}

/// Throughput as a request changes it.
fn retuned(
    before: &ThroughputRow,
    is_on_demand: bool,
    given: Option<&ProvisionedThroughput>,
    most: Option<&OnDemandThroughput>,
    index: Option<&str>,
    now: u64,
) -> Result<ThroughputRow, DynamoError> {
    if is_on_demand {
        let new = schema::throughput(true, given, most, index)?;
        // What is not given stays.
        let kept = |given: Option<i64>, new: u64, before: u64| if given.is_some() { new } else { before };
        return Ok(ThroughputRow {
            max_read: kept(most.and_then(|most| most.max_read_request_units), new.max_read, before.max_read),
            max_write: kept(most.and_then(|most| most.max_write_request_units), new.max_write, before.max_write),
            ..before.clone()
        });
    }
    let new = schema::throughput(false, given, most, index)?;
    if (new.read, new.write) == (before.read, before.write) {
        let what = index.map_or_else(|| "table".to_owned(), |index| format!("index {index}"));
        return Err(invalid(format!(
            "The provisioned throughput for the {what} will not change. The requested value equals the current value. Current ReadCapacityUnits provisioned for the {what}: {}. Requested ReadCapacityUnits: {}. Current WriteCapacityUnits provisioned for the {what}: {}. Requested WriteCapacityUnits: {}. Refer to the Amazon DynamoDB Developer Guide for current limits and how to request higher limits.",
            before.read, new.read, before.write, new.write
        )));
    }
    let mut after = ThroughputRow { read: new.read, write: new.write, ..before.clone() };
    if new.read < before.read || new.write < before.write {
        let same_day = before.decreased / DAY == now / DAY;
        after.decreases = if same_day { before.decreases + 1 } else { 1 };
        after.decreased = now;
        if after.decreases > limits::MAX_DECREASES {
            let text = format!(
                "Subscriber limit exceeded: Provisioned throughput decreases are limited to {} within the current UTC day.",
                limits::MAX_DECREASES
            );
            return Err(DynamoError::Limit(text));
        }
    }
    if new.read > before.read || new.write > before.write {
        after.increased = now;
    }
    Ok(after)
}

/// Changes global indexes. The name of the one that is removed.
fn indexes(
    table: &Table,
    row: &mut TableRow,
    ops: &mut Vec<Op>,
    input: &UpdateTableInput,
    now: u64,
) -> Result<Option<String>, DynamoError> {
    let Some(updates) = &input.global_secondary_index_updates else {
        return Ok(None);
    };
    if updates.is_empty() {
        return Err(parameters("GlobalSecondaryIndexUpdates is empty"));
    }
    let online = updates.iter().filter(|one| one.create.is_some() || one.delete.is_some()).count();
    if online > 1 {
        let text = "Subscriber limit exceeded: Only 1 online index can be created or deleted simultaneously per table";
        return Err(DynamoError::Limit(text.to_owned()));
    }
    let on_demand = |row: &TableRow| row.billing.as_ref().is_some_and(|billing| billing.on_demand);
    let switched = on_demand(row) != on_demand(&table.row);
    let mut removed = None;
    for one in updates {
        match (&one.create, &one.update, &one.delete) {
            (Some(create), None, None) => added(row, ops, table, create, input)?,
            (None, Some(update), None) => tuned(row, update, switched, now)?,
            (None, None, Some(delete)) => {
                removed = Some(delete.index_name.clone());
                gone(row, ops, table, &delete.index_name)?;
            }
            _ => {
                let text = "GlobalSecondaryIndexUpdate must have exactly one of Create, Update and Delete";
                return Err(parameters(text));
            }
        }
    }
    Ok(removed)
}

fn no_index(table: &Table, name: &str) -> DynamoError {
    DynamoError::NotFound(format!("Requested resource not found: Index: {name} of the table {} not found", table.name))
}

fn added(
    row: &mut TableRow,
    ops: &mut Vec<Op>,
    table: &Table,
    create: &CreateGlobalSecondaryIndexAction,
    input: &UpdateTableInput,
) -> Result<(), DynamoError> {
    unserved(&[("WarmThroughput of an index", create.warm_throughput.is_some())])?;
    if table.index(&create.index_name).is_some() {
        let text = format!("Attempting to create an index which already exists: {}", create.index_name);
        return Err(invalid(text));
    }
    for new in schema::attributes(input.attribute_definitions.as_deref().unwrap_or_default())? {
        match row.attributes.iter().find(|known| known.name == new.name) {
            None => row.attributes.push(new),
            Some(known) if known.kind == new.kind => {}
            Some(_) => {
                let text = format!("Cannot redefine the type of the attribute {}", new.name);
                return Err(parameters(text));
            }
        }
    }
    let new = NewIndex {
        name: &create.index_name,
        keys: &create.key_schema,
        projection: &create.projection,
        local: false,
        throughput: create.provisioned_throughput.as_ref(),
        on_demand: create.on_demand_throughput.as_ref(),
    };
    let number = schema::add_index(row, &new, true)?;
    schema::check_indexes(row)?;
    schema::check_used(row)?;
    row.shape += 1;
    ops.push(Op::Put(tables::of_index(tables::BACKFILLS, table.id, number), bytes::Bytes::new()));
    Ok(())
}

fn tuned(
    row: &mut TableRow,
    update: &UpdateGlobalSecondaryIndexAction,
    switched: bool,
    now: u64,
) -> Result<(), DynamoError> {
    unserved(&[("WarmThroughput of an index", update.warm_throughput.is_some())])?;
    let is_on_demand = row.billing.as_ref().is_some_and(|billing| billing.on_demand);
    let name = &update.index_name;
    let index = row.indexes.iter_mut().find(|index| !index.local && index.name == *name);
    let missing = || DynamoError::NotFound(format!("Requested resource not found: Index: {name} not found"));
    let index = index.ok_or_else(missing)?;
    if switched {
        // The change of the billing mode has set it already.
        return Ok(());
    }
    let before = index.throughput.clone().unwrap_or_default();
    let (given, most) = (update.provisioned_throughput.as_ref(), update.on_demand_throughput.as_ref());
    index.throughput = Some(retuned(&before, is_on_demand, given, most, Some(name), now)?);
    Ok(())
}

fn gone(row: &mut TableRow, ops: &mut Vec<Op>, table: &Table, name: &str) -> Result<(), DynamoError> {
    let index = table.index(name).filter(|index| !index.local).ok_or_else(|| no_index(table, name))?;
    row.indexes.retain(|one| one.number != index.number);
    // Attributes that only its key used are no longer defined.
    let used = |name: &str| {
        let table = row.hash == name || row.range.as_deref() == Some(name);
        table || row.indexes.iter().any(|one| one.hash == name || one.range.as_deref() == Some(name))
    };
    let kept = row.attributes.iter().filter(|one| used(&one.name)).cloned().collect();
    row.attributes = kept;
    row.shape += 1;
    ops.push(Op::Put(tables::of_index(tables::REMOVED, table.id, index.number), table.raw.clone()));
    Ok(())
}
