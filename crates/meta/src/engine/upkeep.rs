//! What goes on in the background: noting how far commits have come, merging tables, and clearing out removed rows.
//!
//! fjall's own worker only writes tables out of memory, when it is told to here. Merging is done here, for three reasons: a merge never keeps a table
//! from being written (commits stall when four of them wait); a merge that fails for want of room is tried again later
//! instead of stopping the store; and removed rows are cleared out when they slow scans down, not when levels fill up.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use fjall::compaction::Leveled;
use fjall::{AbstractTree, Keyspace};
use lsm_tree::compaction::PullDown;
use millpond_io::Disk;

use super::Shared;
use super::backlog::{MAX_SEALED, Merging, crowded};
use super::committer::Message;
use super::files::write_mark;
use super::spaces::Class;

/// How often the high-water mark is written, and idle work looked for. A mark per second costs two syncs of some
/// milliseconds beside the commits; a crash may go unnoticed only if it loses less than this.
const TICK: Duration = Duration::from_secs(1);
/// Tables of the first level that are merged at once: reads look into each of them.
const MERGE_TABLES: u8 = 4;
/// The size of a merged table; the unit of later merges.
const TABLE_BYTES: u64 = 32 << 20;
/// Merges of one keyspace in a row, before the next has its turn.
const MAX_MERGES: usize = 64;
/// Levels of fjall's trees.
const LEVELS: u8 = 7;

/// Removed (or replaced) rows of a keyspace below which clearing out is not worth it: a scan passes so many in a tenth of a millisecond.
const MIN_REMOVED: u64 = 512;
/// With removed rows at least one in so many, they are cleared out: a page of a listing then passes so few that it costs
/// hardly more than without them...
const REMOVED_SHARE: u64 = 8;
/// ...and with fewer when scans were slow, as they may lie together.
const MIN_REMOVED_SLOW: u64 = 10_000;
/// At most one part in so many of the time goes into clearing out.
const CLEANING_SHARE: u32 = 10;
/// A merge that failed is tried again after this: it may read a lot before it fails.
const RETRY: Duration = Duration::from_secs(5);
/// Of so many failures in a row one is told.
const TELL_EVERY: u64 = 60;
/// Room beside its own size that a memtable needs to be written out: lists of tables, and the next journal.
const WRITE_OUT_ROOM: u64 = 4 << 20;
/// How long to wait for memory to be written out before clearing, at most.
const FLUSH_WAIT: Duration = Duration::from_secs(10);
/// Room that merging needs at most, as it goes on piece by piece.
const MERGE_ROOM: u64 = 512 << 20;

/// Wakes the threads of the background.
#[derive(Default)]
pub(super) struct Signal {
    state: Mutex<SignalState>,
    changed: Condvar,
}

#[derive(Default)]
struct SignalState {
    merge: bool,
    write_out: bool,
    closing: bool,
}

impl Signal {
    /// There may be something to write out of memory, or (less often) to merge.
    pub(super) fn poke(&self, merge: bool) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.write_out = true;
        state.merge |= merge;
        drop(state);
        self.changed.notify_all();
    }

    /// The store is being closed.
    pub(super) fn close(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).closing = true;
        self.changed.notify_all();
    }

    /// Waits for a poke that `asks` takes, or a tick; whether the store is still open.
    fn wait(&self, asks: impl Fn(&mut SignalState) -> &mut bool) -> bool {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let idle = |state: &mut SignalState| !(state.closing || *asks(state));
        let (mut state, _) = self.changed.wait_timeout_while(state, TICK, idle).unwrap_or_else(PoisonError::into_inner);
        *asks(&mut state) = false;
        !state.closing
    }
}

/// Has memory written out in time, keeps the high-water mark, and has the shown moment renewed when the store changed
/// without a commit.
pub(super) fn keep(shared: &Shared, disk: &dyn Disk, dir: &Path, mut marked: u64) {
    let mut last_mark = Instant::now();
    loop {
        let open = shared.upkeep.wait(|state| &mut state.write_out);
        if open {
            write_out_memory(shared, disk, dir);
        }
        if open && last_mark.elapsed() < TICK {
            continue;
        }
        last_mark = Instant::now();
        let durable = shared.durable.load(Relaxed);
        if durable > marked {
            match write_mark(disk, dir, durable) {
                Ok(()) => marked = durable,
                // Without it a loss may go unnoticed; nothing is lost by that. It is tried again.
                Err(error) => tracing::warn!(%error, "the high-water mark was not written"),
            }
        }
        if !open {
            return;
        }
        if shared.db.visible_seqno() != shared.moment().instant()
            && let Some(queue) = shared.queue.upgrade()
        {
            // When the queue is full, commits renew it anyway.
            let _ = queue.try_send(Message::Refresh);
        }
    }
}

