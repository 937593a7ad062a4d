//! Changes of queues themselves: one after the other, each decided and committed under one lock, and in memory before it is answered.

use std::collections::BTreeMap;
use std::sync::Arc;

use millpond_kernel::tags::{has_plain_characters, is_reserved};
use millpond_kernel::{DirectoryError, Epoch, Named, Pin, to_its_end};
use millpond_meta::{Batch, Cond, Op};
use millpond_policy::{Policy, Statement};
use millpond_types::AccountId;

use crate::errors::{Failure, SqsError, parameter};
use crate::limits;
use crate::queue::{self, Facts, Queue};
use crate::settings::{Allows, Attributes, Settings};
use crate::state::Core;
use crate::tables;

impl Core {
    /// Carries out a change: to its end when its request is dropped, and anew when policies change under it.
    pub async fn detached<T, F>(
        self: &Arc<Self>,
        change: impl Fn(Arc<Core>) -> F + Send + Sync + 'static,
    ) -> Result<T, SqsError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Failure>> + Send,
    {
        let core = Arc::clone(self);
        to_its_end(async move {
            let _changing = core.changing.lock().await;
            core.kernel.again(|| change(Arc::clone(&core))).await
        })
        .await
    }

    /// Commits a change and has it in memory before it returns. `policies` says whether anybody's rights change by it.
    ///
    /// To be called with `changing` held.
    pub async fn settle(
        &self,
        pin: Pin,
        (mut conds, mut ops): (Vec<Cond>, Vec<Op>),
        policies: bool,
        apply: impl FnOnce(&Self),
    ) -> Result<(), Failure> {
        conds.insert(0, pin.cond());
        let change = if policies {
            ops.push(Epoch::raise());
            Some(self.kernel.epoch().change().await)
        } else {
            None
        };
        // Deleting and purging must be possible on a full disk.
        let clears = |op: &Op| matches!(op, Op::Put(key, _) if key.starts_with(&tables::work(tables::CLEAR)));
        let urgent = ops.iter().any(clears);
        self.kv.commit(Batch { conds, ops, idem: None, urgent }).await?;
        apply(self);
        if let Some(change) = change {
            change.known().await?;
        }
        Ok(())
    }

    /// Writes a queue's changed facts.
    pub async fn rewrite(&self, pin: Pin, queue: &Arc<Queue>, facts: Facts, mut ops: Vec<Op>) -> Result<(), Failure> {
        let before = queue.facts();
        let key = tables::of_queue(tables::QUEUES, queue.id);
        let conds = vec![Cond::Equals(key.clone(), before.row(queue.account, &queue.name))];
        ops.push(Op::Put(key, facts.row(queue.account, &queue.name)));
        // A tag can be what a policy asks for.
        let policies = before.attributes.get("Policy") != facts.attributes.get("Policy") || before.tags != facts.tags;
        let queue = Arc::clone(queue);
        self.settle(pin, (conds, ops), policies, move |_| queue.set_facts(facts)).await
    }

    /// Whether an account exists here.
    fn knows(&self, account: AccountId) -> bool {
        let directory = self.kernel.directory();
        account == self.kernel.account() || directory.is_some_and(|directory| directory.account_exists(account))
    }

    /// A queue's policy, parsed, and bound to whom it names: their ids are in the order of their ARNs. Refuses whom there is not.
    pub async fn policy(&self, queue: &millpond_types::Arn, text: &str) -> Result<(Named, Vec<String>), SqsError> {
        let nobody = || {
            let text = "Invalid value for the parameter Policy. It names a principal that does not exist.";
            SqsError::AttributeValue(text.to_owned())
        };
        let mut policy = Policy::parse(text, queue::POLICY)?;
        within_quotas(&policy)?;
        let mut ids = Vec::new();
        for arn in policy.principals() {
            let id = match self.kernel.directory() {
                None => None,
                Some(directory) => match directory.unique_id(arn).await {
                    Ok(id) => id,
                    Err(DirectoryError::Gone) => None,
                    Err(DirectoryError::Failed(reason)) => return Err(SqsError::Internal(reason)),
                },
            };
            ids.push(id.ok_or_else(nobody)?);
        }
        if !policy.accounts().into_iter().all(|account| self.knows(account)) {
            return Err(nobody());
        }
        queue::bind(&mut policy, &ids);
        Ok((queue::named(queue, policy), ids))
    }

