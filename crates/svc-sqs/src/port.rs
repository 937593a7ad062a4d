//! The port by which other services take messages out of queues.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use millpond_api_sqs as api;
use millpond_kernel::{Attribute, Caller, Pin, QueueFacts, Queues, ReceivedMessage, Rejection};
use millpond_meta::{Cond, Op};
use millpond_types::Arn;
use tokio::time::Instant;

use crate::Sqs;
use crate::errors::{Failure, SqsError};
use crate::handle::Handle;
use crate::limits;
use crate::ops::receive;
use crate::ops::remove::{Deleting, changes, found};
use crate::protocol::Input;
use crate::queue::Queue;
use crate::rows::{self, AttributeRow, MessageRow};
use crate::state::{Core, Who};
use crate::taking::{Asking, Taken, dead_letter};
use crate::target::rejection;
use crate::{names, tables};

/// Receipts that one call of the API takes.
const MANY: usize = 10;
/// The attribute that tells why a message was moved.
const REASON: &str = "ErrorMessage";

impl Core {
    /// The queue of an ARN, if the caller may do something with it.
    async fn of_arn<I: Input>(
        &self,
        by: &Caller,
        arn: &Arn,
        action: &'static str,
    ) -> Result<(Pin, Arc<Queue>), SqsError> {
        let (account, name) = names::of_arn(arn.as_str(), self.kernel.region()).ok_or(SqsError::NoQueue)?;
        let url = format!("/{account}/{name}");
        let (authorized, queue) = self.on_queue::<I>(by, &url, action, Who::Anybody).await?;
        Ok((authorized.pin(), queue))
    }

    async fn take_for(
        self: &Arc<Self>,
        arn: &Arn,
        by: &Caller,
        most: usize,
        wait: Duration,
    ) -> Result<Vec<ReceivedMessage>, SqsError> {
        let until = Instant::now() + wait;
        let taken = self.kernel.again(|| async {
            let (pin, queue) = self.of_arn::<api::ReceiveMessageInput>(by, arn, "sqs:ReceiveMessage").await?;
            let visibility = queue.facts().settings.visibility.as_secs();
            let asking = Asking { most: most.clamp(1, MANY), visibility, pin, short: false, attempt: None };
            let taken = receive::wait(self, &queue, &asking, until).await?;
            Ok((queue, taken))
        });
        let (queue, taken) = taken.await?;
        Ok(taken.into_iter().map(|taken| received(&queue, taken)).collect())
    }

    /// Moves messages to the dead-letter queue, with the reason; deletes them where there is none. Whether there is one.
    async fn bury(
        self: &Arc<Self>,
        queue: &Arc<Queue>,
        pin: Pin,
        receipts: &[String],
        reason: &str,
    ) -> Result<bool, Failure> {
        let facts = queue.facts();
        let target = facts.settings.redrive.as_ref().and_then(|redrive| self.by_arn(&redrive.target));
        let Some(target) = target.filter(|target| target.facts().settings.fifo == facts.settings.fifo) else {
            self.delete(queue, pin, receipts.to_vec()).await?;
            return Ok(false);
        };
        for text in receipts {
            let (core, queue, target) = (Arc::clone(self), Arc::clone(queue), Arc::clone(&target));
            let (text, reason) = (text.clone(), reason.to_owned());
            // To its end, so that memory stays true.
            let task = tokio::spawn(async move { core.bury_one(&queue, &target, pin, &text, &reason).await });
            task.await.map_err(|error| SqsError::Internal(error.to_string()))??;
        }
        Ok(true)
    }

    async fn bury_one(
        &self,
        queue: &Arc<Queue>,
        target: &Queue,
        pin: Pin,
        receipt: &str,
        reason: &str,
    ) -> Result<(), Failure> {
        let now = self.now();
        let handle = Handle::parse(receipt, queue.id)?;
        if !matches!(found(queue, &handle, receipt, now), Ok(true)) {
            return Ok(());
        }
        let key = tables::at(tables::MESSAGES, queue.id, handle.position);
        let position = handle.position;
        let mut deleting = Deleting { queue: Arc::clone(queue), handles: vec![handle] };
        let Some(row) = self.kv.get(&key).await? else { return Ok(()) };
        let row: MessageRow = rows::decode(&row, "a message")?;
        let mut content = self.open(&row).await?;
        if content.attributes.len() < limits::MAX_ATTRIBUTES {
            let (name, data_type) = (REASON.to_owned(), "String".to_owned());
            content.attributes.push(AttributeRow { name, data_type, value: Bytes::copy_from_slice(reason.as_bytes()) });
        }
        let (mut conds, mut ops) = changes(&deleting, pin);
        let (content_bytes, chunks) = (Bytes::new(), Bytes::new());
        let mut dead = MessageRow { content: content_bytes, chunked: 0, chunks, ..dead_letter(queue, &row, now) };
        self.fill_in(&mut dead, rows::encode(&content), target.facts().settings.sealed, &mut ops)?;
        conds.push(Cond::Present(tables::of_queue(tables::QUEUES, target.id)));
        let stream = tables::of_queue(tables::MESSAGES, target.id);
        ops.push(Op::Append { stream, value: rows::encode(&dead) });
        ops.push(Op::Add(tables::of_queue(tables::COUNTS, target.id), 1));
        self.commit(conds, ops, true).await?;
        deleting.handles.clear();
        queue.live().remove(position);
        Ok(())
    }
}

