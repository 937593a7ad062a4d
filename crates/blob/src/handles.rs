//! Open files, and buffers for large reads, kept for the next reader.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use millpond_io::{Disk, File, IoError, OpenMode};

use crate::api::ExtentId;

/// Files kept open for reading. A process may by default have 1,024 files open, connections included.
const MAX_OPEN: usize = 256;
/// Buffers kept for reuse. With [`BUFFER`] at most 16 MiB, which an idle server holds on to.
const MAX_BUFFERS: usize = 15;
/// Capacity of a kept buffer: a piece of sixteen framed blocks and a header fits.
pub const BUFFER: usize = (1 << 20) + 4096;

/// Which file.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Key {
    /// A segment, by number.
    Segment(u64),
    /// An extent's own file.
    File(ExtentId),
}

/// A bounded set of open files; the one unused for longest makes room.
#[derive(Default)]
pub struct Handles {
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    files: HashMap<Key, (Arc<dyn File>, u64)>,
    uses: u64,
    /// How often a file was forgotten.
    forgotten: u64,
}

impl Handles {
    /// Gives the file, opening it if it is not open. A reader keeps it readable, also after it was removed.
    pub fn get(
        &self,
        key: Key,
        disk: &dyn Disk,
        path: impl FnOnce() -> std::path::PathBuf,
    ) -> Result<Arc<dyn File>, IoError> {
        let forgotten = {
            let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            open.uses += 1;
            let now = open.uses;
            if let Some((file, used)) = open.files.get_mut(&key) {
                *used = now;
                return Ok(Arc::clone(file));
            }
            open.forgotten
        };
        let path: &Path = &path();
        let file = disk.open(path, OpenMode::Read)?;
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.forgotten != forgotten {
            // Perhaps this very file: kept, it would hold the space of what was removed.
            return Ok(file);
        }
        if open.files.len() >= MAX_OPEN
            && let Some(oldest) = open.files.iter().min_by_key(|(_, (_, used))| *used).map(|(key, _)| *key)
        {
            open.files.remove(&oldest);
        }
        let now = open.uses;
        open.files.insert(key, (Arc::clone(&file), now));
        Ok(file)
    }

    /// Forgets a file. Called after its removal, so that its space is given back.
    pub fn forget(&self, key: Key) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.forgotten += 1;
        open.files.remove(&key);
    }
}

/// Buffers that come back when the last [`Bytes`] in them is dropped: a fresh megabyte costs 256 page faults.
#[derive(Clone, Default)]
pub struct Buffers(Arc<Mutex<Vec<Vec<u8>>>>);

struct Recycled {
    bytes: Vec<u8>,
    home: Buffers,
}

impl AsRef<[u8]> for Recycled {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Recycled {
    fn drop(&mut self) {
        let mut free = self.home.0.lock().unwrap_or_else(PoisonError::into_inner);
        if free.len() < MAX_BUFFERS {
            self.bytes.clear();
            free.push(std::mem::take(&mut self.bytes));
        }
    }
}

impl Buffers {
    /// An empty buffer of capacity [`BUFFER`].
    pub fn take(&self) -> Vec<u8> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        kept.unwrap_or_else(|| Vec::with_capacity(BUFFER))
    }

    /// Makes a buffer's content shareable; it comes back after use.
    pub fn share(&self, bytes: Vec<u8>) -> Bytes {
        Bytes::from_owner(Recycled { bytes, home: self.clone() })
    }
}

#[cfg(test)]
mod tests {
    use millpond_io::sim::SimDisk;

    use super::*;

    #[test]
    fn the_longest_unused_file_makes_room() {
        let disk = SimDisk::new();
        disk.create_dir_all(Path::new("/d")).unwrap();
        let handles = Handles::default();
        let path = |n: u64| Path::new("/d").join(n.to_string());
        for n in 0..MAX_OPEN as u64 + 1 {
            disk.open(&path(n), OpenMode::CreateNew).unwrap();
            handles.get(Key::Segment(n), &disk, || path(n)).unwrap();
            handles.get(Key::Segment(0), &disk, || path(0)).unwrap();
        }
        assert_eq!(handles.open.lock().unwrap().files.len(), MAX_OPEN);
        disk.remove(&path(0)).unwrap();
        disk.remove(&path(1)).unwrap();
        handles.get(Key::Segment(0), &disk, || path(0)).unwrap();
        assert!(handles.get(Key::Segment(1), &disk, || path(1)).is_err(), "closed to make room");
        handles.forget(Key::Segment(0));
        assert!(handles.get(Key::Segment(0), &disk, || path(0)).is_err());
    }

    #[test]
    fn buffers_come_back_when_their_last_slice_goes() {
        let buffers = Buffers::default();
        let mut buffer = buffers.take();
        buffer.extend_from_slice(b"hello");
        let address = buffer.as_ptr();
        let bytes = buffers.share(buffer);
        let slice = bytes.slice(1..3);
        drop(bytes);
        assert!(buffers.0.lock().unwrap().is_empty());
        assert_eq!(&slice[..], b"el");
        drop(slice);
        let again = buffers.take();
        assert!(again.is_empty() && again.as_ptr() == address && again.capacity() >= BUFFER);
    }
}
