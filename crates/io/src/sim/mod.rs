//! A file system in memory that knows what a power cut would leave of it.
//!
//! Each file keeps its durable bytes and, in order, the changes since its last sync; each directory its durable names and the changes since.
//! [`SimDisk::crash_image`] draws one of the states that may be found after the power is back. Directories themselves are durable at once,
//! as [`Disk::create_dir_all`] promises.

mod content;
mod files;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::disk::{Disk, File, IoError, OpenMode, SyncPoint};
use crate::faulty::{Fault, Faults};
use crate::random::SeededRandom;
use content::{Change, Content};
use files::SimFile;

/// Lines that the log of operations keeps, so that a long run does not fill the memory; the oldest half is dropped beyond.
const MAX_LOG: usize = 100_000;

/// A simulated disk. Clones are the same disk.
#[derive(Clone, Default)]
pub struct SimDisk {
    state: Arc<Mutex<State>>,
}

#[derive(Clone, Default)]
struct Inode {
    current: Content,
    durable: Content,
    /// Changes since the last sync.
    pending: Vec<Change>,
    /// Changes that a failed sync gave up: a crash may still find them, a later sync does not make them durable.
    lost: Vec<Change>,
    /// How many syncs failed; an open file that has not been told of the last one is told at its next sync (errseq of Linux).
    failed_syncs: u64,
}

#[derive(Clone)]
enum NameChange {
    Link(String, u64),
    Unlink(String),
    Rename(String, String),
}

impl NameChange {
    fn apply(&self, names: &mut BTreeMap<String, u64>) {
        match self {
            NameChange::Link(name, inode) => drop(names.insert(name.clone(), *inode)),
            NameChange::Unlink(name) => drop(names.remove(name)),
            NameChange::Rename(from, to) => {
                if let Some(inode) = names.remove(from) {
                    names.insert(to.clone(), inode);
                }
            }
        }
    }
}

#[derive(Clone, Default)]
struct Dir {
    current: BTreeMap<String, u64>,
    durable: BTreeMap<String, u64>,
    pending: Vec<NameChange>,
}

#[derive(Clone, Default)]
struct State {
    inodes: BTreeMap<u64, Inode>,
    next_inode: u64,
    dirs: BTreeMap<PathBuf, Dir>,
    faults: Faults,
    ignored: HashSet<String>,
    seen_points: BTreeMap<&'static str, u64>,
    capacity: Option<u64>,
    log: Vec<String>,
    snapshot_at: BTreeSet<u64>,
    snapshots: Vec<(u64, State)>,
}

/// Where a path lies: its directory and its name there.
fn split(path: &Path) -> (PathBuf, String) {
    let dir = path.parent().unwrap_or(Path::new("")).to_owned();
    (dir, path.file_name().unwrap_or_default().to_string_lossy().into_owned())
}

fn os_error(errno: rustix::io::Errno, doing: &'static str, path: &Path) -> IoError {
    IoError { doing, path: path.to_owned(), source: errno.into() }
}

impl State {
    /// Counts a write-like call, takes the snapshot that was asked for here, and fails if that was asked for.
    fn call(&mut self, needs_space: bool, doing: &'static str, path: &Path) -> Result<(), IoError> {
        let number = self.faults.calls() + 1;
        if self.snapshot_at.remove(&number) {
            let frozen = State { snapshots: Vec::new(), log: self.log.clone(), ..self.frozen() };
            self.snapshots.push((number, frozen));
        }
        let fault = self.faults.call(needs_space);
        if self.log.len() >= MAX_LOG {
            self.log.drain(..MAX_LOG / 2);
        }
        let outcome = fault.map_or_else(String::new, |fault| format!(" -> {fault:?}"));
        self.log.push(format!("{number} {doing} {}{outcome}", path.display()));
        fault.map_or(Ok(()), |fault| Err(fault.error(doing, path)))
    }

    /// This state without its plans.
    fn frozen(&self) -> State {
        State {
            inodes: self.inodes.clone(),
            next_inode: self.next_inode,
            dirs: self.dirs.clone(),
            capacity: self.capacity,
            ..State::default()
        }
    }

    fn used(&self) -> u64 {
        self.dirs.values().flat_map(|dir| dir.current.values()).map(|inode| self.inodes[inode].current.used()).sum()
    }

    fn dir(&mut self, dir: &Path, doing: &'static str) -> Result<&mut Dir, IoError> {
        self.dirs.get_mut(dir).ok_or_else(|| os_error(rustix::io::Errno::NOENT, doing, dir))
    }

    fn change_name(&mut self, dir: &Path, change: NameChange, doing: &'static str) -> Result<(), IoError> {
        let dir = self.dir(dir, doing)?;
        change.apply(&mut dir.current);
        dir.pending.push(change);
        Ok(())
    }

