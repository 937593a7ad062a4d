//! Simulation of policies: what would be decided, and why (IAM User Guide, "IAM policy testing with the IAM policy simulator").

mod given;
mod run;

use std::collections::BTreeSet;
use std::sync::Arc;

use millpond_api_iam as api;
use millpond_kernel::{Access, Caller, Context, Kernel, Named, Refusal, Resource, Rights, ServiceError};
use millpond_policy::PolicyKind;
use millpond_types::{AccountId, Arn};
use millpond_wire::{FormPairs, ParseError, ResponseParts};

use crate::errors::IamError;
use crate::form;
use crate::state::{Entity, Identities, Kind};
use given::{Common, Given};
use run::Page;

/// Carries a simulation out. Other operations are none of them.
pub(crate) async fn call(
    kernel: &Kernel,
    identities: &Identities,
    caller: &Caller,
    form: &FormPairs<'_>,
    operation: api::Operation,
) -> Result<ResponseParts, ServiceError> {
    let invalid = |error: ParseError| form::validation(&error, Some(form));
    let id = caller.request_id().to_string();
    Ok(match operation {
        api::Operation::SimulateCustomPolicy => {
            let input = api::SimulateCustomPolicyInput::parse_form(form).map_err(invalid)?;
            simulate_custom_policy(kernel, caller, input).await?.write(&id)
        }
        api::Operation::SimulatePrincipalPolicy => {
            let input = api::SimulatePrincipalPolicyInput::parse_form(form).map_err(invalid)?;
            simulate_principal_policy(identities, kernel, caller, input).await?.write(&id)
        }
        api::Operation::GetContextKeysForCustomPolicy => {
            let input = api::GetContextKeysForCustomPolicyInput::parse_form(form).map_err(invalid)?;
            get_context_keys_for_custom_policy(kernel, caller, input).await?.write(&id)
        }
        api::Operation::GetContextKeysForPrincipalPolicy => {
            let input = api::GetContextKeysForPrincipalPolicyInput::parse_form(form).map_err(invalid)?;
            get_context_keys_for_principal_policy(identities, kernel, caller, input).await?.write(&id)
        }
        other => return Err(ServiceError::not_implemented(other.name())),
    })
}

async fn simulate_custom_policy(
    kernel: &Kernel,
    caller: &Caller,
    input: api::SimulateCustomPolicyInput,
) -> Result<api::SimulateCustomPolicyOutput, ServiceError> {
    let account = account_of(caller)?;
    let operation = SimulateCustomPolicy(Access { action: "iam:SimulateCustomPolicy", resource: any(account) });
    kernel.authorize(caller, operation).await.map_err(refused)?;
    let common = Common {
        actions: input.action_names,
        resources: input.resource_arns,
        resource_policy: input.resource_policy,
        resource_owner: input.resource_owner,
        caller_arn: input.caller_arn,
        context: input.context_entries,
        handling: input.resource_handling_option,
        boundary: input.permissions_boundary_policy_input_list,
        control: input.ordered_organization_policy_input_list,
    };
    let rights = Arc::new(Rights { identity: listed(&input.policy_input_list)?, ..Rights::default() });
    let given = Given::new(account, rights, None, common)?;
    let Page { results, marker } = run::page(given, input.max_items, input.marker).await?;
    Ok(api::SimulateCustomPolicyOutput {
        evaluation_results: Some(results),
        is_truncated: Some(marker.is_some()),
        marker,
    })
}

async fn simulate_principal_policy(
    identities: &Identities,
    kernel: &Kernel,
    caller: &Caller,
    input: api::SimulatePrincipalPolicyInput,
) -> Result<api::SimulatePrincipalPolicyOutput, ServiceError> {
    let account = account_of(caller)?;
    let resource = source(&input.policy_source_arn)?;
    let operation = SimulatePrincipalPolicy(Access { action: "iam:SimulatePrincipalPolicy", resource });
    kernel.authorize(caller, operation).await.map_err(refused)?;
    let (entity, rights) = entity(identities, &input.policy_source_arn)?;
    let mut rights = Rights::clone(&rights);
    for exclusion in input.policy_exclusion_list.iter().flatten() {
        given::exclude(&mut rights, exclusion);
    }
    rights.identity.extend(listed(input.policy_input_list.as_deref().unwrap_or_default())?);
    let common = Common {
        actions: input.action_names,
        resources: input.resource_arns,
        resource_policy: input.resource_policy,
        resource_owner: input.resource_owner,
        caller_arn: input.caller_arn,
        context: input.context_entries,
        handling: input.resource_handling_option,
        boundary: input.permissions_boundary_policy_input_list,
        control: None,
    };
    let given = Given::new(account, Arc::new(rights), Some(&entity), common)?;
    let Page { results, marker } = run::page(given, input.max_items, input.marker).await?;
    Ok(api::SimulatePrincipalPolicyOutput {
        evaluation_results: Some(results),
        is_truncated: Some(marker.is_some()),
        marker,
    })
}