fn received(queue: &Queue, taken: Taken) -> ReceivedMessage {
    let causes = taken.row.causes.clone();
    let api::Message {
        message_id,
        receipt_handle,
        md5_of_body,
        body,
        attributes,
        md5_of_message_attributes,
        message_attributes,
    } = receive::shown(queue, taken, receive::SYSTEM, &["All".to_owned()]);
    let attribute = |(name, value): (String, api::MessageAttributeValue)| Attribute {
        name,
        value: value.binary_value.or(value.string_value.map(Bytes::from)).unwrap_or_default(),
        data_type: value.data_type,
    };
    ReceivedMessage {
        id: message_id.unwrap_or_default(),
        receipt: receipt_handle.unwrap_or_default(),
        body: body.unwrap_or_default().into(),
        md5: md5_of_body.unwrap_or_default(),
        system: attributes.unwrap_or_default().into_iter().collect(),
        attributes: message_attributes.unwrap_or_default().into_iter().map(attribute).collect(),
        md5_of_attributes: md5_of_message_attributes,
        causes,
    }
}

impl Queues for Sqs {
    fn facts<'a>(&'a self, queue: &'a Arn, by: &'a Caller) -> BoxFuture<'a, Result<QueueFacts, Rejection>> {
        async move {
            let found = self.core.of_arn::<api::GetQueueAttributesInput>(by, queue, "sqs:GetQueueAttributes").await;
            let facts = found.map_err(rejection)?.1.facts();
            Ok(QueueFacts { visibility: facts.settings.visibility, fifo: facts.settings.fifo })
        }
        .boxed()
    }

    fn may_take<'a>(&'a self, queue: &'a Arn, by: &'a Caller) -> BoxFuture<'a, Result<(), Rejection>> {
        let denied = |error, action: &str| match rejection(error) {
            Rejection::Denied(_) => Rejection::Denied(action.to_owned()),
            other => other,
        };
        async move {
            let core = &self.core;
            let receives = core.of_arn::<api::ReceiveMessageInput>(by, queue, "sqs:ReceiveMessage").await;
            receives.map_err(|error| denied(error, "ReceiveMessage"))?;
            let deletes = core.of_arn::<api::DeleteMessageInput>(by, queue, "sqs:DeleteMessage").await;
            deletes.map_err(|error| denied(error, "DeleteMessage")).map(drop)
        }
        .boxed()
    }

    fn receive<'a>(
        &'a self,
        queue: &'a Arn,
        by: &'a Caller,
        most: usize,
        wait: Duration,
    ) -> BoxFuture<'a, Result<Vec<ReceivedMessage>, Rejection>> {
        async move { self.core.take_for(queue, by, most, wait).await.map_err(rejection) }.boxed()
    }

    fn delete<'a>(
        &'a self,
        queue: &'a Arn,
        by: &'a Caller,
        receipts: &'a [String],
    ) -> BoxFuture<'a, Result<(), Rejection>> {
        let core = &self.core;
        async move {
            let delete = || async {
                let (pin, queue) = core.of_arn::<api::DeleteMessageInput>(by, queue, "sqs:DeleteMessage").await?;
                core.delete(&queue, pin, receipts.to_vec()).await
            };
            core.kernel.again(delete).await.map(drop).map_err(rejection)
        }
        .boxed()
    }

    fn give_back<'a>(
        &'a self,
        queue: &'a Arn,
        by: &'a Caller,
        receipts: &'a [String],
        after: Duration,
    ) -> BoxFuture<'a, Result<(), Rejection>> {
        let core = &self.core;
        async move {
            let seconds = i32::try_from(after.as_secs()).unwrap_or(i32::MAX);
            let give_back = || async {
                type In = api::ChangeMessageVisibilityInput;
                let (pin, queue) = core.of_arn::<In>(by, queue, "sqs:ChangeMessageVisibility").await?;
                let wanted = receipts.iter().map(|receipt| (receipt.clone(), seconds)).collect();
                core.change_visibility(&queue, pin, wanted).await
            };
            core.kernel.again(give_back).await.map(drop).map_err(rejection)
        }
        .boxed()
    }

    fn bury<'a>(
        &'a self,
        queue: &'a Arn,
        by: &'a Caller,
        receipts: &'a [String],
        reason: &'a str,
    ) -> BoxFuture<'a, Result<bool, Rejection>> {
        let core = &self.core;
        async move {
            let bury = || async {
                let (pin, queue) = core.of_arn::<api::DeleteMessageInput>(by, queue, "sqs:DeleteMessage").await?;
                core.bury(&queue, pin, receipts, reason).await
            };
            core.kernel.again(bury).await.map_err(rejection)
        }
        .boxed()
    }
}
