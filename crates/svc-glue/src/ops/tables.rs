//! Tables and views.

use std::sync::Arc;

use millpond_api_glue as api;
use millpond_kernel::{Caller, Pin, paging};
use millpond_meta::key::{KeyBuilder, prefix_range, successor};
use millpond_meta::{Cond, Key, Op};
use millpond_types::{AccountId, Timestamp};
use regex::{Regex, RegexBuilder};

use super::databases::bad_token;
use super::indexes;
use crate::bodies::{Parts, TableBody, show_storage};
use crate::errors::{Failure, GlueError, invalid, no_database, no_table, unserved};
use crate::inputs::{Input, Touch};
use crate::kept::{Pieces, Written, removed};
use crate::limits::{MAX_LISTED, MAX_LOOKED_AT, MAX_PARTITION_KEYS, MAX_REGEX_BYTES, MAX_VERSIONS, PAGE};
use crate::names;
use crate::state::{Core, Database, On, Place, Table, table_of};
use crate::tables::{self, Id, Kept, TableRow, VersionRow};

/// Refuses what is not carried out.
fn check(input: &api::TableInput) -> Result<(), GlueError> {
    unserved("TargetTable", input.target_table.as_ref())?;
    unserved("FederatedTable", input.federated_table.as_ref())?;
    unserved("ViewDefinition", input.view_definition.as_ref())?;
    check_storage(input.storage_descriptor.as_ref())?;
    let keys = input.partition_keys.as_deref().unwrap_or_default();
    if keys.len() > MAX_PARTITION_KEYS {
        return Err(GlueError::Limit(format!("A table has at most {MAX_PARTITION_KEYS} partition keys.")));
    }
    let twice = keys.iter().enumerate().find(|(at, key)| keys.iter().take(*at).any(|other| other.name == key.name));
    match twice {
        Some((_, key)) => invalid(format!("The partition key {} stands twice.", key.name)),
        None => Ok(()),
    }
}

pub(crate) fn check_storage(storage: Option<&api::StorageDescriptor>) -> Result<(), GlueError> {
    unserved("SchemaReference", storage.and_then(|storage| storage.schema_reference.as_ref()))
}

/// What a request says about transactions and time travel of governed tables, which are not there.
fn ungoverned(transaction: Option<&String>, time: Option<Timestamp>) -> Result<(), GlueError> {
    unserved("TransactionId", transaction)?;
    unserved("QueryAsOfTime", time)
}

/// A version of a table.
pub(crate) struct Version {
    pub number: u64,
    pub created: u64,
    pub updated: u64,
    pub created_by: String,
    pub body: Kept,
}

impl Version {
    /// The version that counts.
    pub fn current(row: TableRow) -> Self {
        let TableRow { version: number, created, updated, created_by, body, .. } = row;
        Self { number, created, updated, created_by, body }
    }

    pub fn archived(number: u64, row: VersionRow) -> Self {
        let VersionRow { created, updated, created_by, body } = row;
        Self { number, created, updated, created_by, body }
    }
}

/// A table in a version of it.
pub(crate) async fn show(
    core: &Core,
    (owner, database): (AccountId, &str),
    (id, name): (Id, &str),
    version: Version,
    pieces: &mut Pieces,
) -> Result<api::Table, GlueError> {
    let mut body: TableBody = core.kept(id, &version.body).await?;
    let storage = match body.storage.take() {
        Some(storage) => {
            let columns = core.columns(id, &storage, pieces).await?;
            let format = core.format(id, &storage, pieces).await?;
            Some(show_storage(storage, Some(&columns), &format))
        }
        None => None,
    };
    Ok(api::Table {
        name: name.to_owned(),
        database_name: Some(database.to_owned()),
        create_time: Some(Timestamp(version.created)),
        update_time: Some(Timestamp(version.updated)),
        created_by: Some(version.created_by).filter(|by| !by.is_empty()),
        catalog_id: Some(owner.to_string()),
        version_id: Some(version.number.to_string()),
        ..body.show(storage)
    })
}

async fn keep(core: &Core, id: Id, input: &api::TableInput, ops: &mut Vec<Op>) -> Result<Kept, GlueError> {
    let mut body = TableBody::of(input);
    if let Some(storage) = &input.storage_descriptor {
        body.storage = Some(core.keep_storage(id, Parts::of(storage), &mut Written::default(), ops).await?);
    }
    core.keep(id, &body, ops)
}

/// The definition that a request brings, and the name of its table.
fn defined<'a>(
    name: Option<&str>,
    given: Option<&'a api::TableInput>,
) -> Result<(&'a api::TableInput, String), GlueError> {
    let Some(given) = given else { return invalid("TableInput is required.") };
    let named = names::table(&given.name)?;
    if name.is_some_and(|name| names::table(name).as_ref() != Ok(&named)) {
        return invalid("Name is not the name in TableInput: a table cannot be renamed.");
    }
    Ok((given, named))
}

