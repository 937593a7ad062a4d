//! The invocations that ended last, in memory: of those that somebody waited for nothing else is kept.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use millpond_runtime::{Ended, Report};
use millpond_types::{Arn, Timestamp};

/// Invocations that are remembered: 3 MB or so.
const REMEMBERED: usize = 10_000;

/// An invocation that ended.
#[derive(Clone, Debug)]
pub(crate) struct Recent {
    pub request_id: String,
    pub function: Arn,
    /// Its log stream.
    pub stream: String,
    pub began: Timestamp,
    pub ended: Timestamp,
    pub failed: bool,
}

/// Those that ended last, the oldest first.
#[derive(Debug, Default)]
pub(crate) struct Recents(Mutex<VecDeque<Recent>>);

impl Recent {
    pub fn new(request_id: String, function: &Arn, times: (Timestamp, Timestamp), of: (&Ended, &Report)) -> Self {
        let ((began, ended), (end, report)) = (times, of);
        let failed = matches!(end, Ended::Failed { .. });
        Self { request_id, function: function.clone(), stream: report.log_stream.clone(), began, ended, failed }
    }
}

impl Recents {
    pub fn add(&self, one: Recent) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= REMEMBERED {
            all.pop_front();
        }
        all.push_back(one);
    }

    /// The newest one of an id.
    pub fn find(&self, request_id: &str) -> Option<Recent> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().rev().find(|one| one.request_id == request_id).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_ones_are_remembered() {
        let function = Arn::parse("arn:aws:lambda:us-east-1:123456789012:function:f").unwrap();
        let recents = Recents::default();
        for id in 0..=REMEMBERED {
            let end = Ended::Answer(bytes::Bytes::new());
            let times = (Timestamp::default(), Timestamp::from_seconds(id as u64));
            recents.add(Recent::new(id.to_string(), &function, times, (&end, &Report::default())));
        }
        assert!(recents.find("0").is_none());
        assert_eq!(recents.find("1").map(|one| one.ended), Some(Timestamp::from_seconds(1)));
    }
}
