//! Trails: all of them in memory, kept true by every change.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use millpond_kernel::audit::{DataEvent, DataTrails, data_stream, management_streams};
use millpond_kernel::streams::Consumers;
use millpond_kernel::{Pin, ServiceError};
use millpond_meta::key::successor;
use millpond_meta::{Batch, CommitError, Cond, Key, Kv, Op, ReadError, Scan};
use millpond_types::{AccountId, Arn, Region, Timestamp};
use prost::Message;

use crate::errors;
use crate::reader::{DATA, MANAGEMENT, PRINCIPAL};
use crate::selectors::Selected;
use crate::tables::{self, TrailRow};

/// Trails of an account (Quotas in AWS CloudTrail: "Trails per Region").
pub const MAX_TRAILS: usize = 5;
/// Rows that are read or removed together.
const PAGE: usize = 512;

/// The trails of an account, by name.
pub type OfAccount = BTreeMap<String, Arc<TrailRow>>;

impl TrailRow {
    /// Its id.
    pub fn id(&self) -> u128 {
        <[u8; 16]>::try_from(self.id.as_ref()).map(u128::from_be_bytes).unwrap_or_default()
    }

    /// Whether events of a time are in it: those from between the start and the end of its logging.
    pub fn logged(&self, time: Timestamp) -> bool {
        self.started != 0 && time.0 >= self.started && (self.logging || time.0 <= self.stopped)
    }
}

/// The ARN of a trail.
pub fn arn(region: &Region, account: AccountId, name: &str) -> Arn {
    Arn::new("cloudtrail", region.as_str(), account.as_str(), &format!("trail/{name}"))
}

/// All trails. Clones share everything.
#[derive(Clone)]
pub struct Trails(Arc<Inner>);

struct Inner {
    kv: Arc<dyn Kv>,
    consumers: Consumers,
    all: RwLock<Arc<HashMap<AccountId, OfAccount>>>,
    /// Whether any trail wants data events.
    data: AtomicBool,
    /// Held by whoever changes a trail.
    changing: tokio::sync::Mutex<()>,
}

fn damaged() -> ReadError {
    ReadError::Damaged("a trail".to_owned())
}

impl Trails {
    /// Reads all trails.
    pub async fn load(kv: Arc<dyn Kv>, consumers: Consumers) -> Result<Self, ReadError> {
        let mut all: HashMap<AccountId, OfAccount> = HashMap::new();
        let mut from = Bytes::from_static(&[tables::TRAILS]);
        loop {
            let to = Bound::Excluded(Bytes::from_static(&[tables::TRAILS + 1]));
            let rows = kv.scan(Scan { from: Bound::Included(from), to, reverse: false, limit: PAGE }).await?;
            for (key, row) in &rows {
                let trail = TrailRow::decode(row.clone()).map_err(|_| damaged())?;
                let account = tables::account_of(key).ok_or_else(damaged)?;
                all.entry(account).or_default().insert(trail.name.clone(), Arc::new(trail));
            }
            match rows.last() {
                Some((last, _)) if rows.len() == PAGE => from = successor(last),
                _ => break,
            }
        }
        let (data, changing) = (AtomicBool::new(false), tokio::sync::Mutex::default());
        let trails = Self(Arc::new(Inner { kv, consumers, all: RwLock::default(), data, changing }));
        trails.publish(all);
        Ok(trails)
    }

    fn publish(&self, all: HashMap<AccountId, OfAccount>) {
        let data = all.values().flat_map(BTreeMap::values).any(|trail| trail.logging && trail.selects_data());
        *self.0.all.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(all);
        self.0.data.store(data, Ordering::Release);
    }

    pub fn kv(&self) -> &Arc<dyn Kv> {
        &self.0.kv
    }

