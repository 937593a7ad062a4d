//! Keys: made, described, enabled and disabled, deleted.

use std::sync::Arc;

use millpond_api_kms as api;
use millpond_api_kms::{KeySpec, KeyUsageType, OriginType};
use millpond_kernel::Caller;
use millpond_policy::Policy;
use millpond_types::AccountId;

use crate::errors::{Failure, KmsError};
use crate::ids::KeyId;
use crate::limits::{DAY, DELETION_DAYS, MAX_KEYS};
use crate::load;
use crate::lookup::{Forms, customers, not_pending};
use crate::model::{Facts, Key, Spec, State};
use crate::ops::{policy, tags};
use crate::paging::page;
use crate::resolved::Touched;
use crate::rows::PolicyRow;
use crate::state::{Core, Draft};
use crate::tables;

/// A key as it is to be made.
pub(crate) struct NewKey {
    pub account: AccountId,
    pub spec: Spec,
    pub managed: bool,
    pub description: String,
    pub policy: Policy,
    /// The ids of whom the policy names.
    pub ids: Vec<String>,
    pub tags: std::collections::BTreeMap<String, String>,
}

impl Core {
    /// Writes a new key into a draft.
    pub fn new_key(&self, draft: &mut Draft, new: NewKey) -> Result<Arc<Key>, KmsError> {
        let id = KeyId::random(&*self.random);
        let NewKey { account, spec, managed, description, policy, ids, tags } = new;
        if self.maps().key_count(account) >= MAX_KEYS {
            return Err(KmsError::Limit(format!("An account has at most {MAX_KEYS} keys.")));
        }
        let created = self.now();
        // Keys of services rotate every year by themselves (KMS Developer Guide, "Rotate AWS KMS keys").
        let rotation = managed.then(|| crate::model::Rotation::starting(created, crate::limits::ROTATION_DAYS));
        let facts =
            Facts { account, created, spec, managed, description, state: State::Enabled, rotation, on_demand: 0 };
        let first = self.new_material(draft, id, &facts, None, 1)?;
        let arn = self.key_arn(account, id);
        draft.absent(tables::key(id));
        draft.put(tables::policy(id), &PolicyRow { text: policy.text().to_owned(), ids });
        for (name, value) in &tags {
            draft.raw(tables::tag(id, name), value.clone().into());
        }
        let policy = load::named_policy(&arn, policy);
        Ok(draft.key(Key { id, arn, facts, row: bytes::Bytes::new(), policy, tags, materials: vec![first] }))
    }
}

/// What AWS says of a key.
pub(crate) fn metadata(key: &Key) -> api::KeyMetadata {
    let Key { id, arn, facts, .. } = key;
    let (deletion_date, spec) = match facts.state {
        State::PendingDeletion { at, .. } => (Some(at), facts.spec),
        State::Enabled | State::Disabled => (None, facts.spec),
    };
    let manager = if facts.managed { api::KeyManagerType::Aws } else { api::KeyManagerType::Customer };
    api::KeyMetadata {
        aws_account_id: Some(facts.account.to_string()),
        key_id: id.to_string(),
        arn: Some(arn.to_string()),
        creation_date: Some(facts.created),
        enabled: Some(facts.state == State::Enabled),
        description: Some(facts.description.clone()),
        key_usage: Some(spec.usage()),
        key_state: Some(facts.state.api()),
        deletion_date,
        origin: Some(OriginType::AwsKms),
        key_manager: Some(manager),
        customer_master_key_spec: spec.customer(),
        key_spec: Some(spec.api()),
        encryption_algorithms: spec.encryption().map(|algorithm| vec![algorithm]),
        multi_region: Some(false),
        mac_algorithms: spec.mac().map(|algorithm| vec![algorithm]),
        current_key_material_id: key
            .current()
            .filter(|_| spec == Spec::Symmetric)
            .map(|material| material.id.to_string()),
        ..api::KeyMetadata::default()
    }
}

