//! Reading a queue: batches of messages, several at a time, each deleted when the function has done it (Developer Guide, "Using Lambda with Amazon SQS").
//!
//! What a function fails stays as it was received: it is visible again after the queue's visibility timeout, and the queue's own redrive policy says how
//! often.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use millpond_kernel::{Attribute, Queues, ReceivedMessage, Rejection};
use millpond_runtime::Ended;
use millpond_types::CauseChain;
use serde_json::{Map, Value, json};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::batch::{self, MAX_RECORDS_BYTES};
use super::{Acting, Mapping, pause};
use crate::async_invoke::count;
use crate::errors::LambdaError;
use crate::names::uuid;
use crate::state::Core;

/// Batches of one queue that functions are at, unless the mapping has a number of its own (`ScalingConfig`).
const SIDE_BY_SIDE: usize = 32;
/// Messages that one call receives.
const MANY: usize = 10;
/// How long one call waits for messages: after it, the mapping is looked at again.
const WAIT: Duration = Duration::from_secs(2);
/// Waits after what kept it from reading, and after throttles: doubled each time.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LAST_PAUSE: Duration = Duration::from_secs(20);

/// Reads a queue until it is told to stop.
pub(crate) async fn run(core: Arc<Core>, mapping: Arc<Mapping>, mut stopped: watch::Receiver<bool>) {
    let most = mapping.row.concurrency.and_then(|most| usize::try_from(most).ok());
    let permits = Arc::new(Semaphore::new(most.unwrap_or(SIDE_BY_SIDE).max(1)));
    let (mut tasks, mut stuck) = (JoinSet::new(), 0);
    while !*stopped.borrow() {
        let permit = tokio::select! {
            permit = Arc::clone(&permits).acquire_owned() => permit,
            _ = stopped.wait_for(|stop| *stop) => break,
        };
        let Ok(permit) = permit else { break };
        while tasks.try_join_next().is_some() {}
        match received(&core, &mapping, &stopped).await {
            Ok((_, messages)) if messages.is_empty() => {
                mapping.runs();
                stuck = 0;
            }
            Ok((acting, messages)) => {
                mapping.runs();
                stuck = 0;
                let (core, mapping, stopped) = (Arc::clone(&core), Arc::clone(&mapping), stopped.clone());
                tasks.spawn(async move {
                    let reading = Reading { core, mapping, acting };
                    if let Err(why) = reading.process(messages, stopped).await {
                        reading.mapping.problem(&why.to_string());
                    }
                    drop(permit);
                });
            }
            Err(why) => {
                mapping.problem(&why.to_string());
                stuck += 1;
                pause(&mut stopped, back_off(stuck)).await;
            }
        }
    }
    while tasks.join_next().await.is_some() {}
}

fn back_off(times: u32) -> Duration {
    FIRST_PAUSE.saturating_mul(1 << times.saturating_sub(1).min(16)).min(LAST_PAUSE)
}

fn queues(core: &Core) -> Result<Arc<dyn Queues>, Rejection> {
    core.kernel.queues().ok_or_else(|| Rejection::Failed("queues are not served".to_owned()))
}

/// The messages of a batch: as many as it is to have, or those that come within its window.
async fn received(
    core: &Core,
    mapping: &Mapping,
    stopped: &watch::Receiver<bool>,
) -> Result<(Acting, Vec<ReceivedMessage>), Rejection> {
    let acting = core.acting(mapping).await?;
    let queues = queues(core)?;
    let want = usize::try_from(mapping.row.batch).unwrap_or(1).max(1);
    let mut messages = queues.receive(&mapping.source, &acting.caller, want.min(MANY), WAIT).await?;
    let until = Instant::now() + gathering(&*queues, mapping, &acting).await?;
    let mut bytes: usize = messages.iter().map(|message| message.body.len()).sum();
    while !messages.is_empty() && messages.len() < want && bytes < MAX_RECORDS_BYTES && !*stopped.borrow() {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        let most = (want - messages.len()).min(MANY);
        // What was received already is not lost by an error here: it is visible again later.
        let more = queues.receive(&mapping.source, &acting.caller, most, left.min(WAIT)).await?;
        for message in more {
            bytes += message.body.len();
            add(&mut messages, message);
        }
    }
    Ok((acting, messages))
}

