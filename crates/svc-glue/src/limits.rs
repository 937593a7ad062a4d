//! Limits: those that AWS has (AWS Glue endpoints and quotas; API reference), and ours.

/// Bytes of a request's body: a table with long properties and text of a view.
pub(crate) const MAX_BODY: usize = 8 * 1024 * 1024;
/// Databases or tables in one answer.
pub(crate) const MAX_LISTED: usize = 100;
/// Partitions in one answer.
pub(crate) const MAX_PARTITIONS_LISTED: usize = 1_000;
/// Partitions that a page looks at: one that finds few among many ends before it is full.
pub(crate) const MAX_LOOKED_AT: usize = 50_000;
/// Bytes of rows of partitions in one answer, before it is rendered.
pub(crate) const MAX_PAGE_BYTES: usize = 2 * 1024 * 1024;
/// Partitions of a table.
pub(crate) const MAX_PARTITIONS: i64 = 10_000_000;
/// Archived versions of a table.
pub(crate) const MAX_VERSIONS: u32 = 100_000;
/// Partition keys of a table: the values of a partition are a row's key.
pub(crate) const MAX_PARTITION_KEYS: usize = 32;
/// Indexes of a table.
pub(crate) const MAX_INDEXES: usize = 3;
/// Tags of a database.
pub(crate) const MAX_TAGS: usize = 50;
/// Bytes of a resource policy (Developer Guide, "Resource-based policies": 10 KB).
pub(crate) const MAX_POLICY_BYTES: usize = 10 * 1024;
/// Segments of GetPartitions.
pub(crate) const MAX_SEGMENTS: i32 = 10;
/// Bytes of memory of a compiled expression of GetTables.
pub(crate) const MAX_REGEX_BYTES: usize = 1024 * 1024;
/// Tables that a sorted search gathers.
pub(crate) const MAX_SORTED: usize = 10_000;
/// Tables that a page of a search looks at.
pub(crate) const MAX_SEARCHED: usize = 5_000;
/// Bytes that lie in a row itself; longer ones lie in chunks.
pub(crate) const MAX_INLINE: usize = 24 * 1024;
/// Rows that are read together.
pub(crate) const PAGE: usize = 500;
/// Rows that are removed in one commit.
pub(crate) const REMOVED_TOGETHER: usize = 500;
/// How often the service looks for what is to be removed, besides when something is.
pub(crate) const SWEEP: std::time::Duration = std::time::Duration::from_secs(60);