    fn inode_of(&self, path: &Path) -> Option<u64> {
        let (dir, name) = split(path);
        self.dirs.get(&dir)?.current.get(&name).copied()
    }

    /// One of the states that a power cut right now may leave.
    fn after_crash(&self, seed: u64) -> State {
        let random = SeededRandom::new(seed);
        let mut next = State { next_inode: self.next_inode, capacity: self.capacity, ..State::default() };
        // Images at the ends - nothing unsynced survives, or everything - are worth more than their chance share.
        let extreme = random.below(8);
        for (path, dir) in &self.dirs {
            let mut names = dir.durable.clone();
            let kept = match extreme {
                0 => 0,
                1 => dir.pending.len(),
                _ => random.below(dir.pending.len() as u64 + 1) as usize,
            };
            dir.pending[..kept].iter().for_each(|change| change.apply(&mut names));
            next.dirs.insert(path.clone(), Dir { current: names.clone(), durable: names, pending: Vec::new() });
        }
        let linked: BTreeSet<u64> = next.dirs.values().flat_map(|dir| dir.durable.values().copied()).collect();
        for number in linked {
            let inode = &self.inodes[&number];
            let mut content = inode.durable.clone();
            for change in inode.lost.iter().chain(&inode.pending) {
                match extreme {
                    0 => {}
                    1 => change.apply(&mut content),
                    _ => change.apply_torn(&mut content, &random),
                }
            }
            next.inodes.insert(number, Inode { current: content.clone(), durable: content, ..Inode::default() });
        }
        next
    }
}

impl SimDisk {
    /// An empty disk without a limit of space.
    pub fn new() -> Self {
        Self::default()
    }

    fn with(state: State) -> Self {
        Self { state: Arc::new(Mutex::new(state)) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new disk as it could look after a power cut right now: what was synced survives; of each file any of the writes since, whole or torn at
    /// sectors, later ones also without earlier ones; of each directory any prefix of its changes since. The same seed gives
    /// the same image.
    pub fn crash_image(&self, seed: u64) -> SimDisk {
        Self::with(self.lock().after_crash(seed))
    }

    /// A copy of the disk as running programs see it (`kill -9`: the system lives on, nothing is lost).
    pub fn copy(&self) -> SimDisk {
        let mut copy = self.lock().frozen();
        for inode in copy.inodes.values_mut() {
            inode.failed_syncs = 0;
        }
        Self::with(copy)
    }

    /// How many write-like calls there were.
    pub fn calls(&self) -> u64 {
        self.lock().faults.calls()
    }

    /// Lets the `n`-th write-like call from now on (1 is the next) fail once. A failed write leaves its first half, a failed sync leaves unsynced
    /// data to chance for ever.
    pub fn fail_nth(&self, n: u64, fault: Fault) {
        self.lock().faults.fail_nth(n, fault);
    }

    /// While on, every call that needs space fails with ENOSPC.
    pub fn set_full(&self, full: bool) {
        self.lock().faults.set_full(full);
    }

    /// Bounds the disk's size in bytes of file content.
    pub fn set_capacity(&self, capacity: u64) {
        self.lock().capacity = Some(capacity);
    }

    /// Syncs at the point of this name do nothing from now on, and say that they did.
    pub fn ignore_sync(&self, point: &str) {
        self.lock().ignored.insert(point.to_owned());
    }

    /// How often each sync point was passed.
    pub fn syncs(&self) -> BTreeMap<&'static str, u64> {
        self.lock().seen_points.clone()
    }

    /// Keeps the state from just before the `n`-th write-like call, counted from the first on this disk; [`SimDisk::snapshots`] gives it.
    pub fn snapshot_at(&self, n: u64) {
        self.lock().snapshot_at.insert(n);
    }

    /// Takes the snapshots made so far, each with the number of the call before which it was made; take crash images of them.
    pub fn snapshots(&self) -> Vec<(u64, SimDisk)> {
        std::mem::take(&mut self.lock().snapshots).into_iter().map(|(n, state)| (n, Self::with(state))).collect()
    }

    /// Flips a bit of a file, durably.
    pub fn flip_bit(&self, path: &Path, offset: u64, bit: u8) -> Result<(), IoError> {
        let mut state = self.lock();
        let number = state.inode_of(path).ok_or_else(|| os_error(rustix::io::Errno::NOENT, "flip", path))?;
        let Some(inode) = state.inodes.get_mut(&number) else { return Ok(()) };
        for content in [&mut inode.current, &mut inode.durable] {
            let mut byte = [0];
            if content.read(&mut byte, offset) == 1 {
                content.write(&[byte[0] ^ (1 << (bit % 8))], offset);
            }
        }
        Ok(())
    }

    /// All files, as paths.
    pub fn files(&self) -> Vec<PathBuf> {
        let state = self.lock();
        state.dirs.iter().flat_map(|(dir, names)| names.current.keys().map(|name| dir.join(name))).collect()
    }

    /// The write-like calls so far, one a line, with their numbers.
    pub fn log(&self) -> Vec<String> {
        self.lock().log.clone()
    }
}

impl Disk for SimDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> Result<Arc<dyn File>, IoError> {
        let mut state = self.lock();
        let found = state.inode_of(path);
        let number = match (mode, found) {
            (OpenMode::CreateNew, Some(_)) => return Err(os_error(rustix::io::Errno::EXIST, "open", path)),
            (OpenMode::CreateNew, None) => {
                state.call(true, "open", path)?;
                let number = state.next_inode;
                let (dir, name) = split(path);
                state.change_name(&dir, NameChange::Link(name, number), "open")?;
                state.next_inode += 1;
                state.inodes.insert(number, Inode::default());
                number
            }
            (_, Some(number)) => number,
            (_, None) => return Err(os_error(rustix::io::Errno::NOENT, "open", path)),
        };
        let told = state.inodes[&number].failed_syncs;
        let writable = mode != OpenMode::Read;
        Ok(Arc::new(SimFile::new(Arc::clone(&self.state), number, path.to_owned(), writable, told)))
    }

