//! What every store of extents must do, and what tests of its users need.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use millpond_io::{Random, SeededRandom};

use crate::{BLOCK, BlobConfig, BlobError, Blobs, BoxFuture, ExtentId, Location, Move, Moved, Mover, Stored, Written};

/// A layout so small that a few kilobytes reach every border.
pub fn small_config() -> BlobConfig {
    BlobConfig {
        inline_max: 256,
        segment_max: 150_000,
        segment_size: 700_000,
        segment_step: 100_000,
        appenders: 2,
        read_threads: 2,
        write_threads: 3,
        reserve: Some(0),
        grace: std::time::Duration::ZERO,
    }
}

/// Metadata in memory: which extent lies where.
#[derive(Debug, Default)]
pub struct Catalog {
    rows: Mutex<HashMap<ExtentId, Location>>,
}

impl Catalog {
    fn lock(&self) -> MutexGuard<'_, HashMap<ExtentId, Location>> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Names an extent, and tells it so.
    pub fn commit(&self, stored: Stored) -> (ExtentId, Location) {
        let row = (stored.extent(), stored.location());
        self.lock().insert(row.0, row.1);
        stored.committed();
        row
    }

    /// Names an extent.
    pub fn insert(&self, extent: ExtentId, at: Location) {
        self.lock().insert(extent, at);
    }

    /// Names an extent no longer; where it was.
    pub fn remove(&self, extent: ExtentId) -> Option<Location> {
        self.lock().remove(&extent)
    }

    /// Where an extent lies.
    pub fn get(&self, extent: ExtentId) -> Option<Location> {
        self.lock().get(&extent).copied()
    }

    /// All rows, sorted.
    pub fn all(&self) -> Vec<(ExtentId, Location)> {
        let mut all: Vec<_> = self.lock().iter().map(|(extent, at)| (*extent, *at)).collect();
        all.sort_unstable_by_key(|(extent, _)| *extent);
        all
    }
}

impl Mover for Catalog {
    fn locate<'a>(&'a self, extents: &'a [ExtentId]) -> BoxFuture<'a, Result<Vec<Option<Location>>, BlobError>> {
        Box::pin(async move { Ok(extents.iter().map(|extent| self.get(*extent)).collect()) })
    }

    fn moved<'a>(&'a self, moves: &'a [Move]) -> BoxFuture<'a, Vec<Moved>> {
        Box::pin(async move {
            let mut rows = self.lock();
            let change = |one: &Move| match rows.get_mut(&one.extent) {
                Some(at) if *at == one.from => {
                    *at = one.to;
                    Moved::Named
                }
                _ => Moved::Stale,
            };
            moves.iter().map(change).collect()
        })
    }
}

/// Content that can be told by its first eight bytes and its length alone (when it has eight).
pub fn content(tag: u64, len: usize) -> Bytes {
    let mut bytes = vec![0; len];
    SeededRandom::new(tag ^ len as u64).fill(&mut bytes);
    let head = len.min(8);
    bytes[..head].copy_from_slice(&tag.to_le_bytes()[..head]);
    bytes.into()
}

/// Whether bytes are as [`content`] made them.
pub fn is_content(bytes: &[u8]) -> bool {
    let Some(head) = bytes.get(..8).and_then(|head| head.try_into().ok()) else { return true };
    content(u64::from_le_bytes(head), bytes.len()) == bytes
}

/// Writes content in chunks of a size.
pub async fn put(blobs: &Blobs, bytes: &Bytes, chunk: usize, expected: Option<u64>) -> Result<Written, BlobError> {
    let mut writer = blobs.writer(expected);
    for from in (0..bytes.len()).step_by(chunk.max(1)) {
        writer.write(bytes.slice(from..(from + chunk).min(bytes.len()))).await?;
    }
    writer.finish().await
}

/// Reads a range.
pub async fn get(blobs: &Blobs, extent: ExtentId, at: Location, from: u64, to: u64) -> Result<Bytes, BlobError> {
    blobs.read(extent, at, from..to).await?.collect().await
}

/// Runs the suite on fresh stores; panics where one falls short. `config` is that with which `make` opens them.
pub async fn contract<F: Future<Output = Blobs>>(config: &BlobConfig, make: impl Fn() -> F) {
    sizes_and_ranges(config, &make().await).await;
    unfinished_and_unwanted(config, &make().await).await;
    random_operations(config, &make().await, 1).await;
}

/// Sizes around every border come back whole and by range, however they were cut and announced.
async fn sizes_and_ranges(config: &BlobConfig, blobs: &Blobs) {
    let (inline, segment) = (config.inline_max, config.segment_max);
    let around = |n: u64| [n.saturating_sub(1), n, n + 1];
    let borders = [inline, BLOCK, 2 * BLOCK, segment, 16 * BLOCK, 37 * BLOCK];
    for len in borders.into_iter().flat_map(around).chain([0, 1]) {
        for (chunk, expected) in [(1 << 20, Some(len)), (70_000, None), (997, Some(len / 2)), (65_536, Some(len * 2))] {
            let bytes = content(len, len as usize);
            let written = put(blobs, &bytes, chunk, expected).await.expect("written");
            let stored = match written {
                Written::Inline(inlined) => {
                    assert!(len <= inline && inlined == bytes, "{len} inline");
                    continue;
                }
                Written::Stored(stored) => stored,
            };
            let (extent, at) = (stored.extent(), stored.location());
            stored.committed();
            assert!(len > inline && at.len() == len, "{len} stored");
            assert_eq!(matches!(at, Location::File { .. }), len.max(expected.unwrap_or(0)) > segment, "{len}");
            let mid = len / 2;
            let ranges = [(0, len), (0, 1), (len - 1, len), (mid, mid), (mid, len), (1, mid + 1), (len - 1, len + 9)];
            for (from, to) in ranges.into_iter().chain([(len, len + 1), (BLOCK - 1, BLOCK + 1), (0, u64::MAX)]) {
                let got = get(blobs, extent, at, from, to).await.expect("read");
                let (from, to) = (from.min(len) as usize, to.min(len) as usize);
                assert!(got == bytes.slice(from.min(to)..to), "{len} from {from} to {to}");
            }
            blobs.verify(extent, at).await.expect("verified");
            let stranger = ExtentId(extent.0 ^ 1);
            assert!(matches!(blobs.verify(stranger, at).await, Err(BlobError::Missing(_))), "another's name");
        }
    }
}

