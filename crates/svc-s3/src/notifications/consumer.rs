//! The reader of the buckets' journals: each change is rendered and delivered to whom it concerns, in the order of the journal, and the deliveries are committed
//! together with the cursor. So each acknowledged change arrives once, and the changes of a key in their order.
//!
//! What is in effect at an entry is the configuration that stood there: the journal's own entries of its changes carry it along. A change that was
//! acknowledged before a configuration was taken away is still told, and one from before it was put is not.

use std::borrow::Cow;
use std::cell::LazyCell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use millpond_digest::Md5;
use millpond_io::{Clock, Random};
use millpond_kernel::streams::{Consumer, Consumers, Entry, MAX_STEP_BYTES, MAX_STEP_ITEMS, Step, StepError};
use millpond_kernel::timers::{Alarm, Timer, Timers};
use millpond_kernel::trace::{self, Attempted, Outcome};
use millpond_kernel::{Arrival, Caller, Delivery, Kernel, Rejection, ServiceCall, ServiceIdentity};
use millpond_lake::{
    ChangeEntry, ChangeKind, ConfigKind, LakeError, MAX_BUCKETS, announced, bucket_of_journal, tables,
};
use millpond_meta::{Key, Kv, Op, Position};
use millpond_seal::{Envelope, Purpose, Vault};
use millpond_types::{AccountId, Arn, RequestId, Timestamp};
use prost::Message;

use crate::encryption::PRINCIPAL;
use crate::notifications::Notifications;
use crate::notifications::events::Events;
use crate::notifications::render::{self, Place};

/// The consumer's name in cursors, and the owner's of its timers.
pub const NAME: &str = "s3-notifications";
/// Bytes that an arrival adds to a step besides the message, at most: rows of a queue, a topic or a bus.
const ARRIVAL: usize = 1024;
/// When a delivery that failed for now is tried again; after that as the clockwork does.
const RETRY: Duration = Duration::from_secs(1);
/// The number of the attempt that ended a failure, in traces: those in between are not counted.
const LATER: u32 = 2;

/// What the reader works with.
pub struct AnnouncerParts {
    /// Decides, and knows the destinations.
    pub kernel: Arc<Kernel>,
    /// Where the journals lie.
    pub kv: Arc<dyn Kv>,
    /// All readers of streams.
    pub consumers: Consumers,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Ids of calls.
    pub random: Arc<dyn Random>,
    /// Seals what waits.
    pub vault: Arc<Vault>,
    /// How the server names itself in `x-amz-id-2`.
    pub host_id: String,
}

/// The reader. Clones share everything.
#[derive(Clone)]
pub struct Announcer(Arc<Inner>);

struct Inner {
    parts: AnnouncerParts,
    place: Place,
    identity: ServiceIdentity,
    envelope: Envelope,
    /// Configurations that were read last, by bucket, with their rows.
    known: Mutex<HashMap<u64, (Bytes, Arc<Notifications>)>>,
    lost: AtomicU64,
}

/// A delivery that waits to be tried again. A tag never changes its meaning.
#[derive(Clone, PartialEq, Message)]
struct RetryRow {
    #[prost(string, tag = "1")]
    to: String,
    #[prost(string, tag = "2")]
    bucket: String,
    #[prost(string, tag = "3")]
    owner: String,
    #[prost(bytes = "bytes", tag = "4")]
    id: Bytes,
    #[prost(bytes = "bytes", tag = "5")]
    body: Bytes,
    #[prost(string, repeated, tag = "6")]
    causes: Vec<String>,
    #[prost(string, tag = "7")]
    event: String,
    #[prost(bytes = "bytes", tag = "8")]
    request_id: Bytes,
    /// The body, sealed for the id. It was not always.
    #[prost(bytes = "bytes", tag = "9")]
    sealed: Bytes,
}

/// How far a change was told of.
enum Told {
    /// To whom it concerns, in at most so many bytes.
    All { bytes: usize },
    /// To those before this one, which must wait for the next step.
    Before(u32),
}

/// A message on its way.
struct Outgoing<'a> {
    to: &'a Arn,
    bucket: &'a str,
    owner: AccountId,
    request_id: RequestId,
    delivery: Delivery,
}

