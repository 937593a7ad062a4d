//! Formats of objects.

mod any_case;
mod build;
mod json;
mod leaf;
mod lines;
mod named;
mod orc;
mod parquet;
mod rows;
mod text;
mod whole;

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::common::Result;
use datafusion::datasource::physical_plan::FileSource;
use datafusion::datasource::table_schema::TableSchema;
use millpond_hive::format::{By, Format, Layout};
use millpond_hive::text::check_levels;
use millpond_hive::types::Type;
use millpond_query::Storage;

use crate::failure::Problem;
use crate::remote::Remote;
use any_case::AnyCase;

/// Lines that are passed over at the end of an object at most, as they are held back (Hive's `hive.file.max.footer`).
const MAX_FOOTER: usize = 100;

pub use orc::described_by as orc_described;
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
        let footer = footer(layout)?;
        if matches!(layout.format, Format::Text(_)) {
            levels(columns)?;
        }
        let (serde, columns) = (Arc::new(serde), Arc::new(columns.to_vec()));
        let lines = text::Lines { serde, columns, skipped: layout.skip_header_lines, footer };
        return Ok(Arc::new(whole::WholeSource::new(lines, schema, remote.clone())));
    }
    Ok(match layout.format {
        Format::Orc(by) => {
            let source = whole::WholeSource::new(orc::Orc(by), schema, remote.clone());
            Arc::new(named::Named { source: Arc::new(source), format: "ORC" })
        }
        _ => Arc::new(named::Named { source: parquet::source(schema, remote), format: "Parquet" }),
    })
}

/// How the columns of objects become the table's, where the engine's own readers read them.
pub fn adapter(layout: &Layout) -> AnyCase {
    AnyCase(if layout.format == Format::Parquet(By::Place) { By::Place } else { By::Name })
}

/// How many lines are passed over at the end of an object.
fn footer(layout: &Layout) -> Result<usize> {
    // Hive's words.
    let too_many = || {
        let words = format!(
            "HIVE_INVALID_METADATA: footer number exceeds the limit defined in hive.file.max.footer: skip.footer.line.count is {}, and the limit {MAX_FOOTER}",
            layout.skip_footer_lines
        );
        Problem::Data(words)
    };
    let lines = usize::try_from(layout.skip_footer_lines).ok().filter(|lines| *lines <= MAX_FOOTER);
    Ok(lines.ok_or_else(too_many)?)
}

/// Whether there are separators for all levels of the columns.
fn levels(columns: &[(String, Type)]) -> Result<()> {
    for (name, kind) in columns {
        check_levels(kind).map_err(|why| Problem::Data(format!("HIVE_INVALID_METADATA: column {name}: {why}")))?;
    }
    Ok(())
}
