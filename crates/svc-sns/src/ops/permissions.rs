//! Statements of a topic's policy, one at a time.

use std::sync::Arc;

use millpond_api_sns as api;
use millpond_kernel::Caller;
use millpond_types::AccountId;
use serde_json::{Value, json};

use crate::errors::{Failure, SnsError};
use crate::model::Topic;
use crate::state::{Core, Draft, On};

/// What AddPermission can allow.
const ACTIONS: [&str; 8] = [
    "GetTopicAttributes",
    "SetTopicAttributes",
    "AddPermission",
    "RemovePermission",
    "DeleteTopic",
    "Subscribe",
    "ListSubscriptionsByTopic",
    "Publish",
];

fn document(topic: &Topic) -> Result<Value, SnsError> {
    serde_json::from_str(&topic.facts.policy).map_err(|error| SnsError::Internal(error.to_string()))
}

/// The statements of a document; one that stands alone becomes a list.
fn statements(document: &mut Value) -> Result<&mut Vec<Value>, SnsError> {
    let statement =
        document.get_mut("Statement").ok_or_else(|| SnsError::Internal("a policy without statements".to_owned()))?;
    if !statement.is_array() {
        *statement = json!([statement.take()]);
    }
    statement.as_array_mut().ok_or_else(|| SnsError::Internal("a policy without statements".to_owned()))
}

fn is_labelled(statement: &Value, label: &str) -> bool {
    statement.get("Sid").and_then(Value::as_str) == Some(label)
}

fn statement(topic: &Topic, input: &api::AddPermissionInput) -> Result<Value, SnsError> {
    if input.aws_account_id.is_empty() {
        return Err(SnsError::parameter("AWSAccountId"));
    }
    if input.action_name.is_empty() {
        return Err(SnsError::parameter("ActionName"));
    }
    let mut principals = Vec::new();
    for account in &input.aws_account_id {
        let account: AccountId = account.parse().map_err(|_| SnsError::parameter("Policy Error: PrincipalNotFound"))?;
        principals.push(Value::from(format!("arn:aws:iam::{account}:root")));
    }
    let mut actions = Vec::new();
    for action in &input.action_name {
        if !ACTIONS.contains(&action.as_str()) {
            return Err(SnsError::parameter("Policy statement action out of service scope!"));
        }
        actions.push(Value::from(format!("SNS:{action}")));
    }
    // One stands by itself, as AWS writes it.
    let one = |mut list: Vec<Value>| if list.len() == 1 { list.remove(0) } else { Value::from(list) };
    Ok(json!({
        "Sid": input.label,
        "Effect": "Allow",
        "Principal": {"AWS": one(principals)},
        "Action": one(actions),
        "Resource": topic.arn.as_str(),
    }))
}

async fn put(core: &Core, on: On<impl crate::inputs::Input>, document: &Value) -> Result<(), Failure> {
    let On { authorized, topic } = on;
    let mut facts = topic.facts.clone();
    facts.policy = document.to_string();
    facts.ids = core.policy_ids(&facts.policy).await?;
    let mut draft = Draft::on(&topic);
    draft.changes_policies();
    draft.topic(topic.with(facts)?);
    core.commit(Some(authorized.pin()), draft).await
}

pub(crate) async fn add(
    core: &Arc<Core>,
    caller: &Arc<Caller>,
    input: &api::AddPermissionInput,
) -> Result<api::AddPermissionOutput, Failure> {
    let on = core.on_topic::<api::AddPermissionInput>(caller, &input.topic_arn, "TopicArn", |r| r).await?;
    let mut document = document(&on.topic)?;
    let list = statements(&mut document)?;
    if list.iter().any(|there| is_labelled(there, &input.label)) {
        return Err(SnsError::parameter("Statement already exists").into());
    }
    list.push(statement(&on.topic, input)?);
    put(core, on, &document).await?;
    Ok(api::AddPermissionOutput {})
}

pub(crate) async fn remove(
    core: &Arc<Core>,
    caller: &Arc<Caller>,
    input: &api::RemovePermissionInput,
) -> Result<api::RemovePermissionOutput, Failure> {
    let on = core.on_topic::<api::RemovePermissionInput>(caller, &input.topic_arn, "TopicArn", |r| r).await?;
    let mut document = document(&on.topic)?;
    let list = statements(&mut document)?;
    let before = list.len();
    list.retain(|there| !is_labelled(there, &input.label));
    // A label that is not there is no error.
    if list.len() == before {
        return Ok(api::RemovePermissionOutput {});
    }
    if list.is_empty() {
        // A policy has a statement; without any, the topic is as it was made.
        document = serde_json::from_str(&crate::model::usual_policy(&on.topic.arn, on.topic.account))
            .map_err(|error| SnsError::Internal(error.to_string()))?;
    }
    put(core, on, &document).await?;
    Ok(api::RemovePermissionOutput {})
}
