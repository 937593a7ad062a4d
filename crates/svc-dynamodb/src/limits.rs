//! Named limits (Developer Guide, "Quotas in Amazon DynamoDB", and the API reference).

use std::time::Duration;

/// The most bytes of the body of a request for several writes.
pub(crate) const MAX_BODY: usize = 16 * 1024 * 1024;
/// The most bytes of the body of any other: an item and what stands behind placeholders, with what JSON adds.
pub(crate) const MAX_BODY_OF_ONE: usize = 4 * 1024 * 1024;
/// Bytes of what stands behind the placeholders of a request's expressions, with their names (Developer Guide, "Expression parameters").
pub(crate) const MAX_SUBSTITUTES: usize = 2 * 1024 * 1024;
/// Local secondary indexes of a table.
pub(crate) const MAX_LOCAL: usize = 5;
/// Global secondary indexes of a table.
pub(crate) const MAX_GLOBAL: usize = 20;
/// Attributes besides keys that one index projects.
pub(crate) const MAX_INCLUDED: usize = 20;
/// Attributes besides keys that all indexes of a table project together.
pub(crate) const MAX_INCLUDED_TOGETHER: usize = 100;
/// Tags of a table.
pub(crate) const MAX_TAGS: usize = 50;
/// Tags on a page.
pub(crate) const TAG_PAGE: usize = 10;
/// Tables of an account: each is in memory.
pub(crate) const MAX_TABLES: usize = 10_000;
/// Tables on a page.
pub(crate) const TABLE_PAGE: usize = 100;
/// Provisioned units of a table or index.
pub(crate) const MAX_UNITS: u64 = 40_000;
/// Provisioned units of an account, as DescribeLimits tells.
pub(crate) const ACCOUNT_UNITS: i64 = 80_000;
/// Decreases of provisioned throughput on a day: four, and one for each hour without one.
pub(crate) const MAX_DECREASES: u64 = 27;
/// Bytes of a resource policy.
pub(crate) const MAX_POLICY: usize = 20 * 1024;
/// Bytes that one Query, Scan reads.
pub(crate) const MAX_PAGE: usize = 1024 * 1024;
/// Bytes of the items that a page of an index belongs to: rows of indexes are pointers, so that a page of short projections may read many long items.
pub(crate) const MAX_PAGE_WHOLE: usize = 16 * 1024 * 1024;
/// Rows that are read together by a query or scan.
pub(crate) const ROWS_TOGETHER: usize = 100;
/// Bytes that one BatchGetItem answers with.
pub(crate) const MAX_BATCH_ANSWER: usize = 16 * 1024 * 1024;
/// Keys of one BatchGetItem.
pub(crate) const MAX_BATCH_KEYS: usize = 100;
/// Writes of one BatchWriteItem.
pub(crate) const MAX_BATCH_WRITES: usize = 25;
/// Bytes of all items of a transaction.
pub(crate) const MAX_TRANSACTION: usize = 4 * 1024 * 1024;
/// How long a client's token of a transaction counts.
pub(crate) const TOKEN_TIME: Duration = Duration::from_secs(600);
/// Bytes of items with one partition key, in a table with local indexes.
pub(crate) const MAX_COLLECTION: u64 = 10 * 1024 * 1024 * 1024;
/// Bytes of contents that one row has; what is larger lies in chunks, apart from the rows that scans go through and merges rewrite.
pub(crate) const INLINE: usize = 8 * 1024;
/// Bytes of contents that all rows of one commit have, so that it stays below what the store takes with all that goes with them.
pub(crate) const INLINE_TOGETHER: usize = 512 * 1024;
/// Bytes of a commit from which on contents in chunks are written before it.
pub(crate) const MAX_COMMIT: usize = 1536 * 1024;
/// How long contents wait for the commit that points to them, until they are swept.
pub(crate) const PENDING_TIME: Duration = Duration::from_secs(900);
/// Times that a call is decided anew when what it was decided by has changed meanwhile; changes of others are under way for milliseconds.
pub(crate) const ATTEMPTS: u32 = 50;
/// Times that a write is worked out anew when the item has changed meanwhile. Writers of one item take turns, so that only transactions and
/// deletions by time come in between.
pub(crate) const RACES: u32 = 50;
/// Locks that writers of items share.
pub(crate) const STRIPES: usize = 1024;
/// Rows that the background reads or removes together.
pub(crate) const BACKGROUND_ROWS: usize = 200;
/// How often the background looks for what is to be done, where nobody wakes it.
pub(crate) const TICK: Duration = Duration::from_secs(30);
/// Seconds of unused capacity that are kept for bursts (Developer Guide, "Burst capacity").
pub(crate) const BURST_SECONDS: f64 = 300.0;