async fn get_context_keys_for_custom_policy(
    kernel: &Kernel,
    caller: &Caller,
    input: api::GetContextKeysForCustomPolicyInput,
) -> Result<api::GetContextKeysForCustomPolicyOutput, ServiceError> {
    let resource = any(account_of(caller)?);
    let access = Access { action: "iam:GetContextKeysForCustomPolicy", resource };
    kernel.authorize(caller, GetContextKeysForCustomPolicy(access)).await.map_err(refused)?;
    let keys = context_keys(&listed(&input.policy_input_list)?);
    Ok(api::GetContextKeysForCustomPolicyOutput { context_key_names: Some(keys) })
}

async fn get_context_keys_for_principal_policy(
    identities: &Identities,
    kernel: &Kernel,
    caller: &Caller,
    input: api::GetContextKeysForPrincipalPolicyInput,
) -> Result<api::GetContextKeysForPrincipalPolicyOutput, ServiceError> {
    let resource = source(&input.policy_source_arn)?;
    let access = Access { action: "iam:GetContextKeysForPrincipalPolicy", resource };
    kernel.authorize(caller, GetContextKeysForPrincipalPolicy(access)).await.map_err(refused)?;
    let (_, rights) = entity(identities, &input.policy_source_arn)?;
    let mut policies = rights.identity.clone();
    policies.extend(listed(input.policy_input_list.as_deref().unwrap_or_default())?);
    Ok(api::GetContextKeysForPrincipalPolicyOutput { context_key_names: Some(context_keys(&policies)) })
}

/// The keys that policies ask about, each once, whatever its case.
fn context_keys(policies: &[Named]) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let keys = policies.iter().flat_map(|named| named.policy.condition_keys());
    keys.filter(|key| seen.insert(key.to_ascii_lowercase())).map(str::to_owned).collect()
}

/// Policies of an identity that the request itself holds, called by their place in it.
fn listed(texts: &[String]) -> Result<Vec<Named>, ServiceError> {
    given::documents("PolicyInputList", texts, &PolicyKind::Identity)
}

fn account_of(caller: &Caller) -> Result<AccountId, ServiceError> {
    let unsigned = || ServiceError::new("MissingAuthenticationToken", 403, "Request is missing Authentication Token");
    caller.account().ok_or_else(unsigned)
}

fn any(owner: AccountId) -> Resource {
    Resource::new(Arn::any(), owner)
}

/// The user, group or role whose policies are asked about, as a resource.
fn source(text: &str) -> Result<Resource, ServiceError> {
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    if let ["arn", "aws", "iam", "", account, resource] = parts.as_slice() {
        let kind = resource.split_once('/').filter(|(_, name)| !name.is_empty()).map(|(kind, _)| kind);
        if let (Ok(owner), Some("user" | "group" | "role"), Some(arn)) = (account.parse(), kind, Arn::parse(text)) {
            return Ok(Resource::new(arn, owner));
        }
    }
    Err(given::invalid(format!("Invalid Entity Arn: {text} does not clearly define entity type and name.")))
}

fn entity(identities: &Identities, arn: &str) -> Result<(Arc<Entity>, Arc<Rights>), ServiceError> {
    let missing = || {
        let name = arn.rsplit('/').next().unwrap_or_default();
        let kind =
            [Kind::User, Kind::Group, Kind::Role].into_iter().find(|kind| arn.contains(&format!(":{}/", kind.word())));
        IamError::no_entity(kind.unwrap_or(Kind::User), name)
    };
    let entity = identities.by_arn(arn).ok_or_else(missing)?;
    let rights = identities.account(entity.account).rights(&entity).map_err(|error| {
        tracing::error!(%error, "policies cannot be simulated");
        ServiceError::internal()
    })?;
    Ok((entity, rights))
}

fn refused(refusal: Refusal) -> ServiceError {
    IamError::from(refusal).into()
}

/// Operations that touch one thing and have no condition keys of their own.
macro_rules! operations {
    ($($operation:ident),* $(,)?) => {$(
        struct $operation(Access);

        impl millpond_kernel::Operation for $operation {
            const NAME: &'static str = stringify!($operation);

            fn accesses(&self) -> Vec<Access> {
                vec![self.0.clone()]
            }

            fn context(&self, _: &Access, _: &mut Context) {}
        }
    )*};
}

operations! {
    GetContextKeysForCustomPolicy,
    GetContextKeysForPrincipalPolicy,
    SimulateCustomPolicy,
    SimulatePrincipalPolicy,
}

#[cfg(test)]
mod tests;
