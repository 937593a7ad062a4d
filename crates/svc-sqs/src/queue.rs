//! A queue in memory, and all of them.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use bytes::Bytes;
use millpond_kernel::{Named, PolicySource};
use millpond_meta::ReadError;
use millpond_policy::{Policy, PolicyKind};
use millpond_types::{AccountId, Arn, Region};
use tokio::sync::Notify;

use crate::live::{Live, Millis};
use crate::names;
use crate::rows::{self, QueueRow};
use crate::settings::{Attributes, Settings};
use crate::tables::QueueId;

/// Policies of queues name principals, and actions of this service alone.
pub(crate) const POLICY: PolicyKind = PolicyKind::Resource { service: "sqs" };

/// What a queue is, as it was last changed.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    pub created: Millis,
    pub modified: Millis,
    pub attributes: Attributes,
    pub settings: Settings,
    pub policy: Option<Named>,
    pub policy_ids: Vec<String>,
    pub tags: BTreeMap<String, String>,
    pub purged: u64,
    pub purged_at: Millis,
}

impl Facts {
    /// As a row has them. `ARN` is the queue's.
    pub fn of_row(row: QueueRow, arn: &Arn) -> Result<Self, ReadError> {
        let damaged = |what: String| ReadError::Damaged(format!("queues: {arn}: {what}"));
        let settings = Settings::of(&row.attributes).map_err(|error| damaged(error.to_string()))?;
        let policy = match row.attributes.get("Policy") {
            None => None,
            Some(text) => {
                let mut policy = Policy::parse(text, POLICY).map_err(|error| damaged(error.to_string()))?;
                bind(&mut policy, &row.policy_ids);
                Some(named(arn, policy))
            }
        };
        Ok(Self {
            created: row.created,
            modified: row.modified,
            attributes: row.attributes,
            settings,
            policy,
            policy_ids: row.policy_ids,
            tags: row.tags,
            purged: row.purged,
            purged_at: row.purged_at,
        })
    }

    /// The row of a queue with these facts.
    pub fn row(&self, account: AccountId, name: &str) -> Bytes {
        rows::encode(&QueueRow {
            account: account.to_string(),
            name: name.to_owned(),
            created: self.created,
            modified: self.modified,
            attributes: self.attributes.clone(),
            policy_ids: self.policy_ids.clone(),
            tags: self.tags.clone(),
            purged: self.purged,
            purged_at: self.purged_at,
        })
    }
}

/// A policy as decisions take it.
pub(crate) fn named(arn: &Arn, policy: Policy) -> Named {
    Named { source: PolicySource::Resource { arn: arn.to_string() }, policy: Arc::new(policy) }
}

/// Binds a policy to the ids of whom it names, in the order of their ARNs.
pub(crate) fn bind(policy: &mut Policy, ids: &[String]) {
    let bound = policy.principals().into_iter().map(str::to_owned).zip(ids.iter().cloned()).collect();
    policy.bind(&bound);
}

/// A queue.
#[derive(Debug)]
pub(crate) struct Queue {
    pub id: QueueId,
    pub account: AccountId,
    pub name: String,
    pub arn: Arn,
    facts: RwLock<Arc<Facts>>,
    live: Mutex<Live>,
    /// Held by who loads messages.
    pub loading: tokio::sync::Mutex<()>,
    /// Woken when there is perhaps something to receive.
    pub news: Notify,
    gone: AtomicBool,
}

impl Queue {
    pub fn new(id: QueueId, account: AccountId, name: String, region: &Region, facts: Facts) -> Self {
        let live = Live::new(facts.settings.fifo, facts.purged);
        Self {
            id,
            account,
            arn: names::arn(region, account, &name),
            name,
            facts: RwLock::new(Arc::new(facts)),
            live: Mutex::new(live),
            loading: tokio::sync::Mutex::default(),
            news: Notify::new(),
            gone: AtomicBool::new(false),
        }
    }

    /// What it is.
    pub fn facts(&self) -> Arc<Facts> {
        Arc::clone(&self.facts.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Its facts were changed.
    pub fn set_facts(&self, facts: Facts) {
        *self.facts.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(facts);
    }

    /// Its messages. Not to be held over a wait.
    pub fn live(&self) -> MutexGuard<'_, Live> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it was deleted.
    pub fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Acquire)
    }

    /// It was deleted: who waits for messages learns of it.
    pub fn end(&self) {
        self.gone.store(true, Ordering::Release);
        self.news.notify_waiters();
    }
}

/// All queues.
#[derive(Debug, Default)]
pub(crate) struct Queues {
    by_name: BTreeMap<(AccountId, String), Arc<Queue>>,
    by_id: HashMap<QueueId, Arc<Queue>>,
    /// When names were given up whose queue was deleted.
    pub deleted: HashMap<(AccountId, String), Millis>,
    /// Queues of which rows are left.
    pub leaving: HashSet<QueueId>,
}

impl Queues {
    pub fn insert(&mut self, queue: Arc<Queue>) {
        self.deleted.remove(&(queue.account, queue.name.clone()));
        self.by_id.insert(queue.id, Arc::clone(&queue));
        self.by_name.insert((queue.account, queue.name.clone()), queue);
    }

    pub fn remove(&mut self, queue: &Queue, now: Millis) {
        let name = (queue.account, queue.name.clone());
        self.by_id.remove(&queue.id);
        self.by_name.remove(&name);
        self.deleted.insert(name, now);
        self.leaving.insert(queue.id);
        queue.end();
    }

    pub fn named(&self, account: AccountId, name: &str) -> Option<&Arc<Queue>> {
        self.by_name.get(&(account, name.to_owned()))
    }

    pub fn id(&self, id: QueueId) -> Option<&Arc<Queue>> {
        self.by_id.get(&id)
    }

    /// Whether an id is taken.
    pub fn has(&self, id: QueueId) -> bool {
        self.by_id.contains_key(&id) || self.leaving.contains(&id)
    }

    pub fn all(&self) -> impl Iterator<Item = &Arc<Queue>> {
        self.by_name.values()
    }

    /// The queues of an account whose names begin so, in the order of their names, behind one.
    pub fn listed<'a>(
        &'a self,
        account: AccountId,
        prefix: &'a str,
        after: Option<&str>,
    ) -> impl Iterator<Item = &'a Arc<Queue>> {
        use std::ops::Bound::{Excluded, Included, Unbounded};
        let from = match after {
            Some(after) if after >= prefix => Excluded((account, after.to_owned())),
            _ => Included((account, prefix.to_owned())),
        };
        let queues = self.by_name.range((from, Unbounded)).map(|(_, queue)| queue);
        queues.take_while(move |queue| queue.account == account && queue.name.starts_with(prefix))
    }
}
