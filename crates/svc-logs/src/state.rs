//! What the service works with: rows read and written, decisions, and the policies of accounts in memory.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use millpond_io::{Clock, Random};
use millpond_kernel::{Authorized, Caller, Epoch, Kernel, Named, Pin, PolicySource};
use millpond_meta::key::{prefix_range, successor};
use millpond_meta::{Batch, Cond, Key, Kv, Op, ReadError, Scan};
use millpond_policy::{Policy, PolicyKind};
use millpond_seal::{Envelope, Purpose, Vault};
use millpond_types::{AccountId, Arn};
use prost::Message;
use tokio::sync::Notify;

use crate::errors::{Failure, LogsError, NO_STREAM};
use crate::inputs::{Input, Touch};
use crate::limits::PAGE;
use crate::tables::{self, GroupId, GroupRow, Place, PolicyRow, StreamId, StreamRow};

/// Resource policies name principals, and actions of this service alone.
pub(crate) const POLICY: PolicyKind = PolicyKind::Resource { service: "logs" };

/// What the service works with.
pub(crate) struct Core {
    pub kernel: Arc<Kernel>,
    pub kv: Arc<dyn Kv>,
    pub clock: Arc<dyn Clock>,
    pub random: Arc<dyn Random>,
    /// Seals messages.
    pub envelope: Envelope,
    /// The resource policies of each account that has any, as one.
    policies: RwLock<HashMap<AccountId, Named>>,
    /// Held by whoever changes policies, from before the decision until memory follows.
    pub changing: tokio::sync::Mutex<()>,
    /// The last order that was given out; see [`Place`].
    order: AtomicU64,
    salt: u32,
    /// Told when something is to be removed.
    pub removal: Notify,
}

/// A group as it was read.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    pub account: AccountId,
    pub name: String,
    pub id: GroupId,
    pub row: GroupRow,
    /// Its row as it lies in the store.
    pub raw: Bytes,
}

impl Group {
    /// Before which time its events are no longer there.
    pub fn expired(&self, now: u64) -> u64 {
        match self.row.retention {
            0 => 0,
            days => now.saturating_sub(u64::from(days) * 24 * 3_600 * 1_000),
        }
    }
}

/// A stream as it was read.
#[derive(Clone, Debug)]
pub(crate) struct Stream {
    pub name: String,
    pub id: StreamId,
    pub created: u64,
    /// Its row as it lies in the store.
    pub raw: Bytes,
}

fn damaged(what: &str) -> LogsError {
    LogsError::Internal(format!("a row is damaged: {what}"))
}

pub(crate) fn decode<R: Message + Default>(row: &Bytes) -> Result<R, ReadError> {
    R::decode(row.clone()).map_err(|error| ReadError::Damaged(format!("log service: {error}")))
}

pub(crate) fn group_of(key: &Key, raw: Bytes) -> Result<Group, LogsError> {
    let (account, name) = tables::account_and_name(key)?;
    let row: GroupRow = decode(&raw)?;
    let id = <[u8; 16]>::try_from(row.id.as_slice()).map_err(|_| damaged("the id of a group"))?;
    Ok(Group { account, name, id: u128::from_be_bytes(id), row, raw })
}

pub(crate) fn stream_of(key: &Key, raw: Bytes) -> Result<Stream, LogsError> {
    let row: StreamRow = decode(&raw)?;
    Ok(Stream { name: tables::stream_name(key)?, id: row.id, created: row.created, raw })
}

