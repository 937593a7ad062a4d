//! Long-term access keys of users, and of root users.

use millpond_api_iam::*;
use millpond_kernel::Authorized;

use crate::errors::IamError;
use crate::limits;
use crate::operation::{At, Change, On, Owner, Read, Target, served};
use crate::paging::page;
use crate::state::{self, Draft, Kind};

served!(CreateAccessKeyInput => CreateAccessKeyOutput, "iam:CreateAccessKey", |input, at| {
    at.on_owner(Self::ACTION, input.user_name.as_deref())?
});
served!(DeleteAccessKeyInput => DeleteAccessKeyOutput, "iam:DeleteAccessKey", |input, at| {
    at.on_owner(Self::ACTION, input.user_name.as_deref())?
});
served!(ListAccessKeysInput => ListAccessKeysOutput, "iam:ListAccessKeys", |input, at| {
    at.on_owner(Self::ACTION, input.user_name.as_deref())?
});
served!(UpdateAccessKeyInput => UpdateAccessKeyOutput, "iam:UpdateAccessKey", |input, at| {
    at.on_owner(Self::ACTION, input.user_name.as_deref())?
});
served!(GetAccessKeyLastUsedInput => GetAccessKeyLastUsedOutput, "iam:GetAccessKeyLastUsed", |input, at| {
    match holder(at, &input.access_key_id) {
        Some(Holder::User(name)) => at.on(Self::ACTION, Kind::User, &name),
        // Of a key that is not this account's, nothing is told; who may ask about all users learns that it is none of them.
        Some(Holder::Root) | None => Target::of(Self::ACTION, at.arn("root"), at.id()),
    }
});

/// What the owner is called, and the unique id of a user.
struct Named {
    name: Option<String>,
    id: Option<String>,
}

fn named(at: &At<'_>, user: Option<&str>) -> Result<Named, IamError> {
    match at.owner(user)? {
        Owner::Root => Ok(Named { name: None, id: None }),
        Owner::User(name) => {
            let user = at.entity(Kind::User, &name)?;
            Ok(Named { name: Some(user.name.clone()), id: Some(user.id.clone()) })
        }
    }
}

/// Whether the server's own root key belongs to whom an operation means.
fn is_servers(at: &At<'_>, of: &Named) -> bool {
    of.id.is_none() && at.is_home()
}

/// A key of the owner, which must exist.
fn key(at: &At<'_>, of: &Named, id: &str) -> Result<state::AccessKey, IamError> {
    if is_servers(at, of) && id == at.root_key {
        return Err(IamError::Unmodifiable(format!(
            "The access key {id} is set by the server's configuration, and is changed there."
        )));
    }
    let found = at.account.keys_of(of.id.as_deref()).find(|key| key.id == id);
    let missing = || IamError::NoSuchEntity(format!("The Access Key with id {id} cannot be found."));
    found.map(|key| state::AccessKey::clone(key)).ok_or_else(missing)
}

fn status(active: bool) -> StatusType {
    if active { StatusType::Active } else { StatusType::Inactive }
}

impl Change for CreateAccessKeyInput {
    fn run(operation: Authorized<On<Self>>, at: &At<'_>, draft: &mut Draft) -> Result<CreateAccessKeyOutput, IamError> {
        let input = operation.into_inner().input;
        let of = named(at, input.user_name.as_deref())?;
        let known = at.account.keys_of(of.id.as_deref()).count() + usize::from(is_servers(at, &of));
        if known >= limits::ACCESS_KEYS {
            return Err(IamError::quota("AccessKeysPerUser", limits::ACCESS_KEYS));
        }
        let new = at.identities.new_key(at.id(), of.id)?;
        let shown = AccessKey {
            user_name: of.name.unwrap_or_default(),
            access_key_id: new.key.id.clone(),
            status: StatusType::Active,
            // The one time that it is shown.
            secret_access_key: new.secret.to_string(),
            create_date: Some(new.key.created),
        };
        draft.put_key(new.key);
        Ok(CreateAccessKeyOutput { access_key: shown })
    }
}