/// The spec that is asked for; what is not served is refused by name.
fn spec_of(input: &api::CreateKeyInput) -> Result<Spec, KmsError> {
    let unsupported = |what: &str| Err(KmsError::Unsupported(format!("{what} is not supported by this server.")));
    if input.custom_key_store_id.is_some() || input.xks_key_id.is_some() {
        return unsupported("A custom key store");
    }
    match input.origin {
        None | Some(OriginType::AwsKms) => {}
        Some(origin) => return unsupported(&format!("Origin {origin}")),
    }
    if input.multi_region == Some(true) {
        return unsupported("MultiRegion");
    }
    let named = input.customer_master_key_spec.map(api::CustomerMasterKeySpec::as_str);
    let wanted = match (input.key_spec.map(KeySpec::as_str), named) {
        (Some(_), Some(_)) => {
            let text = "You cannot specify KeySpec and CustomerMasterKeySpec in the same request. CustomerMasterKeySpec is deprecated.";
            return Err(KmsError::Validation(text.to_owned()));
        }
        (one, other) => one.or(other).unwrap_or(KeySpec::SymmetricDefault.as_str()),
    };
    let Some(spec) = Spec::parse(wanted) else { return unsupported(&format!("KeySpec {wanted}")) };
    // Only the symmetric spec has a usage by default (API reference, CreateKey).
    match input.key_usage {
        Some(usage) if usage == spec.usage() => Ok(spec),
        None if spec == Spec::Symmetric => Ok(spec),
        None => {
            Err(KmsError::Validation("You must specify a KeyUsage value for an asymmetric or HMAC KMS key.".to_owned()))
        }
        Some(usage @ (KeyUsageType::EncryptDecrypt | KeyUsageType::GenerateVerifyMac)) => {
            Err(KmsError::Validation(format!("KeyUsage {usage} is not compatible with KeySpec {wanted}")))
        }
        Some(usage) => unsupported(&format!("KeyUsage {usage}")),
    }
}

pub(crate) async fn create(
    core: &Arc<Core>,
    caller: &Caller,
    input: &api::CreateKeyInput,
) -> Result<api::CreateKeyOutput, Failure> {
    let spec = spec_of(input)?;
    let tags = tags::checked(input.tags.as_deref().unwrap_or_default())?;
    let account = core.account_of(caller);
    let mut touched = vec![Touched::nothing("kms:CreateKey", account)];
    if !tags.is_empty() {
        touched.push(Touched::nothing("kms:TagResource", account));
    }
    let authorized = core.decide(caller, input, touched).await?;
    let text = input.policy.clone().unwrap_or_else(|| policy::usual(account));
    let (policy, ids) = core.policy(&text).await?;
    let description = input.description.clone().unwrap_or_default();
    let mut draft = Draft::default();
    let new = NewKey { account, spec, managed: false, description, policy, ids, tags };
    let key = core.new_key(&mut draft, new)?;
    if input.bypass_policy_lockout_safety_check != Some(true) && !policy::hands_on(&key) {
        policy::keeps_control(core, caller, &key).await?;
    }
    caller.note().touches(key.arn.as_str(), account);
    core.commit(Some(authorized.pin()), draft).await?;
    Ok(api::CreateKeyOutput { key_metadata: Some(metadata(&key)) })
}

pub(crate) async fn describe(
    core: &Arc<Core>,
    caller: &Caller,
    input: &api::DescribeKeyInput,
) -> Result<api::DescribeKeyOutput, Failure> {
    let (_, on) = core.on_key(caller, input, &input.key_id, Forms::KeysAndAliases).await?;
    Ok(api::DescribeKeyOutput { key_metadata: Some(metadata(&on.key)) })
}

pub(crate) async fn list(
    core: &Arc<Core>,
    caller: &Caller,
    input: &api::ListKeysInput,
) -> Result<api::ListKeysOutput, Failure> {
    core.on_account(caller, input).await?;
    let page = page(input.limit, input.marker.as_deref(), 100, 1000)?;
    // Nothing is shared with other accounts by AWS RAM here.
    let own = input.resource_owners.as_ref().is_none_or(|owners| owners.contains(&api::ResourceOwnerType::SelfValue));
    let (maps, now, account) = (core.maps(), core.now(), core.account_of(caller));
    let ids = maps.keys_of(account).filter(|id| own && maps.key(*id, now).is_some());
    let (keys, next_marker) = page.cut(ids.map(|id| (id.to_string(), id)));
    let entry = |id: KeyId| api::KeyListEntry {
        key_id: Some(id.to_string()),
        key_arn: Some(core.key_arn(account, id).to_string()),
    };
    Ok(api::ListKeysOutput {
        keys: Some(keys.into_iter().map(entry).collect()),
        truncated: Some(next_marker.is_some()),
        next_marker,
    })
}

