//! Databases and tables of the catalog, as Athena shows them.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use millpond_api_athena as api;
use millpond_kernel::{
    Caller, Catalog, CatalogColumn, CatalogDatabase, CatalogPage, CatalogTable, ServiceError, paging,
};
use millpond_types::AccountId;
use prost::Message;
use regex::{Regex, RegexBuilder};

use super::catalogs::authorize;
use crate::errors::{AthenaError, Failure, unserved};
use crate::limits::{MAX_LISTED, MAX_REGEX_BYTES};
use crate::state::{Core, check_catalog};

fn refused(error: ServiceError) -> AthenaError {
    match error.status {
        status if status >= 500 && status != 501 => AthenaError::Internal(error.to_string()),
        _ => AthenaError::Metadata(error.message),
    }
}

fn catalog(core: &Core) -> Result<Arc<dyn Catalog>, AthenaError> {
    match core.kernel.catalog() {
        Some(catalog) => Ok(catalog),
        None => unserved("A catalog of tables"),
    }
}

/// Where a page begins: on which page of the catalog's own, and behind which name.
#[derive(Clone, PartialEq, Message)]
struct Place {
    #[prost(string, optional, tag = "1")]
    page: Option<String>,
    #[prost(string, tag = "2")]
    after: String,
}

impl Place {
    fn of(token: Option<&str>) -> Result<Self, AthenaError> {
        let Some(token) = token else { return Ok(Self::default()) };
        let bad = || AthenaError::Invalid("The NextToken is not valid.".to_owned());
        let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| bad())?;
        Self::decode(bytes.as_slice()).map_err(|_| bad())
    }
}

/// A page of what the catalog lists by name, of the names that are wanted.
async fn listed<T>(
    token: Option<&str>,
    limit: usize,
    read: impl Fn(Option<String>) -> BoxFuture<'static, Result<CatalogPage<T>, ServiceError>>,
    name: fn(&T) -> &str,
    wanted: Option<&Regex>,
) -> Result<(Vec<T>, Option<String>), AthenaError> {
    let (mut place, mut items) = (Place::of(token)?, Vec::new());
    loop {
        let (page, next) = read(place.page.clone()).await.map_err(refused)?;
        for item in page {
            if name(&item) <= place.after.as_str() || wanted.is_some_and(|wanted| !wanted.is_match(name(&item))) {
                continue;
            }
            if items.len() == limit {
                return Ok((items, Some(URL_SAFE_NO_PAD.encode(place.encode_to_vec()))));
            }
            place.after = name(&item).to_owned();
            items.push(item);
        }
        match next {
            Some(next) => place.page = Some(next),
            None => return Ok((items, None)),
        }
    }
}

fn database_name(database: &CatalogDatabase) -> &str {
    &database.name
}

fn table_name(table: &CatalogTable) -> &str {
    &table.name
}

fn database(database: CatalogDatabase) -> api::Database {
    let CatalogDatabase { name, description, parameters, .. } = database;
    api::Database { name, description, parameters: Some(parameters).filter(|all| !all.is_empty()) }
}

fn column(column: CatalogColumn) -> api::Column {
    api::Column { name: column.name, type_: Some(column.kind), comment: column.comment }
}

