//! Invocations that nobody waits for: what the outbox holds for functions, how often it is tried, and what follows (Developer Guide, "Invoking a
//! Lambda function asynchronously").
//!
//! An event is an item of the outbox from the commit that accepts it to the commit that ends it, so that it is run at least once, whenever the server is
//! killed; always under the same request id.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use millpond_kernel::outbox::{Answer, Attempt, Carrier, Item, MAX_LEFT, Outbox, Outgoing};
use millpond_kernel::{Arrival, Rejection};
use millpond_meta::Op;
use millpond_runtime::{Ended, Job};
use millpond_seal::Purpose;
use millpond_types::{CauseChain, Timestamp};
use prost::Message;

use crate::destinations::{self, Outcome, Reach, Response};
use crate::errors::LambdaError;
use crate::model::{Function, Version};
use crate::names::{FunctionName, Qualifier, uuid};
use crate::ops::invoke_configs;
use crate::state::Core;
use crate::target::LOOP;

/// The owner of our items in the outbox; never changed.
pub(crate) const OWNER: &str = "lambda";
/// Tries again after errors of the function, usually.
const USUAL_RETRIES: u32 = 2;
/// How long an event is tried, usually.
const USUAL_AGE: Duration = Duration::from_secs(6 * 3600);
/// Waits after the first and after further errors of the function.
const FIRST_PAUSE: Duration = Duration::from_secs(60);
const NEXT_PAUSE: Duration = Duration::from_secs(120);
/// Waits after throttles and errors of ours: doubled each time.
const FIRST_BACK_OFF: Duration = Duration::from_secs(1);
const LAST_BACK_OFF: Duration = Duration::from_secs(300);
/// Events of one function that are run at once, unless it has a smaller number of its own: each holds a place in memory.
const SIDE_BY_SIDE: usize = 64;
/// Bytes of what a function answered that are kept between attempts.
const KEPT_ANSWER: usize = MAX_LEFT / 2;

/// What became of events since the start.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// Attempts that functions answered.
    pub answered: AtomicU64,
    /// Attempts that functions failed.
    pub failed: AtomicU64,
    /// Attempts that found no room.
    pub throttled: AtomicU64,
    /// Events that were given up.
    pub given_up: AtomicU64,
    /// Invocations that were refused because their chain of causes was too long.
    pub loops: AtomicU64,
}

/// What became of events since the start; see [`Counters`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Figures {
    /// Attempts that functions answered.
    pub answered: u64,
    /// Attempts that functions failed.
    pub failed: u64,
    /// Attempts that found no room.
    pub throttled: u64,
    /// Events that were given up.
    pub given_up: u64,
    /// Invocations and records that were refused because their chain of causes was too long.
    pub loops: u64,
}

impl Counters {
    pub fn read(&self) -> Figures {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Figures {
            answered: of(&self.answered),
            failed: of(&self.failed),
            throttled: of(&self.throttled),
            given_up: of(&self.given_up),
            loops: of(&self.loops),
        }
    }
}

pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// An event for a function.
pub(crate) struct Event<'a> {
    pub function: &'a Function,
    pub qualifier: &'a Qualifier,
    pub payload: Bytes,
    /// What led to it, without the invocation itself.
    pub causes: CauseChain,
    /// The request id: the same for the same event, however often it comes.
    pub id: u128,
    pub time: Timestamp,
    pub client_context: Option<String>,
    pub trace: Option<String>,
}

/// An event as the outbox has it, sealed.
#[derive(Clone, PartialEq, Message)]
struct EventRow {
    #[prost(bytes = "bytes", tag = "1")]
    payload: Bytes,
    /// Empty: none.
    #[prost(string, tag = "2")]
    qualifier: String,
    #[prost(string, repeated, tag = "3")]
    causes: Vec<String>,
    #[prost(string, optional, tag = "4")]
    client_context: Option<String>,
    #[prost(string, optional, tag = "5")]
    trace: Option<String>,
}

