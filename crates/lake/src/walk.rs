//! Walking rows in pages.

use std::ops::Bound;

use millpond_meta::{Key, Rows, Scan, View};

use crate::error::LakeError;
use crate::keys;

/// Rows of a range, a page at a time, so that no walk holds more than a page.
pub(crate) struct Walk {
    from: Option<Bound<Key>>,
    to: Key,
    page: usize,
}

impl Walk {
    /// All rows in `from .. to`.
    pub fn range(from: Key, to: Key, page: usize) -> Self {
        Self { from: Some(Bound::Included(from)), to, page }
    }

    /// All rows whose key begins with `prefix`.
    pub fn prefix(prefix: Key, page: usize) -> Self {
        let to = keys::behind(&prefix);
        Self::range(prefix, to, page)
    }

    /// All rows of a table.
    pub fn table(table: u8, page: usize) -> Self {
        Self::prefix(keys::table(table), page)
    }

    /// The next rows; none at the end.
    pub async fn next(&mut self, view: &(impl View + ?Sized)) -> Result<Rows, LakeError> {
        let Some(from) = self.from.take() else { return Ok(Rows::new()) };
        let scan = Scan { from, to: Bound::Excluded(self.to.clone()), reverse: false, limit: self.page };
        let rows = view.scan(scan).await?;
        if rows.len() == self.page {
            self.from = rows.last().map(|(key, _)| Bound::Excluded(key.clone()));
        }
        Ok(rows)
    }
}
