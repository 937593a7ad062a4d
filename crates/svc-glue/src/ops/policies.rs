//! The resource policy of an account's catalog (Developer Guide, "Resource-based policies within AWS Glue").

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use millpond_api_glue as api;
use millpond_kernel::{Caller, DirectoryError};
use millpond_policy::Policy;
use millpond_types::{AccountId, Timestamp};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::errors::{Failure, GlueError, invalid};
use crate::inputs::Touch;
use crate::limits::MAX_POLICY_BYTES;
use crate::state::{Core, POLICY};
use crate::tables::PolicyRow;

fn hash(row: &PolicyRow) -> String {
    STANDARD.encode(Sha256::digest(row.text.as_bytes()))
}

fn missing() -> GlueError {
    GlueError::NotFound("Policy not found.".to_owned())
}

/// Policies are of the catalog as a whole; one of a database or table is what AWS RAM makes, which is not there.
fn of_catalog(core: &Core, account: AccountId, arn: Option<&String>) -> bool {
    arn.is_none_or(|arn| *arn == core.arn(account, "catalog").as_str())
}

fn show(row: &PolicyRow) -> api::GluePolicy {
    api::GluePolicy {
        policy_in_json: Some(row.text.clone()),
        policy_hash: Some(hash(row)),
        create_time: Some(Timestamp(row.created)),
        update_time: Some(Timestamp(row.updated)),
    }
}

/// Every resource is one of the account's catalog.
fn check_resources(core: &Core, account: AccountId, text: &str) -> Result<(), GlueError> {
    let document: Value = serde_json::from_str(text).unwrap_or_default();
    let own = core.arn(account, "");
    let many = |value: &Value| match value {
        Value::Array(all) => all.clone(),
        Value::Null => Vec::new(),
        one => vec![one.clone()],
    };
    for statement in many(&document["Statement"]) {
        for resource in ["Resource", "NotResource"].iter().flat_map(|name| many(&statement[*name])) {
            let resource = resource.as_str().unwrap_or_default();
            if resource != "*" && !resource.starts_with(own.as_str()) {
                return invalid(format!(
                    "The policy is about {resource}, which does not lie in the catalog of the account."
                ));
            }
        }
    }
    Ok(())
}

/// The unique ids of those whom a policy names. Refuses whom there is not.
async fn ids(core: &Core, policy: &Policy) -> Result<BTreeMap<String, String>, GlueError> {
    let nobody = |who: &str| GlueError::Invalid(format!("The policy names a principal that does not exist: {who}"));
    let directory = core.kernel.directory();
    let mut ids = BTreeMap::new();
    for arn in policy.principals() {
        let found = match directory {
            Some(directory) => directory.unique_id(arn).await,
            None => Ok(None),
        };
        let id = match found {
            Ok(Some(id)) => id,
            Ok(None) | Err(DirectoryError::Gone) => return Err(nobody(arn)),
            Err(DirectoryError::Failed(reason)) => return Err(GlueError::Internal(reason)),
        };
        ids.insert(arn.to_owned(), id);
    }
    for account in policy.accounts() {
        let here = account == core.kernel.account() || directory.is_some_and(|known| known.account_exists(account));
        if !here {
            return Err(nobody(account.as_str()));
        }
    }
    Ok(ids)
}

/// The hash that a request expects.
fn check_hash(row: Option<&PolicyRow>, wanted: Option<&String>) -> Result<(), GlueError> {
    match wanted {
        Some(wanted) if row.map(hash).as_ref() != Some(wanted) => {
            Err(GlueError::Condition("The policy has another hash.".to_owned()))
        }
        _ => Ok(()),
    }
}

pub(crate) async fn put(
    core: &Arc<Core>,
    caller: &Caller,
    account: AccountId,
    input: &api::PutResourcePolicyInput,
) -> Result<api::PutResourcePolicyOutput, Failure> {
    let authorized = core.authorize(caller, Touch::catalog(core, input, account)).await?;
    if !of_catalog(core, account, input.resource_arn.as_ref()) {
        return Err(GlueError::Unserved("ResourceArn".to_owned()).into());
    }
    let text = &input.policy_in_json;
    if text.len() > MAX_POLICY_BYTES {
        return Err(GlueError::Invalid(format!("The policy is longer than {MAX_POLICY_BYTES} bytes.")).into());
    }
    let policy = Policy::parse(text, POLICY).map_err(|error| GlueError::Invalid(error.to_string()))?;
    if !policy.has_variables() && text.contains("${") {
        return Err(GlueError::Invalid("Policy variables need Version 2012-10-17.".to_owned()).into());
    }
    check_resources(core, account, text)?;
    let known = core.policy_row(account).await?;
    check_hash(known.as_ref(), input.policy_hash_condition.as_ref())?;
    match (input.policy_exists_condition, &known) {
        (Some(api::ExistCondition::MustExist), None) => {
            return Err(GlueError::Condition("There is no policy.".to_owned()).into());
        }
        (Some(api::ExistCondition::NotExist), Some(_)) => {
            return Err(GlueError::Condition("There is a policy already.".to_owned()).into());
        }
        _ => {}
    }
    let now = core.now();
    let created = known.as_ref().map_or(now, |row| row.created);
    let row = PolicyRow { text: text.clone(), created, updated: now, ids: ids(core, &policy).await? };
    core.commit_policy(authorized.pin(), account, Some(&row)).await?;
    Ok(api::PutResourcePolicyOutput { policy_hash: Some(hash(&row)) })
}

pub(crate) async fn get(
    core: &Arc<Core>,
    caller: &Caller,
    account: AccountId,
    input: &api::GetResourcePolicyInput,
) -> Result<api::GetResourcePolicyOutput, Failure> {
    core.authorize(caller, Touch::catalog(core, input, account)).await?;
    let found = core.policy_row(account).await?.filter(|_| of_catalog(core, account, input.resource_arn.as_ref()));
    let api::GluePolicy { policy_in_json, policy_hash, create_time, update_time } = show(&found.ok_or_else(missing)?);
    Ok(api::GetResourcePolicyOutput { policy_in_json, policy_hash, create_time, update_time })
}

pub(crate) async fn list(
    core: &Arc<Core>,
    caller: &Caller,
    account: AccountId,
    input: &api::GetResourcePoliciesInput,
) -> Result<api::GetResourcePoliciesOutput, Failure> {
    core.authorize(caller, Touch::catalog(core, input, account)).await?;
    let list = core.policy_row(account).await?.iter().map(show).collect();
    Ok(api::GetResourcePoliciesOutput { get_resource_policies_response_list: Some(list), next_token: None })
}

pub(crate) async fn delete(
    core: &Arc<Core>,
    caller: &Caller,
    account: AccountId,
    input: &api::DeleteResourcePolicyInput,
) -> Result<api::DeleteResourcePolicyOutput, Failure> {
    let authorized = core.authorize(caller, Touch::catalog(core, input, account)).await?;
    let known = core.policy_row(account).await?.filter(|_| of_catalog(core, account, input.resource_arn.as_ref()));
    let known = known.ok_or_else(missing)?;
    check_hash(Some(&known), input.policy_hash_condition.as_ref())?;
    core.commit_policy(authorized.pin(), account, None).await?;
    Ok(api::DeleteResourcePolicyOutput {})
}
