//! Names of databases, tables and columns, locations, and the folders of partitions.
//!
//! Sources: Athena User Guide, "Name databases, tables, and columns"; Glue API, `NameString`; Hive's `FileUtils.escapePathName`
//! and `Warehouse.makeSpecFromName`, by their behaviour.

use std::fmt;

/// The longest name, in bytes: Glue's limit.
pub const MAX_NAME_BYTES: usize = 255;
/// The longest location, in bytes: Glue's limit for `LocationString` is 2,056, S3's for keys 1,024.
pub const MAX_LOCATION_BYTES: usize = 2_056;
/// What stands in a folder's name for NULL and for empty text.
pub const DEFAULT_PARTITION: &str = "__HIVE_DEFAULT_PARTITION__";

/// Why a name or location is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum NameError {
    #[error("the name of a {what} is empty")]
    Empty { what: &'static str },
    #[error("the name of a {what} has at most {MAX_NAME_BYTES} bytes")]
    TooLong { what: &'static str },
    #[error("the name of a {what} cannot have the character {found:?}")]
    Character { what: &'static str, found: char },
    #[error("the location '{location}' is not of the form s3://BUCKET/PREFIX: {reason}")]
    Location { location: String, reason: &'static str },
}

/// A name as the catalog keeps it: lower case. `what` is `database`, `table` or `column`, for the error.
pub fn canonical(what: &'static str, name: &str) -> Result<String, NameError> {
    if name.is_empty() {
        return Err(NameError::Empty { what });
    }
    if name.len() > MAX_NAME_BYTES {
        return Err(NameError::TooLong { what });
    }
    // Glue's "single-line string pattern"; a slash would part the resource of an ARN.
    let bad = |c: char| (c.is_control() && c != '\t') || (what != "column" && c == '/');
    match name.chars().find(|c| bad(*c)) {
        Some(found) => Err(NameError::Character { what, found }),
        None => Ok(name.to_lowercase()),
    }
}

/// A name made of any text, as crawlers make them: lower case, and whatever is no letter or digit is an underscore.
pub fn derived(text: &str) -> String {
    let name: String = text.to_lowercase().chars().map(|c| if c.is_alphanumeric() { c } else { '_' }).collect();
    match name.char_indices().find(|(at, c)| at + c.len_utf8() > MAX_NAME_BYTES) {
        Some((end, _)) => name.get(..end).unwrap_or_default().to_owned(),
        None => name,
    }
}

/// A place in S3.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Location {
    /// The bucket.
    pub bucket: String,
    /// What keys begin with, as written; empty for the whole bucket.
    pub prefix: String,
}

impl Location {
    /// Reads `s3://BUCKET/PREFIX`; `s3a` and `s3n`, which Hadoop writes, mean the same.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let refused = |reason| NameError::Location { location: text.to_owned(), reason };
        if text.len() > MAX_LOCATION_BYTES {
            return Err(refused("it is too long"));
        }
        let (scheme, rest) = text.split_once("://").ok_or_else(|| refused("it has no scheme"))?;
        if !["s3", "s3a", "s3n"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
            return Err(refused("the scheme is not s3"));
        }
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let fits = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, b'-' | b'.' | b'_');
        if !(3..=255).contains(&bucket.len()) || !bucket.bytes().all(|c| fits(c) || c.is_ascii_uppercase()) {
            return Err(refused("the bucket's name is none"));
        }
        if prefix.chars().any(char::is_control) {
            return Err(refused("it has control characters"));
        }
        if prefix.contains(['*', '?']) {
            return Err(refused("wildcards are not expanded; name the folder"));
        }
        Ok(Self { bucket: bucket.to_owned(), prefix: prefix.to_owned() })
    }

    /// The prefix with a slash at its end, so that `a/b` does not take in `a/bc`.
    pub fn folder(&self) -> String {
        match self.prefix.is_empty() || self.prefix.ends_with('/') {
            true => self.prefix.clone(),
            false => format!("{}/", self.prefix),
        }
    }

    /// A folder in this one.
    pub fn join(&self, path: &str) -> Self {
        let path = path.trim_matches('/');
        Self { bucket: self.bucket.clone(), prefix: format!("{}{path}/", self.folder()) }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}/{}", self.bucket, self.prefix)
    }
}

/// Whether queries pass an object over: a part of its key below the table's folder begins with `_` or `.`.
pub fn is_hidden(below: &str) -> bool {
    // A folder of a partition may be of a key that begins with an underscore.
    below.split('/').any(|part| part.starts_with('.') || (part.starts_with('_') && !part.contains('=')))
}

/// A value as it stands in a folder's name; the empty one is [`DEFAULT_PARTITION`].
pub fn escape(value: &str) -> String {
    if value.is_empty() {
        return DEFAULT_PARTITION.to_owned();
    }
    let mut out = String::with_capacity(value.len());
    for c in value.chars() {
        match c {
            '\u{0}'..='\u{1f}'
            | '\u{7f}'
            | '"'
            | '#'
            | '%'
            | '\''
            | '*'
            | '/'
            | ':'
            | '='
            | '?'
            | '\\'
            | '{'
            | '['
            | ']'
            | '^' => out.push_str(&format!("%{:02X}", u32::from(c))),
            c => out.push(c),
        }
    }
    out
}

/// The value that stands in a folder's name. `%` without two digits of base 16 stays.
pub fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        out.push_str(rest.get(..at).unwrap_or_default());
        let hex = rest.get(at + 1..at + 3).filter(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()));
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            // As in Hive, what is escaped is a character, not a byte of UTF-8.
            Some(code) => {
                out.push(char::from(code));
                rest = rest.get(at + 3..).unwrap_or_default();
            }
            None => {
                out.push('%');
                rest = rest.get(at + 1..).unwrap_or_default();
            }
        }
    }
    out.push_str(rest);
    out
}

