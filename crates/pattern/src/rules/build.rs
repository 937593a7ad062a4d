//! How an [`Index`] is made.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::index::{Branch, Check, Condition, Entry, Index, Node, Table, Target, exact_key};
use super::paths::Paths;
use super::tables::{Beginnings, Exact, Id, NONE, Ranges};
use super::wildcards::{Wildcards, reversed};
use crate::Pattern;
use crate::hash::Seeded;
use crate::number::Number;
use crate::test::{Range, Test};

/// So few branches are looked at one by one.
const FEW: usize = 4;
/// A branch with alternatives stands in several places, and below each of them in several again; at so many it is told apart no further.
const MAX_COPIES: usize = 64;

/// An index of the patterns, whose places are the numbers of the rules. Paths that are new are added.
pub(super) fn build<'a>(patterns: impl IntoIterator<Item = &'a Pattern>, paths: &mut Paths) -> Index {
    let mut builder = Builder {
        paths,
        index: Index::default(),
        known: HashMap::default(),
        rests: HashMap::default(),
        tests: Tests::default(),
    };
    for (rule, pattern) in patterns.into_iter().enumerate() {
        builder.add(number(rule), pattern);
    }
    let all = |(n, branch): (usize, &Branch)| Item { branch: number(n), rest: branch.conditions.to_vec(), copies: 1 };
    let items: Vec<_> = builder.index.branches.iter().enumerate().map(all).collect();
    if !items.is_empty() {
        builder.index.root = builder.node(items);
    }
    builder.index
}

fn number(n: usize) -> Id {
    u32::try_from(n).unwrap_or(NONE)
}

struct Builder<'p> {
    paths: &'p mut Paths,
    index: Index,
    known: HashMap<(Id, Arc<[Test]>), Id, Seeded>,
    rests: HashMap<Box<[Id]>, Id, Seeded>,
    tests: Tests,
}

/// All different tests of all fields.
#[derive(Default)]
struct Tests {
    known: HashMap<(Id, Test), Id, Seeded>,
    /// A condition and the place in it.
    places: Vec<(Id, u32)>,
    /// Of each condition; none when the absence of the field is enough for it.
    of: Vec<Option<Box<[Id]>>>,
    /// How many branches of the node at work want it.
    counts: Vec<u32>,
}

/// A branch on its way down.
#[derive(Clone)]
struct Item {
    branch: Id,
    rest: Vec<Id>,
    copies: usize,
}

/// The branches that want the same of one field.
type Groups = BTreeMap<Id, HashMap<Id, Vec<Item>, Seeded>>;

