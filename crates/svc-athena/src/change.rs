//! Changes of executions, whoever makes them: each is made to what the row is by then, and to none that is over.

use millpond_meta::{Batch, CommitError, Cond, Op};
use millpond_types::AccountId;
use prost::Message;

use crate::errors::{AthenaError, Failure};
use crate::failed::Failed;
use crate::limits::{MAX_CHANGES, MAX_REASON};
use crate::run::Done;
use crate::state::{Core, Stored};
use crate::tables::{self, ExecutionRow, SealedRow, State};

/// Conditions and changes besides those of the row.
pub(crate) type Besides = (Vec<Cond>, Vec<Op>);

/// The changes that put an execution's row.
pub(crate) fn put(account: AccountId, stored: &Stored, row: &ExecutionRow) -> Vec<Op> {
    let mut ops = vec![Op::Put(stored.key.clone(), tables::encode(row))];
    if row.state().is_final() {
        ops.push(Op::Delete(tables::open(account, stored.id)));
    }
    ops
}

impl Core {
    /// Changes an execution that is not over. Whether there was one.
    pub async fn change(
        &self,
        account: AccountId,
        id: u128,
        change: impl Fn(&mut ExecutionRow) -> Besides,
    ) -> Result<bool, AthenaError> {
        for _ in 0..MAX_CHANGES {
            let Some(stored) = self.execution(account, id).await? else { return Ok(false) };
            if stored.row.state().is_final() {
                return Ok(false);
            }
            let mut row = stored.row.clone();
            let (mut conds, mut ops) = change(&mut row);
            conds.push(stored.unchanged());
            ops.extend(put(account, &stored, &row));
            match self.kv.commit(Batch { conds, ops, ..Batch::default() }).await {
                Ok(_) => return Ok(true),
                Err(CommitError::Conflict(_)) => {}
                Err(error) => return Err(Failure::from(error).answer()),
            }
        }
        Err(AthenaError::Busy)
    }

    /// Ends an execution, unless somebody else has.
    pub async fn finish(&self, account: AccountId, id: u128, done: &Result<Done, Failed>) -> Result<(), AthenaError> {
        match done {
            Ok(done) => self.succeed(account, id, done).await,
            Err(failed) => self.fail(account, id, failed).await,
        }
    }

    async fn succeed(&self, account: AccountId, id: u128, done: &Done) -> Result<(), AthenaError> {
        let (result, sealed) = self.seal(id, "result", &done.result.encode_to_vec())?;
        let now = self.clock.now().0;
        let changed = self.change(account, id, |row| {
            ended(row, State::Succeeded, now);
            (row.stats, row.result) = (done.stats, Some(result.clone()));
            if let Some(location) = &done.reused {
                row.reused = true;
                row.results.location.clone_from(location);
            }
            let mut ops = sealed.clone();
            if let Some(digest) = &done.digest {
                row.digest.clone_from(digest);
                let found = tables::reusable(account, &row.group, digest);
                ops.push(Op::Put(found, id.to_be_bytes().to_vec().into()));
            }
            (Vec::new(), ops)
        });
        changed.await.map(drop)
    }

    async fn fail(&self, account: AccountId, id: u128, failed: &Failed) -> Result<(), AthenaError> {
        let (reason, sealed) = self.reason(id, &failed.message)?;
        let now = self.clock.now().0;
        let changed = self.change(account, id, |row| {
            ended(row, if failed.cancelled { State::Cancelled } else { State::Failed }, now);
            (row.stats, row.reason) = (failed.stats, Some(reason.clone()));
            row.error = (!failed.cancelled).then_some(failed.error);
            (Vec::new(), sealed.clone())
        });
        changed.await.map(drop)
    }

    /// Seals why an execution is in its state.
    pub fn reason(&self, id: u128, message: &str) -> Result<(SealedRow, Vec<Op>), AthenaError> {
        let short: String = message.chars().take(MAX_REASON).collect();
        self.seal(id, "reason", short.as_bytes())
    }
}

/// The row of one that is over.
pub(crate) fn ended(row: &mut ExecutionRow, state: State, now: u64) {
    (row.state, row.completed) = (state as i32, now);
    // Nobody runs it again.
    row.caller = None;
}
