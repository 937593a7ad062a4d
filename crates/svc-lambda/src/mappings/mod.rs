//! Event source mappings: queues and table streams that functions are invoked with, batch by batch (Developer Guide, "How Lambda processes records from
//! stream and queue-based event sources").
//!
//! `settings` checks what a mapping may be, `rows` keeps it, and this is what runs: one task a mapping, begun and ended as the mapping's row says
//! (`Core::run_mappings`). `stream` reads a table's stream, `queue` a queue; `batch` is what both have in common.

pub(crate) mod batch;
pub(crate) mod queue;
pub(crate) mod rows;
pub(crate) mod settings;
pub(crate) mod stream;

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use bytes::Bytes;
use millpond_kernel::{Caller, Rejection};
use millpond_meta::key::prefix_range;
use millpond_meta::{Batch, Cond, Kv, Op, Scan};
use millpond_pattern::Pattern;
use millpond_types::{AccountId, Arn, CauseChain};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

use crate::errors::LambdaError;
use crate::limits::ROWS;
use crate::model::{Function, Version};
use crate::names::{FunctionName, Qualifier, id_of_text, uuid};
use crate::state::{Core, decode};
use rows::MappingRow;

/// The wait before what could not be removed is removed again.
const AGAIN: Duration = Duration::from_secs(1);

/// What a mapping's source is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Queue,
    Stream,
}

/// What a mapping is at, the same for all states of it.
#[derive(Debug, Default)]
pub(crate) struct Live {
    /// With which row it is read by.
    running: Mutex<Option<u64>>,
    /// How it went the last time.
    result: Mutex<String>,
}

/// A mapping in memory. Never changes: a change makes another one.
#[derive(Debug)]
pub(crate) struct Mapping {
    pub account: AccountId,
    pub id: u128,
    pub row: MappingRow,
    /// As it lies in the store.
    pub raw: Bytes,
    pub source: Arn,
    pub kind: Kind,
    pub filters: Vec<Pattern>,
    pub live: Arc<Live>,
}

impl Mapping {
    pub fn of(account: AccountId, id: u128, row: MappingRow, live: Arc<Live>) -> Result<Self, LambdaError> {
        let damaged = |what: &str| LambdaError::Internal(format!("a mapping without {what}"));
        let source = Arn::parse(&row.source).ok_or_else(|| damaged("a source"))?;
        let kind = if source.service() == "sqs" { Kind::Queue } else { Kind::Stream };
        let filters = row.filters.iter().map(|text| Pattern::parse(text)).collect::<Result<_, _>>();
        let filters = filters.map_err(|error| LambdaError::Internal(error.to_string()))?;
        Ok(Self { account, id, raw: crate::tables::encode(&row), row, source, kind, filters, live })
    }

    /// The function that it invokes.
    pub fn name(&self, core: &Core) -> Result<FunctionName, LambdaError> {
        let qualifier = Some(self.row.qualifier.as_str()).filter(|text| !text.is_empty());
        FunctionName::parse(&self.row.function, qualifier, self.account, core.kernel.region())
    }

    /// The states of the API reference.
    pub fn state(&self) -> &'static str {
        let running = *self.live.running.lock().unwrap_or_else(PoisonError::into_inner);
        match (self.row.deleting, self.row.enabled, running) {
            (true, ..) => "Deleting",
            (false, true, Some(changes)) if changes == self.row.changes => "Enabled",
            (false, true, Some(_)) => "Updating",
            (false, true, None) if self.row.changes == 0 => "Creating",
            (false, true, None) => "Enabling",
            (false, false, Some(_)) => "Disabling",
            (false, false, None) => "Disabled",
        }
    }

    pub fn result(&self) -> String {
        let result = self.live.result.lock().unwrap_or_else(PoisonError::into_inner);
        if result.is_empty() { "No records processed".to_owned() } else { result.clone() }
    }

    /// Says how it went.
    pub fn say(&self, result: impl Into<String>) {
        *self.live.result.lock().unwrap_or_else(PoisonError::into_inner) = result.into();
    }

    /// Says that something keeps it from going on.
    pub fn problem(&self, why: &str) {
        tracing::debug!(mapping = uuid(self.id), why, "an event source mapping does not go on");
        self.say(format!("PROBLEM: {why}"));
    }

    /// Says that it is read by.
    pub fn runs(&self) {
        *self.live.running.lock().unwrap_or_else(PoisonError::into_inner) = Some(self.row.changes);
    }
}

