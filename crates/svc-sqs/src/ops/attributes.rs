//! Attributes of queues.

use millpond_api_sqs as api;
use millpond_kernel::Caller;
use millpond_meta::ReadError;

use crate::errors::{Failure, SqsError};
use crate::limits;
use crate::queue::Queue;
use crate::settings::{self, Attributes};
use crate::state::{Core, Who};
use crate::tables;

/// How many messages a queue has.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// Messages that can be received.
    pub visible: u64,
    /// Messages in flight.
    pub in_flight: u64,
    /// Messages that are delayed.
    pub delayed: u64,
}

impl Core {
    /// How many messages there are, as far as is known without reading them all.
    pub async fn counts(&self, queue: &Queue) -> Result<Counts, ReadError> {
        let row = self.kv.get(&tables::of_queue(tables::COUNTS, queue.id)).await?;
        let all = row.and_then(|row| <[u8; 8]>::try_from(row.as_ref()).ok()).map_or(0, i64::from_le_bytes);
        let (in_flight, delayed) = {
            let mut live = queue.live();
            live.advance(self.now());
            (live.in_flight() as u64, live.delayed() as u64)
        };
        let all = u64::try_from(all).unwrap_or(0);
        Ok(Counts { visible: all.saturating_sub(in_flight).saturating_sub(delayed), in_flight, delayed })
    }
}

pub(crate) async fn get(
    core: &Core,
    caller: &Caller,
    input: &api::GetQueueAttributesInput,
) -> Result<api::GetQueueAttributesOutput, Failure> {
    let (_, queue) = core
        .on_queue::<api::GetQueueAttributesInput>(caller, &input.queue_url, "sqs:GetQueueAttributes", Who::Anybody)
        .await?;
    let names = input.attribute_names.as_deref().unwrap_or_default();
    if let Some(unknown) = names.iter().find(|name| *name != "All" && !settings::is_known(name)) {
        return Err(SqsError::UnknownAttribute(unknown.clone()).into());
    }
    let facts = queue.facts();
    let mut all: Attributes = settings::shown(&facts.attributes);
    let seconds = |millis: u64| (millis / 1000).to_string();
    all.insert("QueueArn".to_owned(), queue.arn.to_string());
    all.insert("CreatedTimestamp".to_owned(), seconds(facts.created));
    all.insert("LastModifiedTimestamp".to_owned(), seconds(facts.modified));
    let is_asked = |name: &str| names.iter().any(|asked| asked == "All" || asked == name);
    if settings::COMPUTED.iter().any(|name| name.starts_with("Approximate") && is_asked(name)) {
        core.fill(&queue, limits::WINDOW).await?;
        let counts = core.counts(&queue).await?;
        for (name, count) in [
            ("ApproximateNumberOfMessages", counts.visible),
            ("ApproximateNumberOfMessagesNotVisible", counts.in_flight),
            ("ApproximateNumberOfMessagesDelayed", counts.delayed),
        ] {
            all.insert(name.to_owned(), count.to_string());
        }
    }
    all.retain(|name, _| is_asked(name));
    Ok(api::GetQueueAttributesOutput { attributes: (!all.is_empty()).then_some(all) })
}

pub(crate) async fn set(
    core: &Core,
    caller: &Caller,
    input: &api::SetQueueAttributesInput,
) -> Result<api::SetQueueAttributesOutput, Failure> {
    let (authorized, queue) = core
        .on_queue::<api::SetQueueAttributesInput>(caller, &input.queue_url, "sqs:SetQueueAttributes", Who::Own)
        .await?;
    let before = queue.facts();
    let attributes = settings::changed(&before.attributes, &input.attributes, before.settings.fifo, false)?;
    let facts = core.facts(&queue.arn, &before, attributes).await?;
    let (from, to) = (before.settings.delay, facts.settings.delay);
    core.rewrite(authorized.pin(), &queue, facts, Vec::new()).await?;
    if before.settings.fifo && from != to {
        let millis = |delay: std::time::Duration| u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        queue.live().delay_changed(millis(from), millis(to));
    }
    // Who waits learns of a shorter delay.
    queue.news.notify_waiters();
    Ok(api::SetQueueAttributesOutput {})
}
