//! What the listings share: walking a table by object key, and rolling keys up into common prefixes.

use std::collections::VecDeque;
use std::ops::Bound;

use bytes::Bytes;
use millpond_meta::{Key, Scan, View};

use crate::error::LakeError;
use crate::keys;
use crate::limits::LIST_SMALL_PAGE;

/// The rows of one table whose object keys begin with a prefix, in order, with jumps.
pub(crate) struct Cursor {
    rows: VecDeque<(Key, Bytes)>,
    /// Where the next page begins; `None` at the end of the range.
    from: Option<Bound<Key>>,
    to: Key,
    page: usize,
    largest: usize,
}

impl Cursor {
    /// Rows behind `from` that begin with `prefix`. `largest` bounds a page; with `jumps` expected, pages begin small.
    pub fn new(prefix: Key, from: Bound<Key>, largest: usize, jumps: bool) -> Self {
        let begins_before = match &from {
            Bound::Included(key) | Bound::Excluded(key) => *key < prefix,
            Bound::Unbounded => true,
        };
        let to = keys::behind(&prefix);
        let from = if begins_before { Bound::Included(prefix) } else { from };
        let page = if jumps { largest.min(LIST_SMALL_PAGE) } else { largest };
        Self { rows: VecDeque::new(), from: Some(from), to, page, largest }
    }

    /// The next row, which stays the next.
    pub async fn peek(&mut self, view: &(impl View + ?Sized)) -> Result<Option<&(Key, Bytes)>, LakeError> {
        if self.rows.is_empty()
            && let Some(from) = self.from.take()
            && !self.is_behind(&from)
        {
            let scan = Scan { from, to: Bound::Excluded(self.to.clone()), reverse: false, limit: self.page };
            let rows = view.scan(scan).await?;
            if rows.len() == self.page {
                self.from = rows.last().map(|(key, _)| Bound::Excluded(key.clone()));
                self.page = self.largest.min(self.page * 2);
            }
            self.rows = rows.into();
        }
        Ok(self.rows.front())
    }

    fn is_behind(&self, from: &Bound<Key>) -> bool {
        matches!(from, Bound::Included(key) | Bound::Excluded(key) if *key >= self.to)
    }

    /// The next row, after a peek.
    pub fn front(&self) -> Option<&(Key, Bytes)> {
        self.rows.front()
    }

    /// Takes the next row, after a peek.
    pub fn pop(&mut self) -> Option<(Key, Bytes)> {
        self.rows.pop_front()
    }

    /// Goes on at the first row that is not below `key`.
    pub fn jump(&mut self, key: Key) {
        let near = self.rows.partition_point(|(row, _)| *row < key);
        if near < self.rows.len() {
            self.rows.drain(..near);
            return;
        }
        // Beyond what was read. At the end of the range there is nothing to seek.
        let more = self.from.take().is_some();
        self.rows.clear();
        if more {
            self.from = Some(Bound::Included(key));
            self.page = self.largest.min(LIST_SMALL_PAGE);
        }
    }
}

/// The common prefix that a key is rolled up into, if any.
pub(crate) fn common_prefix<'a>(key: &'a str, prefix: &str, delimiter: Option<&str>) -> Option<&'a str> {
    let delimiter = delimiter.filter(|d| !d.is_empty())?;
    let at = key.get(prefix.len()..)?.find(delimiter)?;
    key.get(..prefix.len() + at + delimiter.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_roll_up_behind_the_prefix() {
        for (key, prefix, delimiter, expected) in [
            ("a/b/c", "", Some("/"), Some("a/")),
            ("a/b/c", "a/", Some("/"), Some("a/b/")),
            ("a/b", "a/", Some("/"), None),
            ("a/b", "a", Some("/"), Some("a/")),
            ("/a", "", Some("/"), Some("/")),
            ("aXYb", "", Some("XY"), Some("aXY")),
            ("éxé", "é", Some("x"), Some("éx")),
            ("a/b", "", None, None),
            ("a/b", "", Some(""), None),
        ] {
            assert_eq!(common_prefix(key, prefix, delimiter), expected, "{key} {prefix} {delimiter:?}");
        }
    }
}
