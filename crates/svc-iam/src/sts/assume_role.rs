//! `AssumeRole`: a session of a role, for whom its trust policy names.

use millpond_api_sts as api;
use millpond_kernel::{
    Access, Caller, Context, ContextValue, Named, PolicySource, Principal, Resource, ResourceRule, ServiceError,
    SessionKind,
};
use millpond_types::{AccountId, Arn};

use super::passed::{Inherited, Passed};
use super::{AssumeRole, Resolved, Sts, errors, own, tag_keys};
use crate::session::{Begin, is_root};
use crate::state::{Entity, RoleFacts};

/// Seconds of a session when nobody says otherwise.
const DEFAULT_SECONDS: u32 = 3_600;
/// The most seconds of a session that another session of a role begins (IAM User Guide, "Role chaining").
const CHAINED_SECONDS: u32 = 3_600;

pub(super) async fn assume_role(
    sts: &Sts,
    caller: &Caller,
    mut input: api::AssumeRoleInput,
) -> Result<api::AssumeRoleOutput, ServiceError> {
    if is_root(caller.principal()) {
        return Err(errors::denied("Roles may not be assumed by root accounts."));
    }
    own::no_mfa(input.serial_number.as_deref(), input.token_code.as_deref())?;
    if input.provided_contexts.is_some() {
        return Err(ServiceError::not_implemented("ProvidedContexts"));
    }
    let arn = Arn::parse(&input.role_arn);
    let owner = input.role_arn.split(':').nth(4).and_then(|account| account.parse().ok());
    let (Some(arn), Some(owner)) = (arn, owner) else {
        return Err(errors::validation(format!("{} is invalid", input.role_arn)));
    };
    let role = sts.identities.by_arn(arn.as_str()).filter(|entity| entity.role.is_some());
    let mut passed = Passed::check(input.policy.take(), input.policy_arns.take(), input.tags.take())?;
    passed.transitive(input.transitive_tag_keys.take().unwrap_or_default())?;
    let inherited = passed.inherit(caller.session().map(|session| &**session))?;
    let source_identity = input.source_identity.clone().or_else(|| inherited_identity(caller));
    let resource = resource(arn, owner, role.as_deref())?;
    let mut actions = vec!["sts:AssumeRole"];
    actions.extend((!inherited.tags.is_empty()).then_some("sts:TagSession"));
    actions.extend(source_identity.is_some().then_some("sts:SetSourceIdentity"));
    let keys = keys(&input, &passed, source_identity.as_deref(), role.as_deref());
    let accesses = actions.into_iter().map(|action| Access { action, resource: resource.clone() }).collect();
    let operation = AssumeRole(Resolved { accesses, keys });
    sts.kernel.authorize(caller, operation).await.map_err(errors::not_assumed)?;
    // Without a role there is no trust policy, so that nobody was authorized.
    let role = role.ok_or_else(ServiceError::internal)?;
    let facts = role.role.as_ref().ok_or_else(ServiceError::internal)?;
    passed.exist(&sts.identities, owner)?;
    let size = passed.size(&inherited)?;
    let source_identity = same_identity(caller, source_identity)?;
    let seconds = seconds(&input, facts, caller)?;
    begin(sts, caller, &input, &role, Begun { passed, inherited, size, source_identity, seconds })
}

/// What a session is begun with, checked.
struct Begun {
    passed: Passed,
    inherited: Inherited,
    size: Option<i32>,
    source_identity: Option<String>,
    seconds: u32,
}

