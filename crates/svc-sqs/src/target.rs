//! Queues as targets of other services, and their figures.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use millpond_api_sqs as api;
use millpond_kernel::{Arrival, Caller, Delivery, Pin, Rejection, Target};
use millpond_meta::ReadError;
use millpond_meta::key::prefix_end;
use millpond_types::Arn;

use crate::errors::SqsError;
use crate::live::kept_from;
use crate::message::{Said, Words, id_text};
use crate::ops::attributes::Counts;
use crate::queue::Queue;
use crate::rows;
use crate::sending::Letter;
use crate::state::{self, Core, Touch, Who};
use crate::{Sqs, names, tables};

/// The figures of a queue.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct QueueFigures {
    /// The queue's ARN.
    pub arn: String,
    /// Its messages.
    pub counts: Counts,
    /// Seconds for which the message at its front has waited.
    pub oldest: u64,
}

pub(crate) fn rejection(error: SqsError) -> Rejection {
    match error {
        SqsError::NoQueue => Rejection::NotFound(error.to_string()),
        SqsError::Denied(reason) => Rejection::Denied(reason),
        SqsError::Internal(_) | SqsError::Full | SqsError::Busy => Rejection::Failed(error.to_string()),
        other => Rejection::Invalid(other.to_string()),
    }
}

impl Core {
    /// Decides whether a sender may send to the queue of an ARN.
    async fn admitted(&self, to: &Arn, from: &Caller) -> Result<(Pin, Arc<Queue>), SqsError> {
        let (account, name) = names::of_arn(to.as_str(), self.kernel.region()).ok_or(SqsError::NoQueue)?;
        let pin = self.kernel.epoch().now();
        let queue = self.find(account, &name).ok_or(SqsError::NoQueue)?;
        let touch = Touch::queue("sqs:SendMessage", to.clone(), account, Some(&queue), from, Who::Anybody);
        let authorized = self.decide::<api::SendMessageInput>(pin, from, vec![touch], Vec::new()).await?;
        Ok((authorized.pin(), queue))
    }

    async fn arrival(&self, to: &Arn, from: &Caller, delivery: &Delivery) -> Result<Arrival, SqsError> {
        let (pin, queue) = self.admitted(to, from).await?;
        let body = std::str::from_utf8(&delivery.body).map_err(|_| SqsError::Contents)?;
        let attributes = delivery.attributes.iter().map(|attribute| {
            let binary = attribute.data_type.starts_with("Binary");
            let value = api::MessageAttributeValue {
                string_value: (!binary).then(|| String::from_utf8_lossy(&attribute.value).into_owned()),
                binary_value: binary.then(|| attribute.value.clone()),
                data_type: attribute.data_type.clone(),
                ..api::MessageAttributeValue::default()
            };
            (attribute.name.clone(), value)
        });
        let attributes = attributes.collect();
        let facts = queue.facts();
        // What is ordered says so; a queue without order has nothing to do with it.
        let fifo = facts.settings.fifo;
        let words = Words {
            body,
            delay: None,
            attributes: Some(&attributes),
            system: None,
            group: delivery.group.as_deref().filter(|_| fifo),
            dedup: delivery.dedup.as_deref().filter(|_| fifo),
        };
        let said = Said::of(&words, &facts.settings)?;
        let sender = from.principal().user_id();
        let event = Some(delivery.event.as_str()).filter(|event| !event.is_empty());
        let letter = Letter { id: delivery.id, said: &said, sender: &sender, event, causes: &delivery.causes };
        let mut put = self.putting(&queue, &[letter]).await?;
        put.conds.insert(0, pin.cond());
        Ok(Arrival { conds: put.conds, ops: put.ops })
    }

    /// From when on the first message of a queue is kept.
    async fn oldest(&self, queue: &Queue) -> Result<Option<u64>, ReadError> {
        let prefix = tables::of_queue(tables::MESSAGES, queue.id);
        let to = prefix_end(&prefix);
        let swept = queue.live().swept;
        let from = swept.map_or(prefix, |position| tables::at(tables::MESSAGES, queue.id, position));
        let first = state::page(&*self.kv, std::ops::Bound::Included(from), &to, 1).await?;
        first.first().map(|(_, row)| Ok(kept_from(&rows::decode(row, "a message")?))).transpose()
    }
}

impl Sqs {
    /// The figures of all queues. Messages in flight and delayed are known of queues that were used since the start.
    pub async fn figures(&self) -> Result<Vec<QueueFigures>, ReadError> {
        let queues: Vec<Arc<Queue>> = self.core.queues().all().cloned().collect();
        let mut figures = Vec::with_capacity(queues.len());
        for queue in queues {
            let counts = self.core.counts(&queue).await?;
            let oldest = self.core.oldest(&queue).await?;
            let oldest = oldest.map_or(0, |oldest| self.core.now().saturating_sub(oldest) / 1000);
            figures.push(QueueFigures { arn: queue.arn.to_string(), counts, oldest });
        }
        Ok(figures)
    }
}

impl Target for Sqs {
    fn check<'a>(&'a self, to: &'a Arn, from: &'a Caller) -> BoxFuture<'a, Result<(), Rejection>> {
        async move { self.core.admitted(to, from).await.map(drop).map_err(rejection) }.boxed()
    }

    fn arrive<'a>(
        &'a self,
        to: &'a Arn,
        from: &'a Caller,
        delivery: &'a Delivery,
    ) -> BoxFuture<'a, Result<Arrival, Rejection>> {
        async move { self.core.arrival(to, from, delivery).await.map_err(rejection) }.boxed()
    }

    fn message_id(&self, delivery: u128) -> Option<String> {
        Some(id_text(delivery))
    }
}
