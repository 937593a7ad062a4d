//! What people wrote about crawlers and classifiers, as it is kept, and as it is shown.

use millpond_api_glue as api;
use millpond_crawl::{Classifier, CsvRules, CsvSerde, Grok, Header, JsonPath, datatype};
use millpond_types::Timestamp;
use prost::Message;

use super::rows::ClassifierRow;
use crate::errors::{GlueError, invalid};

/// Of a crawler.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct CrawlerBody {
    #[prost(string, tag = "1")]
    pub role: String,
    #[prost(string, tag = "2")]
    pub database: String,
    #[prost(string, tag = "3")]
    pub description: String,
    #[prost(message, repeated, tag = "4")]
    pub folders: Vec<FolderBody>,
    #[prost(message, repeated, tag = "5")]
    pub catalog: Vec<CatalogBody>,
    #[prost(string, repeated, tag = "6")]
    pub classifiers: Vec<String>,
    #[prost(string, tag = "7")]
    pub prefix: String,
    /// Values of `UpdateBehavior`, `DeleteBehavior` and `RecrawlBehavior`.
    #[prost(string, tag = "8")]
    pub update: String,
    #[prost(string, tag = "9")]
    pub delete: String,
    #[prost(string, tag = "10")]
    pub recrawl: String,
    #[prost(string, tag = "11")]
    pub configuration: String,
}

/// A target in S3.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct FolderBody {
    #[prost(string, tag = "1")]
    pub path: String,
    #[prost(string, repeated, tag = "2")]
    pub exclusions: Vec<String>,
    #[prost(uint32, optional, tag = "3")]
    pub sample: Option<u32>,
    #[prost(string, optional, tag = "4")]
    pub queue: Option<String>,
    #[prost(string, optional, tag = "5")]
    pub dead_letters: Option<String>,
}

/// Tables that are a target.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct CatalogBody {
    #[prost(string, tag = "1")]
    pub database: String,
    #[prost(string, repeated, tag = "2")]
    pub tables: Vec<String>,
}

/// What came of a crawl.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct CrawlBody {
    #[prost(string, optional, tag = "1")]
    pub error: Option<String>,
    #[prost(message, required, tag = "2")]
    pub tables: ChangesBody,
    #[prost(message, required, tag = "3")]
    pub partitions: ChangesBody,
    /// Names of tables that were added, updated and deleted: the first of each.
    #[prost(string, repeated, tag = "4")]
    pub added: Vec<String>,
    #[prost(string, repeated, tag = "5")]
    pub updated: Vec<String>,
    #[prost(string, repeated, tag = "6")]
    pub deleted: Vec<String>,
}

/// How many were changed.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(crate) struct ChangesBody {
    #[prost(uint64, tag = "1")]
    pub added: u64,
    #[prost(uint64, tag = "2")]
    pub updated: u64,
    #[prost(uint64, tag = "3")]
    pub deleted: u64,
}

impl CrawlBody {
    /// `CrawlerHistory.Summary`: what was added, updated and deleted, as JSON.
    pub fn summary(&self) -> String {
        let mut all = serde_json::Map::new();
        let tables = [
            ("ADD", self.tables.added, &self.added),
            ("UPDATE", self.tables.updated, &self.updated),
            ("DELETE", self.tables.deleted, &self.deleted),
        ];
        let of_tables: serde_json::Map<_, _> = tables
            .into_iter()
            .filter(|(_, count, _)| *count > 0)
            .map(|(what, count, names)| {
                (what.to_owned(), serde_json::json!({"Details": {"names": names}, "Count": count}))
            })
            .collect();
        let partitions =
            [("ADD", self.partitions.added), ("UPDATE", self.partitions.updated), ("DELETE", self.partitions.deleted)];
        let of_partitions: serde_json::Map<_, _> = partitions
            .into_iter()
            .filter(|(_, count)| *count > 0)
            .map(|(what, count)| (what.to_owned(), serde_json::json!({"Count": count})))
            .collect();
        for (what, of) in [("TABLE", of_tables), ("PARTITION", of_partitions)] {
            if !of.is_empty() {
                all.insert(what.to_owned(), of.into());
            }
        }
        serde_json::Value::from(all).to_string()
    }
}

