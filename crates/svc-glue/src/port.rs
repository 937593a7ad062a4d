//! The catalog as other services of ours use it: the same operations, decided the same way, for the caller of theirs; each call is recorded.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::{HeaderMap, Method};
use millpond_api_glue as api;
use millpond_kernel::audit::{Call, EventKind, Outcome, Said};
use millpond_kernel::{
    Caller, Catalog, CatalogColumn, CatalogDatabase, CatalogPage, CatalogPartition, CatalogStorage, CatalogTable,
    RequestHead, ServiceError, paging,
};
use millpond_types::AccountId;
use millpond_wire::Protocol;
use serde_json::{Value, json};

use crate::bodies::{PartitionBody, StorageBody};
use crate::errors::{Failure, GlueError, unsigned};
use crate::inputs::Input;
use crate::kept::Pieces;
use crate::limits::MAX_LOOKED_AT;
use crate::ops::partitions::{self, Query};
use crate::ops::tables::{Version, show};
use crate::ops::{batches, databases, tables};
use crate::state::{Core, On, Place};
use crate::tables::PartitionRow;
use crate::{Glue, names};

/// Partitions in one page, and those that are added or deleted in one commit.
const PAGE: usize = 10_000;
const ADDED_TOGETHER: usize = 100;
const DELETED_TOGETHER: usize = 25;

fn column(column: &api::Column) -> CatalogColumn {
    CatalogColumn {
        name: column.name.to_lowercase(),
        kind: column.type_.clone().unwrap_or_else(|| "string".to_owned()),
        comment: column.comment.clone(),
    }
}

fn to_column(column: &CatalogColumn) -> api::Column {
    api::Column {
        name: column.name.clone(),
        type_: Some(column.kind.clone()),
        comment: column.comment.clone(),
        parameters: None,
    }
}

fn storage(given: api::StorageDescriptor) -> CatalogStorage {
    let serde = given.serde_info.unwrap_or_default();
    CatalogStorage {
        columns: given.columns.iter().flatten().map(column).collect(),
        location: given.location,
        input_format: given.input_format,
        output_format: given.output_format,
        serde: serde.serialization_library,
        serde_parameters: serde.parameters.unwrap_or_default(),
        compressed: given.compressed.unwrap_or_default(),
        parameters: given.parameters.unwrap_or_default(),
    }
}

/// A storage descriptor: what the port does not know of stays as it was.
fn to_storage(given: &CatalogStorage, before: Option<api::StorageDescriptor>) -> api::StorageDescriptor {
    let before = before.unwrap_or_default();
    api::StorageDescriptor {
        columns: Some(given.columns.iter().map(to_column).collect()),
        location: given.location.clone(),
        input_format: given.input_format.clone(),
        output_format: given.output_format.clone(),
        compressed: Some(given.compressed),
        serde_info: Some(api::SerDeInfo {
            name: before.serde_info.as_ref().and_then(|serde| serde.name.clone()),
            serialization_library: given.serde.clone(),
            parameters: Some(given.serde_parameters.clone()),
        }),
        parameters: Some(given.parameters.clone()),
        ..before
    }
}

fn database(shown: api::Database) -> CatalogDatabase {
    CatalogDatabase {
        name: shown.name,
        description: shown.description,
        location: shown.location_uri,
        parameters: shown.parameters.unwrap_or_default(),
    }
}

fn to_database(given: CatalogDatabase, before: Option<api::Database>) -> api::DatabaseInput {
    api::DatabaseInput {
        name: given.name,
        description: given.description,
        location_uri: given.location,
        parameters: Some(given.parameters),
        create_table_default_permissions: before.and_then(|before| before.create_table_default_permissions),
        ..api::DatabaseInput::default()
    }
}

fn table(shown: api::Table) -> CatalogTable {
    CatalogTable {
        database: shown.database_name.unwrap_or_default(),
        name: shown.name,
        description: shown.description,
        table_type: shown.table_type.unwrap_or_default(),
        storage: shown.storage_descriptor.map(storage).unwrap_or_default(),
        partition_keys: shown.partition_keys.iter().flatten().map(column).collect(),
        parameters: shown.parameters.unwrap_or_default(),
        view_original: shown.view_original_text,
        view_expanded: shown.view_expanded_text,
        version: shown.version_id.and_then(|version| version.parse().ok()).unwrap_or_default(),
    }
}

