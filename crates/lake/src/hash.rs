//! Digests of bodies: small ones where they arrive, large ones on threads that may block.
//!
//! A large body has a queue. Whoever puts enough into it while nobody works on it starts a worker, which hashes until the queue
//! is empty and puts the digests back: a fast upload keeps one thread busy without a hop for each batch, a slow one holds none.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use millpond_digest::{Checksum, ChecksumAlgorithm, Hasher, Md5, Md5Digest};
use tokio::sync::Notify;

use crate::error::LakeError;
use crate::limits::{HASH_AHEAD, HASH_AHEAD_CHUNKS, HASH_BATCH, HASH_IN_PLACE};

/// The digests of one body.
struct Digests {
    md5: Option<Md5>,
    sums: Vec<Hasher>,
}

impl Digests {
    fn update(&mut self, bytes: &[u8]) {
        if let Some(md5) = &mut self.md5 {
            md5.update(bytes);
        }
        for sum in &mut self.sums {
            sum.update(bytes);
        }
    }
}

/// Who has the digests.
enum Place {
    /// Nobody: they wait for the next bytes.
    Idle(Digests),
    /// A worker.
    Away,
    /// A worker that panicked.
    Lost,
}

struct State {
    place: Place,
    queue: Vec<Bytes>,
    bytes: usize,
}

struct Shared {
    state: Mutex<State>,
    /// Told when the worker has taken the queue or put the digests back. There is one listener, the body.
    moved: Notify,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Hashes until the queue is empty; says that the digests are lost if it does not come to that.
struct Worker {
    shared: Arc<Shared>,
    /// The digests are back, and may be with another worker already.
    ended: bool,
}

impl Worker {
    fn work(mut self, digests: Digests) {
        let mut digests = Some(digests);
        while let Some(chunks) = self.take_or_put_back(&mut digests) {
            if let Some(digests) = &mut digests {
                chunks.iter().for_each(|chunk| digests.update(chunk));
            }
        }
    }

    /// The chunks that wait; without any, puts the digests back, and this worker has no more to say.
    fn take_or_put_back(&mut self, digests: &mut Option<Digests>) -> Option<Vec<Bytes>> {
        let mut state = self.shared.lock();
        let chunks = if state.queue.is_empty() {
            self.ended = true;
            state.place = digests.take().map_or(Place::Lost, Place::Idle);
            None
        } else {
            state.bytes = 0;
            Some(std::mem::take(&mut state.queue))
        };
        drop(state);
        self.shared.moved.notify_one();
        chunks
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if !self.ended {
            self.shared.lock().place = Place::Lost;
            self.shared.moved.notify_one();
        }
    }
}

/// Computes digests over a body as it comes.
pub(crate) struct Hashing {
    shared: Arc<Shared>,
    seen: u64,
    nothing: bool,
}

impl Hashing {
    pub fn new(md5: bool, checksums: &[ChecksumAlgorithm]) -> Self {
        let sums = checksums.iter().map(|algorithm| Hasher::new(*algorithm)).collect();
        let place = Place::Idle(Digests { md5: md5.then(Md5::new), sums });
        let state = Mutex::new(State { place, queue: Vec::new(), bytes: 0 });
        Self {
            shared: Arc::new(Shared { state, moved: Notify::new() }),
            seen: 0,
            nothing: !md5 && checksums.is_empty(),
        }
    }

    /// Takes the next bytes. Waits while the queue is full.
    pub async fn update(&mut self, chunk: &Bytes) -> Result<(), LakeError> {
        if self.nothing {
            return Ok(());
        }
        self.seen += chunk.len() as u64;
        loop {
            {
                let mut state = self.shared.lock();
                match &mut state.place {
                    Place::Lost => return Err(lost()),
                    Place::Idle(digests) if self.seen <= HASH_IN_PLACE => {
                        digests.update(chunk);
                        return Ok(());
                    }
                    _ => {}
                }
                if state.bytes < HASH_AHEAD && state.queue.len() < HASH_AHEAD_CHUNKS {
                    state.bytes += chunk.len();
                    state.queue.push(chunk.clone());
                    if state.bytes >= HASH_BATCH || state.queue.len() >= HASH_AHEAD_CHUNKS {
                        self.start(&mut state);
                    }
                    return Ok(());
                }
            }
            self.shared.moved.notified().await;
        }
    }