/// What attempts leave, sealed.
#[derive(Clone, PartialEq, Message)]
struct LeftRow {
    /// Errors of the function so far.
    #[prost(uint32, tag = "1")]
    errors: u32,
    /// Attempts in a row that did not come to the function.
    #[prost(uint32, tag = "2")]
    throttled: u32,
    /// The version that ran last; empty: none did.
    #[prost(string, tag = "3")]
    version: String,
    /// Whether it failed.
    #[prost(bool, tag = "4")]
    failed: bool,
    /// What it answered, where that is not too long.
    #[prost(bytes = "bytes", optional, tag = "5")]
    answer: Option<Bytes>,
    /// Times that it was run.
    #[prost(uint32, tag = "6")]
    runs: u32,
}

fn context(id: u128) -> [u8; 16] {
    id.to_be_bytes()
}

/// The changes that put an event in: for the commit that causes it.
pub(crate) fn put(core: &Core, event: &Event<'_>) -> Result<Vec<Op>, LambdaError> {
    let row = EventRow {
        payload: event.payload.clone(),
        qualifier: event.qualifier.text().unwrap_or_default(),
        causes: event.causes.clone(),
        client_context: event.client_context.clone(),
        trace: event.trace.clone(),
    };
    let what = core.vault.seal(&*core.random, Purpose::FunctionEvent, &context(event.id), &row.encode_to_vec());
    let what = what.map_err(|error| LambdaError::Internal(error.to_string()))?;
    Ok(Outbox::put(&Outgoing {
        id: event.id,
        owner: OWNER,
        lane: Bytes::copy_from_slice(event.function.arn.as_str().as_bytes()),
        // Events have no order between them.
        key: Bytes::copy_from_slice(&context(event.id)),
        what: what.into(),
        time: event.time,
        event: uuid(event.id),
    }))
}

/// An event that is at work.
pub(crate) struct Opened {
    row: EventRow,
    pub function: Arc<Function>,
    pub qualifier: Qualifier,
}

impl Opened {
    pub fn payload(&self) -> &Bytes {
        &self.row.payload
    }

    /// Within how many errors and which time it is tried.
    fn bounds(&self) -> (u32, Duration) {
        let config = self.function.configs.get(&invoke_configs::key(&self.qualifier));
        let retries = config.and_then(|config| config.retries).unwrap_or(USUAL_RETRIES);
        let age = config.and_then(|config| config.max_age);
        (retries, age.map_or(USUAL_AGE, |seconds| Duration::from_secs(u64::from(seconds))))
    }
}

/// Runs events.
pub(crate) struct Events(pub Arc<Core>);

impl Events {
    fn function(&self, lane: &[u8]) -> Option<Arc<Function>> {
        let text = std::str::from_utf8(lane).ok()?;
        let name = FunctionName::parse(text, None, self.0.kernel.account(), self.0.kernel.region()).ok()?;
        self.0.find(&name)
    }

