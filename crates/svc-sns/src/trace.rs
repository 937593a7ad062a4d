//! What `millpond trace` is told of a message of a topic: which subscriptions it is for or why not, and what became of each delivery.

use std::ops::Bound;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use millpond_kernel::trace::{Asked, Kept, Line, Outcome, Traced, caused_by, is_caused, kept, time_text};
use millpond_meta::key::prefix_end;
use millpond_meta::{Position, ReadError, Scan};
use millpond_types::Timestamp;
use prost::Message as _;

use crate::fanout;
use crate::message::Message;
use crate::model::{Protocol, Subscription, Topic};
use crate::names::{parse_uuid, uuid};
use crate::rows::{self, EntryRow};
use crate::state::{Core, delivery_id};
use crate::tables;

/// Messages of a topic that are looked through, the newest first.
const MAX_LOOKED_AT: usize = 50_000;
/// Subscriptions that are shown.
const MAX_SHOWN: usize = 500;
/// Messages of a topic that are told of that somebody published, the newest ones.
const MAX_CAUSED: usize = 20;
const PAGE: usize = 500;

/// The service as it is asked.
pub(crate) struct Tracing(pub Arc<Core>);

fn failed(error: &dyn std::fmt::Display) -> ReadError {
    ReadError::Failed(error.to_string())
}

impl Tracing {
    async fn of_message(&self, id: &str) -> Result<Vec<Line>, ReadError> {
        let mut lines = Vec::new();
        let Some(id) = parse_uuid(&id.to_ascii_lowercase()) else { return Ok(lines) };
        let topics: Vec<Arc<Topic>> = self.0.maps().all_topics().cloned().collect();
        for topic in topics {
            if let Some((position, message)) = self.find(&topic, id).await? {
                lines.extend(self.on_topic(&topic, position, &message).await?);
            }
        }
        Ok(lines)
    }

    /// The message of an id, if the topic still has it.
    async fn find(&self, topic: &Topic, id: u128) -> Result<Option<(Position, Message)>, ReadError> {
        let (stream, id) = (tables::messages(topic.id), rows::id_bytes(id));
        let from = Bound::Included(stream.clone());
        let mut to = Bound::Excluded(prefix_end(&stream));
        for _ in 0..MAX_LOOKED_AT / PAGE {
            let scan = Scan { from: from.clone(), to: to.clone(), reverse: true, limit: PAGE };
            let page = self.0.kv.scan(scan).await?;
            let here = |value: &bytes::Bytes| EntryRow::decode(value.clone()).is_ok_and(|row| row.id == id);
            if let Some((key, value)) = page.iter().find(|(_, value)| here(value)) {
                let message = fanout::open(&self.0, value).await.map_err(|error| failed(&error))?;
                return Ok(Position::from_key(key).zip(message));
            }
            match page.last() {
                Some((last, _)) if page.len() == PAGE => to = Bound::Excluded(last.clone()),
                _ => break,
            }
        }
        Ok(None)
    }

    /// The messages that somebody published, the newest last.
    async fn of_cause(&self, cause: &str, since: Timestamp) -> Result<Vec<Line>, ReadError> {
        let topics: Vec<Arc<Topic>> = self.0.maps().all_topics().cloned().collect();
        let mut lines = Vec::new();
        for topic in topics {
            for (position, message) in self.caused(&topic, cause, since).await?.into_iter().rev() {
                lines.extend(self.on_topic(&topic, position, &message).await?);
            }
        }
        Ok(lines)
    }

    /// The newest messages of a topic that somebody published, none of before `since`; the newest first.
    async fn caused(
        &self,
        topic: &Topic,
        cause: &str,
        since: Timestamp,
    ) -> Result<Vec<(Position, Message)>, ReadError> {
        let stream = tables::messages(topic.id);
        let from = Bound::Included(stream.clone());
        let mut to = Bound::Excluded(prefix_end(&stream));
        let mut found = Vec::new();
        for _ in 0..MAX_LOOKED_AT / PAGE {
            let scan = Scan { from: from.clone(), to: to.clone(), reverse: true, limit: PAGE };
            let page = self.0.kv.scan(scan).await?;
            let mut old = true;
            for (key, value) in &page {
                if !EntryRow::decode(value.clone()).is_ok_and(|row| row.time >= since.0) {
                    continue;
                }
                old = false;
                let message = fanout::open(&self.0, value).await.map_err(|error| failed(&error))?;
                let message = message.filter(|message| is_caused(&message.causes, cause));
                found.extend(Position::from_key(key).zip(message));
                if found.len() == MAX_CAUSED {
                    return Ok(found);
                }
            }
            match page.last() {
                Some((last, _)) if page.len() == PAGE && !old => to = Bound::Excluded(last.clone()),
                _ => break,
            }
        }
        Ok(found)
    }

