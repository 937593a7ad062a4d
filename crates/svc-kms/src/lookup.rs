//! From the names that clients use to keys (KMS Developer Guide, "Key identifiers"), and to what they touch.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use millpond_api_kms::GrantOperation;
use millpond_kernel::Caller;
use millpond_types::AccountId;

use crate::errors::{About, KmsError};
use crate::ids::{GrantId, KeyId, LongId};
use crate::inputs::Input;
use crate::model::{Grant, Key, State};
use crate::resolved::{OnKey, Touched};
use crate::state::Core;

/// Which names an operation takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Forms {
    /// Key ids and key ARNs of the caller's own account (API reference, "Cross-account use: No").
    Own,
    /// Key ids and key ARNs.
    Keys,
    /// Those, and aliases by name and by ARN.
    KeysAndAliases,
}

/// What a name means.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Pointer<'a> {
    account: AccountId,
    /// `key/...` or `alias/...`.
    resource: Resource<'a>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Resource<'a> {
    Key(&'a str),
    Alias(&'a str),
}

/// The beginning of every alias's name.
pub(crate) const ALIAS: &str = "alias/";

/// The aliases of AWS, whose keys are made when they are first used (KMS Developer Guide, "AWS managed keys"): those of services that are here.
pub(crate) const PREDEFINED: [&str; 1] = ["alias/aws/s3"];

fn pointer<'a>(name: &'a str, own: AccountId, region: &str) -> Result<Pointer<'a>, KmsError> {
    let invalid = || KmsError::InvalidArn(format!("Invalid arn {name}"));
    if !name.starts_with("arn:") {
        let resource = if name.starts_with(ALIAS) { Resource::Alias(name) } else { Resource::Key(name) };
        return Ok(Pointer { account: own, resource });
    }
    let fields: Vec<&str> = name.splitn(6, ':').collect();
    let ["arn", "aws", "kms", place, account, resource] = fields.as_slice() else { return Err(invalid()) };
    let account = account.parse().map_err(|_| invalid())?;
    if *place != region {
        return Err(KmsError::NotFound(format!("Invalid arn {place}")));
    }
    let resource = match resource.strip_prefix("key/") {
        Some(id) => Resource::Key(id),
        None if resource.starts_with(ALIAS) => Resource::Alias(resource),
        None => return Err(invalid()),
    };
    Ok(Pointer { account, resource })
}

impl Core {
    /// The account in which a caller's plain names are looked up.
    pub fn account_of(&self, caller: &Caller) -> AccountId {
        caller.account().unwrap_or(self.kernel.account())
    }

    /// Finds the key that a name means for a caller. What is not there in another account is told as what may not be touched there.
    pub fn find(&self, caller: &Caller, action: &str, name: &str, forms: Forms) -> Result<OnKey, KmsError> {
        let own = self.account_of(caller);
        let pointer = pointer(name, own, self.kernel.region().as_str())?;
        if forms != Forms::KeysAndAliases && matches!(pointer.resource, Resource::Alias(_)) {
            return Err(KmsError::NotFound(format!("Invalid keyId {name}")));
        }
        let about = match pointer.resource {
            Resource::Key(_) => About::Arn(name.to_owned()),
            Resource::Alias(_) => About::Alias,
        };
        if forms == Forms::Own && pointer.account != own {
            return Err(KmsError::foreign(&caller.arn(), action, &about));
        }
        self.pointed(&pointer, about.clone()).map_err(|error| {
            if pointer.account == own { error } else { KmsError::foreign(&caller.arn(), action, &about) }
        })
    }

