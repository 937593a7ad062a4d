//! Message move tasks: what lies in a dead-letter queue goes back to where it came from, or elsewhere (Developer Guide, "Dead-letter queue redrive").

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use millpond_api_sqs as api;
use millpond_kernel::{Authorized, Caller};
use millpond_meta::{Cond, Op};
use serde_json::{Value, json};

use crate::errors::{Failure, SqsError, parameter};
use crate::limits;
use crate::message::{id_text, random_id};
use crate::moving::{self, Status};
use crate::protocol::Input;
use crate::queue::Queue;
use crate::rows::{self, TaskRow};
use crate::state::{Asked, Core, Touch, Who};
use crate::{names, tables};

fn handle(queue: &Queue, task: u128) -> String {
    STANDARD.encode(json!({"taskId": id_text(task), "sourceArn": queue.arn.as_str()}).to_string())
}

/// The ARN and the task that a handle means.
fn parse(handle: &str) -> Option<(String, u128)> {
    let bytes = STANDARD.decode(handle).ok()?;
    let value: Value = serde_json::from_slice(&bytes).ok()?;
    let task = value.get("taskId")?.as_str()?.replace('-', "");
    let task = hex::decode(task).ok()?.try_into().ok().map(u128::from_be_bytes)?;
    Some((value.get("sourceArn")?.as_str()?.to_owned(), task))
}

fn missing(parameter: &str) -> SqsError {
    SqsError::NotFound(format!("The resource that you specified for the {parameter} parameter doesn't exist."))
}

