//! Rules by what they want, so that an event leads to those few that it could match.
//!
//! A node tells rules apart by one field each, the one in which fewest others want the same (`build.rs`). Rules that want the same there
//! are told apart by a node of their own again, until few are left; what those want of further fields is then looked at.

use std::borrow::Cow;
use std::sync::Arc;

use super::found::Found;
use super::tables::{Beginnings, Exact, Id, Ranges};
use super::wildcards::{Wildcards, reversed};
use crate::address::Address;
use crate::consistency::{Asked, hold};
use crate::folded::fold;
use crate::test::{Test, Value};

/// What a field must be. Branches that want the same share one.
#[derive(Clone, Debug)]
pub(super) struct Condition {
    pub(super) field: Id,
    pub(super) tests: Arc<[Test]>,
}

/// One way to match a rule.
#[derive(Clone, Debug)]
pub(super) struct Branch {
    pub(super) rule: Id,
    /// In the order of their paths.
    pub(super) conditions: Box<[Id]>,
}

/// A branch that an event could match.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) branch: Id,
    pub(super) rule: Id,
    /// The list of conditions that were not looked at on the way to it.
    pub(super) rest: Id,
    /// Whether it is the last of those that stand together.
    pub(super) last: bool,
}

/// What a value leads to: a node, or entries that stand together from a place on. One number, so that nothing lies in between.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Target {
    Entries(Id),
    Node(Id),
}

impl Target {
    const NODE: Id = 1 << 31;

    pub(super) fn number(self) -> Id {
        match self {
            Self::Entries(place) => place,
            Self::Node(node) => node | Self::NODE,
        }
    }

    fn of(number: Id) -> Self {
        if number & Self::NODE == 0 { Self::Entries(number) } else { Self::Node(number & !Self::NODE) }
    }
}

#[derive(Clone, Debug, Default)]
pub(super) struct Node {
    /// Branches that no value leads to.
    pub(super) always: Option<Id>,
    /// In the order of the fields.
    pub(super) fields: Box<[(Id, Box<[Table]>)]>,
}

/// Where values of a field lead. Those that say so lead to a [`Check`]: the table alone does not decide.
#[derive(Clone, Debug)]
pub(super) enum Table {
    Exact(Exact),
    Prefixes(Beginnings),
    /// Of reversed texts.
    Suffixes(Beginnings),
    Ranges(Ranges<u64>),
    Blocks(Ranges<(u8, u128)>),
    /// Of folded texts, to checks.
    Folded(Exact),
    /// Of folded texts, to checks.
    FoldedPrefixes(Beginnings),
    /// Of folded and reversed texts, to checks.
    FoldedSuffixes(Beginnings),
    /// To checks.
    Wildcards(Wildcards),
    /// Checks for every value.
    Others(Box<[Id]>),
}

/// A test that has to be tried, and where it leads.
#[derive(Clone, Copy, Debug)]
pub(super) struct Check {
    pub(super) condition: Id,
    pub(super) test: u32,
    pub(super) target: Id,
}

/// All of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Index {
    pub(super) conditions: Vec<Condition>,
    pub(super) branches: Vec<Branch>,
    pub(super) nodes: Vec<Node>,
    pub(super) entries: Vec<Entry>,
    /// Lists of conditions; those that are the same are one.
    pub(super) rests: Vec<Box<[Id]>>,
    pub(super) checks: Vec<Check>,
    /// Where an event begins.
    pub(super) root: Id,
}

impl Index {
    /// The numbers of all rules that match, in order.
    pub(super) fn matching(&self, found: &Found<'_>) -> Vec<Id> {
        let mut search = Search { index: self, found, flat: found.is_flat(), hits: Vec::new(), targets: Vec::new() };
        if !self.nodes.is_empty() {
            search.node(self.root);
        }
        let mut hits = search.hits;
        if !found.is_flat() {
            distinct(&mut hits);
            hits.retain(|branch| self.holds(*branch, found));
            for hit in &mut hits {
                *hit = self.branches[*hit as usize].rule;
            }
        }
        distinct(&mut hits);
        hits
    }

    fn asked<'a, 'e>(&'a self, condition: Id, found: &'a Found<'e>) -> Asked<'a, 'e> {
        let condition = &self.conditions[condition as usize];
        Asked { tests: &condition.tests, leaves: found.leaves(condition.field) }
    }

    /// Whether all fields of a branch are as they are wanted, together.
    fn holds(&self, branch: Id, found: &Found<'_>) -> bool {
        let conditions = &self.branches[branch as usize].conditions;
        let asked: Vec<_> = conditions.iter().map(|condition| self.asked(*condition, found)).collect();
        hold(&asked, &found.scopes)
    }
}

fn distinct(list: &mut Vec<Id>) {
    if list.len() > 1 {
        list.sort_unstable();
        list.dedup();
    }
}

struct Search<'s, 'e> {
    index: &'s Index,
    found: &'s Found<'e>,
    /// Without arrays each field counts by itself.
    flat: bool,
    /// Rules when it is flat, and else branches; each can come more than once.
    hits: Vec<Id>,
    /// Where values led to that is still to be looked at.
    targets: Vec<Id>,
}

