//! Statements about the catalog, in Hive's language, carried out as their callers: whoever may not change a table by Glue's API may not by these.
//!
//! Athena User Guide, "DDL statements".

mod alter;
mod convert;
mod databases;
mod repair;
mod show;
mod tables;
mod views;

use std::sync::Arc;

use millpond_hive::ddl::{self, Name, Statement};
use millpond_hive::names::canonical;
use millpond_kernel::{Caller, Catalog, CatalogTable, ObjectReads, ServiceError};

pub use views::{View, view_of};

/// What a statement shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// The names of its columns; all are text. None for a statement that only does something.
    pub columns: Vec<&'static str>,
    /// Its lines; tabs stand between values.
    pub lines: Vec<String>,
}

/// Why a statement was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum DdlError {
    /// It cannot be read.
    #[error("{0}")]
    Statement(#[from] ddl::DdlError),
    /// The catalog or the object storage refuses.
    #[error("{0}")]
    Refused(String),
    /// It does not fit what is there.
    #[error("FAILED: {0}")]
    Semantic(String),
}

impl From<ServiceError> for DdlError {
    fn from(error: ServiceError) -> Self {
        let code = error.code.as_ref();
        Self::Refused(match code {
            "AccessDeniedException" | "AccessDenied" => {
                format!("Insufficient permissions to execute the query. {}", error.message)
            }
            _ => format!("FAILED: Execution Error, return code 1. {code}: {}", error.message),
        })
    }
}

/// A semantic error in Hive's words.
fn semantic(words: impl std::fmt::Display) -> DdlError {
    DdlError::Semantic(format!("SemanticException {words}"))
}

/// What statements are carried out on.
#[derive(Clone)]
pub struct Statements {
    /// The tables.
    pub catalog: Arc<dyn Catalog>,
    /// The objects: partitions are found among them.
    pub objects: Arc<dyn ObjectReads>,
}

/// A statement of a caller.
struct Call<'a> {
    catalog: &'a dyn Catalog,
    objects: &'a dyn ObjectReads,
    caller: Arc<Caller>,
    /// The database of names that name none.
    database: &'a str,
}

impl Statements {
    /// Carries a statement out.
    ///
    /// # Errors
    /// It is none, it is refused, or does not fit what is there.
    pub async fn run(&self, caller: Arc<Caller>, database: &str, statement: &str) -> Result<Shown, DdlError> {
        let call = Call { catalog: &*self.catalog, objects: &*self.objects, caller, database };
        match ddl::parse(statement)? {
            Statement::CreateDatabase(create) => call.create_database(create).await,
            Statement::DropDatabase { name, if_exists, cascade } => call.drop_database(&name, if_exists, cascade).await,
            Statement::AlterDatabase { name, properties } => call.alter_database(&name, properties).await,
            Statement::CreateTable(create) => call.create_table(&create).await,
            Statement::DropTable { table, if_exists } => call.drop_table(&table, if_exists).await,
            Statement::CreateView(create) => call.create_view(&create).await,
            Statement::DropView { view, if_exists } => call.drop_view(&view, if_exists).await,
            Statement::AlterTable { table, change } => call.alter_table(&table, change).await,
            Statement::Repair { table } => call.repair(&table).await,
            Statement::ShowDatabases { like } => call.show_databases(like.as_deref()).await,
            Statement::ShowTables { database, like } => call.show_tables(database, like.as_deref(), false).await,
            Statement::ShowViews { database, like } => call.show_tables(database, like.as_deref(), true).await,
            Statement::ShowPartitions { table } => call.show_partitions(&table).await,
            Statement::ShowColumns { table } => call.show_columns(&table).await,
            Statement::ShowProperties { table, property } => call.show_properties(&table, property.as_deref()).await,
            Statement::ShowCreateTable { table } => call.show_create_table(&table).await,
            Statement::ShowCreateView { view } => call.show_create_view(&view).await,
            Statement::Describe(describe) => call.describe(&describe).await,
        }
    }
}

fn is(error: &ServiceError, code: &str) -> bool {
    error.code == code
}

/// What a statement that only does something shows.
fn done() -> Shown {
    Shown::default()
}

impl Call<'_> {
    fn caller(&self) -> Arc<Caller> {
        Arc::clone(&self.caller)
    }

    /// A table's database and name as the catalog keeps them.
    fn place(&self, name: &Name) -> Result<(String, String), DdlError> {
        let database = name.database.as_deref().unwrap_or(self.database);
        let canonical = |what, name: &str| canonical(what, name).map_err(semantic);
        Ok((canonical("database", database)?, canonical("table", &name.name)?))
    }

    /// A table or view that must be there.
    async fn table(&self, name: &Name) -> Result<CatalogTable, DdlError> {
        let (database, table) = self.place(name)?;
        match self.catalog.table(self.caller(), &database, &table).await {
            Err(error) if is(&error, "EntityNotFoundException") => {
                Err(semantic(format!("Table not found {database}.{table}")))
            }
            found => Ok(found?),
        }
    }
}
