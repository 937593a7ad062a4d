//! The handshake: asking an endpoint, its confirmation, and the links that end and renew a subscription.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use millpond_api_sns as api;
use millpond_kernel::outbox::{Outbox, Outgoing};
use millpond_kernel::streams::StepError;
use millpond_kernel::timers::{Alarm, Timer, Timers};
use millpond_kernel::{Arrival, Caller, Delivery, Pin, Rejection, Resource};
use millpond_types::{Arn, Timestamp};

use crate::carrier::{self, OWNER};
use crate::envelope::{Envelope, Kind};
use crate::errors::{Failure, SnsError};
use crate::limits::CONFIRMATION;
use crate::model::{Protocol, Subscription, Topic};
use crate::names::{self, TopicName};
use crate::ops::subscriptions::made;
use crate::resolved::Resolved;
use crate::rows;
use crate::state::{Core, Draft, pair};
use crate::token::Token;

/// A document with a link in it: a request for confirmation, or word of an end.
struct Linked<'a> {
    core: &'a Core,
    topic: &'a Topic,
    kind: Kind,
    id: u128,
    token: &'a str,
}

impl Linked<'_> {
    async fn body(&self, text: &str) -> Result<Bytes, SnsError> {
        let (core, topic) = (self.core, self.topic);
        let base = core.base();
        let link = format!("{base}/?Action=ConfirmSubscription&TopicArn={}&Token={}", topic.arn, self.token);
        let envelope = Envelope {
            kind: self.kind,
            id: self.id,
            topic_arn: topic.arn.as_str(),
            subject: None,
            text,
            time: core.now(),
            token: Some((self.token, &link)),
        };
        let proof = core.keeper.prove(&envelope, topic.signature_version(), base).await?;
        Ok(envelope.document(&proof, None, &[]).into())
    }
}

fn post(
    core: &Core,
    kind: Kind,
    topic: &Topic,
    to: &Subscription,
    id: u128,
    body: Bytes,
) -> Result<Vec<millpond_meta::Op>, SnsError> {
    let what = carrier::seal(core, &carrier::post(kind, topic, to, id, body))?;
    let item = Outgoing {
        id,
        owner: OWNER,
        lane: rows::id_bytes(to.id),
        key: Bytes::new(),
        what,
        time: core.now(),
        event: names::uuid(id),
    };
    Ok(Outbox::put(&item))
}

/// Asks an endpoint whether it wants the messages of a topic, and sets when the question lapses.
pub(crate) async fn ask(core: &Core, topic: &Topic, to: &Subscription, draft: &mut Draft) -> Result<(), SnsError> {
    let until = Timestamp(to.facts.pending_until);
    let token = Token::Confirm { topic: topic.id, subscription: to.id, until }.seal(&core.vault, &*core.random)?;
    let id = core.new_id();
    let linked = Linked { core, topic, kind: Kind::Confirmation, id, token: &token };
    let text = format!(
        "You have chosen to subscribe to the topic {}.\nTo confirm the subscription, visit the SubscribeURL included in this message.",
        topic.arn
    );
    let body = linked.body(&text).await?;
    draft.ops.push(Timers::set(until, OWNER, &rows::id_bytes(to.id), pair(topic.id, to.id)));
    if to.protocol.is_webhook() {
        draft.ops.extend(post(core, Kind::Confirmation, topic, to, id, body)?);
        return Ok(());
    }
    let Some(queue) = Arn::parse(&to.facts.endpoint) else { return Ok(()) };
    let delivery = Delivery {
        id,
        body,
        attributes: Vec::new(),
        group: None,
        dedup: None,
        time: core.now(),
        causes: Vec::new(),
        event: names::uuid(id),
    };
    match core.arrive(&queue, &core.as_topic(topic, &Vec::new()), &delivery).await {
        Ok(arrival) => draft.arrive(arrival),
        Err(Rejection::Failed(reason)) => return Err(SnsError::Internal(reason)),
        // Nobody is there who could confirm: AWS does not tell either.
        Err(rejection) => tracing::info!(subscription = to.arn, %rejection, "a queue does not take the question"),
    }
    Ok(())
}

