//! What a simulation is given, checked.

use std::sync::Arc;

use millpond_api_iam::{
    ContextEntry, ContextKeyTypeEnum, OrderedOrganizationPolicyType, PolicyIdentifier, PolicyIdentifierPolicyType,
};
use millpond_kernel::{Context, ContextValue, Named, PolicySource, Principal, Rights, ServiceError};
use millpond_policy::{Policy, PolicyKind, ValueType};
use millpond_types::AccountId;

use crate::errors::IamError;
use crate::state::{Entity, Kind};

/// The parameters that both simulations have.
pub(super) struct Common {
    pub actions: Vec<String>,
    pub resources: Option<Vec<String>>,
    pub resource_policy: Option<String>,
    pub resource_owner: Option<String>,
    pub caller_arn: Option<String>,
    pub context: Option<Vec<ContextEntry>>,
    pub handling: Option<String>,
    pub boundary: Option<Vec<String>>,
    pub control: Option<Vec<OrderedOrganizationPolicyType>>,
}

/// A simulation that can be run.
pub(super) struct Given {
    /// Who is simulated.
    pub principal: Principal,
    /// Its account, which owns what says nothing of its owner.
    pub account: AccountId,
    /// Its policies and boundary.
    pub rights: Arc<Rights>,
    /// Service control policies, one level after the other.
    pub control: Vec<Vec<Named>>,
    /// The policy of the resources.
    pub resource_policy: Option<Named>,
    /// Who owns resources that do not say it.
    pub owner: Option<AccountId>,
    /// The condition keys.
    pub context: Context,
    /// The actions.
    pub actions: Vec<String>,
    /// The resources; `*` alone for any.
    pub resources: Vec<String>,
}

/// `InvalidInput`
pub(super) fn invalid(message: impl Into<String>) -> ServiceError {
    IamError::InvalidInput(message.into()).into()
}

/// Policies of the request, called by the list that they stand in and their place in it, from 1.
pub(super) fn documents(list: &str, texts: &[String], kind: &PolicyKind) -> Result<Vec<Named>, ServiceError> {
    let named = |(number, text): (usize, &String)| {
        let name = format!("{list}.{number}");
        let policy = Policy::parse(text, kind.clone()).map_err(|error| invalid(format!("{name}: {error}")))?;
        Ok(Named { source: PolicySource::Inline { of: String::new(), name }, policy: Arc::new(policy) })
    };
    (1..).zip(texts).map(named).collect()
}

impl Given {
    /// Checks what is given. `account` is that of who asks; `entity` is whose policies `rights` are, where they are somebody's.
    pub fn new(
        account: AccountId,
        rights: Arc<Rights>,
        entity: Option<&Entity>,
        common: Common,
    ) -> Result<Self, ServiceError> {
        if let Some(option) = &common.handling {
            return Err(ServiceError::not_implemented(&format!("ResourceHandlingOption {option}")));
        }
        common.actions.iter().try_for_each(|action| check_action(action))?;
        let caller = common.caller_arn.as_deref().map(user).transpose()?;
        if common.resource_policy.is_some() && caller.is_none() && entity.is_none_or(|e| e.kind != Kind::User) {
            return Err(invalid("CallerArn is required when ResourcePolicy is specified."));
        }
        let resources = common.resources.filter(|list| !list.is_empty()).unwrap_or_else(|| vec!["*".to_owned()]);
        resources.iter().try_for_each(|resource| check_resource(resource))?;
        let rights = bounded(rights, common.boundary.unwrap_or_default())?;
        let mut context = entries(common.context.unwrap_or_default())?;
        let principal = caller.or_else(|| entity.and_then(principal)).unwrap_or_else(|| nameless(account));
        principal_keys(&principal, &rights, &mut context);
        Ok(Self {
            account: principal.account().unwrap_or(account),
            principal,
            rights,
            control: control(common.control.unwrap_or_default())?,
            resource_policy: common.resource_policy.map(|text| resource_policy(&text, &resources)).transpose()?,
            owner: common.resource_owner.as_deref().map(owner).transpose()?,
            context,
            actions: common.actions,
            resources,
        })
    }
}

