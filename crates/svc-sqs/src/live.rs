//! What memory knows of a queue's messages: which are ready, which are in flight or delayed and until when, and in a FIFO queue which group is
//! free. Pure: time comes in as milliseconds, and what is done here was committed before or is given back.
//!
//! Messages up to the *frontier* are known here or gone; those behind it wait on disk. Positions are ordered by commit, so nothing is skipped when the
//! frontier moves on. Contents are kept only of messages that are ready, within a limit.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use millpond_meta::Position;

use crate::limits;
use crate::rows::{MessageRow, StateRow};

/// Milliseconds since the epoch.
pub(crate) type Millis = u64;

/// How a message stands that was received.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Seen {
    pub count: u32,
    pub first: Millis,
    pub last: Millis,
    pub nonce: u64,
    pub until: Millis,
}

/// Where a message is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Place {
    /// Visible.
    Ready,
    /// Not visible before this time.
    Delayed(Millis),
    /// Received, and not visible before this time.
    Flying(Millis),
    /// Being received or moved: its commit is under way.
    Picked,
}

/// A message that memory knows.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub place: Place,
    pub seen: Option<Seen>,
    /// From when on the retention period counts.
    pub kept_from: Millis,
    pub group: Option<Arc<str>>,
    /// The chunks of its content and their bytes, where it is large.
    pub large: Option<(Bytes, u64)>,
    row: Option<Arc<MessageRow>>,
    /// Deletions whose commit is under way; such a message is not received.
    deleting: u32,
}

/// The messages of one group.
#[derive(Debug, Default)]
struct Group {
    /// Those that are not in flight, in order.
    members: BTreeSet<Position>,
    /// How many are in flight: while there is one, none is received.
    busy: usize,
    /// Under which position the group stands in `open`.
    open: Option<Position>,
}

/// A message that was picked, to be committed or given back.
#[derive(Clone, Debug)]
pub(crate) struct Pick {
    pub position: Position,
    pub seen: Seen,
    pub group: Option<Arc<str>>,
    pub kept_from: Millis,
    pub large: Option<(Bytes, u64)>,
    pub row: Option<Arc<MessageRow>>,
    /// Whether it was received too often and is to be moved.
    pub dead: bool,
}

impl Pick {
    /// The row of its state.
    pub fn state(&self) -> StateRow {
        state_row(&self.seen, self.group.as_ref(), self.kept_from, self.large.as_ref())
    }
}

fn state_row(seen: &Seen, group: Option<&Arc<str>>, kept_from: Millis, large: Option<&(Bytes, u64)>) -> StateRow {
    StateRow {
        until: seen.until,
        count: seen.count,
        first: seen.first,
        last: seen.last,
        nonce: seen.nonce,
        group: group.map(|group| group.to_string()),
        kept_from,
        chunked: large.map_or(0, |(_, length)| *length),
        chunks: large.map_or_else(Bytes::new, |(id, _)| id.clone()),
    }
}

/// How messages are to be picked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    pub now: Millis,
    /// How many at most.
    pub most: usize,
    /// Until when they are not visible.
    pub until: Millis,
    /// Milliseconds that messages are kept.
    pub retention: Millis,
    /// The receive count that is allowed, where there is somewhere to move to.
    pub allowed: Option<u32>,
}

/// The messages of a queue.
#[derive(Debug)]
pub(crate) struct Live {
    fifo: bool,
    /// Whether the states of messages that were received are known.
    pub loaded: bool,
    frontier: Position,
    /// Messages of commits up to this one are purged.
    purged: u64,
    entries: HashMap<Position, Entry>,
    /// Of a standard queue, in the order in which they became ready. May hold positions that are not ready any more.
    ready: VecDeque<Position>,
    /// Messages that are ready.
    readies: usize,
    flying: usize,
    delayed: usize,
    /// What becomes ready by itself.
    due: BTreeSet<(Millis, Position)>,
    groups: HashMap<Arc<str>, Group>,
    /// Groups of which a message can be received, by that message.
    open: BTreeMap<Position, Arc<str>>,
    cached: usize,
    /// No message before this position is to be swept.
    pub swept: Option<Position>,
    /// Receive attempts of a FIFO queue: when, and what was received.
    pub attempts: HashMap<String, (Millis, Vec<(Position, u64)>)>,
    /// What was sent lately, for the sequence numbers of duplicates.
    pub sequences: HashMap<u128, Position>,
}

