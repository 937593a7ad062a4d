//! The lake against the reference model: random operations, no divergence.
//!
//! Reruns one seed with `MILLPOND_SEED=n cargo test -p millpond-testkit --test lake_model`.

// A test that meets what it does not expect ends there, in its helpers as well.
#![allow(clippy::unwrap_used)]

mod driver;
mod ops;
mod verify;

use driver::Driver;
use millpond_testkit::lab::{self, Lab};

const SEEDS: u64 = 16;
const STEPS: usize = 400;

fn seeds(default: u64) -> Vec<u64> {
    match std::env::var("MILLPOND_SEED").ok().and_then(|seed| seed.parse().ok()) {
        Some(seed) => vec![seed],
        None => (0..default).collect(),
    }
}

/// Objects that are not encrypted, that all are, or both.
fn locked(mut lab: Lab, seed: u64) -> Lab {
    lab.locks = match seed % 4 {
        0 => vec![None],
        1 => vec![None].into_iter().chain(lab::locks()).collect(),
        _ => lab::locks(),
    };
    lab
}

#[tokio::test]
async fn in_memory() {
    for seed in seeds(SEEDS) {
        println!("seed {seed}");
        let lab = locked(lab::memory(seed).await.unwrap(), seed);
        Driver::new(lab, seed).await.run(STEPS).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_the_embedded_engine_and_a_real_disk() {
    for seed in seeds(2) {
        println!("seed {seed}");
        let dir = tempfile::tempdir().unwrap();
        let lab = locked(lab::real(dir.path(), seed + 1).await.unwrap(), seed + 1);
        Driver::new(lab, seed).await.run(STEPS / 2).await;
    }
}
