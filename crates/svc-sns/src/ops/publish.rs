//! Publishing: one commit that appends to the topic's stream, and no other.

use std::collections::HashSet;
use std::sync::Arc;

use millpond_api_sns as api;
use millpond_kernel::Caller;
use millpond_meta::{Batch, Cond};

use crate::errors::{Failure, SnsError};
use crate::fanout;
use crate::inputs::Input;
use crate::limits::{MAX_BATCH, MAX_MESSAGE};
use crate::message::{Given, Message};
use crate::names::uuid;
use crate::state::{Core, On};
use crate::tables;

/// Appends messages to the stream of a topic, as it was decided.
async fn append<I: Input>(core: &Core, on: &On<I>, messages: &[Message]) -> Result<(), Failure> {
    let topic = &on.topic;
    let row = Cond::Equals(tables::topic(topic.account, &topic.name), topic.row.clone());
    let mut ops = Vec::new();
    for message in messages {
        ops.extend(fanout::append(core, topic, message)?);
    }
    core.kv.commit(Batch { conds: vec![on.authorized.pin().cond(), row], ops, ..Batch::default() }).await?;
    Ok(())
}

/// The group that first attempts keep the order of.
fn group(given: Option<&str>) -> Result<Option<String>, SnsError> {
    let Some(group) = given else { return Ok(None) };
    let fits = (1..=128).contains(&group.len()) && group.bytes().all(|byte| byte.is_ascii_graphic());
    if fits { Ok(Some(group.to_owned())) } else { Err(SnsError::parameter("MessageGroupId")) }
}

pub(crate) async fn publish(
    core: &Arc<Core>,
    caller: &Arc<Caller>,
    input: &api::PublishInput,
) -> Result<api::PublishOutput, Failure> {
    if input.phone_number.is_some() {
        return Err(SnsError::Unserved("The parameter PhoneNumber".to_owned()).into());
    }
    let (arn, parameter) = match (&input.topic_arn, &input.target_arn) {
        (Some(arn), None) => (arn, "TopicArn"),
        (None, Some(arn)) if arn.contains(":endpoint/") => {
            return Err(SnsError::Unserved("Publishing to a platform endpoint".to_owned()).into());
        }
        (None, Some(arn)) => (arn, "TargetArn"),
        (Some(_), Some(_)) => {
            return Err(SnsError::parameter("TopicArn or TargetArn Reason: both are given").into());
        }
        (None, None) => {
            return Err(SnsError::parameter("TopicArn or TargetArn Reason: no value for required parameter").into());
        }
    };
    let on = core.on_topic::<api::PublishInput>(caller, arn, parameter, |resolved| resolved).await?;
    let given = Given {
        text: &input.message,
        subject: input.subject.as_deref(),
        structure: input.message_structure.as_deref(),
        attributes: input.message_attributes.as_ref(),
        deduplication: input.message_deduplication_id.as_deref(),
    };
    let mut message = Message::given(core.new_id(), core.now(), caller.causes().clone(), &given)?;
    message.group = group(input.message_group_id.as_deref())?;
    append(core, &on, std::slice::from_ref(&message)).await?;
    Ok(api::PublishOutput { message_id: Some(uuid(message.id)), sequence_number: None })
}

fn check_batch(entries: &[api::PublishBatchRequestEntry]) -> Result<(), SnsError> {
    if entries.is_empty() {
        return Err(SnsError::Batch("EmptyBatchRequest", "The batch request doesn't contain any entries."));
    }
    if entries.len() > MAX_BATCH {
        let text = "The batch request contains more entries than permissible.";
        return Err(SnsError::Batch("TooManyEntriesInBatchRequest", text));
    }
    let mut ids = HashSet::new();
    for entry in entries {
        let plain = entry.id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        if !(1..=80).contains(&entry.id.len()) || !plain {
            let text = "The Id of a batch entry in a batch request doesn't abide by the specification.";
            return Err(SnsError::Batch("InvalidBatchEntryId", text));
        }
        if !ids.insert(entry.id.as_str()) {
            let text = "Two or more batch entries in the request have the same Id.";
            return Err(SnsError::Batch("BatchEntryIdsNotDistinct", text));
        }
    }
    Ok(())
}

fn entry(core: &Core, caller: &Caller, entry: &api::PublishBatchRequestEntry) -> Result<Message, SnsError> {
    let given = Given {
        text: &entry.message,
        subject: entry.subject.as_deref(),
        structure: entry.message_structure.as_deref(),
        attributes: entry.message_attributes.as_ref(),
        deduplication: entry.message_deduplication_id.as_deref(),
    };
    let mut message = Message::given(core.new_id(), core.now(), caller.causes().clone(), &given)?;
    message.group = group(entry.message_group_id.as_deref())?;
    Ok(message)
}

pub(crate) async fn batch(
    core: &Arc<Core>,
    caller: &Arc<Caller>,
    input: &api::PublishBatchInput,
) -> Result<api::PublishBatchOutput, Failure> {
    let on = core.on_topic::<api::PublishBatchInput>(caller, &input.topic_arn, "TopicArn", |r| r).await?;
    let entries = &input.publish_batch_request_entries;
    check_batch(entries)?;
    let (mut messages, mut successful, mut failed) = (Vec::new(), Vec::new(), Vec::new());
    for given in entries {
        match entry(core, caller, given) {
            Ok(message) => {
                successful.push(api::PublishBatchResultEntry {
                    id: Some(given.id.clone()),
                    message_id: Some(uuid(message.id)),
                    sequence_number: None,
                });
                messages.push(message);
            }
            Err(error) => {
                let (code, message, sender_fault) = error.entry();
                let (id, code) = (given.id.clone(), code.to_owned());
                failed.push(api::BatchResultErrorEntry { id, code, message: Some(message), sender_fault });
            }
        }
    }
    if messages.iter().map(Message::size).sum::<usize>() > MAX_MESSAGE {
        let text = "The length of all the messages put together is more than the limit.";
        return Err(SnsError::Batch("BatchRequestTooLong", text).into());
    }
    if !messages.is_empty() {
        append(core, &on, &messages).await?;
    }
    Ok(api::PublishBatchOutput { successful: Some(successful), failed: Some(failed) })
}
