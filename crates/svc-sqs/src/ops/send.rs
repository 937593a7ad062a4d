//! Sending.

use std::sync::Arc;

use millpond_api_sqs as api;
use millpond_kernel::Caller;

use super::batch;
use crate::errors::{Failure, SqsError};
use crate::limits;
use crate::message::{Said, Words, id_text, random_id};
use crate::queue::Queue;
use crate::sending::{Letter, Sent, sequence_number};
use crate::state::{Core, Who};

pub(crate) async fn send(
    core: &Arc<Core>,
    caller: &Caller,
    input: &api::SendMessageInput,
) -> Result<api::SendMessageOutput, Failure> {
    let (authorized, queue) =
        core.on_queue::<api::SendMessageInput>(caller, &input.queue_url, "sqs:SendMessage", Who::Anybody).await?;
    let words = Words {
        body: &input.message_body,
        delay: input.delay_seconds,
        attributes: input.message_attributes.as_ref(),
        system: input.message_system_attributes.as_ref(),
        group: input.message_group_id.as_deref(),
        dedup: input.message_deduplication_id.as_deref(),
    };
    let said = Said::of(&words, &queue.facts().settings)?;
    let sender = caller.principal().user_id();
    let letter =
        Letter { id: random_id(&*core.random), said: &said, sender: &sender, event: None, causes: caller.causes() };
    let sent = core.send(&queue, authorized.pin(), &[letter]).await?;
    let Some(sent) = sent.first() else { return Err(SqsError::Internal("nothing was sent".to_owned()).into()) };
    Ok(api::SendMessageOutput {
        md5_of_message_body: Some(hex::encode(said.md5)),
        md5_of_message_attributes: said.md5_of_attributes,
        md5_of_message_system_attributes: said.md5_of_system,
        message_id: Some(id_text(sent.id)),
        sequence_number: number(&queue, sent),
    })
}

fn number(queue: &Queue, sent: &Sent) -> Option<String> {
    queue.facts().settings.fifo.then(|| sent.position.map(sequence_number)).flatten()
}

pub(crate) async fn send_batch(
    core: &Arc<Core>,
    caller: &Caller,
    input: &api::SendMessageBatchInput,
) -> Result<api::SendMessageBatchOutput, Failure> {
    let (authorized, queue) =
        core.on_queue::<api::SendMessageBatchInput>(caller, &input.queue_url, "sqs:SendMessage", Who::Anybody).await?;
    batch::check(input.entries.iter().map(|entry| entry.id.as_str()), "SendMessageBatchRequestEntry")?;
    let facts = queue.facts();
    let mut output = api::SendMessageBatchOutput::default();
    let mut good: Vec<(&str, Said)> = Vec::with_capacity(input.entries.len());
    for entry in &input.entries {
        let words = Words {
            body: &entry.message_body,
            delay: entry.delay_seconds,
            attributes: entry.message_attributes.as_ref(),
            system: entry.message_system_attributes.as_ref(),
            group: entry.message_group_id.as_deref(),
            dedup: entry.message_deduplication_id.as_deref(),
        };
        match Said::of(&words, &facts.settings) {
            Ok(said) => good.push((&entry.id, said)),
            Err(error) => output.failed.push(batch::failed(&entry.id, &error)),
        }
    }
    let size: u64 = good.iter().map(|(_, said)| said.size).sum();
    if size > limits::MAX_MESSAGE {
        return Err(SqsError::LongBatch(size).into());
    }
    let sender = caller.principal().user_id();
    let letter = |(_, said)| Letter {
        id: random_id(&*core.random),
        said,
        sender: &sender,
        event: None,
        causes: caller.causes(),
    };
    let letters: Vec<Letter<'_>> = good.iter().map(|(id, said)| letter((id, said))).collect();
    let sent = core.send(&queue, authorized.pin(), &letters).await?;
    for ((id, said), sent) in good.iter().zip(&sent) {
        output.successful.push(api::SendMessageBatchResultEntry {
            id: (*id).to_owned(),
            message_id: id_text(sent.id),
            md5_of_message_body: hex::encode(said.md5),
            md5_of_message_attributes: said.md5_of_attributes.clone(),
            md5_of_message_system_attributes: said.md5_of_system.clone(),
            sequence_number: number(&queue, sent),
        });
    }
    Ok(output)
}
