//! Memory for bodies on their way in: counted by the bytes that are there, not by those that may come.
//!
//! Each piece of a body carries its claim with it, and gives it back when the last slice of the piece is gone: written and
//! hashed. So an upload that is slow holds what it sent and no more, and one whose bytes are on disk holds nothing.
//!
//! Bytes that wait for more of their kind before they go to disk could fill the whole budget, and then none of them could ever go.
//! Therefore half of the budget is claimed only for all that one body may ever hold: whoever has that needs nothing else to come to its
//! end, and so everybody gets there in turn.

use std::sync::{Arc, Weak};

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::limits::{HELD_BYTES, MEMORY_WAIT};

/// The budget of all bodies. Permits are KiB.
pub(crate) struct Memory {
    /// For pieces.
    pieces: Arc<Semaphore>,
    /// How many KiB that is.
    pieces_kib: u32,
    /// For whole bodies.
    whole: Arc<Semaphore>,
}

fn kib(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX)
}

impl Memory {
    /// A budget of so many bytes. One body always fits, however small it is.
    pub fn new(budget: u64) -> Self {
        let whole = (budget / 2).max(HELD_BYTES);
        let pieces_kib = kib(budget.saturating_sub(whole));
        let semaphore = |kib: u32| Arc::new(Semaphore::new((kib as usize).min(Semaphore::MAX_PERMITS)));
        Self { pieces: semaphore(pieces_kib), pieces_kib, whole: semaphore(kib(whole)) }
    }

    /// The share of a body of so many bytes; `None` when nobody knows how many will come.
    pub fn share(&self, expected: Option<u64>) -> Share {
        Share {
            pieces: Arc::clone(&self.pieces),
            pieces_kib: self.pieces_kib,
            whole: Arc::clone(&self.whole),
            most: kib(expected.unwrap_or(HELD_BYTES).min(HELD_BYTES)),
            reserved: None,
            pending: Weak::new(),
        }
    }
}

/// What one body holds of the budget.
pub(crate) struct Share {
    pieces: Arc<Semaphore>,
    pieces_kib: u32,
    whole: Arc<Semaphore>,
    /// The most KiB that the body holds at a time.
    most: u32,
    /// A claim for all that it may hold, kept as long as there is none to be had for its pieces alone.
    reserved: Option<Arc<OwnedSemaphorePermit>>,
    /// That claim, while pieces still live by it.
    pending: Weak<OwnedSemaphorePermit>,
}

/// A piece and the claim that it lives by.
struct Held {
    bytes: Bytes,
    _claim: Claim,
}