/// Takes policies away from an identity (IAM API reference, PolicyIdentifier).
pub(super) fn exclude(rights: &mut Rights, exclusion: &PolicyIdentifier) {
    let is = |source: &PolicySource| match (exclusion, source) {
        (PolicyIdentifier::PolicyArn(wanted), PolicySource::Managed { arn, .. } | PolicySource::Boundary { arn }) => {
            arn == wanted
        }
        (PolicyIdentifier::InlinePolicyIdentifier(wanted), PolicySource::Inline { of, name }) => {
            let holder = of.rsplit(':').next().unwrap_or_default();
            let (kind, path) = holder.split_once('/').unwrap_or_default();
            *name == wanted.policy_name
                && kind == wanted.attachment_type.as_str()
                && path.rsplit('/').next() == Some(wanted.attachment_name.as_str())
        }
        (PolicyIdentifier::PolicyType(kind), source) => match (kind, source) {
            (PolicyIdentifierPolicyType::Inline, PolicySource::Inline { .. })
            | (PolicyIdentifierPolicyType::PermissionBoundary, PolicySource::Boundary { .. }) => true,
            (PolicyIdentifierPolicyType::AwsManaged, PolicySource::Managed { arn, .. }) => is_aws(arn),
            (PolicyIdentifierPolicyType::UserManaged, PolicySource::Managed { arn, .. }) => !is_aws(arn),
            _ => false,
        },
        _ => false,
    };
    rights.identity.retain(|named| !is(&named.source));
    rights.boundary = rights.boundary.take().filter(|named| !is(&named.source));
}

/// Whether a managed policy is AWS's.
pub(super) fn is_aws(arn: &str) -> bool {
    arn.starts_with("arn:aws:iam::aws:")
}

fn check_action(action: &str) -> Result<(), ServiceError> {
    let word =
        |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    match action.split_once(':') {
        Some((service, name)) if word(service) && word(name) => Ok(()),
        _ => Err(invalid(format!("Invalid action name: {action}. An action is named in full, as in s3:GetObject."))),
    }
}

fn check_resource(resource: &str) -> Result<(), ServiceError> {
    if resource == "*" || millpond_types::Arn::parse(resource).is_some() {
        return Ok(());
    }
    Err(invalid(format!("Invalid resource ARN: {resource}")))
}

/// The user that an ARN names. No other kind of principal can be simulated as caller (IAM API reference, CallerArn).
fn user(arn: &str) -> Result<Principal, ServiceError> {
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    let user = match parts.as_slice() {
        ["arn", "aws", "iam", "", account, resource] => account.parse().ok().zip(resource.strip_prefix("user")),
        _ => None,
    };
    let named = user.and_then(|(account, path)| {
        let (path, name) = path.rsplit_once('/')?;
        (!name.is_empty()).then(|| Principal::User {
            account,
            path: format!("{path}/"),
            name: name.to_owned(),
            id: String::new(),
        })
    });
    named.ok_or_else(|| invalid(format!("CallerArn must be the ARN of an IAM user: {arn}")))
}

/// Who acts with the policies of an identity; nobody with those of a group.
fn principal(entity: &Entity) -> Option<Principal> {
    match entity.kind {
        Kind::User => Some(entity.principal()),
        Kind::Role => Some(Principal::Role {
            account: entity.account,
            path: entity.path.clone(),
            name: entity.name.clone(),
            id: entity.id.clone(),
            session: String::new(),
        }),
        Kind::Group => None,
    }
}

/// Somebody of an account whom no policy can name.
fn nameless(account: AccountId) -> Principal {
    Principal::User { account, path: "/".to_owned(), name: String::new(), id: String::new() }
}

/// The keys that follow from who is simulated, where the request does not set them.
fn principal_keys(principal: &Principal, rights: &Rights, context: &mut Context) {
    let mut keys = Vec::new();
    match principal {
        Principal::User { name, id, .. } if !name.is_empty() => {
            keys.push(("aws:username".to_owned(), name.clone()));
            keys.push(("aws:PrincipalType".to_owned(), principal.kind().to_owned()));
            keys.push(("aws:PrincipalArn".to_owned(), principal.condition_arn()));
            keys.extend((!id.is_empty()).then(|| ("aws:userid".to_owned(), id.clone())));
        }
        Principal::Role { .. } => {
            keys.push(("aws:PrincipalType".to_owned(), principal.kind().to_owned()));
            keys.push(("aws:PrincipalArn".to_owned(), principal.condition_arn()));
        }
        _ => {}
    }
    keys.extend(principal.account().map(|account| ("aws:PrincipalAccount".to_owned(), account.to_string())));
    keys.extend(rights.tags.iter().map(|(key, value)| (format!("aws:PrincipalTag/{key}"), value.clone())));
    for (key, value) in keys {
        if context.get(&key).is_none() {
            context.text(key, value);
        }
    }
}

