//! Room for the journal, taken before fjall writes to it. fjall makes a journal as a sparse file, and a write that finds no room
//! in it poisons fjall until the next opening. So the blocks are taken ahead of the writing, where want of room is an answer.
//! (A file system that writes elsewhere than it allocated, such as btrfs, gives no such promise.)
//!
//! fjall tells neither the journal's path nor how far it is written, but both follow from what it does: journals are numbered,
//! a new one is begun when the last has more than [`ROTATES_AT`] bytes, and only our commits are written to them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use millpond_io::{Disk, File, IoError, OpenMode};

use super::journal::numbers;

/// fjall begins no new journal before this many bytes are in the last (`worker_pool.rs`).
const ROTATES_AT: u64 = 64_000_000;
/// Taken at once: a call costs some tens of microseconds, and the blocks are lost to others.
const STEP: u64 = 4 << 20;
/// Journals that may have been begun since the last look; more than one is rare.
const MAX_NEW: u64 = 64;

pub(super) struct JournalRoom {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    number: u64,
    file: Arc<dyn File>,
    /// Where the next group begins, at most.
    at: u64,
    /// Up to where blocks are taken.
    taken: u64,
    /// Bytes of the last group.
    last: u64,
}

impl JournalRoom {
    /// For the database in `dir`, which is open. `fresh`: whether that opening made it; what was there before is continued
    /// at its end.
    pub(super) fn new(disk: Arc<dyn Disk>, dir: &Path, fresh: bool) -> Result<Self, IoError> {
        let number = numbers(&*disk, dir)?.last().copied().unwrap_or(0);
        let file = disk.open(&path(dir, number), OpenMode::Write)?;
        let at = if fresh { 0 } else { file.len()? };
        Ok(Self { disk, dir: dir.to_owned(), number, file, at, taken: at, last: 0 })
    }

    /// Has room for a group of so many bytes.
    pub(super) fn take(&mut self, bytes: u64) -> Result<(), IoError> {
        self.follow()?;
        let end = self.at.saturating_add(bytes);
        if end > self.taken {
            let to = end.next_multiple_of(STEP);
            self.file.allocate_beyond(self.taken, to - self.taken)?;
            self.taken = to;
        }
        self.last = bytes;
        Ok(())
    }

    /// The group was written.
    pub(super) fn written(&mut self) {
        self.at += self.last;
    }

    /// Goes on to the journal that is being written now.
    fn follow(&mut self) -> Result<(), IoError> {
        for _ in 0..MAX_NEW {
            let next = path(&self.dir, self.number + 1);
            if self.at <= ROTATES_AT || !self.disk.exists(&next)? {
                break;
            }
            self.file = self.disk.open(&next, OpenMode::Write)?;
            self.number += 1;
            // It may have been begun just before the last group.
            (self.at, self.taken) = (self.last, 0);
        }
        Ok(())
    }
}

fn path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number}.jnl"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use millpond_io::RealDisk;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn room_is_taken_ahead_in_the_journal_that_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let at = |number| path(dir.path(), number);
        let blocks = |number| at(number).metadata().unwrap().blocks() * 512;
        let begin = |number| RealDisk.open(&at(number), OpenMode::CreateNew).unwrap();
        begin(7).write_all_at(&[1; 5000], 0).unwrap();

        let mut room = JournalRoom::new(Arc::new(RealDisk), dir.path(), false).unwrap();
        room.take(100).unwrap();
        room.written();
        assert!((STEP..2 * STEP).contains(&blocks(7)), "{}", blocks(7));
        assert_eq!(at(7).metadata().unwrap().len(), 5000, "fjall appends at the end, which must not move");
        // A group of more than a step; and one that is not written takes no room from the next.
        for written in [true, false, false, false] {
            room.take(2 * STEP).unwrap();
            if written {
                room.written();
            }
        }
        assert!((4 * STEP..6 * STEP).contains(&blocks(7)), "{}", blocks(7));

        // fjall begins the next one only when this one is long enough.
        begin(8);
        room.take(100).unwrap();
        assert_eq!(blocks(8), 0);
        room.take(ROTATES_AT).unwrap();
        room.written();
        room.take(100).unwrap();
        assert!(blocks(8) >= STEP);
    }
}
