//! Sessions: temporary credentials that are kept nowhere. Everything that a request by them needs lies sealed in their token.

mod cache;
pub(crate) mod key_id;
mod token;

use std::sync::Arc;

use millpond_io::{Clock, Random};
use millpond_kernel::{
    Credential, CredentialError, Epoch, Named, PolicySource, Principal, SecretKey, Session, SessionKind,
};
use millpond_policy::{Policy, PolicyKind};
use millpond_seal::{Unopened, Vault};
use millpond_types::{AccountId, Timestamp};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::credentials::Sessions;
use crate::state::Identities;
use cache::{Cache, Opened};
pub(crate) use token::Begin;
use token::{MAX_TOKEN, Row};

/// Characters of a secret access key.
const SECRET: usize = 40;

/// The managed policies of this moment.
pub(crate) trait ManagedPolicies: Send + Sync + 'static {
    /// A policy of an account, or one of AWS's, as its default version has it; `None` when there is none.
    fn policy(&self, account: AccountId, arn: &str) -> Option<Arc<Policy>>;
}

impl ManagedPolicies for Identities {
    fn policy(&self, account: AccountId, arn: &str) -> Option<Arc<Policy>> {
        self.account(account).compiled(arn).ok()
    }
}

/// Credentials that were just made.
pub(crate) struct Begun {
    /// `ASIA...`
    pub access_key_id: String,
    /// The secret.
    pub secret: Zeroizing<String>,
    /// The token.
    pub token: String,
    /// When they end.
    pub expires: Timestamp,
}

/// Makes sessions, and knows them again.
pub struct SessionTokens {
    vault: Arc<Vault>,
    random: Arc<dyn Random>,
    clock: Arc<dyn Clock>,
    epoch: Epoch,
    managed: Arc<dyn ManagedPolicies>,
    cache: Cache,
}

impl SessionTokens {
    /// Sessions of identities, under the same vault and clock.
    pub fn new(identities: &Identities) -> Self {
        let inner = identities.inner();
        let managed = Arc::new(identities.clone());
        let (vault, random, clock) = (inner.vault.clone(), inner.random.clone(), inner.clock.clone());
        Self::of(vault, random, clock, inner.epoch.clone(), managed)
    }

    fn of(
        vault: Arc<Vault>,
        random: Arc<dyn Random>,
        clock: Arc<dyn Clock>,
        epoch: Epoch,
        managed: Arc<dyn ManagedPolicies>,
    ) -> Self {
        Self { vault, random, clock, epoch, managed, cache: Cache::default() }
    }

