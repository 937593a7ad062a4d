//! The service's state: tables in memory, decisions, and commits that keep memory true.

use std::ops::Bound;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use bytes::Bytes;
use millpond_io::{Clock, Random};
use millpond_kernel::{Authorized, Caller, Epoch, Kernel, Pin};
use millpond_meta::key::{prefix_range, successor};
use millpond_meta::{Batch, Cond, Key as RowKey, Kv, Op, ReadError, Scan};
use millpond_seal::{Envelope, Purpose, Vault};
use millpond_types::{AccountId, Arn, Timestamp};
use prost::Message;
use tokio::sync::Notify;

use crate::errors::{DynamoError, Failure};
use crate::inputs::{Asked, Input, Touch, joined};
use crate::limits;
use crate::model::{Table, Tables};
use crate::names;
use crate::stream::known::Stream;
use crate::stream::port::Waiting;
use crate::stream::rows::StreamRow;
use crate::stripes::Stripes;
use crate::tables::{self, TableRow};
use crate::ttl::due::Earliest;

/// What the service works with.
pub(crate) struct Core {
    pub kernel: Arc<Kernel>,
    pub clock: Arc<dyn Clock>,
    pub random: Arc<dyn Random>,
    pub kv: Arc<dyn Kv>,
    /// Seals what is handed out, such as iterators.
    pub vault: Arc<Vault>,
    /// Seals items, and records of streams.
    pub envelope: Envelope,
    tables: RwLock<Tables>,
    /// Held by whoever changes tables themselves, from before it is decided until memory is true to the commit.
    pub changing: tokio::sync::Mutex<()>,
    /// Writers of one item take turns.
    pub stripes: Stripes,
    /// Woken when there is something to be done in the background.
    pub work: Notify,
    /// Woken when time to live of a table was switched.
    pub filling: Notify,
    /// From where on items may be due to be deleted by time.
    pub earliest: Earliest,
    /// Who waits for records of streams.
    pub waiting: Waiting,
}

/// A change of a table's row.
pub(crate) struct TableChange {
    pub conds: Vec<Cond>,
    pub ops: Vec<Op>,
    /// Whether anybody's rights change by it.
    pub policies: bool,
    /// Whether it frees space, so that it may use the reserve of a full disk.
    pub urgent: bool,
}

/// A row, read.
pub(crate) fn decode<M: Message + Default>(row: &Bytes, what: &str) -> Result<M, ReadError> {
    M::decode(row.as_ref()).map_err(|error| ReadError::Damaged(format!("tables: {what}: {error}")))
}

/// A row, to be written.
pub(crate) fn encode(row: &impl Message) -> Bytes {
    row.encode_to_vec().into()
}

/// What a counter says.
pub(crate) fn count(row: Option<&Bytes>) -> i64 {
    row.and_then(|row| <[u8; 8]>::try_from(row.as_ref()).ok()).map_or(0, i64::from_le_bytes)
}

