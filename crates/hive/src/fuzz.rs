//! Entry points for fuzzing: hostile statements, patterns, expressions, files of links and compressed objects give an error or an answer, never a panic or a hang.

use bytes::Bytes;

use crate::compression::{Compression, Decoder};
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

/// What is unfolded of an object at most.
const MAX_UNFOLDED: usize = 4 * 1024 * 1024;

/// A compressed object, behind a byte that says how it is compressed and how it is cut: in pieces it unfolds to what it is as a whole.
pub fn compressed(data: &[u8]) {
    let Some((kind, object)) = data.split_first() else { return };
    let kind = usize::from(*kind);
    let Some(compression) = Compression::ALL.get(kind % Compression::ALL.len()) else { return };
    let (whole, parts) = (unfolded(*compression, object, object.len()), unfolded(*compression, object, 1 + kind / 8));
    assert!(whole == parts, "pieces unfold to something else");
}

/// What an object unfolds to, given in pieces of a size; `None` where it is broken, or more than is unfolded.
fn unfolded(compression: Compression, object: &[u8], piece: usize) -> Option<Vec<u8>> {
    let mut decoder = Decoder::of(compression).ok()??;
    let mut out = Vec::new();
    for part in object.chunks(piece.max(1)) {
        let mut part = Bytes::copy_from_slice(part);
        while !part.is_empty() {
            out.extend_from_slice(&decoder.some(&mut part).ok()?);
            if out.len() > MAX_UNFOLDED {
                return None;
            }
        }
    }
    out.extend_from_slice(&decoder.end().ok()?);
    Some(out)
}