impl Core {
    pub async fn open(
        kv: Arc<dyn Kv>,
        kernel: Arc<Kernel>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
        vault: Arc<Vault>,
    ) -> Result<Self, ReadError> {
        let mut salt = [0; 4];
        random.fill(&mut salt);
        let core = Self {
            kernel,
            kv,
            clock,
            envelope: Envelope::new(vault, random.clone(), Purpose::LogEvent),
            random,
            policies: RwLock::default(),
            changing: tokio::sync::Mutex::default(),
            order: AtomicU64::default(),
            salt: u32::from_be_bytes(salt),
            removal: Notify::new(),
        };
        let mut rows: HashMap<AccountId, BTreeMap<String, PolicyRow>> = HashMap::new();
        for (key, row) in core.rows(Bytes::from_static(&[tables::POLICIES])).await? {
            let malformed = |error: millpond_meta::key::MalformedKey| ReadError::Damaged(error.to_string());
            let (account, name) = tables::account_and_name(&key).map_err(malformed)?;
            rows.entry(account).or_default().insert(name, decode(&row)?);
        }
        for (account, rows) in rows {
            core.policies_are(account, &rows);
        }
        Ok(core)
    }

    /// Milliseconds.
    pub fn now(&self) -> u64 {
        self.clock.now().millis()
    }

    /// The first of `count` places at a time, each `order` behind the one before.
    pub fn orders(&self, count: usize) -> u64 {
        let (now, count) = (self.clock.now().0, count as u64);
        let next = |last: u64| Some(last.max(now).saturating_add(count));
        // It always finds a value: the function never declines.
        let before = self.order.fetch_update(Ordering::SeqCst, Ordering::SeqCst, next).unwrap_or_else(|last| last);
        before.max(now)
    }

    pub fn place(&self, time: u64, order: u64) -> Place {
        Place { time, order, salt: self.salt }
    }

    pub fn random_id(&self) -> u128 {
        let mut bytes = [0; 16];
        self.random.fill(&mut bytes);
        u128::from_be_bytes(bytes)
    }

    /// An ARN of a group: `suffix` is empty, `:*`, `:log-stream:` or that with a stream's name.
    pub fn arn(&self, account: AccountId, group: &str, suffix: &str) -> Arn {
        let resource = format!("log-group:{group}{suffix}");
        Arn::new("logs", self.kernel.region().as_str(), account.as_str(), &resource)
    }

    /// Decides. Every operation passes here.
    pub async fn authorize<I: Input>(
        &self,
        caller: &Caller,
        touch: Touch<I>,
    ) -> Result<Authorized<Touch<I>>, LogsError> {
        let pin = self.kernel.epoch().now();
        // What is about no group is nothing that they are about.
        let policy = self.policies.read().unwrap_or_else(PoisonError::into_inner).get(&touch.owner()).cloned();
        let policy = policy.filter(|_| touch.is_about_groups());
        Ok(self.kernel.authorize_since(pin, caller, touch.with_policy(policy)).await?)
    }

    /// A group by its name.
    pub async fn find_group(&self, account: AccountId, name: &str) -> Result<Option<Group>, LogsError> {
        let key = tables::group(account, name);
        self.kv.get(&key).await?.map(|raw| group_of(&key, raw)).transpose()
    }

    /// A stream by its name.
    pub async fn stream(&self, group: &Group, name: &str) -> Result<Stream, LogsError> {
        self.find_stream(group, name).await?.ok_or(NO_STREAM)
    }

    pub async fn find_stream(&self, group: &Group, name: &str) -> Result<Option<Stream>, LogsError> {
        let key = tables::stream(group.id, name);
        self.kv.get(&key).await?.map(|raw| stream_of(&key, raw)).transpose()
    }

    /// All rows that begin with a prefix. For those of which there are not many.
    pub async fn rows(&self, prefix: Key) -> Result<Vec<(Key, Bytes)>, ReadError> {
        let (mut from, to) = prefix_range(prefix);
        let mut all = Vec::new();
        loop {
            let page = self.page(from, to.clone(), PAGE).await?;
            let next = page.last().filter(|_| page.len() == PAGE).map(|(last, _)| successor(last));
            all.extend(page);
            match next {
                Some(next) => from = next,
                None => return Ok(all),
            }
        }
    }

    /// Rows from a key on.
    pub async fn page(&self, from: Key, to: Key, limit: usize) -> Result<Vec<(Key, Bytes)>, ReadError> {
        if from >= to {
            return Ok(Vec::new());
        }
        let scan = Scan { from: Bound::Included(from), to: Bound::Excluded(to), reverse: false, limit };
        self.kv.scan(scan).await
    }

