//! Grants (KMS Developer Guide, "Grants in AWS KMS").

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use millpond_api_kms as api;
use millpond_api_kms::GrantOperation as Op;
use millpond_kernel::{Caller, Grantee, ResourceRule};

use crate::cache::Change;
use crate::errors::{Failure, KmsError};
use crate::ids::{GrantId, KeyId, LongId};
use crate::inputs::Input;
use crate::limits::{MAX_CONSTRAINT_PAIR, MAX_CONSTRAINT_PAIRS, MAX_GRANTS};
use crate::lookup::{Forms, enabled};
use crate::model::{Grant, Key, Spec};
use crate::paging::page;
use crate::resolved::{OnKey, Touched};
use crate::state::{Core, Draft};
use crate::tables;

/// What may be granted on a key that encrypts. The pairs of asymmetric keys among it are operations that AWS lists for such keys too.
const SYMMETRIC: &[Op] = &[
    Op::Decrypt,
    Op::Encrypt,
    Op::GenerateDataKey,
    Op::GenerateDataKeyWithoutPlaintext,
    Op::GenerateDataKeyPair,
    Op::GenerateDataKeyPairWithoutPlaintext,
    Op::ReEncryptFrom,
    Op::ReEncryptTo,
    Op::CreateGrant,
    Op::RetireGrant,
    Op::DescribeKey,
];
/// What may be granted on a key that makes codes.
const HMAC: &[Op] = &[Op::GenerateMac, Op::VerifyMac, Op::CreateGrant, Op::RetireGrant, Op::DescribeKey];

type Pairs = Option<BTreeMap<String, String>>;

/// Constraints that can be (API reference, GrantConstraints).
fn constraints(key: &Key, given: Option<&api::GrantConstraints>) -> Result<(Pairs, Pairs), KmsError> {
    let Some(given) = given else { return Ok((None, None)) };
    if given.source_arn.is_some() {
        return Err(KmsError::Unsupported("The constraint SourceArn is not supported by this server.".to_owned()));
    }
    let (equals, subset) = (given.encryption_context_equals.clone(), given.encryption_context_subset.clone());
    if key.facts.spec != Spec::Symmetric && (equals.is_some() || subset.is_some()) {
        let text = "Grants with encryption context constraints are for symmetric encryption keys alone.";
        return Err(KmsError::Validation(text.to_owned()));
    }
    for pairs in [&equals, &subset].into_iter().flatten() {
        if pairs.len() > MAX_CONSTRAINT_PAIRS {
            let text = format!("A grant constraint has at most {MAX_CONSTRAINT_PAIRS} encryption context pairs.");
            return Err(KmsError::Validation(text));
        }
        let long = |(key, value): (&String, &String)| key.chars().count() + value.chars().count() > MAX_CONSTRAINT_PAIR;
        if pairs.iter().any(long) {
            let text = format!(
                "An encryption context pair of a grant constraint has at most {MAX_CONSTRAINT_PAIR} characters."
            );
            return Err(KmsError::Validation(text));
        }
    }
    Ok((equals, subset))
}

fn operations(key: &Key, given: &[Op]) -> Result<Vec<Op>, KmsError> {
    let fitting = if key.facts.spec == Spec::Symmetric { SYMMETRIC } else { HMAC };
    if given.is_empty() {
        return Err(KmsError::Validation("Operations names at least one operation.".to_owned()));
    }
    if let Some(other) = given.iter().find(|operation| !fitting.contains(operation)) {
        let spec = key.facts.spec.api();
        return Err(KmsError::Validation(format!("Operation {other} is not valid for a key with KeySpec {spec}.")));
    }
    Ok(given.iter().copied().collect::<BTreeSet<_>>().into_iter().collect())
}

