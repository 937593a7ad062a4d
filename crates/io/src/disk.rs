//! What we ask of a file system.

use std::io::IoSlice;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Why a file operation failed: the operating system's error with what was tried on which path.
#[derive(Debug, thiserror::Error)]
#[error("{doing} {path}: {source}")]
pub struct IoError {
    /// What was tried, such as `fdatasync`.
    pub doing: &'static str,
    /// On which file or directory.
    pub path: PathBuf,
    /// What the operating system said.
    pub source: std::io::Error,
}

impl IoError {
    /// Whether the file system had no room left (ENOSPC or EDQUOT).
    pub fn is_full(&self) -> bool {
        matches!(self.source.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded)
    }

    /// Whether there is no such file or directory.
    pub fn is_missing(&self) -> bool {
        self.source.kind() == std::io::ErrorKind::NotFound
    }
}

/// How to open a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OpenMode {
    /// An existing file, for reading.
    Read,
    /// An existing file, for reading and writing.
    Write,
    /// A new file, for reading and writing; an error if it exists.
    CreateNew,
}

/// The place in the protocol where a write is made durable. Crash tests switch each off in turn (in the simulated disk)
/// and must then fail.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct SyncPoint(pub &'static str);

/// A file system, as far as we use one. Paths are absolute or relative to the process's working directory.
pub trait Disk: Send + Sync + 'static {
    /// Opens a file.
    fn open(&self, path: &Path, mode: OpenMode) -> Result<Arc<dyn File>, IoError>;
    /// Creates a directory and those above it, durably; existing ones are fine.
    fn create_dir_all(&self, path: &Path) -> Result<(), IoError>;
    /// The same for many, with as few syncs as it takes.
    fn create_dirs(&self, paths: &[PathBuf]) -> Result<(), IoError> {
        paths.iter().try_for_each(|path| self.create_dir_all(path))
    }
    /// The names in a directory, sorted.
    fn list(&self, dir: &Path) -> Result<Vec<String>, IoError>;
    /// Whether a file or directory of this name exists.
    fn exists(&self, path: &Path) -> Result<bool, IoError>;
    /// Renames a file within its directory, replacing `to`. An error when `to` is in another directory: such a rename needs two
    /// syncs, with a time between them in which a power cut leaves two names or none.
    fn rename(&self, from: &Path, to: &Path) -> Result<(), IoError>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> Result<(), IoError>;
    /// Makes creations, renames and removals in a directory durable (fsync on it).
    fn sync_dir(&self, dir: &Path, point: SyncPoint) -> Result<(), IoError>;
    /// Bytes that an unprivileged writer may still use on the file system of `path`, and its size: `(free, total)`.
    fn space(&self, path: &Path) -> Result<(u64, u64), IoError>;
}

/// An open file.
pub trait File: Send + Sync + 'static {
    /// Reads up to `buffer.len()` bytes at `offset`; fewer only at the end of the file.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize, IoError>;
    /// Appends up to `len` bytes from `offset` to `buffer`, and tells how many; fewer only at the end of the file. Spares the zeroing of the
    /// buffer that [`File::read_at`] needs.
    fn read_append(&self, buffer: &mut Vec<u8>, len: usize, offset: u64) -> Result<usize, IoError> {
        let start = buffer.len();
        buffer.resize(start + len, 0);
        let got = self.read_at(&mut buffer[start..], offset);
        buffer.truncate(start + got.as_ref().map_or(0, |n| *n));
        got
    }
    /// Writes all of `bytes` at `offset`.
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> Result<(), IoError>;
    /// Writes all of the slices, one after the other, at `offset` (pwritev). The slices are used up.
    fn write_vectored_at(&self, slices: &mut [IoSlice<'_>], mut offset: u64) -> Result<(), IoError> {
        for slice in slices {
            self.write_all_at(slice, offset)?;
            offset += slice.len() as u64;
        }
        Ok(())
    }
    /// Makes everything written so far durable, the length included (fdatasync).
    fn sync_data(&self, point: SyncPoint) -> Result<(), IoError>;
    /// Reserves space; the file reads as zeros there (fallocate).
    fn allocate(&self, offset: u64, len: u64) -> Result<(), IoError>;
    /// Reserves space without a change of the file's length, which may lie before the range (fallocate with keep size). Where the
    /// file system cannot do that, nothing happens.
    fn allocate_beyond(&self, offset: u64, len: u64) -> Result<(), IoError>;
    /// Gives the space of a range back, which then reads as zeros (fallocate with punch hole).
    fn punch(&self, offset: u64, len: u64) -> Result<(), IoError>;
    /// Asks the system to begin writing a range to disk, without waiting (sync_file_range). A hint.
    fn start_writeback(&self, offset: u64, len: u64);
    /// Truncates or extends with zeros.
    fn set_len(&self, len: u64) -> Result<(), IoError>;
    /// The length in bytes.
    fn len(&self) -> Result<u64, IoError>;
    /// Whether it holds no byte.
    fn is_empty(&self) -> Result<bool, IoError> {
        Ok(self.len()? == 0)
    }
}
