//! What is written, where it lies, and how it is read back.

use millpond_io::{IoError, SyncPoint};

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

/// Why bytes could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// The file system has no room (a reserve is kept for metadata and deletes).
    #[error("no space is left for object data")]
    Full,
    /// The stored bytes do not match their checksum; they are never served.
    #[error("extent {extent:032x} is damaged in {}", part(*block))]
    Damaged {
        /// Which extent.
        extent: u128,
        /// Which of its blocks; [`IN_HEADER`] for the header.
        block: u64,
    },
    /// The extent is not where its metadata says.
    #[error("extent {0:032x} is missing")]
    Missing(u128),
    /// A sync failed earlier, so that nothing more is written.
    #[error("object data is no longer written: {0}")]
    Stopped(String),
    /// The metadata could not be asked or changed, so that nothing was moved or swept.
    #[error("the metadata of object data is unavailable: {0}")]
    Metadata(String),
    /// The file system failed.
    #[error(transparent)]
    Io(IoError),
}

/// The block of [`BlobError::Damaged`] that stands for the header.
pub const IN_HEADER: u64 = u64::MAX;

fn part(block: u64) -> String {
    if block == IN_HEADER { "its header".to_owned() } else { format!("block {block}") }
}

impl From<IoError> for BlobError {
    fn from(error: IoError) -> Self {
        if error.is_full() { Self::Full } else { Self::Io(error) }
    }
}

impl BlobError {
    /// The same error once more, for each of those who waited for one call.
    pub(crate) fn again(&self) -> Self {
        match self {
            Self::Full => Self::Full,
            Self::Damaged { extent, block } => Self::Damaged { extent: *extent, block: *block },
            Self::Missing(extent) => Self::Missing(*extent),
            Self::Stopped(why) => Self::Stopped(why.clone()),
            Self::Metadata(why) => Self::Metadata(why.clone()),
            Self::Io(error) => Self::Io(IoError {
                doing: error.doing,
                path: error.path.clone(),
                source: error.source.raw_os_error().map_or_else(
                    || std::io::Error::new(error.source.kind(), error.source.to_string()),
                    std::io::Error::from_raw_os_error,
                ),
            }),
        }
    }
}

impl Location {
    /// Bytes of content.
    pub fn len(&self) -> u64 {
        match self {
            Location::Segment { len, .. } | Location::File { len } => *len,
        }
    }

    /// Whether there is no content. Never so for an extent that was stored: what is empty is kept inline.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The point at which a group of appends to a segment becomes durable, before any of them is acknowledged.
pub const SYNC_SEGMENT_DATA: SyncPoint = SyncPoint("blob.segment.data");
/// The point at which the name of a new segment becomes durable, before anything in it is acknowledged.
pub const SYNC_SEGMENT_DIR: SyncPoint = SyncPoint("blob.segment.dir");
/// The point at which the bytes of an extent in a file of its own become durable, before it is acknowledged.
pub const SYNC_FILE_DATA: SyncPoint = SyncPoint("blob.file.data");
/// The point at which the name of an extent's own file becomes durable, before it is acknowledged.
pub const SYNC_FILE_DIR: SyncPoint = SyncPoint("blob.file.dir");
/// Makes zeros that were written ahead of a segment's appends durable. It serves speed alone (the later syncs find the
/// file's length and blocks settled), so that no data depends on it and it is not one of [`SYNC_POINTS`].
pub const SYNC_SEGMENT_AHEAD: SyncPoint = SyncPoint("blob.segment.ahead");

/// Every sync that an acknowledgement rests on. Crash tests switch each off in turn and must then fail.
pub const SYNC_POINTS: &[SyncPoint] = &[SYNC_SEGMENT_DATA, SYNC_SEGMENT_DIR, SYNC_FILE_DATA, SYNC_FILE_DIR];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_says_where() {
        let text = |block| BlobError::Damaged { extent: 1, block }.to_string();
        assert!(text(7).ends_with("is damaged in block 7") && text(IN_HEADER).ends_with("is damaged in its header"));
    }
}
