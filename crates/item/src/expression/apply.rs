//! Makes an update of an item.

use std::collections::BTreeMap;

use super::error::UpdateError;
use super::path::{Path, Segment, step};
use super::projection::Projection;
use super::update::{SetValue, Source, Update};
use crate::size::DOCUMENT_BYTES;
use crate::{Item, Kind, MAX_DEPTH, MAX_ITEM_BYTES, Number, Value, ValueError};

/// What an update has changed.
#[derive(Debug, Clone, PartialEq)]
pub struct Applied {
    /// The parts of the item before that `UPDATED_OLD` shows.
    pub old: Projection,
    /// The parts of the item after that `UPDATED_NEW` shows.
    pub new: Projection,
}

/// What is done at a place.
enum Write {
    Put(Value),
    Remove,
}

impl Update {
    /// Changes the item, which stays as it is when that cannot be done. Whatever is read is read from the item before; indexes of
    /// lists are those before, and elements past the end come to it in the order of their indexes.
    pub fn apply(&self, item: &mut Item) -> Result<Applied, UpdateError> {
        let mut writes = BTreeMap::new();
        // AWS speaks of wrong types first, then of places that are not there, then of what is read and missing.
        let mut missing = Ok(());
        let mut size = Grown::default();
        for (path, value) in &self.sets {
            size.by(set_size(value, item))?;
            match set(value, item) {
                Ok(value) => drop(writes.insert(path, Write::Put(value))),
                Err(UpdateError::MissingAttribute) => missing = Err(UpdateError::MissingAttribute),
                Err(other) => return Err(other),
            }
        }
        for (path, value) in &self.adds {
            // A sum may be smaller than what is added.
            if value.kind() != Kind::N {
                size.by(value.size())?;
            }
            writes.insert(path, Write::Put(self.add(path.get(item), value)?));
        }
        for (path, value) in &self.deletes {
            if let Some(there) = path.get(item) {
                writes.insert(path, self.delete(there, value)?);
            }
        }
        for path in &self.removes {
            if path.get(item).is_some() {
                writes.insert(path, Write::Remove);
            }
        }
        self.paths().try_for_each(|path| check_place(path, item))?;
        missing?;
        for (path, write) in &writes {
            if let Write::Put(value) = write
                && path.rest().len() + value.depth() > MAX_DEPTH
            {
                return Err(ValueError::TooDeep.into());
            }
        }
        Ok(Applied { old: Projection::new(self.paths()), new: make(writes, item) })
    }

    fn add(&self, there: Option<&Value>, value: &Value) -> Result<Value, UpdateError> {
        match (there, value) {
            (None, value) => Ok(value.clone()),
            (Some(Value::N(there)), Value::N(number)) => Ok(Value::N(there.plus(*number)?)),
            (Some(Value::Ss(there)), Value::Ss(members)) => Ok(Value::Ss(there | members)),
            (Some(Value::Ns(there)), Value::Ns(members)) => Ok(Value::Ns(there | members)),
            (Some(Value::Bs(there)), Value::Bs(members)) => Ok(Value::Bs(there | members)),
            (Some(Value::L(there)), Value::L(values)) if self.legacy => {
                Ok(Value::L(there.iter().chain(values).cloned().collect()))
            }
            _ => Err(self.wrong_type()),
        }
    }

    fn delete(&self, there: &Value, value: &Value) -> Result<Write, UpdateError> {
        let (rest, empty) = match (there, value) {
            (Value::Ss(there), Value::Ss(members)) => (Value::Ss(there - members), there.is_subset(members)),
            (Value::Ns(there), Value::Ns(members)) => (Value::Ns(there - members), there.is_subset(members)),
            (Value::Bs(there), Value::Bs(members)) => (Value::Bs(there - members), there.is_subset(members)),
            _ => return Err(self.wrong_type()),
        };
        Ok(if empty { Write::Remove } else { Write::Put(rest) })
    }

    fn wrong_type(&self) -> UpdateError {
        if self.legacy { UpdateError::LegacyType } else { UpdateError::OperandType }
    }
}

/// Bytes that an item has at least after what is written, as none of its places is within another. They are counted before a value is copied: an
/// expression may name it hundreds of times.
#[derive(Default)]
struct Grown(usize);

impl Grown {
    fn by(&mut self, bytes: usize) -> Result<(), UpdateError> {
        self.0 = self.0.saturating_add(bytes);
        if self.0 > MAX_ITEM_BYTES { Err(UpdateError::TooLarge) } else { Ok(()) }
    }
}

/// Bytes of what is set; sums are small, and what is missing has none.
fn set_size(value: &SetValue, item: &Item) -> usize {
    match value {
        SetValue::Source(source) => source_size(source, item),
        SetValue::Plus(..) | SetValue::Minus(..) => 0,
    }
}

