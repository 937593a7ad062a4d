//! Objects of lines, as a source of the engine's.

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
use futures_util::{FutureExt, StreamExt};
use millpond_hive::types::Type;

use super::lines::{Held, Pieces, Splitter};
use super::rows::{Decoder, Serde};
use crate::failure::Problem;
use crate::remote::{Remote, Source};

/// What all objects of a format have in common.
#[derive(Clone, Debug)]
pub struct Lines {
    /// How lines are read.
    pub serde: Arc<Serde>,
    /// The columns of the objects, by place.
    pub columns: Arc<Vec<(String, Type)>>,
    /// Lines that are passed over at the beginning of each object.
    pub skipped: u64,
    /// And at the end.
    pub footer: usize,
}

/// Reads objects of lines.
#[derive(Clone)]
pub struct LineSource {
    lines: Lines,
    remote: Remote,
    schema: TableSchema,
    projection: SplitProjection,
    batch: usize,
    metrics: ExecutionPlanMetricsSet,
}

/// Rows of a batch, where nothing else is said.
const BATCH: usize = 8192;

impl LineSource {
    /// Of a table whose objects have `lines`.
    pub fn new(lines: Lines, schema: TableSchema, remote: Remote) -> Self {
        let projection = SplitProjection::unprojected(&schema);
        Self { lines, remote, schema, projection, batch: BATCH, metrics: ExecutionPlanMetricsSet::new() }
    }
}

impl FileSource for LineSource {
    fn create_file_opener(&self, _: Arc<dyn ObjectStore>, _: &FileScanConfig, _: usize) -> Result<Arc<dyn FileOpener>> {
        let wanted = self.projection.file_indices.clone();
        let schema = Arc::new(self.schema.file_schema().project(&wanted)?);
        let (lines, remote, batch) = (self.lines.clone(), self.remote.clone(), self.batch);
        let opener = Arc::new(Opener { lines, remote, wanted, schema, batch });
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
        "lines"
    }

    /// An object is read from its beginning: which line is which, messages tell.
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

struct Opener {
    lines: Lines,
    remote: Remote,
    wanted: Vec<usize>,
    schema: SchemaRef,
    batch: usize,
}

/// An object that is being read.
struct Reading {
    pieces: Pieces,
    splitter: Splitter,
    decoder: Decoder,
    skipped: u64,
    held: Held,
    batch: usize,
    ended: bool,
}

impl FileOpener for Opener {
    fn open(&self, file: PartitionedFile) -> Result<FileOpenFuture> {
        let source = file.extension::<Source>().cloned();
        let source = source.ok_or_else(|| Problem::Internal("a file without its object".to_owned()))?;
        let Lines { serde, columns, skipped, footer } = self.lines.clone();
        let decoder = Decoder::new(serde, columns, &self.wanted, Arc::clone(&self.schema), source.path());
        let splitter = Splitter::of(source.path());
        let held = Held::new(source.path(), footer);
        let pieces = Pieces::new(self.remote.clone(), source)?;
        let reading = Reading { pieces, splitter, decoder, skipped, held, batch: self.batch, ended: false };
        let batches = futures_util::stream::try_unfold(reading, |mut reading| async move {
            let batch = reading.next().await?;
            Ok(batch.map(|batch| (batch, reading)))
        });
        Ok(async move { Ok(batches.boxed()) }.boxed())
    }
}

impl Reading {
    /// The rows of the next pieces; `None` at the end. Few or many: the engine puts small batches together.
    async fn next(&mut self) -> Result<Option<arrow::array::RecordBatch>> {
        while !self.ended && self.decoder.rows() < self.batch {
            let (decoder, held, skipped) = (&mut self.decoder, &mut self.held, self.skipped);
            let take = |number: u64, line: &[u8]| match number > skipped {
                true => held.line(number, line, |number, line| decoder.line(number, line)),
                false => Ok(()),
            };
            match self.pieces.next().await? {
                Some(piece) => self.splitter.piece(&piece, take)?,
                None => {
                    self.ended = true;
                    self.splitter.end(take)?;
                }
            }
        }
        if self.decoder.rows() == 0 { Ok(None) } else { Ok(Some(self.decoder.finish()?)) }
    }
}
