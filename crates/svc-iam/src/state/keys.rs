//! Long-term access keys: made, and opened.

use std::sync::OnceLock;

use bytes::Bytes;
use millpond_kernel::{Credential, CredentialError, Principal, SecretKey};
use millpond_seal::Purpose;
use millpond_types::AccountId;
use zeroize::Zeroizing;

use super::model::AccessKey;
use super::{Draft, Identities, Kind, StateError, unique};

/// An access key that was just made: the only time that its secret is shown.
pub struct NewKey {
    /// The key as it is kept.
    pub key: AccessKey,
    /// The secret.
    pub secret: Zeroizing<String>,
}

impl Identities {
    /// A new access key for a user (by its unique id), or with `None` for the root user. It works once it is committed.
    ///
    /// # Errors
    /// `Failed` when the secret cannot be sealed.
    pub fn new_key(&self, account: AccountId, user: Option<String>) -> Result<NewKey, StateError> {
        let inner = self.inner();
        let id = unique::access_key(&*inner.random, "AKIA");
        let secret = unique::secret(&*inner.random);
        let sealed = inner.vault.seal(&*inner.random, Purpose::AccessKey, id.as_bytes(), secret.as_bytes());
        let sealed = sealed.map_err(|_| StateError::Failed("a secret cannot be sealed".to_owned()))?;
        let created = self.now();
        let (sealed, opened) = (Bytes::from(sealed), OnceLock::from(SecretKey::new(&secret)));
        Ok(NewKey { key: AccessKey { id, account, user, active: true, created, sealed, secret: opened }, secret })
    }

    /// Makes an access key for the root user of an account, together with rows that `also` adds, such as that of the account itself. For
    /// commands of the operator: nothing is authorized.
    ///
    /// # Errors
    /// Those of the store; `Outdated` when a condition that `also` added does not hold.
    pub async fn add_root_key(&self, account: AccountId, also: impl FnOnce(&mut Draft)) -> Result<NewKey, StateError> {
        let changing = self.changing().await;
        let pin = self.inner().epoch.now();
        let mut draft = Draft::of(&self.account(account));
        let new = self.new_key(account, None)?;
        draft.put_key(new.key.clone());
        also(&mut draft);
        self.commit(&changing, draft, pin).await?;
        Ok(new)
    }

    /// Who acts with a long-term access key.
    pub(crate) fn credential(&self, id: &str) -> Result<Credential, CredentialError> {
        let key = self.key(id).filter(|key| key.active).ok_or(CredentialError::Unknown)?;
        let principal = match &key.user {
            None => Principal::Root(key.account),
            Some(user) => {
                let account = self.account(key.account);
                let user = account.by_id(user).filter(|entity| entity.kind == Kind::User);
                user.map(|user| user.principal()).ok_or(CredentialError::Unknown)?
            }
        };
        Ok(Credential { secret: self.secret_of(&key)?, principal, session: None })
    }

    fn secret_of(&self, key: &AccessKey) -> Result<SecretKey, CredentialError> {
        if let Some(secret) = key.secret.get() {
            return Ok(secret.clone());
        }
        let failed = || CredentialError::Failed(format!("the secret of {} cannot be opened", key.id));
        let plain = self.inner().vault.open(Purpose::AccessKey, key.id.as_bytes(), &key.sealed);
        let plain = plain.map_err(|_| failed())?;
        let secret = SecretKey::new(std::str::from_utf8(&plain).map_err(|_| failed())?);
        Ok(key.secret.get_or_init(|| secret).clone())
    }
}
