//! The operating system's files.

use std::collections::BTreeSet;
use std::io::IoSlice;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{Advice, FallocateFlags, FlockOperation, Mode, OFlags};

use crate::disk::{Disk, File, IoError, OpenMode, SyncPoint};

/// Slices that one pwritev(2) takes (`IOV_MAX` on Linux).
const MAX_SLICES: usize = 1024;

/// The file system of this machine. Files are made with mode 0600, directories with 0700.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk;

fn failed(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> IoError {
    move |source| IoError { doing, path: path.to_owned(), source }
}

fn failed_os(doing: &'static str, path: &Path) -> impl FnOnce(rustix::io::Errno) -> IoError {
    move |errno| failed(doing, path)(errno.into())
}

/// The directory that holds `path`; `.` for a bare name.
fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    }
}

fn sync_directory(dir: &Path) -> Result<(), IoError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let fd = rustix::fs::open(dir, flags, Mode::empty()).map_err(failed_os("open", dir))?;
    rustix::fs::fsync(fd).map_err(failed_os("fsync", dir))
}

/// Paths and all directories above them, as far as the paths name them.
fn with_ancestors(paths: &[PathBuf]) -> BTreeSet<&Path> {
    let all = paths.iter().flat_map(|path| path.ancestors());
    all.filter(|dir| !dir.as_os_str().is_empty() && dir.parent().is_some()).collect()
}

/// Whether a directory cannot be synced by us at all, as opposed to a sync that failed.
fn cannot_sync(error: &IoError) -> bool {
    let refused =
        [rustix::io::Errno::ACCESS, rustix::io::Errno::PERM, rustix::io::Errno::INVAL, rustix::io::Errno::ROFS];
    refused.iter().any(|errno| error.source.raw_os_error() == Some(errno.raw_os_error()))
}

impl RealDisk {
    /// Takes an exclusive lock that lasts until the answer is dropped or the process ends; `None` when another holds it. The
    /// file is made if there is none and stays behind.
    pub fn lock(&self, path: &Path) -> Result<Option<LockedFile>, IoError> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC;
        let fd = rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR).map_err(failed_os("open", path))?;
        match rustix::fs::flock(&fd, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(LockedFile { _fd: fd })),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(errno) => Err(failed_os("flock", path)(errno)),
        }
    }
}

/// A lock held on a file ([`RealDisk::lock`]).
#[derive(Debug)]
pub struct LockedFile {
    _fd: std::os::fd::OwnedFd,
}

impl Disk for RealDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> Result<Arc<dyn File>, IoError> {
        let mut options = std::fs::OpenOptions::new();
        options.read(true).mode(0o600);
        match mode {
            OpenMode::Read => &mut options,
            OpenMode::Write => options.write(true),
            OpenMode::CreateNew => options.write(true).create_new(true),
        };
        let file = options.open(path).map_err(failed("open", path))?;
        Ok(Arc::new(RealFile { file, path: path.to_owned() }))
    }

    fn create_dir_all(&self, path: &Path) -> Result<(), IoError> {
        self.create_dirs(&[path.to_owned()])
    }

    fn create_dirs(&self, paths: &[PathBuf]) -> Result<(), IoError> {
        let mut missing = BTreeSet::new();
        for dir in with_ancestors(paths) {
            if !self.exists(dir)? {
                missing.insert(dir);
            }
        }
        // In this order a directory comes before those in it.
        for dir in &missing {
            match rustix::fs::mkdir(*dir, Mode::RWXU) {
                // Made by another thread meanwhile: it may not have synced yet, so that it is synced here, too.
                Ok(()) | Err(rustix::io::Errno::EXIST) => {}
                Err(errno) => return Err(failed_os("mkdir", dir)(errno)),
            }
        }
        // Of all that had to be there, not only of those made now: whoever made the others may have been killed before it came to the sync.
        let parents: BTreeSet<&Path> = with_ancestors(paths).into_iter().map(parent).collect();
        parents.into_iter().try_for_each(|dir| match sync_directory(dir) {
            // What another made and keeps to itself, or a file system that has no such sync: then it holds nothing that was made here.
            Err(error) if !missing.iter().any(|made| parent(made) == dir) && cannot_sync(&error) => Ok(()),
            synced => synced,
        })
    }

    fn list(&self, dir: &Path) -> Result<Vec<String>, IoError> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(dir).map_err(failed("readdir", dir))? {
            let name = entry.map_err(failed("readdir", dir))?.file_name();
            // We write only names that are UTF-8; a foreign file is shown as well as can be.
            names.push(name.to_string_lossy().into_owned());
        }
        names.sort_unstable();
        Ok(names)
    }

    fn exists(&self, path: &Path) -> Result<bool, IoError> {
        path.try_exists().map_err(failed("stat", path))
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<(), IoError> {
        if parent(from) != parent(to) {
            return Err(failed_os("rename", from)(rustix::io::Errno::XDEV));
        }
        rustix::fs::rename(from, to).map_err(failed_os("rename", from))
    }

    fn remove(&self, path: &Path) -> Result<(), IoError> {
        rustix::fs::unlink(path).map_err(failed_os("unlink", path))
    }

    fn sync_dir(&self, dir: &Path, _point: SyncPoint) -> Result<(), IoError> {
        sync_directory(dir)
    }

    fn space(&self, path: &Path) -> Result<(u64, u64), IoError> {
        let stat = rustix::fs::statvfs(path).map_err(failed_os("statvfs", path))?;
        Ok((stat.f_bavail.saturating_mul(stat.f_frsize), stat.f_blocks.saturating_mul(stat.f_frsize)))
    }
}

