//! The tables and how their rows are named. See TABLES.md for the whole picture.
//!
//! Object keys are valid UTF-8, whose bytes are below 0xF8, so where a field follows the key each byte is raised by one and a
//! zero ends the key: order is kept, nothing grows, and no key of 1,024 bytes can break the engine's limit.

use bytes::Bytes;
use millpond_meta::Key;
use millpond_types::AccountId;

use crate::model::ConfigKind;

/// The tables: the first byte of a row's key. The lake owns 0x10 to 0x2F.
pub mod tables {
    /// The version of the data: one row.
    pub const FORMAT: u8 = 0x10;
    /// Buckets by name.
    pub const BUCKET: u8 = 0x11;
    /// The number of bucket ids given out: one counter row.
    pub const BUCKET_IDS: u8 = 0x12;
    /// (bucket, key) -> version, iff the newest version is an object.
    pub const CURRENT: u8 = 0x13;
    /// (bucket, key) -> version, iff the newest version is a delete marker.
    pub const MARKER: u8 = 0x14;
    /// (bucket, key, stamp newest first) -> noncurrent version.
    pub const VERSION: u8 = 0x15;
    /// (bucket, key) -> stamp of the null version while it is noncurrent.
    pub const NULL: u8 = 0x16;
    /// id -> bytes of a small body.
    pub const INLINE: u8 = 0x17;
    /// id -> location of an extent.
    pub const EXTENT: u8 = 0x18;
    /// (id, first byte) -> parts of an object.
    pub const MANIFEST: u8 = 0x19;
    /// (kind, id) -> references beyond the first.
    pub const XREF: u8 = 0x1A;
    /// (due, kind, id) -> work for upkeep.
    pub const WORK: u8 = 0x1B;
    /// (bucket, key, upload) -> upload.
    pub const UPLOAD: u8 = 0x1C;
    /// (upload, number) -> part.
    pub const PART: u8 = 0x1D;
    /// upload -> counter of its part writes.
    pub const PART_WRITES: u8 = 0x1E;
    /// upload -> result of its completion.
    pub const DONE: u8 = 0x1F;
    /// (bucket, position) -> change.
    pub const JOURNAL: u8 = 0x20;
    /// (bucket, what) -> counter.
    pub const USAGE: u8 = 0x21;
    /// (bucket, kind) -> configuration.
    pub const CONFIG: u8 = 0x22;
    /// (account, kind) -> configuration.
    pub const ACCOUNT_CONFIG: u8 = 0x23;
    /// bucket -> configuration of notifications in effect where the reader of its journal stands.
    pub const ANNOUNCED: u8 = 0x24;

    /// How the embedded engine is to keep a table of the lake.
    pub fn classify(table: u8) -> millpond_meta::Class {
        match table {
            INLINE => millpond_meta::Class::Large,
            JOURNAL => millpond_meta::Class::Log,
            _ => millpond_meta::Class::Rows,
        }
    }
}
use tables::*;

/// What a counter of [`tables::USAGE`] counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum Counter {
    /// Keys whose newest version is an object.
    Objects = 0,
    /// Bytes of all versions.
    Bytes = 1,
    /// Noncurrent versions and delete markers.
    Others = 2,
    /// Open uploads.
    Uploads = 3,
}

/// Joins a table id and fields into a key, with one allocation.
fn join(table: u8, fields: &[&[u8]]) -> Key {
    let mut key = Vec::with_capacity(1 + fields.iter().map(|f| f.len()).sum::<usize>());
    key.push(table);
    for field in fields {
        key.extend_from_slice(field);
    }
    Bytes::from(key)
}

/// An object key as a field that others follow: raised by one, and ended by a zero unless it is only the beginning of a key.
fn raised(table: u8, bucket: u64, key: &str, ended: bool, tail: &[u8]) -> Key {
    let mut row = Vec::with_capacity(9 + key.len() + 1 + tail.len());
    row.push(table);
    row.extend_from_slice(&bucket.to_be_bytes());
    row.extend(key.bytes().map(|b| b + 1));
    if ended {
        row.push(0);
    }
    row.extend_from_slice(tail);
    Bytes::from(row)
}