/// How long messages of a batch are gathered: its window, but no longer than half of the time in which nobody else receives the first ones, so that
/// the function has the other half.
async fn gathering(queues: &dyn Queues, mapping: &Mapping, acting: &Acting) -> Result<Duration, Rejection> {
    if mapping.row.window == 0 {
        return Ok(Duration::ZERO);
    }
    let facts = queues.facts(&mapping.source, &acting.caller).await?;
    Ok(Duration::from_secs(u64::from(mapping.row.window)).min(facts.visibility / 2))
}

/// Adds a message to a batch. One that is in it already was visible again: it is the same, and its new receipt counts.
fn add(messages: &mut Vec<ReceivedMessage>, message: ReceivedMessage) {
    match messages.iter_mut().find(|there| there.id == message.id) {
        Some(there) => *there = message,
        None => messages.push(message),
    }
}

struct Reading {
    core: Arc<Core>,
    mapping: Arc<Mapping>,
    acting: Acting,
}

/// A message, as functions get it.
struct Message {
    id: String,
    receipt: String,
    json: Bytes,
    causes: CauseChain,
}

impl Reading {
    async fn process(&self, messages: Vec<ReceivedMessage>, stopped: watch::Receiver<bool>) -> Result<(), Rejection> {
        let (mapping, by) = (&self.mapping, &self.acting.caller);
        let queues = queues(&self.core)?;
        let (mut wanted, mut unwanted, mut looped) = (Vec::new(), Vec::new(), Vec::new());
        for message in messages {
            let json = record(&message, mapping.source.as_str(), self.core.kernel.region().as_str());
            if batch::is_loop(&self.acting, &message.causes) {
                looped.push(message.receipt);
            } else if batch::wanted(&mapping.filters, filtered(&json).to_string().as_bytes()) {
                let (id, receipt, causes) = (message.id, message.receipt, message.causes);
                wanted.push(Message { id, receipt, json: json.to_string().into(), causes });
            } else {
                unwanted.push(message.receipt);
            }
        }
        if !looped.is_empty() {
            looped.iter().for_each(|_| count(&self.core.counters.loops));
            let kept = queues.bury(&mapping.source, by, &looped, batch::LOOP).await?;
            tracing::warn!(mapping = uuid(mapping.id), kept, "messages were not processed: {}", batch::LOOP);
        }
        if !unwanted.is_empty() {
            // What no filter wants is done (Developer Guide, "Control which events Lambda sends to your function").
            queues.delete(&mapping.source, by, &unwanted).await?;
        }
        let visibility = if wanted.is_empty() {
            Duration::ZERO
        } else {
            queues.facts(&mapping.source, by).await.map_or(Duration::from_secs(30), |facts| facts.visibility)
        };
        for some in parts(wanted) {
            self.part(&*queues, some, visibility, stopped.clone()).await?;
        }
        Ok(())
    }

