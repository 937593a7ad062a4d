//! Rotation: new material for a key, whose older material still decrypts (KMS Developer Guide, "Rotate AWS KMS keys").

use std::sync::Arc;

use millpond_api_kms as api;
use millpond_kernel::{Caller, Pin};

use crate::errors::{Failure, KmsError};
use crate::limits::{MAX_ON_DEMAND, ROTATION_DAYS};
use crate::lookup::{Forms, customers, enabled};
use crate::model::{Key, Material, Rotation, Spec, State};
use crate::paging::page;
use crate::state::{Core, Draft};

/// Rotation is for keys that encrypt.
fn rotates(key: &Key) -> Result<(), KmsError> {
    if key.facts.spec != Spec::Symmetric {
        return Err(KmsError::Unsupported(format!("{} is no symmetric encryption key and does not rotate.", key.arn)));
    }
    Ok(())
}

async fn set(core: &Core, pin: Pin, key: &Key, rotation: Option<Rotation>) -> Result<(), Failure> {
    let mut draft = Draft::on(key);
    let mut changed = key.clone();
    changed.facts.rotation = rotation;
    draft.key(changed);
    core.commit(Some(pin), draft).await
}

pub(crate) async fn enable(
    core: &Arc<Core>,
    caller: &Caller,
    input: &api::EnableKeyRotationInput,
) -> Result<api::EnableKeyRotationOutput, Failure> {
    let (authorized, on) = core.on_key(caller, input, &input.key_id, Forms::Own).await?;
    rotates(&on.key)?;
    customers(&on.key)?;
    enabled(&on.key)?;
    let days = input.rotation_period_in_days.and_then(|days| u32::try_from(days).ok()).unwrap_or(ROTATION_DAYS);
    // The rhythm begins when it is set; asking for the same again does not put it off.
    let kept = on.key.facts.rotation.filter(|rotation| rotation.days == days);
    let rotation = kept.unwrap_or_else(|| Rotation::starting(core.now(), days));
    set(core, authorized.pin(), &on.key, Some(rotation)).await?;
    Ok(api::EnableKeyRotationOutput {})
}

pub(crate) async fn disable(
    core: &Arc<Core>,
    caller: &Caller,
    input: &api::DisableKeyRotationInput,
) -> Result<api::DisableKeyRotationOutput, Failure> {
    let (authorized, on) = core.on_key(caller, input, &input.key_id, Forms::Own).await?;
    rotates(&on.key)?;
    customers(&on.key)?;
    enabled(&on.key)?;
    set(core, authorized.pin(), &on.key, None).await?;
    Ok(api::DisableKeyRotationOutput {})
}

pub(crate) async fn status(
    core: &Arc<Core>,
    caller: &Caller,
    input: &api::GetKeyRotationStatusInput,
) -> Result<api::GetKeyRotationStatusOutput, Failure> {
    let (_, on) = core.on_key(caller, input, &input.key_id, Forms::Keys).await?;
    rotates(&on.key)?;
    let waits = matches!(on.key.facts.state, State::PendingDeletion { .. });
    let rotation = on.key.facts.rotation.filter(|_| !waits);
    Ok(api::GetKeyRotationStatusOutput {
        key_rotation_enabled: Some(rotation.is_some()),
        key_id: Some(on.key.id.to_string()),
        rotation_period_in_days: rotation.and_then(|rotation| i32::try_from(rotation.days).ok()),
        next_rotation_date: rotation.map(|rotation| rotation.next),
        // A rotation on demand is done when it is answered.
        on_demand_rotation_start_date: None,
    })
}

pub(crate) async fn on_demand(
    core: &Arc<Core>,
    caller: &Caller,
    input: &api::RotateKeyOnDemandInput,
) -> Result<api::RotateKeyOnDemandOutput, Failure> {
    let (authorized, on) = core.on_key(caller, input, &input.key_id, Forms::Own).await?;
    rotates(&on.key)?;
    customers(&on.key)?;
    enabled(&on.key)?;
    if on.key.facts.on_demand >= MAX_ON_DEMAND {
        return Err(KmsError::Limit(format!("A key rotates on demand at most {MAX_ON_DEMAND} times.")).into());
    }
    core.rotate(&on.key, api::RotationType::OnDemand, Some(authorized.pin())).await?;
    Ok(api::RotateKeyOnDemandOutput { key_id: Some(on.key.id.to_string()) })
}

pub(crate) async fn list(
    core: &Arc<Core>,
    caller: &Caller,
    input: &api::ListKeyRotationsInput,
) -> Result<api::ListKeyRotationsOutput, Failure> {
    let (_, on) = core.on_key(caller, input, &input.key_id, Forms::Own).await?;
    rotates(&on.key)?;
    let page = page(input.limit, input.marker.as_deref(), 100, 1000)?;
    let all = input.include_key_material == Some(api::IncludeKeyMaterial::AllKeyMaterial);
    let current = on.key.current().map(|material| material.number);
    let entry = |material: &Arc<Material>| api::RotationsListEntry {
        key_id: Some(on.key.id.to_string()),
        key_material_id: Some(material.id.to_string()),
        key_material_state: Some(match Some(material.number) == current {
            true => api::KeyMaterialState::Current,
            false => api::KeyMaterialState::NonCurrent,
        }),
        rotation_date: material.rotation.map(|_| material.created),
        rotation_type: material.rotation,
        ..api::RotationsListEntry::default()
    };
    let materials = on.key.materials.iter().filter(|material| all || material.rotation.is_some());
    // Ten digits, so that the order of names is that of numbers.
    let (rotations, next_marker) =
        page.cut(materials.map(|material| (format!("{:010}", material.number), entry(material))));
    Ok(api::ListKeyRotationsOutput { rotations: Some(rotations), truncated: Some(next_marker.is_some()), next_marker })
}