impl CrawlerBody {
    pub fn targets(&self) -> api::CrawlerTargets {
        let folder = |folder: &FolderBody| api::S3Target {
            path: Some(folder.path.clone()),
            exclusions: Some(folder.exclusions.clone()),
            sample_size: folder.sample.and_then(|size| i32::try_from(size).ok()),
            event_queue_arn: folder.queue.clone(),
            dlq_event_queue_arn: folder.dead_letters.clone(),
            ..api::S3Target::default()
        };
        let tables = |of: &CatalogBody| api::CatalogTarget {
            database_name: of.database.clone(),
            tables: of.tables.clone(),
            ..api::CatalogTarget::default()
        };
        api::CrawlerTargets {
            s3_targets: Some(self.folders.iter().map(folder).collect()),
            jdbc_targets: Some(Vec::new()),
            mongo_db_targets: Some(Vec::new()),
            dynamo_db_targets: Some(Vec::new()),
            catalog_targets: Some(self.catalog.iter().map(tables).collect()),
            delta_targets: Some(Vec::new()),
            iceberg_targets: Some(Vec::new()),
            hudi_targets: Some(Vec::new()),
        }
    }
}

/// Of a classifier: exactly one of the three.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct ClassifierBody {
    #[prost(message, optional, tag = "1")]
    pub csv: Option<CsvBody>,
    /// The path of a JSON classifier.
    #[prost(string, optional, tag = "2")]
    pub json: Option<String>,
    #[prost(message, optional, tag = "3")]
    pub grok: Option<GrokBody>,
}

/// Of a CSV classifier.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct CsvBody {
    #[prost(string, optional, tag = "1")]
    pub delimiter: Option<String>,
    #[prost(string, optional, tag = "2")]
    pub quote: Option<String>,
    /// A value of `CsvHeaderOption`.
    #[prost(string, optional, tag = "3")]
    pub header: Option<String>,
    #[prost(string, repeated, tag = "4")]
    pub names: Vec<String>,
    #[prost(bool, optional, tag = "5")]
    pub untrimmed: Option<bool>,
    #[prost(bool, optional, tag = "6")]
    pub single: Option<bool>,
    #[prost(bool, optional, tag = "7")]
    pub typed: Option<bool>,
    #[prost(string, repeated, tag = "8")]
    pub types: Vec<String>,
    /// A value of `CsvSerdeOption`.
    #[prost(string, optional, tag = "9")]
    pub serde: Option<String>,
}

/// Of a grok classifier.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct GrokBody {
    #[prost(string, tag = "1")]
    pub classification: String,
    #[prost(string, tag = "2")]
    pub pattern: String,
    #[prost(string, optional, tag = "3")]
    pub custom: Option<String>,
}

fn character(what: &str, text: Option<&String>) -> Result<Option<char>, GlueError> {
    let Some(text) = text else { return Ok(None) };
    let mut chars = text.chars();
    match (chars.next(), chars.next()) {
        (Some(c), None) => Ok(Some(c)),
        _ => invalid(format!("{what} must be one character.")),
    }
}

