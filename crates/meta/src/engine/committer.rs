//! The one thread that commits: everything that waits goes into one durable write.
//!
//! A group's batches are checked and applied in the order of their arrival, over what is committed and over each other; what
//! comes out is one fjall batch with each row once. fjall writes and syncs its journal before it lets anybody see the rows,
//! and we hand out a new [`Moment`] only after that, so readers see durable states only, and each of them whole. (fjall's own
//! newest state is not that: a merge in the background makes it move while a batch is being applied.)

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use fjall::{OwnedWriteBatch, PersistMode};
use tokio::sync::{mpsc, oneshot};

use super::backlog::{Pressure, stuck};
use super::journal::group_bytes;
use super::reserve::JournalRoom;
use super::room::{Room, RoomKeeper};
use super::row::Summed;
use super::spaces::{Class, Moment};
use super::{Shared, closed};
use crate::api::{Batch, CommitError, Committed, Cond, Key, Op, RESERVED_TABLES};
use crate::apply::{Codec, Overlay};

/// The row that holds the number of the last commit.
pub(super) const COMMIT_KEY: &[u8] = &[RESERVED_TABLES];
/// The table of named commits: key is the name, value the commit's number.
pub(super) const OUTCOME_TABLE: u8 = RESERVED_TABLES + 1;

/// Batches that may wait; whoever comes then waits outside. Some ten groups' worth.
pub(super) const MAX_QUEUE: usize = 4096;
/// Conditions of a batch that are compared with each of its changes: those of single operations. Larger batches are rare.
const MAX_COMPARED: usize = 16;
/// Batches in a group. More would not save syncs, only let the first ones wait longer.
const MAX_GROUP_BATCHES: usize = 512;
/// Bytes of keys and values after which a group takes no more batches: about what a disk syncs in a few milliseconds.
const MAX_GROUP_BYTES: usize = 4 << 20;
/// Bytes of a group in the journal: the last batch may exceed the limit by its size, a range it deletes by its keys
/// (4,096 of 2 KiB), each item has a head, and all of them are counter and stream rows at worst.
pub(super) const MAX_GROUP_DISK_BYTES: usize = 64 << 20;

/// How long named commits are remembered...
const OUTCOME_KEPT: Duration = Duration::from_secs(600);
/// ...and how many at most, so that naming every commit does not fill the store.
const MAX_OUTCOMES: usize = 100_000;
/// Forgotten names that one group removes: more than it adds, so that the table shrinks, yet no group is long.
const FORGET_AT_ONCE: usize = 2 * MAX_GROUP_BATCHES;

/// Bytes that a group needs in the journal beside its batches: the row of the commit number, and the removal of forgotten names.
const OWN_BYTES: u64 = 64 * (FORGET_AT_ONCE as u64 + 1);

/// After this many bytes of changes the background is woken to see whether memory is to be written out...
const POKE_BYTES: usize = 1 << 20;
/// ...and every so many times, whether there is something to merge.
const POKES_A_MERGE: u64 = 8;

/// How long the committer sleeps before it looks again whether tables were written or merged.
const PRESSURE_WAIT: Duration = Duration::from_millis(5);

pub(super) type Answer = Result<Committed, CommitError>;

pub(super) enum Message {
    /// A batch whose values are in kept form.
    Commit(Batch, usize, oneshot::Sender<Answer>),
    /// Look at the newest state again: files that only old moments need can go.
    Refresh,
    /// See whether the store is being closed.
    Wake,
}

/// Brings a batch into the form that the committer takes, on the caller's thread, and tells its size.
pub(super) fn prepare(mut batch: Batch) -> (Batch, usize) {
    let mut bytes = 0;
    for op in &mut batch.ops {
        bytes += match op {
            Op::Put(key, value) => {
                *value = Summed::keep(key, std::mem::take(value));
                key.len() + value.len()
            }
            Op::Delete(key) | Op::Add(key, _) => key.len() + 8,
            Op::DeleteRange(from, to) => from.len() + to.len(),
            Op::Append { stream, value } => stream.len() + value.len(),
        };
    }
    (batch, bytes)
}

