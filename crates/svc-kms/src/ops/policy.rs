//! Key policies.

use std::sync::Arc;

use millpond_api_kms as api;
use millpond_kernel::{Caller, Context, Principal, Refusal};
use millpond_policy::{Question, Reach};
use millpond_types::AccountId;

use crate::cache::Change;
use crate::errors::{Failure, KmsError};
use crate::load;
use crate::lookup::{Forms, customers};
use crate::model::Key;
use crate::paging::page;
use crate::resolved::{OnKey, Resolved, Touched};
use crate::rows::PolicyRow;
use crate::state::{Core, Draft};
use crate::tables;

/// The one name that a key's policy has.
const NAME: &str = "default";

/// The policy of a key that is made without one: it hands everything on to the policies of the account's identities
/// (KMS Developer Guide, "Default key policy").
pub(crate) fn usual(account: AccountId) -> String {
    format!(
        r#"{{
  "Version" : "2012-10-17",
  "Id" : "key-default-1",
  "Statement" : [ {{
    "Sid" : "Enable IAM User Permissions",
    "Effect" : "Allow",
    "Principal" : {{
      "AWS" : "arn:aws:iam::{account}:root"
    }},
    "Action" : "kms:*",
    "Resource" : "*"
  }} ]
}}"#
    )
}

/// Refuses a policy under which who puts it could not put the next one (API reference, PutKeyPolicy).
pub(crate) async fn keeps_control(core: &Core, caller: &Caller, key: &Arc<Key>) -> Result<(), KmsError> {
    let input = api::PutKeyPolicyInput {
        key_id: key.id.to_string(),
        policy: key.policy.policy.text().to_owned(),
        ..api::PutKeyPolicyInput::default()
    };
    let about = crate::errors::About::Arn(key.arn.to_string());
    let on = OnKey { key: Arc::clone(key), alias: None, aliases: Vec::new(), about };
    let touched = vec![Touched::key("kms:PutKeyPolicy", on, Vec::new())];
    let next = Resolved::new(caller, core.kernel.region(), &input, touched);
    match core.kernel.would_allow(caller, &next).await {
        Ok(()) => Ok(()),
        Err(Refusal::Denied(_)) => Err(KmsError::Policy(
            "The new key policy will not allow you to update the key policy in the future.".to_owned(),
        )),
        Err(refusal) => Err(KmsError::refused(refusal, &[])),
    }
}

/// Whether a policy hands the control of its key on to the account: then a key that is made with it is not out of control, whatever its
/// maker may do later.
pub(crate) fn hands_on(key: &Key) -> bool {
    let context = Context::default();
    let owner = key.facts.account;
    let question = Question {
        principal: &Principal::Root(owner),
        action: "kms:PutKeyPolicy",
        resource: key.arn.as_str(),
        owner,
        object_owner: None,
        context: &context,
    };
    let says = key.policy.policy.says(&question, false);
    says.allows != Reach::None && !says.denies
}

fn known(name: Option<&str>) -> Result<(), KmsError> {
    match name {
        None | Some(NAME) => Ok(()),
        Some(_) => Err(KmsError::NotFound("No such policy exists".to_owned())),
    }
}

pub(crate) async fn get(
    core: &Arc<Core>,
    caller: &Caller,
    input: &api::GetKeyPolicyInput,
) -> Result<api::GetKeyPolicyOutput, Failure> {
    let (_, on) = core.on_key(caller, input, &input.key_id, Forms::Own).await?;
    known(input.policy_name.as_deref())?;
    let text = on.key.policy.policy.text().to_owned();
    Ok(api::GetKeyPolicyOutput { policy: Some(text), policy_name: Some(NAME.to_owned()) })
}

pub(crate) async fn list(
    core: &Arc<Core>,
    caller: &Caller,
    input: &api::ListKeyPoliciesInput,
) -> Result<api::ListKeyPoliciesOutput, Failure> {
    core.on_key(caller, input, &input.key_id, Forms::Own).await?;
    let page = page(input.limit, input.marker.as_deref(), 100, 1000)?;
    let (names, next_marker) = page.cut([(NAME.to_owned(), NAME.to_owned())]);
    Ok(api::ListKeyPoliciesOutput { policy_names: Some(names), truncated: Some(next_marker.is_some()), next_marker })
}

pub(crate) async fn put(
    core: &Arc<Core>,
    caller: &Caller,
    input: &api::PutKeyPolicyInput,
) -> Result<api::PutKeyPolicyOutput, Failure> {
    let (authorized, on) = core.on_key(caller, input, &input.key_id, Forms::Own).await?;
    known(input.policy_name.as_deref())?;
    customers(&on.key)?;
    let (policy, ids) = core.policy(&input.policy).await?;
    let mut draft = Draft::on(&on.key);
    draft.put(tables::policy(on.key.id), &PolicyRow { text: policy.text().to_owned(), ids });
    let changed = Arc::new(Key { policy: load::named_policy(&on.key.arn, policy), ..(*on.key).clone() });
    if input.bypass_policy_lockout_safety_check != Some(true) {
        keeps_control(core, caller, &changed).await?;
    }
    draft.change(Change::Key(changed));
    core.commit(Some(authorized.pin()), draft).await?;
    Ok(api::PutKeyPolicyOutput {})
}
