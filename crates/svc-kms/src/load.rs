//! Reading everything at the start.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound as End;
use std::sync::Arc;

use bytes::Bytes;
use millpond_api_kms::RotationType;
use millpond_kernel::{Named, PolicySource};
use millpond_meta::key::{MalformedKey, prefix_range, successor};
use millpond_meta::{Batch, CommitError, Key as RowKey, Kv, Op, ReadError, Scan};
use millpond_policy::{Policy, PolicyKind};
use millpond_seal::{Purpose, Vault};
use millpond_types::{AccountId, Arn, Region, Timestamp};
use prost::Message;

use crate::cache::{Change, Maps};
use crate::crypto::Secret;
use crate::ids::{KeyId, MaterialId};
use crate::limits::PAGE;
use crate::model::{Alias, Facts, Grant, Key, Material};
use crate::rows::{AliasRow, GrantRow, KeyRow, MaterialRow, PolicyRow};
use crate::tables;

/// Why the keys could not be read.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A row cannot be read.
    #[error("the keys cannot be read: {0}")]
    Read(#[from] ReadError),
    /// What a deleted key left behind cannot be removed.
    #[error("what a deleted key left behind cannot be removed: {0}")]
    Commit(#[from] CommitError),
}

impl From<MalformedKey> for OpenError {
    fn from(error: MalformedKey) -> Self {
        damaged(&error.to_string())
    }
}

fn damaged(what: &str) -> OpenError {
    OpenError::Read(ReadError::Damaged(format!("key management: {what}")))
}

/// All rows that begin with a prefix.
async fn rows(kv: &dyn Kv, prefix: RowKey) -> Result<Vec<(RowKey, Bytes)>, ReadError> {
    let (mut from, to) = prefix_range(prefix);
    let mut all = Vec::new();
    loop {
        let scan = Scan { from: End::Included(from), to: End::Excluded(to.clone()), reverse: false, limit: PAGE };
        let page = kv.scan(scan).await?;
        let Some((last, _)) = page.last().filter(|_| page.len() == PAGE) else {
            all.extend(page);
            return Ok(all);
        };
        from = successor(last);
        all.extend(page);
    }
}

fn decode<R: Message + Default>(row: &Bytes, what: &str) -> Result<R, OpenError> {
    R::decode(row.clone()).map_err(|error| damaged(&format!("{what}: {error}")))
}

/// The ARN of a key.
pub(crate) fn key_arn(region: &Region, account: AccountId, id: KeyId) -> Arn {
    Arn::new("kms", region.as_str(), account.as_str(), &format!("key/{id}"))
}

/// What the vault seals material for: this key's, and no other's.
pub(crate) fn material_aad(key: KeyId, material: MaterialId) -> Vec<u8> {
    [&key.0[..], &material.0[..]].concat()
}

/// A policy as decisions take it.
pub(crate) fn named_policy(arn: &Arn, policy: Policy) -> Named {
    Named { source: PolicySource::Resource { arn: arn.to_string() }, policy: Arc::new(policy) }
}

/// Binds a policy to the ids of whom it names, in the order of their ARNs.
pub(crate) fn bind(policy: &mut Policy, ids: &[String]) {
    let bound: BTreeMap<String, String> =
        policy.principals().into_iter().map(str::to_owned).zip(ids.iter().cloned()).collect();
    policy.bind(&bound);
}

fn policy(arn: &Arn, row: PolicyRow) -> Result<Named, OpenError> {
    let mut policy = Policy::parse(&row.text, PolicyKind::Key).map_err(|error| damaged(&format!("policy: {error}")))?;
    bind(&mut policy, &row.ids);
    Ok(named_policy(arn, policy))
}

/// What lies beside the keys' own rows.
#[derive(Default)]
struct Parts {
    policies: HashMap<KeyId, PolicyRow>,
    materials: HashMap<KeyId, Vec<Arc<Material>>>,
    tags: HashMap<KeyId, BTreeMap<String, String>>,
}

/// Material as it comes from its row. What the vault does not open stays closed: the other keys are to serve all the same.
fn material(vault: &Vault, key: KeyId, id: MaterialId, row: MaterialRow) -> Material {
    let opened = vault.open(Purpose::KeyMaterial, &material_aad(key, id), &row.sealed);
    if opened.is_err() {
        tracing::error!(%key, material = %id, "the material of a key cannot be opened");
    }
    let rotation = match row.reason {
        1 => Some(RotationType::Automatic),
        2 => Some(RotationType::OnDemand),
        _ => None,
    };
    let created = Timestamp(row.created);
    Material { id, created, rotation, number: row.number, secret: opened.ok().map(Secret::opened) }
}

async fn parts(kv: &dyn Kv, vault: &Vault) -> Result<Parts, OpenError> {
    let mut parts = Parts::default();
    for (key, row) in rows(kv, tables::whole(tables::POLICIES)).await? {
        parts.policies.insert(tables::key_of(&key)?, decode(&row, "policy")?);
    }
    for (row_key, row) in rows(kv, tables::whole(tables::MATERIALS)).await? {
        let (key, id) = (tables::key_of(&row_key)?, tables::long_id_of(&row_key)?);
        let material = material(vault, key, id, decode(&row, "material")?);
        parts.materials.entry(key).or_default().push(Arc::new(material));
    }
    for (row_key, row) in rows(kv, tables::whole(tables::TAGS)).await? {
        let value = String::from_utf8(row.to_vec()).map_err(|_| damaged("tag"))?;
        parts.tags.entry(tables::key_of(&row_key)?).or_default().insert(tables::tag_of(&row_key)?, value);
    }
    for materials in parts.materials.values_mut() {
        materials.sort_by_key(|material| material.number);
    }
    Ok(parts)
}

/// Reads everything, and removes the grants of keys that are gone.
pub(crate) async fn load(kv: &dyn Kv, vault: &Vault, region: &Region) -> Result<Maps, OpenError> {
    let mut maps = Maps::default();
    let mut parts = parts(kv, vault).await?;
    for (row_key, row) in rows(kv, tables::whole(tables::KEYS)).await? {
        let id = tables::key_of(&row_key)?;
        let facts = Facts::of(decode::<KeyRow>(&row, "key")?).ok_or_else(|| damaged("key"))?;
        let arn = key_arn(region, facts.account, id);
        let policy = policy(&arn, parts.policies.remove(&id).ok_or_else(|| damaged("a key without a policy"))?)?;
        let tags = parts.tags.remove(&id).unwrap_or_default();
        let materials = parts.materials.remove(&id).unwrap_or_default();
        maps.apply(Change::Key(Arc::new(Key { id, arn, facts, row, policy, tags, materials })));
    }
    for (row_key, row) in rows(kv, tables::whole(tables::ALIASES)).await? {
        let (account, name) = tables::alias_of(&row_key)?;
        let row: AliasRow = decode(&row, "alias")?;
        let key = KeyId(row.key.as_slice().try_into().map_err(|_| damaged("alias"))?);
        let (created, updated) = (Timestamp(row.created), Timestamp(row.updated));
        maps.apply(Change::Alias(Arc::new(Alias { account, name, key, created, updated })));
    }
    let mut orphans = Vec::new();
    for (row_key, row) in rows(kv, tables::whole(tables::GRANTS)).await? {
        let (key, id) = (tables::key_of(&row_key)?, tables::long_id_of(&row_key)?);
        if maps.stored(key).is_none() {
            orphans.push(Op::Delete(row_key));
            continue;
        }
        let grant = Grant::of(key, id, decode::<GrantRow>(&row, "grant")?).ok_or_else(|| damaged("grant"))?;
        maps.apply(Change::Grant(Arc::new(grant)));
    }
    for ops in orphans.chunks(PAGE) {
        kv.commit(Batch { ops: ops.to_vec(), urgent: true, ..Batch::default() }).await?;
    }
    Ok(maps)
}
