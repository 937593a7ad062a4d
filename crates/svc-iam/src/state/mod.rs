//! What is kept of identities: rows in the metadata store, and all of them in memory, kept true by every commit that changes one.
//!
//! [`Identities`] is a handle. Reads take a snapshot of an [`Account`] and never wait. A [`Draft`] collects what a change does to the next
//! snapshot and to the rows; [`Identities::commit`] makes both true. Changes come one after the other: whoever changes holds
//! [`Identities::changing`] from reading to committing.

mod account;
mod draft;
mod keys;
mod load;
mod model;
mod rows;
mod unique;
mod used;

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use millpond_io::{Clock, Random};
use millpond_kernel::{Epoch, Pin};
use millpond_meta::{Batch, CommitError, Kv, ReadError};
use millpond_policy::Principal;
use millpond_seal::Vault;
use millpond_types::{AccountId, Timestamp};

pub use account::{Account, Usage};
pub use draft::Draft;
pub use keys::NewKey;
pub use model::{AccessKey, Document, Entity, Kind, ManagedPolicy, PolicyVersion, RoleFacts, Tags};
pub use rows::tables;
pub use used::LastUsed;

pub(crate) use account::folded;
pub(crate) use model::version_id;

/// Why a change was not made.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StateError {
    /// What the decision rests on has changed: decide anew.
    #[error("policies have changed meanwhile")]
    Outdated,
    /// A row would be larger than the store takes.
    #[error("the change is too large: {0}")]
    TooLarge(&'static str),
    /// There is no room.
    #[error("the metadata store is full")]
    Full,
    /// The store could not be read or written.
    #[error("the metadata store failed: {0}")]
    Failed(String),
}

impl From<CommitError> for StateError {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Conflict(_) => Self::Outdated,
            CommitError::TooLarge(what) => Self::TooLarge(what),
            CommitError::Full => Self::Full,
            other => Self::Failed(other.to_string()),
        }
    }
}

impl From<ReadError> for StateError {
    fn from(error: ReadError) -> Self {
        Self::Failed(error.to_string())
    }
}

/// All identities. Cheap to clone.
#[derive(Clone)]
pub struct Identities {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub kv: Arc<dyn Kv>,
    pub clock: Arc<dyn Clock>,
    pub random: Arc<dyn Random>,
    pub vault: Arc<Vault>,
    pub epoch: Epoch,
    world: RwLock<World>,
    changing: tokio::sync::Mutex<()>,
    used: used::Used,
}

/// Everything in memory.
#[derive(Default)]
struct World {
    accounts: HashMap<AccountId, Arc<Account>>,
    /// The access keys of all accounts.
    keys: HashMap<String, Arc<AccessKey>>,
}

/// Shows that its holder alone changes identities.
pub struct Changing<'a>(#[allow(dead_code, reason = "held, not read")] tokio::sync::MutexGuard<'a, ()>);

impl Identities {
    /// Reads all identities.
    ///
    /// # Errors
    /// A row that cannot be read, or is missing where another one needs it.
    pub async fn load(
        kv: Arc<dyn Kv>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
        vault: Arc<Vault>,
        epoch: Epoch,
    ) -> Result<Self, ReadError> {
        let (accounts, used) = load::everything(&*kv).await?;
        let keys = accounts.values().flat_map(|account| account.keys().map(|key| (key.id.clone(), key.clone())));
        let keys = keys.collect();
        let accounts = accounts.into_iter().map(|(id, account)| (id, Arc::new(account))).collect();
        let world = RwLock::new(World { accounts, keys });
        let changing = tokio::sync::Mutex::new(());
        Ok(Self { inner: Arc::new(Inner { kv, clock, random, vault, epoch, world, changing, used }) })
    }

    pub(crate) fn inner(&self) -> &Inner {
        &self.inner
    }

    /// The time now.
    pub fn now(&self) -> Timestamp {
        // IAM's times are whole seconds.
        Timestamp::from_seconds(self.inner.clock.now().seconds())
    }

    /// A new unique id.
    pub(crate) fn new_id(&self, prefix: &str) -> String {
        unique::id(&*self.inner.random, prefix)
    }

