//! Moves that do not come to their end, and segments that the disk refuses to read.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use millpond_io::SeededRandom;
use millpond_io::faulty::{Fault, FaultyDisk};
use millpond_io::sim::SimDisk;

use super::{DIR, try_open};
use crate::format::stored_len;
use crate::testing::{Catalog, content, put, small_config};
use crate::{BlobConfig, BlobError, Blobs, BoxFuture, ExtentId, Location, Move, Moved, Mover, Written};

const LEN: usize = 60_000;

fn one_appender() -> BlobConfig {
    BlobConfig { appenders: 1, ..small_config() }
}

/// Some segments of which every fifth extent is live. Returns where the first one lies: a segment to which nothing is appended any more.
async fn sparse(blobs: &Blobs, catalog: &Catalog) -> Location {
    blobs.load_done();
    let (mut dead, mut first) = (Vec::new(), None);
    for n in 0..40_u64 {
        let Written::Stored(stored) = put(blobs, &content(n, LEN), LEN, None).await.unwrap() else { panic!() };
        let row = catalog.commit(stored);
        first = first.or(Some(row.1));
        if n % 5 != 0 {
            catalog.remove(row.0);
            dead.push(row);
        }
    }
    blobs.delete(&dead).await.unwrap();
    first.unwrap()
}

fn live(extents: usize) -> u64 {
    extents as u64 * stored_len(LEN as u64)
}

/// Answers moves always the same and changes nothing; notes what was to be moved.
struct Stubborn<'a>(&'a Catalog, Option<Moved>, Mutex<Vec<ExtentId>>);

impl Mover for Stubborn<'_> {
    fn locate<'a>(&'a self, extents: &'a [ExtentId]) -> BoxFuture<'a, Result<Vec<Option<Location>>, BlobError>> {
        self.0.locate(extents)
    }

    fn moved<'a>(&'a self, moves: &'a [Move]) -> BoxFuture<'a, Vec<Moved>> {
        self.2.lock().unwrap().extend(moves.iter().map(|one| one.extent));
        Box::pin(async move { self.1.map_or_else(Vec::new, |answer| vec![answer; moves.len()]) })
    }
}

