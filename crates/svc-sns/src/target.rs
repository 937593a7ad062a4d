//! Topics as what other services deliver to: S3's notifications, rules of EventBridge, schedules.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use millpond_api_sns::PublishInput;
use millpond_kernel::{Arrival, Caller, Delivery, Principal, Rejection, Target};
use millpond_meta::Cond;
use millpond_types::Arn;

use crate::errors::SnsError;
use crate::fanout;
use crate::message::Message;
use crate::state::{Core, On};
use crate::{names, tables};

/// Takes deliveries.
pub(crate) struct Topics(pub(crate) Arc<Core>);

/// The subject of what a service sends, where AWS gives it one.
fn subject(from: &Caller) -> Option<&'static str> {
    match from.principal() {
        Principal::Service { name } if name == "s3.amazonaws.com" => Some("Amazon S3 Notification"),
        _ => None,
    }
}

impl Topics {
    async fn published(&self, to: &Arn, from: &Caller, delivery: &Delivery) -> Result<Arrival, SnsError> {
        let On { authorized, topic } = self.0.on_topic::<PublishInput>(from, to.as_str(), "TopicArn", |r| r).await?;
        let message = Message::delivered(delivery, subject(from))?;
        let ops = fanout::append(&self.0, &topic, &message)?;
        let row = Cond::Equals(tables::topic(topic.account, &topic.name), topic.row.clone());
        Ok(Arrival { conds: vec![authorized.pin().cond(), row], ops })
    }
}

impl Target for Topics {
    fn check<'a>(&'a self, to: &'a Arn, from: &'a Caller) -> BoxFuture<'a, Result<(), Rejection>> {
        async move {
            self.0.on_topic::<PublishInput>(from, to.as_str(), "TopicArn", |resolved| resolved).await?;
            Ok(())
        }
        .boxed()
    }

    fn arrive<'a>(
        &'a self,
        to: &'a Arn,
        from: &'a Caller,
        delivery: &'a Delivery,
    ) -> BoxFuture<'a, Result<Arrival, Rejection>> {
        async move { Ok(self.published(to, from, delivery).await?) }.boxed()
    }

    fn message_id(&self, delivery: u128) -> Option<String> {
        Some(names::uuid(names::random_id(delivery)))
    }
}
