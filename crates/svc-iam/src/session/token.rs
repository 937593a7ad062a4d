//! What is inside a session token: everything that a request by it needs, sealed, so that no session is kept on the disk.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use millpond_io::Random;
use millpond_kernel::{Principal, SessionKind};
use millpond_seal::{Purpose, Unopened, Vault};
use millpond_types::Timestamp;
use prost::Message;
use zeroize::{Zeroize, Zeroizing};

/// The longest token that is looked at. AWS asks clients to make room for 4,096 characters; ours are longer only where cause chains are.
pub(crate) const MAX_TOKEN: usize = 8 * 1024;

/// A session as it is begun.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Begin {
    /// Who acts in it.
    pub principal: Principal,
    /// By which operation it begins.
    pub by: SessionKind,
    /// The policy that was passed.
    pub policy: Option<String>,
    /// The managed policies that were passed.
    pub policy_arns: Vec<String>,
    /// Its tags, those that it inherits included.
    pub tags: Vec<(String, String)>,
    /// Which of them go on to sessions that it begins.
    pub transitive: Vec<String>,
    /// Who began it, in the first one's own words.
    pub source_identity: Option<String>,
    /// Now.
    pub issued: Timestamp,
    /// When it ends.
    pub expires: Timestamp,
    /// What led to it.
    pub causes: Vec<String>,
    /// The worker whose credentials they are made with; of none for those of a worker itself.
    pub worker: Option<String>,
}

/// The inside of a token. Tags are never given another meaning: tokens live for up to 36 hours, over changes of version too.
#[derive(Clone, PartialEq, Message)]
#[prost(skip_debug)]
pub(crate) struct Row {
    #[prost(string, tag = "1")]
    pub secret: String,
    #[prost(message, optional, tag = "2")]
    principal: Option<PrincipalRow>,
    #[prost(uint32, tag = "3")]
    by: u32,
    #[prost(string, optional, tag = "4")]
    policy: Option<String>,
    #[prost(string, repeated, tag = "5")]
    policy_arns: Vec<String>,
    #[prost(message, repeated, tag = "6")]
    tags: Vec<TagRow>,
    #[prost(string, repeated, tag = "7")]
    transitive: Vec<String>,
    #[prost(string, optional, tag = "8")]
    source_identity: Option<String>,
    #[prost(uint64, tag = "9")]
    issued: u64,
    #[prost(uint64, tag = "10")]
    expires: u64,
    #[prost(string, repeated, tag = "11")]
    causes: Vec<String>,
    /// Makes the token as long as the caller asked for.
    #[prost(bytes = "vec", tag = "12")]
    padding: Vec<u8>,
    /// The access key of the worker that began it; empty in a worker's own.
    #[prost(string, optional, tag = "13")]
    worker: Option<String>,
}

impl fmt::Debug for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Row").field("principal", &self.principal).finish_non_exhaustive()
    }
}

impl Drop for Row {
    fn drop(&mut self) {
        self.secret.zeroize();
    }
}

#[derive(Clone, PartialEq, Message)]
struct TagRow {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(string, tag = "2")]
    value: String,
}

/// Kinds: 1 root, 2 user, 3 role, 4 federated user.
#[derive(Clone, PartialEq, Message)]
struct PrincipalRow {
    #[prost(uint32, tag = "1")]
    kind: u32,
    #[prost(string, tag = "2")]
    account: String,
    #[prost(string, tag = "3")]
    path: String,
    #[prost(string, tag = "4")]
    name: String,
    #[prost(string, tag = "5")]
    id: String,
    #[prost(string, tag = "6")]
    session: String,
    #[prost(message, optional, boxed, tag = "7")]
    user: Option<Box<PrincipalRow>>,
}

impl PrincipalRow {
    /// `None` for who has no sessions: nobody and services.
    fn of(principal: &Principal) -> Option<Self> {
        let row =
            |kind, account: &millpond_types::AccountId| Self { kind, account: account.to_string(), ..Self::default() };
        Some(match principal {
            Principal::Anonymous | Principal::Service { .. } => return None,
            Principal::Root(account) => row(1, account),
            Principal::User { account, path, name, id } => {
                Self { path: path.clone(), name: name.clone(), id: id.clone(), ..row(2, account) }
            }
            Principal::Role { account, path, name, id, session } => Self {
                path: path.clone(),
                name: name.clone(),
                id: id.clone(),
                session: session.clone(),
                ..row(3, account)
            },
            Principal::Federated { account, name, user } => {
                Self { name: name.clone(), user: Some(Box::new(Self::of(user)?)), ..row(4, account) }
            }
        })
    }

