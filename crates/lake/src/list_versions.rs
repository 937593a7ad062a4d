//! Listings of all versions: heads and the versions behind them, merged in one snapshot.

use std::ops::Bound;

use bytes::Bytes;
use millpond_meta::{Key, View};
use millpond_types::{MAX_KEY_BYTES, ObjectKey};

use crate::cursor::{Cursor, common_prefix};
use crate::error::LakeError;
use crate::keys::{self, tables};
use crate::lake::Lake;
use crate::limits::MAX_PAGE;
use crate::list::list_entry;
use crate::model::{Bucket, VersionId};
use crate::requests::{AfterVersion, VersionEntry, VersionsPage, VersionsRequest};
use crate::rows::{self, VersionHead};
use crate::versions;

/// Three tables, merged.
struct Merge<'a> {
    view: &'a dyn View,
    bucket: u64,
    current: Cursor,
    marker: Cursor,
    version: Cursor,
}

/// Which table the next row is in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Table {
    Current,
    Marker,
    Version,
}

/// Where the heads and the versions behind them begin.
struct Begin {
    head: Bound<String>,
    /// Of the first key, only versions older than this.
    below: Option<(String, u64)>,
}

impl<'a> Merge<'a> {
    fn new(view: &'a dyn View, bucket: u64, prefix: &str, begin: &Begin, largest: usize, jumps: bool) -> Self {
        let bound = |key: &dyn Fn(&str) -> Key| match &begin.head {
            Bound::Unbounded => Bound::Unbounded,
            Bound::Included(name) => Bound::Included(key(name)),
            Bound::Excluded(name) => Bound::Excluded(key(name)),
        };
        let version = match (&begin.below, &begin.head) {
            (Some((key, stamp)), _) => Bound::Excluded(keys::version(bucket, key, *stamp)),
            (None, Bound::Unbounded) => Bound::Unbounded,
            (None, Bound::Included(key)) => Bound::Included(keys::raised_prefix(tables::VERSION, bucket, key)),
            (None, Bound::Excluded(key)) => Bound::Included(keys::behind(&keys::versions_of(bucket, key))),
        };
        Self {
            view,
            bucket,
            current: Cursor::new(
                keys::current(bucket, prefix),
                bound(&|key| keys::current(bucket, key)),
                largest,
                jumps,
            ),
            marker: Cursor::new(keys::marker(bucket, prefix), bound(&|key| keys::marker(bucket, key)), largest, jumps),
            version: Cursor::new(keys::raised_prefix(tables::VERSION, bucket, prefix), version, largest, jumps),
        }
    }

    /// The next version's key and where it stands. Of one key the head comes first; there is but one.
    async fn next(&mut self) -> Result<Option<(String, Table)>, LakeError> {
        let bad = || rows::damaged("version");
        let mut best: Option<(String, Table)> = None;
        for (cursor, table) in [(&mut self.current, Table::Current), (&mut self.marker, Table::Marker)] {
            if let Some((key, _)) = cursor.peek(self.view).await? {
                let name = keys::key_of(key).ok_or_else(bad)?;
                if best.as_ref().is_none_or(|(least, _)| name < least.as_str()) {
                    best = Some((name.to_owned(), table));
                }
            }
        }
        if let Some((key, _)) = self.version.peek(self.view).await? {
            let (name, _) = keys::raised_key_of(key).ok_or_else(bad)?;
            if best.as_ref().is_none_or(|(least, _)| name < *least) {
                best = Some((name, Table::Version));
            }
        }
        Ok(best)
    }

    fn pop(&mut self, table: Table) -> Option<Bytes> {
        let cursor = match table {
            Table::Current => &mut self.current,
            Table::Marker => &mut self.marker,
            Table::Version => &mut self.version,
        };
        cursor.pop().map(|(_, row)| row)
    }

    /// Takes the next row if it is the head of the key that a marker names, and not behind the marker. (Of the versions behind the head
    /// the cursor begins in the right place.)
    fn skip_head(&mut self, begin: &Begin, key: &str, table: Table) -> Result<bool, LakeError> {
        let Some((first, stamp)) = &begin.below else { return Ok(false) };
        if first != key || table == Table::Version {
            return Ok(false);
        }
        let cursor = if table == Table::Current { &mut self.current } else { &mut self.marker };
        let Some((_, row)) = cursor.front() else { return Ok(false) };
        let skip = rows::decode::<VersionHead>("version", row)?.stamp >= *stamp;
        if skip {
            cursor.pop();
        }
        Ok(skip)
    }

