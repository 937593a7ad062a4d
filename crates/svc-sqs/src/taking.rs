//! Taking messages: picked in memory, committed with their states, and only then given out. What was received too often moves to the dead-letter
//! queue in the same commit.

use std::sync::Arc;

use millpond_kernel::Pin;
use millpond_meta::{CommitError, Cond, Op, Position};

use crate::errors::{Failure, SqsError};
use crate::limits;
use crate::live::{Live, Millis, Pick, Place, Seen, Wanted};
use crate::queue::Queue;
use crate::rows::{self, ContentRow, MessageRow};
use crate::state::Core;
use crate::tables;

/// What a receive asks for.
#[derive(Clone, Debug)]
pub(crate) struct Asking {
    /// How many messages at most.
    pub most: usize,
    /// Seconds for which they are not visible.
    pub visibility: u64,
    pub pin: Pin,
    /// Whether it does not wait: then too many messages in flight are an error.
    pub short: bool,
    pub attempt: Option<String>,
}

/// A message that was taken.
#[derive(Debug)]
pub(crate) struct Taken {
    pub position: Position,
    pub seen: Seen,
    pub row: Arc<MessageRow>,
    pub content: ContentRow,
}

/// Picked messages; given back unless they were committed.
pub(crate) struct Picked {
    queue: Arc<Queue>,
    pub picks: Vec<Pick>,
}

impl Picked {
    pub fn new(queue: &Arc<Queue>, picks: Vec<Pick>) -> Self {
        Self { queue: Arc::clone(queue), picks }
    }

    /// They were committed.
    pub fn committed(mut self) -> Vec<Pick> {
        let picks = std::mem::take(&mut self.picks);
        let mut live = self.queue.live();
        picks.iter().for_each(|pick| live.committed(pick));
        drop(live);
        picks
    }
}

impl Drop for Picked {
    fn drop(&mut self) {
        if self.picks.is_empty() {
            return;
        }
        let mut live = self.queue.live();
        // The first one last, so that a standard queue has them in about the same order as before.
        self.picks.iter().rev().for_each(|pick| live.give_back(pick));
        drop(live);
        self.queue.news.notify_one();
    }
}

impl Core {
    /// Takes messages, if there are any. Goes on to its end when its caller is gone, so that memory stays true.
    pub async fn take(self: &Arc<Self>, queue: &Arc<Queue>, asking: &Asking) -> Result<Vec<Taken>, Failure> {
        for _ in 0..limits::MAX_ROUNDS {
            self.fill(queue, asking.most).await?;
            let retried = asking.attempt.as_ref().and_then(|attempt| remembered(&queue.live(), attempt, self.now()));
            if retried.is_none() {
                let mut live = queue.live();
                live.advance(self.now());
                if !live.has_ready() {
                    return Ok(Vec::new());
                }
            }
            let (core, queue, asking) = (Arc::clone(self), Arc::clone(queue), asking.clone());
            let task = tokio::spawn(async move {
                match retried {
                    Some(receipts) => core.take_again(&queue, &asking, receipts).await.map(|taken| (taken, 0)),
                    None => core.take_now(&queue, &asking).await,
                }
            });
            let (taken, moved) = task.await.map_err(|error| SqsError::Internal(error.to_string()))??;
            // Dead letters alone are no reason to answer that there is nothing.
            if !taken.is_empty() || moved == 0 {
                return Ok(taken);
            }
        }
        Ok(Vec::new())
    }

