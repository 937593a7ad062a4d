//! How rows lie in files: from the clauses of DDL to the classes that the catalog keeps, and from these to what a reader does.
//!
//! Sources: Hive wiki, "LanguageManual DDL" (storage formats) and "SerDe"; Athena User Guide, "Supported SerDes and data formats".

use std::collections::BTreeMap;

use crate::ddl::{CreateTable, Delimited, RowFormat, StoredAs};

pub mod classes;
mod read;
#[cfg(test)]
mod tests;

pub use read::{By, Format, Json, JsonSerde, Layout, LazySimple, OpenCsv, RegexFormat};

/// Names of properties of serdes and tables, as Hive spells them.
pub mod property {
    /// Between fields.
    pub const FIELD: &str = "field.delim";
    /// As [`FIELD`]; a number is a code, `1` for `^A`.
    pub const SERIALIZATION: &str = "serialization.format";
    /// Before a character that is to be taken as it is.
    pub const ESCAPE: &str = "escape.delim";
    /// Between items of an array and fields of a struct; misspelt in Hive 2, which Glue's catalog follows.
    pub const COLLECTION: &str = "colelction.delim";
    /// As [`COLLECTION`], spelt right.
    pub const COLLECTION_TOO: &str = "collection.delim";
    /// Between a key and its value.
    pub const MAP_KEY: &str = "mapkey.delim";
    /// Between rows.
    pub const LINE: &str = "line.delim";
    /// What stands for NULL.
    pub const NULL: &str = "serialization.null.format";
    /// Whether the last column has the rest of the row, separators included.
    pub const LAST_TAKES_REST: &str = "serialization.last.column.takes.rest";
    /// The charset.
    pub const ENCODING: &str = "serialization.encoding";
    /// Patterns of timestamps, with commas between them.
    pub const TIMESTAMPS: &str = "timestamp.formats";
    /// RegexSerDe's pattern.
    pub const REGEX: &str = "input.regex";
    /// Whether RegexSerDe's pattern ignores case.
    pub const REGEX_CASE: &str = "input.regex.case.insensitive";
    /// Whether columns of Parquet are found by their places.
    pub const PARQUET_BY_PLACE: &str = "parquet.column.index.access";
    /// Whether columns of ORC are found by their places.
    pub const ORC_BY_PLACE: &str = "orc.column.index.access";
    /// A table's: lines passed over at the beginning of each file.
    pub const SKIP_HEADER: &str = "skip.header.line.count";
    /// A table's: lines passed over at the end of each file.
    pub const SKIP_FOOTER: &str = "skip.footer.line.count";
}

/// Properties, by name.
pub type Properties = BTreeMap<String, String>;

/// The classes and properties that the catalog keeps of a table's storage.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Storage {
    /// Hadoop's class that reads files.
    pub input_format: String,
    /// Hadoop's class that writes files.
    pub output_format: String,
    /// Hive's class that reads rows.
    pub serde: String,
    /// What is set for it.
    pub parameters: Properties,
}

/// Why rows cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum FormatError {
    #[error("the {what} '{class}' is not known")]
    Unknown { what: &'static str, class: String },
    #[error("the {what} '{class}' is not supported: {reason}")]
    Refused { what: &'static str, class: String, reason: &'static str },
    #[error("the serde '{serde}' does not read files of the input format '{input}'")]
    Mismatch { serde: String, input: String },
    #[error("the table names neither a serde nor an input format")]
    Nothing,
    #[error("the property \"{property}\" is '{value}'; it must be {must}")]
    Value { property: &'static str, value: String, must: &'static str },
    #[error("This table does not have serde property \"{0}\"!")]
    Missing(&'static str),
    #[error("The separator, quote, and escape characters must be different!")]
    SameCharacters,
}

impl Storage {
    /// What the catalog keeps of `ROW FORMAT`, `STORED AS` and `WITH SERDEPROPERTIES`.
    pub fn of(table: &CreateTable) -> Self {
        let (input, output, serde) = match &table.stored_as {
            None | Some(StoredAs::TextFile) => classes::TEXT,
            Some(StoredAs::Parquet) => classes::PARQUET,
            Some(StoredAs::Orc) => classes::ORC,
            Some(StoredAs::Avro) => classes::AVRO,
            Some(StoredAs::SequenceFile) => classes::SEQUENCE,
            Some(StoredAs::RcFile) => classes::RC,
            Some(StoredAs::JsonFile) => classes::JSON,
            Some(StoredAs::Ion) => classes::ION,
            Some(StoredAs::Classes { input, output }) => (input.as_str(), output.as_str(), classes::LAZY_SIMPLE),
        };
        let mut parameters = Properties::new();
        let mut serde = serde.to_owned();
        match &table.row_format {
            Some(RowFormat::Serde(class)) => serde.clone_from(class),
            Some(RowFormat::Delimited(format)) => delimited(format, &mut parameters),
            None => {}
        }
        parameters.extend(table.serde_properties.clone());
        parameters.entry(property::SERIALIZATION.to_owned()).or_insert_with(|| "1".to_owned());
        Self { input_format: input.to_owned(), output_format: output.to_owned(), serde, parameters }
    }
}

/// The properties of each clause, as Hive sets them.
fn delimited(format: &Delimited, parameters: &mut Properties) {
    for (name, value) in [
        (property::FIELD, &format.fields),
        (property::SERIALIZATION, &format.fields),
        (property::ESCAPE, &format.escape),
        (property::COLLECTION, &format.items),
        (property::MAP_KEY, &format.keys),
        (property::LINE, &format.lines),
        (property::NULL, &format.null),
    ] {
        if let Some(value) = value {
            parameters.insert(name.to_owned(), value.clone());
        }
    }
}
