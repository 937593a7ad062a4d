//! What `SHOW` and `DESCRIBE` print, line by line, as Athena lays it out.
//!
//! Sources: Athena User Guide, "SHOW CREATE TABLE", "DESCRIBE", "SHOW TABLES"; Hive's layouts, by their output.

use crate::ddl::{Buckets, CreateTable, Name};
use crate::format::{Properties, Storage, classes, property};
use crate::types::{AsDdl, Type};

mod filter;
#[cfg(test)]
mod tests;

pub use filter::{Filter, FilterError};

/// How wide Hive makes a column of its output.
const WIDTH: usize = 20;
/// A line of Hive's output that is empty.
const BLANK: &str = "\t \t ";

/// A column or partition key, as the catalog has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type's text.
    pub kind: String,
    /// What people wrote about it.
    pub comment: Option<String>,
}

/// A table, as the catalog has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// Its database and name.
    pub database: String,
    /// Its name.
    pub name: String,
    /// `EXTERNAL_TABLE` or `VIRTUAL_VIEW`.
    pub table_type: String,
    /// The columns, without partition keys.
    pub columns: Vec<Column>,
    /// The partition keys.
    pub partition_keys: Vec<Column>,
    /// What people wrote about it.
    pub comment: Option<String>,
    /// `CLUSTERED BY`
    pub buckets: Option<Buckets>,
    /// Classes and serde properties.
    pub storage: Storage,
    /// Where it lies, as written.
    pub location: Option<String>,
    /// `TBLPROPERTIES`
    pub properties: Properties,
}

impl Table {
    /// The table that a statement makes, in the database that is current.
    pub fn of(statement: &CreateTable, current: &str) -> Self {
        let columns = |columns: &[crate::ddl::Column]| {
            let column = |c: &crate::ddl::Column| Column {
                name: c.name.clone(),
                kind: c.kind.to_string(),
                comment: c.comment.clone(),
            };
            columns.iter().map(column).collect()
        };
        Self {
            database: statement.name.database.clone().unwrap_or_else(|| current.to_owned()),
            name: statement.name.name.clone(),
            table_type: "EXTERNAL_TABLE".to_owned(),
            columns: columns(&statement.columns),
            partition_keys: columns(&statement.partitioned_by),
            comment: statement.comment.clone(),
            buckets: statement.buckets.clone(),
            storage: Storage::of(statement),
            location: statement.location.clone(),
            properties: statement.properties.clone(),
        }
    }
}

