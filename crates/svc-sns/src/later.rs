//! To queues: each delivery for itself. One that fails for now, as its queue is damaged or its dead-letter queue is, waits in a timer of its own and holds up neither
//! its topic nor other subscribers (SNS Developer Guide, "Amazon SNS message delivery retries", for endpoints that AWS manages).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use millpond_kernel::streams::StepError;
use millpond_kernel::timers::{Alarm, Timer, Timers};
use millpond_kernel::trace::{self, Attempted, Outcome};
use millpond_kernel::{Arrival, Delivery, Rejection, chunks};
use millpond_meta::Op;
use millpond_seal::Purpose;
use millpond_types::{Arn, Timestamp};
use prost::Message as _;

use crate::errors::SnsError;
use crate::limits::{LONGEST_PAUSE, MAX_AGE};
use crate::message::{attribute_rows, attributes_of};
use crate::model::{Subscription, Topic};
use crate::rows::{self, DeliveryRow, LaterRow};
use crate::state::Core;

/// Owner of the timers; never changed.
const OWNER: &str = "sns-deliveries";

/// What became of deliveries to queues since the start.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ToQueues {
    /// Attempts that failed for now.
    pub retried: u64,
    /// Deliveries that went to a dead-letter queue.
    pub dead_lettered: u64,
    /// Deliveries that were given up for good.
    pub dropped: u64,
}

#[derive(Default)]
pub(crate) struct Counters {
    retried: AtomicU64,
    dead_lettered: AtomicU64,
    dropped: AtomicU64,
}

impl Counters {
    pub fn read(&self) -> ToQueues {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        ToQueues { retried: of(&self.retried), dead_lettered: of(&self.dead_lettered), dropped: of(&self.dropped) }
    }
}

/// Attempts that were made before.
#[derive(Clone, Copy, Default)]
struct Tried<'a> {
    before: u32,
    first: Option<Timestamp>,
    /// As they are kept.
    row: Option<&'a LaterRow>,
}

/// Where a large delivery lies: nobody else has this id.
fn chunk_id(delivery: u128) -> u128 {
    delivery ^ 0x736e_735f_6c61_7465_725f_736e_735f_5f5f
}

/// How long to wait after so many attempts: doubled from a second on, of which some is left to chance.
fn back_off(random: u64, tried: u32) -> Duration {
    let most = Duration::from_secs(1 << tried.min(12)).min(LONGEST_PAUSE);
    most * u32::try_from(500 + random % 501).unwrap_or(1000) / 1000
}

/// The changes by which a delivery reaches a queue, is tried again later, or is given up.
pub(crate) async fn to_queue(
    core: &Core,
    topic: &Topic,
    to: &Subscription,
    delivery: &Delivery,
) -> Result<Arrival, StepError> {
    Ok(attempt(core, topic, to, delivery, Tried::default()).await?.0)
}

/// The changes, and whether it is tried again.
async fn attempt(
    core: &Core,
    topic: &Topic,
    to: &Subscription,
    delivery: &Delivery,
    tried: Tried<'_>,
) -> Result<(Arrival, bool), StepError> {
    let now = core.clock.now();
    let told = |answer: &str, outcome: Outcome| {
        let (event, target) = (delivery.event.as_str(), to.facts.endpoint.as_str());
        trace::attempted(&Attempted { event, id: delivery.id, target, tried: tried.before + 1, answer, outcome }, now)
    };
    let caller = core.as_topic(topic, &delivery.causes);
    let Some(queue) = Arn::parse(&to.facts.endpoint) else { return Ok((Arrival::default(), false)) };
    let rejection = match core.arrive(&queue, &caller, delivery).await {
        Ok(mut arrival) => {
            if tried.before > 0 {
                arrival.ops.extend(told("", Outcome::Delivered));
            }
            return Ok((arrival, false));
        }
        Err(rejection) => rejection,
    };
    let over = tried.first.is_some_and(|first| now.since(first) > MAX_AGE);
    if !rejection.is_final() && !over {
        return again(core, topic, to, delivery, (tried, &rejection), &told);
    }
    // What is final will not do better later (same guide, "Amazon SNS dead-letter queues": client errors are not retried).
    let dead = match &to.dead {
        Some(dead) => match core.arrive(dead, &caller, delivery).await {
            Ok(arrival) => Some(arrival),
            Err(failed) if !failed.is_final() && !over => {
                return again(core, topic, to, delivery, (tried, &failed), &told);
            }
            Err(_) => None,
        },
        None => None,
    };
    let (mut arrival, outcome) = match dead {
        Some(arrival) => {
            core.counters.dead_lettered.fetch_add(1, Ordering::Relaxed);
            (arrival, Outcome::DeadLettered)
        }
        None => {
            core.counters.dropped.fetch_add(1, Ordering::Relaxed);
            tracing::error!(subscription = to.arn, %rejection, event = delivery.event, "a message was dropped: the queue does not take it");
            (Arrival::default(), Outcome::Dropped)
        }
    };
    arrival.ops.extend(told(&rejection.to_string(), outcome));
    Ok((arrival, false))
}