impl Live {
    pub fn new(fifo: bool, purged: u64) -> Self {
        Self {
            fifo,
            loaded: false,
            frontier: Position::default(),
            purged,
            entries: HashMap::new(),
            ready: VecDeque::new(),
            readies: 0,
            flying: 0,
            delayed: 0,
            due: BTreeSet::new(),
            groups: HashMap::new(),
            open: BTreeMap::new(),
            cached: 0,
            swept: None,
            attempts: HashMap::new(),
            sequences: HashMap::new(),
        }
    }

    /// Behind which position loading goes on.
    pub fn frontier(&self) -> Position {
        self.frontier.max(Position { commit: self.purged, index: if self.purged == 0 { 0 } else { u16::MAX } })
    }

    /// All messages of commits up to this one are known: loading need not pass again over what was removed.
    pub fn reached(&mut self, commit: u64) {
        self.frontier = self.frontier.max(Position { commit, index: u16::MAX });
    }

    /// Whether more messages are to be loaded.
    pub fn has_room(&self) -> bool {
        if self.fifo { self.entries.len() < limits::FIFO_WINDOW } else { self.readies < limits::WINDOW }
    }

    /// Messages in flight.
    pub fn in_flight(&self) -> usize {
        self.flying
    }

    /// Messages that are delayed.
    pub fn delayed(&self) -> usize {
        self.delayed
    }

    /// Whether a receive would find something.
    pub fn has_ready(&self) -> bool {
        if self.fifo { !self.open.is_empty() } else { self.readies > 0 }
    }

    /// Ready messages that are known.
    pub fn readies(&self) -> usize {
        self.readies
    }

    /// When the next message becomes ready by itself.
    pub fn next_due(&self) -> Option<Millis> {
        self.due.first().map(|(time, _)| *time)
    }

    /// A message that is known.
    pub fn entry(&self, position: Position) -> Option<&Entry> {
        self.entries.get(&position)
    }

    /// The row of the state that an entry has on disk.
    pub fn state_of(entry: &Entry) -> Option<StateRow> {
        let seen = entry.seen.as_ref()?;
        Some(state_row(seen, entry.group.as_ref(), entry.kept_from, entry.large.as_ref()))
    }

    /// A message that was received before this server began.
    pub fn was_received(&mut self, position: Position, row: &StateRow, now: Millis) {
        if position.commit <= self.purged || self.entries.contains_key(&position) {
            return;
        }
        let seen = Seen { count: row.count, first: row.first, last: row.last, nonce: row.nonce, until: row.until };
        let place = if row.until > now { Place::Flying(row.until) } else { Place::Ready };
        self.insert(
            position,
            Entry {
                place,
                seen: Some(seen),
                kept_from: row.kept_from,
                group: row.group.as_deref().map(Arc::from),
                large: (row.chunked > 0).then(|| (row.chunks.clone(), row.chunked)),
                row: None,
                deleting: 0,
            },
        );
    }

    /// The next message of the stream. `delay` is that of a FIFO queue, in milliseconds.
    pub fn arrived(&mut self, position: Position, row: MessageRow, now: Millis, delay: Millis, retention: Millis) {
        if position <= self.frontier() {
            return;
        }
        self.frontier = position;
        let kept_from = kept_from(&row);
        if self.entries.contains_key(&position) || kept_from.saturating_add(retention) <= now {
            return;
        }
        let until = row.sent.saturating_add(if self.fifo { delay } else { row.delay.saturating_mul(1000) });
        let place = if until > now { Place::Delayed(until) } else { Place::Ready };
        let group = row.group.as_deref().filter(|_| self.fifo).map(|group| self.named(group));
        let large = (row.chunked > 0).then(|| (row.chunks.clone(), row.chunked));
        let keep = self.cached < limits::WINDOW_BYTES && place == Place::Ready;
        let row = keep.then(|| Arc::new(row));
        self.cached += row.as_ref().map_or(0, |row| row.content.len());
        self.insert(position, Entry { place, seen: None, kept_from, group, large, row, deleting: 0 });
    }

    /// The one allocation of a group's name.
    fn named(&self, group: &str) -> Arc<str> {
        self.groups.get_key_value(group).map_or_else(|| Arc::from(group), |(name, _)| Arc::clone(name))
    }