    /// Takes what memory has ready. Tells also how many messages moved to the dead-letter queue.
    async fn take_now(&self, queue: &Arc<Queue>, asking: &Asking) -> Result<(Vec<Taken>, usize), Failure> {
        let (facts, now) = (queue.facts(), self.now());
        let dead = facts.settings.redrive.as_ref().and_then(|redrive| {
            let target = self.by_arn(&redrive.target)?;
            (target.facts().settings.fifo == facts.settings.fifo).then_some((target, redrive.max))
        });
        let picks = {
            let mut live = queue.live();
            let free = limits::MAX_IN_FLIGHT.saturating_sub(live.in_flight());
            if free == 0 && asking.short && !facts.settings.fifo {
                let text = "Too many messages in flight: no more are received until some are deleted or visible again.";
                return Err(SqsError::Over(text.to_owned()).into());
            }
            let wanted = Wanted {
                now,
                most: asking.most.min(free),
                until: now.saturating_add(asking.visibility.saturating_mul(1000)),
                retention: u64::try_from(facts.settings.retention.as_millis()).unwrap_or(u64::MAX),
                allowed: dead.as_ref().map(|(_, max)| *max),
            };
            Picked::new(queue, live.pick(&wanted, || self.random.u64()))
        };
        if picks.picks.is_empty() {
            return Ok((Vec::new(), 0));
        }
        let rows = self.rows_of(queue, &picks.picks).await?;
        let mut contents = Vec::with_capacity(rows.len());
        for (pick, row) in picks.picks.iter().zip(&rows) {
            contents.push(if pick.dead { ContentRow::default() } else { self.open(row).await? });
        }
        let target = dead.as_ref().map(|(target, _)| &**target);
        let (conds, ops) = changes(queue, target, &picks.picks, &rows, asking.pin, now);
        // Who cannot receive cannot delete, and a full disk would stay full: it is one small row a message, which its deletion removes, and what
        // moves to the dead-letter queue is as large there.
        if let Err(error) = self.commit(conds, ops, true).await {
            return Err(self.not_taken(queue, picks, error).await);
        }
        let picks = picks.committed();
        let moved = picks.iter().filter(|pick| pick.dead).count();
        let taken = picks.into_iter().zip(rows).zip(contents).filter(|((pick, _), _)| !pick.dead);
        let taken: Vec<Taken> = taken
            .map(|((pick, row), content)| Taken { position: pick.position, seen: pick.seen, row, content })
            .collect();
        if let Some(attempt) = &asking.attempt {
            remember(&mut queue.live(), attempt, &taken, now);
        }
        Ok((taken, moved))
    }

    /// The rows of what was picked. Of what is not there any more memory forgets, and all is to be picked anew.
    pub async fn rows_of(&self, queue: &Queue, picks: &[Pick]) -> Result<Vec<Arc<MessageRow>>, Failure> {
        let mut rows = Vec::with_capacity(picks.len());
        for pick in picks {
            if let Some(row) = &pick.row {
                rows.push(Arc::clone(row));
                continue;
            }
            match self.kv.get(&tables::at(tables::MESSAGES, queue.id, pick.position)).await? {
                Some(row) => rows.push(Arc::new(rows::decode(&row, "a message")?)),
                None => {
                    queue.live().remove(pick.position);
                    return Err(Failure::Changed);
                }
            }
        }
        Ok(rows)
    }

    /// Why a commit failed. Where that is a message that is gone (swept, purged), memory forgets it.
    pub async fn not_taken(&self, queue: &Queue, picks: Picked, error: CommitError) -> Failure {
        if let CommitError::Conflict(_) = error {
            for pick in &picks.picks {
                let there = self.kv.get(&tables::at(tables::MESSAGES, queue.id, pick.position)).await;
                if let Ok(None) = there {
                    queue.live().remove(pick.position);
                }
            }
        }
        error.into()
    }

    /// The same messages for the same receive attempt, not visible for the whole time again (API reference, ReceiveMessage).
    async fn take_again(
        &self,
        queue: &Queue,
        asking: &Asking,
        receipts: Vec<(Position, u64)>,
    ) -> Result<Vec<Taken>, Failure> {
        let until = self.now().saturating_add(asking.visibility.saturating_mul(1000));
        let (mut conds, mut ops, mut taken) = (vec![asking.pin.cond()], Vec::new(), Vec::new());
        for (position, nonce) in receipts {
            let entry = queue.live().entry(position).cloned();
            let entry = entry.filter(|entry| entry.seen.is_some_and(|seen| seen.nonce == nonce));
            let Some((entry, before)) = entry.and_then(|entry| Some((entry.clone(), Live::state_of(&entry)?))) else {
                return Err(Failure::Changed);
            };
            let row = self.kv.get(&tables::at(tables::MESSAGES, queue.id, position)).await?.ok_or(Failure::Changed)?;
            let row: Arc<MessageRow> = Arc::new(rows::decode(&row, "a message")?);
            let key = tables::at(tables::STATES, queue.id, position);
            conds.push(Cond::Equals(key.clone(), rows::encode(&before)));
            ops.push(Op::Put(key, rows::encode(&rows::StateRow { until, ..before })));
            let content = self.open(&row).await?;
            let seen = entry.seen.ok_or(Failure::Changed)?;
            taken.push(Taken { position, seen: Seen { until, ..seen }, row, content });
        }
        self.commit(conds, ops, true).await?;
        let mut live = queue.live();
        taken.iter().for_each(|taken| live.visible_at(taken.position, taken.seen.nonce, until));
        Ok(taken)
    }
}