    /// Invokes the function with messages that fit into one event.
    async fn part(
        &self,
        queues: &dyn Queues,
        messages: Vec<Message>,
        visibility: Duration,
        mut stopped: watch::Receiver<bool>,
    ) -> Result<(), Rejection> {
        let mapping = &self.mapping;
        let longest = messages.iter().map(|message| &message.causes).max_by_key(|causes| causes.len());
        let causes: CauseChain = longest.cloned().unwrap_or_default();
        let payload = batch::event(messages.iter().map(|message| &message.json));
        // As long as nobody else can receive them, what is throttled is tried again.
        let (until, mut times) = (Instant::now() + visibility / 2, 0);
        let ran = loop {
            match batch::invoke(&self.core, &self.acting, payload.clone(), causes.clone()).await {
                Ok(ran) => break ran,
                Err(LambdaError::TooMany(_)) if Instant::now() < until => {
                    count(&self.core.counters.throttled);
                    times += 1;
                    if !pause(&mut stopped, back_off(times)).await {
                        let receipts: Vec<String> = messages.into_iter().map(|message| message.receipt).collect();
                        return queues.give_back(&mapping.source, &self.acting.caller, &receipts, Duration::ZERO).await;
                    }
                }
                Err(LambdaError::Stopping) => {
                    let receipts: Vec<String> = messages.into_iter().map(|message| message.receipt).collect();
                    return queues.give_back(&mapping.source, &self.acting.caller, &receipts, Duration::ZERO).await;
                }
                Err(error) => return Err(error.into()),
            }
        };
        let failed = match &ran.ended {
            Ended::Answer(answer) if mapping.row.partial => failed(answer, &messages),
            Ended::Answer(_) => Some(HashSet::new()),
            Ended::Failed { .. } => None,
        };
        let Some(failed) = failed else {
            mapping.problem("Function call failed");
            return Ok(());
        };
        let is_done = |message: &&Message| !failed.contains(&message.id);
        let done: Vec<String> = messages.iter().filter(is_done).map(|message| message.receipt.clone()).collect();
        if failed.is_empty() {
            mapping.say("OK");
        } else {
            mapping.problem("Function reported batch item failures");
        }
        // The role's session may be older than the invocation took.
        let acting = self.core.acting(mapping).await?;
        for some in done.chunks(MANY) {
            queues.delete(&mapping.source, &acting.caller, some).await?;
        }
        Ok(())
    }
}

/// Messages as they fit into events.
fn parts(messages: Vec<Message>) -> Vec<Vec<Message>> {
    let (mut parts, mut part, mut bytes) = (Vec::new(), Vec::new(), 0);
    for message in messages {
        bytes += message.json.len() + 1;
        if bytes > MAX_RECORDS_BYTES && !part.is_empty() {
            parts.push(std::mem::take(&mut part));
            bytes = message.json.len() + 1;
        }
        part.push(message);
    }
    parts.extend((!part.is_empty()).then_some(part));
    parts
}

/// The ids of those that failed, by a function's report; `None` where all did.
fn failed(answer: &[u8], messages: &[Message]) -> Option<HashSet<String>> {
    let ids: HashSet<String> = batch::reported(answer)?.into_iter().collect();
    let known = |id: &String| messages.iter().any(|message| message.id == *id);
    ids.iter().all(known).then_some(ids)
}

fn attribute(attribute: &Attribute) -> (String, Value) {
    let binary = attribute.data_type.starts_with("Binary");
    let mut shown = Map::new();
    if binary {
        shown.insert("binaryValue".to_owned(), STANDARD.encode(&attribute.value).into());
    } else {
        shown.insert("stringValue".to_owned(), String::from_utf8_lossy(&attribute.value).into_owned().into());
    }
    shown.insert("stringListValues".to_owned(), json!([]));
    shown.insert("binaryListValues".to_owned(), json!([]));
    shown.insert("dataType".to_owned(), attribute.data_type.clone().into());
    (attribute.name.clone(), shown.into())
}

/// A message as functions get it (Developer Guide, "Using Lambda with Amazon SQS").
fn record(message: &ReceivedMessage, source: &str, region: &str) -> Value {
    let system = message.system.iter().map(|(name, value)| (name.clone(), Value::from(value.clone())));
    let mut record = json!({
        "messageId": message.id,
        "receiptHandle": message.receipt,
        "body": String::from_utf8_lossy(&message.body),
        "attributes": system.collect::<Map<_, _>>(),
        "messageAttributes": message.attributes.iter().map(attribute).collect::<Map<_, _>>(),
        "md5OfBody": message.md5,
        "eventSource": "aws:sqs",
        "eventSourceARN": source,
        "awsRegion": region,
    });
    if let Some(md5) = &message.md5_of_attributes {
        record["md5OfMessageAttributes"] = md5.clone().into();
    }
    record
}