/// The grant that is asked for; whether its principals exist is not known yet.
fn wanted(core: &Core, caller: &Caller, key: &Key, input: &api::CreateGrantInput) -> Result<Grant, KmsError> {
    if input.grantee_service_principal.is_some() || input.retiring_service_principal.is_some() {
        return Err(KmsError::Unsupported("Grants for services are not supported by this server.".to_owned()));
    }
    let missing = "1 validation error detected: Value null at 'granteePrincipal' failed to satisfy constraint: Member must not be null";
    let grantee = input.grantee_principal.clone().ok_or_else(|| KmsError::Validation(missing.to_owned()))?;
    let (equals, subset) = constraints(key, input.constraints.as_ref())?;
    let unbound = |arn: String| crate::model::Bound { arn, id: None };
    Ok(Grant {
        id: GrantId::random(&*core.random),
        key: key.id,
        name: input.name.clone(),
        created: core.now(),
        grantee: unbound(grantee),
        retiring: input.retiring_principal.clone().map(unbound),
        issuer: core.account_of(caller),
        operations: operations(key, &input.operations)?,
        equals,
        subset,
    })
}

/// A grant of the same name that says the same: asking again gives it again (API reference, CreateGrant, `Name`).
fn twin(core: &Core, grant: &Grant) -> Option<GrantId> {
    grant.name.as_ref()?;
    let maps = core.maps();
    let same = |other: &&Arc<Grant>| Grant { id: grant.id, created: grant.created, ..(***other).clone() } == *grant;
    maps.grants(grant.key)?.all().find(same).map(|other| other.id)
}

pub(crate) async fn create(
    core: &Arc<Core>,
    caller: &Caller,
    input: &api::CreateGrantInput,
) -> Result<api::CreateGrantOutput, Failure> {
    let action = api::CreateGrantInput::ACTION;
    let on = core.find(caller, action, &input.key_id, Forms::Keys)?;
    let key = Arc::clone(&on.key);
    let mut grant = wanted(core, caller, &key, input)?;
    let mut touched = core.touch(caller, input, action, on, None)?;
    touched.resource.grants = core.grants_of(caller, key.id, |parent| parent.covers(&grant));
    let authorized = core.decide(caller, input, vec![touched]).await?;
    enabled(&key)?;
    grant.grantee = core.principal(&grant.grantee.arn).await?;
    if let Some(retiring) = &grant.retiring {
        grant.retiring = Some(core.principal(&retiring.arn).await?);
    }
    if input.dry_run == Some(true) {
        return Err(KmsError::DryRun.into());
    }
    if let Some(id) = twin(core, &grant) {
        return Ok(given(core, key.id, id));
    }
    if core.maps().grants(key.id).is_some_and(|grants| grants.len() >= MAX_GRANTS) {
        return Err(KmsError::Limit(format!("A key has at most {MAX_GRANTS} grants.")).into());
    }
    let mut draft = Draft::on(&key);
    let id = grant.id;
    draft.grant(grant);
    core.commit(Some(authorized.pin()), draft).await?;
    Ok(given(core, key.id, id))
}

fn given(core: &Core, key: KeyId, id: GrantId) -> api::CreateGrantOutput {
    api::CreateGrantOutput { grant_token: Some(core.new_token(key, id)), grant_id: Some(id.to_string()) }
}

fn entry(core: &Core, grant: &Grant) -> Option<api::GrantListEntry> {
    let maps = core.maps();
    let key = maps.stored(grant.key)?;
    let constrained = grant.equals.is_some() || grant.subset.is_some();
    Some(api::GrantListEntry {
        key_id: Some(key.arn.to_string()),
        grant_id: Some(grant.id.to_string()),
        name: Some(grant.name.clone().unwrap_or_default()),
        creation_date: Some(grant.created),
        grantee_principal: Some(grant.grantee.arn.clone()),
        retiring_principal: grant.retiring.as_ref().map(|bound| bound.arn.clone()),
        issuing_account: Some(format!("arn:aws:iam::{}:root", grant.issuer)),
        operations: Some(grant.operations.clone()),
        constraints: constrained.then(|| api::GrantConstraints {
            encryption_context_subset: grant.subset.clone(),
            encryption_context_equals: grant.equals.clone(),
            source_arn: None,
        }),
        grantee_service_principal: None,
        retiring_service_principal: None,
    })
}

