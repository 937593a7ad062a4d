//! The service's state: reads from memory, and commits that keep it true.

use std::sync::{Arc, OnceLock, PoisonError, RwLock, RwLockReadGuard};

use bytes::Bytes;
use millpond_io::{Clock, Random};
use millpond_kernel::streams::Consumers;
use millpond_kernel::timers::Timers;
use millpond_kernel::{
    Arrival, Authorized, Caller, Delivery, DirectoryError, Epoch, Kernel, Pin, Rejection, Resource, ServiceCall,
    ServiceIdentity, to_its_end,
};
use millpond_meta::{Batch, Cond, Key as RowKey, Kv, Op};
use millpond_outbound::Outbound;
use millpond_policy::Policy;
use millpond_seal::Vault;
use millpond_types::{AccountId, Arn, CauseChain, RequestId, Timestamp};

use crate::cache::{Change, Maps};
use crate::errors::{Failure, SnsError};
use crate::fanout::NAME;
use crate::inputs::Input;
use crate::later::Counters;
use crate::limits::MAX_POLICY;
use crate::model::{POLICY, Subscription, Topic, bind};
use crate::names::{self, TopicName};
use crate::resolved::Resolved;
use crate::rows;
use crate::signing::Keeper;
use crate::tables;

/// What the service works with.
pub(crate) struct Core {
    pub kernel: Arc<Kernel>,
    pub clock: Arc<dyn Clock>,
    pub random: Arc<dyn Random>,
    pub kv: Arc<dyn Kv>,
    pub vault: Arc<Vault>,
    pub consumers: Consumers,
    pub timers: Timers,
    pub counters: Counters,
    pub outbound: Outbound,
    pub identity: ServiceIdentity,
    pub keeper: Keeper,
    /// What links begin with.
    pub address: OnceLock<String>,
    pub maps: RwLock<Maps>,
    /// Held by whoever changes topics or subscriptions, from before it is decided until memory is true to the commit.
    pub changing: tokio::sync::Mutex<()>,
}

/// A commit being put together: conditions, rows, and what they change in memory.
#[derive(Default)]
pub(crate) struct Draft {
    pub conds: Vec<Cond>,
    pub ops: Vec<Op>,
    changes: Vec<Change>,
    /// Whether a policy changes.
    policies: bool,
    begins: Option<RowKey>,
    ends: Option<RowKey>,
    /// Frees space, so that it may use the reserve of a full disk.
    urgent: bool,
}

impl Draft {
    /// A change of a topic that stands as it was read.
    pub fn on(topic: &Topic) -> Self {
        let cond = Cond::Equals(tables::topic(topic.account, &topic.name), topic.row.clone());
        Self { conds: vec![cond], ..Self::default() }
    }

    /// Writes a topic's row.
    pub fn topic(&mut self, topic: Topic) {
        self.ops.push(Op::Put(tables::topic(topic.account, &topic.name), topic.row.clone()));
        self.changes.push(Change::Topic(Arc::new(topic)));
    }

    /// Begins the stream of a topic that is made.
    pub fn begin(&mut self, core: &Core, topic: u128) {
        let stream = tables::messages(topic);
        self.ops.push(core.consumers.begin(NAME, &stream));
        self.begins = Some(stream);
    }

    /// Removes a topic. What belonged to it is removed by [`crate::sweep`].
    pub fn no_topic(&mut self, core: &Core, topic: &Topic) {
        let stream = tables::messages(topic.id);
        self.ops.push(Op::Delete(tables::topic(topic.account, &topic.name)));
        self.ops.push(core.consumers.end(NAME, &stream));
        self.ends = Some(stream);
        self.urgent = true;
        self.changes.push(Change::NoTopic(topic.account, topic.name.clone()));
    }

    pub fn subscription(&mut self, subscription: Subscription) {
        let row = tables::subscription(subscription.topic, subscription.id);
        self.ops.push(Op::Put(row, subscription.row.clone()));
        self.changes.push(Change::Subscription(Arc::new(subscription)));
    }

