//! A change of one account's identities before it is committed: the next snapshot, and the rows that make it true.

use std::sync::Arc;

use millpond_kernel::{Epoch, Pin};
use millpond_meta::{Batch, Cond, MAX_VALUE_BYTES, Op};

use super::StateError;
use super::account::{Account, folded};
use super::load::document_rows;
use super::model::{AccessKey, Document, Entity, ManagedPolicy, version_id};
use super::rows::{self, AccessKeyRow};

/// A change before it is committed.
pub struct Draft {
    /// The snapshot that it makes.
    account: Account,
    ops: Vec<Op>,
    conds: Vec<Cond>,
    keys: Vec<KeyChange>,
    urgent: bool,
}

/// A change of the access keys in memory.
pub(crate) enum KeyChange {
    Put(Arc<AccessKey>),
    Remove(String),
}

/// What becomes known when a draft is committed.
pub(super) struct Publish {
    pub account: Account,
    pub keys: Vec<KeyChange>,
}

impl Draft {
    /// A change of what is now.
    pub fn of(account: &Account) -> Self {
        Self { account: account.clone(), ops: Vec::new(), conds: Vec::new(), keys: Vec::new(), urgent: false }
    }

    /// The account as the change leaves it.
    pub fn account(&self) -> &Account {
        &self.account
    }

    /// Rows of others that become true with it, such as that of a new account.
    pub fn also(&mut self, conds: impl IntoIterator<Item = Cond>, ops: impl IntoIterator<Item = Op>) {
        self.conds.extend(conds);
        self.ops.extend(ops);
    }

    /// The change frees space, so that it may be made when the disk is full.
    pub fn urgent(&mut self) {
        self.urgent = true;
    }

    /// Writes a user, group or role, but for its documents.
    pub fn put_entity(&mut self, entity: Entity) {
        if let Some(former) =
            self.account.by_id(&entity.id).filter(|former| folded(&former.name) != folded(&entity.name))
        {
            self.ops.push(Op::Delete(rows::entity_key(entity.account, entity.kind, &folded(&former.name))));
        }
        let key = rows::entity_key(entity.account, entity.kind, &folded(&entity.name));
        self.ops.push(Op::Put(key, rows::encode(&entity.row())));
        self.account.put_entity(Arc::new(entity));
    }

    /// Writes a role with its trust policy.
    pub fn put_role(&mut self, entity: Entity) {
        let trust = entity.role.as_ref().map(|role| role.trust.text());
        self.ops.extend(document_rows(entity.account, &entity.id, rows::TRUST, trust));
        self.put_entity(entity);
    }

    /// Removes a user, group or role that has no inline policies any more.
    pub fn remove_entity(&mut self, entity: &Entity) {
        self.urgent = true;
        self.ops.push(Op::Delete(rows::entity_key(entity.account, entity.kind, &folded(&entity.name))));
        if entity.role.is_some() {
            self.ops.extend(document_rows(entity.account, &entity.id, rows::TRUST, None));
        }
        self.account.remove_entity(entity);
    }

    /// Writes an inline policy, or removes it.
    pub fn set_inline(&mut self, entity: &Entity, name: &str, document: Option<Arc<Document>>) {
        let text = document.as_ref().map(|document| document.text());
        self.ops.extend(document_rows(entity.account, &entity.id, name, text));
        let mut next = entity.clone();
        match document {
            Some(document) => next.inline.insert(name.to_owned(), document),
            None => next.inline.remove(name),
        };
        self.account.put_entity(Arc::new(next));
    }

    /// Writes a managed policy, but for its documents.
    pub fn put_policy(&mut self, policy: ManagedPolicy) {
        let Some(account) = policy.account else { return };
        self.ops.push(Op::Put(rows::policy_key(account, &folded(&policy.name)), rows::encode(&policy.row())));
        self.account.put_policy(Arc::new(policy));
    }

    /// Writes the document of a version that the policy has, or removes that of one that it has no more.
    pub fn set_version(&mut self, policy: &ManagedPolicy, number: u32) {
        let Some(account) = policy.account else { return };
        let text = policy.versions.get(&number).map(|version| version.document.text());
        self.ops.extend(document_rows(account, &policy.id, &version_id(number), text));
    }

    /// Removes a managed policy.
    pub fn remove_policy(&mut self, policy: &ManagedPolicy) {
        let Some(account) = policy.account else { return };
        self.urgent = true;
        self.ops.push(Op::Delete(rows::policy_key(account, &folded(&policy.name))));
        for number in policy.versions.keys() {
            self.ops.extend(document_rows(account, &policy.id, &version_id(*number), None));
        }
        self.account.remove_policy(&policy.name);
    }

    /// Writes an access key.
    pub fn put_key(&mut self, key: AccessKey) {
        let row = AccessKeyRow {
            account: key.account.to_string(),
            user: key.user.clone(),
            active: key.active,
            created: key.created.0,
            sealed: key.sealed.clone(),
        };
        self.ops.push(Op::Put(rows::access_key_key(&key.id), rows::encode(&row)));
        let key = Arc::new(key);
        self.account.put_key(key.clone());
        self.keys.push(KeyChange::Put(key));
    }

    /// Removes an access key.
    pub fn remove_key(&mut self, id: &str) {
        self.urgent = true;
        self.ops.push(Op::Delete(rows::access_key_key(id)));
        self.ops.push(Op::Delete(rows::last_used_key(id)));
        self.account.remove_key(id);
        self.keys.push(KeyChange::Remove(id.to_owned()));
    }

    /// What is to be committed; `None` when nothing changes.
    pub(super) fn into_batch(mut self, pin: Pin) -> Result<Option<(Batch, Publish)>, StateError> {
        if self.ops.is_empty() {
            return Ok(None);
        }
        let large = |op: &Op| matches!(op, Op::Put(_, value) if value.len() > MAX_VALUE_BYTES);
        if self.ops.iter().any(large) {
            return Err(StateError::TooLarge("the tags and attachments of one identity have at most 64 KiB"));
        }
        self.ops.push(Epoch::raise());
        self.conds.push(pin.cond());
        let batch = Batch { conds: self.conds, ops: self.ops, idem: None, urgent: self.urgent };
        Ok(Some((batch, Publish { account: self.account, keys: self.keys })))
    }
}
