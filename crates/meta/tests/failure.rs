//! A journal that cannot be written: nothing more is acknowledged, reads go on, and a restart has all that was.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::process::Command;

use bytes::Bytes;
use millpond_meta::{Batch, Class, CommitError, FjallConfig, FjallKv, Kv, Op, View};

const DIR: &str = "MILLPOND_FAILURE_DIR";
/// Blocks of 512 or 1024 bytes, as the shell counts, that a file of the child may have.
const FILE_BLOCKS: &str = "2048";

fn open(dir: &Path) -> FjallKv {
    FjallKv::open(dir, FjallConfig { reserve: 0, ..FjallConfig::new(|_| Class::Rows) }).unwrap()
}

fn key(n: u64) -> Bytes {
    [&[1], &n.to_be_bytes()[..]].concat().into()
}

fn put(n: u64) -> Batch {
    Batch { ops: vec![Op::Put(key(n), Bytes::from(vec![n as u8; 50_000]))], ..Batch::default() }
}

/// Not a test of its own: the process whose files may not grow.
#[tokio::test]
async fn failing_child() {
    let Some(dir) = std::env::var_os(DIR) else { return };
    let kv = open(Path::new(&dir));
    let mut n = 1;
    let reason = loop {
        match kv.commit(put(n)).await {
            Ok(_) => n += 1,
            Err(CommitError::Stopped(reason)) => break reason,
            Err(error) => panic!("{error}"),
        }
        assert!(n < 1000, "no write failed");
    };
    assert_eq!(kv.state().stopped, Some(reason));
    for _ in 0..3 {
        assert!(matches!(kv.commit(put(n + 1)).await, Err(CommitError::Stopped(_))));
    }
    for acknowledged in 0..n {
        assert_eq!(kv.get(&key(acknowledged)).await.unwrap().unwrap()[0], acknowledged as u8);
    }
    assert_eq!(kv.get(&key(n)).await.unwrap(), None, "what was not made durable is not shown");
    println!("\nacknowledged {n}");
}

#[tokio::test]
async fn a_failed_write_stops_the_store() {
    let dir = tempfile::tempdir().unwrap();
    open(dir.path()).commit(put(0)).await.unwrap();
    let child = format!("ulimit -f {FILE_BLOCKS}; trap '' XFSZ; exec \"$0\" failing_child --exact --nocapture");
    let output = Command::new("sh")
        .args(["-c", &child])
        .arg(std::env::current_exe().unwrap())
        .env(DIR, dir.path())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let acknowledged: u64 = text.lines().find_map(|line| line.strip_prefix("acknowledged ")).unwrap().parse().unwrap();
    assert!(acknowledged > 1, "some commits came before");

    let kv = open(dir.path());
    for n in 0..acknowledged {
        assert_eq!(kv.get(&key(n)).await.unwrap().unwrap().len(), 50_000, "{n}");
    }
    kv.commit(put(acknowledged + 5)).await.unwrap();
    assert_eq!(kv.verify().damages, 0);
}