/// Changes what a key's row holds.
async fn change(
    core: &Core,
    pin: millpond_kernel::Pin,
    key: &Key,
    change: impl FnOnce(&mut Facts),
) -> Result<Arc<Key>, Failure> {
    customers(key)?;
    let mut draft = Draft::on(key);
    let mut changed = key.clone();
    change(&mut changed.facts);
    let changed = draft.key(changed);
    core.commit(Some(pin), draft).await?;
    Ok(changed)
}

pub(crate) async fn enable(
    core: &Arc<Core>,
    caller: &Caller,
    input: &api::EnableKeyInput,
) -> Result<api::EnableKeyOutput, Failure> {
    let (authorized, on) = core.on_key(caller, input, &input.key_id, Forms::Own).await?;
    not_pending(&on.key)?;
    change(core, authorized.pin(), &on.key, |facts| facts.state = State::Enabled).await?;
    Ok(api::EnableKeyOutput {})
}

pub(crate) async fn disable(
    core: &Arc<Core>,
    caller: &Caller,
    input: &api::DisableKeyInput,
) -> Result<api::DisableKeyOutput, Failure> {
    let (authorized, on) = core.on_key(caller, input, &input.key_id, Forms::Own).await?;
    not_pending(&on.key)?;
    change(core, authorized.pin(), &on.key, |facts| facts.state = State::Disabled).await?;
    Ok(api::DisableKeyOutput {})
}

pub(crate) async fn update_description(
    core: &Arc<Core>,
    caller: &Caller,
    input: &api::UpdateKeyDescriptionInput,
) -> Result<api::UpdateKeyDescriptionOutput, Failure> {
    let (authorized, on) = core.on_key(caller, input, &input.key_id, Forms::Own).await?;
    not_pending(&on.key)?;
    change(core, authorized.pin(), &on.key, |facts| facts.description.clone_from(&input.description)).await?;
    Ok(api::UpdateKeyDescriptionOutput {})
}

pub(crate) async fn schedule_deletion(
    core: &Arc<Core>,
    caller: &Caller,
    input: &api::ScheduleKeyDeletionInput,
) -> Result<api::ScheduleKeyDeletionOutput, Failure> {
    let days = input.pending_window_in_days.unwrap_or(*DELETION_DAYS.end());
    let Some(days) = u32::try_from(days).ok().filter(|_| DELETION_DAYS.contains(&days)) else {
        return Err(KmsError::Validation(format!(
            "PendingWindowInDays is between {} and {}.",
            DELETION_DAYS.start(),
            DELETION_DAYS.end()
        ))
        .into());
    };
    let (authorized, on) = core.on_key(caller, input, &input.key_id, Forms::Own).await?;
    not_pending(&on.key)?;
    let at = core.now().plus(DAY * days);
    let key =
        change(core, authorized.pin(), &on.key, |facts| facts.state = State::PendingDeletion { at, days }).await?;
    Ok(api::ScheduleKeyDeletionOutput {
        key_id: Some(key.arn.to_string()),
        deletion_date: Some(at),
        key_state: Some(key.facts.state.api()),
        pending_window_in_days: i32::try_from(days).ok(),
    })
}

pub(crate) async fn cancel_deletion(
    core: &Arc<Core>,
    caller: &Caller,
    input: &api::CancelKeyDeletionInput,
) -> Result<api::CancelKeyDeletionOutput, Failure> {
    let (authorized, on) = core.on_key(caller, input, &input.key_id, Forms::Own).await?;
    if !matches!(on.key.facts.state, State::PendingDeletion { .. }) {
        return Err(KmsError::State(format!("{} is not pending deletion.", on.key.arn)).into());
    }
    let key = change(core, authorized.pin(), &on.key, |facts| facts.state = State::Disabled).await?;
    Ok(api::CancelKeyDeletionOutput { key_id: Some(key.arn.to_string()) })
}
