//! Power cuts at any moment, on the simulated disk.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use millpond_io::SeededRandom;
use millpond_io::sim::SimDisk;

use super::{DIR, open};
use crate::check;
use crate::testing::{Catalog, content, get, is_content, put};
use crate::{Blobs, ExtentId, Location, SYNC_POINTS, Written};

/// Images taken of one run.
const IMAGES_PER_RUN: u64 = 20;

/// What the metadata named around the moment of an image, and the image.
struct Cut {
    seed: u64,
    image: SimDisk,
    named: Vec<(ExtentId, Location)>,
}

/// Writes, deletes and reclaims in several tasks at once until enough images were taken.
async fn run(seed: u64, ignored: Option<&str>) -> Vec<Cut> {
    let disk = SimDisk::new();
    if let Some(point) = ignored {
        disk.ignore_sync(point);
    }
    let blobs = open(&disk, seed);
    blobs.load_done();
    let catalog = Arc::new(Catalog::default());
    let done = Arc::new(AtomicBool::new(false));
    let steps = Arc::new(AtomicU64::new(0));
    let tasks: Vec<_> = (0..3)
        .map(|task| {
            let (blobs, catalog) = (blobs.clone(), Arc::clone(&catalog));
            let (done, steps) = (Arc::clone(&done), Arc::clone(&steps));
            tokio::spawn(async move {
                let random = SeededRandom::new(seed * 10 + task);
                while !done.load(Ordering::SeqCst) {
                    step(&blobs, &catalog, &random, task == 0).await;
                    steps.fetch_add(1, Ordering::SeqCst);
                }
            })
        })
        .collect();
    let random = SeededRandom::new(!seed);
    let mut cuts = Vec::new();
    for number in 0..IMAGES_PER_RUN {
        let until = steps.load(Ordering::SeqCst) + random.below(6);
        while steps.load(Ordering::SeqCst) < until {
            tokio::task::yield_now().await;
        }
        let before = catalog.all();
        let image = disk.crash_image(seed * 1000 + number);
        let after: HashMap<_, _> = catalog.all().into_iter().collect();
        let named = before.into_iter().filter(|(extent, at)| after.get(extent) == Some(at)).collect();
        cuts.push(Cut { seed: seed * 1000 + number, image, named });
    }
    done.store(true, Ordering::SeqCst);
    for task in tasks {
        task.await.unwrap();
    }
    cuts
}

async fn step(blobs: &Blobs, catalog: &Catalog, random: &SeededRandom, reclaims: bool) {
    let all = catalog.all();
    let full = all.len() > 25;
    match random.below(10) {
        0..=5 if !full => {
            let len = [3000, 30_000, 140_000, 400_000][random.below(4) as usize] + random.below(3000) as usize;
            let expected = random.one_in(2).then_some(len as u64);
            let bytes = content(random.below(1 << 40), len);
            let Written::Stored(stored) = put(blobs, &bytes, 50_000, expected).await.unwrap() else { panic!("inline") };
            match random.below(10) {
                0 => stored.abandon(),
                // The request was cut off before its commit.
                1 => drop(stored),
                _ => drop(catalog.commit(stored)),
            }
        }
        9 if reclaims => {
            blobs.reclaim(catalog).await.unwrap();
            blobs.sweep(catalog).await.unwrap();
        }
        _ => {
            if let Some((extent, _)) = all.get(random.below(all.len() as u64 + 1) as usize)
                && let Some(at) = catalog.remove(*extent)
            {
                blobs.delete(&[(*extent, at)]).await.unwrap();
            }
        }
    }
}

async fn readable(blobs: &Blobs, named: &[(ExtentId, Location)], when: &str) -> Result<(), String> {
    for (extent, at) in named {
        let bytes = get(blobs, *extent, *at, 0, u64::MAX).await.map_err(|e| format!("{when}: {at:?}: {e}"))?;
        if bytes.len() as u64 != at.len() || !is_content(&bytes) {
            return Err(format!("{when}: {at:?} reads as something else"));
        }
    }
    Ok(())
}

/// What must hold after the power is back.
async fn survives(cut: &Cut) -> Result<(), String> {
    let dir = Path::new(DIR);
    let blobs = open(&cut.image, cut.seed | 1 << 40);
    readable(&blobs, &cut.named, "after the cut").await?;
    // Whatever else is there either reads as somebody wrote it, or is an error.
    for file in check::list(&cut.image, dir).map_err(|e| e.to_string())? {
        let (extents, _) = check::extents(&cut.image, dir, file).map_err(|e| e.to_string())?;
        for (extent, at) in extents {
            if let Ok(bytes) = get(&blobs, extent, at, 0, u64::MAX).await
                && !(is_content(&bytes) && bytes.len() as u64 == at.len())
            {
                return Err(format!("garbage at {at:?} reads as valid"));
            }
        }
    }
    // Life goes on, and what was there before stays.
    let unknown = blobs.load_live(cut.named.iter().copied());
    if unknown > 0 {
        return Err(format!("{unknown} extents in segments that are gone"));
    }
    blobs.load_done();
    let catalog = Catalog::default();
    cut.named.iter().for_each(|(extent, at)| catalog.insert(*extent, *at));
    for len in [5000, 120_000, 300_000] {
        let written = put(&blobs, &content(cut.seed, len), 70_000, None).await.map_err(|e| e.to_string())?;
        if let Written::Stored(stored) = written {
            catalog.commit(stored);
        }
    }
    blobs.sweep(&catalog).await.map_err(|e| e.to_string())?;
    blobs.reclaim(&catalog).await.map_err(|e| e.to_string())?;
    readable(&blobs, &catalog.all(), "after going on").await?;
    // And the power goes again.
    let again = cut.image.crash_image(!cut.seed);
    readable(&open(&again, cut.seed | 1 << 41), &catalog.all(), "after the second cut").await
}

/// How many images: `MILLPOND_CRASH_IMAGES`, or 500. `MILLPOND_SEED` repeats one run (its threads may interleave otherwise).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_a_power_cut_at_any_moment() {
    let number = |name: &str| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    let runs = number("MILLPOND_CRASH_IMAGES").unwrap_or(500).div_ceil(IMAGES_PER_RUN);
    let seeds = number("MILLPOND_SEED").map_or(0..runs, |seed| seed..seed + 1);
    let (mut images, mut extents) = (0, 0);
    for seed in seeds {
        for cut in run(seed, None).await {
            if let Err(why) = survives(&cut).await {
                panic!("seed {seed}, image {}: {why}", cut.seed);
            }
            images += 1;
            extents += cut.named.len();
        }
    }
    println!("{images} images, {extents} extents");
    assert!(extents > images, "the images held something to lose");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_sync_point_switched_off_loses_data() {
    for point in SYNC_POINTS {
        let mut found = None;
        for seed in 0..10 {
            for cut in run(seed, Some(point.0)).await {
                if let Err(why) = survives(&cut).await {
                    found = Some(why);
                    break;
                }
            }
            if found.is_some() {
                break;
            }
        }
        println!("{}: {found:?}", point.0);
        assert!(found.is_some(), "nothing is lost without {}", point.0);
    }
}
