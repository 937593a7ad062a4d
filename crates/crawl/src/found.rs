//! What was found in a file, and in files and folders together.

use std::collections::BTreeMap;

use millpond_hive::compression::Compression;
use millpond_hive::types::Type;

use crate::schema::{SIMILAR, Shape, columns_of, similarity};

/// A column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name, as the catalog has it.
    pub name: String,
    /// Its type so far.
    pub shape: Shape,
    /// Whether a value was empty or missing.
    pub gaps: bool,
}

impl Column {
    /// Without gaps.
    pub fn new(name: &str, shape: Shape) -> Self {
        Self { name: name.to_owned(), shape, gaps: false }
    }
}

/// Text with delimiters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Csv {
    /// Between fields.
    pub delimiter: char,
    /// Around fields, where OpenCSVSerde reads them.
    pub quote: char,
    /// Whether OpenCSVSerde reads it; else LazySimpleSerDe does.
    pub open: bool,
    /// Whether the first line has names.
    pub header: bool,
    /// The columns, if the first line has names or has none, other than [`Self::header`] says: other files of the table may know better. `None` where a
    /// classifier has said so.
    pub otherwise: Option<Vec<Column>>,
}

/// How rows lie in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Parquet
    Parquet,
    /// ORC
    Orc,
    /// JSON
    Json {
        /// Where the rows are.
        path: String,
        /// Columns whose keys have other characters than they.
        mappings: BTreeMap<String, String>,
        /// Whether each row is a line, which is what readers want.
        lines: bool,
    },
    /// Text with delimiters.
    Csv(Csv),
    /// Lines that a regular expression takes apart.
    Regex {
        /// In Java's language.
        pattern: String,
        /// What it was made of.
        grok: String,
    },
}

/// What a file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// `csv`, `json`, `parquet`, ...
    pub classification: String,
    /// How files are compressed.
    pub compression: Compression,
    /// How rows lie in them.
    pub layout: Layout,
    /// The columns, by place.
    pub columns: Vec<Column>,
    /// About how many rows there are.
    pub records: u64,
    /// Whether this is a guess that other files must confirm: one line of text.
    pub weak: bool,
}

/// Of a file that has a schema of its own: columns and Hive's types. Types that are none are text.
pub fn known(layout: Layout, columns: &[(String, String)], records: u64) -> Found {
    let classification = if layout == Layout::Orc { "orc" } else { "parquet" };
    let mut all: Vec<Column> = Vec::with_capacity(columns.len());
    for (name, kind) in columns {
        let name = name.to_lowercase();
        if !all.iter().any(|column| column.name == name) {
            all.push(Column::new(&name, Shape::of(Type::parse(kind).unwrap_or(Type::String))));
        }
    }
    Found {
        classification: classification.to_owned(),
        compression: Compression::None,
        layout,
        columns: all,
        records,
        weak: false,
    }
}

impl Layout {
    /// Whether one reader reads both.
    fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Json { path, .. }, Self::Json { path: other, .. }) => path == other,
            (Self::Csv(a), Self::Csv(b)) => a.delimiter == b.delimiter && a.quote == b.quote && a.header == b.header,
            _ => self == other,
        }
    }

    /// Whether columns are found by their places.
    fn by_place(&self) -> bool {
        matches!(self, Self::Csv(_) | Self::Regex { .. })
    }
}

impl Found {
    /// Whether files of both can be in one table: the same format and compression, and where columns are found by their places, the same ones there.
    pub fn is_compatible(&self, other: &Self) -> bool {
        let places = || self.columns.iter().zip(&other.columns).all(|(a, b)| a.name == b.name);
        self.classification == other.classification
            && self.compression == other.compression
            && self.layout.is_like(&other.layout)
            && (!self.layout.by_place() || places())
    }

    /// Whether files of both are in one table: they can be, and their schemas are similar.
    pub fn is_similar(&self, other: &Self) -> bool {
        self.is_compatible(other) && similarity(&self.columns, &other.columns) >= SIMILAR
    }

    /// As the other files of a table have it, where that is another reading of the same text: with or without names in the first line.
    pub fn read_as(&self, other: &Self) -> Option<Self> {
        let (Layout::Csv(mine), Layout::Csv(theirs)) = (&self.layout, &other.layout) else { return None };
        let otherwise = mine.otherwise.as_ref()?;
        if mine.header == theirs.header {
            return None;
        }
        // Names are confirmed by names; that there are none, by nothing but types.
        let same = otherwise.len() == other.columns.len()
            && otherwise.iter().zip(&other.columns).all(|(a, b)| a.name == b.name);
        if !same || !theirs.header {
            return None;
        }
        let csv = Csv { header: theirs.header, otherwise: None, ..mine.clone() };
        let records = self.records.saturating_sub(u64::from(theirs.header));
        Some(Self { layout: Layout::Csv(csv), columns: otherwise.clone(), records, weak: false, ..self.clone() })
    }

    /// Both together. They must be compatible.
    pub fn absorb(&mut self, other: &Self) {
        self.columns = columns_of(&self.columns, &other.columns);
        self.records = self.records.saturating_add(other.records);
        match (&mut self.layout, &other.layout) {
            (Layout::Csv(mine), Layout::Csv(theirs)) => mine.open |= theirs.open,
            (Layout::Json { mappings, lines, .. }, Layout::Json { mappings: more, lines: also, .. }) => {
                mappings.extend(more.clone());
                *lines &= *also;
            }
            _ => {}
        }
    }

    /// The columns as the catalog has them. OpenCSVSerde reads no dates but numbers of days, and no empty text as anything else than text.
    pub fn settled(&self) -> Vec<(String, Type)> {
        let open = matches!(&self.layout, Layout::Csv(csv) if csv.open);
        let settle = |column: &Column| match column.shape {
            Shape::Date | Shape::Timestamp if open => Type::String,
            Shape::Boolean | Shape::Int | Shape::BigInt | Shape::Double if open && column.gaps => Type::String,
            _ => column.shape.kind(),
        };
        self.columns.iter().map(|column| (column.name.clone(), settle(column))).collect()
    }
}
