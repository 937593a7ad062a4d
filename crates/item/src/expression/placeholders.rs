//! The names and values that stand behind `#name` and `:value`, and who has used them.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::error::{ExpressionError, Map, Problem};
use crate::Value;

/// The most bytes of a placeholder.
pub const MAX_PLACEHOLDER_BYTES: usize = 255;

/// `ExpressionAttributeNames` and `ExpressionAttributeValues` of a request. Its expressions are read with them one after the
/// other; what none has used is an error at the end.
#[derive(Debug, Default)]
pub struct Placeholders {
    names: BTreeMap<String, Entry<Arc<str>>>,
    values: BTreeMap<String, Entry<Arc<Value>>>,
}

#[derive(Debug)]
struct Entry<T> {
    stands_for: T,
    used: bool,
}

impl Placeholders {
    /// Of the two maps; `None` where the request has none. The values themselves are valid already.
    pub fn new(
        names: Option<BTreeMap<String, String>>,
        values: Option<BTreeMap<String, Value>>,
    ) -> Result<Placeholders, ExpressionError> {
        let names = names.map(|names| names.into_iter().map(|(key, name)| (key, Arc::from(name))).collect());
        let names: BTreeMap<String, Entry<Arc<str>>> = entries(Map::Names, '#', names)?;
        if let Some((placeholder, _)) = names.iter().find(|(_, entry)| entry.stands_for.is_empty()) {
            return Err(ExpressionError::EmptyName(placeholder.clone()));
        }
        let values = values.map(|values| values.into_iter().map(|(key, value)| (key, Arc::new(value))).collect());
        Ok(Placeholders { names, values: entries(Map::Values, ':', values)? })
    }

    /// All expressions are read: was everything used?
    pub fn finish(self) -> Result<(), ExpressionError> {
        unused(Map::Names, &self.names)?;
        unused(Map::Values, &self.values)
    }

    pub(super) fn name(&mut self, placeholder: &str) -> Result<Arc<str>, Problem> {
        let entry = self.names.get_mut(placeholder).ok_or_else(|| Problem::UndefinedName(placeholder.to_owned()))?;
        entry.used = true;
        Ok(entry.stands_for.clone())
    }

    pub(super) fn value(&mut self, placeholder: &str) -> Result<Arc<Value>, Problem> {
        let entry = self.values.get_mut(placeholder).ok_or_else(|| Problem::UndefinedValue(placeholder.to_owned()))?;
        entry.used = true;
        Ok(entry.stands_for.clone())
    }
}

fn entries<T>(
    map: Map,
    sign: char,
    given: Option<BTreeMap<String, T>>,
) -> Result<BTreeMap<String, Entry<T>>, ExpressionError> {
    let Some(given) = given else {
        return Ok(BTreeMap::new());
    };
    if given.is_empty() {
        return Err(ExpressionError::EmptyMap(map));
    }
    for placeholder in given.keys() {
        if placeholder.len() > MAX_PLACEHOLDER_BYTES {
            return Err(ExpressionError::LongPlaceholder(map, placeholder.len()));
        }
        let word = placeholder.strip_prefix(sign).unwrap_or_default();
        if word.is_empty() || !word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            return Err(ExpressionError::PlaceholderSyntax(map, placeholder.clone()));
        }
    }
    Ok(given.into_iter().map(|(key, stands_for)| (key, Entry { stands_for, used: false })).collect())
}

fn unused<T>(map: Map, entries: &BTreeMap<String, Entry<T>>) -> Result<(), ExpressionError> {
    let unused: Vec<&str> = entries.iter().filter(|(_, entry)| !entry.used).map(|(key, _)| key.as_str()).collect();
    if unused.is_empty() { Ok(()) } else { Err(ExpressionError::Unused(map, unused.join(", "))) }
}
