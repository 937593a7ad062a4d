//! Statistics of columns: kept and shown, of tables and of partitions.

use std::sync::Arc;

use millpond_api_glue as api;
use millpond_kernel::Caller;
use millpond_meta::{Cond, Key, MAX_KEY_BYTES, Op};
use millpond_types::AccountId;

use super::partitions::key_of;
use crate::bodies::{StorageBody, TableBody};
use crate::errors::{Failure, GlueError, no_partition};
use crate::inputs::Input;
use crate::kept::{Pieces, removed};
use crate::state::{Core, On, Place, decode};
use crate::statistics::StatisticsBody;
use crate::tables::{self, Kept};

/// Whose statistics: a table's, or those of a partition.
struct Whose<'a> {
    on: On,
    values: Option<&'a [String]>,
}

impl Whose<'_> {
    fn row(&self, column: &str) -> Result<Key, GlueError> {
        let key = tables::statistics(self.on.table.id, self.values).bytes(column.to_lowercase().as_bytes()).build();
        if key.len() > MAX_KEY_BYTES {
            return Err(GlueError::Invalid("The name of the column is too long.".to_owned()));
        }
        Ok(key)
    }

    /// It is there still.
    fn stands(&self) -> Result<Vec<Cond>, GlueError> {
        let mut conds = vec![self.on.table.stands()];
        if let Some(values) = self.values {
            conds.push(Cond::Present(key_of(&self.on.table, values)?));
        }
        Ok(conds)
    }
}

async fn whose<'a, I: Input>(
    core: &Core,
    caller: &Caller,
    account: AccountId,
    input: &I,
    place: Place<'_>,
    values: Option<&'a [String]>,
) -> Result<Whose<'a>, Failure> {
    let on = core.on_table(caller, account, input, place).await?;
    if let Some(values) = values
        && core.kv.get(&key_of(&on.table, values)?).await?.is_none()
    {
        return Err(no_partition().into());
    }
    Ok(Whose { on, values })
}

fn no_column(name: &str) -> GlueError {
    GlueError::NotFound(format!("Column {name} not found."))
}

async fn read(
    core: &Core,
    whose: &Whose<'_>,
    names: &[String],
) -> Result<(Vec<api::ColumnStatistics>, Vec<api::ColumnError>), Failure> {
    let (mut found, mut errors) = (Vec::new(), Vec::new());
    for name in names {
        let body = match core.kv.get(&whose.row(name)?).await? {
            Some(raw) => Some(core.kept::<StatisticsBody>(whose.on.table.id, &decode::<Kept>(&raw)?).await?),
            None => None,
        };
        match body.and_then(|body| body.show(name.clone())) {
            Some(shown) => found.push(shown),
            None => {
                let text = format!("Column statistics of {name} not found.");
                let error = Some(GlueError::NotFound(text).detail());
                errors.push(api::ColumnError { column_name: Some(name.clone()), error });
            }
        }
    }
    Ok((found, errors))
}

/// The columns that a table has now, partition keys among them.
async fn columns(core: &Core, on: &On) -> Result<Vec<String>, GlueError> {
    let body: TableBody = core.kept(on.table.id, &on.table.row.body).await?;
    let mut names: Vec<String> = body.keys.iter().map(|key| key.name.to_lowercase()).collect();
    let storage: Option<StorageBody> = body.storage;
    if let Some(storage) = storage {
        let columns = core.columns(on.table.id, &storage, &mut Pieces::default()).await?;
        names.extend(columns.columns.iter().map(|column| column.name.to_lowercase()));
    }
    Ok(names)
}

async fn write(
    core: &Core,
    whose: &Whose<'_>,
    given: &[api::ColumnStatistics],
) -> Result<Vec<api::ColumnStatisticsError>, Failure> {
    let known = columns(core, &whose.on).await?;
    let (mut ops, mut errors) = (Vec::new(), Vec::new());
    for one in given {
        let body = if known.contains(&one.column_name.to_lowercase()) {
            StatisticsBody::of(one)
        } else {
            Err(no_column(&one.column_name))
        };
        match body {
            Ok(body) => {
                let kept = core.keep(whose.on.table.id, &body, &mut ops)?;
                ops.push(Op::Put(whose.row(&one.column_name)?, tables::encode(&kept)));
            }
            Err(error) => errors
                .push(api::ColumnStatisticsError { column_statistics: Some(one.clone()), error: Some(error.detail()) }),
        }
    }
    if !ops.is_empty() {
        core.commit(whose.on.pin, whose.stands()?, ops, false).await?;
    }
    Ok(errors)
}

