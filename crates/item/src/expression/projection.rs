//! Projections: the parts of an item that are asked for.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::path::{Path, Segment};
use crate::{Item, Value};

/// Which parts of an item are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Projection(BTreeMap<Arc<str>, Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Whole,
    Names(BTreeMap<Arc<str>, Part>),
    Indexes(BTreeMap<u32, Part>),
}

impl Projection {
    /// The parts at these paths, none of which is in another.
    pub fn new<'a>(paths: impl IntoIterator<Item = &'a Path>) -> Projection {
        let mut parts = BTreeMap::new();
        for path in paths {
            match parts.get_mut(path.root()) {
                Some(part) => insert(part, path.rest()),
                None => drop(parts.insert(path.shared_root(), of_path(path.rest()))),
            }
        }
        Projection(parts)
    }

    /// Whole attributes.
    pub fn of_attributes(names: impl IntoIterator<Item = String>) -> Projection {
        Projection(names.into_iter().map(|name| (Arc::from(name), Part::Whole)).collect())
    }

    /// The attributes it looks at or into.
    pub fn attributes(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(|name| &**name)
    }

    /// The parts of an item: maps with the entries and lists with the elements that are wanted. What is not there is left out.
    pub fn of(&self, item: &Item) -> Item {
        let parts = self.0.iter().filter_map(|(name, part)| Some((name.to_string(), pick(part, item.get(&**name)?)?)));
        parts.collect()
    }

    /// The same, of an item that is not needed any more.
    pub fn of_owned(&self, mut item: Item) -> Item {
        let parts = self.0.iter().filter_map(|(name, part)| {
            let value = match part {
                Part::Whole => item.remove(&**name)?,
                part => pick(part, item.get(&**name)?)?,
            };
            Some((name.to_string(), value))
        });
        parts.collect()
    }
}

fn of_path(rest: &[Segment]) -> Part {
    match rest {
        [] => Part::Whole,
        [Segment::Name(name), rest @ ..] => Part::Names(BTreeMap::from([(name.clone(), of_path(rest))])),
        [Segment::Index(index), rest @ ..] => Part::Indexes(BTreeMap::from([(*index, of_path(rest))])),
    }
}

fn insert(part: &mut Part, rest: &[Segment]) {
    match (part, rest) {
        (Part::Names(names), [Segment::Name(name), rest @ ..]) => match names.get_mut(name) {
            Some(part) => insert(part, rest),
            None => drop(names.insert(name.clone(), of_path(rest))),
        },
        (Part::Indexes(indexes), [Segment::Index(index), rest @ ..]) => match indexes.get_mut(index) {
            Some(part) => insert(part, rest),
            None => drop(indexes.insert(*index, of_path(rest))),
        },
        // The whole has every part.
        (Part::Whole, _) => {}
        (part, _) => *part = Part::Whole,
    }
}

fn pick(part: &Part, value: &Value) -> Option<Value> {
    match (part, value) {
        (Part::Whole, value) => Some(value.clone()),
        (Part::Names(names), Value::M(map)) => {
            let picked =
                names.iter().filter_map(|(name, part)| Some((name.to_string(), pick(part, map.get(&**name)?)?)));
            let picked: BTreeMap<String, Value> = picked.collect();
            (!picked.is_empty()).then_some(Value::M(picked))
        }
        (Part::Indexes(indexes), Value::L(list)) => {
            let picked = indexes.iter().filter_map(|(index, part)| pick(part, list.get(*index as usize)?));
            let picked: Vec<Value> = picked.collect();
            (!picked.is_empty()).then_some(Value::L(picked))
        }
        _ => None,
    }
}
