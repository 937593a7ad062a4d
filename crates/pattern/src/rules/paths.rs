//! The paths that rules ask about, as a tree of names, so that the rest of an event is passed over.

use std::collections::HashMap;
use std::sync::Arc;

use super::tables::{Id, NONE};
use crate::hash::Seeded;

/// More names than these in one place are looked up by hash.
const FEW: usize = 8;

/// A tree of names. Each path has a number, which it keeps when others are added.
#[derive(Clone, Debug)]
pub(super) struct Paths {
    nodes: Vec<Node>,
    fields: HashMap<Arc<str>, Id, Seeded>,
}

#[derive(Clone, Debug)]
struct Node {
    /// The path that ends here, or none.
    field: Id,
    names: Vec<(Box<[u8]>, Id)>,
    /// Of the names, when there are many.
    by_name: HashMap<Box<[u8]>, Id, Seeded>,
    /// A bit for each length of a name; the last one for all that are longer.
    lengths: u64,
}

impl Default for Paths {
    fn default() -> Self {
        Self { nodes: vec![Node::new()], fields: HashMap::default() }
    }
}

impl Node {
    fn new() -> Self {
        Self { field: NONE, names: Vec::new(), by_name: HashMap::default(), lengths: 0 }
    }
}

fn length_bit(name: &[u8]) -> u64 {
    1 << name.len().min(63)
}

impl Paths {
    /// Where an event begins.
    pub(super) const ROOT: Id = 0;

    /// The number of a path.
    pub(super) fn field(&self, path: &str) -> Option<Id> {
        self.fields.get(path).copied()
    }

    /// The number of a path, which is added when it is new.
    pub(super) fn add(&mut self, path: &Arc<str>) -> Id {
        if let Some(field) = self.fields.get(path) {
            return *field;
        }
        let mut node = Self::ROOT;
        for name in path.split('.') {
            node = match self.child(node, name.as_bytes()) {
                Some(child) => child,
                None => self.add_child(node, name.as_bytes()),
            };
        }
        let field = u32::try_from(self.fields.len()).unwrap_or(NONE);
        self.nodes[node as usize].field = field;
        self.fields.insert(Arc::clone(path), field);
        field
    }

    fn add_child(&mut self, node: Id, name: &[u8]) -> Id {
        let child = u32::try_from(self.nodes.len()).unwrap_or(NONE);
        self.nodes.push(Node::new());
        let node = &mut self.nodes[node as usize];
        node.lengths |= length_bit(name);
        node.names.push((name.into(), child));
        if node.names.len() > FEW {
            node.by_name = node.names.iter().cloned().collect();
        }
        child
    }

    /// Where a name leads. A name has no dots here.
    pub(super) fn child(&self, node: Id, name: &[u8]) -> Option<Id> {
        let node = &self.nodes[node as usize];
        if node.lengths & length_bit(name) == 0 {
            return None;
        }
        if node.names.len() > FEW {
            return node.by_name.get(name).copied();
        }
        node.names.iter().find(|(other, _)| **other == *name).map(|(_, child)| *child)
    }

    /// The path that ends at a node.
    pub(super) fn ends(&self, node: Id) -> Option<Id> {
        let field = self.nodes[node as usize].field;
        (field != NONE).then_some(field)
    }

    /// Whether any path goes on from a node.
    pub(super) fn goes_on(&self, node: Id) -> bool {
        !self.nodes[node as usize].names.is_empty()
    }
}
