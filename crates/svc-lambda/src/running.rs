//! How many invocations run at once, and how many may (Developer Guide, "Understanding Lambda function scaling").

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use millpond_types::AccountId;

use crate::errors::LambdaError;
use crate::limits::MAX_CONCURRENT;
use crate::model::Function;

/// Invocations that run.
#[derive(Debug, Default)]
pub(crate) struct Running(AtomicU32);

impl Running {
    fn take(self: &Arc<Self>, most: u32) -> Option<Permit> {
        let one_more = |now: u32| (now < most).then_some(now + 1);
        self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_more).ok()?;
        Some(Permit(Arc::clone(self)))
    }
}

/// Lets one invocation run; it ended when this is dropped.
#[derive(Debug)]
pub(crate) struct Permit(Arc<Running>);

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Invocations of functions that have no number of their own, by account.
#[derive(Debug, Default)]
pub(crate) struct Unreserved(Mutex<HashMap<AccountId, Arc<Running>>>);

impl Unreserved {
    /// Lets an invocation run, while there are not too many. `reserved` is what all functions of the account have of their own.
    ///
    /// # Errors
    /// Which limit is reached.
    pub fn admit(&self, function: &Function, reserved: u32) -> Result<Permit, LambdaError> {
        if let Some(own) = function.facts.reserved {
            let full = LambdaError::TooMany("ReservedFunctionConcurrentInvocationLimitExceeded");
            return function.running.take(own).ok_or(full);
        }
        let pool = {
            let mut pools = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(pools.entry(function.account).or_default())
        };
        let left = MAX_CONCURRENT.saturating_sub(reserved);
        pool.take(left).ok_or(LambdaError::TooMany("ConcurrentInvocationLimitExceeded"))
    }
}
