//! Receiving: what is asked for, waiting for it, and how it is shown. The messages themselves are taken in `taking`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use millpond_api_sqs as api;
use millpond_kernel::Caller;
use tokio::time::Instant;

use crate::errors::{Failure, SqsError, parameter, wrong_type};
use crate::handle::Handle;
use crate::limits;
use crate::message::{self, id_text, is_id};
use crate::queue::{Facts, Queue};
use crate::rows::AttributeRow;
use crate::sending::sequence_number;
use crate::state::{Core, Who};
use crate::taking::{Asking, Taken};

/// The system attributes that a message can have.
pub(crate) const SYSTEM: &[&str] = &[
    "AWSTraceHeader",
    "ApproximateFirstReceiveTimestamp",
    "ApproximateReceiveCount",
    "DeadLetterQueueSourceArn",
    "MessageDeduplicationId",
    "MessageGroupId",
    "SenderId",
    "SentTimestamp",
    "SequenceNumber",
];
/// Who waits looks again after this time at the latest, also when nobody told of news.
const LOOK: Duration = Duration::from_secs(5);
/// Who waits does not look more often than this.
const PAUSE: Duration = Duration::from_millis(5);

/// What is asked for, checked.
struct Request<'a> {
    most: usize,
    visibility: u64,
    wait: Duration,
    attempt: Option<&'a str>,
}

impl<'a> Request<'a> {
    fn of(input: &'a api::ReceiveMessageInput, facts: &Facts) -> Result<Self, SqsError> {
        let settings = &facts.settings;
        let most = input.max_number_of_messages.unwrap_or(1);
        if !(1..=10).contains(&most) {
            return Err(parameter(most, "MaxNumberOfMessages", "Must be between 1 and 10, if provided."));
        }
        let visibility = match input.visibility_timeout {
            None => settings.visibility.as_secs(),
            Some(given) => seconds(given, limits::MAX_VISIBILITY)
                .ok_or_else(|| parameter(given, "VisibilityTimeout", "Must be between 0 and 43200, if provided."))?,
        };
        let wait = match input.wait_time_seconds {
            None => settings.wait,
            Some(given) => Duration::from_secs(
                seconds(given, limits::MAX_WAIT)
                    .ok_or_else(|| parameter(given, "WaitTimeSeconds", "Must be >= 0 and <= 20, if provided."))?,
            ),
        };
        let attempt = input.receive_request_attempt_id.as_deref();
        if let Some(attempt) = attempt {
            if !settings.fifo {
                return Err(wrong_type(attempt, "ReceiveRequestAttemptId"));
            }
            if !is_id(attempt) {
                let reason = "ReceiveRequestAttemptId can only include alphanumeric and punctuation characters. 1 to 128 in length.";
                return Err(parameter(attempt, "ReceiveRequestAttemptId", reason));
            }
        }
        Ok(Self { most: usize::try_from(most).unwrap_or(1), visibility, wait, attempt })
    }
}

/// Seconds within a limit.
pub(crate) fn seconds(given: i32, most: u64) -> Option<u64> {
    u64::try_from(given).ok().filter(|seconds| *seconds <= most)
}

/// A call, with the time until which it waits: it stays the same when the call is decided anew.
pub(crate) async fn receive(
    core: &Arc<Core>,
    caller: &Caller,
    input: &api::ReceiveMessageInput,
    began: Instant,
) -> Result<api::ReceiveMessageOutput, Failure> {
    let (authorized, queue) =
        core.on_queue::<api::ReceiveMessageInput>(caller, &input.queue_url, "sqs:ReceiveMessage", Who::Anybody).await?;
    let facts = queue.facts();
    let request = Request::of(input, &facts)?;
    let system = asked_system(input)?;
    let until = began + request.wait;
    let asking = Asking {
        most: request.most,
        visibility: request.visibility,
        pin: authorized.pin(),
        short: request.wait.is_zero(),
        attempt: request.attempt.map(str::to_owned),
    };
    let taken = wait(core, &queue, &asking, until).await?;
    let show =
        |taken: Taken| shown(&queue, taken, &system, input.message_attribute_names.as_deref().unwrap_or_default());
    let messages: Vec<_> = taken.into_iter().map(show).collect();
    Ok(api::ReceiveMessageOutput { messages: (!messages.is_empty()).then_some(messages) })
}