    /// The alias of AWS that a name means, if it is one of the caller's account that has no key yet.
    pub fn predefined(&self, caller: &Caller, name: &str) -> Option<&'static str> {
        let own = self.account_of(caller);
        let found = pointer(name, own, self.kernel.region().as_str()).ok()?;
        let Resource::Alias(alias) = found.resource else { return None };
        let known = PREDEFINED.into_iter().find(|known| found.account == own && *known == alias)?;
        self.maps().alias(own, known).is_none().then_some(known)
    }

    fn pointed(&self, pointer: &Pointer<'_>, about: About) -> Result<OnKey, KmsError> {
        let (maps, now) = (self.maps(), self.now());
        let (id, alias, missing) = match pointer.resource {
            Resource::Key(text) => {
                let id = KeyId::parse(text).ok_or_else(|| KmsError::NotFound(format!("Invalid keyId '{text}'")))?;
                (id, None, KmsError::NoKey(self.key_arn(pointer.account, id).to_string()))
            }
            Resource::Alias(name) => {
                let missing = KmsError::NoAlias(self.alias_arn(pointer.account, name).to_string());
                match maps.alias(pointer.account, name) {
                    Some(alias) => (alias.key, Some(name.to_owned()), missing),
                    None => return Err(missing),
                }
            }
        };
        match maps.key(id, now).filter(|key| key.facts.account == pointer.account) {
            Some(key) => Ok(OnKey {
                key: key.clone(),
                alias,
                aliases: maps.names(id).into_iter().flatten().cloned().collect(),
                about,
            }),
            None => Err(missing),
        }
    }

    /// A key by its id, for whoever has a ciphertext of it.
    pub fn by_ciphertext(&self, caller: &Caller, action: &str, id: KeyId) -> Result<OnKey, KmsError> {
        let (maps, now) = (self.maps(), self.now());
        let key = maps.key(id, now);
        let key = key.ok_or_else(|| KmsError::foreign(&caller.arn(), action, &About::Ciphertext))?;
        let aliases = maps.names(id).into_iter().flatten().cloned().collect();
        Ok(OnKey { key: key.clone(), alias: None, aliases, about: About::Ciphertext })
    }

    /// An access to a key, with the grants that allow it to the caller.
    pub fn touch<I: Input>(
        &self,
        caller: &Caller,
        input: &I,
        action: &'static str,
        on: OnKey,
        context: Option<&BTreeMap<String, String>>,
    ) -> Result<Touched, KmsError> {
        self.check_tokens(input.grant_tokens())?;
        let operation = action.strip_prefix("kms:").and_then(GrantOperation::parse);
        let grants = match operation {
            Some(operation) => self.grants_of(caller, on.key.id, |grant| grant.fits(operation, context)),
            None => Vec::new(),
        };
        Ok(Touched::key(action, on, grants))
    }

    /// The grants on a key to a caller that fit, as decisions take them.
    pub fn grants_of(&self, caller: &Caller, key: KeyId, fits: impl Fn(&Grant) -> bool) -> Vec<millpond_kernel::Grant> {
        let maps = self.maps();
        let Some(grants) = maps.grants(key) else { return Vec::new() };
        grants
            .of(caller.principal())
            .filter(|grant| fits(grant))
            .filter_map(|grant| {
                let to = millpond_kernel::Grantee::Principal(grant.grantee.arn_of(caller.principal())?);
                Some(millpond_kernel::Grant { to, what: format!("grant {}", grant.id) })
            })
            .collect()
    }

    /// Finds a key and decides over the input's own action on it.
    pub async fn on_key<'a, I: Input>(
        &self,
        caller: &Caller,
        input: &'a I,
        name: &str,
        forms: Forms,
    ) -> Result<(millpond_kernel::Authorized<crate::resolved::Resolved<'a, I>>, OnKey), KmsError> {
        let on = self.find(caller, I::ACTION, name, forms)?;
        let touched = self.touch(caller, input, I::ACTION, on.clone(), input.encryption_context())?;
        Ok((self.decide(caller, input, vec![touched]).await?, on))
    }

    /// Decides over an action that has no resource.
    pub async fn on_account<'a, I: Input>(
        &self,
        caller: &Caller,
        input: &'a I,
    ) -> Result<millpond_kernel::Authorized<crate::resolved::Resolved<'a, I>>, KmsError> {
        self.decide(caller, input, vec![Touched::nothing(I::ACTION, self.account_of(caller))]).await
    }

    /// Refuses tokens that belong to no grant.
    fn check_tokens(&self, tokens: &[String]) -> Result<(), KmsError> {
        tokens.iter().try_for_each(|token| self.grant_of_token(token).map(drop))
    }

    /// The grant that a token belongs to.
    pub fn grant_of_token(&self, token: &str) -> Result<std::sync::Arc<Grant>, KmsError> {
        let (key, id) = parse_token(token).ok_or(KmsError::GrantToken)?;
        let maps = self.maps();
        let grant = maps.grants(key).and_then(|grants| grants.get(id));
        grant.filter(|_| maps.key(key, self.now()).is_some()).cloned().ok_or(KmsError::GrantToken)
    }

    /// A token of a grant; each is another. It is no secret: what it is good for is decided when it is used.
    pub fn new_token(&self, key: KeyId, id: GrantId) -> String {
        STANDARD.encode([&[TOKEN][..], &key.0, &id.0, &self.random.u64().to_be_bytes()].concat())
    }
}

