//! Settings and figures.

use std::time::Duration;

use crate::api::{INLINE_MAX, SEGMENT_MAX};

/// How a store lays out and limits its data. The defaults suit a server; tests make everything small.
#[derive(Clone, Debug)]
pub struct BlobConfig {
    /// Extents up to this many bytes are handed back to be kept beside the metadata.
    pub inline_max: u64,
    /// Extents up to this many bytes are appended to segments; larger ones get a file of their own.
    pub segment_max: u64,
    /// Bytes at which a segment is sealed. At least [`BlobConfig::segment_max`] and its framing.
    pub segment_size: u64,
    /// Zeros are written this many bytes ahead of the appends.
    pub segment_step: u64,
    /// Threads that append, each with a segment and a group commit of its own.
    pub appenders: usize,
    /// Threads at most that read large ranges.
    pub read_threads: usize,
    /// Threads at most that write, sync and remove files.
    pub write_threads: usize,
    /// Free bytes below which writes are refused, so that metadata and deletes go on. `None`: 1 % of the disk, at least 64 MiB
    /// and at most 1 GiB.
    pub reserve: Option<u64>,
    /// For how long an extent is spared by the sweep whose writer went away without saying what became of its metadata. Longer than any commit takes.
    pub grace: Duration,
}

impl Default for BlobConfig {
    fn default() -> Self {
        Self {
            inline_max: INLINE_MAX,
            segment_max: SEGMENT_MAX,
            segment_size: 64 << 20,
            segment_step: 4 << 20,
            // One writes while the other syncs.
            appenders: 2,
            read_threads: 16,
            write_threads: 16,
            reserve: None,
            grace: Duration::from_secs(600),
        }
    }
}

/// What a store holds and has done. Sizes are in bytes; counts and times are since the store was opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Usage {
    /// Content and framing of live extents in segments. Of extents from before the opening those count that [`crate::Blobs::load_live`] has named.
    pub segment_live: u64,
    /// Length of all segment files.
    pub segment_bytes: u64,
    /// Segment files.
    pub segments: u64,
    /// Content of live extents in files of their own (counted as `segment_live`).
    pub file_live: u64,
    /// Live extents in files of their own.
    pub files: u64,
    /// Bytes free on the file system, as last asked (at most a quarter of a second ago while writing).
    pub free: u64,
    /// Size of the file system.
    pub total: u64,
    /// Free bytes below which writes are refused.
    pub reserve: u64,
    /// Syncs of data and of directories.
    pub syncs: u64,
    /// Time spent in them, in nanoseconds.
    pub sync_nanos: u64,
    /// The longest of them, in nanoseconds.
    pub sync_max_nanos: u64,
    /// Groups of appends that shared one sync.
    pub groups: u64,
    /// Appends in all groups together.
    pub grouped: u64,
    /// The largest group.
    pub group_max: u64,
    /// Bytes of content stored.
    pub written: u64,
    /// Reads that met damage.
    pub damaged: u64,
}