    pub fn no_subscription(&mut self, subscription: &Subscription) {
        let row = tables::subscription(subscription.topic, subscription.id);
        self.conds.push(Cond::Equals(row.clone(), subscription.row.clone()));
        self.ops.push(Op::Delete(row));
        self.urgent = true;
        self.changes.push(Change::NoSubscription(subscription.topic, subscription.id));
    }

    /// Says that a policy changes, so that what was decided by the old one is not committed.
    pub fn changes_policies(&mut self) {
        self.policies = true;
    }

    pub fn arrive(&mut self, arrival: Arrival) {
        self.conds.extend(arrival.conds);
        self.ops.extend(arrival.ops);
    }
}

/// A topic that an operation may touch, and the proof of it.
pub(crate) struct On<I> {
    pub authorized: Authorized<Resolved<I>>,
    pub topic: Arc<Topic>,
}

impl Core {
    /// Everything in memory. Not to be held over a wait.
    pub fn maps(&self) -> RwLockReadGuard<'_, Maps> {
        self.maps.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The time, in whole milliseconds: what answers show is what is kept.
    pub fn now(&self) -> Timestamp {
        Timestamp(self.clock.now().millis().saturating_mul(1_000_000))
    }

    /// What links begin with.
    pub fn base(&self) -> &str {
        self.address.get().map_or("http://localhost", String::as_str)
    }

    /// A new id.
    pub fn new_id(&self) -> u128 {
        names::random_id(self.random.u128())
    }

    /// The account that a caller acts in.
    pub fn account_of(&self, caller: &Caller) -> AccountId {
        caller.account().unwrap_or_else(|| self.kernel.account())
    }

    /// The service itself, calling for a topic.
    pub fn as_topic(&self, topic: &Topic, causes: &CauseChain) -> Caller {
        self.as_service(topic.arn.clone(), topic.account, causes)
    }

    pub fn as_service(&self, topic: Arn, account: AccountId, causes: &CauseChain) -> Caller {
        let call = ServiceCall {
            source_arn: Some(topic),
            source_account: Some(account),
            request_id: RequestId(self.random.u128()),
            now: self.clock.now(),
            causes: causes.clone(),
        };
        Caller::of_service(&self.identity, call)
    }

    /// The changes by which something arrives at a queue.
    pub async fn arrive(&self, to: &Arn, from: &Caller, delivery: &Delivery) -> Result<Arrival, Rejection> {
        self.kernel.targets().arrive(to, from, delivery).await
    }

    /// Decides. `pin` is from before anything was read that decides.
    pub async fn decide<I: Input>(
        &self,
        pin: Pin,
        caller: &Caller,
        resolved: Resolved<I>,
    ) -> Result<Authorized<Resolved<I>>, SnsError> {
        let answer = self.kernel.authorize_since(pin, caller, resolved).await;
        tracing::debug!(request_id = %caller.request_id(), operation = I::NAME, caller = caller.arn(), allowed = answer.is_ok(), "decided");
        Ok(answer?)
    }

    /// The topic of an ARN, for an operation on it. Who may not do it is not told whether it exists.
    pub async fn on_topic<I: Input>(
        &self,
        caller: &Caller,
        arn: &str,
        parameter: &str,
        with: impl FnOnce(Resolved<I>) -> Resolved<I>,
    ) -> Result<On<I>, SnsError> {
        let pin = self.kernel.epoch().now();
        let name = names::topic_of(arn, self.kernel.region(), parameter)?;
        match self.find(&name) {
            Some(topic) => {
                let authorized = self.decide(pin, caller, with(Resolved::on_topic(&topic))).await?;
                Ok(On { authorized, topic })
            }
            None => {
                self.decide(pin, caller, with(Resolved::<I>::on(self.absent(&name)))).await?;
                Err(SnsError::NotFound("Topic"))
            }
        }
    }

    pub fn find(&self, name: &TopicName) -> Option<Arc<Topic>> {
        self.maps().topic(name.account, &name.name).cloned()
    }

