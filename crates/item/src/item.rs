//! Items: attributes by name.

use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};

use crate::{Value, ValueError};

/// Attributes by name, in the order of their names. What it holds is valid; its size is checked by who stores it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Item(BTreeMap<String, Value>);

impl Item {
    /// No attributes.
    pub fn new() -> Item {
        Item::default()
    }

    /// Is each attribute nested no deeper than [`crate::MAX_DEPTH`]?
    pub fn check_depth(&self) -> Result<(), ValueError> {
        self.0.values().try_for_each(Value::check_depth)
    }

    /// The attributes.
    pub fn into_inner(self) -> BTreeMap<String, Value> {
        self.0
    }
}

impl Deref for Item {
    type Target = BTreeMap<String, Value>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl DerefMut for Item {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

impl From<BTreeMap<String, Value>> for Item {
    fn from(attributes: BTreeMap<String, Value>) -> Item {
        Item(attributes)
    }
}

impl FromIterator<(String, Value)> for Item {
    fn from_iter<T: IntoIterator<Item = (String, Value)>>(attributes: T) -> Item {
        Item(attributes.into_iter().collect())
    }
}

impl IntoIterator for Item {
    type Item = (String, Value);
    type IntoIter = std::collections::btree_map::IntoIter<String, Value>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a Item {
    type Item = (&'a String, &'a Value);
    type IntoIter = std::collections::btree_map::Iter<'a, String, Value>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}
