//! The lake that comments of a file in `tests/slt` describe. Its README says how.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use arrow::json::ReaderBuilder;
use bytes::Bytes;
use datafusion::parquet::arrow::ArrowWriter;
use millpond_hive::format::classes;
use millpond_hive::types::Type;
use millpond_query::{Partition, Storage, Table};

use crate::world::{Lake, column};

/// A format's name here, its classes and its SerDe's properties.
type FormatOf = (&'static str, classes::Classes, &'static [(&'static str, &'static str)]);

/// Words for formats, and what tables of them say: input format, SerDe, properties.
const FORMATS: &[FormatOf] = &[
    ("text", classes::TEXT, &[]),
    ("commas", classes::TEXT, &[("field.delim", ",")]),
    ("csv", (classes::TEXT_INPUT, classes::TEXT_OUTPUT, classes::OPEN_CSV), &[]),
    ("regex", (classes::TEXT_INPUT, classes::TEXT_OUTPUT, classes::REGEX), &[]),
    ("openx", (classes::TEXT_INPUT, classes::TEXT_OUTPUT, classes::JSON_OPENX), &[]),
    ("hcatalog", (classes::TEXT_INPUT, classes::TEXT_OUTPUT, classes::JSON_HCATALOG), &[]),
    ("json", classes::JSON, &[]),
    ("parquet", classes::PARQUET, &[]),
    ("links", (classes::SYMLINK_INPUT, classes::TEXT_OUTPUT, classes::LAZY_SIMPLE), &[("field.delim", ",")]),
    ("avro", classes::AVRO, &[]),
];

/// A directive, and the lines `#|` below it.
struct Directive<'a> {
    line: usize,
    word: &'a str,
    value: &'a str,
    body: Vec<&'a str>,
}

/// The lake of a file.
pub fn read(text: &str, path: &Path) -> Lake {
    let (mut lake, mut last) = (Lake::default(), None);
    for directive in directives(text) {
        if apply(&mut lake, &mut last, &directive).is_none() {
            panic!("{}:{}: # {}: {} makes no sense", path.display(), directive.line, directive.word, directive.value);
        }
    }
    lake
}

fn directives(text: &str) -> Vec<Directive<'_>> {
    const WORDS: &[&str] =
        &["table", "format", "serde", "property", "partitions", "partition", "location", "object", "parquet", "view"];
    let mut found: Vec<Directive> = Vec::new();
    for (at, line) in text.lines().enumerate() {
        if let (Some(content), Some(last)) = (line.strip_prefix("#|"), found.last_mut()) {
            last.body.push(content.strip_prefix(' ').unwrap_or(content));
            continue;
        }
        let Some((word, value)) = line.strip_prefix('#').and_then(|rest| rest.trim().split_once(':')) else { continue };
        if WORDS.contains(&word) {
            found.push(Directive { line: at + 1, word, value: value.trim(), body: Vec::new() });
        }
    }
    found
}

type Key = (String, String);

/// Carries out a directive; `None` where it cannot be.
fn apply(lake: &mut Lake, last: &mut Option<Key>, directive: &Directive) -> Option<()> {
    let Directive { word, value, body, .. } = directive;
    match *word {
        "table" => *last = Some(table(lake, value)?),
        "view" => {
            let (database, name) = qualified(value);
            let view = body.join("\n");
            let table = Table { database: database.clone(), name: name.clone(), view, ..Table::default() };
            lake.tables.insert((database, name), table);
        }
        "object" => {
            let lines: String = body.iter().map(|line| format!("{line}\n")).collect();
            let bytes = if value.ends_with(".gz") { gzip(lines.as_bytes()) } else { lines.into_bytes() };
            lake.objects.insert(("lake".into(), (*value).to_owned()), bytes.into());
        }
        "parquet" => {
            let (key, columns) = value.split_once(' ')?;
            lake.objects.insert(("lake".into(), key.to_owned()), parquet(columns, &body.join("\n"))?);
        }
        _ => return of_table(lake, last.as_ref()?, word, value),
    }
    Some(())
}

/// `name`, or `database.name`.
fn qualified(name: &str) -> Key {
    let (database, name) = name.split_once('.').unwrap_or(("db", name));
    (database.to_owned(), name.to_owned())
}

