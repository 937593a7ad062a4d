//! Subscriptions: made, looked at, changed, ended.

use std::collections::BTreeMap;
use std::sync::Arc;

use millpond_api_sns as api;
use millpond_kernel::{Caller, Resource};
use millpond_outbound::{OutboundError, Url};
use millpond_types::Arn;

use crate::errors::{Failure, SnsError};
use crate::inputs::Input;
use crate::limits::{CONFIRMATION, MAX_ENDPOINT, MAX_FILTERS, MAX_SUBSCRIPTIONS};
use crate::model::{Protocol, Subscription, Topic};
use crate::names;
use crate::ops::attributes::{check, set_of_subscription};
use crate::ops::confirm;
use crate::paging;
use crate::resolved::Resolved;
use crate::rows::SubscriptionRow;
use crate::state::{Core, Draft, On};
use crate::token::Token;

/// What answers show of one that is not confirmed.
const PENDING: &str = "PendingConfirmation";

/// Where a subscription is to deliver to.
enum Endpoint {
    Queue(Arn),
    Function,
    Webhook(Url),
}

fn endpoint(core: &Core, protocol: Protocol, given: Option<&str>) -> Result<Endpoint, SnsError> {
    let text = given.filter(|text| !text.is_empty()).ok_or_else(|| SnsError::parameter("Endpoint"))?;
    if protocol == Protocol::Sqs {
        let invalid = || SnsError::parameter("SQS endpoint ARN");
        let arn =
            Arn::parse(text).filter(|arn| arn.service() == "sqs" && arn.region() == core.kernel.region().as_str());
        let arn = arn.filter(|arn| !arn.resource().contains([':', '/'])).ok_or_else(invalid)?;
        if arn.account().is_none_or(|account| account.parse::<millpond_types::AccountId>().is_err()) {
            return Err(invalid());
        }
        if arn.resource().ends_with(".fifo") {
            let reason = "Endpoint Reason: FIFO SQS Queues can not be subscribed to standard SNS topics";
            return Err(SnsError::Parameter(format!("Invalid parameter: {reason}")));
        }
        return Ok(Endpoint::Queue(arn));
    }
    if protocol == Protocol::Lambda {
        let function = Arn::parse(text).filter(|arn| {
            let here = arn.service() == "lambda" && arn.region() == core.kernel.region().as_str();
            let parts = arn.resource().strip_prefix("function:").map(|rest| rest.split(':').collect::<Vec<_>>());
            here && arn.account().is_some_and(|account| account.parse::<millpond_types::AccountId>().is_ok())
                && parts.is_some_and(|parts| parts.len() <= 2 && parts.iter().all(|part| !part.is_empty()))
        });
        function.ok_or_else(|| SnsError::parameter("Lambda endpoint ARN"))?;
        if !core.kernel.targets().has("lambda") {
            return Err(SnsError::Unserved("The protocol lambda".to_owned()));
        }
        return Ok(Endpoint::Function);
    }
    if !text.to_ascii_lowercase().starts_with(&format!("{}://", protocol.as_str())) {
        return Err(SnsError::parameter("Endpoint must match the specified protocol"));
    }
    if text.len() > MAX_ENDPOINT {
        return Err(SnsError::parameter("Endpoint"));
    }
    text.parse().map(Endpoint::Webhook).map_err(|error| SnsError::Parameter(format!("Endpoint Reason: {error}")))
}

/// The topic, once it is known that the caller may subscribe to it.
async fn on_topic(
    core: &Core,
    caller: &Caller,
    input: &api::SubscribeInput,
) -> Result<On<api::SubscribeInput>, SnsError> {
    core.on_topic(caller, &input.topic_arn, "TopicArn", |resolved: Resolved<api::SubscribeInput>| {
        let resolved = resolved.key("sns:Protocol", &input.protocol);
        resolved.key("sns:Endpoint", input.endpoint.as_deref().unwrap_or_default())
    })
    .await
}

