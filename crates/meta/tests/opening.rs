//! What opening refuses, and what it settles.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod disk;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use millpond_io::{Disk, OpenMode, RealDisk};
use millpond_meta::{Batch, Class, FjallConfig, FjallKv, Kv, Op, OpenError, View};

use disk::Tight;

fn config() -> FjallConfig {
    FjallConfig { reserve: 0, ..FjallConfig::new(|_| Class::Rows) }
}

fn open(dir: &Path) -> Result<FjallKv, OpenError> {
    FjallKv::open(dir, config())
}

fn put(n: u64) -> Batch {
    Batch {
        ops: vec![Op::Put([&[1], &n.to_be_bytes()[..]].concat().into(), Bytes::from(vec![7; 300]))],
        ..Batch::default()
    }
}

async fn commits(kv: &FjallKv, count: u64) -> u64 {
    let mut last = 0;
    for n in 0..count {
        last = kv.commit(put(n)).await.unwrap().commit;
    }
    last
}

fn journal(dir: &Path) -> std::path::PathBuf {
    let names = RealDisk.list(&dir.join("fjall")).unwrap();
    let name = names.iter().filter(|name| name.ends_with(".jnl")).max_by_key(|name| name.len()).unwrap();
    dir.join("fjall").join(name)
}

/// Where the data of a journal ends.
fn end(path: &Path) -> usize {
    let mut bytes = vec![0; 1 << 20];
    let got = RealDisk.open(path, OpenMode::Read).unwrap().read_at(&mut bytes, 0).unwrap();
    bytes[..got].iter().rposition(|byte| *byte != 0).unwrap() + 1
}

#[tokio::test]
async fn one_opening_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let kv = open(dir.path()).unwrap();
    assert!(matches!(open(dir.path()), Err(OpenError::Locked(_))));
    let clone = kv.clone();
    drop(kv);
    assert!(matches!(open(dir.path()), Err(OpenError::Locked(_))));
    drop(clone);
    open(dir.path()).unwrap();
}

#[tokio::test]
async fn commit_numbers_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let mut last = 0;
    for _ in 0..3 {
        let kv = open(dir.path()).unwrap();
        assert_eq!(*kv.watch().borrow(), last);
        last = commits(&kv, 5).await;
    }
    assert_eq!(last, 15);
}

#[tokio::test]
async fn commits_begun_are_finished_by_closing() {
    let dir = tempfile::tempdir().unwrap();
    let kv = open(dir.path()).unwrap();
    let waiting: Vec<_> = (0..500).map(|n| kv.commit(put(n))).collect();
    drop(kv);
    for commit in waiting {
        commit.await.unwrap();
    }
    let kv = open(dir.path()).unwrap();
    for n in 0..500_u64 {
        assert!(kv.get(&[&[1], &n.to_be_bytes()[..]].concat()).await.unwrap().is_some(), "{n}");
    }
}

#[tokio::test]
async fn lost_commits_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(commits(&open(dir.path()).unwrap(), 20).await, 20);
    // The last commit is gone as if it had never reached the disk.
    let path = journal(dir.path());
    RealDisk.open(&path, OpenMode::Write).unwrap().set_len(end(&path) as u64 - 10).unwrap();
    for _ in 0..2 {
        match open(dir.path()) {
            Err(OpenError::LostCommits { found: 19, expected: 20 }) => {}
            other => panic!("{:?}", other.err()),
        }
    }
    drop(FjallKv::open(dir.path(), FjallConfig { accept_loss: true, ..config() }).unwrap());
    // Accepted once is accepted.
    let accepted = FjallKv::open(dir.path(), config()).unwrap();
    assert_eq!(accepted.get(&[&[1], &18_u64.to_be_bytes()[..]].concat()).await.unwrap().unwrap().len(), 300);
    assert_eq!(accepted.get(&[&[1], &19_u64.to_be_bytes()[..]].concat()).await.unwrap(), None);
    assert_eq!(commits(&accepted, 1).await, 21, "no number is given out twice");
    drop(accepted);
    open(dir.path()).unwrap();
}

#[tokio::test]
async fn a_whole_database_that_is_gone_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    commits(&open(dir.path()).unwrap(), 3).await;
    std::fs::remove_dir_all(dir.path().join("fjall")).unwrap();
    assert!(matches!(open(dir.path()), Err(OpenError::LostCommits { found: 0, expected: 3 })));
}

#[tokio::test]
async fn an_unacknowledged_end_is_cut_off() {
    let dir = tempfile::tempdir().unwrap();
    commits(&open(dir.path()).unwrap(), 20).await;
    let path = journal(dir.path());
    let file = RealDisk.open(&path, OpenMode::Write).unwrap();
    let end = end(&path);
    let mut group = vec![0; 200];
    file.read_at(&mut group, 0).unwrap();
    // The beginning of another group, as a crash leaves it; and one whose middle is missing, as a power cut may.
    for torn in [&group[..150], &[&group[..40], &[0; 60], &group[100..]].concat()[..]] {
        file.write_all_at(torn, end as u64).unwrap();
        let kv = open(dir.path()).unwrap();
        assert_eq!(*kv.watch().borrow(), 20);
        drop(kv);
    }
}

