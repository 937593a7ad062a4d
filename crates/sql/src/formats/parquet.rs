//! Parquet: footers and columns, read in ranges.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use datafusion::common::Result;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::ParquetFileReaderFactory;
use datafusion::datasource::physical_plan::{FileSource, ParquetSource};
use datafusion::datasource::table_schema::TableSchema;
use datafusion::parquet::arrow::ARROW_SCHEMA_META_KEY;
use datafusion::parquet::arrow::arrow_reader::ArrowReaderOptions;
use datafusion::parquet::arrow::async_reader::AsyncFileReader;
use datafusion::parquet::errors::ParquetError;
use datafusion::parquet::file::metadata::{
    FileMetaData, ParquetMetaData, ParquetMetaDataBuilder, ParquetMetaDataReader,
};
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::failure::Problem;
use crate::remote::{Remote, Source};

/// Bytes that are read first, from the end: the footer of most files.
const FOOTER: usize = 64 * 1024;
/// Ranges with less than this between them are read as one.
const GAP: u64 = 256 * 1024;

/// Who reads Parquet of a table.
pub fn source(schema: TableSchema, remote: &Remote) -> Arc<dyn FileSource> {
    let readers = Arc::new(Readers(remote.clone()));
    let source = ParquetSource::new(schema)
        .with_metadata_size_hint(FOOTER)
        .with_enable_page_index(true)
        .with_parquet_file_reader_factory(readers);
    Arc::new(source)
}

#[derive(Debug)]
struct Readers(Remote);

impl ParquetFileReaderFactory for Readers {
    fn create_reader(
        &self,
        _: usize,
        file: PartitionedFile,
        hint: Option<usize>,
        _: &ExecutionPlanMetricsSet,
    ) -> Result<Box<dyn AsyncFileReader + Send>> {
        let source = file.extension::<Source>().cloned();
        let source = source.ok_or_else(|| Problem::Internal("a file without its object".to_owned()))?;
        Ok(Box::new(Reader { remote: self.0.clone(), source, hint }))
    }
}

/// Reads an object that is Parquet.
pub fn reader(remote: &Remote, source: Source) -> impl AsyncFileReader {
    Reader { remote: remote.clone(), source, hint: Some(FOOTER) }
}

struct Reader {
    remote: Remote,
    source: Source,
    hint: Option<usize>,
}

fn external(problem: Problem) -> ParquetError {
    ParquetError::External(Box::new(problem))
}

/// Ranges with little between them, together.
fn merged(ranges: &[Range<u64>]) -> Vec<Range<u64>> {
    let mut sorted = ranges.to_vec();
    sorted.sort_by_key(|range| range.start);
    let mut merged: Vec<Range<u64>> = Vec::new();
    for range in sorted {
        match merged.last_mut() {
            Some(last) if range.start <= last.end.saturating_add(GAP) => last.end = last.end.max(range.end),
            _ => merged.push(range),
        }
    }
    merged
}

impl AsyncFileReader for Reader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, Result<Bytes, ParquetError>> {
        async move { self.remote.bytes(&self.source, range).await.map_err(external) }.boxed()
    }

    fn get_byte_ranges(&mut self, ranges: Vec<Range<u64>>) -> BoxFuture<'_, Result<Vec<Bytes>, ParquetError>> {
        async move {
            let merged = merged(&ranges);
            let reads = merged.iter().map(|range| self.remote.bytes(&self.source, range.clone()));
            let parts = futures_util::future::try_join_all(reads).await.map_err(external)?;
            let cut = |range: &Range<u64>| {
                let at = merged.partition_point(|whole| whole.start <= range.start).checked_sub(1)?;
                let (whole, part) = (merged.get(at)?, parts.get(at)?);
                let from = usize::try_from(range.start - whole.start).ok()?;
                let to = usize::try_from(range.end - whole.start).ok()?;
                (to <= part.len()).then(|| part.slice(from..to))
            };
            ranges.iter().map(|range| cut(range).ok_or(ParquetError::EOF("a range was not read".to_owned()))).collect()
        }
        .boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, Result<Arc<ParquetMetaData>, ParquetError>> {
        async move {
            let (size, hint, path) = (self.source.size, self.hint, self.source.path());
            let reader = ParquetMetaDataReader::new().with_arrow_reader_options(options).with_prefetch_hint(hint);
            let found = reader.load_and_finish(self, size).await;
            found.map(|metadata| Arc::new(without_arrow(metadata))).map_err(|error| match error {
                ParquetError::External(_) => error,
                other => external(Problem::Data(format!("HIVE_BAD_DATA: {path} is no whole Parquet file: {other}"))),
            })
        }
        .boxed()
    }
}

/// Without the schema that Arrow's writers put beside Parquet's own: the catalog says what columns are, and what it cannot be read as is
/// an error of this file's even where nobody asks for it.
fn without_arrow(metadata: ParquetMetaData) -> ParquetMetaData {
    let file = metadata.file_metadata();
    let kept = file.key_value_metadata().map(|all| {
        let others = all.iter().filter(|pair| pair.key != ARROW_SCHEMA_META_KEY);
        others.cloned().collect()
    });
    let file = FileMetaData::new(
        file.version(),
        file.num_rows(),
        file.created_by().map(str::to_owned),
        kept,
        file.schema_descr_ptr(),
        file.column_orders().cloned(),
    );
    let mut all = metadata.into_builder();
    ParquetMetaDataBuilder::new(file)
        .set_row_groups(all.take_row_groups())
        .set_column_index(all.take_column_index())
        .set_offset_index(all.take_offset_index())
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_ranges_are_one() {
        let far = 2 * GAP;
        assert_eq!(merged(&[far..far + 5, 0..10, 12..20]), [0..20, far..far + 5]);
        assert_eq!(merged(&[0..10, 2..5]), std::slice::from_ref(&(0..10)));
        assert_eq!(merged(&[]), []);
    }
}
