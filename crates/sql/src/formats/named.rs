//! A source whose errors name the object that was read, and whose panics are such errors.

use std::fmt::{self, Formatter};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Result};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{FileOpener, FileScanConfig, FileSource};
use datafusion::datasource::table_schema::TableSchema;
use datafusion::object_store::ObjectStore;
use datafusion::physical_expr::projection::ProjectionExprs;
use datafusion::physical_expr::{EquivalenceProperties, PhysicalSortExpr};
use datafusion::physical_plan::filter_pushdown::FilterPushdownPropagation;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use datafusion::physical_plan::{DisplayFormatType, PhysicalExpr, SortOrderPushdownResult};
use datafusion_datasource::morsel::{Morsel, MorselPlan, MorselPlanner, Morselizer};
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use futures_util::{FutureExt, StreamExt};

use crate::failure::{self, Problem};
use crate::remote::Source;

/// Reads as another source does.
pub struct Named(pub Arc<dyn FileSource>);

/// What failed, with the object, in Trino's words (`ParquetPageSource`, HIVE_CURSOR_ERROR). What names its object already, or is no object's, stays.
fn named(error: DataFusionError, path: &str) -> DataFusionError {
    if failure::found(&error).is_some() || matches!(error.find_root(), DataFusionError::ResourcesExhausted(_)) {
        return error;
    }
    Problem::Data(format!("HIVE_CURSOR_ERROR: Failed to read Parquet file: {path}: {}", error.find_root())).into()
}

fn panicked(path: &str) -> DataFusionError {
    Problem::Data(format!("HIVE_CURSOR_ERROR: Failed to read Parquet file: {path}: the reader panicked")).into()
}

fn guarded<T>(path: &str, what: impl FnOnce() -> Result<T>) -> Result<T> {
    match catch_unwind(AssertUnwindSafe(what)) {
        Ok(ran) => ran.map_err(|error| named(error, path)),
        Err(_) => Err(panicked(path)),
    }
}

impl FileSource for Named {
    fn create_file_opener(
        &self,
        store: Arc<dyn ObjectStore>,
        config: &FileScanConfig,
        partition: usize,
    ) -> Result<Arc<dyn FileOpener>> {
        self.0.create_file_opener(store, config, partition)
    }

    fn create_morselizer(
        &self,
        store: Arc<dyn ObjectStore>,
        config: &FileScanConfig,
        partition: usize,
    ) -> Result<Box<dyn Morselizer>> {
        Ok(Box::new(Objects(self.0.create_morselizer(store, config, partition)?)))
    }

    fn table_schema(&self) -> &TableSchema {
        self.0.table_schema()
    }

    fn with_batch_size(&self, batch: usize) -> Arc<dyn FileSource> {
        Arc::new(Self(self.0.with_batch_size(batch)))
    }

    fn filter(&self) -> Option<Arc<dyn PhysicalExpr>> {
        self.0.filter()
    }

    fn projection(&self) -> Option<&ProjectionExprs> {
        self.0.projection()
    }

    fn metrics(&self) -> &ExecutionPlanMetricsSet {
        self.0.metrics()
    }

    fn file_type(&self) -> &str {
        self.0.file_type()
    }

    fn fmt_extra(&self, kind: DisplayFormatType, f: &mut Formatter) -> fmt::Result {
        self.0.fmt_extra(kind, f)
    }

    fn supports_repartitioning(&self) -> bool {
        self.0.supports_repartitioning()
    }

    fn try_pushdown_filters(
        &self,
        filters: Vec<Arc<dyn PhysicalExpr>>,
        config: &ConfigOptions,
    ) -> Result<FilterPushdownPropagation<Arc<dyn FileSource>>> {
        let FilterPushdownPropagation { filters, updated_node } = self.0.try_pushdown_filters(filters, config)?;
        let updated_node = updated_node.map(|source| Arc::new(Self(source)) as Arc<dyn FileSource>);
        Ok(FilterPushdownPropagation { filters, updated_node })
    }

