mod crash;
mod damage;
mod faults;
mod moves;
mod space;
mod stores;

use std::path::Path;
use std::sync::Arc;

use millpond_io::SeededRandom;
use millpond_io::sim::SimDisk;

use crate::testing::small_config;
use crate::{BlobConfig, BlobError, Blobs};

const DIR: &str = "/data/blobs";

/// A store on a simulated disk. `seed` must differ between openings of the same disk, as extents are named by it.
fn open(disk: &SimDisk, seed: u64) -> Blobs {
    try_open(disk, seed, small_config()).unwrap()
}

fn try_open(disk: &SimDisk, seed: u64, config: BlobConfig) -> Result<Blobs, BlobError> {
    let random = Arc::new(SeededRandom::new(seed.wrapping_mul(0x9e37_79b9).wrapping_add(77)));
    Blobs::open(Arc::new(disk.clone()), random, Path::new(DIR), config)
}
