//! Streams of tables: what changed in a table's items, kept for 24 hours whatever readers do.
//!
//! Each change appends one record to a shard of the table's stream, in the commit that makes it (`record`). Shards are four for each stream, by the hash
//! of the partition key, so that the records of an item lie in one, in the order of their commits. A stream lives as long as it is enabled, and 24 hours
//! longer (`known`); what tables are told of it is `switch`. Reading it is `read`, places in it are `place`, its records as clients and functions see them `shown`. What was kept long enough
//! goes by `trim`. Other services read by the port `kernel::TableStreams` (`port`).

pub(crate) mod known;
pub(crate) mod place;
pub(crate) mod port;
pub(crate) mod read;
pub(crate) mod record;
pub(crate) mod rows;
pub(crate) mod shown;
pub(crate) mod switch;
pub(crate) mod trim;

use std::time::Duration;

pub(crate) use record::record;
pub(crate) use switch::{ended, specification, switch};

/// Shards of a stream, by the first bits of a hash.
pub(crate) const SHARDS: u8 = 4;
/// How long records are kept (Developer Guide, "Change data capture for DynamoDB Streams").
pub(crate) const KEPT: Duration = Duration::from_secs(24 * 60 * 60);
/// How long an iterator may be used.
pub(crate) const ITERATOR: Duration = Duration::from_secs(15 * 60);
/// Records of one answer.
pub(crate) const MAX_RECORDS: usize = 1000;
/// Bytes of the records of one answer; one record may be larger.
pub(crate) const MAX_BYTES: usize = 1024 * 1024;
/// Shards, and streams, of one page.
pub(crate) const MAX_PAGE: usize = 100;
