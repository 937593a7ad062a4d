//! The catalog as the planner sees it: each table is asked for when a statement names it.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::{CatalogProvider, SchemaProvider, TableProvider};
use datafusion::common::{DataFusionError, Result};
use datafusion::datasource::ViewTable;
use datafusion::execution::context::SessionState;
use millpond_query::Table;

use crate::failure::Problem;
use crate::remote::Remote;
use crate::session::{self, View};
use crate::table::HiveTable;

/// The name of the one catalog (Athena's).
pub const CATALOG: &str = "awsdatacatalog";
/// Views in views.
const MAX_VIEWS: usize = 16;

/// What tables of a statement are made with.
#[derive(Clone, Debug)]
pub struct Making {
    /// Whom to ask.
    pub remote: Remote,
    /// What views are planned in: the session without a catalog.
    pub state: Arc<SessionState>,
    /// The query's time, in nanoseconds since 1970.
    pub now: u64,
    /// How many views this one is in.
    pub depth: usize,
    /// Whether tables show which objects rows are from.
    pub hidden: bool,
}

/// The catalog.
#[derive(Debug)]
pub struct Catalog(pub Making);

impl CatalogProvider for Catalog {
    fn schema_names(&self) -> Vec<String> {
        Vec::new()
    }

    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        Some(Arc::new(Database { making: self.0.clone(), name: name.to_lowercase() }))
    }
}

#[derive(Debug)]
struct Database {
    making: Making,
    name: String,
}

#[async_trait]
impl SchemaProvider for Database {
    fn table_names(&self) -> Vec<String> {
        Vec::new()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>, DataFusionError> {
        let name = name.to_lowercase();
        let Some(table) = self.making.remote.table(&self.name, &name).await? else {
            let words = format!("TABLE_NOT_FOUND: Table '{CATALOG}.{}.{name}' does not exist", self.name);
            return Err(Problem::Statement(words).into());
        };
        if table.view.is_empty() {
            return Ok(Some(Arc::new(HiveTable::new(table, &self.making)?)));
        }
        Ok(Some(Arc::new(self.view(table).await?)))
    }

    fn table_exist(&self, _: &str) -> bool {
        true
    }
}

impl Database {
    async fn view(&self, table: Table) -> Result<ViewTable> {
        let making = &self.making;
        if making.depth >= MAX_VIEWS {
            let name = format!("{}.{}", table.database, table.name);
            return Err(
                Problem::Statement(format!("the view {name} is {MAX_VIEWS} views deep: one may be in itself")).into()
            );
        }
        let database = if table.view_database.is_empty() { &table.database } else { &table.view_database };
        let deeper = Making { depth: making.depth + 1, ..making.clone() };
        let view = View { statement: &table.view, database };
        let plan = session::plan_view(&deeper, view).await?;
        Ok(ViewTable::new(plan, Some(table.view)))
    }
}
