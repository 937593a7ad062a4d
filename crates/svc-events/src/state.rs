//! The service's state: reads from memory, and commits that keep it true.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use bytes::Bytes;
use millpond_io::{Clock, Random};
use millpond_kernel::streams::Consumers;
use millpond_kernel::timers::Timers;
use millpond_kernel::{Authorized, Caller, Epoch, Kernel, PassRole, Pin, ServiceIdentity, to_its_end};
use millpond_meta::{Batch, Committed, Cond, Key as RowKey, Kv, Op};
use millpond_outbound::Outbound;
use millpond_seal::{Envelope, Purpose, Vault};
use millpond_types::{AccountId, Arn, Timestamp};
use prost::Message;
use tokio::sync::Mutex;

use crate::errors::{EventsError, Failure};
use crate::inputs::{Input, Resolved, Touched};
use crate::load::{self, OpenError};
use crate::memory::{Change, Maps};
use crate::model::{Bus, Stored};
use crate::names::{BusName, Names};
use crate::rows::{self, BusRow};
use crate::{EventsParts, tables};

/// The name of who reads the buses; in the rows of cursors.
pub(crate) const READER: &str = "events";
/// The principal that we are.
pub(crate) const PRINCIPAL: &str = "events.amazonaws.com";

/// What the service works with.
pub(crate) struct Core {
    pub kernel: Arc<Kernel>,
    pub kv: Arc<dyn Kv>,
    pub vault: Arc<Vault>,
    /// Seals what events say.
    pub envelope: Envelope,
    pub clock: Arc<dyn Clock>,
    pub random: Arc<dyn Random>,
    pub consumers: Consumers,
    pub timers: Timers,
    pub outbound: Outbound,
    pub names: Names,
    pub identity: ServiceIdentity,
    /// Access tokens of connections, and how fast API destinations are called.
    pub callers: crate::destinations::Callers,
    maps: RwLock<Maps>,
    /// Held by whoever changes anything, from before it is decided until memory is true to the commit.
    changing: Mutex<()>,
}

/// A commit being put together: conditions, rows, and what they change in memory.
#[derive(Default)]
pub(crate) struct Draft {
    conds: Vec<Cond>,
    ops: Vec<Op>,
    changes: Vec<Change>,
    /// Streams that are read from now on, or no more.
    begun: Vec<RowKey>,
    ended: Vec<RowKey>,
    /// Whether it changes a policy.
    policies: bool,
    urgent: bool,
}

impl Draft {
    pub fn new() -> Self {
        Self::default()
    }

    /// Frees space, so that it may use the reserve of a full disk.
    pub fn urgent(mut self) -> Self {
        self.urgent = true;
        self
    }

    /// Changes a policy: decisions before it are void.
    pub fn policies(&mut self) {
        self.policies = true;
    }

    pub fn cond(&mut self, cond: Cond) {
        if !self.conds.contains(&cond) {
            self.conds.push(cond);
        }
    }

    pub fn op(&mut self, op: Op) {
        self.ops.push(op);
    }

    pub fn ops(&mut self, ops: impl IntoIterator<Item = Op>) {
        self.ops.extend(ops);
    }

    pub fn change(&mut self, change: Change) {
        self.changes.push(change);
    }

    /// Writes a row that is new, or that stands as it was read.
    pub fn put<R: Message>(&mut self, key: RowKey, before: Option<&Bytes>, row: R) -> Stored<R> {
        self.cond(match before {
            Some(bytes) => Cond::Equals(key.clone(), bytes.clone()),
            None => Cond::Absent(key.clone()),
        });
        let bytes = rows::encode(&row);
        self.op(Op::Put(key, bytes.clone()));
        Stored { bytes, row }
    }

    /// Removes a row that stands as it was read.
    pub fn delete(&mut self, key: RowKey, before: &Bytes) {
        self.cond(Cond::Equals(key.clone(), before.clone()));
        self.op(Op::Delete(key));
    }

    /// Makes sure that a bus is there when this is committed; a default bus gets its row now.
    pub fn need(&mut self, core: &Core, bus: &Arc<Bus>) -> Result<(), EventsError> {
        let key = tables::bus(bus.name.account, &bus.name.name);
        if bus.stored.is_some() {
            self.cond(Cond::Present(key));
            return Ok(());
        }
        let now = core.now().0;
        self.bus(core, bus, BusRow { created: now, modified: now, next_number: 1, ..BusRow::default() }).map(drop)
    }

    /// Writes a bus's row.
    pub fn bus(&mut self, core: &Core, bus: &Arc<Bus>, mut row: BusRow) -> Result<Arc<Bus>, EventsError> {
        row.next_number = row.next_number.max(1);
        if row.created == 0 {
            row.created = core.now().0;
        }
        let key = tables::bus(bus.name.account, &bus.name.name);
        let stored = self.put(key, bus.stored.as_ref().map(|stored| &stored.bytes), row);
        if bus.stored.is_none() {
            let stream = tables::events(bus.name.account, &bus.name.name);
            self.op(core.consumers.begin(READER, &stream));
            self.begun.push(stream);
        }
        let changed = Bus::of(bus.name.clone(), bus.arn.clone(), stored).map(Arc::new);
        let changed = changed.ok_or_else(|| EventsError::Internal("a bus cannot be read back".to_owned()))?;
        self.change(Change::Bus(Arc::clone(&changed)));
        Ok(changed)
    }