/// A subscription that is confirmed, with what a commit has to do for it.
fn confirmed(
    topic: &Topic,
    subscription: &Subscription,
    caller: &Caller,
    guarded: bool,
) -> Result<(Draft, Subscription), SnsError> {
    let mut facts = subscription.facts.clone();
    let until = Timestamp(std::mem::take(&mut facts.pending_until));
    facts.authenticated = !caller.is_anonymous();
    facts.guarded = guarded && !caller.is_anonymous();
    let mut draft = Draft::on(topic);
    draft.conds.push(millpond_meta::Cond::Equals(
        crate::tables::subscription(topic.id, subscription.id),
        subscription.row.clone(),
    ));
    draft.ops.push(Timers::clear(until, OWNER, &rows::id_bytes(subscription.id)));
    let next = Subscription::of(topic, subscription.id, facts, subscription.token.clone())?;
    Ok((draft, next))
}

/// Who has a token may use it: it was sent to the endpoint alone. Who signs must be allowed to, besides.
async fn allowed(core: &Core, caller: &Caller, name: &TopicName) -> Result<Option<Pin>, SnsError> {
    let Some(account) = caller.account() else { return Ok(None) };
    let resource = Resource::new(names::topic_arn(core.kernel.region(), name.account, &name.name), account);
    let resolved = Resolved::<api::ConfirmSubscriptionInput>::on(resource);
    let authorized = core.decide(core.kernel.epoch().now(), caller, resolved).await?;
    Ok(Some(authorized.pin()))
}

pub(crate) async fn confirm(
    core: &Arc<Core>,
    caller: &Arc<Caller>,
    input: &api::ConfirmSubscriptionInput,
) -> Result<api::ConfirmSubscriptionOutput, Failure> {
    let name = names::topic_of(&input.topic_arn, core.kernel.region(), "TopicArn")?;
    let guarded = match input.authenticate_on_unsubscribe.as_deref() {
        None | Some("false") => false,
        Some("true") => true,
        Some(_) => return Err(SnsError::parameter("AuthenticateOnUnsubscribe").into()),
    };
    let pin = allowed(core, caller, &name).await?;
    let topic = core.find(&name).ok_or(SnsError::NotFound("Topic"))?;
    let bad = || SnsError::parameter("Token");
    let token = Token::open(&core.vault, &input.token, core.now()).ok_or_else(bad)?;
    let arn = match token {
        Token::Confirm { topic: of, subscription: id, .. } if of == topic.id => {
            let subscription = core.maps().subscription(topic.id, id).cloned().ok_or_else(bad)?;
            if subscription.is_pending() {
                let (mut draft, next) = confirmed(&topic, &subscription, caller, guarded)?;
                draft.subscription(next);
                core.commit(pin, draft).await?;
            }
            subscription.arn.clone()
        }
        Token::Renew { topic: of, was, .. } if of == topic.id => renew(core, pin, &topic, *was).await?,
        _ => return Err(bad().into()),
    };
    Ok(api::ConfirmSubscriptionOutput { subscription_arn: Some(arn) })
}

/// Subscribes anew who was unsubscribed by a link.
async fn renew(core: &Core, pin: Option<Pin>, topic: &Topic, was: rows::SubscriptionRow) -> Result<String, Failure> {
    let protocol = Protocol::parse(&was.protocol)?;
    let there = core.maps().subscribers(topic.id).and_then(|all| all.to(protocol, &was.endpoint).cloned());
    if let Some(there) = there {
        return Ok(there.arn.clone());
    }
    let subscription = made(core, topic, was)?;
    let arn = subscription.arn.clone();
    let mut draft = Draft::on(topic);
    draft.subscription(subscription);
    core.commit(pin, draft).await?;
    Ok(arn)
}