impl Core {
    pub async fn open(
        kv: Arc<dyn Kv>,
        kernel: Arc<Kernel>,
        vault: Arc<Vault>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Result<Self, ReadError> {
        let envelope = Envelope::new(Arc::clone(&vault), Arc::clone(&random), Purpose::Item);
        let core = Self {
            kernel,
            clock,
            random,
            kv,
            vault,
            envelope,
            tables: RwLock::default(),
            changing: tokio::sync::Mutex::default(),
            stripes: Stripes::default(),
            work: Notify::new(),
            filling: Notify::new(),
            earliest: Earliest::default(),
            waiting: Waiting::default(),
        };
        for (key, raw) in core.rows(Bytes::from_static(&[tables::TABLES])).await? {
            let malformed = |error: millpond_meta::key::MalformedKey| ReadError::Damaged(format!("tables: {error}"));
            let (account, name) = tables::account_and_name(&key).map_err(malformed)?;
            let table = Table::of_row(core.kernel.region(), account, &name, raw, None)?;
            core.tables_mut().insert(Arc::new(table));
        }
        Ok(core)
    }

    /// All tables. Not to be held over a wait.
    pub fn tables(&self) -> RwLockReadGuard<'_, Tables> {
        self.tables.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn tables_mut(&self) -> RwLockWriteGuard<'_, Tables> {
        self.tables.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The time, in milliseconds since the epoch.
    pub fn millis(&self) -> u64 {
        self.clock.now().millis()
    }

    /// The time now.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The table that a request names, by name or by ARN: its ARN, its account, and the table if there is one.
    pub fn named(&self, caller: &Caller, text: &str) -> Result<(Arn, AccountId, Option<Arc<Table>>), DynamoError> {
        let (account, name) = names::table(text, self.kernel.region(), caller.account())?;
        let found = self.tables().named(account, name).cloned();
        let arn = match &found {
            Some(table) => table.arn.clone(),
            None => names::arn(self.kernel.region(), account, name),
        };
        Ok((arn, account, found))
    }

    /// Decides. `pin` is the epoch before the touched were looked up.
    pub async fn decide<I: Input>(
        &self,
        pin: Pin,
        caller: &Caller,
        touches: Vec<Touch>,
        tags: Vec<(String, Option<String>)>,
    ) -> Result<Authorized<Asked<I>>, DynamoError> {
        let touches = if touches.len() > 1 { joined(touches) } else { touches };
        Ok(self.kernel.authorize_since(pin, caller, Asked::<I>::new(touches, tags)).await?)
    }

    /// Decides about one table for an operation on tables, and gives it. That there is none is told to those who might have used it.
    pub async fn on_table<I: Input>(
        &self,
        caller: &Caller,
        text: &str,
    ) -> Result<(Authorized<Asked<I>>, Arc<Table>), DynamoError> {
        let pin = self.kernel.epoch().now();
        let (arn, account, table) = self.named(caller, text)?;
        let touch = Touch::table(I::ACTION, arn, account, table.as_ref());
        let authorized = self.decide::<I>(pin, caller, vec![touch], Vec::new()).await?;
        let name = || text.rsplit('/').next().unwrap_or_default();
        Ok((authorized, table.ok_or_else(|| crate::errors::no_table_named(name()))?))
    }

    /// Carries a call out, anew when what it was decided by changes under it.
    pub async fn again<T, F: Future<Output = Result<T, Failure>>>(
        &self,
        mut call: impl FnMut() -> F,
    ) -> Result<T, DynamoError> {
        for _ in 0..limits::ATTEMPTS {
            match call().await {
                Ok(done) => return Ok(done),
                Err(Failure::Error(error)) => return Err(error),
                Err(Failure::Changed) => self.caught_up().await?,
            }
        }
        Err(DynamoError::Busy)
    }

    /// Waits until memory knows what others have committed: policies, and tables.
    pub async fn caught_up(&self) -> Result<(), DynamoError> {
        self.kernel.epoch().refresh().await?;
        drop(self.changing.lock().await);
        Ok(())
    }

    /// Carries out a change of tables: to its end when its request is dropped, one after the other, and anew when policies change under it.
    pub async fn detached<T, F>(
        self: &Arc<Self>,
        change: impl Fn(Arc<Core>) -> F + Send + Sync + 'static,
    ) -> Result<T, DynamoError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Failure>> + Send,
    {
        let core = Arc::clone(self);
        let task = tokio::spawn(async move {
            for _ in 0..limits::ATTEMPTS {
                {
                    let _changing = core.changing.lock().await;
                    match change(Arc::clone(&core)).await {
                        Ok(done) => return Ok(done),
                        Err(Failure::Error(error)) => return Err(error),
                        Err(Failure::Changed) => {}
                    }
                }
                core.kernel.epoch().refresh().await?;
            }
            Err(DynamoError::Busy)
        });
        task.await.map_err(|error| DynamoError::Internal(error.to_string()))?
    }

    /// Commits a change of tables, and has it in memory before it is acknowledged. `pin` is the epoch at which it was decided; `None` for what
    /// nobody asked for.
    ///
    /// To be called with `changing` held.
    async fn settle(
        &self,
        pin: Option<Pin>,
        change: TableChange,
        apply: impl FnOnce(&mut Tables),
    ) -> Result<(), Failure> {
        let TableChange { mut conds, mut ops, policies, urgent } = change;
        conds.extend(pin.map(Pin::cond));
        let epoch = if policies {
            ops.push(Epoch::raise());
            Some(self.kernel.epoch().change().await)
        } else {
            None
        };
        self.kv.commit(Batch { conds, ops, idem: None, urgent }).await?;
        apply(&mut self.tables_mut());
        if let Some(epoch) = epoch {
            epoch.known().await?;
        }
        Ok(())
    }

    /// Makes a table. `changing` is held.
    pub async fn make(
        &self,
        pin: Pin,
        (account, name): (AccountId, &str),
        row: &TableRow,
        mut ops: Vec<Op>,
    ) -> Result<Arc<Table>, Failure> {
        let (key, raw) = (tables::table(account, name), encode(row));
        let table = Table::of_row(self.kernel.region(), account, name, raw.clone(), None)?;
        let table = Arc::new(table);
        ops.push(Op::Put(key.clone(), raw));
        ops.push(Op::Put(tables::shape(table.id), tables::shape_value(row.shape)));
        let policies = row.policy.is_some();
        let change = TableChange { conds: vec![Cond::Absent(key)], ops, policies, urgent: false };
        let made = Arc::clone(&table);
        self.settle(Some(pin), change, move |tables| tables.insert(made)).await?;
        Ok(table)
    }

    /// Writes a table's changed row. `changing` is held. Where writes of items depend on what is changed, `row.shape` was raised.
    pub async fn rewrite(
        &self,
        pin: Option<Pin>,
        before: &Table,
        row: &TableRow,
        mut ops: Vec<Op>,
    ) -> Result<Arc<Table>, Failure> {
        let (key, raw) = (tables::table(before.account, &before.name), encode(row));
        let meters = Arc::clone(&before.meters);
        let table = Table::of_row(self.kernel.region(), before.account, &before.name, raw.clone(), Some(meters))?;
        let table = Arc::new(table);
        let conds = vec![Cond::Equals(key.clone(), before.raw.clone())];
        ops.push(Op::Put(key, raw));
        if row.shape != before.row.shape {
            ops.push(Op::Put(tables::shape(table.id), tables::shape_value(row.shape)));
        }
        // A tag can be what a policy asks for.
        let policies = row.policy != before.row.policy || row.tags != before.row.tags;
        let change = TableChange { conds, ops, policies, urgent: false };
        let made = Arc::clone(&table);
        self.settle(pin, change, move |tables| tables.insert(made)).await?;
        Ok(table)
    }

    /// Writes a stream's changed row: it has another policy. `changing` is held.
    pub async fn rewrite_stream(&self, pin: Pin, stream: &Stream, row: &StreamRow) -> Result<(), Failure> {
        let (cond, op) = stream.rewritten(row);
        let change = TableChange { conds: vec![cond], ops: vec![op], policies: true, urgent: false };
        self.settle(Some(pin), change, |_| {}).await
    }

    /// Removes a table; its rows go in the background. `changing` is held.
    pub async fn unmake(&self, pin: Pin, table: &Arc<Table>, mut ops: Vec<Op>) -> Result<(), Failure> {
        let key = tables::table(table.account, &table.name);
        let conds = vec![Cond::Equals(key.clone(), table.raw.clone())];
        ops.extend([
            Op::Delete(key),
            Op::Delete(tables::shape(table.id)),
            Op::Put(tables::of_index(tables::REMOVED, table.id, tables::WHOLE), table.raw.clone()),
        ]);
        let change = TableChange { conds, ops, policies: true, urgent: true };
        self.settle(Some(pin), change, |tables| tables.remove(table)).await?;
        self.work.notify_one();
        Ok(())
    }

    /// All rows that begin with a prefix. For those of which there are not many.
    pub async fn rows(&self, prefix: RowKey) -> Result<Vec<(RowKey, Bytes)>, ReadError> {
        let (mut from, to) = prefix_range(prefix);
        let mut all = Vec::new();
        loop {
            let page = self.page(from, to.clone(), limits::BACKGROUND_ROWS).await?;
            let next = page.last().filter(|_| page.len() == limits::BACKGROUND_ROWS).map(|(last, _)| successor(last));
            all.extend(page);
            match next {
                Some(next) => from = next,
                None => return Ok(all),
            }
        }
    }

    /// Rows from a key on.
    pub async fn page(&self, from: RowKey, to: RowKey, limit: usize) -> Result<Vec<(RowKey, Bytes)>, ReadError> {
        if from >= to {
            return Ok(Vec::new());
        }
        let scan = Scan { from: Bound::Included(from), to: Bound::Excluded(to), reverse: false, limit };
        self.kv.scan(scan).await
    }
}