pub(crate) fn format() -> Key {
    join(FORMAT, &[])
}

pub(crate) fn bucket(name: &str) -> Key {
    join(BUCKET, &[name.as_bytes()])
}

pub(crate) fn bucket_ids() -> Key {
    join(BUCKET_IDS, &[])
}

/// A row of [`CURRENT`], [`MARKER`] or [`NULL`], or the beginning of one.
pub(crate) fn by_key(table: u8, bucket: u64, key: &str) -> Key {
    join(table, &[&bucket.to_be_bytes(), key.as_bytes()])
}

pub(crate) fn current(bucket: u64, key: &str) -> Key {
    by_key(CURRENT, bucket, key)
}

pub(crate) fn marker(bucket: u64, key: &str) -> Key {
    by_key(MARKER, bucket, key)
}

pub(crate) fn null(bucket: u64, key: &str) -> Key {
    by_key(NULL, bucket, key)
}

pub(crate) fn version(bucket: u64, key: &str, stamp: u64) -> Key {
    raised(VERSION, bucket, key, true, &(!stamp).to_be_bytes())
}

/// The beginning of the rows of all noncurrent versions of a key.
pub(crate) fn versions_of(bucket: u64, key: &str) -> Key {
    raised(VERSION, bucket, key, true, &[])
}

pub(crate) fn upload(bucket: u64, key: &str, id: u128) -> Key {
    raised(UPLOAD, bucket, key, true, &id.to_be_bytes())
}

/// The beginning of the rows of [`VERSION`] or [`UPLOAD`] whose keys begin with `prefix`.
pub(crate) fn raised_prefix(table: u8, bucket: u64, prefix: &str) -> Key {
    raised(table, bucket, prefix, false, &[])
}

pub(crate) fn inline(id: u128) -> Key {
    join(INLINE, &[&id.to_be_bytes()])
}

pub(crate) fn extent(id: u128) -> Key {
    join(EXTENT, &[&id.to_be_bytes()])
}

pub(crate) fn manifest(id: u128, first_byte: u64) -> Key {
    join(MANIFEST, &[&id.to_be_bytes(), &first_byte.to_be_bytes()])
}

pub(crate) fn xref(kind: u8, id: u128) -> Key {
    join(XREF, &[&[kind], &id.to_be_bytes()])
}

pub(crate) fn work(due: u64, kind: u8, id: u128) -> Key {
    join(WORK, &[&due.to_be_bytes(), &[kind], &id.to_be_bytes()])
}

/// The first row of [`WORK`] that is due later than `due`.
pub(crate) fn work_after(due: u64) -> Key {
    join(WORK, &[&due.saturating_add(1).to_be_bytes()])
}

pub(crate) fn part(upload: u128, number: u16) -> Key {
    join(PART, &[&upload.to_be_bytes(), &number.to_be_bytes()])
}

pub(crate) fn parts_of(upload: u128) -> Key {
    join(PART, &[&upload.to_be_bytes()])
}

pub(crate) fn part_writes(upload: u128) -> Key {
    join(PART_WRITES, &[&upload.to_be_bytes()])
}

pub(crate) fn done(upload: u128) -> Key {
    join(DONE, &[&upload.to_be_bytes()])
}

pub(crate) fn journal(bucket: u64) -> Key {
    join(JOURNAL, &[&bucket.to_be_bytes()])
}

/// The configuration that is in effect where the announcing reader of a bucket's journal stands.
pub fn announced(bucket: u64) -> Key {
    join(ANNOUNCED, &[&bucket.to_be_bytes()])
}

/// The stream of a bucket's changes.
pub fn journal_of(bucket: u64) -> Key {
    journal(bucket)
}

/// The bucket of a stream of changes.
pub fn bucket_of_journal(stream: &[u8]) -> Option<u64> {
    (stream.first() == Some(&JOURNAL) && stream.len() == 9).then(|| u64_at(stream, 1)).flatten()
}

