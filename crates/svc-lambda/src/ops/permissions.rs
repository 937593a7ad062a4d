//! Statements of resource policies, one at a time: of functions, their versions and aliases.

use std::sync::Arc;

use millpond_api_lambda as api;
use millpond_kernel::{Caller, ContextValue};
use millpond_meta::Op;
use millpond_types::AccountId;
use serde_json::{Map, Value, json};

use super::configuration::missing;
use crate::errors::{Failure, LambdaError, conflict, not_found, other_revision, parameter, unserved};
use crate::inputs::Input;
use crate::model::{Function, PolicyOf};
use crate::names::{FunctionName, LATEST, Qualifier, id_of, uuid};
use crate::state::{Core, Draft, On};
use crate::tables::{self, PolicyRow};

/// A document's statements; of no document, none.
pub(crate) fn statements(row: Option<&PolicyRow>) -> Result<Vec<Value>, LambdaError> {
    let Some(row) = row else { return Ok(Vec::new()) };
    let mut document: Value =
        serde_json::from_str(&row.text).map_err(|error| LambdaError::Internal(error.to_string()))?;
    match document.get_mut("Statement").map(Value::take) {
        Some(Value::Array(list)) => Ok(list),
        _ => Err(LambdaError::Internal("a policy without statements".to_owned())),
    }
}

/// A document of statements.
pub(crate) fn document(statements: Vec<Value>) -> String {
    json!({"Version": "2012-10-17", "Id": "default", "Statement": statements}).to_string()
}

pub(crate) fn is_labelled(statement: &Value, label: &str) -> bool {
    statement.get("Sid").and_then(Value::as_str) == Some(label)
}

/// Refuses a revision id that is not the policy's.
pub(crate) fn same_policy(row: Option<&PolicyRow>, given: Option<&str>) -> Result<(), LambdaError> {
    let Some(given) = given else { return Ok(()) };
    let there = row.map(|row| id_of(&row.revision).map(uuid)).transpose()?;
    if there.as_deref() == Some(given) { Ok(()) } else { Err(other_revision("GetPolicy")) }
}

/// A principal as the document has it.
fn principal(given: &str) -> Result<Value, LambdaError> {
    if given == "*" {
        return Ok(json!("*"));
    }
    if let Ok(account) = given.parse::<AccountId>() {
        return Ok(json!({"AWS": format!("arn:aws:iam::{account}:root")}));
    }
    if given.starts_with("arn:") {
        return Ok(json!({"AWS": given}));
    }
    if given.contains('.') {
        return Ok(json!({"Service": given}));
    }
    Err(parameter("The provided principal was invalid. Please check the principal and try again."))
}

/// Whether Lambda has an action of this name.
fn has_action(action: &str) -> bool {
    let name = action.strip_prefix("lambda:").unwrap_or(action);
    name == "*" || name == "InvokeFunction" || api::Operation::ALL.iter().any(|operation| operation.name() == name)
}

fn statement(input: &api::AddPermissionInput, arn: &str) -> Result<Value, LambdaError> {
    for (what, given) in [
        ("EventSourceToken", input.event_source_token.is_some()),
        ("FunctionUrlAuthType", input.function_url_auth_type.is_some()),
        ("InvokedViaFunctionUrl", input.invoked_via_function_url == Some(true)),
        ("PrincipalOrgID", input.principal_org_id.is_some()),
    ] {
        if given {
            return Err(unserved(what));
        }
    }
    if !has_action(&input.action) {
        return Err(parameter(format!("The action {} is not one that can be permitted.", input.action)));
    }
    let mut conditions = Map::new();
    if let Some(account) = &input.source_account {
        conditions.insert("StringEquals".to_owned(), json!({"AWS:SourceAccount": account}));
    }
    if let Some(source) = &input.source_arn {
        conditions.insert("ArnLike".to_owned(), json!({"AWS:SourceArn": source}));
    }
    let mut statement = json!({
        "Sid": input.statement_id,
        "Effect": "Allow",
        "Principal": principal(&input.principal)?,
        "Action": input.action,
        "Resource": arn,
    });
    if let (false, Some(members)) = (conditions.is_empty(), statement.as_object_mut()) {
        members.insert("Condition".to_owned(), Value::Object(conditions));
    }
    Ok(statement)
}

/// The key of a qualifier's policy. The unpublished version has none by its name.
fn key(core: &Core, function: &Function, name: &FunctionName) -> Result<String, LambdaError> {
    match &name.qualifier {
        Qualifier::None => Ok(String::new()),
        Qualifier::Latest => Err(parameter(format!("We currently do not support adding policies for {LATEST}."))),
        qualifier => match function.meant(qualifier) {
            Some(_) => Ok(qualifier.text().unwrap_or_default()),
            None => Err(not_found(format!("Function not found: {}", name.arn(core.kernel.region())))),
        },
    }
}

