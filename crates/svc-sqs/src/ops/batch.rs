//! What all batches have in common.

use std::collections::HashSet;

use millpond_api_sqs as api;

use crate::errors::SqsError;
use crate::limits;

/// Checks the ids of a batch; `kind` names its entries.
pub(crate) fn check<'a>(ids: impl ExactSizeIterator<Item = &'a str>, kind: &'static str) -> Result<(), SqsError> {
    match ids.len() {
        0 => return Err(SqsError::EmptyBatch(kind)),
        count if count > limits::MAX_BATCH => return Err(SqsError::LargeBatch(count)),
        _ => {}
    }
    let mut seen = HashSet::new();
    for id in ids {
        let good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
        if id.is_empty() || id.len() > 80 || !id.bytes().all(good) {
            return Err(SqsError::EntryId);
        }
        if !seen.insert(id) {
            return Err(SqsError::Repeated(id.to_owned()));
        }
    }
    Ok(())
}

/// An entry that failed.
pub(crate) fn failed(id: &str, error: &SqsError) -> api::BatchResultErrorEntry {
    api::BatchResultErrorEntry {
        id: id.to_owned(),
        sender_fault: error.is_senders(),
        code: error.entry_code().to_owned(),
        message: Some(error.shown()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_batches() {
        let eleven: Vec<String> = (0..11).map(|n| n.to_string()).collect();
        let eleven: Vec<&str> = eleven.iter().map(String::as_str).collect();
        let long = "a".repeat(81);
        for (ids, expected) in [
            (vec!["a", "B-_9"], Ok(())),
            (vec![], Err("AWS.SimpleQueueService.EmptyBatchRequest")),
            (eleven, Err("AWS.SimpleQueueService.TooManyEntriesInBatchRequest")),
            (vec!["a", "a"], Err("AWS.SimpleQueueService.BatchEntryIdsNotDistinct")),
            (vec![""], Err("AWS.SimpleQueueService.InvalidBatchEntryId")),
            (vec!["a.b"], Err("AWS.SimpleQueueService.InvalidBatchEntryId")),
            (vec![long.as_str()], Err("AWS.SimpleQueueService.InvalidBatchEntryId")),
        ] {
            let found = check(ids.iter().copied(), "Entry").map_err(|error| error.entry_code());
            assert_eq!(found, expected, "{ids:?}");
        }
    }
}
