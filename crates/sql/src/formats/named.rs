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
pub struct Named {
    /// Who reads.
    pub source: Arc<dyn FileSource>,
    /// What is read, as messages call it.
    pub format: &'static str,
}

/// An object that is read.
#[derive(Clone, Debug)]
struct Of {
    format: &'static str,
    path: Arc<str>,
}

/// What failed, with the object, in Trino's words (`ParquetPageSource`, HIVE_CURSOR_ERROR). What names its object already, or is no object's, stays.
fn named(error: DataFusionError, of: &Of) -> DataFusionError {
    if failure::found(&error).is_some() || matches!(error.find_root(), DataFusionError::ResourcesExhausted(_)) {
        return error;
    }
    failed(of, &error.find_root().to_string())
}

fn failed(Of { format, path }: &Of, why: &str) -> DataFusionError {
    Problem::Data(format!("HIVE_CURSOR_ERROR: Failed to read {format} file: {path}: {why}")).into()
}

fn panicked(of: &Of) -> DataFusionError {
    failed(of, "the reader panicked")
}

impl Named {
    fn with(&self, source: Arc<dyn FileSource>) -> Arc<dyn FileSource> {
        Arc::new(Self { source, format: self.format })
    }
}

fn guarded<T>(of: &Of, what: impl FnOnce() -> Result<T>) -> Result<T> {
    match catch_unwind(AssertUnwindSafe(what)) {
        Ok(ran) => ran.map_err(|error| named(error, of)),
        Err(_) => Err(panicked(of)),
    }
}

impl FileSource for Named {
    fn create_file_opener(
        &self,
        store: Arc<dyn ObjectStore>,
        config: &FileScanConfig,
        partition: usize,
    ) -> Result<Arc<dyn FileOpener>> {
        self.source.create_file_opener(store, config, partition)
    }

    fn create_morselizer(
        &self,
        store: Arc<dyn ObjectStore>,
        config: &FileScanConfig,
        partition: usize,
    ) -> Result<Box<dyn Morselizer>> {
        Ok(Box::new(Objects { inner: self.source.create_morselizer(store, config, partition)?, format: self.format }))
    }

    fn table_schema(&self) -> &TableSchema {
        self.source.table_schema()
    }

    fn with_batch_size(&self, batch: usize) -> Arc<dyn FileSource> {
        self.with(self.source.with_batch_size(batch))
    }

    fn filter(&self) -> Option<Arc<dyn PhysicalExpr>> {
        self.source.filter()
    }

    fn projection(&self) -> Option<&ProjectionExprs> {
        self.source.projection()
    }

    fn metrics(&self) -> &ExecutionPlanMetricsSet {
        self.source.metrics()
    }

    fn file_type(&self) -> &str {
        self.source.file_type()
    }

    fn fmt_extra(&self, kind: DisplayFormatType, f: &mut Formatter) -> fmt::Result {
        self.source.fmt_extra(kind, f)
    }

    fn supports_repartitioning(&self) -> bool {
        self.source.supports_repartitioning()
    }

    fn try_pushdown_filters(
        &self,
        filters: Vec<Arc<dyn PhysicalExpr>>,
        config: &ConfigOptions,
    ) -> Result<FilterPushdownPropagation<Arc<dyn FileSource>>> {
        let FilterPushdownPropagation { filters, updated_node } = self.source.try_pushdown_filters(filters, config)?;
        let updated_node = updated_node.map(|source| self.with(source));
        Ok(FilterPushdownPropagation { filters, updated_node })
    }

    fn try_pushdown_sort(
        &self,
        order: &[PhysicalSortExpr],
        properties: &EquivalenceProperties,
    ) -> Result<SortOrderPushdownResult<Arc<dyn FileSource>>> {
        let within = |inner| self.with(inner);
        Ok(match self.source.try_pushdown_sort(order, properties)? {
            SortOrderPushdownResult::Exact { inner } => SortOrderPushdownResult::Exact { inner: within(inner) },
            SortOrderPushdownResult::Inexact { inner } => SortOrderPushdownResult::Inexact { inner: within(inner) },
            SortOrderPushdownResult::Unsupported => SortOrderPushdownResult::Unsupported,
        })
    }

    fn reorder_files(&self, files: Vec<PartitionedFile>) -> Vec<PartitionedFile> {
        self.source.reorder_files(files)
    }

    fn try_pushdown_projection(&self, projection: &ProjectionExprs) -> Result<Option<Arc<dyn FileSource>>> {
        let source = self.source.try_pushdown_projection(projection)?;
        Ok(source.map(|source| self.with(source)))
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        self.source.apply_expressions(f)
    }
}

#[derive(Debug)]
struct Objects {
    inner: Box<dyn Morselizer>,
    format: &'static str,
}

impl Morselizer for Objects {
    fn plan_file(&self, file: PartitionedFile) -> Result<Box<dyn MorselPlanner>> {
        let path = file.extension::<Source>().map(Source::path).unwrap_or_default().into();
        let of = Of { format: self.format, path };
        let inner = guarded(&of, || self.inner.plan_file(file))?;
        Ok(Box::new(Object { inner, of }))
    }
}

#[derive(Debug)]
struct Object {
    inner: Box<dyn MorselPlanner>,
    of: Of,
}

impl MorselPlanner for Object {
    fn plan(self: Box<Self>) -> Result<Option<MorselPlan>> {
        let Self { inner, of } = *self;
        let Some(mut plan) = guarded(&of, || inner.plan())? else { return Ok(None) };
        let object = |inner| Box::new(Object { inner, of: of.clone() }) as Box<dyn MorselPlanner>;
        let planners = plan.take_ready_planners().into_iter().map(object).collect();
        let part = |inner| Box::new(Part { inner, of: of.clone() }) as Box<dyn Morsel>;
        let parts = plan.take_morsels().into_iter().map(part).collect();
        let next = MorselPlan::new().with_morsels(parts).with_planners(planners);
        Ok(Some(match plan.take_pending_planner() {
            Some(pending) => next.with_pending_planner(opened(pending.into_future(), of)),
            None => next,
        }))
    }
}

async fn opened(pending: BoxFuture<'static, Result<Box<dyn MorselPlanner>>>, of: Of) -> Result<Box<dyn MorselPlanner>> {
    let ran = AssertUnwindSafe(pending).catch_unwind().await.unwrap_or_else(|_| Err(panicked(&of)));
    match ran {
        Ok(inner) => Ok(Box::new(Object { inner, of })),
        Err(error) => Err(named(error, &of)),
    }
}

#[derive(Debug)]
struct Part {
    inner: Box<dyn Morsel>,
    of: Of,
}

impl Morsel for Part {
    fn into_stream(self: Box<Self>) -> BoxStream<'static, Result<RecordBatch>> {
        let Self { inner, of } = *self;
        let batches = AssertUnwindSafe(inner.into_stream()).catch_unwind();
        let within = move |batch: std::thread::Result<Result<RecordBatch>>| match batch {
            Ok(batch) => batch.map_err(|error| named(error, &of)),
            Err(_) => Err(panicked(&of)),
        };
        batches.map(within).boxed()
    }
}
