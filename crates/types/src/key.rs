//! Object keys: opaque UTF-8, never paths.

use std::fmt;
use std::sync::Arc;

/// The longest key in bytes of UTF-8 (S3 User Guide, "Naming Amazon S3 objects").
pub const MAX_KEY_BYTES: usize = 1024;

/// An object key: 1 to 1,024 bytes of UTF-8, taken verbatim. `a//b`, `.` and `../d` are keys like any other.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectKey(Arc<str>);

/// Why a text is no key.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum InvalidKey {
    /// No byte at all.
    #[error("a key has at least one byte")]
    Empty,
    /// More than [`MAX_KEY_BYTES`].
    #[error("Your key is too long")]
    TooLong,
}

impl ObjectKey {
    /// Checks the length; that it is UTF-8 the type of `text` says.
    pub fn new(text: &str) -> Result<Self, InvalidKey> {
        match text.len() {
            0 => Err(InvalidKey::Empty),
            1..=MAX_KEY_BYTES => Ok(Self(text.into())),
            _ => Err(InvalidKey::TooLong),
        }
    }

    /// The key.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_1_to_1024_bytes() {
        let (longest, longer) = ("k".repeat(1024), "k".repeat(1025));
        for (key, expected) in [
            ("", Some(InvalidKey::Empty)),
            ("../d", None),
            (longest.as_str(), None),
            (longer.as_str(), Some(InvalidKey::TooLong)),
        ] {
            assert_eq!(ObjectKey::new(key).err(), expected, "{key}");
        }
    }
}
