//! What goes on by itself: telling who waits of what arrived, removing what was purged, deleted or kept long enough, and move tasks that a server
//! before this one began.

use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use millpond_meta::key::{prefix_end, prefix_range};
use millpond_meta::{CommitError, Cond, Key as RowKey, Op, Position, ReadError};

use crate::limits;
use crate::live::kept_from;
use crate::moving;
use crate::queue::Queue;
use crate::rows::{self, ClearRow, DedupLogRow, DedupRow, MessageRow};
use crate::state::{self, Core, remove_chunks};
use crate::tables::{self, QueueId};

/// Works until `stop`; who waits then is answered at once.
pub(crate) async fn run(core: Arc<Core>, stop: impl Future<Output = ()>) {
    if let Err(error) = go_on(&core).await {
        tracing::error!(%error, "message move tasks do not go on");
    }
    tokio::select! {
        () = stop => {}
        () = tell(&core) => {}
        () = tidy(&core) => {}
    }
    core.stopping.store(true, Ordering::Release);
    core.queues().all().for_each(|queue| queue.news.notify_waiters());
}

/// Goes on with tasks that were under way.
async fn go_on(core: &Arc<Core>) -> Result<(), ReadError> {
    for (key, row) in core.rows(tables::work(tables::MOVE)).await? {
        let row: rows::TaskRow = rows::decode(&row, "a move task")?;
        let Ok((queue, Some(task))) = tables::work_of(&key) else { continue };
        let queue = core.queues().id(queue).cloned();
        if let (Some(queue), moving::Status::Running) = (queue, moving::Status::of(row.status)) {
            tokio::spawn(moving::run(Arc::clone(core), queue, task));
        }
    }
    Ok(())
}

/// Tells who waits for messages of what arrived, whoever sent it.
async fn tell(core: &Core) {
    let appends = core.kv.appends(tables::MESSAGES);
    loop {
        for stream in appends.changed().await {
            let queue = tables::queue_of(&stream).ok().and_then(|id| core.queues().id(id).cloned());
            if let Some(queue) = queue {
                queue.news.notify_one();
            }
        }
    }
}

async fn tidy(core: &Core) {
    for tick in 0_u64.. {
        if let Err(error) = clear_all(core).await {
            tracing::warn!(%error, "messages that were purged wait to be removed");
        }
        if tick % limits::SWEEP_TICKS == 0
            && let Err(error) = sweep_all(core).await
        {
            tracing::warn!(%error, "messages that were kept long enough wait to be removed");
        }
        // Woken early where there is work.
        let _ = tokio::time::timeout(limits::TICK, core.work.notified()).await;
    }
}

/// Why a step of clearing did not come to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClearError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Commit(#[from] CommitError),
}

