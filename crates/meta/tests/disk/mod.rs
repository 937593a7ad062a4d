//! The real disk, with as much free space as told, and files that find no room when told.

#![allow(dead_code, reason = "each test uses what it needs")]

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use millpond_io::{Disk, File, IoError, OpenMode, RealDisk, SyncPoint};

#[derive(Clone)]
pub struct Tight {
    free: Arc<AtomicU64>,
    refused: Arc<Mutex<Option<&'static str>>>,
}

impl Tight {
    pub fn new() -> Self {
        Self { free: Arc::new(AtomicU64::new(1 << 40)), refused: Arc::default() }
    }

    /// What is free from now on; a ballast that is removed adds its size.
    pub fn set_free(&self, free: u64) {
        self.free.store(free, SeqCst);
    }

    /// Files whose names end like this cannot be opened with room to write, or, where they are journals, not get more room.
    pub fn set_refused(&self, name: Option<&'static str>) {
        *self.refused.lock().unwrap() = name;
    }

    fn check(&self, path: &Path, doing: &'static str) -> Result<(), IoError> {
        let refused = self.refused.lock().unwrap();
        match *refused {
            Some(name) if path.to_string_lossy().ends_with(name) => {
                Err(IoError { doing, path: path.to_owned(), source: std::io::ErrorKind::StorageFull.into() })
            }
            _ => Ok(()),
        }
    }
}

impl Disk for Tight {
    fn open(&self, path: &Path, mode: OpenMode) -> Result<Arc<dyn File>, IoError> {
        if mode == OpenMode::CreateNew {
            self.check(path, "open")?;
        }
        let file = RealDisk.open(path, mode)?;
        Ok(Arc::new(TightFile { file, path: path.to_owned(), disk: self.clone() }))
    }
    fn create_dir_all(&self, path: &Path) -> Result<(), IoError> {
        RealDisk.create_dir_all(path)
    }
    fn list(&self, dir: &Path) -> Result<Vec<String>, IoError> {
        RealDisk.list(dir)
    }
    fn exists(&self, path: &Path) -> Result<bool, IoError> {
        RealDisk.exists(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> Result<(), IoError> {
        RealDisk.rename(from, to)
    }
    fn remove(&self, path: &Path) -> Result<(), IoError> {
        if path.ends_with("ballast") {
            self.free.fetch_add(RealDisk.open(path, OpenMode::Read)?.len()?, SeqCst);
            // What the others could not have is there for those who gave it up.
            self.set_refused(None);
        }
        RealDisk.remove(path)
    }
    fn sync_dir(&self, dir: &Path, point: SyncPoint) -> Result<(), IoError> {
        RealDisk.sync_dir(dir, point)
    }
    fn space(&self, _: &Path) -> Result<(u64, u64), IoError> {
        Ok((self.free.load(SeqCst), 1 << 41))
    }
}

struct TightFile {
    file: Arc<dyn File>,
    path: std::path::PathBuf,
    disk: Tight,
}

impl File for TightFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize, IoError> {
        self.file.read_at(buffer, offset)
    }
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> Result<(), IoError> {
        self.file.write_all_at(bytes, offset)
    }
    fn sync_data(&self, point: SyncPoint) -> Result<(), IoError> {
        self.file.sync_data(point)
    }
    fn allocate(&self, offset: u64, len: u64) -> Result<(), IoError> {
        self.file.allocate(offset, len)
    }
    fn allocate_beyond(&self, offset: u64, len: u64) -> Result<(), IoError> {
        self.disk.check(&self.path, "fallocate")?;
        self.file.allocate_beyond(offset, len)
    }
    fn punch(&self, offset: u64, len: u64) -> Result<(), IoError> {
        self.file.punch(offset, len)
    }
    fn start_writeback(&self, offset: u64, len: u64) {
        self.file.start_writeback(offset, len);
    }
    fn set_len(&self, len: u64) -> Result<(), IoError> {
        self.file.set_len(len)
    }
    fn len(&self) -> Result<u64, IoError> {
        self.file.len()
    }
}