/// The folders of a partition: `key=value/key=value`.
pub fn partition_path<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let folders: Vec<String> =
        pairs.into_iter().map(|(key, value)| format!("{}={}", escape(&key.to_lowercase()), escape(value))).collect();
    folders.join("/")
}

/// The partition that one folder's name tells: `key=value`, with the key in lower case.
pub fn partition_folder(name: &str) -> Option<(String, String)> {
    let (key, value) = name.split_once('=')?;
    if key.is_empty() || value.is_empty() {
        return None;
    }
    Some((unescape(key).to_lowercase(), unescape(value)))
}

/// The values that the folders of a path below a table's tell, when they are the table's keys in their order. Further folders say nothing.
pub fn partition_values(below: &str, keys: &[String]) -> Option<Vec<String>> {
    let mut folders = below.split('/');
    keys.iter()
        .map(|key| {
            let (found, value) = partition_folder(folders.next()?)?;
            (found == *key).then_some(value)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_lower_case() {
        assert_eq!(canonical("table", "Ünits-2").unwrap(), "ünits-2");
        for (what, name, message) in [
            ("table", "", "the name of a table is empty"),
            ("table", "a/b", "the name of a table cannot have the character '/'"),
            ("column", "a\nb", "the name of a column cannot have the character '\\n'"),
        ] {
            assert_eq!(canonical(what, name).unwrap_err().to_string(), message);
        }
        assert!(canonical("column", "a/b").is_ok());
        assert!(canonical("table", &"a".repeat(255)).is_ok() && canonical("table", &"a".repeat(256)).is_err());
        assert_eq!(derived("Daily-Flights 2030.csv"), "daily_flights_2030_csv");
        assert!(derived(&"é".repeat(300)).len() <= MAX_NAME_BYTES);
    }

    #[test]
    fn locations() {
        for (text, bucket, prefix, folder) in [
            ("s3://lake/a/b/", "lake", "a/b/", "a/b/"),
            ("s3://lake/a/b", "lake", "a/b", "a/b/"),
            ("S3A://lake", "lake", "", ""),
            ("s3n://lake/", "lake", "", ""),
            ("s3://lake//x", "lake", "/x", "/x/"),
        ] {
            let location = Location::parse(text).unwrap();
            assert_eq!((location.bucket.as_str(), location.prefix.as_str()), (bucket, prefix), "{text}");
            assert_eq!(location.folder(), folder, "{text}");
        }
        assert_eq!(Location::parse("s3://lake/t").unwrap().join("/d=1/").to_string(), "s3://lake/t/d=1/");
        for (text, reason) in [
            ("", "it has no scheme"),
            ("lake/a", "it has no scheme"),
            ("https://lake/a", "the scheme is not s3"),
            ("s3:///a", "the bucket's name is none"),
            ("s3://la ke/a", "the bucket's name is none"),
            ("s3://lake/a/*.csv", "wildcards are not expanded; name the folder"),
            ("s3://lake/a\n", "it has control characters"),
        ] {
            let message = format!("the location '{text}' is not of the form s3://BUCKET/PREFIX: {reason}");
            assert_eq!(Location::parse(text).unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn folders_of_partitions() {
        for (value, escaped) in [
            ("2030-01-02", "2030-01-02"),
            ("2030-01-02 03:04:05", "2030-01-02 03%3A04%3A05"),
            ("a/b=c%", "a%2Fb%3Dc%25"),
            ("", DEFAULT_PARTITION),
            ("é{}", "é%7B}"),
            ("\u{1}\u{7f}", "%01%7F"),
        ] {
            assert_eq!(escape(value), escaped);
        }
        for (text, value) in [("%zz%4", "%zz%4"), ("%41%e9", "Aé"), ("100%", "100%"), ("%2525", "%25")] {
            assert_eq!(unescape(text), value);
        }
        assert_eq!(partition_path([("Year", "2030"), ("place", "a/b")]), "year=2030/place=a%2Fb");
        assert_eq!(partition_folder("Year=2030"), Some(("year".into(), "2030".into())));
        assert_eq!(partition_folder("a=b=c"), Some(("a".into(), "b=c".into())));
        assert_eq!((partition_folder("2030"), partition_folder("=1"), partition_folder("a=")), (None, None, None));
        let keys = ["year".to_owned(), "month".to_owned()];
        let values = |below: &str| partition_values(below, &keys);
        assert_eq!(values("YEAR=2030/month=01/part-0.csv"), Some(vec!["2030".to_owned(), "01".to_owned()]));
        assert_eq!(values("month=01/year=2030/x"), None);
        assert_eq!(values("year=2030/x"), None);
    }

    #[test]
    fn hidden_objects() {
        for (below, hidden) in [
            ("part-0.csv", false),
            ("_SUCCESS", true),
            ("a/.x", true),
            ("_temporary/0/part", true),
            ("_key=1/part", false),
            ("a_b/c.d", false),
        ] {
            assert_eq!(is_hidden(below), hidden, "{below}");
        }
    }

    proptest! {
        #[test]
        fn escapes_come_back(value in "\\PC{1,12}|[\\x00-\\x7f]{1,12}") {
            let escaped = escape(&value);
            prop_assert!(!escaped.contains(['/', '=']));
            prop_assert_eq!(unescape(&escaped), value);
        }
    }
}
