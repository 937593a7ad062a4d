//! Which extents of which segment are live.
//!
//! In memory only: the metadata is the truth, and [`crate::Blobs::load_live`] brings it here after a start. Until all of it has been brought,
//! no segment is given back. An extent is known by its offset, so that naming or deleting it twice counts once.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::api::Location;
use crate::format::{ALIGN, stored_len};

/// All segments.
#[derive(Default)]
pub struct Table {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    segments: HashMap<u64, Segment>,
    loaded: bool,
    /// Deleted while the metadata is still being read, perhaps from a snapshot that names them.
    deleted: HashSet<(u64, u32)>,
    unknown: u64,
}

#[derive(Default)]
struct Segment {
    sealed: bool,
    bytes: u64,
    /// Offset in units of [`ALIGN`] to bytes with framing: small, for there may be millions.
    live: BTreeMap<u32, u32>,
    live_bytes: u64,
    /// Extents whose metadata may be on its way: neither moved nor given back.
    pins: u64,
    /// Something in it could not be read: it is kept for whoever wants to repair it.
    damaged: bool,
}

/// A segment that may be given back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Candidate {
    /// Its number.
    pub number: u64,
    /// Length of its file.
    pub bytes: u64,
    /// Bytes of live extents, with framing.
    pub live: u64,
}

/// Sums over all segments.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sums {
    /// How many.
    pub segments: u64,
    /// Length of their files.
    pub bytes: u64,
    /// Bytes of live extents, with framing.
    pub live: u64,
}

/// The table's key of a location: segment, slot and bytes with framing. `None` for files and for what cannot be in a segment.
fn place(at: Location) -> Option<(u64, u32, u32)> {
    let Location::Segment { segment, offset, len } = at else { return None };
    Some((segment, u32::try_from(offset / ALIGN).ok()?, u32::try_from(stored_len(len)).ok()?))
}

impl State {
    fn remove(&mut self, at: Location) {
        let Some((number, slot, _)) = place(at) else { return };
        if !self.loaded {
            self.deleted.insert((number, slot));
        }
        if let Some(segment) = self.segments.get_mut(&number)
            && let Some(bytes) = segment.live.remove(&slot)
        {
            segment.live_bytes -= u64::from(bytes);
        }
    }

    fn insert(&mut self, at: Location) -> bool {
        let Some((number, slot, bytes)) = place(at) else { return false };
        let Some(segment) = self.segments.get_mut(&number) else { return false };
        let before = segment.live.insert(slot, bytes).unwrap_or(0);
        segment.live_bytes = segment.live_bytes + u64::from(bytes) - u64::from(before);
        true
    }

    fn unpin(&mut self, at: Location) {
        if let Location::Segment { segment, .. } = at
            && let Some(segment) = self.segments.get_mut(&segment)
        {
            segment.pins = segment.pins.saturating_sub(1);
        }
    }
}

impl Table {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a segment: a sealed one found at the start, or a new one that is appended to.
    pub fn add(&self, number: u64, bytes: u64, sealed: bool) {
        self.lock().segments.insert(number, Segment { sealed, bytes, ..Segment::default() });
    }

    /// The file of a segment has grown, or was cut when it was sealed.
    pub fn resize(&self, number: u64, bytes: u64, sealed: bool) {
        if let Some(segment) = self.lock().segments.get_mut(&number) {
            segment.bytes = bytes;
            segment.sealed |= sealed;
        }
    }

    /// Extents have been written; with `pin` their metadata is yet to come.
    pub fn written(&self, places: impl Iterator<Item = (Location, bool)>) {
        let mut state = self.lock();
        for (at, pin) in places {
            state.insert(at);
            if let Location::Segment { segment, .. } = at
                && let Some(segment) = state.segments.get_mut(&segment)
            {
                segment.pins += u64::from(pin);
            }
        }
    }

    /// The metadata names extents. Those of segments that do not exist are counted and told.
    pub fn load(&self, places: impl Iterator<Item = Location>) -> u64 {
        let mut state = self.lock();
        let mut unknown = 0;
        for at in places {
            let Some((number, slot, _)) = place(at) else { continue };
            if state.loaded || !state.deleted.contains(&(number, slot)) {
                unknown += u64::from(!state.insert(at));
            }
        }
        state.unknown += unknown;
        unknown
    }

    /// All metadata has been read.
    pub fn loaded(&self) {
        let mut state = self.lock();
        state.loaded = true;
        state.deleted = HashSet::new();
    }

    /// An extent is no longer named. Idempotent.
    pub fn delete(&self, at: Location) {
        self.lock().remove(at);
    }

