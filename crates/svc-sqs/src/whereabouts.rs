//! Where a message is: for `millpond trace`. What people ask is looked for by reading queues; nothing is kept for it beside the messages.

use std::ops::Bound;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use millpond_kernel::trace::{Asked, Line, Traced, is_caused};
use millpond_meta::key::prefix_end;
use millpond_meta::{Position, ReadError};
use millpond_wire::push_iso8601;

use crate::live::Place;
use crate::message::id_text;
use crate::queue::Queue;
use crate::rows::{self, MessageRow};
use crate::state::{self, Core, chunk_id};
use crate::{Sqs, limits, tables};

/// Where a message is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Whereabouts {
    /// There is no such queue.
    NoQueue,
    /// It waits to be received.
    Waiting,
    /// It is delayed until then, in milliseconds since the epoch.
    Delayed(u64),
    /// It was received and is not visible until then, in milliseconds since the epoch.
    InFlight(u64),
    /// It was moved to a dead-letter queue: its ARN, and where it is there.
    DeadLetter(String, Box<Whereabouts>),
    /// It is not there any more: deleted, or kept long enough.
    Gone,
}

/// How many dead-letter queues one behind the other are looked into.
const MAX_CHAIN: usize = 4;

/// Messages of one queue that are looked at from its front; what waits behind so many is not found.
const MAX_LOOKED: usize = 100_000;
/// Messages that are shown.
const MAX_SHOWN: usize = 100;

impl Core {
    async fn where_is(&self, arn: &str, id: u128, depth: usize) -> Result<Whereabouts, ReadError> {
        let Some(queue) = self.by_arn(arn) else { return Ok(Whereabouts::NoQueue) };
        self.fill(&queue, 0).await?;
        if let Some(position) = self.position_by_id(&queue, id).await? {
            return Ok(self.place(&queue, position));
        }
        let target = queue.facts().settings.redrive.as_ref().map(|redrive| redrive.target.clone());
        // A dead-letter queue may have one of its own.
        if let Some(target) = target.filter(|_| depth > 0) {
            let there = Box::pin(self.where_is(&target, id, depth - 1)).await?;
            if !matches!(there, Whereabouts::Gone | Whereabouts::NoQueue) {
                return Ok(Whereabouts::DeadLetter(target, Box::new(there)));
            }
        }
        Ok(Whereabouts::Gone)
    }

    /// Where a message lies, by reading the queue: for people who ask, not for programs.
    async fn position_by_id(&self, queue: &Queue, id: u128) -> Result<Option<Position>, ReadError> {
        let found = self.looked_for(queue, 1, |row| chunk_id(&row.id) == id).await?;
        Ok(found.first().map(|(position, _)| *position))
    }

    /// The first messages of a queue that are wanted.
    async fn looked_for(
        &self,
        queue: &Queue,
        most: usize,
        wanted: impl Fn(&MessageRow) -> bool,
    ) -> Result<Vec<(Position, MessageRow)>, ReadError> {
        let prefix = tables::of_queue(tables::MESSAGES, queue.id);
        let to = prefix_end(&prefix);
        let (mut from, mut found, mut looked) = (Bound::Included(prefix), Vec::new(), 0);
        while looked < MAX_LOOKED {
            let page = state::page(&*self.kv, from, &to, limits::PAGE).await?;
            looked += page.len();
            for (key, row) in &page {
                let row: MessageRow = rows::decode(row, "a message")?;
                if let Some(position) = Position::from_key(key).filter(|_| wanted(&row)) {
                    found.push((position, row));
                }
            }
            match page.last() {
                Some((last, _)) if page.len() == limits::PAGE && found.len() < most => {
                    from = Bound::Excluded(last.clone())
                }
                _ => break,
            }
        }
        found.truncate(most);
        Ok(found)
    }

    /// Where a message of a queue is that is there.
    fn place(&self, queue: &Queue, position: Position) -> Whereabouts {
        match queue.live().entry(position).map(|entry| entry.place) {
            Some(Place::Delayed(until)) => Whereabouts::Delayed(until),
            Some(Place::Flying(until)) => Whereabouts::InFlight(until),
            Some(Place::Picked) => Whereabouts::InFlight(self.now()),
            Some(Place::Ready) | None => Whereabouts::Waiting,
        }
    }

    async fn told(&self, asked: &Asked) -> Result<Vec<Line>, ReadError> {
        let wanted = |row: &MessageRow| match asked {
            Asked::Object { .. } | Asked::Resource(_) => false,
            Asked::Event(event) => row.event.as_deref() == Some(event.as_str()),
            Asked::Message(id) => id_text(chunk_id(&row.id)) == *id,
            Asked::Caused { cause, .. } => is_caused(&row.causes, cause),
        };
        if matches!(asked, Asked::Object { .. } | Asked::Resource(_)) {
            return Ok(Vec::new());
        }
        let queues: Vec<Arc<Queue>> = self.queues().all().cloned().collect();
        let mut lines = Vec::new();
        for queue in queues {
            self.fill(&queue, 0).await?;
            for (position, row) in self.looked_for(&queue, MAX_SHOWN - lines.len(), wanted).await? {
                let from = row.dead_from.as_ref().map_or_else(String::new, |from| format!(", a dead letter of {from}"));
                let (id, place) = (id_text(chunk_id(&row.id)), self.place(&queue, position));
                let text = format!("queue {}: message {id} {}{from}", queue.arn, place.words());
                lines.push(Line { about: Some(Asked::Message(id)), ..Line::new(0, text) });
            }
            if lines.len() >= MAX_SHOWN {
                break;
            }
        }
        Ok(lines)
    }
}

impl Whereabouts {
    fn words(&self) -> String {
        let time = |millis: u64| {
            let mut text = String::new();
            push_iso8601(&mut text, millpond_types::Timestamp(millis.saturating_mul(1_000_000)), true);
            text
        };
        match self {
            Self::NoQueue => "is in no queue".to_owned(),
            Self::Waiting => "waits to be received".to_owned(),
            Self::Delayed(until) => format!("is delayed until {}", time(*until)),
            Self::InFlight(until) => format!("was received and is not visible until {}", time(*until)),
            Self::DeadLetter(arn, there) => format!("is a dead letter in {arn}, where it {}", there.words()),
            Self::Gone => "is gone: deleted, or kept long enough".to_owned(),
        }
    }
}

impl Sqs {
    /// Where a message is, by the id that it was delivered with.
    pub async fn where_is(&self, arn: &str, id: u128) -> Result<Whereabouts, ReadError> {
        self.core.where_is(arn, id, MAX_CHAIN).await
    }

    /// A message's id as clients see it.
    pub fn message_id(id: u128) -> String {
        id_text(id)
    }
}

impl Traced for Sqs {
    fn trace<'a>(&'a self, asked: &'a Asked) -> BoxFuture<'a, Result<Vec<Line>, ReadError>> {
        self.core.told(asked).boxed()
    }
}
