//! Bucket names.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;
use std::sync::Arc;

/// A bucket name under the rules for general purpose buckets
/// (S3 User Guide, "General purpose bucket naming rules").
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BucketName(Arc<str>);

/// Why a text is no bucket name.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum InvalidBucketName {
    /// Too short or too long.
    #[error("a bucket name has 3 to 63 characters")]
    Length,
    /// A character outside `a-z`, `0-9`, `.` and `-`.
    #[error("a bucket name consists of lower-case letters, digits, dots and hyphens")]
    Character,
    /// Begins or ends with something else than a letter or digit.
    #[error("a bucket name begins and ends with a letter or digit")]
    Edge,
    /// `..`, which no host name can have.
    #[error("a bucket name has no two adjacent dots")]
    Dots,
    /// Looks like 192.168.5.4.
    #[error("a bucket name is not formatted as an IP address")]
    IpAddress,
    /// A prefix or suffix that AWS reserves.
    #[error("this bucket name has a prefix or suffix that is reserved")]
    Reserved,
}

const RESERVED_PREFIXES: [&str; 3] = ["xn--", "sthree-", "amzn-s3-demo-"];
const RESERVED_SUFFIXES: [&str; 6] = ["-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3", "-an"];

impl BucketName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for BucketName {
    type Err = InvalidBucketName;

    fn from_str(name: &str) -> Result<Self, InvalidBucketName> {
        if !(3..=63).contains(&name.len()) {
            return Err(InvalidBucketName::Length);
        }
        let alphanumeric = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let bytes = name.as_bytes();
        if !bytes.iter().all(|&b| alphanumeric(b) || b == b'.' || b == b'-') {
            return Err(InvalidBucketName::Character);
        }
        if !alphanumeric(bytes[0]) || !alphanumeric(bytes[bytes.len() - 1]) {
            return Err(InvalidBucketName::Edge);
        }
        if name.contains("..") {
            return Err(InvalidBucketName::Dots);
        }
        if name.parse::<Ipv4Addr>().is_ok() {
            return Err(InvalidBucketName::IpAddress);
        }
        let reserved = RESERVED_PREFIXES.iter().any(|p| name.starts_with(p))
            || RESERVED_SUFFIXES.iter().any(|s| name.ends_with(s));
        if reserved { Err(InvalidBucketName::Reserved) } else { Ok(Self(name.into())) }
    }
}

impl fmt::Display for BucketName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for BucketName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_rules() {
        use InvalidBucketName::*;
        for (name, expected) in [
            ("abc", None),
            ("my.bucket-1", None),
            ("a".repeat(63).as_str(), None),
            ("a".repeat(64).as_str(), Some(Length)),
            ("ab", Some(Length)),
            ("Abc", Some(Character)),
            ("a_b", Some(Character)),
            ("-abc", Some(Edge)),
            ("abc.", Some(Edge)),
            ("a..b", Some(Dots)),
            ("192.168.5.4", Some(IpAddress)),
            ("xn--abc", Some(Reserved)),
            ("abc-s3alias", Some(Reserved)),
        ] {
            assert_eq!(name.parse::<BucketName>().err(), expected, "{name}");
        }
    }
}
