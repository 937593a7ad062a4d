//! Batches: which records they have, what functions get of them, and what is learnt from the answer.

use std::sync::Arc;

use bytes::Bytes;
use millpond_pattern::{Event, Pattern};
use millpond_runtime::{Ended, Job};
use millpond_types::{CauseChain, MAX_CAUSES};
use serde_json::Value;

use super::Acting;
use crate::errors::LambdaError;
use crate::names::uuid;
use crate::state::Core;

/// Bytes of the records of one invocation: its event may have 6 MB, less what is around them.
pub(crate) const MAX_RECORDS_BYTES: usize = crate::limits::MAX_PAYLOAD - 64 * 1024;

/// The event of some records.
pub(crate) fn event<'a>(records: impl Iterator<Item = &'a Bytes>) -> Bytes {
    let mut event = br#"{"Records":["#.to_vec();
    for (number, record) in records.enumerate() {
        if number > 0 {
            event.push(b',');
        }
        event.extend_from_slice(record);
    }
    event.extend_from_slice(b"]}");
    event.into()
}

/// Whether a record is wanted: by any of the patterns, where there are some.
pub(crate) fn wanted(filters: &[Pattern], record: &[u8]) -> bool {
    filters.is_empty() || Event::parse(record).is_ok_and(|event| filters.iter().any(|filter| filter.matches(&event)))
}

/// Whether what led to a record is too long a chain for the function to go on with.
pub(crate) fn is_loop(acting: &Acting, causes: &CauseChain) -> bool {
    causes.len() >= MAX_CAUSES && !acting.function.facts.may_loop
}

/// Why a batch was given up that is part of a loop.
pub(crate) const LOOP: &str = "RecursiveInvocation: the records follow from invocations that follow from others, over 16 hops: this is a loop, which the function's recursion configuration does not allow";

/// An invocation that came to its end.
pub(crate) struct Ran {
    pub request_id: String,
    pub version: String,
    pub ended: Ended,
}

/// Invokes the function. `causes` is the longest chain of the records.
pub(crate) async fn invoke(
    core: &Arc<Core>,
    acting: &Acting,
    payload: Bytes,
    causes: CauseChain,
) -> Result<Ran, LambdaError> {
    let (function, request_id) = (&acting.function, uuid(core.new_id()));
    let job = Job {
        request_id: request_id.clone(),
        payload,
        invoked_arn: core.asked_arn(function, &acting.qualifier).to_string(),
        trace: None,
        client_context: None,
        causes: core.chain(function, &request_id, causes),
        tail: false,
    };
    let (ended, _) = core.run(Arc::clone(function), Arc::clone(&acting.version), job).await?;
    Ok(Ran { request_id, version: acting.version.label(), ended })
}

/// Which items a function says that failed; `None` where it says nothing that can be understood: then all did (Developer Guide, "Reporting batch item
/// failures").
pub(crate) fn reported(answer: &[u8]) -> Option<Vec<String>> {
    if answer.is_empty() {
        return Some(Vec::new());
    }
    let answer: Value = serde_json::from_slice(answer).ok()?;
    let list = match &answer {
        Value::Null => return Some(Vec::new()),
        Value::Object(members) => members.get("batchItemFailures").unwrap_or(&Value::Null),
        _ => return None,
    };
    let id = |item: &Value| Some(item.get("itemIdentifier")?.as_str().filter(|id| !id.is_empty())?.to_owned());
    match list {
        Value::Null => Some(Vec::new()),
        Value::Array(items) => items.iter().map(id).collect(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_hold_their_records() {
        let records = [Bytes::from_static(b"{\"a\":1}"), Bytes::from_static(b"2")];
        assert_eq!(event(records.iter()), Bytes::from_static(b"{\"Records\":[{\"a\":1},2]}"));
    }

    /// The table of the Developer Guide, "Reporting batch item failures": what counts as success, and what as failure of all.
    #[test]
    fn what_functions_report() {
        for (answer, expected) in [
            ("", Some(vec![])),
            ("null", Some(vec![])),
            ("{}", Some(vec![])),
            (r#"{"batchItemFailures": null}"#, Some(vec![])),
            (r#"{"batchItemFailures": []}"#, Some(vec![])),
            (r#"{"batchItemFailures": [{"itemIdentifier": "a"}, {"itemIdentifier": "b"}]}"#, Some(vec!["a", "b"])),
            (r#"{"batchItemFailures": [{"itemIdentifier": ""}]}"#, None),
            (r#"{"batchItemFailures": [{"itemIdentifier": null}]}"#, None),
            (r#"{"batchItemFailures": [{"identifier": "a"}]}"#, None),
            (r#"{"batchItemFailures": "a"}"#, None),
            ("[1]", None),
            ("{", None),
        ] {
            let expected = expected.map(|ids| ids.into_iter().map(str::to_owned).collect());
            assert_eq!(reported(answer.as_bytes()), expected, "{answer}");
        }
    }

    #[test]
    fn one_filter_of_several_is_enough() {
        let filters: Vec<Pattern> = [r#"{"eventName": ["REMOVE"]}"#, r#"{"dynamodb": {"Keys": {"id": {"S": ["x"]}}}}"#]
            .into_iter()
            .map(|text| Pattern::parse(text).unwrap())
            .collect();
        for (record, expected) in [
            (r#"{"eventName": "REMOVE"}"#, true),
            (r#"{"eventName": "INSERT", "dynamodb": {"Keys": {"id": {"S": "x"}}}}"#, true),
            (r#"{"eventName": "INSERT"}"#, false),
            ("text", false),
        ] {
            assert_eq!(wanted(&filters, record.as_bytes()), expected, "{record}");
        }
        assert!(wanted(&[], b"anything"));
    }
}
