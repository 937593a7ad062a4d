//! Who may be at work: as many invocations as there may be workers, and of one function fewer, so that others find a place.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::program::NoWorker;

/// How long an invocation waits for a place. Functions that invoke functions and wait for them can hold all places; some of them must then give up for
/// the others to go on. Far below the time that clients wait for an answer.
const MAX_WAIT: Duration = Duration::from_secs(10);

/// Places of invocations at work. Those who wait get them in their order.
pub(crate) struct Places {
    all: Arc<Semaphore>,
    /// Places that one function may have.
    share: usize,
    /// Those of each function that is at work or waits.
    of: Mutex<HashMap<String, Weak<Semaphore>>>,
}

/// A place, until it is dropped.
pub(crate) struct Place {
    _of: OwnedSemaphorePermit,
    _all: OwnedSemaphorePermit,
}

impl Places {
    pub(crate) fn new(places: usize) -> Self {
        let places = places.clamp(1, Semaphore::MAX_PERMITS);
        Self { all: Arc::new(Semaphore::new(places)), share: share(places), of: Mutex::default() }
    }

    /// A place for an invocation of a function.
    ///
    /// # Errors
    ///
    /// There is none within [`MAX_WAIT`], or there will be none.
    pub(crate) async fn take(&self, function: &str) -> Result<Place, NoWorker> {
        let both = async {
            // First the function's own: those who wait for that stand in nobody else's way.
            let of = self.of(function).acquire_owned().await?;
            Ok(Place { _of: of, _all: self.all.clone().acquire_owned().await? })
        };
        let taken: Result<Result<Place, tokio::sync::AcquireError>, _> = tokio::time::timeout(MAX_WAIT, both).await;
        if self.all.is_closed() {
            return Err(NoWorker::Stopping);
        }
        taken.map_err(|_| NoWorker::Busy)?.map_err(|_| NoWorker::Stopping)
    }

    fn of(&self, function: &str) -> Arc<Semaphore> {
        let mut all = self.of.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(of) = all.get(function).and_then(Weak::upgrade) {
            return of;
        }
        all.retain(|_, of| of.strong_count() > 0);
        let of = Arc::new(Semaphore::new(self.share));
        if self.all.is_closed() {
            of.close();
        }
        all.insert(function.to_owned(), Arc::downgrade(&of));
        of
    }

    /// Nobody gets a place any more.
    pub(crate) fn close(&self) {
        self.all.close();
        let all = self.of.lock().unwrap_or_else(PoisonError::into_inner);
        all.values().filter_map(Weak::upgrade).for_each(|of| of.close());
    }
}

/// Three quarters of all places, and one less than all where there are several.
fn share(places: usize) -> usize {
    (places - places.div_ceil(4)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_function_leaves_places_to_others() {
        for (places, expected) in [(1, 1), (2, 1), (3, 2), (4, 3), (32, 24), (64, 48)] {
            assert_eq!(share(places), expected, "{places}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_for_too_long_is_told_and_others_are_served() {
        let places = Places::new(4);
        let mut held = Vec::new();
        for _ in 0..3 {
            held.push(places.take("a").await.unwrap());
        }
        let (refused, other) = tokio::join!(places.take("a"), places.take("b"));
        assert!(matches!(refused, Err(NoWorker::Busy)));
        let other = other.unwrap();
        assert!(matches!(places.take("b").await, Err(NoWorker::Busy)), "all are taken");
        held.pop();
        held.push(places.take("a").await.unwrap());
        drop((held, other));
        assert_eq!(places.all.available_permits(), 4);
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_what_is_closed() {
        let places = Places::new(2);
        let held = places.take("a").await.unwrap();
        let close = async {
            tokio::task::yield_now().await;
            places.close();
        };
        let (waiting, ()) = tokio::join!(places.take("a"), close);
        assert!(matches!(waiting, Err(NoWorker::Stopping)));
        assert!(matches!(places.take("b").await, Err(NoWorker::Stopping)));
        drop(held);
    }
}