fn table(table: CatalogTable) -> api::TableMetadata {
    let mut parameters = table.parameters;
    let storage = table.storage;
    // What Athena shows of how rows lie it shows among the properties.
    let shown = [
        ("location", storage.location),
        ("inputformat", storage.input_format),
        ("outputformat", storage.output_format),
        ("serde.serialization.lib", storage.serde),
    ];
    parameters.extend(shown.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
    let serde = storage.serde_parameters.into_iter().map(|(name, value)| (format!("serde.param.{name}"), value));
    parameters.extend(serde);
    api::TableMetadata {
        name: table.name,
        create_time: None,
        last_access_time: None,
        table_type: Some(table.table_type),
        columns: Some(storage.columns.into_iter().map(column).collect()),
        partition_keys: Some(table.partition_keys.into_iter().map(column).collect()),
        parameters: Some(parameters),
    }
}

pub(crate) async fn get_database(
    core: &Arc<Core>,
    caller: &Arc<Caller>,
    account: AccountId,
    input: &api::GetDatabaseInput,
) -> Result<api::GetDatabaseOutput, Failure> {
    authorize(core, caller, account, input, &input.catalog_name).await?;
    check_catalog(&input.catalog_name)?;
    let found = catalog(core)?.database(core.via(caller), &input.database_name.to_lowercase()).await;
    Ok(api::GetDatabaseOutput { database: Some(database(found.map_err(refused)?)) })
}

pub(crate) async fn list_databases(
    core: &Arc<Core>,
    caller: &Arc<Caller>,
    account: AccountId,
    input: &api::ListDatabasesInput,
) -> Result<api::ListDatabasesOutput, Failure> {
    authorize(core, caller, account, input, &input.catalog_name).await?;
    check_catalog(&input.catalog_name)?;
    let (catalog, via) = (catalog(core)?, core.via(caller));
    let read = |after: Option<String>| {
        let (catalog, via) = (Arc::clone(&catalog), Arc::clone(&via));
        async move { catalog.databases(via, after.as_deref()).await }.boxed()
    };
    let limit = paging::limit(input.max_results, MAX_LISTED);
    let (found, next_token) = listed(input.next_token.as_deref(), limit, read, database_name, None).await?;
    let names_only = input.attributes_to_get.as_deref().is_some_and(|wanted| !wanted.is_empty());
    let shown = |found: CatalogDatabase| {
        if names_only { api::Database { name: found.name, ..api::Database::default() } } else { database(found) }
    };
    Ok(api::ListDatabasesOutput { database_list: Some(found.into_iter().map(shown).collect()), next_token })
}

pub(crate) async fn get_table(
    core: &Arc<Core>,
    caller: &Arc<Caller>,
    account: AccountId,
    input: &api::GetTableMetadataInput,
) -> Result<api::GetTableMetadataOutput, Failure> {
    authorize(core, caller, account, input, &input.catalog_name).await?;
    check_catalog(&input.catalog_name)?;
    let (database, name) = (input.database_name.to_lowercase(), input.table_name.to_lowercase());
    let found = catalog(core)?.table(core.via(caller), &database, &name).await.map_err(refused)?;
    Ok(api::GetTableMetadataOutput { table_metadata: Some(table(found)) })
}

pub(crate) async fn list_tables(
    core: &Arc<Core>,
    caller: &Arc<Caller>,
    account: AccountId,
    input: &api::ListTableMetadataInput,
) -> Result<api::ListTableMetadataOutput, Failure> {
    authorize(core, caller, account, input, &input.catalog_name).await?;
    check_catalog(&input.catalog_name)?;
    let wanted = match &input.expression {
        Some(text) => {
            let bad =
                |error: regex::Error| AthenaError::Invalid(format!("Expression is no regular expression: {error}"));
            let whole = format!("^(?:{text})$");
            Some(RegexBuilder::new(&whole).size_limit(MAX_REGEX_BYTES).build().map_err(bad)?)
        }
        None => None,
    };
    let (catalog, via, database) = (catalog(core)?, core.via(caller), input.database_name.to_lowercase());
    let read = |after: Option<String>| {
        let (catalog, via, database) = (Arc::clone(&catalog), Arc::clone(&via), database.clone());
        async move { catalog.tables(via, &database, after.as_deref()).await }.boxed()
    };
    let limit = paging::limit(input.max_results, MAX_LISTED);
    let (found, next_token) = listed(input.next_token.as_deref(), limit, read, table_name, wanted.as_ref()).await?;
    let shown = |found: CatalogTable| summary(found, input.attributes_to_get.as_deref().unwrap_or_default());
    Ok(api::ListTableMetadataOutput { table_metadata_list: Some(found.into_iter().map(shown).collect()), next_token })
}

/// All of a table, or the attributes that are wanted.
fn summary(found: CatalogTable, wanted: &[api::TableAttributes]) -> api::TableMetadata {
    if wanted.is_empty() {
        return table(found);
    }
    let with_type = wanted.contains(&api::TableAttributes::TableType);
    let table_type = Some(found.table_type).filter(|_| with_type);
    api::TableMetadata { name: found.name, table_type, ..api::TableMetadata::default() }
}
