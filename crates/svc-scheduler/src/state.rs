//! What the service works with: rows read and written, and decisions.

use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use millpond_io::{Clock, Random};
use millpond_kernel::timers::Timers;
use millpond_kernel::{Authorized, Caller, Kernel, PassRole, Pin, Rejection, ServiceCall, ServiceIdentity};
use millpond_meta::{Batch, Cond, Key, Kv, Op, ReadError, Scan};
use millpond_seal::Envelope;
use millpond_types::{AccountId, Arn, RequestId, Timestamp};
use prost::Message;

use crate::errors::{Failure, SchedulerError, invalid};
use crate::inputs::{Input, Touch};
use crate::plan::Plan;
use crate::tables::{self, DueRow, GroupRow, ScheduleRow};

/// The service's principal.
pub(crate) const PRINCIPAL: &str = "scheduler.amazonaws.com";
/// The group that is always there.
pub(crate) const DEFAULT: &str = "default";

/// What the service works with.
pub(crate) struct Core {
    pub kernel: Arc<Kernel>,
    pub kv: Arc<dyn Kv>,
    pub clock: Arc<dyn Clock>,
    pub random: Arc<dyn Random>,
    /// Seals inputs.
    pub envelope: Envelope,
    pub timers: Timers,
    pub identity: ServiceIdentity,
}

/// A schedule's row as it was read.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub key: Key,
    pub row: ScheduleRow,
    pub raw: Bytes,
}

impl Stored {
    /// It stands as it was read.
    pub fn unchanged(&self) -> Cond {
        Cond::Equals(self.key.clone(), self.raw.clone())
    }

    /// Removes its timer, if one is set.
    pub fn disarm(&self) -> Option<Op> {
        let due = Timestamp(self.row.due?);
        Some(Timers::clear(due, tables::OWNER, &tables::timer(tables::DUE, &self.row.id)))
    }
}

/// Whose schedule, and which.
#[derive(Clone, Debug)]
pub(crate) struct Name<'a> {
    pub account: AccountId,
    pub group: &'a str,
    pub name: &'a str,
}

pub(crate) fn decode<R: Message + Default>(row: &Bytes) -> Result<R, ReadError> {
    R::decode(row.clone()).map_err(|error| ReadError::Damaged(format!("scheduler: {error}")))
}

impl Core {
    fn arn(&self, account: AccountId, resource: &str) -> Arn {
        Arn::new("scheduler", self.kernel.region().as_str(), account.as_str(), resource)
    }

    pub fn schedule_arn(&self, name: &Name<'_>) -> Arn {
        self.arn(name.account, &format!("schedule/{}/{}", name.group, name.name))
    }

    pub fn group_arn(&self, account: AccountId, group: &str) -> Arn {
        self.arn(account, &format!("schedule-group/{group}"))
    }

    /// Decides. Every operation passes here.
    pub async fn authorize<I: Input>(
        &self,
        caller: &Caller,
        touch: Touch<I>,
    ) -> Result<Authorized<Touch<I>>, SchedulerError> {
        Ok(self.kernel.authorize(caller, touch).await?)
    }

    /// Whether the caller may pass a role to this service, and the service may assume it.
    pub async fn may_pass(&self, caller: &Caller, name: &Name<'_>, role: &str) -> Result<(), SchedulerError> {
        let Some(pass) = PassRole::new(role, PRINCIPAL, Some(self.schedule_arn(name))) else {
            return invalid(format!("{role} is not the ARN of a role."));
        };
        self.kernel.authorize(caller, pass).await?;
        match self.assume(name, role, "check", Timestamp(self.clock.now().0)).await {
            Ok(_) => Ok(()),
            Err(Rejection::Failed(reason)) => Err(SchedulerError::Internal(reason)),
            Err(_) => {
                invalid("The execution role you provide must allow AWS EventBridge Scheduler to assume the role.")
            }
        }
    }

    /// A session of a schedule's role. To trust policies it comes from the schedule's group, as AWS has it.
    pub async fn assume(
        &self,
        name: &Name<'_>,
        role: &str,
        session: &str,
        now: Timestamp,
    ) -> Result<Caller, Rejection> {
        let Some(roles) = self.kernel.roles() else {
            return Err(Rejection::Failed("roles cannot be assumed".to_owned()));
        };
        let call = ServiceCall {
            source_arn: Some(self.group_arn(name.account, name.group)),
            source_account: Some(name.account),
            request_id: RequestId(self.random.u128()),
            now,
            causes: Vec::new(),
        };
        roles.assume(role, &self.identity, session, call).await
    }

    pub async fn group(&self, account: AccountId, name: &str) -> Result<Option<(GroupRow, Bytes)>, SchedulerError> {
        match self.kv.get(&tables::group(account, name)).await? {
            Some(raw) => Ok(Some((decode(&raw)?, raw))),
            None => Ok(None),
        }
    }

    pub async fn schedule(&self, name: &Name<'_>) -> Result<Option<Stored>, SchedulerError> {
        let key = tables::schedule(name.account, name.group, name.name);
        match self.kv.get(&key).await? {
            Some(raw) => Ok(Some(Stored { key, row: decode(&raw)?, raw })),
            None => Ok(None),
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
        self.kv.commit(Batch { conds, ops, idem: None, urgent: deletes }).await?;
        self.timers.nudge();
        Ok(())
    }

    /// Sets the timer of a schedule for a time, and notes it in the row.
    pub fn arm(&self, name: &Name<'_>, row: &mut ScheduleRow, plan: &Plan, nominal: Option<Timestamp>) -> Option<Op> {
        let Some(nominal) = nominal else {
            row.due = None;
            return None;
        };
        let due = self.timers.due(plan.jittered(nominal, &*self.random));
        (row.due, row.nominal) = (Some(due.0), nominal.0);
        let value = DueRow {
            account: name.account.to_string(),
            group: name.group.to_owned(),
            name: name.name.to_owned(),
            id: row.id.clone(),
            nominal: nominal.0,
            tried: 0,
            since: 0,
        };
        Some(Timers::set(due, tables::OWNER, &tables::timer(tables::DUE, &row.id), tables::encode(&value)))
    }
}