/// A name in backticks.
pub fn quoted_name(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// A string in single quotes, which DDL reads as this text.
pub fn quoted_text(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('\'');
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\'' => out.push_str("\\'"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('\'');
    out
}

/// `SHOW CREATE TABLE`
pub fn create_table(table: &Table) -> Vec<String> {
    let mut lines = vec![format!("CREATE EXTERNAL TABLE {}(", quoted_name(&table.name))];
    columns(&table.columns, &mut lines);
    if let Some(comment) = &table.comment {
        lines.push(format!("COMMENT {}", quoted_text(comment)));
    }
    if !table.partition_keys.is_empty() {
        lines.push("PARTITIONED BY ( ".to_owned());
        columns(&table.partition_keys, &mut lines);
    }
    if let Some(Buckets { columns, count }) = &table.buckets {
        lines.push("CLUSTERED BY ( ".to_owned());
        let names: Vec<String> = columns.iter().map(|name| format!("  {}", quoted_name(name))).collect();
        lines.extend(ended(names, ", ", ") "));
        lines.push(format!("INTO {count} BUCKETS"));
    }
    row_format(&table.storage, &mut lines);
    lines.push("STORED AS INPUTFORMAT ".to_owned());
    lines.push(format!("  {} ", quoted_text(&table.storage.input_format)));
    lines.push("OUTPUTFORMAT ".to_owned());
    lines.push(format!("  {}", quoted_text(&table.storage.output_format)));
    if let Some(location) = &table.location {
        lines.push("LOCATION".to_owned());
        lines.push(format!("  {}", quoted_text(location)));
    }
    if !table.properties.is_empty() {
        lines.push("TBLPROPERTIES (".to_owned());
        lines.extend(ended(pairs(table.properties.iter()), ", ", ")"));
    }
    lines
}

/// Lines with a separator after each, and an end after the last.
fn ended(mut lines: Vec<String>, separator: &str, end: &str) -> Vec<String> {
    let last = lines.len().saturating_sub(1);
    for (index, line) in lines.iter_mut().enumerate() {
        line.push_str(if index == last { end } else { separator });
    }
    lines
}

fn pairs<'a>(properties: impl Iterator<Item = (&'a String, &'a String)>) -> Vec<String> {
    properties.map(|(name, value)| format!("  {}={}", quoted_text(name), quoted_text(value))).collect()
}

fn columns(columns: &[Column], lines: &mut Vec<String>) {
    let line = |column: &Column| {
        let comment = column.comment.as_ref().map_or(String::new(), |c| format!(" COMMENT {}", quoted_text(c)));
        // What is no type of ours is shown as it is.
        let kind = Type::parse(&column.kind).map_or_else(|_| column.kind.clone(), |kind| AsDdl(&kind).to_string());
        format!("  {} {kind}{comment}", quoted_name(&column.name))
    };
    lines.extend(ended(columns.iter().map(line).collect(), ", ", ")"));
}

/// The clauses of `DELIMITED`, by the properties that they set.
const DELIMITED: [(&str, &str); 6] = [
    (property::FIELD, "FIELDS TERMINATED BY"),
    (property::ESCAPE, "ESCAPED BY"),
    (property::COLLECTION, "COLLECTION ITEMS TERMINATED BY"),
    (property::MAP_KEY, "MAP KEYS TERMINATED BY"),
    (property::LINE, "LINES TERMINATED BY"),
    (property::NULL, "NULL DEFINED AS"),
];

fn row_format(storage: &Storage, lines: &mut Vec<String>) {
    let parameters = &storage.parameters;
    if is_delimited(storage) {
        lines.push("ROW FORMAT DELIMITED ".to_owned());
        for (name, clause) in DELIMITED {
            if let Some(value) = parameters.get(name) {
                lines.push(format!("  {clause} {} ", quoted_text(value)));
            }
        }
        return;
    }
    lines.push("ROW FORMAT SERDE ".to_owned());
    lines.push(format!("  {} ", quoted_text(&storage.serde)));
    // The default is not shown.
    let shown = parameters.iter().filter(|(name, value)| *name != property::SERIALIZATION || *value != "1");
    let shown = pairs(shown);
    if !shown.is_empty() {
        lines.push("WITH SERDEPROPERTIES ( ".to_owned());
        lines.extend(ended(shown, ", ", ") "));
    }
}

/// Whether the clauses of `DELIMITED` say all of the serde's properties.
fn is_delimited(storage: &Storage) -> bool {
    let parameters = &storage.parameters;
    let fields = parameters.get(property::FIELD);
    let format = parameters.get(property::SERIALIZATION);
    let known = |name: &String| name == property::SERIALIZATION || DELIMITED.iter().any(|(known, _)| known == name);
    storage.serde == classes::LAZY_SIMPLE
        && parameters.keys().all(known)
        && parameters.keys().any(|name| name != property::SERIALIZATION)
        && format.is_some_and(|format| fields.map_or(format == "1", |fields| fields == format))
        && parameters.get(property::LINE).is_none_or(|line| line == "\n")
}

/// `SHOW CREATE VIEW`
pub fn create_view(name: &Name, query: &str) -> Vec<String> {
    let database =
        name.database.as_ref().map_or(String::new(), |database| format!("\"{}\".", database.replace('"', "\"\"")));
    let mut lines = vec![format!("CREATE VIEW {database}\"{}\" AS", name.name.replace('"', "\"\""))];
    lines.extend(query.lines().map(str::to_owned));
    lines
}

/// Text as wide as a column of Hive's output.
fn padded(text: &str) -> String {
    format!("{text:<WIDTH$}")
}

fn described(column: &Column) -> String {
    let comment = column.comment.as_deref().unwrap_or_default().replace(['\n', '\r', '\t'], " ");
    format!("{}\t{}\t{}", padded(&column.name), padded(&column.kind), padded(&comment))
}

fn header() -> String {
    format!("# {}\t{}\t{}", padded("col_name"), padded("data_type"), padded("comment"))
}

fn partition_information(table: &Table, lines: &mut Vec<String>) {
    if !table.partition_keys.is_empty() {
        lines.extend([BLANK.to_owned(), "# Partition Information\t \t ".to_owned(), header(), BLANK.to_owned()]);
        lines.extend(table.partition_keys.iter().map(described));
    }
}

/// `DESCRIBE`: the columns, the partition keys among them, and the partition keys once more.
pub fn describe(table: &Table) -> Vec<String> {
    let mut lines: Vec<String> = table.columns.iter().chain(&table.partition_keys).map(described).collect();
    partition_information(table, &mut lines);
    lines
}

/// `DESCRIBE` of one column.
pub fn describe_column(column: &Column) -> Vec<String> {
    vec![header(), BLANK.to_owned(), described(column)]
}

/// `DESCRIBE EXTENDED`
pub fn describe_extended(table: &Table) -> Vec<String> {
    let map = |properties: &Properties| {
        let pairs: Vec<String> = properties.iter().map(|(name, value)| format!("{name}={value}")).collect();
        format!("{{{}}}", pairs.join(", "))
    };
    let Storage { input_format, output_format, serde, parameters } = &table.storage;
    let mut lines = describe(table);
    lines.push(BLANK.to_owned());
    lines.push(format!(
        "Detailed Table Information\tTable(tableName:{}, dbName:{}, location:{}, inputFormat:{input_format}, \
         outputFormat:{output_format}, serializationLib:{serde}, serdeParameters:{}, parameters:{}, tableType:{})\t",
        table.name,
        table.database,
        table.location.as_deref().unwrap_or("null"),
        map(parameters),
        map(&table.properties),
        table.table_type,
    ));
    lines
}

/// `DESCRIBE FORMATTED`
pub fn describe_formatted(table: &Table) -> Vec<String> {
    let mut lines = vec![header(), BLANK.to_owned()];
    lines.extend(table.columns.iter().map(described));
    partition_information(table, &mut lines);
    let row = |name: &str, value: &str| format!("{}\t{}\t ", padded(name), padded(value));
    let listed = |properties: &Properties| -> Vec<String> {
        properties.iter().map(|(name, value)| format!("\t{}\t{}", padded(name), padded(value))).collect()
    };
    lines.extend([BLANK.to_owned(), "# Detailed Table Information\t \t ".to_owned()]);
    lines.push(row("Database:", &table.database));
    lines.push(row("Location:", table.location.as_deref().unwrap_or_default()));
    lines.push(row("Table Type:", &table.table_type));
    if !table.properties.is_empty() {
        lines.push("Table Parameters:\t \t ".to_owned());
        lines.extend(listed(&table.properties));
    }
    let (count, columns) = match &table.buckets {
        Some(buckets) => (buckets.count.to_string(), buckets.columns.join(", ")),
        None => ("-1".to_owned(), String::new()),
    };
    lines.extend([BLANK.to_owned(), "# Storage Information\t \t ".to_owned()]);
    lines.push(row("SerDe Library:", &table.storage.serde));
    lines.push(row("InputFormat:", &table.storage.input_format));
    lines.push(row("OutputFormat:", &table.storage.output_format));
    lines.push(row("Num Buckets:", &count));
    lines.push(row("Bucket Columns:", &format!("[{columns}]")));
    if !table.storage.parameters.is_empty() {
        lines.push("Storage Desc Params:\t \t ".to_owned());
        lines.extend(listed(&table.storage.parameters));
    }
    lines
}

/// `SHOW COLUMNS`
pub fn show_columns(table: &Table) -> Vec<String> {
    table.columns.iter().chain(&table.partition_keys).map(|column| padded(&column.name)).collect()
}

/// `SHOW TBLPROPERTIES`: all of them, or the value of one.
pub fn show_properties(table: &Table, property: Option<&str>) -> Vec<String> {
    match property {
        None => table.properties.iter().map(|(name, value)| format!("{name}\t{value}")).collect(),
        Some(name) => vec![match table.properties.get(name) {
            Some(value) => value.clone(),
            None => format!("Table {}.{} does not have property: {name}", table.database, table.name),
        }],
    }
}
