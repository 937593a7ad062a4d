//! Compressed objects of text: by what their names end with, as Hadoop tells them, and in bounded memory whatever they unfold to.

mod blocks;
mod decoder;
mod lz4;

pub use blocks::{LZ4_RATIO, MAX_BLOCK};
pub use decoder::Decoder;

/// How an object is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// `.gz`, of one member or more (RFC 1952, section 2.2).
    Gzip,
    /// `.deflate`: a zlib stream (RFC 1950), which Hadoop's `DefaultCodec` writes.
    Deflate,
    /// `.bz2`, of one stream or more.
    Bzip2,
    /// `.zst`, of one frame or more (RFC 8878).
    Zstd,
    /// `.snappy`: Hadoop's blocks, or the framing format.
    Snappy,
    /// `.lz4`: Hadoop's blocks, or frames.
    Lz4,
}

/// A compression that is not read, by the end of a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("compressed with {0}, which is not read; gz, deflate, bz2, zst, snappy and lz4 are")]
pub struct Unread(pub &'static str);

/// Ends of names whose compressions are not read.
const UNREAD: &[&str] = &["lzo", "lzo_deflate", "lz", "xz", "zip"];

impl Compression {
    /// All that compress.
    pub const ALL: [Self; 6] = [Self::Gzip, Self::Deflate, Self::Bzip2, Self::Zstd, Self::Snappy, Self::Lz4];

    /// By the end of a key.
    ///
    /// # Errors
    /// One that is not read.
    pub fn of(key: &str) -> Result<Self, Unread> {
        let Some((_, ending)) = key.rsplit_once('.') else { return Ok(Self::None) };
        if let Some(unread) = UNREAD.iter().find(|unread| unread.eq_ignore_ascii_case(ending)) {
            return Err(Unread(unread));
        }
        let is_named = |one: &Self| one.ending().eq_ignore_ascii_case(ending);
        Ok(Self::ALL.into_iter().find(is_named).unwrap_or(Self::None))
    }

    /// What names of such objects end with, after a dot; empty for [`Self::None`].
    #[must_use]
    pub fn ending(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Gzip => "gz",
            Self::Deflate => "deflate",
            Self::Bzip2 => "bz2",
            Self::Zstd => "zst",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
        }
    }

    /// As the catalog and messages call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
            Self::Bzip2 => "bzip2",
            Self::Zstd => "zstd",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_of_compression() {
        for (key, compression) in [
            ("a/b.csv", Compression::None),
            ("gz", Compression::None),
            ("a.b/c.GZ", Compression::Gzip),
            ("c.deflate", Compression::Deflate),
            ("c.bz2", Compression::Bzip2),
            ("c.json.zst", Compression::Zstd),
            ("c.snappy", Compression::Snappy),
            ("c.lz4", Compression::Lz4),
        ] {
            assert_eq!(Compression::of(key), Ok(compression), "{key}");
        }
        assert_eq!(Compression::of("a.LZO"), Err(Unread("lzo")));
    }
}
