//! The port by which services of ours use the catalog of tables, as callers like any other: policies decide, changes are recorded.
//!
//! Names of databases, tables, columns and partition keys are as the catalog keeps them: lower case.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::BoxFuture;

use crate::{Caller, ServiceError};

/// A database.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CatalogDatabase {
    /// Its name.
    pub name: String,
    /// What people wrote about it.
    pub description: Option<String>,
    /// Where its tables lie that say nothing else: `s3://BUCKET/PREFIX`.
    pub location: Option<String>,
    /// Its properties.
    pub parameters: BTreeMap<String, String>,
}

/// A column, or a partition key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CatalogColumn {
    /// Its name.
    pub name: String,
    /// Hive's type, such as `array<struct<a:int>>`.
    pub kind: String,
    /// What people wrote about it.
    pub comment: Option<String>,
}

/// How rows lie in objects (the API's `StorageDescriptor`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CatalogStorage {
    /// The columns, without partition keys.
    pub columns: Vec<CatalogColumn>,
    /// The folder: `s3://BUCKET/PREFIX`.
    pub location: Option<String>,
    /// Hadoop's class that reads files.
    pub input_format: Option<String>,
    /// Hadoop's class that writes files.
    pub output_format: Option<String>,
    /// Hive's class that reads rows.
    pub serde: Option<String>,
    /// What is set for it.
    pub serde_parameters: BTreeMap<String, String>,
    /// Whether files are compressed, as people declared.
    pub compressed: bool,
    /// Properties of the storage.
    pub parameters: BTreeMap<String, String>,
}

/// A table or a view.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CatalogTable {
    /// Its database.
    pub database: String,
    /// Its name.
    pub name: String,
    /// What people wrote about it.
    pub description: Option<String>,
    /// `EXTERNAL_TABLE` or `VIRTUAL_VIEW`, or what else somebody wrote.
    pub table_type: String,
    /// Where and how its rows lie.
    pub storage: CatalogStorage,
    /// What its partitions are told apart by.
    pub partition_keys: Vec<CatalogColumn>,
    /// Its properties (`TBLPROPERTIES`).
    pub parameters: BTreeMap<String, String>,
    /// A view's text as it was written; Athena keeps `/* Presto View: BASE64 */`.
    pub view_original: Option<String>,
    /// A view's text, expanded.
    pub view_expanded: Option<String>,
    /// The version of the definition, which every change counts up.
    pub version: u64,
}

/// A partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CatalogPartition {
    /// The values of the partition keys, as text, in their order.
    pub values: Vec<String>,
    /// Its folder.
    pub location: Option<String>,
    /// How its rows lie, which may differ from its table; most partitions share it. Neither location nor parameters are in there: those are its own.
    pub storage: Arc<CatalogStorage>,
    /// Properties of its storage.
    pub storage_parameters: BTreeMap<String, String>,
    /// Its properties.
    pub parameters: BTreeMap<String, String>,
}

/// A page of a list: what is on it, and what the next one begins with.
pub type CatalogPage<T> = (Vec<T>, Option<String>);

/// The catalog. Every method is decided as the caller, with the Glue action of its name; what is refused has Glue's error.
pub trait Catalog: Send + Sync + 'static {
    /// `glue:GetDatabase`. `EntityNotFoundException` where there is none.
    fn database<'a>(
        &'a self,
        caller: Arc<Caller>,
        name: &'a str,
    ) -> BoxFuture<'a, Result<CatalogDatabase, ServiceError>>;

    /// `glue:GetDatabases`, by name.
    fn databases<'a>(
        &'a self,
        caller: Arc<Caller>,
        after: Option<&'a str>,
    ) -> BoxFuture<'a, Result<CatalogPage<CatalogDatabase>, ServiceError>>;

    /// `glue:CreateDatabase`. `AlreadyExistsException` where there is one.
    fn create_database(
        &self,
        caller: Arc<Caller>,
        database: CatalogDatabase,
    ) -> BoxFuture<'_, Result<(), ServiceError>>;

    /// `glue:UpdateDatabase`.
    fn update_database(
        &self,
        caller: Arc<Caller>,
        database: CatalogDatabase,
    ) -> BoxFuture<'_, Result<(), ServiceError>>;

    /// `glue:DeleteDatabase`, with all of its tables.
    fn delete_database<'a>(&'a self, caller: Arc<Caller>, name: &'a str) -> BoxFuture<'a, Result<(), ServiceError>>;

    /// `glue:GetTable`. `EntityNotFoundException` where there is none.
    fn table<'a>(
        &'a self,
        caller: Arc<Caller>,
        database: &'a str,
        name: &'a str,
    ) -> BoxFuture<'a, Result<CatalogTable, ServiceError>>;

    /// `glue:GetTables`, by name.
    fn tables<'a>(
        &'a self,
        caller: Arc<Caller>,
        database: &'a str,
        after: Option<&'a str>,
    ) -> BoxFuture<'a, Result<CatalogPage<CatalogTable>, ServiceError>>;

    /// `glue:CreateTable`. `AlreadyExistsException` where there is one.
    fn create_table(&self, caller: Arc<Caller>, table: CatalogTable) -> BoxFuture<'_, Result<(), ServiceError>>;

    /// `glue:UpdateTable`: puts another definition in its place. `ConcurrentModificationException` when it is no longer of `table.version`.
    fn update_table(&self, caller: Arc<Caller>, table: CatalogTable) -> BoxFuture<'_, Result<(), ServiceError>>;

    /// `glue:DeleteTable`, with its partitions.
    fn delete_table<'a>(
        &'a self,
        caller: Arc<Caller>,
        database: &'a str,
        name: &'a str,
    ) -> BoxFuture<'a, Result<(), ServiceError>>;

    /// `glue:GetPartitions`: those that the expression (GetPartitions, `Expression`) holds for, all of them without one; by their values.
    /// `InvalidInputException` for an expression that is none.
    fn partitions<'a>(
        &'a self,
        caller: Arc<Caller>,
        database: &'a str,
        table: &'a str,
        expression: Option<&'a str>,
        after: Option<&'a str>,
    ) -> BoxFuture<'a, Result<CatalogPage<CatalogPartition>, ServiceError>>;

    /// `glue:BatchCreatePartition`: adds those that are not there; gives how many were.
    fn create_partitions<'a>(
        &'a self,
        caller: Arc<Caller>,
        database: &'a str,
        table: &'a str,
        partitions: Vec<CatalogPartition>,
    ) -> BoxFuture<'a, Result<usize, ServiceError>>;

    /// `glue:UpdatePartition`: puts another definition in the place of the one with these values, which may change.
    fn update_partition<'a>(
        &'a self,
        caller: Arc<Caller>,
        database: &'a str,
        table: &'a str,
        values: &'a [String],
        partition: CatalogPartition,
    ) -> BoxFuture<'a, Result<(), ServiceError>>;

    /// `glue:BatchDeletePartition`; gives how many there were.
    fn delete_partitions<'a>(
        &'a self,
        caller: Arc<Caller>,
        database: &'a str,
        table: &'a str,
        values: Vec<Vec<String>>,
    ) -> BoxFuture<'a, Result<usize, ServiceError>>;
}
