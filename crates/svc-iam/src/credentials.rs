//! Whose access key signed a request: the server's root key, a long-term key, or a temporary one.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use millpond_kernel::{Credential, CredentialError, Credentials};

use crate::state::Identities;

/// How ids of temporary access keys begin.
const TEMPORARY: &str = "ASIA";

/// Temporary credentials: what a session token stands for.
pub trait Sessions: Send + Sync + 'static {
    /// Opens a session token that came with a temporary access key.
    ///
    /// # Errors
    /// `InvalidToken` for one that was not issued here, is for another key, or has expired.
    fn open(&self, access_key_id: &str, token: &str) -> Result<Credential, CredentialError>;
}

/// A server that issues no temporary credentials.
pub struct NoSessions;

impl Sessions for NoSessions {
    fn open(&self, _: &str, _: &str) -> Result<Credential, CredentialError> {
        Err(CredentialError::InvalidToken)
    }
}

/// All access keys.
pub struct AccessKeys {
    root: Arc<dyn Credentials>,
    identities: Identities,
    sessions: Arc<dyn Sessions>,
}

impl AccessKeys {
    /// The server's root key, those of identities, and temporary ones.
    pub fn new(root: Arc<dyn Credentials>, identities: Identities, sessions: Arc<dyn Sessions>) -> Self {
        Self { root, identities, sessions }
    }

    fn known(&self, id: &str, token: Option<&str>) -> Result<Credential, CredentialError> {
        match token {
            Some(token) if id.starts_with(TEMPORARY) => self.sessions.open(id, token),
            // Without its token a temporary key is none that is known, as AWS has it.
            None if id.starts_with(TEMPORARY) => Err(CredentialError::Unknown),
            None => self.identities.credential(id),
            Some(_) => self.identities.credential(id).and(Err(CredentialError::InvalidToken)),
        }
    }
}

impl Credentials for AccessKeys {
    fn find<'a>(
        &'a self,
        access_key_id: &'a str,
        session_token: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Credential, CredentialError>> {
        async move {
            // The root key's id can be any text, so that it is asked first.
            match self.root.find(access_key_id, session_token).await {
                Err(CredentialError::Unknown) => self.known(access_key_id, session_token),
                known => known,
            }
        }
        .boxed()
    }

    fn used(&self, access_key_id: &str, service: &str, region: &str) {
        self.identities.used(access_key_id, service, region);
    }
}
