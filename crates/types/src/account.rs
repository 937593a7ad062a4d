//! Accounts and regions.

use std::fmt;
use std::str::FromStr;

/// A 12-digit AWS account id.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AccountId([u8; 12]);

/// What canonical ids begin with, to be as long as AWS's.
const CANONICAL: &[u8] = b"millpond-canonical--";

/// Why a text is no account id.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("an account id has exactly 12 digits")]
pub struct InvalidAccountId;

impl AccountId {
    /// The twelve digits.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// The canonical user id that S3 shows as an owner's `ID`: 64 hexadecimal digits, stable for an account.
    ///
    /// AWS does not publish how it derives them; ours spell the account id, padded, so that they are unique by construction.
    pub fn canonical_id(&self) -> String {
        use std::fmt::Write;
        let mut id = String::with_capacity(64);
        for byte in CANONICAL.iter().chain(self.0.iter()) {
            // Writing to a String cannot fail.
            let _ = write!(id, "{byte:02x}");
        }
        id
    }

    /// The account of a canonical user id.
    pub fn from_canonical(id: &str) -> Option<Self> {
        let (start, digits) = id.split_at_checked(2 * CANONICAL.len())?;
        let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
        let bytes = |text: &str| text.as_bytes().chunks(2).map(byte).collect::<Option<Vec<u8>>>();
        if bytes(start)? != CANONICAL {
            return None;
        }
        let account: Self = std::str::from_utf8(&bytes(digits)?).ok()?.parse().ok()?;
        // One spelling alone.
        (account.canonical_id() == id).then_some(account)
    }
}

impl FromStr for AccountId {
    type Err = InvalidAccountId;

    fn from_str(text: &str) -> Result<Self, InvalidAccountId> {
        let digits: [u8; 12] = text.as_bytes().try_into().map_err(|_| InvalidAccountId)?;
        if digits.iter().all(u8::is_ascii_digit) { Ok(Self(digits)) } else { Err(InvalidAccountId) }
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A region name such as `us-east-1`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Region(String);

/// Why a text is no region name.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("a region is 2 to 32 lower-case letters, digits and hyphens, such as us-east-1")]
pub struct InvalidRegion;

impl Region {
    /// The name, such as `us-east-1`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Region {
    type Err = InvalidRegion;

    fn from_str(text: &str) -> Result<Self, InvalidRegion> {
        let fits = (2..=32).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && text.as_bytes()[0].is_ascii_lowercase();
        if fits { Ok(Self(text.to_owned())) } else { Err(InvalidRegion) }
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn account_ids_are_twelve_digits() {
        for (text, good) in [
            ("123456789012", true),
            ("12345678901", false),
            ("1234567890123", false),
            ("12345678901a", false),
            ("", false),
        ] {
            assert_eq!(text.parse::<AccountId>().is_ok(), good, "{text}");
        }
    }

    #[test]
    fn canonical_ids_are_64_hex_digits_and_differ() {
        let ids = ["123456789012", "123456789013"]
            .map(|a| a.parse::<AccountId>().map(|a| a.canonical_id()).unwrap_or_default());
        assert_eq!(ids[0].len(), 64);
        assert!(ids[0].bytes().all(|b| b.is_ascii_hexdigit()));
        assert_ne!(ids[0], ids[1]);
    }
}