    fn create_dir_all(&self, path: &Path) -> Result<(), IoError> {
        let mut state = self.lock();
        if state.dirs.contains_key(path) {
            return Ok(());
        }
        state.call(true, "mkdir", path)?;
        for dir in path.ancestors() {
            state.dirs.entry(dir.to_owned()).or_default();
        }
        Ok(())
    }

    fn create_dirs(&self, paths: &[PathBuf]) -> Result<(), IoError> {
        // One call, as far as faults and crashes go.
        if let Some(missing) = paths.iter().find(|path| !self.lock().dirs.contains_key(*path)) {
            self.create_dir_all(missing)?;
        }
        let mut state = self.lock();
        for dir in paths.iter().flat_map(|path| path.ancestors()) {
            state.dirs.entry(dir.to_owned()).or_default();
        }
        Ok(())
    }

    fn list(&self, dir: &Path) -> Result<Vec<String>, IoError> {
        let mut state = self.lock();
        let mut names: BTreeSet<String> = state.dir(dir, "readdir")?.current.keys().cloned().collect();
        // Paths are in the order of their components: what is below a directory follows it.
        let below = state.dirs.range(dir.to_owned()..).map(|(d, _)| d).take_while(|d| d.starts_with(dir));
        names.extend(below.filter(|d| d.parent() == Some(dir)).map(|d| split(d).1));
        Ok(names.into_iter().collect())
    }

    fn exists(&self, path: &Path) -> Result<bool, IoError> {
        let state = self.lock();
        Ok(state.dirs.contains_key(path) || state.inode_of(path).is_some())
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<(), IoError> {
        let mut state = self.lock();
        state.call(true, "rename", from)?;
        let ((dir, from_name), (to_dir, to_name)) = (split(from), split(to));
        if dir != to_dir {
            return Err(os_error(rustix::io::Errno::XDEV, "rename", from));
        }
        if state.inode_of(from).is_none() {
            return Err(os_error(rustix::io::Errno::NOENT, "rename", from));
        }
        state.change_name(&dir, NameChange::Rename(from_name, to_name), "rename")
    }

    fn remove(&self, path: &Path) -> Result<(), IoError> {
        let mut state = self.lock();
        state.call(false, "unlink", path)?;
        if state.inode_of(path).is_none() {
            return Err(os_error(rustix::io::Errno::NOENT, "unlink", path));
        }
        let (dir, name) = split(path);
        state.change_name(&dir, NameChange::Unlink(name), "unlink")
    }

    fn sync_dir(&self, dir: &Path, point: SyncPoint) -> Result<(), IoError> {
        let mut state = self.lock();
        *state.seen_points.entry(point.0).or_default() += 1;
        state.call(false, "fsync", dir)?;
        if state.ignored.contains(point.0) {
            return Ok(());
        }
        let dir = state.dir(dir, "fsync")?;
        dir.pending.clear();
        dir.durable = dir.current.clone();
        Ok(())
    }

    fn space(&self, _path: &Path) -> Result<(u64, u64), IoError> {
        let state = self.lock();
        let total = state.capacity.unwrap_or(1 << 50);
        Ok((total.saturating_sub(state.used()), total))
    }
}