/// Given back by being dropped.
#[expect(dead_code, reason = "held for their drop alone")]
enum Claim {
    Piece(OwnedSemaphorePermit),
    Whole(Arc<OwnedSemaphorePermit>),
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Share {
    /// The piece, which now holds its part of the budget until its last slice is dropped. `None` when there is none to be had for a while.
    pub async fn hold(&mut self, bytes: Bytes) -> Option<Bytes> {
        let claim = match Arc::clone(&self.pieces).try_acquire_many_owned(kib(bytes.len() as u64)) {
            Ok(permit) => {
                // Others may need the whole claim more; pieces that live by it keep it until they are gone.
                self.reserved = None;
                Claim::Piece(permit)
            }
            Err(_) => self.wait(kib(bytes.len() as u64)).await?,
        };
        Some(Bytes::from_owner(Held { bytes, _claim: claim }))
    }

    async fn wait(&mut self, piece: u32) -> Option<Claim> {
        if let Some(whole) = self.pending.upgrade() {
            self.reserved = Some(Arc::clone(&whole));
            return Some(Claim::Whole(whole));
        }
        let whole = Arc::clone(&self.whole).acquire_many_owned(self.most);
        let claim = async {
            // One larger than all there is would wait for ever, at the head of the line.
            if piece > self.pieces_kib {
                return whole.await.map(|permit| Claim::Whole(Arc::new(permit)));
            }
            tokio::select! {
                biased;
                permit = Arc::clone(&self.pieces).acquire_many_owned(piece) => permit.map(Claim::Piece),
                permit = whole => permit.map(|permit| Claim::Whole(Arc::new(permit))),
            }
        };
        let claim = tokio::time::timeout(MEMORY_WAIT, claim).await.ok()?.ok()?;
        if let Claim::Whole(whole) = &claim {
            self.reserved = Some(Arc::clone(whole));
            self.pending = Arc::downgrade(whole);
        }
        Some(claim)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn piece(len: u64) -> Bytes {
        Bytes::from(vec![7; len as usize])
    }

    /// KiB left for pieces and for whole bodies.
    fn left(memory: &Memory) -> (u64, u64) {
        (memory.pieces.available_permits() as u64, memory.whole.available_permits() as u64)
    }

    #[tokio::test]
    async fn a_piece_gives_its_claim_back_with_its_last_slice() {
        let memory = Memory::new(24 * MIB);
        assert_eq!(left(&memory), (12 * 1024, 12 * 1024));
        let mut share = memory.share(Some(100 * MIB));
        let mut held = share.hold(piece(MIB + 1)).await.unwrap();
        assert_eq!(held, piece(MIB + 1));
        assert_eq!(left(&memory), (11 * 1024 - 1, 12 * 1024));
        drop(share);
        let slice = held.split_off(1000);
        drop(held);
        assert_eq!(left(&memory), (11 * 1024 - 1, 12 * 1024));
        drop(slice);
        assert_eq!(left(&memory), (12 * 1024, 12 * 1024));
    }

    #[tokio::test]
    async fn who_finds_nothing_left_reserves_all_that_it_may_hold() {
        let memory = Memory::new(24 * MIB);
        let mut greedy = memory.share(None);
        let all = greedy.hold(piece(12 * MIB)).await.unwrap();
        let mut share = memory.share(Some(100 * MIB));
        let (first, second) = (share.hold(piece(MIB)).await.unwrap(), share.hold(piece(MIB)).await.unwrap());
        // One claim for both.
        assert_eq!(left(&memory), (0, 6 * 1024));
        let mut small = memory.share(Some(MIB));
        let third = small.hold(piece(1)).await.unwrap();
        assert_eq!(left(&memory), (0, 5 * 1024));
        drop((third, small));
        // With room for pieces the next one takes it, and the large claim goes with the pieces that live by it.
        drop((all, first));
        let last = share.hold(piece(MIB)).await.unwrap();
        assert_eq!(left(&memory), (11 * 1024, 6 * 1024));
        drop(second);
        assert_eq!(left(&memory), (11 * 1024, 12 * 1024));
        drop(last);
        assert_eq!(left(&memory), (12 * 1024, 12 * 1024));
    }

    #[tokio::test]
    async fn who_waits_goes_on_with_whatever_is_given_back_first() {
        for frees_pieces in [true, false] {
            let memory = Memory::new(12 * MIB);
            let (mut one, mut two, mut three) = (memory.share(None), memory.share(None), memory.share(None));
            let pieces = one.hold(piece(6 * MIB)).await.unwrap();
            let whole = two.hold(piece(MIB)).await.unwrap();
            assert_eq!(left(&memory), (0, 0));
            let waits = tokio::spawn(async move { three.hold(piece(MIB)).await });
            tokio::task::yield_now().await;
            assert!(!waits.is_finished());
            if frees_pieces {
                drop(pieces)
            } else {
                drop((whole, two))
            }
            assert_eq!(waits.await.unwrap().unwrap().len() as u64, MIB);
        }
    }

    #[tokio::test]
    async fn one_body_always_fits() {
        for budget in [0, 1, 6 * MIB, 7 * MIB] {
            let memory = Memory::new(budget);
            let mut share = memory.share(None);
            let mut pieces = Vec::new();
            for _ in 0..6 {
                pieces.push(share.hold(piece(MIB)).await.unwrap());
            }
            drop((pieces, share));
            assert_eq!(left(&memory).1, 6 * 1024, "{budget}");
        }
    }
}