    fn try_pushdown_sort(
        &self,
        order: &[PhysicalSortExpr],
        properties: &EquivalenceProperties,
    ) -> Result<SortOrderPushdownResult<Arc<dyn FileSource>>> {
        let within = |inner| Arc::new(Self(inner)) as Arc<dyn FileSource>;
        Ok(match self.0.try_pushdown_sort(order, properties)? {
            SortOrderPushdownResult::Exact { inner } => SortOrderPushdownResult::Exact { inner: within(inner) },
            SortOrderPushdownResult::Inexact { inner } => SortOrderPushdownResult::Inexact { inner: within(inner) },
            SortOrderPushdownResult::Unsupported => SortOrderPushdownResult::Unsupported,
        })
    }

    fn reorder_files(&self, files: Vec<PartitionedFile>) -> Vec<PartitionedFile> {
        self.0.reorder_files(files)
    }

    fn try_pushdown_projection(&self, projection: &ProjectionExprs) -> Result<Option<Arc<dyn FileSource>>> {
        let source = self.0.try_pushdown_projection(projection)?;
        Ok(source.map(|source| Arc::new(Self(source)) as Arc<dyn FileSource>))
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        self.0.apply_expressions(f)
    }
}

#[derive(Debug)]
struct Objects(Box<dyn Morselizer>);

impl Morselizer for Objects {
    fn plan_file(&self, file: PartitionedFile) -> Result<Box<dyn MorselPlanner>> {
        let path: Arc<str> = file.extension::<Source>().map(Source::path).unwrap_or_default().into();
        let inner = guarded(&path, || self.0.plan_file(file))?;
        Ok(Box::new(Object { inner, path }))
    }
}

#[derive(Debug)]
struct Object {
    inner: Box<dyn MorselPlanner>,
    path: Arc<str>,
}

impl MorselPlanner for Object {
    fn plan(self: Box<Self>) -> Result<Option<MorselPlan>> {
        let Self { inner, path } = *self;
        let Some(mut plan) = guarded(&path, || inner.plan())? else { return Ok(None) };
        let object = |inner| Box::new(Object { inner, path: Arc::clone(&path) }) as Box<dyn MorselPlanner>;
        let planners = plan.take_ready_planners().into_iter().map(object).collect();
        let part = |inner| Box::new(Part { inner, path: Arc::clone(&path) }) as Box<dyn Morsel>;
        let parts = plan.take_morsels().into_iter().map(part).collect();
        let next = MorselPlan::new().with_morsels(parts).with_planners(planners);
        Ok(Some(match plan.take_pending_planner() {
            Some(pending) => next.with_pending_planner(opened(pending.into_future(), path)),
            None => next,
        }))
    }
}

async fn opened(
    pending: BoxFuture<'static, Result<Box<dyn MorselPlanner>>>,
    path: Arc<str>,
) -> Result<Box<dyn MorselPlanner>> {
    let ran = AssertUnwindSafe(pending).catch_unwind().await.unwrap_or_else(|_| Err(panicked(&path)));
    match ran {
        Ok(inner) => Ok(Box::new(Object { inner, path })),
        Err(error) => Err(named(error, &path)),
    }
}

#[derive(Debug)]
struct Part {
    inner: Box<dyn Morsel>,
    path: Arc<str>,
}

impl Morsel for Part {
    fn into_stream(self: Box<Self>) -> BoxStream<'static, Result<RecordBatch>> {
        let Self { inner, path } = *self;
        let batches = AssertUnwindSafe(inner.into_stream()).catch_unwind();
        let within = move |batch: std::thread::Result<Result<RecordBatch>>| match batch {
            Ok(batch) => batch.map_err(|error| named(error, &path)),
            Err(_) => Err(panicked(&path)),
        };
        batches.map(within).boxed()
    }
}
