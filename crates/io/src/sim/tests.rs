use std::collections::HashSet;

use super::*;
use crate::Random;

const DATA: SyncPoint = SyncPoint("data");
const DIR: SyncPoint = SyncPoint("dir");

fn fresh(name: &str) -> (SimDisk, PathBuf, Arc<dyn File>) {
    let disk = SimDisk::new();
    disk.create_dir_all(Path::new("/d")).unwrap();
    let path = Path::new("/d").join(name);
    let file = disk.open(&path, OpenMode::CreateNew).unwrap();
    disk.sync_dir(Path::new("/d"), DIR).unwrap();
    (disk, path, file)
}

fn bytes(disk: &SimDisk, path: &Path) -> Option<Vec<u8>> {
    let file = disk.open(path, OpenMode::Read).ok()?;
    let mut all = Vec::new();
    file.read_append(&mut all, file.len().unwrap() as usize, 0).unwrap();
    Some(all)
}

#[test]
fn synced_bytes_survive_every_image_and_unsynced_ones_some() {
    let (disk, path, file) = fresh("f");
    file.write_all_at(&[1; 2000], 0).unwrap();
    file.sync_data(DATA).unwrap();
    file.write_all_at(&[2; 2000], 2000).unwrap();
    file.write_all_at(&[3; 2000], 4000).unwrap();
    let mut seen = HashSet::new();
    for seed in 0..300 {
        let image = bytes(&disk.crash_image(seed), &path).unwrap();
        assert_eq!(image, bytes(&disk.crash_image(seed), &path).unwrap(), "seed {seed} repeats");
        assert_eq!(image[..2000], [1; 2000], "seed {seed}");
        for (at, byte) in image.iter().enumerate().skip(2000) {
            let written = if at < 4000 { 2 } else { 3 };
            assert!([0, written].contains(byte), "seed {seed}");
        }
        let has = |from: usize, value: u8| image.get(from..from + 2000).is_some_and(|s| s.iter().all(|b| *b == value));
        seen.insert((has(2000, 2), has(4000, 3), image.contains(&2), image.contains(&3)));
    }
    assert!(seen.contains(&(true, true, true, true)), "all survive");
    assert!(seen.contains(&(false, false, false, false)), "none survives");
    assert!(seen.contains(&(false, true, false, true)), "the later without the earlier");
    assert!(seen.iter().any(|(whole, _, some, _)| !whole && *some), "torn");
    assert_eq!(bytes(&disk.copy(), &path).unwrap().len(), 6000, "kill -9 loses nothing");
}

#[test]
fn names_survive_as_a_prefix_until_the_directory_is_synced() {
    let (disk, path, _) = fresh("a");
    let at = |name: &str| path.with_file_name(name);
    disk.open(&at("b"), OpenMode::CreateNew).unwrap();
    disk.rename(&at("b"), &at("c")).unwrap();
    disk.remove(&path).unwrap();
    let names = |disk: &SimDisk| disk.list(Path::new("/d")).unwrap().concat();
    let seen: BTreeSet<String> = (0..200).map(|seed| names(&disk.crash_image(seed))).collect();
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), ["a", "ab", "ac", "c"]);
    disk.sync_dir(Path::new("/d"), DIR).unwrap();
    assert!((0..50).all(|seed| names(&disk.crash_image(seed)) == "c"));
    assert!(disk.rename(&at("c"), Path::new("/e/c")).is_err());
}

#[test]
fn a_failed_sync_never_becomes_durable_by_a_later_one() {
    let (disk, path, file) = fresh("f");
    let other = disk.open(&path, OpenMode::Write).unwrap();
    file.write_all_at(b"lost", 0).unwrap();
    disk.fail_nth(1, Fault::Eio);
    assert!(file.sync_data(DATA).is_err());
    assert!(other.sync_data(DATA).is_err(), "each open file is told once");
    file.sync_data(DATA).unwrap();
    assert!((0..50).any(|seed| bytes(&disk.crash_image(seed), &path).unwrap() != b"lost"));
    assert_eq!(bytes(&disk, &path).unwrap(), b"lost", "though still in the cache");
}

