//! From a topic's messages to its subscribers: the consumer of the streams of topics.
//!
//! What goes to queues arrives in the commit that moves the cursor, so exactly once, or becomes a timer in it where that fails for now (`later`); what goes to webhooks becomes an item of the outbox in it. How far a
//! message with many subscribers got is kept as the turn of the next one.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use millpond_kernel::outbox::{Outbox, Outgoing};
use millpond_kernel::streams::{Consumer, Entry, MAX_STEP_BYTES, MAX_STEP_ITEMS, Step, StepError};
use millpond_kernel::{Arrival, Delivery, chunks};
use millpond_meta::{Key, Op};
use millpond_seal::Purpose;
use millpond_types::Timestamp;
use prost::Message as _;

use crate::carrier;
use crate::envelope::{Envelope, Kind, Proof};
use crate::errors::SnsError;
use crate::later;
use crate::limits::KEPT;
use crate::message::Message;
use crate::model::{Protocol, Subscription, Topic};
use crate::rows::{self, EntryRow};
use crate::state::{Core, delivery_id};
use crate::tables;

/// The consumer's name in cursors.
pub(crate) const NAME: &str = "sns";

/// Subscriptions that are looked at together.
const MANY: usize = 256;

/// Where a large message lies: nobody else has this id.
fn chunk_id(message: u128) -> u128 {
    message ^ 0x736e_735f_6d65_7373_6167_655f_736e_735f
}

/// The changes that append a message to a topic's stream.
pub(crate) fn append(core: &Core, topic: &Topic, message: &Message) -> Result<Vec<Op>, SnsError> {
    let id = rows::id_bytes(message.id);
    let sealed = core.vault.seal(&*core.random, Purpose::Notification, &id, &message.encode());
    let sealed: Bytes = sealed.map_err(|error| SnsError::Internal(error.to_string()))?.into();
    let large = sealed.len() > chunks::CHUNK_BYTES;
    let mut ops = if large { chunks::put(chunk_id(message.id), &sealed) } else { Vec::new() };
    let chunked = if large { sealed.len() as u64 } else { 0 };
    let row = EntryRow { id, time: message.time.0, sealed: if large { Bytes::new() } else { sealed }, chunked };
    ops.push(Op::Append { stream: tables::messages(topic.id), value: rows::encode(&row) });
    Ok(ops)
}

/// What goes with an entry that is removed.
pub(crate) fn beside(value: &Bytes) -> Vec<Op> {
    let Ok(row) = EntryRow::decode(value.clone()) else { return Vec::new() };
    match (rows::id_of(&row.id), usize::try_from(row.chunked)) {
        (Some(id), Ok(length)) if length > 0 => chunks::remove(chunk_id(id), length),
        _ => Vec::new(),
    }
}

/// The message of an entry; `None` when its large part is gone, as its topic is.
pub(crate) async fn open(core: &Core, value: &Bytes) -> Result<Option<Message>, StepError> {
    let failed = |what: &str| StepError::Failed(format!("a message of a topic {what}"));
    let row = EntryRow::decode(value.clone()).map_err(|_| failed("is damaged"))?;
    let id = rows::id_of(&row.id).ok_or_else(|| failed("is damaged"))?;
    let sealed = match usize::try_from(row.chunked).unwrap_or(usize::MAX) {
        0 => row.sealed,
        length => match chunks::get(&*core.kv, chunk_id(id), length).await? {
            Some(sealed) => sealed,
            None => return Ok(None),
        },
    };
    let opened = core.vault.open(Purpose::Notification, &row.id, &sealed).map_err(|_| failed("cannot be opened"))?;
    let message = Message::decode(id, Timestamp(row.time), &opened).ok_or_else(|| failed("is damaged"))?;
    Ok(Some(message))
}

/// A message on its way to subscribers. A text is signed once, for all of them.
struct Sending<'a> {
    core: &'a Core,
    topic: &'a Topic,
    message: &'a Message,
    proofs: HashMap<String, Proof>,
}

impl<'a> Sending<'a> {
    fn new(core: &'a Core, topic: &'a Topic, message: &'a Message) -> Self {
        Self { core, topic, message, proofs: HashMap::new() }
    }

    /// What a subscriber gets: the text itself, or the document around it.
    async fn body(&mut self, to: &Subscription) -> Result<Bytes, SnsError> {
        let text = self.message.text_for(to.protocol.as_str());
        if to.is_raw() && to.protocol != Protocol::Lambda {
            return Ok(text.to_owned().into());
        }
        let (topic, message) = (self.topic, self.message);
        let envelope = Envelope {
            kind: Kind::Notification,
            id: message.id,
            topic_arn: topic.arn.as_str(),
            subject: message.subject.as_deref(),
            text,
            time: message.time,
            token: None,
        };
        if !self.proofs.contains_key(text) {
            let proof = self.core.keeper.prove(&envelope, topic.signature_version(), self.core.base()).await?;
            self.proofs.insert(text.to_owned(), proof);
        }
        let proof = self.proofs.get(text).ok_or_else(|| SnsError::Internal("a signature is missing".to_owned()))?;
        let end = unsubscribe_url(self.core.base(), to);
        if to.protocol == Protocol::Lambda {
            return Ok(envelope.event(proof, &to.arn, &end, &message.attributes).into());
        }
        Ok(envelope.document(proof, Some(&end), &message.attributes).into())
    }