/// Refuses URLs that no message could ever be sent to. Apart from the change, as it asks the domain name system.
pub(crate) async fn reachable(core: &Core, caller: &Caller, input: &api::SubscribeInput) -> Result<(), SnsError> {
    let protocol = Protocol::parse(&input.protocol)?;
    on_topic(core, caller, input).await?;
    if let Endpoint::Webhook(url) = endpoint(core, protocol, input.endpoint.as_deref())?
        && let Err(error @ OutboundError::Refused(_)) = core.outbound.check(&url).await
    {
        return Err(SnsError::Parameter(format!("Endpoint Reason: {error}")));
    }
    Ok(())
}

fn in_subscribe(error: SnsError) -> SnsError {
    match error {
        SnsError::Parameter(what) => SnsError::Parameter(format!("Attributes Reason: {what}")),
        other => other,
    }
}

fn wanted(protocol: Protocol, input: &api::SubscribeInput) -> Result<BTreeMap<String, String>, SnsError> {
    let mut attributes = BTreeMap::new();
    for (name, value) in input.attributes.iter().flatten() {
        set_of_subscription(&mut attributes, protocol, name, value).map_err(in_subscribe)?;
    }
    check(&attributes).map_err(in_subscribe)?;
    Ok(attributes)
}

fn same(kept: &BTreeMap<String, String>, wanted: &BTreeMap<String, String>) -> bool {
    // False is what it is when it is not set.
    wanted.iter().all(|(name, value)| {
        kept.get(name) == Some(value)
            || (!kept.contains_key(name) && name == "RawMessageDelivery" && value == "false")
            || (!kept.contains_key(name) && name == "FilterPolicyScope" && value == "MessageAttributes")
    })
}

pub(crate) async fn subscribe(
    core: &Arc<Core>,
    caller: &Arc<Caller>,
    input: &api::SubscribeInput,
) -> Result<api::SubscribeOutput, Failure> {
    let protocol = Protocol::parse(&input.protocol)?;
    let On { authorized, topic } = on_topic(core, caller, input).await?;
    let endpoint = endpoint(core, protocol, input.endpoint.as_deref())?;
    let attributes = wanted(protocol, input)?;
    let account = core.account_of(caller);
    let text = input.endpoint.clone().unwrap_or_default();
    let there = core.maps().subscribers(topic.id).and_then(|all| all.to(protocol, &text).cloned());
    let subscription = match there {
        Some(there) if !same(&there.facts.attributes, &attributes) => {
            let reason = "Attributes Reason: Subscription already exists with different attributes";
            return Err(SnsError::parameter(reason).into());
        }
        Some(there) if !there.is_pending() => {
            return Ok(api::SubscribeOutput { subscription_arn: Some(there.arn.clone()) });
        }
        // It is asked once more.
        Some(there) => (*there).clone(),
        None => {
            // A queue's owner need not be asked whether it wants what it asks for.
            // Nor a function's, whose policy says whom it serves.
            let own = match &endpoint {
                Endpoint::Queue(arn) => arn.account() == Some(account.as_str()),
                Endpoint::Function => true,
                Endpoint::Webhook(_) => false,
            };
            let pending_until = if own { 0 } else { core.now().plus(CONFIRMATION).0 };
            let facts = SubscriptionRow {
                owner: account.to_string(),
                protocol: protocol.as_str().to_owned(),
                endpoint: text,
                attributes,
                created: core.now().0,
                pending_until,
                authenticated: own,
                guarded: false,
                turn: 0,
                principal: caller.arn(),
            };
            made(core, &topic, facts)?
        }
    };
    let shown = match (subscription.is_pending(), input.return_subscription_arn) {
        (true, None | Some(false)) => "pending confirmation".to_owned(),
        _ => subscription.arn.clone(),
    };
    let mut draft = Draft::on(&topic);
    if subscription.is_pending() {
        confirm::ask(core, &topic, &subscription, &mut draft).await?;
    }
    draft.subscription(subscription);
    core.commit(Some(authorized.pin()), draft).await?;
    Ok(api::SubscribeOutput { subscription_arn: Some(shown) })
}

