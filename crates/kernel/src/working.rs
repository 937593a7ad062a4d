//! What the workers that run functions do at the moment: which chain of causes the credentials of each stand for.

use std::collections::{BTreeMap, HashMap};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use millpond_types::{CauseChain, Timestamp};

/// Workers that are gone whose last chains are kept: a chain has some kilobytes.
const MAX_GONE: usize = 10_000;

/// The chains of causes by access key ids of workers. A call that a function makes carries on the chain of the invocation that it serves, whatever
/// headers it sends.
///
/// Credentials outlive their worker: a function can hand them out, or links that it signed with them. So the chain that a worker was at last is kept
/// until its credentials expire. Nothing is known of workers from before a start, nor of those over the newest [`MAX_GONE`]; what is signed with
/// their credentials begins with [`Working::UNKNOWN`].
#[derive(Debug, Default)]
pub struct Working(RwLock<Chains>);

#[derive(Debug, Default)]
struct Chains {
    by_key: HashMap<String, CauseChain>,
    /// The keys of workers that are gone, by when their credentials have expired for certain, and by the order in which they went.
    gone: BTreeMap<(Timestamp, u64), String>,
    went: u64,
}

impl Working {
    /// What a chain begins with that continues one that is not known any more.
    pub const UNKNOWN: &'static str = "worker";

    fn read(&self) -> RwLockReadGuard<'_, Chains> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Chains> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on what is signed with an access key continues a chain.
    pub fn begin(&self, access_key_id: &str, causes: CauseChain) {
        self.write().by_key.insert(access_key_id.to_owned(), causes);
    }

    /// The worker is gone; its credentials have expired at `until`.
    pub fn end(&self, access_key_id: &str, now: Timestamp, until: Timestamp) {
        let mut chains = self.write();
        if chains.by_key.contains_key(access_key_id) {
            chains.went += 1;
            let place = (until, chains.went);
            chains.gone.insert(place, access_key_id.to_owned());
        }
        while let Some(first) = chains.gone.first_entry() {
            if first.key().0 > now && chains.gone.len() <= MAX_GONE {
                break;
            }
            if let Some((_, key)) = chains.gone.pop_first() {
                chains.by_key.remove(&key);
            }
        }
    }

    /// The chain that an access key continues; `None` when it is no worker's that is known.
    pub fn causes(&self, access_key_id: &str) -> Option<CauseChain> {
        self.read().by_key.get(access_key_id).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chains_are_kept_until_credentials_expire() {
        let working = Working::default();
        let at = Timestamp::from_seconds;
        for key in ["a", "b"] {
            working.begin(key, vec![key.to_owned()]);
        }
        working.end("a", at(10), at(20));
        working.end("unknown", at(10), at(20));
        assert_eq!(working.causes("a"), Some(vec!["a".to_owned()]));
        working.end("b", at(20), at(30));
        assert_eq!((working.causes("a"), working.causes("unknown")), (None, None));
        assert_eq!(working.causes("b"), Some(vec!["b".to_owned()]));
    }

    #[test]
    fn the_newest_are_kept() {
        let working = Working::default();
        let at = Timestamp::from_seconds;
        for number in 0..=MAX_GONE {
            working.begin(&number.to_string(), Vec::new());
            working.end(&number.to_string(), at(10), at(20));
        }
        assert_eq!(working.causes("0"), None);
        assert!(working.causes("1").is_some() && working.causes(&MAX_GONE.to_string()).is_some());
    }
}