/// A message as filters see it: a body that is a JSON object is one.
fn filtered(record: &Value) -> Value {
    let mut seen = record.clone();
    let body = record.get("body").and_then(Value::as_str).and_then(|body| serde_json::from_str(body).ok());
    if let Some(body @ Value::Object(_)) = body {
        seen["body"] = body;
    }
    seen
}

#[cfg(test)]
mod tests {
    use millpond_pattern::Pattern;

    use super::*;

    fn received(body: &str) -> ReceivedMessage {
        ReceivedMessage {
            id: "m1".into(),
            receipt: "r1".into(),
            body: Bytes::copy_from_slice(body.as_bytes()),
            md5: "d".into(),
            system: vec![("SentTimestamp".into(), "1".into())],
            attributes: vec![
                Attribute { name: "b".into(), data_type: "Binary".into(), value: Bytes::from_static(b"\0") },
                Attribute { name: "n".into(), data_type: "Number".into(), value: Bytes::from_static(b"5") },
            ],
            md5_of_attributes: Some("e".into()),
            causes: Vec::new(),
        }
    }

    #[test]
    fn messages_are_as_functions_get_them() {
        let empty: [u8; 0] = [];
        assert_eq!(
            record(&received("hi"), "arn:aws:sqs:us-east-1:123456789012:q", "us-east-1"),
            json!({
                "messageId": "m1", "receiptHandle": "r1", "body": "hi", "attributes": {"SentTimestamp": "1"},
                "messageAttributes": {
                    "b": {"binaryValue": "AA==", "stringListValues": empty, "binaryListValues": empty, "dataType": "Binary"},
                    "n": {"stringValue": "5", "stringListValues": empty, "binaryListValues": empty, "dataType": "Number"},
                },
                "md5OfBody": "d", "md5OfMessageAttributes": "e", "eventSource": "aws:sqs",
                "eventSourceARN": "arn:aws:sqs:us-east-1:123456789012:q", "awsRegion": "us-east-1",
            })
        );
    }

    #[test]
    fn batches_have_each_message_once() {
        let with =
            |id: &str, receipt: &str| ReceivedMessage { id: id.into(), receipt: receipt.into(), ..received("x") };
        let mut messages = Vec::new();
        for (id, receipt) in [("a", "1"), ("b", "2"), ("a", "3")] {
            add(&mut messages, with(id, receipt));
        }
        let receipts: Vec<_> = messages.iter().map(|message| message.receipt.as_str()).collect();
        assert_eq!(receipts, ["3", "2"]);
    }

    #[test]
    fn filters_look_into_bodies() {
        for (pattern, body, expected) in [
            (r#"{"body": {"kind": ["a"]}}"#, r#"{"kind": "a"}"#, true),
            (r#"{"body": {"kind": ["a"]}}"#, r#"{"kind": "b"}"#, false),
            (r#"{"body": {"kind": ["a"]}}"#, "plain", false),
            (r#"{"body": ["plain"]}"#, "plain", true),
            (r#"{"messageAttributes": {"n": {"stringValue": ["5"]}}}"#, "x", true),
        ] {
            let filters = [Pattern::parse(pattern).unwrap()];
            let seen = filtered(&record(&received(body), "q", "r")).to_string();
            assert_eq!(batch::wanted(&filters, seen.as_bytes()), expected, "{pattern} {body}");
        }
    }

    #[test]
    fn large_batches_become_several_events() {
        let message = |bytes: usize| Message {
            id: String::new(),
            receipt: String::new(),
            json: vec![b'x'; bytes].into(),
            causes: Vec::new(),
        };
        let sizes =
            |sizes: &[usize]| parts(sizes.iter().map(|size| message(*size)).collect()).iter().map(Vec::len).collect();
        let none: Vec<usize> = Vec::new();
        assert_eq!((sizes(&[]), sizes(&[1, 2, 3])), (none, vec![3]));
        let half: Vec<usize> = sizes(&[MAX_RECORDS_BYTES / 2; 4]);
        assert_eq!(half, [1, 1, 1, 1]);
    }
}