/// What is not finished, or finished and not wanted, leaves nothing behind.
async fn unfinished_and_unwanted(config: &BlobConfig, blobs: &Blobs) {
    let catalog = Catalog::default();
    blobs.load_done();
    for len in [config.inline_max, config.segment_max, config.segment_max + 40 * BLOCK] {
        let mut writer = blobs.writer(Some(len));
        writer.write(content(1, len as usize / 2)).await.expect("written");
        drop(writer);
        let written = put(blobs, &content(2, len as usize), 9999, None).await.expect("written");
        if let Written::Stored(stored) = written {
            assert!(blobs.in_flight().contains(&stored.extent()));
            stored.abandon();
        }
        // Held, and dropped without a word: the first is spared, the second is swept after the time of grace (none here).
        let held = put(blobs, &content(3, len as usize), 9999, None).await.expect("written");
        drop(put(blobs, &content(4, len as usize), 9999, None).await.expect("written"));
        blobs.sweep(&catalog).await.expect("swept");
        if let Written::Stored(stored) = held {
            let (extent, at) = (stored.extent(), stored.location());
            blobs.verify(extent, at).await.expect("spared");
            catalog.commit(stored);
            blobs.sweep(&catalog).await.expect("swept");
            blobs.verify(extent, at).await.expect("named");
            catalog.remove(extent);
            blobs.delete(&[(extent, at)]).await.expect("deleted");
            blobs.delete(&[(extent, at)]).await.expect("deleted again");
        }
    }
    settled(blobs).await;
    let usage = blobs.usage();
    assert_eq!((usage.segment_live, usage.file_live, usage.files), (0, 0, 0));
}

/// Waits until what is removed in the background is.
async fn settled(blobs: &Blobs) {
    const TRIES: usize = 10_000;
    for _ in 0..TRIES {
        if blobs.in_flight().is_empty() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    panic!("still in flight: {:?}", blobs.in_flight());
}

/// Random operations against a map.
pub async fn random_operations(config: &BlobConfig, blobs: &Blobs, seed: u64) {
    println!("seed {seed}");
    let random = SeededRandom::new(seed);
    let (catalog, mut model) = (Catalog::default(), HashMap::<ExtentId, Bytes>::new());
    blobs.load_done();
    for step in 0..250 {
        let ids: Vec<ExtentId> = catalog.all().into_iter().map(|(extent, _)| extent).collect();
        let pick = ids.get(random.below(ids.len() as u64) as usize).copied();
        match (random.below(8), pick) {
            (0..=2, _) => {
                let max = if random.one_in(6) { 3 * config.segment_max } else { config.segment_max / 2 };
                let bytes = content(step, random.below(max) as usize + 1);
                let expected = random.one_in(2).then_some(bytes.len() as u64);
                let chunk = random.below(100_000) as usize + 500;
                if let Written::Stored(stored) = put(blobs, &bytes, chunk, expected).await.expect("written") {
                    model.insert(catalog.commit(stored).0, bytes);
                }
            }
            (3..=4, Some(extent)) => {
                let at = catalog.remove(extent).expect("named");
                model.remove(&extent);
                blobs.delete(&[(extent, at)]).await.expect("deleted");
            }
            (5, _) if random.one_in(4) => {
                blobs.reclaim(&catalog).await.expect("reclaimed");
                blobs.sweep(&catalog).await.expect("swept");
            }
            (_, Some(extent)) => {
                let (at, bytes) = (catalog.get(extent).expect("named"), &model[&extent]);
                let from = random.below(at.len());
                let to = from + random.below(at.len() - from) + 1;
                let got = get(blobs, extent, at, from, to).await.expect("read");
                assert!(got == bytes.slice(from as usize..to as usize), "seed {seed}, step {step}");
            }
            _ => {}
        }
    }
    for (extent, at) in catalog.all() {
        let got = get(blobs, extent, at, 0, at.len()).await.expect("read");
        assert!(got == model[&extent], "seed {seed}");
    }
    let sizes = |in_file: bool| -> u64 {
        let rows = catalog.all().into_iter().filter(|(_, at)| matches!(at, Location::File { .. }) == in_file);
        rows.map(|(_, at)| if in_file { at.len() } else { 64 + at.len() + 8 * at.len().div_ceil(BLOCK) }).sum()
    };
    let usage = blobs.usage();
    assert_eq!((usage.file_live, usage.segment_live), (sizes(true), sizes(false)), "seed {seed}");
}
