//! Array consistency: what a pattern wants of several fields in elements of an array must be found in one element.
//!
//! A value knows the elements that it stands in: (array, index) pairs, outermost first. Two values go together when no array has both of them
//! in different elements. Fields are taken in the order of their paths, as AWS's matcher takes them; that matters for
//! `{"exists": false}`, which means: not in those elements that the fields before were found in.

use std::collections::{HashMap, HashSet};

use crate::hash::Seeded;
use crate::test::{Test, Value};

/// A value and the elements it stands in.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Leaf<'a> {
    pub(crate) value: Value<'a>,
    /// Which of the event's [`Scopes`].
    pub(crate) scope: u32,
}

/// The sets of elements in which values of an event stand.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scopes {
    list: Vec<Box<[(u32, u32)]>>,
}

impl Scopes {
    /// The scope of what stands in no element.
    pub(crate) const NONE: u32 = 0;

    /// The scope of these elements. Values come in the order of the document, so that only the last one can be the same.
    pub(crate) fn of(&mut self, here: &[(u32, u32)]) -> u32 {
        if here.is_empty() {
            return Self::NONE;
        }
        if self.list.last().is_none_or(|last| **last != *here) {
            self.list.push(here.into());
        }
        u32::try_from(self.list.len()).unwrap_or(u32::MAX)
    }

    /// Whether no value stands in any element.
    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    fn elements(&self, scope: u32) -> &[(u32, u32)] {
        (scope as usize).checked_sub(1).and_then(|n| self.list.get(n)).map_or(&[], |elements| &**elements)
    }
}

/// A field of a pattern, with what the event has there.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a, 'e> {
    pub(crate) tests: &'a [Test],
    pub(crate) leaves: &'a [Leaf<'e>],
}

impl Asked<'_, '_> {
    /// Whether the field by itself is as it is wanted.
    pub(crate) fn alone(&self) -> bool {
        if self.leaves.is_empty() {
            return self.absent();
        }
        self.leaves.iter().any(|leaf| accepts(self.tests, &leaf.value))
    }

    fn absent(&self) -> bool {
        self.tests.iter().any(|test| matches!(test, Test::Absent))
    }
}

fn accepts(tests: &[Test], value: &Value<'_>) -> bool {
    tests.iter().any(|test| test.accepts(value))
}

/// Whether all fields are as they are wanted, together. They come in the order of their paths.
pub(crate) fn hold(asked: &[Asked<'_, '_>], scopes: &Scopes) -> bool {
    if asked.iter().all(|field| field.leaves.iter().all(|leaf| leaf.scope == Scopes::NONE)) {
        return asked.iter().all(Asked::alone);
    }
    // What is nowhere as it is wanted is not so in one element.
    asked.iter().all(|field| field.absent() || field.alone()) && together(asked, scopes)
}

/// The elements that the fields so far were found in, for each way to find them.
type Ways = HashSet<Vec<(u32, u32)>, Seeded>;

fn together(asked: &[Asked<'_, '_>], scopes: &Scopes) -> bool {
    // Elements of arrays in which no later field has a value decide nothing any more; without them many ways are one.
    let mut last_of: HashMap<u32, usize, Seeded> = HashMap::default();
    for (n, field) in asked.iter().enumerate() {
        for leaf in field.leaves {
            last_of.extend(scopes.elements(leaf.scope).iter().map(|(array, _)| (*array, n)));
        }
    }
    let mut ways = Ways::from_iter([Vec::new()]);
    for (n, field) in asked.iter().enumerate() {
        let matter = |array: u32| last_of.get(&array).is_some_and(|last| *last > n);
        let mut next = Ways::default();
        let leaves = Leaves::of(field.leaves, scopes);
        let accepted: Vec<bool> = field.leaves.iter().map(|leaf| accepts(field.tests, &leaf.value)).collect();
        for way in &ways {
            if n + 1 == asked.len() && !next.is_empty() {
                return true;
            }
            let mut none = true;
            leaves.each(way, |leaf| {
                let elements = scopes.elements(field.leaves[leaf].scope);
                if !consistent(way, elements) {
                    return;
                }
                none = false;
                if accepted[leaf] {
                    let mut longer: Vec<_> =
                        way.iter().chain(elements).copied().filter(|(array, _)| matter(*array)).collect();
                    longer.sort_unstable();
                    longer.dedup();
                    next.insert(longer);
                }
            });
            if none && field.absent() {
                next.insert(way.iter().copied().filter(|(array, _)| matter(*array)).collect());
            }
        }
        if next.is_empty() {
            return false;
        }
        ways = next;
    }
    true
}

fn consistent(way: &[(u32, u32)], elements: &[(u32, u32)]) -> bool {
    elements.iter().all(|(array, index)| way.iter().all(|(other, at)| other != array || at == index))
}

/// The values of one field, by the elements that they stand in, so that a long array is not gone through for each of its elements.
struct Leaves {
    count: usize,
    by_element: HashMap<(u32, u32), Vec<usize>, Seeded>,
    by_array: HashMap<u32, usize, Seeded>,
}

impl Leaves {
    /// Fewer values are faster looked at one by one.
    const MIN: usize = 32;

    fn of(leaves: &[Leaf<'_>], scopes: &Scopes) -> Self {
        let mut new = Self { count: leaves.len(), by_element: HashMap::default(), by_array: HashMap::default() };
        if leaves.len() >= Self::MIN {
            for (n, leaf) in leaves.iter().enumerate() {
                for element in scopes.elements(leaf.scope) {
                    new.by_element.entry(*element).or_default().push(n);
                    *new.by_array.entry(element.0).or_default() += 1;
                }
            }
        }
        new
    }

    /// Hands out, at least, every value that can go together with a way.
    fn each(&self, way: &[(u32, u32)], mut hand: impl FnMut(usize)) {
        // Where all values stand in an array that the way has an element of, they must stand in that element.
        let narrowed = way.iter().filter(|(array, _)| self.by_array.get(array) == Some(&self.count));
        let fewest = narrowed
            .map(|element| self.by_element.get(element).map_or(&[][..], Vec::as_slice))
            .min_by_key(|list| list.len());
        match fewest {
            Some(list) => list.iter().copied().for_each(hand),
            None => (0..self.count).for_each(&mut hand),
        }
    }
}
