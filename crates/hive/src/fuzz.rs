//! Entry points for fuzzing: hostile statements, patterns, expressions and files of links give an error or an answer, never a panic or a hang.

use crate::ddl;
use crate::format::RegexFormat;
use crate::predicate::Predicate;
use crate::symlink::targets;
use crate::text::RegexRows;

/// Keys of every type that expressions may ask for.
const KEYS: &[(&str, &str)] = &[
    ("dt", "string"),
    ("n", "int"),
    ("day", "date"),
    ("price", "decimal(10,2)"),
    ("at", "timestamp"),
    ("big", "bigint"),
];

/// A statement of Hive's language. One that ends is of a kind.
pub fn statement(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let _ = ddl::single(text);
    if ddl::parse(text).is_ok() {
        assert!(ddl::kind_of(text).is_ok(), "a statement of no kind was read");
    }
}

/// A pattern of RegexSerDe; behind the first line break, a line that it reads.
pub fn row_pattern(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (pattern, line) = text.split_once('\n').unwrap_or((text, ""));
    let format = RegexFormat { pattern: pattern.to_owned(), case_insensitive: line.len() % 2 == 1 };
    if let Ok(rows) = RegexRows::new(&format, 2) {
        assert_eq!(rows.fields(line.as_bytes()).len(), 2);
    }
}

/// An expression over partition keys, asked of a partition.
pub fn partition_expression(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(predicate) = Predicate::parse(text, KEYS) {
        let values = ["2019-01-01", "7", "2019-01-01", "1.50", "2019-01-01 00:00:00", "x"].map(str::to_owned);
        let _ = predicate.holds(&values);
    }
}

/// A file of links.
pub fn links(data: &[u8]) {
    let _ = targets(data);
}
