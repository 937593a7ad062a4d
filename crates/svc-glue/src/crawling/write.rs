//! Writes tables and partitions into the catalog, as the crawler's policies say (Developer Guide, "Customizing crawler behavior").

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use millpond_crawl::{Figures, Part, Planned, properties, table_name};
use millpond_kernel::{Catalog, CatalogPartition, CatalogStorage, CatalogTable};

use super::existing::{BY, DEPRECATED, Existing, definition, extended, replaced, same_format, shared_storage};
use super::look::Place;
use super::run::{Change, Crawl, Why, refused};

/// Tables that one crawl finds at most.
const MAX_TABLES: usize = 2_000;

/// The partitions of a table, by their values.
pub(crate) type Partitions = BTreeMap<Vec<String>, CatalogPartition>;

impl Crawl<'_> {
    fn name(&self) -> &str {
        &self.crawler.name
    }

    /// Writes tables. With `only_new`, what was looked at is not all there is: figures and what is missing say nothing.
    pub async fn write(
        &self,
        existing: &mut Existing,
        place: &Place,
        planned: Vec<Planned>,
        touched: &mut BTreeSet<String>,
        only_new: bool,
    ) -> Result<(), Why> {
        if planned.len() + touched.len() > MAX_TABLES {
            return Err(format!(
                "The crawl finds more than {MAX_TABLES} tables. Exclude objects, or group them: Configuration, Grouping."
            ));
        }
        for table in planned {
            let name = self.write_table(existing, place, &table, only_new).await?;
            touched.insert(name);
        }
        Ok(())
    }

    async fn write_table(
        &self,
        existing: &mut Existing,
        place: &Place,
        planned: &Planned,
        only_new: bool,
    ) -> Result<String, Why> {
        let location = place.at(&format!("{}{}", planned.folder, planned.file.as_deref().unwrap_or_default()));
        let trimmed = location.trim_end_matches('/');
        let name = table_name(&self.body.prefix, trimmed.rsplit('/').next().unwrap_or_default());
        let name = existing.name_for(&name, &location);
        let figures = Figures { objects: planned.objects, bytes: planned.bytes, records: planned.found.records };
        let of = (self.body.database.as_str(), name.clone(), location.clone());
        let new = definition(of, &planned.found, figures, &planned.keys, self.name());
        let table = match existing.0.get(&name) {
            None => self.create(new).await?,
            Some(old) if only_new && old.partition_keys != new.partition_keys => {
                self.log.warn(format!("{location}: what is new does not fit the partitions of the table {name}."));
                return Ok(name);
            }
            Some(old) => self.update(old, new, only_new).await?,
        };
        let keys: Vec<&str> = table.partition_keys.iter().map(|key| key.name.as_str()).collect();
        if keys == planned.keys && !keys.is_empty() {
            self.write_partitions(&table, place, planned, only_new).await?;
        }
        existing.0.insert(name.clone(), table);
        Ok(name)
    }

    async fn create(&self, new: CatalogTable) -> Result<CatalogTable, Why> {
        let made = self.glue.create_table(Arc::clone(&self.caller), new.clone()).await;
        made.map_err(|error| refused(&error))?;
        self.told.table(Change::Added, &new.name);
        let location = new.storage.location.as_deref().unwrap_or_default();
        self.log.info(format!("Created the table {} at {location}.", new.name));
        Ok(new)
    }

    /// Changes a table as its policy says; gives it as it is then.
    async fn update(&self, old: &CatalogTable, new: CatalogTable, only_new: bool) -> Result<CatalogTable, Why> {
        let name = &old.name;
        let names =
            |table: &CatalogTable| -> Vec<String> { table.partition_keys.iter().map(|key| key.name.clone()).collect() };
        let changed = old.storage.columns.iter().map(|column| (&column.name, &column.kind)).ne(new
            .storage
            .columns
            .iter()
            .map(|column| (&column.name, &column.kind)))
            || !same_format(&old.storage, &new.storage);
        if self.config.merge_new {
            if !same_format(&old.storage, &new.storage) || names(old) != names(&new) {
                self.log.warn(format!("The table {name} is of another format than its files; it is deprecated."));
                return self.deprecate(old).await;
            }
            return self.put(old, extended(old, &new)).await;
        }
        if self.body.update == "LOG" {
            if changed {
                self.log.warn(format!("The schema of the table {name} differs from its files; it is left as it is."));
            }
            return Ok(old.clone());
        }
        if only_new {
            return self.put(old, extended(old, &CatalogTable { parameters: BTreeMap::new(), ..new })).await;
        }
        if names(old) != names(&new) {
            // Values of other keys are no values of these.
            let gone: Vec<_> = self.partitions(old).await?.into_keys().collect();
            self.log.warn(format!("The table {name} gets other partition keys; it had {} partitions.", gone.len()));
            self.delete_partitions(old, gone).await?;
        }
        self.put(old, replaced(old, new)).await
    }

    pub async fn put(&self, old: &CatalogTable, new: CatalogTable) -> Result<CatalogTable, Why> {
        if *old == new {
            return Ok(new);
        }
        let done = self.glue.update_table(Arc::clone(&self.caller), new.clone()).await;
        done.map_err(|error| refused(&error))?;
        self.told.table(Change::Updated, &new.name);
        self.log.info(format!("Updated the table {}.", new.name));
        Ok(CatalogTable { version: old.version + 1, ..new })
    }

    async fn deprecate(&self, old: &CatalogTable) -> Result<CatalogTable, Why> {
        let mut table = old.clone();
        table.parameters.insert(DEPRECATED.to_owned(), self.name().to_owned());
        self.put(old, table).await
    }

    /// What this crawler made in its targets and has not found again.
    pub async fn delete_others(&self, existing: &Existing, touched: &BTreeSet<String>) -> Result<(), Why> {
        let targets: Vec<String> = self.body.folders.iter().map(|folder| folder.path.clone()).collect();
        let within = |location: &str| {
            targets.iter().any(|path| {
                let path = path.trim_end_matches('/').trim_start_matches("s3://");
                let location = location.trim_end_matches('/').trim_start_matches("s3://");
                location == path || location.strip_prefix(path).is_some_and(|below| below.starts_with('/'))
            })
        };
        let gone = existing.0.values().filter(|table| {
            let mine = table.parameters.get(BY).is_some_and(|by| by == self.name());
            mine && !touched.contains(&table.name) && table.storage.location.as_deref().is_some_and(within)
        });
        for table in gone {
            self.delete_table(table).await?;
        }
        Ok(())
    }

    /// Treats a table that has no objects any more as the policy says.
    pub async fn delete_table(&self, table: &CatalogTable) -> Result<(), Why> {
        let (name, location) = (&table.name, table.storage.location.as_deref().unwrap_or_default());
        match self.body.delete.as_str() {
            "DELETE_FROM_DATABASE" => {
                let done = self.glue.delete_table(Arc::clone(&self.caller), &table.database, name).await;
                done.map_err(|error| refused(&error))?;
                self.told.table(Change::Deleted, name);
                self.log.info(format!("Deleted the table {name}: nothing is found at {location}."));
            }
            "DEPRECATE_IN_DATABASE" => {
                self.log.warn(format!("Nothing is found at {location}; the table {name} is deprecated."));
                self.deprecate(table).await?;
            }
            _ => self.log.warn(format!("Nothing is found at {location}; the table {name} is left as it is.")),
        }
        Ok(())
    }

    /// The partitions of a table.
    pub async fn partitions(&self, table: &CatalogTable) -> Result<Partitions, Why> {
        let (mut all, mut after) = (BTreeMap::new(), None::<String>);
        loop {
            let caller = Arc::clone(&self.caller);
            let page = self.glue.partitions(caller, &table.database, &table.name, None, after.as_deref()).await;
            let (partitions, next) = page.map_err(|error| refused(&error))?;
            all.extend(partitions.into_iter().map(|partition| (partition.values.clone(), partition)));
            match next {
                Some(next) => after = Some(next),
                None => return Ok(all),
            }
        }
    }

    async fn write_partitions(
        &self,
        table: &CatalogTable,
        place: &Place,
        planned: &Planned,
        only_new: bool,
    ) -> Result<(), Why> {
        let known = self.partitions(table).await?;
        let shared = Arc::new(self.partition_storage(table, planned));
        let (mut added, mut here) = (Vec::new(), BTreeSet::new());
        for part in &planned.parts {
            let mut new = self.partition(place, part, &shared);
            here.insert(part.values.clone());
            match known.get(&part.values) {
                None => added.push(new),
                Some(old) => {
                    // Properties of others stay.
                    let mut parameters = old.parameters.clone();
                    parameters.remove(DEPRECATED);
                    parameters.extend(new.parameters);
                    new.parameters = parameters;
                    let same = old.location == new.location
                        && old.parameters == new.parameters
                        && *old.storage == *new.storage;
                    if !same && !only_new {
                        self.update_partition(table, new).await?;
                    }
                }
            }
        }
        self.add_partitions(table, added).await?;
        let gone: Vec<_> = known.into_iter().filter(|(values, _)| !here.contains(values)).collect();
        if only_new { Ok(()) } else { self.gone_partitions(table, gone).await }
    }

    /// How rows of partitions lie: as their table's do, by what was found or by what the catalog says.
    fn partition_storage(&self, table: &CatalogTable, planned: &Planned) -> CatalogStorage {
        if self.config.inherit || self.config.merge_new {
            return CatalogStorage { location: None, parameters: BTreeMap::new(), ..table.storage.clone() };
        }
        shared_storage(&planned.found)
    }

    fn partition(&self, place: &Place, part: &Part, shared: &Arc<CatalogStorage>) -> CatalogPartition {
        let figures = Figures { objects: part.objects, bytes: part.bytes, records: part.found.records };
        let parameters = properties(&part.found, figures, self.name(), false);
        CatalogPartition {
            values: part.values.clone(),
            location: Some(place.at(&part.folder)),
            storage: Arc::clone(shared),
            storage_parameters: BTreeMap::new(),
            parameters,
        }
    }

    pub async fn add_partitions(&self, table: &CatalogTable, added: Vec<CatalogPartition>) -> Result<(), Why> {
        if added.is_empty() {
            return Ok(());
        }
        let count = added.len();
        let done = self.glue.create_partitions(Arc::clone(&self.caller), &table.database, &table.name, added).await;
        let made = done.map_err(|error| refused(&error))?;
        self.told.partitions(Change::Added, made);
        self.log.info(format!("Added {made} of {count} new partitions to the table {}.", table.name));
        Ok(())
    }

    async fn update_partition(&self, table: &CatalogTable, new: CatalogPartition) -> Result<(), Why> {
        let values = new.values.clone();
        let caller = Arc::clone(&self.caller);
        let done = self.glue.update_partition(caller, &table.database, &table.name, &values, new).await;
        done.map_err(|error| refused(&error))?;
        self.told.partitions(Change::Updated, 1);
        Ok(())
    }

    pub async fn delete_partitions(&self, table: &CatalogTable, values: Vec<Vec<String>>) -> Result<(), Why> {
        if values.is_empty() {
            return Ok(());
        }
        let done = self.glue.delete_partitions(Arc::clone(&self.caller), &table.database, &table.name, values).await;
        let deleted = done.map_err(|error| refused(&error))?;
        self.told.partitions(Change::Deleted, deleted);
        self.log.info(format!("Deleted {deleted} partitions of the table {}.", table.name));
        Ok(())
    }

    /// Treats partitions that have no objects any more as the policy says.
    pub async fn gone_partitions(
        &self,
        table: &CatalogTable,
        gone: Vec<(Vec<String>, CatalogPartition)>,
    ) -> Result<(), Why> {
        if gone.is_empty() {
            return Ok(());
        }
        match self.body.delete.as_str() {
            "DELETE_FROM_DATABASE" => {
                self.delete_partitions(table, gone.into_iter().map(|(values, _)| values).collect()).await
            }
            "DEPRECATE_IN_DATABASE" => {
                for (_, mut partition) in gone {
                    let mark = partition.parameters.insert(DEPRECATED.to_owned(), self.name().to_owned());
                    if mark.is_none() {
                        self.update_partition(table, partition).await?;
                    }
                }
                Ok(())
            }
            _ => {
                self.log.warn(format!(
                    "{} partitions of the table {} have no objects any more.",
                    gone.len(),
                    table.name
                ));
                Ok(())
            }
        }
    }
}
