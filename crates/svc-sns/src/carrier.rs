//! To webhooks: what the outbox holds for them, and how it is sent (SNS Developer Guide, "HTTP/HTTPS headers").

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use millpond_kernel::outbox::{Attempt, Carrier, Item};
use millpond_kernel::{Arrival, Delivery, Rejection};
use millpond_outbound::Request;
use millpond_outbound::limits::TOTAL_TIME;
use millpond_seal::Purpose;
use prost::Message as _;

use crate::envelope::Kind;
use crate::errors::SnsError;
use crate::message::{Message, attribute_rows, attributes_of};
use crate::model::{Subscription, Topic};
use crate::names::uuid;
use crate::rows::{self, PostRow};
use crate::state::Core;

/// The owner of our items in the outbox.
pub(crate) const OWNER: &str = "sns";

/// What AWS calls itself.
const AGENT: &str = "Amazon Simple Notification Service Agent";

fn number(kind: Kind) -> u32 {
    match kind {
        Kind::Notification => 1,
        Kind::Confirmation => 2,
        Kind::Ended => 3,
    }
}

/// What is to be sent of a message.
pub(crate) fn notification(topic: &Topic, to: &Subscription, message: &Message, body: Bytes) -> PostRow {
    let attributes = if to.is_raw() { attribute_rows(&message.attributes) } else { Vec::new() };
    let causes = message.causes.clone();
    PostRow { raw: to.is_raw(), attributes, causes, ..post(Kind::Notification, topic, to, message.id, body) }
}

pub(crate) fn post(kind: Kind, topic: &Topic, to: &Subscription, message: u128, body: Bytes) -> PostRow {
    PostRow {
        topic: rows::id_bytes(topic.id),
        subscription: rows::id_bytes(to.id),
        kind: number(kind),
        message: rows::id_bytes(message),
        body,
        endpoint: to.facts.endpoint.clone(),
        topic_arn: topic.arn.to_string(),
        ..PostRow::default()
    }
}

pub(crate) fn seal(core: &Core, post: &PostRow) -> Result<Bytes, SnsError> {
    let sealed = core.vault.seal(&*core.random, Purpose::Notification, OWNER.as_bytes(), &post.encode_to_vec());
    sealed.map(Bytes::from).map_err(|error| SnsError::Internal(error.to_string()))
}

/// Sends to webhooks.
pub(crate) struct Webhooks(pub(crate) Arc<Core>);

impl Webhooks {
    fn open(&self, item: &Item) -> Option<PostRow> {
        let opened = self.0.vault.open(Purpose::Notification, OWNER.as_bytes(), &item.what).ok()?;
        PostRow::decode(opened.as_slice()).ok()
    }

    /// The topic and subscription that something is for, as they are now.
    fn current(&self, post: &PostRow) -> Option<(Arc<Topic>, Arc<Subscription>)> {
        let (topic, id) = (rows::id_of(&post.topic)?, rows::id_of(&post.subscription)?);
        let maps = self.0.maps();
        Some((Arc::clone(maps.by_id(topic)?), Arc::clone(maps.subscription(topic, id)?)))
    }

