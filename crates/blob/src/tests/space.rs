//! Full disks.

use millpond_io::sim::SimDisk;
use millpond_io::{Disk, OpenMode};

use super::{open, try_open};
use crate::testing::{Catalog, content, put, small_config};
use crate::{BlobConfig, BlobError, Written};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_full_disk_writes_fail_reads_and_deletes_work_and_writes_resume() {
    let (disk, catalog) = (SimDisk::new(), Catalog::default());
    let blobs = open(&disk, 1);
    blobs.load_done();
    for n in 0..40 {
        let len = if n % 4 == 0 { 400_000 } else { 60_000 };
        let Written::Stored(stored) = put(&blobs, &content(n, len), 60_000, None).await.unwrap() else { panic!() };
        catalog.commit(stored);
    }
    disk.set_full(true);
    let mut refused = 0;
    for n in 0..20 {
        for expected in [None, Some(400_000)] {
            match put(&blobs, &content(n, 400_000), 60_000, expected).await {
                Err(BlobError::Full) => refused += 1,
                other => panic!("{other:?}"),
            }
        }
        match put(&blobs, &content(n, 100_000), 60_000, None).await {
            Err(BlobError::Full) => refused += 1,
            // Into zeros that had their place already.
            Ok(Written::Stored(stored)) => drop(catalog.commit(stored)),
            other => panic!("{other:?}"),
        }
    }
    assert!(refused > 50 && blobs.stopped().is_none());
    let rows = catalog.all();
    for (extent, at) in &rows {
        blobs.verify(*extent, *at).await.unwrap();
        catalog.remove(*extent);
    }
    blobs.delete(&rows).await.unwrap();
    let done = blobs.reclaim(&catalog).await.unwrap();
    assert!(done.segments >= 2, "{done:?}");
    disk.set_full(false);
    for n in 0..10 {
        let Written::Stored(stored) = put(&blobs, &content(n, 300_000), 60_000, None).await.unwrap() else { panic!() };
        stored.abandon();
        let Written::Stored(stored) = put(&blobs, &content(n, 100_000), 60_000, None).await.unwrap() else { panic!() };
        let (extent, at) = catalog.commit(stored);
        blobs.verify(extent, at).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_reserve_is_kept_free_but_moves_may_use_it() {
    let (disk, catalog) = (SimDisk::new(), Catalog::default());
    disk.set_capacity(8 << 20);
    // One, so that every segment holds neighbours: of two that take turns one would get all that is kept, and have nothing to give back.
    let config = BlobConfig { reserve: Some(2 << 20), appenders: 1, ..small_config() };
    let blobs = try_open(&disk, 1, config).unwrap();
    blobs.load_done();
    let mut rows = Vec::new();
    let refused = loop {
        match put(&blobs, &content(rows.len() as u64, 60_000), 60_000, None).await {
            Ok(Written::Stored(stored)) => rows.push(catalog.commit(stored)),
            Ok(Written::Inline(_)) => panic!(),
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, BlobError::Full) && rows.len() > 40, "{} {refused}", rows.len());
    assert!(blobs.usage().free >= (2 << 20) - 300_000, "{:?}", blobs.usage());
    let dead: Vec<_> = rows.iter().enumerate().filter(|(n, _)| n % 4 != 0).map(|(_, row)| *row).collect();
    dead.iter().for_each(|(extent, _)| {
        catalog.remove(*extent);
    });
    blobs.delete(&dead).await.unwrap();
    let done = blobs.reclaim(&catalog).await.unwrap();
    assert!(done.segments > 3 && done.moved > 5, "{done:?}");
    for (extent, at) in catalog.all() {
        blobs.verify(extent, at).await.unwrap();
    }
    assert!(matches!(put(&blobs, &content(1, 60_000), 60_000, None).await, Ok(Written::Stored(_))));
}

/// A length is a claim: whoever announces 5 GiB and sends a byte must not keep others from writing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn room_is_set_aside_for_a_part_of_what_is_announced() {
    let disk = SimDisk::new();
    disk.set_capacity(600 << 20);
    let blobs = open(&disk, 1);
    let mut claims = Vec::new();
    for _ in 0..4 {
        let mut writer = blobs.writer(Some(5 << 30));
        writer.write(content(1, 1)).await.unwrap();
        claims.push(writer);
    }
    let lengths: Vec<u64> = (disk.files().iter())
        .filter(|path| path.starts_with(std::path::Path::new(super::DIR).join("files")))
        .map(|path| disk.open(path, OpenMode::Read).unwrap().len().unwrap())
        .collect();
    assert_eq!(lengths.len(), 4);
    assert!(lengths.iter().all(|len| *len > 256 << 20 && *len < 257 << 20), "{lengths:?}");
    // What an announcement is worth is written, and the others go on.
    let Written::Stored(stored) = put(&blobs, &content(2, 400_000), 60_000, Some(400_000)).await.unwrap() else {
        panic!()
    };
    blobs.verify(stored.extent(), stored.location()).await.unwrap();
    stored.abandon();
}