/// The format of grant tokens.
const TOKEN: u8 = 1;

fn parse_token(token: &str) -> Option<(KeyId, GrantId)> {
    let bytes = STANDARD.decode(token).ok()?;
    let (format, rest) = bytes.split_first()?;
    let (key, rest) = rest.split_first_chunk::<16>()?;
    let (id, rest) = rest.split_first_chunk::<32>()?;
    (*format == TOKEN && rest.len() == 8).then_some((KeyId(*key), LongId(*id)))
}

/// A key that is used: enabled.
pub(crate) fn enabled(key: &Key) -> Result<(), KmsError> {
    match key.facts.state {
        State::Enabled => Ok(()),
        State::Disabled => Err(KmsError::Disabled(key.arn.to_string())),
        State::PendingDeletion { .. } => not_pending(key),
    }
}

/// A key that is changed: not about to be deleted, and no service's.
pub(crate) fn not_pending(key: &Key) -> Result<(), KmsError> {
    match key.facts.state {
        State::PendingDeletion { .. } => Err(KmsError::State(format!("{} is pending deletion.", key.arn))),
        State::Enabled | State::Disabled => Ok(()),
    }
}

/// A key that its account manages: that of a service cannot be changed, whatever its policy says.
pub(crate) fn customers(key: &Key) -> Result<(), KmsError> {
    if key.facts.managed {
        return Err(KmsError::Unsupported(format!("{} is managed by a service and cannot be changed.", key.arn)));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_keys() {
        let own: AccountId = "111122223333".parse().unwrap();
        let other: AccountId = "444455556666".parse().unwrap();
        let key = |account, id| Ok(Pointer { account, resource: Resource::Key(id) });
        let alias = |account, name| Ok(Pointer { account, resource: Resource::Alias(name) });
        for (name, expected) in [
            ("1234", key(own, "1234")),
            ("alias/a", alias(own, "alias/a")),
            ("arn:aws:kms:us-east-1:444455556666:key/1234", key(other, "1234")),
            ("arn:aws:kms:us-east-1:444455556666:alias/a/b", alias(other, "alias/a/b")),
            ("arn:aws:kms:eu-west-1:444455556666:key/1234", Err("NotFoundException")),
            ("arn:aws:kms::444455556666:key/1234", Err("NotFoundException")),
            ("arn:aws:kms:us-east-1:4444:key/1234", Err("InvalidArnException")),
            ("arn:aws:kms:us-east-1:444455556666:grant/1", Err("InvalidArnException")),
            ("arn:aws:s3:us-east-1:444455556666:key/1234", Err("InvalidArnException")),
            ("arn:aws-cn:kms:us-east-1:444455556666:key/1", Err("InvalidArnException")),
            ("arn:aws:kms", Err("InvalidArnException")),
        ] {
            let found = pointer(name, own, "us-east-1");
            let found = found.map_err(|error| millpond_kernel::ServiceError::from(error).code.into_owned());
            assert_eq!(found, expected.map_err(str::to_owned), "{name}");
        }
    }

    #[test]
    fn tokens_bear_no_change_of_form() {
        for bad in ["", "AA==", "%%", &STANDARD.encode([1; 56]), &STANDARD.encode([2; 57]), &STANDARD.encode([1; 58])] {
            assert_eq!(parse_token(bad), None, "{bad}");
        }
        assert!(parse_token(&STANDARD.encode([1; 57])).is_some());
    }
}
