//! What became of events for functions: `millpond trace`. What delivers an event to a function asks about it as a message, by the request id.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use millpond_kernel::outbox::Outbox;
use millpond_kernel::trace::{Asked, Line, Outcome, Traced, kept, time_text};
use millpond_meta::ReadError;
use millpond_types::Timestamp;

use crate::async_invoke::OWNER;
use crate::destinations::delivery_ids;
use crate::model::Function;
use crate::names::{FunctionName, id_of_text, random_id, uuid};
use crate::output::{Output, Where, log_groups};
use crate::state::Core;

/// How long an attempt may have been at work when it was over, and one before it that was cut off: nothing that it changed is older.
const BEFORE: Duration = Duration::from_secs(3600);
/// How long lines take into their log group, at most.
const WRITTEN: Duration = Duration::from_secs(10);

/// Tells of invocations.
pub(crate) struct Tracing(pub Arc<Core>);

impl Tracing {
    async fn of(&self, text: &str) -> Result<Vec<Line>, ReadError> {
        let core = &self.0;
        // Ids of other things have other forms.
        let Some(id) = id_of_text(text).filter(|id| random_id(*id) == *id) else { return Ok(Vec::new()) };
        let attempts: Vec<_> = kept(&*core.kv, text)
            .await?
            .into_iter()
            .filter(|kept| kept.id == id && kept.target.starts_with("arn:aws:lambda:"))
            .collect();
        let about = Some(Asked::Message(text.to_owned()));
        let Some(last) = attempts.last() else {
            let lane = Outbox::lane_with(&*core.kv, OWNER, id).await?;
            let Some(lane) = lane else { return self.of_recent(text).await };
            let function = String::from_utf8_lossy(&lane).into_owned();
            let so_far = self.so_far(&function, id).await?;
            let state = if so_far.is_empty() { "waits for its first attempt" } else { "has not ended" };
            let mut lines =
                vec![Line { about, ..Line::new(0, format!("function {function}: invocation {text} {state}")) }];
            if !so_far.is_empty() {
                lines.extend(so_far);
                lines.push(changes(text, core.clock.now()));
            }
            return Ok(lines);
        };
        let state = match last.outcome {
            Outcome::Delivered => "done",
            Outcome::Again { .. } => "waits for another attempt",
            Outcome::DeadLettered => "was given up, and told its destination or dead-letter queue",
            Outcome::Dropped => "was given up",
        };
        let mut first = Line { about, ..Line::new(0, format!("function {}: invocation {text} {state}", last.target)) };
        // What it led to, where there is something of that id.
        let (destination, dead_letters) = delivery_ids(id);
        let there = [destination, dead_letters].into_iter().flat_map(|id| self.messages(&last.target, id));
        first.then = if matches!(last.outcome, Outcome::Delivered | Outcome::DeadLettered) {
            there.collect()
        } else {
            Vec::new()
        };
        let mut lines = vec![first];
        for kept in &attempts {
            lines.push(Line::new(1, kept.words()));
            if ran(&kept.answer) {
                lines.extend(self.printed(&last.target, text, kept.time, None).await?);
            }
        }
        if let Outcome::Again { .. } = last.outcome {
            lines.extend(self.so_far(&last.target, id).await?);
        }
        lines.extend(self.log_group(&last.target, text));
        let first_time = attempts.iter().map(|kept| kept.time).min().unwrap_or_default();
        lines.push(changes(text, first_time));
        Ok(lines)
    }

    /// One that somebody waited for, as long as it is remembered.
    async fn of_recent(&self, text: &str) -> Result<Vec<Line>, ReadError> {
        let Some(recent) = self.0.recents.find(text) else { return Ok(Vec::new()) };
        let (function, at) = (recent.function.as_str(), time_text(recent.ended));
        let state = if recent.failed { "failed" } else { "done" };
        let about = Some(Asked::Message(text.to_owned()));
        let first = Line::new(0, format!("function {function}: invocation {text} {state} at {at}"));
        let mut lines = vec![Line { about, ..first }];
        lines.extend(self.printed(function, text, recent.ended, Some(&recent.stream)).await?);
        lines.extend(self.log_group(function, text));
        lines.push(changes(text, recent.began));
        Ok(lines)
    }