fn number_of(keys: &api::TableInput) -> u32 {
    u32::try_from(keys.partition_keys.as_ref().map_or(0, Vec::len)).unwrap_or(u32::MAX)
}

pub(crate) async fn create(
    core: &Arc<Core>,
    caller: &Caller,
    account: AccountId,
    input: &api::CreateTableInput,
) -> Result<api::CreateTableOutput, Failure> {
    unserved("TransactionId", input.transaction_id.as_ref())?;
    unserved("OpenTableFormatInput", input.open_table_format_input.as_ref())?;
    let (given, name) = defined(input.name.as_deref(), input.table_input.as_ref())?;
    let place = Place { catalog: input.catalog_id.as_deref(), database: &input.database_name, table: &name };
    let (pin, database) = core.in_database(caller, account, input, place, &[&name]).await?;
    check(given)?;
    let database = database.ok_or_else(|| no_database(&input.database_name))?;
    if core.find_table(database.id, &name).await?.is_some() {
        return Err(GlueError::Exists("Table already exists.".to_owned()).into());
    }
    let keys = given.partition_keys.as_deref().unwrap_or_default();
    let mut indexes = Vec::new();
    for index in input.partition_indexes.iter().flatten() {
        indexes::add(&mut indexes, index, keys)?;
    }
    let (id, mut ops, now) = (core.random_id(), Vec::new(), core.now());
    let row = TableRow {
        id: id.to_be_bytes().to_vec(),
        keys: number_of(given),
        version: 0,
        created: now,
        updated: now,
        created_by: caller.arn(),
        body: keep(core, id, given, &mut ops).await?,
        archived: 0,
        indexes,
    };
    let key = tables::table(database.id, &name);
    ops.push(Op::Put(key.clone(), tables::encode(&row)));
    core.commit(pin, vec![database.stands(), Cond::Absent(key)], ops, false).await?;
    Ok(api::CreateTableOutput {})
}

pub(crate) async fn get(
    core: &Arc<Core>,
    caller: &Caller,
    account: AccountId,
    input: &api::GetTableInput,
) -> Result<api::GetTableOutput, Failure> {
    ungoverned(input.transaction_id.as_ref(), input.query_as_of_time)?;
    let place = Place { catalog: input.catalog_id.as_deref(), database: &input.database_name, table: &input.name };
    let On { owner, database, table, .. } = core.on_table(caller, account, input, place).await?;
    let whose = (owner, database.as_str());
    let version = Version::current(table.row);
    let shown = show(core, whose, (table.id, &table.name), version, &mut Pieces::default()).await?;
    Ok(api::GetTableOutput { table: Some(reduced(shown, input.attributes_to_get.as_deref())) })
}

/// Of a table the attributes that are wanted.
fn reduced(table: api::Table, wanted: Option<&[api::TableAttributes]>) -> api::Table {
    let wanted = wanted.unwrap_or_default();
    if wanted.is_empty() {
        return table;
    }
    let kind = wanted.contains(&api::TableAttributes::TableType);
    api::Table {
        name: table.name,
        database_name: table.database_name,
        catalog_id: table.catalog_id,
        table_type: table.table_type.filter(|_| kind),
        ..api::Table::default()
    }
}

/// The names that an expression of GetTables holds for: a regular expression over the whole name, in which a star that stands for itself stands for
/// any text, as Hive's clients send it.
pub(crate) fn pattern(expression: &str) -> Result<Regex, GlueError> {
    let mut text = String::from(r"\A(?:");
    let mut before = None;
    for c in expression.chars() {
        if c == '*' && !matches!(before, Some('.' | ')' | ']' | '\\')) {
            text.push('.');
        }
        text.push(c);
        before = Some(c);
    }
    text.push_str(r")\z");
    let built = RegexBuilder::new(&text).size_limit(MAX_REGEX_BYTES).build();
    built.map_err(|_| {
        GlueError::Invalid(format!("Expression '{expression}' is not a regular expression that is served."))
    })
}

