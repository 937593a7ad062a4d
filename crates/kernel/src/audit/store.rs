//! Writing: changes at once, everything else in groups.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use millpond_io::{Clock, Random};
use millpond_meta::{Batch, CommitError, Kv, Op, ReadError};
use millpond_seal::{Purpose, Vault};
use millpond_types::{AccountId, Region, RequestId};
use prost::Message;
use tokio::sync::{mpsc, oneshot};

use super::call::{Call, KeyUsed, Outcome};
use super::data::{self, DataTrails};
use super::denial::Denial;
use super::keep;
use super::kept::{self, Kept};
use super::record::{self, KeyEvent, Record};
use crate::{Caller, DecodeError, Denials};

/// How long reads and uses of keys wait to be written together. A crash loses at most these.
pub const GROUP_TIME: Duration = Duration::from_millis(100);
/// Records and denials that may wait. A full queue is some tens of megabytes.
pub const QUEUE: usize = 4096;
/// How long a read waits for room in the queue before its record is given up.
pub const QUEUE_WAIT: Duration = Duration::from_millis(250);
/// Items that are written together; more are there only when writing is slow.
const GROUP: usize = 1024;
/// Bytes of one commit, well below the engine's limit.
const BATCH_BYTES: usize = 512 * 1024;
/// How often is looked whether something is too old or too much.
const TRIM_EVERY: Duration = Duration::from_secs(60);

/// A record at rest.
#[derive(Clone, PartialEq, Message)]
pub(super) struct EventRow {
    /// When the request came, in nanoseconds since 1970.
    #[prost(uint64, tag = "1")]
    pub(super) time: u64,
    #[prost(bytes = "vec", tag = "2")]
    pub(super) json: Vec<u8>,
    /// What led to the call, oldest first. Rows of older versions have none.
    #[prost(string, repeated, tag = "3")]
    pub(super) causes: Vec<String>,
}

/// Which denial came when.
#[derive(Clone, PartialEq, Message)]
pub(super) struct OrderRow {
    #[prost(uint64, tag = "1")]
    pub(super) time: u64,
    #[prost(uint64, tag = "2")]
    pub(super) bytes: u64,
    #[prost(string, tag = "3")]
    pub(super) request_id: String,
}