pub(crate) fn usage(bucket: u64, counter: Counter) -> Key {
    join(USAGE, &[&bucket.to_be_bytes(), &[counter as u8]])
}

pub(crate) fn config(bucket: u64, kind: ConfigKind) -> Key {
    join(CONFIG, &[&bucket.to_be_bytes(), &[kind as u8]])
}

pub(crate) fn account_config(account: AccountId, kind: ConfigKind) -> Key {
    join(ACCOUNT_CONFIG, &[account.as_str().as_bytes(), &[kind as u8]])
}

/// The beginning of the rows of all configurations of a bucket.
pub(crate) fn configs_of(bucket: u64) -> Key {
    join(CONFIG, &[&bucket.to_be_bytes()])
}

/// All rows of a table lie in `table(t) .. table(t + 1)`.
pub(crate) fn table(table: u8) -> Key {
    join(table, &[])
}

/// The first key behind all that begin with `prefix`. `prefix` holds a byte below 0xFF (its table id).
pub(crate) fn behind(prefix: &[u8]) -> Key {
    let mut end = prefix.to_vec();
    while end.last() == Some(&0xFF) {
        end.pop();
    }
    if let Some(last) = end.last_mut() {
        *last += 1;
    }
    end.into()
}

/// Reads fields of a fixed width off a row's key.
pub(crate) fn u64_at(row: &[u8], at: usize) -> Option<u64> {
    row.get(at..at + 8)?.try_into().ok().map(u64::from_be_bytes)
}

/// Reads fields of a fixed width off a row's key.
pub(crate) fn u128_at(row: &[u8], at: usize) -> Option<u128> {
    row.get(at..at + 16)?.try_into().ok().map(u128::from_be_bytes)
}

/// The object key of a row of [`CURRENT`], [`MARKER`] or [`NULL`].
pub(crate) fn key_of(row: &[u8]) -> Option<&str> {
    std::str::from_utf8(row.get(9..)?).ok()
}

/// The object key of a row of [`VERSION`] or [`UPLOAD`], and where its tail begins.
pub(crate) fn raised_key_of(row: &[u8]) -> Option<(String, &[u8])> {
    let rest = row.get(9..)?;
    let end = rest.iter().position(|b| *b == 0)?;
    let key = String::from_utf8(rest[..end].iter().map(|b| b - 1).collect()).ok()?;
    Some((key, &rest[end + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raised_keys_keep_their_order_and_lead_back() {
        let mut keys =
            vec!["a", "a\0", "a\0\0", "a\u{1}", "a/b", "a!", "b", "\u{10FFFF}", "é", "~", "\u{7f}", "a\u{10FFFF}"];
        keys.sort_unstable();
        let rows: Vec<_> = keys.iter().map(|k| version(7, k, 5)).collect();
        assert!(rows.windows(2).all(|pair| pair[0] < pair[1]));
        for (key, row) in keys.iter().zip(&rows) {
            let (back, tail) = raised_key_of(row).unwrap();
            assert_eq!((back.as_str(), u64_at(tail, 0)), (*key, Some(!5)));
            assert!(row.starts_with(&raised_prefix(VERSION, 7, &key[..0])) && row.starts_with(&versions_of(7, key)));
        }
    }

    #[test]
    fn newer_versions_come_first() {
        assert!(version(1, "k", 9) < version(1, "k", 8));
    }

    #[test]
    fn the_end_of_a_prefix() {
        for (prefix, end) in [(&[1u8, 2][..], &[1u8, 3][..]), (&[1, 0xFF], &[2]), (&[1, 0xFF, 0xFF], &[2])] {
            assert_eq!(behind(prefix), end);
        }
    }

    #[test]
    fn the_longest_key_fits() {
        let key = "\0".repeat(millpond_types::MAX_KEY_BYTES);
        assert!(upload(u64::MAX, &key, u128::MAX).len() <= millpond_meta::MAX_KEY_BYTES);
    }
}