/// Tables of a database, by name: those that `wanted` holds for, and the name behind which the next page begins.
pub(crate) async fn listed(
    core: &Core,
    database: Id,
    after: Option<&[u8]>,
    limit: usize,
    wanted: impl Fn(&str) -> bool,
) -> Result<(Vec<Table>, Option<Key>), GlueError> {
    let prefix = tables::all_of(tables::TABLES, database);
    let (mut from, to) = prefix_range(prefix.clone());
    if let Some(after) = after {
        from = from.max(successor(&KeyBuilder::extend(&prefix).raw(after).build()));
    }
    let (mut found, mut looked_at, mut last) = (Vec::new(), 0, None);
    loop {
        let rows = core.page(from, to.clone(), PAGE).await?;
        let next = rows.last().map(|(key, _)| successor(key)).filter(|_| rows.len() == PAGE);
        for (key, raw) in rows {
            if found.len() == limit || looked_at == MAX_LOOKED_AT {
                return Ok((found, last));
            }
            looked_at += 1;
            last = Some(key.clone());
            if wanted(&tables::table_name(&key)?) {
                found.push(table_of(key, raw)?);
            }
        }
        match next {
            Some(next) => from = next,
            None => return Ok((found, None)),
        }
    }
}

pub(crate) async fn list(
    core: &Arc<Core>,
    caller: &Caller,
    account: AccountId,
    input: &api::GetTablesInput,
) -> Result<api::GetTablesOutput, Failure> {
    ungoverned(input.transaction_id.as_ref(), input.query_as_of_time)?;
    let place = Place { catalog: input.catalog_id.as_deref(), database: &input.database_name, table: "*" };
    let (_, database) = core.in_database(caller, account, input, place, &["*"]).await?;
    let owner = names::catalog(account, input.catalog_id.as_deref())?;
    let database = database.ok_or_else(|| no_database(&input.database_name))?;
    // None is federated.
    if input.resource_share_type == Some(api::TableResourceShareType::Federated) {
        return Ok(api::GetTablesOutput { table_list: Some(Vec::new()), next_token: None });
    }
    let regex = input.expression.as_deref().filter(|text| !text.is_empty()).map(pattern).transpose()?;
    let wanted = |name: &str| regex.as_ref().is_none_or(|regex| regex.is_match(name));
    let limit = paging::limit(input.max_results, MAX_LISTED);
    let after = paging::key_after(input.next_token.as_deref()).map_err(|_| bad_token())?;
    let (found, next) = listed(core, database.id, after.as_deref(), limit, wanted).await?;
    let (mut table_list, whose) = (Vec::new(), (owner, database.name.as_str()));
    for table in found {
        let version = Version::current(table.row);
        let shown = show(core, whose, (table.id, &table.name), version, &mut Pieces::default()).await?;
        table_list.push(reduced(shown, input.attributes_to_get.as_deref()));
    }
    let next_token = next.map(|key| paging::token(tables::behind_id(&key)));
    Ok(api::GetTablesOutput { table_list: Some(table_list), next_token })
}

pub(crate) async fn update(
    core: &Arc<Core>,
    caller: &Caller,
    account: AccountId,
    input: &api::UpdateTableInput,
) -> Result<api::UpdateTableOutput, Failure> {
    unserved("TransactionId", input.transaction_id.as_ref())?;
    unserved("ViewUpdateAction", input.view_update_action)?;
    unserved("Force", input.force.filter(|force| *force))?;
    unserved("UpdateOpenTableFormatInput", input.update_open_table_format_input.as_ref())?;
    let (given, name) = defined(input.name.as_deref(), input.table_input.as_ref())?;
    let place = Place { catalog: input.catalog_id.as_deref(), database: &input.database_name, table: &name };
    let On { pin, table, .. } = core.on_table(caller, account, input, place).await?;
    check(given)?;
    if input.version_id.as_ref().is_some_and(|version| *version != table.row.version.to_string()) {
        let text = "Update table failed due to concurrent modifications.";
        return Err(GlueError::Concurrent(text.to_owned()).into());
    }
    let mut conds = vec![table.unchanged()];
    let keys = number_of(given);
    if keys != table.row.keys {
        let count = tables::all_of(tables::COUNTS, table.id);
        if core.kv.get(&count).await?.is_some() {
            let text = "The number of partition keys cannot change while the table has partitions.";
            return Err(GlueError::Invalid(text.to_owned()).into());
        }
        conds.push(Cond::Absent(count));
    }
    let gone = table.row.indexes.iter().flat_map(|index| &index.keys);
    let named = |key: &&String| given.partition_keys.iter().flatten().any(|column| column.name == **key);
    if let Some(key) = gone.into_iter().find(|key| !named(key)) {
        return Err(GlueError::Invalid(format!("A partition index is over the partition key {key}.")).into());
    }
    let mut ops = Vec::new();
    let archives = !input.skip_archive.unwrap_or_default();
    let old = table.row.clone();
    let mut row = TableRow {
        keys,
        version: old.version + 1,
        updated: core.now(),
        body: keep(core, table.id, given, &mut ops).await?,
        ..old.clone()
    };
    if archives {
        row.archived += 1;
        if row.archived > MAX_VERSIONS {
            return Err(GlueError::Limit(format!("A table has at most {MAX_VERSIONS} archived versions.")).into());
        }
        let TableRow { version, created, updated, created_by, body, .. } = old;
        let archived = VersionRow { created, updated, created_by, body };
        ops.push(Op::Put(tables::version(table.id, version), tables::encode(&archived)));
    } else {
        ops.extend(removed(&old.body));
    }
    ops.push(Op::Put(table.key.clone(), tables::encode(&row)));
    core.commit(pin, conds, ops, false).await?;
    Ok(api::UpdateTableOutput {})
}

