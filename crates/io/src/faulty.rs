//! Failing on purpose: which write-like call fails, and a disk that fails so over any other.

use std::collections::BTreeMap;
use std::io::IoSlice;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::disk::{Disk, File, IoError, OpenMode, SyncPoint};

/// How a call fails.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// An input/output error (EIO).
    Eio,
    /// No space left (ENOSPC).
    Enospc,
}

impl Fault {
    /// As the operating system would say it.
    pub fn error(self, doing: &'static str, path: &Path) -> IoError {
        let errno = match self {
            Fault::Eio => rustix::io::Errno::IO,
            Fault::Enospc => rustix::io::Errno::NOSPC,
        };
        IoError { doing, path: path.to_owned(), source: errno.into() }
    }
}

/// Counts write-like calls (create, write, allocate, punch, set_len, rename, remove, sync) and says which fail.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    calls: u64,
    planned: BTreeMap<u64, Fault>,
    full: bool,
    unreadable: Option<String>,
}

impl Faults {
    /// How many write-like calls there were.
    pub fn calls(&self) -> u64 {
        self.calls
    }

    /// Lets the `n`-th write-like call from now on (1 is the next) fail once.
    pub fn fail_nth(&mut self, n: u64, fault: Fault) {
        self.planned.insert(self.calls + n, fault);
    }

    /// While on, calls that may need space fail with ENOSPC; syncs and removals do not.
    pub fn set_full(&mut self, full: bool) {
        self.full = full;
    }

    /// From now on, reads of files fail with EIO whose path contains this; `None` heals them. For [`FaultyDisk`] alone.
    pub fn set_unreadable(&mut self, paths: Option<&str>) {
        self.unreadable = paths.map(str::to_owned);
    }

    /// Counts a call, and says how it fails. `needs_space`: whether a full disk refuses it.
    pub fn call(&mut self, needs_space: bool) -> Option<Fault> {
        self.calls += 1;
        let planned = self.planned.remove(&self.calls);
        planned.or((self.full && needs_space).then_some(Fault::Enospc))
    }
}

/// A disk over another on which chosen calls fail, for black-box tests on a real one. A failed call does nothing; what a failed sync
/// leaves behind is better modelled by [`crate::sim::SimDisk`].
#[derive(Clone)]
pub struct FaultyDisk<D> {
    disk: D,
    faults: Arc<Mutex<Faults>>,
}

impl<D: Disk> FaultyDisk<D> {
    /// A disk on which nothing fails yet.
    pub fn new(disk: D) -> Self {
        Self { disk, faults: Arc::default() }
    }

    /// The plan of faults, to read and to change.
    pub fn faults(&self) -> MutexGuard<'_, Faults> {
        lock(&self.faults)
    }

    fn check(&self, needs_space: bool, doing: &'static str, path: &Path) -> Result<(), IoError> {
        check(&self.faults, needs_space, doing, path)
    }
}

fn lock(faults: &Mutex<Faults>) -> MutexGuard<'_, Faults> {
    faults.lock().unwrap_or_else(PoisonError::into_inner)
}

fn check(faults: &Mutex<Faults>, needs_space: bool, doing: &'static str, path: &Path) -> Result<(), IoError> {
    match lock(faults).call(needs_space) {
        Some(fault) => Err(fault.error(doing, path)),
        None => Ok(()),
    }
}

impl<D: Disk> Disk for FaultyDisk<D> {
    fn open(&self, path: &Path, mode: OpenMode) -> Result<Arc<dyn File>, IoError> {
        if mode == OpenMode::CreateNew {
            self.check(true, "open", path)?;
        }
        let file = self.disk.open(path, mode)?;
        Ok(Arc::new(FaultyFile { file, path: path.to_owned(), faults: Arc::clone(&self.faults) }))
    }

    fn create_dir_all(&self, path: &Path) -> Result<(), IoError> {
        self.check(true, "mkdir", path)?;
        self.disk.create_dir_all(path)
    }

    fn create_dirs(&self, paths: &[PathBuf]) -> Result<(), IoError> {
        self.check(true, "mkdir", paths.first().map_or(Path::new(""), PathBuf::as_path))?;
        self.disk.create_dirs(paths)
    }

