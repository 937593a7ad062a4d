//! One stream as one consumer reads it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use millpond_meta::{Batch, CommitError, Cond, Key, Op, Position};
use tokio::sync::watch;

use super::{Consumers, Cursor, FIRST_PAUSE, GATHER, LAST_PAUSE, PAGE, Reader, StepError, cursor_row};

/// A stream that is read.
#[derive(Clone, Copy, Default)]
struct Lane {
    /// As last seen; the row may be further.
    position: Position,
    /// Somebody works on it.
    busy: bool,
    /// It was appended to since the worker looked.
    again: bool,
    /// What was trimmed: scans begin behind it.
    trimmed: Position,
    held: Held,
}

/// How many entries of a stream are done and still there.
#[derive(Clone, Copy, Default)]
pub(super) struct Held {
    /// Where the cursor stood at first.
    pub(super) since: Position,
    /// Entries up to there, once somebody counted them.
    pub(super) before: Option<u64>,
    /// Entries that were done from there on.
    done: u64,
    /// Entries that were trimmed.
    trimmed: u64,
}

impl Held {
    pub(super) fn entries(self) -> u64 {
        (self.before.unwrap_or(0) + self.done).saturating_sub(self.trimmed)
    }
}

/// The streams that a consumer reads.
#[derive(Default)]
pub(super) struct Lanes(Mutex<HashMap<Key, Lane>>);

impl Lanes {
    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Lane>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn follow(&self, stream: Key, cursor: Cursor) {
        let held = Held { since: cursor.position, ..Held::default() };
        let new = || Lane { held, ..Lane::default() };
        self.lock().entry(stream).or_insert_with(new).position = cursor.position;
    }

    pub(super) fn forget(&self, stream: &Key) {
        self.lock().remove(stream);
    }

    pub(super) fn streams(&self) -> Vec<Key> {
        self.lock().keys().cloned().collect()
    }

    pub(super) fn position(&self, stream: &Key) -> Option<Position> {
        self.lock().get(stream).map(|lane| lane.position)
    }

    pub(super) fn trimmed(&self, stream: &Key) -> Option<Position> {
        self.lock().get(stream).map(|lane| lane.trimmed)
    }

    pub(super) fn set_trimmed(&self, stream: &Key, position: Position, count: u64) {
        if let Some(lane) = self.lock().get_mut(stream) {
            lane.trimmed = position;
            lane.held.trimmed += count;
        }
    }

    pub(super) fn held(&self, stream: &Key) -> Option<Held> {
        self.lock().get(stream).map(|lane| lane.held)
    }

    pub(super) fn counted(&self, stream: &Key, before: u64) {
        if let Some(lane) = self.lock().get_mut(stream) {
            lane.held.before = Some(before);
        }
    }

    fn moved(&self, stream: &Key, position: Position, done: usize) {
        if let Some(lane) = self.lock().get_mut(stream) {
            lane.position = position;
            lane.held.done += done as u64;
        }
    }

    /// Takes a stream to work on it; whether that is for the caller to do.
    pub(super) fn take(&self, stream: &Key) -> bool {
        let mut lanes = self.lock();
        let Some(lane) = lanes.get_mut(stream) else { return false };
        lane.again = true;
        !std::mem::replace(&mut lane.busy, true)
    }

    /// Before a worker looks: what is appended from now on makes it look again.
    fn looking(&self, stream: &Key) {
        if let Some(lane) = self.lock().get_mut(stream) {
            lane.again = false;
        }
    }

    /// Whether a worker that found nothing may go.
    fn leave(&self, stream: &Key) -> bool {
        match self.lock().get_mut(stream) {
            Some(lane) if lane.again => false,
            Some(lane) => {
                lane.busy = false;
                true
            }
            None => true,
        }
    }
}

/// What a step found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Progress {
    /// Nothing to do.
    Nothing,
    /// Some of what was there.
    Some,
    /// All that was there.
    All,
}