/// A definition: what the port does not know of stays as it was.
fn to_table(given: CatalogTable, before: Option<api::Table>) -> api::TableInput {
    let before = before.unwrap_or_default();
    api::TableInput {
        name: given.name,
        description: given.description,
        table_type: Some(given.table_type).filter(|kind| !kind.is_empty()),
        storage_descriptor: Some(to_storage(&given.storage, before.storage_descriptor)),
        partition_keys: Some(given.partition_keys.iter().map(to_column).collect()),
        parameters: Some(given.parameters),
        view_original_text: given.view_original,
        view_expanded_text: given.view_expanded,
        owner: before.owner,
        retention: before.retention,
        last_access_time: before.last_access_time,
        last_analyzed_time: before.last_analyzed_time,
        ..api::TableInput::default()
    }
}

fn to_partition(given: &CatalogPartition) -> api::PartitionInput {
    let shared = CatalogStorage {
        location: given.location.clone(),
        parameters: given.storage_parameters.clone(),
        ..CatalogStorage::clone(&given.storage)
    };
    api::PartitionInput {
        values: Some(given.values.clone()),
        storage_descriptor: Some(to_storage(&shared, None)),
        parameters: Some(given.parameters.clone()),
        ..api::PartitionInput::default()
    }
}

/// Storage that partitions share, by the hashes of its parts.
type Shared = HashMap<(Vec<u8>, Vec<u8>), Arc<CatalogStorage>>;

async fn shared(
    core: &Core,
    on: &On,
    kept: &StorageBody,
    known: &mut Shared,
    pieces: &mut Pieces,
) -> Result<Arc<CatalogStorage>, GlueError> {
    let key = (kept.columns.clone(), kept.format.clone());
    if let Some(known) = known.get(&key) {
        return Ok(Arc::clone(known));
    }
    let columns = core.columns(on.table.id, kept, pieces).await?;
    let format = core.format(on.table.id, kept, pieces).await?;
    let hashes = StorageBody { columns: kept.columns.clone(), format: kept.format.clone(), ..StorageBody::default() };
    let shown = Arc::new(storage(crate::bodies::show_storage(hashes, Some(&columns), &format)));
    known.insert(key, Arc::clone(&shown));
    Ok(shown)
}

async fn partition(
    core: &Core,
    on: &On,
    (values, row): (Vec<String>, PartitionRow),
    (known, pieces): (&mut Shared, &mut Pieces),
) -> Result<CatalogPartition, GlueError> {
    let body: PartitionBody = core.kept(on.table.id, &row.body).await?;
    let (mut location, mut storage_parameters, mut storage) = (None, BTreeMap::new(), Arc::default());
    if let Some(kept) = body.storage {
        storage = shared(core, on, &kept, known, pieces).await?;
        (location, storage_parameters) = (kept.location, kept.parameters);
    }
    Ok(CatalogPartition { values, location, storage, storage_parameters, parameters: body.parameters })
}

