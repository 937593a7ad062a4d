//! What the service works with: rows read and written, decisions, and the resource policies of catalogs in memory.

use std::collections::HashMap;
use std::ops::Bound;
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use millpond_io::{Clock, Random};
use millpond_kernel::timers::Timers;
use millpond_kernel::{Authorized, Caller, Epoch, Kernel, Named, Pin, PolicySource, Principal, ServiceIdentity};
use millpond_meta::key::{MalformedKey, prefix_range, successor};
use millpond_meta::{Batch, Cond, Key, Kv, Op, ReadError, Scan};
use millpond_policy::{Policy, PolicyKind};
use millpond_seal::{Envelope, Purpose};
use millpond_types::{AccountId, Arn};
use prost::Message;
use tokio::sync::Notify;

use crate::crawling::runner::Runs;
use crate::crawling::schemas::Schemas;
use crate::crawling::state::PRINCIPAL;
use crate::errors::{Failure, GlueError, no_database, no_table};
use crate::inputs::{Input, Touch};
use crate::limits::PAGE;
use crate::tables::{self, DatabaseRow, Id, PolicyRow, TableRow};
use crate::{GlueParts, names, tables::database_stands};

/// Resource policies name principals, and actions of this service alone.
pub(crate) const POLICY: PolicyKind = PolicyKind::Resource { service: "glue" };

/// What the service works with.
pub(crate) struct Core {
    pub kernel: Arc<Kernel>,
    pub kv: Arc<dyn Kv>,
    pub clock: Arc<dyn Clock>,
    pub random: Arc<dyn Random>,
    /// Seals definitions.
    pub envelope: Envelope,
    /// The resource policy of each account that has one.
    policies: RwLock<HashMap<AccountId, Named>>,
    /// Held by whoever changes policies, from before the decision until memory follows.
    pub changing: tokio::sync::Mutex<()>,
    /// Told when something is to be removed.
    pub removal: Notify,
    /// Where the service's timers are.
    pub timers: Timers,
    /// Shows that it is this service that acts as a crawler's role.
    pub identity: ServiceIdentity,
    /// Who tells schemas.
    pub schemas: Arc<dyn Schemas>,
    /// Crawls of this process.
    pub runs: Runs,
}

/// A database as it was read.
#[derive(Clone, Debug)]
pub(crate) struct Database {
    pub key: Key,
    pub name: String,
    pub id: Id,
    pub row: DatabaseRow,
    pub raw: Bytes,
}

impl Database {
    /// It is there still.
    pub fn stands(&self) -> Cond {
        database_stands(self.key.clone(), &self.row)
    }

    /// It is as it was read.
    pub fn unchanged(&self) -> Cond {
        Cond::Equals(self.key.clone(), self.raw.clone())
    }
}

/// A table as it was read.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    pub key: Key,
    pub name: String,
    pub id: Id,
    pub row: TableRow,
    pub raw: Bytes,
}

impl Table {
    /// It is there still, with as many partition keys.
    pub fn stands(&self) -> Cond {
        tables::table_stands(self.key.clone(), &self.raw, &self.row)
    }

    /// It is as it was read.
    pub fn unchanged(&self) -> Cond {
        Cond::Equals(self.key.clone(), self.raw.clone())
    }
}

/// Where an operation on a table is allowed.
pub(crate) struct On {
    pub pin: Pin,
    pub owner: AccountId,
    /// The name of the database, as it is kept.
    pub database: String,
    pub table: Table,
}

/// What a request says about the table that it is about.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    pub catalog: Option<&'a str>,
    pub database: &'a str,
    pub table: &'a str,
}

pub(crate) fn decode<R: Message + Default>(row: &[u8]) -> Result<R, ReadError> {
    R::decode(row).map_err(|error| ReadError::Damaged(format!("data catalog: {error}")))
}

fn id_of(bytes: &[u8]) -> Result<Id, ReadError> {
    let id = <[u8; 16]>::try_from(bytes).map_err(|_| ReadError::Damaged("a row without an id".to_owned()))?;
    Ok(Id::from_be_bytes(id))
}

