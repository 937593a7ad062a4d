//! A denial as it is handed over to be kept.

use std::borrow::Cow;
use std::sync::Arc;

use millpond_policy::Verdict;
use millpond_types::AccountId;

use crate::{Caller, Decision, ServiceError};

/// The codes by which services say that a caller may not.
const DENIED: &[&str] = &["AccessDenied", "AccessDeniedException", "AllAccessDisabled", "UnauthorizedAccess"];

/// A request that was denied, or some of whose items were.
#[derive(Clone, Debug)]
pub struct Denial {
    pub(super) caller: Arc<Caller>,
    pub(super) service: &'static str,
    pub(super) operation: &'static str,
    pub(super) error: Option<(Cow<'static, str>, String)>,
    pub(super) decisions: Vec<Arc<Decision>>,
    /// Whether the answer only depended on the decisions, as 404 or 403 does.
    pub(super) probed: bool,
}

impl Denial {
    /// What there is to keep of a call: `None` unless it was denied. `error` is what it ended with.
    pub fn of(
        caller: &Arc<Caller>,
        service: &'static str,
        operation: &'static str,
        error: Option<&ServiceError>,
    ) -> Option<Self> {
        let denied =
            |decisions: &[Arc<Decision>]| decisions.iter().any(|decision| decision.verdict != Verdict::Allowed);
        let mut decisions = caller.decided().all();
        let mut probed = false;
        if !denied(&decisions) {
            error.filter(|error| DENIED.contains(&error.code.as_ref()))?;
            let asked = caller.decided().asked();
            if denied(&asked) {
                decisions.extend(asked);
                probed = true;
            }
        }
        let error = error.map(|error| (error.code.clone(), error.message.clone()));
        Some(Self { caller: Arc::clone(caller), service, operation, error, decisions, probed })
    }

    /// The account that may read why: the caller's own, when everything that was denied belongs to it.
    pub fn readable_by(&self) -> Option<AccountId> {
        let own = self.caller.account()?;
        let mut denied = self.decisions.iter().filter(|decision| decision.verdict != Verdict::Allowed).peekable();
        denied.peek()?;
        denied.all(|decision| decision.access.resource.owner == own).then_some(own)
    }
}