/// Ends a subscription. A webhook that was unsubscribed by a link is told, with a link that takes it back.
pub(crate) async fn end(
    core: &Core,
    pin: Option<Pin>,
    topic: &Topic,
    subscription: &Subscription,
    by_link: bool,
) -> Result<(), Failure> {
    let mut facts = topic.facts.clone();
    facts.ended += 1;
    let mut draft = Draft::on(topic);
    draft.topic(topic.with(facts)?);
    draft.no_subscription(subscription);
    if subscription.is_pending() {
        let until = Timestamp(subscription.facts.pending_until);
        draft.ops.push(Timers::clear(until, OWNER, &rows::id_bytes(subscription.id)));
    } else if by_link && subscription.protocol.is_webhook() {
        let was = Box::new(subscription.facts.clone());
        let token = Token::Renew { topic: topic.id, was, until: core.now().plus(CONFIRMATION) };
        let token = token.seal(&core.vault, &*core.random)?;
        let id = core.new_id();
        let text = format!(
            "You have chosen to deactivate subscription {}.\nTo cancel this operation and restore the subscription, visit the SubscribeURL included in this message.",
            subscription.arn
        );
        let linked = Linked { core, topic, kind: Kind::Ended, id, token: &token };
        draft.ops.extend(post(core, Kind::Ended, topic, subscription, id, linked.body(&text).await?)?);
    }
    core.commit(pin, draft).await
}

/// Ends a subscription for whoever follows its link.
pub(crate) async fn follow(
    core: &Arc<Core>,
    arn: &str,
    token: Option<&str>,
) -> Result<api::UnsubscribeOutput, Failure> {
    let (name, id) = names::subscription_of(arn, core.kernel.region())?;
    let bad = || SnsError::parameter("Token");
    let token = token.and_then(|token| Token::open(&core.vault, token, core.now())).ok_or_else(bad)?;
    let Some(topic) = core.find(&name) else { return Ok(api::UnsubscribeOutput {}) };
    if token != (Token::End { topic: topic.id, subscription: id }) {
        return Err(bad().into());
    }
    let Some(subscription) = core.maps().subscription(topic.id, id).cloned() else {
        return Ok(api::UnsubscribeOutput {});
    };
    if subscription.facts.guarded {
        let text =
            "Unsubscribing requires authentication, as the subscription was confirmed with AuthenticateOnUnsubscribe";
        return Err(SnsError::Denied(text.to_owned()).into());
    }
    end(core, None, &topic, &subscription, true).await?;
    Ok(api::UnsubscribeOutput {})
}

/// Removes subscriptions that nobody confirmed.
pub(crate) struct Lapse(pub(crate) Arc<Core>);

impl Lapse {
    async fn lapse(self: &Lapse, timer: &Timer) -> Result<(), SnsError> {
        let (Some(topic), Some(id)) =
            (timer.value.get(..16).and_then(rows::id_of), timer.value.get(16..).and_then(rows::id_of))
        else {
            return Ok(());
        };
        self.0
            .detached(move |core| async move {
                let found = core.maps().by_id(topic).cloned().zip(core.maps().subscription(topic, id).cloned());
                match found {
                    Some((_, subscription))
                        if subscription.is_pending() && subscription.facts.pending_until <= core.now().0 =>
                    {
                        let mut draft = Draft::default();
                        draft.no_subscription(&subscription);
                        core.commit(None, draft).await
                    }
                    _ => Ok(()),
                }
            })
            .await
    }
}

impl Alarm for Lapse {
    fn owner(&self) -> &'static str {
        OWNER
    }

    fn fire<'a>(&'a self, timer: &'a Timer) -> BoxFuture<'a, Result<Arrival, StepError>> {
        async move {
            // A commit of its own, which memory follows; being done twice does no harm.
            self.lapse(timer).await.map_err(|error| StepError::Failed(error.to_string()))?;
            Ok(Arrival::default())
        }
        .boxed()
    }
}
