//! Statements of the policies of layers' versions, one at a time.

use std::sync::Arc;

use millpond_api_lambda as api;
use millpond_kernel::Caller;
use serde_json::json;

use super::layers::{on, put};
use super::permissions::{document, is_labelled, same_policy, statements};
use crate::errors::{Failure, LambdaError, conflict, not_found, unserved};
use crate::names::{id_of, uuid};
use crate::state::Core;
use crate::tables::{LayerVersionRow, PolicyRow};

fn revision(row: &PolicyRow) -> Result<Option<String>, LambdaError> {
    Ok(Some(uuid(id_of(&row.revision)?)))
}

pub(crate) async fn add(
    core: &Arc<Core>,
    caller: &Arc<Caller>,
    input: &api::AddLayerVersionPermissionInput,
) -> Result<api::AddLayerVersionPermissionOutput, Failure> {
    let on = on::<api::AddLayerVersionPermissionInput>(core, caller, &input.layer_name, input.version_number).await?;
    if input.organization_id.is_some() {
        return Err(unserved("OrganizationId").into());
    }
    let before = on.version.row.policy.as_ref();
    same_policy(before, input.revision_id.as_deref())?;
    let mut list = statements(before)?;
    if list.iter().any(|there| is_labelled(there, &input.statement_id)) {
        let text = format!(
            "The statement id ({}) provided already exists. Please provide a new statement id, or remove the existing statement.",
            input.statement_id
        );
        return Err(conflict(text).into());
    }
    let principal = match input.principal.as_str() {
        "*" => json!("*"),
        arn if arn.starts_with("arn:") => json!({"AWS": arn}),
        account => json!({"AWS": format!("arn:aws:iam::{account}:root")}),
    };
    let arn = on.name.version_arn(core.kernel.region(), on.number);
    let statement = json!({
        "Sid": input.statement_id,
        "Effect": "Allow",
        "Principal": principal,
        "Action": input.action,
        "Resource": arn.as_str(),
    });
    list.push(statement.clone());
    let policy = core.compile(document(list), &arn).await?.row;
    let revision_id = revision(&policy)?;
    let draft = put(core, &on, LayerVersionRow { policy: Some(policy), ..on.version.row.clone() })?;
    core.commit(Some(on.authorized.pin()), draft).await?;
    Ok(api::AddLayerVersionPermissionOutput { statement: Some(statement.to_string()), revision_id })
}

pub(crate) async fn remove(
    core: &Arc<Core>,
    caller: &Arc<Caller>,
    input: &api::RemoveLayerVersionPermissionInput,
) -> Result<api::RemoveLayerVersionPermissionOutput, Failure> {
    let on =
        on::<api::RemoveLayerVersionPermissionInput>(core, caller, &input.layer_name, input.version_number).await?;
    let before = on.version.row.policy.as_ref();
    same_policy(before, input.revision_id.as_deref())?;
    let mut list = statements(before)?;
    let count = list.len();
    list.retain(|there| !is_labelled(there, &input.statement_id));
    if list.len() == count {
        return Err(not_found(format!("Statement {} is not found in resource policy.", input.statement_id)).into());
    }
    let arn = on.name.version_arn(core.kernel.region(), on.number);
    let policy = if list.is_empty() { None } else { Some(core.compile(document(list), &arn).await?.row) };
    let draft = put(core, &on, LayerVersionRow { policy, ..on.version.row.clone() })?;
    core.commit(Some(on.authorized.pin()), draft).await?;
    Ok(api::RemoveLayerVersionPermissionOutput {})
}

pub(crate) async fn get(
    core: &Arc<Core>,
    caller: &Arc<Caller>,
    input: &api::GetLayerVersionPolicyInput,
) -> Result<api::GetLayerVersionPolicyOutput, Failure> {
    let on = on::<api::GetLayerVersionPolicyInput>(core, caller, &input.layer_name, input.version_number).await?;
    let Some(policy) = &on.version.row.policy else {
        return Err(not_found("No policy is associated with the given resource.").into());
    };
    Ok(api::GetLayerVersionPolicyOutput { policy: Some(policy.text.clone()), revision_id: revision(policy)? })
}
