//! What of a table a query reads.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// One reading of a table. What is listed is known when it is planned, what is read grows.
#[derive(Debug, Default)]
pub struct Scan {
    /// `DATABASE.TABLE`
    pub table: String,
    /// Partitions that the catalog gave; `None` for a table without.
    pub asked: Option<u64>,
    /// Those of them that conditions left.
    pub partitions: u64,
    /// Objects in them.
    pub files: u64,
    /// Bytes of these.
    pub bytes: u64,
    /// Bytes that were read.
    pub bytes_read: AtomicU64,
    /// Objects of which bytes were read, by their URLs.
    pub files_read: Mutex<BTreeSet<String>>,
}

impl Scan {
    /// Counts what is read.
    pub fn count(&self, path: &str, bytes: u64) {
        self.bytes_read.fetch_add(bytes, Ordering::Relaxed);
        let mut read = self.files_read.lock().unwrap_or_else(PoisonError::into_inner);
        if !read.contains(path) {
            read.insert(path.to_owned());
        }
    }
}

impl std::fmt::Display for Scan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Table {}: ", self.table)?;
        if let Some(asked) = self.asked {
            write!(f, "partitions read: {} of {asked} asked, ", self.partitions)?;
        }
        let files = self.files_read.lock().unwrap_or_else(PoisonError::into_inner).len();
        let bytes = self.bytes_read.load(Ordering::Relaxed);
        write!(f, "files read: {files} of {} listed, bytes read: {bytes} of {} listed", self.files, self.bytes)
    }
}