/// Puts the policy of a qualifier, or removes it.
fn put(function: &Function, key: String, policy: Option<PolicyOf>) -> Draft {
    let mut draft = Draft::on(function);
    let row = tables::part(tables::POLICIES, function.id, &key);
    let mut next = Function::clone(function);
    match policy {
        Some(policy) => {
            draft.ops.push(Op::Put(row, tables::encode(&policy.row)));
            next.policies.insert(key, Arc::new(policy));
        }
        None => {
            draft.ops.push(Op::Delete(row));
            next.policies.remove(&key);
        }
    }
    next.set(function.facts.clone());
    draft.changes_policies();
    draft.function(next);
    draft
}

async fn on<I: Input>(
    core: &Core,
    caller: &Caller,
    function: &str,
    qualifier: Option<&str>,
    principal: Option<&str>,
) -> Result<On<I>, LambdaError> {
    let name = core.name(caller, function, qualifier)?;
    core.on_function::<I>(caller, name, |resolved| match principal {
        Some(principal) => resolved.key("lambda:Principal", ContextValue::Text(principal.to_owned())),
        None => resolved,
    })
    .await
}

pub(crate) async fn add(
    core: &Arc<Core>,
    caller: &Arc<Caller>,
    input: &api::AddPermissionInput,
) -> Result<api::AddPermissionOutput, Failure> {
    let principal = Some(input.principal.as_str());
    let On { authorized, function, name } =
        on::<api::AddPermissionInput>(core, caller, &input.function_name, input.qualifier.as_deref(), principal)
            .await?;
    let key = key(core, &function, &name)?;
    let before = function.policies.get(&key).map(|policy| &policy.row);
    same_policy(before, input.revision_id.as_deref())?;
    let mut list = statements(before)?;
    if list.iter().any(|there| is_labelled(there, &input.statement_id)) {
        return Err(conflict(format!(
            "The statement id ({}) provided already exists. Please provide a new statement id, or remove the existing statement.",
            input.statement_id
        ))
        .into());
    }
    let arn = name.arn(core.kernel.region());
    let statement = statement(input, arn.as_str())?;
    list.push(statement.clone());
    let policy = core.compile(document(list), &arn).await?;
    core.commit(Some(authorized.pin()), put(&function, key, Some(policy))).await?;
    Ok(api::AddPermissionOutput { statement: Some(statement.to_string()) })
}

pub(crate) async fn remove(
    core: &Arc<Core>,
    caller: &Arc<Caller>,
    input: &api::RemovePermissionInput,
) -> Result<api::RemovePermissionOutput, Failure> {
    let On { authorized, function, name } =
        on::<api::RemovePermissionInput>(core, caller, &input.function_name, input.qualifier.as_deref(), None).await?;
    let key = key(core, &function, &name)?;
    let before = function.policies.get(&key).map(|policy| &policy.row);
    same_policy(before, input.revision_id.as_deref())?;
    let mut list = statements(before)?;
    let count = list.len();
    list.retain(|there| !is_labelled(there, &input.statement_id));
    if list.len() == count {
        return Err(not_found(format!("Statement {} is not found in resource policy.", input.statement_id)).into());
    }
    let arn = name.arn(core.kernel.region());
    let policy = if list.is_empty() { None } else { Some(core.compile(document(list), &arn).await?) };
    core.commit(Some(authorized.pin()), put(&function, key, policy)).await?;
    Ok(api::RemovePermissionOutput {})
}

pub(crate) async fn get(
    core: &Arc<Core>,
    caller: &Arc<Caller>,
    input: &api::GetPolicyInput,
) -> Result<api::GetPolicyOutput, Failure> {
    let On { function, name, .. } =
        on::<api::GetPolicyInput>(core, caller, &input.function_name, input.qualifier.as_deref(), None).await?;
    let key = key(core, &function, &name)?;
    let Some(policy) = function.policies.get(&key) else {
        return Err(missing("the policy").into());
    };
    let revision = uuid(id_of(&policy.row.revision)?);
    Ok(api::GetPolicyOutput { policy: Some(policy.row.text.clone()), revision_id: Some(revision) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_as_lambda_writes_them() {
        let input = |principal: &str, source: Option<&str>, account: Option<&str>| api::AddPermissionInput {
            statement_id: "s".into(),
            action: "lambda:InvokeFunction".into(),
            principal: principal.into(),
            source_arn: source.map(str::to_owned),
            source_account: account.map(str::to_owned),
            ..api::AddPermissionInput::default()
        };
        for (given, principal, condition) in [
            (input("111122223333", None, None), json!({"AWS": "arn:aws:iam::111122223333:root"}), None),
            (input("*", None, None), json!("*"), None),
            (
                input("s3.amazonaws.com", Some("arn:aws:s3:::b"), Some("111122223333")),
                json!({"Service": "s3.amazonaws.com"}),
                Some(
                    json!({"StringEquals": {"AWS:SourceAccount": "111122223333"}, "ArnLike": {"AWS:SourceArn": "arn:aws:s3:::b"}}),
                ),
            ),
        ] {
            let statement = statement(&given, "arn").unwrap();
            assert_eq!(statement["Principal"], principal);
            assert_eq!(statement.get("Condition").cloned(), condition);
        }
        assert!(statement(&input("nobody", None, None), "arn").is_err());
        let unknown = api::AddPermissionInput { action: "lambda:Fly".into(), ..input("*", None, None) };
        assert!(statement(&unknown, "arn").is_err());
    }
}