/// `name (a int, b string)`
fn table(lake: &mut Lake, value: &str) -> Option<Key> {
    let (name, described) = value.split_once(' ')?;
    let (database, name) = qualified(name);
    let storage = Storage {
        columns: columns(described)?.into_iter().map(|(name, kind)| column(name, kind)).collect(),
        location: format!("s3://lake/{name}/"),
        input_format: classes::TEXT.0.into(),
        serde: classes::TEXT.2.into(),
        ..Storage::default()
    };
    let table = Table { database: database.clone(), name: name.clone(), storage: Some(storage), ..Table::default() };
    lake.tables.insert((database.clone(), name.clone()), table);
    Some((database, name))
}

/// `(a int, b map<string,int>)`: a comma within a type has no blank behind it.
fn columns(text: &str) -> Option<Vec<(&str, &str)>> {
    let text = text.trim().strip_prefix('(')?.strip_suffix(')')?;
    text.split(", ").map(|one| one.trim().split_once(' ')).collect()
}

/// `key = value`; TAB is a tab.
fn pair(text: &str) -> Option<(String, String)> {
    let (key, value) = text.split_once('=')?;
    let value = if value.trim() == "TAB" { "\t" } else { value.trim() };
    Some((key.trim().to_owned(), value.to_owned()))
}

fn of_table(lake: &mut Lake, key: &Key, word: &str, value: &str) -> Option<()> {
    let table = lake.tables.get_mut(key)?;
    let storage = table.storage.as_mut()?;
    match word {
        "format" => {
            let (_, (input, _, serde), parameters) = FORMATS.iter().find(|(known, ..)| *known == value)?;
            storage.input_format = (*input).to_owned();
            storage.serde = (*serde).to_owned();
            let owned = parameters.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
            storage.serde_parameters.extend(owned);
        }
        "serde" => storage.serde_parameters.extend(pair(value)),
        "property" => table.parameters.extend(pair(value)),
        "location" => storage.location = value.to_owned(),
        "partitions" => {
            table.partition_keys = columns(value)?.into_iter().map(|(name, kind)| column(name, kind)).collect();
        }
        "partition" => {
            let (named, at) = value.split_once(" at ").map_or((value, None), |(named, at)| (named, Some(at)));
            let values = named.split('/').map(|one| Some(one.split_once('=')?.1.to_owned()));
            let location = at.map_or(format!("{}{named}/", storage.location), str::to_owned);
            let partition = Partition { values: values.collect::<Option<_>>()?, location };
            lake.partitions.entry(key.clone()).or_default().push(partition);
        }
        _ => return None,
    }
    Some(())
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A file of Parquet whose rows are lines of JSON.
fn parquet(described: &str, lines: &str) -> Option<Bytes> {
    let field = |(name, kind): (&str, &str)| Some(Field::new(name, arrow_of(&Type::parse(kind).ok()?), true));
    let fields: Option<Vec<Field>> = columns(described)?.into_iter().map(field).collect();
    let schema = Arc::new(Schema::new(fields?));
    let mut writer = ArrowWriter::try_new(Vec::new(), Arc::clone(&schema), None).unwrap();
    for batch in ReaderBuilder::new(schema).build(lines.as_bytes()).unwrap() {
        writer.write(&batch.unwrap()).unwrap();
    }
    Some(writer.into_inner().unwrap().into())
}

fn arrow_of(kind: &Type) -> DataType {
    match kind {
        Type::Boolean => DataType::Boolean,
        Type::TinyInt => DataType::Int8,
        Type::SmallInt => DataType::Int16,
        Type::Int => DataType::Int32,
        Type::BigInt => DataType::Int64,
        Type::Float => DataType::Float32,
        Type::Double => DataType::Float64,
        Type::Decimal { precision, scale } => DataType::Decimal128(*precision, scale.cast_signed()),
        Type::Char(_) | Type::Varchar(_) | Type::String => DataType::Utf8,
        Type::Binary => DataType::Binary,
        Type::Date => DataType::Date32,
        Type::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
        Type::Array(element) => DataType::List(Arc::new(Field::new("element", arrow_of(element), true))),
        Type::Map(key, value) => {
            let entry = vec![Field::new("key", arrow_of(key), false), Field::new("value", arrow_of(value), true)];
            DataType::Map(Arc::new(Field::new("key_value", DataType::Struct(entry.into()), false)), false)
        }
        Type::Struct(fields) => {
            DataType::Struct(fields.iter().map(|field| Field::new(&field.name, arrow_of(&field.kind), true)).collect())
        }
    }
}
