//! What is consumed of a table, and how much of it may be: buckets of tokens that are filled at the rate that was provisioned, and keep what was not
//! used for bursts of 300 seconds (Developer Guide, "Burst capacity"). As with AWS a request is let in as long as there is anything left, and takes
//! what it turns out to need: a bucket may come below nothing by one request, and others wait until it is filled again.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use millpond_types::Timestamp;

use crate::limits::BURST_SECONDS;

/// Which way units go.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Way {
    Read,
    Write,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    rate: f64,
    tokens: f64,
    at: Timestamp,
}

impl Bucket {
    /// A bucket begins full: what was saved before a start is not known, and the first loads of a new table are not to fail.
    fn new(rate: f64, now: Timestamp) -> Self {
        Self { rate, tokens: rate * BURST_SECONDS, at: now }
    }

    fn fill(&mut self, rate: f64, now: Timestamp) {
        let most = rate * BURST_SECONDS;
        let gained = now.since(self.at).as_secs_f64() * self.rate;
        (self.tokens, self.rate, self.at) = ((self.tokens + gained).min(most), rate, self.at.max(now));
    }
}

/// The buckets of a table and its global indexes, by their numbers.
#[derive(Debug, Default)]
pub(crate) struct Meters(Mutex<HashMap<(u32, Way), Bucket>>);

impl Meters {
    /// Whether there is anything left. `rate` is in units a second; 0: there is no limit.
    pub fn has_room(&self, index: u32, way: Way, rate: u64, now: Timestamp) -> bool {
        if rate == 0 {
            return true;
        }
        let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let rate = rate as f64;
        let bucket = buckets.entry((index, way)).or_insert_with(|| Bucket::new(rate, now));
        bucket.fill(rate, now);
        bucket.tokens > 0.0
    }

    /// Takes what was consumed.
    pub fn take(&self, index: u32, way: Way, rate: u64, units: f64, now: Timestamp) {
        if rate == 0 {
            return;
        }
        let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let rate = rate as f64;
        let bucket = buckets.entry((index, way)).or_insert_with(|| Bucket::new(rate, now));
        bucket.fill(rate, now);
        bucket.tokens -= units;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn unused_capacity_is_kept_for_five_minutes() {
        let meters = Meters::default();
        let start = Timestamp::from_seconds(1_000_000);
        let at = |seconds| start.plus(Duration::from_secs(seconds));
        let mut done = 0;
        let mut burst = |seconds: u64, rate: u64| {
            done = 0;
            while meters.has_room(0, Way::Write, rate, at(seconds)) {
                meters.take(0, Way::Write, rate, 1.0, at(seconds));
                done += 1;
            }
            done
        };
        for (seconds, rate, expected) in
            [(0, 5, 1500), (0, 5, 0), (1, 5, 5), (11, 5, 50), (10_000, 5, 1500), (10_000, 10, 0), (10_002, 10, 20)]
        {
            assert_eq!(burst(seconds, rate), expected, "at {seconds}");
        }
        assert!(meters.has_room(0, Way::Read, 5, at(10_002)) && meters.has_room(1, Way::Write, 5, at(10_002)));
        assert!(meters.has_room(0, Way::Write, 0, at(10_002)), "no limit");
    }

    #[test]
    fn one_request_may_take_more_than_there_is() {
        let meters = Meters::default();
        let start = Timestamp::from_seconds(1_000_000);
        assert!(meters.has_room(0, Way::Read, 1, start));
        meters.take(0, Way::Read, 1, 309.0, start);
        for (seconds, room) in [(1, false), (9, false), (11, true)] {
            assert_eq!(meters.has_room(0, Way::Read, 1, start.plus(Duration::from_secs(seconds))), room, "{seconds}");
        }
    }
}
