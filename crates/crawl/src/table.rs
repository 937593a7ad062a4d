//! What the catalog keeps of a table that was found: its name, the classes that read it, and the properties that crawlers write.

use std::fmt::Write;

use millpond_hive::format::{Properties, Storage, classes, property};
use millpond_hive::names::{MAX_NAME_BYTES, derived};
use sha2::{Digest, Sha256};

use crate::found::{Csv, Found, Layout};

/// The version of what crawlers write.
const SERIALIZER: &str = "1.0";
/// Bytes of a hash in a name.
const HASH: usize = 16;

/// How much there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Files.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Rows, about.
    pub records: u64,
}

fn pairs<const N: usize>(pairs: [(&str, String); N]) -> Properties {
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// The classes and properties by which files are read.
pub fn storage(found: &Found) -> Storage {
    let ((input, output, serde), parameters) = match &found.layout {
        Layout::Parquet => (classes::PARQUET, pairs([("serialization.format", "1".to_owned())])),
        // Columns are merged by their names, so they are found by them too: the default of ORC is by places.
        Layout::Orc => (classes::ORC, pairs([(property::ORC_BY_PLACE, "false".to_owned())])),
        Layout::Json { mappings, .. } => {
            let keys = found.columns.iter().map(|column| mappings.get(&column.name).unwrap_or(&column.name).as_str());
            let mut parameters = pairs([("paths", keys.collect::<Vec<_>>().join(","))]);
            parameters.extend(mappings.iter().map(|(name, key)| (format!("mapping.{name}"), key.clone())));
            ((classes::TEXT_INPUT, classes::TEXT_OUTPUT, classes::JSON_OPENX), parameters)
        }
        Layout::Csv(csv) => csv_storage(csv),
        Layout::Regex { pattern, .. } => {
            let parameters = pairs([("input.regex", pattern.clone())]);
            ((classes::TEXT_INPUT, classes::TEXT_OUTPUT, classes::REGEX), parameters)
        }
    };
    Storage { input_format: input.to_owned(), output_format: output.to_owned(), serde: serde.to_owned(), parameters }
}

fn csv_storage(csv: &Csv) -> (classes::Classes, Properties) {
    let delimiter = csv.delimiter.to_string();
    if csv.open {
        let escape = if csv.quote == '\\' || csv.delimiter == '\\' { "\0" } else { "\\" };
        let parameters = pairs([
            ("separatorChar", delimiter),
            ("quoteChar", csv.quote.to_string()),
            ("escapeChar", escape.to_owned()),
        ]);
        return ((classes::TEXT_INPUT, classes::TEXT_OUTPUT, classes::OPEN_CSV), parameters);
    }
    (classes::TEXT, pairs([("field.delim", delimiter)]))
}

/// The properties that crawlers write, of a table or a partition. `keys`: whether it is a table with partitions.
pub fn properties(found: &Found, figures: Figures, crawler: &str, keys: bool) -> Properties {
    let mut all = pairs([
        ("classification", found.classification.clone()),
        ("compressionType", found.compression.name().to_owned()),
        ("typeOfData", "file".to_owned()),
        ("objectCount", figures.objects.to_string()),
        ("recordCount", figures.records.to_string()),
        ("averageRecordSize", (figures.bytes / figures.records.max(1)).to_string()),
        ("sizeKey", figures.bytes.to_string()),
        ("UPDATED_BY_CRAWLER", crawler.to_owned()),
        ("CrawlerSchemaSerializerVersion", SERIALIZER.to_owned()),
        ("CrawlerSchemaDeserializerVersion", SERIALIZER.to_owned()),
    ]);
    match &found.layout {
        Layout::Csv(csv) => {
            all.extend(pairs([
                ("delimiter", csv.delimiter.to_string()),
                ("areColumnsQuoted", csv.open.to_string()),
                ("columnsOrdered", "true".to_owned()),
            ]));
            if csv.header {
                all.insert("skip.header.line.count".to_owned(), "1".to_owned());
            }
        }
        Layout::Json { path, .. } if path != "$" => _ = all.insert("jsonPath".to_owned(), path.clone()),
        Layout::Regex { grok, .. } => _ = all.insert("grokPattern".to_owned(), grok.clone()),
        _ => {}
    }
    if keys {
        all.insert("partition_filtering.enabled".to_owned(), "true".to_owned());
    }
    all
}

/// The name of a table: the prefix, and what its folder or file is called.
pub fn table_name(prefix: &str, folder: &str) -> String {
    derived(&format!("{prefix}{folder}"))
}

/// A name for a table whose name is taken: the same one for the same location.
pub fn hashed_name(name: &str, location: &str) -> String {
    let mut hash = String::with_capacity(2 * HASH + 1);
    for byte in Sha256::digest(location.as_bytes()).iter().take(HASH) {
        let _ = write!(hash, "{byte:02x}");
    }
    let mut cut = name.len().min(MAX_NAME_BYTES - 2 * HASH - 1);
    while !name.is_char_boundary(cut) {
        cut -= 1;
    }
    format!("{}_{hash}", name.get(..cut).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use millpond_hive::format::{Format, Layout as Read};

    use super::*;
    use crate::infer::{Classifier, CsvRules, JsonPath};
    use crate::sample::{Sniffed, sniff};

    fn classified(text: &str, custom: &[Classifier]) -> Found {
        let Sniffed::Text(text) = sniff("x", text.as_bytes(), text.len() as u64) else { panic!() };
        crate::classify(&text, custom).unwrap()
    }

    #[test]
    fn what_is_written_is_read() {
        for (text, custom, serde) in [
            ("a,b\n1,2\n", vec![], "text"),
            ("a\u{1}b\n1\u{1}2\n", vec![], "text"),
            ("a,b\n\"1\",2\n", vec![], "csv"),
            ("'a'|'b'\n'1'|'2'\n", vec![Classifier::Csv(CsvRules { quote: Some('\''), ..CsvRules::default() })], "csv"),
            ("{\"a-b\":1}\n", vec![], "json"),
            ("[{\"a\":1}]", vec![Classifier::Json(JsonPath::parse("$[*]").unwrap())], "json"),
            ("Feb  1 06:25:43 host kernel: booted\n", vec![], "regex"),
        ] {
            let found = classified(text, &custom);
            let storage = storage(&found);
            let table = properties(&found, Figures { objects: 1, bytes: 10, records: 2 }, "c", false);
            let read =
                Read::of(Some(&storage.input_format), Some(&storage.serde), &storage.parameters, &table).unwrap();
            let as_expected = match (&read.format, serde) {
                (Format::Text(_), "text") | (Format::OpenCsv(_), "csv") | (Format::Regex(_), "regex") => true,
                (Format::Json(json), "json") => {
                    !text.contains("a-b") || json.mappings.get("a_b").is_some_and(|key| key == "a-b")
                }
                _ => false,
            };
            assert!(as_expected, "{text:?} {read:?}");
            let header = text.starts_with("a") || text.starts_with("'a");
            assert_eq!(read.skip_header_lines, u64::from(header), "{text:?}");
            assert_eq!((table["objectCount"].as_str(), table["averageRecordSize"].as_str()), ("1", "5"));
        }
    }

    #[test]
    fn names() {
        assert_eq!(table_name("Raw-", "Daily Flights.csv"), "raw_daily_flights_csv");
        let (a, b) = (hashed_name("t", "s3://b/t/"), hashed_name("t", "s3://b/u/t/"));
        assert!(a != b && a.starts_with("t_") && a.len() == 34 && a == hashed_name("t", "s3://b/t/"));
        assert!(hashed_name(&"é".repeat(200), "x").len() <= MAX_NAME_BYTES);
    }
}
