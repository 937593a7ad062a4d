//! A statement, compiled.

use crate::action::{ActionPattern, Lowered};
use crate::condition::Condition;
use crate::json::Place;
use crate::pattern::Pattern;
use crate::who::{Reach, Who};
use crate::{Context, Question};

/// What a statement does.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Effect {
    /// It allows.
    Allow,
    /// It denies, whatever else allows.
    Deny,
}

impl Effect {
    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Allow => "Allow",
            Self::Deny => "Deny",
        }
    }
}

/// Patterns of resources.
#[derive(Clone, Debug)]
pub struct Resources {
    /// Whether those are meant that are *not* named.
    pub negated: bool,
    /// What is named.
    pub patterns: Vec<Pattern>,
}

impl Resources {
    /// Whether a resource is meant. A pattern whose variable has no value matches no resource (IAM User Guide, "Policy variables with no
    /// value"), and so takes none from a NotResource that denies. One that allows would then allow everything, which nobody can have
    /// meant; it says nothing.
    pub fn matches(&self, resource: &str, context: &Context, effect: Effect) -> bool {
        if self.negated && effect == Effect::Allow && self.patterns.iter().any(|pattern| !pattern.is_resolved(context))
        {
            return false;
        }
        self.patterns.iter().any(|pattern| pattern.matches(resource, false, context)) != self.negated
    }
}

/// Actions.
#[derive(Clone, Debug)]
pub struct Actions {
    /// Whether those are meant that are *not* named.
    pub negated: bool,
    /// What is named.
    pub patterns: Vec<ActionPattern>,
}

impl Actions {
    /// Whether an action is meant.
    pub(crate) fn matches(&self, action: &Lowered) -> bool {
        self.patterns.iter().any(|pattern| pattern.matches(action.service(), action.name())) != self.negated
    }
}

/// A statement.
#[derive(Clone, Debug)]
pub struct Statement {
    /// Its id, if it has one.
    pub sid: Option<String>,
    /// What it does.
    pub effect: Effect,
    /// Whom it names; `None` in policies of identities.
    pub who: Option<Who>,
    /// For which actions.
    pub actions: Actions,
    /// On which resources; `None` in trust policies, which have one alone.
    pub resources: Option<Resources>,
    /// Under which conditions; all must hold.
    pub conditions: Vec<Condition>,
    /// Where it begins in the document.
    pub start: Place,
    /// Where it ends.
    pub end: Place,
}

impl Statement {
    /// How directly the statement is about a question; [`Reach::None`] when it is not. `action` is the question's.
    pub(crate) fn reach(&self, question: &Question<'_>, action: &Lowered, bounded: bool) -> Reach {
        if !self.actions.matches(action) {
            return Reach::None;
        }
        let meant = |them: &Resources| them.matches(question.resource, question.context, self.effect);
        if !self.resources.as_ref().is_none_or(meant) {
            return Reach::None;
        }
        let reach = match &self.who {
            Some(who) => who.reach(question.principal, bounded),
            None => Reach::Direct,
        };
        let holds = reach != Reach::None && self.conditions.iter().all(|condition| condition.holds(question.context));
        if holds { reach } else { Reach::None }
    }
}
