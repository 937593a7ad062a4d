//! A table of the catalog: which objects a query reads of it, and by what format.

use std::sync::Arc;

use arrow::datatypes::{Field, FieldRef, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{Result, ScalarValue};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, FileSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::union::UnionExec;
use millpond_hive::format::Layout;
use millpond_hive::names::Location;
use millpond_hive::projection::Projection;
use millpond_hive::types::Type;
use millpond_query::{Column, Partition, Storage, Table};

use crate::catalog::Making;
use crate::estimate;
use crate::failure::Problem;
use crate::formats;
use crate::hidden;
use crate::links;
use crate::listing::{self, Place};
use crate::projected::{self, Projected};
use crate::prune;
use crate::remote::{Remote, Source};
use crate::scan::Scan;
use crate::types::arrow_of;
use crate::values::scalar_of;

/// Objects that one query reads of a table.
const MAX_OBJECTS: usize = 1_000_000;

/// A table.
#[derive(Debug)]
pub struct HiveTable {
    table: Table,
    remote: Remote,
    now: i64,
    columns: Vec<(String, Type)>,
    keys: Vec<(String, Type)>,
    key_schema: SchemaRef,
    /// Whether rows show which object they are from.
    hidden: bool,
    schema: TableSchema,
}

/// A folder with what is the same of all its objects.
struct Folder {
    place: Place,
    values: Vec<ScalarValue>,
    storage: Arc<Storage>,
}

/// A partition that a query may read.
struct Part {
    location: String,
    values: Vec<ScalarValue>,
    /// Where otherwise than the table's.
    storage: Option<Arc<Storage>>,
}

fn columns_of(table: &Table, columns: &[Column]) -> Result<Vec<(String, Type)>> {
    let read = |column: &Column| match Type::parse(&column.kind) {
        Ok(kind) => Ok((column.name.to_lowercase(), kind)),
        Err(error) => Err(Problem::Data(format!(
            "HIVE_INVALID_METADATA: column {} of {}.{}: {error}",
            column.name, table.database, table.name
        ))
        .into()),
    };
    columns.iter().map(read).collect()
}

fn fields(columns: &[(String, Type)]) -> Vec<FieldRef> {
    columns.iter().map(|(name, kind)| Arc::new(Field::new(name, arrow_of(kind), true))).collect()
}

impl HiveTable {
    /// Of what the catalog says.
    ///
    /// # Errors
    /// Its columns have types that are none.
    pub fn new(table: Table, making: &Making) -> Result<Self> {
        let now = i64::try_from(making.now / 1_000_000).unwrap_or(i64::MAX);
        let remote = making.remote.clone();
        let storage = table.storage.clone().unwrap_or_default();
        let columns = columns_of(&table, &storage.columns)?;
        let keys = columns_of(&table, &table.partition_keys)?;
        let key_schema = Arc::new(Schema::new(fields(&keys)));
        let hidden = if making.hidden { hidden::schema() } else { Arc::new(Schema::empty()) };
        let constants = [fields(&keys), hidden.fields().to_vec()].concat();
        let file_schema = Arc::new(Schema::new(fields(&columns)));
        let schema = TableSchema::builder(file_schema).with_table_partition_cols(constants).build();
        Ok(Self { table, remote, now, columns, keys, key_schema, hidden: making.hidden, schema })
    }

    fn name(&self) -> String {
        format!("{}.{}", self.table.database, self.table.name)
    }

    fn folder(&self, storage: Arc<Storage>, location: &str, values: Vec<ScalarValue>) -> Result<Folder> {
        let location = Location::parse(location).map_err(|error| {
            Problem::Data(format!("HIVE_INVALID_METADATA: the location of {}: {error}", self.name()))
        })?;
        Ok(Folder { place: Place { bucket: location.bucket, prefix: location.prefix }, values, storage })
    }

    /// The partitions that the table's properties describe, instead of the catalog's.
    fn projection(&self) -> Result<Option<Projection>> {
        let keys: Vec<&str> = self.keys.iter().map(|(name, _)| name.as_str()).collect();
        let projection = Projection::of(&self.table.parameters, &keys, self.now);
        Ok(projection.map_err(|error| {
            Problem::Data(format!("INVALID_TABLE_PROPERTY: the partition projection of {}: {error}", self.name()))
        })?)
    }

    /// The partitions that may hold what these conditions ask for.
    async fn partitions(&self, session: &dyn Session, filters: &[Expr]) -> Result<Vec<Part>> {
        let Some(projection) = self.projection()? else {
            let asked = self.remote.partitions(&self.table, &prune::expression(filters, &self.keys)).await?;
            let part = |(one, storage): (Partition, Option<Arc<Storage>>)| {
                Ok(Part { values: self.values(&one)?, location: one.location, storage })
            };
            return asked.into_iter().map(part).collect();
        };
        let made = projected::partitions(session, (&projection, &self.name()), &self.keys, filters)?;
        let root = self.table.storage.as_ref().map(|storage| storage.location.as_str()).unwrap_or_default();
        let partition = |one: Projected| {
            let location = projection.location(root, &one.texts);
            Part { location, values: one.values, storage: None }
        };
        Ok(made.into_iter().map(partition).collect())
    }

    /// The folders that a query with these conditions reads, and how many partitions the catalog gave.
    async fn folders(&self, session: &dyn Session, filters: &[Expr]) -> Result<(Option<u64>, Vec<Folder>)> {
        let storage = Arc::new(self.table.storage.clone().unwrap_or_default());
        if self.keys.is_empty() {
            return Ok((None, vec![self.folder(Arc::clone(&storage), &storage.location, Vec::new())?]));
        }
        let filters = prune::of_keys(filters, &self.key_schema);
        let parts = self.partitions(session, &filters).await?;
        let count = Some(parts.len() as u64);
        if parts.is_empty() {
            return Ok((count, Vec::new()));
        }
        let values: Vec<&[ScalarValue]> = parts.iter().map(|part| part.values.as_slice()).collect();
        let kept = prune::kept(session, &filters, &self.key_schema, &values)?;
        let chosen = parts.into_iter().zip(kept).filter(|(_, kept)| *kept);
        let folders: Result<Vec<Folder>> = chosen
            .map(|(part, _)| {
                let storage = part.storage.unwrap_or_else(|| Arc::clone(&storage));
                self.folder(storage, &part.location, part.values)
            })
            .collect();
        Ok((count, folders?))
    }

    fn values(&self, partition: &Partition) -> Result<Vec<ScalarValue>> {
        if partition.values.len() != self.keys.len() {
            let (values, keys) = (partition.values.len(), self.keys.len());
            let words =
                format!("HIVE_INVALID_METADATA: a partition of {} has {values} values for {keys} keys", self.name());
            return Err(Problem::Data(words).into());
        }
        let read = |(text, (name, kind)): (&String, &(String, Type))| {
            scalar_of(text, kind).ok_or_else(|| {
                let words = format!(
                    "HIVE_INVALID_PARTITION_VALUE: Invalid partition value '{text}' for {kind} partition key: {name}={text}"
                );
                Problem::Data(words).into()
            })
        };
        partition.values.iter().zip(&self.keys).map(read).collect()
    }

    /// Tells what will be read, for what is told of the query later.
    fn told(&self, asked: Option<u64>, listed: &[(Folder, Vec<Source>)]) {
        let sources = || listed.iter().flat_map(|(_, sources)| sources);
        let scan = Scan {
            table: self.name(),
            asked,
            partitions: listed.len() as u64,
            files: sources().count() as u64,
            bytes: sources().map(|source| source.size).sum(),
            ..Scan::default()
        };
        self.remote.scanning(scan, sources().map(Source::path).collect());
    }

    /// An object with what is the same of all its rows.
    fn file(&self, source: Source, keys: &[ScalarValue]) -> PartitionedFile {
        let mut constants = keys.to_vec();
        if self.hidden {
            constants.extend(hidden::values(&source));
        }
        PartitionedFile::new(source.path(), source.size).with_partition_values(constants).with_extension(source)
    }

    /// A plan that reads the objects of one format.
    fn read(
        &self,
        session: &dyn Session,
        (layout, files): (&Layout, Vec<PartitionedFile>),
        projection: Option<&Vec<usize>>,
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let bytes = files.iter().map(|file| file.object_meta.size).sum();
        let statistics = estimate::statistics(layout, &self.columns, bytes, self.schema.table_schema());
        let source: Arc<dyn FileSource> = formats::source(layout, &self.columns, self.schema.clone(), &self.remote)?;
        let partitions = session.config().target_partitions();
        let groups = FileGroup::new(files).split_files(partitions);
        let url = ObjectStoreUrl::local_filesystem();
        let config = FileScanConfigBuilder::new(url, source)
            .with_file_groups(groups)
            .with_projection_indices(projection.cloned())?
            .with_limit(limit)
            .with_statistics(statistics)
            .with_expr_adapter(Some(Arc::new(formats::adapter(layout))))
            .build();
        Ok(DataSourceExec::from_data_source(config))
    }
}

#[async_trait]
impl TableProvider for HiveTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(self.schema.table_schema())
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let (asked, folders) = self.folders(session, filters).await?;
        let places: Vec<Place> = folders.iter().map(|folder| folder.place.clone()).collect();
        let sources = listing::of(&self.remote, &places).await?;
        let listed: Vec<(Folder, Vec<Source>)> = folders.into_iter().zip(sources).collect();
        self.told(asked, &listed);
        let (mut layouts, mut count) = (Vec::<(Layout, Vec<PartitionedFile>)>::new(), 0);
        let mut last: Option<(Arc<Storage>, Layout)> = None;
        for (folder, sources) in listed {
            let layout = match last {
                Some((storage, layout)) if Arc::ptr_eq(&storage, &folder.storage) => layout,
                _ => formats::layout(&folder.storage, &self.table.parameters)?,
            };
            last = Some((folder.storage, layout.clone()));
            let mut sources = if layout.symlink { links::followed(&self.remote, sources).await? } else { sources };
            if self.hidden {
                sources = hidden::kept(session, filters, sources)?;
            }
            count += sources.len();
            if count > MAX_OBJECTS {
                let words =
                    format!("{} has more than {MAX_OBJECTS} objects to read: name fewer partitions", self.name());
                return Err(Problem::Statement(words).into());
            }
            // A plan that reads nothing has no partition, which joins do not take: there is one for that.
            if sources.is_empty() {
                continue;
            }
            let files = sources.into_iter().map(|source| self.file(source, &folder.values));
            match layouts.iter_mut().find(|(known, _)| *known == layout) {
                Some((_, known)) => known.extend(files),
                None => layouts.push((layout, files.collect())),
            }
        }
        let read = |(layout, files)| self.read(session, (&layout, files), projection, limit);
        let plans: Result<Vec<_>> = layouts.into_iter().map(read).collect();
        let mut plans = plans?;
        match (plans.pop(), plans.is_empty()) {
            (None, _) => {
                let schema = match projection {
                    Some(indices) => Arc::new(self.schema().project(indices)?),
                    None => self.schema(),
                };
                Ok(Arc::new(EmptyExec::new(schema)))
            }
            (Some(plan), true) => Ok(plan),
            (Some(plan), false) => {
                plans.push(plan);
                UnionExec::try_new(plans)
            }
        }
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }
}