/// Removes what was purged, and all rows of deleted queues.
pub(crate) async fn clear_all(core: &Core) -> Result<(), ClearError> {
    for (key, row) in core.rows(tables::work(tables::CLEAR)).await? {
        let Ok((id, _)) = tables::work_of(&key) else { continue };
        let work: ClearRow = rows::decode(&row, "what is to be removed")?;
        let lives = core.queues().id(id).is_some();
        let upto = if lives { work.purged } else { u64::MAX };
        clear_messages(core, id, upto, lives).await?;
        if !lives {
            for table in [tables::STATES, tables::DEDUPS, tables::DEDUP_LOG] {
                clear_table(core, tables::of_queue(table, id)).await?;
            }
            clear_table(core, tables::tasks(id)).await?;
        }
        let mut ops = vec![Op::Delete(key.clone())];
        if !lives {
            ops.push(Op::Delete(tables::of_queue(tables::COUNTS, id)));
        }
        match core.commit(vec![Cond::Equals(key, row)], ops, true).await {
            Ok(_) if !lives => _ = core.queues_mut().leaving.remove(&id),
            // Purged again, or deleted, meanwhile: the next round does it.
            Ok(_) | Err(CommitError::Conflict(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// A message that is to be removed.
struct Gone {
    position: Position,
    row: MessageRow,
}

/// Removes messages with their states in one commit. Whether all of them were there.
async fn remove(core: &Core, queue: QueueId, gone: &[Gone]) -> Result<bool, CommitError> {
    let mut conds = Vec::with_capacity(gone.len());
    let mut ops = Vec::with_capacity(gone.len() * 2 + 1);
    for Gone { position, row } in gone {
        let message = tables::at(tables::MESSAGES, queue, *position);
        conds.push(Cond::Present(message.clone()));
        ops.extend([Op::Delete(message), Op::Delete(tables::at(tables::STATES, queue, *position))]);
        let large = (row.chunked > 0).then(|| (row.chunks.clone(), row.chunked));
        ops.extend(remove_chunks(large.as_ref()));
    }
    ops.push(Op::Add(tables::of_queue(tables::COUNTS, queue), -i64::try_from(gone.len()).unwrap_or_default()));
    match core.commit(conds, ops, true).await {
        Ok(_) => Ok(true),
        Err(CommitError::Conflict(_)) => Ok(false),
        Err(error) => Err(error),
    }
}

async fn messages(core: &Core, from: Bound<RowKey>, queue: QueueId) -> Result<(Vec<Gone>, bool), ReadError> {
    let to = prefix_end(&tables::of_queue(tables::MESSAGES, queue));
    let page = state::page(&*core.kv, from, &to, limits::PAGE).await?;
    let is_last = page.len() < limits::PAGE;
    let mut found = Vec::with_capacity(page.len());
    for (key, row) in page {
        let position = Position::from_key(&key).ok_or_else(|| ReadError::Damaged("queues: a position".to_owned()))?;
        found.push(Gone { position, row: rows::decode(&row, "a message")? });
    }
    Ok((found, is_last))
}

async fn clear_messages(core: &Core, queue: QueueId, upto: u64, lives: bool) -> Result<(), ClearError> {
    let start = Bound::Included(tables::of_queue(tables::MESSAGES, queue));
    let mut from = start.clone();
    loop {
        let (mut gone, is_last) = messages(core, from.clone(), queue).await?;
        let count = gone.len();
        gone.retain(|gone| gone.position.commit <= upto);
        let Some(last) = gone.last().map(|gone| gone.position) else { return Ok(()) };
        let is_end = is_last || gone.len() < count;
        if remove(core, queue, &gone).await? {
            from = Bound::Excluded(tables::at(tables::MESSAGES, queue, last));
            if is_end {
                return Ok(());
            }
        } else if !lives && core.stopping.load(Ordering::Acquire) {
            return Ok(());
        }
        // What was not there any more is not found again.
    }
}

async fn clear_table(core: &Core, prefix: RowKey) -> Result<(), ClearError> {
    let (from, to) = prefix_range(prefix);
    loop {
        let page = state::page(&*core.kv, Bound::Included(from.clone()), &to, limits::PAGE).await?;
        if page.is_empty() {
            return Ok(());
        }
        core.commit(Vec::new(), page.into_iter().map(|(key, _)| Op::Delete(key)).collect(), true).await?;
    }
}

/// Removes messages and deduplication ids whose time is over, and names that are free again.
pub(crate) async fn sweep_all(core: &Core) -> Result<(), ClearError> {
    let queues: Vec<Arc<Queue>> = core.queues().all().cloned().collect();
    for queue in queues {
        sweep(core, &queue).await?;
        if queue.facts().settings.fifo {
            forget_ids(core, queue.id).await?;
        }
    }
    let (now, pause) = (core.now(), u64::try_from(limits::PAUSE.as_millis()).unwrap_or(u64::MAX));
    let _changing = core.changing.lock().await;
    let over = |at: u64| at.saturating_add(pause) <= now;
    let free: Vec<_> =
        core.queues().deleted.iter().filter(|(_, at)| over(**at)).map(|(name, _)| name.clone()).collect();
    if free.is_empty() {
        return Ok(());
    }
    let ops = free.iter().map(|(account, name)| Op::Delete(tables::name(*account, name))).collect();
    core.commit(Vec::new(), ops, true).await?;
    let mut queues = core.queues_mut();
    free.iter().for_each(|name| _ = queues.deleted.remove(name));
    Ok(())
}

/// Removes the messages at the front of a queue that were kept long enough. Messages lie in the order in which they came, so the first that is to be
/// kept ends it; what lies behind that (a dead letter that was old when it came) is not received any more and goes later.
async fn sweep(core: &Core, queue: &Queue) -> Result<(), ClearError> {
    let retention = u64::try_from(queue.facts().settings.retention.as_millis()).unwrap_or(u64::MAX);
    let now = core.now();
    let mut from = match queue.live().swept {
        None => Bound::Included(tables::of_queue(tables::MESSAGES, queue.id)),
        Some(position) => Bound::Included(tables::at(tables::MESSAGES, queue.id, position)),
    };
    loop {
        // Whatever is committed later has a later position.
        let latest = Position { commit: *core.kv.watch().borrow(), index: u16::MAX };
        let (found, is_last) = messages(core, from.clone(), queue.id).await?;
        let is_old = |gone: &Gone| kept_from(&gone.row).saturating_add(retention) <= now;
        let first = found.iter().find(|gone| !is_old(gone)).map(|gone| gone.position);
        let next = found.last().map(|gone| gone.position);
        let gone: Vec<Gone> = found.into_iter().filter(is_old).collect();
        if !gone.is_empty() {
            if !remove(core, queue.id, &gone).await? {
                continue;
            }
            let mut live = queue.live();
            gone.iter().for_each(|gone| live.remove(gone.position));
        }
        let mut live = queue.live();
        live.swept = first.or(next).or(Some(latest));
        match next {
            Some(next) if first.is_none() && !is_last => {
                from = Bound::Excluded(tables::at(tables::MESSAGES, queue.id, next));
            }
            _ => return Ok(()),
        }
    }
}

/// Removes deduplication ids that count no more.
async fn forget_ids(core: &Core, queue: QueueId) -> Result<(), ClearError> {
    let (from, to) = prefix_range(tables::of_queue(tables::DEDUP_LOG, queue));
    let now = core.now();
    loop {
        let page = state::page(&*core.kv, Bound::Included(from.clone()), &to, limits::PAGE).await?;
        let (mut conds, mut ops) = (Vec::new(), Vec::new());
        let count = page.len();
        for (key, row) in page {
            let entry: DedupLogRow = rows::decode(&row, "a deduplication id")?;
            if entry.expires > now {
                break;
            }
            ops.push(Op::Delete(key));
            let Ok(hash) = <[u8; 16]>::try_from(entry.hash.as_ref()) else { continue };
            let key = tables::dedup(queue, &hash);
            // The id may have been used anew since.
            if let Some(row) = core.kv.get(&key).await?
                && rows::decode::<DedupRow>(&row, "a deduplication id")?.expires <= now
            {
                conds.push(Cond::Equals(key.clone(), row));
                ops.push(Op::Delete(key));
            }
        }
        if ops.is_empty() {
            return Ok(());
        }
        match core.commit(conds, ops, true).await {
            Ok(_) | Err(CommitError::Conflict(_)) if count < limits::PAGE => return Ok(()),
            Ok(_) | Err(CommitError::Conflict(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
