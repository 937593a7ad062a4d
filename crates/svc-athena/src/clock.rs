//! What happens by time: executions and tokens are forgotten, deleted work groups go with what is in them.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use millpond_kernel::Arrival;
use millpond_kernel::streams::StepError;
use millpond_kernel::timers::{Alarm, Timer, Timers};
use millpond_meta::key::prefix_range;
use millpond_meta::{Cond, Key, Op};
use millpond_types::{AccountId, Timestamp};

use crate::errors::AthenaError;
use crate::limits::{KEPT, REMOVED_TOGETHER};
use crate::sealed;
use crate::state::{Core, Stored, decode};
use crate::tables::{self, NamedRow, PreparedRow};

/// The owner of the service's timers.
pub(crate) struct Clockwork(pub Arc<Core>);

impl Alarm for Clockwork {
    fn owner(&self) -> &'static str {
        tables::OWNER
    }

    fn fire<'a>(&'a self, timer: &'a Timer) -> BoxFuture<'a, Result<Arrival, StepError>> {
        async move {
            let (kind, of) = timer.id.split_first().map_or((0, &[][..]), |(kind, of)| (*kind, of));
            match kind {
                tables::EXECUTION => Ok(self.0.forget(of).await?),
                tables::TOKEN => Ok(Arrival { ops: vec![Op::Delete(of.to_vec().into())], conds: Vec::new() }),
                tables::GROUP => Ok(self.0.empty_group(of, timer).await?),
                other => Err(StepError::Failed(format!("a timer of the unknown kind {other}"))),
            }
        }
        .boxed()
    }
}

/// When an execution is forgotten.
fn forgotten(submitted: u64) -> Timestamp {
    Timestamp(submitted).plus(KEPT)
}

/// Sets the timer by which an execution is forgotten.
pub(crate) fn to_forget(key: &[u8], submitted: u64) -> Op {
    Timers::set(forgotten(submitted), tables::OWNER, &tables::timer(tables::EXECUTION, key), Bytes::new())
}

/// Sets the timer by which a group that is being deleted goes.
pub(crate) fn to_empty(timers: &Timers, key: &[u8]) -> Op {
    Timers::set(timers.due(Timestamp(0)), tables::OWNER, &tables::timer(tables::GROUP, key), Bytes::new())
}

impl Core {
    async fn forget(&self, key: &[u8]) -> Result<Arrival, AthenaError> {
        let (account, id) = tables::account_and_id(key)?;
        let Some(stored) = self.execution(account, id).await? else { return Ok(Arrival::default()) };
        self.removal(account, &stored).await
    }

    /// Removes an execution, which ends with it; its timer aside.
    async fn removal(&self, account: AccountId, stored: &Stored) -> Result<Arrival, AthenaError> {
        self.running.cancel(stored.id);
        let (row, id) = (&stored.row, stored.id);
        let (mut conds, mut ops) = (vec![stored.unchanged()], vec![Op::Delete(stored.key.clone())]);
        ops.push(Op::Delete(tables::execution_of(account, &row.group, row.submitted, id)));
        ops.push(Op::Delete(tables::open(account, id)));
        for part in [Some(&row.said), row.reason.as_ref(), row.result.as_ref()].into_iter().flatten() {
            ops.extend(sealed::removed(part));
        }
        if !row.digest.is_empty() {
            let found = tables::reusable(account, &row.group, &row.digest);
            let newest = self.kv.get(&found).await?.filter(|newest| newest.as_ref() == id.to_be_bytes());
            if let Some(newest) = newest {
                conds.push(Cond::Equals(found.clone(), newest));
                ops.push(Op::Delete(found));
            }
        }
        Ok(Arrival { conds, ops })
    }

    /// Some rows of a group.
    async fn some_of(&self, table: u8, account: AccountId, group: &str) -> Result<Vec<(Key, Bytes)>, AthenaError> {
        let (from, to) = prefix_range(tables::of_group(table, account, group));
        Ok(self.page(from, to, REMOVED_TOGETHER).await?)
    }

    /// Removes some of what is in a group that is being deleted, and in the end the group.
    async fn empty_group(&self, key: &[u8], timer: &Timer) -> Result<Arrival, AthenaError> {
        let (account, name) = tables::account_and_name(key)?;
        let Some(group) = self.any_group(account, &name).await?.filter(|group| group.row.deleting) else {
            return Ok(Arrival::default());
        };
        let mut arrival = Arrival { conds: vec![group.unchanged()], ops: Vec::new() };
        for (key, _) in self.some_of(tables::EXECUTIONS_OF, account, &name).await? {
            let id = tables::last_id(&key)?;
            if let Some(stored) = self.execution(account, id).await? {
                let removal = self.removal(account, &stored).await?;
                arrival.conds.extend(removal.conds);
                arrival.ops.extend(removal.ops);
                let timer = tables::timer(tables::EXECUTION, &stored.key);
                arrival.ops.push(Timers::clear(forgotten(stored.row.submitted), tables::OWNER, &timer));
            }
            arrival.ops.push(Op::Delete(key));
        }
        for (key, _) in self.some_of(tables::NAMED_OF, account, &name).await? {
            let named = tables::named(account, tables::last_id(&key)?);
            if let Some(raw) = self.kv.get(&named).await? {
                let row: NamedRow = decode(&raw)?;
                arrival.conds.push(Cond::Equals(named.clone(), raw));
                arrival.ops.extend(sealed::removed(&row.statement));
            }
            arrival.ops.extend([Op::Delete(named), Op::Delete(key)]);
        }
        for (key, raw) in self.some_of(tables::PREPARED, account, &name).await? {
            let row: PreparedRow = decode(&raw)?;
            arrival.conds.push(Cond::Equals(key.clone(), raw));
            arrival.ops.extend(sealed::removed(&row.statement));
            arrival.ops.push(Op::Delete(key));
        }
        if arrival.ops.is_empty() {
            arrival.ops.push(Op::Delete(group.key.clone()));
            return Ok(arrival);
        }
        // Behind the one that fires, which is removed with this commit.
        let next = Timestamp(self.timers.due(timer.due).0.max(timer.due.0 + 1));
        arrival.ops.push(Timers::set(next, tables::OWNER, &timer.id, Bytes::new()));
        Ok(arrival)
    }
}