/// A change was made, and its record could not be written.
#[derive(Debug, thiserror::Error)]
#[error("the record of a call could not be written: {0}")]
pub struct Unrecorded(#[from] CommitError);

/// What the trail works with.
pub struct AuditParts {
    /// Where it is kept.
    pub kv: Arc<dyn Kv>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Ids of events.
    pub random: Arc<dyn Random>,
    /// Seals authorization messages.
    pub vault: Arc<Vault>,
    /// The region.
    pub region: Region,
}

/// The audit trail. Cheap to clone.
#[derive(Clone)]
pub struct Audit(Arc<Inner>);

struct Inner {
    store: Store,
    vault: Arc<Vault>,
    queue: mpsc::Sender<Item>,
    trails: OnceLock<Arc<dyn DataTrails>>,
}

/// What the tasks in the background need.
#[derive(Clone)]
struct Store {
    kv: Arc<dyn Kv>,
    random: Arc<dyn Random>,
    region: Region,
    dropped: Arc<AtomicU64>,
}

/// What waits to be written.
enum Item {
    Records(Vec<Record>),
    Data(Vec<Record>),
    KeyUse(Box<KeyEvent>),
    Denial(Box<Denial>),
    /// Tells when everything before it was written.
    Flush(oneshot::Sender<()>),
}

impl Audit {
    /// Begins. Must be called within a tokio runtime; what runs in the background ends with the last clone.
    pub fn start(parts: AuditParts) -> Self {
        let AuditParts { kv, clock, random, vault, region } = parts;
        let (queue, waiting) = mpsc::channel(QUEUE);
        let store = Store { kv, random, region, dropped: Arc::default() };
        tokio::spawn(write_groups(waiting, store.clone()));
        tokio::spawn(trim(queue.downgrade(), Arc::clone(&store.kv), clock));
        Self(Arc::new(Inner { store, vault, queue, trails: OnceLock::new() }))
    }

    /// Says who wants records of operations on data. Once, while a server is put together; nobody does before.
    pub fn use_trails(&self, trails: Arc<dyn DataTrails>) {
        let _ = self.0.trails.set(trails);
    }

    pub(super) fn trails(&self) -> Option<&Arc<dyn DataTrails>> {
        self.0.trails.get()
    }

    pub(super) fn region(&self) -> &Region {
        &self.0.store.region
    }

    pub(super) fn random(&self) -> &dyn Random {
        &*self.0.store.random
    }

    /// Writes the records of a call on data, where a trail wants them: those of changes that are not recorded by their own commits are durable when it
    /// returns, others soon will be.
    ///
    /// # Errors
    /// A change was carried out and cannot be recorded: it must not be acknowledged.
    pub async fn record_data(&self, call: &Call) -> Result<(), Unrecorded> {
        let done = matches!(call.outcome, Outcome::Done(_));
        let change = done && !data::reads(call.kind.name);
        // Of a batch, each deletion is recorded by itself, and the call besides.
        if change && call.caller.note().journaled().load(Ordering::Relaxed) && call.kind.name != "DeleteObjects" {
            return Ok(());
        }
        let records = self.data_records(call, None);
        if records.is_empty() {
            return Ok(());
        }
        if !change {
            self.queue(Item::Data(records)).await;
            return Ok(());
        }
        let mut batch = Writing::default();
        records.iter().for_each(|record| batch.data(record));
        Ok(self.0.store.commit(batch, true).await?)
    }

    pub(super) fn kv(&self) -> &dyn Kv {
        &*self.0.store.kv
    }

    /// Writes the records of a call. Those of changes are durable when it returns; others soon will be.
    ///
    /// # Errors
    /// A change was carried out and cannot be recorded: it must not be acknowledged.
    pub async fn record(&self, call: &Call) -> Result<(), Unrecorded> {
        let store = &self.0.store;
        let records = record::of_call(call, &store.region, &*store.random);
        if records.is_empty() {
            return Ok(());
        }
        if call.kind.class.prompt() {
            return self.promptly(call, &records).await;
        }
        self.queue(Item::Records(records)).await;
        Ok(())
    }

    async fn promptly(&self, call: &Call, records: &[Record]) -> Result<(), Unrecorded> {
        let mut batch = Writing::default();
        records.iter().for_each(|record| batch.record(record));
        let done = matches!(call.outcome, Outcome::Done(_));
        // What was done on a full disk freed space, or it could not have been done. What was refused there must not eat up the reserve.
        match self.0.store.commit(batch, done).await {
            Ok(()) => Ok(()),
            Err(error) if done => Err(Unrecorded(error)),
            // Nothing was changed, and the caller is told so.
            Err(error) => {
                self.0.store.gave_up(records.len() as u64, &error.to_string());
                Ok(())
            }
        }
    }

    /// Notes that a service used a key for its caller, or was not allowed to. `caller` has the service in [`Caller::via`].
    pub async fn key_use(&self, caller: &Caller, used: KeyUsed<'_>) {
        let event = KeyEvent {
            caller: caller.clone(),
            uses: used.uses,
            key_arn: used.key_arn.to_owned(),
            owner: used.owner,
            context: used.context.clone(),
            outcome: used.error.map_or(Outcome::Done(bytes::Bytes::new()), Outcome::failed),
        };
        self.queue(Item::KeyUse(Box::new(event))).await;
    }

    /// Keeps a denial, unless more of them wait than can be written.
    pub fn denied(&self, denial: Denial) {
        // Explanations are a help, not evidence: the record of the call says that it was denied.
        let _ = self.0.queue.try_send(Item::Denial(Box::new(denial)));
    }

    /// The encoded message that names the denial of a request, for its caller's account.
    pub fn message(&self, account: AccountId, request: RequestId) -> Option<String> {
        let plain = [&request.text()[..], account.as_str().as_bytes()].concat();
        let sealed = self.0.vault.seal(&*self.0.store.random, Purpose::AuthorizationMessage, b"", &plain).ok()?;
        Some(URL_SAFE_NO_PAD.encode(sealed))
    }

    /// Waits until everything that was queued is written.
    pub async fn flush(&self) {
        let (tell, told) = oneshot::channel();
        if self.0.queue.send(Item::Flush(tell)).await.is_ok() {
            // An error means that the writer is gone, and with it the runtime.
            let _ = told.await;
        }
    }

    /// Records that were given up, as the queue was full or the store failed.
    pub fn dropped(&self) -> u64 {
        self.0.store.dropped.load(Ordering::Relaxed)
    }

    /// The denial of a request.
    pub async fn kept(&self, request_id: &str) -> Result<Option<Kept>, ReadError> {
        self.flush().await;
        Kept::find(&*self.0.store.kv, request_id).await
    }

    async fn queue(&self, item: Item) {
        let item = match self.0.queue.try_send(item) {
            Ok(()) => return,
            Err(mpsc::error::TrySendError::Full(item) | mpsc::error::TrySendError::Closed(item)) => item,
        };
        if self.0.queue.send_timeout(item, QUEUE_WAIT).await.is_err() {
            self.0.store.gave_up(1, "the queue is full");
        }
    }
}

impl Denials for Audit {
    fn decode<'a>(&'a self, account: AccountId, message: &'a str) -> BoxFuture<'a, Result<String, DecodeError>> {
        async move {
            let sealed = URL_SAFE_NO_PAD.decode(message).map_err(|_| DecodeError::Invalid)?;
            let plain =
                self.0.vault.open(Purpose::AuthorizationMessage, b"", &sealed).map_err(|_| DecodeError::Invalid)?;
            let (request, owner) = plain.split_at_checked(16).ok_or(DecodeError::Invalid)?;
            if owner != account.as_str().as_bytes() {
                return Err(DecodeError::Invalid);
            }
            let request = std::str::from_utf8(request).map_err(|_| DecodeError::Invalid)?;
            let kept = self.kept(request).await.map_err(|error| DecodeError::Failed(error.to_string()))?;
            let kept = kept.ok_or(DecodeError::Invalid)?;
            Ok(kept.seen_by(account).decoded().to_string())
        }
        .boxed()
    }
}

/// A record as it is stored.
pub(super) fn row(record: &Record) -> Vec<u8> {
    EventRow { time: record.time.0, json: record.json.clone(), causes: record.causes.clone() }.encode_to_vec()
}

/// A commit in the making.
#[derive(Default)]
struct Writing {
    ops: Vec<Op>,
    bytes: usize,
    /// Records in it.
    records: u64,
}

impl Writing {
    fn record(&mut self, record: &Record) {
        let value = row(record);
        self.bytes += value.len();
        self.records += 1;
        self.ops.push(Op::Add(keep::bytes_row(record.account, record.side), value.len() as i64));
        self.ops.push(Op::Append { stream: keep::stream(record.account, record.side), value: value.into() });
    }

    fn data(&mut self, record: &Record) {
        let value = row(record);
        self.bytes += value.len();
        self.records += 1;
        self.ops.push(Op::Append { stream: data::data_stream(record.account), value: value.into() });
    }

    fn denial(&mut self, denial: &Denial) {
        let kept = Kept::of(denial);
        let (time, request_id) = (denial.caller.received().0, kept.request_id.clone());
        let key = kept::key(&request_id);
        let row = kept.row();
        let bytes = row.len() as u64;
        let order = OrderRow { time, bytes, request_id }.encode_to_vec();
        self.bytes += row.len() + order.len();
        self.ops.push(Op::Put(key, row.into()));
        self.ops.push(Op::Append { stream: kept::order(), value: order.into() });
        self.ops.push(Op::Add(kept::bytes_row(), bytes as i64));
    }
}

impl Store {
    async fn commit(&self, writing: Writing, urgent: bool) -> Result<(), CommitError> {
        if writing.ops.is_empty() {
            return Ok(());
        }
        let batch = Batch { ops: writing.ops, urgent, ..Batch::default() };
        self.kv.commit(batch).await.map(drop)
    }

    async fn write(&self, group: Vec<Item>) {
        let mut writing = Writing::default();
        let mut waiting = Vec::new();
        for item in group {
            match item {
                Item::Records(records) => records.iter().for_each(|record| writing.record(record)),
                Item::Data(records) => records.iter().for_each(|record| writing.data(record)),
                Item::KeyUse(event) => {
                    let records = record::of_key(&event, &self.region, &*self.random);
                    records.iter().for_each(|record| writing.record(record));
                }
                Item::Denial(denial) => writing.denial(&denial),
                Item::Flush(tell) => waiting.push(tell),
            }
            if writing.bytes >= BATCH_BYTES {
                self.commit_or_give_up(std::mem::take(&mut writing)).await;
            }
        }
        self.commit_or_give_up(writing).await;
        for tell in waiting {
            // Who waited may be gone.
            let _ = tell.send(());
        }
    }

    async fn commit_or_give_up(&self, writing: Writing) {
        let records = writing.records;
        if let Err(error) = self.commit(writing, false).await {
            self.gave_up(records, &error.to_string());
        }
    }

    fn gave_up(&self, records: u64, why: &str) {
        let before = self.dropped.fetch_add(records, Ordering::Relaxed);
        let now = before + records;
        // Not a line for each: what is dropped is dropped in floods.
        if before == 0 || before.ilog2() != now.ilog2() {
            tracing::error!(dropped = now, why, "audit records were given up");
        }
    }
}

/// Writes what is queued, in groups, until nobody is left who could queue more.
async fn write_groups(mut queue: mpsc::Receiver<Item>, store: Store) {
    while let Some(first) = queue.recv().await {
        let mut group = vec![first];
        let until = tokio::time::sleep(GROUP_TIME);
        tokio::pin!(until);
        while group.len() < GROUP && !matches!(group.last(), Some(Item::Flush(_))) {
            tokio::select! {
                item = queue.recv() => match item {
                    Some(item) => group.push(item),
                    None => break,
                },
                () = &mut until => break,
            }
        }
        store.write(group).await;
    }
}

/// Removes what is too old or too much, from time to time.
async fn trim(alive: mpsc::WeakSender<Item>, kv: Arc<dyn Kv>, clock: Arc<dyn Clock>) {
    while alive.upgrade().is_some() {
        if let Err(error) = keep::trim(&*kv, clock.now()).await {
            tracing::warn!(%error, "old audit records could not be removed");
        }
        tokio::time::sleep(TRIM_EVERY).await;
    }
}

#[cfg(test)]
#[path = "tests/store.rs"]
mod tests;
