//! Lines as rows, by the SerDe of a table.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use millpond_hive::format::{Format, Json, LazySimple, OpenCsv};
use millpond_hive::text::values::Pattern;
use millpond_hive::text::{Field, Nested, RegexRows, csv_fields, lazy_fields, nested};
use millpond_hive::types::Type;

use super::build::Builder;
use super::{json, leaf};
use crate::failure::Problem;

/// How lines are read, ready for rows.
#[derive(Clone, Debug)]
pub enum Serde {
    /// LazySimpleSerDe
    Lazy(LazySimple, Vec<Pattern>),
    /// OpenCSVSerde
    Csv(OpenCsv),
    /// RegexSerDe
    Regex(RegexRows),
    /// A JSON serde.
    Json(Json, Vec<Pattern>),
}

fn patterns(texts: &[String]) -> Result<Vec<Pattern>, Problem> {
    let read =
        |text: &String| Pattern::parse(text).map_err(|error| Problem::Data(format!("HIVE_INVALID_METADATA: {error}")));
    texts.iter().map(read).collect()
}

impl Serde {
    /// Of a format of lines; `None` for others.
    ///
    /// # Errors
    /// Its properties cannot be carried out.
    pub fn of(format: &Format, columns: usize) -> Result<Option<Self>, Problem> {
        Ok(Some(match format {
            Format::Text(lazy) => Self::Lazy(lazy.clone(), patterns(&lazy.timestamp_formats)?),
            Format::OpenCsv(csv) => Self::Csv(csv.clone()),
            Format::Regex(regex) => {
                let rows = RegexRows::new(regex, columns);
                Self::Regex(rows.map_err(|error| Problem::Data(format!("HIVE_INVALID_METADATA: {error}")))?)
            }
            Format::Json(json) => Self::Json(json.clone(), patterns(&json.timestamp_formats)?),
            Format::Parquet(_) | Format::Orc(_) => return Ok(None),
        }))
    }
}

/// Makes batches of lines.
pub struct Decoder {
    serde: Arc<Serde>,
    /// All columns of the file.
    columns: Arc<Vec<(String, Type)>>,
    /// Where each column stands among those that are wanted.
    places: Vec<Option<usize>>,
    builders: Vec<Builder>,
    rows: usize,
    schema: SchemaRef,
    path: String,
}

fn arrow(error: &ArrowError) -> Problem {
    Problem::Data(error.to_string())
}

impl Decoder {
    /// For the wanted columns of a file; `schema` has them.
    pub fn new(
        serde: Arc<Serde>,
        columns: Arc<Vec<(String, Type)>>,
        wanted: &[usize],
        schema: SchemaRef,
        path: String,
    ) -> Self {
        let mut places = vec![None; columns.len()];
        let mut builders = Vec::with_capacity(wanted.len());
        for at in wanted {
            if let (Some(place), Some((_, kind))) = (places.get_mut(*at), columns.get(*at)) {
                *place = Some(builders.len());
                builders.push(Builder::new(kind));
            }
        }
        Self { serde, columns, places, builders, rows: 0, schema, path }
    }

    /// Rows that wait.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Reads a line.
    ///
    /// # Errors
    /// It is no row, with the object and the line.
    pub fn line(&mut self, number: u64, line: &[u8]) -> Result<(), Problem> {
        let serde = Arc::clone(&self.serde);
        match &*serde {
            Serde::Lazy(format, patterns) => self.lazy(line, format, patterns)?,
            Serde::Csv(format) => {
                let fields = csv_fields(line, format, self.columns.len());
                self.texts(number, &fields, Strict::Yes)?;
            }
            Serde::Regex(rows) => {
                let fields = rows.fields(line);
                self.texts(number, &fields, Strict::No)?;
            }
            Serde::Json(format, patterns) => {
                if line.iter().all(u8::is_ascii_whitespace) {
                    return Ok(());
                }
                let row = json::Row { columns: &self.columns, places: &self.places, format, patterns };
                if let Err(why) = row.read(line, &mut self.builders) {
                    return Err(Problem::Data(format!("HIVE_BAD_DATA: {} line {number}: {why}", self.path)));
                }
            }
        }
        self.rows += 1;
        Ok(())
    }

    fn lazy(&mut self, line: &[u8], format: &LazySimple, patterns: &[Pattern]) -> Result<(), Problem> {
        let fields = lazy_fields(line, format, self.columns.len());
        for ((raw, (_, kind)), place) in fields.into_iter().zip(self.columns.iter()).zip(&self.places) {
            let Some(builder) = place.and_then(|place| self.builders.get_mut(place)) else { continue };
            push_nested(builder, &nested(raw, kind, format), format, patterns).map_err(|error| arrow(&error))?;
        }
        Ok(())
    }

    fn texts(&mut self, number: u64, fields: &[Field<'_>], strict: Strict) -> Result<(), Problem> {
        for ((field, (name, kind)), place) in fields.iter().zip(self.columns.iter()).zip(&self.places) {
            let Some(builder) = place.and_then(|place| self.builders.get_mut(place)) else { continue };
            let Some(text) = field else {
                builder.null().map_err(|error| arrow(&error))?;
                continue;
            };
            let counts = matches!(strict, Strict::Yes);
            let is_value = counts && leaf::push_count(builder, text)
                || leaf::push(builder, text.as_bytes(), || Cow::Borrowed(text), &[]);
            if !is_value && matches!(strict, Strict::Yes) {
                return Err(Problem::Data(format!(
                    "HIVE_BAD_DATA: {} line {number}: column {name}: {text:?} is no {kind}",
                    self.path
                )));
            }
        }
        Ok(())
    }

    /// The rows so far.
    ///
    /// # Errors
    /// Arrow's.
    pub fn finish(&mut self) -> Result<RecordBatch, ArrowError> {
        let columns: Result<Vec<ArrayRef>, ArrowError> = self.builders.iter_mut().map(Builder::finish).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(std::mem::take(&mut self.rows)));
        RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns?, &options)
    }
}

/// Whether what is no value is an error; else it is NULL.
#[derive(Clone, Copy)]
enum Strict {
    Yes,
    No,
}

fn push_nested(
    builder: &mut Builder,
    value: &Nested<'_>,
    format: &LazySimple,
    patterns: &[Pattern],
) -> Result<(), ArrowError> {
    match (builder, value) {
        (builder, Nested::Raw(raw)) => {
            leaf::push(builder, raw, || value.text(format).unwrap_or_default(), patterns);
        }
        (Builder::List(lists), Nested::Array(items)) => {
            for item in items {
                push_nested(&mut lists.items, item, format, patterns)?;
            }
            lists.spans.end(lists.items.len(), true)?;
        }
        (Builder::Map(maps), Nested::Map(entries)) => {
            for (key, value) in entries {
                push_nested(&mut maps.keys, key, format, patterns)?;
                push_nested(&mut maps.values, value, format, patterns)?;
            }
            maps.spans.end(maps.keys.len(), true)?;
        }
        (Builder::Struct(rows), Nested::Struct(fields)) => {
            for (at, column) in rows.columns.iter_mut().enumerate() {
                push_nested(column, fields.get(at).unwrap_or(&Nested::Null), format, patterns)?;
            }
            rows.valid.append_non_null();
        }
        (builder, _) => builder.null()?,
    }
    Ok(())
}
