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
pub struct Decided(Mutex<Lists>);

#[derive(Debug, Default)]
struct Lists {
    made: Vec<Arc<Decision>>,
    asked: Vec<Arc<Decision>>,
}

fn remember(list: &mut Vec<Arc<Decision>>, decision: Arc<Decision>) {
    if list.len() < MAX_REMEMBERED {
        list.push(decision);
    } else if decision.verdict != Verdict::Allowed {
        // What was denied counts most.
        let place = list.iter().rposition(|known| known.verdict == Verdict::Allowed);
        list.remove(place.unwrap_or(MAX_REMEMBERED - 1));
        list.push(decision);
    }
}

impl Decided {
    fn lists(&self) -> std::sync::MutexGuard<'_, Lists> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn add(&self, decision: Arc<Decision>) {
        remember(&mut self.lists().made, decision);
    }

    pub(crate) fn add_asked(&self, decision: Arc<Decision>) {
        remember(&mut self.lists().asked, decision);
    }

    /// All that were made.
    pub fn all(&self) -> Vec<Arc<Decision>> {
        self.lists().made.clone()
    }

    /// Those that an answer depended on without deciding the request, such as whether it says 404 or 403.
    pub fn asked(&self) -> Vec<Arc<Decision>> {
        self.lists().asked.clone()
    }
}
