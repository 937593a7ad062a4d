//! Paths to attributes and into documents.

use std::fmt;
use std::sync::Arc;

use super::error::Problem;
use crate::{Item, Value};

/// The most steps of a path.
pub const MAX_PATH_DEPTH: usize = 32;
/// The greatest index into a list.
pub const MAX_LIST_INDEX: u32 = i32::MAX as u32;

/// A step into a document.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Segment {
    /// An entry of a map.
    Name(Arc<str>),
    /// An element of a list.
    Index(u32),
}

/// A path: the name of an attribute, and steps into it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Path {
    /// The attribute.
    root: Arc<str>,
    /// The steps below it.
    rest: Vec<Segment>,
}

impl Path {
    /// The path to an attribute.
    pub fn attribute(name: impl Into<Arc<str>>) -> Path {
        Path { root: name.into(), rest: Vec::new() }
    }

    pub(super) fn new(root: Arc<str>, rest: Vec<Segment>) -> Path {
        Path { root, rest }
    }

    /// The attribute it begins with.
    pub fn root(&self) -> &str {
        &self.root
    }

    pub(super) fn shared_root(&self) -> Arc<str> {
        Arc::clone(&self.root)
    }

    /// The steps below the attribute.
    pub fn rest(&self) -> &[Segment] {
        &self.rest
    }

    pub(super) fn rest_mut(&mut self) -> &mut [Segment] {
        &mut self.rest
    }

    /// What is there in an item.
    pub fn get<'a>(&self, item: &'a Item) -> Option<&'a Value> {
        self.rest.iter().try_fold(item.get(&*self.root)?, step)
    }

    /// What is above the last step; `None` for an attribute, which has an item above it.
    pub(super) fn parent<'a>(&self, item: &'a mut Item) -> Option<(&'a mut Value, &Segment)> {
        let (last, above) = self.rest.split_last()?;
        let mut value = item.get_mut(&*self.root)?;
        for segment in above {
            value = match (value, segment) {
                (Value::M(map), Segment::Name(name)) => map.get_mut(&**name)?,
                (Value::L(list), Segment::Index(index)) => list.get_mut(*index as usize)?,
                _ => return None,
            };
        }
        Some((value, last))
    }
}

pub(super) fn step<'a>(value: &'a Value, segment: &Segment) -> Option<&'a Value> {
    match (value, segment) {
        (Value::M(map), Segment::Name(name)) => map.get(&**name),
        (Value::L(list), Segment::Index(index)) => list.get(*index as usize),
        _ => None,
    }
}

impl fmt::Display for Path {
    /// As AWS writes it in messages: `[a, [1], b]`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}", self.root)?;
        for segment in &self.rest {
            match segment {
                Segment::Name(name) => write!(f, ", {name}")?,
                Segment::Index(index) => write!(f, ", [{index}]")?,
            }
        }
        f.write_str("]")
    }
}

/// Is no path in another, and does none take for a list what another takes for a map?
pub(super) fn check_apart<'a>(paths: impl IntoIterator<Item = &'a Path>) -> Result<(), Problem> {
    let paths: Vec<&Path> = paths.into_iter().collect();
    let mut conflict = None;
    for (at, two) in paths.iter().enumerate() {
        for one in &paths[..at] {
            match relation(one, two) {
                Relation::Apart => {}
                Relation::Overlap => return Err(Problem::Overlap(one.to_string(), two.to_string())),
                Relation::Conflict => {
                    conflict.get_or_insert_with(|| Problem::Conflict(one.to_string(), two.to_string()));
                }
            }
        }
    }
    conflict.map_or(Ok(()), Err)
}

enum Relation {
    Apart,
    Overlap,
    Conflict,
}

fn relation(one: &Path, two: &Path) -> Relation {
    if one.root != two.root {
        return Relation::Apart;
    }
    for pair in one.rest.iter().zip(&two.rest) {
        match pair {
            (Segment::Name(one), Segment::Name(two)) if one == two => {}
            (Segment::Index(one), Segment::Index(two)) if one == two => {}
            (Segment::Name(_), Segment::Index(_)) | (Segment::Index(_), Segment::Name(_)) => return Relation::Conflict,
            _ => return Relation::Apart,
        }
    }
    Relation::Overlap
}
