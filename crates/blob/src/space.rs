//! How much room the disk has left, asked seldom.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use millpond_io::Disk;

use crate::api::BlobError;

/// An answer of the file system is trusted for this long...
const TRUSTED_FOR: Duration = Duration::from_millis(250);
/// ...and for this many bytes written.
const TRUSTED_BYTES: u64 = 16 << 20;
/// The least and the most of the default reserve: enough for metadata to go on for a while, not a waste of a large disk.
const RESERVE: (u64, u64) = (64 << 20, 1 << 30);

/// Keeps a reserve free.
pub struct Space {
    reserve: u64,
    known: Mutex<Known>,
}

#[derive(Clone, Copy)]
struct Known {
    free: u64,
    total: u64,
    asked: Instant,
    claimed: u64,
}

impl Space {
    /// Asks for the first time. Without a `reserve` it is 1 % of the disk within bounds.
    pub fn new(disk: &dyn Disk, dir: &Path, reserve: Option<u64>) -> Result<Self, BlobError> {
        let (free, total) = disk.space(dir)?;
        let reserve = reserve.unwrap_or((total / 100).clamp(RESERVE.0, RESERVE.1));
        Ok(Self { reserve, known: Mutex::new(Known { free, total, asked: Instant::now(), claimed: 0 }) })
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says whether `bytes` more may be written, and counts them.
    pub fn claim(&self, disk: &dyn Disk, dir: &Path, bytes: u64) -> Result<(), BlobError> {
        let mut known = self.lock();
        let stale = known.asked.elapsed() > TRUSTED_FOR || known.claimed.saturating_add(bytes) > TRUSTED_BYTES;
        let short = |known: &Known| known.free < self.reserve.saturating_add(known.claimed).saturating_add(bytes);
        if stale || short(&known) {
            let (free, total) = disk.space(dir)?;
            *known = Known { free, total, asked: Instant::now(), claimed: 0 };
        }
        if short(&known) {
            return Err(BlobError::Full);
        }
        known.claimed += bytes;
        Ok(())
    }

    /// `(free, total, reserve)` as last asked.
    pub fn figures(&self) -> (u64, u64, u64) {
        let known = self.lock();
        (known.free, known.total, self.reserve)
    }
}

#[cfg(test)]
mod tests {
    use millpond_io::sim::SimDisk;
    use millpond_io::{OpenMode, SyncPoint};

    use super::*;

    #[test]
    fn writes_are_refused_below_the_reserve_and_go_on_when_there_is_room_again() {
        let disk = SimDisk::new();
        disk.create_dir_all(Path::new("/d")).unwrap();
        disk.set_capacity(1 << 20);
        let space = Space::new(&disk, Path::new("/d"), Some(1 << 19)).unwrap();
        space.claim(&disk, Path::new("/d"), 1 << 18).unwrap();
        assert!(matches!(space.claim(&disk, Path::new("/d"), (1 << 19) + 1), Err(BlobError::Full)));
        let path = Path::new("/d/f");
        let file = disk.open(path, OpenMode::CreateNew).unwrap();
        file.write_all_at(&vec![1; 1 << 19], 0).unwrap();
        file.sync_data(SyncPoint("x")).unwrap();
        let mut refused = false;
        for _ in 0..3 {
            refused |= space.claim(&disk, Path::new("/d"), 1 << 18).is_err();
        }
        assert!(refused);
        disk.remove(path).unwrap();
        space.claim(&disk, Path::new("/d"), 1 << 18).unwrap();
        assert_eq!(Space::new(&disk, Path::new("/d"), None).unwrap().figures().2, 64 << 20);
    }
}