async fn all_readable(blobs: &Blobs, catalog: &Catalog) {
    for (extent, at) in catalog.all() {
        blobs.verify(extent, at).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn copies_stay_only_when_nobody_knows_which_place_is_named() {
    for (answer, copies_stay, fails) in [
        (Some(Moved::Refused), false, true),
        (Some(Moved::Unreadable), false, false),
        (Some(Moved::Unknown), true, true),
        (None, true, true),
    ] {
        let (disk, catalog) = (SimDisk::new(), Catalog::default());
        let blobs = try_open(&disk, 1, one_appender()).unwrap();
        sparse(&blobs, &catalog).await;
        assert_eq!(blobs.usage().segment_live, live(8));
        let stubborn = Stubborn(&catalog, answer, Mutex::default());
        let reclaimed = blobs.reclaim(&stubborn).await;
        assert_eq!(reclaimed.is_err(), fails, "{answer:?}: {reclaimed:?}");
        assert_eq!(blobs.usage().segment_live > live(8), copies_stay, "{answer:?}");
        all_readable(&blobs, &catalog).await;
        // What cannot be moved at all is not tried again; what was refused for now is.
        let before: HashMap<_, _> = catalog.all().into_iter().collect();
        blobs.reclaim(&catalog).await.unwrap();
        let tried = stubborn.2.into_inner().unwrap();
        let stayed = tried.iter().filter(|extent| catalog.get(**extent) == before.get(extent).copied()).count();
        assert_eq!(
            stayed,
            if answer == Some(Moved::Unreadable) { tried.len() } else { 0 },
            "{answer:?} of {}",
            tried.len()
        );
        all_readable(&blobs, &catalog).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_append_leaves_no_copies_of_the_others() {
    let mut failed = 0;
    for n in 1..=12 {
        let (disk, catalog) = (SimDisk::new(), Catalog::default());
        let blobs = try_open(&disk, 1, one_appender()).unwrap();
        sparse(&blobs, &catalog).await;
        disk.fail_nth(n, Fault::Enospc);
        let reclaimed = blobs.reclaim(&catalog).await;
        failed += u32::from(reclaimed.is_err() && blobs.stopped().is_none());
        assert_eq!(blobs.usage().segment_live, live(8), "call {n}: {reclaimed:?}");
        all_readable(&blobs, &catalog).await;
    }
    assert!(failed > 0, "no append failed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn live_extents_that_would_not_fit_are_not_moved() {
    let (disk, catalog) = (FaultyDisk::new(SimDisk::new()), Catalog::default());
    let blobs = faulty(&disk, 1);
    sparse(&blobs, &catalog).await;
    disk.faults().set_full(true);
    assert_eq!(blobs.reclaim(&catalog).await.unwrap().moved, 0);
    disk.faults().set_full(false);
    assert!(blobs.reclaim(&catalog).await.unwrap().moved > 0);
    all_readable(&blobs, &catalog).await;
}

fn faulty(disk: &FaultyDisk<SimDisk>, seed: u64) -> Blobs {
    Blobs::open(Arc::new(disk.clone()), Arc::new(SeededRandom::new(seed)), Path::new(DIR), one_appender()).unwrap()
}

fn segment_of(at: Location) -> String {
    let Location::Segment { segment, .. } = at else { panic!("{at:?}") };
    format!("{segment:016x}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_segment_that_cannot_be_read_stops_neither_the_start_nor_the_others() {
    let (disk, catalog) = (FaultyDisk::new(SimDisk::new()), Catalog::default());
    let blobs = faulty(&disk, 1);
    let bad = segment_of(sparse(&blobs, &catalog).await);
    drop(blobs);
    disk.faults().set_unreadable(Some(&bad));
    let blobs = faulty(&disk, 2);
    assert_eq!(blobs.load_live(catalog.all()), 0, "its extents lie in a segment that is known");
    blobs.load_done();
    let mut unread = 0;
    for (extent, at) in catalog.all() {
        match blobs.verify(extent, at).await {
            Ok(()) => assert_ne!(segment_of(at), bad),
            Err(BlobError::Io(_)) => {
                assert_eq!(segment_of(at), bad);
                unread += 1;
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert!(unread > 0 && unread < catalog.all().len());
    let wrong = blobs.verify_segments().await.unwrap();
    assert_eq!(wrong.len(), 1, "{wrong:?}");
    let Written::Stored(stored) = put(&blobs, &content(99, LEN), LEN, None).await.unwrap() else { panic!() };
    catalog.commit(stored);
    assert!(blobs.reclaim(&catalog).await.unwrap().segments > 0, "the others are given back");
    disk.faults().set_unreadable(None);
    all_readable(&blobs, &catalog).await;
    assert_eq!(blobs.verify_segments().await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_extent_that_cannot_be_read_keeps_its_segment_from_being_tried_for_ever() {
    let (disk, catalog) = (FaultyDisk::new(SimDisk::new()), Catalog::default());
    let blobs = faulty(&disk, 1);
    let bad = segment_of(sparse(&blobs, &catalog).await);
    let all = catalog.all();
    disk.faults().set_unreadable(Some(&bad));
    blobs.reclaim(&catalog).await.unwrap();
    disk.faults().set_unreadable(None);
    blobs.reclaim(&catalog).await.unwrap();
    for (extent, at) in all.into_iter().filter(|(_, at)| segment_of(*at) == bad) {
        assert_eq!(catalog.get(extent), Some(at), "it stays where it is until a restart");
    }
    all_readable(&blobs, &catalog).await;
}

/// What a request that was cut off left behind is settled by asking the metadata, without the sweep over all files.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_of_unknown_outcome_are_settled_after_the_grace() {
    for (grace, settled) in [(Duration::ZERO, 2), (Duration::from_secs(3600), 0)] {
        let catalog = Catalog::default();
        let blobs = try_open(&SimDisk::new(), 1, BlobConfig { grace, ..one_appender() }).unwrap();
        blobs.load_done();
        for named in [true, false] {
            let Written::Stored(stored) = put(&blobs, &content(1, LEN), LEN, None).await.unwrap() else { panic!() };
            if named {
                catalog.insert(stored.extent(), stored.location());
            }
            drop(stored);
        }
        assert_eq!(blobs.settle(&catalog).await.unwrap(), settled);
        assert_eq!(blobs.in_flight().len() as u64, 2 - settled);
        assert_eq!(blobs.usage().segment_live, live(if settled > 0 { 1 } else { 2 }), "what is not named is dead");
        all_readable(&blobs, &catalog).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flipped_bit_in_the_header_of_a_segment_is_found() {
    let (disk, catalog) = (SimDisk::new(), Catalog::default());
    let blobs = try_open(&disk, 1, one_appender()).unwrap();
    sparse(&blobs, &catalog).await;
    assert_eq!(blobs.verify_segments().await.unwrap(), []);
    let bad = segment_of(catalog.all()[0].1);
    disk.flip_bit(&Path::new(DIR).join("segments").join(&bad), 9, 0).unwrap();
    let wrong = blobs.verify_segments().await.unwrap();
    assert_eq!(wrong.len(), 1);
    assert_eq!(wrong[0].1, format!("segment {bad} is damaged in its header"));
    all_readable(&blobs, &catalog).await;
}
