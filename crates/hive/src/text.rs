//! Rows of text to fields, as Hive's serdes read them, and fields to values.
//!
//! Sources: the behaviour of Hive's `LazySimpleSerDe`, `OpenCSVSerde` (opencsv 2.3) and `RegexSerDe`, and of Trino's readers for them,
//! which Athena's engine version 3 has.

use std::borrow::Cow;

mod by_regex;
mod csv;
mod java_regex;
mod lazy;
#[cfg(test)]
mod tests;
pub mod values;

pub use by_regex::{RegexError, RegexRows};
pub use java_regex::translate;
pub use lazy::{MAX_LEVELS, Nested, check_levels, fields as lazy_fields, nested};

pub use csv::fields as csv_fields;

/// A field: `None` is NULL.
pub type Field<'a> = Option<Cow<'a, str>>;

/// Bytes as text; what is no UTF-8 is replaced (U+FFFD), as Hadoop's `Text` does.
pub fn decode(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}
