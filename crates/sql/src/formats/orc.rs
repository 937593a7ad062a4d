//! ORC: the end of an object, and of its stripes the columns that are wanted, one stripe at a time.

mod read;
mod shape;
mod tail;

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, new_null_array};
use arrow::datatypes::{Field, Schema};
use datafusion::common::Result;
use datafusion::datasource::physical_plan::FileOpenFuture;
use futures_util::stream::{self, BoxStream};
use futures_util::{FutureExt, StreamExt};
use millpond_hive::format::By;
use orc_rust::arrow_reader::ArrowReaderBuilder;
use orc_rust::projection::ProjectionMask;
use orc_rust::schema::RootDataType;

use super::whole::{Reads, Wanted};
use crate::failure::Problem;
use crate::remote::{Remote, Source};
use crate::types::described;
use read::{Reader, broken};

/// Reads ORC of a table whose columns are found in objects by their names or their places.
#[derive(Clone, Copy, Debug)]
pub struct Orc(pub By);

impl Reads for Orc {
    const NAME: &'static str = "orc";

    fn open(&self, remote: Remote, source: Source, wanted: &Arc<Wanted>) -> Result<FileOpenFuture> {
        Ok(opened(remote, source, self.0, Arc::clone(wanted)).boxed())
    }
}

/// What the columns of an object are, and how many rows it has.
///
/// # Errors
/// It is no whole object of ORC.
pub async fn described_by(remote: &Remote, source: Source) -> Result<(Schema, u64), Problem> {
    let builder = builder(remote.clone(), source).await?;
    Ok((Schema::clone(&builder.schema()), builder.file_metadata().number_of_rows()))
}

async fn builder(remote: Remote, source: Source) -> Result<ArrowReaderBuilder<Reader>, Problem> {
    let path = source.path();
    let tail = tail::read(&remote, &source).await?;
    let builder = ArrowReaderBuilder::try_new_async(Reader::new(remote, source, tail)).await;
    builder.map_err(|error| broken(&error, &path))
}

async fn opened(
    remote: Remote,
    source: Source,
    by: By,
    wanted: Arc<Wanted>,
) -> Result<BoxStream<'static, Result<RecordBatch>>> {
    let path: Arc<str> = source.path().into();
    let builder = builder(remote, source).await?.with_batch_size(wanted.batch);
    let root = builder.file_metadata().root_data_type();
    let found = places(root, by, &wanted);
    let mut chosen: Vec<usize> = found.iter().flatten().copied().collect();
    chosen.sort_unstable();
    chosen.dedup();
    if chosen.is_empty() {
        let rows = usize::try_from(builder.file_metadata().number_of_rows()).unwrap_or(usize::MAX);
        return Ok(nothing_but_rows(rows, wanted).boxed());
    }
    let children = chosen.iter().filter_map(|at| root.children().get(*at));
    let mask = ProjectionMask::roots(root, children.map(|child| child.data_type().column_index()));
    // Where each wanted column stands among those that are read.
    let columns: Vec<Option<usize>> = found.iter().map(|at| at.and_then(|at| chosen.binary_search(&at).ok())).collect();
    let builder = builder.with_projection(mask);
    let file = builder.schema();
    checked(&file, &columns, &wanted, &path)?;
    let asked = Arc::new(Schema::new(shape::asked(file.fields())));
    let batches = builder.with_schema(asked).build_async().map(move |batch| {
        let batch = batch.map_err(|error| broken(&error, &path))?;
        Ok(shaped((&batch, &file), &columns, &wanted, &path)?)
    });
    Ok(batches.boxed())
}

/// Where each wanted column is in the file; `None` where it is not.
fn places(root: &RootDataType, by: By, wanted: &Wanted) -> Vec<Option<usize>> {
    let names: Vec<&str> = root.children().iter().map(|child| child.name()).collect();
    // Hive wrote no names once, but numbers.
    let unnamed =
        names.iter().enumerate().all(|(at, name)| name.strip_prefix("_col").is_some_and(|n| n == at.to_string()));
    let place = |(at, field): (&usize, &Arc<Field>)| match by {
        By::Place => Some(*at).filter(|at| *at < names.len()),
        By::Name if unnamed => Some(*at).filter(|at| *at < names.len()),
        By::Name => shape::position(&names, field.name()),
    };
    wanted.places.iter().zip(wanted.schema.fields()).map(place).collect()
}

/// Refuses columns whose types do not go together, in Trino's words.
fn checked(file: &Schema, columns: &[Option<usize>], wanted: &Wanted, path: &str) -> Result<(), Problem> {
    for (field, at) in wanted.schema.fields().iter().zip(columns) {
        let Some(found) = at.and_then(|at| file.fields().get(at)) else { continue };
        if !shape::fits(found.data_type(), field.data_type()) {
            return Err(Problem::Data(format!(
                "HIVE_BAD_DATA: Malformed ORC file. Cannot read SQL type '{}' of the column {} from ORC stream '.{}' of type {} [{path}]",
                described(field).kind,
                field.name(),
                found.name(),
                shape::word(found.data_type()),
            )));
        }
    }
    Ok(())
}

/// What was read, as the table has it; `file` has the file's types.
fn shaped(
    (batch, file): (&RecordBatch, &Schema),
    columns: &[Option<usize>],
    wanted: &Wanted,
    path: &str,
) -> Result<RecordBatch, Problem> {
    let rows = batch.num_rows();
    let shaped = |(field, at): (&Arc<Field>, &Option<usize>)| {
        let found = at.and_then(|at| Some((batch.columns().get(at)?, file.fields().get(at)?)));
        let Some((array, found)) = found else { return Ok(new_null_array(field.data_type(), rows)) };
        shape::shaped(array, found.data_type(), field.data_type()).map_err(|error| {
            let name = field.name();
            Problem::Data(format!("HIVE_BAD_DATA: Malformed ORC file. The column {name}: {error} [{path}]"))
        })
    };
    let arrays = wanted.schema.fields().iter().zip(columns).map(shaped).collect::<Result<Vec<ArrayRef>, Problem>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    let made = RecordBatch::try_new_with_options(Arc::clone(&wanted.schema), arrays, &options);
    made.map_err(|error| broken(&error, path))
}

/// The rows of an object that has none of the wanted columns.
fn nothing_but_rows(rows: usize, wanted: Arc<Wanted>) -> impl futures_util::Stream<Item = Result<RecordBatch>> {
    stream::iter((0..rows).step_by(wanted.batch.max(1))).map(move |from| {
        let count = wanted.batch.max(1).min(rows - from);
        let arrays = wanted.schema.fields().iter().map(|field| new_null_array(field.data_type(), count)).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(count));
        Ok(RecordBatch::try_new_with_options(Arc::clone(&wanted.schema), arrays, &options)?)
    })
}