    async fn on_topic(&self, topic: &Topic, position: Position, message: &Message) -> Result<Vec<Line>, ReadError> {
        let core = &self.0;
        let done = core.consumers.floor(&tables::messages(topic.id)).is_some_and(|floor| floor >= position);
        let state = if done { "handed on" } else { "waits to be handed on" };
        let (id, time) = (uuid(message.id), time_text(message.time));
        let about = Some(Asked::Message(id.clone()));
        let first = Line::new(0, format!("topic {}: message {id} came at {time}: {state}", topic.arn));
        let mut lines = vec![Line { about, ..first }];
        lines.extend(caused_by(&message.causes).map(|words| Line::new(1, words)));
        let attempts = kept(&*core.kv, &message.event).await?;
        let (all, some) = {
            let maps = core.maps();
            let of = maps.subscribers(topic.id);
            (of.map_or(0, |of| of.len()), of.map(|of| of.after(None).take(MAX_SHOWN).cloned().collect::<Vec<_>>()))
        };
        let some = some.unwrap_or_default();
        if some.is_empty() {
            lines.push(Line::new(1, "the topic has no subscriptions"));
        }
        for to in &some {
            lines.extend(subscribed(to, message, done, &attempts));
        }
        if all > some.len() {
            lines.push(Line::new(1, format!("and {} more subscriptions", all - some.len())));
        }
        Ok(lines)
    }
}

/// What became of a message for one subscription.
fn subscribed(to: &Subscription, message: &Message, done: bool, attempts: &[Kept]) -> Vec<Line> {
    let id = delivery_id(message.id, to.id);
    let own: Vec<_> = attempts.iter().filter(|kept| kept.id == id).collect();
    let title = format!("subscription {} to {}", to.arn, to.facts.endpoint);
    let line = |text: &str| Line::new(1, format!("{title}: {text}"));
    if own.is_empty() {
        if to.is_pending() {
            return vec![line("is not confirmed")];
        }
        if let Some(why) = to.filter.as_ref().and_then(|filter| filter.misfit(message, to.protocol.as_str())) {
            return vec![line(&format!("did not match: {why}"))];
        }
        if Timestamp(to.facts.created) > message.time && done {
            return vec![line("was made after the message came")];
        }
        if !done {
            return vec![line("matched, and waits")];
        }
    }
    let (state, queued) = match (own.last().map(|kept| kept.outcome), to.protocol) {
        (Some(Outcome::Again { .. }), _) => ("matched, and waits for another attempt", false),
        (Some(Outcome::Dropped), _) => ("matched, and was given up", false),
        (Some(Outcome::DeadLettered), _) => ("matched, and was sent to the dead-letter queue", true),
        (None, Protocol::Http | Protocol::Https) => ("matched, and waits for its first attempt", false),
        (Some(Outcome::Delivered), Protocol::Http | Protocol::Https) => ("matched, delivered", false),
        (None | Some(Outcome::Delivered), Protocol::Sqs | Protocol::Lambda) => ("matched, delivered", true),
    };
    let mut first = line(state);
    if queued {
        first.text.push_str(&format!(" as message {}", uuid(id)));
        first.then.push(Asked::Message(uuid(id)));
    }
    std::iter::once(first).chain(own.into_iter().map(|kept| Line::new(2, kept.words()))).collect()
}

impl Traced for Tracing {
    fn trace<'a>(&'a self, asked: &'a Asked) -> BoxFuture<'a, Result<Vec<Line>, ReadError>> {
        async move {
            match asked {
                Asked::Message(id) => self.of_message(id).await,
                Asked::Caused { cause, since } => self.of_cause(cause, *since).await,
                // An event has the ids of other services: what they deliver, they ask about as a message.
                Asked::Object { .. } | Asked::Event(_) | Asked::Resource(_) => Ok(Vec::new()),
            }
        }
        .boxed()
    }
}