    /// Now, as sessions see it.
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.wall()
    }

    /// Begins a session. Its token has at least `size` characters.
    ///
    /// # Errors
    /// A principal that has no sessions.
    pub(crate) fn begin(&self, begin: &Begin, size: usize) -> Result<Begun, Unopened> {
        let account = begin.principal.account().ok_or(Unopened)?;
        let access_key_id = key_id::new(key_id::TEMPORARY, account, &*self.random);
        let secret = secret(&*self.random);
        let mut row = Row::new(begin, &secret).ok_or(Unopened)?;
        let token = row.seal(&self.vault, &*self.random, &access_key_id, size)?;
        if token.len() > MAX_TOKEN {
            return Err(Unopened);
        }
        Ok(Begun { access_key_id, secret, token, expires: begin.expires })
    }

    /// What belongs to an access key and the token that came with it.
    fn find(&self, access_key_id: &str, token: &str) -> Result<Credential, CredentialError> {
        let digest = Sha256::digest(token).into();
        let opened = match self.cache.get(&digest) {
            Some(opened) => opened,
            None => {
                let opened = self.open(access_key_id, token).ok_or(CredentialError::InvalidToken)?;
                self.cache.put(digest, Arc::clone(&opened));
                opened
            }
        };
        // The token is sealed for one key: with another it does not open.
        if opened.access_key_id != access_key_id {
            return Err(CredentialError::InvalidToken);
        }
        if self.clock.wall() >= opened.expires {
            return Err(CredentialError::Expired);
        }
        if opened.policy_arns.is_empty() || opened.read_at == self.epoch.now() {
            return Ok(opened.credential.clone());
        }
        let renewed = self.renewed(&opened);
        self.cache.put(digest, Arc::clone(&renewed));
        Ok(renewed.credential.clone())
    }

    fn open(&self, access_key_id: &str, token: &str) -> Option<Arc<Opened>> {
        let mut row = Row::open(&self.vault, access_key_id, token).ok()?;
        let secret = SecretKey::new(&row.secret);
        let begin = row.begin()?;
        let limited = begin.policy.is_some() || !begin.policy_arns.is_empty();
        let mut policies = Vec::new();
        if let Some(text) = &begin.policy {
            // It was valid when the session began. Were it none for this version of the code, the session could not be told its limits.
            let policy = Arc::new(Policy::parse(text, PolicyKind::Session).ok()?);
            policies.push(Named { source: PolicySource::Session { name: INLINE.to_owned() }, policy });
        }
        let read_at = self.epoch.now();
        policies.extend(self.managed(&begin.principal, &begin.policy_arns));
        let session = Session {
            policies: (limited || begin.by == SessionKind::GetFederationToken).then_some(policies),
            tags: begin.tags,
            transitive: begin.transitive,
            source_identity: begin.source_identity,
            issued: begin.issued,
            expires: begin.expires,
            by: begin.by,
            causes: begin.causes,
            worker: begin.worker.map(|key| if key.is_empty() { access_key_id.to_owned() } else { key }),
        };
        Some(Arc::new(Opened {
            access_key_id: access_key_id.to_owned(),
            credential: Credential { secret, principal: begin.principal, session: Some(Arc::new(session)) },
            expires: begin.expires,
            policy_arns: begin.policy_arns,
            read_at,
        }))
    }

    /// The managed policies that are there. One that is gone allows nothing, and denies nothing.
    fn managed(&self, principal: &Principal, arns: &[String]) -> impl Iterator<Item = Named> {
        let account = principal.account();
        arns.iter().filter_map(move |arn| {
            let policy = self.managed.policy(account?, arn)?;
            Some(Named { source: PolicySource::Session { name: arn.clone() }, policy })
        })
    }

    /// The same session with its managed policies as they are now.
    fn renewed(&self, opened: &Opened) -> Arc<Opened> {
        let read_at = self.epoch.now();
        let session = opened.credential.session.as_ref().map(|session| {
            let is_inline = |named: &&Named| named.source == PolicySource::Session { name: INLINE.to_owned() };
            let inline = session.policies.iter().flatten().filter(is_inline).cloned();
            let policies = inline.chain(self.managed(&opened.credential.principal, &opened.policy_arns)).collect();
            Arc::new(Session { policies: Some(policies), ..Session::clone(session) })
        });
        Arc::new(Opened {
            access_key_id: opened.access_key_id.clone(),
            credential: Credential { session, ..opened.credential.clone() },
            expires: opened.expires,
            policy_arns: opened.policy_arns.clone(),
            read_at,
        })
    }
}

impl Sessions for SessionTokens {
    fn open(&self, access_key_id: &str, token: &str) -> Result<Credential, CredentialError> {
        self.find(access_key_id, token)
    }
}

/// What the policy that was passed itself is called.
const INLINE: &str = "inline";

/// A secret access key: 40 characters of 64, 240 bits.
pub(crate) fn secret(random: &dyn Random) -> Zeroizing<String> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut bytes = Zeroizing::new([0; SECRET]);
    random.fill(&mut *bytes);
    // The alphabet's size divides 256, so that none is likelier.
    Zeroizing::new(bytes.iter().map(|byte| char::from(ALPHABET[usize::from(*byte) % 64])).collect())
}

/// Whether a principal is a root user, or acts in a session of one.
pub(crate) fn is_root(principal: &Principal) -> bool {
    matches!(principal, Principal::Root(_))
}

#[cfg(any(test, feature = "testing"))]
pub mod fuzz {
    //! Entry points for fuzzing: what a stranger made opens nothing, and nothing that was sealed makes the code panic.

    use super::*;
    use prost::Message as _;

    /// Hands text over as a token, and as what lies inside one. Tells whether a stranger's token was believed.
    pub fn token(data: &[u8]) -> bool {
        if let Ok(mut row) = Row::decode(data) {
            let _ = (format!("{row:?}"), row.begin());
        }
        let Ok(text) = std::str::from_utf8(data) else { return false };
        let _ = key_id::account(text);
        let (id, token) = text.split_once('\n').unwrap_or(("ASIA", text));
        Row::open(&Vault::for_tests(), id, token).is_ok()
    }
}

#[cfg(test)]
mod tests;