/// All mappings.
#[derive(Debug, Default)]
pub(crate) struct Mappings {
    all: RwLock<BTreeMap<(AccountId, u128), Arc<Mapping>>>,
    /// Told when one changes.
    news: Notify,
}

impl Mappings {
    /// Reads all mappings.
    pub async fn load(kv: &dyn Kv) -> Result<Self, LambdaError> {
        let (from, to) = prefix_range(Bytes::from_static(&[crate::tables::MAPPINGS]));
        let (mut from, mut all) = (Bound::Included(from), BTreeMap::new());
        loop {
            let scan = Scan { from, to: Bound::Excluded(to.clone()), reverse: false, limit: ROWS };
            let rows = kv.scan(scan).await?;
            let Some((last, _)) = rows.last() else { break };
            from = Bound::Excluded(last.clone());
            for (key, value) in &rows {
                let (account, id) = rows::mapping_of(key)?;
                let mapping = Mapping::of(account, id, decode(value)?, Arc::default())?;
                all.insert((account, id), Arc::new(mapping));
            }
        }
        Ok(Self { all: RwLock::new(all), news: Notify::new() })
    }

    fn read(&self) -> RwLockReadGuard<'_, BTreeMap<(AccountId, u128), Arc<Mapping>>> {
        self.all.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn get(&self, account: AccountId, id: u128) -> Option<Arc<Mapping>> {
        self.read().get(&(account, id)).cloned()
    }

    /// An account's mappings, by their ids.
    pub fn of(&self, account: AccountId) -> Vec<Arc<Mapping>> {
        self.read().range((account, 0)..=(account, u128::MAX)).map(|(_, mapping)| Arc::clone(mapping)).collect()
    }

    fn every(&self) -> Vec<Arc<Mapping>> {
        self.read().values().cloned().collect()
    }

    /// Takes what was committed.
    pub fn put(&self, mapping: Arc<Mapping>) {
        let key = (mapping.account, mapping.id);
        self.all.write().unwrap_or_else(PoisonError::into_inner).insert(key, mapping);
        self.news.notify_one();
    }

    fn remove(&self, mapping: &Mapping) {
        self.all.write().unwrap_or_else(PoisonError::into_inner).remove(&(mapping.account, mapping.id));
    }
}

/// The id of a mapping's text.
pub(crate) fn parse_id(text: &str) -> Option<u128> {
    id_of_text(text)
}

/// Who reads and invokes for a mapping at the moment.
pub(crate) struct Acting {
    pub function: Arc<Function>,
    pub qualifier: Qualifier,
    pub version: Arc<Version>,
    pub caller: Caller,
}

/// A task that reads by a mapping.
struct Task {
    changes: u64,
    stop: watch::Sender<bool>,
}

impl Core {
    /// The function of a mapping, the version that is invoked next, and a session of its role.
    pub async fn acting(&self, mapping: &Mapping) -> Result<Acting, Rejection> {
        let name = mapping.name(self)?;
        let none = || Rejection::NotFound("Function not found".to_owned());
        let function = self.find(&name).ok_or_else(none)?;
        let version = self.chosen(&function, &name.qualifier).cloned().ok_or_else(none)?;
        let caller = self.as_role(&function, &version, CauseChain::new()).await?;
        Ok(Acting { function, qualifier: name.qualifier, version, caller })
    }

