//! A pattern, compiled, and asked of one event.

use std::sync::Arc;

use crate::consistency::{Asked, hold};
use crate::error::PatternError;
use crate::event::Event;
use crate::explain::Explanation;
use crate::filter_policy::{self, FilterScope};
use crate::parse;
use crate::test::Test;

/// The longest event pattern that EventBridge takes, in bytes. Checking it is the caller's business: the quota can be raised.
pub const MAX_PATTERN_BYTES: usize = 4096;

/// A pattern: ways (one, or as many as `$or` makes of it) to match an event, of which one is enough.
#[derive(Clone, PartialEq, Debug)]
pub struct Pattern {
    pub(crate) branches: Vec<Branch>,
}

/// Fields that an event must have, each as it is wanted; in the order of their paths.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Branch {
    pub(crate) fields: Vec<Field>,
}

/// A field, and what its value can be. Branches of one pattern share theirs.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Field {
    pub(crate) path: Arc<str>,
    pub(crate) tests: Arc<[Test]>,
}

impl Pattern {
    /// Reads an event pattern of EventBridge.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        parse::pattern(text).map(|branches| Self { branches })
    }

    /// Reads a subscription's filter policy of SNS: the same language within SNS's limits. `{}`, which is no filter at all, is refused here as
    /// a pattern without fields.
    pub fn parse_filter_policy(text: &str, scope: FilterScope) -> Result<Self, PatternError> {
        filter_policy::check_size(text)?;
        let pattern = Self::parse(text)?;
        filter_policy::check(text, scope)?;
        Ok(pattern)
    }

    /// Whether an event matches.
    pub fn matches(&self, event: &Event) -> bool {
        self.branches.iter().any(|branch| branch.matches(event))
    }

    /// Why an event matches, or does not.
    pub fn explain(&self, event: &Event) -> Explanation {
        Explanation::new(self, event)
    }
}

impl Branch {
    pub(crate) fn matches(&self, event: &Event) -> bool {
        hold(&self.asked(event), &event.scopes)
    }

    pub(crate) fn asked<'a>(&'a self, event: &'a Event) -> Vec<Asked<'a, 'static>> {
        let asked = |field: &'a Field| Asked { tests: &field.tests, leaves: event.leaves(&field.path) };
        self.fields.iter().map(asked).collect()
    }
}
