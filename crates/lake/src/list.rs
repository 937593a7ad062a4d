//! Listings of current objects: they walk `current` alone, so that old versions and delete markers never slow them.

use std::ops::Bound;

use bytes::Bytes;
use millpond_types::Timestamp;

use crate::cursor::{Cursor, common_prefix};
use crate::error::LakeError;
use crate::keys;
use crate::lake::Lake;
use crate::limits::MAX_PAGE;
use crate::model::Bucket;
use crate::requests::{After, ListEntry, ListRequest, Page};
use crate::rows::{self, VersionHead};

/// What a listing shows of a version.
pub(crate) fn list_entry(key: String, head: VersionHead) -> Result<ListEntry, LakeError> {
    let checksum = match &head.checksum {
        Some(sum) => Some((rows::algorithm_of(sum.algorithm)?, sum.kind())),
        None => None,
    };
    Ok(ListEntry {
        key,
        size: head.size,
        etag: if head.marker { String::new() } else { rows::etag(&head.md5, head.parts) },
        modified: Timestamp(head.modified),
        owner: head.owner.parse().map_err(|_| rows::damaged("version"))?,
        storage_class: head.storage_class,
        checksum,
    })
}

fn current_entry(key: &[u8], row: &Bytes) -> Result<ListEntry, LakeError> {
    let name = keys::key_of(key).ok_or_else(|| rows::damaged("version"))?;
    list_entry(name.to_owned(), rows::decode("version", row)?)
}

impl Lake {
    /// A page of a bucket's current objects. Costs one scan, and one more for each common prefix that is not near the one before.
    pub async fn list_current(&self, bucket: &Bucket, request: ListRequest) -> Result<Page, LakeError> {
        let bucket = self.cached(bucket)?.bucket.id;
        let ListRequest { prefix, delimiter, after, limit } = request;
        let limit = limit.min(MAX_PAGE);
        let mut page = Page::default();
        if limit == 0 {
            return Ok(page);
        }
        let from = match &after {
            After::Start => Bound::Unbounded,
            After::Key(key) => Bound::Excluded(keys::current(bucket, key)),
            After::Prefix(prefix) => Bound::Included(keys::behind(&keys::current(bucket, prefix))),
        };
        let jumps = delimiter.as_ref().is_some_and(|d| !d.is_empty());
        let mut cursor = Cursor::new(keys::current(bucket, &prefix), from, limit + 1, jumps);
        let mut last = After::Start;
        while let Some((key, row)) = cursor.peek(self.kv()).await? {
            if page.entries.len() + page.prefixes.len() == limit {
                page.next = Some(last);
                break;
            }
            let name = keys::key_of(key).ok_or_else(|| rows::damaged("version"))?;
            match common_prefix(name, &prefix, delimiter.as_deref()) {
                Some(common) => {
                    let common = common.to_owned();
                    cursor.jump(keys::behind(&keys::current(bucket, &common)));
                    page.prefixes.push(common.clone());
                    last = After::Prefix(common);
                }
                None => {
                    let entry = current_entry(key, row)?;
                    cursor.pop();
                    if page.entries.len() + page.prefixes.len() + 1 == limit {
                        last = After::Key(entry.key.clone());
                    }
                    page.entries.push(entry);
                }
            }
        }
        Ok(page)
    }
}