    /// Why there is nothing to send any more.
    fn needless(post: &PostRow, current: Option<&(Arc<Topic>, Arc<Subscription>)>) -> Option<&'static str> {
        match (post.kind, current) {
            (1 | 2, None) => Some("the subscription has ended"),
            (2, Some((_, subscription))) if !subscription.is_pending() => Some("the subscription is confirmed"),
            _ => None,
        }
    }

    async fn send(&self, item: &Item) -> Attempt {
        let Some(post) = self.open(item) else {
            return Attempt::Fail("what is to be sent cannot be opened".into());
        };
        let mut current = self.current(&post);
        if current.is_none() {
            // The commit that made the subscription is told of before memory follows it, which its maker does before letting go.
            drop(self.0.changing.lock().await);
            current = self.current(&post);
        }
        if let Some(why) = Self::needless(&post, current.as_ref()) {
            return Attempt::Done(why.to_owned().into());
        }
        let url = match post.endpoint.parse() {
            Ok(url) => url,
            Err(error) => return Attempt::Fail(format!("{error}").into()),
        };
        let headers = headers(&post, current.as_ref());
        let request = Request { method: Method::POST, url, headers, body: post.body.clone(), timeout: TOTAL_TIME };
        match self.0.outbound.send(request).await {
            Ok(answer) if answer.status.is_success() => Attempt::Done(answer.status.to_string().into()),
            Ok(answer) if is_permanent(answer.status) => Attempt::Fail(answer.status.to_string().into()),
            Ok(answer) => Attempt::Retry(answer.status.to_string().into()),
            Err(error) if error.is_final() => Attempt::Fail(error.to_string().into()),
            Err(error) => Attempt::Retry(error.to_string().into()),
        }
    }

    async fn dead(&self, item: &Item) -> Result<Arrival, Rejection> {
        let Some(post) = self.open(item) else { return Ok(Arrival::default()) };
        let Some((topic, subscription)) = self.current(&post) else { return Ok(Arrival::default()) };
        let Some(queue) = subscription.dead.as_ref().filter(|_| post.kind == number(Kind::Notification)) else {
            return Ok(Arrival::default());
        };
        let delivery = Delivery {
            id: item.id,
            body: post.body,
            attributes: attributes_of(post.attributes),
            group: None,
            dedup: None,
            time: item.time,
            causes: post.causes.clone(),
            event: item.event.clone(),
        };
        self.0.arrive(queue, &self.0.as_topic(&topic, &post.causes), &delivery).await
    }
}

/// What the other side will not do better: 4xx but 429 (SNS Developer Guide, "Amazon SNS message delivery retries").
fn is_permanent(status: StatusCode) -> bool {
    status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS
}

fn without_query(url: &str) -> &str {
    url.split(['?', '#']).next().unwrap_or_default()
}

fn headers(post: &PostRow, current: Option<&(Arc<Topic>, Arc<Subscription>)>) -> HeaderMap {
    let kind = match post.kind {
        2 => Kind::Confirmation,
        3 => Kind::Ended,
        _ => Kind::Notification,
    };
    let id = rows::id_of(&post.message).map(uuid).unwrap_or_default();
    let mut headers = HeaderMap::new();
    let mut set = |name: &'static str, value: &str| {
        // All of them were checked to be printable.
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    };
    set("x-amz-sns-message-type", kind.as_str());
    set("x-amz-sns-message-id", &id);
    set("x-amz-sns-topic-arn", &post.topic_arn);
    if let Some((_, subscription)) = current.filter(|_| kind != Kind::Confirmation) {
        set("x-amz-sns-subscription-arn", &subscription.arn);
    }
    if post.raw {
        set("x-amz-sns-rawdelivery", "true");
    }
    let content_type = match (kind, current) {
        (Kind::Notification, Some((topic, subscription))) => subscription.effective(topic).content_type.to_owned(),
        _ => "text/plain; charset=UTF-8".to_owned(),
    };
    set("content-type", &content_type);
    set("user-agent", AGENT);
    headers
}

impl Carrier for Webhooks {
    fn owner(&self) -> &'static str {
        OWNER
    }

    fn attempt<'a>(&'a self, item: &'a Item) -> BoxFuture<'a, Attempt> {
        self.send(item).boxed()
    }

    fn next_try(&self, item: &Item, tried: u32, _since: Duration) -> Option<Duration> {
        let post = self.open(item)?;
        let pause = match self.current(&post) {
            Some((topic, subscription)) => subscription.effective(&topic).retry.pause(u64::from(tried)),
            None => None,
        }?;
        // A tenth more at most, so that those that failed together do not come back together.
        let jitter = (self.0.random.u64() % 1_000) as f64 / 10_000.0;
        Some(pause.mul_f64(1.0 + jitter))
    }

    fn gave_up<'a>(&'a self, item: &'a Item, _reason: &'a str) -> BoxFuture<'a, Result<Arrival, Rejection>> {
        self.dead(item).boxed()
    }

    /// The endpoint without its query, which may hold a secret: it is logged.
    fn target(&self, item: &Item) -> String {
        self.open(item).map(|post| without_query(&post.endpoint).to_owned()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_of_queries_are_not_shown() {
        for (url, shown) in [
            ("https://a.example/hook?token=s", "https://a.example/hook"),
            ("https://a.example#s", "https://a.example"),
            ("https://a.example/x", "https://a.example/x"),
        ] {
            assert_eq!(without_query(url), shown);
        }
    }
}
