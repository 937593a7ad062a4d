//! The engines under the contract suite.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use millpond_meta::testing::contract;
use millpond_meta::{Class, FjallConfig, FjallKv, MemoryKv, SyncMode};

fn classify(table: u8) -> Class {
    match table {
        2 => Class::Large,
        3 => Class::Log,
        _ => Class::Rows,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory() {
    contract(|| (MemoryKv::new(), ())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_that_syncs_later() {
    contract(|| (MemoryKv::with_mode(SyncMode::NextPoll), ())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fjall() {
    contract(|| {
        let dir = tempfile::tempdir().unwrap();
        (FjallKv::open(dir.path(), FjallConfig::new(classify)).unwrap(), dir)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fjall_with_all_rows_large() {
    contract(|| {
        let dir = tempfile::tempdir().unwrap();
        (FjallKv::open(dir.path(), FjallConfig::new(|_| Class::Large)).unwrap(), dir)
    })
    .await;
}