    /// The changes by which the message reaches a subscriber.
    async fn deliver(&mut self, to: &Subscription) -> Result<Arrival, StepError> {
        let failed = |error: SnsError| StepError::Failed(error.to_string());
        let body = self.body(to).await.map_err(failed)?;
        match to.protocol {
            Protocol::Sqs | Protocol::Lambda => self.to_ours(to, body).await,
            Protocol::Http | Protocol::Https => {
                let post = carrier::notification(self.topic, to, self.message, body);
                let what = carrier::seal(self.core, &post).map_err(failed)?;
                let key = match &self.message.group {
                    Some(group) => Bytes::copy_from_slice(group.as_bytes()),
                    None => rows::id_bytes(self.message.id),
                };
                let item = Outgoing {
                    id: delivery_id(self.message.id, to.id),
                    owner: carrier::OWNER,
                    lane: rows::id_bytes(to.id),
                    key,
                    what,
                    time: self.message.time,
                    event: self.message.event.clone(),
                };
                Ok(Arrival { conds: Vec::new(), ops: Outbox::put(&item) })
            }
        }
    }

    /// To a target of this server: a queue or a function.
    async fn to_ours(&self, to: &Subscription, body: Bytes) -> Result<Arrival, StepError> {
        let message = self.message;
        let delivery = Delivery {
            id: delivery_id(message.id, to.id),
            body,
            attributes: if to.is_raw() { message.attributes.clone() } else { Vec::new() },
            group: message.group.clone(),
            dedup: None,
            time: message.time,
            causes: message.causes.clone(),
            event: message.event.clone(),
        };
        later::to_queue(self.core, self.topic, to, &delivery).await
    }
}

/// The link with which a subscription is ended.
pub(crate) fn unsubscribe_url(base: &str, of: &Subscription) -> String {
    format!("{base}/?Action=Unsubscribe&SubscriptionArn={}&Token={}", of.arn, of.token)
}

/// A step that is being worked out, with what it weighs.
#[derive(Default)]
struct Weighed {
    step: Step,
    bytes: usize,
}

impl Weighed {
    /// Adds what arrives; `false` when there is no room for it, or it must come after what the step holds.
    fn add(&mut self, arrival: Arrival) -> bool {
        let weight = Step { ops: arrival.ops, ..Step::default() };
        let bytes = weight.bytes();
        let items = self.step.ops.len() + weight.ops.len();
        // The first one has room, whatever it weighs.
        if !self.step.ops.is_empty() && (self.bytes + bytes > MAX_STEP_BYTES || items > MAX_STEP_ITEMS) {
            return false;
        }
        let added = self.step.arrive(Arrival { conds: arrival.conds, ops: weight.ops });
        self.bytes += if added { bytes } else { 0 };
        added
    }
}

/// The consumer.
pub(crate) struct FanOut(pub(crate) Arc<Core>);

impl FanOut {
    /// Delivers one message from a turn on; `Some` is the turn of the first that found no room.
    async fn message(
        &self,
        topic: &Topic,
        message: &Message,
        from: u32,
        weighed: &mut Weighed,
    ) -> Result<Option<u32>, StepError> {
        let mut sending = Sending::new(&self.0, topic, message);
        let mut next = from;
        loop {
            let some = self.0.maps().subscribers(topic.id).map(|all| all.from(next, MANY)).unwrap_or_default();
            let Some(last) = some.last() else { return Ok(None) };
            next = last.facts.turn + 1;
            for to in &some {
                let wanted = to.filter.as_ref().is_none_or(|filter| filter.wants(message, to.protocol.as_str()));
                if wanted && !weighed.add(sending.deliver(to).await?) {
                    return Ok(Some(to.facts.turn));
                }
            }
        }
    }

    async fn work_out(&self, stream: &Key, entries: &[Entry], within: u32) -> Result<Step, StepError> {
        let topic = tables::topic_of_stream(stream).and_then(|id| self.0.maps().by_id(id).cloned());
        let Some(topic) = topic else { return Ok(Step { done: entries.len(), ..Step::default() }) };
        let mut weighed = Weighed::default();
        let mut from = within;
        for entry in entries {
            if let Some(message) = open(&self.0, &entry.value).await?
                && let Some(turn) = self.message(&topic, &message, from, &mut weighed).await?
            {
                weighed.step.within = turn;
                return Ok(weighed.step);
            }
            weighed.step.done += 1;
            from = 0;
        }
        Ok(weighed.step)
    }
}

impl Consumer for FanOut {
    fn name(&self) -> &'static str {
        NAME
    }

    fn table(&self) -> u8 {
        tables::MESSAGES
    }

    fn step<'a>(
        &'a self,
        stream: &'a Key,
        entries: &'a [Entry],
        within: u32,
    ) -> BoxFuture<'a, Result<Step, StepError>> {
        self.work_out(stream, entries, within).boxed()
    }

    fn time_of(&self, value: &Bytes) -> Option<Timestamp> {
        EntryRow::decode(value.clone()).ok().map(|row| Timestamp(row.time))
    }

    fn keep(&self) -> Option<Duration> {
        Some(KEPT)
    }

    fn beside(&self, value: &Bytes) -> Vec<Op> {
        beside(value)
    }
}
