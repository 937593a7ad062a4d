//! Which rules an event matches.
//!
//! The rules of a bus are compiled together ([`Base`]), which takes a while for many, so that a change does not do it at once: what changed since is
//! matched one by one, and left out of what the base says, until it is much.

use std::collections::BTreeMap;
use std::sync::Arc;

use millpond_pattern::{Event, Pattern, RuleSet};

use crate::memory::Held;

/// Rules that are matched one by one at most, at a microsecond or so each.
const MAX_CHANGED: usize = 64;

/// Rules compiled together; a rule is known by its place.
#[derive(Debug)]
pub(crate) struct Base {
    names: Vec<String>,
    set: RuleSet<u32>,
}

/// What was compiled of a bus, and what changed since.
#[derive(Debug, Default)]
pub(crate) struct Compiled {
    base: Option<Arc<Base>>,
    /// The rules that changed since, with the version of the change.
    changed: BTreeMap<String, u64>,
    version: u64,
}

impl Compiled {
    /// A rule was put or removed.
    pub fn changed(&mut self, rule: &str) {
        self.version += 1;
        self.changed.insert(rule.to_owned(), self.version);
    }

    /// Takes a new base, compiled of the rules as they were at a version.
    pub fn keep(&mut self, base: Arc<Base>, version: u64) {
        self.base = Some(base);
        self.changed.retain(|_, changed| *changed > version);
    }
}

/// What an event is matched with: the rules of a bus at one moment.
#[derive(Clone)]
pub(crate) enum Snapshot {
    Ready {
        base: Option<Arc<Base>>,
        /// Rules that changed since, with their patterns; without one where the rule is gone, disabled or has none.
        changed: Arc<BTreeMap<String, Option<Arc<Pattern>>>>,
    },
    /// All rules are to be compiled first.
    Compile { rules: Vec<(String, Arc<Pattern>)>, version: u64 },
}

impl Snapshot {
    pub fn of(held: &Held) -> Self {
        let compiled = &held.compiled;
        if compiled.changed.len() > MAX_CHANGED {
            let enabled = held.rules.iter().filter(|(_, ruled)| ruled.rule.is_enabled());
            let rules = enabled.filter_map(|(name, ruled)| Some((name.clone(), ruled.rule.pattern.clone()?))).collect();
            return Self::Compile { rules, version: compiled.version };
        }
        let pattern = |name: &String| {
            let rule = &held.rules.get(name)?.rule;
            rule.pattern.clone().filter(|_| rule.is_enabled())
        };
        let changed = compiled.changed.keys().map(|name| (name.clone(), pattern(name))).collect();
        Self::Ready { base: compiled.base.clone(), changed: Arc::new(changed) }
    }
}

impl Base {
    /// Compiles. Takes a second or so for a hundred thousand.
    pub fn compile(rules: Vec<(String, Arc<Pattern>)>) -> Self {
        let mut names = Vec::with_capacity(rules.len());
        let numbered = rules.into_iter().zip(0u32..).map(|((name, pattern), number)| {
            names.push(name);
            (number, pattern)
        });
        let set = RuleSet::build(numbered.collect::<Vec<_>>());
        Self { names, set }
    }
}

/// The names of the rules that an event matches, in their order.
pub(crate) fn matching(
    base: Option<&Base>,
    changed: &BTreeMap<String, Option<Arc<Pattern>>>,
    event: &Event,
) -> Vec<String> {
    let mut found = Vec::new();
    if let Some(base) = base {
        let mut numbers = Vec::new();
        base.set.matching(event, &mut numbers);
        let named = numbers.into_iter().filter_map(|number| base.names.get(number as usize));
        found.extend(named.filter(|name| !changed.contains_key(*name)).cloned());
    }
    let now = changed.iter().filter(|(_, pattern)| pattern.as_ref().is_some_and(|pattern| pattern.matches(event)));
    found.extend(now.map(|(name, _)| name.clone()));
    found.sort_unstable();
    found.dedup();
    found
}