#[tokio::test]
async fn a_damaged_journal_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    commits(&open(dir.path()).unwrap(), 20).await;
    let path = journal(dir.path());
    let file = RealDisk.open(&path, OpenMode::Write).unwrap();
    let (at, len) = (end(&path) as u64 / 2, file.len().unwrap());
    let mut byte = [0];
    file.read_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 8], at).unwrap();
    for _ in 0..2 {
        assert!(matches!(open(dir.path()), Err(OpenError::DamagedJournal { .. })));
    }
    assert_eq!(file.len().unwrap(), len);
    file.write_all_at(&byte, at).unwrap();
    assert_eq!(*open(dir.path()).unwrap().watch().borrow(), 20);
}

#[tokio::test]
async fn other_formats_and_damaged_files_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    commits(&open(dir.path()).unwrap(), 1).await;
    for name in ["format", "high-water"] {
        let file = RealDisk.open(&dir.path().join(name), OpenMode::Write).unwrap();
        let mut byte = [0];
        file.read_at(&mut byte, 9).unwrap();
        file.write_all_at(&[byte[0] ^ 1], 9).unwrap();
        assert!(matches!(open(dir.path()), Err(OpenError::DamagedFile(found)) if found == name));
        file.write_all_at(&byte, 9).unwrap();
    }
    open(dir.path()).unwrap();
}

#[tokio::test]
async fn an_interrupted_first_start_is_begun_anew() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()).unwrap());
    // As if the power had gone before the format was written, with fjall half made.
    RealDisk.remove(&dir.path().join("format")).unwrap();
    RealDisk.remove(&dir.path().join("fjall/version")).unwrap();
    assert_eq!(commits(&open(dir.path()).unwrap(), 1).await, 1);
}

#[tokio::test]
async fn a_mark_that_cannot_be_written_is_tried_again() {
    let dir = tempfile::tempdir().unwrap();
    let tight = Tight::new();
    let kv = FjallKv::open(dir.path(), FjallConfig { disk: Arc::new(tight.clone()), ..config() }).unwrap();
    tight.set_refused(Some("high-water.new"));
    let last = commits(&kv, 3).await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(commits(&kv, 1).await, last + 1, "commits do not wait for the mark");
    assert!(!RealDisk.exists(&dir.path().join("high-water")).unwrap());
    tight.set_refused(None);
    let began = Instant::now();
    while !RealDisk.exists(&dir.path().join("high-water")).unwrap() {
        assert!(began.elapsed() < Duration::from_secs(30));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn removed_rows_are_cleared_out() {
    let dir = tempfile::tempdir().unwrap();
    let kv = open(dir.path()).unwrap();
    let all = async |op: &dyn Fn(u64) -> Op| {
        let commits: Vec<_> = (0..20_000)
            .step_by(500)
            .map(|from| kv.commit(Batch { ops: (from..from + 500).map(op).collect(), ..Batch::default() }))
            .collect();
        for commit in commits {
            commit.await.unwrap();
        }
    };
    let key = |n: u64| -> Bytes { [&[1], &n.to_be_bytes()[..]].concat().into() };
    all(&|n| Op::Put(key(n), Bytes::from(vec![1; 200]))).await;
    let view = kv.snapshot().await.unwrap();
    all(&|n| if n % 100 == 0 { Op::Put(key(n), Bytes::from_static(b"kept")) } else { Op::Delete(key(n)) }).await;
    let began = Instant::now();
    while kv.state().cleanings == 0 {
        assert!(began.elapsed() < Duration::from_secs(60), "{:?}", kv.state());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // What was removed is still there for those who look at an earlier moment, and only for them.
    let scan = || millpond_meta::Scan {
        from: std::ops::Bound::Unbounded,
        to: std::ops::Bound::Unbounded,
        reverse: false,
        limit: usize::MAX,
    };
    assert_eq!(view.scan(scan()).await.unwrap().len(), 20_000);
    assert_eq!(kv.scan(scan()).await.unwrap().len(), 200);
    drop(view);
    kv.write_out().unwrap();
    assert_eq!(kv.scan(scan()).await.unwrap().len(), 200);
    assert_eq!(kv.verify().damages, 0);
}

#[tokio::test]
async fn memory_is_written_out_in_time() {
    let dir = tempfile::tempdir().unwrap();
    let kv = FjallKv::open(dir.path(), FjallConfig { reserve: 0, ..FjallConfig::new(|_| Class::Large) }).unwrap();
    // Many small groups far above what may collect in memory: fjall's worker must not drown in messages about it.
    for n in 0..1200_u64 {
        let value = Bytes::from(vec![n as u8; 40_000]);
        let op = Op::Put([&[1], &n.to_be_bytes()[..]].concat().into(), value);
        kv.commit(Batch { ops: vec![op], ..Batch::default() }).await.unwrap();
    }
    let began = Instant::now();
    loop {
        let state = kv.state();
        // 48 MB were written, 16 MiB may still be in memory.
        if state.bytes - state.journal_bytes > 25_000_000 {
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "{state:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
