//! What was decided about a request, so that a denial can be explained as a whole.

use std::sync::{Arc, Mutex, PoisonError};

use millpond_policy::{Context, Policies, Principal, Question, Verdict};

use crate::{Access, Rights, Session};

/// More decisions than this are not remembered for one request: those of a batch's further items look alike.
const MAX_REMEMBERED: usize = 16;

/// One decision, with everything it was made from.
#[derive(Clone, Debug)]
pub struct Decision {
    /// Who asked.
    pub principal: Principal,
    /// For what.
    pub access: Access,
    /// Under which conditions.
    pub context: Context,
    /// What the identity may do.
    pub rights: Arc<Rights>,
    /// Its session.
    pub session: Option<Arc<Session>>,
    /// The answer.
    pub verdict: Verdict,
}

impl Decision {
    /// The question as the evaluator takes it.
    pub fn question(&self) -> Question<'_> {
        Question {
            principal: &self.principal,
            action: self.access.action,
            resource: self.access.resource.arn.as_str(),
            owner: self.access.resource.owner,
            object_owner: self.access.resource.object_owner,
            context: &self.context,
        }
    }

    /// The policies that have a say.
    pub fn policies(&self) -> Policies<'_> {
        let resource = &self.access.resource;
        Policies {
            identity: &self.rights.identity,
            boundary: self.rights.boundary.as_ref(),
            session: self.session.as_ref().and_then(|session| session.policies.as_deref()),
            service_control: &[],
            resource: resource.policy.as_ref(),
            rule: resource.rule,
            grants: &resource.grants,
            limits: resource.limits,
        }
    }
}

/// The decisions of one request, in their order.
#[derive(Debug, Default)]
pub struct Decided(Mutex<Vec<Arc<Decision>>>);

impl Decided {
    pub(crate) fn add(&self, decision: Arc<Decision>) {
        let mut decided = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // The newest counts most: it may be the denial.
        if decided.len() == MAX_REMEMBERED {
            decided.pop();
        }
        decided.push(decision);
    }

    /// All of them.
    pub fn all(&self) -> Vec<Arc<Decision>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
