//! Topics and subscriptions, as decisions and deliveries take them.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use millpond_kernel::{Named, PolicySource, Resource};
use millpond_policy::{Policy, PolicyKind};
use millpond_types::{AccountId, Arn, Region};

use crate::delivery_policy::{DeliveryPolicy, Effective};
use crate::errors::SnsError;
use crate::filter::{self, Filter};
use crate::names;
use crate::rows::{self, SubscriptionRow, TopicRow};

/// What a topic's policy may say.
pub(crate) const POLICY: PolicyKind = PolicyKind::Resource { service: "sns" };

/// A topic.
#[derive(Clone, Debug)]
pub(crate) struct Topic {
    pub account: AccountId,
    pub name: String,
    pub arn: Arn,
    pub id: u128,
    pub facts: TopicRow,
    /// As it stands in the store.
    pub row: Bytes,
    pub policy: Named,
    pub delivery: Option<DeliveryPolicy>,
}

/// The policy of a topic that is made without one. Its key `AWS:SourceOwner` is told by nobody here, so that it lets nobody in whom an
/// identity's policy does not.
pub(crate) fn usual_policy(arn: &Arn, account: AccountId) -> String {
    const ACTIONS: [&str; 8] = [
        "SNS:GetTopicAttributes",
        "SNS:SetTopicAttributes",
        "SNS:AddPermission",
        "SNS:RemovePermission",
        "SNS:DeleteTopic",
        "SNS:Subscribe",
        "SNS:ListSubscriptionsByTopic",
        "SNS:Publish",
    ];
    let actions: Vec<String> = ACTIONS.iter().map(|action| format!("\"{action}\"")).collect();
    format!(
        r#"{{"Version":"2008-10-17","Id":"__default_policy_ID","Statement":[{{"Sid":"__default_statement_ID","Effect":"Allow","Principal":{{"AWS":"*"}},"Action":[{}],"Resource":"{arn}","Condition":{{"StringEquals":{{"AWS:SourceOwner":"{account}"}}}}}}]}}"#,
        actions.join(",")
    )
}

/// Binds a policy to the ids of whom it names, in the order of their ARNs.
pub(crate) fn bind(policy: &mut Policy, ids: &[String]) {
    let bound: BTreeMap<String, String> =
        policy.principals().into_iter().map(str::to_owned).zip(ids.iter().cloned()).collect();
    policy.bind(&bound);
}

impl Topic {
    /// A topic of its row.
    pub fn of(region: &Region, account: AccountId, name: String, facts: TopicRow) -> Result<Self, SnsError> {
        let arn = names::topic_arn(region, account, &name);
        let id = rows::id_of(&facts.id).ok_or_else(|| SnsError::Internal("a topic without an id".to_owned()))?;
        let mut policy = Policy::parse(&facts.policy, POLICY)?;
        bind(&mut policy, &facts.ids);
        let policy = Named { source: PolicySource::Resource { arn: arn.to_string() }, policy: Arc::new(policy) };
        let delivery = facts.attributes.get("DeliveryPolicy").map(|text| DeliveryPolicy::of_topic(text)).transpose()?;
        let row = rows::encode(&facts);
        Ok(Self { account, name, arn, id, facts, row, policy, delivery })
    }

    /// It with other facts.
    pub fn with(&self, facts: TopicRow) -> Result<Self, SnsError> {
        let mut next = Self { row: rows::encode(&facts), ..self.clone() };
        if facts.policy != self.facts.policy || facts.ids != self.facts.ids {
            let mut policy = Policy::parse(&facts.policy, POLICY)?;
            bind(&mut policy, &facts.ids);
            next.policy.policy = Arc::new(policy);
        }
        next.delivery =
            facts.attributes.get("DeliveryPolicy").map(|text| DeliveryPolicy::of_topic(text)).transpose()?;
        next.facts = facts;
        Ok(next)
    }

    /// As policies see it.
    pub fn resource(&self) -> Resource {
        Resource { policy: Some(self.policy.clone()), ..Resource::new(self.arn.clone(), self.account) }
    }

    /// The version of signatures.
    pub fn signature_version(&self) -> &'static str {
        match self.facts.attributes.get("SignatureVersion").map(String::as_str) {
            Some("2") => "2",
            _ => "1",
        }
    }
}