impl Search<'_, '_> {
    fn node(&mut self, node: Id) {
        let node = &self.index.nodes[node as usize];
        if let Some(place) = node.always {
            self.entries(place);
        }
        let first = self.targets.len();
        let mut targets = std::mem::take(&mut self.targets);
        if node.fields.len() <= self.found.fields().len() {
            for (field, tables) in &node.fields {
                self.field(tables, *field, &mut targets);
            }
        } else {
            for (field, _) in self.found.fields() {
                if let Ok(n) = node.fields.binary_search_by_key(&field, |(other, _)| *other) {
                    self.field(&node.fields[n].1, field, &mut targets);
                }
            }
        }
        self.targets = targets;
        // Several values can lead to one place.
        if self.targets.len() > first + 1 {
            self.targets[first..].sort_unstable();
        }
        let mut before = None;
        for at in first..self.targets.len() {
            let target = self.targets[at];
            if before == Some(target) {
                continue;
            }
            before = Some(target);
            match Target::of(target) {
                Target::Entries(place) => self.entries(place),
                Target::Node(node) => self.node(node),
            }
        }
        self.targets.truncate(first);
    }

    fn field(&self, tables: &[Table], field: Id, targets: &mut Vec<Id>) {
        for leaf in self.found.leaves(field) {
            for table in tables {
                self.look(table, &leaf.value, targets);
            }
        }
    }

    /// Those that stand together from a place on.
    fn entries(&mut self, place: Id) {
        let (index, found) = (self.index, self.found);
        for entry in &index.entries[place as usize..] {
            let alone = |condition: &Id| index.asked(*condition, found).alone();
            if !self.flat {
                // With arrays, all fields have to be looked at together in the end.
                self.hits.push(entry.branch);
            } else if index.rests[entry.rest as usize].iter().all(alone) {
                self.hits.push(entry.rule);
            }
            if entry.last {
                return;
            }
        }
    }

    fn look(&self, table: &Table, value: &Value<'_>, targets: &mut Vec<Id>) {
        match (table, value) {
            (Table::Exact(table), value) => targets.extend(get(table, value)),
            (Table::Others(checks), value) => checks.iter().for_each(|check| self.check(*check, value, targets)),
            (Table::Ranges(table), Value::Number(_, Some(number))) => table.each(number.key(), |id| targets.push(id)),
            (Table::Ranges(_), _) => {}
            (table, Value::Text(text)) => self.look_text(table, text, value, targets),
            _ => {}
        }
    }

    fn look_text(&self, table: &Table, text: &str, value: &Value<'_>, targets: &mut Vec<Id>) {
        match table {
            Table::Prefixes(table) => table.each(text.as_bytes(), |id| targets.push(id)),
            Table::Suffixes(table) => table.each(&reversed(text.as_bytes()), |id| targets.push(id)),
            Table::Blocks(table) => {
                if let Some(address) = Address::parse(text) {
                    table.each(address.key(), |id| targets.push(id));
                }
            }
            Table::Folded(table) => {
                if let Some(check) = table.get(TEXT, fold(text).as_bytes()) {
                    self.check(check, value, targets);
                }
            }
            Table::FoldedPrefixes(table) => {
                table.each(fold(text).as_bytes(), |check| self.check(check, value, targets));
            }
            Table::FoldedSuffixes(table) => {
                table.each(&reversed(fold(text).as_bytes()), |check| self.check(check, value, targets));
            }
            Table::Wildcards(table) => {
                let backwards = if table.has_endings() { reversed(text.as_bytes()) } else { Vec::new() };
                let mut checks = Vec::new();
                table.each(text.as_bytes(), &backwards, |check| checks.push(check));
                distinct(&mut checks);
                checks.into_iter().for_each(|check| self.check(check, value, targets));
            }
            Table::Exact(_) | Table::Others(_) | Table::Ranges(_) => {}
        }
    }

    fn check(&self, check: Id, value: &Value<'_>, targets: &mut Vec<Id>) {
        let check = self.index.checks[check as usize];
        let tests = &self.index.conditions[check.condition as usize].tests;
        if tests[check.test as usize].accepts(value) {
            targets.push(check.target);
        }
    }
}

/// Tags of values in [`Exact`] tables.
pub(super) const TEXT: u8 = 1;
const NUMBER: u8 = 2;
const NUMBER_TEXT: u8 = 3;
const WORD: u8 = 4;

fn get(table: &Exact, value: &Value<'_>) -> Option<Id> {
    match value {
        Value::Text(text) => table.get(TEXT, text.as_bytes()),
        Value::Number(_, Some(number)) => table.get(NUMBER, &number.key().to_le_bytes()),
        Value::Number(text, None) => table.get(NUMBER_TEXT, text.as_bytes()),
        Value::True => table.get(WORD, b"true"),
        Value::False => table.get(WORD, b"false"),
        Value::Null => table.get(WORD, b"null"),
    }
}

/// What a test is in an [`Exact`] table, when it is about one value.
pub(super) fn exact_key(test: &Test) -> Option<(u8, Cow<'_, [u8]>)> {
    Some(match test {
        Test::Text(text) => (TEXT, Cow::Borrowed(text.as_bytes())),
        Test::Number(_, Some(number)) => (NUMBER, Cow::Owned(number.key().to_le_bytes().to_vec())),
        Test::Number(text, None) => (NUMBER_TEXT, Cow::Borrowed(text.as_bytes())),
        Test::True => (WORD, Cow::Borrowed(b"true")),
        Test::False => (WORD, Cow::Borrowed(b"false")),
        Test::Null => (WORD, Cow::Borrowed(b"null")),
        _ => return None,
    })
}