    fn insert(&mut self, position: Position, entry: Entry) {
        let (place, group) = (entry.place, entry.group.clone());
        self.entries.insert(position, entry);
        self.enter(position, place, group.as_ref());
    }

    /// Counts a message where it is now.
    fn enter(&mut self, position: Position, place: Place, group: Option<&Arc<str>>) {
        match place {
            Place::Ready => {
                self.readies += 1;
                if !self.fifo {
                    self.ready.push_back(position);
                }
            }
            Place::Delayed(until) => {
                self.delayed += 1;
                self.due.insert((until, position));
            }
            Place::Flying(until) => {
                self.flying += 1;
                self.due.insert((until, position));
            }
            Place::Picked => self.flying += 1,
        }
        let Some(group) = group else { return };
        let members = self.groups.entry(Arc::clone(group)).or_default();
        match place {
            Place::Ready | Place::Delayed(_) => _ = members.members.insert(position),
            Place::Flying(_) | Place::Picked => members.busy += 1,
        }
        self.refresh(group);
    }

    /// Takes a message out of the count of where it was.
    fn leave(&mut self, position: Position, place: Place, group: Option<&Arc<str>>) {
        match place {
            Place::Ready => self.readies = self.readies.saturating_sub(1),
            Place::Delayed(until) => {
                self.delayed = self.delayed.saturating_sub(1);
                self.due.remove(&(until, position));
            }
            Place::Flying(until) => {
                self.flying = self.flying.saturating_sub(1);
                self.due.remove(&(until, position));
            }
            Place::Picked => self.flying = self.flying.saturating_sub(1),
        }
        let Some(members) = group.and_then(|group| self.groups.get_mut(group)) else { return };
        match place {
            Place::Ready | Place::Delayed(_) => _ = members.members.remove(&position),
            Place::Flying(_) | Place::Picked => members.busy = members.busy.saturating_sub(1),
        }
        if let Some(group) = group {
            self.refresh(group);
        }
    }

    fn move_to(&mut self, position: Position, place: Place) {
        let Some(entry) = self.entries.get_mut(&position) else { return };
        let (before, group) = (entry.place, entry.group.clone());
        entry.place = place;
        self.leave(position, before, group.as_ref());
        self.enter(position, place, group.as_ref());
    }

    /// Makes `open` true to a group: it is there when none of its messages is in flight and its first one is ready.
    fn refresh(&mut self, name: &Arc<str>) {
        let Some(group) = self.groups.get_mut(name) else { return };
        let is_ready = |position: &Position| {
            self.entries.get(position).is_some_and(|entry| entry.place == Place::Ready && entry.deleting == 0)
        };
        let head = group.members.first().copied().filter(|first| group.busy == 0 && is_ready(first));
        if head != group.open {
            if let Some(old) = group.open {
                self.open.remove(&old);
            }
            group.open = head;
            if let Some(new) = head {
                self.open.insert(new, Arc::clone(name));
            }
        }
        if group.members.is_empty() && group.busy == 0 {
            self.groups.remove(name);
        }
    }

    /// Makes ready what is due.
    pub fn advance(&mut self, now: Millis) {
        while let Some((time, position)) = self.due.first().copied() {
            if time > now {
                return;
            }
            self.due.pop_first();
            self.move_to(position, Place::Ready);
        }
    }

    /// Picks what can be received. What is too old is forgotten; the sweep removes it.
    pub fn pick(&mut self, wanted: &Wanted, mut nonce: impl FnMut() -> u64) -> Vec<Pick> {
        self.advance(wanted.now);
        let mut picks: Vec<Pick> = Vec::new();
        let mut dead = 0;
        while picks.len() - dead < wanted.most && dead < limits::MAX_MOVES {
            let Some(position) = self.next_ready(&picks) else { break };
            let Some(entry) = self.entries.get_mut(&position) else { continue };
            if entry.kept_from.saturating_add(wanted.retention) <= wanted.now {
                self.remove(position);
                continue;
            }
            let before = entry.seen;
            let count = before.map_or(0, |seen| seen.count).saturating_add(1);
            let seen = Seen {
                count,
                first: before.map_or(wanted.now, |seen| seen.first),
                last: wanted.now,
                nonce: nonce(),
                until: wanted.until,
            };
            let is_dead = wanted.allowed.is_some_and(|allowed| count > allowed);
            dead += usize::from(is_dead);
            let row = entry.row.take();
            self.cached = self.cached.saturating_sub(row.as_ref().map_or(0, |row| row.content.len()));
            let (group, kept_from, large) = (entry.group.clone(), entry.kept_from, entry.large.clone());
            picks.push(Pick { position, seen, group, kept_from, large, row, dead: is_dead });
            self.move_to(position, Place::Picked);
        }
        picks
    }

