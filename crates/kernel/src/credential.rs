//! The port through which the gateway learns whose access key signed a request.

use std::fmt;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use zeroize::Zeroizing;

use crate::{Principal, Session};

/// A secret access key, wiped when the last of its holders lets go. Has no text form, so that no log can hold it.
#[derive(Clone)]
pub struct SecretKey(Arc<Zeroizing<String>>);

impl SecretKey {
    /// Takes a secret.
    pub fn new(secret: &str) -> Self {
        Self(Arc::new(Zeroizing::new(secret.to_owned())))
    }

    /// The secret, for deriving a signing key.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(…)")
    }
}

/// What belongs to an access key.
#[derive(Clone, Debug)]
pub struct Credential {
    /// The secret to check signatures with.
    pub secret: SecretKey,
    /// Who acts with it.
    pub principal: Principal,
    /// The session that it belongs to, for temporary credentials.
    pub session: Option<Arc<Session>>,
}

/// Why there is no credential.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CredentialError {
    /// No such access key.
    #[error("the access key id does not exist")]
    Unknown,
    /// A session token that was not issued here, or one on a key that takes none.
    #[error("the security token included in the request is invalid")]
    InvalidToken,
    /// A session token that was issued here and has ended.
    #[error("the security token included in the request is expired")]
    Expired,
    /// The store could not be read.
    #[error("credentials cannot be looked up: {0}")]
    Failed(String),
}

/// Where access keys are looked up.
pub trait Credentials: Send + Sync + 'static {
    /// The credential of an access key, with the session token that came with it.
    fn find<'a>(
        &'a self,
        access_key_id: &'a str,
        session_token: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Credential, CredentialError>>;

    /// Notes that a request was signed with an access key, now that its signature was verified. Must not wait.
    fn used(&self, _access_key_id: &str, _service: &str, _region: &str) {}
}
