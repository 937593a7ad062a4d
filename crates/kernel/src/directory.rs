//! The port through which the kernel learns what an identity may do.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use millpond_policy::{Named, Principal};

/// What an identity may do, and what it is called.
#[derive(Clone, Debug, Default)]
pub struct Rights {
    /// Its policies and its groups'.
    pub identity: Vec<Named>,
    /// Its permissions boundary.
    pub boundary: Option<Named>,
    /// The tags of the user or role.
    pub tags: Vec<(String, String)>,
}

/// Why there are no rights.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DirectoryError {
    /// The user or role does not exist any more, or another one has its name now.
    #[error("the principal does not exist any more")]
    Gone,
    /// The store could not be read.
    #[error("identities cannot be looked up: {0}")]
    Failed(String),
}

/// Where identities are looked up. Answers are of the moment: a change that was acknowledged counts.
pub trait Directory: Send + Sync + 'static {
    /// The rights of a user, role or federated user; of nobody else.
    fn rights<'a>(&'a self, principal: &'a Principal) -> BoxFuture<'a, Result<Arc<Rights>, DirectoryError>>;

    /// The unique id of the user or role that an ARN names, for policies that are to outlive a change of names; `None` when there is none.
    fn unique_id<'a>(&'a self, arn: &'a str) -> BoxFuture<'a, Result<Option<String>, DirectoryError>>;

    /// Whether an account exists here.
    fn account_exists(&self, account: millpond_types::AccountId) -> bool;
}