    /// The next message that can be received. Of a FIFO queue first the following ones of the group that was just picked from.
    fn next_ready(&mut self, picks: &[Pick]) -> Option<Position> {
        if !self.fifo {
            while let Some(position) = self.ready.pop_front() {
                if self.entries.get(&position).is_some_and(|entry| entry.place == Place::Ready && entry.deleting == 0) {
                    return Some(position);
                }
            }
            return None;
        }
        if let Some(group) = picks.last().and_then(|pick| pick.group.as_ref()).and_then(|name| self.groups.get(name)) {
            let first = group.members.first().copied();
            let is_ready = |position: &Position| {
                self.entries.get(position).is_some_and(|entry| entry.place == Place::Ready && entry.deleting == 0)
            };
            if let Some(position) = first.filter(is_ready) {
                return Some(position);
            }
        }
        self.open.first_key_value().map(|(position, _)| *position)
    }

    /// A pick was committed: it is in flight, or gone where it was moved.
    pub fn committed(&mut self, pick: &Pick) {
        if pick.dead {
            return self.remove(pick.position);
        }
        if let Some(entry) = self.entries.get_mut(&pick.position) {
            entry.seen = Some(pick.seen);
            self.move_to(pick.position, Place::Flying(pick.seen.until));
        }
    }

    /// A pick was not committed: it is ready as before.
    pub fn give_back(&mut self, pick: &Pick) {
        self.move_to(pick.position, Place::Ready);
    }

    /// A message is gone.
    pub fn remove(&mut self, position: Position) {
        let Some(entry) = self.entries.remove(&position) else { return };
        self.cached = self.cached.saturating_sub(entry.row.as_ref().map_or(0, |row| row.content.len()));
        self.leave(position, entry.place, entry.group.as_ref());
    }

    /// A deletion begins.
    pub fn deleting(&mut self, position: Position) {
        self.with_deletions(position, |deletions| deletions.saturating_add(1));
    }

    /// A deletion was not committed.
    pub fn not_deleted(&mut self, position: Position) {
        self.with_deletions(position, |deletions| deletions.saturating_sub(1));
        // It may have been passed over meanwhile.
        if !self.fifo && self.entries.get(&position).is_some_and(|entry| entry.place == Place::Ready) {
            self.ready.push_back(position);
        }
    }

    fn with_deletions(&mut self, position: Position, change: impl FnOnce(u32) -> u32) {
        let Some(entry) = self.entries.get_mut(&position) else { return };
        entry.deleting = change(entry.deleting);
        if let Some(group) = entry.group.clone() {
            self.refresh(&group);
        }
    }

    /// The visibility of a message that is in flight was changed.
    pub fn visible_at(&mut self, position: Position, nonce: u64, until: Millis) {
        let Some(entry) = self.entries.get_mut(&position) else { return };
        let Some(seen) = entry.seen.as_mut().filter(|seen| seen.nonce == nonce) else { return };
        seen.until = until;
        if matches!(entry.place, Place::Flying(_)) {
            self.move_to(position, Place::Flying(until));
        }
    }

    /// Messages of commits up to this one are gone.
    pub fn purge(&mut self, commit: u64) {
        self.purged = self.purged.max(commit);
        let gone: Vec<Position> = self.entries.keys().filter(|at| at.commit <= commit).copied().collect();
        gone.into_iter().for_each(|position| self.remove(position));
    }

    /// The delay of a FIFO queue changed, also for messages that wait (API reference, SetQueueAttributes).
    pub fn delay_changed(&mut self, from: Millis, to: Millis) {
        let waiting = self.entries.iter().filter_map(|(position, entry)| match entry.place {
            Place::Delayed(until) => Some((*position, until.saturating_sub(from).saturating_add(to))),
            _ => None,
        });
        for (position, until) in waiting.collect::<Vec<_>>() {
            self.move_to(position, Place::Delayed(until));
        }
    }
}

/// From when on a message's retention period counts.
pub(crate) fn kept_from(row: &MessageRow) -> Millis {
    if row.kept_from == 0 { row.sent } else { row.kept_from }
}