    /// The identities of an account now; of one that has none, or does not exist, an empty snapshot.
    pub fn account(&self, id: AccountId) -> Arc<Account> {
        let known = self.inner.world.read().unwrap_or_else(PoisonError::into_inner).accounts.get(&id).cloned();
        known.unwrap_or_else(|| Arc::new(Account::new(id)))
    }

    /// A user by name, whatever the case.
    pub fn user(&self, account: AccountId, name: &str) -> Option<Arc<Entity>> {
        self.account(account).user(name).cloned()
    }

    /// A group by name, whatever the case.
    pub fn group(&self, account: AccountId, name: &str) -> Option<Arc<Entity>> {
        self.account(account).group(name).cloned()
    }

    /// A role by name, whatever the case; [`Entity::role`] has its trust policy.
    pub fn role(&self, account: AccountId, name: &str) -> Option<Arc<Entity>> {
        self.account(account).role(name).cloned()
    }

    /// A managed policy that the account can use: its own, or AWS's. [`Account::compiled`] has its compiled default version.
    pub fn managed_policy(&self, account: AccountId, arn: &str) -> Option<Arc<ManagedPolicy>> {
        self.account(account).policy(arn).cloned()
    }

    /// A user, group or role by its ARN, in the account that the ARN names.
    pub fn by_arn(&self, arn: &str) -> Option<Arc<Entity>> {
        let account: AccountId = arn.split(':').nth(4)?.parse().ok()?;
        self.account(account).by_arn(arn).cloned()
    }

    /// The user or role behind a principal, unless another one has its name now.
    pub fn behind(&self, principal: &Principal) -> Option<(Arc<Account>, Arc<Entity>)> {
        let (account, kind, name, id) = match principal {
            Principal::User { account, name, id, .. } => (*account, Kind::User, name, id),
            Principal::Role { account, name, id, .. } => (*account, Kind::Role, name, id),
            Principal::Federated { user, .. } => return self.behind(user),
            Principal::Anonymous | Principal::Root(_) | Principal::Service { .. } => return None,
        };
        let account = self.account(account);
        let entity = account.entity(kind, name).filter(|entity| entity.id == *id).cloned()?;
        Some((account, entity))
    }

    /// Waits until nobody else changes identities. A change reads, is decided and commits under it.
    pub async fn changing(&self) -> Changing<'_> {
        Changing(self.inner.changing.lock().await)
    }

    /// Commits a change and makes it known: when this returns, every later decision sees it. `pin` is the epoch at which it was decided; since
    /// every change of identities raises the epoch, it also vouches for what the draft was made from.
    ///
    /// Not to be dropped midway (run it in a task of its own): the store would know what memory does not.
    ///
    /// # Errors
    /// `Outdated` when it is to be decided anew; others of the store.
    pub async fn commit(&self, _: &Changing<'_>, draft: Draft, pin: Pin) -> Result<(), StateError> {
        let Some((batch, publish)) = draft.into_batch(pin)? else { return Ok(()) };
        let change = self.inner.epoch.change().await;
        match self.inner.kv.commit(batch).await {
            Ok(_) => {}
            Err(CommitError::Conflict(_)) => {
                drop(change);
                self.inner.epoch.refresh().await?;
                return Err(StateError::Outdated);
            }
            Err(error) => return Err(error.into()),
        }
        self.publish(publish);
        // Decisions that began before have an older pin, and what they allow is not committed.
        Ok(change.known().await?)
    }

    fn publish(&self, publish: draft::Publish) {
        let mut world = self.inner.world.write().unwrap_or_else(PoisonError::into_inner);
        for key in publish.keys {
            match key {
                draft::KeyChange::Put(key) => world.keys.insert(key.id.clone(), key),
                draft::KeyChange::Remove(id) => world.keys.remove(&id),
            };
        }
        world.accounts.insert(publish.account.id(), Arc::new(publish.account));
    }

    /// An access key by its id, of any account.
    pub(crate) fn key(&self, id: &str) -> Option<Arc<AccessKey>> {
        self.inner.world.read().unwrap_or_else(PoisonError::into_inner).keys.get(id).cloned()
    }

    /// A batch of upkeep: not a change of identities.
    async fn commit_quietly(&self, batch: Batch) -> Result<(), CommitError> {
        self.inner.kv.commit(batch).await.map(drop)
    }
}

#[cfg(test)]
mod tests;
