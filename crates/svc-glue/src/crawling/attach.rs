//! What is new in folders that were crawled before: partitions of tables that there are. And tables of the catalog as targets.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use millpond_crawl::{Figures, Found, Grouping, Layout, Leaf, SIMILAR, columns_of, plan, properties, similarity};
use millpond_hive::names::partition_folder;
use millpond_kernel::{Catalog, CatalogPartition, CatalogTable};

use super::existing::{Existing, columns, extended, same_format, same_place, shared_storage};
use super::look::{Place, folder_of};
use super::run::{Crawl, Why, refused};

/// The folders of a location behind a table's; `None` where it is not below.
fn below<'a>(table: &CatalogTable, location: &'a str) -> Option<Vec<&'a str>> {
    let root = table.storage.location.as_deref()?.trim_end_matches('/');
    let rest = location.strip_prefix(root)?;
    let inside = rest.strip_prefix('/')?.trim_end_matches('/');
    Some(if inside.is_empty() { Vec::new() } else { inside.split('/').collect() })
}

/// The values of the partition that a location lies in, and how many folders they are.
pub(crate) fn values(table: &CatalogTable, location: &str) -> Option<Vec<String>> {
    let folders = below(table, location)?;
    if folders.len() < table.partition_keys.len() {
        return None;
    }
    let value = |(key, folder): (&millpond_kernel::CatalogColumn, &&str)| match partition_folder(folder) {
        Some((name, value)) if name == key.name || key.name.starts_with("partition_") => Some(value),
        Some(_) => None,
        None => Some((*folder).to_owned()),
    };
    table.partition_keys.iter().zip(&folders).map(value).collect()
}

/// The table that a location lies in: the deepest of them.
pub(crate) fn table_of<'a>(existing: &'a Existing, location: &str) -> Option<&'a CatalogTable> {
    let length = |table: &CatalogTable| table.storage.location.as_deref().map_or(0, str::len);
    let inside = existing.0.values().filter(|table| {
        below(table, location).is_some_and(|_| table.partition_keys.is_empty() || values(table, location).is_some())
    });
    inside.max_by_key(|table| length(table))
}

/// New files of a partition.
#[derive(Default)]
struct Files {
    found: Option<Found>,
    figures: Figures,
}