impl CsvBody {
    fn rules(&self) -> Result<CsvRules, GlueError> {
        let types = self.types.iter().map(|name| datatype(name)).collect::<Result<Vec<_>, _>>();
        let types = types.map_err(|error| GlueError::Invalid(error.to_string()))?;
        let typed = self.typed.unwrap_or_default();
        if typed && !self.names.is_empty() && !types.is_empty() && types.len() != self.names.len() {
            return invalid("CustomDatatypes must have as many items as Header.");
        }
        let delimiter = character("Delimiter", self.delimiter.as_ref())?;
        let quote = character("QuoteSymbol", self.quote.as_ref())?;
        if quote.is_some() && quote == delimiter.or(Some(',')) {
            return invalid("Delimiter and QuoteSymbol must be different.");
        }
        Ok(CsvRules {
            delimiter: Some(delimiter.unwrap_or(',')),
            quote,
            header: match self.header.as_deref() {
                Some("PRESENT") => Header::Present,
                Some("ABSENT") => Header::Absent,
                _ => Header::Unknown,
            },
            names: self.names.clone(),
            untrimmed: self.untrimmed.unwrap_or_default(),
            single: self.single.unwrap_or_default(),
            types: if typed { types } else { Vec::new() },
            serde: match self.serde.as_deref() {
                Some("OpenCSVSerDe") => CsvSerde::Open,
                Some("LazySimpleSerDe") => CsvSerde::Lazy,
                _ => CsvSerde::Fitting,
            },
        })
    }
}

impl ClassifierBody {
    /// Ready to be asked.
    pub fn compiled(&self) -> Result<Classifier, GlueError> {
        match self {
            Self { csv: Some(csv), .. } => Ok(Classifier::Csv(csv.rules()?)),
            Self { json: Some(path), .. } => match JsonPath::parse(path) {
                Ok(path) => Ok(Classifier::Json(path)),
                Err(error) => invalid(format!("{error}.")),
            },
            Self { grok: Some(grok), .. } => {
                let custom = grok.custom.as_deref().unwrap_or_default();
                match Grok::new(&grok.classification, &grok.pattern, custom) {
                    Ok(grok) => Ok(Classifier::Grok(grok)),
                    Err(error) => invalid(format!("{error}.")),
                }
            }
            _ => Err(GlueError::Internal("a classifier of no kind".to_owned())),
        }
    }

    pub fn show(self, name: String, row: &ClassifierRow) -> api::Classifier {
        let (created, updated) = (Some(Timestamp(row.created)), Some(Timestamp(row.updated)));
        let version = i64::try_from(row.version).ok();
        let mut shown = api::Classifier::default();
        if let Some(csv) = self.csv {
            shown.csv_classifier = Some(api::CsvClassifier {
                name,
                creation_time: created,
                last_updated: updated,
                version,
                delimiter: csv.delimiter,
                quote_symbol: csv.quote,
                contains_header: csv.header.as_deref().and_then(api::CsvHeaderOption::parse),
                header: Some(csv.names),
                disable_value_trimming: csv.untrimmed,
                allow_single_column: csv.single,
                custom_datatype_configured: csv.typed,
                custom_datatypes: Some(csv.types),
                serde: csv.serde.as_deref().and_then(api::CsvSerdeOption::parse),
            });
        } else if let Some(json_path) = self.json {
            let json = api::JsonClassifier { name, creation_time: created, last_updated: updated, version, json_path };
            shown.json_classifier = Some(json);
        } else if let Some(grok) = self.grok {
            shown.grok_classifier = Some(api::GrokClassifier {
                name,
                classification: grok.classification,
                creation_time: created,
                last_updated: updated,
                version,
                grok_pattern: grok.pattern,
                custom_patterns: grok.custom,
            });
        }
        shown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summaries() {
        assert_eq!(CrawlBody::default().summary(), "{}");
        let body = CrawlBody {
            tables: ChangesBody { added: 1, ..ChangesBody::default() },
            partitions: ChangesBody { added: 3, deleted: 2, ..ChangesBody::default() },
            added: vec!["t".into()],
            ..CrawlBody::default()
        };
        let summary: serde_json::Value = serde_json::from_str(&body.summary()).unwrap();
        assert_eq!(summary["TABLE"]["ADD"], serde_json::json!({"Details": {"names": ["t"]}, "Count": 1}));
        assert_eq!(summary["PARTITION"], serde_json::json!({"ADD": {"Count": 3}, "DELETE": {"Count": 2}}));
    }
}
