//! Versions of tables: the one that counts, and those that updates archived. They are numbered from 0.

use std::sync::Arc;

use millpond_api_glue as api;
use millpond_kernel::{Caller, paging};
use millpond_meta::key::{prefix_range, successor};
use millpond_meta::{Cond, Op};
use millpond_types::AccountId;

use super::databases::bad_token;
use super::tables::{Version, show};
use crate::errors::{Failure, GlueError};
use crate::kept::{Pieces, removed};
use crate::limits::MAX_LISTED;
use crate::state::{Core, On, Place, Table, decode};
use crate::tables::{self, TableRow, VersionRow};

fn missing(text: &str) -> GlueError {
    GlueError::NotFound(format!("Table version {text} not found."))
}

fn number(text: &str) -> Result<u64, GlueError> {
    text.parse().map_err(|_| GlueError::Invalid(format!("VersionId {text} is not a number.")))
}

async fn found(core: &Core, table: &Table, wanted: Option<&str>) -> Result<Version, GlueError> {
    let wanted = wanted.map(number).transpose()?.unwrap_or(table.row.version);
    if wanted == table.row.version {
        return Ok(Version::current(table.row.clone()));
    }
    let raw = core.kv.get(&tables::version(table.id, wanted)).await?;
    let raw = raw.ok_or_else(|| missing(&wanted.to_string()))?;
    Ok(Version::archived(wanted, decode(&raw)?))
}

async fn shown(core: &Core, on: &On, version: Version, pieces: &mut Pieces) -> Result<api::TableVersion, GlueError> {
    let version_id = Some(version.number.to_string());
    let (whose, which) = ((on.owner, on.database.as_str()), (on.table.id, on.table.name.as_str()));
    Ok(api::TableVersion { table: Some(show(core, whose, which, version, pieces).await?), version_id })
}

pub(crate) async fn get(
    core: &Arc<Core>,
    caller: &Caller,
    account: AccountId,
    input: &api::GetTableVersionInput,
) -> Result<api::GetTableVersionOutput, Failure> {
    let place =
        Place { catalog: input.catalog_id.as_deref(), database: &input.database_name, table: &input.table_name };
    let on = core.on_table(caller, account, input, place).await?;
    let version = found(core, &on.table, input.version_id.as_deref()).await?;
    let table_version = Some(shown(core, &on, version, &mut Pieces::default()).await?);
    Ok(api::GetTableVersionOutput { table_version })
}

pub(crate) async fn list(
    core: &Arc<Core>,
    caller: &Caller,
    account: AccountId,
    input: &api::GetTableVersionsInput,
) -> Result<api::GetTableVersionsOutput, Failure> {
    let place =
        Place { catalog: input.catalog_id.as_deref(), database: &input.database_name, table: &input.table_name };
    let on = core.on_table(caller, account, input, place).await?;
    let limit = paging::limit(input.max_results, MAX_LISTED);
    let after = paging::name_after(input.next_token.as_deref()).map_err(|_| bad_token())?;
    let after = after.map(|text| text.parse::<u64>().map_err(|_| bad_token())).transpose()?;
    let (mut from, to) = prefix_range(tables::all_of(tables::VERSIONS, on.table.id));
    let mut versions = Vec::new();
    match after {
        Some(after) => from = successor(&tables::version(on.table.id, after)),
        None => versions.push(Version::current(on.table.row.clone())),
    }
    for (key, raw) in core.page(from, to, limit + 1).await? {
        versions.push(Version::archived(tables::version_number(&key)?, decode::<VersionRow>(&raw)?));
    }
    let more = versions.len() > limit;
    versions.truncate(limit);
    let next_token = versions.last().filter(|_| more).map(|last| paging::token(last.number.to_string()));
    let (mut table_versions, mut pieces) = (Vec::new(), Pieces::default());
    for version in versions {
        table_versions.push(shown(core, &on, version, &mut pieces).await?);
    }
    Ok(api::GetTableVersionsOutput { table_versions: Some(table_versions), next_token })
}

/// Removes archived versions; what cannot be removed is told by its number, as it was given.
async fn remove(core: &Core, on: &On, wanted: &[String]) -> Result<Vec<(String, GlueError)>, Failure> {
    let (mut conds, mut ops, mut wrong) = (vec![on.table.unchanged()], Vec::new(), Vec::new());
    let mut row = TableRow { ..on.table.row.clone() };
    for text in wanted {
        let key = match number(text) {
            Ok(number) if number == row.version => {
                let told = format!("Version {text} is the table's version by now, which cannot be deleted.");
                wrong.push((text.clone(), GlueError::Invalid(told)));
                continue;
            }
            Ok(number) => tables::version(on.table.id, number),
            Err(error) => {
                wrong.push((text.clone(), error));
                continue;
            }
        };
        let twice = ops.iter().any(|op| matches!(op, Op::Delete(gone) if *gone == key));
        match core.kv.get(&key).await?.filter(|_| !twice) {
            Some(raw) => {
                ops.extend(removed(&decode::<VersionRow>(&raw)?.body));
                ops.push(Op::Delete(key.clone()));
                conds.push(Cond::Present(key));
                row.archived = row.archived.saturating_sub(1);
            }
            None => wrong.push((text.clone(), missing(text))),
        }
    }
    if !ops.is_empty() {
        ops.push(Op::Put(on.table.key.clone(), tables::encode(&row)));
        core.commit(on.pin, conds, ops, true).await?;
    }
    Ok(wrong)
}

pub(crate) async fn delete(
    core: &Arc<Core>,
    caller: &Caller,
    account: AccountId,
    input: &api::DeleteTableVersionInput,
) -> Result<api::DeleteTableVersionOutput, Failure> {
    let place =
        Place { catalog: input.catalog_id.as_deref(), database: &input.database_name, table: &input.table_name };
    let on = core.on_table(caller, account, input, place).await?;
    match remove(core, &on, std::slice::from_ref(&input.version_id)).await?.pop() {
        Some((_, error)) => Err(error.into()),
        None => Ok(api::DeleteTableVersionOutput {}),
    }
}

pub(crate) async fn delete_many(
    core: &Arc<Core>,
    caller: &Caller,
    account: AccountId,
    input: &api::BatchDeleteTableVersionInput,
) -> Result<api::BatchDeleteTableVersionOutput, Failure> {
    let place =
        Place { catalog: input.catalog_id.as_deref(), database: &input.database_name, table: &input.table_name };
    let on = core.on_table(caller, account, input, place).await?;
    let told = |(version, error): (String, GlueError)| api::TableVersionError {
        table_name: Some(on.table.name.clone()),
        version_id: Some(version),
        error_detail: Some(error.detail()),
    };
    let wrong = remove(core, &on, &input.version_ids).await?;
    Ok(api::BatchDeleteTableVersionOutput { errors: Some(wrong.into_iter().map(told).collect()) })
}