/// The changes by which picks are taken, or move to the dead-letter queue.
fn changes(
    queue: &Queue,
    target: Option<&Queue>,
    picks: &[Pick],
    rows: &[Arc<MessageRow>],
    pin: Pin,
    now: Millis,
) -> (Vec<Cond>, Vec<Op>) {
    let mut conds = vec![pin.cond()];
    let mut ops = Vec::with_capacity(picks.len() + 2);
    let mut moved = 0;
    for (pick, row) in picks.iter().zip(rows) {
        let message = tables::at(tables::MESSAGES, queue.id, pick.position);
        let state = tables::at(tables::STATES, queue.id, pick.position);
        conds.push(Cond::Present(message.clone()));
        match target.filter(|_| pick.dead) {
            None => ops.push(Op::Put(state, rows::encode(&pick.state()))),
            Some(target) => {
                moved += 1;
                ops.extend([Op::Delete(message), Op::Delete(state)]);
                let stream = tables::of_queue(tables::MESSAGES, target.id);
                ops.push(Op::Append { stream, value: rows::encode(&dead_letter(queue, row, now)) });
            }
        }
    }
    if let Some(target) = target.filter(|_| moved > 0) {
        conds.push(Cond::Present(tables::of_queue(tables::QUEUES, target.id)));
        ops.push(Op::Add(tables::of_queue(tables::COUNTS, queue.id), -moved));
        ops.push(Op::Add(tables::of_queue(tables::COUNTS, target.id), moved));
    }
    (conds, ops)
}

/// A message as it lies in the dead-letter queue: its id and time stay, and of a standard queue so does the time for which it is kept
/// (Developer Guide, "Understanding message retention periods for dead-letter queues").
pub(crate) fn dead_letter(queue: &Queue, row: &MessageRow, now: Millis) -> MessageRow {
    let mut dead = row.clone();
    dead.dead_from = Some(queue.arn.to_string());
    dead.delay = 0;
    if queue.facts().settings.fifo {
        dead.kept_from = now;
    }
    dead
}

fn period() -> Millis {
    u64::try_from(limits::DEDUPLICATION.as_millis()).unwrap_or(u64::MAX)
}

/// What an attempt received within the last minutes, if nothing became of any of it since.
fn remembered(live: &Live, attempt: &str, now: Millis) -> Option<Vec<(Position, u64)>> {
    let (at, receipts) = live.attempts.get(attempt)?;
    let untouched = |(position, nonce): &(Position, u64)| {
        let entry = live.entry(*position);
        entry.is_some_and(|entry| {
            matches!(entry.place, Place::Flying(until) if until > now)
                && entry.seen.is_some_and(|seen| seen.nonce == *nonce)
        })
    };
    (at.saturating_add(period()) > now && receipts.iter().all(untouched)).then(|| receipts.clone())
}

fn remember(live: &mut Live, attempt: &str, taken: &[Taken], now: Millis) {
    if taken.is_empty() {
        return;
    }
    if live.attempts.len() >= limits::MAX_REMEMBERED {
        live.attempts.retain(|_, (at, _)| at.saturating_add(period()) > now);
    }
    if live.attempts.len() < limits::MAX_REMEMBERED {
        let receipts = taken.iter().map(|taken| (taken.position, taken.seen.nonce)).collect();
        live.attempts.insert(attempt.to_owned(), (now, receipts));
    }
}
