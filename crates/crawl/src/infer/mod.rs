//! The format and the schema of a text.

mod csv;
mod json;
mod json_path;
mod values;

use millpond_hive::types::Type;

pub(crate) use csv::estimate;
pub use csv::{CsvRules, CsvSerde, Header};
pub use json_path::{JsonPath, JsonPathError};

use crate::found::Found;
use crate::grok::{self, Grok};
use crate::sample::Text;

/// A classifier that somebody wrote.
#[derive(Clone, Debug)]
pub enum Classifier {
    /// Text with delimiters.
    Csv(CsvRules),
    /// JSON.
    Json(JsonPath),
    /// Lines by a pattern.
    Grok(Grok),
}

/// What begins a document of XML.
const XML: &str = "<?xml";

/// The format of a text: by the first classifier that knows it, or else by the built-in ones in Glue's order (JSON, logs, CSV). `None` for what none
/// of them knows.
pub fn classify(text: &Text, custom: &[Classifier]) -> Option<Found> {
    let by = |classifier: &Classifier| match classifier {
        Classifier::Csv(rules) => csv::infer(text, rules),
        Classifier::Json(path) => json::infer(text, path),
        Classifier::Grok(grok) => grok::infer(text, grok),
    };
    if let Some(found) = custom.iter().find_map(by) {
        return Some(found);
    }
    let begin = text.text.trim_start();
    if begin.is_empty() || begin.starts_with(XML) {
        return None;
    }
    if begin.starts_with(['{', '[']) {
        // Text that only begins like JSON may be anything else.
        if let Some(found) = json::infer(text, &JsonPath::root()) {
            return Some(found);
        }
    }
    grok::built_in().iter().find_map(|grok| grok::infer(text, grok)).or_else(|| csv::infer(text, &CsvRules::default()))
}

/// The data types of CSV classifiers (`CustomDatatypes`; Developer Guide, "Writing CSV custom classifiers").
pub fn datatype(name: &str) -> Result<Type, TypeNameError> {
    Ok(match name.to_ascii_uppercase().as_str() {
        "BINARY" => Type::Binary,
        "BOOLEAN" => Type::Boolean,
        "DATE" => Type::Date,
        "DECIMAL" => Type::Decimal { precision: 38, scale: 18 },
        "DOUBLE" => Type::Double,
        "FLOAT" => Type::Float,
        "INT" => Type::Int,
        "LONG" => Type::BigInt,
        "SHORT" => Type::SmallInt,
        "STRING" => Type::String,
        "TIMESTAMP" => Type::Timestamp,
        _ => return Err(TypeNameError(name.to_owned())),
    })
}

/// A name that is no data type of a classifier.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0} is no data type of a CSV classifier: BINARY, BOOLEAN, DATE, DECIMAL, DOUBLE, FLOAT, INT, LONG, SHORT, STRING, TIMESTAMP are"
)]
pub struct TypeNameError(String);