    /// What an attempt printed that was over at a time.
    async fn printed(
        &self,
        arn: &str,
        request_id: &str,
        at: Timestamp,
        stream: Option<&str>,
    ) -> Result<Vec<Line>, ReadError> {
        let core = &self.0;
        let Some(function) = self.function(arn) else { return Ok(Vec::new()) };
        let stream = stream.filter(|stream| !stream.is_empty());
        let place = Where { function: &function, request_id, at, stream };
        Ok(match core.output(&place).await? {
            Some(output) => {
                let unended = "its last lines are not written yet, or there are more before them than are looked at";
                let last = (!output.ended).then(|| Line::new(2, unended));
                shown(&output, &function.name).into_iter().chain(last).collect()
            }
            None if core.clock.now().since(at) < WRITTEN => vec![Line::new(2, "its output is not written yet")],
            None => {
                vec![Line::new(2, "its output is not in the log group: removed, or its role may not write there")]
            }
        })
    }

    /// What an attempt printed of which no end is known.
    async fn so_far(&self, arn: &str, id: u128) -> Result<Vec<Line>, ReadError> {
        let Some(function) = self.function(arn) else { return Ok(Vec::new()) };
        let (request_id, at) = (uuid(id), self.0.clock.now());
        let place = Where { function: &function, request_id: &request_id, at, stream: None };
        Ok(match self.0.output(&place).await?.filter(|output| !output.ended) {
            Some(output) => {
                let first = Line::new(1, "an attempt that is at work, or was cut off by the end of the server");
                std::iter::once(first).chain(shown(&output, &function.name)).collect()
            }
            None => Vec::new(),
        })
    }

    fn function(&self, arn: &str) -> Option<Arc<Function>> {
        let core = &self.0;
        let name = FunctionName::parse(arn, None, core.kernel.account(), core.kernel.region()).ok()?;
        core.find(&name)
    }

    /// The messages that destinations of a function may have, by a delivery's id.
    fn messages(&self, function: &str, delivery: u128) -> Vec<Asked> {
        let core = &self.0;
        let Some(function) = self.function(function) else { return Vec::new() };
        let configs =
            function.configs.values().flat_map(|config| [config.on_success.as_deref(), config.on_failure.as_deref()]);
        let dead = function.all_versions().map(|version| version.row.dead_letters.as_deref());
        let arns: std::collections::BTreeSet<&str> = configs.chain(dead).flatten().collect();
        let message = |arn: &str| core.kernel.targets().message_id(&millpond_types::Arn::parse(arn)?, delivery);
        let mut messages: Vec<Asked> = arns.into_iter().filter_map(message).map(Asked::Message).collect();
        messages.dedup();
        messages
    }

    fn log_group(&self, arn: &str, request_id: &str) -> Option<Line> {
        let function = self.function(arn)?;
        let groups: Vec<String> = log_groups(&function).into_iter().collect();
        let (groups, name) = (groups.join(", "), &function.name);
        let text =
            format!("output: log group {groups}, the lines around RequestId: {request_id} (millpond logs {name})");
        Some(Line::new(1, text))
    }
}

/// Whether an attempt came to the function, by what became of it.
fn ran(answer: &str) -> bool {
    ["version ", "FunctionError: ", "RetriesExhausted: "].iter().any(|begin| answer.starts_with(begin))
}

/// Lines of a log, which nobody takes for ours.
fn shown(output: &Output, function: &str) -> Vec<Line> {
    let mut lines: Vec<Line> = output.lines.iter().map(|line| Line::new(2, format!("| {line}"))).collect();
    if output.more > 0 {
        let more = Line::new(2, format!("and {} more lines: millpond logs {function}", output.more));
        lines.insert(lines.len().min(1), more);
    }
    lines
}

/// What an invocation changed itself.
fn changes(request_id: &str, first: Timestamp) -> Line {
    let since = Timestamp(first.0.saturating_sub(u64::try_from(BEFORE.as_nanos()).unwrap_or_default()));
    Line::only(1, Asked::Caused { cause: format!("lambda:{request_id}:"), since })
}

impl Traced for Tracing {
    fn trace<'a>(&'a self, asked: &'a Asked) -> BoxFuture<'a, Result<Vec<Line>, ReadError>> {
        async move {
            match asked {
                Asked::Message(id) => self.of(id).await,
                _ => Ok(Vec::new()),
            }
        }
        .boxed()
    }
}