impl Crawl<'_> {
    /// Adds what is new to tables that there are; gives what is of none of them.
    pub async fn attach(&self, existing: &mut Existing, place: &Place, leaves: Vec<Leaf>) -> Result<Vec<Leaf>, Why> {
        let (mut rest, mut of_tables) = (Vec::new(), BTreeMap::<String, BTreeMap<Vec<String>, Files>>::new());
        for leaf in leaves {
            let location = place.at(folder_of(&leaf.path));
            let fitting = table_of(existing, &location)
                .and_then(|table| Some((table, self.fitting(table, leaf.found.as_deref()?)?)));
            let Some((table, found)) = fitting else {
                rest.push(leaf);
                continue;
            };
            let values = values(table, &location).unwrap_or_default();
            let files = of_tables.entry(table.name.clone()).or_default().entry(values).or_default();
            let (objects, bytes, records) = (files.figures.objects + 1, files.figures.bytes + leaf.bytes, leaf.records);
            files.figures = Figures { objects, bytes, records: files.figures.records + records };
            match &mut files.found {
                Some(all) => all.columns = columns_of(&all.columns, &found.columns),
                None => files.found = Some(found),
            }
        }
        for (name, partitions) in of_tables {
            let Some(table) = existing.0.get(&name).cloned() else { continue };
            let table = self.attach_to(table, partitions).await?;
            existing.0.insert(name, table);
        }
        Ok(rest)
    }

    /// What a file is as a file of a table; `None` where it is none.
    fn fitting(&self, table: &CatalogTable, found: &Found) -> Option<Found> {
        if !same_format(&table.storage, &shared_storage(found)) {
            return None;
        }
        let known = columns(table);
        let mut readings = vec![found.clone()];
        if let Layout::Csv(csv) = &found.layout
            && let Some(otherwise) = &csv.otherwise
        {
            readings.push(Found { columns: otherwise.clone(), ..found.clone() });
        }
        readings.into_iter().find(|reading| self.config.combine || similarity(&known, &reading.columns) >= SIMILAR)
    }

    async fn attach_to(
        &self,
        table: CatalogTable,
        partitions: BTreeMap<Vec<String>, Files>,
    ) -> Result<CatalogTable, Why> {
        let mut new = table.clone();
        for found in partitions.values().filter_map(|files| files.found.as_ref()) {
            let mut with = new.clone();
            with.storage.columns = shared_storage(found).columns;
            with.parameters = BTreeMap::new();
            new = extended(&new, &with);
        }
        if new.storage.columns != table.storage.columns && self.body.update == "LOG" && !self.config.merge_new {
            self.log
                .warn(format!("New files have columns that the table {} has not; it is left as it is.", table.name));
            new = table.clone();
        }
        let table = self.put(&table, new).await?;
        if table.partition_keys.is_empty() {
            return Ok(table);
        }
        let known = self.partitions(&table).await?;
        let root = table.storage.location.as_deref().unwrap_or_default().trim_end_matches('/').to_owned();
        let mut storage = table.storage.clone();
        (storage.location, storage.parameters) = (None, BTreeMap::new());
        let storage = Arc::new(storage);
        let mut added = Vec::new();
        for (values, Files { found, figures }) in partitions {
            let Some(found) = found.filter(|_| !known.contains_key(&values)) else { continue };
            let folders = self.folders(&table, &values);
            added.push(CatalogPartition {
                location: Some(format!("{root}/{folders}/")),
                values,
                storage: Arc::clone(&storage),
                storage_parameters: BTreeMap::new(),
                parameters: properties(&found, figures, &self.crawler.name, false),
            });
        }
        self.add_partitions(&table, added).await?;
        Ok(table)
    }

    /// The folders of values, as they are called where they were found.
    fn folders(&self, table: &CatalogTable, values: &[String]) -> String {
        let folder = |(key, value): (&millpond_kernel::CatalogColumn, &String)| {
            if key.name.starts_with("partition_") {
                return value.clone();
            }
            millpond_hive::names::partition_path([(key.name.as_str(), value.as_str())])
        };
        table.partition_keys.iter().zip(values).map(folder).collect::<Vec<_>>().join("/")
    }

    /// Crawls the folders of tables that there are: columns and partitions are added, no table is made or deleted.
    pub async fn catalog_targets(&self) -> Result<(), Why> {
        for target in &self.body.catalog {
            for name in &target.tables {
                let table = self.glue.table(Arc::clone(&self.caller), &target.database, name).await;
                self.catalog_target(table.map_err(|error| refused(&error))?).await?;
                self.log.flush(&self.caller).await;
            }
        }
        Ok(())
    }

    async fn catalog_target(&self, table: CatalogTable) -> Result<(), Why> {
        let Some(location) = table.storage.location.clone().filter(|location| !location.is_empty()) else {
            return Err(format!("The table {}.{} has no location to crawl.", table.database, table.name));
        };
        let looked = self.look(&Self::target_of(&location), &HashSet::new()).await?;
        let (planned, _) = plan(looked.leaves, Grouping { combine: true, level: Some(0) });
        let here = |folder: &str| same_place(&looked.place.at(folder), &location);
        let Some(planned) = planned.into_iter().find(|planned| planned.file.is_none() && here(&planned.folder)) else {
            self.log.warn(format!("Nothing at {location} is one table; {} is left as it is.", table.name));
            return Ok(());
        };
        let found = shared_storage(&planned.found);
        if !same_format(&table.storage, &found) {
            self.log
                .warn(format!("The table {} is of another format than its files; it is left as it is.", table.name));
            return Ok(());
        }
        let mut new = table.clone();
        if self.config.merge_new {
            new = extended(&table, &CatalogTable { storage: found, parameters: BTreeMap::new(), ..table.clone() });
        } else if self.body.update != "LOG" {
            new.storage.columns = found.columns;
            for column in &mut new.storage.columns {
                let known = table.storage.columns.iter().find(|known| known.name == column.name);
                column.comment = known.and_then(|known| known.comment.clone());
            }
        }
        let table = self.put(&table, new).await?;
        if table.partition_keys.len() != planned.keys.len() {
            self.log.warn(format!("The folders of {location} are not the partitions of the table {}.", table.name));
            return Ok(());
        }
        if planned.keys.is_empty() {
            return Ok(());
        }
        let mut existing = BTreeSet::new();
        existing.extend(self.partitions(&table).await?.into_keys());
        let mut storage = table.storage.clone();
        (storage.location, storage.parameters) = (None, BTreeMap::new());
        let storage = Arc::new(storage);
        let new = planned.parts.iter().filter(|part| !existing.contains(&part.values)).map(|part| {
            let figures = Figures { objects: part.objects, bytes: part.bytes, records: part.found.records };
            CatalogPartition {
                values: part.values.clone(),
                location: Some(looked.place.at(&part.folder)),
                storage: Arc::clone(&storage),
                storage_parameters: BTreeMap::new(),
                parameters: properties(&part.found, figures, &self.crawler.name, false),
            }
        });
        self.add_partitions(&table, new.collect()).await
    }
}

#[cfg(test)]
mod tests {
    use millpond_kernel::{CatalogColumn, CatalogStorage};

    use super::*;

    fn table(name: &str, location: &str, keys: &[&str]) -> CatalogTable {
        let key = |name: &&str| CatalogColumn { name: (*name).to_owned(), ..CatalogColumn::default() };
        CatalogTable {
            name: name.into(),
            storage: CatalogStorage { location: Some(location.into()), ..CatalogStorage::default() },
            partition_keys: keys.iter().map(key).collect(),
            ..CatalogTable::default()
        }
    }

    #[test]
    fn partitions_of_folders() {
        let hive = table("t", "s3://b/t/", &["y", "m"]);
        for (location, expected) in [
            ("s3://b/t/y=1/m=2/", Some(vec!["1", "2"])),
            ("s3://b/t/Y=1/M=a%2Fb/deeper/", Some(vec!["1", "a/b"])),
            ("s3://b/t/y=1/", None),
            ("s3://b/t/m=1/y=2/", None),
            ("s3://b/tt/y=1/m=2/", None),
            ("s3://b/t/", None),
        ] {
            let found = values(&hive, location);
            let expected: Option<Vec<String>> = expected.map(|values| values.into_iter().map(str::to_owned).collect());
            assert_eq!(found, expected, "{location}");
        }
        let plain = table("t", "s3://b/t", &["partition_0"]);
        assert_eq!(values(&plain, "s3://b/t/2019/"), Some(vec!["2019".to_owned()]));
        let existing = Existing(
            [("a", table("a", "s3://b/", &[])), ("t", hive)].map(|(name, table)| (name.to_owned(), table)).into(),
        );
        let name = |location: &str| table_of(&existing, location).map(|table| table.name.clone());
        assert_eq!(name("s3://b/t/y=1/m=2/").as_deref(), Some("t"));
        assert_eq!(name("s3://b/x/").as_deref(), Some("a"));
        assert_eq!(name("s3://c/"), None);
    }
}
