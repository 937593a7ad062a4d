//! Reading everything at the start, and removing what deleted functions left behind.

use std::collections::HashMap;
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use millpond_meta::key::{MalformedKey, prefix_range, successor};
use millpond_meta::{Batch, CommitError, Key, Kv, Op, ReadError, Scan};
use millpond_types::{AccountId, Region};

use crate::errors::LambdaError;
use crate::limits::ROWS;
use crate::model::{Function, LayerVersion, PolicyOf, Version};
use crate::names::{self, LayerName};
use crate::state::{Maps, decode};
use crate::tables::{self, LayerRow, LayerVersionRow, VersionRow};

/// Why the functions could not be read.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A row cannot be read.
    #[error("the functions cannot be read: {0}")]
    Read(#[from] ReadError),
    /// What a deleted function left behind cannot be removed.
    #[error("what a deleted function left behind cannot be removed: {0}")]
    Commit(#[from] CommitError),
    /// The folder of the code cannot be used.
    #[error("the code of functions: {0}")]
    Io(#[from] millpond_io::IoError),
}

impl From<MalformedKey> for OpenError {
    fn from(error: MalformedKey) -> Self {
        damaged(&error)
    }
}

impl From<LambdaError> for OpenError {
    fn from(error: LambdaError) -> Self {
        damaged(&error)
    }
}

fn damaged(what: &dyn std::fmt::Display) -> OpenError {
    OpenError::Read(ReadError::Damaged(format!("functions: {what}")))
}

/// All rows of a table.
async fn rows(kv: &dyn Kv, table: u8) -> Result<Vec<(Key, Bytes)>, ReadError> {
    let (from, to) = prefix_range(Bytes::copy_from_slice(&[table]));
    let (mut from, mut all) = (Bound::Included(from), Vec::new());
    loop {
        let page = kv.scan(Scan { from, to: Bound::Excluded(to.clone()), reverse: false, limit: ROWS }).await?;
        let last = page.last().map(|(key, _)| successor(key)).filter(|_| page.len() == ROWS);
        all.extend(page);
        match last {
            Some(next) => from = Bound::Included(next),
            None => return Ok(all),
        }
    }
}

/// Reads everything. Parts of functions that are gone, as a deletion of many parts may leave them, are removed.
pub(crate) async fn load(kv: &dyn Kv, region: &Region) -> Result<Maps, OpenError> {
    let mut functions: HashMap<u128, Function> = HashMap::new();
    for (key, row) in rows(kv, tables::FUNCTIONS).await? {
        let (account, name) = tables::named(&key)?;
        let function = Function::of(region, account, name, row)?;
        functions.insert(function.id, function);
    }
    let mut left: Vec<Op> = Vec::new();
    for (key, row) in rows(kv, tables::VERSIONS).await? {
        let (id, number) = tables::version_of(&key)?;
        let Some(function) = functions.get_mut(&id) else {
            left.push(Op::Delete(key));
            continue;
        };
        let row: VersionRow = decode(&row)?;
        function.versions.insert(number, Arc::new(Version::new(number, row)));
    }
    for table in [tables::ALIASES, tables::POLICIES, tables::INVOKE_CONFIGS] {
        for (key, row) in rows(kv, table).await? {
            let (id, name) = tables::part_of(&key)?;
            let Some(function) = functions.get_mut(&id) else {
                left.push(Op::Delete(key));
                continue;
            };
            part(function, region, table, name, &row)?;
        }
    }
    for ops in left.chunks(ROWS) {
        kv.commit(Batch { ops: ops.to_vec(), ..Batch::default() }).await?;
    }
    let mut maps = Maps::default();
    for function in functions.into_values() {
        maps.functions.entry(function.account).or_default().insert(function.name.clone(), Arc::new(function));
    }
    layers(kv, region, &mut maps).await?;
    Ok(maps)
}

fn part(function: &mut Function, region: &Region, table: u8, name: String, row: &Bytes) -> Result<(), OpenError> {
    match table {
        tables::ALIASES => drop(function.aliases.insert(name, Arc::new(decode(row)?))),
        tables::INVOKE_CONFIGS => drop(function.configs.insert(name, Arc::new(decode(row)?))),
        _ => {
            let qualifier = Some(name.as_str()).filter(|name| !name.is_empty());
            let arn = names::function_arn(region, function.account, &function.name, qualifier);
            let policy = PolicyOf::compile(decode(row)?, &arn)?;
            function.policies.insert(name, Arc::new(policy));
        }
    }
    Ok(())
}

async fn layers(kv: &dyn Kv, region: &Region, maps: &mut Maps) -> Result<(), OpenError> {
    let mut layers: HashMap<(AccountId, String), crate::model::Layer> = HashMap::new();
    for (key, row) in rows(kv, tables::LAYERS).await? {
        let row: LayerRow = decode(&row)?;
        layers.entry(tables::named(&key)?).or_default().published = row.published;
    }
    for (key, row) in rows(kv, tables::LAYER_VERSIONS).await? {
        let (account, name, number) = tables::layer_version_of(&key)?;
        let name = LayerName { account, name };
        let row: LayerVersionRow = decode(&row)?;
        let version = LayerVersion::of(region, &name, number, row)?;
        layers.entry((account, name.name)).or_default().versions.insert(number, Arc::new(version));
    }
    for ((account, name), layer) in layers {
        maps.layers.entry(account).or_default().insert(name, Arc::new(layer));
    }
    Ok(())
}