fn grant_id(text: &str) -> Result<GrantId, KmsError> {
    LongId::parse(text).ok_or_else(|| KmsError::GrantId(format!("Invalid grant id {text}")))
}

pub(crate) async fn list(
    core: &Arc<Core>,
    caller: &Caller,
    input: &api::ListGrantsInput,
) -> Result<api::ListGrantsOutput, Failure> {
    let (_, on) = core.on_key(caller, input, &input.key_id, Forms::Keys).await?;
    let page = page(input.limit, input.marker.as_deref(), 50, 100)?;
    let id = input.grant_id.as_deref().map(grant_id).transpose()?;
    // There are none for services.
    let none = input.grantee_service_principal.is_some();
    let fits = |grant: &&Arc<Grant>| {
        !none
            && id.is_none_or(|id| id == grant.id)
            && input.grantee_principal.as_ref().is_none_or(|arn| *arn == grant.grantee.arn)
    };
    let (grants, next_marker) = {
        let maps = core.maps();
        let all = maps.grants(on.key.id).into_iter().flat_map(|grants| grants.all()).filter(fits);
        page.cut(all.map(|grant| (grant.id.to_string(), Arc::clone(grant))))
    };
    Ok(api::ListGrantsOutput {
        grants: Some(grants.iter().filter_map(|grant| entry(core, grant)).collect()),
        truncated: Some(next_marker.is_some()),
        next_marker,
    })
}

pub(crate) async fn list_retirable(
    core: &Arc<Core>,
    caller: &Caller,
    input: &api::ListRetirableGrantsInput,
) -> Result<api::ListRetirableGrantsOutput, Failure> {
    if input.retiring_service_principal.is_some() {
        return Err(KmsError::Unsupported("Grants for services are not supported by this server.".to_owned()).into());
    }
    let missing = "1 validation error detected: Value null at 'retiringPrincipal' failed to satisfy constraint: Member must not be null";
    let retiring = input.retiring_principal.as_deref().ok_or_else(|| KmsError::Validation(missing.to_owned()))?;
    core.on_account(caller, input).await?;
    // Only principals of the caller's own account may be asked about (API reference, ListRetirableGrants).
    let account = retiring.split(':').nth(4).unwrap_or_default();
    if !retiring.starts_with("arn:") {
        return Err(KmsError::InvalidArn(format!("ARN does not refer to a valid principal: {retiring}")).into());
    }
    if account != core.account_of(caller).as_str() {
        let text = "The retiring principal must be one of your account.";
        return Err(KmsError::Validation(text.to_owned()).into());
    }
    let page = page(input.limit, input.marker.as_deref(), 50, 100)?;
    let (all, now) = (core.maps().every_grant(), core.now());
    let fits = |grant: &Arc<Grant>| {
        grant.retiring.as_ref().is_some_and(|bound| bound.arn == retiring) && core.maps().key(grant.key, now).is_some()
    };
    let (grants, next_marker) =
        page.cut(all.into_iter().filter(fits).map(|grant| (format!("{}{}", grant.key, grant.id), grant)));
    Ok(api::ListRetirableGrantsOutput {
        grants: Some(grants.iter().filter_map(|grant| entry(core, grant)).collect()),
        truncated: Some(next_marker.is_some()),
        next_marker,
    })
}

fn remove(grant: &Grant) -> Draft {
    let mut draft = Draft::default().urgent();
    draft.present(tables::grant(grant.key, grant.id));
    draft.delete(tables::grant(grant.key, grant.id));
    draft.change(Change::GrantGone(grant.key, grant.id));
    draft
}