/// The changes by which a delivery is tried again.
fn again(
    core: &Core,
    topic: &Topic,
    to: &Subscription,
    delivery: &Delivery,
    (tried, why): (Tried<'_>, &Rejection),
    told: &dyn Fn(&str, Outcome) -> Vec<Op>,
) -> Result<(Arrival, bool), StepError> {
    let now = core.clock.now();
    let mut ops = Vec::new();
    let mut row = match tried.row {
        Some(row) => row.clone(),
        None => kept(core, topic, to, delivery, &mut ops).map_err(|error| StepError::Failed(error.to_string()))?,
    };
    row.tried = tried.before.saturating_add(1);
    row.first = tried.first.unwrap_or(now).0;
    let pause = back_off(core.random.u64(), row.tried);
    let due = core.timers.due(now.plus(pause));
    ops.push(Timers::set(due, OWNER, &rows::id_bytes(delivery.id), rows::encode(&row)));
    let millis = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
    ops.extend(told(&why.to_string(), Outcome::Again { millis }));
    core.counters.retried.fetch_add(1, Ordering::Relaxed);
    tracing::warn!(subscription = to.arn, %why, event = delivery.event, "a message did not reach its queue for now; it is tried again");
    Ok((Arrival { conds: Vec::new(), ops }, true))
}

/// The delivery as it is kept for the next attempts: sealed, as messages are.
fn kept(
    core: &Core,
    topic: &Topic,
    to: &Subscription,
    delivery: &Delivery,
    ops: &mut Vec<Op>,
) -> Result<LaterRow, SnsError> {
    let row = DeliveryRow {
        topic: rows::id_bytes(topic.id),
        subscription: rows::id_bytes(to.id),
        body: delivery.body.clone(),
        attributes: attribute_rows(&delivery.attributes),
        group: delivery.group.clone(),
        time: delivery.time.0,
        causes: delivery.causes.clone(),
        event: delivery.event.clone(),
    };
    let context = rows::id_bytes(delivery.id);
    let sealed = core.vault.seal(&*core.random, Purpose::Notification, &context, &row.encode_to_vec());
    let sealed: Bytes = sealed.map_err(|error| SnsError::Internal(error.to_string()))?.into();
    if sealed.len() <= chunks::CHUNK_BYTES {
        return Ok(LaterRow { sealed, ..LaterRow::default() });
    }
    ops.extend(chunks::put(chunk_id(delivery.id), &sealed));
    Ok(LaterRow { chunked: sealed.len() as u64, ..LaterRow::default() })
}

/// Tries again.
pub(crate) struct Later(pub(crate) Arc<Core>);

impl Later {
    async fn open(&self, timer: &Timer, row: &LaterRow) -> Result<Option<(u128, DeliveryRow)>, StepError> {
        let core = &self.0;
        let Some(id) = rows::id_of(&timer.id) else { return Ok(None) };
        let sealed = match usize::try_from(row.chunked).unwrap_or(usize::MAX) {
            0 => row.sealed.clone(),
            length => match chunks::get(&*core.kv, chunk_id(id), length).await? {
                Some(sealed) => sealed,
                None => return Ok(None),
            },
        };
        let opened = core.vault.open(Purpose::Notification, &timer.id, &sealed).ok();
        Ok(opened.and_then(|opened| DeliveryRow::decode(opened.as_slice()).ok()).map(|kept| (id, kept)))
    }

    async fn try_again(&self, timer: &Timer) -> Result<Arrival, StepError> {
        let core = &self.0;
        let opened = match LaterRow::decode(timer.value.clone()) {
            Ok(row) => self.open(timer, &row).await?.map(|(id, kept)| (row, id, kept)),
            Err(_) => None,
        };
        let Some((row, id, kept)) = opened else {
            core.counters.dropped.fetch_add(1, Ordering::Relaxed);
            tracing::error!("a message that waits for its queue is damaged; it is given up");
            return Ok(Arrival::default());
        };
        let found = rows::id_of(&kept.topic).zip(rows::id_of(&kept.subscription)).and_then(|(topic, subscription)| {
            let maps = core.maps();
            Some((Arc::clone(maps.by_id(topic)?), Arc::clone(maps.subscription(topic, subscription)?)))
        });
        // A subscription that has ended gets nothing more.
        let (mut arrival, again) = match found {
            None => (Arrival::default(), false),
            Some((topic, to)) => {
                let delivery = Delivery {
                    id,
                    body: kept.body,
                    attributes: attributes_of(kept.attributes),
                    group: kept.group,
                    dedup: None,
                    time: Timestamp(kept.time),
                    causes: kept.causes,
                    event: kept.event,
                };
                let tried = Tried { before: row.tried, first: Some(Timestamp(row.first)), row: Some(&row) };
                attempt(core, &topic, &to, &delivery, tried).await?
            }
        };
        if !again && row.chunked > 0 {
            arrival.ops.extend(chunks::remove(chunk_id(id), usize::try_from(row.chunked).unwrap_or(usize::MAX)));
        }
        Ok(arrival)
    }
}

impl Alarm for Later {
    fn owner(&self) -> &'static str {
        OWNER
    }

    fn fire<'a>(&'a self, timer: &'a Timer) -> BoxFuture<'a, Result<Arrival, StepError>> {
        self.try_again(timer).boxed()
    }
}