/// Works on one stream.
pub(super) struct Worker<'a> {
    consumers: &'a Consumers,
    reader: &'a Arc<Reader>,
    stream: Key,
    row: Key,
    /// The cursor as far as it is known.
    cursor: Option<Cursor>,
}

impl<'a> Worker<'a> {
    pub(super) fn new(consumers: &'a Consumers, reader: &'a Arc<Reader>, stream: Key) -> Self {
        let row = cursor_row(reader.consumer.name(), &stream);
        Self { consumers, reader, stream, row, cursor: None }
    }

    /// Consumes until there is nothing left, or the server stops.
    pub(super) async fn run(mut self, mut stopped: watch::Receiver<bool>) {
        let mut pause = FIRST_PAUSE;
        while !*stopped.borrow() {
            self.reader.lanes.looking(&self.stream);
            let reader = self.reader;
            let Ok(turn) = reader.steps.acquire().await else { return };
            let step = self.step().await;
            drop(turn);
            match step {
                Ok(Progress::Nothing) if self.reader.lanes.leave(&self.stream) => return,
                Ok(Progress::Nothing) => {}
                Ok(progress) => {
                    pause = FIRST_PAUSE;
                    if progress == Progress::All {
                        tokio::time::sleep(GATHER).await;
                    }
                }
                Err(error) => {
                    self.failed(&error, pause);
                    tokio::select! {
                        () = tokio::time::sleep(pause) => {}
                        _ = stopped.wait_for(|stop| *stop) => {}
                    }
                    pause = (pause * 2).min(LAST_PAUSE);
                    self.cursor = None;
                }
            }
        }
    }

    fn failed(&self, error: &StepError, pause: Duration) {
        // The first conflicts of some are nothing that anybody could act upon.
        if !matches!(error, StepError::Changed) || pause >= LAST_PAUSE {
            tracing::warn!(consumer = self.reader.consumer.name(), %error, "entries of a stream wait; they are tried again");
        }
    }

    /// Makes one step.
    pub(super) async fn step(&mut self) -> Result<Progress, StepError> {
        let Some(cursor) = self.cursor().await? else {
            self.reader.lanes.forget(&self.stream);
            return Ok(Progress::Nothing);
        };
        let entries = self.consumers.entries(&self.stream, cursor.position, PAGE).await?;
        if entries.is_empty() {
            return Ok(Progress::Nothing);
        }
        let step = self.reader.consumer.step(&self.stream, &entries, cursor.within).await?;
        let next = match step.done.min(entries.len()) {
            0 => Cursor { within: step.within, ..cursor },
            done => Cursor { position: entries[done - 1].position, within: step.within },
        };
        if next == cursor || (next.position == cursor.position && next.within <= cursor.within) {
            return Err(StepError::Failed("the consumer made no progress".to_owned()));
        }
        let mut batch = Batch { conds: step.conds, ops: step.ops, ..Batch::default() };
        batch.conds.push(Cond::Equals(self.row.clone(), cursor.encode()));
        batch.ops.push(Op::Put(self.row.clone(), next.encode()));
        match self.consumers.0.kv.commit(batch).await {
            Ok(_) => {
                self.cursor = Some(next);
                self.reader.lanes.moved(&self.stream, next.position, step.done.min(entries.len()));
                let all = step.done == entries.len() && entries.len() < PAGE;
                Ok(if all { Progress::All } else { Progress::Some })
            }
            Err(CommitError::Conflict(_)) => Err(StepError::Changed),
            Err(error) => Err(StepError::Failed(error.to_string())),
        }
    }

    async fn cursor(&mut self) -> Result<Option<Cursor>, StepError> {
        if self.cursor.is_none() {
            let row = self.consumers.0.kv.get(&self.row).await?;
            self.cursor = row.map(|row| Cursor::decode(&row)).transpose()?;
            if let Some(cursor) = self.cursor {
                self.reader.lanes.moved(&self.stream, cursor.position, 0);
            }
        }
        Ok(self.cursor)
    }
}
