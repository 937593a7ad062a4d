//! From the rows to memory, at the start.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use millpond_meta::key::{KeyBuilder, KeyReader, MalformedKey, prefix_range, successor};
use millpond_meta::{Key, Kv, ReadError, Scan};
use millpond_types::{AccountId, Timestamp};

use super::account::Account;
use super::model::{AccessKey, Entity, Kind, ManagedPolicy};
use super::rows::{self, AccessKeyRow, EntityRow, LastUsedRow, PolicyRow, damaged, decode, tables};
use super::used::{LastUsed, Used};

/// Rows read at once.
const PAGE: usize = 1_000;

/// (account, unique id) -> name -> text.
type Documents = HashMap<(AccountId, String), BTreeMap<String, String>>;

/// Calls `each` with every row of a table, in their order.
async fn walk(
    kv: &dyn Kv,
    table: u8,
    mut each: impl FnMut(&mut KeyReader<'_>, Bytes) -> Result<(), ReadError>,
) -> Result<(), ReadError> {
    let (mut from, to) = prefix_range(KeyBuilder::new(table).build());
    loop {
        let scan = Scan { from: Bound::Included(from), to: Bound::Excluded(to.clone()), reverse: false, limit: PAGE };
        let rows = kv.scan(scan).await?;
        let Some((last, _)) = rows.last() else { return Ok(()) };
        from = successor(last);
        let full = rows.len() == PAGE;
        for (key, value) in rows {
            let mut reader = KeyReader::new(&key);
            reader.table().map_err(|_| damaged("identity"))?;
            each(&mut reader, value)?;
        }
        if !full {
            return Ok(());
        }
    }
}

fn text(reader: &mut KeyReader<'_>) -> Result<String, MalformedKey> {
    let bytes = reader.bytes()?;
    String::from_utf8(bytes.into_owned()).map_err(|_| MalformedKey(0))
}

fn account(reader: &mut KeyReader<'_>) -> Result<AccountId, MalformedKey> {
    let digits = reader.raw(12)?;
    std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok()).ok_or(MalformedKey(1))
}

async fn documents(kv: &dyn Kv) -> Result<Documents, ReadError> {
    let mut found: HashMap<(AccountId, String), BTreeMap<String, Vec<u8>>> = HashMap::new();
    walk(kv, tables::DOCUMENTS, |reader, value| {
        let mut key = || Ok::<_, MalformedKey>((account(reader)?, text(reader)?, text(reader)?));
        let (account, of, name) = key().map_err(|_| damaged("policy document"))?;
        // Chunks of one document come one after the other.
        found.entry((account, of)).or_default().entry(name).or_default().extend_from_slice(&value);
        Ok(())
    })
    .await?;
    let whole = |bytes: Vec<u8>| String::from_utf8(bytes).map_err(|_| damaged("policy document"));
    let texts = |(of, names): (_, BTreeMap<String, Vec<u8>>)| {
        let names = names.into_iter().map(|(name, bytes)| Ok((name, whole(bytes)?)));
        Ok((of, names.collect::<Result<_, ReadError>>()?))
    };
    found.into_iter().map(texts).collect()
}

/// All accounts that have identities, and the last uses of access keys.
pub(super) async fn everything(kv: &dyn Kv) -> Result<(HashMap<AccountId, Account>, Used), ReadError> {
    let mut documents = documents(kv).await?;
    let mut accounts: HashMap<AccountId, Account> = HashMap::new();
    walk(kv, tables::ENTITIES, |reader, value| {
        let key = account(reader).ok().zip(reader.u8().ok().and_then(Kind::from_byte));
        let (account, kind) = key.ok_or_else(|| damaged("identity"))?;
        let row: EntityRow = decode("identity", &value)?;
        let texts = documents.remove(&(account, row.id.clone())).unwrap_or_default();
        let entity = Entity::from_row(account, kind, row, texts).ok_or_else(|| damaged("trust policy"))?;
        accounts.entry(account).or_insert_with(|| Account::new(account)).put_entity(Arc::new(entity));
        Ok(())
    })
    .await?;
    walk(kv, tables::POLICIES, |reader, value| {
        let account = account(reader).map_err(|_| damaged("policy"))?;
        let row: PolicyRow = decode("policy", &value)?;
        let texts = documents.remove(&(account, row.id.clone())).unwrap_or_default();
        let policy = ManagedPolicy::from_row(account, row, texts).ok_or_else(|| damaged("policy version"))?;
        accounts.entry(account).or_insert_with(|| Account::new(account)).put_policy(Arc::new(policy));
        Ok(())
    })
    .await?;
    walk(kv, tables::ACCESS_KEYS, |reader, value| {
        let id = text(reader).map_err(|_| damaged("access key"))?;
        let key = key_of(id, &value)?;
        accounts.entry(key.account).or_insert_with(|| Account::new(key.account)).put_key(Arc::new(key));
        Ok(())
    })
    .await?;
    Ok((accounts, Used::new(last_used(kv).await?)))
}

fn key_of(id: String, value: &Bytes) -> Result<AccessKey, ReadError> {
    let row: AccessKeyRow = decode("access key", value)?;
    let account = row.account.parse().map_err(|_| damaged("access key"))?;
    let (active, created) = (row.active, Timestamp(row.created));
    Ok(AccessKey { id, account, user: row.user, active, created, sealed: row.sealed, secret: OnceLock::new() })
}

async fn last_used(kv: &dyn Kv) -> Result<HashMap<String, LastUsed>, ReadError> {
    let mut found = HashMap::new();
    walk(kv, tables::LAST_USED, |reader, value| {
        let id = text(reader).map_err(|_| damaged("last use"))?;
        let row: LastUsedRow = decode("last use", &value)?;
        found.insert(id, LastUsed { at: Timestamp(row.at), service: row.service, region: row.region });
        Ok(())
    })
    .await?;
    Ok(found)
}

/// The rows of a document, written; rows of a longer one before it are removed.
pub(super) fn document_rows(account: AccountId, of: &str, name: &str, text: Option<&str>) -> Vec<millpond_meta::Op> {
    let mut chunks = text.into_iter().flat_map(rows::chunks);
    (0..rows::MAX_CHUNKS)
        .map(|at| {
            let key: Key = rows::document_key(account, of, name, at);
            match chunks.next() {
                Some(chunk) => millpond_meta::Op::Put(key, chunk),
                None => millpond_meta::Op::Delete(key),
            }
        })
        .collect()
}