/// A new subscription, with a turn of its own.
pub(crate) fn made(core: &Core, topic: &Topic, mut facts: SubscriptionRow) -> Result<Subscription, SnsError> {
    let limit = |what: String| SnsError::Limit("SubscriptionLimitExceeded", what);
    let id = core.new_id();
    let filters = {
        let maps = core.maps();
        let all = maps.subscribers(topic.id);
        if all.is_some_and(|all| all.len() >= MAX_SUBSCRIPTIONS) {
            return Err(limit(format!("A topic has at most {MAX_SUBSCRIPTIONS} subscriptions.")));
        }
        let next = all.map_or(Some(0), |all| all.next_turn());
        facts.turn = next.ok_or_else(|| limit("The topic has had too many subscriptions.".to_owned()))?;
        all.map_or(0, |all| all.filters())
    };
    let token = Token::End { topic: topic.id, subscription: id }.seal(&core.vault, &*core.random)?;
    let subscription = Subscription::of(topic, id, facts, token)?;
    check_filters(filters, subscription.filter.is_some())?;
    Ok(subscription)
}

fn check_filters(there: usize, one_more: bool) -> Result<(), SnsError> {
    if one_more && there >= MAX_FILTERS {
        let text = format!("Filter policy limit exceeded: a topic has at most {MAX_FILTERS} filter policies");
        return Err(SnsError::Limit("FilterPolicyLimitExceeded", text));
    }
    Ok(())
}

/// A subscription that an operation may touch. Its owner may by its own policies, and so may the owner of the topic look at it and end it.
pub(crate) async fn on_subscription<I: Input>(
    core: &Core,
    caller: &Caller,
    arn: &str,
    topic_owner: bool,
) -> Result<(millpond_kernel::Pin, Option<(Arc<Topic>, Arc<Subscription>)>), SnsError> {
    let pin = core.kernel.epoch().now();
    let (name, id) = names::subscription_of(arn, core.kernel.region())?;
    let found = core.find(&name).and_then(|topic| {
        let subscription = core.maps().subscription(topic.id, id).cloned()?;
        Some((topic, subscription))
    });
    let owner = match &found {
        Some((topic, _)) if topic_owner && caller.account() == Some(topic.account) => topic.account,
        Some((_, subscription)) => subscription.owner,
        None => name.account,
    };
    let resource = Resource::new(names::topic_arn(core.kernel.region(), name.account, &name.name), owner);
    let authorized = core.decide(pin, caller, Resolved::<I>::on(resource)).await?;
    Ok((authorized.pin(), found))
}

pub(crate) async fn attributes(
    core: &Arc<Core>,
    caller: &Arc<Caller>,
    input: &api::GetSubscriptionAttributesInput,
) -> Result<api::GetSubscriptionAttributesOutput, Failure> {
    type In = api::GetSubscriptionAttributesInput;
    let (_, found) = on_subscription::<In>(core, caller, &input.subscription_arn, true).await?;
    let (topic, subscription) = found.ok_or(SnsError::NotFound("Subscription"))?;
    let facts = &subscription.facts;
    let mut shown = facts.attributes.clone();
    let mut show = |name: &str, value: String| _ = shown.entry(name.to_owned()).or_insert(value);
    show("SubscriptionArn", subscription.arn.clone());
    show("TopicArn", topic.arn.to_string());
    show("Owner", subscription.owner.to_string());
    show("Protocol", facts.protocol.clone());
    show("Endpoint", facts.endpoint.clone());
    show("SubscriptionPrincipal", facts.principal.clone());
    show("RawMessageDelivery", "false".to_owned());
    show("PendingConfirmation", subscription.is_pending().to_string());
    show("ConfirmationWasAuthenticated", facts.authenticated.to_string());
    if facts.attributes.contains_key("FilterPolicy") {
        show("FilterPolicyScope", "MessageAttributes".to_owned());
    }
    if subscription.protocol.is_webhook() {
        show("EffectiveDeliveryPolicy", subscription.effective(&topic).of_subscription());
    }
    Ok(api::GetSubscriptionAttributesOutput { attributes: Some(shown) })
}