/// Decides about the queue of an ARN, and gives it.
async fn on_arn<I: Input>(
    core: &Core,
    caller: &Caller,
    arn: &str,
    actions: &[&'static str],
    more: Vec<Touch>,
) -> Result<(Authorized<Asked<I>>, Option<Arc<Queue>>), SqsError> {
    let (account, name) = names::of_arn(arn, core.kernel.region())
        .ok_or_else(|| parameter(arn, "SourceArn", "The ARN must be that of a queue of this region."))?;
    let pin = core.kernel.epoch().now();
    let queue = core.find(account, &name);
    let own = names::arn(core.kernel.region(), account, &name);
    let touch = |action| Touch::queue(action, own.clone(), account, queue.as_deref(), caller, Who::Own);
    let touches = actions.iter().copied().map(touch).chain(more).collect();
    Ok((core.decide::<I>(pin, caller, touches, Vec::new()).await?, queue))
}

pub(crate) async fn start(
    core: &Arc<Core>,
    caller: &Caller,
    input: &api::StartMessageMoveTaskInput,
) -> Result<api::StartMessageMoveTaskOutput, Failure> {
    let destination = input.destination_arn.as_deref().filter(|arn| !arn.is_empty());
    let sources = sources(core, &input.source_arn);
    let mut into = Vec::new();
    for arn in destination.into_iter().chain(sources.iter().map(String::as_str).filter(|_| destination.is_none())) {
        let (account, name) = names::of_arn(arn, core.kernel.region()).ok_or_else(|| missing("DestinationArn"))?;
        let (queue, own) = (core.find(account, &name), names::arn(core.kernel.region(), account, &name));
        into.push(Touch::queue("sqs:SendMessage", own, account, queue.as_deref(), caller, Who::Own));
    }
    let actions = ["sqs:StartMessageMoveTask", "sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"];
    let (authorized, queue) =
        on_arn::<api::StartMessageMoveTaskInput>(core, caller, &input.source_arn, &actions, into).await?;
    let queue = queue.ok_or_else(|| missing("SourceArn"))?;
    if sources.is_empty() {
        return Err(SqsError::Parameter("Source queue must be configured as a Dead Letter Queue.".to_owned()).into());
    }
    if let Some(arn) = destination {
        let into = core.by_arn(arn).ok_or_else(|| missing("DestinationArn"))?;
        if into.id == queue.id || into.facts().settings.fifo != queue.facts().settings.fifo {
            let reason = "The destination must be another queue of the same type.";
            return Err(parameter(arn, "DestinationArn", reason).into());
        }
    }
    let rate = match input.max_number_of_messages_per_second {
        None => 0,
        Some(rate) if (1..=limits::MAX_TASK_RATE).contains(&rate) => u32::try_from(rate).unwrap_or(1),
        Some(rate) => {
            return Err(
                parameter(rate, "MaxNumberOfMessagesPerSecond", "Must be between 1 and 500, if provided.").into()
            );
        }
    };
    let tasks = core.tasks(&queue).await?;
    if tasks.iter().any(|(_, task)| task.status == Status::Running as u32) {
        let text =
            "There is already a task running. Only one active task is allowed for a source queue arn at a given time.";
        return Err(SqsError::Unsupported(text.to_owned()).into());
    }
    core.fill(&queue, limits::WINDOW).await?;
    let row = TaskRow {
        destination: destination.map(str::to_owned),
        rate,
        started: core.now(),
        to_move: core.counts(&queue).await?.visible,
        ..TaskRow::default()
    };
    let task = random_id(&*core.random);
    let conds = vec![Cond::Present(tables::of_queue(tables::QUEUES, queue.id))];
    let mut ops = vec![Op::Put(tables::task(queue.id, task), rows::encode(&row))];
    // The oldest make room.
    ops.extend(tasks.iter().skip(limits::MAX_TASKS - 1).map(|(id, _)| Op::Delete(tables::task(queue.id, *id))));
    core.settle(authorized.pin(), (conds, ops), false, |_| {}).await?;
    tokio::spawn(moving::run(Arc::clone(core), Arc::clone(&queue), task));
    Ok(api::StartMessageMoveTaskOutput { task_handle: Some(handle(&queue, task)) })
}

/// The ARNs of queues whose dead letters go to this one.
fn sources(core: &Core, arn: &str) -> Vec<String> {
    let is_source =
        |queue: &&Arc<Queue>| queue.facts().settings.redrive.as_ref().is_some_and(|redrive| redrive.target == arn);
    core.queues().all().filter(is_source).map(|queue| queue.arn.to_string()).collect()
}

pub(crate) async fn cancel(
    core: &Core,
    caller: &Caller,
    input: &api::CancelMessageMoveTaskInput,
) -> Result<api::CancelMessageMoveTaskOutput, Failure> {
    let bad = || parameter(&input.task_handle, "TaskHandle", "Invalid task handle.");
    let (arn, task) = parse(&input.task_handle).ok_or_else(bad)?;
    let actions = ["sqs:CancelMessageMoveTask"];
    let (authorized, queue) =
        on_arn::<api::CancelMessageMoveTaskInput>(core, caller, &arn, &actions, Vec::new()).await?;
    let queue = queue.ok_or_else(|| missing("SourceArn"))?;
    let key = tables::task(queue.id, task);
    let none = || SqsError::NotFound("Task does not exist.".to_owned());
    let before = core.kv.get(&key).await?.ok_or_else(none)?;
    let row: TaskRow = rows::decode(&before, "a move task")?;
    if row.status != Status::Running as u32 {
        return Err(SqsError::Unsupported("Only active tasks can be cancelled.".to_owned()).into());
    }
    let moved = i64::try_from(row.moved).unwrap_or(i64::MAX);
    let after = TaskRow { status: Status::Cancelled as u32, ..row };
    let ops = vec![Op::Put(key.clone(), rows::encode(&after))];
    core.settle(authorized.pin(), (vec![Cond::Equals(key, before)], ops), false, |_| {}).await?;
    Ok(api::CancelMessageMoveTaskOutput { approximate_number_of_messages_moved: Some(moved) })
}

pub(crate) async fn list(
    core: &Core,
    caller: &Caller,
    input: &api::ListMessageMoveTasksInput,
) -> Result<api::ListMessageMoveTasksOutput, Failure> {
    let actions = ["sqs:ListMessageMoveTasks"];
    let (_, queue) =
        on_arn::<api::ListMessageMoveTasksInput>(core, caller, &input.source_arn, &actions, Vec::new()).await?;
    let queue = queue.ok_or_else(|| missing("SourceArn"))?;
    let most = input.max_results.unwrap_or(1);
    let most = usize::try_from(most).ok().filter(|most| (1..=limits::MAX_TASKS).contains(most));
    let most = most.ok_or_else(|| {
        parameter(input.max_results.unwrap_or(1), "MaxResults", "Must be between 1 and 10, if provided.")
    })?;
    let tasks = core.tasks(&queue).await?;
    let results = tasks.into_iter().take(most).map(|(id, task)| shown(&queue, id, task)).collect();
    Ok(api::ListMessageMoveTasksOutput { results: Some(results) })
}

fn shown(queue: &Queue, id: u128, task: TaskRow) -> api::ListMessageMoveTasksResultEntry {
    let number = |count: u64| Some(i64::try_from(count).unwrap_or(i64::MAX));
    let status = Status::of(task.status);
    api::ListMessageMoveTasksResultEntry {
        task_handle: (status == Status::Running).then(|| handle(queue, id)),
        status: Some(status.text().to_owned()),
        source_arn: Some(queue.arn.to_string()),
        destination_arn: task.destination,
        max_number_of_messages_per_second: i32::try_from(task.rate).ok().filter(|rate| *rate > 0),
        approximate_number_of_messages_moved: number(task.moved),
        approximate_number_of_messages_to_move: number(task.to_move),
        failure_reason: task.failure,
        started_timestamp: number(task.started),
    }
}

impl Core {
    /// The tasks of a queue, the latest first.
    async fn tasks(&self, queue: &Queue) -> Result<Vec<(u128, TaskRow)>, SqsError> {
        let mut tasks = Vec::new();
        for (key, row) in self.rows(tables::tasks(queue.id)).await? {
            let (_, task) = tables::work_of(&key).map_err(|error| SqsError::Internal(error.to_string()))?;
            tasks.extend(task.map(|task| Ok::<_, SqsError>((task, rows::decode(&row, "a move task")?))).transpose()?);
        }
        tasks.sort_by_key(|(_, task): &(u128, TaskRow)| std::cmp::Reverse(task.started));
        Ok(tasks)
    }
}
