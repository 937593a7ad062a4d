//! Every limit of the lake, with its reason, and what of it can be set.

use std::time::Duration;

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// The most buckets: AWS's default quota for an account. All bucket rows are kept in memory (about 300 bytes each, and their configurations).
pub const MAX_BUCKETS: usize = 10_000;
/// The most bytes of one configuration of a bucket: what one row holds. The largest of AWS's is a policy of 20 KiB.
pub const MAX_CONFIG_BYTES: usize = millpond_meta::MAX_VALUE_BYTES;
/// The largest object that one PUT or copy may make (S3 User Guide, "Uploading objects").
pub const MAX_PUT_BYTES: u64 = 5 * GIB;
/// The largest part (S3 User Guide, "Amazon S3 multipart upload limits").
pub const MAX_PART_BYTES: u64 = 5 * GIB;
/// The smallest part except the last (same page).
pub const MIN_PART_BYTES: u64 = 5 * MIB;
/// The highest part number (same page).
pub const MAX_PARTS: u16 = 10_000;
/// The largest object: 10,000 parts of 5 GiB come to 48.8 TiB, which AWS rounds to 50 TB.
pub const MAX_OBJECT_BYTES: u64 = 10_000 * MAX_PART_BYTES;
/// The checksum of objects for which the client names none (S3 User Guide, "Checking object integrity in Amazon S3").
pub const DEFAULT_CHECKSUM: millpond_digest::ChecksumAlgorithm = millpond_digest::ChecksumAlgorithm::Crc64Nvme;
/// The most entries of one page of a listing (S3 API reference, `max-keys`).
pub const MAX_PAGE: usize = 1_000;
/// The most keys of one `delete_many` (S3 API reference, DeleteObjects).
pub const MAX_DELETE_KEYS: usize = 1_000;

/// How often a change is tried anew when others change the same rows. From the second attempt on the changes of a key stand in line
/// within the process, so that only 64 newcomers in a row could starve one.
pub(crate) const MAX_ATTEMPTS: u32 = 64;
/// Locks that same-key changes stand in line at after a conflict. Many, so that other keys rarely share one.
pub(crate) const KEY_LOCKS: usize = 1024;
/// Bodies up to this many bytes are hashed where they arrive: at 600 MiB/s that takes 27 us, less than a hop to another thread and back.
pub(crate) const HASH_IN_PLACE: u64 = 16 * 1024;
/// Bytes that are collected before a hashing thread is started for them: large enough to make the hop cheap (0.2 ms of work), small
/// enough that a thousand slow uploads hold little.
pub(crate) const HASH_BATCH: usize = 128 * 1024;
/// Bytes that may wait for a hashing thread at work: 2 ms of its work, so that it does not run dry while the next are on their way.
pub(crate) const HASH_AHEAD: usize = 1024 * 1024;
/// The most chunks that may wait, so that a client sending single bytes does not grow a list.
pub(crate) const HASH_AHEAD_CHUNKS: usize = 1024;
/// Bodies up to this many bytes come in without a reservation of memory: they are bounded by the number of connections.
pub(crate) const UNRESERVED: u64 = 64 * 1024;
/// What one body on its way in holds in memory at most: it is gathered whole up to a segment's largest extent, beyond that it flows through a
/// few pieces of 1 MiB on the way to disk, and twice [`HASH_AHEAD`] for hashing.
pub(crate) const HELD_BYTES: u64 = 6 * MIB;
/// Chunks below this are gathered to pieces of this size before memory is claimed for them: a claim for each would cost more than the
/// copy. Bytes that are being gathered are bounded by the number of connections.
pub(crate) const GATHERED: usize = 8 * 1024;
/// How long a body waits for memory before the client is told to come back later.
pub(crate) const MEMORY_WAIT: Duration = Duration::from_secs(10);
/// Keys that one commit of `delete_many` holds: bounds what a conflict throws away.
pub(crate) const DELETE_CHUNK: usize = 100;
/// Rows read at once where a whole table or range is walked.
pub(crate) const WALK_PAGE: usize = 512;
/// Rows of configurations read at once: they are larger than others.
pub(crate) const CONFIG_PAGE: usize = 64;
/// Rows that a listing with a delimiter reads first, and after each jump over a common prefix; doubled from page to page as long as no
/// jump leaves the page. A jump costs about as much as reading this many rows.
pub(crate) const LIST_SMALL_PAGE: usize = 32;
/// Parts in one manifest row: at about 100 bytes each they stay below a row's limit with room to spare.
pub(crate) const MANIFEST_PARTS: usize = 400;
/// Bytes of a manifest row, below the engine's limit of 64 KiB for a value.
pub(crate) const MANIFEST_ROW_BYTES: usize = 48 * 1024;
/// Bytes of manifest rows that are committed at once: half of what a batch may hold.
pub(crate) const MANIFEST_BATCH_BYTES: usize = 512 * 1024;
/// Slices that a part made by UploadPartCopy may refer to. 5 GiB of the smallest parts are 1,024 and the two cut ones; a range of more
/// pieces is copied byte by byte instead, so that copies of copies cannot splinter without end.
pub(crate) const MAX_SLICES: usize = 1_026;
/// The same where each slice has its key: about 100 bytes a slice, and they must fit into a manifest's row.
pub(crate) const MAX_SEALED_SLICES: usize = 450;
/// References that one clean-up commit drops: each is a read, a condition and up to two changes, and a batch holds 16,384.
pub(crate) const CLEAN_REFS: usize = 2_048;
/// How long the rows of a manifest in the making are kept: longer than any completion takes.
pub(crate) const TENTATIVE_KEEP: Duration = Duration::from_secs(600);
/// Work rows that upkeep takes up at once.
pub(crate) const WORK_PAGE: usize = 256;
/// Problems that a check reports in words; more are only counted.
pub const MAX_PROBLEMS: usize = 1_000;
/// Entries that one `changes` call returns at most.
pub const MAX_CHANGES: usize = 1_000;
/// Journal rows that are trimmed in one commit; the engine refuses range deletes of more than 4,096 rows.
pub(crate) const TRIM_ROWS: usize = 2_048;

/// What can be set about a lake.
#[derive(Clone, Debug)]
pub struct LakeConfig {
    /// How long the bytes of a deleted object stay for readers that looked it up before but have not begun to read.
    /// Readings under way are protected besides, however long they take.
    pub free_grace: Duration,
    /// How long a completed upload's result is kept for repeated completions.
    pub done_keep: Duration,
    /// How long change entries are kept.
    pub journal_keep: Duration,
    /// Change entries older than this many commits of the engine are trimmed as well: bounds the journal (about 250 bytes an entry).
    pub journal_commits: u64,
    /// Bytes of memory that all bodies on their way in may hold together.
    pub ingest_budget: u64,
    /// Ranges up to this many bytes are copied byte by byte by UploadPartCopy, larger ones are referred to: a copy of 1 MiB costs less than
    /// a reference that every later reader follows. Tests set it lower.
    pub copy_bytes: u64,
    /// The smallest part except the last; tests set it lower. At least 1.
    pub min_part_bytes: u64,
    /// How often upkeep looks for work.
    pub upkeep_every: Duration,
}

impl Default for LakeConfig {
    fn default() -> Self {
        Self {
            free_grace: Duration::from_secs(30),
            done_keep: Duration::from_secs(24 * 3600),
            journal_keep: Duration::from_secs(24 * 3600),
            journal_commits: 1_000_000,
            ingest_budget: 256 * MIB,
            copy_bytes: MIB,
            min_part_bytes: MIN_PART_BYTES,
            upkeep_every: Duration::from_secs(1),
        }
    }
}
