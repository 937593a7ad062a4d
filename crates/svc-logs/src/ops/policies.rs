//! Resource policies of an account: what lets other services write into its groups.

use std::collections::BTreeMap;
use std::sync::Arc;

use millpond_api_logs as api;
use millpond_kernel::{Caller, DirectoryError};
use millpond_meta::Op;
use millpond_policy::Policy;
use millpond_types::{AccountId, Arn};

use crate::errors::{Failure, LogsError};
use crate::inputs::Touch;
use crate::limits::{MAX_LISTED, MAX_POLICIES, MAX_POLICY_CHARS};
use crate::paging;
use crate::state::{Core, POLICY};
use crate::tables::{self, PolicyRow};

fn missing(what: &str) -> LogsError {
    LogsError::Invalid(format!("Missing required parameter: {what}"))
}

/// Policies of one group alone are not served.
fn of_account(resource: Option<&String>, revision: Option<&String>) -> Result<(), LogsError> {
    match (resource, revision) {
        (Some(_), _) => Err(LogsError::Unserved("a resource policy of one log group (resourceArn)")),
        (_, Some(_)) => Err(LogsError::Unserved("expectedRevisionId")),
        _ => Ok(()),
    }
}

/// They are about no resource of their own.
fn nothing() -> Arn {
    Arn::any()
}

fn show(name: &str, row: &PolicyRow) -> api::ResourcePolicy {
    api::ResourcePolicy {
        policy_name: Some(name.to_owned()),
        policy_document: Some(row.text.clone()),
        last_updated_time: i64::try_from(row.updated).ok(),
        policy_scope: Some(api::PolicyScope::Account),
        resource_arn: None,
        revision_id: None,
    }
}

/// The unique ids of those whom a policy names. Refuses whom there is not.
async fn ids(core: &Core, policy: &Policy) -> Result<BTreeMap<String, String>, LogsError> {
    let nobody = |who: &str| LogsError::Invalid(format!("The policy names a principal that does not exist: {who}"));
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
            Err(DirectoryError::Failed(reason)) => return Err(LogsError::Internal(reason)),
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

pub(crate) async fn put(
    core: &Arc<Core>,
    caller: &Caller,
    account: AccountId,
    input: &api::PutResourcePolicyInput,
) -> Result<api::PutResourcePolicyOutput, Failure> {
    of_account(input.resource_arn.as_ref(), input.expected_revision_id.as_ref())?;
    let name = input.policy_name.as_ref().ok_or_else(|| missing("policyName"))?;
    let text = input.policy_document.as_ref().ok_or_else(|| missing("policyDocument"))?;
    let authorized = core.authorize(caller, Touch::new(input, account, nothing())).await?;
    if text.chars().count() > MAX_POLICY_CHARS {
        return Err(LogsError::Limit(format!("Policy document exceeds {MAX_POLICY_CHARS} characters.")).into());
    }
    let policy = Policy::parse(text, POLICY).map_err(|error| LogsError::Invalid(error.to_string()))?;
    if !policy.has_variables() && text.contains("${") {
        let text = "Policy variables need Version 2012-10-17.";
        return Err(LogsError::Invalid(text.to_owned()).into());
    }
    let row = PolicyRow { text: text.clone(), updated: core.now(), ids: ids(core, &policy).await? };
    let mut rows = core.policy_rows(account).await?;
    let op = Op::Put(tables::policy(account, name), tables::encode(&row));
    let shown = show(name, &row);
    rows.insert(name.clone(), row);
    if rows.len() > MAX_POLICIES {
        let text = format!("Resource limit exceeded: an account has at most {MAX_POLICIES} resource policies.");
        return Err(LogsError::Limit(text).into());
    }
    core.commit_policies(authorized.pin(), account, op, &rows).await?;
    Ok(api::PutResourcePolicyOutput { resource_policy: Some(shown), revision_id: None })
}

pub(crate) async fn delete(
    core: &Arc<Core>,
    caller: &Caller,
    account: AccountId,
    input: &api::DeleteResourcePolicyInput,
) -> Result<api::DeleteResourcePolicyOutput, Failure> {
    of_account(input.resource_arn.as_ref(), input.expected_revision_id.as_ref())?;
    let name = input.policy_name.as_ref().ok_or_else(|| missing("policyName"))?;
    let authorized = core.authorize(caller, Touch::new(input, account, nothing())).await?;
    let mut rows = core.policy_rows(account).await?;
    if rows.remove(name).is_none() {
        return Err(LogsError::NotFound("Policy with the specified name does not exist.").into());
    }
    let op = Op::Delete(tables::policy(account, name));
    core.commit_policies(authorized.pin(), account, op, &rows).await?;
    Ok(api::DeleteResourcePolicyOutput {})
}

pub(crate) async fn describe(
    core: &Arc<Core>,
    caller: &Caller,
    account: AccountId,
    input: &api::DescribeResourcePoliciesInput,
) -> Result<api::DescribeResourcePoliciesOutput, Failure> {
    of_account(input.resource_arn.as_ref(), None)?;
    core.authorize(caller, Touch::new(input, account, nothing())).await?;
    if input.policy_scope == Some(api::PolicyScope::Resource) {
        return Ok(api::DescribeResourcePoliciesOutput { resource_policies: Some(Vec::new()), next_token: None });
    }
    let after = paging::after(input.next_token.as_deref())?;
    let limit = paging::limit(input.limit, MAX_LISTED);
    let rows = core.policy_rows(account).await?;
    let mut behind = rows.iter().filter(|(name, _)| after.as_ref().is_none_or(|after| *name > after)).peekable();
    let shown: Vec<_> = behind.by_ref().take(limit).map(|(name, row)| show(name, row)).collect();
    let last = shown.last().and_then(|policy| policy.policy_name.as_deref());
    let next_token = last.filter(|_| behind.peek().is_some()).map(paging::token);
    Ok(api::DescribeResourcePoliciesOutput { resource_policies: Some(shown), next_token })
}
