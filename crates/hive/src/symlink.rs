//! Links: files that name, line by line, the objects in which a table's rows lie (Hive's `SymlinkTextInputFormat`, which S3 Inventory writes for).

/// The largest file of links, in bytes.
pub const MAX_LINK_BYTES: u64 = 16 * 1024 * 1024;
/// The most objects that one file names.
pub const MAX_TARGETS: usize = 100_000;

/// Why a file of links cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum SymlinkError {
    #[error("line {line} is no UTF-8")]
    NoText { line: usize },
    #[error("line {line} names no object: {found:?} is not of the form s3://BUCKET/KEY")]
    NoObject { line: usize, found: String },
    #[error("it names more than {MAX_TARGETS} objects")]
    TooMany,
}

/// Characters of a line that an error shows.
const SHOWN: usize = 200;

/// Bucket and key of each object that a file of links names, in its order. Empty lines name nothing.
pub fn targets(file: &[u8]) -> Result<Vec<(String, String)>, SymlinkError> {
    let mut found = Vec::new();
    for (at, line) in file.split(|byte| *byte == b'\n').enumerate() {
        let line_number = at + 1;
        let line = std::str::from_utf8(line).map_err(|_| SymlinkError::NoText { line: line_number })?;
        let line = line.strip_suffix('\r').unwrap_or(line);
        if line.trim().is_empty() {
            continue;
        }
        if found.len() == MAX_TARGETS {
            return Err(SymlinkError::TooMany);
        }
        let target = target(line)
            .ok_or_else(|| SymlinkError::NoObject { line: line_number, found: line.chars().take(SHOWN).collect() })?;
        found.push(target);
    }
    Ok(found)
}

fn target(line: &str) -> Option<(String, String)> {
    let (scheme, rest) = line.split_once("://")?;
    let is_known = ["s3", "s3a", "s3n"].iter().any(|known| scheme.eq_ignore_ascii_case(known));
    let (bucket, key) = rest.split_once('/')?;
    let is_object = is_known && !bucket.is_empty() && !key.is_empty() && !key.ends_with('/');
    is_object.then(|| (bucket.to_owned(), key.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lines_name_objects() {
        let file = b"s3://pond/data/1.csv.gz\r\n\ns3a://pond/a b/*?.csv\nS3N://other//x";
        let expected = [("pond", "data/1.csv.gz"), ("pond", "a b/*?.csv"), ("other", "/x")];
        let expected: Vec<_> = expected.iter().map(|(b, k)| ((*b).to_owned(), (*k).to_owned())).collect();
        assert_eq!(targets(file).unwrap(), expected);
        assert_eq!(targets(b"").unwrap(), []);
        for (file, words) in [
            (&b"s3://pond/a\nhttp://pond/a"[..], "line 2 names no object: \"http://pond/a\""),
            (b"s3://pond/folder/", "line 1"),
            (b"s3://pond", "line 1"),
            (b"\xff\xfe", "line 1 is no UTF-8"),
        ] {
            let error = targets(file).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
        assert_eq!(targets("s3://b/k\n".repeat(MAX_TARGETS + 1).as_bytes()), Err(SymlinkError::TooMany));
    }

    proptest! {
        #[test]
        fn whatever_is_read_names_objects(file in proptest::collection::vec(any::<u8>(), 0..400)) {
            for (bucket, key) in targets(&file).unwrap_or_default() {
                prop_assert!(!bucket.is_empty() && !bucket.contains('/') && !key.is_empty() && !key.ends_with('/'));
            }
        }
    }
}
