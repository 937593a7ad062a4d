//! Checks and walks that are given up.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::cell::Cell;
use std::ops::Bound;
use std::path::Path;

use bytes::Bytes;
use millpond_meta::{Batch, Class, FjallConfig, FjallKv, Kv, Op, Scan, View};

const ROWS: u64 = 100;

async fn filled(dir: &Path) -> FjallKv {
    let kv = FjallKv::open(dir, FjallConfig { reserve: 0, ..FjallConfig::new(|_| Class::Rows) }).unwrap();
    let row = |n: u64| Op::Put([&[1], &n.to_be_bytes()[..]].concat().into(), Bytes::from_static(b"row"));
    kv.commit(Batch { ops: (0..ROWS).map(row).collect(), ..Batch::default() }).await.unwrap();
    kv
}

#[tokio::test]
async fn a_check_asks_before_every_row_whether_to_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let kv = filled(dir.path()).await;
    let asked = Cell::new(0);
    let all = kv.verify_while(&|| {
        asked.set(asked.get() + 1);
        true
    });
    assert_eq!(all, Some(kv.verify()));
    assert!(asked.get() > ROWS, "the rows, and that of the commit number");
    for last in [1, 2, ROWS] {
        asked.set(0);
        let given_up = kv.verify_while(&|| {
            asked.set(asked.get() + 1);
            asked.get() < last
        });
        assert_eq!((given_up, asked.get()), (None, last));
    }
}

/// On a runtime of one thread, which a walk that never waits would keep for itself.
#[tokio::test(flavor = "current_thread")]
async fn a_walk_without_an_end_lets_others_have_their_turn() {
    let dir = tempfile::tempdir().unwrap();
    let kv = filled(dir.path()).await;
    let view = kv.snapshot().await.unwrap();
    let scan = || Scan { from: Bound::Unbounded, to: Bound::Unbounded, reverse: false, limit: 3 };
    let walks = [
        tokio::spawn({
            let kv = kv.clone();
            async move { while kv.scan(scan()).await.is_ok() {} }
        }),
        tokio::spawn({
            let kv = kv.clone();
            async move { while kv.get(b"\x01").await.is_ok() {} }
        }),
        tokio::spawn(async move { while view.scan(scan()).await.is_ok() && view.get(b"\x01").await.is_ok() {} }),
    ];
    for walk in walks {
        tokio::task::yield_now().await;
        walk.abort();
        assert!(walk.await.unwrap_err().is_cancelled());
    }
}