impl Change for DeleteAccessKeyInput {
    fn run(operation: Authorized<On<Self>>, at: &At<'_>, draft: &mut Draft) -> Result<DeleteAccessKeyOutput, IamError> {
        let input = operation.into_inner().input;
        let of = named(at, input.user_name.as_deref())?;
        let key = key(at, &of, &input.access_key_id)?;
        draft.remove_key(&key.id);
        Ok(DeleteAccessKeyOutput {})
    }
}

impl Change for UpdateAccessKeyInput {
    fn run(operation: Authorized<On<Self>>, at: &At<'_>, draft: &mut Draft) -> Result<UpdateAccessKeyOutput, IamError> {
        let input = operation.into_inner().input;
        let active = match input.status {
            StatusType::Active => true,
            StatusType::Inactive => false,
            StatusType::Expired => {
                return Err(IamError::InvalidInput("An access key is set Active or Inactive.".to_owned()));
            }
        };
        let of = named(at, input.user_name.as_deref())?;
        let key = key(at, &of, &input.access_key_id)?;
        if key.active != active {
            draft.put_key(state::AccessKey { active, ..key });
        }
        Ok(UpdateAccessKeyOutput {})
    }
}

impl Read for ListAccessKeysInput {
    fn run(operation: Authorized<On<Self>>, at: &At<'_>) -> Result<ListAccessKeysOutput, IamError> {
        let input = operation.into_inner().input;
        let of = named(at, input.user_name.as_deref())?;
        let mut keys: Vec<_> = at
            .account
            .keys_of(of.id.as_deref())
            .map(|key| {
                let shown = AccessKeyMetadata {
                    user_name: of.name.clone(),
                    access_key_id: Some(key.id.clone()),
                    status: Some(status(key.active)),
                    create_date: Some(key.created),
                };
                (key.id.clone(), shown)
            })
            .collect();
        if is_servers(at, &of) {
            let (id, status) = (Some(at.root_key.to_owned()), Some(StatusType::Active));
            let shown = AccessKeyMetadata { user_name: None, access_key_id: id, status, create_date: None };
            keys.push((at.root_key.to_owned(), shown));
            keys.sort_by(|(a, _), (b, _)| a.cmp(b));
        }
        let page = page(input.marker.as_deref(), input.max_items, keys)?;
        Ok(ListAccessKeysOutput {
            is_truncated: page.truncated(),
            access_key_metadata: page.items,
            marker: page.marker,
        })
    }
}

/// Whose access key it is, in this account.
enum Holder {
    Root,
    User(String),
}

fn holder(at: &At<'_>, id: &str) -> Option<Holder> {
    if at.is_home() && id == at.root_key {
        return Some(Holder::Root);
    }
    let key = at.account.keys().find(|key| key.id == id)?;
    match &key.user {
        None => Some(Holder::Root),
        Some(user) => Some(Holder::User(at.account.by_id(user)?.name.clone())),
    }
}

impl Read for GetAccessKeyLastUsedInput {
    fn run(operation: Authorized<On<Self>>, at: &At<'_>) -> Result<GetAccessKeyLastUsedOutput, IamError> {
        let input = operation.into_inner().input;
        let foreign = || {
            IamError::AccessDenied(format!(
                "User: {} is not authorized to perform: iam:GetAccessKeyLastUsed on resource: access key {}",
                at.caller.arn(),
                input.access_key_id
            ))
        };
        let user_name = match holder(at, &input.access_key_id).ok_or_else(foreign)? {
            Holder::Root => None,
            Holder::User(name) => Some(name),
        };
        let none = || "N/A".to_owned();
        let used = match at.identities.last_used(&input.access_key_id) {
            Some(used) => {
                AccessKeyLastUsed { last_used_date: Some(used.at), service_name: used.service, region: used.region }
            }
            None => AccessKeyLastUsed { last_used_date: None, service_name: none(), region: none() },
        };
        Ok(GetAccessKeyLastUsedOutput { user_name, access_key_last_used: Some(used) })
    }
}
