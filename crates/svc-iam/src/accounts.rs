//! Accounts: the one that a server was made with, and those that its operator adds. Each has a root user.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use millpond_io::Random;
use millpond_kernel::tables;
use millpond_meta::key::{KeyBuilder, KeyReader, prefix_range};
use millpond_meta::{Cond, Key, Op, ReadError, Scan};
use millpond_types::{AccountId, Timestamp};
use prost::Message;
use zeroize::Zeroizing;

use crate::directory::Accounts;
use crate::state::{Identities, StateError};

/// Digits of an account id.
const DIGITS: usize = 12;
/// The most accounts: all of them are held in memory.
const MAX_ACCOUNTS: usize = 10_000;
/// Characters of a name (Organizations API reference, CreateAccount).
const MAX_NAME: usize = 50;
/// How often a change is tried anew when others came before it, and an id when it is taken.
const ATTEMPTS: usize = 16;
/// Accounts that are read at a time.
const PAGE: usize = 1000;

/// An account.
#[derive(Clone, PartialEq, Message)]
struct Row {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(uint64, tag = "2")]
    created: u64,
}

/// An account as it is listed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AccountEntry {
    /// Its id.
    pub id: AccountId,
    /// What its operator calls it; empty when it was given no name.
    pub name: String,
    /// When it was created; `None` for the one that the server was made with.
    pub created: Option<Timestamp>,
}

/// An account that was just created, and the access key of its root user.
pub struct NewAccount {
    /// The account.
    pub id: AccountId,
    /// The access key id.
    pub access_key_id: String,
    /// Its secret, which is shown this once.
    pub secret: Zeroizing<String>,
}

/// Why an account was not created.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AccountError {
    /// There is one of this id.
    #[error("the account {0} exists already")]
    Exists(AccountId),
    /// A name that cannot be.
    #[error("a name has 1 to {MAX_NAME} characters, and no line breaks or other control characters")]
    Name,
    /// There are as many as there may be.
    #[error("there are {MAX_ACCOUNTS} accounts, the most that there may be")]
    TooMany,
    /// The store could not be read or written.
    #[error(transparent)]
    State(#[from] StateError),
}

/// All accounts, also in memory.
pub struct LocalAccounts {
    home: AccountId,
    identities: Identities,
    known: RwLock<BTreeMap<AccountId, Row>>,
}

fn key(account: AccountId) -> Key {
    KeyBuilder::new(tables::ACCOUNTS).raw(account.as_str().as_bytes()).build()
}

fn read_row(key: &Key, value: Bytes) -> Option<(AccountId, Row)> {
    let mut reader = KeyReader::new(key);
    reader.table().ok()?;
    let id = std::str::from_utf8(reader.raw(DIGITS).ok()?).ok()?.parse().ok()?;
    Some((id, Row::decode(value).ok()?))
}

impl LocalAccounts {
    /// Reads all accounts. `home` is the one that the server was made with.
    ///
    /// # Errors
    /// A row that cannot be read.
    pub async fn load(home: AccountId, identities: Identities) -> Result<Self, ReadError> {
        let kv = &identities.inner().kv;
        let (from, to) = prefix_range(KeyBuilder::new(tables::ACCOUNTS).build());
        let (mut known, mut from) = (BTreeMap::new(), Bound::Included(from));
        loop {
            let scan = Scan { from, to: Bound::Excluded(to.clone()), reverse: false, limit: PAGE };
            let rows = kv.scan(scan).await?;
            let full = rows.len() == PAGE;
            from = rows.last().map_or(Bound::Unbounded, |(key, _)| Bound::Excluded(key.clone()));
            for (key, value) in rows {
                let row = read_row(&key, value);
                let (id, row) = row.ok_or_else(|| ReadError::Damaged("an account row cannot be read".to_owned()))?;
                known.insert(id, row);
            }
            if !full {
                return Ok(Self { home, identities, known: RwLock::new(known) });
            }
        }
    }

