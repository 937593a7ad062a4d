//! The time of day.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use millpond_types::Timestamp;

/// Tells the time of day.
pub trait Clock: Send + Sync + 'static {
    /// The time now. Never earlier than an answer given before.
    fn now(&self) -> Timestamp;

    /// The time that the system's clock shows, also when that was set back: what clients sign is compared with this.
    fn wall(&self) -> Timestamp {
        self.now()
    }
}

/// The operating system's clock. Within a process it stands still rather than go backwards when the system's clock is set back,
/// for all its instances together.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

/// The latest time that any [`SystemClock`] has told.
static LATEST: AtomicU64 = AtomicU64::new(0);

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let told = self.wall().0;
        Timestamp(LATEST.fetch_max(told, Ordering::Relaxed).max(told))
    }

    fn wall(&self) -> Timestamp {
        #[expect(clippy::disallowed_methods, reason = "this is the door to the system's clock")]
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        Timestamp::default().plus(since_epoch)
    }
}

/// The system's clock, and ahead of it by as much as it was moved: how a test of a whole server reaches what is due in an hour.
#[derive(Debug, Default)]
pub struct MovableClock(AtomicU64);

impl MovableClock {
    /// Moves forward.
    pub fn advance(&self, by: Duration) {
        self.0.fetch_add(u64::try_from(by.as_nanos()).unwrap_or(u64::MAX / 2), Ordering::SeqCst);
    }
}

impl Clock for MovableClock {
    fn now(&self) -> Timestamp {
        SystemClock.now().plus(Duration::from_nanos(self.0.load(Ordering::SeqCst)))
    }

    /// Clients are not moved with it.
    fn wall(&self) -> Timestamp {
        SystemClock.wall()
    }
}

/// A clock that a test moves.
#[derive(Debug, Default)]
pub struct ManualClock(AtomicU64);

impl ManualClock {
    /// A clock that stands at `start`.
    pub fn new(start: Timestamp) -> Self {
        Self(AtomicU64::new(start.0))
    }

    /// Moves to `time`; a time before the present one changes nothing.
    pub fn set(&self, time: Timestamp) {
        self.0.fetch_max(time.0, Ordering::SeqCst);
    }

    /// Moves forward.
    pub fn advance(&self, by: Duration) {
        let by = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX);
        // An update function that always gives a value cannot fail.
        let _ = self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |now| Some(now.saturating_add(by)));
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_movable_clock_is_ahead_by_what_it_was_moved() {
        let clock = MovableClock::default();
        let before = clock.now();
        clock.advance(Duration::from_secs(300));
        assert!(clock.now() >= before.plus(Duration::from_secs(300)));
        assert!(clock.wall() < before.plus(Duration::from_secs(200)), "signatures are compared with the system's time");
    }

    #[test]
    fn the_system_clock_never_goes_back_and_is_in_this_century() {
        let first = SystemClock.now();
        assert!(first > Timestamp::from_seconds(1_700_000_000));
        LATEST.fetch_max(first.plus(Duration::from_secs(3600)).0, Ordering::Relaxed);
        let ahead = SystemClock.now();
        assert!(ahead >= first.plus(Duration::from_secs(3600)), "stands still after the system's clock was set back");
        assert!(SystemClock.now() >= ahead);
    }

    #[test]
    fn a_manual_clock_moves_only_forward() {
        let clock = ManualClock::new(Timestamp::from_seconds(100));
        clock.advance(Duration::from_millis(1500));
        assert_eq!(clock.now().millis(), 101_500);
        clock.set(Timestamp::from_seconds(7));
        assert_eq!(clock.now().millis(), 101_500);
        clock.set(Timestamp::from_seconds(200));
        assert_eq!(clock.now(), Timestamp::from_seconds(200));
    }
}
