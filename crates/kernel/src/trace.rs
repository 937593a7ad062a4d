//! What became of a change or an event: `millpond trace`.
//!
//! Each service that has a part in it is asked ([`Traced`]). What was done inside is worked out anew from what is there; attempts to reach the world
//! outside, and what was given up, are kept here for a day.

use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use millpond_meta::key::KeyBuilder;
use millpond_meta::{Key, Kv, Op, ReadError, Scan};
use millpond_types::Timestamp;
use millpond_wire::push_iso8601;
use prost::Message;

use crate::streams::StepError;
use crate::timers::{Alarm, Timer, Timers};
use crate::{Arrival, tables};

/// How long attempts are kept. Whoever asks why, asks soon.
pub const TRACE_AGE: Duration = Duration::from_secs(24 * 3600);
/// Characters of an answer that are kept.
const MAX_ANSWER: usize = 500;
/// Attempts that are shown of one event.
const MAX_SHOWN: usize = 1000;
/// The owner of the timers that remove attempts.
const OWNER: &str = "trace";

/// What became of an attempt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// It arrived.
    Delivered,
    /// There is another one to come.
    Again {
        /// After this.
        millis: u64,
    },
    /// It went to the dead-letter queue.
    DeadLettered,
    /// It was given up for good.
    Dropped,
}

/// An attempt that was made.
#[derive(Clone, Copy, Debug)]
pub struct Attempted<'a> {
    /// The id of the event, or what else it will be looked for by; nothing is kept where it is empty.
    pub event: &'a str,
    /// The delivery's id.
    pub id: u128,
    /// To whom, as people would name it.
    pub target: &'a str,
    /// The how manieth it was, from 1.
    pub tried: u32,
    /// What the other side said, or why it was not asked.
    pub answer: &'a str,
    /// What became of it.
    pub outcome: Outcome,
}

#[derive(Clone, PartialEq, Message)]
struct Row {
    #[prost(fixed64, tag = "1")]
    time: u64,
    #[prost(string, tag = "2")]
    target: String,
    #[prost(string, tag = "3")]
    answer: String,
    /// 1 delivered, 2 again, 3 dead-lettered, 4 dropped.
    #[prost(uint32, tag = "4")]
    outcome: u32,
    #[prost(uint64, tag = "5")]
    millis: u64,
    #[prost(uint32, tag = "6")]
    tried: u32,
}

/// An attempt as it is kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Kept {
    /// The delivery's id.
    pub id: u128,
    /// When it was made.
    pub time: Timestamp,
    /// As in [`Attempted`].
    pub target: String,
    /// As in [`Attempted`].
    pub tried: u32,
    /// As in [`Attempted`].
    pub answer: String,
    /// As in [`Attempted`].
    pub outcome: Outcome,
}

/// A time as lines show it.
pub fn time_text(time: Timestamp) -> String {
    let mut text = String::new();
    push_iso8601(&mut text, time, true);
    text
}

impl Kept {
    /// As a line tells it.
    pub fn words(&self) -> String {
        let (tried, answer, at) = (self.tried, &self.answer, time_text(self.time));
        match self.outcome {
            Outcome::Delivered => format!("attempt {tried} at {at}: delivered ({answer})"),
            Outcome::Again { millis } => format!("attempt {tried} at {at}: {answer}; again after {millis} ms"),
            Outcome::DeadLettered => format!("attempt {tried} at {at}: {answer}; sent to the dead-letter queue"),
            Outcome::Dropped => format!("attempt {tried} at {at}: {answer}; given up, without a dead-letter queue"),
        }
    }
}

fn key(event: &str, id: u128, tried: u32) -> Key {
    KeyBuilder::new(tables::TRACE).bytes(event.as_bytes()).u128(id).u32(tried).build()
}

/// The changes that keep an attempt: for the commit that follows from it.
pub fn attempted(attempt: &Attempted<'_>, now: Timestamp) -> Vec<Op> {
    if attempt.event.is_empty() {
        return Vec::new();
    }
    let (outcome, millis) = match attempt.outcome {
        Outcome::Delivered => (1, 0),
        Outcome::Again { millis } => (2, millis),
        Outcome::DeadLettered => (3, 0),
        Outcome::Dropped => (4, 0),
    };
    let answer = attempt.answer.chars().take(MAX_ANSWER).collect();
    let (target, tried) = (attempt.target.to_owned(), attempt.tried);
    let row = Row { time: now.0, target, answer, outcome, millis, tried };
    let key = key(attempt.event, attempt.id, attempt.tried);
    // The timer's value is the key that goes: ids of events are short.
    let removal = Timers::set(now.plus(TRACE_AGE), OWNER, &key, Bytes::new());
    vec![Op::Put(key, row.encode_to_vec().into()), removal]
}