pub(super) struct Committer {
    shared: Arc<Shared>,
    room: RoomKeeper,
    journal: JournalRoom,
    moment: Arc<Moment>,
    /// The number of the last commit.
    commit: u64,
    outcomes: VecDeque<(Instant, Key)>,
    /// How many of them are the group's.
    named: usize,
    overlay: Overlay<Summed>,
    accepted: Vec<(Committed, oneshot::Sender<Answer>)>,
    /// Streams that the group appends to, as far as somebody wants to know.
    appended: Vec<Key>,
    since_poke: usize,
    pokes: u64,
    stopped: Option<String>,
}

impl Committer {
    /// Starts after `commit`; `outcomes` are the names that are in the store.
    pub(super) fn new(
        shared: Arc<Shared>,
        room: RoomKeeper,
        journal: JournalRoom,
        commit: u64,
        outcomes: Vec<Key>,
    ) -> Self {
        let now = Instant::now();
        let moment = shared.moment();
        Self {
            shared,
            room,
            journal,
            moment,
            commit,
            outcomes: outcomes.into_iter().map(|key| (now, key)).collect(),
            named: 0,
            overlay: Overlay::new(),
            accepted: Vec::with_capacity(MAX_GROUP_BATCHES),
            appended: Vec::new(),
            since_poke: 0,
            pokes: 0,
            stopped: None,
        }
    }

    /// Commits what comes until the store is closed.
    pub(super) fn run(mut self, mut queue: mpsc::Receiver<Message>) {
        let mut waiting = Vec::with_capacity(MAX_GROUP_BATCHES);
        loop {
            if self.shared.closing.load(Relaxed) && queue.is_empty() {
                return;
            }
            if queue.blocking_recv_many(&mut waiting, MAX_GROUP_BATCHES) == 0 {
                return;
            }
            let mut messages = waiting.drain(..);
            while self.group(&mut messages) {}
        }
    }

    /// Commits one group of the messages; whether there may be more of them.
    fn group(&mut self, messages: &mut impl Iterator<Item = Message>) -> bool {
        let room = self.room.check();
        self.shared.low_space.store(room != Room::Ample, Relaxed);
        let (mut bytes, mut urgent, mut gate) = (0, false, None);
        let more = loop {
            match messages.next() {
                Some(Message::Commit(batch, size, reply)) => {
                    bytes += size;
                    urgent |= batch.urgent;
                    let gate = gate.get_or_insert_with(|| self.gate(room));
                    self.take(batch, reply, gate);
                    if bytes >= MAX_GROUP_BYTES {
                        break true;
                    }
                }
                Some(Message::Refresh) => self.publish(),
                Some(Message::Wake) => {}
                None => break false,
            }
        };
        if !self.accepted.is_empty() {
            if urgent && room != Room::Ample {
                self.room.use_reserve();
            }
            self.write(bytes, urgent);
        }
        more
    }

    /// What is refused now; waits for tables to be written and merged as long as that goes on.
    fn gate(&mut self, room: Room) -> Gate {
        let by_room = Gate {
            ordinary: (room != Room::Ample).then_some(CommitError::Full),
            urgent: (room == Room::Out).then_some(CommitError::Full),
        };
        while self.stopped.is_none() {
            match self.shared.backlog.pressure(&self.shared.spaces) {
                Pressure::None => break,
                Pressure::Stuck(space) => return Gate::closed(&CommitError::Stopped(stuck(space))),
                Pressure::NoRoomToMerge { urgent } => {
                    return Gate { ordinary: Some(CommitError::Full), urgent: urgent.then_some(CommitError::Full) };
                }
                Pressure::NoRoomToWrite if !self.room.give_up_ballast() => return Gate::closed(&CommitError::Full),
                // Nothing is merged any more.
                Pressure::Wait if self.shared.closing.load(Relaxed) => return Gate::closed(&closed()),
                Pressure::Wait | Pressure::NoRoomToWrite => {}
            }
            // A thread of fjall's that failed writes nothing more: this tells, and costs no system call.
            if let Err(error) = self.shared.db.persist(PersistMode::Buffer) {
                self.stop(error.to_string());
            }
            self.shared.upkeep.poke(true);
            std::thread::sleep(PRESSURE_WAIT);
        }
        by_room
    }

