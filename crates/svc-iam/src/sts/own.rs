//! The caller's own identity, and sessions of the caller itself: `GetCallerIdentity`, `GetSessionToken`, `GetFederationToken`.

use std::time::Duration;

use millpond_api_sts as api;
use millpond_kernel::{Access, Caller, Principal, Resource, ServiceError, SessionKind};
use millpond_types::{Arn, Timestamp};

use super::passed::Passed;
use super::{GetCallerIdentity, GetFederationToken, GetSessionToken, Resolved, Sts, errors, tag_keys};
use crate::session::{Begin, is_root};

/// Seconds of a session when nobody says otherwise: twelve hours.
const DEFAULT_SECONDS: u32 = 43_200;
/// The most seconds of a root user's session; a longer one is made so short (STS API Reference, GetSessionToken).
const ROOT_SECONDS: u32 = 3_600;
/// Characters of a token for which AWS asks clients to make room.
const TOKEN_ROOM: usize = 4_096;

pub(super) async fn get_caller_identity(
    sts: &Sts,
    caller: &Caller,
    _: api::GetCallerIdentityInput,
) -> Result<api::GetCallerIdentityOutput, ServiceError> {
    // Nothing that a policy says can forbid it (STS API Reference, GetCallerIdentity); but who is gone is nobody.
    let operation = GetCallerIdentity(Resolved::nothing());
    sts.kernel.authorize(caller, operation).await.map_err(errors::refused)?;
    let account = caller.account().ok_or_else(errors::unsigned)?;
    Ok(api::GetCallerIdentityOutput {
        user_id: Some(caller.principal().user_id()),
        account: Some(account.to_string()),
        arn: Some(caller.arn()),
    })
}

pub(super) async fn get_session_token(
    sts: &Sts,
    caller: &Caller,
    input: api::GetSessionTokenInput,
) -> Result<api::GetSessionTokenOutput, ServiceError> {
    no_mfa(input.serial_number.as_deref(), input.token_code.as_deref())?;
    // Policies cannot control it (IAM User Guide, "Permissions for GetSessionToken").
    let operation = GetSessionToken(Resolved::nothing());
    sts.kernel.authorize(caller, operation).await.map_err(errors::refused)?;
    let (issued, expires) = times(sts, seconds(input.duration_seconds, caller.principal()));
    let begin = Begin {
        principal: caller.principal().clone(),
        by: SessionKind::GetSessionToken,
        policy: None,
        policy_arns: Vec::new(),
        tags: Vec::new(),
        transitive: Vec::new(),
        source_identity: None,
        issued,
        expires,
        causes: caller.causes().clone(),
        worker: worker(caller),
    };
    let made = made(sts, &begin, input.minimum_session_token_size)?;
    Ok(api::GetSessionTokenOutput {
        session_token_size: made.size,
        session_token_utilization: made.utilization,
        credentials: Some(made.credentials),
    })
}

pub(super) async fn get_federation_token(
    sts: &Sts,
    caller: &Caller,
    input: api::GetFederationTokenInput,
) -> Result<api::GetFederationTokenOutput, ServiceError> {
    let account = caller.account().ok_or_else(errors::unsigned)?;
    let principal =
        Principal::Federated { account, name: input.name.clone(), user: Box::new(caller.principal().clone()) };
    let passed = Passed::check(input.policy, input.policy_arns, input.tags)?;
    let resource =
        Resource::new(Arn::new("sts", "", account.as_str(), &format!("federated-user/{}", input.name)), account);
    let mut resolved = Resolved::one("sts:GetFederationToken", resource.clone());
    if !passed.tags.is_empty() {
        resolved.accesses.push(Access { action: "sts:TagSession", resource });
    }
    tag_keys(&passed.tags, &mut resolved.keys);
    sts.kernel.authorize(caller, GetFederationToken(resolved)).await.map_err(errors::refused)?;
    passed.exist(&sts.identities, account)?;
    let size = passed.size(&passed.inherit(None)?)?;
    let (issued, expires) = times(sts, seconds(input.duration_seconds, caller.principal()));
    let begin = Begin {
        principal: principal.clone(),
        by: SessionKind::GetFederationToken,
        policy: passed.policy,
        policy_arns: passed.policy_arns,
        tags: passed.tags,
        transitive: Vec::new(),
        source_identity: None,
        issued,
        expires,
        causes: caller.causes().clone(),
        worker: worker(caller),
    };
    let made = made(sts, &begin, input.minimum_session_token_size)?;
    Ok(api::GetFederationTokenOutput {
        federated_user: Some(api::FederatedUser { federated_user_id: principal.user_id(), arn: principal.arn() }),
        packed_policy_size: size,
        session_token_size: made.size,
        session_token_utilization: made.utilization,
        credentials: Some(made.credentials),
    })
}

/// Refuses a code of an MFA device: there are none, so that none can be right.
pub(super) fn no_mfa(serial: Option<&str>, code: Option<&str>) -> Result<(), ServiceError> {
    if serial.is_none() && code.is_none() {
        return Ok(());
    }
    Err(errors::denied(
        "MultiFactorAuthentication failed, unable to validate MFA code.  Please verify your MFA serial number is valid and associated with this user.",
    ))
}

fn seconds(wanted: Option<i32>, principal: &Principal) -> u32 {
    let wanted = wanted.and_then(|seconds| u32::try_from(seconds).ok());
    if is_root(principal) {
        wanted.unwrap_or(ROOT_SECONDS).min(ROOT_SECONDS)
    } else {
        wanted.unwrap_or(DEFAULT_SECONDS)
    }
}

/// The worker whose credentials a session is begun with, so that it continues what the worker is at when it is used.
pub(super) fn worker(caller: &Caller) -> Option<String> {
    caller.session().and_then(|session| session.worker.clone())
}

/// When a session of so many seconds begins and ends: in whole seconds, as clients are told.
pub(super) fn times(sts: &Sts, seconds: u32) -> (Timestamp, Timestamp) {
    let issued = Timestamp::from_seconds(sts.sessions.now().seconds());
    (issued, issued.plus(Duration::from_secs(seconds.into())))
}

/// Credentials as they are answered.
pub(super) struct Made {
    pub credentials: api::Credentials,
    /// Characters of the token, where the caller asked for a least size.
    pub size: Option<i32>,
    /// The same in percent of the room that clients make.
    pub utilization: Option<i32>,
}

pub(super) fn made(sts: &Sts, begin: &Begin, least: Option<i32>) -> Result<Made, ServiceError> {
    let size = least.and_then(|least| usize::try_from(least).ok());
    let begun = sts.sessions.begin(begin, size.unwrap_or_default()).map_err(|error| errors::failed(&error))?;
    let length = begun.token.len();
    let told = |number: usize| size.and_then(|_| i32::try_from(number).ok());
    Ok(Made {
        size: told(length),
        utilization: told((length * 100).div_ceil(TOKEN_ROOM)),
        credentials: api::Credentials {
            access_key_id: begun.access_key_id,
            secret_access_key: begun.secret.to_string(),
            session_token: begun.token,
            expiration: begun.expires,
        },
    })
}
