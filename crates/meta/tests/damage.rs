//! Flipped bits on disk: a read gives what was written or an error, never anything else; opening may refuse.
//! `MILLPOND_SEED=n` reruns one seed, `MILLPOND_FLIPS` sets how many there are (120).

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::ops::Bound;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use millpond_io::{Disk, OpenMode, Random, RealDisk, SeededRandom};
use millpond_meta::key::KeyBuilder;
use millpond_meta::{Batch, Class, FjallConfig, FjallKv, Kv, Op, Rows, Scan, View};

fn classify(table: u8) -> Class {
    match table {
        2 => Class::Large,
        3 => Class::Log,
        _ => Class::Rows,
    }
}

fn all() -> Scan {
    Scan { from: Bound::Unbounded, to: Bound::Unbounded, reverse: false, limit: usize::MAX }
}

fn config() -> FjallConfig {
    FjallConfig { reserve: 0, ..FjallConfig::new(classify) }
}

/// A store with rows in tables, in blob files and in the journal, some overwritten and some removed.
async fn filled(dir: &Path) -> Rows {
    let kv = FjallKv::open(dir, config()).unwrap();
    let random = SeededRandom::new(3);
    for round in 0..3_u64 {
        for n in 0..60_u64 {
            let mut body = vec![0; 600 + (n * 13 % 500) as usize];
            random.fill(&mut body);
            let body = Bytes::from(body);
            let key = |table| KeyBuilder::new(table).u64(n * (round + 1)).build();
            let ops = vec![
                Op::Put(key(1), body.slice(..100)),
                Op::Put(key(2), body.clone()),
                Op::Append { stream: KeyBuilder::new(3).build(), value: body.slice(..80) },
                Op::Delete(KeyBuilder::new(1).u64(n * 5).build()),
            ];
            kv.commit(Batch { ops, ..Batch::default() }).await.unwrap();
        }
        if round < 2 {
            kv.write_out().unwrap();
        }
    }
    kv.scan(all()).await.unwrap()
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

fn copy(from: &Path, to: &Path) {
    for file in files(from) {
        let target = to.join(file.strip_prefix(from).unwrap());
        std::fs::create_dir_all(target.parent().unwrap()).unwrap();
        std::fs::copy(&file, &target).unwrap();
    }
    // Empty directories matter, too.
    for dir in ["tables", "blobs"] {
        for space in std::fs::read_dir(from.join("fjall/keyspaces")).unwrap() {
            let space = space.unwrap();
            if space.path().join(dir).is_dir() {
                std::fs::create_dir_all(to.join("fjall/keyspaces").join(space.file_name()).join(dir)).unwrap();
            }
        }
    }
}

/// Cuts journals behind their last byte that is not zero: fjall makes them 64 MiB long.
fn trim_journals(dir: &Path) {
    for file in files(dir).iter().filter(|file| file.extension().is_some_and(|extension| extension == "jnl")) {
        let open = RealDisk.open(file, OpenMode::Write).unwrap();
        let mut bytes = vec![0; 1 << 20];
        let got = open.read_at(&mut bytes, 0).unwrap();
        let end = bytes[..got].iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        assert!(end < bytes.len(), "a short journal");
        open.set_len(end as u64).unwrap();
    }
}

#[derive(Default, Debug)]
struct Tally {
    refused: u32,
    found: u32,
    harmless: u32,
}

async fn flip(seed: u64, sound: &Path, rows: &Rows, tally: &mut Tally) {
    let dir = tempfile::tempdir().unwrap();
    copy(sound, dir.path());
    let random = SeededRandom::new(seed);
    let files: Vec<(PathBuf, u64)> = files(dir.path())
        .into_iter()
        .map(|file| (file.clone(), file.metadata().unwrap().len()))
        .filter(|(file, len)| *len > 0 && !file.ends_with("lock"))
        .collect();
    let (file, len) = &files[(random.u64() % files.len() as u64) as usize];
    let at = random.u64() % len;
    let open = RealDisk.open(file, OpenMode::Write).unwrap();
    let mut byte = [0];
    open.read_at(&mut byte, at).unwrap();
    open.write_all_at(&[byte[0] ^ (1 << (random.u64() % 8))], at).unwrap();
    let what = format!("seed {seed}: {} byte {at}", file.strip_prefix(dir.path()).unwrap().display());

    let Ok(kv) = FjallKv::open(dir.path(), config()) else {
        tally.refused += 1;
        return;
    };
    let mut damaged = false;
    match kv.scan(all()).await {
        Ok(found) => assert!(found == *rows, "{what}: a scan gives {} rows of {}", found.len(), rows.len()),
        Err(_) => damaged = true,
    }
    for (key, value) in rows {
        match kv.get(key).await {
            Ok(found) => assert_eq!(found.as_ref(), Some(value), "{what}: a wrong value of {key:?}"),
            Err(_) => damaged = true,
        }
    }
    let report = kv.verify();
    assert!(!damaged || report.damages > 0, "{what}: a check of everything finds nothing");
    if damaged { tally.found += 1 } else { tally.harmless += 1 }
}

#[tokio::test]
async fn flipped_bits_are_never_served() {
    let dir = tempfile::tempdir().unwrap();
    let rows = filled(dir.path()).await;
    trim_journals(dir.path());
    let seeds: Vec<u64> = match std::env::var("MILLPOND_SEED") {
        Ok(seed) => vec![seed.parse().unwrap()],
        Err(_) => (0..std::env::var("MILLPOND_FLIPS").map_or(120, |text| text.parse().unwrap())).collect(),
    };
    let mut tally = Tally::default();
    for seed in &seeds {
        flip(*seed, dir.path(), &rows, &mut tally).await;
    }
    println!("{tally:?}");
    assert!(seeds.len() < 100 || (tally.refused > 0 && tally.found > 0), "{tally:?}");
}

#[tokio::test]
async fn a_check_of_a_closed_store() {
    let dir = tempfile::tempdir().unwrap();
    let rows = filled(dir.path()).await;
    let report = FjallKv::fsck(dir.path(), config()).unwrap();
    assert!(report.damages == 0 && report.rows >= rows.len() as u64, "{report:?}");

    let journal = files(dir.path()).into_iter().find(|file| file.extension().is_some_and(|ext| ext == "jnl")).unwrap();
    let open = RealDisk.open(&journal, OpenMode::Write).unwrap();
    let mut byte = [0];
    open.read_at(&mut byte, 100).unwrap();
    open.write_all_at(&[!byte[0]], 100).unwrap();
    let report = FjallKv::fsck(dir.path(), config()).unwrap();
    assert_eq!((report.damages, report.listed[0].part), (1, "journal"));
}