impl Glue {
    /// Every call of the port passes here: it is carried out for its caller, anew where it must be, and recorded.
    async fn as_caller<'a, I: Input, T, F>(
        &'a self,
        caller: &'a Arc<Caller>,
        input: &'a I,
        said: Value,
        handler: impl Fn(&'a Arc<Core>, &'a Caller, AccountId, &'a I) -> F,
    ) -> Result<T, ServiceError>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        let account = caller.account().ok_or_else(unsigned)?;
        let done = self.core.kernel.again(|| handler(&self.core, caller, account, input)).await;
        let done = done.map_err(ServiceError::from);
        if let Some(audit) = self.core.kernel.audit() {
            let (query, headers) = (String::new(), HeaderMap::new());
            let head = RequestHead { method: Method::POST, path: "/".to_owned(), query, headers, host_bucket: None };
            let call = Call {
                caller: Arc::clone(caller),
                service: "glue",
                protocol: Protocol::Json11,
                kind: EventKind::by_verb(I::NAME),
                said: Said::of(&head, Some(said.to_string().into())),
                outcome: done.as_ref().map_or_else(Outcome::failed, |_| Outcome::Done(Bytes::new())),
            };
            if let Err(error) = audit.record(&call).await {
                // What cannot be recorded is not acknowledged.
                tracing::error!(%error, operation = I::NAME, "a call of the data catalog cannot be recorded");
                return Err(ServiceError::internal());
            }
        }
        done
    }

    /// A database as it is, for what an update leaves alone.
    async fn database_now(&self, caller: &Caller, name: &str) -> Result<Option<api::Database>, GlueError> {
        let Some(owner) = caller.account() else { return Ok(None) };
        let Some(found) = self.core.find_database(owner, &names::database(name)?).await? else { return Ok(None) };
        let body: crate::bodies::DatabaseBody = self.core.kept(found.id, &found.row.body).await?;
        Ok(Some(body.show(found.name, found.row.created, owner.as_str())))
    }

    /// A table as it is, for what an update leaves alone.
    async fn table_now(&self, caller: &Caller, database: &str, name: &str) -> Result<Option<api::Table>, GlueError> {
        let Some(owner) = caller.account() else { return Ok(None) };
        let Some(within) = self.core.find_database(owner, &names::database(database)?).await? else { return Ok(None) };
        let Some(found) = self.core.find_table(within.id, &names::table(name)?).await? else { return Ok(None) };
        let (whose, which) = ((owner, within.name.as_str()), (found.id, found.name.as_str()));
        let version = Version::current(found.row.clone());
        Ok(Some(show(&self.core, whose, which, version, &mut Pieces::default()).await?))
    }

    async fn found_partitions(
        &self,
        caller: Arc<Caller>,
        input: api::GetPartitionsInput,
    ) -> Result<CatalogPage<CatalogPartition>, ServiceError> {
        let said = json!({"databaseName": input.database_name, "tableName": input.table_name,
            "expression": input.expression});
        self.as_caller(&caller, &input, said, |core, caller, account, input| async move {
            let place = Place { catalog: None, database: &input.database_name, table: &input.table_name };
            let on = core.on_table(caller, account, input, place).await?;
            let query = Query {
                predicate: partitions::predicate(core, &on.table, input.expression.as_deref()).await?,
                segment: None,
                after: paging::key_after(input.next_token.as_deref()).map_err(|_| databases::bad_token())?,
                limit: PAGE.min(MAX_LOOKED_AT),
                bytes: usize::MAX,
            };
            let (found, next) = partitions::find(core, &on.table, &query).await?;
            let (mut all, mut known, mut pieces) = (Vec::with_capacity(found.len()), Shared::new(), Pieces::default());
            for each in found {
                all.push(partition(core, &on, each, (&mut known, &mut pieces)).await?);
            }
            Ok((all, next))
        })
        .await
    }
}

/// The entries that a batch did not carry out for a reason other than `code`: the first of them is the error.
fn but_for(errors: Option<Vec<api::PartitionError>>, code: &str) -> Result<usize, ServiceError> {
    let errors = errors.unwrap_or_default();
    let details = || errors.iter().filter_map(|error| error.error_detail.as_ref());
    match details().find(|detail| detail.error_code.as_deref() != Some(code)) {
        Some(other) => {
            let code = other.error_code.clone().unwrap_or_default();
            Err(ServiceError::new(code, 400, other.error_message.clone().unwrap_or_default()))
        }
        None => Ok(errors.len()),
    }
}

