//! The service's tables: the first byte of a row's key, 0x50 to 0x57, and how rows are keyed.

use bytes::Bytes;
use millpond_meta::Key as RowKey;
use millpond_meta::key::{KeyBuilder, KeyReader, MalformedKey};
use millpond_types::AccountId;

use crate::ids::{GrantId, KeyId, MaterialId};

/// (key) -> what a key is and how it stands.
pub(crate) const KEYS: u8 = 0x50;
/// (key) -> its policy.
pub(crate) const POLICIES: u8 = 0x51;
/// (key, material) -> sealed material.
pub(crate) const MATERIALS: u8 = 0x52;
/// (account, name) -> alias.
pub(crate) const ALIASES: u8 = 0x53;
/// (key, grant) -> grant.
pub(crate) const GRANTS: u8 = 0x54;
/// (key, tag) -> value.
pub(crate) const TAGS: u8 = 0x55;

pub(crate) fn key(id: KeyId) -> RowKey {
    KeyBuilder::new(KEYS).raw(&id.0).build()
}

pub(crate) fn policy(id: KeyId) -> RowKey {
    KeyBuilder::new(POLICIES).raw(&id.0).build()
}

pub(crate) fn material(id: KeyId, material: MaterialId) -> RowKey {
    KeyBuilder::new(MATERIALS).raw(&id.0).raw(&material.0).build()
}

pub(crate) fn alias(account: AccountId, name: &str) -> RowKey {
    KeyBuilder::new(ALIASES).raw(account.as_str().as_bytes()).bytes(name.as_bytes()).build()
}

pub(crate) fn grant(id: KeyId, grant: GrantId) -> RowKey {
    KeyBuilder::new(GRANTS).raw(&id.0).raw(&grant.0).build()
}

pub(crate) fn tag(id: KeyId, name: &str) -> RowKey {
    KeyBuilder::new(TAGS).raw(&id.0).bytes(name.as_bytes()).build()
}

/// The beginning of all rows of a key in a table.
pub(crate) fn of_key(table: u8, id: KeyId) -> RowKey {
    KeyBuilder::new(table).raw(&id.0).build()
}

/// The beginning of a table.
pub(crate) fn whole(table: u8) -> RowKey {
    Bytes::copy_from_slice(&[table])
}

fn array<const N: usize>(reader: &mut KeyReader<'_>) -> Result<[u8; N], MalformedKey> {
    reader.raw(N)?.try_into().map_err(|_| MalformedKey(0))
}

/// The key that a row of any of the tables but that of aliases belongs to.
pub(crate) fn key_of(row: &RowKey) -> Result<KeyId, MalformedKey> {
    let mut reader = KeyReader::new(row);
    reader.table()?;
    array(&mut reader).map(KeyId)
}

/// The second field of a row of materials or grants.
pub(crate) fn long_id_of(row: &RowKey) -> Result<MaterialId, MalformedKey> {
    let mut reader = KeyReader::new(row);
    reader.table()?;
    reader.raw(16)?;
    array(&mut reader).map(crate::ids::LongId)
}

/// The name of a tag's row.
pub(crate) fn tag_of(row: &RowKey) -> Result<String, MalformedKey> {
    let mut reader = KeyReader::new(row);
    reader.table()?;
    reader.raw(16)?;
    String::from_utf8(reader.bytes()?.into_owned()).map_err(|_| MalformedKey(17))
}

/// Account and name of an alias's row.
pub(crate) fn alias_of(row: &RowKey) -> Result<(AccountId, String), MalformedKey> {
    let mut reader = KeyReader::new(row);
    reader.table()?;
    let account = std::str::from_utf8(reader.raw(12)?).ok().and_then(|text| text.parse().ok());
    let name = String::from_utf8(reader.bytes()?.into_owned()).map_err(|_| MalformedKey(13))?;
    Ok((account.ok_or(MalformedKey(1))?, name))
}
