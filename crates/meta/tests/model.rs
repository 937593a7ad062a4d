//! Random batches and scans: both engines against the model. `MILLPOND_SEED=n` reruns one seed.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::ops::Bound;

use bytes::Bytes;
use millpond_io::{Random, SeededRandom};
use millpond_meta::testing::{Model, Script, random_batch};
use millpond_meta::{Class, FjallConfig, FjallKv, Kv, MemoryKv, Scan};

const SCRIPT: Script = Script { tables: 4, rows: 40, value_bytes: 900 };

fn seeds(count: u64) -> Vec<u64> {
    match std::env::var("MILLPOND_SEED") {
        Ok(seed) => vec![seed.parse().unwrap()],
        Err(_) => (1..=count).collect(),
    }
}

fn classify(table: u8) -> Class {
    match table {
        2 => Class::Large,
        3 => Class::Log,
        _ => Class::Rows,
    }
}

fn random_scan(random: &dyn Random, model: &Model) -> Scan {
    let keys: Vec<&Bytes> = model.rows.keys().collect();
    let bound = || {
        let key = match (random.u64() % 4, keys.len()) {
            (0, _) | (_, 0) => Bytes::from(vec![(random.u64() % 6) as u8, (random.u64() % 40) as u8]),
            (_, count) => keys[(random.u64() % count as u64) as usize].clone(),
        };
        match random.u64() % 5 {
            0 => Bound::Unbounded,
            1 | 2 => Bound::Excluded(key),
            _ => Bound::Included(key),
        }
    };
    let limit = [1, 2, 7, 1000][(random.u64() % 4) as usize];
    Scan { from: bound(), to: bound(), reverse: random.u64().is_multiple_of(2), limit }
}

/// Steps of one seed; `between` may replace the engine by one that was opened anew.
async fn run<K: Kv>(seed: u64, steps: u32, mut kv: K, mut between: impl FnMut(K, u64) -> K) {
    println!("seed {seed}");
    let random = SeededRandom::new(seed);
    let mut model = Model::default();
    let mut committed = 0;
    for step in 0..steps {
        let batch = random_batch(&random, SCRIPT, &model);
        let answer = kv.commit(batch.clone()).await.map(|committed| committed.commit);
        committed += u32::from(answer.is_ok());
        assert!(model.agrees(&batch, &answer), "seed {seed}, step {step}: {batch:?} gave {answer:?}");
        let scan = random_scan(&random, &model);
        assert_eq!(kv.scan(scan.clone()).await.unwrap(), model.scan(&scan), "seed {seed}, step {step}: {scan:?}");
        if let Some((key, value)) = model.rows.iter().nth((random.u64() % 50) as usize) {
            assert_eq!(kv.get(key).await.unwrap().as_ref(), Some(value), "seed {seed}, step {step}");
        }
        kv = between(kv, random.u64());
    }
    let all = Scan { from: Bound::Unbounded, to: Bound::Unbounded, reverse: false, limit: usize::MAX };
    assert_eq!(kv.scan(all.clone()).await.unwrap(), model.scan(&all), "seed {seed}");
    assert!(committed > steps / 3, "seed {seed}: hardly anything was committed");
}

#[tokio::test]
async fn memory() {
    for seed in seeds(40) {
        run(seed, 300, MemoryKv::new(), |kv, _| kv).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fjall() {
    for seed in seeds(6) {
        let dir = tempfile::tempdir().unwrap();
        let open = || FjallKv::open(dir.path(), FjallConfig::new(classify)).unwrap();
        run(seed, 300, open(), |kv, chance| match chance % 40 {
            0 => {
                drop(kv);
                open()
            }
            1 => {
                kv.write_out().unwrap();
                kv
            }
            _ => kv,
        })
        .await;
    }
}