#[test]
fn switched_off_syncs_do_nothing_but_count() {
    let (disk, path, file) = fresh("f");
    disk.ignore_sync("data");
    file.write_all_at(b"x", 0).unwrap();
    file.sync_data(DATA).unwrap();
    assert!((0..50).any(|seed| bytes(&disk.crash_image(seed), &path).unwrap() != b"x"));
    assert_eq!(disk.syncs(), BTreeMap::from([("data", 1), ("dir", 1)]));
}

#[test]
fn chosen_calls_fail_and_a_full_disk_still_overwrites_and_removes() {
    let (disk, path, file) = fresh("f");
    file.write_all_at(&[7; 4096], 0).unwrap();
    disk.fail_nth(2, Fault::Enospc);
    file.write_all_at(&[8; 100], 0).unwrap();
    assert!(file.write_all_at(&[9; 100], 4096).unwrap_err().is_full());
    assert_eq!(file.len().unwrap(), 4096 + 50, "half of a failed write is there");
    file.write_all_at(&[9; 100], 4096).unwrap();

    disk.set_full(true);
    file.write_all_at(&[1; 4096], 0).unwrap();
    assert!(file.write_all_at(&[1; 4096], 1 << 20).unwrap_err().is_full());
    assert!(disk.open(&path.with_file_name("g"), OpenMode::CreateNew).is_err());
    file.sync_data(DATA).unwrap();
    disk.remove(&path).unwrap();
    disk.set_full(false);

    disk.set_capacity(8192);
    let file = disk.open(&path, OpenMode::CreateNew).unwrap();
    file.write_all_at(&[1; 8192], 0).unwrap();
    assert_eq!(disk.space(&path).unwrap(), (0, 8192));
    assert!(file.write_all_at(&[1], 8192).unwrap_err().is_full());
    assert!(disk.log().iter().any(|line| line.contains("unlink /d/f")));
}

#[test]
fn snapshots_are_taken_before_the_call_they_name() {
    let (disk, path, file) = fresh("f");
    let before = disk.calls();
    disk.snapshot_at(before + 2);
    file.write_all_at(b"1", 0).unwrap();
    file.write_all_at(b"2", 1).unwrap();
    let snapshots = disk.snapshots();
    assert_eq!(snapshots.len(), 1);
    assert_eq!((snapshots[0].0, bytes(&snapshots[0].1, &path).unwrap()), (before + 2, b"1".to_vec()));
    disk.flip_bit(&path, 0, 0).unwrap();
    assert_eq!(bytes(&disk, &path).unwrap(), b"02");
}

/// The file agrees with a plain vector under random changes, and after a sync so does every image.
#[test]
fn content_agrees_with_a_vector() {
    for seed in 0..40 {
        let random = SeededRandom::new(seed);
        let (disk, path, file) = fresh("f");
        let mut model: Vec<u8> = Vec::new();
        for _ in 0..60 {
            let (offset, len) = (random.below(20_000), random.below(9000) + 1);
            let end = (offset + len) as usize;
            match random.below(5) {
                0 => {
                    file.set_len(offset).unwrap();
                    model.resize(offset as usize, 0);
                }
                1 => {
                    file.punch(offset, len).unwrap();
                    let (from, to) = ((offset as usize).min(model.len()), end.min(model.len()));
                    model[from..to].fill(0);
                }
                2 => {
                    file.allocate(offset, len).unwrap();
                    model.resize(model.len().max(end), 0);
                }
                _ => {
                    let mut data = vec![0; len as usize];
                    random.fill(&mut data);
                    file.write_all_at(&data, offset).unwrap();
                    model.resize(model.len().max(end), 0);
                    model[offset as usize..end].copy_from_slice(&data);
                }
            }
            assert_eq!(bytes(&disk, &path).unwrap(), model, "seed {seed}");
        }
        file.sync_data(DATA).unwrap();
        assert_eq!(bytes(&disk.crash_image(seed), &path).unwrap(), model, "seed {seed}");
    }
}