pub(crate) async fn set_attributes(
    core: &Arc<Core>,
    caller: &Arc<Caller>,
    input: &api::SetSubscriptionAttributesInput,
) -> Result<api::SetSubscriptionAttributesOutput, Failure> {
    type In = api::SetSubscriptionAttributesInput;
    let (pin, found) = on_subscription::<In>(core, caller, &input.subscription_arn, false).await?;
    let (topic, subscription) = found.ok_or(SnsError::NotFound("Subscription"))?;
    let mut facts = subscription.facts.clone();
    let value = input.attribute_value.as_deref().unwrap_or_default();
    set_of_subscription(&mut facts.attributes, subscription.protocol, &input.attribute_name, value)?;
    check(&facts.attributes)?;
    let next = Subscription::of(&topic, subscription.id, facts, subscription.token.clone())?;
    let filters = core.maps().subscribers(topic.id).map_or(0, |all| all.filters());
    check_filters(filters, next.filter.is_some() && subscription.filter.is_none())?;
    let mut draft = Draft::on(&topic);
    draft.conds.push(millpond_meta::Cond::Equals(
        crate::tables::subscription(topic.id, subscription.id),
        subscription.row.clone(),
    ));
    draft.subscription(next);
    core.commit(Some(pin), draft).await?;
    Ok(api::SetSubscriptionAttributesOutput {})
}

fn shown(topic: &Topic, subscription: &Subscription) -> api::Subscription {
    let arn = if subscription.is_pending() { PENDING.to_owned() } else { subscription.arn.clone() };
    api::Subscription {
        subscription_arn: Some(arn),
        owner: Some(subscription.owner.to_string()),
        protocol: Some(subscription.facts.protocol.clone()),
        endpoint: Some(subscription.facts.endpoint.clone()),
        topic_arn: Some(topic.arn.to_string()),
    }
}

pub(crate) async fn list(
    core: &Arc<Core>,
    caller: &Arc<Caller>,
    input: &api::ListSubscriptionsInput,
) -> Result<api::ListSubscriptionsOutput, Failure> {
    let account = core.account_of(caller);
    let resolved = Resolved::<api::ListSubscriptionsInput>::on_service(account);
    core.decide(core.kernel.epoch().now(), caller, resolved).await?;
    let invalid = || SnsError::parameter("NextToken");
    let after = match paging::after(input.next_token.as_deref())? {
        Some(text) => {
            let (topic, id) = text.split_once('/').ok_or_else(invalid)?;
            let number = |text: &str| u128::from_str_radix(text, 16).map_err(|_| invalid());
            Some((number(topic)?, number(id)?))
        }
        None => None,
    };
    let maps = core.maps();
    let items = maps.owned_by(account, after).filter_map(|subscription| {
        let name = format!("{:x}/{:x}", subscription.topic, subscription.id);
        Some((name, shown(maps.by_id(subscription.topic)?, subscription)))
    });
    let (subscriptions, next_token) = paging::page(items);
    Ok(api::ListSubscriptionsOutput { subscriptions: Some(subscriptions), next_token })
}

pub(crate) async fn list_by_topic(
    core: &Arc<Core>,
    caller: &Arc<Caller>,
    input: &api::ListSubscriptionsByTopicInput,
) -> Result<api::ListSubscriptionsByTopicOutput, Failure> {
    let On { topic, .. } =
        core.on_topic::<api::ListSubscriptionsByTopicInput>(caller, &input.topic_arn, "TopicArn", |r| r).await?;
    let after = match paging::after(input.next_token.as_deref())? {
        Some(text) => Some(u128::from_str_radix(&text, 16).map_err(|_| SnsError::parameter("NextToken"))?),
        None => None,
    };
    let maps = core.maps();
    let all = maps.subscribers(topic.id).into_iter().flat_map(|all| all.after(after));
    let (subscriptions, next_token) =
        paging::page(all.map(|subscription| (format!("{:x}", subscription.id), shown(&topic, subscription))));
    Ok(api::ListSubscriptionsByTopicOutput { subscriptions: Some(subscriptions), next_token })
}

pub(crate) async fn unsubscribe(
    core: &Arc<Core>,
    caller: &Arc<Caller>,
    input: &api::UnsubscribeInput,
) -> Result<api::UnsubscribeOutput, Failure> {
    type In = api::UnsubscribeInput;
    let (pin, found) = on_subscription::<In>(core, caller, &input.subscription_arn, true).await?;
    // Ending what is not there is no error.
    if let Some((topic, subscription)) = found {
        confirm::end(core, Some(pin), &topic, &subscription, false).await?;
    }
    Ok(api::UnsubscribeOutput {})
}
