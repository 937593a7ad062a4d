//! `ALTER TABLE`

use std::collections::BTreeMap;
use std::sync::Arc;

use millpond_hive::ddl::{self, Change, Name, Partition, PartitionTest, Place};
use millpond_hive::names::{Location, partition_path};
use millpond_hive::predicate::{Key, Predicate};
use millpond_kernel::{CatalogColumn, CatalogPartition, CatalogTable};

use crate::tables::VIEW;
use crate::{Call, DdlError, Shown, convert, done, semantic};

/// Partitions that are added or removed at once.
const TOGETHER: usize = 100;

impl Call<'_> {
    pub(crate) async fn alter_table(&self, name: &Name, change: Change) -> Result<Shown, DdlError> {
        let mut table = self.table(name).await?;
        if table.table_type == VIEW {
            return Err(semantic(format!("{name} is a view: CREATE OR REPLACE VIEW changes it")));
        }
        match change {
            Change::AddPartitions { if_not_exists, partitions } => {
                return self.add_partitions(&table, if_not_exists, partitions).await;
            }
            Change::DropPartitions { if_exists, filters } => {
                return self.drop_partitions(&table, if_exists, &filters).await;
            }
            Change::RenamePartition { from, to } => return self.rename_partition(&table, &from, &to).await,
            Change::SetLocation { partition: Some(partition), location } => {
                let location = convert::location(&location)?;
                return self
                    .change_partition(&table, &partition, |partition| partition.location = Some(location))
                    .await;
            }
            Change::SetLocation { partition: None, location } => {
                table.storage.location = Some(convert::location(&location)?);
            }
            Change::AddColumns { partition: None, columns } => add_columns(&mut table, &columns)?,
            Change::ReplaceColumns { partition: None, columns } => {
                table.storage.columns = columns.iter().map(convert::column).collect();
                no_duplicates(&table)?;
            }
            Change::ChangeColumn { partition: None, from, to, place } => {
                change_column(&mut table, &from, &to, place)?;
                no_duplicates(&table)?;
            }
            Change::SetProperties { properties } => table.parameters.extend(properties),
            Change::AddColumns { partition: Some(partition), columns } => {
                return self
                    .change_partition(&table, &partition, |partition| {
                        let storage = Arc::make_mut(&mut partition.storage);
                        storage.columns.extend(columns.iter().map(convert::column));
                    })
                    .await;
            }
            Change::ReplaceColumns { partition: Some(partition), columns } => {
                return self
                    .change_partition(&table, &partition, |partition| {
                        let storage = Arc::make_mut(&mut partition.storage);
                        storage.columns = columns.iter().map(convert::column).collect();
                    })
                    .await;
            }
            Change::ChangeColumn { partition: Some(_), .. } => {
                return Err(semantic("CHANGE COLUMN of one partition is not carried out: REPLACE COLUMNS is"));
            }
        }
        self.catalog.update_table(self.caller(), table).await?;
        Ok(done())
    }

    async fn add_partitions(
        &self,
        table: &CatalogTable,
        if_not_exists: bool,
        partitions: Vec<(Partition, Option<String>)>,
    ) -> Result<Shown, DdlError> {
        let made: Result<Vec<CatalogPartition>, DdlError> =
            partitions.iter().map(|(partition, place)| new_partition(table, partition, place.as_deref())).collect();
        let made = made?;
        let total = made.len();
        let mut added = 0;
        for some in made.chunks(TOGETHER) {
            let (database, name) = (&table.database, &table.name);
            added += self.catalog.create_partitions(self.caller(), database, name, some.to_vec()).await?;
        }
        if added < total && !if_not_exists {
            return Err(semantic(format!(
                "AlreadyExistsException: {} of {total} partitions were there already; the others are added. ADD IF NOT EXISTS passes them over",
                total - added
            )));
        }
        Ok(done())
    }

    async fn drop_partitions(
        &self,
        table: &CatalogTable,
        if_exists: bool,
        filters: &[Vec<PartitionTest>],
    ) -> Result<Shown, DdlError> {
        let keys: Vec<Key<'_>> =
            table.partition_keys.iter().map(|key| (key.name.as_str(), key.kind.as_str())).collect();
        let tests: Result<Vec<Predicate>, _> =
            filters.iter().map(|filter| Predicate::of_tests(filter, &keys)).collect();
        let tests = tests.map_err(semantic)?;
        let mut gone = Vec::new();
        let mut hit = vec![false; tests.len()];
        for partition in self.partitions(table).await? {
            let mut wanted = false;
            for (test, hit) in tests.iter().zip(&mut hit) {
                let holds = test.holds(&partition.values).map_err(semantic)?;
                wanted |= holds;
                *hit |= holds;
            }
            if wanted {
                gone.push(partition.values);
            }
        }
        if !if_exists && hit.contains(&false) {
            return Err(semantic("Partition not found: DROP IF EXISTS passes over those that are not there"));
        }
        for some in gone.chunks(TOGETHER) {
            self.catalog.delete_partitions(self.caller(), &table.database, &table.name, some.to_vec()).await?;
        }
        Ok(done())
    }

    async fn one_partition(&self, table: &CatalogTable, named: &Partition) -> Result<CatalogPartition, DdlError> {
        let values = values_of(table, named)?;
        let found = self.partitions(table).await?.into_iter().find(|partition| partition.values == values);
        found.ok_or_else(|| semantic(format!("Partition not found {}", words(named))))
    }

    async fn rename_partition(
        &self,
        table: &CatalogTable,
        from: &Partition,
        to: &Partition,
    ) -> Result<Shown, DdlError> {
        let (partition, values) = (self.one_partition(table, from).await?, values_of(table, to)?);
        let before = partition.values.clone();
        let renamed = CatalogPartition { values, ..partition };
        let (database, name) = (&table.database, &table.name);
        self.catalog.update_partition(self.caller(), database, name, &before, renamed).await?;
        Ok(done())
    }

    async fn change_partition(
        &self,
        table: &CatalogTable,
        named: &Partition,
        change: impl FnOnce(&mut CatalogPartition),
    ) -> Result<Shown, DdlError> {
        let mut partition = self.one_partition(table, named).await?;
        change(&mut partition);
        let (database, name, values) = (&table.database, &table.name, partition.values.clone());
        self.catalog.update_partition(self.caller(), database, name, &values, partition).await?;
        Ok(done())
    }
}