impl Builder<'_> {
    fn add(&mut self, rule: Id, pattern: &Pattern) {
        for branch in &pattern.branches {
            let mut conditions = Vec::with_capacity(branch.fields.len());
            for field in &branch.fields {
                let path = self.paths.add(&field.path);
                conditions.push(self.condition(path, &field.tests));
            }
            self.index.branches.push(Branch { rule, conditions: conditions.into() });
        }
    }

    fn condition(&mut self, field: Id, tests: &Arc<[Test]>) -> Id {
        let next = number(self.index.conditions.len());
        let id = *self.known.entry((field, Arc::clone(tests))).or_insert(next);
        if id == next {
            self.index.conditions.push(Condition { field, tests: Arc::clone(tests) });
            self.tests.add(field, id, tests);
        }
        id
    }

    fn test(&self, test: Id) -> &Test {
        let (condition, place) = self.tests.places[test as usize];
        &self.index.conditions[condition as usize].tests[place as usize]
    }

    /// A node for these branches.
    fn node(&mut self, items: Vec<Item>) -> Id {
        let (mut groups, mut always) = (Groups::new(), Vec::new());
        let counted = self.tests.count(&items);
        let best: Vec<_> = items.iter().map(|item| self.best(item, items.len())).collect();
        self.tests.forget(counted);
        for (item, condition) in items.into_iter().zip(best) {
            match condition {
                None => always.push(item),
                Some(condition) => self.group(item, condition, &mut groups),
            }
        }
        let mut fields = Vec::with_capacity(groups.len());
        for (field, group) in groups {
            fields.push((field, self.tables(group)));
        }
        let always = (!always.is_empty()).then(|| self.entries(always));
        self.index.nodes.push(Node { always, fields: fields.into() });
        number(self.index.nodes.len() - 1)
    }

    /// The condition that leads to fewest other branches.
    fn best(&self, item: &Item, all: usize) -> Option<Id> {
        let cost = |condition: Id| -> Option<usize> {
            let tests = self.tests.of[condition as usize].as_deref()?;
            let cost = tests.iter().map(|test| self.cost(*test, all)).sum();
            // Copies of copies have to be worth it.
            let copied = item.copies > 1 && tests.len() > 1;
            let worth = tests.len() * item.copies <= MAX_COPIES && cost <= all / 2;
            (!copied || worth).then_some(cost)
        };
        let costs = item.rest.iter().filter_map(|condition| Some((cost(*condition)?, *condition)));
        costs.min_by_key(|(cost, _)| *cost).map(|(_, condition)| condition)
    }

    /// How many of all branches a value leads to that is as the test wants it; a guess that need not be good.
    fn cost(&self, test: Id, all: usize) -> usize {
        let same = self.tests.counts[test as usize] as usize;
        match self.test(test) {
            Test::Prefix(text) | Test::Suffix(text) if text.is_empty() => all * 2,
            Test::Prefix(_) | Test::Suffix(_) | Test::PrefixFolded(_) | Test::SuffixFolded(_) => same + 2,
            Test::Wildcard(wildcard) if wildcard.pieces().iter().all(|piece| piece.is_empty()) => all * 2,
            Test::Wildcard(_) => same + 8,
            Test::Range(_) => same.max(all / 4),
            Test::Address(_, block) if block.first == block.last => same,
            Test::Address(..) => same + 4,
            Test::Exists | Test::Not(_) | Test::Absent => all * 2,
            _ => same,
        }
    }

    /// Puts a branch to those that want the same, for each of its alternatives.
    fn group(&self, item: Item, condition: Id, groups: &mut Groups) {
        let Some(tests) = &self.tests.of[condition as usize] else { return };
        let field = self.index.conditions[condition as usize].field;
        let rest = item.rest.iter().copied().filter(|other| *other != condition).collect();
        let item = Item { rest, copies: item.copies * tests.len(), ..item };
        let group = groups.entry(field).or_default();
        for test in tests {
            group.entry(*test).or_default().push(item.clone());
        }
    }

    fn target(&mut self, items: Vec<Item>) -> Id {
        let target =
            if items.len() <= FEW { Target::Entries(self.entries(items)) } else { Target::Node(self.node(items)) };
        target.number()
    }

    /// Entries that stand together; gives the first one's place.
    fn entries(&mut self, items: Vec<Item>) -> Id {
        let place = number(self.index.entries.len());
        for item in items {
            let rest = self.rest(item.rest);
            let rule = self.index.branches[item.branch as usize].rule;
            self.index.entries.push(Entry { branch: item.branch, rule, rest, last: false });
        }
        if let Some(entry) = self.index.entries.last_mut() {
            entry.last = true;
        }
        place
    }

    fn rest(&mut self, conditions: Vec<Id>) -> Id {
        if let Some(known) = self.rests.get(conditions.as_slice()) {
            return *known;
        }
        let next = number(self.index.rests.len());
        self.index.rests.push(conditions.clone().into());
        self.rests.insert(conditions.into(), next);
        next
    }

    fn check(&mut self, test: Id, target: Id) -> Id {
        let (condition, place) = self.tests.places[test as usize];
        self.index.checks.push(Check { condition, test: place, target });
        number(self.index.checks.len() - 1)
    }

    /// The tables of a field.
    fn tables(&mut self, group: HashMap<Id, Vec<Item>, Seeded>) -> Box<[Table]> {
        let mut parts = Parts::default();
        for (test, items) in group {
            let target = self.target(items);
            // Shared with the pattern: its text is not copied.
            let (condition, place) = self.tests.places[test as usize];
            let tests = Arc::clone(&self.index.conditions[condition as usize].tests);
            let one = &tests[place as usize];
            match one {
                Test::Prefix(text) => parts.prefixes.push((text.as_bytes().to_vec(), target)),
                Test::Suffix(text) => parts.suffixes.push((reversed(text.as_bytes()), target)),
                Test::Range(range) => {
                    let (low, high) = bounds(range);
                    parts.ranges.push((low, high, target));
                }
                Test::Address(_, block) => parts.blocks.push((block.first.key(), block.last.key(), target)),
                _ => match exact_key(one) {
                    Some((tag, key)) => parts.exact.push((tag, key.into_owned(), target)),
                    None => {
                        let check = self.check(test, target);
                        parts.add_checked(one, check);
                    }
                },
            }
        }
        parts.into_tables()
    }
}

type AddressKey = (u8, u128);

/// What goes into the tables of one field.
#[derive(Default)]
struct Parts {
    exact: Vec<(u8, Vec<u8>, Id)>,
    prefixes: Vec<(Vec<u8>, Id)>,
    suffixes: Vec<(Vec<u8>, Id)>,
    ranges: Vec<(u64, u64, Id)>,
    blocks: Vec<(AddressKey, AddressKey, Id)>,
    folded: Vec<(u8, Vec<u8>, Id)>,
    folded_prefixes: Vec<(Vec<u8>, Id)>,
    folded_suffixes: Vec<(Vec<u8>, Id)>,
    wildcards: Vec<(crate::wildcard::Wildcard, Id)>,
    others: Vec<Id>,
}

