//! Formats of objects.

mod any_case;
mod build;
mod decompress;
mod json;
mod leaf;
mod lines;
mod named;
mod parquet;
mod rows;
mod text;

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::common::Result;
use datafusion::datasource::physical_plan::FileSource;
use datafusion::datasource::table_schema::TableSchema;
use millpond_hive::format::{Format, Layout};
use millpond_hive::text::check_levels;
use millpond_hive::types::Type;
use millpond_query::Storage;

use crate::failure::Problem;
use crate::remote::Remote;

pub use any_case::AnyCase;
pub use parquet::reader as parquet_reader;

/// What the classes and properties of a table or partition mean.
///
/// # Errors
/// They mean nothing that is read here.
pub fn layout(storage: &Storage, table: &BTreeMap<String, String>) -> Result<Layout> {
    // Crawlers write where in a document the rows are; readers of JSON read lines.
    if let Some(path) = table.get("jsonPath").filter(|path| path.as_str() != "$") {
        let words =
            format!("HIVE_UNSUPPORTED_FORMAT: rows at the JSON path {path} are not read; write one object a line");
        return Err(Problem::Data(words).into());
    }
    let (input, serde) = (Some(storage.input_format.as_str()), Some(storage.serde.as_str()));
    let layout = Layout::of(input, serde, &storage.serde_parameters, table);
    Ok(layout.map_err(|error| Problem::Data(format!("HIVE_UNSUPPORTED_FORMAT: {error}")))?)
}

/// Who reads a layout of these columns.
///
/// # Errors
/// It cannot be read here.
pub fn source(
    layout: &Layout,
    columns: &[(String, Type)],
    schema: TableSchema,
    remote: &Remote,
) -> Result<Arc<dyn FileSource>> {
    if let Some(serde) = rows::Serde::of(&layout.format, columns.len())? {
        if layout.skip_footer_lines > 0 {
            let words = "HIVE_UNSUPPORTED_FORMAT: skip.footer.line.count is not carried out".to_owned();
            return Err(Problem::Data(words).into());
        }
        if matches!(layout.format, Format::Text(_)) {
            levels(columns)?;
        }
        let (serde, columns) = (Arc::new(serde), Arc::new(columns.to_vec()));
        let lines = text::Lines { serde, columns, skipped: layout.skip_header_lines };
        return Ok(Arc::new(text::LineSource::new(lines, schema, remote.clone())));
    }
    match layout.format {
        Format::Parquet => Ok(Arc::new(named::Named(parquet::source(schema, remote)))),
        _ => Err(Problem::Data("HIVE_UNSUPPORTED_FORMAT: ORC is not read yet".to_owned()).into()),
    }
}

/// Whether there are separators for all levels of the columns.
fn levels(columns: &[(String, Type)]) -> Result<()> {
    for (name, kind) in columns {
        check_levels(kind).map_err(|why| Problem::Data(format!("HIVE_INVALID_METADATA: column {name}: {why}")))?;
    }
    Ok(())
}
