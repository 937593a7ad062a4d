//! Every write-like call fails once.

use std::path::Path;

use millpond_io::faulty::Fault;
use millpond_io::sim::SimDisk;

use super::{DIR, open, try_open};
use crate::testing::{Catalog, content, get, is_content, put, small_config};
use crate::{BlobConfig, BlobError, Blobs, Written};

/// What became of the scenario's writes.
#[derive(Default)]
struct Outcome {
    acknowledged: u64,
    refused: u64,
    after_stop: u64,
}

fn one_appender() -> BlobConfig {
    BlobConfig { appenders: 1, ..small_config() }
}

/// One after the other, so that the same call has the same number in each run (all but those for zeros and spare segments).
async fn scenario(blobs: &Blobs, catalog: &Catalog) -> Outcome {
    let mut outcome = Outcome::default();
    blobs.load_done();
    for n in 0..24_u64 {
        let len = [20_000, 90_000, 140_000, 260_000, 1_200_000, 70_000][n as usize % 6];
        let stopped = blobs.stopped().is_some();
        let expected = (n % 2 == 0).then_some(len as u64);
        match put(blobs, &content(n, len), 100_000, expected).await {
            Ok(Written::Stored(stored)) => {
                outcome.acknowledged += 1;
                outcome.after_stop += u64::from(stopped);
                catalog.commit(stored);
            }
            Ok(Written::Inline(_)) => panic!("{len} inline"),
            Err(error) => {
                let known = matches!(error, BlobError::Full | BlobError::Io(_) | BlobError::Stopped(_));
                assert!(known, "{error}");
                outcome.refused += 1;
            }
        }
        if n % 3 == 2
            && let Some((extent, at)) = catalog.all().first().copied()
        {
            catalog.remove(extent);
            // What cannot be removed now is swept later.
            let _ = blobs.delete(&[(extent, at)]).await;
        }
    }
    let _ = blobs.reclaim(catalog).await;
    let _ = blobs.sweep(catalog).await;
    outcome
}

async fn all_readable(blobs: &Blobs, catalog: &Catalog, what: &str) {
    for (extent, at) in catalog.all() {
        match get(blobs, extent, at, 0, u64::MAX).await {
            Ok(bytes) => assert!(is_content(&bytes) && bytes.len() as u64 == at.len(), "{what}"),
            Err(error) => panic!("{what}: {at:?}: {error}"),
        }
    }
}

/// After the fault the disk is well again: a restart finds everything, and goes on.
async fn recovers(disk: &SimDisk, before: &Catalog, seed: u64, what: &str) {
    // A copy: what is moved here is not moved on another image.
    let catalog = &Catalog::default();
    before.all().into_iter().for_each(|(extent, at)| catalog.insert(extent, at));
    let blobs = open(disk, seed);
    assert_eq!(blobs.load_live(catalog.all()), 0, "{what}");
    blobs.load_done();
    all_readable(&blobs, catalog, what).await;
    for len in [50_000, 300_000] {
        let Written::Stored(stored) = put(&blobs, &content(99, len), 100_000, None).await.unwrap() else { panic!() };
        stored.abandon();
    }
    // Files are removed on a thread of their own, and spared by the sweep until then.
    while !blobs.in_flight().is_empty() {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    blobs.sweep(catalog).await.unwrap();
    blobs.reclaim(catalog).await.unwrap();
    all_readable(&blobs, catalog, what).await;
    drop(blobs);
    let named: Vec<_> = catalog.all().into_iter().map(|(extent, _)| extent).collect();
    for file in crate::check::list(disk, Path::new(DIR)).unwrap() {
        if let crate::check::OnDisk::File(extent) = file {
            assert!(named.contains(&extent), "{what}: an orphan was left");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_call_failing_once_loses_nothing_acknowledged() {
    let disk = SimDisk::new();
    let whole = scenario(&try_open(&disk, 1, one_appender()).unwrap(), &Catalog::default()).await;
    assert_eq!((whole.acknowledged, whole.refused), (24, 0));
    let calls = disk.calls();
    assert!(calls > 80, "{calls}");
    let mut stopped = 0;
    for n in 1..=calls {
        for fault in [Fault::Eio, Fault::Enospc] {
            let what = format!("call {n} of {calls} failing with {fault:?}");
            let (disk, catalog) = (SimDisk::new(), Catalog::default());
            disk.fail_nth(n, fault);
            let Ok(blobs) = try_open(&disk, 1, one_appender()) else {
                recovers(&disk, &catalog, 2, &what).await;
                continue;
            };
            let outcome = scenario(&blobs, &catalog).await;
            assert_eq!(outcome.after_stop, 0, "{what}");
            // A fault costs one write (or one group), a failed sync all after it.
            if blobs.stopped().is_none() {
                assert!(outcome.refused <= 1, "{what}: {}", outcome.refused);
            } else {
                stopped += 1;
                assert!(matches!(put(&blobs, &content(1, 50_000), 9999, None).await, Err(BlobError::Stopped(_))));
            }
            all_readable(&blobs, &catalog, &what).await;
            drop(blobs);
            recovers(&disk.crash_image(n), &catalog, 3, &what).await;
            recovers(&disk.copy(), &catalog, 4, &what).await;
        }
    }
    assert!(stopped > 40, "syncs were among the calls: {stopped}");
}
