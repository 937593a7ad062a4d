//! Results that are used again: of the same statement in the same work group, as long as everything that it asked is answered the same, to who asks
//! now (Athena User Guide, "Reuse query results").

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::join_all;
use millpond_kernel::Caller;
use millpond_types::{AccountId, Timestamp};
use sha2::{Digest, Sha256};

use crate::errors::AthenaError;
use crate::host::Answers;
use crate::limits::ASKED_TOGETHER;
use crate::output;
use crate::state::Core;
use crate::tables::{self, ResultRow, State};

/// A result that may be used.
pub(crate) struct Reused {
    /// Where it is.
    pub location: String,
    pub result: ResultRow,
    pub output_rows: u64,
}

/// What results are found by.
pub(crate) fn digest(statement: &str, parameters: &[String], database: &str) -> Vec<u8> {
    let mut digest = Sha256::new();
    for text in [statement.trim(), database].into_iter().chain(parameters.iter().map(String::as_str)) {
        digest.update((text.len() as u64).to_be_bytes());
        digest.update(text.as_bytes());
    }
    digest.finalize().to_vec()
}

impl Core {
    /// The result of an earlier execution that is at most so old and still what the statement gives.
    pub async fn reusable(
        &self,
        account: AccountId,
        group: &str,
        digest: &[u8],
        minutes: u32,
        answers: &Answers,
        via: &Arc<Caller>,
    ) -> Result<Option<Reused>, AthenaError> {
        let Some(id) = self.kv.get(&tables::reusable(account, group, digest)).await? else { return Ok(None) };
        let Ok(id) = <[u8; 16]>::try_from(id.as_ref()).map(u128::from_be_bytes) else { return Ok(None) };
        let Some(stored) = self.execution(account, id).await? else { return Ok(None) };
        let age = Duration::from_secs(u64::from(minutes) * 60);
        let young = Timestamp(stored.row.completed).plus(age) >= self.clock.now();
        let Some(result) = stored.row.result.as_ref().filter(|_| young && stored.row.state() == State::Succeeded)
        else {
            return Ok(None);
        };
        let result: ResultRow = self.unseal_row(id, "result", result).await?;
        let location = stored.row.results.location.clone();
        let (Some(reads), Some((bucket, key))) = (self.kernel.object_reads(), output::split(&location)) else {
            return Ok(None);
        };
        let state = reads.head(Arc::clone(via), bucket, key).await;
        if !result.complete || !state.is_ok_and(|state| state.etag == result.etag) {
            return Ok(None);
        }
        for some in result.asked.chunks(ASKED_TOGETHER) {
            let mut held = Vec::with_capacity(some.len());
            for asked in some {
                held.push(answers.holds(asked).boxed());
            }
            if join_all(held).await.contains(&false) {
                return Ok(None);
            }
        }
        Ok(Some(Reused { location, result, output_rows: stored.row.stats.output_rows }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_the_same_statement() {
        let of = |statement: &str, parameters: &[&str], database: &str| {
            digest(statement, &parameters.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>(), database)
        };
        assert_eq!(of(" select 1\n", &[], "d"), of("select 1", &[], "d"));
        assert_ne!(of("select 1", &[], "d"), of("select 1", &[], "e"));
        assert_ne!(of("select ?", &["1", "2"], "d"), of("select ?", &["12"], "d"));
    }
}
