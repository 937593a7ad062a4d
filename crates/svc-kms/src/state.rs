//! The service's state: reads from memory, and commits that keep it true.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use bytes::Bytes;
use millpond_io::{Clock, Random};
use millpond_kernel::{Authorized, Caller, Epoch, Kernel, Pin};
use millpond_meta::{Batch, Cond, Key as RowKey, Kv, Op};
use millpond_seal::{Purpose, Vault};
use millpond_types::{AccountId, Arn, Timestamp};
use prost::Message;

use crate::cache::{Change, Maps};
use crate::crypto::Secret;
use crate::errors::{About, Failure, KmsError};
use crate::ids::{KeyId, MaterialId};
use crate::inputs::Input;
use crate::load::{self, OpenError};
use crate::model::{Facts, Grant, Key, Material};
use crate::resolved::{Resolved, Touched};
use crate::rows::{self, AliasRow, MaterialRow};
use crate::tables;
use crate::told::Told;

/// What the service works with.
pub(crate) struct Core {
    pub kernel: Arc<Kernel>,
    pub clock: Arc<dyn Clock>,
    pub random: Arc<dyn Random>,
    kv: Arc<dyn Kv>,
    vault: Arc<Vault>,
    maps: RwLock<Maps>,
    /// Held by whoever changes anything, from before it is decided until memory is true to the commit.
    pub changing: tokio::sync::Mutex<()>,
    /// The time before which what is due is not tried again.
    pub next_try: AtomicU64,
    /// Which checks the audit trail has told of.
    pub told: Told,
}

/// A commit being put together: conditions, rows, and what they change in memory.
#[derive(Default)]
pub(crate) struct Draft {
    conds: Vec<Cond>,
    ops: Vec<Op>,
    changes: Vec<Change>,
    urgent: bool,
}

impl Draft {
    /// A change of a key that stands as it was read.
    pub fn on(key: &Key) -> Self {
        Self { conds: vec![Cond::Equals(tables::key(key.id), key.row.clone())], ..Self::default() }
    }

    /// Frees space, so that it may use the reserve of a full disk.
    pub fn urgent(mut self) -> Self {
        self.urgent = true;
        self
    }

    pub fn absent(&mut self, row: RowKey) {
        self.conds.push(Cond::Absent(row));
    }

    pub fn present(&mut self, row: RowKey) {
        self.conds.push(Cond::Present(row));
    }

    pub fn put(&mut self, row: RowKey, value: &impl Message) -> Bytes {
        let value = rows::encode(value);
        self.ops.push(Op::Put(row, value.clone()));
        value
    }

    pub fn raw(&mut self, row: RowKey, value: Bytes) {
        self.ops.push(Op::Put(row, value));
    }

    pub fn delete(&mut self, row: RowKey) {
        self.ops.push(Op::Delete(row));
    }

    pub fn delete_all(&mut self, prefix: RowKey) {
        let (from, to) = millpond_meta::key::prefix_range(prefix);
        self.ops.push(Op::DeleteRange(from, to));
    }

    pub fn change(&mut self, change: Change) {
        self.changes.push(change);
    }

    /// Writes a key's row, as `key` has its facts, and has it in memory.
    pub fn key(&mut self, mut key: Key) -> Arc<Key> {
        key.row = self.put(tables::key(key.id), &key.facts.row());
        let key = Arc::new(key);
        self.change(Change::Key(Arc::clone(&key)));
        key
    }

    /// Writes an alias.
    pub fn alias(&mut self, alias: crate::model::Alias) {
        let row = AliasRow { key: alias.key.0.to_vec(), created: alias.created.0, updated: alias.updated.0 };
        self.put(tables::alias(alias.account, &alias.name), &row);
        self.change(Change::Alias(Arc::new(alias)));
    }

    /// Writes a grant.
    pub fn grant(&mut self, grant: Grant) {
        self.put(tables::grant(grant.key, grant.id), &grant.row());
        self.change(Change::Grant(Arc::new(grant)));
    }
}

