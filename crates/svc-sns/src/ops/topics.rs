//! Topics.

use std::collections::BTreeMap;
use std::sync::Arc;

use millpond_api_sns as api;
use millpond_kernel::{Caller, Resource};
use millpond_meta::Cond;

use crate::delivery_policy::DeliveryPolicy;
use crate::errors::{Failure, SnsError};
use crate::limits::MAX_TOPICS;
use crate::model::{Topic, usual_policy};
use crate::names::{self, TopicName};
use crate::ops::attributes::{POLICY, set_of_topic};
use crate::ops::tags;
use crate::paging;
use crate::resolved::Resolved;
use crate::rows::{self, TopicRow};
use crate::state::{Core, Draft, On};
use crate::tables;

/// What a topic that is asked for is to be like.
struct Wanted {
    attributes: BTreeMap<String, String>,
    policy: Option<String>,
    tags: BTreeMap<String, String>,
}

fn wanted(input: &api::CreateTopicInput) -> Result<Wanted, SnsError> {
    if input.data_protection_policy.as_deref().is_some_and(|policy| !policy.is_empty()) {
        return Err(SnsError::Unserved("The parameter DataProtectionPolicy".to_owned()));
    }
    let (mut attributes, mut policy) = (BTreeMap::new(), None);
    for (name, value) in input.attributes.iter().flatten() {
        match name.as_str() {
            POLICY => policy = Some(value.clone()),
            name => {
                let unknown = format!("Attributes Reason: Unknown attribute {name}");
                set_of_topic(&mut attributes, name, value, &unknown)?;
            }
        }
    }
    Ok(Wanted { attributes, policy, tags: tags::given(input.tags.as_deref().unwrap_or_default())? })
}

/// Whether a topic that is there is what was asked for: what was not said may be as it is.
fn same(topic: &Topic, wanted: &Wanted) -> Result<(), SnsError> {
    let differs = |what: &str| {
        SnsError::Parameter(format!("{what} Reason: Topic already exists with different {}", what.to_lowercase()))
    };
    let kept = &topic.facts;
    let attributes = wanted.attributes.iter().all(|(name, value)| match kept.attributes.get(name) {
        Some(kept) => kept == value,
        None => name == "SignatureVersion" && value == "1",
    });
    if !attributes || wanted.policy.as_ref().is_some_and(|policy| *policy != kept.policy) {
        return Err(differs("Attributes"));
    }
    if !wanted.tags.is_empty() && wanted.tags != kept.tags {
        return Err(differs("Tags"));
    }
    Ok(())
}

pub(crate) async fn create(
    core: &Arc<Core>,
    caller: &Arc<Caller>,
    input: &api::CreateTopicInput,
) -> Result<api::CreateTopicOutput, Failure> {
    let pin = core.kernel.epoch().now();
    let account = core.account_of(caller);
    let name = TopicName { account, name: names::topic_name(&input.name)?.to_owned() };
    let wanted = wanted(input)?;
    let there = core.find(&name);
    let resource: Resource = there.as_ref().map_or_else(|| core.absent(&name), |topic| topic.resource());
    let arn = resource.arn.to_string();
    let mut resolved = Resolved::<api::CreateTopicInput>::on(resource).request_tags(&wanted.tags);
    if !wanted.tags.is_empty() {
        resolved = resolved.also("SNS:TagResource");
    }
    let authorized = core.decide(pin, caller, resolved).await?;
    let output = api::CreateTopicOutput { topic_arn: Some(arn) };
    if let Some(topic) = there {
        same(&topic, &wanted)?;
        return Ok(output);
    }
    if core.maps().topics_of(account, None).count() >= MAX_TOPICS {
        return Err(SnsError::Limit("TopicLimitExceeded", format!("Topic limit exceeded: {MAX_TOPICS}")).into());
    }
    tags::check_number(&wanted.tags)?;
    let policy = wanted.policy.unwrap_or_else(|| usual_policy(&authorized_arn(core, &name), account));
    let ids = core.policy_ids(&policy).await?;
    let id = core.new_id();
    let facts = TopicRow {
        id: rows::id_bytes(id),
        created: core.now().0,
        attributes: wanted.attributes,
        policy,
        ids,
        tags: wanted.tags,
        ended: 0,
    };
    let topic = Topic::of(core.kernel.region(), account, name.name, facts)?;
    let mut draft = Draft::default();
    draft.conds.push(Cond::Absent(tables::topic(account, &topic.name)));
    draft.topic(topic);
    draft.begin(core, id);
    core.commit(Some(authorized.pin()), draft).await?;
    Ok(output)
}