impl Catalog for Glue {
    fn database<'a>(
        &'a self,
        caller: Arc<Caller>,
        name: &'a str,
    ) -> BoxFuture<'a, Result<CatalogDatabase, ServiceError>> {
        async move {
            let input = api::GetDatabaseInput { name: name.to_owned(), catalog_id: None };
            let done = self.as_caller(&caller, &input, json!({"name": name}), databases::get).await?;
            Ok(done.database.map(database).unwrap_or_default())
        }
        .boxed()
    }

    fn databases<'a>(
        &'a self,
        caller: Arc<Caller>,
        after: Option<&'a str>,
    ) -> BoxFuture<'a, Result<CatalogPage<CatalogDatabase>, ServiceError>> {
        async move {
            let input =
                api::GetDatabasesInput { next_token: after.map(str::to_owned), ..api::GetDatabasesInput::default() };
            let done = self.as_caller(&caller, &input, json!({}), databases::list).await?;
            Ok((done.database_list.into_iter().map(database).collect(), done.next_token))
        }
        .boxed()
    }

    fn create_database(
        &self,
        caller: Arc<Caller>,
        database: CatalogDatabase,
    ) -> BoxFuture<'_, Result<(), ServiceError>> {
        async move {
            let said = json!({"databaseInput": {"name": database.name}});
            let database_input = to_database(database, None);
            let input = api::CreateDatabaseInput { database_input, ..api::CreateDatabaseInput::default() };
            self.as_caller(&caller, &input, said, databases::create).await.map(drop)
        }
        .boxed()
    }

    fn update_database(
        &self,
        caller: Arc<Caller>,
        database: CatalogDatabase,
    ) -> BoxFuture<'_, Result<(), ServiceError>> {
        async move {
            let (name, said) = (database.name.clone(), json!({"name": database.name}));
            let before = self.database_now(&caller, &name).await?;
            let database_input = to_database(database, before);
            let input = api::UpdateDatabaseInput { catalog_id: None, name, database_input };
            self.as_caller(&caller, &input, said, databases::update).await.map(drop)
        }
        .boxed()
    }

    fn delete_database<'a>(&'a self, caller: Arc<Caller>, name: &'a str) -> BoxFuture<'a, Result<(), ServiceError>> {
        async move {
            let input = api::DeleteDatabaseInput { name: name.to_owned(), catalog_id: None };
            self.as_caller(&caller, &input, json!({"name": name}), databases::delete).await.map(drop)
        }
        .boxed()
    }

    fn table<'a>(
        &'a self,
        caller: Arc<Caller>,
        database: &'a str,
        name: &'a str,
    ) -> BoxFuture<'a, Result<CatalogTable, ServiceError>> {
        async move {
            let (database_name, name) = (database.to_owned(), name.to_owned());
            let said = json!({"databaseName": database_name, "name": name});
            let input = api::GetTableInput { database_name, name, ..api::GetTableInput::default() };
            let done = self.as_caller(&caller, &input, said, tables::get).await?;
            Ok(done.table.map(table).unwrap_or_default())
        }
        .boxed()
    }

    fn tables<'a>(
        &'a self,
        caller: Arc<Caller>,
        database: &'a str,
        after: Option<&'a str>,
    ) -> BoxFuture<'a, Result<CatalogPage<CatalogTable>, ServiceError>> {
        async move {
            let (database_name, next_token) = (database.to_owned(), after.map(str::to_owned));
            let said = json!({"databaseName": database_name});
            let input = api::GetTablesInput { database_name, next_token, ..api::GetTablesInput::default() };
            let done = self.as_caller(&caller, &input, said, tables::list).await?;
            Ok((done.table_list.unwrap_or_default().into_iter().map(table).collect(), done.next_token))
        }
        .boxed()
    }

    fn create_table(&self, caller: Arc<Caller>, table: CatalogTable) -> BoxFuture<'_, Result<(), ServiceError>> {
        async move {
            let said = json!({"databaseName": table.database, "tableInput": {"name": table.name}});
            let database_name = table.database.clone();
            let table_input = Some(to_table(table, None));
            let input = api::CreateTableInput { database_name, table_input, ..api::CreateTableInput::default() };
            self.as_caller(&caller, &input, said, tables::create).await.map(drop)
        }
        .boxed()
    }

    fn update_table(&self, caller: Arc<Caller>, table: CatalogTable) -> BoxFuture<'_, Result<(), ServiceError>> {
        async move {
            let said = json!({"databaseName": table.database, "tableInput": {"name": table.name}});
            let before = self.table_now(&caller, &table.database, &table.name).await?;
            let (database_name, version_id) = (table.database.clone(), Some(table.version.to_string()));
            let table_input = Some(to_table(table, before));
            let input =
                api::UpdateTableInput { database_name, table_input, version_id, ..api::UpdateTableInput::default() };
            self.as_caller(&caller, &input, said, tables::update).await.map(drop)
        }
        .boxed()
    }

    fn delete_table<'a>(
        &'a self,
        caller: Arc<Caller>,
        database: &'a str,
        name: &'a str,
    ) -> BoxFuture<'a, Result<(), ServiceError>> {
        async move {
            let (database_name, name) = (database.to_owned(), name.to_owned());
            let said = json!({"databaseName": database_name, "name": name});
            let input = api::DeleteTableInput { database_name, name, ..api::DeleteTableInput::default() };
            self.as_caller(&caller, &input, said, tables::delete).await.map(drop)
        }
        .boxed()
    }

    fn partitions<'a>(
        &'a self,
        caller: Arc<Caller>,
        database: &'a str,
        table: &'a str,
        expression: Option<&'a str>,
        after: Option<&'a str>,
    ) -> BoxFuture<'a, Result<CatalogPage<CatalogPartition>, ServiceError>> {
        let input = api::GetPartitionsInput {
            database_name: database.to_owned(),
            table_name: table.to_owned(),
            expression: expression.map(str::to_owned),
            next_token: after.map(str::to_owned),
            ..api::GetPartitionsInput::default()
        };
        self.found_partitions(caller, input).boxed()
    }

    fn create_partitions<'a>(
        &'a self,
        caller: Arc<Caller>,
        database: &'a str,
        table: &'a str,
        partitions: Vec<CatalogPartition>,
    ) -> BoxFuture<'a, Result<usize, ServiceError>> {
        async move {
            let mut added = 0;
            for some in partitions.chunks(ADDED_TOGETHER) {
                let (database_name, table_name) = (database.to_owned(), table.to_owned());
                let said = json!({"databaseName": database_name, "tableName": table_name,
                    "partitionInputList": some.iter().map(|one| json!({"values": one.values})).collect::<Vec<_>>()});
                let partition_input_list = some.iter().map(to_partition).collect();
                let input = api::BatchCreatePartitionInput {
                    catalog_id: None,
                    database_name,
                    table_name,
                    partition_input_list,
                };
                let done = self.as_caller(&caller, &input, said, batches::create).await?;
                added += some.len() - but_for(done.errors, "AlreadyExistsException")?;
            }
            Ok(added)
        }
        .boxed()
    }

    fn update_partition<'a>(
        &'a self,
        caller: Arc<Caller>,
        database: &'a str,
        table: &'a str,
        values: &'a [String],
        partition: CatalogPartition,
    ) -> BoxFuture<'a, Result<(), ServiceError>> {
        async move {
            let input = api::UpdatePartitionInput {
                catalog_id: None,
                database_name: database.to_owned(),
                table_name: table.to_owned(),
                partition_value_list: values.to_vec(),
                partition_input: to_partition(&partition),
            };
            let said = json!({"databaseName": database, "tableName": table, "partitionValueList": values});
            self.as_caller(&caller, &input, said, partitions::update).await.map(drop)
        }
        .boxed()
    }

    fn delete_partitions<'a>(
        &'a self,
        caller: Arc<Caller>,
        database: &'a str,
        table: &'a str,
        values: Vec<Vec<String>>,
    ) -> BoxFuture<'a, Result<usize, ServiceError>> {
        async move {
            let mut deleted = 0;
            for some in values.chunks(DELETED_TOGETHER) {
                let said = json!({"databaseName": database, "tableName": table,
                    "partitionsToDelete": some.iter().map(|one| json!({"values": one})).collect::<Vec<_>>()});
                let input = api::BatchDeletePartitionInput {
                    catalog_id: None,
                    database_name: database.to_owned(),
                    table_name: table.to_owned(),
                    partitions_to_delete: some
                        .iter()
                        .map(|values| api::PartitionValueList { values: values.clone() })
                        .collect(),
                };
                let done = self.as_caller(&caller, &input, said, batches::delete).await?;
                deleted += some.len() - but_for(done.errors, "EntityNotFoundException")?;
            }
            Ok(deleted)
        }
        .boxed()
    }
}
