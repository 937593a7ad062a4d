//! Many patterns at once.

mod build;
mod found;
mod index;
mod paths;
mod tables;
mod wildcards;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::hash::Hash;
use std::sync::{Arc, OnceLock};

use self::found::Found;
use self::index::Index;
use self::paths::Paths;
use self::tables::Id;
use crate::{Event, EventError, Pattern};

/// Changes since the index of all rules was made are kept in a second, small one, until they are more than one in so many.
const MAX_RECENT_SHARE: usize = 32;
/// Sets smaller than this are made anew for each change.
const MIN_RECENT: usize = 256;

/// Many patterns, each with a key of its own. A set is never changed, so that it can be shared while the next one is made: by
/// [`RuleSet::build`], or by [`RuleSet::changed`], which costs little also when there are many rules.
///
/// What matching costs depends on how many rules match, and hardly on how many there are.
pub struct RuleSet<K> {
    paths: Arc<Paths>,
    all: Arc<Part<K>>,
    recent: Arc<Part<K>>,
    /// Rules of `all` that are there no more.
    removed: Arc<HashSet<Id>>,
}

/// Rules with their index.
struct Part<K> {
    rules: Vec<(K, Arc<Pattern>)>,
    /// The keys by themselves, close together.
    keys: Vec<K>,
    index: Index,
    /// The rules of each key; made when it is asked for.
    by_key: OnceLock<HashMap<K, Vec<Id>>>,
}

impl<K: Eq + Hash + Clone> Part<K> {
    fn build(rules: Vec<(K, Arc<Pattern>)>, paths: &mut Paths) -> Self {
        let index = build::build(rules.iter().map(|(_, pattern)| &**pattern), paths);
        let keys = rules.iter().map(|(key, _)| key.clone()).collect();
        Self { rules, keys, index, by_key: OnceLock::new() }
    }

    fn of_key(&self, key: &K) -> &[Id] {
        let by_key = self.by_key.get_or_init(|| {
            let mut by_key: HashMap<K, Vec<Id>> = HashMap::with_capacity(self.rules.len());
            for (n, (key, _)) in (0..).zip(&self.rules) {
                by_key.entry(key.clone()).or_default().push(n);
            }
            by_key
        });
        by_key.get(key).map_or(&[], Vec::as_slice)
    }
}

impl<K: Eq + Hash + Clone> Default for RuleSet<K> {
    fn default() -> Self {
        Self::build([])
    }
}

impl<K> Clone for RuleSet<K> {
    fn clone(&self) -> Self {
        Self {
            paths: Arc::clone(&self.paths),
            all: Arc::clone(&self.all),
            recent: Arc::clone(&self.recent),
            removed: Arc::clone(&self.removed),
        }
    }
}

impl<K> fmt::Debug for RuleSet<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RuleSet")
            .field("rules", &self.all.rules.len())
            .field("recent", &self.recent.rules.len())
            .finish()
    }
}

impl<K: Eq + Hash + Clone> RuleSet<K> {
    /// Of these rules. A key may come more than once; it is handed out for each of its rules that matches.
    pub fn build(rules: impl IntoIterator<Item = (K, Arc<Pattern>)>) -> Self {
        let mut paths = Paths::default();
        let all = Part::build(rules.into_iter().collect(), &mut paths);
        let recent = Part::build(Vec::new(), &mut paths);
        Self { paths: Arc::new(paths), all: Arc::new(all), recent: Arc::new(recent), removed: Arc::default() }
    }

    /// The next set: without the rules of some keys, and then with others.
    #[must_use]
    pub fn changed(&self, removed: &[K], added: impl IntoIterator<Item = (K, Arc<Pattern>)>) -> Self {
        let gone: HashSet<&K> = removed.iter().collect();
        let mut dead = (*self.removed).clone();
        dead.extend(gone.iter().flat_map(|key| self.all.of_key(key)));
        let kept = self.recent.rules.iter().filter(|(key, _)| !gone.contains(key)).cloned();
        let recent: Vec<_> = kept.chain(added).collect();
        if dead.len() + recent.len() > (self.all.rules.len() / MAX_RECENT_SHARE).max(MIN_RECENT) {
            let live = (0..).zip(&self.all.rules).filter(|(n, _)| !dead.contains(n)).map(|(_, rule)| rule.clone());
            return Self::build(live.chain(recent));
        }
        let mut paths = (*self.paths).clone();
        let recent = Part::build(recent, &mut paths);
        Self { paths: Arc::new(paths), all: Arc::clone(&self.all), recent: Arc::new(recent), removed: Arc::new(dead) }
    }

    /// How many rules there are.
    pub fn len(&self) -> usize {
        self.all.rules.len() - self.removed.len() + self.recent.rules.len()
    }

    /// Whether there is no rule.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The rules, in no order.
    pub fn rules(&self) -> impl Iterator<Item = &(K, Arc<Pattern>)> {
        let live = (0..).zip(&self.all.rules).filter(|(n, _)| !self.removed.contains(n)).map(|(_, rule)| rule);
        live.chain(&self.recent.rules)
    }

    /// Adds the keys of all rules that match to a list, in no order.
    pub fn matching(&self, event: &Event, matching: &mut Vec<K>) {
        self.collect(&Found::of(event, &self.paths), matching);
    }

    /// As [`RuleSet::matching`], of an event's text. That is faster than to read the event first: what no rule asks about is passed over, and
    /// goes unnoticed when it is no valid JSON. Where an error is noticed, it is the one of [`Event::parse`].
    pub fn matching_bytes(&self, event: &[u8], matching: &mut Vec<K>) -> Result<(), EventError> {
        if event.len() > crate::MAX_EVENT_BYTES {
            return Err(EventError::TooLong);
        }
        match Found::read(event, &self.paths) {
            Ok(found) => self.collect(&found, matching),
            Err(found::Unclear) => self.matching(&Event::parse(event)?, matching),
        }
        Ok(())
    }

    fn collect(&self, found: &Found<'_>, matching: &mut Vec<K>) {
        let keys = |part: &Part<K>, rule: Id| part.keys[rule as usize].clone();
        let hits = self.all.index.matching(found).into_iter();
        if self.removed.is_empty() {
            matching.extend(hits.map(|rule| keys(&self.all, rule)));
        } else {
            matching.extend(hits.filter(|rule| !self.removed.contains(rule)).map(|rule| keys(&self.all, rule)));
        }
        if !self.recent.rules.is_empty() {
            matching.extend(self.recent.index.matching(found).into_iter().map(|rule| keys(&self.recent, rule)));
        }
    }
}
