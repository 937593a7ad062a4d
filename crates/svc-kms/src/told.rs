//! Which checks of a data key at hand the audit trail has already told of.
//!
//! With a bucket key, S3 asks the key management service once for each requester and period, not once for each object (S3 User Guide, "Reducing the
//! cost of SSE-KMS with Amazon S3 Bucket Keys"): the trail tells of as much. Denials are always told.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::{Mutex, PoisonError};

use millpond_kernel::{Caller, EncryptionContext, KeyUse};
use millpond_types::Timestamp;

use crate::limits::{CHECK_TOLD_FOR, MAX_CHECKS_TOLD};

/// When which check was last told of.
#[derive(Default)]
pub(crate) struct Told {
    hasher: RandomState,
    at: Mutex<HashMap<u64, Timestamp>>,
}

impl Told {
    /// Whether a check that was allowed is to be recorded; it counts as recorded then.
    pub fn is_due(&self, caller: &Caller, uses: KeyUse, key_arn: &str, context: &EncryptionContext) -> bool {
        let which = (caller.arn(), caller.access_key_id(), caller.via(), uses == KeyUse::Decrypt, key_arn, context);
        let hash = self.hasher.hash_one(which);
        let now = caller.received();
        let mut told = self.at.lock().unwrap_or_else(PoisonError::into_inner);
        if told.get(&hash).is_some_and(|at| now.since(*at) < CHECK_TOLD_FOR) {
            return false;
        }
        // Rather told twice than without a bound.
        if told.len() >= MAX_CHECKS_TOLD {
            told.clear();
        }
        told.insert(hash, now);
        true
    }
}

#[cfg(test)]
mod tests {
    use millpond_kernel::{Principal, testing};

    use super::*;

    #[test]
    fn a_check_is_told_of_once_for_each_requester_key_use_and_context() {
        let told = Told::default();
        let of = |account: &str| testing::caller(Principal::Root(account.parse().unwrap()));
        let (one, two) = (of("111122223333"), of("444455556666"));
        let (bare, bucket) = (EncryptionContext::new(), EncryptionContext::from([("a".to_owned(), "b".to_owned())]));
        for (caller, uses, key, context, due) in [
            (&one, KeyUse::Decrypt, "k", &bare, true),
            (&one, KeyUse::Decrypt, "k", &bare, false),
            (&two, KeyUse::Decrypt, "k", &bare, true),
            (&one, KeyUse::GenerateDataKey, "k", &bare, true),
            (&one, KeyUse::Decrypt, "l", &bare, true),
            (&one, KeyUse::Decrypt, "k", &bucket, true),
            (&one, KeyUse::Decrypt, "k", &bucket, false),
        ] {
            assert_eq!(told.is_due(caller, uses, key, context), due, "{uses:?} {key} {context:?}");
        }
    }
}