    /// All accounts by id.
    pub fn list(&self) -> Vec<AccountEntry> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let entry = |(id, row): (&AccountId, &Row)| AccountEntry {
            id: *id,
            name: row.name.clone(),
            created: Some(Timestamp(row.created)),
        };
        let home = AccountEntry { id: self.home, name: String::new(), created: None };
        let mut entries: Vec<_> = std::iter::once(home).chain(known.iter().map(entry)).collect();
        entries.sort_by_key(|entry| entry.id);
        entries
    }

    /// Creates an account and an access key of its root user, in one commit. Without an id one is drawn by lot. Goes on when whoever waits
    /// for it is gone, so that memory does not fall behind the store.
    ///
    /// # Errors
    /// See [`AccountError`]; nothing was created then.
    pub async fn create(
        self: Arc<Self>,
        id: Option<AccountId>,
        name: Option<String>,
    ) -> Result<NewAccount, AccountError> {
        let name = name.unwrap_or_default();
        if name.chars().count() > MAX_NAME || name.chars().any(char::is_control) {
            return Err(AccountError::Name);
        }
        let created = tokio::spawn(async move { self.created(id, name).await }).await;
        created.map_err(|error| StateError::Failed(error.to_string()))?
    }

    async fn created(&self, wanted: Option<AccountId>, name: String) -> Result<NewAccount, AccountError> {
        let mut last = StateError::Outdated;
        for _ in 0..ATTEMPTS {
            let id = wanted.unwrap_or_else(|| drawn(&*self.identities.inner().random));
            if self.exists(id) {
                match wanted {
                    Some(id) => return Err(AccountError::Exists(id)),
                    None => continue,
                }
            }
            if self.known.read().unwrap_or_else(PoisonError::into_inner).len() >= MAX_ACCOUNTS {
                return Err(AccountError::TooMany);
            }
            let row = Row { name: name.clone(), created: self.identities.inner().clock.now().0 };
            let put = Op::Put(key(id), Bytes::from(row.encode_to_vec()));
            let added = self.identities.add_root_key(id, |draft| draft.also([Cond::Absent(key(id))], [put])).await;
            match added {
                Ok(new) => {
                    self.known.write().unwrap_or_else(PoisonError::into_inner).insert(id, row);
                    return Ok(NewAccount { id, access_key_id: new.key.id, secret: new.secret });
                }
                // Another change came before, perhaps one that created this account.
                Err(StateError::Outdated) => last = StateError::Outdated,
                Err(error) => return Err(error.into()),
            }
        }
        Err(last.into())
    }
}

impl Accounts for LocalAccounts {
    fn exists(&self, account: AccountId) -> bool {
        account == self.home || self.known.read().unwrap_or_else(PoisonError::into_inner).contains_key(&account)
    }

    fn created_at(&self, account: AccountId) -> Option<Timestamp> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.get(&account).map(|row| Timestamp(row.created))
    }
}

/// An id by lot; the first digit is not zero, so that spreadsheets leave it whole.
fn drawn(random: &dyn Random) -> AccountId {
    loop {
        let mut bytes = [0; 8];
        random.fill(&mut bytes);
        let number = 100_000_000_000 + u64::from_le_bytes(bytes) % 900_000_000_000;
        if let Ok(id) = number.to_string().parse() {
            return id;
        }
    }
}

#[cfg(test)]
mod tests {
    use millpond_io::{ManualClock, SystemRandom};
    use millpond_kernel::{Epoch, Principal};
    use millpond_meta::MemoryKv;
    use millpond_seal::Vault;

    use super::*;

    const HOME: &str = "111122223333";

    async fn opened(kv: &Arc<MemoryKv>) -> (Identities, Arc<LocalAccounts>) {
        let clock = Arc::new(ManualClock::new(Timestamp::from_seconds(1_800_000_000)));
        let (random, vault) = (Arc::new(SystemRandom), Arc::new(Vault::for_tests()));
        let epoch = Epoch::load(kv.clone()).await.unwrap();
        let identities = Identities::load(kv.clone(), clock, random, vault, epoch).await.unwrap();
        let accounts = LocalAccounts::load(HOME.parse().unwrap(), identities.clone()).await.unwrap();
        (identities, Arc::new(accounts))
    }

    #[tokio::test]
    async fn accounts_are_created_once_and_stay() {
        let kv = Arc::new(MemoryKv::new());
        let (identities, accounts) = opened(&kv).await;
        let wanted: AccountId = "444455556666".parse().unwrap();
        assert!(!accounts.exists(wanted) && accounts.exists(HOME.parse().unwrap()));
        let new = accounts.clone().create(Some(wanted), Some("other".to_owned())).await.unwrap();
        let drawn = accounts.clone().create(None, None).await.unwrap();
        assert!(new.id == wanted && drawn.id != wanted && !drawn.id.as_str().starts_with('0'));
        for id in [wanted, HOME.parse().unwrap()] {
            let again = accounts.clone().create(Some(id), None).await;
            assert!(matches!(again, Err(AccountError::Exists(exists)) if exists == id));
        }
        for name in ["x".repeat(51), "a\nb".to_owned()] {
            assert!(matches!(accounts.clone().create(None, Some(name)).await, Err(AccountError::Name)));
        }
        let (later_identities, later) = opened(&kv).await;
        for (identities, accounts) in [(identities, accounts), (later_identities, later)] {
            let listed = accounts.list();
            assert_eq!(listed.len(), 3);
            let entry = listed.iter().find(|entry| entry.id == wanted).unwrap();
            assert_eq!((entry.name.as_str(), entry.created.is_some()), ("other", true));
            assert_eq!(
                (accounts.created_at(wanted), accounts.created_at(HOME.parse().unwrap())),
                (entry.created, None)
            );
            assert!(listed.iter().any(|entry| entry.id.as_str() == HOME && entry.created.is_none()));
            let credential = identities.credential(&new.access_key_id).unwrap();
            assert_eq!(credential.secret.expose(), new.secret.as_str());
            assert_eq!(credential.principal, Principal::Root(wanted));
        }
    }
}