/// Hands what has collected in memory to fjall's worker. fjall would do so itself, by a message to its worker for every
/// commit above the limit; when they fill the worker's queue, the worker waits for ever to put its own next step into it.
/// So its limit is out of reach (see `spaces`), and this is the only one.
///
/// A table that finds no room stops fjall for good. So memory waits when there is none for it.
fn write_out_memory(shared: &Shared, disk: &dyn Disk, dir: &Path) {
    let mut lacks_room = false;
    for class in Class::ALL {
        let space = shared.spaces.space(class);
        let bytes = space.tree.active_memtable().size();
        if bytes < class.memtable_bytes() || space.tree.sealed_memtable_count() >= MAX_SEALED {
            continue;
        }
        if disk.space(dir).is_ok_and(|(free, _)| free < bytes + WRITE_OUT_ROOM) {
            lacks_room = true;
            continue;
        }
        if let Err(error) = space.rotate_memtable() {
            tracing::error!(%error, space = class.name(), "memory cannot be written out");
        }
    }
    if shared.backlog.set_no_room_to_write(lacks_room) {
        tracing::warn!(lacks_room, "room to write memory out changed");
    }
}

/// Merges tables until the store is closed.
pub(super) fn merge(shared: &Arc<Shared>, disk: &dyn Disk, dir: &Path) {
    let mut mergers = Class::ALL.map(|class| Merger::new(shared.spaces.space(class), class));
    while shared.upkeep.wait(|state| &mut state.merge) {
        let free = disk.space(dir).map_or(u64::MAX, |(free, _)| free);
        for merger in &mut mergers {
            if shared.closing.load(Relaxed) {
                return;
            }
            merger.tick(shared, free);
        }
    }
}

/// Merges the tables of one keyspace.
struct Merger {
    class: Class,
    cleaner: Cleaner,
    /// In a row, and the last of them.
    failures: u64,
    failed: Option<Instant>,
}

impl Merger {
    fn new(space: &Keyspace, class: Class) -> Self {
        Self { class, cleaner: Cleaner::new(space, class), failures: 0, failed: None }
    }

    fn tick(&mut self, shared: &Shared, free: u64) {
        let space = shared.spaces.space(self.class);
        if self.failed.is_some_and(|failed| failed.elapsed() < RETRY) {
            return;
        }
        if free < room_to_merge(space) {
            shared.backlog.set_merging(self.class, Merging::NoRoom);
            return;
        }
        match attempt(|| merge_levels(shared, space)) {
            Ok(()) => {
                (self.failures, self.failed) = (0, None);
                shared.backlog.set_merging(self.class, Merging::Works);
                if let Err(error) = self.cleaner.tick(shared, space) {
                    // Nothing waits for it.
                    shared.backlog.merges_failed.fetch_add(1, Relaxed);
                    tracing::warn!(error, space = self.class.name(), "removed rows were not cleared out");
                }
            }
            Err(error) => {
                shared.backlog.merges_failed.fetch_add(1, Relaxed);
                shared.backlog.set_merging(self.class, Merging::Fails);
                if self.failures.is_multiple_of(TELL_EVERY) {
                    tracing::error!(error, space = self.class.name(), "merging failed; it will be tried again");
                }
                (self.failures, self.failed) = (self.failures + 1, Some(Instant::now()));
            }
        }
    }
}

/// Lets the engine work; some damage makes it panic.
pub(super) fn attempt(work: impl FnOnce() -> Result<(), String>) -> Result<(), String> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err("the engine panicked".into()))
}

/// Free space without which a merge is not begun: it writes its result before it removes its input.
fn room_to_merge(space: &Keyspace) -> u64 {
    space.disk_space().min(MERGE_ROOM) / 2
}

