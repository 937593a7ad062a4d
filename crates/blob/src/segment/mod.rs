//! Segments: files that hold many extents, one after the other.

pub mod append;
pub mod open;
pub mod scan;
pub mod table;

use std::path::{Path, PathBuf};

/// The directory of all segments.
pub fn dir(root: &Path) -> PathBuf {
    root.join("segments")
}

/// A segment's file.
pub fn path(root: &Path, number: u64) -> PathBuf {
    dir(root).join(format!("{number:016x}"))
}

/// The number in a file's name, if it is one of ours.
pub fn number(name: &str) -> Option<u64> {
    (name.len() == 16).then(|| u64::from_str_radix(name, 16).ok()).flatten().filter(|n| format!("{n:016x}") == name)
}