    fn open(&self, item: &Item) -> Result<Opened, &'static str> {
        let plain = self.0.vault.open(Purpose::FunctionEvent, &context(item.id), &item.what);
        let plain = plain.map_err(|_| "Damaged: the event cannot be opened")?;
        let row = EventRow::decode(plain.as_slice()).map_err(|_| "Damaged: the event cannot be read")?;
        let function = self.function(&item.lane).ok_or("ResourceNotFound: the function is not there any more")?;
        let (core, qualifier) = (&self.0, Some(row.qualifier.as_str()).filter(|text| !text.is_empty()));
        let arn = function.arn.as_str();
        let name = FunctionName::parse(arn, qualifier, function.account, core.kernel.region());
        let qualifier = name.map_err(|_| "Damaged: the event has no qualifier that there can be")?.qualifier;
        Ok(Opened { row, function, qualifier })
    }

    fn left(&self, item: &Item) -> LeftRow {
        if item.left.is_empty() {
            return LeftRow::default();
        }
        let plain = self.0.vault.open(Purpose::FunctionEvent, &context(!item.id), &item.left).ok();
        plain.and_then(|plain| LeftRow::decode(plain.as_slice()).ok()).unwrap_or_default()
    }

    fn answer(&self, item: &Item, text: impl Into<String>, left: &LeftRow) -> Answer {
        let plain = left.encode_to_vec();
        let sealed = self.0.vault.seal(&*self.0.random, Purpose::FunctionEvent, &context(!item.id), &plain);
        Answer { text: text.into(), left: sealed.map(Bytes::from).unwrap_or_default() }
    }

    async fn run(&self, item: &Item) -> Attempt {
        let opened = match self.open(item) {
            Ok(opened) => opened,
            Err(why) => return Attempt::Fail(why.into()),
        };
        let (core, mut left) = (&self.0, self.left(item));
        let (retries, age) = opened.bounds();
        if core.clock.now().since(item.time) > age {
            let text = "EventAgeExceeded: the event is older than it may be";
            return Attempt::Fail(self.answer(item, text, &left));
        }
        if opened.function.facts.reserved == Some(0) {
            // Nothing of it will run (Developer Guide, "Configuring reserved concurrency").
            let text = "ReservedConcurrencyIsZero: the function may not run";
            return Attempt::Fail(self.answer(item, text, &left));
        }
        let Some(version) = core.chosen(&opened.function, &opened.qualifier).cloned() else {
            return Attempt::Fail("ResourceNotFound: the version or alias is not there any more".into());
        };
        match core.run(Arc::clone(&opened.function), Arc::clone(&version), self.job(item, &opened)).await {
            Ok((ended, _)) => {
                left = LeftRow { runs: left.runs + 1, throttled: 0, version: version.label(), ..left };
                self.ended(item, ended, left, retries)
            }
            // As if it had not been tried: it is when the server starts anew.
            Err(error @ LambdaError::Stopping) => {
                Attempt::Retry(self.answer(item, format!("ServiceException: {error}"), &left))
            }
            // Also what this machine cannot run as it is: it may be set up before the event is too old.
            Err(error) => {
                let throttled = matches!(error, LambdaError::TooMany(_));
                let text = match error {
                    LambdaError::TooMany(reason) => format!("TooManyRequests: {reason}"),
                    other => format!("ServiceException: {other}"),
                };
                if throttled {
                    count(&core.counters.throttled);
                }
                left.throttled += 1;
                Attempt::Retry(self.answer(item, text, &left))
            }
        }
    }

    fn job(&self, item: &Item, opened: &Opened) -> Job {
        let (function, request_id) = (&opened.function, uuid(item.id));
        Job {
            payload: opened.row.payload.clone(),
            invoked_arn: self.0.asked_arn(function, &opened.qualifier).to_string(),
            trace: opened.row.trace.clone(),
            client_context: opened.row.client_context.clone(),
            causes: self.0.chain(function, &request_id, opened.row.causes.clone()),
            tail: false,
            request_id,
        }
    }

    fn ended(&self, item: &Item, ended: Ended, left: LeftRow, retries: u32) -> Attempt {
        let counters = &self.0.counters;
        match ended {
            Ended::Answer(answer) => {
                count(&counters.answered);
                let version = left.version.clone();
                let left = LeftRow { failed: false, answer: Some(answer), ..left };
                Attempt::Done(self.answer(item, format!("version {version} answered"), &left))
            }
            Ended::Failed { payload, kind } => {
                count(&counters.failed);
                let mut left = LeftRow { errors: left.errors + 1, failed: true, ..left };
                if left.errors > retries {
                    left.answer = Some(payload);
                    let text = format!("RetriesExhausted: the function failed ({kind:?})");
                    return Attempt::Fail(self.answer(item, text, &left));
                }
                left.answer = Some(payload).filter(|payload| payload.len() <= KEPT_ANSWER);
                Attempt::Retry(self.answer(item, format!("FunctionError: the function failed ({kind:?})"), &left))
            }
        }
    }

    fn pause(&self, item: &Item) -> Option<Duration> {
        let (left, opened) = (self.left(item), self.open(item).ok()?);
        let pause = match (left.throttled, left.errors) {
            // It was cut by the end of the server.
            (0, 0) => FIRST_BACK_OFF,
            (0, 1) => FIRST_PAUSE,
            (0, _) => NEXT_PAUSE,
            (throttled, _) => back_off(throttled, self.0.random.u64()),
        };
        let (_, age) = opened.bounds();
        (self.0.clock.now().since(item.time) + pause <= age).then_some(pause)
    }

    /// What is told of an event that is over.
    fn result<'a>(
        item: &'a Item,
        opened: &'a Opened,
        left: &'a LeftRow,
        condition: &'a str,
        version: &'a Version,
    ) -> Outcome<'a> {
        let response = (!left.version.is_empty()).then(|| Response {
            version: &left.version,
            failed: left.failed,
            payload: left.answer.as_ref(),
        });
        Outcome {
            id: item.id,
            function: &opened.function,
            qualifier: &opened.qualifier,
            version,
            condition,
            runs: left.runs,
            payload: opened.payload(),
            causes: &opened.row.causes,
            response,
            reach: Reach::Everywhere,
        }
    }

    async fn succeeded(&self, item: &Item) -> Result<Arrival, Rejection> {
        let Ok(opened) = self.open(item) else { return Ok(Arrival::default()) };
        let Some(version) = opened.function.meant(&opened.qualifier).cloned() else { return Ok(Arrival::default()) };
        let left = self.left(item);
        let result = Self::result(item, &opened, &left, "Success", &version);
        match destinations::succeeded(&self.0, &result).await {
            // It would be lost: it goes to where failures go.
            Err(refused) if refused.is_final() => {
                let text = refused.to_string();
                tracing::warn!(function = %opened.function.arn, event = item.event, %refused, "the destination of an answer does not take it");
                let condition = if text.contains(LOOP) { "RecursiveInvocation" } else { "DestinationRefused" };
                destinations::failed(&self.0, &Outcome { condition, ..result }, &text).await
            }
            taken => taken,
        }
    }

    async fn dead(&self, item: &Item, reason: &str) -> Result<Arrival, Rejection> {
        count(&self.0.counters.given_up);
        let Ok(opened) = self.open(item) else { return Ok(Arrival::default()) };
        let Some(version) = opened.function.meant(&opened.qualifier).cloned() else { return Ok(Arrival::default()) };
        let left = self.left(item);
        // What was to be tried again, and is not, is too old for it.
        let condition = match reason.split_once(": ") {
            Some(("FunctionError" | "TooManyRequests" | "ServiceException", _)) | None => "EventAgeExceeded",
            Some((condition, _)) => condition,
        };
        let result = Self::result(item, &opened, &left, condition, &version);
        destinations::failed(&self.0, &result, reason).await
    }
}