/// The changes that take tables away; what they had is removed afterwards.
async fn take(core: &Core, pin: Pin, database: &Database, taken: Vec<Table>) -> Result<(), Failure> {
    let (mut conds, mut ops) = (vec![database.stands()], Vec::new());
    for table in taken {
        conds.push(table.unchanged());
        ops.extend(removed(&table.row.body));
        ops.push(Op::Put(tables::removal(tables::PARTITIONS, table.id), bytes::Bytes::new()));
        ops.push(Op::Delete(table.key));
    }
    core.commit(pin, conds, ops, true).await?;
    core.removal.notify_one();
    Ok(())
}

async fn within<I: Input>(
    core: &Core,
    caller: &Caller,
    account: AccountId,
    input: &I,
    place: Place<'_>,
    touched: &[&str],
) -> Result<(Pin, Database), Failure> {
    let (pin, database) = core.in_database(caller, account, input, place, touched).await?;
    Ok((pin, database.ok_or_else(|| no_database(place.database))?))
}

pub(crate) async fn delete(
    core: &Arc<Core>,
    caller: &Caller,
    account: AccountId,
    input: &api::DeleteTableInput,
) -> Result<api::DeleteTableOutput, Failure> {
    unserved("TransactionId", input.transaction_id.as_ref())?;
    let place = Place { catalog: input.catalog_id.as_deref(), database: &input.database_name, table: &input.name };
    let (pin, database) = within(core, caller, account, input, place, &[&input.name]).await?;
    let name = names::table(&input.name)?;
    let table = core.find_table(database.id, &name).await?.ok_or_else(|| no_table(&name))?;
    take(core, pin, &database, vec![table]).await?;
    Ok(api::DeleteTableOutput {})
}

pub(crate) async fn delete_many(
    core: &Arc<Core>,
    caller: &Caller,
    account: AccountId,
    input: &api::BatchDeleteTableInput,
) -> Result<api::BatchDeleteTableOutput, Failure> {
    unserved("TransactionId", input.transaction_id.as_ref())?;
    let place = Place { catalog: input.catalog_id.as_deref(), database: &input.database_name, table: "*" };
    // A name that is `*` would be taken for all of them.
    let mut wanted = Vec::new();
    for name in &input.tables_to_delete {
        wanted.push(names::table(name)?);
    }
    let touched: Vec<&str> = wanted.iter().map(String::as_str).collect();
    let (pin, database) = within(core, caller, account, input, place, &touched).await?;
    let (mut taken, mut errors) = (Vec::<Table>::new(), Vec::new());
    for name in &wanted {
        let found = core.find_table(database.id, name).await?;
        match found.filter(|found| taken.iter().all(|table| table.id != found.id)) {
            Some(table) => taken.push(table),
            None => {
                let error_detail = Some(no_table(name).detail());
                errors.push(api::TableError { table_name: Some(name.clone()), error_detail });
            }
        }
    }
    if !taken.is_empty() {
        take(core, pin, &database, taken).await?;
    }
    Ok(api::BatchDeleteTableOutput { errors: Some(errors) })
}

/// For searches: one table, on which the caller must be allowed to search.
pub(crate) fn found_by<I: Input>(core: &Core, input: &I, owner: AccountId, database: &str, name: &str) -> Touch<I> {
    Touch::table(core, input, owner, database, name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_of_tables_are_whole_names() {
        for (expression, name, expected) in [
            ("flights", "flights", true),
            ("flight", "flights", false),
            ("flight.*", "flights", true),
            ("flight*", "flights", true),
            ("*", "flights", true),
            ("*ght*", "flights", true),
            ("a|flights", "flights", true),
            ("[a-f]*", "fab", true),
            ("(ab)*", "abab", true),
        ] {
            assert_eq!(pattern(expression).unwrap().is_match(name), expected, "{expression} {name}");
        }
        for wrong in ["(", "a{1000}{1000}{1000}", "(?<x)"] {
            assert!(matches!(pattern(wrong), Err(GlueError::Invalid(_))), "{wrong}");
        }
    }
}