fn words(partition: &Partition) -> String {
    partition_path(partition.iter().map(|(key, value)| (key.as_str(), value.as_str())))
}

/// The values of a partition in the order of the keys: all keys must be named, and no other.
fn values_of(table: &CatalogTable, named: &Partition) -> Result<Vec<String>, DdlError> {
    let given: BTreeMap<String, &String> = named.iter().map(|(key, value)| (key.to_lowercase(), value)).collect();
    let keys = &table.partition_keys;
    let values: Option<Vec<String>> =
        keys.iter().map(|key| given.get(&key.name).map(|value| (*value).clone())).collect();
    match values {
        Some(values) if given.len() == keys.len() => Ok(values),
        _ => {
            let names: Vec<&str> = keys.iter().map(|key| key.name.as_str()).collect();
            Err(semantic(format!("Partition spec {} does not name the keys {}", words(named), names.join(", "))))
        }
    }
}

fn new_partition(table: &CatalogTable, named: &Partition, place: Option<&str>) -> Result<CatalogPartition, DdlError> {
    let values = values_of(table, named)?;
    let location = match place {
        Some(place) => convert::location(place)?,
        None => {
            let root = Location::parse(table.storage.location.as_deref().unwrap_or_default()).map_err(semantic)?;
            let keys = table.partition_keys.iter().map(|key| key.name.as_str());
            let path = partition_path(keys.zip(values.iter().map(String::as_str)));
            root.join(&format!("{path}/")).to_string()
        }
    };
    let storage = convert::storage_of_partitions(table);
    Ok(CatalogPartition { values, location: Some(location), storage, ..CatalogPartition::default() })
}

fn add_columns(table: &mut CatalogTable, columns: &[ddl::Column]) -> Result<(), DdlError> {
    table.storage.columns.extend(columns.iter().map(convert::column));
    no_duplicates(table)
}

fn no_duplicates(table: &CatalogTable) -> Result<(), DdlError> {
    let columns = table.storage.columns.iter().chain(&table.partition_keys);
    let mut names: Vec<&String> = columns.map(|column| &column.name).collect();
    names.sort_unstable();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(semantic(format!("Duplicate column name: {}", pair[0]))),
        None => Ok(()),
    }
}

fn change_column(table: &mut CatalogTable, from: &str, to: &ddl::Column, place: Option<Place>) -> Result<(), DdlError> {
    let columns = &mut table.storage.columns;
    let at = |columns: &[CatalogColumn], name: &str| {
        let name = name.to_lowercase();
        let found = columns.iter().position(|column| column.name == name);
        found.ok_or_else(|| semantic(format!("Invalid column reference {name}")))
    };
    let old = at(columns, from)?;
    let before = columns.remove(old);
    let mut changed = convert::column(to);
    changed.comment = changed.comment.or(before.comment);
    let index = match place {
        None => old,
        Some(Place::First) => 0,
        Some(Place::After(other)) => at(columns, &other)? + 1,
    };
    columns.insert(index, changed);
    Ok(())
}
