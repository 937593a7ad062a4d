//! Partition indexes. Rows of partitions lie in the order of their values, so that there is nothing to build: an index is there at once.

use std::sync::Arc;

use millpond_api_glue as api;
use millpond_kernel::Caller;
use millpond_meta::Op;
use millpond_types::AccountId;

use crate::bodies::TableBody;
use crate::errors::{Failure, GlueError, invalid};
use crate::limits::MAX_INDEXES;
use crate::state::{Core, On, Place};
use crate::tables::{self, IndexRow, TableRow};

/// Adds an index to those of a table with these partition keys.
pub(crate) fn add(
    indexes: &mut Vec<IndexRow>,
    given: &api::PartitionIndex,
    keys: &[api::Column],
) -> Result<(), GlueError> {
    if indexes.iter().any(|index| index.name == given.index_name) {
        return Err(GlueError::Exists(format!("Index {} already exists.", given.index_name)));
    }
    if indexes.len() >= MAX_INDEXES {
        return Err(GlueError::Limit(format!("A table has at most {MAX_INDEXES} partition indexes.")));
    }
    let mut over: Vec<String> = Vec::new();
    for key in &given.keys {
        let Some(column) = keys.iter().find(|column| column.name.eq_ignore_ascii_case(key)) else {
            return invalid(format!("{key} is no partition key of the table."));
        };
        if over.contains(&column.name) {
            return invalid(format!("The key {key} stands twice in the index."));
        }
        over.push(column.name.clone());
    }
    indexes.push(IndexRow { name: given.index_name.clone(), keys: over });
    Ok(())
}

async fn rewrite(core: &Core, on: &On, indexes: Vec<IndexRow>) -> Result<(), Failure> {
    let row = TableRow { indexes, ..on.table.row.clone() };
    let op = Op::Put(on.table.key.clone(), tables::encode(&row));
    core.commit(on.pin, vec![on.table.unchanged()], vec![op], false).await
}

pub(crate) async fn create(
    core: &Arc<Core>,
    caller: &Caller,
    account: AccountId,
    input: &api::CreatePartitionIndexInput,
) -> Result<api::CreatePartitionIndexOutput, Failure> {
    let place =
        Place { catalog: input.catalog_id.as_deref(), database: &input.database_name, table: &input.table_name };
    let on = core.on_table(caller, account, input, place).await?;
    let body: TableBody = core.kept(on.table.id, &on.table.row.body).await?;
    let mut indexes = on.table.row.indexes.clone();
    add(&mut indexes, &input.partition_index, &crate::bodies::show_columns(&body.keys))?;
    rewrite(core, &on, indexes).await?;
    Ok(api::CreatePartitionIndexOutput {})
}

pub(crate) async fn list(
    core: &Arc<Core>,
    caller: &Caller,
    account: AccountId,
    input: &api::GetPartitionIndexesInput,
) -> Result<api::GetPartitionIndexesOutput, Failure> {
    let place =
        Place { catalog: input.catalog_id.as_deref(), database: &input.database_name, table: &input.table_name };
    let on = core.on_table(caller, account, input, place).await?;
    let body: TableBody = core.kept(on.table.id, &on.table.row.body).await?;
    let element = |name: &String| {
        let kind = body.keys.iter().find(|key| key.name == *name).and_then(|key| key.kind.clone());
        api::KeySchemaElement { name: name.clone(), type_: kind.unwrap_or_else(|| "string".to_owned()) }
    };
    let shown = |index: &IndexRow| api::PartitionIndexDescriptor {
        index_name: index.name.clone(),
        keys: index.keys.iter().map(element).collect(),
        index_status: api::PartitionIndexStatus::Active,
        backfill_errors: None,
    };
    let list = on.table.row.indexes.iter().map(shown).collect();
    Ok(api::GetPartitionIndexesOutput { partition_index_descriptor_list: Some(list), next_token: None })
}

pub(crate) async fn delete(
    core: &Arc<Core>,
    caller: &Caller,
    account: AccountId,
    input: &api::DeletePartitionIndexInput,
) -> Result<api::DeletePartitionIndexOutput, Failure> {
    let place =
        Place { catalog: input.catalog_id.as_deref(), database: &input.database_name, table: &input.table_name };
    let on = core.on_table(caller, account, input, place).await?;
    let mut indexes = on.table.row.indexes.clone();
    indexes.retain(|index| index.name != input.index_name);
    if indexes.len() == on.table.row.indexes.len() {
        return Err(GlueError::NotFound(format!("Index {} not found.", input.index_name)).into());
    }
    rewrite(core, &on, indexes).await?;
    Ok(api::DeletePartitionIndexOutput {})
}