impl Core {
    pub async fn open(
        kv: Arc<dyn Kv>,
        kernel: Arc<Kernel>,
        vault: Arc<Vault>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Result<Self, OpenError> {
        let maps = load::load(&*kv, &vault, kernel.region()).await?;
        let (maps, changing, next_try) = (RwLock::new(maps), tokio::sync::Mutex::default(), AtomicU64::default());
        Ok(Self { kernel, clock, random, kv, vault, maps, changing, next_try, told: Told::default() })
    }

    /// Everything in memory. Not to be held over a wait.
    pub fn maps(&self) -> RwLockReadGuard<'_, Maps> {
        self.maps.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The time, in whole milliseconds: what answers show is what is kept.
    pub fn now(&self) -> Timestamp {
        Timestamp(self.clock.now().millis().saturating_mul(1_000_000))
    }

    /// The ARN of a key.
    pub fn key_arn(&self, account: AccountId, id: KeyId) -> Arn {
        load::key_arn(self.kernel.region(), account, id)
    }

    /// The ARN of an alias.
    pub fn alias_arn(&self, account: AccountId, name: &str) -> Arn {
        Arn::new("kms", self.kernel.region().as_str(), account.as_str(), name)
    }

    /// Decides. Every operation of every caller passes here, allowed or denied, with the keys that it touches and its encryption context.
    pub async fn decide<'a, I: Input>(
        &self,
        caller: &Caller,
        input: &'a I,
        touched: Vec<Touched>,
    ) -> Result<Authorized<Resolved<'a, I>>, KmsError> {
        let resolved = Resolved::new(caller, self.kernel.region(), input, touched);
        let keys: Vec<_> = resolved.keys().map(|on| (on.key.arn.clone(), on.about.clone())).collect();
        if caller.is_anonymous() {
            // A key's policy that says "*" means everybody who signs (KMS Developer Guide, "Key policies").
            let about = keys.first().map_or(About::Alias, |(_, about)| about.clone());
            return Err(KmsError::foreign(&caller.arn(), I::ACTION, &about));
        }
        let answer = self.kernel.authorize(caller, resolved).await;
        if tracing::enabled!(tracing::Level::DEBUG) {
            let (context, allowed) = (input.encryption_context(), answer.is_ok());
            tracing::debug!(request_id = %caller.request_id(), operation = I::NAME, caller = caller.arn(), ?keys, ?context, allowed, "decided");
        }
        answer.map_err(|refusal| KmsError::refused(refusal, &keys))
    }

    /// Commits, and makes memory true to it before it is acknowledged. `pin` is the epoch at which it was decided; `None` for what nobody asked for.
    ///
    /// To be called with `changing` held.
    pub async fn commit(&self, pin: Option<Pin>, draft: Draft) -> Result<(), Failure> {
        let Draft { mut conds, mut ops, changes, urgent } = draft;
        conds.extend(pin.map(Pin::cond));
        ops.push(Epoch::raise());
        let change = self.kernel.epoch().change().await;
        self.kv.commit(Batch { conds, ops, idem: None, urgent }).await?;
        {
            let mut maps = self.maps.write().unwrap_or_else(PoisonError::into_inner);
            changes.into_iter().for_each(|change| maps.apply(change));
        }
        change.known().await.map_err(|error| KmsError::from(error).into())
    }

    /// Removes rows that nothing in memory stands for any more.
    pub async fn remove(&self, rows: Vec<RowKey>) -> Result<(), Failure> {
        let ops = rows.into_iter().map(Op::Delete).collect();
        self.kv.commit(Batch { ops, urgent: true, ..Batch::default() }).await?;
        Ok(())
    }

    /// New material of a key, written into a draft.
    pub fn new_material(
        &self,
        draft: &mut Draft,
        id: KeyId,
        facts: &Facts,
        rotation: Option<millpond_api_kms::RotationType>,
        number: u32,
    ) -> Result<Arc<Material>, KmsError> {
        let material = MaterialId::random(&*self.random);
        let secret = Secret::random(&*self.random, facts.spec.material_bytes());
        let aad = load::material_aad(id, material);
        let sealed = self.vault.seal(&*self.random, Purpose::KeyMaterial, &aad, secret.expose());
        let sealed = sealed.map_err(|error| KmsError::Internal(error.to_string()))?;
        let created = self.now();
        let reason = match rotation {
            None => 0,
            Some(millpond_api_kms::RotationType::Automatic) => 1,
            Some(millpond_api_kms::RotationType::OnDemand) => 2,
        };
        draft.put(tables::material(id, material), &MaterialRow { sealed, created: created.0, reason, number });
        Ok(Arc::new(Material { id: material, created, rotation, number, secret: Some(secret) }))
    }
}

#[cfg(test)]
mod tests {
    use std::ops::Bound;

    use millpond_io::{ManualClock, SystemRandom};
    use millpond_meta::{MemoryKv, Scan, View};
    use millpond_policy::{Policy, PolicyKind};

    use super::*;
    use crate::model::Spec;
    use crate::ops::keys::NewKey;

    /// Neither of the keys' material nor of the messages' keys is anything to be read from the store.
    #[tokio::test]
    async fn no_material_lies_in_the_store() {
        let kv = MemoryKv::new();
        let epoch = Epoch::load(Arc::new(kv.clone())).await.unwrap();
        let account: AccountId = "111122223333".parse().unwrap();
        let kernel = Arc::new(Kernel::new(account, "us-east-1".parse().unwrap(), epoch));
        let (vault, clock) = (Arc::new(Vault::for_tests()), Arc::new(ManualClock::default()));
        let core = Core::open(Arc::new(kv.clone()), kernel, vault, clock, Arc::new(SystemRandom)).await.unwrap();
        for spec in Spec::ALL {
            let policy = Policy::parse(&crate::ops::policy::usual(account), PolicyKind::Key).unwrap();
            let (description, ids, tags) = (String::new(), Vec::new(), Default::default());
            let mut draft = Draft::default();
            let new = NewKey { account, spec, managed: false, description, policy, ids, tags };
            let key = core.new_key(&mut draft, new).unwrap();
            core.commit(None, draft).await.unwrap();
            core.rotate(&key, millpond_api_kms::RotationType::OnDemand, None).await.unwrap();
        }
        let ids: Vec<_> = core.maps().keys_of(account).collect();
        let scan = Scan { from: Bound::Unbounded, to: Bound::Unbounded, reverse: false, limit: 10_000 };
        let rows = kv.scan(scan).await.unwrap();
        assert!(rows.len() > 20);
        for id in ids {
            let key = core.maps().stored(id).cloned().unwrap();
            assert_eq!(key.materials.len(), 2);
            for material in &key.materials {
                let secret = material.secret.as_ref().unwrap().expose();
                assert_eq!(secret.len(), key.facts.spec.material_bytes());
                // Any stretch of it long enough not to be there by chance.
                for part in secret.windows(12) {
                    assert!(rows.iter().all(|(_, row)| !row.windows(12).any(|window| window == part)));
                }
            }
        }
    }
}
