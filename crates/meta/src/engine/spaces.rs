//! The keyspaces: which rows live where, how each is tuned, and reads across them at one moment.

use std::ops::Bound;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use fjall::compaction::Leveled;
use fjall::config::{BlockSizePolicy, HashRatioPolicy, PinningPolicy};
use fjall::{Database, Keyspace, KeyspaceCreateOptions, KvSeparationOptions, Readable, Snapshot};

use super::row;
use crate::api::{Key, RESERVED_TABLES, ReadError, Rows, Scan};
use crate::apply::{Base, scan_bounds};

/// What a table's rows are like; decides how they are kept on disk.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Class {
    /// Small rows, read one by one and in ranges.
    Rows,
    /// Values of some KiB (the bodies of small objects): written once, read one by one, often deleted. They are kept apart
    /// from their keys, so that merging keys does not rewrite them.
    Large,
    /// Entries of streams: written in order, read in order, removed from the front.
    Log,
}

impl Class {
    /// All of them, in the order of [`Spaces`].
    pub(super) const ALL: [Self; 3] = [Self::Rows, Self::Large, Self::Log];

    pub(super) const fn index(self) -> usize {
        match self {
            Self::Rows => 0,
            Self::Large => 1,
            Self::Log => 2,
        }
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Rows => "rows",
            Self::Large => "large",
            Self::Log => "log",
        }
    }

    /// What collects in memory before it is written out as a table. It may grow to twice this while two of each wait to be
    /// written (see `backlog`), which bounds the engine's memory; these also bound how much journal an opening replays.
    pub(super) const fn memtable_bytes(self) -> u64 {
        match self {
            Self::Rows => 8 << 20,
            Self::Large => 16 << 20,
            Self::Log => 8 << 20,
        }
    }

    fn options(self) -> KeyspaceCreateOptions {
        let options = KeyspaceCreateOptions::default()
            // Ours is kept by `upkeep`.
            .max_memtable_size(u64::MAX)
            // fjall's own worker must never be busy with merging when a table waits to be written: merging is done by
            // our own thread (see `upkeep`). This strategy only ever moves tables.
            .compaction_strategy(Arc::new(Leveled::default().with_l0_threshold(u8::MAX)))
            .filter_block_pinning_policy(PinningPolicy::new([true, true, false]));
        match self {
            // A point read decodes one block, a scan many: 4 KiB blocks with a hash index serve both.
            Self::Rows => options
                .data_block_size_policy(BlockSizePolicy::all(4 << 10))
                .data_block_hash_ratio_policy(HashRatioPolicy::all(0.75)),
            // Blocks hold keys and pointers only.
            Self::Large => options.with_kv_separation(Some(
                KvSeparationOptions::default()
                    .separation_threshold(LARGE_APART_BYTES)
                    .file_target_size(64 << 20)
                    .staleness_threshold(0.3),
            )),
            Self::Log => options.data_block_size_policy(BlockSizePolicy::all(16 << 10)),
        }
    }
}

/// Values of [`Class::Large`] from this size are kept apart from their keys; below, the pointer would not pay.
const LARGE_APART_BYTES: u32 = 512;

/// A scan is slow when it takes longer than this...
const SLOW_SCAN: Duration = Duration::from_millis(1);
/// ...and this much for each row that it returns: it passed over many removed rows (or a cold disk; see `upkeep`).
const SLOW_ROW: Duration = Duration::from_micros(10);

/// The keyspaces of an open store.
pub(super) struct Spaces {
    spaces: [Keyspace; 3],
    classes: [Class; 256],
    /// Neighbouring tables of one class, as `(first, one after the last, class)`, ascending: what a scan goes through.
    runs: Vec<(u8, u8, Class)>,
}