/// The attempts that are kept of an event, oldest delivery first.
pub async fn kept(kv: &dyn Kv, event: &str) -> Result<Vec<Kept>, ReadError> {
    let prefix = KeyBuilder::new(tables::TRACE).bytes(event.as_bytes()).build();
    let to = millpond_meta::key::prefix_end(&prefix);
    let (from, length) = (Bound::Included(prefix.clone()), prefix.len());
    let scan = Scan { from, to: Bound::Excluded(to), reverse: false, limit: MAX_SHOWN };
    let of = |(key, value): (Key, Bytes)| {
        let id = u128::from_be_bytes(key.get(length..length + 16)?.try_into().ok()?);
        let row = Row::decode(value).ok()?;
        let outcome = match row.outcome {
            1 => Outcome::Delivered,
            2 => Outcome::Again { millis: row.millis },
            3 => Outcome::DeadLettered,
            _ => Outcome::Dropped,
        };
        let (time, target, tried, answer) = (Timestamp(row.time), row.target, row.tried, row.answer);
        Some(Kept { id, time, target, tried, answer, outcome })
    };
    Ok(kv.scan(scan).await?.into_iter().filter_map(of).collect())
}

/// Removes attempts that are no longer kept.
pub struct Forget;

impl Alarm for Forget {
    fn owner(&self) -> &'static str {
        OWNER
    }

    fn fire<'a>(&'a self, timer: &'a Timer) -> BoxFuture<'a, Result<Arrival, StepError>> {
        let ops = vec![Op::Delete(timer.id.clone())];
        async move { Ok(Arrival { conds: Vec::new(), ops }) }.boxed()
    }
}

/// What is asked about.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Asked {
    /// The changes of an object: the newest ones.
    Object {
        /// Its bucket.
        bucket: String,
        /// Its key.
        key: String,
    },
    /// An event, by its id.
    Event(String),
    /// A message, by its id, of a queue or topic.
    Message(String),
    /// A resource that does things by itself, by its ARN: what it did last.
    Resource(String),
    /// What somebody did itself: changes, messages and events whose newest cause begins so.
    Caused {
        /// `SERVICE:ID:`, the beginning of a cause.
        cause: String,
        /// None of it is older.
        since: Timestamp,
    },
}

/// Whether a chain of causes ends with one that begins so.
pub fn is_caused(causes: &[String], cause: &str) -> bool {
    causes.last().is_some_and(|last| last.starts_with(cause))
}

/// Who caused a change, as a line tells it; `None` where nobody but its caller did.
pub fn caused_by(causes: &[String]) -> Option<String> {
    let last = causes.last()?;
    let mut parts = last.splitn(3, ':');
    let words = match (parts.next(), parts.next(), parts.next()) {
        (Some("events"), Some(id), Some(rule)) => format!("caused by event {id}, by {rule}"),
        (Some(_), Some(id), Some(who)) => format!("caused by invocation {id} of {who}"),
        _ => format!("caused by {last}"),
    };
    Some(words)
}

/// A line of the answer, below another or at the root.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Line {
    /// How deep it stands.
    pub depth: usize,
    /// What it says; nothing is shown of one that is empty.
    pub text: String,
    /// What else is to be asked about, and shown below it.
    pub then: Vec<Asked>,
    /// What it tells of, where others may tell of the same: it is shown once, with what stands below it.
    pub about: Option<Asked>,
}

impl Line {
    /// A line that leads nowhere else.
    pub fn new(depth: usize, text: impl Into<String>) -> Self {
        Self { depth, text: text.into(), then: Vec::new(), about: None }
    }

    /// No line: what is known of something stands in its place.
    pub fn only(depth: usize, asked: Asked) -> Self {
        Self { depth, text: String::new(), then: vec![asked], about: None }
    }

    /// The same line, below which is shown what is known of a message or an event.
    #[must_use]
    pub fn then(mut self, asked: Asked) -> Self {
        self.then.push(asked);
        self
    }
}

/// A service that has a part in what becomes of changes.
pub trait Traced: Send + Sync + 'static {
    /// What it knows; nothing when it has no part in it.
    fn trace<'a>(&'a self, asked: &'a Asked) -> BoxFuture<'a, Result<Vec<Line>, ReadError>>;
}

/// Shared by who answers `millpond trace`.
pub type AllTraced = Vec<Arc<dyn Traced>>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_in_words() {
        let chain =
            |last: &str| vec!["lambda:0:arn:aws:lambda:us-east-1:123456789012:function:g".to_owned(), last.to_owned()];
        let function = "arn:aws:lambda:us-east-1:123456789012:function:f";
        for (last, words) in [
            (format!("lambda:1-2:{function}"), format!("caused by invocation 1-2 of {function}")),
            ("events:3:rule".to_owned(), "caused by event 3, by rule".to_owned()),
            ("unknown".to_owned(), "caused by unknown".to_owned()),
        ] {
            assert_eq!(caused_by(&chain(&last)), Some(words));
        }
        assert_eq!(caused_by(&[]), None);
        assert!(is_caused(&chain("lambda:1:f"), "lambda:1:"));
        assert!(!is_caused(&chain("lambda:1:f"), "lambda:0:") && !is_caused(&[], "lambda:1:"));
    }
}
