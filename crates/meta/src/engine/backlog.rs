//! What waits to be written out of memory and to be merged, and what that means for commits.
//!
//! fjall lets a commit wait, without an end and without a word, while a keyspace has 30 tables in its first level or four
//! memtables that wait to be written. When the tables never get fewer (they are damaged, the disk has no room to merge in, the
//! thread that writes them is gone) it would hang for ever. So commits wait here, before that, and only for work that goes on.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::Relaxed};

use fjall::{AbstractTree, Keyspace};

use super::spaces::{Class, Spaces};

/// Tables of the first level with which a keyspace takes no more, unless they are being merged. fjall waits at 30; memtables
/// that wait already still come on top.
const MAX_TABLES: usize = 24;
/// The same for batches that free space, when there is no room to merge in.
const MAX_TABLES_URGENT: usize = 27;
/// Memtables of a keyspace that we let wait. fjall waits at 4, and may add one by itself to be rid of a journal.
pub(super) const MAX_SEALED: usize = 2;
/// A memtable of so many times the size at which it is to be written out takes no more when it cannot be.
const MAX_MEMTABLE_TIMES: u64 = 2;

/// Why a merge did not take place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(super) enum Merging {
    /// It did, or there was nothing to merge.
    Works,
    /// There is no room for it.
    NoRoom,
    /// It failed.
    Fails,
}

/// Whether commits may go on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Pressure {
    /// They may.
    None,
    /// Not before tables were written or merged, which is under way.
    Wait,
    /// Tables cannot be merged for want of room: ordinary batches are refused, and urgent ones too if so told.
    NoRoomToMerge {
        /// Whether urgent batches are refused too.
        urgent: bool,
    },
    /// Memory cannot be written out for want of room.
    NoRoomToWrite,
    /// Tables of this keyspace cannot be merged.
    Stuck(&'static str),
}

/// How the background does.
#[derive(Default)]
pub(super) struct Backlog {
    merging: [AtomicU8; Class::ALL.len()],
    /// Memory is not written out, as there is no room for the table.
    no_room_to_write: AtomicBool,
    /// Merges that were done and that failed, since the start.
    pub(super) merges: AtomicU64,
    pub(super) merges_failed: AtomicU64,
}

impl Backlog {
    pub(super) fn set_merging(&self, class: Class, merging: Merging) {
        self.merging[class.index()].store(merging as u8, Relaxed);
    }

    fn merging(&self, class: Class) -> Merging {
        match self.merging[class.index()].load(Relaxed) {
            0 => Merging::Works,
            1 => Merging::NoRoom,
            _ => Merging::Fails,
        }
    }

    /// Whether there is no room to write memory out, from now on; whether that is news.
    pub(super) fn set_no_room_to_write(&self, lacks: bool) -> bool {
        self.no_room_to_write.swap(lacks, Relaxed) != lacks
    }

    /// What commits have to put up with now.
    pub(super) fn pressure(&self, spaces: &Spaces) -> Pressure {
        let mut pressure = Pressure::None;
        for class in Class::ALL {
            let space = spaces.space(class);
            match self.of(class, space) {
                Pressure::None => {}
                stuck @ Pressure::Stuck(_) => return stuck,
                // Waiting helps one keyspace and not another: the other's refusal is the answer.
                Pressure::Wait if pressure != Pressure::None => {}
                other => pressure = other,
            }
        }
        pressure
    }

    fn of(&self, class: Class, space: &Keyspace) -> Pressure {
        let tables = space.tree.l0_run_count();
        if tables >= MAX_TABLES {
            match self.merging(class) {
                Merging::Fails => return Pressure::Stuck(class.name()),
                Merging::NoRoom => return Pressure::NoRoomToMerge { urgent: tables >= MAX_TABLES_URGENT },
                Merging::Works => return Pressure::Wait,
            }
        }
        let sealed = space.tree.sealed_memtable_count();
        let full = space.tree.active_memtable().size() >= class.memtable_bytes() * MAX_MEMTABLE_TIMES;
        if sealed > MAX_SEALED || (full && sealed == MAX_SEALED) {
            return Pressure::Wait;
        }
        // It is also full, for a moment, when the thread that has it written out was late; fjall does not mind.
        if full && self.no_room_to_write.load(Relaxed) { Pressure::NoRoomToWrite } else { Pressure::None }
    }
}

/// Tables of the first level of the keyspace that has the most, and memtables that wait to be written.
pub(super) fn figures(spaces: &Spaces) -> (u64, u64) {
    let trees = || Class::ALL.iter().map(|class| &spaces.space(*class).tree);
    let tables = trees().map(|tree| tree.l0_run_count()).max().unwrap_or(0);
    let sealed: usize = trees().map(|tree| tree.sealed_memtable_count()).sum();
    (tables as u64, sealed as u64)
}

/// Whether a keyspace has so many tables in its first level that commits would wait for them.
pub(super) fn crowded(space: &Keyspace) -> bool {
    space.tree.l0_run_count() >= MAX_TABLES
}

/// What is told of a keyspace whose tables cannot be merged.
pub(super) fn stuck(space: &str) -> String {
    format!("it cannot merge its tables ({space}); the log says why; run `millpond fsck`")
}

#[cfg(test)]
mod tests;
