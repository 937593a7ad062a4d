//! A disk without room: refusals instead of failed writes, and room for what frees room.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod disk;

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use millpond_io::{Disk, OpenMode, RealDisk};
use millpond_meta::{Batch, Class, CommitError, Committed, FjallConfig, FjallKv, Kv, Op, View};

use disk::Tight;

fn open(dir: &Path, tight: &Tight, reserve: u64) -> FjallKv {
    let config = FjallConfig { disk: Arc::new(tight.clone()), reserve, ..FjallConfig::new(|_| Class::Rows) };
    FjallKv::open(dir, config).unwrap()
}

fn key(n: u64) -> Bytes {
    [&[1], &n.to_be_bytes()[..]].concat().into()
}

fn put(n: u64) -> Batch {
    Batch { ops: vec![Op::Put(key(n), Bytes::from(vec![7; 300]))], ..Batch::default() }
}

fn full(answer: Result<Committed, CommitError>) -> bool {
    match answer {
        Ok(_) => false,
        Err(CommitError::Full) => true,
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn a_full_disk_takes_what_is_urgent() {
    const RESERVE: u64 = 1 << 20;
    let dir = tempfile::tempdir().unwrap();
    let tight = Tight::new();
    let kv = open(dir.path(), &tight, RESERVE);
    let ballast = dir.path().join("ballast");
    assert_eq!(RealDisk.open(&ballast, OpenMode::Read).unwrap().len().unwrap(), RESERVE);
    let urgent = |n| Batch { urgent: true, ..put(n) };

    // Free space, whether an ordinary batch and an urgent one are taken, and whether the ballast is there afterwards.
    for (now, ordinary, is_urgent, held) in [
        (RESERVE, true, true, true),
        (RESERVE - 1, false, true, true),
        (RESERVE / 4, false, true, true),
        (10, false, true, false),
        // Others took what the ballast had held.
        (RESERVE / 4 - 1, false, false, false),
        (RESERVE / 4, false, true, false),
        // What the ballast had held is for what is urgent only.
        (RESERVE * 2 - 1, false, true, false),
        (RESERVE * 2, true, true, false),
        (RESERVE * 3, true, true, true),
    ] {
        tight.set_free(now);
        for (batch, taken) in [(put(1), ordinary), (urgent(2), is_urgent)] {
            match kv.commit(batch).await {
                Ok(_) => assert!(taken, "{now} free"),
                Err(CommitError::Full) => assert!(!taken, "{now} free"),
                Err(error) => panic!("{now} free: {error}"),
            }
        }
        assert_eq!(RealDisk.exists(&ballast).unwrap(), held, "{now} free");
    }
    let state = kv.state();
    assert!(state.full > 0 && !state.low_space && state.stopped.is_none(), "{state:?}");
}

#[tokio::test]
async fn what_the_ballast_held_is_for_what_is_urgent() {
    const RESERVE: u64 = 1 << 20;
    let dir = tempfile::tempdir().unwrap();
    let tight = Tight::new();
    let kv = open(dir.path(), &tight, RESERVE);
    tight.set_free(10);
    assert!(!full(kv.commit(Batch { urgent: true, ..put(1) }).await));
    assert!(!RealDisk.exists(&dir.path().join("ballast")).unwrap());
    assert!(tight.space(dir.path()).unwrap().0 > RESERVE, "giving it up made room");
    for n in 2..5 {
        assert!(full(kv.commit(put(n)).await), "ordinary batches do not get it");
        assert!(!full(kv.commit(Batch { urgent: true, ..put(n) }).await));
    }
}

#[tokio::test]
async fn a_journal_without_room_is_a_refusal() {
    let dir = tempfile::tempdir().unwrap();
    let tight = Tight::new();
    let kv = open(dir.path(), &tight, 0);
    let big = |n: u64| Batch {
        ops: (0..16).map(|row| Op::Put(key(n * 100 + row), vec![n as u8; 60_000].into())).collect(),
        idem: Some(u128::from(n)),
        ..Batch::default()
    };
    let last = kv.commit(big(0)).await.unwrap().commit;
    // Others fill the disk, and there seems to be room all the same.
    tight.set_refused(Some(".jnl"));
    let mut n = 1;
    while !full(kv.commit(big(n)).await) {
        n += 1;
        assert!(n < 100, "nothing was refused");
    }
    assert!(n > 1, "what was taken before is used");
    assert!(full(kv.commit(big(n)).await) && full(kv.commit(Batch { urgent: true, ..big(n) }).await));
    assert_eq!(kv.get(&key(n * 100)).await.unwrap(), None);
    assert_eq!(kv.outcome(u128::from(n)).await.unwrap(), None, "a refused commit has no name");
    let state = kv.state();
    assert!(state.full >= 3 && state.stopped.is_none(), "{state:?}");

    tight.set_refused(None);
    assert_eq!(kv.commit(big(n)).await.unwrap().commit, last + n, "refused commits have no numbers");
    drop(kv);
    let kv = open(dir.path(), &tight, 0);
    for m in 0..=n {
        assert_eq!(kv.get(&key(m * 100 + 15)).await.unwrap().unwrap()[0], m as u8);
    }
    kv.commit(put(1)).await.unwrap();
    assert_eq!(kv.verify().damages, 0);
}

#[tokio::test]
async fn deletes_get_the_ballast_when_the_journal_has_no_room() {
    const RESERVE: u64 = 1 << 20;
    let dir = tempfile::tempdir().unwrap();
    let tight = Tight::new();
    let kv = open(dir.path(), &tight, RESERVE);
    tight.set_refused(Some(".jnl"));
    assert!(full(kv.commit(put(1)).await));
    assert!(RealDisk.exists(&dir.path().join("ballast")).unwrap());
    assert!(!full(kv.commit(Batch { urgent: true, ..put(2) }).await));
    assert!(!RealDisk.exists(&dir.path().join("ballast")).unwrap());
}
