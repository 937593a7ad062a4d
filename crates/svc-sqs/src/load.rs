//! From the store into memory: all queues at the start, and the messages of a queue when somebody wants them.

use std::ops::Bound;
use std::sync::Arc;

use millpond_meta::key::prefix_end;
use millpond_meta::{Kv, Position, ReadError};
use millpond_types::Region;

use crate::limits;
use crate::names;
use crate::queue::{Facts, Queue, Queues};
use crate::rows::{self, MessageRow, NameRow, QueueRow, StateRow};
use crate::state::{self, Core};
use crate::tables;

/// Why the queues could not be read.
#[derive(Debug, thiserror::Error)]
#[error("the queues cannot be read: {0}")]
pub struct OpenError(#[from] ReadError);

fn malformed(error: millpond_meta::key::MalformedKey) -> ReadError {
    ReadError::Damaged(format!("queues: {error}"))
}

/// Reads all queues.
pub(crate) async fn queues(kv: &dyn Kv, region: &Region) -> Result<Queues, ReadError> {
    let mut queues = Queues::default();
    for (key, row) in state::rows(kv, tables::whole(tables::QUEUES)).await? {
        let id = tables::queue_of(&key).map_err(malformed)?;
        let row: QueueRow = rows::decode(&row, "a queue")?;
        let account = row.account.parse().map_err(|_| ReadError::Damaged("queues: an account".to_owned()))?;
        let name = row.name.clone();
        let facts = Facts::of_row(row, &names::arn(region, account, &name))?;
        queues.insert(Arc::new(Queue::new(id, account, name, region, facts)));
    }
    for (key, row) in state::rows(kv, tables::whole(tables::NAMES)).await? {
        let row: NameRow = rows::decode(&row, "a name")?;
        if row.deleted > 0 {
            queues.deleted.insert(tables::name_of(&key).map_err(malformed)?, row.deleted);
        }
    }
    for (key, _) in state::rows(kv, tables::work(tables::CLEAR)).await? {
        let (queue, _) = tables::work_of(&key).map_err(malformed)?;
        queues.leaving.insert(queue);
    }
    Ok(queues)
}

impl Core {
    /// Loads messages of a queue, so that at least `want` are ready if there are as many.
    pub async fn fill(&self, queue: &Queue, want: usize) -> Result<(), ReadError> {
        let fifo = queue.facts().settings.fifo;
        let enough = |live: &mut crate::live::Live| {
            live.advance(self.now());
            live.loaded && !fifo && live.readies() >= want
        };
        if enough(&mut queue.live()) {
            return Ok(());
        }
        let _loading = queue.loading.lock().await;
        let loaded = queue.live().loaded;
        if !loaded {
            self.load_states(queue).await?;
        }
        let to = prefix_end(&tables::of_queue(tables::MESSAGES, queue.id));
        loop {
            let frontier = {
                let mut live = queue.live();
                if enough(&mut live) || !live.has_room() {
                    return Ok(());
                }
                live.frontier()
            };
            let from = Bound::Excluded(tables::at(tables::MESSAGES, queue.id, frontier));
            // Whatever is committed later has a later position.
            let latest = *self.kv.watch().borrow();
            let page = state::page(&*self.kv, from, &to, limits::PAGE).await?;
            let (now, settings) = (self.now(), Arc::clone(&queue.facts()));
            let delay = u64::try_from(settings.settings.delay.as_millis()).unwrap_or(u64::MAX);
            let retention = u64::try_from(settings.settings.retention.as_millis()).unwrap_or(u64::MAX);
            let is_last = page.len() < limits::PAGE;
            let mut arrived = Vec::with_capacity(page.len());
            for (key, row) in page {
                let position =
                    Position::from_key(&key).ok_or_else(|| ReadError::Damaged("queues: a position".to_owned()))?;
                arrived.push((position, rows::decode::<MessageRow>(&row, "a message")?));
            }
            let mut live = queue.live();
            arrived.into_iter().for_each(|(position, row)| live.arrived(position, row, now, delay, retention));
            if is_last {
                live.reached(latest);
                return Ok(());
            }
        }
    }

    /// How the messages stand that were received before this server began.
    async fn load_states(&self, queue: &Queue) -> Result<(), ReadError> {
        let states = self.rows(tables::of_queue(tables::STATES, queue.id)).await?;
        let now = self.now();
        let mut known = Vec::with_capacity(states.len());
        for (key, row) in states {
            let position =
                Position::from_key(&key).ok_or_else(|| ReadError::Damaged("queues: a position".to_owned()))?;
            known.push((position, rows::decode::<StateRow>(&row, "a state")?));
        }
        let mut live = queue.live();
        known.iter().for_each(|(position, row)| live.was_received(*position, row, now));
        live.loaded = true;
        Ok(())
    }
}