pub(crate) fn database_of(key: Key, raw: Bytes) -> Result<Database, GlueError> {
    let row: DatabaseRow = decode(&raw)?;
    Ok(Database { name: tables::database_name(&key)?, id: id_of(&row.id)?, key, row, raw })
}

pub(crate) fn table_of(key: Key, raw: Bytes) -> Result<Table, GlueError> {
    let row: TableRow = decode(&raw)?;
    Ok(Table { name: tables::table_name(&key)?, id: id_of(&row.id)?, key, row, raw })
}

impl Core {
    pub async fn open(parts: GlueParts) -> Result<Self, ReadError> {
        let GlueParts { kv, kernel, clock, random, vault, timers, schemas } = parts;
        let core = Self {
            kv,
            clock,
            envelope: Envelope::new(vault, random.clone(), Purpose::CatalogEntry),
            random,
            policies: RwLock::default(),
            changing: tokio::sync::Mutex::default(),
            removal: Notify::new(),
            timers,
            identity: kernel.register(PRINCIPAL),
            schemas,
            runs: Runs::default(),
            kernel,
        };
        for (key, raw) in core.rows(Bytes::from_static(&[tables::POLICIES])).await? {
            let malformed = |error: MalformedKey| ReadError::Damaged(error.to_string());
            let account = tables::account_of(&key).map_err(malformed)?;
            core.policy_is(account, Some(&decode(&raw)?));
        }
        Ok(core)
    }

    /// Now, in nanoseconds, without the fraction of a second: as answers show times.
    pub fn now(&self) -> u64 {
        let now = self.clock.now().0;
        now - now % 1_000_000_000
    }

    pub fn random_id(&self) -> Id {
        let mut bytes = [0; 16];
        self.random.fill(&mut bytes);
        Id::from_be_bytes(bytes)
    }

    /// An ARN of the catalog or what lies in it.
    pub fn arn(&self, account: AccountId, resource: &str) -> Arn {
        Arn::new("glue", self.kernel.region().as_str(), account.as_str(), resource)
    }

    /// The ARN of a log group.
    pub fn arn_of_logs(&self, account: AccountId, group: &str) -> Arn {
        Arn::new("logs", self.kernel.region().as_str(), account.as_str(), &format!("log-group:{group}"))
    }

    fn with_policy<I: Input>(&self, caller: &Caller, touch: Touch<I>) -> Touch<I> {
        let owner = touch.owner();
        // Who owns the account can always change a policy that shuts all out.
        let own = I::NAME.contains("ResourcePolic") && *caller.principal() == Principal::Root(owner);
        let policy = self.policies.read().unwrap_or_else(PoisonError::into_inner).get(&owner).cloned();
        let policy = policy.filter(|_| !own && touch.is_of_catalog());
        touch.with_policy(policy)
    }

    /// Decides. Every operation passes here.
    pub async fn authorize<I: Input>(
        &self,
        caller: &Caller,
        touch: Touch<I>,
    ) -> Result<Authorized<Touch<I>>, GlueError> {
        let pin = self.kernel.epoch().now();
        Ok(self.kernel.authorize_since(pin, caller, self.with_policy(caller, touch)).await?)
    }

    /// Whether a search may show what it found.
    pub async fn would_allow<I: Input>(&self, caller: &Caller, touch: Touch<I>) -> Result<bool, GlueError> {
        use millpond_kernel::Refusal;
        match self.kernel.would_allow(caller, &self.with_policy(caller, touch)).await {
            Ok(()) => Ok(true),
            Err(Refusal::Denied(_)) => Ok(false),
            Err(other) => Err(other.into()),
        }
    }

    pub async fn find_database(&self, owner: AccountId, name: &str) -> Result<Option<Database>, GlueError> {
        let key = tables::database(owner, name);
        self.kv.get(&key).await?.map(|raw| database_of(key, raw)).transpose()
    }

