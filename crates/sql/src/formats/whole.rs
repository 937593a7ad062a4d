//! Objects that are read from their beginning to their end by one, as a source of the engine's.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::common::Result;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{FileOpenFuture, FileOpener, FileScanConfig, FileSource};
use datafusion::datasource::table_schema::TableSchema;
use datafusion::object_store::ObjectStore;
use datafusion::physical_expr::projection::ProjectionExprs;
use datafusion::physical_plan::PhysicalExpr;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use datafusion_datasource::projection::{ProjectionOpener, SplitProjection};

use crate::failure::Problem;
use crate::remote::{Remote, Source};

/// Rows of a batch, where nothing else is said.
const BATCH: usize = 8192;

/// What is wanted of all objects of a table.
#[derive(Debug)]
pub struct Wanted {
    /// Where the wanted columns stand in the table.
    pub places: Vec<usize>,
    /// The wanted columns.
    pub schema: SchemaRef,
    /// Rows of a batch.
    pub batch: usize,
}

/// Reads objects of a format.
pub trait Reads: Clone + Send + Sync + Unpin + 'static {
    /// What plans call it.
    const NAME: &'static str;

    /// Begins to read an object.
    ///
    /// # Errors
    /// It cannot be read so.
    fn open(&self, remote: Remote, source: Source, wanted: &Arc<Wanted>) -> Result<FileOpenFuture>;
}

/// Reads a table's objects.
#[derive(Clone)]
pub struct WholeSource<R> {
    reads: R,
    remote: Remote,
    schema: TableSchema,
    projection: SplitProjection,
    batch: usize,
    metrics: ExecutionPlanMetricsSet,
}

impl<R: Reads> WholeSource<R> {
    /// Of a table.
    pub fn new(reads: R, schema: TableSchema, remote: Remote) -> Self {
        let projection = SplitProjection::unprojected(&schema);
        Self { reads, remote, schema, projection, batch: BATCH, metrics: ExecutionPlanMetricsSet::new() }
    }
}

impl<R: Reads> FileSource for WholeSource<R> {
    fn create_file_opener(&self, _: Arc<dyn ObjectStore>, _: &FileScanConfig, _: usize) -> Result<Arc<dyn FileOpener>> {
        let places = self.projection.file_indices.clone();
        let schema = Arc::new(self.schema.file_schema().project(&places)?);
        let wanted = Arc::new(Wanted { places, schema, batch: self.batch });
        let opener = Arc::new(Opener { reads: self.reads.clone(), remote: self.remote.clone(), wanted });
        ProjectionOpener::try_new(self.projection.clone(), opener, self.schema.file_schema())
    }

    fn table_schema(&self) -> &TableSchema {
        &self.schema
    }

    fn with_batch_size(&self, batch: usize) -> Arc<dyn FileSource> {
        Arc::new(Self { batch, ..self.clone() })
    }

    fn try_pushdown_projection(&self, projection: &ProjectionExprs) -> Result<Option<Arc<dyn FileSource>>> {
        let merged = self.projection.source.try_merge(projection)?;
        let projection = SplitProjection::new(self.schema.file_schema(), &merged);
        Ok(Some(Arc::new(Self { projection, ..self.clone() })))
    }

    fn projection(&self) -> Option<&ProjectionExprs> {
        Some(&self.projection.source)
    }

    fn metrics(&self) -> &ExecutionPlanMetricsSet {
        &self.metrics
    }

    fn file_type(&self) -> &str {
        R::NAME
    }

    /// Which line or stripe is which, messages tell: an object is not begun in its middle.
    fn supports_repartitioning(&self) -> bool {
        false
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        datafusion::physical_plan::apply_expression_roots(self.projection.source.iter(), f)
    }
}

struct Opener<R> {
    reads: R,
    remote: Remote,
    wanted: Arc<Wanted>,
}

impl<R: Reads> FileOpener for Opener<R> {
    fn open(&self, file: PartitionedFile) -> Result<FileOpenFuture> {
        let source = file.extension::<Source>().cloned();
        let source = source.ok_or_else(|| Problem::Internal("a file without its object".to_owned()))?;
        self.reads.open(self.remote.clone(), source, &self.wanted)
    }
}
