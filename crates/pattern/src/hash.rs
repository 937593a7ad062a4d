//! A hash for tables of patterns' values. Its seed is drawn for each table, so that nobody can write patterns that all fall into one place.

use std::hash::{BuildHasher, Hasher, RandomState};

/// Odd, and without a pattern in its bits (the golden ratio, and the fraction of pi).
const MULTIPLIERS: (u64, u64) = (0x9e37_79b9_7f4a_7c15, 0x243f_6a88_85a3_08d3);

/// A seed that nobody knows.
pub(crate) fn seed() -> u64 {
    RandomState::new().hash_one(0_u8)
}

/// Of bytes and what kind of value they are.
pub(crate) fn hash(seed: u64, tag: u8, bytes: &[u8]) -> u64 {
    let mut state = seed ^ (bytes.len() as u64) << 8 ^ u64::from(tag);
    let (chunks, rest) = bytes.as_chunks::<8>();
    for chunk in chunks {
        state = mixed(state ^ u64::from_le_bytes(*chunk));
    }
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    mixed(mixed(state ^ u64::from_le_bytes(last)) ^ MULTIPLIERS.1)
}

/// Both halves of a product, folded into one.
fn mixed(value: u64) -> u64 {
    let product = u128::from(value) * u128::from(MULTIPLIERS.0);
    #[allow(clippy::cast_possible_truncation, reason = "the lower half is meant")]
    let low = product as u64;
    low ^ (product >> 64) as u64
}

/// The same for the maps that a set is built with.
#[derive(Clone)]
pub(crate) struct Seeded(u64);

impl Default for Seeded {
    fn default() -> Self {
        Self(seed())
    }
}

impl BuildHasher for Seeded {
    type Hasher = State;

    fn build_hasher(&self) -> State {
        State(self.0)
    }
}

pub(crate) struct State(u64);

impl Hasher for State {
    fn finish(&self) -> u64 {
        mixed(self.0 ^ MULTIPLIERS.1)
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = hash(self.0, 0, bytes);
    }

    fn write_u32(&mut self, value: u32) {
        self.0 = mixed(self.0 ^ u64::from(value) ^ 1 << 32);
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = mixed(self.0.rotate_left(7) ^ value);
    }

    fn write_usize(&mut self, value: usize) {
        self.write_u64(value as u64);
    }
}