fn merge_levels(shared: &Shared, space: &Keyspace) -> Result<(), String> {
    let strategy = Arc::new(Leveled::default().with_l0_threshold(MERGE_TABLES).with_table_target_size(TABLE_BYTES));
    for _ in 0..MAX_MERGES {
        let before = space.tree.current_version().id();
        let watermark = shared.db.supervisor.snapshot_tracker.get_seqno_safe_to_gc();
        space.tree.compact(strategy.clone(), watermark).map_err(|error| error.to_string())?;
        if space.tree.current_version().id() == before {
            // A merge that ended in a panic leaves its tables out of all later ones.
            return if crowded(space) { Err("the engine finds nothing to merge".into()) } else { Ok(()) };
        }
        shared.backlog.merges.fetch_add(1, Relaxed);
        if shared.closing.load(Relaxed) {
            break;
        }
    }
    Ok(())
}

/// Watches one keyspace for removed rows.
struct Cleaner {
    class: Class,
    /// Removed rows that were there at the start, as tables tell.
    before_start: u64,
    /// Of those removed since, how many the last cleaning has seen.
    seen: u64,
    slow_seen: u64,
    ended: Instant,
    took: Duration,
}

impl Cleaner {
    fn new(space: &Keyspace, class: Class) -> Self {
        let before_start = space.tree.tombstone_count();
        Self { class, before_start, seen: 0, slow_seen: 0, ended: Instant::now(), took: Duration::ZERO }
    }

    /// Clears out when it is time to.
    fn tick(&mut self, shared: &Shared, space: &Keyspace) -> Result<(), String> {
        let counters = &shared.counters;
        let deletes = counters.garbage[self.class.index()].load(Relaxed);
        let slow = counters.slow_scans.load(Relaxed);
        let removed = self.before_start + (deletes - self.seen);
        if removed < MIN_REMOVED {
            self.slow_seen = slow;
            return Ok(());
        }
        let many = removed >= space.approximate_len() as u64 / REMOVED_SHARE;
        let slow_here = slow > self.slow_seen && removed >= MIN_REMOVED_SLOW;
        let may = self.ended.elapsed() > self.took * CLEANING_SHARE;
        if !may || !(many || slow_here) {
            return Ok(());
        }
        let began = Instant::now();
        let cleaned = attempt(|| clean(shared, space).map_err(|error| error.to_string()));
        if cleaned.is_ok() {
            counters.cleanings.fetch_add(1, Relaxed);
            (self.before_start, self.seen, self.slow_seen) = (0, deletes, slow);
            let took = began.elapsed();
            tracing::info!(space = self.class.name(), removed, ?took, "removed rows were cleared out");
        }
        // One that failed at once is not tried again at once.
        self.took = if cleaned.is_ok() { began.elapsed() } else { began.elapsed().max(RETRY) };
        self.ended = Instant::now();
        cleaned
    }
}

/// Clears all keyspaces out.
pub(super) fn clean_all(shared: &Shared) -> fjall::Result<()> {
    Class::ALL.iter().try_for_each(|class| clean(shared, shared.spaces.space(*class)))
}

/// Waits, not for ever, until no more than so many memtables wait to be written; whether that came.
fn written_out(space: &Keyspace, most: usize) -> bool {
    let began = Instant::now();
    while space.tree.sealed_memtable_count() > most {
        if began.elapsed() >= FLUSH_WAIT {
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    true
}

/// Writes memory out and merges all levels into the last, where removed rows end.
fn clean(shared: &Shared, space: &Keyspace) -> fjall::Result<()> {
    // Writing the small rows out (there is always one since the last time: the commit's number) lets fjall learn which
    // states nobody reads any more; without that it would keep the removed rows for them.
    for space in [shared.spaces.space(Class::Rows), space] {
        if written_out(space, MAX_SEALED - 1) {
            space.rotate_memtable()?;
        }
        written_out(space, 0);
    }
    let watermark = shared.db.supervisor.snapshot_tracker.get_seqno_safe_to_gc();
    // Level by level downwards: a row must never end up below an older one.
    let filled = |level: u8| space.tree.level_table_count(usize::from(level)).is_some_and(|tables| tables > 0);
    for level in 0..LEVELS - 1 {
        if !filled(level) {
            continue;
        }
        let next = (level + 1..LEVELS - 1).find(|next| filled(*next)).unwrap_or(LEVELS - 1);
        space.tree.compact(Arc::new(PullDown(level, next)), watermark)?;
        shared.backlog.merges.fetch_add(1, Relaxed);
        if shared.closing.load(Relaxed) {
            break;
        }
    }
    Ok(())
}