    /// A topic that does not exist, as policies see it.
    pub fn absent(&self, name: &TopicName) -> Resource {
        Resource::new(names::topic_arn(self.kernel.region(), name.account, &name.name), name.account)
    }

    /// Commits, and makes memory true to it before it is acknowledged. `pin` is the epoch at which it was decided; `None` for what nobody asked
    /// for.
    ///
    /// To be called with `changing` held, in a task of its own.
    pub async fn commit(&self, pin: Option<Pin>, draft: Draft) -> Result<(), Failure> {
        let Draft { mut conds, mut ops, changes, policies, begins, ends, urgent } = draft;
        conds.extend(pin.map(Pin::cond));
        let change = if policies { Some(self.kernel.epoch().change().await) } else { None };
        if policies {
            ops.push(Epoch::raise());
        }
        self.kv.commit(Batch { conds, ops, idem: None, urgent }).await?;
        {
            let mut maps = self.maps.write().unwrap_or_else(PoisonError::into_inner);
            changes.into_iter().for_each(|change| maps.apply(change));
        }
        if let Some(stream) = begins {
            self.consumers.follow(NAME, &stream);
        }
        if let Some(stream) = ends {
            self.consumers.forget(NAME, &stream);
        }
        match change {
            Some(change) => change.known().await.map_err(|error| SnsError::from(error).into()),
            None => Ok(()),
        }
    }

    /// Carries a change out to its end, whether its request is dropped or not, and anew while what it is decided by changes.
    pub async fn detached<T, F>(
        self: &Arc<Self>,
        change: impl Fn(Arc<Self>) -> F + Send + Sync + 'static,
    ) -> Result<T, SnsError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Failure>> + Send + 'static,
    {
        let core = Arc::clone(self);
        to_its_end(async move {
            let _turn = core.changing.lock().await;
            core.kernel.again(|| change(Arc::clone(&core))).await
        })
        .await
    }

    /// A topic's policy, checked: its unique ids are in the order of the ARNs that it names. Refuses whom there is not.
    pub async fn policy_ids(&self, text: &str) -> Result<Vec<String>, SnsError> {
        let nobody = || SnsError::parameter("Policy Error: PrincipalNotFound");
        if text.len() > MAX_POLICY {
            return Err(SnsError::Parameter(format!("Policy Error: a policy has at most {MAX_POLICY} bytes")));
        }
        let mut policy = Policy::parse(text, POLICY)?;
        let mut ids = Vec::new();
        for arn in policy.principals() {
            ids.push(self.unique_id(arn).await?.ok_or_else(nobody)?);
        }
        if !policy.accounts().into_iter().all(|account| self.knows(account)) {
            return Err(nobody());
        }
        bind(&mut policy, &ids);
        Ok(ids)
    }

    /// Whether an account exists here.
    pub fn knows(&self, account: AccountId) -> bool {
        let directory = self.kernel.directory();
        account == self.kernel.account() || directory.is_some_and(|directory| directory.account_exists(account))
    }

    async fn unique_id(&self, arn: &str) -> Result<Option<String>, SnsError> {
        let Some(directory) = self.kernel.directory() else { return Ok(None) };
        match directory.unique_id(arn).await {
            Ok(id) => Ok(id),
            Err(DirectoryError::Gone) => Ok(None),
            Err(DirectoryError::Failed(reason)) => Err(SnsError::Internal(reason)),
        }
    }
}

/// The id of a delivery: the same for the same message and subscription, and no other's.
pub(crate) fn delivery_id(message: u128, subscription: u128) -> u128 {
    use sha2::Digest;
    let mut digest = sha2::Sha256::new();
    digest.update(message.to_be_bytes());
    digest.update(subscription.to_be_bytes());
    let digest = digest.finalize();
    rows::id_of(digest.get(..16).unwrap_or_default()).map_or(message, names::random_id)
}

/// Two ids as the value of a timer.
pub(crate) fn pair(topic: u128, subscription: u128) -> Bytes {
    [topic.to_be_bytes(), subscription.to_be_bytes()].concat().into()
}