    /// Reads by all mappings, until `stop`: batches that functions are at then are read again after the next start.
    pub async fn run_mappings(self: &Arc<Self>, stop: impl Future<Output = ()>) {
        tokio::pin!(stop);
        let (mut running, mut tasks): (HashMap<u128, Task>, _) = (HashMap::new(), JoinSet::new());
        loop {
            let news = self.mappings.news.notified();
            tokio::pin!(news);
            // From here on no news is missed.
            news.as_mut().enable();
            let left = self.settle(&mut running, &mut tasks).await;
            let again = async { if left { tokio::time::sleep(AGAIN).await } else { std::future::pending().await } };
            tokio::select! {
                () = &mut stop => break,
                () = news => {}
                () = again => {}
                Some(ended) = tasks.join_next() => self.ended(&mut running, ended),
            }
        }
        tasks.shutdown().await;
    }

    fn ended(&self, running: &mut HashMap<u128, Task>, ended: Result<u128, tokio::task::JoinError>) {
        match ended {
            Ok(id) => {
                running.remove(&id);
                let mapping = self.mappings.every().into_iter().find(|mapping| mapping.id == id);
                if let Some(mapping) = mapping {
                    *mapping.live.running.lock().unwrap_or_else(PoisonError::into_inner) = None;
                }
            }
            // Tasks catch what fails in the program.
            Err(error) => tracing::error!(%error, "a task of an event source mapping failed in the program"),
        }
    }

    /// Begins and ends tasks as rows say. Whether something is left to be done later.
    async fn settle(self: &Arc<Self>, running: &mut HashMap<u128, Task>, tasks: &mut JoinSet<u128>) -> bool {
        let mut left = false;
        for mapping in self.mappings.every() {
            let wanted = mapping.row.enabled && !mapping.row.deleting;
            match running.get(&mapping.id) {
                Some(task) if !wanted || task.changes != mapping.row.changes => _ = task.stop.send_replace(true),
                Some(_) => {}
                None if wanted => {
                    let (stop, stopped) = watch::channel(false);
                    running.insert(mapping.id, Task { changes: mapping.row.changes, stop });
                    tasks.spawn(read_by(Arc::clone(self), mapping, stopped));
                }
                None if mapping.row.deleting => left |= !self.remove_mapping(&mapping).await,
                None => {}
            }
        }
        left
    }

    async fn remove_mapping(&self, mapping: &Mapping) -> bool {
        let (from, to) = prefix_range(rows::all_progress(mapping.id));
        let key = rows::mapping(mapping.account, mapping.id);
        let conds = vec![Cond::Equals(key.clone(), mapping.raw.clone())];
        let ops = vec![Op::DeleteRange(from, to), Op::Delete(key)];
        match self.kv.commit(Batch { conds, ops, urgent: true, ..Batch::default() }).await {
            Ok(_) => {
                self.mappings.remove(mapping);
                true
            }
            Err(error) => {
                tracing::warn!(%error, "an event source mapping could not be removed yet");
                false
            }
        }
    }
}

/// Reads by a mapping until it is told to stop.
async fn read_by(core: Arc<Core>, mapping: Arc<Mapping>, stopped: watch::Receiver<bool>) -> u128 {
    let (id, kind) = (mapping.id, mapping.kind);
    // In a task of its own, so that what fails in the program ends this mapping's reading alone, and is begun anew.
    let mut task = JoinSet::new();
    task.spawn(async move {
        match kind {
            Kind::Queue => queue::run(core, mapping, stopped).await,
            Kind::Stream => stream::run(core, mapping, stopped).await,
        }
    });
    if let Some(Err(error)) = task.join_next().await {
        tracing::error!(%error, mapping = uuid(id), "the reading of an event source failed in the program");
        tokio::time::sleep(AGAIN).await;
    }
    id
}

/// Waits; `false` when it is to stop.
pub(crate) async fn pause(stopped: &mut watch::Receiver<bool>, time: Duration) -> bool {
    tokio::select! {
        () = tokio::time::sleep(time) => true,
        // When nobody can say so any more, it is over as well.
        _ = stopped.wait_for(|stop| *stop) => false,
    }
}
