//! Names of the catalog, for completion and for `\d`: as the caller may know them.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::api::Api;
use super::failed::Failed;

/// Tables of one database that are fetched for completion.
const MAX_TABLES: usize = 2_000;
/// Databases that are.
const MAX_DATABASES: usize = 1_000;
/// Of one call.
const PAGE: usize = 100;

/// A table, as it is shown in lists.
#[derive(Clone, Default, Debug)]
pub struct Table {
    /// Its name.
    pub name: String,
    /// `EXTERNAL_TABLE` or `VIRTUAL_VIEW`.
    pub kind: String,
    /// What it says of itself.
    pub comment: String,
    /// Columns with their types and comments; partition keys behind them.
    pub columns: Vec<[String; 3]>,
    /// How many of the columns are partition keys.
    pub keys: usize,
    /// Where its rows lie.
    pub location: String,
    /// What reads them.
    pub serde: String,
}

/// What was asked so far.
#[derive(Default)]
pub struct Names {
    databases: Option<Vec<(String, String)>>,
    tables: HashMap<String, Vec<Table>>,
}

fn text(value: &Value, pointer: &str) -> String {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn columns(value: &Value, pointer: &str) -> Vec<[String; 3]> {
    let all = value.pointer(pointer).and_then(Value::as_array);
    all.into_iter().flatten().map(|it| [text(it, "/Name"), text(it, "/Type"), text(it, "/Comment")]).collect()
}

fn table(value: &Value) -> Table {
    let keys = columns(value, "/PartitionKeys");
    let described = text(value, "/Parameters/comment");
    Table {
        name: text(value, "/Name"),
        kind: text(value, "/TableType"),
        comment: if described.is_empty() { text(value, "/Description") } else { described },
        keys: keys.len(),
        columns: [columns(value, "/StorageDescriptor/Columns"), keys].concat(),
        location: text(value, "/StorageDescriptor/Location"),
        serde: text(value, "/StorageDescriptor/SerdeInfo/SerializationLibrary"),
    }
}

/// All pages of a list, up to a number of items.
async fn listed(
    api: &Api,
    (operation, list): (&str, &str),
    mut input: Value,
    most: usize,
) -> Result<Vec<Value>, Failed> {
    let mut all = Vec::new();
    loop {
        let mut answer = api.glue(operation, &input).await?;
        if let Some(Value::Array(page)) = answer.pointer_mut(list).map(Value::take) {
            all.extend(page);
        }
        match answer.get("NextToken").and_then(Value::as_str).filter(|token| !token.is_empty() && all.len() < most) {
            Some(token) => input["NextToken"] = json!(token),
            None => return Ok(all),
        }
    }
}

/// A table, if it is there.
pub async fn one(api: &Api, database: &str, name: &str) -> Result<Table, Failed> {
    let answer = api.glue("GetTable", &json!({"DatabaseName": database, "Name": name})).await?;
    Ok(table(answer.get("Table").unwrap_or(&Value::Null)))
}

impl Names {
    /// Forgets what was asked: it may have changed.
    pub fn forget(&mut self) {
        *self = Self::default();
    }

    /// The databases, with what they say of themselves.
    pub async fn databases(&mut self, api: &Api) -> Result<&[(String, String)], Failed> {
        if self.databases.is_none() {
            let found =
                listed(api, ("GetDatabases", "/DatabaseList"), json!({"MaxResults": PAGE}), MAX_DATABASES).await?;
            let read = |it: &Value| (text(it, "/Name"), text(it, "/Description"));
            self.databases = Some(found.iter().map(read).collect());
        }
        Ok(self.databases.as_deref().unwrap_or_default())
    }

    /// The tables of a database.
    pub async fn tables(&mut self, api: &Api, database: &str) -> Result<&[Table], Failed> {
        if !self.tables.contains_key(database) {
            let input = json!({"DatabaseName": database, "MaxResults": PAGE});
            let found = listed(api, ("GetTables", "/TableList"), input, MAX_TABLES).await?;
            self.tables.insert(database.to_owned(), found.iter().map(table).collect());
        }
        Ok(self.tables.get(database).map(Vec::as_slice).unwrap_or_default())
    }
}
