//! `MSCK REPAIR TABLE`: partitions that are among the objects and not in the catalog.

use std::collections::BTreeSet;
use std::sync::Arc;

use millpond_hive::ddl::Name;
use millpond_hive::names::{Location, is_hidden, partition_path, partition_values};
use millpond_kernel::{CatalogPartition, CatalogTable};

use crate::{Call, DdlError, Shown, convert, semantic};

/// Partitions that are added at once.
const TOGETHER: usize = 100;
/// Folders that are looked at.
const MAX_FOLDERS: usize = 1_000_000;

impl Call<'_> {
    /// All partitions of a table.
    pub(crate) async fn partitions(&self, table: &CatalogTable) -> Result<Vec<CatalogPartition>, DdlError> {
        let (mut all, mut after) = (Vec::new(), None::<String>);
        loop {
            let (database, name) = (&table.database, &table.name);
            let (page, next) = self.catalog.partitions(self.caller(), database, name, None, after.as_deref()).await?;
            all.extend(page);
            after = next;
            if after.is_none() {
                return Ok(all);
            }
        }
    }

    pub(crate) async fn repair(&self, name: &Name) -> Result<Shown, DdlError> {
        let table = self.table(name).await?;
        if table.partition_keys.is_empty() {
            return Err(semantic(format!("Table {}.{} is not a partitioned table", table.database, table.name)));
        }
        let known: BTreeSet<Vec<String>> =
            self.partitions(&table).await?.into_iter().map(|partition| partition.values).collect();
        let location = Location::parse(table.storage.location.as_deref().unwrap_or_default()).map_err(semantic)?;
        let found = self.found(&table, &location).await?;
        let keys: Vec<&str> = table.partition_keys.iter().map(|key| key.name.as_str()).collect();
        let path = |values: &[String]| partition_path(keys.iter().copied().zip(values.iter().map(String::as_str)));
        let missing: Vec<(Vec<String>, String)> =
            found.into_iter().filter(|(values, _)| !known.contains(values)).collect();
        let mut lines = Vec::new();
        if !missing.is_empty() {
            let shown: Vec<String> =
                missing.iter().map(|(values, _)| format!("{}:{}", table.name, path(values))).collect();
            lines.push(format!("Partitions not in metastore:\t{}", shown.join("\t")));
        }
        let storage = convert::storage_of_partitions(&table);
        for some in missing.chunks(TOGETHER) {
            let new = |(values, folder): &(Vec<String>, String)| CatalogPartition {
                values: values.clone(),
                location: Some(location.join(folder).to_string()),
                storage: Arc::clone(&storage),
                ..CatalogPartition::default()
            };
            let partitions = some.iter().map(new).collect();
            self.catalog.create_partitions(self.caller(), &table.database, &table.name, partitions).await?;
            lines.extend(some.iter().map(|(values, folder)| {
                format!("Repair: Added partition to metastore {}:{} ({folder})", table.name, path(values))
            }));
        }
        Ok(Shown { columns: Vec::new(), lines })
    }

    /// The partitions that folders tell of, each with its folder below the table's.
    async fn found(&self, table: &CatalogTable, location: &Location) -> Result<Vec<(Vec<String>, String)>, DdlError> {
        let keys: Vec<String> = table.partition_keys.iter().map(|key| key.name.clone()).collect();
        let root = location.folder();
        let (mut level, mut looked) = (vec![root.clone()], 0);
        for _ in &keys {
            let mut next = Vec::new();
            for folder in level {
                looked += 1;
                if looked > MAX_FOLDERS {
                    return Err(semantic(format!(
                        "the table has more than {MAX_FOLDERS} folders: add partitions by ALTER TABLE ADD PARTITION"
                    )));
                }
                next.extend(self.folders(&location.bucket, &folder).await?);
            }
            level = next;
        }
        let below = |folder: String| {
            let below = folder.get(root.len()..)?;
            let values = partition_values(below, &keys)?;
            Some((values, below.to_owned()))
        };
        let mut found: Vec<_> = level.into_iter().filter_map(below).collect();
        found.sort();
        found.dedup_by(|one, other| one.0 == other.0);
        Ok(found)
    }

    async fn folders(&self, bucket: &str, prefix: &str) -> Result<Vec<String>, DdlError> {
        let (mut all, mut after) = (Vec::new(), None::<String>);
        loop {
            let page = self.objects.list(self.caller(), bucket, prefix, Some("/"), after.as_deref()).await?;
            let shown = |folder: &String| folder.get(prefix.len()..).is_some_and(|below| !is_hidden(below));
            all.extend(page.prefixes.into_iter().filter(shown));
            after = page.next;
            if after.is_none() {
                return Ok(all);
            }
        }
    }
}