    pub async fn find_table(&self, database: Id, name: &str) -> Result<Option<Table>, GlueError> {
        let key = tables::table(database, name);
        self.kv.get(&key).await?.map(|raw| table_of(key, raw)).transpose()
    }

    /// The table that a request is about, which its caller may touch.
    pub async fn on_table<I: Input>(
        &self,
        caller: &Caller,
        account: AccountId,
        input: &I,
        place: Place<'_>,
    ) -> Result<On, Failure> {
        let (pin, database) = self.in_database(caller, account, input, place, &[place.table]).await?;
        let name = names::table(place.table)?;
        let owner = names::catalog(account, place.catalog)?;
        let database = database.ok_or_else(|| no_database(place.database))?;
        let table = self.find_table(database.id, &name).await?.ok_or_else(|| no_table(&name))?;
        Ok(On { pin, owner, database: database.name, table })
    }

    /// The database that a request is about, on some tables of which its caller may do what it asks for.
    pub async fn in_database<I: Input>(
        &self,
        caller: &Caller,
        account: AccountId,
        input: &I,
        place: Place<'_>,
        touched: &[&str],
    ) -> Result<(Pin, Option<Database>), Failure> {
        let owner = names::catalog(account, place.catalog)?;
        let name = names::database(place.database)?;
        let database = self.find_database(owner, &name).await?;
        let mut touch =
            Touch::database(self, input, owner, &name).tagged(database.as_ref().map(|found| &found.row.tags));
        for table in touched {
            let table = if *table == "*" { "*".to_owned() } else { names::table(table)? };
            touch = touch.and(self.arn(owner, &format!("table/{name}/{table}")));
        }
        let authorized = self.authorize(caller, touch).await?;
        Ok((authorized.pin(), database))
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

    /// Commits a change that was decided at `pin`. What deletes may use the reserve of a full disk.
    pub async fn commit(&self, pin: Pin, mut conds: Vec<Cond>, ops: Vec<Op>, deletes: bool) -> Result<(), Failure> {
        conds.push(pin.cond());
        self.kv.commit(Batch { conds, ops, urgent: deletes, ..Batch::default() }).await?;
        Ok(())
    }

    /// The resource policy of an account's catalog.
    pub async fn policy_row(&self, account: AccountId) -> Result<Option<PolicyRow>, GlueError> {
        let raw = self.kv.get(&tables::policy(account)).await?;
        Ok(raw.map(|raw| decode(&raw)).transpose()?)
    }

    /// Commits a change of an account's policy, which memory follows before it is acknowledged. With `changing` held.
    pub async fn commit_policy(&self, pin: Pin, account: AccountId, row: Option<&PolicyRow>) -> Result<(), Failure> {
        let key = tables::policy(account);
        let op = row.map_or_else(|| Op::Delete(key.clone()), |row| Op::Put(key.clone(), tables::encode(row)));
        let change = self.kernel.epoch().change().await;
        let ops = vec![op, Epoch::raise()];
        self.kv.commit(Batch { conds: vec![pin.cond()], ops, urgent: row.is_none(), ..Batch::default() }).await?;
        self.policy_is(account, row);
        change.known().await?;
        Ok(())
    }

    fn policy_is(&self, account: AccountId, row: Option<&PolicyRow>) {
        let parsed = row.and_then(|row| match Policy::parse(&row.text, POLICY) {
            Ok(mut policy) => {
                policy.bind(&row.ids);
                Some(policy)
            }
            Err(error) => {
                // What cannot be read allows nothing.
                tracing::error!(%error, "the resource policy of a data catalog cannot be read");
                None
            }
        });
        let named = parsed.map(|policy| Named {
            source: PolicySource::Resource { arn: self.arn(account, "catalog").to_string() },
            policy: Arc::new(policy),
        });
        let mut policies = self.policies.write().unwrap_or_else(PoisonError::into_inner);
        match named {
            Some(named) => drop(policies.insert(account, named)),
            None => drop(policies.remove(&account)),
        }
    }
}
