//! Databases.

use std::sync::Arc;

use millpond_api_glue as api;
use millpond_kernel::{Caller, paging};
use millpond_meta::key::{KeyBuilder, prefix_range, successor};
use millpond_meta::{Cond, Op};
use millpond_types::{AccountId, Arn};

use super::tags;
use crate::bodies::DatabaseBody;
use crate::errors::{Failure, GlueError, no_database, unserved};
use crate::inputs::Touch;
use crate::kept::removed;
use crate::limits::MAX_LISTED;
use crate::names;
use crate::state::{Core, Database, database_of};
use crate::tables::{self, DatabaseRow};

pub(crate) fn bad_token() -> GlueError {
    GlueError::Invalid("The NextToken is not valid.".to_owned())
}

fn check(input: &api::DatabaseInput) -> Result<(), GlueError> {
    unserved("TargetDatabase", input.target_database.as_ref())?;
    unserved("FederatedDatabase", input.federated_database.as_ref())
}

async fn show(core: &Core, owner: AccountId, database: Database) -> Result<api::Database, GlueError> {
    let body: DatabaseBody = core.kept(database.id, &database.row.body).await?;
    Ok(body.show(database.name, database.row.created, owner.as_str()))
}

pub(crate) async fn create(
    core: &Arc<Core>,
    caller: &Caller,
    account: AccountId,
    input: &api::CreateDatabaseInput,
) -> Result<api::CreateDatabaseOutput, Failure> {
    let given = &input.database_input;
    let owner = names::catalog(account, input.catalog_id.as_deref())?;
    let name = names::database(&given.name)?;
    let tags = tags::checked(input.tags.as_ref())?;
    let mut touch = Touch::database(core, input, owner, &name).tags(&tags);
    if !tags.is_empty() {
        touch = touch.needs("glue:TagResource", core.arn(owner, &format!("database/{name}")));
    }
    let authorized = core.authorize(caller, touch).await?;
    check(given)?;
    if core.find_database(owner, &name).await?.is_some() {
        return Err(GlueError::Exists("Database already exists.".to_owned()).into());
    }
    let (id, mut ops) = (core.random_id(), Vec::new());
    let body = core.keep(id, &DatabaseBody::of(given), &mut ops)?;
    let row = DatabaseRow { id: id.to_be_bytes().to_vec(), created: core.now(), body, tags };
    let key = tables::database(owner, &name);
    ops.push(Op::Put(key.clone(), tables::encode(&row)));
    core.commit(authorized.pin(), vec![Cond::Absent(key)], ops, false).await?;
    Ok(api::CreateDatabaseOutput {})
}

pub(crate) async fn get(
    core: &Arc<Core>,
    caller: &Caller,
    account: AccountId,
    input: &api::GetDatabaseInput,
) -> Result<api::GetDatabaseOutput, Failure> {
    let owner = names::catalog(account, input.catalog_id.as_deref())?;
    let name = names::database(&input.name)?;
    let found = core.find_database(owner, &name).await?;
    let touch = Touch::database(core, input, owner, &name).tagged(found.as_ref().map(|found| &found.row.tags));
    core.authorize(caller, touch).await?;
    let found = found.ok_or_else(|| no_database(&name))?;
    Ok(api::GetDatabaseOutput { database: Some(show(core, owner, found).await?) })
}

pub(crate) async fn list(
    core: &Arc<Core>,
    caller: &Caller,
    account: AccountId,
    input: &api::GetDatabasesInput,
) -> Result<api::GetDatabasesOutput, Failure> {
    let owner = names::catalog(account, input.catalog_id.as_deref())?;
    core.authorize(caller, Touch::database(core, input, owner, "*")).await?;
    // None is shared from elsewhere.
    if input.resource_share_type.is_some_and(|kind| kind != api::ResourceShareType::All) {
        return Ok(api::GetDatabasesOutput::default());
    }
    let limit = paging::limit(input.max_results, MAX_LISTED);
    let (mut from, to) = prefix_range(tables::databases(owner));
    if let Some(after) = paging::key_after(input.next_token.as_deref()).map_err(|_| bad_token())? {
        from = from.max(successor(&KeyBuilder::extend(&tables::databases(owner)).raw(&after).build()));
    }
    let rows = core.page(from, to, limit + 1).await?;
    let more = rows.len() > limit;
    let (mut database_list, mut last) = (Vec::new(), None);
    let wanted = input.attributes_to_get.as_deref().unwrap_or_default();
    for (key, raw) in rows.into_iter().take(limit) {
        let found = database_of(key.clone(), raw)?;
        last = Some(key);
        database_list.push(if wanted.is_empty() {
            show(core, owner, found).await?
        } else {
            let catalog_id = Some(owner.to_string());
            api::Database { name: found.name, catalog_id, ..api::Database::default() }
        });
    }
    let next_token = last.filter(|_| more).map(|key| paging::token(key.get(13..).unwrap_or_default()));
    Ok(api::GetDatabasesOutput { database_list, next_token })
}

pub(crate) async fn update(
    core: &Arc<Core>,
    caller: &Caller,
    account: AccountId,
    input: &api::UpdateDatabaseInput,
) -> Result<api::UpdateDatabaseOutput, Failure> {
    let owner = names::catalog(account, input.catalog_id.as_deref())?;
    let name = names::database(&input.name)?;
    let found = core.find_database(owner, &name).await?;
    let touch = Touch::database(core, input, owner, &name).tagged(found.as_ref().map(|found| &found.row.tags));
    let authorized = core.authorize(caller, touch).await?;
    check(&input.database_input)?;
    if names::database(&input.database_input.name)? != name {
        return Err(GlueError::Invalid("A database cannot be renamed.".to_owned()).into());
    }
    let found = found.ok_or_else(|| no_database(&name))?;
    let mut ops = removed(&found.row.body);
    let body = core.keep(found.id, &DatabaseBody::of(&input.database_input), &mut ops)?;
    let row = DatabaseRow { body, ..found.row.clone() };
    ops.push(Op::Put(found.key.clone(), tables::encode(&row)));
    core.commit(authorized.pin(), vec![found.unchanged()], ops, false).await?;
    Ok(api::UpdateDatabaseOutput {})
}

pub(crate) async fn delete(
    core: &Arc<Core>,
    caller: &Caller,
    account: AccountId,
    input: &api::DeleteDatabaseInput,
) -> Result<api::DeleteDatabaseOutput, Failure> {
    let owner = names::catalog(account, input.catalog_id.as_deref())?;
    let name = names::database(&input.name)?;
    let found = core.find_database(owner, &name).await?;
    let within = |kind: &str| -> Arn { core.arn(owner, &format!("{kind}/{name}/*")) };
    let touch = Touch::table(core, input, owner, &name, "*").and(within("userDefinedFunction"));
    let touch = touch.tagged(found.as_ref().map(|found| &found.row.tags));
    let authorized = core.authorize(caller, touch).await?;
    let found = found.ok_or_else(|| no_database(&name))?;
    let mut ops = removed(&found.row.body);
    ops.push(Op::Delete(found.key.clone()));
    ops.push(Op::Put(tables::removal(tables::TABLES, found.id), bytes::Bytes::new()));
    core.commit(authorized.pin(), vec![found.unchanged()], ops, true).await?;
    core.removal.notify_one();
    Ok(api::DeleteDatabaseOutput {})
}
