//! Object bytes: written once, checksummed in blocks, read by range, their space given back.
//!
//! [`Blobs`] keeps *extents*, each the bytes of one object or part. Small ones are handed back to be kept beside their metadata, middle ones are
//! appended to segment files with group commit, large ones get a file of their own. The order is always: bytes durable ([`Writer::finish`]), then metadata
//! committed by the caller, then [`Stored::committed`]; in between the extent is in flight, and no sweep touches it. `FORMAT.md` describes the files.

mod api;
pub mod check;
mod config;
mod file;
mod flight;
mod format;
mod handles;
mod pool;
mod reader;
mod reclaim;
mod segment;
mod space;
mod store;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod tests;
mod writer;

pub use api::{
    BLOCK, BlobError, ExtentId, IN_HEADER, INLINE_MAX, Location, SEGMENT_MAX, SYNC_FILE_DATA, SYNC_FILE_DIR,
    SYNC_POINTS, SYNC_SEGMENT_AHEAD, SYNC_SEGMENT_DATA, SYNC_SEGMENT_DIR,
};
pub use config::{BlobConfig, Usage};
pub use flight::{Stored, Written};
pub use reader::{ExtentReader, Unseal};
pub use reclaim::{BoxFuture, Move, Moved, Mover, Reclaimed, Swept};
pub use store::Blobs;
pub use writer::Writer;