/// Doubled each time, less up to a tenth by chance, so that those that were throttled together do not come back together.
fn back_off(times: u32, random: u64) -> Duration {
    let doubled = FIRST_BACK_OFF.saturating_mul(1 << times.saturating_sub(1).min(16)).min(LAST_BACK_OFF);
    let less = (random % 1_000) as f64 / 10_000.0;
    doubled.mul_f64(1.0 - less)
}

impl Carrier for Events {
    fn owner(&self) -> &'static str {
        OWNER
    }

    fn attempt<'a>(&'a self, item: &'a Item) -> BoxFuture<'a, Attempt> {
        self.run(item).boxed()
    }

    fn next_try(&self, item: &Item, _tried: u32, _since: Duration) -> Option<Duration> {
        self.pause(item)
    }

    fn arrived<'a>(&'a self, item: &'a Item) -> BoxFuture<'a, Result<Arrival, Rejection>> {
        self.succeeded(item).boxed()
    }

    fn gave_up<'a>(&'a self, item: &'a Item, reason: &'a str) -> BoxFuture<'a, Result<Arrival, Rejection>> {
        self.dead(item, reason).boxed()
    }

    fn target(&self, item: &Item) -> String {
        String::from_utf8_lossy(&item.lane).into_owned()
    }

    /// All but the answer.
    fn shortened(&self, item: &Item) -> Bytes {
        self.answer(item, "", &LeftRow { answer: None, ..self.left(item) }).left
    }

    fn side_by_side(&self, lane: &[u8]) -> usize {
        let reserved = self.function(lane).and_then(|function| function.facts.reserved);
        let reserved = reserved.and_then(|reserved| usize::try_from(reserved).ok());
        // One that may not run is tried one by one, and given up.
        reserved.unwrap_or(SIDE_BY_SIDE).clamp(1, SIDE_BY_SIDE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_up_to_five_minutes() {
        for (times, most) in [(1, 1), (2, 2), (3, 4), (9, 256), (10, 300), (u32::MAX, 300)] {
            for random in [0, 999, u64::MAX] {
                let pause = back_off(times, random);
                let most = Duration::from_secs(most);
                assert!(pause <= most && pause >= most.mul_f64(0.9), "{times} {random}: {pause:?}");
            }
        }
    }
}