    /// Applies one batch to the group, or answers why not.
    fn take(&mut self, batch: Batch, reply: oneshot::Sender<Answer>, gate: &Gate) {
        // The receiver may have gone: its commit stands all the same.
        if let Some(reason) = &self.stopped {
            let _ = reply.send(Err(CommitError::Stopped(reason.clone())));
            return;
        }
        if let Some(error) = if batch.urgent { &gate.urgent } else { &gate.ordinary } {
            if matches!(error, CommitError::Full) {
                self.shared.counters.full.fetch_add(1, Relaxed);
            }
            let _ = reply.send(Err(error.clone()));
            return;
        }
        let (commit, idem) = (self.commit + 1, batch.idem);
        let replaced = self.replaced(&batch);
        let known = self.appended.len();
        self.shared.hub.wanted(&batch, &mut self.appended);
        if let Err(error) = self.overlay.apply(self.moment.as_ref(), batch, commit) {
            if matches!(error, CommitError::Conflict(_)) {
                self.shared.counters.conflicts.fetch_add(1, Relaxed);
            }
            self.appended.truncate(known);
            let _ = reply.send(Err(error));
            return;
        }
        self.commit = commit;
        for (counter, count) in self.shared.counters.garbage.iter().zip(replaced) {
            counter.fetch_add(count, Relaxed);
        }
        if let Some(idem) = idem {
            let key = outcome_key(idem);
            let kept = Summed::keep(&key, number(commit));
            self.overlay.put_kept(key.clone(), kept);
            self.outcomes.push_back((Instant::now(), key));
            self.named += 1;
        }
        self.accepted.push((Committed { commit }, reply));
    }

    /// Makes the group durable, shows it, and answers.
    fn write(&mut self, bytes: usize, urgent: bool) {
        if !self.take_room(urgent) {
            return self.refuse_group();
        }
        self.named = 0;
        self.forget_outcomes();
        let last = Bytes::from_static(COMMIT_KEY);
        let row = CommitRow { commit: self.commit, seqno: self.shared.db.seqno() };
        self.overlay.put_kept(last.clone(), Summed::keep(&last, row.encode()));
        let began = Instant::now();
        let result = self.write_rows();
        let counters = &self.shared.counters;
        counters.sync_nanos.fetch_add(u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX), Relaxed);
        if let Err(reason) = result {
            return self.stop(reason);
        }
        self.journal.written();
        counters.groups.fetch_add(1, Relaxed);
        counters.commits.fetch_add(self.accepted.len() as u64, Relaxed);
        self.publish();
        self.shared.durable.store(self.commit, Relaxed);
        self.shared.watch.send_replace(self.commit);
        self.shared.hub.tell(&mut self.appended);
        for (committed, reply) in self.accepted.drain(..) {
            let _ = reply.send(Ok(committed));
        }
        self.since_poke += bytes;
        if self.since_poke >= POKE_BYTES {
            self.since_poke = 0;
            self.pokes += 1;
            self.shared.upkeep.poke(self.pokes.is_multiple_of(POKES_A_MERGE));
        }
    }

    /// Takes the room in the journal that the group needs; whether there is some.
    fn take_room(&mut self, urgent: bool) -> bool {
        let bytes = group_bytes(self.overlay.rows()) + OWN_BYTES;
        loop {
            match self.journal.take(bytes) {
                Ok(()) => return true,
                // Others filled the disk since it was looked at.
                Err(error) if error.is_full() && urgent && self.room.give_up_ballast() => {}
                Err(error) if error.is_full() => {
                    tracing::warn!(%error, "no room for the journal: a group of commits was refused");
                    return false;
                }
                Err(error) => {
                    // The write itself will tell what is wrong, if anything.
                    tracing::warn!(%error, "no room was taken for the journal");
                    return true;
                }
            }
        }
    }

    /// Undoes the group, of which nothing was written.
    fn refuse_group(&mut self) {
        drop(self.overlay.take());
        self.appended.clear();
        self.commit = self.shared.durable.load(Relaxed);
        self.outcomes.truncate(self.outcomes.len() - std::mem::take(&mut self.named));
        self.shared.counters.full.fetch_add(self.accepted.len() as u64, Relaxed);
        for (_, reply) in self.accepted.drain(..) {
            let _ = reply.send(Err(CommitError::Full));
        }
    }

    /// How many rows of each class a batch replaces, as far as its conditions tell. What was there stays on disk until tables are
    /// merged, and scans pass it, as they pass what is left of removed rows.
    fn replaced(&self, batch: &Batch) -> [u64; Class::ALL.len()] {
        let mut replaced = [0; Class::ALL.len()];
        if batch.conds.len() > MAX_COMPARED {
            return replaced;
        }
        for op in &batch.ops {
            let Op::Put(key, _) = op else { continue };
            let was_there =
                |cond: &Cond| matches!(cond, Cond::Equals(k, _) | Cond::Begins(k, _) | Cond::Present(k) if k == key);
            if batch.conds.iter().any(was_there) {
                replaced[self.shared.spaces.class(key).index()] += 1;
            }
        }
        replaced
    }

    fn write_rows(&mut self) -> Result<(), String> {
        let rows = self.overlay.take();
        let mut batch = OwnedWriteBatch::with_capacity(self.shared.db.clone(), rows.len());
        let mut deletes = [0; Class::ALL.len()];
        for (key, row) in rows {
            let class = self.shared.spaces.class(&key);
            let space = self.shared.spaces.space(class);
            match row {
                Some(kept) => batch.insert(space, key, kept),
                None => {
                    deletes[class.index()] += 1;
                    batch.remove(space, key);
                }
            }
        }
        for (counter, count) in self.shared.counters.garbage.iter().zip(deletes) {
            counter.fetch_add(count, Relaxed);
        }
        let batch = batch.durability(Some(PersistMode::SyncData));
        match catch_unwind(AssertUnwindSafe(|| batch.commit())) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("the engine panicked".into()),
        }
    }

    /// Nothing more is written: after a failed write or sync, nobody knows what is on disk. Reads go on, as of before.
    fn stop(&mut self, reason: String) {
        tracing::error!(reason, "the metadata store takes no more writes");
        self.shared.stop(&reason);
        for (_, reply) in self.accepted.drain(..) {
            let _ = reply.send(Err(CommitError::Stopped(reason.clone())));
        }
        self.stopped = Some(reason);
    }

    /// Shows the state as of now. Only this thread writes, so no batch is half applied at this moment, and every later one
    /// is later in fjall's order too.
    fn publish(&mut self) {
        if self.stopped.is_some() {
            return;
        }
        self.moment = Arc::new(Moment::new(self.shared.db.snapshot(), Arc::clone(&self.shared.spaces)));
        self.shared.set_moment(Arc::clone(&self.moment));
    }

    fn forget_outcomes(&mut self) {
        let now = Instant::now();
        for _ in 0..FORGET_AT_ONCE {
            let excess = self.outcomes.len() > MAX_OUTCOMES;
            match self.outcomes.front() {
                Some((at, _)) if excess || now.duration_since(*at) > OUTCOME_KEPT => {}
                _ => return,
            }
            if let Some((_, key)) = self.outcomes.pop_front() {
                self.overlay.delete(key);
            }
        }
    }
}