impl Spaces {
    /// Opens or creates them.
    pub(super) fn open(db: &Database, classify: fn(u8) -> Class) -> fjall::Result<Self> {
        let open = |class: Class| db.keyspace(class.name(), || class.options());
        let [rows, large, log] = Class::ALL;
        let spaces = [open(rows)?, open(large)?, open(log)?];
        let classes = std::array::from_fn(|table| match u8::try_from(table) {
            Ok(table) if table < RESERVED_TABLES => classify(table),
            _ => Class::Rows,
        });
        let mut runs: Vec<(u8, u8, Class)> = Vec::new();
        for table in 0..RESERVED_TABLES {
            let class = classes[usize::from(table)];
            match runs.last_mut() {
                Some((_, end, of)) if *of == class => *end = table + 1,
                _ => runs.push((table, table + 1, class)),
            }
        }
        Ok(Self { spaces, classes, runs })
    }

    pub(super) fn class(&self, key: &[u8]) -> Class {
        key.first().map_or(Class::Rows, |table| self.classes[usize::from(*table)])
    }

    pub(super) fn space(&self, class: Class) -> &Keyspace {
        &self.spaces[class.index()]
    }

    pub(super) fn disk_space(&self) -> u64 {
        self.spaces.iter().map(|space| space.disk_space()).sum()
    }
}

/// Reads at one moment.
#[derive(Clone)]
pub(super) struct Moment {
    snapshot: Snapshot,
    spaces: Arc<Spaces>,
}

impl Moment {
    pub(super) fn new(snapshot: Snapshot, spaces: Arc<Spaces>) -> Self {
        Self { snapshot, spaces }
    }

    /// The engine's own number of this moment.
    pub(super) fn instant(&self) -> u64 {
        self.snapshot.seqno()
    }

    /// All rows of a keyspace, in kept form.
    pub(super) fn iter(&self, class: Class) -> fjall::Iter {
        self.snapshot.iter(self.spaces.space(class))
    }

    pub(super) fn read(&self, key: &[u8]) -> Result<Option<Bytes>, ReadError> {
        let space = self.spaces.space(self.spaces.class(key));
        match guarded(|| self.snapshot.get(space, key))? {
            Some(kept) => row::check(key, kept.into()).map(Some),
            None => Ok(None),
        }
    }

    /// The rows of a scan, and whether it was slow for what it returned.
    pub(super) fn read_range(&self, scan: &Scan) -> Result<(Rows, bool), ReadError> {
        let Some((from, to)) = scan_bounds(scan) else { return Ok((Rows::new(), false)) };
        let began = Instant::now();
        let mut rows = Rows::with_capacity(scan.limit.min(1024));
        let mut part = |(first, end, class): &(u8, u8, Class)| -> Result<bool, ReadError> {
            if let Some((from, to)) = clip(&from, &to, *first, *end) {
                let range = self.snapshot.range(self.spaces.space(*class), (from, to));
                read_part(range, scan.reverse, scan.limit, &mut rows)?;
            }
            Ok(rows.len() < scan.limit)
        };
        let runs = self.spaces.runs.iter();
        let ordered: &mut dyn Iterator<Item = _> = if scan.reverse { &mut runs.rev() } else { &mut runs.into_iter() };
        for run in ordered {
            if !guarded_read(|| part(run))? {
                break;
            }
        }
        let took = began.elapsed();
        let slow = took > SLOW_SCAN && took > SLOW_ROW * u32::try_from(rows.len() + 1).unwrap_or(u32::MAX);
        Ok((rows, slow))
    }
}

fn read_part(range: fjall::Iter, reverse: bool, limit: usize, rows: &mut Rows) -> Result<(), ReadError> {
    let mut range = range;
    while rows.len() < limit {
        let Some(guard) = (if reverse { range.next_back() } else { range.next() }) else { break };
        let (key, kept) = guard.into_inner().map_err(|error| read_error(&error))?;
        let (key, kept) = (Bytes::from(key), Bytes::from(kept));
        let value = row::check(&key, kept)?;
        rows.push((key, value));
    }
    Ok(())
}