    fn list(&self, dir: &Path) -> Result<Vec<String>, IoError> {
        self.disk.list(dir)
    }

    fn exists(&self, path: &Path) -> Result<bool, IoError> {
        self.disk.exists(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<(), IoError> {
        self.check(true, "rename", from)?;
        self.disk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> Result<(), IoError> {
        self.check(false, "unlink", path)?;
        self.disk.remove(path)
    }

    fn sync_dir(&self, dir: &Path, point: SyncPoint) -> Result<(), IoError> {
        self.check(false, "fsync", dir)?;
        self.disk.sync_dir(dir, point)
    }

    fn space(&self, path: &Path) -> Result<(u64, u64), IoError> {
        let (free, total) = self.disk.space(path)?;
        Ok((if lock(&self.faults).full { 0 } else { free }, total))
    }
}

struct FaultyFile {
    file: Arc<dyn File>,
    path: PathBuf,
    faults: Arc<Mutex<Faults>>,
}

impl FaultyFile {
    fn check(&self, needs_space: bool, doing: &'static str) -> Result<(), IoError> {
        check(&self.faults, needs_space, doing, &self.path)
    }

    fn check_read(&self) -> Result<(), IoError> {
        let path = self.path.to_string_lossy();
        let fails = lock(&self.faults).unreadable.as_ref().is_some_and(|part| path.contains(part));
        if fails { Err(Fault::Eio.error("pread", &self.path)) } else { Ok(()) }
    }
}

impl File for FaultyFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize, IoError> {
        self.check_read()?;
        self.file.read_at(buffer, offset)
    }

    fn read_append(&self, buffer: &mut Vec<u8>, len: usize, offset: u64) -> Result<usize, IoError> {
        self.check_read()?;
        self.file.read_append(buffer, len, offset)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> Result<(), IoError> {
        self.check(true, "pwrite")?;
        self.file.write_all_at(bytes, offset)
    }

    fn write_vectored_at(&self, slices: &mut [IoSlice<'_>], offset: u64) -> Result<(), IoError> {
        self.check(true, "pwritev")?;
        self.file.write_vectored_at(slices, offset)
    }

    fn sync_data(&self, point: SyncPoint) -> Result<(), IoError> {
        self.check(false, "fdatasync")?;
        self.file.sync_data(point)
    }

    fn allocate(&self, offset: u64, len: u64) -> Result<(), IoError> {
        self.check(true, "fallocate")?;
        self.file.allocate(offset, len)
    }

    fn allocate_beyond(&self, offset: u64, len: u64) -> Result<(), IoError> {
        self.check(true, "fallocate")?;
        self.file.allocate_beyond(offset, len)
    }

    fn punch(&self, offset: u64, len: u64) -> Result<(), IoError> {
        self.check(false, "fallocate")?;
        self.file.punch(offset, len)
    }

    fn start_writeback(&self, offset: u64, len: u64) {
        self.file.start_writeback(offset, len);
    }

    fn set_len(&self, len: u64) -> Result<(), IoError> {
        self.check(false, "ftruncate")?;
        self.file.set_len(len)
    }

    fn len(&self) -> Result<u64, IoError> {
        self.file.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RealDisk;

    #[test]
    fn the_chosen_call_fails_once_and_a_full_disk_still_removes() {
        let dir = tempfile::tempdir().unwrap();
        let disk = FaultyDisk::new(RealDisk);
        let path = dir.path().join("f");
        let file = disk.open(&path, OpenMode::CreateNew).unwrap();
        disk.faults().fail_nth(2, Fault::Eio);
        file.write_all_at(b"a", 0).unwrap();
        let error = file.sync_data(SyncPoint("test")).unwrap_err();
        assert_eq!((error.doing, error.is_full()), ("fdatasync", false));
        file.sync_data(SyncPoint("test")).unwrap();
        assert_eq!(disk.faults().calls(), 4);

        disk.faults().set_full(true);
        assert!(file.write_all_at(b"b", 1).unwrap_err().is_full());
        assert!(disk.open(&dir.path().join("g"), OpenMode::CreateNew).is_err());
        assert_eq!(disk.space(dir.path()).unwrap().0, 0);
        disk.remove(&path).unwrap();
        disk.faults().set_full(false);
        file.write_all_at(b"b", 1).unwrap();
    }
}
