//! Move tasks at work: a few messages a commit, which says how far the task is, so that a server that is killed goes on where it was.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use millpond_meta::{Cond, Op};

use crate::errors::{Failure, SqsError};
use crate::limits;
use crate::live::Wanted;
use crate::message::random_id;
use crate::queue::Queue;
use crate::rows::{self, MessageRow, TaskRow};
use crate::state::{Core, remove_chunks};
use crate::tables;
use crate::taking::Picked;

/// How a task stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub(crate) enum Status {
    Running = 0,
    Completed = 1,
    Cancelled = 2,
    Failed = 3,
}

impl Status {
    pub fn of(number: u32) -> Self {
        match number {
            0 => Self::Running,
            1 => Self::Completed,
            2 => Self::Cancelled,
            _ => Self::Failed,
        }
    }

    pub fn text(self) -> &'static str {
        match self {
            Self::Running => "RUNNING",
            Self::Completed => "COMPLETED",
            Self::Cancelled => "CANCELLED",
            Self::Failed => "FAILED",
        }
    }
}

/// After a step that others came in between.
const AGAIN: Duration = Duration::from_millis(20);
/// After a step that failed.
const LATER: Duration = Duration::from_secs(1);

/// Goes on with a task to its end, or until the server stops.
pub(crate) async fn run(core: Arc<Core>, queue: Arc<Queue>, task: u128) {
    while !core.stopping.load(Ordering::Acquire) && !queue.is_gone() {
        let pause = match step(&core, &queue, task).await {
            Ok(None) => return,
            Ok(Some(pause)) => pause,
            Err(Failure::Changed) => AGAIN,
            Err(Failure::Error(error)) => {
                tracing::warn!(queue = %queue.arn, %error, "a message move task waits");
                LATER
            }
        };
        tokio::time::sleep(pause).await;
    }
}

/// Moves some messages. How long to wait before the next ones; `None` at the end.
async fn step(core: &Core, queue: &Arc<Queue>, task: u128) -> Result<Option<Duration>, Failure> {
    let key = tables::task(queue.id, task);
    let Some(before) = core.kv.get(&key).await? else { return Ok(None) };
    let row: TaskRow = rows::decode(&before, "a move task")?;
    if Status::of(row.status) != Status::Running {
        return Ok(None);
    }
    let left = usize::try_from(row.to_move.saturating_sub(row.moved)).unwrap_or(usize::MAX);
    core.fill(queue, limits::MAX_MOVES).await?;
    let picks = {
        let (facts, now) = (queue.facts(), core.now());
        let retention = u64::try_from(facts.settings.retention.as_millis()).unwrap_or(u64::MAX);
        // Every message counts as received too often, so that it leaves with the commit.
        let wanted = Wanted { now, most: left.min(limits::MAX_MOVES), until: now, retention, allowed: Some(0) };
        let mut picks = queue.live().pick(&wanted, || core.random.u64());
        let over = picks.split_off(picks.len().min(left));
        drop(Picked::new(queue, over));
        Picked::new(queue, picks)
    };
    let task = Task { key, before, row };
    if left == 0 || picks.picks.is_empty() {
        task.end(core, Status::Completed, None).await?;
        return Ok(None);
    }
    let messages = core.rows_of(queue, &picks.picks).await?;
    let count = picks.picks.len() as u64;
    let (conds, ops) = match changes(core, queue, &task, &picks, &messages).await {
        Ok(changes) => changes,
        Err(Why::Ends(reason)) => {
            drop(picks);
            task.end(core, Status::Failed, Some(reason)).await?;
            return Ok(None);
        }
        Err(Why::Fails(error)) => return Err(error.into()),
    };
    if let Err(error) = core.commit(conds, ops, true).await {
        return Err(core.not_taken(queue, picks, error).await);
    }
    picks.committed();
    let rate = u64::from(task.row.rate);
    Ok(Some((count * 1000).checked_div(rate).map_or(Duration::ZERO, Duration::from_millis)))
}

/// A task under way, as it lies in the store.
struct Task {
    key: millpond_meta::Key,
    before: Bytes,
    row: TaskRow,
}

impl Task {
    async fn end(&self, core: &Core, status: Status, failure: Option<&str>) -> Result<(), Failure> {
        let row = TaskRow { status: status as u32, failure: failure.map(str::to_owned), ..self.row.clone() };
        let conds = vec![Cond::Equals(self.key.clone(), self.before.clone())];
        core.commit(conds, vec![Op::Put(self.key.clone(), rows::encode(&row))], true).await?;
        Ok(())
    }
}

/// Why messages cannot be moved.
enum Why {
    /// Never: the task ends, for this reason.
    Ends(&'static str),
    /// Not now.
    Fails(SqsError),
}

impl From<SqsError> for Why {
    fn from(error: SqsError) -> Self {
        Self::Fails(error)
    }
}

async fn changes(
    core: &Core,
    queue: &Queue,
    task: &Task,
    picks: &Picked,
    messages: &[Arc<MessageRow>],
) -> Result<(Vec<Cond>, Vec<Op>), Why> {
    let mut conds = vec![Cond::Equals(task.key.clone(), task.before.clone())];
    let mut ops = Vec::new();
    for (pick, message) in picks.picks.iter().zip(messages) {
        let arn = task.row.destination.as_ref().or(message.dead_from.as_ref());
        let arn = arn.ok_or(Why::Ends("CouldNotDetermineMessageSource"))?;
        let into = core.by_arn(arn).ok_or(Why::Ends("AWS.SimpleQueueService.NonExistentQueue"))?;
        let from = tables::at(tables::MESSAGES, queue.id, pick.position);
        conds.push(Cond::Present(from.clone()));
        conds.push(Cond::Present(tables::of_queue(tables::QUEUES, into.id)));
        ops.extend([Op::Delete(from), Op::Delete(tables::at(tables::STATES, queue.id, pick.position))]);
        ops.extend(remove_chunks(pick.large.as_ref()));
        let moved = anew(core, message, &into, &mut ops).await?;
        ops.push(Op::Append { stream: tables::of_queue(tables::MESSAGES, into.id), value: rows::encode(&moved) });
        ops.push(Op::Add(tables::of_queue(tables::COUNTS, into.id), 1));
    }
    let count = picks.picks.len();
    ops.push(Op::Add(tables::of_queue(tables::COUNTS, queue.id), -i64::try_from(count).unwrap_or_default()));
    let row = TaskRow { moved: task.row.moved.saturating_add(count as u64), ..task.row.clone() };
    ops.push(Op::Put(task.key.clone(), rows::encode(&row)));
    Ok((conds, ops))
}

/// A message that is sent again: with an id and a time of its own (Developer Guide, "Dead-letter queue redrive").
async fn anew(core: &Core, message: &MessageRow, into: &Queue, ops: &mut Vec<Op>) -> Result<MessageRow, SqsError> {
    let content = core.open(message).await?;
    let mut moved = MessageRow {
        id: Bytes::copy_from_slice(&random_id(&*core.random).to_be_bytes()),
        sent: core.now(),
        delay: 0,
        dead_from: None,
        kept_from: 0,
        content: Bytes::new(),
        chunked: 0,
        chunks: Bytes::new(),
        ..message.clone()
    };
    core.fill_in(&mut moved, rows::encode(&content), into.facts().settings.sealed, ops)?;
    Ok(moved)
}