struct RealFile {
    file: std::fs::File,
    path: PathBuf,
}

impl RealFile {
    fn failed(&self, doing: &'static str) -> impl FnOnce(rustix::io::Errno) -> IoError {
        failed_os(doing, &self.path)
    }
}

impl File for RealFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize, IoError> {
        let mut done = 0;
        while done < buffer.len() {
            match rustix::io::pread(&self.file, &mut buffer[done..], offset + done as u64) {
                Ok(0) => break,
                Ok(n) => done += n,
                Err(rustix::io::Errno::INTR) => {}
                Err(errno) => return Err(self.failed("pread")(errno)),
            }
        }
        Ok(done)
    }

    fn read_append(&self, buffer: &mut Vec<u8>, len: usize, offset: u64) -> Result<usize, IoError> {
        let start = buffer.len();
        buffer.reserve_exact(len);
        while buffer.len() - start < len {
            let done = buffer.len() - start;
            // The spare capacity may exceed what was asked for: only its first bytes are offered.
            let spare = rustix::buffer::spare_capacity(buffer);
            let got = match rustix::io::pread(&self.file, spare, offset + done as u64) {
                Ok(0) => break,
                Ok(n) => n,
                Err(rustix::io::Errno::INTR) => continue,
                Err(errno) => return Err(self.failed("pread")(errno)),
            };
            buffer.truncate(start + (done + got).min(len));
        }
        Ok(buffer.len() - start)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> Result<(), IoError> {
        // The standard library's loop handles interruptions and short writes.
        self.file.write_all_at(bytes, offset).map_err(failed("pwrite", &self.path))
    }

    fn write_vectored_at(&self, mut slices: &mut [IoSlice<'_>], mut offset: u64) -> Result<(), IoError> {
        // Skips empty slices at the front, so that a write of 0 bytes means what it says.
        IoSlice::advance_slices(&mut slices, 0);
        while !slices.is_empty() {
            match rustix::io::pwritev(&self.file, &slices[..slices.len().min(MAX_SLICES)], offset) {
                Ok(0) => return Err(self.failed("pwritev")(rustix::io::Errno::IO)),
                Ok(n) => {
                    IoSlice::advance_slices(&mut slices, n);
                    offset += n as u64;
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(errno) => return Err(self.failed("pwritev")(errno)),
            }
        }
        Ok(())
    }

    fn sync_data(&self, _point: SyncPoint) -> Result<(), IoError> {
        // Not retried after an interruption either: what an error left behind is unknown.
        rustix::fs::fdatasync(&self.file).map_err(self.failed("fdatasync"))
    }

    fn allocate(&self, offset: u64, len: u64) -> Result<(), IoError> {
        match rustix::fs::fallocate(&self.file, FallocateFlags::empty(), offset, len) {
            Ok(()) => Ok(()),
            // A file system without fallocate: the length alone.
            Err(rustix::io::Errno::OPNOTSUPP) if self.len()? >= offset + len => Ok(()),
            Err(rustix::io::Errno::OPNOTSUPP) => self.set_len(offset + len),
            Err(errno) => Err(self.failed("fallocate")(errno)),
        }
    }

    fn allocate_beyond(&self, offset: u64, len: u64) -> Result<(), IoError> {
        match rustix::fs::fallocate(&self.file, FallocateFlags::KEEP_SIZE, offset, len) {
            Ok(()) | Err(rustix::io::Errno::OPNOTSUPP) => Ok(()),
            Err(errno) => Err(self.failed("fallocate")(errno)),
        }
    }

    fn punch(&self, offset: u64, len: u64) -> Result<(), IoError> {
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        rustix::fs::fallocate(&self.file, flags, offset, len).map_err(self.failed("fallocate"))
    }

    fn start_writeback(&self, offset: u64, len: u64) {
        // sync_file_range(2) has no safe binding. POSIX_FADV_DONTNEED starts the same writing of dirty pages on Linux; pages under
        // writeback stay cached. A hint: an error means only that the later sync takes longer.
        let _ = rustix::fs::fadvise(&self.file, offset, std::num::NonZeroU64::new(len), Advice::DontNeed);
    }

    fn set_len(&self, len: u64) -> Result<(), IoError> {
        rustix::fs::ftruncate(&self.file, len).map_err(self.failed("ftruncate"))
    }

    fn len(&self) -> Result<u64, IoError> {
        let stat = rustix::fs::fstat(&self.file).map_err(self.failed("fstat"))?;
        Ok(u64::try_from(stat.st_size).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const POINT: SyncPoint = SyncPoint("test");

    #[test]
    fn files_and_directories_are_private_and_hold_what_was_written() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("a/b/c");
        RealDisk.create_dir_all(&deep).unwrap();
        RealDisk.create_dir_all(&deep).unwrap();
        let path = deep.join("f");
        let file = RealDisk.open(&path, OpenMode::CreateNew).unwrap();
        assert!(RealDisk.open(&path, OpenMode::CreateNew).is_err(), "new means new");
        file.allocate(0, 8192).unwrap();
        assert_eq!(file.len().unwrap(), 8192);
        let many = vec![b"ab".as_slice(); 3000];
        let mut slices: Vec<IoSlice<'_>> = many.iter().map(|s| IoSlice::new(s)).collect();
        file.write_vectored_at(&mut slices, 100).unwrap();
        file.write_vectored_at(&mut [IoSlice::new(b""), IoSlice::new(b"")], 0).unwrap();
        file.start_writeback(0, 8192);
        file.sync_data(POINT).unwrap();
        RealDisk.sync_dir(&deep, POINT).unwrap();

        let mut appended = b"xy".to_vec();
        assert_eq!(file.read_append(&mut appended, 9000, 100).unwrap(), 8092);
        assert_eq!(&appended[..6], b"xyabab");
        assert_eq!(appended.len(), 8094);
        let mut short = Vec::with_capacity(4096);
        assert_eq!(file.read_append(&mut short, 3, 101).unwrap(), 3, "no more than asked, whatever the capacity");
        assert_eq!(short, b"bab");
        let mut buffer = [9; 4];
        assert_eq!(file.read_at(&mut buffer, 8190).unwrap(), 2, "short only at the end");

        file.punch(0, 4096).unwrap();
        file.read_at(&mut buffer, 100).unwrap();
        assert_eq!(buffer, [0; 4]);
        file.set_len(10).unwrap();
        assert_eq!(file.len().unwrap(), 10);
        let mode = |p: &Path| p.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(&deep)), (0o600, 0o700));
    }

    /// Of those that exist as well: they may have been made by a process that was killed before it synced them.
    #[test]
    fn the_parents_of_all_directories_are_synced() {
        let parents = |paths: &[&str]| {
            let paths: Vec<PathBuf> = paths.iter().map(PathBuf::from).collect();
            let parents: BTreeSet<&Path> = with_ancestors(&paths).into_iter().map(parent).collect();
            parents.into_iter().map(|dir| dir.to_string_lossy().into_owned()).collect::<Vec<_>>()
        };
        for (paths, expected) in [
            (&["/a/b/c"][..], &["/", "/a", "/a/b"][..]),
            (&["a/b", "a/c"], &[".", "a"]),
            (&["a"], &["."]),
            (&["/"], &[]),
        ] {
            assert_eq!(parents(paths), expected, "{paths:?}");
        }
        let dir = tempfile::tempdir().unwrap();
        let gone = sync_directory(&dir.path().join("gone")).unwrap_err();
        assert!(!cannot_sync(&gone), "a directory that should be there is missed");
        for (errno, expected) in
            [(rustix::io::Errno::ACCESS, true), (rustix::io::Errno::IO, false), (rustix::io::Errno::NOSPC, false)]
        {
            assert_eq!(cannot_sync(&failed_os("fsync", dir.path())(errno)), expected, "{errno:?}");
        }
    }

    #[test]
    fn names_move_and_go_within_a_directory() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        RealDisk.open(&at("one"), OpenMode::CreateNew).unwrap();
        RealDisk.open(&at("two"), OpenMode::CreateNew).unwrap();
        RealDisk.rename(&at("one"), &at("two")).unwrap();
        assert_eq!(RealDisk.list(dir.path()).unwrap(), ["two"]);
        RealDisk.create_dir_all(&at("d")).unwrap();
        assert!(RealDisk.rename(&at("two"), &at("d/two")).is_err(), "not into another directory");
        RealDisk.remove(&at("two")).unwrap();
        assert!(!RealDisk.exists(&at("two")).unwrap());
        let missing = RealDisk.remove(&at("two")).unwrap_err();
        assert!(missing.is_missing() && !missing.is_full());
        let (free, total) = RealDisk.space(dir.path()).unwrap();
        assert!(free <= total && total > 0);
    }

    #[test]
    fn a_lock_is_held_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let held = RealDisk.lock(&path).unwrap();
        assert!(held.is_some());
        assert!(RealDisk.lock(&path).unwrap().is_none());
        drop(held);
        assert!(RealDisk.lock(&path).unwrap().is_some());
    }
}