fn source_size(source: &Source, item: &Item) -> usize {
    match source {
        Source::Value(value) => value.size(),
        Source::Path(path) => path.get(item).map_or(0, Value::size),
        Source::IfNotExists(path, other) => path.get(item).map_or_else(|| source_size(other, item), Value::size),
        // Of two lists, which become one.
        Source::Append(first, second) => {
            (source_size(first, item) + source_size(second, item)).saturating_sub(DOCUMENT_BYTES)
        }
    }
}

fn set(value: &SetValue, item: &Item) -> Result<Value, UpdateError> {
    match value {
        SetValue::Source(source) => read(source, item),
        SetValue::Plus(left, right) => Ok(Value::N(number(left, item)?.plus(number(right, item)?)?)),
        SetValue::Minus(left, right) => Ok(Value::N(number(left, item)?.minus(number(right, item)?)?)),
    }
}

fn read(source: &Source, item: &Item) -> Result<Value, UpdateError> {
    match source {
        Source::Value(value) => Ok(Value::clone(value)),
        Source::Path(path) => path.get(item).cloned().ok_or(UpdateError::MissingAttribute),
        Source::IfNotExists(path, other) => path.get(item).cloned().map_or_else(|| read(other, item), Ok),
        Source::Append(first, second) => {
            let mut list = list(first, item)?;
            list.append(&mut self::list(second, item)?);
            Ok(Value::L(list))
        }
    }
}

fn number(source: &Source, item: &Item) -> Result<Number, UpdateError> {
    match read(source, item)? {
        Value::N(number) => Ok(number),
        _ => Err(UpdateError::OperandType),
    }
}

fn list(source: &Source, item: &Item) -> Result<Vec<Value>, UpdateError> {
    match read(source, item)? {
        Value::L(list) => Ok(list),
        _ => Err(UpdateError::OperandType),
    }
}

/// Can something be at this path? What is above it must be there, a map for a name and a list for an index.
fn check_place(path: &Path, item: &Item) -> Result<(), UpdateError> {
    let Some((last, above)) = path.rest().split_last() else {
        return Ok(());
    };
    let parent = item.get(path.root()).and_then(|root| above.iter().try_fold(root, step));
    match (parent, last) {
        (Some(Value::M(_)), Segment::Name(_)) | (Some(Value::L(_)), Segment::Index(_)) => Ok(()),
        _ => Err(UpdateError::Path),
    }
}

/// Writes: first what is put, in the order of the paths, then what is removed, from behind, so that indexes stay what they were.
/// Says which parts were put and where they are now.
fn make(writes: BTreeMap<&Path, Write>, item: &mut Item) -> Projection {
    let (mut put, mut removed) = (Vec::new(), Vec::new());
    for (path, write) in writes {
        match write {
            Write::Put(value) => put.push(put_at(path, value, item)),
            Write::Remove => removed.push(path),
        }
    }
    for path in removed.iter().rev() {
        remove_at(path, item);
    }
    for path in &mut put {
        move_up(path, &removed);
    }
    Projection::new(&put)
}

/// Where it comes to be.
fn put_at(path: &Path, value: Value, item: &mut Item) -> Path {
    let mut place = path.clone();
    match path.parent(item) {
        None => drop(item.insert(path.root().to_owned(), value)),
        Some((Value::M(map), Segment::Name(name))) => drop(map.insert(name.to_string(), value)),
        Some((Value::L(list), Segment::Index(index))) => match list.get_mut(*index as usize) {
            Some(there) => *there = value,
            None => {
                if let Some(Segment::Index(last)) = place.rest_mut().last_mut() {
                    // An item has far fewer elements.
                    *last = list.len() as u32;
                }
                list.push(value);
            }
        },
        // `check_place` has seen to it.
        Some(_) => {}
    }
    place
}

fn remove_at(path: &Path, item: &mut Item) {
    match path.parent(item) {
        None => drop(item.remove(path.root())),
        Some((Value::M(map), Segment::Name(name))) => drop(map.remove(&**name)),
        Some((Value::L(list), Segment::Index(index))) if (*index as usize) < list.len() => {
            list.remove(*index as usize);
        }
        Some(_) => {}
    }
}

/// Counts down the indexes of a path by what was removed before them.
fn move_up(path: &mut Path, removed: &[&Path]) {
    let before: Vec<Segment> = path.rest().to_vec();
    let root = path.root().to_owned();
    for (at, segment) in path.rest_mut().iter_mut().enumerate() {
        let Segment::Index(index) = segment else {
            continue;
        };
        let gone = removed.iter().filter(|removed| {
            let rest = removed.rest();
            let in_this_list = removed.root() == root && rest.len() == at + 1 && rest[..at] == before[..at];
            in_this_list
                && matches!((&rest[at], &before[at]), (Segment::Index(gone), Segment::Index(here)) if gone < here)
        });
        *index -= gone.count() as u32;
    }
}