    fn principal(self) -> Option<Principal> {
        let Self { kind, account, path, name, id, session, user } = self;
        let account = account.parse().ok()?;
        Some(match kind {
            1 => Principal::Root(account),
            2 => Principal::User { account, path, name, id },
            3 => Principal::Role { account, path, name, id, session },
            4 => Principal::Federated { account, name, user: Box::new(user?.principal()?) },
            _ => return None,
        })
    }
}

fn kind_number(by: SessionKind) -> u32 {
    match by {
        SessionKind::AssumeRole => 1,
        SessionKind::GetSessionToken => 2,
        SessionKind::GetFederationToken => 3,
    }
}

impl Row {
    pub(crate) fn new(begin: &Begin, secret: &str) -> Option<Self> {
        let tag = |(key, value): &(String, String)| TagRow { key: key.clone(), value: value.clone() };
        Some(Self {
            secret: secret.to_owned(),
            principal: Some(PrincipalRow::of(&begin.principal)?),
            by: kind_number(begin.by),
            policy: begin.policy.clone(),
            policy_arns: begin.policy_arns.clone(),
            tags: begin.tags.iter().map(tag).collect(),
            transitive: begin.transitive.clone(),
            source_identity: begin.source_identity.clone(),
            issued: begin.issued.0,
            expires: begin.expires.0,
            causes: begin.causes.clone(),
            padding: Vec::new(),
            worker: begin.worker.clone(),
        })
    }

    /// The session; `None` when a later version wrote what this one does not know.
    pub(crate) fn begin(&mut self) -> Option<Begin> {
        use std::mem::take;
        Some(Begin {
            principal: self.principal.take()?.principal()?,
            by: match self.by {
                1 => SessionKind::AssumeRole,
                2 => SessionKind::GetSessionToken,
                3 => SessionKind::GetFederationToken,
                _ => return None,
            },
            policy: self.policy.take(),
            policy_arns: take(&mut self.policy_arns),
            tags: take(&mut self.tags).into_iter().map(|tag| (tag.key, tag.value)).collect(),
            transitive: take(&mut self.transitive),
            source_identity: self.source_identity.take(),
            issued: Timestamp(self.issued),
            expires: Timestamp(self.expires),
            causes: take(&mut self.causes),
            worker: self.worker.take(),
        })
    }

    /// Seals it for an access key. The token has at least `size` characters.
    pub(crate) fn seal(
        &mut self,
        vault: &Vault,
        random: &dyn Random,
        access_key_id: &str,
        size: usize,
    ) -> Result<String, Unopened> {
        let token = self.sealed(vault, random, access_key_id)?;
        if token.len() >= size {
            return Ok(token);
        }
        // Four characters hold three bytes.
        self.padding = vec![0; (size - token.len()) * 3 / 4 + 1];
        self.sealed(vault, random, access_key_id)
    }

    fn sealed(&self, vault: &Vault, random: &dyn Random, access_key_id: &str) -> Result<String, Unopened> {
        let plain = Zeroizing::new(self.encode_to_vec());
        let sealed = vault.seal(random, Purpose::SessionToken, access_key_id.as_bytes(), &plain)?;
        Ok(URL_SAFE_NO_PAD.encode(sealed))
    }

    /// Opens a token that came with an access key id.
    pub(crate) fn open(vault: &Vault, access_key_id: &str, token: &str) -> Result<Self, Unopened> {
        if token.len() > MAX_TOKEN {
            return Err(Unopened);
        }
        let sealed = URL_SAFE_NO_PAD.decode(token).map_err(|_| Unopened)?;
        let plain = vault.open(Purpose::SessionToken, access_key_id.as_bytes(), &sealed)?;
        Self::decode(plain.as_slice()).map_err(|_| Unopened)
    }
}