/// The part of a range that lies in the tables `first..end`.
fn clip(from: &Bound<Key>, to: &Bound<Key>, first: u8, end: u8) -> Option<(Bound<Key>, Bound<Key>)> {
    let (first, end) = (Bytes::copy_from_slice(&[first]), Bytes::copy_from_slice(&[end]));
    let from = match from {
        Bound::Included(key) | Bound::Excluded(key) if *key >= end => return None,
        Bound::Included(key) | Bound::Excluded(key) if *key >= first => from.clone(),
        _ => Bound::Included(first.clone()),
    };
    let to = match to {
        Bound::Included(key) if *key < first => return None,
        Bound::Excluded(key) if *key <= first => return None,
        Bound::Included(key) | Bound::Excluded(key) if *key < end => to.clone(),
        _ => Bound::Excluded(end),
    };
    Some((from, to))
}

impl Base for Moment {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, ReadError> {
        self.read(key)
    }

    fn keys(&self, from: &Key, to: &Key, limit: usize) -> Result<Vec<Key>, ReadError> {
        let bounds = (Bound::Included(from.clone()), Bound::Excluded(to.clone()));
        let mut keys = Vec::new();
        for (first, end, class) in &self.spaces.runs {
            let Some(range) = clip(&bounds.0, &bounds.1, *first, *end) else { continue };
            guarded_read(|| {
                for guard in self.snapshot.range(self.spaces.space(*class), range).take(limit - keys.len()) {
                    keys.push(guard.key().map_err(|error| read_error(&error))?.into());
                }
                Ok(())
            })?;
            if keys.len() >= limit {
                break;
            }
        }
        Ok(keys)
    }
}

/// What fjall says of a failed read, in the words of the trait: what the disk refuses is a failure, all else is damage.
pub(super) fn read_error(error: &fjall::Error) -> ReadError {
    match error {
        fjall::Error::Io(error) | fjall::Error::Storage(fjall::LsmError::Io(error))
            if error.kind() != std::io::ErrorKind::UnexpectedEof && error.kind() != std::io::ErrorKind::InvalidData =>
        {
            ReadError::Failed(error.to_string())
        }
        error => ReadError::Damaged(error.to_string()),
    }
}

/// fjall checks what it reads, yet some damage makes it panic; that is a damaged row, not the end of the caller.
fn guarded_read<T>(read: impl FnOnce() -> Result<T, ReadError>) -> Result<T, ReadError> {
    catch_unwind(AssertUnwindSafe(read))
        .unwrap_or_else(|_| Err(ReadError::Damaged("the engine could not decode it".into())))
}

fn guarded<T>(read: impl FnOnce() -> fjall::Result<T>) -> Result<T, ReadError> {
    guarded_read(|| read().map_err(|error| read_error(&error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bound(text: &str) -> Bound<Key> {
        match text.split_at(1) {
            ("[", key) => Bound::Included(Bytes::copy_from_slice(key.as_bytes())),
            ("(", key) => Bound::Excluded(Bytes::copy_from_slice(key.as_bytes())),
            _ => Bound::Unbounded,
        }
    }

    #[test]
    fn ranges_are_clipped_to_tables() {
        // Tables c and d, that is from "c" to before "e".
        for (from, to, clipped) in [
            ("*", "*", Some(("[c", "(e"))),
            ("[a", "[z", Some(("[c", "(e"))),
            ("[ca", "(db", Some(("[ca", "(db"))),
            ("(ca", "[db", Some(("(ca", "[db"))),
            ("[e", "*", None),
            ("(dz", "*", Some(("(dz", "(e"))),
            ("*", "(c", None),
            ("*", "[c", Some(("[c", "[c"))),
            ("*", "(e", Some(("[c", "(e"))),
            ("*", "[bz", None),
        ] {
            let clipped = clipped.map(|(from, to)| (bound(from), bound(to)));
            assert_eq!(clip(&bound(from), &bound(to), b'c', b'e'), clipped, "{from} {to}");
        }
    }
}
