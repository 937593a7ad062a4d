//! Between Hive's statements and the catalog.

use std::collections::BTreeMap;
use std::sync::Arc;

use millpond_hive::ddl::{self, CreateTable};
use millpond_hive::format;
use millpond_hive::names::Location;
use millpond_hive::show;
use millpond_kernel::{CatalogColumn, CatalogStorage, CatalogTable};

use crate::{DdlError, semantic};

/// Athena's words for what it makes.
const EXTERNAL: &str = "EXTERNAL_TABLE";

/// A column as the catalog keeps it.
pub fn column(column: &ddl::Column) -> CatalogColumn {
    CatalogColumn { name: column.name.to_lowercase(), kind: column.kind.to_string(), comment: column.comment.clone() }
}

/// A location, as it was written; it must be one.
pub fn location(text: &str) -> Result<String, DdlError> {
    Location::parse(text).map_err(semantic)?;
    Ok(text.to_owned())
}

/// How rows of new partitions lie: as the table's. Folders are each partition's own.
pub fn storage_of_partitions(table: &CatalogTable) -> Arc<CatalogStorage> {
    Arc::new(CatalogStorage { location: None, parameters: BTreeMap::new(), ..table.storage.clone() })
}

/// A table as the catalog keeps it.
pub fn table(create: &CreateTable, database: String, name: String) -> Result<CatalogTable, DdlError> {
    let columns: Vec<CatalogColumn> = create.columns.iter().map(column).collect();
    let partition_keys: Vec<CatalogColumn> = create.partitioned_by.iter().map(column).collect();
    let mut names: Vec<&str> = columns.iter().chain(&partition_keys).map(|column| column.name.as_str()).collect();
    names.sort_unstable();
    if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(semantic(format!("Duplicate column name: {}", twice[0])));
    }
    let Some(place) = create.location.as_deref() else {
        return Err(semantic("an external table has a LOCATION 's3://bucket/folder/'"));
    };
    let storage = format::Storage::of(create);
    let mut parameters = create.properties.clone();
    parameters.insert("EXTERNAL".to_owned(), "TRUE".to_owned());
    Ok(CatalogTable {
        database,
        name,
        description: create.comment.clone(),
        table_type: EXTERNAL.to_owned(),
        storage: CatalogStorage {
            columns,
            location: Some(location(place)?),
            input_format: Some(storage.input_format),
            output_format: Some(storage.output_format),
            serde: Some(storage.serde),
            serde_parameters: storage.parameters,
            compressed: false,
            parameters: BTreeMap::new(),
        },
        partition_keys,
        parameters,
        ..CatalogTable::default()
    })
}

fn shown_column(column: &CatalogColumn) -> show::Column {
    show::Column { name: column.name.clone(), kind: column.kind.clone(), comment: column.comment.clone() }
}

/// A table as it is printed.
pub fn shown(table: &CatalogTable) -> show::Table {
    let storage = &table.storage;
    show::Table {
        database: table.database.clone(),
        name: table.name.clone(),
        table_type: table.table_type.clone(),
        columns: storage.columns.iter().map(shown_column).collect(),
        partition_keys: table.partition_keys.iter().map(shown_column).collect(),
        comment: table.description.clone(),
        storage: format::Storage {
            input_format: storage.input_format.clone().unwrap_or_default(),
            output_format: storage.output_format.clone().unwrap_or_default(),
            serde: storage.serde.clone().unwrap_or_default(),
            parameters: storage.serde_parameters.clone(),
        },
        location: storage.location.clone(),
        buckets: None,
        properties: table.parameters.clone(),
    }
}