impl Parts {
    fn add_checked(&mut self, test: &Test, check: Id) {
        let key = match test {
            Test::Folded(folded) | Test::PrefixFolded(folded) | Test::SuffixFolded(folded) => folded.key(),
            _ => None,
        };
        match (test, key) {
            (Test::Wildcard(wildcard), _) => self.wildcards.push((wildcard.clone(), check)),
            (Test::Folded(_), Some(key)) => self.folded.push((super::index::TEXT, key.into_bytes(), check)),
            (Test::PrefixFolded(_), Some(key)) => self.folded_prefixes.push((key.into_bytes(), check)),
            (Test::SuffixFolded(_), Some(key)) => self.folded_suffixes.push((reversed(key.as_bytes()), check)),
            _ => self.others.push(check),
        }
    }

    fn into_tables(mut self) -> Box<[Table]> {
        // Texts that differ in case alone are one key; the second goes to those that are always tried.
        for list in [&mut self.folded_prefixes, &mut self.folded_suffixes] {
            unique(list, |(key, _)| key.clone(), |(_, check)| self.others.push(check));
        }
        unique(&mut self.folded, |(_, key, _)| key.clone(), |(_, _, check)| self.others.push(check));
        let mut tables = Vec::new();
        let exact = |list: &Vec<(u8, Vec<u8>, Id)>| Exact::build(list.iter().map(|(tag, key, id)| (*tag, &**key, *id)));
        tables.extend((!self.exact.is_empty()).then(|| Table::Exact(exact(&self.exact))));
        tables.extend((!self.folded.is_empty()).then(|| Table::Folded(exact(&self.folded))));
        for (list, table) in [
            (self.prefixes, Table::Prefixes as fn(Beginnings) -> Table),
            (self.suffixes, Table::Suffixes),
            (self.folded_prefixes, Table::FoldedPrefixes),
            (self.folded_suffixes, Table::FoldedSuffixes),
        ] {
            tables.extend((!list.is_empty()).then(|| table(Beginnings::build(list))));
        }
        tables.extend((!self.ranges.is_empty()).then(|| Table::Ranges(Ranges::build(self.ranges))));
        tables.extend((!self.blocks.is_empty()).then(|| Table::Blocks(Ranges::build(self.blocks))));
        if !self.wildcards.is_empty() {
            let wildcards: Vec<_> = self.wildcards.iter().map(|(wildcard, check)| (wildcard, *check)).collect();
            tables.push(Table::Wildcards(Wildcards::build(&wildcards)));
        }
        tables.extend((!self.others.is_empty()).then(|| Table::Others(self.others.into())));
        tables.into()
    }
}

/// Keeps the first of those with one key and hands out the others.
fn unique<T: Clone>(list: &mut Vec<T>, key: impl Fn(&T) -> Vec<u8>, mut other: impl FnMut(T)) {
    let mut seen = std::collections::HashSet::new();
    list.retain(|one| {
        let new = seen.insert(key(one));
        if !new {
            other(one.clone());
        }
        new
    });
}

/// Without the text of the pattern, where another text means the same.
fn canonical(test: &Test) -> Test {
    let bound = |bound: &Option<(Box<str>, Number, bool)>| bound.as_ref().map(|(_, n, open)| ("".into(), *n, *open));
    match test {
        Test::Number(_, Some(number)) => Test::Number("".into(), Some(*number)),
        Test::Address(_, block) => Test::Address("".into(), *block),
        Test::Range(range) => Test::Range(Range { low: bound(&range.low), high: bound(&range.high) }),
        other => other.clone(),
    }
}

/// Both ends included, as keys: beside a double is the next one.
fn bounds(range: &Range) -> (u64, u64) {
    let low = range.low.as_ref().map_or(0, |(_, number, open)| number.key() + u64::from(*open));
    let high = range.high.as_ref().map_or(u64::MAX, |(_, number, open)| number.key() - u64::from(*open));
    (low, high)
}

impl Tests {
    fn add(&mut self, field: Id, condition: Id, tests: &[Test]) {
        let mut of = Vec::with_capacity(tests.len());
        for (place, test) in (0..).zip(tests) {
            let next = number(self.places.len());
            let id = *self.known.entry((field, canonical(test))).or_insert(next);
            if id == next {
                self.places.push((condition, place));
                self.counts.push(0);
            }
            if !of.contains(&id) {
                of.push(id);
            }
        }
        let absent = tests.iter().any(|test| matches!(test, Test::Absent));
        self.of.push((!absent).then(|| of.into()));
    }

    /// Counts the tests of these branches; gives those that were counted.
    fn count(&mut self, items: &[Item]) -> Vec<Id> {
        let mut counted = Vec::new();
        for condition in items.iter().flat_map(|item| &item.rest) {
            for test in self.of[*condition as usize].iter().flatten() {
                if self.counts[*test as usize] == 0 {
                    counted.push(*test);
                }
                self.counts[*test as usize] += 1;
            }
        }
        counted
    }

    fn forget(&mut self, counted: Vec<Id>) {
        for test in counted {
            self.counts[test as usize] = 0;
        }
    }
}