async fn remove(core: &Core, whose: &Whose<'_>, column: &str) -> Result<(), Failure> {
    let key = whose.row(column)?;
    let raw = core.kv.get(&key).await?.ok_or_else(|| no_column(column))?;
    let mut ops = removed(&decode::<Kept>(&raw)?);
    ops.push(Op::Delete(key.clone()));
    let mut conds = whose.stands()?;
    conds.push(Cond::Present(key));
    core.commit(whose.on.pin, conds, ops, true).await
}

pub(crate) async fn get(
    core: &Arc<Core>,
    caller: &Caller,
    account: AccountId,
    input: &api::GetColumnStatisticsForTableInput,
) -> Result<api::GetColumnStatisticsForTableOutput, Failure> {
    let place =
        Place { catalog: input.catalog_id.as_deref(), database: &input.database_name, table: &input.table_name };
    let whose = whose(core, caller, account, input, place, None).await?;
    let (list, errors) = read(core, &whose, &input.column_names).await?;
    Ok(api::GetColumnStatisticsForTableOutput { column_statistics_list: Some(list), errors: Some(errors) })
}

pub(crate) async fn get_of_partition(
    core: &Arc<Core>,
    caller: &Caller,
    account: AccountId,
    input: &api::GetColumnStatisticsForPartitionInput,
) -> Result<api::GetColumnStatisticsForPartitionOutput, Failure> {
    let place =
        Place { catalog: input.catalog_id.as_deref(), database: &input.database_name, table: &input.table_name };
    let whose = whose(core, caller, account, input, place, Some(&input.partition_values)).await?;
    let (list, errors) = read(core, &whose, &input.column_names).await?;
    Ok(api::GetColumnStatisticsForPartitionOutput { column_statistics_list: Some(list), errors: Some(errors) })
}

pub(crate) async fn update(
    core: &Arc<Core>,
    caller: &Caller,
    account: AccountId,
    input: &api::UpdateColumnStatisticsForTableInput,
) -> Result<api::UpdateColumnStatisticsForTableOutput, Failure> {
    let place =
        Place { catalog: input.catalog_id.as_deref(), database: &input.database_name, table: &input.table_name };
    let whose = whose(core, caller, account, input, place, None).await?;
    let errors = Some(write(core, &whose, &input.column_statistics_list).await?);
    Ok(api::UpdateColumnStatisticsForTableOutput { errors })
}

pub(crate) async fn update_of_partition(
    core: &Arc<Core>,
    caller: &Caller,
    account: AccountId,
    input: &api::UpdateColumnStatisticsForPartitionInput,
) -> Result<api::UpdateColumnStatisticsForPartitionOutput, Failure> {
    let place =
        Place { catalog: input.catalog_id.as_deref(), database: &input.database_name, table: &input.table_name };
    let whose = whose(core, caller, account, input, place, Some(&input.partition_values)).await?;
    let errors = Some(write(core, &whose, &input.column_statistics_list).await?);
    Ok(api::UpdateColumnStatisticsForPartitionOutput { errors })
}

pub(crate) async fn delete(
    core: &Arc<Core>,
    caller: &Caller,
    account: AccountId,
    input: &api::DeleteColumnStatisticsForTableInput,
) -> Result<api::DeleteColumnStatisticsForTableOutput, Failure> {
    let place =
        Place { catalog: input.catalog_id.as_deref(), database: &input.database_name, table: &input.table_name };
    let whose = whose(core, caller, account, input, place, None).await?;
    remove(core, &whose, &input.column_name).await?;
    Ok(api::DeleteColumnStatisticsForTableOutput {})
}

pub(crate) async fn delete_of_partition(
    core: &Arc<Core>,
    caller: &Caller,
    account: AccountId,
    input: &api::DeleteColumnStatisticsForPartitionInput,
) -> Result<api::DeleteColumnStatisticsForPartitionOutput, Failure> {
    let place =
        Place { catalog: input.catalog_id.as_deref(), database: &input.database_name, table: &input.table_name };
    let whose = whose(core, caller, account, input, place, Some(&input.partition_values)).await?;
    remove(core, &whose, &input.column_name).await?;
    Ok(api::DeleteColumnStatisticsForPartitionOutput {})
}
