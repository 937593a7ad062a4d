//! Whose access key signed a request: the server's root key, a long-term key, or a temporary one.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use millpond_kernel::{Credential, CredentialError, Credentials, Session, Working};
use millpond_types::{CauseChain, MAX_CAUSES};

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

/// The chain of a worker that is not known any more: it does not begin anew.
fn unknown(session: &Session) -> CauseChain {
    let mut causes = session.causes.clone();
    if causes.len() < MAX_CAUSES {
        causes.insert(0, Working::UNKNOWN.to_owned());
    }
    causes
}

/// All access keys.
pub struct AccessKeys {
    root: Arc<dyn Credentials>,
    identities: Identities,
    sessions: Arc<dyn Sessions>,
    working: Arc<Working>,
}

impl AccessKeys {
    /// The server's root key, those of identities, and temporary ones.
    pub fn new(root: Arc<dyn Credentials>, identities: Identities, sessions: Arc<dyn Sessions>) -> Self {
        Self { root, identities, sessions, working: Arc::default() }
    }

    /// With what workers do at the moment: what they sign continues the chain of what they work at, and so does what is signed with sessions that they
    /// began.
    pub fn with_workers(mut self, working: Arc<Working>) -> Self {
        self.working = working;
        self
    }

    fn temporary(&self, id: &str, token: &str) -> Result<Credential, CredentialError> {
        let mut credential = self.sessions.open(id, token)?;
        if let Some(session) = &credential.session
            && let Some(worker) = &session.worker
        {
            let causes = self.working.causes(worker).unwrap_or_else(|| unknown(session));
            credential.session = Some(Arc::new(Session { causes, ..Session::clone(session) }));
        }
        Ok(credential)
    }

    fn known(&self, id: &str, token: Option<&str>) -> Result<Credential, CredentialError> {
        match token {
            Some(token) if id.starts_with(TEMPORARY) => self.temporary(id, token),
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