fn begin(
    sts: &Sts,
    caller: &Caller,
    input: &api::AssumeRoleInput,
    role: &Entity,
    with: Begun,
) -> Result<api::AssumeRoleOutput, ServiceError> {
    let Begun { passed, inherited, size, source_identity, seconds } = with;
    let principal = Principal::Role {
        account: role.account,
        path: role.path.clone(),
        name: role.name.clone(),
        id: role.id.clone(),
        session: input.role_session_name.clone(),
    };
    let (issued, expires) = own::times(sts, seconds);
    let begin = Begin {
        principal: principal.clone(),
        by: SessionKind::AssumeRole,
        policy: passed.policy,
        policy_arns: passed.policy_arns,
        tags: inherited.tags,
        transitive: inherited.transitive,
        source_identity: source_identity.clone(),
        issued,
        expires,
        causes: caller.causes().clone(),
        worker: own::worker(caller),
    };
    let made = own::made(sts, &begin, input.minimum_session_token_size)?;
    Ok(api::AssumeRoleOutput {
        assumed_role_user: Some(api::AssumedRoleUser { assumed_role_id: principal.user_id(), arn: principal.arn() }),
        packed_policy_size: size,
        source_identity,
        session_token_size: made.size,
        session_token_utilization: made.utilization,
        credentials: Some(made.credentials),
    })
}

/// The role with its trust policy. Of one that does not exist, a resource that trusts nobody.
pub(super) fn resource(arn: Arn, owner: AccountId, role: Option<&Entity>) -> Result<Resource, ServiceError> {
    let mut resource = Resource::new(arn, owner);
    resource.rule = ResourceRule::Required;
    if let Some(facts) = role.and_then(|role| role.role.as_ref()) {
        let policy = facts.trust.policy().map_err(|error| errors::failed(&error))?;
        let source = PolicySource::Resource { arn: resource.arn.to_string() };
        resource.policy = Some(Named { source, policy });
    }
    Ok(resource)
}

/// The condition keys of STS (Service Authorization Reference, "AWS Security Token Service").
fn keys(
    input: &api::AssumeRoleInput,
    passed: &Passed,
    source_identity: Option<&str>,
    role: Option<&Entity>,
) -> Context {
    let mut keys = Context::default();
    keys.text("sts:RoleSessionName", input.role_session_name.clone());
    if let Some(id) = &input.external_id {
        keys.text("sts:ExternalId", id.clone());
    }
    if let Some(identity) = source_identity {
        keys.text("sts:SourceIdentity", identity);
    }
    if !passed.transitive.is_empty() {
        keys.set("sts:TransitiveTagKeys", ContextValue::Many(passed.transitive.clone()));
    }
    tag_keys(&passed.tags, &mut keys);
    for (key, value) in role.map(|role| role.tags.as_slice()).unwrap_or_default() {
        keys.text(format!("aws:ResourceTag/{key}"), value.clone());
        keys.text(format!("iam:ResourceTag/{key}"), value.clone());
    }
    keys
}

fn inherited_identity(caller: &Caller) -> Option<String> {
    caller.session().and_then(|session| session.source_identity.clone())
}

/// Once a source identity is set it stays (IAM User Guide, "Monitor and control actions taken with assumed roles").
fn same_identity(caller: &Caller, wanted: Option<String>) -> Result<Option<String>, ServiceError> {
    match inherited_identity(caller) {
        Some(known) if wanted.as_ref() != Some(&known) => {
            Err(errors::denied("The source identity of a session cannot be changed by the sessions that it begins."))
        }
        _ => Ok(wanted),
    }
}

fn seconds(input: &api::AssumeRoleInput, role: &RoleFacts, caller: &Caller) -> Result<u32, ServiceError> {
    let wanted = input.duration_seconds.and_then(|seconds| u32::try_from(seconds).ok());
    let chained = caller.session().is_some_and(|session| session.by == SessionKind::AssumeRole);
    match wanted {
        None => Ok(DEFAULT_SECONDS.min(role.max_session)),
        Some(seconds) if chained && seconds > CHAINED_SECONDS => Err(errors::validation(
            "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.",
        )),
        Some(seconds) if seconds > role.max_session => {
            Err(errors::validation("The requested DurationSeconds exceeds the MaxSessionDuration set for this role."))
        }
        Some(seconds) => Ok(seconds),
    }
}