fn unreadable(error: LakeError) -> StepError {
    StepError::Failed(error.to_string())
}

/// An id that is the same whenever it is made of the same.
fn stable(parts: &[&[u8]]) -> u128 {
    let mut all = Vec::with_capacity(128);
    for part in parts {
        all.extend_from_slice(&(part.len() as u64).to_be_bytes());
        all.extend_from_slice(part);
    }
    u128::from_be_bytes(Md5::of(&all).0)
}

/// The id of an event's delivery.
pub(crate) fn delivery_id(event: &str, to: &Arn) -> u128 {
    stable(&[event.as_bytes(), to.as_str().as_bytes()])
}

/// The id of the event that a change is, as a UUID (RFC 9562, in the form of version 8).
pub(crate) fn event_id(bucket: u64, position: Position) -> String {
    let bits = stable(&[NAME.as_bytes(), &bucket.to_be_bytes(), &position.to_bytes()]);
    let bits = (bits & !(0xF000 << 64) & !(0xC000 << 48)) | (0x8000 << 64) | (0x8000 << 48);
    let hex = format!("{bits:032x}");
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

impl Announcer {
    /// A reader, to be added to the consumers and to the timers.
    pub fn new(parts: AnnouncerParts) -> Self {
        let place = Place { region: parts.kernel.region().to_string(), host_id: parts.host_id.clone() };
        let identity = parts.kernel.register(PRINCIPAL);
        let envelope = Envelope::new(parts.vault.clone(), parts.random.clone(), Purpose::Announcement);
        Self(Arc::new(Inner { parts, place, identity, envelope, known: Mutex::default(), lost: AtomicU64::new(0) }))
    }

    /// Messages that their destinations will never take, since the start.
    pub fn lost(&self) -> u64 {
        self.0.lost.load(Ordering::Relaxed)
    }

    pub(crate) fn parts(&self) -> &AnnouncerParts {
        &self.0.parts
    }

    pub(crate) fn place(&self) -> &Place {
        &self.0.place
    }

    /// S3 itself, calling for a bucket.
    pub(crate) fn caller(&self, bucket: &str, owner: AccountId, request_id: RequestId) -> Caller {
        let call = ServiceCall {
            source_arn: Some(Arn::s3(bucket, None)),
            source_account: Some(owner),
            request_id,
            now: self.0.parts.clock.now(),
            causes: Vec::new(),
        };
        Caller::of_service(&self.0.identity, call)
    }

    /// The default bus of an account.
    pub(crate) fn bus(&self, owner: AccountId) -> Arn {
        Arn::new("events", &self.0.place.region, owner.as_str(), "event-bus/default")
    }

    /// A message that has an id for its destination.
    pub(crate) fn delivery(&self, to: &Arn, event: String, body: String, causes: Vec<String>) -> Delivery {
        Delivery {
            id: delivery_id(&event, to),
            body: body.into(),
            attributes: Vec::new(),
            group: None,
            dedup: None,
            time: self.0.parts.clock.now(),
            causes,
            event,
        }
    }

    /// What a row says; nothing where it is empty.
    fn read(&self, bucket: u64, row: &Bytes) -> Result<Option<Arc<Notifications>>, StepError> {
        if row.is_empty() {
            return Ok(None);
        }
        let mut known = self.0.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, notifications)) = known.get(&bucket).filter(|(read, _)| read == row) {
            return Ok(Some(Arc::clone(notifications)));
        }
        let read = Notifications::read(row)
            .ok_or_else(|| StepError::Failed("a notification configuration cannot be read".into()))?;
        if known.len() >= MAX_BUCKETS {
            known.clear();
        }
        let read = Arc::new(read);
        known.insert(bucket, (row.clone(), Arc::clone(&read)));
        Ok(Some(read))
    }

    async fn consume(&self, stream: &Key, entries: &[Entry], within: u32) -> Result<Step, StepError> {
        let bucket = bucket_of_journal(stream).ok_or_else(|| StepError::Failed("no journal of a bucket".into()))?;
        let row = self.0.parts.kv.get(&announced(bucket)).await?.unwrap_or_default();
        let mut current = self.read(bucket, &row)?;
        let (mut step, mut bytes, mut from) = (Step::default(), 0, within);
        for entry in entries {
            if bytes >= MAX_STEP_BYTES || step.ops.len() >= MAX_STEP_ITEMS {
                break;
            }
            let change = ChangeEntry::read(entry.position, &entry.value).map_err(unreadable)?;
            match (&change.config, change.kind, &current) {
                (Some((ConfigKind::Notifications, row)), _, _) => {
                    current = self.read(bucket, row)?;
                    step.ops.push(Op::Put(announced(bucket), row.clone()));
                }
                (_, ChangeKind::BucketDeleted, _) => {
                    current = None;
                    step.ops.push(Op::Delete(announced(bucket)));
                }
                (_, _, Some(current)) => match self.announce(&mut step, bucket, &change, current, from).await {
                    Told::All { bytes: more } => bytes += more,
                    Told::Before(next) => {
                        step.within = next;
                        return Ok(step);
                    }
                },
                _ => {}
            }
            (step.done, from) = (step.done + 1, 0);
        }
        Ok(step)
    }

    /// Tells of a change whom it concerns and who was not told of it yet.
    async fn announce(
        &self,
        step: &mut Step,
        bucket: u64,
        change: &ChangeEntry,
        now: &Notifications,
        from: u32,
    ) -> Told {
        let nobody = Told::All { bytes: 0 };
        let Some(event) = change.kind.event() else { return nobody };
        let Some(kind) = Events::named(&format!("s3:{event}")) else { return nobody };
        let rules = now.rules.iter().filter(|rule| rule.fits(kind, &change.key));
        let (owner, place) = (now.owner, self.place());
        let (mut bytes, id) = (0, LazyCell::new(|| event_id(bucket, change.position)));
        let mut all: Vec<(Cow<'_, Arn>, String)> = rules
            .map(|rule| (Cow::Borrowed(&rule.arn), render::record(change, event, &rule.id, owner, place)))
            .collect();
        if now.bridge
            && let Some(body) = render::bus_event(change, &id, owner, place)
        {
            all.push((Cow::Owned(self.bus(owner)), body));
        }
        for (number, (to, body)) in (0..).zip(all).skip(from as usize) {
            bytes += body.len() + ARRIVAL;
            let delivery = self.delivery(&to, id.clone(), body, change.causes.clone());
            let caller = self.caller(&change.bucket, owner, change.request_id);
            let outgoing = Outgoing { to: &to, bucket: &change.bucket, owner, request_id: change.request_id, delivery };
            if !self.deliver(step, outgoing, &caller).await {
                return Told::Before(number);
            }
        }
        Told::All { bytes }
    }

    /// Adds a message; `false` when it must wait for the next step.
    async fn deliver(&self, step: &mut Step, outgoing: Outgoing<'_>, caller: &Caller) -> bool {
        let Outgoing { to, bucket, owner, request_id, delivery } = outgoing;
        match self.0.parts.kernel.targets().arrive(to, caller, &delivery).await {
            Ok(arrival) => return step.arrive(arrival),
            Err(Rejection::Failed(why)) => {
                tracing::warn!(bucket, destination = %to, why, "a notification could not be delivered; it is tried again");
                let id = Bytes::copy_from_slice(&delivery.id.to_be_bytes());
                let Ok(sealed) = self.0.envelope.seal(&id, &delivery.body) else {
                    tracing::error!(bucket, destination = %to, "a notification that waits could not be sealed");
                    return false;
                };
                let row = RetryRow {
                    to: to.to_string(),
                    bucket: bucket.to_owned(),
                    owner: owner.to_string(),
                    id,
                    body: Bytes::new(),
                    sealed: sealed.into(),
                    causes: delivery.causes,
                    event: delivery.event,
                    request_id: Bytes::copy_from_slice(&request_id.0.to_be_bytes()),
                };
                let now = self.0.parts.clock.now();
                step.ops.push(Timers::set(now.plus(RETRY), NAME, &row.id.clone(), row.encode_to_vec().into()));
                let millis = u64::try_from(RETRY.as_millis()).unwrap_or(u64::MAX);
                let (event, target, answer) = (row.event.as_str(), to.as_str(), why.as_str());
                let outcome = Outcome::Again { millis };
                let attempt = Attempted { event, id: delivery.id, target, tried: 1, answer, outcome };
                step.ops.extend(trace::attempted(&attempt, now));
            }
            Err(rejection) => step.ops.extend(self.lose(bucket, to, &delivery, 1, &rejection)),
        }
        true
    }

    /// Counts what will never be taken, and keeps for a day why.
    fn lose(&self, bucket: &str, to: &Arn, delivery: &Delivery, tried: u32, rejection: &Rejection) -> Vec<Op> {
        let before = self.0.lost.fetch_add(1, Ordering::Relaxed);
        // Not a line for each: where a destination is gone, all of a bucket's messages are.
        if before == 0 || before.ilog2() != (before + 1).ilog2() {
            tracing::error!(bucket, destination = %to, %rejection, lost = before + 1, "a notification will never be taken and is given up");
        }
        let attempt = Attempted {
            event: &delivery.event,
            id: delivery.id,
            target: to.as_str(),
            tried,
            answer: &rejection.to_string(),
            outcome: Outcome::Dropped,
        };
        trace::attempted(&attempt, self.0.parts.clock.now())
    }

    async fn retry(&self, timer: &Timer) -> Result<Arrival, StepError> {
        let damaged = || StepError::Failed("a delivery that waits cannot be read".to_owned());
        let row = RetryRow::decode(timer.value.clone()).map_err(|_| damaged())?;
        let number =
            |bytes: &Bytes| <[u8; 16]>::try_from(bytes.as_ref()).map(u128::from_be_bytes).map_err(|_| damaged());
        let (to, owner) = (Arn::parse(&row.to).ok_or_else(damaged)?, row.owner.parse().map_err(|_| damaged())?);
        let caller = self.caller(&row.bucket, owner, RequestId(number(&row.request_id)?));
        let body = match row.sealed.is_empty() {
            true => row.body,
            false => self.0.envelope.open(&row.id, &row.sealed).map_err(|_| damaged())?.into(),
        };
        let delivery = Delivery {
            id: number(&row.id)?,
            body,
            attributes: Vec::new(),
            group: None,
            dedup: None,
            time: self.0.parts.clock.now(),
            causes: row.causes,
            event: row.event,
        };
        match self.0.parts.kernel.targets().arrive(&to, &caller, &delivery).await {
            Ok(mut arrival) => {
                let (event, id, target) = (delivery.event.as_str(), delivery.id, to.as_str());
                let (answer, outcome) = ("taken after it had failed", Outcome::Delivered);
                let attempt = Attempted { event, id, target, tried: LATER, answer, outcome };
                arrival.ops.extend(trace::attempted(&attempt, self.0.parts.clock.now()));
                Ok(arrival)
            }
            Err(Rejection::Failed(why)) => Err(StepError::Failed(why)),
            Err(rejection) => {
                let ops = self.lose(&row.bucket, &to, &delivery, LATER, &rejection);
                Ok(Arrival { ops, ..Arrival::default() })
            }
        }
    }
}

impl Consumer for Announcer {
    fn name(&self) -> &'static str {
        NAME
    }

    fn table(&self) -> u8 {
        tables::JOURNAL
    }

    fn step<'a>(
        &'a self,
        stream: &'a Key,
        entries: &'a [Entry],
        within: u32,
    ) -> BoxFuture<'a, Result<Step, StepError>> {
        self.consume(stream, entries, within).boxed()
    }

    fn time_of(&self, value: &Bytes) -> Option<Timestamp> {
        ChangeEntry::time_of(value)
    }

    /// The lake trims its journals.
    fn keep(&self) -> Option<Duration> {
        None
    }
}

impl Alarm for Announcer {
    fn owner(&self) -> &'static str {
        NAME
    }

    fn fire<'a>(&'a self, timer: &'a Timer) -> BoxFuture<'a, Result<Arrival, StepError>> {
        self.retry(timer).boxed()
    }
}