    /// Rows before a key, the last first.
    pub async fn page_back(&self, from: Key, to: Key, limit: usize) -> Result<Vec<(Key, Bytes)>, ReadError> {
        if from >= to {
            return Ok(Vec::new());
        }
        let scan = Scan { from: Bound::Included(from), to: Bound::Excluded(to), reverse: true, limit };
        self.kv.scan(scan).await
    }

    /// Commits a change that was decided at `pin`.
    pub async fn commit(&self, pin: Pin, mut conds: Vec<Cond>, ops: Vec<Op>) -> Result<(), Failure> {
        conds.push(pin.cond());
        self.kv.commit(Batch { conds, ops, ..Batch::default() }).await?;
        Ok(())
    }

    /// As [`Self::commit`], for what frees space: it may use the reserve of a full disk.
    pub async fn commit_urgent(&self, pin: Pin, mut conds: Vec<Cond>, ops: Vec<Op>) -> Result<(), Failure> {
        conds.push(pin.cond());
        self.kv.commit(Batch { conds, ops, urgent: true, ..Batch::default() }).await?;
        Ok(())
    }

    /// The resource policies of an account.
    pub async fn policy_rows(&self, account: AccountId) -> Result<BTreeMap<String, PolicyRow>, LogsError> {
        let mut found = BTreeMap::new();
        for (key, row) in self.rows(tables::policy_prefix(account)).await? {
            found.insert(tables::account_and_name(&key)?.1, decode(&row)?);
        }
        Ok(found)
    }

    /// Commits a change of an account's policies, which memory follows before it is acknowledged. With `changing` held.
    pub async fn commit_policies(
        &self,
        pin: Pin,
        account: AccountId,
        op: Op,
        rows: &BTreeMap<String, PolicyRow>,
    ) -> Result<(), Failure> {
        let change = self.kernel.epoch().change().await;
        let batch = Batch { conds: vec![pin.cond()], ops: vec![op, Epoch::raise()], ..Batch::default() };
        self.kv.commit(batch).await?;
        self.policies_are(account, rows);
        change.known().await?;
        Ok(())
    }

    fn policies_are(&self, account: AccountId, rows: &BTreeMap<String, PolicyRow>) {
        let named = together(rows).map(|policy| Named {
            source: PolicySource::Resource { arn: self.arn(account, "*", "").to_string() },
            policy: Arc::new(policy),
        });
        let mut policies = self.policies.write().unwrap_or_else(PoisonError::into_inner);
        match named {
            Some(named) => drop(policies.insert(account, named)),
            None => drop(policies.remove(&account)),
        }
    }
}

/// All policies of an account as one: it has their statements. Each was parsed by itself before it was kept.
fn together(rows: &BTreeMap<String, PolicyRow>) -> Option<Policy> {
    let mut statements = Vec::new();
    let mut ids = BTreeMap::new();
    for row in rows.values() {
        let Ok(mut document) = serde_json::from_str::<serde_json::Value>(&row.text) else { continue };
        match document.get_mut("Statement").map(serde_json::Value::take) {
            Some(serde_json::Value::Array(more)) => statements.extend(more),
            Some(one) => statements.push(one),
            None => {}
        }
        ids.extend(row.ids.clone());
    }
    if statements.is_empty() {
        return None;
    }
    // Two policies may use the same Sid; it means nothing.
    for statement in &mut statements {
        if let Some(fields) = statement.as_object_mut() {
            fields.remove("Sid");
        }
    }
    let text = serde_json::json!({"Version": "2012-10-17", "Statement": statements}).to_string();
    match Policy::parse(&text, POLICY) {
        Ok(mut policy) => {
            policy.bind(&ids);
            Some(policy)
        }
        Err(error) => {
            // What cannot be read allows nothing.
            tracing::error!(%error, "the resource policies of the log service cannot be put together");
            None
        }
    }
}
