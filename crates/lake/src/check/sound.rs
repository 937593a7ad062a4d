//! Walking a table of which some rows are damaged.

use std::ops::Bound;

use bytes::Bytes;
use millpond_meta::{Key, MAX_KEY_BYTES, ReadError, Rows, Scan, View};

use crate::error::LakeError;
use crate::keys;

/// Damaged places of one table that a walk goes on behind: each costs some thousand reads, and a table with more of them is lost anyway.
const MAX_PASSED: usize = 1_000;

/// A step of a walk.
pub(super) enum Step {
    /// The next sound rows, in order.
    Rows(Rows),
    /// Rows that cannot be read, and the key of the last of them. The next step is behind it.
    Damaged(String, Key),
    /// There are no more.
    End,
}

/// All sound rows of a table, a page at a time.
pub(super) struct SoundWalk {
    from: Bound<Key>,
    /// No row that is yet to come lies before this.
    behind: Key,
    to: Key,
    page: usize,
    passed: usize,
    ended: bool,
}

impl SoundWalk {
    pub fn table(table: u8, page: usize) -> Self {
        let first = keys::table(table);
        let to = keys::behind(&first);
        Self { from: Bound::Included(first.clone()), behind: first, to, page, passed: 0, ended: false }
    }

    /// The table that is walked.
    pub fn of(&self) -> u8 {
        self.behind.first().copied().unwrap_or_default()
    }

    pub async fn next(&mut self, view: &dyn View) -> Result<Step, LakeError> {
        if self.ended {
            return Ok(Step::End);
        }
        match self.scan(view, self.page).await? {
            Ok(rows) => {
                self.ended = rows.len() < self.page;
                Ok(self.step(rows))
            }
            Err(what) => self.around(view, what).await,
        }
    }

    fn step(&mut self, rows: Rows) -> Step {
        let Some((last, _)) = rows.last() else { return Step::End };
        self.behind = last.clone();
        self.from = Bound::Excluded(last.clone());
        Step::Rows(rows)
    }

    async fn scan(&self, view: &dyn View, limit: usize) -> Result<Result<Rows, String>, LakeError> {
        let scan = Scan { from: self.from.clone(), to: Bound::Excluded(self.to.clone()), reverse: false, limit };
        sound(view.scan(scan).await)
    }

    /// The sound rows of a page before the damage, one by one; without any, leaves the damage behind.
    async fn around(&mut self, view: &dyn View, what: String) -> Result<Step, LakeError> {
        let mut rows = Rows::new();
        while rows.len() < self.page {
            match self.scan(view, 1).await? {
                Ok(one) if one.is_empty() => {
                    // It could be read the second time.
                    self.ended = true;
                    break;
                }
                Ok(one) => {
                    self.step(one.clone());
                    rows.extend(one);
                }
                Err(_) => break,
            }
        }
        if self.ended || !rows.is_empty() {
            return Ok(self.step(rows));
        }
        self.passed += 1;
        self.ended = self.passed >= MAX_PASSED;
        let damaged = self.last_unreadable(view).await?;
        let next: Key = [&damaged[..], &[0]].concat().into();
        self.behind = damaged.clone();
        self.from = Bound::Included(next);
        let what = if self.ended { format!("{what}; what follows was not looked at") } else { what };
        Ok(Step::Damaged(what, damaged))
    }

    /// The key of the row that cannot be read next (of several in a row, the last): nobody tells it, but it is where reading begins to
    /// succeed again.
    async fn last_unreadable(&self, view: &dyn View) -> Result<Key, LakeError> {
        let mut to = self.to.clone();
        loop {
            let damaged = Search { view, to }.last_unreadable(&self.behind).await?;
            // With more damage close by, the search may have gone too far: then there is a sound row right before.
            let end = Bound::Excluded(damaged.clone());
            let scan = Scan { from: self.from.clone(), to: end, reverse: true, limit: 1 };
            match sound(view.scan(scan).await)?.ok().and_then(|mut rows| rows.pop()) {
                Some((key, _)) => to = key,
                None => return Ok(damaged),
            }
        }
    }
}

/// The search for damage, before `to`.
struct Search<'a> {
    view: &'a dyn View,
    to: Key,
}

impl Search<'_> {
    /// Whether the first row at `key` or behind it can be read, or there is none.
    async fn readable(&self, key: &[u8]) -> Result<bool, LakeError> {
        if *key >= *self.to {
            return Ok(true);
        }
        let from = Bound::Included(Bytes::copy_from_slice(key));
        let scan = Scan { from, to: Bound::Excluded(self.to.clone()), reverse: false, limit: 1 };
        Ok(sound(self.view.scan(scan).await)?.is_ok())
    }

    /// First the beginning that the key shares with the last row before, then byte by byte.
    async fn last_unreadable(&self, before: &[u8]) -> Result<Key, LakeError> {
        let mut same = before.len();
        while same > 1 && !self.readable(&keys::behind(&before[..same])).await? {
            same -= 1;
        }
        let mut key = before[..same].to_vec();
        let mut least = before.get(same).map_or(0, |byte| byte.saturating_add(1));
        while key.len() < MAX_KEY_BYTES {
            key.push(least);
            // One by one: larger steps would step over sound rows between this damage and the next.
            while let Some(last) = key.pop() {
                let Some(next) = last.checked_add(1) else {
                    key.push(last);
                    break;
                };
                key.push(next);
                if self.readable(&key).await? {
                    key.pop();
                    key.push(last);
                    break;
                }
            }
            key.push(0);
            let ends = self.readable(&key).await?;
            key.pop();
            if ends {
                break;
            }
            least = 0;
        }
        Ok(key.into())
    }
}

/// Tells damage from failure.
fn sound(read: Result<Rows, ReadError>) -> Result<Result<Rows, String>, LakeError> {
    match read.map_err(LakeError::from) {
        Ok(rows) => Ok(Ok(rows)),
        Err(LakeError::Damaged(what)) => Ok(Err(what)),
        Err(error) => Err(error),
    }
}