    /// Starts a worker, unless there is one.
    fn start(&self, state: &mut State) {
        match std::mem::replace(&mut state.place, Place::Away) {
            Place::Idle(digests) => {
                let worker = Worker { shared: self.shared.clone(), ended: false };
                tokio::task::spawn_blocking(move || worker.work(digests));
            }
            other => state.place = other,
        }
    }

    /// The digests of everything.
    pub async fn finish(self) -> Result<(Option<Md5Digest>, Vec<Checksum>), LakeError> {
        loop {
            {
                let mut state = self.shared.lock();
                match std::mem::replace(&mut state.place, Place::Away) {
                    Place::Lost => return Err(lost()),
                    Place::Away => {}
                    Place::Idle(digests) if state.bytes as u64 > HASH_IN_PLACE => {
                        state.place = Place::Idle(digests);
                        self.start(&mut state);
                    }
                    Place::Idle(mut digests) => {
                        for chunk in std::mem::take(&mut state.queue) {
                            digests.update(&chunk);
                        }
                        let sums = digests.sums.into_iter().map(Hasher::finish).collect();
                        return Ok((digests.md5.map(Md5::finish), sums));
                    }
                }
            }
            self.shared.moved.notified().await;
        }
    }
}

fn lost() -> LakeError {
    LakeError::Internal("a hashing thread panicked".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A worker that has put the digests back is over, though it has not ended yet: the next may have them by then, and must keep them.
    #[tokio::test]
    async fn a_worker_that_ends_takes_nothing_from_the_next() {
        let hashing = Hashing::new(true, &[]);
        let Place::Idle(digests) = std::mem::replace(&mut hashing.shared.lock().place, Place::Away) else { panic!() };
        let mut worker = Worker { shared: hashing.shared.clone(), ended: false };
        assert!(worker.take_or_put_back(&mut Some(digests)).is_none(), "the queue is empty");
        // Here the next worker is started, before the first is dropped.
        let place = std::mem::replace(&mut hashing.shared.lock().place, Place::Away);
        drop(worker);
        assert!(matches!(hashing.shared.lock().place, Place::Away), "the next has the digests still");
        hashing.shared.lock().place = place;
        assert_eq!(hashing.finish().await.unwrap().0, Some(Md5::of(b"")));
    }

    /// One that ends without putting them back panicked: nobody waits for it.
    #[tokio::test]
    async fn a_worker_that_panics_is_told_of() {
        let hashing = Hashing::new(true, &[]);
        hashing.shared.lock().place = Place::Away;
        drop(Worker { shared: hashing.shared.clone(), ended: false });
        assert!(hashing.finish().await.is_err());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn digests_do_not_depend_on_how_the_bytes_come() {
        let body: Vec<u8> = (0..3_000_000u32).map(|n| (n * 7 + n / 251) as u8).collect();
        for length in [0, 1, HASH_IN_PLACE as usize, HASH_IN_PLACE as usize + 1, HASH_BATCH, 3_000_000] {
            for step in [1_000, 65_536, 1_000_000] {
                let mut hashing = Hashing::new(true, &[ChecksumAlgorithm::Crc32, ChecksumAlgorithm::Sha256]);
                for chunk in body[..length].chunks(step) {
                    hashing.update(&Bytes::copy_from_slice(chunk)).await.unwrap();
                }
                let (md5, sums) = hashing.finish().await.unwrap();
                assert_eq!(md5, Some(Md5::of(&body[..length])), "{length} by {step}");
                let expected = [ChecksumAlgorithm::Crc32, ChecksumAlgorithm::Sha256];
                assert_eq!(
                    sums,
                    expected.map(|algorithm| Hasher::of(algorithm, &body[..length])),
                    "{length} by {step}"
                );
            }
        }
    }
}