    /// Facts of a queue with these attributes, whose policy and dead-letter queue are checked where they are new.
    pub async fn facts(
        &self,
        arn: &millpond_types::Arn,
        before: &Facts,
        attributes: Attributes,
    ) -> Result<Facts, SqsError> {
        let settings = Settings::of(&attributes)?;
        let mut facts = Facts { modified: self.now(), settings, ..before.clone() };
        if attributes.get("Policy") != before.attributes.get("Policy") {
            (facts.policy, facts.policy_ids) = match attributes.get("Policy") {
                None => (None, Vec::new()),
                Some(text) => {
                    let (policy, ids) = self.policy(arn, text).await?;
                    (Some(policy), ids)
                }
            };
        }
        if attributes.get("RedrivePolicy") != before.attributes.get("RedrivePolicy") {
            self.check_redrive(arn, &attributes, &facts.settings)?;
        }
        facts.attributes = attributes;
        Ok(facts)
    }

    /// Whether the dead-letter queue exists and takes messages of this one (Developer Guide, "Dead-letter queues").
    fn check_redrive(
        &self,
        arn: &millpond_types::Arn,
        attributes: &Attributes,
        settings: &Settings,
    ) -> Result<(), SqsError> {
        let (Some(redrive), Some(text)) = (&settings.redrive, attributes.get("RedrivePolicy")) else { return Ok(()) };
        let bad = |reason: &str| parameter(text, "RedrivePolicy", reason);
        let target = self.by_arn(&redrive.target).ok_or_else(|| bad("Dead letter target does not exist."))?;
        let facts = target.facts();
        let own = arn.account().unwrap_or_default() == target.account.as_str();
        if !own {
            return Err(bad("Dead letter target owner should be the same as the source."));
        }
        if facts.settings.fifo != settings.fifo {
            return Err(bad("Dead-letter queue must be same type of queue as the source."));
        }
        let allowed = match &facts.settings.allows {
            Allows::All => true,
            Allows::None => false,
            Allows::Queues(arns) => arns.iter().any(|allowed| allowed == arn.as_str()),
        };
        if allowed {
            Ok(())
        } else {
            Err(bad("The dead-letter queue does not allow this queue to use it (RedriveAllowPolicy)."))
        }
    }
}

/// Refuses a policy of more than a queue's may have of something (Developer Guide, "Policy quotas").
fn within_quotas(policy: &Policy) -> Result<(), SqsError> {
    let statements = policy.statements();
    let sum = |count: fn(&Statement) -> usize| statements.iter().map(count).sum::<usize>();
    let actions = statements.iter().map(|one| one.actions.patterns.len()).max().unwrap_or_default();
    let counted = [
        ("statements", "the submitted policy", statements.len(), limits::MAX_STATEMENTS),
        ("actions", "a statement from the submitted policy", actions, limits::MAX_ACTIONS),
        (
            "principals",
            "the submitted policy",
            sum(|one| one.who.as_ref().map_or(0, |who| who.names.len())),
            limits::MAX_PRINCIPALS,
        ),
        ("conditions", "the submitted policy", sum(|one| one.conditions.len()), limits::MAX_CONDITIONS),
    ];
    match counted.into_iter().find(|(.., found, most)| found > most) {
        None => Ok(()),
        Some((what, place, found, most)) => {
            Err(SqsError::Over(format!("{found} {what} were found in {place}, max allowed is {most}")))
        }
    }
}

/// Checks tags (Developer Guide, "Cost allocation tags").
pub(crate) fn check_tags(tags: &BTreeMap<String, String>) -> Result<(), SqsError> {
    for (key, value) in tags {
        if key.is_empty() || key.chars().count() > limits::MAX_TAG_KEY || !has_plain_characters(key) || is_reserved(key)
        {
            return Err(SqsError::Parameter(format!(
                "Tag keys must be between 1 and 128 characters in length. Invalid key: {key}"
            )));
        }
        if value.chars().count() > limits::MAX_TAG_VALUE || !has_plain_characters(value) {
            return Err(SqsError::Parameter(format!(
                "Tag values must be between 0 and 256 characters in length. Invalid value: {value}"
            )));
        }
    }
    if tags.len() > limits::MAX_TAGS {
        return Err(SqsError::Parameter(format!("Too many tags added: a queue has at most {}.", limits::MAX_TAGS)));
    }
    Ok(())
}