/// The identity with the boundary that is given, in place of its own.
fn bounded(rights: Arc<Rights>, texts: Vec<String>) -> Result<Arc<Rights>, ServiceError> {
    if texts.len() > 1 {
        return Err(invalid("Only one permissions boundary can be specified."));
    }
    let boundary = documents("PermissionsBoundaryPolicyInputList", &texts, &PolicyKind::Identity)?.pop();
    Ok(match boundary {
        None => rights,
        Some(boundary) => Arc::new(Rights { boundary: Some(boundary), ..Rights::clone(&rights) }),
    })
}

fn control(levels: Vec<OrderedOrganizationPolicyType>) -> Result<Vec<Vec<Named>>, ServiceError> {
    let level = |(number, level): (usize, OrderedOrganizationPolicyType)| {
        let list = format!("OrderedOrganizationPolicyInputList.{number}.ServiceControlPolicyInputList");
        documents(&list, &level.service_control_policy_input_list.unwrap_or_default(), &PolicyKind::ServiceControl)
    };
    (1..).zip(levels).map(level).collect()
}

/// The resources' policy: the trust of roles, else a document that names principals and resources.
fn resource_policy(text: &str, resources: &[String]) -> Result<Named, ServiceError> {
    let trust = resources.iter().all(|arn| arn.starts_with("arn:aws:iam:") && arn.contains(":role/"));
    let kind = if trust { PolicyKind::Trust } else { PolicyKind::Key };
    let policy = Policy::parse(text, kind).map_err(|error| invalid(format!("ResourcePolicy: {error}")))?;
    let source = PolicySource::Resource { arn: "ResourcePolicy".to_owned() };
    Ok(Named { source, policy: Arc::new(policy) })
}

/// An account by its id or the ARN of its root user.
fn owner(text: &str) -> Result<AccountId, ServiceError> {
    let id = text.strip_prefix("arn:aws:iam::").and_then(|rest| rest.strip_suffix(":root")).unwrap_or(text);
    id.parse().map_err(|_| invalid(format!("ResourceOwner must be an account: {text}")))
}

fn entries(given: Vec<ContextEntry>) -> Result<Context, ServiceError> {
    let mut context = Context::default();
    for entry in given {
        let name = entry.context_key_name.ok_or_else(|| invalid("A context entry has a ContextKeyName."))?;
        let kind = entry.context_key_type.ok_or_else(|| invalid(format!("{name} has no ContextKeyType.")))?;
        let values = entry.context_key_values.unwrap_or_default();
        if context.get(&name).is_some() {
            return Err(invalid(format!("{name} is given more than once.")));
        }
        let (kind, list) = value_type(kind);
        let written = |text: &String| {
            ContextValue::written(kind, text).ok_or_else(|| invalid(format!("{text} is no value for {name}.")))
        };
        let value = match values.as_slice() {
            _ if list => {
                values.iter().try_for_each(|text| written(text).map(drop))?;
                ContextValue::Many(values)
            }
            [one] => written(one)?,
            _ => return Err(invalid(format!("{name} takes one value; use a list type for several."))),
        };
        context.set(name, value);
    }
    Ok(context)
}

/// The type of the values, and whether there may be several.
fn value_type(kind: ContextKeyTypeEnum) -> (ValueType, bool) {
    use ContextKeyTypeEnum as Key;
    match kind {
        Key::String => (ValueType::String, false),
        Key::StringList => (ValueType::String, true),
        Key::Numeric => (ValueType::Numeric, false),
        Key::NumericList => (ValueType::Numeric, true),
        Key::Boolean => (ValueType::Boolean, false),
        Key::BooleanList => (ValueType::Boolean, true),
        Key::Ip => (ValueType::Ip, false),
        Key::IpList => (ValueType::Ip, true),
        Key::Binary => (ValueType::Binary, false),
        Key::BinaryList => (ValueType::Binary, true),
        Key::Date => (ValueType::Date, false),
        Key::DateList => (ValueType::Date, true),
    }
}
