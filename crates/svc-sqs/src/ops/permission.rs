//! Permissions that are added to a queue's policy without writing one (API reference, AddPermission and RemovePermission).

use millpond_api_sqs as api;
use millpond_kernel::Caller;
use millpond_types::AccountId;
use serde_json::{Map, Value, json};

use crate::errors::{Failure, SqsError, parameter};
use crate::limits;
use crate::settings::{self, Attributes};
use crate::state::{Core, Who};

/// The actions that can be permitted so.
const ACTIONS: &[&str] = &[
    "*",
    "ChangeMessageVisibility",
    "DeleteMessage",
    "GetQueueAttributes",
    "GetQueueUrl",
    "ListDeadLetterSourceQueues",
    "PurgeQueue",
    "ReceiveMessage",
    "SendMessage",
];

fn check_label(label: &str) -> Result<(), SqsError> {
    let good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    if label.is_empty() || label.len() > 80 || !label.bytes().all(good) {
        let reason = "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length";
        return Err(parameter(label, "Label", reason));
    }
    Ok(())
}

/// The policy's document, and its statements.
fn document(attributes: &Attributes, arn: &str) -> Result<Map<String, Value>, SqsError> {
    let Some(text) = attributes.get("Policy") else {
        let empty = json!({"Version": "2008-10-17", "Id": format!("{arn}/SQSDefaultPolicy"), "Statement": []});
        return Ok(empty.as_object().cloned().unwrap_or_default());
    };
    match serde_json::from_str(text) {
        Ok(Value::Object(mut document)) => {
            if let Some(one @ Value::Object(_)) = document.get("Statement").cloned() {
                document.insert("Statement".to_owned(), Value::Array(vec![one]));
            }
            Ok(document)
        }
        _ => Err(SqsError::Internal("a policy is no document".to_owned())),
    }
}

fn statements(document: &mut Map<String, Value>) -> Result<&mut Vec<Value>, SqsError> {
    let list = document.entry("Statement").or_insert_with(|| Value::Array(Vec::new()));
    list.as_array_mut().ok_or_else(|| SqsError::Internal("a policy has no statements".to_owned()))
}

fn has_label(statement: &Value, label: &str) -> bool {
    statement.get("Sid").and_then(Value::as_str) == Some(label)
}

pub(crate) async fn add(
    core: &Core,
    caller: &Caller,
    input: &api::AddPermissionInput,
) -> Result<api::AddPermissionOutput, Failure> {
    let (authorized, queue) =
        core.on_queue::<api::AddPermissionInput>(caller, &input.queue_url, "sqs:AddPermission", Who::Own).await?;
    check_label(&input.label)?;
    let before = queue.facts();
    let mut document = document(&before.attributes, queue.arn.as_str())?;
    let list = statements(&mut document)?;
    if list.iter().any(|statement| has_label(statement, &input.label)) {
        return Err(parameter(&input.label, "Label", "Already exists.").into());
    }
    let statement = statement(input, queue.arn.as_str())?;
    if list.len() >= limits::MAX_STATEMENTS {
        let text = format!("A policy that permissions are added to has at most {} statements.", limits::MAX_STATEMENTS);
        return Err(SqsError::Over(text).into());
    }
    list.push(statement);
    rewrite(core, authorized.pin(), &queue, Some(document)).await?;
    Ok(api::AddPermissionOutput {})
}

fn statement(input: &api::AddPermissionInput, arn: &str) -> Result<Value, SqsError> {
    let (accounts, actions) = (&input.aws_account_ids, &input.actions);
    if accounts.is_empty() {
        return Err(SqsError::Missing("PrincipalId"));
    }
    if actions.is_empty() {
        return Err(SqsError::Missing("Actions"));
    }
    if accounts.len() > limits::MAX_PRINCIPALS || actions.len() > limits::MAX_ACTIONS {
        let text = format!(
            "{} accounts and {} actions were found, maximum allowed are {} and {}.",
            accounts.len(),
            actions.len(),
            limits::MAX_PRINCIPALS,
            limits::MAX_ACTIONS
        );
        return Err(SqsError::Over(text));
    }
    let mut principals = Vec::new();
    for account in accounts {
        let account: AccountId = account.parse().map_err(|_| {
            let text = format!("Value {account:?} for parameter PrincipalId is invalid. Reason: Unable to verify.");
            SqsError::Parameter(text)
        })?;
        principals.push(format!("arn:aws:iam::{account}:root"));
    }
    for action in actions {
        if !ACTIONS.contains(&action.as_str()) {
            let reason = "Only the queue owner is allowed to invoke this action.";
            return Err(parameter(format!("SQS:{action}"), "ActionName", reason));
        }
    }
    let one = |mut list: Vec<String>| match list.len() {
        1 => Value::String(list.remove(0)),
        _ => Value::from(list),
    };
    Ok(json!({
        "Sid": input.label,
        "Effect": "Allow",
        "Principal": {"AWS": one(principals)},
        "Action": one(actions.iter().map(|action| format!("SQS:{action}")).collect()),
        "Resource": arn,
    }))
}

pub(crate) async fn remove(
    core: &Core,
    caller: &Caller,
    input: &api::RemovePermissionInput,
) -> Result<api::RemovePermissionOutput, Failure> {
    let (authorized, queue) =
        core.on_queue::<api::RemovePermissionInput>(caller, &input.queue_url, "sqs:RemovePermission", Who::Own).await?;
    check_label(&input.label)?;
    let before = queue.facts();
    let mut document = document(&before.attributes, queue.arn.as_str())?;
    let list = statements(&mut document)?;
    let count = list.len();
    list.retain(|statement| !has_label(statement, &input.label));
    if list.len() == count {
        return Err(parameter(&input.label, "Label", "can't find label on existing policy").into());
    }
    let left = (!list.is_empty()).then_some(document);
    rewrite(core, authorized.pin(), &queue, left).await?;
    Ok(api::RemovePermissionOutput {})
}

async fn rewrite(
    core: &Core,
    pin: millpond_kernel::Pin,
    queue: &std::sync::Arc<crate::queue::Queue>,
    document: Option<Map<String, Value>>,
) -> Result<(), Failure> {
    let before = queue.facts();
    let text = document.map(|document| Value::Object(document).to_string()).unwrap_or_default();
    let change = Attributes::from([("Policy".to_owned(), text)]);
    let attributes = settings::changed(&before.attributes, &change, before.settings.fifo, false)?;
    let facts = core.facts(&queue.arn, &before, attributes).await?;
    core.rewrite(pin, queue, facts, Vec::new()).await
}