    /// All trails now.
    pub fn all(&self) -> Arc<HashMap<AccountId, OfAccount>> {
        Arc::clone(&self.0.all.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The trails of an account.
    pub fn of(&self, account: AccountId) -> OfAccount {
        self.all().get(&account).cloned().unwrap_or_default()
    }

    /// A trail.
    pub fn find(&self, account: AccountId, name: &str) -> Option<Arc<TrailRow>> {
        self.all().get(&account)?.get(name).cloned()
    }

    /// Makes a change of a trail: `change` gets it as it stands (or `None`) with all of its account, and says what becomes of it. Provided that nothing
    /// that it was decided by has changed since `pin`.
    ///
    /// Runs to its end when the request is dropped: else memory would not know of it.
    pub async fn change(
        &self,
        account: AccountId,
        name: String,
        pin: Pin,
        change: impl FnOnce(Option<&TrailRow>, &OfAccount) -> Result<Option<TrailRow>, ServiceError> + Send + 'static,
    ) -> Result<Option<Arc<TrailRow>>, ServiceError> {
        let this = self.clone();
        let all = async move { this.change_now(account, name, pin, change).await };
        tokio::spawn(all).await.map_err(|error| {
            tracing::error!(%error, "a change of a trail failed");
            errors::failed()
        })?
    }

    async fn change_now(
        &self,
        account: AccountId,
        name: String,
        pin: Pin,
        change: impl FnOnce(Option<&TrailRow>, &OfAccount) -> Result<Option<TrailRow>, ServiceError> + Send,
    ) -> Result<Option<Arc<TrailRow>>, ServiceError> {
        let inner = &self.0;
        let _changing = inner.changing.lock().await;
        let mut all = HashMap::clone(&self.all());
        let own = all.entry(account).or_default();
        let before = own.get(&name).cloned();
        let after = change(before.as_deref(), own)?;
        let key = tables::trail(account, &name);
        // What deletes may use the reserve of a full disk.
        let mut batch = Batch { conds: vec![pin.cond()], urgent: after.is_none(), ..Batch::default() };
        batch.conds.push(match &before {
            Some(row) => Cond::Equals(key.clone(), row.encode_to_vec().into()),
            None => Cond::Absent(key.clone()),
        });
        match &after {
            Some(row) => batch.ops.push(Op::Put(key, row.encode_to_vec().into())),
            None => {
                batch.ops.push(Op::Delete(key));
                let id = before.as_ref().map_or(0, |row| row.id());
                batch.ops.extend([tables::file(id), tables::status(id)].map(Op::Delete));
            }
        }
        let begins = self.readers(&mut batch, account, after.as_ref());
        inner.kv.commit(batch).await.map_err(|error| match error {
            CommitError::Conflict(0) => errors::decided_too_early(),
            CommitError::Full => ServiceError::no_space("ServiceUnavailable"),
            other => {
                tracing::error!(error = %other, "a trail could not be changed");
                errors::failed()
            }
        })?;
        for (consumer, stream) in begins {
            inner.consumers.follow(consumer, &stream);
        }
        let after = after.map(Arc::new);
        match &after {
            Some(row) => own.insert(name, Arc::clone(row)),
            None => own.remove(&name),
        };
        self.publish(all);
        if let (None, Some(gone)) = (&after, before) {
            self.clear(gone.id()).await;
        }
        Ok(after)
    }

    /// An account whose first trail begins to log gets its readers, in the same commit. They stay: what was recorded before a trail stopped is still
    /// to be read.
    fn readers(&self, batch: &mut Batch, account: AccountId, trail: Option<&TrailRow>) -> Vec<(&'static str, Key)> {
        if !trail.is_some_and(|trail| trail.logging) {
            return Vec::new();
        }
        let management = management_streams(account).map(|stream| (MANAGEMENT, stream));
        let all = management.into_iter().chain([(DATA, data_stream(account))]);
        let consumers = &self.0.consumers;
        let begins: Vec<_> = all.filter(|(consumer, stream)| !consumers.reads(consumer, stream)).collect();
        for (consumer, stream) in &begins {
            batch.conds.push(consumers.unread(consumer, stream));
            batch.ops.push(consumers.begin(consumer, stream));
        }
        begins
    }

    /// Removes what was to go into the log files of a trail that is no more. What a crash leaves of it is garbage that nothing names.
    async fn clear(&self, id: u128) {
        let stream = tables::queued(id);
        let to = millpond_meta::key::prefix_end(&stream);
        loop {
            let scan = Scan {
                from: Bound::Included(stream.clone()),
                to: Bound::Excluded(to.clone()),
                reverse: false,
                limit: PAGE,
            };
            let rows = match self.0.kv.scan(scan).await {
                Ok(rows) if !rows.is_empty() => rows,
                _ => return,
            };
            let ops = rows.into_iter().map(|(key, _)| Op::Delete(key)).collect();
            if self.0.kv.commit(Batch { ops, urgent: true, ..Batch::default() }).await.is_err() {
                return;
            }
        }
    }
}

impl DataTrails for Trails {
    fn any(&self) -> bool {
        self.0.data.load(Ordering::Acquire)
    }

    fn wants(&self, account: AccountId, event: &DataEvent<'_>) -> bool {
        // The files of trails are no events of theirs: each would make the next.
        if event.caller == PRINCIPAL {
            return false;
        }
        let DataEvent { source, name, read_only, caller, resources } = *event;
        let event = Selected { data: true, source, name, read_only, caller, resources };
        self.all().get(&account).is_some_and(|own| own.values().any(|trail| trail.logging && trail.selects(&event)))
    }
}