/// Takes messages, as soon as there are any.
pub(crate) async fn wait(
    core: &Arc<Core>,
    queue: &Arc<Queue>,
    asking: &Asking,
    until: Instant,
) -> Result<Vec<Taken>, Failure> {
    loop {
        let news = queue.news.notified();
        tokio::pin!(news);
        // From here on no news is missed.
        news.as_mut().enable();
        if queue.is_gone() {
            return Err(SqsError::NoQueue.into());
        }
        let taken = core.take(queue, asking).await?;
        let now = Instant::now();
        if !taken.is_empty() || now >= until || core.stopping.load(Ordering::Acquire) {
            if queue.live().has_ready() {
                // Others who wait get the rest.
                queue.news.notify_one();
            }
            return Ok(taken);
        }
        let due = queue.live().next_due().map(|due| Duration::from_millis(due.saturating_sub(core.now())));
        let look = now + due.unwrap_or(LOOK).clamp(PAUSE, LOOK);
        let _ = tokio::time::timeout_at(look.min(until), news).await;
    }
}

/// The system attributes that a request names.
fn asked_system(input: &api::ReceiveMessageInput) -> Result<Vec<&'static str>, SqsError> {
    let old = input.attribute_names.iter().flatten();
    let names = input.message_system_attribute_names.iter().flatten().chain(old);
    let mut asked = Vec::new();
    for name in names {
        match SYSTEM.iter().find(|known| *known == name) {
            Some(known) => asked.push(*known),
            None if name == "All" => asked.extend_from_slice(SYSTEM),
            None => return Err(SqsError::UnknownAttribute(name.clone())),
        }
    }
    Ok(asked)
}

/// Whether a message's attribute is named by a request: by itself, by a prefix (`a.*`), or with all.
fn is_asked(attribute: &AttributeRow, names: &[String]) -> bool {
    names.iter().any(|name| match name.as_str() {
        "All" | ".*" => true,
        name => match name.strip_suffix(".*") {
            Some(prefix) => attribute.name.starts_with(prefix),
            None => attribute.name == name,
        },
    })
}

pub(crate) fn shown(queue: &Queue, taken: Taken, system: &[&'static str], names: &[String]) -> api::Message {
    let Taken { position, seen, row, content } = taken;
    let attributes: Vec<AttributeRow> =
        content.attributes.into_iter().filter(|attribute| is_asked(attribute, names)).collect();
    let value = |name: &str| match name {
        "AWSTraceHeader" => row.trace.clone(),
        "ApproximateFirstReceiveTimestamp" => Some(seen.first.to_string()),
        "ApproximateReceiveCount" => Some(seen.count.to_string()),
        "DeadLetterQueueSourceArn" => row.dead_from.clone(),
        "MessageDeduplicationId" => row.dedup.clone(),
        "MessageGroupId" => row.group.clone(),
        "SenderId" => Some(row.sender.clone()),
        "SentTimestamp" => Some(row.sent.to_string()),
        "SequenceNumber" => row.group.as_ref().map(|_| sequence_number(position)),
        _ => None,
    };
    let shown: BTreeMap<String, String> =
        system.iter().filter_map(|name| Some(((*name).to_owned(), value(name)?))).collect();
    let custom: BTreeMap<_, _> = attributes.iter().map(|row| (row.name.clone(), message::shown(row))).collect();
    api::Message {
        message_id: Some(id_text(crate::state::chunk_id(&row.id))),
        receipt_handle: Some(Handle { queue: queue.id, position, nonce: seen.nonce }.text()),
        md5_of_body: Some(hex::encode(&row.md5)),
        body: Some(content.body),
        attributes: (!shown.is_empty()).then_some(shown),
        md5_of_message_attributes: message::digest(&attributes),
        message_attributes: (!custom.is_empty()).then_some(custom),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_attributes() {
        let attribute = |name: &str| AttributeRow { name: name.to_owned(), ..AttributeRow::default() };
        for (names, name, expected) in [
            (vec![], "a", false),
            (vec!["a"], "a", true),
            (vec!["a"], "ab", false),
            (vec!["All"], "a", true),
            (vec![".*"], "a", true),
            (vec!["a.*"], "a.b", true),
            (vec!["a.*"], "ab", true),
            (vec!["b.*"], "ab", false),
        ] {
            let names: Vec<String> = names.into_iter().map(str::to_owned).collect();
            assert_eq!(is_asked(&attribute(name), &names), expected, "{names:?} {name}");
        }
    }
}
