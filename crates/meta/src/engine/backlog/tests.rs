//! A store whose tables cannot be merged, made by real damage, and one that has no room to merge in.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use fjall::AbstractTree;
use millpond_io::faulty::FaultyDisk;
use millpond_io::{Disk, OpenMode, RealDisk};

use super::super::{Class, FjallConfig, FjallKv};
use super::{MAX_TABLES, MAX_TABLES_URGENT, Merging};
use crate::api::{Batch, CommitError, Kv, Op};

/// Nobody waits for longer than this: a hung commit is a failure.
const AT_MOST: Duration = Duration::from_secs(120);

fn open(dir: &Path) -> FjallKv {
    FjallKv::open(dir, FjallConfig { reserve: 0, ..FjallConfig::new(|_| Class::Rows) }).unwrap()
}

fn put(n: u64) -> Batch {
    let op = Op::Put([&[1], &n.to_be_bytes()[..]].concat().into(), Bytes::from(vec![n as u8; 600]));
    Batch { ops: vec![op], ..Batch::default() }
}

async fn commit(kv: &FjallKv, batch: Batch) -> Result<u64, CommitError> {
    let committed = tokio::time::timeout(AT_MOST, kv.commit(batch)).await;
    committed.expect("the commit hangs").map(|committed| committed.commit)
}

/// Writes memory out as a table.
fn table(kv: &FjallKv) {
    let space = kv.inner.shared.spaces.space(Class::Rows);
    space.rotate_memtable().unwrap();
    let began = Instant::now();
    while space.tree.sealed_memtable_count() > 0 {
        assert!(began.elapsed() < AT_MOST, "memory is not written out");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Adds tables until commits are refused.
async fn until_refused(kv: &FjallKv, urgent: bool) -> CommitError {
    for n in 0..1000 {
        if let Err(error) = commit(kv, Batch { urgent, ..put(n) }).await {
            return error;
        }
        table(kv);
        // Merging has to come to its word.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("no commit was refused");
}

fn files(dir: &Path, found: &mut Vec<PathBuf>) {
    for name in RealDisk.list(dir).unwrap() {
        let path = dir.join(name);
        if path.is_dir() {
            files(&path, found);
        } else if dir.ends_with("tables") {
            found.push(path);
        }
    }
}

/// Flips bits in the data of the newest table that has rows of ours, or flips them back.
fn flip(path: &Path) {
    let file = RealDisk.open(path, OpenMode::Write).unwrap();
    for at in 100..200 {
        let mut byte = [0];
        file.read_at(&mut byte, at).unwrap();
        file.write_all_at(&[byte[0] ^ 0x55], at).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_that_cannot_be_merged_end_in_a_refusal_and_then_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let kv = open(dir.path());
    for n in 0..20 {
        commit(&kv, put(n)).await.unwrap();
    }
    table(&kv);
    let mut tables = Vec::new();
    files(&dir.path().join("fjall"), &mut tables);
    let damaged =
        tables.into_iter().max_by_key(|path| RealDisk.open(path, OpenMode::Read).unwrap().len().unwrap()).unwrap();
    flip(&damaged);

    match until_refused(&kv, false).await {
        CommitError::Stopped(why) => assert!(why.contains("merge") && why.contains("millpond fsck"), "{why}"),
        other => panic!("{other}"),
    }
    let urgent = commit(&kv, Batch { urgent: true, ..put(1) }).await;
    assert!(matches!(urgent, Err(CommitError::Stopped(_))), "{urgent:?}");
    let state = kv.state();
    assert!(state.merges_failed > 0 && state.first_level_tables >= MAX_TABLES as u64, "{state:?}");
    assert!(state.stopped.is_some() && kv.stopped() == state.stopped, "{state:?}");

    // It is tried again: with the table as it was, commits go on.
    flip(&damaged);
    let began = Instant::now();
    while let Err(error) = commit(&kv, put(1)).await {
        assert!(began.elapsed() < AT_MOST, "{error}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let state = kv.state();
    assert!(state.merges > 0 && state.stopped.is_none(), "{state:?}");
    drop(kv);
    assert_eq!(open(dir.path()).verify().damages, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commits_wait_for_merges_that_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let kv = open(dir.path());
    // Far more tables than the limit.
    for n in 0..4 * MAX_TABLES as u64 {
        commit(&kv, put(n)).await.unwrap();
        table(&kv);
    }
    assert_eq!(kv.state().merges_failed, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_room_to_merge_in_ordinary_batches_are_refused_before_urgent_ones() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(FaultyDisk::new(RealDisk));
    let config = FjallConfig { reserve: 0, disk: disk.clone(), ..FjallConfig::new(|_| Class::Rows) };
    let kv = FjallKv::open(dir.path(), config).unwrap();
    commit(&kv, put(0)).await.unwrap();
    disk.faults().set_full(true);
    for (urgent, limit) in [(false, MAX_TABLES), (true, MAX_TABLES_URGENT)] {
        let refused = until_refused(&kv, urgent).await;
        assert!(matches!(refused, CommitError::Full), "{refused}");
        let state = kv.state();
        assert!(state.first_level_tables as usize >= limit && state.stopped.is_none(), "{state:?}");
    }
    disk.faults().set_full(false);
    let began = Instant::now();
    while let Err(error) = commit(&kv, put(1)).await {
        assert!(matches!(error, CommitError::Full) && began.elapsed() < AT_MOST, "{error}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[test]
fn a_panic_is_a_failed_merge() {
    use super::super::upkeep::attempt;
    assert_eq!(attempt(|| Ok(())), Ok(()));
    assert_eq!(attempt(|| Err("no".into())), Err("no".to_owned()));
    assert!(attempt(|| panic!("as the engine does")).is_err());
}

#[test]
fn merging_is_told_by_keyspace() {
    let backlog = super::Backlog::default();
    for merging in [Merging::NoRoom, Merging::Fails, Merging::Works] {
        backlog.set_merging(Class::Large, merging);
        assert_eq!((backlog.merging(Class::Large), backlog.merging(Class::Rows)), (merging, Merging::Works));
    }
}