    /// Removes a bus's row; nobody reads its stream any more.
    pub fn end(&mut self, core: &Core, bus: &Bus) {
        let stream = tables::events(bus.name.account, &bus.name.name);
        self.op(core.consumers.end(READER, &stream));
        self.ended.push(stream);
        self.change(Change::BusGone(bus.name.clone()));
    }
}

impl Core {
    pub async fn open(parts: EventsParts) -> Result<Self, OpenError> {
        let EventsParts { kernel, kv, vault, clock, random, consumers, timers, outbound } = parts;
        let names = Names::new(kernel.region().clone());
        let maps = RwLock::new(load::load(&*kv, &names).await?);
        let identity = kernel.register(PRINCIPAL);
        let envelope = Envelope::new(vault.clone(), random.clone(), Purpose::Event);
        let (changing, callers) = (Mutex::default(), crate::destinations::Callers::default());
        Ok(Self {
            kernel,
            kv,
            vault,
            envelope,
            clock,
            random,
            consumers,
            timers,
            outbound,
            names,
            identity,
            callers,
            maps,
            changing,
        })
    }

    /// Everything in memory. Not to be held over a wait.
    pub fn maps(&self) -> RwLockReadGuard<'_, Maps> {
        self.maps.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn maps_mut(&self) -> RwLockWriteGuard<'_, Maps> {
        self.maps.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The time, in whole milliseconds: what answers show is what is kept.
    pub fn now(&self) -> Timestamp {
        Timestamp(self.clock.now().millis().saturating_mul(1_000_000))
    }

    /// The account in which a caller's plain names are looked up.
    pub fn account_of(&self, caller: &Caller) -> AccountId {
        caller.account().unwrap_or(self.kernel.account())
    }

    /// Whether an account exists here.
    pub fn knows(&self, account: AccountId) -> bool {
        let directory = self.kernel.directory();
        account == self.kernel.account() || directory.is_some_and(|directory| directory.account_exists(account))
    }

    /// A bus that exists.
    pub fn bus(&self, name: &BusName) -> Option<Arc<Bus>> {
        self.knows(name.account).then(|| self.maps().bus(name, &self.names)).flatten()
    }

    /// Decides. Every operation of every caller passes here. `pin` is from before anything was looked up.
    pub async fn decide<I: Input>(
        &self,
        pin: Pin,
        caller: &Caller,
        touched: Touched,
    ) -> Result<Authorized<Resolved>, EventsError> {
        Ok(self.kernel.authorize_since(pin, caller, Resolved::new(I::ACTION, touched)).await?)
    }

    /// Decides over an operation on something of the caller's own account that has no policy.
    pub async fn on_own<I: Input>(&self, caller: &Caller, arn: Arn) -> Result<Pin, EventsError> {
        let (pin, account) = (self.kernel.epoch().now(), self.account_of(caller));
        Ok(self.decide::<I>(pin, caller, Touched::plain(arn, account)).await?.pin())
    }

    /// Decides over an operation that has no resource.
    pub async fn on_account<I: Input>(&self, caller: &Caller) -> Result<Pin, EventsError> {
        self.on_own::<I>(caller, Arn::any()).await
    }

    /// Whether the caller may have us act as a role.
    pub async fn pass_role(&self, pin: Pin, caller: &Caller, role: &str, of: &Arn) -> Result<(), EventsError> {
        let pass = PassRole::new(role, PRINCIPAL, Some(of.clone()))
            .ok_or_else(|| EventsError::parameter("RoleArn", "Provided role ARN is not in correct format."))?;
        self.kernel.authorize_since(pin, caller, pass).await?;
        Ok(())
    }

    /// Commits, and makes memory true to it before it is acknowledged. `pin` is the epoch at which it was decided; `None` for what nobody asked for.
    ///
    /// To be called by what [`Self::detached`] runs.
    pub async fn commit(&self, pin: Option<Pin>, draft: Draft) -> Result<Committed, Failure> {
        let Draft { mut conds, mut ops, changes, begun, ended, policies, urgent } = draft;
        conds.extend(pin.map(Pin::cond));
        let change = match policies {
            true => {
                ops.push(Epoch::raise());
                Some(self.kernel.epoch().change().await)
            }
            false => None,
        };
        let done = self.kv.commit(Batch { conds, ops, idem: None, urgent }).await?;
        {
            let mut maps = self.maps_mut();
            changes.into_iter().for_each(|change| maps.apply(change));
        }
        begun.iter().for_each(|stream| self.consumers.follow(READER, stream));
        ended.iter().for_each(|stream| self.consumers.forget(READER, stream));
        if let Some(change) = change {
            change.known().await?;
        }
        Ok(done)
    }

    /// Runs a change to its end, though nobody may wait for it any more; anew when what it was decided by has changed.
    pub async fn detached<T, F>(
        self: &Arc<Self>,
        change: impl Fn(Arc<Self>) -> F + Send + Sync + 'static,
    ) -> Result<T, EventsError>
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
}
