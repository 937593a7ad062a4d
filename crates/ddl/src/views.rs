//! Views: a query under a name. Its rows are read with the rights of whoever asks, not of whoever made it.
//!
//! The catalog keeps them as Presto does, so that other engines on the same catalog read them: `/* Presto View: BASE64 */`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use millpond_hive::ddl::{CreateView, Name};
use millpond_kernel::{CatalogStorage, CatalogTable};
use serde_json::{Value, json};

use crate::tables::VIEW;
use crate::{Call, DdlError, Shown, done, is, semantic};

const BEGIN: &str = "/* Presto View: ";
const END: &str = " */";
/// What Athena writes where a view's text would be expanded.
const EXPANDED: &str = "/* Presto View */";

/// What a view stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// Its query.
    pub query: String,
    /// The database of names that name none in it.
    pub database: String,
}

/// What a view of the catalog stands for; `None` for a table, and for a view of another engine.
pub fn view_of(table: &CatalogTable) -> Option<View> {
    if table.table_type != VIEW {
        return None;
    }
    let text = table.view_original.as_deref()?.trim().strip_prefix(BEGIN)?.strip_suffix(END)?;
    let body: Value = serde_json::from_slice(&STANDARD.decode(text).ok()?).ok()?;
    let query = body["originalSql"].as_str()?.to_owned();
    let database = body["schema"].as_str().unwrap_or(&table.database).to_owned();
    Some(View { query, database })
}

fn text_of(view: &View) -> String {
    let body = json!({
        "originalSql": view.query,
        "catalog": "awsdatacatalog",
        "schema": view.database,
        "columns": [],
        "runAsInvoker": true,
    });
    format!("{BEGIN}{}{END}", STANDARD.encode(body.to_string()))
}

impl Call<'_> {
    pub(crate) async fn create_view(&self, create: &CreateView) -> Result<Shown, DdlError> {
        if !create.columns.is_empty() {
            return Err(semantic("names of a view's columns stand in its query: SELECT a AS name ..."));
        }
        let (database, name) = self.place(&create.name)?;
        let view = View { query: create.query.trim().to_owned(), database: self.database.to_owned() };
        let table = CatalogTable {
            database: database.clone(),
            name: name.clone(),
            table_type: VIEW.to_owned(),
            storage: CatalogStorage::default(),
            parameters: [("presto_view".to_owned(), "true".to_owned())].into(),
            view_original: Some(text_of(&view)),
            view_expanded: Some(EXPANDED.to_owned()),
            ..CatalogTable::default()
        };
        match self.catalog.create_table(self.caller(), table.clone()).await {
            Err(error) if create.or_replace && is(&error, "AlreadyExistsException") => {
                let before = self.catalog.table(self.caller(), &database, &name).await?;
                if before.table_type != VIEW {
                    return Err(semantic(format!("{database}.{name} is a table, and no view takes its place")));
                }
                let table = CatalogTable { version: before.version, ..table };
                self.catalog.update_table(self.caller(), table).await?;
                Ok(done())
            }
            made => Ok(made.map(|()| done())?),
        }
    }

    /// A view that must be there, and be one.
    pub(crate) async fn view(&self, name: &Name) -> Result<View, DdlError> {
        let table = self.table(name).await?;
        view_of(&table).ok_or_else(|| semantic(format!("{}.{} is no view", table.database, table.name)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn views_come_back() {
        let view = View { query: "SELECT 'ä' FROM t".to_owned(), database: "birds".to_owned() };
        let mut table = CatalogTable {
            database: "other".to_owned(),
            table_type: VIEW.to_owned(),
            view_original: Some(text_of(&view)),
            ..CatalogTable::default()
        };
        assert_eq!(view_of(&table), Some(view));
        table.view_original = Some("SELECT 1".to_owned());
        assert_eq!(view_of(&table), None);
        table.table_type = "EXTERNAL_TABLE".to_owned();
        assert_eq!(view_of(&table), None);
    }
}