fn authorized_arn(core: &Core, name: &TopicName) -> millpond_types::Arn {
    names::topic_arn(core.kernel.region(), name.account, &name.name)
}

pub(crate) async fn delete(
    core: &Arc<Core>,
    caller: &Arc<Caller>,
    input: &api::DeleteTopicInput,
) -> Result<api::DeleteTopicOutput, Failure> {
    let found = core.on_topic::<api::DeleteTopicInput>(caller, &input.topic_arn, "TopicArn", |r| r).await;
    let On { authorized, topic } = match found {
        Ok(on) => on,
        // Deleting what is not there is no error.
        Err(SnsError::NotFound(_)) => return Ok(api::DeleteTopicOutput {}),
        Err(error) => return Err(error.into()),
    };
    let mut draft = Draft::on(&topic);
    draft.no_topic(core, &topic);
    core.commit(Some(authorized.pin()), draft).await?;
    // What is left is removed at the next start if this does not come to its end.
    if let Err(error) = crate::load::sweep(&*core.kv, topic.id).await {
        tracing::warn!(topic = %topic.arn, %error, "what a deleted topic leaves behind is not removed yet");
    }
    Ok(api::DeleteTopicOutput {})
}

pub(crate) async fn list(
    core: &Arc<Core>,
    caller: &Arc<Caller>,
    input: &api::ListTopicsInput,
) -> Result<api::ListTopicsOutput, Failure> {
    let account = core.account_of(caller);
    let resolved = Resolved::<api::ListTopicsInput>::on_service(account);
    core.decide(core.kernel.epoch().now(), caller, resolved).await?;
    let after = paging::after(input.next_token.as_deref())?;
    let maps = core.maps();
    let topics = maps.topics_of(account, after.as_deref());
    let shown = topics.map(|topic| (topic.name.clone(), api::Topic { topic_arn: Some(topic.arn.to_string()) }));
    let (topics, next_token) = paging::page(shown);
    Ok(api::ListTopicsOutput { topics: Some(topics), next_token })
}

pub(crate) async fn attributes(
    core: &Arc<Core>,
    caller: &Arc<Caller>,
    input: &api::GetTopicAttributesInput,
) -> Result<api::GetTopicAttributesOutput, Failure> {
    let On { topic, .. } =
        core.on_topic::<api::GetTopicAttributesInput>(caller, &input.topic_arn, "TopicArn", |r| r).await?;
    let (all, pending) = core.maps().subscribers(topic.id).map_or((0, 0), |all| (all.len(), all.pending()));
    let mut shown = BTreeMap::new();
    let mut show = |name: &str, value: String| _ = shown.insert(name.to_owned(), value);
    show("TopicArn", topic.arn.to_string());
    show("Owner", topic.account.to_string());
    show(POLICY, topic.facts.policy.clone());
    show("DisplayName", String::new());
    show("SubscriptionsConfirmed", (all - pending).to_string());
    show("SubscriptionsPending", pending.to_string());
    show("SubscriptionsDeleted", topic.facts.ended.to_string());
    show("EffectiveDeliveryPolicy", DeliveryPolicy::effective(topic.delivery.as_ref(), None).of_topic());
    for (name, value) in &topic.facts.attributes {
        show(name, value.clone());
    }
    Ok(api::GetTopicAttributesOutput { attributes: Some(shown) })
}

pub(crate) async fn set_attributes(
    core: &Arc<Core>,
    caller: &Arc<Caller>,
    input: &api::SetTopicAttributesInput,
) -> Result<api::SetTopicAttributesOutput, Failure> {
    let On { authorized, topic } =
        core.on_topic::<api::SetTopicAttributesInput>(caller, &input.topic_arn, "TopicArn", |r| r).await?;
    let value = input.attribute_value.as_deref().unwrap_or_default();
    let mut facts = topic.facts.clone();
    let mut draft = Draft::on(&topic);
    match input.attribute_name.as_str() {
        POLICY => {
            facts.ids = core.policy_ids(value).await?;
            value.clone_into(&mut facts.policy);
            draft.changes_policies();
        }
        // It is what a topic is made with.
        "FifoTopic" => return Err(SnsError::parameter("AttributeName").into()),
        name => set_of_topic(&mut facts.attributes, name, value, "AttributeName")?,
    }
    draft.topic(topic.with(facts)?);
    core.commit(Some(authorized.pin()), draft).await?;
    Ok(api::SetTopicAttributesOutput {})
}
