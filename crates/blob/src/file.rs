//! Extents in files of their own.

use std::io::IoSlice;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use millpond_io::{File, OpenMode};

use crate::api::{BLOCK, BlobError, ExtentId, Location, SYNC_FILE_DATA, SYNC_FILE_DIR};
use crate::flight::Stored;
use crate::format::{FRAME, Framed, HEADER, Header, stored_len};
use crate::handles::Key;
use crate::store::Inner;

/// After this many bytes the system is asked to begin writing them to disk, so that the sync at the end finds little left to do.
const WRITEBACK: u64 = 8 << 20;
/// Content for which room is set aside at once; whole blocks. Parts are hardly ever larger.
const AHEAD: u64 = 256 << 20;

/// The directory of all files.
pub fn root(dir: &Path) -> PathBuf {
    dir.join("files")
}

/// The directories over which files are spread, by the first byte of their names. Made when the store is opened, so that a new file
/// costs one directory sync.
pub fn fans(dir: &Path) -> impl Iterator<Item = PathBuf> {
    let root = root(dir);
    (0..=255_u8).map(move |fan| root.join(format!("{fan:02x}")))
}

/// An extent's file.
pub fn path(dir: &Path, extent: ExtentId) -> PathBuf {
    let name = format!("{:032x}", extent.0);
    root(dir).join(&name[..2]).join(&name)
}

/// The extent in a file's name, if it is one of ours.
pub fn extent(name: &str) -> Option<ExtentId> {
    let id = (name.len() == 32).then(|| u128::from_str_radix(name, 16).ok()).flatten()?;
    (format!("{id:032x}") == name).then_some(ExtentId(id))
}

/// A file that is being written. Dropped before it is finished, it is removed.
///
/// Room is set aside for what the client says will come, but not for all of it: a length is a claim, and whoever sends one byte of
/// 5 GiB must not keep others from writing.
pub struct NewFile {
    inner: Arc<Inner>,
    extent: ExtentId,
    path: PathBuf,
    file: Arc<dyn File>,
    finished: AtomicBool,
    /// Blocks from here on the system has not been asked to write yet.
    asked: AtomicU64,
}

impl NewFile {
    /// Creates the file, with room for `expected` bytes of content.
    pub fn create(inner: &Arc<Inner>, extent: ExtentId, expected: Option<u64>) -> Result<Arc<Self>, BlobError> {
        inner.check_stopped()?;
        let ahead = expected.map_or(0, |len| stored_len(len.min(AHEAD)));
        inner.space.claim(&*inner.disk, &inner.dir, ahead)?;
        let path = path(&inner.dir, extent);
        inner.flights.begin(extent);
        let file = match inner.disk.open(&path, OpenMode::CreateNew) {
            Ok(file) => file,
            Err(error) => {
                inner.flights.end(extent);
                return Err(error.into());
            }
        };
        let (finished, asked) = (AtomicBool::new(false), AtomicU64::new(0));
        let new = Arc::new(Self { inner: Arc::clone(inner), extent, path, file, finished, asked });
        if ahead > 0 {
            new.file.allocate(0, ahead)?;
        }
        Ok(new)
    }

    /// Makes the name durable. Independent of the content: done while that is still coming.
    pub fn sync_name(&self) -> Result<(), BlobError> {
        self.inner.sync_dir(self.path.parent().unwrap_or(Path::new(".")), SYNC_FILE_DIR)
    }

    /// Writes content that begins with block `first`; all but the last such piece are whole blocks. `claimed`: whether room was asked for at the creation, as far as that goes.
    pub fn write(&self, first: u64, chunks: Vec<Bytes>, claimed: bool) -> Result<(), BlobError> {
        let len: u64 = chunks.iter().map(|c| c.len() as u64).sum();
        if !claimed || first * BLOCK + len > AHEAD {
            self.inner.space.claim(&*self.inner.disk, &self.inner.dir, len)?;
        }
        let framed = Framed::new(self.extent, first, chunks);
        let mut slices: Vec<IoSlice<'_>> = Vec::new();
        framed.slices(&mut slices);
        self.file.write_vectored_at(&mut slices, HEADER as u64 + first * FRAME)?;
        let end = first + len / BLOCK;
        let asked = self.asked.load(Ordering::Relaxed);
        if (end.saturating_sub(asked)) * BLOCK >= WRITEBACK {
            self.asked.store(end, Ordering::Relaxed);
            self.file.start_writeback(asked * FRAME, (end - asked) * FRAME);
        }
        Ok(())
    }

    /// Writes the header and makes all of it durable. The name is durable already.
    pub fn finish(&self, len: u64, expected: Option<u64>) -> Result<Stored, BlobError> {
        self.file.write_all_at(&Header { generation: 0, extent: self.extent, len }.encode(), 0)?;
        if expected.is_some_and(|expected| expected != len) {
            self.file.set_len(stored_len(len))?;
        }
        self.inner.check_stopped()?;
        self.inner.sync_own(&*self.file, SYNC_FILE_DATA)?;
        self.finished.store(true, Ordering::SeqCst);
        self.inner.stats.stored(len);
        self.inner.stats.file_added(len);
        Ok(Stored::new(Arc::clone(&self.inner), self.extent, Location::File { len }))
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if self.finished.load(Ordering::SeqCst) {
            return;
        }
        let (inner, extent, path) = (Arc::clone(&self.inner), self.extent, std::mem::take(&mut self.path));
        // This may run on a thread that must not wait for the disk.
        self.inner.writers.submit(move || {
            // What cannot be removed now the sweep of the next start finds.
            if let Err(error) = inner.disk.remove(&path) {
                tracing::warn!(%error, "an unfinished file stays until the next sweep");
            }
            inner.flights.end(extent);
        });
    }
}

/// Removes an extent's file; whether there was one. Not made durable: should the name come back, the sweep removes it.
pub fn remove(inner: &Inner, extent: ExtentId) -> Result<bool, BlobError> {
    let removed = inner.disk.remove(&path(&inner.dir, extent));
    inner.handles.forget(Key::File(extent));
    match removed {
        Ok(()) => Ok(true),
        Err(error) if error.is_missing() => Ok(false),
        Err(error) => Err(error.into()),
    }
}
