//! What is written, where it lies, and how it is read back.

use millpond_io::IoError;

/// Names an extent: the bytes of one object or part, written once. 128 random bits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ExtentId(pub u128);

/// Up to this many bytes are committed beside the metadata.
pub const INLINE_MAX: u64 = 8 * 1024;
/// Up to this many bytes go to a segment; more to a file of their own.
pub const SEGMENT_MAX: u64 = 4 * 1024 * 1024;
/// The unit of checksumming, in bytes of content.
pub const BLOCK: u64 = 64 * 1024;

/// Where an extent lies. Stored in its metadata row; moving an extent rewrites that row and nothing else.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Location {
    /// In a segment file, from this offset of the file (that of the extent's header).
    Segment {
        /// The segment's number.
        segment: u64,
        /// The offset of the header in the file.
        offset: u64,
        /// Bytes of content.
        len: u64,
    },
    /// In a file of its own, named by the extent's id.
    File {
        /// Bytes of content.
        len: u64,
    },
}

/// What a finished write left behind.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Written {
    /// So small that the caller commits it with its metadata.
    Inline(bytes::Bytes),
    /// Durable at this place.
    Stored(ExtentId, Location),
}

/// Why bytes could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// The file system has no room (a reserve is kept for metadata and deletes).
    #[error("no space is left for object data")]
    Full,
    /// The stored bytes do not match their checksum; they are never served.
    #[error("extent {extent:032x} is damaged in block {block}")]
    Damaged {
        /// Which extent.
        extent: u128,
        /// Which of its blocks; `u64::MAX` for the header.
        block: u64,
    },
    /// The extent is not where its metadata says.
    #[error("extent {0:032x} is missing")]
    Missing(u128),
    /// A sync failed earlier, so that nothing more is written.
    #[error("object data is no longer written: {0}")]
    Stopped(String),
    /// The file system failed.
    #[error(transparent)]
    Io(#[from] IoError),
}