/// Which batches are refused, and how.
struct Gate {
    ordinary: Option<CommitError>,
    urgent: Option<CommitError>,
}

impl Gate {
    fn closed(error: &CommitError) -> Self {
        Self { ordinary: Some(error.clone()), urgent: Some(error.clone()) }
    }
}

/// The row of the last commit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct CommitRow {
    /// Its number.
    pub(super) commit: u64,
    /// fjall's sequence number when the row was written: that of the group, or a little below.
    pub(super) seqno: u64,
}

impl CommitRow {
    pub(super) fn encode(self) -> Bytes {
        let mut bytes = BytesMut::with_capacity(16);
        bytes.put_u64_le(self.commit);
        bytes.put_u64_le(self.seqno);
        bytes.freeze()
    }

    /// From a value, which may have its checksum behind it.
    pub(super) fn decode(value: &[u8]) -> Option<Self> {
        let mut value = value.get(..16)?;
        Some(Self { commit: value.get_u64_le(), seqno: value.get_u64_le() })
    }
}

/// The key of a named commit.
pub(super) fn outcome_key(idem: u128) -> Key {
    let mut key = BytesMut::with_capacity(17);
    key.put_u8(OUTCOME_TABLE);
    key.put_u128(idem);
    key.freeze()
}

/// A commit number as a value.
fn number(commit: u64) -> Bytes {
    Bytes::copy_from_slice(&commit.to_le_bytes())
}

/// A commit number of a value.
pub(super) fn commit_of(value: &[u8]) -> Option<u64> {
    value.try_into().ok().map(u64::from_le_bytes)
}
