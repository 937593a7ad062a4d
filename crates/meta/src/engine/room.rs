//! Room on the disk. A journal write that fails for want of room stops the engine for good, so batches are refused before
//! that: ordinary ones below the reserve, so that there is room left to delete things in, urgent ones below the floor.
//!
//! Others may fill the disk too. Therefore a file of the reserve's size, the ballast, holds room that only we can give up;
//! it goes when even urgent batches lack room, and comes back when there is plenty again.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use millpond_io::{Disk, IoError, OpenMode};

/// Below this much free space (and with the ballast gone) not even urgent batches are taken: what is written out of memory in
/// the background must still fit.
const FLOOR_SHARE: u64 = 4;
/// The ballast comes back when this many times its size is free.
const REFILL_TIMES: u64 = 3;
const BALLAST_FILE: &str = "ballast";

/// Which batches there is room for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Room {
    /// All.
    Ample,
    /// Urgent ones.
    Low,
    /// None.
    Out,
}

pub(super) struct RoomKeeper {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    reserve: u64,
    ballast: bool,
    room: Room,
}

impl RoomKeeper {
    /// Takes the reserve, if there is room for it. A reserve of 0 turns all this off.
    pub(super) fn new(disk: Arc<dyn Disk>, dir: &Path, reserve: u64) -> Result<Self, IoError> {
        let path = dir.join(BALLAST_FILE);
        let mut ballast = disk.exists(&path)?;
        if ballast && disk.open(&path, OpenMode::Read)?.len()? != reserve {
            // Cut short by a crash, or of another setting.
            disk.remove(&path)?;
            ballast = false;
        }
        let mut keeper = Self { disk, dir: dir.to_owned(), reserve, ballast, room: Room::Ample };
        keeper.check();
        Ok(keeper)
    }

    /// What there is room for now; one statfs(2).
    pub(super) fn check(&mut self) -> Room {
        if self.reserve == 0 {
            return Room::Ample;
        }
        let free = match self.disk.space(&self.dir) {
            Ok((free, _)) => free,
            Err(error) => {
                // Not knowing is no reason to refuse: a write that finds no room stops the engine, it loses nothing.
                tracing::warn!(%error, "free space is unknown");
                return self.room;
            }
        };
        // Without the ballast, its share of what is free is for deletions: it was given up for them.
        let share = if self.ballast { 0 } else { self.reserve };
        let room = if free.saturating_sub(share) >= self.reserve {
            Room::Ample
        } else if free >= self.reserve / FLOOR_SHARE || self.ballast {
            Room::Low
        } else {
            Room::Out
        };
        if room != self.room {
            tracing::warn!(free, reserve = self.reserve, ?room, "room for metadata changed");
            self.room = room;
        }
        if !self.ballast && free / REFILL_TIMES >= self.reserve {
            self.take_ballast();
        }
        room
    }

    /// To be called before an urgent batch is written: gives up the ballast when there is no other room.
    pub(super) fn use_reserve(&mut self) {
        let free = self.disk.space(&self.dir).map_or(0, |(free, _)| free);
        if free < self.reserve / FLOOR_SHARE {
            self.give_up_ballast();
        }
    }

    /// Gives up the ballast. Whether there was one.
    pub(super) fn give_up_ballast(&mut self) -> bool {
        let held = self.ballast;
        if held {
            match self.disk.remove(&self.dir.join(BALLAST_FILE)) {
                Ok(()) => {
                    self.ballast = false;
                    tracing::warn!(
                        "the disk is full: the metadata ballast was given up, so that things can be deleted"
                    );
                }
                Err(error) => tracing::error!(%error, "the metadata ballast cannot be given up"),
            }
        }
        held && !self.ballast
    }

    fn take_ballast(&mut self) {
        let path = self.dir.join(BALLAST_FILE);
        let taken = self.disk.open(&path, OpenMode::CreateNew).and_then(|file| file.allocate(0, self.reserve));
        match taken {
            // Its name need not be durable: after a power cut it is taken again.
            Ok(()) => self.ballast = true,
            Err(error) => {
                tracing::warn!(%error, "no metadata ballast was taken");
                if let Err(error) = self.disk.remove(&path) {
                    tracing::warn!(%error, "nor was its beginning removed");
                }
            }
        }
    }
}