    /// It is settled that the metadata names an extent that was written.
    pub fn committed(&self, at: Location) {
        self.lock().unpin(at);
    }

    /// It is settled that no metadata will name it.
    pub fn abandoned(&self, at: Location) {
        let mut state = self.lock();
        state.unpin(at);
        state.remove(at);
    }

    /// Something in the segment cannot be read: it is kept until the next start.
    pub fn mark_damaged(&self, number: u64) {
        if let Some(segment) = self.lock().segments.get_mut(&number) {
            segment.damaged = true;
        }
    }

    /// Sealed segments of which less than half is live, the emptiest first. None until all metadata has been read.
    pub fn candidates(&self) -> Vec<Candidate> {
        let state = self.lock();
        if !state.loaded {
            return Vec::new();
        }
        let free = |s: &Segment| s.sealed && s.pins == 0 && !s.damaged && s.live_bytes * 2 < s.bytes;
        let mut found: Vec<Candidate> = (state.segments.iter())
            .filter(|(_, s)| free(s))
            .map(|(number, s)| Candidate { number: *number, bytes: s.bytes, live: s.live_bytes })
            .collect();
        found.sort_unstable_by_key(|c| (c.live * 1000 / c.bytes.max(1), c.number));
        found
    }

    /// Whether there is a segment of this number.
    pub fn has(&self, number: u64) -> bool {
        self.lock().segments.contains_key(&number)
    }

    /// All segments.
    pub fn numbers(&self) -> Vec<u64> {
        self.lock().segments.keys().copied().collect()
    }

    /// Where the live extents of a segment begin, and their bytes with framing.
    pub fn live_in(&self, number: u64) -> Vec<(u64, u64)> {
        let state = self.lock();
        let live = state.segments.get(&number).map(|s| s.live.iter());
        live.into_iter().flatten().map(|(slot, bytes)| (u64::from(*slot) * ALIGN, u64::from(*bytes))).collect()
    }

    /// Forgets a segment if nothing in it is live or on its way; says whether its file may go.
    pub fn remove_if_dead(&self, number: u64) -> bool {
        let mut state = self.lock();
        let dead = state.loaded
            && state.segments.get(&number).is_some_and(|s| s.sealed && s.pins == 0 && s.live.is_empty() && !s.damaged);
        if dead {
            state.segments.remove(&number);
        }
        dead
    }

    /// Sums over all segments.
    pub fn sums(&self) -> Sums {
        let state = self.lock();
        state.segments.values().fold(Sums::default(), |sums, s| Sums {
            segments: sums.segments + 1,
            bytes: sums.bytes + s.bytes,
            live: sums.live + s.live_bytes,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(segment: u64, offset: u64, len: u64) -> Location {
        Location::Segment { segment, offset, len }
    }

    #[test]
    fn liveness_counts_once_and_nothing_goes_before_all_is_known() {
        let table = Table::default();
        table.add(1, 10_000, true);
        table.delete(at(1, 4096, 100));
        assert_eq!(table.load([at(1, 4096, 100), at(1, 8192, 100), at(1, 8192, 100), at(9, 64, 1)].into_iter()), 1);
        assert_eq!(table.sums().live, 100 + 64 + 8, "deleted meanwhile; named twice");
        assert!(table.candidates().is_empty() && !table.remove_if_dead(1));
        table.loaded();
        assert_eq!(table.candidates(), [Candidate { number: 1, bytes: 10_000, live: 172 }]);
        assert_eq!(table.live_in(1), [(8192, 172)]);
        assert!(!table.remove_if_dead(1));
        table.delete(at(1, 8192, 100));
        table.delete(at(1, 8192, 100));
        assert_eq!(table.sums().live, 0);
        assert!(table.remove_if_dead(1) && !table.remove_if_dead(1));
    }

    #[test]
    fn what_is_open_on_its_way_or_damaged_stays() {
        let table = Table::default();
        table.loaded();
        table.add(1, 1000, false);
        table.written([(at(1, 4096, 10), true), (at(1, 4224, 10), true)].into_iter());
        table.abandoned(at(1, 4096, 10));
        assert!(table.candidates().is_empty(), "open");
        table.resize(1, 100_000, true);
        assert!(table.candidates().is_empty(), "one is on its way");
        table.committed(at(1, 4224, 10));
        assert_eq!(table.candidates().len(), 1);
        table.delete(at(1, 4224, 10));
        table.mark_damaged(1);
        assert!(table.candidates().is_empty() && !table.remove_if_dead(1));
    }
}
