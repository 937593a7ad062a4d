//! Everything but the sealed bytes in memory, kept true by every commit: a decision reads no disk.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use millpond_kernel::Principal;
use millpond_types::{AccountId, Timestamp};

use crate::ids::{GrantId, KeyId};
use crate::model::{Alias, Grant, Key};

/// The grants of a key.
#[derive(Debug, Default)]
pub(crate) struct Grants {
    by_id: BTreeMap<GrantId, Arc<Grant>>,
    /// By the grantee's unique id, else its ARN.
    by_grantee: HashMap<String, Vec<Arc<Grant>>>,
}

impl Grants {
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    pub fn get(&self, id: GrantId) -> Option<&Arc<Grant>> {
        self.by_id.get(&id)
    }

    pub fn all(&self) -> impl Iterator<Item = &Arc<Grant>> {
        self.by_id.values()
    }

    fn insert(&mut self, grant: Arc<Grant>) {
        self.by_grantee.entry(grant.grantee.name().to_owned()).or_default().push(Arc::clone(&grant));
        self.by_id.insert(grant.id, grant);
    }

    fn remove(&mut self, id: GrantId) {
        let Some(grant) = self.by_id.remove(&id) else { return };
        if let Some(list) = self.by_grantee.get_mut(grant.grantee.name()) {
            list.retain(|other| other.id != id);
            if list.is_empty() {
                self.by_grantee.remove(grant.grantee.name());
            }
        }
    }

    /// Those that can be a principal's.
    pub fn of<'a>(&'a self, principal: &Principal) -> impl Iterator<Item = &'a Arc<Grant>> {
        let names = if self.by_id.is_empty() { BTreeSet::new() } else { names(principal) };
        names.into_iter().filter_map(|name| self.by_grantee.get(&name)).flatten()
    }
}

/// The names by which a grant can mean a principal: its unique id or that of the user behind it, its own ARN, its account's.
fn names(principal: &Principal) -> BTreeSet<String> {
    let mut names = BTreeSet::from([principal.arn()]);
    names.extend(principal.account().map(|account| format!("arn:aws:iam::{account}:root")));
    match principal {
        Principal::User { id, .. } | Principal::Role { id, .. } => _ = names.insert(id.clone()),
        Principal::Federated { user, .. } => names.append(&mut self::names(user)),
        Principal::Anonymous | Principal::Root(_) | Principal::Service { .. } => {}
    }
    names
}

/// What a commit changed.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    /// A key is as given.
    Key(Arc<Key>),
    /// A key is gone, with everything of it.
    KeyGone(KeyId),
    /// An alias is as given.
    Alias(Arc<Alias>),
    /// An alias is gone.
    AliasGone(AccountId, String),
    /// A grant was given.
    Grant(Arc<Grant>),
    /// A grant is gone.
    GrantGone(KeyId, GrantId),
}

/// Everything.
#[derive(Debug, Default)]
pub(crate) struct Maps {
    keys: HashMap<KeyId, Arc<Key>>,
    of_account: HashMap<AccountId, BTreeSet<KeyId>>,
    aliases: BTreeMap<(AccountId, String), Arc<Alias>>,
    names: HashMap<KeyId, BTreeSet<String>>,
    grants: HashMap<KeyId, Grants>,
    due: BTreeSet<(Timestamp, KeyId)>,
}

impl Maps {
    /// A key that is there at a time.
    pub fn key(&self, id: KeyId, now: Timestamp) -> Option<&Arc<Key>> {
        self.keys.get(&id).filter(|key| !key.is_gone(now))
    }

    /// A key that has rows, also when its time has come to go.
    pub fn stored(&self, id: KeyId) -> Option<&Arc<Key>> {
        self.keys.get(&id)
    }

    /// The ids of an account's keys, in order.
    pub fn keys_of(&self, account: AccountId) -> impl Iterator<Item = KeyId> {
        self.of_account.get(&account).into_iter().flatten().copied()
    }

    /// How many keys an account has.
    pub fn key_count(&self, account: AccountId) -> usize {
        self.of_account.get(&account).map_or(0, BTreeSet::len)
    }

    pub fn alias(&self, account: AccountId, name: &str) -> Option<&Arc<Alias>> {
        self.aliases.get(&(account, name.to_owned()))
    }

    /// An account's aliases behind a name, in the order of their names.
    pub fn aliases_of(&self, account: AccountId) -> impl Iterator<Item = &Arc<Alias>> {
        let from = (account, String::new());
        self.aliases.range(from..).take_while(move |((owner, _), _)| *owner == account).map(|(_, alias)| alias)
    }

    /// The names of a key's aliases.
    pub fn names(&self, id: KeyId) -> Option<&BTreeSet<String>> {
        self.names.get(&id)
    }

    pub fn grants(&self, id: KeyId) -> Option<&Grants> {
        self.grants.get(&id)
    }

    /// All grants on all keys, in the order of keys and ids.
    pub fn every_grant(&self) -> Vec<Arc<Grant>> {
        let mut all: Vec<_> = self.grants.values().flat_map(Grants::all).cloned().collect();
        all.sort_by_key(|grant| (grant.key, grant.id));
        all
    }

    /// The keys about which something is to be done by now.
    pub fn due(&self, now: Timestamp) -> Vec<KeyId> {
        self.due.iter().take_while(|(at, _)| *at <= now).map(|(_, id)| *id).collect()
    }

    /// Whether there are such.
    pub fn anything_due(&self, now: Timestamp) -> bool {
        self.due.first().is_some_and(|(at, _)| *at <= now)
    }

    pub fn apply(&mut self, change: Change) {
        match change {
            Change::Key(key) => {
                self.forget_due(key.id);
                self.due.extend(key.due().map(|at| (at, key.id)));
                self.of_account.entry(key.facts.account).or_default().insert(key.id);
                self.keys.insert(key.id, key);
            }
            Change::KeyGone(id) => self.forget(id),
            Change::Alias(alias) => {
                self.forget_alias(alias.account, &alias.name);
                self.names.entry(alias.key).or_default().insert(alias.name.clone());
                self.aliases.insert((alias.account, alias.name.clone()), alias);
            }
            Change::AliasGone(account, name) => self.forget_alias(account, &name),
            Change::Grant(grant) => self.grants.entry(grant.key).or_default().insert(grant),
            Change::GrantGone(key, id) => {
                if let Some(grants) = self.grants.get_mut(&key) {
                    grants.remove(id);
                }
            }
        }
    }

    fn forget(&mut self, id: KeyId) {
        self.forget_due(id);
        let Some(key) = self.keys.remove(&id) else { return };
        if let Some(keys) = self.of_account.get_mut(&key.facts.account) {
            keys.remove(&id);
        }
        for name in self.names.remove(&id).unwrap_or_default() {
            self.aliases.remove(&(key.facts.account, name));
        }
        self.grants.remove(&id);
    }

    fn forget_due(&mut self, id: KeyId) {
        if let Some(at) = self.keys.get(&id).and_then(|key| key.due()) {
            self.due.remove(&(at, id));
        }
    }

    fn forget_alias(&mut self, account: AccountId, name: &str) {
        if let Some(alias) = self.aliases.remove(&(account, name.to_owned()))
            && let Some(names) = self.names.get_mut(&alias.key)
        {
            names.remove(name);
        }
    }
}
