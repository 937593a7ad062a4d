//! Random numbers.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};

/// Gives random bytes.
pub trait Random: Send + Sync + 'static {
    /// Fills `bytes`.
    fn fill(&self, bytes: &mut [u8]);

    /// 64 random bits.
    fn u64(&self) -> u64 {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    /// 128 random bits.
    fn u128(&self) -> u128 {
        let mut bytes = [0; 16];
        self.fill(&mut bytes);
        u128::from_le_bytes(bytes)
    }
}

/// The operating system's generator (getrandom(2)), fit for secrets. Each thread fetches a few hundred bytes at a time, so that an id costs
/// no system call; bytes that were handed out are wiped from the buffer.
///
/// Without randomness no id is unique and no secret is secret, so the process aborts when the system has none to give.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemRandom;

/// Bytes fetched at once: up to 256 bytes getrandom(2) is atomic and never interrupted.
const BUFFER: usize = 256;

struct Buffer {
    bytes: [u8; BUFFER],
    used: usize,
}

thread_local! {
    static LOCAL: RefCell<Buffer> = const { RefCell::new(Buffer { bytes: [0; BUFFER], used: BUFFER }) };
}

fn fill_from_system(bytes: &mut [u8]) {
    if let Err(error) = getrandom::fill(bytes) {
        tracing::error!(%error, "the operating system gives no random bytes");
        std::process::abort();
    }
}

impl Random for SystemRandom {
    fn fill(&self, bytes: &mut [u8]) {
        if bytes.len() > BUFFER / 4 {
            return fill_from_system(bytes);
        }
        LOCAL.with_borrow_mut(|buffer| {
            if BUFFER - buffer.used < bytes.len() {
                fill_from_system(&mut buffer.bytes);
                buffer.used = 0;
            }
            let from = &mut buffer.bytes[buffer.used..buffer.used + bytes.len()];
            bytes.copy_from_slice(from);
            from.fill(0);
            buffer.used += bytes.len();
        });
    }
}

/// A generator for tests: the same seed gives the same numbers (SplitMix64: Steele, Lea, Flood, "Fast splittable
/// pseudorandom number generators", OOPSLA 2014). Not for secrets.
#[derive(Debug)]
pub struct SeededRandom(AtomicU64);

impl SeededRandom {
    /// A generator that starts at `seed`.
    pub fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }

    /// A number below `bound`, or 0 when `bound` is 0. The slight unevenness of the remainder does not matter to tests.
    pub fn below(&self, bound: u64) -> u64 {
        self.u64().checked_rem(bound).unwrap_or(0)
    }

    /// True once in `n` times on average.
    pub fn one_in(&self, n: u64) -> bool {
        self.below(n) == 0
    }
}

impl Random for SeededRandom {
    fn fill(&self, bytes: &mut [u8]) {
        // The whole stretch is taken at once, so that a buffer costs one atomic operation.
        let (whole, rest) = bytes.as_chunks_mut::<8>();
        let numbers = whole.len() as u64 + u64::from(!rest.is_empty());
        let mut state = self.0.fetch_add(GOLDEN.wrapping_mul(numbers), Ordering::Relaxed);
        for chunk in whole {
            state = state.wrapping_add(GOLDEN);
            *chunk = mix(state).to_le_bytes();
        }
        rest.copy_from_slice(&mix(state.wrapping_add(GOLDEN)).to_le_bytes()[..rest.len()]);
    }

    fn u64(&self) -> u64 {
        mix(self.0.fetch_add(GOLDEN, Ordering::Relaxed).wrapping_add(GOLDEN))
    }
}

/// The step of SplitMix64's state.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn system_numbers_differ_also_across_buffer_refills_and_threads() {
        let draw = || (0..200).map(|_| SystemRandom.u128()).collect::<Vec<_>>();
        let mut all: Vec<u128> = draw();
        all.extend(std::thread::spawn(draw).join().unwrap());
        assert_eq!(all.iter().collect::<HashSet<_>>().len(), 400);
        for len in [0, 1, 7, 63, 64, 65, 256, 257, 4096] {
            let mut bytes = vec![0; len];
            SystemRandom.fill(&mut bytes);
            assert!(len < 16 || bytes.iter().any(|b| *b != 0), "{len}");
        }
    }

    #[test]
    fn a_seed_gives_the_published_sequence() {
        // The reference implementation's first outputs for the seed 1234567.
        let random = SeededRandom::new(1_234_567);
        let expected: [u64; 3] = [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423];
        assert_eq!([random.u64(), random.u64(), random.u64()], expected);
        let (filled, mut bytes) = (SeededRandom::new(1_234_567), [0; 20]);
        filled.fill(&mut bytes);
        assert_eq!(bytes[..8], expected[0].to_le_bytes());
        assert_eq!(bytes[16..], expected[2].to_le_bytes()[..4]);
        assert_eq!(filled.u64(), random.u64(), "as many numbers used");
    }
}