    fn jump_behind(&mut self, prefix: &str) {
        self.current.jump(keys::behind(&keys::current(self.bucket, prefix)));
        self.marker.jump(keys::behind(&keys::marker(self.bucket, prefix)));
        self.version.jump(keys::behind(&keys::raised_prefix(tables::VERSION, self.bucket, prefix)));
    }
}

impl Lake {
    /// A page of a bucket's versions and delete markers, as of one moment.
    pub async fn list_versions(&self, bucket: &Bucket, request: VersionsRequest) -> Result<VersionsPage, LakeError> {
        let bucket = self.cached(bucket)?.bucket.clone();
        let VersionsRequest { prefix, delimiter, after, limit } = request;
        let limit = limit.min(MAX_PAGE);
        let mut page = VersionsPage::default();
        if limit == 0 {
            return Ok(page);
        }
        let view = self.kv().snapshot().await?;
        let begin = begin(&*view, &bucket, after).await?;
        let jumps = delimiter.as_ref().is_some_and(|d| !d.is_empty());
        let mut merge = Merge::new(&*view, bucket.id, &prefix, &begin, limit + 1, jumps);
        let mut last = AfterVersion::Start;
        while let Some((key, table)) = merge.next().await? {
            if merge.skip_head(&begin, &key, table)? {
                continue;
            }
            if let Some(common) = common_prefix(&key, &prefix, delimiter.as_deref()) {
                if page.entries.len() + page.prefixes.len() == limit {
                    page.next = Some(last);
                    break;
                }
                merge.jump_behind(common);
                page.prefixes.push(common.to_owned());
                last = AfterVersion::Prefix(common.to_owned());
                continue;
            }
            let row = merge.pop(table).ok_or_else(|| rows::damaged("version"))?;
            let head: VersionHead = rows::decode("version", &row)?;
            if page.entries.len() + page.prefixes.len() == limit {
                page.next = Some(last);
                break;
            }
            let id = head.id();
            let is_marker = head.marker;
            last = AfterVersion::Version(key.clone(), id);
            let entry = list_entry(key, head)?;
            page.entries.push(VersionEntry { entry, id, is_latest: table != Table::Version, is_marker });
        }
        Ok(page)
    }
}

/// A text of these lies behind every key.
const BEHIND_ALL: char = char::MAX;

/// Turns a marker into where the tables begin.
async fn begin(view: &dyn View, bucket: &Bucket, after: AfterVersion) -> Result<Begin, LakeError> {
    let (key, id) = match after {
        AfterVersion::Start => return Ok(Begin { head: Bound::Unbounded, below: None }),
        AfterVersion::Key(key) => return Ok(Begin { head: Bound::Excluded(key), below: None }),
        AfterVersion::Prefix(prefix) => {
            // The first text that does not begin with the prefix and lies behind it; as bytes it need not be UTF-8, so the
            // last character is raised instead.
            let last = || Bound::Excluded(BEHIND_ALL.to_string().repeat(MAX_KEY_BYTES / 4 + 1));
            return Ok(Begin { head: text_behind(&prefix).map_or_else(last, Bound::Included), below: None });
        }
        AfterVersion::Version(key, id) => (key, id),
    };
    let stamp = match id {
        VersionId::Id { stamp, .. } => Some(stamp),
        VersionId::Null => match ObjectKey::new(&key) {
            Ok(name) => versions::find(view, bucket.id, true, &name, id).await?.map(|(stored, _)| stored.row.stamp),
            Err(_) => None,
        },
    };
    Ok(Begin { head: Bound::Included(key.clone()), below: stamp.map(|stamp| (key, stamp)) })
}

/// The least text behind all that begin with `prefix`: its last character replaced by the next one.
fn text_behind(prefix: &str) -> Option<String> {
    let mut text = prefix.to_owned();
    while let Some(last) = text.pop() {
        let next = match last {
            '\u{D7FF}' => Some('\u{E000}'),
            other => char::from_u32(other as u32 + 1),
        };
        if let Some(next) = next {
            text.push(next);
            return Some(text);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_behind_a_prefix() {
        for (prefix, expected) in [
            ("a/", Some("a0")),
            ("é", Some("ê")),
            ("a\u{10FFFF}", Some("b")),
            ("\u{D7FF}", Some("\u{E000}")),
            ("\u{10FFFF}", None),
            ("", None),
        ] {
            assert_eq!(text_behind(prefix).as_deref(), expected);
        }
    }
}