pub(crate) async fn revoke(
    core: &Arc<Core>,
    caller: &Caller,
    input: &api::RevokeGrantInput,
) -> Result<api::RevokeGrantOutput, Failure> {
    let (authorized, on) = core.on_key(caller, input, &input.key_id, Forms::Keys).await?;
    let grant = of_key(core, on.key.id, &input.grant_id)?;
    if input.dry_run == Some(true) {
        return Err(KmsError::DryRun.into());
    }
    core.commit(Some(authorized.pin()), remove(&grant)).await?;
    Ok(api::RevokeGrantOutput {})
}

fn of_key(core: &Core, key: KeyId, text: &str) -> Result<Arc<Grant>, KmsError> {
    let id = grant_id(text)?;
    let maps = core.maps();
    let grant = maps.grants(key).and_then(|grants| grants.get(id));
    grant.cloned().ok_or_else(|| KmsError::NotFound(format!("Grant ID {text} not found")))
}

/// The grant that is to be retired: by its token, or by its id and its key's ARN.
fn retired(core: &Core, caller: &Caller, input: &api::RetireGrantInput) -> Result<(Arc<Grant>, OnKey), KmsError> {
    let action = api::RetireGrantInput::ACTION;
    match (input.grant_token.as_deref(), input.key_id.as_deref(), input.grant_id.as_deref()) {
        (Some(token), None, None) => {
            let grant = core.grant_of_token(token)?;
            let on = core.by_ciphertext(caller, action, grant.key)?;
            let about = crate::errors::About::Arn(on.key.arn.to_string());
            Ok((grant, OnKey { about, ..on }))
        }
        (None, Some(key), Some(id)) => {
            let on = core.find(caller, action, key, Forms::Keys)?;
            let grant = of_key(core, on.key.id, id).map_err(|error| match error {
                // Whether a grant exists is nobody else's business.
                KmsError::NotFound(_) if on.key.facts.account != core.account_of(caller) => {
                    KmsError::foreign(&caller.arn(), action, &on.about)
                }
                other => other,
            })?;
            Ok((grant, on))
        }
        _ => {
            let text = "Please specify either a grant token, or a key ARN and a grant ID.";
            Err(KmsError::Validation(text.to_owned()))
        }
    }
}

/// Who may retire a grant: the retiring principal, the grantee if the grant says so, and the accounts of the key and of who gave it. Key
/// policies do not come into it (KMS Developer Guide, "Retiring and revoking grants").
fn may_retire(grant: &Grant, caller: &Caller, on: OnKey) -> Touched {
    let mut touched = Touched::key("kms:RetireGrant", on, Vec::new());
    touched.resource.policy = None;
    touched.resource.rule = ResourceRule::Required;
    let mut to =
        vec![format!("arn:aws:iam::{}:root", touched.resource.owner), format!("arn:aws:iam::{}:root", grant.issuer)];
    let principal = caller.principal();
    to.extend(grant.retiring.iter().filter_map(|bound| bound.arn_of(principal)));
    if grant.operations.contains(&Op::RetireGrant) {
        to.extend(grant.grantee.arn_of(principal));
    }
    let what = format!("grant {}", grant.id);
    touched.resource.grants =
        to.into_iter().map(|arn| millpond_kernel::Grant { to: Grantee::Principal(arn), what: what.clone() }).collect();
    touched
}

pub(crate) async fn retire(
    core: &Arc<Core>,
    caller: &Caller,
    input: &api::RetireGrantInput,
) -> Result<api::RetireGrantOutput, Failure> {
    let (grant, on) = retired(core, caller, input)?;
    let authorized = core.decide(caller, input, vec![may_retire(&grant, caller, on)]).await?;
    if input.dry_run == Some(true) {
        return Err(KmsError::DryRun.into());
    }
    core.commit(Some(authorized.pin()), remove(&grant)).await?;
    Ok(api::RetireGrantOutput {})
}