/// How something is delivered.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Protocol {
    Sqs,
    Lambda,
    Http,
    Https,
}

impl Protocol {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sqs => "sqs",
            Self::Lambda => "lambda",
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// Whether it leads out of the server. What stays in it is a target of ours.
    pub fn is_webhook(self) -> bool {
        matches!(self, Self::Http | Self::Https)
    }

    pub fn parse(text: &str) -> Result<Self, SnsError> {
        match text {
            "sqs" => Ok(Self::Sqs),
            "lambda" => Ok(Self::Lambda),
            "http" => Ok(Self::Http),
            "https" => Ok(Self::Https),
            "email" | "email-json" | "sms" | "application" | "firehose" => {
                Err(SnsError::Unserved(format!("The protocol {text} (sqs, lambda, http and https are served)")))
            }
            _ => Err(SnsError::Parameter(format!("Amazon SNS does not support this protocol string: {text}"))),
        }
    }
}

/// A subscription.
#[derive(Clone, Debug)]
pub(crate) struct Subscription {
    pub topic: u128,
    pub id: u128,
    pub arn: String,
    pub owner: AccountId,
    pub protocol: Protocol,
    pub facts: SubscriptionRow,
    /// As it stands in the store.
    pub row: Bytes,
    pub filter: Option<Filter>,
    pub delivery: Option<DeliveryPolicy>,
    /// The dead-letter queue.
    pub dead: Option<Arn>,
    /// What ends its unsubscribe link.
    pub token: String,
}

impl Subscription {
    /// A subscription of its row.
    pub fn of(topic: &Topic, id: u128, facts: SubscriptionRow, token: String) -> Result<Self, SnsError> {
        let owner =
            facts.owner.parse().map_err(|_| SnsError::Internal("a subscription without an owner".to_owned()))?;
        let attribute = |name: &str| facts.attributes.get(name).map(String::as_str);
        let scope = filter::scope(attribute("FilterPolicyScope"))?;
        let filter = attribute("FilterPolicy").map(|text| Filter::parse(text, scope)).transpose()?.flatten();
        Ok(Self {
            topic: topic.id,
            id,
            arn: names::subscription_arn(&topic.arn, id),
            owner,
            protocol: Protocol::parse(&facts.protocol)?,
            filter,
            delivery: attribute("DeliveryPolicy").map(DeliveryPolicy::of_subscription).transpose()?,
            dead: attribute("RedrivePolicy").map(dead_letters).transpose()?.flatten(),
            row: rows::encode(&facts),
            token,
            facts,
        })
    }

    pub fn is_pending(&self) -> bool {
        self.facts.pending_until != 0
    }

    pub fn is_raw(&self) -> bool {
        self.facts.attributes.get("RawMessageDelivery").is_some_and(|value| value == "true")
    }

    /// How its webhook is tried.
    pub fn effective<'a>(&'a self, topic: &'a Topic) -> Effective<'a> {
        DeliveryPolicy::effective(topic.delivery.as_ref(), self.delivery.as_ref())
    }
}

/// The queue of a redrive policy; `None` for one that names none.
pub(crate) fn dead_letters(text: &str) -> Result<Option<Arn>, SnsError> {
    let invalid = |why: &str| SnsError::Parameter(format!("RedrivePolicy: {why}"));
    let parsed: serde_json::Value = serde_json::from_str(text).map_err(|_| invalid("failed to parse JSON."))?;
    let members = parsed.as_object().ok_or_else(|| invalid("must be a JSON object"))?;
    if let Some(other) = members.keys().find(|name| *name != "deadLetterTargetArn") {
        return Err(invalid(&format!("unknown member {other}")));
    }
    let Some(named) = members.get("deadLetterTargetArn") else { return Ok(None) };
    let arn = named.as_str().and_then(Arn::parse).filter(|arn| arn.service() == "sqs" && arn.account().is_some());
    match arn {
        Some(arn) if arn.resource().ends_with(".fifo") => {
            Err(invalid("must not reference a FIFO queue: the topic is no FIFO topic"))
        }
        Some(arn) => Ok(Some(arn)),
        None => Err(invalid("deadLetterTargetArn is an invalid arn")),
    }
}
