//! What an identity may do, answered from memory: the kernel asks at every decision.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};
use millpond_kernel::{Directory, DirectoryError, Rights};
use millpond_policy::Principal;
use millpond_types::{AccountId, Timestamp};

use crate::state::Identities;

/// Which accounts exist.
pub trait Accounts: Send + Sync + 'static {
    /// Whether an account exists here.
    fn exists(&self, account: AccountId) -> bool;

    /// When an account was created; `None` for one that the server was made with.
    fn created_at(&self, account: AccountId) -> Option<Timestamp>;
}

/// The account that a server is made with, and no other.
impl Accounts for AccountId {
    fn exists(&self, account: AccountId) -> bool {
        *self == account
    }

    fn created_at(&self, _: AccountId) -> Option<Timestamp> {
        None
    }
}

/// Identities as the kernel knows them.
pub struct IdentityDirectory {
    identities: Identities,
    accounts: Arc<dyn Accounts>,
}

impl IdentityDirectory {
    /// A directory over identities.
    pub fn new(identities: Identities, accounts: Arc<dyn Accounts>) -> Self {
        Self { identities, accounts }
    }

    fn rights_of(&self, principal: &Principal) -> Result<Arc<Rights>, DirectoryError> {
        match principal {
            // A root user's federated session is bounded by its own policies alone.
            Principal::Federated { user, .. } if matches!(**user, Principal::Root(_)) => Ok(Arc::default()),
            other => {
                let (account, entity) = self.identities.behind(other).ok_or(DirectoryError::Gone)?;
                account.rights(&entity)
            }
        }
    }
}

impl Directory for IdentityDirectory {
    fn rights<'a>(&'a self, principal: &'a Principal) -> BoxFuture<'a, Result<Arc<Rights>, DirectoryError>> {
        ready(self.rights_of(principal)).boxed()
    }

    fn unique_id<'a>(&'a self, arn: &'a str) -> BoxFuture<'a, Result<Option<String>, DirectoryError>> {
        let entity = self.identities.by_arn(arn);
        let principal = entity.filter(|entity| entity.kind != crate::state::Kind::Group);
        ready(Ok(principal.map(|entity| entity.id.clone()))).boxed()
    }

    fn account_exists(&self, account: AccountId) -> bool {
        self.accounts.exists(account)
    }
}
