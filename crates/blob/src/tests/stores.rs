//! The contract on both disks, reclaiming, and reopening.

use std::sync::Arc;

use millpond_io::sim::SimDisk;
use millpond_io::{RealDisk, SystemRandom};

use super::open;
use crate::check::{self, OnDisk};
use crate::testing::{Catalog, content, contract, get, put, random_operations, small_config};
use crate::{BlobConfig, BlobError, Blobs, Location, Written};

fn real(dir: &std::path::Path, config: BlobConfig) -> Blobs {
    Blobs::open(Arc::new(RealDisk), Arc::new(SystemRandom), dir, config).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_simulated_disk_fulfils_the_contract() {
    contract(&small_config(), || async { open(&SimDisk::new(), 1) }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_real_disk_fulfils_the_contract() {
    let dirs = std::sync::Mutex::new(Vec::new());
    contract(&small_config(), || async {
        let dir = tempfile::tempdir().unwrap();
        let blobs = real(dir.path(), small_config());
        dirs.lock().unwrap().push(dir);
        blobs
    })
    .await;
}

/// `MILLPOND_SEED` reruns one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_operations_agree_with_a_map() {
    let one = std::env::var("MILLPOND_SEED").ok().and_then(|seed| seed.parse().ok());
    let seeds = one.map_or(10..30, |seed: u64| seed..seed + 1);
    for seed in seeds {
        random_operations(&small_config(), &open(&SimDisk::new(), seed), seed).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_writers_at_once_share_syncs_and_lose_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let blobs = real(dir.path(), BlobConfig { appenders: 1, reserve: Some(0), ..BlobConfig::default() });
    let catalog = Arc::new(Catalog::default());
    let tasks: Vec<_> = (0..32_u64)
        .map(|task| {
            let (blobs, catalog) = (blobs.clone(), Arc::clone(&catalog));
            tokio::spawn(async move {
                for n in 0..8_u64 {
                    let len =
                        [10_000, 70_000, 300_000, 5_000_000][if task == 0 { n as usize % 4 } else { n as usize % 2 }];
                    let Written::Stored(stored) = put(&blobs, &content(n, len), 48_000, None).await.unwrap() else {
                        panic!("{len} inline")
                    };
                    catalog.commit(stored);
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let usage = blobs.usage();
    assert!(usage.groups < usage.grouped, "{usage:?}");
    assert!(blobs.in_flight().is_empty());
    drop(blobs);

    let blobs = real(dir.path(), BlobConfig { reserve: Some(0), ..BlobConfig::default() });
    assert_eq!(catalog.all().len(), 32 * 8);
    assert_eq!(blobs.load_live(catalog.all()), 0);
    blobs.load_done();
    for (extent, at) in catalog.all() {
        let bytes = get(&blobs, extent, at, 0, u64::MAX).await.unwrap();
        assert!(crate::testing::is_content(&bytes) && bytes.len() as u64 == at.len());
    }
    // The zeros ahead were cut off; what is left is the extents, their framing and alignment.
    assert!(blobs.usage().segment_bytes < usage.segment_live * 3 / 2, "{usage:?}");
    assert_eq!(blobs.usage().segment_live, usage.segment_live);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn space_in_segments_comes_back_and_open_readers_go_on() {
    let (disk, catalog) = (SimDisk::new(), Catalog::default());
    let blobs = open(&disk, 1);
    let mut rows = Vec::new();
    for n in 0..60 {
        let Written::Stored(stored) = put(&blobs, &content(n, 60_000), 60_000, None).await.unwrap() else { panic!() };
        rows.push(catalog.commit(stored));
    }
    let before = blobs.usage();
    assert_eq!(blobs.reclaim(&catalog).await.unwrap().segments, 0, "nothing is known of older ones yet");
    blobs.load_live(catalog.all());
    blobs.load_done();
    let (kept, at) = rows[1];
    let mut reader = blobs.read(kept, at, 0..u64::MAX).await.unwrap();
    for (n, (extent, at)) in rows.iter().enumerate() {
        if n % 5 != 1 {
            catalog.remove(*extent);
            blobs.delete(&[(*extent, *at)]).await.unwrap();
        }
    }
    // What lies in flight keeps its segment.
    let done = blobs.reclaim(&catalog).await.unwrap();
    assert!(done.segments >= 3 && done.moved >= 6, "{done:?}");
    let after = blobs.usage();
    assert!(after.segment_bytes < before.segment_bytes / 2 + 700_000, "{before:?} {after:?}");
    assert_eq!(after.segment_live, 12 * (60_000 + 64 + 8));

    assert!(matches!(blobs.read(kept, at, 0..1).await, Err(BlobError::Missing(_))), "moved away");
    assert_eq!(reader.next().await.unwrap().unwrap(), content(1, 60_000), "opened before");
    assert!(reader.next().await.unwrap().is_none());
    for (extent, at) in catalog.all() {
        assert!(crate::testing::is_content(&get(&blobs, extent, at, 0, u64::MAX).await.unwrap()));
    }
    drop(blobs);
    let blobs = open(&disk, 2);
    blobs.load_live(catalog.all());
    blobs.load_done();
    assert_eq!(blobs.usage().segment_live, after.segment_live);
    for (extent, at) in catalog.all() {
        blobs.verify(extent, at).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_on_its_way_to_the_metadata_is_neither_moved_nor_given_back() {
    let catalog = Catalog::default();
    let blobs = open(&SimDisk::new(), 1);
    blobs.load_done();
    let mut held = None;
    let mut rows = Vec::new();
    for n in 0..40 {
        let Written::Stored(stored) = put(&blobs, &content(n, 60_000), 60_000, None).await.unwrap() else { panic!() };
        if n == 0 {
            held = Some(stored);
        } else {
            rows.push(catalog.commit(stored));
        }
    }
    rows.iter().for_each(|(extent, _)| {
        catalog.remove(*extent);
    });
    blobs.delete(&rows).await.unwrap();
    blobs.reclaim(&catalog).await.unwrap();
    let held = held.unwrap();
    blobs.verify(held.extent(), held.location()).await.unwrap();
    let (extent, old) = catalog.commit(held);
    blobs.reclaim(&catalog).await.unwrap();
    let now = catalog.get(extent).unwrap();
    assert_ne!(now, old, "moved once it was committed");
    blobs.verify(extent, now).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_delete_does_not_cost_what_the_metadata_names() {
    let catalog = Catalog::default();
    let blobs = open(&SimDisk::new(), 1);
    blobs.load_done();
    let mut rows = Vec::new();
    for n in 0..40 {
        let Written::Stored(stored) = put(&blobs, &content(n, 60_000), 60_000, None).await.unwrap() else { panic!() };
        rows.push(catalog.commit(stored));
    }
    // The caller errs: all are named still.
    blobs.delete(&rows).await.unwrap();
    blobs.reclaim(&catalog).await.unwrap();
    for (extent, at) in catalog.all() {
        blobs.verify(extent, at).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_on_disk_can_be_listed_offline() {
    let (disk, catalog) = (SimDisk::new(), Catalog::default());
    let blobs = open(&disk, 1);
    for n in 0..30 {
        let written = put(&blobs, &content(n, 9000 * n as usize + 1000), 50_000, None).await.unwrap();
        let Written::Stored(stored) = written else { panic!() };
        catalog.commit(stored);
    }
    drop(blobs);
    let dir = std::path::Path::new(super::DIR);
    let mut found = Vec::new();
    let (mut segments, mut files) = (0, 0);
    for file in check::list(&disk, dir).unwrap() {
        match file {
            OnDisk::Segment(_) => segments += 1,
            OnDisk::File(_) => files += 1,
        }
        let (extents, sound) = check::extents(&disk, dir, file).unwrap();
        assert!(sound);
        found.extend(extents);
    }
    found.sort_unstable_by_key(|(extent, _)| *extent);
    assert_eq!(found, catalog.all());
    assert_eq!(files, found.iter().filter(|(_, at)| matches!(at, Location::File { .. })).count());
    assert!(segments > 1);
}
